/* SPDX-License-Identifier: MIT
 * sqlite_list.c - pages of jobs: what is on them, their order, their ends, and what they cost. */
#include "store.h"

#include <weft/scope.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 1000

static struct weft_job *jobs[PAGE_MAX];

/* One page; jobs[] is what was on it, to be freed with drop. */
static struct weft_job_page list(struct store *store, const struct weft_job_filter *filter)
{
    struct weft_job_page page = {.jobs = jobs};
    int err = store->broker->ops->list(store->broker, filter, &page);
    if (err)
        test_note("list: %s", weft_strerror(err));
    REQUIRE(!err && page.count <= filter->jobs_max);
    return page;
}

static void drop(struct weft_job_page *page)
{
    while (page->count > 0)
        weft_job_free(page->jobs[--page->count]);
}

/* How many jobs all pages have. */
static size_t count_all(struct store *store, struct weft_job_filter filter)
{
    size_t count = 0;
    struct weft_job_page page;
    filter.jobs_max = 2;
    do {
        page = list(store, &filter);
        count += page.count;
        drop(&page);
        filter.before = page.next;
    } while (page.more);
    return count;
}

/* --- what is on a page --- */

STORE_TEST(an_empty_store_has_one_empty_page)
{
    struct weft_job_page page = list(store, &(struct weft_job_filter){.jobs_max = 10});
    CHECK_EQUAL(page.count, 0);
    CHECK(!page.more);
}

STORE_TEST(a_page_has_the_newest_first)
{
    struct weft_uuid ids[5];
    for (int i = 0; i < 5; i++)
        ids[i] = store_add(store, "default", "work");
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    (void)store_work(store, "default", WEFT_JOB_DIE);
    struct weft_job_page page = list(store, &(struct weft_job_filter){.jobs_max = 10});
    CHECK_EQUAL(page.count, 5);
    CHECK(!page.more);
    for (size_t i = 0; i < page.count; i++)
        CHECK(store_same(&jobs[i]->id, &ids[4 - i]));
    CHECK_EQUAL(jobs[4]->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(jobs[3]->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(jobs[2]->state, WEFT_JOB_AVAILABLE);
    drop(&page);
}

STORE_TEST(listed_jobs_tell_all_but_payload_and_result)
{
    struct weft_job asked = store_job(store);
    asked.headers = "{\"a\":\"b\"}";
    asked.limit_key = "customer-1";
    (void)store_put(store, &asked);
    struct weft_uuid id = store_work(store, "default", WEFT_JOB_RETRY);
    struct weft_job_page page = list(store, &(struct weft_job_filter){.jobs_max = 10});
    REQUIRE(page.count == 1);
    CHECK(store_same(&jobs[0]->id, &id));
    CHECK(strcmp(jobs[0]->task, "work") == 0 && strcmp(jobs[0]->queue, "default") == 0);
    CHECK(strcmp(jobs[0]->headers, "{\"a\":\"b\"}") == 0);
    CHECK(strcmp(jobs[0]->limit_key, "customer-1") == 0);
    CHECK(jobs[0]->error && strcmp(jobs[0]->error, "it did not work") == 0);
    CHECK_EQUAL(jobs[0]->attempt, 1);
    CHECK_EQUAL(jobs[0]->created_us, asked.created_us);
    CHECK(!jobs[0]->payload.data);
    drop(&page);
    id = store_end(store, "other", WEFT_JOB_COMPLETE);
    page = list(store, &(struct weft_job_filter){.queue = "other", .jobs_max = 10});
    REQUIRE(page.count == 1 && store_same(&jobs[0]->id, &id));
    CHECK(!jobs[0]->payload.data && !jobs[0]->result.data);
    CHECK_EQUAL(jobs[0]->thread, 7);
    CHECK(jobs[0]->finished_us >= jobs[0]->started_us && jobs[0]->started_us > 0);
    drop(&page);
}

/* --- filters --- */

/* One job in each state; returns the flow that all of them are in. */
static struct weft_uuid put_one_in_each_state(struct store *store)
{
    struct weft_uuid flow = store_job(store).id;
    static const enum weft_job_event ends[] = {WEFT_JOB_COMPLETE, WEFT_JOB_DIE, WEFT_JOB_CANCEL,
                                               WEFT_JOB_RETRY};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct weft_job job = store_job(store);
        job.flow = flow;
        (void)store_put(store, &job);
        struct weft_job *claimed = store_claim(store, "default");
        REQUIRE(claimed);
        struct weft_settlement item = {.job = claimed, .event = ends[i], .delay_us = 3600000000};
        REQUIRE(store->broker->ops->settle(store->broker, &item, 1) == 0 && !item.err);
        weft_job_free(claimed);
    }
    struct weft_job running = store_job(store), later = store_job(store), now = store_job(store);
    running.flow = later.flow = now.flow = flow;
    struct weft_uuid parent = store_put(store, &running);
    weft_job_free(store_claim(store, "default"));
    later.run_at_us += 3600000000;
    (void)store_put(store, &later);
    (void)store_put(store, &now);
    struct weft_job child = store_job(store);
    child.flow = flow;
    struct weft_after after = {.id = parent};
    struct weft_enqueue item = {.job = &child, .after = &after, .after_count = 1};
    struct weft_enqueue_batch batch = {.items = &item, .count = 1};
    REQUIRE(store->broker->ops->enqueue(store->broker, &batch) == 0 && !item.err);
    CHECK_EQUAL(item.state, WEFT_JOB_BLOCKED);
    return flow;
}

STORE_TEST(a_filter_on_state_finds_those_in_it)
{
    struct weft_uuid flow = put_one_in_each_state(store);
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++) {
        struct weft_job_filter filter = {.state = (enum weft_job_state)state, .jobs_max = 10};
        struct weft_job_page page = list(store, &filter);
        CHECK_EQUAL(page.count, 1);
        CHECK(page.count == 0 || jobs[0]->state == filter.state);
        drop(&page);
        filter.flow = flow;
        CHECK_EQUAL(count_all(store, filter), 1);
        filter.flow.bytes[15] ^= 1;
        CHECK_EQUAL(count_all(store, filter), 0);
        filter = (struct weft_job_filter){.state = filter.state, .queue = "other"};
        CHECK_EQUAL(count_all(store, filter), 0);
    }
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){0}), WEFT_JOB_STATES - 1);
}

