/* SPDX-License-Identifier: MIT
 * v1.c - see v1.h. */
#include "v1.h"

#include "schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUFFERS 64

static char token_header[600];

void v1_use_token(const char *token)
{
    token_header[0] = '\0';
    if (token)
        (void)snprintf(token_header, sizeof token_header, "Authorization: Bearer %s\r\n", token);
}

/* ---- requests --------------------------------------------------------------------------- */

static json_t *seen; /* "operation status" */

static void remember(const json_t *operation, int status)
{
    char key[96];
    (void)snprintf(key, sizeof key, "%s %d",
                   json_string_value(json_object_get(operation, "operationId")), status);
    if (!seen)
        seen = json_object();
    REQUIRE(json_object_set_new(seen, key, json_true()) == 0);
}

bool v1_was_seen(const char *operation, const char *status)
{
    char key[96];
    (void)snprintf(key, sizeof key, "%s %s", operation, status);
    return json_object_get(seen, key) != NULL;
}

void v1_check(const char *method, const char *path, int status, const json_t *json)
{
    char why[600];
    bool known = false;
    const json_t *operation = openapi_operation(method, path);
    if (operation)
        remember(operation, status);
    const json_t *schema = operation ? openapi_answer(operation, status, &known) : NULL;
    if (operation && !known && status != 405 && status != 408 && status != 431) {
        CHECK(known);
        test_note("%s %s: %d is not in the document", method, path, status);
    } else if (schema && !schema_check(schema, json, why, sizeof why)) {
        bool as_documented = false;
        CHECK(as_documented);
        test_note("%s %s: %d: %s", method, path, status, why);
    }
}

json_t *v1_send(const struct server *server, const char *method, const char *path, int status,
                const char *type, const char *headers, const char *body, size_t len)
{
    char all[1800];
    struct reply reply;
    (void)snprintf(all, sizeof all, "%s%s%s%s%s", token_header, headers,
                   body || type ? "Content-Type: " : "",
                   type   ? type
                   : body ? "application/json"
                          : "",
                   body || type ? "\r\n" : "");
    http_request(server, method, path, all, body, len, &reply);
    json_error_t error;
    json_t *json =
        reply.len > 0
            ? json_loadb(reply.body, reply.len,
                         JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error)
            : json_null();
    CHECK_EQUAL(reply.status, status);
    if (reply.status != status || !json)
        test_note("%s %s: %d %.400s", method, path, reply.status, reply.body ? reply.body : "");
    REQUIRE(json);
    v1_check(method, path, reply.status, json);
    reply_free(&reply);
    return json;
}

/* A copy with " for each '. */
static char *quote(const char *text)
{
    char *copy = strdup(text);
    REQUIRE(copy);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    return copy;
}

/* A text from a format, ' being ". */
static char *text_of(const char *format, va_list args, size_t *ret_len)
{
    char *quoted = quote(format), *text;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int len = vasprintf(&text, quoted, args);
#pragma GCC diagnostic pop
    REQUIRE(len >= 0);
    free(quoted);
    *ret_len = (size_t)len;
    return text;
}

json_t *v1(const struct server *server, const char *method, const char *path, int status,
           const char *format, ...)
{
    char *body = NULL;
    size_t len = 0;
    va_list args;
    va_start(args, format);
    if (format)
        body = text_of(format, args, &len);
    va_end(args);
    json_t *json = v1_send(server, method, path, status, NULL, "", body, len);
    free(body);
    return json;
}

void v1_refused(const struct server *server, const char *method, const char *path, int status,
                const char *detail, const char *format, ...)
{
    char *body = NULL;
    size_t len = 0;
    va_list args;
    va_start(args, format);
    if (format)
        body = text_of(format, args, &len);
    va_end(args);
    json_t *json = v1_send(server, method, path, status, NULL, "", body, len);
    bool said = strstr(v1_text(json, "detail"), detail) != NULL;
    CHECK(said);
    if (!said)
        test_note("%s %s %.200s: %s", method, path, body ? body : "", v1_text(json, "detail"));
    json_decref(json);
    free(body);
}

