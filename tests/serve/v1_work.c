/* SPDX-License-Identifier: MIT
 * v1_work.c - /v1/lease, /v1/settle, /v1/extend: workers in any language take jobs and say what
 * became of them. */
#include "v1.h"

#include <base/buffer.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 1000

static struct server server;

static void open_server(const char *database)
{
    server_start(&server, database, &(struct weft_serve_options){0});
}

static void close_server(void)
{
    CHECK_EQUAL(server_stop(&server), 0);
}

/* A lease of a queue with further members, each with a comma before it. */
static json_t *lease(const char *queue, const char *members)
{
    return v1(&server, "POST", "/v1/lease", 200, "{'queues':['%s']%s}", queue, members);
}

static size_t leased_count(const char *queue)
{
    json_t *answer = v1(&server, "POST", "/v1/lease", 200, "{'queues':['%s'],'max':1000}", queue);
    size_t count = json_array_size(v1_at(answer, "jobs"));
    json_decref(answer);
    return count;
}

/* ---- lease ------------------------------------------------------------------------------ */

TEST(a_lease_gives_all_that_a_worker_needs)
{
    open_server("lease.db");
    const char *id =
        v1_put(&server, "{'task':'mail','queue':'q','payload':{'to':'a'},'timeout':20,"
                        "'soft_timeout':10,'headers':{'traceparent':'00'},'max_attempts':4}");
    json_t *job = v1_lease(&server, "q");
    check_keys(job, "id token task queue attempt max_attempts lease_until soft_timeout timeout "
                    "headers payload");
    CHECK_TEXT(job, "id", id);
    CHECK_TEXT(job, "task", "mail");
    CHECK_EQUAL(v1_number(job, "attempt"), 1);
    CHECK_EQUAL(v1_number(job, "max_attempts"), 4);
    CHECK_TEXT(job, "payload.to", "a");
    CHECK_TEXT(job, "headers.traceparent", "00");
    CHECK_EQUAL(v1_real(job, "soft_timeout"), 10);
    CHECK_EQUAL(v1_real(job, "timeout"), 20);
    json_decref(job);
    job = v1_job(&server, id);
    CHECK_TEXT(job, "state", "running");
    CHECK(v1_at(job, "started_at") != NULL);
    json_decref(job);
    CHECK_EQUAL(leased_count("q"), 0);
    close_server();
}

TEST(jobs_come_by_priority_and_from_several_queues_in_their_order)
{
    open_server("order.db");
    v1_ok(&server, "POST", "/v1/jobs", 200,
          "[{'task':'a5','queue':'a'},{'task':'a9','queue':'a','priority':9},"
          "{'task':'a0','queue':'a','priority':0},{'task':'b','queue':'b'}]");
    json_t *answer = v1(&server, "POST", "/v1/lease", 200, "{'queues':['none','b','a'],'max':3}");
    CHECK_EQUAL(json_array_size(v1_at(answer, "jobs")), 3);
    CHECK_TEXT(answer, "jobs.0.task", "b");
    CHECK_TEXT(answer, "jobs.1.task", "a0");
    CHECK_TEXT(answer, "jobs.2.task", "a5");
    json_decref(answer);
    CHECK_EQUAL(leased_count("a"), 1);
    close_server();
}

TEST(a_worker_may_say_which_tasks_it_knows)
{
    open_server("tasks.db");
    v1_ok(&server, "POST", "/v1/jobs", 200,
          "[{'task':'a','queue':'q'},{'task':'b','queue':'q'},{'task':'c','queue':'q'}]");
    json_t *answer = v1(&server, "POST", "/v1/lease", 200,
                        "{'queues':['q'],'tasks':['c','b','unheard-of'],'max':10}");
    CHECK_EQUAL(json_array_size(v1_at(answer, "jobs")), 2);
    CHECK_TEXT(answer, "jobs.0.task", "b");
    CHECK_TEXT(answer, "jobs.1.task", "c");
    json_decref(answer);
    CHECK_EQUAL(leased_count("q"), 1);
    close_server();
}

TEST(the_server_leaves_jobs_to_workers_that_know_their_tasks)
{
    open_server("mixed.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'theirs','queue':'q'},{'task':'noop','queue':'q'}]");
    CHECK(v1_comes_to(&server, v1_text(answer, "jobs.1.id"), "completed"));
    json_t *job = v1_job(&server, v1_text(answer, "jobs.0.id"));
    CHECK_TEXT(job, "state", "available");
    CHECK_EQUAL(v1_number(job, "attempt"), 0);
    json_decref(job);
    json_decref(answer);
    CHECK_EQUAL(leased_count("q"), 1);
    close_server();
}

