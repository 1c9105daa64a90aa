/* SPDX-License-Identifier: MIT
 * outcome.h - what tests of executors ask of outcomes, and of the processes behind them. */
#ifndef WEFT_TESTS_JOB_OUTCOME_H
#define WEFT_TESTS_JOB_OUTCOME_H

#include "test.h"

#include <job/executor.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define PATIENCE (20 * WEFT_SEC)

#define CHECK_REASON(outcome, expected)                                                            \
    do {                                                                                           \
        const char *reason_ = (outcome)->reason ? (outcome)->reason : "(none)";                    \
        if (strcmp(reason_, expected) != 0) {                                                      \
            test_failed(__FILE__, __LINE__, #outcome " has the reason " #expected);                \
            test_note("%s", reason_);                                                              \
        }                                                                                          \
    } while (0)

static inline bool begins_with(const char *text, const char *begin)
{
    return text && strncmp(text, begin, strlen(begin)) == 0;
}

static inline void check_result(const struct weft_outcome *outcome, const char *data, size_t len)
{
    CHECK_EQUAL(outcome->kind, WEFT_OUTCOME_DONE);
    CHECK_EQUAL(outcome->result_len, len);
    CHECK(outcome->result_len == len && (len == 0 || memcmp(outcome->result, data, len) == 0));
    if (outcome->kind != WEFT_OUTCOME_DONE)
        test_note("%s", outcome->reason ? outcome->reason : "(no reason)");
}

static inline void check_no_children(void)
{
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static inline bool is_gone(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* One that is not our own child: init has to reap it first. */
static inline void check_dies(pid_t pid)
{
    int64_t until_ns = weft_now() + PATIENCE;
    REQUIRE(pid > 0);
    while (!is_gone(pid) && weft_now() < until_ns)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    CHECK(is_gone(pid));
}

#endif
