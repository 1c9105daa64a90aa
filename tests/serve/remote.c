/* SPDX-License-Identifier: MIT
 * remote.c - the remote broker on a real server. */
#include "server.h"

#include <broker/remote.h>

#include <weft/group.h>
#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_US INT64_C(30000000)

static struct server server;
static struct weft_broker *broker;
static bool killed; /* by the test's body */

static const char *const queues[] = {"remote", "second"};

/* Start a server, run a test's body on fibers with a broker of it, stop it. */
static void (*body)(void);

static void with_broker(void)
{
    char url[64], error[256] = "";
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", server.port);
    int err =
        weft_remote_open(&broker, &(struct weft_remote_options){.url = url}, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(err == 0);
    body();
    broker->ops->close(broker);
}

static void on_server(const char *database, void (*test_body)(void))
{
    server_start(&server, database, &(struct weft_serve_options){0});
    body = test_body;
    killed = false;
    test_on_fiber(WEFT_CLOCK_REAL, with_broker);
    if (!killed)
        CHECK_EQUAL(server_stop(&server), 0);
}

/* A request by somebody else; its answer. */
static json_t *ask(const char *method, const char *path, const char *json, int status)
{
    struct reply reply;
    http_request(&server, method, path, json ? "Content-Type: application/json\r\n" : "", json,
                 json ? strlen(json) : 0, &reply);
    CHECK_EQUAL(reply.status, status);
    if (reply.status != status)
        test_note("%s", reply.body);
    json_t *root = reply_json(&reply);
    reply_free(&reply);
    return root;
}

/* Put a job in; its id. */
static struct weft_uuid put(const char *json)
{
    struct weft_uuid id = {{0}};
    json_t *root = ask("POST", "/v1/jobs", json, 201);
    const char *text = json_string_value(json_object_get(root, "id"));
    REQUIRE(text && weft_uuid_parse(&id, text, strlen(text)) == 0);
    json_decref(root);
    return id;
}

static const char *path_of(const struct weft_uuid *id)
{
    static char path[64];
    char text[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(id, text);
    (void)snprintf(path, sizeof path, "/v1/jobs/%s", text);
    return path;
}

/* Claim one; NULL when there is none in time. */
static struct weft_job *claim_for(int64_t wait_us, int64_t lease_us)
{
    struct weft_job *job = NULL;
    struct weft_claim claim = {
        .queues = queues,
        .queues_count = 2,
        .lease_us = lease_us,
        .wait_us = wait_us,
        .jobs_max = 1,
        .jobs = &job,
    };
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    return claim.count > 0 ? job : NULL;
}

static struct weft_job *claim_one(void)
{
    struct weft_job *job = claim_for(10000000, LEASE_US);
    REQUIRE(job);
    return job;
}

static enum weft_job_state settle(struct weft_settlement item)
{
    int err = broker->ops->settle(broker, &item, 1);
    CHECK_EQUAL(err, 0);
    if (err)
        test_note("%s", weft_remote_error(broker));
    CHECK_EQUAL(item.err, 0);
    return item.state;
}

static struct weft_job *find(const struct weft_uuid *id)
{
    struct weft_job *job = NULL;
    int err = broker->ops->find(broker, id, &job);
    CHECK_EQUAL(err, 0);
    if (err)
        test_note("%s", weft_remote_error(broker));
    REQUIRE(job);
    return job;
}

/* ---- the way of a job ------------------------------------------------------------------- */

static void a_job_goes_through(void)
{
    struct weft_uuid id =
        put("{\"task\":\"t\",\"queue\":\"remote\",\"priority\":2,"
            "\"payload\":{\"n\":1.0},\"headers\":{\"a\":\"b\"},"
            "\"timeout\":\"1m30s\",\"max_attempts\":7,\"limit_key\":\"\\\"k\\\"\","
            "\"backoff\":{\"kind\":\"constant\",\"base\":3,\"jitter\":\"none\"}}");
    struct weft_job *job = claim_one();
    CHECK(memcmp(&job->id, &id, sizeof id) == 0);
    CHECK(strcmp(job->task, "t") == 0 && strcmp(job->queue, "remote") == 0);
    CHECK(job->payload.json && strcmp(job->payload.data, "{\"n\":1.0}") == 0);
    CHECK(job->headers && strcmp(job->headers, "{\"a\":\"b\"}") == 0);
    CHECK_EQUAL(job->timeout_us, 90000000);
    CHECK_EQUAL(job->attempts_max, 7);
    CHECK_EQUAL(job->attempt, 1);
    CHECK_EQUAL(job->backoff.kind, WEFT_BACKOFF_CONSTANT);
    CHECK_EQUAL(job->backoff.jitter, WEFT_JITTER_NONE);
    CHECK_EQUAL(job->backoff.base_us, 3000000);
    CHECK_EQUAL(settle((struct weft_settlement){
                    .job = job, .event = WEFT_JOB_COMPLETE, .result = {"{\"ok\":true}", 11, true}}),
                WEFT_JOB_COMPLETED);
    weft_job_free(job);
    job = find(&id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(job->result.json && strcmp(job->result.data, "{\"ok\":true}") == 0);
    CHECK_EQUAL(job->priority, 2);
    CHECK(job->limit_key && strcmp(job->limit_key, "\"k\"") == 0);
    CHECK(job->finished_us > job->created_us && job->created_us > 0);
    weft_job_free(job);
}

TEST(a_job_is_leased_and_settled_over_http)
{
    on_server("go.db", a_job_goes_through);
}

static void bytes_go_through(void)
{
    struct weft_uuid id = put("{\"task\":\"t\",\"queue\":\"second\",\"payload_base64\":\"AP8Q\","
                              "\"content_type\":\"image/x\"}");
    struct weft_job *job = claim_one();
    CHECK(!job->payload.json && job->payload.len == 3);
    CHECK(memcmp(job->payload.data, "\0\xff\x10", 3) == 0);
    CHECK(job->content_type && strcmp(job->content_type, "image/x") == 0);
    (void)settle((struct weft_settlement){
        .job = job, .event = WEFT_JOB_COMPLETE, .result = {"\x01\0\x02\xfe", 4, false}});
    weft_job_free(job);
    job = find(&id);
    CHECK(!job->result.json && job->result.len == 4);
    CHECK(memcmp(job->result.data, "\x01\0\x02\xfe", 4) == 0);
    weft_job_free(job);
}

TEST(payloads_and_results_may_be_bytes)
{
    on_server("bytes.db", bytes_go_through);
}

static void each_event(void)
{
    static const struct {
        enum weft_job_event event;
        int64_t delay_us;
        enum weft_job_state state;
        const char *error;
    } cases[] = {
        {WEFT_JOB_RETRY, 3600000000, WEFT_JOB_RETRYABLE, "not \"now\"\n"},
        {WEFT_JOB_SNOOZE, 3600000000, WEFT_JOB_SCHEDULED, NULL},
        {WEFT_JOB_DIE, 0, WEFT_JOB_DEAD, "never"},
        {WEFT_JOB_CANCEL, 0, WEFT_JOB_CANCELLED, "not wanted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_uuid id = put("{\"task\":\"t\",\"queue\":\"remote\"}");
        struct weft_job *job = claim_one();
        CHECK_EQUAL(settle((struct weft_settlement){.job = job,
                                                    .event = cases[i].event,
                                                    .delay_us = cases[i].delay_us,
                                                    .error = cases[i].error}),
                    cases[i].state);
        weft_job_free(job);
        job = find(&id);
        CHECK_EQUAL(job->state, cases[i].state);
        if (cases[i].error)
            CHECK(job->error && strcmp(job->error, cases[i].error) == 0);
        CHECK(cases[i].delay_us == 0 || job->run_at_us > job->created_us + 3000000000);
        CHECK_EQUAL(job->attempt, cases[i].event == WEFT_JOB_SNOOZE ? 0 : 1);
        weft_job_free(job);
    }
    struct weft_uuid id = put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *job = claim_one();
    CHECK_EQUAL(settle((struct weft_settlement){.job = job, .event = WEFT_JOB_RELEASE}),
                WEFT_JOB_AVAILABLE);
    weft_job_free(job);
    job = claim_one();
    CHECK(memcmp(&job->id, &id, sizeof id) == 0);
    CHECK_EQUAL(job->attempt, 1); /* it was not spent */
    weft_job_free(job);
}

TEST(jobs_can_end_in_every_way)
{
    on_server("events.db", each_event);
}

static int put_later(void *arg)
{
    (void)weft_sleep(100 * WEFT_MSEC);
    *(struct weft_uuid *)arg = put("{\"task\":\"t\",\"queue\":\"remote\"}");
    return 0;
}

static void a_claim_waits(void)
{
    struct weft_uuid id = {{0}};
    struct weft_group group;
    CHECK(claim_for(0, LEASE_US) == NULL);
    CHECK(claim_for(50000, LEASE_US) == NULL);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, put_later, &id) == 0);
    struct weft_job *job = claim_for(30000000, LEASE_US);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    REQUIRE(job);
    CHECK(memcmp(&job->id, &id, sizeof id) == 0);
    weft_job_free(job);
}

TEST(a_claim_waits_at_the_server_until_there_is_a_job)
{
    on_server("waits.db", a_claim_waits);
}

static void inputs_come_along(void)
{
    struct weft_uuid id = put("{\"task\":\"t\",\"queue\":\"remote\"}");
    char text[WEFT_UUID_TEXT_LEN + 1], json[160];
    weft_uuid_format(&id, text);
    (void)snprintf(json, sizeof json, "{\"task\":\"t\",\"queue\":\"second\",\"after\":[\"%s\"]}",
                   text);
    struct weft_uuid child = put(json);
    struct weft_job *job = claim_one();
    (void)settle((struct weft_settlement){
        .job = job, .event = WEFT_JOB_COMPLETE, .result = {"[1]", 3, true}});
    weft_job_free(job);
    job = claim_one();
    CHECK(memcmp(&job->id, &child, sizeof child) == 0);
    CHECK_EQUAL(job->inputs_count, 1);
    CHECK(memcmp(&job->inputs[0].id, &id, sizeof id) == 0);
    CHECK_EQUAL(job->inputs[0].state, WEFT_JOB_COMPLETED);
    CHECK(job->inputs[0].result.json && strcmp(job->inputs[0].result.data, "[1]") == 0);
    weft_job_free(job);
}

TEST(results_of_jobs_that_were_waited_for_come_with_the_lease)
{
    on_server("inputs.db", inputs_come_along);
}

/* ---- further jobs ----------------------------------------------------------------------- */

static struct weft_job follow_job(const char *payload, const char *unique_key)
{
    return (struct weft_job){
        .task = "next",
        .queue = "second",
        .priority = 1,
        .attempts_max = 9,
        .payload = {payload, strlen(payload), true},
        .unique_key = unique_key,
        .headers = "{\"trace\":\"1\"}",
        .created_us = 1000000,
        .run_at_us = 1000000,
    };
}

static void follow_jobs_are_put_in(void)
{
    struct weft_job once = follow_job("{\"n\":1}", "only"), other = follow_job("{\"n\":2}", NULL);
    for (int round = 0; round < 2; round++) {
        struct weft_enqueue follow[] = {{.job = &once}, {.job = &other}};
        (void)put("{\"task\":\"t\",\"queue\":\"remote\"}");
        struct weft_job *job = claim_one();
        CHECK_EQUAL(
            settle((struct weft_settlement){
                .job = job, .event = WEFT_JOB_COMPLETE, .follow = follow, .follow_count = 2}),
            WEFT_JOB_COMPLETED);
        weft_job_free(job);
    }
    /* The unique one is there once, the other one twice. */
    unsigned ones = 0, twos = 0;
    struct weft_job *job;
    while ((job = claim_for(0, LEASE_US)) != NULL) {
        CHECK(strcmp(job->task, "next") == 0 && job->attempts_max == 9);
        CHECK(job->headers && strcmp(job->headers, "{\"trace\":\"1\"}") == 0);
        ones += strcmp(job->payload.data, "{\"n\":1}") == 0;
        twos += strcmp(job->payload.data, "{\"n\":2}") == 0;
        weft_job_free(job);
    }
    CHECK_EQUAL(ones, 1);
    CHECK_EQUAL(twos, 2);
}

TEST(further_jobs_go_in_with_a_settlement_and_what_is_unique_once)
{
    on_server("follow.db", follow_jobs_are_put_in);
}

static void a_full_queue_refuses(void)
{
    json_decref(ask("PATCH", "/v1/queues/second", "{\"size_max\":1}", 200));
    (void)put("{\"task\":\"t\",\"queue\":\"second\",\"delay\":3600}");
    struct weft_uuid id = put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *job = claim_one(), next = follow_job("1", NULL);
    struct weft_enqueue follow = {.job = &next};
    struct weft_settlement item = {
        .job = job, .event = WEFT_JOB_COMPLETE, .follow = &follow, .follow_count = 1};
    CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
    CHECK_EQUAL(item.err, WEFT_EFULL);
    weft_job_free(job);
    job = find(&id);
    CHECK_EQUAL(job->state, WEFT_JOB_RUNNING); /* nothing has happened */
    weft_job_free(job);
}

TEST(a_further_job_that_finds_no_room_keeps_the_settlement_from_being_made)
{
    on_server("full.db", a_full_queue_refuses);
}

static void what_is_too_deep(void)
{
    enum {
        DEEP = 60
    };
    char deep[2 * DEEP + 1];
    memset(deep, '[', DEEP);
    memset(deep + DEEP, ']', DEEP);
    deep[2 * DEEP] = '\0';
    (void)put("{\"task\":\"t\",\"queue\":\"remote\"}");
    (void)put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *jobs[] = {claim_one(), claim_one()};
    struct weft_settlement items[] = {
        {.job = jobs[0], .event = WEFT_JOB_COMPLETE, .result = {deep, 2 * DEEP, true}},
        {.job = jobs[1], .event = WEFT_JOB_COMPLETE, .result = {"1", 1, true}},
    };
    CHECK_EQUAL(broker->ops->settle(broker, items, 2), 0);
    CHECK(items[0].err < 0 && items[0].err != -ESTALE);
    CHECK_EQUAL(items[1].err, 0);
    weft_job_free(jobs[0]);
    weft_job_free(jobs[1]);
}

TEST(a_result_that_the_server_does_not_take_is_refused_alone)
{
    on_server("deep.db", what_is_too_deep);
}

static void many_large_results(void)
{
    enum {
        JOBS = 12,
        LEN = 1000000
    };
    struct weft_job *jobs[JOBS];
    struct weft_settlement items[JOBS];
    char *large = malloc(LEN);
    REQUIRE(large);
    memset(large, 'x', LEN);
    for (int i = 0; i < JOBS; i++)
        (void)put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_claim claim = {
        .queues = queues, .queues_count = 1, .lease_us = LEASE_US, .jobs_max = JOBS, .jobs = jobs};
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == JOBS);
    for (int i = 0; i < JOBS; i++)
        items[i] = (struct weft_settlement){
            .job = jobs[i], .event = WEFT_JOB_COMPLETE, .result = {large, LEN, false}};
    CHECK_EQUAL(broker->ops->settle(broker, items, JOBS), 0);
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQUAL(items[i].err, 0);
        CHECK_EQUAL(items[i].state, WEFT_JOB_COMPLETED);
    }
    struct weft_job *job = find(&jobs[JOBS - 1]->id);
    CHECK_EQUAL(job->result.len, LEN);
    weft_job_free(job);
    for (int i = 0; i < JOBS; i++)
        weft_job_free(jobs[i]);
    free(large);
}

