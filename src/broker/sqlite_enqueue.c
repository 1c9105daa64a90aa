/* SPDX-License-Identifier: MIT
 * sqlite_enqueue.c - jobs are put in, inside the transaction.
 *
 * All that can refuse a job is looked at before its first row is written, but for an id that is in
 * use: that the insert itself tells. So a refused job leaves nothing behind, and only a batch that
 * is to go in as a whole needs a savepoint. */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIZE_MAX_DEFAULT 1000000u /* jobs that wait in one queue */

// clang-format off
const struct sqlite_text weft_sqlite_texts_enqueue[] = {
    {SQL_STATE_SELECT,
     "SELECT j.id, coalesce(o.state, q.state) FROM jobs j LEFT JOIN queue q ON q.seq = j.seq"
     " LEFT JOIN outcomes o ON o.seq = j.seq WHERE j.seq = ?1"},
    {SQL_UNIQUE_SELECT, "SELECT seq, created_us FROM uniques WHERE key = ?1"},
    {SQL_UNIQUE_INSERT,
     "INSERT OR REPLACE INTO uniques (key, seq, created_us) VALUES (?1, ?2, ?3)"},
    {SQL_NEED_INSERT,
     "INSERT INTO needs (parent, child, position, policy) VALUES (?1, ?2, ?3, ?4)"},
    {SQL_NEEDED_UPDATE, "UPDATE queue SET flags = flags | 8 WHERE seq = ?1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* What is found out about a job before it is put in. */
struct entry {
    struct weft_enqueue *item;
    const struct weft_enqueue_batch *batch;
    int64_t seq, now_us;
    struct sqlite_queue *queue;
    struct sqlite_name *task;
    enum weft_job_state state;
    unsigned waits_for;
    struct weft_uuid failed;          /* state CANCELLED: the job it needed ... */
    enum weft_job_state failed_state; /* ... ended so */
};

static const char *key_of(const char *text)
{
    return text && text[0] ? text : NULL;
}

/* --- what may be refused --- */

static bool is_longer(const char *text, size_t max)
{
    return text && strnlen(text, max + 1) > max;
}

static int check_item(const struct weft_enqueue *item)
{
    const struct weft_job *job = item->job;
    if (job->payload.len > WEFT_JOB_PAYLOAD_MAX || is_longer(job->headers, WEFT_JOB_HEADERS_MAX) ||
        is_longer(job->limit_key, WEFT_JOB_KEY_MAX) ||
        is_longer(job->unique_key, WEFT_JOB_KEY_MAX) ||
        is_longer(job->content_type, WEFT_JOB_KEY_MAX))
        return -EMSGSIZE;
    return job->priority > WEFT_PRIORITY_LAST || job->attempts_max == 0 ||
                   job->attempts_max > WEFT_JOB_ATTEMPTS_MAX ||
                   item->after_count > WEFT_JOB_AFTER_MAX
               ? -EINVAL
               : 0;
}

int weft_sqlite_state_find(struct sqlite_writer *writer, int64_t seq, struct weft_uuid *ret_id,
                           enum weft_job_state *ret_state)
{
    sqlite3_stmt *select = writer->statements[SQL_STATE_SELECT];
    (void)sqlite3_bind_int64(select, 1, seq);
    int rc = sqlite3_step(select);
    *ret_state = WEFT_JOB_NONE;
    if (rc == SQLITE_ROW) {
        *ret_state = (enum weft_job_state)sqlite3_column_int(select, 1);
        if (!weft_sqlite_column_id(select, 0, ret_id) || *ret_state == WEFT_JOB_NONE)
            rc = SQLITE_CORRUPT;
    }
    (void)sqlite3_reset(select);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static unsigned states_that_count(const struct weft_unique *unique)
{
    unsigned unfinished = 1u << WEFT_JOB_SCHEDULED | 1u << WEFT_JOB_AVAILABLE |
                          1u << WEFT_JOB_RUNNING | 1u << WEFT_JOB_RETRYABLE |
                          1u << WEFT_JOB_BLOCKED;
    if (unique && unique->states)
        return unique->states;
    return unique && unique->window_us > 0 ? unfinished | 1u << WEFT_JOB_COMPLETED : unfinished;
}

int weft_sqlite_unique_find(struct sqlite_writer *writer, const char *key,
                            const struct weft_unique *unique, int64_t now_us,
                            struct weft_uuid *ret_same, bool *ret_there)
{
    sqlite3_stmt *select = writer->statements[SQL_UNIQUE_SELECT];
    int64_t seq = 0, created_us = 0;
    enum weft_job_state state;
    *ret_there = false;
    weft_sqlite_bind_text(select, 1, key);
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW) {
        seq = sqlite3_column_int64(select, 0);
        created_us = sqlite3_column_int64(select, 1);
    }
    (void)sqlite3_reset(select);
    (void)sqlite3_clear_bindings(select);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    if (unique && unique->window_us > 0 && now_us - created_us >= unique->window_us)
        return SQLITE_OK;
    rc = weft_sqlite_state_find(writer, seq, ret_same, &state);
    *ret_there = !rc && state != WEFT_JOB_NONE && states_that_count(unique) >> state & 1u;
    return rc;
}

/* --- jobs to wait for --- */

static bool is_named_twice(const struct weft_enqueue *item, size_t index, int64_t seq)
{
    for (size_t i = 0; i < index; i++)
        if (weft_sqlite_seq(&item->after[i].id) == seq)
            return true;
    return false;
}

/* Whether the parent has ended in a way that lets the job go on. */
static bool is_fulfilled(const struct weft_after *after, enum weft_job_state parent)
{
    return parent == WEFT_JOB_COMPLETED || (after->any_end && weft_job_state_is_final(parent));
}

static int look_at_parents(struct sqlite_writer *writer, struct entry *entry)
{
    struct weft_enqueue *item = entry->item;
    for (size_t i = 0; i < item->after_count; i++) {
        const struct weft_after *after = &item->after[i];
        int64_t seq = weft_sqlite_seq(&after->id);
        struct weft_uuid id;
        enum weft_job_state state;
        int rc = weft_sqlite_state_find(writer, seq, &id, &state);
        if (rc)
            return rc;
        if (state == WEFT_JOB_NONE || memcmp(id.bytes, after->id.bytes, sizeof id.bytes) != 0)
            item->err = -ENOENT;
        else if (is_named_twice(item, i, seq))
            item->err = -EINVAL;
        if (item->err)
            return SQLITE_OK;
        if (!weft_job_state_is_final(state)) {
            entry->waits_for++;
        } else if (!is_fulfilled(after, state) && entry->failed_state == WEFT_JOB_NONE) {
            entry->failed = id;
            entry->failed_state = state;
        }
    }
    return SQLITE_OK;
}

/* Rows for those that have ended as well: their results are handed to the job. */
static int insert_needs(struct sqlite_writer *writer, const struct entry *entry)
{
    sqlite3_stmt *insert = writer->statements[SQL_NEED_INSERT];
    int rc = SQLITE_OK;
    for (size_t i = 0; !rc && i < entry->item->after_count; i++) {
        const struct weft_after *after = &entry->item->after[i];
        int64_t parent = weft_sqlite_seq(&after->id);
        (void)sqlite3_bind_int64(writer->statements[SQL_NEEDED_UPDATE], 1, parent);
        rc = weft_sqlite_run(writer, SQL_NEEDED_UPDATE);
        if (rc)
            break;
        bool ended = sqlite3_changes(writer->db) == 0;
        weft_sqlite_lease_forget(writer, parent);
        (void)sqlite3_bind_int64(insert, 1, parent);
        (void)sqlite3_bind_int64(insert, 2, entry->seq);
        (void)sqlite3_bind_int64(insert, 3, (int64_t)i);
        (void)sqlite3_bind_int(insert, 4,
                               (after->any_end ? SQLITE_ANY_END : 0) | (ended ? SQLITE_ENDED : 0));
        rc = weft_sqlite_run(writer, SQL_NEED_INSERT);
    }
    return rc;
}

/* --- where it begins --- */

static bool may_begin(struct sqlite_writer *writer, const struct entry *entry)
{
    const struct weft_job *job = entry->item->job;
    const struct sqlite_queue *queue = entry->queue;
    int64_t next_us = INT64_MAX;
    return queue->jobs[WEFT_JOB_AVAILABLE] == queue->held &&
           (job->expires_us == 0 || job->expires_us > entry->now_us) &&
           weft_sqlite_room(queue, 1, entry->now_us, &next_us) == 1 &&
           weft_sqlite_key_has_room(writer, queue, job->limit_key);
}

static void choose_state(struct sqlite_writer *writer, struct entry *entry)
{
    const struct weft_enqueue *item = entry->item;
    if (entry->failed_state != WEFT_JOB_NONE)
        entry->state = WEFT_JOB_CANCELLED;
    else if (entry->waits_for > 0)
        entry->state = WEFT_JOB_BLOCKED;
    else if (item->job->run_at_us > entry->now_us)
        entry->state = WEFT_JOB_SCHEDULED;
    else if (item->claim && item->after_count == 0 && may_begin(writer, entry))
        entry->state = WEFT_JOB_RUNNING;
    else
        entry->state = WEFT_JOB_AVAILABLE;
}

/* All that is known of the queue, the task and other jobs. What refuses it goes to item->err. */
static int prepare(struct sqlite_writer *writer, struct entry *entry)
{
    struct weft_enqueue *item = entry->item;
    const struct weft_job *job = item->job;
    const char *unique_key = key_of(job->unique_key);
    int rc = weft_sqlite_queue_named(writer, job->queue, &entry->queue, &item->err);
    if (!rc && !item->err)
        rc = weft_sqlite_task_named(writer, job->task, &entry->task, &item->err);
    if (!rc && !item->err && (unique_key || item->after_count > 0))
        rc = weft_sqlite_flush(writer); /* to be seen in what follows */
    if (!rc && !item->err && unique_key) {
        bool there;
        rc = weft_sqlite_unique_find(writer, unique_key, item->unique, entry->now_us, &item->same,
                                     &there);
        if (!rc && there)
            item->err = WEFT_EDUPLICATE;
    }
    if (!rc && !item->err && item->after_count > 0)
        rc = look_at_parents(writer, entry);
    if (rc || item->err)
        return rc;
    choose_state(writer, entry);
    uint64_t max = entry->queue->settings.size_max;
    bool waits = entry->state != WEFT_JOB_RUNNING && entry->state != WEFT_JOB_CANCELLED;
    if (waits && weft_sqlite_queue_waiting(entry->queue) >= (max ? max : SIZE_MAX_DEFAULT))
        item->err = WEFT_EFULL;
    return SQLITE_OK;
}

/* --- rows --- */

static unsigned flags_of(const struct entry *entry)
{
    return (entry->item->after_count > 0 ? SQLITE_NEEDS : 0u) |
           (entry->item->job->result_ttl_us > 0 ? SQLITE_RESULT_TTL : 0u);
}

/* Its rows in jobs and queue. */
static bool insert_job(struct sqlite_writer *writer, const struct entry *entry)
{
    const struct weft_job *job = entry->item->job;
    struct sqlite_new_job row = {
        .job = job,
        .seq = entry->seq,
        .task = entry->task->number,
        .queue = entry->queue->name.number,
        .state = entry->state,
        .flags = flags_of(entry),
        .waits_for = entry->waits_for,
        .wake_us = job->expires_us,
    };
    if (entry->state == WEFT_JOB_SCHEDULED && (row.wake_us <= 0 || job->run_at_us < row.wake_us))
        row.wake_us = job->run_at_us;
    if (entry->state == WEFT_JOB_RUNNING) {
        row.lease_until_us = weft_sqlite_lease_end(entry->batch->lease_us, entry->now_us);
        row.wake_us = row.lease_until_us;
        row.lease_token = entry->item->lease_token;
        row.started_us = entry->now_us;
        row.worker = entry->batch->worker;
    }
    return weft_sqlite_gather_job(writer, &row);
}

/* It has ended before it began, for want of a job it needed. */
static int insert_cancelled(struct sqlite_writer *writer, const struct entry *entry)
{
    char text[SQLITE_NEED_TEXT];
    const struct sqlite_new_outcome outcome = {.seq = entry->seq,
                                               .state = WEFT_JOB_CANCELLED,
                                               .finished_us = entry->now_us,
                                               .error = text};
    weft_sqlite_need_failed(&entry->failed, entry->failed_state, text);
    return weft_sqlite_gather_outcome(writer, &outcome) ? weft_sqlite_flush(writer) : SQLITE_NOMEM;
}

int weft_sqlite_unique_take(struct sqlite_writer *writer, const char *key, int64_t seq,
                            int64_t created_us)
{
    sqlite3_stmt *insert = writer->statements[SQL_UNIQUE_INSERT];
    weft_sqlite_bind_text(insert, 1, key);
    (void)sqlite3_bind_int64(insert, 2, seq);
    (void)sqlite3_bind_int64(insert, 3, created_us);
    int rc = weft_sqlite_run(writer, SQL_UNIQUE_INSERT);
    (void)sqlite3_clear_bindings(insert);
    return rc;
}

/* An id that is in use goes to item->err, if it is the only one that is written. */
static int insert(struct sqlite_writer *writer, const struct entry *entry)
{
    struct weft_enqueue *item = entry->item;
    int rc = writer->gather.one_by_one ? weft_sqlite_flush(writer) : SQLITE_OK;
    if (!rc && !insert_job(writer, entry))
        rc = SQLITE_NOMEM;
    if (!rc && entry->state == WEFT_JOB_CANCELLED)
        rc = insert_cancelled(writer, entry);
    else if (!rc && writer->gather.one_by_one)
        rc = weft_sqlite_flush(writer);
    if (writer->gather.one_by_one && weft_sqlite_is_items_own(rc)) {
        item->err = weft_sqlite_error(writer->db, rc);
        return SQLITE_OK;
    }
    if (!rc && key_of(item->job->unique_key))
        rc = weft_sqlite_unique_take(writer, item->job->unique_key, entry->seq, entry->now_us);
    if (!rc && item->after_count > 0)
        rc = insert_needs(writer, entry);
    return rc;
}

static void begin(struct sqlite_writer *writer, const struct entry *entry)
{
    const struct weft_job *job = entry->item->job;
    weft_sqlite_limits_begin(writer, entry->queue, job->limit_key, entry->now_us);
    if (key_of(job->limit_key))
        return;
    const struct sqlite_row row = {
        .seq = entry->seq,
        .queue = entry->queue,
        .task = entry->task,
        .token = entry->item->lease_token,
        .started_us = entry->now_us,
        .worker = entry->batch->worker,
        .run_at_us = job->run_at_us,
        .attempt = 1,
        .flags = flags_of(entry),
    };
    weft_sqlite_lease_keep(writer, &row);
}

static void note(struct sqlite_writer *writer, const struct entry *entry)
{
    struct weft_enqueue *item = entry->item;
    const struct weft_job *job = item->job;
    const struct weft_broker_event event = {.at_us = entry->now_us,
                                            .id = job->id,
                                            .task = entry->task->text,
                                            .queue = entry->queue->name.text,
                                            .from = WEFT_JOB_NONE,
                                            .to = entry->state,
                                            .attempt = entry->state == WEFT_JOB_RUNNING};
    weft_sqlite_queue_count(writer, entry->queue, WEFT_JOB_NONE, entry->state);
    if (entry->state == WEFT_JOB_RUNNING)
        begin(writer, entry);
    else if (entry->state == WEFT_JOB_AVAILABLE)
        weft_sqlite_passed_ready(writer, entry->queue->name.number, job->run_at_us, entry->seq);
    weft_sqlite_tell(writer, &event);
    item->claimed = entry->state == WEFT_JOB_RUNNING;
    item->state = entry->state;
    item->waiting = weft_sqlite_queue_waiting(entry->queue);
}

static int enqueue_one(struct sqlite_writer *writer, const struct weft_enqueue_batch *batch,
                       struct weft_enqueue *item, int64_t now_us)
{
    struct entry entry = {
        .item = item, .batch = batch, .seq = weft_sqlite_seq(&item->job->id), .now_us = now_us};
    item->claimed = false;
    item->lease_token = 0;
    item->state = WEFT_JOB_NONE;
    item->err = check_item(item);
    int rc = item->err ? SQLITE_OK : prepare(writer, &entry);
    if (rc || item->err)
        return rc;
    if (entry.state == WEFT_JOB_RUNNING)
        item->lease_token = writer->next_token++;
    rc = insert(writer, &entry);
    if (!rc && !item->err)
        note(writer, &entry);
    else
        item->lease_token = 0;
    return rc;
}

/* Nothing of the batch is there any more. When a duplicate is the reason, each of them is named:
 * who repeats a request wants to hear of all its jobs. */
static int refuse_all(struct sqlite_writer *writer, struct weft_enqueue_batch *batch,
                      size_t refused, int64_t now_us)
{
    bool repeated = batch->items[refused].err == WEFT_EDUPLICATE;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < batch->count; i++) {
        struct weft_enqueue *item = &batch->items[i];
        const char *key = repeated ? key_of(item->job->unique_key) : NULL;
        bool there = false;
        item->claimed = false;
        item->lease_token = 0;
        item->state = WEFT_JOB_NONE;
        if (key && !rc)
            rc = weft_sqlite_unique_find(writer, key, item->unique, now_us, &item->same, &there);
        if (!there)
            item->same = (struct weft_uuid){{0}};
        if (i != refused)
            item->err = there ? WEFT_EDUPLICATE : -ECANCELED;
    }
    return rc;
}

static int enqueue_atomically(struct sqlite_writer *writer, struct weft_enqueue_batch *batch,
                              int64_t now_us)
{
    struct sqlite_mark mark;
    int rc = weft_sqlite_part_begin(writer, &mark);
    for (size_t i = 0; !rc && i < batch->count; i++) {
        rc = enqueue_one(writer, batch, &batch->items[i], now_us);
        if (!rc && batch->items[i].err) {
            rc = weft_sqlite_part_undo(writer, &mark);
            return rc ? rc : refuse_all(writer, batch, i, now_us);
        }
    }
    return rc ? rc : weft_sqlite_part_keep(writer);
}

int weft_sqlite_enqueue_items(struct sqlite_writer *writer, struct weft_enqueue_batch *batch,
                              int64_t now_us)
{
    int rc = SQLITE_OK;
    if (batch->atomic)
        return enqueue_atomically(writer, batch, now_us);
    for (size_t i = 0; !rc && i < batch->count; i++)
        rc = enqueue_one(writer, batch, &batch->items[i], now_us);
    return rc;
}

int weft_sqlite_apply_enqueue(struct sqlite_writer *writer, struct sqlite_request *request)
{
    return weft_sqlite_enqueue_items(writer, request->arg, request->now_us);
}
