/* SPDX-License-Identifier: MIT
 * tcp_server.c - a listener on every worker. See weft/net.h. */
#include <runtime/worker.h>

#include <weft/io.h>
#include <weft/net.h>

#include <stdlib.h>

#define CONNECTIONS_DEFAULT 10000u
#define PAUSE_NS            (100 * WEFT_MSEC)

struct server {
    int (*serve)(int fd, void *arg);
    void *arg;
    unsigned connections_max;
};

/* What one worker takes connections from. */
struct stand {
    const struct server *server;
    int fd;
};

struct connection {
    const struct server *server;
    int fd;
};

static int serve_connection(void *arg)
{
    const struct connection *connection = arg;
    (void)connection->server->serve(connection->fd, connection->server->arg);
    (void)weft_close(connection->fd);
    return 0;
}

static bool passes(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

static int take_connection(const struct stand *stand, struct weft_group *group)
{
    struct connection connection = {stand->server, weft_tcp_accept(stand->fd, WEFT_FOREVER)};
    if (connection.fd < 0)
        return connection.fd;
    const struct weft_spawn_options options = {.name = "connection",
                                               .copy_bytes = sizeof connection};
    int err = weft_spawn_with(group, serve_connection, &connection, &options);
    if (err < 0)
        (void)weft_close(connection.fd);
    return err;
}

static int run_stand(void *arg)
{
    const struct stand *stand = arg;
    const struct weft_group_options options = {
        .policy = WEFT_SUPERVISE,
        .concurrency_max = stand->server->connections_max,
        .name = "connections",
    };
    struct weft_group group;
    int err = weft_group_init(&group, &options);
    if (err < 0)
        return err;
    while (err == 0 || passes(err)) {
        if (err < 0 && weft_sleep(PAUSE_NS) < 0)
            break;
        err = take_connection(stand, &group);
    }
    weft_group_close(&group);
    (void)weft_fd_release(stand->fd);
    return err;
}

/* Listen once per worker, all on the port that the first has got. Returns the port. */
static int open_stands(struct stand *stands, unsigned len, const struct server *server,
                       const char *address, uint16_t port, unsigned backlog)
{
    const struct weft_listen_options listen = {.backlog = backlog, .reuse_port = len > 1};
    int chosen = port;
    for (unsigned i = 0; i < len; i++) {
        stands[i] = (struct stand){server, weft_tcp_listen(address, (uint16_t)chosen, &listen)};
        if (stands[i].fd < 0)
            return stands[i].fd;
        chosen = weft_tcp_port(stands[i].fd);
    }
    return chosen;
}

static int run_stands(struct stand *stands, unsigned len)
{
    struct weft_group group;
    int err = weft_group_init(&group, &(struct weft_group_options){.name = "TCP server"});
    if (err < 0)
        return err;
    for (unsigned i = 0; i < len && err == 0; i++) {
        const struct weft_spawn_options options = {.name = "acceptor",
                                                   .worker = WEFT_WORKER((int)i)};
        err = weft_spawn_with(&group, run_stand, &stands[i], &options);
    }
    if (err < 0)
        weft_group_cancel(&group, err);
    int result = weft_group_wait(&group);
    return err < 0 ? err : result;
}

int weft_tcp_serve(const char *address, uint16_t port,
                   const struct weft_tcp_server_options *options, int (*serve)(int fd, void *arg),
                   void *arg)
{
    static const struct weft_tcp_server_options defaults;
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (!options)
        options = &defaults;
    unsigned max = options->connections_max;
    const struct server server = {serve, arg, max ? max : CONNECTIONS_DEFAULT};
    unsigned len = weft_worker_count();
    struct stand *stands = calloc(len, sizeof *stands);
    if (!stands)
        return -ENOMEM;
    for (unsigned i = 0; i < len; i++)
        stands[i].fd = -1;
    err = open_stands(stands, len, &server, address, port, options->backlog);
    if (err >= 0) {
        (void)weft_started(err); /* to whoever waits for it, perhaps nobody */
        err = run_stands(stands, len);
    }
    for (unsigned i = 0; i < len; i++) {
        if (stands[i].fd >= 0)
            (void)weft_close(stands[i].fd);
    }
    free(stands);
    return err;
}
