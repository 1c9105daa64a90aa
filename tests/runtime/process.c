/* SPDX-License-Identifier: MIT
 * process.c - children: what they get, how they end, and that none is left. Real time, since they
 * live in it; every wait is bounded. */
#include "descriptors.h"
#include "test.h"

#include <weft/group.h>
#include <weft/io.h>
#include <weft/process.h>
#include <weft/select.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (20 * WEFT_SEC)

/* The tests' own use of a shell: it can do everything a child might. */
struct script {
    const char *command[4];
};

static const char *const *script(struct script *storage, const char *text)
{
    *storage = (struct script){{"/bin/sh", "-c", text, NULL}};
    return storage->command;
}

static struct weft_process *start(const char *text, const struct weft_process_options *options)
{
    struct script storage;
    struct weft_process *process = NULL;
    REQUIRE(weft_process_open(&process, script(&storage, text), options) == 0);
    REQUIRE(process);
    return process;
}

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

static void check_no_children(void)
{
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

REAL_TIME_FIBER_TEST(the_way_a_process_ended_is_told)
{
    struct weft_process_status status;
    struct script storage;
    int before = open_descriptors();
    CHECK_EQUAL(weft_process_run(script(&storage, "exit 7"), NULL, weft_now() + PATIENCE, &status),
                0);
    CHECK_EQUAL(status.exit_code, 7);
    CHECK_EQUAL(status.signal, 0);
    CHECK_EQUAL(
        weft_process_run(script(&storage, "kill -9 $$"), NULL, weft_now() + PATIENCE, &status), 0);
    CHECK_EQUAL(status.exit_code, -1);
    CHECK_EQUAL(status.signal, SIGKILL);
    CHECK_EQUAL(status.core_dumped, 0);
    const char *const found_in_path[] = {"true", NULL};
    CHECK_EQUAL(weft_process_run(found_in_path, NULL, weft_now() + PATIENCE, &status), 0);
    CHECK_EQUAL(status.exit_code, 0);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(what_cannot_be_started_says_why)
{
    struct weft_process *process = NULL;
    struct script storage;
    const char *const nothing[] = {NULL};
    const char *const missing[] = {"/does/not/exist", NULL};
    const char *const missing_in_path[] = {"weft-no-such-program", NULL};
    const char *const folder[] = {"/tmp", NULL};
    struct weft_process_options nowhere = {.directory = "/does/not/exist"};
    struct weft_process_options bad_fd = {.out = {WEFT_STDIO_FD, 9999}};
    int before = open_descriptors();
    CHECK_EQUAL(weft_process_open(&process, nothing, NULL), -EINVAL);
    CHECK_EQUAL(weft_process_open(&process, missing, NULL), -ENOENT);
    CHECK_EQUAL(weft_process_open(&process, missing_in_path, NULL), -ENOENT);
    CHECK_EQUAL(weft_process_open(&process, folder, NULL), -EACCES);
    CHECK_EQUAL(weft_process_open(&process, script(&storage, "true"), &nowhere), -ENOENT);
    CHECK_EQUAL(weft_process_open(&process, script(&storage, "true"), &bad_fd), -EBADF);
    char path[200];
    (void)snprintf(path, sizeof path, "%s/text", test_directory());
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    REQUIRE(fd >= 0 && write(fd, "echo hello\n", 11) == 11 && close(fd) == 0);
    const char *const text[] = {path, NULL};
    CHECK_EQUAL(weft_process_open(&process, text, NULL), -ENOEXEC); /* no shell steps in */
    CHECK(!process);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

static ssize_t read_everything(int fd, char *buffer, size_t len)
{
    size_t done = 0;
    CHECK_EQUAL(weft_read_all(fd, buffer, len - 1, weft_now() + PATIENCE, &done), -ENODATA);
    buffer[done] = '\0';
    return (ssize_t)done;
}

REAL_TIME_FIBER_TEST(what_is_no_command_is_refused)
{
    char name[8192];
    const char *const long_name[] = {name, NULL};
    struct weft_process *process = NULL;
    struct script storage;
    const char *const *command = script(&storage, "exit 0");
    int before = open_descriptors();
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    CHECK_EQUAL(weft_process_open(&process, NULL, NULL), -EINVAL);
    CHECK_EQUAL(weft_process_open(&process, long_name, NULL), -ENAMETOOLONG);
    CHECK_EQUAL(weft_process_open(
                    &process, command,
                    &(struct weft_process_options){.err = {.kind = (enum weft_stdio_kind)77}}),
                -EINVAL);
    CHECK(!process);
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(without_a_path_programs_are_where_they_always_are)
{
    static const char *const command[] = {"true", NULL};
    struct weft_process_status status = {.exit_code = -1};
    const char *path = getenv("PATH");
    char *kept = path ? strdup(path) : NULL;
    REQUIRE(unsetenv("PATH") == 0);
    CHECK_EQUAL(weft_process_run(command, NULL, weft_now() + PATIENCE, &status), 0);
    CHECK_EQUAL(status.exit_code, 0);
    REQUIRE(setenv("PATH", "::/nowhere", 1) == 0); /* here, here, and nowhere */
    CHECK_EQUAL(weft_process_run(command, NULL, weft_now() + PATIENCE, &status), -ENOENT);
    /* A folder by that name, a file that is not to be run, a place whose name is too long. */
    static char places[6000];
    char here[128];
    (void)snprintf(here, sizeof here, "%s/true", test_directory());
    REQUIRE(mkdir(here, 0700) == 0);
    memset(places, 'x', sizeof places);
    (void)snprintf(places + 5000, 900, ":%s:%s", test_directory(), test_directory());
    REQUIRE(setenv("PATH", places, 1) == 0);
    CHECK_EQUAL(weft_process_run(command, NULL, weft_now() + PATIENCE, &status), -ENOENT);
    int file = rmdir(here) == 0 ? open(here, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;
    REQUIRE(file >= 0 && close(file) == 0);
    int denied = weft_process_run(command, NULL, weft_now() + PATIENCE, &status);
    CHECK_EQUAL(denied, -ENOENT);
    REQUIRE(unlink(here) == 0);
    REQUIRE(!kept || setenv("PATH", kept, 1) == 0);
    free(kept);
}

/* What the caller has closed stays closed for the child. */
REAL_TIME_FIBER_TEST(a_closed_input_is_inherited_closed)
{
    struct weft_process_status status = {.exit_code = -1};
    struct script storage;
    int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    REQUIRE(kept >= 0 && close(STDIN_FILENO) == 0);
    int err = weft_process_run(script(&storage, "[ -e /proc/self/fd/0 ] || exit 3"), NULL,
                               weft_now() + PATIENCE, &status);
    REQUIRE(dup2(kept, STDIN_FILENO) == STDIN_FILENO && close(kept) == 0);
    CHECK_EQUAL(err, 0);
    CHECK_EQUAL(status.exit_code, 3);
}

REAL_TIME_FIBER_TEST(pipes_go_both_ways)
{
    struct weft_process_options options = {
        .in.kind = WEFT_STDIO_PIPE,
        .out.kind = WEFT_STDIO_PIPE,
        .err.kind = WEFT_STDIO_PIPE,
    };
    struct weft_process_status status;
    char text[64];
    int before = open_descriptors();
    struct weft_process *process = start("cat; echo problem >&2", &options);
    CHECK_EQUAL(weft_write_all(weft_process_pipe(process, 0), "through", 7, WEFT_FOREVER, NULL), 0);
    weft_process_close_pipe(process, 0);
    CHECK_EQUAL(weft_process_pipe(process, 0), -ENOENT);
    CHECK_EQUAL(weft_process_pipe(process, 3), -ENOENT);
    CHECK_EQUAL(read_everything(weft_process_pipe(process, 1), text, sizeof text), 7);
    CHECK(strcmp(text, "through") == 0);
    CHECK_EQUAL(read_everything(weft_process_pipe(process, 2), text, sizeof text), 8);
    CHECK(strcmp(text, "problem\n") == 0);
    CHECK_EQUAL(weft_process_wait(process, weft_now() + PATIENCE, &status), 0);
    CHECK_EQUAL(weft_process_wait(process, WEFT_NOWAIT, &status), 0); /* again */
    CHECK_EQUAL(status.exit_code, 0);
    weft_process_close(process);
    weft_process_close(NULL);
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(a_child_gets_what_was_asked_for_and_nothing_else)
{
    static const char *const environment[] = {"COLOR=blue", NULL};
    char text[512], expected[200];
    int leaked = open("/dev/null", O_RDONLY); /* not closed on exec */
    REQUIRE(leaked >= 0);
    sigset_t usr1;
    (void)sigemptyset(&usr1);
    (void)sigaddset(&usr1, SIGUSR1);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, &usr1, NULL), 0);
    struct weft_process_options options = {
        .in.kind = WEFT_STDIO_NULL,
        .out.kind = WEFT_STDIO_PIPE,
        .environment = environment,
        .directory = test_directory(),
    };
    struct weft_process *process =
        start("cat; pwd; echo $COLOR; cd /proc/self/fd; echo *; "
              "while read -r name value; do case $name in SigBlk:|SigIgn:) echo $value;; esac; "
              "done </proc/self/status",
              &options);
    (void)read_everything(weft_process_pipe(process, 1), text, sizeof text);
    /* The shell's pattern opens the directory: one more. */
    (void)snprintf(expected, sizeof expected,
                   "%s\nblue\n0 1 2 3\n0000000000000000\n0000000000000000\n", test_directory());
    CHECK(strcmp(text, expected) == 0);
    if (strcmp(text, expected) != 0)
        test_note("%s", text);
    weft_process_close(process);
    CHECK_EQUAL(sigprocmask(SIG_UNBLOCK, &usr1, NULL), 0);
    CHECK_EQUAL(close(leaked), 0);
}

REAL_TIME_FIBER_TEST(descriptors_may_change_places)
{
    int out[2], err[2];
    char text[16];
    CHECK_EQUAL(weft_pipe(out), 0);
    CHECK_EQUAL(weft_pipe(err), 0);
    struct weft_process_options swapped = {
        .out = {WEFT_STDIO_FD, 2},
        .err = {WEFT_STDIO_FD, 1},
    };
    /* Our own 1 and 2 are the pipes meanwhile. */
    int saved_out = fcntl(1, F_DUPFD_CLOEXEC, 10), saved_err = fcntl(2, F_DUPFD_CLOEXEC, 10);
    REQUIRE(saved_out >= 0 && saved_err >= 0);
    REQUIRE(dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2);
    struct weft_process *process = start("echo out; echo err >&2", &swapped);
    struct weft_process_status status;
    int waited = weft_process_wait(process, weft_now() + PATIENCE, &status);
    weft_process_close(process);
    REQUIRE(dup2(saved_out, 1) == 1 && dup2(saved_err, 2) == 2);
    CHECK_EQUAL(waited, 0);
    CHECK_EQUAL(weft_read(err[0], text, sizeof text, WEFT_NOWAIT), 4);
    CHECK(memcmp(text, "out\n", 4) == 0);
    CHECK_EQUAL(weft_read(out[0], text, sizeof text, WEFT_NOWAIT), 4);
    CHECK(memcmp(text, "err\n", 4) == 0);
    CHECK_EQUAL(close(saved_out), 0);
    CHECK_EQUAL(close(saved_err), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_close(out[i]), 0);
        CHECK_EQUAL(weft_close(err[i]), 0);
    }
}

REAL_TIME_FIBER_TEST(waiting_obeys_deadline_and_cancel_and_the_process_goes_on)
{
    struct weft_process_status status = {.exit_code = 99};
    struct weft_scope scope;
    struct weft_process *process = start("exec sleep 60", NULL);
    CHECK_EQUAL(weft_process_wait(process, WEFT_NOWAIT, &status), -EAGAIN);
    CHECK_EQUAL(weft_process_wait(process, weft_now() + 2 * WEFT_MSEC, &status), -ETIMEDOUT);
    weft_scope_enter(&scope, weft_now() + 2 * WEFT_MSEC, 0);
    CHECK_EQUAL(weft_process_wait(process, WEFT_FOREVER, &status), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(status.exit_code, 99);
    CHECK(!is_gone(weft_process_id(process)));
    CHECK_EQUAL(weft_process_kill(process, 9999), -EINVAL);
    CHECK_EQUAL(weft_process_kill(process, SIGINT), 0);
    CHECK_EQUAL(weft_process_wait(process, weft_now() + PATIENCE, &status), 0);
    CHECK_EQUAL(status.signal, SIGINT);
    pid_t pid = weft_process_id(process);
    weft_process_close(process);
    CHECK(is_gone(pid));
}

/* The number a script prints first; 0: it was not told. Who is cancelled here goes on: what the
 * script has started does not end with us, but with the close. */
static pid_t read_pid(const struct weft_process *process)
{
    char text[32];
    ssize_t len =
        weft_read(weft_process_pipe(process, 1), text, sizeof text - 1, weft_now() + PATIENCE);
    CHECK(len > 0);
    text[len > 0 ? len : 0] = '\0';
    return (pid_t)strtol(text, NULL, 10);
}

static void check_dies(pid_t pid)
{
    if (pid == 0)
        return;
    int64_t until_ns = weft_now() + PATIENCE;
    while (!is_gone(pid) && weft_now() < until_ns) /* init has to reap it first */
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    CHECK(is_gone(pid));
}

REAL_TIME_FIBER_TEST(closing_ends_the_whole_group_even_when_it_does_not_want_to)
{
    struct weft_process_options options = {
        .out.kind = WEFT_STDIO_PIPE,
        .grace_ns = 10 * WEFT_MSEC,
    };
    struct weft_process *process =
        start("trap '' TERM; sleep 60 & echo $!; while :; do sleep 60; done", &options);
    pid_t pid = weft_process_id(process), grandchild = read_pid(process);
    int64_t start_ns = weft_now();
    weft_process_close(process);
    CHECK(weft_now() - start_ns >= 10 * WEFT_MSEC);
    CHECK(is_gone(pid));
    check_dies(grandchild);
}

REAL_TIME_FIBER_TEST(who_listens_to_sigterm_may_clean_up)
{
    char path[200], text[300];
    (void)snprintf(path, sizeof path, "%s/cleaned", test_directory());
    (void)snprintf(text, sizeof text, "trap 'touch %s; exit' TERM; echo 1; while :; do :; done",
                   path);
    struct weft_process_options options = {
        .out.kind = WEFT_STDIO_PIPE,
        .grace_ns = PATIENCE,
    };
    struct weft_process *process = start(text, &options);
    CHECK_EQUAL(read_pid(process), 1);
    weft_process_close(process);
    CHECK_EQUAL(unlink(path), 0);
}

REAL_TIME_FIBER_TEST(what_a_dead_leader_left_behind_is_ended_too)
{
    struct weft_process_options options = {.out.kind = WEFT_STDIO_PIPE};
    struct weft_process_status status;
    struct weft_process *process = start("sleep 60 & echo $!", &options);
    pid_t grandchild = read_pid(process);
    CHECK_EQUAL(weft_process_wait(process, weft_now() + PATIENCE, &status), 0);
    CHECK(!is_gone(grandchild));
    weft_process_close(process);
    check_dies(grandchild);
}

static int run_sleep(void *arg)
{
    static const char *const command[] = {"sleep", "60", NULL};
    struct weft_process_options options = {.grace_ns = WEFT_NO_GRACE};
    struct weft_process_status status;
    (void)arg;
    return weft_process_run(command, &options, WEFT_FOREVER, &status);
}

REAL_TIME_FIBER_TEST(cancelled_runs_leave_no_process)
{
    struct weft_group group;
    struct weft_task tasks[8];
    int before = open_descriptors();
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQUAL(weft_spawn_task(&group, &tasks[i], run_sleep, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_yield(), 0);
    weft_group_close(&group);
    for (int i = 0; i < 8; i++)
        CHECK_EQUAL(tasks[i].result, -ECANCELED);
    check_no_children();
    CHECK_EQUAL(open_descriptors(), before);
}

REAL_TIME_FIBER_TEST(a_cancel_that_races_with_the_end_leaves_no_process)
{
    for (int i = 0; i < 20; i++) {
        struct weft_scope scope;
        struct weft_process_status status;
        struct script storage;
        weft_scope_enter(&scope, weft_now() + i * 150 * WEFT_USEC, 0);
        int err = weft_process_run(script(&storage, "exit 3"), NULL, WEFT_FOREVER, &status);
        CHECK(err == -ECANCELED || (err == 0 && status.exit_code == 3));
        (void)weft_scope_leave(&scope, err);
        check_no_children();
    }
}

REAL_TIME_FIBER_TEST(running_with_pipes_nobody_reads_is_refused)
{
    struct weft_process_options options = {.out.kind = WEFT_STDIO_PIPE};
    struct weft_process_status status;
    struct script storage;
    CHECK_EQUAL(weft_process_run(script(&storage, "true"), &options, WEFT_FOREVER, &status),
                -EINVAL);
    options = (struct weft_process_options){.in.kind = WEFT_STDIO_PIPE};
    CHECK_EQUAL(weft_process_run(script(&storage, "true"), &options, WEFT_FOREVER, &status),
                -EINVAL);
    options = (struct weft_process_options){.err.kind = WEFT_STDIO_PIPE};
    CHECK_EQUAL(weft_process_run(script(&storage, "true"), &options, WEFT_FOREVER, &status),
                -EINVAL);
    struct weft_process *process = start("true", NULL);
    CHECK_EQUAL(weft_process_pipe(process, -1), -ENOENT);
    CHECK_EQUAL(weft_process_pipe(process, 3), -ENOENT);
    weft_process_close(process);
}

static void check_says(const char *text, const struct weft_process_options *options,
                       const char *expected)
{
    char said[256];
    struct weft_process_options with_pipe = *options;
    with_pipe.out.kind = WEFT_STDIO_PIPE;
    struct weft_process *process = start(text, &with_pipe);
    (void)read_everything(weft_process_pipe(process, 1), said, sizeof said);
    CHECK(strcmp(said, expected) == 0);
    if (strcmp(said, expected) != 0)
        test_note("%s", said);
    weft_process_close(process);
}

REAL_TIME_FIBER_TEST(a_process_has_the_limits_it_was_given_and_no_higher_ones)
{
    struct weft_process_options options = {
        .memory_bytes_max = (size_t)256 << 20, .cpu_seconds_max = 100, .nice = 3};
    char expected[100];
    int nice_here = getpriority(PRIO_PROCESS, 0);
    (void)snprintf(expected, sizeof expected, "262144 262144\n100 101\n%d\n",
                   nice_here > 16 ? 19 : nice_here + 3);
    check_says("echo $(ulimit -S -v) $(ulimit -H -v); echo $(ulimit -S -t) $(ulimit -H -t);"
               "nice",
               &options, expected);
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_CPU, &before) == 0);
    struct rlimit lower = {90, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_CPU, &lower) == 0);
    options = (struct weft_process_options){.cpu_seconds_max = 100, .nice = 1000};
    check_says("ulimit -S -t; nice", &options, "90\n19\n");
    REQUIRE(setrlimit(RLIMIT_CPU, &before) == 0);
    /* Only the privileged may be less nice. */
    static const char *const command[] = {"true", NULL};
    struct weft_process_status status;
    options = (struct weft_process_options){.nice = -1000};
    int err = weft_process_run(command, &options, weft_now() + PATIENCE, &status);
    CHECK(err == 0 || err == -EACCES || err == -EPERM);
    if (err == 0)
        check_says("nice", &options, "-20\n");
}

REAL_TIME_FIBER_TEST(who_uses_up_its_processor_time_is_ended)
{
    struct weft_process_options options = {.cpu_seconds_max = 1};
    struct weft_process_status status;
    struct script storage;
    CHECK_EQUAL(weft_process_run(script(&storage, "while :; do :; done"), &options,
                                 weft_now() + PATIENCE, &status),
                0);
    CHECK_EQUAL(status.signal, SIGXCPU);
    CHECK(status.cpu_ns > WEFT_SEC / 2); /* the kernel counts in ticks */
}

REAL_TIME_FIBER_TEST(what_a_process_has_used_is_told)
{
    static const char *const command[] = {
        "python3", "-c", "import mmap; mmap.mmap(-1, 300 << 20).write(bytes(300 << 20))", NULL};
    struct weft_process_status status;
    struct rusage ours;
    CHECK_EQUAL(weft_process_run(command, NULL, WEFT_FOREVER, &status), 0);
    CHECK_EQUAL(status.exit_code, 0);
    CHECK(status.cpu_ns > 0);
    REQUIRE(getrusage(RUSAGE_SELF, &ours) == 0);
    if (ours.ru_maxrss < (300l << 10))
        CHECK(status.resident_bytes >= (size_t)300 << 20);
    struct script storage;
    CHECK_EQUAL(weft_process_run(script(&storage, "true"), NULL, WEFT_FOREVER, &status), 0);
    /* Less than we have, most likely; in no case what we have. */
    CHECK(status.resident_bytes == 0 || status.resident_bytes > (size_t)ours.ru_maxrss << 10);
}

REAL_TIME_FIBER_TEST(the_end_of_a_process_is_one_of_several_things_to_wait_for)
{
    struct weft_process_options options = {.in.kind = WEFT_STDIO_PIPE, .out.kind = WEFT_STDIO_PIPE};
    struct weft_process_status status;
    char text[16];
    struct weft_process *process = start("read line; echo $line; exec <&- >&-; exit 4", &options);
    struct weft_case cases[] = {weft_case_process(process),
                                weft_case_fd(weft_process_pipe(process, 1), WEFT_READABLE)};
    CHECK_EQUAL(weft_select(cases, 2, WEFT_NOWAIT, 0), -EAGAIN);
    CHECK_EQUAL(weft_select(cases, 2, weft_now() + WEFT_MSEC, 0), -ETIMEDOUT);
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + WEFT_MSEC, 0);
    CHECK_EQUAL(weft_select(cases, 2, WEFT_FOREVER, 0), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    CHECK_EQUAL(weft_write(weft_process_pipe(process, 0), "x\n", 2, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_select(cases, 2, weft_now() + PATIENCE, WEFT_SELECT_IN_ORDER), 1);
    CHECK_EQUAL(weft_read(weft_process_pipe(process, 1), text, sizeof text, WEFT_NOWAIT), 2);
    CHECK_EQUAL(weft_select(cases, 1, weft_now() + PATIENCE, 0), 0);
    CHECK_EQUAL(cases[0].result, 0);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_NOWAIT, 0), 0); /* again */
    CHECK_EQUAL(weft_process_wait(process, WEFT_NOWAIT, &status), 0);
    CHECK_EQUAL(status.exit_code, 4);
    weft_process_close(process);
}

FIBER_TEST(virtual_time_stands_still_while_a_process_is_one_of_several)
{
    int64_t start_ns = weft_now();
    struct weft_process *process = start("sleep 0.01", NULL);
    struct weft_case cases[] = {weft_case_process(process), weft_case_timer(start_ns + WEFT_MSEC)};
    CHECK_EQUAL(weft_select(cases, 2, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(weft_now(), start_ns);
    weft_process_close(process);
    CHECK_EQUAL(weft_select(cases + 1, 1, WEFT_FOREVER, 0), 0); /* and goes on after that */
}

FIBER_TEST(virtual_time_stands_still_while_a_process_is_waited_for)
{
    struct weft_process_status status;
    struct script storage;
    int64_t start_ns = weft_now();
    CHECK_EQUAL(
        weft_process_run(script(&storage, "sleep 0.01"), NULL, start_ns + WEFT_MSEC, &status), 0);
    CHECK_EQUAL(weft_now(), start_ns);
}

TEST(a_process_needs_a_runtime)
{
    struct weft_process *process = NULL;
    struct script storage;
    CHECK_EQUAL(weft_process_open(&process, script(&storage, "true"), NULL), -EPERM);
}
