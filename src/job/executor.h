/* SPDX-License-Identifier: MIT
 * executor.h - what an executor that runs attempts outside of fibers takes, and what it gives back.
 *
 *     exec.h      a command of the administrator's, one process for each attempt
 *     children.h  functions in processes that are kept, one attempt at a time in each
 *     webhook.h   a signed request to somebody else's server
 *
 * Each is called by the fiber of the attempt and suspends it until there is an outcome. Cancelling
 * the fiber ends the work, wherever it is, and gives -ECANCELED instead of one. */
#ifndef WEFT_JOB_EXECUTOR_H
#define WEFT_JOB_EXECUTOR_H

#include <job/job.h>

#include <weft/process.h>

#include <weft/scope.h>

#define WEFT_TAIL_BYTES ((size_t)4 << 10)
#define WEFT_GRACE_NS   (10 * WEFT_SEC) /* for what has to end, where nobody says another */

/* One attempt at one job. */
struct weft_execution {
    const char *id;                      /* of the job, the same in every attempt */
    const char *task;                    /* by its name */
    const char *queue;                   /* NULL: none */
    unsigned attempt;                    /* from 1 ... */
    unsigned attempts_max;               /* ... to this */
    struct weft_bytes input;             /* the job's payload */
    const char *headers;                 /* of the job, a JSON object of strings; NULL: none */
    const struct weft_job_input *inputs; /* what came of the jobs that it waited for */
    size_t inputs_count;
    int64_t timeout_ns; /* of this job; 0: none. The shorter one counts, the executor's or it */
    int64_t grace_ns;   /* from when it is asked to end to its end by force, likewise */
    /* Where the executor tells of a wait for what was asked to end: cancel the scope, and it is
     * ended by force at once. NULL while there is no such wait. May be NULL itself. */
    struct weft_scope **patience;
};

enum weft_outcome_kind {
    WEFT_OUTCOME_FAILED,  /* another attempt may do better */
    WEFT_OUTCOME_DISCARD, /* none will */
    WEFT_OUTCOME_CANCEL,  /* nobody needs it any more */
    WEFT_OUTCOME_SNOOZE,  /* it is to be made again later */
    WEFT_OUTCOME_DONE,
};

/* What came of it. Begins as all zeros; whoever is given one releases it. */
struct weft_outcome {
    enum weft_outcome_kind kind;
    int64_t delay_ns; /* failed, snooze: until the next attempt; 0: not said */
    bool delay_least; /* the next attempt may well come later */
    char *result;     /* done: from malloc, may be taken over; NULL: nothing, or no result */
    size_t result_len;
    bool result_json; /* who made it says that it is JSON; nobody has looked */
    char *reason;     /* why it is not done, or has no result: one line of UTF-8, at most
                         WEFT_JOB_ERROR_MAX bytes; NULL: none, or no memory for it */
    char *said; /* the last it wrote to its standard error, not as clean as reason; NULL: nothing */
    size_t said_len;
    int exit_code; /* of the process, when it ended by itself; else -1 */
    int signal;    /* that ended it, or 0 */
    int64_t cpu_ns;
    size_t resident_bytes; /* as in weft_process_status; of a process that lives on, at present */
};

/* Free what it holds, and make it all zeros. */
void weft_outcome_release(struct weft_outcome *outcome);

/* Set kind and reason: the sentence, and after a colon the last line of what it said, if any. */
void weft_outcome_say(struct weft_outcome *outcome, enum weft_outcome_kind kind, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));

/* Set kind and reason to a text as it is, without what it said. */
void weft_outcome_quote(struct weft_outcome *outcome, enum weft_outcome_kind kind, const char *text,
                        size_t len);

/* How a process ended, and what it used. */
void weft_outcome_note(struct weft_outcome *outcome, const struct weft_process_status *status);

/* It was ended by a signal that nobody here has sent: failed. */
void weft_outcome_say_killed(struct weft_outcome *outcome,
                             const struct weft_process_status *status);

/* It took longer than it may: failed. */
void weft_outcome_say_late(struct weft_outcome *outcome, int64_t timeout_ns, const char *ending);

/* Around such a wait: a shield, which whoever was told of it may cancel. */
void weft_patience_enter(struct weft_scope *scope, const struct weft_execution *execution);
void weft_patience_leave(struct weft_scope *scope, const struct weft_execution *execution);

/* The shorter of two times, of which 0 means none. */
int64_t weft_shorter(int64_t one_ns, int64_t other_ns);

/* How long what was asked to end may take: executor_ns is the executor's own, 0: it has none,
 * WEFT_NO_GRACE: no time at all. 0: none. */
int64_t weft_grace_of(int64_t executor_ns, const struct weft_execution *execution);

/* The end of a stream of bytes. Begins as all zeros. */
struct weft_tail {
    size_t total; /* bytes that came; the last of them are kept, the newest before total % size */
    char bytes[WEFT_TAIL_BYTES];
};

void weft_tail_append(struct weft_tail *tail, const char *data, size_t len);

/* Copy what is kept to outcome->said. Without memory there is none. */
void weft_tail_copy(const struct weft_tail *tail, struct weft_outcome *outcome);

#endif
