/* SPDX-License-Identifier: MIT
 * v1_contract.c - every operation of openapi.json is answered with every status that it has there,
 * and every action of an administrator is written down. An operation or a status that is added to
 * the document without a row here fails. */
#include "schema.h"
#include "v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY "0190b7e0-1c2d-7abc-8def-0123456789ab"

#define ADMIN  "admin-token-0123456789"
#define READER "reader-token-0123456789"
#define PUTTER "putter-token-0123456789"

static struct server server;

static void open_server(const char *database)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s", server_database("tokens.txt"));
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    (void)fprintf(file, ADMIN " admin ada\n" READER " read reader\n" PUTTER " enqueue putter\n");
    (void)fclose(file);
    server_start(&server, database, &(struct weft_serve_options){.token_file = path});
    v1_use_token(ADMIN);
}

static void close_server(void)
{
    v1_use_token(NULL);
    CHECK_EQUAL(server_stop(&server), 0);
}

/* ---- all operations ------------------------------------------------------------------------ */

struct operation {
    const json_t *described;
    const char *id;
    char method[16], path[128], scope[16];
};

typedef void visitor(const struct operation *operation);

/* A path that fits a template, and leads to nothing. */
static void fill(const char *template, char *path, size_t bytes)
{
    size_t len = 0;
    for (const char *c = template; *c && len + 64 < bytes; c++) {
        if (*c != '{') {
            path[len++] = *c;
            continue;
        }
        const char *value = strncmp(c, "{id", 3) == 0       ? NOBODY
                            : strncmp(c, "{number", 7) == 0 ? "7777"
                                                            : "nobody";
        len += (size_t)snprintf(path + len, bytes - len, "%s", value);
        c += strcspn(c, "}");
    }
    path[len] = '\0';
}

static void visit_all(visitor *visit)
{
    const char *template, *method;
    json_t *item, *described;
    json_object_foreach(json_object_get(openapi(), "paths"), template, item)
    {
        json_object_foreach(item, method, described)
        {
            struct operation operation = {.described = described,
                                          .id = v1_text(described, "operationId")};
            fill(template, operation.path, sizeof operation.path);
            (void)snprintf(operation.method, sizeof operation.method, "%s", method);
            for (char *c = operation.method; *c; c++)
                *c = (char)(*c & ~0x20);
            REQUIRE(sscanf(v1_text(described, "description"), "Scope: %15[a-z]", operation.scope) ==
                    1);
            visit(&operation);
        }
    }
}

static bool has(const struct operation *operation, const char *status)
{
    return json_object_get(json_object_get(operation->described, "responses"), status) != NULL;
}

static bool sends(const struct operation *operation)
{
    return strcmp(operation->method, "GET") != 0 && strcmp(operation->method, "DELETE") != 0;
}

/* Only the head, with a body that is promised; the connection's answer counts. */
static void promise(const struct operation *operation, int status, const char *headers)
{
    char head[800];
    int len = snprintf(head, sizeof head,
                       "%s %s HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer " ADMIN "\r\n%s\r\n",
                       operation->method, operation->path, headers);
    int is = http_raw(&server, head, (size_t)len);
    CHECK_EQUAL(is, status);
    if (is != status)
        test_note("%s %s", operation->method, operation->path);
    json_t *json = json_object();
    REQUIRE(json && json_object_set_new(json, "detail", json_string("as the head said")) == 0);
    v1_check(operation->method, operation->path, is, json);
    json_decref(json);
}

/* ---- what every operation may be answered with ---------------------------------------------- */

static void refuse_strangers(const struct operation *operation)
{
    const char *body = sends(operation) ? "{}" : NULL;
    if (has(operation, "401")) {
        v1_use_token(NULL);
        json_decref(v1_send(&server, operation->method, operation->path, 401, NULL, "", body,
                            body ? 2 : 0));
    }
    if (has(operation, "403")) {
        v1_use_token(strcmp(operation->scope, "read") == 0 ? PUTTER : READER);
        json_decref(v1_send(&server, operation->method, operation->path, 403, NULL, "", body,
                            body ? 2 : 0));
    }
    v1_use_token(ADMIN);
}

