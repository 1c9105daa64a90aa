/* SPDX-License-Identifier: MIT
 * map.c - see weft/map.h; streams are in map_stream.c.
 *
 * The fibers share a counter, the index of the next item nobody has taken. An item that is taken is
 * run, and its result kept, whatever happens meanwhile. */
#include <flow/map_internal.h>
#include <flow/pattern.h>
#include <runtime/worker.h>

#include <limits.h>
#include <stdatomic.h>

#define CONCURRENCY_MAX 65536u
#define WINDOW_MAX      (1u << 20)
#define CHUNK_DEFAULT   ((size_t)100)

struct map {
    struct weft_map_options options;
    int (*fn)(void *arg, void *item, size_t index);
    int (*chunk_fn)(void *arg, void *items, size_t first, size_t count); /* one of the two */
    void *arg;
    unsigned char *items;
    size_t item_bytes, count;
    int *results;
    size_t end; /* of the calls that may be made now; a call is for an item, or for a chunk */
    atomic_size_t next;
    atomic_size_t failures;
    struct weft_map_watch watch;
};

/* ---- options --------------------------------------------------------------------------- */

int weft_map_check(const struct weft_map_options *options)
{
    char name[WEFT_NAME_MAX + 1];
    bool by_progress = options->progress_items || options->progress_ns;
    if (options->concurrency_max > CONCURRENCY_MAX || options->window_max > WINDOW_MAX ||
        options->on_error > WEFT_MAP_COLLECT || options->deadline_ns < 0 ||
        options->worker < WEFT_ANY_WORKER || options->progress_ns < 0 ||
        (by_progress && !options->on_progress))
        return -EINVAL;
    return weft_pattern_name(name, options->name, "map");
}

/* ---- who watches ----------------------------------------------------------------------- */

/* Also when cancelled: what was done is told. */
static void lock(struct weft_mutex *mutex)
{
    struct weft_scope scope;
    if (weft_mutex_lock(mutex, WEFT_NOWAIT) == 0)
        return;
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    (void)weft_mutex_lock(mutex, WEFT_FOREVER);
    (void)weft_scope_leave(&scope, 0);
}

static int tick(void *arg)
{
    struct weft_map_watch *watch = arg;
    while (weft_sleep(watch->options->progress_ns) == 0) {
        lock(&watch->mutex);
        watch->options->on_progress(watch->arg, &watch->progress);
        (void)weft_mutex_unlock(&watch->mutex);
    }
    return 0;
}

int weft_map_watch_begin(struct weft_map_watch *watch, const struct weft_map_options *options,
                         void *arg, size_t count)
{
    *watch = (struct weft_map_watch){.options = options, .arg = arg, .progress = {.count = count}};
    int err = weft_mutex_init(&watch->mutex, WEFT_AUTO);
    if (err == 0)
        err = weft_group_init(&watch->tickers, NULL);
    if (err < 0 || options->progress_ns == 0)
        return err;
    err = weft_spawn(&watch->tickers, tick, watch);
    if (err < 0)
        weft_group_close(&watch->tickers);
    return err;
}

void weft_map_watch_end(struct weft_map_watch *watch)
{
    weft_group_close(&watch->tickers);
    if (watch->options->on_progress)
        watch->options->on_progress(watch->arg, &watch->progress);
}

void weft_map_watch_result(struct weft_map_watch *watch, size_t index, int result)
{
    const struct weft_map_options *options = watch->options;
    if (!options->on_done && !options->on_progress)
        return;
    lock(&watch->mutex);
    watch->progress.done++;
    watch->progress.failed += result < 0;
    if (options->on_done)
        options->on_done(watch->arg, index, result);
    if (options->progress_items > 0 && watch->progress.done % options->progress_items == 0)
        options->on_progress(watch->arg, &watch->progress);
    (void)weft_mutex_unlock(&watch->mutex);
}

/* ---- the fibers ------------------------------------------------------------------------ */

static void *item_at(const struct map *map, size_t index)
{
    return map->items ? map->items + index * map->item_bytes : NULL;
}

static int call(const struct map *map, size_t index)
{
    if (map->fn)
        return map->fn(map->arg, item_at(map, index), index);
    size_t first = index * map->options.chunk_items, count = map->count - first;
    if (count > map->options.chunk_items)
        count = map->options.chunk_items;
    return map->chunk_fn(map->arg, item_at(map, first), first, count);
}

