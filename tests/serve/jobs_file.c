/* SPDX-License-Identifier: MIT
 * jobs_file.c - weft_jobs with an SQLite file: what outlives its program, also one that is killed;
 * executors; a full disk; other workers and other programs.
 *
 * WEFT_KILL_ROUNDS sets the number of rounds, WEFT_KILL_SEED the seed; the seed is printed. */
#include "../job/program.h"
#include "desk.h"

#include <base/random.h>
#include <weft/executors.h>
#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static const char *broker_of(const char *name)
{
    static char broker[256];
    (void)snprintf(broker, sizeof broker, "sqlite:%s/%s", test_directory(), name);
    return broker;
}

/* ---- one program after the other --------------------------------------------------------- */

REAL_TIME_FIBER_TEST(what_one_program_puts_in_the_next_one_runs)
{
    struct desk desk;
    const char *broker = broker_of("next.db");
    desk_open(&desk, (struct weft_jobs_options){.broker = broker});
    const char *id = desk_add(&desk, "echo", "{\"a\":1}");
    CHECK_EQUAL(weft_jobs_pause(desk.jobs, "paused"), 0);
    const char *paused =
        desk_put(&desk, (struct weft_jobs_request){.task = "echo", .queue = "paused"});
    desk_close(&desk);
    desk_open(&desk, (struct weft_jobs_options){.broker = broker});
    desk_run(&desk);
    struct weft_jobs_view *view = desk_end(&desk, id);
    CHECK_EQUAL(view->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(view->result, "{\"a\":1}");
    weft_jobs_view_free(view);
    CHECK_EQUAL(desk_state(&desk, paused), WEFT_JOB_AVAILABLE);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

REAL_TIME_FIBER_TEST(numbers_of_events_go_on_in_the_next_program)
{
    struct desk desk;
    struct weft_jobs_watch *watch;
    struct weft_jobs_event event = {0};
    const char *broker = broker_of("events.db");
    desk_open(&desk, (struct weft_jobs_options){.broker = broker});
    REQUIRE(weft_jobs_watch_open(desk.jobs, 0, &watch) == 0);
    (void)desk_add(&desk, "echo", NULL);
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_FOREVER), 0);
    uint64_t last = event.number;
    weft_jobs_watch_close(watch);
    desk_close(&desk);
    desk_open(&desk, (struct weft_jobs_options){.broker = broker});
    REQUIRE(weft_jobs_watch_open(desk.jobs, last, &watch) == 0);
    const char *id = desk_add(&desk, "echo", NULL);
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_FOREVER), -ESTALE); /* some are gone */
    CHECK_EQUAL(weft_jobs_watch_next(watch, &event, WEFT_FOREVER), 0);
    CHECK_TEXT(event.id, id);
    CHECK(event.number > last);
    weft_jobs_watch_close(watch);
    desk_close(&desk);
}

REAL_TIME_FIBER_TEST(a_file_is_one_programs_at_a_time)
{
    struct desk desk;
    struct weft_jobs *second = NULL;
    char error[256] = "";
    const char *broker = broker_of("lock.db");
    desk_open(&desk, (struct weft_jobs_options){.broker = broker});
    const struct weft_jobs_options options =
        desk_options((struct weft_jobs_options){.broker = broker});
    CHECK_EQUAL(weft_jobs_open(&second, &options, error, sizeof error), -EBUSY);
    CHECK(strstr(error, "lock.db") != NULL);
    CHECK(!second);
    desk_close(&desk);
}

REAL_TIME_FIBER_TEST(a_file_that_may_grow_no_further_says_so_and_goes_on)
{
    static char payload[100000];
    struct desk desk;
    memset(payload, '1', sizeof payload - 1);
    desk_open(&desk, (struct weft_jobs_options){.broker = broker_of("full.db"),
                                                .file_bytes_max = 2000000});
    const char *id = desk_add(&desk, "echo", NULL);
    struct weft_jobs_request request = {.task = "echo", .payload = payload};
    int err = 0, count = 0;
    for (; !err && count < 100; count++)
        err = weft_jobs_enqueue(desk.jobs, &request, 1, 0);
    CHECK_EQUAL(err, -ENOSPC);
    CHECK_EQUAL(request.err, -ENOSPC);
    CHECK(request.reason != NULL);
    CHECK_EQUAL(desk_counts(&desk).available,
                (uint64_t)count); /* the small one, all but the last */
    CHECK_EQUAL(desk_state(&desk, id), WEFT_JOB_AVAILABLE);
    desk_close(&desk);
}

/* ---- where handlers run ------------------------------------------------------------------ */

