/* SPDX-License-Identifier: MIT
 * exec.c - commands as executors: what goes in and comes out, how they end, and that nothing of
 * them is left. Real time, since processes live in it; every wait is bounded. */
#include "descriptors.h"
#include "outcome.h"
#include "test.h"

#include <job/exec.h>
#include <weft/group.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The tests' own use of a shell: it can do everything a command might. */
struct script {
    const char *command[4];
    struct weft_exec_command exec;
};

static struct weft_exec_command *script(struct script *storage, const char *text)
{
    *storage = (struct script){.command = {"/bin/sh", "-c", text, NULL}};
    storage->exec = (struct weft_exec_command){.name = "script", .command = storage->command};
    return &storage->exec;
}

static const struct weft_execution nothing = {.id = "job-1", .task = "test", .attempt = 1};

static int run(const struct weft_exec_command *command, const char *input, size_t len,
               struct weft_outcome *outcome)
{
    struct weft_execution execution = nothing;
    execution.input = (struct weft_bytes){.data = input, .len = len};
    *outcome = (struct weft_outcome){.kind = WEFT_OUTCOME_FAILED};
    return weft_exec_run(command, &execution, outcome);
}

/* Run a script that must end somehow. */
static struct weft_outcome outcome_of(const char *text)
{
    struct script storage;
    struct weft_outcome outcome;
    struct weft_exec_command *command = script(&storage, text);
    command->timeout_ns = PATIENCE;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    check_no_children();
    return outcome;
}

/* A file of the test's directory. */
static const char *place(const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

static bool exists(const char *name)
{
    return access(place(name), F_OK) == 0;
}

static char *some_bytes(size_t len)
{
    char *bytes = malloc(len);
    REQUIRE(bytes);
    uint32_t state = 1;
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (char)(state >> 24);
    }
    return bytes;
}

/* ---- input and output ------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(what_a_command_writes_is_the_result)
{
    struct script storage;
    struct weft_outcome outcome;
    int before = open_descriptors();
    CHECK_EQUAL(run(script(&storage, "tr a-z A-Z; echo done"), "some text\n", 10, &outcome), 0);
    check_result(&outcome, "SOME TEXT\ndone\n", 15);
    CHECK_EQUAL(outcome.exit_code, 0);
    CHECK_EQUAL(outcome.signal, 0);
    CHECK(!outcome.reason);
    CHECK(!outcome.said);
    weft_outcome_release(&outcome);
    CHECK(!outcome.result);
    CHECK_EQUAL(run(script(&storage, "exit 0"), NULL, 0, &outcome), 0);
    check_result(&outcome, "", 0);
    weft_outcome_release(&outcome);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(any_bytes_go_through_and_many_of_them_both_ways_at_once)
{
    const size_t len = (size_t)1 << 20;
    struct script storage;
    struct weft_outcome outcome;
    char *bytes = some_bytes(len);
    CHECK_EQUAL(run(script(&storage, "exec cat"), bytes, len, &outcome), 0);
    check_result(&outcome, bytes, len);
    weft_outcome_release(&outcome);
    /* Much is written before anything is read, and after everything was. */
    struct weft_exec_command *command =
        script(&storage, "head -c 300000 /dev/zero; wc -c; head -c 300000 /dev/zero");
    CHECK_EQUAL(run(command, bytes, len, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    CHECK_EQUAL(outcome.result_len, 600008);
    CHECK(outcome.result_len == 600008 && memcmp(outcome.result + 300000, "1048576\n", 8) == 0);
    weft_outcome_release(&outcome);
    free(bytes);
}

REAL_TIME_FIBER_TEST(a_command_need_not_read_its_input)
{
    const size_t len = (size_t)1 << 20;
    struct script storage;
    struct weft_outcome outcome;
    char *bytes = some_bytes(len);
    CHECK_EQUAL(run(script(&storage, "echo never mind"), bytes, len, &outcome), 0);
    check_result(&outcome, "never mind\n", 11);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(run(script(&storage, "exec <&-; echo closed"), bytes, len, &outcome), 0);
    check_result(&outcome, "closed\n", 7);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(run(script(&storage, "head -c 5 >/dev/null; echo five"), bytes, len, &outcome), 0);
    check_result(&outcome, "five\n", 5);
    weft_outcome_release(&outcome);
    free(bytes);
}

REAL_TIME_FIBER_TEST(more_output_than_allowed_is_a_failure_and_ends_the_command)
{
    struct script storage;
    struct weft_outcome outcome;
    struct weft_exec_command *command = script(&storage, "head -c 1000 /dev/zero");
    command->output_bytes_max = 1000;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    CHECK_EQUAL(outcome.result_len, 1000);
    weft_outcome_release(&outcome);

    command->output_bytes_max = 999;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "it wrote more than 999 bytes to its standard output");
    CHECK(!outcome.result);
    weft_outcome_release(&outcome);

    command = script(&storage, "yes");
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    CHECK_REASON(&outcome, "it wrote more than 1048576 bytes to its standard output");
    CHECK_EQUAL(outcome.signal, SIGKILL);
    weft_outcome_release(&outcome);
    check_no_children();
}

