/* SPDX-License-Identifier: MIT
 * job_json.h - what clients write about jobs, as plain structs.
 *
 *     {"task": "mail", "payload": {"to": "a@b"}, "delay": "1m30s", "max_attempts": 5}
 *
 * One such object, an array of them, or one in each line (NDJSON). What the members mean is said at
 * struct weft_job_request. What a client got wrong is said in one sentence, with the job's place
 * and the member's name; a member that nobody knows is refused. Nothing is accepted in part. */
#ifndef WEFT_SERVE_JOB_JSON_H
#define WEFT_SERVE_JOB_JSON_H

#include <base/arena.h>
#include <base/uuid.h>
#include <serve/refusal.h>

#include <weft/retry.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_JOB_REQUESTS_MAX      10000u  /* jobs in one body; more: 413 */
#define WEFT_JOB_REQUEST_AFTER_MAX 100000u /* entries of "after" in one body; more: 413 */
#define WEFT_JOB_WORD_MAX          128u    /* bytes of names: A-Z a-z 0-9 _ . : - */
#define WEFT_JOB_REQUEST_KEY_MAX   255u    /* bytes of keys: UTF-8 without control characters */
#define WEFT_JOB_CONTENT_TYPE_MAX  255u
#define WEFT_JOB_IDEMPOTENCY_KEYS  "idempotency:" /* how no unique key of a client's begins */
#define WEFT_JOB_DEPTH_MAX         32u            /* of brackets in a job; more: 400 */
#define WEFT_JOB_LENGTH_MAX_NS     (INT64_C(36525) * 86400 * 1000000000) /* 100 years */

struct weft_job_header {
    const char *name, *value;
};

/* Another job to wait for. */
struct weft_job_after {
    const char *name;    /* of a job of the same body, before it or behind; NULL: a stored one */
    uint32_t index;      /* that job's place among the requests */
    uint32_t position;   /* in the list */
    struct weft_uuid id; /* of the stored one */
};

enum weft_job_payload {
    WEFT_JOB_PAYLOAD_NONE,
    WEFT_JOB_PAYLOAD_JSON,  /* UTF-8 JSON as the client wrote it, with all digits of its numbers */
    WEFT_JOB_PAYLOAD_BYTES, /* what was base64 */
};

enum weft_job_after_policy {
    WEFT_JOB_AFTER_SUCCESS, /* run when all have completed */
    WEFT_JOB_AFTER_ANY,     /* run when all have ended, however */
};

/* One job as it was asked for. 0 or NULL: not given, the default counts. "A length" is a number of
 * seconds or a text like "1m30s", more than 0; "a time" is ISO 8601 with its zone, after 1970. */
struct weft_job_request {
    uint32_t place;        /* in the body: 1 for the first job, or the line */
    const char *task;      /* needed; a word of at most WEFT_JOB_WORD_MAX */
    const char *queue;     /* a word; "default" when not given, never NULL */
    const char *name;      /* a word, no UUID: a label for "after", once in a body */
    const char *group;     /* a word: what it belongs to, for people and filters */
    uint8_t priority;      /* 0, which goes first, to 9 */
    bool priority_given;   /* as 0 is no default */
    uint16_t attempts_max; /* "max_attempts", 1 to 1000 */

    enum weft_job_payload payload_kind;
    const char
        *payload; /* "payload" or "payload_base64", with a NUL behind it that does not count */
    size_t payload_len;
    const char *content_type; /* only with bytes */

    int64_t run_at_us;       /* a time; not with delay */
    int64_t delay_ns;        /* a length, or 0 */
    int64_t expires_at_us;   /* a time; not with expires_in */
    int64_t expires_in_ns;   /* a length */
    int64_t timeout_ns;      /* a length */
    int64_t soft_timeout_ns; /* a length, not above timeout */
    int64_t result_ttl_ns;   /* a length */

    /* "backoff": {"kind": "exponential", "base": 1, "cap": "1h", "jitter": "full"} */
    enum weft_backoff backoff;
    enum weft_jitter jitter;
    int64_t backoff_base_ns, backoff_cap_ns; /* lengths, the cap not below the base */

    /* "unique": {"key": "invoice-7", "window": "1h", "states": ["available", "running"]} */
    const char *unique_key; /* needed in there; NULL: the job need not be unique */
    int64_t unique_window_ns;
    uint32_t unique_states; /* a bit for each enum weft_job_state */

    const char *limit_key;
    struct weft_job_header *headers; /* "headers": {"traceparent": "..."} */
    size_t headers_count;

    struct weft_job_after *after; /* "after": ["name of one in this body", "id of a stored one"] */
    size_t after_count;           /* as they came, each once; they go in no circle */
    enum weft_job_after_policy after_policy; /* "after_policy": "success" or "any" */
};

/* All of a body. Everything the requests point to is in the arena, nothing in the body. */
struct weft_job_requests {
    struct weft_job_request *items;
    size_t count;
    uint32_t *order; /* places of all of them, so that each comes behind those it waits for by name;
                        NULL: they are in such an order as they are */
    bool single;     /* the body was one object, no list of them */
    struct weft_arena arena;
};

enum weft_job_body {
    WEFT_JOB_BODY_JSON,
    WEFT_JOB_BODY_LINES, /* application/x-ndjson; empty lines are passed over, but counted */
};

/* Read a body.
 *
 * Returns  0: ret_requests is to be given to weft_job_requests_deinit; -EINVAL (body), -ENOMEM,
 * with *ret_refusal set Threads  any; never suspends. Needs some 12 KiB of stack, for the parser
 * recurses */
int weft_job_json_parse(struct weft_job_requests *ret_requests, enum weft_job_body kind,
                        const char *body, size_t len, struct weft_refusal *ret_refusal);

void weft_job_requests_deinit(struct weft_job_requests *requests);

#endif