REAL_TIME_FIBER_TEST(threads_commands_and_builtin_tasks_are_there_as_in_a_server)
{
    static const char *const cat[] = {"cat", NULL};
    static const struct weft_command_task commands[] = {{.name = "cat", .command = cat}};
    static const struct weft_executors executors = {.commands = commands, .commands_count = 1};
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){.handlers = &desk_handlers[4],
                                                .handlers_count = 1,
                                                .executors = &executors,
                                                .builtin = 1});
    desk_run(&desk);
    const char *thread = desk_add(&desk, "sleepy", "{\"ms\":1}");
    const char *command = desk_add(&desk, "cat", "[1,2]");
    const char *builtin = desk_add(&desk, "noop", NULL);
    struct weft_jobs_view *view = desk_end(&desk, command);
    CHECK_TEXT(view->result, "[1,2]");
    weft_jobs_view_free(view);
    weft_jobs_view_free(desk_end(&desk, thread));
    view = desk_end(&desk, builtin);
    CHECK_EQUAL(view->state, WEFT_JOB_COMPLETED);
    weft_jobs_view_free(view);
    CHECK_EQUAL(desk_state(&desk, thread), WEFT_JOB_COMPLETED);
    desk_stop(&desk, 0);
    desk_close(&desk);
}

FIBER_TEST(a_command_that_is_not_there_is_told_at_the_open)
{
    static const char *const nothing[] = {"/not/there", NULL};
    static const struct weft_command_task commands[] = {{.name = "n", .command = nothing}};
    static const struct weft_executors executors = {.commands = commands, .commands_count = 1};
    const struct weft_jobs_options options =
        desk_options((struct weft_jobs_options){.executors = &executors});
    struct weft_jobs *jobs = NULL;
    char error[256] = "";
    CHECK_EQUAL(weft_jobs_open(&jobs, &options, error, sizeof error), -EINVAL);
    CHECK(strstr(error, "[exec n]: ") == error);
}

static char logged[4096];

static void keep_line(void *context, const char *line)
{
    (void)context;
    size_t used = strlen(logged);
    (void)snprintf(logged + used, sizeof logged - used, "%s\n", line);
}

static int task_chat(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    weft_attempt_log(attempt, WEFT_LOG_WARNING, "hello %d", 7);
    return 0;
}

FIBER_TEST(what_handlers_log_goes_where_the_program_wants_it)
{
    static const struct weft_handler chatting[] = {{.name = "chat", .run = task_chat}};
    struct desk desk;
    desk_open(&desk, (struct weft_jobs_options){
                         .handlers = chatting, .handlers_count = 1, .log = keep_line});
    (void)desk_add(&desk, "chat", NULL);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 1);
    CHECK(strstr(logged, "hello 7") && strstr(logged, "\"task\":\"chat\""));
    desk_close(&desk);
}

/* ---- other workers ----------------------------------------------------------------------- */

static int use_elsewhere(void *arg)
{
    struct desk *desk = arg;
    struct weft_jobs_request request = {.task = "echo"};
    struct weft_jobs_view *view;
    struct weft_jobs_watch *watch;
    struct weft_jobs_counts counts;
    char flow[WEFT_JOBS_ID_BYTES], error[200] = "";
    const struct weft_jobs_cron cron = {.name = "c", .expression = "@daily", .job = &request};
    CHECK_EQUAL(weft_jobs_enqueue(desk->jobs, &request, 1, 0), -EPERM);
    CHECK_EQUAL(weft_jobs_make_flow(desk->jobs, flow), -EPERM);
    CHECK_EQUAL(weft_jobs_find(desk->jobs, "", &view), -EPERM);
    CHECK_EQUAL(weft_jobs_wait(desk->jobs, "", WEFT_FOREVER, &view), -EPERM);
    CHECK_EQUAL(weft_jobs_cancel(desk->jobs, "", NULL), -EPERM);
    CHECK_EQUAL(weft_jobs_retry(desk->jobs, ""), -EPERM);
    CHECK_EQUAL(weft_jobs_count(desk->jobs, NULL, &counts), -EPERM);
    CHECK_EQUAL(weft_jobs_pause(desk->jobs, "q"), -EPERM);
    CHECK_EQUAL(weft_jobs_limit(desk->jobs, "q", &(struct weft_jobs_limits){0}), -EPERM);
    CHECK_EQUAL(weft_jobs_drain(desk->jobs, 0, 0), -EPERM);
    CHECK_EQUAL(weft_jobs_run(desk->jobs), -EPERM);
    CHECK_EQUAL(weft_jobs_cron_set(desk->jobs, &cron, error, sizeof error), -EPERM);
    CHECK_EQUAL(weft_jobs_cron_remove(desk->jobs, "c"), -EPERM);
    CHECK_EQUAL(weft_jobs_watch_open(desk->jobs, 0, &watch), -EPERM);
    weft_jobs_stop(desk->jobs, 0); /* without effect */
    return 0;
}

