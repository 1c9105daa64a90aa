/* SPDX-License-Identifier: MIT
 * sqlite_undo.c - what the writer keeps in memory changes with the tables and is taken back with
 * them: counts word by word, names and events from their ends. */
#include "sqlite_internal.h"

#include <stdlib.h>

void *weft_sqlite_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    size_t larger = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(array, larger * size);
    if (grown)
        *capacity = larger;
    return grown;
}

void weft_sqlite_set(struct sqlite_writer *writer, uint64_t *word, uint64_t value)
{
    struct sqlite_undo *undo = &writer->undo;
    struct sqlite_word *words =
        weft_sqlite_grow(undo->words, undo->count, &undo->capacity, sizeof *words);
    if (!words) {
        writer->memory = SQLITE_NOMEM;
        return;
    }
    undo->words = words;
    words[undo->count++] = (struct sqlite_word){word, *word};
    *word = value;
}

bool weft_sqlite_list_add(struct sqlite_writer *writer, struct sqlite_list *list, int64_t seq,
                          const struct weft_uuid *id, int tag)
{
    struct sqlite_item *items =
        weft_sqlite_grow(list->items, list->count, &list->capacity, sizeof *items);
    if (!items) {
        writer->memory = SQLITE_NOMEM;
        return false;
    }
    list->items = items;
    struct sqlite_item *item = &items[list->count++];
    *item = (struct sqlite_item){.seq = seq, .tag = tag};
    if (id)
        item->id = *id;
    return true;
}

struct sqlite_mark weft_sqlite_mark(const struct sqlite_writer *writer)
{
    return (struct sqlite_mark){
        .words = writer->undo.count,
        .events = writer->events.pending_count,
        .ended = writer->ended.count,
        .jobs = writer->gather.jobs_count,
        .outcomes = writer->gather.outcomes_count,
        .last_task = writer->tasks.last,
        .last_queue = writer->queues.last,
        .times = writer->times,
    };
}

/* Names that are gone must not be looked at when the transaction ends. */
static void forget_touched(struct sqlite_writer *writer, int64_t last_queue)
{
    struct sqlite_queue **link = &writer->touched;
    while (*link) {
        if ((*link)->name.number > last_queue)
            *link = (*link)->next_touched;
        else
            link = &(*link)->next_touched;
    }
}

void weft_sqlite_take_back(struct sqlite_writer *writer, const struct sqlite_mark *mark)
{
    struct sqlite_undo *undo = &writer->undo;
    while (undo->count > mark->words) {
        const struct sqlite_word *word = &undo->words[--undo->count];
        *word->at = word->before;
    }
    writer->events.pending_count = mark->events;
    writer->ended.count = mark->ended;
    writer->gather.jobs_count = mark->jobs;
    writer->gather.outcomes_count = mark->outcomes;
    writer->times = mark->times;
    weft_sqlite_leases_forget(writer);
    forget_touched(writer, mark->last_queue);
    if (writer->tasks.last > mark->last_task || writer->queues.last > mark->last_queue) {
        (void)pthread_mutex_lock(&writer->names_lock);
        weft_sqlite_names_cut(&writer->tasks, mark->last_task);
        weft_sqlite_names_cut(&writer->queues, mark->last_queue);
        (void)pthread_mutex_unlock(&writer->names_lock);
    }
}

int weft_sqlite_part_begin(struct sqlite_writer *writer, struct sqlite_mark *ret_mark)
{
    int rc = weft_sqlite_flush(writer); /* what came before is no part of it */
    *ret_mark = weft_sqlite_mark(writer);
    return rc ? rc : weft_sqlite_run(writer, SQL_SAVEPOINT);
}

int weft_sqlite_part_keep(struct sqlite_writer *writer)
{
    return weft_sqlite_run(writer, SQL_SAVEPOINT_KEEP);
}

int weft_sqlite_part_undo(struct sqlite_writer *writer, const struct sqlite_mark *mark)
{
    int rc = weft_sqlite_run(writer, SQL_SAVEPOINT_UNDO);
    if (!rc)
        rc = weft_sqlite_run(writer, SQL_SAVEPOINT_KEEP);
    weft_sqlite_take_back(writer, mark);
    return rc;
}
