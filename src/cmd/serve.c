/* SPDX-License-Identifier: MIT
 * serve.c - `weft serve`: run the durable job service. */
#include "commands.h"

#include "task_sections.h"

#include <weft/serve.h>

#include <errno.h>
#include <stdio.h>

#define DAY_NS (24 * (3600 * WEFT_SEC))

struct serve_arguments {
    const char *listen, *broker, *token_file, *io, *config;
    uint64_t workers, concurrency, job_concurrency, queue_size;
    int64_t steps_ns[WEFT_SERVE_STEPS];
    int64_t grace_ns;
    struct weft_jobs_retention retention;
    struct words load;
    bool insecure;
};

/* One line with the address, one to try it with. A wildcard address is no place to connect to,
 * but the shell's user knows which machine this is. */
static void print_ready(void *context, const char *address)
{
    const struct serve_arguments *arguments = context;
    (void)printf("weft serves on http://%s\n", address);
    (void)printf("try: curl -s http://%s/process -H 'Content-Type: application/json' ", address);
    if (arguments->token_file)
        (void)printf("-H 'Authorization: Bearer TOKEN' ");
    (void)printf("-d '{\"text\": \"hello\"}'\n");
    (void)fflush(stdout);
}

static int serve(const struct command *command, struct serve_arguments *arguments,
                 const struct weft_executors *executors)
{
    char error[512] = "";
    struct weft_serve_options options = {
        .listen = arguments->listen,
        .broker = arguments->broker,
        .workers = (unsigned)arguments->workers,
        .concurrency = (unsigned)arguments->concurrency,
        .job_concurrency = (unsigned)arguments->job_concurrency,
        .queue_size = (unsigned)arguments->queue_size,
        .libraries = arguments->load.items,
        .libraries_count = arguments->load.count,
        .executors = executors,
        .steps_ns = arguments->steps_ns,
        /* 0 would mean the default; who asks for no grace gets the shortest one. */
        .grace_ns = arguments->grace_ns ? arguments->grace_ns : 1,
        .retention = arguments->retention,
        .token_file = arguments->token_file,
        .insecure = arguments->insecure,
        .io = arguments->io,
        .ready = print_ready,
        .ready_context = arguments,
    };
    int err = weft_serve(&options, error, sizeof error);
    if (err == 0)
        return EXIT_OK;
    complain(command->name, "%s", error[0] ? error : weft_strerror(err));
    return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct serve_arguments arguments = {
        .listen = "127.0.0.1:8001",
        .broker = "sqlite:weft.db",
        .workers = 4,
        .concurrency = 1000,
        .job_concurrency = 1000,
        .queue_size = 100000,
        .steps_ns = {2 * WEFT_SEC, WEFT_SEC, 500 * WEFT_MSEC},
        .grace_ns = 30 * WEFT_SEC,
        .retention = {7 * DAY_NS, 7 * DAY_NS, 30 * DAY_NS},
    };
    struct settings settings;
    struct task_sections sections = {.child = NULL};
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = task_sections_read(&sections, command, &settings, &arguments.load);
    if (status == EXIT_OK)
        status = serve(command, &arguments, &sections.executors);
    task_sections_release(&sections);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct serve_arguments, member)

static const struct option options[] = {
    {.name = "listen",
     .metavar = "ADDRESS",
     .kind = OPTION_STRING,
     .offset = FIELD(listen),
     .help = "address and port (default 127.0.0.1:8001); port 0 picks a\n"
             "free one; not loopback: needs --token-file or --insecure"},
    {.name = "broker",
     .metavar = "URL",
     .kind = OPTION_STRING,
     .offset = FIELD(broker),
     .help = "where jobs are kept (default sqlite:weft.db)"},
    {.name = "workers",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(workers),
     .min = 1,
     .max = 64,
     .help = "workers, each with its own queue (default 4)"},
    {.name = "concurrency",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(concurrency),
     .min = 1,
     .max = 1000000,
     .help = "jobs at once per worker (default 1000)"},
    {.name = "job-concurrency",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(job_concurrency),
     .min = 1,
     .max = 1000000,
     .help = "jobs at once of all other queues (default 1000)"},
    {.name = "queue-size",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(queue_size),
     .min = 1,
     .max = 100000000,
     .help = "jobs waiting per worker; beyond it 503 (default 100000)"},
    {.name = "steps",
     .metavar = "T,T,T",
     .kind = OPTION_DURATIONS,
     .items = WEFT_SERVE_STEPS,
     .offset = FIELD(steps_ns),
     .help = "lengths of the three steps of the built-in task\n"
             "(default 2s,1s,500ms)"},
    {.name = "load",
     .metavar = "FILE",
     .kind = OPTION_WORDS,
     .offset = FIELD(load),
     .help = "a shared object with tasks (WEFT_TASK_LIBRARY), beside\n"
             "the built-in ones; may come again"},
    {.name = "token-file",
     .metavar = "FILE",
     .kind = OPTION_STRING,
     .offset = FIELD(token_file),
     .help = "clients must send the bearer token that is in this file"},
    {.name = "grace",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(grace_ns),
     .help = "after SIGTERM, how long running jobs may go on\n"
             "(default 30s); what is left runs at the next start"},
    {.name = "keep-completed",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(retention.completed_ns),
     .min = 1,
     .help = "how long completed jobs can be looked at (default 7d)"},
    {.name = "keep-cancelled",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(retention.cancelled_ns),
     .min = 1,
     .help = "the same for cancelled ones (default 7d)"},
    {.name = "keep-dead",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(retention.dead_ns),
     .min = 1,
     .help = "and for dead ones, which can begin again (default 30d)"},
    {.name = "insecure",
     .kind = OPTION_FLAG,
     .offset = FIELD(insecure),
     .help = "listen on any address without a token"},
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
    {.name = NULL},
};

const struct command command_serve = {
    .name = "serve",
    .summary = "run the durable job service",
    .description =
        "A job is answered with 200 when it is on disk. SIGTERM or Ctrl-C drains: running\n"
        "jobs get the grace time, the others run at the next start. A second signal ends\n"
        "the grace time at once.\n",
    .options = options,
    .examples = "  weft serve\n"
                "  weft serve --listen 127.0.0.1:9000 --broker sqlite:/var/lib/weft/weft.db\n"
                "  weft serve --workers 4 --concurrency 25000 --steps 0,0,0\n"
                "  WEFT_WORKERS=8 weft serve --config /etc/weft.ini\n",
    .run = run,
};