STORE_TEST(a_filter_on_flow_finds_its_jobs_in_all_states)
{
    struct weft_uuid flow = put_one_in_each_state(store);
    (void)store_add(store, "default", "work");
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.flow = flow}), WEFT_JOB_STATES - 1);
}

STORE_TEST(filters_on_queue_and_task_hold_together)
{
    (void)store_add(store, "a", "send");
    (void)store_add(store, "a", "receive");
    (void)store_add(store, "b", "send");
    (void)store_work(store, "b", WEFT_JOB_COMPLETE);
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.queue = "a"}), 2);
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.task = "send"}), 2);
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.queue = "a", .task = "send"}), 1);
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.queue = "b", .task = "receive"}), 0);
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.state = WEFT_JOB_COMPLETED,
                                                          .queue = "b",
                                                          .task = "send"}),
                1);
    CHECK_EQUAL(
        count_all(store, (struct weft_job_filter){.state = WEFT_JOB_AVAILABLE, .task = "send"}), 1);
}

STORE_TEST(a_name_that_nothing_has_is_no_error)
{
    (void)store_add(store, "a", "send");
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.queue = "send"}), 0);
    CHECK_EQUAL(count_all(store, (struct weft_job_filter){.task = "a"}), 0);
}

/* --- limits --- */

STORE_TEST(a_page_of_none_or_of_too_many_is_refused)
{
    struct weft_job_page page = {.jobs = jobs, .count = 9};
    struct weft_job_filter none = {0}, many = {.jobs_max = PAGE_MAX + 1},
                           odd = {.state = WEFT_JOB_STATES, .jobs_max = 1};
    CHECK_EQUAL(store->broker->ops->list(store->broker, &none, &page), -EINVAL);
    CHECK_EQUAL(store->broker->ops->list(store->broker, &many, &page), -EINVAL);
    CHECK_EQUAL(store->broker->ops->list(store->broker, &odd, &page), -EINVAL);
}

STORE_TEST(a_full_page_says_whether_there_is_more)
{
    for (int i = 0; i < 4; i++)
        (void)store_add(store, "default", "work");
    struct weft_job_page page = list(store, &(struct weft_job_filter){.jobs_max = 4});
    CHECK_EQUAL(page.count, 4);
    CHECK(!page.more);
    drop(&page);
    page = list(store, &(struct weft_job_filter){.jobs_max = 3});
    CHECK_EQUAL(page.count, 3);
    CHECK(page.more);
    CHECK_EQUAL(memcmp(page.next.bytes, jobs[2]->id.bytes, 8), 0);
    drop(&page);
    page = list(store, &(struct weft_job_filter){.jobs_max = 3, .before = page.next});
    CHECK_EQUAL(page.count, 1);
    CHECK(!page.more);
    drop(&page);
}

