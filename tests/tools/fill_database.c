/* SPDX-License-Identifier: MIT
 * fill_database.c - puts finished jobs, and some that wait, into a weft database, millions in a
 * minute, to measure what a long history costs.
 *
 *     weft-fill PATH JOBS [DAYS [WAITING]]
 *
 * JOBS finished jobs over the last DAYS days (30), then WAITING available ones (0). Of each
 * thousand finished jobs two are cancelled, one is dead, and ten failed once before they completed.
 * Nine of ten are in the queue "default"; "rare" has ten, the oldest of all: the worst there is for
 * whoever lists the newest first. No server may run meanwhile, and a crash leaves the file useless:
 * it is written without a log. */
#include <base/uuid.h>
#include <broker/sqlite.h>
#include <os/clock.h>
#include <weft/runtime.h>

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSACTION_JOBS 100000
#define DAY_US           (INT64_C(86400) * 1000000)

enum {
    RARE = 10
};

static const char *const queues[] = {"default", "mail", "reports", "rare"};
static const char *const tasks[] = {"process", "send", "render", "once"};

struct fill {
    sqlite3 *db;
    sqlite3_stmt *job, *outcome, *error, *queue;
    int64_t first_us, step_us; /* when the first was made, and how much later the next */
    int64_t jobs, waiting;
};

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("weft-fill: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* The broker makes the tables, so they are the ones of today. */
static int make_tables(void *arg)
{
    struct weft_broker *broker;
    char error[256];
    int err =
        weft_sqlite_open(&broker, &(struct weft_sqlite_options){.path = arg}, error, sizeof error);
    if (err)
        fail("%s", error);
    broker->ops->close(broker);
    return 0;
}

static void run(struct fill *fill, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void run(struct fill *fill, const char *format, ...)
{
    char sql[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    if (sqlite3_exec(fill->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail("%s: %s", sql, sqlite3_errmsg(fill->db));
}

static sqlite3_stmt *prepare(struct fill *fill, const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(fill->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL))
        fail("%s: %s", sql, sqlite3_errmsg(fill->db));
    return statement;
}

static void step(struct fill *fill, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE)
        fail("%s", sqlite3_errmsg(fill->db));
    (void)sqlite3_reset(statement);
}

static void name_all(struct fill *fill)
{
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        run(fill,
            "INSERT OR IGNORE INTO queues (name) VALUES ('%s');"
            "INSERT OR IGNORE INTO tasks (name) VALUES ('%s')",
            queues[i], tasks[i]);
}

/* Which queue and task the n-th job has: an index into both tables. */
static int kind_of(int64_t n)
{
    return n < RARE ? 3 : n % 1000 == 500 ? 2 : n % 10 == 5 ? 1 : 0;
}

static void insert_job(struct fill *fill, int64_t n, int64_t seq, int64_t created_us)
{
    uint8_t id[16] = {[8] = 0x80, [15] = 1};
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(seq >> (52 - 8 * i));
    id[6] = (uint8_t)(0x70 | (seq >> 8 & 0x0f));
    id[7] = (uint8_t)seq;
    char payload[96];
    int len = snprintf(payload, sizeof payload,
                       "{\"text\":\"what the job number %lld is about\",\"number\":%lld}",
                       (long long)n, (long long)n);
    (void)sqlite3_bind_int64(fill->job, 1, seq);
    (void)sqlite3_bind_blob(fill->job, 2, id, sizeof id, SQLITE_STATIC);
    (void)sqlite3_bind_text(fill->job, 3, tasks[kind_of(n)], -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(fill->job, 4, queues[kind_of(n)], -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(fill->job, 5, created_us);
    (void)sqlite3_bind_text(fill->job, 6, payload, len, SQLITE_STATIC);
    step(fill, fill->job);
}

static void insert_error(struct fill *fill, int64_t seq, int attempt, int64_t at_us)
{
    (void)sqlite3_bind_int64(fill->error, 1, seq);
    (void)sqlite3_bind_int(fill->error, 2, attempt);
    (void)sqlite3_bind_int64(fill->error, 3, at_us);
    step(fill, fill->error);
}

static void insert_outcome(struct fill *fill, int64_t n, int64_t seq, int64_t created_us)
{
    bool dead = n % 1000 == 7, cancelled = n % 1000 == 8 || n % 1000 == 9;
    int failed = dead ? 3 : n % 100 == 11;
    for (int attempt = 1; attempt <= failed; attempt++)
        insert_error(fill, seq, attempt, created_us + attempt * 1000);
    (void)sqlite3_bind_int64(fill->outcome, 1, seq);
    (void)sqlite3_bind_int(fill->outcome, 2,
                           dead        ? WEFT_JOB_DEAD
                           : cancelled ? WEFT_JOB_CANCELLED
                                       : WEFT_JOB_COMPLETED);
    (void)sqlite3_bind_int(fill->outcome, 3, cancelled ? 0 : dead ? 3 : failed + 1);
    (void)sqlite3_bind_int64(fill->outcome, 4, created_us + 1000);
    (void)sqlite3_bind_int64(fill->outcome, 5, created_us + 5000);
    (void)sqlite3_bind_text(fill->outcome, 6,
                            dead        ? "the attempt failed for the last time"
                            : cancelled ? "cancelled by request"
                                        : NULL,
                            -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(fill->outcome, 7, dead || cancelled ? NULL : "{\"done\":true}", -1,
                            SQLITE_STATIC);
    step(fill, fill->outcome);
}

static void insert_waiting(struct fill *fill, int64_t n, int64_t seq, int64_t created_us)
{
    (void)sqlite3_bind_int64(fill->queue, 1, seq);
    (void)sqlite3_bind_text(fill->queue, 2, queues[kind_of(n)], -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(fill->queue, 3, tasks[kind_of(n)], -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(fill->queue, 4, created_us);
    step(fill, fill->queue);
}

static void insert_all(struct fill *fill)
{
    int64_t total = fill->jobs + fill->waiting, seq = 0;
    for (int64_t n = 0; n < total; n++) {
        if (n % TRANSACTION_JOBS == 0)
            run(fill, "%sBEGIN", n > 0 ? "COMMIT;" : "");
        int64_t created_us = fill->first_us + n * fill->step_us, first = created_us / 1000 << 12;
        seq = first > seq ? first : seq + 1; /* 4096 a millisecond, then it runs ahead */
        insert_job(fill, n, seq, created_us);
        if (n < fill->jobs)
            insert_outcome(fill, n, seq, created_us);
        else
            insert_waiting(fill, n, seq, created_us);
        if (n % 1000000 == 999999)
            (void)fprintf(stderr, "%lld million jobs\n", (long long)(n / 1000000 + 1));
    }
    run(fill, "COMMIT");
}

/* What the broker keeps beside the rows. */
static void count_all(struct fill *fill)
{
    run(fill, "UPDATE totals SET"
              " completed = (SELECT count(*) FROM outcomes WHERE state = 5),"
              " cancelled = (SELECT count(*) FROM outcomes WHERE state = 6),"
              " dead = (SELECT count(*) FROM outcomes WHERE state = 7),"
              " available = (SELECT count(*) FROM queue WHERE state = 2),"
              " processing_sum_us = (SELECT sum(finished_us - started_us) FROM outcomes"
              "  WHERE state = 5),"
              " processing_min_us = 4000, processing_max_us = 4000");
    run(fill, "WITH ends AS (SELECT j.queue AS queue, sum(o.state = 5) AS completed,"
              "  sum(o.state = 6) AS cancelled, sum(o.state = 7) AS dead"
              "  FROM outcomes o JOIN jobs j ON j.seq = o.seq GROUP BY 1)"
              " UPDATE queues SET completed = ends.completed, cancelled = ends.cancelled,"
              "  dead = ends.dead FROM ends WHERE ends.queue = queues.id");
}

static void fill_file(struct fill *fill)
{
    run(fill, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
              "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536");
    name_all(fill);
    fill->job = prepare(fill, "INSERT INTO jobs (seq, id, task, queue, priority, attempts_max,"
                              " created_us, payload) VALUES (?1, ?2,"
                              " (SELECT id FROM tasks WHERE name = ?3),"
                              " (SELECT id FROM queues WHERE name = ?4), 5, 3, ?5, ?6)");
    fill->outcome = prepare(fill, "INSERT INTO outcomes (seq, state, attempt, crashes, started_us,"
                                  " finished_us, error, result)"
                                  " VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7)");
    fill->error = prepare(fill, "INSERT INTO errors VALUES (?1, ?2, ?3, 'it did not work')");
    fill->queue = prepare(fill, "INSERT INTO queue (seq, state, queue, task, priority, run_at_us,"
                                " attempt, attempts_max) VALUES (?1, 2,"
                                " (SELECT id FROM queues WHERE name = ?2),"
                                " (SELECT id FROM tasks WHERE name = ?3), 5, ?4, 0, 3)");
    insert_all(fill);
    count_all(fill);
    (void)sqlite3_finalize(fill->job);
    (void)sqlite3_finalize(fill->outcome);
    (void)sqlite3_finalize(fill->error);
    (void)sqlite3_finalize(fill->queue);
    run(fill, "PRAGMA journal_mode = DELETE; PRAGMA locking_mode = NORMAL;"
              "PRAGMA journal_mode = WAL");
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 5)
        fail("usage: weft-fill PATH JOBS [DAYS [WAITING]]");
    int64_t days = argc > 3 ? strtoll(argv[3], NULL, 10) : 30;
    struct fill fill = {.jobs = strtoll(argv[2], NULL, 10),
                        .waiting = argc > 4 ? strtoll(argv[4], NULL, 10) : 0};
    int64_t total = fill.jobs + fill.waiting;
    if (days < 1 || days > 10000 || fill.jobs < 0 || fill.waiting < 0 || total < 1 ||
        total > INT64_C(1000000000))
        fail("from 1 to a billion jobs, over 1 to 10,000 days");
    fill.first_us = weft_clock_unix_us() - days * DAY_US;
    fill.step_us = days * DAY_US / total;
    struct weft_run_options options = {0};
    int err = weft_run(&options, make_tables, argv[1]);
    if (err)
        fail("%s", weft_strerror(err));
    if (sqlite3_open_v2(argv[1], &fill.db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        fail("cannot open %s", argv[1]);
    fill_file(&fill);
    (void)sqlite3_close(fill.db);
    return 0;
}
