/* SPDX-License-Identifier: MIT
 * exec.c - see exec.h.
 *
 * One fiber follows input, both outputs, the clock and the end of the process in one select, in
 * this order of importance: the clock, the end, input, result, messages. So neither a flood of
 * messages nor a full pipe keeps a command from being ended in time. */
#include <job/exec.h>

#include <base/buffer.h>
#include <base/time.h>
#include <os/launch.h>
#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/select.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK          ((size_t)16 << 10)
#define LEFTOVER_MAX   ((size_t)2 << 20) /* more does not fit in a pipe by default limits */

#define EXIT_DATAERR   65
#define EXIT_TEMPFAIL  75
#define EXIT_PERMANENT 100

/* ---- what a command may be -------------------------------------------------------------- */

static const char *const own_variables[] = {"WEFT_JOB_ID", "WEFT_TASK", "WEFT_QUEUE",
                                            "WEFT_ATTEMPT"};
#define OWN_VARIABLES (sizeof own_variables / sizeof own_variables[0])

static const char *check_environment(const char *const *environment)
{
    size_t count = 0;
    for (; environment && environment[count]; count++) {
        size_t len = strcspn(environment[count], "=");
        if (len == 0)
            return "a variable of its environment has no name";
        for (size_t i = 0; i < OWN_VARIABLES; i++) {
            if (strlen(own_variables[i]) == len &&
                memcmp(own_variables[i], environment[count], len) == 0)
                return "its environment has a variable that is set for each job";
        }
    }
    return count > WEFT_EXEC_VARIABLES_MAX ? "its environment has too many variables" : NULL;
}

static const char *check_numbers(const struct weft_exec_command *command)
{
    if (command->timeout_ns < 0)
        return "its timeout is negative";
    if (command->grace_ns < 0 && command->grace_ns != WEFT_NO_GRACE)
        return "its grace is negative";
    if (command->output_bytes_max > WEFT_JOB_RESULT_MAX)
        return "it may write more than a result can have";
    if (command->nice < -20 || command->nice > 19)
        return "its nice value is not between -20 and 19";
    return NULL;
}

static const char *check_directory(const char *directory)
{
    struct stat info;
    if (!directory)
        return NULL;
    if (directory[0] != '/')
        return "its directory is not an absolute path";
    return stat(directory, &info) == 0 && S_ISDIR(info.st_mode) ? NULL : "its directory is none";
}

static int check_program(const char *name, char *ret_path, const char **ret_reason)
{
    struct stat info;
    int err = weft_launch_find(name, ret_path);
    if (err < 0) {
        *ret_reason = "there is no such program in $PATH";
        return -ENOENT;
    }
    if (ret_path[0] != '/') {
        *ret_reason = "its program is neither an absolute path nor in an absolute folder of $PATH";
        return -EINVAL;
    }
    if (stat(ret_path, &info) < 0) {
        *ret_reason = "its program does not exist";
        return -ENOENT;
    }
    if (!S_ISREG(info.st_mode) || faccessat(AT_FDCWD, ret_path, X_OK, AT_EACCESS) < 0) {
        *ret_reason = "its program is not an executable file";
        return -EACCES;
    }
    return 0;
}

int weft_exec_check(const struct weft_exec_command *command, char *ret_path,
                    const char **ret_reason)
{
    const char *reason = NULL;
    if (!command->name || !command->name[0])
        reason = "it has no name";
    else if (!command->command || !command->command[0] || !command->command[0][0])
        reason = "it has no program";
    if (!reason)
        reason = check_environment(command->environment);
    if (!reason)
        reason = check_numbers(command);
    if (!reason)
        reason = check_directory(command->directory);
    int err = reason ? -EINVAL : check_program(command->command[0], ret_path, &reason);
    if (err < 0)
        *ret_reason = reason;
    return err;
}

/* ---- the environment -------------------------------------------------------------------- */

struct environment {
    size_t count;
    char *variables[WEFT_EXEC_VARIABLES_MAX + OWN_VARIABLES + 1];
};

