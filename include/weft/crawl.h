/* SPDX-License-Identifier: MIT
 * crawl.h - follow links from page to page without being a nuisance: what `weft crawl` runs.
 *
 *     static const char *const seeds[] = {"https://example.org/"};
 *     const struct weft_crawl_options options = {.seeds = seeds, .seeds_count = 1, .depth_max = 3};
 *     struct weft_crawl_result result;
 *     char error[256];
 *     int err = weft_crawl(&options, &result, error, sizeof error);
 *
 * What is known of every URL, and of every answer, is in an SQLite file: the result of a page and
 * the URLs it leads to are committed together. After kill -9 the same call goes on where it was;
 * what was in flight is fetched again, nothing else. Memory does not grow with the number of URLs.
 *
 * robots.txt (RFC 9309) is respected, each server gets one request at a time with a pause after it,
 * and one that answers 429 or 503 is left alone for as long as it asks. Only addresses of the
 * public internet are connected to. Links are those of HTML, as libxml2 reads it, of redirects and
 * of sitemaps. */
#ifndef WEFT_CRAWL_H
#define WEFT_CRAWL_H

#include <weft/sink.h>

WEFT_BEGIN_DECLS

/* What belongs to the crawl, by its seeds. "www." in front of a host does not count, nor does the
 * difference between http and https. */
enum weft_crawl_scope {
    WEFT_CRAWL_HOST,     /* the same host and port */
    WEFT_CRAWL_DOMAIN,   /* that host and all below it, on any port */
    WEFT_CRAWL_PREFIX,   /* the same host and port, in the directory of the seed or below */
    WEFT_CRAWL_ANYWHERE, /* everything */
};

/* For times and counts whose zero means a default. */
#define WEFT_CRAWL_NO_DELAY (-1)
#define WEFT_CRAWL_DEPTH_0  (-1)

struct weft_crawl_progress {
    uint64_t done, failed;   /* fetched in this and earlier runs; of them, without a good answer */
    uint64_t waiting;        /* to be fetched */
    uint64_t known;          /* URLs, those outside included */
    uint64_t bytes;          /* of bodies, in this run */
    unsigned running, hosts; /* requests under way; hosts that are open */
    int64_t elapsed_ns;      /* of this run */
};

/* Zero or NULL means the default. Strings must live until the call returns. */
struct weft_crawl_options {
    const char *const *seeds; /* absolute URLs, at most 1,000. None: those of the store */
    size_t seeds_count;
    const char *store; /* NULL means "crawl.db"; ":memory:" keeps nothing */

    enum weft_crawl_scope scope;
    const char *const *include; /* POSIX extended regular expressions on the whole URL; where there
                                   are some, one must match, seeds excepted */
    size_t include_count;
    const char *const *exclude; /* and none of these may */
    size_t exclude_count;
    int depth_max;            /* links away from a seed; 0: no limit; WEFT_CRAWL_DEPTH_0 */
    uint64_t pages_max;       /* fetched in all, over all runs; 0: no limit */
    uint64_t host_pages_max;  /* and of one host; 0: no limit */
    size_t body_bytes_max;    /* 0 means 8 MiB; longer pages are not read for links */
    size_t url_bytes_max;     /* 0 means 2,048, at most 8,192; longer ones are not followed */
    unsigned links_max;       /* of one page; 0 means 10,000 */
    const char *const *types; /* content types that are read; of others, as of images and the
                                 like, little more than the head is. "text/" stands for all texts;
                                 none: all are read */
    size_t types_count;
    const char *const *drop; /* parameters left out of URLs, "utm_*" for all that begin so */
    size_t drop_count;
    int sort_query; /* not 0: "?b&a" is the same as "?a&b" */

