/* SPDX-License-Identifier: MIT
 * soak_tasks.c - the task of bench/soak-jobs: it writes into a ledger that it began, waits, writes
 * how it ended, and gives the name of this very execution as its result. What weft says about a job
 * can then be held against what happened.
 *
 *     {"n": 12, "ms": 20, "fails": 1}    number of the job, how long it takes, and how many of its
 *                                        attempts are to fail
 *
 * The ledger is the file SOAK_LEDGER, opened with O_APPEND by every process that runs jobs. All
 * records have the same length, which divides a page: a write(2) of one is whole or not there at
 * all, also when its process is killed in the middle of it. SOAK_TASK is the task's name: the
 * server runs one of its own beside that of the workers. */
#include <weft/runtime.h>
#include <weft/task.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES 128 /* as in soak-jobs and soak_tasks.py */
#define NAME_BYTES   48

struct execution {
    int64_t number;
    char name[NAME_BYTES]; /* of no other execution in the same run of bench/soak-jobs */
};

static int ledger = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint_fast64_t executions;

static void open_ledger(void)
{
    const char *path = getenv("SOAK_LEDGER");
    if (path)
        ledger = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* S: it began, E: it ended well, F: it failed as it was told to, C: it was told to stop. */
static int note(const struct weft_attempt *attempt, const struct execution *execution, char what)
{
    char record[RECORD_BYTES + 1];
    int len = snprintf(record, sizeof record, "%c %lld %s %u %lld %ld %s", what,
                       (long long)execution->number, execution->name, weft_attempt_number(attempt),
                       (long long)monotonic_ns(), (long)getpid(), weft_attempt_id(attempt));
    if (len < 0 || len >= RECORD_BYTES)
        return -EOVERFLOW;
    memset(record + len, ' ', (size_t)(RECORD_BYTES - 1 - len));
    record[RECORD_BYTES - 1] = '\n';
    ssize_t written = write(ledger, record, RECORD_BYTES);
    return written == RECORD_BYTES ? 0 : written < 0 ? -errno : -EIO;
}

static int begin(const struct weft_attempt *attempt, struct execution *execution)
{
    (void)pthread_once(&once, open_ledger);
    (void)snprintf(execution->name, sizeof execution->name, "%ld-%lld-%llu", (long)getpid(),
                   (long long)monotonic_ns(), (unsigned long long)atomic_fetch_add(&executions, 1));
    return note(attempt, execution, 'S');
}

static int soak(struct weft_attempt *attempt, const void *settings)
{
    struct execution execution;
    int64_t ms = 0, fails = 0;
    (void)settings;
    if (weft_attempt_get_int(attempt, "n", &execution.number) ||
        weft_attempt_get_int(attempt, "ms", &ms) || weft_attempt_get_int(attempt, "fails", &fails))
        return weft_attempt_discard(attempt, "the payload is not one of bench/soak-jobs");
    int err = begin(attempt, &execution);
    if (err)
        return weft_attempt_discard(attempt, "the ledger: %s", weft_strerror(err));
    int stopped = ms > 0 ? weft_sleep(ms * WEFT_MSEC) : 0;
    bool failed = (int64_t)weft_attempt_number(attempt) <= fails;
    err = note(attempt, &execution, stopped ? 'C' : failed ? 'F' : 'E');
    if (err)
        return weft_attempt_discard(attempt, "the ledger: %s", weft_strerror(err));
    if (stopped)
        return stopped;
    if (failed)
        return weft_attempt_fail(attempt, -EPROTO, "as it was told to");
    return weft_attempt_printf_result(attempt, "{\"execution\":\"%s\"}", execution.name);
}

static const struct weft_handler handlers[] = {{.name = SOAK_TASK, .run = soak}};
WEFT_TASK_LIBRARY(handlers);
