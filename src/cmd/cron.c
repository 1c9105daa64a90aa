/* SPDX-License-Identifier: MIT
 * cron.c - `weft cron`: schedules that put jobs in, and when they will. */
#include "commands.h"

#include "client.h"
#include "job_flags.h"

#include <base/json_scan.h>
#include <weft/base.h>
#include <weft/schedule.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS_MAX       1000
#define BODY_BYTES_MAX (JOB_PAYLOAD_MAX + 65536)
#define SECOND_US      INT64_C(1000000)

struct cron_arguments {
    struct client_flags client;
    struct job_flags job;
    const char *schedule, *zone, *missed, *task;
    uint64_t count;
    bool paused;
};

/* ---- looking ----------------------------------------------------------------------------- */

static void print_crons(const json_t *crons)
{
    struct table table;
    size_t i;
    const json_t *cron;
    table_init(&table, "NAME,SCHEDULE,ZONE,TASK,NEXT (UTC),LAST (UTC),");
    json_array_foreach(crons, i, cron)
    {
        table_add(&table, member_text(cron, "name"));
        table_add(&table, member_text(cron, "schedule"));
        table_add(&table, member_text(cron, "zone"));
        table_add(&table, member_text(json_object_get(cron, "job"), "task"));
        table_add(&table, member_time(cron, "next_at"));
        table_add(&table, member_time(cron, "last_at"));
        table_add(&table,
                  need(strdup(json_is_true(json_object_get(cron, "paused")) ? "paused" : "")));
    }
    table_print(&table);
    table_release(&table);
    if (json_array_size(crons) == 0)
        (void)printf("no schedules\n");
}

static int list(const struct client_call *call)
{
    const struct question question = {.method = "GET", .path = "/v1/crons"};
    struct answer answer;
    int status = client_ask(call->client, &question, &answer);
    if (status == EXIT_OK && call->json)
        print_raw(&answer);
    else if (status == EXIT_OK)
        print_crons(json_object_get(answer.root, "crons"));
    answer_release(&answer);
    return status;
}

static int ask(const struct client_call *call, const char *method, const char *action,
               const struct weft_buffer *body, struct answer *answer)
{
    char *path = client_path("/v1/crons", call->argument, action);
    const struct question question = {
        .method = method,
        .path = path,
        .body = body ? body->data : NULL,
        .len = body ? body->len : 0,
    };
    int status = client_ask(call->client, &question, answer);
    free(path);
    return status;
}

static int show(const struct client_call *call)
{
    struct answer answer;
    int status = ask(call, "GET", NULL, NULL, &answer);
    return client_tell(call, status, &answer);
}

/* ---- changing ---------------------------------------------------------------------------- */

static int append_schedule(const struct client_call *call, struct weft_buffer *body)
{
    const struct cron_arguments *arguments = call->arguments;
    const char *command = call->client->command;
    if (!arguments->schedule || !arguments->task) {
        complain(command, "set: --%s is missing", arguments->schedule ? "task" : "schedule");
        return EXIT_USAGE;
    }
    weft_buffer_append_string(body, arguments->paused ? "{\"paused\":true" : "{\"paused\":false");
    append_member(body, "schedule", arguments->schedule);
    if (arguments->zone)
        append_member(body, "zone", arguments->zone);
    if (arguments->missed)
        append_member(body, "missed", arguments->missed);
    weft_buffer_append_string(body, ",\"job\":");
    int status = job_flags_append(command, &arguments->job, arguments->task, body);
    weft_buffer_append_string(body, "}}");
    return status;
}

static int put(const struct client_call *call, const struct weft_buffer *body,
               struct answer *answer)
{
    if (!body->err)
        return ask(call, "PUT", NULL, body, answer);
    complain(call->client->command, "%s", weft_strerror(body->err));
    return EXIT_FAILED;
}

static int set(const struct client_call *call)
{
    struct weft_buffer body;
    struct answer answer = {0};
    weft_buffer_init(&body, BODY_BYTES_MAX);
    int status = append_schedule(call, &body);
    if (status == EXIT_OK)
        status = put(call, &body, &answer);
    weft_buffer_deinit(&body);
    return client_tell(call, status, &answer);
}

/* The same schedule, but paused or not: each member goes back as it came. */
static int set_paused(const struct client_call *call, bool paused)
{
    static const char *const members[] = {"schedule", "zone", "missed", "job"};
    struct answer answer;
    struct weft_buffer body;
    int status = ask(call, "GET", NULL, NULL, &answer);
    weft_buffer_init(&body, BODY_BYTES_MAX);
    weft_buffer_append_string(&body, paused ? "{\"paused\":true" : "{\"paused\":false");
    for (size_t i = 0; status == EXIT_OK && i < sizeof members / sizeof members[0]; i++) {
        const char *raw;
        size_t len;
        if (weft_json_find(answer.body, answer.len, members[i], &raw, &len) < 0)
            continue;
        weft_buffer_append_format(&body, ",\"%s\":", members[i]);
        weft_buffer_append(&body, raw, len);
    }
    weft_buffer_append_char(&body, '}');
    answer_release(&answer);
    if (status == EXIT_OK)
        status = put(call, &body, &answer);
    weft_buffer_deinit(&body);
    return client_tell(call, status, &answer);
}

