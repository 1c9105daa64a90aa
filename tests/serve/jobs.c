/* SPDX-License-Identifier: MIT
 * jobs.c - weft_jobs in memory and in virtual time: what a program sees of its jobs. */
#include "desk.h"

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US INT64_C(3600000000)
#define HOUR_NS (3600 * WEFT_SEC)

/* ---- run, drain ------------------------------------------------------------------------- */

FIBER_TEST(a_job_runs_beside_its_program_and_its_result_is_waited_for)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    const char *id = desk_add(&desk, "echo", " {\"a\":[1]} ");
    struct weft_jobs_view *view = desk_end(&desk, id);
    CHECK_TEXT(view->id, id);
    CHECK_TEXT(view->task, "echo");
    CHECK_TEXT(view->queue, "default");
    CHECK(!view->flow && !view->error);
    CHECK_EQUAL(view->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(view->attempt, 1);
    CHECK_EQUAL(view->attempts_max, 3);
    CHECK_EQUAL(view->priority, 5);
    CHECK(view->result_is_json);
    CHECK_EQUAL(view->result_len, 11);
    CHECK(memcmp(view->result, " {\"a\":[1]} ", 11) == 0);
    CHECK(view->created_us >= NEW_YEAR_US && view->finished_us >= view->created_us);
    weft_jobs_view_free(view);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(retries_of_hours_take_no_time_and_as_long_as_they_should)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    struct weft_jobs_view *view = desk_end(&desk, desk_add(&desk, "flaky", "{\"fails\":9}"));
    CHECK_EQUAL(view->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(view->attempt, 10);
    CHECK_EQUAL((view->finished_us - view->created_us) / HOUR_US, 9);
    CHECK_TEXT(view->result, "10");
    CHECK_TEXT(view->error, "not yet");
    weft_jobs_view_free(view);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_drain_runs_what_is_due_and_no_more)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    const char *now = desk_add(&desk, "echo", "1");
    const char *retried = desk_add(&desk, "flaky", "{\"fails\":1}");
    const char *parent = desk_add(&desk, "parent", NULL);
    const char *later =
        desk_put(&desk, (struct weft_jobs_request){.task = "echo", .delay_ns = HOUR_NS});
    CHECK_EQUAL(desk_state(&desk, later), WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 4); /* what the parent puts in as well */
    CHECK_EQUAL(desk_state(&desk, now), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(desk_state(&desk, parent), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(desk_state(&desk, retried), WEFT_JOB_RETRYABLE);
    CHECK_EQUAL(desk_state(&desk, later), WEFT_JOB_SCHEDULED);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 0);
    (void)weft_sleep(HOUR_NS);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 2);
    CHECK_EQUAL(desk_state(&desk, retried), WEFT_JOB_COMPLETED);
    CHECK_EQUAL(desk_state(&desk, later), WEFT_JOB_COMPLETED);
    desk_close(&desk);
}

static char order[64];

static int task_note(struct weft_attempt *attempt, const void *settings)
{
    size_t len, used = strlen(order);
    const char *payload = weft_attempt_payload(attempt, &len);
    (void)settings;
    (void)snprintf(order + used, sizeof order - used, "%.*s", (int)len, payload);
    return 0;
}

static const struct weft_handler noting[] = {{.name = "note", .run = task_note}};

FIBER_TEST(a_drain_with_what_is_scheduled_goes_by_the_order_of_times)
{
    static const int delays_s[] = {300, 0, 86400, 60};
    struct desk desk;
    order[0] = '\0';
    desk_open(&desk, (struct weft_jobs_options){.handlers = noting, .handlers_count = 1});
    int64_t begun_ns = weft_now();
    for (int i = 0; i < 4; i++) {
        const char payload[] = {(char)('0' + i), '\0'};
        (void)desk_put(&desk, (struct weft_jobs_request){.task = "note",
                                                         .payload = payload,
                                                         .delay_ns = delays_s[i] * WEFT_SEC});
    }
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 1, 3), 3);
    CHECK_TEXT(order, "130");
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 1, 3), 1);
    CHECK_TEXT(order, "1302");
    CHECK(weft_now() - begun_ns < WEFT_SEC);
    desk_close(&desk);
}

