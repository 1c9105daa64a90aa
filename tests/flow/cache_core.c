/* SPDX-License-Identifier: MIT
 * cache_core.c - the cache's table against a list that is searched from end to end. */
#include "test.h"

#include <base/hash.h>
#include <base/random.h>
#include <flow/cache_core.h>

#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 8u
#define KEYS        20u
#define BYTES_MAX   (6 * (sizeof(struct weft_cache_entry) + 20))

/* What should be there, the least recently used first. */
struct model {
    unsigned keys[ENTRIES_MAX], sizes[ENTRIES_MAX], len;
};

static size_t cost(unsigned size)
{
    return weft_cache_core_cost(sizeof(unsigned), size);
}

static unsigned place(const struct model *model, unsigned key)
{
    unsigned i = 0;
    while (i < model->len && model->keys[i] != key)
        i++;
    return i;
}

static void model_remove(struct model *model, unsigned at)
{
    model->len--;
    memmove(&model->keys[at], &model->keys[at + 1], (model->len - at) * sizeof model->keys[0]);
    memmove(&model->sizes[at], &model->sizes[at + 1], (model->len - at) * sizeof model->sizes[0]);
}

static size_t model_bytes(const struct model *model)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < model->len; i++)
        bytes += cost(model->sizes[i]);
    return bytes;
}

/* Returns how many had to go. */
static unsigned model_insert(struct model *model, unsigned key, unsigned size)
{
    unsigned evicted = 0;
    for (; model->len >= ENTRIES_MAX || model_bytes(model) + cost(size) > BYTES_MAX; evicted++)
        model_remove(model, 0);
    model->keys[model->len] = key;
    model->sizes[model->len++] = size;
    return evicted;
}

static struct weft_cache_entry *make(unsigned key, unsigned size)
{
    struct weft_cache_entry *entry = calloc(1, cost(size));
    REQUIRE(entry);
    entry->hash = weft_hash(&key, sizeof key) & 3; /* many in one bucket */
    entry->key_bytes = sizeof key;
    entry->value_bytes = size;
    memcpy(entry->data, &key, sizeof key);
    return entry;
}

static unsigned discard(struct weft_link *list)
{
    unsigned count = 0;
    for (; !weft_list_empty(list); count++) {
        struct weft_cache_entry *entry =
            weft_container_of(list->next, struct weft_cache_entry, in_use);
        weft_list_unlink(&entry->in_use);
        free(entry);
    }
    return count;
}

static struct weft_cache_entry *find(struct weft_cache_core *core, unsigned key)
{
    return weft_cache_core_find(core, &key, sizeof key, weft_hash(&key, sizeof key) & 3);
}

static void step(struct weft_cache_core *core, struct model *model, struct weft_random *random)
{
    unsigned key = (unsigned)weft_random_below(random, KEYS);
    unsigned size = (unsigned)weft_random_below(random, 80);
    unsigned at = place(model, key);
    struct weft_link handed_back;
    struct weft_cache_entry *entry = find(core, key);
    weft_list_init(&handed_back);
    CHECK((entry != NULL) == (at < model->len));
    switch (weft_random_below(random, 4)) {
    case 0:
        if (entry) {
            weft_cache_core_remove(core, entry, &handed_back);
            model_remove(model, at);
        }
        CHECK_EQUAL(discard(&handed_back), entry ? 1 : 0);
        break;
    case 1:
        if (entry) {
            unsigned old_size = model->sizes[at];
            weft_cache_core_touch(core, entry);
            model_remove(model, at);
            (void)model_insert(model, key, old_size);
        }
        break;
    default:
        if (!entry) {
            weft_cache_core_insert(core, make(key, size), &handed_back);
            CHECK_EQUAL(discard(&handed_back), model_insert(model, key, size));
        }
    }
    CHECK_EQUAL(core->entries, model->len);
    CHECK_EQUAL(core->bytes, model_bytes(model));
}

TEST(every_step_of_random_use_is_that_of_a_plain_list)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct weft_link buckets[8], left;
        struct weft_cache_core core;
        struct model model = {.len = 0};
        struct weft_random random;
        REQUIRE(weft_cache_core_buckets(ENTRIES_MAX) == 8);
        weft_cache_core_init(&core, ENTRIES_MAX, BYTES_MAX, buckets);
        weft_random_seed(&random, seed);
        for (int i = 0; i < 2000; i++)
            step(&core, &model, &random);
        weft_list_init(&left);
        for (unsigned i = 0; i < model.len; i++) { /* in the order of use */
            struct weft_cache_entry *oldest =
                weft_container_of(core.use.next, struct weft_cache_entry, in_use);
            CHECK(oldest == find(&core, model.keys[i]));
            weft_cache_core_remove(&core, oldest, &left);
        }
        CHECK_EQUAL(discard(&left), model.len);
        CHECK_EQUAL(core.bytes, 0);
    }
}

TEST(a_value_is_fresh_then_stale_then_useless)
{
    const struct weft_cache_entry entry = {.expires_ns = 100, .useless_ns = 150};
    CHECK_EQUAL(weft_cache_core_age(&entry, 99), WEFT_CACHE_IS_FRESH);
    CHECK_EQUAL(weft_cache_core_age(&entry, 100), WEFT_CACHE_IS_STALE);
    CHECK_EQUAL(weft_cache_core_age(&entry, 149), WEFT_CACHE_IS_STALE);
    CHECK_EQUAL(weft_cache_core_age(&entry, 150), WEFT_CACHE_IS_USELESS);
}

TEST(a_cost_that_is_no_number_is_the_largest)
{
    CHECK(weft_cache_core_cost(SIZE_MAX, 1) == SIZE_MAX);
    CHECK(weft_cache_core_cost(1, SIZE_MAX) == SIZE_MAX);
}
