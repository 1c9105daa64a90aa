/* SPDX-License-Identifier: MIT
 * cache.c - see weft/cache.h. Guard, clock, memory and loading around cache_core.c.
 *
 * Under the guard entries only change hands; they are allocated before and freed after. A load that
 * has begun before a put, remove or clear of its key must not overwrite what that has done: loads
 * stand in a list, where these mark them. */
#include <base/siphash.h>
#include <base/time.h>
#include <flow/cache_core.h>
#include <flow/pattern.h>
#include <runtime/worker.h>

#include <weft/cache.h>
#include <weft/flight.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_DEFAULT  1024u
#define ENTRIES_MAX      (1u << 24)
#define BYTES_DEFAULT    ((size_t)16 << 20)
#define BYTES_MAX        ((size_t)1 << 30)
#define TTL_DEFAULT_NS   (60 * WEFT_SEC)
#define STALE_DEFAULT_NS (600 * WEFT_SEC)

_Static_assert(BYTES_MAX <= INT_MAX, "the length of a value is a result");

struct weft_cache {
    struct weft_guard guard;
    struct weft_cache_core core;
    struct weft_cache_options options;
    struct weft_cache_snapshot counts; /* entries and bytes are the core's */
    struct weft_random random;
    uint64_t secret[2];        /* of the hash */
    struct weft_link loadings; /* struct loading, on their loaders' stacks */
    struct weft_flight *flight;
    char name[WEFT_NAME_MAX + 1];
};

struct key {
    const void *data;
    size_t bytes;
    uint64_t hash;
};

struct loading {
    struct weft_link link;
    struct weft_cache *cache;
    struct key key;
    bool outdated; /* what it brings must not be kept */
    int (*load)(void *arg, void *ret_value, size_t value_max);
    void *arg;
};

/* ---- opening and closing --------------------------------------------------------------- */

static int fill_in(struct weft_cache_options *options)
{
    if (options->ttl_ns < 0 || options->negative_ttl_ns < 0 ||
        options->stale_ns < WEFT_CACHE_NO_STALE || options->entries_max > ENTRIES_MAX ||
        options->bytes_max > BYTES_MAX || !(options->ttl_jitter >= 0 && options->ttl_jitter <= 1))
        return -EINVAL;
    if (!options->entries_max)
        options->entries_max = ENTRIES_DEFAULT;
    if (!options->bytes_max)
        options->bytes_max = BYTES_DEFAULT;
    if (!options->ttl_ns)
        options->ttl_ns = TTL_DEFAULT_NS;
    if (!options->stale_ns)
        options->stale_ns = STALE_DEFAULT_NS;
    return 0;
}

static int open_parts(struct weft_cache *cache)
{
    const struct weft_cache_options *options = &cache->options;
    const struct weft_flight_options flight = {.name = cache->name,
                                               .sharing = options->sharing,
                                               .keys_max = options->loads_max,
                                               .waiters_max = options->waiters_max};
    int err = weft_guard_init(&cache->guard, options->sharing);
    if (err == 0)
        err = weft_flight_open(&cache->flight, &flight);
    if (err < 0)
        return err;
    struct weft_link *buckets =
        calloc(weft_cache_core_buckets(options->entries_max), sizeof *buckets);
    if (!buckets)
        return -ENOMEM;
    weft_cache_core_init(&cache->core, options->entries_max, options->bytes_max, buckets);
    return 0;
}

int weft_cache_open(struct weft_cache **ret_cache, const struct weft_cache_options *options)
{
    struct weft_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return -ENOMEM;
    weft_list_init(&cache->core.use); /* from here close copes with a half-built one */
    weft_list_init(&cache->loadings);
    if (options)
        cache->options = *options;
    int err = fill_in(&cache->options);
    if (err == 0)
        err = weft_pattern_name(cache->name, cache->options.name, "cache");
    if (err == 0)
        err = open_parts(cache);
    if (err < 0) {
        weft_cache_close(cache);
        return err;
    }
    cache->options.name = cache->name;
    weft_pattern_seed(&cache->random, cache->options.seed);
    weft_pattern_secret(cache->secret, cache->options.seed);
    *ret_cache = cache;
    return 0;
}

static struct weft_cache_entry *entry_of(struct weft_link *link)
{
    return weft_container_of(link, struct weft_cache_entry, in_use);
}

static void free_all(struct weft_link *entries)
{
    while (!weft_list_empty(entries)) {
        struct weft_cache_entry *entry = entry_of(entries->next);
        weft_list_unlink(&entry->in_use);
        free(entry);
    }
}

