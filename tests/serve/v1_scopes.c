/* SPDX-License-Identifier: MIT
 * v1_scopes.c - who may do what: every operation of openapi.json with every kind of token. */
#include "schema.h"
#include "v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY "0190b7e0-1c2d-7abc-8def-0123456789ab"

static struct server server;

/* Tokens by their scopes. */
static const struct {
    const char *scopes, *token;
} tokens[] = {
    {"read", "read-token-0123456789"},        {"enqueue", "enqueue-token-0123456789"},
    {"work", "work-token-0123456789"},        {"admin", "admin-token-0123456789"},
    {"read,work", "worker-token-0123456789"},
};
#define TOKENS (sizeof tokens / sizeof *tokens)

static void open_guarded(const char *database)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s", server_database("tokens.txt"));
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    for (size_t i = 0; i < TOKENS; i++)
        (void)fprintf(file, "%s %s name-%zu\n", tokens[i].token, tokens[i].scopes, i);
    (void)fclose(file);
    server_start(&server, database, &(struct weft_serve_options){.token_file = path});
}

static void close_guarded(void)
{
    v1_use_token(NULL);
    CHECK_EQUAL(server_stop(&server), 0);
}

/* Whether a list of scopes holds one, as admin does. */
static bool holds(const char *scopes, const char *scope)
{
    return strcmp(scopes, "admin") == 0 || strcmp(scope, "none") == 0 || strstr(scopes, scope);
}

/* A path that fits a template. */
static void fill(const char *template, char *path, size_t bytes)
{
    size_t len = 0;
    for (const char *c = template; *c && len + 64 < bytes; c++) {
        if (*c != '{') {
            path[len++] = *c;
            continue;
        }
        const char *value = strncmp(c, "{id", 3) == 0       ? NOBODY
                            : strncmp(c, "{number", 7) == 0 ? "7"
                                                            : "nobody";
        len += (size_t)snprintf(path + len, bytes - len, "%s", value);
        c += strcspn(c, "}");
    }
    path[len] = '\0';
}

struct operation {
    char method[16], path[128], scope[16];
};

/* What comes of an operation, with an empty object where there is a body. */
static int ask(const struct operation *operation, const char *authorization, struct reply *reply)
{
    char headers[800];
    /* A stream would never end; its head is asked for by the same rules. */
    bool streams = strcmp(operation->path, "/v1/events") == 0;
    bool sends = strcmp(operation->method, "GET") != 0 && strcmp(operation->method, "DELETE") != 0;
    (void)snprintf(headers, sizeof headers, "%s%s%s", authorization ? "Authorization: " : "",
                   authorization ? authorization : "", authorization ? "\r\n" : "");
    http_request(&server, streams ? "HEAD" : operation->method, operation->path, headers,
                 sends ? "{}" : NULL, sends ? 2 : 0, reply);
    return reply->status;
}

static void check(const struct operation *operation, const char *what, int status, bool as_said)
{
    CHECK(as_said);
    if (!as_said)
        test_note("%s %s (%s) with %s: %d", operation->method, operation->path, operation->scope,
                  what, status);
}

static void check_operation(const struct operation *operation)
{
    struct reply reply;
    char bearer[600], detail[64];
    bool open = strcmp(operation->scope, "none") == 0;
    for (size_t i = 0; i < TOKENS; i++) {
        (void)snprintf(bearer, sizeof bearer, "Bearer %s", tokens[i].token);
        int status = ask(operation, bearer, &reply);
        bool may = holds(tokens[i].scopes, operation->scope);
        check(operation, tokens[i].scopes, status,
              may ? status != 401 && status != 403 && status < 500 : status == 403);
        (void)snprintf(detail, sizeof detail, "lacks the scope \\\"%s\\\"", operation->scope);
        if (!may && strcmp(operation->path, "/v1/events") != 0)
            check(operation, "the right detail", status, strstr(reply.body, detail) != NULL);
        reply_free(&reply);
    }
    static const char *const strangers[] = {NULL,
                                            "Bearer nobody-knows-this-one",
                                            "Bearer ",
                                            "Bearer",
                                            "Basic cmVhZC10b2tlbi0wMTIzNDU2Nzg5",
                                            "read-token-0123456789",
                                            "Bearer read-token-012345678",
                                            "Bearer read-token-01234567890",
                                            "Bearer read-token-0123456789 work-token-0123456789"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        int status = ask(operation, strangers[i], &reply);
        check(operation, strangers[i] ? strangers[i] : "nothing", status,
              open ? status < 400 : status == 401);
        if (!open)
            check(operation, "a challenge", status,
                  strstr(reply.head, "WWW-Authenticate: Bearer") != NULL);
        reply_free(&reply);
    }
}

