/* SPDX-License-Identifier: MIT
 * mock.c - `weft mock`: an API server to measure and to test clients against. */
#include "commands.h"

#include "print.h"

#include <weft/mock.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROBOTS_BYTES_MAX ((size_t)4 << 20)

struct mock_arguments {
    const char *listen, *latency, *rate_limit, *retry_after, *robots, *io, *config;
    uint64_t workers, seed, robots_status, connections;
    uint64_t site_pages, site_depth, site_links;
    double error_rate, reset_rate, site_broken;
    bool insecure, json;
};

static void print_ready(void *context, const struct weft_mock *mock)
{
    const struct mock_arguments *arguments = context;
    const char *url = weft_mock_url(mock);
    if (arguments->json) {
        (void)printf("{\"url\": \"%s\", \"port\": %u}\n", url, (unsigned)weft_mock_port(mock));
    } else {
        (void)printf("weft mocks on %s\n", url);
        (void)printf("try: curl -s '%s/users/7?latency=0'\n", url);
    }
    (void)fflush(stdout);
}

static void print_table(const struct weft_mock *mock, const struct weft_mock_stats *stats)
{
    struct weft_mock_route_stats route;
    (void)printf("%" PRIu64 " requests on %" PRIu64 " connections\n", stats->requests,
                 stats->connections);
    for (unsigned i = 0; weft_mock_route_stats(mock, i, &route) == 0; i++) {
        if (route.requests > 0)
            (void)printf("  %-24s %10" PRIu64 "   at most %u at once\n", route.route,
                         route.requests, route.most);
    }
}

static void print_json_object(const struct weft_mock *mock, const struct weft_mock_stats *stats)
{
    struct weft_mock_route_stats route;
    const char *comma = "";
    (void)printf("{\"requests\": %" PRIu64 ", \"unrouted\": %" PRIu64 ", \"refused\": %" PRIu64
                 ", \"resets\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"connections\": %" PRIu64
                 ", \"routes\": {",
                 stats->requests, stats->unrouted, stats->refused, stats->resets, stats->bytes,
                 stats->connections);
    for (unsigned i = 0; weft_mock_route_stats(mock, i, &route) == 0; i++) {
        if (route.requests == 0)
            continue;
        (void)printf("%s", comma);
        print_json_string(route.route);
        (void)printf(": {\"requests\": %" PRIu64 ", \"resets\": %" PRIu64
                     ", \"abandoned\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"most\": %u}",
                     route.requests, route.resets, route.abandoned, route.bytes, route.most);
        comma = ", ";
    }
    (void)printf("}}\n");
}

static void print_end(void *context, const struct weft_mock *mock)
{
    const struct mock_arguments *arguments = context;
    struct weft_mock_stats stats;
    weft_mock_stats(mock, &stats);
    if (arguments->json)
        print_json_object(mock, &stats);
    else
        print_table(mock, &stats);
}

/* The file as a text. NULL after a sentence; what is read is the caller's to free. */
static char *read_robots(const struct command *command, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(ROBOTS_BYTES_MAX + 1) : NULL;
    size_t len = text ? fread(text, 1, ROBOTS_BYTES_MAX + 1, file) : 0;
    const char *wrong = NULL;
    if (!file || !text || ferror(file))
        wrong = strerrordesc_np(errno);
    else if (len > ROBOTS_BYTES_MAX)
        wrong = "it is larger than 4 MiB";
    else if (memchr(text, '\0', len))
        wrong = "there is a NUL character in it";
    else
        text[len] = '\0';
    if (file)
        (void)fclose(file);
    if (!wrong)
        return text;
    complain(command->name, "%s cannot be read: %s", path, wrong);
    free(text);
    return NULL;
}

