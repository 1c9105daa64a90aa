/* SPDX-License-Identifier: MIT
 * v1_hostile.c - whatever is sent, the answer is one that the document knows: what is wrong is
 * refused with its name, nothing that was said is passed over in silence, and the server lives. */
#include "schema.h"
#include "v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY  "0190b7e0-1c2d-7abc-8def-0123456789ab"
#define NOTHING "00000000-0000-0000-0000-000000000000"

static struct server server;

static void open_server(const char *database)
{
    server_start(&server, database, &(struct weft_serve_options){0});
}

static void close_server(void)
{
    CHECK_EQUAL(server_stop(&server), 0);
}

/* ---- every member of every body, with everything ------------------------------------------ */

/* A request whose body has an object of a schema somewhere, with members that it needs. */
static const struct body {
    const char *method, *path, *schema;
    const char *before, *after; /* around the object */
    const char *needs[3][2];
} bodies[] = {
    {"POST", "/v1/jobs", "JobRequest", "", "", {{"task", "'t'"}}},
    {"POST", "/v1/jobs", "JobRequest", "[{'task':'u'},", "]", {{"task", "'t'"}}},
    {"POST",
     "/v1/settle",
     "Settlement",
     "{'jobs':[",
     "]}",
     {{"id", "'" NOBODY "'"}, {"token", "'1'"}, {"outcome", "'complete'"}}},
    {"POST",
     "/v1/settle",
     "JobRequest",
     "{'jobs':[{'id':'" NOBODY "','token':'1','outcome':'complete','enqueue':[",
     "]}]}",
     {{"task", "'t'"}}},
    {"POST",
     "/v1/extend",
     "Extension",
     "{'jobs':[",
     "]}",
     {{"id", "'" NOBODY "'"}, {"token", "'1'"}}},
    {"POST", "/v1/lease", "LeaseRequest", "", "", {{"queues", "['nobody']"}}},
    {"PATCH", "/v1/queues/q", "QueueChange", "", "", {{0}}},
    {"PUT",
     "/v1/crons/c",
     "CronChange",
     "",
     "",
     {{"schedule", "'@daily'"}, {"job", "{'task':'t'}"}}},
    {"POST", "/v1/workers", "WorkerJoin", "", "", {{"name", "'w'"}}},
    {"PUT", "/v1/workers/1", "WorkerBeat", "", "", {{0}}},
    {"POST", "/process", "ProcessRequest", "", "", {{"text", "'t'"}}},
};

/* JSON with ' for "; what is none, too. NUL stands for itself, so lengths are told. */
static const char *const values[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1",
    "0.25",
    "1e400",
    "-1e308",
    "1e308",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "1e-300",
    "1e-9",
    "''",
    "'x'",
    "'\\u0000'",
    "'a\\u0000b'",
    "'\\ud800'",
    "'\xff'",
    "'\xc3'",
    "'\xed\xa0\x80'",
    "'\x01'",
    "'" NOTHING "'",
    "'-5s'",
    "'1s1s'",
    "'99999999999d'",
    "'1ns'",
    "'*'",
    "'a b'",
    "'2030-13-01T00:00:00Z'",
    "'1960-01-01T00:00:00Z'",
    "'9999-12-31T23:59:59Z'",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[1]",
    "['x']",
    "['x','x']",
    "['" NOTHING "']",
    "{'a':1}",
    "{'a':'b','a':'b'}",
    "{'':''}",
    "{'\\u0000':1}",
    "NaN",
    "Infinity",
    "-",
    "01",
    "+1",
    ".5",
    "'",
    "tru",
    "}",
    "",
};
#define VALUES (sizeof values / sizeof *values)

static void append(char *text, size_t *len, const char *more)
{
    for (; *more; more++)
        text[(*len)++] = (char)(*more == '\'' ? '"' : *more);
    text[*len] = '\0';
}

/* The object with one member more, or another value for one that it needs; inner is a member of
 * that one. */
