/* SPDX-License-Identifier: MIT
 * sqlite_faults.c - every statement fails once with every error that SQLite has for it, every
 * allocation, and every operation on a file: the call that meets it says so, nothing at all has
 * happened then, and the next try works; nothing that was accepted is lost, nothing is done twice.
 *
 * One script makes use of all there is, step by step. Before and after each step everything is
 * compared: all tables, the counts that the writer keeps in memory, and the events told. */
#include "fault.h"
#include "store.h"
#include "version_1.h"

#include <base/hash.h>
#include <broker/sqlite_internal.h>
#include <weft/group.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With a sanitizer everything takes several times as long: so much less is tried. With
 * WEFT_FAULTS_ALL in the environment nothing at all is left out. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FEWER 9u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FEWER 9u
#endif
#endif
#ifndef FEWER
#define FEWER 1u
#endif

enum {
    IDS = 32,
    HELD = 48,
    MANY = 10,
    STRANGERS = 510,
};

static bool everything(void)
{
    return getenv("WEFT_FAULTS_ALL"); // NOLINT(concurrency-mt-unsafe): nobody sets it
}

/* How many are left out between two that fail. */
static unsigned long stride_of(unsigned usual)
{
    return everything() ? 1 : (unsigned long)usual * FEWER;
}

/* What the steps of one script know. */
struct script {
    struct store *store;
    struct weft_broker *broker;
    sqlite3 *db; /* looks at the tables */
    struct weft_uuid ids[IDS];
    struct weft_job *held[HELD];
    size_t held_count;
    int64_t worker;
    int64_t cron_us;
};

enum {
    PLAIN,
    RICH,
    PARENT,
    OTHER_PARENT,
    CHILD,
    LIMITED, /* and two more */
    STOPPED = LIMITED + 3,
    BAD,
    IN_FLOW,
    LATER,
    LOST,
    SHORT_LIVED,
    KEEPER,
    NEEDY,
    FOLLOWER,
};

static const struct weft_uuid flow = {{7}};

/* --- steps: each gives its error, and can be done again after one --- */

static struct weft_job job_with(struct script *script, int name)
{
    struct weft_job job = store_job(script->store);
    script->ids[name] = job.id;
    return job;
}

static int put(struct script *script, const struct weft_job *job)
{
    return store_try(script->store, job);
}

static int join(struct script *script)
{
    struct weft_worker_info worker = {.name = "one", .host = "here", .queues = "default"};
    int err = script->broker->ops->worker_join(script->broker, &worker);
    if (!err)
        script->worker = worker.number;
    return err;
}

static int set_queues(struct script *script)
{
    const struct weft_queue_settings one_each = {.running_max_per_key = 1};
    return script->broker->ops->queue_set(script->broker, "limited", &one_each);
}

static int put_plain(struct script *script)
{
    struct weft_job job = job_with(script, PLAIN);
    return put(script, &job);
}

static int put_rich(struct script *script)
{
    struct weft_job job = job_with(script, RICH);
    job.queue = "rich";
    job.priority = 0;
    job.headers = "{\"trace\":\"1\"}";
    job.unique_key = "only-one";
    job.flow = flow;
    job.result_ttl_us = 1000000;
    job.expires_us = job.created_us + INT64_C(86400000000);
    return put(script, &job);
}

static int put_family(struct script *script)
{
    struct weft_job parent = job_with(script, PARENT), other = job_with(script, OTHER_PARENT),
                    child = job_with(script, CHILD);
    parent.queue = other.queue = child.queue = "family";
    const struct weft_after after[] = {{.id = parent.id}, {.id = other.id, .any_end = true}};
    struct weft_enqueue items[] = {
        {.job = &parent}, {.job = &other}, {.job = &child, .after = after, .after_count = 2}};
    struct weft_enqueue_batch batch = {.items = items, .count = 3, .atomic = true};
    int err = script->broker->ops->enqueue(script->broker, &batch);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(items[i].err, err);
    return err;
}

/* All or none, and one of them is refused. */
static int put_refused(struct script *script)
{
    struct weft_job good = store_job(script->store), bad = store_job(script->store);
    good.queue = "refused";
    bad.priority = 77;
    struct weft_enqueue items[] = {{.job = &good}, {.job = &bad}};
    struct weft_enqueue_batch batch = {.items = items, .count = 2, .atomic = true};
    int err = script->broker->ops->enqueue(script->broker, &batch);
    CHECK_EQUAL(items[0].err, err ? err : -ECANCELED);
    CHECK_EQUAL(items[1].err, err ? err : -EINVAL);
    return err;
}

static int put_limited(struct script *script)
{
    struct weft_job jobs[3];
    struct weft_enqueue items[3] = {{.job = NULL}};
    for (int i = 0; i < 3; i++) {
        jobs[i] = job_with(script, LIMITED + i);
        jobs[i].queue = "limited";
        jobs[i].limit_key = "customer";
        items[i].job = &jobs[i];
    }
    struct weft_enqueue_batch batch = {.items = items, .count = 3};
    return script->broker->ops->enqueue(script->broker, &batch);
}

static int put_ten(struct script *script, const char *queue, unsigned priorities)
{
    struct weft_job jobs[MANY];
    struct weft_enqueue items[MANY] = {{.job = NULL}};
    for (unsigned i = 0; i < MANY; i++) {
        jobs[i] = store_job(script->store);
        jobs[i].queue = queue;
        jobs[i].priority = (uint8_t)(i % priorities);
        items[i].job = &jobs[i];
    }
    struct weft_enqueue_batch batch = {.items = items, .count = MANY};
    return script->broker->ops->enqueue(script->broker, &batch);
}

static int put_many(struct script *script)
{
    return put_ten(script, "many", 1);
}

/* Some of which will have waited for long. */
static int put_patient(struct script *script)
{
    return put_ten(script, "patient", 2);
}

/* A few jobs that need nothing but their queues. */
static int put_others(struct script *script)
{
    static const char *const queues[] = {
        [STOPPED - STOPPED] = "stopped", [BAD - STOPPED] = "bad",
        [IN_FLOW - STOPPED] = "flow",    [LATER - STOPPED] = "later",
        [LOST - STOPPED] = "lost",       [SHORT_LIVED - STOPPED] = "short",
        [KEEPER - STOPPED] = "keeper"};
    enum {
        COUNT = sizeof queues / sizeof *queues
    };
    struct weft_job jobs[COUNT];
    struct weft_enqueue items[COUNT] = {{.job = NULL}};
    for (int i = 0; i < COUNT; i++) {
        jobs[i] = job_with(script, STOPPED + i);
        jobs[i].queue = queues[i];
        items[i].job = &jobs[i];
    }
    jobs[BAD - STOPPED].unique_key = "bad-one";
    jobs[IN_FLOW - STOPPED].flow = (struct weft_uuid){{9}};
    jobs[LATER - STOPPED].run_at_us += INT64_C(3600000000);
    jobs[SHORT_LIVED - STOPPED].expires_us = jobs[0].created_us + 1000;
    jobs[KEEPER - STOPPED].result_ttl_us = 1000000;
    struct weft_enqueue_batch batch = {.items = items, .count = COUNT};
    return script->broker->ops->enqueue(script->broker, &batch);
}

