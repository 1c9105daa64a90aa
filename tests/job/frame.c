/* SPDX-License-Identifier: MIT
 * frame.c - what parents and children of children.h say: what comes out is what went in, in pieces
 * of any size, and nothing else is taken for it. */
#include "test.h"

#include <job/frame.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The longest there are: all of a job, with inputs and payload; all of a further one. */
#define RUN_MAX                                                                                    \
    (8 + (36 + 3) + 2 * (WEFT_JOB_NAME_MAX + 3) + (WEFT_JOB_HEADERS_MAX + 3) + 2 +                 \
     WEFT_JOB_INPUTS_BYTES + WEFT_JOB_AFTER_MAX * (size_t)5 + WEFT_JOB_PAYLOAD_MAX)
#define FOLLOW_MAX                                                                                 \
    (13 + 2 * (WEFT_JOB_NAME_MAX + 3) + (WEFT_JOB_KEY_MAX + 3) + WEFT_JOB_PAYLOAD_MAX)

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
        {WEFT_FRAME_HELLO, 0, 4}, {WEFT_FRAME_DONE, 0, 0}, {WEFT_FRAME_DONE, WEFT_FRAME_JSON, 9}};
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
    static const unsigned char stream[] = {2, 0, 0, 0, WEFT_FRAME_LOG, 0, 0, 0, 1, 'b'};
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
        {WEFT_FRAME_RUN, 18, RUN_MAX},
        {WEFT_FRAME_PROGRESS, 1, WEFT_JOB_PROGRESS_MAX},
        {WEFT_FRAME_LOG, 1, 1 + WEFT_FRAME_LOG_MAX},
        {WEFT_FRAME_FOLLOW, 19, FOLLOW_MAX},
        {WEFT_FRAME_DONE, 0, WEFT_JOB_RESULT_MAX},
        {WEFT_FRAME_FAILED, 8, 8 + WEFT_JOB_ERROR_MAX},
        {WEFT_FRAME_DISCARD, 8, 8 + WEFT_JOB_ERROR_MAX},
        {WEFT_FRAME_CANCEL, 8, 8 + WEFT_JOB_ERROR_MAX},
        {WEFT_FRAME_SNOOZE, 8, 8 + WEFT_JOB_ERROR_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 0, 0), 0);
        CHECK_EQUAL(read_head(cases[i].len_max, cases[i].kind, 0, 0), 0);
        CHECK_EQUAL(read_head(cases[i].len_max + 1, cases[i].kind, 0, 0), -EPROTO);
        CHECK_EQUAL(read_head(UINT32_MAX, cases[i].kind, 0, 0), -EPROTO);
        if (cases[i].len_min > 0)
            CHECK_EQUAL(read_head(cases[i].len_min - 1, cases[i].kind, 0, 0), -EPROTO);
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 4, 0), -EPROTO);
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 0, 1), -EPROTO);
        CHECK_EQUAL(read_head(cases[i].len_min, cases[i].kind, 0, 256), -EPROTO);
    }
    CHECK_EQUAL(read_head(0, 0, 0, 0), -EPROTO);
    CHECK_EQUAL(read_head(8, WEFT_FRAME_SNOOZE + 1, 0, 0), -EPROTO);
    CHECK_EQUAL(read_head(8, 255, 0, 0), -EPROTO);
    CHECK_EQUAL(read_head(1, WEFT_FRAME_LOG, WEFT_FRAME_JSON, 0), -EPROTO);
    CHECK_EQUAL(read_head(20, WEFT_FRAME_RUN, WEFT_FRAME_RESULT, 0), -EPROTO);
    CHECK_EQUAL(read_head(0, WEFT_FRAME_DONE, WEFT_FRAME_JSON | WEFT_FRAME_RESULT, 0), 0);
}

/* ---- jobs -------------------------------------------------------------------------------- */

/* The frame of a buffer, with its body in a block of exactly its size: a byte more is the
 * sanitizer's. */
static char *body_of(const struct weft_buffer *buffer, struct weft_frame *ret_frame)
{
    REQUIRE(weft_frame_read_head((const unsigned char *)buffer->data, ret_frame) == 0);
    REQUIRE(buffer->len == WEFT_FRAME_HEAD + ret_frame->len);
    char *body = malloc(ret_frame->len + 1);
    REQUIRE(body);
    memcpy(body, buffer->data + WEFT_FRAME_HEAD, ret_frame->len);
    body[ret_frame->len] = '\0';
    return body;
}

