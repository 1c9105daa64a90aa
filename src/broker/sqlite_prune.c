/* SPDX-License-Identifier: MIT
 * sqlite_prune.c - removes jobs that were kept long enough, and results before their jobs.
 *
 * Finished jobs have no index by the time of their end: every job would pay for it. But they lie in
 * the order in which they were put in, and none ended before that. So three walks go through that
 * order: one through completed jobs, and one each, by their index, through the few that were
 * cancelled or are dead. A walk ends at the first job put in too late to be old enough. Where it
 * ended it goes on with the next call; what it had to pass, because it ran or waited for long, is
 * found when the walk begins again from the front.
 *
 * A connection that reads looks for what can go; then the writer removes it, after another look:
 * meanwhile somebody may have had a job begin again. */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdlib.h>

#define ROWS_MAX  20000 /* looked at in one call */
#define JOBS_MAX  500   /* removed in one call: the writer is kept for about 10 ms */
#define PAGES_MAX 2000  /* read by the writer for it: large payloads count */
#define AGAIN_US  (INT64_C(60) * 1000000)   /* after that a walk begins again ... */
#define LATEST_US (INT64_C(3600) * 1000000) /* ... or later, if it passes many rows in vain */

// clang-format off
const struct sqlite_text weft_sqlite_texts_prune[] = {
    /* A job whose result another one still waits for stays. */
    {SQL_PRUNE_OUTCOME,
        "DELETE FROM outcomes WHERE seq = ?1 AND state = ?2 AND finished_us <= ?3"
        " AND NOT EXISTS (SELECT 1 FROM needs WHERE parent = ?1)"},
    {SQL_PRUNE_UNIQUE,
        "DELETE FROM uniques WHERE key = (SELECT unique_key FROM jobs WHERE seq = ?1)"
        " AND seq = ?1"},
    {SQL_PRUNE_ERRORS, "DELETE FROM errors WHERE seq = ?1"},
    {SQL_PRUNE_NEEDS, "DELETE FROM needs WHERE child = ?1"},
    {SQL_PRUNE_JOB, "DELETE FROM jobs WHERE seq = ?1"},
    {SQL_RESULT_DROP,
        "UPDATE outcomes SET result = NULL, result_until_us = NULL WHERE seq = ?1"
        " AND result_until_us <= ?2 AND NOT EXISTS (SELECT 1 FROM needs WHERE parent = ?1)"},
    {SQL_RESULT_DEFER,
        "UPDATE outcomes SET result_until_us = ?3 WHERE seq = ?1 AND result_until_us <= ?2"},
    {SQL_STATEMENTS, NULL},
};
// clang-format on

struct prune_call {
    struct sqlite_walk walks[SQLITE_WALKS]; /* copies, put back when all is done */
    int64_t now_us;
    int64_t cutoff_us[SQLITE_WALKS]; /* what ended before goes; 0: nothing */
    int64_t job_seqs[JOBS_MAX], result_seqs[JOBS_MAX];
    enum sqlite_walk_kind job_walks[JOBS_MAX];
    size_t jobs_count, results_count;
    int rows_left;
    bool more;
    size_t jobs_done, results_done; /* by the writer, which may have had enough before */
    uint64_t removed;
};

/* The row number that a job put in at this time has, or the first one later. */
static int64_t seq_at(int64_t time_us)
{
    return time_us / 1000 << 12;
}

static enum weft_job_state state_of(enum sqlite_walk_kind kind)
{
    return kind == SQLITE_WALK_COMPLETED   ? WEFT_JOB_COMPLETED
           : kind == SQLITE_WALK_CANCELLED ? WEFT_JOB_CANCELLED
                                           : WEFT_JOB_DEAD;
}

/* --- looking, on a connection that reads --- */

/* A minute after it began, but so that it passes no more than ROWS_MAX in vain per minute. */
static bool is_to_begin_again(const struct sqlite_walk *walk, int64_t now_us)
{
    int64_t after_us = AGAIN_US * (1 + walk->in_vain / ROWS_MAX);
    return now_us - walk->began_us >= (after_us < LATEST_US ? after_us : LATEST_US);
}

