/* SPDX-License-Identifier: MIT
 * remote_call.c - a request to the server, and again while it is away or busy. */
#include "remote_internal.h"

#include <weft/retry.h>
#include <weft/retry_after.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TRIES      4u
#define BACKOFF_NS (100 * WEFT_MSEC)
#define BACKOFF_MAX_NS                                                                             \
    (2 * WEFT_SEC) /* whatever the server asks for: leases do not wait either                      \
                    */
#define TOTAL_NS       (30 * WEFT_SEC)
#define DETAIL_LEN_MAX 400
#define URL_BYTES_MAX  ((size_t)4 << 10)

/* What is tried, and what of it lives only meanwhile. */
struct tries {
    struct weft_remote *remote;
    struct weft_remote_call *call;
    struct weft_http_request request;
};

int weft_remote_result(int status)
{
    switch (status) {
    case 400:
    case 422:
        return -EINVAL;
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 413:
        return -EMSGSIZE;
    case 429:
        return -EBUSY;
    default:
        break;
    }
    if (status >= 200 && status < 300)
        return 0;
    return status == 408 || status >= 500 ? -EREMOTEIO : -EPROTO;
}

/* ---- why it failed ---------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
note(struct weft_remote *remote, const struct weft_remote_call *call, const char *format, ...)
{
    va_list args;
    int len =
        snprintf(remote->error, sizeof remote->error, "%s %.100s: ", call->method, call->path);
    va_start(args, format);
    (void)vsnprintf(remote->error + len, sizeof remote->error - (size_t)len, format, args);
    va_end(args);
    /* The server's words may be anything, and are shown to people. */
    for (char *c = remote->error; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    }
}

static void note_status(struct weft_remote *remote, const struct weft_remote_call *call)
{
    static const char *const members[] = {"detail"};
    const struct weft_http_response *response = &call->response;
    struct weft_remote_value value;
    struct weft_arena arena = {0};
    const char *detail = NULL;
    if (weft_remote_members(response->body, response->body_len, members, 1, &value) == 0)
        (void)weft_remote_string(&value, &arena, DETAIL_LEN_MAX, &detail);
    note(remote, call, "the server answers %d%s%s", call->status, detail ? ", " : "",
         detail ? detail : "");
    weft_arena_deinit(&arena);
}

int weft_remote_refuse(struct weft_remote *remote, const struct weft_remote_call *call,
                       const char *why)
{
    note(remote, call, "the server's answer cannot be understood: %s", why);
    return -EPROTO;
}

/* ---- one try, and others ---------------------------------------------------------------- */

static int try_once(void *arg)
{
    struct tries *tries = arg;
    struct weft_remote_call *call = tries->call;
    weft_http_response_release(&call->response);
    call->status = 0;
    call->tries++;
    int64_t deadline_ns = weft_now() + call->wait_ns + WEFT_REMOTE_ANSWER_NS;
    int err = weft_http_send(tries->remote->client, &tries->request, &call->response, deadline_ns);
    if (err) {
        note(tries->remote, call, "%s", call->response.error);
        return err;
    }
    call->status = call->response.status;
    err = weft_remote_result(call->status);
    if (err)
        note_status(tries->remote, call);
    return err;
}

/* Whether the server is away, or has no time; what it refuses it will refuse again. */
static int is_passing(void *arg, int result)
{
    const struct tries *tries = arg;
    if (tries->call->status)
        return result == -EREMOTEIO || result == -EBUSY;
    return result != -ENOMEM && result != WEFT_EFULL && weft_retryable(result);
}

/* When the server wants to be asked again, as far as that is soon. */
static int64_t pause_ns(void *arg, unsigned attempt, int result, int64_t planned_ns)
{
    const struct tries *tries = arg;
    const struct weft_http_response *response = &tries->call->response;
    const char *wish = NULL;
    int64_t wait_ns = 0;
    (void)attempt, (void)result;
    if (tries->call->status)
        wish = weft_http_response_field(response, "Retry-After");
    if (wish)
        (void)weft_retry_after_parse(wish, strlen(wish), time(NULL), &wait_ns);
    if (wait_ns > BACKOFF_MAX_NS)
        wait_ns = BACKOFF_MAX_NS;
    return weft_retry_after_delay(wait_ns, planned_ns, BACKOFF_MAX_NS);
}

static int send_in_scope(struct tries *tries)
{
    const struct weft_remote_call *call = tries->call;
    const struct weft_retry_options options = {
        .attempts_max = TRIES,
        .base_ns = BACKOFF_NS,
        .cap_ns = BACKOFF_MAX_NS,
        .total_ns = TOTAL_NS + call->wait_ns,
        .retry_if = is_passing,
        .delay_ns = pause_ns,
    };
    struct weft_scope shield;
    if (call->checkpoint)
        return weft_retry(&options, try_once, tries);
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    int err = weft_retry(&options, try_once, tries);
    return weft_scope_leave(&shield, err);
}

int weft_remote_send(struct weft_remote *remote, struct weft_remote_call *call)
{
    const struct weft_http_field fields[] = {
        {"Content-Type", "application/json"},
        {"Accept", "application/json"},
        {"Authorization", remote->authorization},
    };
    struct weft_buffer url;
    weft_buffer_init(&url, URL_BYTES_MAX);
    weft_buffer_append_string(&url, remote->url);
    weft_buffer_append(&url, call->path, strlen(call->path) + 1);
    int err = url.err;
    if (!err && call->body)
        err = call->body->err;
    struct tries tries = {
        .remote = remote,
        .call = call,
        .request =
            {
                .url = url.data,
                .method = call->method,
                .fields = fields,
                .fields_count = remote->authorization ? 3 : 2,
                .body = call->body ? call->body->data : NULL,
                .body_len = call->body ? call->body->len : 0,
                .response_bytes_max = call->answer_max ? call->answer_max : WEFT_REMOTE_ANSWER_MAX,
            },
    };
    if (!err)
        err = send_in_scope(&tries);
    weft_buffer_deinit(&url);
    return err;
}

void weft_remote_call_release(struct weft_remote_call *call)
{
    weft_http_response_release(&call->response);
}