enum {
    MANY = 60
};

STORE_TEST(pages_to_the_end_have_each_job_once_while_others_arrive)
{
    struct weft_uuid ids[MANY];
    unsigned seen[MANY] = {0};
    for (int i = 0; i < MANY; i++)
        ids[i] = store_add(store, "default", "work");
    struct weft_job_filter filter = {.jobs_max = 7};
    struct weft_job_page page;
    do {
        page = list(store, &filter);
        for (size_t k = 0; k < page.count; k++)
            for (int i = 0; i < MANY; i++)
                seen[i] += store_same(&ids[i], &jobs[k]->id);
        drop(&page);
        filter.before = page.next;
        (void)store_add(store, "default", "work"); /* meanwhile the world goes on */
        (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    } while (page.more);
    for (int i = 0; i < MANY; i++)
        CHECK_EQUAL(seen[i], 1);
}

STORE_TEST(a_page_can_begin_where_a_job_no_longer_is)
{
    struct weft_uuid old = store_add(store, "default", "work"), gone = store_job(store).id;
    (void)store_add(store, "default", "work");
    struct weft_job_page page =
        list(store, &(struct weft_job_filter){.jobs_max = 5, .before = gone});
    CHECK_EQUAL(page.count, 1);
    CHECK(page.count == 0 || store_same(&jobs[0]->id, &old));
    drop(&page);
}

STORE_TEST(a_cancelled_fiber_gets_no_page)
{
    (void)store_add(store, "default", "work");
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    struct weft_job_page page = {.jobs = jobs};
    struct weft_job_filter filter = {.jobs_max = 5};
    CHECK_EQUAL(store->broker->ops->list(store->broker, &filter, &page), -ECANCELED);
    CHECK_EQUAL(page.count, 0);
    (void)weft_scope_leave(&scope, 0);
}

/* --- what a page costs --- */

static atomic_ullong steps, sorts;

static int count_steps(unsigned kind, void *context, void *statement, void *took)
{
    (void)kind, (void)context, (void)took;
    atomic_fetch_add(&steps,
                     (unsigned)sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1));
    atomic_fetch_add(&sorts, (unsigned)sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_SORT, 1));
    return 0;
}

/* Every connection opened from now on counts the steps of its statements. */
static int watch_connection(sqlite3 *db, char **error, const void *routines)
{
    (void)error, (void)routines;
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, count_steps, NULL);
}

/* 60,000 finished jobs, the oldest ten of them in the queue "rare", two of those dead; and 60,000
 * that wait. */
static void fill(struct store *store)
{
    (void)store_add(store, "busy", "work");
    (void)store_add(store, "rare", "work");
    (void)store_work(store, "busy", WEFT_JOB_COMPLETE);
    (void)store_work(store, "rare", WEFT_JOB_COMPLETE);
    store_sql(store,
              "BEGIN;"
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)"
              " INSERT INTO jobs (seq, id, task, queue, priority, attempts_max, created_us)"
              " SELECT i, zeroblob(16), 1, (SELECT id FROM queues WHERE name ="
              "  CASE WHEN i <= 10 THEN 'rare' ELSE 'busy' END), 5, 3, 1 FROM n;"
              "INSERT INTO outcomes (seq, state, attempt, crashes, finished_us)"
              " SELECT seq, CASE WHEN seq <= 2 THEN 7 ELSE 5 END, 1, 0, 1 FROM jobs"
              " WHERE seq <= 60000;"
              "INSERT INTO queue (seq, state, queue, task, priority, run_at_us, attempt,"
              "  attempts_max) SELECT seq, 2, queue, task, 5, 1, 0, 3 FROM jobs"
              " WHERE seq BETWEEN 60001 AND 120000;"
              "COMMIT");
}

/* All pages of a filter: how many jobs, and the most steps that one page took. */
static size_t measure(struct store *store, struct weft_job_filter filter,
                      unsigned long long *ret_steps, unsigned *ret_pages)
{
    size_t count = 0;
    struct weft_job_page page;
    filter.jobs_max = 50;
    *ret_steps = *ret_pages = 0;
    do {
        atomic_store(&steps, 0);
        page = list(store, &filter);
        if (atomic_load(&steps) > *ret_steps)
            *ret_steps = atomic_load(&steps);
        ++*ret_pages;
        count += page.count;
        drop(&page);
        filter.before = page.next;
    } while (page.more && *ret_pages < 10000);
    return count;
}

