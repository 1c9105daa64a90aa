/* SPDX-License-Identifier: MIT
 * attempt.c - what a handler can read of its job, and leave behind, without an engine. */
#include "test.h"

#include <job/attempt.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char said[2048];
static char told[WEFT_JOB_PROGRESS_MAX + 1];
static bool to_end;

static void host_log(struct weft_attempt *attempt, enum weft_log_level level, const char *text)
{
    (void)attempt;
    (void)snprintf(said, sizeof said, "%d %s", level, text);
}

static int host_progress(struct weft_attempt *attempt, char *json)
{
    (void)attempt;
    (void)snprintf(told, sizeof told, "%s", json);
    free(json);
    return 0;
}

static bool host_is_cancelled(const struct weft_attempt *attempt)
{
    (void)attempt;
    return to_end;
}

static const struct weft_attempt_host host = {host_log, host_progress, host_is_cancelled};

static struct weft_job job;

static struct weft_attempt begin(const char *payload)
{
    job = (struct weft_job){
        .id = {{0x01, 0x92, 0xab, 0xcd, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}},
        .task = "work",
        .queue = "mail",
        .attempt = 2,
        .attempts_max = 5,
        .payload = {payload, payload ? strlen(payload) : 0, true},
    };
    struct weft_attempt attempt;
    weft_attempt_init(&attempt, &job, &host);
    return attempt;
}

TEST(a_handler_reads_what_its_job_is)
{
    struct weft_attempt attempt = begin("{\"a\":1}");
    size_t len = 0;
    CHECK(strcmp(weft_attempt_id(&attempt), "0192abcd-0000-7000-8000-000000000001") == 0);
    CHECK(strcmp(weft_attempt_task(&attempt), "work") == 0);
    CHECK(strcmp(weft_attempt_queue(&attempt), "mail") == 0);
    CHECK_EQUAL(weft_attempt_number(&attempt), 2);
    CHECK_EQUAL(weft_attempt_number_max(&attempt), 5);
    CHECK(strcmp(weft_attempt_payload(&attempt, &len), "{\"a\":1}") == 0);
    CHECK_EQUAL(len, 7);
    to_end = true;
    CHECK(weft_attempt_is_cancelled(&attempt));
    to_end = false;
    CHECK(!weft_attempt_is_cancelled(&attempt));
    weft_attempt_deinit(&attempt);
    attempt = begin(NULL);
    CHECK(strcmp(weft_attempt_payload(&attempt, &len), "") == 0);
    CHECK_EQUAL(len, 0);
    CHECK_EQUAL(weft_attempt_inputs(&attempt), 0);
    weft_attempt_deinit(&attempt);
}

static const char payload[] =
    "{\"user\":{\"name\":\"Ada\",\"admin\":true,\"off\":false,\"none\":null},"
    "\"items\":[{\"id\":10},{\"id\":-20},[1,2,[3]]],\"pi\":3.25,\"whole\":4.0,\"zero\":"
    "\"a\\u0000b\","
    "\"big\":9223372036854775807,\"\":1}";

TEST(members_are_found_by_their_path)
{
    struct weft_attempt attempt = begin(payload);
    const char *text = NULL;
    int64_t number = 0;
    double real = 0;
    int flag = -1;
    size_t count = 0;
    CHECK_EQUAL(weft_attempt_get_string(&attempt, "user.name", &text), 0);
    CHECK(text && strcmp(text, "Ada") == 0);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "items[1].id", &number), 0);
    CHECK_EQUAL(number, -20);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "items[2][2][0]", &number), 0);
    CHECK_EQUAL(number, 3);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "big", &number), 0);
    CHECK_EQUAL(number, INT64_MAX);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "whole", &number), 0);
    CHECK_EQUAL(number, 4);
    CHECK_EQUAL(weft_attempt_get_double(&attempt, "pi", &real), 0);
    CHECK(real > 3.2 && real < 3.3);
    CHECK_EQUAL(weft_attempt_get_double(&attempt, "items[0].id", &real), 0);
    CHECK(real > 9.9 && real < 10.1);
    CHECK_EQUAL(weft_attempt_get_bool(&attempt, "user.admin", &flag), 0);
    CHECK_EQUAL(flag, 1);
    CHECK_EQUAL(weft_attempt_get_bool(&attempt, "user.off", &flag), 0);
    CHECK_EQUAL(flag, 0);
    CHECK_EQUAL(weft_attempt_get_count(&attempt, "items", &count), 0);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(weft_attempt_get_count(&attempt, "user", &count), 0);
    CHECK_EQUAL(count, 4);
    CHECK_EQUAL(weft_attempt_get_count(&attempt, "", &count), 0);
    CHECK_EQUAL(count, 7);
    weft_attempt_deinit(&attempt);
}