/* ---- how it ended ----------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(exit_codes_say_whether_another_attempt_makes_sense)
{
    static const struct {
        const char *text;
        int exit_code;
        enum weft_outcome_kind kind;
        const char *reason;
    } cases[] = {
        {"exit 1", 1, WEFT_OUTCOME_FAILED, "exit code 1"},
        {"exit 65", 65, WEFT_OUTCOME_DISCARD, "exit code 65 (bad input)"},
        {"exit 75", 75, WEFT_OUTCOME_FAILED, "exit code 75 (temporary)"},
        {"exit 100", 100, WEFT_OUTCOME_DISCARD, "exit code 100 (permanent)"},
        {"exit 111", 111, WEFT_OUTCOME_FAILED, "exit code 111"},
        {"exit 255", 255, WEFT_OUTCOME_FAILED, "exit code 255"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_outcome outcome = outcome_of(cases[i].text);
        CHECK_EQUAL(outcome.kind, cases[i].kind);
        CHECK_EQUAL(outcome.exit_code, cases[i].exit_code);
        CHECK_REASON(&outcome, cases[i].reason);
        CHECK(!outcome.result);
        weft_outcome_release(&outcome);
    }
}

REAL_TIME_FIBER_TEST(a_signal_that_ended_it_is_named)
{
    struct weft_outcome outcome = outcome_of("ulimit -c 0; kill -SEGV $$");
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_EQUAL(outcome.signal, SIGSEGV);
    CHECK_EQUAL(outcome.exit_code, -1);
    CHECK_REASON(&outcome, "killed by SIGSEGV");
    weft_outcome_release(&outcome);
    outcome = outcome_of("echo 'out of cheese' >&2; kill -KILL $$");
    CHECK_REASON(&outcome, "killed by SIGKILL (by the kernel, for want of memory?): out of cheese");
    weft_outcome_release(&outcome);
    outcome = outcome_of("kill -40 $$");
    CHECK_REASON(&outcome, "killed by signal 40");
    weft_outcome_release(&outcome);
}

TEST(a_core_is_mentioned)
{
    struct weft_process_status status = {.exit_code = -1, .signal = SIGABRT, .core_dumped = 1};
    struct weft_outcome outcome = {.kind = WEFT_OUTCOME_DONE};
    weft_outcome_say_killed(&outcome, &status);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "killed by SIGABRT (core dumped)");
    weft_outcome_release(&outcome);
}

REAL_TIME_FIBER_TEST(the_last_it_said_is_kept_and_its_last_line_is_in_the_reason)
{
    struct weft_outcome outcome =
        outcome_of("printf 'first\\n\\nno \\033[1mbold\\377\\n\\n \\n' >&2;"
                   "echo result; exit 3");
    CHECK_REASON(&outcome, "exit code 3: no  [1mbold?");
    CHECK_EQUAL(outcome.said_len, 23);
    CHECK(outcome.said_len == 23 &&
          memcmp(outcome.said, "first\n\nno \033[1mbold\377\n\n \n", 23) == 0);
    weft_outcome_release(&outcome);
    /* Far more than is kept, in lines of ten bytes; what is done also has said something. */
    outcome =
        outcome_of("i=100000; while [ $i -lt 110007 ]; do echo \"a $i b\"; i=$((i + 1)); done "
                   ">&2; echo result");
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    CHECK_EQUAL(outcome.said_len, WEFT_TAIL_BYTES);
    CHECK(outcome.said_len > 12 &&
          memcmp(outcome.said + outcome.said_len - 11, "a 110006 b\n", 11) == 0);
    CHECK(outcome.said_len > 12 &&
          memcmp(outcome.said + outcome.said_len - 22, "a 110005 b\n", 11) == 0);
    weft_outcome_release(&outcome);
    /* One long line. */
    outcome = outcome_of("head -c 10000 /dev/zero | tr '\\0' 'x' >&2; exit 1");
    CHECK(outcome.reason && strlen(outcome.reason) == WEFT_JOB_ERROR_MAX);
    CHECK(begins_with(outcome.reason, "exit code 1: xxxxx"));
    weft_outcome_release(&outcome);
}

