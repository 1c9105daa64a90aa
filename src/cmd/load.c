/* SPDX-License-Identifier: MIT
 * load.c - `weft load`: drive a URL and print what was measured. */
#include "commands.h"
#include "print.h"

#include <weft/load.h>
#include <weft/signal.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct load_arguments {
    const char *method, *body, *io, *config;
    uint64_t requests, connections;
    int64_t duration_ns, timeout_ns;
    double rate_per_s;
    bool json;
};

#define BAR_WIDTH 30

/* One line, written over and over. */
static void draw_bar(void *context, uint64_t done, double fraction, double requests_per_s)
{
    static const char full[] = "##############################";
    int width = (int)(fraction * BAR_WIDTH);
    (void)context;
    (void)fprintf(stderr, "\r[%-*.*s] %3d %%  %" PRIu64 " requests  %.0f/s \033[K", BAR_WIDTH,
                  width, full, (int)(fraction * 100), done, requests_per_s);
}

static const struct {
    const char *name;
    enum weft_load_error error;
} error_names[] = {
    {"connect", WEFT_LOAD_CONNECT},   {"timeout", WEFT_LOAD_TIMEOUT}, {"reset", WEFT_LOAD_RESET},
    {"protocol", WEFT_LOAD_PROTOCOL}, {"status", WEFT_LOAD_STATUS},
};
#define ERROR_NAMES (sizeof error_names / sizeof error_names[0])

struct percentile {
    const char *name;
    int64_t value_ns;
};
#define PERCENTILES 9

static void list_percentiles(const struct weft_load_result *result,
                             struct percentile list[PERCENTILES])
{
    const struct percentile values[PERCENTILES] = {
        {"min", result->latency_min_ns}, {"mean", result->latency_mean_ns},
        {"p50", result->latency_p50_ns}, {"p75", result->latency_p75_ns},
        {"p90", result->latency_p90_ns}, {"p95", result->latency_p95_ns},
        {"p99", result->latency_p99_ns}, {"p99.9", result->latency_p999_ns},
        {"max", result->latency_max_ns},
    };
    memcpy(list, values, sizeof values);
}

static uint64_t count_errors(const struct weft_load_result *result)
{
    uint64_t errors = 0;
    for (size_t i = 0; i < WEFT_LOAD_ERRORS; i++)
        errors += result->errors[i];
    return errors;
}

static void print_errors(const struct weft_load_result *result)
{
    const char *before = "   (";
    (void)printf("errors      %" PRIu64, count_errors(result));
    for (size_t i = 0; i < ERROR_NAMES; i++) {
        uint64_t count = result->errors[error_names[i].error];
        if (count > 0) {
            (void)printf("%s%" PRIu64 " %s", before, count, error_names[i].name);
            before = ", ";
        }
    }
    (void)printf("%s\n", count_errors(result) > 0 ? ")" : "");
}

static void print_status(const struct weft_load_result *result)
{
    (void)printf("status     ");
    for (size_t i = 1; i < 6; i++) {
        if (result->status[i] > 0)
            (void)printf(" %zuxx %" PRIu64, i, result->status[i]);
    }
    if (result->status[0] > 0)
        (void)printf(" invalid %" PRIu64, result->status[0]);
    (void)printf("\n");
}

static void print_table(const struct weft_load_options *options,
                        const struct weft_load_result *result)
{
    char text[FIGURE_BYTES], more[FIGURE_BYTES];
    struct percentile list[PERCENTILES];
    (void)printf("%s %s, %u connections, ", result->method, options->url, options->connections);
    if (options->rate_per_s > 0)
        (void)printf("open loop at %g requests/s\n\n", options->rate_per_s);
    else
        (void)printf("closed loop\n\n");
    (void)printf("requests    %" PRIu64 " in %s\n", result->requests,
                 format_duration(text, result->elapsed_ns));
    (void)printf("succeeded   %" PRIu64 ", %.1f requests/s\n", result->succeeded,
                 result->requests_per_s);
    print_errors(result);
    print_status(result);
    if (options->rate_per_s > 0)
        (void)printf("not started %" PRIu64 "\n", result->not_started);
    (void)printf("traffic     %s read, %s written\n\n", format_bytes(text, result->bytes_read),
                 format_bytes(more, result->bytes_written));
    list_percentiles(result, list);
    (void)printf("latency\n");
    for (size_t i = 0; i < PERCENTILES && result->succeeded > 0; i++)
        (void)printf("  %-6s%12s\n", list[i].name, format_duration(text, list[i].value_ns));
    if (result->succeeded == 0)
        (void)printf("  no request succeeded\n");
}