static int claim(struct script *script, const char *queue, unsigned max, int64_t lease_us,
                 unsigned expected)
{
    struct weft_job *jobs[MANY] = {NULL};
    struct weft_claim call = {.queues = &queue,
                              .queues_count = 1,
                              .jobs = jobs,
                              .jobs_max = max,
                              .worker = script->worker,
                              .lease_us = lease_us};
    int err = script->broker->ops->claim(script->broker, &call);
    CHECK_EQUAL(call.count, err ? 0 : expected);
    for (unsigned i = 0; i < call.count; i++) {
        REQUIRE(script->held_count < HELD);
        script->held[script->held_count++] = jobs[i];
    }
    return err;
}

#define CLAIM(queue, max, lease_us, expected)                                                      \
    static int claim_##queue(struct script *script)                                                \
    {                                                                                              \
        return claim(script, #queue, max, lease_us, expected);                                     \
    }
CLAIM(default, 1, 0, 1)
CLAIM(rich, 1, 0, 1)
CLAIM(many, MANY, 0, MANY)
CLAIM(patient, MANY, 0, MANY)
CLAIM(limited, 3, 0, 1)
CLAIM(family, 2, 0, 2)
CLAIM(stopped, 1, 0, 1)
CLAIM(bad, 1, 0, 1)
CLAIM(lost, 1, 1000000, 1)
CLAIM(short, 1, 0, 0)
CLAIM(keeper, 1, 0, 1)
CLAIM(later, 1, 3600000000, 1) /* held when its worker leaves */

static int claim_child(struct script *script)
{
    return claim(script, "family", 2, 0, 1);
}

/* What was claimed from this queue first. */
static size_t held_of(const struct script *script, const char *queue)
{
    size_t i = 0;
    while (i < script->held_count && strcmp(script->held[i]->queue, queue) != 0)
        i++;
    REQUIRE(i < script->held_count);
    return i;
}

static int settle_with(struct script *script, const char *queue, struct weft_settlement *item)
{
    size_t i = held_of(script, queue);
    item->job = script->held[i];
    int err = script->broker->ops->settle(script->broker, item, 1);
    if (!err)
        err = item->err;
    CHECK_EQUAL(item->err, err);
    CHECK((err == 0) == (item->state != WEFT_JOB_NONE));
    if (!err) {
        weft_job_free(script->held[i]);
        memmove(&script->held[i], &script->held[i + 1],
                (--script->held_count - i) * sizeof script->held[0]);
    }
    return err;
}

static int settle(struct script *script, const char *queue, enum weft_job_event event)
{
    struct weft_settlement item = {.event = event, .thread = 3};
    if (event == WEFT_JOB_COMPLETE)
        item.result = (struct weft_bytes){"{\"r\":1}", 7, true};
    else
        item.error = "it did not work";
    return settle_with(script, queue, &item);
}

#define SETTLE(name, queue, event)                                                                 \
    static int settle_##name(struct script *script)                                                \
    {                                                                                              \
        return settle(script, queue, event);                                                       \
    }
SETTLE(default, "default", WEFT_JOB_RETRY)
SETTLE(rich, "rich", WEFT_JOB_COMPLETE)
SETTLE(many, "many", WEFT_JOB_COMPLETE)
SETTLE(limited, "limited", WEFT_JOB_RELEASE)
SETTLE(parent, "family", WEFT_JOB_COMPLETE)
SETTLE(other_parent, "family", WEFT_JOB_DIE)
SETTLE(child, "family", WEFT_JOB_COMPLETE)
SETTLE(bad, "bad", WEFT_JOB_DIE)
SETTLE(stopped, "stopped", WEFT_JOB_CANCEL)

/* With a job that follows, and that needs the result of this one. */
static int settle_keeper(struct script *script)
{
    struct weft_job needy = job_with(script, NEEDY);
    const struct weft_after after = {.id = script->ids[KEEPER]};
    needy.queue = "needy";
    struct weft_enqueue follow = {.job = &needy, .after = &after, .after_count = 1};
    struct weft_settlement item = {
        .event = WEFT_JOB_COMPLETE, .result = {"1", 1, true}, .follow = &follow, .follow_count = 1};
    return settle_with(script, "keeper", &item);
}

/* With one that is refused: all of it is. */
static int settle_refused(struct script *script)
{
    struct weft_job bad = store_job(script->store);
    bad.priority = 77;
    struct weft_enqueue follow = {.job = &bad};
    struct weft_settlement item = {.job = script->held[held_of(script, "many")],
                                   .event = WEFT_JOB_COMPLETE,
                                   .follow = &follow,
                                   .follow_count = 1};
    int err = script->broker->ops->settle(script->broker, &item, 1);
    CHECK_EQUAL(item.err, err ? err : -EINVAL);
    CHECK_EQUAL(follow.err, item.err);
    return err;
}

static int extend(struct script *script)
{
    const struct weft_job *job = script->held[held_of(script, "lost")];
    struct weft_lease lease = {
        .id = job->id, .token = job->lease_token, .lease_us = 2000000, .progress = "0.5"};
    int err = script->broker->ops->extend(script->broker, &lease, 1);
    CHECK_EQUAL(lease.err, err);
    return err;
}

static int wait_for_a_minute(struct script *script)
{
    (void)script;
    (void)weft_sleep(61 * WEFT_SEC);
    return 0;
}

/* So long that jobs may go, and that one that waited goes before its turn. */
static int wait_for_days(struct script *script)
{
    (void)script;
    (void)weft_sleep(3 * 86400 * WEFT_SEC);
    return 0;
}

static int maintain(struct script *script)
{
    struct weft_maintenance done;
    return script->broker->ops->maintain(script->broker, &done);
}

static int cancel_stopped(struct script *script)
{
    struct weft_cancel call = {.id = script->ids[STOPPED], .reason = "no longer wanted"};
    int err = script->broker->ops->cancel(script->broker, &call);
    CHECK_EQUAL(call.flagged, err ? 0 : 1);
    return err;
}

static int cancel_flow(struct script *script)
{
    struct weft_cancel call = {.kind = WEFT_CANCEL_FLOW, .id = {{9}}};
    int err = script->broker->ops->cancel(script->broker, &call);
    CHECK_EQUAL(call.cancelled, err ? 0 : 1);
    return err;
}

static int retry(struct script *script, int name)
{
    enum weft_job_state state = WEFT_JOB_NONE;
    int err = script->broker->ops->retry(script->broker, &script->ids[name], &state);
    CHECK_EQUAL(state, err ? WEFT_JOB_NONE : WEFT_JOB_AVAILABLE);
    return err;
}

static int retry_bad(struct script *script)
{
    return retry(script, BAD);
}

static int retry_later(struct script *script)
{
    return retry(script, LATER);
}

static int set_cron(struct script *script)
{
    script->cron_us = 1000;
    const struct weft_cron_entry entry = {.name = "nightly",
                                          .schedule = "@daily",
                                          .missed = "skip",
                                          .job = "{\"task\":\"work\"}",
                                          .next_us = script->cron_us};
    return script->broker->ops->cron_set(script->broker, &entry);
}

static int fire_cron(struct script *script)
{
    struct weft_job job = store_job(script->store);
    struct weft_enqueue item = {.job = &job};
    struct weft_cron_fire fire = {.name = "nightly",
                                  .planned_us = script->cron_us,
                                  .next_us = script->cron_us + 1000,
                                  .batch = {.items = &item, .count = 1}};
    int err = script->broker->ops->cron_fire(script->broker, &fire);
    CHECK_EQUAL(item.err, err);
    return err;
}

static int remove_cron(struct script *script)
{
    return script->broker->ops->cron_remove(script->broker, "nightly");
}

static int record(struct script *script)
{
    return script->broker->ops->record(script->broker, &(struct weft_queue_metrics){.total = 3});
}

static int beat(struct script *script)
{
    const struct weft_worker_info worker = {.number = script->worker, .running = 2};
    return script->broker->ops->worker_beat(script->broker, &worker);
}

static int leave(struct script *script)
{
    return script->broker->ops->worker_leave(script->broker, script->worker);
}

static int audit(struct script *script)
{
    const struct weft_audit_entry entry = {.who = "me", .action = "cancel", .target = "x"};
    return script->broker->ops->audit(script->broker, &entry);
}

static int find(struct script *script)
{
    struct weft_job *job = NULL;
    int err = script->broker->ops->find(script->broker, &script->ids[PLAIN], &job);
    CHECK((err == 0) == (job != NULL));
    weft_job_free(job);
    return err;
}

static int find_failures(struct script *script)
{
    struct weft_job_failure failures[2];
    size_t count = 77;
    int err =
        script->broker->ops->failures(script->broker, &script->ids[PLAIN], failures, 2, &count);
    CHECK_EQUAL(count, err ? 77 : 1);
    return err;
}

static int list(struct script *script, struct weft_job_filter filter)
{
    struct weft_job *jobs[IDS];
    struct weft_job_page page = {.jobs = jobs};
    filter.jobs_max = IDS;
    int err = script->broker->ops->list(script->broker, &filter, &page);
    CHECK((err == 0) == (page.count > 0));
    while (!err && page.count > 0)
        weft_job_free(jobs[--page.count]);
    return err;
}

#define LIST(name, ...)                                                                            \
    static int list_##name(struct script *script)                                                  \
    {                                                                                              \
        return list(script, (struct weft_job_filter){__VA_ARGS__});                                \
    }
LIST(all, .jobs_max = 0)
LIST(flow, .flow = flow)
LIST(names, .queue = "default", .task = "work")
LIST(available, .state = WEFT_JOB_AVAILABLE)
LIST(completed, .state = WEFT_JOB_COMPLETED)
LIST(dead, .state = WEFT_JOB_DEAD)

static int read_stats(struct script *script)
{
    struct weft_broker_stats stats;
    return script->broker->ops->stats(script->broker, &stats);
}

static int read_queues(struct script *script)
{
    struct weft_queue_info queues[16];
    size_t count;
    return script->broker->ops->queues(script->broker, queues, 16, &count);
}

static int read_workers(struct script *script)
{
    struct weft_worker_info workers[4];
    size_t count;
    return script->broker->ops->workers(script->broker, workers, 4, &count);
}

static int read_crons(struct script *script)
{
    struct weft_cron_entry *entries = NULL;
    size_t count;
    int err = script->broker->ops->crons(script->broker, &entries, 4, &count);
    CHECK((err == 0) == (entries != NULL));
    free(entries);
    return err;
}

static int read_audits(struct script *script)
{
    struct weft_audit_entry entries[4];
    size_t count;
    return script->broker->ops->audits(script->broker, entries, 4, &count);
}

static int prune(struct script *script)
{
    const struct weft_retention day = {
        .completed_us = 86400000000, .cancelled_us = 86400000000, .dead_us = 86400000000};
    uint64_t removed;
    bool more;
    return script->broker->ops->prune(script->broker, &day, &removed, &more);
}

/* As when that of the machine was set. */
static int set_clock(struct script *script)
{
    int64_t forward_us = 1000000;
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_set_clock, .arg = &forward_us, .count = 1};
    return weft_sqlite_write(weft_sqlite_of(script->broker), &request);
}

