/* SPDX-License-Identifier: MIT
 * job_state.h - the states in which a job can be, and the events that lead from one to another.
 *
 * The numbers are stored: new ones come at the end, and none changes. */
#ifndef WEFT_JOB_STATE_H
#define WEFT_JOB_STATE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

enum weft_job_state {
    WEFT_JOB_NONE,      /* no such job; as the outcome of an event: refused */
    WEFT_JOB_SCHEDULED, /* waits for its time */
    WEFT_JOB_AVAILABLE, /* waits for a worker */
    WEFT_JOB_RUNNING,   /* leased by a worker */
    WEFT_JOB_RETRYABLE, /* an attempt failed; waits for the time of the next one */
    WEFT_JOB_COMPLETED, /* done */
    WEFT_JOB_CANCELLED, /* nobody wants it any more: asked for, expired, or what it needed failed */
    WEFT_JOB_DEAD,    /* every attempt failed, or its holder was lost too often; kept to look at */
    WEFT_JOB_BLOCKED, /* waits for other jobs */
    WEFT_JOB_STATES,
};

enum weft_job_event {
    WEFT_JOB_DUE,      /* its time has come, or somebody does not want to wait for it */
    WEFT_JOB_UNBLOCK,  /* the jobs it waited for are done */
    WEFT_JOB_DEFER,    /* they are done, but its time has not come */
    WEFT_JOB_CLAIM,    /* a worker takes it; this counts the attempt */
    WEFT_JOB_COMPLETE, /* the attempt succeeded */
    WEFT_JOB_RETRY,    /* the attempt failed, another one follows */
    WEFT_JOB_DIE,      /* the attempt failed and it was the last, or no other is wanted */
    WEFT_JOB_RELEASE,  /* given back unfinished, without spending the attempt */
    WEFT_JOB_SNOOZE,   /* the task asks to be called later, without spending the attempt */
    WEFT_JOB_LOSE,   /* the holder of the lease is gone: a crash is counted, no attempt is spent */
    WEFT_JOB_CANCEL, /* nobody wants it any more */
    WEFT_JOB_EXPIRE, /* it had to begin before now */
    WEFT_JOB_REVIVE, /* once more from the start, by hand */
    WEFT_JOB_STOP,   /* it runs, and somebody wants it cancelled: its worker is told */
    WEFT_JOB_PROGRESS, /* it runs, and tells how far it is */
    WEFT_JOB_EVENTS,
};

/* Lower-case names in static storage; "none" for what is out of range. Any thread. */
WEFT_API const char *weft_job_state_name(enum weft_job_state state);
WEFT_API const char *weft_job_event_name(enum weft_job_event event);

/* Whether a job in this state is over: completed, cancelled or dead. */
WEFT_API int weft_job_state_is_final(enum weft_job_state state);

/* How long jobs that are over are kept. 0: 7 days, 7 days, 30 days; negative: for ever. */
struct weft_jobs_retention {
    int64_t completed_ns, cancelled_ns, dead_ns;
};

WEFT_END_DECLS

#endif