/* The index of the next call that nobody has taken; map->end when there is none. */
static size_t take_index(struct map *map)
{
    size_t index = atomic_load_explicit(&map->next, memory_order_relaxed);
    while (index < map->end &&
           !atomic_compare_exchange_weak_explicit(&map->next, &index, index + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
    return index;
}

/* Returns 0; a failure that is everybody's */
static int keep_result(struct map *map, size_t index, int result)
{
    if (map->results)
        map->results[index] = result;
    weft_map_watch_result(&map->watch, index, result);
    if (result >= 0)
        return 0;
    atomic_fetch_add_explicit(&map->failures, 1, memory_order_relaxed);
    if (map->options.on_error == WEFT_MAP_COLLECT)
        return 0;
    atomic_store_explicit(&map->next, map->end, memory_order_relaxed);
    return result;
}

static int run_calls(void *arg)
{
    struct map *map = arg;
    struct weft_fiber *self = weft_self();
    int err = 0;
    while (err == 0 && atomic_load_explicit(&map->next, memory_order_relaxed) < map->end) {
        if (weft_fiber_cancelled(self))
            return -ECANCELED;
        size_t index = take_index(map);
        if (index >= map->end)
            break;
        int result = call(map, index);
        if (result == -ECANCELED && weft_fiber_cancelled(self))
            return -ECANCELED;
        err = keep_result(map, index, result);
        weft_spend(self, WEFT_FOREVER);
    }
    return err;
}

/* The calls from first on, all of them through when this returns. */
static int run_wave(struct map *map, size_t first, size_t count)
{
    const struct weft_map_options *options = &map->options;
    const char *name = options->name ? options->name : "map";
    const struct weft_group_options group_options = {.deadline_ns = options->deadline_ns,
                                                     .name = name};
    const struct weft_spawn_options spawn = {
        .worker = options->worker, .stack_bytes = options->stack_bytes, .name = name};
    struct weft_group group;
    int err = weft_group_init(&group, &group_options);
    if (err < 0)
        return err;
    map->end = first + count;
    atomic_store(&map->next, first);
    for (size_t i = 0; i < count && i < options->concurrency_max && err == 0; i++)
        err = weft_spawn_with(&group, run_calls, map, &spawn);
    if (err == 0)
        return weft_group_wait(&group);
    weft_group_cancel(&group, err);
    int result = weft_group_wait(&group);
    return result < 0 ? result : err;
}

/* ---- all of it ------------------------------------------------------------------------- */

static int run_waves(struct map *map, size_t calls)
{
    size_t wave = map->fn && map->options.chunk_items ? map->options.chunk_items : calls;
    int err = 0;
    for (size_t i = 0; map->results && i < calls; i++)
        map->results[i] = -ECANCELED;
    for (size_t first = 0; first < calls && err == 0; first += wave) {
        size_t left = calls - first;
        err = run_wave(map, first, left < wave ? left : wave);
    }
    return err;
}

static int run_map(struct map *map, const struct weft_map_options *options)
{
    static const struct weft_map_options defaults;
    struct weft_fiber *self;
    map->options = options ? *options : defaults;
    options = &map->options;
    int err = weft_enter(&self);
    if (err == 0)
        err = weft_map_check(options);
    if (err == 0 && ((map->items && map->item_bytes == 0) || options->ordered ||
                     options->window_max || options->drop))
        err = -EINVAL;
    if (err < 0)
        return err;
    if (options->concurrency_max == 0)
        map->options.concurrency_max = WEFT_MAP_CONCURRENCY;
    if (map->chunk_fn && options->chunk_items == 0)
        map->options.chunk_items = CHUNK_DEFAULT;
    size_t calls = map->count, chunk = options->chunk_items;
    if (map->chunk_fn)
        calls = map->count / chunk + (map->count % chunk != 0);
    err = weft_map_watch_begin(&map->watch, options, map->arg, calls);
    if (err < 0)
        return err;
    err = run_waves(map, calls);
    weft_map_watch_end(&map->watch);
    size_t failures = atomic_load(&map->failures);
    return err < 0 ? err : failures > INT_MAX ? INT_MAX : (int)failures;
}

int weft_map(const struct weft_map_options *options, int (*fn)(void *arg, void *item, size_t index),
             void *arg, void *items, size_t item_bytes, size_t count, int *ret_results)
{
    struct map map = {.fn = fn,
                      .arg = arg,
                      .items = items,
                      .item_bytes = item_bytes,
                      .count = count,
                      .results = ret_results};
    return fn ? run_map(&map, options) : -EINVAL;
}

int weft_map_chunks(const struct weft_map_options *options,
                    int (*fn)(void *arg, void *items, size_t first, size_t count), void *arg,
                    void *items, size_t item_bytes, size_t count, int *ret_results)
{
    struct map map = {.chunk_fn = fn,
                      .arg = arg,
                      .items = items,
                      .item_bytes = item_bytes,
                      .count = count,
                      .results = ret_results};
    return fn ? run_map(&map, options) : -EINVAL;
}
