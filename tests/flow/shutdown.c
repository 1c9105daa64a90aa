/* SPDX-License-Identifier: MIT */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>
#include <weft/shutdown.h>
#include <weft/signal.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS_MAX 8

/* What the hooks do: take their time, then come to something; and when each began and ended. */
struct step {
    struct weft_shutdown *shutdown;
    int64_t work_ns, begun_at_ns, ended_at_ns;
    int result, signal, force; /* what it does first, if anything */
    bool deaf;                 /* to its cancellation */
};

static int sleep_for(void *arg)
{
    return weft_sleep(*(int64_t *)arg);
}

static int run_step(void *arg)
{
    struct step *step = arg;
    step->begun_at_ns = weft_now();
    if (step->signal)
        CHECK_EQUAL(kill(getpid(), step->signal), 0);
    if (step->force)
        weft_shutdown_force(step->shutdown, step->force);
    int err = step->deaf ? weft_shield(sleep_for, &step->work_ns) : weft_sleep(step->work_ns);
    step->ended_at_ns = weft_now();
    return err < 0 ? err : step->result;
}

static struct {
    int requested, phases, hooks, forced, forced_reason;
    int order[STEPS_MAX];
} told;

static void keep_event(void *arg, const struct weft_shutdown_event *event)
{
    (void)arg;
    if (event->kind == WEFT_SHUTDOWN_PHASE && told.phases < STEPS_MAX)
        told.order[told.phases] = event->phase;
    told.requested += event->kind == WEFT_SHUTDOWN_REQUESTED;
    told.phases += event->kind == WEFT_SHUTDOWN_PHASE;
    told.hooks += event->kind == WEFT_SHUTDOWN_HOOK;
    told.forced += event->kind == WEFT_SHUTDOWN_FORCED;
    if (event->kind == WEFT_SHUTDOWN_FORCED && told.requested)
        told.forced_reason = event->reason;
}

static struct weft_shutdown *open_shutdown(int64_t timeout_ns, int on_signals)
{
    const struct weft_shutdown_options options = {
        .timeout_ns = timeout_ns, .on_signals = on_signals, .on_event = keep_event};
    struct weft_shutdown *shutdown = NULL;
    memset(&told, 0, sizeof told);
    REQUIRE(weft_shutdown_open(&shutdown, &options) == 0);
    return shutdown;
}

static void add(struct weft_shutdown *shutdown, int phase, struct step *step, int64_t timeout_ns)
{
    step->shutdown = shutdown;
    CHECK(weft_shutdown_add(shutdown, phase, "step", run_step, step, timeout_ns) > 0);
}

FIBER_TEST(phases_run_in_ascending_order_and_the_hooks_of_one_at_the_same_time)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct weft_shutdown_hook hooks[4];
    struct step steps[4] = {{.work_ns = 3 * WEFT_SEC},
                            {.work_ns = WEFT_SEC},
                            {.work_ns = 2 * WEFT_SEC},
                            {.work_ns = WEFT_SEC}};
    int64_t begin_ns = weft_now();
    add(shutdown, 20, &steps[3], 0);
    add(shutdown, -5, &steps[0], 0);
    add(shutdown, 7, &steps[1], 0);
    add(shutdown, 7, &steps[2], 0);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 42), 1);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 43), 0);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 0);
    static const int begun[] = {0, 3, 3, 5}, ended[] = {3, 4, 5, 6}, phases[] = {-5, 7, 7, 20};
    CHECK_EQUAL(weft_shutdown_report(shutdown, hooks, 4), 4);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(steps[i].begun_at_ns - begin_ns, begun[i] * WEFT_SEC);
        CHECK_EQUAL(steps[i].ended_at_ns - begin_ns, ended[i] * WEFT_SEC);
        CHECK_EQUAL(hooks[i].phase, phases[i]);
        CHECK_EQUAL(hooks[i].duration_ns, steps[i].work_ns);
        CHECK(hooks[i].began && hooks[i].ended);
    }
    CHECK_EQUAL(weft_shutdown_requested(shutdown), 42);
    CHECK_EQUAL(told.requested, 1);
    CHECK_EQUAL(told.phases, 3);
    CHECK_EQUAL(told.order[0], -5);
    CHECK_EQUAL(told.order[2], 20);
    CHECK_EQUAL(told.hooks, 4);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), -EBUSY); /* once is enough */
    weft_shutdown_close(shutdown);
}

