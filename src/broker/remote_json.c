/* SPDX-License-Identifier: MIT
 * remote_json.c - what the server says, as values. It may be any server, and say anything: each
 * value that is used is checked, and none is followed deeper than it is taken. */
#include "remote_internal.h"

#include <base/base64.h>
#include <base/iso_time.h>
#include <base/json_scan.h>

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define NUMBER_LEN_MAX 40
#define TOKEN_LEN_MAX  20                /* digits */
#define SECONDS_MAX    (36525.0 * 86400) /* 100 years */
#define TIME_LEN_MAX   64
#define STATE_LEN_MAX  32

int weft_remote_members(const char *json, size_t len, const char *const *names, size_t count,
                        struct weft_remote_value *values)
{
    struct weft_json_member member;
    const char *at = json;
    int more;
    for (size_t i = 0; i < count; i++)
        values[i] = (struct weft_remote_value){0};
    while ((more = weft_json_next_member(&at, json + len, &member)) > 0) {
        size_t i = 0;
        while (i < count && !weft_json_is_named(&member, names[i]))
            i++;
        if (i < count)
            values[i] = (struct weft_remote_value){member.raw, member.len};
    }
    return more < 0 ? -EPROTO : 0;
}

static bool is_string(const struct weft_remote_value *value)
{
    return value->len >= 2 && value->raw[0] == '"' && weft_json_is_valid(value->raw, value->len);
}

/* With escapes: jansson knows how. A NUL inside is refused. */
static int unescape(const struct weft_remote_value *value, struct weft_arena *arena, size_t len_max,
                    const char **ret)
{
    json_error_t error;
    json_t *string = json_loadb(value->raw, value->len, JSON_DECODE_ANY, &error);
    size_t len = json_string_length(string);
    const char *copy = NULL;
    int err = string && len <= len_max ? 0 : -EPROTO;
    if (!err) {
        copy = weft_arena_copy(arena, json_string_value(string), len);
        err = copy ? 0 : -ENOMEM;
    }
    json_decref(string);
    if (!err)
        *ret = copy;
    return err;
}

int weft_remote_string(const struct weft_remote_value *value, struct weft_arena *arena,
                       size_t len_max, const char **ret)
{
    if (!value->raw)
        return 0;
    /* An escaped character takes up to six bytes for one. */
    if (!is_string(value) || value->len - 2 > 6 * len_max)
        return -EPROTO;
    if (memchr(value->raw, '\\', value->len))
        return unescape(value, arena, len_max, ret);
    if (value->len - 2 > len_max)
        return -EPROTO;
    const char *copy = weft_arena_copy(arena, value->raw + 1, value->len - 2);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

int weft_remote_name(const struct weft_remote_value *value, struct weft_arena *arena,
                     const char **ret)
{
    const char *name = NULL;
    int err = weft_remote_string(value, arena, WEFT_JOB_NAME_MAX, &name);
    if (err || !name)
        return err;
    if (!weft_job_name_is_valid(name))
        return -EPROTO;
    *ret = name;
    return 0;
}

int weft_remote_uuid(const struct weft_remote_value *value, struct weft_uuid *ret)
{
    if (!value->raw)
        return 0;
    if (value->len < 2 || value->raw[0] != '"')
        return -EPROTO;
    return weft_uuid_parse(ret, value->raw + 1, value->len - 2) ? -EPROTO : 0;
}

/* Digits, and nothing else. */
static int read_digits(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;
    if (len == 0 || len > TOKEN_LEN_MAX)
        return -EPROTO;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return -EPROTO;
    }
    if (number > max)
        return -EPROTO;
    *ret = number;
    return 0;
}

int weft_remote_count(const struct weft_remote_value *value, uint64_t max, uint64_t *ret)
{
    return value->raw ? read_digits(value->raw, value->len, max, ret) : 0;
}

int weft_remote_token(const struct weft_remote_value *value, uint64_t *ret)
{
    if (!value->raw)
        return 0;
    if (value->len < 2 || value->raw[0] != '"' || value->raw[value->len - 1] != '"')
        return -EPROTO;
    return read_digits(value->raw + 1, value->len - 2, UINT64_MAX, ret);
}

