/* SPDX-License-Identifier: MIT
 * client_await.c - the fiber of a request that is under way: it waits, carries bodies between
 * libcurl and the caller, and looks at the clock. Read it from the bottom.
 *
 * Nothing wakes it when a time begins to count. It looks again when the shortest of them might be
 * over, and then sees which have begun; so a request that goes well costs one timer. */
#include <base/time.h>
#include <http/client_journey.h>
#include <runtime/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES ((size_t)64 << 10)

static int fail(struct weft_http_journey *journey, int err, const char *why)
{
    return weft_http_journey_fail(journey, err, why);
}

/* ---- times -------------------------------------------------------------------------------- */

static int64_t sooner(int64_t one_ns, int64_t other_ns)
{
    return one_ns < other_ns ? one_ns : other_ns;
}

/* The shortest time that may begin to count without being told of it. */
static int64_t shortest(const struct weft_http_client_options *options)
{
    int64_t least_ns = options->connect_timeout_ns;
    if (options->tls_timeout_ns > 0)
        least_ns = sooner(least_ns, options->tls_timeout_ns);
    if (options->first_byte_timeout_ns > 0)
        least_ns = sooner(least_ns, options->first_byte_timeout_ns);
    if (options->stall_timeout_ns > 0)
        least_ns = sooner(least_ns, options->stall_timeout_ns);
    return least_ns;
}

/* After the connection is there nothing begins to count but these. */
static bool watches_responses(const struct weft_http_client_options *options)
{
    return options->first_byte_timeout_ns > 0 || options->stall_timeout_ns > 0;
}

static bool is_connecting(const struct weft_http_transfer *transfer)
{
    return transfer->stage == WEFT_HTTP_RUNNING && !transfer->connected &&
           transfer->connect_by_ns > 0;
}

static bool is_under_way(const struct weft_http_transfer *transfer)
{
    return transfer->stage == WEFT_HTTP_RUNNING && transfer->connected;
}

/* Some of the request's body is left to send. */
static bool is_sending(const struct weft_http_transfer *transfer)
{
    const struct weft_http_question *question = &transfer->question;
    if (question->gives)
        return !transfer->given_all || transfer->given_len > 0;
    return weft_http_gives_body(transfer) && transfer->taken < question->body_len;
}

/* Since when the answer is waited for; 0: it is not. */
static int64_t waits_since(const struct weft_http_transfer *transfer)
{
    if (!is_under_way(transfer) || transfer->status != 0 || is_sending(transfer))
        return 0;
    return transfer->sent_at_ns > transfer->asked_at_ns ? transfer->sent_at_ns
                                                        : transfer->asked_at_ns;
}

static int64_t tls_by(const struct weft_http_journey *journey)
{
    const struct weft_http_transfer *transfer = journey->transfer;
    int64_t timeout_ns = journey->engine->options.tls_timeout_ns;
    bool counts = timeout_ns > 0 && is_connecting(transfer) && transfer->tls_at_ns > 0;
    return counts ? weft_time_after(transfer->tls_at_ns, timeout_ns) : WEFT_FOREVER;
}

static int64_t first_byte_by(const struct weft_http_journey *journey)
{
    int64_t timeout_ns = journey->engine->options.first_byte_timeout_ns;
    int64_t since_ns = timeout_ns > 0 ? waits_since(journey->transfer) : 0;
    return since_ns > 0 ? weft_time_after(since_ns, timeout_ns) : WEFT_FOREVER;
}

static int64_t stall_by(const struct weft_http_journey *journey)
{
    int64_t timeout_ns = journey->engine->options.stall_timeout_ns;
    bool counts = timeout_ns > 0 && journey->window_at_ns > 0;
    return counts ? weft_time_after(journey->window_at_ns, timeout_ns) : WEFT_FOREVER;
}

/* Until when to wait before having a look at the time. */
static int64_t next_look(const struct weft_http_journey *journey)
{
    const struct weft_http_transfer *transfer = journey->transfer;
    int64_t at_ns = sooner(journey->look_ns, journey->deadline_ns);
    if (is_connecting(transfer))
        at_ns = sooner(at_ns, transfer->connect_by_ns);
    at_ns = sooner(at_ns, tls_by(journey));
    at_ns = sooner(at_ns, first_byte_by(journey));
    return sooner(at_ns, stall_by(journey));
}