static int two_workers(void *arg)
{
    struct desk desk;
    struct weft_group group;
    (void)arg;
    desk_open(&desk, (struct weft_jobs_options){0});
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn_with(&group, use_elsewhere, &desk,
                            &(struct weft_spawn_options){.worker = WEFT_WORKER(1)}) == 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_offload(use_elsewhere, &desk), 0); /* a thread that is no worker */
    (void)desk_add(&desk, "echo", NULL);
    CHECK_EQUAL(weft_jobs_drain(desk.jobs, 0, 0), 1);
    desk_close(&desk);
    return 0;
}

TEST(other_workers_and_threads_are_turned_away)
{
    struct weft_jobs *jobs;
    const struct weft_jobs_options options = desk_options((struct weft_jobs_options){0});
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, two_workers, NULL), 0);
    CHECK_EQUAL(weft_jobs_open(&jobs, &options, NULL, 0), -EPERM);
}

/* ---- kill -9 ----------------------------------------------------------------------------- */

#define IDS_MAX 20000

static char ids[IDS_MAX][WEFT_JOBS_ID_BYTES];
static unsigned ids_count;

static const char *jobs_program(void)
{
    static char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s", helper_program("jobs-program"));
    char *folder = strstr(path, "/job/jobs-program");
    REQUIRE(folder != NULL);
    (void)snprintf(folder, sizeof path - (size_t)(folder - path), "/serve/jobs-program");
    return path;
}

static pid_t start_program(const char *broker, int *ret_fd)
{
    char path[PATH_MAX + 64], name[256];
    char *argv[] = {path, name, NULL};
    int ends[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    (void)snprintf(path, sizeof path, "%s", jobs_program());
    (void)snprintf(name, sizeof name, "%s", broker);
    REQUIRE(pipe(ends) == 0);
    REQUIRE(posix_spawn_file_actions_init(&actions) == 0);
    REQUIRE(posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0);
    REQUIRE(posix_spawn_file_actions_addclose(&actions, ends[0]) == 0);
    REQUIRE(posix_spawn(&pid, path, &actions, NULL, argv, environ) == 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

/* Keep the ids that the program tells, kill it after the count-th, and keep what it told before it
 * was dead. */
static void live_and_die(const char *broker, unsigned count)
{
    int fd, status;
    unsigned told = 0;
    char line[WEFT_JOBS_ID_BYTES + 8];
    pid_t pid = start_program(broker, &fd);
    FILE *pipe = fdopen(fd, "r");
    REQUIRE(pipe != NULL);
    while (ids_count < IDS_MAX && fgets(line, sizeof line, pipe)) {
        if (strlen(line) == WEFT_JOBS_ID_BYTES) { /* a whole line */
            line[WEFT_JOBS_ID_BYTES - 1] = '\0';
            memcpy(ids[ids_count++], line, WEFT_JOBS_ID_BYTES);
        }
        if (++told == count)
            (void)kill(pid, SIGKILL);
    }
    (void)fclose(pipe);
    (void)kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status));
    CHECK(told >= count);
}

static int reopen_main(void *arg)
{
    struct desk desk;
    unsigned missing = 0;
    desk_open(&desk, (struct weft_jobs_options){.broker = arg}); /* with tasks of the same names */
    desk_run(&desk);
    for (unsigned i = 0; i < ids_count; i++) {
        struct weft_jobs_view *view;
        int err = weft_jobs_wait(desk.jobs, ids[i], WEFT_FOREVER, &view);
        missing += err != 0 || view->state != WEFT_JOB_COMPLETED;
        if (!err)
            weft_jobs_view_free(view);
    }
    CHECK_EQUAL(missing, 0);
    desk_stop(&desk, 10 * WEFT_SEC);
    struct weft_jobs_counts counts = desk_counts(&desk);
    CHECK_EQUAL(counts.dead + counts.cancelled, 0);
    CHECK_EQUAL(counts.running, 0);
    CHECK(counts.completed >= ids_count);
    desk_close(&desk);
    return 0;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

TEST(a_program_that_is_killed_loses_nothing_that_it_accepted)
{
    struct weft_random random;
    char broker[256];
    uint64_t seed = number_from("WEFT_KILL_SEED", (uint64_t)time(NULL));
    uint64_t rounds = number_from("WEFT_KILL_ROUNDS", 4);
    test_note("seed %llu, %llu rounds", (unsigned long long)seed, (unsigned long long)rounds);
    weft_random_seed(&random, seed);
    (void)snprintf(broker, sizeof broker, "%s", broker_of("killed.db"));
    for (uint64_t round = 0; round < rounds; round++)
        live_and_die(broker, 1 + (unsigned)weft_random_below(&random, 300));
    CHECK(ids_count >= rounds);
    CHECK_EQUAL(weft_run(NULL, reopen_main, broker), 0);
}
