/* SPDX-License-Identifier: MIT
 * load.h - drive a server with HTTP/1.1 requests and measure: what `weft load` runs.
 *
 * Closed loop: each connection sends the next request when the last was answered. Open loop
 * (steps): requests start on a schedule, and latency counts from the intended start, so a stalled
 * server cannot hide what it made clients wait. The latency from the actual sending stands beside
 * it, and nothing is corrected afterwards. */
#ifndef WEFT_LOAD_H
#define WEFT_LOAD_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

#define WEFT_LOAD_STEPS_MAX 64

/* A part of an open loop: the rate goes evenly from one to the other. */
struct weft_load_step {
    double from_per_s, to_per_s; /* the same for a constant rate; 0 starts nothing */
    int64_t length_ns;           /* 0: until the load ends; only of one alone, at a constant rate */
};

/* Read "500", or steps and ramps with commas between: "100/10s,200/10s,200:1000/1m".
 *
 * ret_steps   room for WEFT_LOAD_STEPS_MAX
 * ret_reason  set on failure: what is wrong, a part of a sentence, static
 * Returns     0, -EINVAL */
WEFT_API int weft_load_steps_parse(struct weft_load_step *ret_steps, size_t *ret_count,
                                   const char *text, const char **ret_reason);

/* What is known while it runs. */
struct weft_load_view {
    int64_t elapsed_ns;
    double fraction;            /* done, 0 to 1; never falls */
    uint64_t requests, failed;  /* finished so far, warm-up included */
    double requests_per_s;      /* since the view before */
    double intended_per_s;      /* open loop: now; else 0 */
    int64_t p50_ns, p99_ns;     /* of the latest whole second; 0: no success in it */
    unsigned connected;         /* of the connections */
    unsigned step, steps_count; /* which step it is, from 1; 0 in the warm-up */
};

/* Zero or NULL means the default. */
struct weft_load_options {
    const char *url;          /* "http://host:port/path?query"; needed, or a file of them */
    const char *url_file;     /* instead: one URL or JSON object a line, see docs/load.md */
    const char *method;       /* NULL: "POST" with a body, else "GET"; see weft_load */
    const char *body;         /* sent as it is; {i} in URL, header and body: the request's number */
    size_t body_len;          /* 0: up to its NUL */
    const char *content_type; /* "application/json" when there is a body */
    const char *const *headers; /* "Name: value"; one that weft_load sends itself is replaced */
    size_t headers_count;
    uint64_t requests;    /* stop after so many ... */
    int64_t duration_ns;  /* ... or after so long; both 0: 10 s, or as long as the steps */
    int64_t warmup_ns;    /* before that, counted apart */
    unsigned connections; /* 64, at most 10,000 */
    unsigned pipeline;    /* requests at once on each connection, 1; at most 1,024 */
    unsigned workers;     /* threads, 1; at most 256 and the number of connections */
    double rate_per_s;    /* open loop at this rate; 0: closed loop, or the steps */
    const struct weft_load_step *steps; /* open loop; instead of the rate */
    size_t steps_count;
    int64_t timeout_ns; /* per request, 30 s */
    const char *io;     /* reactor, see weft_run_options */
    /* Called about five times a second while it runs, on its first thread. */
    void (*progress)(void *context, const struct weft_load_view *view);
    void *progress_context;
};

enum weft_load_error {
    WEFT_LOAD_CONNECT, /* refused, unreachable */
    WEFT_LOAD_TIMEOUT,
    WEFT_LOAD_RESET,    /* closed or reset in the middle of an exchange */
    WEFT_LOAD_PROTOCOL, /* not HTTP */
    WEFT_LOAD_STATUS,   /* 4xx or 5xx */
    WEFT_LOAD_ERRORS,
};

/* Of succeeded requests; all 0 when there were none. Percentiles by nearest rank. */
struct weft_load_latency {
    uint64_t count;
    int64_t min_ns, mean_ns, p50_ns, p75_ns, p90_ns, p95_ns, p99_ns, p999_ns, max_ns;
};

struct weft_load_counts {
    uint64_t requests;  /* finished, well or badly */
    uint64_t succeeded; /* status below 400 */
    uint64_t failed;    /* the sum of errors */
    uint64_t errors[WEFT_LOAD_ERRORS];
    uint64_t status[6]; /* by first digit; [0] counts answers without a valid status */
    struct weft_load_latency latency; /* from the intended start; closed loop: when a connection
                                         was free for it */
    struct weft_load_latency sent;    /* from the sending */
};

/* A step of the schedule, or the warm-up. Requests belong to the step that they were due in. */
struct weft_load_step_row {
    struct weft_load_step step; /* closed loop: rates of 0 */
    int64_t begin_ns;           /* since the clock started */
    int64_t length_ns;          /* as it was in the end */
    struct weft_load_counts counts;
    uint64_t intended;      /* open loop: due in it ... */
    uint64_t not_started;   /* ... and found no connection before the end */
    double intended_per_s;  /* open loop, else 0 */
    double succeeded_per_s; /* successes while it lasted, whenever they had been due */
};

struct weft_load_url_row {
    const char *url, *method;
    uint64_t weight;
    struct weft_load_counts counts;
};

/* What ended within a part of the load, a second as a rule. */
struct weft_load_second {
    int64_t begin_ns, length_ns;
    uint64_t requests, succeeded, failed;
    int64_t p50_ns, p99_ns, max_ns; /* from the intended start */
    unsigned connected;             /* at its end */
    int warmup;                     /* 1: it began in the warm-up */
};

