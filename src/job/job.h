/* SPDX-License-Identifier: MIT
 * job.h - one durable unit of work, as brokers store it and the engine reads it.
 *
 * Only what outlives the process is in here. What one server keeps while it runs a job is the
 * engine's struct weft_attempt. Times ending in _us are microseconds since 1970 on the broker's
 * clock; 0 means that it did not happen, or that there is no such limit. */
#ifndef WEFT_JOB_JOB_H
#define WEFT_JOB_JOB_H

#include <base/uuid.h>
#include <job/state.h>
#include <weft/retry.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_JOB_PAYLOAD_MAX  ((size_t)1 << 20) /* bytes */
#define WEFT_JOB_RESULT_MAX   ((size_t)2 << 20) /* a payload may come back with something added */
#define WEFT_JOB_PROGRESS_MAX ((size_t)4096)
#define WEFT_JOB_HEADERS_MAX  ((size_t)4096)
#define WEFT_JOB_ERROR_MAX    ((size_t)512) /* longer messages are cut */
#define WEFT_JOB_ERRORS_MAX   20u           /* kept per job: the latest */
#define WEFT_JOB_NAME_MAX     ((size_t)128) /* of a task, a queue, a worker, a schedule */
#define WEFT_JOB_KEY_MAX      ((size_t)255) /* of a unique key, a limit key */
#define WEFT_JOB_ATTEMPTS_MAX 1000u
#define WEFT_JOB_CRASHES_MAX  10u  /* a job that takes its worker with it must not do so for ever */
#define WEFT_JOB_AFTER_MAX    1000 /* jobs that one job waits for */
#define WEFT_JOB_INPUTS_BYTES ((size_t)8 << 20) /* of results handed to the job that waited */
#define WEFT_PRIORITY_DEFAULT 5
#define WEFT_PRIORITY_LAST    9 /* 0 goes first */

/* Bytes with a note of what they are; data may be NULL when len is 0. */
struct weft_bytes {
    const char *data;
    size_t len;
    bool json; /* UTF-8 JSON text, else bytes */
};

/* How long a job waits from a failure to its next attempt; see weft/retry.h. */
struct weft_job_backoff {
    enum weft_backoff kind;
    enum weft_jitter jitter; /* FULL, EQUAL or NONE */
    int64_t base_us, cap_us; /* base_us 0: as the task's handler has it */
};

/* What a job that waited for others is handed of each of them. */
struct weft_job_input {
    struct weft_uuid id;       /* all zeros when it is no longer stored */
    enum weft_job_state state; /* a final one; WEFT_JOB_NONE: it is no longer stored, or was begun
                                  again and is not over */
    struct weft_bytes result;  /* data NULL: none, or there was no room for it */
};

struct weft_job {
    /* What was asked: never changes. */
    struct weft_uuid id;
    const char *task;
    const char *queue;
    uint8_t priority;
    uint16_t attempts_max;
    int64_t created_us;
    int64_t expires_us;    /* not to be begun after that */
    int64_t timeout_us;    /* of one attempt: then it is told to end ... */
    int64_t grace_us;      /* ... and after that it is ended */
    int64_t result_ttl_us; /* the result is dropped so long after the end; 0: with the job */
    struct weft_job_backoff backoff;
    struct weft_uuid flow;    /* jobs that belong together; all zeros: none */
    const char *limit_key;    /* jobs with the same one share a queue's limit per key; or NULL */
    const char *unique_key;   /* or NULL */
    const char *content_type; /* of a payload that is not JSON; or NULL */
    const char *headers;      /* for the task, a JSON object of strings; or NULL */
    struct weft_bytes payload;

    /* What is to do. */
    enum weft_job_state state;
    uint16_t attempt;     /* counted when it is claimed; one that a crash cut off does not count */
    uint16_t crashes;     /* times its holder was lost while it ran */
    bool cancelling;      /* it runs, and somebody wants it cancelled */
    uint32_t waits_for;   /* WEFT_JOB_BLOCKED: so many jobs */
    int64_t run_at_us;    /* not before */
    uint64_t lease_token; /* of the present claim, 0 when nobody holds it */
    int64_t lease_until_us;        /* 0: until the broker is closed */
    const char *progress;          /* JSON, as last told by the task; or NULL */
    struct weft_job_input *inputs; /* of a claimed job that waited for others */
    size_t inputs_count;

    /* What came of it. */
    int64_t worker; /* in the registry, that has or had it last; 0: none */
    int64_t thread; /* that ran the last attempt */
    int64_t started_us, finished_us;
    struct weft_bytes result; /* data NULL: none */
    const char *error; /* of the last attempt that failed, or why it was cancelled; or NULL */
};

/* Copy a job and all it points to into one block of memory.
 * Returns  the copy, to be given to weft_job_free; NULL when memory is out */
struct weft_job *weft_job_copy(const struct weft_job *job);

/* Free what weft_job_copy made. NULL is fine. */
void weft_job_free(struct weft_job *job);

/* Whether text can name a task, a queue, a worker or a schedule: 1 to WEFT_JOB_NAME_MAX letters,
 * digits and any of . _ : - */
bool weft_job_name_is_valid(const char *text);

#endif
