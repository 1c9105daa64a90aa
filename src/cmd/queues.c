/* SPDX-License-Identifier: MIT
 * queues.c - `weft queues`: how full they are, and their limits. */
#include "commands.h"

#include "client.h"
#include "values.h"

#include <base/buffer.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_NUMBER UINT64_MAX

struct queues_arguments {
    struct client_flags client;
    uint64_t size_max, running_max, running_max_per_key, burst;
    const char *rate;
};

/* ---- looking ----------------------------------------------------------------------------- */

/* How long the oldest job waits: "-", "12s", "3m", "5h", "2d". */
static char *age_of(const json_t *queue)
{
    double seconds = json_number_value(json_object_get(queue, "oldest_seconds"));
    if (!(seconds > 0))
        return need(strdup("-"));
    if (seconds < 120)
        return text_of_format("%.0fs", seconds);
    if (seconds < 7200)
        return text_of_format("%.0fm", seconds / 60);
    if (seconds < 172800)
        return text_of_format("%.0fh", seconds / 3600);
    return text_of_format("%.0fd", seconds / 86400);
}

static void print_queues(const json_t *queues)
{
    struct table table;
    size_t i;
    const json_t *queue;
    table_init(&table, "QUEUE,WAITING,RUNNING,RETRYING,DEAD,COMPLETED,OLDEST,");
    json_array_foreach(queues, i, queue)
    {
        const json_t *jobs = json_object_get(queue, "jobs");
        table_add(&table, member_text(queue, "name"));
        table_add(&table, text_of_format("%lld", member_count(queue, "waiting")));
        table_add(&table, text_of_format("%lld", member_count(jobs, "running")));
        table_add(&table, text_of_format("%lld", member_count(jobs, "retryable")));
        table_add(&table, text_of_format("%lld", member_count(jobs, "dead")));
        table_add(&table, text_of_format("%lld", member_count(jobs, "completed")));
        table_add(&table, age_of(queue));
        table_add(&table,
                  need(strdup(json_is_true(json_object_get(queue, "paused")) ? "paused" : "")));
    }
    table_print(&table);
    table_release(&table);
    if (json_array_size(queues) == 0)
        (void)printf("no queues\n");
}

static int list(const struct client_call *call)
{
    const struct question question = {.method = "GET", .path = "/v1/queues"};
    struct answer answer;
    int status = client_ask(call->client, &question, &answer);
    if (status == EXIT_OK && call->json)
        print_raw(&answer);
    else if (status == EXIT_OK)
        print_queues(json_object_get(answer.root, "queues"));
    answer_release(&answer);
    return status;
}

/* Ask about one queue, and print what it is like then. */
static int ask(const struct client_call *call, const char *method, const struct weft_buffer *body)
{
    char *path = client_path("/v1/queues", call->argument, NULL);
    const struct question question = {
        .method = method,
        .path = path,
        .body = body ? body->data : NULL,
        .len = body ? body->len : 0,
    };
    struct answer answer;
    int status = client_ask(call->client, &question, &answer);
    free(path);
    return client_tell(call, status, &answer);
}

static int show(const struct client_call *call)
{
    return ask(call, "GET", NULL);
}

/* ---- changing ---------------------------------------------------------------------------- */

static int change(const struct client_call *call, const char *json)
{
    struct weft_buffer body;
    weft_buffer_init(&body, 1024);
    weft_buffer_append_string(&body, json);
    int status = ask(call, "PATCH", &body);
    weft_buffer_deinit(&body);
    return status;
}

static int pause_queue(const struct client_call *call)
{
    return change(call, "{\"paused\":true}");
}

static int resume_queue(const struct client_call *call)
{
    return change(call, "{\"paused\":false}");
}

static void append_limit(struct weft_buffer *body, const char *name, uint64_t value)
{
    if (value != NO_NUMBER)
        weft_buffer_append_format(body, "%s\"%s\":%" PRIu64, body->len > 1 ? "," : "", name, value);
}

/* A number from 0 up; NULL: none was given. */
static bool append_rate(struct weft_buffer *body, const char *text)
{
    double rate = 0;
    if (!text)
        return true;
    if (!parse_number(text, &rate))
        return false;
    weft_buffer_append_string(body, body->len > 1 ? ",\"rate\":" : "\"rate\":");
    weft_buffer_append_json_double(body, rate);
    return true;
}

static int set(const struct client_call *call)
{
    const struct queues_arguments *arguments = call->arguments;
    struct weft_buffer body;
    int status = EXIT_USAGE;
    weft_buffer_init(&body, 1024);
    weft_buffer_append_char(&body, '{');
    append_limit(&body, "size_max", arguments->size_max);
    append_limit(&body, "running_max", arguments->running_max);
    append_limit(&body, "running_max_per_key", arguments->running_max_per_key);
    append_limit(&body, "burst", arguments->burst);
    bool valid = append_rate(&body, arguments->rate);
    bool any = body.len > 1;
    weft_buffer_append_char(&body, '}');
    if (!valid)
        complain(call->client->command, "--rate: '%s' is not a number from 0 up", arguments->rate);
    else if (!any)
        complain(call->client->command, "set: nothing is to be set; 'weft help queues' lists what "
                                        "can be");
    else
        status = ask(call, "PATCH", &body);
    weft_buffer_deinit(&body);
    return status;
}

/* ---- the command ------------------------------------------------------------------------- */

static const struct action actions[] = {
    {"list", NULL, "all queues", list},
    {"show", "QUEUE", "one of them, with its limits", show},
    {"pause", "QUEUE", "nothing is taken from it", pause_queue},
    {"resume", "QUEUE", "jobs are taken from it again", resume_queue},
    {"set", "QUEUE", "change its limits; 0: no such limit", set},
    {NULL, NULL, NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    struct queues_arguments arguments = {.size_max = NO_NUMBER,
                                         .running_max = NO_NUMBER,
                                         .running_max_per_key = NO_NUMBER,
                                         .burst = NO_NUMBER};
    return client_run(command, argc, argv, &arguments);
}

#define FIELD(member) offsetof(struct queues_arguments, member)

static const struct option options[] = {
    {.name = "size-max",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(size_max),
     .max = (uint64_t)1 << 40,
     .only = "set",
     .help = "jobs that wait; beyond it new ones are refused"},
    {.name = "running-max",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(running_max),
     .max = UINT32_MAX,
     .only = "set",
     .help = "jobs at once, over all workers"},
    {.name = "running-max-per-key",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(running_max_per_key),
     .max = UINT32_MAX,
     .only = "set",
     .help = "jobs at once with the same limit key"},
    {.name = "rate",
     .metavar = "R",
     .kind = OPTION_STRING,
     .offset = FIELD(rate),
     .only = "set",
     .help = "jobs begun per second"},
    {.name = "burst",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(burst),
     .max = UINT32_MAX,
     .only = "set",
     .help = "jobs begun at once in spite of the rate"},
    CLIENT_OPTIONS(struct queues_arguments, client),
    CLIENT_JSON(struct queues_arguments, client),
    {.name = NULL},
};

const struct command command_queues = {
    .name = "queues",
    .summary = "look at queues, pause them, limit them",
    .actions = actions,
    .options = options,
    .environment = CLIENT_ENVIRONMENT,
    .examples = "  weft queues\n"
                "  weft queues pause mail\n"
                "  weft queues set mail --running-max 10 --rate 2.5\n",
    .run = run,
};
