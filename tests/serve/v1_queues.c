/* SPDX-License-Identifier: MIT
 * v1_queues.c - /v1/queues: how they are, pausing, and limits that hold for workers here and
 * elsewhere. */
#include "v1.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct server server;

static void open_server(const char *database)
{
    server_start(&server, database, &(struct weft_serve_options){0});
}

static void close_server(void)
{
    CHECK_EQUAL(server_stop(&server), 0);
}

/* How many jobs of the queue can be leased now. */
static json_t *lease(const char *queue, int max)
{
    return v1(&server, "POST", "/v1/lease", 200, "{'queues':['%s'],'max':%d}", queue, max);
}

static size_t leased_count(const char *queue, int max)
{
    json_t *answer = lease(queue, max);
    size_t count = json_array_size(v1_at(answer, "jobs"));
    json_decref(answer);
    return count;
}

static void put(int count, const char *queue, const char *members)
{
    for (int i = 0; i < count; i++)
        (void)v1_put(&server, "{'task':'t','queue':'%s'%s}", queue, members);
}

TEST(a_queue_is_there_when_something_was_put_in_or_set)
{
    open_server("there.db");
    v1_refused(&server, "GET", "/v1/queues/q", 404, "there is no queue of this name", NULL);
    put(1, "q", "");
    json_t *queue = v1(&server, "GET", "/v1/queues/q", 200, NULL);
    CHECK_TEXT(queue, "name", "q");
    CHECK(json_is_false(v1_at(queue, "paused")));
    CHECK_EQUAL(v1_number(queue, "size_max"), 1000000);
    CHECK_EQUAL(v1_number(queue, "running_max"), 0);
    CHECK_EQUAL(v1_number(queue, "jobs.available"), 1);
    CHECK_EQUAL(v1_number(queue, "waiting"), 1);
    json_decref(queue);
    v1_ok(&server, "PATCH", "/v1/queues/new", 200, "{'burst':3}");
    json_t *queues = v1(&server, "GET", "/v1/queues", 200, NULL);
    bool found[2] = {false, false};
    for (size_t i = 0; i < json_array_size(v1_at(queues, "queues")); i++) {
        const json_t *one = json_array_get(v1_at(queues, "queues"), i);
        found[0] |= strcmp(v1_text(one, "name"), "q") == 0;
        found[1] |= strcmp(v1_text(one, "name"), "new") == 0 && v1_number(one, "burst") == 3;
    }
    CHECK(found[0] && found[1]);
    json_decref(queues);
    close_server();
}

TEST(counts_and_waits_of_a_queue_are_exact)
{
    open_server("counts.db");
    v1_ok(&server, "POST", "/v1/jobs", 200,
          "[{'task':'t','queue':'q','name':'a'},{'task':'t','queue':'q'},"
          "{'task':'t','queue':'q','delay':60},{'task':'t','queue':'q','after':['a']}]");
    json_t *leased = v1_lease(&server, "q"), *other = v1_lease(&server, "q");
    json_t *queue = v1(&server, "GET", "/v1/queues/q", 200, NULL);
    CHECK_EQUAL(v1_number(queue, "jobs.running"), 2);
    CHECK_EQUAL(v1_number(queue, "jobs.scheduled"), 1);
    CHECK_EQUAL(v1_number(queue, "jobs.blocked"), 1);
    CHECK_EQUAL(v1_number(queue, "waiting"), 2);
    CHECK(v1_real(queue, "oldest_seconds") == 0);
    json_decref(queue);
    json_decref(v1_settle(&server, leased, "complete", ""));
    json_decref(v1_settle(&server, other, "die", ""));
    queue = v1(&server, "GET", "/v1/queues/q", 200, NULL);
    CHECK_EQUAL(v1_number(queue, "jobs.completed"), 1);
    CHECK_EQUAL(v1_number(queue, "jobs.dead"), 1);
    CHECK_EQUAL(v1_number(queue, "jobs.available"), 1);
    CHECK_EQUAL(v1_number(queue, "jobs.blocked"), 0);
    json_decref(queue);
    int64_t until_ms = 0;
    double oldest = 0;
    while (oldest <= 0 && look_again(&until_ms)) {
        queue = v1(&server, "GET", "/v1/queues/q", 200, NULL);
        oldest = v1_real(queue, "oldest_seconds");
        json_decref(queue);
    }
    CHECK(oldest > 0 && oldest < 60);
    json_decref(leased);
    json_decref(other);
    close_server();
}