TEST(more_results_than_fit_into_a_request_go_in_several)
{
    on_server("large.db", many_large_results);
}

/* ---- leases ----------------------------------------------------------------------------- */

static void leases_are_told_apart(void)
{
    struct weft_uuid first = put("{\"task\":\"t\",\"queue\":\"remote\"}");
    (void)put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *jobs[] = {claim_one(), claim_one()};
    struct weft_lease leases[] = {
        {.id = jobs[0]->id, .token = jobs[0]->lease_token, .progress = "{\"fraction\":0.5}"},
        {.id = jobs[1]->id, .token = jobs[1]->lease_token + 1, .lease_us = LEASE_US},
        {.id = jobs[1]->id, .token = jobs[1]->lease_token, .lease_us = LEASE_US},
    };
    CHECK_EQUAL(broker->ops->extend(broker, leases, 3), 0);
    CHECK(leases[0].err == 0 && !leases[0].cancelling);
    CHECK_EQUAL(leases[1].err, -ESTALE);
    CHECK(leases[2].err == 0 && !leases[2].cancelling);
    struct weft_job *job = find(&first);
    CHECK(job->progress && strcmp(job->progress, "{\"fraction\":0.5}") == 0);
    weft_job_free(job);

    json_decref(ask("DELETE", path_of(&jobs[1]->id), NULL, 202));
    CHECK_EQUAL(broker->ops->extend(broker, leases, 3), 0);
    CHECK(leases[0].err == 0 && !leases[0].cancelling);
    CHECK(leases[2].err == 0 && leases[2].cancelling);
    /* The reason is that of whoever wanted it. */
    CHECK_EQUAL(settle((struct weft_settlement){.job = jobs[1], .event = WEFT_JOB_CANCEL}),
                WEFT_JOB_CANCELLED);
    job = find(&jobs[1]->id);
    CHECK(job->error && strcmp(job->error, "cancelled by local") == 0);
    weft_job_free(job);
    weft_job_free(jobs[0]);
    weft_job_free(jobs[1]);
}