TEST(what_is_no_lease_is_refused)
{
    open_server("nolease.db");
    v1_refused(&server, "POST", "/v1/lease", 400, "the body is empty", "%s", "");
    v1_refused(&server, "POST", "/v1/lease", 400, "not JSON", "{");
    v1_refused(&server, "POST", "/v1/lease", 422, "a JSON object", "[]");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"queues\" is missing", "{}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"queues\" must be", "{'queues':'q'}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"queues\" must be", "{'queues':[]}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"queues\" must be", "{'queues':['*']}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"max\" must be", "{'queues':['q'],'max':0}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"max\" must be", "{'queues':['q'],'max':1001}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"lease\" must be",
               "{'queues':['q'],'lease':0.5}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"lease\" must be",
               "{'queues':['q'],'lease':'2h'}");
    v1_refused(&server, "POST", "/v1/lease", 422, "\"wait\" must be",
               "{'queues':['q'],'wait':'61s'}");
    v1_refused(&server, "POST", "/v1/lease", 422, "did you mean \"queues\"?", "{'queue':['q']}");
    v1_refused(&server, "POST", "/v1/lease", 400, "there twice", "{'queues':['q'],'queues':['q']}");
    close_server();
}

/* ---- settle ----------------------------------------------------------------------------- */

/* Put in a job, lease it, settle it so, and check where it is then. */
static json_t *outcome(const char *outcome, const char *members, const char *state)
{
    const char *id = v1_put(&server,
                            "{'task':'t','queue':'%s','max_attempts':2,"
                            "'backoff':{'base':3600,'cap':3600,'jitter':'none'}}",
                            outcome);
    json_t *leased = v1_lease(&server, outcome);
    json_t *item = v1_settle(&server, leased, outcome, members);
    CHECK_TEXT(item, "id", id);
    CHECK_TEXT(item, "state", state);
    check_keys(item, "id state");
    json_decref(item);
    json_decref(leased);
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "state", state);
    return job;
}

TEST(every_outcome_leads_where_it_says)
{
    open_server("outcomes.db");
    json_t *job = outcome("complete", ",'result':{'n':1}", "completed");
    CHECK_EQUAL(v1_number(job, "result.n"), 1);
    CHECK(v1_at(job, "finished_at") != NULL);
    json_decref(job);

    job = outcome("fail", ",'error':'no luck'", "retryable");
    CHECK_TEXT(job, "error", "no luck");
    CHECK_TEXT(job, "errors.0.error", "no luck");
    CHECK_EQUAL(v1_number(job, "attempt"), 1);
    CHECK(strcmp(v1_text(job, "run_at"), v1_text(job, "created_at")) > 0);
    json_decref(job);

    job = outcome("retry", ",'delay':'1h','error':'later'", "retryable");
    CHECK_TEXT(job, "errors.0.error", "later");
    json_decref(job);

    job = outcome("die", "", "dead");
    CHECK_TEXT(job, "error", "the worker gave no reason");
    json_decref(job);
    job = outcome("discard", ",'error':'not wanted'", "dead");
    CHECK_TEXT(job, "error", "not wanted");
    json_decref(job);

    job = outcome("snooze", ",'delay':3600", "scheduled");
    CHECK_EQUAL(v1_number(job, "attempt"), 0); /* it was not spent */
    CHECK(!v1_at(job, "errors"));
    json_decref(job);

    job = outcome("release", "", "available");
    CHECK_EQUAL(v1_number(job, "attempt"), 0);
    json_decref(job);

    job = outcome("cancel", ",'error':'nobody wants it'", "cancelled");
    CHECK_TEXT(job, "error", "nobody wants it");
    json_decref(job);
    job = outcome("cancel", "", "cancelled");
    CHECK_TEXT(job, "error", "cancelled by its worker");
    json_decref(job);
    close_server();
}

TEST(failures_are_tried_again_until_the_attempts_are_used_up)
{
    open_server("fail.db");
    const char *id = v1_put(&server, "{'task':'t','queue':'q','max_attempts':3,"
                                     "'backoff':{'base':0.001,'cap':0.001}}");
    for (int attempt = 1; attempt <= 3; attempt++) {
        CHECK(v1_comes_to(&server, id, "available"));
        json_t *leased = v1_lease(&server, "q");
        CHECK_EQUAL(v1_number(leased, "attempt"), attempt);
        json_t *item = v1_settle(&server, leased, "fail", ",'error':'again'");
        CHECK(v1_is(item, "state", attempt < 3 ? "retryable" : "dead") ||
              v1_is(item, "state", "available"));
        json_decref(item);
        json_decref(leased);
    }
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "state", "dead");
    CHECK_EQUAL(json_array_size(v1_at(job, "errors")), 3);
    CHECK_EQUAL(v1_number(job, "errors.2.attempt"), 3);
    json_decref(job);
    close_server();
}

