/* SPDX-License-Identifier: MIT
 * fallback.h - when something fails, do something else in its place.
 *
 *     struct weft_fallback_options options = {.fallback = show_default, .fallback_arg = &page};
 *     int err = weft_fallback(&options, fetch_page, &page);
 *
 * Or take the last good value from a cache: then fn puts what it gets into value and returns how
 * many bytes it has, and so does weft_fallback, whether the value is new or old.
 *
 *     struct user user;
 *     struct weft_fallback_options options = {
 *         .cache = cache, .key = "17", .key_bytes = 2, .value = &user, .value_bytes = sizeof user};
 *     int len = weft_fallback(&options, fetch_user, &user);
 *
 * Source: Nygard, "Release It!", 2007 (fail fast, but not with nothing). */
#ifndef WEFT_FALLBACK_H
#define WEFT_FALLBACK_H

#include <weft/cache.h>

WEFT_BEGIN_DECLS

enum weft_fallback_event_kind {
    WEFT_FALLBACK_CACHED = 1, /* the cache had a value */
    WEFT_FALLBACK_RUN,        /* the fallback function was run */
};

struct weft_fallback_event {
    enum weft_fallback_event_kind kind;
    const char *name;
    int64_t at_ns;
    int failure; /* what fn returned */
    int result;  /* what weft_fallback returns instead */
};

/* Numbers over all calls that were given them. Zero it at first. While calls go on, other
 * threads read it with atomic loads, as the metrics do. */
struct weft_fallback_stats {
    uint64_t calls;
    uint64_t cached; /* answered from the cache */
    uint64_t run;    /* answered by the fallback function */
    uint64_t failed; /* results that called for a fallback, and the answer was a failure too */
};

struct weft_fallback_options {
    const char *name; /* for events; not copied; NULL means "fallback" */

    /* Whether a result calls for the fallback. NULL: every negative one. Not asked about
     * -ECANCELED, which never does: nobody wants the result any more. */
    int (*applies)(void *arg, int result);
    void *applies_arg;

    /* First choice: the last value that fn has put into value. NULL: no cache. It may be expired,
     * within weft_cache_options.stale_ns. */
    struct weft_cache *cache;
    const void *key;
    size_t key_bytes;
    void *value;
    size_t value_bytes; /* room in it */

    /* Second choice, told what fn returned. NULL: that failure is the result. */
    int (*fallback)(void *arg, int failure);
    void *fallback_arg;

    void (*on_event)(void *arg, const struct weft_fallback_event *event); /* may suspend */
    void *on_event_arg;
    struct weft_fallback_stats *stats; /* NULL: nobody counts */
};

/* Run fn(arg); when its result calls for it, the fallback.
 *
 * options  must stay until this returns
 * Returns  fn's result; in its place bytes from the cache, or the fallback's result, a failure too.
 *          -EINVAL: neither cache nor fallback, a cache without key or value, a long name; then fn
 *          did not run. A value that the cache does not take is no failure
 * Threads  any, as the cache is shared; suspends where fn, fallback and on_event do */
WEFT_API int weft_fallback(const struct weft_fallback_options *options, int (*fn)(void *),
                           void *arg);

WEFT_END_DECLS

#endif
