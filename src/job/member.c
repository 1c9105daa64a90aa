/* SPDX-License-Identifier: MIT
 * member.c - see member.h.
 *
 * As in exec.c, one select follows everything, in the order of importance: the clock, the end,
 * what is to be said, what is heard, what it prints. */
#include <job/member.h>

#include <base/time.h>
#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define START_TIMEOUT_NS (10 * WEFT_SEC)
#define FAREWELL_NS      WEFT_SEC          /* to leave, for who is not busy */
#define MESSAGES_MAX     ((size_t)2 << 20) /* more does not fit in a pipe by default limits */
#define LAST_BYTES_MAX   ((size_t)2 << 20) /* nor in a socket */

/* ---- begin and end ----------------------------------------------------------------------- */

static int start(struct weft_member *member, const struct weft_children_options *options,
                 int socket)
{
    const struct weft_process_options process = {
        .in = {WEFT_STDIO_FD, socket},
        .out = {.kind = WEFT_STDIO_NULL}, /* the child makes it the same as the next */
        .err = {.kind = WEFT_STDIO_PIPE},
        .environment = options->environment,
        .directory = options->directory,
        .grace_ns = WEFT_NO_GRACE,
        .memory_bytes_max = options->memory_bytes_max,
        .nice = options->nice,
    };
    return weft_process_open(&member->process, options->command, &process);
}

int weft_member_open(struct weft_member **ret_member, const struct weft_children_options *options)
{
    int sockets[2];
    struct weft_member *member = calloc(1, sizeof *member);
    if (!member)
        return -ENOMEM;
    weft_list_init(&member->link);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) {
        free(member);
        return -errno;
    }
    int err = weft_fd_adopt(sockets[0]); /* the child's end stays one that blocks */
    if (err == 0)
        err = start(member, options, sockets[1]);
    (void)close(sockets[1]);
    if (err < 0) {
        (void)weft_close(sockets[0]);
        free(member);
        return err;
    }
    member->socket = sockets[0];
    member->start_by_ns = weft_time_after(
        weft_now(), options->start_timeout_ns ? options->start_timeout_ns : START_TIMEOUT_NS);
    member->cases[MEMBER_END] = weft_case_process(member->process);
    member->cases[MEMBER_READ] = weft_case_fd(member->socket, WEFT_READABLE);
    member->cases[MEMBER_MESSAGES] =
        weft_case_fd(weft_process_pipe(member->process, 2), WEFT_READABLE);
    *ret_member = member;
    return 0;
}

void weft_member_close(struct weft_member *member)
{
    struct weft_process_status status;
    struct weft_scope shield;
    if (!member)
        return;
    if (member->socket >= 0)
        (void)weft_close(member->socket); /* the end of its input: it leaves */
    weft_process_close_pipe(member->process, 2);
    if (member->state == WEFT_MEMBER_IDLE || member->state == WEFT_MEMBER_SPENT) {
        weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
        (void)weft_process_wait(member->process, weft_time_after(weft_now(), FAREWELL_NS), &status);
        (void)weft_scope_leave(&shield, 0);
    }
    weft_process_close(member->process);
    weft_frame_next(&member->reader);
    free(member);
}

bool weft_member_is_dead(struct weft_member *member)
{
    member->ended =
        member->ended || weft_process_wait(member->process, WEFT_NOWAIT, &member->status) == 0;
    return member->ended;
}

/* ---- what it uses ------------------------------------------------------------------------ */

size_t weft_member_resident_bytes(const struct weft_member *member)
{
    char path[64], text[128];
    unsigned long long pages = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)weft_process_id(member->process));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, sizeof text - 1); /* of no disk: it does not block */
    (void)close(fd);
    text[len > 0 ? len : 0] = '\0';
    const char *second = strchr(text, ' '); /* the first number is the address space */
    if (second)
        pages = strtoull(second, NULL, 10);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int64_t cpu_of(const struct weft_member *member)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(weft_process_id(member->process), &clock) != 0 ||
        clock_gettime(clock, &used) < 0)
        return 0;
    return used.tv_sec * WEFT_SEC + used.tv_nsec;
}

