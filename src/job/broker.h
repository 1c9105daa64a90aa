/* SPDX-License-Identifier: MIT
 * broker.h - where jobs live: the interface that every store or message broker implements.
 *
 * A call is made by a fiber, suspends it, and returns when its effect is durable. Calls take
 * batches; a batch is not a transaction: each item has its own err. A negative result of the call
 * itself means that nothing at all happened, and is every item's err as well: WEFT_EFULL (too many
 * calls under way), -ENOSPC, -EIO, -ENOMEM, -ESHUTDOWN (the broker is closing).
 *
 * A call that was handed over is always waited for, also by a cancelled fiber: these calls are no
 * checkpoints, so that a cancelled job can still be settled. Only find and stats are.
 *
 * Only the broker's clock decides when something is due. A lease is an id with a token; whoever
 * comes with another token than the last claim's changes nothing and is told -ESTALE. */
#ifndef WEFT_JOB_BROKER_H
#define WEFT_JOB_BROKER_H

#include <job/job.h>

/* Capabilities. */
#define WEFT_BROKER_CLAIMS_ON_ENQUEUE 1u /* enqueue and claim in one step */
#define WEFT_BROKER_LEASES_UNTIL_CLOSE                                                             \
    2u /* the opener holds its leases while it lives: no extend */

struct weft_enqueue {
    const struct weft_job *job; /* borrowed. lease_token is not read; state neither: a run_at_us
                                   in the future means scheduled, else available */
    bool claim;                 /* put it straight into running, as if claimed */
    uint64_t lease_token;       /* out, for claim */
    int err; /* out: 0; -EEXIST (the id is in use: make another one); -EMSGSIZE */
};

struct weft_claim {
    unsigned worker;        /* from this worker's queue */
    unsigned jobs_max;      /* at most so many */
    struct weft_job **jobs; /* room for jobs_max; out: the caller owns them, weft_job_free. Lowest
                               priority number first, then earliest run_at, then oldest id */
    unsigned count;         /* out */
    bool more; /* out: fewer than jobs_max because they are large, not because there are no more */
};

struct weft_settlement {
    const struct weft_job *job; /* as it was claimed: id, lease_token, worker, attempt, crashes,
                                   started_us are read; borrowed */
    enum weft_job_event event;  /* WEFT_JOB_COMPLETE, _RETRY, _DIE, _RELEASE, _CANCEL */
    int64_t delay_us;           /* _RETRY: from now until the next attempt */
    struct weft_bytes result;   /* _COMPLETE; borrowed */
    const char *error;          /* _RETRY, _DIE; borrowed; kept per attempt */
    int64_t thread;             /* that ran it */
    int err;                    /* out: 0, -ESTALE, -EINVAL (event) */
};

struct weft_lease {
    struct weft_uuid id;
    uint64_t token;
    int err; /* out: 0 the lease goes on; -ESTALE it is lost: stop the job */
};

/* Jobs whose time has come go from scheduled and retryable to available. */
struct weft_promotion {
    unsigned moved[WEFT_WORKERS_MAX]; /* out: into each worker's queue */
    bool more;                        /* out: a limit was reached, call again at once */
    int64_t next_us; /* out: until the next job is due; INT64_MAX when none waits */
};

struct weft_worker_counts {
    uint64_t available; /* ready to be claimed */
    uint64_t waiting;   /* for their time: scheduled, retryable, blocked */
};

/* One row about the queues, for people. */
struct weft_queue_metrics {
    int64_t time_us; /* 0 means now */
    uint64_t total, workers[4], active, processed;
};

#define WEFT_BROKER_METRICS_RECENT 10

struct weft_broker_stats {
    uint64_t jobs[WEFT_JOB_STATES];                                  /* by state */
    int64_t processing_sum_us, processing_min_us, processing_max_us; /* of completed jobs */
    struct weft_queue_metrics metrics[WEFT_BROKER_METRICS_RECENT];   /* newest first */
    unsigned metrics_count;
    /* Since open; what these calls cost. 0 where a broker has no such thing. */
    uint64_t operations, commits, batch_max;
};

struct weft_broker {
    const struct weft_broker_ops *ops;
};

/* The functions are called through weft_broker_* below or directly. */
struct weft_broker_ops {
    const char *name;
    unsigned capabilities;
    int (*enqueue)(struct weft_broker *broker, struct weft_enqueue *items, size_t count);
    int (*claim)(struct weft_broker *broker, struct weft_claim *claim);
    int (*settle)(struct weft_broker *broker, struct weft_settlement *items, size_t count);
    /* Say that leases are still held. Not needed with WEFT_BROKER_LEASES_UNTIL_CLOSE. */
    int (*extend)(struct weft_broker *broker, struct weft_lease *items, size_t count);
    int (*promote)(struct weft_broker *broker, struct weft_promotion *ret_promotion);
    /* -ENOENT: unknown id. *ret_job is the caller's, weft_job_free. A checkpoint. */
    int (*find)(struct weft_broker *broker, const struct weft_uuid *id, struct weft_job **ret_job);
    /* Jobs in the queues of workers 0 ... count-1; jobs of workers beyond them are moved there. */
    int (*adopt)(struct weft_broker *broker, struct weft_worker_counts *ret_counts, unsigned count);
    int (*record)(struct weft_broker *broker, const struct weft_queue_metrics *metrics);
    int (*stats)(struct weft_broker *broker, struct weft_broker_stats *ret_stats); /* checkpoint */
    int64_t (*now_us)(struct weft_broker *broker); /* its clock; never suspends */
    /* Finish what was handed over, then free the broker. Suspends; no call may be under way. */
    void (*close)(struct weft_broker *broker);
};

#endif
