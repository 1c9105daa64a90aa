/* SPDX-License-Identifier: MIT
 * child.c - see child.h. */
#include <job/child.h>

#include <job/frame.h>
#include <weft/base.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct weft_child_call {
    int socket;
    struct weft_frame_job job;
    char *result;
    size_t result_len;
    bool result_json;
    bool final; /* no other attempt will do better */
    char reason[WEFT_JOB_ERROR_MAX + 1];
};

/* A signal handler can be told things only so. */
static volatile sig_atomic_t busy, stopping;

static void on_sigterm(int number)
{
    (void)number;
    if (!busy)
        _exit(0);
    stopping = 1;
}

/* ---- the connection ---------------------------------------------------------------------- */

/* Returns 0, or why it cannot be said: the parent is gone. */
static int send_all(int socket, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t count = send(socket, at, len, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            return -errno;
        if (count > 0) {
            at += count;
            len -= (size_t)count;
        }
    }
    return 0;
}

static int send_frame(int socket, enum weft_frame_kind kind, unsigned flags, const void *body,
                      size_t len)
{
    const struct weft_frame frame = {kind, flags, len};
    unsigned char head[WEFT_FRAME_HEAD];
    weft_frame_write_head(&frame, head);
    int err = send_all(socket, head, sizeof head);
    return err ? err : send_all(socket, body, len);
}

/* Returns 1 with a frame, 0 at the end, or a negative error. */
static int receive_frame(int socket, struct weft_frame_reader *reader)
{
    int whole = 0;
    while (whole == 0) {
        char *room;
        size_t len = weft_frame_room(reader, &room);
        ssize_t count = recv(socket, room, len, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : reader->head_len > 0 ? -EPROTO : 0;
        whole = weft_frame_took(reader, (size_t)count);
    }
    return whole;
}

/* ---- what a task may ask and say --------------------------------------------------------- */

const char *weft_child_id(const struct weft_child_call *call)
{
    return call->job.id;
}

const char *weft_child_task_name(const struct weft_child_call *call)
{
    return call->job.task;
}

const char *weft_child_queue(const struct weft_child_call *call)
{
    return call->job.queue;
}

unsigned weft_child_attempt(const struct weft_child_call *call)
{
    return call->job.attempt;
}

const struct weft_bytes *weft_child_input(const struct weft_child_call *call)
{
    return &call->job.input;
}

int weft_child_result(struct weft_child_call *call, const void *data, size_t len, bool json)
{
    if (len > WEFT_JOB_RESULT_MAX)
        return -EMSGSIZE;
    char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    if (len > 0)
        memcpy(copy, data, len);
    free(call->result);
    call->result = copy;
    call->result_len = len;
    call->result_json = json;
    return 0;
}

__attribute__((format(printf, 2, 0))) static void set_reason(struct weft_child_call *call,
                                                             const char *format, va_list args)
{
    if (vsnprintf(call->reason, sizeof call->reason, format, args) < 0)
        call->reason[0] = '\0';
}

int weft_child_fail(struct weft_child_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_reason(call, format, args);
    va_end(args);
    call->final = false;
    return -EIO;
}

int weft_child_discard(struct weft_child_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_reason(call, format, args);
    va_end(args);
    call->final = true;
    return -EIO;
}

void weft_child_progress(struct weft_child_call *call, unsigned permille, const char *text)
{
    unsigned char body[2 + WEFT_FRAME_TEXT_MAX];
    size_t len = strnlen(text, WEFT_FRAME_TEXT_MAX);
    weft_frame_put(body, permille < 1000 ? permille : 1000, 2);
    memcpy(body + 2, text, len);
    (void)send_frame(call->socket, WEFT_FRAME_PROGRESS, 0, body, 2 + len);
}

void weft_child_log(struct weft_child_call *call, const char *format, ...)
{
    char text[WEFT_FRAME_TEXT_MAX + 1];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len >= 0)
        (void)send_frame(call->socket, WEFT_FRAME_LOG, 0, text, strlen(text));
}