TEST(extending_tells_which_leases_are_lost_and_which_jobs_are_cancelled)
{
    on_server("leases.db", leases_are_told_apart);
}

struct beating {
    struct weft_lease *leases;
    size_t count;
};

static int beat_on_thread(void *arg)
{
    struct beating *beating = arg;
    int err = 0;
    for (int i = 0; i < 3 && !err; i++)
        err = broker->ops->beat(broker, beating->leases, beating->count);
    return err;
}

static void the_heartbeat(void)
{
    (void)put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *job = claim_one();
    struct weft_lease leases[] = {
        {.id = job->id, .token = job->lease_token, .lease_us = LEASE_US},
        {.id = job->id, .token = 1, .lease_us = LEASE_US},
    };
    struct beating beating = {leases, 2};
    CHECK_EQUAL(weft_offload(beat_on_thread, &beating), 0);
    CHECK(leases[0].err == 0 && !leases[0].cancelling);
    CHECK_EQUAL(leases[1].err, -ESTALE);
    json_decref(ask("DELETE", path_of(&job->id), NULL, 202));
    CHECK_EQUAL(weft_offload(beat_on_thread, &beating), 0);
    CHECK(leases[0].err == 0 && leases[0].cancelling);
    weft_job_free(job);
    server_kill(&server);
    killed = true;
    CHECK(weft_offload(beat_on_thread, &beating) < 0);
}

