/* SPDX-License-Identifier: MIT
 * table.c - see table.h. */
#include <base/table.h>

#include <errno.h>
#include <stdlib.h>

#define CAPACITY_MIN 64u

static struct weft_table_node **bucket_of(const struct weft_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->capacity - 1)];
}

int weft_table_init(struct weft_table *table)
{
    *table = (struct weft_table){.capacity = CAPACITY_MIN};
    table->buckets = calloc(table->capacity, sizeof(struct weft_table_node *));
    return table->buckets ? 0 : -ENOMEM;
}

void weft_table_deinit(struct weft_table *table)
{
    free(table->buckets);
    *table = (struct weft_table){0};
}

static void push(struct weft_table *table, struct weft_table_node *node)
{
    struct weft_table_node **bucket = bucket_of(table, node->hash);
    node->next = *bucket;
    *bucket = node;
}

static void grow(struct weft_table *table)
{
    struct weft_table larger = {.capacity = table->capacity * 2, .count = table->count};
    larger.buckets = calloc(larger.capacity, sizeof(struct weft_table_node *));
    if (!larger.buckets)
        return;
    for (size_t i = 0; i < table->capacity; i++) {
        struct weft_table_node *node = table->buckets[i];
        while (node) {
            struct weft_table_node *next = node->next;
            push(&larger, node);
            node = next;
        }
    }
    free(table->buckets);
    *table = larger;
}

void weft_table_put(struct weft_table *table, struct weft_table_node *node, uint64_t hash)
{
    if (table->count >= table->capacity)
        grow(table);
    node->hash = hash;
    push(table, node);
    table->count++;
}

void weft_table_remove(struct weft_table *table, struct weft_table_node *node)
{
    struct weft_table_node **at = bucket_of(table, node->hash);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    table->count--;
}

static struct weft_table_node *match(struct weft_table_node *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

struct weft_table_node *weft_table_first(const struct weft_table *table, uint64_t hash)
{
    return match(*bucket_of(table, hash), hash);
}

struct weft_table_node *weft_table_next(const struct weft_table_node *node)
{
    return match(node->next, node->hash);
}

void weft_table_visit(const struct weft_table *table,
                      void (*visit)(struct weft_table_node *node, void *arg), void *arg)
{
    for (size_t i = 0; i < table->capacity; i++) {
        struct weft_table_node *node = table->buckets[i];
        while (node) {
            struct weft_table_node *next = node->next;
            visit(node, arg);
            node = next;
        }
    }
}
