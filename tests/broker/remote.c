/* SPDX-License-Identifier: MIT
 * remote.c - the remote broker and servers that say what they should not, or nothing. What it does
 * with a real server is in tests/serve/remote.c. */
#include "../http/origin.h"
#include "test.h"

#include <broker/remote.h>

#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID "0193b3c4-0000-7000-8000-000000000001"
#define LEASE                                                                                      \
    "\"id\":\"" ID                                                                                 \
    "\",\"token\":\"7\",\"task\":\"t\",\"queue\":\"q\",\"attempt\":1,\"max_attempts\":3"

static const char *const queue[] = {"q"};

/* A broker of the origin's server. */
static struct weft_broker *open_broker(const struct origin *origin)
{
    struct weft_broker *broker = NULL;
    char error[256] = "";
    const struct weft_remote_options options = {.url = origin_url(origin->port, "/"),
                                                .token = "secret"};
    int err = weft_remote_open(&broker, &options, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(err == 0);
    return broker;
}

/* A whole answer; good until the next one. */
static const char *answer(int status, const char *headers, const char *body)
{
    static char text[65536];
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 %d Some\r\nContent-Type: application/json\r\n%sContent-Length: "
                   "%zu\r\n\r\n%s",
                   status, headers, strlen(body), body);
    return text;
}

static struct weft_uuid id_of(const char *text)
{
    struct weft_uuid id;
    REQUIRE(weft_uuid_parse(&id, text, strlen(text)) == 0);
    return id;
}

/* Claim at most two. What came is freed, but for the first. */
static int claim(struct weft_broker *broker, struct weft_job **ret_first, unsigned *ret_count)
{
    struct weft_job *jobs[2];
    struct weft_claim call = {.queues = queue,
                              .queues_count = 1,
                              .lease_us = 30000000,
                              .wait_us = 5000000,
                              .jobs_max = 2,
                              .jobs = jobs};
    int err = broker->ops->claim(broker, &call);
    for (unsigned i = ret_first ? 1 : 0; i < call.count; i++)
        weft_job_free(jobs[i]);
    if (ret_first)
        *ret_first = call.count > 0 ? jobs[0] : NULL;
    *ret_count = call.count;
    return err;
}

/* ---- options ---------------------------------------------------------------------------- */

FIBER_TEST(what_is_no_address_of_a_server_is_refused)
{
    static const char *const wrong[] = {
        NULL,          "",           "127.0.0.1:8001",  "ftp://a",    "http://", "http:///x",
        "http://a b/", "http://a\n", "http://u:p@host", "http://a/?q"};
    struct weft_broker *broker = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char error[256] = "";
        const struct weft_remote_options options = {.url = wrong[i]};
        CHECK_EQUAL(weft_remote_open(&broker, &options, error, sizeof error), -EINVAL);
        CHECK(strstr(error, "is no address of a server") != NULL);
    }
    static const char *const tokens[] = {"", "a b", "a\r\nX: y", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        char error[256] = "";
        const struct weft_remote_options options = {.url = "http://a", .token = tokens[i]};
        CHECK_EQUAL(weft_remote_open(&broker, &options, error, sizeof error), -EINVAL);
        CHECK(strstr(error, "token") != NULL);
    }
    CHECK(broker == NULL);
}

/* ---- the way of a request --------------------------------------------------------------- */

