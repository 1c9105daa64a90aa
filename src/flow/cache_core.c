/* SPDX-License-Identifier: MIT
 * cache_core.c - see cache_core.h. */
#include <flow/cache_core.h>

#include <string.h>

#define BUCKETS_MAX (1u << 20)

unsigned weft_cache_core_buckets(unsigned entries_max)
{
    unsigned len = 1;
    while (len < entries_max && len < BUCKETS_MAX)
        len *= 2;
    return len;
}

void weft_cache_core_init(struct weft_cache_core *core, unsigned entries_max, size_t bytes_max,
                          struct weft_link *buckets)
{
    *core = (struct weft_cache_core){
        .entries_max = entries_max,
        .bytes_max = bytes_max,
        .buckets_len = weft_cache_core_buckets(entries_max),
        .buckets = buckets,
    };
    weft_list_init(&core->use);
    for (unsigned i = 0; i < core->buckets_len; i++)
        weft_list_init(&buckets[i]);
}

size_t weft_cache_core_cost(size_t key_bytes, size_t value_bytes)
{
    size_t cost = sizeof(struct weft_cache_entry);
    if (__builtin_add_overflow(cost, key_bytes, &cost) ||
        __builtin_add_overflow(cost, value_bytes, &cost))
        return SIZE_MAX;
    return cost;
}

static struct weft_link *bucket_of(struct weft_cache_core *core, uint64_t hash)
{
    return &core->buckets[hash & (core->buckets_len - 1)];
}

struct weft_cache_entry *weft_cache_core_find(struct weft_cache_core *core, const void *key,
                                              size_t key_bytes, uint64_t hash)
{
    struct weft_link *bucket = bucket_of(core, hash);
    WEFT_LIST_FOR_EACH (link, bucket) {
        struct weft_cache_entry *entry =
            weft_container_of(link, struct weft_cache_entry, in_bucket);
        if (entry->hash == hash && entry->key_bytes == key_bytes &&
            memcmp(entry->data, key, key_bytes) == 0)
            return entry;
    }
    return NULL;
}

enum weft_cache_age weft_cache_core_age(const struct weft_cache_entry *entry, int64_t now_ns)
{
    if (now_ns < entry->expires_ns)
        return WEFT_CACHE_IS_FRESH;
    return now_ns < entry->useless_ns ? WEFT_CACHE_IS_STALE : WEFT_CACHE_IS_USELESS;
}

void weft_cache_core_touch(struct weft_cache_core *core, struct weft_cache_entry *entry)
{
    weft_list_unlink(&entry->in_use);
    weft_list_append(&core->use, &entry->in_use);
}

void weft_cache_core_remove(struct weft_cache_core *core, struct weft_cache_entry *entry,
                            struct weft_link *handed_back)
{
    weft_list_unlink(&entry->in_bucket);
    weft_list_unlink(&entry->in_use);
    weft_list_append(handed_back, &entry->in_use);
    core->entries--;
    core->bytes -= weft_cache_core_cost(entry->key_bytes, entry->value_bytes);
}

void weft_cache_core_insert(struct weft_cache_core *core, struct weft_cache_entry *entry,
                            struct weft_link *evicted)
{
    size_t cost = weft_cache_core_cost(entry->key_bytes, entry->value_bytes);
    while (core->entries >= core->entries_max || core->bytes > core->bytes_max - cost)
        weft_cache_core_remove(
            core, weft_container_of(core->use.next, struct weft_cache_entry, in_use), evicted);
    weft_list_append(bucket_of(core, entry->hash), &entry->in_bucket);
    weft_list_append(&core->use, &entry->in_use);
    core->entries++;
    core->bytes += cost;
}
