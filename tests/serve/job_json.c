/* SPDX-License-Identifier: MIT
 * job_json.c - what clients may write about jobs, and what they are told when it is wrong. */
#include "test.h"

#include <base/buffer.h>
#include <job/job.h>
#include <serve/job_json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID   "0190b7e0-1c2d-7abc-8def-0123456789ab"
#define ID_2 "0190b7e0-1c2d-7abc-8def-0123456789ac"

/* Parse from memory of exactly the text's size, so that a sanitizer sees every step too far. */
static int parse_bytes(enum weft_job_body kind, const char *text, size_t len,
                       struct weft_job_requests *requests, struct weft_refusal *refusal)
{
    char *exact = malloc(len ? len : 1);
    REQUIRE(exact);
    memcpy(exact, text, len);
    memset(refusal, 'x', sizeof *refusal);
    int err = weft_job_json_parse(requests, kind, exact, len, refusal);
    memset(exact, '?', len); /* nothing may point into it */
    free(exact);
    return err;
}

static int parse(enum weft_job_body kind, const char *text, struct weft_job_requests *requests,
                 struct weft_refusal *refusal)
{
    return parse_bytes(kind, text, strlen(text), requests, refusal);
}

/* One object, which must be good. To be given back with weft_job_requests_deinit. */
static struct weft_job_requests good(const char *text)
{
    struct weft_job_requests requests = {0};
    struct weft_refusal refusal;
    int err = parse(WEFT_JOB_BODY_JSON, text, &requests, &refusal);
    CHECK_EQUAL(err, 0);
    if (err)
        test_note("%s: %s", text, refusal.detail);
    REQUIRE(requests.count > 0);
    return requests;
}

static void refused_as(enum weft_job_body kind, const char *text, int status, const char *detail)
{
    struct weft_job_requests requests = {.count = 7};
    struct weft_refusal refusal;
    int err = parse(kind, text, &requests, &refusal);
    CHECK_EQUAL(err, -EINVAL);
    CHECK_EQUAL(requests.count, 7);
    if (err != -EINVAL)
        return;
    CHECK_EQUAL(refusal.status, status);
    CHECK(strcmp(refusal.detail, detail) == 0);
    if (refusal.status != status || strcmp(refusal.detail, detail) != 0)
        test_note("%s: %d %s", text, refusal.status, refusal.detail);
}

static void refused(const char *text, int status, const char *detail)
{
    refused_as(WEFT_JOB_BODY_JSON, text, status, detail);
}

/* A job with one more member. */
static void member_refused(const char *member, const char *detail)
{
    char text[512];
    (void)snprintf(text, sizeof text, "{\"task\":\"t\",%s}", member);
    refused(text, 422, detail);
}

static bool same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* ---- one job ---------------------------------------------------------------------------- */

TEST(a_job_needs_a_task_and_nothing_else)
{
    struct weft_job_requests requests = good(" {\"task\": \"mail.send:v2_x-Y\"}\n ");
    const struct weft_job_request *job = &requests.items[0];
    CHECK_EQUAL(requests.count, 1);
    CHECK(requests.single);
    CHECK_EQUAL(job->place, 1);
    CHECK(same(job->task, "mail.send:v2_x-Y"));
    CHECK(same(job->queue, "default"));
    CHECK(!job->name && !job->group && !job->limit_key && !job->unique_key && !job->content_type);
    CHECK(!job->payload && job->payload_kind == WEFT_JOB_PAYLOAD_NONE);
    CHECK(!job->priority_given && job->priority == 0 && job->attempts_max == 0);
    CHECK(job->run_at_us == 0 && job->delay_ns == 0 && job->expires_at_us == 0);
    CHECK(job->expires_in_ns == 0 && job->timeout_ns == 0 && job->soft_timeout_ns == 0);
    CHECK(job->result_ttl_ns == 0 && job->backoff_base_ns == 0 && job->backoff_cap_ns == 0);
    CHECK(job->headers_count == 0 && job->after_count == 0);
    weft_job_requests_deinit(&requests);
    weft_job_requests_deinit(&requests); /* twice is fine */
}

