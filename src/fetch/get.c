/* SPDX-License-Identifier: MIT
 * get.c - weft_fetcher_get. Read it from the bottom: a request has attempts (get), an attempt goes
 * through its redirects (attempt), each of which waits for its turn (wait_turn) and is then an
 * exchange of the engine (exchange). */
#include <base/buffer.h>
#include <base/time.h>
#include <fetch/fetcher.h>
#include <fetch/request.h>
#include <fetch/rules.h>

#include <weft/keyed_limiter.h>
#include <weft/retry_after.h>
#include <weft/retry_budget.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Of a large response the memory is given back: the next one may be small, and answers are many. */
#define STORAGE_KEPT ((size_t)128 << 10)

/* One weft_fetcher_get. */
struct call {
    struct weft_fetcher *fetcher;
    const struct weft_fetch_request *request;
    const struct weft_fetch_patience *patience;
    struct weft_fetch_answer *answer;
    struct weft_fetch_host *host;
    struct weft_breaker_permit permit;
    struct weft_fetch_exchange exchange; /* fields, method, body: as redirects have left them */
    struct weft_fetch_url parts;         /* of exchange.url */
    struct weft_http_field *kept;        /* fields that another server may get, on the heap */
    int64_t taken_ns, deadline_ns;
    int64_t queue_ns, latency_ns; /* of the present attempt: latency_ns */
    unsigned attempt, redirects;
    bool began; /* the present attempt has had an exchange */
    bool ever;  /* some attempt had */
};

/* ---- answers ------------------------------------------------------------------------------ */

int weft_fetch_fail(struct weft_fetch_answer *answer, int err, const char *why)
{
    if (!answer->error[0])
        (void)snprintf(answer->error, sizeof answer->error, "%s", why);
    return err;
}

void weft_fetch_answer_clear(struct weft_fetch_answer *answer)
{
    /* What our own reader has read lies in the answer's storage. */
    if (answer->response.storage == answer->storage)
        answer->response.storage = NULL;
    weft_http_response_release(&answer->response);
    if (answer->storage_bytes > STORAGE_KEPT) {
        free(answer->storage);
        answer->storage = NULL;
        answer->storage_bytes = 0;
    }
    answer->error[0] = '\0';
    answer->retry_after_ns = 0;
}

void weft_fetch_answer_release(struct weft_fetch_answer *answer)
{
    weft_fetch_answer_clear(answer);
    free(answer->storage);
    free(answer->url);
    *answer = (struct weft_fetch_answer){0};
}

void weft_fetch_storage_take(struct weft_fetch_answer *answer, struct weft_buffer *ret_buffer,
                             size_t len_max)
{
    weft_buffer_init(ret_buffer, len_max);
    ret_buffer->data = answer->storage;
    ret_buffer->capacity = answer->storage_bytes;
    answer->storage = NULL;
    answer->storage_bytes = 0;
}

void weft_fetch_storage_give(struct weft_fetch_answer *answer, struct weft_buffer *buffer)
{
    answer->storage = buffer->data;
    answer->storage_bytes = buffer->capacity;
}

bool weft_fetch_announces_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

/* ---- waiting ------------------------------------------------------------------------------ */

static void wait_begins(struct call *call)
{
    weft_fetch_count(&call->fetcher->counts.waiting_now, 1u);
    if (call->patience)
        call->patience->begin(call->patience->arg);
}

static void wait_ends(struct call *call)
{
    weft_fetch_count(&call->fetcher->counts.waiting_now, -1u);
    if (call->patience)
        call->patience->end(call->patience->arg);
}

/* Returns 0, -ECANCELED. */
static int rest_until(struct call *call, int64_t until_ns)
{
    wait_begins(call);
    int err = weft_sleep_until(until_ns);
    wait_ends(call);
    return err;
}

