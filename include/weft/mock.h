/* SPDX-License-Identifier: MIT
 * mock.h - an API server to measure and to test clients against: what `weft mock` runs.
 *
 *     struct weft_mock *mock;                          // in a test: on a thread of its own
 *     int err = weft_mock_start(&mock, &(struct weft_mock_options){.listen = "127.0.0.1:0"},
 *                               error, sizeof error);
 *     ... weft_mock_url(mock) is "http://127.0.0.1:40311" ...
 *     CHECK_EQUAL(weft_mock_requests(mock, "/get"), 100);
 *     weft_mock_stop(mock);
 *
 * What it answers, and what a request can ask of it in its query, is told in docs/mock.md. Whatever
 * is left to chance is drawn from the seed, the route, and the number of the request among those
 * for the route: the same seed and the same requests in the same order per route get the same
 * answers. A route is written as in http_server.h: "/users/{id}". */
#ifndef WEFT_MOCK_H
#define WEFT_MOCK_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

struct weft_mock;

/* The pages under /site/, which link to each other: a tree, and links across it that make no way
 * shorter, so that the page n is as deep in the site as it is in the tree. */
struct weft_mock_site_options {
    unsigned pages; /* 0 means 1000; at most 10,000,000 */
    unsigned depth; /* of the deepest page, where there are pages enough; 0 means 4; at most 30 */
    unsigned links; /* of each page across the tree; 0 means 5; at most 100 */
    double broken;  /* the share of pages with a link to nowhere; 0 means 0.05; below 0: none */
};

/* Zero or NULL means the default. Texts are needed until weft_mock_open or _start returns, but for
 * robots and io, which are needed to the end. */
struct weft_mock_options {
    const char *listen; /* "127.0.0.1:8080"; port 0 picks a free one ... */
    int insecure;       /* ... which must be loopback, unless this is 1 */
    unsigned workers;   /* threads that serve; 1. In a runtime of the caller's, at most its own */
    uint64_t seed;      /* 1 */
    /* How long answers take, but for /health, /delay and what speaks of the server itself:
     *
     *     100ms   fixed:100ms   uniform:50ms,150ms   lognormal:MEDIAN,SIGMA[,MAX]
     *     pareto:MIN,ALPHA[,MAX]
     *
     * All at most 60s, which is MAX by itself. NULL: 100 ms for /users and /error-simulation, 150
     * ms for /orders, 200 ms for /webhooks/process, and 0 for everything else */
    const char *latency;
    double error_rate;      /* the share of them that is a 500; 0 to 1 */
    double reset_rate;      /* ... that is no answer, or half of one, and a reset; 0 to 1 */
    const char *rate_limit; /* "N/T", like "10/1s": of each client in T from its first request on,
                               then 429 with Retry-After. NULL: none */
    int retry_after_date;   /* 1: Retry-After says when, not in how many seconds */
    const char *robots;     /* the text of /robots.txt; NULL: one that keeps crawlers out of
                               /site/private/ and names the sitemap */
    int robots_status;      /* 200; a redirect leads to where the text is */
    struct weft_mock_site_options site;
    unsigned connections_max; /* at once; 0 means 10,000; shared evenly by the workers */
    /* Of weft_mock_serve and weft_mock_start alone: */
    const char *io; /* reactor, see weft_run_options */
    /* Of weft_mock_serve alone: called when it listens, and when it has ended. */
    void (*ready)(void *context, const struct weft_mock *mock);
    void (*ended)(void *context, const struct weft_mock *mock);
    void *context;
};

/* Listen, inside a runtime. Nothing is answered before weft_mock_run.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0; -EINVAL (options), -EADDRINUSE, -EACCES, -ENOMEM
 * Never suspends */
WEFT_API int weft_mock_open(struct weft_mock **ret_mock, const struct weft_mock_options *options,
                            char *ret_error, size_t error_bytes);