void weft_cache_close(struct weft_cache *cache)
{
    if (!cache)
        return;
    free_all(&cache->core.use);
    free(cache->core.buckets);
    weft_flight_close(cache->flight);
    free(cache);
}

/* ---- keys, events ---------------------------------------------------------------------- */

/* Returns 0, -EINVAL. */
static int make_key(const struct weft_cache *cache, struct key *key, const void *data, size_t bytes)
{
    if (!data || bytes == 0)
        return -EINVAL;
    *key = (struct key){data, bytes, weft_siphash(cache->secret, data, bytes)};
    return 0;
}

static void tell(struct weft_cache *cache, enum weft_cache_event_kind kind, const void *key,
                 size_t key_bytes, int failure)
{
    const struct weft_cache_options *options = &cache->options;
    if (!options->on_event)
        return;
    const struct weft_cache_event event = {.kind = kind,
                                           .name = cache->name,
                                           .at_ns = weft_now(),
                                           .key = key,
                                           .key_bytes = key_bytes,
                                           .failure = failure};
    options->on_event(options->on_event_arg, &event);
}

static void free_evicted(struct weft_cache *cache, struct weft_link *evicted)
{
    WEFT_LIST_FOR_EACH (link, evicted) {
        const struct weft_cache_entry *entry = entry_of(link);
        tell(cache, WEFT_CACHE_EVICTED, entry->data, entry->key_bytes, 0);
    }
    free_all(evicted);
}

/* ---- reading --------------------------------------------------------------------------- */

/* What look says beside bytes, -ENOENT (remembered), -ENOBUFS and -EPERM. */
#define MISSING INT_MIN

/* Under the guard. NULL: nothing fresh, or with stale_too nothing of use. */
static struct weft_cache_entry *find(struct weft_cache *cache, const struct key *key,
                                     bool stale_too, int64_t now_ns)
{
    struct weft_cache_entry *entry =
        weft_cache_core_find(&cache->core, key->data, key->bytes, key->hash);
    if (!entry)
        return NULL;
    enum weft_cache_age age = weft_cache_core_age(entry, now_ns);
    if (age == WEFT_CACHE_IS_USELESS || (age == WEFT_CACHE_IS_STALE && !stale_too))
        return NULL;
    weft_cache_core_touch(&cache->core, entry);
    return entry;
}

/* Under the guard. Returns bytes, -ENOENT, -ENOBUFS. */
static int copy_out(const struct weft_cache_entry *entry, void *ret_value, size_t value_max)
{
    if (entry->absent)
        return -ENOENT;
    if (entry->value_bytes > value_max)
        return -ENOBUFS;
    if (entry->value_bytes > 0)
        memcpy(ret_value, entry->data + entry->key_bytes, entry->value_bytes);
    return (int)entry->value_bytes;
}

static int look(struct weft_cache *cache, const struct key *key, bool stale_too, void *ret_value,
                size_t value_max)
{
    int found = weft_guard_permit(&cache->guard);
    if (found < 0)
        return found;
    int64_t now_ns = weft_now();
    weft_guard_enter(&cache->guard);
    const struct weft_cache_entry *entry = find(cache, key, stale_too, now_ns);
    bool fresh = entry && weft_cache_core_age(entry, now_ns) == WEFT_CACHE_IS_FRESH;
    cache->counts.hits += fresh;
    cache->counts.misses += !fresh;
    cache->counts.stale += entry && !fresh;
    found = entry ? copy_out(entry, ret_value, value_max) : MISSING;
    weft_guard_leave(&cache->guard);
    return found;
}

static int get(struct weft_cache *cache, const void *key, size_t key_bytes, bool stale_too,
               void *ret_value, size_t value_max)
{
    struct key wanted;
    int err = make_key(cache, &wanted, key, key_bytes);
    if (err < 0)
        return err;
    int found = look(cache, &wanted, stale_too, ret_value, value_max);
    return found == MISSING ? -ENOENT : found;
}

int weft_cache_get(struct weft_cache *cache, const void *key, size_t key_bytes, void *ret_value,
                   size_t value_max)
{
    return get(cache, key, key_bytes, false, ret_value, value_max);
}

int weft_cache_get_stale(struct weft_cache *cache, const void *key, size_t key_bytes,
                         void *ret_value, size_t value_max)
{
    return get(cache, key, key_bytes, true, ret_value, value_max);
}

/* ---- writing --------------------------------------------------------------------------- */

