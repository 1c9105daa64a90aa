/* SPDX-License-Identifier: MIT
 * process.c - the built-in task "process", see task.h.
 *
 * Text is carried from payload to result as it is written in JSON, escapes and all: nothing needs
 * to be decoded, and while the job sleeps it holds no more than one stack page. */
#include <job/json_scan.h>
#include <job/task.h>

#include <base/buffer.h>
#include <weft/runtime.h>

#include <errno.h>

static int take_time(int64_t duration_ns)
{
    return duration_ns > 0 ? weft_sleep(duration_ns) : 0;
}

/* Not inlined: its frame must not be there during the sleeps. */
__attribute__((noinline)) static int write_result(struct weft_attempt *attempt)
{
    const struct weft_bytes *payload = &weft_attempt_job(attempt)->payload;
    const char *text;
    size_t text_len;
    int err = weft_json_find_string(payload->data, payload->len, "text", &text, &text_len);
    if (err) {
        weft_attempt_reason(attempt, "the payload has no string \"text\"");
        return -EINVAL;
    }
    struct weft_buffer result;
    weft_buffer_init(&result, WEFT_JOB_RESULT_MAX);
    weft_buffer_append_string(&result, "{\"step1_result\":\"fun_1\",\"step2_result\":\"fun_2\","
                                       "\"final_result\":\"processed_");
    weft_buffer_append(&result, text, text_len);
    weft_buffer_append_string(&result, "_fun_1_fun_2\"}");
    if (result.err) {
        err = result.err;
        weft_buffer_deinit(&result);
        return err;
    }
    return weft_attempt_result(attempt, result.data, result.len, true);
}

int weft_process_task(struct weft_attempt *attempt, const void *settings)
{
    const int64_t *steps_ns = settings;
    for (int step = 0; step < 3; step++) {
        int err = take_time(steps_ns[step]);
        if (err)
            return err;
    }
    return write_result(attempt);
}
