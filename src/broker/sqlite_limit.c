/* SPDX-License-Identifier: MIT
 * sqlite_limit.c - how many jobs of a queue may run at once, per limit_key too, and how often one
 * may be claimed.
 *
 * A job that a claim meets while as many with its key run as may is held back: flag 1, out of the
 * index of what is ready, so that it is not met again and again. When a job with that key no longer
 * runs, the best of the held ones is let go. So while some are held, either as many run as may, or
 * one that is ready has the key. */
#include "sqlite_internal.h"

#include <base/siphash.h>
#include <flow/pattern.h>

#include <stdlib.h>
#include <string.h>

struct sqlite_key {
    struct sqlite_key *next, *next_touched;
    bool touched;
    int64_t queue;
    uint64_t hash, running, held; /* jobs */
    char text[];
};

// clang-format off
const struct sqlite_text weft_sqlite_texts_limit[] = {
    {SQL_HOLD, "UPDATE queue SET flags = flags | 1 WHERE seq = ?1"},
    {SQL_UNHOLD, "UPDATE queue SET flags = flags & ~1 WHERE seq = ?1"},
    {SQL_HELD_INSERT,
     "INSERT INTO held SELECT queue, limit_key, priority, run_at_us, seq FROM queue"
     " WHERE seq = ?1"},
    {SQL_HELD_DELETE,
     "DELETE FROM held WHERE (queue, limit_key, priority, run_at_us, seq) ="
     " (SELECT queue, limit_key, priority, run_at_us, seq FROM queue WHERE seq = ?1)"},
    {SQL_HELD_SELECT,
     "SELECT q.seq, j.id, q.task, q.attempt, h.run_at_us FROM held h CROSS JOIN queue q ON q.seq = h.seq"
     " CROSS JOIN jobs j ON j.seq = h.seq WHERE h.queue = ?1 AND h.limit_key = ?2"
     " ORDER BY h.priority, h.run_at_us, h.seq LIMIT 1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* --- the rate --- */

/* Nanoseconds until the bucket has one more. */
static int64_t interval_ns(const struct weft_queue_settings *settings)
{
    double interval = 1e9 / settings->rate_per_s;
    return interval < 1 ? 1 : interval > 1e18 ? (int64_t)1e18 : (int64_t)interval;
}

static int64_t burst_of(const struct weft_queue_settings *settings)
{
    double burst = settings->burst ? settings->burst : settings->rate_per_s;
    return burst < 1 ? 1 : burst > 1e9 ? (int64_t)1e9 : (int64_t)burst;
}

/* Since when the bucket has been filling, were it empty then: never longer than it takes. */
static int64_t filling_since_ns(const struct sqlite_queue *queue, int64_t now_ns)
{
    int64_t full_ns, since_ns = (int64_t)queue->empty_ns;
    if (__builtin_mul_overflow(interval_ns(&queue->settings), burst_of(&queue->settings),
                               &full_ns) ||
        full_ns > now_ns)
        full_ns = now_ns;
    return since_ns > now_ns - full_ns ? since_ns : now_ns - full_ns;
}

static unsigned rate_room(const struct sqlite_queue *queue, unsigned max, int64_t now_us,
                          int64_t *next_us)
{
    if (queue->settings.rate_per_s <= 0)
        return max;
    int64_t now_ns = now_us * 1000, each_ns = interval_ns(&queue->settings);
    int64_t for_ns = now_ns - filling_since_ns(queue, now_ns);
    int64_t count = for_ns > 0 ? for_ns / each_ns : 0;
    if (count >= max)
        return max;
    int64_t wait_us = ((count + 1) * each_ns - for_ns + 999) / 1000;
    if (wait_us < *next_us)
        *next_us = wait_us;
    return (unsigned)count;
}

unsigned weft_sqlite_room(const struct sqlite_queue *queue, unsigned max, int64_t now_us,
                          int64_t *next_us)
{
    const struct weft_queue_settings *settings = &queue->settings;
    if (settings->paused)
        return 0;
    if (settings->running_max > 0) {
        uint64_t running = queue->jobs[WEFT_JOB_RUNNING];
        uint64_t rest = running < settings->running_max ? settings->running_max - running : 0;
        max = rest < max ? (unsigned)rest : max;
    }
    return max > 0 ? rate_room(queue, max, now_us, next_us) : 0;
}

/* --- keys --- */

static struct sqlite_key **key_link(const struct sqlite_keys *keys, int64_t queue, uint64_t hash,
                                    const char *text)
{
    struct sqlite_key **link = &keys->chains[hash & (keys->chains_count - 1)];
    while (*link &&
           ((*link)->hash != hash || (*link)->queue != queue || strcmp((*link)->text, text) != 0))
        link = &(*link)->next;
    return link;
}

/* Clients choose the keys, so they must not know where they come to lie. */
static uint64_t hash_of(const struct sqlite_keys *keys, int64_t queue, const char *text)
{
    return weft_siphash(keys->secret, text, strlen(text)) + (uint64_t)queue * 0x9e3779b97f4a7c15u;
}

static struct sqlite_key *key_find(const struct sqlite_keys *keys, int64_t queue, const char *text)
{
    return keys->chains_count > 0 ? *key_link(keys, queue, hash_of(keys, queue, text), text) : NULL;
}

static bool grow_chains(struct sqlite_keys *keys)
{
    size_t before = keys->chains_count, after = before ? before * 2 : 64;
    struct sqlite_key **old = keys->chains;
    struct sqlite_key **chains =
        calloc(after, sizeof *chains); // NOLINT(bugprone-sizeof-expression)
    if (!chains)
        return false;
    if (before == 0)
        weft_pattern_secret(keys->secret, 0);
    keys->chains = chains;
    keys->chains_count = after;
    for (size_t i = 0; i < before; i++)
        while (old[i]) {
            struct sqlite_key *key = old[i];
            old[i] = key->next;
            key->next = chains[key->hash & (after - 1)];
            chains[key->hash & (after - 1)] = key;
        }
    free(old);
    return true;
}

/* Find or make. NULL: out of memory. */
static struct sqlite_key *key_make(struct sqlite_keys *keys, int64_t queue, const char *text)
{
    if (keys->count >= keys->chains_count && !grow_chains(keys))
        return NULL;
    uint64_t hash = hash_of(keys, queue, text);
    struct sqlite_key **link = key_link(keys, queue, hash, text), *key = *link;
    if (key)
        return key;
    size_t len = strlen(text);
    key = calloc(1, sizeof *key + len + 1);
    if (!key)
        return NULL;
    key->queue = queue;
    key->hash = hash;
    memcpy(key->text, text, len + 1);
    keys->count++;
    *link = key;
    return key;
}

static void touch(struct sqlite_keys *keys, struct sqlite_key *key)
{
    if (key->touched)
        return;
    key->touched = true;
    key->next_touched = keys->touched;
    keys->touched = key;
}

void weft_sqlite_keys_sweep(struct sqlite_writer *writer)
{
    struct sqlite_keys *keys = &writer->keys;
    while (keys->touched) {
        struct sqlite_key *key = keys->touched;
        keys->touched = key->next_touched;
        key->touched = false;
        if (key->running > 0 || key->held > 0)
            continue;
        *key_link(keys, key->queue, key->hash, key->text) = key->next;
        keys->count--;
        free(key);
    }
}

void weft_sqlite_keys_free(struct sqlite_keys *keys)
{
    for (size_t i = 0; i < keys->chains_count; i++)
        while (keys->chains[i]) {
            struct sqlite_key *key = keys->chains[i];
            keys->chains[i] = key->next;
            free(key);
        }
    free(keys->chains);
    *keys = (struct sqlite_keys){0};
}

int weft_sqlite_key_load(struct sqlite_writer *writer, struct sqlite_queue *queue, const char *text,
                         bool held)
{
    struct sqlite_key *key = key_make(&writer->keys, queue->name.number, text);
    if (!key)
        return SQLITE_NOMEM;
    if (held) {
        key->held++;
        queue->held++;
    } else {
        key->running++;
    }
    return SQLITE_OK;
}

static bool has_room(const struct sqlite_queue *queue, const struct sqlite_key *key)
{
    uint32_t max = queue->settings.running_max_per_key;
    return max == 0 || !key || key->running < max;
}

bool weft_sqlite_key_has_room(struct sqlite_writer *writer, const struct sqlite_queue *queue,
                              const char *text)
{
    return queue->settings.running_max_per_key == 0 || !text || !text[0] ||
           has_room(queue, key_find(&writer->keys, queue->name.number, text));
}

void weft_sqlite_limits_begin(struct sqlite_writer *writer, struct sqlite_queue *queue,
                              const char *text, int64_t now_us)
{
    const struct weft_queue_settings *settings = &queue->settings;
    if (settings->rate_per_s > 0) {
        int64_t since_ns = filling_since_ns(queue, now_us * 1000);
        weft_sqlite_set(writer, &queue->empty_ns, (uint64_t)(since_ns + interval_ns(settings)));
    }
    if (!text || !text[0])
        return;
    struct sqlite_key *key = key_make(&writer->keys, queue->name.number, text);
    if (!key) {
        writer->memory = SQLITE_NOMEM;
        return;
    }
    touch(&writer->keys, key);
    weft_sqlite_set(writer, &key->running, key->running + 1);
}

/* --- held back --- */

int weft_sqlite_hold(struct sqlite_writer *writer, struct sqlite_queue *queue, int64_t seq,
                     const char *text)
{
    struct sqlite_key *key = key_make(&writer->keys, queue->name.number, text);
    if (!key)
        return SQLITE_NOMEM;
    touch(&writer->keys, key);
    weft_sqlite_set(writer, &key->held, key->held + 1);
    weft_sqlite_set(writer, &queue->held, queue->held + 1);
    (void)sqlite3_bind_int64(writer->statements[SQL_HELD_INSERT], 1, seq);
    int rc = weft_sqlite_run(writer, SQL_HELD_INSERT);
    if (rc)
        return rc;
    (void)sqlite3_bind_int64(writer->statements[SQL_HOLD], 1, seq);
    return weft_sqlite_run(writer, SQL_HOLD);
}

int weft_sqlite_held_delete(struct sqlite_writer *writer, int64_t seq)
{
    (void)sqlite3_bind_int64(writer->statements[SQL_HELD_DELETE], 1, seq);
    return weft_sqlite_run(writer, SQL_HELD_DELETE);
}

static void forget_held(struct sqlite_writer *writer, struct sqlite_queue *queue,
                        struct sqlite_key *key)
{
    touch(&writer->keys, key);
    weft_sqlite_set(writer, &key->held, key->held - 1);
    weft_sqlite_set(writer, &queue->held, queue->held - 1);
}

/* The best of those that are held, its place among those that are ready, and what is told of it.
 * Returns SQLITE_OK; SQLITE_CORRUPT: there is none, although there was. */
static int find_held(struct sqlite_writer *writer, const struct sqlite_queue *queue,
                     const char *text, struct sqlite_place *ret_place,
                     struct weft_broker_event *ret_event)
{
    sqlite3_stmt *select = writer->statements[SQL_HELD_SELECT];
    (void)sqlite3_bind_int64(select, 1, queue->name.number);
    weft_sqlite_bind_text(select, 2, text);
    int rc = sqlite3_step(select);
    if (rc == SQLITE_DONE)
        rc = SQLITE_CORRUPT;
    if (rc == SQLITE_ROW) {
        const struct sqlite_name *task =
            weft_sqlite_name_numbered(&writer->tasks, sqlite3_column_int64(select, 2));
        rc = weft_sqlite_column_id(select, 1, &ret_event->id) && task ? SQLITE_OK : SQLITE_CORRUPT;
        ret_place->seq = sqlite3_column_int64(select, 0);
        ret_place->run_at_us = sqlite3_column_int64(select, 4);
        ret_event->task = task ? task->text : NULL;
        ret_event->attempt = (uint16_t)sqlite3_column_int(select, 3);
    }
    (void)sqlite3_reset(select);
    (void)sqlite3_clear_bindings(select);
    return rc;
}

static int let_one_go(struct sqlite_writer *writer, struct sqlite_queue *queue,
                      struct sqlite_key *key, int64_t now_us)
{
    struct weft_broker_event event = {.at_us = now_us,
                                      .queue = queue->name.text,
                                      .event = WEFT_JOB_DUE,
                                      .from = WEFT_JOB_AVAILABLE,
                                      .to = WEFT_JOB_AVAILABLE};
    struct sqlite_place place = {0};
    int rc = find_held(writer, queue, key->text, &place, &event);
    if (rc)
        return rc;
    rc = weft_sqlite_held_delete(writer, place.seq);
    if (rc)
        return rc;
    (void)sqlite3_bind_int64(writer->statements[SQL_UNHOLD], 1, place.seq);
    rc = weft_sqlite_run(writer, SQL_UNHOLD);
    forget_held(writer, queue, key);
    weft_sqlite_passed_ready(writer, queue->name.number, place.run_at_us, place.seq);
    weft_sqlite_tell(writer, &event);
    return rc;
}

int weft_sqlite_limits_leave(struct sqlite_writer *writer, const struct sqlite_row *row,
                             int64_t now_us)
{
    if (!row->limit_key[0])
        return SQLITE_OK;
    struct sqlite_key *key = key_find(&writer->keys, row->queue->name.number, row->limit_key);
    if (!key) /* nobody with this key runs or is held */
        return row->state == WEFT_JOB_RUNNING || row->flags & SQLITE_HELD ? SQLITE_CORRUPT
                                                                          : SQLITE_OK;
    touch(&writer->keys, key);
    if (row->state == WEFT_JOB_RUNNING)
        weft_sqlite_set(writer, &key->running, key->running - 1);
    else if (row->flags & SQLITE_HELD)
        forget_held(writer, row->queue, key);
    bool left = row->state == WEFT_JOB_RUNNING || row->state == WEFT_JOB_AVAILABLE;
    return left && key->held > 0 && has_room(row->queue, key)
               ? let_one_go(writer, row->queue, key, now_us)
               : SQLITE_OK;
}

/* How many of those that are held may be ready: as many as may run, beside those that do. */
static uint64_t let_go_count(const struct sqlite_queue *queue, const struct sqlite_key *key)
{
    uint32_t max = queue->settings.running_max_per_key;
    uint64_t room = max == 0 ? key->held : key->running < max ? max - key->running : 0;
    return room < key->held ? room : key->held;
}

int weft_sqlite_let_go(struct sqlite_writer *writer, struct sqlite_queue *queue, unsigned max,
                       int64_t now_us, bool *ret_more)
{
    const struct sqlite_keys *keys = &writer->keys;
    *ret_more = false;
    for (size_t i = 0; queue->held > 0 && i < keys->chains_count; i++)
        for (struct sqlite_key *key = keys->chains[i]; key; key = key->next) {
            if (key->queue != queue->name.number)
                continue;
            for (uint64_t left = let_go_count(queue, key); left > 0; left--, max--) {
                if (max == 0) {
                    *ret_more = true;
                    return SQLITE_OK;
                }
                int rc = let_one_go(writer, queue, key, now_us);
                if (rc)
                    return rc;
            }
        }
    return SQLITE_OK;
}
