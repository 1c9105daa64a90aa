/* SPDX-License-Identifier: MIT
 * fetch.c - `weft fetch`: fetch URLs, few or millions, and tell what came of it. */
#include "commands.h"
#include "fetch_print.h"
#include "print.h"

#include <weft/fetch.h>
#include <weft/group.h>
#include <weft/runtime.h>
#include <weft/signal.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_BYTES_MAX ((size_t)64 << 20)
#define ERROR_BYTES    512
#define OTHER_FILES    64u /* beside the connections' */

struct fetch_arguments {
    const char *input, *engine, *method, *body, *existing, *pooling, *fail_on;
    const char *ca_file, *user_agent, *proxy, *io, *config;
    struct words headers, out;
    uint64_t concurrency, host_concurrency, attempts, redirects, body_max, repeat, workers, ahead;
    double rate, host_rate;
    int64_t timeout_ns, connect_timeout_ns, total_timeout_ns, grace_ns;
    bool resume, redo_failed, no_breaker, breaker_waits, http2, insecure, refuse_private, json;
};

struct fetch {
    const struct command *command;
    const struct fetch_arguments *arguments;
    struct weft_fetch_options options;
    struct weft_fetch_source_options source;
    struct weft_http_field fields[WORDS_MAX];
    char *texts[WORDS_MAX]; /* behind the fields */
    char *body;             /* that was read from a file */
    struct weft_sink_output outputs[WEFT_SINK_OUTPUTS_MAX];
    size_t outputs_count;
    const char *database; /* the output that is one; NULL: none */
    struct weft_event stop;
    struct weft_fetch_summary summary;
    char error[ERROR_BYTES];
};

/* ---- arguments ---------------------------------------------------------------------------- */

/* The index of a word; -1 after a sentence. */
static int choose(const struct command *command, const char *option, const char *word,
                  const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) == 0)
            return i;
    }
    char list[128] = "";
    for (int i = 0; words[i]; i++) {
        size_t len = strlen(list);
        (void)snprintf(list + len, sizeof list - len, "%s%s",
                       i == 0         ? ""
                       : words[i + 1] ? ", "
                                      : " or ",
                       words[i]);
    }
    complain(command->name, "--%s: '%s' is not %s", option, word, list);
    return -1;
}

static int take_header(struct fetch *fetch, const char *header)
{
    size_t number = fetch->source.fields_count;
    const char *colon = strchr(header, ':');
    if (!colon || colon == header) {
        complain(fetch->command->name, "--header: '%s' is not like 'Name: value'", header);
        return EXIT_USAGE;
    }
    char *text = strdup(header);
    if (!text)
        return EXIT_FAILED;
    char *value = text + (colon - header);
    *value++ = '\0';
    value += strspn(value, " \t");
    fetch->texts[number] = text;
    fetch->fields[number] = (struct weft_http_field){text, value};
    fetch->source.fields = fetch->fields;
    fetch->source.fields_count++;
    return EXIT_OK;
}

