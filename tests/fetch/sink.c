/* SPDX-License-Identifier: MIT
 * sink.c - the way of a result through a sink: batches, backpressure, failures, cancellations. */
#include "sink_box.h"

#include <weft/weft.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- batches ----------------------------------------------------------------------------- */

FIBER_TEST(a_batch_is_written_when_it_is_full)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_sink *sink = box_open(
        &output, &(struct weft_sink_options){.batch_max = 10, .batch_age_ns = WEFT_FOREVER});
    box_put(sink, 0, 25);
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    CHECK_EQUAL(log.batches, 2);
    CHECK_EQUAL(log.results, 20);
    box_close(sink, 0);
    CHECK_EQUAL(log.batches, 3);
    CHECK_EQUAL(log.sizes[0], 10);
    CHECK_EQUAL(log.sizes[1], 10);
    CHECK_EQUAL(log.sizes[2], 5);
}

/* Counted from the last flush, a result that comes after a quiet time would be written alone. */
FIBER_TEST(the_age_of_a_batch_is_that_of_its_first_result)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_sink *sink =
        box_open(&output, &(struct weft_sink_options){.batch_age_ns = WEFT_SEC});
    int64_t start_ns = weft_now();
    box_put(sink, 0, 1);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_sleep_until(start_ns + 10 * WEFT_SEC), 0);
    box_put(sink, 1, 1);
    CHECK_EQUAL(weft_sleep(700 * WEFT_MSEC), 0);
    CHECK_EQUAL(log.batches, 1);
    box_put(sink, 2, 1);
    CHECK_EQUAL(weft_sleep(700 * WEFT_MSEC), 0);
    CHECK_EQUAL(log.batches, 2);
    CHECK_EQUAL(log.sizes[1], 2);
    CHECK_EQUAL(log.at_ns[1] - start_ns, 11 * WEFT_SEC);
    box_close(sink, 0);
}

FIBER_TEST(a_flush_writes_what_was_put_before_it)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_sink *sink = box_open(
        &output, &(struct weft_sink_options){.batch_max = 10, .batch_age_ns = WEFT_FOREVER});
    box_put(sink, 0, 13);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(log.results, 13);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0); /* nothing to do */
    CHECK_EQUAL(log.batches, 2);
    box_close(sink, 0);
}

FIBER_TEST(a_result_is_copied_with_all_its_texts)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_sink *sink = box_open(&output, NULL);
    char url[] = "http://host/first";
    struct weft_fetch_result result = {.url = url, .attempt = 1};
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    memset(url, 'x', sizeof url - 1);
    box_close(sink, 0);
    CHECK_TEXT(log.last_url, "http://host/first");
}

FIBER_TEST(bodies_are_kept_only_for_who_wants_them)
{
    for (int keeps = 0; keeps < 2; keeps++) {
        struct box_log log = {0};
        struct weft_sink_output output = box_log_output(&log);
        output.keeps_bodies = keeps;
        struct weft_sink *sink = box_open(&output, NULL);
        struct weft_fetch_result result = box_result(1);
        result.body = "0123456789";
        result.body_len = 10;
        CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
        uint64_t bytes = box_metrics(sink).bytes_in_queue;
        CHECK(bytes > sizeof result);
        box_close(sink, 0);
        CHECK_EQUAL(log.body_bytes, keeps ? 10 : 0);
    }
}

/* ---- limits ------------------------------------------------------------------------------ */

struct held {
    struct weft_event go;
    struct box_log log;
    struct weft_sink *sink;
    unsigned put;
    int result;
};

/* A sink whose function waits for held->go. */
static void held_open(struct held *held, const struct weft_sink_options *options)
{
    *held = (struct held){0};
    REQUIRE(weft_event_init(&held->go, WEFT_AUTO) == 0);
    held->log.waits_for = &held->go;
    const struct weft_sink_output output = box_log_output(&held->log);
    held->sink = box_open(&output, options);
}

