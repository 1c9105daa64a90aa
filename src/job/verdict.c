/* SPDX-License-Identifier: MIT
 * verdict.c - what the end of an attempt means for its job.
 *
 * What a handler completes is completed, whatever was wanted of it meanwhile. A failure counts as
 * one unless the handler was told to end: then why it was told decides. */
#include "engine_internal.h"

#include <flow/backoff.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_BASE_NS (2 * WEFT_SEC)
#define RETRY_CAP_NS  (3600 * WEFT_SEC)
#define SNOOZE_NS     WEFT_SEC /* where there was no memory for what was asked */

/* ---- when the next attempt is made ------------------------------------------------------ */

static bool says_nothing(const struct weft_retry_options *retry)
{
    return retry->backoff == 0 && retry->jitter == 0 && retry->base_ns == 0 && retry->cap_ns == 0 &&
           !(retry->multiplier > 0);
}

static int64_t longer(int64_t one_ns, int64_t other_ns)
{
    return one_ns > other_ns ? one_ns : other_ns;
}

/* The job's own wish, else the handler's, else ours. */
static struct weft_retry_options curve_of(const struct weft_job *job,
                                          const struct weft_handler *handler)
{
    static const struct weft_retry_options ours = {.jitter = WEFT_JITTER_EQUAL};
    const struct weft_job_backoff *asked = &job->backoff;
    struct weft_retry_options curve = ours;
    if (asked->base_us > 0)
        curve = (struct weft_retry_options){
            .backoff = asked->kind,
            .jitter = asked->jitter,
            .base_ns = weft_ns_from_us(asked->base_us),
            .cap_ns = weft_ns_from_us(asked->cap_us),
        };
    else if (handler && !says_nothing(&handler->retry))
        curve = handler->retry;
    if (curve.base_ns <= 0)
        curve.base_ns = RETRY_BASE_NS;
    if (curve.cap_ns <= 0)
        curve.cap_ns = longer(RETRY_CAP_NS, curve.base_ns);
    return curve;
}

static int64_t delay_after_failure(struct weft_engine *engine, const struct weft_job *job,
                                   const struct weft_handler *handler)
{
    struct weft_retry_options curve = curve_of(job, handler);
    struct weft_backoff_state state = {.retries = job->attempt > 0 ? job->attempt - 1u : 0};
    double draw = (double)(weft_random_next(&engine->random) >> 11) * 0x1p-53;
    return weft_backoff_next(&curve, &state, draw);
}

void weft_engine_judge(struct weft_engine *engine, const struct weft_job *job,
                       struct weft_settlement *settlement)
{
    bool again = job->attempt < job->attempts_max;
    settlement->event = again ? WEFT_JOB_RETRY : WEFT_JOB_DIE;
    if (settlement->delay_us < 0)
        settlement->delay_us =
            delay_after_failure(engine, job, weft_engine_handler(engine, job->task)) / 1000;
}

/* ---- verdicts --------------------------------------------------------------------------- */

/* Takes own over; text is what is said if there is none of it, and must be static. */
static void set_error(struct weft_engine_job *job, char *own, const char *text)
{
    free(job->verdict.own);
    job->verdict.own = own;
    job->verdict.error = own ? own : text;
}

