/* SPDX-License-Identifier: MIT
 * worker_queues.h - the queues that a program names, as an engine takes them. */
#ifndef WEFT_SERVE_WORKER_QUEUES_H
#define WEFT_SERVE_WORKER_QUEUES_H

#include <job/engine.h>
#include <weft/work.h>

struct weft_worker_queues {
    struct weft_consumer_options consumer;
    struct weft_consumer_queue *queues;
};

/* What a program asks for. */
struct weft_worker_queues_options {
    const char *who;       /* that works, for people */
    const char *otherwise; /* the queue of a program that names none; "*": every queue */
    const struct weft_work_queue *queues;
    size_t count;
    bool strict;
    unsigned concurrency; /* 0 means 100 */
};

/* Check and translate. Begins as all zeros; release in every case.
 *
 * error    receives, on failure, one sentence for people
 * Returns  0, -EINVAL, -ENOMEM. Never suspends */
int weft_worker_queues_init(struct weft_worker_queues *queues,
                            const struct weft_worker_queues_options *options, char *error,
                            size_t error_bytes);
void weft_worker_queues_release(struct weft_worker_queues *queues);

#endif
