/* SPDX-License-Identifier: MIT
 * jobs.c - `weft jobs`: which there are, how they are, and what is wanted of them. */
#include "commands.h"

#include "client.h"
#include "wait_job.h"

#include <base/buffer.h>
#include <weft/base.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_MAX         1000
#define LISTING_BYTES_MAX ((size_t)80 << 20)

struct jobs_arguments {
    struct client_flags client;
    const char *state, *queue, *task, *flow, *cursor;
    uint64_t limit;
    int64_t wait_ns;
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
        table_add(&table, text_of_format("%lld/%lld", member_count(job, "attempt"),
                                         member_count(job, "max_attempts")));
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

/* What has come of a list so far. */
struct listing {
    struct weft_buffer raw; /* the jobs as the server wrote them */
    json_t *jobs;           /* the same, to be looked at */
    char *next;             /* where to go on; NULL: that is all */
};

static void add_page(struct listing *listing, const struct answer *answer)
{
    char *jobs = answer_member(answer, "jobs");
    const char *next = json_string_value(json_object_get(answer->root, "next"));
    size_t len = jobs ? strlen(jobs) : 0;
    if (len > 2) { /* without its brackets */
        if (listing->raw.len > 0)
            weft_buffer_append_char(&listing->raw, ',');
        weft_buffer_append(&listing->raw, jobs + 1, len - 2);
    }
    (void)json_array_extend(listing->jobs, json_object_get(answer->root, "jobs"));
    free(listing->next);
    listing->next = next ? need(strdup(next)) : NULL;
    free(jobs);
}

static void print_listing(struct listing *listing, bool json)
{
    if (!json) {
        print_jobs(listing->jobs, listing->next);
        return;
    }
    (void)printf("{\"jobs\":[%.*s],\"next\":", (int)listing->raw.len,
                 listing->raw.data ? listing->raw.data : "");
    if (listing->next)
        (void)printf("\"%s\"}\n", listing->next);
    else
        (void)printf("null}\n");
}

/* A page may be short and have another one behind it. */
static int list(const struct client_call *call)
{
    const struct jobs_arguments *arguments = call->arguments;
    struct listing listing = {.jobs = need(json_array())};
    int status = EXIT_OK;
    weft_buffer_init(&listing.raw, LISTING_BYTES_MAX);
    if (arguments->cursor)
        listing.next = need(strdup(arguments->cursor));
    do {
        char *path =
            list_path(arguments, arguments->limit - json_array_size(listing.jobs), listing.next);
        const struct question question = {.method = "GET", .path = path};
        struct answer answer;
        status = client_ask(call->client, &question, &answer);
        if (status == EXIT_OK)
            add_page(&listing, &answer);
        answer_release(&answer);
        free(path);
    } while (status == EXIT_OK && listing.next && json_array_size(listing.jobs) < arguments->limit);
    if (status == EXIT_OK && listing.raw.err) {
        complain(call->client->command, "%s", weft_strerror(listing.raw.err));
        status = EXIT_FAILED;
    }
    if (status == EXIT_OK)
        print_listing(&listing, call->json);
    weft_buffer_deinit(&listing.raw);
    free(listing.next);
    json_decref(listing.jobs);
    return status;
}

/* ---- one job ----------------------------------------------------------------------------- */

static int ask(const struct client_call *call, const char *method, const char *action,
               struct answer *answer)
{
    *answer = (struct answer){0};
    if (!client_check_id(call->client, call->argument))
        return EXIT_USAGE;
    char *path = client_path("/v1/jobs", call->argument, action);
    const struct question question = {.method = method, .path = path};
    int status = client_ask(call->client, &question, answer);
    free(path);
    return status;
}

static int show(const struct client_call *call)
{
    struct answer answer;
    int status = ask(call, "GET", NULL, &answer);
    return client_tell(call, status, &answer);
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

static int errors(const struct client_call *call)
{
    struct answer answer;
    int status = ask(call, "GET", NULL, &answer);
    char *text = status == EXIT_OK && call->json ? answer_member(&answer, "errors") : NULL;
    if (status == EXIT_OK && call->json)
        (void)printf("%s\n", text ? text : "[]");
    else if (status == EXIT_OK)
        print_errors(json_object_get(answer.root, "errors"));
    free(text);
    answer_release(&answer);
    return status;
}

static int tell_state(const struct client_call *call, int status, const struct answer *answer)
{
    char *state = member_text(answer->root, "state");
    if (status == EXIT_OK && call->json)
        print_raw(answer);
    else if (status == EXIT_OK && json_is_true(json_object_get(answer->root, "cancelling")))
        (void)printf("%s is %s, and told to end\n", call->argument, state);
    else if (status == EXIT_OK)
        (void)printf("%s is %s\n", call->argument, state);
    free(state);
    return status;
}

static int cancel(const struct client_call *call)
{
    struct answer answer;
    int status = tell_state(call, ask(call, "DELETE", NULL, &answer), &answer);
    answer_release(&answer);
    return status;
}

static int retry(const struct client_call *call)
{
    struct answer answer;
    int status = tell_state(call, ask(call, "POST", "retry", &answer), &answer);
    answer_release(&answer);
    return status;
}

static int wait_for(const struct client_call *call)
{
    const struct jobs_arguments *arguments = call->arguments;
    if (!client_check_id(call->client, call->argument))
        return EXIT_USAGE;
    return wait_for_job(call->client, call->argument, arguments->wait_ns, call->json);
}

/* ---- the command ------------------------------------------------------------------------- */

static const struct action actions[] = {
    {"list", NULL, "the newest first", list},
    {"show", "ID", "all that is known of a job", show},
    {"wait", "ID", "wait for its end and print its result", wait_for},
    {"errors", "ID", "why its attempts failed", errors},
    {"cancel", "ID", "do not run it, or tell it to end", cancel},
    {"retry", "ID", "run it now, or once more", retry},
    {NULL, NULL, NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    struct jobs_arguments arguments = {.limit = 50, .wait_ns = WAIT_FOR_EVER};
    return client_run(command, argc, argv, &arguments);
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
    CLIENT_JSON(struct jobs_arguments, client),
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