static void set_error_format(struct weft_engine_job *job, const char *text, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* text where there is no memory for what format says. */
static void set_error_format(struct weft_engine_job *job, const char *text, const char *format, ...)
{
    char *own;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&own, format, args);
    va_end(args);
    set_error(job, len < 0 ? NULL : own, text);
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

/* The error is set. delay_ns negative: as the curve of its retries has it. */
static void fail(struct weft_engine_job *job, int64_t delay_ns)
{
    struct weft_verdict *verdict = &job->verdict;
    bool again = job->job->attempt < job->job->attempts_max;
    verdict->event = again ? WEFT_JOB_RETRY : WEFT_JOB_DIE;
    verdict->delay_us =
        (delay_ns < 0 ? delay_after_failure(job->engine, job->job, job->handler) : delay_ns) / 1000;
    weft_engine_log(job->engine, again ? WEFT_LOG_WARNING : WEFT_LOG_ERROR, job->job,
                    again ? "failed" : "dead", verdict->error);
}

static void complete(struct weft_engine_job *job)
{
    job->verdict.event = WEFT_JOB_COMPLETE;
    if (weft_follow_prepare(job) == 0)
        return;
    set_error(job, NULL, "no memory for the further jobs");
    fail(job, -1);
}

/* Told to end, and it has ended without success. */
static void end_told(struct weft_engine_job *job, enum weft_stop why)
{
    struct weft_verdict *verdict = &job->verdict;
    switch (why) {
    case WEFT_STOP_TIMEOUT:
        set_error_format(job, "timed out", "timed out after %g s", seconds(job->timeout_ns));
        fail(job, -1);
        break;
    case WEFT_STOP_CANCEL:
        verdict->event = WEFT_JOB_CANCEL; /* its error is the reason of who asked */
        break;
    case WEFT_STOP_NOT:
    case WEFT_STOP_DRAIN:
    case WEFT_STOP_LOST: /* and nothing is settled */
    default:
        verdict->event = WEFT_JOB_RELEASE;
        break;
    }
}

static void fail_by_result(struct weft_engine_job *job, int result)
{
    const struct weft_desk *desk = job->attempt.desk;
    const char *reason = desk && desk->reason ? desk->reason : weft_strerror(result);
    int64_t delay_ns = desk && desk->delay_ns > 0 ? desk->delay_ns : -1;
    if (delay_ns > 0 && desk->delay_least)
        delay_ns = longer(delay_ns, delay_after_failure(job->engine, job->job, job->handler));
    set_error(job, strdup(reason), "failed");
    fail(job, delay_ns);
}

static void decide(struct weft_engine_job *job, int result, enum weft_stop why)
{
    const struct weft_desk *desk = job->attempt.desk;
    char *reason = desk && desk->reason ? strdup(desk->reason) : NULL;
    struct weft_verdict *verdict = &job->verdict;
    if (result >= 0) {
        complete(job);
    } else if (result == WEFT_TASK_SNOOZE) {
        verdict->event = WEFT_JOB_SNOOZE;
        verdict->delay_us = (desk && desk->delay_ns > 0 ? desk->delay_ns : SNOOZE_NS) / 1000;
    } else if (result == WEFT_TASK_CANCEL) {
        verdict->event = WEFT_JOB_CANCEL;
        set_error(job, reason, "cancelled by its own handler");
        return;
    } else if (result == WEFT_TASK_DISCARD) {
        verdict->event = WEFT_JOB_DIE;
        set_error(job, reason, "discarded by its own handler");
        weft_engine_log(job->engine, WEFT_LOG_ERROR, job->job, "dead", verdict->error);
        return;
    } else if (why != WEFT_STOP_NOT) {
        end_told(job, why);
    } else {
        fail_by_result(job, result);
    }
    free(reason);
}

void weft_engine_job_conclude(struct weft_engine_job *job, int result)
{
    job->running = false;
    /* Its own deadline may have been a moment faster than ours. */
    bool late = weft_scope_leave(&job->scope, -ECANCELED) == -ETIMEDOUT;
    weft_heap_remove(&job->engine->timers, &job->timer);
    enum weft_stop why = job->stop;
    if (why == WEFT_STOP_NOT && late)
        why = WEFT_STOP_TIMEOUT;
    else if (why == WEFT_STOP_NOT && weft_checkpoint() == -ECANCELED)
        why = WEFT_STOP_DRAIN; /* the whole runtime ends */
    if (!job->given_up) {
        decide(job, result, why);
        weft_engine_job_finish(job);
    }
    weft_engine_job_unref(job);
}

void weft_engine_job_conclude_stuck(struct weft_engine_job *job, int64_t grace_ns)
{
    if (job->stop == WEFT_STOP_TIMEOUT) {
        set_error_format(job, "stuck: it did not end after its timeout",
                         "stuck: it did not end within %g s of its timeout after %g s",
                         seconds(grace_ns), seconds(job->timeout_ns));
        fail(job, -1);
    } else {
        end_told(job, job->stop);
    }
    weft_engine_job_finish(job);
}

void weft_engine_job_give_back(struct weft_engine_job *job)
{
    end_told(job, job->stop);
    weft_engine_job_finish(job);
}

void weft_engine_job_fail(struct weft_engine_job *job, char *own, const char *text)
{
    set_error(job, own, text);
    fail(job, -1);
    weft_engine_job_finish(job);
}