REAL_TIME_FIBER_TEST(a_command_that_cannot_be_started_is_a_failure_that_says_why)
{
    static const char *const missing[] = {"/does/not/exist", NULL};
    struct weft_exec_command command = {.name = "resize", .command = missing};
    struct weft_outcome outcome;
    int before = open_descriptors();
    CHECK_EQUAL(run(&command, "x", 1, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_EQUAL(outcome.exit_code, -1);
    CHECK_REASON(&outcome, "resize cannot be started: No such file or directory");
    weft_outcome_release(&outcome);
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(what_it_used_is_told)
{
    struct weft_outcome outcome = outcome_of("i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done");
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    CHECK(outcome.cpu_ns > 0);
    weft_outcome_release(&outcome);
}

/* ---- limits ----------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_command_that_wants_more_memory_than_it_may_have_fails)
{
    static const char *const hungry[] = {"python3", "-c", "x = bytearray(1 << 30)", NULL};
    struct weft_exec_command command = {
        .name = "hungry", .command = hungry, .memory_bytes_max = (size_t)512 << 20};
    struct weft_outcome outcome;
    CHECK_EQUAL(run(&command, NULL, 0, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "exit code 1: MemoryError");
    weft_outcome_release(&outcome);
}

REAL_TIME_FIBER_TEST(a_command_that_computes_for_longer_than_it_may_is_killed)
{
    struct script storage;
    struct weft_outcome outcome;
    struct weft_exec_command *command = script(&storage, "ulimit -c 0; while :; do :; done");
    command->cpu_seconds_max = 1;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    CHECK_EQUAL(outcome.signal, SIGXCPU);
    CHECK_REASON(&outcome, "killed by SIGXCPU (out of processor time)");
    weft_outcome_release(&outcome);
}

/* ---- time ------------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_command_that_takes_too_long_is_asked_to_end)
{
    struct script storage;
    struct weft_outcome outcome;
    struct weft_exec_command *command = script(&storage, "exec sleep 60");
    command->timeout_ns = 20 * WEFT_MSEC;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_EQUAL(outcome.signal, SIGTERM);
    CHECK_REASON(&outcome, "it took longer than 20 ms, and ended when asked to");
    weft_outcome_release(&outcome);
    check_no_children();
    /* A result that comes after the time is none. */
    command = script(&storage, "trap 'exit 0' TERM; while :; do sleep 0.01; done");
    command->timeout_ns = 50 * WEFT_MSEC;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    weft_outcome_release(&outcome);
}

REAL_TIME_FIBER_TEST(the_shorter_of_two_timeouts_counts)
{
    struct script storage;
    struct weft_outcome outcome = {0};
    struct weft_execution execution = nothing;
    struct weft_exec_command *command = script(&storage, "exec sleep 60");
    execution.timeout_ns = 10 * WEFT_MSEC;
    CHECK_EQUAL(weft_exec_run(command, &execution, &outcome), 0);
    CHECK_REASON(&outcome, "it took longer than 10 ms, and ended when asked to");
    weft_outcome_release(&outcome);
    command->timeout_ns = 5 * WEFT_MSEC;
    CHECK_EQUAL(weft_exec_run(command, &execution, &outcome), 0);
    CHECK_REASON(&outcome, "it took longer than 5 ms, and ended when asked to");
    weft_outcome_release(&outcome);
    CHECK_EQUAL(weft_shorter(0, 0), 0);
    CHECK_EQUAL(weft_shorter(0, 7), 7);
    CHECK_EQUAL(weft_shorter(7, 0), 7);
    CHECK_EQUAL(weft_shorter(7, 8), 7);
}

/* The script needs its time to say that it does not listen: until it had it, each round gives it
 * more. */
REAL_TIME_FIBER_TEST(who_does_not_want_to_end_is_killed_after_the_grace)
{
    struct script storage;
    struct weft_outcome outcome;
    struct weft_exec_command *command =
        script(&storage, "trap '' TERM; echo deaf >&2; while :; do sleep 60; done");
    command->grace_ns = 10 * WEFT_MSEC;
    command->timeout_ns = WEFT_SEC;
    for (;;) {
        CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
        if (outcome.signal == SIGKILL || command->timeout_ns >= 16 * WEFT_SEC)
            break;
        weft_outcome_release(&outcome);
        command->timeout_ns *= 2;
    }
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_EQUAL(outcome.signal, SIGKILL);
    CHECK(begins_with(outcome.reason, "it took longer than "));
    CHECK(outcome.reason && strstr(outcome.reason, " s, and had to be killed: deaf"));
    weft_outcome_release(&outcome);
    check_no_children();
}

REAL_TIME_FIBER_TEST(a_flood_of_messages_does_not_keep_it_from_being_ended)
{
    struct script storage;
    struct weft_outcome outcome;
    struct weft_exec_command *command = script(&storage, "exec yes >&2");
    command->timeout_ns = 30 * WEFT_MSEC;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    CHECK(begins_with(outcome.reason, "it took longer than 30 ms, and ended when asked to"));
    weft_outcome_release(&outcome);
}

FIBER_TEST(virtual_time_stands_still_while_a_command_runs)
{
    struct script storage;
    struct weft_outcome outcome;
    int64_t start_ns = weft_now();
    struct weft_exec_command *command = script(&storage, "cat; sleep 0.01; echo end");
    command->timeout_ns = WEFT_SEC;
    CHECK_EQUAL(run(command, "begin\n", 6, &outcome), 0);
    check_result(&outcome, "begin\nend\n", 10);
    weft_outcome_release(&outcome);
    CHECK(weft_now() < start_ns + WEFT_SEC);
}

/* ---- what is left of it ----------------------------------------------------------------- */

static pid_t pid_in(const char *text)
{
    return text ? (pid_t)strtol(text, NULL, 10) : 0;
}

REAL_TIME_FIBER_TEST(what_a_command_leaves_behind_is_killed_and_not_waited_for)
{
    struct weft_outcome outcome = outcome_of("sleep 60 & echo $!");
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    REQUIRE(outcome.result_len > 1);
    outcome.result[outcome.result_len - 1] = '\0';
    check_dies(pid_in(outcome.result));
    weft_outcome_release(&outcome);
}

/* It holds our pipes open, where nothing of ours reaches it. */
REAL_TIME_FIBER_TEST(who_has_left_the_group_does_not_hold_up_the_result)
{
    struct script storage;
    struct weft_outcome outcome;
    struct weft_exec_command *command =
        script(&storage, "setsid sh -c 'echo $$; touch away; exec sleep 60' &"
                         "while [ ! -e away ]; do sleep 0.01; done");
    command->directory = test_directory();
    command->timeout_ns = PATIENCE;
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    REQUIRE(outcome.kind == WEFT_OUTCOME_DONE && outcome.result_len > 1);
    outcome.result[outcome.result_len - 1] = '\0';
    pid_t pid = pid_in(outcome.result);
    CHECK(!is_gone(pid));
    CHECK_EQUAL(kill(pid, SIGKILL), 0);
    check_dies(pid);
    weft_outcome_release(&outcome);
}

struct attempt {
    struct script script;
    struct weft_outcome outcome;
    struct weft_scope *patience;
    int result;
};

static int attempt_main(void *arg)
{
    struct attempt *attempt = arg;
    struct weft_execution execution = nothing;
    execution.patience = &attempt->patience;
    attempt->result = weft_exec_run(&attempt->script.exec, &execution, &attempt->outcome);
    return 0;
}

static void wait_for_file(const char *name)
{
    int64_t until_ns = weft_now() + PATIENCE;
    while (!exists(name) && weft_now() < until_ns)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    REQUIRE(exists(name));
}

static pid_t pid_in_file(const char *name)
{
    char text[32] = "";
    FILE *file = fopen(place(name), "r");
    REQUIRE(file && fgets(text, sizeof text, file));
    (void)fclose(file);
    return pid_in(text);
}

/* Run a script until it has made the file "ready", cancel it, and see that it was. */
static void cancel_when_ready(const char *text, int64_t grace_ns)
{
    struct weft_group group;
    struct attempt attempt = {.result = 0};
    int before = open_descriptors();
    script(&attempt.script, text);
    attempt.script.exec.directory = test_directory();
    attempt.script.exec.grace_ns = grace_ns;
    (void)unlink(place("ready"));
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, attempt_main, &attempt) == 0);
    wait_for_file("ready");
    weft_group_close(&group);
    CHECK_EQUAL(attempt.result, -ECANCELED);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(a_cancelled_command_may_clean_up)
{
    (void)unlink(place("cleaned"));
    cancel_when_ready("trap 'sleep 0.05; touch cleaned; exit' TERM; touch ready;"
                      "while :; do sleep 0.01; done",
                      PATIENCE);
    CHECK(exists("cleaned"));
}

REAL_TIME_FIBER_TEST(a_cancelled_command_is_killed_with_its_group_when_it_does_not_listen)
{
    cancel_when_ready("trap '' TERM; sleep 60 & echo $! >pid; mv pid grandchild; touch ready;"
                      "while :; do sleep 60; done",
                      10 * WEFT_MSEC);
    check_dies(pid_in_file("grandchild"));
    CHECK_EQUAL(unlink(place("grandchild")), 0);
}

static int impatient_main(void *arg)
{
    struct attempt *attempt = arg;
    while (!attempt->patience)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    weft_scope_cancel(attempt->patience, 0);
    return 0;
}

REAL_TIME_FIBER_TEST(who_waits_for_a_command_to_end_can_be_told_to_kill_it_at_once)
{
    struct weft_group group, others;
    struct attempt attempt = {.result = 0};
    (void)unlink(place("ready"));
    script(&attempt.script, "trap '' TERM; touch ready; while :; do sleep 60; done");
    attempt.script.exec.directory = test_directory();
    attempt.script.exec.grace_ns = 3600 * WEFT_SEC;
    REQUIRE(weft_group_init(&others, NULL) == 0);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, attempt_main, &attempt) == 0);
    wait_for_file("ready");
    CHECK(!attempt.patience);
    REQUIRE(weft_spawn(&others, impatient_main, &attempt) == 0);
    weft_group_close(&group);
    CHECK_EQUAL(attempt.result, -ECANCELED);
    CHECK(!attempt.patience);
    check_no_children();
    CHECK_EQUAL(weft_group_wait(&others), 0);
}