static int serve(const struct command *command, struct mock_arguments *arguments,
                 const char *robots)
{
    char error[512] = "";
    const struct weft_mock_options options = {
        .listen = arguments->listen,
        .insecure = arguments->insecure,
        .workers = (unsigned)arguments->workers,
        .seed = arguments->seed,
        .latency = arguments->latency,
        .error_rate = arguments->error_rate,
        .reset_rate = arguments->reset_rate,
        .rate_limit = arguments->rate_limit,
        .retry_after_date = strcmp(arguments->retry_after, "date") == 0,
        .robots = robots,
        .robots_status = (int)arguments->robots_status,
        .site =
            {
                .pages = (unsigned)arguments->site_pages,
                .depth = (unsigned)arguments->site_depth,
                .links = (unsigned)arguments->site_links,
                /* 0 would mean the default; who asks for none gets none. */
                .broken = arguments->site_broken > 0 ? arguments->site_broken : -1,
            },
        .connections_max = (unsigned)arguments->connections,
        .io = arguments->io,
        .ready = print_ready,
        .ended = print_end,
        .context = arguments,
    };
    int err = weft_mock_serve(&options, error, sizeof error);
    if (err == 0)
        return EXIT_OK;
    complain(command->name, "%s", error[0] ? error : weft_strerror(err));
    return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static int check(const struct command *command, const struct mock_arguments *arguments)
{
    if (strcmp(arguments->retry_after, "seconds") == 0 ||
        strcmp(arguments->retry_after, "date") == 0)
        return EXIT_OK;
    complain(command->name, "--retry-after: '%s' is neither seconds nor date",
             arguments->retry_after);
    return EXIT_USAGE;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct mock_arguments arguments = {
        .workers = 1,
        .seed = 1,
        .retry_after = "seconds",
        .site_broken = 0.05,
    };
    struct settings settings;
    char *robots = NULL;
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = check(command, &arguments);
    if (status == EXIT_OK && arguments.robots) {
        robots = read_robots(command, arguments.robots);
        status = robots ? EXIT_OK : EXIT_FAILED;
    }
    if (status == EXIT_OK)
        status = serve(command, &arguments, robots);
    free(robots);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct mock_arguments, member)

static const struct option options[] = {
    {.name = "listen",
     .metavar = "ADDRESS",
     .kind = OPTION_STRING,
     .offset = FIELD(listen),
     .help = "address and port (default 127.0.0.1:8080); port 0 picks a\n"
             "free one; not loopback: needs --insecure"},
    {.name = "latency",
     .metavar = "D",
     .kind = OPTION_STRING,
     .offset = FIELD(latency),
     .help = "of answers, where the request does not say: 100ms,\n"
             "uniform:50ms,150ms, lognormal:MEDIAN,SIGMA[,MAX] or\n"
             "pareto:MIN,ALPHA[,MAX]; at most 60s\n"
             "(default: 100ms, 150ms and 200ms of users, orders and\n"
             "webhooks, 100ms of /error-simulation, else none)"},
    {.name = "error-rate",
     .metavar = "SHARE",
     .kind = OPTION_SHARE,
     .offset = FIELD(error_rate),
     .help = "of answers that are a 500, like 0.05 or 5% (default 0)"},
    {.name = "reset-rate",
     .metavar = "SHARE",
     .kind = OPTION_SHARE,
     .offset = FIELD(reset_rate),
     .help = "of requests whose connection is reset, before the answer\n"
             "or within it (default 0)"},
    {.name = "rate-limit",
     .metavar = "N/T",
     .kind = OPTION_STRING,
     .offset = FIELD(rate_limit),
     .help = "requests of a client in a window of time, like 10/1s;\n"
             "then 429 (default: no limit)"},
    {.name = "retry-after",
     .metavar = "FORM",
     .kind = OPTION_STRING,
     .offset = FIELD(retry_after),
     .help = "what Retry-After says with a 429: seconds (default), or\n"
             "date"},
    {.name = "seed",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(seed),
     .min = 1,
     .help = "of all that is left to chance (default 1): the same seed\n"
             "and order of requests per route give the same answers"},
    {.name = "workers",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(workers),
     .min = 1,
     .max = 64,
     .help = "threads that serve (default 1)"},
    {.name = "connections",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(connections),
     .min = 1,
     .max = 1000000,
     .help = "at once; beyond it 503 (default 10000)"},
    {.name = "robots",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(robots),
     .help = "what /robots.txt says (default: stay away from\n"
             "/site/private/)"},
    {.name = "robots-status",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(robots_status),
     .min = 200,
     .max = 599,
     .help = "its status (default 200); a redirect leads to the file"},
    {.name = "site-pages",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(site_pages),
     .min = 1,
     .max = 10000000,
     .help = "pages under /site/ (default 1000)"},
    {.name = "site-depth",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(site_depth),
     .min = 1,
     .max = 30,
     .help = "links from the first page to the last (default 4)"},
    {.name = "site-links",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(site_links),
     .min = 1,
     .max = 100,
     .help = "of a page to others than those below it (default 5)"},
    {.name = "site-broken",
     .metavar = "SHARE",
     .kind = OPTION_SHARE,
     .offset = FIELD(site_broken),
     .help = "of pages with a link to nowhere (default 0.05)"},
    {.name = "insecure",
     .kind = OPTION_FLAG,
     .offset = FIELD(insecure),
     .help = "listen on any address"},
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
     .help = "print a JSON object when it listens, and one with the\n"
             "counters at the end"},
    {.name = NULL},
};

const struct command command_mock = {
    .name = "mock",
    .summary = "serve an API to test and measure clients against",
    .description = "Users, orders and webhooks; statuses, delays, bytes and echoes; slow,\n"
                   "compressed, broken and endless answers; redirects, cookies, limits; a site to\n"
                   "crawl. A request can ask for more in its query, as in\n"
                   "/get?latency=pareto:5ms,1.5&error_rate=0.1. GET /__stats tells what was\n"
                   "counted, POST /__reset begins anew; docs/mock.md has all of it. SIGTERM or\n"
                   "Ctrl-C answers what is under way, for at most 10 s.\n",
    .options = options,
    .examples = "  weft mock\n"
                "  weft mock --latency lognormal:20ms,0.5 --error-rate 1% --seed 42\n"
                "  weft mock --listen 127.0.0.1:0 --rate-limit 100/1s --retry-after date\n"
                "  WEFT_MOCK_WORKERS=2 weft mock --site-pages 1000000\n",
    .variables = "WEFT_MOCK_",
    .run = run,
};
