/* SPDX-License-Identifier: MIT
 * broker.h - where jobs live: the interface that every store or message broker implements.
 *
 * A call is made by a fiber, suspends it, and returns when its effect is durable. Calls take
 * batches; unless it says so a batch is not a transaction: each item has its own err. A negative
 * result of the call itself means that nothing at all happened, and is every item's err as well:
 * WEFT_EFULL (too many calls under way), -ENOSPC, -EIO, -ENOMEM, -ESHUTDOWN (the broker is
 * closing), -ENOSYS (this broker has no such function).
 *
 * A call that changes something and was handed over is always waited for, also by a cancelled
 * fiber: such calls are no checkpoints, so that a cancelled job can still be settled. Those that
 * only read, and those that wait (claim with wait_us, events), are checkpoints.
 *
 * Only the broker's clock decides when something is due. A lease is an id with a token; whoever
 * comes with another token than the last claim's changes nothing and is told -ESTALE.
 *
 * Everything that becomes available, ends, or changes in any other way shows as an event: nobody
 * has to be told twice, or to ask again and again. */
#ifndef WEFT_JOB_BROKER_H
#define WEFT_JOB_BROKER_H

#include <job/job.h>

/* Capabilities. */
#define WEFT_BROKER_CLAIMS_ON_ENQUEUE 1u /* enqueue and claim in one step */
#define WEFT_BROKER_LEASES_UNTIL_CLOSE                                                             \
    2u                          /* a claim with lease_us 0 holds while the broker is open */
#define WEFT_BROKER_EVENTS  4u  /* events() tells of every change; else poll */
#define WEFT_BROKER_MANAGES 8u  /* the functions behind `find` in weft_broker_ops */
#define WEFT_BROKER_WAITS   16u /* claim() waits for a job, see wait_us */
#define WEFT_BROKER_CHOOSES 32u /* claim() takes only jobs of the tasks it names */
#define WEFT_BROKER_REGISTRY                                                                       \
    64u /* worker_join, worker_beat, worker_leave: it knows who works for it */

/* --- putting in --- */

/* A job is wanted only if none that counts as the same is there. */
struct weft_unique {
    int64_t window_us; /* one that was put in longer ago does not count; 0: however long ago */
    unsigned states;   /* bits 1 << enum weft_job_state: in others it does not count. 0: unfinished
                          ones, and completed ones if there is a window */
};

/* A job to wait for. */
struct weft_after {
    struct weft_uuid id; /* stored, or earlier in the same batch */
    bool any_end; /* whatever becomes of it; else it must complete, or the job is cancelled */
};

struct weft_enqueue {
    const struct weft_job *job; /* borrowed; what was asked and run_at_us are read: in the future
                                   means scheduled, else available. unique_key NULL: not unique */
    const struct weft_unique *unique; /* NULL with a unique_key: all zeros */
    const struct weft_after *after;
    size_t after_count; /* more than 0: blocked until they are done */
    bool claim;         /* to be run by the caller at once, if no other job of its queue goes
                           before it and no limit is in the way */

    bool claimed;              /* out: it is, and lease_token is set */
    uint64_t lease_token;      /* out */
    enum weft_job_state state; /* out: where it begins */
    uint64_t waiting;          /* out: jobs in its queue that wait for a worker or for their time */
    struct weft_uuid same;     /* out, with WEFT_EDUPLICATE: the job that is there */
    int err; /* out: 0; WEFT_EDUPLICATE; WEFT_EFULL (the queue has no room); -EEXIST (the id is in
                use: make another one); -ENOENT (a job to wait for is not known); -EMSGSIZE;
                -EINVAL (names, priority, attempts_max 0, a job to wait for named twice);
                -ENOBUFS (too many queues or tasks) */
};

struct weft_enqueue_batch {
    struct weft_enqueue *items;
    size_t count;
    bool atomic;      /* all or none: when one is refused the others get -ECANCELED. A duplicate is
                         refused, too, and then so are all others that are there already: their
                         `same` says where; none for one that doubles another of the batch */
    int64_t worker;   /* for claim: in the registry, 0: none */
    int64_t lease_us; /* for claim, as in weft_claim */
};

/* --- taking out --- */

