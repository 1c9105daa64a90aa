/* SPDX-License-Identifier: MIT
 * site.h - a web site for tests of the crawler, which counts who asks for what. */
#ifndef WEFT_TESTS_CRAWL_SITE_H
#define WEFT_TESTS_CRAWL_SITE_H

#include "../http/origin.h"

#include <base/buffer.h>

#include <weft/crawl.h>

#define SITE_PAGES_MAX 64

struct site_page {
    const char *path;   /* with its query */
    int status;         /* 0 means 200; -1: the connection is cut instead */
    const char *fields; /* lines that end with "\r\n"; NULL: none */
    const char *type;   /* NULL means "text/html"; "": none */
    const char *body;   /* "@" in front of "/" stands for "http://127.0.0.1:port" of the site; NULL
                           means "" */
    size_t len;         /* of a body with NULs in it, in which "@" is "@"; else 0 */
};

struct site {
    struct origin origin;
    const struct site_page *pages;
    size_t pages_len;
    /* Asked first; true: it has filled in the body, which is text/html, and perhaps these. */
    bool (*make)(struct site *site, const char *path, struct weft_buffer *body);
    int made_status;
    char made_fields[256];
    unsigned hits[SITE_PAGES_MAX];
    unsigned made, missed, requests;
    unsigned serving, serving_most;        /* at once */
    unsigned agents;                       /* requests that came from "weft/..." */
    void (*on_request)(struct site *site); /* NULL: nobody wants to know */
    int64_t last_ns, gap_min_ns;           /* of requests; WEFT_FOREVER: there was none */
    int64_t work_ns;                       /* that a request takes */
    uint16_t other_port;                   /* what "~" in a body stands for */
};

/* Serve pages; what is none of them is 404. */
#define site_open(site, list) site_open_with((site), (list), sizeof(list) / sizeof *(list))
void site_open_with(struct site *site, const struct site_page *pages, size_t count);
void site_close(struct site *site);

/* How often a page was asked for. */
unsigned site_hits(const struct site *site, const char *path);

/* "http://127.0.0.1:port" and the path; good until the eighth call after. */
const char *site_url(const struct site *site, const char *path);

/* Crawl from one page on, without pauses, on this machine. options may be NULL. Returns what
 * weft_crawl does, and says why it failed. */
int site_crawl(const struct site *site, const char *path, const struct weft_crawl_options *options,
               struct weft_crawl_result *result);

/* A path for a store; one that is there is removed. Good until the next call. */
const char *store_path(const char *name);

/* A number from a store. */
long long store_ask(const char *path, const char *sql);

/* A report as text. Good until the next call. */
const char *store_report(const char *path, enum weft_crawl_report report,
                         enum weft_crawl_format format);

#endif