static char *make_body(const struct body *body, const char *name, const char *inner,
                       const char *value, size_t *ret_len)
{
    char *text = malloc(strlen(value) + 4096);
    size_t len = 0;
    bool first = true;
    REQUIRE(text);
    append(text, &len, body->before);
    append(text, &len, "{");
    for (size_t i = 0; i < 3 && body->needs[i][0]; i++) {
        if (strcmp(body->needs[i][0], name) == 0)
            continue;
        append(text, &len,
               v1_path("%s'%s':%s", first ? "" : ",", body->needs[i][0], body->needs[i][1]));
        first = false;
    }
    append(text, &len, v1_path("%s'%s':", first ? "" : ",", name));
    if (inner)
        append(text, &len,
               v1_path("{%s'%s':",
                       strcmp(name, "unique") == 0 && strcmp(inner, "key") != 0     ? "'key':'k',"
                       : strcmp(name, "backoff") == 0 && strcmp(inner, "base") != 0 ? "'base':1,"
                                                                                    : "",
                       inner));
    append(text, &len, value);
    append(text, &len, inner ? "}}" : "}");
    append(text, &len, body->after);
    *ret_len = len;
    return text;
}

/* Whether a value is one that the schema allows; *ret_json: whether it is JSON at all. */
static bool is_allowed(const json_t *schema, const char *value, bool *ret_json)
{
    char why[400], text[256];
    size_t len = 0;
    append(text, &len, value);
    json_t *json = json_loadb(
        text, len,
        JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    bool allowed = json && schema_check(schema, json, why, sizeof why);
    *ret_json = json != NULL;
    json_decref(json);
    return allowed;
}

static void try_value(const struct body *body, const json_t *schema, const char *name,
                      const char *inner, const char *value)
{
    struct reply reply;
    json_error_t error;
    bool is_json, known = schema != NULL;
    bool allowed = known && is_allowed(schema, value, &is_json);
    size_t len;
    char *text = make_body(body, name, inner, value, &len);
    http_request(&server, body->method, body->path, "Content-Type: application/json\r\n", text, len,
                 &reply);
    json_t *json =
        reply.len > 0 ? json_loadb(reply.body, reply.len, JSON_ALLOW_NUL, &error) : json_null();
    bool refused = reply.status == 400 || reply.status == 413 || reply.status == 422;
    bool taken = reply.status >= 200 && reply.status < 300;
    /* What is wrong in a schedule is said in its own words. */
    bool named = reply.status != 422 || strcmp(name, "schedule") == 0 ||
                 strstr(reply.body, inner ? inner : name) != NULL;
    bool fine = json && named && (refused || (taken && allowed));
    CHECK(fine);
    if (!fine)
        test_note("%s %s %.300s: %d %.300s", body->method, body->path, text, reply.status,
                  reply.body ? reply.body : "");
    v1_check(body->method, body->path, reply.status, json);
    json_decref(json);
    reply_free(&reply);
    free(text);
}

static void try_member(const struct body *body, const json_t *schema, const char *name,
                       const char *inner)
{
    for (size_t i = 0; i < VALUES; i++)
        try_value(body, schema, name, inner, values[i]);
    if (inner || !schema)
        return;
    const char *part;
    json_t *of_part;
    json_object_foreach(json_object_get(openapi_resolve(schema), "properties"), part, of_part)
    {
        if (strcmp(name, "job") != 0) /* which is tried by itself */
            try_member(body, of_part, name, part);
    }
}

TEST(no_member_of_any_body_takes_what_the_document_forbids)
{
    const char *name;
    json_t *schema;
    open_server("members.db");
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const json_t *schemas =
            json_object_get(json_object_get(openapi(), "components"), "schemas");
        const json_t *whole = json_object_get(schemas, bodies[i].schema);
        REQUIRE(whole);
        json_object_foreach(json_object_get(whole, "properties"), name, schema)
            try_member(&bodies[i], schema, name, NULL);
        if (strcmp(bodies[i].schema, "ProcessRequest") != 0) /* whose clients may say more */
            try_member(&bodies[i], NULL, "nobody", NULL);
    }
    v1_ok(&server, "GET", "/readyz", 200, NULL);
    close_server();
}