struct weft_claim {
    const char *const *queues; /* asked in this order until jobs_max are there */
    size_t queues_count;
    const char *const *tasks; /* only jobs of these, WEFT_BROKER_CHOOSES; NULL: of all. Jobs of
                                 others before them are passed, so many in one call: then `more` is
                                 set, and the next claim of the same tasks goes on behind them */
    size_t tasks_count;
    int64_t worker;         /* in the registry, 0: none */
    int64_t lease_us;       /* 0: until the broker is closed, WEFT_BROKER_LEASES_UNTIL_CLOSE */
    int64_t wait_us;        /* how long to wait for the first, WEFT_BROKER_WAITS; 0: not at all */
    unsigned jobs_max;      /* at most so many */
    struct weft_job **jobs; /* room for jobs_max; out: the caller owns them, weft_job_free. Of each
                               queue: lowest priority number first, then earliest run_at, then
                               oldest id; but of eight jobs one is the longest waiting of all, if
                               it has waited for a minute: nothing starves */
    unsigned count;         /* out */
    bool more;       /* out: fewer than jobs_max, even none, because a call takes no more bytes, or
                        looks at no more jobs in vain: come again at once */
    int64_t next_us; /* out: a limit on a rate is reached, or what other tasks have in the way could
                        not be passed: come again in so long; else INT64_MAX */
};

struct weft_settlement {
    const struct weft_job *job; /* as it was claimed; id and lease_token are read; borrowed */
    enum weft_job_event event;  /* WEFT_JOB_COMPLETE, _RETRY, _DIE, _RELEASE, _SNOOZE, _CANCEL. Of a
                                   job that is being cancelled _RETRY, _RELEASE and _SNOOZE cancel */
    int64_t delay_us;           /* _RETRY, _SNOOZE: from now until it is due */
    struct weft_bytes result;   /* _COMPLETE; borrowed */
    const char *error;          /* _RETRY, _DIE, _CANCEL; borrowed; kept per attempt. NULL with
                                   _CANCEL: as whoever asked for it said */
    int64_t thread;             /* that ran it */
    struct weft_enqueue *follow; /* jobs put in by the same commit, all or none: when one is refused
                                    the settlement is, with its err */
    size_t follow_count;
    enum weft_job_state state; /* out: where it is now */
    int err; /* out: 0, -ESTALE, -EINVAL (event), -EMSGSIZE (result), or that of follow */
};

struct weft_lease {
    struct weft_uuid id;
    uint64_t token;
    int64_t lease_us;     /* holds so long from now; 0: leave its end as it is */
    const char *progress; /* JSON to be stored; NULL: as it is */
    bool cancelling;      /* out: somebody wants the job cancelled: stop it */
    int err; /* out: 0 the lease goes on; -ESTALE it is lost: stop the job; -EMSGSIZE */
};

/* What time has brought about: jobs whose time has come, leases that ran out, jobs that expired. */
struct weft_maintenance {
    uint64_t due, lost, expired; /* out */
    bool more;                   /* out: a limit was reached, call again at once */
    int64_t next_us; /* out: until something is due, unless more is put in; INT64_MAX: nothing */
};

/* --- events --- */

/* Two kinds tell a consumer to look again, with event WEFT_JOB_DUE from AVAILABLE to AVAILABLE: of
 * a job that was held back by the limit of its key and may now be claimed; and, with an id of all
 * zeros, of a queue whose settings were changed. task is NULL then. */
struct weft_broker_event {
    uint64_t number; /* rises by one from event to event; higher still after a restart */
    int64_t at_us;
    struct weft_uuid id;
    const char *task, *queue; /* valid while the broker is open */
    enum weft_job_event event;
    enum weft_job_state from, to; /* from NONE: it was put in, and event means nothing */
    uint16_t attempt;
};

/* Whether it is a job's step: neither of these two kinds. */
static inline bool weft_broker_event_is_step(const struct weft_broker_event *event)
{
    return event->event != WEFT_JOB_DUE || event->from != event->to;
}

/* --- management --- */

enum weft_cancel_kind {
    WEFT_CANCEL_JOB,  /* id is a job's */
    WEFT_CANCEL_FLOW, /* id is a flow's: all of its jobs, of many some after the others: on an error
                         some may be, and what is put in meanwhile is not */
};

struct weft_cancel {
    enum weft_cancel_kind kind;
    struct weft_uuid id;
    const char *reason;          /* NULL: "cancelled by request" */
    uint64_t cancelled, flagged; /* out: done at once, with those that needed them, unless they are
                                    many thousands; and running ones that were told, durably */
    enum weft_job_state state;   /* out, of a job: after the call */
};

struct weft_job_failure {
    unsigned attempt;
    int64_t at_us;
    char text[WEFT_JOB_ERROR_MAX + 1];
};

/* Which jobs to list, newest first. NULL or zero: whatever. */
struct weft_job_filter {
    enum weft_job_state state;
    const char *queue, *task;
    struct weft_uuid flow;
    struct weft_uuid before; /* only older ones than this: where the last page ended */
    size_t jobs_max;         /* 1 to 1,000 */
};

struct weft_job_page {
    struct weft_job **jobs; /* room for jobs_max; out, without payload and result; weft_job_free */
    size_t count;           /* out */
    bool more;              /* out: go on with filter.before = next. A page takes a bounded time, so
                               it may be short, even empty, and there is more all the same */
    struct weft_uuid next;  /* out */
};

