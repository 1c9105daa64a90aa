/* SPDX-License-Identifier: MIT
 * crawl_internal.h - one run of a crawl: who does what.
 *
 *   crawl.c           checks the options, opens the store, starts the others and sums up
 *   pump.c            decides what is fetched next: the fiber that called weft_crawl
 *   host.c            hosts that are open: their URLs, their pauses, where each of them waits
 *   keeper.c          the fiber that talks to the store: all that has come together is one
 * transaction page.c            a fiber for each request: fetch, judge, hand over to the keeper
 *   analyse.c         on a thread: digest, links, scope
 *   sitemap_fetch.c   sitemaps, piece by piece
 *   rules.c           a fiber for each host's robots.txt
 *   fetch.c           one HTTP request
 *
 * All of it runs on one worker, so nothing here is locked; threads get what they work on handed
 * over. At most HOSTS_OPEN_MAX hosts are open, each with some URLs that were claimed: however large
 * the frontier is, memory is not. */
#ifndef WEFT_CRAWL_CRAWL_INTERNAL_H
#define WEFT_CRAWL_CRAWL_INTERNAL_H

#include <base/arena.h>
#include <base/heap.h>
#include <base/list.h>
#include <base/random.h>
#include <base/table.h>
#include <crawl/frontier.h>
#include <crawl/links.h>
#include <crawl/reach.h>
#include <crawl/robots.h>
#include <crawl/url.h>

#include <weft/crawl.h>
#include <weft/group.h>
#include <weft/http_client.h>
#include <weft/sync.h>

#include <errno.h>

#define HOSTS_OPEN_MAX    256u
#define CLAIMS_MAX        64u /* URLs of one host that are in memory */
#define CLAIMS_LOW        16u /* then more are claimed */
#define HOPS_MAX          10u /* redirects one after another; sitemaps: SITEMAP_HOPS_MAX */
#define SITEMAP_HOPS_MAX  3u
#define HOST_FAILURES_MAX 10u /* in a row, without any answer: the host is left for this run */
#define ERROR_BYTES       200u

/* ---- hosts ------------------------------------------------------------------------------- */

enum crawl_rules {
    RULES_UNKNOWN, /* nobody has asked for its robots.txt */
    RULES_ASKING,
    RULES_KNOWN,
    RULES_FAILED, /* there was no answer: nor will there be to anything else */
};

struct crawl_host {
    struct weft_table_node node; /* in crawl->hosts, by id */
    struct weft_link place;      /* in crawl->ready, or in no list */
    struct weft_timer timer;     /* in crawl->resting until next_at_ns */
    int64_t id;
    struct weft_link urls; /* struct weft_claimed, in the order they are fetched */
    unsigned urls_len;
    bool more;      /* the store may have more */
    bool refilling; /* the keeper is asked for them */
    bool shelving;  /* it is given up for this run */
    unsigned active;
    int64_t next_at_ns; /* no request before */
    int64_t delay_ns;
    uint64_t pages;    /* fetched, and under way */
    unsigned failures; /* in a row */

    enum crawl_rules rules;
    struct weft_robots *robots; /* NULL: everything is allowed */
    int64_t rules_until_ns;     /* then they are asked for again */
    unsigned rules_attempts;
    bool rules_are_new; /* the store has none of it: its sitemaps are not entered yet */
    int rules_err;      /* RULES_FAILED */
    char rules_error[ERROR_BYTES];
    char origin[];
};

/* ---- requests ---------------------------------------------------------------------------- */

/* An answer, or why there is none. */
struct crawl_answer {
    int err;
    int status;
    struct weft_http_times times;
    int http_version;
    unsigned connections;
    uint64_t bytes_received;
    int64_t latency_ns;
    struct weft_buffer body;       /* where it is wanted and kept */
    uint64_t body_bytes;           /* of all of it that came */
    char *content_type, *location; /* on the heap; NULL: none */
    int64_t retry_after_ns;        /* -1: it does not say */
    struct weft_robots_tag tag;
    char error[ERROR_BYTES];
};