TEST(a_failure_may_say_itself_when_the_next_attempt_is_due)
{
    open_server("delay.db");
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    json_t *item = v1_settle(&server, leased, "fail", ",'delay':86400");
    CHECK_TEXT(item, "state", "retryable");
    json_decref(item);
    json_decref(leased);
    json_t *job = v1_job(&server, id);
    char day[11];
    (void)snprintf(day, sizeof day, "%.10s", v1_text(job, "created_at"));
    CHECK(strncmp(v1_text(job, "run_at"), day, 10) > 0); /* tomorrow */
    json_decref(job);
    close_server();
}

TEST(results_are_kept_as_they_were_written)
{
    struct reply reply;
    open_server("results.db");
    static const char result[] =
        "{ \"n\": 123456789012345678901234567890, \"x\": 0.10, \"\\u00e4\":[] }";
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    struct weft_buffer body;
    weft_buffer_init(&body, 4096);
    weft_buffer_append_format(&body,
                              "{\"jobs\":[{\"result\": %s ,\"id\":\"%s\",\"outcome\":\"complete\","
                              "\"token\":\"%s\"}]}",
                              result, v1_text(leased, "id"), v1_text(leased, "token"));
    json_decref(v1_send(&server, "POST", "/v1/settle", 200, NULL, "", body.data, body.len));
    weft_buffer_deinit(&body);
    json_decref(leased);
    http_get(&server, v1_path("/v1/jobs/%s", id), &reply);
    CHECK(strstr(reply.body, result) != NULL);
    reply_free(&reply);

    id = v1_put(&server, "{'task':'t','queue':'q'}");
    leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "complete", ",'result_base64':'AP/+'"));
    json_decref(leased);
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "result_base64", "AP/+");
    json_decref(job);
    close_server();
}

TEST(results_of_two_mebibytes_are_taken_and_larger_ones_refused)
{
    open_server("large.db");
    size_t most = (size_t)2 << 20;
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    for (size_t extra = 1; extra < 2; extra--) { /* 1, then 0 */
        struct weft_buffer body;
        weft_buffer_init(&body, (size_t)4 << 20);
        weft_buffer_append_format(&body,
                                  "{\"jobs\":[{\"id\":\"%s\",\"token\":\"%s\",\"outcome\":"
                                  "\"complete\",\"result\":\"",
                                  v1_text(leased, "id"), v1_text(leased, "token"));
        char *at = weft_buffer_reserve(&body, most);
        REQUIRE(at);
        memset(at, 'r', most - 2 + extra);
        body.len += most - 2 + extra;
        weft_buffer_append_string(&body, "\"}]}");
        json_t *answer = v1_send(&server, "POST", "/v1/settle", extra ? 413 : 200, NULL, "",
                                 body.data, body.len);
        if (extra)
            CHECK_TEXT(answer, "detail", "job 1: \"result\" has more than 2097152 bytes");
        else
            CHECK_TEXT(answer, "jobs.0.state", "completed");
        json_decref(answer);
        weft_buffer_deinit(&body);
    }
    json_t *job = v1_job(&server, id);
    CHECK_EQUAL(json_string_length(v1_at(job, "result")), most - 2);
    json_decref(job);
    json_decref(leased);
    close_server();
}

TEST(further_jobs_go_in_with_the_completion_or_neither_does)
{
    open_server("follow.db");
    v1_ok(&server, "PATCH", "/v1/queues/small", 200, "{'size_max':1}");
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    json_t *item = v1_settle(&server, leased, "complete",
                             ",'enqueue':[{'task':'a','queue':'next'},{'task':'b','queue':'small'},"
                             "{'task':'c','queue':'small'}]");
    CHECK_EQUAL(v1_number(item, "status"), 503);
    CHECK_TEXT(item, "error", "the queue is full");
    json_decref(item);
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "state", "running"); /* the lease is still good */
    json_decref(job);
    CHECK_EQUAL(leased_count("next"), 0);
    item = v1_settle(&server, leased, "complete",
                     ",'enqueue':[{'task':'a','queue':'next','group':'g','priority':1},"
                     "{'task':'b','queue':'small','group':'g'}]");
    CHECK_TEXT(item, "state", "completed");
    json_decref(item);
    json_decref(leased);
    leased = v1_lease(&server, "next");
    CHECK_TEXT(leased, "task", "a");
    json_t *flow = v1(&server, "GET", v1_path("/v1/flows/%s", v1_text(leased, "id")), 200, NULL);
    CHECK_EQUAL(v1_number(flow, "jobs.running") + v1_number(flow, "jobs.available"), 2);
    json_decref(flow);
    json_decref(leased);
    close_server();
}