#define WEFT_QUEUE_SIZE_DEFAULT ((uint64_t)1000000)
#define WEFT_QUEUE_SIZE_MAX     ((uint64_t)1 << 40)

/* Zero: no such limit. */
struct weft_queue_settings {
    bool paused;                  /* nothing is claimed from it */
    uint64_t size_max;            /* waiting jobs; 0: WEFT_QUEUE_SIZE_DEFAULT */
    uint32_t running_max;         /* at once, over all workers */
    uint32_t running_max_per_key; /* of jobs with the same limit_key */
    double rate_per_s;            /* claims */
    uint32_t burst;               /* claims at once; 0: the rate, at least 1. A new rate begins with
                                     all of it, a broker that is opened with nothing */
};

#define WEFT_QUEUES_MAX 4096u
#define WEFT_TASKS_MAX  65536u /* names of tasks */

struct weft_queue_info {
    const char *name; /* valid while the broker is open */
    struct weft_queue_settings settings;
    uint64_t jobs[WEFT_JOB_STATES]; /* final ones: since the queue was made */
    int64_t oldest_us; /* run_at of the available job that has waited longest, not counting those
                          held back by a limit per key; 0: none */
};

struct weft_worker_info {
    int64_t number; /* in the registry */
    char name[WEFT_JOB_NAME_MAX + 1];
    char host[65];
    int64_t pid;
    char version[33];
    char queues[513];                    /* for people, separated by commas */
    uint64_t concurrency, running, done; /* as it says */
    int64_t started_us, seen_us, ended_us;
};

/* What fires at the times of a schedule; `job` is a job request as the API takes it, JSON. */
struct weft_cron_entry {
    const char *name, *schedule, *zone, *missed, *job;
    bool paused;
    int64_t created_us, next_us, last_us;
    struct weft_uuid last_job;
};

struct weft_cron_fire {
    const char *name;
    int64_t planned_us; /* in: next_us as it was read; another value now: -ESTALE, nothing is put
                           in. That is what makes one of many schedulers fire */
    int64_t next_us;    /* in: the time after */
    struct weft_enqueue_batch batch; /* in: put in by the same commit; may be empty. When a queue
                                        has no room for one, or an id is in use, the call is refused
                                        with WEFT_EFULL or -EEXIST, and nothing happened; else each
                                        has its own err, and the schedule goes on all the same */
};

struct weft_audit_entry {
    int64_t at_us;
    char who[65], action[33], target[WEFT_JOB_KEY_MAX + 1], detail[257];
};

/* How long finished jobs are kept, by state; 0: for ever. */
struct weft_retention {
    int64_t completed_us, cancelled_us, dead_us;
};

/* One row about the queues, for people. */
struct weft_queue_metrics {
    int64_t time_us; /* 0 means now */
    uint64_t total, workers[4], active, processed;
};

#define WEFT_BROKER_METRICS_RECENT 10

struct weft_broker_stats {
    uint64_t jobs[WEFT_JOB_STATES]; /* by state; final ones: since the store was made */
    int64_t processing_sum_us, processing_min_us, processing_max_us; /* of completed jobs */
    struct weft_queue_metrics metrics[WEFT_BROKER_METRICS_RECENT];   /* newest first */
    unsigned metrics_count;
    /* Since open; what these calls cost. 0 where a broker has no such thing. */
    uint64_t operations, commits, batch_max;
};

struct weft_broker {
    const struct weft_broker_ops *ops;
};

struct weft_broker_ops {
    const char *name;
    unsigned capabilities;

    int (*enqueue)(struct weft_broker *broker, struct weft_enqueue_batch *batch);
    int (*claim)(struct weft_broker *broker, struct weft_claim *claim);
    int (*settle)(struct weft_broker *broker, struct weft_settlement *items, size_t count);
    int (*extend)(struct weft_broker *broker, struct weft_lease *items, size_t count);
    /* The same for the heartbeat: called by a thread that is no fiber, and blocks it, so that no
     * task can starve it. NULL with WEFT_BROKER_LEASES_UNTIL_CLOSE. */
    int (*beat)(struct weft_broker *broker, struct weft_lease *items, size_t count);
    int (*maintain)(struct weft_broker *broker, struct weft_maintenance *ret_maintenance);
    /* Events with a number above `after`, in order, at most `max`; waits for the first until the
     * deadline. Returns their number; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), -ECANCELED; -ESTALE: some
     * after `after` are gone, or none after it are from this broker; *ret_oldest is the `after` to
     * go on with from the oldest that is left, events_last() the one to go on with from now.
     * Checkpoint. Any number of fibers may wait. */
    int (*events)(struct weft_broker *broker, uint64_t after, struct weft_broker_event *events,
                  size_t max, int64_t deadline_ns, uint64_t *ret_oldest);
    uint64_t (*events_last)(struct weft_broker *broker); /* number of the latest; never suspends */
    int64_t (*now_us)(struct weft_broker *broker);       /* its clock; never suspends */
    /* Finish what was handed over, then free the broker. Suspends; no call may be under way. */
    void (*close)(struct weft_broker *broker);
    /* -ENOENT: unknown id. *ret_job is the caller's, weft_job_free. A checkpoint. */
    int (*find)(struct weft_broker *broker, const struct weft_uuid *id, struct weft_job **ret_job);

