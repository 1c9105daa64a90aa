/* SPDX-License-Identifier: MIT
 * jobs.c - `weft jobs`: which there are, how they are, and what is wanted of them. */
#include "commands.h"

#include "client.h"
#include "wait_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_MAX 1000

struct jobs_arguments {
    struct client_flags client;
    const char *state, *queue, *task, *flow, *cursor;
    uint64_t limit;
    int64_t wait_ns;
    bool json;
};

/* What an action works with. */
struct jobs_call {
    const struct client *client;
    const struct jobs_arguments *arguments;
    const char *id; /* NULL: the action takes none */
};

/* ---- list -------------------------------------------------------------------------------- */

static char *list_path(const struct jobs_arguments *arguments, uint64_t limit, const char *cursor)
{
    char *path = need(strdup("/v1/jobs")), *number = text_of_format("%" PRIu64, limit);
    client_add_query(&path, "limit", number);
    client_add_query(&path, "state", arguments->state);
    client_add_query(&path, "queue", arguments->queue);
    client_add_query(&path, "task", arguments->task);
    client_add_query(&path, "flow", arguments->flow);
    client_add_query(&path, "cursor", cursor);
    free(number);
    return path;
}

static void print_jobs(const json_t *jobs, const char *next)
{
    struct table table;
    size_t i;
    const json_t *job;
    table_init(&table, "ID,STATE,TASK,QUEUE,ATTEMPT,CREATED,ERROR");
    json_array_foreach(jobs, i, job)
    {
        table_add(&table, member_text(job, "id"));
        table_add(&table, member_text(job, "state"));
        table_add(&table, member_text(job, "task"));
        table_add(&table, member_text(job, "queue"));
        table_add(&table,
                  text_of_format(
                      "%lld/%lld", (long long)json_integer_value(json_object_get(job, "attempt")),
                      (long long)json_integer_value(json_object_get(job, "max_attempts"))));
        table_add(&table, member_time(job, "created_at"));
        table_add(&table, member_text(job, "error"));
    }
    table_print(&table);
    table_release(&table);
    if (json_array_size(jobs) == 0)
        (void)printf("no jobs\n");
    if (next)
        (void)printf("more: --cursor %s\n", next);
}

/* A page may be short and have another one behind it. */
static int list(const struct jobs_call *call)
{
    const struct jobs_arguments *arguments = call->arguments;
    json_t *jobs = need(json_array());
    char *next = arguments->cursor ? need(strdup(arguments->cursor)) : NULL;
    int status = EXIT_OK;
    do {
        char *path = list_path(arguments, arguments->limit - json_array_size(jobs), next);
        const struct question question = {.method = "GET", .path = path};
        struct answer answer;
        status = client_ask(call->client, &question, &answer);
        free(next);
        next = NULL;
        if (status == EXIT_OK) {
            const char *cursor = json_string_value(json_object_get(answer.root, "next"));
            next = cursor ? need(strdup(cursor)) : NULL;
            (void)json_array_extend(jobs, json_object_get(answer.root, "jobs"));
        }
        answer_release(&answer);
        free(path);
    } while (status == EXIT_OK && next && json_array_size(jobs) < arguments->limit);
    if (status == EXIT_OK && arguments->json) {
        json_t *all = need(json_pack("{sOss?}", "jobs", jobs, "next", next));
        char *text = need(json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(15)));
        (void)printf("%s\n", text);
        free(text);
        json_decref(all);
    } else if (status == EXIT_OK) {
        print_jobs(jobs, next);
    }
    free(next);
    json_decref(jobs);
    return status;
}

/* ---- one job ----------------------------------------------------------------------------- */

static int ask(const struct jobs_call *call, const char *method, const char *action,
               struct answer *answer)
{
    char *path = client_path("/v1/jobs", call->id, action);
    const struct question question = {.method = method, .path = path};
    int status = client_ask(call->client, &question, answer);
    free(path);
    return status;
}

static int show(const struct jobs_call *call)
{
    struct answer answer;
    int status = ask(call, "GET", NULL, &answer);
    if (status == EXIT_OK && call->arguments->json)
        print_raw(&answer);
    else if (status == EXIT_OK)
        print_object(answer.root);
    answer_release(&answer);
    return status;
}

static void print_errors(const json_t *errors)
{
    struct table table;
    size_t i;
    const json_t *error;
    table_init(&table, "ATTEMPT,AT,ERROR");
    json_array_foreach(errors, i, error)
    {
        table_add(&table, member_text(error, "attempt"));
        table_add(&table, member_time(error, "at"));
        table_add(&table, member_text(error, "error"));
    }
    table_print(&table);
    table_release(&table);
    if (json_array_size(errors) == 0)
        (void)printf("no attempt has failed\n");
}

