/* SPDX-License-Identifier: MIT
 * crawl.c - see weft/crawl.h and crawl_internal.h: checks the options, opens the store, starts the
 * others and sums up. */
#include <crawl/crawl_internal.h>

#include <os/clock.h>
#include <weft/offload.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_MAX           ((size_t)1000)
#define CONCURRENCY_DEFAULT 32u
#define CONCURRENCY_MAX     1000u
#define BODY_DEFAULT_MAX    ((size_t)8 << 20)
#define BODY_LARGEST_MAX    ((size_t)1 << 30)
#define PROGRESS_NS         (200 * WEFT_MSEC)
#define RULES_REDIRECTS_MAX 5u /* RFC 9309, 2.3.1.2: at least five */

int64_t weft_crawl_unix_us(const struct crawl *crawl)
{
    return crawl->clock_offset_us + weft_now() / 1000;
}

int weft_crawl_fail(struct crawl *crawl, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (crawl->error_bytes > 0 && !crawl->error[0])
        (void)vsnprintf(crawl->error, crawl->error_bytes, format, args);
    va_end(args);
    return err;
}

/* ---- options ------------------------------------------------------------------------------- */

static int check_options(struct crawl *crawl)
{
    const struct weft_crawl_options *options = crawl->options;
    if (options->seeds_count > SEEDS_MAX)
        return weft_crawl_fail(crawl, -EINVAL, "there are more than %zu seeds", SEEDS_MAX);
    if (options->scope > WEFT_CRAWL_ANYWHERE)
        return weft_crawl_fail(crawl, -EINVAL, "there is no such scope");
    if (options->concurrency > CONCURRENCY_MAX || options->host_concurrency > CONCURRENCY_MAX)
        return weft_crawl_fail(crawl, -EINVAL, "more than %u requests at once", CONCURRENCY_MAX);
    if (options->body_bytes_max > BODY_LARGEST_MAX)
        return weft_crawl_fail(crawl, -EINVAL, "a body may have at most 1 GiB");
    if (options->url_bytes_max > WEFT_URL_MAX)
        return weft_crawl_fail(crawl, -EINVAL, "a URL may have at most %zu bytes", WEFT_URL_MAX);
    if (options->depth_max < WEFT_CRAWL_DEPTH_0 || options->delay_ns < WEFT_CRAWL_NO_DELAY ||
        options->delay_max_ns < 0 || options->timeout_ns < 0 || options->retry_after_max_ns < 0)
        return weft_crawl_fail(crawl, -EINVAL, "a number is negative");
    if (options->proxy && !options->allow_private)
        return weft_crawl_fail(crawl, -EINVAL,
                               "with a proxy nobody can refuse private addresses: allow them");
    return 0;
}

static int64_t time_or(int64_t value, int64_t otherwise)
{
    return value ? value : otherwise;
}

/* The name in front of the version. Returns false when there is none. */
static bool take_agent(struct crawl *crawl)
{
    const struct weft_crawl_options *options = crawl->options;
    const char *text = options->agent        ? options->agent
                       : options->user_agent ? options->user_agent
                                             : "weft";
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
    if (len == 0 || len >= sizeof crawl->agent_text || (options->agent && text[len]))
        return false;
    memcpy(crawl->agent_text, text, len);
    crawl->agent = crawl->agent_text;
    return true;
}

static int apply_defaults(struct crawl *crawl)
{
    const struct weft_crawl_options *options = crawl->options;
    crawl->concurrency = options->concurrency ? options->concurrency : CONCURRENCY_DEFAULT;
    crawl->host_concurrency = options->host_concurrency ? options->host_concurrency : 1;
    crawl->attempts_max = options->attempts_max ? options->attempts_max : 3;
    crawl->depth_max = options->depth_max > 0 ? (unsigned)options->depth_max
                       : options->depth_max   ? 0
                                              : UINT32_MAX;
    crawl->pages_max = options->pages_max ? options->pages_max : UINT64_MAX;
    crawl->host_pages_max = options->host_pages_max ? options->host_pages_max : UINT64_MAX;
    crawl->body_max = options->body_bytes_max ? options->body_bytes_max : BODY_DEFAULT_MAX;
    crawl->delay_ns = options->delay_ns < 0 ? 0 : time_or(options->delay_ns, WEFT_SEC);
    crawl->delay_max_ns = time_or(options->delay_max_ns, 60 * WEFT_SEC);
    crawl->timeout_ns = time_or(options->timeout_ns, 30 * WEFT_SEC);
    crawl->retry_after_max_ns = time_or(options->retry_after_max_ns, 300 * WEFT_SEC);
    crawl->rules = (struct weft_url_rules){
        .bytes_max = options->url_bytes_max,
        .sorts_query = options->sort_query != 0,
        .drops = options->drop,
        .drops_count = options->drop_count,
    };
    if (!take_agent(crawl))
        return weft_crawl_fail(crawl, -EINVAL,
                               "'%.60s' is no name for robots.txt: letters, '-' and '_'",
                               options->agent ? options->agent : options->user_agent);
    return 0;
}

