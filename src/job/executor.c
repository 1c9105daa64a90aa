/* SPDX-License-Identifier: MIT
 * executor.c - see executor.h. */
#include <job/executor.h>

#include <base/buffer.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void weft_outcome_release(struct weft_outcome *outcome)
{
    free(outcome->result);
    free(outcome->reason);
    free(outcome->said);
    *outcome = (struct weft_outcome){.kind = WEFT_OUTCOME_FAILED};
}

/* ---- reasons ---------------------------------------------------------------------------- */

/* Append text as one line of UTF-8, as much of it as there is room for. Returns the new length. */
static size_t append_clean(char *line, size_t len, size_t len_max, const char *text,
                           size_t text_len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t at = 0; at < text_len;) {
        size_t sequence = weft_utf8_sequence(bytes + at, text_len - at);
        size_t need = sequence ? sequence : 1;
        if (len + need > len_max)
            break;
        if (sequence == 0)
            line[len] = '?';
        else if (bytes[at] < ' ' || bytes[at] == 127)
            line[len] = ' ';
        else
            memcpy(line + len, text + at, need);
        len += need;
        at += need;
    }
    return len;
}

/* The last line that is not blank. Returns its length. */
static size_t last_line(const char *text, size_t len, const char **ret_line)
{
    while (len > 0 && strchr(" \t\r\n", text[len - 1]))
        len--;
    const char *before = len > 0 ? memrchr(text, '\n', len) : NULL;
    *ret_line = before ? before + 1 : text;
    return before ? len - (size_t)(before + 1 - text) : len;
}

void weft_outcome_say(struct weft_outcome *outcome, enum weft_outcome_kind kind, const char *format,
                      ...)
{
    char sentence[WEFT_JOB_ERROR_MAX], line[WEFT_JOB_ERROR_MAX];
    const char *said;
    va_list args;
    va_start(args, format);
    int sentence_len = vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    size_t len = append_clean(line, 0, sizeof line, sentence,
                              sentence_len < 0 ? 0 : strnlen(sentence, sizeof sentence));
    size_t said_len = outcome->said ? last_line(outcome->said, outcome->said_len, &said) : 0;
    if (said_len > 0) {
        len = append_clean(line, len, sizeof line, ": ", 2);
        len = append_clean(line, len, sizeof line, said, said_len);
    }
    free(outcome->reason);
    outcome->reason = strndup(line, len);
    outcome->kind = kind;
}

void weft_outcome_quote(struct weft_outcome *outcome, enum weft_outcome_kind kind, const char *text,
                        size_t len)
{
    char line[WEFT_JOB_ERROR_MAX];
    len = append_clean(line, 0, sizeof line, text, len);
    free(outcome->reason);
    outcome->reason = strndup(line, len);
    outcome->kind = kind;
}

void weft_outcome_note(struct weft_outcome *outcome, const struct weft_process_status *status)
{
    outcome->exit_code = status->exit_code;
    outcome->signal = status->signal;
    outcome->cpu_ns = status->cpu_ns;
    outcome->resident_bytes = status->resident_bytes;
}

void weft_outcome_say_killed(struct weft_outcome *outcome, const struct weft_process_status *status)
{
    const char *name = sigabbrev_np(status->signal);
    const char *more = status->core_dumped         ? " (core dumped)"
                       : status->signal == SIGKILL ? " (by the kernel, for want of memory?)"
                       : status->signal == SIGXCPU ? " (out of processor time)"
                                                   : "";
    if (name)
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "killed by SIG%s%s", name, more);
    else
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "killed by signal %d%s", status->signal,
                         more);
}

void weft_outcome_say_late(struct weft_outcome *outcome, int64_t timeout_ns, const char *ending)
{
    if (timeout_ns % WEFT_SEC == 0)
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "it took longer than %lld s, and %s",
                         (long long)(timeout_ns / WEFT_SEC), ending);
    else
        weft_outcome_say(outcome, WEFT_OUTCOME_FAILED, "it took longer than %lld ms, and %s",
                         (long long)(timeout_ns / WEFT_MSEC), ending);
}

void weft_patience_enter(struct weft_scope *scope, const struct weft_execution *execution)
{
    weft_scope_enter(scope, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    if (execution->patience)
        *execution->patience = scope;
}

void weft_patience_leave(struct weft_scope *scope, const struct weft_execution *execution)
{
    if (execution->patience)
        *execution->patience = NULL;
    (void)weft_scope_leave(scope, 0);
}

int64_t weft_shorter(int64_t one_ns, int64_t other_ns)
{
    if (one_ns == 0 || other_ns == 0)
        return one_ns + other_ns;
    return one_ns < other_ns ? one_ns : other_ns;
}

int64_t weft_grace_of(int64_t executor_ns, const struct weft_execution *execution)
{
    if (executor_ns == WEFT_NO_GRACE)
        return 0;
    int64_t grace_ns = weft_shorter(executor_ns, execution->grace_ns);
    return grace_ns ? grace_ns : WEFT_GRACE_NS;
}

/* ---- the end of a stream ---------------------------------------------------------------- */

void weft_tail_append(struct weft_tail *tail, const char *data, size_t len)
{
    size_t kept = len < WEFT_TAIL_BYTES ? len : WEFT_TAIL_BYTES;
    size_t at = (tail->total + len - kept) % WEFT_TAIL_BYTES;
    size_t before_end = kept < WEFT_TAIL_BYTES - at ? kept : WEFT_TAIL_BYTES - at;
    memcpy(tail->bytes + at, data + len - kept, before_end);
    memcpy(tail->bytes, data + len - kept + before_end, kept - before_end);
    tail->total += len;
}

void weft_tail_copy(const struct weft_tail *tail, struct weft_outcome *outcome)
{
    size_t len = tail->total < WEFT_TAIL_BYTES ? tail->total : WEFT_TAIL_BYTES;
    size_t from = tail->total < WEFT_TAIL_BYTES ? 0 : tail->total % WEFT_TAIL_BYTES;
    if (len == 0)
        return;
    char *said = malloc(len);
    if (!said)
        return;
    memcpy(said, tail->bytes + from, len - from);
    memcpy(said + len - from, tail->bytes, from);
    free(outcome->said);
    outcome->said = said;
    outcome->said_len = len;
}
