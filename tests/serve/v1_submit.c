/* SPDX-License-Identifier: MIT
 * v1_submit.c - POST /v1/jobs: one job, many, what they say of themselves, and what is refused. */
#include "v1.h"

#include <base/buffer.h>
#include <serve/job_json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TYPE "application/json"
#define LINES     "application/x-ndjson"

static struct server server;

static void open_server(const char *database)
{
    server_start(&server, database, &(struct weft_serve_options){0});
}

static void close_server(void)
{
    CHECK_EQUAL(server_stop(&server), 0);
}

/* Tasks that nobody in the server knows: their jobs stay where they are put. */
static json_t *submit(int status, const char *type, const char *headers, const char *body)
{
    return v1_send(&server, "POST", "/v1/jobs", status, type, headers, body, strlen(body));
}

/* How many jobs there are in all. */
static int64_t stored(void)
{
    json_t *stats = v1(&server, "GET", "/v1/stats", 200, NULL);
    int64_t total = 0;
    const char *state;
    json_t *count;
    json_object_foreach((json_t *)(uintptr_t)v1_at(stats, "jobs"), state, count) total +=
        json_integer_value(count);
    json_decref(stats);
    return total;
}

/* ---- one ------------------------------------------------------------------------------- */

TEST(a_job_is_there_when_it_is_answered)
{
    open_server("one.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 201, "{'task':'mail','payload':[1]}");
    CHECK_TEXT(answer, "state", "available");
    CHECK_TEXT(answer, "task", "mail");
    CHECK_TEXT(answer, "queue", "default");
    check_keys(answer, "id state task queue created_at");
    json_t *job = v1_job(&server, v1_text(answer, "id"));
    CHECK_TEXT(job, "state", "available");
    CHECK_EQUAL(v1_number(job, "priority"), 5);
    CHECK_EQUAL(v1_number(job, "max_attempts"), 3);
    CHECK_EQUAL(v1_number(job, "attempt"), 0);
    CHECK(v1_is(job, "created_at", v1_text(answer, "created_at")));
    check_keys(job, "id task queue state priority attempt max_attempts created_at run_at payload");
    json_decref(job);
    json_decref(answer);
    close_server();
}

TEST(everything_that_is_said_of_a_job_is_found_again)
{
    open_server("all.db");
    const char *parent = v1_put(&server, "{'task':'first'}");
    const char *id = v1_put(
        &server,
        "{'task':'mail.send','queue':'q-1','name':'n','group':'g','priority':2,'max_attempts':7,"
        "'payload_base64':'AP8KDQ==','content_type':'image/"
        "png','run_at':'2100-01-31T09:00:00+01:00',"
        "'expires_at':'2100-02-01T00:00:00Z','timeout':'1m30s','soft_timeout':60,"
        "'result_ttl':'7d','backoff':{'kind':'linear','base':1.5,'cap':'1h','jitter':'none'},"
        "'unique':{'key':'invoice 7','window':'1h','states':['available','blocked']},"
        "'limit_key':'host \\u00e4','headers':{'traceparent':'00-1','x':'\\\\ \\''},"
        "'after':['%s'],'after_policy':'any'}",
        parent);
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "task", "mail.send");
    CHECK_TEXT(job, "queue", "q-1");
    CHECK_TEXT(job, "state", "blocked");
    CHECK_EQUAL(v1_number(job, "waits_for"), 1);
    CHECK_EQUAL(v1_number(job, "priority"), 2);
    CHECK_EQUAL(v1_number(job, "max_attempts"), 7);
    CHECK_TEXT(job, "payload_base64", "AP8KDQ==");
    CHECK_TEXT(job, "content_type", "image/png");
    CHECK_TEXT(job, "run_at", "2100-01-31T08:00:00.000000Z");
    CHECK_TEXT(job, "expires_at", "2100-02-01T00:00:00.000000Z");
    CHECK_EQUAL(v1_real(job, "timeout"), 90);
    CHECK_EQUAL(v1_real(job, "soft_timeout"), 60);
    CHECK_EQUAL(v1_real(job, "result_ttl"), 7 * 86400);
    CHECK_TEXT(job, "backoff.kind", "linear");
    CHECK(v1_real(job, "backoff.base") == 1.5);
    CHECK_EQUAL(v1_real(job, "backoff.cap"), 3600);
    CHECK_TEXT(job, "backoff.jitter", "none");
    CHECK_TEXT(job, "unique_key", "invoice 7");
    CHECK_TEXT(job, "limit_key", "host \xc3\xa4");
    CHECK_TEXT(job, "headers.traceparent", "00-1");
    CHECK_TEXT(job, "headers.x", "\\ \"");
    CHECK_TEXT(job, "flow", id); /* the first of its group */
    json_decref(job);
    close_server();
}