/* Stopped, it hears of the end only when it is continued. */
REAL_TIME_FIBER_TEST(a_stopped_command_ends_in_the_grace)
{
    cancel_when_ready("touch ready; kill -STOP $$; sleep 60", PATIENCE);
}

REAL_TIME_FIBER_TEST(a_cancelled_fiber_starts_nothing)
{
    struct script storage;
    struct weft_outcome outcome = {.result_len = 77};
    struct weft_scope scope;
    (void)unlink(place("started"));
    struct weft_exec_command *command = script(&storage, "touch started");
    command->directory = test_directory();
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_exec_run(command, &nothing, &outcome), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    CHECK_EQUAL(outcome.result_len, 77);
    check_no_children();
    CHECK(!exists("started"));
}

/* At any point of its life, the end included. */
REAL_TIME_FIBER_TEST(a_cancel_at_any_time_leaves_nothing)
{
    const size_t len = (size_t)256 << 10;
    char *bytes = some_bytes(len);
    int before = open_descriptors(), done = 0;
    for (int i = 0; i < 40 || (done == 0 && i < 400); i++) {
        struct weft_scope scope;
        struct script storage;
        struct weft_outcome outcome = {0};
        struct weft_execution execution = nothing;
        execution.input = (struct weft_bytes){.data = bytes, .len = len};
        weft_scope_enter(&scope, weft_now() + i * 300 * WEFT_USEC, 0);
        int err = weft_exec_run(script(&storage, "exec cat"), &execution, &outcome);
        err = weft_scope_leave(&scope, err);
        CHECK(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            check_result(&outcome, bytes, len);
        done += err == 0;
        weft_outcome_release(&outcome);
        check_no_children();
    }
    CHECK(done > 0);
    CHECK_EQUAL(open_descriptors(), before);
    free(bytes);
}

/* ---- what it is given ------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_command_gets_the_variables_on_the_list_and_those_of_the_job)
{
    static const char *const command[] = {"/usr/bin/env", NULL};
    static const char *const variables[] = {"COLOR=blue", "WEFT_TEST_GIVEN", "WEFT_TEST_ABSENT",
                                            "EMPTY=", NULL};
    struct weft_exec_command exec = {.name = "env", .command = command, .environment = variables};
    struct weft_execution execution = {
        .id = "0198-ab", .task = "send mail", .queue = "slow", .attempt = 4};
    struct weft_outcome outcome = {0};
    static const char expected[] = "COLOR=blue\nWEFT_TEST_GIVEN=1 2\nEMPTY=\nWEFT_JOB_ID=0198-ab\n"
                                   "WEFT_TASK=send mail\nWEFT_QUEUE=slow\nWEFT_ATTEMPT=4\n";
    REQUIRE(setenv("WEFT_TEST_GIVEN", "1 2", 1) == 0);
    CHECK_EQUAL(weft_exec_run(&exec, &execution, &outcome), 0);
    check_result(&outcome, expected, strlen(expected));
    weft_outcome_release(&outcome);

    /* Without a list there is little more than a path: no secrets. */
    exec.environment = NULL;
    CHECK_EQUAL(weft_exec_run(&exec, &execution, &outcome), 0);
    REQUIRE(outcome.kind == WEFT_OUTCOME_DONE && outcome.result_len > 0);
    outcome.result[outcome.result_len - 1] = '\0';
    CHECK(strstr(outcome.result, "WEFT_TASK=send mail"));
    CHECK(!getenv("PATH") || begins_with(outcome.result, "PATH="));
    CHECK(!strstr(outcome.result, "WEFT_TEST_GIVEN"));
    weft_outcome_release(&outcome);
    REQUIRE(unsetenv("WEFT_TEST_GIVEN") == 0);
}