FIBER_TEST(priorities_queues_and_weights_say_who_goes_first)
{
    static const struct weft_work_queue queues[] = {{.name = "fast"}, {.name = "slow"}};
    struct desk desk;
    order[0] = '\0';
    desk_open(&desk, (struct weft_jobs_options){.handlers = noting,
                                                .handlers_count = 1,
                                                .queues = queues,
                                                .queues_count = 2,
                                                .strict = 1,
                                                .concurrency = 1});
    struct weft_jobs_request requests[] = {
        {.task = "note", .queue = "slow", .payload = "1"},
        {.task = "note", .queue = "fast", .payload = "2"},
        {.task = "note", .queue = "fast", .payload = "3", .has_priority = 1},
        {.task = "note", .queue = "elsewhere", .payload = "4"},
    };
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, requests, 4, 0), 0);
    CHECK_EQUAL(requests[0].state, WEFT_JOB_AVAILABLE);
    desk_run(&desk);
    (void)weft_sleep(WEFT_SEC);
    CHECK_TEXT(order, "321");
    CHECK_EQUAL(desk_state(&desk, requests[3].id), WEFT_JOB_AVAILABLE);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_handler_puts_in_further_jobs)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    (void)desk_add(&desk, "late", NULL);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 2);
    CHECK_EQUAL(desk_counts(&desk).completed, 2);
    (void)desk_add(&desk, "late", NULL);
    desk_run(&desk);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(desk_counts(&desk).completed, 4);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_stop_lets_what_runs_end_in_its_grace_and_gives_back_the_rest)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    const char *shorter = desk_add(&desk, "sleep", "{\"ms\":1000}");
    const char *longer = desk_add(&desk, "sleep", "{\"ms\":100000}");
    (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(desk_state(&desk, longer), WEFT_JOB_RUNNING);
    weft_jobs_stop(desk.jobs, 5 * WEFT_SEC);
    struct weft_jobs_request late = {.task = "echo"};
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, &late, 1, 0), -ESHUTDOWN);
    CHECK_EQUAL(late.err, -ESHUTDOWN);
    CHECK_EQUAL(weft_group_wait(&desk.group), 0);
    CHECK_EQUAL(desk_state(&desk, shorter), WEFT_JOB_COMPLETED);
    struct weft_jobs_view *view = desk_find(&desk, longer);
    CHECK_EQUAL(view->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(view->attempt, 0);
    weft_jobs_view_free(view);
    CHECK_EQUAL(weft_jobs_run(desk.jobs), -EALREADY);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), -EBUSY);
    desk_close(&desk);
}

FIBER_TEST(a_stop_before_the_run_ends_it_at_once)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    const char *id = desk_add(&desk, "echo", NULL);
    weft_jobs_stop(desk.jobs, WEFT_SEC);
    CHECK_EQUAL(weft_jobs_run(desk.jobs), 0);
    CHECK_EQUAL(desk_state(&desk, id), WEFT_JOB_AVAILABLE);
    desk_close(&desk);
}

FIBER_TEST(no_drain_while_jobs_are_run)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    (void)weft_yield();
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), -EBUSY);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_program_without_handlers_only_puts_jobs_in)
{
    const struct weft_jobs_options none = {.broker = "memory:"};
    struct weft_jobs *jobs = NULL;
    struct weft_jobs_request request = {.task = "somebody-elses"};
    REQUIRE(weft_jobs_open(&jobs, &none, NULL, 0) == 0);
    CHECK_EQUAL(weft_jobs_enqueue(jobs, &request, 1, 0), 0);
    CHECK_EQUAL(weft_jobs_run(jobs), -EINVAL);
    CHECK_EQUAL(weft_jobs_drain(jobs, 1, 0), 0);
    weft_jobs_close(jobs);
    weft_jobs_close(NULL);
    weft_jobs_view_free(NULL);
}

FIBER_TEST(the_clock_begins_where_it_is_told_and_goes_with_the_runtimes)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    CHECK_EQUAL(weft_jobs_now_us(desk.jobs), NEW_YEAR_US);
    (void)weft_sleep(HOUR_NS);
    CHECK_EQUAL(weft_jobs_now_us(desk.jobs), NEW_YEAR_US + HOUR_US);
    desk_close(&desk);
}

/* ---- the same seed, the same story ------------------------------------------------------- */

static char story[2][8192];

static int tell_story(void *arg)
{
    char *text = arg;
    size_t used = 0;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event;
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){.seed = (uint64_t)text[0]});
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    desk_run(&desk);
    for (int i = 0; i < 3; i++)
        (void)desk_add(&desk, "fail", NULL); /* delays are drawn */
    (void)weft_sleep(100 * HOUR_NS);
    while (weft_jobs_watch_next(watch, &event, WEFT_NOWAIT) == 0)
        used += (size_t)snprintf(text + used, sizeof story[0] - used, "%s %s %lld\n", event.id,
                                 weft_job_state_name(event.to), (long long)event.at_us);
    REQUIRE(used < sizeof story[0]);
    weft_jobs_watch_close(watch);
    desk_stop(&desk, 0);
    desk_close(&desk);
    return 0;
}

static void tell(char *text, char seed)
{
    text[0] = seed;
    text[1] = '\0';
    const struct weft_run_options virtual_time = {.clock = WEFT_CLOCK_VIRTUAL, .seed = 1};
    CHECK_EQUAL(weft_run(&virtual_time, tell_story, text), 0);
}

TEST(the_same_seed_gives_the_same_ids_and_times)
{
    tell(story[0], 1);
    tell(story[1], 1);
    CHECK_TEXT(story[0], story[1]);
    CHECK(strlen(story[0]) > 1000);
    tell(story[1], 2);
    CHECK(strcmp(story[0], story[1]) != 0);
}