TEST(times_may_be_lengths_from_now)
{
    open_server("times.db");
    const char *id = v1_put(&server, "{'task':'mail','delay':'1h','expires_in':'2h','timeout':5}");
    json_t *job = v1_job(&server, id);
    CHECK_TEXT(job, "state", "scheduled");
    CHECK_EQUAL(v1_real(job, "timeout"), 5);
    CHECK(!v1_at(job, "soft_timeout"));
    char run_at[64], expires_at[64];
    (void)snprintf(run_at, sizeof run_at, "%s", v1_text(job, "run_at"));
    (void)snprintf(expires_at, sizeof expires_at, "%s", v1_text(job, "expires_at"));
    CHECK(strcmp(v1_text(job, "created_at"), run_at) < 0);
    CHECK(strcmp(run_at, expires_at) < 0);
    json_decref(job);
    id = v1_put(&server, "{'task':'mail','run_at':'2001-01-01T00:00:00Z'}"); /* gone by: now */
    job = v1_job(&server, id);
    CHECK_TEXT(job, "state", "available");
    json_decref(job);
    id = v1_put(&server, "{'task':'mail','delay':0}");
    CHECK(v1_comes_to(&server, id, "available"));
    close_server();
}

TEST(numbers_in_payloads_keep_their_digits)
{
    static const char payload[] = "[123456789012345678901234567890, 0.1000, 1e-7, -0, \"\\u0041\"]";
    struct reply reply;
    open_server("digits.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 201, "{'task':'mail','payload':%s}", payload);
    http_get(&server, v1_path("/v1/jobs/%s", v1_text(answer, "id")), &reply);
    CHECK(strstr(reply.body, payload) != NULL);
    reply_free(&reply);
    http_request(&server, "POST", "/v1/lease", "Content-Type: application/json\r\n",
                 "{\"queues\":[\"default\"]}", 22, &reply);
    CHECK_EQUAL(reply.status, 200);
    CHECK(strstr(reply.body, payload) != NULL);
    reply_free(&reply);
    json_decref(answer);
    close_server();
}

TEST(any_bytes_come_through_as_base64)
{
    open_server("bytes.db");
    const char *id = v1_put(&server, "{'task':'mail','queue':'q','payload_base64':'AAECA/7/Cg=='}");
    json_t *job = v1_job(&server, id), *leased = v1_lease(&server, "q");
    CHECK_TEXT(job, "payload_base64", "AAECA/7/Cg==");
    CHECK(!v1_at(job, "payload"));
    CHECK_TEXT(leased, "payload_base64", "AAECA/7/Cg==");
    json_decref(job);
    json_decref(leased);
    id = v1_put(&server, "{'task':'mail','queue':'q','payload_base64':''}");
    job = v1_job(&server, id);
    CHECK_TEXT(job, "payload_base64", "");
    CHECK(v1_at(job, "payload_base64") != NULL);
    json_decref(job);
    close_server();
}

TEST(built_in_tasks_run)
{
    open_server("builtin.db");
    const char *id = v1_put(&server, "{'task':'noop'}");
    json_t *job = v1(&server, "GET", v1_path("/v1/jobs/%s?wait=20s", id), 200, NULL);
    CHECK_TEXT(job, "state", "completed");
    CHECK(json_is_null(v1_at(job, "result")));
    CHECK_EQUAL(v1_number(job, "attempt"), 1);
    json_decref(job);
    id = v1_put(&server, "{'task':'fail','payload':{'times':1,'error':'no luck'},"
                         "'backoff':{'base':0.001,'cap':0.001}}");
    job = v1(&server, "GET", v1_path("/v1/jobs/%s?wait=20", id), 200, NULL);
    CHECK_TEXT(job, "state", "completed");
    CHECK_EQUAL(v1_number(job, "attempt"), 2);
    CHECK_TEXT(job, "errors.0.error", "no luck");
    CHECK_EQUAL(v1_number(job, "errors.0.attempt"), 1);
    CHECK(!v1_at(job, "error")); /* it is no longer one */
    json_decref(job);
    close_server();
}

/* ---- many ------------------------------------------------------------------------------- */

TEST(a_batch_is_answered_in_its_order)
{
    open_server("batch.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'a'},{'task':'b','delay':60},{'task':'noop'}]");
    CHECK_EQUAL(v1_number(answer, "accepted"), 3);
    CHECK_EQUAL(v1_number(answer, "refused"), 0);
    CHECK_TEXT(answer, "jobs.0.state", "available");
    CHECK_TEXT(answer, "jobs.1.state", "scheduled");
    json_t *job = v1_job(&server, v1_text(answer, "jobs.1.id"));
    CHECK_TEXT(job, "task", "b");
    json_decref(job);
    json_decref(answer);
    answer = submit(200, LINES, "", "{\"task\":\"a\"}\n\n  {\"task\":\"b\"}  \r\n{\"task\":\"c\"}");
    CHECK_EQUAL(v1_number(answer, "accepted"), 3);
    json_decref(answer);
    answer = submit(200, "application/ndjson; charset=utf-8", "", "{\"task\":\"a\"}\n");
    CHECK_EQUAL(json_array_size(v1_at(answer, "jobs")), 1); /* one line is a batch all the same */
    json_decref(answer);
    CHECK_EQUAL(stored(), 7);
    close_server();
}

/* The text of so many jobs. */
static struct weft_buffer many(size_t count, const char *between)
{
    struct weft_buffer text;
    weft_buffer_init(&text, (size_t)64 << 20);
    weft_buffer_append_char(&text, '[');
    for (size_t i = 0; i < count; i++)
        weft_buffer_append_format(&text, "%s{\"task\":\"t%zu\",\"queue\":\"q%zu\"}",
                                  i ? between : "", i % 10, i % 7);
    weft_buffer_append_char(&text, ']');
    REQUIRE(!text.err);
    return text;
}

TEST(ten_thousand_jobs_go_in_at_once_and_no_more)
{
    open_server("many.db");
    struct weft_buffer text = many(WEFT_JOB_REQUESTS_MAX, ",");
    json_t *answer = v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", text.data, text.len);
    CHECK_EQUAL(v1_number(answer, "accepted"), WEFT_JOB_REQUESTS_MAX);
    CHECK_EQUAL(json_array_size(v1_at(answer, "jobs")), WEFT_JOB_REQUESTS_MAX);
    json_t *job = v1_job(&server, v1_text(answer, "jobs.9999.id"));
    CHECK_TEXT(job, "task", "t9");
    json_decref(job);
    json_decref(answer);
    CHECK_EQUAL(stored(), WEFT_JOB_REQUESTS_MAX);
    weft_buffer_deinit(&text);
    text = many(WEFT_JOB_REQUESTS_MAX + 1, ",");
    answer = v1_send(&server, "POST", "/v1/jobs", 413, NULL, "", text.data, text.len);
    CHECK_TEXT(answer, "detail", "more than 10000 jobs in one request");
    json_decref(answer);
    weft_buffer_deinit(&text);
    CHECK_EQUAL(stored(), WEFT_JOB_REQUESTS_MAX);
    close_server();
}

TEST(bodies_of_32_mebibytes_are_taken_and_larger_ones_refused)
{
    open_server("large.db");
    size_t len = (size_t)32 << 20;
    char *body = malloc(len + 1);
    REQUIRE(body);
    memset(body, ' ', len + 1);
    static const char job[] = "[{\"task\":\"t\"},";
    memcpy(body, job, strlen(job));
    memcpy(body + len - 13, "{\"task\":\"t\"}]", 13);
    json_t *answer = v1_send(&server, "POST", "/v1/jobs", 200, NULL, "", body, len);
    CHECK_EQUAL(v1_number(answer, "accepted"), 2);
    json_decref(answer);
    json_decref(v1_send(&server, "POST", "/v1/jobs", 413, NULL, "", body, len + 1));
    free(body);
    CHECK_EQUAL(stored(), 2);
    close_server();
}

/* A job whose payload has so many bytes. */
static json_t *submit_payload(int status, const char *member, size_t len, char fill)
{
    struct weft_buffer text;
    weft_buffer_init(&text, (size_t)4 << 20);
    weft_buffer_append_format(&text, "{\"task\":\"t\",\"%s\":\"", member);
    char *at = weft_buffer_reserve(&text, len);
    REQUIRE(at);
    memset(at, fill, len);
    text.len += len;
    weft_buffer_append_string(&text, "\"}");
    json_t *answer = v1_send(&server, "POST", "/v1/jobs", status, NULL, "", text.data, text.len);
    weft_buffer_deinit(&text);
    return answer;
}

TEST(a_payload_of_one_mebibyte_is_taken_and_a_larger_one_refused)
{
    open_server("payload.db");
    size_t most = (size_t)1 << 20;
    json_t *answer = submit_payload(201, "payload", most - 2, 'x');
    json_t *job = v1_job(&server, v1_text(answer, "id"));
    CHECK_EQUAL(json_string_length(v1_at(job, "payload")), most - 2);
    json_decref(job);
    json_decref(answer);
    json_decref(submit_payload(413, "payload", most - 1, 'x'));
    answer = submit_payload(201, "payload_base64", 1398100, 'A'); /* three bytes in four */
    job = v1_job(&server, v1_text(answer, "id"));
    CHECK_EQUAL(json_string_length(v1_at(job, "payload_base64")), 1398100);
    json_decref(job);
    json_decref(answer);
    json_decref(submit_payload(413, "payload_base64", 1398104, 'A'));
    CHECK_EQUAL(stored(), 2);
    close_server();
}

/* ---- once ------------------------------------------------------------------------------- */

TEST(a_request_that_comes_twice_with_its_key_puts_its_jobs_in_once)
{
    open_server("idempotent.db");
    static const char key[] = "Idempotency-Key: order 17\r\n";
    json_t *first = submit(201, NULL, key, "{\"task\":\"t\"}");
    json_t *again = submit(200, NULL, key, "{\"task\":\"t\"}");
    CHECK(v1_is(again, "id", v1_text(first, "id")));
    CHECK(json_is_true(v1_at(again, "duplicate")));
    json_decref(again);
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", v1_text(first, "id")), 200, NULL);
    again = submit(200, NULL, key, "{\"task\":\"t\"}"); /* whatever has become of it */
    CHECK(v1_is(again, "id", v1_text(first, "id")));
    json_decref(again);
    json_decref(first);
    first = submit(200, NULL, key, "[{\"task\":\"t\"},{\"task\":\"u\"}]");
    CHECK_EQUAL(v1_number(first, "accepted"), 2);
    again = submit(200, NULL, key, "[{\"task\":\"t\"},{\"task\":\"u\"},{\"task\":\"v\"}]");
    CHECK_EQUAL(v1_number(again, "accepted"), 1);
    CHECK_EQUAL(v1_number(again, "refused"), 0);
    CHECK(v1_is(again, "jobs.1.id", v1_text(first, "jobs.1.id")));
    CHECK(json_is_true(v1_at(again, "jobs.1.duplicate")));
    json_decref(first);
    json_decref(again);
    json_decref(submit(201, NULL, "Idempotency-Key: order 18\r\n", "{\"task\":\"t\"}"));
    CHECK_EQUAL(stored(), 5);
    close_server();
}

TEST(a_graph_that_comes_twice_with_its_key_goes_in_once)
{
    open_server("twice.db");
    static const char key[] = "Idempotency-Key: graph\r\n";
    static const char body[] = "[{\"task\":\"t\",\"name\":\"c\",\"after\":[\"a\",\"b\"]},"
                               "{\"task\":\"t\",\"name\":\"a\"},{\"task\":\"t\",\"name\":\"b\"}]";
    json_t *first = submit(200, NULL, key, body);
    CHECK_EQUAL(v1_number(first, "accepted"), 3);
    json_t *again = submit(200, NULL, key, body);
    CHECK_EQUAL(v1_number(again, "accepted"), 0);
    CHECK_EQUAL(v1_number(again, "refused"), 0);
    for (int i = 0; i < 3; i++)
        CHECK(v1_is(again, v1_path("jobs.%d.id", i), v1_text(first, v1_path("jobs.%d.id", i))));
    json_decref(first);
    json_decref(again);
    CHECK_EQUAL(stored(), 3);
    close_server();
}

TEST(a_whole_that_comes_twice_with_its_key_is_answered_as_it_was_put_in)
{
    open_server("whole.db");
    static const char key[] = "Idempotency-Key: whole\r\n", path[] = "/v1/jobs?atomic=true";
    static const char body[] = "[{\"task\":\"t\"},{\"task\":\"u\"},{\"task\":\"v\"}]";
    json_t *first = v1_send(&server, "POST", path, 200, NULL, key, body, strlen(body));
    CHECK_EQUAL(v1_number(first, "accepted"), 3);
    json_t *again = v1_send(&server, "POST", path, 200, NULL, key, body, strlen(body));
    CHECK_EQUAL(v1_number(again, "accepted"), 0);
    CHECK_EQUAL(v1_number(again, "refused"), 0);
    for (int i = 0; i < 3; i++) {
        CHECK(v1_is(again, v1_path("jobs.%d.id", i), v1_text(first, v1_path("jobs.%d.id", i))));
        CHECK(json_is_true(v1_at(again, v1_path("jobs.%d.duplicate", i))));
    }
    json_decref(again);
    /* One that holds more is another one, of which nothing goes in. */
    static const char more[] =
        "[{\"task\":\"t\"},{\"task\":\"u\"},{\"task\":\"v\"},{\"task\":\"w\"}]";
    again = v1_send(&server, "POST", path, 409, NULL, key, more, strlen(more));
    CHECK(v1_is(again, "jobs.2.id", v1_text(first, "jobs.2.id")));
    CHECK_EQUAL(v1_number(again, "jobs.3.status"), 409);
    json_decref(again);
    static const char other[] = "[{\"task\":\"t\"},{\"task\":\"other\"},{\"task\":\"v\"}]";
    json_decref(v1_send(&server, "POST", path, 422, NULL, key, other, strlen(other)));
    CHECK_EQUAL(stored(), 3);
    json_decref(first);
    close_server();
}

TEST(a_job_that_doubles_another_of_its_own_request_is_not_there)
{
    open_server("doubles.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs?atomic=true", 409,
                        "[{'task':'a','unique':{'key':'u'}},{'task':'b','unique':{'key':'u'}}]");
    CHECK(!v1_at(answer, "jobs.1.id"));
    CHECK_EQUAL(v1_number(answer, "jobs.1.status"), 409);
    CHECK_EQUAL(v1_number(answer, "refused"), 2);
    json_decref(answer);
    CHECK_EQUAL(stored(), 0);
    close_server();
}

TEST(keys_of_requests_and_of_jobs_are_nobody_elses)
{
    open_server("apart.db");
    json_decref(submit(200, NULL, "Idempotency-Key: a\r\n", "[{\"task\":\"t\"}]"));
    json_decref(submit(201, NULL, "Idempotency-Key: a#0\r\n", "{\"task\":\"other\"}"));
    json_decref(submit(201, NULL, "Idempotency-Key: 0:a\r\n", "{\"task\":\"other\"}"));
    v1_refused(&server, "POST", "/v1/jobs", 422, "must not begin with",
               "{'task':'t','unique':{'key':'idempotency:0:a'}}");
    v1_ok(&server, "POST", "/v1/jobs", 201, "{'task':'t','unique':{'key':'idempotency'}}");
    CHECK_EQUAL(stored(), 4);
    close_server();
}

TEST(idempotency_keys_have_their_limits)
{
    open_server("keys.db");
    char header[300] = "Idempotency-Key: ";
    size_t at = strlen(header);
    memset(header + at, 'k', 201);
    (void)strcpy(header + at + 200, "\r\n");
    json_decref(submit(201, NULL, header, "{\"task\":\"t\"}"));
    (void)strcpy(header + at + 200, "k\r\n");
    json_decref(submit(422, NULL, header, "{\"task\":\"t\"}"));
    json_decref(submit(422, NULL, "Idempotency-Key: \r\n", "{\"task\":\"t\"}"));
    json_decref(submit(422, NULL, "Idempotency-Key: \xc3\xa4\r\n", "{\"task\":\"t\"}"));
    json_decref(
        submit(422, NULL, "Idempotency-Key: k\r\n", "{\"task\":\"t\",\"unique\":{\"key\":\"u\"}}"));
    CHECK_EQUAL(stored(), 1);
    close_server();
}

TEST(a_unique_job_is_wanted_once)
{
    open_server("unique.db");
    json_t *first =
        v1(&server, "POST", "/v1/jobs", 201, "{'task':'t','queue':'q','unique':{'key':'u'}}");
    json_t *again = v1(&server, "POST", "/v1/jobs", 200, "{'task':'t','unique':{'key':'u'}}");
    CHECK(v1_is(again, "id", v1_text(first, "id")));
    check_keys(again, "id duplicate");
    json_decref(again);
    again = v1(&server, "POST", "/v1/jobs", 200,
               "[{'task':'t','unique':{'key':'u'}},{'task':'t','unique':{'key':'v'}},"
               "{'task':'t','unique':{'key':'v'}}]");
    CHECK_EQUAL(v1_number(again, "accepted"), 1);
    CHECK(json_is_true(v1_at(again, "jobs.0.duplicate")));
    CHECK(v1_is(again, "jobs.2.id", v1_text(again, "jobs.1.id")));
    json_decref(again);
    json_t *leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "complete", ""));
    json_decref(leased);
    again = v1(&server, "POST", "/v1/jobs", 201, "{'task':'t','unique':{'key':'u'}}");
    json_decref(again); /* the first is done, and there was no window */
    json_decref(first);
    close_server();
}