/* The host has asked for a pause, or its breaker says when to come back. */
static int wait_for_host(struct call *call, int64_t until_ns, int refusal)
{
    const struct weft_fetcher_options *options = &call->fetcher->options;
    int64_t now_ns = weft_now();
    int64_t last_ns = weft_time_after(call->taken_ns, options->total_timeout_ns);
    if (call->ever || call->deadline_ns < last_ns)
        last_ns = call->deadline_ns;
    if (until_ns <= now_ns)
        return 0;
    if (until_ns > last_ns)
        return refusal;
    return rest_until(call, until_ns);
}

static int wait_pause(struct call *call)
{
    int64_t until_ns = weft_fetch_host_paused(call->host);
    if (until_ns == 0)
        return 0;
    int err = wait_for_host(call, until_ns, WEFT_ELIMIT);
    return err == WEFT_ELIMIT
               ? weft_fetch_fail(call->answer, err, "the host wants to be left alone for longer")
               : err;
}

/* What a limiter refuses because the deadline comes first is late. */
static int late(struct call *call, int err)
{
    if (err == WEFT_ELIMIT || err == -ETIMEDOUT)
        return weft_fetch_fail(call->answer, -ETIMEDOUT, "its turn would come too late");
    if (err == WEFT_EFULL)
        return weft_fetch_fail(call->answer, err, "too many requests wait for their turn");
    return err;
}

static int wait_rate(struct call *call)
{
    struct weft_fetcher *fetcher = call->fetcher;
    const struct weft_fetch_host *host = call->host;
    int err = 0;
    if (fetcher->rate && (err = weft_limiter_try(fetcher->rate, 1)) == -EAGAIN) {
        wait_begins(call);
        err = weft_limiter_acquire(fetcher->rate, 1, call->deadline_ns);
        wait_ends(call);
    }
    if (err == 0 && fetcher->host_rate &&
        (err = weft_keyed_limiter_try(
             fetcher->host_rate, host->origin,
             host->origin_len < WEFT_KEY_MAX ? host->origin_len : WEFT_KEY_MAX, 1)) == -EAGAIN) {
        wait_begins(call);
        err = weft_keyed_limiter_acquire(fetcher->host_rate, host->origin,
                                         host->origin_len < WEFT_KEY_MAX ? host->origin_len
                                                                         : WEFT_KEY_MAX,
                                         1, call->deadline_ns);
        wait_ends(call);
    }
    return late(call, err);
}

static int enter_breaker(struct call *call)
{
    struct weft_fetcher *fetcher = call->fetcher;
    struct weft_breaker *breaker = call->host->breaker;
    for (;;) {
        int err = breaker ? weft_breaker_enter(breaker, &call->permit) : 0;
        if (err != WEFT_EOPEN)
            return err;
        /* 0: probes are out; how long they take nobody knows. */
        int64_t wait_ns = call->permit.retry_after_ns ? call->permit.retry_after_ns : WEFT_SEC;
        int64_t until_ns = weft_time_after(weft_now(), wait_ns);
        if (fetcher->options.breaker_waits)
            err = wait_for_host(call, until_ns, WEFT_EOPEN);
        if (err) {
            weft_fetch_count(&fetcher->counts.breaker_refused, 1);
            return err == WEFT_EOPEN ? weft_fetch_fail(call->answer, err,
                                                       "the host keeps failing: not asked for now")
                                     : err;
        }
    }
}

static void leave_breaker(struct call *call, enum weft_breaker_verdict verdict)
{
    static const int results[] = {
        [WEFT_BREAKER_SUCCESS] = 0,
        [WEFT_BREAKER_FAILURE] = -EIO,
        [WEFT_BREAKER_IGNORED] = -ECANCELED,
    };
    if (call->host->breaker)
        (void)weft_breaker_leave(call->host->breaker, &call->permit, results[verdict]);
}