/* "@FILE" is what stands in the file. */
static int take_body(struct fetch *fetch, const char *text)
{
    const char *name = fetch->command->name;
    fetch->source.body = text;
    fetch->source.body_len = strlen(text);
    if (*text != '@')
        return EXIT_OK;
    FILE *file = fopen(text + 1, "re");
    if (!file) {
        complain(name, "%s cannot be opened: %s", text + 1, weft_strerror(errno));
        return EXIT_USAGE;
    }
    size_t len = 0, capacity = 0;
    do {
        capacity = capacity ? capacity * 2 : 65536;
        char *body = realloc(fetch->body, capacity);
        if (!body)
            break;
        fetch->body = body;
        len += fread(body + len, 1, capacity - len, file);
    } while (len == capacity && capacity < 2 * BODY_BYTES_MAX);
    bool failed = ferror(file) || !feof(file) || len > BODY_BYTES_MAX;
    (void)fclose(file);
    if (failed) {
        complain(name, "%s cannot be read, or is larger than 64 MiB", text + 1);
        return EXIT_USAGE;
    }
    fetch->source.body = fetch->body;
    fetch->source.body_len = len;
    return EXIT_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_database(const char *path)
{
    return ends_with(path, ".db") || ends_with(path, ".sqlite") || ends_with(path, ".sqlite3");
}

static bool is_directory(const char *path)
{
    struct stat status;
    return ends_with(path, "/") || (stat(path, &status) == 0 && S_ISDIR(status.st_mode));
}

static int take_outputs(struct fetch *fetch)
{
    static const char *const words[] = {"refuse", "append", "replace", NULL};
    const struct fetch_arguments *arguments = fetch->arguments;
    const char *name = fetch->command->name;
    int existing = choose(fetch->command, "existing", arguments->existing, words);
    if (existing < 0)
        return EXIT_USAGE;
    if (arguments->out.count > WEFT_SINK_OUTPUTS_MAX) {
        complain(name, "--out can be given at most %d times", WEFT_SINK_OUTPUTS_MAX);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < arguments->out.count; i++) {
        const char *path = arguments->out.items[i];
        fetch->outputs[i] = (struct weft_sink_output){
            .path = path,
            .existing = arguments->resume ? WEFT_SINK_APPEND : (enum weft_sink_existing)existing,
        };
        if (is_database(path))
            fetch->database = path;
        else if (is_directory(path))
            fetch->options.keep_bodies = 1;
    }
    fetch->outputs_count = arguments->out.count;
    if (arguments->resume && !fetch->database) {
        complain(name, "--resume needs an --out that is a database, like results.db");
        return EXIT_USAGE;
    }
    if (arguments->redo_failed && !arguments->resume) {
        complain(name, "--redo-failed needs --resume");
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

static int take_rules(struct fetch *fetch)
{
    static const char *const engines[] = {"async", "sync", "threaded", NULL};
    static const char *const poolings[] = {"optimized", "naive", NULL};
    const struct fetch_arguments *arguments = fetch->arguments;
    int engine = choose(fetch->command, "engine", arguments->engine, engines);
    int pooling = engine < 0 ? -1 : choose(fetch->command, "pooling", arguments->pooling, poolings);
    if (engine < 0 || pooling < 0)
        return EXIT_USAGE;
    if (engine == WEFT_FETCH_THREADED && arguments->concurrency > 1000) {
        complain(fetch->command->name, "--concurrency: at most 1000 threads are made");
        return EXIT_USAGE;
    }
    fetch->options.fetcher = (struct weft_fetcher_options){
        .engine = (enum weft_fetch_engine)engine,
        .pooling = (enum weft_fetch_pooling)pooling,
        .concurrency = (unsigned)arguments->concurrency,
        .host_concurrency = (unsigned)arguments->host_concurrency,
        .rate_per_s = arguments->rate,
        .host_rate_per_s = arguments->host_rate,
        .attempts_max = (unsigned)arguments->attempts,
        .connect_timeout_ns = arguments->connect_timeout_ns,
        .attempt_timeout_ns = arguments->timeout_ns,
        .total_timeout_ns = arguments->total_timeout_ns,
        .breaker_off = arguments->no_breaker,
        .breaker_waits = arguments->breaker_waits,
        .redirects_max = arguments->redirects ? (unsigned)arguments->redirects : WEFT_FETCH_NONE,
        .response_bytes_max = (size_t)arguments->body_max,
        .user_agent = arguments->user_agent,
        .http2 = arguments->http2,
        .ca_file = arguments->ca_file,
        .tls_insecure = arguments->insecure,
        .proxy = arguments->proxy,
        .refuse_private = arguments->refuse_private,
    };
    fetch->options.ahead = (unsigned)arguments->ahead;
    fetch->options.grace_ns = arguments->grace_ns;
    return EXIT_OK;
}

static int take_arguments(struct fetch *fetch, const struct settings *settings)
{
    static const char *const policies[] = {"never", "all", "error", "status", NULL};
    const struct fetch_arguments *arguments = fetch->arguments;
    fetch->source = (struct weft_fetch_source_options){
        .urls = settings->arguments,
        .urls_count = settings->arguments_count,
        .path = arguments->input,
        .repeat = arguments->repeat,
        .method = arguments->method,
    };
    if (!arguments->input && settings->arguments_count == 0) {
        complain(fetch->command->name, "there is nothing to fetch: give a URL, or -i FILE");
        return EXIT_USAGE;
    }
    if (choose(fetch->command, "fail-on", arguments->fail_on, policies) < 0)
        return EXIT_USAGE;
    int status = take_rules(fetch);
    if (status == EXIT_OK)
        status = take_outputs(fetch);
    for (size_t i = 0; i < arguments->headers.count && status == EXIT_OK; i++)
        status = take_header(fetch, arguments->headers.items[i]);
    if (status == EXIT_OK && arguments->body)
        status = take_body(fetch, arguments->body);
    return status;
}

static void release(struct fetch *fetch)
{
    for (size_t i = 0; i < WORDS_MAX; i++)
        free(fetch->texts[i]);
    free(fetch->body);
    free(fetch);
}

/* ---- the run ------------------------------------------------------------------------------ */

static void show_progress(void *context, const struct weft_fetch_progress *progress)
{
    (void)context;
    fetch_print_progress(stderr, progress);
}

/* The first signal ends the run in order, the second strikes. */
static int wait_for_signal(void *arg)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct fetch *fetch = arg;
    sigset_t set;
    int signal = weft_signal_wait(signals, 2, WEFT_FOREVER);
    if (signal < 0)
        return 0;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)weft_event_set(&fetch->stop);
    return 0;
}

__attribute__((format(printf, 3, 4))) static int fail(struct fetch *fetch, int err,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!fetch->error[0])
        (void)vsnprintf(fetch->error, sizeof fetch->error, format, args);
    va_end(args);
    return err;
}