static void environment_free(struct environment *environment)
{
    if (!environment)
        return;
    for (size_t i = 0; i < environment->count; i++)
        free(environment->variables[i]);
    free(environment);
}

/* value NULL: there is no such variable. Returns 0, -ENOMEM */
static int set(struct environment *environment, const char *name, const char *value)
{
    char *variable;
    if (!value)
        return 0;
    if (asprintf(&variable, "%s=%s", name, value) < 0)
        return -ENOMEM;
    environment->variables[environment->count++] = variable;
    return 0;
}

static int set_allowed(struct environment *environment, const char *const *allowed)
{
    static const char *const usual[] = {"PATH", "HOME", "LANG", "TZ", NULL};
    int err = 0;
    for (const char *const *at = allowed ? allowed : usual; !err && *at; at++) {
        if (environment->count == WEFT_EXEC_VARIABLES_MAX)
            return -EINVAL;
        if (!strchr(*at, '='))
            err = set(environment, *at, secure_getenv(*at));
        else if ((environment->variables[environment->count] = strdup(*at)))
            environment->count++;
        else
            err = -ENOMEM;
    }
    return err;
}

static int environment_make(struct environment **ret_environment, const char *const *allowed,
                            const struct weft_execution *execution)
{
    const char *queue = execution->queue ? execution->queue : "";
    char attempt[16];
    if (strlen(execution->id) > WEFT_JOB_NAME_MAX || strlen(execution->task) > WEFT_JOB_NAME_MAX ||
        strlen(queue) > WEFT_JOB_NAME_MAX)
        return -EINVAL;
    struct environment *environment = calloc(1, sizeof *environment);
    if (!environment)
        return -ENOMEM;
    (void)snprintf(attempt, sizeof attempt, "%u", execution->attempt);
    const char *const values[OWN_VARIABLES] = {execution->id, execution->task, queue, attempt};
    int err = set_allowed(environment, allowed);
    for (size_t i = 0; !err && i < OWN_VARIABLES; i++)
        err = set(environment, own_variables[i], values[i]);
    if (err < 0) {
        environment_free(environment);
        return err;
    }
    *ret_environment = environment;
    return 0;
}

/* ---- while it runs ---------------------------------------------------------------------- */

enum {
    CLOCK,
    END,
    INPUT,
    OUTPUT,
    MESSAGES,
    CASES
};

struct run {
    const struct weft_execution *execution;
    struct weft_process *process;
    struct weft_process_status status; /* once ended */
    bool ended;
    bool ending;             /* we have sent a signal */
    bool killed;             /* SIGKILL */
    int trouble;             /* -EMSGSIZE: too much output, -ENOMEM: output has been lost; or 0 */
    struct weft_bytes input; /* what is left of it */
    struct weft_buffer output;
    struct weft_tail messages;
    struct weft_case cases[CASES];
    char chunk[CHUNK];
};

static int pipe_of(const struct run *run, int which)
{
    return weft_process_pipe(run->process, which - INPUT);
}

static void close_pipe(struct run *run, int which)
{
    weft_process_close_pipe(run->process, which - INPUT);
    run->cases[which] = (struct weft_case){0};
}

static void feed(struct run *run)
{
    ssize_t count = 0;
    if (run->input.len > 0)
        count = weft_write(pipe_of(run, INPUT), run->input.data, run->input.len, WEFT_NOWAIT);
    if (count == -EAGAIN || count == -ECANCELED)
        return;
    if (count > 0) {
        run->input.data += count;
        run->input.len -= (size_t)count;
    }
    if (count < 0 || run->input.len == 0) /* it need not read all of it */
        close_pipe(run, INPUT);
}

static void keep(struct run *run, int which, size_t len)
{
    if (which == MESSAGES)
        weft_tail_append(&run->messages, run->chunk, len);
    else if (run->trouble == 0)
        weft_buffer_append(&run->output, run->chunk, len);
    if (run->output.err)
        run->trouble = run->output.err;
}

