/* SPDX-License-Identifier: MIT
 * frame.c - what parents and children of children.h say: what comes out is what went in, in pieces
 * of any size, and nothing else is taken for it. */
#include "test.h"

#include <job/frame.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Feed bytes in pieces. Returns what weft_frame_took said last. */
static int feed(struct weft_frame_reader *reader, const void *bytes, size_t len, size_t piece_max,
                size_t *ret_used)
{
    const char *at = bytes;
    int whole = 0;
    while (whole == 0 && len > 0) {
        char *room;
        size_t piece = weft_frame_room(reader, &room);
        REQUIRE(piece > 0);
        if (piece > piece_max)
            piece = piece_max;
        if (piece > len)
            piece = len;
        memcpy(room, at, piece);
        at += piece;
        len -= piece;
        whole = weft_frame_took(reader, piece);
    }
    *ret_used = (size_t)(at - (const char *)bytes);
    return whole;
}

TEST(frames_come_out_of_a_stream_in_pieces_of_any_size)
{
    unsigned char stream[64];
    static const struct weft_frame frames[] = {
        {WEFT_FRAME_HELLO, 0, 4}, {WEFT_FRAME_LOG, 0, 0}, {WEFT_FRAME_DONE, WEFT_FRAME_JSON, 9}};
    size_t len = 0;
    for (size_t i = 0; i < 3; i++) {
        weft_frame_write_head(&frames[i], stream + len);
        memset(stream + len + WEFT_FRAME_HEAD, 'a' + (int)i, frames[i].len);
        len += WEFT_FRAME_HEAD + frames[i].len;
    }
    for (size_t piece_max = 1; piece_max <= len; piece_max++) {
        struct weft_frame_reader reader = {.head_len = 0};
        size_t at = 0;
        for (size_t i = 0; i < 3; i++) {
            size_t used;
            CHECK_EQUAL(feed(&reader, stream + at, len - at, piece_max, &used), 1);
            at += used;
            CHECK_EQUAL(reader.frame.kind, frames[i].kind);
            CHECK_EQUAL(reader.frame.flags, frames[i].flags);
            CHECK_EQUAL(reader.frame.len, frames[i].len);
            CHECK_EQUAL(strlen(reader.body), frames[i].len);
            CHECK(frames[i].len == 0 || reader.body[0] == 'a' + (int)i);
            weft_frame_next(&reader);
        }
        CHECK_EQUAL(at, len);
    }
}

TEST(a_frame_that_is_cut_is_none)
{
    static const unsigned char stream[] = {2, 0, 0, 0, WEFT_FRAME_LOG, 0, 0, 0, 'a', 'b'};
    for (size_t len = 0; len < sizeof stream; len++) {
        struct weft_frame_reader reader = {.head_len = 0};
        size_t used;
        CHECK_EQUAL(feed(&reader, stream, len, 100, &used), 0);
        CHECK_EQUAL(used, len);
        weft_frame_next(&reader);
    }
}

static int read_head(size_t len, unsigned kind, unsigned flags, unsigned rest)
{
    unsigned char head[WEFT_FRAME_HEAD];
    struct weft_frame frame = {.len = 12345};
    weft_frame_put(head, (uint32_t)len, 4);
    head[4] = (unsigned char)kind;
    head[5] = (unsigned char)flags;
    head[6] = (unsigned char)rest;
    head[7] = (unsigned char)(rest >> 8);
    int err = weft_frame_read_head(head, &frame);
    CHECK(err == 0 || frame.len == 12345);
    return err;
}

