/* SPDX-License-Identifier: MIT
 * table.c - columns that are as wide as what is in them. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2

void table_init(struct table *table, const char *heads)
{
    *table = (struct table){0};
    for (const char *at = heads;; at++) {
        size_t len = strcspn(at, ",");
        table_add(table, need(strndup(at, len)));
        table->columns++;
        at += len;
        if (!*at)
            return;
    }
}

void table_add(struct table *table, char *text)
{
    if (table->rows == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 64;
        table->cells = need(reallocarray(table->cells, table->capacity, sizeof(char *)));
    }
    table->cells[table->rows++] = text;
}

/* How many characters a terminal shows, as good as every one is one wide. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    if (table->rows <= table->columns || table->columns > TABLE_COLUMNS_MAX)
        return;
    for (size_t i = 0; i < table->rows; i++) {
        size_t width = width_of(table->cells[i]), column = i % table->columns;
        if (width > widths[column])
            widths[column] = width;
    }
    for (size_t i = 0; i < table->rows; i++) {
        size_t column = i % table->columns;
        bool last = column + 1 == table->columns;
        int pad = last ? 0 : (int)(widths[column] - width_of(table->cells[i]) + GAP);
        (void)printf("%s%*s%s", table->cells[i], pad, "", last ? "\n" : "");
    }
}

void table_release(struct table *table)
{
    for (size_t i = 0; i < table->rows; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}