static int fetch_all(struct fetch *fetch)
{
    struct weft_group watchers;
    int err = weft_group_init(&watchers, &(struct weft_group_options){.policy = WEFT_SUPERVISE});
    if (err == 0)
        err = weft_spawn(&watchers, wait_for_signal, fetch);
    if (err == 0)
        err = weft_fetch(&fetch->options, &fetch->summary);
    weft_group_close(&watchers);
    return err;
}

/* Results go to the sink, if there is one, and are on disk when this returns. */
static int fetch_into_sink(struct fetch *fetch)
{
    const struct weft_sink_options options = {.outputs = fetch->outputs,
                                              .outputs_count = fetch->outputs_count};
    if (fetch->outputs_count == 0)
        return fetch_all(fetch);
    int err = weft_sink_open(&fetch->options.sink, &options, fetch->error, sizeof fetch->error);
    if (err)
        return err;
    err = fetch_all(fetch);
    if (err == 0)
        err = weft_sink_finish(fetch->options.sink, WEFT_FOREVER);
    if (err && *weft_sink_error(fetch->options.sink))
        (void)fail(fetch, err, "%s", weft_sink_error(fetch->options.sink));
    weft_sink_close(fetch->options.sink);
    return err;
}

static int fetch_with_resume(struct fetch *fetch)
{
    const struct weft_resume_options options = {.path = fetch->database,
                                                .redo_failed = fetch->arguments->redo_failed};
    if (!fetch->arguments->resume)
        return fetch_into_sink(fetch);
    int err = weft_resume_open(&fetch->options.resume, &options, fetch->error, sizeof fetch->error);
    if (err)
        return err;
    err = fetch_into_sink(fetch);
    weft_resume_close(fetch->options.resume);
    return err;
}

