/* SPDX-License-Identifier: MIT
 * map.h - run a function for many items, so many at once: fan-out and fan-in.
 *
 *     static int fetch(void *arg, void *item, size_t index) { ... return status; }
 *
 *     int results[1000];
 *     const struct weft_map_options options = {.concurrency_max = 20};
 *     int err = weft_map(&options, fetch, client, urls, sizeof urls[0], 1000, results);
 *
 * Not a fiber per item, but as many as may run at once, each of which takes the next item when it
 * is done with one: a million items cost no more memory than twenty. They are children of the
 * calling fiber's scope, so a deadline or a cancellation around the call reaches all of them. */
#ifndef WEFT_MAP_H
#define WEFT_MAP_H

#include <weft/group.h>

WEFT_BEGIN_DECLS

/* What a failed item means to the others. */
enum weft_map_errors {
    WEFT_MAP_FAIL_FAST, /* it cancels them, and is the result */
    WEFT_MAP_COLLECT,   /* nothing: all are run, and the failed ones counted */
};

struct weft_map_progress {
    size_t done, failed; /* items, or chunks, so far */
    size_t count;        /* of all; 0 for weft_map_stream, which does not know */
};

/* The callbacks get the arg of the call and are called one at a time. */
struct weft_map_options {
    const char *name;              /* of its fibers; NULL means "map" */
    unsigned concurrency_max;      /* at once; 0 means 16, at most 65,536 */
    enum weft_map_errors on_error; /* 0 means WEFT_MAP_FAIL_FAST */
    /* weft_map: so many items, all of them through, before the next begin; 0: no such barrier.
     * weft_map_chunks: items for one call, 0 means 100. weft_map_stream: not used. */
    size_t chunk_items;
    int64_t deadline_ns; /* absolute; 0 means none; passing it cancels what runs: -ETIMEDOUT */
    int worker;          /* where fn runs: WEFT_HERE, WEFT_ANY_WORKER (all cores), WEFT_WORKER(n) */
    size_t stack_bytes;  /* as in struct weft_spawn_options */
    /* Each result as it comes, in the order in which they are done; by the fiber that ran fn, which
     * does not go on before this returns; may suspend. Not for weft_map_stream, which has sink */
    void (*on_done)(void *arg, size_t index, int result);
    /* How far it is: every so many items, every so many ns (also while none is done), and at the
     * end. Must not suspend */
    void (*on_progress)(void *arg, const struct weft_map_progress *progress);
    size_t progress_items; /* 0: not by number */
    int64_t progress_ns;   /* 0: not by time */
    /* weft_map_stream */
    int ordered;         /* sink gets the items as next gave them; else as they are done */
    unsigned window_max; /* items that wait for fn, for an earlier item, for sink: so many each;
                            0 means twice concurrency_max; at most 1,048,576 */
    void (*drop)(void *arg, const void *item); /* was read and will not get to sink, or has failed
                                                  and is as it was before fn; may be NULL; must not
                                                  suspend */
};

/* Call fn for each of count items, in order as far as when it begins is concerned.
 *
 * options  NULL means all defaults; not kept
 * fn       gets the item and its index from 0; 0 or more is success
 * items    an array of items of item_bytes; NULL: fn gets NULL for an item
 * ret_results  room for count results, in the order of the items, or NULL. Those of items that were
 *          not run are -ECANCELED
 * Returns  WEFT_MAP_FAIL_FAST: 0, or the first failure. WEFT_MAP_COLLECT: how many failed, at most
 *          INT_MAX. Where items were left out for that reason: -ECANCELED (the caller is
 *          cancelled), -ETIMEDOUT (deadline_ns). -EINVAL (options), -EPERM outside a runtime,
 *          -ENOMEM
 * Suspends, and returns only when nothing of it runs any more */
WEFT_API int weft_map(const struct weft_map_options *options,
                      int (*fn)(void *arg, void *item, size_t index), void *arg, void *items,
                      size_t item_bytes, size_t count, int *ret_results);

/* The same in chunks of options->chunk_items, the last of what is left: fn gets the first of its
 * items, the index of that, and how many they are. Results, on_done and progress are by chunk,
 * counted from 0. */
WEFT_API int weft_map_chunks(const struct weft_map_options *options,
                             int (*fn)(void *arg, void *items, size_t first, size_t count),
                             void *arg, void *items, size_t item_bytes, size_t count,
                             int *ret_results);

/* The same for items that are read one by one, and whose results are given away one by one. Only so
 * many as options say are inside: next is not called while there is no room for another.
 *
 * next     writes the next item and returns 1; 0: there are no more; negative: an error, which ends
 *          the input. Called by the calling fiber; may suspend
 * fn       gets a copy of the item, which it may change, and the item's number from 0
 * sink     gets the item as fn left it, and fn's result (with WEFT_MAP_FAIL_FAST no failures).
 *          Negative: stop everything, this is the result, and the item goes to drop. Called by
 *          one fiber of the caller's worker; may suspend. NULL: nobody wants them
 * item_bytes  1 to 4,080
 * Returns  as weft_map; an error of next or sink
 * Suspends, and returns only when nothing of it runs any more */
WEFT_API int weft_map_stream(const struct weft_map_options *options,
                             int (*next)(void *arg, void *ret_item),
                             int (*fn)(void *arg, void *item, size_t index),
                             int (*sink)(void *arg, const void *item, int result), void *arg,
                             size_t item_bytes);

WEFT_END_DECLS

#endif