/* Of the present job. */
static void note_usage(const struct weft_member *member, struct weft_outcome *outcome)
{
    if (member->ended) {
        weft_outcome_note(outcome, &member->status);
    } else {
        outcome->cpu_ns = cpu_of(member);
        outcome->resident_bytes = weft_member_resident_bytes(member);
        outcome->exit_code = -1;
    }
    outcome->cpu_ns = outcome->cpu_ns > member->cpu_ns ? outcome->cpu_ns - member->cpu_ns : 0;
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* Write what fits now. An error shows when the answer does not come. */
static void write_some(struct weft_member *member)
{
    bool head = member->head_written < member->head_len;
    const char *data = head ? member->head + member->head_written : member->input.data;
    size_t len = head ? member->head_len - member->head_written : member->input.len;
    ssize_t count = weft_write(member->socket, data, len, WEFT_NOWAIT);
    if (count == -EAGAIN || count == -ECANCELED)
        return;
    if (count > 0 && head) {
        member->head_written += (size_t)count;
    } else if (count > 0) {
        member->input.data += count;
        member->input.len -= (size_t)count;
    }
    if (count < 0 || (member->head_written == member->head_len && member->input.len == 0))
        member->cases[MEMBER_WRITE] = (struct weft_case){0};
}

/* Returns 1 with a whole frame, 0 when there is none now; -ENODATA (no more will come), -EPROTO,
 * -ENOMEM */
static int read_some(struct weft_member *member)
{
    char *room;
    size_t len = weft_frame_room(&member->reader, &room);
    ssize_t count = weft_read(member->socket, room, len, WEFT_NOWAIT);
    if (count == -EAGAIN || count == -ECANCELED)
        return 0;
    if (count <= 0)
        return -ENODATA;
    member->heard += (uint64_t)count;
    return weft_frame_took(&member->reader, (size_t)count);
}

/* Returns bytes read; 0: there is no more for now, or for ever. */
static size_t read_messages(struct weft_member *member)
{
    if (!member->cases[MEMBER_MESSAGES].ops)
        return 0;
    ssize_t count = weft_read(weft_process_pipe(member->process, 2), member->chunk,
                              sizeof member->chunk, WEFT_NOWAIT);
    if (count == -EAGAIN || count == -ECANCELED)
        return 0;
    if (count <= 0) {
        weft_process_close_pipe(member->process, 2);
        member->cases[MEMBER_MESSAGES] = (struct weft_case){0};
        return 0;
    }
    weft_tail_append(&member->messages, member->chunk, (size_t)count);
    return (size_t)count;
}

/* Other processes may hold the pipe, and write on without end. */
static void read_all_messages(struct weft_member *member)
{
    size_t taken = 0, count;
    while (taken < MESSAGES_MAX && (count = read_messages(member)) > 0)
        taken += count;
}

/* ---- frames ------------------------------------------------------------------------------ */

/* A frame that says how far the job is. Returns whether it was one. */
static bool hear(const struct weft_frame_reader *reader,
                 const struct weft_children_listener *listener)
{
    const char *body = reader->body;
    size_t len = reader->frame.len;
    if (reader->frame.kind == WEFT_FRAME_PROGRESS) {
        unsigned permille = weft_frame_get(body, 2);
        if (listener && listener->on_progress)
            listener->on_progress(listener->arg, permille < 1000 ? permille : 1000, body + 2,
                                  len - 2);
        return true;
    }
    if (reader->frame.kind == WEFT_FRAME_LOG) {
        if (listener && listener->on_log)
            listener->on_log(listener->arg, body, len);
        return true;
    }
    return false;
}

/* Returns 1 when there is a frame for the caller, 0 when not yet, or as read_some. */
static int take_frame(struct weft_member *member, const struct weft_children_listener *listener)
{
    int whole = read_some(member);
    if (whole > 0 && hear(&member->reader, listener)) {
        weft_frame_next(&member->reader);
        whole = 0;
    }
    return whole;
}

/* What it said before it ended, or before we lost patience; one that lives may talk on without end.
 * Returns as take_frame */
static int take_last_frame(struct weft_member *member,
                           const struct weft_children_listener *listener)
{
    uint64_t begin = member->heard, before;
    int whole;
    do {
        before = member->heard;
        whole = take_frame(member, listener);
    } while (whole == 0 && member->heard > before && before - begin < LAST_BYTES_MAX);
    return whole;
}

/* Wait for a frame. Returns 0 when one is there; -ECHILD (it has ended, or will say no more),
 * -EPROTO, -ENOMEM; -ETIMEDOUT, -ECANCELED; what the reactor cannot do */
static int follow(struct weft_member *member, int64_t deadline_ns,
                  const struct weft_children_listener *listener)
{
    member->cases[MEMBER_CLOCK] = weft_case_timer(deadline_ns);
    for (;;) {
        int whole = 0;
        int which = weft_select(member->cases, MEMBER_CASES, WEFT_FOREVER, WEFT_SELECT_IN_ORDER);
        if (which < 0)
            return which;
        if (which == MEMBER_CLOCK)
            return -ETIMEDOUT;
        if (which == MEMBER_END && member->cases[MEMBER_END].result < 0)
            return member->cases[MEMBER_END].result;
        if (which == MEMBER_END && weft_member_is_dead(member))
            return take_last_frame(member, listener) > 0 ? 0 : -ECHILD;
        if (which == MEMBER_WRITE)
            write_some(member);
        else if (which == MEMBER_READ)
            whole = take_frame(member, listener);
        else if (which == MEMBER_MESSAGES)
            (void)read_messages(member);
        if (whole != 0)
            return whole > 0 ? 0 : whole == -ENODATA ? -ECHILD : whole;
    }
}

/* ---- the first word ---------------------------------------------------------------------- */

static bool ends_before(struct weft_member *member, int64_t deadline_ns)
{
    member->ended =
        member->ended || weft_process_wait(member->process, deadline_ns, &member->status) == 0;
    return member->ended;
}

/* End one that is of no use any more, for a reason of follow, and learn how it ended: perhaps by
 * itself, where it has closed its socket. Shielded. */
static void put_down(struct weft_member *member, int reason)
{
    int64_t until_ns = reason == -ECHILD ? weft_time_after(weft_now(), FAREWELL_NS) : WEFT_NOWAIT;
    member->killed = !ends_before(member, until_ns);
    (void)weft_process_kill(member->process, SIGKILL);
    (void)ends_before(member, WEFT_FOREVER);
    read_all_messages(member);
}

/* Why it is of no use. */
static void say_broken(struct weft_member *member, int err, const char *when,
                       struct weft_outcome *outcome)
{
    member->state = WEFT_MEMBER_BROKEN;
    weft_tail_copy(&member->messages, outcome);
    note_usage(member, outcome);
    if (err == -EPROTO)
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "its process sent what is no answer %s",
                         when);
    else if (member->killed)
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "its process closed its connection %s",
                         when);
    else if (member->status.signal)
        weft_outcome_say_killed(outcome, &member->status);
    else
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "its process ended %s, with exit code %d",
                         when, member->status.exit_code);
}

