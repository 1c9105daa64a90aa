/* SPDX-License-Identifier: MIT
 * scheduler.c - schedules that fire: when, how often, and by whom; virtual time. */
#include "../broker/store.h"

#include <job/scheduler.h>
#include <weft/group.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)
#define RUNS_MAX  1000

/* A broker whose clock can be set: everything else is the real one. */
static int64_t clock_shift_us;
static const struct weft_broker_ops *real_ops;
static struct weft_broker_ops shifted_ops;

static int64_t shifted_now_us(struct weft_broker *broker)
{
    return real_ops->now_us(broker) + clock_shift_us;
}

static void shift_clock(struct store *store, int64_t shift_us)
{
    if (store->broker->ops != &shifted_ops) {
        real_ops = store->broker->ops;
        shifted_ops = *real_ops;
        shifted_ops.now_us = shifted_now_us;
        store->broker->ops = &shifted_ops;
        clock_shift_us = 0;
    }
    clock_shift_us += shift_us;
}

/* Set the clock to the beginning of its hour: what happens does not depend on when a test is run.
 */
static void begin_hour(struct store *store)
{
    shift_clock(store, 0);
    int64_t now_us = store->broker->ops->now_us(store->broker);
    shift_clock(store, -(now_us % HOUR_US)); /* back: what is due here is due for the broker, too */
}

static int64_t now_of(struct store *store)
{
    return store->broker->ops->now_us(store->broker);
}

static void pass(int64_t time_us)
{
    REQUIRE(weft_sleep(time_us * 1000) == 0);
}

/* --- schedules and what came of them --- */

static void set_with(struct store *store, const struct weft_cron_entry *wanted)
{
    struct weft_cron_entry entry = *wanted;
    char error[WEFT_SCHEDULE_ERROR_BYTES];
    entry.created_us = now_of(store);
    int err = weft_schedule_next(entry.schedule, entry.zone, WEFT_TEST_ZONES, entry.created_us,
                                 entry.created_us, &entry.next_us, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err && store->broker->ops->cron_set(store->broker, &entry) == 0);
}

static void set(struct store *store, const char *name, const char *schedule, const char *missed)
{
    set_with(store, &(struct weft_cron_entry){
                        .name = name, .schedule = schedule, .missed = missed, .job = "{}"});
}

/* A job whose limit_key is the name of the schedule; one that asks for "wrong" cannot be made, one
 * that asks for "unique" has a key. */
static int make_job(void *context, const struct weft_cron_entry *entry, int64_t run_us,
                    struct weft_scheduled_job *ret_job, char *error, size_t error_bytes)
{
    (void)context, (void)run_us;
    if (strcmp(entry->job, "wrong") == 0) {
        (void)snprintf(error, error_bytes, "there is no task");
        return -EINVAL;
    }
    char *name = strdup(entry->name);
    REQUIRE(name);
    *ret_job = (struct weft_scheduled_job){
        .job = {.task = "tick",
                .queue = "default",
                .priority = WEFT_PRIORITY_DEFAULT,
                .attempts_max = 3,
                .limit_key = name,
                .unique_key = strcmp(entry->job, "unique") == 0 ? name : NULL},
        .memory = name,
    };
    if (strcmp(entry->job, "late") == 0) {
        ret_job->delay_us = 5 * SECOND_US;
        ret_job->expires_in_us = 10 * SECOND_US;
    } else if (strcmp(entry->job, "elsewhere") == 0) {
        ret_job->job.queue = "elsewhere";
    } else if (strcmp(entry->job, "misnamed") == 0) {
        ret_job->job.queue = "no such name";
    }
    return 0;
}

static struct weft_scheduler *open_scheduler(struct store *store)
{
    static uint64_t seed;
    struct weft_scheduler *scheduler = NULL;
    struct weft_scheduler_options options = {
        .broker = store->broker, .make = make_job, .zones = WEFT_TEST_ZONES, .seed = ++seed};
    REQUIRE(weft_scheduler_open(&scheduler, &options) == 0);
    return scheduler;
}

