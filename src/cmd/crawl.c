/* SPDX-License-Identifier: MIT
 * crawl.c - `weft crawl`: follow links, print what was found, write reports. */
#include "commands.h"
#include "print.h"

#include <weft/crawl.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/signal.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_LIMIT UINT64_MAX

struct crawl_arguments {
    const char *store, *scope, *user_agent, *io, *config, *ca_file;
    const char *out, *links, *broken, *duplicates, *redirects;
    struct words seed, include, exclude, types, drop;
    uint64_t depth, pages, host_pages, body_size, concurrency, host_concurrency, attempts;
    int64_t delay_ns, timeout_ns;
    bool sort_query, ignore_robots, no_sitemaps, assets, external, allow_private, no_links;
    bool insecure, report, strict, json;
};

struct crawl_call {
    struct weft_crawl_options options;
    struct weft_crawl_result result;
    char error[512];
};

/* ---- reports ------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcasecmp(text + len - end_len, end) == 0;
}

static bool format_of(const char *path, enum weft_crawl_format *ret_format)
{
    static const struct {
        const char *end;
        enum weft_crawl_format format;
    } ends[] = {
        {".jsonl", WEFT_CRAWL_JSONL}, {".ndjson", WEFT_CRAWL_JSONL}, {".json", WEFT_CRAWL_JSONL},
        {".csv", WEFT_CRAWL_CSV},     {".dot", WEFT_CRAWL_DOT},      {".gv", WEFT_CRAWL_DOT},
    };
    *ret_format = WEFT_CRAWL_JSONL;
    if (strcmp(path, "-") == 0)
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ends_with(path, ends[i].end)) {
            *ret_format = ends[i].format;
            return true;
        }
    }
    return false;
}

struct wanted {
    const char *flag, *path;
    enum weft_crawl_report report;
};

#define REPORTS 5

static void list_reports(const struct crawl_arguments *arguments, struct wanted list[REPORTS])
{
    const struct wanted reports[REPORTS] = {
        {"out", arguments->out, WEFT_CRAWL_PAGES},
        {"links", arguments->links, WEFT_CRAWL_LINKS},
        {"broken", arguments->broken, WEFT_CRAWL_BROKEN},
        {"duplicates", arguments->duplicates, WEFT_CRAWL_DUPLICATES},
        {"redirects", arguments->redirects, WEFT_CRAWL_REDIRECTS},
    };
    memcpy(list, reports, sizeof reports);
}

/* Before hours of crawling. */
static bool check_reports(const struct command *command, const struct crawl_arguments *arguments)
{
    struct wanted list[REPORTS];
    enum weft_crawl_format format;
    list_reports(arguments, list);
    for (size_t i = 0; i < REPORTS; i++) {
        if (!list[i].path)
            continue;
        if (!format_of(list[i].path, &format)) {
            complain(command->name, "--%s: '%s' ends neither with .jsonl nor .csv", list[i].flag,
                     list[i].path);
            return false;
        }
        if (format == WEFT_CRAWL_DOT && list[i].report != WEFT_CRAWL_LINKS) {
            complain(command->name, "--%s: only links are a graph", list[i].flag);
            return false;
        }
    }
    if (arguments->no_links && (arguments->links || arguments->redirects)) {
        complain(command->name, "with --no-links there are none to be written");
        return false;
    }
    return true;
}

static bool write_report(const struct command *command, const char *store,
                         const struct wanted *wanted)
{
    enum weft_crawl_format format;
    char error[256];
    bool standard = strcmp(wanted->path, "-") == 0;
    (void)format_of(wanted->path, &format);
    int fd = standard ? STDOUT_FILENO
                      : open(wanted->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        complain(command->name, "cannot write %s: %s", wanted->path, weft_strerror(errno));
        return false;
    }
    if (standard)
        (void)fflush(stdout);
    int64_t rows =
        weft_crawl_write_report(store, wanted->report, format, fd, 0, error, sizeof error);
    if (!standard && close(fd) != 0 && rows >= 0) {
        (void)snprintf(error, sizeof error, "cannot write %s: %s", wanted->path,
                       weft_strerror(errno));
        rows = -EIO;
    }
    if (rows < 0)
        complain(command->name, "%s", error);
    return rows >= 0;
}