/* ---- what can be asked for --------------------------------------------------------------- */

static int task_header(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    const char *trace = weft_attempt_header(attempt, "trace");
    return weft_attempt_printf_result(attempt, "\"%s\"", trace ? trace : "none");
}

FIBER_TEST(headers_reach_the_handler)
{
    static const struct weft_handler reading[] = {{.name = "header", .run = task_header}};
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){.handlers = reading, .handlers_count = 1});
    const char *id = desk_put(
        &desk, (struct weft_jobs_request){.task = "header", .headers = " {\"trace\": \"abc\"}"});
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 1);
    struct weft_jobs_view *view = desk_find(&desk, id);
    CHECK_TEXT(view->result, "\"abc\"");
    weft_jobs_view_free(view);
    desk_close(&desk);
}

FIBER_TEST(bytes_come_back_as_bytes)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    const char *id = desk_put(&desk, (struct weft_jobs_request){.task = "echo",
                                                                .payload = "a\0\xff",
                                                                .payload_len = 3,
                                                                .is_bytes = 1,
                                                                .content_type = "image/x"});
    const char *empty = desk_put(&desk, (struct weft_jobs_request){.task = "echo", .is_bytes = 1});
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 2);
    struct weft_jobs_view *view = desk_find(&desk, id);
    CHECK(!view->result_is_json);
    CHECK_EQUAL(view->payload_len, 3);
    CHECK_EQUAL(view->result_len, 3);
    CHECK(memcmp(view->result, "a\0\xff", 3) == 0);
    weft_jobs_view_free(view);
    CHECK_EQUAL(desk_state(&desk, empty), WEFT_JOB_COMPLETED);
    desk_close(&desk);
}

FIBER_TEST(a_time_and_an_expiry_are_kept)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    CHECK_EQUAL(weft_jobs_pause(desk.jobs, "default"), 0);
    const char *at = desk_put(
        &desk, (struct weft_jobs_request){.task = "echo", .run_at_us = NEW_YEAR_US + 2 * HOUR_US});
    const char *expiring =
        desk_put(&desk, (struct weft_jobs_request){.task = "echo", .expires_in_ns = 90 * WEFT_SEC});
    struct weft_jobs_view *view = desk_end(&desk, expiring);
    CHECK_EQUAL(view->state, WEFT_JOB_CANCELLED);
    CHECK_EQUAL((view->finished_us - view->created_us) / 1000000, 90);
    weft_jobs_view_free(view);
    CHECK_EQUAL(weft_jobs_resume(desk.jobs, "default"), 0);
    view = desk_find(&desk, at);
    CHECK_EQUAL(view->run_at_us, NEW_YEAR_US + 2 * HOUR_US);
    weft_jobs_view_free(view);
    view = desk_end(&desk, at);
    CHECK_EQUAL((view->started_us - NEW_YEAR_US) / 1000000, 7200);
    weft_jobs_view_free(view);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(attempts_and_timeouts_are_the_jobs_own)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    const char *once =
        desk_put(&desk, (struct weft_jobs_request){.task = "fail", .attempts_max = 1});
    const char *late = desk_put(&desk, (struct weft_jobs_request){.task = "sleep",
                                                                  .payload = "{\"ms\":60000}",
                                                                  .attempts_max = 1,
                                                                  .timeout_ns = WEFT_SEC});
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 1, 0), 2);
    struct weft_jobs_view *view = desk_find(&desk, once);
    CHECK_EQUAL(view->state, WEFT_JOB_DEAD);
    CHECK_TEXT(view->error, "attempt 1 is no good");
    weft_jobs_view_free(view);
    CHECK_EQUAL(desk_state(&desk, late), WEFT_JOB_DEAD);
    CHECK_EQUAL(weft_jobs_retry(desk.jobs, once), 0);
    CHECK_EQUAL(weft_jobs_retry(desk.jobs, once), -EALREADY);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 1, 0), 1);
    desk_close(&desk);
}

FIBER_TEST(a_unique_job_is_there_once_and_its_window_counts)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    struct weft_jobs_request first = {
        .task = "echo", .unique_key = "k", .unique_window_ns = HOUR_NS};
    struct weft_jobs_request second = first;
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, &first, 1, 0), 0);
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, &second, 1, 0), WEFT_EDUPLICATE);
    CHECK_TEXT(second.id, first.id);
    CHECK_TEXT(second.reason, "a job with its unique key is there already");
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 1);
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, &second, 1, 0), WEFT_EDUPLICATE);
    (void)weft_sleep(HOUR_NS + WEFT_SEC);
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, &second, 1, 0), 0); /* the request is used again */
    CHECK(strcmp(second.id, first.id) != 0);
    CHECK(!second.reason && !second.err);
    desk_close(&desk);
}

