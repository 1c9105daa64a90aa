/* SPDX-License-Identifier: MIT
 * task.h - what a job does: named handlers, and what a handler may do with the job it is given.
 *
 *     static int greet(struct weft_attempt *attempt, const void *settings)
 *     {
 *         const char *name;
 *         int err = weft_attempt_get_string(attempt, "name", &name);
 *         if (err)
 *             return weft_attempt_fail(attempt, err, "the payload has no string \"name\"");
 *         return weft_attempt_printf_result(attempt, "{\"greeting\":\"hello\"}");
 *     }
 *     static const struct weft_handler handlers[] = {{.name = "greet", .run = greet}};
 *     WEFT_TASK_LIBRARY(handlers);           // in a shared object: weft worker --load ./greet.so
 *
 * A job runs at least once: an attempt whose end could not be told is made again. What must happen
 * once only is to be guarded by the job's id.
 *
 * Many fibers sleep at once, so count on one page of stack each: keep frames small before a wait,
 * and put what is large on the heap. */
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <weft/retry.h>

WEFT_BEGIN_DECLS

struct weft_attempt; /* one run of one job; valid until run returns */

/* Where a handler runs. */
enum weft_executor {
    WEFT_EXECUTOR_FIBER,   /* a fiber of its own: waits with weft's calls, never blocks */
    WEFT_EXECUTOR_THREAD,  /* a thread of a bounded pool: may block; cannot be ended by force. One
                              that does not end is left behind, and still uses its settings */
    WEFT_EXECUTOR_PROCESS, /* a child process: may burn CPU or crash; is killed when it must end */
    WEFT_EXECUTOR_EXEC,    /* a command of the server's own list; run is not used */
    WEFT_EXECUTOR_HTTP,    /* a webhook; run is not used */
    WEFT_EXECUTORS,
};

/* What a handler may return beside 0 or more (completed) and a negative code (the attempt failed
 * and is made again after a while, if there are attempts left). Use the functions below. When its
 * scope is cancelled, a handler returns what its waits gave it, -ECANCELED. */
#define WEFT_TASK_SNOOZE  (-4200) /* call me again later; no attempt is spent */
#define WEFT_TASK_CANCEL  (-4201) /* nobody needs this job any more */
#define WEFT_TASK_DISCARD (-4202) /* failed, and trying again is of no use: dead at once */

/* Zero means the default. */
struct weft_handler {
    const char *name; /* letters, digits and . _ : -, at most 128; unique */
    int (*run)(struct weft_attempt *attempt, const void *settings);
    const void *settings;        /* handed to run; exec and http: what to run */
    enum weft_executor executor; /* WEFT_EXECUTOR_FIBER */
    unsigned attempts_max;       /* of a job that does not say; 3 */
    int64_t timeout_ns; /* of a job that does not say: its scope is cancelled. 0: none; exec, http
                           and process: 30 min */
    int64_t grace_ns;   /* after that it is ended by force, or given up as stuck; 10 s */
    /* Delays of retries: backoff, jitter (FULL, EQUAL or NONE), base_ns (0: 2 s), cap_ns (0: 1 h)
     * and multiplier are read. All zeros: exponential from 2 s to 1 h, equal jitter. */
    struct weft_retry_options retry;
};

/* --- the job --- */

/* Never suspend. Strings live as long as the attempt. */
WEFT_API const char *weft_attempt_id(const struct weft_attempt *attempt); /* 36 characters */
WEFT_API const char *weft_attempt_task(const struct weft_attempt *attempt);
WEFT_API const char *weft_attempt_queue(const struct weft_attempt *attempt);
WEFT_API unsigned weft_attempt_number(const struct weft_attempt *attempt); /* from 1 */
WEFT_API unsigned weft_attempt_number_max(const struct weft_attempt *attempt);
WEFT_API const char *weft_attempt_payload(const struct weft_attempt *attempt, size_t *ret_len);
/* A header of the job by name; NULL when it has none. Trace context travels here. */
WEFT_API const char *weft_attempt_header(struct weft_attempt *attempt, const char *name);

/* A member of the payload, which must be a JSON object. A path leads into objects and arrays:
 * "user.name", "items[2].id".
 * Returns  0; -ENOENT (no such member, or the payload is null), -EINVAL (another type; a string
 * with a NUL in it; no such path; the payload is no JSON object, or is nested more than 64 deep),
 * -ERANGE, -ENOMEM. *ret_value is written only on success. Never suspend */
WEFT_API int weft_attempt_get_string(struct weft_attempt *attempt, const char *path,
                                     const char **ret_value);
WEFT_API int weft_attempt_get_int(struct weft_attempt *attempt, const char *path,
                                  int64_t *ret_value);
