/* SPDX-License-Identifier: MIT
 * api.c - the paths and keys of the service, and what it does with requests that are wrong. */
#include "server.h"

#include <base/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* A good request must work whatever was sent before. Returns the id; free it. */
static char *post_good(const struct server *server)
{
    struct reply reply;
    http_post(server, "{\"text\":\"a\"}", &reply);
    CHECK_EQUAL(reply.status, 200);
    json_t *root = reply_json(&reply);
    char *id = strdup(string_of(root, "request_id"));
    json_decref(root);
    reply_free(&reply);
    return id;
}

TEST(an_accepted_request_is_answered_with_the_keys_of_the_contract)
{
    struct server server;
    server_start(&server, "accept.db", &(struct weft_serve_options){0});
    struct reply reply;
    http_post(&server, "{\"text\": \"hello\", \"more\": [1, {\"x\": null}]}", &reply);
    CHECK_EQUAL(reply.status, 200);
    CHECK(strstr(reply.head, "Content-Type: application/json") != NULL);
    json_t *root = reply_json(&reply);
    check_keys(root, "status request_id message worker_assigned total_queued max_capacity "
                     "timestamp");
    CHECK(strcmp(string_of(root, "status"), "accepted") == 0);
    CHECK_EQUAL(strlen(string_of(root, "request_id")), 36);
    CHECK_EQUAL(string_of(root, "request_id")[14], '7'); /* UUID version 7 */
    CHECK(number_of(root, "worker_assigned") >= 0 && number_of(root, "worker_assigned") < 4);
    CHECK_EQUAL(number_of(root, "max_capacity"), 400000);
    json_decref(root);
    reply_free(&reply);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(the_status_goes_from_processing_to_completed)
{
    static const int64_t steps_ns[] = {1900 * WEFT_MSEC, 100 * WEFT_MSEC, 0};
    struct server server;
    server_start(&server, "status.db", &(struct weft_serve_options){.steps_ns = steps_ns});
    char *id = post_good(&server), path[128];
    (void)snprintf(path, sizeof path, "/status/%s", id);
    struct reply reply;
    CHECK(wait_for_status(&server, id, "processing"));
    http_get(&server, path, &reply);
    json_t *root = reply_json(&reply);
    CHECK(strcmp(string_of(root, "status"), "processing") == 0);
    check_keys(root, "request_id status total_queue_size message");
    json_decref(root);
    reply_free(&reply);

    CHECK(wait_for_status(&server, id, "completed"));
    http_get(&server, path, &reply);
    root = reply_json(&reply);
    check_keys(root, "request_id status result");
    const json_t *result = json_object_get(root, "result");
    check_keys(result, "request_id original_text step1_result step2_result final_result "
                       "processing_time worker_id thread_id timestamp status optimization");
    CHECK(strcmp(string_of(result, "request_id"), id) == 0);
    CHECK(strcmp(string_of(result, "original_text"), "a") == 0);
    CHECK(strcmp(string_of(result, "step1_result"), "fun_1") == 0);
    CHECK(strcmp(string_of(result, "step2_result"), "fun_2") == 0);
    CHECK(strcmp(string_of(result, "final_result"), "processed_a_fun_1_fun_2") == 0);
    CHECK(strcmp(string_of(result, "status"), "completed") == 0);
    double took = json_real_value(json_object_get(result, "processing_time"));
    CHECK(took >= 0.3 && took < 10.0);
    json_decref(root);
    reply_free(&reply);
    CHECK_EQUAL(server_stop(&server), 0);
    free(id);
}

/* text is JSON with its quotes; the results must decode to what is expected. */
static void check_text(const struct server *server, const char *json_text)
{
    char body[256], path[128];
    (void)snprintf(body, sizeof body, "{\"text\": %s}", json_text);
    json_t *sent = json_loads(body, JSON_ALLOW_NUL, NULL);
    REQUIRE(sent);
    struct reply reply;
    http_post(server, body, &reply);
    CHECK_EQUAL(reply.status, 200);
    json_t *root = reply_json(&reply);
    (void)snprintf(path, sizeof path, "/status/%s", string_of(root, "request_id"));
    CHECK(wait_for_status(server, string_of(root, "request_id"), "completed"));
    json_decref(root);
    reply_free(&reply);
    http_get(server, path, &reply);
    root = reply_json(&reply);
    const json_t *result = json_object_get(root, "result");
    CHECK(json_equal(json_object_get(result, "original_text"), json_object_get(sent, "text")));
    CHECK_EQUAL(json_string_length(json_object_get(result, "final_result")),
                json_string_length(json_object_get(sent, "text")) +
                    strlen("processed__fun_1_fun_2"));
    json_decref(root);
    reply_free(&reply);
    json_decref(sent);
}

TEST(any_text_goes_through_unharmed)
{
    struct server server;
    server_start(&server, "text.db", &(struct weft_serve_options){0});
    check_text(&server, "\"\"");
    check_text(&server, "\"h\xc3\xa4 \xf0\x9f\x98\x80\"");
    check_text(&server, "\"quote \\\" slash \\\\ \\/ \\b\\f\\n\\r\\t\"");
    check_text(&server, "\"\\u0000 \\u00e4 \\ud83d\\ude00\"");
    check_text(&server, "\"%s%n '; DROP TABLE jobs; --\"");
    check_text(&server, "\"}{][,:\"");
    struct reply reply;
    http_post(&server, "{\"text\":\"a\",\"n\":[123456789012345678901234567890]}", &reply);
    CHECK_EQUAL(reply.status, 200);
    reply_free(&reply);
    CHECK_EQUAL(server_stop(&server), 0);
}

/* The library takes a NUL behind a number for none at all; what is stored would be no JSON. */
TEST(a_body_with_a_nul_in_it_is_not_json)
{
    static const char body[] = "{\"text\":\"a\",\"n\":50\0}";
    struct server server;
    struct reply reply;
    server_start(&server, "nul.db", &(struct weft_serve_options){0});
    http_request(&server, "POST", "/process", "Content-Type: application/json\r\n", body,
                 sizeof body - 1, &reply);
    CHECK_EQUAL(reply.status, 400);
    CHECK(strstr(reply.body, "not JSON") != NULL);
    reply_free(&reply);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(bodies_that_are_wrong_get_the_right_error)
{
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"", 400},
        {"{", 400},
        {"{\"text\"", 400},
        {"{\"text\":\"a\"", 400},
        {"{\"text\":\"a\"}x", 400},
        {"{\"text\":\"\xff\"}", 400},
        {"{\"text\":\"\xc0\x80\"}", 400},
        {"{\"text\":\"\\ud800\"}", 400},
        {"{\"text\":\"a\",\"text\":\"b\"}", 400},
        {"{'text':'a'}", 400},
        {"text=a", 400},
        {"\xff\xfe\x00", 400},
        {"{\"text\":\"a\",\"x\":1e999}", 400},
        {"{\"text\":123456789012345678901234567890}", 422},
        {"null", 422},
        {"[]", 422},
        {"\"text\"", 422},
        {"17", 422},
        {"{}", 422},
        {"{\"Text\":\"a\"}", 422},
        {"{\"text\":null}", 422},
        {"{\"text\":1}", 422},
        {"{\"text\":true}", 422},
        {"{\"text\":[\"a\"]}", 422},
        {"{\"text\":{\"text\":\"a\"}}", 422},
    };
    struct server server;
    server_start(&server, "wrong.db", &(struct weft_serve_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply reply;
        http_post(&server, cases[i].body, &reply);
        CHECK_EQUAL(reply.status, cases[i].status);
        json_t *root = reply_json(&reply);
        check_keys(root, "detail");
        CHECK(string_of(root, "detail")[0] != '\0');
        json_decref(root);
        reply_free(&reply);
    }
    free(post_good(&server));
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(deep_nesting_is_refused_not_followed)
{
    struct server server;
    server_start(&server, "deep.db", &(struct weft_serve_options){0});
    size_t depth = 100000;
    char *body = malloc(depth * 2 + 64);
    REQUIRE(body);
    size_t len = (size_t)sprintf(body, "{\"text\":\"a\",\"x\":");
    memset(body + len, '[', depth);
    memset(body + len + depth, ']', depth);
    body[len + depth * 2] = '}';
    struct reply reply;
    http_request(&server, "POST", "/process", "Content-Type: application/json\r\n", body,
                 len + depth * 2 + 1, &reply);
    CHECK_EQUAL(reply.status, 400);
    reply_free(&reply);
    free(body);
    free(post_good(&server));
    CHECK_EQUAL(server_stop(&server), 0);
}

static void check_type(const struct server *server, const char *header, int status)
{
    struct reply reply;
    http_request(server, "POST", "/process", header, "{\"text\":\"a\"}", 12, &reply);
    CHECK_EQUAL(reply.status, status);
    if (reply.status != status)
        test_note("with %s", header);
    reply_free(&reply);
}

TEST(only_json_is_taken_as_content_type)
{
    struct server server;
    server_start(&server, "type.db", &(struct weft_serve_options){0});
    check_type(&server, "", 200);
    check_type(&server, "Content-Type: application/json\r\n", 200);
    check_type(&server, "Content-Type: Application/JSON ; charset=utf-8\r\n", 200);
    check_type(&server, "Content-Type: application/merge-patch+json\r\n", 200);
    check_type(&server, "Content-Type: text/plain\r\n", 415);
    check_type(&server, "Content-Type: application/x-www-form-urlencoded\r\n", 415);
    check_type(&server, "Content-Type: application/jsonx\r\n", 415);
    check_type(&server, "Content-Encoding: identity\r\n", 200);
    check_type(&server, "Content-Encoding: gzip\r\n", 415);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(a_body_of_one_mebibyte_is_taken_and_a_larger_one_refused)
{
    struct server server;
    server_start(&server, "large.db", &(struct weft_serve_options){0});
    size_t len = 1 << 20;
    char *body = malloc(len + 2);
    REQUIRE(body);
    memset(body, 'x', len + 2);
    memcpy(body, "{\"text\":\"", 9);
    memcpy(body + len - 2, "\"}", 2);
    struct reply reply;
    const char *type = "Content-Type: application/json\r\n";
    http_request(&server, "POST", "/process", type, body, len, &reply);
    CHECK_EQUAL(reply.status, 200);
    json_t *root = reply_json(&reply);
    CHECK(wait_for_status(&server, string_of(root, "request_id"), "completed"));
    json_decref(root);
    reply_free(&reply);
    http_request(&server, "POST", "/process", type, body, len + 1, &reply);
    CHECK_EQUAL(reply.status, 413);
    reply_free(&reply);
    free(body);
    free(post_good(&server));
    CHECK_EQUAL(server_stop(&server), 0);
}

static void check_answer(const struct server *server, const char *method, const char *path,
                         int status)
{
    struct reply reply;
    http_request(server, method, path, "", NULL, 0, &reply);
    CHECK_EQUAL(reply.status, status);
    if (reply.status != status)
        test_note("%s %s", method, path);
    reply_free(&reply);
}

TEST(unknown_paths_ids_and_methods_are_told_apart)
{
    struct server server;
    server_start(&server, "paths.db", &(struct weft_serve_options){0});
    check_answer(&server, "GET", "/", 404);
    check_answer(&server, "GET", "/nothing", 404);
    check_answer(&server, "GET", "/status/", 404);
    check_answer(&server, "GET", "/status/1234", 404);
    check_answer(&server, "GET", "/status/01900000-0000-7000-8000-000000000000", 404);
    check_answer(&server, "GET", "/status/../healthz", 404);
    check_answer(&server, "GET", "/process", 405);
    check_answer(&server, "DELETE", "/queue-status", 405);
    check_answer(&server, "GET", "/healthz", 200);
    check_answer(&server, "HEAD", "/healthz", 200);
    check_answer(&server, "GET", "/readyz", 200);
    CHECK_EQUAL(server_stop(&server), 0);
}

/* The engine learns of a completion a moment after a reader of the database can see it. */
static void wait_until_idle(const struct server *server)
{
    bool idle = false;
    int64_t until_ms = 0;
    do {
        struct reply reply;
        http_get(server, "/thread-efficiency", &reply);
        json_t *root = reply_json(&reply);
        idle = number_of(root, "active_threads") == 0;
        json_decref(root);
        reply_free(&reply);
    } while (!idle && look_again(&until_ms));
    CHECK(idle);
}

/* The row of /queue-status is written beside the answer. */
static void wait_for_metrics(const struct server *server)
{
    size_t rows = 0;
    int64_t until_ms = 0;
    do {
        struct reply reply;
        http_get(server, "/database/stats", &reply);
        json_t *root = reply_json(&reply);
        rows = json_array_size(json_object_get(root, "recent_queue_metrics"));
        json_decref(root);
        reply_free(&reply);
    } while (rows == 0 && look_again(&until_ms));
    CHECK_EQUAL(rows, 1);
}

TEST(the_numbers_have_the_keys_of_the_contract)
{
    struct server server;
    server_start(&server, "numbers.db", &(struct weft_serve_options){.workers = 6});
    char *id = post_good(&server);
    CHECK(wait_for_status(&server, id, "completed"));
    wait_until_idle(&server);
    struct reply reply;
    http_get(&server, "/queue-status", &reply);
    json_t *root = reply_json(&reply);
    check_keys(root, "total_queue_size worker_queue_sizes active_workers threads_per_worker "
                     "max_concurrent_requests active_threads processed_requests "
                     "max_queue_size_per_worker total_max_capacity timestamp");
    CHECK_EQUAL(json_array_size(json_object_get(root, "worker_queue_sizes")), 6);
    CHECK_EQUAL(number_of(root, "processed_requests"), 1);
    CHECK_EQUAL(number_of(root, "max_concurrent_requests"), 6000);
    CHECK_EQUAL(number_of(root, "total_max_capacity"), 600000);
    json_decref(root);
    reply_free(&reply);

    wait_for_metrics(&server);
    http_get(&server, "/database/stats", &reply);
    root = reply_json(&reply);
    check_keys(root, "request_status_counts recent_queue_metrics processing_time_stats "
                     "database_path timestamp");
    const json_t *states = json_object_get(root, "request_status_counts");
    check_keys(states, "queued processing completed failed");
    CHECK_EQUAL(number_of(states, "completed"), 1);
    const json_t *rows = json_object_get(root, "recent_queue_metrics");
    CHECK_EQUAL(json_array_size(rows), 1); /* the row that /queue-status left */
    check_keys(json_array_get(rows, 0), "timestamp total_queued worker_0_queue worker_1_queue "
                                        "worker_2_queue worker_3_queue active_threads "
                                        "processed_requests");
    const json_t *times = json_object_get(root, "processing_time_stats");
    check_keys(times, "average_time min_time max_time total_completed");
    CHECK_EQUAL(number_of(times, "total_completed"), 1);
    CHECK(strstr(string_of(root, "database_path"), "numbers.db") != NULL);
    json_decref(root);
    reply_free(&reply);

    http_get(&server, "/thread-efficiency", &reply);
    root = reply_json(&reply);
    check_keys(root, "active_threads total_threads efficiency_percentage recommendation");
    CHECK(strcmp(string_of(root, "recommendation"), "Reduce threads") == 0);
    json_decref(root);
    reply_free(&reply);
    CHECK_EQUAL(server_stop(&server), 0);
    free(id);
}

TEST(full_queues_answer_503_with_a_time_to_come_again)
{
    static const int64_t steps_ns[] = {600 * WEFT_SEC, 0, 0};
    struct weft_serve_options options = {.steps_ns = steps_ns,
                                         .workers = 2,
                                         .concurrency = 1,
                                         .queue_size = 3,
                                         .grace_ns = WEFT_MSEC};
    struct server server;
    server_start(&server, "busy.db", &options);
    char *ids[8];
    for (int i = 0; i < 8; i++) /* one runs and three wait, twice */
        ids[i] = post_good(&server);
    struct reply reply;
    http_post(&server, "{\"text\":\"a\"}", &reply);
    CHECK_EQUAL(reply.status, 503);
    CHECK(strstr(reply.head, "Retry-After: 1") != NULL);
    CHECK(reply.body && strstr(reply.body, "{\"detail\":"));
    reply_free(&reply);
    unsigned queued = 0;
    for (int i = 0; i < 8; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "/status/%s", ids[i]);
        http_get(&server, path, &reply);
        queued += reply.body && strstr(reply.body, "\"status\":\"queued\"") != NULL;
        reply_free(&reply);
        free(ids[i]);
    }
    CHECK_EQUAL(queued, 6);
    http_get(&server, "/thread-efficiency", &reply);
    CHECK(reply.body && strstr(reply.body, "Optimal configuration"));
    reply_free(&reply);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(with_a_token_nothing_but_health_is_told_without_it)
{
    char token_path[200];
    (void)snprintf(token_path, sizeof token_path, "%s", server_database("token"));
    FILE *file = fopen(token_path, "wb");
    REQUIRE(file);
    (void)fputs("a-token-of-some-length\n", file);
    (void)fclose(file);
    struct server server;
    server_start(&server, "token.db", &(struct weft_serve_options){.token_file = token_path});
    static const char *const paths[] = {"/queue-status", "/database/stats", "/thread-efficiency",
                                        "/status/01900000-0000-7000-8000-000000000000"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        check_answer(&server, "GET", paths[i], 401);
    check_type(&server, "Content-Type: application/json\r\n", 401);
    check_type(&server, "Authorization: Bearer a-token-of-some-lengtX\r\n", 401);
    check_type(&server, "Authorization: Bearer a-token-of-some-length\r\n", 200);
    /* Nobody's body is waited for, or even invited, before its token was seen. */
    static const char unknown[] = "POST /process HTTP/1.1\r\nHost: a\r\n"
                                  "Content-Length: 1048576\r\n\r\n";
    static const char waiting[] = "POST /process HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                  "Content-Length: 10\r\n\r\n";
    CHECK_EQUAL(http_raw(&server, unknown, sizeof unknown - 1), 401);
    CHECK_EQUAL(http_raw(&server, waiting, sizeof waiting - 1), 401);
    check_answer(&server, "GET", "/healthz", 200);
    check_answer(&server, "GET", "/readyz", 200);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(half_requests_and_garbage_harm_nobody)
{
    struct server server;
    server_start(&server, "garbage.db", &(struct weft_serve_options){0});
    static const char half[] =
        "POST /process HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\n{\"te";
    (void)http_raw(&server, half, sizeof half - 1);
    free(post_good(&server));
    static const char whole[] = "POST /process HTTP/1.1\r\nHost: t\r\nContent-Type: "
                                "application/json\r\nContent-Length: 12\r\n\r\n{\"text\":\"a\"}";
    struct weft_random random;
    weft_random_seed(&random, 4);
    for (int round = 0; round < 200; round++) {
        char bytes[sizeof whole];
        memcpy(bytes, whole, sizeof whole);
        for (uint64_t i = weft_random_below(&random, 8); i > 0; i--)
            bytes[weft_random_below(&random, sizeof whole - 1)] =
                (char)weft_random_below(&random, 256);
        size_t len = weft_random_below(&random, sizeof whole);
        int fd = server_connect(&server);
        REQUIRE(fd >= 0);
        (void)!send(fd, bytes, len, MSG_NOSIGNAL);
        (void)close(fd); /* without waiting for an answer */
    }
    free(post_good(&server));
    CHECK_EQUAL(server_stop(&server), 0);
}
