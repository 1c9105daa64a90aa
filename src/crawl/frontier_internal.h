/* SPDX-License-Identifier: MIT
 * frontier_internal.h - the frontier inside: one connection, its statements, and totals that every
 * commit writes. */
#ifndef WEFT_CRAWL_FRONTIER_INTERNAL_H
#define WEFT_CRAWL_FRONTIER_INTERNAL_H

#include <crawl/frontier.h>

enum frontier_statement {
    FRONTIER_BEGIN,
    FRONTIER_COMMIT,
    FRONTIER_ROLLBACK,
    FRONTIER_URL_FIND,
    FRONTIER_URL_INSERT,
    FRONTIER_URL_RAISE,
    FRONTIER_LINK_INSERT,
    FRONTIER_HOST_FIND,
    FRONTIER_HOST_INSERT,
    FRONTIER_HOST_PENDING,
    FRONTIER_HOST_PAGES,
    FRONTIER_HOST_REST,
    FRONTIER_HOST_ROBOTS,
    FRONTIER_HOST_SHELVE,
    FRONTIER_HOSTS,
    FRONTIER_CLAIM_LIST,
    FRONTIER_CLAIM,
    FRONTIER_SETTLE,
    FRONTIER_RESULT,
    FRONTIER_DIGEST_FIND,
    FRONTIER_DUE,
    FRONTIER_DUE_NEXT,
    FRONTIER_PROMOTE,
    FRONTIER_SHELVE,
    FRONTIER_SEED,
    FRONTIER_SEEDS,
    FRONTIER_TOTALS,
    FRONTIER_STATEMENTS,
};

struct weft_frontier {
    sqlite3 *db;
    int lock_fd;
    unsigned depth_max;
    uint64_t host_pages_max;
    bool keeps_links;
    sqlite3_stmt *statements[FRONTIER_STATEMENTS];
    struct weft_frontier_totals totals;

    /* The host that was looked up last: links of a page mostly lead to one. */
    char origin[WEFT_URL_DEFAULT_MAX];
    int64_t host;
    bool host_is_full;
};

/* Run a statement that has no rows, and reset it. Returns 0, an error */
int weft_frontier_run(struct weft_frontier *frontier, enum frontier_statement which);

/* Prepare all statements (frontier.c). */
int weft_frontier_prepare(struct weft_frontier *frontier);

/* Run SQL that is run once. */
int weft_frontier_exec(sqlite3 *db, const char *sql);

#endif