TEST(nothing_is_taken_from_a_paused_queue_by_anybody)
{
    open_server("paused.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'paused':true}");
    put(3, "q", "");
    const char *noop = v1_put(&server, "{'task':'noop','queue':'q'}");
    CHECK_EQUAL(leased_count("q", 10), 0);
    json_t *job = v1(&server, "GET", v1_path("/v1/jobs/%s?wait=0.1", noop), 200, NULL);
    CHECK_TEXT(job, "state", "available");
    json_decref(job);
    json_t *queue = v1(&server, "PATCH", "/v1/queues/q", 200, "{'paused':false}");
    CHECK(json_is_false(v1_at(queue, "paused")));
    json_decref(queue);
    CHECK(v1_comes_to(&server, noop, "completed")); /* the server was told */
    CHECK_EQUAL(leased_count("q", 10), 3);
    close_server();
}

TEST(settings_outlive_the_server)
{
    open_server("settings.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200,
          "{'paused':true,'size_max':7,'running_max':6,'running_max_per_key':5,'rate':2.5,"
          "'burst':4}");
    v1_ok(&server, "PATCH", "/v1/queues/process-0", 200, "{'paused':true}");
    close_server();
    open_server("settings.db");
    json_t *queue = v1(&server, "GET", "/v1/queues/q", 200, NULL);
    CHECK(json_is_true(v1_at(queue, "paused")));
    CHECK_EQUAL(v1_number(queue, "size_max"), 7);
    CHECK_EQUAL(v1_number(queue, "running_max"), 6);
    CHECK_EQUAL(v1_number(queue, "running_max_per_key"), 5);
    CHECK(v1_real(queue, "rate") == 2.5);
    CHECK_EQUAL(v1_number(queue, "burst"), 4);
    json_decref(queue);
    queue = v1(&server, "GET", "/v1/queues/process-0", 200, NULL);
    CHECK(json_is_true(v1_at(queue, "paused")));
    CHECK_EQUAL(v1_number(queue, "size_max"), 100000); /* the server's own */
    json_decref(queue);
    close_server();
}

TEST(no_more_run_at_once_than_the_queue_allows)
{
    open_server("running.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'running_max':2}");
    put(5, "q", "");
    json_t *leased = lease("q", 10);
    CHECK_EQUAL(json_array_size(v1_at(leased, "jobs")), 2);
    CHECK_EQUAL(leased_count("q", 10), 0);
    json_decref(v1_settle(&server, v1_at(leased, "jobs.0"), "complete", ""));
    CHECK_EQUAL(leased_count("q", 10), 1); /* one ended, one begins */
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'running_max':0}");
    CHECK_EQUAL(leased_count("q", 10), 2);
    json_decref(leased);
    close_server();
}

TEST(no_more_of_a_key_run_at_once_than_the_queue_allows)
{
    open_server("keys.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'running_max_per_key':1}");
    put(3, "q", ",\"limit_key\":\"a\"");
    put(2, "q", ",\"limit_key\":\"b\"");
    put(2, "q", "");
    json_t *leased = lease("q", 10);
    CHECK_EQUAL(json_array_size(v1_at(leased, "jobs")), 4);
    CHECK_EQUAL(leased_count("q", 10), 0);
    for (size_t i = 0; i < 4; i++)
        json_decref(v1_settle(&server, json_array_get(v1_at(leased, "jobs"), i), "complete", ""));
    json_decref(leased);
    CHECK_EQUAL(leased_count("q", 10), 2);
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'running_max_per_key':5}");
    int64_t until_ms = 0;
    size_t more = 0;
    while (more == 0 && look_again(&until_ms))
        more = leased_count("q", 10);
    CHECK_EQUAL(more, 1);
    close_server();
}