/* Every body of the document is in the table above. */
TEST(every_body_of_the_document_is_tried)
{
    const char *template, *method;
    json_t *item, *operation;
    json_object_foreach(json_object_get(openapi(), "paths"), template, item)
    {
        json_object_foreach(item, method, operation)
        {
            bool tried = !json_object_get(operation, "requestBody");
            for (size_t i = 0; i < sizeof bodies / sizeof *bodies && !tried; i++)
                tried = openapi_operation(bodies[i].method, bodies[i].path) == operation;
            CHECK(tried);
            if (!tried)
                test_note("%s %s", method, template);
        }
    }
}

/* ---- bodies that are wrong as a whole ------------------------------------------------------ */

TEST(no_body_of_any_route_is_taken_unless_it_is_one_json_object_or_list)
{
    static const struct {
        const char *text;
        size_t len;
    } wholes[] = {
        {"", 0},
        {" \n", 2},
        {"{", 1},
        {"}", 1},
        {"[", 1},
        {"{}x", 3},
        {"{}{}", 4},
        {"\0", 1},
        {"{}\0", 3},
        {"\xef\xbb\xbf{}", 5},
        {"\xff\xfe{\0}\0", 6},
        {"null", 4},
        {"1", 1},
        {"\"x\"", 3},
        {"tru", 3},
        {"[]", 2},
        {"[[]]", 4},
        {"[1]", 3},
        {"{\"a\"}", 5},
        {"{\"a\":1,}", 8},
        {"{,}", 3},
        {"{\"a\":1 \"b\":2}", 13},
        {"{'a':1}", 7},
        {"//x\n{}", 6},
        {"{\"nobody\":1,\"nobody\":1}", 23},
        {"{\"\\u006e\":1,\"n\":1}", 18},
    };
    open_server("wholes.db");
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (size_t k = 0; k < sizeof wholes / sizeof *wholes; k++) {
            struct reply reply;
            bool empty_change = strcmp(wholes[k].text, "{}") == 0;
            http_request(&server, bodies[i].method, bodies[i].path,
                         "Content-Type: application/json\r\n", wholes[k].text, wholes[k].len,
                         &reply);
            bool fine = empty_change || reply.status == 400 || reply.status == 422;
            json_t *json = reply_json(&reply);
            fine = fine && *v1_text(json, "detail");
            CHECK(fine);
            if (!fine)
                test_note("%s %s %.*s: %d", bodies[i].method, bodies[i].path, (int)wholes[k].len,
                          wholes[k].text, reply.status);
            v1_check(bodies[i].method, bodies[i].path, reply.status, json);
            json_decref(json);
            reply_free(&reply);
        }
    }
    close_server();
}

/* Every body with brackets so deep in one member, known or not: what recurses must not follow. */
static void try_depth(const struct body *body, const char *name, size_t depth, bool objects)
{
    static const char *const pieces[] = {"[", "]", "{'a':", "}"};
    size_t len = 0, most = depth * 6 + 2048;
    char *text = malloc(most), *value = malloc(most);
    REQUIRE(text && value);
    for (size_t i = 0; i < depth; i++)
        append(value, &len, pieces[objects ? 2 : 0]);
    append(value, &len, "0");
    for (size_t i = 0; i < depth; i++)
        append(value, &len, pieces[objects ? 3 : 1]);
    size_t value_len = len;
    len = 0;
    append(text, &len, v1_path("%s{'%s':", body->before, name));
    memcpy(text + len, value, value_len + 1);
    len += value_len;
    append(text, &len, v1_path("}%s", body->after));
    struct reply reply;
    http_request(&server, body->method, body->path, "Content-Type: application/json\r\n", text, len,
                 &reply);
    json_t *json = reply_json(&reply);
    bool fine = (reply.status == 400 || reply.status == 413) && *v1_text(json, "detail");
    CHECK(fine);
    if (!fine)
        test_note("%s %s, %s %zu deep: %d %.200s", body->method, body->path, name, depth,
                  reply.status, reply.body);
    v1_check(body->method, body->path, reply.status, json);
    json_decref(json);
    reply_free(&reply);
    free(value);
    free(text);
}

