/* SPDX-License-Identifier: MIT
 * router.c - finding a route, and refusing routes that make no sense. */
#include "test.h"

#include <http/method.h>
#include <http/router.h>
#include <http/target.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UUID "0190b7e0-1c2d-7abc-8def-0123456789ab"

static void handler(struct weft_http_exchange *exchange, void *context)
{
    (void)exchange, (void)context;
}

/* A request whose target has been split. */
struct target {
    char text[16384];
    struct weft_http_incoming request;
    const char *error;
};

static struct target *split(const char *text)
{
    static struct target target;
    (void)snprintf(target.text, sizeof target.text, "%s", text);
    memset(&target.request, 0, sizeof target.request);
    target.request.message = target.text;
    target.request.method = HTTP_GET;
    target.request.url.len = (uint32_t)strlen(text);
    target.error = weft_http_target_split(&target.request);
    return &target;
}

static struct weft_http_match find(const struct weft_http_router *router, const char *method,
                                   const char *target)
{
    struct target *parts = split(target);
    REQUIRE(parts->error == NULL);
    return weft_http_router_find(router, (unsigned)weft_http_method_find(method),
                                 &parts->request.path);
}

static bool finds(const struct weft_http_router *router, const char *method, const char *target,
                  const char *pattern)
{
    struct weft_http_match match = find(router, method, target);
    if (!pattern)
        return match.route == NULL;
    return match.route && strcmp(match.route->pattern, pattern) == 0;
}

static struct weft_http_router *open_router(const struct weft_http_route *routes, size_t count)
{
    struct weft_http_router *router = NULL;
    REQUIRE(weft_http_router_open(&router, routes, count) == 0);
    return router;
}

static const struct weft_http_route routes[] = {
    {"GET", "/", handler},
    {"GET", "/users/{n:int}", handler},
    {"GET", "/users/{name}", handler},
    {"GET", "/users/me", handler},
    {"DELETE", "/users/{n:int}", handler},
    {"GET", "/status/{id:uuid}", handler},
    {"POST", "/jobs", handler},
    {"GET", "/jobs", handler},
    {"POST", "/jobs/{id:uuid}/retry", handler},
    {"GET", "/a/{x}/c", handler},
    {"GET", "/a/b/{y}", handler},
    {"GET", "/with space", handler},
};
#define ROUTES (sizeof routes / sizeof routes[0])

TEST(a_literal_segment_wins_over_a_parameter)
{
    struct weft_http_router *router = open_router(routes, ROUTES);
    CHECK(finds(router, "GET", "/users/me", "/users/me"));
    CHECK(finds(router, "GET", "/users/you", "/users/{name}"));
    CHECK(finds(router, "GET", "/a/b/c", "/a/b/{y}"));
    CHECK(finds(router, "GET", "/a/x/c", "/a/{x}/c"));
    weft_http_router_close(router);
}

TEST(a_parameter_of_another_type_does_not_match)
{
    struct weft_http_router *router = open_router(routes, ROUTES);
    CHECK(finds(router, "GET", "/users/42", "/users/{n:int}"));
    CHECK(finds(router, "GET", "/users/-42", "/users/{n:int}"));
    CHECK(finds(router, "GET", "/users/42x", "/users/{name}"));
    CHECK(finds(router, "GET", "/users/-", "/users/{name}"));
    CHECK(finds(router, "GET", "/users/9223372036854775807", "/users/{n:int}"));
    CHECK(finds(router, "GET", "/users/9223372036854775808", "/users/{name}"));
    CHECK(finds(router, "GET", "/users/-9223372036854775808", "/users/{n:int}"));
    CHECK(finds(router, "GET", "/users/99999999999999999999", "/users/{name}"));
    CHECK(finds(router, "GET", "/status/" UUID, "/status/{id:uuid}"));
    CHECK(finds(router, "GET", "/status/" UUID "0", NULL));
    CHECK(finds(router, "GET", "/status/xyz", NULL));
    weft_http_router_close(router);
}

TEST(every_segment_counts)
{
    struct weft_http_router *router = open_router(routes, ROUTES);
    CHECK(finds(router, "GET", "/", "/"));
    CHECK(finds(router, "GET", "//", NULL));
    CHECK(finds(router, "GET", "/users", NULL));
    CHECK(finds(router, "GET", "/users/", NULL));
    CHECK(finds(router, "GET", "/users/me/", NULL));
    CHECK(finds(router, "GET", "/jobs/" UUID, NULL));
    CHECK(finds(router, "POST", "/jobs/" UUID "/retry", "/jobs/{id:uuid}/retry"));
    CHECK(finds(router, "GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", NULL));
    weft_http_router_close(router);
}

TEST(a_known_path_tells_its_methods)
{
    struct weft_http_router *router = open_router(routes, ROUTES);
    CHECK_EQUAL(find(router, "PUT", "/jobs").methods,
                weft_http_method_bit(HTTP_GET) | weft_http_method_bit(HTTP_POST));
    /* Both patterns fit, so the methods of both are allowed. */
    CHECK_EQUAL(find(router, "PUT", "/users/7").methods,
                weft_http_method_bit(HTTP_GET) | weft_http_method_bit(HTTP_DELETE));
    CHECK_EQUAL(find(router, "GET", "/nowhere").methods, 0);
    CHECK(finds(router, "DELETE", "/users/7", "/users/{n:int}"));
    weft_http_router_close(router);
}

