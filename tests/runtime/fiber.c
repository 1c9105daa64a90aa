/* SPDX-License-Identifier: MIT
 * fiber.c - running, yielding, sleeping, both clocks, deadlock. */
#include "test.h"

#include <os/clock.h>

#include <weft/channel.h>
#include <weft/group.h>
#include <weft/runtime.h>

#include <errno.h>
#include <fenv.h>
#include <string.h>

static int return_arg(void *arg)
{
    return *(int *)arg;
}

TEST(run_returns_the_result_of_its_function)
{
    int value = 42;
    CHECK_EQUAL(weft_run(NULL, return_arg, &value), 42);
    value = -EIO;
    CHECK_EQUAL(weft_run(NULL, return_arg, &value), -EIO);
}

TEST(run_refuses_bad_options)
{
    int value = 0;
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.io = "carrier-pigeon"}, return_arg, &value),
                -EINVAL);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.stack_bytes = 100}, return_arg, &value),
                -EINVAL);
    CHECK_EQUAL(
        weft_run(&(struct weft_run_options){.offload_threads_max = 5000}, return_arg, &value),
        -EINVAL);
}

FIBER_TEST(run_inside_a_fiber_is_refused)
{
    int value = 0;
    CHECK_EQUAL(weft_run(NULL, return_arg, &value), -EBUSY);
}

TEST(calls_outside_a_runtime_say_so)
{
    struct weft_group group;
    CHECK_EQUAL(weft_yield(), -EPERM);
    CHECK_EQUAL(weft_sleep(1), -EPERM);
    CHECK_EQUAL(weft_checkpoint(), -EPERM);
    CHECK_EQUAL(weft_group_init(&group, NULL), -EPERM);
    CHECK(weft_io_name() == NULL);
    CHECK(weft_now() > 0);
    CHECK_EQUAL(weft_deadline(), WEFT_FOREVER);
}

struct trace {
    char text[64];
    size_t len;
};

struct writer {
    struct trace *trace;
    char letter;
};

static int write_thrice(void *arg)
{
    struct writer *writer = arg;
    for (int i = 0; i < 3; i++) {
        writer->trace->text[writer->trace->len++] = writer->letter;
        CHECK_EQUAL(weft_yield(), 0);
    }
    return 0;
}

FIBER_TEST(yield_lets_every_other_fiber_run_once_in_order)
{
    struct trace trace = {0};
    struct writer a = {&trace, 'a'}, b = {&trace, 'b'}, c = {&trace, 'c'};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, write_thrice, &a), 0);
    CHECK_EQUAL(weft_spawn(&group, write_thrice, &b), 0);
    CHECK_EQUAL(weft_spawn(&group, write_thrice, &c), 0);
    CHECK(trace.len == 0); /* spawn queues, it does not switch */
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(strcmp(trace.text, "abcabcabc") == 0);
}

FIBER_TEST(virtual_sleep_takes_exactly_its_time)
{
    int64_t before = weft_now();
    CHECK(before > 0);
    CHECK_EQUAL(weft_sleep(3500 * WEFT_MSEC), 0);
    CHECK_EQUAL(weft_now() - before, 3500 * WEFT_MSEC);
    CHECK_EQUAL(weft_sleep(1), 0);
    CHECK_EQUAL(weft_now() - before, 3500 * WEFT_MSEC + 1);
    CHECK_EQUAL(weft_sleep(0), 0);
    CHECK_EQUAL(weft_sleep(-5), 0);
    CHECK_EQUAL(weft_sleep_until(before), 0);
    CHECK_EQUAL(weft_now() - before, 3500 * WEFT_MSEC + 1);
}

struct sleeper {
    struct trace *trace;
    int64_t sleep_ns;
    char letter;
};

static int sleep_then_write(void *arg)
{
    struct sleeper *sleeper = arg;
    CHECK_EQUAL(weft_sleep(sleeper->sleep_ns), 0);
    sleeper->trace->text[sleeper->trace->len++] = sleeper->letter;
    return 0;
}

FIBER_TEST(sleepers_wake_by_deadline_and_equal_ones_in_order)
{
    struct trace trace = {0};
    struct sleeper sleepers[] = {
        {&trace, 30, 'd'}, {&trace, 10, 'a'}, {&trace, 20, 'b'}, {&trace, 20, 'c'}};
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQUAL(weft_spawn(&group, sleep_then_write, &sleepers[i]), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(strcmp(trace.text, "abcd") == 0);
}

REAL_TIME_FIBER_TEST(real_sleep_is_never_early)
{
    static const int64_t lengths[] = {1, 999, 1000, 100 * WEFT_USEC, 999999, 2 * WEFT_MSEC};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int64_t before = weft_now();
        CHECK_EQUAL(weft_sleep(lengths[i]), 0);
        CHECK(weft_now() - before >= lengths[i]);
    }
}