static void print_json(const struct weft_load_options *options,
                       const struct weft_load_result *result)
{
    struct percentile list[PERCENTILES];
    (void)printf("{\"url\": ");
    print_json_string(options->url);
    (void)printf(", \"method\": \"%s\", \"connections\": %u,\n \"rate_per_s\": ", result->method,
                 options->connections);
    if (options->rate_per_s > 0)
        (void)printf("%.17g", options->rate_per_s);
    else
        (void)printf("null");
    (void)printf(", \"elapsed_s\": %.9f, \"requests\": %" PRIu64 ", \"succeeded\": %" PRIu64
                 ", \"not_started\": %" PRIu64 ", \"requests_per_s\": %.3f,\n \"errors\": {",
                 (double)result->elapsed_ns / 1e9, result->requests, result->succeeded,
                 result->not_started, result->requests_per_s);
    for (size_t i = 0; i < ERROR_NAMES; i++)
        (void)printf("%s\"%s\": %" PRIu64, i ? ", " : "", error_names[i].name,
                     result->errors[error_names[i].error]);
    (void)printf("},\n \"status\": {\"invalid\": %" PRIu64, result->status[0]);
    for (size_t i = 1; i < 6; i++)
        (void)printf(", \"%zuxx\": %" PRIu64, i, result->status[i]);
    (void)printf("}, \"bytes_read\": %" PRIu64 ", \"bytes_written\": %" PRIu64
                 ",\n \"latency_ms\": ",
                 result->bytes_read, result->bytes_written);
    list_percentiles(result, list);
    for (size_t i = 0; i < PERCENTILES && result->succeeded > 0; i++) {
        (void)printf(i ? ", " : "{");
        print_json_ms(list[i].name, list[i].value_ns);
    }
    (void)printf(result->succeeded > 0 ? "}}\n" : "null}\n");
}

static int measure(const struct command *command, const char *url,
                   const struct load_arguments *arguments)
{
    static const int ending[] = {SIGINT, SIGTERM};
    char error[512];
    struct weft_load_result result;
    struct weft_load_options options = {
        .url = url,
        .method = arguments->method,
        .body = arguments->body,
        .requests = arguments->requests,
        .duration_ns = arguments->duration_ns,
        .connections = (unsigned)arguments->connections,
        .rate_per_s = arguments->rate_per_s,
        .timeout_ns = arguments->timeout_ns,
        .io = arguments->io,
        .progress = isatty(STDERR_FILENO) ? draw_bar : NULL,
    };
    /* Blocked, they end the load early and what was measured is printed. */
    (void)weft_signal_block(ending, sizeof ending / sizeof ending[0]);
    int err = weft_load(&options, &result, error, sizeof error);
    if (options.progress)
        (void)fprintf(stderr, "\r\033[K");
    if (err) {
        complain(command->name, "%s", error);
        return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    if (result.stopped)
        complain(command->name, "interrupted: these are the figures until then");
    if (arguments->json)
        print_json(&options, &result);
    else
        print_table(&options, &result);
    return result.succeeded > 0 ? EXIT_OK : EXIT_FAILED;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct load_arguments arguments = {.connections = 64};
    struct settings settings;
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK && !settings.argument) {
        complain(command->name, "the URL is missing, like http://127.0.0.1:8001/process");
        status = EXIT_USAGE;
    }
    if (status == EXIT_OK)
        status = measure(command, settings.argument, &arguments);
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
    {.name = "connections",
     .metavar = "C",
     .kind = OPTION_COUNT,
     .offset = FIELD(connections),
     .min = 1,
     .max = 10000,
     .help = "connections, each with one request at a time (default 64)"},
    {.name = "rate",
     .metavar = "R",
     .kind = OPTION_RATE,
     .offset = FIELD(rate_per_s),
     .help = "open loop: start R requests per second on a schedule and\n"
             "count latency from the intended start\n"
             "(default: closed loop, the next when the last is done)"},
    {.name = "body",
     .metavar = "JSON",
     .kind = OPTION_STRING,
     .offset = FIELD(body),
     .help = "what to send; {i} becomes the number of the request,\n"
             "from 0"},
    {.name = "method",
     .metavar = "M",
     .kind = OPTION_STRING,
     .offset = FIELD(method),
     .help = "GET, POST, PUT, ... (default: POST with a body, else GET;\n"
             "where GET is not allowed and POST is, POST of\n"
             "{\"text\": \"load {i}\"})"},
    {.name = "timeout",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(timeout_ns),
     .min = 1,
     .help = "for one request (default 30s)"},
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
        "prints what was measured. Exit code 1 when no request succeeded.\n",
    .options = options,
    .examples = "  weft load http://127.0.0.1:8001/process --requests 4000 --connections 64\n"
                "  weft load http://127.0.0.1:8001/process --duration 30s --rate 2000 --json\n"
                "  weft load http://127.0.0.1:8001/process --body '{\"text\": \"order {i}\"}'\n",
    .run = run,
};
