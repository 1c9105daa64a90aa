/* SPDX-License-Identifier: MIT
 * payload.c - the payload and the headers of a job as JSON, read when the handler first asks. */
#include <job/attempt.h>

#include <base/json_scan.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DOUBLE_EXACT                                                                               \
    9007199254740992.0 /* 2^53: up to there a double is a whole number for sure                    \
                        */

/* Returns 0 with *ret_json, -EINVAL, -ENOMEM */
static int parse(const char *text, size_t len, json_t **ret_json)
{
    json_error_t error;
    if (!text || weft_json_too_deep(text, len, WEFT_JSON_DEPTH_MAX)) /* jansson recurses */
        return -EINVAL;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *json = json_loadb(text, len, flags, &error);
    /* One integer that is too large must not make the rest unreadable. */
    if (!json && json_error_code(&error) == json_error_numeric_overflow)
        json = json_loadb(text, len, flags | JSON_DECODE_INT_AS_REAL, &error);
    if (!json)
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
    *ret_json = json;
    return 0;
}

static int read_payload(struct weft_attempt *attempt, const json_t **ret_json)
{
    struct weft_desk *desk = weft_attempt_desk(attempt);
    const struct weft_bytes *payload = &attempt->job->payload;
    if (!desk)
        return -ENOMEM;
    int err = 0;
    if (!desk->payload)
        err = payload->json ? parse(payload->data, payload->len, &desk->payload) : -EINVAL;
    if (!err)
        *ret_json = desk->payload;
    return err;
}

const char *weft_attempt_header(struct weft_attempt *attempt, const char *name)
{
    const char *headers = attempt->job->headers;
    struct weft_desk *desk = headers ? weft_attempt_desk(attempt) : NULL;
    if (!desk || (!desk->headers && parse(headers, strlen(headers), &desk->headers) < 0))
        return NULL;
    return json_string_value(json_object_get(desk->headers, name));
}

/* "[12]" at the front of *path. Returns 0 with the path behind it, -EINVAL */
static int take_index(const char **path, size_t *ret_index)
{
    const char *at = *path + 1;
    size_t index = 0;
    if (*at == ']')
        return -EINVAL;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (index > SIZE_MAX / 16)
            return -EINVAL;
        index = index * 10 + (size_t)(*at - '0');
    }
    if (*at != ']')
        return -EINVAL;
    *path = at + 1;
    *ret_index = index;
    return 0;
}

/* One step of a path. Returns 0 with *json led on and the path behind it, -ENOENT, -EINVAL */
static int step(const json_t **json, const char **path)
{
    if (**path == '[') {
        size_t index;
        int err = take_index(path, &index);
        if (err)
            return err;
        if (!json_is_array(*json))
            return -EINVAL;
        *json = json_array_get(*json, index);
    } else {
        size_t len = strcspn(*path, ".[");
        if (len == 0 || !json_is_object(*json))
            return -EINVAL;
        *json = json_object_getn(*json, *path, len);
        *path += len;
    }
    return *json ? 0 : -ENOENT;
}

static int find(struct weft_attempt *attempt, const char *path, const json_t **ret_json)
{
    const json_t *json = NULL;
    int err = read_payload(attempt, &json);
    if (err == 0 && !json_is_object(json)) /* one that was not given is null */
        err = json_is_null(json) ? -ENOENT : -EINVAL;
    while (err == 0 && *path) {
        err = step(&json, &path);
        if (err == 0 && *path == '.' && !*++path)
            err = -EINVAL; /* a dot and nothing behind it */
    }
    if (err == 0)
        *ret_json = json;
    return err;
}

int weft_attempt_get_string(struct weft_attempt *attempt, const char *path, const char **ret_value)
{
    const json_t *json = NULL;
    int err = find(attempt, path, &json);
    if (err)
        return err;
    const char *text = json_string_value(json);
    if (!text || strlen(text) != json_string_length(json)) /* a NUL inside */
        return -EINVAL;
    *ret_value = text;
    return 0;
}

int weft_attempt_get_int(struct weft_attempt *attempt, const char *path, int64_t *ret_value)
{
    const json_t *json = NULL;
    int err = find(attempt, path, &json);
    if (err)
        return err;
    if (json_is_integer(json)) {
        *ret_value = json_integer_value(json);
        return 0;
    }
    if (!json_is_real(json))
        return -EINVAL;
    double value = json_real_value(json);
    if (!(value >= -DOUBLE_EXACT && value <= DOUBLE_EXACT))
        return -ERANGE;
    if ((double)(int64_t)value != value)
        return -EINVAL;
    *ret_value = (int64_t)value;
    return 0;
}

int weft_attempt_get_double(struct weft_attempt *attempt, const char *path, double *ret_value)
{
    const json_t *json = NULL;
    int err = find(attempt, path, &json);
    if (err == 0 && !json_is_number(json))
        err = -EINVAL;
    if (err == 0)
        *ret_value = json_number_value(json);
    return err;
}

int weft_attempt_get_bool(struct weft_attempt *attempt, const char *path, int *ret_value)
{
    const json_t *json = NULL;
    int err = find(attempt, path, &json);
    if (err == 0 && !json_is_boolean(json))
        err = -EINVAL;
    if (err == 0)
        *ret_value = json_is_true(json);
    return err;
}

int weft_attempt_get_count(struct weft_attempt *attempt, const char *path, size_t *ret_count)
{
    const json_t *json = NULL;
    int err = find(attempt, path, &json);
    if (err == 0 && !json_is_array(json) && !json_is_object(json))
        err = -EINVAL;
    if (err == 0)
        *ret_count = json_is_array(json) ? json_array_size(json) : json_object_size(json);
    return err;
}