TEST(every_operation_asks_for_the_scope_that_its_description_says)
{
    const char *template, *method;
    json_t *item, *described;
    size_t count = 0;
    open_guarded("matrix.db");
    json_object_foreach(json_object_get(openapi(), "paths"), template, item)
    {
        json_object_foreach(item, method, described)
        {
            struct operation operation;
            const char *text = v1_text(described, "description");
            fill(template, operation.path, sizeof operation.path);
            (void)snprintf(operation.method, sizeof operation.method, "%s", method);
            for (char *c = operation.method; *c; c++)
                *c = (char)(*c & ~0x20);
            REQUIRE(sscanf(text, "Scope: %15[a-z]", operation.scope) == 1);
            check_operation(&operation);
            count++;
        }
    }
    CHECK(count >= 34);
    close_guarded();
}

TEST(a_request_is_turned_away_before_its_body_is_read)
{
    open_guarded("head.db");
    char request[256];
    int len = snprintf(request, sizeof request,
                       "POST /v1/jobs HTTP/1.1\r\nHost: t\r\nContent-Length: 30000000\r\n\r\n");
    CHECK_EQUAL(http_raw(&server, request, (size_t)len), 401);
    len = snprintf(request, sizeof request,
                   "POST /v1/jobs HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 30000000\r\n\r\n",
                   tokens[0].token);
    CHECK_EQUAL(http_raw(&server, request, (size_t)len), 403);
    len = snprintf(request, sizeof request,
                   "POST /v1/jobs?x=1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n"
                   "Content-Length: 30000000\r\n\r\n",
                   tokens[1].token);
    CHECK_EQUAL(http_raw(&server, request, (size_t)len), 422);
    len = snprintf(request, sizeof request,
                   "POST /v1/jobs HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n"
                   "Content-Type: text/plain\r\nContent-Length: 30000000\r\n\r\n",
                   tokens[1].token);
    CHECK_EQUAL(http_raw(&server, request, (size_t)len), 415);
    close_guarded();
}

TEST(the_audit_log_has_the_names_of_tokens)
{
    open_guarded("names.db");
    v1_use_token(tokens[3].token);
    const char *id = v1_put(&server, "{'task':'t'}");
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 200, NULL);
    json_t *audit = v1(&server, "GET", "/v1/audit", 200, NULL);
    CHECK_TEXT(audit, "entries.0.who", "name-3");
    json_decref(audit);
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "error", "cancelled by name-3");
    json_decref(job);
    close_guarded();
}

TEST(who_may_put_in_may_not_look_and_the_other_way_round)
{
    open_guarded("apart.db");
    v1_use_token(tokens[1].token);
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    v1_ok(&server, "GET", v1_path("/v1/jobs/%s", id), 403, NULL);
    v1_use_token(tokens[2].token);
    json_t *leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "complete", ",'enqueue':[{'task':'u'}]"));
    json_decref(leased);
    v1_use_token(tokens[0].token);
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "state", "completed");
    json_decref(job);
    v1_ok(&server, "POST", "/v1/jobs", 403, "{'task':'t'}");
    close_guarded();
}
