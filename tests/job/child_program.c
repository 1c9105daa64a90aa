/* SPDX-License-Identifier: MIT
 * child_program.c - a child for children.c: functions that do as they should, and others. */
#include <job/child.h>
#include <job/frame.h>
#include <weft/base.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int number(struct weft_child_call *call)
{
    return (int)strtol(weft_child_input(call)->data, NULL, 10);
}

/* The socket, which functions are not meant to find. */
static int find_socket(void)
{
    struct stat info;
    int fd = 3;
    while (fstat(fd, &info) < 0 || !S_ISSOCK(info.st_mode))
        fd++;
    return fd;
}

/* ---- those that do as they should -------------------------------------------------------- */

static int echo(struct weft_child_call *call, const void *settings)
{
    const struct weft_bytes *input = weft_child_input(call);
    (void)settings;
    return weft_child_result(call, input->data, input->len, input->json);
}

static int facts(struct weft_child_call *call, const void *settings)
{
    char text[600];
    int len = snprintf(text, sizeof text, "%s|%s|%s|%u|%s|%s", weft_child_id(call),
                       weft_child_task_name(call), weft_child_queue(call), weft_child_attempt(call),
                       (const char *)settings, weft_child_input(call)->data);
    return weft_child_result(call, text, (size_t)len, false);
}

static int pid(struct weft_child_call *call, const void *settings)
{
    char text[32];
    (void)settings;
    int len = snprintf(text, sizeof text, "%d", (int)getpid());
    return weft_child_result(call, text, (size_t)len, false);
}

static int fail(struct weft_child_call *call, const void *settings)
{
    (void)settings;
    fprintf(stderr, "said on the way\n");
    return weft_child_fail(call, "no luck: %d", number(call));
}

static int discard(struct weft_child_call *call, const void *settings)
{
    (void)settings;
    return weft_child_discard(call, "no such customer");
}

static int fail_by_code(struct weft_child_call *call, const void *settings)
{
    (void)settings;
    return -number(call);
}

static int change_mind(struct weft_child_call *call, const void *settings)
{
    static const char one[] = "one", two[] = "second";
    (void)settings;
    (void)weft_child_discard(call, "not meant");
    int err = weft_child_result(call, one, sizeof one, true);
    return err ? err : weft_child_result(call, two, strlen(two), false);
}

static int large_result(struct weft_child_call *call, const void *settings)
{
    size_t len = (size_t)number(call);
    char *data = calloc(1, len);
    (void)settings;
    if (!data)
        return -ENOMEM;
    int err = weft_child_result(call, data, len, false);
    free(data);
    return err;
}

static int report(struct weft_child_call *call, const void *settings)
{
    char longer[3000];
    (void)settings;
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    weft_child_progress(call, 0, "begin");
    weft_child_log(call, "at %d of %s", 1, "3");
    weft_child_progress(call, 500, "");
    weft_child_log(call, "%s", longer);
    weft_child_progress(call, 7777, longer);
    return 0;
}

static int print(struct weft_child_call *call, const void *settings)
{
    (void)call, (void)settings;
    printf("to output\n");
    (void)fflush(stdout);
    fprintf(stderr, "to error\n");
    printf("without a flush\n");
    return getchar() == EOF ? 0 : -EIO; /* there is no input but /dev/null */
}

static int burn(struct weft_child_call *call, const void *settings)
{
    (void)call, (void)settings;
    struct timespec used;
    do {
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 100 * 1000 * 1000);
    return 0;
}

/* Until it is asked to stop. */
static int wait_for_stop(struct weft_child_call *call, const void *settings)
{
    const struct timespec long_time = {60, 0};
    (void)settings;
    while (!weft_child_stopping(call))
        (void)nanosleep(&long_time, NULL);
    return weft_child_fail(call, "stopped");
}

/* Make a file, so that others know that it has begun; then the same. */
static int announce(struct weft_child_call *call, const void *settings)
{
    int fd = open(weft_child_input(call)->data, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    (void)close(fd);
    return wait_for_stop(call, settings);
}

/* ---- memory ------------------------------------------------------------------------------ */

static void *grown[16];

/* Keep so many MiB, for ever. */
static int grow(struct weft_child_call *call, const void *settings)
{
    static size_t count;
    size_t len = (size_t)number(call) << 20;
    (void)settings;
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || count == sizeof grown / sizeof grown[0])
        return -ENOMEM;
    memset(memory, 1, len);
    grown[count++] = memory;
    return 0;
}

/* ---- those that do not ------------------------------------------------------------------- */

static int die_by(struct weft_child_call *call, const void *settings)
{
    const struct rlimit no_core = {0, 0};
    (void)settings;
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(number(call), SIG_DFL); /* sanitizers have handlers */
    fprintf(stderr, "a last word\n");
    return raise(number(call));
}

static int leave(struct weft_child_call *call, const void *settings)
{
    (void)settings;
    _exit(number(call));
}