STORE_FILE_TEST(no_page_costs_more_than_a_bounded_number_of_steps)
{
    enum {
        STEPS_MAX = 500000
    }; /* tens of milliseconds */
    static const struct {
        struct weft_job_filter filter;
        size_t count;
        unsigned pages_min; /* below that a page had looked at all rows */
    } cases[] = {
        {{.queue = "rare"}, 11, 2},
        {{.queue = "rare", .state = WEFT_JOB_COMPLETED}, 9, 3},
        {{.queue = "rare", .state = WEFT_JOB_AVAILABLE}, 0, 2},
        {{.state = WEFT_JOB_RUNNING}, 0, 2},
        {{.queue = "rare", .state = WEFT_JOB_DEAD}, 2, 1},
        {{.state = WEFT_JOB_CANCELLED}, 0, 1},
    };
    (void)sqlite3_auto_extension((void (*)(void))watch_connection);
    fill(store);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned long long most;
        unsigned pages;
        CHECK_EQUAL(measure(store, cases[i].filter, &most, &pages), cases[i].count);
        CHECK(pages >= cases[i].pages_min);
        CHECK(most > 0 && most < STEPS_MAX);
        if (pages < cases[i].pages_min || most >= STEPS_MAX)
            test_note("case %zu: %u pages, %llu steps", i, pages, most);
    }
    CHECK_EQUAL(atomic_load(&sorts), 0); /* nothing is gathered before it is given out */
    sqlite3_reset_auto_extension();
}

/* 6,000 finished jobs, so large that every row has a page of the file of its own; their ids tell
 * their numbers. */
static void fill_large(struct store *store)
{
    (void)store_end(store, "busy", WEFT_JOB_COMPLETE);
    store_sql(
        store,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)"
        " INSERT INTO jobs (seq, id, task, queue, priority, attempts_max, created_us, payload)"
        " SELECT i, CAST(printf('%016d', i) AS BLOB), 1, (SELECT id FROM queues), 5, 3, 1,"
        "  zeroblob(3000) FROM n;"
        "INSERT INTO outcomes (seq, state, attempt, crashes, finished_us)"
        " SELECT seq, 5, 1, 0, 1 FROM jobs WHERE seq <= 6000");
}

/* The number in the id of a job of fill_large. */
static int number_of(const struct weft_job *job)
{
    char text[sizeof job->id.bytes + 1] = "";
    memcpy(text, job->id.bytes, sizeof job->id.bytes);
    return (int)strtol(text, NULL, 10);
}

STORE_FILE_TEST(pages_that_end_early_leave_no_job_out_and_have_none_twice)
{
    enum {
        EVERY = 97,
        LAST = 6000 / EVERY * EVERY
    };
    static const struct weft_job_filter filters[] = {
        {.queue = "rare"},
        {.queue = "rare", .state = WEFT_JOB_COMPLETED},
        {.queue = "rare", .task = "work"},
    };
    fill_large(store);
    (void)store_add(store, "rare", "work"); /* makes the queue; is the newest of all */
    store_sql(store, "UPDATE jobs SET queue = (SELECT id FROM queues WHERE name = 'rare')"
                     " WHERE seq <= 6000 AND seq % 97 = 0");
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct weft_job_filter filter = filters[i];
        unsigned pages = 0;
        int expected = filter.state ? LAST : LAST + EVERY; /* the newest is not completed */
        struct weft_job_page page;
        filter.jobs_max = 20;
        do {
            page = list(store, &filter);
            for (size_t k = 0; k < page.count; k++, expected -= EVERY)
                if (expected <= LAST)
                    CHECK_EQUAL(number_of(jobs[k]), expected);
            drop(&page);
            filter.before = page.next;
            pages++;
        } while (page.more && pages < 1000);
        CHECK_EQUAL(expected, 0);
        CHECK(pages >= 10 && pages < 100); /* full ones alone would be four */
    }
}

STORE_FILE_TEST(large_payloads_end_a_page_before_it_takes_long)
{
    fill_large(store);
    unsigned long long most;
    unsigned pages;
    CHECK_EQUAL(measure(store, (struct weft_job_filter){.task = "other"}, &most, &pages), 0);
    CHECK_EQUAL(pages, 1);
    (void)store_end(store, "rare", WEFT_JOB_COMPLETE);
    store_sql(store, "UPDATE jobs SET queue = (SELECT id FROM queues WHERE name = 'rare')"
                     " WHERE seq = 1");
    CHECK_EQUAL(measure(store, (struct weft_job_filter){.queue = "rare"}, &most, &pages), 2);
    CHECK(pages >= 3);
}