TEST(every_member_arrives)
{
    struct weft_job_requests requests = good(
        "{\"task\":\"t\",\"queue\":\"q\",\"priority\":0,\"payload\":{\"a\":[1, 2.50]},"
        "\"run_at\":\"2030-01-31T09:00:00+01:00\",\"expires_at\":\"2030-02-01T00:00:00.5Z\","
        "\"timeout\":90,\"soft_timeout\":\"1m\",\"max_attempts\":1000,"
        "\"backoff\":{\"kind\":\"linear\",\"base\":0.5,\"cap\":\"1h\",\"jitter\":\"none\"},"
        "\"unique\":{\"key\":\"k \xc3\xa4\",\"window\":\"1d\",\"states\":[\"available\",\"dead\"]},"
        "\"limit_key\":\"tenant/7\",\"headers\":{\"traceparent\":\"00-ab\",\"X-Empty\":\"\"},"
        "\"result_ttl\":\"7d\",\"name\":\"n\",\"group\":\"g\",\"after\":[\"" ID "\"],"
        "\"after_policy\":\"any\"}");
    const struct weft_job_request *job = &requests.items[0];
    CHECK(same(job->queue, "q") && same(job->name, "n") && same(job->group, "g"));
    CHECK(job->priority_given && job->priority == 0);
    CHECK_EQUAL(job->payload_kind, WEFT_JOB_PAYLOAD_JSON);
    CHECK(same(job->payload, "{\"a\":[1, 2.50]}"));
    CHECK_EQUAL(job->payload_len, strlen(job->payload));
    CHECK_EQUAL(job->run_at_us, 1896076800000000);
    CHECK_EQUAL(job->expires_at_us, 1896134400500000);
    CHECK_EQUAL(job->timeout_ns, 90 * WEFT_SEC);
    CHECK_EQUAL(job->soft_timeout_ns, 60 * WEFT_SEC);
    CHECK_EQUAL(job->attempts_max, 1000);
    CHECK_EQUAL(job->backoff, WEFT_BACKOFF_LINEAR);
    CHECK_EQUAL(job->jitter, WEFT_JITTER_NONE);
    CHECK_EQUAL(job->backoff_base_ns, 500 * WEFT_MSEC);
    CHECK_EQUAL(job->backoff_cap_ns, 3600 * WEFT_SEC);
    CHECK(same(job->unique_key, "k \xc3\xa4"));
    CHECK_EQUAL(job->unique_window_ns, 86400 * WEFT_SEC);
    CHECK_EQUAL(job->unique_states, 1u << WEFT_JOB_AVAILABLE | 1u << WEFT_JOB_DEAD);
    CHECK(same(job->limit_key, "tenant/7"));
    CHECK_EQUAL(job->headers_count, 2);
    CHECK(same(job->headers[0].name, "traceparent") && same(job->headers[0].value, "00-ab"));
    CHECK(same(job->headers[1].name, "X-Empty") && same(job->headers[1].value, ""));
    CHECK_EQUAL(job->result_ttl_ns, 7 * 86400 * WEFT_SEC);
    CHECK_EQUAL(job->after_count, 1);
    CHECK(!job->after[0].name && job->after[0].id.bytes[0] == 1);
    CHECK_EQUAL(job->after_policy, WEFT_JOB_AFTER_ANY);
    weft_job_requests_deinit(&requests);
}

TEST(a_payload_is_kept_as_it_was_written)
{
    static const char *const payloads[] = {
        "null",
        "true",
        "0",
        "\"\"",
        "[]",
        "{}",
        "123456789012345678901234567890",
        "1.10",
        "-0.0e+5",
        "\"\\u0000\\ud83d\\ude00 \\/ \xc3\xa4\"",
        "{ \"task\" : \"inner\",\n\t\"payload\" : [ {\"payload\": \"}]\"} , 2 ] }",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "{\"x\":1}{\"task\":\"t\", \"payload\" :\n %s \t, \"queue\":\"q\"}",
                       payloads[i]);
        struct weft_job_requests requests = good(text + 7);
        CHECK(same(requests.items[0].payload, payloads[i]));
        CHECK(same(requests.items[0].queue, "q"));
        weft_job_requests_deinit(&requests);
        (void)snprintf(text, sizeof text, "{\"\\u0070ayload\":%s,\"task\":\"t\"}", payloads[i]);
        requests = good(text);
        CHECK(same(requests.items[0].payload, payloads[i]));
        weft_job_requests_deinit(&requests);
    }
}

TEST(bytes_come_as_base64)
{
    struct weft_job_requests requests = good(
        "{\"task\":\"t\",\"payload_base64\":\"AAH+/w==\",\"content_type\":\"image/png; a=b\"}");
    const struct weft_job_request *job = &requests.items[0];
    CHECK_EQUAL(job->payload_kind, WEFT_JOB_PAYLOAD_BYTES);
    CHECK_EQUAL(job->payload_len, 4);
    CHECK(memcmp(job->payload, "\0\1\xfe\xff", 5) == 0);
    CHECK(same(job->content_type, "image/png; a=b"));
    weft_job_requests_deinit(&requests);
    requests = good("{\"task\":\"t\",\"payload_base64\":\"\"}");
    CHECK_EQUAL(requests.items[0].payload_kind, WEFT_JOB_PAYLOAD_BYTES);
    CHECK_EQUAL(requests.items[0].payload_len, 0);
    CHECK(requests.items[0].payload != NULL);
    weft_job_requests_deinit(&requests);
}

/* ---- what is wrong with a job ----------------------------------------------------------- */

TEST(unknown_members_are_refused_by_name)
{
    refused("{\"taks\":\"t\"}", 422, "unknown member \"taks\"; did you mean \"task\"?");
    member_refused("\"Queue\":\"q\"", "unknown member \"Queue\"; did you mean \"queue\"?");
    member_refused("\"maxattempts\":3",
                   "unknown member \"maxattempts\"; did you mean \"max_attempts\"?");
    member_refused("\"zzzzzzzzzz\":3", "unknown member \"zzzzzzzzzz\"");
    member_refused("\"\":3", "unknown member \"\"");
    member_refused("\"backoff\":{\"kid\":1}",
                   "unknown member \"backoff.kid\"; did you mean \"kind\"?");
    member_refused("\"unique\":{\"key\":\"k\",\"state\":[]}",
                   "unknown member \"unique.state\"; did you mean \"states\"?");
    /* However long, and whatever it is made of: a few words of it, in UTF-8. */
    char text[2000] = "{\"task\":\"t\",\"";
    for (int i = 0; i < 300; i++)
        (void)strcat(text, "\xc3\xa4\\n");
    (void)strcat(text, "\":1}");
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    CHECK_EQUAL(parse(WEFT_JOB_BODY_JSON, text, &requests, &refusal), -EINVAL);
    CHECK(strlen(refusal.detail) < 100);
    CHECK(strstr(refusal.detail, "\xc3\xa4\n\xc3\xa4\n...\"") != NULL);
}

