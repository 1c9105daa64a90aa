/* SPDX-License-Identifier: MIT
 * sqlite_claim.c - jobs are taken out, inside the transaction.
 *
 * In order of priority, time and age, but for every eighth of a queue: that is the one that has
 * waited longest of all, if that is more than a minute. Where that could matter, jobs are taken in
 * runs that end before each eighth; elsewhere one look at the heads of the priorities is all.
 *
 * A claim that names its tasks passes the jobs of others. Where those are many, what was passed is
 * noted, see sqlite_passed.c, and priorities are gone through one by one, each from its note on. */
#include "sqlite_internal.h"

#include <base/hash.h>

#include <stdlib.h>
#include <string.h>

#define CLAIM_BYTES_MAX ((size_t)8 << 20)  /* of payloads and inputs; one job may go beyond it */
#define SKIP_MAX        1000u              /* jobs looked at in vain, per claim */
#define OTHERS_MAX      500u               /* jobs of tasks that are not asked for, per queue */
#define OTHERS_PAUSE_US ((int64_t)1000000) /* until the next look at those, if none was noted */
#define STARVING_US     ((int64_t)60000000)
#define TURN            8u /* one of so many goes to the longest waiting */

#define CLAIM_COLUMNS                                                                              \
    "q.seq, q.task, q.attempt, q.run_at_us, q.crashes, q.flags, q.attempts_max, q.expires_us,"     \
    " " SQLITE_ASKED_COLUMNS
#define ASKED   8 /* where they begin */
#define PAYLOAD (ASKED + SQLITE_ASKED_COUNT - 1)

#define CLAIMED                                                                                    \
    "state = 3, attempt = attempt + 1, lease_token = ?2, started_us = ?3, lease_until_us = ?4,"    \
    " wake_us = ?4, worker = ?5"
#define TOGETHER_MIN 8u /* jobs: fewer are cheaper one by one */