static int take_place(struct call *call, struct weft_semaphore *places)
{
    int err = weft_semaphore_acquire(places, 1, WEFT_NOWAIT);
    if (err != -EAGAIN)
        return err;
    wait_begins(call);
    err = weft_semaphore_acquire(places, 1, call->deadline_ns);
    wait_ends(call);
    return late(call, err);
}

static void leave_host_place(struct call *call)
{
    if (call->fetcher->hosts.places > 0)
        (void)weft_semaphore_release(&call->host->places, 1);
}

/* Returns 0 with the permit and both places taken; else nothing is taken. */
static int wait_turn(struct call *call)
{
    for (;;) {
        int err = wait_pause(call);
        if (err == 0)
            err = wait_rate(call);
        if (err == 0)
            err = enter_breaker(call);
        if (err)
            return err;
        if (call->fetcher->hosts.places > 0)
            err = take_place(call, &call->host->places);
        /* The pause may have begun while this one waited. */
        if (err == 0 && weft_fetch_host_paused(call->host) > weft_now()) {
            leave_host_place(call);
            leave_breaker(call, WEFT_BREAKER_IGNORED);
            continue;
        }
        if (err == 0) {
            err = take_place(call, &call->fetcher->places);
            if (err)
                leave_host_place(call);
        }
        if (err)
            leave_breaker(call, WEFT_BREAKER_IGNORED);
        return err;
    }
}

/* ---- one exchange ------------------------------------------------------------------------- */

static void count_exchange(struct call *call, int err)
{
    struct weft_fetcher_stats *counts = &call->fetcher->counts;
    const struct weft_http_response *response = &call->answer->response;
    if (response->connections > 0)
        weft_fetch_count(&counts->connections, response->connections);
    else if (err == 0)
        weft_fetch_count(&counts->reused, 1);
}

/* What a response asks for, and when the host as a whole is to be left alone. */
static void heed_retry_after(struct call *call)
{
    const struct weft_http_response *response = &call->answer->response;
    const struct weft_fetcher_options *options = &call->fetcher->options;
    if (response->status < 400)
        return;
    const char *value = weft_http_response_field(response, "Retry-After");
    if (!value)
        return;
    const char *date = weft_http_response_field(response, "Date");
    int64_t date_s = (int64_t)time(NULL), wait_ns = 0;
    if (date)
        (void)weft_http_date_parse(date, strlen(date), date_s, &date_s);
    if (weft_retry_after_parse(value, strlen(value), date_s, &wait_ns) < 0 || wait_ns <= 0)
        return;
    call->answer->retry_after_ns = wait_ns;
    if (!weft_fetch_is_pause(response->status))
        return;
    if (wait_ns > options->retry_after_max_ns)
        wait_ns = options->retry_after_max_ns;
    if (weft_fetch_host_pause(call->host, weft_time_after(weft_now(), wait_ns)))
        weft_fetch_count(&call->fetcher->counts.pauses, 1);
}

static int exchange(struct call *call)
{
    struct weft_fetcher *fetcher = call->fetcher;
    struct weft_fetch_exchange *this = &call->exchange;
    const struct weft_fetcher_options *options = &fetcher->options;
    int64_t waits_ns = weft_now();
    int err = wait_turn(call);
    int64_t now_ns = weft_now();
    call->queue_ns += now_ns - waits_ns;
    if (err)
        return err;
    if (!call->ever) {
        int64_t last_ns = weft_time_after(now_ns, options->total_timeout_ns);
        call->deadline_ns = last_ns < call->deadline_ns ? last_ns : call->deadline_ns;
    }
    if (!call->began)
        weft_fetch_count(&fetcher->counts.attempts, 1);
    call->ever = call->began = true;
    weft_fetch_count(&fetcher->counts.exchanges, 1);
    weft_fetch_count(&fetcher->counts.exchanges_now, 1u);
    weft_fetch_answer_clear(call->answer);
    this->deadline_ns = weft_time_after(now_ns, options->attempt_timeout_ns);
    if (call->deadline_ns < this->deadline_ns)
        this->deadline_ns = call->deadline_ns;
    this->begun_ns = this->ended_ns = now_ns;
    this->sent = false;
    this->body_bytes = 0;
    err = fetcher->ops->exchange(fetcher->engine, this);
    weft_fetch_count(&fetcher->counts.exchanges_now, -1u);
    (void)weft_semaphore_release(&fetcher->places, 1);
    leave_host_place(call);
    leave_breaker(call, weft_fetch_judge(err, call->answer->response.status));
    call->latency_ns += this->ended_ns - this->begun_ns;
    call->answer->response.times.total_ns = this->ended_ns - this->begun_ns;
    count_exchange(call, err);
    if (err == 0)
        heed_retry_after(call);
    return err;
}

