/* SPDX-License-Identifier: MIT
 * client_send.c - weft_http_send, in the fiber. Read it from the bottom: a request goes through
 * its redirects (travel), each through as many attempts as names are missing, or connections of no
 * use (visit), each of them is handed over and waited for (client_await.c). */
#include <base/time.h>
#include <http/client_journey.h>
#include <runtime/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* To begin: a name each for the proxy and the server, one that got old; and connections that were
 * closed or full: after the second of these it is a fresh one. */
#define ATTEMPTS_MAX 8

int weft_http_journey_fail(struct weft_http_journey *journey, int err, const char *why)
{
    char *text = journey->response->error;
    if (*text)
        return err;
    size_t len = strnlen(why, sizeof journey->response->error - 1);
    memcpy(text, why, len);
    text[len] = '\0';
    return err;
}

/* ---- one request, with what it takes to begin it ------------------------------------------ */

static void forget_visit(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    transfer->names_len = transfer->literals = 0;
    transfer->connect_by_ns = transfer->tls_at_ns = 0;
    transfer->connected = false;
    transfer->status = 0;
    transfer->times = (struct weft_http_times){0};
    weft_buffer_clear(&transfer->names);
    journey->name_ns = 0;
    journey->told_head = journey->tried_others = false;
    transfer->attempts = 0;
}

/* It has to begin again, with what was missing. */
static int supply(struct weft_http_journey *journey, int need)
{
    if (need == WEFT_HTTP_NEEDS_NAME)
        return weft_http_journey_find_name(journey);
    journey->transfer->question.fresh = journey->tried_others || !journey->engine->options.http2;
    journey->tried_others = true;
    return weft_http_journey_rewind(journey);
}

static int visit(struct weft_http_journey *journey, int64_t now_ns)
{
    forget_visit(journey);
    journey->transfer->submitted_ns = now_ns;
    int err = weft_http_journey_ask(journey);
    for (int attempts = 0; err == 0 && attempts < ATTEMPTS_MAX; attempts++) {
        journey->phase = WEFT_HTTP_AT_TURN;
        weft_http_journey_watch(journey, now_ns);
        err = weft_http_journey_attempt(journey);
        if (err <= 0)
            return err;
        err = supply(journey, err);
    }
    return err < 0 ? err : weft_http_journey_fail(journey, -EADDRNOTAVAIL, "it cannot be begun");
}

/* ---- redirects ---------------------------------------------------------------------------- */

/* What another request is sent instead: RFC 9110, 15.4. */
static void turn_to_get(struct weft_http_journey *journey, int status)
{
    const char *method = journey->transfer->question.method;
    bool is_safe = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool was_post = strcmp(method, "POST") == 0;
    if ((status == 303 && !is_safe) || ((status == 301 || status == 302) && was_post))
        journey->without_body = true;
}

/* Returns 1 when there is another request to send, 0: this is the response. */
static int follow(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    struct weft_http_response *response = journey->response;
    if (!transfer->location)
        return weft_http_journey_tell_head(journey);
    if (response->redirects >= journey->engine->options.redirects_max)
        return weft_http_journey_fail(journey, -ELOOP, "too many redirects");
    response->redirects++;
    weft_http_count(&journey->engine->counts.redirects, 1);
    turn_to_get(journey, transfer->status);
    journey->abroad = journey->abroad || !transfer->same_origin;
    free(journey->url);
    journey->url = transfer->location;
    transfer->location = NULL;
    int err = journey->without_body ? 0 : weft_http_journey_rewind(journey);
    return err < 0 ? err : 1;
}

static int travel(struct weft_http_journey *journey)
{
    int64_t now_ns = journey->begun_ns;
    for (;;) {
        int err = visit(journey, now_ns);
        if (err == 0)
            err = follow(journey);
        if (err <= 0)
            return err;
        now_ns = weft_now();
    }
}

