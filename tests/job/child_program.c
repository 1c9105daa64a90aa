/* SPDX-License-Identifier: MIT
 * child_program.c - a child for children.c: functions that do as they should, and others. */
#include "tasks.h"

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

static const char *input(const struct weft_attempt *attempt)
{
    return weft_attempt_payload(attempt, NULL);
}

static int number(const struct weft_attempt *attempt)
{
    return (int)strtol(input(attempt), NULL, 10);
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

static int echo(struct weft_attempt *attempt, const void *settings)
{
    size_t len;
    const char *payload = weft_attempt_payload(attempt, &len);
    (void)settings;
    return weft_attempt_result_bytes(attempt, payload, len);
}

static int echo_json(struct weft_attempt *attempt, const void *settings)
{
    size_t len;
    const char *payload = weft_attempt_payload(attempt, &len);
    (void)settings;
    return weft_attempt_result_json(attempt, payload, len);
}

static int facts(struct weft_attempt *attempt, const void *settings)
{
    char text[600];
    const char *trace = weft_attempt_header(attempt, "trace"), *name = "(none)", *result;
    size_t len;
    (void)weft_attempt_get_string(attempt, "name", &name);
    int used = snprintf(text, sizeof text, "%s|%s|%s|%u|%u|%s|%s|%s|%s|%zu",
                        weft_attempt_id(attempt), weft_attempt_task(attempt),
                        weft_attempt_queue(attempt), weft_attempt_number(attempt),
                        weft_attempt_number_max(attempt), (const char *)settings, input(attempt),
                        trace ? trace : "(none)", name, weft_attempt_inputs(attempt));
    for (size_t i = 0; weft_attempt_input(attempt, i, &result, &len) == 0; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "|%zu %s", len,
                         result ? result : "(none)");
    return weft_attempt_result_bytes(attempt, text, (size_t)used);
}

static int pid(struct weft_attempt *attempt, const void *settings)
{
    char text[32];
    (void)settings;
    int len = snprintf(text, sizeof text, "%d", (int)getpid());
    return weft_attempt_result_bytes(attempt, text, (size_t)len);
}

static int fail(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    fprintf(stderr, "said on the way\n");
    return weft_attempt_fail(attempt, -EIO, "no luck: %d", number(attempt));
}

static int discard(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_discard(attempt, "no such customer");
}

static int cancel(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_cancel(attempt, "sold out");
}

static int snooze(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_snooze(attempt, number(attempt) * WEFT_MSEC);
}

static int retry_after(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_retry_after(attempt, number(attempt) * WEFT_MSEC, "not yet");
}

static int without_a_word(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return number(attempt);
}

static int fail_by_code(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return -number(attempt);
}

static int change_mind(struct weft_attempt *attempt, const void *settings)
{
    static const char one[] = "1", two[] = "second";
    (void)settings;
    (void)weft_attempt_discard(attempt, "not meant");
    int err = weft_attempt_result_json(attempt, one, 1);
    return err ? err : weft_attempt_result_bytes(attempt, two, strlen(two));
}

static int large_result(struct weft_attempt *attempt, const void *settings)
{
    size_t len = (size_t)number(attempt);
    char *data = calloc(1, len);
    (void)settings;
    if (!data)
        return -ENOMEM;
    int err = weft_attempt_result_bytes(attempt, data, len);
    free(data);
    return err;
}

static int report(struct weft_attempt *attempt, const void *settings)
{
    char longer[3000];
    (void)settings;
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    int err = weft_attempt_progress(attempt, 0, "begin");
    weft_attempt_log(attempt, WEFT_LOG_INFO, "at %d of %s", 1, "3");
    if (err == 0)
        err = weft_attempt_progress(attempt, 0.5, NULL);
    weft_attempt_log(attempt, WEFT_LOG_ERROR, "%s", longer);
    if (err == 0 && weft_attempt_progress(attempt, 1.5, NULL) != -EINVAL)
        return -EPROTO;
    return err ? err : weft_attempt_progress(attempt, 1, longer);
}

/* So many further jobs; then it ends as a number behind says. */
static int follow(struct weft_attempt *attempt, const void *settings)
{
    char *end;
    long count = strtol(input(attempt), &end, 10);
    (void)settings;
    for (long i = 0; i < count; i++) {
        char payload[32];
        (void)snprintf(payload, sizeof payload, "[%ld]", i);
        const struct weft_attempt_job job = {
            .task = "echo_json", .payload = payload, .priority = 3, .has_priority = 1};
        int err = weft_attempt_enqueue(attempt, &job);
        if (err)
            return err;
    }
    const struct weft_attempt_job last = {.task = "other",
                                          .queue = "elsewhere",
                                          .delay_ns = 2 * WEFT_SEC,
                                          .attempts_max = 7,
                                          .unique_key = "once"};
    int err = weft_attempt_enqueue(attempt, &last);
    return err ? err : (int)strtol(end, NULL, 10);
}

static int print(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt, (void)settings;
    printf("to output\n");
    (void)fflush(stdout);
    fprintf(stderr, "to error\n");
    printf("without a flush\n");
    return getchar() == EOF ? 0 : -EIO; /* there is no input but /dev/null */
}

static int burn(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt, (void)settings;
    struct timespec used;
    do {
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 100 * 1000 * 1000);
    return 0;
}

/* Until it is asked to stop. */
static int wait_for_stop(struct weft_attempt *attempt, const void *settings)
{
    const struct timespec long_time = {60, 0};
    (void)settings;
    while (!weft_attempt_is_cancelled(attempt))
        (void)nanosleep(&long_time, NULL);
    return weft_attempt_fail(attempt, -ECANCELED, "stopped");
}

/* Make a file, so that others know that it has begun. */
static int touch(const struct weft_attempt *attempt)
{
    int fd = open(input(attempt), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : close(fd);
}

static int announce(struct weft_attempt *attempt, const void *settings)
{
    int err = touch(attempt);
    return err ? err : wait_for_stop(attempt, settings);
}

/* Completes when it is asked to stop. */
static int finish(struct weft_attempt *attempt, const void *settings)
{
    if (announce(attempt, settings) != -ECANCELED)
        return -EIO;
    return weft_attempt_result_bytes(attempt, "finished", 8);
}

/* ---- memory ------------------------------------------------------------------------------ */

static void *grown[16];

/* Keep so many MiB, for ever. */
static int grow(struct weft_attempt *attempt, const void *settings)
{
    static size_t count;
    size_t len = (size_t)number(attempt) << 20;
    (void)settings;
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || count == sizeof grown / sizeof grown[0])
        return -ENOMEM;
    memset(memory, 1, len);
    grown[count++] = memory;
    return 0;
}

/* ---- those that do not ------------------------------------------------------------------- */

static int die_by(struct weft_attempt *attempt, const void *settings)
{
    const struct rlimit no_core = {0, 0};
    (void)settings;
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(number(attempt), SIG_DFL); /* sanitizers have handlers */
    fprintf(stderr, "a last word\n");
    return raise(number(attempt));
}

static int leave(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    _exit(number(attempt));
}

static int deaf(struct weft_attempt *attempt, const void *settings)
{
    const struct timespec long_time = {60, 0};
    (void)settings;
    (void)attempt;
    (void)signal(SIGTERM, SIG_IGN);
    fprintf(stderr, "deaf now\n");
    while (nanosleep(&long_time, NULL) == 0 || errno == EINTR)
        continue;
    return 0;
}

static int announce_deaf(struct weft_attempt *attempt, const void *settings)
{
    (void)signal(SIGTERM, SIG_IGN);
    int err = touch(attempt);
    return err ? err : deaf(attempt, settings);
}

/* Send what the input says, as it is, and wait. */
static int send_raw(struct weft_attempt *attempt, const void *settings)
{
    size_t len;
    const char *bytes = weft_attempt_payload(attempt, &len);
    ssize_t sent = send(find_socket(), bytes, len, MSG_NOSIGNAL);
    return sent < 0 ? -errno : wait_for_stop(attempt, settings);
}

static int hang_up(struct weft_attempt *attempt, const void *settings)
{
    (void)close(find_socket());
    return deaf(attempt, settings);
}

static int flood(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    (void)signal(SIGTERM, SIG_IGN);
    while (fprintf(stderr, "and again\n") > 0)
        (void)weft_attempt_progress(attempt, 0.1, "again");
    return 0;
}

/* A grandchild in the group holds the socket and the pipe open, and tells its number. */
static int leave_a_grandchild(struct weft_attempt *attempt, const void *settings)
{
    const struct timespec long_time = {60, 0};
    (void)settings;
    pid_t grandchild = fork();
    if (grandchild == 0) {
        (void)nanosleep(&long_time, NULL);
        _exit(0);
    }
    fprintf(stderr, "%d\n", (int)grandchild);
    _exit(number(attempt));
}

/* What answers, and is gone. */
static int answer_and_leave(struct weft_attempt *attempt, const void *settings)
{
    static const char done[WEFT_FRAME_HEAD + 4] = {
        4, 0, 0, 0, WEFT_FRAME_DONE, WEFT_FRAME_RESULT, 0, 0, 'd', 'o', 'n', 'e'};
    (void)attempt, (void)settings;
    (void)send(find_socket(), done, sizeof done, MSG_NOSIGNAL);
    _exit(5);
}

static const struct weft_handler handlers[] = {
    {.name = "echo", .run = echo},
    {.name = "echo_json", .run = echo_json},
    {.name = "command", .executor = WEFT_EXECUTOR_EXEC}, /* nothing to run here */
    {.name = "facts", .run = facts, .settings = "settings"},
    {.name = "pid", .run = pid},
    {.name = "fail", .run = fail},
    {.name = "discard", .run = discard},
    {.name = "cancel", .run = cancel},
    {.name = "snooze", .run = snooze},
    {.name = "retry_after", .run = retry_after},
    {.name = "without_a_word", .run = without_a_word},
    {.name = "follow", .run = follow},
    {.name = "fail_by_code", .run = fail_by_code},
    {.name = "change_mind", .run = change_mind},
    {.name = "large_result", .run = large_result},
    {.name = "report", .run = report},
    {.name = "print", .run = print},
    {.name = "burn", .run = burn},
    {.name = "wait_for_stop", .run = wait_for_stop},
    {.name = "announce", .run = announce},
    {.name = "announce_deaf", .run = announce_deaf},
    {.name = "finish", .run = finish},
    {.name = "grow", .run = grow},
    {.name = "die_by", .run = die_by},
    {.name = "leave", .run = leave},
    {.name = "deaf", .run = deaf},
    {.name = "send_raw", .run = send_raw},
    {.name = "hang_up", .run = hang_up},
    {.name = "flood", .run = flood},
    {.name = "leave_a_grandchild", .run = leave_a_grandchild},
    {.name = "answer_and_leave", .run = answer_and_leave},
};

#define HANDLERS (sizeof handlers / sizeof handlers[0])

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
    static const char hello[WEFT_FRAME_HEAD + 4] = {
        4, 0, 0, 0, WEFT_FRAME_HELLO, 0, 0, 0, WEFT_FRAME_VERSION};
    static const char done[WEFT_FRAME_HEAD + 4] = {
        4, 0, 0, 0, WEFT_FRAME_DONE, WEFT_FRAME_RESULT, 0, 0, 'd', 'o', 'n', 'e'};
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
    struct weft_handler all[HANDLERS + TASKS];
    memcpy(all, handlers, sizeof handlers);
    memcpy(all + HANDLERS, tasks, sizeof tasks);
    int err = weft_child_main(all, HANDLERS + TASKS);
    if (err < 0)
        fprintf(stderr, "%s\n", weft_strerror(err));
    return err < 0;
}