/* Returns bytes read; 0: there is no more for now, or for ever. */
static size_t take(struct run *run, int which)
{
    if (!run->cases[which].ops)
        return 0;
    ssize_t count = weft_read(pipe_of(run, which), run->chunk, sizeof run->chunk, WEFT_NOWAIT);
    if (count == -EAGAIN || count == -ECANCELED)
        return 0;
    if (count <= 0) {
        close_pipe(run, which);
        return 0;
    }
    keep(run, which, (size_t)count);
    return (size_t)count;
}

/* Ask for the end without waiting. */
static int look(struct run *run)
{
    int err = weft_process_wait(run->process, WEFT_NOWAIT, &run->status);
    run->ended = run->ended || err == 0;
    return err == -EAGAIN || err == -ECANCELED ? 0 : err;
}

/* Returns 0 when it has ended; -ETIMEDOUT, -ECANCELED; what trouble it made, unless it is being
 * ended; what the reactor cannot do. */
static int follow(struct run *run, int64_t deadline_ns)
{
    run->cases[CLOCK] = weft_case_timer(deadline_ns);
    for (;;) {
        int err = 0;
        int which = weft_select(run->cases, CASES, WEFT_FOREVER, WEFT_SELECT_IN_ORDER);
        if (which < 0)
            return which;
        if (which == CLOCK)
            return -ETIMEDOUT;
        if (which == END)
            err = run->cases[END].result < 0 ? run->cases[END].result : look(run);
        else if (which == INPUT)
            feed(run);
        else
            (void)take(run, which);
        if (err < 0 || run->ended)
            return err;
        if (run->trouble && !run->ending)
            return run->trouble;
    }
}

/* Have it ended: gently, when there is time for that. Shielded. */
static void end(struct run *run, int64_t grace_ns)
{
    struct weft_scope patience;
    run->ending = true;
    if (grace_ns > 0) {
        (void)weft_process_kill(run->process, SIGTERM);
        (void)weft_process_kill(run->process, SIGCONT); /* who is stopped hears nothing */
        weft_patience_enter(&patience, run->execution);
        (void)follow(run, weft_time_after(weft_now(), grace_ns));
        weft_patience_leave(&patience, run->execution);
    }
    if (run->ended)
        return;
    run->killed = true;
    (void)weft_process_kill(run->process, SIGKILL);
    (void)follow(run, WEFT_FOREVER);
}

/* What was written before the end is still in the pipes. Others may hold them open, and write on:
 * of that there is no end. Shielded: the work is done. */
static void take_rest(struct run *run)
{
    (void)weft_process_kill(run->process, SIGKILL);
    for (int which = OUTPUT; which <= MESSAGES; which++) {
        size_t taken = 0, count;
        while (taken < LEFTOVER_MAX && (count = take(run, which)) > 0)
            taken += count;
    }
}

/* Follow it to its end, whoever brings that about. Returns 0: it ended by itself; or why it had to
 * be ended */
static int see_through(struct run *run, const struct weft_exec_command *command, int64_t timeout_ns)
{
    int64_t grace_ns = weft_grace_of(command->grace_ns, run->execution);
    struct weft_scope shield;
    int err = follow(run, timeout_ns ? weft_time_after(weft_now(), timeout_ns) : WEFT_FOREVER);
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    if (err < 0 && look(run) == 0 && run->ended)
        err = run->trouble; /* both at once: what has happened counts */
    if (!run->ended)
        end(run, err == -ETIMEDOUT || err == -ECANCELED ? grace_ns : WEFT_NO_GRACE);
    take_rest(run);
    if (err == 0)
        err = run->trouble;
    (void)weft_scope_leave(&shield, 0);
    return err;
}

/* ---- what came of it -------------------------------------------------------------------- */

