/* SPDX-License-Identifier: MIT */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/debounce.h>
#include <weft/group.h>

#include <base/random.h>

#include <errno.h>
#include <string.h>

/* What the last runs were given, and when. */
static struct {
    int64_t work_ns, at_ns[8];
    int args[8], runs, inside, result, events;
    struct weft_debounce *again; /* called from inside the first run */
    int flush_inside;
} seen;

static int note(void *arg)
{
    int i = seen.runs++ % 8;
    CHECK_EQUAL(seen.inside++, 0); /* never beside itself */
    seen.args[i] = *(int *)arg;
    seen.at_ns[i] = weft_now();
    if (seen.again && i == 0) {
        int next = 99;
        CHECK_EQUAL(weft_debounce_call(seen.again, &next), 0);
        seen.flush_inside = weft_debounce_flush(seen.again, WEFT_FOREVER);
    }
    int err = seen.work_ns ? weft_sleep(seen.work_ns) : 0;
    seen.inside--;
    return err < 0 ? err : seen.result;
}

static void count_event(void *arg, const struct weft_debounce_event *event)
{
    (void)arg;
    CHECK_EQUAL(event->result, seen.result);
    seen.events++;
}

static struct weft_debounce *open_note(int64_t wait_ns, int64_t wait_max_ns, enum weft_edges edges)
{
    const struct weft_debounce_options options = {.fn = note,
                                                  .arg_bytes = sizeof(int),
                                                  .wait_ns = wait_ns,
                                                  .wait_max_ns = wait_max_ns,
                                                  .edges = edges,
                                                  .on_event = count_event};
    struct weft_debounce *debounce = NULL;
    memset(&seen, 0, sizeof seen);
    REQUIRE(weft_debounce_open(&debounce, &options) == 0);
    return debounce;
}

static void call(struct weft_debounce *debounce, int arg)
{
    CHECK_EQUAL(weft_debounce_call(debounce, &arg), 0); /* whose copy must not live here */
}

FIBER_TEST(the_latest_argument_wins_when_it_has_been_quiet)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    int64_t begin_ns = weft_now();
    for (int i = 1; i <= 5; i++) {
        call(debounce, i);
        CHECK_EQUAL(weft_sleep(WEFT_SEC / 2), 0);
    }
    CHECK_EQUAL(seen.runs, 0);
    CHECK_EQUAL(weft_debounce_pending(debounce), 1);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.runs, 1);
    CHECK_EQUAL(seen.args[0], 5);
    CHECK_EQUAL(seen.at_ns[0] - begin_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(weft_debounce_pending(debounce), 0);
    weft_debounce_close(debounce);
}

FIBER_TEST(a_leading_run_begins_at_once)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_BOTH);
    int64_t begin_ns = weft_now();
    call(debounce, 1);
    CHECK_EQUAL(weft_yield(), 0);
    call(debounce, 2);
    call(debounce, 3);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.runs, 2);
    CHECK_EQUAL(seen.args[0], 1);
    CHECK_EQUAL(seen.args[1], 3);
    CHECK_EQUAL(seen.at_ns[0] - begin_ns, 0);
    CHECK_EQUAL(seen.at_ns[1] - begin_ns, WEFT_SEC);
    weft_debounce_close(debounce);
}

FIBER_TEST(calls_that_do_not_end_run_it_all_the_same)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 3 * WEFT_SEC, WEFT_EDGE_TRAILING);
    int64_t begin_ns = weft_now();
    for (int i = 0; i < 20; i++) {
        call(debounce, i);
        CHECK_EQUAL(weft_sleep(WEFT_SEC / 2), 0);
    }
    CHECK_EQUAL(seen.runs, 3);
    CHECK_EQUAL(seen.at_ns[1] - begin_ns, 6 * WEFT_SEC);
    weft_debounce_close(debounce);
}

FIBER_TEST(calls_while_it_runs_open_a_new_window)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    int64_t begin_ns = weft_now();
    seen.work_ns = 5 * WEFT_SEC;
    call(debounce, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0); /* it runs from 1 s to 6 s */
    call(debounce, 2);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    call(debounce, 3);
    CHECK_EQUAL(weft_sleep(20 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.runs, 2);
    CHECK_EQUAL(seen.args[0], 1); /* its copy does not change while it runs */
    CHECK_EQUAL(seen.args[1], 3);
    CHECK_EQUAL(seen.at_ns[1] - begin_ns, 6 * WEFT_SEC); /* due at 3 s and 5 s */
    weft_debounce_close(debounce);
}

FIBER_TEST(it_may_call_itself_but_not_wait_for_itself)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    seen.again = debounce;
    call(debounce, 1);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.runs, 2);
    CHECK_EQUAL(seen.args[1], 99);
    CHECK_EQUAL(seen.flush_inside, -EDEADLK);
    weft_debounce_close(debounce);
}

