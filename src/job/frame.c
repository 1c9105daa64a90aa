/* SPDX-License-Identifier: MIT
 * frame.c - see frame.h. */
#include <job/frame.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_TEXT        0xffffu
#define NO_BYTES       0xffffffffu
#define TEXT_EXTRA     3u /* length and 0 */
#define INPUT_EXTRA    5u
#define RUN_LEN_MIN    (8 + 4 * 2 + 2)
#define FOLLOW_LEN_MIN (1 + 4 + 8 + 3 * 2)

/* Of everything but payload and inputs. */
#define RUN_HEAD_MAX                                                                               \
    (8 + (WEFT_UUID_TEXT_LEN + TEXT_EXTRA) + 2 * (WEFT_JOB_NAME_MAX + TEXT_EXTRA) +                \
     (WEFT_JOB_HEADERS_MAX + TEXT_EXTRA) + 2)
#define INPUTS_MAX  (WEFT_JOB_INPUTS_BYTES + WEFT_JOB_AFTER_MAX * (size_t)INPUT_EXTRA)
#define RUN_LEN_MAX (RUN_HEAD_MAX + INPUTS_MAX + WEFT_JOB_PAYLOAD_MAX)
#define FOLLOW_HEAD_MAX                                                                            \
    (1 + 4 + 8 + 2 * (WEFT_JOB_NAME_MAX + TEXT_EXTRA) + (WEFT_JOB_KEY_MAX + TEXT_EXTRA))
#define FOLLOW_LEN_MAX (FOLLOW_HEAD_MAX + WEFT_JOB_PAYLOAD_MAX)
#define END_LEN_MAX    (8 + WEFT_JOB_ERROR_MAX)

static const struct {
    size_t len_min, len_max;
    unsigned flags;
} kinds[] = {
    [WEFT_FRAME_HELLO] = {4, 4, 0},
    [WEFT_FRAME_RUN] = {RUN_LEN_MIN, RUN_LEN_MAX, WEFT_FRAME_JSON},
    [WEFT_FRAME_PROGRESS] = {1, WEFT_JOB_PROGRESS_MAX, 0},
    [WEFT_FRAME_LOG] = {1, 1 + WEFT_FRAME_LOG_MAX, 0},
    [WEFT_FRAME_FOLLOW] = {FOLLOW_LEN_MIN, FOLLOW_LEN_MAX, 0},
    [WEFT_FRAME_DONE] = {0, WEFT_JOB_RESULT_MAX, WEFT_FRAME_JSON | WEFT_FRAME_RESULT},
    [WEFT_FRAME_FAILED] = {8, END_LEN_MAX, 0},
    [WEFT_FRAME_DISCARD] = {8, END_LEN_MAX, 0},
    [WEFT_FRAME_CANCEL] = {8, END_LEN_MAX, 0},
    [WEFT_FRAME_SNOOZE] = {8, END_LEN_MAX, 0},
};

void weft_frame_put(void *at, uint64_t value, size_t bytes)
{
    unsigned char *to = at;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> (8 * i));
}