static int run(void *arg)
{
    return weft_scheduler_run(arg);
}

/* Have it run for so long. */
static struct weft_scheduler_counts run_for(struct store *store, int64_t time_us)
{
    struct weft_scheduler *scheduler = open_scheduler(store);
    struct weft_scheduler_counts counts;
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, run, scheduler) == 0);
    pass(time_us);
    weft_group_close(&group);
    weft_scheduler_counts(scheduler, &counts);
    weft_scheduler_close(scheduler);
    return counts;
}

static int compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return a < b ? -1 : a > b;
}

/* Times for which a schedule (NULL: any) has put in jobs, ascending. */
static size_t find_runs(struct store *store, const char *name, int64_t runs_us[RUNS_MAX])
{
    size_t count = 0;
    struct weft_job *jobs[100];
    struct weft_job_filter filter = {.jobs_max = 100};
    struct weft_job_page page = {.jobs = jobs};
    do {
        REQUIRE(store->broker->ops->list(store->broker, &filter, &page) == 0);
        for (size_t i = 0; i < page.count; i++) {
            const char *by = jobs[i]->limit_key;
            REQUIRE(count < RUNS_MAX);
            if (by && (!name || strcmp(by, name) == 0))
                runs_us[count++] = jobs[i]->run_at_us;
            weft_job_free(jobs[i]);
        }
        filter.before = page.next;
    } while (page.more);
    qsort(runs_us, count, sizeof *runs_us, compare);
    return count;
}

static size_t count_runs(struct store *store, const char *name)
{
    int64_t runs_us[RUNS_MAX];
    return find_runs(store, name, runs_us);
}

/* Runs are there from first_us on, step_us apart. */
static void check_runs(struct store *store, const char *name, size_t count, int64_t first_us,
                       int64_t step_us)
{
    int64_t runs_us[RUNS_MAX];
    size_t actual = find_runs(store, name, runs_us);
    CHECK_EQUAL(actual, count);
    for (size_t i = 0; i < actual && i < count; i++)
        CHECK_EQUAL(runs_us[i], first_us + (int64_t)i * step_us);
}

/* --- when --- */

STORE_TEST(a_schedule_puts_in_a_job_at_each_of_its_times)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    set(store, "often", "*/10 * * * *", NULL);
    set(store, "steady", "@every 90s", NULL);
    struct weft_scheduler_counts counts = run_for(store, HOUR_US + SECOND_US);
    check_runs(store, "often", 6, start_us + 10 * MINUTE_US, 10 * MINUTE_US);
    check_runs(store, "steady", 40, start_us + 90 * SECOND_US, 90 * SECOND_US);
    CHECK_EQUAL(counts.put_in, 46);
    CHECK_EQUAL(counts.errors + counts.missed + counts.refused + counts.duplicates, 0);
}

STORE_TEST(a_job_is_there_the_moment_its_time_has_come)
{
    begin_hour(store);
    set(store, "often", "*/10 * * * *", NULL);
    struct weft_scheduler *scheduler = open_scheduler(store);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, run, scheduler) == 0);
    pass(10 * MINUTE_US - 1);
    CHECK_EQUAL(count_runs(store, NULL), 0);
    pass(2);
    CHECK_EQUAL(count_runs(store, NULL), 1);
    weft_group_close(&group);
    weft_scheduler_close(scheduler);
}

STORE_MEMORY_TEST(nothing_is_put_in_for_a_schedule_that_is_paused_or_removed)
{
    begin_hour(store);
    set(store, "removed", "* * * * *", NULL);
    set(store, "goes-on", "* * * * *", NULL);
    set_with(store, &(struct weft_cron_entry){
                        .name = "paused", .schedule = "* * * * *", .job = "{}", .paused = true});
    (void)run_for(store, 2 * MINUTE_US + 1);
    REQUIRE(store->broker->ops->cron_remove(store->broker, "removed") == 0);
    (void)run_for(store, 2 * MINUTE_US);
    CHECK_EQUAL(count_runs(store, "removed"), 2);
    CHECK_EQUAL(count_runs(store, "goes-on"), 4);
    CHECK_EQUAL(count_runs(store, "paused"), 0);
}