static const char *long_name(void)
{
    static char name[WEFT_JOB_NAME_MAX + 1];
    memset(name, 'n', sizeof name - 1);
    return name;
}

#define ID "0198c0de-0000-7000-8000-000000000001"

TEST(a_job_comes_out_as_it_went_in)
{
    static const struct weft_job_input inputs[] = {
        {.result = {"one", 3, true}}, {.result = {.data = NULL}}, {.result = {"", 0, false}}};
    const struct weft_execution execution = {.id = ID,
                                             .task = long_name(),
                                             .attempt = 70000,
                                             .attempts_max = 80000,
                                             .input = {"pay\0load", 8, true},
                                             .headers = "{}",
                                             .inputs = inputs,
                                             .inputs_count = 3};
    struct weft_buffer buffer;
    struct weft_frame frame;
    struct weft_execution read;
    struct weft_job_input *read_inputs;
    CHECK_EQUAL(weft_frame_write_run(&buffer, &execution), 0);
    char *body = body_of(&buffer, &frame);
    CHECK_EQUAL(frame.kind, WEFT_FRAME_RUN);
    REQUIRE(weft_frame_read_run(&frame, body, &read, &read_inputs) == 0);
    CHECK(strcmp(read.id, ID) == 0);
    CHECK(strcmp(read.task, long_name()) == 0);
    CHECK(strcmp(read.queue, "") == 0);
    CHECK(read.headers && strcmp(read.headers, "{}") == 0);
    CHECK_EQUAL(read.attempt, 70000);
    CHECK_EQUAL(read.attempts_max, 80000);
    CHECK(read.input.json);
    CHECK(read.input.len == 8 && memcmp(read.input.data, "pay\0load", 8) == 0);
    REQUIRE(read.inputs_count == 3 && read.inputs == read_inputs);
    CHECK(read.inputs[0].result.len == 3 && strcmp(read.inputs[0].result.data, "one") == 0);
    CHECK(!read.inputs[1].result.data);
    CHECK(read.inputs[2].result.data && read.inputs[2].result.len == 0);
    free(read_inputs);
    free(body);
    weft_buffer_deinit(&buffer);
}

TEST(a_job_of_the_largest_kind_fits)
{
    static char payload[WEFT_JOB_PAYLOAD_MAX], result[WEFT_JOB_INPUTS_BYTES + 1];
    static char headers[WEFT_JOB_HEADERS_MAX + 1];
    struct weft_job_input *inputs = calloc(WEFT_JOB_AFTER_MAX, sizeof *inputs);
    REQUIRE(inputs);
    memset(headers, ' ', sizeof headers - 1);
    inputs[0].result = (struct weft_bytes){result, WEFT_JOB_INPUTS_BYTES, true};
    for (size_t i = 1; i < WEFT_JOB_AFTER_MAX; i++)
        inputs[i].result.data = "";
    struct weft_execution execution = {.id = ID,
                                       .task = long_name(),
                                       .queue = long_name(),
                                       .input = {payload, sizeof payload, false},
                                       .headers = headers,
                                       .inputs = inputs,
                                       .inputs_count = WEFT_JOB_AFTER_MAX};
    struct weft_buffer buffer;
    struct weft_execution read;
    struct weft_job_input *read_inputs;
    struct weft_frame frame;
    CHECK_EQUAL(weft_frame_write_run(&buffer, &execution), 0);
    CHECK_EQUAL(buffer.len, WEFT_FRAME_HEAD + RUN_MAX);
    char *body = body_of(&buffer, &frame);
    CHECK_EQUAL(weft_frame_read_run(&frame, body, &read, &read_inputs), 0);
    free(read_inputs);
    free(body);
    weft_buffer_deinit(&buffer);
    inputs[0].result.len++;
    CHECK_EQUAL(weft_frame_write_run(&buffer, &execution), -EINVAL);
    weft_buffer_deinit(&buffer);
    free(inputs);
}

