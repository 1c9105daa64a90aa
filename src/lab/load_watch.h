/* SPDX-License-Identifier: MIT
 * load_watch.h - looks at a load while it runs: a row for each second, and views for the caller. */
#ifndef WEFT_LAB_LOAD_WATCH_H
#define WEFT_LAB_LOAD_WATCH_H

#include <lab/load_client.h>

struct weft_load_watch {
    struct weft_load_shared *shared;
    const struct weft_load_shard *shards;
    unsigned shards_count;
    const struct weft_load_options *options;
    struct weft_histogram *before, *now; /* all latencies until the row began, and scratch */
    int64_t begin_ns;                    /* of the row */
    uint64_t requests, succeeded;        /* when it began */
    uint64_t viewed;                     /* requests, at the view before */
    int64_t viewed_ns;
    double fraction;
    struct weft_load_second *rows;
    size_t rows_count, rows_room;
};

/* Returns 0, -ENOMEM. Free it with deinit, also after a failure; rows are then gone, unless they
 * were taken out. */
int weft_load_watch_init(struct weft_load_watch *watch, struct weft_load_shared *shared,
                         const struct weft_load_shard *shards, unsigned shards_count,
                         const struct weft_load_options *options);
void weft_load_watch_deinit(struct weft_load_watch *watch);

/* The fiber: arg is a watch. Returns -ECANCELED, -ENOMEM. */
int weft_load_watch_run(void *arg);

/* The last row, shorter than a second, when the clients have ended. Returns 0, -ENOMEM */
int weft_load_watch_end(struct weft_load_watch *watch, int64_t now_ns);

#endif
