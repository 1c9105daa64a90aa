/* SPDX-License-Identifier: MIT
 * cache.c - what is served when: fresh, loaded, stale, or nothing. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/breaker.h>
#include <weft/cache.h>
#include <weft/group.h>
#include <weft/sync.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Where values come from. */
struct source {
    int loads, version, error;
    int64_t takes_ns;
};

static int load(void *arg, void *ret_value, size_t value_max)
{
    struct source *source = arg;
    int version = source->version;
    source->loads++;
    int err = source->takes_ns ? weft_sleep(source->takes_ns) : 0;
    if (err == 0)
        err = source->error;
    if (err < 0)
        return err;
    CHECK(value_max >= sizeof version);
    memcpy(ret_value, &version, sizeof version);
    return (int)sizeof version;
}

static struct weft_cache *opened(const struct weft_cache_options *options)
{
    struct weft_cache *cache = NULL;
    REQUIRE(weft_cache_open(&cache, options) == 0);
    return cache;
}

/* The version that is served, or an error. */
static int load_key(struct weft_cache *cache, const char *key, struct source *source)
{
    int version = 0;
    int result = weft_cache_load(cache, key, strlen(key), load, source, &version, sizeof version,
                                 WEFT_FOREVER);
    return result == sizeof version ? version : result;
}

static int get(struct weft_cache *cache, const char *key)
{
    int version = 0;
    int result = weft_cache_get(cache, key, strlen(key), &version, sizeof version);
    return result == sizeof version ? version : result;
}

static int put(struct weft_cache *cache, const char *key, int version)
{
    return weft_cache_put(cache, key, strlen(key), &version, sizeof version);
}

static struct weft_cache_snapshot look(struct weft_cache *cache)
{
    struct weft_cache_snapshot snapshot = {0};
    CHECK_EQUAL(weft_cache_snapshot(cache, &snapshot), 0);
    return snapshot;
}

FIBER_TEST(a_value_is_fresh_for_its_time_and_then_loaded_anew)
{
    struct weft_cache *cache = opened(NULL);
    struct source source = {.version = 1};
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    source.version = 2;
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC - 1), 0);
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    CHECK_EQUAL(source.loads, 1);
    CHECK_EQUAL(weft_sleep(1), 0);
    CHECK_EQUAL(get(cache, "a"), -ENOENT);
    CHECK_EQUAL(load_key(cache, "a", &source), 2);
    CHECK_EQUAL(source.loads, 2);
    CHECK_EQUAL(look(cache).hits, 1);
    CHECK_EQUAL(look(cache).misses, 3);
    CHECK_EQUAL(look(cache).loads, 2);
    weft_cache_close(cache);
}

struct heard {
    int stale, evicted, failure;
    char last_key;
};

static void hear(void *arg, const struct weft_cache_event *event)
{
    struct heard *heard = arg;
    heard->stale += event->kind == WEFT_CACHE_STALE;
    heard->evicted += event->kind == WEFT_CACHE_EVICTED;
    heard->failure = event->failure;
    heard->last_key = *(const char *)event->key;
}

FIBER_TEST(a_failing_loader_is_covered_by_what_has_expired_for_so_long)
{
    struct heard heard = {0};
    struct weft_cache *cache = opened(&(const struct weft_cache_options){
        .stale_ns = 5 * WEFT_SEC, .on_event = hear, .on_event_arg = &heard});
    struct source source = {.version = 1};
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    source.error = -EIO;
    CHECK_EQUAL(weft_sleep(65 * WEFT_SEC - 1), 0);
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    CHECK_EQUAL(heard.stale, 1);
    CHECK_EQUAL(heard.failure, -EIO);
    CHECK_EQUAL(look(cache).stale, 1);
    CHECK_EQUAL(look(cache).failed, 1);
    CHECK_EQUAL(weft_sleep(1), 0);
    CHECK_EQUAL(load_key(cache, "a", &source), -EIO);
    CHECK_EQUAL(load_key(cache, "b", &source), -EIO);
    source.error = 0;
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    weft_cache_close(cache);
}

FIBER_TEST(without_stale_values_a_failure_is_a_failure)
{
    struct weft_cache *cache =
        opened(&(const struct weft_cache_options){.stale_ns = WEFT_CACHE_NO_STALE});
    struct source source = {.version = 1};
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    source.error = -EIO;
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    CHECK_EQUAL(load_key(cache, "a", &source), -EIO);
    weft_cache_close(cache);
}