/* ---- the response ------------------------------------------------------------------------- */

/* How far the last request came. */
static enum weft_http_phase phase_of(const struct weft_http_journey *journey, int err)
{
    const struct weft_http_transfer *transfer = journey->transfer;
    if (err == 0)
        return WEFT_HTTP_AT_END;
    if (transfer->connected)
        return transfer->status == 0 ? WEFT_HTTP_AT_FIRST_BYTE : WEFT_HTTP_AT_BODY;
    if (journey->phase == WEFT_HTTP_AT_NAME || transfer->connect_by_ns == 0)
        return journey->phase;
    /* A quick peer leaves nothing to wait for between the connection and its certificate. */
    bool secures =
        transfer->tls_at_ns > 0 || transfer->times.connect_ns > 0 || err == -EKEYREJECTED;
    return secures ? WEFT_HTTP_AT_TLS : WEFT_HTTP_AT_CONNECT;
}

static void fill_response(struct weft_http_journey *journey, int err)
{
    struct weft_http_transfer *transfer = journey->transfer;
    struct weft_http_response *response = journey->response;
    struct weft_buffer *reply = &transfer->reply;
    response->phase = phase_of(journey, err);
    response->times = transfer->times;
    response->times.name_ns = journey->name_ns;
    if (response->phase == WEFT_HTTP_AT_TURN)
        response->times.turn_ns = weft_now() - transfer->submitted_ns;
    if (!reply->data || reply->len < transfer->fields_at)
        return;
    response->storage = response->storage ? response->storage : reply->data;
    response->url = reply->data;
    if (err == 0) {
        size_t body_at = transfer->fields_at + transfer->fields_len;
        response->status = transfer->status;
        response->http_version = transfer->http_version;
        response->body = reply->data + body_at;
        response->body_len = reply->len - body_at;
        response->body_bytes = transfer->body_bytes;
        response->fields_at = transfer->fields_at;
        response->fields_len = transfer->fields_len;
        response->connections = transfer->connections;
        response->bytes_sent = transfer->bytes_sent;
        response->bytes_received = transfer->bytes_received;
    }
    weft_buffer_init(reply, 1); /* it is the response's now */
}

static int send_with(struct weft_http_journey *journey)
{
    struct weft_http_engine *engine = journey->engine;
    journey->begun_ns = weft_now();
    int64_t total_ns = weft_time_after(journey->begun_ns, engine->options.total_timeout_ns);
    if (total_ns < journey->deadline_ns)
        journey->deadline_ns = total_ns;
    journey->transfer = weft_http_transfer_take(engine);
    if (!journey->transfer)
        return weft_http_journey_fail(journey, -ENOMEM, weft_strerror(-ENOMEM));
    int err = travel(journey);
    fill_response(journey, err);
    journey->response->times.total_ns = weft_now() - journey->begun_ns;
    free(journey->url);
    free(journey->pieces[0]);
    free(journey->pieces[1]);
    weft_http_transfer_give_back(journey->transfer);
    return err;
}

/* Returns 0 with *ret_engine set. */
static int find_engine(struct weft_http_client *client, int64_t deadline_ns,
                       struct weft_http_engine **ret_engine)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (self->worker->runtime != client->runtime)
        return -EPERM;
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    return weft_http_engine_open(client, ret_engine);
}

int weft_http_send(struct weft_http_client *client, const struct weft_http_request *request,
                   struct weft_http_response *ret_response, int64_t deadline_ns)
{
    struct weft_http_journey journey = {
        .request = request,
        .response = ret_response,
        .deadline_ns = deadline_ns,
    };
    *ret_response = (struct weft_http_response){.body = "", .url = ""};
    int err = find_engine(client, deadline_ns, &journey.engine);
    if (err < 0)
        return weft_http_journey_fail(&journey, err, weft_strerror(err));
    err = weft_http_journey_check(&journey);
    return err < 0 ? err : send_with(&journey);
}