/* ---- redirects ---------------------------------------------------------------------------- */

static void leave_host(struct call *call)
{
    if (call->host)
        weft_fetch_host_release(&call->fetcher->hosts, call->host);
    call->host = NULL;
}

/* Go to a URL, which stays the caller's. */
static int head_for(struct call *call, const char *url)
{
    leave_host(call);
    const char *wrong = weft_fetch_url_parse(&call->parts, url);
    if (wrong)
        return weft_fetch_fail(call->answer, -EINVAL, wrong);
    call->exchange.url = url;
    int err = weft_fetch_host_acquire(&call->fetcher->hosts, &call->parts, &call->host);
    return err ? weft_fetch_fail(call->answer, err, weft_strerror(err)) : 0;
}

/* Leave out the fields that are not for the next server, or of a body that is not sent. */
static int keep_fields(struct call *call, bool abroad, bool without_body)
{
    struct weft_fetch_exchange *this = &call->exchange;
    if (this->fields_count == 0 || (!abroad && !without_body))
        return 0;
    struct weft_http_field *kept = calloc(this->fields_count, sizeof *kept);
    if (!kept)
        return -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < this->fields_count; i++) {
        const char *name = this->fields[i].name;
        bool of_body = strncasecmp(name, "Content-", 8) == 0;
        if (!(abroad && weft_fetch_is_private(name)) && !(without_body && of_body))
            kept[count++] = this->fields[i];
    }
    free(call->kept);
    call->kept = kept;
    this->fields = kept;
    this->fields_count = count;
    return 0;
}

/* Returns 1: there is another exchange to make; 0: this is the answer. */
static int follow(struct call *call)
{
    const struct weft_fetcher_options *options = &call->fetcher->options;
    struct weft_fetch_exchange *this = &call->exchange;
    const struct weft_http_response *response = &call->answer->response;
    char origin[WEFT_FETCH_ORIGIN_BYTES], *url;
    if (options->redirects_max == 0 || response->status < 300 || response->status > 399)
        return 0;
    struct weft_fetch_turn turn = weft_fetch_turn_of(response->status, this->method);
    const char *location = weft_http_response_field(response, "Location");
    if (!turn.follows || !location)
        return 0;
    if (call->redirects >= options->redirects_max)
        return weft_fetch_fail(call->answer, -ELOOP, "too many redirects");
    int err = weft_fetch_url_join(this->url, location, &url);
    if (err == -EINVAL || (err == 0 && strncmp(url, "http", 4) != 0)) {
        if (err == 0)
            free(url);
        return weft_fetch_fail(call->answer, -EPROTO, "a redirect leads to what is no URL");
    }
    if (err)
        return weft_fetch_fail(call->answer, err, weft_strerror(err));
    if (call->request->may_follow &&
        !call->request->may_follow(call->request->may_follow_context, url)) {
        free(url);
        return 0;
    }
    memcpy(origin, call->parts.origin, call->parts.origin_len + 1);
    free(call->answer->url);
    call->answer->url = url;
    err = head_for(call, url);
    if (err == 0)
        err = keep_fields(call, strcmp(origin, call->parts.origin) != 0, turn.without_body);
    if (err)
        return err;
    if (turn.without_body) {
        this->body = NULL;
        this->body_len = 0;
    }
    this->method = turn.method;
    this->is_idempotent = weft_fetch_is_idempotent(this->method);
    call->redirects++;
    weft_fetch_count(&call->fetcher->counts.redirects, 1);
    return 1;
}

