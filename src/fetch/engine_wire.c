/* SPDX-License-Identifier: MIT
 * engine_wire.c - see engine_wire.h. Read it from the bottom: an exchange takes a connection, or
 * makes one, says its piece and reads the response. */
#include <fetch/engine_wire.h>

#include <base/hash.h>
#include <base/list.h>
#include <base/table.h>
#include <base/time.h>
#include <fetch/engine_wire_response.h>

#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define IDLE_NS                                                                                    \
    ((int64_t)30 * WEFT_SEC) /* a connection that was idle for longer is not used again */
/* After so long without use, look whether the server has closed before sending. Servers' idle
 * timeouts are seconds. */
#define CHECK_NS   WEFT_SEC
#define READ_BYTES ((size_t)4096)
#define READ_MAX   ((size_t)64 << 10)
#define STORAGE_EXTRA                                                                              \
    ((size_t)1 << 20) /* beside a body of the largest size: heads, a last read                     \
                       */

struct wire_origin {
    struct weft_table_node node;
    struct weft_link idle; /* connections; the one used last at the end */
    unsigned connections;  /* idle or not; without any, it is freed */
    size_t len;
    char text[];
};

struct wire_connection {
    struct weft_link of_origin; /* while idle */
    struct weft_link of_wire;   /* likewise, in wire->idle, the one idle for longest first */
    struct wire_origin *origin;
    int64_t idle_since_ns;
    int fd;
    struct weft_fetch_wire_response response;
};

struct weft_fetch_wire {
    const struct weft_fetcher_options *options;
    struct weft_table origins;
    struct weft_link idle;
    unsigned idle_len, idle_max;
};

/* ---- connections -------------------------------------------------------------------------- */

static struct wire_origin *find_origin(const struct weft_fetch_wire *wire,
                                       const struct weft_fetch_url *url, uint64_t hash)
{
    struct weft_table_node *node = weft_table_first(&wire->origins, hash);
    for (; node; node = weft_table_next(node)) {
        struct wire_origin *origin = weft_container_of(node, struct wire_origin, node);
        if (origin->len == url->origin_len &&
            memcmp(origin->text, url->origin, url->origin_len) == 0)
            return origin;
    }
    return NULL;
}

static struct wire_origin *origin_of(struct weft_fetch_wire *wire, const struct weft_fetch_url *url)
{
    uint64_t hash = weft_hash(url->origin, url->origin_len);
    struct wire_origin *origin = find_origin(wire, url, hash);
    if (origin)
        return origin;
    origin = calloc(1, sizeof *origin + url->origin_len);
    if (!origin)
        return NULL;
    weft_list_init(&origin->idle);
    origin->len = url->origin_len;
    memcpy(origin->text, url->origin, url->origin_len);
    weft_table_put(&wire->origins, &origin->node, hash);
    return origin;
}

static void leave_origin(struct weft_fetch_wire *wire, struct wire_origin *origin)
{
    if (--origin->connections > 0)
        return;
    weft_table_remove(&wire->origins, &origin->node);
    free(origin);
}

/* One that is not idle. */
static void drop(struct weft_fetch_wire *wire, struct wire_connection *connection)
{
    if (connection->fd >= 0)
        (void)weft_close(connection->fd);
    leave_origin(wire, connection->origin);
    free(connection);
}

static void wake(struct weft_fetch_wire *wire, struct wire_connection *connection)
{
    weft_list_unlink(&connection->of_origin);
    weft_list_unlink(&connection->of_wire);
    wire->idle_len--;
}

/* The ones that nobody will use any more, and those there is no room for. */
static void tidy(struct weft_fetch_wire *wire, int64_t now_ns)
{
    while (!weft_list_empty(&wire->idle)) {
        struct wire_connection *oldest =
            weft_container_of(wire->idle.next, struct wire_connection, of_wire);
        if (wire->idle_len <= wire->idle_max && now_ns - oldest->idle_since_ns < IDLE_NS)
            return;
        wake(wire, oldest);
        drop(wire, oldest);
    }
}

static void put_back(struct weft_fetch_wire *wire, struct wire_connection *connection,
                     int64_t now_ns)
{
    connection->idle_since_ns = now_ns;
    weft_list_append(&connection->origin->idle, &connection->of_origin);
    weft_list_append(&wire->idle, &connection->of_wire);
    wire->idle_len++;
    tidy(wire, now_ns);
}

/* Whether the server has closed it, or has sent what nobody asked for. */
static bool is_stale(const struct wire_connection *connection)
{
    char byte;
    return weft_read(connection->fd, &byte, 1, WEFT_NOWAIT) != -EAGAIN;
}

/* The connection that was used last: it is the likeliest to live, and the others can grow old.
 * NULL: there is none. */