FIBER_TEST(a_flush_runs_what_is_pending_and_waits_for_it)
{
    struct weft_debounce *debounce = open_note(3600 * WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    int64_t begin_ns = weft_now();
    seen.work_ns = WEFT_SEC, seen.result = 7;
    CHECK_EQUAL(weft_debounce_flush(debounce, WEFT_FOREVER), 0);
    CHECK_EQUAL(seen.runs, 0); /* nothing was pending */
    call(debounce, 1);
    CHECK_EQUAL(weft_debounce_flush(debounce, WEFT_FOREVER), 7);
    CHECK_EQUAL(weft_now() - begin_ns, WEFT_SEC);
    CHECK_EQUAL(seen.runs, 1);
    call(debounce, 2);
    CHECK_EQUAL(weft_debounce_flush(debounce, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(weft_debounce_flush(debounce, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_debounce_flush(debounce, WEFT_FOREVER), 7); /* the one that runs */
    CHECK_EQUAL(seen.runs, 2);
    weft_debounce_close(debounce);
}

FIBER_TEST(what_is_cancelled_is_forgotten)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    CHECK_EQUAL(weft_debounce_cancel(debounce), 0);
    call(debounce, 1);
    CHECK_EQUAL(weft_debounce_cancel(debounce), 1);
    CHECK_EQUAL(weft_debounce_pending(debounce), 0);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.runs, 0);
    weft_debounce_close(debounce);
}

FIBER_TEST(closing_forgets_what_is_pending_and_joins_what_runs)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    seen.work_ns = 3600 * WEFT_SEC;
    call(debounce, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    call(debounce, 2);
    CHECK_EQUAL(seen.inside, 1);
    weft_debounce_close(debounce);
    CHECK_EQUAL(seen.inside, 0);
    CHECK_EQUAL(seen.runs, 1);
    weft_debounce_close(NULL);
}

static int flush_it(void *arg)
{
    return weft_debounce_flush(arg, WEFT_FOREVER);
}

FIBER_TEST(closing_sends_away_who_waits_in_a_flush)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    struct weft_group group;
    struct weft_task task = {0};
    const struct weft_group_options options = {.policy = WEFT_SUPERVISE};
    seen.work_ns = 3600 * WEFT_SEC;
    call(debounce, 1);
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, flush_it, debounce), 0);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    weft_debounce_close(debounce);
    (void)weft_group_wait(&group);
    CHECK_EQUAL(task.result, -ECANCELED); /* what fn came to */
}

FIBER_TEST(failures_are_counted_and_told)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_LEADING);
    struct weft_debounce_snapshot snapshot;
    seen.result = -EIO;
    call(debounce, 1);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(seen.events, 1);
    CHECK_EQUAL(weft_debounce_snapshot(debounce, &snapshot), 0);
    CHECK_EQUAL(snapshot.calls, 1);
    CHECK_EQUAL(snapshot.runs, 1);
    CHECK_EQUAL(snapshot.failed, 1);
    CHECK_EQUAL(snapshot.last_result, -EIO);
    CHECK_EQUAL(snapshot.running, 0);
    weft_debounce_close(debounce);
}

FIBER_TEST(after_a_cancellation_nothing_runs_and_calls_say_so)
{
    struct weft_scope scope;
    int arg = 1;
    weft_scope_enter(&scope, weft_now() + 2 * WEFT_SEC, WEFT_SCOPE_MOVE_ON);
    struct weft_debounce *debounce = open_note(3 * WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    call(debounce, 1);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), -ECANCELED);
    CHECK_EQUAL(weft_shield(flush_it, debounce), -ESHUTDOWN);
    CHECK_EQUAL(weft_debounce_call(debounce, &arg), -ESHUTDOWN);
    weft_debounce_close(debounce);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(seen.runs, 0);
}

FIBER_TEST(an_argument_that_is_to_be_copied_is_there)
{
    struct weft_debounce *debounce = open_note(WEFT_SEC, 0, WEFT_EDGE_TRAILING);
    CHECK_EQUAL(weft_debounce_call(debounce, NULL), -EINVAL);
    CHECK_EQUAL(weft_debounce_pending(debounce), 0);
    weft_debounce_close(debounce);
}

FIBER_TEST(options_that_make_no_sense_are_refused)
{
    struct weft_debounce *debounce = NULL;
    struct weft_debounce_options options = {.fn = note, .wait_ns = 10};
    CHECK_EQUAL(weft_debounce_open(&debounce, NULL), -EINVAL);
    options.wait_max_ns = 9;
    CHECK_EQUAL(weft_debounce_open(&debounce, &options), -EINVAL);
    options.wait_max_ns = 0, options.arg_bytes = 4097;
    CHECK_EQUAL(weft_debounce_open(&debounce, &options), -EINVAL);
    options.arg_bytes = 0, options.wait_ns = 0;
    CHECK_EQUAL(weft_debounce_open(&debounce, &options), -EINVAL);
    options.wait_ns = 10, options.fn = NULL;
    CHECK_EQUAL(weft_debounce_open(&debounce, &options), -EINVAL);
    CHECK(!debounce);
}

