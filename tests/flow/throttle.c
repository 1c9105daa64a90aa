/* SPDX-License-Identifier: MIT */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>
#include <weft/throttle.h>

#include <errno.h>
#include <string.h>

static struct weft_throttle *open_throttle(int64_t interval_ns, enum weft_throttle_mode mode)
{
    const struct weft_throttle_options options = {.interval_ns = interval_ns, .mode = mode};
    struct weft_throttle *throttle = NULL;
    REQUIRE(weft_throttle_open(&throttle, &options) == 0);
    return throttle;
}

struct caller {
    struct weft_throttle *throttle;
    int64_t deadline_ns, at_ns;
    int result;
    struct weft_scope *scope;
};

static int enter(void *arg)
{
    struct caller *caller = arg;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    caller->scope = &scope;
    caller->result = weft_throttle_enter(caller->throttle, caller->deadline_ns);
    caller->scope = NULL;
    caller->at_ns = weft_now();
    (void)weft_scope_leave(&scope, 0);
    return 0;
}

static void start(struct weft_group *group, struct weft_throttle *throttle, struct caller *callers,
                  int count)
{
    CHECK_EQUAL(weft_group_init(group, NULL), 0);
    for (int i = 0; i < count; i++) {
        callers[i] = (struct caller){throttle, WEFT_FOREVER, 0, 1, NULL};
        CHECK_EQUAL(weft_spawn(group, enter, &callers[i]), 0);
    }
    CHECK_EQUAL(weft_yield(), 0);
}

/* The seed's throttle writes the time of the last call after it has slept, so all who come while
 * one sleeps compute the same wait, and pass together. */
FIBER_TEST(callers_that_come_at_once_pass_one_interval_apart)
{
    struct weft_throttle *throttle = open_throttle(WEFT_SEC, WEFT_THROTTLE_WAIT);
    struct caller callers[5];
    struct weft_group group;
    int64_t begin_ns = weft_now();
    start(&group, throttle, callers, 5);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(callers[i].result, 0);
        CHECK_EQUAL(callers[i].at_ns - begin_ns, i * WEFT_SEC);
    }
    weft_throttle_close(throttle);
}

