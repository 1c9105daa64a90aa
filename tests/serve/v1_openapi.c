/* SPDX-License-Identifier: MIT
 * v1_openapi.c - the document says what the routes are, and the routes what the document says. What
 * the answers are like is checked by every test of the API, see v1.h. */
#include "schema.h"
#include "v1.h"

#include <serve/api.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct weft_api api;

/* "/v1/jobs/{id:uuid}" as the document has it. */
static void template_of(const char *pattern, char *template, size_t bytes)
{
    size_t len = 0;
    for (const char *c = pattern; *c && len + 1 < bytes; c++) {
        if (*c == ':')
            c += strcspn(c, "}");
        template[len++] = *c;
    }
    template[len] = '\0';
}

static const json_t *operation_of(const struct weft_api_route *route)
{
    char template[128], method[16] = "";
    template_of(route->http.pattern, template, sizeof template);
    for (size_t i = 0; route->http.method[i]; i++)
        method[i] = (char)(route->http.method[i] | 0x20);
    return json_object_get(json_object_get(json_object_get(openapi(), "paths"), template), method);
}

/* Something of a route that should be so. */
static void check(const struct weft_api_route *route, bool holds, const char *what)
{
    CHECK(holds);
    if (!holds)
        test_note("%s %s: %s", route->http.method, route->http.pattern, what);
}

static bool answers(const json_t *operation, int status)
{
    bool known;
    (void)openapi_answer(operation, status, &known);
    return known;
}

static void check_scope(const struct weft_api_route *route, const json_t *operation)
{
    char scope[64];
    const char *text = v1_text(operation, "description");
    (void)snprintf(scope, sizeof scope, "Scope: %s",
                   route->may ? weft_may_name((enum weft_may)route->may) : "none");
    size_t len = strlen(scope);
    check(route, strncmp(text, scope, len) == 0 && (!text[len] || text[len] == '.'), scope);
    check(route, answers(operation, 401) == (route->may != 0), "401");
    check(route, answers(operation, 403) == (route->may != 0), "403");
    const json_t *security = json_object_get(operation, "security");
    check(route, (security != NULL) == (route->may == 0) && json_array_size(security) == 0,
          "security");
}

/* The parameters of its query, and of its path. */
static void check_parameters(const struct weft_api_route *route, const json_t *operation)
{
    char known[256], named[32];
    size_t i, in_query = 0, in_path = 0, want_query = 0, want_path = 0;
    json_t *parameter;
    (void)snprintf(known, sizeof known, " %s ", route->query ? route->query : "");
    json_array_foreach(json_object_get(operation, "parameters"), i, parameter)
    {
        const char *in = v1_text(parameter, "in"), *name = v1_text(parameter, "name");
        (void)snprintf(named, sizeof named, " %s ", name);
        in_query += strcmp(in, "query") == 0;
        in_path += strcmp(in, "path") == 0;
        if (strcmp(in, "query") == 0)
            check(route, strstr(known, named) != NULL, name);
        (void)snprintf(named, sizeof named, "{%s", name);
        if (strcmp(in, "path") == 0)
            check(route, strstr(route->http.pattern, named) && v1_at(parameter, "required"), name);
    }
    for (const char *c = route->query ? route->query : ""; *c; c++)
        want_query += c == route->query || c[-1] == ' ';
    for (const char *c = route->http.pattern; *c; c++)
        want_path += *c == '{';
    check(route, in_query == want_query, "parameters of the query");
    check(route, in_path == want_path, "parameters of the path");
    check(route,
          answers(operation, 422) == (route->query != NULL) || v1_at(operation, "requestBody"),
          "422");
}

static void check_body(const struct weft_api_route *route, const json_t *operation)
{
    bool sends =
        strcmp(route->http.method, "GET") != 0 && strcmp(route->http.method, "DELETE") != 0;
    const json_t *body = json_object_get(operation, "requestBody");
    const json_t *types = json_object_get(body, "content");
    check(route, !body || sends, "only some methods have a body");
    check(route, answers(operation, 415) == sends, "415");
    check(route, answers(operation, 413) == sends, "413");
    check(route, answers(operation, 400) == (body != NULL), "400");
    check(route, !body || answers(operation, 422), "422");
    check(route, (json_object_get(types, "application/x-ndjson") != NULL) == route->lines, "lines");
    check(route, !body || json_object_get(types, "application/json"), "JSON");
}

FIBER_TEST(every_route_is_in_the_document)
{
    REQUIRE(weft_api_init(&api) == 0);
    for (size_t i = 0; i < api.routes_count; i++) {
        const struct weft_api_route *route = api.specs[i];
        const json_t *operation = operation_of(route);
        check(route, operation != NULL, "it is not in the document");
        if (!operation)
            continue;
        check_scope(route, operation);
        check_parameters(route, operation);
        check_body(route, operation);
        check(route, *v1_text(operation, "operationId") && *v1_text(operation, "summary"), "names");
    }
    weft_api_release(&api);
    api = (struct weft_api){0};
}