STORE_MEMORY_TEST(a_poke_makes_a_new_schedule_known_at_once)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    struct weft_scheduler *scheduler = open_scheduler(store);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, run, scheduler) == 0);
    pass(SECOND_US);
    set(store, "poked", "@every 2s", NULL);
    weft_scheduler_poke(scheduler);
    pass(2 * SECOND_US + 1);
    check_runs(store, "poked", 1, start_us + 3 * SECOND_US, 0);
    set(store, "unnoticed", "@every 2s", NULL); /* until it looks by itself */
    pass(20 * SECOND_US);
    CHECK(count_runs(store, "unnoticed") >= 5);
    weft_group_close(&group);
    weft_scheduler_close(scheduler);
}

STORE_MEMORY_TEST(the_delay_and_expiry_of_a_job_count_from_the_time_of_its_run)
{
    begin_hour(store);
    struct weft_cron_entry entry = {.name = "late", .schedule = "* * * * *", .job = "late"};
    set_with(store, &entry);
    int64_t start_us = now_of(store);
    (void)run_for(store, MINUTE_US + SECOND_US);
    struct weft_job *job;
    struct weft_job_filter filter = {.jobs_max = 1};
    struct weft_job_page page = {.jobs = &job};
    REQUIRE(store->broker->ops->list(store->broker, &filter, &page) == 0 && page.count == 1);
    CHECK_EQUAL(job->run_at_us, start_us + MINUTE_US + 5 * SECOND_US);
    CHECK_EQUAL(job->expires_us, start_us + MINUTE_US + 15 * SECOND_US);
    CHECK_EQUAL(job->created_us, start_us + MINUTE_US);
    weft_job_free(job);
}

/* --- by whom --- */

STORE_TEST(of_two_schedulers_one_puts_in_each_run)
{
    enum {
        SCHEDULES = 8,
        TIMES = 30
    };
    static const char *const names[SCHEDULES] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    begin_hour(store);
    int64_t start_us = now_of(store);
    for (int i = 0; i < SCHEDULES; i++)
        set(store, names[i], "@every 1s", NULL);
    struct weft_scheduler *schedulers[2] = {open_scheduler(store), open_scheduler(store)};
    struct weft_scheduler_counts counts[2];
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(weft_spawn(&group, run, schedulers[i]) == 0);
    pass(TIMES * SECOND_US + 1);
    weft_group_close(&group);
    for (int i = 0; i < 2; i++) {
        weft_scheduler_counts(schedulers[i], &counts[i]);
        weft_scheduler_close(schedulers[i]);
        CHECK_EQUAL(counts[i].errors + counts[i].missed + counts[i].refused, 0);
    }
    CHECK_EQUAL(counts[0].put_in + counts[1].put_in, SCHEDULES * TIMES);
    for (int i = 0; i < SCHEDULES; i++)
        check_runs(store, names[i], TIMES, start_us + SECOND_US, SECOND_US);
}

STORE_TEST(many_schedules_that_are_due_at_once_all_run)
{
    enum {
        SCHEDULES = 200
    };
    begin_hour(store);
    int64_t start_us = now_of(store);
    for (int i = 0; i < SCHEDULES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "number-%d", i);
        set(store, name, "0 * * * *", NULL);
    }
    struct weft_scheduler_counts counts = run_for(store, HOUR_US + SECOND_US);
    CHECK_EQUAL(counts.put_in, SCHEDULES);
    check_runs(store, NULL, SCHEDULES, start_us + HOUR_US, 0);
}

