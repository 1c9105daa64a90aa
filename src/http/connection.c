/* SPDX-License-Identifier: MIT
 * connection.c - see connection.h. Read it from the bottom: connection_main is the whole story. */
#include <http/connection.h>
#include <http/exchange.h>
#include <http/stream.h>

#include <os/clock.h>

#include <weft/io.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* How long a client may take to notice that its last reply came, and what it may send meanwhile. */
#define LINGER_NS        (2 * WEFT_SEC)
#define LINGER_BYTES_MAX ((size_t)4 << 20)

/* While draining: how long an idle connection is listened to for a request already on its way. */
#define LAST_LOOK_NS (5 * WEFT_MSEC)

/* Replies to pipelined requests are sent together, but no more than this at once. */
#define OUT_BYTES_MAX ((size_t)64 << 10)

/* What comes after a step of a connection. */
enum next {
    NEXT_ANSWER, /* there is a request, or something that is refused */
    NEXT_GO_ON,  /* look for another request in what was received */
    NEXT_IDLE,   /* all that came was answered: wait */
    NEXT_CLOSE,  /* the last reply is made */
    NEXT_CUT,    /* the client is gone, or the server is: nothing more to say */
};

static void refuse(struct weft_http_connection *connection, int status, const char *detail)
{
    connection->workspace->parser.refusal = (struct weft_http_refusal){status, detail};
}

/* ---- bytes in and out ------------------------------------------------------------------- */

/* What is still missing of a body that announced its length, within reason. */
static size_t bytes_wanted(const struct weft_http_incoming *request)
{
    uint64_t missing = request->head_complete ? request->content_length - request->body_len : 0;
    if (request->chunked || missing < WEFT_HTTP_READ_BYTES)
        return WEFT_HTTP_READ_BYTES;
    /* One byte more than needed: a read that is not filled tells that nothing else is there. */
    return missing < WEFT_HTTP_BODY_READ_BYTES ? (size_t)missing + 1 : WEFT_HTTP_BODY_READ_BYTES;
}

/* Returns bytes added to the input, 0 at its end, or the error. */
static ssize_t read_more(struct weft_http_connection *connection, size_t wanted,
                         int64_t deadline_ns)
{
    struct weft_http_workspace *workspace = connection->workspace;
    struct weft_buffer *in = &workspace->in;
    if (workspace->at > 0) {
        weft_buffer_consume(in, workspace->at);
        workspace->at = 0;
    }
    char *end = weft_buffer_reserve(in, wanted + 1); /* the parser ends a body with a NUL */
    if (!end)
        return in->err;
    ssize_t count = weft_read(connection->fd, end, wanted, deadline_ns);
    if (count > 0)
        in->len += (size_t)count;
    return count;
}

/* Most replies fit the socket's buffer: only when not, ask for the time. */
int weft_http_connection_flush(struct weft_http_connection *connection)
{
    struct weft_http_server *server = connection->server;
    struct weft_buffer *out = &connection->workspace->out;
    if (out->len == 0)
        return 0;
    ssize_t count = weft_write(connection->fd, out->data, out->len, WEFT_NOWAIT);
    size_t sent = count > 0 ? (size_t)count : 0;
    int err = count < 0 && count != -EAGAIN ? (int)count : 0;
    if (!err && sent < out->len)
        err = weft_write_all(connection->fd, out->data + sent, out->len - sent,
                             weft_now() + server->options.write_timeout_ns, NULL);
    if (err == -ETIMEDOUT)
        weft_http_count(&server->stats.timeouts, 1);
    weft_buffer_clear(out);
    return err;
}

int weft_http_connection_send(struct weft_http_connection *connection, const struct iovec *pieces,
                              int count, size_t *ret_written)
{
    struct weft_http_server *server = connection->server;
    int64_t deadline_ns = weft_now() + server->options.write_timeout_ns;
    int err = weft_writev_all(connection->fd, pieces, count, deadline_ns, ret_written);
    if (err == -ETIMEDOUT)
        weft_http_count(&server->stats.timeouts, 1);
    return err;
}

/* ---- receiving -------------------------------------------------------------------------- */