static int put_hundred(void *arg)
{
    struct held *held = arg;
    for (held->put = 0; held->put < 100 && held->result == 0; held->put += held->result == 0) {
        const struct weft_fetch_result result = box_result(held->put);
        held->result = weft_sink_put(held->sink, &result, WEFT_FOREVER);
    }
    return 0;
}

FIBER_TEST(who_puts_waits_while_the_queue_is_full)
{
    struct held held;
    struct weft_group group;
    held_open(&held, &(struct weft_sink_options){.batch_max = 5, .queue_max = 10});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, put_hundred, &held) == 0);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0);
    CHECK_EQUAL(held.put, 15); /* a batch in hand, and the queue */
    const struct weft_sink_metrics metrics = box_metrics(held.sink);
    CHECK_EQUAL(metrics.items_in_queue, 15);
    CHECK_EQUAL(metrics.items_processed, 0);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(held.put, 100);
    box_close(held.sink, 0);
    CHECK_EQUAL(held.log.results, 100);
}

FIBER_TEST(the_bytes_of_what_waits_are_bounded)
{
    struct held held;
    struct weft_group group;
    const uint32_t bytes_max = 8192;
    held_open(&held, &(struct weft_sink_options){
                         .batch_max = 5, .queue_max = 1000, .queue_bytes_max = bytes_max});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, put_hundred, &held) == 0);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0);
    CHECK(held.put > 5 && held.put < 50);
    const struct weft_sink_metrics metrics = box_metrics(held.sink);
    CHECK_EQUAL(metrics.items_in_queue, held.put);
    CHECK(metrics.bytes_in_queue <= bytes_max);
    CHECK(metrics.bytes_in_queue + 600 > bytes_max);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(held.put, 100);
    CHECK_EQUAL(weft_sink_flush(held.sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(box_metrics(held.sink).bytes_in_queue, 0);
    box_close(held.sink, 0);
}

FIBER_TEST(a_result_larger_than_the_bound_goes_alone)
{
    static char body[100000];
    struct box_log log = {0};
    struct weft_sink_output output = box_log_output(&log);
    output.keeps_bodies = 1;
    struct weft_sink *sink =
        box_open(&output, &(struct weft_sink_options){.queue_bytes_max = 1000});
    struct weft_fetch_result result = box_result(1);
    result.body = body;
    result.body_len = sizeof body;
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
        CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_NOWAIT), -EAGAIN);
        CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
    }
    CHECK_EQUAL(log.body_bytes, 3 * sizeof body);
    CHECK_EQUAL(box_metrics(sink).refused_items, 3);
    box_close(sink, 0);
}