/* ---- the store, on a thread ---------------------------------------------------------------- */

static int enter_seed(struct crawl *crawl, const char *url)
{
    struct weft_entry entry = {.url = url, .use = WEFT_USE_PAGE, .fetch = true};
    int64_t host;
    int err = weft_url_fingerprint(entry.fingerprint, url, strlen(url));
    return err ? err : weft_frontier_enter(crawl->frontier, 0, &entry, &host);
}

/* New seeds into the table of seeds. */
static int add_seeds(struct crawl *crawl)
{
    const struct weft_crawl_options *options = crawl->options;
    struct weft_buffer url;
    int err = 0;
    weft_buffer_init(&url, WEFT_URL_MAX * 4);
    for (size_t i = 0; i < options->seeds_count && err == 0; i++) {
        err = weft_url_resolve(&url, NULL, options->seeds[i], strlen(options->seeds[i]),
                               &crawl->rules);
        if (err)
            err = weft_crawl_fail(crawl, err == -ENOMEM ? err : -EINVAL,
                                  "'%.200s' is no URL to begin with", options->seeds[i]);
        else
            err = weft_frontier_add_seed(crawl->frontier, url.data);
    }
    weft_buffer_deinit(&url);
    return err;
}

static int use_seeds(struct crawl *crawl, struct weft_buffer *texts)
{
    const char **seeds = calloc(SEEDS_MAX, sizeof *seeds);
    size_t count = 0;
    int err = seeds ? 0 : -ENOMEM;
    for (size_t at = 0; err == 0 && at < texts->len; at += strlen(texts->data + at) + 1) {
        if (count == SEEDS_MAX)
            err = weft_crawl_fail(crawl, -EINVAL, "the store has more than %zu seeds", SEEDS_MAX);
        else
            seeds[count++] = texts->data + at;
    }
    if (err == 0 && count == 0)
        err = weft_crawl_fail(crawl, -EINVAL, "there is no URL to begin with");
    if (err == 0)
        err = weft_reach_init(&crawl->reach, crawl->options, seeds, count, crawl->error,
                              crawl->error_bytes);
    for (size_t i = 0; i < count && err == 0; i++)
        err = enter_seed(crawl, seeds[i]);
    free(seeds);
    return err;
}

static int open_store(void *arg)
{
    struct crawl *crawl = arg;
    const struct weft_frontier_options options = {
        .path = crawl->options->store ? crawl->options->store : "crawl.db",
        .now_us = weft_crawl_unix_us(crawl),
        .depth_max = crawl->depth_max,
        .host_pages_max = crawl->host_pages_max,
        .keeps_links = !crawl->options->no_links,
    };
    struct weft_buffer texts;
    int err = weft_frontier_open(&crawl->frontier, &options, crawl->error, crawl->error_bytes);
    if (err)
        return err;
    weft_buffer_init(&texts, SEEDS_MAX * (WEFT_URL_MAX + 1));
    err = weft_frontier_begin(crawl->frontier);
    if (err == 0)
        err = add_seeds(crawl);
    if (err == 0)
        err = weft_frontier_seeds(crawl->frontier, &texts);
    if (err == 0)
        err = use_seeds(crawl, &texts);
    if (err == 0)
        err = weft_frontier_commit(crawl->frontier);
    crawl->totals = *weft_frontier_totals(crawl->frontier);
    weft_buffer_deinit(&texts);
    return err ? weft_crawl_fail(crawl, err, "cannot set up the store: %s", weft_strerror(err)) : 0;
}