/* ---- one attempt -------------------------------------------------------------------------- */

static const char *method_of(const struct weft_fetch_request *request)
{
    return request->method ? request->method : request->body ? "POST" : "GET";
}

static int attempt(struct call *call)
{
    const struct weft_fetch_request *request = call->request;
    const struct weft_fetcher_options *options = &call->fetcher->options;
    struct weft_fetch_exchange *this = &call->exchange;
    *this = (struct weft_fetch_exchange){
        .parts = &call->parts,
        .url = this->url,
        .method = method_of(request),
        .fields = request->fields,
        .fields_count = request->fields_count,
        .body = request->body,
        .body_len = request->body_len,
        .body_max =
            request->response_bytes_max ? request->response_bytes_max : options->response_bytes_max,
        .keeps_body = !request->without_body,
        .answer = call->answer,
    };
    this->is_idempotent = weft_fetch_is_idempotent(this->method) ||
                          weft_fetch_request_field(request, "Idempotency-Key");
    call->began = false;
    int err = 0;
    if (call->redirects > 0 || !call->host)
        err = head_for(call, request->url);
    call->redirects = 0;
    if (err)
        return err;
    do {
        if (!call->began)
            call->latency_ns = 0;
        err = exchange(call);
        if (err == 0)
            err = follow(call);
    } while (err > 0);
    return err;
}

/* ---- all attempts ------------------------------------------------------------------------- */

