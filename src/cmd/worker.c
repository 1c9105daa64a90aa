/* SPDX-License-Identifier: MIT
 * worker.c - `weft worker`: run the jobs of a server elsewhere. */
#include "commands.h"

#include "client.h"
#include "task_sections.h"
#include "values.h"

#include <weft/work.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_MAX 1000000u

struct worker_arguments {
    struct client_flags client;
    struct words load, queues;
    const char *order, *name, *io, *config;
    uint64_t concurrency;
    int64_t lease_ns, grace_ns;
    bool builtin;
};

/* "mail=3" or "mail". */
static int read_queue(const char *command, const char *text, struct weft_work_queue *queue)
{
    size_t len = strcspn(text, "=");
    uint64_t weight = 1;
    if (len == 0 || (text[len] == '=' && (!parse_count(text + len + 1, &weight) || weight == 0 ||
                                          weight > WEIGHT_MAX))) {
        complain(command, "--queues: '%s' is no queue with a weight from 1 to %u, like mail=3",
                 text, WEIGHT_MAX);
        return EXIT_USAGE;
    }
    queue->name = need(strndup(text, len));
    queue->weight = (unsigned)weight;
    return EXIT_OK;
}

/* All queues of a flag, which may have several with commas between them. */
static int read_queues(const char *command, const char *words, struct weft_work_queue *queues,
                       size_t *count)
{
    char *copy = need(strdup(words)), *rest = copy, *word;
    int status = EXIT_OK;
    while (status == EXIT_OK && (word = strsep(&rest, ","))) {
        if (*count == WEFT_WORK_QUEUES_MAX) {
            complain(command, "--queues: there can be at most %d", WEFT_WORK_QUEUES_MAX);
            status = EXIT_USAGE;
        } else {
            status = read_queue(command, word, &queues[*count]);
            *count += status == EXIT_OK;
        }
    }
    free(copy);
    return status;
}

static int work(const struct command *command, const struct worker_arguments *arguments,
                const struct client *client, const struct weft_executors *executors,
                const struct weft_work_queue *queues, size_t queues_count)
{
    char error[512] = "";
    const struct weft_work_options options = {
        .server = client->server,
        .token = client->token,
        .ca_file = client->ca_file,
        .libraries = arguments->load.items,
        .libraries_count = arguments->load.count,
        .executors = executors,
        .builtin = arguments->builtin,
        .queues = queues,
        .queues_count = queues_count,
        .strict = arguments->order && strcmp(arguments->order, "strict") == 0,
        .concurrency = (unsigned)arguments->concurrency,
        .lease_ns = arguments->lease_ns,
        .name = arguments->name,
        /* 0 would mean the default; who asks for no grace gets the shortest one. */
        .grace_ns = arguments->grace_ns ? arguments->grace_ns : 1,
        .io = arguments->io,
    };
    int err = weft_work(&options, error, sizeof error);
    if (err == 0)
        return EXIT_OK;
    complain(command->name, "%s", error[0] ? error : weft_strerror(err));
    return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static int check_order(const struct command *command, const char *order)
{
    if (!order || strcmp(order, "weighted") == 0 || strcmp(order, "strict") == 0)
        return EXIT_OK;
    complain(command->name, "--order: '%s' is neither weighted nor strict", order);
    return EXIT_USAGE;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct worker_arguments arguments = {
        .concurrency = 100,
        .lease_ns = 30 * WEFT_SEC,
        .grace_ns = 30 * WEFT_SEC,
    };
    struct settings settings;
    struct client client = {0};
    struct task_sections sections = {.child = NULL};
    struct weft_work_queue *queues = need(calloc(WEFT_WORK_QUEUES_MAX, sizeof *queues));
    size_t count = 0;
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK)
        status = check_order(command, arguments.order);
    for (size_t i = 0; i < arguments.queues.count && status == EXIT_OK; i++)
        status = read_queues(command->name, arguments.queues.items[i], queues, &count);
    if (status == EXIT_OK)
        status = task_sections_read(&sections, command, &settings, &arguments.load);
    if (status == EXIT_OK)
        status = client_open(&client, command->name, &arguments.client);
    if (status == EXIT_OK)
        status = work(command, &arguments, &client, &sections.executors, queues, count);
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)queues[i].name); // NOLINT(performance-no-int-to-ptr)
    free(queues);
    client_close(&client);
    task_sections_release(&sections);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

#define FIELD(member) offsetof(struct worker_arguments, member)

static const struct option options[] = {
    CLIENT_OPTIONS(struct worker_arguments, client),
    {.name = "load",
     .metavar = "FILE",
     .kind = OPTION_WORDS,
     .offset = FIELD(load),
     .help = "a shared object with tasks (WEFT_TASK_LIBRARY); may come\n"
             "again"},
    {.name = "builtin",
     .kind = OPTION_FLAG,
     .offset = FIELD(builtin),
     .help = "also the built-in tasks: noop, sleep, fail and process"},
    {.name = "queues",
     .metavar = "NAME[=N],...",
     .kind = OPTION_WORDS,
     .offset = FIELD(queues),
     .help = "where to take jobs from, with weights: mail=3,slow gives\n"
             "mail three for each of slow (default: default)"},
    {.name = "order",
     .metavar = "WORD",
     .kind = OPTION_STRING,
     .offset = FIELD(order),
     .help = "weighted, or strict: of a queue only when those before\n"
             "it have nothing (default weighted)"},
    {.name = "concurrency",
     .metavar = "N",
     .kind = OPTION_COUNT,
     .offset = FIELD(concurrency),
     .min = 1,
     .max = 1000000,
     .help = "jobs at once (default 100)"},
    {.name = "lease",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(lease_ns),
     .min = (uint64_t)WEFT_SEC,
     .max = 3600 * (uint64_t)WEFT_SEC,
     .help = "how soon jobs run elsewhere when this worker dies, 1s to\n"
             "1h (default 30s)"},
    {.name = "name",
     .metavar = "NAME",
     .kind = OPTION_STRING,
     .offset = FIELD(name),
     .help = "in the list of workers (default: host and process id)"},
    {.name = "grace",
     .metavar = "T",
     .kind = OPTION_DURATION,
     .offset = FIELD(grace_ns),
     .help = "after SIGTERM, how long running jobs may go on\n"
             "(default 30s); what is left runs elsewhere"},
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

const struct command command_worker = {
    .name = "worker",
    .summary = "run the jobs of a server elsewhere",
    .description =
        "Any number of workers may take from the same queues. A server that goes away is\n"
        "waited for. SIGTERM or Ctrl-C drains: running jobs get the grace time, what is\n"
        "left goes back. A second signal ends the grace time, a third the worker.\n",
    .options = options,
    .examples = "  weft worker --load ./greet.so\n"
                "  weft worker --server http://jobs:8001 --token-file token --load ./mail.so \\\n"
                "      --queues mail=3,default --concurrency 500\n"
                "  weft worker --builtin --queues test --order strict\n",
    .run = run,
};