/* The first fiber. */
static int run_fetch(void *arg)
{
    struct fetch *fetch = arg;
    int err = weft_event_init(&fetch->stop, WEFT_AUTO);
    if (err)
        return err;
    fetch->options.stop = &fetch->stop;
    err = weft_fetch_source_open(&fetch->options.source, &fetch->source);
    if (err)
        return fail(fetch, err, "%s cannot be read: %s", fetch->source.path, weft_strerror(err));
    err = fetch_with_resume(fetch);
    weft_fetch_source_close(fetch->options.source);
    return err;
}

static void raise_file_limit(uint64_t concurrency)
{
    struct rlimit limit;
    rlim_t needed = concurrency + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return;
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* where it is too low, requests fail and say so */
}

/* ---- the end ------------------------------------------------------------------------------ */

static bool writes_to_standard_output(const struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->outputs_count; i++) {
        if (strcmp(fetch->outputs[i].path, "-") == 0)
            return true;
    }
    return false;
}

/* What the policy makes of the figures. */
static int exit_code(const struct fetch *fetch)
{
    const struct weft_fetch_summary *summary = &fetch->summary;
    const char *policy = fetch->arguments->fail_on;
    uint64_t answers = summary->latency.count;
    if (strcmp(policy, "never") == 0)
        return EXIT_OK;
    if (summary->stopped)
        return EXIT_FAILED;
    if (strcmp(policy, "status") == 0)
        return summary->failed > 0 ? EXIT_FAILED : EXIT_OK;
    if (strcmp(policy, "error") == 0)
        return summary->total_requests > answers ? EXIT_FAILED : EXIT_OK;
    return summary->total_requests > 0 && summary->successful == 0 ? EXIT_FAILED : EXIT_OK;
}

static int report(struct fetch *fetch, int err)
{
    const char *name = fetch->command->name;
    FILE *stream = writes_to_standard_output(fetch) ? stderr : stdout;
    if (fetch->options.on_progress)
        (void)fprintf(stderr, "\r\033[K");
    if (err) {
        complain(name, "%s", fetch->error[0] ? fetch->error : weft_strerror(err));
        return err == -EINVAL || err == -EEXIST ? EXIT_USAGE : EXIT_FAILED;
    }
    if (fetch->summary.stopped)
        complain(name, "interrupted: these are the figures until then");
    if (fetch->arguments->json)
        fetch_print_json(stream, &fetch->summary);
    else
        fetch_print_table(stream, &fetch->summary);
    return exit_code(fetch);
}

static int run_with(struct fetch *fetch)
{
    static const int ending[] = {SIGINT, SIGTERM};
    const struct fetch_arguments *arguments = fetch->arguments;
    const struct weft_run_options options = {
        .io = arguments->io,
        .workers = (unsigned)arguments->workers,
    };
    (void)weft_signal_block(ending, sizeof ending / sizeof ending[0]);
    raise_file_limit(arguments->concurrency);
    fetch->options.on_progress = isatty(STDERR_FILENO) ? show_progress : NULL;
    return report(fetch, weft_run(&options, run_fetch, fetch));
}

static int run(const struct command *command, int argc, char **argv)
{
    struct fetch_arguments arguments = {
        .engine = "async",
        .existing = "refuse",
        .pooling = "optimized",
        .fail_on = "all",
        .concurrency = 100,
        .attempts = 3,
        .redirects = 10,
        .body_max = (uint64_t)8 << 20,
        .repeat = 1,
        .workers = 1,
    };
    struct settings settings;
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch) {
        complain(command->name, "out of memory");
        return EXIT_FAILED;
    }
    fetch->command = command;
    fetch->arguments = &arguments;
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = take_arguments(fetch, &settings);
    if (status == EXIT_OK)
        status = run_with(fetch);
    release(fetch);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct fetch_arguments, member)