FIBER_TEST(jobs_wait_for_each_other_in_a_call_and_across_calls)
{
    struct desk desk;
    char flow[WEFT_JOBS_ID_BYTES];
    desk_open(&desk, (struct weft_jobs_options){0});
    CHECK_EQUAL(weft_jobs_make_flow(desk.jobs, flow), 0);
    const struct weft_jobs_after both[] = {{.index = 0}, {.index = 1, .any_end = 1}};
    struct weft_jobs_request requests[] = {
        {.task = "echo", .flow = flow},
        {.task = "fail", .flow = flow, .attempts_max = 1},
        {.task = "echo", .flow = flow, .after = both, .after_count = 2},
    };
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, requests, 3, 1), 0);
    CHECK_EQUAL(requests[2].state, WEFT_JOB_BLOCKED);
    const struct weft_jobs_after that = {.id = requests[2].id};
    const char *last = desk_put(
        &desk,
        (struct weft_jobs_request){.task = "echo", .flow = flow, .after = &that, .after_count = 1});
    const struct weft_jobs_after dead = {.id = requests[1].id};
    const char *never = desk_put(
        &desk,
        (struct weft_jobs_request){.task = "echo", .flow = flow, .after = &dead, .after_count = 1});
    CHECK_EQUAL(desk_counts(&desk).blocked, 3);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 4);
    CHECK_EQUAL(desk_state(&desk, never), WEFT_JOB_CANCELLED);
    struct weft_jobs_view *view = desk_find(&desk, last);
    CHECK_EQUAL(view->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(view->flow, flow);
    weft_jobs_view_free(view);
    desk_close(&desk);
}

FIBER_TEST(all_or_none_says_which_was_the_reason)
{
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    struct weft_jobs_request requests[] = {
        {.task = "echo"}, {.task = "echo", .payload = "nonsense"}, {.task = "echo"}};
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, requests, 3, 1), -EINVAL);
    CHECK_EQUAL(requests[0].err, -ECANCELED);
    CHECK_EQUAL(requests[1].err, -EINVAL);
    CHECK_EQUAL(requests[2].err, -ECANCELED);
    CHECK_TEXT(requests[2].reason,
               "it was not put in, because another one of the call was refused");
    CHECK_EQUAL(desk_counts(&desk).available, 0);
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, requests, 3, 0), -EINVAL);
    CHECK_EQUAL(requests[0].err, 0);
    CHECK_EQUAL(requests[2].err, 0);
    CHECK_EQUAL(desk_counts(&desk).available, 2);
    const struct weft_jobs_after first = {.index = 0};
    requests[0].payload = "wrong again";
    requests[2].after = &first; /* what it waits for was not put in */
    requests[2].after_count = 1;
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, requests, 3, 0), -EINVAL);
    CHECK_EQUAL(requests[2].err, -ENOENT);
    CHECK_TEXT(requests[2].reason, "it waits for a job that is not known");
    desk_close(&desk);
}

/* ---- what is wrong ----------------------------------------------------------------------- */

