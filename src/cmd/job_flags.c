/* SPDX-License-Identifier: MIT
 * job_flags.c - see job_flags.h. */
#include "job_flags.h"

#include <weft/base.h>

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PIECE_BYTES 65536

void append_member(struct weft_buffer *body, const char *name, const char *text)
{
    weft_buffer_append_format(body, ",\"%s\":", name);
    weft_buffer_append_json_string(body, text, strlen(text));
}

void append_seconds(struct weft_buffer *body, const char *name, int64_t length_ns)
{
    weft_buffer_append_format(body, ",\"%s\":", name);
    weft_buffer_append_json_double(body, (double)length_ns / 1e9);
}

int read_input(const char *command, const char *path, struct weft_buffer *text)
{
    bool is_standard = strcmp(path, "-") == 0;
    FILE *file = is_standard ? stdin : fopen(path, "re");
    if (!file) {
        complain(command, "%s cannot be opened: %s", path, weft_strerror(-errno));
        return EXIT_FAILED;
    }
    const char *name = is_standard ? "standard input" : path;
    size_t got = 1;
    while (got > 0 && !text->err) {
        size_t left = text->len_max - text->len;
        char *room = weft_buffer_reserve(text, left < PIECE_BYTES ? left : PIECE_BYTES);
        got = room ? fread(room, 1, left < PIECE_BYTES ? left : PIECE_BYTES, file) : 0;
        text->len += got;
        if (text->len == text->len_max && fgetc(file) != EOF)
            text->err = -EMSGSIZE;
    }
    int failed = ferror(file);
    if (!is_standard)
        (void)fclose(file);
    if (text->err)
        complain(command, "%s is too large: more than %zu bytes", name, text->len_max);
    else if (failed)
        complain(command, "%s cannot be read", name);
    return text->err || failed ? EXIT_FAILED : EXIT_OK;
}

static int check_json(const char *command, const char *where, const struct weft_buffer *text)
{
    json_error_t error;
    json_t *root = json_loadb(text->data ? text->data : "", text->len,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!root) {
        complain(command, "%s is not JSON: %s; a text needs its quotes: '\"hello\"'", where,
                 error.text);
        return EXIT_USAGE;
    }
    json_decref(root);
    return EXIT_OK;
}

static int append_payload(const char *command, const char *payload, struct weft_buffer *body)
{
    struct weft_buffer text;
    int status = EXIT_OK;
    const char *where = "--payload";
    weft_buffer_init(&text, JOB_PAYLOAD_MAX);
    if (strcmp(payload, "-") == 0) {
        where = "standard input";
        status = read_input(command, payload, &text);
    } else if (*payload == '@') {
        where = payload + 1;
        status = read_input(command, where, &text);
    } else {
        weft_buffer_append_string(&text, payload);
    }
    if (status == EXIT_OK)
        status = check_json(command, where, &text);
    if (status == EXIT_OK) {
        weft_buffer_append_string(body, ",\"payload\":");
        weft_buffer_append(body, text.data, text.len);
    }
    weft_buffer_deinit(&text);
    return status;
}

int job_flags_append(const char *command, const struct job_flags *flags, const char *task,
                     struct weft_buffer *body)
{
    weft_buffer_append_string(body, "{\"task\":");
    weft_buffer_append_json_string(body, task, strlen(task));
    if (flags->queue)
        append_member(body, "queue", flags->queue);
    if (flags->priority != JOB_NO_NUMBER)
        weft_buffer_append_format(body, ",\"priority\":%" PRIu64, flags->priority);
    if (flags->max_attempts > 0)
        weft_buffer_append_format(body, ",\"max_attempts\":%" PRIu64, flags->max_attempts);
    if (flags->timeout_ns > 0)
        append_seconds(body, "timeout", flags->timeout_ns);
    if (flags->unique) {
        weft_buffer_append_string(body, ",\"unique\":{\"key\":");
        weft_buffer_append_json_string(body, flags->unique, strlen(flags->unique));
        weft_buffer_append_char(body, '}');
    }
    return flags->payload ? append_payload(command, flags->payload, body) : EXIT_OK;
}