REAL_TIME_FIBER_TEST(names_that_are_too_long_are_refused)
{
    char name[WEFT_JOB_NAME_MAX + 2];
    struct script storage;
    struct weft_outcome outcome = {0};
    struct weft_execution execution = nothing;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    struct weft_exec_command *command = script(&storage, "exit 0");
    execution.task = name;
    CHECK_EQUAL(weft_exec_run(command, &execution, &outcome), -EINVAL);
    execution = nothing;
    execution.queue = name;
    CHECK_EQUAL(weft_exec_run(command, &execution, &outcome), -EINVAL);
    execution = nothing;
    execution.id = name;
    CHECK_EQUAL(weft_exec_run(command, &execution, &outcome), -EINVAL);
    name[sizeof name - 2] = '\0';
    CHECK_EQUAL(weft_exec_run(command, &execution, &outcome), 0);
    weft_outcome_release(&outcome);
}

REAL_TIME_FIBER_TEST(a_command_starts_in_its_directory)
{
    struct script storage;
    struct weft_outcome outcome;
    char expected[PATH_MAX + 1];
    struct weft_exec_command *command = script(&storage, "pwd");
    command->directory = test_directory();
    CHECK_EQUAL(run(command, NULL, 0, &outcome), 0);
    (void)snprintf(expected, sizeof expected, "%s\n", test_directory());
    check_result(&outcome, expected, strlen(expected));
    weft_outcome_release(&outcome);
}