FIBER_TEST(that_there_is_nothing_is_an_answer_and_may_be_remembered)
{
    struct weft_cache *cache =
        opened(&(const struct weft_cache_options){.negative_ttl_ns = 5 * WEFT_SEC});
    struct source source = {.version = 1};
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    source.error = -ENOENT;
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    CHECK_EQUAL(load_key(cache, "a", &source), -ENOENT); /* not the expired value */
    CHECK_EQUAL(load_key(cache, "a", &source), -ENOENT);
    CHECK_EQUAL(source.loads, 2);
    CHECK_EQUAL(get(cache, "a"), -ENOENT);
    CHECK_EQUAL(weft_cache_remove(cache, "a", 1), -ENOENT);
    CHECK_EQUAL(load_key(cache, "a", &source), -ENOENT);
    CHECK_EQUAL(source.loads, 3);
    CHECK_EQUAL(weft_sleep(5 * WEFT_SEC), 0);
    source.error = -EIO;
    CHECK_EQUAL(load_key(cache, "a", &source), -EIO); /* there is no stale -ENOENT */
    source.error = 0;
    CHECK_EQUAL(load_key(cache, "a", &source), 1);
    CHECK_EQUAL(look(cache).failed, 1);
    weft_cache_close(cache);
}

/* ---- loading together ---------------------------------------------------------------------- */

struct task {
    struct weft_cache *cache;
    struct source source;
    int result;
};

static int load_it(void *arg)
{
    struct task *task = arg;
    task->result = load_key(task->cache, "a", &task->source);
    return 0;
}

static void start(struct weft_group *group, struct weft_cache *cache, struct task *tasks, int count,
                  const struct source *source)
{
    CHECK_EQUAL(weft_group_init(group, NULL), 0);
    for (int i = 0; i < count; i++) {
        tasks[i] = (struct task){.cache = cache, .source = *source};
        CHECK_EQUAL(weft_spawn(group, load_it, &tasks[i]), 0);
    }
    CHECK_EQUAL(weft_sleep(1), 0);
}

FIBER_TEST(of_many_who_miss_one_loads)
{
    struct weft_group group;
    struct weft_cache *cache = opened(NULL);
    struct task tasks[50];
    const struct source source = {.version = 7, .takes_ns = WEFT_SEC};
    int loads = 0;
    start(&group, cache, tasks, 50, &source);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 50; i++) {
        loads += tasks[i].source.loads;
        CHECK_EQUAL(tasks[i].result, 7);
    }
    CHECK_EQUAL(loads, 1);
    weft_cache_close(cache);
}