/* Serve until weft_mock_drain has been obeyed, or the caller is cancelled; on the fiber's own
 * worker, which must have opened it, and with several workers on those that follow.
 * Returns  0 when drained, -ECANCELED when cancelled: connections were cut; what kept a worker from
 *          listening
 * Suspends */
WEFT_API int weft_mock_run(struct weft_mock *mock);

/* Take no more connections, and answer what is under way. Any thread; does not wait. */
WEFT_API void weft_mock_drain(struct weft_mock *mock);

/* Free it; weft_mock_run must have returned. NULL is fine. Never suspends. */
WEFT_API void weft_mock_close(struct weft_mock *mock);

/* Open and run on threads of its own, so that the caller may block, or run what it likes.
 *
 * Returns  like weft_mock_open, once it listens; -EAGAIN (no thread)
 * Threads  any, inside and outside of runtimes; blocks until it listens */
WEFT_API int weft_mock_start(struct weft_mock **ret_mock, const struct weft_mock_options *options,
                             char *ret_error, size_t error_bytes);

/* End one that was started: cut what is under way, wait for its threads, free it. NULL is fine.
 * Threads: any; blocks for a moment. */
WEFT_API void weft_mock_stop(struct weft_mock *mock);

/* Serve on the calling thread until SIGTERM or SIGINT; then answer what is under way, for at most
 * 10 s. A second signal ends it at once.
 *
 * Returns  0 after a signal; like weft_mock_open
 * Threads  starts a runtime on the calling thread, which must be the first; blocks both signals */
WEFT_API int weft_mock_serve(const struct weft_mock_options *options, char *ret_error,
                             size_t error_bytes);

/* "http://127.0.0.1:8080", without a slash. Good until it is closed. */
WEFT_API const char *weft_mock_url(const struct weft_mock *mock);

/* The port it listens on, also where 0 was asked for. */
WEFT_API uint16_t weft_mock_port(const struct weft_mock *mock);

/* ---- counters: what clients say they did can be held against them ------------------------ */

/* Since the start, or the last reset. A request is counted when it begins, and its answer when it
 * is made. */
struct weft_mock_stats {
    uint64_t requests; /* for all routes; what asks for these numbers is not counted */
    uint64_t unrouted; /* for no route: 404, 405 and OPTIONS */
    uint64_t refused;  /* malformed, too large, too slow */
    uint64_t resets;
    uint64_t bytes;       /* of bodies */
    uint64_t connections; /* accepted */
    uint64_t connections_refused;
    unsigned connections_now;
};

struct weft_mock_route_stats {
    const char *route; /* static */
    uint64_t requests;
    uint64_t resets;    /* ended by a reset on purpose, or closed without the whole answer */
    uint64_t abandoned; /* the client left before the answer */
    uint64_t bytes;     /* of bodies, as they were sent: compressed, without framing */
    unsigned now;       /* under way */
    unsigned most;      /* at once */
};

/* From any thread, also while it runs. Never suspend. */
WEFT_API void weft_mock_stats(const struct weft_mock *mock, struct weft_mock_stats *ret_stats);

/* The routes by number, from 0. Returns 0, -ENOENT: there are no more. */
WEFT_API int weft_mock_route_stats(const struct weft_mock *mock, unsigned number,
                                   struct weft_mock_route_stats *ret_stats);

/* Requests for a route, "/users/{id}", by its name; 0 for one that there is not. */
WEFT_API uint64_t weft_mock_requests(const struct weft_mock *mock, const char *route);

/* Answers of a route with a status, 200 to 599. */
WEFT_API uint64_t weft_mock_answers(const struct weft_mock *mock, const char *route, int status);

/* Everything to 0, also the numbers that chance depends on, and the rate limits: as it was at the
 * start. With no requests under way. */
WEFT_API void weft_mock_reset(struct weft_mock *mock);

WEFT_END_DECLS

#endif
