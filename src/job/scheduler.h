/* SPDX-License-Identifier: MIT
 * scheduler.h - puts in the jobs of schedules when their time has come.
 *
 * Schedules are kept by the broker, with the time of their next run. That time moves on in the
 * same commit that puts the job in, and only who has read it right can move it: any number of
 * servers may run a scheduler on the same broker, and each run is put in once.
 *
 * A scheduler is one fiber. It reads only the schedules that are due and the one after them. */
#ifndef WEFT_JOB_SCHEDULER_H
#define WEFT_JOB_SCHEDULER_H

#include <job/broker.h>
#include <job/engine.h>

#define WEFT_SCHEDULE_ERROR_BYTES 256

/* What a schedule's job request came to. */
struct weft_scheduled_job {
    struct weft_job job; /* id, created_us, run_at_us and expires_us are left alone */
    struct weft_unique
        unique;            /* with a unique_key: while there is another one, a run is left out */
    int64_t delay_us;      /* from the time of the run until the job is due */
    int64_t expires_in_us; /* from then on; 0: it does not expire */
    void *memory;          /* that job points to: given to free() afterwards. May be NULL */
};

/* Zero means the default. Borrowed until weft_scheduler_close. */
struct weft_scheduler_options {
    struct weft_broker *broker; /* needed, with WEFT_BROKER_MANAGES */
    /* Needed: read entry->job, JSON, for the run at that time. Returns 0, or an error with a
     * sentence in error: then the run is left out. On the scheduler's fiber; may suspend. */
    int (*make)(void *context, const struct weft_cron_entry *entry, int64_t run_us,
                struct weft_scheduled_job *ret_job, char *error, size_t error_bytes);
    void *context;
    const char *zones; /* directory of the zone database, see weft_zone_open */
    int64_t grace_us;  /* 60 s: a run that is later than that was missed, and entry->missed counts:
                          "skip": it is left out; "once", or NULL: one run for all that were
                          missed; "all": each, the latest WEFT_CRON_RUNS_MAX */
    int64_t poll_ns;   /* 10 s: so late it learns what others changed without a poke */
    const struct weft_engine_log *log; /* or NULL */
    uint64_t seed;                     /* of ids; 0: drawn */
};

struct weft_scheduler_counts {
    uint64_t put_in;     /* jobs */
    uint64_t duplicates; /* runs left out for a unique key */
    uint64_t refused;    /* runs left out because their job request is wrong */
    uint64_t missed;     /* times at which a schedule moved on without any run */
    uint64_t errors;     /* calls that failed, each is tried again; schedules that cannot be read */
};

struct weft_scheduler;

/* Returns 0; -EINVAL (options), -ENOMEM, -EPERM outside a runtime. Never suspends. */
int weft_scheduler_open(struct weft_scheduler **ret_scheduler,
                        const struct weft_scheduler_options *options);

/* Put in jobs until the caller is cancelled. One call at a time.
 * Returns -ECANCELED; a run is then either in with all that belongs to it, or still to come.
 * Suspends */
int weft_scheduler_run(struct weft_scheduler *scheduler);

/* A schedule was set, removed, paused: look at once. From a fiber of the same worker. Never
 * suspends. */
void weft_scheduler_poke(struct weft_scheduler *scheduler);

/* weft_scheduler_run must have returned. NULL is fine. */
void weft_scheduler_close(struct weft_scheduler *scheduler);

void weft_scheduler_counts(const struct weft_scheduler *scheduler,
                           struct weft_scheduler_counts *ret_counts);

/* The first run after a time: what next_us is to be when a schedule is set.
 *
 * zone        NULL or "": UTC
 * created_us  what @every counts from: the time at which the schedule was made
 * error       on failure one sentence
 * Returns     0; -EINVAL (schedule or zone), -ERANGE (there is none); other errors of
 *             weft_zone_open. Suspends: reads a file on an offload thread */
int weft_schedule_next(const char *schedule, const char *zone, const char *zones,
                       int64_t created_us, int64_t after_us, int64_t *ret_next_us, char *error,
                       size_t error_bytes);

#endif
