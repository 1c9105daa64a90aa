/* SPDX-License-Identifier: MIT
 * engine.h - takes jobs in, has them run by tasks, settles them. Works with any broker.
 *
 * Each of the engine's workers has its own queue in the broker, bounded, and runs a bounded number
 * of jobs at once, each on a fiber. The engine keeps counts, not jobs: what waits, waits in the
 * broker. All of it belongs to one runtime thread. */
#ifndef WEFT_JOB_ENGINE_H
#define WEFT_JOB_ENGINE_H

#include <job/broker.h>
#include <job/task.h>

/* Zero means the default. */
struct weft_engine_options {
    struct weft_broker *broker;          /* borrowed; needed */
    const struct weft_handler *handlers; /* borrowed; needed */
    size_t handlers_count;
    unsigned workers;     /* 4, at most WEFT_WORKERS_MAX */
    unsigned concurrency; /* jobs at once per worker; 1000 */
    unsigned queue_size;  /* jobs waiting per worker; 100,000 */
};

struct weft_engine;

/* Make an engine and count what waits in the broker.
 * Returns  0; -EINVAL (options), -ENOMEM, the broker's errors. Suspends */
int weft_engine_open(struct weft_engine **ret_engine, const struct weft_engine_options *options);

/* Run jobs until weft_engine_drain was obeyed or the caller is cancelled, which is a drain without
 * grace. When it returns nothing runs any more, and every job was settled, or, where the broker
 * refused to the end, is left to the recovery at the next start.
 * Returns  0, -ENOMEM. Suspends */
int weft_engine_run(struct weft_engine *engine);

/* Claim nothing more; let what runs go on for grace_ns, then cancel it and give it back. From
 * another fiber; does not wait. A second call can shorten the grace. */
void weft_engine_drain(struct weft_engine *engine, int64_t grace_ns);

/* Free it; weft_engine_run must have returned or never been called. NULL is fine. */
void weft_engine_close(struct weft_engine *engine);

struct weft_receipt {
    struct weft_uuid id;
    unsigned worker;       /* whose queue took it */
    uint64_t queued_total; /* jobs that wait, over all workers */
    int64_t created_us;
};

/* Accept one job: when this returns 0 it is durable.
 *
 * task     one of the handlers' names
 * payload  borrowed for the call
 * Returns  0; -ENOENT (no such task), -EMSGSIZE (payload), WEFT_EFULL (every queue is full),
 *          -ESHUTDOWN (draining), the broker's errors
 * Suspends; no checkpoint: a job is either accepted, and said to be, or not */
int weft_engine_submit(struct weft_engine *engine, const char *task,
                       const struct weft_bytes *payload, struct weft_receipt *ret_receipt);

struct weft_engine_counts {
    unsigned workers, concurrency, queue_size; /* as in the options */
    uint64_t queued[WEFT_WORKERS_MAX];         /* waiting, per worker */
    uint64_t queued_total;
    uint64_t running;                                    /* jobs between claim and settlement */
    uint64_t completed, failed, retried, released, lost; /* since open */
    uint64_t broker_errors; /* calls that failed; each was or will be tried again */
};

void weft_engine_counts(const struct weft_engine *engine, struct weft_engine_counts *ret_counts);

#endif
