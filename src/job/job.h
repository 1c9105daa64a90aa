/* SPDX-License-Identifier: MIT
 * job.h - one durable unit of work, as brokers store it and the engine reads it.
 *
 * Only what outlives the process is in here. What one server keeps while it runs a job is the
 * engine's struct weft_attempt. Times are microseconds since 1970 on the broker's clock. */
#ifndef WEFT_JOB_JOB_H
#define WEFT_JOB_JOB_H

#include <base/uuid.h>
#include <job/state.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_JOB_PAYLOAD_MAX  ((size_t)1 << 20) /* bytes */
#define WEFT_JOB_RESULT_MAX   ((size_t)2 << 20) /* a payload may come back with something added */
#define WEFT_JOB_ERROR_MAX    ((size_t)512)     /* longer messages are cut */
#define WEFT_JOB_NAME_MAX     ((size_t)128)     /* of a task */
#define WEFT_JOB_ATTEMPTS_MAX 1000u
#define WEFT_JOB_CRASHES_MAX  10u /* a job that takes the server with it must not do so for ever */
#define WEFT_PRIORITY_DEFAULT 5
#define WEFT_PRIORITY_LAST    9 /* 0 goes first */
#define WEFT_WORKERS_MAX      64u

/* Bytes with a note of what they are; data may be NULL when len is 0. */
struct weft_bytes {
    const char *data;
    size_t len;
    bool json; /* UTF-8 JSON text, else bytes */
};

struct weft_job {
    /* What was asked: never changes. */
    struct weft_uuid id;
    const char *task;
    uint8_t priority;
    uint16_t attempts_max;
    int64_t created_us;
    struct weft_bytes payload;

    /* What is to do. */
    enum weft_job_state state;
    uint16_t worker;      /* whose queue it is in */
    uint16_t attempt;     /* counted when it is claimed; one that a crash cut off does not count */
    uint16_t crashes;     /* times the server ended while it ran */
    int64_t run_at_us;    /* not before */
    uint64_t lease_token; /* of the present claim, 0 when nobody holds it */

    /* What came of it. 0 or empty as long as it did not happen. */
    int64_t started_us, finished_us;
    int64_t thread;           /* that ran the last attempt */
    struct weft_bytes result; /* data NULL: none */
    const char *error;        /* of the last attempt that failed, NULL: none */
};

/* Copy a job and all it points to into one block of memory.
 * Returns  the copy, to be given to weft_job_free; NULL when memory is out */
struct weft_job *weft_job_copy(const struct weft_job *job);

/* Free what weft_job_copy made. NULL is fine. */
void weft_job_free(struct weft_job *job);

#endif
