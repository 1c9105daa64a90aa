/* SPDX-License-Identifier: MIT
 * member.c - see member.h.
 *
 * As in exec.c, one select follows everything, in the order of importance: the clock, the end,
 * what is to be said, what is heard, what it prints. */
#include <job/member.h>

#include <base/json_scan.h>
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
    weft_buffer_deinit(&member->asked);
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

static bool is_asked(const struct weft_member *member)
{
    return member->asked_written == member->asked.len;
}

/* Write what fits now. An error shows when the answer does not come. */
static void write_some(struct weft_member *member)
{
    ssize_t count = weft_write(member->socket, member->asked.data + member->asked_written,
                               member->asked.len - member->asked_written, WEFT_NOWAIT);
    if (count == -EAGAIN || count == -ECANCELED)
        return;
    if (count > 0)
        member->asked_written += (size_t)count;
    if (count < 0 || is_asked(member))
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

static int hear_progress(const char *json, size_t len,
                         const struct weft_children_listener *listener)
{
    if (!weft_json_is_valid(json, len))
        return -EPROTO;
    if (listener && listener->on_progress)
        listener->on_progress(listener->arg, json, len);
    return 1;
}

static int hear_log(const char *body, size_t len, const struct weft_children_listener *listener)
{
    unsigned level = (unsigned char)body[0];
    if (level > WEFT_LOG_ERROR)
        return -EPROTO;
    if (listener && listener->on_log)
        listener->on_log(listener->arg, (enum weft_log_level)level, body + 1, len - 1);
    return 1;
}

static int hear_follow(const struct weft_frame_reader *reader,
                       const struct weft_children_listener *listener)
{
    struct weft_attempt_job job;
    int err = weft_frame_read_follow(&reader->frame, reader->body, &job);
    if (err == 0 && listener && listener->on_follow)
        err = listener->on_follow(listener->arg, &job);
    if (err < 0)
        return err == -ENOMEM ? err : -EPROTO;
    return 1;
}

/* A frame that comes before the answer. Returns 1 when it was one, 0 when not; -EPROTO, -ENOMEM */
static int hear(const struct weft_frame_reader *reader,
                const struct weft_children_listener *listener)
{
    enum weft_frame_kind kind = reader->frame.kind;
    if (kind == WEFT_FRAME_PROGRESS)
        return hear_progress(reader->body, reader->frame.len, listener);
    if (kind == WEFT_FRAME_LOG)
        return hear_log(reader->body, reader->frame.len, listener);
    return kind == WEFT_FRAME_FOLLOW ? hear_follow(reader, listener) : 0;
}

/* Returns 1 when there is a frame for the caller, 0 when not yet, or as read_some. */
static int take_frame(struct weft_member *member, const struct weft_children_listener *listener)
{
    int whole = read_some(member);
    int heard = whole > 0 ? hear(&member->reader, listener) : 0;
    if (heard == 0)
        return whole;
    weft_frame_next(&member->reader);
    return heard < 0 ? heard : 0;
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
    if (err == -ETIMEDOUT && take_last_frame(member, NULL) > 0)
        err = 0; /* it was ready in time, and nobody has asked until now */
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

static int give(struct weft_member *member, const struct weft_execution *execution)
{
    weft_buffer_deinit(&member->asked);
    member->asked_written = 0;
    int err = weft_frame_write_run(&member->asked, execution);
    if (err < 0)
        return err;
    member->cases[MEMBER_WRITE] = weft_case_fd(member->socket, WEFT_WRITABLE);
    read_all_messages(member); /* of before */
    member->messages.total = 0;
    member->cpu_ns = cpu_of(member);
    member->jobs++;
    return 0;
}

/* Its own words about how it went. */
static void take_reason(const struct weft_frame_reader *reader, struct weft_outcome *outcome)
{
    static const enum weft_outcome_kind kinds[] = {
        [WEFT_FRAME_FAILED] = WEFT_OUTCOME_FAILED,
        [WEFT_FRAME_DISCARD] = WEFT_OUTCOME_DISCARD,
        [WEFT_FRAME_CANCEL] = WEFT_OUTCOME_CANCEL,
        [WEFT_FRAME_SNOOZE] = WEFT_OUTCOME_SNOOZE,
    };
    int64_t delay_ns = (int64_t)weft_frame_get(reader->body, 8);
    outcome->kind = kinds[reader->frame.kind];
    outcome->delay_ns = delay_ns > 0 ? delay_ns : 0;
    if (reader->frame.len > 8)
        weft_outcome_quote(outcome, outcome->kind, reader->body + 8, reader->frame.len - 8);
}

static void take_result(struct weft_frame_reader *reader, struct weft_outcome *outcome)
{
    outcome->kind = WEFT_OUTCOME_DONE;
    if (!(reader->frame.flags & WEFT_FRAME_RESULT))
        return;
    outcome->result = reader->body;
    outcome->result_len = reader->frame.len;
    outcome->result_json = reader->frame.flags & WEFT_FRAME_JSON;
    reader->body = NULL;
}

/* Its own answer. Returns whether it was one. */
static bool take_answer(struct weft_member *member, struct weft_outcome *outcome)
{
    struct weft_frame_reader *reader = &member->reader;
    if (reader->frame.kind < WEFT_FRAME_DONE)
        return false;
    read_all_messages(member);
    weft_tail_copy(&member->messages, outcome);
    note_usage(member, outcome);
    if (reader->frame.kind == WEFT_FRAME_DONE)
        take_result(reader, outcome);
    else
        take_reason(reader, outcome);
    weft_frame_next(reader);
    /* One that has answered before it was asked to the end would take the rest for a frame. */
    member->state = is_asked(member) && !member->ended ? WEFT_MEMBER_IDLE : WEFT_MEMBER_SPENT;
    return true;
}

/* Whether a frame comes in the time it has to end. Shielded. */
static bool has_last_word(struct weft_member *member, const struct weft_execution *execution,
                          const struct weft_children_listener *listener)
{
    int err = -ETIMEDOUT;
    struct weft_scope patience;
    if (execution->grace_ns > 0) {
        (void)weft_process_kill(member->process, SIGTERM);
        (void)weft_process_kill(member->process, SIGCONT);
        weft_patience_enter(&patience, execution);
        err = follow(member, weft_time_after(weft_now(), execution->grace_ns), listener);
        weft_patience_leave(&patience, execution);
    }
    if (err != 0)
        put_down(member, err);
    return err == 0;
}

/* It takes too long, or nobody wants it any more: why is -ETIMEDOUT or -ECANCELED. What it makes of
 * its last moments counts, if it is more than that it could not do it. Returns 0 with an outcome,
 * or -ECANCELED. Shielded */
static int stop(struct weft_member *member, int why, const struct weft_execution *execution,
                const struct weft_children_listener *listener, struct weft_outcome *outcome)
{
    bool said = has_last_word(member, execution, listener);
    bool answered = said && take_answer(member, outcome);
    if (said && !answered)
        put_down(member, -EPROTO);
    member->state = WEFT_MEMBER_SPENT; /* even with an answer: the signal may reach it late */
    if (answered && outcome->kind != WEFT_OUTCOME_FAILED)
        return 0;
    weft_outcome_release(outcome);
    if (why == -ECANCELED)
        return why;
    read_all_messages(member);
    weft_tail_copy(&member->messages, outcome);
    note_usage(member, outcome);
    weft_outcome_say_late(outcome, execution->timeout_ns,
                          member->killed ? "had to be killed" : "ended when asked to");
    return 0;
}

/* Returns 0 with an outcome; or the error. Shielded */
static int conclude(struct weft_member *member, int err, const struct weft_execution *execution,
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
    if (err == -ETIMEDOUT || err == -ECANCELED)
        return stop(member, err, execution, listener, outcome);
    put_down(member, err);
    member->state = WEFT_MEMBER_SPENT;
    if (err != -ECHILD && err != -EPROTO)
        return err;
    say_broken(member, err, "in the middle of the job", outcome);
    return 0;
}

int weft_member_work(struct weft_member *member, const struct weft_execution *execution,
                     const struct weft_children_listener *listener,
                     struct weft_outcome *ret_outcome)
{
    int64_t timeout_ns = execution->timeout_ns;
    struct weft_outcome outcome = {.exit_code = -1};
    struct weft_scope shield;
    int err = give(member, execution);
    if (err < 0)
        return err;
    err = follow(member, timeout_ns ? weft_time_after(weft_now(), timeout_ns) : WEFT_FOREVER,
                 listener);
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    err = conclude(member, err, execution, listener, &outcome);
    (void)weft_scope_leave(&shield, 0);
    weft_buffer_deinit(&member->asked);
    member->asked_written = 0;
    if (err == 0)
        *ret_outcome = outcome;
    return err;
}
