/* SPDX-License-Identifier: MIT
 * webhook.h - the executor "http", as far as it needs no network: which urls may be asked, the
 * signed request, and what the answer means; webhook_send.h is the rest. Receivers check requests
 * with weft_webhook_verify.
 *
 * Nothing here suspends; every thread may call it. Source: Standard Webhooks 1.0.0, symmetric
 * signatures (v1); RFC 3986 for urls, RFC 9110 for status codes.
 *
 *     answer                 outcome
 *     2xx                    done; the body is the result
 *     410                    discard: the receiver wants no more of this
 *     408, 425, 429, 5xx     failed, and not tried again before what Retry-After says
 *     3xx                    failed: redirects are not followed, the url has to be changed
 *     any other 4xx          failed, as Standard Webhooks has it, because receivers are repaired
 *                            while jobs wait; or discard, if the rules say so
 *     anything else          failed
 */
#ifndef WEFT_JOB_WEBHOOK_H
#define WEFT_JOB_WEBHOOK_H

#include <job/executor.h>
#include <weft/http_client.h>

#define WEFT_WEBHOOK_KEYS_MAX     ((size_t)4)
#define WEFT_WEBHOOK_KEY_MIN      ((size_t)24) /* bytes */
#define WEFT_WEBHOOK_KEY_MAX      ((size_t)64)
#define WEFT_WEBHOOK_TOLERANCE_S  ((int64_t)300)
#define WEFT_WEBHOOK_URL_MAX      ((size_t)2048)
#define WEFT_WEBHOOK_HEADERS      ((size_t)7)
#define WEFT_WEBHOOK_RETRY_MAX_NS (86400 * WEFT_SEC)

/* Room for the header of all keys: "v1," and 44 characters each, and what stands between. */
#define WEFT_WEBHOOK_SIGNATURE_MAX (WEFT_WEBHOOK_KEYS_MAX * 48)

/* ---- signatures -------------------------------------------------------------------------- */

/* Secrets, decoded. The first is the present one; while it is being replaced, requests are signed
 * with the former ones as well, and receivers accept all of them. */
struct weft_webhook_keys {
    size_t count;
    struct {
        unsigned char bytes[WEFT_WEBHOOK_KEY_MAX];
        size_t len;
    } keys[WEFT_WEBHOOK_KEYS_MAX];
};

/* Add a secret: base64 of 24 to 64 random bytes, with or without "whsec_" before it.
 * Returns  0, -EINVAL (no such secret), -ENOSPC (WEFT_WEBHOOK_KEYS_MAX) */
int weft_webhook_keys_add(struct weft_webhook_keys *keys, const char *secret);

/* What is signed: "id.timestamp.body". */
struct weft_webhook_message {
    const char *id;      /* letters, digits, '-' and '_' */
    int64_t timestamp_s; /* of the attempt, since 1970 */
    const char *body;
    size_t body_len;
};

/* Sign with every key. ret_signature has room for WEFT_WEBHOOK_SIGNATURE_MAX bytes.
 * Returns  0, -EINVAL (id, timestamp, no keys), -ENOMEM */
int weft_webhook_sign(const struct weft_webhook_keys *keys,
                      const struct weft_webhook_message *message, char *ret_signature);

/* Whether a request that came in was signed with one of the keys, not long ago.
 *
 * id, timestamp, signature  its headers of these names; NULL: it has none
 * now_s                     by the receiver's clock
 * tolerance_s               how far from it; 0 means 5 minutes
 * Returns  0; -EINVAL (a header is missing or is not understood), -ESTALE (it is too old, or from
 *          the future), -EBADMSG (no signature fits), -ENOMEM. Which signature is wrong where does
 *          not show in the time it takes */
int weft_webhook_verify(const struct weft_webhook_keys *keys, const char *id, const char *timestamp,
                        const char *signature, const char *body, size_t body_len, int64_t now_s,
                        int64_t tolerance_s);

/* ---- urls -------------------------------------------------------------------------------- */

/* Whether an entry of an allow-list makes sense:
 *
 *     https://hooks.example.com            this host, this port (443), every path
 *     https://hooks.example.com:8443/in    and only this path and those below it
 *     https://hooks.example.com/in/        only those below it
 *     https://127.0.0.1  https://[::1]     an address, written out
 *     http://hooks.example.com             likewise, without encryption
 *
 * The host "*.example.com" stands for every name that ends so, "*" for every name, but for no
 * address that is written out.
 * Returns  0; -EINVAL with *ret_reason set, in static storage */
int weft_webhook_pattern_check(const char *pattern, const char **ret_reason);

/* Whether a url may be asked. It must be of the plain kind: at most 2,048 visible ASCII characters,
 * no user, no fragment, no "." or ".." or encoded slash in its path, an address in its usual form.
 * Where a name leads is not known here: the client has to look at the addresses.
 *
 * allowed  patterns, ends with NULL
 * Returns  0; -EINVAL (of another kind), -EACCES (not on the list), with *ret_reason set, in static
 *          storage */
int weft_webhook_url_check(const char *const *allowed, const char *url, const char **ret_reason);

/* ---- request and answer ------------------------------------------------------------------ */

/* What is sent with a POST beside the execution's input, which is the body. Points into itself and
 * to the execution: must not be copied, nor outlive that. */
struct weft_webhook_request {
    struct weft_http_field headers[WEFT_WEBHOOK_HEADERS];
    size_t headers_count;
    char timestamp[24], attempt[12], signature[WEFT_WEBHOOK_SIGNATURE_MAX];
};

/* Make a request for one attempt. The job's id is its webhook-id, the same in every attempt.
 *
 * keys     none: it is not signed
 * Returns  0; -EINVAL (an id or a task that no header can carry), -ENOMEM */
int weft_webhook_request_init(struct weft_webhook_request *request,
                              const struct weft_webhook_keys *keys,
                              const struct weft_execution *execution, int64_t now_s);

struct weft_webhook_rules {
    bool client_errors_final;   /* 4xx that are not listed above: discard */
    int64_t retry_after_max_ns; /* longer ones count as this; 0 means a day */
};

struct weft_webhook_answer {
    int status;
    char *body; /* from malloc, or NULL */
    size_t body_len;
    bool body_cut;           /* there was more of it than is kept */
    const char *retry_after; /* headers, or NULL */
    const char *date;
    const char *location;
    const char *content_type;
};

/* Say what an answer means. A body that was cut is no result: the job is done without one.
 *
 * answer   its body may become the result, and is NULL then
 * now_s    measures a Retry-After with a date when the answer has none of its own */
void weft_webhook_judge(const struct weft_webhook_rules *rules, struct weft_webhook_answer *answer,
                        int64_t now_s, struct weft_outcome *ret_outcome);

#endif
