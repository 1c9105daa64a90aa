/* SPDX-License-Identifier: MIT
 * executors.c - commands, webhooks and children of a real server, as programs have them that embed
 * it, by the general API; and those that are refused. */
#include "../job/program.h"
#include "../job/tasks.h"
#include "v1.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct server server;

/* What a shell can do, a command can. */
#define SHELL(text)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        "/bin/sh", "-c", text, NULL                                                                \
    }

static const char *place(const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

/* A path of the folder of the tests' programs, where helpers of this folder are. */
static const char *own_child(void)
{
    static char path[PATH_MAX + 80];
    (void)snprintf(path, sizeof path, "%s", helper_program("own-child"));
    char *folder = strstr(path, "/job/own-child");
    REQUIRE(folder);
    (void)snprintf(folder, sizeof path - (size_t)(folder - path), "/serve/own-child");
    return path;
}

static int not_here(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_fail(attempt, -EPROTO, "it ran in the server");
}

static void open_server(const char *database, const struct weft_executors *executors)
{
    struct weft_handler handlers[TASKS];
    for (int i = 0; i < TASKS; i++)
        handlers[i] = (struct weft_handler){
            .name = tasks[i].name, .run = not_here, .executor = WEFT_EXECUTOR_PROCESS};
    bool children = executors->children.command;
    server_start(&server, database,
                 &(struct weft_serve_options){.handlers = handlers,
                                              .handlers_count = children ? TASKS : 0,
                                              .executors = executors});
}

static void check_ends(const char *id, const char *state, const char *member, const char *text)
{
    CHECK(v1_comes_to(&server, id, state));
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, member, text);
    json_decref(job);
}

/* ---- each of them ------------------------------------------------------------------------ */