FIBER_TEST(a_claim_says_what_it_wants_and_who_asks)
{
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    origin.reply = answer(200, "", "{\"jobs\":[]}");
    struct weft_broker *broker = open_broker(&origin);
    unsigned count = 1;
    CHECK_EQUAL(claim(broker, NULL, &count), 0);
    CHECK_EQUAL(count, 0);
    CHECK(strncmp(origin.last, "POST /v1/lease HTTP/1.1\r\n", 25) == 0);
    CHECK(strstr(origin.last, "\r\nAuthorization: Bearer secret\r\n") != NULL);
    CHECK(strstr(origin.last, "\r\nContent-Type: application/json\r\n") != NULL);
    CHECK(strstr(origin.last,
                 "\r\n\r\n{\"queues\":[\"q\"],\"max\":2,\"lease\":30.0,\"wait\":5.0}") != NULL);
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(a_leased_job_comes_as_it_was_written)
{
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    origin.reply =
        answer(200, "",
               "{\"more\":[1,{\"jobs\":3}],\"jobs\":[{" LEASE
               ",\"payload\":{\"n\":12345678901234567890123.50, \"t\":\"\\u00e4\"},"
               "\"headers\":{\"traceparent\":\"00-1\"},\"soft_timeout\":1.5,\"timeout\":3.5,"
               "\"lease_until\":\"2026-11-21T10:00:00.000001Z\",\"new\":{},"
               "\"backoff\":{\"kind\":\"linear\",\"jitter\":\"none\",\"base\":0.5,\"cap\":60},"
               "\"flow\":\"" ID "\",\"inputs\":[{\"id\":\"" ID
               "\",\"state\":\"completed\",\"result_base64\":\"AP8=\"},{\"id\":\"" ID
               "\",\"state\":\"none\"}]}]}");
    struct weft_broker *broker = open_broker(&origin);
    struct weft_job *job = NULL;
    unsigned count = 0;
    CHECK_EQUAL(claim(broker, &job, &count), 0);
    REQUIRE(job);
    const struct weft_uuid id = id_of(ID);
    CHECK(memcmp(&job->id, &id, sizeof id) == 0 && memcmp(&job->flow, &id, sizeof id) == 0);
    CHECK(strcmp(job->task, "t") == 0 && strcmp(job->queue, "q") == 0);
    CHECK_EQUAL(job->lease_token, 7);
    CHECK_EQUAL(job->attempt, 1);
    CHECK_EQUAL(job->attempts_max, 3);
    CHECK_EQUAL(job->state, WEFT_JOB_RUNNING);
    CHECK_EQUAL(job->timeout_us, 1500000);
    CHECK_EQUAL(job->grace_us, 2000000);
    CHECK_EQUAL(job->backoff.kind, WEFT_BACKOFF_LINEAR);
    CHECK_EQUAL(job->backoff.jitter, WEFT_JITTER_NONE);
    CHECK_EQUAL(job->backoff.base_us, 500000);
    CHECK_EQUAL(job->backoff.cap_us, 60000000);
    CHECK(job->payload.json);
    CHECK(strcmp(job->payload.data, "{\"n\":12345678901234567890123.50, \"t\":\"\\u00e4\"}") == 0);
    CHECK(strcmp(job->headers, "{\"traceparent\":\"00-1\"}") == 0);
    CHECK_EQUAL(job->inputs_count, 2);
    CHECK_EQUAL(job->inputs[0].state, WEFT_JOB_COMPLETED);
    CHECK(job->inputs[0].result.len == 2 && !job->inputs[0].result.json &&
          memcmp(job->inputs[0].result.data, "\0\xff", 2) == 0);
    CHECK(job->inputs[1].result.data == NULL);
    weft_job_free(job);
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(a_lease_that_is_none_is_refused_as_a_whole)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"jobs\":{}}",
        "{\"jobs\":[1]}",
        "{\"jobs\":[{}]}",
        "{\"jobs\":[{" LEASE "}",
        "{\"jobs\":[{" LEASE "},{\"id\":\"" ID "\"}]}",
        "{\"jobs\":[{" LEASE "},{" LEASE "},{" LEASE "}]}", /* two were asked for */
        "{\"jobs\":[{" LEASE ",\"token\":\"0\"}]}",
        "{\"jobs\":[{" LEASE ",\"token\":\"x\"}]}",
        "{\"jobs\":[{" LEASE ",\"token\":8}]}",
        "{\"jobs\":[{" LEASE ",\"token\":\"18446744073709551616\"}]}",
        "{\"jobs\":[{" LEASE ",\"token\":\"\"}]}",
        "{\"jobs\":[{" LEASE ",\"id\":\"1\"}]}",
        "{\"jobs\":[{" LEASE ",\"id\":7}]}",
        "{\"jobs\":[{" LEASE ",\"task\":\"../x\"}]}",
        "{\"jobs\":[{" LEASE ",\"task\":\"\"}]}",
        "{\"jobs\":[{" LEASE ",\"queue\":\"a\\u0000b\"}]}",
        "{\"jobs\":[{" LEASE ",\"queue\":null}]}",
        "{\"jobs\":[{" LEASE ",\"attempt\":0}]}",
        "{\"jobs\":[{" LEASE ",\"attempt\":-1}]}",
        "{\"jobs\":[{" LEASE ",\"attempt\":1.5}]}",
        "{\"jobs\":[{" LEASE ",\"attempt\":70000}]}",
        "{\"jobs\":[{" LEASE ",\"max_attempts\":\"3\"}]}",
        "{\"jobs\":[{" LEASE ",\"timeout\":-1}]}",
        "{\"jobs\":[{" LEASE ",\"timeout\":1e300}]}",
        "{\"jobs\":[{" LEASE ",\"timeout\":\"1s\"}]}",
        "{\"jobs\":[{" LEASE ",\"lease_until\":\"today\"}]}",
        "{\"jobs\":[{" LEASE ",\"payload\":}]}",
        "{\"jobs\":[{" LEASE ",\"payload\":[1,2}]}",
        "{\"jobs\":[{" LEASE ",\"payload\":nul}]}",
        "{\"jobs\":[{" LEASE ",\"payload\":\"\xff\"}]}",
        "{\"jobs\":[{" LEASE ",\"payload_base64\":\"A\"}]}",
        "{\"jobs\":[{" LEASE ",\"payload_base64\":3}]}",
        "{\"jobs\":[{" LEASE ",\"headers\":{\"a\":}}]}",
        "{\"jobs\":[{" LEASE ",\"backoff\":3}]}",
        "{\"jobs\":[{" LEASE ",\"backoff\":{\"kind\":\"cubic\"}}]}",
        "{\"jobs\":[{" LEASE ",\"inputs\":{}}]}",
        "{\"jobs\":[{" LEASE ",\"inputs\":[{\"state\":\"completed\"}]}]}",
        "{\"jobs\":[{" LEASE ",\"inputs\":[{\"id\":\"" ID "\",\"state\":\"lost\"}]}]}",
    };
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    struct weft_broker *broker = open_broker(&origin);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        unsigned count = 9;
        origin.reply = answer(200, "", wrong[i]);
        int err = claim(broker, NULL, &count);
        CHECK_EQUAL(err, -EPROTO);
        CHECK_EQUAL(count, 0);
        if (err != -EPROTO)
            test_note("%s", wrong[i]);
        CHECK(strstr(weft_remote_error(broker), "POST /v1/lease: ") == weft_remote_error(broker));
    }
    CHECK_EQUAL(origin.requests, sizeof wrong / sizeof wrong[0]); /* nothing was tried again */
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(a_worker_without_a_number_and_a_job_that_is_another_are_refused)
{
    static const char *const numbers[] = {"",
                                          "{}",
                                          "[]",
                                          "{\"number\":0}",
                                          "{\"number\":-1}",
                                          "{\"number\":\"7\"}",
                                          "{\"number\":1e99}"};
    static const char *const jobs[] = {
        "", "{}", "{" LEASE "}", "{" LEASE ",\"state\":\"somewhere\"}",
        ("{\"id\":\"0193b3c4-0000-7000-8000-000000000002\",\"task\":\"t\",\"queue\":\"q\","
         "\"attempt\":1,\"max_attempts\":3,\"state\":\"running\"}")};
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    struct weft_broker *broker = open_broker(&origin);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct weft_worker_info worker = {.name = "w"};
        origin.reply = answer(201, "", numbers[i]);
        CHECK_EQUAL(broker->ops->worker_join(broker, &worker), -EPROTO);
        CHECK_EQUAL(worker.number, 0);
        CHECK(strstr(weft_remote_error(broker), "it has no number") != NULL);
    }
    const struct weft_uuid id = id_of(ID);
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        struct weft_job *job = NULL;
        origin.reply = answer(200, "", jobs[i]);
        CHECK_EQUAL(broker->ops->find(broker, &id, &job), -EPROTO);
        CHECK(!job);
        CHECK(strstr(weft_remote_error(broker), "the job is not what it should be") != NULL);
    }
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(what_the_server_refuses_is_not_tried_again)
{
    static const struct {
        int status, err;
    } cases[] = {{400, -EINVAL}, {401, -EACCES},   {403, -EACCES}, {404, -ENOENT},
                 {405, -EPROTO}, {413, -EMSGSIZE}, {422, -EINVAL}, {302, -EPROTO}};
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    struct weft_broker *broker = open_broker(&origin);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned count = 0, before = origin.requests;
        origin.reply =
            answer(cases[i].status, "Location: /\r\n", "{\"detail\":\"no \\\"way\\\"\\u0007\"}");
        CHECK_EQUAL(claim(broker, NULL, &count), cases[i].err);
        CHECK_EQUAL(origin.requests, before + 1);
        CHECK(strstr(weft_remote_error(broker), "no \"way\" ") != NULL); /* and no bell */
    }
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(a_busy_server_is_asked_again_a_few_times_and_not_too_soon)
{
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    struct weft_broker *broker = open_broker(&origin);
    unsigned count = 0;
    origin.reply = answer(503, "Retry-After: 1\r\n", "{\"detail\":\"busy\"}");
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(claim(broker, NULL, &count), -EREMOTEIO);
    CHECK_EQUAL(origin.requests, 4);
    CHECK(weft_now() - begin_ns >= 3 * WEFT_SEC);
    CHECK(weft_now() - begin_ns < 10 * WEFT_SEC);
    /* One that wants a whole minute gets less: leases do not wait. */
    origin.reply = answer(429, "Retry-After: 60\r\n", "{}");
    begin_ns = weft_now();
    CHECK_EQUAL(claim(broker, NULL, &count), -EBUSY);
    CHECK_EQUAL(origin.requests, 8);
    CHECK(weft_now() - begin_ns < 10 * WEFT_SEC);
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(a_server_that_is_not_there_is_told_after_a_few_tries)
{
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    struct weft_broker *broker = open_broker(&origin);
    origin_close(&origin);
    unsigned count = 0;
    CHECK_EQUAL(claim(broker, NULL, &count), -ECONNREFUSED);
    CHECK(strstr(weft_remote_error(broker), "127.0.0.1") != NULL);
    struct weft_worker_info worker = {.name = "w", .concurrency = 1};
    CHECK_EQUAL(broker->ops->worker_join(broker, &worker), -ECONNREFUSED);
    CHECK_EQUAL(worker.number, 0);
    broker->ops->close(broker);
}

FIBER_TEST(a_server_that_says_nothing_is_waited_for_no_longer_than_it_may_take)
{
    struct origin origin;
    origin_open(&origin, origin_keep_silent);
    struct weft_broker *broker = open_broker(&origin);
    struct weft_lease lease = {.id = id_of(ID), .token = 7, .lease_us = 30000000};
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), -ETIMEDOUT);
    CHECK(weft_now() - begin_ns <= 40 * WEFT_SEC);
    broker->ops->close(broker);
    origin_close(&origin);
}