TEST(every_member_has_its_own_complaint)
{
    static const char *const words[] = {"task", "queue", "name", "group"};
    static const char *const bad_words[] = {
        "null",
        "1",
        "\"\"",
        "\"a b\"",
        "\"a/b\"",
        "\"\xc3\xa4\"",
        "\"a\\u0000\"",
        "[\"a\"]",
        ("\"0123456789012345678901234567890123456789012345678901234567890123"
         "01234567890123456789012345678901234567890123456789012345678901234\"")};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < sizeof bad_words / sizeof bad_words[0]; j++) {
            char text[400], detail[200];
            (void)snprintf(text, sizeof text, "{\"%s\":%s%s}", words[i], bad_words[j],
                           i ? ",\"task\":\"t\"" : "");
            (void)snprintf(detail, sizeof detail,
                           "\"%s\" must be a string of 1 to 128 characters A-Z a-z 0-9 _ . : -",
                           words[i]);
            refused(text, 422, detail);
        }
    }
    refused("{}", 422, "\"task\" is missing");
    refused("{\"queue\":\"q\"}", 422, "\"task\" is missing");
    static const char *const priorities[] = {"-1", "10", "1.5", "\"1\"", "null", "true", "1e300"};
    for (size_t i = 0; i < sizeof priorities / sizeof priorities[0]; i++) {
        char member[64];
        (void)snprintf(member, sizeof member, "\"priority\":%s", priorities[i]);
        member_refused(member,
                       "\"priority\" must be a whole number from 0, which goes first, to 9");
    }
    member_refused("\"max_attempts\":0", "\"max_attempts\" must be a whole number from 1 to 1000");
    member_refused("\"max_attempts\":1001",
                   "\"max_attempts\" must be a whole number from 1 to 1000");
    member_refused("\"limit_key\":\"a\\nb\"",
                   "\"limit_key\" must be a string of 1 to 255 bytes without control characters");
    member_refused("\"name\":\"" ID "\"", "\"name\" must not look like the id of a job");
    member_refused("\"after_policy\":\"success\"",
                   "\"after_policy\" means nothing without \"after\"");
    member_refused("\"after\":[],\"after_policy\":\"all\"",
                   "\"after_policy\" must be \"success\" or \"any\"");
    member_refused("\"after\":\"a\"", "\"after\" must be a list of names and ids of jobs");
    member_refused("\"after\":[1]", "\"after\" must be a list of names and ids of jobs");
}

TEST(payloads_are_refused_for_what_they_are)
{
    member_refused("\"payload\":1,\"payload_base64\":\"\"",
                   "\"payload\" and \"payload_base64\" exclude each other");
    member_refused("\"payload_base64\":\"AAH+/w\"",
                   "\"payload_base64\" is not base64 with its padding");
    member_refused("\"payload_base64\":{}", "\"payload_base64\" must be a string");
    member_refused("\"content_type\":\"text/plain\"",
                   "\"content_type\" means nothing without \"payload_base64\"");
    member_refused("\"content_type\":\"text/plain\",\"payload\":1",
                   "\"content_type\" means nothing without \"payload_base64\"");
    static const char *const types[] = {"1",      "\"\"",       "\"text\"",      "\"/a\"",
                                        "\"a/\"", "\"a/b\\n\"", "\"a/\xc3\xa4\""};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char member[64];
        (void)snprintf(member, sizeof member, "\"payload_base64\":\"\",\"content_type\":%s",
                       types[i]);
        member_refused(member, "\"content_type\" must be a media type like \"image/png\"");
    }
}

TEST(a_payload_has_its_limit)
{
    for (int base64 = 0; base64 < 2; base64++) {
        for (size_t extra = 0; extra < 2; extra++) {
            /* A string of JSON has two quotes; base64 takes four characters for three bytes. */
            size_t bytes = WEFT_JOB_PAYLOAD_MAX + extra;
            struct weft_buffer text;
            struct weft_job_requests requests;
            struct weft_refusal refusal;
            weft_buffer_init(&text, (size_t)4 << 20);
            weft_buffer_append_format(&text, "{\"task\":\"t\",\"%s\":\"",
                                      base64 ? "payload_base64" : "payload");
            for (size_t i = 0; i < (base64 ? bytes / 3 * 4 : bytes - 2); i++)
                weft_buffer_append_char(&text, 'A');
            if (base64)
                weft_buffer_append_string(&text, bytes % 3 == 1 ? "AA==" : "AAA=");
            weft_buffer_append_string(&text, "\"}");
            int err = parse_bytes(WEFT_JOB_BODY_JSON, text.data, text.len, &requests, &refusal);
            CHECK_EQUAL(err, extra ? -EINVAL : 0);
            if (err) {
                CHECK_EQUAL(refusal.status, 413);
                CHECK(strstr(refusal.detail, "has more than 1048576 bytes") != NULL);
            } else {
                CHECK_EQUAL(requests.items[0].payload_len, bytes);
                weft_job_requests_deinit(&requests);
            }
            weft_buffer_deinit(&text);
        }
    }
}