TEST(a_further_job_that_is_there_already_is_no_reason_to_refuse)
{
    open_server("again.db");
    (void)v1_put(&server, "{'task':'digest','queue':'next','unique':{'key':'today'}}");
    (void)v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    json_t *item = v1_settle(&server, leased, "complete",
                             ",'enqueue':[{'task':'a','queue':'next'},"
                             "{'task':'digest','queue':'next','unique':{'key':'today'}},"
                             "{'task':'b','queue':'next'},"
                             "{'task':'once','queue':'next','unique':{'key':'u'}},"
                             "{'task':'once','queue':'next','unique':{'key':'u'}}]");
    CHECK_TEXT(item, "state", "completed");
    json_decref(item);
    json_decref(leased);
    CHECK_EQUAL(leased_count("next"), 4);
    close_server();
}

/* One item of a settlement with this member more is refused so. */
static void settle_refused(int status, const char *detail, const char *member)
{
    char body[600];
    (void)snprintf(body, sizeof body,
                   "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':'1','outcome':"
                   "'complete'},{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':'1'%s}]}",
                   member);
    for (char *c = body; *c; c++)
        if (*c == '\'')
            *c = '"';
    v1_refused(&server, "POST", "/v1/settle", status, detail, "%s", body);
}

TEST(what_is_no_settlement_is_refused_with_its_place)
{
    open_server("nosettle.db");
    v1_refused(&server, "POST", "/v1/settle", 422, "\"jobs\" is missing", "{}");
    v1_refused(&server, "POST", "/v1/settle", 422, "\"jobs\" has fewer than 1", "{'jobs':[]}");
    v1_refused(&server, "POST", "/v1/settle", 422, "\"jobs\" must be a list", "{'jobs':{}}");
    v1_refused(&server, "POST", "/v1/settle", 400, "not JSON", "{'jobs':[,]}");
    v1_refused(&server, "POST", "/v1/settle", 400, "not JSON", "{'jobs':[]]}");
    v1_refused(&server, "POST", "/v1/settle", 400, "not JSON", "{'jobs':[17]}");
    v1_refused(&server, "POST", "/v1/settle", 422, "job 1: \"id\" is missing", "{'jobs':[{}]}");
    settle_refused(422, "job 2: \"outcome\" is missing", "");
    settle_refused(422, "job 2: \"outcome\" must be", ",'outcome':'done'");
    settle_refused(422, "job 2: \"outcome\" must be", ",'outcome':null");
    settle_refused(422, "did you mean \"outcome\"?", ",'outcom':'complete'");
    settle_refused(422, "\"result_base64\" is not base64",
                   ",'outcome':'complete','result_base64':'A'");
    settle_refused(422, "exclude each other",
                   ",'outcome':'complete','result':1,'result_base64':''");
    settle_refused(422, "job 2: \"enqueue\" means nothing with \"fail\"",
                   ",'outcome':'fail','enqueue':[{'task':'t'}]");
    settle_refused(422, "\"result\" means nothing with \"fail\"", ",'outcome':'fail','result':1");
    settle_refused(422, "\"result_base64\" means nothing with \"retry\"",
                   ",'outcome':'retry','result_base64':''");
    settle_refused(422, "\"error\" means nothing with \"complete\"",
                   ",'outcome':'complete','error':'no'");
    settle_refused(422, "\"delay\" means nothing with \"complete\"",
                   ",'outcome':'complete','delay':1");
    settle_refused(422, "\"delay\" means nothing with \"die\"", ",'outcome':'die','delay':1");
    settle_refused(422, "\"error\" means nothing with \"snooze\"",
                   ",'outcome':'snooze','error':'later'");
    settle_refused(422, "\"delay\" means nothing with \"release\"",
                   ",'delay':1,'outcome':'release'");
    settle_refused(422, "\"delay\" means nothing with \"cancel\"", ",'outcome':'cancel','delay':1");
    settle_refused(422, "\"enqueue\": there is no job", ",'outcome':'complete','enqueue':[]");
    settle_refused(422, "\"enqueue\" must be a list", ",'outcome':'complete','enqueue':{}");
    settle_refused(422, "\"enqueue\": job 1: \"task\" is missing",
                   ",'outcome':'complete','enqueue':[{}]");
    settle_refused(422, "\"after\" has no place here",
                   ",'outcome':'complete','enqueue':[{'task':'t','name':'n'},"
                   "{'task':'t','after':['n']}]");
    settle_refused(422, "\"delay\" must not be less", ",'outcome':'retry','delay':-1");
    settle_refused(422, "\"error\" must be", ",'outcome':'die','error':7");
    settle_refused(400, "there twice", ",'outcome':'die','token':'2'");
    settle_refused(400, "cannot be read", ",'outcome':'complete','result':1e999");
    v1_refused(&server, "POST", "/v1/settle", 422, "job 1: \"token\" must be",
               "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':7}]}");
    v1_refused(&server, "POST", "/v1/settle", 422, "job 1: \"token\" must be",
               "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab',"
               "'token':'18446744073709551616'}]}");
    v1_refused(&server, "POST", "/v1/settle", 422, "job 1: \"id\" must be",
               "{'jobs':[{'id':'me','token':'1'}]}");
    close_server();
}