static int write_reports(const struct command *command, const struct crawl_arguments *arguments)
{
    struct wanted list[REPORTS];
    int status = EXIT_OK;
    list_reports(arguments, list);
    for (size_t i = 0; i < REPORTS; i++) {
        if (list[i].path && !write_report(command, arguments->store, &list[i]))
            status = EXIT_FAILED;
    }
    return status;
}

/* ---- what it prints ------------------------------------------------------------------------ */

static void draw_progress(void *context, const struct weft_crawl_progress *progress)
{
    char bytes[FIGURE_BYTES];
    double seconds = (double)progress->elapsed_ns / 1e9;
    uint64_t *before = context; /* done when this run began */
    if (*before == NO_LIMIT)
        *before = progress->done;
    (void)fprintf(stderr,
                  "\r%" PRIu64 " done, %" PRIu64 " broken, %" PRIu64 " waiting, %u running on %u "
                  "hosts  %.1f/s  %s \033[K",
                  progress->done, progress->failed, progress->waiting, progress->running,
                  progress->hosts, seconds > 0 ? (double)(progress->done - *before) / seconds : 0,
                  format_bytes(bytes, progress->bytes));
}

static void print_table(const struct weft_crawl_result *result)
{
    char text[FIGURE_BYTES];
    (void)printf("fetched     %" PRIu64 " in %s", result->fetched,
                 format_duration(text, result->elapsed_ns));
    if (result->done != result->fetched)
        (void)printf(", %" PRIu64 " with earlier runs", result->done);
    (void)printf("\nstatus     ");
    for (size_t i = 1; i < 6; i++) {
        if (result->status[i] > 0)
            (void)printf(" %zuxx %" PRIu64, i, result->status[i]);
    }
    if (result->status[0] > 0)
        (void)printf(" no answer %" PRIu64, result->status[0]);
    (void)printf("\nbroken      %" PRIu64 "\nredirects   %" PRIu64 "\nduplicates  %" PRIu64
                 "\nforbidden   %" PRIu64 " by robots.txt\n",
                 result->broken, result->redirects, result->duplicates, result->forbidden);
    (void)printf("known       %" PRIu64 " URLs, %" PRIu64 " out of scope, %" PRIu64
                 " beyond limits, %" PRIu64 " waiting\n",
                 result->known, result->outside, result->beyond, result->waiting);
    (void)printf("links       %" PRIu64 " on %" PRIu64 " hosts\n", result->links, result->hosts);
    (void)printf("bodies      %s\n", format_bytes(text, result->bytes));
}

static void print_json(const struct weft_crawl_result *result)
{
    (void)printf("{\"fetched\": %" PRIu64 ", \"done\": %" PRIu64 ", \"elapsed_s\": %.3f,\n"
                 " \"status\": {\"none\": %" PRIu64,
                 result->fetched, result->done, (double)result->elapsed_ns / 1e9,
                 result->status[0]);
    for (size_t i = 1; i < 6; i++)
        (void)printf(", \"%zuxx\": %" PRIu64, i, result->status[i]);
    (void)printf("},\n \"broken\": %" PRIu64 ", \"redirects\": %" PRIu64
                 ", \"duplicates\": %" PRIu64 ", \"forbidden\": %" PRIu64 ",\n",
                 result->broken, result->redirects, result->duplicates, result->forbidden);
    (void)printf(" \"known\": %" PRIu64 ", \"outside\": %" PRIu64 ", \"beyond\": %" PRIu64
                 ", \"waiting\": %" PRIu64 ",\n",
                 result->known, result->outside, result->beyond, result->waiting);
    (void)printf(" \"links\": %" PRIu64 ", \"hosts\": %" PRIu64 ", \"body_bytes\": %" PRIu64
                 ", \"retries\": %" PRIu64 ", \"stopped\": %s}\n",
                 result->links, result->hosts, result->bytes, result->retries,
                 result->stopped ? "true" : "false");
}

/* ---- the run ------------------------------------------------------------------------------- */

static int until_signal(void *arg)
{
    static const int ending[] = {SIGINT, SIGTERM};
    return weft_signal_cancel(arg, ending, sizeof ending / sizeof ending[0]);
}

