/* SPDX-License-Identifier: MIT
 * api_json.c - see api_json.h. */
#include <serve/api_json.h>

#include <base/base64.h>

#include <stdio.h>
#include <string.h>

void weft_api_reply_status(struct weft_http_exchange *exchange, int status,
                           struct weft_buffer *body)
{
    if (body->err)
        weft_http_reply_error(exchange, 500, weft_strerror(body->err));
    else
        weft_http_reply(exchange, status, "application/json", body->data, body->len);
    weft_buffer_deinit(body);
}

void weft_api_reply(struct weft_http_exchange *exchange, struct weft_buffer *body)
{
    weft_api_reply_status(exchange, 200, body);
}

/* Start the next member of an object; the first one follows an opening bracket. */
void weft_api_key(struct weft_buffer *body, const char *key)
{
    if (body->len > 0 && body->data[body->len - 1] != '{')
        weft_buffer_append_char(body, ',');
    weft_buffer_append_char(body, '"');
    weft_buffer_append_string(body, key);
    weft_buffer_append(body, "\":", 2);
}

void weft_api_text(struct weft_buffer *body, const char *key, const char *value)
{
    weft_api_key(body, key);
    weft_buffer_append_json_string(body, value, strlen(value));
}

void weft_api_raw(struct weft_buffer *body, const char *key, const char *raw, size_t len)
{
    weft_api_key(body, key);
    weft_buffer_append_char(body, '"');
    weft_buffer_append(body, raw, len);
    weft_buffer_append_char(body, '"');
}

void weft_api_number(struct weft_buffer *body, const char *key, uint64_t value)
{
    weft_api_key(body, key);
    weft_buffer_append_int(body, (int64_t)value);
}

void weft_api_seconds(struct weft_buffer *body, const char *key, int64_t us)
{
    weft_api_key(body, key);
    weft_buffer_append_json_double(body, (double)us / 1e6);
}

void weft_api_time(struct weft_buffer *body, const char *key, int64_t unix_us)
{
    weft_api_key(body, key);
    weft_buffer_append_char(body, '"');
    weft_buffer_append_time(body, unix_us);
    weft_buffer_append_char(body, '"');
}

void weft_api_id(struct weft_buffer *body, const char *key, const struct weft_uuid *id)
{
    char text[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(id, text);
    weft_api_raw(body, key, text, WEFT_UUID_TEXT_LEN);
}

void weft_api_bool(struct weft_buffer *body, const char *key, bool value)
{
    weft_api_key(body, key);
    weft_buffer_append_string(body, value ? "true" : "false");
}

void weft_api_counts(struct weft_buffer *body, const char *key,
                     const uint64_t counts[WEFT_JOB_STATES])
{
    weft_api_key(body, key);
    weft_buffer_append_char(body, '{');
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++)
        weft_api_number(body, weft_job_state_name((enum weft_job_state)state), counts[state]);
    weft_buffer_append_char(body, '}');
}

void weft_api_text_if(struct weft_buffer *body, const char *key, const char *value)
{
    if (value)
        weft_api_text(body, key, value);
}

void weft_api_time_if(struct weft_buffer *body, const char *key, int64_t unix_us)
{
    if (unix_us)
        weft_api_time(body, key, unix_us);
}

void weft_api_seconds_if(struct weft_buffer *body, const char *key, int64_t us)
{
    if (us)
        weft_api_seconds(body, key, us);
}

void weft_api_json_if(struct weft_buffer *body, const char *key, const char *json, size_t len)
{
    if (!json)
        return;
    weft_api_key(body, key);
    weft_buffer_append(body, json, len);
}

void weft_api_bytes_if(struct weft_buffer *body, const char *key, const struct weft_bytes *bytes)
{
    if (!bytes->data)
        return;
    if (bytes->json) {
        weft_api_json_if(body, key, bytes->data, bytes->len);
        return;
    }
    char name[64];
    (void)snprintf(name, sizeof name, "%s_base64", key);
    weft_api_key(body, name);
    weft_buffer_append_char(body, '"');
    weft_base64_append(body, bytes->data, bytes->len);
    weft_buffer_append_char(body, '"');
}