/* A result that nobody can settle a second time, or with somebody else's token. */
TEST(a_lost_lease_changes_nothing)
{
    open_server("lost.db");
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *first = v1_lease(&server, "q");
    json_decref(v1_settle(&server, first, "release", ""));
    json_t *second = v1_lease(&server, "q");
    CHECK(strcmp(v1_text(first, "token"), v1_text(second, "token")) != 0);
    static const char *const outcomes[] = {"complete", "fail",   "retry",   "die",
                                           "discard",  "snooze", "release", "cancel"};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        json_t *item = v1_settle(&server, first, outcomes[i], "");
        CHECK_EQUAL(v1_number(item, "status"), 409);
        CHECK(strstr(v1_text(item, "error"), "the lease is lost") != NULL);
        json_decref(item);
    }
    json_t *answer = v1(&server, "POST", "/v1/extend", 200,
                        "{'jobs':[{'id':'%s','token':'%s','progress':1},"
                        "{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':'1'}]}",
                        id, v1_text(first, "token"));
    CHECK_EQUAL(v1_number(answer, "jobs.0.status"), 409);
    CHECK_EQUAL(v1_number(answer, "jobs.1.status"), 409);
    json_decref(answer);
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "state", "running");
    CHECK(!v1_at(job, "progress"));
    json_decref(job);
    json_t *item = v1_settle(&server, second, "complete", "");
    CHECK_TEXT(item, "state", "completed");
    json_decref(item);
    item = v1_settle(&server, second, "complete", ""); /* twice */
    CHECK_EQUAL(v1_number(item, "status"), 409);
    json_decref(item);
    json_decref(first);
    json_decref(second);
    close_server();
}

TEST(one_bad_lease_in_a_batch_is_no_other_ones_business)
{
    open_server("some.db");
    (void)v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    json_t *answer = v1(&server, "POST", "/v1/settle", 200,
                        "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':'1',"
                        "'outcome':'complete'},{'id':'%s','token':'%s','outcome':'complete'}]}",
                        v1_text(leased, "id"), v1_text(leased, "token"));
    CHECK_EQUAL(v1_number(answer, "jobs.0.status"), 409);
    CHECK_TEXT(answer, "jobs.1.state", "completed");
    json_decref(answer);
    json_decref(leased);
    close_server();
}