/* More jobs of tasks that nobody asks for than one claim passes, and one that is asked for. */
static int put_strangers(struct script *script)
{
    struct weft_job *jobs = calloc(STRANGERS, sizeof *jobs);
    struct weft_enqueue *items = calloc(STRANGERS, sizeof *items);
    int err = jobs && items ? 0 : -ENOMEM;
    for (int i = 0; err == 0 && i < STRANGERS; i++) {
        jobs[i] = store_job(script->store);
        jobs[i].queue = "strangers";
        jobs[i].task = i + 1 < STRANGERS ? "stranger" : "work";
        items[i].job = &jobs[i];
    }
    struct weft_enqueue_batch batch = {.items = items, .count = STRANGERS};
    if (err == 0)
        err = script->broker->ops->enqueue(script->broker, &batch);
    free(jobs);
    free(items);
    return err;
}

static int claim_work(struct script *script, unsigned expected)
{
    static const char *const queue = "strangers", *const task = "work";
    struct weft_job *jobs[MANY] = {NULL};
    struct weft_claim call = {.queues = &queue,
                              .queues_count = 1,
                              .tasks = &task,
                              .tasks_count = 1,
                              .jobs = jobs,
                              .jobs_max = MANY};
    int err = script->broker->ops->claim(script->broker, &call);
    CHECK_EQUAL(call.count, err ? 0 : expected);
    for (unsigned i = 0; i < call.count; i++)
        script->held[script->held_count++] = jobs[i];
    return err;
}