static void say_without_end(struct origin *origin, int fd)
{
    static const char spaces[65536];
    (void)origin_read(origin, fd);
    origin_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    while (weft_write_all(fd, spaces, sizeof spaces, WEFT_FOREVER, NULL) == 0)
        ;
}

FIBER_TEST(an_answer_without_end_is_refused)
{
    struct origin origin;
    origin_open(&origin, say_without_end);
    struct weft_broker *broker = open_broker(&origin);
    struct weft_lease lease = {.id = id_of(ID), .token = 7, .lease_us = 30000000};
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), -EMSGSIZE);
    broker->ops->close(broker);
    origin_close(&origin);
}

/* ---- settlements ------------------------------------------------------------------------ */

/* Answers of a server to /v1/settle: an outcome for each id of the request; 422 for all of it when
 * it has a word in it. */
static void say_settled(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        char body[4096] = "{\"jobs\":[";
        const char *at = origin->last;
        if (strstr(at, "poison")) {
            origin_say(fd, answer(422, "", "{\"detail\":\"poison\"}"));
            continue;
        }
        for (int i = 0; (at = strstr(at, "{\"id\":\"")); i++, at += 7 + 36) {
            size_t len = strlen(body);
            (void)snprintf(body + len, sizeof body - len,
                           "%s{\"id\":\"%.36s\",\"state\":\"completed\"}", i ? "," : "", at + 7);
        }
        (void)strncat(body, "]}", sizeof body - strlen(body) - 1);
        origin_say(fd, answer(200, "", body));
    }
}

