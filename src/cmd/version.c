/* SPDX-License-Identifier: MIT
 * version.c - `weft version`: what this program is and what the kernel lets it use. */
#include "commands.h"
#include "print.h"

#include <weft/runtime.h>

#include <stdio.h>

struct version_arguments {
    bool json;
};

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

static int read_name(void *arg)
{
    const char **name = arg;
    *name = weft_io_name();
    return 0;
}

/* The reactor's own name, or NULL where the kernel refuses it. */
static const char *reactor(const char *io)
{
    const char *name = NULL;
    return weft_run(&(struct weft_run_options){.io = io}, read_name, &name) == 0 ? name : NULL;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct version_arguments arguments = {0};
    struct settings settings;
    int status = options_read(command, argc, argv, &arguments, &settings);
    settings_release(&settings);
    if (status != EXIT_OK)
        return status == OPTIONS_HELPED ? EXIT_OK : status;

    const char *names[] = {reactor("uring"), reactor("epoll")};
    const char *quote = arguments.json ? "\"" : "";
    const char *comma = "";
    if (arguments.json)
        (void)printf("{\"version\": \"%s\", \"compiler\": \"%s\", \"reactors\": [", weft_version(),
                     COMPILER);
    else
        (void)printf("weft %s\ncompiler  %s\nreactors  ", weft_version(), COMPILER);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i]) {
            (void)printf("%s%s%s%s", comma, quote, names[i], quote);
            comma = ", ";
        }
    }
    (void)printf(arguments.json ? "]}\n" : "\n");
    return EXIT_OK;
}

static const struct option options[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct version_arguments, json),
     .help = "print a JSON object"},
    {.name = NULL},
};

const struct command command_version = {
    .name = "version",
    .summary = "show version, compiler and usable reactors",
    .options = options,
    .examples = "  weft version\n  weft version --json\n",
    .run = run,
};