TEST(a_rate_lets_so_many_begin_at_once_and_the_rest_later)
{
    open_server("rate.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'rate':20,'burst':2}");
    put(6, "q", "");
    size_t total = 0;
    int64_t begin_ms = v1_now_ms(), until_ms = 0;
    while (total < 6 && look_again(&until_ms)) {
        json_t *answer = v1(&server, "POST", "/v1/lease", 200,
                            "{'queues':['q'],'max':10,'wait':20}"); /* until the next may begin */
        size_t count = json_array_size(v1_at(answer, "jobs"));
        CHECK(count <= 2);
        total += count;
        json_decref(answer);
    }
    CHECK_EQUAL(total, 6);
    CHECK(v1_now_ms() - begin_ms >= 150); /* four of them waited for 50 ms each */
    close_server();
}

TEST(what_cannot_be_a_setting_is_refused)
{
    open_server("refused.db");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"paused\" must be", "{'paused':1}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"size_max\" must be", "{'size_max':-1}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"size_max\" must be",
               "{'size_max':1099511627777}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"running_max\" must be",
               "{'running_max':4294967296}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"running_max\" must be",
               "{'running_max':1.5}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"rate\" must be", "{'rate':'fast'}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "\"rate\" must be", "{'rate':2e9}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "did you mean \"paused\"?", "{'pause':true}");
    v1_refused(&server, "PATCH", "/v1/queues/q", 422, "a JSON object", "true");
    v1_refused(&server, "PATCH", "/v1/queues/a%20b", 422, "this cannot be the name", "{}");
    v1_refused(&server, "PATCH", "/v1/queues/*", 422, "this cannot be the name", "{}");
    v1_ok(&server, "GET", "/v1/queues/q", 404, NULL); /* nothing was made */
    v1_ok(&server, "DELETE", "/v1/queues/q", 405, NULL);
    close_server();
}

/* Changes one setting again and again. */
static void *change_main(void *arg)
{
    const char *member = arg;
    for (int i = 1; i <= 50; i++) {
        char body[64];
        struct reply reply;
        int len = snprintf(body, sizeof body, "{\"%s\":%d}", member, i);
        http_request(&server, "PATCH", "/v1/queues/q", "Content-Type: application/json\r\n", body,
                     (size_t)len, &reply);
        CHECK_EQUAL(reply.status, 200);
        reply_free(&reply);
    }
    return NULL;
}

TEST(changes_at_the_same_time_do_not_undo_each_other)
{
    static const char *const members[] = {"size_max", "running_max", "running_max_per_key", "rate",
                                          "burst"};
    pthread_t threads[5];
    open_server("turns.db");
    for (int i = 0; i < 5; i++)
        REQUIRE(pthread_create(&threads[i], NULL, change_main, (void *)(uintptr_t)members[i]) == 0);
    for (int i = 0; i < 5; i++)
        (void)pthread_join(threads[i], NULL);
    json_t *queue = v1(&server, "GET", "/v1/queues/q", 200, NULL);
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(v1_real(queue, members[i]), 50);
    json_decref(queue);
    close_server();
}

TEST(what_was_changed_by_hand_is_written_down)
{
    open_server("audit.db");
    /* However a body is blown up, what it did can be read. */
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{%300s'paused': true,'\\u0072ate':0.5}", "");
    json_t *audit = v1(&server, "GET", "/v1/audit?limit=1", 200, NULL);
    CHECK_TEXT(audit, "entries.0.who", "local");
    CHECK_TEXT(audit, "entries.0.action", "queue_set");
    CHECK_TEXT(audit, "entries.0.target", "q");
    CHECK_TEXT(audit, "entries.0.detail",
               "{\"paused\":true,\"size_max\":1000000,\"running_max\":0,"
               "\"running_max_per_key\":0,\"rate\":0.5,\"burst\":0}");
    json_decref(audit);
    close_server();
}