/* What is done with a body, once its head is there. */
enum crawl_want {
    WANT_NOTHING,  /* it is thrown away, and cut when it is long */
    WANT_IF_SHORT, /* the same, when it is longer than allowed */
    WANT_ALL,      /* then it is an error */
};

/* What on_body returns when it needs no more: the answer is whole all the same. */
#define CRAWL_ENOUGH (-EXFULL)

struct crawl_request {
    struct weft_http_client *client;
    const char *url;
    enum crawl_want (*want)(void *context, const struct crawl_answer *answer);
    /* Takes the body on the calling fiber; NULL: it is kept in the answer. */
    int (*on_body)(void *context, const void *bytes, size_t len);
    void *context;
};

/* One URL on its way from a host's list to the store. */
struct crawl_page {
    struct weft_link link; /* in crawl->finished */
    struct crawl *crawl;
    struct crawl_host *host;
    struct weft_claimed *claimed;
    int64_t started_ns;
    struct crawl_answer answer;

    /* What is to be stored. */
    enum weft_url_state state;
    int64_t next_at_us;
    bool spares_attempt;
    bool shelves_host;
    struct weft_page_row row;
    char error_class[16];
    unsigned char digest[WEFT_DIGEST_BYTES];
    struct weft_entry *entries; /* each once */
    size_t entries_count, entries_capacity;
    uint32_t *slots; /* of a hash table of their indexes, from 1; as many as slots_len */
    size_t slots_len;
    struct weft_arena texts; /* their URLs */
    size_t texts_bytes;
    struct weft_buffer scratch; /* the one that is being resolved */
};

/* What is told to the store of a host's robots.txt. */
struct crawl_rules_news {
    struct weft_link link; /* in crawl->rules_news */
    int64_t host;
    int status;
    int64_t at_us;
    char *text; /* owned */
    size_t len;
    struct crawl_page *sitemaps; /* entries without a source; NULL: none */
};

struct crawl_rest {
    int64_t host, next_at_us;
};

/* ---- the run ----------------------------------------------------------------------------- */

struct crawl {
    const struct weft_crawl_options *options;
    unsigned concurrency, host_concurrency, attempts_max, depth_max;
    uint64_t pages_max, host_pages_max;
    int64_t delay_ns, delay_max_ns, timeout_ns, retry_after_max_ns;
    size_t body_max;
    const char *agent;
    char agent_text[64];
    struct weft_url_rules rules;
    struct weft_reach reach;
    struct weft_http_client *client;       /* redirects are answers */
    struct weft_http_client *rules_client; /* follows them */
    struct weft_frontier *frontier;        /* the keeper's */
    struct weft_random random;
    int64_t clock_offset_us; /* time of day less weft_now */
    int64_t started_ns;
    char *error; /* the caller's room for a sentence */
    size_t error_bytes;

    /* Hosts. */
    struct weft_table hosts;
    unsigned hosts_len;
    struct weft_link ready;   /* those that can be asked now, in turns */
    struct weft_heap resting; /* those whose pause lasts */
    bool hosts_more;          /* the store may have hosts that are not open */
    struct weft_group pages;
    unsigned in_flight;        /* requests, until the store has what came of them */
    struct weft_event changed; /* the pump has something to look at */

    /* For the keeper. */
    struct weft_event work;
    struct weft_link finished;   /* struct crawl_page */
    struct weft_link rules_news; /* struct crawl_rules_news */
    struct crawl_rest *rests;
    size_t rests_len, rests_capacity;
    bool opening;                       /* it is asked for hosts */
    bool ending;                        /* it does what is left, and ends */
    int64_t due_ns;                     /* when something DELAYED is */
    struct weft_frontier_totals totals; /* as of the last commit */
    int failure;                        /* what the store failed with */
    struct weft_event over;