// clang-format off
static const struct option options[] = {
    {.name = "input", .letter = 'i', .metavar = "FILE", .kind = OPTION_STRING, .offset = FIELD(input),
     .help = "more requests, one a line: a URL, or a JSON object with\n"
             "url, method, headers, body, id; - is standard input"},
    {.name = "out", .letter = 'o', .metavar = "FILE", .kind = OPTION_WORDS, .offset = FIELD(out),
     .help = "where results go: .jsonl, .csv, .db, a directory for\n"
             "bodies, - for JSON lines; may be given several times"},
    {.name = "existing", .metavar = "WHAT", .kind = OPTION_STRING, .offset = FIELD(existing),
     .help = "when an output is there: refuse, append or replace\n"
             "(default refuse)"},
    {.name = "resume", .kind = OPTION_FLAG, .offset = FIELD(resume),
     .help = "leave out what the database among the outputs has"},
    {.name = "redo-failed", .kind = OPTION_FLAG, .offset = FIELD(redo_failed),
     .help = "with --resume: do again what has failed"},
    {.name = "engine", .metavar = "NAME", .kind = OPTION_STRING, .offset = FIELD(engine),
     .help = "async, threaded or sync (default async)"},
    {.name = "pooling", .metavar = "NAME", .kind = OPTION_STRING, .offset = FIELD(pooling),
     .help = "optimized: connections are used again; naive: each\n"
             "request makes its own (default optimized)"},
    {.name = "concurrency", .letter = 'c', .metavar = "N", .kind = OPTION_COUNT, .offset = FIELD(concurrency),
     .min = 1, .max = 10000, .help = "requests at once (default 100)"},
    {.name = "host-concurrency", .metavar = "N", .kind = OPTION_COUNT, .offset = FIELD(host_concurrency),
     .min = 1, .max = 10000, .help = "of them with one host (default: all)"},
    {.name = "ahead", .metavar = "N", .kind = OPTION_COUNT, .offset = FIELD(ahead),
     .min = 1, .max = 16384, .help = "requests begun or waiting (default 8 x concurrency)"},
    {.name = "rate", .metavar = "R", .kind = OPTION_RATE, .offset = FIELD(rate),
     .help = "at most so many requests a second"},
    {.name = "host-rate", .metavar = "R", .kind = OPTION_RATE, .offset = FIELD(host_rate),
     .help = "the same for each host"},
    {.name = "method", .letter = 'X', .metavar = "M", .kind = OPTION_STRING, .offset = FIELD(method),
     .help = "GET, POST, ... (default: POST with a body, else GET)"},
    {.name = "header", .letter = 'H', .metavar = "TEXT", .kind = OPTION_WORDS, .offset = FIELD(headers),
     .help = "'Name: value'; may be given several times"},
    {.name = "body", .letter = 'd', .metavar = "TEXT", .kind = OPTION_STRING, .offset = FIELD(body),
     .help = "what to send; @FILE: what is in the file"},
    {.name = "attempts", .metavar = "N", .kind = OPTION_COUNT, .offset = FIELD(attempts),
     .min = 1, .max = 100, .help = "for each request, the first included (default 3)"},
    {.name = "timeout", .metavar = "T", .kind = OPTION_DURATION, .offset = FIELD(timeout_ns),
     .min = 1, .help = "for one attempt (default 30s)"},
    {.name = "connect-timeout", .metavar = "T", .kind = OPTION_DURATION, .offset = FIELD(connect_timeout_ns),
     .min = 1, .max = 300 * (uint64_t)WEFT_SEC, .help = "for name, connection and TLS (default 10s, at most 300s)"},
    {.name = "total-timeout", .metavar = "T", .kind = OPTION_DURATION, .offset = FIELD(total_timeout_ns),
     .min = 1, .help = "for all attempts and the waits between (default 2m)"},
    {.name = "redirects", .metavar = "N", .kind = OPTION_COUNT, .offset = FIELD(redirects),
     .max = 100, .help = "to follow; 0: none (default 10)"},
    {.name = "body-max", .metavar = "SIZE", .kind = OPTION_SIZE, .offset = FIELD(body_max),
     .min = 1, .max = (uint64_t)4 << 30, .help = "of a response (default 8MiB)"},
    {.name = "breaker-waits", .kind = OPTION_FLAG, .offset = FIELD(breaker_waits),
     .help = "wait for a host that keeps failing; without it,\n"
             "requests to it fail at once until it works again"},
    {.name = "no-breaker", .kind = OPTION_FLAG, .offset = FIELD(no_breaker),
     .help = "ask hosts that keep failing all the same"},
    {.name = "http2", .kind = OPTION_FLAG, .offset = FIELD(http2),
     .help = "HTTP/2 over TLS, where the server has it"},
    {.name = "ca-file", .metavar = "FILE", .kind = OPTION_STRING, .offset = FIELD(ca_file),
     .help = "authorities to trust, PEM (default: the system's)"},
    {.name = "insecure", .kind = OPTION_FLAG, .offset = FIELD(insecure),
     .help = "any certificate will do; for tests only"},
    {.name = "refuse-private", .kind = OPTION_FLAG, .offset = FIELD(refuse_private),
     .help = "only addresses of the public internet"},
    {.name = "proxy", .metavar = "URL", .kind = OPTION_STRING, .offset = FIELD(proxy),
     .help = "http://host:port"},
    {.name = "user-agent", .metavar = "TEXT", .kind = OPTION_STRING, .offset = FIELD(user_agent),
     .help = "(default weft/VERSION)"},
    {.name = "repeat", .metavar = "N", .kind = OPTION_COUNT, .offset = FIELD(repeat),
     .min = 1, .help = "fetch the URLs that are arguments so many times"},
    {.name = "fail-on", .metavar = "WHAT", .kind = OPTION_STRING, .offset = FIELD(fail_on),
     .help = "exit code 1 when: a request had no answer (error); or\n"
             "one of status 400 and up (status); none succeeded\n"
             "(all, the default); never"},
    {.name = "grace", .metavar = "T", .kind = OPTION_DURATION, .offset = FIELD(grace_ns),
     .min = 1, .help = "after SIGINT or SIGTERM, for what is under way\n(default 10s)"},
    {.name = "workers", .metavar = "N", .kind = OPTION_COUNT, .offset = FIELD(workers),
     .min = 1, .max = 64, .help = "threads that run fibers (default 1)"},
    {.name = "io", .metavar = "NAME", .kind = OPTION_REACTOR, .offset = FIELD(io),
     .help = "reactor, uring or epoll (default: the best there is)"},
    {.name = "config", .metavar = "FILE", .kind = OPTION_STRING, .offset = FIELD(config),
     .help = "settings file (default: ./weft.ini if there is one)"},
    {.name = "json", .kind = OPTION_FLAG, .offset = FIELD(json),
     .help = "print the summary as a JSON object"},
    {.name = NULL},
};
// clang-format on

const struct command command_fetch = {
    .name = "fetch",
    .summary = "fetch URLs, few or millions, and tell what came of it",
    .argument = "[URL...]",
    .many = true,
    .description =
        "Failures that may pass are tried again, as far as that does no harm, and when\n"
        "the server says so; hosts that keep failing are left alone. Ctrl-C ends the run\n"
        "when what is under way has ended; a second one at once.\n",
    .options = options,
    .examples = "  weft fetch http://127.0.0.1:8080/get\n"
                "  weft fetch -i urls.txt -o results.jsonl --host-concurrency 8\n"
                "  weft fetch -i urls.txt -o results.db --resume\n"
                "  weft fetch http://127.0.0.1:8080/get --repeat 10000 --engine threaded --json\n",
    .run = run,
};