/* ---- all or none, and full queues -------------------------------------------------------- */

TEST(a_full_queue_refuses_each_job_by_itself)
{
    struct reply reply;
    open_server("full.db");
    v1_ok(&server, "PATCH", "/v1/queues/q", 200, "{'size_max':2}");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'t','queue':'q'},{'task':'t','queue':'q'},"
                        "{'task':'t','queue':'q'},{'task':'t','queue':'other'}]");
    CHECK_EQUAL(v1_number(answer, "accepted"), 3);
    CHECK_EQUAL(v1_number(answer, "refused"), 1);
    CHECK_EQUAL(v1_number(answer, "jobs.2.status"), 503);
    CHECK_TEXT(answer, "jobs.2.error", "the queue is full");
    CHECK_TEXT(answer, "jobs.3.state", "available");
    json_decref(answer);
    v1_refused(&server, "POST", "/v1/jobs", 503, "the queue is full", "{'task':'t','queue':'q'}");
    http_request(&server, "POST", "/v1/jobs", "", "{\"task\":\"t\",\"queue\":\"q\"}", 24, &reply);
    CHECK(strstr(reply.head, "Retry-After: ") != NULL);
    reply_free(&reply);
    answer = v1(&server, "POST", "/v1/jobs?atomic=true", 503,
                "[{'task':'t','queue':'free'},{'task':'t','queue':'q'},{'task':'t'}]");
    CHECK_EQUAL(v1_number(answer, "accepted"), 0);
    CHECK_EQUAL(v1_number(answer, "refused"), 3);
    CHECK_TEXT(answer, "detail", "the queue is full");
    CHECK_EQUAL(v1_number(answer, "jobs.0.status"), 409);
    CHECK_EQUAL(v1_number(answer, "jobs.1.status"), 503);
    CHECK_EQUAL(v1_number(answer, "jobs.2.status"), 409);
    json_decref(answer);
    CHECK_EQUAL(stored(), 3);
    close_server();
}