FIBER_TEST(who_gives_up_costs_the_others_no_time)
{
    struct weft_throttle *throttle = open_throttle(WEFT_SEC, WEFT_THROTTLE_WAIT);
    struct weft_throttle_snapshot snapshot;
    struct caller callers[5];
    struct weft_group group;
    int64_t begin_ns = weft_now();
    start(&group, throttle, callers, 5);
    CHECK_EQUAL(weft_throttle_snapshot(throttle, &snapshot), 0);
    CHECK_EQUAL(snapshot.waiting, 3); /* one has the turn */
    if (callers[1].scope && callers[3].scope) {
        weft_scope_cancel(callers[1].scope, 0); /* the one with the turn */
        weft_scope_cancel(callers[3].scope, 0); /* one in the queue */
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(callers[1].result, -ECANCELED);
    CHECK_EQUAL(callers[3].result, -ECANCELED);
    CHECK_EQUAL(callers[2].at_ns - begin_ns, WEFT_SEC);
    CHECK_EQUAL(callers[4].at_ns - begin_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(weft_throttle_snapshot(throttle, &snapshot), 0);
    CHECK_EQUAL(snapshot.passed, 3);
    CHECK_EQUAL(snapshot.waiting, 0);
    weft_throttle_close(throttle);
}

FIBER_TEST(a_deadline_ends_the_wait_for_the_turn_and_for_the_time)
{
    struct weft_throttle *throttle = open_throttle(10 * WEFT_SEC, WEFT_THROTTLE_WAIT);
    struct caller callers[2];
    struct weft_group group;
    int64_t begin_ns = weft_now();
    start(&group, throttle, callers, 2); /* the second sleeps until 10 s */
    CHECK_EQUAL(weft_throttle_enter(throttle, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_throttle_enter(throttle, begin_ns + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begin_ns, WEFT_SEC);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_throttle_enter(throttle, begin_ns + 15 * WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begin_ns, 15 * WEFT_SEC);
    CHECK_EQUAL(weft_throttle_enter(throttle, begin_ns + 20 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_now() - begin_ns, 20 * WEFT_SEC);
    weft_throttle_close(throttle);
}

FIBER_TEST(a_skipping_throttle_makes_nobody_wait)
{
    struct weft_throttle *throttle = open_throttle(WEFT_SEC, WEFT_THROTTLE_SKIP);
    struct weft_throttle_snapshot snapshot;
    int64_t begin_ns = weft_now();
    int passed = 0;
    for (int i = 0; i < 21; i++) {
        passed += weft_throttle_enter(throttle, WEFT_FOREVER) == 0;
        CHECK_EQUAL(weft_now() - begin_ns, i * 300 * WEFT_MSEC);
        CHECK_EQUAL(weft_sleep(300 * WEFT_MSEC), 0);
    }
    CHECK_EQUAL(passed, 6); /* at 0, 1.2, 2.4, ... */
    CHECK_EQUAL(weft_throttle_snapshot(throttle, &snapshot), 0);
    CHECK_EQUAL(snapshot.passed, 6);
    CHECK_EQUAL(snapshot.skipped, 15);
    weft_throttle_close(throttle);
}

static int answer(void *arg)
{
    return *(int *)arg;
}

FIBER_TEST(run_passes_and_returns_what_the_function_returned)
{
    struct weft_throttle *throttle = open_throttle(WEFT_SEC, WEFT_THROTTLE_SKIP);
    int seven = 7;
    CHECK_EQUAL(weft_throttle_run(throttle, answer, &seven, WEFT_FOREVER), 7);
    CHECK_EQUAL(weft_throttle_run(throttle, answer, &seven, WEFT_FOREVER), -EAGAIN);
    weft_throttle_close(throttle);
}

FIBER_TEST(the_queue_has_a_bound)
{
    const struct weft_throttle_options options = {.interval_ns = WEFT_SEC, .waiters_max = 1};
    struct weft_throttle *throttle = NULL;
    struct caller callers[3];
    struct weft_group group;
    REQUIRE(weft_throttle_open(&throttle, &options) == 0);
    start(&group, throttle, callers, 3);
    CHECK_EQUAL(weft_throttle_enter(throttle, WEFT_FOREVER), WEFT_EFULL);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_throttle_close(throttle);
}

static struct {
    int64_t at_ns[8], work_ns;
    int args[8], runs;
} seen;

static int note(void *arg)
{
    int i = seen.runs++ % 8;
    seen.args[i] = *(int *)arg;
    seen.at_ns[i] = weft_now();
    return seen.work_ns ? weft_sleep(seen.work_ns) : 0;
}

FIBER_TEST(a_trailing_throttle_runs_the_latest_of_what_it_skipped)
{
    const struct weft_throttle_options options = {.interval_ns = WEFT_SEC,
                                                  .mode = WEFT_THROTTLE_TRAILING,
                                                  .fn = note,
                                                  .arg_bytes = sizeof(int)};
    struct weft_throttle *throttle = NULL;
    struct weft_throttle_snapshot snapshot;
    int64_t begin_ns = weft_now();
    memset(&seen, 0, sizeof seen);
    REQUIRE(weft_throttle_open(&throttle, &options) == 0);
    CHECK_EQUAL(weft_throttle_enter(throttle, WEFT_FOREVER), -EINVAL);
    for (int i = 0; i < 7; i++) { /* at 0, 0.35, 0.7, ... 2.1 s */
        CHECK_EQUAL(weft_throttle_call(throttle, &i), 0);
        CHECK_EQUAL(weft_sleep(350 * WEFT_MSEC), 0);
    }
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    CHECK_EQUAL(seen.runs, 4);
    static const int args[] = {0, 2, 5, 6};
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(seen.args[i], args[i]);
        CHECK_EQUAL(seen.at_ns[i] - begin_ns, i * WEFT_SEC);
    }
    CHECK_EQUAL(weft_throttle_snapshot(throttle, &snapshot), 0);
    CHECK_EQUAL(snapshot.passed, 4);
    CHECK_EQUAL(snapshot.skipped, 3);
    CHECK_EQUAL(snapshot.pending, 0);
    weft_throttle_close(throttle);
}

static struct weft_throttle_event told[4];
static int told_len;

static void keep_event(void *arg, const struct weft_throttle_event *event)
{
    CHECK(arg == &told_len);
    if (told_len < 4)
        told[told_len++] = *event;
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

FIBER_TEST(who_does_not_pass_and_runs_that_fail_are_told)
{
    struct weft_throttle_options options = {.name = "letters",
                                            .interval_ns = WEFT_SEC,
                                            .mode = WEFT_THROTTLE_SKIP,
                                            .on_event = keep_event,
                                            .on_event_arg = &told_len};
    struct weft_throttle *throttle = NULL;
    told_len = 0;
    REQUIRE(weft_throttle_open(&throttle, &options) == 0);
    CHECK_EQUAL(weft_throttle_enter(throttle, WEFT_FOREVER), 0);
    CHECK_EQUAL(told_len, 0);
    CHECK_EQUAL(weft_throttle_enter(throttle, WEFT_FOREVER), -EAGAIN);
    CHECK_EQUAL(told[0].kind, WEFT_THROTTLE_SKIPPED);
    CHECK_EQUAL(told[0].result, -EAGAIN);
    CHECK_EQUAL(told[0].at_ns, weft_now());
    weft_throttle_close(throttle);

    options.mode = WEFT_THROTTLE_TRAILING, options.fn = fail;
    REQUIRE(weft_throttle_open(&throttle, &options) == 0);
    CHECK_EQUAL(weft_throttle_call(throttle, NULL), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(told_len, 2);
    CHECK_EQUAL(told[1].kind, WEFT_THROTTLE_FAILED);
    CHECK_EQUAL(told[1].result, -EIO);
    weft_throttle_close(throttle);
}

FIBER_TEST(options_that_make_no_sense_are_refused)
{
    struct weft_throttle *throttle = NULL;
    struct weft_throttle_options options = {.interval_ns = 0};
    CHECK_EQUAL(weft_throttle_open(&throttle, NULL), -EINVAL);
    CHECK_EQUAL(weft_throttle_open(&throttle, &options), -EINVAL);
    options.interval_ns = 1, options.fn = note;
    CHECK_EQUAL(weft_throttle_open(&throttle, &options), -EINVAL);
    options.mode = WEFT_THROTTLE_TRAILING, options.arg_bytes = 5000;
    CHECK_EQUAL(weft_throttle_open(&throttle, &options), -EINVAL);
    options.fn = NULL;
    CHECK_EQUAL(weft_throttle_open(&throttle, &options), -EINVAL);
    CHECK(!throttle);
    weft_throttle_close(NULL);
}

/* ---- threads ------------------------------------------------------------------------- */

struct gate {
    struct weft_throttle *throttle;
    atomic_int passed;
};

#define GATE_NS (50 * WEFT_USEC)

static void pass_gate(void *arg, unsigned index)
{
    struct gate *gate = arg;
    (void)index;
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(weft_throttle_enter(gate->throttle, WEFT_FOREVER), 0);
        atomic_fetch_add(&gate->passed, 1);
    }
}

TEST(workers_and_threads_share_a_throttle)
{
    const struct weft_throttle_options options = {.interval_ns = GATE_NS, .sharing = WEFT_SHARED};
    struct gate gate = {.throttle = NULL};
    REQUIRE(weft_throttle_open(&gate.throttle, &options) == 0);
    const struct crowd crowd = {
        .workers = 2, .fibers = 4, .threads = 3, .run = pass_gate, .arg = &gate};
    int64_t begin_ns = weft_now();
    crowd_run(&crowd);
    CHECK_EQUAL(gate.passed, 140);
    CHECK(weft_now() - begin_ns >= 139 * GATE_NS); /* never early; how late is the machine's */
    weft_throttle_close(gate.throttle);
}
