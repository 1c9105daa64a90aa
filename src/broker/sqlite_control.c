/* SPDX-License-Identifier: MIT
 * sqlite_control.c - what people do to jobs and queues: cancel, begin again, settings; and
 * schedules that fire. */
#include "sqlite_internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define LET_GO_MAX 1000u /* jobs, in the call that loosens a limit; maintain does the rest */
#define FLOW_MAX   1000u /* jobs of a flow, cancelled in one transaction: others wait meanwhile */

// clang-format off
const struct sqlite_text weft_sqlite_texts_control[] = {
    {SQL_CANCELLING,
     "UPDATE queue SET flags = flags | 2, reason = coalesce(reason, ?2) WHERE seq = ?1"},
    /* Newest first: so those that wait for others are cancelled for the reason that was given. */
    {SQL_FLOW_SELECT,
     "SELECT seq FROM jobs WHERE flow = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3"},
    {SQL_REVIVE_SELECT,
     "SELECT j.id, o.state, o.attempt, j.queue, j.task, j.unique_key, j.created_us FROM jobs j"
     " LEFT JOIN outcomes o ON o.seq = j.seq WHERE j.seq = ?1"},
    {SQL_REVIVE,
     "INSERT INTO queue (seq, state, queue, task, priority, run_at_us, attempt, attempts_max,"
     " flags, wake_us, expires_us, limit_key) SELECT j.seq, 2, j.queue, j.task, j.priority, ?2, o.attempt,"
     " min(o.attempt + j.attempts_max, 65535),"
     " CASE WHEN EXISTS (SELECT 1 FROM needs WHERE child = ?1) THEN 4 ELSE 0 END |"
     " CASE WHEN EXISTS (SELECT 1 FROM needs WHERE parent = ?1 AND policy & 2 = 0) THEN 8 ELSE 0"
     " END | CASE WHEN j.result_ttl_us > 0 THEN 16 ELSE 0 END,"
     " CASE WHEN j.expires_us > ?2 THEN j.expires_us END,"
     " CASE WHEN j.expires_us > ?2 THEN j.expires_us END, j.limit_key"
     " FROM jobs j JOIN outcomes o ON o.seq = j.seq WHERE j.seq = ?1"},
    {SQL_OUTCOME_DELETE, "DELETE FROM outcomes WHERE seq = ?1"},
    {SQL_QUEUE_SETTINGS,
     "UPDATE queues SET paused = ?2, size_max = ?3, running_max = ?4, running_max_per_key = ?5,"
     " rate_per_s = ?6, burst = ?7 WHERE id = ?1"},
    {SQL_CRON_SELECT, "SELECT next_us FROM crons WHERE name = ?1"},
    {SQL_CRON_FIRED,
     "UPDATE crons SET next_us = ?2, last_us = coalesce(?3, last_us),"
     " last_job = coalesce(?4, last_job) WHERE name = ?1"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* --- cancel --- */

struct cancel_call {
    struct weft_cancel *cancel;
    int err;
    /* Of a flow: the jobs before this one, so many at a time. */
    int64_t before;
    size_t count;     /* out: there were, at most FLOW_MAX ... */
    int64_t last;     /* ... down to this one ... */
    uint64_t unended; /* ... and so many had not ended */
};

static int flag(struct sqlite_writer *writer, const struct sqlite_row *row, const char *reason,
                int64_t now_us)
{
    sqlite3_stmt *update = writer->statements[SQL_CANCELLING];
    (void)sqlite3_bind_int64(update, 1, row->seq);
    weft_sqlite_bind_error(update, 2, reason);
    int rc = weft_sqlite_run_bound(writer, SQL_CANCELLING);
    weft_sqlite_lease_forget(writer, row->seq);
    weft_sqlite_row_tell(writer, row, WEFT_JOB_STOP, WEFT_JOB_RUNNING, row->attempt, now_us);
    return rc;
}

/* A job that is not over. Those that need it are dealt with here, too. */
static int cancel_row(struct sqlite_writer *writer, const struct sqlite_row *row,
                      struct weft_cancel *cancel, int64_t now_us)
{
    const char *reason = cancel->reason ? cancel->reason : "cancelled by request";
    const struct sqlite_end end = {.error = reason};
    if (row->state == WEFT_JOB_RUNNING) {
        cancel->flagged++;
        cancel->state = WEFT_JOB_RUNNING;
        return flag(writer, row, reason, now_us);
    }
    cancel->state = WEFT_JOB_CANCELLED;
    int rc = weft_sqlite_finish(writer, row, WEFT_JOB_CANCEL, &end, now_us);
    return rc ? rc : weft_sqlite_resolve(writer, now_us);
}

static bool is_same(const struct weft_uuid *a, const struct weft_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static int cancel_job(struct sqlite_writer *writer, struct cancel_call *call, int64_t now_us)
{
    struct weft_cancel *cancel = call->cancel;
    struct weft_uuid id;
    struct sqlite_row row;
    int64_t seq = weft_sqlite_seq(&cancel->id);
    int rc = weft_sqlite_state_find(writer, seq, &id, &cancel->state);
    if (rc)
        return rc;
    bool known = cancel->state != WEFT_JOB_NONE && is_same(&id, &cancel->id);
    call->err = !known ? -ENOENT : weft_job_state_is_final(cancel->state) ? -EALREADY : 0;
    if (call->err)
        return SQLITE_OK;
    rc = weft_sqlite_row_find(writer, seq, &id, &row);
    return rc == SQLITE_ROW    ? cancel_row(writer, &row, cancel, now_us)
           : rc == SQLITE_DONE ? SQLITE_CORRUPT
                               : rc;
}

static int list_flow(struct sqlite_writer *writer, const struct cancel_call *call)
{
    sqlite3_stmt *select = writer->statements[SQL_FLOW_SELECT];
    int rc;
    writer->found.count = 0;
    weft_sqlite_bind_id(select, 1, &call->cancel->id);
    (void)sqlite3_bind_int64(select, 2, call->before);
    (void)sqlite3_bind_int64(select, 3, FLOW_MAX);
    while ((rc = sqlite3_step(select)) == SQLITE_ROW)
        if (!weft_sqlite_list_add(writer, &writer->found, sqlite3_column_int64(select, 0), NULL,
                                  0)) {
            rc = SQLITE_NOMEM;
            break;
        }
    (void)sqlite3_reset(select);
    (void)sqlite3_clear_bindings(select);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int cancel_flow(struct sqlite_writer *writer, struct cancel_call *call, int64_t now_us)
{
    int rc = list_flow(writer, call);
    call->count = writer->found.count;
    call->unended = 0;
    for (size_t i = 0; !rc && i < writer->found.count; i++) {
        struct sqlite_row row;
        call->last = writer->found.items[i].seq;
        rc = weft_sqlite_row_find(writer, call->last, NULL, &row);
        if (rc == SQLITE_ROW) {
            call->unended++;
            rc = cancel_row(writer, &row, call->cancel, now_us);
        } else if (rc == SQLITE_DONE) {
            rc = SQLITE_OK;
        }
    }
    call->cancel->state = WEFT_JOB_NONE;
    return rc;
}

static int apply_cancel(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct cancel_call *call = request->arg;
    struct weft_cancel *cancel = call->cancel;
    cancel->cancelled = cancel->flagged = 0;
    writer->cancelled = 0;
    int rc = cancel->kind == WEFT_CANCEL_FLOW ? cancel_flow(writer, call, request->now_us)
                                              : cancel_job(writer, call, request->now_us);
    cancel->cancelled = writer->cancelled;
    return rc;
}

static int cancel_once(struct weft_broker *broker, struct cancel_call *call)
{
    struct sqlite_request request = {
        .apply = apply_cancel, .arg = call, .count = 1, .bytes = SQLITE_ROW_BYTES};
    return weft_sqlite_write(weft_sqlite_of(broker), &request);
}

/* From the newest on. */
static int cancel_portions(struct weft_broker *broker, struct cancel_call *call)
{
    struct weft_cancel *cancel = call->cancel;
    uint64_t count = 0, unended = 0, cancelled = 0, flagged = 0;
    int err;
    call->before = INT64_MAX;
    do {
        err = cancel_once(broker, call);
        if (err)
            return err;
        count += call->count;
        unended += call->unended;
        cancelled += cancel->cancelled;
        flagged += cancel->flagged;
        call->before = call->last;
    } while (call->count == FLOW_MAX);
    cancel->cancelled = cancelled;
    cancel->flagged = flagged;
    call->err = count == 0 ? -ENOENT : unended == 0 ? -EALREADY : 0;
    return 0;
}

int weft_sqlite_cancel(struct weft_broker *broker, struct weft_cancel *cancel)
{
    struct cancel_call call = {.cancel = cancel};
    int err = cancel->kind == WEFT_CANCEL_FLOW ? cancel_portions(broker, &call)
                                               : cancel_once(broker, &call);
    if (err) {
        cancel->cancelled = cancel->flagged = 0;
        cancel->state = WEFT_JOB_NONE;
    }
    return err ? err : call.err;
}

/* --- once more --- */

struct retry_call {
    const struct weft_uuid *id;
    enum weft_job_state state;
    int err;
};

/* One that is over, as far as it matters for beginning again. */
struct ended {
    struct sqlite_row row;
    int64_t created_us;
    char unique_key[WEFT_JOB_KEY_MAX + 1];
};

/* SQLITE_ROW; SQLITE_DONE: there is no such job. The state is NONE if it is not over. */
static int find_ended(struct sqlite_writer *writer, int64_t seq, struct ended *ret_ended)
{
    sqlite3_stmt *select = writer->statements[SQL_REVIVE_SELECT];
    struct sqlite_row *row = &ret_ended->row;
    (void)sqlite3_bind_int64(select, 1, seq);
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW) {
        row->seq = seq;
        row->state = (enum weft_job_state)sqlite3_column_int(select, 1);
        row->attempt = (unsigned)sqlite3_column_int(select, 2);
        row->queue = weft_sqlite_queue_numbered(writer, sqlite3_column_int64(select, 3));
        row->task = weft_sqlite_name_numbered(&writer->tasks, sqlite3_column_int64(select, 4));
        weft_sqlite_column_copy(select, 5, ret_ended->unique_key, sizeof ret_ended->unique_key);
        ret_ended->created_us = sqlite3_column_int64(select, 6);
        if (!weft_sqlite_column_id(select, 0, &row->id) || !row->queue || !row->task)
            rc = SQLITE_CORRUPT;
    }
    (void)sqlite3_reset(select);
    return rc;
}

/* Whether another job has its unique key. */
static int find_rival(struct sqlite_writer *writer, const struct ended *ended, int64_t now_us,
                      bool *ret_there)
{
    struct weft_uuid same;
    *ret_there = false;
    if (!ended->unique_key[0])
        return SQLITE_OK;
    return weft_sqlite_unique_find(writer, ended->unique_key, NULL, now_us, &same, ret_there);
}

static int revive(struct sqlite_writer *writer, const struct ended *ended, int64_t now_us)
{
    const struct sqlite_row *row = &ended->row;
    int rc = SQLITE_OK;
    if (ended->unique_key[0])
        rc = weft_sqlite_unique_take(writer, ended->unique_key, row->seq, ended->created_us);
    if (rc)
        return rc;
    (void)sqlite3_bind_int64(writer->statements[SQL_REVIVE], 1, row->seq);
    (void)sqlite3_bind_int64(writer->statements[SQL_REVIVE], 2, now_us);
    rc = weft_sqlite_run(writer, SQL_REVIVE);
    if (!rc)
        rc = weft_sqlite_unresolved_forget(writer, row->seq);
    if (rc)
        return rc;
    (void)sqlite3_bind_int64(writer->statements[SQL_OUTCOME_DELETE], 1, row->seq);
    rc = weft_sqlite_run(writer, SQL_OUTCOME_DELETE);
    weft_sqlite_queue_count(writer, row->queue, row->state, WEFT_JOB_AVAILABLE);
    weft_sqlite_passed_ready(writer, row->queue->name.number, now_us, row->seq);
    weft_sqlite_row_tell(writer, row, WEFT_JOB_REVIVE, WEFT_JOB_AVAILABLE, row->attempt, now_us);
    return rc;
}

static int retry_ended(struct sqlite_writer *writer, struct retry_call *call,
                       const struct ended *ended, int64_t now_us)
{
    call->state = ended->row.state;
    if (weft_job_next(ended->row.state, WEFT_JOB_REVIVE) == WEFT_JOB_NONE) {
        call->err = -EALREADY;
        return SQLITE_OK;
    }
    bool there;
    int rc = find_rival(writer, ended, now_us, &there);
    if (rc || there) {
        call->err = WEFT_EDUPLICATE;
        return rc;
    }
    call->state = WEFT_JOB_AVAILABLE;
    return revive(writer, ended, now_us);
}

static int retry_waiting(struct sqlite_writer *writer, struct retry_call *call,
                         const struct sqlite_row *row, int64_t now_us)
{
    call->state = row->state;
    if (weft_job_next(row->state, WEFT_JOB_DUE) == WEFT_JOB_NONE) {
        call->err = -EALREADY;
        return SQLITE_OK;
    }
    call->state = WEFT_JOB_AVAILABLE;
    return weft_sqlite_ready(writer, row, WEFT_JOB_DUE, now_us, now_us);
}

static int apply_retry(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct retry_call *call = request->arg;
    struct ended ended;
    call->state = WEFT_JOB_NONE;
    call->err = -ENOENT;
    int rc = find_ended(writer, weft_sqlite_seq(call->id), &ended);
    if (rc != SQLITE_ROW || !is_same(&ended.row.id, call->id))
        return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
    call->err = 0;
    if (ended.row.state != WEFT_JOB_NONE)
        return retry_ended(writer, call, &ended, request->now_us);
    rc = weft_sqlite_row_find(writer, ended.row.seq, call->id, &ended.row);
    return rc == SQLITE_ROW    ? retry_waiting(writer, call, &ended.row, request->now_us)
           : rc == SQLITE_DONE ? SQLITE_CORRUPT
                               : rc;
}

int weft_sqlite_retry(struct weft_broker *broker, const struct weft_uuid *id,
                      enum weft_job_state *ret_state)
{
    struct retry_call call = {.id = id};
    struct sqlite_request request = {
        .apply = apply_retry, .arg = &call, .count = 1, .bytes = SQLITE_ROW_BYTES};
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    if (!err)
        *ret_state = call.state;
    return err ? err : call.err;
}

/* --- queues --- */

struct queue_call {
    const char *name;
    const struct weft_queue_settings *settings;
    int err;
};

_Static_assert(sizeof(struct weft_queue_settings) % sizeof(uint64_t) == 0 &&
                   _Alignof(struct weft_queue_settings) >= _Alignof(uint64_t),
               "it is changed word by word");

/* So that they are taken back when the transaction is. */
static void change_settings(struct sqlite_writer *writer, struct sqlite_queue *queue,
                            const struct weft_queue_settings *settings)
{
    uint64_t words[sizeof *settings / sizeof(uint64_t)];
    memcpy(words, settings, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        weft_sqlite_set(writer, (uint64_t *)(void *)&queue->settings + i, words[i]);
}

static int store_settings(struct sqlite_writer *writer, const struct sqlite_queue *queue)
{
    const struct weft_queue_settings *settings = &queue->settings;
    sqlite3_stmt *update = writer->statements[SQL_QUEUE_SETTINGS];
    (void)sqlite3_bind_int64(update, 1, queue->name.number);
    (void)sqlite3_bind_int(update, 2, settings->paused);
    (void)sqlite3_bind_int64(update, 3, (int64_t)settings->size_max);
    (void)sqlite3_bind_int64(update, 4, settings->running_max);
    (void)sqlite3_bind_int64(update, 5, settings->running_max_per_key);
    (void)sqlite3_bind_double(update, 6, settings->rate_per_s);
    (void)sqlite3_bind_int64(update, 7, settings->burst);
    return weft_sqlite_run(writer, SQL_QUEUE_SETTINGS);
}

static int apply_queue_set(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct queue_call *call = request->arg;
    struct sqlite_queue *queue;
    bool more;
    int rc = weft_sqlite_queue_named(writer, call->name, &queue, &call->err);
    if (rc || call->err)
        return rc;
    double rate_before = queue->settings.rate_per_s;
    change_settings(writer, queue, call->settings);
    if (queue->settings.rate_per_s != rate_before)
        weft_sqlite_set(writer, &queue->empty_ns, 0); /* long ago: the bucket is full */
    weft_sqlite_queue_touch(writer, queue);
    rc = store_settings(writer, queue);
    if (!rc)
        rc = weft_sqlite_let_go(writer, queue, LET_GO_MAX, request->now_us, &more);
    if (rc)
        return rc;
    const struct weft_broker_event event = {.at_us = request->now_us,
                                            .queue = queue->name.text,
                                            .event = WEFT_JOB_DUE,
                                            .from = WEFT_JOB_AVAILABLE,
                                            .to = WEFT_JOB_AVAILABLE};
    weft_sqlite_set(writer, &queue->held_for_long, more);
    weft_sqlite_tell(writer, &event);
    return SQLITE_OK;
}

int weft_sqlite_queue_set(struct weft_broker *broker, const char *name,
                          const struct weft_queue_settings *settings)
{
    if (!isfinite(settings->rate_per_s) || settings->rate_per_s < 0 ||
        settings->size_max > INT64_MAX)
        return -EINVAL;
    struct queue_call call = {.name = name, .settings = settings};
    struct sqlite_request request = {
        .apply = apply_queue_set, .arg = &call, .count = 1, .bytes = SQLITE_ROW_BYTES};
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    return err ? err : call.err;
}

/* --- schedules --- */

struct fire_call {
    struct weft_cron_fire *fire;
    int err;
};

/* Whether it is still to fire at the time that was planned. */
static int check_plan(struct sqlite_writer *writer, const struct weft_cron_fire *fire, int *ret_err)
{
    sqlite3_stmt *select = writer->statements[SQL_CRON_SELECT];
    weft_sqlite_bind_text(select, 1, fire->name);
    int rc = sqlite3_step(select);
    *ret_err = rc != SQLITE_ROW                                      ? -ENOENT
               : sqlite3_column_int64(select, 0) != fire->planned_us ? -ESTALE
                                                                     : 0;
    (void)sqlite3_reset(select);
    (void)sqlite3_clear_bindings(select);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int store_fired(struct sqlite_writer *writer, const struct weft_cron_fire *fire)
{
    const struct weft_enqueue_batch *batch = &fire->batch;
    sqlite3_stmt *update = writer->statements[SQL_CRON_FIRED];
    weft_sqlite_bind_text(update, 1, fire->name);
    (void)sqlite3_bind_int64(update, 2, fire->next_us);
    for (size_t i = batch->count; i-- > 0;)
        if (!batch->items[i].err) {
            (void)sqlite3_bind_int64(update, 3, fire->planned_us);
            weft_sqlite_bind_id(update, 4, &batch->items[i].job->id);
        }
    return weft_sqlite_run_bound(writer, SQL_CRON_FIRED);
}

/* What refuses the call, not only a job: no room, or an id that is in use. */
static int find_refusal(const struct weft_enqueue_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].err == WEFT_EFULL || batch->items[i].err == -EEXIST)
            return batch->items[i].err;
    return 0;
}

static int apply_fire(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct fire_call *call = request->arg;
    struct weft_cron_fire *fire = call->fire;
    int rc = check_plan(writer, fire, &call->err);
    if (rc || call->err)
        return rc;
    struct sqlite_mark mark;
    rc = weft_sqlite_part_begin(writer, &mark);
    if (!rc)
        rc = weft_sqlite_enqueue_items(writer, &fire->batch, request->now_us);
    if (rc)
        return rc;
    call->err = find_refusal(&fire->batch);
    if (call->err) /* it stays due */
        return weft_sqlite_part_undo(writer, &mark);
    rc = weft_sqlite_part_keep(writer);
    return rc ? rc : store_fired(writer, fire);
}

int weft_sqlite_cron_fire(struct weft_broker *broker, struct weft_cron_fire *fire)
{
    struct fire_call call = {.fire = fire};
    struct weft_enqueue_batch *batch = &fire->batch;
    struct sqlite_request request = {.apply = apply_fire,
                                     .arg = &call,
                                     .count = batch->count + 1,
                                     .bytes = weft_sqlite_bytes_of(batch->items, batch->count)};
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    if (!err)
        err = call.err;
    if (err)
        weft_sqlite_refuse(batch->items, batch->count, err);
    return err;
}