/* All ids of so many milliseconds. */
static void use_up_ids(struct store *store, int64_t from_us, int count)
{
    enum {
        EACH = 4096
    };
    struct weft_job *jobs = calloc(EACH, sizeof *jobs);
    struct weft_enqueue *items = calloc(EACH, sizeof *items);
    REQUIRE(jobs && items);
    for (int64_t ms = from_us / 1000; count > 0; ms++, count--) {
        for (unsigned i = 0; i < EACH; i++) {
            jobs[i] = store_job(store);
            for (int byte = 0; byte < 6; byte++)
                jobs[i].id.bytes[byte] = (uint8_t)(ms >> (40 - 8 * byte));
            jobs[i].id.bytes[6] = (uint8_t)(0x70 | i >> 8);
            jobs[i].id.bytes[7] = (uint8_t)i;
            items[i] = (struct weft_enqueue){.job = &jobs[i]};
        }
        struct weft_enqueue_batch batch = {.items = items, .count = EACH};
        REQUIRE(store->broker->ops->enqueue(store->broker, &batch) == 0 && items[0].err == 0);
    }
    free(jobs);
    free(items);
}

STORE_TEST(a_run_is_put_in_although_all_ids_of_its_moment_are_in_use)
{
    begin_hour(store);
    set(store, "often", "*/10 * * * *", NULL);
    use_up_ids(store, now_of(store) + 10 * MINUTE_US, 3);
    struct weft_scheduler_counts counts = run_for(store, 11 * MINUTE_US);
    CHECK_EQUAL(count_runs(store, "often"), 1);
    CHECK_EQUAL(counts.put_in, 1);
    CHECK_EQUAL(counts.refused + counts.errors + counts.missed, 0);
}

/* --- a store that fails --- */

static unsigned calls, every; /* so many calls go well between two that do not */

static bool is_refused(void)
{
    return every > 0 && ++calls % every == 0;
}

static int fire_or_fail(struct weft_broker *broker, struct weft_cron_fire *fire)
{
    return is_refused() ? -EIO : real_ops->cron_fire(broker, fire);
}

static int list_or_fail(struct weft_broker *broker, struct weft_cron_entry **ret_entries,
                        size_t max, size_t *ret_count)
{
    return is_refused() ? -ENOMEM : real_ops->crons(broker, ret_entries, max, ret_count);
}

STORE_TEST(runs_that_are_refused_for_a_moment_are_put_in_all_the_same_and_once)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    shifted_ops.cron_fire = fire_or_fail;
    shifted_ops.crons = list_or_fail;
    calls = 0;
    every = 3;
    set(store, "one", "*/10 * * * *", NULL);
    set(store, "other", "*/10 * * * *", "all");
    struct weft_scheduler_counts counts = run_for(store, HOUR_US + 30 * SECOND_US);
    every = 0;
    check_runs(store, "one", 6, start_us + 10 * MINUTE_US, 10 * MINUTE_US);
    check_runs(store, "other", 6, start_us + 10 * MINUTE_US, 10 * MINUTE_US);
    CHECK_EQUAL(counts.put_in, 12);
    CHECK(counts.errors > 5);
    CHECK_EQUAL(counts.missed + counts.refused + counts.duplicates, 0);
}

STORE_MEMORY_TEST(a_job_that_the_store_does_not_take_is_left_out_and_the_schedule_goes_on)
{
    begin_hour(store);
    set_with(store, &(struct weft_cron_entry){
                        .name = "misnamed", .schedule = "*/10 * * * *", .job = "misnamed"});
    set(store, "good", "*/10 * * * *", NULL);
    struct weft_scheduler_counts counts = run_for(store, HOUR_US + SECOND_US);
    CHECK_EQUAL(counts.refused, 6);
    CHECK_EQUAL(counts.put_in, 6);
    CHECK_EQUAL(count_runs(store, "misnamed"), 0);
    CHECK_EQUAL(count_runs(store, "good"), 6);
}

/* --- runs that were missed --- */