static struct wire_connection *take_idle(struct weft_fetch_wire *wire, struct wire_origin *origin,
                                         const struct weft_fetch_exchange *exchange)
{
    while (!weft_list_empty(&origin->idle)) {
        struct wire_connection *connection =
            weft_container_of(origin->idle.prev, struct wire_connection, of_origin);
        int64_t idle_ns = exchange->begun_ns - connection->idle_since_ns;
        bool stale = idle_ns >= IDLE_NS;
        wake(wire, connection);
        if (!stale && (idle_ns >= CHECK_NS || !exchange->is_idempotent))
            stale = is_stale(connection);
        if (!stale)
            return connection;
        drop(wire, connection); /* the origin stays: the exchange has counted itself in */
    }
    return NULL;
}

/* ---- connecting --------------------------------------------------------------------------- */

static int connect_to(struct weft_fetch_wire *wire, const struct weft_fetch_exchange *exchange,
                      struct weft_http_times *times)
{
    const struct weft_fetch_url *url = exchange->parts;
    struct weft_address address;
    int64_t begun_ns = weft_now();
    int64_t until_ns = weft_time_after(begun_ns, wire->options->connect_timeout_ns);
    bool total = exchange->deadline_ns < until_ns;
    until_ns = total ? exchange->deadline_ns : until_ns;
    if (weft_address_parse(url->host, url->port, &address) < 0) {
        /* The answer is kept for what comes next, so this is what the name alone takes. */
        int err = weft_resolve(url->host, url->port, until_ns, &address, 1);
        times->name_ns = weft_now() - begun_ns;
        if (err < 0)
            return weft_fetch_fail(exchange->answer, err,
                                   err == -EADDRNOTAVAIL ? "no such host"
                                   : err == -ETIMEDOUT   ? "no address in time"
                                                         : weft_strerror(err));
    }
    int fd = weft_tcp_connect(url->host, url->port, until_ns);
    times->connect_ns = weft_now() - begun_ns - times->name_ns;
    if (fd == -ETIMEDOUT)
        return weft_fetch_fail(exchange->answer, fd, "no connection in time");
    return fd < 0 ? weft_fetch_fail(exchange->answer, fd, weft_strerror(fd)) : fd;
}

static int make_connection(struct weft_fetch_wire *wire, struct wire_origin *origin,
                           const struct weft_fetch_exchange *exchange,
                           struct weft_http_times *times, struct wire_connection **ret_connection)
{
    struct wire_connection *connection = malloc(sizeof *connection);
    if (!connection)
        return weft_fetch_fail(exchange->answer, -ENOMEM, weft_strerror(-ENOMEM));
    origin->connections++;
    connection->origin = origin;
    weft_list_init(&connection->of_origin);
    weft_list_init(&connection->of_wire);
    connection->fd = connect_to(wire, exchange, times);
    if (connection->fd < 0) {
        int err = connection->fd;
        drop(wire, connection);
        return err;
    }
    *ret_connection = connection;
    return 0;
}

/* ---- the request -------------------------------------------------------------------------- */

static bool has_field(const struct weft_fetch_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->fields_count; i++) {
        if (strcasecmp(exchange->fields[i].name, name) == 0)
            return true;
    }
    return false;
}

static void append_line(struct weft_buffer *text, const char *name, const char *value)
{
    weft_buffer_append_string(text, name);
    weft_buffer_append(text, ": ", 2);
    weft_buffer_append_string(text, value);
    weft_buffer_append(text, "\r\n", 2);
}

static void append_head(struct weft_buffer *text, const struct weft_fetch_wire *wire,
                        const struct weft_fetch_exchange *exchange)
{
    const struct weft_fetch_url *url = exchange->parts;
    bool has_fields = exchange->fields_count > 0;
    weft_buffer_append_string(text, exchange->method);
    weft_buffer_append_char(text, ' ');
    weft_buffer_append(text, url->target, url->target_len);
    weft_buffer_append_string(text, " HTTP/1.1\r\n");
    if (!has_fields || !has_field(exchange, "Host")) {
        weft_buffer_append_string(text, "Host: ");
        weft_buffer_append(text, url->authority, url->authority_len);
        weft_buffer_append(text, "\r\n", 2);
    }
    if (*wire->options->user_agent && (!has_fields || !has_field(exchange, "User-Agent")))
        append_line(text, "User-Agent", wire->options->user_agent);
    if (!has_fields || !has_field(exchange, "Accept"))
        weft_buffer_append_string(text, "Accept: */*\r\n");
    if (wire->options->pooling == WEFT_FETCH_NAIVE)
        weft_buffer_append_string(text, "Connection: close\r\n");
    for (size_t i = 0; i < exchange->fields_count; i++)
        append_line(text, exchange->fields[i].name, exchange->fields[i].value);
    if (exchange->body || weft_fetch_announces_body(exchange->method)) {
        weft_buffer_append_string(text, "Content-Length: ");
        weft_buffer_append_int(text, (int64_t)exchange->body_len);
        weft_buffer_append(text, "\r\n", 2);
    }
    weft_buffer_append(text, "\r\n", 2);
}

