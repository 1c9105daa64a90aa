/* SPDX-License-Identifier: MIT
 * enqueue.c - `weft enqueue`: put jobs in, one by flags or many from a file. */
#include "commands.h"

#include "client.h"
#include "job_flags.h"
#include "wait_job.h"

#include <weft/base.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX      10000 /* jobs in one request: the server's limit */
#define LINES_BYTES    ((size_t)16 << 20)
#define LINE_BYTES_MAX ((size_t)4 << 20)
#define BODY_BYTES_MAX (LINES_BYTES + LINE_BYTES_MAX + 1)

struct enqueue_arguments {
    struct client_flags client;
    struct job_flags job;
    const char *ndjson;
    struct words after;
    int64_t delay_ns, wait_ns;
};

/* ---- one job ----------------------------------------------------------------------------- */

static void append_after(const struct words *after, struct weft_buffer *body)
{
    for (size_t i = 0; i < after->count; i++) {
        weft_buffer_append_string(body, i ? "," : ",\"after\":[");
        weft_buffer_append_json_string(body, after->items[i], strlen(after->items[i]));
    }
    if (after->count > 0)
        weft_buffer_append_char(body, ']');
}

static int tell_one(const struct client *client, const struct enqueue_arguments *arguments,
                    const struct answer *answer)
{
    char *id = member_text(answer->root, "id");
    int status = EXIT_OK;
    if (json_is_true(json_object_get(answer->root, "duplicate")))
        complain(client->command, "a job that counts as the same is there already");
    if (arguments->wait_ns > 0)
        status = wait_for_job(client, id, arguments->wait_ns, arguments->client.json);
    else if (arguments->client.json)
        print_raw(answer);
    else
        (void)printf("%s\n", id);
    free(id);
    return status;
}

static int enqueue_one(const struct client *client, const char *task,
                       const struct enqueue_arguments *arguments)
{
    struct weft_buffer body;
    struct answer answer = {0};
    weft_buffer_init(&body, BODY_BYTES_MAX);
    int status = job_flags_append(client->command, &arguments->job, task, &body);
    if (arguments->delay_ns > 0)
        append_seconds(&body, "delay", arguments->delay_ns);
    append_after(&arguments->after, &body);
    weft_buffer_append_char(&body, '}');
    const struct question question = {
        .method = "POST", .path = "/v1/jobs", .body = body.data, .len = body.len};
    if (status == EXIT_OK && body.err) {
        complain(client->command, "%s", weft_strerror(body.err));
        status = EXIT_FAILED;
    }
    if (status == EXIT_OK)
        status = client_ask(client, &question, &answer);
    if (status == EXIT_OK)
        status = tell_one(client, arguments, &answer);
    answer_release(&answer);
    weft_buffer_deinit(&body);
    return status;
}

/* ---- many jobs --------------------------------------------------------------------------- */

/* Lines of a file on their way to the server. */
struct batch {
    const struct client *client;
    struct weft_buffer body;
    size_t jobs, lines;                      /* in body; some lines are empty */
    unsigned long jobs_before, lines_before; /* those */
    bool json;
    size_t refused;
};

static void tell_line(struct batch *batch, size_t index, const json_t *job)
{
    char *error = member_text(job, "error"), *id = member_text(job, "id");
    if (*error) {
        complain(batch->client->command, "job %lu: %s", batch->jobs_before + index + 1, error);
        batch->refused++;
    } else if (!batch->json) {
        (void)printf("%s\n", id);
    }
    free(error);
    free(id);
}

/* The server counts the lines of its request. */
static void complain_place(const struct batch *batch)
{
    if (batch->lines_before > 0)
        complain(batch->client->command,
                 "lines are counted behind line %lu; the %lu jobs before are put in",
                 batch->lines_before, batch->jobs_before);
}

static int send_lines(struct batch *batch)
{
    const struct question question = {
        .method = "POST",
        .path = "/v1/jobs",
        .type = "application/x-ndjson",
        .body = batch->body.data,
        .len = batch->body.len,
    };
    struct answer answer;
    int status = client_ask(batch->client, &question, &answer);
    if (status == EXIT_OK) {
        size_t i;
        const json_t *job;
        json_array_foreach(json_object_get(answer.root, "jobs"), i, job) tell_line(batch, i, job);
        if (batch->json)
            print_raw(&answer);
    } else {
        complain_place(batch);
    }
    answer_release(&answer);
    return status;
}

/* Send what has gathered. */
static int flush(struct batch *batch)
{
    int status = batch->jobs > 0 ? send_lines(batch) : EXIT_OK;
    weft_buffer_clear(&batch->body);
    batch->jobs_before += batch->jobs;
    batch->lines_before += batch->lines;
    batch->jobs = batch->lines = 0;
    return status;
}

