/* SPDX-License-Identifier: MIT
 * debug.c - debug mode: reports of overflows, hogs, leaks and lost failures, and dumps on a signal.
 * Each test runs a process of its own, and reads what that said. */
#include "child.h"
#include "test.h"

#include <weft/channel.h>
#include <weft/group.h>
#include <weft/inspect.h>
#include <weft/io.h>
#include <weft/net.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct weft_run_options debug_options = {.debug = WEFT_DEBUG_ON};

static int64_t clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * WEFT_SEC + now.tv_nsec;
}

/* One child of the name, alone in a group. */
static int spawn_and_wait(int (*fn)(void *), const char *name)
{
    struct weft_group group;
    const struct weft_spawn_options options = {.name = name};
    int err = weft_group_init(&group, NULL);
    if (err == 0)
        err = weft_spawn_with(&group, fn, NULL, &options);
    return err < 0 ? err : weft_group_wait(&group);
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int dump_once(void *arg)
{
    (void)arg;
    return weft_dump(STDERR_FILENO);
}

/* ---- stack overflow -------------------------------------------------------------------- */

static volatile int depth_wanted = 1 << 20;

__attribute__((noinline)) static int recurse(int depth)
{
    volatile char frame[200];
    frame[0] = (char)depth;
    if (depth >= depth_wanted)
        return frame[0];
    return recurse(depth + 1) + frame[0];
}

static int overflow(void *arg)
{
    (void)arg;
    return recurse(0);
}

static int spawn_overflow(void *arg)
{
    (void)arg;
    return spawn_and_wait(overflow, "deep");
}

static int run_overflow(void *arg)
{
    return weft_run(arg, spawn_overflow, NULL);
}

static bool sanitizer_owns_faults(void)
{
    if (child_has_asan() || child_has_tsan())
        test_skip("the sanitizer handles SIGSEGV");
    return child_has_asan() || child_has_tsan();
}

TEST(a_stack_overflow_names_the_fiber_and_still_ends_the_process)
{
    struct child child;
    struct weft_run_options options = debug_options;
    if (sanitizer_owns_faults())
        return;
    child_run(&child, run_overflow, &options);
    CHECK_EQUAL(child.signal, SIGSEGV);
    child_check_said(&child, "weft: stack overflow (64 KiB) in fiber \"deep\" on worker 0;");
    child_check_said(&child, "  running test-debug+0x");
    child_check_said(&child, "  spawned at test-debug+0x");
    child_check_said(&child, "#20 test-debug+0x");
}

TEST(the_environment_turns_debug_mode_on_but_not_against_the_option)
{
    struct child child;
    struct weft_run_options options = {.debug = WEFT_DEBUG_BY_ENVIRONMENT};
    if (sanitizer_owns_faults())
        return;
    REQUIRE(setenv("WEFT_DEBUG", "1", 1) == 0);
    child_run(&child, run_overflow, &options);
    child_check_said(&child, "weft: stack overflow");
    options.debug = WEFT_DEBUG_OFF;
    child_run(&child, run_overflow, &options);
    CHECK_EQUAL(child.signal, SIGSEGV);
    CHECK(!strstr(child.said, "weft:"));
    REQUIRE(unsetenv("WEFT_DEBUG") == 0);
}

static int spawn_overflow_elsewhere(void *arg)
{
    struct weft_group group;
    const struct weft_spawn_options options = {
        .name = "deep there", .worker = WEFT_WORKER(1), .stack_bytes = (size_t)16 << 10};
    (void)arg;
    (void)weft_group_init(&group, NULL);
    (void)weft_spawn_with(&group, overflow, NULL, &options);
    return weft_group_wait(&group);
}

static int run_overflow_elsewhere(void *arg)
{
    (void)arg;
    const struct weft_run_options options = {.debug = WEFT_DEBUG_ON, .workers = 2};
    return weft_run(&options, spawn_overflow_elsewhere, NULL);
}

TEST(a_stack_overflow_is_reported_on_any_worker)
{
    struct child child;
    if (sanitizer_owns_faults())
        return;
    child_run(&child, run_overflow_elsewhere, NULL);
    CHECK_EQUAL(child.signal, SIGSEGV);
    child_check_said(&child, "stack overflow (16 KiB) in fiber \"deep there\" on worker 1;");
}

static void exit_33(int number)
{
    (void)number;
    _exit(33);
}

static int fault(void *arg)
{
    (void)arg;
    (void)raise(SIGSEGV);
    return 0;
}

static int fault_with_own_handler(void *arg)
{
    (void)arg;
    (void)signal(SIGSEGV, exit_33);
    return weft_run(&debug_options, fault, NULL);
}

TEST(another_fault_goes_to_the_programs_own_handler)
{
    struct child child;
    if (sanitizer_owns_faults())
        return;
    child_run(&child, fault_with_own_handler, NULL);
    CHECK_EQUAL(child.exit_code, 33);
    CHECK(!strstr(child.said, "weft:"));
}

TEST(handlers_are_restored_when_the_last_runtime_ends)
{
    static const int numbers[] = {SIGSEGV, SIGURG, SIGUSR1};
    struct sigaction before[3], after;
    stack_t stack_before, stack_after;
    REQUIRE(sigaltstack(NULL, &stack_before) == 0);
    for (int i = 0; i < 3; i++)
        REQUIRE(sigaction(numbers[i], NULL, &before[i]) == 0);
    CHECK_EQUAL(weft_run(&debug_options, do_nothing, NULL), 0);
    for (int i = 0; i < 3; i++) {
        REQUIRE(sigaction(numbers[i], NULL, &after) == 0);
        CHECK(after.sa_handler == before[i].sa_handler);
    }
    REQUIRE(sigaltstack(NULL, &stack_after) == 0);
    CHECK(stack_after.ss_sp == stack_before.ss_sp);
}

/* ---- hogs ------------------------------------------------------------------------------ */

static int spin(void *arg)
{
    (void)arg;
    int64_t until_ns = clock_ns() + 300 * WEFT_MSEC;
    while (clock_ns() < until_ns)
        ;
    return weft_yield();
}

static int spawn_hog(void *arg)
{
    (void)arg;
    int err = spawn_and_wait(spin, "greedy");
    return err < 0 ? err : weft_sleep(10 * WEFT_MSEC);
}

static int run_hog(void *arg)
{
    const struct weft_run_options options = {
        .debug = WEFT_DEBUG_ON, .hog_ns = 50 * WEFT_MSEC, .workers = *(unsigned *)arg};
    return weft_run(&options, spawn_hog, NULL);
}

static unsigned count(const char *text, const char *words)
{
    unsigned found = 0;
    for (const char *at = strstr(text, words); at; at = strstr(at + 1, words))
        found++;
    return found;
}

TEST(a_hog_is_reported_once_with_where_it_is)
{
    struct child child;
    unsigned workers = 1;
    if (child_has_tsan()) {
        test_skip("ThreadSanitizer delivers signals late");
        return;
    }
    child_run(&child, run_hog, &workers);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "weft: fiber \"greedy\" test-debug+0x");
    child_check_said(&child, " ms on worker 0 without giving way\n  spawned at test-debug+0x");
    child_check_said(&child, "\n  #0 ");
    CHECK(count(child.said, " test-debug+0x") > 3);
    CHECK_EQUAL(count(child.said, "without giving way"), 1);
}

