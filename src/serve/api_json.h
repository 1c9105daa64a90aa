/* SPDX-License-Identifier: MIT
 * api_json.h - what all answers of the service are made of. Failure shows in the buffer's err. */
#ifndef WEFT_SERVE_API_JSON_H
#define WEFT_SERVE_API_JSON_H

#include <base/buffer.h>
#include <base/uuid.h>
#include <job/job.h>
#include <weft/http_server.h>

#define WEFT_API_REPLY_MAX ((size_t)8 << 20) /* bytes: one job, with payload and result in base64  \
                                              */
#define WEFT_API_LIST_MAX ((size_t)32 << 20) /* a page of jobs, of schedules with their jobs, ...  \
                                              */

/* Send what is in the buffer with 200, or 500 when it failed; releases it. */
void weft_api_reply(struct weft_http_exchange *exchange, struct weft_buffer *body);
void weft_api_reply_status(struct weft_http_exchange *exchange, int status,
                           struct weft_buffer *body);

/* Start the next member of an object; the first one follows an opening bracket. */
void weft_api_key(struct weft_buffer *body, const char *key);

/* Whole members. */
void weft_api_text(struct weft_buffer *body, const char *key, const char *value);
void weft_api_number(struct weft_buffer *body, const char *key, uint64_t value);
void weft_api_seconds(struct weft_buffer *body, const char *key, int64_t us);
void weft_api_time(struct weft_buffer *body, const char *key, int64_t unix_us);
void weft_api_id(struct weft_buffer *body, const char *key, const struct weft_uuid *id);
void weft_api_bool(struct weft_buffer *body, const char *key, bool value);
/* Left out when value is NULL. */
void weft_api_text_if(struct weft_buffer *body, const char *key, const char *value);
/* Left out when it is 0. */
void weft_api_time_if(struct weft_buffer *body, const char *key, int64_t unix_us);
void weft_api_seconds_if(struct weft_buffer *body, const char *key, int64_t us);
/* JSON text as it is; left out when it is NULL. */
void weft_api_json_if(struct weft_buffer *body, const char *key, const char *json, size_t len);
/* JSON under `key`; other bytes under `key`_base64. Left out when there are none. */
void weft_api_bytes_if(struct weft_buffer *body, const char *key, const struct weft_bytes *bytes);
/* Jobs by state. */
void weft_api_counts(struct weft_buffer *body, const char *key,
                     const uint64_t counts[WEFT_JOB_STATES]);
/* A string whose inside is JSON already, escapes and all. */
void weft_api_raw(struct weft_buffer *body, const char *key, const char *raw, size_t len);

#endif