TEST(what_is_absent_is_told_from_what_is_something_else)
{
    struct weft_attempt attempt = begin(payload);
    const char *text = "untouched";
    int64_t number = 77;
    int flag = 77;
    static const char *const absent[] = {"nobody", "user.age", "items[3]", "items[0].name",
                                         "items[18446744073709551615]"};
    static const char *const wrong[] = {
        "user",       "items",     "pi",     "user.name.first",
        "items.id",   "user[0]",   "items[", "items[]",
        "items[x]",   "items[1",   ".user",  "user.",
        "user..name", "items[-1]", "zero",   "items[99999999999999999999999]"};
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        int err = weft_attempt_get_string(&attempt, absent[i], &text);
        CHECK(err == -ENOENT || (i == 4 && err == -EINVAL));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQUAL(weft_attempt_get_string(&attempt, wrong[i], &text), -EINVAL);
        if (weft_attempt_get_string(&attempt, wrong[i], &text) != -EINVAL)
            test_note("%s", wrong[i]);
    }
    CHECK(strcmp(text, "untouched") == 0);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "pi", &number), -EINVAL);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "user.name", &number), -EINVAL);
    CHECK_EQUAL(weft_attempt_get_bool(&attempt, "user.none", &flag), -EINVAL);
    CHECK_EQUAL(number, 77);
    CHECK_EQUAL(flag, 77);
    weft_attempt_deinit(&attempt);
}

TEST(numbers_that_are_too_large_do_not_spoil_the_rest)
{
    struct weft_attempt attempt = begin("{\"huge\":123456789012345678901,\"small\":5}");
    int64_t number = 0;
    double real = 0;
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "huge", &number), -ERANGE);
    CHECK_EQUAL(weft_attempt_get_double(&attempt, "huge", &real), 0);
    CHECK(real > 1e20);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "small", &number), 0);
    CHECK_EQUAL(number, 5);
    weft_attempt_deinit(&attempt);
}

TEST(a_payload_that_is_no_object_has_no_members)
{
    static const char *const payloads[] = {"[1]", "\"a\"", "{", "", "nonsense"};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct weft_attempt attempt = begin(payloads[i]);
        int64_t number;
        CHECK_EQUAL(weft_attempt_get_int(&attempt, "a", &number), -EINVAL);
        weft_attempt_deinit(&attempt);
    }
    struct weft_attempt attempt = begin("{\"a\":1}");
    job.payload.json = false;
    int64_t number;
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "a", &number), -EINVAL);
    weft_attempt_deinit(&attempt);
    char deep[4 * 300 + 2] = "";
    for (int i = 0; i < 300; i++)
        memcpy(deep + 4 * (size_t)i, "[[[[", 4);
    attempt = begin(deep);
    CHECK_EQUAL(weft_attempt_get_int(&attempt, "a", &number), -EINVAL);
    weft_attempt_deinit(&attempt);
}

TEST(headers_are_read_by_name)
{
    struct weft_attempt attempt = begin("{}");
    CHECK(!weft_attempt_header(&attempt, "traceparent"));
    job.headers = "{\"traceparent\":\"00-1-2-3\",\"n\":5}";
    CHECK(strcmp(weft_attempt_header(&attempt, "traceparent"), "00-1-2-3") == 0);
    CHECK(!weft_attempt_header(&attempt, "n"));
    CHECK(!weft_attempt_header(&attempt, "other"));
    weft_attempt_deinit(&attempt);
}