FIBER_TEST(a_cancelled_loader_fails_nobody_and_stores_nothing)
{
    struct weft_group first, rest;
    struct weft_cache *cache = opened(NULL);
    struct task one, others[3];
    const struct source source = {.version = 7, .takes_ns = WEFT_SEC};
    start(&first, cache, &one, 1, &source);
    start(&rest, cache, others, 3, &source);
    weft_group_close(&first);
    CHECK_EQUAL(one.result, -ECANCELED);
    CHECK_EQUAL(get(cache, "a"), -ENOENT);
    CHECK_EQUAL(weft_group_wait(&rest), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(others[i].result, 7);
    CHECK_EQUAL(look(cache).loads, 2);
    CHECK_EQUAL(look(cache).failed, 0);
    weft_cache_close(cache);
}

/* A call with less room than a value needs, or more. */
struct roomy {
    struct weft_cache *cache;
    struct source source;
    size_t room;
    int result;
};

static int load_with_room(void *arg)
{
    struct roomy *roomy = arg;
    char value[2 * sizeof(int)];
    roomy->result = weft_cache_load(roomy->cache, "a", 1, load, &roomy->source, value, roomy->room,
                                    WEFT_FOREVER);
    return 0;
}

FIBER_TEST(too_little_room_is_a_failure_of_that_call_alone)
{
    struct weft_group first, rest;
    struct weft_cache *cache = opened(NULL);
    const struct source source = {.version = 7, .takes_ns = WEFT_SEC};
    struct roomy calls[3];
    CHECK_EQUAL(weft_group_init(&first, NULL), 0);
    CHECK_EQUAL(weft_group_init(&rest, NULL), 0);
    for (int i = 0; i < 3; i++) {
        calls[i] = (struct roomy){cache, source, i == 1 ? 1 : 2 * sizeof(int), 0};
        CHECK_EQUAL(weft_spawn(i == 0 ? &first : &rest, load_with_room, &calls[i]), 0);
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(put(cache, "a", 8), 0);
    weft_group_close(&first); /* the second leads now, finds a value, and has no room for it */
    CHECK_EQUAL(weft_group_wait(&rest), 0);
    CHECK_EQUAL(calls[0].result, -ECANCELED);
    CHECK_EQUAL(calls[1].result, -ENOBUFS);
    CHECK_EQUAL(calls[2].result, sizeof(int));
    weft_cache_close(cache);
}

FIBER_TEST(what_is_removed_while_it_is_loaded_is_neither_kept_nor_given_to_later_ones)
{
    struct weft_group before, after;
    struct weft_cache *cache = opened(NULL);
    struct task old[2], new[2];
    const struct source old_source = {.version = 1, .takes_ns = 2 * WEFT_SEC};
    const struct source new_source = {.version = 2, .takes_ns = WEFT_SEC};
    start(&before, cache, old, 2, &old_source);
    CHECK_EQUAL(weft_cache_remove(cache, "a", 1), -ENOENT);
    start(&after, cache, new, 2, &new_source);
    CHECK_EQUAL(weft_group_wait(&after), 0);
    CHECK_EQUAL(new[0].result, 2);
    CHECK_EQUAL(new[1].result, 2);
    CHECK_EQUAL(weft_group_wait(&before), 0);
    CHECK_EQUAL(old[0].result, 1);
    CHECK_EQUAL(old[1].result, 1);
    CHECK_EQUAL(get(cache, "a"), 2); /* the later end of the older load does not overwrite it */
    CHECK_EQUAL(look(cache).not_kept, 1);
    weft_cache_close(cache);
}

FIBER_TEST(after_a_put_that_is_not_kept_nobody_follows_an_older_load)
{
    static char large[100];
    struct weft_group before, after;
    struct weft_cache *cache = opened(&(struct weft_cache_options){.bytes_max = 64});
    struct task old, new;
    const struct source old_source = {.version = 1, .takes_ns = 2 * WEFT_SEC};
    const struct source new_source = {.version = 2, .takes_ns = WEFT_SEC};
    start(&before, cache, &old, 1, &old_source);
    CHECK(weft_cache_put(cache, "a", 1, large, sizeof large) < 0);
    start(&after, cache, &new, 1, &new_source);
    CHECK_EQUAL(weft_group_wait(&after), 0);
    CHECK_EQUAL(new.result, 2);
    CHECK_EQUAL(weft_group_wait(&before), 0);
    weft_cache_close(cache);
}

FIBER_TEST(what_is_put_while_it_is_loaded_stays)
{
    struct weft_group group;
    struct weft_cache *cache = opened(NULL);
    struct task task;
    const struct source source = {.version = 1, .takes_ns = WEFT_SEC};
    start(&group, cache, &task, 1, &source);
    CHECK_EQUAL(put(cache, "a", 2), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(task.result, 1);
    CHECK_EQUAL(get(cache, "a"), 2);
    start(&group, cache, &task, 1, &source); /* a hit */
    CHECK_EQUAL(task.result, 2);
    CHECK_EQUAL(weft_cache_clear(cache), 0);
    CHECK_EQUAL(get(cache, "a"), -ENOENT);
    CHECK_EQUAL(look(cache).bytes, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_cache_close(cache);
}

FIBER_TEST(a_loader_that_finds_nothing_takes_away_nothing_that_was_put_meanwhile)
{
    struct weft_group group;
    struct weft_cache *cache = opened(NULL);
    struct task task;
    const struct source source = {.error = -ENOENT, .takes_ns = WEFT_SEC};
    start(&group, cache, &task, 1, &source);
    CHECK_EQUAL(put(cache, "a", 2), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(task.result, -ENOENT); /* what it was told, though there is more by now */
    CHECK_EQUAL(look(cache).stale, 0);
    CHECK_EQUAL(get(cache, "a"), 2);
    weft_cache_close(cache);
}

FIBER_TEST(who_cannot_wait_gets_what_has_expired)
{
    struct weft_group group;
    struct weft_cache *cache = opened(NULL);
    struct task task;
    struct source source = {.version = 2, .takes_ns = 10 * WEFT_SEC};
    int version = 0;
    CHECK_EQUAL(put(cache, "a", 1), 0);
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    start(&group, cache, &task, 1, &source);
    CHECK_EQUAL(weft_cache_load(cache, "a", 1, load, &source, &version, sizeof version,
                                weft_now() + WEFT_SEC),
                sizeof version);
    CHECK_EQUAL(version, 1);
    CHECK_EQUAL(
        weft_cache_load(cache, "a", 1, load, &source, &version, sizeof version, WEFT_NOWAIT),
        sizeof version);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(task.result, 2);
    weft_cache_close(cache);
}

/* ---- bounds ------------------------------------------------------------------------------ */

FIBER_TEST(the_least_recently_used_goes_first)
{
    struct heard heard = {0};
    struct weft_cache *cache = opened(&(const struct weft_cache_options){
        .entries_max = 3, .on_event = hear, .on_event_arg = &heard});
    CHECK_EQUAL(put(cache, "a", 1), 0);
    CHECK_EQUAL(put(cache, "b", 2), 0);
    CHECK_EQUAL(put(cache, "c", 3), 0);
    CHECK_EQUAL(get(cache, "a"), 1);
    CHECK_EQUAL(put(cache, "b", 4), 0); /* in its own place */
    CHECK_EQUAL(heard.evicted, 0);
    CHECK_EQUAL(put(cache, "d", 5), 0);
    CHECK_EQUAL(heard.evicted, 1);
    CHECK_EQUAL(heard.last_key, 'c');
    CHECK_EQUAL(get(cache, "a"), 1);
    CHECK_EQUAL(get(cache, "b"), 4);
    CHECK_EQUAL(get(cache, "c"), -ENOENT);
    CHECK_EQUAL(look(cache).entries, 3);
    CHECK_EQUAL(look(cache).evictions, 1);
    weft_cache_close(cache);
}

FIBER_TEST(bytes_are_bounded_and_what_is_too_large_is_not_kept)
{
    static char large[5000];
    struct weft_cache *cache = opened(&(const struct weft_cache_options){.bytes_max = 4096});
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(weft_cache_put(cache, &i, sizeof i, large, 1000), 0);
        CHECK(look(cache).bytes <= 4096);
    }
    CHECK_EQUAL(look(cache).entries, 3);
    CHECK_EQUAL(put(cache, "a", 1), 0);
    CHECK_EQUAL(weft_cache_put(cache, "a", 1, large, sizeof large), WEFT_EFULL);
    CHECK_EQUAL(get(cache, "a"), -ENOENT); /* the value before is not the value any more */
    CHECK_EQUAL(look(cache).not_kept, 1);
    weft_cache_close(cache);
}

FIBER_TEST(a_value_is_copied_whole_or_not_at_all)
{
    struct weft_cache *cache = opened(NULL);
    char value[8] = "-------";
    CHECK_EQUAL(weft_cache_put(cache, "a", 1, "12345", 5), 0);
    CHECK_EQUAL(weft_cache_get(cache, "a", 1, value, 4), -ENOBUFS);
    CHECK_EQUAL(value[0], '-');
    CHECK_EQUAL(weft_cache_get(cache, "a", 1, value, 5), 5);
    CHECK_EQUAL(memcmp(value, "12345--", 7), 0);
    CHECK_EQUAL(weft_cache_put(cache, "e", 1, NULL, 0), 0); /* nothing is a value, too */
    CHECK_EQUAL(weft_cache_get(cache, "e", 1, NULL, 0), 0);
    CHECK_EQUAL(weft_cache_get(cache, "x", 1, value, 8), -ENOENT);
    CHECK_EQUAL(weft_cache_get(cache, "", 0, value, 8), -EINVAL);
    CHECK_EQUAL(weft_cache_put(cache, NULL, 1, value, 8), -EINVAL);
    weft_cache_close(cache);
}

FIBER_TEST(jitter_takes_off_up_to_its_share)
{
    struct weft_cache *cache = opened(
        &(const struct weft_cache_options){.ttl_ns = 100 * WEFT_SEC, .ttl_jitter = 0.5, .seed = 1});
    unsigned fresh = 0;
    for (unsigned i = 0; i < 1000; i++)
        CHECK_EQUAL(weft_cache_put(cache, &i, sizeof i, "v", 1), 0);
    char value;
    CHECK_EQUAL(weft_sleep(50 * WEFT_SEC), 0);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_EQUAL(weft_cache_get(cache, &i, sizeof i, &value, 1), 1);
    CHECK_EQUAL(weft_sleep(25 * WEFT_SEC), 0);
    for (unsigned i = 0; i < 1000; i++)
        fresh += weft_cache_get(cache, &i, sizeof i, &value, 1) == 1;
    CHECK(fresh > 400 && fresh < 600);
    CHECK_EQUAL(weft_sleep(25 * WEFT_SEC), 0);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_EQUAL(weft_cache_get(cache, &i, sizeof i, &value, 1), -ENOENT);
    weft_cache_close(cache);
}

/* ---- threads and misuse ---------------------------------------------------------------------- */

TEST(nonsense_in_the_options_is_refused)
{
    static const struct weft_cache_options refused[] = {
        {.ttl_ns = -1},
        {.stale_ns = -2},
        {.negative_ttl_ns = -1},
        {.ttl_jitter = -0.1},
        {.ttl_jitter = 1.1},
        {.entries_max = (1u << 24) + 1},
        {.bytes_max = 2u << 30},
        {.loads_max = 1u << 30},
        {.sharing = 9},
        {.name =
             "a name that has far more than the sixty-three bytes that a name may have at most"},
    };
    struct weft_cache *cache = NULL;
    const struct weft_cache_options local = {.sharing = WEFT_LOCAL};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK_EQUAL(weft_cache_open(&cache, &refused[i]), -EINVAL);
    CHECK_EQUAL(weft_cache_open(&cache, &local), -EPERM);
    CHECK(!cache);
    weft_cache_close(NULL);
}

static int use(void *arg)
{
    struct weft_cache_snapshot snapshot;
    char byte = 0;
    CHECK_EQUAL(weft_cache_get(arg, "a", 1, &byte, 1), -EPERM);
    CHECK_EQUAL(weft_cache_put(arg, "a", 1, &byte, 1), -EPERM);
    CHECK_EQUAL(weft_cache_remove(arg, "a", 1), -EPERM);
    CHECK_EQUAL(weft_cache_clear(arg), -EPERM);
    CHECK_EQUAL(weft_cache_load(arg, "a", 1, load, NULL, &byte, 1, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_cache_snapshot(arg, &snapshot), -EPERM);
    return 0;
}

FIBER_TEST(a_local_cache_is_not_for_other_threads)
{
    struct weft_cache *cache = opened(&(const struct weft_cache_options){.sharing = WEFT_LOCAL});
    CHECK_EQUAL(on_a_thread(use, cache), 0);
    weft_cache_close(cache);
}

static int load_number(void *arg, void *ret_value, size_t value_max)
{
    (void)weft_yield(); /* on a thread, nothing */
    CHECK(value_max == sizeof(unsigned));
    memcpy(ret_value, arg, sizeof(unsigned));
    return (int)sizeof(unsigned);
}

static void use_in_a_storm(void *arg, unsigned index)
{
    struct weft_cache *cache = arg;
    unsigned random = index + 1;
    for (int i = 0; i < 1000; i++) {
        unsigned key = crowd_random(&random) % 40, value = 99;
        unsigned what = crowd_random(&random) % 16;
        int result = sizeof value;
        if (what == 0)
            (void)weft_cache_remove(cache, &key, sizeof key);
        else if (what == 1)
            result = weft_cache_put(cache, &key, sizeof key, &key, sizeof key);
        else if (what == 2 && crowd_random(&random) % 20 == 0)
            result = weft_cache_clear(cache);
        else
            result = weft_cache_load(cache, &key, sizeof key, load_number, &key, &value,
                                     sizeof value, WEFT_FOREVER);
        CHECK(result >= 0 && (value == 99 || value == key));
    }
}

TEST(threads_and_workers_get_the_value_of_their_key)
{
    struct weft_cache *cache = opened(&(const struct weft_cache_options){
        .sharing = WEFT_SHARED, .entries_max = 20, .ttl_ns = 1000});
    crowd_run(&(const struct crowd){
        .workers = 2, .fibers = 10, .threads = 2, .run = use_in_a_storm, .arg = cache});
    CHECK(look(cache).entries <= 20);
    weft_cache_close(cache);
}