static int close_store(void *arg)
{
    struct crawl *crawl = arg;
    weft_frontier_close(crawl->frontier);
    crawl->frontier = NULL;
    return 0;
}

/* ---- the run ------------------------------------------------------------------------------- */

static int open_clients(struct crawl *crawl)
{
    const struct weft_crawl_options *options = crawl->options;
    struct weft_http_client_options http = {
        .connections_max = crawl->concurrency,
        .total_timeout_ns = crawl->timeout_ns,
        .response_bytes_max = crawl->body_max,
        .user_agent = options->user_agent,
        .decompress = 1,
        .ca_file = options->ca_file,
        .tls_insecure = options->tls_insecure,
        .proxy = options->proxy,
        .allow_address = options->allow_private ? NULL : weft_http_address_is_public,
    };
    int err = weft_http_client_open(&crawl->client, &http);
    http.redirects_max = RULES_REDIRECTS_MAX;
    if (err == 0)
        err = weft_http_client_open(&crawl->rules_client, &http);
    return err ? weft_crawl_fail(crawl, err, "the HTTP client cannot be set up: %s",
                                 weft_strerror(err))
               : 0;
}

static int report_progress(void *arg)
{
    struct crawl *crawl = arg;
    const struct weft_crawl_options *options = crawl->options;
    while (weft_event_wait(&crawl->over, weft_now() + PROGRESS_NS) == -ETIMEDOUT) {
        const struct weft_frontier_totals *totals = &crawl->totals;
        struct weft_crawl_progress progress = {
            .done = (uint64_t)totals->states[WEFT_URL_DONE],
            .failed = (uint64_t)totals->broken,
            .waiting =
                (uint64_t)(totals->states[WEFT_URL_PENDING] + totals->states[WEFT_URL_CLAIMED] +
                           totals->states[WEFT_URL_DELAYED]),
            .bytes = crawl->body_bytes,
            .running = crawl->in_flight,
            .hosts = crawl->hosts_len,
            .elapsed_ns = weft_now() - crawl->started_ns,
        };
        for (size_t i = 0; i < WEFT_URL_STATES; i++)
            progress.known += (uint64_t)totals->states[i];
        options->on_progress(options->on_progress_context, &progress);
    }
    return 0;
}

static int run_pages(struct crawl *crawl)
{
    const struct weft_group_options options = {.policy = WEFT_SUPERVISE, .name = "pages"};
    int err = weft_group_init(&crawl->pages, &options);
    if (err)
        return err;
    err = weft_crawl_pump(crawl);
    weft_group_close(&crawl->pages);
    return err;
}

/* The keeper goes on after the pages, until the store has all that came of them. */
static int run_all(struct crawl *crawl)
{
    const struct weft_group_options options = {.policy = WEFT_SUPERVISE, .name = "crawl"};
    struct weft_group others;
    int err = weft_group_init(&others, &options);
    if (err)
        return err;
    err = weft_spawn(&others, weft_crawl_keep, crawl);
    bool keeps = err == 0;
    if (err == 0 && crawl->options->on_progress)
        err = weft_spawn(&others, report_progress, crawl);
    if (err == 0)
        err = run_pages(crawl);
    crawl->ending = true;
    weft_crawl_tell_keeper(crawl);
    (void)weft_event_set(&crawl->over);
    (void)weft_group_wait(&others);
    if (err == 0 && keeps)
        err = crawl->failure;
    return err;
}

static void drop_hosts(struct weft_table_node *node, void *arg)
{
    weft_crawl_host_free(arg, weft_container_of(node, struct crawl_host, node));
}

static void drop_rest(struct crawl *crawl)
{
    weft_table_visit(&crawl->hosts, drop_hosts, crawl);
    while (!weft_list_empty(&crawl->finished)) {
        struct crawl_page *page = weft_container_of(crawl->finished.next, struct crawl_page, link);
        weft_list_unlink(&page->link);
        weft_crawl_page_free(page);
    }
    while (!weft_list_empty(&crawl->rules_news)) {
        struct crawl_rules_news *news =
            weft_container_of(crawl->rules_news.next, struct crawl_rules_news, link);
        weft_list_unlink(&news->link);
        weft_crawl_page_free(news->sitemaps);
        free(news->text);
        free(news);
    }
    free(crawl->rests);
    crawl->rests = NULL;
    weft_table_deinit(&crawl->hosts);
}

