/* SPDX-License-Identifier: MIT
 * webhook.c - request and answer, see webhook.h. */
#include <job/webhook.h>

#include <weft/retry_after.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- the request ------------------------------------------------------------------------- */

static bool is_header_value(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at < ' ' || *at > '~')
            return false;
    }
    return text[0] && text[0] != ' ' && text[strlen(text) - 1] != ' ' &&
           strlen(text) <= WEFT_JOB_NAME_MAX;
}

static void add(struct weft_webhook_request *request, const char *name, const char *value)
{
    request->headers[request->headers_count++] = (struct weft_http_field){name, value};
}

int weft_webhook_request_init(struct weft_webhook_request *request,
                              const struct weft_webhook_keys *keys,
                              const struct weft_execution *execution, int64_t now_s)
{
    const struct weft_bytes *input = &execution->input;
    const struct weft_webhook_message message = {execution->id, now_s, input->data, input->len};
    int err = 0;
    if (!is_header_value(execution->id) || !is_header_value(execution->task))
        return -EINVAL;
    request->headers_count = 0;
    if (keys->count > 0)
        err = weft_webhook_sign(keys, &message, request->signature);
    if (err < 0)
        return err;
    (void)snprintf(request->timestamp, sizeof request->timestamp, "%" PRId64, now_s);
    (void)snprintf(request->attempt, sizeof request->attempt, "%u", execution->attempt);
    add(request, "content-type", input->json ? "application/json" : "application/octet-stream");
    add(request, "user-agent", "weft/" WEFT_VERSION);
    add(request, "webhook-id", execution->id);
    add(request, "webhook-timestamp", request->timestamp);
    if (keys->count > 0)
        add(request, "webhook-signature", request->signature);
    add(request, "weft-task", execution->task);
    add(request, "weft-attempt", request->attempt);
    return 0;
}

/* ---- the answer -------------------------------------------------------------------------- */

static bool is_done(int status)
{
    return status >= 200 && status <= 299;
}

static bool is_final(const struct weft_webhook_rules *rules, int status)
{
    if (status == 410)
        return true;
    return rules->client_errors_final && status >= 400 && status <= 499 && status != 408 &&
           status != 425 && status != 429;
}

static int64_t retry_after(const struct weft_webhook_rules *rules,
                           const struct weft_webhook_answer *answer, int64_t now_s)
{
    int64_t max_ns = rules->retry_after_max_ns, delay_ns = 0;
    if (max_ns == 0)
        max_ns = WEFT_WEBHOOK_RETRY_MAX_NS;
    if (!answer->retry_after)
        return 0;
    if (answer->date)
        (void)weft_http_date_parse(answer->date, strlen(answer->date), now_s, &now_s);
    (void)weft_retry_after_parse(answer->retry_after, strlen(answer->retry_after), now_s,
                                 &delay_ns);
    return delay_ns < max_ns ? delay_ns : max_ns;
}

/* "application/json", "application/problem+json", with parameters or without. */
static bool is_json(const char *type)
{
    size_t len = type ? strcspn(type, "; \t") : 0;
    return (len == 16 && strncasecmp(type, "application/json", len) == 0) ||
           (len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0);
}

static void keep_result(struct weft_webhook_answer *answer, struct weft_outcome *outcome)
{
    outcome->kind = WEFT_OUTCOME_DONE;
    if (answer->body_cut || answer->body_len > WEFT_JOB_RESULT_MAX) {
        weft_outcome_say(outcome, WEFT_OUTCOME_DONE, "the answer was too long to be kept");
        return;
    }
    outcome->result = answer->body;
    outcome->result_len = answer->body_len;
    outcome->result_json = is_json(answer->content_type);
    answer->body = NULL;
    answer->body_len = 0;
}

/* What the receiver says about it is in the body, as a rule. */
static void say(const struct weft_webhook_answer *answer, struct weft_outcome *outcome,
                enum weft_outcome_kind kind)
{
    int body_len =
        answer->body_len < WEFT_JOB_ERROR_MAX ? (int)answer->body_len : (int)WEFT_JOB_ERROR_MAX;
    if (answer->status >= 300 && answer->status <= 399 && answer->location)
        weft_outcome_say(outcome, kind, "answered %d: it has moved to %s", answer->status,
                         answer->location);
    else if (body_len > 0)
        weft_outcome_say(outcome, kind, "answered %d: %.*s", answer->status, body_len,
                         answer->body);
    else
        weft_outcome_say(outcome, kind, "answered %d", answer->status);
}

void weft_webhook_judge(const struct weft_webhook_rules *rules, struct weft_webhook_answer *answer,
                        int64_t now_s, struct weft_outcome *ret_outcome)
{
    struct weft_outcome outcome = {.exit_code = -1};
    if (is_done(answer->status)) {
        keep_result(answer, &outcome);
    } else if (is_final(rules, answer->status)) {
        say(answer, &outcome, WEFT_OUTCOME_DISCARD);
    } else {
        say(answer, &outcome, WEFT_OUTCOME_FAILED);
        outcome.delay_ns = retry_after(rules, answer, now_s);
        outcome.delay_least = true;
    }
    *ret_outcome = outcome;
}