const char *v1_path(const char *format, ...)
{
    static char buffers[BUFFERS][512];
    static unsigned next;
    char *buffer = buffers[next++ % BUFFERS];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(buffer, sizeof buffers[0], format, args);
    va_end(args);
    return buffer;
}

/* ---- answers ---------------------------------------------------------------------------- */

const json_t *v1_at(const json_t *json, const char *path)
{
    char part[64];
    while (json && *path) {
        size_t len = strcspn(path, ".");
        (void)snprintf(part, sizeof part, "%.*s", (int)len, path);
        json = json_is_array(json) ? json_array_get(json, strtoul(part, NULL, 10))
                                   : json_object_get(json, part);
        path += len + (path[len] == '.');
    }
    return json;
}

const char *v1_text(const json_t *json, const char *path)
{
    const char *text = json_string_value(v1_at(json, path));
    return text ? text : "";
}

int64_t v1_number(const json_t *json, const char *path)
{
    const json_t *value = v1_at(json, path);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

double v1_real(const json_t *json, const char *path)
{
    const json_t *value = v1_at(json, path);
    return json_is_number(value) ? json_number_value(value) : -1;
}

bool v1_is(const json_t *json, const char *path, const char *text)
{
    bool same = strcmp(v1_text(json, path), text) == 0;
    if (!same)
        test_note("%s is \"%s\", not \"%s\"", path, v1_text(json, path), text);
    return same;
}

/* ---- what tests do ---------------------------------------------------------------------- */

const char *v1_put(const struct server *server, const char *format, ...)
{
    static char ids[BUFFERS][37];
    static unsigned next;
    char *id = ids[next++ % BUFFERS];
    size_t len = 0;
    va_list args;
    va_start(args, format);
    char *body = text_of(format, args, &len);
    va_end(args);
    json_t *json = v1_send(server, "POST", "/v1/jobs", 201, NULL, "", body, len);
    (void)snprintf(id, sizeof ids[0], "%s", v1_text(json, "id"));
    json_decref(json);
    free(body);
    return id;
}

json_t *v1_job(const struct server *server, const char *id)
{
    return v1(server, "GET", v1_path("/v1/jobs/%s", id), 200, NULL);
}

bool v1_comes_to(const struct server *server, const char *id, const char *state)
{
    int64_t until_ms = 0;
    for (;;) {
        json_t *job = v1_job(server, id);
        bool there = strcmp(v1_text(job, "state"), state) == 0;
        bool more = there || look_again(&until_ms);
        if (!more)
            (void)v1_is(job, "state", state);
        json_decref(job);
        if (there || !more)
            return there;
    }
}

json_t *v1_lease(const struct server *server, const char *queue)
{
    json_t *answer = v1(server, "POST", "/v1/lease", 200, "{'queues':['%s']}", queue);
    json_t *job = json_incref((json_t *)(uintptr_t)v1_at(answer, "jobs.0"));
    json_decref(answer);
    REQUIRE(job);
    return job;
}

json_t *v1_settle(const struct server *server, const json_t *leased, const char *outcome,
                  const char *members)
{
    char *quoted = quote(members);
    json_t *answer = v1(server, "POST", "/v1/settle", 200,
                        "{'jobs':[{'id':'%s','token':'%s','outcome':'%s'%s}]}",
                        v1_text(leased, "id"), v1_text(leased, "token"), outcome, quoted);
    json_t *item = json_incref((json_t *)(uintptr_t)v1_at(answer, "jobs.0"));
    free(quoted);
    json_decref(answer);
    REQUIRE(item);
    return item;
}

int64_t v1_stat(const struct server *server, const char *path)
{
    json_t *stats = v1(server, "GET", "/v1/stats", 200, NULL);
    int64_t number = v1_number(stats, path);
    json_decref(stats);
    return number;
}

int64_t v1_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
