/* SPDX-License-Identifier: MIT
 * engine_outcomes.c - how attempts can end, and what becomes of their jobs. */
#include "world.h"

#include <job/builtin.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

#include <string.h>

/* What the handlers of these tests have seen. */
static struct seen {
    unsigned runs;
    int64_t at_ns[32];
    int failures; /* of the next runs */
} seen;

static void see(void)
{
    if (seen.runs < 32)
        seen.at_ns[seen.runs] = weft_now();
    seen.runs++;
}

static int task_flaky(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    see();
    if (seen.failures > 0) {
        seen.failures--;
        return weft_attempt_fail(attempt, -EPROTO, "the moon is in phase %d", seen.failures);
    }
    return weft_attempt_printf_result(attempt, "{\"number\":%u}", weft_attempt_number(attempt));
}

static int task_plain(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    see();
    return -EPROTO;
}

static const struct weft_handler flaky[] = {{.name = "flaky", .run = task_flaky},
                                            {.name = "plain", .run = task_plain}};

#define OPTIONS(handlers_)                                                                         \
    (struct weft_engine_options)                                                                   \
    {                                                                                              \
        .handlers = (handlers_), .handlers_count = sizeof(handlers_) / sizeof((handlers_)[0])      \
    }

FIBER_TEST(a_job_that_completes_has_its_result)
{
    seen = (struct seen){0};
    struct world world = {0};
    world_open(&world, OPTIONS(flaky));
    struct weft_uuid id = world_add(&world, "flaky", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 1);
    CHECK_TEXT(job->result.data, "{\"number\":1}");
    CHECK(job->result.json);
    CHECK(job->thread > 0);
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).completed, 1);
    CHECK_EQUAL(world_counts(&world).submitted, 1);
    world_close(&world, 0);
}

static void check_curve(const int64_t *gaps_ns, size_t count, double low_s, double growth)
{
    for (size_t i = 0; i < count; i++, low_s *= growth)
        CHECK(gaps_ns[i] >= (int64_t)(low_s * 1e9 / 2) &&
              gaps_ns[i] <= (int64_t)(low_s * 1e9) + 20 * WEFT_MSEC);
}

/* In whole milliseconds: the broker counts in microseconds, from another origin. */
static void gaps_of(int64_t *gaps_ns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gaps_ns[i] = (seen.at_ns[i + 1] - seen.at_ns[i] + WEFT_MSEC / 2) / WEFT_MSEC * WEFT_MSEC;
}

/* Fail so often, and return the waits in between. */
static struct weft_job *fail_all(const struct weft_handler *handler, struct weft_submission job,
                                 uint64_t seed, int64_t *gaps_ns, size_t count)
{
    seen = (struct seen){.failures = 1000};
    struct world world = {0};
    world_open(&world, (struct weft_engine_options){
                           .handlers = handler, .handlers_count = 1, .seed = seed});
    job.task = handler->name;
    struct weft_uuid id = world_put(&world, job);
    struct weft_job *ended = world_end(&world, &id);
    gaps_of(gaps_ns, count);
    world_close(&world, 0);
    return ended;
}

FIBER_TEST(a_failing_job_is_tried_three_times_later_each_time_and_then_dead)
{
    int64_t gaps_ns[2];
    struct weft_job *job =
        fail_all(&flaky[0], (struct weft_submission){.priority = -1}, 1, gaps_ns, 2);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 3);
    CHECK_TEXT(job->error, "the moon is in phase 997");
    weft_job_free(job);
    CHECK_EQUAL(seen.runs, 3);
    check_curve(gaps_ns, 2, 2, 2); /* 1 to 2 s, 2 to 4 s */
}

FIBER_TEST(delays_are_drawn_from_the_seed)
{
    int64_t one[9], two[9], other[9];
    struct weft_submission job = {.attempts_max = 10};
    weft_job_free(fail_all(&flaky[0], job, 7, one, 9));
    weft_job_free(fail_all(&flaky[0], job, 7, two, 9));
    weft_job_free(fail_all(&flaky[0], job, 8, other, 9));
    CHECK(memcmp(one, two, sizeof one) == 0);
    CHECK(memcmp(one, other, sizeof one) != 0);
    check_curve(one, 9, 2, 2);
}