/* Look at the next row. False: enough for this call. */
static bool look_at(struct prune_call *call, enum sqlite_walk_kind kind, sqlite3_stmt *row)
{
    struct sqlite_walk *walk = &call->walks[kind];
    if (call->rows_left == 0 || call->jobs_count == JOBS_MAX)
        return false;
    call->rows_left--;
    walk->seq = sqlite3_column_int64(row, 0);
    if (sqlite3_column_int(row, 1) != (int)state_of(kind) ||
        sqlite3_column_int64(row, 2) > call->cutoff_us[kind]) {
        walk->in_vain++;
        return true;
    }
    call->job_seqs[call->jobs_count] = walk->seq;
    call->job_walks[call->jobs_count++] = kind;
    return true;
}

static int walk_on(struct sqlite_reader *reader, struct prune_call *call,
                   enum sqlite_walk_kind kind)
{
    struct sqlite_walk *walk = &call->walks[kind];
    if (call->cutoff_us[kind] <= 0)
        return 0;
    if (is_to_begin_again(walk, call->now_us))
        *walk = (struct sqlite_walk){.began_us = call->now_us};
    bool completed = kind == SQLITE_WALK_COMPLETED;
    sqlite3_stmt *row = reader->statements[completed ? READ_PRUNE_COMPLETED : READ_PRUNE_UNUSUAL];
    (void)sqlite3_bind_int64(row, 1, walk->seq);
    (void)sqlite3_bind_int64(row, 2, seq_at(call->cutoff_us[kind]));
    if (!completed)
        (void)sqlite3_bind_int(row, 3, (int)state_of(kind));
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW && look_at(call, kind, row))
        continue;
    (void)sqlite3_reset(row);
    if (rc == SQLITE_ROW)
        call->more = true;
    return weft_sqlite_error(reader->db, rc);
}

static int find_results(struct sqlite_reader *reader, struct prune_call *call)
{
    sqlite3_stmt *row = reader->statements[READ_PRUNE_RESULTS];
    (void)sqlite3_bind_int64(row, 1, call->now_us);
    (void)sqlite3_bind_int(row, 2, JOBS_MAX);
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW && call->results_count < JOBS_MAX)
        call->result_seqs[call->results_count++] = sqlite3_column_int64(row, 0);
    (void)sqlite3_reset(row);
    call->more = call->results_count == JOBS_MAX;
    return weft_sqlite_error(reader->db, rc);
}

static int read_prunable(struct sqlite_reader *reader, void *arg)
{
    struct prune_call *call = arg;
    int err = find_results(reader, call);
    for (int kind = 0; !err && kind < SQLITE_WALKS; kind++)
        err = walk_on(reader, call, (enum sqlite_walk_kind)kind);
    return err;
}

/* --- removing, in the writer --- */

static int run_for(struct sqlite_writer *writer, enum sqlite_statement which, int64_t seq)
{
    (void)sqlite3_bind_int64(writer->statements[which], 1, seq);
    return weft_sqlite_run(writer, which);
}

static int remove_job(struct sqlite_writer *writer, struct prune_call *call, size_t i)
{
    static const enum sqlite_statement rest[] = {SQL_PRUNE_UNIQUE, SQL_PRUNE_ERRORS,
                                                 SQL_PRUNE_NEEDS, SQL_PRUNE_JOB};
    enum sqlite_walk_kind kind = call->job_walks[i];
    sqlite3_stmt *outcome = writer->statements[SQL_PRUNE_OUTCOME];
    (void)sqlite3_bind_int(outcome, 2, (int)state_of(kind));
    (void)sqlite3_bind_int64(outcome, 3, call->cutoff_us[kind]);
    int rc = run_for(writer, SQL_PRUNE_OUTCOME, call->job_seqs[i]);
    if (rc || sqlite3_changes(writer->db) == 0)
        return rc;
    for (size_t k = 0; !rc && k < sizeof rest / sizeof *rest; k++)
        rc = run_for(writer, rest[k], call->job_seqs[i]);
    call->removed++;
    return rc;
}

