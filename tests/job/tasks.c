/* SPDX-License-Identifier: MIT
 * tasks.c - see tasks.h. */
#include "tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- everything -------------------------------------------------------------------------- */

static int read_all(struct weft_attempt *attempt, char *text, size_t bytes)
{
    const char *name, *input;
    int64_t number;
    double half;
    int yes;
    size_t count, len;
    int err = weft_attempt_get_string(attempt, "user.name", &name);
    if (err == 0)
        err = weft_attempt_get_int(attempt, "items[1].id", &number);
    if (err == 0)
        err = weft_attempt_get_double(attempt, "half", &half);
    if (err == 0)
        err = weft_attempt_get_bool(attempt, "yes", &yes);
    if (err == 0)
        err = weft_attempt_get_count(attempt, "items", &count);
    if (err == 0 && weft_attempt_get_string(attempt, "nothing", &name) != -ENOENT)
        err = -EPROTO;
    if (err == 0)
        err = weft_attempt_input(attempt, 0, &input, &len);
    if (err)
        return err;
    const char *trace = weft_attempt_header(attempt, "trace");
    int used = snprintf(text, bytes, "%s %s %u of %u %s %s %lld %g %d %zu %zu %.*s",
                        weft_attempt_task(attempt), weft_attempt_queue(attempt),
                        weft_attempt_number(attempt), weft_attempt_number_max(attempt),
                        trace ? trace : "(none)", name, (long long)number, half, yes, count,
                        weft_attempt_inputs(attempt), (int)len, input);
    return used < (int)bytes ? 0 : -EMSGSIZE;
}

static int everything(struct weft_attempt *attempt, const void *settings)
{
    char text[400];
    (void)settings;
    int err = read_all(attempt, text, sizeof text);
    if (err)
        return weft_attempt_fail(attempt, err, "the payload is not what it should be");
    weft_attempt_log(attempt, WEFT_LOG_WARNING, "job %s", weft_attempt_task(attempt));
    err = weft_attempt_progress(attempt, 0.5, "half \"way\"");
    if (err == 0 && weft_attempt_progress(attempt, -1, NULL) != -EINVAL)
        err = -EPROTO;
    const struct weft_attempt_job further = {.task = "end",
                                             .payload = "{\"how\":\"code\",\"code\":0}",
                                             .queue = "later",
                                             .priority = 1,
                                             .has_priority = 1};
    if (err == 0)
        err = weft_attempt_enqueue(attempt, &further);
    if (err == 0 && weft_attempt_result_json(attempt, "{", 1) != -EINVAL)
        err = -EPROTO;
    if (err == 0 && weft_attempt_is_cancelled(attempt))
        err = -ECANCELED;
    return err ? err : weft_attempt_result_bytes(attempt, text, strlen(text));
}

/* ---- ends -------------------------------------------------------------------------------- */

static int end(struct weft_attempt *attempt, const void *settings)
{
    const char *how;
    int64_t code = 0;
    (void)settings;
    int err = weft_attempt_get_string(attempt, "how", &how);
    if (err)
        return weft_attempt_discard(attempt, "the payload has no string \"how\"");
    (void)weft_attempt_get_int(attempt, "code", &code);
    if (strcmp(how, "fail") == 0)
        return weft_attempt_fail(attempt, -EPROTO, "said %lld", (long long)code);
    if (strcmp(how, "discard") == 0)
        return weft_attempt_discard(attempt, "of no use");
    if (strcmp(how, "cancel") == 0)
        return weft_attempt_cancel(attempt, "sold out");
    if (strcmp(how, "snooze") == 0 && weft_attempt_number(attempt) == 1)
        return weft_attempt_snooze(attempt, 3600 * WEFT_SEC);
    if (strcmp(how, "retry_after") == 0)
        return weft_attempt_retry_after(attempt, 7200 * WEFT_SEC, "the partner sleeps");
    return code < 0 ? (int)code : weft_attempt_printf_result(attempt, "[%lld]", (long long)code);
}

/* ---- waits ------------------------------------------------------------------------------- */

static int announce(struct weft_attempt *attempt)
{
    const char *file;
    if (weft_attempt_get_string(attempt, "file", &file) < 0)
        return 0;
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : close(fd);
}

static int wait_for_end(struct weft_attempt *attempt, const void *settings)
{
    const struct timespec moment = {0, 1000000};
    const char *then = "";
    (void)settings;
    (void)weft_attempt_get_string(attempt, "then", &then);
    if (strcmp(then, "ignore") == 0)
        (void)signal(SIGTERM, SIG_IGN); /* in a child, where nobody asks the handler */
    int err = weft_attempt_progress(attempt, 0.25, "waits");
    if (err == 0)
        err = announce(attempt);
    while (err == 0 && (strcmp(then, "ignore") == 0 || !weft_attempt_is_cancelled(attempt)))
        (void)nanosleep(&moment, NULL);
    if (err)
        return err;
    return strcmp(then, "complete") == 0 ? weft_attempt_result_json(attempt, "1", 1) : -ECANCELED;
}

const struct weft_handler tasks[TASKS] = {
    {.name = "everything", .run = everything},
    {.name = "end", .run = end},
    {.name = "wait", .run = wait_for_end},
};