TEST(lengths_are_seconds_or_text)
{
    static const struct {
        const char *text;
        int64_t ns;
    } right[] = {{"1", WEFT_SEC},
                 {"0.25", 250 * WEFT_MSEC},
                 {"1e-6", WEFT_USEC},
                 {"3155760000", 3155760000 * WEFT_SEC},
                 {"\"90s\"", 90 * WEFT_SEC},
                 {"\"1m30s\"", 90 * WEFT_SEC},
                 {"\"36525d\"", 3155760000 * WEFT_SEC}};
    static const char *const members[] = {"timeout", "soft_timeout", "expires_in", "result_ttl",
                                          "delay"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        char member[100], detail[100];
        for (size_t j = 0; j < sizeof right / sizeof right[0]; j++) {
            char text[200];
            (void)snprintf(text, sizeof text, "{\"task\":\"t\",\"%s\":%s}", members[i],
                           right[j].text);
            struct weft_job_requests requests = good(text);
            const struct weft_job_request *job = &requests.items[0];
            const int64_t values[] = {job->timeout_ns, job->soft_timeout_ns, job->expires_in_ns,
                                      job->result_ttl_ns, job->delay_ns};
            for (size_t k = 0; k < 5; k++)
                CHECK_EQUAL(values[k], k == i ? right[j].ns : 0);
            weft_job_requests_deinit(&requests);
        }
        static const char *const wrong[] = {"null",    "\"\"",          "\"1\"",
                                            "\"1 m\"", "\"1s\\u0000\"", "[1]"};
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            (void)snprintf(member, sizeof member, "\"%s\":%s", members[i], wrong[j]);
            (void)snprintf(detail, sizeof detail,
                           "\"%s\" must be a number of seconds, or a text like \"1m30s\"",
                           members[i]);
            member_refused(member, detail);
        }
        static const char *const long_ones[] = {"3155760001", "1e300", "\"36526d\""};
        for (size_t j = 0; j < sizeof long_ones / sizeof long_ones[0]; j++) {
            (void)snprintf(member, sizeof member, "\"%s\":%s", members[i], long_ones[j]);
            (void)snprintf(detail, sizeof detail, "\"%s\" must be at most 100 years", members[i]);
            member_refused(member, detail);
        }
        (void)snprintf(member, sizeof member, "\"%s\":-1e300", members[i]);
        (void)snprintf(detail, sizeof detail, "\"%s\" must not be less than 0", members[i]);
        member_refused(member, detail);
        (void)snprintf(member, sizeof member, "\"%s\":0", members[i]);
        (void)snprintf(detail, sizeof detail, "\"%s\" must be more than 0", members[i]);
        if (i < 4)
            member_refused(member, detail);
        (void)snprintf(member, sizeof member, "\"%s\":\"999ns\"", members[i]);
        (void)snprintf(detail, sizeof detail, "\"%s\" must be at least a microsecond", members[i]);
        if (i < 4)
            member_refused(member, detail);
    }
    struct weft_job_requests requests = good("{\"task\":\"t\",\"delay\":0}");
    weft_job_requests_deinit(&requests);
    requests = good("{\"task\":\"t\",\"delay\":\"0\"}");
    weft_job_requests_deinit(&requests);
    member_refused("\"timeout\":1,\"soft_timeout\":2",
                   "\"soft_timeout\" is longer than \"timeout\"");
    requests = good("{\"task\":\"t\",\"timeout\":2,\"soft_timeout\":2}");
    weft_job_requests_deinit(&requests);
}

TEST(times_need_their_zone)
{
    static const char *const members[] = {"run_at", "expires_at"};
    static const char *const wrong[] = {"0",
                                        "null",
                                        "\"tomorrow\"",
                                        "\"2030-01-31T08:00:00\"",
                                        "\"2030-02-30T08:00:00Z\"",
                                        "\"2030-01-31T08:00:00Z\\u0000\""};
    for (size_t i = 0; i < 2; i++) {
        char member[100], detail[200];
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            (void)snprintf(member, sizeof member, "\"%s\":%s", members[i], wrong[j]);
            (void)snprintf(detail, sizeof detail,
                           "\"%s\" must be a time with its zone, like \"2030-01-31T08:00:00Z\" or "
                           "\"2030-01-31T09:00:00+01:00\"",
                           members[i]);
            member_refused(member, detail);
        }
        (void)snprintf(member, sizeof member, "\"%s\":\"1970-01-01T00:00:00Z\"", members[i]);
        (void)snprintf(detail, sizeof detail, "\"%s\" must be after 1970", members[i]);
        member_refused(member, detail);
    }
    member_refused("\"run_at\":\"2030-01-31T08:00:00Z\",\"delay\":1",
                   "\"delay\" and \"run_at\" exclude each other");
    member_refused("\"expires_in\":5,\"delay\":5", "\"expires_in\" is over before \"delay\" is");
    member_refused("\"delay\":\"1h\",\"expires_in\":\"59m\"",
                   "\"expires_in\" is over before \"delay\" is");
    member_refused(
        "\"run_at\":\"2030-01-31T09:00:00+01:00\",\"expires_at\":\"2030-01-31T08:00:00Z\"",
        "\"expires_at\" is not after \"run_at\"");
    member_refused("\"expires_in\":5,\"expires_at\":\"2030-01-31T08:00:00Z\"",
                   "\"expires_at\" and \"expires_in\" exclude each other");
}

