/* SPDX-License-Identifier: MIT
 * client_socket.c - libcurl's sockets on the worker's reactor.
 *
 * libcurl thinks in levels: as long as it wants to read and there is something to read, it is to be
 * told. The reactor reports edges, and a socket is registered with it once, for its whole life, so
 * that a request on a kept connection costs no call for that. What lies between:
 *
 *     ready   what may be possible: set by edges, taken back when libcurl was told of it
 *     wants   what libcurl is waiting for
 *
 * After libcurl was told and still wants the same, the level is asked for, once. It is also asked
 * when libcurl begins to want something, because the edge may have come and gone; but not for the
 * response to a request on a new or an idle connection, the usual case: an edge that has come is
 * in ready, and before libcurl uses an idle connection it looks itself that nothing has come there.
 *
 * A socket that libcurl gives up while it is still connecting it may close without telling us
 * (7.88: all of them): see bury. */
#include <http/client_internal.h>

#include <weft/io.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct weft_http_socket {
    struct weft_fd_watcher watcher;
    struct weft_link link;   /* in engine->ready */
    struct weft_link all;    /* in engine->sockets */
    struct weft_link opened; /* in transfer->opened, until the connection is made */
    struct weft_http_engine *engine;
    struct weft_http_host *host; /* that it is a connection to; NULL where nobody counts */
    int fd;
    unsigned ready, wants; /* WEFT_READY_READ, _WRITE */
    bool fresh;            /* nothing of ready was ever taken back */
    bool lost;             /* the reactor has to be told again to watch it */
    bool connected;        /* libcurl closes it through us */
    bool made;             /* with TLS where there is any: a request is or was on it */
    ino_t number;          /* of the socket itself, which fd may not be any more */
};

#define BOTH (WEFT_READY_READ | WEFT_READY_WRITE)

/* ---- what is possible --------------------------------------------------------------------- */

/* Without a reactor that watches, only trying tells. */
static void watch_again(struct weft_http_socket *socket)
{
    socket->lost = false;
    if (weft_fd_watch_by(socket->engine->worker, socket->fd, &socket->watcher) < 0)
        socket->ready |= BOTH;
}

static void queue_if_ready(struct weft_http_socket *socket)
{
    if (socket->lost && socket->wants)
        watch_again(socket);
    if (!(socket->ready & socket->wants) || !weft_list_empty(&socket->link))
        return;
    weft_list_append(&socket->engine->ready, &socket->link);
    weft_http_engine_kick(socket->engine);
}

static void look_at_level(struct weft_http_socket *socket, unsigned directions)
{
    if ((directions & WEFT_READY_READ) && weft_fd_level(socket->fd, WEFT_READABLE) != -EAGAIN)
        socket->ready |= WEFT_READY_READ;
    if ((directions & WEFT_READY_WRITE) && weft_fd_level(socket->fd, WEFT_WRITABLE) != -EAGAIN)
        socket->ready |= WEFT_READY_WRITE;
    queue_if_ready(socket);
}

static void edge_came(struct weft_fd_watcher *watcher, unsigned events)
{
    struct weft_http_socket *socket = weft_container_of(watcher, struct weft_http_socket, watcher);
    socket->ready |= events & BOTH;
    socket->lost = socket->lost || (events & WEFT_READY_LOST);
    queue_if_ready(socket);
}

/* ---- what is wanted ----------------------------------------------------------------------- */

static struct weft_http_socket *find(const struct weft_http_engine *engine, int fd)
{
    struct weft_fd_watcher *watcher = weft_fd_watcher_of(engine->worker, fd);
    if (!watcher || watcher->ready != edge_came)
        return NULL;
    struct weft_http_socket *socket = weft_container_of(watcher, struct weft_http_socket, watcher);
    return socket->engine == engine ? socket : NULL;
}

static void free_socket(struct weft_http_socket *socket)
{
    struct weft_http_engine *engine = socket->engine;
    if (engine->current == socket)
        engine->current = NULL;
    weft_http_count(&engine->counts.connections_now, -1u);
    if (!socket->made)
        weft_http_count(&engine->counts.connections_failed, 1);
    else if (socket->host)
        weft_http_queue_closed(&engine->queue, socket->host);
    weft_list_unlink(&socket->opened);
    weft_list_unlink(&socket->link);
    weft_list_unlink(&socket->all);
    free(socket);
}

static ino_t number_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/* It was closed behind our back. The reactor may still hold it: io_uring would keep it open. */
static void bury(struct weft_http_socket *socket)
{
    weft_fd_forget(socket->engine->worker, socket->fd);
    free_socket(socket);
}

/* libcurl does not want anything of it for now, or has closed it. */
static void put_aside(struct weft_http_socket *socket)
{
    socket->wants = socket->ready = 0;
    socket->fresh = false;
    weft_list_unlink(&socket->link);
    if (!socket->connected && number_of(socket->fd) != socket->number)
        bury(socket);
}

static struct weft_http_transfer *transfer_of(CURL *easy)
{
    char *private = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    return (void *)private;
}

/* Whether an edge for the response may have been taken back before it was wanted: a body was held
 * back, or requests share the connection. */
static bool may_have_missed(CURL *easy, const struct weft_http_engine *engine)
{
    const struct weft_http_transfer *transfer = transfer_of(easy);
    return engine->options.http2 || !transfer || transfer->question.streams;
}

/* libcurl reads from what it has connected: what follows is TLS, if anything. */
static void note_connected(struct weft_http_socket *socket, CURL *easy)
{
    struct weft_http_transfer *transfer = transfer_of(easy);
    socket->connected = true;
    if (transfer && transfer->tls_at_ns == 0)
        transfer->tls_at_ns = weft_worker_now(socket->engine->worker);
}

