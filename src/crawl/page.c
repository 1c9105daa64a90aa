/* SPDX-License-Identifier: MIT
 * page.c - the way of one URL: asked whether it may be fetched, fetched, judged, and handed over to
 * the keeper with all it leads to. */
#include <crawl/crawl_internal.h>

#include <weft/offload.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crawl_page *weft_crawl_page_make(struct crawl *crawl, struct crawl_host *host,
                                        struct weft_claimed *claimed)
{
    struct crawl_page *page = calloc(1, sizeof *page);
    if (!page)
        return NULL;
    weft_list_init(&page->link);
    page->crawl = crawl;
    page->host = host;
    page->claimed = claimed;
    page->started_ns = weft_now();
    weft_buffer_init(&page->scratch, WEFT_URL_MAX * 4);
    return page;
}

void weft_crawl_page_free(struct crawl_page *page)
{
    if (!page)
        return;
    weft_crawl_answer_release(&page->answer);
    weft_arena_deinit(&page->texts);
    weft_buffer_deinit(&page->scratch);
    free(page->slots);
    free(page->entries);
    free(page->claimed);
    free(page);
}

void weft_crawl_page_finish(struct crawl_page *page)
{
    weft_list_append(&page->crawl->finished, &page->link);
    weft_crawl_tell_keeper(page->crawl);
}

/* ---- what is stored of it ----------------------------------------------------------------- */

static void fill_row(struct crawl_page *page)
{
    struct crawl_answer *answer = &page->answer;
    struct weft_page_row *row = &page->row;
    int64_t now_ns = weft_now();
    row->status_code = answer->status;
    row->http_version = answer->http_version;
    row->timestamp_us = weft_crawl_unix_us(page->crawl);
    row->latency_us = answer->latency_ns / 1000;
    row->queue_us = (page->started_ns - page->claimed->taken_ns + answer->times.turn_ns) / 1000;
    row->total_us = (now_ns - page->claimed->taken_ns) / 1000;
    row->name_us = answer->times.name_ns / 1000;
    row->connect_us = answer->times.connect_ns / 1000;
    row->tls_us = answer->times.tls_ns / 1000;
    row->first_byte_us = answer->times.first_byte_ns / 1000;
    row->connections = answer->connections;
    row->bytes_received = answer->bytes_received;
    row->body_bytes = answer->body_bytes;
    row->content_type = answer->content_type;
    if (answer->error[0])
        row->error = answer->error;
    if (answer->err)
        row->error_class = weft_crawl_error_class(answer->err);
    else if (answer->status >= 400) {
        (void)snprintf(page->error_class, sizeof page->error_class, "HTTP %d", answer->status);
        row->error_class = page->error_class;
    }
}

/* It has failed for good, before there was an answer. */
static void fail(struct crawl_page *page, enum weft_url_state state, const char *class,
                 const char *sentence)
{
    page->state = state;
    (void)snprintf(page->answer.error, sizeof page->answer.error, "%s", sentence);
    fill_row(page);
    page->row.error_class = class;
}

static const char *redirect_of(const struct crawl_page *page)
{
    for (size_t i = 0; i < page->entries_count; i++) {
        if (page->entries[i].kind == WEFT_LINK_REDIRECT)
            return page->entries[i].url;
    }
    return NULL;
}

int weft_crawl_page_tell(const struct crawl_page *page)
{
    const struct weft_crawl_options *options = page->crawl->options;
    const struct weft_page_row *row = &page->row;
    char digest[2 * WEFT_DIGEST_BYTES + 1];
    bool is_result = page->state == WEFT_URL_DONE || page->state == WEFT_URL_FORBIDDEN;
    if (!options->on_result || !page->claimed || !is_result)
        return 0;
    for (size_t i = 0; row->digest && i < WEFT_DIGEST_BYTES; i++)
        (void)snprintf(digest + 2 * i, 3, "%02x", row->digest[i]);
    const struct weft_fetch_result result = {
        .url = page->claimed->url,
        .final_url = redirect_of(page),
        .error = row->error,
        .error_class = row->error_class,
        .status_code = row->status_code,
        .http_version = row->http_version,
        .latency_ns = page->answer.latency_ns,
        .queue_ns = row->queue_us * 1000,
        .total_ns = row->total_us * 1000,
        .timestamp_us = row->timestamp_us,
        .times = page->answer.times,
        .attempt = page->claimed->attempt,
        .connections = row->connections,
        .bytes_received = row->bytes_received,
        .body_bytes = row->body_bytes,
        .content_type = row->content_type,
        .body_digest = row->digest ? digest : NULL,
    };
    return options->on_result(options->on_result_context, &result);
}

/* ---- failures that may pass ---------------------------------------------------------------- */

/* 429 and 503 concern the host; so does a server that does not answer at all. */
static void judge_host(struct crawl_page *page, int64_t pause_ns)
{
    struct crawl_host *host = page->host;
    const struct crawl_answer *answer = &page->answer;
    bool busy = answer->status == 429 || answer->status == 503;
    if (answer->err == 0 && !busy) {
        host->failures = 0;
        return;
    }
    if (busy || answer->err) {
        weft_crawl_host_rest(host, weft_now() + pause_ns);
        if (answer->retry_after_ns > page->crawl->retry_after_max_ns)
            page->shelves_host = true;
    }
    if (answer->err && ++host->failures >= HOST_FAILURES_MAX)
        page->shelves_host = true;
}

