/* SPDX-License-Identifier: MIT
 * sqlite_random.c - long random lives of a store: after each step the tables agree with each other,
 * with what the writer keeps in memory, and with what the events told. Steps fail, too: the disk is
 * full at times, batches and settlements are refused in the middle. */
#include "store.h"

#include <base/hash.h>
#include <broker/sqlite_internal.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOBS = 4096, /* remembered; older ones are forgotten */
    HELD = 64,   /* claimed and not settled */
    QUEUES = 3,
};

static const char *const queue_names[QUEUES] = {"a", "b", "c"};
static const char *const keys[] = {NULL, NULL, NULL, "x", "y", "z"};

struct life {
    struct store *store;
    struct weft_broker *broker;
    sqlite3 *db;
    struct weft_random random;
    struct weft_uuid ids[JOBS];
    size_t ids_count;
    struct weft_job *held[HELD];
    size_t held_count;
    uint64_t after; /* event read last */
    bool disk_is_full;
    unsigned refused, failed;
};

static unsigned passed; /* places that claims of one task have come to, of all lives */
static unsigned told[WEFT_JOB_EVENTS + 1]; /* events of all lives by kind; the last: let go */

static uint64_t below(struct life *life, uint64_t bound)
{
    return weft_random_below(&life->random, bound);
}

static bool one_in(struct life *life, uint64_t count)
{
    return below(life, count) == 0;
}

/* --- what must be so --- */