int weft_http_socket_want(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct weft_http_engine *engine = arg;
    struct weft_http_socket *socket = engine->worker ? find(engine, fd) : NULL;
    (void)unused;
    if (!socket)
        return 0; /* the worker has ended */
    if (what == CURL_POLL_REMOVE) {
        put_aside(socket);
        return 0;
    }
    unsigned before = socket->wants;
    socket->wants =
        (what & CURL_POLL_IN ? WEFT_READY_READ : 0) | (what & CURL_POLL_OUT ? WEFT_READY_WRITE : 0);
    if (!socket->connected && (socket->wants & WEFT_READY_READ))
        note_connected(socket, easy);
    unsigned new = socket->wants & ~before;
    bool is_response = before == 0 && new == WEFT_READY_READ;
    if (!socket->fresh && new && !(is_response && !may_have_missed(easy, engine)))
        look_at_level(socket, new);
    else
        queue_if_ready(socket);
    return 0;
}

void weft_http_socket_serve(struct weft_http_engine *engine)
{
    struct weft_http_socket *socket =
        weft_container_of(engine->ready.next, struct weft_http_socket, link);
    unsigned told = socket->ready & socket->wants;
    int running;
    weft_list_unlink(&socket->link);
    socket->ready &= ~told;
    socket->fresh = false;
    engine->current = socket;
    (void)curl_multi_socket_action(engine->multi, socket->fd,
                                   (told & WEFT_READY_READ ? CURL_CSELECT_IN : 0) |
                                       (told & WEFT_READY_WRITE ? CURL_CSELECT_OUT : 0),
                                   &running);
    if (engine->current) /* not closed meanwhile */
        look_at_level(socket, told & socket->wants);
    engine->current = NULL;
}

/* ---- from beginning to end ---------------------------------------------------------------- */

static bool is_allowed(struct weft_http_transfer *transfer, const struct curl_sockaddr *address)
{
    const struct weft_http_client_options *options = &transfer->engine->options;
    if (!options->allow_address ||
        options->allow_address(options->allow_address_context, &address->addr, address->addrlen))
        return true;
    transfer->refused = true;
    weft_http_count(&transfer->engine->counts.addresses_refused, 1);
    return false;
}

static struct weft_http_socket *make_socket(struct weft_http_engine *engine, int fd)
{
    struct weft_http_socket *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->watcher.ready = edge_came;
    made->engine = engine;
    made->fd = fd;
    made->number = number_of(fd);
    made->fresh = true;
    weft_list_init(&made->link);
    weft_list_init(&made->opened);
    weft_list_append(&engine->sockets, &made->all);
    weft_http_count(&engine->counts.connections, 1);
    weft_http_count(&engine->counts.connections_now, 1);
    return made;
}

/* Under the number of one that was closed behind our back, libcurl believes that it has told what
 * it wants. Returns 0, -ENOMEM, ... */
static int register_socket(struct weft_http_transfer *transfer, int fd)
{
    struct weft_http_engine *engine = transfer->engine;
    struct weft_http_socket *closed = find(engine, fd);
    unsigned wants = closed ? closed->wants : 0;
    if (closed)
        bury(closed);
    weft_fd_made(engine->worker, fd, true);
    struct weft_http_socket *made = make_socket(engine, fd);
    if (!made)
        return -ENOMEM;
    made->wants = wants;
    made->host = engine->options.http2 ? transfer->place.host : NULL;
    weft_list_append(&transfer->opened, &made->opened);
    int err = weft_fd_watch_by(engine->worker, fd, &made->watcher);
    if (err < 0)
        free_socket(made);
    return err;
}

curl_socket_t weft_http_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct weft_http_transfer *transfer = arg;
    struct weft_http_engine *engine = transfer->engine;
    (void)purpose;
    if (transfer->connect_by_ns == 0)
        transfer->connect_by_ns =
            weft_worker_now(engine->worker) + engine->options.connect_timeout_ns;
    weft_http_queue_opens(&engine->queue, &transfer->place);
    if (!is_allowed(transfer, address))
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    int err = fd < 0 ? -errno : register_socket(transfer, fd);
    if (err < 0) {
        transfer->failure = err;
        if (fd >= 0)
            (void)weft_close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

void weft_http_socket_made(struct weft_http_transfer *transfer)
{
    while (!weft_list_empty(&transfer->opened)) {
        struct weft_http_socket *socket =
            weft_container_of(transfer->opened.next, struct weft_http_socket, opened);
        weft_list_unlink(&socket->opened);
        socket->made = true;
        if (socket->host)
            weft_http_queue_connected(&transfer->engine->queue, socket->host);
    }
}

/* When the worker has ended: its table of descriptors is gone. */
static int close_orphan(struct weft_http_engine *engine, int fd)
{
    WEFT_LIST_FOR_EACH (link, &engine->sockets) {
        struct weft_http_socket *socket = weft_container_of(link, struct weft_http_socket, all);
        if (socket->fd != fd)
            continue;
        free_socket(socket);
        break;
    }
    return close(fd);
}

int weft_http_socket_close(void *arg, curl_socket_t fd)
{
    struct weft_http_engine *engine = arg;
    if (!engine->worker)
        return close_orphan(engine, fd);
    struct weft_http_socket *socket = find(engine, fd);
    if (socket)
        free_socket(socket);
    return weft_close(fd) < 0 ? -1 : 0;
}
