/* SPDX-License-Identifier: MIT
 * child.c - see child.h. */
#include <job/child.h>

#include <job/attempt.h>
#include <job/frame.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct child {
    int socket;
    const struct weft_handler *handlers;
    size_t count;
};

/* One job. */
struct call {
    struct weft_attempt attempt; /* first: the host's functions find the rest by it */
    const struct child *child;
    struct weft_job job;
    struct weft_job_input *inputs; /* owned */
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

/* ---- what a handler has said on its way -------------------------------------------------- */

static const struct call *call_of(const struct weft_attempt *attempt)
{
    return (const void *)attempt;
}

/* That the parent is gone shows when it is answered. */
static void host_log(struct weft_attempt *attempt, enum weft_log_level level, const char *text)
{
    char body[1 + WEFT_FRAME_LOG_MAX];
    size_t len = weft_text_cut(text, strlen(text), WEFT_FRAME_LOG_MAX);
    weft_frame_put(body, (uint64_t)level, 1);
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): its length goes with it
    memcpy(body + 1, text, len);
    (void)send_frame(call_of(attempt)->child->socket, WEFT_FRAME_LOG, 0, body, 1 + len);
}

static int host_progress(struct weft_attempt *attempt, char *json)
{
    (void)send_frame(call_of(attempt)->child->socket, WEFT_FRAME_PROGRESS, 0, json, strlen(json));
    free(json);
    return 0;
}

static bool host_is_cancelled(const struct weft_attempt *attempt)
{
    (void)attempt;
    return stopping;
}

static const struct weft_attempt_host host = {host_log, host_progress, host_is_cancelled};

/* ---- how it has ended -------------------------------------------------------------------- */

static int send_follow(int socket, const struct weft_follow *follow)
{
    const struct weft_job *asked = follow->job;
    const struct weft_attempt_job job = {
        .task = asked->task,
        .queue = asked->queue,
        .payload = asked->payload.data,
        .payload_len = asked->payload.len,
        .priority = asked->priority,
        .delay_ns = follow->delay_us * 1000,
        .attempts_max = asked->attempts_max,
        .unique_key = asked->unique_key,
    };
    struct weft_buffer frame;
    int err = weft_frame_write_follow(&frame, &job);
    if (err == 0)
        err = send_all(socket, frame.data, frame.len);
    weft_buffer_deinit(&frame);
    return err;
}

/* Further jobs first: they are part of it. */
static int send_done(int socket, const struct weft_desk *desk)
{
    int err = 0;
    if (!desk)
        return send_frame(socket, WEFT_FRAME_DONE, 0, NULL, 0);
    for (const struct weft_follow *follow = desk->follow; !err && follow; follow = follow->next)
        err = send_follow(socket, follow);
    unsigned flags =
        (desk->result ? WEFT_FRAME_RESULT : 0) | (desk->result_json ? WEFT_FRAME_JSON : 0);
    return err ? err : send_frame(socket, WEFT_FRAME_DONE, flags, desk->result, desk->result_len);
}

/* For who gave no reason: what the code means; of memory that is out, with the limit. */
static void explain(int code, char *text, size_t bytes)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    (void)getrlimit(RLIMIT_AS, &limit);
    if (code == -ENOMEM && limit.rlim_cur != RLIM_INFINITY)
        (void)snprintf(text, bytes, "out of memory: it may have %llu MiB",
                       (unsigned long long)limit.rlim_cur >> 20);
    else
        (void)snprintf(text, bytes, "%s", weft_strerror(code));
}

static int send_end(int socket, enum weft_frame_kind kind, const struct weft_desk *desk, int code)
{
    char body[8 + WEFT_JOB_ERROR_MAX + 1] = "";
    char *reason = body + 8;
    weft_frame_put(body, desk ? (uint64_t)desk->delay_ns : 0, 8);
    if (desk && desk->reason)
        (void)snprintf(reason, WEFT_JOB_ERROR_MAX + 1, "%s", desk->reason);
    else if (kind == WEFT_FRAME_FAILED)
        explain(code, reason, WEFT_JOB_ERROR_MAX + 1);
    return send_frame(socket, kind, 0, body, 8 + strlen(reason));
}

