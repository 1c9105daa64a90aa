/* SPDX-License-Identifier: MIT
 * api_body.h - JSON in: bodies of requests, and members of objects with exact complaints.
 *
 * Everything that is no good is answered here, so that handlers go on only with what is. */
#ifndef WEFT_SERVE_API_BODY_H
#define WEFT_SERVE_API_BODY_H

#include <weft/http_server.h>

#include <jansson.h>
#include <stdbool.h>

#define WEFT_API_DEPTH_MAX 32 /* of brackets in a body; jansson recurses, and stacks are small */

/* Parse the body, which must be a JSON object. Large ones are parsed on another thread. NULL: it
 * was answered. json_decref it. Suspends */
json_t *weft_api_body(struct weft_http_exchange *exchange);

/* The same for a body that may be left out: an empty object then. */
json_t *weft_api_body_or_empty(struct weft_http_exchange *exchange);

/* What is wrong with a request, as one sentence; empty: nothing so far. The first fault stays. */
struct weft_api_fault {
    char detail[200];
};

/* Remember a fault. Returns false, for callers that return. */
bool weft_api_fault(struct weft_api_fault *fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Answer 422 if there is a fault. Returns whether there is none. */
bool weft_api_is_valid(struct weft_http_exchange *exchange, const struct weft_api_fault *fault);

/* Members that nobody knows are a fault: names between spaces. */
void weft_api_only(struct weft_api_fault *fault, const json_t *object, const char *known);

/* Members. What is absent leaves *ret_value as it is; another type, or out of range, is a fault. */
void weft_api_get_string(struct weft_api_fault *fault, const json_t *object, const char *name,
                         const char **ret_value, size_t len_max);
void weft_api_get_bool(struct weft_api_fault *fault, const json_t *object, const char *name,
                       bool *ret_value);
void weft_api_get_count(struct weft_api_fault *fault, const json_t *object, const char *name,
                        uint64_t *ret_value, uint64_t max);
void weft_api_get_number(struct weft_api_fault *fault, const json_t *object, const char *name,
                         double *ret_value, double max);
/* Seconds as a number, or text like "1m30s". */
void weft_api_get_duration(struct weft_api_fault *fault, const json_t *object, const char *name,
                           int64_t *ret_us, int64_t max_us);

#endif
