/* SPDX-License-Identifier: MIT
 * map_internal.h - what map.c and map_stream.c share: their options, and who watches. */
#ifndef WEFT_FLOW_MAP_INTERNAL_H
#define WEFT_FLOW_MAP_INTERNAL_H

#include <weft/map.h>
#include <weft/sync.h>

#include <stdbool.h>

#define WEFT_MAP_CONCURRENCY 16u

/* Who is told of results: one call at a time. */
struct weft_map_watch {
    const struct weft_map_options *options;
    void *arg;
    struct weft_mutex mutex;
    struct weft_map_progress progress;
    struct weft_group tickers;
};

/* Returns 0, -EINVAL */
int weft_map_check(const struct weft_map_options *options);

/* Before and after everything else. end tells how far it is for the last time. */
int weft_map_watch_begin(struct weft_map_watch *watch, const struct weft_map_options *options,
                         void *arg, size_t count);
void weft_map_watch_end(struct weft_map_watch *watch);

/* An item, or a chunk, is done. */
void weft_map_watch_result(struct weft_map_watch *watch, size_t index, int result);

#endif
