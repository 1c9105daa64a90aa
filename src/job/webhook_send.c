/* SPDX-License-Identifier: MIT
 * webhook_send.c - see webhook_send.h. */
#include <job/webhook_send.h>

#include <base/time.h>
#include <os/clock.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DROPPED_BYTES_MAX ((size_t)64 << 20)

/* ---- what a webhook may be --------------------------------------------------------------- */

/* Ours, and those that say how the request is sent. */
static bool is_taken(const char *name)
{
    static const char *const names[] = {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "transfer-encoding",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
        "weft-attempt",
        "weft-task",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static const char *check_field(const struct weft_http_field *field)
{
    static const char token[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "!#$%&'*+-.^_`|~";
    if (!field->name || !field->name[0] || field->name[strspn(field->name, token)])
        return "one of its headers has a name that is none";
    if (is_taken(field->name))
        return "one of its headers is set for each job";
    for (const char *at = field->value ? field->value : "\n"; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 127)
            return "one of its headers has no value, or a control character in it";
    }
    return NULL;
}

int weft_webhook_check(const struct weft_webhook *webhook, const char **ret_reason)
{
    static const char *const none[] = {NULL};
    const char *reason = NULL, *listed;
    if (!webhook->name || !webhook->name[0])
        reason = "it has no name";
    else if (!webhook->url || !webhook->url[0])
        reason = "it has no url";
    else if (webhook->timeout_ns < 0 || webhook->rules.retry_after_max_ns < 0)
        reason = "one of its times is negative";
    else if (webhook->fields_count > WEFT_WEBHOOK_FIELDS_MAX)
        reason = "it has more than 32 headers";
    /* Not on the list is as good as it gets here. */
    else if (weft_webhook_url_check(none, webhook->url, &listed) == -EINVAL)
        reason = listed;
    for (size_t i = 0; !reason && i < webhook->fields_count; i++)
        reason = check_field(&webhook->fields[i]);
    if (!reason)
        return 0;
    *ret_reason = reason;
    return -EINVAL;
}

/* ---- the answer's body ------------------------------------------------------------------- */

struct body {
    char *data;
    size_t len, capacity;
    size_t dropped;
};

/* Make room for len bytes more, as many as may be kept. Returns how many, or -ENOMEM. */
static ssize_t grow(struct body *body, size_t len)
{
    size_t room = WEFT_JOB_RESULT_MAX - body->len;
    len = len < room ? len : room;
    if (body->len + len <= body->capacity)
        return (ssize_t)len;
    size_t capacity = body->capacity * 2 > body->len + len ? body->capacity * 2 : body->len + len;
    char *data = realloc(body->data, capacity);
    if (!data)
        return -ENOMEM;
    body->data = data;
    body->capacity = capacity;
    return (ssize_t)len;
}

static int take_body(void *context, const void *bytes, size_t len)
{
    struct body *body = context;
    ssize_t kept = grow(body, len);
    if (kept < 0)
        return (int)kept;
    if (kept > 0)
        memcpy(body->data + body->len, bytes, (size_t)kept);
    body->len += (size_t)kept;
    body->dropped += len - (size_t)kept;
    return body->dropped > DROPPED_BYTES_MAX ? -EMSGSIZE : 0;
}

/* ---- one attempt ------------------------------------------------------------------------- */

int weft_webhook_client_open(struct weft_http_client **ret_client, bool allow_private)
{
    const struct weft_http_client_options options = {
        .total_timeout_ns = WEFT_FOREVER, /* each request has its own */
        .allow_address = allow_private ? NULL : weft_http_address_is_public,
    };
    return weft_http_client_open(ret_client, &options);
}

static int64_t now_s(void)
{
    return weft_clock_unix_us() / 1000000;
}

/* What came, or did not come, of a request that has no answer. */
static void say_why(const struct weft_http_response *response, int err, int64_t timeout_ns,
                    bool late, struct weft_outcome *ret_outcome)
{
    struct weft_outcome outcome = {.exit_code = -1};
    if (err == -EACCES)
        weft_outcome_say(&outcome, WEFT_OUTCOME_FAILED,
                         "its url leads to an address that is not of the public internet");
    else if (err == -ETIMEDOUT && late)
        weft_outcome_say_late(&outcome, timeout_ns, "was given up");
    else if (err == -EMSGSIZE)
        weft_outcome_say(&outcome, WEFT_OUTCOME_FAILED, "its answer does not end");
    else
        weft_outcome_say(&outcome, WEFT_OUTCOME_FAILED, "no answer: %s",
                         response->error[0] ? response->error : weft_strerror(err));
    *ret_outcome = outcome;
}

static void judge(const struct weft_webhook *webhook, const struct weft_http_response *response,
                  struct body *body, struct weft_outcome *ret_outcome)
{
    struct weft_webhook_answer answer = {
        .status = response->status,
        .body = body->data,
        .body_len = body->len,
        .body_cut = body->dropped > 0,
        .retry_after = weft_http_response_field(response, "Retry-After"),
        .date = weft_http_response_field(response, "Date"),
        .location = weft_http_response_field(response, "Location"),
        .content_type = weft_http_response_field(response, "Content-Type"),
    };
    weft_webhook_judge(&webhook->rules, &answer, now_s(), ret_outcome);
    body->data = answer.body;
}

/* Whether this call, not the way to the receiver, is to blame for an error. */
static bool is_our_own(int err)
{
    return err == -ECANCELED || err == -ENOMEM || err == -EPERM || err == -ESHUTDOWN;
}

struct sending {
    struct weft_webhook_request signed_part;
    struct weft_http_field fields[WEFT_WEBHOOK_HEADERS + WEFT_WEBHOOK_FIELDS_MAX];
    struct weft_http_response response;
    struct body body;
};

static struct weft_http_request request_of(struct sending *sending,
                                           const struct weft_webhook *webhook,
                                           const struct weft_execution *execution)
{
    const struct weft_webhook_request *ours = &sending->signed_part;
    memcpy(sending->fields, ours->headers, ours->headers_count * sizeof ours->headers[0]);
    if (webhook->fields_count > 0)
        memcpy(sending->fields + ours->headers_count, webhook->fields,
               webhook->fields_count * sizeof webhook->fields[0]);
    return (struct weft_http_request){
        .url = webhook->url,
        .method = "POST",
        .fields = sending->fields,
        .fields_count = ours->headers_count + webhook->fields_count,
        .body = execution->input.len > 0 ? execution->input.data : "",
        .body_len = execution->input.len,
        .on_body = take_body,
        .on_body_context = &sending->body,
    };
}

static int send_and_judge(struct sending *sending, struct weft_http_client *client,
                          const struct weft_webhook *webhook,
                          const struct weft_execution *execution, struct weft_outcome *ret_outcome)
{
    struct weft_http_response *response = &sending->response;
    struct weft_http_request request = request_of(sending, webhook, execution);
    int64_t timeout_ns = weft_shorter(webhook->timeout_ns, execution->timeout_ns);
    int64_t until_ns = timeout_ns ? weft_time_after(weft_now(), timeout_ns) : WEFT_FOREVER;
    int err = weft_http_send(client, &request, response, until_ns);
    if (err == 0)
        judge(webhook, response, &sending->body, ret_outcome);
    else if (!is_our_own(err))
        say_why(response, err, timeout_ns, weft_now() >= until_ns, ret_outcome);
    weft_http_response_release(response);
    return is_our_own(err) ? err : 0;
}

int weft_webhook_run(struct weft_http_client *client, const struct weft_webhook *webhook,
                     const struct weft_execution *execution, struct weft_outcome *ret_outcome)
{
    static const struct weft_webhook_keys none;
    struct sending *sending = calloc(1, sizeof *sending);
    if (!sending)
        return -ENOMEM;
    int err = weft_webhook_request_init(&sending->signed_part,
                                        webhook->keys ? webhook->keys : &none, execution, now_s());
    if (err == 0)
        err = send_and_judge(sending, client, webhook, execution, ret_outcome);
    free(sending->body.data);
    free(sending);
    return err;
}