TEST(every_kind_of_frame_has_its_lengths)
{
    static const struct {
        enum weft_frame_kind kind;
        size_t len_min, len_max;
    } cases[] = {
        {WEFT_FRAME_HELLO, 4, 4},
        {WEFT_FRAME_RUN, 12, WEFT_FRAME_JOB_MAX + WEFT_JOB_PAYLOAD_MAX},
        {WEFT_FRAME_PROGRESS, 2, 2 + WEFT_FRAME_TEXT_MAX},
        {WEFT_FRAME_LOG, 0, WEFT_FRAME_TEXT_MAX},
        {WEFT_FRAME_DONE, 0, WEFT_JOB_RESULT_MAX},
        {WEFT_FRAME_FAILED, 0, WEFT_JOB_ERROR_MAX},
        {WEFT_FRAME_DISCARD, 0, WEFT_JOB_ERROR_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 0, 0), 0);
        CHECK_EQUAL(read_head(cases[i].len_max, cases[i].kind, 0, 0), 0);
        CHECK_EQUAL(read_head(cases[i].len_max + 1, cases[i].kind, 0, 0), -EPROTO);
        CHECK_EQUAL(read_head(UINT32_MAX, cases[i].kind, 0, 0), -EPROTO);
        if (cases[i].len_min > 0)
            CHECK_EQUAL(read_head(cases[i].len_min - 1, cases[i].kind, 0, 0), -EPROTO);
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 2, 0), -EPROTO);
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 0, 1), -EPROTO);
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 0, 256), -EPROTO);
    }
    CHECK_EQUAL(read_head(0, 0, 0, 0), -EPROTO);
    CHECK_EQUAL(read_head(0, WEFT_FRAME_DISCARD + 1, 0, 0), -EPROTO);
    CHECK_EQUAL(read_head(0, 255, 0, 0), -EPROTO);
    CHECK_EQUAL(read_head(0, WEFT_FRAME_LOG, WEFT_FRAME_JSON, 0), -EPROTO);
    CHECK_EQUAL(read_head(0, WEFT_FRAME_DONE, WEFT_FRAME_JSON, 0), 0);
}

TEST(a_job_comes_out_as_it_went_in)
{
    char name[WEFT_JOB_NAME_MAX + 1], body[WEFT_FRAME_JOB_MAX + 16];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const struct weft_frame_job job = {.name = name, .id = "0198", .task = name, .attempt = 70000};
    ssize_t len = weft_frame_write_job(&job, body);
    REQUIRE(len > 0);
    memcpy(body + len, "pay\0load", 8);
    struct weft_frame frame = {WEFT_FRAME_RUN, WEFT_FRAME_JSON, (size_t)len + 8};
    struct weft_frame_job read = {.attempt = 0};
    CHECK_EQUAL(weft_frame_read_job(&frame, body, &read), 0);
    CHECK(strcmp(read.name, name) == 0);
    CHECK(strcmp(read.id, "0198") == 0);
    CHECK(strcmp(read.task, name) == 0);
    CHECK(strcmp(read.queue, "") == 0);
    CHECK_EQUAL(read.attempt, 70000);
    CHECK(read.input.json);
    CHECK_EQUAL(read.input.len, 8);
    CHECK(read.input.len == 8 && memcmp(read.input.data, "pay\0load", 8) == 0);
}

TEST(a_job_that_is_cut_or_bent_is_refused)
{
    const struct weft_frame_job job = {
        .name = "name", .id = "id", .task = "task", .queue = "queue"};
    char body[WEFT_FRAME_JOB_MAX];
    struct weft_frame_job read;
    ssize_t len = weft_frame_write_job(&job, body);
    REQUIRE(len > 12);
    for (size_t cut = 12; cut < (size_t)len; cut++) {
        struct weft_frame frame = {WEFT_FRAME_RUN, 0, cut};
        char *exact = malloc(cut); /* a byte more is the sanitizer's */
        REQUIRE(exact);
        memcpy(exact, body, cut);
        CHECK_EQUAL(weft_frame_read_job(&frame, exact, &read), -EPROTO);
        free(exact);
    }
    struct weft_frame frame = {WEFT_FRAME_RUN, 0, (size_t)len};
    CHECK_EQUAL(weft_frame_read_job(&frame, body, &read), 0);
    body[6] = '\0'; /* within the name */
    CHECK_EQUAL(weft_frame_read_job(&frame, body, &read), -EPROTO);
    body[6] = 'x';
    body[4] = 3; /* not its length */
    CHECK_EQUAL(weft_frame_read_job(&frame, body, &read), -EPROTO);
    body[4] = (char)0xff;
    CHECK_EQUAL(weft_frame_read_job(&frame, body, &read), -EPROTO);
}

TEST(names_that_are_too_long_are_not_written)
{
    char name[WEFT_JOB_NAME_MAX + 2], body[WEFT_FRAME_JOB_MAX];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    struct weft_frame_job job = {.name = "n", .id = "i", .task = "t", .queue = "q"};
    job.name = name;
    CHECK_EQUAL(weft_frame_write_job(&job, body), -EINVAL);
    job.name = "n";
    job.id = name;
    CHECK_EQUAL(weft_frame_write_job(&job, body), -EINVAL);
    job.id = "i";
    job.task = name;
    CHECK_EQUAL(weft_frame_write_job(&job, body), -EINVAL);
    job.task = "t";
    job.queue = name;
    CHECK_EQUAL(weft_frame_write_job(&job, body), -EINVAL);
}