/* NULL: no memory, or more than the cache has room for; *ret_err says which. */
static struct weft_cache_entry *make_entry(const struct weft_cache *cache, const struct key *key,
                                           const void *value, size_t value_bytes, int *ret_err)
{
    size_t cost = weft_cache_core_cost(key->bytes, value_bytes);
    struct weft_cache_entry *entry = cost <= cache->options.bytes_max ? malloc(cost) : NULL;
    *ret_err = cost <= cache->options.bytes_max ? -ENOMEM : WEFT_EFULL;
    if (!entry)
        return NULL;
    *entry = (struct weft_cache_entry){
        .hash = key->hash, .key_bytes = key->bytes, .value_bytes = value_bytes};
    memcpy(entry->data, key->data, key->bytes);
    if (value_bytes > 0)
        memcpy(entry->data + key->bytes, value, value_bytes);
    *ret_err = 0;
    return entry;
}

static void drop(struct weft_cache *cache, const struct key *key, struct weft_link *dropped)
{
    struct weft_cache_entry *old =
        weft_cache_core_find(&cache->core, key->data, key->bytes, key->hash);
    if (old)
        weft_cache_core_remove(&cache->core, old, dropped);
}

/* Under the guard: in place of the old value, or only that goes when entry is NULL. */
static void replace(struct weft_cache *cache, const struct key *key, struct weft_cache_entry *entry,
                    int64_t now_ns, struct weft_link *dropped, struct weft_link *evicted)
{
    const struct weft_cache_options *options = &cache->options;
    drop(cache, key, dropped);
    if (!entry)
        return;
    int64_t ttl_ns = entry->absent ? options->negative_ttl_ns : options->ttl_ns;
    if (options->ttl_jitter > 0)
        ttl_ns -=
            (int64_t)((double)ttl_ns * options->ttl_jitter * weft_pattern_draw(&cache->random));
    entry->expires_ns = entry->useless_ns = weft_time_after(now_ns, ttl_ns);
    if (!entry->absent)
        entry->useless_ns = weft_time_after(entry->expires_ns, options->stale_ns);
    weft_cache_core_insert(&cache->core, entry, evicted);
    WEFT_LIST_FOR_EACH (link, evicted)
        cache->counts.evictions++;
}

/* What is being loaded for the key, or with NULL for any, is old now. */
static void outdate(struct weft_cache *cache, const struct key *key)
{
    WEFT_LIST_FOR_EACH (link, &cache->loadings) {
        struct loading *loading = weft_container_of(link, struct loading, link);
        if (!key || (loading->key.hash == key->hash && loading->key.bytes == key->bytes &&
                     memcmp(loading->key.data, key->data, key->bytes) == 0))
            loading->outdated = true;
    }
}

int weft_cache_put(struct weft_cache *cache, const void *key, size_t key_bytes, const void *value,
                   size_t value_bytes)
{
    struct weft_link dropped, evicted;
    struct key wanted;
    int err = make_key(cache, &wanted, key, key_bytes);
    if (err == 0)
        err = weft_guard_permit(&cache->guard);
    if (err < 0)
        return err;
    weft_list_init(&dropped);
    weft_list_init(&evicted);
    struct weft_cache_entry *entry = make_entry(cache, &wanted, value, value_bytes, &err);
    int64_t now_ns = weft_now();
    weft_guard_enter(&cache->guard);
    outdate(cache, &wanted);
    replace(cache, &wanted, entry, now_ns, &dropped, &evicted);
    cache->counts.not_kept += !entry;
    weft_guard_leave(&cache->guard);
    if (!entry) /* gone, as after a removal: a load that is under way is of what was before */
        (void)weft_flight_forget(cache->flight, key, key_bytes);
    free_all(&dropped);
    free_evicted(cache, &evicted);
    return err;
}

int weft_cache_remove(struct weft_cache *cache, const void *key, size_t key_bytes)
{
    struct weft_link dropped;
    struct key wanted;
    int err = make_key(cache, &wanted, key, key_bytes);
    if (err == 0)
        err = weft_guard_admit(&cache->guard);
    if (err < 0)
        return err;
    weft_list_init(&dropped);
    outdate(cache, &wanted);
    drop(cache, &wanted, &dropped);
    weft_guard_leave(&cache->guard);
    (void)weft_flight_forget(cache->flight, key, key_bytes);
    err = weft_list_empty(&dropped) || entry_of(dropped.next)->absent ? -ENOENT : 0;
    free_all(&dropped);
    return err;
}

int weft_cache_clear(struct weft_cache *cache)
{
    struct weft_link dropped;
    int err = weft_guard_admit(&cache->guard);
    if (err < 0)
        return err;
    weft_list_init(&dropped);
    outdate(cache, NULL);
    while (!weft_list_empty(&cache->core.use))
        weft_cache_core_remove(&cache->core, entry_of(cache->core.use.next), &dropped);
    weft_guard_leave(&cache->guard);
    (void)weft_flight_forget_all(cache->flight);
    free_all(&dropped);
    return 0;
}

