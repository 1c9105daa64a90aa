/* SPDX-License-Identifier: MIT
 * process.c - see weft/process.h.
 *
 * A child that has ended is not reaped before it is closed: until then its number, and its group's,
 * belong to nobody else, and can be signalled without a doubt. */
#include <base/time.h>
#include <os/launch.h>
#include <runtime/case.h>

#include <weft/io.h>
#include <weft/process.h>
#include <weft/select.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRACE_NS (5 * WEFT_SEC)

struct weft_process {
    pid_t pid;
    int pidfd;
    int pipes[3]; /* our ends, or -1 */
    int64_t grace_ns;
    long resident_before; /* KiB: until its program was loaded, it shared our memory */
};

/* ---- starting -------------------------------------------------------------------------- */

struct start {
    struct weft_process *process;
    struct weft_launch launch;
    int opened[3]; /* the child's ends, ours to close afterwards; or -1 */
};

static int arrange_pipe(struct start *start, int number)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    int ours = number == 0 ? fds[1] : fds[0];
    start->process->pipes[number] = ours;
    start->opened[number] = number == 0 ? fds[0] : fds[1];
    start->launch.stdio[number] = start->opened[number];
    return weft_fd_adopt(ours);
}

static int arrange_null(struct start *start, int number)
{
    int fd = open("/dev/null", (number == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    start->launch.stdio[number] = start->opened[number] = fd;
    return 0;
}

static int arrange_stdio(struct start *start, int number, const struct weft_stdio *wanted)
{
    start->launch.stdio[number] = number;
    switch (wanted->kind) {
    case WEFT_STDIO_INHERIT:
        return 0;
    case WEFT_STDIO_NULL:
        return arrange_null(start, number);
    case WEFT_STDIO_PIPE:
        return arrange_pipe(start, number);
    case WEFT_STDIO_FD:
        start->launch.stdio[number] = wanted->fd;
        return fcntl(wanted->fd, F_GETFD) < 0 ? -errno : 0;
    default:
        return -EINVAL;
    }
}

static int launch(struct start *start, const struct weft_process_options *options)
{
    int err = arrange_stdio(start, 0, &options->in);
    if (err == 0)
        err = arrange_stdio(start, 1, &options->out);
    if (err == 0)
        err = arrange_stdio(start, 2, &options->err);
    if (err == 0)
        err = weft_launch(&start->launch, &start->process->pid, &start->process->pidfd);
    for (int i = 0; i < 3; i++) {
        if (start->opened[i] >= 0)
            (void)close(start->opened[i]);
    }
    return err;
}

static void process_free(struct weft_process *process)
{
    for (int i = 0; i < 3; i++)
        weft_process_close_pipe(process, i);
    if (process->pidfd >= 0)
        (void)weft_close(process->pidfd);
    free(process);
}

static struct rusage usage_of_ours(void)
{
    struct rusage usage = {.ru_maxrss = 0};
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage;
}

int weft_process_open(struct weft_process **ret_process, const char *const *command,
                      const struct weft_process_options *options)
{
    static const struct weft_process_options defaults;
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (!command || !command[0])
        return -EINVAL;
    if (!options)
        options = &defaults;
    struct weft_process *process = malloc(sizeof *process);
    char *path = malloc(PATH_MAX);
    if (!process || !path) {
        err = -ENOMEM;
        goto done;
    }
    *process = (struct weft_process){
        .pidfd = -1,
        .pipes = {-1, -1, -1},
        .grace_ns = options->grace_ns ? options->grace_ns : GRACE_NS,
    };
    struct start start = {
        .process = process,
        .launch = {path,
                   command,
                   options->environment,
                   options->directory,
                   {0, 1, 2},
                   .memory_bytes_max = options->memory_bytes_max,
                   .cpu_seconds_max = options->cpu_seconds_max,
                   .nice = options->nice},
        .opened = {-1, -1, -1},
    };
    err = weft_launch_find(command[0], path);
    if (err == 0)
        err = launch(&start, options);
    if (err < 0) {
        process_free(process);
        process = NULL;
    } else {
        process->resident_before = usage_of_ours().ru_maxrss;
        weft_fd_made(self->worker, process->pidfd, false);
        *ret_process = process;
    }
done:
    free(path);
    if (err < 0 && process)
        free(process);
    return err;
}

/* ---- while it runs --------------------------------------------------------------------- */

pid_t weft_process_id(const struct weft_process *process)
{
    return process->pid;
}

int weft_process_pipe(const struct weft_process *process, int number)
{
    if (number < 0 || number > 2 || process->pipes[number] < 0)
        return -ENOENT;
    return process->pipes[number];
}

void weft_process_close_pipe(struct weft_process *process, int number)
{
    int fd = weft_process_pipe(process, number);
    if (fd < 0)
        return;
    process->pipes[number] = -1;
    (void)weft_close(fd);
}

int weft_process_kill(struct weft_process *process, int signal)
{
    return kill(-process->pid, signal) < 0 && errno != ESRCH ? -errno : 0;
}

/* What it has used, in all; nothing where the kernel does not say. The C library's waitid has no
 * place for it. */
static void measure(const struct weft_process *process, struct weft_process_status *status)
{
    struct rusage usage = {.ru_maxrss = 0};
    siginfo_t info;
    (void)syscall(SYS_waitid, P_PIDFD, process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT, &usage);
    const struct timeval *user = &usage.ru_utime, *system = &usage.ru_stime;
    status->cpu_ns =
        (user->tv_sec + system->tv_sec) * WEFT_SEC + (user->tv_usec + system->tv_usec) * WEFT_USEC;
    if (usage.ru_maxrss > process->resident_before)
        status->resident_bytes = (size_t)usage.ru_maxrss * 1024;
}

/* Returns 1 when it has ended, 0 when not; -ECHILD. */
static int look(const struct weft_process *process, struct weft_process_status *ret_status)
{
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    bool by_itself = info.si_code == CLD_EXITED;
    *ret_status = (struct weft_process_status){
        .exit_code = by_itself ? info.si_status : -1,
        .signal = by_itself ? 0 : info.si_status,
        .core_dumped = info.si_code == CLD_DUMPED,
    };
    measure(process, ret_status);
    return 1;
}

int weft_process_wait(struct weft_process *process, int64_t deadline_ns,
                      struct weft_process_status *ret_status)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    while (err == 0) {
        int ended = look(process, ret_status);
        if (ended != 0)
            return ended < 0 ? ended : 0;
        self->worker->outstanding++;
        err = weft_fd_wait(self, process->pidfd, WEFT_READY_READ, deadline_ns);
        self->worker->outstanding--;
    }
    return err;
}

struct weft_case weft_case_process(const struct weft_process *process)
{
    return weft_case_owed_fd(process->pidfd);
}

/* ---- its end --------------------------------------------------------------------------- */

/* Ask, wait for the grace. */
static void end_gently(struct weft_process *process)
{
    struct weft_process_status status;
    (void)weft_process_kill(process, SIGTERM);
    (void)weft_process_kill(process, SIGCONT); /* who is stopped hears nothing */
    (void)weft_process_wait(process, weft_time_after(weft_now(), process->grace_ns), &status);
}

void weft_process_close(struct weft_process *process)
{
    struct weft_process_status status;
    struct weft_scope scope;
    if (!process)
        return;
    for (int i = 0; i < 3; i++)
        weft_process_close_pipe(process, i);
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    if (process->grace_ns > 0 && look(process, &status) == 0)
        end_gently(process);
    (void)weft_process_kill(process, SIGKILL);
    (void)weft_process_wait(process, WEFT_FOREVER, &status);
    (void)weft_scope_leave(&scope, 0);
    siginfo_t info;
    (void)waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED); /* now the number is free */
    process_free(process);
}

int weft_process_run(const char *const *command, const struct weft_process_options *options,
                     int64_t deadline_ns, struct weft_process_status *ret_status)
{
    struct weft_process *process;
    if (options && (options->in.kind == WEFT_STDIO_PIPE || options->out.kind == WEFT_STDIO_PIPE ||
                    options->err.kind == WEFT_STDIO_PIPE))
        return -EINVAL;
    int err = weft_process_open(&process, command, options);
    if (err < 0)
        return err;
    err = weft_process_wait(process, deadline_ns, ret_status);
    weft_process_close(process);
    return err;
}
