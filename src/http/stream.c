/* SPDX-License-Identifier: MIT
 * stream.c - replies that go out while their handler runs, whole or in pieces, and the end of
 * whoever takes them. See weft/http_server.h.
 *
 * A piece goes out at once, from the caller's memory. HTTP/1.1 frames it as a chunk, unless the
 * length is known; in HTTP/1.0 the end of the connection is the end of the reply then. */
#include <http/connection.h>
#include <http/stream.h>

#include <os/clock.h>
#include <runtime/fd_table.h>

#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

static bool is_chunked(const struct weft_http_exchange *exchange)
{
    return exchange->framing == WEFT_HTTP_CHUNKED;
}

/* A reply to HEAD: nobody takes the pieces. */
static bool is_hidden(const struct weft_http_exchange *exchange)
{
    return exchange->request->method == HTTP_HEAD && !exchange->raw;
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

void weft_http_stream_length(struct weft_http_exchange *exchange, uint64_t len)
{
    if (exchange->status)
        return;
    exchange->framing = WEFT_HTTP_SIZED;
    exchange->left = len;
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
    if (exchange->framing != WEFT_HTTP_SIZED)
        exchange->framing =
            exchange->request->version_minor > 0 ? WEFT_HTTP_CHUNKED : WEFT_HTTP_UNTIL_CLOSE;
    exchange->close = close || exchange->framing == WEFT_HTTP_UNTIL_CLOSE;
    weft_http_exchange_head(exchange, status, content_type, &head);
    int err = weft_http_reply_append_open(exchange->out, &head, exchange->framing, exchange->left);
    if (err) {
        exchange->close = close;
        return err;
    }
    exchange->status = status;
    exchange->stream = WEFT_HTTP_STREAM_OPEN;
    return sent(exchange, weft_http_connection_flush(exchange->connection), 1);
}

int weft_http_stream_raw(struct weft_http_exchange *exchange)
{
    if (exchange->status)
        return -EALREADY;
    exchange->status = 200; /* there is an answer, whatever it says */
    exchange->stream = WEFT_HTTP_STREAM_OPEN;
    exchange->framing = WEFT_HTTP_UNTIL_CLOSE;
    exchange->raw = exchange->close = true;
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
    if (exchange->framing == WEFT_HTTP_SIZED && len > exchange->left)
        return -EMSGSIZE;
    struct iovec pieces[3] = {
        {size, put_chunk_size(size, len)}, {.iov_len = len}, {end, sizeof end}};
    memcpy(&pieces[1].iov_base, &data, sizeof data); /* writing changes nothing */
    bool chunked = is_chunked(exchange);
    int err = weft_http_connection_send(exchange->connection, chunked ? pieces : &pieces[1],
                                        chunked ? 3 : 1, &written);
    if (exchange->framing == WEFT_HTTP_SIZED && !err)
        exchange->left -= len;
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
    if (exchange->framing == WEFT_HTTP_SIZED && exchange->left > 0 && !is_hidden(exchange))
        return -EMSGSIZE;
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
    /* Without chunks and length a plain end of the connection would be the reply's own. */
    exchange->connection->reset = exchange->framing == WEFT_HTTP_UNTIL_CLOSE;
}

int weft_http_hang_up(struct weft_http_exchange *exchange, int reset)
{
    if (exchange->status && !exchange->stream)
        return -EALREADY;
    int err = exchange->failure;
    if (!err)
        err = sent(exchange, weft_http_connection_flush(exchange->connection), 1);
    if (!exchange->status)
        exchange->status = 500; /* nobody is going to see it: it keeps others from replying */
    exchange->stream = WEFT_HTTP_STREAM_ENDED;
    exchange->failure = err ? err : -ECONNABORTED;
    exchange->connection->reset = reset != 0;
    return err;
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

int weft_http_peer(const struct weft_http_exchange *exchange, struct weft_address *ret_peer)
{
    struct weft_address peer = {.len = sizeof peer.storage};
    if (getpeername(exchange->connection->fd, (struct sockaddr *)&peer.storage, &peer.len) < 0)
        return -ENOTCONN;
    *ret_peer = peer;
    return 0;
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