TEST(brackets_as_deep_as_the_sea_are_refused_in_every_body)
{
    static const size_t depths[] = {33, 1000, 100000};
    open_server("deep.db");
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const json_t *schemas =
            json_object_get(json_object_get(openapi(), "components"), "schemas");
        const json_t *schema = json_object_get(schemas, bodies[i].schema);
        const char *known = json_object_iter_key(
            json_object_iter(json_object_get((json_t *)(uintptr_t)schema, "properties")));
        for (size_t k = 0; k < sizeof depths / sizeof *depths; k++) {
            try_depth(&bodies[i], known, depths[k], false);
            try_depth(&bodies[i], known, depths[k], true);
            try_depth(&bodies[i], "nobody", depths[k], false);
        }
    }
    v1_ok(&server, "GET", "/readyz", 200, NULL);
    close_server();
}

TEST(a_broken_line_in_the_middle_puts_in_nothing_and_is_named)
{
    static const struct {
        const char *line;
        int status;
        const char *detail;
    } lines[] = {
        {"{\"task\":\"t\"", 400, "line 2"},
        {"{\"task\":\"t\"}{\"task\":\"t\"}", 400, "line 2"},
        {"{\"task\":\"t\",\"priority\":10}", 422, "line 2: \"priority\""},
        {"{\"tusk\":\"t\"}", 422, "line 2: unknown member \"tusk\""},
        {"[{\"task\":\"t\"}]", 422, "line 2"},
        {"\"t\"", 422, "line 2"},
        {"{\"task\":\"\xff\"}", 400, "line 2"},
        {"\xef\xbb\xbf{\"task\":\"t\"}", 400, "line 2"},
        {"{\"task\":\"t\",\"task\":\"t\"}", 400, "line 2"},
    };
    open_server("lines.db");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char body[256];
        int len = snprintf(body, sizeof body, "{\"task\":\"t\"}\n%s\r\n{\"task\":\"t\"}\n",
                           lines[i].line);
        json_t *json = v1_send(&server, "POST", "/v1/jobs", lines[i].status, "application/x-ndjson",
                               "", body, (size_t)len);
        bool named = strstr(v1_text(json, "detail"), lines[i].detail) != NULL;
        CHECK(named);
        if (!named)
            test_note("%s: %s", lines[i].line, v1_text(json, "detail"));
        json_decref(json);
    }
    json_t *page = v1(&server, "GET", "/v1/jobs", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(page, "jobs")), 0);
    json_decref(page);
    close_server();
}

TEST(a_line_over_the_limit_is_refused_with_its_number)
{
    size_t len = 0, most = ((size_t)1 << 20) + 100;
    char *body = malloc(most + 200);
    REQUIRE(body);
    open_server("long.db");
    append(body, &len, "{'task':'t'}\n{'task':'t','payload':'");
    memset(body + len, 'x', most);
    len += most;
    append(body, &len, "'}\n");
    json_t *json = v1_send(&server, "POST", "/v1/jobs", 413, "application/x-ndjson", "", body, len);
    CHECK(strstr(v1_text(json, "detail"), "line 2: \"payload\"") != NULL);
    json_decref(json);
    free(body);
    close_server();
}

/* ---- queries and paths --------------------------------------------------------------------- */

/* A stream of events that is not refused would not end: of that one, the status is enough. */
static void refuse_query(const char *path, const char *query, const char *detail)
{
    const char *target = v1_path("%s?%s", path, query);
    if (strcmp(path, "/v1/events") != 0) {
        v1_refused(&server, "GET", target, 422, detail, NULL);
        return;
    }
    const char *head = v1_path("GET %s HTTP/1.1\r\nHost: t\r\n\r\n", target);
    int status = http_raw(&server, head, strlen(head));
    CHECK_EQUAL(status, 422);
    if (status != 422)
        test_note("%s: %d", target, status);
}

