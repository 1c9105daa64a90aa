/* SPDX-License-Identifier: MIT
 * sqlite_passed.c - how far claims have looked at a queue whose front is full of other tasks' jobs.
 *
 * A claim that names its tasks may look at so many jobs of others and no more. What it looked at is
 * noted here, by queue and by what it asks for: the next claim of the same tasks goes on behind
 * that, and so each job is passed once, not again by every claim. Of each priority one place is
 * kept. A job that becomes ready before such a place, because it was given back, say, moves the
 * place back to itself. All of it is lost without harm, and a new server begins without. */
#include "sqlite_internal.h"

static bool is_before(struct sqlite_place one, struct sqlite_place other)
{
    return one.run_at_us != other.run_at_us ? one.run_at_us < other.run_at_us : one.seq < other.seq;
}

struct sqlite_place weft_sqlite_passed_until(const struct sqlite_passed *passed, int priority)
{
    const uint64_t *words = passed->places[priority];
    return (struct sqlite_place){(int64_t)words[0], (int64_t)words[1]};
}

void weft_sqlite_passed_note(struct sqlite_writer *writer, struct sqlite_passed *passed,
                             int priority, struct sqlite_place place)
{
    const struct sqlite_place before = weft_sqlite_passed_until(passed, priority);
    if (before.run_at_us == place.run_at_us && before.seq == place.seq)
        return;
    weft_sqlite_set(writer, &passed->places[priority][0], (uint64_t)place.run_at_us);
    weft_sqlite_set(writer, &passed->places[priority][1], (uint64_t)place.seq);
}

struct sqlite_passed *weft_sqlite_passed_find(struct sqlite_writer *writer, int64_t queue,
                                              uint64_t tasks)
{
    for (unsigned i = 0; i < writer->passed_count; i++) {
        struct sqlite_passed *passed = &writer->passed[i];
        if (passed->queue != (uint64_t)queue || passed->tasks != tasks)
            continue;
        passed->used = writer->next_token;
        return passed;
    }
    return NULL;
}

/* One that nobody uses, else the one that was not used for longest. */
static struct sqlite_passed *take_one(struct sqlite_writer *writer, bool *ret_fresh)
{
    *ret_fresh = writer->passed_count < SQLITE_PASSED_MAX;
    if (*ret_fresh)
        return &writer->passed[writer->passed_count++];
    struct sqlite_passed *oldest = &writer->passed[0];
    for (unsigned i = 1; i < SQLITE_PASSED_MAX; i++)
        if (writer->passed[i].used < oldest->used)
            oldest = &writer->passed[i];
    return oldest;
}

bool weft_sqlite_passed_begin(struct sqlite_writer *writer, int64_t queue, uint64_t tasks)
{
    static const struct sqlite_place first = {INT64_MIN, INT64_MIN};
    bool fresh;
    struct sqlite_passed *passed = take_one(writer, &fresh);
    passed->used = writer->next_token;
    weft_sqlite_set(writer, &passed->queue, (uint64_t)queue);
    weft_sqlite_set(writer, &passed->tasks, tasks);
    for (int priority = 0; priority <= WEFT_PRIORITY_LAST; priority++)
        weft_sqlite_passed_note(writer, passed, priority, first);
    return fresh;
}

void weft_sqlite_passed_ready(struct sqlite_writer *writer, int64_t queue, int64_t run_at_us,
                              int64_t seq)
{
    const struct sqlite_place before = {run_at_us, seq - 1};
    for (unsigned i = 0; i < writer->passed_count; i++) {
        struct sqlite_passed *passed = &writer->passed[i];
        if (passed->queue != (uint64_t)queue)
            continue;
        for (int priority = 0; priority <= WEFT_PRIORITY_LAST; priority++)
            if (is_before(before, weft_sqlite_passed_until(passed, priority)))
                weft_sqlite_passed_note(writer, passed, priority, before);
    }
}
