/* 18_pool.c - ten clients share three connections. One of them breaks, the first attempt to replace
 * it fails, and one client forgets to give its connection back: the pool says who.
 *
 * Run it:  build/release/examples/example-18_pool */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct server {
    struct weft_pool *pool;
    int connections, most, attempts, served;
};

static int connect_to(void *arg, void **ret_connection)
{
    struct server *server = arg;
    int err = weft_sleep(WEFT_MSEC);
    if (err < 0 || ++server->attempts == 4)
        return err < 0 ? err : -ECONNREFUSED;
    server->most = ++server->connections > server->most ? server->connections : server->most;
    return (*ret_connection = malloc(64)) ? 0 : -ENOMEM;
}

static void disconnect(void *arg, void *connection)
{
    ((struct server *)arg)->connections--;
    free(connection);
}

static int query(void *arg, void *connection)
{
    struct server *server = arg;
    (void)connection;
    weft_sleep(10 * WEFT_MSEC);
    return ++server->served == 5 ? -EPIPE : 0; /* the fifth finds it broken */
}

static int client(void *arg)
{
    struct server *server = arg;
    int err = weft_pool_with(server->pool, query, server, weft_now() + WEFT_SEC);
    if (err < 0)
        printf("a client: %s\n", weft_strerror(err));
    return err;
}

static void tell(void *arg, const struct weft_pool_event *event)
{
    (void)arg;
    if (event->kind == WEFT_POOL_LEAKED)
        printf("not given back: 1 of %d, by %s\n", (int)event->count, event->holder);
}

static int run(void *arg)
{
    struct server *server = arg;
    struct weft_group group;
    void *forgotten;
    const struct weft_pool_options options = {
        .create = connect_to, .destroy = disconnect, .arg = server, .max = 3, .on_event = tell};
    weft_pool_open(&server->pool, &options);
    weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    for (int i = 0; i < 10; i++)
        weft_spawn(&group, client, server);
    weft_group_wait(&group);
    printf("%d queries, never more than %d connections\n", server->served, server->most);
    weft_pool_acquire_as(server->pool, "the export", &forgotten, WEFT_FOREVER);
    printf("close: %s\n", weft_strerror(weft_pool_close(server->pool, weft_now() + WEFT_MSEC)));
    weft_pool_release(server->pool, forgotten, 1); /* late, but not lost */
    printf("%d connections left\n", server->connections);
    return 0;
}

int main(void)
{
    return weft_run(NULL, run, &(struct server){0}) < 0;
}