// clang-format off
const struct sqlite_text weft_sqlite_texts_claim[] = {
    {SQL_CLAIM_SELECT,
     "SELECT " CLAIM_COLUMNS " FROM queue q CROSS JOIN jobs j ON j.seq = q.seq"
     " WHERE q.queue = ?1 AND q.state = 2 AND q.flags & 1 = 0"
     " ORDER BY q.priority, q.run_at_us, q.seq"},
    /* Of priority ?2, behind the place (?3, ?4). */
    {SQL_CLAIM_SELECT_AFTER,
     "SELECT " CLAIM_COLUMNS " FROM queue q CROSS JOIN jobs j ON j.seq = q.seq"
     " WHERE q.queue = ?1 AND q.state = 2 AND q.flags & 1 = 0 AND q.priority = ?2"
     " AND (q.run_at_us, q.seq) > (?3, ?4) ORDER BY q.run_at_us, q.seq"},
    {SQL_CLAIM_SELECT_ONE,
     "SELECT " CLAIM_COLUMNS " FROM queue q CROSS JOIN jobs j ON j.seq = q.seq WHERE q.seq = ?1"},
    {SQL_CLAIM_UPDATE, "UPDATE queue SET " CLAIMED " WHERE seq = ?1"},
    {SQL_CLAIM_UPDATE_ALL,
     "UPDATE queue SET " CLAIMED " WHERE seq IN (SELECT seq FROM weft_claimed)"},
    /* The first job of the priority after ?2. */
    {SQL_CLAIM_HEAD,
     "SELECT seq, priority, run_at_us FROM queue WHERE queue = ?1 AND priority > ?2"
     " AND state = 2 AND flags & 1 = 0 ORDER BY priority, run_at_us, seq LIMIT 1"},
    {SQL_CLAIM_HEAD_AFTER,
     "SELECT seq, priority, run_at_us, task FROM queue WHERE queue = ?1 AND priority = ?2"
     " AND state = 2 AND flags & 1 = 0 AND (run_at_us, seq) > (?3, ?4) ORDER BY run_at_us, seq"},
    {SQL_INPUTS_SELECT,
     "SELECT j.id, o.state, o.result FROM needs n LEFT JOIN jobs j ON j.seq = n.parent"
     " LEFT JOIN outcomes o ON o.seq = n.parent WHERE n.child = ?1 ORDER BY n.position"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

/* One call of claim, at one queue. */
struct pass {
    struct sqlite_writer *writer;
    struct weft_claim *claim;
    struct sqlite_queue *queue;
    int64_t now_us;
    uint64_t token;
    size_t bytes;
    unsigned skipped;
    unsigned others;              /* of tasks that are not asked for, in this queue */
    uint64_t tasks;               /* hash of those that are; 0: all are */
    struct sqlite_passed *passed; /* what was noted of this queue; or NULL */
    int noted;                    /* the priority of which it is gone on with; -1: of none */
    struct sqlite_place at;       /* so far it has come in that */
};

enum skip {
    SKIP_EXPIRED,
    SKIP_HELD,
};

int64_t weft_sqlite_lease_end(int64_t lease_us, int64_t now_us)
{
    int64_t end_us;
    if (lease_us <= 0)
        return 0;
    return __builtin_add_overflow(now_us, lease_us, &end_us) ? INT64_MAX : end_us;
}

/* --- inputs --- */

/* The jobs it waited for, from the rows of a statement: how many, and how many bytes of results
 * there is room for. With inputs they are copied, the results behind each other to data. */
static int read_inputs(sqlite3_stmt *select, struct weft_job_input *inputs, char *data,
                       size_t *ret_count, size_t *ret_bytes)
{
    size_t count = 0, bytes = 0;
    int rc;
    while ((rc = sqlite3_step(select)) == SQLITE_ROW) {
        struct weft_bytes result = weft_sqlite_column_bytes(select, 2);
        struct weft_job_input input = {.state = (enum weft_job_state)sqlite3_column_int(select, 1)};
        (void)weft_sqlite_column_id(select, 0, &input.id);
        if (result.data && bytes + result.len <= WEFT_JOB_INPUTS_BYTES) {
            if (inputs) {
                memcpy(data + bytes, result.data, result.len);
                input.result = (struct weft_bytes){data + bytes, result.len, result.json};
            }
            bytes += result.len;
        }
        if (inputs)
            inputs[count] = input;
        count++;
    }
    (void)sqlite3_reset(select);
    *ret_count = count;
    *ret_bytes = bytes;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int copy_with_inputs(struct pass *pass, struct weft_job *job, struct weft_job **ret_job)
{
    sqlite3_stmt *select = pass->writer->statements[SQL_INPUTS_SELECT];
    size_t count, bytes;
    (void)sqlite3_bind_int64(select, 1, weft_sqlite_seq(&job->id));
    int rc = read_inputs(select, NULL, NULL, &count, &bytes);
    if (rc)
        return rc;
    job->inputs = calloc(count + 1, sizeof *job->inputs);
    char *data = malloc(bytes + 1);
    rc = job->inputs && data ? read_inputs(select, job->inputs, data, &job->inputs_count, &bytes)
                             : SQLITE_NOMEM;
    if (!rc) {
        *ret_job = weft_job_copy(job);
        rc = *ret_job ? SQLITE_OK : SQLITE_NOMEM;
    }
    pass->bytes += bytes;
    free(data);
    free(job->inputs);
    return rc;
}

/* --- one row --- */

/* The job of a row as its new holder sees it. */
static int copy_job(struct pass *pass, sqlite3_stmt *row, struct weft_job **ret_job)
{
    const struct sqlite_name *task =
        weft_sqlite_name_numbered(&pass->writer->tasks, sqlite3_column_int64(row, 1));
    struct weft_job job = {0};
    if (!task || !weft_sqlite_column_asked(row, ASKED, &job) ||
        weft_sqlite_seq(&job.id) != sqlite3_column_int64(row, 0))
        return SQLITE_CORRUPT;
    job.task = task->text;
    job.queue = pass->queue->name.text;
    job.attempts_max = (uint16_t)sqlite3_column_int(row, 6);
    job.state = WEFT_JOB_RUNNING;
    job.attempt = (uint16_t)(sqlite3_column_int(row, 2) + 1);
    job.crashes = (uint16_t)sqlite3_column_int(row, 4);
    job.run_at_us = sqlite3_column_int64(row, 3);
    job.lease_token = pass->token;
    job.lease_until_us = weft_sqlite_lease_end(pass->claim->lease_us, pass->now_us);
    job.worker = pass->claim->worker;
    job.started_us = pass->now_us;
    pass->bytes += job.payload.len;
    if (sqlite3_column_int(row, 5) & SQLITE_NEEDS)
        return copy_with_inputs(pass, &job, ret_job);
    *ret_job = weft_job_copy(&job);
    return *ret_job ? SQLITE_OK : SQLITE_NOMEM;
}

/* For its settlement. */
static void remember(const struct pass *pass, sqlite3_stmt *row, const struct weft_job *job)
{
    struct sqlite_row lease = {
        .seq = sqlite3_column_int64(row, 0),
        .queue = pass->queue,
        .token = pass->token,
        .started_us = pass->now_us,
        .worker = job->worker,
        .run_at_us = job->run_at_us,
        .attempt = job->attempt,
        .crashes = job->crashes,
        .flags = (unsigned)sqlite3_column_int(row, 5),
    };
    lease.task = weft_sqlite_name_numbered(&pass->writer->tasks, sqlite3_column_int64(row, 1));
    weft_sqlite_lease_keep(pass->writer, &lease);
}

/* Whether the claim asks for this task. */
static bool is_wanted(const struct pass *pass, int64_t task)
{
    const struct sqlite_name *name = weft_sqlite_name_numbered(&pass->writer->tasks, task);
    return !pass->claim->tasks || (name && name->wanted == pass->token);
}

/* Take the job of a row, or note why not. */
static int visit(struct pass *pass, sqlite3_stmt *row)
{
    struct sqlite_writer *writer = pass->writer;
    struct weft_claim *claim = pass->claim;
    pass->at = (struct sqlite_place){sqlite3_column_int64(row, 3), sqlite3_column_int64(row, 0)};
    if (!is_wanted(pass, sqlite3_column_int64(row, 1))) {
        pass->others++;
        pass->bytes += (size_t)sqlite3_column_bytes(row, PAYLOAD); /* it was read */
        return SQLITE_OK;
    }
    int64_t expires_us = sqlite3_column_int64(row, 7);
    bool expired = expires_us > 0 && expires_us <= pass->now_us;
    const char *key = weft_sqlite_column_text(row, ASKED + 10);
    if (expired || !weft_sqlite_key_has_room(writer, pass->queue, key)) {
        pass->skipped++;
        return weft_sqlite_list_add(writer, &writer->skipped, sqlite3_column_int64(row, 0), NULL,
                                    expired ? SKIP_EXPIRED : SKIP_HELD)
                   ? SQLITE_OK
                   : SQLITE_NOMEM;
    }
    int rc = copy_job(pass, row, &claim->jobs[claim->count]);
    if (rc)
        return rc;
    if (!key)
        remember(pass, row, claim->jobs[claim->count]);
    claim->count++;
    weft_sqlite_limits_begin(writer, pass->queue, key, pass->now_us);
    return SQLITE_OK;
}

/* Whether a limit is reached of what one claim takes; or of what it looks at in one queue. */
static bool is_full(const struct pass *pass)
{
    return pass->bytes > CLAIM_BYTES_MAX || pass->skipped >= SKIP_MAX;
}

static bool is_enough(const struct pass *pass)
{
    return is_full(pass) || pass->others >= OTHERS_MAX;
}

/* --- after the rows were read: a table must not be changed while it is --- */

static void bind_claim(const struct pass *pass, sqlite3_stmt *update)
{
    int64_t until_us = weft_sqlite_lease_end(pass->claim->lease_us, pass->now_us);
    (void)sqlite3_bind_int64(update, 2, (int64_t)pass->token);
    (void)sqlite3_bind_int64(update, 3, pass->now_us);
    if (until_us > 0)
        (void)sqlite3_bind_int64(update, 4, until_us);
    if (pass->claim->worker > 0)
        (void)sqlite3_bind_int64(update, 5, pass->claim->worker);
}

/* The rows of the latest jobs, from `first` on. */
static int store_claimed(struct pass *pass, unsigned first)
{
    struct sqlite_writer *writer = pass->writer;
    const struct weft_claim *claim = pass->claim;
    bool together = claim->count - first >= TOGETHER_MIN;
    enum sqlite_statement which = together ? SQL_CLAIM_UPDATE_ALL : SQL_CLAIM_UPDATE;
    sqlite3_stmt *update = writer->statements[which];
    int rc = SQLITE_OK;
    bind_claim(pass, update);
    writer->gather.claimed.count = 0;
    for (unsigned i = first; !rc && i < claim->count; i++) {
        int64_t seq = weft_sqlite_seq(&claim->jobs[i]->id);
        if (together) {
            rc = weft_sqlite_list_add(writer, &writer->gather.claimed, seq, NULL, 0) ? SQLITE_OK
                                                                                     : SQLITE_NOMEM;
        } else {
            (void)sqlite3_bind_int64(update, 1, seq);
            rc = weft_sqlite_run(writer, which);
        }
    }
    if (!rc && together)
        rc = weft_sqlite_run(writer, which);
    (void)sqlite3_clear_bindings(update);
    return rc;
}

static void note_claimed(struct pass *pass, const struct weft_job *job)
{
    const struct weft_broker_event event = {
        .at_us = pass->now_us,
        .id = job->id,
        .task = weft_sqlite_name_find(&pass->writer->tasks, job->task)->text,
        .queue = pass->queue->name.text,
        .event = WEFT_JOB_CLAIM,
        .from = WEFT_JOB_AVAILABLE,
        .to = WEFT_JOB_RUNNING,
        .attempt = job->attempt,
    };
    weft_sqlite_queue_count(pass->writer, pass->queue, WEFT_JOB_AVAILABLE, WEFT_JOB_RUNNING);
    weft_sqlite_set(pass->writer, &pass->queue->claims, pass->queue->claims + 1);
    weft_sqlite_tell(pass->writer, &event);
}

static int store_skipped(struct pass *pass, const struct sqlite_item *item)
{
    static const struct sqlite_end end = {.error = SQLITE_EXPIRED_TEXT};
    struct sqlite_row row;
    int rc = weft_sqlite_row_find(pass->writer, item->seq, NULL, &row);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
    return item->tag == SKIP_HELD
               ? weft_sqlite_hold(pass->writer, pass->queue, row.seq, row.limit_key)
               : weft_sqlite_finish(pass->writer, &row, WEFT_JOB_EXPIRE, &end, pass->now_us);
}

/* Claim from what a statement selects until `count` are there. *ret_ended: it selects no more. */
static int claim_rows(struct pass *pass, sqlite3_stmt *select, unsigned count, bool *ret_ended)
{
    struct sqlite_list *skipped = &pass->writer->skipped;
    unsigned first = pass->claim->count;
    int rc = SQLITE_ROW;
    skipped->count = 0;
    while (pass->claim->count - first < count && !is_enough(pass)) {
        rc = sqlite3_step(select);
        if (rc == SQLITE_ROW) {
            int err = visit(pass, select);
            rc = err ? err : rc;
        }
        if (rc != SQLITE_ROW)
            break;
    }
    (void)sqlite3_reset(select);
    if (pass->noted >= 0) /* now: what follows can make jobs before it ready */
        weft_sqlite_passed_note(pass->writer, pass->passed, pass->noted, pass->at);
    *ret_ended = rc == SQLITE_DONE;
    rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
    if (!rc && pass->claim->count > first)
        rc = store_claimed(pass, first);
    for (unsigned i = first; !rc && i < pass->claim->count; i++)
        note_claimed(pass, pass->claim->jobs[i]);
    for (size_t i = 0; !rc && i < skipped->count; i++)
        rc = store_skipped(pass, &skipped->items[i]);
    return rc ? rc : weft_sqlite_resolve(pass->writer, pass->now_us);
}

/* Bind a statement to the queue, a priority, and where to go on in it. */
static void bind_after(struct pass *pass, sqlite3_stmt *select, int priority)
{
    const struct sqlite_place until = weft_sqlite_passed_until(pass->passed, priority);
    (void)sqlite3_bind_int64(select, 1, pass->queue->name.number);
    (void)sqlite3_bind_int(select, 2, priority);
    (void)sqlite3_bind_int64(select, 3, until.run_at_us);
    (void)sqlite3_bind_int64(select, 4, until.seq);
    pass->at = until;
}

/* Priority by priority. What is looked at is passed, or no longer ready. */
static int claim_behind(struct pass *pass, unsigned count, bool *ret_ended)
{
    sqlite3_stmt *select = pass->writer->statements[SQL_CLAIM_SELECT_AFTER];
    unsigned last = pass->claim->count + count;
    int rc = SQLITE_OK, priority = 0;
    *ret_ended = true;
    for (; !rc && *ret_ended && priority <= WEFT_PRIORITY_LAST; priority++) {
        bind_after(pass, select, priority);
        pass->noted = priority;
        rc = claim_rows(pass, select, last - pass->claim->count, ret_ended);
    }
    pass->noted = -1;
    return rc;
}

static int claim_in_order(struct pass *pass, unsigned count, bool *ret_ended)
{
    if (pass->passed)
        return claim_behind(pass, count, ret_ended);
    sqlite3_stmt *select = pass->writer->statements[SQL_CLAIM_SELECT];
    (void)sqlite3_bind_int64(select, 1, pass->queue->name.number);
    return claim_rows(pass, select, count, ret_ended);
}

/* --- nothing starves --- */

struct heads {
    unsigned priorities;   /* with ready jobs */
    int64_t seq;           /* of the job that has waited longest ... */
    int64_t run_at_us;     /* ... since then */
    int64_t others_run_at; /* the same of all but the first priority */
};

struct head {
    int priority;
    int64_t seq, run_at_us;
};

static void read_head(sqlite3_stmt *row, struct head *ret_head)
{
    *ret_head = (struct head){
        .priority = sqlite3_column_int(row, 1),
        .seq = sqlite3_column_int64(row, 0),
        .run_at_us = sqlite3_column_int64(row, 2),
    };
}

/* The first ready job of the next priority after one. SQLITE_ROW; SQLITE_DONE: there is none. */
static int find_head(struct pass *pass, int priority, struct head *ret_head)
{
    sqlite3_stmt *select = pass->writer->statements[SQL_CLAIM_HEAD];
    (void)sqlite3_bind_int64(select, 1, pass->queue->name.number);
    (void)sqlite3_bind_int(select, 2, priority);
    int rc = sqlite3_step(select);
    if (rc == SQLITE_ROW)
        read_head(select, ret_head);
    (void)sqlite3_reset(select);
    return rc;
}

/* The first of this priority that is asked for, behind what was noted; the others before it are
 * passed as well. */
static int find_head_behind(struct pass *pass, int priority, struct head *ret_head)
{
    sqlite3_stmt *select = pass->writer->statements[SQL_CLAIM_HEAD_AFTER];
    int rc = SQLITE_DONE;
    bind_after(pass, select, priority);
    while (!is_enough(pass) && (rc = sqlite3_step(select)) == SQLITE_ROW) {
        read_head(select, ret_head);
        if (is_wanted(pass, sqlite3_column_int64(select, 3)))
            break;
        pass->others++;
        pass->at = (struct sqlite_place){ret_head->run_at_us, ret_head->seq};
        rc = SQLITE_DONE;
    }
    (void)sqlite3_reset(select);
    weft_sqlite_passed_note(pass->writer, pass->passed, priority, pass->at);
    return rc;
}

/* The head of the next priority, likewise. */
static int next_head(struct pass *pass, int priority, struct head *ret_head)
{
    if (!pass->passed)
        return find_head(pass, priority, ret_head);
    int rc = SQLITE_DONE;
    while (rc == SQLITE_DONE && ++priority <= WEFT_PRIORITY_LAST)
        rc = find_head_behind(pass, priority, ret_head);
    return rc;
}

static int look_at_heads(struct pass *pass, struct heads *ret_heads)
{
    struct heads heads = {.run_at_us = INT64_MAX, .others_run_at = INT64_MAX};
    struct head head = {.priority = -1};
    int rc;
    while ((rc = next_head(pass, head.priority, &head)) == SQLITE_ROW) {
        if (heads.priorities++ > 0 && head.run_at_us < heads.others_run_at)
            heads.others_run_at = head.run_at_us;
        if (head.run_at_us < heads.run_at_us) {
            heads.run_at_us = head.run_at_us;
            heads.seq = head.seq;
        }
    }
    *ret_heads = heads;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Claim the one that has waited longest if it starves; else nothing is claimed. */
static int claim_longest_waiting(struct pass *pass, bool *ret_claimed)
{
    struct heads heads;
    bool ended;
    unsigned before = pass->claim->count, others = pass->others;
    sqlite3_stmt *select = pass->writer->statements[SQL_CLAIM_SELECT_ONE];
    int rc = SQLITE_OK;
    *ret_claimed = false;
    while (!rc && !*ret_claimed && pass->others == others && !is_enough(pass)) {
        rc = look_at_heads(pass, &heads);
        if (rc || heads.run_at_us > pass->now_us - STARVING_US)
            break;
        (void)sqlite3_bind_int64(select, 1, heads.seq);
        rc = claim_rows(pass, select, 1, &ended);
        *ret_claimed = pass->claim->count > before; /* else it was held back or has expired */
    }
    if (!pass->passed && pass->others > others) /* or it is for others: they would stay the head */
        (void)weft_sqlite_passed_begin(pass->writer, pass->queue->name.number, pass->tasks);
    return rc;
}

static int claim_fairly(struct pass *pass, unsigned count)
{
    unsigned last = pass->claim->count + count;
    bool ended = false;
    int rc = SQLITE_OK;
    while (!rc && !ended && pass->claim->count < last && !is_enough(pass)) {
        unsigned rest = last - pass->claim->count;
        unsigned run = TURN - 1 - (unsigned)(pass->queue->claims % TURN);
        if (run == 0) {
            bool claimed;
            rc = claim_longest_waiting(pass, &claimed);
            run = claimed ? 0 : 1;
        }
        if (!rc && run > 0)
            rc = claim_in_order(pass, run < rest ? run : rest, &ended);
    }
    return rc;
}

/* Whether one of these claims could be another than the next in order. */
static int find_starving(struct pass *pass, unsigned count, bool *ret_starving)
{
    struct heads heads;
    *ret_starving = false;
    if (pass->queue->claims % TURN + count < TURN)
        return SQLITE_OK;
    int rc = look_at_heads(pass, &heads);
    *ret_starving = !rc && heads.others_run_at <= pass->now_us - STARVING_US;
    return rc;
}

/* --- the call --- */

/* A limit was reached of what one claim looks at: there may be more behind that. The next one is to
 * begin there, or, without a note of it, not at once. */
static void come_again(struct pass *pass)
{
    struct weft_claim *claim = pass->claim;
    bool fewer = pass->others < OTHERS_MAX && (claim->count > 0 || pass->skipped > 0);
    bool progress = fewer || pass->passed ||
                    weft_sqlite_passed_begin(pass->writer, pass->queue->name.number, pass->tasks);
    claim->more = claim->more || progress;
    if (!progress && claim->next_us > OTHERS_PAUSE_US)
        claim->next_us = OTHERS_PAUSE_US;
}

static int claim_from(struct pass *pass)
{
    struct weft_claim *claim = pass->claim;
    const struct sqlite_queue *queue = pass->queue;
    if (queue->jobs[WEFT_JOB_AVAILABLE] == queue->held)
        return SQLITE_OK;
    uint64_t ready = queue->jobs[WEFT_JOB_AVAILABLE] - queue->held;
    unsigned count = claim->jobs_max - claim->count;
    count = weft_sqlite_room(queue, ready < count ? (unsigned)ready : count, pass->now_us,
                             &claim->next_us);
    if (count == 0)
        return SQLITE_OK;
    bool starving, ended;
    pass->passed =
        pass->tasks ? weft_sqlite_passed_find(pass->writer, queue->name.number, pass->tasks) : NULL;
    int rc = find_starving(pass, count, &starving);
    if (rc)
        return rc;
    rc = starving ? claim_fairly(pass, count) : claim_in_order(pass, count, &ended);
    if (!rc && is_enough(pass))
        come_again(pass);
    return rc;
}

/* A task without a name in the store has no jobs. The hash does not depend on the order. */
static void mark_wanted(struct pass *pass)
{
    const struct weft_claim *claim = pass->claim;
    pass->tasks = claim->tasks != NULL;
    for (size_t i = 0; claim->tasks && i < claim->tasks_count; i++) {
        struct sqlite_name *name = weft_sqlite_name_find(&pass->writer->tasks, claim->tasks[i]);
        if (!name || name->wanted == pass->token)
            continue;
        name->wanted = pass->token;
        pass->tasks += 2 * weft_hash(&name->number, sizeof name->number); /* 0 stands for all */
    }
}

int weft_sqlite_apply_claim(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct weft_claim *claim = request->arg;
    while (claim->count > 0) /* of a run that was rolled back */
        weft_job_free(claim->jobs[--claim->count]);
    claim->more = false;
    claim->next_us = INT64_MAX;
    struct pass pass = {.writer = writer,
                        .claim = claim,
                        .now_us = request->now_us,
                        .token = writer->next_token++,
                        .noted = -1};
    int rc = SQLITE_OK;
    mark_wanted(&pass);
    for (size_t i = 0; !rc && i < claim->queues_count && claim->count < claim->jobs_max; i++) {
        struct sqlite_name *name = weft_sqlite_name_find(&writer->queues, claim->queues[i]);
        if (!name || is_full(&pass))
            continue;
        pass.queue = weft_sqlite_queue_numbered(writer, name->number);
        pass.others = 0;
        rc = claim_from(&pass);
    }
    return rc;
}
