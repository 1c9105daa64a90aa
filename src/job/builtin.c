/* SPDX-License-Identifier: MIT
 * builtin.c - see builtin.h. What sleeps holds one stack page meanwhile: payloads are read in
 * functions of their own, which are not there during the waits. */
#include <base/json_scan.h>
#include <job/attempt.h>
#include <job/builtin.h>

#include <base/buffer.h>
#include <base/time.h>

#include <weft/runtime.h>

#include <errno.h>

const int64_t weft_process_steps_ns[3] = {2 * WEFT_SEC, WEFT_SEC, WEFT_SEC / 2};

static int noop(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_result_json(attempt, "null", 4);
}

/* ---- sleep ------------------------------------------------------------------------------ */

__attribute__((noinline)) static int read_seconds(struct weft_attempt *attempt,
                                                  int64_t *ret_duration_ns)
{
    double seconds;
    int err = weft_attempt_get_double(attempt, "seconds", &seconds);
    if (err == 0 && seconds < 0)
        err = -EINVAL;
    if (err)
        return weft_attempt_discard(attempt, "the payload has no number \"seconds\" of at least 0");
    *ret_duration_ns = weft_time_from_double(seconds * 1e9);
    return 0;
}

static int sleep_for(struct weft_attempt *attempt, const void *settings)
{
    int64_t duration_ns = 0;
    int err = read_seconds(attempt, &duration_ns);
    if (err == 0 && duration_ns > 0)
        err = weft_sleep(duration_ns);
    return err ? err : noop(attempt, settings);
}

/* ---- fail ------------------------------------------------------------------------------- */

static int fail(struct weft_attempt *attempt, const void *settings)
{
    int64_t times = INT64_MAX;
    const char *error = "it was told to fail";
    int err = weft_attempt_get_int(attempt, "times", &times);
    if (err && err != -ENOENT)
        return weft_attempt_discard(attempt, "\"times\" in the payload is no whole number");
    err = weft_attempt_get_string(attempt, "error", &error);
    if (err && err != -ENOENT)
        return weft_attempt_discard(attempt, "\"error\" in the payload is no string");
    if (weft_attempt_number(attempt) <= times)
        return weft_attempt_fail(attempt, -EPROTO, "%s", error);
    return noop(attempt, settings);
}

/* ---- process ---------------------------------------------------------------------------- */

/* Text is carried from payload to result as it is written in JSON, escapes and all. */
__attribute__((noinline)) static int write_result(struct weft_attempt *attempt)
{
    size_t len, text_len;
    const char *payload = weft_attempt_payload(attempt, &len), *text;
    if (!weft_json_is_valid(payload, len) ||
        weft_json_find_string(payload, len, "text", &text, &text_len) < 0)
        return weft_attempt_fail(attempt, -EINVAL, "the payload has no string \"text\"");
    struct weft_buffer result;
    weft_buffer_init(&result, WEFT_JOB_RESULT_MAX);
    weft_buffer_append_string(&result, "{\"step1_result\":\"fun_1\",\"step2_result\":\"fun_2\","
                                       "\"final_result\":\"processed_");
    weft_buffer_append(&result, text, text_len);
    weft_buffer_append_string(&result, "_fun_1_fun_2\"}");
    if (result.err) {
        int err = result.err;
        weft_buffer_deinit(&result);
        return err;
    }
    return weft_attempt_take_result(attempt, result.data, result.len, true);
}

static int process(struct weft_attempt *attempt, const void *settings)
{
    const int64_t *steps_ns = settings;
    for (int step = 0; step < 3; step++) {
        int err = steps_ns[step] > 0 ? weft_sleep(steps_ns[step]) : 0;
        if (err)
            return err;
    }
    return write_result(attempt);
}

void weft_builtin_handlers(struct weft_handler handlers[WEFT_BUILTINS], const int64_t *steps_ns)
{
    handlers[0] = (struct weft_handler){.name = "noop", .run = noop};
    handlers[1] = (struct weft_handler){.name = "sleep", .run = sleep_for};
    handlers[2] = (struct weft_handler){.name = "fail", .run = fail};
    handlers[3] = (struct weft_handler){
        .name = "process",
        .run = process,
        .settings = steps_ns,
        .retry =
            {
                .backoff = WEFT_BACKOFF_CONSTANT,
                .jitter = WEFT_JITTER_NONE,
                .base_ns = WEFT_SEC,
                .cap_ns = WEFT_SEC,
            },
    };
}