static void refuse_bodies(const struct operation *operation)
{
    if (has(operation, "415"))
        json_decref(
            v1_send(&server, operation->method, operation->path, 415, "text/plain", "", "{}", 2));
    if (has(operation, "413"))
        promise(operation, 413, "Content-Type: application/json\r\nContent-Length: 99999999\r\n");
    if (has(operation, "400"))
        v1_refused(&server, operation->method, operation->path, 400, "JSON", "{");
}

static void refuse_parameters(const struct operation *operation)
{
    const char *path = v1_path("%s?nobody=1", operation->path);
    if (has(operation, "422") && strncmp(path, "/v1/", 4) == 0)
        v1_refused(&server, operation->method, path, 422, "nobody", sends(operation) ? "{}" : NULL);
    if (has(operation, "422") && strcmp(operation->path, "/metrics") == 0)
        v1_refused(&server, operation->method, path, 422, "nobody", NULL);
}

static void refuse_nobody(const struct operation *operation)
{
    if (has(operation, "404"))
        json_decref(v1_send(&server, operation->method, operation->path, 404, NULL, "",
                            sends(operation) ? "{}" : NULL, sends(operation) ? 2 : 0));
}

static void try_generally(const struct operation *operation)
{
    refuse_strangers(operation);
    refuse_bodies(operation);
    refuse_parameters(operation);
    refuse_nobody(operation);
}

/* ---- what only some are answered with ------------------------------------------------------- */

static void try_jobs(void)
{
    const char *id = v1_put(&server, "{'task':'t','queue':'q','unique':{'key':'k'}}");
    v1_ok(&server, "POST", "/v1/jobs", 200, "[{'task':'t'}]");
    v1_ok(&server, "POST", "/v1/jobs", 200, "{'task':'t','unique':{'key':'k'}}");
    v1_ok(&server, "POST", "/v1/jobs?atomic", 409, "[{'task':'t','unique':{'key':'k'}}]");
    v1_ok(&server, "GET", "/v1/jobs", 200, NULL);
    v1_ok(&server, "GET", v1_path("/v1/jobs/%s", id), 200, NULL);
    v1_ok(&server, "GET", "/v1/jobs?limit=0", 422, NULL);
    json_t *leased = v1_lease(&server, "q");
    v1_ok(&server, "POST", v1_path("/v1/jobs/%s/retry", id), 409, NULL);
    v1_ok(&server, "POST", "/v1/extend", 200, "{'jobs':[{'id':'%s','token':'%s'}]}", id,
          v1_text(leased, "token"));
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 202, NULL);
    json_decref(v1_settle(&server, leased, "cancel", ""));
    json_decref(leased);
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 409, NULL);
    v1_ok(&server, "POST", v1_path("/v1/jobs/%s/retry", id), 200, NULL);
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 200, NULL);
}

static void try_flows(void)
{
    json_t *answer = v1(&server, "POST", "/v1/jobs", 201, "{'task':'t','group':'g'}");
    const char *path = v1_path("/v1/flows/%s", v1_text(answer, "flow"));
    v1_ok(&server, "GET", path, 200, NULL);
    v1_ok(&server, "DELETE", path, 200, NULL);
    v1_ok(&server, "DELETE", path, 409, NULL);
    json_decref(answer);
}

static void try_queues_and_crons(void)
{
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'burst':1}");
    v1_ok(&server, "GET", "/v1/queues/q", 200, NULL);
    v1_ok(&server, "GET", "/v1/queues", 200, NULL);
    v1_ok(&server, "PUT", "/v1/crons/c", 200,
          "{'schedule':'@daily','job':{'task':'t','queue':'c','unique':{'key':'c'}}}");
    v1_ok(&server, "GET", "/v1/crons", 200, NULL);
    v1_ok(&server, "GET", "/v1/crons/c", 200, NULL);
    v1_ok(&server, "POST", "/v1/crons/c/run", 201, NULL);
    v1_ok(&server, "POST", "/v1/crons/c/run", 200, NULL);
    v1_ok(&server, "DELETE", "/v1/crons/c", 204, NULL);
}