TEST(a_command_is_a_task_like_any_other)
{
    const struct weft_command_task commands[] = {
        {.name = "upper", .command = SHELL("tr a-z A-Z")},
        {.name = "who",
         .command = SHELL("echo \"$WHO\" >&2; exit 65"),
         .environment = (const char *const[]){"PATH", "WHO=nobody", NULL}},
    };
    open_server("commands.db", &(struct weft_executors){.commands = commands, .commands_count = 2});
    const char *id = v1_put(&server, "{'task':'upper','payload':{'name':'ada'}}");
    check_ends(id, "completed", "result.NAME", "ADA");
    id = v1_put(&server, "{'task':'who'}");
    check_ends(id, "dead", "error", "exit code 65 (bad input): nobody");
    id = v1_put(&server, "{'task':'noop'}"); /* the built-in ones are there as well */
    CHECK(v1_comes_to(&server, id, "completed"));
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(a_webhook_is_sent_to_whom_the_server_may_ask)
{
#ifndef WEFT_HAVE_WEBHOOKS
    test_skip("built without webhooks");
#else
    static const char *const secrets[] = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    static const struct weft_http_field headers[] = {{"X-Team", "billing"}};
    char url[64];
    struct server other;
    server_start(&other, "receiver.db", &(struct weft_serve_options){0});
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/process", other.port);
    struct weft_webhook_task webhooks[] = {
        {.name = "hook",
         .url = url,
         .secrets = secrets,
         .secrets_count = 1,
         .headers = headers,
         .headers_count = 1,
         .allow_private = 1},
        {.name = "outside", .url = url},
        {.name = "final", .url = url, .allow_private = 1, .client_errors_final = 1},
    };
    open_server("hooks.db", &(struct weft_executors){.webhooks = webhooks, .webhooks_count = 3});
    const char *id = v1_put(&server, "{'task':'hook','payload':{'text':'x'}}");
    check_ends(id, "completed", "result.status", "accepted");
    id = v1_put(&server, "{'task':'outside','max_attempts':1}");
    check_ends(id, "dead", "error",
               "its url leads to an address that is not of the public internet");
    id = v1_put(&server, "{'task':'final','payload':{}}");
    CHECK(v1_comes_to(&server, id, "dead"));
    json_t *job = v1_job(&server, id);
    CHECK_EQUAL(v1_number(job, "attempt"), 1);
    CHECK(strncmp(v1_text(job, "error"), "answered 422: ", 14) == 0);
    json_decref(job);
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK_EQUAL(server_stop(&other), 0);
#endif
}

TEST(a_program_can_be_the_child_of_its_own_server)
{
    const char *const child[] = {own_child(), NULL};
    open_server("children.db", &(struct weft_executors){.children = {.command = child, .size = 1}});
    const char *id = v1_put(&server, "{'task':'end','payload':{'how':'code','code':7}}");
    CHECK(v1_comes_to(&server, id, "completed"));
    json_t *job = v1_job(&server, id);
    CHECK_EQUAL(v1_number(job, "result.0"), 7);
    json_decref(job);
    id = v1_put(&server, "{'task':'end','payload':{'how':'discard'}}");
    check_ends(id, "dead", "error", "of no use");
    CHECK_EQUAL(server_stop(&server), 0);
}

/* How often a child was started for three jobs that come one after the other. */
static int starts_for_three_jobs(const char *database, uint64_t resident_max)
{
    char script[2 * PATH_MAX], line[8];
    (void)snprintf(script, sizeof script, "echo >>'%s'; exec '%s'", place("starts"), own_child());
    const char *const child[] = {"/bin/sh", "-c", script, NULL};
    int starts = 0;
    open_server(database,
                &(struct weft_executors){
                    .children = {.command = child, .size = 1, .resident_max = resident_max}});
    for (int i = 0; i < 3; i++) {
        const char *id = v1_put(&server, "{'task':'end','payload':{'how':'code','code':7}}");
        CHECK(v1_comes_to(&server, id, "completed"));
    }
    CHECK_EQUAL(server_stop(&server), 0);
    FILE *file = fopen(place("starts"), "r");
    REQUIRE(file);
    while (fgets(line, sizeof line, file))
        starts++;
    (void)fclose(file);
    REQUIRE(unlink(place("starts")) == 0);
    return starts;
}

TEST(a_child_that_holds_more_memory_than_it_may_keep_is_replaced)
{
    CHECK_EQUAL(starts_for_three_jobs("kept.db", 0), 1);
    CHECK(starts_for_three_jobs("replaced.db", 1) >= 3);
}

/* ---- ends -------------------------------------------------------------------------------- */

/* The number that a command has written into a file, which is removed. */
static pid_t number_in(const char *name)
{
    int64_t until_ms = 0;
    char text[32] = "";
    while (access(place(name), F_OK) != 0)
        REQUIRE(look_again(&until_ms));
    FILE *file = fopen(place(name), "r");
    REQUIRE(file && fgets(text, sizeof text, file));
    (void)fclose(file);
    REQUIRE(unlink(place(name)) == 0);
    return (pid_t)strtol(text, NULL, 10);
}

static bool goes(pid_t pid)
{
    int64_t until_ms = 0;
    while (kill(pid, 0) == 0) {
        if (!look_again(&until_ms))
            return false;
    }
    return true;
}

static struct weft_command_task slow(void)
{
    static const char *const command[] = {"/bin/sh", "-c",
                                          "echo $$ >begun.new; mv begun.new begun; sleep 60", NULL};
    return (struct weft_command_task){
        .name = "slow", .command = command, .directory = test_directory()};
}

TEST(a_cancel_over_http_ends_a_command)
{
    const struct weft_command_task command = slow();
    open_server("cancel.db", &(struct weft_executors){.commands = &command, .commands_count = 1});
    const char *id = v1_put(&server, "{'task':'slow'}");
    pid_t pid = number_in("begun");
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 202, NULL);
    CHECK(v1_comes_to(&server, id, "cancelled"));
    CHECK(goes(pid));
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(a_command_of_a_server_that_ends_runs_again_at_the_next_start)
{
    struct weft_command_task command = slow();
    const struct weft_executors executors = {.commands = &command, .commands_count = 1};
    const struct weft_serve_options options = {.executors = &executors, .grace_ns = 1};
    server_start(&server, "drain.db", &options);
    const char *id = v1_put(&server, "{'task':'slow'}");
    pid_t pid = number_in("begun");
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK(goes(pid));
    command.command = SHELL("echo $WEFT_ATTEMPT");
    server_start(&server, "drain.db", &options);
    CHECK(v1_comes_to(&server, id, "completed"));
    json_t *job = v1_job(&server, id);
    CHECK_EQUAL(v1_number(job, "result"), 1); /* the first one was given back */
    json_decref(job);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(a_job_may_ask_for_less_time_than_its_command_has_and_not_for_more)
{
    struct weft_command_task command = slow();
    command.timeout_ns = WEFT_SEC;
    command.grace_ns = 100 * WEFT_MSEC;
    command.command = SHELL("trap '' TERM; sleep 60");
    open_server("times.db", &(struct weft_executors){.commands = &command, .commands_count = 1});
    const char *id =
        v1_put(&server, "{'task':'slow','max_attempts':1,'soft_timeout':3600,'timeout':7200}");
    CHECK(v1_comes_to(&server, id, "dead"));
    json_t *job = v1_job(&server, id);
    CHECK(strncmp(v1_text(job, "error"), "it took longer than 1 s, and ", 29) == 0);
    json_decref(job);
    id = v1_put(&server, "{'task':'slow','max_attempts':1,'timeout':0.2}");
    CHECK(v1_comes_to(&server, id, "dead"));
    job = v1_job(&server, id);
    CHECK(strncmp(v1_text(job, "error"), "it took longer than 200 ms, and ", 32) == 0);
    json_decref(job);
    CHECK_EQUAL(server_stop(&server), 0);
}

/* ---- what is refused --------------------------------------------------------------------- */

static void check_refused(const struct weft_serve_options *options, int err, const char *text)
{
    char error[512];
    CHECK_EQUAL(server_start_fails("refused.db", options, error, sizeof error), err);
    CHECK(strstr(error, text) != NULL);
    if (!strstr(error, text))
        test_note("%s", error);
}

static void check_executors_refused(const struct weft_executors *executors, int err,
                                    const char *text)
{
    check_refused(&(struct weft_serve_options){.executors = executors}, err, text);
}

TEST(what_is_no_command_is_refused)
{
    static const char *const none[] = {NULL}, *const well[] = {"true", NULL},
                             *const absent[] = {"/does/not/exist", NULL};
    static const struct {
        struct weft_command_task task;
        const char *text;
    } cases[] = {
        {{.name = "a", .command = none}, "[exec a]: it has no program"},
        {{.name = "a b", .command = well}, "[exec a b]: a task has"},
        {{.name = "fail", .command = well}, "[exec fail]: there is already a task fail"},
        {{.name = "a", .command = absent}, "[exec a]: its program does not exist"},
        {{.name = "a", .command = well, .grace_ns = -5}, "[exec a]: its grace is negative"},
        {{.name = "a", .command = well, .output_max = 3 << 20},
         "[exec a]: it may write more than a result can have"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_executors_refused(
            &(struct weft_executors){.commands = &cases[i].task, .commands_count = 1}, -EINVAL,
            cases[i].text);
}

TEST(what_is_no_webhook_is_refused)
{
    static const char *const bad[] = {"whsec_no"};
    const struct weft_webhook_task tasks_of[] = {
        {.name = "a"},
        {.name = "a", .url = "http://a/../b"},
        {.name = "a", .url = "http://a", .secrets = bad, .secrets_count = 1},
    };
#ifdef WEFT_HAVE_WEBHOOKS
    static const char *const texts[] = {"[http a]: it has no url",
                                        "[http a]: its path has a segment of dots",
                                        "[http a]: a secret is not \"whsec_\""};
#else
    static const char *const texts[] = {"[http a]: this weft was built without webhooks",
                                        "built without webhooks", "built without webhooks"};
#endif
    for (size_t i = 0; i < 3; i++)
        check_executors_refused(
            &(struct weft_executors){.webhooks = &tasks_of[i], .webhooks_count = 1}, -EINVAL,
            texts[i]);
}

TEST(children_that_are_not_there_or_do_not_start_are_refused)
{
    static const char *const dies[] = {"/bin/sh", "-c", "echo no tasks here >&2; exit 3", NULL};
    static const char *const absent[] = {"/does/not/exist", NULL};
    static const char *const library[] = {"/does/not/exist.so"};
    const struct weft_handler handler = {
        .name = "own", .run = not_here, .executor = WEFT_EXECUTOR_PROCESS};
    struct weft_executors executors = {.children.size = 1};
    const struct weft_serve_options options = {
        .handlers = &handler, .handlers_count = 1, .executors = &executors};
    check_refused(&options, -EINVAL,
                  "the task own runs in a child process, and no program was named for those");
    executors.children.command = dies;
    check_refused(&options, -ECHILD,
                  "/bin/sh cannot be started for the tasks of child processes: its process ended "
                  "before it was ready, with exit code 3: no tasks here");
    executors.children.command = absent;
    check_refused(&options, -ENOENT, "/does/not/exist cannot be started");
    executors.children.libraries = library;
    executors.children.libraries_count = 1;
    check_refused(&options, -EINVAL, "[process]: /does/not/exist.so: No such file");
    executors.children.libraries_count = 0;
    executors.children.size = 2000;
    check_refused(&options, -EINVAL, "[process]: there can be at most 1024 children");
    executors.children.size = 1;
    executors.children.nice = 40;
    check_refused(&options, -EINVAL, "[process]: its nice value is not between -20 and 19");
}

TEST(handlers_of_a_program_are_functions)
{
    const struct weft_handler handler = {
        .name = "rm", .settings = "rm", .executor = WEFT_EXECUTOR_EXEC};
    check_refused(&(struct weft_serve_options){.handlers = &handler, .handlers_count = 1}, -EINVAL,
                  "the program: commands and webhooks are no functions");
}