static void try_parameter(const char *path, const char *name)
{
    static const char *const bad[] = {
        "",    "-1",  "%2B1", ".",   "..",    "1.2.3", "0x1", "1e3",   "%201",
        "NaN", "inf", "%ff",  "-1s", "a%20b", "a%0ab", "%22", NOTHING, "18446744073709551616",
    };
    /* A name may look like nearly anything. */
    bool is_name = strcmp(name, "queue") == 0 || strcmp(name, "task") == 0;
    bool is_number = strcmp(name, "after") == 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!is_name || !bad[i][0] || strchr(bad[i], '%'))
            refuse_query(path, v1_path("%s=%s", name, bad[i]),
                         is_number ? "number of the last event" : v1_path("\"%s\"", name));
    refuse_query(path, v1_path("%s=1&%s=1", name, name), "is there twice");
    const char *head = v1_path("GET %s?%s=%%00 HTTP/1.1\r\nHost: t\r\n\r\n", path, name);
    CHECK_EQUAL(http_raw(&server, head, strlen(head)), 400);
}

TEST(no_parameter_takes_what_it_cannot_mean)
{
    static const struct {
        const char *path, *names[6];
    } queries[] = {
        {"/v1/jobs", {"state", "queue", "task", "flow", "limit", "cursor"}},
        {"/v1/jobs/" NOBODY, {"wait"}},
        {"/v1/audit", {"limit"}},
        {"/v1/events", {"after", "id", "queue", "task"}},
    };
    open_server("queries.db");
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        for (size_t k = 0; k < 6 && queries[i].names[k]; k++)
            try_parameter(queries[i].path, queries[i].names[k]);
    v1_refused(&server, "POST", "/v1/jobs?atomic=true&atomic=false", 422, "is there twice",
               "[{'task':'t'}]");
    close_server();
}

TEST(paths_that_lead_nowhere_are_not_found)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    static const char *const paths[] = {
        "/v1",
        "/v1/",
        "/v1//jobs",
        "/v1/jobs/",
        "/v1/jobs/x",
        "/v1/jobs/x/retry",
        "/../v1/jobs",
        "/v1/jobs/%7bid%7d",
        "/v1/jobs/" NOBODY "/",
        "/v1/jobs/" NOBODY "0",
        "/v1/flows/-1",
        "/v1/queues/",
        "/v1/queues/a/b",
        "/v1/queues/a%2fb",
        "/v1/queues/%ff",
        "/v1/queues/%20",
        "/v1/crons/%ff",
        "/v1/crons/a%0ab",
        "/v1/crons/%22/run",
        "/v1/crons//run",
        "/v1/workers/-1",
        "/v1/workers/0",
        "/v1/workers/9223372036854775807",
        "/v1/workers/9223372036854775808",
        "/v1/workers/1e3",
        "/v1/workers/0x1",
        "/status/x",
        "/V1/jobs",
        "/v1/jobs;x=1",
    };
    char enormous[1000] = "/v1/queues/";
    memset(enormous + strlen(enormous), 'q', sizeof enormous - 20);
    open_server("paths.db");
    for (size_t i = 0; i <= sizeof paths / sizeof *paths; i++) {
        const char *path = i < sizeof paths / sizeof *paths ? paths[i] : enormous;
        for (size_t k = 0; k < sizeof methods / sizeof *methods; k++) {
            struct reply reply;
            bool sends = k == 1 || k == 2 || k == 3;
            http_request(&server, methods[k], path, "", sends ? "{}" : NULL, sends ? 2 : 0, &reply);
            json_t *json = reply_json(&reply);
            bool fine = (reply.status == 404 || reply.status == 405 || reply.status == 422) &&
                        *v1_text(json, "detail");
            CHECK(fine);
            if (!fine)
                test_note("%s %.100s: %d", methods[k], path, reply.status);
            json_decref(json);
            reply_free(&reply);
        }
    }
    close_server();
}

