/* SPDX-License-Identifier: MIT
 * work.h - a worker for the jobs of a weft server elsewhere, as a function: what `weft worker`
 * runs.
 *
 *     static const struct weft_handler handlers[] = {{.name = "greet", .run = greet}};
 *     static const struct weft_work_queue queues[] = {{.name = "mail", .weight = 3}, {"default"}};
 *     int main(void)
 *     {
 *         char error[256];
 *         int err = weft_work(&(struct weft_work_options){.server = "http://127.0.0.1:8001",
 *                                                         .handlers = handlers,
 *                                                         .handlers_count = 1,
 *                                                         .queues = queues,
 *                                                         .queues_count = 2},
 *                             error, sizeof error);
 *         if (err)
 *             fprintf(stderr, "%s\n", error);
 *         return err ? 1 : 0;
 *     }
 *
 * Any number of workers may serve the same queues. Each job is leased, and the lease renewed while
 * it runs; the jobs of a worker that dies run again elsewhere when their leases end. */
#ifndef WEFT_WORK_H
#define WEFT_WORK_H

#include <weft/executors.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

#define WEFT_WORK_QUEUES_MAX 64

struct weft_work_queue {
    const char *name;
    unsigned weight; /* 0 means 1: jobs of it for each of a queue with weight 1 */
};

/* Zero or NULL means the default. */
struct weft_work_options {
    const char *server;                  /* "http://127.0.0.1:8001" */
    const char *token;                   /* with the scope "work"; NULL: none */
    const char *ca_file;                 /* for https, PEM; NULL: the system's authorities */
    const struct weft_handler *handlers; /* the program's own tasks ... */
    size_t handlers_count;
    const char *const *libraries; /* ... and paths of shared objects with WEFT_TASK_LIBRARY ... */
    size_t libraries_count;
    const struct weft_executors *executors; /* ... and tasks that run elsewhere; NULL: none */
    int builtin;                            /* not 0: and noop, sleep, fail and process */
    const struct weft_work_queue *queues;   /* none: "default" */
    size_t queues_count;                    /* at most WEFT_WORK_QUEUES_MAX */
    int strict;           /* not 0: from a queue only when those before it have nothing */
    unsigned concurrency; /* jobs at once; 100, at most 1,000,000 */
    int64_t lease_ns;     /* 30 s, from 1 s to 1 h */
    const char *name;     /* in the server's registry; NULL: host and process id */
    int64_t grace_ns;     /* after SIGTERM, for running jobs; 30 s */
    const char *io;       /* reactor, see weft_run_options */
    /* Called once, when jobs are asked for. */
    void (*ready)(void *context);
    void *ready_context;
    /* Receives one log record as a line of JSON without line feed, on any thread; NULL: standard
     * error. */
    void (*log)(void *context, const char *line);
    void *log_context;
};

/* Work until SIGTERM or SIGINT, then drain: running jobs get grace_ns, and what is left goes back
 * to the server without having spent an attempt. A second signal ends the grace time. A server that
 * goes away is waited for, without end; at the start for a minute.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0 after a drain; -EINVAL (options), -EACCES (the token), WEFT_EVERSION (a library of
 *            another weft), -ECONNREFUSED and others when there is no server
 * Threads    starts a runtime on the calling thread, which must be the first; blocks SIGTERM,
 *            SIGINT and SIGPIPE */
WEFT_API int weft_work(const struct weft_work_options *options, char *ret_error,
                       size_t error_bytes);

WEFT_END_DECLS

#endif