static int yield_until(void *over)
{
    int err = 0;
    while (err == 0 && !*(bool *)over)
        err = weft_yield();
    return err;
}

/* The runtime's clock is cheap and lags a little: no sleep may be shorter by that. */
REAL_TIME_FIBER_TEST(no_sleep_beside_busy_fibers_is_early_by_the_kernels_clock)
{
    bool over = false;
    int err = 0;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, yield_until, &over), 0);
    for (int i = 0; i < 20000 && err == 0; i++) {
        int64_t before_ns = weft_clock_monotonic_ns();
        err = weft_sleep(10 * WEFT_USEC);
        CHECK(err < 0 || weft_clock_monotonic_ns() - before_ns >= 10 * WEFT_USEC);
    }
    over = true;
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int wait_forever(void *arg)
{
    (void)arg;
    struct weft_channel channel;
    char item;
    CHECK_EQUAL(weft_channel_init(&channel, 1, 0), 0);
    int err = weft_receive(&channel, &item, WEFT_FOREVER);
    weft_channel_deinit(&channel);
    return err;
}

TEST(a_deadlock_is_reported_and_its_fibers_unwind)
{
    struct weft_run_options options = {.clock = WEFT_CLOCK_VIRTUAL};
    CHECK_EQUAL(weft_run(&options, wait_forever, NULL), -EDEADLK);
    options.clock = WEFT_CLOCK_REAL;
    CHECK_EQUAL(weft_run(&options, wait_forever, NULL), -EDEADLK);
}

static int round_upward(void *arg)
{
    (void)arg;
    CHECK_EQUAL(fegetround(), FE_TONEAREST);
    CHECK_EQUAL(fesetround(FE_UPWARD), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(fegetround(), FE_UPWARD);
    return 0;
}

static int round_downward(void *arg)
{
    (void)arg;
    CHECK_EQUAL(fegetround(), FE_TONEAREST);
    CHECK_EQUAL(fesetround(FE_DOWNWARD), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(fegetround(), FE_DOWNWARD);
    return 0;
}

FIBER_TEST(each_fiber_keeps_its_own_rounding_mode)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, round_upward, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, round_downward, NULL), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(fegetround(), FE_TONEAREST);
}

static int use_the_stack(void *arg)
{
    char page[3000];
    int depth = *(int *)arg;
    memset(page, depth, sizeof page);
    int rest = depth - 1;
    if (depth > 0)
        use_the_stack(&rest);
    for (size_t i = 0; i < sizeof page; i++)
        REQUIRE(page[i] == (char)depth);
    return 0;
}

FIBER_TEST(a_fiber_can_use_most_of_its_64_KiB)
{
    struct weft_group group;
    int depth = 12;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(weft_spawn(&group, use_the_stack, &depth), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(3500 * WEFT_MSEC);
}

FIBER_TEST(thousands_of_fibers_sleep_at_once)
{
    enum {
        FIBERS = 7000
    }; /* below ThreadSanitizer's limit of 8,128 */
    struct weft_group group;
    int64_t before = weft_now();
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < FIBERS; i++)
        REQUIRE(weft_spawn(&group, sleep_long, NULL) == 0);
    CHECK_EQUAL(weft_group_live(&group), FIBERS);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_now() - before, 3500 * WEFT_MSEC);
}

static int call_from_inside(void *arg)
{
    (void)arg;
    struct weft_runtime *runtime = weft_runtime_acquire();
    CHECK(runtime);
    CHECK_EQUAL(weft_call(runtime, call_from_inside, NULL), -EBUSY);
    weft_runtime_release(runtime);
    CHECK_EQUAL(weft_worker_count(), 1);
    return 0;
}

TEST(a_fiber_does_not_call_its_own_runtime)
{
    CHECK_EQUAL(weft_run(NULL, call_from_inside, NULL), 0);
}

TEST(outside_a_runtime_there_is_none_to_hold)
{
    CHECK(weft_runtime_acquire() == NULL);
    weft_runtime_release(NULL);
    CHECK_EQUAL(weft_worker_count(), 0);
    CHECK_EQUAL(weft_worker_index(), -EPERM);
}

static int tell_io(void *arg)
{
    *(const char **)arg = weft_io_name();
    return 0;
}

TEST(the_ring_goes_by_both_its_names)
{
    const char *name = "";
    int err = weft_run(&(struct weft_run_options){.io = "io_uring"}, tell_io, &name);
    CHECK(err < 0 || strcmp(name, "io_uring") == 0);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.io = "uring"}, tell_io, &name), err);
}