FIBER_TEST(a_handlers_curve_is_kept)
{
    static const struct weft_handler linear = {
        .name = "linear",
        .run = task_plain,
        .attempts_max = 5,
        .retry = {.backoff = WEFT_BACKOFF_LINEAR,
                  .jitter = WEFT_JITTER_NONE,
                  .base_ns = 10 * WEFT_SEC,
                  .cap_ns = 30 * WEFT_SEC},
    };
    int64_t gaps_ns[4];
    struct weft_job *job = fail_all(&linear, (struct weft_submission){0}, 1, gaps_ns, 4);
    CHECK_TEXT(job->error, weft_strerror(-EPROTO));
    weft_job_free(job);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(gaps_ns[i] / WEFT_SEC, i < 3 ? (i + 1) * 10 : 30);
}

FIBER_TEST(a_jobs_own_curve_goes_before_its_handlers)
{
    int64_t gaps_ns[3];
    struct weft_submission asked = {
        .attempts_max = 4,
        .backoff = {.kind = WEFT_BACKOFF_CONSTANT, .jitter = WEFT_JITTER_NONE, .base_us = 250000},
    };
    weft_job_free(fail_all(&flaky[1], asked, 1, gaps_ns, 3));
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(gaps_ns[i] / WEFT_MSEC / 10, 25);
    CHECK_EQUAL(seen.runs, 4);
}

FIBER_TEST(a_job_that_fails_once_completes_at_the_second_try)
{
    seen = (struct seen){.failures = 1};
    struct world world = {0};
    world_open(&world, OPTIONS(flaky));
    struct weft_uuid id = world_add(&world, "flaky", "{}");
    (void)weft_sleep(10 * WEFT_MSEC);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_RETRYABLE);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 2);
    weft_job_free(job);
    struct weft_job_failure failures[4];
    size_t count = 0;
    CHECK_EQUAL(world.broker->ops->failures(world.broker, &id, failures, 4, &count), 0);
    CHECK_EQUAL(count, 1);
    CHECK_TEXT(failures[0].text, "the moon is in phase 0");
    CHECK_EQUAL(world_counts(&world).retried, 1);
    CHECK_EQUAL(world_logged("failed", "the moon"), 1);
    world_close(&world, 0);
}

/* What it does is in the payload: {"do": "snooze", ...}. */
static int task_obey(struct weft_attempt *attempt, const void *settings)
{
    const char *what = "";
    (void)settings;
    see();
    (void)weft_attempt_get_string(attempt, "do", &what);
    if (strcmp(what, "snooze twice") == 0 && seen.runs < 3)
        return weft_attempt_snooze(attempt, 5 * WEFT_SEC);
    if (strcmp(what, "cancel") == 0)
        return weft_attempt_cancel(attempt, "nobody reads %s", "this");
    if (strcmp(what, "cancel silently") == 0)
        return WEFT_TASK_CANCEL;
    if (strcmp(what, "discard") == 0)
        return weft_attempt_discard(attempt, "it is %s", "broken");
    if (strcmp(what, "retry after") == 0 && seen.runs < 3)
        return weft_attempt_retry_after(attempt, 7200 * WEFT_SEC, "the partner is closed");
    if (strcmp(what, "positive") == 0)
        return 17;
    if (strcmp(what, "cancelled by nobody") == 0)
        return -ECANCELED;
    return 0;
}

static const struct weft_handler obedient[] = {{.name = "obey", .run = task_obey}};

/* Have it done, and return the job at its end. */
static struct weft_job *obey(const char *payload, struct weft_engine_counts *ret_counts)
{
    seen = (struct seen){0};
    struct world world = {0};
    world_open(&world, OPTIONS(obedient));
    struct weft_uuid id = world_add(&world, "obey", payload);
    struct weft_job *job = world_end(&world, &id);
    *ret_counts = world_counts(&world);
    world_close(&world, 0);
    return job;
}

FIBER_TEST(a_snoozing_job_comes_back_without_having_spent_an_attempt)
{
    struct weft_engine_counts counts;
    struct weft_job *job = obey("{\"do\":\"snooze twice\"}", &counts);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 1);
    weft_job_free(job);
    CHECK_EQUAL(counts.snoozed, 2);
    CHECK_EQUAL((seen.at_ns[1] - seen.at_ns[0]) / WEFT_SEC, 5);
    CHECK_EQUAL((seen.at_ns[2] - seen.at_ns[1]) / WEFT_SEC, 5);
}