FIBER_TEST(a_hook_that_times_out_or_fails_does_not_stop_later_phases)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct weft_shutdown_hook hooks[3];
    struct weft_shutdown_snapshot snapshot;
    struct step slow = {.work_ns = 3600 * WEFT_SEC}, bad = {.result = -EIO}, last = {0};
    int64_t begin_ns = weft_now();
    add(shutdown, 1, &slow, 2 * WEFT_SEC);
    add(shutdown, 1, &bad, 0);
    add(shutdown, 2, &last, 0);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 0), 1);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_shutdown_report(shutdown, hooks, 3), 3);
    CHECK_EQUAL(hooks[0].result, -ETIMEDOUT);
    CHECK_EQUAL(hooks[0].duration_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(hooks[1].result, -EIO);
    CHECK_EQUAL(hooks[2].result, 0);
    CHECK_EQUAL(last.begun_at_ns - begin_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(weft_shutdown_snapshot(shutdown, &snapshot), 0);
    CHECK_EQUAL(snapshot.state, WEFT_SHUTDOWN_ENDED);
    CHECK_EQUAL(snapshot.reason, -ESHUTDOWN);
    CHECK_EQUAL(snapshot.failed, 2);
    CHECK_EQUAL(snapshot.ended, 3);
    CHECK_EQUAL(snapshot.phase, 2);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(when_the_time_for_the_whole_is_over_the_rest_does_not_run)
{
    struct weft_shutdown *shutdown = open_shutdown(10 * WEFT_SEC, 0);
    struct weft_shutdown_hook hooks[3];
    struct step first = {.work_ns = 6 * WEFT_SEC}, second = {.work_ns = 6 * WEFT_SEC}, third = {0};
    int64_t begin_ns = weft_now();
    add(shutdown, 1, &first, 0);
    add(shutdown, 2, &second, 0);
    add(shutdown, 3, &third, 0);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 0), 1);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0); /* the time runs from the request on */
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_now() - begin_ns, 10 * WEFT_SEC);
    CHECK_EQUAL(weft_shutdown_report(shutdown, hooks, 3), 3);
    CHECK_EQUAL(hooks[0].result, 0);
    CHECK_EQUAL(hooks[1].result, -ETIMEDOUT);
    CHECK_EQUAL(hooks[1].duration_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(hooks[2].result, -ETIMEDOUT);
    CHECK_EQUAL(hooks[2].began, 0);
    CHECK_EQUAL(third.begun_at_ns, 0);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(a_hook_that_does_not_heed_its_cancellation_is_waited_for)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct step deaf = {.work_ns = 5 * WEFT_SEC, .deaf = true}, last = {0};
    int64_t begin_ns = weft_now();
    add(shutdown, 1, &deaf, WEFT_SEC);
    add(shutdown, 2, &last, 0);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 0), 1);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 0);
    CHECK_EQUAL(last.begun_at_ns - begin_ns, 5 * WEFT_SEC);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(force_cancels_what_runs_and_leaves_out_the_rest)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct weft_shutdown_hook hooks[3];
    struct step slow = {.work_ns = 20 * WEFT_SEC}, forcing = {.force = 9}, never = {0};
    int64_t begin_ns = weft_now();
    add(shutdown, 1, &slow, 0);
    add(shutdown, 1, &forcing, 0);
    add(shutdown, 2, &never, 0);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 7), 1);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 3);
    CHECK_EQUAL(weft_now(), begin_ns);
    CHECK_EQUAL(weft_shutdown_report(shutdown, hooks, 3), 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(hooks[i].result, -ECANCELED);
    CHECK_EQUAL(hooks[2].began, 0);
    CHECK_EQUAL(told.forced, 1);
    CHECK_EQUAL(weft_shutdown_requested(shutdown), 7);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(who_forces_what_nobody_has_asked_for_asks_for_it)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct step step = {0};
    add(shutdown, 1, &step, 0);
    weft_shutdown_force(shutdown, SIGTERM);
    CHECK_EQUAL(told.forced_reason, SIGTERM); /* it was told after the request */
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 1);
    CHECK_EQUAL(step.begun_at_ns, 0);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(a_wait_that_nobody_ends_has_no_effect)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct weft_shutdown_snapshot snapshot;
    struct step step = {0};
    add(shutdown, 1, &step, 0);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, weft_now() + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_shutdown_snapshot(shutdown, &snapshot), 0);
    CHECK_EQUAL(snapshot.state, WEFT_SHUTDOWN_READY);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 0), 1);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_NOWAIT), 0); /* runs the hooks */
    CHECK(step.begun_at_ns > 0);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(a_caller_that_is_cancelled_forces_what_runs)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct weft_shutdown_hook hook = {0};
    struct weft_scope scope;
    struct step step = {.work_ns = 20 * WEFT_SEC};
    int64_t begin_ns = weft_now();
    add(shutdown, 1, &step, 0);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 0), 1);
    weft_scope_enter(&scope, begin_ns + WEFT_SEC, WEFT_SCOPE_MOVE_ON);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), 0);
    CHECK_EQUAL(weft_now() - begin_ns, WEFT_SEC);
    CHECK_EQUAL(weft_shutdown_report(shutdown, &hook, 1), 1);
    CHECK(hook.result < 0);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(hooks_are_removed_by_id_and_none_is_taken_once_it_runs)
{
    struct weft_shutdown *shutdown = NULL;
    const struct weft_shutdown_options options = {.hooks_max = 2};
    struct step step = {0}, other = {0};
    CHECK_EQUAL(weft_shutdown_open(&shutdown, &options), 0);
    int64_t id = weft_shutdown_add(shutdown, 1, NULL, run_step, &step, 0);
    add(shutdown, 1, &other, 0);
    CHECK_EQUAL(weft_shutdown_add(shutdown, 1, NULL, run_step, &step, 0), WEFT_EFULL);
    CHECK_EQUAL(weft_shutdown_remove(shutdown, id), 0);
    CHECK_EQUAL(weft_shutdown_remove(shutdown, id), -ENOENT);
    CHECK_EQUAL(weft_shutdown_add(shutdown, 1, NULL, NULL, NULL, 0), -EINVAL);
    CHECK_EQUAL(weft_shutdown_add(shutdown, 1, NULL, run_step, &step, -1), -EINVAL);
    CHECK_EQUAL(weft_shutdown_request(shutdown, 0), 1);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 0);
    CHECK_EQUAL(step.begun_at_ns, 0);
    CHECK_EQUAL(weft_shutdown_add(shutdown, 1, NULL, run_step, &step, 0), -ESHUTDOWN);
    CHECK_EQUAL(weft_shutdown_remove(shutdown, 2), -ESHUTDOWN);
    weft_shutdown_close(shutdown);
    weft_shutdown_close(NULL);
}