static void try_workers(void)
{
    json_t *answer = v1(&server, "POST", "/v1/workers", 201, "{'name':'w'}");
    const char *path = v1_path("/v1/workers/%d", (int)v1_number(answer, "number"));
    json_decref(answer);
    v1_ok(&server, "GET", "/v1/workers", 200, NULL);
    v1_ok(&server, "PUT", path, 204, "{'running':1}");
    v1_ok(&server, "DELETE", path, 204, NULL);
}

/* Of answers that are no JSON, the status alone. */
static void try_texts(void)
{
    struct reply reply;
    http_request(&server, "GET", "/metrics", "Authorization: Bearer " ADMIN "\r\n", NULL, 0,
                 &reply);
    CHECK(strstr(reply.head, "text/plain") != NULL);
    v1_check("GET", "/metrics", reply.status, NULL);
    reply_free(&reply);
    static const char head[] = "GET /v1/events HTTP/1.1\r\nHost: t\r\n"
                               "Authorization: Bearer " ADMIN "\r\n\r\n";
    v1_check("GET", "/v1/events", http_raw(&server, head, sizeof head - 1), NULL);
}

static void try_numbers(void)
{
    v1_ok(&server, "GET", "/v1/stats", 200, NULL);
    v1_ok(&server, "GET", "/v1/audit", 200, NULL);
    v1_ok(&server, "GET", "/healthz", 200, NULL);
    v1_ok(&server, "GET", "/readyz", 200, NULL);
    v1_ok(&server, "GET", "/openapi.json", 200, NULL);
    v1_ok(&server, "GET", "/queue-status", 200, NULL);
    v1_ok(&server, "GET", "/database/stats", 200, NULL);
    v1_ok(&server, "GET", "/thread-efficiency", 200, NULL);
    json_t *accepted = v1(&server, "POST", "/process", 200, "{'text':'t'}");
    v1_ok(&server, "GET", v1_path("/status/%s", v1_text(accepted, "request_id")), 200, NULL);
    v1_ok(&server, "POST", "/process", 422, "{}");
    json_decref(accepted);
}

/* 503 is what full queues, failing disks and servers that end are answered with: other tests. */
static void check_seen(const struct operation *operation)
{
    const char *status;
    json_t *answer;
    json_object_foreach(json_object_get(operation->described, "responses"), status, answer)
    {
        bool seen = v1_was_seen(operation->id, status) || strcmp(status, "503") == 0;
        CHECK(seen);
        if (!seen)
            test_note("%s was never answered with %s", operation->id, status);
    }
}

TEST(every_operation_of_the_document_is_answered_with_every_status_it_has_there)
{
    open_server("contract.db");
    try_jobs();
    try_flows();
    try_queues_and_crons();
    try_workers();
    try_texts();
    try_numbers();
    visit_all(try_generally);
    visit_all(check_seen);
    CHECK(!v1_was_seen("nobody", "200"));
    CHECK(!v1_was_seen("putJobs", "204"));
    close_server();
}

/* ---- what is written down -------------------------------------------------------------------- */

/* What is done, what it must be done to, and what stands in the log then. The target is what is
 * behind "/v1/.../" in the path; of a job that was put in before, its id, which is its flow's. */
static const struct deed {
    const char *operation, *job;
    const char *method, *path, *behind, *body; /* behind the id, if there is a job */
    int status;
    const char *action, *detail;
} deeds[] = {
    {"cancelJob", "{\"task\":\"t\"}", "DELETE", "/v1/jobs/", "", NULL, 200, "cancel", ""},
    {"retryJob", "{\"task\":\"t\",\"delay\":60}", "POST", "/v1/jobs/", "/retry", NULL, 200, "retry",
     ""},
    {"cancelFlow", "{\"task\":\"t\",\"group\":\"g\"}", "DELETE", "/v1/flows/", "", NULL, 200,
     "cancel_flow", ""},
    {"changeQueue", NULL, "PATCH", "/v1/queues/q", "", "{\"paused\":\n\ttrue}", 200, "queue_set",
     "{\"paused\":true,\"size_max\":1000000,\"running_max\":0,\"running_max_per_key\":0,\"rate\":0."
     "0,"
     "\"burst\":0}"},
    {"setCron", NULL, "PUT", "/v1/crons/c", "",
     "{\"schedule\":\"0 9 * * *\",\"job\":{\"task\":\"t\"}}", 200, "cron_set", "0 9 * * *"},
    {"runCron", NULL, "POST", "/v1/crons/c/run", "", NULL, 201, "cron_run", ""},
    {"removeCron", NULL, "DELETE", "/v1/crons/c", "", NULL, 204, "cron_remove", ""},
};
#define DEEDS (sizeof deeds / sizeof *deeds)