FIBER_TEST(one_result_that_the_server_refuses_does_not_hold_up_the_others)
{
    enum {
        JOBS = 7
    };
    struct origin origin;
    origin_open(&origin, say_settled);
    struct weft_broker *broker = open_broker(&origin);
    for (int poisoned = 0; poisoned < JOBS; poisoned++) {
        struct weft_job jobs[JOBS];
        struct weft_settlement items[JOBS];
        for (int i = 0; i < JOBS; i++) {
            jobs[i] = (struct weft_job){.id = id_of(ID), .lease_token = 7};
            jobs[i].id.bytes[15] = (uint8_t)i;
            bool bad = i == poisoned;
            items[i] = (struct weft_settlement){
                .job = &jobs[i],
                .event = WEFT_JOB_COMPLETE,
                .result = {bad ? "\"poison\"" : "1", bad ? 8 : 1, true},
            };
        }
        CHECK_EQUAL(broker->ops->settle(broker, items, JOBS), 0);
        for (int i = 0; i < JOBS; i++) {
            CHECK_EQUAL(items[i].err, i == poisoned ? -EINVAL : 0);
            CHECK_EQUAL(items[i].state, i == poisoned ? WEFT_JOB_NONE : WEFT_JOB_COMPLETED);
        }
    }
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(an_event_that_is_no_settlement_is_refused_alone)
{
    struct origin origin;
    origin_open(&origin, say_settled);
    struct weft_broker *broker = open_broker(&origin);
    const struct weft_job job = {.id = id_of(ID), .lease_token = 7};
    struct weft_settlement items[] = {{.job = &job, .event = WEFT_JOB_COMPLETE},
                                      {.job = &job, .event = WEFT_JOB_DUE},
                                      {.job = &job, .event = WEFT_JOB_EVENTS},
                                      {.job = &job, .event = WEFT_JOB_COMPLETE}};
    CHECK_EQUAL(broker->ops->settle(broker, items, 4), 0);
    CHECK_EQUAL(items[0].err, 0);
    CHECK_EQUAL(items[1].err, -EINVAL);
    CHECK_EQUAL(items[2].err, -EINVAL);
    CHECK_EQUAL(items[3].err, 0);
    broker->ops->close(broker);
    origin_close(&origin);
}

FIBER_TEST(outcomes_that_are_not_those_of_the_jobs_are_refused)
{
    static const char *const wrong[] = {
        "{\"jobs\":[]}",
        "{\"jobs\":[{\"state\":\"completed\"}]}",
        "{\"jobs\":[{\"id\":\"0193b3c4-0000-7000-8000-000000000002\",\"state\":\"completed\"}]}",
        "{\"jobs\":[{\"id\":\"" ID "\"}]}",
        "{\"jobs\":[{\"id\":\"" ID "\",\"state\":\"fine\"}]}",
        "{\"jobs\":[{\"id\":\"" ID "\",\"status\":\"409\"}]}",
    };
    struct origin origin;
    origin_open(&origin, origin_say_reply);
    struct weft_broker *broker = open_broker(&origin);
    const struct weft_job job = {.id = id_of(ID), .lease_token = 7};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct weft_settlement item = {.job = &job, .event = WEFT_JOB_COMPLETE};
        origin.reply = answer(200, "", wrong[i]);
        CHECK_EQUAL(broker->ops->settle(broker, &item, 1), -EPROTO);
    }
    struct weft_lease lease = {.id = id_of(ID), .token = 7, .lease_us = 30000000};
    origin.reply = answer(200, "", "{\"jobs\":[{\"id\":\"" ID "\",\"cancel\":1}]}");
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), -EPROTO);
    origin.reply = answer(200, "", "{\"jobs\":[{\"id\":\"" ID "\",\"cancel\":true}]}");
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
    CHECK(lease.cancelling && lease.err == 0);
    origin.reply = answer(200, "", "{\"jobs\":[{\"id\":\"" ID "\",\"status\":409}]}");
    CHECK_EQUAL(broker->ops->extend(broker, &lease, 1), 0);
    CHECK(!lease.cancelling && lease.err == -ESTALE);
    broker->ops->close(broker);
    origin_close(&origin);
}

