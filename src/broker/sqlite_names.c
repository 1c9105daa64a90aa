/* SPDX-License-Identifier: MIT
 * sqlite_names.c - names that rows have as numbers: found by hash, and by number.
 *
 * Linear probing without deleted marks: names are taken out only in the reverse order in which they
 * were put in, when the transaction that made them fails. */
#include "sqlite_internal.h"

#include <base/siphash.h>
#include <flow/pattern.h>

#include <stdlib.h>
#include <string.h>

/* Clients choose the names, so they must not know where they come to lie. */
static uint64_t hash_of(const struct sqlite_names *names, const char *text)
{
    return weft_siphash(names->secret, text, strlen(text));
}

/* At most half of the slots are used. */
static struct sqlite_name **slot_of(const struct sqlite_names *names, uint64_t hash,
                                    const char *text)
{
    size_t mask = names->slots_count - 1;
    size_t at = hash & mask;
    while (names->slots[at] &&
           (names->slots[at]->hash != hash || strcmp(names->slots[at]->text, text) != 0))
        at = (at + 1) & mask;
    return &names->slots[at];
}

struct sqlite_name *weft_sqlite_name_find(const struct sqlite_names *names, const char *text)
{
    return names->slots_count > 0 ? *slot_of(names, hash_of(names, text), text) : NULL;
}

struct sqlite_name *weft_sqlite_name_numbered(const struct sqlite_names *names, int64_t number)
{
    return number > 0 && number <= names->last ? names->numbered[number] : NULL;
}

/* In order of number, so that the latest can be taken out again. */
static bool grow_slots(struct sqlite_names *names)
{
    size_t slots_count = names->slots_count ? names->slots_count * 2 : 16;
    struct sqlite_name **slots =
        calloc(slots_count, sizeof *slots); // NOLINT(bugprone-sizeof-expression)
    if (!slots)
        return false;
    if (!names->slots)
        weft_pattern_secret(names->secret, 0);
    free(names->slots);
    names->slots = slots;
    names->slots_count = slots_count;
    for (int64_t number = 1; number <= names->last; number++) {
        struct sqlite_name *name = names->numbered[number];
        if (name)
            *slot_of(names, name->hash, name->text) = name;
    }
    return true;
}

static bool grow_numbered(struct sqlite_names *names, int64_t number)
{
    size_t capacity = names->numbered_capacity ? names->numbered_capacity : 16;
    while (capacity <= (size_t)number)
        capacity *= 2;
    struct sqlite_name **numbered =
        realloc(names->numbered, capacity * sizeof *numbered); // NOLINT(bugprone-sizeof-expression)
    if (!numbered)
        return false;
    names->numbered = numbered;
    names->numbered_capacity = capacity;
    return true;
}

struct sqlite_name *weft_sqlite_name_add(struct sqlite_names *names, const char *text,
                                         int64_t number, size_t size)
{
    if ((names->count + 1) * 2 > names->slots_count && !grow_slots(names))
        return NULL;
    if ((size_t)number >= names->numbered_capacity && !grow_numbered(names, number))
        return NULL;
    size_t len = strlen(text);
    struct sqlite_name *name = calloc(1, size + len + 1);
    if (!name)
        return NULL;
    char *copy = (char *)name + size;
    memcpy(copy, text, len);
    *name = (struct sqlite_name){.number = number, .hash = hash_of(names, text), .text = copy};
    while (names->last < number)
        names->numbered[++names->last] = NULL;
    names->numbered[number] = name;
    names->count++;
    *slot_of(names, name->hash, name->text) = name;
    return name;
}

void weft_sqlite_names_cut(struct sqlite_names *names, int64_t last)
{
    while (names->last > last) {
        struct sqlite_name *name = names->numbered[names->last--];
        if (!name)
            continue;
        *slot_of(names, name->hash, name->text) = NULL;
        names->count--;
        free(name);
    }
}

void weft_sqlite_names_free(struct sqlite_names *names)
{
    for (int64_t number = 1; number <= names->last; number++)
        free(names->numbered[number]);
    free(names->numbered);
    free(names->slots);
    *names = (struct sqlite_names){.max = names->max};
}