/* Wait for a request without a workspace, then read what is there of it. */
static int read_first(struct weft_http_connection *connection, int64_t deadline_ns)
{
    int err = weft_wait_fd(connection->fd, WEFT_READABLE, deadline_ns);
    if (err < 0)
        return err;
    if (!connection->workspace)
        connection->workspace = weft_http_workspace_take(&connection->server->workspaces);
    if (!connection->workspace)
        return -ENOMEM;
    return (int)read_more(connection, WEFT_HTTP_READ_BYTES, deadline_ns);
}

/* Be idle until bytes come, the client closes, or the server drains. */
static enum next await_request(struct weft_http_connection *connection)
{
    const struct weft_http_server *server = connection->server;
    int count = -ECANCELED;
    if (!server->draining) {
        weft_scope_enter(&connection->idle_scope, WEFT_FOREVER, 0);
        connection->idle = true;
        count = read_first(connection, weft_now() + server->options.idle_timeout_ns);
        connection->idle = false;
        count = weft_scope_leave(&connection->idle_scope, count);
    }
    if (count == -ECANCELED && server->draining) /* if the drain was not why, this fails as well */
        count = read_first(connection, weft_now() + LAST_LOOK_NS);
    return count > 0 ? NEXT_GO_ON : NEXT_CUT;
}

/* Ask whoever admits. Returns whether the handler is to answer. */
static bool admit(const struct weft_http_server *server, struct weft_http_exchange *exchange)
{
    const struct weft_http_server_options *options = &server->options;
    if (!options->admit)
        return true;
    if (options->admit(exchange, exchange->match.route, options->context) > 0)
        return exchange->status == 0;
    weft_http_reply_error(exchange, 403, "Forbidden"); /* ignored if it did reply */
    return false;
}

/* Find the route, and ask whether the request is admitted.
 * Returns whether the handler is to answer; if not, the exchange has its reply */
static bool decide(const struct weft_http_server *server, struct weft_http_exchange *exchange)
{
    const struct weft_http_incoming *request = exchange->request;
    struct weft_http_match match =
        weft_http_router_find(server->router, request->method, &request->path);
    exchange->decided = true;
    if (!match.route) {
        uint64_t methods =
            request->any_target ? weft_http_router_methods(server->router) : match.methods;
        weft_http_exchange_reply_unrouted(exchange, methods);
    } else if (weft_http_exchange_route(exchange, match) < 0) {
        weft_http_reply_error(exchange, 503, "out of memory");
    } else {
        return admit(server, exchange);
    }
    return false;
}

/* Whether a body can be dropped without much ado. Not when the client waits to be invited: it may
 * send the body then, or not, and nobody could tell the body from the next request. */
static bool easily_dropped(const struct weft_http_incoming *request)
{
    return !request->expects_continue && !request->chunked &&
           request->content_length <= WEFT_HTTP_DROP_BYTES_MAX;
}

/* A body follows the head. Returns how long it may be to be read; -1: it is not read at all, for
 * the reply is made, and the connection ends with it. */
static int64_t decide_body(const struct weft_http_server *server,
                           struct weft_http_exchange *exchange)
{
    const struct weft_http_incoming *request = exchange->request;
    exchange->head_only = true;
    exchange->close = !request->keep_alive || !easily_dropped(request);
    bool wanted = decide(server, exchange);
    exchange->head_only = false;
    if (!wanted)
        return exchange->close ? -1 : (int64_t)WEFT_HTTP_DROP_BYTES_MAX;
    exchange->close = !request->keep_alive;
    size_t route_max = exchange->match.route->body_bytes_max;
    return (int64_t)(route_max ? route_max : server->options.body_bytes_max);
}

static enum weft_http_verdict parse(struct weft_http_connection *connection)
{
    struct weft_http_workspace *workspace = connection->workspace;
    struct weft_http_parser *parser = &workspace->parser;
    char *message = workspace->in.data + workspace->at;
    size_t len = workspace->in.len - workspace->at;
    enum weft_http_verdict verdict = weft_http_parser_feed(parser, message, &len);
    if (verdict == WEFT_HTTP_HEAD) {
        int64_t body_max = decide_body(connection->server, &workspace->exchange);
        if (body_max < 0)
            return verdict;
        verdict = weft_http_parser_expect(parser, (size_t)body_max, message, &len);
    }
    workspace->in.len = workspace->at + len;
    return verdict;
}