/* ---- who asks ------------------------------------------------------------------------ */

static int ask_from_outside(void *arg)
{
    return weft_shutdown_request(arg, 5);
}

static int wait_for_it(void *arg)
{
    return weft_shutdown_wait(arg, WEFT_FOREVER);
}

FIBER_TEST(a_thread_outside_asks_and_a_second_waiter_is_refused)
{
    struct weft_shutdown *shutdown = open_shutdown(0, 0);
    struct weft_runtime *runtime = weft_runtime_acquire();
    struct weft_group group;
    struct step step = {0};
    add(shutdown, 1, &step, 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, wait_for_it, shutdown), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), -EBUSY);
    CHECK_EQUAL(on_a_thread(ask_from_outside, shutdown), 1);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(step.begun_at_ns > 0);
    CHECK_EQUAL(weft_shutdown_requested(shutdown), 5);
    CHECK_EQUAL(on_a_thread(wait_for_it, shutdown), -EPERM);
    weft_runtime_release(runtime);
    weft_shutdown_close(shutdown);
}

static const int signals[] = {SIGTERM, SIGINT};

FIBER_TEST(a_signal_asks_for_it_and_a_second_one_forces_it)
{
    struct weft_shutdown_hook hooks[2];
    struct step first = {.signal = SIGINT, .work_ns = 20 * WEFT_SEC}, second = {0};
    CHECK_EQUAL(weft_signal_block(signals, 2), 0);
    struct weft_shutdown *shutdown = open_shutdown(0, 1);
    add(shutdown, 1, &first, 0);
    add(shutdown, 2, &second, 0);
    CHECK_EQUAL(kill(getpid(), SIGTERM), 0);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_shutdown_requested(shutdown), SIGTERM);
    CHECK_EQUAL(weft_shutdown_report(shutdown, hooks, 2), 2);
    CHECK_EQUAL(hooks[0].result, -ECANCELED);
    CHECK_EQUAL(hooks[1].began, 0);
    CHECK_EQUAL(told.forced, 1);
    weft_shutdown_close(shutdown);
}

FIBER_TEST(without_a_second_signal_it_takes_its_time)
{
    struct step step = {.work_ns = 20 * WEFT_SEC};
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_signal_block(signals, 2), 0);
    struct weft_shutdown *shutdown = open_shutdown(0, 1);
    add(shutdown, 1, &step, 0);
    CHECK_EQUAL(kill(getpid(), SIGINT), 0);
    CHECK_EQUAL(weft_shutdown_wait(shutdown, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_shutdown_requested(shutdown), SIGINT);
    CHECK(weft_now() - begin_ns >= 20 * WEFT_SEC);
    weft_shutdown_close(shutdown);
}

TEST(options_that_make_no_sense_are_refused)
{
    struct weft_shutdown *shutdown = NULL;
    struct weft_shutdown_options options = {.timeout_ns = -1};
    CHECK_EQUAL(weft_shutdown_open(&shutdown, &options), -EINVAL);
    options.timeout_ns = 0, options.hooks_max = 65537;
    CHECK_EQUAL(weft_shutdown_open(&shutdown, &options), -EINVAL);
    CHECK(!shutdown);
}