STORE_MEMORY_TEST(what_nobody_started_in_time_is_made_up_for_as_the_schedule_says)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    set(store, "skip", "*/10 * * * *", "skip");
    set(store, "once", "*/10 * * * *", "once");
    set(store, "all", "*/10 * * * *", "all");
    set(store, "unsaid", "*/10 * * * *", NULL);
    pass(55 * MINUTE_US); /* no scheduler runs */
    struct weft_scheduler_counts counts = run_for(store, SECOND_US);
    CHECK_EQUAL(count_runs(store, "skip"), 0);
    check_runs(store, "once", 1, start_us + 50 * MINUTE_US, 0);
    check_runs(store, "unsaid", 1, start_us + 50 * MINUTE_US, 0);
    check_runs(store, "all", 5, start_us + 10 * MINUTE_US, 10 * MINUTE_US);
    CHECK_EQUAL(counts.missed, 1);
    (void)run_for(store, 10 * MINUTE_US);
    check_runs(store, "skip", 1, start_us + HOUR_US, 0);
    CHECK_EQUAL(count_runs(store, "once"), 2);
    CHECK_EQUAL(count_runs(store, "all"), 6);
}

STORE_MEMORY_TEST(a_run_that_is_a_little_late_was_not_missed)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    set(store, "skip", "0 * * * *", "skip");
    pass(HOUR_US + 59 * SECOND_US);
    (void)run_for(store, SECOND_US);
    check_runs(store, "skip", 1, start_us + HOUR_US, 0);
}

STORE_MEMORY_TEST(no_more_than_100_missed_runs_are_made_up_for)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    set(store, "all", "* * * * *", "all");
    pass(200 * MINUTE_US + SECOND_US);
    (void)run_for(store, SECOND_US);
    check_runs(store, "all", 100, start_us + 101 * MINUTE_US, MINUTE_US);
}

/* --- clocks --- */

STORE_MEMORY_TEST(a_clock_that_jumps_ahead_makes_what_it_passed_missed)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    set(store, "skip", "*/10 * * * *", "skip");
    set(store, "all", "*/10 * * * *", "all");
    struct weft_scheduler *scheduler = open_scheduler(store);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, run, scheduler) == 0);
    pass(MINUTE_US);
    shift_clock(store, 34 * MINUTE_US);
    pass(20 * SECOND_US); /* nobody tells it that a clock was set: it looks now and then */
    CHECK_EQUAL(count_runs(store, "skip"), 0);
    check_runs(store, "all", 3, start_us + 10 * MINUTE_US, 10 * MINUTE_US);
    weft_group_close(&group);
    weft_scheduler_close(scheduler);
}

STORE_MEMORY_TEST(a_clock_that_is_set_back_makes_nothing_run_twice)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    set(store, "often", "*/10 * * * *", "all");
    struct weft_scheduler *scheduler = open_scheduler(store);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, run, scheduler) == 0);
    pass(35 * MINUTE_US);
    CHECK_EQUAL(count_runs(store, NULL), 3);
    shift_clock(store, -30 * MINUTE_US);
    pass(34 * MINUTE_US);
    CHECK_EQUAL(count_runs(store, NULL), 3);
    pass(2 * MINUTE_US);
    check_runs(store, "often", 4, start_us + 10 * MINUTE_US, 10 * MINUTE_US);
    weft_group_close(&group);
    weft_scheduler_close(scheduler);
}

/* Set the clock to noon, UTC, of a day in 2026. */
static void begin_day(struct store *store, int64_t days_since_1970)
{
    shift_clock(store, 0);
    shift_clock(store, days_since_1970 * DAY_US + 12 * HOUR_US - now_of(store));
}

