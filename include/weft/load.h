/* SPDX-License-Identifier: MIT
 * load.h - drive one URL with requests and measure: what `weft load` runs.
 *
 * Closed loop: each connection sends the next request when the last was answered. Open loop
 * (rate_per_s): requests start on a schedule, and latency counts from the intended start, so a
 * stalled server cannot hide what it made clients wait. */
#ifndef WEFT_LOAD_H
#define WEFT_LOAD_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Zero or NULL means the default. */
struct weft_load_options {
    const char *url;          /* "http://host:port/path?query"; needed */
    const char *method;       /* NULL: "POST" with a body, else "GET"; see weft_load */
    const char *body;         /* sent as it is, with "{i}" replaced by the request's number */
    const char *content_type; /* "application/json" when there is a body */
    uint64_t requests;        /* stop after so many ... */
    int64_t duration_ns;      /* ... or after so long; both 0: 10 s */
    unsigned connections;     /* 64, at most 10,000 */
    double rate_per_s;        /* 0: closed loop */
    int64_t timeout_ns;       /* per request, 30 s */
    const char *io;           /* reactor, see weft_run_options */
    /* Called about five times a second while it runs. */
    void (*progress)(void *context, uint64_t done, double fraction, double requests_per_s);
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

struct weft_load_result {
    uint64_t requests;  /* finished, well or badly */
    uint64_t succeeded; /* status below 400 */
    uint64_t errors[WEFT_LOAD_ERRORS];
    uint64_t status[6]; /* by first digit; [0] counts answers without a valid status */
    uint64_t bytes_read, bytes_written;
    uint64_t not_started; /* open loop: due before the end, no connection was free */
    int64_t elapsed_ns;
    int stopped;           /* 1 when a signal ended it early */
    double requests_per_s; /* succeeded per second */
    /* Latency of succeeded requests; 0 when there were none. */
    int64_t latency_min_ns, latency_mean_ns, latency_max_ns;
    int64_t latency_p50_ns, latency_p75_ns, latency_p90_ns, latency_p95_ns, latency_p99_ns,
        latency_p999_ns;
    char method[16]; /* what was sent in the end */
};

/* Run the load. Without method and body, one GET is tried first; when the answer is 405 and allows
 * POST, the load is POST with the body {"text": "load {i}"}.
 *
 * SIGINT or SIGTERM that the caller has blocked (weft_signal_block) ends the load early; what was
 * measured is returned.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0 with *ret_result filled, also when every request failed; -EINVAL (options),
 *            -EMFILE (descriptor limit too low for the connections), -ECONNREFUSED and the like
 *            when the server cannot be reached at all
 * Threads    starts a runtime on the calling thread */
WEFT_API int weft_load(const struct weft_load_options *options, struct weft_load_result *ret_result,
                       char *ret_error, size_t error_bytes);

WEFT_END_DECLS

#endif
