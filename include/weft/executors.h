/* SPDX-License-Identifier: MIT
 * executors.h - tasks that run outside of the program's own fibers and threads: commands, webhooks,
 * and handlers in child processes. For weft_serve and weft_work.
 *
 *     static const char *const convert[] = {"/usr/bin/convert", "-", "png:-", NULL};
 *     static const struct weft_command_task commands[] = {
 *         {.name = "thumbnail", .command = convert, .timeout_ns = 30 * WEFT_SEC},
 *     };
 *     static const struct weft_executors executors = {.commands = commands, .commands_count = 1};
 *     const struct weft_serve_options options = {.executors = &executors};
 *
 * What runs, and what is asked, is the program's choice: who puts in jobs chooses payloads only. */
#ifndef WEFT_EXECUTORS_H
#define WEFT_EXECUTORS_H

#include <weft/http_client.h>

WEFT_BEGIN_DECLS

/* A command, one process for each attempt, without a shell. It is given the payload on its standard
 * input. What it writes to its standard output is the result, as JSON if it is JSON; the last line
 * it writes to its standard error is the reason when it fails, and all of that is in the log. Exit
 * codes: 0 done; 65 and 100 dead at once, whatever attempts are left; any other, and signals, a
 * failed attempt. Zero or NULL means the default. */
struct weft_command_task {
    const char *name;           /* of the task: letters, digits and . _ : -, at most 128 */
    const char *const *command; /* its program and arguments; ends with NULL. The program is a path,
                                   or looked for in $PATH once, at the start */
    /* "NAME=value", or "NAME" to hand on the program's own; ends with NULL. NULL means PATH, HOME,
     * LANG and TZ. Besides, it gets WEFT_JOB_ID, WEFT_TASK, WEFT_QUEUE and WEFT_ATTEMPT. */
    const char *const *environment;
    const char *directory;    /* where it starts, absolute; the program's own */
    int64_t timeout_ns;       /* then SIGTERM to its process group; a job may ask for less time, not
                                 for more. 0: as the job asks, else 30 min */
    int64_t grace_ns;         /* from there, or from a cancel, to SIGKILL, likewise; 10 s */
    uint64_t output_max;      /* bytes; more is a failure; 1 MiB, at most 2 MiB */
    uint64_t memory_max;      /* bytes of address space; 0: no limit */
    unsigned cpu_seconds_max; /* of processor time; 0: no limit */
    int nice;                 /* -20 to 19, added to the program's own */
};

/* A webhook: a POST with the payload as its body, signed after Standard Webhooks. The body of an
 * answer with status 2xx is the result. 410 is dead at once; 408, 425, 429 and 5xx are failed
 * attempts, not made again before what Retry-After says; so are redirects, which are not followed,
 * and everything else. */
struct weft_webhook_task {
    const char *name; /* of the task */
    const char *url;  /* http:// or https:// */
    /* "whsec_" and base64 of 24 to 64 bytes, at most 4: requests are signed with each, so that
     * receivers need not change theirs at the same moment. None: they are not signed. */
    const char *const *secrets;
    size_t secrets_count;
    const struct weft_http_field *headers; /* further ones, at most 32 */
    size_t headers_count;
    int64_t timeout_ns;      /* to the end of the answer, as with commands */
    int allow_private;       /* not 0: the url may lead to any address; else to public ones only */
    int client_errors_final; /* not 0: every 4xx but 408, 425 and 429 is dead at once */
};

/* Where handlers with WEFT_EXECUTOR_PROCESS run: children that are kept ready, one job at a time in
 * each. They are started when there are such handlers. */
struct weft_child_processes {
    const char *const *command; /* what a child is: a program that calls weft_child (child.h), with
                                   its arguments; ends with NULL. NULL: there are none */
    /* Paths of shared objects whose handlers all run in children, whatever executor they name.
     * The children must load them as well. */
    const char *const *libraries;
    size_t libraries_count;
    unsigned size;         /* children; as many as there are processors, at most 1,024 */
    unsigned jobs_max;     /* of one child, then another takes its place; 100 */
    uint64_t memory_max;   /* bytes of address space, of each; 0: no limit */
    int nice;              /* added to the program's own */
    uint64_t resident_max; /* bytes in memory; one that holds more after a job is replaced; 0: no
                              limit */
};

/* All zeros: none. */
struct weft_executors {
    const struct weft_command_task *commands;
    size_t commands_count;
    const struct weft_webhook_task *webhooks;
    size_t webhooks_count;
    struct weft_child_processes children;
};

WEFT_END_DECLS

#endif
