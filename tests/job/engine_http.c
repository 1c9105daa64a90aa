/* SPDX-License-Identifier: MIT
 * engine_http.c - webhooks as handlers of the engine, sent to a server that checks them as any
 * receiver would. */
#include "../http/origin.h"
#include "faulty.h"
#include "world.h"

#include <job/webhook_send.h>
#include <weft/http_server.h>

#include <os/clock.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OLDER  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIj"

static bool begins_with(const char *text, const char *begin)
{
    return text && strncmp(text, begin, strlen(begin)) == 0;
}

/* ---- the receiver ------------------------------------------------------------------------ */

struct receiver {
    struct weft_webhook_keys keys; /* none: signatures are not looked at */
    int status;
    const char *type, *body;
    size_t body_len; /* 0: to its NUL */
    const char *retry_after, *location;
    bool silent; /* does not answer */

    unsigned asked, gone; /* requests; of those, whose client has left */
    int verified;         /* of the last one */
    char id[64], task[64], attempt[16], type_got[64], body_got[256], team[64];
    int64_t at_ns[8]; /* when they came */

    struct weft_http_server *server;
    struct weft_group group;
};

static void copy_header(struct weft_http_exchange *exchange, const char *name, char *text,
                        size_t bytes)
{
    const char *value = weft_http_header(exchange, name);
    (void)snprintf(text, bytes, "%s", value ? value : "(none)");
}

static void note_request(struct receiver *receiver, struct weft_http_exchange *exchange)
{
    size_t len;
    const char *body = weft_http_body(exchange, &len);
    if (receiver->asked < 8)
        receiver->at_ns[receiver->asked] = weft_now();
    receiver->asked++;
    copy_header(exchange, "Webhook-Id", receiver->id, sizeof receiver->id);
    copy_header(exchange, "Weft-Task", receiver->task, sizeof receiver->task);
    copy_header(exchange, "Weft-Attempt", receiver->attempt, sizeof receiver->attempt);
    copy_header(exchange, "Content-Type", receiver->type_got, sizeof receiver->type_got);
    copy_header(exchange, "X-Team", receiver->team, sizeof receiver->team);
    (void)snprintf(receiver->body_got, sizeof receiver->body_got, "%s", body);
    receiver->verified =
        weft_webhook_verify(&receiver->keys, weft_http_header(exchange, "webhook-id"),
                            weft_http_header(exchange, "webhook-timestamp"),
                            weft_http_header(exchange, "webhook-signature"), body, len,
                            weft_clock_unix_us() / 1000000, 0);
}

static void wait_until_gone(struct receiver *receiver, struct weft_http_exchange *exchange)
{
    struct weft_case cases[] = {weft_http_case_gone(exchange), weft_http_case_drain(exchange)};
    while (!weft_http_gone(exchange) && !weft_http_draining(exchange)) {
        if (weft_select(cases, 2, WEFT_FOREVER, 0) < 0)
            return;
    }
    receiver->gone += weft_http_gone(exchange) != 0;
}

static void receive(struct weft_http_exchange *exchange, void *context)
{
    struct receiver *receiver = context;
    note_request(receiver, exchange);
    if (receiver->silent) {
        wait_until_gone(receiver, exchange);
        return;
    }
    if (receiver->retry_after)
        weft_http_reply_header(exchange, "Retry-After", receiver->retry_after);
    if (receiver->location)
        weft_http_reply_header(exchange, "Location", receiver->location);
    const char *body = receiver->body ? receiver->body : "";
    weft_http_reply(exchange, receiver->status, receiver->type, body,
                    receiver->body_len ? receiver->body_len : strlen(body));
}

static int serve_main(void *arg)
{
    struct receiver *receiver = arg;
    return weft_http_server_run(receiver->server);
}

static void receiver_open(struct receiver *receiver)
{
    static const struct weft_http_route routes[] = {
        {.method = "POST", .pattern = "/hook", .handler = receive}};
    *receiver = (struct receiver){.status = 200};
    const struct weft_http_server_options options = {
        .routes = routes, .routes_count = 1, .context = receiver};
    REQUIRE(weft_http_server_open(&receiver->server, &options) == 0);
    REQUIRE(weft_group_init(&receiver->group, NULL) == 0);
    REQUIRE(weft_spawn(&receiver->group, serve_main, receiver) == 0);
}