/* See whether bytes come and go, from now on. */
static void open_window(struct weft_http_journey *journey, int64_t now_ns)
{
    journey->window_at_ns = now_ns;
    journey->window_moved = journey->transfer->moved;
}

static bool has_stalled(struct weft_http_journey *journey, int64_t now_ns)
{
    const struct weft_http_client_options *options = &journey->engine->options;
    const struct weft_http_transfer *transfer = journey->transfer;
    bool moves = is_under_way(transfer) && (transfer->status != 0 || is_sending(transfer));
    if (options->stall_timeout_ns == 0 || !moves) {
        journey->window_at_ns = 0;
        return false;
    }
    bool over = now_ns >= stall_by(journey);
    if (over && transfer->moved - journey->window_moved < options->stall_bytes)
        return true;
    if (over || journey->window_at_ns == 0)
        open_window(journey, now_ns);
    return false;
}

void weft_http_journey_watch(struct weft_http_journey *journey, int64_t now_ns)
{
    journey->look_ns = weft_time_after(now_ns, shortest(&journey->engine->options));
}

/* A time is over: which? Returns 0 when it does not matter. */
static int check_time(struct weft_http_journey *journey)
{
    const struct weft_http_client_options *options = &journey->engine->options;
    struct weft_http_transfer *transfer = journey->transfer;
    const char *why = NULL;
    int64_t now_ns = weft_now();
    if (now_ns >= journey->deadline_ns)
        why = "no whole response in time";
    else if (is_connecting(transfer) && now_ns >= transfer->connect_by_ns)
        why = "no connection in time";
    else if (now_ns >= tls_by(journey))
        why = "no TLS in time";
    else if (now_ns >= first_byte_by(journey))
        why = "no answer in time";
    else if (has_stalled(journey, now_ns))
        why = "nothing, or too little, has come or gone for too long";
    weft_http_journey_watch(journey, now_ns);
    if (is_under_way(transfer) && !watches_responses(options))
        journey->look_ns = WEFT_FOREVER; /* nothing begins to count any more */
    transfer->late = why != NULL;
    return why ? fail(journey, -ETIMEDOUT, why) : 0;
}

/* What the caller's functions take is not the server's time. */
static void after_call(struct weft_http_journey *journey)
{
    if (journey->window_at_ns > 0)
        open_window(journey, weft_now());
}

/* ---- the response ------------------------------------------------------------------------- */

/* Whether it is there, and the response that the caller gets. */
static bool has_head(const struct weft_http_transfer *transfer)
{
    return transfer->head_ended && transfer->status >= 200 && !transfer->discards;
}

int weft_http_journey_tell_head(struct weft_http_journey *journey)
{
    const struct weft_http_transfer *transfer = journey->transfer;
    const struct weft_http_request *request = journey->request;
    if (journey->told_head || !request->on_head)
        return 0;
    struct weft_http_response head = {
        .status = transfer->status,
        .http_version = transfer->version,
        .body = "",
        .url = transfer->reply.data,
        .redirects = journey->response->redirects,
        .storage = transfer->reply.data,
        .fields_at = transfer->fields_at,
        .fields_len = transfer->fields_len,
    };
    journey->told_head = true;
    int err = request->on_head(request->on_body_context, &head);
    after_call(journey);
    return err < 0 ? fail(journey, err, "the caller did not want the response") : 0;
}

/* A piece of the body for the caller, who may suspend: meanwhile others come into another buffer.
 */
static int deliver(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    struct weft_buffer piece = transfer->pieces;
    weft_buffer_init(&transfer->pieces, piece.len_max);
    if (transfer->paused) {
        transfer->paused = false;
        weft_http_engine_resume(transfer);
    }
    int err = journey->request->on_body(journey->request->on_body_context, piece.data, piece.len);
    after_call(journey);
    if (transfer->pieces.data) {
        weft_buffer_deinit(&piece);
    } else {
        weft_buffer_clear(&piece);
        transfer->pieces = piece;
    }
    return err < 0 ? fail(journey, err, "the caller did not want the body") : 0;
}