/* Put in so many jobs of a queue. */
static void put_many(const char *queue, size_t count)
{
    struct weft_buffer text;
    weft_buffer_init(&text, (size_t)1 << 20);
    for (size_t i = 0; i < count; i++)
        weft_buffer_append_format(&text, "%s{\"task\":\"t\",\"queue\":\"%s\"}", i ? "," : "[",
                                  queue);
    weft_buffer_append_char(&text, ']');
    json_decref(v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", text.data, text.len));
    weft_buffer_deinit(&text);
}

/* What a lease gave, as a body that does something with all of it. */
static struct weft_buffer body_of(const json_t *leased, const char *members)
{
    struct weft_buffer text;
    size_t i;
    json_t *job;
    weft_buffer_init(&text, (size_t)4 << 20);
    weft_buffer_append_string(&text, "{\"jobs\":[");
    json_array_foreach(v1_at(leased, "jobs"), i, job)
        weft_buffer_append_format(&text, "%s{\"id\":\"%s\",\"token\":\"%s\"%s}", i ? "," : "",
                                  v1_text(job, "id"), v1_text(job, "token"), members);
    weft_buffer_append_string(&text, "]}");
    return text;
}

TEST(a_thousand_jobs_are_leased_extended_and_settled_at_once_and_no_more)
{
    open_server("thousand.db");
    put_many("q", JOBS_MAX + 1);
    json_t *leased = v1(&server, "POST", "/v1/lease", 200, "{'queues':['q'],'max':1000}");
    CHECK_EQUAL(json_array_size(v1_at(leased, "jobs")), JOBS_MAX);
    struct weft_buffer body = body_of(leased, ",\"lease\":60,\"progress\":{\"percent\":50}");
    json_t *answer = v1_send(&server, "POST", "/v1/extend", 200, NULL, "", body.data, body.len);
    CHECK_EQUAL(json_array_size(v1_at(answer, "jobs")), JOBS_MAX);
    CHECK(v1_at(answer, "jobs.999.lease_until") != NULL);
    json_decref(answer);
    weft_buffer_deinit(&body);
    body = body_of(leased, ",\"outcome\":\"fail\",\"error\":\"all of them\"");
    answer = v1_send(&server, "POST", "/v1/settle", 200, NULL, "", body.data, body.len);
    CHECK_TEXT(answer, "jobs.0.state", "retryable");
    CHECK_TEXT(answer, "jobs.999.state", "retryable");
    json_decref(answer);
    body.len -= 2; /* one more */
    weft_buffer_append_format(&body, ",{\"id\":\"%s\",\"token\":\"1\",\"outcome\":\"fail\"}]}",
                              v1_text(leased, "jobs.0.id"));
    json_decref(v1_send(&server, "POST", "/v1/settle", 413, NULL, "", body.data, body.len));
    weft_buffer_deinit(&body);
    json_decref(leased);
    close_server();
}

/* ---- extend ----------------------------------------------------------------------------- */

TEST(a_lease_goes_on_as_long_as_it_is_extended)
{
    open_server("extend.db");
    (void)v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *answer = lease("q", ",\"lease\":20");
    const json_t *job = v1_at(answer, "jobs.0");
    json_t *extended =
        v1(&server, "POST", "/v1/extend", 200, "{'jobs':[{'id':'%s','token':'%s','lease':'1h'}]}",
           v1_text(job, "id"), v1_text(job, "token"));
    CHECK(strcmp(v1_text(extended, "jobs.0.lease_until"), v1_text(job, "lease_until")) > 0);
    CHECK(json_is_false(v1_at(extended, "jobs.0.cancel")));
    json_decref(extended);
    /* Progress alone leaves the end where it is. */
    extended = v1(&server, "POST", "/v1/extend", 200,
                  "{'jobs':[{'id':'%s','token':'%s','progress':{'percent': 12.50}}]}",
                  v1_text(job, "id"), v1_text(job, "token"));
    check_keys(v1_at(extended, "jobs.0"), "id cancel");
    json_decref(extended);
    json_t *now = v1_job(&server, v1_text(job, "id"));
    CHECK(v1_real(now, "progress.percent") == 12.5);
    json_decref(now);
    extended = v1(&server, "POST", "/v1/extend", 200, "{'jobs':[{'id':'%s','token':'%s'}]}",
                  v1_text(job, "id"), v1_text(job, "token"));
    CHECK(v1_at(extended, "jobs.0.lease_until") != NULL);
    json_decref(extended);
    json_decref(answer);
    close_server();
}

TEST(what_is_no_extension_is_refused)
{
    open_server("noextend.db");
    char progress[5000];
    memset(progress, 'p', sizeof progress - 1);
    progress[sizeof progress - 1] = '\0';
    v1_refused(&server, "POST", "/v1/extend", 413, "job 1: \"progress\" has more than 4096 bytes",
               "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':'1',"
               "'progress':'%s'}]}",
               progress);
    v1_refused(&server, "POST", "/v1/extend", 422, "\"lease\" must be at least 1 s",
               "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':'1','lease':0}]}");
    v1_refused(&server, "POST", "/v1/extend", 422, "\"token\" is missing",
               "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab'}]}");
    v1_refused(&server, "POST", "/v1/extend", 422, "unknown member \"outcome\"",
               "{'jobs':[{'id':'0190b7e0-1c2d-7abc-8def-0123456789ab','token':'1',"
               "'outcome':'complete'}]}");
    close_server();
}

TEST(a_worker_is_told_that_its_job_is_not_wanted_any_more)
{
    open_server("cancel.db");
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    json_t *answer = v1(&server, "DELETE", v1_path("/v1/jobs/%s", id), 202, NULL);
    CHECK(json_is_true(v1_at(answer, "cancelling")));
    json_decref(answer);
    answer = v1(&server, "POST", "/v1/extend", 200, "{'jobs':[{'id':'%s','token':'%s'}]}", id,
                v1_text(leased, "token"));
    CHECK(json_is_true(v1_at(answer, "jobs.0.cancel")));
    json_decref(answer);
    json_t *item = v1_settle(&server, leased, "fail", ",'error':'interrupted'");
    CHECK_TEXT(item, "state", "cancelled"); /* there is no other attempt */
    json_decref(item);
    json_decref(leased);
    close_server();
}

TEST(a_lease_that_runs_out_gives_the_job_to_another)
{
    open_server("out.db");
    const char *id = v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *first = lease("q", ",\"lease\":1");
    json_t *second = lease("q", ",\"wait\":20"); /* as soon as it is back */
    CHECK_TEXT(second, "jobs.0.id", id);
    CHECK_EQUAL(v1_number(second, "jobs.0.attempt"), 1); /* a crash costs no attempt */
    json_t *item = v1_settle(&server, v1_at(first, "jobs.0"), "complete", "");
    CHECK_EQUAL(v1_number(item, "status"), 409);
    json_decref(item);
    json_t *job = v1_job(&server, id);
    CHECK_EQUAL(v1_number(job, "crashes"), 1);
    CHECK_TEXT(job, "errors.0.error", "the worker was lost");
    json_decref(job);
    json_decref(first);
    json_decref(second);
    close_server();
}

TEST(leases_outlive_the_server)
{
    open_server("restart.db");
    (void)v1_put(&server, "{'task':'t','queue':'q'}");
    json_t *leased = v1_lease(&server, "q");
    server_kill(&server);
    open_server("restart.db");
    CHECK_EQUAL(leased_count("q"), 0);
    json_t *item = v1_settle(&server, leased, "complete", ",'result':'done'");
    CHECK_TEXT(item, "state", "completed");
    json_decref(item);
    json_decref(leased);
    close_server();
}

/* ---- waiting ---------------------------------------------------------------------------- */

struct waiter {
    pthread_t thread;
    const char *body;
    json_t *answer;
    int64_t took_ms;
};

static void *wait_main(void *arg)
{
    struct waiter *waiter = arg;
    struct reply reply;
    int64_t begin_ms = v1_now_ms();
    http_request(&server, "POST", "/v1/lease", "Content-Type: application/json\r\n", waiter->body,
                 strlen(waiter->body), &reply);
    waiter->took_ms = v1_now_ms() - begin_ms;
    waiter->answer = reply.status == 200 ? reply_json(&reply) : NULL;
    reply_free(&reply);
    return NULL;
}

static void begin_wait(struct waiter *waiter, const char *body)
{
    *waiter = (struct waiter){.body = body};
    REQUIRE(pthread_create(&waiter->thread, NULL, wait_main, waiter) == 0);
}

static size_t end_wait(struct waiter *waiter)
{
    (void)pthread_join(waiter->thread, NULL);
    CHECK(waiter->answer != NULL);
    size_t count = json_array_size(v1_at(waiter->answer, "jobs"));
    json_decref(waiter->answer);
    return count;
}

/* So long that they mostly wait by then, which nothing outside tells of. Who comes later meets the
 * same answer without having waited; only a server that ends must have heard of it. */
static void wait_for_waiters(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

TEST(a_lease_that_waits_is_answered_as_soon_as_there_is_a_job)
{
    struct waiter waiters[4];
    open_server("wait.db");
    for (int i = 0; i < 4; i++)
        begin_wait(&waiters[i], "{\"queues\":[\"other\",\"q\"],\"max\":10,\"wait\":\"60s\"}");
    wait_for_waiters();
    size_t total = 0;
    put_many("q", 2);
    (void)v1_put(&server, "{'task':'t','queue':'q','delay':0.05}");
    for (int i = 0; i < 8; i++) /* whoever came too late goes on waiting */
        (void)v1_put(&server, "{'task':'t','queue':'other'}");
    for (int i = 0; i < 4; i++) {
        total += end_wait(&waiters[i]);
        CHECK(waiters[i].took_ms < 50000);
    }
    CHECK(total > 0 && total <= 11);
    close_server();
}

/* The claims that a wait makes while nothing comes for it. */
TEST(a_lease_that_waits_is_quiet)
{
    struct waiter waiter;
    open_server("quiet.db");
    begin_wait(&waiter, "{\"queues\":[\"q\"],\"tasks\":[\"wanted\"],\"wait\":60}");
    wait_for_waiters();
    (void)v1_put(&server, "{'task':'unwanted','queue':'q'}"); /* it looks, and sees nothing */
    wait_for_waiters();
    int64_t before = v1_stat(&server, "server.operations");
    wait_for_waiters();
    wait_for_waiters();
    CHECK(v1_stat(&server, "server.operations") - before < 20);
    (void)v1_put(&server, "{'task':'wanted','queue':'q'}");
    CHECK_EQUAL(end_wait(&waiter), 1);
    close_server();
}

TEST(a_wait_without_a_job_ends_empty)
{
    open_server("empty.db");
    int64_t begin_ms = v1_now_ms();
    json_t *answer = lease("q", ",\"wait\":0.2");
    CHECK_EQUAL(json_array_size(v1_at(answer, "jobs")), 0);
    CHECK(v1_now_ms() - begin_ms >= 200);
    json_decref(answer);
    close_server();
}

TEST(a_wait_ends_when_a_paused_queue_goes_on)
{
    struct waiter waiter;
    open_server("paused.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'paused':true}");
    (void)v1_put(&server, "{'task':'t','queue':'q'}");
    begin_wait(&waiter, "{\"queues\":[\"q\"],\"wait\":60}");
    wait_for_waiters();
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'paused':false}");
    CHECK_EQUAL(end_wait(&waiter), 1);
    close_server();
}

TEST(a_wait_ends_at_once_when_the_server_drains)
{
    struct waiter waiter;
    open_server("drain.db");
    begin_wait(&waiter, "{\"queues\":[\"q\"],\"wait\":60}");
    wait_for_waiters();
    int64_t begin_ms = v1_now_ms();
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK(v1_now_ms() - begin_ms < 9000); /* answers have 10 s */
    CHECK_EQUAL(end_wait(&waiter), 0);
}

/* A request is sent and nobody waits for its answer. */
static int send_lease(const char *body)
{
    char head[256];
    int fd = server_connect(&server);
    REQUIRE(fd >= 0);
    int len = snprintf(head, sizeof head,
                       "POST /v1/lease HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       strlen(body), body);
    REQUIRE(send(fd, head, (size_t)len, MSG_NOSIGNAL) == len);
    return fd;
}

TEST(what_a_client_that_left_would_have_got_goes_to_another)
{
    open_server("gone.db");
    for (int i = 0; i < 5; i++) {
        int fd = send_lease("{\"queues\":[\"q\"],\"wait\":60,\"lease\":3600}");
        wait_for_waiters();
        (void)close(fd);
        const char *id = v1_put(&server, "{'task':'t','queue':'q'}"); /* at the same moment */
        json_t *answer = lease("q", ",\"wait\":20");
        CHECK_TEXT(answer, "jobs.0.id", id);
        CHECK_EQUAL(v1_number(answer, "jobs.0.attempt"), 1);
        json_decref(answer);
    }
    close_server();
}

TEST(jobs_in_an_answer_that_nobody_takes_go_back)
{
    struct server slow;
    open_server("untaken.db");
    slow = server;
    /* More than sockets hold, and the client reads none of it. */
    size_t len = (size_t)1 << 20;
    char *payload = malloc(len + 1);
    REQUIRE(payload);
    memset(payload, 'A', len);
    payload[len] = '\0';
    for (int i = 0; i < 8; i++)
        (void)v1_put(&server, "{'task':'t','queue':'q','payload':'%.1000000s'}", payload);
    free(payload);
    int fd = send_lease("{\"queues\":[\"q\"],\"max\":8,\"lease\":3600}");
    int64_t until_ms = 0;
    while (v1_stat(&slow, "jobs.running") < 8 && look_again(&until_ms))
        continue;
    struct linger at_once = {.l_onoff = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)close(fd);
    until_ms = 0;
    while (v1_stat(&slow, "jobs.available") < 8 && look_again(&until_ms))
        continue;
    CHECK_EQUAL(v1_stat(&slow, "jobs.available"), 8);
    CHECK_EQUAL(v1_stat(&slow, "jobs.running"), 0);
    close_server();
}

TEST(what_does_not_fit_into_one_answer_goes_back)
{
    open_server("fit.db");
    /* A hundred jobs with a hundred inputs of 20 KiB each would be 200 MB. */
    struct weft_buffer text;
    weft_buffer_init(&text, (size_t)8 << 20);
    for (int i = 0; i < 100; i++)
        weft_buffer_append_format(&text, "%s{\"task\":\"t\",\"queue\":\"p\",\"name\":\"p%d\"}",
                                  i ? "," : "[", i);
    for (int i = 0; i < 40; i++) {
        weft_buffer_append_string(&text, ",{\"task\":\"t\",\"queue\":\"c\",\"after\":[\"p0\"");
        for (int j = 1; j < 100; j++)
            weft_buffer_append_format(&text, ",\"p%d\"", j);
        weft_buffer_append_string(&text, "]}");
    }
    weft_buffer_append_char(&text, ']');
    json_decref(v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", text.data, text.len));
    weft_buffer_deinit(&text);
    json_t *leased = v1(&server, "POST", "/v1/lease", 200, "{'queues':['p'],'max':1000}");
    struct weft_buffer members;
    weft_buffer_init(&members, 100000);
    weft_buffer_append_string(&members, ",\"outcome\":\"complete\",\"result\":\"");
    for (int i = 0; i < 20480; i++)
        weft_buffer_append_char(&members, 'r');
    weft_buffer_append(&members, "\"", 2);
    struct weft_buffer body = body_of(leased, members.data);
    json_decref(v1_send(&server, "POST", "/v1/settle", 200, NULL, "", body.data, body.len));
    weft_buffer_deinit(&members);
    weft_buffer_deinit(&body);
    json_decref(leased);
    size_t total = 0, answers = 0;
    while (total < 40 && answers++ < 40)
        total += leased_count("c");
    CHECK_EQUAL(total, 40);
    CHECK(answers > 1);
    close_server();
}