/* The client waits with the body until it is invited to send it. */
static int invite_body(struct weft_http_workspace *workspace)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    workspace->parser.request.expects_continue = false;
    weft_buffer_append(&workspace->out, go_on, sizeof go_on - 1);
    return workspace->out.err;
}

/* Read until the parser has decided, or the client took too long. A reply that is made already goes
 * out first. */
static enum next receive_rest(struct weft_http_connection *connection)
{
    const struct weft_http_server_options *options = &connection->server->options;
    struct weft_http_incoming *request = &connection->workspace->parser.request;
    int64_t deadline_ns = WEFT_FOREVER;
    bool body = false;
    do {
        if (request->expects_continue && invite_body(connection->workspace) < 0)
            return NEXT_CUT;
        if (weft_http_connection_flush(connection) < 0)
            return NEXT_CUT;
        if (deadline_ns == WEFT_FOREVER || body != request->head_complete) {
            body = request->head_complete;
            deadline_ns =
                weft_now() + (body ? options->body_timeout_ns : options->header_timeout_ns);
        }
        ssize_t count = read_more(connection, bytes_wanted(request), deadline_ns);
        if (count == -ETIMEDOUT) {
            weft_http_count(&connection->server->stats.timeouts, 1);
            refuse(connection, 408, body ? "body took too long" : "headers took too long");
            return NEXT_ANSWER;
        }
        if (count == 0) {
            refuse(connection, 400, "incomplete request");
            return NEXT_ANSWER;
        }
        if (count < 0)
            return NEXT_CUT;
    } while (parse(connection) == WEFT_HTTP_MORE);
    return NEXT_ANSWER;
}

static void begin_exchange(struct weft_http_connection *connection)
{
    struct weft_http_server *server = connection->server;
    struct weft_http_exchange *exchange = &connection->workspace->exchange;
    exchange->connection = connection;
    exchange->server_name = server->options.server_name;
    exchange->date = &server->date;
    exchange->draining = &server->draining;
    weft_http_exchange_begin(exchange, &connection->workspace->parser.request);
}

static enum next receive(struct weft_http_connection *connection)
{
    struct weft_http_workspace *workspace = connection->workspace;
    if (workspace->at == workspace->in.len)
        return NEXT_IDLE;
    weft_http_parser_begin(&workspace->parser, connection->server->options.header_bytes_max);
    begin_exchange(connection);
    return parse(connection) == WEFT_HTTP_MORE ? receive_rest(connection) : NEXT_ANSWER;
}

/* ---- answering -------------------------------------------------------------------------- */

/* Let the handler answer, if that was not done from the head alone. */
static void handle(struct weft_http_server *server, struct weft_http_exchange *exchange)
{
    weft_http_count(&server->stats.requests, 1);
    if (!exchange->decided) {
        exchange->close = !exchange->request->keep_alive;
        (void)decide(server, exchange);
    }
    if (!exchange->status)
        exchange->match.route->handler(exchange, server->options.context);
    weft_http_reply_error(exchange, 500, "the handler did not reply"); /* ignored if it did */
}

static enum next answer(struct weft_http_connection *connection)
{
    struct weft_http_workspace *workspace = connection->workspace;
    struct weft_http_parser *parser = &workspace->parser;
    struct weft_http_exchange *exchange = &workspace->exchange;
    struct weft_http_server *server = connection->server;
    bool refused = parser->refusal.status != 0;
    bool asked_to_close = !refused && !parser->request.keep_alive;

    if (refused) {
        weft_http_count(&server->stats.bad_requests, 1);
        exchange->close = true;
        weft_http_reply_error(exchange, parser->refusal.status, parser->refusal.detail);
    } else {
        handle(server, exchange);
    }
    weft_http_stream_leave(exchange);
    workspace->at += parser->end;
    if (exchange->failure)
        return NEXT_CUT;
    if (!exchange->close)
        return workspace->out.len > OUT_BYTES_MAX && weft_http_connection_flush(connection) < 0
                   ? NEXT_CUT
                   : NEXT_GO_ON;
    /* A client that asked for the end, and sent nothing since, waits for it. */
    if (!asked_to_close || workspace->at < workspace->in.len)
        connection->linger = true;
    return NEXT_CLOSE;
}

