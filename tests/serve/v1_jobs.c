/* SPDX-License-Identifier: MIT
 * v1_jobs.c - how jobs are, one by one, in lists and as flows; waiting for them; cancelling them
 * and beginning them again. */
#include "v1.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOBODY "0190b7e0-1c2d-7abc-8def-0123456789ab"

static struct server server;

static void open_server(const char *database)
{
    server_start(&server, database, &(struct weft_serve_options){0});
}

static void close_server(void)
{
    CHECK_EQUAL(server_stop(&server), 0);
}

/* A job of this state, in the queue of this name. */
static const char *make(const char *state)
{
    const char *id = v1_put(&server, "{'task':'t','queue':'%s'%s}", state,
                            strcmp(state, "scheduled") == 0 ? ",\"delay\":3600" : "");
    static const char *const outcomes[][3] = {{"running", NULL, ""},
                                              {"completed", "complete", ""},
                                              {"retryable", "retry", ",'delay':3600"},
                                              {"dead", "die", ""}};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        if (strcmp(state, outcomes[i][0]) != 0)
            continue;
        json_t *leased = v1_lease(&server, state);
        if (outcomes[i][1])
            json_decref(v1_settle(&server, leased, outcomes[i][1], outcomes[i][2]));
        json_decref(leased);
    }
    if (strcmp(state, "cancelled") == 0)
        v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 200, NULL);
    return id;
}

/* ---- one ------------------------------------------------------------------------------- */

TEST(unknown_jobs_and_what_is_no_id_are_not_found)
{
    open_server("unknown.db");
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY, 404, "there is no such job", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY "?wait=30s", 404, "no such job", NULL);
    v1_refused(&server, "DELETE", "/v1/jobs/" NOBODY, 404, "there is no such job", NULL);
    v1_refused(&server, "POST", "/v1/jobs/" NOBODY "/retry", 404, "there is no such job", NULL);
    v1_refused(&server, "GET", "/v1/flows/" NOBODY, 404, "there is no such flow", NULL);
    v1_refused(&server, "DELETE", "/v1/flows/" NOBODY, 404, "there is no such flow", NULL);
    v1_ok(&server, "GET", "/v1/jobs/17", 404, NULL);
    v1_ok(&server, "DELETE", "/v1/jobs/17", 404, NULL);
    v1_ok(&server, "PUT", "/v1/jobs/" NOBODY, 405, "{}");
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY "?wait=soon", 422, "\"wait\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY "?wait=61", 422, "\"wait\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY "?wait=-1s", 422, "\"wait\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY "?wait=", 422, "\"wait\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY "?wait=0x10", 422, "\"wait\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs/" NOBODY "?wait=1e400", 422, "\"wait\"", NULL);
    close_server();
}

struct waiter {
    pthread_t thread;
    char path[128];
    json_t *answer;
};

static void *wait_main(void *arg)
{
    struct waiter *waiter = arg;
    struct reply reply;
    http_get(&server, waiter->path, &reply);
    waiter->answer = reply.status == 200 ? reply_json(&reply) : NULL;
    reply_free(&reply);
    return NULL;
}

static void begin_wait(struct waiter *waiter, const char *id)
{
    (void)snprintf(waiter->path, sizeof waiter->path, "/v1/jobs/%s?wait=1m", id);
    REQUIRE(pthread_create(&waiter->thread, NULL, wait_main, waiter) == 0);
}

static void end_wait(struct waiter *waiter, const char *state)
{
    (void)pthread_join(waiter->thread, NULL);
    CHECK_TEXT(waiter->answer, "state", state);
    json_decref(waiter->answer);
}

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

