/* SPDX-License-Identifier: MIT
 * state.h - the life of a job as one table: in which state which event leads where.
 *
 * The numbers are stored by brokers: append, never renumber. The picture in the docs is printed
 * from the same table (weft_job_state_diagram), so it cannot go stale. */
#ifndef WEFT_JOB_STATE_H
#define WEFT_JOB_STATE_H

struct weft_buffer;

enum weft_job_state {
    WEFT_JOB_NONE,      /* no such job; as the outcome of an event: refused */
    WEFT_JOB_SCHEDULED, /* waits for its time */
    WEFT_JOB_AVAILABLE, /* waits for a worker */
    WEFT_JOB_RUNNING,   /* leased by a worker */
    WEFT_JOB_RETRYABLE, /* an attempt failed; waits for the time of the next one */
    WEFT_JOB_COMPLETED, /* done */
    WEFT_JOB_CANCELLED, /* somebody asked for it not to be done */
    WEFT_JOB_DEAD,      /* every attempt failed, or the server ended too often while it ran */
    WEFT_JOB_BLOCKED,   /* waits for other jobs */
    WEFT_JOB_STATES,
};

enum weft_job_event {
    WEFT_JOB_DUE,      /* its time has come */
    WEFT_JOB_UNBLOCK,  /* the jobs it waited for are done */
    WEFT_JOB_CLAIM,    /* a worker takes it; this counts the attempt */
    WEFT_JOB_COMPLETE, /* the attempt succeeded */
    WEFT_JOB_RETRY,    /* the attempt failed, another one follows */
    WEFT_JOB_DIE,      /* the attempt failed, it was the last; or one crash too many */
    WEFT_JOB_RELEASE,  /* given back unfinished, without spending the attempt */
    WEFT_JOB_LOSE,   /* the holder of the lease is gone: a crash is counted, no attempt is spent */
    WEFT_JOB_CANCEL, /* nobody wants it any more */
    WEFT_JOB_REVIVE, /* once more from the start, by hand */
    WEFT_JOB_EVENTS,
};

/* The state that follows, WEFT_JOB_NONE when the event is refused. Any argument is allowed. */
enum weft_job_state weft_job_next(enum weft_job_state state, enum weft_job_event event);

/* Lower-case names in static storage; "none" for what is out of range. */
const char *weft_job_state_name(enum weft_job_state state);
const char *weft_job_event_name(enum weft_job_event event);

/* Append the table as a Mermaid state diagram. Failure shows in diagram->err. */
void weft_job_state_diagram(struct weft_buffer *diagram);

#endif
