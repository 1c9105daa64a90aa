/* 20_fair_share.c - a server that protects itself: a rate for each client, a rate for itself that
 * follows what it can bear, and room for two at once. The clock is virtual.
 *
 * Run it:  build/release/examples/example-20_fair_share */
#include <weft/weft.h>

#include <stdio.h>
#include <string.h>

struct server {
    struct weft_keyed_limiter *per_client;
    struct weft_limiter *itself;
    struct weft_bulkhead *room;
};

static int work(void *client)
{
    int err = weft_sleep(100 * WEFT_MSEC);
    printf("%4d ms  %s is served\n", (int)((weft_now() - WEFT_SEC) / WEFT_MSEC), (char *)client);
    return err;
}

/* A greedy client is refused before it takes anything from the others. */
static int serve(struct server *server, const char *client)
{
    int err = weft_keyed_limiter_try(server->per_client, client, strlen(client), 1);
    if (err == 0)
        err = weft_limiter_acquire(server->itself, 1, weft_now() + WEFT_SEC);
    if (err < 0)
        return err;
    return weft_bulkhead_call(server->room, work, (void *)(uintptr_t)client, WEFT_FOREVER);
}

struct client {
    struct server *server;
    const char *name;
    int requests;
};

static int send_requests(void *arg)
{
    const struct client *client = arg;
    int refused = 0;
    for (int i = 0; i < client->requests; i++)
        refused += serve(client->server, client->name) < 0;
    printf("         %s was refused %d times\n", client->name, refused);
    return 0;
}

static int start(void *arg)
{
    struct server server;
    struct client greedy = {&server, "greedy", 9}, modest = {&server, "modest", 2};
    struct weft_group clients;
    (void)arg;
    weft_keyed_limiter_open(&server.per_client, &(struct weft_keyed_limiter_options){
                                                    .limiter = {.rate = {1, WEFT_SEC, 3}}});
    weft_limiter_open(&server.itself, &(struct weft_limiter_options){.kind = WEFT_LIMITER_GCRA,
                                                                     .adaptive = {.max = 20}});
    weft_bulkhead_open(&server.room, &(struct weft_bulkhead_options){.calls_max = 2});
    weft_group_init(&clients, NULL);
    weft_spawn(&clients, send_requests, &greedy);
    weft_spawn(&clients, send_requests, &modest);
    int err = weft_group_wait(&clients);

    struct weft_limiter_snapshot now;
    weft_limiter_feedback(server.itself, WEFT_LIMITER_OVERLOAD, 0); /* the disk is full, say */
    weft_limiter_snapshot(server.itself, &now);
    printf("         overloaded: %.0f a second from now on\n", now.rate.count);
    weft_bulkhead_close(server.room);
    weft_limiter_close(server.itself);
    weft_keyed_limiter_close(server.per_client);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