static bool is_hello(const struct weft_frame_reader *reader)
{
    return reader->frame.kind == WEFT_FRAME_HELLO &&
           weft_frame_get(reader->body, 4) == WEFT_FRAME_VERSION;
}

int weft_member_greet(struct weft_member *member, struct weft_outcome *ret_outcome)
{
    struct weft_outcome outcome = {.exit_code = -1};
    struct weft_scope shield;
    int err = follow(member, member->start_by_ns, NULL);
    if (err == 0 && !is_hello(&member->reader))
        err = -EPROTO;
    if (err == 0) {
        weft_frame_next(&member->reader);
        member->state = WEFT_MEMBER_IDLE;
        return 0;
    }
    if (err == -ECANCELED)
        return err;
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    put_down(member, err);
    (void)weft_scope_leave(&shield, 0);
    member->state = WEFT_MEMBER_SPENT;
    if (err != -ECHILD && err != -EPROTO && err != -ETIMEDOUT)
        return err;
    if (err == -ETIMEDOUT) {
        member->state = WEFT_MEMBER_BROKEN;
        weft_tail_copy(&member->messages, &outcome);
        weft_outcome_say(&outcome, WEFT_OUTCOME_FAILED, "its process was not ready in time");
    } else {
        say_broken(member, err, "before it was ready", &outcome);
    }
    *ret_outcome = outcome;
    return -ECHILD;
}

/* ---- a job ------------------------------------------------------------------------------- */

static int give(struct weft_member *member, const struct weft_frame_job *job)
{
    ssize_t len = weft_frame_write_job(job, member->head + WEFT_FRAME_HEAD);
    if (len < 0 || job->input.len > WEFT_JOB_PAYLOAD_MAX)
        return -EINVAL;
    const struct weft_frame frame = {WEFT_FRAME_RUN, job->input.json ? WEFT_FRAME_JSON : 0,
                                     (size_t)len + job->input.len};
    weft_frame_write_head(&frame, (unsigned char *)member->head);
    member->head_len = WEFT_FRAME_HEAD + (size_t)len;
    member->head_written = 0;
    member->input = job->input;
    member->cases[MEMBER_WRITE] = weft_case_fd(member->socket, WEFT_WRITABLE);
    read_all_messages(member); /* of before */
    member->messages.total = 0;
    member->cpu_ns = cpu_of(member);
    member->jobs++;
    return 0;
}

