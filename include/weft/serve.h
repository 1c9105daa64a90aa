/* SPDX-License-Identifier: MIT
 * serve.h - the durable job service, as a function: what `weft serve` runs. */
#ifndef WEFT_SERVE_H
#define WEFT_SERVE_H

#include <weft/executors.h>
#include <weft/job_state.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

#define WEFT_SERVE_STEPS 3

/* Zero or NULL means the default. */
struct weft_serve_options {
    const char *listen;       /* "127.0.0.1:8001"; port 0 picks a free one */
    const char *broker;       /* "sqlite:weft.db" */
    unsigned workers;         /* 4, at most 64 */
    unsigned concurrency;     /* jobs at once per worker, 1000, at most 1,000,000 */
    unsigned queue_size;      /* jobs waiting per worker, 100,000 */
    unsigned job_concurrency; /* jobs at once of all queues that are no worker's, 1000 */
    /* Tasks beside the built-in ones, which are noop, sleep, fail and process: the program's own,
     * those of shared objects (paths; WEFT_TASK_LIBRARY in task.h), and those that run elsewhere.
     */
    const struct weft_handler *handlers;
    size_t handlers_count;
    const char *const *libraries;
    size_t libraries_count;
    const struct weft_executors *executors; /* NULL: none */
    /* WEFT_SERVE_STEPS lengths of the built-in task; NULL: 2 s, 1 s, 0.5 s */
    const int64_t *steps_ns;
    int64_t grace_ns; /* after SIGTERM, for requests under way and running jobs together; 30 s */
    int64_t answer_timeout_ns; /* for a client to take an answer, or what comes on a stream; 30 s */
    int64_t event_silence_ns;  /* a stream of events gives a sign of life at least so often; 15 s */
    struct weft_jobs_retention retention;
    const char *token_file; /* bearer token; needed for an address that is not loopback ... */
    int insecure;           /* ... unless this is set */
    const char *io;         /* reactor, see weft_run_options */
    /* Called once, when requests are answered, with the address in "host:port" form. */
    void (*ready)(void *context, const char *address);
    void *ready_context;
    /* Receives one log record as a line of JSON without line feed; NULL: standard error. */
    void (*log)(void *context, const char *line);
    void *log_context;
};

/* Serve until SIGTERM or SIGINT, then drain: requests under way are answered and running
 * jobs end, both within grace_ns; what is left runs again at the next start.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0 after a drain; -EINVAL (options), -EADDRINUSE, -EACCES, WEFT_EVERSION (database of
 *            a newer weft), -EROFS, -ENOSPC, WEFT_ECORRUPT, ...
 * Threads    starts a runtime on the calling thread, which must be the first; blocks SIGTERM and
 *            SIGINT */
WEFT_API int weft_serve(const struct weft_serve_options *options, char *ret_error,
                        size_t error_bytes);

WEFT_END_DECLS

#endif
