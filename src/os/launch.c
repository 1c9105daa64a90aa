/* SPDX-License-Identifier: MIT
 * launch.c - see launch.h.
 *
 * The child shares our memory until it has loaded its program (as posix_spawn does it), so nothing
 * is copied, no lock is found held, and an error is simply written down. It runs on a stack of its
 * own, makes system calls only, and no handler of ours may run in it. The calling thread stands
 * still meanwhile. posix_spawn itself gives no pidfd, and cannot tie the child to our life. */
#include <os/launch.h>
#include <os/sanitizer.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_STACK_BYTES ((size_t)64 << 10)
#define DEFAULT_PATH      "/usr/local/bin:/usr/bin:/bin"
#define NICE_MIN          (-20)
#define NICE_MAX          19

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Its frames never return: sanitizers would keep account of them in our name. */
#define IN_CHILD __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

#ifdef WEFT_TSAN
/* libtsan's own clone() waits for the child's function to return, to take note of us again. */
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

struct child {
    const struct weft_launch *launch;
    char *const *command, *const *environment;
    int priority; /* nice value, in all */
    int err;      /* written by the child */
};

/* ---- finding the program --------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
           faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

int weft_launch_find(const char *name, char *ret_path)
{
    const char *folders = secure_getenv("PATH");
    if (strlen(name) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (strchr(name, '/')) {
        memcpy(ret_path, name, strlen(name) + 1);
        return 0; /* what is wrong with it, the kernel will say */
    }
    for (const char *folder = folders ? folders : DEFAULT_PATH; folder;) {
        const char *end = strchrnul(folder, ':');
        int len = end == folder ? 1 : (int)(end - folder);
        int path_len =
            snprintf(ret_path, PATH_MAX, "%.*s/%s", len, end == folder ? "." : folder, name);
        if (path_len < PATH_MAX && is_program(ret_path))
            return 0;
        folder = *end ? end + 1 : NULL;
    }
    return -ENOENT;
}

/* ---- in the child ---------------------------------------------------------------------- */

IN_CHILD static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, &action, NULL); /* some cannot be set, and need not */
    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* Each goes above the three first: one may be the other's target. */
IN_CHILD static int arrange_stdio(const int *stdio)
{
    int moved[3];
    for (int i = 0; i < 3; i++) {
        moved[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
        if (moved[i] < 0 && !(errno == EBADF && stdio[i] == i)) /* closed, and stays so */
            return -1;
    }
    for (int i = 0; i < 3; i++) {
        if (moved[i] >= 0 && dup2(moved[i], i) < 0)
            return -1;
    }
    return 0;
}

/* What is lower already stays. */
IN_CHILD static int lower_limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    (void)getrlimit(resource, &limit);
    if (limit.rlim_cur > soft)
        limit.rlim_cur = soft;
    if (limit.rlim_max > hard)
        limit.rlim_max = hard;
    return setrlimit(resource, &limit);
}

IN_CHILD static int arrange_limits(const struct child *child)
{
    rlim_t memory = child->launch->memory_bytes_max, cpu = child->launch->cpu_seconds_max;
    if (child->launch->nice != 0 && setpriority(PRIO_PROCESS, 0, child->priority) < 0)
        return -1;
    if (cpu > 0 && lower_limit(RLIMIT_CPU, cpu, cpu + 1) < 0)
        return -1;
    return memory > 0 ? lower_limit(RLIMIT_AS, memory, memory) : 0;
}

IN_CHILD static int child_main(void *arg)
{
    struct child *child = arg;
    const struct weft_launch *launch = child->launch;
    bool ready = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
                 (!launch->directory || chdir(launch->directory) == 0) &&
                 arrange_stdio(launch->stdio) == 0 && arrange_limits(child) == 0;
    if (ready) {
        (void)syscall(SYS_close_range, 3u, ~0u, 0u); /* Linux 5.9; those of ours close anyway */
        reset_signals();
        (void)execve(launch->path, child->command, child->environment);
    }
    child->err = errno;
    _exit(127);
}

/* ---- in the parent --------------------------------------------------------------------- */

static int priority_of_child(int nice)
{
    int priority = getpriority(PRIO_PROCESS, 0);
    if (nice > NICE_MAX - priority)
        return NICE_MAX;
    return nice < NICE_MIN - priority ? NICE_MIN : priority + nice;
}

static int clone_child(struct child *child, char *stack, pid_t *ret_pid, int *ret_pidfd)
{
    sigset_t all, before;
    int pidfd = -1;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(child_main, stack + CHILD_STACK_BYTES,
                      CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, &pidfd);
    int err = pid < 0 ? -errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err < 0)
        return err;
    if (child->err) {
        (void)waitpid(pid, NULL, 0);
        (void)close(pidfd);
        return -child->err;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}

int weft_launch(const struct weft_launch *launch, pid_t *ret_pid, int *ret_pidfd)
{
    struct child child = {
        .launch = launch,
        .environment = environ,
        .priority = priority_of_child(launch->nice),
    };
    /* execve changes neither; its prototype is older than const. */
    memcpy(&child.command, &launch->command, sizeof child.command);
    if (launch->environment)
        memcpy(&child.environment, &launch->environment, sizeof child.environment);
    char *stack = mmap(NULL, CHILD_STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    int err = clone_child(&child, stack, ret_pid, ret_pidfd);
    (void)munmap(stack, CHILD_STACK_BYTES);
    return err;
}
