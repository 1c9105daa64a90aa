/* SPDX-License-Identifier: MIT
 * main.c - the program `weft`: finds the subcommand and runs it. */
#include "commands.h"

#include <base/words.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
#ifdef WEFT_HAVE_SERVE
    &command_serve,
#endif
#ifdef WEFT_HAVE_WORK
    &command_worker, &command_enqueue, &command_jobs, &command_queues, &command_cron,
#endif
#ifdef WEFT_HAVE_FETCH
    &command_fetch,
#endif
#ifdef WEFT_HAVE_LOAD
    &command_load,
#endif
#ifdef WEFT_HAVE_CRAWL
    &command_crawl,
#endif
#ifdef WEFT_HAVE_MOCK
    &command_mock,
#endif
#ifdef WEFT_HAVE_CHILD
    &command_child,
#endif
    &command_size,   &command_version,
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static void print_overview(FILE *stream)
{
    (void)fprintf(stream, "weft - structured concurrency, resilience and durable jobs\n\n"
                          "usage: weft COMMAND [flags]\n\ncommands:\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!commands[i]->hidden)
            (void)fprintf(stream, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
    }
    (void)fprintf(stream, "  %-10s%s\n", "help", "show this, or the help of a command");
    (void)fprintf(stream, "\n`weft COMMAND --help` shows the flags of a command, with examples.\n"
                          "exit code: 0 ok, 1 failed, 2 wrong usage\n");
}

static int complain_unknown(const char *name)
{
    const char *best = "help";
    unsigned best_distance = weft_word_distance(name, best);
    for (size_t i = 0; i < COMMANDS; i++) {
        unsigned distance = weft_word_distance(name, commands[i]->name);
        if (distance < best_distance && !commands[i]->hidden) {
            best = commands[i]->name;
            best_distance = distance;
        }
    }
    (void)fprintf(stderr, "weft: there is no command '%s'", name);
    if (weft_word_is_near(name, best_distance))
        (void)fprintf(stderr, "; did you mean '%s'?\n", best);
    else
        (void)fprintf(stderr, "; 'weft help' lists them\n");
    return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return EXIT_OK;
    }
    const struct command *command = find_command(argv[1]);
    if (!command)
        return complain_unknown(argv[1]);
    options_print_help(command);
    return EXIT_OK;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *command = find_command(name);
    if (!command)
        return complain_unknown(name);
    return command->run(command, argc - 1, argv + 1);
}

/* A standard stream that the caller has closed would be the next descriptor somebody opens, and
 * receive what is printed. */
static bool fill_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!fill_standard_streams())
        return EXIT_FAILED; /* there may be no stream to say it on */
    int status = dispatch(argc, argv);
    /* What could not be printed, on a full disk say, was not done. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_OK) {
        (void)fprintf(stderr, "weft: the output could not be written\n");
        status = EXIT_FAILED;
    }
    return status;
}