    /* The rest with WEFT_BROKER_MANAGES only. */
    /* The latest `max`, newest last. -ENOENT. */
    int (*failures)(struct weft_broker *broker, const struct weft_uuid *id,
                    struct weft_job_failure *failures, size_t max, size_t *ret_count);
    /* -EINVAL: jobs_max, state. A name that nothing has is no error. */
    int (*list)(struct weft_broker *broker, const struct weft_job_filter *filter,
                struct weft_job_page *page);
    /* -ENOENT; -EALREADY: it is over. */
    int (*cancel)(struct weft_broker *broker, struct weft_cancel *cancel);
    /* A job that is scheduled or retryable runs now; one that is dead or cancelled begins again
     * with all its attempts. *ret_state is where it is now. -ENOENT; -EALREADY: in another state,
     * *ret_state tells; WEFT_EDUPLICATE: another one has its unique key meanwhile. */
    int (*retry)(struct weft_broker *broker, const struct weft_uuid *id,
                 enum weft_job_state *ret_state);
    /* Remove jobs that ended longer ago than that, and results that are to go before their jobs; a
     * bounded number: *ret_more: call again. What an unfinished job waits for stays. It may take
     * an hour until a job that ran or waited for long is noticed. */
    int (*prune)(struct weft_broker *broker, const struct weft_retention *retention,
                 uint64_t *ret_removed, bool *ret_more);
    int (*stats)(struct weft_broker *broker, struct weft_broker_stats *ret_stats);
    int (*record)(struct weft_broker *broker, const struct weft_queue_metrics *metrics);

    /* In order of name; *ret_count can be more than max: so many there are. */
    int (*queues)(struct weft_broker *broker, struct weft_queue_info *queues, size_t max,
                  size_t *ret_count);
    int (*queue_find)(struct weft_broker *broker, const char *name, struct weft_queue_info *ret);
    /* Makes the queue when there is none of this name. -EINVAL, -ENOBUFS. */
    int (*queue_set)(struct weft_broker *broker, const char *name,
                     const struct weft_queue_settings *settings);

    /* The next three with WEFT_BROKER_REGISTRY, whatever else there is. */
    /* Enter the registry; worker->number is set. -EINVAL: the name. */
    int (*worker_join)(struct weft_broker *broker, struct weft_worker_info *worker);
    /* number, concurrency (0: as it was), running and done are read. -ENOENT: it has left, or was
     * not seen for too long: it has to join again. */
    int (*worker_beat)(struct weft_broker *broker, const struct weft_worker_info *worker);
    /* What it still holds by leases that end is lost at once, not only when they do; of very many,
     * and with many jobs that are due before them, some may be left to their leases. -ENOENT */
    int (*worker_leave)(struct weft_broker *broker, int64_t number);
    /* Newest first, at most max. Those that were last seen a day ago are removed when another one
     * joins, and the oldest beyond 10,000. */
    int (*workers)(struct weft_broker *broker, struct weft_worker_info *workers, size_t max,
                   size_t *ret_count);

    /* Put in or replace, by name; when it was made, last_us and last_job stay as they were.
     * -EINVAL: name; schedule or job NULL; a text longer than WEFT_JOB_KEY_MAX. -EMSGSIZE: job is
     * longer than WEFT_JOB_PAYLOAD_MAX. -ENOBUFS: more than 10,000, or 16 MiB of their jobs. */
    int (*cron_set)(struct weft_broker *broker, const struct weft_cron_entry *entry);
    int (*cron_remove)(struct weft_broker *broker, const char *name); /* -ENOENT */
    int (*cron_fire)(struct weft_broker *broker, struct weft_cron_fire *fire);
    /* In order of next_us, paused ones last, at most max; one block, freed with free(). */
    int (*crons)(struct weft_broker *broker, struct weft_cron_entry **ret_entries, size_t max,
                 size_t *ret_count);

    /* at_us 0: now. The latest 100,000 are kept. */
    int (*audit)(struct weft_broker *broker, const struct weft_audit_entry *entry);
    /* Newest first, at most max. */
    int (*audits)(struct weft_broker *broker, struct weft_audit_entry *entries, size_t max,
                  size_t *ret_count);
};

#endif
