/* SPDX-License-Identifier: MIT
 * consumers.h - who runs what in the service.
 *
 * Each worker of the seed has a bounded queue of its own, "process-0", "process-1" ..., for the
 * jobs of POST /process; one consumer more serves every other queue. A database may hold queues of
 * more workers than there are now: those are served by the workers there are. */
#ifndef WEFT_SERVE_CONSUMERS_H
#define WEFT_SERVE_CONSUMERS_H

#include <job/engine.h>
#include <serve/settings.h>

struct weft_consumers {
    struct weft_consumer_options
        options[WEFT_CONSUMERS_MAX]; /* the workers, then the general one */
    unsigned workers;
    struct weft_consumer_queue *queues; /* of the workers, with the names behind them */
    /* What was last heard of each worker's own queue. */
    uint64_t waiting[WEFT_CONSUMERS_MAX];
};

/* Set the bounds of the workers' queues and find out which others are there.
 * Returns  0, -ENOMEM, the broker's errors. Suspends. Release it in every case */
int weft_consumers_init(struct weft_consumers *consumers, struct weft_broker *broker,
                        const struct weft_serve_settings *settings);
void weft_consumers_release(struct weft_consumers *consumers);

/* The queue of a worker. */
const char *weft_consumers_queue(const struct weft_consumers *consumers, unsigned worker);

/* The worker whose queue this is; -1 for a queue of everybody's. */
int weft_consumers_worker_of(const char *queue);

/* Jobs that wait in the queues that a worker serves, its own and those left over. Suspends not. */
uint64_t weft_consumers_waiting(struct weft_consumers *consumers, struct weft_broker *broker,
                                unsigned worker);

/* The worker that a job with this id goes to: the one its hash points at; when that is busy, the
 * next that can run it at once, so that nothing waits while a place is free; when all are busy, the
 * first whose queue has room. -1: all are full. */
int weft_consumers_route(struct weft_consumers *consumers, struct weft_broker *broker,
                         const struct weft_engine *engine, const struct weft_uuid *id,
                         uint64_t queue_size);

#endif