TEST(who_waits_for_a_job_hears_of_its_end_however_it_ends)
{
    struct waiter waiters[5];
    open_server("wait.db");
    const char *completed = v1_put(&server, "{'task':'t','queue':'q'}");
    const char *dead = v1_put(&server, "{'task':'t','queue':'q'}");
    const char *cancelled = v1_put(&server, "{'task':'t','queue':'q','delay':60}");
    const char *expired = v1_put(&server, "{'task':'t','queue':'q2','expires_in':0.3}");
    begin_wait(&waiters[0], completed);
    begin_wait(&waiters[1], completed); /* any number of them */
    begin_wait(&waiters[2], dead);
    begin_wait(&waiters[3], cancelled);
    begin_wait(&waiters[4], expired);
    pause_ms(100);
    json_t *leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "complete", ""));
    json_decref(leased);
    leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "die", ""));
    json_decref(leased);
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", cancelled), 200, NULL);
    end_wait(&waiters[0], "completed");
    end_wait(&waiters[1], "completed");
    end_wait(&waiters[2], "dead");
    end_wait(&waiters[3], "cancelled");
    end_wait(&waiters[4], "cancelled");
    json_t *job = v1(&server, "GET", v1_path("/v1/jobs/%s?wait=60", completed), 200, NULL);
    CHECK_TEXT(job, "state", "completed"); /* over already: at once */
    json_decref(job);
    close_server();
}

TEST(a_wait_that_takes_too_long_shows_where_the_job_is)
{
    open_server("long.db");
    const char *id = make("scheduled");
    int64_t begin_ms = v1_now_ms();
    json_t *job = v1(&server, "GET", v1_path("/v1/jobs/%s?wait=0.15", id), 200, NULL);
    CHECK(v1_now_ms() - begin_ms >= 150);
    CHECK_TEXT(job, "state", "scheduled");
    json_decref(job);
    job = v1(&server, "GET", v1_path("/v1/jobs/%s?wait=100ms", id), 200, NULL);
    CHECK_TEXT(job, "state", "scheduled");
    json_decref(job);
    job = v1(&server, "GET", v1_path("/v1/jobs/%s?wait=0", id), 200, NULL);
    json_decref(job);
    close_server();
}

TEST(a_wait_ends_at_once_when_the_server_drains)
{
    struct waiter waiter;
    open_server("drain.db");
    begin_wait(&waiter, make("scheduled"));
    pause_ms(100);
    int64_t begin_ms = v1_now_ms();
    close_server();
    CHECK(v1_now_ms() - begin_ms < 9000); /* answers have 10 s */
    end_wait(&waiter, "scheduled");
}

TEST(a_client_that_leaves_while_it_waits_is_not_waited_for)
{
    open_server("left.db");
    const char *id = make("scheduled");
    for (int i = 0; i < 20; i++) {
        char request[160];
        int fd = server_connect(&server);
        REQUIRE(fd >= 0);
        int len = snprintf(request, sizeof request,
                           "GET /v1/jobs/%s?wait=60 HTTP/1.1\r\nHost: t\r\n\r\n", id);
        CHECK(send(fd, request, (size_t)len, MSG_NOSIGNAL) == len);
        if (i % 2)
            pause_ms(10);
        (void)close(fd);
    }
    int64_t begin_ms = v1_now_ms();
    close_server(); /* which waits for requests under way */
    CHECK(v1_now_ms() - begin_ms < 9000);
}

/* ---- cancelling, beginning again ---------------------------------------------------------- */

TEST(a_job_is_cancelled_wherever_it_is)
{
    static const char *const waiting[] = {"available", "scheduled", "retryable"};
    static const char *const over[] = {"completed", "cancelled", "dead"};
    open_server("cancel.db");
    for (size_t i = 0; i < 3; i++) {
        const char *id = make(waiting[i]);
        json_t *answer = v1(&server, "DELETE", v1_path("/v1/jobs/%s", id), 200, NULL);
        check_keys(answer, "id state");
        CHECK_TEXT(answer, "id", id);
        CHECK_TEXT(answer, "state", "cancelled");
        json_decref(answer);
        json_t *job = v1_job(&server, id);
        CHECK_TEXT(job, "state", "cancelled");
        CHECK_TEXT(job, "error", "cancelled by local");
        CHECK(v1_at(job, "finished_at") != NULL);
        json_decref(job);
    }
    for (size_t i = 0; i < 3; i++)
        v1_refused(&server, "DELETE", v1_path("/v1/jobs/%s", make(over[i])), 409, over[i], NULL);
    const char *id = make("running");
    json_t *answer = v1(&server, "DELETE", v1_path("/v1/jobs/%s", id), 202, NULL);
    CHECK_TEXT(answer, "state", "running");
    json_decref(answer);
    json_t *job = v1_job(&server, id);
    CHECK(json_is_true(v1_at(job, "cancelling")));
    json_decref(job);
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 202, NULL);    /* again: no harm */
    id = v1_put(&server, "{'task':'sleep','payload':{'seconds':600}}"); /* of the server's own */
    CHECK(v1_comes_to(&server, id, "running"));
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 202, NULL);
    CHECK(v1_comes_to(&server, id, "cancelled"));
    close_server();
}