WEFT_API int weft_attempt_get_double(struct weft_attempt *attempt, const char *path,
                                     double *ret_value);
WEFT_API int weft_attempt_get_bool(struct weft_attempt *attempt, const char *path, int *ret_value);
/* So many elements has the array, or members the object; "" is the payload itself. */
WEFT_API int weft_attempt_get_count(struct weft_attempt *attempt, const char *path,
                                    size_t *ret_count);

/* Results of the jobs this one waited for, in the order in which it named them. *ret_result is NULL
 * when there is none (any more). Returns 0, -ENOENT (no such input). */
WEFT_API size_t weft_attempt_inputs(const struct weft_attempt *attempt);
WEFT_API int weft_attempt_input(const struct weft_attempt *attempt, size_t index,
                                const char **ret_result, size_t *ret_len);

/* --- its outcome --- */

/* Hand over the result, a copy is made; a second one replaces it. JSON text is checked: -EINVAL.
 * Returns  0, -EMSGSIZE (more than 2 MiB), -EINVAL, -ENOMEM */
WEFT_API int weft_attempt_result_json(struct weft_attempt *attempt, const char *json, size_t len);
WEFT_API int weft_attempt_result_bytes(struct weft_attempt *attempt, const void *data, size_t len);
WEFT_API int weft_attempt_printf_result(struct weft_attempt *attempt, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Say in one sentence why the attempt ends so, and return the code to be returned:
 *     return weft_attempt_fail(attempt, -EPROTO, "the partner sent %d", status); */
WEFT_API int weft_attempt_fail(struct weft_attempt *attempt, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
WEFT_API int weft_attempt_discard(struct weft_attempt *attempt, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
WEFT_API int weft_attempt_cancel(struct weft_attempt *attempt, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Not before delay_ns from now, at least 1 ms. */
WEFT_API int weft_attempt_snooze(struct weft_attempt *attempt, int64_t delay_ns);
/* As fail, but the next attempt comes after delay_ns, whatever the backoff says. */
WEFT_API int weft_attempt_retry_after(struct weft_attempt *attempt, int64_t delay_ns,
                                      const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- on its way --- */

/* Store how far it is: fraction 0 to 1, note may be NULL. What is told more often than once a
 * second is kept back and told then. Returns 0, -EINVAL, -ENOMEM. Never suspends. */
WEFT_API int weft_attempt_progress(struct weft_attempt *attempt, double fraction, const char *note);

enum weft_log_level {
    WEFT_LOG_DEBUG,
    WEFT_LOG_INFO,
    WEFT_LOG_WARNING,
    WEFT_LOG_ERROR
};

/* One line in the log of whoever runs the job, with the job's id, task and attempt; what is longer
 * than 1,000 bytes is cut. */
WEFT_API void weft_attempt_log(struct weft_attempt *attempt, enum weft_log_level level,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A further job. Zero or NULL means the default. */
struct weft_attempt_job {
    const char *task;
    const char *queue;   /* that of this job */
    const char *payload; /* JSON; NULL: null */
    size_t payload_len;  /* 0: to its NUL */
    int priority;        /* 0 to 9 ... */
    int has_priority;    /* ... if this is set; else 5 */
    int64_t delay_ns;
    unsigned attempts_max;
    const char *unique_key;
};

/* Put in a further job by the same commit that completes this one: if this attempt fails, there is
 * no such job. It belongs to the same flow and has the same headers. When the queue refuses it,
 * this attempt has failed; one whose unique key is there already is no longer wanted, and that is
 * all. Copied. At most 1,000, with 16 MiB of payloads. Returns  0; -EINVAL (names, numbers, payload
 * is not JSON), -EMSGSIZE, -ENOBUFS, -ENOMEM */
WEFT_API int weft_attempt_enqueue(struct weft_attempt *attempt, const struct weft_attempt_job *job);

/* Whether the job is to end: cancelled, timed out, lease lost, the worker ends. For threads and
 * child processes; a fiber learns it from its waits. */
WEFT_API int weft_attempt_is_cancelled(const struct weft_attempt *attempt);

/* --- shared objects --- */

#define WEFT_TASK_ABI 1

struct weft_task_library {
    uint32_t abi;  /* WEFT_TASK_ABI of the headers it was compiled with */
    uint32_t size; /* sizeof(struct weft_handler) */
    const struct weft_handler *handlers;
    size_t count;
};

/* Export the handlers of an array from a shared object. */
#define WEFT_TASK_LIBRARY(array)                                                                   \
    __attribute__((visibility("default"))) const struct weft_task_library weft_task_library = {    \
        WEFT_TASK_ABI, sizeof(struct weft_handler), array, sizeof(array) / sizeof((array)[0])}

WEFT_END_DECLS

#endif