TEST(the_heartbeat_extends_from_a_thread_without_fibers)
{
    on_server("beat.db", the_heartbeat);
}

static void an_ended_lease(void)
{
    struct weft_uuid id = put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *job = claim_for(10000000, 1000000);
    REQUIRE(job);
    struct weft_job *again = claim_for(30000000, LEASE_US); /* once the lease has ended */
    REQUIRE(again);
    CHECK(memcmp(&again->id, &id, sizeof id) == 0);
    CHECK_EQUAL(again->attempt, 1);
    CHECK(again->lease_token != job->lease_token);
    struct weft_settlement items[] = {{.job = job, .event = WEFT_JOB_COMPLETE},
                                      {.job = again, .event = WEFT_JOB_COMPLETE}};
    CHECK_EQUAL(broker->ops->settle(broker, items, 2), 0);
    CHECK_EQUAL(items[0].err, -ESTALE);
    CHECK_EQUAL(items[1].err, 0);
    weft_job_free(job);
    weft_job_free(again);
}

TEST(a_lease_that_has_ended_is_somebody_elses)
{
    on_server("ended.db", an_ended_lease);
}

static void what_was_asked_for_comes_along(void)
{
    struct weft_job bytes = follow_job("\1\2", NULL), late = follow_job("3", NULL);
    bytes.payload = (struct weft_bytes){"\1\2\0", 3, false};
    bytes.content_type = "application/x-three";
    bytes.limit_key = "customer \"7\"";
    bytes.timeout_us = 12500000;
    bytes.flow = (struct weft_uuid){{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}};
    late.run_at_us = late.created_us + INT64_C(3600000000);
    struct weft_enqueue follow[] = {{.job = &bytes}, {.job = &late}};
    (void)put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *job = claim_one();
    CHECK_EQUAL(settle((struct weft_settlement){
                    .job = job, .event = WEFT_JOB_COMPLETE, .follow = follow, .follow_count = 2}),
                WEFT_JOB_COMPLETED);
    weft_job_free(job);
    job = claim_one();
    CHECK(!job->payload.json && job->payload.len == 3 &&
          memcmp(job->payload.data, "\1\2\0", 3) == 0);
    CHECK(job->content_type && strcmp(job->content_type, "application/x-three") == 0);
    CHECK_EQUAL(job->timeout_us + job->grace_us, 12500000);
    CHECK(memcmp(&job->flow, &bytes.flow, sizeof bytes.flow) == 0);
    json_t *root = ask("GET", path_of(&job->id), NULL, 200);
    const char *key = json_string_value(json_object_get(root, "limit_key"));
    CHECK(key && strcmp(key, "customer \"7\"") == 0);
    json_decref(root);
    weft_job_free(job);
    CHECK(!claim_for(0, LEASE_US));
    root = ask("GET", "/v1/jobs?state=scheduled", NULL, 200);
    CHECK_EQUAL(json_array_size(json_object_get(root, "jobs")), 1);
    json_decref(root);
}