uint64_t weft_frame_get(const void *at, size_t bytes)
{
    const unsigned char *from = at;
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

/* ---- heads ------------------------------------------------------------------------------- */

int weft_frame_read_head(const unsigned char *head, struct weft_frame *ret_frame)
{
    struct weft_frame frame = {.flags = head[5], .len = weft_frame_get(head, 4)};
    unsigned kind = head[4];
    if (kind < WEFT_FRAME_HELLO || kind > WEFT_FRAME_SNOOZE || head[6] || head[7])
        return -EPROTO;
    if (frame.len < kinds[kind].len_min || frame.len > kinds[kind].len_max ||
        (frame.flags & ~kinds[kind].flags))
        return -EPROTO;
    frame.kind = (enum weft_frame_kind)kind;
    *ret_frame = frame;
    return 0;
}

void weft_frame_write_head(const struct weft_frame *frame, unsigned char *ret_head)
{
    weft_frame_put(ret_head, frame->len, 4);
    ret_head[4] = (unsigned char)frame->kind;
    ret_head[5] = (unsigned char)frame->flags;
    ret_head[6] = ret_head[7] = 0;
}

/* ---- streams ----------------------------------------------------------------------------- */

size_t weft_frame_room(struct weft_frame_reader *reader, char **ret_room)
{
    if (reader->head_len < WEFT_FRAME_HEAD) {
        *ret_room = (char *)reader->head + reader->head_len;
        return WEFT_FRAME_HEAD - reader->head_len;
    }
    *ret_room = reader->body + reader->body_len;
    return reader->frame.len - reader->body_len;
}

int weft_frame_took(struct weft_frame_reader *reader, size_t len)
{
    if (reader->head_len == WEFT_FRAME_HEAD) {
        reader->body_len += len;
        return reader->body_len == reader->frame.len;
    }
    reader->head_len += len;
    if (reader->head_len < WEFT_FRAME_HEAD)
        return 0;
    int err = weft_frame_read_head(reader->head, &reader->frame);
    if (err < 0)
        return err;
    reader->body = malloc(reader->frame.len + 1);
    if (!reader->body)
        return -ENOMEM;
    reader->body[reader->frame.len] = '\0';
    return reader->frame.len == 0;
}

void weft_frame_next(struct weft_frame_reader *reader)
{
    free(reader->body);
    *reader = (struct weft_frame_reader){.head_len = 0};
}

/* ---- writing bodies ---------------------------------------------------------------------- */

static void begin(struct weft_buffer *frame, enum weft_frame_kind kind)
{
    weft_buffer_init(frame, WEFT_FRAME_HEAD + kinds[kind].len_max);
    char *head = weft_buffer_reserve(frame, WEFT_FRAME_HEAD);
    if (head)
        frame->len = WEFT_FRAME_HEAD;
}

/* Put the head before the body. Returns 0, -EINVAL, -ENOMEM */
static int end(struct weft_buffer *frame, enum weft_frame_kind kind, unsigned flags)
{
    const struct weft_frame whole = {kind, flags, frame->len - WEFT_FRAME_HEAD};
    if (frame->err)
        return frame->err == -ENOMEM ? -ENOMEM : -EINVAL;
    weft_frame_write_head(&whole, (unsigned char *)frame->data);
    return 0;
}

static void put_number(struct weft_buffer *frame, uint64_t value, size_t bytes)
{
    char number[8];
    weft_frame_put(number, value, sizeof number);
    weft_buffer_append(frame, number, bytes);
}

static void put_text(struct weft_buffer *frame, const char *text, size_t len_max)
{
    size_t len = text ? strlen(text) : 0;
    if (len > len_max && !frame->err)
        frame->err = -EMSGSIZE;
    put_number(frame, text ? len : NO_TEXT, 2);
    if (text)
        weft_buffer_append(frame, text, len + 1);
}

static void put_bytes(struct weft_buffer *frame, const struct weft_bytes *bytes)
{
    put_number(frame, bytes->data ? bytes->len : NO_BYTES, 4);
    if (!bytes->data)
        return;
    weft_buffer_append(frame, bytes->data, bytes->len);
    weft_buffer_append_char(frame, '\0');
}

static void put_payload(struct weft_buffer *frame, const char *data, size_t len)
{
    if (len > WEFT_JOB_PAYLOAD_MAX && !frame->err)
        frame->err = -EMSGSIZE;
    weft_buffer_append(frame, data, len);
}

int weft_frame_write_run(struct weft_buffer *frame, const struct weft_execution *execution)
{
    begin(frame, WEFT_FRAME_RUN);
    put_number(frame, execution->attempt, 4);
    put_number(frame, execution->attempts_max, 4);
    put_text(frame, execution->id, WEFT_UUID_TEXT_LEN);
    put_text(frame, execution->task, WEFT_JOB_NAME_MAX);
    put_text(frame, execution->queue ? execution->queue : "", WEFT_JOB_NAME_MAX);
    put_text(frame, execution->headers, WEFT_JOB_HEADERS_MAX);
    put_number(frame, execution->inputs_count, 2);
    for (size_t i = 0; i < execution->inputs_count; i++)
        put_bytes(frame, &execution->inputs[i].result);
    put_payload(frame, execution->input.data, execution->input.len);
    return end(frame, WEFT_FRAME_RUN, execution->input.json ? WEFT_FRAME_JSON : 0);
}

int weft_frame_write_follow(struct weft_buffer *frame, const struct weft_attempt_job *job)
{
    begin(frame, WEFT_FRAME_FOLLOW);
    put_number(frame, (uint64_t)job->priority, 1);
    put_number(frame, job->attempts_max, 4);
    put_number(frame, (uint64_t)job->delay_ns, 8);
    put_text(frame, job->task, WEFT_JOB_NAME_MAX);
    put_text(frame, job->queue, WEFT_JOB_NAME_MAX);
    put_text(frame, job->unique_key, WEFT_JOB_KEY_MAX);
    put_payload(frame, job->payload, job->payload_len);
    return end(frame, WEFT_FRAME_FOLLOW, 0);
}

/* ---- reading them ------------------------------------------------------------------------ */

/* What is left of a body. Once bad, nothing more comes of it. */
struct cursor {
    const char *at, *end;
    bool bad;
};

static uint64_t get_number(struct cursor *cursor, size_t bytes)
{
    cursor->bad = cursor->bad || (size_t)(cursor->end - cursor->at) < bytes;
    if (cursor->bad)
        return 0;
    uint64_t value = weft_frame_get(cursor->at, bytes);
    cursor->at += bytes;
    return value;
}

/* So many bytes and the 0 behind them. */
static const char *get_run(struct cursor *cursor, uint64_t len)
{
    const char *data = cursor->at;
    cursor->bad = cursor->bad || (size_t)(cursor->end - data) <= len || data[len] != '\0';
    if (cursor->bad)
        return NULL;
    cursor->at += len + 1;
    return data;
}

/* NULL: there is none, or it is bad. */
static const char *get_text(struct cursor *cursor, size_t len_max)
{
    uint64_t len = get_number(cursor, 2);
    if (len == NO_TEXT)
        return NULL;
    const char *text = get_run(cursor, len);
    cursor->bad = cursor->bad || len > len_max || strlen(text) != len;
    return cursor->bad ? NULL : text;
}

static const char *need_text(struct cursor *cursor, size_t len_max)
{
    const char *text = get_text(cursor, len_max);
    cursor->bad = cursor->bad || !text;
    return text;
}

static struct weft_bytes get_bytes(struct cursor *cursor)
{
    uint64_t len = get_number(cursor, 4);
    const char *data = len == NO_BYTES ? NULL : get_run(cursor, len);
    return (struct weft_bytes){.data = data, .len = data ? len : 0};
}

/* Returns 0, -EPROTO, -ENOMEM */
static int get_inputs(struct cursor *cursor, size_t count, struct weft_job_input **ret_inputs)
{
    if (cursor->bad || count > WEFT_JOB_AFTER_MAX)
        return -EPROTO;
    struct weft_job_input *inputs = calloc(count > 0 ? count : 1, sizeof *inputs);
    if (!inputs)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        inputs[i].result = get_bytes(cursor);
    if (cursor->bad || cursor->end - cursor->at > (ptrdiff_t)WEFT_JOB_PAYLOAD_MAX) {
        free(inputs);
        return -EPROTO;
    }
    *ret_inputs = inputs;
    return 0;
}

int weft_frame_read_run(const struct weft_frame *frame, const char *body,
                        struct weft_execution *ret_execution, struct weft_job_input **ret_inputs)
{
    struct cursor cursor = {.at = body, .end = body + frame->len};
    struct weft_execution execution = {.attempt = (unsigned)get_number(&cursor, 4)};
    execution.attempts_max = (unsigned)get_number(&cursor, 4);
    execution.id = need_text(&cursor, WEFT_UUID_TEXT_LEN);
    execution.task = need_text(&cursor, WEFT_JOB_NAME_MAX);
    execution.queue = need_text(&cursor, WEFT_JOB_NAME_MAX);
    execution.headers = get_text(&cursor, WEFT_JOB_HEADERS_MAX);
    execution.inputs_count = get_number(&cursor, 2);
    int err = get_inputs(&cursor, execution.inputs_count, ret_inputs);
    if (err < 0)
        return err;
    execution.inputs = *ret_inputs;
    execution.input = (struct weft_bytes){cursor.at, (size_t)(cursor.end - cursor.at),
                                          frame->flags & WEFT_FRAME_JSON};
    *ret_execution = execution;
    return 0;
}

int weft_frame_read_follow(const struct weft_frame *frame, const char *body,
                           struct weft_attempt_job *ret_job)
{
    struct cursor cursor = {.at = body, .end = body + frame->len};
    struct weft_attempt_job job = {.priority = (int)get_number(&cursor, 1), .has_priority = 1};
    job.attempts_max = (unsigned)get_number(&cursor, 4);
    job.delay_ns = (int64_t)get_number(&cursor, 8);
    job.task = need_text(&cursor, WEFT_JOB_NAME_MAX);
    job.queue = get_text(&cursor, WEFT_JOB_NAME_MAX);
    job.unique_key = get_text(&cursor, WEFT_JOB_KEY_MAX);
    job.payload = cursor.at;
    job.payload_len = (size_t)(cursor.end - cursor.at);
    if (cursor.bad || job.payload_len == 0 || job.payload_len > WEFT_JOB_PAYLOAD_MAX)
        return -EPROTO;
    *ret_job = job;
    return 0;
}