/* ---- the request's body ------------------------------------------------------------------- */

/* Once libcurl has begun to ask for it. */
static bool wants_piece(const struct weft_http_journey *journey)
{
    const struct weft_http_transfer *transfer = journey->transfer;
    bool asked = transfer->stage == WEFT_HTTP_RUNNING && transfer->wants_body;
    return transfer->question.gives && asked && !journey->next_filled && !journey->at_end;
}

static int fetch_piece(struct weft_http_journey *journey)
{
    const struct weft_http_request *request = journey->request;
    uint64_t left = request->body_len - journey->produced;
    size_t room = request->body_len > 0 && left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    char **piece = &journey->pieces[journey->next];
    if (!*piece && !(*piece = malloc(PIECE_BYTES)))
        return fail(journey, -ENOMEM, weft_strerror(-ENOMEM));
    ssize_t len = request->on_read(request->on_read_context, *piece, room);
    after_call(journey);
    if (len < 0)
        return fail(journey, (int)len, "the caller could not give the body");
    if ((size_t)len > room)
        return fail(journey, -EINVAL, "on_read has given more than there was room for");
    journey->produced += (uint64_t)len;
    journey->at_end = len == 0 || (request->body_len > 0 && journey->produced == request->body_len);
    if (len == 0 && journey->produced < request->body_len)
        return fail(journey, -EINVAL, "the body has ended before its announced length");
    journey->next_len = (size_t)len;
    journey->next_filled = true;
    return 0;
}

/* libcurl has taken the one before, if there was one: it may have the next. */
static void hand_over(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    if (!journey->next_filled || transfer->given_len > 0)
        return;
    transfer->given = journey->pieces[journey->next];
    transfer->given_len = journey->next_len;
    transfer->given_all = journey->at_end;
    journey->next = !journey->next;
    journey->next_filled = false;
    if (!transfer->starved)
        return;
    transfer->starved = false;
    weft_http_engine_resume(transfer);
}

int weft_http_journey_rewind(struct weft_http_journey *journey)
{
    const struct weft_http_request *request = journey->request;
    int err = 0;
    if (journey->produced == 0 && !journey->at_end)
        return 0;
    if (!request->on_rewind)
        return fail(journey, -ESPIPE, "the body would have to be sent again");
    err = request->on_rewind(request->on_read_context);
    if (err < 0)
        return fail(journey, err, "the caller could not give the body again");
    journey->produced = 0;
    journey->at_end = journey->next_filled = false;
    return 0;
}

/* ---- one attempt -------------------------------------------------------------------------- */

/* What there is to do for the caller before waiting. Returns 1: something was done; 0; negative */
static int serve_caller(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    int err = 0;
    if (transfer->question.wants_head && !journey->told_head && has_head(transfer))
        err = weft_http_journey_tell_head(journey);
    else if (transfer->pieces.len > 0)
        err = deliver(journey);
    else if (transfer->stage == WEFT_HTTP_ENDED || !transfer->question.gives)
        return 0;
    else if (wants_piece(journey))
        err = fetch_piece(journey);
    else
        return 0;
    return err < 0 ? err : 1;
}

static int await(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    int err = 0;
    while (err >= 0) {
        err = serve_caller(journey);
        hand_over(journey);
        if (err != 0)
            continue;
        if (transfer->stage == WEFT_HTTP_ENDED)
            return 0;
        err = weft_http_transfer_park(transfer, next_look(journey), WEFT_PARK_CANCELLABLE);
        if (err == -ETIMEDOUT)
            err = check_time(journey);
        if (transfer->stage == WEFT_HTTP_ENDED) /* in the same moment: then it has happened */
            err = 0;
    }
    weft_http_engine_stop(transfer);
    return err;
}

int weft_http_journey_attempt(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    journey->window_at_ns = 0;
    int err = weft_http_engine_submit(transfer);
    if (err < 0)
        return fail(journey, err, weft_strerror(err));
    err = await(journey);
    if (err < 0)
        return fail(journey, err, weft_strerror(err));
    if (transfer->result < 0)
        return fail(journey, transfer->result,
                    transfer->why ? transfer->why : weft_strerror(transfer->result));
    return transfer->result;
}
