/* SPDX-License-Identifier: MIT
 * greet.c - tasks in a shared object of their own: see README.md beside this file. */
#include <weft/runtime.h>
#include <weft/task.h>

#include <string.h>

/* {"name": "Ada"} -> {"greeting": "hello, Ada"}; with "seconds" it takes its time. */
static int greet(struct weft_attempt *attempt, const void *settings)
{
    const char *name;
    double seconds = 0;
    (void)settings;
    int err = weft_attempt_get_string(attempt, "name", &name);
    if (err)
        return weft_attempt_discard(attempt, "the payload has no string \"name\"");
    if (strpbrk(name, "\"\\"))
        return weft_attempt_discard(attempt, "nobody is called that");
    (void)weft_attempt_get_double(attempt, "seconds", &seconds);
    err = weft_sleep((int64_t)(seconds * 1e9)); /* other jobs run meanwhile */
    if (err)
        return err;
    return weft_attempt_printf_result(attempt, "{\"greeting\":\"hello, %s\"}", name);
}

/* {"text": "..."} -> {"vowels": 3}: on a thread, for it may compute as long as it likes. */
static int vowels(struct weft_attempt *attempt, const void *settings)
{
    const char *text, *letters = settings;
    unsigned count = 0;
    int err = weft_attempt_get_string(attempt, "text", &text);
    if (err)
        return weft_attempt_discard(attempt, "the payload has no string \"text\"");
    for (; *text; text++)
        count += strchr(letters, *text) != NULL;
    weft_attempt_log(attempt, WEFT_LOG_INFO, "%u vowels", count);
    return weft_attempt_printf_result(attempt, "{\"vowels\":%u}", count);
}

static const struct weft_handler handlers[] = {
    {.name = "greet", .run = greet},
    {.name = "vowels",
     .run = vowels,
     .settings = "aeiouAEIOU",
     .executor = WEFT_EXECUTOR_THREAD,
     .attempts_max = 5,
     .timeout_ns = 10 * WEFT_SEC},
};
WEFT_TASK_LIBRARY(handlers);