/* ---- one exchange on one connection ------------------------------------------------------- */

struct visit {
    struct weft_fetch_wire *wire;
    struct weft_fetch_exchange *exchange;
    struct wire_connection *connection;
    struct weft_buffer buffer; /* the answer's storage; the request goes through it, too */
    bool reused;
    int64_t sent_ns, first_ns, now_ns;
    uint64_t written;
    struct weft_http_times times;
};

static int send_request(struct visit *visit)
{
    const struct weft_fetch_exchange *exchange = visit->exchange;
    size_t written = 0;
    weft_buffer_clear(&visit->buffer);
    append_head(&visit->buffer, visit->wire, exchange);
    if (visit->buffer.err)
        return weft_fetch_fail(exchange->answer, visit->buffer.err, "the request is too large");
    const struct iovec pieces[] = {
        {.iov_base = visit->buffer.data, .iov_len = visit->buffer.len},
        /* writev does not change it. */
        {.iov_base = (void *)(uintptr_t)exchange->body, .iov_len = exchange->body_len},
    };
    visit->sent_ns = visit->now_ns;
    int err =
        exchange->body_len == 0
            ? weft_write_all(visit->connection->fd, visit->buffer.data, visit->buffer.len,
                             exchange->deadline_ns, &written)
            : weft_writev_all(visit->connection->fd, pieces, 2, exchange->deadline_ns, &written);
    visit->written = written;
    visit->exchange->sent = visit->exchange->sent || written > 0;
    return err;
}

/* How much to read at once: what is known to come, within bounds. */
static size_t read_size(const struct weft_fetch_wire_response *response)
{
    if (!response->head_ended || (response->parser.flags & F_CHUNKED))
        return response->body_bytes > READ_BYTES ? READ_MAX / 4 : READ_BYTES;
    uint64_t rest = response->parser.content_length; /* llhttp counts it down */
    return rest < READ_BYTES ? READ_BYTES : rest > READ_MAX ? READ_MAX : (size_t)rest;
}

/* A read that finds bytes does not look at its deadline, so that is done here. */
static int read_response(struct visit *visit)
{
    struct weft_fetch_exchange *exchange = visit->exchange;
    struct weft_fetch_wire_response *response = &visit->connection->response;
    weft_buffer_clear(&visit->buffer);
    /* What a response is that of comes first (engine.h). */
    weft_buffer_append(&visit->buffer, exchange->url, strlen(exchange->url) + 1);
    if (visit->buffer.err)
        return visit->buffer.err;
    weft_fetch_wire_response_begin(response, &visit->buffer, strcmp(exchange->method, "HEAD") == 0,
                                   exchange->keeps_body, exchange->body_max);
    for (;;) {
        size_t room = read_size(response);
        char *to = weft_fetch_wire_response_room(response, room);
        if (!to)
            return visit->buffer.err;
        ssize_t len = weft_read(visit->connection->fd, to, room, exchange->deadline_ns);
        visit->now_ns = weft_now();
        if (len < 0)
            return (int)len;
        if (visit->first_ns == 0)
            visit->first_ns = visit->now_ns;
        int err = weft_fetch_wire_response_feed(response, (size_t)len);
        if (err)
            return weft_fetch_fail(exchange->answer, err, response->why);
        if (response->complete)
            return 0;
        if (visit->now_ns >= exchange->deadline_ns)
            return -ETIMEDOUT;
    }
}

static int talk(struct visit *visit)
{
    int sent = send_request(visit);
    int err = sent;
    /* A server may answer, 413 say, and close before it has read everything. */
    if (sent == 0 || (visit->written > 0 && (sent == -EPIPE || sent == -ECONNRESET)))
        err = read_response(visit);
    if (sent)
        visit->connection->response.keep_alive = false;
    if (err == -ETIMEDOUT)
        return weft_fetch_fail(visit->exchange->answer, err, "no whole response in time");
    return err ? weft_fetch_fail(visit->exchange->answer, err, weft_strerror(err)) : 0;
}