TEST(objects_inside_a_job_are_checked_as_well)
{
    member_refused("\"backoff\":1", "\"backoff\" must be an object");
    member_refused("\"backoff\":{\"kind\":\"fast\"}",
                   "\"backoff.kind\" must be \"exponential\", \"linear\" or \"constant\"");
    member_refused("\"backoff\":{\"jitter\":1}",
                   "\"backoff.jitter\" must be \"full\", \"equal\" or \"none\"");
    member_refused("\"backoff\":{\"base\":0}", "\"backoff.base\" must be more than 0");
    member_refused("\"backoff\":{\"base\":10,\"cap\":9}",
                   "\"backoff.cap\" is less than \"backoff.base\"");
    member_refused("\"unique\":\"k\"", "\"unique\" must be an object");
    member_refused("\"unique\":{\"window\":1}", "\"unique.key\" is missing");
    member_refused("\"unique\":{\"key\":\"\"}",
                   "\"unique.key\" must be a string of 1 to 255 bytes without control characters");
    member_refused("\"unique\":{\"key\":\"k\",\"states\":[]}",
                   "\"unique.states\" must be a list of states");
    static const char *const states[] = {"[\"sleeping\"]", "[\"none\"]", "[1]",
                                         "[\"running\\u0000\"]", "[\"running\",\"\"]"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        char member[100];
        (void)snprintf(member, sizeof member, "\"unique\":{\"key\":\"k\",\"states\":%s}",
                       states[i]);
        member_refused(member, "\"unique.states\" must be a list of states: scheduled, available, "
                               "running, retryable, completed, cancelled, dead, blocked");
    }
    struct weft_job_requests requests =
        good("{\"task\":\"t\",\"backoff\":{},\"headers\":{},\"after\":[]}");
    CHECK_EQUAL(requests.items[0].backoff, WEFT_BACKOFF_EXPONENTIAL);
    CHECK_EQUAL(requests.items[0].headers_count, 0);
    weft_job_requests_deinit(&requests);
}

TEST(headers_are_strings_with_names_and_a_limit)
{
    member_refused("\"headers\":[]", "\"headers\" must be an object of strings");
    member_refused("\"headers\":{\"a b\":\"\"}", "\"headers\" has a name that is none: \"a b\"");
    member_refused("\"headers\":{\"\":\"\"}", "\"headers\" has a name that is none: \"\"");
    member_refused("\"headers\":{\"a\":1}",
                   "\"headers.a\" must be a string without control characters");
    member_refused("\"headers\":{\"a\":\"\\r\\n\"}",
                   "\"headers.a\" must be a string without control characters");
    for (size_t extra = 0; extra < 2; extra++) {
        struct weft_buffer text;
        struct weft_job_requests requests;
        struct weft_refusal refusal;
        weft_buffer_init(&text, 10000);
        weft_buffer_append_string(&text, "{\"task\":\"t\",\"headers\":{\"abc\":\"");
        for (size_t i = strlen("{'abc':'\\\\','x':''}"); i < WEFT_JOB_HEADERS_MAX + extra; i++)
            weft_buffer_append_char(&text, 'v');
        weft_buffer_append_string(&text, "\\\"\",\"x\":\"\"}}"); /* as JSON it counts */
        CHECK_EQUAL(parse_bytes(WEFT_JOB_BODY_JSON, text.data, text.len, &requests, &refusal),
                    extra ? -EINVAL : 0);
        if (extra)
            CHECK(same(refusal.detail, "\"headers\" has more than 4096 bytes"));
        else
            weft_job_requests_deinit(&requests);
        weft_buffer_deinit(&text);
    }
}

/* ---- what is no JSON, or not such ------------------------------------------------------- */

TEST(what_is_not_json_is_told_with_its_place)
{
    refused("", 400, "the body is empty");
    refused(" \n\t ", 400, "the body is empty");
    refused("{\"task\":\"t\",}", 400,
            "the body is not JSON at line 1, column 13: a member, \",\" or \"}\" is expected");
    refused("\n {\n \"task\" \"t\"}", 400,
            "the body is not JSON at line 3, column 9: a member, \",\" or \"}\" is expected");
    refused("{\"task\":\"t\"} x", 400,
            "the body is not JSON at line 1, column 14: something follows the object");
    refused("{\"task\":\"t\",\"task\":\"t\"}", 400, "the member \"task\" is there twice");
    refused("{\"task\":\"t\",\"payload\":{\"a\":{\"b\":1,\"b\":2}}}", 400,
            "the body is not JSON at line 1, column 37: duplicate object key near '\"b\"'");
    refused("{\"task\":\"\xff\"}", 400,
            "the body is not JSON at line 1, column 9: unable to decode byte 0xff near '\"'");
    refused("{\"task\":\"t\",\"payload\":1e999}", 400,
            "cannot be read: real number overflow near '1e999'");
    refused("7", 422, "a job must be a JSON object");
    refused("\"task\"", 422, "a job must be a JSON object");
    refused("{\"task\":\"t\",\"payload\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]"
            "]]]]]]}",
            400, "brackets are nested more than 32 deep");
}

/* The library takes a NUL behind a number for none at all; what is stored would be no JSON. */
TEST(a_nul_between_values_is_not_json)
{
    static const char body[] = "{\"task\":\"t\",\n\"payload\":{\"percent\":50\0}}";
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    for (int kind = 0; kind < 2; kind++) {
        char line[sizeof body];
        memcpy(line, body, sizeof body);
        if (kind == WEFT_JOB_BODY_LINES)
            *strchr(line, '\n') = ' ';
        CHECK_EQUAL(
            parse_bytes((enum weft_job_body)kind, line, sizeof line - 1, &requests, &refusal),
            -EINVAL);
        CHECK_EQUAL(refusal.status, 400);
        CHECK(same(refusal.detail,
                   kind == WEFT_JOB_BODY_LINES
                       ? "the body is not JSON at line 1, column 37: a NUL character"
                       : "the body is not JSON at line 2, column 24: a NUL character"));
    }
}