    uint64_t fetched, retries, body_bytes;
};

int64_t weft_crawl_unix_us(const struct crawl *crawl);

/* Tell the keeper, the pump. */
void weft_crawl_tell_keeper(struct crawl *crawl);
void weft_crawl_tell_pump(struct crawl *crawl);

/* The sentence for the caller, when there is none yet. Returns err. */
int weft_crawl_fail(struct crawl *crawl, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- host.c ------------------------------------------------------------------------------ */

struct crawl_host *weft_crawl_host_find(struct crawl *crawl, int64_t id);
/* Open one; the row stays the caller's. Returns 0, -ENOMEM */
int weft_crawl_host_open(struct crawl *crawl, struct weft_host_row *row);
/* Look where a host belongs now: it waits for its turn, for the end of its pause, for news of the
 * store, or is closed. Whatever changes a host ends with this. */
void weft_crawl_host_place(struct crawl *crawl, struct crawl_host *host);
/* No request to it before that. */
void weft_crawl_host_rest(struct crawl_host *host, int64_t until_ns);
/* Nothing more of it in this run. */
void weft_crawl_host_shelve(struct crawl_host *host);
/* Hosts whose pause is over have their turn. Returns when the next one's is, or WEFT_FOREVER */
int64_t weft_crawl_host_wake(struct crawl *crawl, int64_t now_ns);
void weft_crawl_host_free(struct crawl *crawl, struct crawl_host *host);

/* ---- the others -------------------------------------------------------------------------- */

/* Fetch until nothing is left. Returns 0, -ECANCELED, crawl->failure, -ENOMEM */
int weft_crawl_pump(struct crawl *crawl);

/* A fiber. Returns 0, or what the store failed with. */
int weft_crawl_keep(void *arg); /* struct crawl */

/* Fibers of the group pages. */
int weft_crawl_page_run(void *arg);  /* struct crawl_page */
int weft_crawl_rules_run(void *arg); /* the same, without a URL */

/* Hand a page over to the keeper, which frees it. */
void weft_crawl_page_finish(struct crawl_page *page);
/* Tell the caller of a page that the store has. Returns what on_result does. */
int weft_crawl_page_tell(const struct crawl_page *page);
struct crawl_page *weft_crawl_page_make(struct crawl *crawl, struct crawl_host *host,
                                        struct weft_claimed *claimed);
void weft_crawl_page_free(struct crawl_page *page);

/* Add what a reference leads to; on a thread. What is no URL is passed over.
 *
 * base     a normal form
 * how      its kind, use, depth, hops and nofollow; fetch: also when it is out of scope
 * Returns  0, -ENOMEM */
int weft_crawl_page_enter(struct crawl_page *page, const char *base, const char *text, size_t len,
                          const struct weft_entry *how);

/* A thread's work on a page that has its answer. Returns 0, -ENOMEM */
int weft_crawl_analyse(void *arg);

/* Read a sitemap from the network, into the page's entries. Returns as weft_crawl_fetch;
 * *ret_broken is what was wrong with it, or 0. */
int weft_crawl_sitemap(struct crawl_page *page, int *ret_broken);

/* Whether a page of that answer is read for links. Any thread. */
bool weft_crawl_is_html(const struct crawl_answer *answer);

/* The pause before the next attempt, in nanoseconds. */
int64_t weft_crawl_backoff_ns(struct crawl *crawl, unsigned attempt);

/* Whether another attempt may have more luck. */
bool weft_crawl_is_passing(const struct crawl_answer *answer);

/* Send a GET. Returns answer->err; -ECANCELED is the caller's own. */
int weft_crawl_fetch(struct crawl *crawl, const struct crawl_request *request,
                     struct crawl_answer *answer);
void weft_crawl_answer_release(struct crawl_answer *answer);

/* "timeout", "connect", "dns", ...; the class of an error. */
const char *weft_crawl_error_class(int err);

#endif