/* An id of zeros is what the store takes for "none". */
TEST(the_id_of_zeros_is_nobodys)
{
    open_server("zeros.db");
    v1_ok(&server, "POST", "/v1/jobs", 201, "{'task':'t'}");
    v1_refused(&server, "GET", "/v1/flows/" NOTHING, 404, "no such flow", NULL);
    v1_refused(&server, "DELETE", "/v1/flows/" NOTHING, 404, "no such flow", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOTHING, 404, "no such job", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOTHING "?wait=1", 404, "no such job", NULL);
    v1_refused(&server, "POST", "/v1/jobs/" NOTHING "/retry", 404, "no such job", NULL);
    v1_refused(&server, "POST", "/v1/jobs", 422, "\"group\"", "{'task':'t','group':'" NOTHING "'}");
    v1_refused(&server, "POST", "/v1/jobs", 422, "\"after\"",
               "{'task':'t','after':['" NOTHING "']}");
    close_server();
}

TEST(whatever_a_cursor_is_made_of_the_list_goes_on)
{
    static const char *const cursors[] = {
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "00000000-0000-0000-0000-000000000001",
        "7fffffff-ffff-7fff-bfff-ffffffffffff",
        "80000000-0000-7000-8000-000000000000",
        NOBODY,
    };
    open_server("cursors.db");
    v1_ok(&server, "POST", "/v1/jobs", 200, "[{'task':'t'},{'task':'t'},{'task':'t'}]");
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        json_t *page = v1(&server, "GET", v1_path("/v1/jobs?cursor=%s", cursors[i]), 200, NULL);
        size_t count = json_array_size(v1_at(page, "jobs"));
        CHECK(count == 0 || count == 3); /* all of them are before it, or none */
        json_decref(page);
    }
    close_server();
}

/* ---- what was said and would be passed over ------------------------------------------------ */

TEST(where_there_is_nothing_to_say_a_body_is_refused)
{
    static const char *const empty[] = {"", "{}", " { }\n", "\t\r\n"};
    static const char *const full[] = {"{\"delay\":5}", "{", "}",   "{}{}", "[]",
                                       "null",          "0", "{}x", "x{}"};
    open_server("nothing.db");
    v1_ok(&server, "PUT", "/v1/crons/c", 200, "{'schedule':'@daily','job':{'task':'t'}}");
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const char *path = v1_path("/v1/jobs/%s/retry", v1_put(&server, "{'task':'t','delay':60}"));
        json_decref(v1_send(&server, "POST", path, 200, NULL, "", empty[i], strlen(empty[i])));
        json_decref(
            v1_send(&server, "POST", "/v1/crons/c/run", 201, NULL, "", empty[i], strlen(empty[i])));
    }
    const char *path = v1_path("/v1/jobs/%s/retry", v1_put(&server, "{'task':'t','delay':60}"));
    for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
        json_decref(v1_send(&server, "POST", path, 422, NULL, "", full[i], strlen(full[i])));
        json_decref(
            v1_send(&server, "POST", "/v1/crons/c/run", 422, NULL, "", full[i], strlen(full[i])));
    }
    json_decref(v1_send(&server, "POST", path, 422, NULL, "", "{\0}", 3));
    json_decref(v1_send(&server, "POST", path, 422, NULL, "", "{}\0", 3));
    close_server();
}

TEST(a_length_that_would_be_nothing_is_refused)
{
    static const char *const names[] = {"timeout", "soft_timeout", "expires_in", "result_ttl"};
    open_server("lengths.db");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        v1_refused(&server, "POST", "/v1/jobs", 422, "more than 0", "{'task':'t','%s':0}",
                   names[i]);
        v1_refused(&server, "POST", "/v1/jobs", 422, "at least a microsecond",
                   "{'task':'t','%s':1e-9}", names[i]);
        v1_refused(&server, "POST", "/v1/jobs", 422, "at least a microsecond",
                   "{'task':'t','%s':'999ns'}", names[i]);
        v1_ok(&server, "POST", "/v1/jobs", 201, "{'task':'t','queue':'q','%s':'1us'}", names[i]);
    }
    v1_refused(&server, "POST", "/v1/jobs", 422, "at least a microsecond",
               "{'task':'t','backoff':{'base':1e-7}}");
    v1_refused(&server, "POST", "/v1/jobs", 422, "at least a microsecond",
               "{'task':'t','unique':{'key':'k','window':'1ns'}}");
    close_server();
}

