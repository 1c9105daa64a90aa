/* SPDX-License-Identifier: MIT
 * child.h - run something that may die in a process of its own, and read what it said. */
#ifndef WEFT_TESTS_RUNTIME_CHILD_H
#define WEFT_TESTS_RUNTIME_CHILD_H

#include <stdbool.h>

struct child {
    int exit_code;   /* of _exit, -1 when a signal ended it */
    int signal;      /* that ended it, 0 without */
    char said[8192]; /* on stderr, ended by a NUL */
};

/* Fork; run fn(arg) in the child, which ends with its result as exit code; wait for that. */
void child_run(struct child *child, int (*fn)(void *), void *arg);

/* End a child of fork() as _exit does, with what it counted for scripts/coverage written. */
_Noreturn void child_exit(int code);

/* Fail the running test, and show what the child said, unless it contains the words. */
void child_check_said(const struct child *child, const char *words);

/* Whether AddressSanitizer or ThreadSanitizer is compiled in. */
bool child_has_asan(void);
bool child_has_tsan(void);

#endif