TEST(atomic_puts_in_all_or_nothing)
{
    open_server("atomic.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs?atomic", 200, "[{'task':'a'},{'task':'b'}]");
    CHECK_EQUAL(v1_number(answer, "accepted"), 2);
    json_decref(answer);
    v1_ok(&server, "POST", "/v1/jobs?atomic=1", 201, "{'task':'a'}");
    v1_ok(&server, "POST", "/v1/jobs?atomic=true", 422,
          "[{'task':'a'},{'task':'b','after':['0190b7e0-1c2d-7abc-8def-0123456789ab']}]");
    v1_ok(&server, "POST", "/v1/jobs?atomic=true", 409,
          "[{'task':'a','unique':{'key':'u'}},{'task':'a','unique':{'key':'u'}}]");
    v1_ok(&server, "POST", "/v1/jobs?atomic=0", 200, "[{'task':'a'}]");
    v1_refused(&server, "POST", "/v1/jobs?atomic=maybe", 422, "\"atomic\"", "[{'task':'a'}]");
    CHECK_EQUAL(stored(), 4);
    close_server();
}

/* ---- what is refused --------------------------------------------------------------------- */

TEST(what_is_no_job_is_refused_with_a_reason)
{
    static const struct {
        int status;
        const char *body, *detail;
    } cases[] = {
        {400, "", "the body is empty"},
        {400, "  \n ", "the body is empty"},
        {400, "{", "not JSON at line 1, column 2"},
        {400, "{\"task\":\"t\"", "not JSON"},
        {400, "{\"task\":\"t\"}{}", "not JSON"},
        {400, "{'task':'t'}", "not JSON"},
        {400, "task=t", "not JSON"},
        {400, "\xff\xfe", "not JSON"},
        {400, "{\"task\":\"\xff\"}", "not JSON"},
        {400, "[{\"task\":\"t\"}", "the array has no end"},
        {400, "[{\"task\":\"t\"},]", "not JSON"},
        {400, "{\"task\":\"t\",\"task\":\"t\"}", "is there twice"},
        {422, "null", "a job must be a JSON object"},
        {422, "17", "a job must be a JSON object"},
        {422, "\"task\"", "a job must be a JSON object"},
        {422, "[]", "there is no job"},
        {422, "[[]]", "job 1: a job must be a JSON object"},
        {422, "{}", "\"task\" is missing"},
        {422, "[{\"task\":\"t\"},{\"queue\":\"q\"}]", "job 2: \"task\" is missing"},
        {422, "{\"task\":\"t\",\"prioritee\":1}", "did you mean \"priority\"?"},
        {422, "{\"task\":1}", "\"task\" must be"},
        {422, "{\"task\":\"a b\"}", "\"task\" must be"},
        {422, "{\"task\":\"t\",\"priority\":10}", "\"priority\" must be"},
        {422, "{\"task\":\"t\",\"priority\":\"1\"}", "\"priority\" must be"},
        {422, "{\"task\":\"t\",\"delay\":-1}", "\"delay\" must not be less than 0"},
        {422, "{\"task\":\"t\",\"delay\":\"soon\"}", "\"delay\" must be"},
        {422, "{\"task\":\"t\",\"run_at\":\"tomorrow\"}", "\"run_at\" must be"},
        {422, "{\"task\":\"t\",\"payload\":1,\"payload_base64\":\"\"}", "exclude each other"},
        {422, "{\"task\":\"t\",\"payload_base64\":\"AA\"}", "is not base64"},
        {422, "{\"task\":\"t\",\"after\":[\"nobody\"]}", "which is no job of this request"},
        {422, "{\"task\":\"t\",\"max_attempts\":0}", "\"max_attempts\" must be"},
    };
    open_server("wrong.db");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *answer = submit(cases[i].status, NULL, "", cases[i].body);
        bool said = strstr(v1_text(answer, "detail"), cases[i].detail) != NULL;
        CHECK(said);
        if (!said)
            test_note("%s: %s", cases[i].body, v1_text(answer, "detail"));
        check_keys(answer, "detail");
        json_decref(answer);
    }
    json_decref(submit(422, LINES, "", "{\"task\":\"t\"}\n{\"task\":2}"));
    CHECK_EQUAL(stored(), 0);
    close_server();
}

