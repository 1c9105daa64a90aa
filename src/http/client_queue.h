/* SPDX-License-Identifier: MIT
 * client_queue.h - whose turn it is: so many at once in all, so many per host, hosts in turn.
 *
 * A host exists while somebody waits for it or is under way to it. No clock, no I/O. */
#ifndef WEFT_HTTP_CLIENT_QUEUE_H
#define WEFT_HTTP_CLIENT_QUEUE_H

#include <base/list.h>

#include <stdbool.h>
#include <stdint.h>

#define WEFT_HTTP_QUEUE_BUCKETS 1024

struct weft_http_host;

/* Part of what waits. */
struct weft_http_place {
    struct weft_link link; /* in host->waiting */
    struct weft_http_host *host;
};

struct weft_http_host {
    struct weft_link turn;    /* in queue->turns while somebody waits and may begin */
    struct weft_link waiting; /* places */
    unsigned running;
    struct weft_http_host *next; /* of the bucket */
    uint64_t hash;
    char name[];
};

struct weft_http_queue {
    unsigned running, running_max;
    unsigned host_max; /* 0: hosts are not told apart */
    struct weft_link turns;
    struct weft_http_host *everybody; /* where they are not */
    struct weft_http_host **buckets;
    uint64_t secret[2];
};

/* Returns 0, -ENOMEM */
int weft_http_queue_init(struct weft_http_queue *queue, unsigned running_max, unsigned host_max,
                         const uint64_t secret[2]);
void weft_http_queue_deinit(struct weft_http_queue *queue); /* zeros are fine */

/* Wait, at the end of the host's line. host: any name for it, not used where host_max is 0.
 * Returns 0, -ENOMEM */
int weft_http_queue_push(struct weft_http_queue *queue, struct weft_http_place *place,
                         const char *host);

/* The next who may begin, NULL when nobody may. It is under way until weft_http_queue_leave. */
struct weft_http_place *weft_http_queue_pop(struct weft_http_queue *queue);
void weft_http_queue_leave(struct weft_http_queue *queue, struct weft_http_place *place);

/* Give up waiting. */
void weft_http_queue_withdraw(struct weft_http_queue *queue, struct weft_http_place *place);

#endif