TEST(delays_without_a_base_are_refused)
{
    open_server("base.db");
    v1_refused(&server, "POST", "/v1/jobs", 422, "\"backoff.base\"",
               "{'task':'t','backoff':{'kind':'linear'}}");
    v1_refused(&server, "POST", "/v1/jobs", 422, "\"backoff.base\"",
               "{'task':'t','backoff':{'cap':'1m'}}");
    v1_refused(&server, "POST", "/v1/jobs", 422, "\"backoff.base\"",
               "{'task':'t','backoff':{'jitter':'none'}}");
    v1_ok(&server, "POST", "/v1/jobs", 201, "{'task':'t','backoff':{}}");
    close_server();
}

/* It would be shown as 0, which is no limit at all. */
TEST(a_rate_that_would_look_like_none_is_refused)
{
    open_server("rate.db");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"rate\"", "{'rate':1e-7}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"rate\"", "{'rate':1e-300}");
    json_t *queue = v1(&server, "PATCH", "/v1/queues/q", 200, "{'rate':1e-6}");
    CHECK(v1_real(queue, "rate") > 0);
    json_decref(queue);
    queue = v1(&server, "PATCH", "/v1/queues/q", 200, "{'rate':0}");
    CHECK(!(v1_real(queue, "rate") > 0));
    json_decref(queue);
    close_server();
}

/* ---- the same key for something else -------------------------------------------------------- */

static json_t *submit(int status, const char *key, const char *body)
{
    size_t len = 0;
    char text[1024];
    append(text, &len, body);
    return v1_send(&server, "POST", "/v1/jobs", status, NULL,
                   v1_path("Idempotency-Key: %s\r\n", key), text, len);
}

TEST(an_idempotency_key_that_comes_with_another_job_is_refused)
{
    static const char *const others[] = {
        "{'task':'u','queue':'q','payload':{'n':1}}",
        "{'task':'t','queue':'r','payload':{'n':1}}",
        "{'task':'t','queue':'q','payload':{'n':2}}",
        "{'task':'t','queue':'q','payload':{'n':1},'priority':1}",
        "{'task':'t','queue':'q','payload':{'n':1},'max_attempts':7}",
        "{'task':'t','queue':'q','payload':{'n':1},'timeout':7}",
        "{'task':'t','queue':'q','payload':{'n':1},'limit_key':'k'}",
        "{'task':'t','queue':'q','payload':{'n':1},'headers':{'a':'b'}}",
        "{'task':'t','queue':'q','payload':{'n':1},'backoff':{'base':7}}",
        "{'task':'t','queue':'q','payload':{'n':1},'result_ttl':7}",
        "{'task':'t','queue':'q','payload':{'n':1},'expires_at':'2040-01-01T00:00:00Z'}",
        "{'task':'t','queue':'q','payload_base64':'eyJuIjoxfQ=='}",
    };
    static const char same[] = "{'task':'t','queue':'q','payload':{'n':1}}";
    open_server("another.db");
    json_t *first = submit(201, "order 17", same);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        json_t *other = submit(422, "order 17", others[i]);
        CHECK_TEXT(other, "detail", "the idempotency key came with another job before");
        json_decref(other);
    }
    json_t *leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "complete", ",'result':1"));
    json_decref(leased);
    json_t *again = submit(200, "order 17", same); /* also when it is over */
    CHECK(v1_is(again, "id", v1_text(first, "id")));
    json_decref(again);
    again = submit(422, "order 17", others[0]);
    json_decref(again);
    json_decref(first);
    json_t *page = v1(&server, "GET", "/v1/jobs", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(page, "jobs")), 1);
    json_decref(page);
    close_server();
}