TEST(brackets_as_deep_as_the_sea_are_refused)
{
    open_server("deep.db");
    size_t depth = 500000;
    char *body = malloc(2 * depth + 64);
    REQUIRE(body);
    size_t len = (size_t)sprintf(body, "{\"task\":\"t\",\"payload\":");
    memset(body + len, '[', depth);
    memset(body + len + depth, ']', depth);
    body[len + 2 * depth] = '}';
    json_t *answer = v1_send(&server, "POST", "/v1/jobs", 400, NULL, "", body, len + 2 * depth + 1);
    CHECK_TEXT(answer, "detail", "brackets are nested more than 32 deep");
    json_decref(answer);
    free(body);
    CHECK_EQUAL(stored(), 0);
    close_server();
}

TEST(only_json_and_lines_of_it_are_taken)
{
    open_server("types.db");
    static const char job[] = "{\"task\":\"t\"}";
    json_decref(submit(415, "text/plain", "", job));
    json_decref(submit(415, "application/x-www-form-urlencoded", "", job));
    json_decref(submit(415, "application/x-ndjsonx", "", job));
    json_decref(submit(415, "multipart/form-data; boundary=application/json", "", job));
    json_decref(submit(415, NULL, "Content-Encoding: gzip\r\n", job));
    json_decref(submit(201, "Application/JSON;charset=utf-8", "", job));
    json_decref(submit(201, "application/vnd.job+json", "", job));
    /* Lines are for jobs only. */
    json_decref(v1_send(&server, "POST", "/v1/lease", 415, LINES, "", "{\"queues\":[\"q\"]}", 16));
    json_decref(v1_send(&server, "POST", "/process", 415, LINES, "", "{\"text\":\"a\"}", 12));
    CHECK_EQUAL(stored(), 2);
    close_server();
}