static json_t *audit(size_t *ret_count)
{
    json_t *log = v1(&server, "GET", "/v1/audit?limit=1000", 200, NULL);
    *ret_count = json_array_size(v1_at(log, "entries"));
    return log;
}

/* The part of the path between the second slash and the next. */
static const char *target_of(const char *path)
{
    const char *at = strchr(path + 4, '/') + 1;
    return v1_path("%.*s", (int)strcspn(at, "/"), at);
}

static void check_written(const char *path, const struct deed *deed, size_t before)
{
    size_t after;
    json_t *log = audit(&after);
    CHECK_EQUAL(after, before + 1);
    CHECK_TEXT(log, "entries.0.who", "ada");
    CHECK_TEXT(log, "entries.0.action", deed->action);
    CHECK_TEXT(log, "entries.0.target", target_of(path));
    CHECK_TEXT(log, "entries.0.detail", deed->detail);
    json_decref(log);
}

static void check_deed(const struct deed *deed)
{
    const char *path = deed->path;
    size_t before, after, len = deed->body ? strlen(deed->body) : 0;
    if (deed->job) {
        json_t *job = v1(&server, "POST", "/v1/jobs", 201, "%s", deed->job);
        path = v1_path("%s%s%s", deed->path, v1_text(job, "id"), deed->behind);
        json_decref(job);
    }
    json_decref(audit(&before));
    json_decref(v1_send(&server, deed->method, path, deed->status, NULL, "", deed->body, len));
    check_written(path, deed, before);

    /* What was refused was not done. */
    json_decref(audit(&before));
    const char *refused = v1_path("%s?nobody=1", path);
    json_decref(v1_send(&server, deed->method, refused, 422, NULL, "", deed->body, len));
    v1_use_token(READER);
    json_decref(v1_send(&server, deed->method, path, 403, NULL, "", deed->body, len));
    v1_use_token(ADMIN);
    json_decref(audit(&after));
    CHECK_EQUAL(after, before);
}

static void check_is_deed(const struct operation *operation)
{
    bool found = strcmp(operation->scope, "admin") != 0 || strcmp(operation->method, "GET") == 0;
    for (size_t i = 0; i < DEEDS && !found; i++)
        found = strcmp(deeds[i].operation, operation->id) == 0 &&
                strcmp(deeds[i].method, operation->method) == 0;
    CHECK(found);
    if (!found)
        test_note("%s has no row", operation->id);
}

TEST(every_action_of_an_administrator_is_written_down)
{
    open_server("deeds.db");
    for (size_t i = 0; i < DEEDS; i++)
        check_deed(&deeds[i]);
    visit_all(check_is_deed);
    close_server();
}

TEST(what_could_not_be_done_is_not_written_down)
{
    size_t count;
    open_server("undone.db");
    v1_ok(&server, "DELETE", "/v1/jobs/" NOBODY, 404, NULL);
    v1_ok(&server, "POST", "/v1/jobs/" NOBODY "/retry", 404, NULL);
    v1_ok(&server, "DELETE", "/v1/flows/" NOBODY, 404, NULL);
    v1_ok(&server, "PATCH", "/v1/queues/q", 422, "{'burst':-1}");
    v1_ok(&server, "PUT", "/v1/crons/c", 422, "{'schedule':'never','job':{'task':'t'}}");
    v1_ok(&server, "POST", "/v1/crons/c/run", 404, NULL);
    v1_ok(&server, "DELETE", "/v1/crons/c", 404, NULL);
    const char *id = v1_put(&server, "{'task':'t'}");
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 200, NULL);
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 409, NULL);
    json_decref(audit(&count));
    CHECK_EQUAL(count, 1);
    close_server();
}