static int claim_among_strangers(struct script *script)
{
    return claim_work(script, 0);
}

static int claim_behind_strangers(struct script *script)
{
    return claim_work(script, 1);
}

/* --- the script --- */

static int (*const steps[])(struct script *) = {
    join,
    set_queues,
    put_plain,
    put_rich,
    put_family,
    put_refused,
    put_limited,
    put_many,
    put_patient,
    put_others,
    list_all,
    list_available,
    list_names,
    list_flow,
    /* What is taken out ... */
    claim_default,
    claim_rich,
    claim_limited,
    claim_family,
    claim_stopped,
    claim_bad,
    claim_lost,
    claim_keeper,
    claim_many,
    extend,
    cancel_stopped,
    /* ... ends, or comes back. */
    settle_default,
    settle_rich,
    settle_limited,
    settle_parent,
    settle_other_parent,
    settle_bad,
    settle_keeper,
    settle_stopped,
    settle_refused,
    settle_many,
    claim_child,
    settle_child,
    find,
    find_failures,
    list_dead,
    list_completed,
    read_stats,
    read_queues,
    /* By hand, and what is kept beside jobs. */
    set_cron,
    read_crons,
    fire_cron,
    retry_bad,
    retry_later,
    cancel_flow,
    beat,
    record,
    audit,
    read_audits,
    read_workers,
    /* Time goes by. */
    wait_for_a_minute,
    claim_short,
    maintain,
    claim_patient,
    wait_for_days,
    maintain,
    prune,
    remove_cron,
    claim_later,
    set_clock,
    leave,
    put_strangers,
    claim_among_strangers,
    claim_among_strangers,
    claim_behind_strangers,
};
enum {
    STEPS = sizeof steps / sizeof *steps
};

static void begin(struct script *script, struct store *store)
{
    *script = (struct script){.store = store, .broker = store->broker};
    if (store->path)
        REQUIRE(sqlite3_open(store->path, &script->db) == SQLITE_OK);
    else
        script->db = weft_sqlite_of(store->broker)->writer.db;
}

static void end(struct script *script)
{
    while (script->held_count > 0)
        weft_job_free(script->held[--script->held_count]);
    if (script->store->path)
        (void)sqlite3_close(script->db);
}

/* --- everything there is, as one number --- */

static void mix(uint64_t *digest, const void *data, size_t len)
{
    *digest = *digest * UINT64_C(0x9e3779b97f4a7c15) + weft_hash(data, len) + len;
}

static void mix_row(uint64_t *digest, sqlite3_stmt *row)
{
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        int type = sqlite3_column_type(row, i);
        mix(digest, &type, sizeof type);
        if (type != SQLITE_NULL) {
            const void *data = sqlite3_column_blob(row, i);
            mix(digest, data ? data : "", (size_t)sqlite3_column_bytes(row, i));
        }
    }
}

static void mix_all(uint64_t *digest, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *row = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &row, NULL);
    if (rc)
        test_note("%s: %s", sql, sqlite3_errmsg(db));
    REQUIRE(rc == SQLITE_OK);
    while ((rc = sqlite3_step(row)) == SQLITE_ROW)
        mix_row(digest, row);
    REQUIRE(rc == SQLITE_DONE);
    (void)sqlite3_finalize(row);
}

static uint64_t digest_of(const struct script *script)
{
    static const char *const tables[] = {"jobs",  "queue",         "outcomes", "errors", "held",
                                         "needs", "uniques",       "totals",   "queues", "tasks",
                                         "crons", "queue_metrics", "audit",    "workers"};
    struct weft_queue_info queues[32];
    uint64_t digest = script->broker->ops->events_last(script->broker);
    size_t count = weft_sqlite_queues_copy(weft_sqlite_of(script->broker), queues, 32);
    REQUIRE(count <= 32);
    for (size_t i = 0; i < count; i++) {
        mix(&digest, queues[i].name, strlen(queues[i].name));
        mix(&digest, queues[i].jobs, sizeof queues[i].jobs);
    }
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "SELECT * FROM %s", tables[i]);
        mix_all(&digest, script->db, sql);
    }
    return digest;
}

/* What the script comes to, whatever the ids and the times are. */
static uint64_t sum_of(const struct script *script)
{
    static const char *const sums[] = {
        "SELECT n.name, coalesce(q.state, o.state), coalesce(q.attempt, o.attempt), count(*)"
        " FROM jobs j JOIN queues n ON n.id = j.queue LEFT JOIN queue q ON q.seq = j.seq"
        " LEFT JOIN outcomes o ON o.seq = j.seq GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "SELECT attempt, error FROM errors ORDER BY 1, 2",
        "SELECT (SELECT count(*) FROM needs), (SELECT count(*) FROM held),"
        " (SELECT count(*) FROM uniques), (SELECT count(*) FROM crons),"
        " (SELECT count(*) FROM audit), (SELECT count(*) FROM workers),"
        " (SELECT count(*) FROM queue_metrics), (SELECT count(*) FROM tasks),"
        " (SELECT sum(length(result)) FROM outcomes)",
        ("SELECT scheduled, available, running, retryable, completed, cancelled, dead, blocked"
         " FROM totals"),
        "PRAGMA integrity_check",
    };
    const struct sqlite_writer *writer = &weft_sqlite_of(script->broker)->writer;
    uint64_t sum = writer->events.last - writer->events.opened; /* each was told, and once */
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        mix_all(&sum, script->db, sums[i]);
    return sum;
}

/* --- one fault in a script --- */

typedef bool fits(int err);

static void fail(const char *what, int step, int err)
{
    test_note("%s, step %d: %s", what, step, weft_strerror(err));
    CHECK(false);
}

/* A step that the fault may hit. Returns whether it has. */
static bool take_step(struct script *script, int step, const char *what, fits *is_fit)
{
    uint64_t before = digest_of(script);
    fault_loose(true);
    int err = steps[step](script);
    fault_loose(false);
    if (!fault_fired()) {
        CHECK_EQUAL(err, 0);
        return false;
    }
    if (!err)
        return true; /* whoever met it could do without */
    if (!is_fit(err))
        fail(what, step, err);
    if (digest_of(script) != before)
        fail("something has happened", step, err);
    err = steps[step](script);
    if (err)
        fail("the next try", step, err);
    return true;
}

/* The whole script, with the fault that was planned, from step `first` on. Returns whether it has
 * happened; *ret_refused: and was told. */