FIBER_TEST(a_handler_can_cancel_its_job)
{
    struct weft_engine_counts counts;
    struct weft_job *job = obey("{\"do\":\"cancel\"}", &counts);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK_TEXT(job->error, "nobody reads this");
    weft_job_free(job);
    CHECK_EQUAL(counts.cancelled, 1);
    job = obey("{\"do\":\"cancel silently\"}", &counts);
    CHECK_TEXT(job->error, "cancelled by its own handler");
    weft_job_free(job);
}

FIBER_TEST(a_discarded_job_is_dead_at_once)
{
    struct weft_engine_counts counts;
    struct weft_job *job = obey("{\"do\":\"discard\"}", &counts);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 1);
    CHECK_TEXT(job->error, "it is broken");
    weft_job_free(job);
    CHECK_EQUAL(counts.failed, 1);
}

FIBER_TEST(a_handler_can_say_when_to_try_again)
{
    struct weft_engine_counts counts;
    struct weft_job *job = obey("{\"do\":\"retry after\"}", &counts);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 3);
    weft_job_free(job);
    CHECK_EQUAL((seen.at_ns[1] - seen.at_ns[0]) / WEFT_SEC, 7200);
}

FIBER_TEST(every_result_of_0_or_more_completes)
{
    struct weft_engine_counts counts;
    struct weft_job *job = obey("{\"do\":\"positive\"}", &counts);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(!job->result.data);
    weft_job_free(job);
}

FIBER_TEST(a_cancellation_by_nobody_is_a_failure)
{
    struct weft_engine_counts counts;
    struct weft_job *job = obey("{\"do\":\"cancelled by nobody\"}", &counts);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(counts.retried, 2);
    CHECK_EQUAL(counts.released, 0);
    weft_job_free(job);
}

FIBER_TEST(a_job_of_an_unknown_task_fails_visibly_and_ends_dead)
{
    struct world world = {0};
    world_open(&world, OPTIONS(flaky));
    struct weft_uuid id = world_add(&world, "forgotten", "{}");
    CHECK_EQUAL(world_counts(&world).submitted, 1);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 3);
    CHECK_TEXT(job->error, "no task of this name is known here");
    weft_job_free(job);
    world_close(&world, 0);
}

/* ---- timeouts --------------------------------------------------------------------------- */

static int stubborn_for_ns(void *arg)
{
    return weft_sleep(*(const int64_t *)arg);
}

static int64_t stubborn_ns;
static int64_t deadline_seen_ns;

/* Sleeps an hour, and where stubborn_ns is set, does not notice a cancel for so long. */
static int task_slow(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    see();
    deadline_seen_ns = weft_deadline();
    if (stubborn_ns > 0) {
        int late = weft_shield(stubborn_for_ns, &stubborn_ns);
        weft_attempt_log(attempt, WEFT_LOG_INFO, "at last");
        CHECK_EQUAL(weft_attempt_progress(attempt, 1, "at last"), 0);
        return late;
    }
    int err = weft_sleep(3600 * WEFT_SEC);
    if (err)
        CHECK_EQUAL(weft_attempt_is_cancelled(attempt), weft_cancel_reason() != 0);
    return err;
}

static const struct weft_handler slow[] = {
    {.name = "slow",
     .run = task_slow,
     .attempts_max = 2,
     .timeout_ns = 30 * WEFT_SEC,
     .grace_ns = 5 * WEFT_SEC,
     .retry = {.backoff = WEFT_BACKOFF_CONSTANT, .jitter = WEFT_JITTER_NONE, .base_ns = WEFT_SEC}},
};

FIBER_TEST(an_attempt_that_takes_too_long_is_told_to_end_and_has_failed)
{
    seen = (struct seen){0};
    stubborn_ns = 0;
    struct world world = {0};
    world_open(&world, OPTIONS(slow));
    int64_t begin_ns = weft_now();
    struct weft_uuid id = world_add(&world, "slow", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_SEC, 61); /* two attempts and a second */
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "timed out after 30 s");
    CHECK_EQUAL((deadline_seen_ns - seen.at_ns[1]) / WEFT_SEC, 30);
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    world_close(&world, 0);
}

