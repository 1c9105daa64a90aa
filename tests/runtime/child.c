/* SPDX-License-Identifier: MIT
 * child.c - see child.h. */
#include "child.h"

#include "test.h"

#include <os/sanitizer.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WEFT_COVERAGE
#include <gcov.h>

/* Counts are written at exit: who leaves otherwise has to ask for it. After this the signal comes
 * again, by abort or by the same fault, and ends the child. */
static void write_counts(int number)
{
    __gcov_dump();
    (void)signal(number, SIG_DFL);
}

static void write_counts_at_the_end(void)
{
    const struct sigaction action = {.sa_handler = write_counts, .sa_flags = SA_ONSTACK};
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
}
#endif

_Noreturn void child_exit(int code)
{
#ifdef WEFT_COVERAGE
    __gcov_dump();
#endif
    _exit(code);
}

static _Noreturn void be_the_child(int said, int (*fn)(void *), void *arg)
{
    const struct rlimit no_core = {0, 0};
    if (setrlimit(RLIMIT_CORE, &no_core) < 0 || dup2(said, STDERR_FILENO) < 0)
        _exit(255);
#ifdef WEFT_COVERAGE
    write_counts_at_the_end();
#endif
    child_exit(fn(arg));
}

void child_run(struct child *child, int (*fn)(void *), void *arg)
{
    int status = 0;
    int said = memfd_create("said", MFD_CLOEXEC);
    REQUIRE(said >= 0);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0)
        be_the_child(said, fn, arg);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    *child = (struct child){
        .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
    };
    REQUIRE(pread(said, child->said, sizeof child->said - 1, 0) >= 0);
    (void)close(said);
}

void child_check_said(const struct child *child, const char *words)
{
    if (strstr(child->said, words))
        return;
    test_failed(__FILE__, __LINE__, words);
    test_note("the child (exit code %d, signal %d) said: %s", child->exit_code, child->signal,
              child->said);
}

bool child_has_asan(void)
{
#ifdef WEFT_ASAN
    return true;
#else
    return false;
#endif
}

bool child_has_tsan(void)
{
#ifdef WEFT_TSAN
    return true;
#else
    return false;
#endif
}