FIBER_TEST(a_put_that_ends_by_its_deadline_has_put_nothing)
{
    struct held held;
    const struct weft_fetch_result late = box_result(77);
    held_open(&held, &(struct weft_sink_options){.batch_max = 1, .queue_max = 2});
    box_put(held.sink, 0, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0); /* it is in hand */
    box_put(held.sink, 1, 2);
    CHECK_EQUAL(weft_sink_put(held.sink, &late, weft_now() + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_sink_put(held.sink, &late, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(box_metrics(held.sink).refused_items, 2);
    CHECK_EQUAL(box_metrics(held.sink).dropped_items, 0);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    box_close(held.sink, 0);
    CHECK_EQUAL(held.log.results, 3);
    CHECK_TEXT(held.log.last_url, "http://host/2");
}

FIBER_TEST(what_is_dropped_when_full_is_counted)
{
    struct held held;
    unsigned dropped = 0;
    held_open(&held,
              &(struct weft_sink_options){.batch_max = 1, .queue_max = 10, .drop_when_full = 1});
    box_put(held.sink, 0, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    for (unsigned i = 1; i < 100; i++) {
        const struct weft_fetch_result result = box_result(i);
        int put = weft_sink_put(held.sink, &result, WEFT_FOREVER);
        CHECK(put == 0 || put == 1);
        dropped += put == 1;
    }
    CHECK_EQUAL(dropped, 89);
    CHECK_EQUAL(box_metrics(held.sink).dropped_items, 89);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    box_close(held.sink, 0);
    CHECK_EQUAL(held.log.results, 11);
}

FIBER_TEST(what_finds_no_bytes_is_dropped_and_counted_too)
{
    struct held held;
    unsigned dropped = 0;
    held_open(&held, &(struct weft_sink_options){
                         .batch_max = 1, .queue_bytes_max = 4096, .drop_when_full = 1});
    for (unsigned i = 0; i < 100; i++) {
        const struct weft_fetch_result result = box_result(i);
        dropped += weft_sink_put(held.sink, &result, WEFT_FOREVER) == 1;
    }
    CHECK(dropped > 50);
    CHECK_EQUAL(box_metrics(held.sink).dropped_items, dropped);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    box_close(held.sink, 0);
    CHECK_EQUAL(held.log.results + dropped, 100);
}

/* ---- failures ---------------------------------------------------------------------------- */

FIBER_TEST(a_failed_write_reaches_who_puts_and_nothing_is_lost_uncounted)
{
    struct box_log log = {.fails_at = 3, .error = -ENOSPC};
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_sink *sink =
        box_open(&output, &(struct weft_sink_options){.batch_max = 10, .queue_max = 20});
    unsigned put = 0;
    int err = 0;
    for (unsigned i = 0; err == 0 && i < 1000; i++) {
        const struct weft_fetch_result result = box_result(i);
        err = weft_sink_put(sink, &result, WEFT_FOREVER);
        put += err == 0;
    }
    CHECK_EQUAL(err, -ENOSPC);
    CHECK_TEXT(weft_sink_error(sink), "cannot write to the log: No space left on device");
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), -ENOSPC);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -ENOSPC);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -ENOSPC);
    const struct weft_sink_metrics metrics = box_metrics(sink);
    CHECK_EQUAL(metrics.items_processed, 20);
    CHECK_EQUAL(metrics.items_processed + metrics.dropped_items, put);
    CHECK_EQUAL(metrics.items_in_queue, 0);
    CHECK_EQUAL(metrics.bytes_in_queue, 0);
    weft_sink_close(sink);
}

FIBER_TEST(after_the_finish_nothing_is_taken)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_sink *sink = box_open(&output, NULL);
    const struct weft_fetch_result result = box_result(1);
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -ESHUTDOWN);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(box_metrics(sink).items_processed, 1);
    weft_sink_close(sink);
    weft_sink_close(NULL);
}

FIBER_TEST(results_that_make_no_sense_are_refused)
{
    static char long_text[2 << 20];
    struct box_log log = {0};
    struct weft_sink_output output = box_log_output(&log);
    output.keeps_bodies = 1;
    struct weft_sink *sink = box_open(&output, NULL);
    struct weft_fetch_result result = {0};
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -EINVAL);
    result = box_result(1);
    result.body_digest = "../../etc/passwd";
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -EINVAL);
    result.body_digest = "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789";
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -EINVAL);
    result.body_digest = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567890";
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -EINVAL);
    result.body_digest = NULL;
    result.body_len = 1;
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -EINVAL);
    result.body_len = 0;
    memset(long_text, 'x', sizeof long_text - 1);
    result.error = long_text;
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -EMSGSIZE);
    box_close(sink, 0);
    CHECK_EQUAL(log.results, 0);
}

static int open_with(const struct weft_sink_options *options)
{
    struct weft_sink *sink = NULL;
    char error[200] = "";
    int err = weft_sink_open(&sink, options, error, sizeof error);
    CHECK((err == 0) == (sink != NULL));
    CHECK((err < 0) == (error[0] != '\0'));
    weft_sink_close(sink);
    return err;
}