static void judge_exit(struct run *run, struct weft_outcome *outcome)
{
    int code = run->status.exit_code;
    if (run->status.signal) {
        weft_outcome_say_killed(outcome, &run->status);
    } else if (code == 0) {
        outcome->kind = WEFT_OUTCOME_DONE;
        outcome->result = run->output.data;
        outcome->result_len = run->output.len;
        run->output.data = NULL;
    } else if (code == EXIT_DATAERR || code == EXIT_PERMANENT) {
        weft_outcome_say(outcome, WEFT_OUTCOME_DISCARD, "exit code %d (%s)", code,
                         code == EXIT_DATAERR ? "bad input" : "permanent");
    } else {
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "exit code %d%s", code,
                         code == EXIT_TEMPFAIL ? " (temporary)" : "");
    }
}

static void judge(struct run *run, int err, int64_t timeout_ns, struct weft_outcome *ret_outcome)
{
    struct weft_outcome outcome = {.kind = WEFT_OUTCOME_FAILED};
    weft_tail_copy(&run->messages, &outcome);
    weft_outcome_note(&outcome, &run->status);
    if (err == -ETIMEDOUT)
        weft_outcome_say_late(&outcome, timeout_ns,
                              run->killed ? "had to be killed" : "ended when asked to");
    else if (err == -EMSGSIZE)
        weft_outcome_say(&outcome, WEFT_OUTCOME_FAILED,
                         "it wrote more than %zu bytes to its standard output",
                         run->output.len_max);
    else
        judge_exit(run, &outcome);
    *ret_outcome = outcome;
}

/* ---- one attempt ------------------------------------------------------------------------ */

static int start(struct run *run, const struct weft_exec_command *command,
                 const struct weft_execution *execution)
{
    const struct weft_stdio pipe = {.kind = WEFT_STDIO_PIPE};
    struct environment *environment;
    int err = environment_make(&environment, command->environment, execution);
    if (err < 0)
        return err;
    struct weft_process_options options = {
        .in = pipe,
        .out = pipe,
        .err = pipe,
        .environment = (const char *const *)environment->variables,
        .directory = command->directory,
        .grace_ns = WEFT_NO_GRACE, /* of closing: by then it has ended */
        .memory_bytes_max = command->memory_bytes_max,
        .cpu_seconds_max = command->cpu_seconds_max,
        .nice = command->nice,
    };
    err = weft_process_open(&run->process, command->command, &options);
    environment_free(environment);
    if (err < 0)
        return err;
    run->execution = execution;
    run->input = execution->input;
    run->cases[END] = weft_case_process(run->process);
    run->cases[INPUT] = weft_case_fd(pipe_of(run, INPUT), WEFT_WRITABLE);
    run->cases[OUTPUT] = weft_case_fd(pipe_of(run, OUTPUT), WEFT_READABLE);
    run->cases[MESSAGES] = weft_case_fd(pipe_of(run, MESSAGES), WEFT_READABLE);
    return 0;
}

/* Whether the command, not this call, is to blame for an error of start. */
static bool is_its_own(int err)
{
    return err != -ECANCELED && err != -ENOMEM && err != -EINVAL && err != -EPERM;
}

int weft_exec_run(const struct weft_exec_command *command, const struct weft_execution *execution,
                  struct weft_outcome *ret_outcome)
{
    int64_t timeout_ns = weft_shorter(command->timeout_ns, execution->timeout_ns);
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return -ENOMEM;
    weft_buffer_init(&run->output, command->output_bytes_max ? command->output_bytes_max
                                                             : WEFT_EXEC_OUTPUT_DEFAULT);
    int err = start(run, command, execution);
    if (err == 0) {
        err = see_through(run, command, timeout_ns);
        if (err == 0 || err == -ETIMEDOUT || err == -EMSGSIZE) {
            judge(run, err, timeout_ns, ret_outcome);
            err = 0;
        }
        weft_process_close(run->process);
    } else if (is_its_own(err)) {
        struct weft_outcome outcome = {.exit_code = -1};
        weft_outcome_say(&outcome, WEFT_OUTCOME_FAILED, "%s cannot be started: %s", command->name,
                         weft_strerror(err));
        *ret_outcome = outcome;
        err = 0;
    }
    weft_buffer_deinit(&run->output);
    free(run);
    return err;
}
