/* SPDX-License-Identifier: MIT
 * v1.h - short words for tests of the general API.
 *
 * JSON in formats is written with ' for ", and paths into answers with dots: "jobs.0.id". Every
 * answer is checked against openapi.json: its status must be in there, and its body must be as the
 * schema says. */
#ifndef WEFT_TESTS_SERVE_V1_H
#define WEFT_TESTS_SERVE_V1_H

#include "server.h"

#include <stdint.h>

/* The token that is sent with requests from now on; NULL: none. */
void v1_use_token(const char *token);

/* A request, which must be answered with this status. Returns the answer's JSON, to be given to
 * json_decref; null where there is none. format NULL: no body. */
__attribute__((format(printf, 5, 6))) json_t *v1(const struct server *server, const char *method,
                                                 const char *path, int status, const char *format,
                                                 ...);

/* The same with a body of any bytes and type (NULL: JSON), and more header lines. */
json_t *v1_send(const struct server *server, const char *method, const char *path, int status,
                const char *type, const char *headers, const char *body, size_t len);

/* What the document says of an answer: one that is not in there, or not as it says, fails the test.
 * The status of each operation is remembered. */
void v1_check(const char *method, const char *path, int status, const json_t *json);

/* Whether the operation of this id was answered with this status in this program. */
bool v1_was_seen(const char *operation, const char *status);

/* v1, and only the status matters. */
#define v1_ok(server, method, path, status, ...)                                                   \
    json_decref(v1(server, method, path, status, __VA_ARGS__))

/* A refusal with this status, whose detail contains this. */
__attribute__((format(printf, 6, 7))) void v1_refused(const struct server *server,
                                                      const char *method, const char *path,
                                                      int status, const char *detail,
                                                      const char *format, ...);

/* A path made of a format; one of a few static buffers. */
__attribute__((format(printf, 1, 2))) const char *v1_path(const char *format, ...);

/* Parts of answers. Absent: "", -1, NULL. */
const char *v1_text(const json_t *json, const char *path);
int64_t v1_number(const json_t *json, const char *path);
double v1_real(const json_t *json, const char *path);
const json_t *v1_at(const json_t *json, const char *path);
bool v1_is(const json_t *json, const char *path, const char *text);

#define CHECK_TEXT(json, path, text) CHECK(v1_is(json, path, text))

/* Put in a job; its id, one of many static buffers. */
__attribute__((format(printf, 2, 3))) const char *v1_put(const struct server *server,
                                                         const char *format, ...);

/* The job as it is now. */
json_t *v1_job(const struct server *server, const char *id);

/* Wait until the job is in this state; prints what it is in when that takes half a minute. */
bool v1_comes_to(const struct server *server, const char *id, const char *state);

/* Lease one job of a queue, which must be there at once: the member of "jobs". json_decref it. */
json_t *v1_lease(const struct server *server, const char *queue);

/* Settle it so; further members, or "". Returns the answer's item. */
json_t *v1_settle(const struct server *server, const json_t *leased, const char *outcome,
                  const char *members);

/* One member of /v1/stats: "server.operations". */
int64_t v1_stat(const struct server *server, const char *path);

/* Milliseconds since some moment, for how long something took at least. */
int64_t v1_now_ms(void);

#endif
