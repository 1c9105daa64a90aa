/* SPDX-License-Identifier: MIT
 * table.h - a hash table whose elements carry their own node: putting one in cannot fail.
 *
 * Hashes are the caller's; different keys may have the same one, so what is found is compared:
 *
 *     for (node = weft_table_first(&table, hash); node; node = weft_table_next(node))
 *         if (is_it(weft_container_of(node, struct thing, node))) ... */
#ifndef WEFT_BASE_TABLE_H
#define WEFT_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct weft_table_node {
    struct weft_table_node *next;
    uint64_t hash;
};

/* All zero is no table: init comes first, deinit is harmless. */
struct weft_table {
    struct weft_table_node **buckets;
    size_t capacity; /* a power of two */
    size_t count;
};

/* Returns 0, -ENOMEM */
int weft_table_init(struct weft_table *table);

/* The elements are the caller's. */
void weft_table_deinit(struct weft_table *table);

/* Where memory for more buckets is out, chains become longer. */
void weft_table_put(struct weft_table *table, struct weft_table_node *node, uint64_t hash);

/* Take out a node that is in the table. */
void weft_table_remove(struct weft_table *table, struct weft_table_node *node);

/* The elements with a hash, in no order; NULL after the last. */
struct weft_table_node *weft_table_first(const struct weft_table *table, uint64_t hash);
struct weft_table_node *weft_table_next(const struct weft_table_node *node);

/* Call visit for each; it may take the element out, and put nothing in. */
void weft_table_visit(const struct weft_table *table,
                      void (*visit)(struct weft_table_node *node, void *arg), void *arg);

#endif