static bool run_script(struct store *store, int first, const char *what, fits *is_fit,
                       uint64_t *ret_sum)
{
    struct script script;
    bool fired = false;
    fault_loose(false);
    begin(&script, store);
    for (int step = 0; step < STEPS; step++) {
        if (step >= first && !fired)
            fired = take_step(&script, step, what, is_fit);
        else
            CHECK_EQUAL(steps[step](&script), 0);
    }
    fault_clear();
    *ret_sum = sum_of(&script);
    end(&script);
    return fired;
}

static const char *new_path(void)
{
    static char path[160];
    static unsigned number;
    (void)snprintf(path, sizeof path, "%s/faults-%u.db", test_directory(), ++number);
    return path;
}

/* In memory when there is no path. */
static bool run_new(bool memory, int first, const char *what, fits *is_fit, uint64_t *ret_sum)
{
    struct store store;
    const char *path = memory ? NULL : new_path();
    store_open(&store, &(struct weft_sqlite_options){.path = path, .memory = memory});
    bool fired = run_script(&store, first, what, is_fit, ret_sum);
    store_close(&store);
    if (path) {
        char beside[200];
        (void)remove(path);
        (void)snprintf(beside, sizeof beside, "%s-lock", path);
        (void)remove(beside);
    }
    return fired;
}

static bool never(int err)
{
    (void)err;
    return false;
}

/* What it comes to when nothing fails. */
static uint64_t expected_sum(void)
{
    static uint64_t sum;
    if (!sum)
        CHECK(!run_new(true, 0, "nothing", never, &sum));
    return sum;
}

static void check_sum(const char *what, uint64_t sum)
{
    if (sum != expected_sum())
        fail(what, STEPS, 0);
}

/* --- statements --- */

struct statement {
    char *sql;
    int first_step; /* that runs it; -1: none does */
};

enum {
    STATEMENTS = SQL_STATEMENTS + READ_STATEMENTS
};

static struct statement statements[STATEMENTS];

static void list_statements(struct store *store)
{
    const struct sqlite_writer *writer = &weft_sqlite_of(store->broker)->writer;
    for (int i = 0; i < STATEMENTS; i++) {
        const char *sql = i < SQL_STATEMENTS ? sqlite3_sql(writer->statements[i])
                                             : weft_sqlite_read_sql[i - SQL_STATEMENTS];
        REQUIRE(sql);
        statements[i] = (struct statement){.sql = strdup(sql), .first_step = -1};
    }
}

/* Which step is the first to run which statement. */
static void find_statements(void)
{
    struct store store;
    struct script script;
    if (statements[0].sql)
        return;
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    list_statements(&store);
    begin(&script, &store);
    fault_note_statements();
    for (int step = 0; step < STEPS; step++) {
        REQUIRE(steps[step](&script) == 0);
        for (int i = 0; i < STATEMENTS; i++)
            if (statements[i].first_step < 0 && fault_was_run(statements[i].sql))
                statements[i].first_step = step;
    }
    end(&script);
    store_close(&store);
}

static bool is_left_out(int statement)
{
    return statement == SQL_ROLLBACK || statement == SQL_LOST_UNTIL_CLOSE ||
           statement == SQL_UNRESOLVED_PUT || statement == SQL_UNRESOLVED_SELECT;
}

FIBER_TEST(the_script_runs_every_statement)
{
    find_statements();
    for (int i = 0; i < STATEMENTS; i++) {
        if (statements[i].first_step < 0 && !is_left_out(i))
            test_note("%s", statements[i].sql);
        CHECK(statements[i].first_step >= 0 || is_left_out(i));
    }
}

static int expected_error;

static bool is_expected(int err)
{
    return err == expected_error;
}

static const struct {
    const char *name;
    int code, err;
    bool undoes; /* the whole transaction, by itself */
} codes[] = {
    {"SQLITE_BUSY", SQLITE_BUSY, -EBUSY, false},
    {"SQLITE_IOERR", SQLITE_IOERR_WRITE, -EIO, true},
    {"SQLITE_IOERR", SQLITE_IOERR_READ, -EIO, false},
    {"SQLITE_FULL", SQLITE_FULL, -ENOSPC, true},
    {"SQLITE_NOMEM", SQLITE_NOMEM, -ENOMEM, true},
    {"SQLITE_NOMEM", SQLITE_IOERR_NOMEM, -ENOMEM, false},
    {"SQLITE_CORRUPT", SQLITE_CORRUPT, WEFT_ECORRUPT, false},
    {"SQLITE_READONLY", SQLITE_READONLY, -EROFS, false},
    {"SQLITE_PERM", SQLITE_PERM, -EACCES, false},
};

static void fail_statement(bool memory, int statement, size_t code)
{
    char what[200];
    uint64_t sum;
    const struct statement *victim = &statements[statement];
    (void)snprintf(what, sizeof what, "%s of %.150s", codes[code].name, victim->sql);
    expected_error = codes[code].err;
    fault_loose(false);
    fault_statement(victim->sql, codes[code].code, codes[code].undoes);
    bool fired = run_new(memory, victim->first_step, what, is_expected, &sum);
    CHECK(fired);
    check_sum(what, sum);
}

/* One of so many errors for each statement. In a file one for each: they take longer, and what
 * differs is below the statements. */
static void fail_statements(bool memory, size_t share)
{
    find_statements();
    (void)expected_sum();
    for (int i = 0; i < STATEMENTS; i++)
        for (size_t code = 0; code < sizeof codes / sizeof codes[0]; code++) {
            bool chosen = ((size_t)i + code) % share == 0;
            if (statements[i].first_step >= 0 && chosen)
                fail_statement(memory, i, code);
        }
}

FIBER_TEST(every_error_of_every_statement_is_told_and_changes_nothing_in_memory)
{
    fail_statements(true, stride_of(1));
}

FIBER_TEST(an_error_of_every_statement_is_told_and_changes_nothing_in_a_file)
{
    fail_statements(false, everything() ? 1 : 9);
}