/* ---- many jobs -------------------------------------------------------------------------- */

TEST(an_array_is_as_many_jobs)
{
    struct weft_job_requests requests = good(" [ {\"task\":\"a\",\"payload\":[1,{\"b\":\"],[\"}]} "
                                             ",\n{\"task\":\"b\"},{\"task\":\"c\"}]\n");
    CHECK_EQUAL(requests.count, 3);
    CHECK(!requests.single);
    CHECK(same(requests.items[0].task, "a") && same(requests.items[2].task, "c"));
    CHECK(same(requests.items[0].payload, "[1,{\"b\":\"],[\"}]"));
    CHECK_EQUAL(requests.items[2].place, 3);
    weft_job_requests_deinit(&requests);
    requests = good("[{\"task\":\"a\"}]");
    CHECK(!requests.single);
    weft_job_requests_deinit(&requests);
}

TEST(in_an_array_errors_name_the_job)
{
    refused("[]", 422, "there is no job in the array");
    refused(" [ \n ] ", 422, "there is no job in the array");
    refused("[{\"task\":\"a\"},{\"task\":1}]", 422,
            "job 2: \"task\" must be a string of 1 to 128 characters A-Z a-z 0-9 _ . : -");
    refused("[{\"task\":\"a\"},7]", 422, "job 2: a job must be a JSON object");
    refused("[[{\"task\":\"a\"}]]", 422, "job 1: a job must be a JSON object");
    refused("[{\"task\":\"a\",\"timeout\":0}]", 422, "job 1: \"timeout\" must be more than 0");
    refused("[{\"task\":\"a\"},\n {\"task\":}]", 400,
            "the body is not JSON at line 2, column 10: a member, \",\" or \"}\" is expected");
    refused("[{\"task\":\"a\"]", 400,
            "the body is not JSON at line 1, column 14: the array has no end");
    refused("[{\"task\":\"a\"},]", 400,
            "the body is not JSON at line 1, column 15: a job, \",\" or \"]\" is expected");
    refused("[,{\"task\":\"a\"}]", 400,
            "the body is not JSON at line 1, column 2: a job, \",\" or \"]\" is expected");
    refused("[{\"task\":\"a\"} {\"task\":\"b\"}]", 400,
            "the body is not JSON at line 1, column 15: something follows the object");
    refused("[{\"task\":\"a\"}}", 400,
            "the body is not JSON at line 1, column 14: a job, \",\" or \"]\" is expected");
    refused("[{\"task\":\"a\"}", 400,
            "the body is not JSON at line 1, column 14: the array has no end");
    refused("[{\"task\":\"a}]", 400,
            "the body is not JSON at line 1, column 14: the array has no end");
    refused("[", 400, "the body is not JSON at line 1, column 2: the array has no end");
    refused("[{\"task\":\"a\"}] x", 400,
            "the body is not JSON at line 1, column 16: something follows the array");
}

TEST(lines_are_as_many_jobs)
{
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    static const char *const texts[] = {
        "{\"task\":\"a\"}\n{\"task\":\"b\"}\n\n \t\r\n{\"task\":\"c\"}",
        "{\"task\":\"a\"}\r\n{\"task\":\"b\"}\r\n\r\n\n  {\"task\":\"c\"}  \r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        REQUIRE(parse(WEFT_JOB_BODY_LINES, texts[i], &requests, &refusal) == 0);
        CHECK_EQUAL(requests.count, 3);
        CHECK(!requests.single);
        CHECK(same(requests.items[0].task, "a") && same(requests.items[2].task, "c"));
        CHECK_EQUAL(requests.items[0].place, 1);
        CHECK_EQUAL(requests.items[2].place, 5);
        weft_job_requests_deinit(&requests);
    }
    refused_as(WEFT_JOB_BODY_LINES, "", 400, "the body is empty");
    refused_as(WEFT_JOB_BODY_LINES, "\n\n", 400, "the body is empty");
    refused_as(WEFT_JOB_BODY_LINES, "{\"task\":\"a\"}\n\n{\"taks\":\"b\"}\n", 422,
               "line 3: unknown member \"taks\"; did you mean \"task\"?");
    refused_as(WEFT_JOB_BODY_LINES, "{\"task\":\"a\"}\n[{\"task\":\"b\"}]", 422,
               "line 2: a job must be a JSON object");
    refused_as(WEFT_JOB_BODY_LINES, "{\"task\":\"a\"}\n{\"task\":\n\"b\"}", 400,
               "the body is not JSON at line 2, column 9: the object has no end");
    refused_as(WEFT_JOB_BODY_LINES, "{\"task\":\"a\"}{\"task\":\"b\"}", 400,
               "the body is not JSON at line 1, column 13: something follows the object");
}