#define HOG_NS    (20 * WEFT_MSEC)
#define DISTURBED 3 /* exit code */

static int64_t longest_turn_ns;

static int yield_for_long(void *arg)
{
    (void)arg;
    int64_t now_ns = clock_ns(), until_ns = now_ns + 200 * WEFT_MSEC;
    int err = 0;
    while (err == 0 && now_ns < until_ns) {
        int64_t before_ns = clock_ns();
        err = weft_yield();
        now_ns = clock_ns();
        if (now_ns - before_ns > longest_turn_ns)
            longest_turn_ns = now_ns - before_ns;
    }
    return err;
}

static int yield_alone_and_together(void *arg)
{
    (void)arg;
    struct weft_group group;
    int err = yield_for_long(NULL);
    (void)weft_group_init(&group, NULL);
    for (int i = 0; i < 3; i++)
        (void)weft_spawn(&group, yield_for_long, NULL);
    return err < 0 ? err : weft_group_wait(&group);
}

static int run_yielders(void *arg)
{
    (void)arg;
    const struct weft_run_options options = {.debug = WEFT_DEBUG_ON, .hog_ns = HOG_NS};
    int err = weft_run(&options, yield_alone_and_together, NULL);
    return err == 0 && longest_turn_ns > HOG_NS / 4 ? DISTURBED : err;
}

/* A thread that gets no processor for a while looks like a hog: such a run proves nothing. */
TEST(who_gives_way_is_no_hog)
{
    struct child child;
    int tries = 0;
    do
        child_run(&child, run_yielders, NULL);
    while (child.exit_code == DISTURBED && ++tries < 50);
    if (child.exit_code == DISTURBED) {
        test_skip("the processors are too busy");
        return;
    }
    CHECK_EQUAL(child.exit_code, 0);
    CHECK(!strstr(child.said, "weft:"));
}

/* ---- what is left over ----------------------------------------------------------------- */

static int leak_one_of_two(void *arg)
{
    (void)arg;
    int kept = weft_tcp_listen("127.0.0.1", 0, NULL);
    int closed = weft_tcp_listen("127.0.0.1", 0, NULL);
    return kept < 0 ? kept : weft_close(closed);
}

