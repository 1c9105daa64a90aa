/* SPDX-License-Identifier: MIT
 * fetcher.h - a fetcher inside. */
#ifndef WEFT_FETCH_FETCHER_H
#define WEFT_FETCH_FETCHER_H

#include <fetch/engine.h>
#include <fetch/host.h>

#include <weft/fetch.h>

struct weft_keyed_limiter;
struct weft_limiter;
struct weft_retry_budget;

struct weft_fetcher {
    struct weft_fetcher_options options; /* defaults filled in */
    struct weft_breaker_options breakers;
    struct weft_fetch_hosts hosts;
    struct weft_limiter *rate; /* NULL: none, as the next two */
    struct weft_keyed_limiter *host_rate;
    struct weft_retry_budget *budget;
    struct weft_semaphore places;
    const struct weft_fetch_engine_ops *ops;
    void *engine; /* NULL: not open */
    uint64_t draws;
    struct weft_fetcher_stats counts; /* atomic */
};

/* Told when a call begins to wait for anything but the network, and when that is over: for whoever
 * has something else to do meanwhile. Neither may suspend. */
struct weft_fetch_patience {
    void (*begin)(void *arg);
    void (*end)(void *arg);
    void *arg;
};

/* weft_fetcher_get with ears; patience may be NULL. */
int weft_fetcher_get_with(struct weft_fetcher *fetcher, const struct weft_fetch_request *request,
                          struct weft_fetch_answer *answer, int64_t deadline_ns,
                          const struct weft_fetch_patience *patience);

/* Counters that all workers write. */
#define weft_fetch_count(at, by) ((void)__atomic_fetch_add(at, by, __ATOMIC_RELAXED))

#endif