FIBER_TEST(a_jobs_own_timeout_goes_before_its_handlers)
{
    seen = (struct seen){0};
    stubborn_ns = 0;
    struct world world = {0};
    world_open(&world, OPTIONS(slow));
    int64_t begin_ns = weft_now();
    struct weft_uuid id = world_put(
        &world, (struct weft_submission){.task = "slow", .timeout_us = 1500000, .attempts_max = 1});
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_MSEC / 10, 150);
    CHECK_TEXT(job->error, "timed out after 1.5 s");
    weft_job_free(job);
    world_close(&world, 0);
}

static int task_late(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    (void)settings;
    (void)weft_sleep(3600 * WEFT_SEC);
    return 0;
}

FIBER_TEST(what_completes_after_its_timeout_is_completed)
{
    static const struct weft_handler late[] = {
        {.name = "late", .run = task_late, .timeout_ns = WEFT_SEC}};
    struct world world = {0};
    world_open(&world, OPTIONS(late));
    struct weft_uuid id = world_add(&world, "late", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(a_handler_that_does_not_end_is_given_up_and_its_place_taken_by_others)
{
    static const struct weft_handler handlers[] = {
        {.name = "slow", .run = task_slow, .timeout_ns = 30 * WEFT_SEC, .grace_ns = 5 * WEFT_SEC},
        {.name = "obey", .run = task_obey},
    };
    static const struct weft_consumer_queue every = {.name = "*"};
    static const struct weft_consumer_options narrow = {
        .name = "narrow", .queues = &every, .queues_count = 1, .concurrency = 1};
    seen = (struct seen){0};
    stubborn_ns = 100 * WEFT_SEC;
    struct world world = {0};
    struct weft_engine_options options = OPTIONS(handlers);
    options.consumers = &narrow;
    options.consumers_count = 1;
    world_open(&world, options);
    int64_t begin_ns = weft_now();
    struct weft_uuid id =
        world_put(&world, (struct weft_submission){.task = "slow", .attempts_max = 1});
    struct weft_uuid next = world_add(&world, "obey", "{}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_SEC, 35);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "stuck: it did not end within 5 s of its timeout after 30 s");
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).stuck, 1);
    CHECK_EQUAL(world_logged("stuck", NULL), 1);
    weft_job_free(world_end(&world, &next));
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_SEC, 35);
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).stuck, 1);
    (void)weft_sleep(6 * WEFT_SEC); /* it ends at last, with success: nobody cares */
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    CHECK_EQUAL(world_logged("task", "at last"), 0);
    (void)weft_sleep(2 * WEFT_SEC); /* what it has told is nowhere */
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_DEAD);
    CHECK_EQUAL(world_counts(&world).completed, 1);
    world_close(&world, 0);
}

FIBER_TEST(with_too_many_stuck_nothing_more_is_claimed_until_they_end)
{
    static const struct weft_handler handlers[] = {
        {.name = "slow",
         .run = task_slow,
         .attempts_max = 1,
         .timeout_ns = 10 * WEFT_SEC,
         .grace_ns = WEFT_SEC},
        {.name = "obey", .run = task_obey},
    };
    seen = (struct seen){0};
    stubborn_ns = 1000 * WEFT_SEC;
    struct world world = {0};
    struct weft_engine_options options = OPTIONS(handlers);
    options.stuck_max = 2;
    world_open(&world, options);
    for (int i = 0; i < 3; i++)
        (void)world_add(&world, "slow", "{}");
    (void)weft_sleep(12 * WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).stuck, 3);
    CHECK_EQUAL(world_counts(&world).running, 0);
    struct weft_uuid id = world_add(&world, "obey", "{}");
    (void)weft_sleep(100 * WEFT_SEC);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(world_logged("too_many_stuck", NULL), 1);
    (void)weft_sleep(1000 * WEFT_SEC);
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(world_counts(&world).stuck, 0);
    world_close(&world, 0);
}

/* ---- cancelling ------------------------------------------------------------------------- */

FIBER_TEST(a_waiting_job_can_be_cancelled)
{
    struct world world = {0};
    seen = (struct seen){0};
    world_open(&world, OPTIONS(obedient));
    struct weft_uuid id =
        world_put(&world, (struct weft_submission){.task = "obey", .delay_us = 60000000});
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_SCHEDULED);
    world_cancel(&world, &id);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK_TEXT(job->error, "not wanted");
    weft_job_free(job);
    (void)weft_sleep(100 * WEFT_SEC);
    CHECK_EQUAL(seen.runs, 0);
    world_close(&world, 0);
}

