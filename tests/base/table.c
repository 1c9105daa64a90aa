/* SPDX-License-Identifier: MIT
 * table.c - what is put in is found, by its hash, until it is taken out. */
#include "test.h"

#include <base/list.h>
#include <base/random.h>
#include <base/table.h>

#include <stdlib.h>

#define THINGS 10000u

struct thing {
    struct weft_table_node node;
    unsigned key;
    bool in;
};

/* Few enough that many keys share one. */
static uint64_t hash_of(unsigned key)
{
    return key % 3000;
}

static struct thing *find(const struct weft_table *table, unsigned key)
{
    struct weft_table_node *node = weft_table_first(table, hash_of(key));
    for (; node; node = weft_table_next(node)) {
        struct thing *thing = weft_container_of(node, struct thing, node);
        if (thing->key == key)
            return thing;
    }
    return NULL;
}

static void count_it(struct weft_table_node *node, void *arg)
{
    CHECK(weft_container_of(node, struct thing, node)->in);
    ++*(size_t *)arg;
}

TEST(a_table_holds_what_was_put_in_and_not_taken_out)
{
    struct weft_table table;
    struct weft_random random;
    struct thing *things = calloc(THINGS, sizeof *things);
    REQUIRE(things && weft_table_init(&table) == 0);
    weft_random_seed(&random, 1);
    size_t in = 0;
    for (int step = 0; step < 200000; step++) {
        unsigned key = (unsigned)weft_random_below(&random, THINGS);
        struct thing *thing = &things[key];
        thing->key = key;
        if (thing->in)
            weft_table_remove(&table, &thing->node);
        else
            weft_table_put(&table, &thing->node, hash_of(key));
        thing->in = !thing->in;
        in += thing->in ? 1 : (size_t)-1;
    }
    for (unsigned key = 0; key < THINGS; key++)
        CHECK(find(&table, key) == (things[key].in ? &things[key] : NULL));
    CHECK_EQUAL(table.count, in);
    size_t seen = 0;
    weft_table_visit(&table, count_it, &seen);
    CHECK_EQUAL(seen, in);
    weft_table_deinit(&table);
    free(things);
}

static void take_out(struct weft_table_node *node, void *arg)
{
    weft_table_remove(arg, node);
}

TEST(a_visit_may_take_everything_out)
{
    struct weft_table table;
    struct thing things[100] = {0};
    REQUIRE(weft_table_init(&table) == 0);
    for (unsigned i = 0; i < 100; i++)
        weft_table_put(&table, &things[i].node, i / 3);
    weft_table_visit(&table, take_out, &table);
    CHECK_EQUAL(table.count, 0);
    CHECK(!weft_table_first(&table, 5));
    weft_table_deinit(&table);
    weft_table_deinit(&table);
}
