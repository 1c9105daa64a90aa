/* SPDX-License-Identifier: MIT
 * memory.c - what executors do when there is no memory, or no descriptor: the n-th allocation
 * fails, for every n; nothing is left, and the next attempt works. */
#include "descriptors.h"
#include "outcome.h"
#include "program.h"
#include "test.h"

#include <job/children.h>
#include <job/exec.h>

#include <stdlib.h>
#include <sys/resource.h>

static unsigned long countdown; /* allocations until one fails; 0: none will */
static bool fired;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t len, size_t bytes);
void *__wrap_calloc(size_t len, size_t bytes);
void *__real_realloc(void *allocated, size_t bytes);
void *__wrap_realloc(void *allocated, size_t bytes);

static bool fails(void)
{
    bool now = countdown == 1;
    if (countdown > 0)
        countdown--;
    fired = fired || now;
    return now;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t len, size_t bytes)
{
    return fails() ? NULL : __real_calloc(len, bytes);
}

void *__wrap_realloc(void *allocated, size_t bytes)
{
    return fails() ? NULL : __real_realloc(allocated, bytes);
}

static void fail_at(unsigned long number)
{
    countdown = number;
    fired = false;
}

static const char *const cat[] = {"/bin/cat", NULL};
static const char input[100000] = "input";
static const struct weft_execution execution = {.id = "0198c0de-0000-7000-8000-000000000001",
                                                .task = "echo",
                                                .attempt = 1,
                                                .input = {input, sizeof input, false}};

/* Either it has worked, or there was no memory for it. */
static void check_either(int err, struct weft_outcome *outcome)
{
    CHECK(err == 0 || (err == -ENOMEM && fired));
    if (err == 0)
        check_result(outcome, input, sizeof input);
    weft_outcome_release(outcome);
}

REAL_TIME_FIBER_TEST(a_command_without_memory_leaves_nothing)
{
    const struct weft_exec_command command = {.name = "cat", .command = cat};
    unsigned failures = 0;
    for (fired = true; fired; failures++) {
        struct weft_outcome outcome = {.kind = WEFT_OUTCOME_FAILED};
        int before = open_descriptors();
        fail_at(failures + 1);
        int err = weft_exec_run(&command, &execution, &outcome);
        countdown = 0;
        check_either(err, &outcome);
        check_no_children();
        CHECK_EQUAL(open_descriptors(), before);
        REQUIRE(failures < 100);
    }
    CHECK(failures > 4);
}

static struct weft_children_options options(const char *const *command)
{
    return (struct weft_children_options){
        .command = command, .size = 2, .backoff_min_ns = 1, .backoff_max_ns = 1};
}

REAL_TIME_FIBER_TEST(a_pool_that_cannot_be_opened_for_want_of_memory_leaves_nothing)
{
    const char *const command[] = {helper_program("child-program"), NULL};
    const struct weft_children_options two = options(command);
    unsigned failures = 0;
    for (fired = true; fired; failures++) {
        struct weft_children *children = NULL;
        int before = open_descriptors();
        fail_at(failures + 1);
        int err = weft_children_open(&children, &two, NULL);
        countdown = 0;
        CHECK(err == 0 || (err == -ENOMEM && fired));
        CHECK((err == 0) == (children != NULL));
        weft_children_close(children);
        check_no_children();
        CHECK_EQUAL(open_descriptors(), before);
        REQUIRE(failures < 100);
    }
    CHECK(failures > 4);
}

REAL_TIME_FIBER_TEST(a_pool_survives_a_want_of_memory)
{
    const char *const command[] = {helper_program("child-program"), NULL};
    const struct weft_children_options two = options(command);
    struct weft_children *children;
    unsigned failures = 0;
    REQUIRE(weft_children_open(&children, &two, NULL) == 0);
    for (fired = true; fired; failures++) {
        struct weft_outcome outcome = {.kind = WEFT_OUTCOME_FAILED};
        fail_at(failures + 1);
        int err = weft_children_run(children, &execution, NULL, &outcome);
        countdown = 0;
        check_either(err, &outcome);
        CHECK_EQUAL(weft_children_run(children, &execution, NULL, &outcome), 0);
        check_result(&outcome, input, sizeof input);
        weft_outcome_release(&outcome);
        REQUIRE(failures < 100);
    }
    CHECK(failures > 1);
    weft_children_close(children);
    check_no_children();
}

/* ---- descriptors ------------------------------------------------------------------------- */

static struct rlimit allowed;

static void allow_no_descriptors(void)
{
    REQUIRE(getrlimit(RLIMIT_NOFILE, &allowed) == 0);
    const struct rlimit none = {1, allowed.rlim_max}; /* those that are open stay so */
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

static void allow_descriptors(void)
{
    REQUIRE(setrlimit(RLIMIT_NOFILE, &allowed) == 0);
}

REAL_TIME_FIBER_TEST(a_command_without_descriptors_is_a_failure)
{
    const struct weft_exec_command command = {.name = "cat", .command = cat};
    struct weft_outcome outcome = {.kind = WEFT_OUTCOME_DONE};
    allow_no_descriptors();
    int err = weft_exec_run(&command, &execution, &outcome);
    allow_descriptors();
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "cat cannot be started: Too many open files");
    weft_outcome_release(&outcome);
}

REAL_TIME_FIBER_TEST(a_pool_survives_a_want_of_descriptors)
{
    const char *const command[] = {helper_program("child-program"), NULL};
    struct weft_children_options one = options(command);
    struct weft_execution leave = execution;
    leave.task = "leave";
    leave.input = (struct weft_bytes){"1", 1, false};
    struct weft_outcome outcome = {.kind = WEFT_OUTCOME_DONE};
    struct weft_children *children;
    one.size = 1;
    REQUIRE(weft_children_open(&children, &one, NULL) == 0);
    allow_no_descriptors();
    CHECK_EQUAL(weft_children_run(children, &leave, NULL, &outcome), 0);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(weft_children_run(children, &execution, NULL, &outcome), 0);
    allow_descriptors();
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "no process can be started: Too many open files");
    weft_outcome_release(&outcome);
    CHECK_EQUAL(weft_children_run(children, &execution, NULL, &outcome), 0);
    check_result(&outcome, input, sizeof input);
    weft_outcome_release(&outcome);
    weft_children_close(children);
    check_no_children();
}