static int run_leak(void *arg)
{
    return weft_run(arg, leak_one_of_two, NULL);
}

TEST(a_descriptor_that_was_not_closed_is_reported_with_who_made_it)
{
    struct child child;
    struct weft_run_options options = debug_options;
    child_run(&child, run_leak, &options);
    CHECK_EQUAL(child.exit_code, 0);
    CHECK_EQUAL(count(child.said, "was not closed; it was made by\n"), 1);
    child_check_said(&child, "  #1 test-debug+0x");
    options.debug = WEFT_DEBUG_OFF;
    child_run(&child, run_leak, &options);
    CHECK(!strstr(child.said, "weft:"));
}

static int leak_many(void *arg)
{
    int fds[2], err = 0;
    (void)arg;
    for (int i = 0; i < 50 && err == 0; i++)
        err = weft_pipe(fds);
    return err;
}

static int run_leak_many(void *arg)
{
    (void)arg;
    return weft_run(&debug_options, leak_many, NULL);
}

TEST(of_many_descriptors_that_were_not_closed_some_are_shown)
{
    struct child child;
    child_run(&child, run_leak_many, NULL);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "weft: ... and ");
    child_check_said(&child, " more descriptors\n");
}

static int leak_without_ears(void *arg)
{
    (void)close(STDERR_FILENO);
    return run_leak_many(arg);
}

TEST(a_report_that_nobody_can_read_is_lost)
{
    struct child child;
    child_run(&child, leak_without_ears, NULL);
    CHECK_EQUAL(child.exit_code, 0);
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static int lose_failures(void *arg)
{
    (void)arg;
    struct weft_group group;
    struct weft_task task;
    (void)weft_group_init(
        &group, &(struct weft_group_options){.policy = WEFT_SUPERVISE, .name = "careless"});
    (void)weft_spawn(&group, fail, NULL);
    (void)weft_spawn(&group, fail, NULL);
    (void)weft_spawn(&group, fail, NULL);
    (void)weft_spawn_task(&group, &task, fail, NULL);
    return weft_group_wait(&group) == -EIO ? 0 : 1;
}

static int lose_failures_without_a_name(void *arg)
{
    (void)arg;
    struct weft_group group;
    (void)weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    (void)weft_spawn(&group, fail, NULL);
    (void)weft_spawn(&group, fail, NULL);
    (void)weft_yield();
    (void)dump_once(NULL);
    return weft_group_wait(&group) == -EIO ? 0 : 1;
}

static int run_lose_failures_without_a_name(void *arg)
{
    (void)arg;
    return weft_run(&debug_options, lose_failures_without_a_name, NULL);
}

TEST(a_group_without_a_name_is_reported_too)
{
    struct child child;
    child_run(&child, run_lose_failures_without_a_name, NULL);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "weft: 1 of 2 failures of group \"\" could be seen by nobody");
    child_check_said(&child, ", 2 failed");
}

static int run_lose_failures(void *arg)
{
    (void)arg;
    return weft_run(&debug_options, lose_failures, NULL);
}

TEST(failures_that_nobody_can_hear_of_are_reported)
{
    struct child child;
    child_run(&child, run_lose_failures, NULL);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "weft: 2 of 4 failures of group \"careless\" could be seen by nobody");
}

static int touch_20_KiB(void *arg)
{
    volatile char frame[20480];
    (void)arg;
    for (size_t i = 0; i < sizeof frame; i += 64)
        frame[i] = 1;
    return frame[0] - 1;
}

static int sleep_after_touching(void *arg)
{
    (void)touch_20_KiB(arg);
    return weft_sleep_until(WEFT_FOREVER);
}

/* The second child gets the stack of the first. */
static int dump_high_water(void *arg)
{
    (void)arg;
    struct weft_group group;
    int err = spawn_and_wait(touch_20_KiB, "first");
    (void)weft_group_init(&group, NULL);
    (void)weft_spawn_with(&group, sleep_after_touching, NULL,
                          &(struct weft_spawn_options){.name = "deep"});
    (void)weft_spawn_with(&group, sleep_after_touching, NULL,
                          &(struct weft_spawn_options){.name = "deep as well"});
    (void)weft_yield();
    if (err == 0)
        err = weft_dump(STDERR_FILENO);
    weft_group_close(&group);
    if (err == 0)
        err = spawn_and_wait(dump_once, "shallow");
    return err;
}

static int run_high_water(void *arg)
{
    (void)arg;
    return weft_run(&debug_options, dump_high_water, NULL);
}

/* The number before " at most" in the line of a fiber. */
static double high_water_kib(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    const char *most = line ? strstr(line, " KiB (") : NULL;
    return most ? strtod(most + strlen(" KiB ("), NULL) : -1;
}