static uint64_t draw(struct weft_fetcher *fetcher)
{
    /* SplitMix64 over a counter. */
    uint64_t z =
        __atomic_add_fetch(&fetcher->draws, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Hosts with names that are too long for a budget's key share one. */
static const char *budget_key(const struct weft_fetch_host *host)
{
    return host->origin_len <= WEFT_NAME_MAX ? host->origin : "long";
}

static void note(struct call *call, enum weft_retry_note what)
{
    if (call->fetcher->budget && call->host)
        (void)weft_retry_budget_note(call->fetcher->budget, budget_key(call->host), what);
}

/* Whether to try again, and when. Returns the delay; negative: this was the last attempt. */
static int64_t plan(struct call *call, int err)
{
    struct weft_fetcher *fetcher = call->fetcher;
    const struct weft_fetcher_options *options = &fetcher->options;
    const struct weft_fetch_end end = {
        .method = call->exchange.method,
        .has_key = weft_fetch_request_field(call->request, "Idempotency-Key"),
        .sent = call->exchange.sent,
        .err = err,
        .status = call->answer->response.status,
    };
    if (!call->began || !weft_fetch_may_retry(&end) || call->attempt >= options->attempts_max)
        return -1;
    int64_t backoff_ns = weft_fetch_backoff(options->backoff_base_ns, options->backoff_cap_ns,
                                            call->attempt - 1, draw(fetcher));
    int64_t delay_ns = weft_retry_after_delay(call->answer->retry_after_ns, backoff_ns,
                                              options->retry_after_max_ns);
    if (delay_ns < 0 || weft_time_after(weft_now(), delay_ns) >= call->deadline_ns)
        return -1;
    if (fetcher->budget && weft_retry_budget_take(fetcher->budget, budget_key(call->host)) < 0) {
        weft_fetch_count(&fetcher->counts.retries_refused, 1);
        call->answer->retries_refused = 1;
        return -1;
    }
    return delay_ns;
}

/* What the present answer says, for the result of the call. */
struct outcome {
    int err;
    unsigned attempt, redirects;
    int64_t latency_ns;
};

static void take_outcome(struct outcome *outcome, const struct call *call, int err)
{
    *outcome = (struct outcome){
        .err = err,
        .attempt = call->attempt,
        .redirects = call->redirects,
        .latency_ns = call->latency_ns,
    };
}

static int get(struct call *call, struct outcome *outcome)
{
    int err = attempt(call);
    take_outcome(outcome, call, err);
    note(call, WEFT_RETRY_CALL);
    for (;;) {
        int64_t delay_ns = plan(call, err);
        if (delay_ns < 0)
            break;
        err = rest_until(call, weft_time_after(weft_now(), delay_ns));
        if (err)
            return err;
        weft_fetch_count(&call->fetcher->counts.retries, 1);
        call->attempt++;
        err = attempt(call);
        /* One that could not begin changes nothing of what the one before it came to. */
        if (call->began)
            take_outcome(outcome, call, err);
        if (err == -ECANCELED || !call->began)
            return err == -ECANCELED ? err : outcome->err;
    }
    return outcome->err;
}

static int64_t unix_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void fill_result(struct call *call, const struct outcome *outcome, int err)
{
    struct weft_fetch_answer *answer = call->answer;
    const struct weft_http_response *response = &answer->response;
    struct weft_fetch_result *result = &answer->result;
    *result = (struct weft_fetch_result){
        .url = call->request->url ? call->request->url : "",
        .final_url = outcome->redirects > 0 ? answer->url : NULL,
        .method = method_of(call->request),
        .latency_ns = outcome->latency_ns,
        .queue_ns = call->queue_ns,
        .total_ns = weft_now() - call->taken_ns,
        .timestamp_us = unix_us(),
        .times = response->times,
        .attempt = outcome->attempt,
        .redirects = outcome->redirects,
        .connections = response->connections,
        .bytes_received = response->bytes_received,
        .body_bytes = call->exchange.body_bytes,
        .tag = call->request->tag,
    };
    if (err < 0) {
        result->error = answer->error[0] ? answer->error : weft_strerror(err);
        result->error_class = weft_fetch_kind_name(weft_fetch_kind_of(err));
        return;
    }
    result->status_code = response->status;
    result->http_version = response->http_version;
    result->content_type = weft_http_response_field(response, "Content-Type");
    if (call->exchange.keeps_body) {
        result->body = response->body;
        result->body_len = response->body_len;
    }
    if (response->status >= 400) {
        (void)snprintf(answer->error_class, sizeof answer->error_class, "HTTP %d",
                       response->status);
        result->error_class = answer->error_class;
    }
}

int weft_fetcher_get_with(struct weft_fetcher *fetcher, const struct weft_fetch_request *request,
                          struct weft_fetch_answer *answer, int64_t deadline_ns,
                          const struct weft_fetch_patience *patience)
{
    struct call call = {
        .fetcher = fetcher,
        .request = request,
        .patience = patience,
        .answer = answer,
        .taken_ns = weft_now(),
        .deadline_ns = deadline_ns,
        .attempt = 1,
    };
    struct outcome outcome = {.attempt = 1};
    weft_fetch_answer_clear(answer);
    answer->retries_refused = 0;
    const char *wrong = weft_fetch_request_check(request);
    int err = wrong ? weft_fetch_fail(answer, -EINVAL, wrong) : get(&call, &outcome);
    if (err == -ECANCELED && !answer->error[0])
        (void)weft_fetch_fail(answer, err, "cancelled");
    fill_result(&call, &outcome, err);
    leave_host(&call);
    free(call.kept);
    return err;
}

int weft_fetcher_get(struct weft_fetcher *fetcher, const struct weft_fetch_request *request,
                     struct weft_fetch_answer *answer, int64_t deadline_ns)
{
    return weft_fetcher_get_with(fetcher, request, answer, deadline_ns, NULL);
}