FIBER_TEST(options_that_make_no_sense_are_refused)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    const struct weft_sink_output no_function = {.kind = WEFT_SINK_FUNCTION};
    const struct weft_sink_output no_path = {.kind = WEFT_SINK_CSV};
    const struct weft_sink_output no_kind = {.path = "results.txt"};
    const struct weft_sink_output no_database = {.kind = WEFT_SINK_SQLITE, .path = "-"};
    const struct weft_sink_options wrong[] = {
        {.outputs = NULL, .outputs_count = 1},
        {.outputs = &output, .outputs_count = 0},
        {.outputs = &output, .outputs_count = WEFT_SINK_OUTPUTS_MAX + 1},
        {.outputs = &output, .outputs_count = 1, .batch_max = 65537},
        {.outputs = &output, .outputs_count = 1, .batch_max = 20, .queue_max = 10},
        {.outputs = &output, .outputs_count = 1, .queue_max = (1u << 20) + 1},
        {.outputs = &output, .outputs_count = 1, .batch_age_ns = -1},
        {.outputs = &no_function, .outputs_count = 1},
        {.outputs = &no_path, .outputs_count = 1},
        {.outputs = &no_kind, .outputs_count = 1},
        {.outputs = &no_database, .outputs_count = 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQUAL(open_with(&wrong[i]), -EINVAL);
    CHECK_EQUAL(open_with(NULL), -EINVAL);
    CHECK_EQUAL(open_with(&(struct weft_sink_options){
                    .outputs = &output, .outputs_count = 1, .queue_max = 10}),
                0);
}

TEST(outside_of_a_runtime_no_sink_is_opened)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    CHECK_EQUAL(open_with(&(struct weft_sink_options){.outputs = &output, .outputs_count = 1}),
                -EPERM);
}

/* ---- several outputs --------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(every_output_gets_every_result_and_databases_get_it_last)
{
    struct box_log first = {0}, second = {.fails_at = 2, .error = -EIO};
    const struct weft_sink_output outputs[] = {{.path = box_path("tee.sqlite")},
                                               box_log_output(&first),
                                               {.path = box_path("tee.jsonl")},
                                               {.path = box_path("tee.csv")},
                                               box_log_output(&second)};
    const struct weft_sink_options options = {
        .outputs = outputs, .outputs_count = 5, .batch_max = 10};
    struct weft_sink *sink = NULL;
    char error[200];
    REQUIRE(weft_sink_open(&sink, &options, error, sizeof error) == 0);
    box_put(sink, 0, 10);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(first.results, 10);
    CHECK_EQUAL(second.results, 10);
    CHECK_EQUAL(box_number(outputs[0].path, "SELECT count(*) FROM results"), 10);
    box_put(sink, 10, 10);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -EIO);
    CHECK_TEXT(weft_sink_error(sink), "cannot write to the log: Input/output error");
    weft_sink_close(sink);
    CHECK_EQUAL(first.results, 20);
    CHECK_EQUAL(box_number(outputs[0].path, "SELECT count(*) FROM results"), 10);
    char *lines = box_read(outputs[2].path, NULL);
    CHECK(box_lines(lines) >= 10);
    free(lines);
}

/* ---- cancellation ------------------------------------------------------------------------ */

FIBER_TEST(a_put_that_is_cancelled_before_it_begins_puts_nothing)
{
    struct box_log log = {0};
    struct weft_scope scope;
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_sink *sink = box_open(&output, NULL);
    const struct weft_fetch_result result = box_result(1);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    box_put(sink, 2, 1); /* it goes on */
    box_close(sink, 0);
    CHECK_EQUAL(log.results, 1);
    CHECK_TEXT(log.last_url, "http://host/2");
}

FIBER_TEST(a_put_that_is_cancelled_while_it_waits_puts_nothing)
{
    struct held held;
    struct weft_group group;
    held_open(&held, &(struct weft_sink_options){.batch_max = 5, .queue_max = 10});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, put_hundred, &held) == 0);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0);
    weft_group_close(&group);
    CHECK_EQUAL(held.result, -ECANCELED);
    CHECK_EQUAL(held.put, 15);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    box_close(held.sink, 0);
    CHECK_EQUAL(held.log.results, 15);
}

static int flush_with(void *arg)
{
    struct held *held = arg;
    held->result = weft_sink_flush(held->sink, WEFT_FOREVER);
    return 0;
}