/* The first fiber. */
static int run_crawl(void *arg)
{
    struct crawl_call *call = arg;
    struct weft_group watchers;
    struct weft_scope scope;
    int err = weft_group_init(&watchers, &(struct weft_group_options){.name = "watchers"});
    if (err)
        return err;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    err = weft_spawn(&watchers, until_signal, &scope);
    if (err == 0)
        err = weft_crawl(&call->options, &call->result, call->error, sizeof call->error);
    err = weft_scope_leave(&scope, err);
    weft_group_close(&watchers);
    return err;
}

static bool take_scope(const char *name, enum weft_crawl_scope *ret_scope)
{
    static const char *const names[] = {
        [WEFT_CRAWL_HOST] = "host",
        [WEFT_CRAWL_DOMAIN] = "domain",
        [WEFT_CRAWL_PREFIX] = "prefix",
        [WEFT_CRAWL_ANYWHERE] = "all",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_scope = (enum weft_crawl_scope)i;
            return true;
        }
    }
    return false;
}

/* "example.org" is meant as "http://example.org". Returns memory to be freed. */
static char *with_scheme(const char *text)
{
    char *url = NULL;
    if (strstr(text, "://"))
        return strdup(text);
    return asprintf(&url, "http://%s", text) < 0 ? NULL : url;
}

struct seeds {
    char *items[WORDS_MAX + 1];
    const char *list[WORDS_MAX + 1];
    size_t count;
};

static bool take_seeds(struct seeds *seeds, const char *argument, const struct words *more)
{
    size_t wanted = (argument != NULL) + more->count;
    for (size_t i = 0; i < wanted; i++) {
        const char *text = argument && i == 0 ? argument : more->items[i - (argument != NULL)];
        char *url = with_scheme(text);
        if (!url)
            return false;
        seeds->list[seeds->count] = seeds->items[seeds->count] = url;
        seeds->count++;
    }
    return true;
}

static void fill_options(struct weft_crawl_options *options,
                         const struct crawl_arguments *arguments, const struct seeds *seeds)
{
    *options = (struct weft_crawl_options){
        .seeds = seeds->list,
        .seeds_count = seeds->count,
        .store = arguments->store,
        .scope = options->scope,
        .include = arguments->include.items,
        .include_count = arguments->include.count,
        .exclude = arguments->exclude.items,
        .exclude_count = arguments->exclude.count,
        .depth_max = arguments->depth == NO_LIMIT ? 0
                     : arguments->depth == 0      ? WEFT_CRAWL_DEPTH_0
                                                  : (int)arguments->depth,
        .pages_max = arguments->pages,
        .host_pages_max = arguments->host_pages,
        .body_bytes_max = arguments->body_size,
        .types = arguments->types.items,
        .types_count = arguments->types.count,
        .drop = arguments->drop.items,
        .drop_count = arguments->drop.count,
        .sort_query = arguments->sort_query,
        .concurrency = (unsigned)arguments->concurrency,
        .host_concurrency = (unsigned)arguments->host_concurrency,
        .delay_ns = arguments->delay_ns > 0 ? arguments->delay_ns : WEFT_CRAWL_NO_DELAY,
        .timeout_ns = arguments->timeout_ns,
        .attempts_max = (unsigned)arguments->attempts,
        .user_agent = arguments->user_agent,
        .ignore_robots = arguments->ignore_robots,
        .ignore_sitemaps = arguments->no_sitemaps,
        .assets = arguments->assets,
        .external = arguments->external,
        .no_links = arguments->no_links,
        .allow_private = arguments->allow_private,
        .ca_file = arguments->ca_file,
        .tls_insecure = arguments->insecure,
    };
}