static int deaf(struct weft_child_call *call, const void *settings)
{
    const struct timespec long_time = {60, 0};
    (void)settings;
    (void)call;
    (void)signal(SIGTERM, SIG_IGN);
    fprintf(stderr, "deaf now\n");
    while (nanosleep(&long_time, NULL) == 0 || errno == EINTR)
        continue;
    return 0;
}

/* Send what the input says, as it is, and wait. */
static int send_raw(struct weft_child_call *call, const void *settings)
{
    const struct weft_bytes *input = weft_child_input(call);
    ssize_t sent = send(find_socket(), input->data, input->len, MSG_NOSIGNAL);
    return sent < 0 ? -errno : wait_for_stop(call, settings);
}

static int hang_up(struct weft_child_call *call, const void *settings)
{
    (void)close(find_socket());
    return deaf(call, settings);
}

static int flood(struct weft_child_call *call, const void *settings)
{
    (void)settings;
    (void)signal(SIGTERM, SIG_IGN);
    while (fprintf(stderr, "and again\n") > 0)
        weft_child_progress(call, 1, "again");
    return 0;
}

/* A grandchild in the group holds the socket and the pipe open, and tells its number. */
static int leave_a_grandchild(struct weft_child_call *call, const void *settings)
{
    const struct timespec long_time = {60, 0};
    (void)settings;
    pid_t grandchild = fork();
    if (grandchild == 0) {
        (void)nanosleep(&long_time, NULL);
        _exit(0);
    }
    fprintf(stderr, "%d\n", (int)grandchild);
    _exit(number(call));
}

/* What answers, and is gone. */
static int answer_and_leave(struct weft_child_call *call, const void *settings)
{
    static const char done[WEFT_FRAME_HEAD + 4] = {4,   0,   0,   0,  WEFT_FRAME_DONE, 0, 0, 0,
                                                   'd', 'o', 'n', 'e'};
    (void)call, (void)settings;
    (void)send(find_socket(), done, sizeof done, MSG_NOSIGNAL);
    _exit(5);
}

static const struct weft_child_task tasks[] = {
    {"echo", echo, NULL},
    {"facts", facts, "settings"},
    {"pid", pid, NULL},
    {"fail", fail, NULL},
    {"discard", discard, NULL},
    {"fail_by_code", fail_by_code, NULL},
    {"change_mind", change_mind, NULL},
    {"large_result", large_result, NULL},
    {"report", report, NULL},
    {"print", print, NULL},
    {"burn", burn, NULL},
    {"wait_for_stop", wait_for_stop, NULL},
    {"announce", announce, NULL},
    {"grow", grow, NULL},
    {"die_by", die_by, NULL},
    {"leave", leave, NULL},
    {"deaf", deaf, NULL},
    {"send_raw", send_raw, NULL},
    {"hang_up", hang_up, NULL},
    {"flood", flood, NULL},
    {"leave_a_grandchild", leave_a_grandchild, NULL},
    {"answer_and_leave", answer_and_leave, NULL},
};

/* ---- how it starts ----------------------------------------------------------------------- */

static int mute(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    return 0;
}

static int speak_another_version(void)
{
    static const char hello[WEFT_FRAME_HEAD + 4] = {4, 0, 0, 0, WEFT_FRAME_HELLO, 0, 0, 0, 99};
    (void)send(STDIN_FILENO, hello, sizeof hello, MSG_NOSIGNAL);
    return mute();
}

/* Answers each job before it has heard it to its end. */
static int answer_hastily(void)
{
    static const char hello[WEFT_FRAME_HEAD + 4] = {4, 0, 0, 0, WEFT_FRAME_HELLO, 0, 0, 0, 1};
    static const char done[WEFT_FRAME_HEAD + 4] = {4,   0,   0,   0,  WEFT_FRAME_DONE, 0, 0, 0,
                                                   'd', 'o', 'n', 'e'};
    char head[WEFT_FRAME_HEAD];
    (void)send(STDIN_FILENO, hello, sizeof hello, MSG_NOSIGNAL);
    if (recv(STDIN_FILENO, head, sizeof head, MSG_WAITALL) == sizeof head)
        (void)send(STDIN_FILENO, done, sizeof done, MSG_NOSIGNAL);
    return mute();
}

static int refuse(void)
{
    fprintf(stderr, "cannot load tasks.so\n");
    return 3;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    if (strcmp(how, "mute") == 0)
        return mute();
    if (strcmp(how, "other") == 0)
        return speak_another_version();
    if (strcmp(how, "hasty") == 0)
        return answer_hastily();
    if (strcmp(how, "refuse") == 0 || (argc > 2 && access(argv[2], F_OK) == 0))
        return refuse();
    int err = weft_child_main(tasks, sizeof tasks / sizeof tasks[0]);
    if (err < 0)
        fprintf(stderr, "%s\n", weft_strerror(err));
    return err < 0;
}