TEST(a_command_needs_a_runtime)
{
    struct script storage;
    struct weft_outcome outcome;
    CHECK_EQUAL(run(script(&storage, "exit 0"), NULL, 0, &outcome), -EPERM);
}

/* ---- what is checked before ------------------------------------------------------------- */

static const char *const true_command[] = {"/bin/true", NULL};

static void check_refused(const struct weft_exec_command *command, int expected, const char *why)
{
    char path[PATH_MAX];
    const char *reason = "(none)";
    CHECK_EQUAL(weft_exec_check(command, path, &reason), expected);
    CHECK(strstr(reason, why));
    if (!strstr(reason, why))
        test_note("%s", reason);
}

TEST(a_command_that_can_be_run_is_found)
{
    static const char *const by_name[] = {"sh", "-c", "exit 0", NULL};
    char path[PATH_MAX];
    const char *reason = NULL;
    struct weft_exec_command command = {.name = "a",
                                        .command = by_name,
                                        .directory = "/tmp",
                                        .grace_ns = WEFT_NO_GRACE,
                                        .nice = 19,
                                        .output_bytes_max = WEFT_JOB_RESULT_MAX};
    CHECK_EQUAL(weft_exec_check(&command, path, &reason), 0);
    CHECK(path[0] == '/' && strcmp(strrchr(path, '/'), "/sh") == 0);
    command.command = true_command;
    CHECK_EQUAL(weft_exec_check(&command, path, &reason), 0);
    CHECK(strcmp(path, "/bin/true") == 0);
    CHECK(!reason);
}