static void receiver_close(struct receiver *receiver)
{
    weft_http_server_drain(receiver->server);
    CHECK_EQUAL(weft_group_wait(&receiver->group), 0);
    weft_http_server_close(receiver->server);
}

/* ---- the sender -------------------------------------------------------------------------- */

struct sender {
    struct weft_webhook_keys keys;
    char url[64];
    struct weft_webhook webhook;
    struct weft_handler handler;
    struct world world;
};

/* For what differs, before it is opened. */
static void sender_prepare(struct sender *sender, unsigned port)
{
    *sender = (struct sender){.keys = {.count = 0}};
    (void)snprintf(sender->url, sizeof sender->url, "http://127.0.0.1:%u/hook", port);
    sender->webhook = (struct weft_webhook){
        .name = "notify", .url = sender->url, .keys = &sender->keys, .allow_private = true};
    sender->handler = (struct weft_handler){.name = "notify",
                                            .executor = WEFT_EXECUTOR_HTTP,
                                            .settings = &sender->webhook,
                                            .retry = {.backoff = WEFT_BACKOFF_CONSTANT,
                                                      .jitter = WEFT_JITTER_NONE,
                                                      .base_ns = 10 * WEFT_SEC}};
}

static void sender_open(struct sender *sender)
{
    world_open(&sender->world,
               (struct weft_engine_options){.handlers = &sender->handler, .handlers_count = 1});
}

struct pair {
    struct receiver receiver;
    struct sender sender;
};

static void pair_prepare(struct pair *pair)
{
    receiver_open(&pair->receiver);
    sender_prepare(&pair->sender, weft_http_server_port(pair->receiver.server));
}

static void pair_open(struct pair *pair)
{
    pair_prepare(pair);
    sender_open(&pair->sender);
}

static void pair_close(struct pair *pair)
{
    world_close(&pair->sender.world, 0);
    receiver_close(&pair->receiver);
}

/* Send one, and see its job end; to be freed. */
static struct weft_job *send_one(struct sender *sender, const char *payload)
{
    struct weft_uuid id = world_add(&sender->world, "notify", payload);
    return world_end(&sender->world, &id);
}

/* ---- requests and results ---------------------------------------------------------------- */

