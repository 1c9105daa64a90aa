/* SPDX-License-Identifier: MIT
 * rules.h - what to make of the end of an exchange: decided from arguments alone, without a clock,
 * without state. docs/fetch.md has the same as tables. */
#ifndef WEFT_FETCH_RULES_H
#define WEFT_FETCH_RULES_H

#include <weft/breaker.h>

#include <stdbool.h>
#include <stdint.h>

/* How one exchange ended. */
struct weft_fetch_end {
    const char *method;
    bool has_key; /* an Idempotency-Key was sent: the server knows the request again */
    bool sent;    /* part of the request may have reached the server */
    int err;      /* 0: there is a status */
    int status;
};

/* RFC 9110, 9.2.1 and 9.2.2. Methods nobody knows are neither. */
bool weft_fetch_is_safe(const char *method);
bool weft_fetch_is_idempotent(const char *method);

/* Whether another attempt may do better, and can do no harm. */
bool weft_fetch_may_retry(const struct weft_fetch_end *end);

/* What it says about the host. */
enum weft_breaker_verdict weft_fetch_judge(int err, int status);

/* Whether a status may come with a Retry-After that concerns the host as a whole. */
bool weft_fetch_is_pause(int status);

/* The delay before retry n, from 0: full jitter over base x 2^n, at most cap. draw is random. */
int64_t weft_fetch_backoff(int64_t base_ns, int64_t cap_ns, unsigned n, uint64_t draw);

/* Kinds of failure, for tables: a small number of them. */
enum weft_fetch_kind {
    WEFT_FETCH_OK, /* an answer, whatever its status */
    WEFT_FETCH_TIMEOUT,
    WEFT_FETCH_CONNECT,
    WEFT_FETCH_DNS,
    WEFT_FETCH_TLS,
    WEFT_FETCH_RESET,
    WEFT_FETCH_PROTOCOL,
    WEFT_FETCH_TOO_LARGE,
    WEFT_FETCH_REFUSED,
    WEFT_FETCH_CANCELLED,
    WEFT_FETCH_REDIRECTS,
    WEFT_FETCH_BREAKER,
    WEFT_FETCH_PAUSED,
    WEFT_FETCH_INVALID,
    WEFT_FETCH_RESOURCES,
    WEFT_FETCH_OTHER,
    WEFT_FETCH_KINDS
};
enum weft_fetch_kind weft_fetch_kind_of(int err);

/* "timeout", "connect", ...; NULL for WEFT_FETCH_OK. Static storage. */
const char *weft_fetch_kind_name(enum weft_fetch_kind kind);

/* What becomes of a request that is redirected: RFC 9110, 15.4. */
struct weft_fetch_turn {
    bool follows; /* it is a redirect that has a meaning */
    const char *method;
    bool without_body;
};
struct weft_fetch_turn weft_fetch_turn_of(int status, const char *method);

/* Header fields that another server than the one they were meant for does not get. */
bool weft_fetch_is_private(const char *field);

#endif