TEST(further_jobs_are_as_they_were_asked_for)
{
    on_server("asked.db", what_was_asked_for_comes_along);
}

/* ---- large ones ------------------------------------------------------------------------- */

static void a_large_payload(void)
{
    enum {
        BYTES = 200000
    };
    char *json = malloc(BYTES + 100);
    REQUIRE(json);
    int at = sprintf(json, "{\"task\":\"t\",\"queue\":\"remote\",\"payload\":\"");
    memset(json + at, 'x', BYTES);
    (void)strcpy(json + at + BYTES, "\"}");
    struct weft_uuid id = put(json);
    struct weft_job *job = claim_one();
    CHECK(memcmp(&job->id, &id, sizeof id) == 0);
    CHECK_EQUAL(job->payload.len, BYTES + 2);
    CHECK(memcmp(job->payload.data + 1, json + at, BYTES) == 0);
    weft_job_free(job);
    free(json);
}

TEST(a_large_payload_comes_as_it_was_put_in)
{
    on_server("payload.db", a_large_payload);
}

/* ---- which jobs ------------------------------------------------------------------------- */

static void only_known_tasks(void)
{
    static const char *const tasks[] = {"mine", "also-mine"};
    struct weft_job *jobs[3] = {NULL};
    (void)put("{\"task\":\"theirs\",\"queue\":\"remote\"}");
    struct weft_uuid mine = put("{\"task\":\"also-mine\",\"queue\":\"remote\"}");
    struct weft_claim claim = {.queues = queues,
                               .queues_count = 2,
                               .tasks = tasks,
                               .tasks_count = 2,
                               .lease_us = LEASE_US,
                               .jobs_max = 3,
                               .jobs = jobs};
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 1);
    CHECK(memcmp(&jobs[0]->id, &mine, sizeof mine) == 0);
    weft_job_free(jobs[0]);
}