static void fill_response(struct visit *visit)
{
    const struct weft_fetch_wire_response *read = &visit->connection->response;
    struct weft_buffer *buffer = &visit->buffer;
    struct weft_http_response *response = &visit->exchange->answer->response;
    buffer->data[buffer->len] = '\0'; /* for who takes the body as text; a buffer has room for it */
    *response = (struct weft_http_response){
        .status = read->parser.status_code,
        .http_version = read->parser.http_major * 10 + read->parser.http_minor,
        .body = buffer->data + read->body_at,
        .body_len = buffer->len - read->body_at,
        .url = buffer->data,
        .connections = !visit->reused,
        .bytes_sent = visit->written,
        .bytes_received = read->received,
        .times = visit->times,
        .storage = buffer->data,
        .fields_at = read->fields_at,
        .fields_len = read->body_at - read->fields_at,
    };
    visit->exchange->body_bytes = read->body_bytes;
}

/* A connection was closed, or broke, before a byte of the response came: the server may just have
 * been tired of it. Safe for who can be asked twice: RFC 9110, 9.2.2. */
static bool was_stale(const struct visit *visit, int err)
{
    return visit->reused && (err == -ECONNRESET || err == -EPIPE) &&
           (visit->written == 0 ||
            (visit->exchange->is_idempotent && visit->connection->response.received == 0));
}

static void end_visit(struct visit *visit, int err)
{
    struct weft_fetch_wire *wire = visit->wire;
    struct wire_connection *connection = visit->connection;
    if (err == 0 && connection->response.keep_alive && wire->options->pooling != WEFT_FETCH_NAIVE)
        put_back(wire, connection, visit->now_ns);
    else
        drop(wire, connection);
}

/* Returns 0 with visit->connection set. */
static int get_connection(struct visit *visit, struct wire_origin *origin, bool fresh)
{
    visit->connection = fresh ? NULL : take_idle(visit->wire, origin, visit->exchange);
    visit->reused = visit->connection;
    if (visit->connection)
        return 0;
    int err =
        make_connection(visit->wire, origin, visit->exchange, &visit->times, &visit->connection);
    visit->now_ns = weft_now();
    return err;
}

static int travel(struct visit *visit, struct wire_origin *origin)
{
    for (bool fresh = false;; fresh = true) {
        int err = get_connection(visit, origin, fresh);
        if (err)
            return err;
        visit->connection->response.received = 0;
        visit->connection->response.keep_alive = false;
        err = talk(visit);
        if (!fresh && was_stale(visit, err)) {
            visit->exchange->answer->error[0] = '\0';
            visit->exchange->sent = false;
            visit->first_ns = 0;
            end_visit(visit, err);
            continue;
        }
        if (visit->first_ns > 0)
            visit->times.first_byte_ns = visit->first_ns - visit->sent_ns;
        if (err == 0)
            fill_response(visit);
        end_visit(visit, err);
        return err;
    }
}

int weft_fetch_wire_exchange(struct weft_fetch_wire *wire, struct weft_fetch_exchange *exchange)
{
    struct weft_fetch_answer *answer = exchange->answer;
    struct visit visit = {.wire = wire, .exchange = exchange, .now_ns = exchange->begun_ns};
    struct wire_origin *origin = origin_of(wire, exchange->parts);
    if (!origin)
        return weft_fetch_fail(answer, -ENOMEM, weft_strerror(-ENOMEM));
    origin->connections++; /* it stays until we leave */
    weft_fetch_storage_take(answer, &visit.buffer, exchange->body_max + STORAGE_EXTRA);
    int err = travel(&visit, origin);
    weft_fetch_storage_give(answer, &visit.buffer);
    if (err)
        answer->response.times = visit.times;
    leave_origin(wire, origin);
    exchange->ended_ns = err ? weft_now() : visit.now_ns;
    return err;
}

bool weft_fetch_wire_can(const struct weft_fetcher_options *options,
                         const struct weft_fetch_exchange *exchange)
{
    const struct weft_fetch_url *url = exchange->parts;
    if (url->secure || url->has_user || !url->is_plain || options->curl_only ||
        options->refuse_private || options->proxy || options->proxy_of_environment)
        return false;
    for (const char *at = url->host; *at; at++) {
        if ((unsigned char)*at >= 0x80)
            return false;
    }
    return true;
}

/* ---- open and close ----------------------------------------------------------------------- */

int weft_fetch_wire_open(struct weft_fetch_wire **ret_wire,
                         const struct weft_fetcher_options *options)
{
    struct weft_fetch_wire *wire = calloc(1, sizeof *wire);
    if (!wire)
        return -ENOMEM;
    wire->options = options;
    wire->idle_max = options->concurrency;
    weft_list_init(&wire->idle);
    int err = weft_table_init(&wire->origins);
    if (err) {
        free(wire);
        return err;
    }
    *ret_wire = wire;
    return 0;
}

void weft_fetch_wire_close(struct weft_fetch_wire *wire)
{
    if (!wire)
        return;
    wire->idle_max = 0;
    while (!weft_list_empty(&wire->idle))
        tidy(wire, WEFT_FOREVER);
    weft_table_deinit(&wire->origins);
    free(wire);
}