bool weft_child_stopping(const struct weft_child_call *call)
{
    (void)call;
    return stopping;
}

/* ---- one job ----------------------------------------------------------------------------- */

/* A reason for who gave none; of memory that is out, with the limit. */
static void explain(struct weft_child_call *call, int code)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    (void)getrlimit(RLIMIT_AS, &limit);
    if (call->reason[0])
        return;
    if (code == -ENOMEM && limit.rlim_cur != RLIM_INFINITY)
        (void)snprintf(call->reason, sizeof call->reason, "out of memory: it may have %llu MiB",
                       (unsigned long long)limit.rlim_cur >> 20);
    else
        (void)snprintf(call->reason, sizeof call->reason, "%s", weft_strerror(code));
}

static int answer(struct weft_child_call *call, int code)
{
    if (code >= 0)
        return send_frame(call->socket, WEFT_FRAME_DONE, call->result_json ? WEFT_FRAME_JSON : 0,
                          call->result, call->result_len);
    explain(call, code);
    return send_frame(call->socket, call->final ? WEFT_FRAME_DISCARD : WEFT_FRAME_FAILED, 0,
                      call->reason, strlen(call->reason));
}

static int run(struct weft_child_call *call, const struct weft_child_task *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tasks[i].name, call->job.name) == 0)
            return tasks[i].run(call, tasks[i].settings);
    }
    return weft_child_fail(call, "no task of this name is known here");
}

/* Returns 0, or why there is no going on. */
static int serve(int socket, struct weft_frame_reader *reader, const struct weft_child_task *tasks,
                 size_t count)
{
    struct weft_child_call call = {.socket = socket};
    if (reader->frame.kind != WEFT_FRAME_RUN)
        return -EPROTO;
    int err = weft_frame_read_job(&reader->frame, reader->body, &call.job);
    if (err < 0)
        return err;
    int code = run(&call, tasks, count);
    (void)fflush(NULL); /* what it has printed belongs to this job */
    err = answer(&call, code);
    free(call.result);
    return err;
}

/* What comes then cannot be read any more: this child has to end. */
static void say_no_memory(int socket)
{
    struct weft_child_call call = {.socket = socket};
    (void)answer(&call, -ENOMEM);
}

/* ---- all jobs ---------------------------------------------------------------------------- */

/* Take the socket out of the tasks' way. Returns its new descriptor, or a negative error. */
static int take_socket(void)
{
    struct stat info;
    if (fstat(STDIN_FILENO, &info) < 0 || !S_ISSOCK(info.st_mode))
        return -ENOTSOCK;
    int socket = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool moved = socket >= 0 && nothing >= 0 && dup2(nothing, STDIN_FILENO) == STDIN_FILENO &&
                 dup2(STDERR_FILENO, STDOUT_FILENO) == STDOUT_FILENO;
    int err = moved ? 0 : -errno;
    if (nothing >= 0)
        (void)close(nothing);
    if (err < 0 && socket >= 0)
        (void)close(socket);
    return err < 0 ? err : socket;
}

int weft_child_main(const struct weft_child_task *tasks, size_t count)
{
    const struct sigaction action = {.sa_handler = on_sigterm};
    struct weft_frame_reader reader = {.head_len = 0};
    unsigned char hello[4];
    int socket = take_socket();
    if (socket < 0)
        return socket;
    (void)sigaction(SIGTERM, &action, NULL);
    weft_frame_put(hello, WEFT_FRAME_VERSION, sizeof hello);
    int err = send_frame(socket, WEFT_FRAME_HELLO, 0, hello, sizeof hello);
    while (err == 0 && !stopping) { /* its parent gives no job to who was asked to stop */
        int whole = receive_frame(socket, &reader);
        if (whole == 0)
            break;
        busy = 1;
        err = whole < 0 ? whole : serve(socket, &reader, tasks, count);
        if (whole == -ENOMEM)
            say_no_memory(socket);
        weft_frame_next(&reader);
        busy = 0; /* before stopping is asked for: no signal falls in between */
    }
    weft_frame_next(&reader);
    (void)close(socket);
    return err;
}
