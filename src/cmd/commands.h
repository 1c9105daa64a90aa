/* SPDX-License-Identifier: MIT
 * commands.h - the subcommands, one file each. */
#ifndef WEFT_CMD_COMMANDS_H
#define WEFT_CMD_COMMANDS_H

#include "options.h"

extern const struct command command_serve; /* in builds with the job service */
/* In builds with the HTTP client and jansson: */
extern const struct command command_worker;
extern const struct command command_enqueue;
extern const struct command command_jobs;
extern const struct command command_queues;
extern const struct command command_cron;
extern const struct command command_fetch; /* in builds with the fetching engines */
extern const struct command command_load;  /* in builds with llhttp */
extern const struct command command_crawl; /* in builds with the crawler */
extern const struct command command_mock;  /* in builds with llhttp and zlib */
extern const struct command command_child; /* in builds with jobs of any kind */
extern const struct command command_size;
extern const struct command command_version;

#endif