TEST(there_is_an_end_to_how_many)
{
    for (int lines = 0; lines < 2; lines++) {
        for (size_t extra = 0; extra < 2; extra++) {
            struct weft_buffer text;
            struct weft_job_requests requests;
            struct weft_refusal refusal;
            weft_buffer_init(&text, (size_t)4 << 20);
            for (size_t i = 0; i < WEFT_JOB_REQUESTS_MAX + extra; i++)
                weft_buffer_append_format(&text, "%s{\"task\":\"t%zu\"}",
                                          lines ? "\n"
                                          : i   ? ","
                                                : "[",
                                          i);
            weft_buffer_append_string(&text, lines ? "\n" : "]");
            int err = parse_bytes(lines ? WEFT_JOB_BODY_LINES : WEFT_JOB_BODY_JSON, text.data,
                                  text.len, &requests, &refusal);
            CHECK_EQUAL(err, extra ? -EINVAL : 0);
            if (err) {
                CHECK_EQUAL(refusal.status, 413);
                CHECK(same(refusal.detail, "more than 10000 jobs in one request"));
            } else {
                CHECK_EQUAL(requests.count, WEFT_JOB_REQUESTS_MAX);
                CHECK(same(requests.items[9999].task, "t9999"));
                weft_job_requests_deinit(&requests);
            }
            weft_buffer_deinit(&text);
        }
    }
}

/* ---- jobs that wait for others ---------------------------------------------------------- */

TEST(jobs_of_one_body_wait_for_each_other_by_name)
{
    struct weft_job_requests requests =
        good("[{\"task\":\"t\",\"after\":[\"c\",\"" ID_2 "\",\"b\",\"" ID "\",\"c\",\"" ID "\"]},"
             "{\"task\":\"t\",\"name\":\"b\",\"after\":[\"c\"]},{\"task\":\"t\",\"name\":\"c\"}]");
    const struct weft_job_request *job = &requests.items[0];
    CHECK_EQUAL(job->after_count, 4); /* each once, as they came */
    CHECK(same(job->after[0].name, "c") && job->after[0].index == 2);
    CHECK(!job->after[1].name && job->after[1].id.bytes[15] == 0xac);
    CHECK(same(job->after[2].name, "b") && job->after[2].index == 1);
    CHECK(!job->after[3].name && job->after[3].id.bytes[15] == 0xab);
    CHECK_EQUAL(requests.items[1].after_count, 1);
    CHECK_EQUAL(requests.items[1].after[0].index, 2);
    REQUIRE(requests.order); /* what is waited for first */
    CHECK(requests.order[0] == 2 && requests.order[1] == 1 && requests.order[2] == 0);
    CHECK_EQUAL(job->after_policy, WEFT_JOB_AFTER_SUCCESS);
    weft_job_requests_deinit(&requests);
}

TEST(waiting_for_nobody_or_in_a_circle_is_refused)
{
    refused("[{\"task\":\"t\",\"name\":\"a\"},{\"task\":\"t\",\"after\":[\"b\"]}]", 422,
            "job 2: \"after\" names \"b\", which is no job of this request and no id");
    refused("{\"task\":\"t\",\"after\":[\"b\"]}", 422,
            "\"after\" names \"b\", which is no job of this request and no id");
    refused("{\"task\":\"t\",\"name\":\"a\",\"after\":[\"a\"]}", 422,
            "\"after\" names the job itself");
    refused("[{\"task\":\"t\",\"name\":\"a\"},{\"task\":\"t\"},{\"task\":\"t\",\"name\":\"a\"}]",
            422, "job 3: the name \"a\" is taken by job 1");
    refused_as(WEFT_JOB_BODY_LINES,
               "\n{\"task\":\"t\",\"name\":\"a\"}\n\n{\"task\":\"t\",\"name\":\"a\"}", 422,
               "line 4: the name \"a\" is taken by line 2");
    refused("[{\"task\":\"t\",\"name\":\"a\",\"after\":[\"b\"]},{\"task\":\"t\",\"name\":\"b\","
            "\"after\":[\"a\"]}]",
            422, "job 2: \"after\" goes in a circle: it names \"a\", which waits for \"b\"");
    refused("[{\"task\":\"t\",\"after\":[\"b\"]},{\"task\":\"t\",\"name\":\"b\",\"after\":[\"c\"]},"
            "{\"task\":\"t\",\"name\":\"c\",\"after\":[\"d\"]},"
            "{\"task\":\"t\",\"name\":\"d\",\"after\":[\"b\"]}]",
            422, "job 4: \"after\" goes in a circle: it names \"b\", which waits for \"d\"");
}