TEST(a_program_that_cannot_be_run_is_refused)
{
    static const char *const empty[] = {NULL}, *const blank[] = {"", NULL};
    static const char *const relative[] = {"./true", NULL}, *const folder[] = {"/tmp", NULL};
    static const char *const missing[] = {"/does/not/exist", NULL}, *const text[] = {"/etc/passwd",
                                                                                     NULL};
    static const char *const nowhere[] = {"weft-no-such-program", NULL};
    struct weft_exec_command command = {.name = "a"};
    check_refused(&command, -EINVAL, "no program");
    command.command = empty;
    check_refused(&command, -EINVAL, "no program");
    command.command = blank;
    check_refused(&command, -EINVAL, "no program");
    command.command = relative;
    check_refused(&command, -EINVAL, "absolute");
    command.command = missing;
    check_refused(&command, -ENOENT, "does not exist");
    command.command = nowhere;
    check_refused(&command, -ENOENT, "$PATH");
    command.command = folder;
    check_refused(&command, -EACCES, "not an executable file");
    command.command = text;
    check_refused(&command, -EACCES, "not an executable file");
}

TEST(settings_that_make_no_sense_are_refused)
{
    static const char *const no_name[] = {"=value", NULL}, *const empty[] = {"", NULL};
    static const char *const taken[] = {"A=1", "WEFT_ATTEMPT", NULL};
    static const char *const similar[] = {"WEFT_ATTEMPTS=1", NULL};
    const struct weft_exec_command good = {.name = "a", .command = true_command};
    struct weft_exec_command command = good;
    command.name = NULL;
    check_refused(&command, -EINVAL, "no name");
    command = good;
    command.environment = no_name;
    check_refused(&command, -EINVAL, "no name");
    command.environment = empty;
    check_refused(&command, -EINVAL, "no name");
    command.environment = taken;
    check_refused(&command, -EINVAL, "set for each job");
    command = good;
    command.timeout_ns = -1;
    check_refused(&command, -EINVAL, "timeout");
    command = good;
    command.grace_ns = -2;
    check_refused(&command, -EINVAL, "grace");
    command = good;
    command.output_bytes_max = WEFT_JOB_RESULT_MAX + 1;
    check_refused(&command, -EINVAL, "result");
    command = good;
    command.nice = 20;
    check_refused(&command, -EINVAL, "nice");
    command.nice = -21;
    check_refused(&command, -EINVAL, "nice");
    command = good;
    command.directory = "tmp";
    check_refused(&command, -EINVAL, "absolute");
    command.directory = "/does/not/exist";
    check_refused(&command, -EINVAL, "directory");
    command.directory = "/etc/passwd";
    check_refused(&command, -EINVAL, "directory");
    command = good;
    command.environment = similar;
    char path[PATH_MAX];
    const char *reason;
    CHECK_EQUAL(weft_exec_check(&command, path, &reason), 0);
    const char *many[WEFT_EXEC_VARIABLES_MAX + 2];
    for (size_t i = 0; i <= WEFT_EXEC_VARIABLES_MAX; i++)
        many[i] = "A=1";
    many[WEFT_EXEC_VARIABLES_MAX + 1] = NULL;
    command.environment = many;
    check_refused(&command, -EINVAL, "too many");
    many[WEFT_EXEC_VARIABLES_MAX] = NULL;
    CHECK_EQUAL(weft_exec_check(&command, path, &reason), 0);
}