FIBER_TEST(a_job_is_posted_with_its_signature_and_the_answer_is_the_result)
{
    struct pair pair;
    char id[WEFT_UUID_TEXT_LEN + 1];
    pair_prepare(&pair);
    REQUIRE(weft_webhook_keys_add(&pair.sender.keys, SECRET) == 0);
    REQUIRE(weft_webhook_keys_add(&pair.receiver.keys, SECRET) == 0);
    sender_open(&pair.sender);
    pair.receiver.type = "application/json; charset=utf-8";
    pair.receiver.body = "{\"seen\": true}";
    struct weft_job *job = send_one(&pair.sender, "{\"order\":17}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(job->result.data, "{\"seen\": true}");
    CHECK(job->result.json);
    CHECK_EQUAL(pair.receiver.asked, 1);
    CHECK_EQUAL(pair.receiver.verified, 0);
    weft_uuid_format(&job->id, id);
    CHECK_TEXT(pair.receiver.id, id);
    CHECK_TEXT(pair.receiver.task, "notify");
    CHECK_TEXT(pair.receiver.attempt, "1");
    CHECK_TEXT(pair.receiver.type_got, "application/json");
    CHECK_TEXT(pair.receiver.body_got, "{\"order\":17}");
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(while_a_secret_is_replaced_receivers_may_know_either)
{
    struct pair pair;
    pair_prepare(&pair);
    REQUIRE(weft_webhook_keys_add(&pair.sender.keys, SECRET) == 0);
    REQUIRE(weft_webhook_keys_add(&pair.sender.keys, OLDER) == 0);
    sender_open(&pair.sender);
    static const char *const secrets[] = {SECRET, OLDER};
    for (int i = 0; i < 2; i++) {
        pair.receiver.keys.count = 0;
        REQUIRE(weft_webhook_keys_add(&pair.receiver.keys, secrets[i]) == 0);
        weft_job_free(send_one(&pair.sender, "{}"));
        CHECK_EQUAL(pair.receiver.verified, 0);
    }
    pair.receiver.keys.count = 0;
    REQUIRE(weft_webhook_keys_add(&pair.receiver.keys, "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4") == 0);
    weft_job_free(send_one(&pair.sender, "{}"));
    CHECK_EQUAL(pair.receiver.verified, -EBADMSG);
    pair_close(&pair);
}

FIBER_TEST(only_what_is_json_is_kept_as_json)
{
    struct pair pair;
    pair_open(&pair);
    static const struct {
        const char *type, *body;
        bool json;
    } answers[] = {
        {"text/plain", "{}", false},
        {"application/json", "{\"cut\":", false},
        {"application/problem+json", "[1]", true},
        {NULL, "fine", false},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        pair.receiver.type = answers[i].type;
        pair.receiver.body = answers[i].body;
        struct weft_job *job = send_one(&pair.sender, "{}");
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        CHECK_TEXT(job->result.data, answers[i].body);
        CHECK_EQUAL(job->result.json, answers[i].json);
        weft_job_free(job);
    }
    pair.receiver.status = 204;
    pair.receiver.type = NULL;
    pair.receiver.body = NULL;
    struct weft_job *job = send_one(&pair.sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(!job->result.data);
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(a_payload_that_is_not_json_says_so_and_may_be_nothing)
{
    struct pair pair;
    pair_open(&pair);
    struct weft_uuid id = world_put(
        &pair.sender.world,
        (struct weft_submission){.task = "notify", .payload = {.data = "a\001b", .len = 3}});
    weft_job_free(world_end(&pair.sender.world, &id));
    CHECK_TEXT(pair.receiver.type_got, "application/octet-stream");
    CHECK_TEXT(pair.receiver.body_got, "a\001b");
    id = world_put(&pair.sender.world,
                   (struct weft_submission){.task = "notify", .payload = {.data = "", .len = 0}});
    struct weft_job *job = world_end(&pair.sender.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_TEXT(pair.receiver.body_got, "");
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(headers_of_the_rule_are_sent_with_ours)
{
    static const struct weft_http_field fields[] = {{"X-Team", "billing"}};
    struct pair pair;
    pair_prepare(&pair);
    pair.sender.webhook.fields = fields;
    pair.sender.webhook.fields_count = 1;
    sender_open(&pair.sender);
    weft_job_free(send_one(&pair.sender, "{}"));
    CHECK_TEXT(pair.receiver.team, "billing");
    CHECK_TEXT(pair.receiver.task, "notify");
    pair_close(&pair);
}

FIBER_TEST(an_answer_that_is_too_long_is_no_result_and_no_failure)
{
    struct pair pair;
    char *body = malloc(WEFT_JOB_RESULT_MAX + 1);
    REQUIRE(body);
    memset(body, '1', WEFT_JOB_RESULT_MAX + 1);
    pair_open(&pair);
    pair.receiver.type = "application/json";
    pair.receiver.body = body;
    pair.receiver.body_len = WEFT_JOB_RESULT_MAX;
    struct weft_job *job = send_one(&pair.sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->result.len, WEFT_JOB_RESULT_MAX);
    weft_job_free(job);
    pair.receiver.body_len = WEFT_JOB_RESULT_MAX + 1;
    job = send_one(&pair.sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK(!job->result.data);
    CHECK_EQUAL(world_logged("task", "the answer was too long to be kept"), 1);
    weft_job_free(job);
    pair_close(&pair);
    free(body);
}

/* 80 MiB, in pieces. */
static void say_much(struct origin *origin, int fd)
{
    static char piece[(1 << 20) + 1];
    memset(piece, 'x', sizeof piece - 1);
    if (!origin_read(origin, fd))
        return;
    origin_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 83886080\r\n\r\n");
    for (int i = 0; i < 80; i++)
        origin_say(fd, piece);
}

FIBER_TEST(an_answer_without_an_end_is_given_up)
{
    struct origin origin;
    struct sender sender;
    origin_open(&origin, say_much);
    sender_prepare(&sender, origin.port);
    sender.handler.attempts_max = 1;
    sender_open(&sender);
    struct weft_job *job = send_one(&sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "its answer does not end");
    weft_job_free(job);
    world_close(&sender.world, 0);
    origin_close(&origin);
}

/* ---- failures ---------------------------------------------------------------------------- */

FIBER_TEST(a_failure_is_tried_again_under_the_same_id)
{
    struct pair pair;
    pair_open(&pair);
    pair.receiver.status = 500;
    pair.receiver.body = "out of order";
    struct weft_uuid id = world_add(&pair.sender.world, "notify", "{}");
    (void)weft_sleep(5 * WEFT_SEC);
    CHECK_EQUAL(pair.receiver.asked, 1);
    CHECK_EQUAL(world_logged("failed", "answered 500: out of order"), 1);
    char first[64];
    (void)snprintf(first, sizeof first, "%s", pair.receiver.id);
    pair.receiver.status = 200;
    struct weft_job *job = world_end(&pair.sender.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(job->attempt, 2);
    CHECK_TEXT(pair.receiver.attempt, "2");
    CHECK_TEXT(pair.receiver.id, first);
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(retry_after_is_waited_for_and_so_is_a_longer_delay_of_the_jobs_own)
{
    struct pair pair;
    pair_open(&pair);
    pair.receiver.status = 503;
    pair.receiver.retry_after = "120";
    struct weft_uuid id = world_add(&pair.sender.world, "notify", "{}");
    (void)weft_sleep(60 * WEFT_SEC);
    CHECK_EQUAL(pair.receiver.asked, 1);
    pair.receiver.retry_after = "3";
    (void)weft_sleep(65 * WEFT_SEC);
    CHECK_EQUAL(pair.receiver.asked, 2);
    pair.receiver.status = 200;
    struct weft_job *job = world_end(&pair.sender.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
    CHECK_EQUAL(pair.receiver.asked, 3);
    CHECK(pair.receiver.at_ns[1] - pair.receiver.at_ns[0] >= 120 * WEFT_SEC);
    CHECK(pair.receiver.at_ns[2] - pair.receiver.at_ns[1] >= 10 * WEFT_SEC);
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(who_does_not_want_it_any_more_is_not_asked_again)
{
    struct pair pair;
    pair_open(&pair);
    pair.receiver.status = 410;
    struct weft_job *job = send_one(&pair.sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_EQUAL(job->attempt, 1);
    CHECK_TEXT(job->error, "answered 410");
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(the_rule_says_whether_client_errors_are_final)
{
    for (int final = 0; final < 2; final++) {
        struct pair pair;
        pair_prepare(&pair);
        pair.sender.webhook.rules.client_errors_final = final;
        sender_open(&pair.sender);
        pair.receiver.status = 422;
        pair.receiver.body = "{\"detail\": \"no order\"}";
        struct weft_job *job = send_one(&pair.sender, "{}");
        CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
        CHECK_EQUAL(job->attempt, final ? 1 : 3);
        CHECK_TEXT(job->error, "answered 422: {\"detail\": \"no order\"}");
        weft_job_free(job);
        pair_close(&pair);
    }
}

FIBER_TEST(a_redirect_is_not_followed)
{
    struct pair pair;
    pair_prepare(&pair);
    pair.sender.handler.attempts_max = 1;
    sender_open(&pair.sender);
    pair.receiver.status = 307;
    pair.receiver.location = pair.sender.url;
    struct weft_job *job = send_one(&pair.sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK(begins_with(job->error, "answered 307: it has moved to http://127.0.0.1:"));
    CHECK_EQUAL(pair.receiver.asked, 1);
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(private_addresses_are_not_asked_unless_the_rule_allows_it)
{
    struct pair pair;
    pair_prepare(&pair);
    pair.sender.webhook.allow_private = false;
    pair.sender.handler.attempts_max = 1;
    sender_open(&pair.sender);
    struct weft_job *job = send_one(&pair.sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "its url leads to an address that is not of the public internet");
    CHECK_EQUAL(pair.receiver.asked, 0);
    weft_job_free(job);
    pair_close(&pair);
}

FIBER_TEST(a_receiver_that_is_not_there_is_a_failure)
{
    struct pair pair;
    struct sender sender;
    pair_open(&pair);
    sender_prepare(&sender, weft_http_server_port(pair.receiver.server));
    pair_close(&pair);
    sender.handler.attempts_max = 1;
    sender_open(&sender);
    struct weft_job *job = send_one(&sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK(begins_with(job->error, "no answer: "));
    weft_job_free(job);
    world_close(&sender.world, 0);
}

static void hang_up(struct origin *origin, int fd)
{
    (void)origin_read(origin, fd);
}

FIBER_TEST(a_receiver_that_hangs_up_is_a_failure)
{
    struct origin origin;
    struct sender sender;
    origin_open(&origin, hang_up);
    sender_prepare(&sender, origin.port);
    sender.handler.attempts_max = 1;
    sender_open(&sender);
    struct weft_job *job = send_one(&sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK(begins_with(job->error, "no answer: "));
    weft_job_free(job);
    world_close(&sender.world, 0);
    origin_close(&origin);
}

/* ---- times and cancellation -------------------------------------------------------------- */

FIBER_TEST(an_answer_that_does_not_come_in_time_is_not_waited_for)
{
    struct pair pair;
    pair_prepare(&pair);
    pair.sender.handler.attempts_max = 1;
    pair.sender.webhook.timeout_ns = 7 * WEFT_SEC;
    sender_open(&pair.sender);
    pair.receiver.silent = true;
    int64_t begin_ns = weft_now();
    struct weft_job *job = send_one(&pair.sender, "{}");
    CHECK_EQUAL(job->state, WEFT_JOB_DEAD);
    CHECK_TEXT(job->error, "it took longer than 7 s, and was given up");
    CHECK(weft_now() - begin_ns >= 7 * WEFT_SEC && weft_now() - begin_ns < 8 * WEFT_SEC);
    weft_job_free(job);
    /* The shorter one counts, the rule's or the job's. */
    struct weft_uuid id = world_put(
        &pair.sender.world, (struct weft_submission){.task = "notify", .timeout_us = 2000000});
    job = world_end(&pair.sender.world, &id);
    CHECK_TEXT(job->error, "it took longer than 2 s, and was given up");
    weft_job_free(job);
    for (int i = 0; i < 1000 && pair.receiver.gone < 2; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(pair.receiver.gone, 2);
    pair_close(&pair);
}

FIBER_TEST(without_a_word_about_it_a_webhook_has_half_an_hour)
{
    struct pair pair;
    pair_prepare(&pair);
    pair.sender.handler.attempts_max = 1;
    sender_open(&pair.sender);
    pair.receiver.silent = true;
    struct weft_job *job = send_one(&pair.sender, "{}");
    CHECK_TEXT(job->error, "it took longer than 1800 s, and was given up");
    weft_job_free(job);
    pair_close(&pair);
}

static void wait_until_asked(const struct receiver *receiver, unsigned times)
{
    for (int i = 0; i < 20000 && receiver->asked < times; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(receiver->asked, times);
}

FIBER_TEST(a_cancelled_job_closes_its_connection)
{
    struct pair pair;
    pair_open(&pair);
    pair.receiver.silent = true;
    struct weft_uuid id = world_add(&pair.sender.world, "notify", "{}");
    wait_until_asked(&pair.receiver, 1);
    world_cancel(&pair.sender.world, &id);
    struct weft_job *job = world_end(&pair.sender.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_CANCELLED);
    weft_job_free(job);
    for (int i = 0; i < 20000 && pair.receiver.gone == 0; i++)
        (void)weft_sleep(WEFT_MSEC);
    CHECK_EQUAL(pair.receiver.gone, 1);
    pair_close(&pair);
}

FIBER_TEST(a_cancel_at_any_time_ends_a_job_in_one_way)
{
    struct pair pair;
    unsigned completed = 0, cancelled = 0;
    pair_open(&pair);
    for (int i = 0; i < 60; i++) {
        struct weft_uuid id = world_add(&pair.sender.world, "notify", "{}");
        for (int turns = 0; turns < i; turns++)
            (void)weft_yield();
        struct weft_cancel cancel = {.kind = WEFT_CANCEL_JOB, .id = id};
        struct weft_broker *broker = pair.sender.world.broker;
        (void)broker->ops->cancel(broker, &cancel);
        struct weft_job *job = world_end(&pair.sender.world, &id);
        completed += job->state == WEFT_JOB_COMPLETED;
        cancelled += job->state == WEFT_JOB_CANCELLED;
        weft_job_free(job);
    }
    CHECK_EQUAL(completed + cancelled, 60);
    CHECK(cancelled > 0);
    pair_close(&pair);
}

FIBER_TEST(an_engine_that_ends_gives_a_webhook_back_without_an_attempt)
{
    struct pair pair;
    pair_open(&pair);
    pair.receiver.silent = true;
    struct weft_uuid id = world_add(&pair.sender.world, "notify", "{}");
    wait_until_asked(&pair.receiver, 1);
    world_end_run(&pair.sender.world, 0);
    struct weft_job *job = world_find(&pair.sender.world, &id);
    CHECK_EQUAL(job->state, WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(job->attempt, 0);
    weft_job_free(job);
    weft_engine_close(pair.sender.world.engine);
    pair.sender.world.broker->ops->close(pair.sender.world.broker);
    receiver_close(&pair.receiver);
}

FIBER_TEST(many_webhooks_are_under_way_at_once)
{
    struct pair pair;
    struct weft_uuid ids[300];
    pair_prepare(&pair);
    REQUIRE(weft_webhook_keys_add(&pair.sender.keys, SECRET) == 0);
    REQUIRE(weft_webhook_keys_add(&pair.receiver.keys, SECRET) == 0);
    sender_open(&pair.sender);
    for (int i = 0; i < 300; i++)
        ids[i] = world_add(&pair.sender.world, "notify", "{}");
    for (int i = 0; i < 300; i++) {
        struct weft_job *job = world_end(&pair.sender.world, &ids[i]);
        CHECK_EQUAL(job->state, WEFT_JOB_COMPLETED);
        weft_job_free(job);
    }
    CHECK_EQUAL(pair.receiver.asked, 300);
    CHECK_EQUAL(pair.receiver.verified, 0);
    pair_close(&pair);
}

/* ---- what a webhook may be --------------------------------------------------------------- */

static void check_refused(const struct weft_webhook *webhook, const char *expected)
{
    const char *reason = NULL;
    CHECK_EQUAL(weft_webhook_check(webhook, &reason), -EINVAL);
    CHECK_TEXT(reason, expected);
}

TEST(what_is_no_webhook_is_refused_before_it_is_sent)
{
    static const char *const taken[] = {"Content-Type",      "content-length", "Host",
                                        "Webhook-Signature", "user-agent",     "Weft-Attempt",
                                        "Transfer-Encoding"};
    struct weft_http_field field = {"Authorization", "Bearer x"};
    const struct weft_webhook fine = {
        .name = "x", .url = "https://example.com:8443/a?b=c", .fields = &field, .fields_count = 1};
    struct weft_webhook webhook = fine;
    const char *reason;
    CHECK_EQUAL(weft_webhook_check(&fine, &reason), 0);
    webhook.name = NULL;
    check_refused(&webhook, "it has no name");
    webhook = fine;
    webhook.url = NULL;
    check_refused(&webhook, "it has no url");
    webhook.url = "ftp://example.com";
    check_refused(&webhook, "it begins neither with https:// nor with http://");
    webhook.url = "http://user@example.com/";
    check_refused(&webhook, "it has a user");
    webhook = fine;
    webhook.timeout_ns = -1;
    check_refused(&webhook, "one of its times is negative");
    webhook = fine;
    webhook.fields_count = 33;
    check_refused(&webhook, "it has more than 32 headers");
    webhook = fine;
    field.value = "a\nb";
    check_refused(&webhook, "one of its headers has no value, or a control character in it");
    field.value = NULL;
    check_refused(&webhook, "one of its headers has no value, or a control character in it");
    field = (struct weft_http_field){"Not a name", "x"};
    check_refused(&webhook, "one of its headers has a name that is none");
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        field.name = taken[i];
        check_refused(&webhook, "one of its headers is set for each job");
    }
}

FIBER_TEST(a_webhook_that_could_not_be_sent_is_no_handler)
{
    static const struct weft_webhook empty = {.name = "empty"};
    struct weft_handler handler = {.name = "notify", .executor = WEFT_EXECUTOR_HTTP};
    struct weft_engine *engine = NULL;
    struct faulty faulty;
    struct weft_engine_options options = {
        .broker = faulty_open(&faulty, 0), .handlers = &handler, .handlers_count = 1};
    CHECK_EQUAL(weft_engine_open(&engine, &options), -EINVAL);
    handler.settings = &empty;
    CHECK_EQUAL(weft_engine_open(&engine, &options), -EINVAL);
    CHECK(!engine);
    faulty_close(&faulty);
}