TEST(a_result_is_checked_and_the_last_one_counts)
{
    struct weft_attempt attempt = begin("{}");
    CHECK_EQUAL(weft_attempt_result_json(&attempt, "{\"a\":", 5), -EINVAL);
    CHECK(!attempt.desk || !attempt.desk->result);
    CHECK_EQUAL(weft_attempt_result_json(&attempt, "[1]", 3), 0);
    CHECK_EQUAL(weft_attempt_printf_result(&attempt, "{\"n\":%d}", 12), 0);
    CHECK_EQUAL(weft_attempt_printf_result(&attempt, "{\"n\":%s}", "x"), -EINVAL);
    CHECK(strcmp(attempt.desk->result, "{\"n\":12}") == 0);
    CHECK_EQUAL(attempt.desk->result_len, 8);
    CHECK(attempt.desk->result_json);
    CHECK_EQUAL(weft_attempt_result_bytes(&attempt, "\0\xff", 2), 0);
    CHECK_EQUAL(attempt.desk->result_len, 2);
    CHECK(!attempt.desk->result_json);
    CHECK_EQUAL(weft_attempt_result_bytes(&attempt, NULL, 0), 0);
    CHECK_EQUAL(attempt.desk->result_len, 0);
    char *large = calloc(1, WEFT_JOB_RESULT_MAX + 1);
    REQUIRE(large);
    CHECK_EQUAL(weft_attempt_result_bytes(&attempt, large, WEFT_JOB_RESULT_MAX + 1), -EMSGSIZE);
    CHECK_EQUAL(weft_attempt_result_json(&attempt, large, WEFT_JOB_RESULT_MAX + 1), -EMSGSIZE);
    CHECK_EQUAL(weft_attempt_result_bytes(&attempt, large, WEFT_JOB_RESULT_MAX), 0);
    free(large);
    weft_attempt_deinit(&attempt);
}

TEST(what_a_handler_says_is_what_it_returns)
{
    struct weft_attempt attempt = begin("{}");
    CHECK_EQUAL(weft_attempt_fail(&attempt, -EPROTO, "sent %d", 7), -EPROTO);
    CHECK(strcmp(attempt.desk->reason, "sent 7") == 0);
    CHECK_EQUAL(weft_attempt_fail(&attempt, 0, "no code"), -EINVAL);
    CHECK_EQUAL(weft_attempt_discard(&attempt, "%s", "broken"), WEFT_TASK_DISCARD);
    CHECK(strcmp(attempt.desk->reason, "broken") == 0);
    CHECK_EQUAL(weft_attempt_cancel(&attempt, "unwanted"), WEFT_TASK_CANCEL);
    CHECK_EQUAL(weft_attempt_snooze(&attempt, 5), WEFT_TASK_SNOOZE);
    CHECK_EQUAL(attempt.desk->delay_ns, WEFT_MSEC);
    CHECK_EQUAL(weft_attempt_retry_after(&attempt, WEFT_SEC, "later"), -EAGAIN);
    CHECK_EQUAL(attempt.desk->delay_ns, WEFT_SEC);
    char text[3 * WEFT_JOB_ERROR_MAX];
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    text[sizeof text - 1] = '\0';
    text[0] = 'a'; /* so that the cut falls into a letter */
    (void)weft_attempt_fail(&attempt, -EIO, "b%s", text + 2);
    CHECK_EQUAL(strlen(attempt.desk->reason), WEFT_JOB_ERROR_MAX - 1);
    weft_attempt_deinit(&attempt);
}

TEST(texts_are_cut_between_letters)
{
    CHECK_EQUAL(weft_text_cut("abc", 3, 5), 3);
    CHECK_EQUAL(weft_text_cut("abc", 3, 2), 2);
    CHECK_EQUAL(weft_text_cut("\xc3\xa4\xc3\xa4", 4, 3), 2);
    CHECK_EQUAL(weft_text_cut("\xf0\x9f\x98\x80z", 5, 3), 0);
    CHECK_EQUAL(weft_text_cut("\xf0\x9f\x98\x80z", 5, 4), 4);
}