TEST(a_blocked_job_is_cancelled_and_what_needs_it_as_well)
{
    open_server("blocked.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'t','name':'a'},{'task':'t','name':'b','after':['a']},"
                        "{'task':'t','after':['b']}]");
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", v1_text(answer, "jobs.1.id")), 200, NULL);
    CHECK(v1_comes_to(&server, v1_text(answer, "jobs.2.id"), "cancelled"));
    CHECK(v1_comes_to(&server, v1_text(answer, "jobs.0.id"), "available"));
    json_decref(answer);
    close_server();
}

TEST(a_job_is_tried_again_by_hand)
{
    static const char *const waiting[] = {"scheduled", "retryable"};
    static const char *const ended[] = {"dead", "cancelled"};
    open_server("retry.db");
    for (size_t i = 0; i < 2; i++) {
        const char *id = make(waiting[i]);
        json_t *answer = v1(&server, "POST", v1_path("/v1/jobs/%s/retry", id), 200, NULL);
        CHECK_TEXT(answer, "state", "available");
        check_keys(answer, "id state");
        json_decref(answer);
        json_decref(v1_lease(&server, waiting[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        const char *id = make(ended[i]);
        v1_ok(&server, "POST", v1_path("/v1/jobs/%s/retry", id), 200, NULL);
        json_t *leased = v1_lease(&server, ended[i]);
        json_decref(v1_settle(&server, leased, "complete", ""));
        json_decref(leased);
        json_t *job = v1_job(&server, id);
        CHECK_TEXT(job, "state", "completed");
        CHECK(!v1_at(job, "error"));
        json_decref(job);
    }
    v1_refused(&server, "POST", v1_path("/v1/jobs/%s/retry", make("available")), 409,
               "the job is available", NULL);
    v1_refused(&server, "POST", v1_path("/v1/jobs/%s/retry", make("running")), 409,
               "the job is running", NULL);
    v1_refused(&server, "POST", v1_path("/v1/jobs/%s/retry", make("completed")), 409,
               "the job is completed", NULL);
    /* Another one has its key meanwhile. */
    const char *first = v1_put(&server, "{'task':'t','queue':'u','unique':{'key':'k'}}");
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", first), 200, NULL);
    (void)v1_put(&server, "{'task':'t','queue':'u','unique':{'key':'k'}}");
    v1_refused(&server, "POST", v1_path("/v1/jobs/%s/retry", first), 409, "counts as the same",
               NULL);
    close_server();
}

/* ---- lists ------------------------------------------------------------------------------ */

/* Go through a list to its end. Returns how many jobs it has; each must be there once, newer ones
 * first, and have this text in this member. */
static size_t walk(const char *query, int limit, const char *member, const char *text)
{
    char last[64] = "z", cursor[64] = "";
    size_t count = 0, pages = 0;
    bool more = true;
    while (more) {
        json_t *page = v1(&server, "GET",
                          v1_path("/v1/jobs?limit=%d%s%s%s%s", limit, *query ? "&" : "", query,
                                  *cursor ? "&cursor=" : "", cursor),
                          200, NULL);
        const json_t *jobs = v1_at(page, "jobs");
        CHECK(json_array_size(jobs) <= (size_t)limit);
        for (size_t i = 0; i < json_array_size(jobs); i++, count++) {
            const json_t *job = json_array_get(jobs, i);
            CHECK(strcmp(v1_text(job, "id"), last) < 0);
            (void)snprintf(last, sizeof last, "%s", v1_text(job, "id"));
            CHECK(!member || v1_is(job, member, text));
            CHECK(!v1_at(job, "payload") && !v1_at(job, "result") && !v1_at(job, "errors"));
        }
        (void)snprintf(cursor, sizeof cursor, "%s", v1_text(page, "next"));
        more = *cursor && ++pages < 1000;
        CHECK(more || json_is_null(v1_at(page, "next")));
        json_decref(page);
    }
    return count;
}

TEST(lists_show_every_job_once_whatever_the_page_and_the_filter)
{
    static const char *const states[] = {"scheduled", "available", "running", "retryable",
                                         "completed", "cancelled", "dead"};
    char query[128];
    open_server("lists.db");
    CHECK_EQUAL(walk("", 50, NULL, NULL), 0);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < 7; i++)
            (void)make(states[i]);
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'u','name':'a','group':'g'},"
                        "{'task':'v','after':['a'],'group':'g'},{'task':'v','delay':60}]");
    for (size_t i = 0; i < 7; i++) {
        (void)snprintf(query, sizeof query, "state=%s", states[i]);
        size_t more = strcmp(states[i], "scheduled") == 0 || strcmp(states[i], "available") == 0;
        CHECK_EQUAL(walk(query, 2, "state", states[i]), 3 + more);
        (void)snprintf(query, sizeof query, "queue=%s", states[i]);
        CHECK_EQUAL(walk(query, 1, "queue", states[i]), 3);
        (void)snprintf(query, sizeof query, "queue=%s&state=%s&task=t", states[i], states[i]);
        CHECK_EQUAL(walk(query, 3, "state", states[i]), 3);
    }
    CHECK_EQUAL(walk("state=blocked", 50, "state", "blocked"), 1);
    for (int limit = 1; limit < 30; limit += limit < 8 ? 1 : 8)
        CHECK_EQUAL(walk("", limit, NULL, NULL), 24);
    CHECK_EQUAL(walk("task=t", 1000, "task", "t"), 21);
    CHECK_EQUAL(walk("task=v", 1, "task", "v"), 2);
    (void)snprintf(query, sizeof query, "flow=%s", v1_text(answer, "jobs.0.flow"));
    CHECK_EQUAL(walk(query, 1, "flow", v1_text(answer, "jobs.0.flow")), 2);
    CHECK_EQUAL(walk("flow=" NOBODY, 50, NULL, NULL), 0);
    CHECK_EQUAL(walk("queue=nobody", 50, NULL, NULL), 0);
    CHECK_EQUAL(walk("task=nobody&state=dead", 50, NULL, NULL), 0);
    CHECK_EQUAL(walk("queue=dead&state=running", 50, NULL, NULL), 0);
    json_decref(answer);
    close_server();
}

