/* SPDX-License-Identifier: MIT
 * engine.h - how a single exchange is made: a request goes out, a response comes in, and nothing is
 * decided. The three engines, and the two ways of the first of them, look the same from here. */
#ifndef WEFT_FETCH_ENGINE_H
#define WEFT_FETCH_ENGINE_H

#include <fetch/url.h>

#include <weft/fetch.h>

#include <stdbool.h>

struct weft_fetch_exchange {
    /* What is wanted; checked before (request.h). */
    const struct weft_fetch_url *parts;
    const char *url, *method;
    const struct weft_http_field *fields;
    size_t fields_count;
    const void *body;
    size_t body_len;
    size_t body_max;
    bool keeps_body;
    bool is_idempotent;
    int64_t deadline_ns;

    /* What came of it: the response, in answer->response; on failure a sentence in answer->error.
     */
    struct weft_fetch_answer *answer;
    int64_t begun_ns, ended_ns;
    bool sent; /* part of the request may have reached the server */
    uint64_t body_bytes;
};

/* What engines are told once; as in weft_fetcher_options, with the defaults filled in. */
struct weft_fetch_engine_ops {
    int (*open)(void **ret_engine, const struct weft_fetcher_options *options);
    /* Returns 0 or as weft_fetcher_get. Cancelled at any moment. */
    int (*exchange)(void *engine, struct weft_fetch_exchange *exchange);
    void (*close)(void *engine);
};

extern const struct weft_fetch_engine_ops weft_fetch_async;
extern const struct weft_fetch_engine_ops weft_fetch_threads; /* sync as well: one thread */

/* Make the answer empty, keeping its memory. */
void weft_fetch_answer_clear(struct weft_fetch_answer *answer);

/* The sentence for a failure: the first one stays. Returns err. */
int weft_fetch_fail(struct weft_fetch_answer *answer, int err, const char *why);

/* ---- storage of a response: URL, NUL, fields as "name", NUL, "value", NUL, then the body ---- */

struct weft_buffer;

/* Take the answer's storage to write a response into, and give it back, whatever came of it. */
void weft_fetch_storage_take(struct weft_fetch_answer *answer, struct weft_buffer *ret_buffer,
                             size_t len_max);
void weft_fetch_storage_give(struct weft_fetch_answer *answer, struct weft_buffer *buffer);

/* The content-type without what surrounds it, and other small things that every engine does. */
bool weft_fetch_announces_body(const char *method);

#endif