    unsigned concurrency;       /* requests at once; 0 means 32; at most 1,000 */
    unsigned host_concurrency;  /* with one host; 0 means 1 */
    int64_t delay_ns;           /* from one request to a host to the next; 0 means 1 s;
                                   WEFT_CRAWL_NO_DELAY */
    int64_t delay_max_ns;       /* a Crawl-delay is respected up to that; 0 means 60 s */
    int64_t timeout_ns;         /* of one request; 0 means 30 s */
    unsigned attempts_max;      /* for each URL; 0 means 3 */
    int64_t retry_after_max_ns; /* a host may ask for a pause that long; 0 means 300 s. Who wants
                                   more gets none of its pages fetched in this run */
    const char *user_agent;     /* NULL means "weft/VERSION" */
    const char *agent;   /* that robots.txt is read for; NULL: the user agent up to its "/" */
    int ignore_robots;   /* not 0: robots.txt, meta robots, nofollow do not count. For sites
                            of one's own */
    int ignore_sitemaps; /* not 0: sitemaps are not read */
    int assets;          /* not 0: images, scripts and style sheets are fetched too */
    int external;        /* not 0: links out of scope are fetched, and not followed: whether
                            they are broken. They still need a host of the public internet */
    int no_links;        /* not 0: the store keeps no links, so no graph and no referrers */
    int allow_private;   /* not 0: hosts of private networks and this machine too */
    const char *ca_file; /* as in http_client.h */
    int tls_insecure;
    const char *proxy; /* only with allow_private: it would connect for us */

    /* Told of every result, forbidden ones included, once the store has it; after a kill the last
     * ones may not have been told. On a fiber that may suspend, in weft_sink_put say, which holds
     * the crawl back, and which no cancellation of the crawl reaches: give it a deadline. A
     * negative result ends the crawl, with that. */
    int (*on_result)(void *context, const struct weft_fetch_result *result);
    void *on_result_context;

    /* About five times a second, on a fiber of its own; must not suspend. */
    void (*on_progress)(void *context, const struct weft_crawl_progress *progress);
    void *on_progress_context;
};

/* What is in the store after a run. */
struct weft_crawl_result {
    uint64_t done;      /* URLs that were fetched, in this and earlier runs */
    uint64_t fetched;   /* in this run */
    uint64_t waiting;   /* left to be fetched: a limit, or the run was stopped */
    uint64_t known;     /* URLs */
    uint64_t outside;   /* of these, not in scope */
    uint64_t beyond;    /* of these, deeper than depth_max, or too many of one host */
    uint64_t forbidden; /* by robots.txt */
    uint64_t status[6]; /* answers by their first digit; [0]: no answer */
    uint64_t broken;    /* 4xx, 5xx, no answer or part of one; forbidden and long ones are not */
    uint64_t redirects;
    uint64_t duplicates; /* pages with the same content as another that was fetched before */
    uint64_t links, hosts;
    uint64_t bytes;     /* of bodies */
    uint64_t retries;   /* in this run */
    int64_t elapsed_ns; /* of this run */
    int stopped;        /* 1: cancelled before the end */
};

/* Crawl until nothing is left, or pages_max.
 *
 * ret_result  set whenever the store could be opened
 * ret_error   receives, on failure, one sentence for people, truncated to error_bytes
 * Returns     0, also when every request failed; -EINVAL (options, a seed that is no URL, no seed),
 *             -EBUSY (another crawl has the store open), WEFT_ECORRUPT, WEFT_EVERSION, -ENOSPC ...
 *             (the store); -ECANCELED: what was in flight will be fetched by the next run
 * Threads     a fiber. Suspends */
WEFT_API int weft_crawl(const struct weft_crawl_options *options,
                        struct weft_crawl_result *ret_result, char *ret_error, size_t error_bytes);

/* ---- reports -------------------------------------------------------------------------------- */

enum weft_crawl_report {
    WEFT_CRAWL_PAGES,      /* every URL that was fetched, with its result */
    WEFT_CRAWL_LINKS,      /* the graph: from, to, kind */
    WEFT_CRAWL_BROKEN,     /* URLs without a good answer, each with those that lead there */
    WEFT_CRAWL_DUPLICATES, /* URLs with the same content, beside the first of them */
    WEFT_CRAWL_REDIRECTS,  /* from, to, status */
};

enum weft_crawl_format {
    WEFT_CRAWL_JSONL,
    WEFT_CRAWL_CSV,
    WEFT_CRAWL_DOT, /* WEFT_CRAWL_LINKS alone, for graphviz */
};

/* Write a report of a store to a descriptor; also while a crawl writes to the store.
 *
 * store       NULL means "crawl.db"
 * rows_max    0: all
 * Returns     how many rows; -EINVAL (no such report in this format), -ENOENT (no store), -EPIPE,
 *             -ENOSPC ... (the descriptor)
 * Threads     any; blocks: in a fiber call it through weft_offload */
WEFT_API int64_t weft_crawl_write_report(const char *store, enum weft_crawl_report report,
                                         enum weft_crawl_format format, int fd, uint64_t rows_max,
                                         char *ret_error, size_t error_bytes);

WEFT_END_DECLS

#endif