FIBER_TEST(a_transaction_that_cannot_be_taken_back_is_taken_back_by_the_next_call)
{
    struct store store;
    struct script script;
    find_statements();
    store_open(&store, &(struct weft_sqlite_options){.memory = true});
    begin(&script, &store);
    for (int step = 0; steps[step] != put_plain; step++)
        REQUIRE(steps[step](&script) == 0);
    uint64_t before = digest_of(&script);
    sqlite3_stmt *commit = weft_sqlite_of(store.broker)->writer.statements[SQL_COMMIT];
    fault_statement(sqlite3_sql(commit), SQLITE_BUSY, false);
    fault_statement_then(statements[SQL_ROLLBACK].sql, SQLITE_NOMEM);
    CHECK_EQUAL(put_plain(&script), -EBUSY);
    CHECK(!sqlite3_get_autocommit(script.db));
    CHECK_EQUAL(put_plain(&script), -EIO); /* there is one already; now it is gone */
    CHECK(sqlite3_get_autocommit(script.db));
    CHECK(digest_of(&script) == before);
    CHECK_EQUAL(put_plain(&script), 0);
    CHECK(digest_of(&script) != before);
    fault_clear();
    end(&script);
    store_close(&store);
}

/* --- allocations --- */

static bool is_memory(int err)
{
    return err == -ENOMEM;
}

static void fail_allocations(bool memory, unsigned stride)
{
    bool fired = true;
    unsigned long at = 1, count = 0;
    (void)expected_sum();
    for (; fired; at += at < 50 ? 1 : stride_of(stride), count++) {
        char what[64];
        uint64_t sum;
        (void)snprintf(what, sizeof what, "allocation %lu", at);
        fault_loose(false);
        fault_allocation(at);
        fired = run_new(memory, 0, what, is_memory, &sum);
        check_sum(what, sum);
    }
    CHECK(count > 50);
    test_note("of %lu allocations %lu failed", at, count);
}

FIBER_TEST(allocations_may_fail_in_memory)
{
    fail_allocations(true, 53);
}

FIBER_TEST(allocations_may_fail_in_a_file)
{
    fail_allocations(false, 97);
}

/* --- files --- */

static bool is_storage(int err)
{
    return err == -EIO || err == -ENOSPC || err == -EBUSY || err == -ENOMEM;
}

static bool is_cannot_open(int err)
{
    return err == -ENOENT || err == -EIO;
}

static void fail_files(enum fault_file kind, int code, fits *is_fit, unsigned stride)
{
    bool fired = true;
    unsigned long at = 1, count = 0;
    (void)expected_sum();
    for (; fired; at += at < 20 ? 1 : stride_of(stride), count++) {
        char what[64];
        uint64_t sum;
        (void)snprintf(what, sizeof what, "operation %lu of kind %d", at, (int)kind);
        fault_loose(false);
        fault_file(kind, at, 0, code);
        fired = run_new(false, 0, what, is_fit, &sum);
        check_sum(what, sum);
    }
    test_note("%lu operations failed", count - 1);
    CHECK(count > 1);
}

static bool is_io(int err)
{
    return err == -EIO;
}

static bool is_space(int err)
{
    return err == -ENOSPC;
}

FIBER_TEST(every_write_may_fail)
{
    fail_files(FAULT_WRITE, SQLITE_IOERR_WRITE, is_io, 7);
}

FIBER_TEST(every_write_may_find_the_disk_full)
{
    fail_files(FAULT_WRITE, SQLITE_FULL, is_space, 11);
}

FIBER_TEST(every_sync_may_fail)
{
    fail_files(FAULT_SYNC, SQLITE_IOERR_FSYNC, is_io, 1);
}

FIBER_TEST(every_read_may_fail)
{
    fail_files(FAULT_READ, SQLITE_IOERR_READ, is_io, 5);
}

FIBER_TEST(every_lock_may_fail)
{
    fail_files(FAULT_LOCK, SQLITE_IOERR_LOCK, is_storage, 1);
}

FIBER_TEST(every_opening_of_a_file_may_fail)
{
    fail_files(FAULT_OPEN, SQLITE_CANTOPEN, is_cannot_open, 1);
}

FIBER_TEST(every_use_of_shared_memory_may_fail)
{
    fail_files(FAULT_SHARED_MEMORY, SQLITE_IOERR_SHMMAP, is_storage, 7);
}

/* --- opening --- */

/* A database that another server left: with jobs to be given back, and one that ends by that. */
static void leave_jobs(const char *path, struct weft_uuid ids[2])
{
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.path = path});
    ids[0] = store_add(&store, "default", "work");
    ids[1] = store_add(&store, "stays", "work");
    weft_job_free(store_claim(&store, "default"));
    struct weft_cancel cancel = {.id = ids[0]};
    CHECK_EQUAL(store.broker->ops->cancel(store.broker, &cancel), 0);
    store_close(&store);
}

/* Open it with the fault that was planned. Returns whether that has happened. */
static bool open_with_fault(const char *path, const char *what, fits *is_fit)
{
    char error[256] = "";
    struct weft_broker *broker = NULL;
    const struct weft_sqlite_options options = {.path = path};
    fault_loose(true);
    int err = weft_sqlite_open(&broker, &options, error, sizeof error);
    fault_loose(false);
    bool fired = fault_fired();
    CHECK((err == 0) == (broker != NULL));
    if (err && (!fired || !is_fit(err) || error[0] == '\0')) {
        test_note("%s: %s", what, error);
        fail(what, -1, err);
    }
    if (broker)
        broker->ops->close(broker);
    fault_clear();
    return fired;
}

static void check_left_jobs(const char *path, const struct weft_uuid ids[2])
{
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.path = path});
    CHECK_EQUAL(store_state(&store, &ids[0]), WEFT_JOB_CANCELLED);
    CHECK_EQUAL(store_state(&store, &ids[1]), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(store_number(&store, "SELECT count(*) FROM jobs"), 2);
    store_close(&store);
}

static bool is_any(int err)
{
    return err < 0;
}

static void fail_opening(enum fault_file kind, int code, unsigned stride)
{
    bool fired = true;
    unsigned long at = 1;
    for (; fired; at += at < 15 ? 1 : stride_of(stride)) {
        char what[64], path[160];
        struct weft_uuid ids[2];
        (void)snprintf(what, sizeof what, "operation %lu of kind %d", at, (int)kind);
        (void)snprintf(path, sizeof path, "%s", new_path());
        fault_loose(false);
        fault_file(kind, at, 0, code);
        fired = open_with_fault(path, what, is_any); /* a new one */
        leave_jobs(path, ids);
        fault_loose(false);
        fault_file(kind, at, 0, code);
        fired = open_with_fault(path, what, is_any) || fired;
        check_left_jobs(path, ids);
    }
    CHECK(at > 1);
}

FIBER_TEST(a_database_opens_after_every_failed_operation_on_its_files)
{
    fail_opening(FAULT_WRITE, SQLITE_IOERR_WRITE, 5);
    fail_opening(FAULT_WRITE, SQLITE_FULL, 9);
    fail_opening(FAULT_SYNC, SQLITE_IOERR_FSYNC, 1);
    fail_opening(FAULT_READ, SQLITE_IOERR_READ, 3);
    fail_opening(FAULT_LOCK, SQLITE_BUSY, 3);
    fail_opening(FAULT_OPEN, SQLITE_CANTOPEN, 1);
    fail_opening(FAULT_SHARED_MEMORY, SQLITE_IOERR_SHMMAP, 3);
}

