/* SPDX-License-Identifier: MIT
 * load.c - `weft load`: drive a server and print what was measured, or compare two results. */
#include "commands.h"
#include "load_print.h"
#include "print.h"

#include <weft/load.h>
#include <weft/signal.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_FILE_MAX ((size_t)16 << 20)
#define ERROR_BYTES   512

struct load_arguments {
    const char *method, *body, *body_file, *content_type, *rate, *url_file, *io, *config;
    const char *hgrm, *hdr_log, *compare;
    struct words headers, limits;
    uint64_t requests, connections, pipeline, workers;
    int64_t duration_ns, warmup_ns, timeout_ns;
    bool json;
};

/* What has to be given back at the end. */
struct load_run {
    const struct command *command;
    const struct load_arguments *arguments;
    const char *url;
    struct weft_load_step *steps;
    size_t steps_count;
    char *body; /* of a file */
    size_t body_len;
    FILE *hgrm, *hdr_log;
    struct load_screen screen;
};

/* ---- before ---------------------------------------------------------------------------- */

static int read_body(struct load_run *run)
{
    const char *name = run->command->name, *path = run->arguments->body_file;
    if (!path)
        return EXIT_OK;
    if (run->arguments->body) {
        complain(name, "there is a --body besides the --body-file");
        return EXIT_USAGE;
    }
    FILE *file = fopen(path, "re");
    if (!file) {
        complain(name, "%s cannot be opened: %s", path, weft_strerror(errno));
        return EXIT_USAGE;
    }
    run->body = malloc(BODY_FILE_MAX + 2);
    run->body_len = run->body ? fread(run->body, 1, BODY_FILE_MAX + 1, file) : 0;
    bool failed = ferror(file);
    (void)fclose(file);
    if (!run->body || failed || run->body_len > BODY_FILE_MAX) {
        complain(name, "%s %s", path,
                 !run->body ? "does not fit into memory"
                 : failed   ? "cannot be read"
                            : "is larger than 16 MiB");
        return EXIT_USAGE;
    }
    run->body[run->body_len] = '\0';
    return EXIT_OK;
}