STORE_MEMORY_TEST(a_schedule_follows_the_clocks_of_its_zone_in_spring)
{
    int64_t spring_us = 20541 * DAY_US; /* 2026-03-29: at 01:00 UTC clocks go from 2:00 to 3:00 */
    begin_day(store, 20540);
    set_with(store,
             &(struct weft_cron_entry){
                 .name = "berlin", .schedule = "30 4 * * *", .zone = "Europe/Berlin", .job = "{}"});
    set_with(store, &(struct weft_cron_entry){.name = "skipped",
                                              .schedule = "30 2 * * *",
                                              .zone = "Europe/Berlin",
                                              .job = "{}"});
    set(store, "utc", "30 4 * * *", NULL);
    (void)run_for(store, 2 * DAY_US);
    check_runs(store, "berlin", 2, spring_us + 2 * HOUR_US + 30 * MINUTE_US, DAY_US);
    check_runs(store, "utc", 2, spring_us + 4 * HOUR_US + 30 * MINUTE_US, DAY_US);
    int64_t runs_us[RUNS_MAX];
    size_t count = find_runs(store, "skipped", runs_us);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(runs_us[0], spring_us + HOUR_US); /* as soon as that time is over */
    CHECK_EQUAL(runs_us[1], spring_us + DAY_US + 30 * MINUTE_US);
}

STORE_MEMORY_TEST(a_schedule_follows_the_clocks_of_its_zone_in_autumn)
{
    int64_t autumn_us = 20751 * DAY_US; /* 2026-10-25: at 01:00 UTC clocks go from 3:00 to 2:00 */
    begin_day(store, 20750);
    set_with(store,
             &(struct weft_cron_entry){
                 .name = "twice", .schedule = "30 2 * * *", .zone = "Europe/Berlin", .job = "{}"});
    set_with(store,
             &(struct weft_cron_entry){
                 .name = "hourly", .schedule = "0 * * * *", .zone = "Europe/Berlin", .job = "{}"});
    (void)run_for(store, DAY_US + SECOND_US);
    check_runs(store, "twice", 1, autumn_us + 30 * MINUTE_US, 0);
    check_runs(store, "hourly", 24, autumn_us - 11 * HOUR_US, HOUR_US);
}

/* --- what is wrong --- */

STORE_MEMORY_TEST(a_job_request_that_is_wrong_is_left_out_and_stops_nobody)
{
    begin_hour(store);
    set_with(store,
             &(struct weft_cron_entry){.name = "bad", .schedule = "* * * * *", .job = "wrong"});
    set(store, "good", "* * * * *", NULL);
    struct weft_scheduler_counts counts = run_for(store, 3 * MINUTE_US + 1);
    CHECK_EQUAL(counts.refused, 3);
    CHECK_EQUAL(counts.put_in, 3);
    CHECK_EQUAL(count_runs(store, "bad"), 0);
    CHECK_EQUAL(count_runs(store, "good"), 3);
}

STORE_MEMORY_TEST(a_schedule_that_cannot_be_read_is_tried_again_an_hour_later)
{
    begin_hour(store);
    int64_t start_us = now_of(store);
    const struct weft_cron_entry wrong[] = {
        {.name = "odd", .schedule = "61 * * * *", .job = "{}", .next_us = start_us + 1},
        {.name = "nowhere",
         .schedule = "* * * * *",
         .zone = "Europe/Atlantis",
         .job = "{}",
         .next_us = start_us + 1},
    };
    for (int i = 0; i < 2; i++)
        REQUIRE(store->broker->ops->cron_set(store->broker, &wrong[i]) == 0);
    set(store, "good", "* * * * *", NULL);
    struct weft_scheduler_counts counts = run_for(store, 3 * MINUTE_US + 1);
    CHECK_EQUAL(counts.errors, 2);
    CHECK_EQUAL(count_runs(store, NULL), 3);
    struct weft_cron_entry *crons;
    size_t count;
    REQUIRE(store->broker->ops->crons(store->broker, &crons, 3, &count) == 0 && count == 3);
    CHECK_EQUAL(crons[2].next_us, start_us + 1 + HOUR_US);
    free(crons);
}

STORE_MEMORY_TEST(a_run_whose_job_is_already_there_is_left_out)
{
    begin_hour(store);
    set_with(store,
             &(struct weft_cron_entry){.name = "one", .schedule = "* * * * *", .job = "unique"});
    struct weft_scheduler_counts counts = run_for(store, 3 * MINUTE_US + 1);
    CHECK_EQUAL(counts.put_in, 1);
    CHECK_EQUAL(counts.duplicates, 2);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    counts = run_for(store, MINUTE_US);
    CHECK_EQUAL(counts.put_in, 1);
}

