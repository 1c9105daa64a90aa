/* SPDX-License-Identifier: MIT
 * fetch.h - fetch URLs, one or millions, so that neither side suffers: what `weft fetch` runs.
 *
 *     struct weft_fetcher *fetcher;
 *     struct weft_fetch_answer answer = {0};
 *     weft_fetcher_open(&fetcher, NULL);
 *     const struct weft_fetch_request request = {.url = "http://127.0.0.1:8080/get"};
 *     int err = weft_fetcher_get(fetcher, &request, &answer, WEFT_FOREVER);
 *     printf("%d %s\n", answer.result.status_code, err ? answer.result.error : answer.result.body);
 *     weft_fetch_answer_release(&answer);
 *     weft_fetcher_close(fetcher);
 *
 * A fetcher is an engine, which makes single exchanges, and around it the rules: limits in all and
 * by host, retries that heed idempotency, Retry-After and a budget, a breaker for each host.
 * weft_fetch takes requests from a source, gives them to a fetcher, so many at once, and the
 * results to a sink (sink.h), in constant memory, and sums up. docs/fetch.md has the rules as
 * tables.
 *
 * Before every exchange it waits, in this order, for the rate, the breaker, a place at the host and
 * a place in all. Who waits to try again, or for a host that asked for a pause, holds none of
 * these.
 *
 * The three engines differ in who waits for the network; all else is the same, the clock as well: a
 * latency begins with the exchange and ends with the last byte of the body. */
#ifndef WEFT_FETCH_H
#define WEFT_FETCH_H

#include <weft/http_client.h>
#include <weft/sink.h>
#include <weft/sync.h>

WEFT_BEGIN_DECLS

enum weft_fetch_engine {
    WEFT_FETCH_ASYNC, /* fibers: for plain http a reader of our own, for the rest http_client.h */
    WEFT_FETCH_SYNC,  /* one thread with one libcurl handle, one exchange after the other */
    WEFT_FETCH_THREADED, /* as many threads as exchanges at once, each with a handle of its own */
    WEFT_FETCH_ENGINES   /* how many there are */
};

enum weft_fetch_pooling {
    WEFT_FETCH_OPTIMIZED, /* connections are kept and used again */
    WEFT_FETCH_NAIVE,     /* each request makes its own and closes it */
};

/* For options where 0 means the default. */
#define WEFT_FETCH_NONE UINT32_MAX

/* Zero means the default. Strings must live until close. */
struct weft_fetcher_options {
    enum weft_fetch_engine engine;
    enum weft_fetch_pooling pooling;
    unsigned concurrency;      /* exchanges at once; 0 means 100, for sync it is 1; at most 10,000,
                                  with threads 1,000 */
    unsigned host_concurrency; /* of them with one host; 0: as many as in all */
    double rate_per_s;         /* exchanges begun, in all, at most 1e6; 0: no limit */
    double host_rate_per_s;    /* and with each host */
    unsigned hosts_max;        /* that are remembered, with their breakers, pauses and connections;
                                  those that were not used for longest make room. 0 means 10,000 */

    unsigned attempts_max;      /* the first one included; 0 means 3, 1 no retries */
    int64_t backoff_base_ns;    /* full jitter: a delay is drawn from [0, base x 2^n); 0: 500 ms */
    int64_t backoff_cap_ns;     /* that is at most so long; 0 means 30 s */
    int64_t retry_after_max_ns; /* a host may ask for a pause that long; a request it wants to have
                                   later fails, and the host is left alone for so long; 0: 300 s */
    double retry_ratio;         /* retries per request that a host gets, beside 10 a second; 0 means
                                   0.2, negative: no budget */

    int64_t connect_timeout_ns; /* 10 s */
    int64_t attempt_timeout_ns; /* of an exchange; 30 s */
    int64_t total_timeout_ns;   /* from the first exchange on, with all that follow and the waits
                                   between them; 120 s. Also how long it waits for a host's pause */

    int breaker_off;         /* not 0: no breakers */
    int breaker_waits;       /* not 0: who finds one open waits for it, within total_timeout_ns;
                                else it fails at once */
    double breaker_rate;     /* share of failures that opens it; 0 means 0.5 */
    unsigned breaker_calls;  /* of so many last ones; 0 means 50. Judged from 20, or so many, on */
    int64_t breaker_open_ns; /* first open time, doubled until it works again; 0 means 10 s */

