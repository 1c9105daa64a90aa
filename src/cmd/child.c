/* SPDX-License-Identifier: MIT
 * child.c - `weft child`: run the tasks of child processes for `weft serve` or `weft worker`. */
#include "commands.h"

#include <weft/child.h>

#include <errno.h>

struct child_arguments {
    struct words load;
};

static int run(const struct command *command, int argc, char **argv)
{
    struct child_arguments arguments = {.load.count = 0};
    struct settings settings;
    char error[512] = "";
    int status = options_read(command, argc, argv, &arguments, &settings);
    if (status == EXIT_OK) {
        const struct weft_child_options options = {
            .libraries = arguments.load.items,
            .libraries_count = arguments.load.count,
        };
        int err = weft_child(&options, error, sizeof error);
        if (err)
            complain(command->name, "%s", error);
        status = !err ? EXIT_OK : err == -ENOTSOCK || err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

static const struct option options[] = {
    {.name = "load",
     .metavar = "FILE",
     .kind = OPTION_WORDS,
     .offset = offsetof(struct child_arguments, load),
     .help = "a shared object with tasks (WEFT_TASK_LIBRARY); may come\n"
             "again"},
    {.name = NULL},
};

const struct command command_child = {
    .name = "child",
    .summary = "run tasks for weft serve or weft worker",
    .description =
        "Started by those, with a socket as standard input, when there are tasks that run\n"
        "in child processes (WEFT_EXECUTOR_PROCESS, or load in the section [process] of\n"
        "weft.ini). SIGTERM asks the present task to end.\n",
    .options = options,
    .examples = "  weft child --load ./tasks.so\n",
    .hidden = true,
    .run = run,
};