FIBER_TEST(everything_in_the_document_has_a_route)
{
    const char *template, *method;
    json_t *item, *operation;
    size_t operations = 0;
    REQUIRE(weft_api_init(&api) == 0);
    json_object_foreach(json_object_get(openapi(), "paths"), template, item)
    {
        json_object_foreach(item, method, operation)
        {
            size_t i = 0;
            while (i < api.routes_count && operation_of(api.specs[i]) != operation)
                i++;
            operations++;
            CHECK(i < api.routes_count);
            if (i == api.routes_count)
                test_note("%s %s", method, template);
        }
    }
    CHECK_EQUAL(operations, api.routes_count);
    weft_api_release(&api);
    api = (struct weft_api){0};
}

/* Every $ref leads somewhere, and every schema and answer is used. */
static void follow(const json_t *value, char *used, size_t bytes)
{
    const char *key;
    size_t i;
    json_t *inner;
    const char *ref = json_string_value(json_object_get(value, "$ref"));
    if (ref) {
        (void)openapi_resolve(value);
        if (strlen(used) + strlen(ref) + 2 < bytes)
            (void)strcat(strcat(used, ref), " ");
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, inner) follow(inner, used, bytes);
    json_array_foreach(value, i, inner) follow(inner, used, bytes);
}

TEST(every_reference_leads_somewhere_and_nothing_is_left_over)
{
    static char used[100000];
    const char *kind, *name;
    json_t *parts, *part;
    follow(openapi(), used, sizeof used);
    json_object_foreach(json_object_get(openapi(), "components"), kind, parts)
    {
        json_object_foreach(parts, name, part)
        {
            const char *ref = v1_path("#/components/%s/%s ", kind, name);
            bool needed = strcmp(kind, "securitySchemes") == 0 || strstr(used, ref);
            CHECK(needed);
            if (!needed)
                test_note("%s is not used", ref);
        }
    }
}

TEST(the_server_hands_the_document_out_as_it_is)
{
    struct server server;
    server_start(&server, "document.db", &(struct weft_serve_options){0});
    json_t *answer = v1(&server, "GET", "/openapi.json", 200, NULL);
    CHECK(json_equal(answer, (json_t *)(uintptr_t)openapi()));
    json_decref(answer);
    CHECK_EQUAL(server_stop(&server), 0);
}

/* What a test relies on must be able to fail. */
TEST(the_checker_finds_what_is_wrong)
{
    static const struct {
        const char *schema, *value;
        bool valid;
    } cases[] = {
        {"{\"type\":\"integer\",\"minimum\":1}", "1", true},
        {"{\"type\":\"integer\",\"minimum\":1}", "0", false},
        {"{\"type\":\"integer\"}", "1.5", false},
        {"{\"type\":\"number\",\"maximum\":2}", "2.5", false},
        {"{\"type\":[\"string\",\"null\"]}", "null", true},
        {"{\"type\":[\"string\",\"null\"]}", "1", false},
        {"{\"enum\":[\"a\",true]}", "true", true},
        {"{\"enum\":[\"a\",true]}", "\"b\"", false},
        {"{\"type\":\"string\",\"maxLength\":2}", "\"abc\"", false},
        {"{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}", "\"123\"", true},
        {"{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}", "\"12a\"", false},
        {"{\"type\":\"string\",\"format\":\"uuid\"}", "\"abc\"", false},
        {"{\"type\":\"string\",\"format\":\"date-time\"}", "\"2026-01-01T00:00:00Z\"", true},
        {"{\"type\":\"string\",\"format\":\"date-time\"}", "\"today\"", false},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "[\"a\",1]", false},
        {"{\"type\":\"array\",\"minItems\":1}", "[]", false},
        {"{\"type\":\"array\",\"maxItems\":1}", "[1,2]", false},
        {"{\"type\":\"object\",\"required\":[\"a\"]}", "{}", false},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"additionalProperties\":false}",
         "{\"b\":1}", false},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", false},
        {"{\"additionalProperties\":{\"type\":\"string\"}}", "{\"a\":1}", false},
        {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}", "1", true},
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", "1", false},
        {"{\"oneOf\":[{\"type\":\"string\"}]}", "1", false},
        {"{\"$ref\":\"#/components/schemas/State\"}", "\"dead\"", true},
        {"{\"$ref\":\"#/components/schemas/State\"}", "\"asleep\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *schema = json_loads(cases[i].schema, 0, NULL);
        json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
        char why[400] = "";
        REQUIRE(schema && value);
        CHECK_EQUAL(schema_check(schema, value, why, sizeof why), cases[i].valid);
        json_decref(schema);
        json_decref(value);
    }
    CHECK(openapi_operation("GET", "/v1/jobs/7?wait=1") != NULL);
    CHECK(openapi_operation("GET", "/v1/jobs") != openapi_operation("POST", "/v1/jobs"));
    CHECK(!openapi_operation("GET", "/v1/jobs/7/nothing"));
    CHECK(!openapi_operation("PUT", "/v1/jobs"));
}
