/* SPDX-License-Identifier: MIT
 * frame.c - see frame.h. */
#include <job/frame.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    size_t len_min, len_max;
    unsigned flags;
} kinds[] = {
    [WEFT_FRAME_HELLO] = {4, 4, 0},
    [WEFT_FRAME_RUN] = {4 + 4 * 2, WEFT_FRAME_JOB_MAX + WEFT_JOB_PAYLOAD_MAX, WEFT_FRAME_JSON},
    [WEFT_FRAME_PROGRESS] = {2, 2 + WEFT_FRAME_TEXT_MAX, 0},
    [WEFT_FRAME_LOG] = {0, WEFT_FRAME_TEXT_MAX, 0},
    [WEFT_FRAME_DONE] = {0, WEFT_JOB_RESULT_MAX, WEFT_FRAME_JSON},
    [WEFT_FRAME_FAILED] = {0, WEFT_JOB_ERROR_MAX, 0},
    [WEFT_FRAME_DISCARD] = {0, WEFT_JOB_ERROR_MAX, 0},
};

void weft_frame_put(unsigned char *at, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

uint32_t weft_frame_get(const void *at, size_t bytes)
{
    const unsigned char *from = at;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint32_t)from[i] << (8 * i);
    return value;
}

/* ---- heads ------------------------------------------------------------------------------- */

int weft_frame_read_head(const unsigned char *head, struct weft_frame *ret_frame)
{
    struct weft_frame frame = {.flags = head[5], .len = weft_frame_get(head, 4)};
    unsigned kind = head[4];
    if (kind < WEFT_FRAME_HELLO || kind > WEFT_FRAME_DISCARD || head[6] || head[7])
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
    weft_frame_put(ret_head, (uint32_t)frame->len, 4);
    ret_head[4] = (unsigned char)frame->kind;
    ret_head[5] = (unsigned char)frame->flags;
    ret_head[6] = ret_head[7] = 0;
}

/* ---- out of a stream --------------------------------------------------------------------- */

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

/* ---- jobs -------------------------------------------------------------------------------- */

/* A length in one byte, the text, and a 0. Returns where the next one goes, NULL: too long. */
static char *put_text(char *at, const char *text)
{
    size_t len = strlen(text);
    if (!at || len > WEFT_JOB_NAME_MAX)
        return NULL;
    *at++ = (char)(unsigned char)len;
    memcpy(at, text, len + 1);
    return at + len + 1;
}

ssize_t weft_frame_write_job(const struct weft_frame_job *job, char *ret_text)
{
    char text[WEFT_FRAME_JOB_MAX], *at = text;
    weft_frame_put((unsigned char *)at, job->attempt, 4);
    at = put_text(at + 4, job->name);
    at = put_text(at, job->id);
    at = put_text(at, job->task);
    at = put_text(at, job->queue ? job->queue : "");
    if (!at)
        return -EINVAL;
    memcpy(ret_text, text, (size_t)(at - text));
    return at - text;
}

/* Take a text from *at. Returns it, NULL: there is none. */
static const char *get_text(const char **at, const char *end)
{
    if (*at == end)
        return NULL;
    size_t len = *(const unsigned char *)*at;
    const char *text = *at + 1;
    if ((size_t)(end - text) <= len || len > WEFT_JOB_NAME_MAX || strnlen(text, len + 1) != len)
        return NULL;
    *at = text + len + 1;
    return text;
}

int weft_frame_read_job(const struct weft_frame *frame, const char *body,
                        struct weft_frame_job *ret_job)
{
    const char *at = body + 4, *end = body + frame->len;
    struct weft_frame_job job = {.attempt = weft_frame_get(body, 4)};
    const char **const texts[] = {&job.name, &job.id, &job.task, &job.queue};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = get_text(&at, end);
        if (!*texts[i])
            return -EPROTO;
    }
    job.input = (struct weft_bytes){at, (size_t)(end - at), frame->flags & WEFT_FRAME_JSON};
    if (job.input.len > WEFT_JOB_PAYLOAD_MAX)
        return -EPROTO;
    *ret_job = job;
    return 0;
}