static int pause_cron(const struct client_call *call)
{
    return set_paused(call, true);
}

static int resume_cron(const struct client_call *call)
{
    return set_paused(call, false);
}

static int remove_cron(const struct client_call *call)
{
    struct answer answer;
    int status = ask(call, "DELETE", NULL, NULL, &answer);
    answer_release(&answer);
    if (status == EXIT_OK && !call->json)
        (void)printf("%s is removed\n", call->argument);
    return status;
}

static int run_now(const struct client_call *call)
{
    struct answer answer;
    int status = ask(call, "POST", "run", NULL, &answer);
    char *id = member_text(answer.root, "id");
    if (status == EXIT_OK && call->json)
        print_raw(&answer);
    else if (status == EXIT_OK)
        (void)printf("%s\n", id);
    free(id);
    answer_release(&answer);
    return status;
}

/* ---- when it will run: no server is asked ------------------------------------------------- */

/* "2026-11-22T02:30:00+01:00" */
static void print_time(const struct weft_schedule_run *run, bool json)
{
    time_t local = (time_t)(run->at_us / SECOND_US + run->offset_s);
    struct tm parts;
    char text[64];
    int offset = run->offset_s / 60;
    if (!gmtime_r(&local, &parts) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        return;
    (void)printf(json ? "\"%s" : "%s", text);
    if (run->offset_s == 0)
        (void)printf("Z");
    else
        (void)printf("%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 60, abs(offset) % 60);
    (void)printf(json ? "\"" : "\n");
}

static int next(const struct client_call *call)
{
    const struct cron_arguments *arguments = call->arguments;
    const char *command = call->client->command;
    struct weft_schedule_run *runs = need(calloc(RUNS_MAX, sizeof *runs));
    char error[256] = "";
    size_t count = 0;
    int err = weft_schedule_runs(call->argument, arguments->zone, (int64_t)time(NULL) * SECOND_US,
                                 runs, arguments->count, &count, error, sizeof error);
    if (err)
        complain(command, "next: %s", error[0] ? error : weft_strerror(err));
    else if (count == 0)
        complain(command, "next: the schedule never runs again");
    if (count > 0 && call->json)
        (void)printf("[");
    for (size_t i = 0; i < count; i++) {
        if (call->json && i > 0)
            (void)printf(", ");
        print_time(&runs[i], call->json);
    }
    if (count > 0 && call->json)
        (void)printf("]\n");
    free(runs);
    return err == 0 && count > 0 ? EXIT_OK : err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

/* ---- the command ------------------------------------------------------------------------- */

static const struct action actions[] = {
    {"list", NULL, "all schedules, the next first", list},
    {"show", "NAME", "one of them, with its job", show},
    {"set", "NAME", "make it, or make it another one", set},
    {"remove", "NAME", "it puts in no more jobs", remove_cron},
    {"run", "NAME", "put its job in now", run_now},
    {"pause", "NAME", "put in nothing until it is resumed", pause_cron},
    {"resume", "NAME", "go on, from now", resume_cron},
    {"next", "EXPR", "when an expression runs next; asks no server", next},
    {NULL, NULL, NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    struct cron_arguments arguments = {.job = JOB_FLAGS_DEFAULTS, .count = 5};
    return client_run(command, argc, argv, &arguments);
}

#define FIELD(member) offsetof(struct cron_arguments, member)

static const struct option options[] = {
    {.name = "schedule",
     .metavar = "EXPR",
     .kind = OPTION_STRING,
     .offset = FIELD(schedule),
     .only = "set",
     .help = "a cron expression: '30 2 * * MON-FRI', @daily,\n"
             "'@every 90s'"},
    {.name = "zone",
     .metavar = "NAME",
     .kind = OPTION_STRING,
     .offset = FIELD(zone),
     .only = "set next",
     .help = "time zone, like Europe/Berlin (default UTC)"},
    {.name = "missed",
     .metavar = "WORD",
     .kind = OPTION_STRING,
     .offset = FIELD(missed),
     .only = "set",
     .help = "runs that nobody was there for: skip, once for all of\n"
             "them, or all (default once)"},
    {.name = "task",
     .metavar = "NAME",
     .kind = OPTION_STRING,
     .offset = FIELD(task),
     .only = "set",
     .help = "task of the job that is put in"},
    JOB_OPTIONS(struct cron_arguments, job, "set"),
    {.name = "paused",
     .kind = OPTION_FLAG,
     .offset = FIELD(paused),
     .only = "set",
     .help = "put in nothing until it is resumed"},
    {.name = "count",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(count),
     .min = 1,
     .max = RUNS_MAX,
     .only = "next",
     .help = "so many times (default 5)"},
    CLIENT_OPTIONS(struct cron_arguments, client),
    CLIENT_JSON(struct cron_arguments, client),
    {.name = NULL},
};

const struct command command_cron = {
    .name = "cron",
    .summary = "schedules that put jobs in",
    .actions = actions,
    .options = options,
    .environment = CLIENT_ENVIRONMENT,
    .examples = "  weft cron\n"
                "  weft cron set report --schedule '0 6 * * *' --zone Europe/Berlin --task report\n"
                "  weft cron run report\n"
                "  weft cron next '0 0 29 2 *' --count 3\n",
    .run = run,
};
