/* SPDX-License-Identifier: MIT
 * rules.c - a host's robots.txt: fetched by one fiber before anything else is, and kept for a day.
 *
 * RFC 9309, 2.3.1: a file that is not there (4xx) allows everything; one that cannot be had (5xx,
 * and 429, which asks for patience) forbids everything, so its host waits for a later run. Where
 * nobody answers, nobody would answer anything else: its URLs fail with that. */
#include <crawl/crawl_internal.h>

#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES_KEPT_NS (INT64_C(86400) * WEFT_SEC)

static enum crawl_want want(void *context, const struct crawl_answer *answer)
{
    (void)context;
    return answer->status / 100 == 2 ? WANT_ALL : WANT_NOTHING;
}

/* Keeps the beginning; what is behind it is not even received. */
static int on_body(void *context, const void *bytes, size_t len)
{
    struct weft_buffer *text = context;
    size_t room = WEFT_ROBOTS_BYTES_MAX - text->len;
    weft_buffer_append(text, bytes, len < room ? len : room);
    return text->err ? text->err : len > room ? CRAWL_ENOUGH : 0;
}

/* A thread's work. */
struct reading {
    struct crawl_page *page;
    struct weft_buffer *text;
    struct weft_robots *robots;
    bool sitemaps;
};

static int enter_sitemaps(const struct reading *reading)
{
    static const char usual[] = "/sitemap.xml";
    struct crawl_page *page = reading->page;
    char base[WEFT_URL_DEFAULT_MAX];
    struct weft_entry how = {.kind = WEFT_LINK_SITEMAP, .use = WEFT_USE_SITEMAP, .fetch = true};
    int err = 0;
    (void)snprintf(base, sizeof base, "%s/", page->host->origin);
    const char *url;
    size_t count = 0;
    while (err == 0 && (url = weft_robots_sitemap(reading->robots, count)) != NULL) {
        err = weft_crawl_page_enter(page, base, url, strlen(url), &how);
        count++;
    }
    if (err == 0 && count == 0)
        err = weft_crawl_page_enter(page, base, usual, sizeof usual - 1, &how);
    return err;
}

static int read_rules(void *arg)
{
    struct reading *reading = arg;
    int err = reading->text->len > 0
                  ? weft_robots_parse(&reading->robots, reading->text->data, reading->text->len,
                                      reading->page->crawl->agent)
                  : 0;
    if (err == 0 && reading->sitemaps)
        err = enter_sitemaps(reading);
    return err;
}

/* Whether its pages are what the crawl is about: then its sitemaps are read too. */
static bool has_pages(const struct crawl_host *host)
{
    WEFT_LIST_FOR_EACH (link, &host->urls) {
        if (weft_container_of(link, struct weft_claimed, link)->use == WEFT_USE_PAGE)
            return true;
    }
    return false;
}

/* They are known from now on; the store is told. */
static int adopt(struct crawl_page *page, int status, struct weft_buffer *text)
{
    struct crawl *crawl = page->crawl;
    struct crawl_host *host = page->host;
    struct reading reading = {
        .page = page,
        .text = text,
        .sitemaps = host->rules_are_new && !crawl->options->ignore_sitemaps && has_pages(host),
    };
    struct crawl_rules_news *news = calloc(1, sizeof *news);
    if (!news)
        return -ENOMEM;
    int err = weft_offload(read_rules, &reading);
    if (err) {
        free(news);
        return err;
    }
    weft_robots_free(host->robots);
    host->robots = reading.robots;
    host->rules = RULES_KNOWN;
    host->rules_attempts = 0;
    host->rules_are_new = false;
    host->rules_until_ns =
        crawl->options->ignore_robots ? WEFT_FOREVER : weft_now() + RULES_KEPT_NS;
    host->delay_ns = crawl->delay_ns;
    int64_t delay_ns = weft_robots_delay_ns(host->robots);
    if (delay_ns > crawl->delay_max_ns)
        delay_ns = crawl->delay_max_ns;
    if (delay_ns > host->delay_ns) {
        host->delay_ns = delay_ns;
        weft_crawl_host_rest(host, page->started_ns + delay_ns);
    }
    *news = (struct crawl_rules_news){
        .host = host->id,
        .status = status,
        .at_us = weft_crawl_unix_us(crawl),
        .text = text->data,
        .len = text->len,
        .sitemaps = page,
    };
    *text = (struct weft_buffer){.len_max = text->len_max};
    weft_list_append(&crawl->rules_news, &news->link);
    weft_crawl_tell_keeper(crawl);
    return 1; /* the page went with it */
}

/* Returns 0: what is known of the host is written down; 1: and the page is the keeper's. */
static int judge(struct crawl_page *page, struct weft_buffer *text)
{
    struct crawl *crawl = page->crawl;
    struct crawl_host *host = page->host;
    const struct crawl_answer *answer = &page->answer;
    bool busy = answer->err == 0 && (answer->status >= 500 || answer->status == 429);
    if (answer->err == 0 && answer->status / 100 == 2)
        return adopt(page, answer->status, text);
    if ((answer->err == 0 && !busy) || answer->err == -ELOOP) {
        weft_buffer_clear(text);
        return adopt(page, answer->status ? answer->status : 310, text);
    }
    host->rules = RULES_UNKNOWN;
    host->rules_attempts++;
    bool again = (busy || weft_crawl_is_passing(answer)) &&
                 host->rules_attempts < crawl->attempts_max &&
                 answer->retry_after_ns <= crawl->retry_after_max_ns;
    if (again) {
        int64_t pause_ns = weft_crawl_backoff_ns(crawl, host->rules_attempts);
        if (pause_ns < answer->retry_after_ns)
            pause_ns = answer->retry_after_ns;
        weft_crawl_host_rest(host, weft_now() + pause_ns);
    } else if (busy) {
        weft_crawl_host_shelve(host);
    } else {
        host->rules = RULES_FAILED;
        host->rules_err = answer->err;
        (void)snprintf(host->rules_error, sizeof host->rules_error, "%s", answer->error);
    }
    return 0;
}

int weft_crawl_rules_run(void *arg)
{
    struct crawl_page *page = arg;
    struct crawl *crawl = page->crawl;
    struct crawl_host *host = page->host;
    struct weft_buffer text;
    char url[512]; /* a name has at most 253 bytes */
    int result;
    weft_buffer_init(&text, WEFT_ROBOTS_BYTES_MAX);
    (void)snprintf(url, sizeof url, "%s/robots.txt", host->origin);
    if (crawl->options->ignore_robots) {
        result = adopt(page, -1, &text);
    } else {
        const struct crawl_request request = {
            .client = crawl->rules_client,
            .url = url,
            .want = want,
            .on_body = on_body,
            .context = &text,
        };
        result = weft_crawl_fetch(crawl, &request, &page->answer);
        if (result != -ECANCELED && result != -ENOMEM)
            result = judge(page, &text);
    }
    weft_buffer_deinit(&text);
    crawl->in_flight--;
    host->active--;
    if (result != 1)
        weft_crawl_page_free(page);
    if (result < 0) {
        if (result != -ECANCELED)
            crawl->failure = weft_crawl_fail(crawl, result, "out of memory, or of threads: %s",
                                             weft_strerror(result));
        weft_crawl_tell_pump(crawl);
        return result;
    }
    weft_crawl_host_place(crawl, host);
    return 0;
}