/* desk may be NULL. */
static int answer(int socket, const struct weft_desk *desk, int code)
{
    if (code >= 0)
        return send_done(socket, desk);
    enum weft_frame_kind kind = code == WEFT_TASK_SNOOZE    ? WEFT_FRAME_SNOOZE
                                : code == WEFT_TASK_CANCEL  ? WEFT_FRAME_CANCEL
                                : code == WEFT_TASK_DISCARD ? WEFT_FRAME_DISCARD
                                                            : WEFT_FRAME_FAILED;
    return send_end(socket, kind, desk, code);
}

/* ---- one job ----------------------------------------------------------------------------- */

static int run(struct call *call)
{
    const struct child *child = call->child;
    for (size_t i = 0; i < child->count; i++) {
        const struct weft_handler *handler = &child->handlers[i];
        if (handler->run && strcmp(handler->name, call->job.task) == 0)
            return handler->run(&call->attempt, handler->settings);
    }
    return weft_attempt_fail(&call->attempt, -ENOENT, "no task of this name is known here");
}

/* Returns 0, -EPROTO, -ENOMEM */
static int read_call(struct call *call, const struct weft_frame_reader *reader)
{
    struct weft_execution execution;
    struct weft_uuid id;
    int err = reader->frame.kind == WEFT_FRAME_RUN ? 0 : -EPROTO;
    if (err == 0)
        err = weft_frame_read_run(&reader->frame, reader->body, &execution, &call->inputs);
    if (err < 0)
        return err;
    if (weft_uuid_parse(&id, execution.id, strlen(execution.id)) < 0) {
        free(call->inputs);
        return -EPROTO;
    }
    call->job = (struct weft_job){
        .id = id,
        .task = execution.task,
        .queue = execution.queue,
        .attempts_max = (uint16_t)execution.attempts_max,
        .headers = execution.headers,
        .payload = execution.input,
        .state = WEFT_JOB_RUNNING,
        .attempt = (uint16_t)execution.attempt,
        .inputs = call->inputs,
        .inputs_count = execution.inputs_count,
    };
    return 0;
}

/* Returns 0, or why there is no going on. */
static int serve(const struct child *child, const struct weft_frame_reader *reader)
{
    struct call call = {.child = child};
    int err = read_call(&call, reader);
    if (err < 0)
        return err;
    weft_attempt_init(&call.attempt, &call.job, &host);
    int code = run(&call);
    (void)fflush(NULL); /* what it has printed belongs to this job */
    err = answer(child->socket, call.attempt.desk, code);
    weft_attempt_deinit(&call.attempt);
    free(call.inputs);
    return err;
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

int weft_child_main(const struct weft_handler *handlers, size_t count)
{
    const struct sigaction action = {.sa_handler = on_sigterm};
    struct weft_frame_reader reader = {.head_len = 0};
    unsigned char hello[4];
    int socket = take_socket();
    if (socket < 0)
        return socket;
    const struct child child = {socket, handlers, count};
    (void)sigaction(SIGTERM, &action, NULL);
    weft_frame_put(hello, WEFT_FRAME_VERSION, sizeof hello);
    int err = send_frame(socket, WEFT_FRAME_HELLO, 0, hello, sizeof hello);
    while (err == 0 && !stopping) { /* its parent gives no job to who was asked to stop */
        int whole = receive_frame(socket, &reader);
        if (whole == 0)
            break;
        busy = 1;
        err = whole < 0 ? whole : serve(&child, &reader);
        if (err == -ENOMEM) /* what comes then cannot be read any more: this child has to end */
            (void)answer(socket, NULL, err);
        weft_frame_next(&reader);
        busy = 0; /* before stopping is asked for: no signal falls in between */
    }
    weft_frame_next(&reader);
    (void)close(socket);
    return err;
}