TEST(a_job_that_is_cut_or_bent_is_refused)
{
    static const struct weft_job_input inputs[] = {{.result = {"one", 3, true}}};
    const struct weft_execution execution = {.id = "id",
                                             .task = "task",
                                             .queue = "queue",
                                             .headers = "{}",
                                             .inputs = inputs,
                                             .inputs_count = 1};
    struct weft_execution read;
    struct weft_job_input *read_inputs;
    struct weft_buffer buffer;
    REQUIRE(weft_frame_write_run(&buffer, &execution) == 0);
    char *whole = buffer.data + WEFT_FRAME_HEAD;
    size_t len = buffer.len - WEFT_FRAME_HEAD;
    for (size_t cut = 18; cut < len; cut++) {
        struct weft_frame frame = {WEFT_FRAME_RUN, 0, cut};
        char *exact = malloc(cut);
        REQUIRE(exact);
        memcpy(exact, whole, cut);
        CHECK_EQUAL(weft_frame_read_run(&frame, exact, &read, &read_inputs), -EPROTO);
        free(exact);
    }
    struct weft_frame frame = {WEFT_FRAME_RUN, 0, len};
    static const struct {
        size_t at;
        char value;
    } bends[] = {
        {11, '\0'}, /* within the id */
        {8, 1},     /* not its length */
        {9, 1},     /* by far not */
        {12, 'x'},  /* its end */
        {28, 3},    /* not the headers' length */
        {33, 2},    /* more inputs than there are */
        {42, 'x'},  /* an input's end */
    };
    CHECK_EQUAL(weft_frame_read_run(&frame, whole, &read, &read_inputs), 0);
    free(read_inputs);
    for (size_t i = 0; i < sizeof bends / sizeof bends[0]; i++) {
        char before = whole[bends[i].at];
        whole[bends[i].at] = bends[i].value;
        int err = weft_frame_read_run(&frame, whole, &read, &read_inputs);
        CHECK_EQUAL(err, -EPROTO);
        if (err == 0)
            test_note("bend %zu", i);
        whole[bends[i].at] = before;
    }
    weft_buffer_deinit(&buffer);
}

static void check_not_written(const struct weft_execution *execution)
{
    struct weft_buffer buffer;
    CHECK_EQUAL(weft_frame_write_run(&buffer, execution), -EINVAL);
    weft_buffer_deinit(&buffer);
}

TEST(what_is_too_long_is_not_written)
{
    static char longer[WEFT_JOB_HEADERS_MAX + 2], payload[WEFT_JOB_PAYLOAD_MAX + 1];
    const struct weft_execution fine = {.id = "i", .task = "t", .queue = "q"};
    memset(longer, 'n', sizeof longer - 1);
    const char *name = longer + sizeof longer - 1 - (WEFT_JOB_NAME_MAX + 1);
    struct weft_execution execution = fine;
    execution.id = name;
    check_not_written(&execution);
    execution = fine;
    execution.task = name;
    check_not_written(&execution);
    execution = fine;
    execution.queue = name;
    check_not_written(&execution);
    execution = fine;
    execution.headers = longer;
    check_not_written(&execution);
    execution = fine;
    execution.input = (struct weft_bytes){payload, sizeof payload, false};
    check_not_written(&execution);
}

TEST(a_further_job_comes_out_as_it_went_in)
{
    const struct weft_attempt_job job = {.task = "task",
                                         .queue = "queue",
                                         .payload = "[1]",
                                         .payload_len = 3,
                                         .priority = 9,
                                         .delay_ns = INT64_MAX,
                                         .attempts_max = 70000,
                                         .unique_key = "key"};
    struct weft_attempt_job read;
    struct weft_buffer buffer;
    struct weft_frame frame;
    CHECK_EQUAL(weft_frame_write_follow(&buffer, &job), 0);
    char *body = body_of(&buffer, &frame);
    REQUIRE(weft_frame_read_follow(&frame, body, &read) == 0);
    CHECK(strcmp(read.task, "task") == 0);
    CHECK(read.queue && strcmp(read.queue, "queue") == 0);
    CHECK(read.unique_key && strcmp(read.unique_key, "key") == 0);
    CHECK(read.payload_len == 3 && memcmp(read.payload, "[1]", 3) == 0);
    CHECK_EQUAL(read.priority, 9);
    CHECK(read.has_priority);
    CHECK_EQUAL(read.delay_ns, INT64_MAX);
    CHECK_EQUAL(read.attempts_max, 70000);
    for (size_t cut = 19; cut < frame.len - 2; cut++) {
        struct weft_frame shorter = {WEFT_FRAME_FOLLOW, 0, cut};
        char *exact = malloc(cut);
        REQUIRE(exact);
        memcpy(exact, body, cut);
        CHECK_EQUAL(weft_frame_read_follow(&shorter, exact, &read), -EPROTO);
        free(exact);
    }
    free(body);
    weft_buffer_deinit(&buffer);
}