TEST(a_more_general_route_serves_the_method_a_literal_lacks)
{
    static const struct weft_http_route some[] = {
        {"GET", "/jobs/stats", handler},
        {"DELETE", "/jobs/{id}", handler},
    };
    struct weft_http_router *router = open_router(some, 2);
    CHECK(finds(router, "DELETE", "/jobs/stats", "/jobs/{id}"));
    CHECK(finds(router, "GET", "/jobs/stats", "/jobs/stats"));
    weft_http_router_close(router);
}

TEST(head_falls_back_to_get)
{
    struct weft_http_router *router = open_router(routes, ROUTES);
    CHECK(finds(router, "HEAD", "/users/me", "/users/me"));
    CHECK(finds(router, "HEAD", "/jobs/" UUID "/retry", NULL));
    weft_http_router_close(router);
}

TEST(parameters_know_their_segment)
{
    struct weft_http_router *router = open_router(routes, ROUTES);
    struct weft_http_match match = find(router, "POST", "/jobs/" UUID "/retry");
    REQUIRE(match.params_count == 1);
    CHECK_EQUAL(match.params[0].segment, 1);
    CHECK_EQUAL(match.params[0].name_len, 2);
    CHECK(memcmp(match.params[0].name, "id", 2) == 0);
    weft_http_router_close(router);
}

TEST(an_escaped_slash_stays_inside_its_segment)
{
    struct weft_http_router *router = open_router(routes, ROUTES);
    CHECK(finds(router, "GET", "/users/a%2fb", "/users/{name}"));
    CHECK(finds(router, "GET", "/users%2fme", NULL));
    CHECK(finds(router, "GET", "/with%20space", "/with space"));
    CHECK(finds(router, "GET", "/%75sers/me", "/users/me"));
    weft_http_router_close(router);
}

TEST(a_router_without_routes_finds_nothing)
{
    struct weft_http_router *router = open_router(NULL, 0);
    CHECK(finds(router, "GET", "/", NULL));
    weft_http_router_close(router);
}

TEST(malformed_routes_are_refused)
{
    static const struct weft_http_route bad[] = {
        {"GET", "users", handler},
        {"GET", "", handler},
        {"GET", NULL, handler},
        {NULL, "/", handler},
        {"GOT", "/", handler},
        {"get", "/", handler},
        {"GET", "/", NULL},
        {"GET", "/{}", handler},
        {"GET", "/{:int}", handler},
        {"GET", "/{n:}", handler},
        {"GET", "/{n:float}", handler},
        {"GET", "/{n", handler},
        {"GET", "/n}", handler},
        {"GET", "/a{n}", handler},
        {"GET", "/{n}b", handler},
        {"GET", "/{a}{b}", handler},
        {"GET", "/{n}/{n}", handler},
        {"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", handler},
        {"GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", handler},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weft_http_router *router = NULL;
        int err = weft_http_router_open(&router, &bad[i], 1);
        CHECK_EQUAL(err, -EINVAL);
        if (err != -EINVAL)
            test_note("pattern %s", bad[i].pattern);
        CHECK(router == NULL);
    }
}

TEST(two_routes_for_the_same_are_refused)
{
    static const struct weft_http_route twice[] = {
        {"GET", "/users/{a}", handler},
        {"GET", "/users/{b}", handler},
    };
    struct weft_http_router *router = NULL;
    CHECK_EQUAL(weft_http_router_open(&router, twice, 2), -EINVAL);
}

TEST(limits_of_a_pattern_can_be_reached)
{
    static const struct weft_http_route most[] = {
        {"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}", handler},
        {"GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", handler},
    };
    struct weft_http_router *router = open_router(most, 2);
    CHECK_EQUAL(find(router, "GET", "/1/2/3/4/5/6/7/8").params_count, 8);
    CHECK(finds(router, "GET", most[1].pattern, most[1].pattern));
    weft_http_router_close(router);
}

/* ---- targets ---------------------------------------------------------------------------- */

TEST(targets_are_split_and_decoded)
{
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a?b=c", "/a", "b=c"},
        {"/a?", "/a", ""},
        {"/a?b?c", "/a", "b?c"},
        {"/%41%2fb%25", "/A/b%", ""},
        {"/a+b", "/a+b", ""},
        {"/%e2%82%ac", "/\xe2\x82\xac", ""},
        {"http://host/a?b", "/a", "b"},
        {"HTTPS://host:8/a", "/a", ""},
        {"http://host", "/", ""},
        {"http://host?b=c", "/", "b=c"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct target *target = split(cases[i].target);
        REQUIRE(target->error == NULL);
        CHECK(strcmp(target->request.path.text, cases[i].path) == 0);
        CHECK_EQUAL(target->request.path.len, strlen(cases[i].path));
        CHECK(strcmp(weft_http_text(&target->request, target->request.query), cases[i].query) == 0);
    }
}

TEST(malformed_targets_are_refused)
{
    static const char *const cases[] = {
        "",       "*",         "a",     "?a",       "/%",        "/%4",     "/%4g",    "/%00",
        "/a%00b", "/a?b=%00",  "/a?%",  "/a?b=%zz", "/a b",      "/a?b c",  "/a#b",    "/a?b#c",
        "/\x7f",  "/\xc3\xa4", "/a\tb", "ftp://h/", "http:///a", "http://", "host:80", "/a?\x80",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(split(cases[i])->error != NULL);
        if (!split(cases[i])->error)
            test_note("target %s", cases[i]);
    }
}