/* A server that takes the first settlement and dies before it answers; then the lease is gone, and
 * the job is as origin->arg says. */
static void lose_an_answer(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        if (origin->requests == 1)
            return;
        if (strncmp(origin->last, "GET /v1/jobs/" ID " ", 50) == 0)
            origin_say(fd, answer(200, "", origin->arg));
        else
            origin_say(fd, answer(200, "", "{\"jobs\":[{\"id\":\"" ID "\",\"status\":409}]}"));
    }
}

FIBER_TEST(a_settlement_whose_answer_was_lost_is_known_to_have_been_made)
{
    static char ours[] = "{" LEASE ",\"state\":\"completed\",\"worker\":5}";
    static char others[] = "{" LEASE ",\"state\":\"completed\",\"worker\":6}";
    static char otherwise[] = "{" LEASE ",\"state\":\"dead\",\"worker\":5}";
    char *const now[] = {ours, others, otherwise};
    for (int i = 0; i < 3; i++) {
        struct origin origin;
        origin_open(&origin, lose_an_answer);
        origin.arg = now[i];
        struct weft_broker *broker = open_broker(&origin);
        const struct weft_job job = {.id = id_of(ID), .lease_token = 7, .worker = 5};
        struct weft_settlement item = {.job = &job, .event = WEFT_JOB_COMPLETE};
        CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
        CHECK_EQUAL(item.err, i == 0 ? 0 : -ESTALE);
        CHECK_EQUAL(origin.requests, 3);
        /* Now there is no doubt: what is lost is lost. */
        CHECK_EQUAL(broker->ops->settle(broker, &item, 1), 0);
        CHECK_EQUAL(item.err, -ESTALE);
        CHECK_EQUAL(origin.requests, 4);
        broker->ops->close(broker);
        origin_close(&origin);
    }
}