static int drop_result(struct sqlite_writer *writer, const struct prune_call *call, int64_t seq)
{
    (void)sqlite3_bind_int64(writer->statements[SQL_RESULT_DROP], 2, call->now_us);
    int rc = run_for(writer, SQL_RESULT_DROP, seq);
    if (rc || sqlite3_changes(writer->db) == 1)
        return rc;
    /* Another job still needs it, or it is gone: a minute later, to be in nobody's way. */
    sqlite3_stmt *defer = writer->statements[SQL_RESULT_DEFER];
    (void)sqlite3_bind_int64(defer, 2, call->now_us);
    (void)sqlite3_bind_int64(defer, 3, call->now_us + AGAIN_US);
    return run_for(writer, SQL_RESULT_DEFER, seq);
}

static bool is_enough(const struct sqlite_writer *writer, int pages_before)
{
    return weft_sqlite_pages_read(writer->db) - pages_before >= PAGES_MAX;
}

static int apply_prune(struct sqlite_writer *writer, struct sqlite_request *request)
{
    struct prune_call *call = request->arg;
    int pages_before = weft_sqlite_pages_read(writer->db), rc = SQLITE_OK;
    call->removed = 0;
    call->jobs_done = 0;
    call->results_done = 0;
    while (!rc && !is_enough(writer, pages_before) && call->results_done < call->results_count)
        rc = drop_result(writer, call, call->result_seqs[call->results_done++]);
    while (!rc && !is_enough(writer, pages_before) && call->jobs_done < call->jobs_count)
        rc = remove_job(writer, call, call->jobs_done++);
    return rc;
}

/* --- both --- */

/* Where each walk goes on: behind what was looked at, but not behind what is still to be removed.
 */
static void keep_place(struct sqlite_broker *broker, struct prune_call *call)
{
    for (size_t i = call->jobs_count; i-- > call->jobs_done;)
        call->walks[call->job_walks[i]].seq = call->job_seqs[i] - 1;
    for (int kind = 0; kind < SQLITE_WALKS; kind++)
        broker->walks[kind] = call->walks[kind];
}

static int prune(struct sqlite_broker *broker, struct prune_call *call)
{
    int err = weft_sqlite_read(broker, read_prunable, call);
    if (err)
        return err;
    if (call->jobs_count + call->results_count > 0) {
        struct sqlite_request request = {
            .apply = apply_prune,
            .arg = call,
            .count = 1,
            .bytes = (call->jobs_count + call->results_count) * SQLITE_ROW_BYTES,
        };
        err = weft_sqlite_write(broker, &request);
    }
    if (err)
        return err;
    if (call->jobs_done < call->jobs_count || call->results_done < call->results_count)
        call->more = true;
    keep_place(broker, call);
    return 0;
}

int weft_sqlite_prune(struct weft_broker *broker, const struct weft_retention *retention,
                      uint64_t *ret_removed, bool *ret_more)
{
    struct sqlite_broker *sqlite = weft_sqlite_of(broker);
    struct prune_call *call = calloc(1, sizeof *call); /* too large for a fiber's stack */
    if (!call)
        return -ENOMEM;
    const int64_t kept_us[SQLITE_WALKS] = {
        [SQLITE_WALK_COMPLETED] = retention->completed_us,
        [SQLITE_WALK_CANCELLED] = retention->cancelled_us,
        [SQLITE_WALK_DEAD] = retention->dead_us,
    };
    call->now_us = weft_sqlite_now_us(broker);
    call->rows_left = ROWS_MAX;
    for (int kind = 0; kind < SQLITE_WALKS; kind++) {
        call->walks[kind] = sqlite->walks[kind];
        call->cutoff_us[kind] = kept_us[kind] > 0 ? call->now_us - kept_us[kind] : 0;
    }
    int err = prune(sqlite, call);
    if (!err) {
        *ret_removed = call->removed;
        *ret_more = call->more;
    }
    free(call);
    return err;
}