int weft_remote_seconds(const struct weft_remote_value *value, int64_t *ret_us)
{
    json_error_t error;
    if (!value->raw)
        return 0;
    if (value->len > NUMBER_LEN_MAX)
        return -EPROTO;
    json_t *number = json_loadb(value->raw, value->len, JSON_DECODE_ANY, &error);
    double seconds = json_number_value(number);
    bool good = json_is_number(number) && seconds >= 0 && seconds <= SECONDS_MAX;
    json_decref(number);
    if (!good)
        return -EPROTO;
    *ret_us = (int64_t)llround(seconds * 1e6);
    return 0;
}

int weft_remote_time(const struct weft_remote_value *value, int64_t *ret_us)
{
    if (!value->raw)
        return 0;
    if (value->len < 2 || value->len > TIME_LEN_MAX || value->raw[0] != '"')
        return -EPROTO;
    return weft_time_parse(ret_us, value->raw + 1, value->len - 2) ? -EPROTO : 0;
}

static bool is_word(const struct weft_remote_value *value, const char *word)
{
    return value->len == strlen(word) && memcmp(value->raw, word, value->len) == 0;
}

int weft_remote_bool(const struct weft_remote_value *value, bool *ret)
{
    if (!value->raw)
        return 0;
    bool yes = is_word(value, "true");
    if (!yes && !is_word(value, "false"))
        return -EPROTO;
    *ret = yes;
    return 0;
}

int weft_remote_state(const struct weft_remote_value *value, enum weft_job_state *ret)
{
    char name[STATE_LEN_MAX + 1];
    if (!value->raw)
        return 0;
    if (value->len < 2 || value->len - 2 > STATE_LEN_MAX)
        return -EPROTO;
    memcpy(name, value->raw + 1, value->len - 2);
    name[value->len - 2] = '\0';
    enum weft_job_state state = weft_job_state_named(name);
    /* The result of a job that is gone has "none". */
    if (state == WEFT_JOB_NONE && strcmp(name, weft_job_state_name(WEFT_JOB_NONE)) != 0)
        return -EPROTO;
    *ret = state;
    return 0;
}

int weft_remote_json(const struct weft_remote_value *value, struct weft_arena *arena,
                     size_t len_max, const char **ret)
{
    if (!value->raw)
        return 0;
    if (value->len > len_max || !weft_json_is_valid(value->raw, value->len))
        return -EPROTO;
    const char *copy = weft_arena_copy(arena, value->raw, value->len);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

static int decode(const struct weft_remote_value *base64, struct weft_arena *arena, size_t len_max,
                  struct weft_bytes *ret)
{
    if (base64->len < 2 || base64->raw[0] != '"')
        return -EPROTO;
    size_t text_len = base64->len - 2, len;
    if (text_len / 4 * 3 > len_max + 2)
        return -EPROTO;
    char *data = weft_arena_alloc(arena, weft_base64_bytes_max(text_len) + 1);
    if (!data)
        return -ENOMEM;
    if (weft_base64_decode(data, &len, base64->raw + 1, text_len) || len > len_max)
        return -EPROTO;
    *ret = (struct weft_bytes){.data = data, .len = len};
    return 0;
}

int weft_remote_bytes(const struct weft_remote_value *json, const struct weft_remote_value *base64,
                      struct weft_arena *arena, size_t len_max, struct weft_bytes *ret)
{
    if (base64->raw)
        return decode(base64, arena, len_max, ret);
    if (!json->raw)
        return 0;
    if (json->len > len_max || !weft_json_is_valid(json->raw, json->len))
        return -EPROTO;
    *ret = (struct weft_bytes){.data = json->raw, .len = json->len, .json = true};
    return 0;
}

void weft_remote_append_lease(struct weft_buffer *body, const struct weft_uuid *id, uint64_t token)
{
    char text[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(id, text);
    weft_buffer_append_format(body, "{\"id\":\"%s\",\"token\":\"%" PRIu64 "\"", text, token);
}