/* ---- what a remote broker does not do --------------------------------------------------- */

FIBER_TEST(jobs_are_not_put_in_through_it)
{
    struct origin origin;
    origin_open(&origin, origin_keep_silent);
    struct weft_broker *broker = open_broker(&origin);
    struct weft_enqueue item = {0};
    struct weft_enqueue_batch batch = {.items = &item, .count = 1};
    struct weft_maintenance maintenance;
    CHECK_EQUAL(broker->ops->enqueue(broker, &batch), -ENOSYS);
    CHECK_EQUAL(item.err, -ENOSYS);
    CHECK_EQUAL(broker->ops->maintain(broker, &maintenance), 0);
    CHECK(maintenance.next_us == INT64_MAX && !maintenance.more);
    CHECK_EQUAL(origin.accepted, 0);
    broker->ops->close(broker);
    origin_close(&origin);
}

/* ---- cancellation ----------------------------------------------------------------------- */

struct call {
    struct weft_broker *broker;
    struct weft_scope scope;
    bool settles;
    int err, left;
    unsigned count;
};

static int call_in_scope(void *arg)
{
    struct call *call = arg;
    const struct weft_job job = {.id = id_of(ID), .lease_token = 7};
    struct weft_settlement item = {.job = &job, .event = WEFT_JOB_COMPLETE};
    weft_scope_enter(&call->scope, WEFT_FOREVER, 0);
    call->err = call->settles ? call->broker->ops->settle(call->broker, &item, 1)
                              : claim(call->broker, NULL, &call->count);
    call->left = weft_scope_leave(&call->scope, call->err);
    return 0;
}