TEST(long_ways_and_wide_ones_are_no_circles)
{
    struct weft_buffer text;
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    weft_buffer_init(&text, (size_t)16 << 20);
    /* A chain through all, from the last to the first; and the last but one waits for many. */
    for (unsigned i = 0; i < WEFT_JOB_REQUESTS_MAX; i++) {
        weft_buffer_append_format(&text, "%s{\"task\":\"t\",\"name\":\"n%u\",\"after\":[",
                                  i ? "," : "[", i);
        if (i > 0)
            weft_buffer_append_format(&text, "\"n%u\"", i - 1);
        for (unsigned j = 0; i == WEFT_JOB_REQUESTS_MAX - 2 && j < WEFT_JOB_AFTER_MAX - 1; j++)
            weft_buffer_append_format(&text, ",\"n%u\"", j);
        weft_buffer_append_string(&text, "]}");
    }
    weft_buffer_append_char(&text, ']');
    CHECK_EQUAL(parse_bytes(WEFT_JOB_BODY_JSON, text.data, text.len, &requests, &refusal), 0);
    CHECK_EQUAL(requests.items[WEFT_JOB_REQUESTS_MAX - 1].after[0].index,
                WEFT_JOB_REQUESTS_MAX - 2);
    CHECK_EQUAL(requests.items[WEFT_JOB_REQUESTS_MAX - 2].after_count, WEFT_JOB_AFTER_MAX);
    CHECK(!requests.order); /* they are in order */
    weft_job_requests_deinit(&requests);
    /* The same chain the other way round. */
    weft_buffer_clear(&text);
    for (unsigned i = 0; i < WEFT_JOB_REQUESTS_MAX; i++)
        weft_buffer_append_format(&text, "%s{\"task\":\"t\",\"name\":\"n%u\",\"after\":[\"n%u\"]}",
                                  i ? "," : "[", i, i + 1);
    text.len -= strlen("\"n10000\"]}");
    weft_buffer_append_string(&text, "]}]");
    CHECK_EQUAL(parse_bytes(WEFT_JOB_BODY_JSON, text.data, text.len, &requests, &refusal), 0);
    REQUIRE(requests.order);
    for (unsigned i = 0; i < WEFT_JOB_REQUESTS_MAX; i++)
        CHECK_EQUAL(requests.order[i], WEFT_JOB_REQUESTS_MAX - 1 - i);
    weft_job_requests_deinit(&requests);
    weft_buffer_deinit(&text);
}

TEST(there_is_an_end_to_how_many_are_waited_for)
{
    struct weft_buffer text;
    struct weft_job_requests requests;
    struct weft_refusal refusal;
    weft_buffer_init(&text, (size_t)16 << 20);
    for (unsigned extra = 0; extra < 2; extra++) {
        weft_buffer_clear(&text);
        weft_buffer_append_string(&text, "[{\"task\":\"t\",\"name\":\"a\"},"
                                         "{\"task\":\"t\",\"after\":[\"a\"");
        for (unsigned j = 1; j < WEFT_JOB_AFTER_MAX + extra; j++)
            weft_buffer_append_string(&text, ",\"a\"");
        weft_buffer_append_string(&text, "]}]");
        CHECK_EQUAL(parse_bytes(WEFT_JOB_BODY_JSON, text.data, text.len, &requests, &refusal),
                    extra ? -EINVAL : 0);
        if (extra)
            CHECK(same(refusal.detail, "job 2: \"after\" has more than 1000 entries"));
        else
            weft_job_requests_deinit(&requests);
    }
    weft_buffer_clear(&text);
    weft_buffer_append_string(&text, "[{\"task\":\"t\",\"name\":\"a\"}");
    for (unsigned i = 0; i <= WEFT_JOB_REQUEST_AFTER_MAX / WEFT_JOB_AFTER_MAX; i++) {
        weft_buffer_append_string(&text, ",{\"task\":\"t\",\"after\":[\"a\"");
        for (unsigned j = 1; j < WEFT_JOB_AFTER_MAX; j++)
            weft_buffer_append_string(&text, ",\"a\"");
        weft_buffer_append_string(&text, "]}");
    }
    weft_buffer_append_char(&text, ']');
    CHECK_EQUAL(parse_bytes(WEFT_JOB_BODY_JSON, text.data, text.len, &requests, &refusal), -EINVAL);
    CHECK_EQUAL(refusal.status, 413);
    CHECK(same(refusal.detail, "job 102: more than 100000 entries of \"after\" in one request"));
    weft_buffer_deinit(&text);
}

TEST(what_would_be_a_large_tree_is_not_parsed)
{
    static const struct {
        const char *member, *detail;
    } cases[] = {
        {"payload", "\"payload\" has more than 1048576 bytes"},
        {"after", "\"after\" has more than 136000 bytes"},
        {"headers", "\"headers\" has more than 65536 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weft_buffer text;
        struct weft_job_requests requests;
        struct weft_refusal refusal;
        weft_buffer_init(&text, (size_t)16 << 20);
        weft_buffer_append_format(&text, "{\"task\":\"t\",\"%s\":[", cases[i].member);
        for (unsigned j = 0; j < 1 << 19; j++)
            weft_buffer_append_string(&text, "[],");
        weft_buffer_append_string(&text, "0]}");
        CHECK_EQUAL(parse_bytes(WEFT_JOB_BODY_JSON, text.data, text.len, &requests, &refusal),
                    -EINVAL);
        CHECK_EQUAL(refusal.status, 413);
        CHECK(same(refusal.detail, cases[i].detail));
        weft_buffer_deinit(&text);
    }
}

/* ---- where it runs ---------------------------------------------------------------------- */

FIBER_TEST(the_deepest_job_fits_the_stack_of_a_fiber)
{
    struct weft_buffer text;
    weft_buffer_init(&text, 1000);
    weft_buffer_append_string(&text, "[{\"task\":\"t\",\"payload\":");
    for (unsigned i = 1; i < WEFT_JOB_DEPTH_MAX; i++)
        weft_buffer_append_string(&text, i % 2 ? "[" : "{\"a\":");
    for (unsigned i = WEFT_JOB_DEPTH_MAX - 1; i > 0; i--)
        weft_buffer_append_char(&text, i % 2 ? ']' : '}');
    weft_buffer_append(&text, "}]", 3);
    struct weft_job_requests requests = good(text.data);
    CHECK_EQUAL(requests.items[0].payload_len, 16 + 15 * 5 + 31);
    weft_job_requests_deinit(&requests);
    weft_buffer_deinit(&text);
}