STORE_MEMORY_TEST(while_a_queue_is_full_its_runs_wait_and_stop_nobody)
{
    enum {
        BLOCKED = 70
    };
    begin_hour(store);
    int64_t start_us = now_of(store);
    struct weft_queue_settings settings = {.size_max = 1};
    REQUIRE(store->broker->ops->queue_set(store->broker, "default", &settings) == 0);
    (void)store_add(store, "default", "work");
    for (int i = 0; i < BLOCKED; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "number-%d", i);
        set(store, name, "1 * * * *", NULL);
    }
    set_with(store, &(struct weft_cron_entry){
                        .name = "good", .schedule = "2 * * * *", .job = "elsewhere"});
    struct weft_scheduler_counts counts = run_for(store, 3 * MINUTE_US);
    CHECK_EQUAL(count_runs(store, "good"), 1);
    CHECK_EQUAL(counts.put_in, 1);
    CHECK(counts.errors >= BLOCKED);
    settings.size_max = 1000;
    REQUIRE(store->broker->ops->queue_set(store->broker, "default", &settings) == 0);
    counts = run_for(store, 2 * SECOND_US);
    CHECK_EQUAL(counts.put_in, BLOCKED);
    check_runs(store, "number-7", 1, start_us + MINUTE_US, 0);
}

/* --- the calls --- */

STORE_MEMORY_TEST(options_that_cannot_be_are_refused)
{
    struct weft_scheduler *scheduler = NULL;
    const struct weft_scheduler_options wrong[] = {
        {.make = make_job},
        {.broker = store->broker},
        {.broker = store->broker, .make = make_job, .grace_us = -1},
        {.broker = store->broker, .make = make_job, .poll_ns = -1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQUAL(weft_scheduler_open(&scheduler, &wrong[i]), -EINVAL);
    CHECK(!scheduler);
    weft_scheduler_close(NULL);
}

STORE_MEMORY_TEST(a_scheduler_ends_when_it_is_cancelled_and_not_before)
{
    struct weft_scheduler *scheduler = open_scheduler(store);
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + 100 * WEFT_SEC, 0);
    int64_t start_ns = weft_now();
    CHECK_EQUAL(weft_scope_leave(&scope, weft_scheduler_run(scheduler)), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - start_ns, 100 * WEFT_SEC);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_scheduler_run(scheduler), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    weft_scheduler_close(scheduler);
}

FIBER_TEST(the_next_time_of_a_schedule_is_told_or_what_is_wrong_with_it)
{
    char error[WEFT_SCHEDULE_ERROR_BYTES];
    int64_t next_us = 7;
    CHECK_EQUAL(weft_schedule_next("0 3 * * *", "UTC", WEFT_TEST_ZONES, 0, 5, &next_us, error,
                                   sizeof error),
                0);
    CHECK_EQUAL(next_us, 3 * HOUR_US);
    CHECK_EQUAL(weft_schedule_next("0 3 * * *", "Europe/Berlin", WEFT_TEST_ZONES, 0, 5, &next_us,
                                   error, sizeof error),
                0);
    CHECK_EQUAL(next_us, 2 * HOUR_US);
    CHECK_EQUAL(weft_schedule_next("@every 1h", NULL, NULL, 10, 20, &next_us, error, sizeof error),
                0);
    CHECK_EQUAL(next_us, HOUR_US + 10);
    CHECK_EQUAL(weft_schedule_next("99 3 * * *", NULL, NULL, 0, 5, &next_us, error, sizeof error),
                -EINVAL);
    CHECK(strstr(error, "minute") != NULL);
    CHECK_EQUAL(weft_schedule_next("0 3 * * *", "Europe/Atlantis", WEFT_TEST_ZONES, 0, 5, &next_us,
                                   error, sizeof error),
                -EINVAL);
    CHECK(strstr(error, "Atlantis") != NULL);
    CHECK_EQUAL(next_us, HOUR_US + 10);
}
