/* SPDX-License-Identifier: MIT
 * cache.h - remembers values for a while, and serves old ones while new ones cannot be had.
 *
 *     int load_user(void *user_id, void *ret, size_t ret_bytes);  // asks the database
 *
 *     struct user user;
 *     int len = weft_cache_load(cache, "17", 2, load_user, &id, &user, sizeof user, WEFT_FOREVER);
 *
 * A value is fresh for ttl_ns. After that it is loaded anew; while that fails it still serves, for
 * stale_ns (RFC 5861, stale-if-error). Of those who miss the same key at the same time one loads it
 * (weft/flight.h). When there is no more room, what was not asked for for the longest time goes.
 *
 * Keys and values are bytes, copied in and out. In memory only. Keys are found by a keyed hash
 * (SipHash-1-3), so strangers who choose them cannot make it slow; they can push out others. */
#ifndef WEFT_CACHE_H
#define WEFT_CACHE_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_cache;

/* For weft_cache_options.stale_ns: what has expired is of no use. */
#define WEFT_CACHE_NO_STALE (-1)

enum weft_cache_event_kind {
    WEFT_CACHE_STALE = 1, /* loading failed, and an expired value was served */
    WEFT_CACHE_EVICTED,   /* a value went, to make room for another */
};

struct weft_cache_event {
    enum weft_cache_event_kind kind;
    const char *name;
    int64_t at_ns;
    const void *key; /* for the length of the call */
    size_t key_bytes;
    int failure; /* WEFT_CACHE_STALE: why there was nothing fresh: the loader's
                    error, or that of waiting for another's load; else 0 */
};

struct weft_cache_options {
    const char *name; /* copied; NULL means "cache" */
    enum weft_sharing sharing;
    unsigned entries_max; /* 0 means 1,024; at most 16,777,216 */
    size_t bytes_max;     /* keys, values and what an entry costs; 0 means 16 MiB; at most 1 GiB */
    int64_t ttl_ns;       /* 0 means 60 s */
    double ttl_jitter;    /* 0 to 1: up to that share of ttl_ns is taken off, drawn for each value,
                             so that what was stored together does not expire together */
    int64_t stale_ns;     /* 0 means 10 min; WEFT_CACHE_NO_STALE */
    int64_t negative_ttl_ns; /* for so long a loader's -ENOENT is remembered; 0: it is not */
    unsigned loads_max;      /* keys that are being loaded at once; 0 means 1,024 */
    unsigned waiters_max;    /* calls that wait for others' loads; 0 means 65,536 */
    uint64_t seed;           /* 0: drawn */

    /* Called without a lock; must not close the cache or suspend. */
    void (*on_event)(void *arg, const struct weft_cache_event *event);
    void *on_event_arg;
};

struct weft_cache_snapshot {
    unsigned entries;
    size_t bytes;
    uint64_t hits, misses; /* of get and load; a remembered -ENOENT is a hit, stale is a miss */
    uint64_t stale;        /* expired values that were served */
    uint64_t evictions;    /* for room */
    uint64_t loads,
        failed;        /* loader runs; those that failed otherwise than by -ENOENT, -ECANCELED */
    uint64_t not_kept; /* values that were too large, had no memory, or were outdated by a put or
                          remove while they were loaded */
};

/* Make an empty cache.
 *
 * options  NULL means all defaults; not kept
 * Returns  0; -EINVAL (a number below 0, not a number or too large; a long name), -ENOMEM, -EPERM
 *          (WEFT_LOCAL outside a runtime)
 * Never suspends. Every other call says -EPERM for a cache that is local to another worker, and
 * -EINVAL without a key; only weft_cache_load suspends */
WEFT_API int weft_cache_open(struct weft_cache **ret_cache,
                             const struct weft_cache_options *options);

/* Free it and all it has. Nobody may be in a call on it. NULL is fine. */
WEFT_API void weft_cache_close(struct weft_cache *cache);

/* Copy a fresh value to ret_value; weft_cache_get_stale: one that has expired will do.
 * Returns  its bytes; -ENOENT; -ENOBUFS (it is longer than value_max: nothing was copied) */
WEFT_API int weft_cache_get(struct weft_cache *cache, const void *key, size_t key_bytes,
                            void *ret_value, size_t value_max);
WEFT_API int weft_cache_get_stale(struct weft_cache *cache, const void *key, size_t key_bytes,
                                  void *ret_value, size_t value_max);

/* Remember a value, fresh from now on, in place of the one before, which is gone also when this
 * fails. Returns  0; WEFT_EFULL (larger than the whole cache), -ENOMEM */
WEFT_API int weft_cache_put(struct weft_cache *cache, const void *key, size_t key_bytes,
                            const void *value, size_t value_bytes);

/* Forget one value, or all. What is being loaded is not remembered either, and who asks from now on
 * does not get it. Returns 0; -ENOENT (there was no value). */
WEFT_API int weft_cache_remove(struct weft_cache *cache, const void *key, size_t key_bytes);
WEFT_API int weft_cache_clear(struct weft_cache *cache);

/* Get a fresh value, or load it, or serve an expired one when that fails.
 *
 * load         returns how many bytes of ret_value it has filled; -ENOENT: there is no such thing,
 *              which is an answer, so nothing stale is served; another error is a failure
 * deadline_ns  absolute, for waiting for another's load; load is not cut short
 * Returns      bytes in ret_value, also of an expired value when the load or waiting for it failed;
 *              load's error; -ENOBUFS; -ECANCELED; otherwise as weft_flight_do, which see
 * Suspends, and is a checkpoint */
WEFT_API int weft_cache_load(struct weft_cache *cache, const void *key, size_t key_bytes,
                             int (*load)(void *arg, void *ret_value, size_t value_max), void *arg,
                             void *ret_value, size_t value_max, int64_t deadline_ns);

/* How it is. Returns 0, -EPERM. */
WEFT_API int weft_cache_snapshot(struct weft_cache *cache,
                                 struct weft_cache_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