static int errors(const struct jobs_call *call)
{
    struct answer answer;
    int status = ask(call, "GET", NULL, &answer);
    const json_t *list_of = json_object_get(answer.root, "errors");
    if (status == EXIT_OK && call->arguments->json) {
        char *text = list_of ? need(json_dumps(list_of, JSON_COMPACT)) : need(strdup("[]"));
        (void)printf("%s\n", text);
        free(text);
    } else if (status == EXIT_OK) {
        print_errors(list_of);
    }
    answer_release(&answer);
    return status;
}

static int tell_state(const struct jobs_call *call, int status, const struct answer *answer)
{
    char *state = member_text(answer->root, "state");
    if (status == EXIT_OK && call->arguments->json)
        print_raw(answer);
    else if (status == EXIT_OK && json_is_true(json_object_get(answer->root, "cancelling")))
        (void)printf("%s is %s, and told to end\n", call->id, state);
    else if (status == EXIT_OK)
        (void)printf("%s is %s\n", call->id, state);
    free(state);
    return status;
}

static int cancel(const struct jobs_call *call)
{
    struct answer answer;
    int status = tell_state(call, ask(call, "DELETE", NULL, &answer), &answer);
    answer_release(&answer);
    return status;
}

static int retry(const struct jobs_call *call)
{
    struct answer answer;
    int status = tell_state(call, ask(call, "POST", "retry", &answer), &answer);
    answer_release(&answer);
    return status;
}

static int wait_for(const struct jobs_call *call)
{
    return wait_for_job(call->client, call->id, call->arguments->wait_ns, call->arguments->json);
}

/* ---- the command ------------------------------------------------------------------------- */

static const struct action actions[] = {
    {"list", NULL, "the newest first"},
    {"show", "ID", "all that is known of a job"},
    {"wait", "ID", "wait for its end and print its result"},
    {"errors", "ID", "why its attempts failed"},
    {"cancel", "ID", "do not run it, or tell it to end"},
    {"retry", "ID", "run it now, or once more"},
    {NULL, NULL, NULL},
};
static int (*const functions[])(const struct jobs_call *) = {list,   show,   wait_for,
                                                             errors, cancel, retry};

static int run(const struct command *command, int argc, char **argv)
{
    struct jobs_arguments arguments = {.limit = 50, .wait_ns = WAIT_FOR_EVER};
    struct settings settings;
    struct client client = {0};
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = client_open(&client, command->name, &arguments.client);
    if (status == EXIT_OK) {
        const struct jobs_call call = {&client, &arguments, settings.argument};
        status = call.id && !client_check_id(&client, call.id)
                     ? EXIT_USAGE
                     : functions[settings.action - actions](&call);
    }
    client_close(&client);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct jobs_arguments, member)

static const struct option options[] = {
    {.name = "state",
     .metavar = "NAME",
     .kind = OPTION_STRING,
     .offset = FIELD(state),
     .only = "list",
     .help = "scheduled, available, running, retryable, completed,\n"
             "cancelled, dead or blocked"},
    {.name = "queue",
     .metavar = "NAME",
     .kind = OPTION_STRING,
     .offset = FIELD(queue),
     .only = "list",
     .help = "only jobs of this queue"},
    {.name = "task",
     .metavar = "NAME",
     .kind = OPTION_STRING,
     .offset = FIELD(task),
     .only = "list",
     .help = "only jobs of this task"},
    {.name = "flow",
     .metavar = "ID",
     .kind = OPTION_STRING,
     .offset = FIELD(flow),
     .only = "list",
     .help = "only jobs of this flow"},
    {.name = "limit",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(limit),
     .min = 1,
     .max = LIMIT_MAX,
     .only = "list",
     .help = "so many at most (default 50)"},
    {.name = "cursor",
     .metavar = "ID",
     .kind = OPTION_STRING,
     .offset = FIELD(cursor),
     .only = "list",
     .help = "go on behind the last list"},
    {.name = "wait",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(wait_ns),
     .only = "wait",
     .help = "wait no longer than that (default: as long as it takes)"},
    CLIENT_OPTIONS(struct jobs_arguments, client),
    {.name = "json", .kind = OPTION_FLAG, .offset = FIELD(json), .help = "print JSON"},
    {.name = NULL},
};

const struct command command_jobs = {
    .name = "jobs",
    .summary = "look at jobs, cancel them, run them again",
    .actions = actions,
    .options = options,
    .environment = CLIENT_ENVIRONMENT,
    .examples = "  weft jobs\n"
                "  weft jobs list --state dead --queue mail\n"
                "  weft jobs show 0193b3c4-5d0e-7a4b-8c21-0d9f3c1e5a77\n"
                "  weft jobs retry 0193b3c4-5d0e-7a4b-8c21-0d9f3c1e5a77\n",
    .run = run,
};