static int call_already_cancelled(void *arg)
{
    struct call *call = arg;
    struct weft_scope outer;
    weft_scope_enter(&outer, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    weft_scope_cancel(&outer, 0);
    (void)call_in_scope(call);
    return weft_scope_leave(&outer, 0);
}

FIBER_TEST(a_claim_can_be_cancelled_before_it_begins_and_while_it_waits)
{
    struct origin origin;
    struct weft_group group;
    origin_open(&origin, origin_keep_silent);
    struct call call = {.broker = open_broker(&origin)};
    CHECK_EQUAL(call_already_cancelled(&call), 0);
    CHECK_EQUAL(call.err, -ECANCELED);
    CHECK_EQUAL(origin.requests, 0);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, call_in_scope, &call) == 0);
    (void)weft_sleep(WEFT_SEC);
    CHECK_EQUAL(origin.requests, 1);
    int64_t begin_ns = weft_now();
    weft_scope_cancel(&call.scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_now(), begin_ns);
    CHECK_EQUAL(call.err, -ECANCELED);
    call.broker->ops->close(call.broker);
    origin_close(&origin);
}

/* Answers after a second. */
static void settle_slowly(struct origin *origin, int fd)
{
    while (origin_read(origin, fd)) {
        (void)weft_sleep(WEFT_SEC);
        origin_say(fd, origin->reply);
    }
}

FIBER_TEST(a_claim_that_is_cancelled_when_its_answer_comes_has_it_or_not)
{
    static const int64_t moments_ns[] = {WEFT_SEC - WEFT_MSEC, WEFT_SEC, WEFT_SEC + WEFT_MSEC};
    for (int i = 0; i < 3; i++) {
        struct origin origin;
        struct weft_group group;
        origin_open(&origin, settle_slowly);
        origin.reply = answer(200, "", "{\"jobs\":[{" LEASE "}]}");
        struct call call = {.broker = open_broker(&origin)};
        REQUIRE(weft_group_init(&group, NULL) == 0);
        REQUIRE(weft_spawn(&group, call_in_scope, &call) == 0);
        (void)weft_sleep(moments_ns[i]);
        if (i < 2)
            weft_scope_cancel(&call.scope, 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK(call.err == 0 ? call.count == 1 : call.err == -ECANCELED && call.count == 0);
        CHECK(i < 2 || call.err == 0);
        call.broker->ops->close(call.broker);
        origin_close(&origin);
    }
}

FIBER_TEST(a_settlement_is_made_whoever_is_cancelled)
{
    struct origin origin;
    struct weft_group group;
    origin_open(&origin, settle_slowly);
    origin.reply = answer(200, "", "{\"jobs\":[{\"id\":\"" ID "\",\"state\":\"completed\"}]}");
    struct call call = {.broker = open_broker(&origin), .settles = true};
    CHECK_EQUAL(call_already_cancelled(&call), 0);
    CHECK_EQUAL(call.err, 0);
    REQUIRE(weft_group_init(&group, NULL) == 0);
    REQUIRE(weft_spawn(&group, call_in_scope, &call) == 0);
    (void)weft_sleep(WEFT_SEC / 2);
    weft_scope_cancel(&call.scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(call.err, 0);
    CHECK_EQUAL(origin.requests, 2);
    call.broker->ops->close(call.broker);
    origin_close(&origin);
}
