/* SPDX-License-Identifier: MIT
 * frontier.h - the store of a crawl: which URLs there are, what became of them, what leads where.
 *
 * Everything here blocks and is for one thread at a time: src/crawl/keeper.c calls it through
 * weft_offload, many operations in one transaction. What was committed survives kill -9 (WAL,
 * synchronous=NORMAL: after a power failure the last moments may be missing, never half of one).
 *
 *      enter            claim              settle
 *   ──────────► PENDING ──────► CLAIMED ──────────► DONE | FORBIDDEN
 *                 ▲  ▲             │ settle
 *                 │  └─ promote ─ DELAYED ◄┘
 *   KNOWN, TOO_DEEP, SHELVED: not to be fetched, for now; see enum weft_url_state */
#ifndef WEFT_CRAWL_FRONTIER_H
#define WEFT_CRAWL_FRONTIER_H

#include <base/list.h>
#include <crawl/digest.h>
#include <crawl/links.h>
#include <crawl/url.h>

#include <sqlite3.h>

/* Numbers are those of the file: never change one. */
enum weft_url_state {
    WEFT_URL_PENDING = 0,
    WEFT_URL_CLAIMED = 1,   /* in memory somewhere; PENDING again at the next open */
    WEFT_URL_DELAYED = 2,   /* it failed, and is PENDING again at next_at_us */
    WEFT_URL_DONE = 3,      /* it has a result */
    WEFT_URL_FORBIDDEN = 4, /* by robots.txt; it has a result that says so */
    WEFT_URL_KNOWN = 5,     /* something leads there; it is out of scope, or not to be followed */
    WEFT_URL_TOO_DEEP = 6,  /* until a shorter way there is found, or a run goes deeper */
    WEFT_URL_SHELVED = 7,   /* its host has given enough, or asked for too long a pause; PENDING
                               again at the next open */
    WEFT_URL_STATES,
};

/* What a URL is fetched for; numbers are those of the file. */
enum weft_url_use {
    WEFT_USE_PAGE = 0,    /* its links are followed */
    WEFT_USE_SITEMAP = 1, /* its entries are */
    WEFT_USE_ASSET = 2,   /* whether it is there */
    WEFT_USE_PROBE = 3,   /* the same, out of scope */
};

/* A URL that something leads to. */
struct weft_entry {
    unsigned char fingerprint[WEFT_URL_FINGERPRINT_BYTES];
    const char *url; /* normal form */
    enum weft_link_kind kind;
    enum weft_url_use use;
    bool nofollow; /* of the link */
    bool fetch;    /* else it is only known */
    unsigned depth, hops;
};

/* A URL that is to be fetched. On the heap, owned by whoever has it. */
struct weft_claimed {
    struct weft_link link;
    int64_t id, host;
    enum weft_url_use use;
    unsigned depth;
    unsigned hops;    /* redirects, or sitemaps, one after another, that led here */
    unsigned attempt; /* from 1 */
    int64_t taken_ns; /* on the runtime's clock; the caller's */
    char url[];
};

/* A row of results. Text may be NULL. */
struct weft_page_row {
    int status_code, http_version;
    int64_t timestamp_us, latency_us, queue_us, total_us;
    int64_t name_us, connect_us, tls_us, first_byte_us;
    unsigned connections;
    uint64_t bytes_received, body_bytes;
    const char *error, *error_class, *content_type;
    const unsigned char *digest; /* of the body; NULL */
    bool noindex;
};

/* What a claimed URL comes to. */
struct weft_settling {
    const struct weft_claimed *claimed;
    enum weft_url_state state;       /* DONE, FORBIDDEN, DELAYED, or PENDING: nothing came of it */
    int64_t next_at_us;              /* DELAYED */
    const struct weft_page_row *row; /* DONE, FORBIDDEN */
    bool spares_attempt;             /* the attempt does not count */
};

/* A host and what is remembered of its robots.txt. */
struct weft_host_row {
    struct weft_link link;
    int64_t id, next_at_us;
    uint64_t pages;
    int robots_status; /* 0: nobody has asked */
    int64_t robots_at_us;
    char *robots; /* on the heap; NULL */
    size_t robots_len;
    char origin[];
};