TEST(only_jobs_of_tasks_that_are_named_are_leased)
{
    on_server("tasks.db", only_known_tasks);
}

/* ---- the registry ----------------------------------------------------------------------- */

static void the_registry(void)
{
    struct weft_worker_info worker = {.name = "w-1",
                                      .host = "h\"ost",
                                      .pid = 42,
                                      .version = "1",
                                      .queues = "a,b",
                                      .concurrency = 3};
    CHECK_EQUAL(broker->ops->worker_join(broker, &worker), 0);
    CHECK(worker.number > 0);
    worker.running = 2;
    worker.done = 5;
    CHECK_EQUAL(broker->ops->worker_beat(broker, &worker), 0);
    json_t *root = ask("GET", "/v1/workers", NULL, 200);
    const json_t *first = json_array_get(json_object_get(root, "workers"), 0);
    CHECK_EQUAL(json_integer_value(json_object_get(first, "number")), worker.number);
    CHECK_EQUAL(json_integer_value(json_object_get(first, "running")), 2);
    CHECK_EQUAL(json_integer_value(json_object_get(first, "done")), 5);
    CHECK(strcmp(json_string_value(json_object_get(first, "host")), "h\"ost") == 0);
    json_decref(root);
    CHECK_EQUAL(broker->ops->worker_leave(broker, worker.number), 0);
    CHECK_EQUAL(broker->ops->worker_beat(broker, &worker), -ENOENT);
    struct weft_uuid id = {{1}};
    struct weft_job *job = NULL;
    CHECK_EQUAL(broker->ops->find(broker, &id, &job), -ENOENT);
    CHECK(job == NULL);
}

