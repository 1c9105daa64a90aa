/* SPDX-License-Identifier: MIT
 * v1_crons.c - /v1/crons: schedules that put jobs in. */
#include "v1.h"

#include <base/buffer.h>

#include <stdio.h>
#include <stdlib.h>
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

TEST(a_schedule_is_put_in_shown_replaced_and_removed)
{
    open_server("life.db");
    json_t *cron = v1(&server, "PUT", "/v1/crons/nightly", 200,
                      "{'schedule':'0 3 * * *','zone':'Europe/Berlin','missed':'all',"
                      "'job':{'task':'report','payload':{'n': 1.0e00}}}");
    CHECK_TEXT(cron, "name", "nightly");
    CHECK_TEXT(cron, "schedule", "0 3 * * *");
    CHECK_TEXT(cron, "zone", "Europe/Berlin");
    CHECK_TEXT(cron, "missed", "all");
    CHECK_TEXT(cron, "job.task", "report");
    CHECK(json_is_false(v1_at(cron, "paused")));
    CHECK(strcmp(v1_text(cron, "next_at"), v1_text(cron, "created_at")) > 0);
    CHECK(!v1_at(cron, "last_at") && !v1_at(cron, "last_job"));
    json_decref(cron);
    struct reply reply;
    http_get(&server, "/v1/crons/nightly", &reply);
    CHECK(strstr(reply.body, "{\"n\": 1.0e00}") != NULL); /* as it was written */
    reply_free(&reply);

    cron = v1(&server, "PUT", "/v1/crons/nightly", 200,
              "{'schedule':'@every 90m','paused':true,'job':{'task':'noop'}}");
    CHECK_TEXT(cron, "zone", "UTC");
    CHECK_TEXT(cron, "missed", "once");
    CHECK(json_is_true(v1_at(cron, "paused")));
    CHECK(!v1_at(cron, "next_at"));
    json_decref(cron);
    v1_ok(&server, "PUT", "/v1/crons/hourly", 200, "{'schedule':'@hourly','job':{'task':'t'}}");
    json_t *crons = v1(&server, "GET", "/v1/crons", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(crons, "crons")), 2);
    CHECK_TEXT(crons, "crons.0.name", "hourly"); /* paused ones last */
    json_decref(crons);

    v1_ok(&server, "DELETE", "/v1/crons/nightly", 204, NULL);
    v1_refused(&server, "GET", "/v1/crons/nightly", 404, "there is no schedule", NULL);
    v1_refused(&server, "DELETE", "/v1/crons/nightly", 404, "there is no schedule", NULL);
    v1_refused(&server, "POST", "/v1/crons/nightly/run", 404, "there is no schedule", NULL);
    json_t *audit = v1(&server, "GET", "/v1/audit", 200, NULL);
    CHECK_TEXT(audit, "entries.0.action", "cron_remove");
    CHECK_TEXT(audit, "entries.1.action", "cron_set");
    CHECK_TEXT(audit, "entries.1.target", "hourly");
    CHECK_TEXT(audit, "entries.1.detail", "@hourly");
    json_decref(audit);
    close_server();
}

/* "@every" counts from when it was made, and a replacement does not change that. */
TEST(a_schedule_that_is_replaced_keeps_to_its_beat)
{
    open_server("beat.db");
    json_t *first = v1(&server, "PUT", "/v1/crons/beat", 200,
                       "{'schedule':'@every 1000h','job':{'task':'noop'}}");
    json_t *second = v1(&server, "PUT", "/v1/crons/beat", 200,
                        "{'schedule':'@every 1000h','job':{'task':'sleep'}}");
    CHECK_TEXT(second, "created_at", v1_text(first, "created_at"));
    CHECK_TEXT(second, "next_at", v1_text(first, "next_at"));
    json_decref(first);
    json_decref(second);
    close_server();
}

TEST(what_is_no_schedule_is_refused_with_a_reason)
{
    open_server("refused.db");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "\"schedule\" is missing",
               "{'job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "\"job\" is missing", "{'schedule':'@daily'}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "", "{'schedule':'','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "", "{'schedule':'* *','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "",
               "{'schedule':'0 25 * * *','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "",
               "{'schedule':'0 0 30 2 *','job':{'task':'t'}}"); /* never */
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "zone",
               "{'schedule':'@daily','zone':'Middle/Earth','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "",
               "{'schedule':'@daily','zone':'../../etc/passwd','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "\"missed\" must be skip, once or all",
               "{'schedule':'@daily','missed':'twice','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "\"job\" must be a job",
               "{'schedule':'@daily','job':[{'task':'t'}]}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "\"job\": \"task\" is missing",
               "{'schedule':'@daily','job':{}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "\"run_at\" has no place",
               "{'schedule':'@daily','job':{'task':'t','run_at':'2100-01-01T00:00:00Z'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "\"after\" has no place",
               "{'schedule':'@daily','job':{'task':'t',"
               "'after':['0190b7e0-1c2d-7abc-8def-0123456789ab']}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 422, "did you mean \"schedule\"?",
               "{'shedule':'@daily','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/a%20b", 422, "cannot be the name",
               "{'schedule':'@daily','job':{'task':'t'}}");
    v1_refused(&server, "PUT", "/v1/crons/c", 400, "not JSON", "{'schedule':'@daily',");
    json_t *crons = v1(&server, "GET", "/v1/crons", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(crons, "crons")), 0);
    json_decref(crons);
    close_server();
}

