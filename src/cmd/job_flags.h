/* SPDX-License-Identifier: MIT
 * job_flags.h - what can be said about a job on the command line: for `weft enqueue`, and for the
 * jobs of schedules. */
#ifndef WEFT_CMD_JOB_FLAGS_H
#define WEFT_CMD_JOB_FLAGS_H

#include "options.h"

#include <base/buffer.h>

#define JOB_PAYLOAD_MAX ((size_t)1 << 20) /* bytes of a payload: the server's limit */

struct job_flags {
    const char *queue, *payload, *unique;
    uint64_t priority; /* JOB_NO_NUMBER: not given */
    uint64_t max_attempts;
    int64_t timeout_ns;
};

#define JOB_NO_NUMBER UINT64_MAX
#define JOB_FLAGS_DEFAULTS                                                                         \
    {                                                                                              \
        .priority = JOB_NO_NUMBER                                                                  \
    }

/* In a table of options; actions: those that take them. */
// clang-format off
#define JOB_OPTIONS(type, member, actions)                                                         \
    {.name = "queue", .metavar = "NAME", .kind = OPTION_STRING, .only = (actions),                 \
     .offset = offsetof(type, member.queue), .help = "the job's queue (default: default)"},        \
    {.name = "priority", .metavar = "N", .kind = OPTION_COUNT, .max = 9, .only = (actions),        \
     .offset = offsetof(type, member.priority), .help = "0, which goes first, to 9 (default 5)"},  \
    {.name = "payload", .metavar = "JSON", .kind = OPTION_STRING, .only = (actions),               \
     .offset = offsetof(type, member.payload),                                                     \
     .help = "what the task is given: JSON, @FILE with JSON in it, or\n"                           \
             "- for standard input (default null)"},                                               \
    {.name = "max-attempts", .metavar = "N", .kind = OPTION_COUNT, .min = 1, .max = 1000,          \
     .only = (actions), .offset = offsetof(type, member.max_attempts),                             \
     .help = "attempts before it is dead (default: the task's)"},                                  \
    {.name = "timeout", .metavar = "T", .kind = OPTION_DURATION, .min = 1, .only = (actions),      \
     .offset = offsetof(type, member.timeout_ns), .help = "for one attempt (default: the task's)"},\
    {.name = "unique", .metavar = "KEY", .kind = OPTION_STRING, .only = (actions),                 \
     .offset = offsetof(type, member.unique),                                                      \
     .help = "not while another job with this key is unfinished"}
// clang-format on

/* Append {"task": ..., and the rest, without the closing brace.
 * Returns EXIT_OK; EXIT_USAGE, EXIT_FAILED after a sentence */
int job_flags_append(const char *command, const struct job_flags *flags, const char *task,
                     struct weft_buffer *body);

/* Append a length of time as a member, in seconds. */
void append_seconds(struct weft_buffer *body, const char *name, int64_t length_ns);

/* Append a text as a member. */
void append_member(struct weft_buffer *body, const char *name, const char *text);

/* Read a file, "-" being standard input, into a buffer: at most what it may hold.
 * Returns EXIT_OK; EXIT_FAILED after a sentence */
int read_input(const char *command, const char *path, struct weft_buffer *text);

#endif