static int crawl(const struct command *command, const struct crawl_arguments *arguments,
                 struct crawl_call *call)
{
    static const int ending[] = {SIGINT, SIGTERM};
    uint64_t before = NO_LIMIT;
    (void)weft_signal_block(ending, sizeof ending / sizeof ending[0]);
    if (isatty(STDERR_FILENO)) {
        call->options.on_progress = draw_progress;
        call->options.on_progress_context = &before;
    }
    int err = weft_run(&(struct weft_run_options){.io = arguments->io}, run_crawl, call);
    if (call->options.on_progress)
        (void)fprintf(stderr, "\r\033[K");
    if (err && err != -ECANCELED) {
        complain(command->name, "%s", call->error[0] ? call->error : weft_strerror(err));
        return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    if (err)
        complain(command->name, "interrupted; the same command goes on from here");
    bool standard_output = false; /* has another use */
    struct wanted list[REPORTS];
    list_reports(arguments, list);
    for (size_t i = 0; i < REPORTS; i++)
        standard_output = standard_output || (list[i].path && strcmp(list[i].path, "-") == 0);
    if (arguments->json)
        print_json(&call->result);
    else if (!standard_output)
        print_table(&call->result);
    int status = write_reports(command, arguments);
    return err || (arguments->strict && call->result.broken > 0) ? EXIT_FAILED : status;
}

static int run_with(const struct command *command, const struct crawl_arguments *arguments,
                    const char *argument)
{
    struct crawl_call *call = calloc(1, sizeof *call);
    struct seeds *seeds = calloc(1, sizeof *seeds);
    int status = EXIT_USAGE;
    if (!call || !seeds || !take_seeds(seeds, argument, &arguments->seed)) {
        complain(command->name, "out of memory");
        status = EXIT_FAILED;
    } else if (arguments->scope && !take_scope(arguments->scope, &call->options.scope)) {
        complain(command->name, "--scope: '%s' is not host, domain, prefix or all",
                 arguments->scope);
    } else if (seeds->count == 0 && access(arguments->store, F_OK) != 0) {
        complain(command->name, "the URL is missing, and there is no store %s to go on with",
                 arguments->store);
    } else if (check_reports(command, arguments)) {
        fill_options(&call->options, arguments, seeds);
        status =
            arguments->report ? write_reports(command, arguments) : crawl(command, arguments, call);
    }
    for (size_t i = 0; seeds && i < seeds->count; i++)
        free(seeds->items[i]);
    free(seeds);
    free(call);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct crawl_arguments arguments = {
        .store = "crawl.db",
        .depth = NO_LIMIT,
        .concurrency = 32,
        .host_concurrency = 1,
        .attempts = 3,
        .delay_ns = 1 * WEFT_SEC,
    };
    struct settings settings;
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = run_with(command, &arguments, settings.argument);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct crawl_arguments, member)

static const struct option options[] = {
    {.name = "store",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(store),
     .help = "SQLite file with all that is known; a crawl that was\n"
             "stopped, or killed, goes on there (default crawl.db)"},
    {.name = "seed",
     .metavar = "URL",
     .kind = OPTION_WORDS,
     .offset = FIELD(seed),
     .help = "another URL to begin with; may be given several times"},
    {.name = "scope",
     .metavar = "NAME",
     .kind = OPTION_STRING,
     .offset = FIELD(scope),
     .help = "which links are followed: those to the same host, to its\n"
             "domain (hosts below it), with the prefix (the directory)\n"
             "of a seed, or all (default host)"},
    {.name = "include",
     .metavar = "REGEX",
     .kind = OPTION_WORDS,
     .offset = FIELD(include),
     .help = "of these only URLs that match; several: one of them"},
    {.name = "exclude",
     .metavar = "REGEX",
     .kind = OPTION_WORDS,
     .offset = FIELD(exclude),
     .help = "and none that matches"},
    {.name = "depth",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(depth),
     .max = 1000000,
     .help = "links away from a seed at most (default: no limit)"},
    {.name = "pages",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(pages),
     .min = 1,
     .help = "fetch so many at most, over all runs (default: no limit)"},
    {.name = "host-pages",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(host_pages),
     .min = 1,
     .help = "the same for each host (default: no limit)"},
    {.name = "body-size",
     .metavar = "BYTES",
     .kind = OPTION_SIZE,
     .offset = FIELD(body_size),
     .min = 1,
     .max = 1 << 30,
     .help = "of one page at most (default 8MiB)"},
    {.name = "types",
     .metavar = "TYPE",
     .kind = OPTION_WORDS,
     .offset = FIELD(types),
     .help = "content types that are read, like text/html, or text/\n"
             "for all texts (default: all)"},
    {.name = "drop",
     .metavar = "NAME",
     .kind = OPTION_WORDS,
     .offset = FIELD(drop),
     .help = "parameter that is left out of URLs, like PHPSESSID, or\n"
             "utm_* for all that begin so"},
    {.name = "sort-query",
     .kind = OPTION_FLAG,
     .offset = FIELD(sort_query),
     .help = "the order of parameters makes no difference"},
    {.name = "concurrency",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(concurrency),
     .min = 1,
     .max = 1000,
     .help = "requests at once (default 32)"},
    {.name = "host-concurrency",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(host_concurrency),
     .min = 1,
     .max = 1000,
     .help = "to one host (default 1)"},
    {.name = "delay",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(delay_ns),
     .help = "from one request to a host to the next; its Crawl-delay\n"
             "counts if it is longer, up to a minute (default 1s)"},
    {.name = "timeout",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(timeout_ns),
     .min = 1,
     .help = "for one request (default 30s)"},
    {.name = "attempts",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(attempts),
     .min = 1,
     .max = 100,
     .help = "for each URL (default 3)"},
    {.name = "user-agent",
     .metavar = "TEXT",
     .kind = OPTION_STRING,
     .offset = FIELD(user_agent),
     .help = "who asks; robots.txt is read for the name in front of\n"
             "its version (default weft/VERSION)"},
    {.name = "ignore-robots",
     .kind = OPTION_FLAG,
     .offset = FIELD(ignore_robots),
     .help = "for sites of your own: robots.txt, meta robots and\n"
             "nofollow do not count"},
    {.name = "no-sitemaps",
     .kind = OPTION_FLAG,
     .offset = FIELD(no_sitemaps),
     .help = "do not read sitemaps"},
    {.name = "assets",
     .kind = OPTION_FLAG,
     .offset = FIELD(assets),
     .help = "fetch images, scripts and style sheets as well"},
    {.name = "external",
     .kind = OPTION_FLAG,
     .offset = FIELD(external),
     .help = "see whether links out of scope are broken, too"},
    {.name = "allow-private",
     .kind = OPTION_FLAG,
     .offset = FIELD(allow_private),
     .help = "hosts of private networks and of this machine are\n"
             "allowed as well"},
    {.name = "no-links",
     .kind = OPTION_FLAG,
     .offset = FIELD(no_links),
     .help = "keep no links: a smaller store, no graph, no referrers"},
    {.name = "ca-file",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(ca_file),
     .help = "authorities to trust, PEM (default: the system's)"},
    {.name = "insecure",
     .kind = OPTION_FLAG,
     .offset = FIELD(insecure),
     .help = "take any certificate"},
    {.name = "out",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(out),
     .help = "write every result at the end; .jsonl or .csv, - for\n"
             "JSON lines on standard output; so do the following"},
    {.name = "links",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(links),
     .help = "what leads where; .dot as well, for graphviz"},
    {.name = "broken",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(broken),
     .help = "broken links, with the pages that have them"},
    {.name = "duplicates",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(duplicates),
     .help = "pages with the same content"},
    {.name = "redirects",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(redirects),
     .help = "redirects, from where to where"},
    {.name = "report",
     .kind = OPTION_FLAG,
     .offset = FIELD(report),
     .help = "do not crawl: only write these of the store"},
    {.name = "strict",
     .kind = OPTION_FLAG,
     .offset = FIELD(strict),
     .help = "exit code 1 when a link is broken"},
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
    {.name = "json", .kind = OPTION_FLAG, .offset = FIELD(json), .help = "print a JSON object"},
    {.name = NULL},
};

const struct command command_crawl = {
    .name = "crawl",
    .summary = "follow links politely and report what is broken",
    .argument = "URL",
    .description = "robots.txt is respected, and hosts of private networks are refused. All that\n"
                   "is known is in the store: the same command goes on after Ctrl-C, or kill -9.\n"
                   "Without a URL the crawl of the store goes on.\n",
    .options = options,
    .examples = "  weft crawl https://example.org/ --depth 3 --broken broken.csv\n"
                "  weft crawl https://example.org/docs/ --scope prefix --links graph.dot\n"
                "  weft crawl http://127.0.0.1:8080/ --allow-private --delay 0s --json\n"
                "  weft crawl --store crawl.db --report --duplicates -\n",
    .run = run,
};