FIBER_TEST(a_running_job_is_told_when_it_is_cancelled)
{
    static const struct weft_handler handlers[] = {{.name = "slow", .run = task_slow}};
    struct world world = {0};
    seen = (struct seen){0};
    stubborn_ns = 0;
    world_open(&world, OPTIONS(handlers));
    struct weft_uuid id = world_add(&world, "slow", "{}");
    (void)weft_sleep(WEFT_SEC);
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(world_state(&world, &id), WEFT_JOB_RUNNING);
    world_cancel(&world, &id);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    CHECK_TEXT(job->error, "not wanted");
    CHECK_EQUAL(weft_now(), begin_ns);
    weft_job_free(job);
    CHECK_EQUAL(world_counts(&world).cancelled, 1);
    world_close(&world, 0);
}

FIBER_TEST(a_cancelled_job_whose_handler_does_not_end_is_given_up)
{
    static const struct weft_handler handlers[] = {
        {.name = "slow", .run = task_slow, .grace_ns = 3 * WEFT_SEC}};
    struct world world = {0};
    seen = (struct seen){0};
    stubborn_ns = 50 * WEFT_SEC;
    world_open(&world, OPTIONS(handlers));
    struct weft_uuid id = world_add(&world, "slow", "{}");
    (void)weft_sleep(WEFT_SEC);
    int64_t begin_ns = weft_now();
    world_cancel(&world, &id);
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL((weft_now() - begin_ns) / WEFT_SEC, 3);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    world_close(&world, 0); /* waits for it */
}

FIBER_TEST(an_expired_job_is_not_begun)
{
    struct world world = {0};
    seen = (struct seen){0};
    world_open(&world, OPTIONS(obedient));
    struct weft_uuid id = world_put(
        &world,
        (struct weft_submission){.task = "obey", .delay_us = 60000000, .expires_in_us = 30000000});
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    CHECK_EQUAL(seen.runs, 0);
    world_close(&world, 0);
}

/* ---- further jobs ----------------------------------------------------------------------- */

static int task_parent(struct weft_attempt *attempt, const void *settings)
{
    int64_t children = 0;
    const char *key = NULL;
    (void)settings;
    see();
    (void)weft_attempt_get_int(attempt, "children", &children);
    (void)weft_attempt_get_string(attempt, "key", &key);
    for (int64_t i = 0; i < children; i++)
        CHECK_EQUAL(weft_attempt_enqueue(
                        attempt, &(struct weft_attempt_job){.task = "obey",
                                                            .payload = "{\"do\":\"nothing\"}",
                                                            .unique_key = i == 0 ? key : NULL}),
                    0);
    if (seen.failures > 0) {
        seen.failures--;
        return -EPROTO;
    }
    return 0;
}

static const struct weft_handler family[] = {
    {.name = "parent", .run = task_parent},
    {.name = "obey", .run = task_obey},
};

FIBER_TEST(further_jobs_are_there_once_their_job_is_completed_and_never_before)
{
    struct world world = {0};
    seen = (struct seen){.failures = 1};
    world_open(&world, OPTIONS(family));
    struct weft_uuid id = world_add(&world, "parent", "{\"children\":3}");
    (void)weft_sleep(100 * WEFT_MSEC);
    struct weft_broker_stats stats;
    CHECK_EQUAL(world.broker->ops->stats(world.broker, &stats), 0);
    CHECK_EQUAL(stats.jobs[WEFT_JOB_RETRYABLE], 1); /* the first attempt has failed: no children */
    CHECK_EQUAL(stats.jobs[WEFT_JOB_COMPLETED], 0);
    weft_job_free(world_end(&world, &id));
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).completed, 4);
    CHECK_EQUAL(seen.runs, 2 + 3);
    world_close(&world, 0);
}