FIBER_TEST(a_file_system_without_shared_memory_is_refused)
{
    struct weft_broker *broker = NULL;
    char error[200];
    const char *path = new_path();
    fault_share_memory(false);
    CHECK_EQUAL(
        weft_sqlite_open(&broker, &(struct weft_sqlite_options){.path = path}, error, sizeof error),
        -ENOTSUP);
    CHECK(strstr(error, "file system"));
    fault_share_memory(true);
    CHECK_EQUAL(
        weft_sqlite_open(&broker, &(struct weft_sqlite_options){.path = path}, error, sizeof error),
        0);
    broker->ops->close(broker);
}

FIBER_TEST(a_database_opens_after_every_failed_allocation)
{
    char path[160];
    struct weft_uuid ids[2];
    bool fired = true;
    unsigned long at = 1;
    (void)snprintf(path, sizeof path, "%s", new_path());
    for (; fired; at += at < 50 ? 1 : stride_of(101)) {
        char what[64];
        (void)snprintf(what, sizeof what, "allocation %lu", at);
        fault_loose(false);
        fault_allocation(at);
        fired = open_with_fault(path, what, is_memory);
    }
    test_note("%lu allocations", at);
    leave_jobs(path, ids);
    for (fired = true, at = 1; fired; at += stride_of(89)) {
        char what[64];
        (void)snprintf(what, sizeof what, "allocation %lu", at);
        fault_loose(false);
        fault_allocation(at);
        fired = open_with_fault(path, what, is_memory);
    }
    check_left_jobs(path, ids);
}

/* --- from an older version --- */

static void make_version_1(const char *path)
{
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, version_1, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
}

/* All of its jobs, as they are once it was opened; times are when that was. */
static uint64_t jobs_of(const char *path)
{
    struct store store;
    sqlite3 *db = NULL;
    uint64_t sum = 0;
    store_open(&store, &(struct weft_sqlite_options){.path = path});
    CHECK_EQUAL(store_number(&store, "PRAGMA user_version"), 3);
    store_close(&store);
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    mix_all(&sum, db, "SELECT seq, id, queue, task, priority, payload FROM jobs ORDER BY seq");
    mix_all(&sum, db, "SELECT seq, state, attempt FROM queue ORDER BY seq");
    mix_all(&sum, db, "SELECT seq, state, attempt, result, error FROM outcomes ORDER BY seq");
    mix_all(&sum, db, "SELECT seq, attempt, error FROM errors ORDER BY seq");
    mix_all(&sum, db, "PRAGMA integrity_check");
    (void)sqlite3_close(db);
    return sum;
}

static void fail_migration(enum fault_file kind, int code)
{
    bool fired = true;
    char path[160];
    (void)snprintf(path, sizeof path, "%s", new_path());
    make_version_1(path);
    uint64_t expected = jobs_of(path);
    for (unsigned long at = 1; fired; at += at < 15 ? 1 : stride_of(7)) {
        char what[64];
        (void)snprintf(what, sizeof what, "operation %lu of kind %d", at, (int)kind);
        (void)snprintf(path, sizeof path, "%s", new_path());
        make_version_1(path);
        fault_loose(false);
        fault_file(kind, at, 0, code);
        fired = open_with_fault(path, what, is_any);
        if (jobs_of(path) != expected)
            fail(what, -1, 0);
    }
}

FIBER_TEST(a_database_of_version_1_keeps_all_its_jobs_whatever_fails_on_the_way)
{
    fail_migration(FAULT_WRITE, SQLITE_IOERR_WRITE);
    fail_migration(FAULT_WRITE, SQLITE_FULL);
    fail_migration(FAULT_SYNC, SQLITE_IOERR_FSYNC);
    fail_migration(FAULT_READ, SQLITE_IOERR_READ);
}

/* --- a disk that stays full --- */

STORE_FILE_TEST(while_the_disk_is_full_what_was_accepted_stays_and_the_rest_is_told)
{
    struct weft_uuid accepted[20];
    size_t count = 0;
    unsigned refused = 0;
    for (int i = 0; i < 10; i++)
        accepted[count++] = store_add(store, "default", "work");
    fault_file(FAULT_WRITE, 5, 1000000, SQLITE_FULL);
    for (int i = 0; i < 10; i++) {
        struct weft_job job = store_job(store);
        int err = store_try(store, &job);
        CHECK(err == 0 || err == -ENOSPC);
        refused += err != 0;
        if (!err)
            accepted[count++] = job.id;
    }
    CHECK(refused > 5);
    const char *queue = "default";
    struct weft_job *claimed = NULL;
    struct weft_claim claim = {
        .queues = &queue, .queues_count = 1, .jobs_max = 1, .jobs = &claimed};
    CHECK_EQUAL(store->broker->ops->claim(store->broker, &claim), -ENOSPC);
    CHECK_EQUAL(claim.count, 0);
    for (size_t i = 0; i < count; i++) /* reading goes on */
        CHECK_EQUAL(store_state(store, &accepted[i]), WEFT_JOB_AVAILABLE);
    fault_clear();
    (void)store_end(store, "after", WEFT_JOB_COMPLETE);
    store_reopen(store);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM jobs"), (long long)count + 1);
    for (size_t i = 0; i < count; i++)
        (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    CHECK(!store_claim(store, "default"));
}

/* --- many at once --- */

struct crowd {
    struct store *store;
    struct weft_uuid accepted[64];
    size_t accepted_count, refused;
};

static int join_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_job job = store_job(crowd->store);
    int err = store_try(crowd->store, &job);
    CHECK(err == 0 || err == -EIO || err == -ENOSPC || err == -ENOMEM || err == WEFT_ECORRUPT ||
          err == -EBUSY || err == -EROFS || err == -EACCES);
    crowd->refused += err != 0;
    if (!err)
        crowd->accepted[crowd->accepted_count++] = job.id;
    return 0;
}