static int64_t number(struct life *life, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(life->db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        test_note("%s: %s", sql, sqlite3_errmsg(life->db));
    REQUIRE(rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

static void check_tables(struct life *life)
{
    static const char *const none[] = {
        /* Each job is either to be done or done. */
        "SELECT count(*) FROM jobs j WHERE (SELECT count(*) FROM queue q WHERE q.seq = j.seq) +"
        " (SELECT count(*) FROM outcomes o WHERE o.seq = j.seq) <> 1",
        "SELECT count(*) FROM queue q WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.seq = q.seq"
        " AND j.queue = q.queue AND j.task = q.task AND j.limit_key IS q.limit_key)",
        "SELECT count(*) FROM outcomes WHERE seq NOT IN (SELECT seq FROM jobs)",
        /* Who runs has a lease, and nobody else. */
        "SELECT count(*) FROM queue WHERE (state = 3) <> (lease_token IS NOT NULL)"
        " OR (state = 3) <> (started_us IS NOT NULL) OR (state <> 3 AND lease_until_us IS NOT NULL)"
        " OR (state <> 3 AND flags & 2 = 2) OR (flags & 2 = 2) <> (reason IS NOT NULL)",
        "SELECT count(*) FROM queue WHERE wake_us IS NOT CASE WHEN state = 3 THEN lease_until_us"
        " WHEN state IN (1, 4) THEN min(run_at_us, coalesce(expires_us, run_at_us))"
        " ELSE expires_us END",
        /* Who is blocked waits for as many as have not ended, and they know it. */
        "SELECT count(*) FROM queue q WHERE (state = 8) <> (waits_for IS NOT NULL)"
        " OR (state = 8 AND (waits_for = 0 OR waits_for <> (SELECT count(*) FROM needs n"
        "  WHERE n.child = q.seq AND n.policy & 2 = 0)))",
        "SELECT count(*) FROM needs n JOIN queue c ON c.seq = n.child AND c.state = 8"
        " WHERE n.policy & 2 = 0 AND NOT EXISTS (SELECT 1 FROM queue p WHERE p.seq = n.parent"
        "  AND p.flags & 8 = 8)",
        "SELECT count(*) FROM needs WHERE child NOT IN (SELECT seq FROM jobs)",
        "SELECT count(*) FROM needs n JOIN outcomes o ON o.seq = n.child WHERE o.state = 5",
        /* Somebody is held back only while as many with its key run as may, or one may run. */
        "SELECT count(*) FROM queue h JOIN queues n ON n.id = h.queue WHERE h.flags & 1 = 1"
        " AND (h.state <> 2 OR h.limit_key IS NULL OR NOT (EXISTS (SELECT 1 FROM queue r"
        "  WHERE r.queue = h.queue AND r.limit_key = h.limit_key AND r.state = 2"
        "  AND r.flags & 1 = 0) OR (n.running_max_per_key > 0 AND n.running_max_per_key <="
        "  (SELECT count(*) FROM queue r WHERE r.queue = h.queue AND r.limit_key = h.limit_key"
        "   AND r.state = 3))))",
        "SELECT count(*) FROM queue q WHERE (q.flags & 1 = 1) <> EXISTS (SELECT 1 FROM held h"
        " WHERE h.seq = q.seq AND h.queue = q.queue AND h.limit_key = q.limit_key"
        " AND h.priority = q.priority AND h.run_at_us = q.run_at_us)",
        "SELECT count(*) FROM held WHERE seq NOT IN (SELECT seq FROM queue)",
        "SELECT count(*) FROM uniques u WHERE NOT EXISTS (SELECT 1 FROM jobs j"
        " WHERE j.seq = u.seq AND j.unique_key = u.key)",
        /* Sums. */
        "SELECT (SELECT scheduled FROM totals) - (SELECT count(*) FROM queue WHERE state = 1)",
        "SELECT (SELECT available FROM totals) - (SELECT count(*) FROM queue WHERE state = 2)",
        "SELECT (SELECT running FROM totals) - (SELECT count(*) FROM queue WHERE state = 3)",
        "SELECT (SELECT retryable FROM totals) - (SELECT count(*) FROM queue WHERE state = 4)",
        "SELECT (SELECT blocked FROM totals) - (SELECT count(*) FROM queue WHERE state = 8)",
        "SELECT (SELECT completed FROM totals) - (SELECT sum(completed) FROM queues)",
        "SELECT (SELECT cancelled FROM totals) - (SELECT sum(cancelled) FROM queues)",
        "SELECT (SELECT dead FROM totals) - (SELECT sum(dead) FROM queues)",
        "SELECT (SELECT completed FROM totals) -"
        " (SELECT count(*) FROM outcomes WHERE state = 5)",
        "SELECT (SELECT cancelled FROM totals) -"
        " (SELECT count(*) FROM outcomes WHERE state = 6)",
        "SELECT (SELECT dead FROM totals) - (SELECT count(*) FROM outcomes WHERE state = 7)",
        /* Errors are bounded. */
        "SELECT count(*) FROM (SELECT count(*) AS n FROM errors GROUP BY seq) WHERE n > 20",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        int64_t found = number(life, none[i]);
        if (found != 0)
            test_note("%s", none[i]);
        REQUIRE(found == 0);
    }
}

/* Counts that the writer keeps against those of the tables. */
static void check_counts(struct life *life)
{
    struct weft_queue_info queues[8];
    size_t count = weft_sqlite_queues_copy(weft_sqlite_of(life->broker), queues, 8);
    for (size_t i = 0; i < count; i++) {
        char sql[160];
        for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++) {
            (void)sqlite3_snprintf(
                sizeof sql, sql,
                "SELECT count(*) FROM %s x JOIN jobs j ON j.seq = x.seq"
                " JOIN queues n ON n.id = j.queue WHERE n.name = %Q AND x.state = %d",
                weft_job_state_is_final((enum weft_job_state)state) ? "outcomes" : "queue",
                queues[i].name, state);
            REQUIRE(number(life, sql) == (int64_t)queues[i].jobs[state]);
        }
        struct sqlite_writer *writer = &weft_sqlite_of(life->broker)->writer;
        const struct sqlite_queue *queue =
            (const struct sqlite_queue *)(const void *)weft_sqlite_name_find(&writer->queues,
                                                                             queues[i].name);
        (void)sqlite3_snprintf(sizeof sql, sql,
                               "SELECT count(*) FROM queue WHERE queue = %lld AND flags & 1 = 1",
                               (long long)queue->name.number);
        REQUIRE(number(life, sql) == (int64_t)queue->held);
    }
    REQUIRE((int64_t)count == number(life, "SELECT count(*) FROM queues"));
}

/* The state of each job after the last event about it, in a table beside the others. */
static void follow_events(struct life *life)
{
    struct weft_broker_event events[64];
    uint64_t oldest;
    int count;
    sqlite3_stmt *note = NULL;
    REQUIRE(sqlite3_prepare_v2(life->db,
                               "INSERT INTO temp.told VALUES (?1, ?3) ON CONFLICT (id) DO UPDATE"
                               " SET state = ?3 WHERE state = ?2",
                               -1, &note, NULL) == SQLITE_OK);
    while ((count = life->broker->ops->events(life->broker, life->after, events, 64, WEFT_NOWAIT,
                                              &oldest)) > 0)
        for (int i = 0; i < count; i++) {
            REQUIRE(events[i].number == ++life->after);
            if (!events[i].task)
                continue; /* about a queue */
            enum weft_job_state from = events[i].from, to = events[i].to;
            bool again = events[i].event == WEFT_JOB_DUE && from == WEFT_JOB_AVAILABLE;
            if (from != WEFT_JOB_NONE)
                told[again ? WEFT_JOB_EVENTS : events[i].event]++;
            REQUIRE(from == WEFT_JOB_NONE || again || weft_job_next(from, events[i].event) == to);
            (void)sqlite3_bind_blob(note, 1, events[i].id.bytes, 16, SQLITE_STATIC);
            (void)sqlite3_bind_int(note, 2, (int)from);
            (void)sqlite3_bind_int(note, 3, (int)to);
            REQUIRE(sqlite3_step(note) == SQLITE_DONE);
            REQUIRE(sqlite3_changes(life->db) == 1); /* it was where the event says it was */
            (void)sqlite3_reset(note);
        }
    REQUIRE(count == -EAGAIN);
    (void)sqlite3_finalize(note);
}

static void check_events(struct life *life)
{
    follow_events(life);
    REQUIRE(number(life, "SELECT count(*) FROM jobs j LEFT JOIN queue q ON q.seq = j.seq"
                         " LEFT JOIN outcomes o ON o.seq = j.seq LEFT JOIN temp.told t"
                         " ON t.id = j.id WHERE t.state IS NOT coalesce(q.state, o.state)") == 0);
}

/* Nothing that is for those who passed it is ready before the place they have come to. */
static void check_passed(struct life *life)
{
    const struct sqlite_writer *writer = &weft_sqlite_of(life->broker)->writer;
    for (unsigned i = 0; i < writer->passed_count; i++)
        for (int priority = 0; priority <= WEFT_PRIORITY_LAST; priority++) {
            char sql[400];
            struct sqlite_place until = weft_sqlite_passed_until(&writer->passed[i], priority);
            if (until.seq == INT64_MIN || writer->passed[i].queue == 0)
                continue;
            passed++;
            (void)sqlite3_snprintf(
                sizeof sql, sql,
                "SELECT count(*) FROM queue q JOIN tasks t ON t.id = q.task WHERE t.name = 'rare'"
                " AND q.queue = %lld AND q.state = 2 AND q.flags & 1 = 0 AND q.priority = %d"
                " AND (q.run_at_us, q.seq) <= (%lld, %lld)",
                (long long)writer->passed[i].queue, priority, (long long)until.run_at_us,
                (long long)until.seq);
            REQUIRE(number(life, sql) == 0);
        }
}

static void check_all(struct life *life)
{
    check_tables(life);
    check_counts(life);
    check_events(life);
    check_passed(life);
}

/* --- steps --- */

static struct weft_job some_job(struct life *life)
{
    struct weft_job job = store_job(life->store);
    job.queue = queue_names[below(life, QUEUES)];
    job.priority = (uint8_t)below(life, 3);
    job.task = one_in(life, 3) ? "rare" : "work";
    if (one_in(life, 3))
        job.run_at_us += (int64_t)below(life, 5000000);
    if (one_in(life, 5))
        job.expires_us = job.created_us + (int64_t)below(life, 30000000) + 1;
    if (one_in(life, 5))
        job.unique_key = keys[below(life, 6)];
    if (one_in(life, 8))
        job.result_ttl_us = 1000000;
    if (one_in(life, 3))
        job.flow = (struct weft_uuid){{(uint8_t)(1 + below(life, 20))}};
    job.limit_key = keys[below(life, 6)];
    return job;
}

static void remember(struct life *life, const struct weft_uuid *id)
{
    life->ids[life->ids_count++ % JOBS] = *id;
}

static struct weft_uuid some_id(struct life *life)
{
    size_t known = life->ids_count < JOBS ? life->ids_count : JOBS;
    size_t recent = known < 40 ? known : 40;
    return known == 0 ? (struct weft_uuid){{0}}
                      : life->ids[(life->ids_count - 1 - below(life, recent)) % JOBS];
}

static void hold(struct life *life, struct weft_job *job)
{
    if (life->held_count == HELD) { /* forgotten: its lease will run out, or never */
        size_t i = below(life, HELD);
        weft_job_free(life->held[i]);
        life->held[i] = life->held[--life->held_count];
    }
    life->held[life->held_count++] = job;
}

/* What a call gives while the disk is full, or not. */
static bool went_well(struct life *life, int err)
{
    REQUIRE(!err || (err == -ENOSPC && life->disk_is_full));
    life->failed += err != 0;
    return !err;
}

enum {
    BATCH = 5
};

struct batch {
    struct weft_job jobs[BATCH];
    struct weft_enqueue items[BATCH];
    struct weft_after after[BATCH][3];
    size_t count;
};

static void fill_batch(struct life *life, struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->count = 1 + below(life, BATCH);
    for (size_t i = 0; i < batch->count; i++) {
        batch->jobs[i] = some_job(life);
        batch->items[i] = (struct weft_enqueue){
            .job = &batch->jobs[i], .after = batch->after[i], .claim = one_in(life, 2)};
        size_t parents = one_in(life, 2) ? 1 + below(life, 3) : 0;
        if (parents > 0 && one_in(life, 2))
            batch->jobs[i].run_at_us += 60000000;
        for (size_t k = 0; k < parents && life->ids_count > 0; k++)
            batch->after[i][batch->items[i].after_count++] = (struct weft_after){
                .id = i > 0 && one_in(life, 2) ? batch->jobs[i - 1].id : some_id(life),
                .any_end = one_in(life, 3)};
    }
}

static void note_batch(struct life *life, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct weft_enqueue *item = &batch->items[i];
        life->refused += item->err != 0;
        REQUIRE(item->err == 0 || item->err == WEFT_EDUPLICATE || item->err == -ENOENT ||
                item->err == -EINVAL || item->err == -ECANCELED || item->err == WEFT_EFULL);
        REQUIRE(!item->err || (!item->claimed && item->state == WEFT_JOB_NONE));
        if (!item->err)
            remember(life, &item->job->id);
        if (item->claimed) {
            struct weft_job claimed = *item->job;
            claimed.lease_token = item->lease_token;
            hold(life, weft_job_copy(&claimed));
        }
    }
}

static void put_in(struct life *life)
{
    struct batch batch;
    fill_batch(life, &batch);
    struct weft_enqueue_batch call = {.items = batch.items,
                                      .count = batch.count,
                                      .atomic = one_in(life, 3),
                                      .lease_us = one_in(life, 2) ? 20000000 : 0};
    if (!went_well(life, life->broker->ops->enqueue(life->broker, &call)))
        return;
    bool refused = false;
    for (size_t i = 0; i < batch.count; i++)
        refused = refused || batch.items[i].err;
    for (size_t i = 0; call.atomic && refused && i < batch.count; i++)
        REQUIRE(batch.items[i].err);
    note_batch(life, &batch);
}

static const char *const rare = "rare";

static int apply_note(struct sqlite_writer *writer, struct sqlite_request *request)
{
    const struct sqlite_name *queue = weft_sqlite_name_find(&writer->queues, request->arg);
    const struct sqlite_name *task = weft_sqlite_name_find(&writer->tasks, rare);
    if (queue && task && writer->passed_count < QUEUES)
        (void)weft_sqlite_passed_begin(writer, queue->number,
                                       1 + 2 * weft_hash(&task->number, sizeof task->number));
    return SQLITE_OK;
}

/* As when there had been very many jobs of the other task. */
static void note_what_is_passed(struct life *life)
{
    char queue[2] = "";
    queue[0] = queue_names[below(life, QUEUES)][0];
    struct sqlite_request request = {.apply = apply_note, .arg = queue, .count = 1};
    (void)went_well(life, weft_sqlite_write(weft_sqlite_of(life->broker), &request));
}

static void claim(struct life *life)
{
    struct weft_job *jobs[6];
    struct weft_claim call = {.queues = queue_names + below(life, QUEUES - 1),
                              .queues_count = 2,
                              .jobs = jobs,
                              .jobs_max = 1 + (unsigned)below(life, 6),
                              .lease_us = one_in(life, 2) ? 20000000 : 0};
    if (one_in(life, 2)) {
        call.tasks = &rare;
        call.tasks_count = 1;
    }
    if (!went_well(life, life->broker->ops->claim(life->broker, &call)))
        return;
    for (unsigned i = 0; i < call.count; i++)
        hold(life, jobs[i]);
}

static void settle(struct life *life)
{
    static const enum weft_job_event events[] = {
        WEFT_JOB_COMPLETE, WEFT_JOB_COMPLETE, WEFT_JOB_RETRY, WEFT_JOB_DIE,
        WEFT_JOB_RELEASE,  WEFT_JOB_SNOOZE,   WEFT_JOB_CANCEL};
    if (life->held_count == 0)
        return;
    struct batch batch = {.count = 0};
    size_t i = below(life, life->held_count);
    struct weft_settlement item = {.job = life->held[i],
                                   .event = events[below(life, 7)],
                                   .delay_us = (int64_t)below(life, 2000000),
                                   .error = "it did not work",
                                   .result = {"1", 1, true}};
    if (one_in(life, 4)) {
        fill_batch(life, &batch);
        item.follow = batch.items;
        item.follow_count = batch.count;
    }
    if (!went_well(life, life->broker->ops->settle(life->broker, &item, 1)))
        return;
    if (!item.err)
        note_batch(life, &batch);
    else
        REQUIRE(item.err == -ESTALE || item.follow_count > 0);
    if (item.err && item.err != -ESTALE)
        return; /* what follows was refused: it still runs */
    weft_job_free(life->held[i]);
    life->held[i] = life->held[--life->held_count];
}

static void extend(struct life *life)
{
    if (life->held_count == 0)
        return;
    const struct weft_job *job = life->held[below(life, life->held_count)];
    struct weft_lease lease = {.id = job->id,
                               .token = job->lease_token,
                               .lease_us = one_in(life, 2) ? 2000000 : 0,
                               .progress = one_in(life, 2) ? "0.5" : NULL};
    (void)went_well(life, life->broker->ops->extend(life->broker, &lease, 1));
}

static void maintain(struct life *life)
{
    struct weft_maintenance done;
    (void)went_well(life, life->broker->ops->maintain(life->broker, &done));
}

static void cancel(struct life *life)
{
    struct weft_cancel call = {.kind = WEFT_CANCEL_JOB, .id = some_id(life)};
    if (one_in(life, 3)) {
        call.kind = WEFT_CANCEL_FLOW;
        call.id = (struct weft_uuid){{(uint8_t)(1 + below(life, 20))}};
    }
    int err = life->broker->ops->cancel(life->broker, &call);
    if (err != -ENOENT && err != -EALREADY)
        (void)went_well(life, err);
}

static void again(struct life *life)
{
    struct weft_uuid id = some_id(life);
    enum weft_job_state state;
    int err = life->broker->ops->retry(life->broker, &id, &state);
    if (err != -ENOENT && err != -EALREADY && err != WEFT_EDUPLICATE)
        (void)went_well(life, err);
}

static void set_queue(struct life *life)
{
    struct weft_queue_settings settings = {
        .paused = one_in(life, 6),
        .size_max = one_in(life, 2) ? 40 + below(life, 30) : 0,
        .running_max = (uint32_t)below(life, 12),
        .running_max_per_key = (uint32_t)below(life, 3),
        .rate_per_s = one_in(life, 4) ? 0.5 + (double)below(life, 20) : 0,
        .burst = (uint32_t)below(life, 4),
    };
    (void)went_well(life, life->broker->ops->queue_set(
                              life->broker, queue_names[below(life, QUEUES)], &settings));
}

/* The disk becomes full, or is no longer. */
static void change_disk(struct life *life)
{
    life->disk_is_full = !life->disk_is_full;
    uint64_t used =
        (uint64_t)number(life, "PRAGMA page_count") * (uint64_t)number(life, "PRAGMA page_size");
    REQUIRE(weft_sqlite_limit(life->broker, life->disk_is_full ? used : 0) == 0);
}

static void step(struct life *life)
{
    static void (*const steps[])(struct life *) = {put_in, put_in, claim,  claim, settle,  settle,
                                                   settle, extend, cancel, again, maintain};
    if (one_in(life, 25))
        set_queue(life);
    else if (one_in(life, 40))
        change_disk(life);
    else if (one_in(life, 20))
        note_what_is_passed(life);
    else
        steps[below(life, sizeof steps / sizeof *steps)](life);
    (void)weft_sleep((int64_t)below(life, 400) * WEFT_MSEC);
}

static void begin(struct life *life)
{
    life->broker = life->store->broker;
    if (life->store->path)
        REQUIRE(sqlite3_open(life->store->path, &life->db) == SQLITE_OK);
    else
        life->db = weft_sqlite_of(life->broker)->writer.db;
    life->after = life->broker->ops->events_last(life->broker);
    REQUIRE(sqlite3_exec(life->db,
                         "CREATE TABLE temp.told (id BLOB PRIMARY KEY, state INTEGER);"
                         "INSERT INTO temp.told SELECT j.id, coalesce(q.state, o.state) FROM jobs j"
                         " LEFT JOIN queue q ON q.seq = j.seq LEFT JOIN outcomes o"
                         " ON o.seq = j.seq;",
                         NULL, NULL, NULL) == SQLITE_OK);
}

static void live(struct store *store, uint64_t seed, unsigned steps)
{
    struct life *life = calloc(1, sizeof *life);
    REQUIRE(life);
    life->store = store;
    weft_random_seed(&life->random, seed);
    begin(life);
    for (unsigned i = 0; i < steps; i++) {
        step(life);
        check_all(life);
    }
    while (life->held_count > 0)
        weft_job_free(life->held[--life->held_count]);
    if (store->path)
        (void)sqlite3_close(life->db);
    test_note("seed %llu: %zu jobs, %u refused, %u calls on a full disk", (unsigned long long)seed,
              life->ids_count, life->refused, life->failed);
    CHECK(life->ids_count > steps / 10);
    free(life);
}

/* Nothing is tested that does not happen. */
static bool all_were_told(void)
{
    for (int event = 0; event <= WEFT_JOB_EVENTS; event++)
        if (told[event] == 0)
            return false;
    return true;
}

FIBER_TEST(tables_memory_and_events_agree_whatever_happens)
{
    for (uint64_t seed = 1; seed <= 4 || (seed <= 20 && !all_were_told()); seed++) {
        struct store store;
        store_open(&store, &(struct weft_sqlite_options){.memory = true});
        live(&store, seed, 250);
        store_close(&store);
    }
    CHECK(all_were_told());
    CHECK(passed > 0);
    for (int event = 0; event <= WEFT_JOB_EVENTS; event++)
        test_note("%u times %s", told[event],
                  event < WEFT_JOB_EVENTS ? weft_job_event_name((enum weft_job_event)event)
                                          : "let go");
}

/* Between two lives the server is gone: then nothing runs but what has a lease with an end. */
FIBER_TEST(tables_memory_and_events_agree_after_each_restart)
{
    char path[160];
    struct store store;
    (void)sqlite3_snprintf(sizeof path, path, "%s/random.db", test_directory());
    store_open(&store, &(struct weft_sqlite_options){.path = path});
    for (uint64_t seed = 1; seed <= 4; seed++) {
        live(&store, seed, 100);
        store_reopen(&store);
    }
    store_close(&store);
}
