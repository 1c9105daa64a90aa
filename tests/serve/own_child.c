/* SPDX-License-Identifier: MIT
 * own_child.c - a child with tasks of its own, as a program has it that embeds the service. */
#include "../job/tasks.h"

#include <weft/child.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char error[256] = "";
    const char *const library = argc > 1 ? argv[1] : NULL;
    int err = weft_child(&(struct weft_child_options){.handlers = tasks,
                                                      .handlers_count = TASKS,
                                                      .libraries = &library,
                                                      .libraries_count = library != NULL},
                         error, sizeof error);
    if (err)
        (void)fprintf(stderr, "%s\n", error);
    return err != 0;
}