TEST(in_a_batch_the_key_stands_for_each_job_by_its_place)
{
    open_server("places.db");
    json_decref(submit(200, "batch",
                       "[{'task':'a'},{'task':'b','after':['c']},"
                       "{'name':'c','task':'c'}]"));
    json_t *again = submit(200, "batch",
                           "[{'task':'a'},{'task':'x'},{'task':'c','name':'c'},"
                           "{'task':'d'}]");
    CHECK(json_is_true(v1_at(again, "jobs.0.duplicate")));
    CHECK_EQUAL(v1_number(again, "jobs.1.status"), 422);
    CHECK_TEXT(again, "jobs.1.error", "the idempotency key came with another job before");
    CHECK(json_is_true(v1_at(again, "jobs.2.duplicate")));
    CHECK_TEXT(again, "jobs.3.state", "available");
    CHECK_EQUAL(v1_number(again, "accepted"), 1);
    CHECK_EQUAL(v1_number(again, "refused"), 1);
    json_decref(again);
    static const char other[] = "[{\"task\":\"x\"},{\"task\":\"y\"}]";
    again = v1_send(&server, "POST", "/v1/jobs?atomic=true", 422, NULL,
                    "Idempotency-Key: batch\r\n", other, sizeof other - 1);
    json_decref(again);
    close_server();
}

/* ---- other people's pages -------------------------------------------------------------------- */

static int ask_from(const char *method, const char *headers, const char *body)
{
    struct reply reply;
    http_request(&server, method, "/v1/jobs", headers, body, body ? strlen(body) : 0, &reply);
    json_t *json = reply_json(&reply);
    v1_check(method, "/v1/jobs", reply.status, json);
    json_decref(json);
    int status = reply.status;
    reply_free(&reply);
    return status;
}

static int ask_raw(const char *head)
{
    return http_raw(&server, head, strlen(head));
}

TEST(without_tokens_pages_of_others_may_not_do_what_their_readers_may)
{
    open_server("pages.db");
    static const char job[] = "{\"task\":\"t\"}";
    CHECK_EQUAL(ask_from("POST", "", job), 201);
    CHECK_EQUAL(ask_from("POST", "Origin: https://evil.example\r\n", job), 403);
    CHECK_EQUAL(ask_from("POST", "Origin: null\r\n", job), 403);
    CHECK_EQUAL(ask_from("POST", v1_path("Origin: http://127.0.0.1:%d\r\n", server.port + 1), job),
                403);
    CHECK_EQUAL(ask_from("GET", "Origin: https://evil.example\r\n", NULL), 403);
    CHECK_EQUAL(ask_raw("GET /v1/jobs HTTP/1.1\r\nHost: evil.example:8001\r\n"
                        "Connection: close\r\n\r\n"),
                403);
    CHECK_EQUAL(ask_raw("GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\n"
                        "Origin: http://evil.example\r\nConnection: close\r\n\r\n"),
                403);
    static const char *const own[] = {"127.0.0.1",          "127.0.0.1:8001", "localhost",
                                      "LOCALHOST:8001",     "[::1]:8001",     "[::1]",
                                      "weft.localhost:8001"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        CHECK_EQUAL(ask_raw(v1_path("GET /v1/jobs HTTP/1.1\r\nHost: %s\r\n"
                                    "Connection: close\r\n\r\n",
                                    own[i])),
                    200);
        CHECK_EQUAL(ask_raw(v1_path("GET /v1/jobs HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\n"
                                    "Connection: close\r\n\r\n",
                                    own[i], own[i])),
                    200);
    }
    CHECK_EQUAL(ask_raw("GET /healthz HTTP/1.1\r\nHost: weft.example\r\n"
                        "Connection: close\r\n\r\n"),
                200);
    close_server();
}