#define WEFT_LOAD_SECONDS_MAX 86400 /* the rest is not kept row by row */

struct weft_load_data;

struct weft_load_result {
    struct weft_load_counts total; /* without the warm-up */
    uint64_t bytes_read, bytes_written;
    uint64_t not_started;  /* open loop: due before the end, no connection was free */
    uint64_t resent;       /* pipelining: sent again after an answer that closed the connection */
    uint64_t connects;     /* connections made, also in the warm-up */
    int64_t elapsed_ns;    /* of the measured part */
    int64_t started_us;    /* when the clock started, since 1970 */
    int stopped;           /* 1 when a signal ended it early */
    double requests_per_s; /* succeeded per second */
    double intended_per_s; /* open loop, else 0 */
    char method[16];       /* what was sent in the end, of the first URL */
    unsigned connections, pipeline, workers;
    int open_loop;
    int64_t warmup_ns;
    /* Owned by the result. */
    const struct weft_load_step_row *warmup; /* NULL: there was none */
    const struct weft_load_step_row *steps;  /* at least one */
    size_t steps_count;
    const struct weft_load_url_row *urls; /* NULL when there was only one */
    size_t urls_count;
    const struct weft_load_second *seconds;
    size_t seconds_count;
    struct weft_load_data *data;
};

/* Run the load. Without method, body and file, one GET is tried first; when the answer is 405 and
 * allows POST, the load is POST with the body {"text": "load {i}"}.
 *
 * SIGINT or SIGTERM that the caller has blocked (weft_signal_block) ends the load early; what was
 * measured is returned, unless the clock had not started yet.
 *
 * ret_result set only on success; give it back with weft_load_result_release
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0, also when every request failed; -EINVAL (options), -EMFILE (descriptor limit too
 *            low for the connections), -ECONNREFUSED and the like when the server cannot be
 *            reached at all, -ECANCELED (a signal before the clock started), -ENOENT and the
 *            like (the file)
 * Threads    starts a runtime on the calling thread */
WEFT_API int weft_load(const struct weft_load_options *options, struct weft_load_result *ret_result,
                       char *ret_error, size_t error_bytes);

/* Free what a result holds; it is all zero then. Twice is fine. */
WEFT_API void weft_load_result_release(struct weft_load_result *result);

/* A latency in the formats of others, and everything as JSON. Texts are to be freed with free().
 *
 * hgrm     percentiles of the latency from the intended start, in milliseconds, as HdrHistogram
 *          prints them
 * hdr_log  HdrHistogram's log, version 1.3: a line for each step and latency, tagged, in ns
 * json     docs/load.md has the members
 * Returns  0, -ENOMEM */
WEFT_API int weft_load_hgrm(const struct weft_load_result *result, char **ret_text);
WEFT_API int weft_load_hdr_log(const struct weft_load_result *result, char **ret_text);
WEFT_API int weft_load_json(const struct weft_load_result *result, char **ret_text);

/* Whether a load is to count as failed: "p99>50ms", "errors>1%", "rate<1000", "not-started>0"; any
 * percentile, min, mean, max; errors and not-started as a number or a share; > >= < <=.
 *
 * result   NULL: only look at the text
 * ret_text receives a sentence: what is wrong with the text, or by how much it failed
 * Returns  0: it holds; 1: it failed; -EINVAL (not such a text) */
WEFT_API int weft_load_limit_check(const char *limit, const struct weft_load_result *result,
                                   char *ret_text, size_t text_bytes);

/* ---- two loads beside each other ------------------------------------------------------------ */

enum weft_load_verdict {
    WEFT_LOAD_NO_VERDICT,    /* fewer than two runs on a side, or nothing that varies */
    WEFT_LOAD_NO_DIFFERENCE, /* none shown: the interval holds 1 and is narrow */
    WEFT_LOAD_TOO_NOISY,     /* the interval holds 1 and reaches more than 5 % from its middle */
    WEFT_LOAD_BETTER,        /* the second is: a higher rate, a lower latency */
    WEFT_LOAD_WORSE,
};

struct weft_load_comparison_row {
    const char *name;     /* "requests_per_s", "p50", ... */
    int is_rate;          /* 1: per second; 0: nanoseconds */
    double before, after; /* geometric means of the runs */
    double ratio;         /* after / before */
    double low, high;     /* 95 % interval of the ratio, Welch on logarithms; 0: none */
    enum weft_load_verdict verdict;
};

#define WEFT_LOAD_COMPARISON_ROWS 6

struct weft_load_comparison {
    struct weft_load_comparison_row rows[WEFT_LOAD_COMPARISON_ROWS];
    size_t rows_count; /* those that every run has */
    unsigned runs_before, runs_after;
    double failed_before, failed_after; /* shares of all requests */
    char differences[256]; /* settings in which the runs differ, as words; "" when in none */
};

/* Read what `weft load --json` wrote, any number of runs behind each other in each file.
 *
 * ret_error  as in weft_load
 * Returns    0; -EINVAL (not such a file), -ENOENT and the like; -ENOSYS (built without jansson) */
WEFT_API int weft_load_compare(const char *path_before, const char *path_after,
                               struct weft_load_comparison *ret_comparison, char *ret_error,
                               size_t error_bytes);

WEFT_END_DECLS

#endif