TEST(parameters_that_nobody_knows_are_refused)
{
    open_server("query.db");
    v1_refused(&server, "POST", "/v1/jobs?atomc=true", 422, "there is no parameter \"atomc\"",
               "{'task':'t'}");
    v1_refused(&server, "POST", "/v1/lease?max=2", 422, "\"max\"", "{'queues':['q']}");
    v1_refused(&server, "GET", "/v1/queues?state=dead", 422, "\"state\"", NULL);
    v1_refused(&server, "GET", "/metrics?a=b", 422, "\"a\"", NULL);
    json_decref(v1_send(&server, "POST", "/process?whatever=1", 200, NULL, "", "{\"text\":\"a\"}",
                        12)); /* programs that exist may */
    CHECK_EQUAL(stored(), 1);
    close_server();
}

/* ---- jobs that belong together ------------------------------------------------------------ */

static void complete(const char *queue, const char *result)
{
    json_t *leased = v1_lease(&server, queue);
    json_t *item = v1_settle(&server, leased, "complete", result);
    CHECK_TEXT(item, "state", "completed");
    json_decref(item);
    json_decref(leased);
}

TEST(results_are_handed_to_who_waited_for_them_in_the_order_of_its_list)
{
    open_server("graph.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'sum','queue':'c','name':'c','after':['b','a']},"
                        "{'task':'t','queue':'a','name':'a'},"
                        "{'task':'t','queue':'b','name':'b'}]");
    CHECK_EQUAL(v1_number(answer, "accepted"), 3); /* also one before those it waits for */
    const char *sum = v1_path("%s", v1_text(answer, "jobs.0.id"));
    CHECK_TEXT(answer, "jobs.0.state", "blocked");
    complete("a", ",\"result\":{\"n\":1}");
    json_t *job = v1_job(&server, sum);
    CHECK_EQUAL(v1_number(job, "waits_for"), 1);
    json_decref(job);
    complete("b", ",\"result_base64\":\"AQI=\"");
    CHECK(v1_comes_to(&server, sum, "available"));
    json_t *leased = v1_lease(&server, "c");
    CHECK_EQUAL(json_array_size(v1_at(leased, "inputs")), 2);
    CHECK(v1_is(leased, "inputs.0.id", v1_text(answer, "jobs.2.id")));
    CHECK_TEXT(leased, "inputs.0.result_base64", "AQI=");
    CHECK_TEXT(leased, "inputs.0.state", "completed");
    CHECK(v1_is(leased, "inputs.1.id", v1_text(answer, "jobs.1.id")));
    CHECK_EQUAL(v1_number(leased, "inputs.1.result.n"), 1);
    json_decref(leased);
    json_decref(answer);
    close_server();
}