/* ---- loading --------------------------------------------------------------------------- */

/* Begin, unless somebody else has loaded it since the caller looked.
 * Returns MISSING, or what was found. */
static int begin_loading(struct loading *loading, void *ret_value, size_t value_max)
{
    struct weft_cache *cache = loading->cache;
    int64_t now_ns = weft_now();
    weft_guard_enter(&cache->guard);
    const struct weft_cache_entry *entry = find(cache, &loading->key, false, now_ns);
    int found = entry ? copy_out(entry, ret_value, value_max) : MISSING;
    if (found == MISSING) {
        cache->counts.loads++;
        weft_list_append(&cache->loadings, &loading->link);
    }
    weft_guard_leave(&cache->guard);
    return found;
}

/* Remember what was loaded, or that there is nothing. */
static void end_loading(struct loading *loading, const void *value, int result)
{
    struct weft_cache *cache = loading->cache;
    struct weft_link dropped, evicted;
    struct weft_cache_entry *entry = NULL;
    bool answered = result >= 0 || result == -ENOENT;
    bool keeps = result >= 0 || (result == -ENOENT && cache->options.negative_ttl_ns > 0);
    int err;
    weft_list_init(&dropped);
    weft_list_init(&evicted);
    if (keeps)
        entry = make_entry(cache, &loading->key, value, result > 0 ? (size_t)result : 0, &err);
    if (entry)
        entry->absent = result < 0;
    int64_t now_ns = weft_now();
    weft_guard_enter(&cache->guard);
    weft_list_unlink(&loading->link);
    cache->counts.failed += !answered && result != -ECANCELED;
    if (keeps && (!entry || loading->outdated))
        cache->counts.not_kept++;
    if (loading->outdated && entry)
        weft_list_append(&dropped, &entry->in_use);
    else if (answered && !loading->outdated)
        replace(cache, &loading->key, entry, now_ns, &dropped, &evicted);
    weft_guard_leave(&cache->guard);
    free_all(&dropped);
    free_evicted(cache, &evicted);
}

/* What the flight runs. */
static int run_load(void *arg, void *ret_value, size_t value_max)
{
    struct loading *loading = arg;
    int result = begin_loading(loading, ret_value, value_max);
    if (result != MISSING)
        return result;
    result = loading->load(loading->arg, ret_value, value_max);
    if (result > 0 && (size_t)result > value_max)
        result = -EOVERFLOW;
    end_loading(loading, ret_value, result);
    return result;
}

/* The load has failed: with an expired value, it has not; nor with a fresh one that was put
 * meanwhile. -ENOBUFS may be the failure of a leader who had less room than this call. */
static int serve_after(struct weft_cache *cache, const struct key *key, int failure,
                       void *ret_value, size_t value_max)
{
    if (failure == -ECANCELED || failure == -ENOENT)
        return failure;
    int64_t now_ns = weft_now();
    weft_guard_enter(&cache->guard);
    const struct weft_cache_entry *entry = find(cache, key, failure != -ENOBUFS, now_ns);
    int found = entry ? copy_out(entry, ret_value, value_max) : MISSING;
    bool stale = found >= 0 && weft_cache_core_age(entry, now_ns) != WEFT_CACHE_IS_FRESH;
    cache->counts.stale += stale;
    weft_guard_leave(&cache->guard);
    if (stale)
        tell(cache, WEFT_CACHE_STALE, key->data, key->bytes, failure);
    return found < 0 ? failure : found;
}

int weft_cache_load(struct weft_cache *cache, const void *key, size_t key_bytes,
                    int (*load)(void *arg, void *ret_value, size_t value_max), void *arg,
                    void *ret_value, size_t value_max, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct loading loading = {.cache = cache, .load = load, .arg = arg};
    int err = make_key(cache, &loading.key, key, key_bytes);
    if (err == 0)
        err = weft_enter_anywhere(&self);
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns);
    int result = look(cache, &loading.key, false, ret_value, value_max);
    if (result != MISSING)
        return result;
    result = weft_flight_do(cache->flight, key, key_bytes, run_load, &loading, ret_value, value_max,
                            deadline_ns);
    return result < 0 ? serve_after(cache, &loading.key, result, ret_value, value_max) : result;
}

int weft_cache_snapshot(struct weft_cache *cache, struct weft_cache_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&cache->guard);
    if (err < 0)
        return err;
    *ret_snapshot = cache->counts;
    ret_snapshot->entries = cache->core.entries;
    ret_snapshot->bytes = cache->core.bytes;
    weft_guard_leave(&cache->guard);
    return 0;
}