FIBER_TEST(a_further_job_that_is_there_already_is_no_reason_to_fail)
{
    struct world world = {0};
    seen = (struct seen){0};
    world_open(&world, OPTIONS(family));
    struct weft_uuid other = world_put(
        &world,
        (struct weft_submission){.task = "obey", .unique_key = "k", .delay_us = 3600000000});
    struct weft_uuid id = world_add(&world, "parent", "{\"children\":3,\"key\":\"k\"}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(world_counts(&world).completed, 3);
    CHECK_EQUAL(world_state(&world, &other), WEFT_JOB_SCHEDULED);
    world_close(&world, 0);
}

FIBER_TEST(further_jobs_that_are_refused_fail_the_attempt)
{
    struct world world = {0};
    seen = (struct seen){0};
    world_open(&world, OPTIONS(family));
    struct weft_queue_settings settings = {.size_max = 2};
    CHECK_EQUAL(world.broker->ops->queue_set(world.broker, "default", &settings), 0);
    struct weft_uuid id = world_add(&world, "parent", "{\"children\":3}");
    struct weft_job *job = world_end(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK(job->error && strstr(job->error, "a further job was refused: ") == job->error);
    weft_job_free(job);
    CHECK_EQUAL(seen.runs, 3);
    CHECK_EQUAL(world_counts(&world).completed, 0);
    world_close(&world, 0);
}

/* ---- inputs ----------------------------------------------------------------------------- */

static int task_sum(struct weft_attempt *attempt, const void *settings)
{
    long sum = 0;
    (void)settings;
    for (size_t i = 0; i < weft_attempt_inputs(attempt); i++) {
        const char *result;
        size_t len;
        CHECK_EQUAL(weft_attempt_input(attempt, i, &result, &len), 0);
        sum = sum * 10 + (result ? strtol(result, NULL, 10) : 9);
    }
    const char *none;
    CHECK_EQUAL(weft_attempt_input(attempt, 99, &none, NULL), -ENOENT);
    return weft_attempt_printf_result(attempt, "%ld", sum);
}

static int task_value(struct weft_attempt *attempt, const void *settings)
{
    size_t len;
    const char *payload = weft_attempt_payload(attempt, &len);
    (void)settings;
    int err = weft_sleep(WEFT_SEC);
    return err ? err : weft_attempt_result_json(attempt, payload, len);
}

FIBER_TEST(a_job_that_waited_for_others_has_their_results)
{
    static const struct weft_handler handlers[] = {
        {.name = "value", .run = task_value},
        {.name = "sum", .run = task_sum},
    };
    struct world world = {0};
    world_open(&world, OPTIONS(handlers));
    static const int indices[] = {2, 0, 1};
    static const struct weft_after after[3];
    struct weft_submission jobs[4] = {
        {.task = "value", .payload = world_json("1")},
        {.task = "value", .payload = world_json("2")},
        {.task = "value", .payload = world_json("3"), .delay_us = 5000000},
        {.task = "sum", .after = after, .after_index = indices, .after_count = 3},
    };
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, 4, true), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(jobs[i].err, 0);
    CHECK_EQUAL(jobs[0].state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(jobs[2].state, WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(jobs[3].state, WEFT_JOB_BLOCKED);
    struct weft_job *job = world_end(&world, &jobs[3].id);
    CHECK_TEXT(job->result.data, "312");
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(a_job_whose_need_is_dead_is_cancelled)
{
    struct world world = {0};
    seen = (struct seen){0};
    world_open(&world, OPTIONS(obedient));
    static const int index[] = {0};
    static const struct weft_after need[1], any[1] = {{.any_end = true}};
    struct weft_submission jobs[3] = {
        {.task = "obey", .payload = world_json("{\"do\":\"discard\"}")},
        {.task = "obey", .after = need, .after_index = index, .after_count = 1},
        {.task = "obey", .after = any, .after_index = index, .after_count = 1},
    };
    CHECK_EQUAL(weft_engine_submit(world.engine, jobs, 3, false), 0);
    struct weft_job *job = world_end(&world, &jobs[1].id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    job = world_end(&world, &jobs[2].id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    weft_job_free(job);
    world_close(&world, 0);
}

FIBER_TEST(results_are_dropped_in_time_also_where_jobs_are_kept_for_ever)
{
    seen = (struct seen){0};
    struct world world = {0};
    world_open(&world, (struct weft_engine_options){
                           .handlers = flaky, .handlers_count = 2, .retention = {-1, -1, -1}});
    struct weft_uuid id = world_put(
        &world, (struct weft_submission){
                    .task = "flaky", .priority = -1, .result_ttl_us = INT64_C(60) * 1000000});
    struct weft_job *job = world_end(&world, &id);
    CHECK(job->result.data);
    weft_job_free(job);
    (void)weft_sleep(5 * 60 * WEFT_SEC);
    job = world_find(&world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(!job->result.data);
    weft_job_free(job);
    world_close(&world, 0);
}
