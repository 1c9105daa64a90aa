/* SPDX-License-Identifier: MIT
 * stream.c - replies that go out while their handler runs, whole or in pieces, and the end of
 * whoever takes them. See weft/http_server.h.
 *
 * A piece goes out at once, from the caller's memory. HTTP/1.1 frames it as a chunk; in HTTP/1.0
 * the end of the connection is the end of the reply. */
#include <http/connection.h>
#include <http/stream.h>

#include <os/clock.h>
#include <runtime/fd_table.h>

#include <weft/io.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

static bool is_chunked(const struct weft_http_exchange *exchange)
{
    return exchange->request->version_minor > 0;
}

/* A reply to HEAD: nobody takes the pieces. */
static bool is_hidden(const struct weft_http_exchange *exchange)
{
    return exchange->request->method == HTTP_HEAD;
}

/* What came of sending. Where a piece may have gone out in part, nothing can follow it. */
static int sent(struct weft_http_exchange *exchange, int err, size_t written)
{
    if (err == -ECONNRESET)
        err = -EPIPE;
    if (err && (err != -ECANCELED || written > 0))
        exchange->failure = err;
    return err;
}

int weft_http_stream_begin(struct weft_http_exchange *exchange, int status,
                           const char *content_type)
{
    if (exchange->status)
        return -EALREADY;
    if (status < 200 || status > 599 || status == 204 || status == 205 || status == 304)
        return -EINVAL;
    if (exchange->fields.err)
        return exchange->fields.err;
    struct weft_http_reply_head head;
    bool close = exchange->close;
    exchange->close = close || !is_chunked(exchange);
    weft_http_exchange_head(exchange, status, content_type, &head);
    int err = weft_http_reply_append_open(exchange->out, &head, is_chunked(exchange));
    if (err) {
        exchange->close = close;
        return err;
    }
    exchange->status = status;
    exchange->stream = WEFT_HTTP_STREAM_OPEN;
    return sent(exchange, weft_http_connection_flush(exchange->connection), 1);
}

/* "1f CR LF" before a chunk. Returns its length. */
static size_t put_chunk_size(char line[sizeof(size_t) * 2 + 2], size_t len)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = 1;
    for (size_t rest = len >> 4; rest > 0; rest >>= 4)
        count++;
    for (size_t i = count; i > 0; i--, len >>= 4)
        line[i - 1] = digits[len & 15];
    line[count] = '\r';
    line[count + 1] = '\n';
    return count + 2;
}

int weft_http_stream_write(struct weft_http_exchange *exchange, const void *data, size_t len)
{
    char size[sizeof len * 2 + 2], end[2] = {'\r', '\n'};
    size_t written = 0;
    if (exchange->stream != WEFT_HTTP_STREAM_OPEN)
        return -EINVAL;
    if (exchange->failure || is_hidden(exchange))
        return exchange->failure ? exchange->failure : -EPIPE;
    if (len == 0)
        return 0; /* an empty chunk would end the reply */
    struct iovec pieces[3] = {
        {size, put_chunk_size(size, len)}, {.iov_len = len}, {end, sizeof end}};
    memcpy(&pieces[1].iov_base, &data, sizeof data); /* writing changes nothing */
    bool chunked = is_chunked(exchange);
    int err = weft_http_connection_send(exchange->connection, chunked ? pieces : &pieces[1],
                                        chunked ? 3 : 1, &written);
    return sent(exchange, err, written);
}

int weft_http_stream_end(struct weft_http_exchange *exchange)
{
    char last[5] = {'0', '\r', '\n', '\r', '\n'};
    const struct iovec piece = {last, sizeof last};
    size_t written = 0;
    int err = 0;
    if (exchange->stream != WEFT_HTTP_STREAM_OPEN)
        return -EINVAL;
    if (exchange->failure)
        return exchange->failure;
    if (is_chunked(exchange) && !is_hidden(exchange))
        err = weft_http_connection_send(exchange->connection, &piece, 1, &written);
    if (!err)
        exchange->stream = WEFT_HTTP_STREAM_ENDED;
    return sent(exchange, err, written);
}

void weft_http_stream_leave(struct weft_http_exchange *exchange)
{
    if (exchange->stream != WEFT_HTTP_STREAM_OPEN || (is_hidden(exchange) && !exchange->failure))
        return;
    if (!exchange->failure)
        exchange->failure = -EPIPE;
    /* Without chunks a plain end of the connection would be the reply's own. */
    exchange->connection->reset = !is_chunked(exchange);
}

int weft_http_reply_send(struct weft_http_exchange *exchange)
{
    if (!exchange->status || exchange->stream)
        return -EINVAL;
    if (exchange->failure)
        return exchange->failure;
    int err = sent(exchange, weft_http_connection_flush(exchange->connection), 1);
    return err ? err : exchange->spoiled;
}

/* ---- the end of it all ------------------------------------------------------------------ */

static bool nobody_takes_more(const struct weft_http_exchange *exchange)
{
    return exchange->failure || (exchange->stream && is_hidden(exchange));
}

int weft_http_gone(const struct weft_http_exchange *exchange)
{
    return nobody_takes_more(exchange) || weft_fd_level(exchange->connection->fd, WEFT_HANGUP) == 0;
}

struct weft_case weft_http_case_gone(const struct weft_http_exchange *exchange)
{
    return nobody_takes_more(exchange) ? weft_case_timer(0)
                                       : weft_case_fd(exchange->connection->fd, WEFT_HANGUP);
}

int weft_http_draining(const struct weft_http_exchange *exchange)
{
    return *exchange->draining;
}

struct weft_case weft_http_case_drain(const struct weft_http_exchange *exchange)
{
    return weft_case_event(&exchange->connection->server->drained);
}