struct weft_frontier_totals {
    int64_t states[WEFT_URL_STATES];
    int64_t hosts, links, broken, redirects, duplicates, body_bytes;
    int64_t status[6];
};

struct weft_frontier;

#define WEFT_PROMOTE_MAX 1000

struct weft_frontier_options {
    const char *path;
    int64_t now_us;
    unsigned depth_max;      /* UINT32_MAX: no limit */
    uint64_t host_pages_max; /* UINT64_MAX: no limit */
    bool keeps_links;
};

/* Open or make a store, and make what an earlier run had claimed PENDING again.
 *
 * error    a sentence on failure
 * Returns  0; -EBUSY (another crawl has it open), WEFT_ECORRUPT (something else), WEFT_EVERSION,
 *          -ENOMEM, -EACCES, -ENOSPC, ... */
int weft_frontier_open(struct weft_frontier **ret_frontier,
                       const struct weft_frontier_options *options, char *error,
                       size_t error_bytes);

/* NULL is fine. Nothing is written: commit first. */
void weft_frontier_close(struct weft_frontier *frontier);

/* A transaction around everything below. When commit fails nothing of it happened in the file, and
 * the frontier cannot be used any more.
 * Returns 0, -ENOSPC, -EIO, -ENOMEM, ... */
int weft_frontier_begin(struct weft_frontier *frontier);
int weft_frontier_commit(struct weft_frontier *frontier);

/* Enter a URL, and the link that leads there.
 *
 * source      id of the URL that has it; 0: a seed
 * ret_host    of the URL when it is PENDING now and was not before, else 0
 * Returns     0, or an error of the store */
int weft_frontier_enter(struct weft_frontier *frontier, int64_t source,
                        const struct weft_entry *entry, int64_t *ret_host);

/* Claim URLs of a host, those nearest to a seed first.
 *
 * list     struct weft_claimed are appended
 * ret_more whether there are more
 * Returns  how many, or an error */
int weft_frontier_claim(struct weft_frontier *frontier, int64_t host, unsigned most,
                        struct weft_link *list, bool *ret_more);

int weft_frontier_settle(struct weft_frontier *frontier, const struct weft_settling *settling);

/* Make DELAYED ones PENDING whose time has come, at most a thousand.
 * hosts     their hosts, some more than once
 * ret_next_us when the next one is due, INT64_MAX: none is
 * Returns   how many, or an error */
int weft_frontier_promote(struct weft_frontier *frontier, int64_t now_us,
                          int64_t hosts[WEFT_PROMOTE_MAX], int64_t *ret_next_us);

/* Nothing more of that host in this run. */
int weft_frontier_shelve(struct weft_frontier *frontier, int64_t host);

/* Hosts that have something PENDING, those that were left alone for longest first.
 *
 * open     ids of those that are left out
 * list     struct weft_host_row are appended, at most most of them
 * Returns  how many, or an error */
int weft_frontier_hosts(struct weft_frontier *frontier, unsigned most, const int64_t *open,
                        size_t open_count, struct weft_link *list);
void weft_host_row_free(struct weft_host_row *row);

/* Remember until when a host is to be left alone. */
int weft_frontier_rest(struct weft_frontier *frontier, int64_t host, int64_t next_at_us);

/* Remember a robots.txt. */
int weft_frontier_robots(struct weft_frontier *frontier, int64_t host, int status, int64_t at_us,
                         const char *text, size_t len);

/* Make all that is CLAIMED PENDING again; their attempts do not count. */
int weft_frontier_release(struct weft_frontier *frontier);

/* Remember seeds; read them. */
int weft_frontier_add_seed(struct weft_frontier *frontier, const char *url);
int weft_frontier_seeds(struct weft_frontier *frontier, struct weft_buffer *out); /* with NULs */

/* In memory, of the transaction so far. */
const struct weft_frontier_totals *weft_frontier_totals(const struct weft_frontier *frontier);

/* ---- shared with the reports (frontier_schema.c) ------------------------------------------ */

int weft_frontier_error(sqlite3 *db, int rc);

/* Look whether a database is a store of this version. Returns its version, 0 for an empty one. */
int weft_frontier_check(sqlite3 *db, const char *path, char *error, size_t error_bytes);

#endif