FIBER_TEST(a_request_that_is_wrong_is_refused_with_a_sentence)
{
    static char large[(1 << 20) + 2], key[257], headers[4098];
    static const struct weft_jobs_after itself = {.index = 0}, bad = {.id = "17"},
                                        nobody = {.id = "01984a3f-0000-7000-8000-000000000001"};
    memset(large, ' ', sizeof large - 1);
    memset(key, 'k', sizeof key - 1);
    memset(headers, ' ', sizeof headers - 1);
    const struct {
        struct weft_jobs_request request;
        int err;
        const char *text;
    } wrong[] = {
        {{.task = NULL}, -EINVAL, "task is no name"},
        {{.task = "a b"}, -EINVAL, "task is no name"},
        {{.task = "ehco"}, -EINVAL, "no handler"},
        {{.task = "echo", .queue = ""}, -EINVAL, "queue is no name"},
        {{.task = "echo", .payload = "{"}, -EINVAL, "not JSON"},
        {{.task = "echo", .payload = "1 1", .payload_len = 2}, 0, NULL},
        {{.task = "echo", .payload = "\"\xff\""}, -EINVAL, "not JSON"},
        {{.task = "echo", .payload = large}, -EMSGSIZE, "larger than 1 MiB"},
        {{.task = "echo", .is_bytes = 1, .payload_len = 3}, -EINVAL, "is NULL"},
        {{.task = "echo", .content_type = "a/b"}, -EINVAL, "content type"},
        {{.task = "echo", .headers = "[\"a\"]"}, -EINVAL, "headers"},
        {{.task = "echo", .headers = "{\"a\":1}"}, -EINVAL, "headers"},
        {{.task = "echo", .headers = "{\"a\":\"1\",\"b\":{}}"}, -EINVAL, "headers"},
        {{.task = "echo", .headers = "{} {}"}, -EINVAL, "headers"},
        {{.task = "echo", .headers = headers}, -EMSGSIZE, "headers are longer"},
        {{.task = "echo", .has_priority = 1, .priority = 10}, -EINVAL, "priority"},
        {{.task = "echo", .has_priority = 1, .priority = -1}, -EINVAL, "priority"},
        {{.task = "echo", .attempts_max = 1001}, -EINVAL, "1,000 attempts"},
        {{.task = "echo", .delay_ns = -1}, -EINVAL, "negative"},
        {{.task = "echo", .timeout_ns = -1}, -EINVAL, "negative"},
        {{.task = "echo", .expires_in_ns = INT64_MIN}, -EINVAL, "negative"},
        {{.task = "echo", .run_at_us = 1, .delay_ns = 1}, -EINVAL, "as well as"},
        {{.task = "echo", .unique_key = ""}, -EINVAL, "key is empty"},
        {{.task = "echo", .limit_key = ""}, -EINVAL, "key is empty"},
        {{.task = "echo", .unique_key = key}, -EMSGSIZE, "255 bytes"},
        {{.task = "echo", .limit_key = key}, -EMSGSIZE, "255 bytes"},
        {{.task = "echo", .unique_window_ns = 1}, -EINVAL, "no unique key"},
        {{.task = "echo", .flow = "my flow"}, -EINVAL, "flow is no id"},
        {{.task = "echo", .after = &itself, .after_count = 1}, -EINVAL, "not before it"},
        {{.task = "echo", .after = &bad, .after_count = 1}, -EINVAL, "whose id is none"},
        {{.task = "echo", .after = &bad, .after_count = 1001}, -EINVAL, "1,000 jobs"},
        {{.task = "echo", .after = &nobody, .after_count = 1}, -ENOENT, "not known"},
    };
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct weft_jobs_request request = wrong[i].request;
        int err = weft_jobs_enqueue(desk.jobs, &request, 1, 0);
        bool told = wrong[i].text ? request.reason && strstr(request.reason, wrong[i].text)
                                  : !request.reason;
        CHECK(told);
        CHECK_EQUAL(err, wrong[i].err);
        CHECK_EQUAL(request.err, wrong[i].err);
        CHECK((err == 0) == (request.id[0] != '\0'));
        if (!told || err != wrong[i].err)
            test_note("number %zu: %s", i, request.reason ? request.reason : "accepted");
    }
    CHECK_EQUAL(desk_counts(&desk).available, 1);
    static const struct weft_jobs_after twice[] = {{.index = 0}, {.index = 0}};
    struct weft_jobs_request pair[] = {{.task = "echo"},
                                       {.task = "echo", .after = twice, .after_count = 2}};
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, pair, 2, 0), -EINVAL);
    CHECK_TEXT(pair[1].reason, "it waits for a job twice");
    CHECK_EQUAL(pair[0].err, 0);
    struct weft_jobs_request none = {.task = "echo"};
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, &none, 0, 0), -EINVAL);
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, &none, WEFT_JOBS_MAX + 1, 0), -EINVAL);
    desk_close(&desk);
}

