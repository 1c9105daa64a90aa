/* SPDX-License-Identifier: MIT
 * pump.c - decides what is fetched next, see crawl_internal.h. It alone starts requests. */
#include <crawl/crawl_internal.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

static struct weft_claimed *pop_url(struct crawl_host *host)
{
    struct weft_claimed *claimed = weft_container_of(host->urls.next, struct weft_claimed, link);
    weft_list_unlink(&claimed->link);
    host->urls_len--;
    return claimed;
}

/* A request to a host has its place from here on until the store has what came of it, and the next
 * one its pause. */
static int start(struct crawl *crawl, struct crawl_host *host, struct weft_claimed *claimed)
{
    struct crawl_page *page = weft_crawl_page_make(crawl, host, claimed);
    if (!page) {
        if (claimed) { /* to be freed with the host; the store has it as CLAIMED */
            weft_list_append(&host->urls, &claimed->link);
            host->urls_len++;
        }
        return -ENOMEM;
    }
    host->active++;
    crawl->in_flight++;
    host->pages += claimed != NULL;
    if (host->rules != RULES_FAILED)
        weft_crawl_host_rest(host, weft_now() + host->delay_ns);
    int err = weft_spawn(&crawl->pages, claimed ? weft_crawl_page_run : weft_crawl_rules_run, page);
    if (err) {
        host->active--;
        crawl->in_flight--;
        weft_crawl_page_free(page);
    }
    return err;
}

/* The first request to a host is for its robots.txt, and so is one after a day. */
static int serve(struct crawl *crawl, struct crawl_host *host)
{
    weft_list_unlink(&host->place);
    bool expired = host->rules == RULES_KNOWN && weft_now() > host->rules_until_ns;
    struct weft_claimed *claimed = NULL;
    if (host->rules == RULES_UNKNOWN || (expired && host->active == 0)) {
        host->rules = RULES_ASKING;
    } else {
        claimed = pop_url(host);
    }
    int err = start(crawl, host, claimed);
    if (err == 0)
        weft_crawl_host_place(crawl, host);
    return err;
}

static uint64_t pages_done(const struct crawl *crawl)
{
    return (uint64_t)crawl->totals.states[WEFT_URL_DONE];
}

static bool is_at_limit(const struct crawl *crawl)
{
    return pages_done(crawl) + crawl->in_flight >= crawl->pages_max;
}

static void ask_for_hosts(struct crawl *crawl)
{
    if (!crawl->hosts_more || crawl->opening || crawl->hosts_len >= HOSTS_OPEN_MAX)
        return;
    crawl->opening = true;
    weft_crawl_tell_keeper(crawl);
}

static bool is_done(const struct crawl *crawl)
{
    if (crawl->in_flight > 0)
        return false;
    if (pages_done(crawl) >= crawl->pages_max)
        return true;
    return crawl->hosts_len == 0 && !crawl->hosts_more && !crawl->opening &&
           crawl->totals.states[WEFT_URL_DELAYED] == 0;
}

int weft_crawl_pump(struct crawl *crawl)
{
    int err = 0;
    while (err == 0 && crawl->failure == 0) {
        (void)weft_event_clear(&crawl->changed);
        int64_t wake_ns = weft_crawl_host_wake(crawl, weft_now());
        ask_for_hosts(crawl);
        if (is_done(crawl))
            return 0;
        if (crawl->in_flight < crawl->concurrency && !weft_list_empty(&crawl->ready) &&
            !is_at_limit(crawl)) {
            err = serve(crawl, weft_container_of(crawl->ready.next, struct crawl_host, place));
            if (err == 0)
                err = weft_checkpoint();
            continue;
        }
        err = weft_event_wait(&crawl->changed, wake_ns);
        if (err == -ETIMEDOUT)
            err = 0;
    }
    return err ? err : crawl->failure;
}