/* ---- random schedules ---------------------------------------------------------------- */

/* Calls, flushes and cancels at random times, by several fibers; what was called last has run, or
 * was cancelled, once it has been quiet for long enough. */
struct storm {
    struct weft_random random;
    struct weft_debounce *debounce;
    int last, forgotten;
};

static int64_t some(struct storm *storm, uint64_t bound)
{
    return (int64_t)weft_random_below(&storm->random, bound);
}

static int storm_member(void *arg)
{
    struct storm *storm = arg;
    for (int i = 0; i < 30; i++) {
        (void)weft_sleep(some(storm, 30));
        int64_t what = some(storm, 12);
        if (what == 0) {
            (void)weft_debounce_flush(storm->debounce, weft_now() + some(storm, 20));
        } else if (what == 1) {
            (void)weft_debounce_cancel(storm->debounce);
            storm->forgotten = storm->last;
        } else {
            call(storm->debounce, ++storm->last);
        }
    }
    return 0;
}

static int storm_run(void *arg)
{
    struct storm *storm = arg;
    struct weft_group group;
    int64_t wait_ns = 1 + some(storm, 10), wait_max_ns = some(storm, 2) ? wait_ns * 3 : 0;
    enum weft_edges edges = some(storm, 2) ? WEFT_EDGE_TRAILING : WEFT_EDGE_BOTH;
    storm->debounce = open_note(wait_ns, wait_max_ns, edges);
    seen.work_ns = some(storm, 15);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_spawn(&group, storm_member, storm), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_sleep(1000), 0);
    int ran = seen.runs ? seen.args[(seen.runs - 1) % 8] : 0;
    CHECK_EQUAL(weft_debounce_pending(storm->debounce), 0);
    bool lost = ran != storm->last && storm->forgotten != storm->last;
    weft_debounce_close(storm->debounce);
    return lost ? -EIO : 0;
}

TEST(no_schedule_loses_the_latest_call_or_runs_beside_itself)
{
    int err = 0;
    for (uint64_t seed = 1; err == 0 && seed <= 500; seed++) {
        struct storm storm = {.last = 0};
        const struct weft_run_options run = {
            .clock = WEFT_CLOCK_VIRTUAL, .seed = seed, .io = "epoll"};
        weft_random_seed(&storm.random, seed);
        err = weft_run(&run, storm_run, &storm);
        if (err < 0)
            test_note("seed %llu", (unsigned long long)seed);
    }
    CHECK_EQUAL(err, 0);
}

/* ---- threads ------------------------------------------------------------------------- */

static struct {
    struct weft_debounce *debounce;
    atomic_int calls, runs, last;
} shared;

static int shared_run(void *arg)
{
    atomic_fetch_add(&shared.runs, 1);
    atomic_store(&shared.last, *(int *)arg);
    return 0;
}

static int call_often(void *arg)
{
    for (int i = 0; i < 200; i++) {
        int number = atomic_fetch_add(&shared.calls, 1) + 1;
        CHECK_EQUAL(weft_debounce_call(arg, &number), 0);
        (void)weft_yield();
    }
    return 0;
}

static int share(void *arg)
{
    const struct weft_debounce_options options = {.fn = shared_run,
                                                  .arg_bytes = sizeof(int),
                                                  .wait_ns = 20 * WEFT_USEC,
                                                  .sharing = WEFT_SHARED};
    struct weft_group group;
    (void)arg;
    REQUIRE(weft_debounce_open(&shared.debounce, &options) == 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 4; i++) {
        const struct weft_spawn_options spawn = {.worker = WEFT_WORKER(i % 2)};
        CHECK_EQUAL(weft_spawn_with(&group, call_often, shared.debounce, &spawn), 0);
    }
    CHECK_EQUAL(on_a_thread(call_often, shared.debounce), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    int last = 5000;
    CHECK_EQUAL(weft_debounce_call(shared.debounce, &last), 0);
    CHECK_EQUAL(weft_debounce_flush(shared.debounce, WEFT_FOREVER), 0);
    weft_debounce_close(shared.debounce);
    return 0;
}

TEST(workers_and_threads_share_a_debounce)
{
    const struct weft_run_options run = {.workers = 2};
    CHECK_EQUAL(weft_run(&run, share, NULL), 0);
    CHECK_EQUAL(shared.calls, 1000);
    CHECK(shared.runs >= 1);
    CHECK_EQUAL(shared.last, 5000);
}