TEST(a_schedule_puts_its_job_in_when_its_time_comes)
{
    open_server("fires.db");
    v1_ok(&server, "PUT", "/v1/crons/tick", 200,
          "{'schedule':'* * * * * *','job':{'task':'t','queue':'ticks','payload':'tick',"
          "'priority':1,'expires_in':'1h'}}");
    json_t *leased = v1(&server, "POST", "/v1/lease", 200, "{'queues':['ticks'],'wait':30}");
    CHECK_EQUAL(json_array_size(v1_at(leased, "jobs")), 1);
    CHECK_TEXT(leased, "jobs.0.payload", "tick");
    v1_ok(&server, "DELETE", "/v1/crons/tick", 204, NULL);
    json_t *job = v1_job(&server, v1_text(leased, "jobs.0.id"));
    CHECK_EQUAL(v1_number(job, "priority"), 1);
    CHECK(v1_at(job, "expires_at") != NULL);
    json_decref(job);
    json_decref(leased);
    close_server();
}

TEST(a_schedule_shows_when_it_last_fired)
{
    open_server("last.db");
    v1_ok(&server, "PUT", "/v1/crons/tick", 200, "{'schedule':'@every 1s','job':{'task':'noop'}}");
    int64_t until_ms = 0;
    bool fired = false;
    while (!fired && look_again(&until_ms)) {
        json_t *cron = v1(&server, "GET", "/v1/crons/tick", 200, NULL);
        fired = v1_at(cron, "last_at") && v1_at(cron, "last_job");
        if (fired) {
            CHECK(strcmp(v1_text(cron, "next_at"), v1_text(cron, "last_at")) > 0);
            CHECK(v1_comes_to(&server, v1_text(cron, "last_job"), "completed"));
        }
        json_decref(cron);
    }
    CHECK(fired);
    close_server();
}

TEST(a_schedule_can_be_run_by_hand)
{
    open_server("run.db");
    v1_ok(&server, "PUT", "/v1/crons/c", 200,
          "{'schedule':'@yearly','paused':true,'job':{'task':'t','queue':'q','group':'g',"
          "'unique':{'key':'k'}}}");
    json_t *answer = v1(&server, "POST", "/v1/crons/c/run", 201, NULL);
    CHECK_TEXT(answer, "state", "available");
    json_t *again = v1(&server, "POST", "/v1/crons/c/run", 200, NULL);
    CHECK(v1_is(again, "id", v1_text(answer, "id")));
    CHECK(json_is_true(v1_at(again, "duplicate")));
    json_decref(again);
    json_t *leased = v1_lease(&server, "q");
    CHECK(v1_is(leased, "id", v1_text(answer, "id")));
    json_decref(leased);
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'size_max':1}");
    (void)v1_put(&server, "{'task':'t','queue':'q'}");
    v1_ok(&server, "PUT", "/v1/crons/c", 200,
          "{'schedule':'@yearly','job':{'task':'t','queue':'q'}}");
    v1_refused(&server, "POST", "/v1/crons/c/run", 503, "the queue is full", NULL);
    json_t *audit = v1(&server, "GET", "/v1/audit", 200, NULL);
    CHECK_TEXT(audit, "entries.0.action", "cron_set");
    CHECK_TEXT(audit, "entries.2.action", "cron_run");
    json_decref(audit);
    json_decref(answer);
    close_server();
}

TEST(a_job_of_a_schedule_has_a_limit)
{
    open_server("limit.db");
    for (size_t extra = 0; extra < 2; extra++) {
        struct weft_buffer text;
        weft_buffer_init(&text, (size_t)2 << 20);
        weft_buffer_append_string(
            &text, "{\"schedule\":\"@daily\",\"job\":{\"task\":\"t\",\"payload\":\"");
        size_t most = ((size_t)1 << 20) - strlen("{'task':'t','payload':''}");
        /* The body has a limit too, and it comes first: 1 MiB with all that is around. */
        size_t len = extra ? most + 1 : most - 100;
        char *at = weft_buffer_reserve(&text, len);
        REQUIRE(at);
        memset(at, 'p', len);
        text.len += len;
        weft_buffer_append_string(&text, "\"}}");
        json_decref(v1_send(&server, "PUT", "/v1/crons/c", extra ? 413 : 200, NULL, "", text.data,
                            text.len));
        weft_buffer_deinit(&text);
    }
    close_server();
}