/* Those that share a transaction share its end, and each is told the truth. */
STORE_FILE_TEST(of_a_crowd_those_are_there_that_were_accepted)
{
    find_statements();
    struct crowd crowd = {.store = store};
    size_t all = 0, refused = 0;
    for (size_t i = 0; i < 2 * sizeof codes / sizeof codes[0]; i++) {
        static const int victims[] = {SQL_COMMIT, SQL_JOBS_INSERT_PLAIN};
        struct weft_group group;
        crowd.accepted_count = crowd.refused = 0;
        fault_statement(statements[victims[i % 2]].sql, codes[i / 2].code, codes[i / 2].undoes);
        REQUIRE(weft_group_init(&group, NULL) == 0);
        for (int k = 0; k < 40; k++)
            REQUIRE(weft_spawn(&group, join_crowd, &crowd) == 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK(fault_fired());
        CHECK_EQUAL(crowd.accepted_count + crowd.refused, 40);
        for (size_t k = 0; k < crowd.accepted_count; k++)
            CHECK_EQUAL(store_state(store, &crowd.accepted[k]), WEFT_JOB_AVAILABLE);
        all += crowd.accepted_count;
        refused += crowd.refused;
        CHECK_EQUAL(store_number(store, "SELECT count(*) FROM jobs"), (long long)all);
    }
    CHECK(refused > 0);
    test_note("%zu accepted, %zu refused", all, refused);
}

/* --- power --- */

/* What was answered is on the disk by then: not only handed to the system. */
FIBER_TEST(what_was_answered_survives_a_power_cut)
{
    char path[160], copy[160];
    struct store store;
    struct script script;
    (void)snprintf(path, sizeof path, "%s", new_path());
    fault_keep_synced(true);
    store_open(&store, &(struct weft_sqlite_options){.path = path, .wal_pages_max = 16});
    begin(&script, &store);
    for (int step = 0; step < STEPS; step++) {
        REQUIRE(steps[step](&script) == 0);
        uint64_t sum = sum_of(&script);
        (void)snprintf(copy, sizeof copy, "%s", new_path());
        fault_cut_power(path, copy);
        struct script after = {.broker = store.broker};
        REQUIRE(sqlite3_open(copy, &after.db) == SQLITE_OK);
        if (sum_of(&after) != sum)
            fail("a power cut", step, 0);
        (void)sqlite3_close(after.db);
    }
    end(&script);
    store_close(&store);
    fault_keep_synced(false);
}

/* --- what is done in portions --- */

enum {
    CROWD = 4500, /* children: more than a few portions of them */
    PORTION = 1000,
};

/* A job that runs, and very many that wait for it. */
static struct weft_job *gather_crowd(struct store *store)
{
    weft_sqlite_of(store->broker)->writer.resolved_max = PORTION;
    const struct weft_after after = {.id = store_add(store, "default", "work")};
    struct weft_job *jobs = calloc(CROWD, sizeof *jobs);
    struct weft_enqueue *items = calloc(CROWD, sizeof *items);
    REQUIRE(jobs && items);
    for (int i = 0; i < CROWD; i++) {
        jobs[i] = store_job(store);
        jobs[i].queue = "crowd";
        items[i] = (struct weft_enqueue){.job = &jobs[i], .after = &after, .after_count = 1};
    }
    struct weft_enqueue_batch batch = {.items = items, .count = CROWD};
    REQUIRE(store->broker->ops->enqueue(store->broker, &batch) == 0 && items[0].err == 0);
    free(jobs);
    free(items);
    struct weft_job *parent = store_claim(store, "default");
    REQUIRE(parent);
    return parent;
}

static uint64_t blocked(struct store *store)
{
    struct weft_queue_info info;
    REQUIRE(store->broker->ops->queue_find(store->broker, "crowd", &info) == 0);
    return info.jobs[WEFT_JOB_BLOCKED];
}

/* Each call gives the writer an occasion to go on. */
static void check_crowd_is_let_go(struct store *store)
{
    struct weft_maintenance done;
    for (int i = 0; i < 20 && blocked(store) > 0; i++)
        CHECK_EQUAL(store->broker->ops->maintain(store->broker, &done), 0);
    CHECK_EQUAL(blocked(store), 0);
}

STORE_TEST(a_portion_that_cannot_be_left_for_later_refuses_the_call)
{
    find_statements();
    struct weft_job *parent = gather_crowd(store);
    struct weft_settlement item = {.job = parent, .event = WEFT_JOB_COMPLETE};
    fault_loose(true);
    fault_statement(statements[SQL_UNRESOLVED_PUT].sql, SQLITE_FULL, true);
    CHECK_EQUAL(store->broker->ops->settle(store->broker, &item, 1), -ENOSPC);
    CHECK(fault_fired());
    CHECK_EQUAL(blocked(store), CROWD);
    CHECK_EQUAL(store_state(store, &parent->id), WEFT_JOB_RUNNING);
    fault_clear();
    store_settle(store, parent, WEFT_JOB_COMPLETE);
    check_crowd_is_let_go(store);
}

/* End it so that only the first portion is done, until the writer has an occasion to go on. */
static void end_crowd(struct store *store, struct weft_job *parent, enum weft_job_event event)
{
    find_statements();
    fault_loose(true);
    fault_statement(statements[SQL_UNRESOLVED_SELECT].sql, SQLITE_BUSY, false);
    store_settle(store, parent, event);
}

STORE_TEST(a_portion_that_fails_is_tried_again)
{
    end_crowd(store, gather_crowd(store), WEFT_JOB_COMPLETE);
    check_crowd_is_let_go(store);
    CHECK(fault_fired());
    fault_clear();
}

STORE_FILE_TEST(what_a_server_has_left_for_later_the_next_one_does)
{
    end_crowd(store, gather_crowd(store), WEFT_JOB_DIE);
    store_close(store);
    CHECK(fault_fired());
    fault_clear();
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM unresolved"), 1);
    store_open(store, &(struct weft_sqlite_options){.path = store->path});
    check_crowd_is_let_go(store);
    CHECK_EQUAL(store_number(store, "SELECT count(*) FROM outcomes WHERE state = 6"), CROWD);
}

STORE_FILE_TEST(a_job_that_begins_again_is_waited_for_again_by_those_who_do_not_know_of_its_end)
{
    struct weft_job *parent = gather_crowd(store);
    struct weft_uuid id = parent->id;
    enum weft_job_state state;
    end_crowd(store, parent, WEFT_JOB_DIE);
    CHECK_EQUAL(store->broker->ops->retry(store->broker, &id, &state), 0);
    fault_clear();
    uint64_t left = blocked(store);
    CHECK(left > 0 && left < CROWD);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    check_crowd_is_let_go(store);
    struct weft_queue_info info;
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "crowd", &info), 0);
    CHECK_EQUAL(info.jobs[WEFT_JOB_AVAILABLE], left);
    CHECK_EQUAL(info.jobs[WEFT_JOB_CANCELLED], CROWD - left);
}