TEST(a_worker_enters_the_registry_and_leaves_it)
{
    on_server("registry.db", the_registry);
}

static void a_worker_leaves(void)
{
    struct weft_worker_info worker = {.name = "leaves"};
    struct weft_uuid id = put("{\"task\":\"t\",\"queue\":\"remote\"}");
    struct weft_job *job = NULL;
    CHECK_EQUAL(broker->ops->worker_join(broker, &worker), 0);
    struct weft_claim claim = {.queues = queues,
                               .queues_count = 1,
                               .worker = worker.number,
                               .lease_us = LEASE_US,
                               .wait_us = 10000000,
                               .jobs_max = 1,
                               .jobs = &job};
    CHECK_EQUAL(broker->ops->claim(broker, &claim), 0);
    REQUIRE(claim.count == 1);
    CHECK_EQUAL(broker->ops->worker_leave(broker, worker.number), 0);
    struct weft_job *again = claim_for(10000000, LEASE_US); /* the lease lasts longer than that */
    REQUIRE(again);
    CHECK(memcmp(&again->id, &id, sizeof id) == 0);
    CHECK_EQUAL(settle((struct weft_settlement){.job = again, .event = WEFT_JOB_COMPLETE}),
                WEFT_JOB_COMPLETED);
    weft_job_free(job);
    weft_job_free(again);
}

TEST(what_a_worker_holds_when_it_leaves_is_leased_to_others_at_once)
{
    on_server("leaves.db", a_worker_leaves);
}

/* ---- tokens ----------------------------------------------------------------------------- */

#define TOKEN "0123456789abcdef-worker"

/* Heartbeats, which have a way of their own, carry the token as well. */
static void work_with_token(void)
{
    char url[64], error[256] = "";
    struct weft_broker *refused;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", server.port);
    const struct weft_remote_options with = {.url = url, .token = TOKEN}, without = {.url = url};
    REQUIRE(weft_remote_open(&broker, &with, error, sizeof error) == 0);
    REQUIRE(weft_remote_open(&refused, &without, error, sizeof error) == 0);
    struct weft_worker_info worker = {.name = "w"};
    CHECK_EQUAL(broker->ops->worker_join(broker, &worker), 0);
    CHECK_EQUAL(refused->ops->worker_join(refused, &worker), -EACCES);
    struct weft_lease lease = {.id = {{1}}, .token = 1, .lease_us = LEASE_US};
    struct beating beating = {&lease, 1};
    CHECK_EQUAL(weft_offload(beat_on_thread, &beating), 0);
    CHECK_EQUAL(lease.err, -ESTALE); /* it was let in, and heard that there is no such lease */
    struct weft_broker *with_token = broker;
    broker = refused;
    CHECK_EQUAL(weft_offload(beat_on_thread, &beating), -EACCES);
    refused->ops->close(refused);
    with_token->ops->close(with_token);
    broker = NULL;
}

TEST(a_token_goes_with_every_request)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/tokens", test_directory());
    FILE *file = fopen(path, "w");
    REQUIRE(file && fputs(TOKEN " work worker\n", file) >= 0 && fclose(file) == 0);
    server_start(&server, "token.db", &(struct weft_serve_options){.token_file = path});
    test_on_fiber(WEFT_CLOCK_REAL, work_with_token);
    CHECK_EQUAL(server_stop(&server), 0);
}