static int read_rate(struct load_run *run)
{
    const char *reason = "out of memory", *text = run->arguments->rate;
    if (!text)
        return EXIT_OK;
    run->steps = calloc(WEFT_LOAD_STEPS_MAX, sizeof run->steps[0]);
    if (!run->steps || weft_load_steps_parse(run->steps, &run->steps_count, text, &reason) < 0) {
        complain(run->command->name, "rate: '%s': %s", text, reason);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

static int check_limits(const struct load_run *run)
{
    const struct words *limits = &run->arguments->limits;
    char error[ERROR_BYTES];
    for (size_t i = 0; i < limits->count; i++) {
        if (weft_load_limit_check(limits->items[i], NULL, error, sizeof error) < 0) {
            complain(run->command->name, "fail-if: %s", error);
            return EXIT_USAGE;
        }
    }
    return EXIT_OK;
}

/* A file to write to, opened before the load: that it cannot be is told before. */
static int open_output(const struct load_run *run, const char *path, FILE **ret_file)
{
    if (!path)
        return EXIT_OK;
    *ret_file = fopen(path, "we");
    if (*ret_file)
        return EXIT_OK;
    complain(run->command->name, "%s cannot be written: %s", path, weft_strerror(errno));
    return EXIT_FAILED;
}

static int prepare(struct load_run *run)
{
    int status = read_rate(run);
    if (status == EXIT_OK)
        status = check_limits(run);
    if (status == EXIT_OK)
        status = read_body(run);
    if (status == EXIT_OK)
        status = open_output(run, run->arguments->hgrm, &run->hgrm);
    if (status == EXIT_OK)
        status = open_output(run, run->arguments->hdr_log, &run->hdr_log);
    return status;
}

/* ---- after ----------------------------------------------------------------------------- */

/* Write a text and close the file, if there is one. */
static bool write_output(FILE **file, const struct weft_load_result *result,
                         int (*make)(const struct weft_load_result *, char **))
{
    char *text = NULL;
    if (!*file)
        return true;
    bool written = make(result, &text) == 0 && fputs(text, *file) >= 0;
    free(text);
    written = fclose(*file) == 0 && written;
    *file = NULL;
    return written;
}

static bool print_result(const struct load_run *run, const struct weft_load_result *result)
{
    char *text;
    if (!run->arguments->json) {
        load_print(result->urls_count > 1 ? result->urls[0].url : run->url, result);
        return true;
    }
    if (weft_load_json(result, &text) < 0)
        return false;
    bool written = fputs(text, stdout) >= 0;
    free(text);
    return written;
}

static int judge(const struct load_run *run, const struct weft_load_result *result)
{
    const struct words *limits = &run->arguments->limits;
    int status = result->total.succeeded > 0 ? EXIT_OK : EXIT_FAILED;
    char text[ERROR_BYTES];
    for (size_t i = 0; i < limits->count; i++) {
        if (weft_load_limit_check(limits->items[i], result, text, sizeof text) != 0) {
            complain(run->command->name, "%s", text);
            status = EXIT_FAILED;
        }
    }
    return status;
}

static int tell(struct load_run *run, const struct weft_load_result *result)
{
    const struct load_arguments *arguments = run->arguments;
    const char *name = run->command->name;
    if (result->stopped)
        complain(name, "interrupted: these are the figures until then");
    bool written = print_result(run, result);
    if (!write_output(&run->hgrm, result, weft_load_hgrm)) {
        complain(name, "%s cannot be written", arguments->hgrm);
        written = false;
    }
    if (!write_output(&run->hdr_log, result, weft_load_hdr_log)) {
        complain(name, "%s cannot be written", arguments->hdr_log);
        written = false;
    }
    int status = judge(run, result);
    return written ? status : EXIT_FAILED;
}

/* ---- the load -------------------------------------------------------------------------- */

static bool on_terminal(void)
{
    const char *term = getenv("TERM"); // NOLINT(concurrency-mt-unsafe): no other thread yet
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static int measure(struct load_run *run)
{
    static const int ending[] = {SIGINT, SIGTERM};
    const struct load_arguments *arguments = run->arguments;
    char error[ERROR_BYTES];
    struct weft_load_result result;
    struct weft_load_options options = {
        .url = run->url,
        .url_file = arguments->url_file,
        .method = arguments->method,
        .body = run->body ? run->body : arguments->body,
        .body_len = run->body_len,
        .content_type = arguments->content_type,
        .headers = arguments->headers.items,
        .headers_count = arguments->headers.count,
        .requests = arguments->requests,
        .duration_ns = arguments->duration_ns,
        .warmup_ns = arguments->warmup_ns,
        .connections = (unsigned)arguments->connections,
        .pipeline = (unsigned)arguments->pipeline,
        .workers = (unsigned)arguments->workers,
        .steps = run->steps,
        .steps_count = run->steps_count,
        .timeout_ns = arguments->timeout_ns,
        .io = arguments->io,
        .progress = on_terminal() ? load_screen_show : NULL,
        .progress_context = &run->screen,
    };
    /* Blocked, they end the load early and what was measured is printed. */
    (void)weft_signal_block(ending, sizeof ending / sizeof ending[0]);
    int err = weft_load(&options, &result, error, sizeof error);
    load_screen_clear(&run->screen);
    if (err) {
        complain(run->command->name, "%s", error);
        return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    int status = tell(run, &result);
    weft_load_result_release(&result);
    return status;
}

static int compare(const struct command *command, const struct load_arguments *arguments,
                   const char *after)
{
    struct weft_load_comparison comparison;
    char error[ERROR_BYTES];
    if (!after) {
        complain(command->name, "the second result is missing: --compare before.json after.json");
        return EXIT_USAGE;
    }
    int err = weft_load_compare(arguments->compare, after, &comparison, error, sizeof error);
    if (err) {
        complain(command->name, "%s", error);
        return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    if (arguments->json)
        load_print_comparison_json(&comparison);
    else
        load_print_comparison(&comparison);
    return EXIT_OK;
}

static int run_with(const struct command *command, const struct load_arguments *arguments,
                    const char *argument)
{
    struct load_run run = {.command = command, .arguments = arguments, .url = argument};
    if (arguments->compare)
        return compare(command, arguments, argument);
    if (!argument && !arguments->url_file) {
        complain(command->name, "the URL is missing, like http://127.0.0.1:8001/process");
        return EXIT_USAGE;
    }
    int status = prepare(&run);
    if (status == EXIT_OK)
        status = measure(&run);
    if (run.hgrm)
        (void)fclose(run.hgrm);
    if (run.hdr_log)
        (void)fclose(run.hdr_log);
    free(run.body);
    free(run.steps);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct load_arguments arguments = {.connections = 64, .pipeline = 1, .workers = 1};
    struct settings settings;
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = run_with(command, &arguments, settings.argument);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct load_arguments, member)

static const struct option options[] = {
    {.name = "requests",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(requests),
     .min = 1,
     .help = "stop after so many requests"},
    {.name = "duration",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(duration_ns),
     .min = 1,
     .help = "start no request after so long, like 10s or 1m30s\n"
             "(default: 10s without --requests)"},
    {.name = "warmup",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(warmup_ns),
     .help = "before that, at the first rate; told apart, not counted"},
    {.name = "connections",
     .metavar = "C",
     .kind = OPTION_COUNT,
     .offset = FIELD(connections),
     .min = 1,
     .max = 10000,
     .help = "connections, kept open (default 64)"},
    {.name = "pipeline",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(pipeline),
     .min = 1,
     .max = 1024,
     .help = "requests at once on each connection (default 1)"},
    {.name = "workers",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(workers),
     .min = 1,
     .max = 256,
     .help = "threads that share the connections (default 1)"},
    {.name = "rate",
     .metavar = "R",
     .kind = OPTION_STRING,
     .offset = FIELD(rate),
     .help = "open loop: start R requests per second on a schedule and\n"
             "count latency from the intended start; steps and ramps:\n"
             "100/10s,200/10s,200:1000/1m\n"
             "(default: closed loop, the next when the last is done)"},
    {.name = "url-file",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(url_file),
     .help = "URLs instead of the argument, one a line, with a weight\n"
             "behind it; or JSON objects with url, method, headers,\n"
             "body, content_type, weight"},
    {.name = "method",
     .metavar = "M",
     .kind = OPTION_STRING,
     .offset = FIELD(method),
     .help = "GET, POST, PUT, ... (default: POST with a body, else GET;\n"
             "where GET is not allowed and POST is, POST of\n"
             "{\"text\": \"load {i}\"})"},
    {.name = "header",
     .letter = 'H',
     .metavar = "TEXT",
     .kind = OPTION_WORDS,
     .offset = FIELD(headers),
     .help = "'Name: value', as often as needed"},
    {.name = "body",
     .metavar = "JSON",
     .kind = OPTION_STRING,
     .offset = FIELD(body),
     .help = "what to send; {i}, also in the URL and in headers,\n"
             "becomes the number of the request, from 0"},
    {.name = "body-file",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(body_file),
     .help = "send what is in the file"},
    {.name = "content-type",
     .metavar = "TYPE",
     .kind = OPTION_STRING,
     .offset = FIELD(content_type),
     .help = "of the body (default application/json)"},
    {.name = "timeout",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(timeout_ns),
     .min = 1,
     .help = "for one request (default 30s)"},
    {.name = "fail-if",
     .metavar = "LIMIT",
     .kind = OPTION_WORDS,
     .offset = FIELD(limits),
     .help = "end with 1 when it is so: 'p99>50ms', 'errors>1%',\n"
             "'rate<1000', 'not-started>0'; as often as needed"},
    {.name = "hgrm",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(hgrm),
     .help = "write the latency's percentiles as HdrHistogram does"},
    {.name = "hdr-log",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(hdr_log),
     .help = "write the histograms as HdrHistogram's log"},
    {.name = "compare",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(compare),
     .help = "no load: show how the result in the argument differs\n"
             "from this one; several runs in a file give intervals"},
    {.name = "io",
     .metavar = "NAME",
     .kind = OPTION_REACTOR,
     .offset = FIELD(io),
     .help = "reactor, uring or epoll (default: the best there is)"},
    {.name = "config",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(config),
     .help = "settings file (default: ./weft.ini if there is one)"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .offset = FIELD(json),
     .help = "print a JSON object; latencies in milliseconds"},
    {.name = NULL},
};

const struct command command_load = {
    .name = "load",
    .summary = "drive a URL with requests and measure",
    .argument = "URL",
    .description =
        "Connections are opened before the clock starts. Ctrl-C ends the load early and\n"
        "prints what was measured. Exit code 1 when no request succeeded, or when what\n"
        "--fail-if says is so. Plain HTTP/1.1, no https.\n",
    .options = options,
    .examples = "  weft load http://127.0.0.1:8001/process --requests 4000 --connections 64\n"
                "  weft load http://127.0.0.1:8001/process --duration 30s --rate 2000 --json\n"
                "  weft load http://127.0.0.1:8001/process --rate 100:2000/1m --warmup 5s\n"
                "  weft load http://127.0.0.1:8001/process --body '{\"text\": \"order {i}\"}'\n"
                "  weft load --compare before.json after.json\n",
    .run = run,
};
