/* SPDX-License-Identifier: MIT
 * desk.h - jobs of a program of one's own, with handlers that tests need, and short words for what
 * tests do with them. What must not fail ends the program when it does. */
#ifndef WEFT_TESTS_SERVE_DESK_H
#define WEFT_TESTS_SERVE_DESK_H

#include "test.h"

#include <weft/group.h>
#include <weft/jobs.h>

#define NEW_YEAR_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */

/* echo    the payload is the result
 * fail    every attempt fails
 * flaky   {"fails": n}: so many attempts, each with the next after an hour
 * sleep   {"ms": n}
 * sleepy  the same on a thread of its own, not by weft's clock
 * parent  puts in an echo
 * late    weft_jobs_enqueue from inside: an echo of its number, on *desk_inside */
extern const struct weft_handler desk_handlers[];
#define DESK_HANDLERS 7

extern struct weft_jobs *desk_inside;

struct desk {
    struct weft_jobs *jobs;
    struct weft_group group;
};

/* The handlers above, in memory, seed 1 and the clock at NEW_YEAR_US, where options say nothing. */
struct weft_jobs_options desk_options(struct weft_jobs_options options);
void desk_open(struct desk *desk, struct weft_jobs_options options);
void desk_close(struct desk *desk);

/* Run jobs beside the test; and stop. */
void desk_run(struct desk *desk);
void desk_stop(struct desk *desk, int64_t grace_ns);

/* Put in one job; its request is good until the next call. */
const char *desk_put(struct desk *desk, struct weft_jobs_request request);
const char *desk_add(struct desk *desk, const char *task, const char *json);

/* The job as it is now, or its end, to be freed. */
struct weft_jobs_view *desk_find(struct desk *desk, const char *id);
struct weft_jobs_view *desk_end(struct desk *desk, const char *id);
enum weft_job_state desk_state(struct desk *desk, const char *id);
struct weft_jobs_counts desk_counts(struct desk *desk);

#define CHECK_TEXT(actual, expected)                                                               \
    do {                                                                                           \
        const char *actual_ = (actual);                                                            \
        bool same_ = actual_ && strcmp(actual_, (expected)) == 0;                                  \
        CHECK(same_);                                                                              \
        if (!same_)                                                                                \
            test_note("actual: %s", actual_ ? actual_ : "NULL");                                   \
    } while (0)

#endif