TEST(progress_and_lines_go_to_the_host)
{
    struct weft_attempt attempt = begin("{}");
    CHECK_EQUAL(weft_attempt_progress(&attempt, 0.5, "half \"done\""), 0);
    CHECK(strcmp(told, "{\"fraction\":0.5,\"note\":\"half \\\"done\\\"\"}") == 0);
    CHECK_EQUAL(weft_attempt_progress(&attempt, -0.1, NULL), -EINVAL);
    CHECK_EQUAL(weft_attempt_progress(&attempt, 1.1, NULL), -EINVAL);
    CHECK_EQUAL(weft_attempt_progress(&attempt, 0.0 / (double)(told[0] == 'x'), NULL), -EINVAL);
    char note[5000];
    memset(note, 1, sizeof note - 1);
    note[sizeof note - 1] = '\0';
    CHECK_EQUAL(weft_attempt_progress(&attempt, 1, note), 0);
    CHECK(strlen(told) > 3000 && strlen(told) < WEFT_JOB_PROGRESS_MAX);
    weft_attempt_log(&attempt, WEFT_LOG_WARNING, "%d of %d", 1, 2);
    CHECK(strcmp(said, "2 1 of 2") == 0);
    weft_attempt_log(&attempt, WEFT_LOG_INFO, "%s", note);
    CHECK_EQUAL(strlen(said), 1022 + 2);
    weft_attempt_deinit(&attempt);
}

TEST(further_jobs_are_checked_and_bounded)
{
    struct weft_attempt attempt = begin("{}");
    static const struct weft_attempt_job wrong[] = {
        {0},
        {.task = "a b"},
        {.task = "a", .queue = "a b"},
        {.task = "a", .payload = "{"},
        {.task = "a", .priority = 10, .has_priority = 1},
        {.task = "a", .delay_ns = -1},
        {.task = "a", .attempts_max = WEFT_JOB_ATTEMPTS_MAX + 1},
        {.task = "a", .unique_key = ""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_attempt_enqueue(&attempt, &wrong[i]), -EINVAL);
    struct weft_attempt_job good = {.task = "next", .payload = "[1]zzz", .payload_len = 3};
    CHECK_EQUAL(weft_attempt_enqueue(&attempt, &good), 0);
    const struct weft_job *asked = attempt.desk->follow->job;
    CHECK(strcmp(asked->queue, "mail") == 0);
    CHECK(strcmp(asked->payload.data, "[1]") == 0);
    CHECK_EQUAL(asked->priority, WEFT_PRIORITY_DEFAULT);
    for (unsigned i = 1; i < WEFT_FOLLOW_MAX; i++)
        CHECK_EQUAL(weft_attempt_enqueue(&attempt, &(struct weft_attempt_job){.task = "next"}), 0);
    CHECK_EQUAL(weft_attempt_enqueue(&attempt, &good), -ENOBUFS);
    weft_attempt_deinit(&attempt);

    attempt = begin("{}");
    char *large = malloc(WEFT_JOB_PAYLOAD_MAX + 2);
    REQUIRE(large);
    memset(large, ' ', WEFT_JOB_PAYLOAD_MAX + 1);
    large[0] = '1';
    struct weft_attempt_job heavy = {
        .task = "next", .payload = large, .payload_len = WEFT_JOB_PAYLOAD_MAX + 1};
    CHECK_EQUAL(weft_attempt_enqueue(&attempt, &heavy), -EMSGSIZE);
    heavy.payload_len = WEFT_JOB_PAYLOAD_MAX;
    for (int i = 0; i < 16; i++)
        CHECK_EQUAL(weft_attempt_enqueue(&attempt, &heavy), 0);
    CHECK_EQUAL(weft_attempt_enqueue(&attempt, &heavy), -ENOBUFS);
    free(large);
    weft_attempt_deinit(&attempt);
}
