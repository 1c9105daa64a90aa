/* SPDX-License-Identifier: MIT
 * execute.c - how a handler is run, by its executor: the one place where that is chosen. All of it
 * happens on the fiber of the attempt, inside the attempt's scope.
 *
 * On fibers and threads the engine has the handler's time run. Executors outside of them measure it
 * by themselves, from when the work begins, and can tell better what became of it; what they say is
 * retold in the words of a handler. */
#include "engine_internal.h"

#include <base/json_scan.h>
#include <job/children.h>
#include <job/exec.h>
#ifdef WEFT_HAVE_WEBHOOKS
#include <job/webhook_send.h>
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_NS     (1800 * WEFT_SEC) /* of what may be somebody else's */
#define SAID_BYTES_MAX 2000              /* of what it wrote, into the log */

/* An executor that is not built in has no run. */
struct executor {
    int (*run)(struct weft_engine_job *job); /* what the handler returned; suspends */
    bool (*is_complete)(const struct weft_handler *handler);
    int (*open)(struct weft_engine *engine, const struct weft_handler *handler); /* or NULL */
    void (*close)(struct weft_engine *engine); /* or NULL; also when there is nothing to close */
    int64_t timeout_ns;                        /* of a handler that does not say; 0: none */
    bool forces; /* what does not end when asked to is ended when job->force is cancelled */
};

/* ---- fibers and threads ----------------------------------------------------------------- */

static bool has_run(const struct weft_handler *handler)
{
    return handler->run;
}

static int run_on_fiber(struct weft_engine_job *job)
{
    weft_engine_job_clock(job);
    return job->handler->run(&job->attempt, job->handler->settings);
}

/* ---- outside of them -------------------------------------------------------------------- */

static struct weft_execution execution_of(struct weft_engine_job *job)
{
    const struct weft_job *asked = job->job;
    return (struct weft_execution){
        .id = job->attempt.id,
        .task = asked->task,
        .queue = asked->queue,
        .attempt = asked->attempt,
        .attempts_max = asked->attempts_max,
        .input = asked->payload,
        .headers = asked->headers,
        .inputs = asked->inputs,
        .inputs_count = asked->inputs_count,
        .timeout_ns = weft_engine_job_timeout(job),
        .grace_ns = weft_engine_job_grace(job),
        .patience = &job->force,
    };
}

/* What it wrote to its standard error, into the log: the end of it. */
static void log_said(struct weft_engine_job *job, const struct weft_outcome *outcome)
{
    size_t len = outcome->said_len < SAID_BYTES_MAX ? outcome->said_len : SAID_BYTES_MAX;
    char *text = len > 0 ? strndup(outcome->said + outcome->said_len - len, len) : NULL;
    if (text)
        weft_engine_log(job->engine, WEFT_LOG_INFO, job->job, "output", text);
    free(text);
}

static int retell_done(struct weft_engine_job *job, struct weft_outcome *outcome)
{
    char *result = outcome->result;
    size_t len = outcome->result_len;
    if (outcome->reason)
        weft_engine_log(job->engine, WEFT_LOG_WARNING, job->job, "task", outcome->reason);
    if (!result || len == 0)
        return 0;
    outcome->result = NULL;
    bool json = outcome->result_json && weft_json_is_valid(result, len);
    return weft_attempt_take_result(&job->attempt, result, len, json);
}

static int retell_failed(struct weft_attempt *attempt, const struct weft_outcome *outcome)
{
    const char *reason = outcome->reason ? outcome->reason : "it failed";
    if (outcome->delay_ns == 0)
        return weft_attempt_fail(attempt, -EIO, "%s", reason);
    return outcome->delay_least
               ? weft_attempt_retry_not_before(attempt, outcome->delay_ns, reason)
               : weft_attempt_retry_after(attempt, outcome->delay_ns, "%s", reason);
}

/* As a handler would have said it. Returns what that would have returned. */
static int retell(struct weft_engine_job *job, struct weft_outcome *outcome)
{
    struct weft_attempt *attempt = &job->attempt;
    const char *reason = outcome->reason;
    switch (outcome->kind) {
    case WEFT_OUTCOME_DONE:
        return retell_done(job, outcome);
    case WEFT_OUTCOME_DISCARD:
        return reason ? weft_attempt_discard(attempt, "%s", reason) : WEFT_TASK_DISCARD;
    case WEFT_OUTCOME_CANCEL:
        return reason ? weft_attempt_cancel(attempt, "%s", reason) : WEFT_TASK_CANCEL;
    case WEFT_OUTCOME_SNOOZE:
        return outcome->delay_ns > 0 ? weft_attempt_snooze(attempt, outcome->delay_ns)
                                     : WEFT_TASK_SNOOZE;
    case WEFT_OUTCOME_FAILED:
    default:
        return retell_failed(attempt, outcome);
    }
}

/* err is the executor's own: where it is 0, there is an outcome. */
static int conclude(struct weft_engine_job *job, int err, struct weft_outcome *outcome)
{
    if (err == 0) {
        log_said(job, outcome);
        err = retell(job, outcome);
    }
    weft_outcome_release(outcome);
    return err;
}

/* ---- commands --------------------------------------------------------------------------- */

static bool has_command(const struct weft_handler *handler)
{
    const struct weft_exec_command *command = handler->settings;
    return command && command->name && command->command && command->command[0];
}