static void sum_up(const struct crawl *crawl, int err, struct weft_crawl_result *ret_result)
{
    const struct weft_frontier_totals *totals = &crawl->totals;
    struct weft_crawl_result result = {
        .done = (uint64_t)totals->states[WEFT_URL_DONE],
        .fetched = crawl->fetched,
        .waiting = (uint64_t)(totals->states[WEFT_URL_PENDING] + totals->states[WEFT_URL_CLAIMED] +
                              totals->states[WEFT_URL_DELAYED]),
        .outside = (uint64_t)totals->states[WEFT_URL_KNOWN],
        .beyond = (uint64_t)(totals->states[WEFT_URL_TOO_DEEP] + totals->states[WEFT_URL_SHELVED]),
        .forbidden = (uint64_t)totals->states[WEFT_URL_FORBIDDEN],
        .broken = (uint64_t)totals->broken,
        .redirects = (uint64_t)totals->redirects,
        .duplicates = (uint64_t)totals->duplicates,
        .links = (uint64_t)totals->links,
        .hosts = (uint64_t)totals->hosts,
        .bytes = (uint64_t)totals->body_bytes,
        .retries = crawl->retries,
        .elapsed_ns = weft_now() - crawl->started_ns,
        .stopped = err == -ECANCELED,
    };
    for (size_t i = 0; i < 6; i++)
        result.status[i] = (uint64_t)totals->status[i];
    for (size_t i = 0; i < WEFT_URL_STATES; i++)
        result.known += (uint64_t)totals->states[i];
    *ret_result = result;
}

static void set_up(struct crawl *crawl)
{
    crawl->started_ns = weft_now();
    crawl->clock_offset_us = weft_clock_unix_us() - crawl->started_ns / 1000;
    crawl->due_ns = WEFT_FOREVER;
    crawl->hosts_more = true;
    weft_random_seed(&crawl->random, (uint64_t)crawl->clock_offset_us);
    weft_list_init(&crawl->ready);
    weft_list_init(&crawl->finished);
    weft_list_init(&crawl->rules_news);
}

static int open_all(struct crawl *crawl)
{
    int err = weft_event_init(&crawl->changed, WEFT_LOCAL);
    if (err == 0)
        err = weft_event_init(&crawl->work, WEFT_LOCAL);
    if (err == 0)
        err = weft_event_init(&crawl->over, WEFT_LOCAL);
    if (err == 0)
        err = weft_table_init(&crawl->hosts);
    if (err == 0)
        err = weft_offload(open_store, crawl);
    return err ? err : open_clients(crawl);
}

static int close_all(void *arg)
{
    struct crawl *crawl = arg;
    drop_rest(crawl);
    weft_http_client_close(crawl->rules_client);
    weft_http_client_close(crawl->client);
    if (crawl->frontier && weft_offload(close_store, crawl) < 0)
        (void)close_store(crawl);
    weft_reach_deinit(&crawl->reach);
    return 0;
}

int weft_crawl(const struct weft_crawl_options *options, struct weft_crawl_result *ret_result,
               char *ret_error, size_t error_bytes)
{
    if (weft_worker_index() < 0)
        return -EPERM;
    struct crawl *crawl = calloc(1, sizeof *crawl);
    if (!crawl)
        return -ENOMEM;
    crawl->options = options;
    crawl->error = ret_error;
    crawl->error_bytes = error_bytes;
    if (error_bytes > 0)
        ret_error[0] = '\0';
    set_up(crawl);
    int err = check_options(crawl);
    if (err == 0)
        err = apply_defaults(crawl);
    if (err == 0)
        err = open_all(crawl);
    if (err == 0)
        err = run_all(crawl);
    if (crawl->frontier)
        sum_up(crawl, err, ret_result);
    (void)weft_shield(close_all, crawl);
    if (err && err != -ECANCELED)
        (void)weft_crawl_fail(crawl, err, "the crawl was broken off: %s", weft_strerror(err));
    free(crawl);
    return err;
}