    unsigned redirects_max;    /* 0 means 10; WEFT_FETCH_NONE: a redirect is the answer */
    size_t response_bytes_max; /* of a body; 0 means 8 MiB */
    const char *user_agent;    /* NULL means "weft/VERSION"; "": none */
    int http2;                 /* not 0: over TLS, where the server has it */
    const char *ca_file;       /* PEM; NULL: the system's authorities */
    int tls_insecure;          /* not 0: any certificate will do. For tests only */
    const char *proxy;         /* as in http_client.h */
    int proxy_of_environment;
    int refuse_private; /* not 0: only addresses of the public internet */
    int curl_only;      /* not 0: async uses http_client.h for plain http as well */
    uint64_t seed;      /* of the jitter; 0: drawn */
};

/* Everything is the caller's, and used until weft_fetcher_get returns. */
struct weft_fetch_request {
    const char *url;
    const char *method; /* NULL means "GET", with a body "POST" */
    const struct weft_http_field *fields;
    size_t fields_count;
    const void *body;
    size_t body_len;
    size_t response_bytes_max; /* 0: the fetcher's */
    int without_body;          /* not 0: the response's body is counted, not kept */
    const char *tag;           /* comes back in the result */

    /* Asked before a redirect is followed, on the calling fiber; may suspend. 0: the redirect is
     * the answer. NULL: all are followed. */
    int (*may_follow)(void *context, const char *url);
    void *may_follow_context;
};

/* What came of it. All zero before the first use; may be used again, which saves memory from being
 * given back and taken again. */
struct weft_fetch_answer {
    struct weft_fetch_result result;    /* strings and body: until the next use, or release */
    struct weft_http_response response; /* of the last exchange, for weft_http_response_field */
    int64_t retry_after_ns;             /* it asked for; 0: it did not */
    unsigned retries_refused;           /* 1: the budget had no other attempt */
    /* private */
    char *storage, *url;
    size_t storage_bytes;
    char error[192], error_class[16];
};

struct weft_fetcher; /* src/fetch/fetcher.h */

/* Make a fetcher, for any number of requests at once.
 * options  NULL means all defaults; copied
 * Returns  0; -EINVAL (options), -ENOMEM, -EMFILE, -EAGAIN (no thread), -EPERM (outside a runtime).
 *          Suspends */
WEFT_API int weft_fetcher_open(struct weft_fetcher **ret_fetcher,
                               const struct weft_fetcher_options *options);

/* Fetch one URL by all the rules.
 *
 * answer       filled in every case
 * deadline_ns  for everything; the options' times count beside it
 * Returns      0: there was an answer, whatever its status; else what the last exchange failed
 *              with, as weft_http_send says it; WEFT_EOPEN (the host's breaker), WEFT_ELIMIT (the
 *              host wants to be left alone for longer than there is time); -ECANCELED; -EINVAL
 *              (the request); -ENOMEM
 * Cancelled    at any moment; its connection is closed then
 * Threads      any worker of the fetcher's runtime. Suspends */
WEFT_API int weft_fetcher_get(struct weft_fetcher *fetcher,
                              const struct weft_fetch_request *request,
                              struct weft_fetch_answer *answer, int64_t deadline_ns);

/* Free what an answer holds; it is all zero then. Twice is fine. Never suspends. */
WEFT_API void weft_fetch_answer_release(struct weft_fetch_answer *answer);

/* Counters since open, over all workers; *_now are present numbers. */
struct weft_fetcher_stats {
    uint64_t exchanges;       /* begun: attempts and redirects */
    uint64_t attempts;        /* of them, those after retries included, redirects not */
    uint64_t retries;         /* attempts after a first one */
    uint64_t redirects;       /* that were followed */
    uint64_t connections;     /* made */
    uint64_t reused;          /* exchanges on one that was there */
    uint64_t retries_refused; /* by a budget */
    uint64_t breaker_refused, breaker_opened;
    uint64_t pauses;        /* hosts asked for */
    uint64_t hosts_dropped; /* to make room */
    unsigned hosts_now, exchanges_now, waiting_now;
};

/* Read the counters, each by itself: they may be a moment apart. Any thread; never suspends. */
WEFT_API void weft_fetcher_stats(struct weft_fetcher *fetcher,
                                 struct weft_fetcher_stats *ret_stats);

/* Free it. Nobody may be in weft_fetcher_get. NULL is fine. Suspends, and cannot be cancelled. */
WEFT_API void weft_fetcher_close(struct weft_fetcher *fetcher);

/* ---- many ------------------------------------------------------------------------------- */

struct weft_fetch_source; /* src/fetch/source.c */

/* Where requests come from. Lines are URLs or, when they begin with "{", objects of JSON:
 *
 *     {"url": "http://...", "method": "PUT", "headers": {"X-A": "1"}, "body": "...", "id": "a"}
 *
 * of which only url is needed; id comes back as the result's tag. Empty lines and those that begin
 * with "#" are passed over. Strings must live until close. */
