/* SPDX-License-Identifier: MIT
 * test.c - runs the tests of one program and prints TAP. See test.h. */
#include "test.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANCEL_MAX     50u /* waits of one test at which everything is cancelled in turn */
#define CANCEL_SECONDS 20u /* a run that takes longer hangs */

static struct {
    struct test *first, **last;
    bool failed;
    const char *skipped;
    char directory[64];
    bool cancelling; /* --cancel: checks do not count */
    uint64_t cancel_at, waits;
} state = {.last = &state.first};

void test_register(struct test *test)
{
    if (!state.first)
        state.last = &state.first;
    *state.last = test;
    state.last = &test->next;
}

void test_failed(const char *file, int line, const char *text)
{
    if (state.cancelling)
        return;
    state.failed = true;
    printf("# %s:%d: %s does not hold\n", file, line, text);
    (void)fflush(stdout);
}

void test_bail_out(const char *file, int line, const char *text)
{
    if (state.cancelling)
        _exit(0); /* the test cannot go on: fine, once everything is cancelled */
    printf("Bail out! %s:%d: %s does not hold\n", file, line, text);
    (void)fflush(stdout);
    _exit(1);
}

void test_skip(const char *reason)
{
    state.skipped = reason;
}

void test_note(const char *format, ...)
{
    va_list args;
    if (state.cancelling)
        return;
    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

static int call_body(void *arg)
{
    void (**body)(void) = arg;
    (*body)();
    return 0;
}

void test_on_fiber(enum weft_clock_kind clock, void (*body)(void))
{
    struct weft_run_options options = {
        .clock = clock, .cancel_at = state.cancel_at, .ret_waits = &state.waits};
    int err = weft_run(&options, call_body, &body);
    if (err && !state.cancelling) {
        state.failed = true;
        test_note("weft_run: %s", weft_strerror(err));
    }
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

static void remove_directory(void)
{
    (void)nftw(state.directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_directory(void)
{
    if (!state.directory[0]) {
        const char *parent = getenv("TMPDIR");
        (void)snprintf(state.directory, sizeof state.directory, "%.40s/weft-test-XXXXXX",
                       parent ? parent : "/tmp");
        if (!mkdtemp(state.directory))
            test_bail_out(__FILE__, __LINE__, "a temporary directory can be made");
        (void)atexit(remove_directory);
    }
    return state.directory;
}

static bool chosen(const struct test *test, int argc, char **argv)
{
    bool found = argc < 2;
    for (int i = 1; i < argc; i++)
        found = found || strcmp(test->name, argv[i]) == 0;
    return found;
}

/* One test, everything cancelled at one of its waits. The process ends with 1 when the test waited
 * less often than that, and with 0 otherwise. */
static pid_t fork_cancelled(const struct test *test, uint64_t cancel_at)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    state.cancelling = true;
    state.cancel_at = cancel_at;
    state.directory[0] = 0;
    (void)alarm(CANCEL_SECONDS);
    test->run();
    exit(state.waits < cancel_at);
}

static void run_cancelled(const struct test *test)
{
    const char *text = getenv("WEFT_CANCEL_MAX");
    uint64_t cancel_at = 0, cancel_max = text ? strtoull(text, NULL, 10) : CANCEL_MAX;
    int status = 0;
    while (status == 0 && cancel_at < cancel_max) {
        pid_t pid = fork_cancelled(test, ++cancel_at);
        if (pid < 0 || waitpid(pid, &status, 0) < 0) {
            test_failed(__FILE__, __LINE__, "a process can be started and waited for");
            return;
        }
    }
    if (status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 1)) {
        state.failed = true;
        test_note("cancelled at wait %llu: %s %d", (unsigned long long)cancel_at,
                  WIFEXITED(status) ? "exit code" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
}

int main(int argc, char **argv)
{
    int number = 0, failures = 0;
    bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
    bool cancel = argc > 1 && strcmp(argv[1], "--cancel") == 0;
    if (cancel) {
        argc--;
        argv++;
    }
    for (struct test *test = state.first; test; test = test->next) {
        if (list) {
            puts(test->name);
            continue;
        }
        if (!chosen(test, argc, argv) || (cancel && !test->on_fiber))
            continue;
        state.failed = false;
        state.skipped = NULL;
        if (cancel)
            run_cancelled(test);
        else
            test->run();
        failures += state.failed;
        printf("%s %d - %s%s%s\n", state.failed ? "not ok" : "ok", ++number, test->name,
               state.skipped ? " # SKIP " : "", state.skipped ? state.skipped : "");
        (void)fflush(stdout);
    }
    if (!list)
        printf("1..%d\n", number);
    return failures ? 1 : 0;
}