/* Returns whether it is to be tried again. */
static bool delay(struct crawl_page *page)
{
    struct crawl *crawl = page->crawl;
    const struct crawl_answer *answer = &page->answer;
    int64_t pause_ns = weft_crawl_backoff_ns(crawl, page->claimed->attempt);
    if (answer->retry_after_ns > pause_ns && answer->retry_after_ns <= crawl->retry_after_max_ns)
        pause_ns = answer->retry_after_ns;
    judge_host(page, pause_ns);
    if (page->shelves_host && answer->retry_after_ns > crawl->retry_after_max_ns) {
        page->state = WEFT_URL_PENDING; /* and SHELVED with the others: another run will ask */
        page->spares_attempt = true;
        return true;
    }
    if (page->claimed->attempt >= crawl->attempts_max)
        return false;
    crawl->retries++;
    page->state = WEFT_URL_DELAYED;
    page->next_at_us = weft_crawl_unix_us(crawl) + pause_ns / 1000;
    return true;
}

/* ---- fetching ------------------------------------------------------------------------------ */

static bool is_allowed(const struct crawl_page *page)
{
    const struct weft_claimed *claimed = page->claimed;
    if (page->crawl->options->ignore_robots || claimed->use == WEFT_USE_SITEMAP)
        return true;
    return weft_robots_allow(page->host->robots, claimed->url + strlen(page->host->origin)) != 0;
}

/* Whether it is of a type that is wanted; all are where none is named. */
static bool is_wanted(const struct crawl *crawl, const struct crawl_answer *answer)
{
    const struct weft_crawl_options *options = crawl->options;
    for (size_t i = 0; i < options->types_count; i++) {
        if (weft_content_is(answer->content_type, options->types[i]))
            return true;
    }
    return options->types_count == 0;
}

/* Of an asset, and of what is out of scope, it is enough to know that it is there. */
static enum crawl_want want(void *context, const struct crawl_answer *answer)
{
    const struct crawl_page *page = context;
    if (page->claimed->use != WEFT_USE_PAGE || answer->status / 100 != 2 ||
        !is_wanted(page->crawl, answer))
        return WANT_NOTHING;
    return weft_crawl_is_html(answer) ? WANT_ALL : WANT_IF_SHORT;
}

static int fetch_page(struct crawl_page *page)
{
    const struct crawl_request request = {
        .client = page->crawl->client,
        .url = page->claimed->url,
        .want = want,
        .context = page,
    };
    return weft_crawl_fetch(page->crawl, &request, &page->answer);
}

static void finish_fetched(struct crawl_page *page, int broken)
{
    struct crawl_answer *answer = &page->answer;
    struct crawl *crawl = page->crawl;
    if (answer->err == 0)
        page->host->failures = 0;
    page->state = WEFT_URL_DONE;
    if (broken && answer->err == 0)
        (void)snprintf(answer->error, sizeof answer->error, "the sitemap %s",
                       broken == -EMSGSIZE ? "is larger than one may be" : "cannot be read");
    fill_row(page);
    if (broken && answer->err == 0)
        page->row.error_class = broken == -EMSGSIZE ? "too-large" : "protocol";
    if (answer->err == 0 && answer->status / 100 == 3 && answer->location &&
        page->claimed->hops >= HOPS_MAX) {
        page->row.error = "there were 10 redirects before this one";
        page->row.error_class = "redirects";
    }
    weft_buffer_deinit(&answer->body); /* nobody needs it any more */
    crawl->fetched++;
    crawl->body_bytes += page->row.body_bytes;
}

static int fetch(struct crawl_page *page)
{
    int broken = 0;
    int err = page->claimed->use == WEFT_USE_SITEMAP ? weft_crawl_sitemap(page, &broken)
                                                     : fetch_page(page);
    if (err == -ECANCELED || err == -ENOMEM)
        return err;
    page->answer.err = err;
    if (weft_crawl_is_passing(&page->answer) && delay(page))
        return 0;
    if (err == 0)
        err = weft_offload(weft_crawl_analyse, page);
    else
        err = 0;
    if (err == 0)
        finish_fetched(page, broken);
    return err;
}

int weft_crawl_page_run(void *arg)
{
    struct crawl_page *page = arg;
    struct crawl *crawl = page->crawl;
    const struct crawl_host *host = page->host;
    int err = 0;
    if (host->rules == RULES_FAILED)
        fail(page, WEFT_URL_DONE, weft_crawl_error_class(host->rules_err), host->rules_error);
    else if (!is_allowed(page))
        fail(page, WEFT_URL_FORBIDDEN, "robots", "robots.txt does not allow it");
    else
        err = fetch(page);
    if (err) { /* it stays CLAIMED, and is fetched again by the next run */
        weft_crawl_page_free(page);
        if (err != -ECANCELED)
            crawl->failure =
                weft_crawl_fail(crawl, err, "out of memory, or of threads: %s", weft_strerror(err));
        weft_crawl_tell_pump(crawl);
        return err;
    }
    weft_crawl_page_finish(page);
    return 0;
}