struct weft_fetch_source_options {
    const char *const *urls; /* the first ones */
    size_t urls_count;
    const char *path;      /* then its lines; "-": standard input; NULL: none */
    uint64_t repeat;       /* urls so many times; 0 means once */
    size_t line_bytes_max; /* 0 means 1 MiB; a longer line is a failed result */

    /* For all requests that do not say it themselves. */
    const char *method;
    const struct weft_http_field *fields;
    size_t fields_count;
    const void *body;
    size_t body_len;
};

/* Open the file, if there is one; nothing is read yet.
 * Returns  0; -ENOENT, -EACCES, ...; -EINVAL, -ENOMEM; -EPERM outside a runtime. Suspends */
WEFT_API int weft_fetch_source_open(struct weft_fetch_source **ret_source,
                                    const struct weft_fetch_source_options *options);

/* Close the file and free it; standard input stays open. NULL is fine. By a fiber. */
WEFT_API void weft_fetch_source_close(struct weft_fetch_source *source);

/* Percentiles are the value that so many per cent do not exceed (nearest rank), from a histogram
 * whose buckets are a thousandth wide: up to that much too long. Minimum, mean, maximum are exact.
 * 0 where count is 0. */
struct weft_fetch_latency {
    uint64_t count;
    int64_t min_ns, mean_ns, max_ns;
    int64_t p50_ns, p90_ns, p95_ns, p99_ns, p999_ns;
};

#define WEFT_FETCH_CLASSES_MAX 48 /* of errors; what comes after that many is "other" */

struct weft_fetch_class {
    char name[32];
    uint64_t count;
};

struct weft_fetch_summary {
    enum weft_fetch_engine engine;
    enum weft_fetch_pooling pooling;
    unsigned concurrency;
    uint64_t total_requests; /* results, one for each request */
    uint64_t successful;     /* of them: status below 400 */
    uint64_t failed;         /* the others */
    uint64_t skipped;        /* not done, because an earlier run had */
    uint64_t cancelled;      /* begun, and without a result at the end */
    int64_t total_duration_ns;
    double requests_per_second;
    struct weft_fetch_latency latency;  /* of answers, whatever their status */
    struct weft_fetch_latency failures; /* of exchanges that ended without one */
    struct weft_fetch_latency queue;    /* waits for a turn, of all results */
    struct weft_http_times phases; /* means, each over the exchanges that had it; total_ns: 0 */
    double peak_memory_mb;         /* of the process, 1e6 bytes */
    uint64_t bytes_received, body_bytes;
    /* Little's law: places / mean latency. Places are those of concurrency that the hosts' limit
     * leaves, and no more than a rate allows. */
    double ceiling_per_second;
    unsigned ceiling_places;
    struct weft_fetch_class classes[WEFT_FETCH_CLASSES_MAX + 1]; /* the most frequent first */
    unsigned classes_len;
    struct weft_fetcher_stats stats;
    int stopped; /* not 0: before the source's end */
};

struct weft_fetch_progress {
    uint64_t done, failed, skipped;
    uint64_t read_bytes, all_bytes; /* of the source; all_bytes 0: nobody knows */
    uint64_t all;                   /* requests, where that is known; else 0 */
    unsigned running, waiting;
    double per_second; /* lately */
    int64_t elapsed_ns;
    int64_t left_ns; /* at this rate; -1: nobody knows */
};

struct weft_fetch_options {
    struct weft_fetcher_options fetcher;
    struct weft_fetch_source *source;
    struct weft_sink *sink; /* NULL: only the summary is wanted */
    unsigned ahead;         /* requests at once, with those that wait; 0 means 8 x concurrency, at
                               most 16,384; at least concurrency */
    int keep_bodies;        /* not 0: the sink gets them */
    struct weft_resume
        *resume; /* leave out what it has; opened on the calling worker. NULL: none */

    /* When it is set no more requests are begun; those under way have grace_ns (0 means 10 s), then
     * they are cancelled. NULL: never. */
    struct weft_event *stop;
    int64_t grace_ns;

    /* About five times a second, on a fiber of its own, and must not suspend. */
    void (*on_progress)(void *context, const struct weft_fetch_progress *progress);
    void *on_progress_context;
};

/* Fetch all that comes from a source.
 *
 * Fibers are spread over all workers of the runtime. A line that is no request is a failed result.
 *
 * ret_summary  set in every case but -EINVAL and -EPERM
 * Returns      0, also when every request failed; -ECANCELED; what the sink, the source or resume
 *              failed with: then what was under way is cancelled
 * Suspends */
WEFT_API int weft_fetch(const struct weft_fetch_options *options,
                        struct weft_fetch_summary *ret_summary);

/* "async", "sync", "threaded"; "none" for what is out of range. */
WEFT_API const char *weft_fetch_engine_name(enum weft_fetch_engine engine);

WEFT_END_DECLS

#endif
