/* SPDX-License-Identifier: MIT
 * cache_core.h - a bounded table of values that expire: no clock, no lock, no allocation but its
 * own buckets. Entries are their maker's, on the heap or not; what leaves the table is handed back.
 */
#ifndef WEFT_FLOW_CACHE_CORE_H
#define WEFT_FLOW_CACHE_CORE_H

#include <base/list.h>

#include <stddef.h>
#include <stdint.h>

struct weft_cache_entry {
    struct weft_link in_bucket;
    struct weft_link in_use; /* core->use; once it has left, the list it was handed back in */
    uint64_t hash;
    int64_t expires_ns; /* fresh before */
    int64_t useless_ns; /* stale before */
    size_t key_bytes, value_bytes;
    bool absent; /* there is no such thing: no value */
    char data[]; /* key, value */
};

enum weft_cache_age {
    WEFT_CACHE_IS_FRESH,
    WEFT_CACHE_IS_STALE,
    WEFT_CACHE_IS_USELESS,
};

struct weft_cache_core {
    unsigned entries, entries_max;
    size_t bytes, bytes_max;
    struct weft_link use; /* all entries, the least recently used first */
    unsigned buckets_len; /* a power of two */
    struct weft_link *buckets;
};

/* How many buckets do for so many entries. */
unsigned weft_cache_core_buckets(unsigned entries_max);

/* buckets  room for weft_cache_core_buckets(entries_max); the caller's */
void weft_cache_core_init(struct weft_cache_core *core, unsigned entries_max, size_t bytes_max,
                          struct weft_link *buckets);

/* What an entry counts against bytes_max; SIZE_MAX when that is no number. */
size_t weft_cache_core_cost(size_t key_bytes, size_t value_bytes);

/* NULL: there is none. */
struct weft_cache_entry *weft_cache_core_find(struct weft_cache_core *core, const void *key,
                                              size_t key_bytes, uint64_t hash);

enum weft_cache_age weft_cache_core_age(const struct weft_cache_entry *entry, int64_t now_ns);

/* It was asked for just now. */
void weft_cache_core_touch(struct weft_cache_core *core, struct weft_cache_entry *entry);

/* Take an entry out and append it to handed_back. */
void weft_cache_core_remove(struct weft_cache_core *core, struct weft_cache_entry *entry,
                            struct weft_link *handed_back);

/* Put in an entry whose key is not there and which costs at most bytes_max; what has to go for it
 * is appended to evicted. */
void weft_cache_core_insert(struct weft_cache_core *core, struct weft_cache_entry *entry,
                            struct weft_link *evicted);

#endif