/* Answer everything that was received. Replies to pipelined requests go out together. */
static enum next serve(struct weft_http_connection *connection)
{
    enum next next;
    do {
        next = receive(connection);
        if (next == NEXT_ANSWER)
            next = answer(connection);
    } while (next == NEXT_GO_ON);
    return next == NEXT_CUT || weft_http_connection_flush(connection) < 0 ? NEXT_CUT : next;
}

static enum next turn_away(struct weft_http_connection *connection)
{
    static const char body[] = "{\"detail\": \"too many connections\"}";
    static const char fields[] = "Retry-After: 1\r\n";
    struct weft_http_server *server = connection->server;
    connection->workspace = weft_http_workspace_take(&server->workspaces);
    if (!connection->workspace)
        return NEXT_CUT;
    struct weft_http_reply_head head = {
        .status = 503,
        .date = weft_http_date_at(&server->date, weft_clock_unix_us() / 1000000),
        .server_name = server->options.server_name,
        .content_type = "application/json",
        .fields = fields,
        .fields_len = sizeof fields - 1,
        .close = true,
    };
    connection->linger = true;
    int err = weft_http_reply_append(&connection->workspace->out, &head, body, sizeof body - 1);
    return err < 0 || weft_http_connection_flush(connection) < 0 ? NEXT_CUT : NEXT_CLOSE;
}

/* ---- the end ---------------------------------------------------------------------------- */

/* Closing a socket that holds unread bytes resets the connection, and the client may lose the
 * reply. So say that no more comes, and throw away what arrives until the client closes. */
static void linger(struct weft_http_connection *connection)
{
    int64_t deadline_ns = weft_now() + LINGER_NS;
    size_t total = 0;
    ssize_t count = shutdown(connection->fd, SHUT_WR) < 0 ? -errno : 1;
    while (count > 0 && total < LINGER_BYTES_MAX) {
        weft_buffer_clear(&connection->workspace->in);
        connection->workspace->at = 0;
        count = read_more(connection, WEFT_HTTP_READ_BYTES, deadline_ns);
        total += count > 0 ? (size_t)count : 0;
    }
}

static void close_connection(struct weft_http_connection *connection)
{
    struct weft_http_server *server = connection->server;
    weft_http_workspace_give(&server->workspaces, connection->workspace);
    weft_list_unlink(&connection->link);
    if (connection->refused)
        server->refusals--;
    else
        weft_http_count(&server->stats.connections_now, -1);
    const struct linger at_once = {.l_onoff = 1};
    if (connection->reset)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)weft_close(connection->fd);
    free(connection);
}

static int connection_main(void *arg)
{
    struct weft_http_connection *connection = arg;
    enum next next = connection->refused ? turn_away(connection) : NEXT_IDLE;
    while (next == NEXT_IDLE) {
        next = await_request(connection);
        if (next == NEXT_GO_ON)
            next = serve(connection);
        if (next == NEXT_IDLE) {
            weft_http_workspace_give(&connection->server->workspaces, connection->workspace);
            connection->workspace = NULL;
        }
    }
    if (next == NEXT_CLOSE && connection->linger)
        linger(connection);
    bool cut = next == NEXT_CUT && weft_checkpoint() == -ECANCELED;
    close_connection(connection);
    return cut ? -ECANCELED : 0; /* other ends are the client's business, not the server's */
}

int weft_http_connection_start(struct weft_http_server *server, int fd, bool refused)
{
    struct weft_http_connection *connection = calloc(1, sizeof *connection);
    int err = -ENOMEM;
    if (!connection)
        goto fail;
    connection->server = server;
    connection->fd = fd;
    connection->refused = refused;
    err = weft_spawn(&server->group, connection_main, connection);
    if (err)
        goto fail;
    weft_list_append(&server->connections, &connection->link);
    if (refused)
        server->refusals++;
    else
        weft_http_count(&server->stats.connections_now, 1);
    return 0;
fail:
    free(connection);
    (void)weft_close(fd);
    return err;
}

void weft_http_connection_drain(struct weft_http_connection *connection)
{
    if (connection->idle)
        weft_scope_cancel(&connection->idle_scope, 0);
}
