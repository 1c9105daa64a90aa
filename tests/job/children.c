/* SPDX-License-Identifier: MIT
 * children.c - functions in children: what goes in and comes out, how children end and are
 * replaced, and that nothing they send or leave undone harms their parent. child_program.c is what
 * they run. Where time matters it is virtual; elsewhere it is real, and every wait is bounded. */
#include "descriptors.h"
#include "outcome.h"
#include "program.h"
#include "test.h"

#include <base/buffer.h>
#include <job/children.h>
#include <job/frame.h>
#include <job/member.h>
#include <weft/group.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* ---- helpers ----------------------------------------------------------------------------- */

struct pool {
    const char *command[4];
    struct weft_children_options options;
    struct weft_children *children;
};

static void prepare(struct pool *pool, unsigned size)
{
    *pool = (struct pool){.command = {helper_program("child-program"), "", NULL}};
    pool->options = (struct weft_children_options){
        .command = pool->command, .size = size, .timeout_ns = PATIENCE};
}

static void open_prepared(struct pool *pool)
{
    struct weft_outcome why = {.kind = WEFT_OUTCOME_FAILED};
    int err = weft_children_open(&pool->children, &pool->options, &why);
    if (err < 0)
        test_note("%d: %s", err, why.reason ? why.reason : "(no reason)");
    REQUIRE(err == 0);
}

static void open_pool(struct pool *pool, unsigned size)
{
    prepare(pool, size);
    open_prepared(pool);
}

static struct weft_execution execution_of(const char *task, const char *data, size_t len)
{
    return (struct weft_execution){.id = "0198c0de-0000-7000-8000-000000000001",
                                   .task = task,
                                   .attempt = 1,
                                   .input = {.data = data, .len = len}};
}

static int run_bytes(struct weft_children *children, const char *task, const char *data, size_t len,
                     struct weft_outcome *outcome)
{
    const struct weft_execution execution = execution_of(task, data, len);
    *outcome = (struct weft_outcome){.kind = WEFT_OUTCOME_FAILED};
    return weft_children_run(children, &execution, NULL, outcome);
}

static int run(struct weft_children *children, const char *name, const char *input,
               struct weft_outcome *outcome)
{
    return run_bytes(children, name, input, strlen(input), outcome);
}

/* Run what must have an outcome, with this reason. */
static void check_reason(struct weft_children *children, const char *name, const char *input,
                         enum weft_outcome_kind kind, const char *reason)
{
    struct weft_outcome outcome;
    CHECK_EQUAL(run(children, name, input, &outcome), 0);
    CHECK_EQUAL(outcome.kind, kind);
    CHECK(!outcome.result);
    CHECK_REASON(&outcome, reason);
    weft_outcome_release(&outcome);
}

static void check_works(struct weft_children *children)
{
    struct weft_outcome outcome;
    CHECK_EQUAL(run(children, "echo", "well", &outcome), 0);
    check_result(&outcome, "well", 4);
    weft_outcome_release(&outcome);
}

static pid_t pid_of_child(struct weft_children *children)
{
    struct weft_outcome outcome;
    char text[32] = "";
    CHECK_EQUAL(run(children, "pid", "", &outcome), 0);
    REQUIRE(outcome.kind == WEFT_OUTCOME_DONE && outcome.result_len < sizeof text);
    memcpy(text, outcome.result, outcome.result_len);
    weft_outcome_release(&outcome);
    return (pid_t)strtol(text, NULL, 10);
}

static struct weft_children_counts counts_of(const struct weft_children *children)
{
    struct weft_children_counts counts;
    weft_children_counts(children, &counts);
    return counts;
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

/* ---- input and output -------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_handler_gets_any_input_and_gives_any_result)
{
    struct pool pool;
    struct weft_outcome outcome;
    int before = open_descriptors();
    char *bytes = some_bytes(WEFT_JOB_PAYLOAD_MAX);
    open_pool(&pool, 2);
    static const size_t lens[] = {0, 1, 4096, 70000, WEFT_JOB_PAYLOAD_MAX};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        CHECK_EQUAL(run_bytes(pool.children, "echo", bytes, lens[i], &outcome), 0);
        check_result(&outcome, bytes, lens[i]);
        CHECK(!outcome.result_json);
        CHECK(!outcome.reason);
        CHECK(!outcome.said);
        CHECK_EQUAL(outcome.exit_code, -1);
        CHECK_EQUAL(outcome.signal, 0);
        weft_outcome_release(&outcome);
    }
    struct weft_execution json = execution_of("echo_json", "[1]", 3);
    json.input.json = true;
    CHECK_EQUAL(weft_children_run(pool.children, &json, NULL, &outcome), 0);
    check_result(&outcome, "[1]", 3);
    CHECK(outcome.result_json);
    weft_outcome_release(&outcome);
    weft_children_close(pool.children);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
    free(bytes);
}

REAL_TIME_FIBER_TEST(a_handler_knows_its_job)
{
    struct pool pool;
    struct weft_outcome outcome;
    static const char full[] = "0198c0de-0000-7000-8000-000000000001|facts|slow|7|9|settings|"
                               "{\"name\":\"Ada\"}|00-ab|Ada|3|4 \"ok\"|0 (none)|0 ";
    static const char bare[] = "0198c0de-0000-7000-8000-000000000001|facts||7|0|settings|input|"
                               "(none)|(none)|0";
    static const struct weft_job_input inputs[3] = {{.result = {"\"ok\"", 4, true}},
                                                    {.result = {.data = NULL}},
                                                    {.result = {.data = "", .len = 0}}};
    struct weft_execution execution = execution_of("facts", "{\"name\":\"Ada\"}", 14);
    execution.input.json = true;
    execution.queue = "slow";
    execution.attempt = 7;
    execution.attempts_max = 9;
    execution.headers = "{\"trace\":\"00-ab\"}";
    execution.inputs = inputs;
    execution.inputs_count = 3;
    open_pool(&pool, 1);
    CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
    check_result(&outcome, full, strlen(full));
    weft_outcome_release(&outcome);
    execution = execution_of("facts", "input", 5);
    execution.attempt = 7;
    CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
    check_result(&outcome, bare, strlen(bare));
    weft_outcome_release(&outcome);
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(a_handler_says_why_it_fails)
{
    struct pool pool;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    struct weft_children *children = pool.children;
    CHECK_EQUAL(run(children, "fail", "42", &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "no luck: 42");
    CHECK(outcome.said_len == 16 && memcmp(outcome.said, "said on the way\n", 16) == 0);
    weft_outcome_release(&outcome);
    check_reason(children, "discard", "", WEFT_OUTCOME_DISCARD, "no such customer");
    check_reason(children, "fail_by_code", "2", WEFT_OUTCOME_FAILED, "No such file or directory");
    check_reason(children, "fail_by_code", "12", WEFT_OUTCOME_FAILED, "Cannot allocate memory");
    check_reason(children, "no_such_task", "", WEFT_OUTCOME_FAILED,
                 "no task of this name is known here");
    check_reason(children, "command", "", WEFT_OUTCOME_FAILED,
                 "no task of this name is known here");
    check_reason(children, "cancel", "", WEFT_OUTCOME_CANCEL, "sold out");
    CHECK_EQUAL(run(children, "change_mind", "", &outcome), 0);
    check_result(&outcome, "second", 6);
    CHECK(!outcome.result_json);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(counts_of(children).started, 1); /* none of this is a reason to replace it */
    weft_children_close(children);
}