TEST(what_needed_a_job_that_failed_is_cancelled_unless_any_end_will_do)
{
    open_server("needs.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'t','queue':'a','name':'a'},"
                        "{'task':'t','queue':'b','name':'b','after':['a']},"
                        "{'task':'t','queue':'c','after':['b']},"
                        "{'task':'t','queue':'d','after':['a','b'],'after_policy':'any'}]");
    json_t *leased = v1_lease(&server, "a");
    json_decref(v1_settle(&server, leased, "die", ",\"error\":\"broken\""));
    json_decref(leased);
    for (int i = 1; i < 3; i++) {
        json_t *job = v1_job(&server, v1_text(answer, v1_path("jobs.%d.id", i)));
        CHECK_TEXT(job, "state", "cancelled");
        CHECK(strstr(v1_text(job, "error"), v1_text(answer, v1_path("jobs.%d.id", i - 1))));
        json_decref(job);
    }
    leased = v1_lease(&server, "d");
    CHECK_TEXT(leased, "inputs.0.state", "dead");
    CHECK_TEXT(leased, "inputs.1.state", "cancelled");
    CHECK(!v1_at(leased, "inputs.0.result"));
    json_decref(leased);
    /* Those that come too late. */
    const char *dead = v1_text(answer, "jobs.0.id");
    json_t *late = v1(&server, "POST", "/v1/jobs", 201, "{'task':'t','after':['%s']}", dead);
    CHECK_TEXT(late, "state", "cancelled");
    json_decref(late);
    late = v1(&server, "POST", "/v1/jobs", 201, "{'task':'t','after':['%s'],'after_policy':'any'}",
              dead);
    CHECK_TEXT(late, "state", "available");
    json_decref(late);
    v1_refused(&server, "POST", "/v1/jobs", 422, "a job that is not known",
               "{'task':'t','after':['0190b7e0-1c2d-7abc-8def-0123456789ab']}");
    json_decref(answer);
    close_server();
}