FIBER_TEST(options_that_are_wrong_are_refused_with_a_sentence)
{
    static const struct weft_work_queue same[] = {{.name = "a"}, {.name = "a"}}, bad = {"a b", 0};
    static const struct weft_handler twice[] = {{.name = "note", .run = task_note},
                                                {.name = "note", .run = task_note}};
    static const struct weft_jobs_cron cron = {.name = "n", .expression = "tomorrow"};
    static const char *const library = "./not-there.so";
    const struct {
        struct weft_jobs_options options;
        int err;
        const char *text;
    } wrong[] = {
        {{.broker = "redis://here"}, -EINVAL, "use sqlite:PATH or memory:"},
        {{.broker = "sqlite:"}, -EINVAL, "not known"},
        {{.broker = "sqlite::memory:"}, -EINVAL, "memory: needs none"},
        {{.broker = "sqlite:/not/there/at.all"}, -ENOENT, "/not/there/at.all"},
        {{.broker = "memory:", .concurrency = 1000001}, -EINVAL, "1000000 jobs"},
        {{.broker = "memory:", .queues = same, .queues_count = 2}, -EINVAL, "named twice"},
        {{.broker = "memory:", .queues = &bad, .queues_count = 1}, -EINVAL, "\"a b\" is no name"},
        {{.broker = "memory:", .queues = same, .queues_count = 65}, -EINVAL, "64 queues"},
        {{.broker = "memory:", .handlers = twice, .handlers_count = 2}, -EINVAL, "note"},
        {{.broker = "memory:", .libraries = &library, .libraries_count = 1}, -ENOENT, "not-there"},
        {{.broker = "memory:", .crons = &cron, .crons_count = 1}, -EINVAL, "the schedule \"n\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char error[256] = "";
        struct weft_jobs *jobs = NULL;
        int err = weft_jobs_open(&jobs, &wrong[i].options, error, sizeof error);
        CHECK_EQUAL(err, wrong[i].err);
        CHECK(!jobs);
        CHECK(strstr(error, wrong[i].text) != NULL);
        if (err != wrong[i].err || !strstr(error, wrong[i].text))
            test_note("number %zu: %s", i, error);
    }
}

FIBER_TEST(ids_that_are_none_or_of_nothing_are_told_apart)
{
    struct desk desk;
    static const char *const nobody = "01984a3f-0000-7000-8000-000000000001";
    struct weft_jobs_view *view = NULL;
    desk_open(&desk, (struct weft_jobs_options){0});
    CHECK_EQUAL(weft_jobs_find(desk.jobs, "17", &view), -EINVAL);
    CHECK_EQUAL(weft_jobs_find(desk.jobs, nobody, &view), -ENOENT);
    CHECK_EQUAL(weft_jobs_wait(desk.jobs, "", WEFT_FOREVER, &view), -EINVAL);
    CHECK_EQUAL(weft_jobs_wait(desk.jobs, nobody, WEFT_FOREVER, &view), -ENOENT);
    CHECK_EQUAL(weft_jobs_cancel(desk.jobs, "17", NULL), -EINVAL);
    CHECK_EQUAL(weft_jobs_cancel(desk.jobs, nobody, NULL), -ENOENT);
    CHECK_EQUAL(weft_jobs_cancel_flow(desk.jobs, "17", NULL), -EINVAL);
    CHECK_EQUAL(weft_jobs_retry(desk.jobs, "17"), -EINVAL);
    CHECK_EQUAL(weft_jobs_retry(desk.jobs, nobody), -ENOENT);
    CHECK_EQUAL(weft_jobs_pause(desk.jobs, "a b"), -EINVAL);
    CHECK_EQUAL(weft_jobs_limit(desk.jobs, "a", &(struct weft_jobs_limits){.rate_per_s = -1}),
                -EINVAL);
    CHECK_EQUAL(weft_jobs_cron_remove(desk.jobs, "nobody"), -ENOENT);
    CHECK(!view);
    desk_close(&desk);
}

/* ---- what is wanted of jobs and queues --------------------------------------------------- */

FIBER_TEST(a_wait_ends_at_its_deadline)
{
    struct desk desk;
    struct weft_jobs_view *view = NULL;
    desk_open(&desk, (struct weft_jobs_options){0});
    const char *id = desk_add(&desk, "echo", NULL);
    CHECK_EQUAL(weft_jobs_wait(desk.jobs, id, weft_now() + HOUR_NS, &view), -ETIMEDOUT);
    CHECK_EQUAL(weft_jobs_wait(desk.jobs, id, WEFT_NOWAIT, &view), -ETIMEDOUT);
    CHECK(!view);
    CHECK_EQUAL(weft_jobs_now_us(desk.jobs), NEW_YEAR_US + HOUR_US);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 1);
    CHECK_EQUAL(weft_jobs_wait(desk.jobs, id, WEFT_NOWAIT, &view), 0);
    weft_jobs_view_free(view);
    desk_close(&desk);
}