static int run_command(struct weft_engine_job *job)
{
    const struct weft_execution execution = execution_of(job);
    struct weft_outcome outcome = {.exit_code = -1};
    int err = weft_exec_run(job->handler->settings, &execution, &outcome);
    outcome.result_json = true; /* a command does not say what it writes: JSON is taken for that */
    return conclude(job, err, &outcome);
}

/* ---- children --------------------------------------------------------------------------- */

static void hear_progress(void *arg, const char *json, size_t len)
{
    struct weft_engine_job *job = arg;
    char *copy = job->given_up ? NULL : strndup(json, len);
    if (copy)
        weft_progress_tell(job, copy);
}

static void hear_log(void *arg, enum weft_log_level level, const char *text, size_t len)
{
    struct weft_engine_job *job = arg;
    (void)len;
    weft_engine_log(job->engine, level, job->job, "task", text);
}

static int hear_follow(void *arg, const struct weft_attempt_job *asked)
{
    struct weft_engine_job *job = arg;
    return weft_attempt_enqueue(&job->attempt, asked);
}

static int need_children(struct weft_engine *engine, const struct weft_handler *handler)
{
    (void)handler;
    return engine->options.children ? 0 : -EINVAL;
}

static int run_in_child(struct weft_engine_job *job)
{
    const struct weft_execution execution = execution_of(job);
    const struct weft_children_listener listener = {
        .on_progress = hear_progress, .on_log = hear_log, .on_follow = hear_follow, .arg = job};
    struct weft_outcome outcome = {.exit_code = -1};
    int err = weft_children_run(job->engine->options.children, &execution, &listener, &outcome);
    if (err == WEFT_EFULL)
        return weft_attempt_snooze(&job->attempt, WEFT_SEC); /* it has not begun */
    return conclude(job, err, &outcome);
}

/* ---- webhooks --------------------------------------------------------------------------- */

#ifdef WEFT_HAVE_WEBHOOKS

static bool has_webhook(const struct weft_handler *handler)
{
    const struct weft_webhook *webhook = handler->settings;
    const char *reason;
    return webhook && weft_webhook_check(webhook, &reason) == 0;
}

static struct weft_http_client **client_of(struct weft_engine *engine,
                                           const struct weft_handler *handler)
{
    const struct weft_webhook *webhook = handler->settings;
    return &engine->clients[webhook->allow_private];
}

static int open_client(struct weft_engine *engine, const struct weft_handler *handler)
{
    const struct weft_webhook *webhook = handler->settings;
    struct weft_http_client **client = client_of(engine, handler);
    return *client ? 0 : weft_webhook_client_open(client, webhook->allow_private);
}

static void close_clients(struct weft_engine *engine)
{
    weft_http_client_close(engine->clients[false]);
    weft_http_client_close(engine->clients[true]);
}

static int run_webhook(struct weft_engine_job *job)
{
    const struct weft_execution execution = execution_of(job);
    struct weft_outcome outcome = {.exit_code = -1};
    int err = weft_webhook_run(*client_of(job->engine, job->handler), job->handler->settings,
                               &execution, &outcome);
    return conclude(job, err, &outcome);
}

#endif

/* ---- all of them ------------------------------------------------------------------------ */

static const struct executor executors[WEFT_EXECUTORS] = {
    [WEFT_EXECUTOR_FIBER] = {.run = run_on_fiber, .is_complete = has_run},
    [WEFT_EXECUTOR_THREAD] = {.run = weft_thread_run, .is_complete = has_run},
    [WEFT_EXECUTOR_PROCESS] =
        {
            .run = run_in_child,
            .is_complete = has_run,
            .open = need_children,
            .timeout_ns = TIMEOUT_NS,
            .forces = true,
        },
    [WEFT_EXECUTOR_EXEC] =
        {
            .run = run_command,
            .is_complete = has_command,
            .timeout_ns = TIMEOUT_NS,
            .forces = true,
        },
#ifdef WEFT_HAVE_WEBHOOKS
    [WEFT_EXECUTOR_HTTP] =
        {
            .run = run_webhook,
            .is_complete = has_webhook,
            .open = open_client,
            .close = close_clients,
            .timeout_ns = TIMEOUT_NS,
        },
#endif
};

bool weft_executor_takes(const struct weft_handler *handler)
{
    return handler->executor < WEFT_EXECUTORS && executors[handler->executor].run &&
           executors[handler->executor].is_complete(handler);
}

int64_t weft_executor_timeout(const struct weft_handler *handler)
{
    return handler->timeout_ns > 0 ? handler->timeout_ns : executors[handler->executor].timeout_ns;
}

bool weft_executor_forces(const struct weft_handler *handler)
{
    return executors[handler->executor].forces;
}

int weft_executors_open(struct weft_engine *engine)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < engine->options.handlers_count; i++) {
        const struct weft_handler *handler = &engine->options.handlers[i];
        if (executors[handler->executor].open)
            err = executors[handler->executor].open(engine, handler);
    }
    return err;
}

void weft_executors_close(struct weft_engine *engine)
{
    for (int i = 0; i < WEFT_EXECUTORS; i++) {
        if (executors[i].close)
            executors[i].close(engine);
    }
}

int weft_engine_job_execute(struct weft_engine_job *job)
{
    return executors[job->handler->executor].run(job);
}