TEST(jobs_of_a_group_are_a_flow)
{
    open_server("groups.db");
    json_t *answer = v1(&server, "POST", "/v1/jobs", 200,
                        "[{'task':'t','group':'g'},{'task':'t','group':'h'},"
                        "{'task':'t','group':'g'},{'task':'t'}]");
    const char *flow = v1_path("%s", v1_text(answer, "jobs.0.flow"));
    CHECK_TEXT(answer, "jobs.0.id", flow); /* named by its first job */
    CHECK_TEXT(answer, "jobs.2.flow", flow);
    CHECK(v1_is(answer, "jobs.1.flow", v1_text(answer, "jobs.1.id")));
    CHECK(!v1_at(answer, "jobs.3.flow"));
    /* A flow that is there can be joined by its id. */
    json_t *later = v1(&server, "POST", "/v1/jobs", 201, "{'task':'t','group':'%s'}", flow);
    CHECK_TEXT(later, "flow", flow);
    json_decref(later);
    json_t *flows = v1(&server, "GET", v1_path("/v1/flows/%s", flow), 200, NULL);
    CHECK_EQUAL(v1_number(flows, "jobs.available"), 3);
    CHECK(json_is_false(v1_at(flows, "done")));
    json_decref(flows);
    json_decref(answer);
    close_server();
}

TEST(what_has_expired_never_runs)
{
    open_server("expired.db");
    const char *late =
        v1_put(&server, "{'task':'t','queue':'q','expires_at':'2001-01-01T00:00:00Z'}");
    const char *soon = v1_put(&server, "{'task':'t','queue':'q','expires_in':0.05}");
    CHECK(v1_comes_to(&server, late, "cancelled"));
    CHECK(v1_comes_to(&server, soon, "cancelled"));
    json_t *job = v1_job(&server, soon);
    CHECK_TEXT(job, "error", "expired before it began");
    CHECK_EQUAL(v1_number(job, "attempt"), 0);
    json_decref(job);
    json_t *answer = v1(&server, "POST", "/v1/lease", 200, "{'queues':['q']}");
    CHECK_EQUAL(json_array_size(v1_at(answer, "jobs")), 0);
    json_decref(answer);
    close_server();
}