TEST(a_list_takes_only_parameters_that_make_sense)
{
    open_server("query.db");
    v1_refused(&server, "GET", "/v1/jobs?limit=0", 422, "\"limit\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?limit=1001", 422, "\"limit\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?limit=1x", 422, "\"limit\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?limit=-1", 422, "\"limit\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?limit=99999999999999999999", 422, "\"limit\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs?state=asleep", 422, "\"state\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?state=none", 422, "\"state\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?state=", 422, "\"state\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?cursor=next", 422, "\"cursor\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?flow=f", 422, "\"flow\" must be", NULL);
    v1_refused(&server, "GET", "/v1/jobs?stat=dead", 422, "\"stat\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs?s&tate=dead", 422, "\"s\"", NULL);
    v1_refused(&server, "GET", "/v1/jobs?queue=%2f", 422, "\"queue\" must be a name", NULL);
    v1_refused(&server, "GET", "/v1/jobs?task=", 422, "\"task\" must be a name", NULL);
    v1_ok(&server, "GET", "/v1/jobs?limit=1000&queue=nobody&task=nobody&", 200, NULL);
    close_server();
}

TEST(long_jobs_fit_a_page_of_a_thousand)
{
    open_server("pages.db");
    char key[256], *batch = malloc((size_t)4 << 20);
    REQUIRE(batch);
    memset(key, '\\', sizeof key);
    key[250] = '\0'; /* escaped twice: 125 characters that JSON writes with two */
    size_t len = 0;
    for (int i = 0; i < 1000; i++)
        len +=
            (size_t)sprintf(batch + len, "%s{\"task\":\"t\",\"queue\":\"q\",\"limit_key\":\"%s\"}",
                            i ? "," : "[", key);
    len += (size_t)sprintf(batch + len, "]");
    json_decref(v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", batch, len));
    json_t *leased = v1(&server, "POST", "/v1/lease", 200, "{'queues':['q'],'max':1000}");
    len = (size_t)sprintf(batch, "{\"jobs\":[");
    for (size_t i = 0; i < 1000; i++) {
        const json_t *job = json_array_get(v1_at(leased, "jobs"), i);
        len += (size_t)sprintf(batch + len,
                               "%s{\"id\":\"%s\",\"token\":\"%s\",\"outcome\":\"die\",\"error\":\"",
                               i ? "," : "", v1_text(job, "id"), v1_text(job, "token"));
        for (int j = 0; j < 512; j++)
            len += (size_t)sprintf(batch + len, "\\u0001");
        len += (size_t)sprintf(batch + len, "\"}");
    }
    len += (size_t)sprintf(batch + len, "]}");
    json_decref(v1_send(&server, "POST", "/v1/settle", 200, NULL, "", batch, len));
    free(batch);
    json_decref(leased);
    CHECK_EQUAL(walk("", 1000, NULL, NULL), 1000);
    close_server();
}

/* ---- flows ------------------------------------------------------------------------------ */

TEST(a_flow_is_counted_and_cancelled_as_a_whole)
{
    open_server("flows.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'t','queue':'a','name':'a','group':'g'},"
                        "{'task':'t','queue':'b','name':'b','group':'g'},"
                        "{'task':'t','after':['a','b'],'group':'g'},"
                        "{'task':'t','delay':60,'group':'g'},{'task':'t','queue':'a'}]");
    const char *path = v1_path("/v1/flows/%s", v1_text(answer, "jobs.0.flow"));
    json_t *leased = v1_lease(&server, "b");
    json_t *flow = v1(&server, "GET", path, 200, NULL);
    CHECK(json_is_false(v1_at(flow, "done")));
    CHECK_EQUAL(v1_number(flow, "jobs.available"), 1);
    CHECK_EQUAL(v1_number(flow, "jobs.running"), 1);
    CHECK_EQUAL(v1_number(flow, "jobs.blocked"), 1);
    CHECK_EQUAL(v1_number(flow, "jobs.scheduled"), 1);
    json_decref(flow);
    json_t *cancelled = v1(&server, "DELETE", path, 200, NULL);
    CHECK_EQUAL(v1_number(cancelled, "cancelled"), 3);
    CHECK_EQUAL(v1_number(cancelled, "cancelling"), 1);
    json_decref(cancelled);
    json_decref(v1_settle(&server, leased, "cancel", ""));
    flow = v1(&server, "GET", path, 200, NULL);
    CHECK(json_is_true(v1_at(flow, "done")));
    CHECK_EQUAL(v1_number(flow, "jobs.cancelled"), 4);
    json_decref(flow);
    v1_refused(&server, "DELETE", path, 409, "the flow is over", NULL);
    json_t *other = v1_job(&server, v1_text(answer, "jobs.4.id"));
    CHECK_TEXT(other, "state", "available");
    json_decref(other);
    json_decref(leased);
    json_decref(answer);
    close_server();
}

TEST(a_flow_of_more_jobs_than_a_page_is_counted_to_its_end)
{
    open_server("bigflow.db");
    char *batch = malloc((size_t)1 << 20);
    REQUIRE(batch);
    size_t len = 0;
    for (int i = 0; i < 2500; i++)
        len += (size_t)sprintf(batch + len, "%s{\"task\":\"t\",\"group\":\"g\"}", i ? "," : "[");
    len += (size_t)sprintf(batch + len, "]");
    json_t *answer = v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", batch, len);
    free(batch);
    const char *path = v1_path("/v1/flows/%s", v1_text(answer, "jobs.0.id"));
    json_t *flow = v1(&server, "GET", path, 200, NULL);
    CHECK_EQUAL(v1_number(flow, "jobs.available"), 2500);
    json_decref(flow);
    flow = v1(&server, "DELETE", path, 200, NULL);
    CHECK_EQUAL(v1_number(flow, "cancelled"), 2500);
    json_decref(flow);
    json_decref(answer);
    close_server();
}