FIBER_TEST(a_flush_that_is_cancelled_while_it_waits_leaves_the_sink_as_it_is)
{
    struct held held;
    struct weft_group group;
    held_open(&held, NULL);
    box_put(held.sink, 0, 3);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, flush_with, &held) == 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    weft_group_close(&group);
    CHECK_EQUAL(held.result, -ECANCELED);
    CHECK_EQUAL(weft_sink_flush(held.sink, weft_now() + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_sink_flush(held.sink, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    CHECK_EQUAL(weft_sink_flush(held.sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(held.log.results, 3);
    box_close(held.sink, 0);
}

FIBER_TEST(a_finish_that_ran_out_of_time_can_be_called_again)
{
    struct held held;
    held_open(&held, NULL);
    box_put(held.sink, 0, 3);
    CHECK_EQUAL(weft_sink_finish(held.sink, weft_now() + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_sink_finish(held.sink, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_event_set(&held.go), 0);
    box_close(held.sink, 0);
    CHECK_EQUAL(held.log.results, 3);
}

/* The scope around the finish ends in the moment in which the last batch is written. */
FIBER_TEST(a_finish_that_is_cancelled_at_its_end_is_done_or_can_be_called_again)
{
    struct box_log log = {0};
    const struct weft_sink_output output = box_log_output(&log);
    for (int64_t late_ns = -1; late_ns <= 1; late_ns++) {
        struct weft_scope scope;
        struct weft_sink *sink =
            box_open(&output, &(struct weft_sink_options){.batch_age_ns = WEFT_SEC});
        box_put(sink, 0, 3);
        weft_scope_enter(&scope, weft_now() + late_ns, 0);
        int err = weft_scope_leave(&scope, weft_sink_finish(sink, WEFT_FOREVER));
        CHECK(err == 0 || err == -ETIMEDOUT);
        box_close(sink, 0);
    }
    CHECK_EQUAL(log.results, 9);
}

FIBER_TEST(a_sink_closed_without_a_finish_cancels_its_writer)
{
    struct held held;
    held_open(&held, NULL);
    box_put(held.sink, 0, 3);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    weft_sink_close(held.sink); /* returns, though nobody sets the event */
    CHECK_EQUAL(held.log.results, 0);
}

FIBER_TEST(a_sink_in_a_cancelled_scope_stops_with_it)
{
    struct held held;
    struct weft_scope scope;
    const struct weft_fetch_result result = box_result(9);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    held_open(&held, NULL);
    box_put(held.sink, 0, 3);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_sink_put(held.sink, &result, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_sink_finish(held.sink, WEFT_FOREVER), -ECANCELED);
    CHECK_TEXT(weft_sink_error(held.sink), "");
    weft_sink_close(held.sink);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
}

/* ---- from elsewhere ---------------------------------------------------------------------- */

static void *put_on_thread(void *arg)
{
    struct weft_sink *sink = arg;
    long failed = 0;
    for (unsigned i = 0; i < 500; i++) {
        const struct weft_fetch_result result = {.url = "http://host/thread", .attempt = 1};
        failed += weft_sink_put(sink, &result, WEFT_FOREVER) != 0;
    }
    return failed ? arg : NULL;
}

static int join_thread(void *arg)
{
    pthread_t *thread = arg;
    void *failed;
    return pthread_join(*thread, &failed) == 0 && !failed ? 0 : -EIO;
}

REAL_TIME_FIBER_TEST(threads_outside_of_the_runtime_can_put)
{
    struct box_log log = {0};
    pthread_t threads[3];
    struct weft_scope shield; /* they use the sink: whatever happens, they are waited for */
    const struct weft_sink_output output = box_log_output(&log);
    struct weft_runtime *runtime = weft_runtime_acquire();
    struct weft_sink *sink =
        box_open(&output, &(struct weft_sink_options){.sharing = WEFT_SHARED, .batch_max = 7});
    for (int i = 0; i < 3; i++)
        REQUIRE(pthread_create(&threads[i], NULL, put_on_thread, sink) == 0);
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_offload(join_thread, &threads[i]), 0);
    CHECK_EQUAL(weft_scope_leave(&shield, 0), 0);
    box_close(sink, 0);
    weft_runtime_release(runtime);
    CHECK_EQUAL(log.results, 1500);
}