/* Its own answer. Returns whether it was one. */
static bool take_answer(struct weft_member *member, struct weft_outcome *outcome)
{
    struct weft_frame_reader *reader = &member->reader;
    enum weft_frame_kind kind = reader->frame.kind;
    if (kind != WEFT_FRAME_DONE && kind != WEFT_FRAME_FAILED && kind != WEFT_FRAME_DISCARD)
        return false;
    read_all_messages(member);
    weft_tail_copy(&member->messages, outcome);
    note_usage(member, outcome);
    if (kind == WEFT_FRAME_DONE) {
        outcome->kind = WEFT_OUTCOME_DONE;
        outcome->result = reader->body;
        outcome->result_len = reader->frame.len;
        outcome->result_json = reader->frame.flags & WEFT_FRAME_JSON;
        reader->body = NULL;
    } else {
        weft_outcome_quote(outcome,
                           kind == WEFT_FRAME_DISCARD ? WEFT_OUTCOME_DISCARD : WEFT_OUTCOME_FAILED,
                           reader->body, reader->frame.len);
    }
    weft_frame_next(reader);
    /* One that has answered before it was asked to the end would take the rest for a frame. */
    bool asked = member->head_written == member->head_len && member->input.len == 0;
    member->state = asked && !member->ended ? WEFT_MEMBER_IDLE : WEFT_MEMBER_SPENT;
    return true;
}

/* It takes too long. Shielded. */
static void stop(struct weft_member *member, int64_t timeout_ns, int64_t grace_ns,
                 const struct weft_children_listener *listener, struct weft_outcome *outcome)
{
    int err = -ETIMEDOUT;
    member->state = WEFT_MEMBER_SPENT; /* even with an answer: the signal may reach it late */
    if (grace_ns > 0) {
        (void)weft_process_kill(member->process, SIGTERM);
        (void)weft_process_kill(member->process, SIGCONT);
        err = follow(member, weft_time_after(weft_now(), grace_ns), listener);
    }
    if (err != 0)
        put_down(member, err);
    read_all_messages(member);
    weft_tail_copy(&member->messages, outcome);
    note_usage(member, outcome);
    weft_outcome_say_late(outcome, timeout_ns,
                          member->killed ? "had to be killed" : "ended when asked to");
}

/* Returns 0 with an outcome; or the error. Shielded */
static int conclude(struct weft_member *member, int err, int64_t timeout_ns, int64_t grace_ns,
                    const struct weft_children_listener *listener, struct weft_outcome *outcome)
{
    if (err == -ETIMEDOUT || err == -ECANCELED) {
        int whole = take_last_frame(member, listener);
        if (whole > 0)
            err = 0; /* both at once: what has happened counts */
        else if (whole == -EPROTO || whole == -ENOMEM)
            err = err == -ECANCELED ? err : whole; /* it cannot be understood any more */
    }
    if (err == 0 && take_answer(member, outcome))
        return 0;
    if (err == 0)
        err = -EPROTO;
    if (err == -ETIMEDOUT) {
        stop(member, timeout_ns, grace_ns, listener, outcome);
        return 0;
    }
    put_down(member, err);
    member->state = WEFT_MEMBER_SPENT;
    if (err != -ECHILD && err != -EPROTO)
        return err;
    say_broken(member, err, "in the middle of the job", outcome);
    return 0;
}

int weft_member_work(struct weft_member *member, const struct weft_frame_job *job,
                     int64_t timeout_ns, int64_t grace_ns,
                     const struct weft_children_listener *listener,
                     struct weft_outcome *ret_outcome)
{
    struct weft_outcome outcome = {.exit_code = -1};
    struct weft_scope shield;
    int err = give(member, job);
    if (err < 0)
        return err;
    err = follow(member, timeout_ns ? weft_time_after(weft_now(), timeout_ns) : WEFT_FOREVER,
                 listener);
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    err = conclude(member, err, timeout_ns, grace_ns, listener, &outcome);
    (void)weft_scope_leave(&shield, 0);
    if (err == 0)
        *ret_outcome = outcome;
    return err;
}
