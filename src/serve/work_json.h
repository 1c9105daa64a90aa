/* SPDX-License-Identifier: MIT
 * work_json.h - what workers in other languages say: bodies of /v1/lease, /v1/settle, /v1/extend.
 *
 * Each function reads a body into a struct that keeps what this header says.
 * Return   0: to be given to the _deinit function; -EINVAL (body), -ENOMEM, with *ret_refusal set
 * Threads  any; never suspend. Need some 12 KiB of stack */
#ifndef WEFT_SERVE_WORK_JSON_H
#define WEFT_SERVE_WORK_JSON_H

#include <base/arena.h>
#include <job/broker.h>
#include <serve/job_json.h>
#include <serve/refusal.h>

#include <weft/base.h>

#define WEFT_LEASE_QUEUES_MAX  64u
#define WEFT_LEASE_TASKS_MAX   1000u
#define WEFT_LEASE_JOBS_MAX    1000u           /* in one request, of each kind */
#define WEFT_LEASE_NS          (30 * WEFT_SEC) /* where it is not said */
#define WEFT_LEASE_LEAST_NS    WEFT_SEC
#define WEFT_LEASE_MOST_NS     (3600 * WEFT_SEC)
#define WEFT_LEASE_WAIT_MAX_NS (60 * WEFT_SEC)
#define WEFT_SETTLE_FOLLOW_MAX                                                                     \
    1000u /* further jobs of one settlement; WEFT_JOB_REQUESTS_MAX of all */
#define WEFT_SETTLE_DELAY_MAX (365 * (24 * (3600 * WEFT_SEC)))

/* Names, in the request's arena. */
struct weft_words {
    const char **words;
    size_t count;
};

struct weft_lease_request {
    struct weft_words queues; /* 1 to WEFT_LEASE_QUEUES_MAX */
    struct weft_words tasks;  /* count 0: whatever */
    uint64_t max;             /* jobs */
    uint64_t worker;          /* in the registry; 0: none */
    int64_t lease_ns, wait_ns;
    struct weft_arena arena;
};

struct weft_settle_item {
    struct weft_uuid id;
    uint64_t token;
    enum weft_job_event event;
    bool fails;                      /* "fail": by the attempts that are left it is RETRY or DIE */
    int64_t delay_ns;                /* -1: not said */
    const char *error;               /* NULL: not said */
    struct weft_bytes result;        /* JSON lies in the body, other bytes in the arena */
    struct weft_job_requests follow; /* "enqueue"; count 0: none. Only with COMPLETE */
};

struct weft_settle_request {
    struct weft_settle_item *items;
    size_t count; /* 1 to WEFT_LEASE_JOBS_MAX */
    size_t follow_total;
    struct weft_arena arena;
};

struct weft_extend_request {
    struct weft_lease *items; /* id, token; lease_us, 0 when there is only progress; progress */
    size_t count;             /* 1 to WEFT_LEASE_JOBS_MAX */
    struct weft_arena arena;
};

int weft_lease_request_parse(struct weft_lease_request *ret_request, const char *body, size_t len,
                             struct weft_refusal *ret_refusal);
int weft_settle_request_parse(struct weft_settle_request *ret_request, const char *body, size_t len,
                              struct weft_refusal *ret_refusal);
int weft_extend_request_parse(struct weft_extend_request *ret_request, const char *body, size_t len,
                              struct weft_refusal *ret_refusal);

void weft_lease_request_deinit(struct weft_lease_request *request);
void weft_settle_request_deinit(struct weft_settle_request *request);
void weft_extend_request_deinit(struct weft_extend_request *request);

#endif
