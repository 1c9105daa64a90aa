/* SPDX-License-Identifier: MIT
 * client_body.c - what comes and goes, as libcurl hands it over: heads, and bodies both ways. In
 * the scheduler; the fiber's side is client_await.c. */
#include <http/client_internal.h>

#include <errno.h>
#include <string.h>

#define HEAD_BYTES_MAX   ((size_t)64 << 10)
#define PIECES_BYTES_MAX ((size_t)64 << 10)
#define RATIO_SPARE      ((uint64_t)16 << 10) /* what libcurl has taken and not counted yet */
#define PROGRESS_BYTES   ((size_t)64 << 10)   /* a body in memory that it matters to see moving */

static size_t refuse(struct weft_http_transfer *transfer, int failure, const char *why)
{
    transfer->failure = failure;
    transfer->why = why;
    return 0; /* fewer bytes than there were: libcurl gives up */
}

/* ---- heads -------------------------------------------------------------------------------- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The first line has come. */
static void note_answer(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    if (transfer->asked_at_ns > 0 && transfer->answered_at_ns == 0)
        transfer->answered_at_ns = weft_worker_now(engine->worker);
    if (engine->options.http2)
        weft_http_queue_learn(&engine->queue, transfer->place.host,
                              transfer->version >= 20 ? WEFT_HTTP_SHARING_STREAMS
                                                      : WEFT_HTTP_SHARING_NONE);
}

static size_t end_head(struct weft_http_transfer *transfer, size_t len)
{
    const struct weft_http_question *question = &transfer->question;
    transfer->discards =
        question->may_follow && transfer->has_location && is_redirect(transfer->status);
    if (transfer->encodings > 1 && !transfer->discards)
        return refuse(transfer, -EPROTO, "the body of the response is encoded more than once");
    /* The reply stays where it is from here on: the fiber may look at it. */
    if (question->streams)
        (void)weft_buffer_reserve(&transfer->reply, 1);
    if (question->wants_head)
        weft_http_transfer_news(transfer);
    return len;
}

size_t weft_http_take_head(char *line, size_t size, size_t len, void *arg)
{
    struct weft_http_transfer *transfer = arg;
    (void)size;
    bool was_ended = transfer->head_ended;
    int status = transfer->status;
    transfer->moved += len;
    weft_http_head_line(transfer, line, len);
    if (transfer->reply.err || transfer->fields_len > HEAD_BYTES_MAX)
        return refuse(transfer, transfer->reply.err ? transfer->reply.err : -EMSGSIZE,
                      "the head of the response is larger than 64 KiB");
    if (transfer->status != status)
        note_answer(transfer);
    bool ends = transfer->head_ended && !was_ended && transfer->status >= 200;
    return ends ? end_head(transfer, len) : len;
}

/* ---- the response's body ------------------------------------------------------------------ */

/* Room for all of a body that says how long it is, or libcurl's copy would be moved many times. */
static void begin_body(struct weft_http_transfer *transfer)
{
    curl_off_t len = -1;
    if (transfer->discards || transfer->question.streams)
        return;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
    if (len > 0 && (uint64_t)len <= transfer->question.body_max)
        (void)weft_buffer_reserve(&transfer->reply, (size_t)len + 1);
}

/* Whether it has become larger by decoding than anything honest does. */
static bool is_bomb(const struct weft_http_transfer *transfer, size_t len)
{
    curl_off_t came = 0;
    if (transfer->encodings == 0)
        return false;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &came);
    uint64_t most = ((uint64_t)came + RATIO_SPARE) * transfer->engine->options.ratio_max;
    return transfer->body_bytes + len > most;
}

size_t weft_http_take_body(char *bytes, size_t size, size_t len, void *arg)
{
    struct weft_http_transfer *transfer = arg;
    const struct weft_http_question *question = &transfer->question;
    (void)size;
    if (transfer->body_bytes == 0)
        begin_body(transfer);
    if (transfer->body_bytes + len > question->body_max)
        return refuse(transfer, -EMSGSIZE, "the body of the response is too large");
    if (is_bomb(transfer, len))
        return refuse(transfer, -EMSGSIZE,
                      "the body of the response becomes too large by being decoded");
    bool piecewise = question->streams && !transfer->discards;
    struct weft_buffer *target = piecewise ? &transfer->pieces : &transfer->reply;
    if (piecewise && target->len > 0 && target->len + len > PIECES_BYTES_MAX) {
        transfer->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    transfer->body_bytes += len;
    transfer->moved += len;
    if (transfer->discards)
        return len;
    weft_buffer_append(target, bytes, len);
    if (target->err)
        return refuse(transfer, target->err, "no memory for the response");
    if (piecewise)
        weft_http_transfer_news(transfer);
    return len;
}

/* ---- the request's body ------------------------------------------------------------------- */

bool weft_http_gives_body(const struct weft_http_transfer *transfer)
{
    const struct weft_http_question *question = &transfer->question;
    bool watched = transfer->engine->options.stall_timeout_ns > 0;
    return question->gives || (question->body && watched && question->body_len > PROGRESS_BYTES);
}

static size_t take_some(struct weft_http_transfer *transfer, char *bytes, size_t room)
{
    const struct weft_http_question *question = &transfer->question;
    size_t len;
    if (question->body) {
        len = question->body_len - (size_t)transfer->taken;
        len = len < room ? len : room;
        memcpy(bytes, (const char *)question->body + transfer->taken, len);
    } else {
        len = transfer->given_len < room ? transfer->given_len : room;
        memcpy(bytes, transfer->given, len);
        transfer->given += len;
        transfer->given_len -= len;
    }
    return len;
}

size_t weft_http_give_body(char *bytes, size_t size, size_t len, void *arg)
{
    struct weft_http_transfer *transfer = arg;
    const struct weft_http_question *question = &transfer->question;
    transfer->wants_body = true;
    if (!question->body && transfer->given_len == 0 && !transfer->given_all) {
        transfer->starved = true;
        weft_http_transfer_news(transfer);
        return CURL_READFUNC_PAUSE;
    }
    size_t count = size * len > 0 && (question->body || transfer->given_len > 0)
                       ? take_some(transfer, bytes, size * len)
                       : 0;
    transfer->taken += count;
    transfer->moved += count;
    if (transfer->asked_at_ns > 0)
        transfer->sent_at_ns = weft_worker_now(transfer->engine->worker);
    if (!question->body && transfer->given_len == 0 && !transfer->given_all)
        weft_http_transfer_news(transfer); /* the next piece, before libcurl asks for it */
    return count;
}

/* libcurl has found that a kept connection was closed, and begins again on another. */
int weft_http_seek_body(void *arg, curl_off_t offset, int origin)
{
    struct weft_http_transfer *transfer = arg;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_FAIL;
    if (transfer->taken == 0 || transfer->question.body) {
        transfer->taken = 0;
        return CURL_SEEKFUNC_OK;
    }
    transfer->rewinds = true;
    return CURL_SEEKFUNC_FAIL;
}
