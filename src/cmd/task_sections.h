/* SPDX-License-Identifier: MIT
 * task_sections.h - the sections of weft.ini that say which tasks run outside of a command's own
 * process: [exec NAME], [http NAME] and [process]. */
#ifndef WEFT_CMD_TASK_SECTIONS_H
#define WEFT_CMD_TASK_SECTIONS_H

#include "options.h"

#include <weft/executors.h>

struct task_sections {
    struct weft_executors executors; /* what they say */
    struct command_section *commands;
    struct webhook_section *webhooks;
    struct weft_command_task *command_tasks;
    struct weft_webhook_task *webhook_tasks;
    struct words libraries;
    const char **child; /* the command of children */
};

/* Read what the settings have of them. load: what --load has given, for the children as well.
 *
 * Returns  EXIT_OK; EXIT_USAGE after a sentence on standard error; EXIT_FAILED, likewise, without
 *          memory. Release it in every case, before the settings */
int task_sections_read(struct task_sections *sections, const struct command *command,
                       const struct settings *settings, const struct words *load);
void task_sections_release(struct task_sections *sections);

#endif
