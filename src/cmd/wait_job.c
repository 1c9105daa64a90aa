/* SPDX-License-Identifier: MIT
 * wait_job.c - see wait_job.h. */
#include "wait_job.h"

#include <base/base64.h>
#include <weft/base.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUND_NS (50 * WEFT_SEC) /* the server waits for a minute at most */

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * WEFT_SEC + now.tv_nsec;
}

static bool is_over(const json_t *job)
{
    const char *state = json_string_value(json_object_get(job, "state"));
    return state && (strcmp(state, "completed") == 0 || strcmp(state, "cancelled") == 0 ||
                     strcmp(state, "dead") == 0);
}

/* Bytes as they are: for a file, or the next program. */
static void print_bytes(const char *base64)
{
    size_t text_len = strlen(base64), len = 0;
    char *bytes = need(malloc(weft_base64_bytes_max(text_len) + 1));
    if (weft_base64_decode(bytes, &len, base64, text_len) == 0)
        (void)fwrite(bytes, 1, len, stdout);
    free(bytes);
}

static void print_result(const struct answer *answer)
{
    const char *base64 = json_string_value(json_object_get(answer->root, "result_base64"));
    char *result = answer_member(answer, "result");
    if (base64)
        print_bytes(base64);
    else if (result)
        (void)printf("%s\n", result);
    free(result);
}

static int tell(const struct client *client, const char *id, const struct answer *answer, bool json)
{
    char *state = member_text(answer->root, "state"), *error = member_text(answer->root, "error");
    bool completed = strcmp(state, "completed") == 0;
    if (json)
        print_raw(answer);
    else if (completed)
        print_result(answer);
    if (!completed)
        complain(client->command, "job %s is %s%s%s", id, state, *error ? ": " : "", error);
    free(state);
    free(error);
    return completed ? EXIT_OK : EXIT_FAILED;
}

int wait_for_job(const struct client *client, const char *id, int64_t wait_ns, bool json)
{
    int64_t begin_ns = now_ns();
    for (;;) {
        int64_t left_ns = wait_ns - (now_ns() - begin_ns);
        int64_t round_ns = left_ns < ROUND_NS ? (left_ns > 0 ? left_ns : 0) : ROUND_NS;
        char seconds[32];
        (void)snprintf(seconds, sizeof seconds, "%" PRId64 ".%03" PRId64, round_ns / WEFT_SEC,
                       round_ns % WEFT_SEC / WEFT_MSEC);
        char *path = client_path("/v1/jobs", id, NULL);
        client_add_query(&path, "wait", seconds);
        const struct question question = {.method = "GET", .path = path, .wait_ns = round_ns};
        struct answer answer;
        int status = client_ask(client, &question, &answer);
        bool done = status != EXIT_OK || is_over(answer.root) || left_ns <= round_ns;
        if (done && status == EXIT_OK)
            status = tell(client, id, &answer, json);
        answer_release(&answer);
        free(path);
        if (done)
            return status;
    }
}