FIBER_TEST(a_cancel_ends_what_waits_and_what_runs)
{
    struct desk desk;
    char flow[WEFT_JOBS_ID_BYTES];
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    REQUIRE(weft_jobs_make_flow(desk.jobs, flow) == 0);
    const char *running = desk_add(&desk, "sleep", "{\"ms\":1000000}");
    const char *waiting =
        desk_put(&desk, (struct weft_jobs_request){.task = "echo", .delay_ns = HOUR_NS});
    for (int i = 0; i < 3; i++)
        (void)desk_put(
            &desk, (struct weft_jobs_request){.task = "echo", .delay_ns = HOUR_NS, .flow = flow});
    (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(weft_jobs_cancel(desk.jobs, running, "enough"), 1);
    CHECK_EQUAL(weft_jobs_cancel(desk.jobs, waiting, NULL), 1);
    CHECK_EQUAL(weft_jobs_cancel(desk.jobs, waiting, NULL), -EALREADY);
    CHECK_EQUAL(weft_jobs_cancel_flow(desk.jobs, flow, "all of it"), 3);
    struct weft_jobs_view *view = desk_end(&desk, running);
    CHECK_EQUAL(view->state, WEFT_JOB_CANCELLED);
    CHECK_TEXT(view->error, "enough");
    weft_jobs_view_free(view);
    view = desk_find(&desk, waiting);
    CHECK_TEXT(view->error, "cancelled by request");
    weft_jobs_view_free(view);
    CHECK_EQUAL(desk_counts(&desk).cancelled, 5);
    CHECK(weft_jobs_now_us(desk.jobs) < NEW_YEAR_US + 1000000);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_queue_is_paused_goes_on_and_is_counted)
{
    struct desk desk;
    struct weft_jobs_counts counts;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    CHECK_EQUAL(weft_jobs_pause(desk.jobs, "mail"), 0);
    for (int i = 0; i < 3; i++)
        (void)desk_put(&desk, (struct weft_jobs_request){.task = "echo", .queue = "mail"});
    (void)desk_add(&desk, "echo", NULL);
    (void)weft_sleep(HOUR_NS);
    CHECK_EQUAL(weft_jobs_count(desk.jobs, "mail", &counts), 0);
    CHECK_EQUAL(counts.available, 3);
    CHECK_EQUAL(counts.completed, 0);
    CHECK_EQUAL(desk_counts(&desk).completed, 1);
    CHECK_EQUAL(weft_jobs_count(desk.jobs, "unheard-of", &counts), 0);
    CHECK_EQUAL(counts.available, 0);
    CHECK_EQUAL(weft_jobs_resume(desk.jobs, "mail"), 0);
    CHECK_EQUAL(weft_jobs_resume(desk.jobs, "mail"), 0);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(weft_jobs_count(desk.jobs, "mail", &counts), 0);
    CHECK_EQUAL(counts.completed, 3);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(limits_of_a_queue_hold_and_leave_its_pause_alone)
{
    struct desk desk;
    struct weft_jobs_counts counts;
    desk_open(&desk, (struct weft_jobs_options){0});
    CHECK_EQUAL(weft_jobs_pause(desk.jobs, "few"), 0);
    CHECK_EQUAL(weft_jobs_limit(desk.jobs, "few",
                                &(struct weft_jobs_limits){
                                    .size_max = 6, .running_max = 3, .running_max_per_key = 1}),
                0);
    struct weft_jobs_request requests[7] = {{.task = NULL}};
    for (int i = 0; i < 7; i++)
        requests[i] = (struct weft_jobs_request){.task = "sleep",
                                                 .queue = "few",
                                                 .payload = "{\"ms\":60000}",
                                                 .limit_key = i < 3 ? "a" : NULL};
    CHECK_EQUAL(weft_jobs_enqueue(desk.jobs, requests, 7, 0), WEFT_EFULL);
    CHECK_TEXT(requests[6].reason, "its queue has no room");
    CHECK_EQUAL(requests[5].err, 0);
    desk_run(&desk);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(weft_jobs_count(desk.jobs, "few", &counts), 0);
    CHECK_EQUAL(counts.running, 0);
    CHECK_EQUAL(weft_jobs_resume(desk.jobs, "few"), 0);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(weft_jobs_count(desk.jobs, "few", &counts), 0);
    CHECK_EQUAL(counts.running, 3);
    CHECK_EQUAL(desk_state(&desk, requests[1].id), WEFT_JOB_AVAILABLE); /* the key */
    (void)weft_sleep(300 * WEFT_SEC);
    CHECK_EQUAL(desk_counts(&desk).completed, 6);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

/* How a job that ended is found after so many days: 0, or it is gone. */
static int look_for(int64_t kept_ns, int days)
{
    struct desk desk;
    struct weft_jobs_view *view = NULL;
    desk_open(&desk, (struct weft_jobs_options){.retention = {.completed_ns = kept_ns}});
    desk_run(&desk);
    const char *id = desk_add(&desk, "echo", NULL);
    (void)weft_sleep(days * 24 * HOUR_NS);
    int err = weft_jobs_find(desk.jobs, id, &view);
    weft_jobs_view_free(view);
    desk_stop(&desk, 0);
    desk_close(&desk);
    return err;
}

FIBER_TEST(jobs_that_ended_are_kept_for_as_long_as_was_said)
{
    CHECK_EQUAL(look_for(0, 8), -ENOENT); /* seven days */
    CHECK_EQUAL(look_for(0, 1), 0);
    CHECK_EQUAL(look_for(HOUR_NS, 1), -ENOENT);
    CHECK_EQUAL(look_for(1, 1), -ENOENT);
    CHECK_EQUAL(look_for(-1, 8), 0);
}

/* ---- schedules --------------------------------------------------------------------------- */

static const struct weft_jobs_request cron_job = {.task = "echo",
                                                  .queue = "nightly",
                                                  .payload = "{\"a\":[1,\"\\u00e9\"]}",
                                                  .headers = "{\"trace\":\"x\"}",
                                                  .has_priority = 1,
                                                  .priority = 2,
                                                  .delay_ns = 60 * WEFT_SEC,
                                                  .expires_in_ns = 3600 * WEFT_SEC,
                                                  .timeout_ns = 1500 * WEFT_MSEC,
                                                  .attempts_max = 7,
                                                  .unique_key = "only \"one\"",
                                                  .unique_window_ns = WEFT_SEC,
                                                  .limit_key = "k"};

FIBER_TEST(a_schedule_puts_in_just_what_it_was_given)
{
    const struct weft_jobs_cron cron = {
        .name = "nightly", .expression = "30 2 * * *", .zone = "Etc/GMT-1", .job = &cron_job};
    struct desk desk;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event = {0};
    desk_open(&desk, (struct weft_jobs_options){.crons = &cron, .crons_count = 1});
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    desk_run(&desk);
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_FOREVER), 0);
    CHECK_EQUAL(event.from, WEFT_JOB_NONE);
    CHECK_EQUAL((event.at_us - NEW_YEAR_US) / 60000000, 90); /* 2:30, an hour ahead of UTC */
    struct weft_jobs_view *view = desk_end(&desk, event.id);
    CHECK_TEXT(view->queue, "nightly");
    CHECK_TEXT(view->result, "{\"a\":[1,\"\\u00e9\"]}");
    CHECK_EQUAL(view->priority, 2);
    CHECK_EQUAL(view->attempts_max, 7);
    CHECK_EQUAL((view->started_us - NEW_YEAR_US) / 60000000, 91);
    weft_jobs_view_free(view);
    (void)weft_sleep(6 * 24 * HOUR_NS + WEFT_SEC);
    CHECK_EQUAL(desk_counts(&desk).completed, 7);
    CHECK_EQUAL(weft_jobs_cron_remove(desk.jobs, "nightly"), 0);
    (void)weft_sleep(6 * 24 * HOUR_NS);
    CHECK_EQUAL(desk_counts(&desk).completed, 7);
    weft_jobs_watch_close(watch);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_schedule_that_is_set_again_keeps_its_time_and_another_one_replaces_it)
{
    static const struct weft_jobs_request job = {.task = "echo", .payload = "\"\\n\""};
    static const struct weft_jobs_request bytes = {
        .task = "echo", .payload = "\0\1", .payload_len = 2, .is_bytes = 1};
    struct weft_jobs_cron cron = {.name = "every", .expression = "@every 1h", .job = &job};
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    desk_run(&desk);
    CHECK_EQUAL(weft_jobs_cron_set(desk.jobs, &cron, NULL, 0), 0);
    (void)weft_sleep(HOUR_NS / 2);
    CHECK_EQUAL(weft_jobs_cron_set(desk.jobs, &cron, NULL, 0), 0);
    (void)weft_sleep(HOUR_NS / 2 + WEFT_SEC);
    CHECK_EQUAL(desk_counts(&desk).completed, 1);
    (void)weft_sleep(HOUR_NS / 2);
    cron.job = &bytes;
    CHECK_EQUAL(weft_jobs_cron_set(desk.jobs, &cron, NULL, 0), 0); /* still every full hour */
    (void)weft_sleep(HOUR_NS / 2);
    CHECK_EQUAL(desk_counts(&desk).completed, 2);
    cron.expression = "@every 1d";
    CHECK_EQUAL(weft_jobs_cron_set(desk.jobs, &cron, NULL, 0), 0);
    (void)weft_sleep(20 * HOUR_NS);
    CHECK_EQUAL(desk_counts(&desk).completed, 2);
    (void)weft_sleep(2 * HOUR_NS);
    CHECK_EQUAL(desk_counts(&desk).completed, 3);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_schedule_that_is_wrong_is_refused_with_a_sentence)
{
    static char deep[100];
    static const struct weft_jobs_after after = {.index = 0};
    static const struct weft_jobs_request echo = {.task = "echo"}, unknown = {.task = "ehco"},
                                          timed = {.task = "echo", .run_at_us = 1},
                                          waits = {
                                              .task = "echo", .after = &after, .after_count = 1};
    const struct weft_jobs_request nested = {.task = "echo", .payload = deep};
    memset(deep, '[', 40);
    memset(deep + 40, ']', 40);
    const struct {
        struct weft_jobs_cron cron;
        const char *text;
    } wrong[] = {
        {{.name = "a b", .expression = "@daily", .job = &echo}, "no name"},
        {{.name = NULL, .expression = "@daily", .job = &echo}, "no name"},
        {{.name = "n", .job = &echo}, "no expression"},
        {{.name = "n", .expression = "@daily"}, "no job"},
        {{.name = "n", .expression = "61 * * * *", .job = &echo}, "minute"},
        {{.name = "n", .expression = "0 0 31 2 *", .job = &echo}, "no such day"},
        {{.name = "n", .expression = "@daily", .zone = "Mars/Olympus", .job = &echo}, "zone"},
        {{.name = "n", .expression = "@daily", .missed = "perhaps", .job = &echo}, "perhaps"},
        {{.name = "n", .expression = "@daily", .job = &unknown}, "no handler"},
        {{.name = "n", .expression = "@daily", .job = &timed}, "run_at_us"},
        {{.name = "n", .expression = "@daily", .job = &waits}, "jobs to wait for"},
        {{.name = "n", .expression = "@daily", .job = &nested}, "deep"},
    };
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){0});
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char error[256] = "";
        CHECK_EQUAL(weft_jobs_cron_set(desk.jobs, &wrong[i].cron, error, sizeof error), -EINVAL);
        bool told = strstr(error, "the schedule \"") == error && strstr(error, wrong[i].text);
        CHECK(told);
        if (!told)
            test_note("number %zu: %s", i, error);
    }
    desk_close(&desk);
}