static bool is_empty(const char *line, size_t len)
{
    return strspn(line, " \t\r\n") == len;
}

static int take_line(struct batch *batch, const char *line, size_t len)
{
    if (len > LINE_BYTES_MAX) {
        complain(batch->client->command, "a line is longer than %zu bytes", LINE_BYTES_MAX);
        return EXIT_FAILED;
    }
    weft_buffer_append(&batch->body, line, len);
    if (line[len - 1] != '\n')
        weft_buffer_append_char(&batch->body, '\n');
    if (batch->body.err) {
        complain(batch->client->command, "%s", weft_strerror(batch->body.err));
        return EXIT_FAILED;
    }
    batch->lines++;
    batch->jobs += !is_empty(line, len);
    bool full = batch->jobs == LINES_MAX || batch->body.len >= LINES_BYTES;
    return full ? flush(batch) : EXIT_OK;
}

static int enqueue_lines(const struct client *client, const char *path, bool json)
{
    struct batch batch = {.client = client, .json = json};
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    int status = EXIT_OK;
    if (!file) {
        complain(client->command, "%s cannot be opened: %s", path, weft_strerror(-errno));
        return EXIT_FAILED;
    }
    weft_buffer_init(&batch.body, BODY_BYTES_MAX);
    while (status == EXIT_OK && (len = getline(&line, &capacity, file)) > 0)
        status = take_line(&batch, line, (size_t)len);
    if (status == EXIT_OK)
        status = flush(&batch);
    if (ferror(file)) {
        complain(client->command, "%s cannot be read", path);
        status = EXIT_FAILED;
    }
    free(line);
    weft_buffer_deinit(&batch.body);
    if (file != stdin)
        (void)fclose(file);
    return status == EXIT_OK && batch.refused > 0 ? EXIT_FAILED : status;
}

/* ---- the command ------------------------------------------------------------------------- */

static int check(const struct command *command, const char *task,
                 const struct enqueue_arguments *arguments)
{
    if (!task && !arguments->ndjson)
        complain(command->name, "the TASK is missing");
    else if (task && arguments->ndjson)
        complain(command->name, "with --ndjson the tasks are in the file: '%s' is one too many",
                 task);
    else if (arguments->ndjson && arguments->wait_ns > 0)
        complain(command->name, "--wait is for a single job");
    else
        return EXIT_OK;
    return EXIT_USAGE;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct enqueue_arguments arguments = {.job = JOB_FLAGS_DEFAULTS};
    struct settings settings;
    struct client client = {0};
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = check(command, settings.argument, &arguments);
    if (status == EXIT_OK)
        status = client_open(&client, command->name, &arguments.client);
    for (size_t i = 0; i < arguments.after.count && status == EXIT_OK; i++)
        status = client_check_id(&client, arguments.after.items[i]) ? EXIT_OK : EXIT_USAGE;
    if (status == EXIT_OK && arguments.ndjson)
        status = enqueue_lines(&client, arguments.ndjson, arguments.client.json);
    else if (status == EXIT_OK)
        status = enqueue_one(&client, settings.argument, &arguments);
    client_close(&client);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct enqueue_arguments, member)

static const struct option options[] = {
    CLIENT_OPTIONS(struct enqueue_arguments, client),
    JOB_OPTIONS(struct enqueue_arguments, job, NULL),
    {.name = "delay",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(delay_ns),
     .help = "not before so long from now"},
    {.name = "after",
     .metavar = "ID",
     .kind = OPTION_WORDS,
     .offset = FIELD(after),
     .help = "not before this job has completed; may come again"},
    {.name = "wait",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .min = 1,
     .offset = FIELD(wait_ns),
     .help = "wait for its end, at most so long, and print its result"},
    {.name = "ndjson",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(ndjson),
     .help = "put in many jobs, one JSON object in each line; - for\n"
             "standard input"},
    CLIENT_JSON(struct enqueue_arguments, client),
    {.name = NULL},
};

const struct command command_enqueue = {
    .name = "enqueue",
    .summary = "put jobs in",
    .argument = "TASK",
    .description =
        "Prints the job's id when it is on disk. With --wait its result, or why there is\n"
        "none; the exit code is 0 only when it has completed.\n",
    .options = options,
    .environment = CLIENT_ENVIRONMENT,
    .examples = "  weft enqueue noop\n"
                "  weft enqueue sleep --payload '{\"seconds\": 2}' --wait 30s\n"
                "  weft enqueue report --queue slow --payload @report.json --delay 1h\n"
                "  weft enqueue --ndjson jobs.ndjson\n",
    .run = run,
};