REAL_TIME_FIBER_TEST(a_result_has_a_longest_length)
{
    struct pool pool;
    struct weft_outcome outcome;
    char text[32];
    open_pool(&pool, 1);
    (void)snprintf(text, sizeof text, "%zu", WEFT_JOB_RESULT_MAX);
    CHECK_EQUAL(run(pool.children, "large_result", text, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    CHECK_EQUAL(outcome.result_len, WEFT_JOB_RESULT_MAX);
    weft_outcome_release(&outcome);
    (void)snprintf(text, sizeof text, "%zu", WEFT_JOB_RESULT_MAX + 1);
    check_reason(pool.children, "large_result", text, WEFT_OUTCOME_FAILED, "Message too long");
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(a_job_that_cannot_be_told_is_refused)
{
    struct pool pool;
    struct weft_outcome outcome;
    char name[WEFT_JOB_NAME_MAX + 2];
    char *bytes = some_bytes(WEFT_JOB_PAYLOAD_MAX + 1);
    open_pool(&pool, 1);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    CHECK_EQUAL(run(pool.children, name, "", &outcome), -EINVAL);
    CHECK_EQUAL(run_bytes(pool.children, "echo", bytes, WEFT_JOB_PAYLOAD_MAX + 1, &outcome),
                -EINVAL);
    check_works(pool.children);
    CHECK_EQUAL(counts_of(pool.children).started, 1);
    weft_children_close(pool.children);
    free(bytes);
}

/* ---- what it says on the way ------------------------------------------------------------- */

static void note_progress(void *arg, const char *json, size_t len)
{
    weft_buffer_append_format(arg, "progress %zu %.*s\n", len, len < 40 ? (int)len : 40, json);
}

static void note_log(void *arg, enum weft_log_level level, const char *text, size_t len)
{
    weft_buffer_append_format(arg, "log %d %zu %.10s\n", (int)level, len, text);
}

static int note_follow(void *arg, const struct weft_attempt_job *job)
{
    weft_buffer_append_format(arg, "follow %s %s %d %u %lld %s %.*s\n", job->task, job->queue,
                              job->priority, job->attempts_max, (long long)job->delay_ns,
                              job->unique_key ? job->unique_key : "(none)", (int)job->payload_len,
                              job->payload);
    return strcmp(job->task, "other") == 0 || job->payload[1] != '7' ? 0 : -EINVAL;
}

static void check_heard(struct weft_buffer *heard, const char *expected)
{
    weft_buffer_append_char(heard, '\0');
    CHECK(!heard->err && strcmp(heard->data, expected) == 0);
    if (!heard->err && strcmp(heard->data, expected) != 0)
        test_note("%s", heard->data);
    weft_buffer_clear(heard);
}

REAL_TIME_FIBER_TEST(progress_and_words_are_heard_in_their_order)
{
    struct pool pool;
    struct weft_outcome outcome;
    struct weft_buffer heard;
    const struct weft_execution execution = execution_of("report", NULL, 0);
    weft_buffer_init(&heard, 4096);
    struct weft_children_listener listener = {note_progress, note_log, note_follow, &heard};
    open_pool(&pool, 1);
    CHECK_EQUAL(weft_children_run(pool.children, &execution, &listener, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    CHECK(!outcome.result);
    weft_outcome_release(&outcome);
    check_heard(&heard, "progress 31 {\"fraction\":0.0,\"note\":\"begin\"}\nlog 1 9 at 1 of 3\n"
                        "progress 16 {\"fraction\":0.5}\nlog 3 1022 xxxxxxxxxx\n"
                        "progress 538 {\"fraction\":1.0,\"note\":\"xxxxxxxxxxxxxxxx\n");
    /* And without a listener, or with one that hears half. */
    listener = (struct weft_children_listener){.on_log = NULL};
    CHECK_EQUAL(weft_children_run(pool.children, &execution, &listener, &outcome), 0);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
    weft_outcome_release(&outcome);
    weft_buffer_deinit(&heard);
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(further_jobs_are_heard_before_the_end_and_only_if_it_is_a_good_one)
{
    struct pool pool;
    struct weft_outcome outcome;
    struct weft_buffer heard;
    struct weft_execution execution = execution_of("follow", "2", 1);
    execution.queue = "q";
    weft_buffer_init(&heard, 4096);
    struct weft_children_listener listener = {note_progress, note_log, note_follow, &heard};
    open_pool(&pool, 1);
    CHECK_EQUAL(weft_children_run(pool.children, &execution, &listener, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_DONE);
    weft_outcome_release(&outcome);
    check_heard(&heard, "follow echo_json q 3 0 0 (none) [0]\nfollow echo_json q 3 0 0 (none) [1]\n"
                        "follow other elsewhere 5 7 2000000000 once null\n");
    execution.input = (struct weft_bytes){"2 -5", 4, false};
    CHECK_EQUAL(weft_children_run(pool.children, &execution, &listener, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    weft_outcome_release(&outcome);
    check_heard(&heard, "");
    CHECK_EQUAL(counts_of(pool.children).crashed, 0);
    /* One that the listener does not take ends the child. */
    execution.input = (struct weft_bytes){"8", 1, false};
    CHECK_EQUAL(weft_children_run(pool.children, &execution, &listener, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "its process sent what is no answer in the middle of the job");
    weft_outcome_release(&outcome);
    CHECK_EQUAL(counts_of(pool.children).crashed, 1);
    weft_buffer_deinit(&heard);
    weft_children_close(pool.children);
}

/* ---- other ends than a good one ---------------------------------------------------------- */

REAL_TIME_FIBER_TEST(delays_are_told)
{
    struct pool pool;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    CHECK_EQUAL(run(pool.children, "snooze", "250", &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_SNOOZE);
    CHECK_EQUAL(outcome.delay_ns, 250 * WEFT_MSEC);
    CHECK(!outcome.reason);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(run(pool.children, "retry_after", "7", &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_EQUAL(outcome.delay_ns, 7 * WEFT_MSEC);
    CHECK(!outcome.delay_least);
    CHECK_REASON(&outcome, "not yet");
    weft_outcome_release(&outcome);
    static const struct {
        const char *code;
        enum weft_outcome_kind kind;
    } codes[] = {{"-4200", WEFT_OUTCOME_SNOOZE},
                 {"-4201", WEFT_OUTCOME_CANCEL},
                 {"-4202", WEFT_OUTCOME_DISCARD},
                 {"5", WEFT_OUTCOME_DONE}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        CHECK_EQUAL(run(pool.children, "without_a_word", codes[i].code, &outcome), 0);
        CHECK_EQUAL(outcome.kind, codes[i].kind);
        CHECK_EQUAL(outcome.delay_ns, 0);
        CHECK(!outcome.reason);
        CHECK(!outcome.result);
        weft_outcome_release(&outcome);
    }
    CHECK_EQUAL(counts_of(pool.children).started, 1);
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(what_it_prints_is_kept)
{
    struct pool pool;
    struct weft_outcome outcome;
    static const char expected[] = "to output\nto error\nwithout a flush\n";
    open_pool(&pool, 1);
    for (int i = 0; i < 2; i++) { /* of its own job only */
        CHECK_EQUAL(run(pool.children, "print", "", &outcome), 0);
        check_result(&outcome, "", 0);
        CHECK(outcome.said_len == strlen(expected) &&
              memcmp(outcome.said, expected, strlen(expected)) == 0);
        weft_outcome_release(&outcome);
    }
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(what_a_job_uses_is_told)
{
    struct pool pool;
    struct weft_outcome burnt, echoed;
    open_pool(&pool, 1);
    check_works(pool.children);
    CHECK_EQUAL(run(pool.children, "burn", "", &burnt), 0);
    CHECK_EQUAL(run(pool.children, "echo", "", &echoed), 0);
    CHECK(burnt.cpu_ns > 0);
    CHECK(echoed.cpu_ns < burnt.cpu_ns); /* not what was used before */
    CHECK(burnt.resident_bytes > 4096);
    weft_outcome_release(&burnt);
    weft_outcome_release(&echoed);
    weft_children_close(pool.children);
}

/* ---- children stay, and are replaced ----------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_child_is_kept_from_job_to_job_and_replaced_after_so_many)
{
    struct pool pool;
    prepare(&pool, 1);
    pool.options.jobs_max = 3;
    open_prepared(&pool);
    pid_t first = pid_of_child(pool.children);
    CHECK(pid_of_child(pool.children) == first);
    CHECK(pid_of_child(pool.children) == first);
    CHECK(is_gone(first));
    CHECK_EQUAL(counts_of(pool.children).replaced, 1);
    CHECK_EQUAL(counts_of(pool.children).idle, 1); /* the next one is there already */
    pid_t second = pid_of_child(pool.children);
    CHECK(second != first);
    CHECK(pid_of_child(pool.children) == second);
    CHECK_EQUAL(counts_of(pool.children).started, 2);
    CHECK_EQUAL(counts_of(pool.children).crashed, 0);
    weft_children_close(pool.children);
    check_no_children();
}

REAL_TIME_FIBER_TEST(a_child_that_has_grown_too_large_is_replaced)
{
    struct pool pool;
    prepare(&pool, 1);
    pool.command[0] = helper_program("child-program-plain"); /* sanitizers take a lot */
    pool.options.resident_bytes_max = (size_t)64 << 20;
    open_prepared(&pool);
    pid_t first = pid_of_child(pool.children);
    struct weft_outcome outcome;
    CHECK_EQUAL(run(pool.children, "grow", "10", &outcome), 0);
    check_result(&outcome, "", 0);
    weft_outcome_release(&outcome);
    CHECK(pid_of_child(pool.children) == first);
    CHECK_EQUAL(run(pool.children, "grow", "64", &outcome), 0);
    check_result(&outcome, "", 0);
    weft_outcome_release(&outcome);
    CHECK(is_gone(first));
    CHECK(pid_of_child(pool.children) != first);
    CHECK_EQUAL(counts_of(pool.children).replaced, 1);
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(a_child_that_wants_more_memory_than_it_may_have_says_so_and_lives_on)
{
    struct pool pool;
    prepare(&pool, 1);
    pool.command[0] = helper_program("child-program-plain"); /* sanitizers want it all */
    pool.options.memory_bytes_max = (size_t)256 << 20;
    open_prepared(&pool);
    check_reason(pool.children, "grow", "400", WEFT_OUTCOME_FAILED,
                 "out of memory: it may have 256 MiB");
    check_works(pool.children);
    CHECK_EQUAL(counts_of(pool.children).started, 1);
    weft_children_close(pool.children);
}

/* ---- crashes ----------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_crash_costs_one_attempt_and_is_named)
{
    struct pool pool;
    struct weft_outcome outcome;
    int before = open_descriptors();
    open_pool(&pool, 2);
    struct weft_children *children = pool.children;
    CHECK_EQUAL(run(children, "die_by", "11", &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_EQUAL(outcome.signal, SIGSEGV);
    CHECK_EQUAL(outcome.exit_code, -1);
    CHECK_REASON(&outcome, "killed by SIGSEGV: a last word");
    weft_outcome_release(&outcome);
    check_works(children);
    check_reason(children, "die_by", "9", WEFT_OUTCOME_FAILED,
                 "killed by SIGKILL (by the kernel, for want of memory?): a last word");
    check_works(children);
    CHECK_EQUAL(run(children, "leave", "7", &outcome), 0);
    CHECK_EQUAL(outcome.exit_code, 7);
    CHECK_REASON(&outcome, "its process ended in the middle of the job, with exit code 7");
    weft_outcome_release(&outcome);
    check_works(children);
    check_reason(children, "leave", "0", WEFT_OUTCOME_FAILED,
                 "its process ended in the middle of the job, with exit code 0");
    CHECK_EQUAL(counts_of(children).crashed, 4);
    CHECK_EQUAL(counts_of(children).started, 6);
    weft_children_close(children);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

/* A small child takes no megabyte while it dies. */
REAL_TIME_FIBER_TEST(a_crash_before_all_of_the_input_was_read_is_one_too)
{
    struct pool pool;
    struct weft_outcome outcome;
    char *bytes = some_bytes(WEFT_JOB_PAYLOAD_MAX);
    open_pool(&pool, 1);
    pid_t child = pid_of_child(pool.children);
    CHECK_EQUAL(kill(child, SIGSTOP), 0);
    struct weft_execution execution = execution_of("echo", bytes, WEFT_JOB_PAYLOAD_MAX);
    execution.timeout_ns = 20 * WEFT_MSEC;
    outcome = (struct weft_outcome){.kind = WEFT_OUTCOME_DONE};
    CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK(begins_with(outcome.reason, "it took longer than 20 ms"));
    weft_outcome_release(&outcome);
    CHECK(is_gone(child));
    check_works(pool.children);
    weft_children_close(pool.children);
    free(bytes);
}

REAL_TIME_FIBER_TEST(an_answer_counts_even_when_its_child_is_gone_at_once)
{
    struct pool pool;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    for (int i = 0; i < 5; i++) {
        siginfo_t info;
        pid_t child = pid_of_child(pool.children);
        CHECK_EQUAL(run(pool.children, "answer_and_leave", "", &outcome), 0);
        check_result(&outcome, "done", 4);
        weft_outcome_release(&outcome);
        /* Else it might be given another job while it leaves. */
        REQUIRE(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0 || errno == ECHILD);
    }
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

REAL_TIME_FIBER_TEST(what_a_crashed_child_leaves_behind_is_killed_and_not_waited_for)
{
    struct pool pool;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    CHECK_EQUAL(run(pool.children, "leave_a_grandchild", "4", &outcome), 0);
    CHECK_EQUAL(outcome.exit_code, 4);
    CHECK(begins_with(outcome.reason,
                      "its process ended in the middle of the job, with exit code 4: "));
    const char *grandchild = outcome.reason ? strrchr(outcome.reason, ' ') : NULL;
    REQUIRE(grandchild);
    check_dies((pid_t)strtol(grandchild, NULL, 10));
    weft_outcome_release(&outcome);
    check_works(pool.children);
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(a_child_that_dies_while_it_has_nothing_to_do_is_replaced)
{
    struct pool pool;
    open_pool(&pool, 1);
    pid_t first = pid_of_child(pool.children);
    CHECK_EQUAL(kill(first, SIGKILL), 0);
    siginfo_t info;
    REQUIRE(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT) == 0);
    CHECK(pid_of_child(pool.children) != first);
    CHECK(is_gone(first));
    CHECK_EQUAL(counts_of(pool.children).crashed, 1);
    /* Who is asked to end, and has nothing to do, does. */
    pid_t second = pid_of_child(pool.children);
    CHECK_EQUAL(kill(second, SIGTERM), 0);
    REQUIRE(waitid(P_PID, (id_t)second, &info, WEXITED | WNOWAIT) == 0);
    CHECK_EQUAL(info.si_code, CLD_EXITED);
    CHECK_EQUAL(info.si_status, 0);
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

/* 0, 100, 200, 400 ms: the first crash costs nothing, and an answer makes good. */
FIBER_TEST(children_that_crash_one_after_the_other_are_started_ever_later)
{
    struct pool pool;
    struct weft_outcome outcome;
    prepare(&pool, 1);
    pool.options.backoff_max_ns = 300 * WEFT_MSEC;
    open_prepared(&pool);
    static const int64_t delays_ms[] = {0, 0, 100, 200, 300, 300};
    for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
        int64_t start_ns = weft_now();
        CHECK_EQUAL(run(pool.children, "leave", "1", &outcome), 0);
        weft_outcome_release(&outcome);
        CHECK_EQUAL(weft_now() - start_ns, delays_ms[i] * WEFT_MSEC);
    }
    int64_t start_ns = weft_now();
    check_works(pool.children);
    CHECK_EQUAL(weft_now() - start_ns, 300 * WEFT_MSEC);
    for (int i = 0; i < 3; i++) {
        start_ns = weft_now();
        CHECK_EQUAL(run(pool.children, "leave", "1", &outcome), 0);
        weft_outcome_release(&outcome);
        check_works(pool.children);
        CHECK_EQUAL(weft_now(), start_ns);
    }
    weft_children_close(pool.children);
    check_no_children();
}

/* ---- time -------------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_job_that_takes_too_long_is_asked_to_stop)
{
    struct pool pool;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    struct weft_execution execution = execution_of("wait_for_stop", NULL, 0);
    execution.timeout_ns = 20 * WEFT_MSEC;
    pid_t child = pid_of_child(pool.children);
    CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "it took longer than 20 ms, and ended when asked to");
    weft_outcome_release(&outcome);
    CHECK(is_gone(child)); /* the signal might have reached it late, in another's job */
    CHECK_EQUAL(counts_of(pool.children).replaced, 1);
    CHECK_EQUAL(counts_of(pool.children).crashed, 0);
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

/* It needs its time to become deaf: until it had it, each round gives it more. */
REAL_TIME_FIBER_TEST(a_job_that_does_not_stop_is_killed_after_the_grace)
{
    struct pool pool;
    struct weft_outcome outcome;
    prepare(&pool, 1);
    pool.options.grace_ns = 10 * WEFT_MSEC;
    open_prepared(&pool);
    struct weft_execution execution = execution_of("deaf", NULL, 0);
    execution.timeout_ns = WEFT_SEC / 4;
    for (;;) {
        CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
        if (outcome.signal == SIGKILL || execution.timeout_ns >= 16 * WEFT_SEC)
            break;
        weft_outcome_release(&outcome);
        execution.timeout_ns *= 2;
    }
    CHECK_EQUAL(outcome.signal, SIGKILL);
    CHECK(begins_with(outcome.reason, "it took longer than "));
    CHECK(outcome.reason && strstr(outcome.reason, "s, and had to be killed: deaf now"));
    weft_outcome_release(&outcome);
    check_works(pool.children);
    CHECK_EQUAL(counts_of(pool.children).crashed, 0);
    weft_children_close(pool.children);
    check_no_children();
}

REAL_TIME_FIBER_TEST(a_flood_does_not_keep_a_job_from_being_ended)
{
    struct pool pool;
    struct weft_outcome outcome;
    prepare(&pool, 1);
    pool.options.grace_ns = 10 * WEFT_MSEC;
    open_prepared(&pool);
    struct weft_execution execution = execution_of("flood", NULL, 0);
    execution.timeout_ns = 30 * WEFT_MSEC;
    CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
    CHECK(begins_with(outcome.reason, "it took longer than 30 ms, and "));
    weft_outcome_release(&outcome);
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + 30 * WEFT_MSEC, 0);
    CHECK_EQUAL(run(pool.children, "flood", "", &outcome), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    check_works(pool.children);
    weft_children_close(pool.children);
}

FIBER_TEST(virtual_time_stands_still_while_a_job_runs)
{
    struct pool pool;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    int64_t start_ns = weft_now();
    CHECK_EQUAL(run(pool.children, "burn", "", &outcome), 0);
    check_result(&outcome, "", 0);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(weft_now(), start_ns);
    weft_children_close(pool.children);
}

/* ---- many calls, few children ------------------------------------------------------------ */

struct call {
    struct weft_children *children;
    const char *name, *input;
    struct weft_outcome outcome;
    struct weft_scope *patience;
    int result;
    int *order;
    int place;
};

static int call_main(void *arg)
{
    struct call *call = arg;
    struct weft_execution execution = execution_of(call->name, call->input, strlen(call->input));
    execution.patience = &call->patience;
    call->outcome = (struct weft_outcome){.kind = WEFT_OUTCOME_FAILED};
    call->result = weft_children_run(call->children, &execution, NULL, &call->outcome);
    if (call->order)
        call->place = (*call->order)++;
    return 0;
}

REAL_TIME_FIBER_TEST(calls_wait_for_a_child_in_their_order)
{
    struct pool pool;
    struct weft_group group;
    struct call calls[6];
    int order = 0;
    open_pool(&pool, 1);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 6; i++) {
        calls[i] =
            (struct call){.children = pool.children, .name = "echo", .input = "x", .order = &order};
        REQUIRE(weft_spawn(&group, call_main, &calls[i]) == 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 6; i++) {
        CHECK_EQUAL(calls[i].result, 0);
        CHECK_EQUAL(calls[i].place, i);
        check_result(&calls[i].outcome, "x", 1);
        weft_outcome_release(&calls[i].outcome);
    }
    CHECK_EQUAL(counts_of(pool.children).started, 1);
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(there_are_never_more_children_than_asked_for)
{
    struct pool pool;
    struct weft_group group;
    struct call calls[40];
    prepare(&pool, 3);
    pool.options.jobs_max = 2;
    pool.options.backoff_min_ns = 1;
    open_prepared(&pool);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 40; i++) {
        bool crashes = i % 3 == 0;
        calls[i] = (struct call){
            .children = pool.children, .name = crashes ? "leave" : "echo", .input = "9"};
        REQUIRE(weft_spawn(&group, call_main, &calls[i]) == 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 40; i++) {
        CHECK_EQUAL(calls[i].result, 0);
        CHECK_EQUAL(calls[i].outcome.kind, i % 3 ? WEFT_OUTCOME_DONE : WEFT_OUTCOME_FAILED);
        weft_outcome_release(&calls[i].outcome);
    }
    struct weft_children_counts counts = counts_of(pool.children);
    CHECK_EQUAL(counts.crashed, 14);
    CHECK(counts.idle <= 3);
    CHECK_EQUAL(counts.started - counts.crashed - counts.replaced, counts.idle);
    CHECK_EQUAL(counts.waiting, 0);
    weft_children_close(pool.children);
    check_no_children();
}

static void wait_until_waiting(const struct weft_children *children, unsigned count)
{
    for (int i = 0; i < 1000 && counts_of(children).waiting < count; i++)
        REQUIRE(weft_yield() == 0);
    REQUIRE(counts_of(children).waiting == count);
}

REAL_TIME_FIBER_TEST(who_waits_for_a_child_can_be_cancelled_and_not_too_many_wait)
{
    struct pool pool;
    struct weft_group working, waiting;
    struct call busy, patient;
    struct weft_outcome outcome;
    prepare(&pool, 1);
    pool.options.waiters_max = 1;
    pool.options.grace_ns = WEFT_NO_GRACE;
    open_prepared(&pool);
    busy = (struct call){.children = pool.children, .name = "wait_for_stop", .input = ""};
    patient = (struct call){.children = pool.children, .name = "echo", .input = ""};
    REQUIRE(weft_group_init(&working, NULL) == 0);
    REQUIRE(weft_spawn(&working, call_main, &busy) == 0);
    REQUIRE(weft_yield() == 0);
    REQUIRE(weft_group_init(&waiting, NULL) == 0);
    REQUIRE(weft_spawn(&waiting, call_main, &patient) == 0);
    wait_until_waiting(pool.children, 1);
    CHECK_EQUAL(run(pool.children, "echo", "", &outcome), WEFT_EFULL);
    weft_group_close(&waiting);
    CHECK_EQUAL(patient.result, -ECANCELED);
    CHECK_EQUAL(counts_of(pool.children).waiting, 0);
    weft_group_close(&working);
    CHECK_EQUAL(busy.result, -ECANCELED);
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

/* Made, and taken away. */
static void wait_for_file(const char *path)
{
    for (int64_t until_ns = weft_now() + PATIENCE; access(path, F_OK) != 0;)
        REQUIRE(weft_now() < until_ns && weft_sleep(WEFT_MSEC) == 0);
    CHECK_EQUAL(unlink(path), 0);
}

/* ---- cancellation ------------------------------------------------------------------------ */

REAL_TIME_FIBER_TEST(a_cancelled_fiber_gives_no_job_away)
{
    struct pool pool;
    struct weft_scope scope;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(run(pool.children, "leave", "1", &outcome), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    check_works(pool.children);
    CHECK_EQUAL(counts_of(pool.children).started, 1);
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(a_cancelled_job_is_killed_with_its_child)
{
    struct pool pool;
    struct weft_group group;
    char path[PATH_MAX];
    int before = open_descriptors();
    (void)snprintf(path, sizeof path, "%s/begun", test_directory());
    open_pool(&pool, 1);
    pid_t child = pid_of_child(pool.children);
    struct call call = {.children = pool.children, .name = "announce", .input = path};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, call_main, &call) == 0);
    wait_for_file(path);
    weft_group_close(&group);
    CHECK_EQUAL(call.result, -ECANCELED);
    CHECK(is_gone(child));
    CHECK_EQUAL(counts_of(pool.children).crashed, 0);
    CHECK_EQUAL(counts_of(pool.children).idle, 1);
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(what_is_completed_in_the_time_to_end_is_completed)
{
    struct pool pool;
    struct weft_group group;
    struct weft_outcome outcome;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/begun", test_directory());
    open_pool(&pool, 1);
    struct call call = {.children = pool.children, .name = "finish", .input = path};
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, call_main, &call) == 0);
    wait_for_file(path);
    weft_group_close(&group);
    CHECK_EQUAL(call.result, 0);
    check_result(&call.outcome, "finished", 8);
    weft_outcome_release(&call.outcome);
    struct weft_execution execution = execution_of("finish", path, strlen(path));
    execution.timeout_ns = 20 * WEFT_MSEC;
    CHECK_EQUAL(weft_children_run(pool.children, &execution, NULL, &outcome), 0);
    check_result(&outcome, "finished", 8);
    weft_outcome_release(&outcome);
    CHECK_EQUAL(counts_of(pool.children).replaced, 2);
    CHECK_EQUAL(unlink(path), 0);
    weft_children_close(pool.children);
    check_no_children();
}

static int impatient_main(void *arg)
{
    struct call *call = arg;
    while (!call->patience)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    weft_scope_cancel(call->patience, 0);
    return 0;
}

REAL_TIME_FIBER_TEST(who_waits_for_a_child_to_end_can_be_told_to_kill_it_at_once)
{
    struct pool pool;
    struct weft_group group, others;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/begun", test_directory());
    prepare(&pool, 1);
    pool.options.grace_ns = 3600 * WEFT_SEC;
    open_prepared(&pool);
    struct call call = {.children = pool.children, .name = "announce_deaf", .input = path};
    REQUIRE(weft_group_init(&others, NULL) == 0);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, call_main, &call) == 0);
    wait_for_file(path);
    CHECK(!call.patience);
    REQUIRE(weft_spawn(&others, impatient_main, &call) == 0);
    weft_group_close(&group);
    CHECK_EQUAL(call.result, -ECANCELED);
    CHECK(!call.patience);
    CHECK_EQUAL(weft_group_wait(&others), 0);
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

REAL_TIME_FIBER_TEST(a_cancel_at_any_time_leaves_a_pool_that_works)
{
    const size_t len = (size_t)256 << 10;
    struct pool pool;
    char *bytes = some_bytes(len);
    int before = open_descriptors(), done = 0;
    open_pool(&pool, 1);
    for (int i = 0; i < 40 || (done == 0 && i < 400); i++) {
        struct weft_scope scope;
        struct weft_outcome outcome;
        weft_scope_enter(&scope, weft_now() + i * 200 * WEFT_USEC, 0);
        int err = run_bytes(pool.children, "echo", bytes, len, &outcome);
        err = weft_scope_leave(&scope, err);
        CHECK(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            check_result(&outcome, bytes, len);
        done += err == 0;
        weft_outcome_release(&outcome);
    }
    CHECK(done > 0);
    check_works(pool.children);
    CHECK_EQUAL(counts_of(pool.children).crashed, 0);
    weft_children_close(pool.children);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
    free(bytes);
}

FIBER_TEST(who_waits_for_a_child_to_be_started_can_be_cancelled)
{
    struct pool pool;
    struct weft_scope scope;
    struct weft_outcome outcome;
    open_pool(&pool, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(run(pool.children, "leave", "1", &outcome), 0);
        weft_outcome_release(&outcome);
    }
    int64_t start_ns = weft_now();
    weft_scope_enter(&scope, start_ns + 30 * WEFT_MSEC, 0);
    CHECK_EQUAL(run(pool.children, "echo", "", &outcome), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - start_ns, 30 * WEFT_MSEC);
    check_works(pool.children);
    weft_children_close(pool.children);
}

/* ---- children that do not keep to the protocol ------------------------------------------- */

static void check_raw(struct weft_children *children, const char *bytes, size_t len)
{
    struct weft_outcome outcome;
    CHECK_EQUAL(run_bytes(children, "send_raw", bytes, len, &outcome), 0);
    CHECK_EQUAL(outcome.kind, WEFT_OUTCOME_FAILED);
    CHECK_REASON(&outcome, "its process sent what is no answer in the middle of the job");
    weft_outcome_release(&outcome);
}

REAL_TIME_FIBER_TEST(what_is_no_frame_ends_a_child)
{
    static const char garbage[] = "HTTP/1.1 200 OK\r\n\r\n";
    static const char huge[] = {0, 0, 0, 0x7f, WEFT_FRAME_DONE, 0, 0, 0};
    static const char hello[] = {4, 0, 0, 0, WEFT_FRAME_HELLO, 0, 0, 0, WEFT_FRAME_VERSION,
                                 0, 0, 0};
    static const char job[8 + 20] = {20, 0, 0, 0, WEFT_FRAME_RUN};
    static const char unknown[] = {0, 0, 0, 0, 99, 0, 0, 0};
    static const char progress[] = {1, 0, 0, 0, WEFT_FRAME_PROGRESS, 0, 0, 0, '{'};
    static const char level[] = {2, 0, 0, 0, WEFT_FRAME_LOG, 0, 0, 0, 9, 'x'};
    static const char further[8 + 20] = {20, 0, 0, 0, WEFT_FRAME_FOLLOW};
    static const char *const texts[] = {garbage, huge,     hello, job,
                                        unknown, progress, level, further};
    static const size_t lens[] = {sizeof garbage, sizeof huge,     sizeof hello, sizeof job,
                                  sizeof unknown, sizeof progress, sizeof level, sizeof further};
    struct pool pool;
    prepare(&pool, 1);
    pool.options.backoff_min_ns = 1;
    open_prepared(&pool);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check_raw(pool.children, texts[i], lens[i]);
        CHECK_EQUAL(counts_of(pool.children).crashed, i + 1);
    }
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

REAL_TIME_FIBER_TEST(a_child_that_hangs_up_is_ended)
{
    struct pool pool;
    open_pool(&pool, 1);
    check_reason(pool.children, "hang_up", "", WEFT_OUTCOME_FAILED,
                 "its process closed its connection in the middle of the job: deaf now");
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

/* The rest of the first job would be taken for the second. */
REAL_TIME_FIBER_TEST(a_child_that_answers_before_it_has_heard_all_is_replaced)
{
    struct pool pool;
    struct weft_outcome outcome;
    char *bytes = some_bytes(WEFT_JOB_PAYLOAD_MAX);
    prepare(&pool, 1);
    pool.command[1] = "hasty";
    open_prepared(&pool);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(run_bytes(pool.children, "any", bytes, WEFT_JOB_PAYLOAD_MAX, &outcome), 0);
        check_result(&outcome, "done", 4);
        weft_outcome_release(&outcome);
    }
    CHECK_EQUAL(counts_of(pool.children).replaced, 3);
    weft_children_close(pool.children);
    check_no_children();
    free(bytes);
}

/* ---- children that do not start ---------------------------------------------------------- */

static void check_does_not_start(struct pool *pool, const char *reason)
{
    struct weft_outcome why = {.kind = WEFT_OUTCOME_DONE};
    int before = open_descriptors();
    CHECK_EQUAL(weft_children_open(&pool->children, &pool->options, &why), -ECHILD);
    CHECK_REASON(&why, reason);
    weft_outcome_release(&why);
    CHECK_EQUAL(weft_children_open(&pool->children, &pool->options, NULL), -ECHILD);
    CHECK(!pool->children);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(children_that_do_not_start_say_why)
{
    static const char *const missing[] = {"/does/not/exist", NULL};
    static const char *const no_child[] = {"/bin/sh", "-c", "echo hello; kill -9 $$", NULL};
    struct pool pool;
    struct weft_outcome why = {.kind = WEFT_OUTCOME_FAILED};
    prepare(&pool, 3);
    pool.command[1] = "refuse";
    check_does_not_start(&pool, "its process ended before it was ready, with exit code 3: "
                                "cannot load tasks.so");
    pool.command[1] = "other";
    check_does_not_start(&pool, "its process sent what is no answer before it was ready");
    pool.command[1] = "mute";
    pool.options.start_timeout_ns = 20 * WEFT_MSEC;
    check_does_not_start(&pool, "its process was not ready in time");
    pool.options.start_timeout_ns = PATIENCE;
    pool.options.command = no_child;
    check_does_not_start(&pool, "killed by SIGKILL (by the kernel, for want of memory?)");
    pool.options.command = missing;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, &why), -ENOENT);
    CHECK(!why.reason);
}

/* Until its first word has come, without reading it; in real time, however virtual ours is. */
static void await_hello(const struct weft_member *member)
{
    int there = 0;
    for (int64_t ms = 0; there < (int)WEFT_FRAME_HEAD + 4; ms++) {
        REQUIRE(ms < PATIENCE / WEFT_MSEC && ioctl(member->socket, FIONREAD, &there) == 0);
        (void)poll(NULL, 0, 1);
    }
}

FIBER_TEST(a_child_that_was_ready_in_time_is_ready_however_late_it_is_asked)
{
    struct pool pool;
    struct weft_member *member;
    struct weft_outcome why = {.kind = WEFT_OUTCOME_FAILED};
    prepare(&pool, 1);
    REQUIRE(weft_member_open(&member, &pool.options) == 0);
    await_hello(member);
    (void)weft_sleep(3600 * WEFT_SEC); /* nobody has had a job for it */
    CHECK_EQUAL(weft_member_greet(member, &why), 0);
    CHECK_EQUAL(member->state, WEFT_MEMBER_IDLE);
    weft_outcome_release(&why);
    weft_member_close(member);
}

REAL_TIME_FIBER_TEST(children_that_do_not_start_any_more_fail_their_jobs)
{
    struct pool pool;
    struct weft_outcome outcome;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/no-more", test_directory());
    prepare(&pool, 1);
    pool.command[1] = "unless";
    pool.command[2] = path;
    pool.options.backoff_min_ns = 1;
    pool.options.backoff_max_ns = 1;
    open_prepared(&pool);
    check_works(pool.children);
    FILE *file = fopen(path, "w");
    REQUIRE(file && fclose(file) == 0);
    check_reason(pool.children, "leave", "1", WEFT_OUTCOME_FAILED,
                 "its process ended in the middle of the job, with exit code 1");
    for (int i = 0; i < 3; i++)
        check_reason(pool.children, "echo", "", WEFT_OUTCOME_FAILED,
                     "its process ended before it was ready, with exit code 3: "
                     "cannot load tasks.so");
    CHECK_EQUAL(unlink(path), 0);
    for (int i = 0; i < 2; i++) { /* the one that waits to be asked is dead as well */
        CHECK_EQUAL(run(pool.children, "echo", "", &outcome), 0);
        weft_outcome_release(&outcome);
    }
    check_works(pool.children);
    weft_children_close(pool.children);
    check_no_children();
}

REAL_TIME_FIBER_TEST(opening_can_be_cancelled)
{
    struct pool pool;
    struct weft_scope scope;
    int before = open_descriptors();
    prepare(&pool, 2);
    pool.command[1] = "mute";
    pool.options.start_timeout_ns = PATIENCE;
    weft_scope_enter(&scope, weft_now() + 5 * WEFT_MSEC, 0);
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

/* ---- the pool ---------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_pool_that_is_closed_at_once_leaves_nothing)
{
    struct pool pool;
    int before = open_descriptors();
    open_pool(&pool, 4);
    CHECK_EQUAL(counts_of(pool.children).size, 4);
    CHECK_EQUAL(counts_of(pool.children).started, 4);
    CHECK_EQUAL(counts_of(pool.children).idle, 4);
    weft_children_close(pool.children);
    weft_children_close(NULL);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(a_pool_has_as_many_children_as_there_are_processors)
{
    struct pool pool;
    open_pool(&pool, 0);
    CHECK_EQUAL(counts_of(pool.children).size, sysconf(_SC_NPROCESSORS_ONLN));
    CHECK_EQUAL(counts_of(pool.children).idle, sysconf(_SC_NPROCESSORS_ONLN));
    weft_children_close(pool.children);
}

REAL_TIME_FIBER_TEST(options_that_make_no_sense_are_refused)
{
    static const char *const empty[] = {NULL};
    struct pool pool;
    prepare(&pool, 1);
    const struct weft_children_options good = pool.options;
    pool.options.command = NULL;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    pool.options.command = empty;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    pool.options = good;
    pool.options.size = WEFT_CHILDREN_MAX + 1;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    pool.options = good;
    pool.options.timeout_ns = -1;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    pool.options = good;
    pool.options.grace_ns = -2;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    pool.options = good;
    pool.options.start_timeout_ns = -1;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    pool.options = good;
    pool.options.backoff_min_ns = -1;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    pool.options = good;
    pool.options.backoff_max_ns = -1;
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EINVAL);
    check_no_children();
}

static int call_from_elsewhere(void *arg)
{
    struct call *call = arg;
    return run(call->children, "echo", "", &call->outcome);
}

static int open_here_call_there(void *arg)
{
    struct pool pool;
    struct weft_group group;
    struct weft_task task;
    struct weft_spawn_options there = {.task = &task, .worker = WEFT_WORKER(1)};
    (void)arg;
    open_pool(&pool, 1);
    struct call call = {.children = pool.children};
    REQUIRE(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}) == 0);
    REQUIRE(weft_spawn_with(&group, call_from_elsewhere, &call, &there) == 0);
    CHECK_EQUAL(weft_group_wait(&group), -EPERM);
    weft_children_close(pool.children);
    return 0;
}

TEST(a_pool_belongs_to_its_worker)
{
    struct weft_run_options options = {.workers = 2};
    struct pool pool;
    CHECK_EQUAL(weft_run(&options, open_here_call_there, NULL), 0);
    prepare(&pool, 1);
    CHECK_EQUAL(weft_children_open(&pool.children, &pool.options, NULL), -EPERM);
}

/* Started by a person, it says what it is for, instead of waiting for ever. */
TEST(a_child_without_a_parent_ends)
{
    char command[PATH_MAX + 100];
    (void)snprintf(command, sizeof command, "%s </dev/null 2>&1", helper_program("child-program"));
    FILE *output = popen(command, "r");
    char line[100] = "";
    REQUIRE(output);
    CHECK(fgets(line, sizeof line, output));
    CHECK(strcmp(line, "Socket operation on non-socket\n") == 0);
    CHECK_EQUAL(WEXITSTATUS(pclose(output)), 1);
}