TEST(dumps_in_debug_mode_show_how_deep_stacks_were_used)
{
    struct child child;
    if (child_has_asan()) {
        test_skip("AddressSanitizer owns what lies on stacks");
        return;
    }
    child_run(&child, run_high_water, NULL);
    CHECK_EQUAL(child.exit_code, 0);
    double deep = high_water_kib(child.said, "\"deep\""),
           shallow = high_water_kib(child.said, "\"shallow\"");
    CHECK(deep > 20 && deep < 30);
    CHECK(high_water_kib(child.said, "\"deep as well\"") > 20);
    CHECK(shallow > 0 && shallow < 15);
}

static int receive_nothing(void *arg)
{
    struct weft_channel channel;
    char item;
    (void)arg;
    int err = weft_channel_init(&channel, 1, 0);
    if (err == 0)
        err = weft_receive(&channel, &item, WEFT_FOREVER);
    weft_channel_deinit(&channel);
    return err;
}

static int spawn_deadlock(void *arg)
{
    (void)arg;
    return spawn_and_wait(receive_nothing, "stuck");
}

static int run_deadlock(void *arg)
{
    (void)arg;
    return weft_run(&debug_options, spawn_deadlock, NULL) == -EDEADLK ? 0 : 1;
}

TEST(a_deadlock_says_who_waits_for_what)
{
    struct child child;
    child_run(&child, run_deadlock, NULL);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "weft: deadlock: every fiber waits");
    child_check_said(&child, "fiber \"stuck\" ");
    CHECK_EQUAL(count(child.said, "deadlock"), 1);
}

/* ---- dumps on a signal ----------------------------------------------------------------- */

static atomic_int dumped;

/* Wait, with a bound, until stderr, which child_run made a file, has grown. */
static int signal_and_wait(void *arg)
{
    off_t before = lseek(STDERR_FILENO, 0, SEEK_END);
    (void)kill(getpid(), *(int *)arg);
    for (int i = 0; i < 2000 && lseek(STDERR_FILENO, 0, SEEK_END) == before; i++)
        (void)weft_sleep(WEFT_MSEC);
    return 0;
}

static int run_and_signal(void *arg)
{
    struct weft_run_options *options = arg;
    int number = options->dump_signal ? options->dump_signal : SIGUSR1;
    return weft_run(options, signal_and_wait, &number);
}

TEST(a_signal_prints_the_fibers_when_asked_for)
{
    struct child child;
    struct weft_run_options options = {.dump_signal = SIGUSR2, .workers = 2};
    child_run(&child, run_and_signal, &options);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "weft: fibers of process ");
    child_check_said(&child, "worker 0: 1 fiber\n  fiber \"main\" ");
    child_check_said(&child, "worker 1: 0 fibers\n");
}

TEST(in_debug_mode_SIGUSR1_prints_the_fibers)
{
    struct child child;
    struct weft_run_options options = debug_options;
    child_run(&child, run_and_signal, &options);
    CHECK_EQUAL(child.exit_code, 0);
    child_check_said(&child, "worker 0: 1 fiber\n  fiber \"main\" ");
}

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&dumped, 1);
}

static int signal_twice(void *arg)
{
    (void)arg;
    (void)kill(getpid(), SIGUSR1);
    (void)kill(getpid(), SIGUSR1);
    return 0;
}

static int run_with_own_handler(void *arg)
{
    (void)arg;
    (void)signal(SIGUSR1, count_signal);
    int err = weft_run(&debug_options, signal_twice, NULL);
    return err < 0 ? 255 : atomic_load(&dumped);
}

TEST(the_programs_own_SIGUSR1_stays_its_own)
{
    struct child child;
    child_run(&child, run_with_own_handler, NULL);
    CHECK(child.exit_code == 1 || child.exit_code == 2);
    CHECK(!strstr(child.said, "weft:"));
}

static int without(void *arg)
{
    (void)arg;
    return weft_run(NULL, signal_twice, NULL);
}

TEST(without_being_asked_signals_are_left_alone)
{
    struct child child;
    child_run(&child, without, NULL);
    CHECK_EQUAL(child.signal, SIGUSR1);
}

TEST(bad_debug_options_are_refused)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.dump_signal = 4711}, do_nothing, NULL),
                -EINVAL);
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.hog_ns = -1}, do_nothing, NULL), -EINVAL);
    for (int mode = -1; mode <= 3; mode += 4) {
        struct weft_run_options options = {.debug = (enum weft_debug_mode)mode};
        CHECK_EQUAL(weft_run(&options, do_nothing, NULL), -EINVAL);
    }
    /* Less than can be measured means as little as can be. */
    CHECK_EQUAL(
        weft_run(&(struct weft_run_options){.debug = WEFT_DEBUG_ON, .hog_ns = 1}, do_nothing, NULL),
        0);
}
