/* SPDX-License-Identifier: MIT
 * keeper.c - the fiber that talks to the store, see crawl_internal.h.
 *
 * What has come together while the last transaction was made is the next one: results with their
 * links, URLs to be claimed, hosts to be opened. A thread does it on what it was handed over; what
 * came of it is then seen on the loop's own thread. */
#include <crawl/crawl_internal.h>

#include <weft/offload.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdlib.h>

#define REFILLS_MAX 32u
#define SETTLES_MAX 256u /* pages of one transaction */

/* URLs that are wanted of a host, or given back. */
struct refill {
    int64_t host;
    struct weft_link claimed;
    bool more;
};

struct shelf {
    struct crawl_host *host;
    int64_t id;
    struct weft_link urls; /* that were claimed */
};

/* One transaction. The thread touches nothing else. */
struct round {
    struct weft_frontier *frontier;
    int64_t now_us;
    struct weft_link pages; /* struct crawl_page */
    struct weft_link rules; /* struct crawl_rules_news */
    struct crawl_rest *rests;
    size_t rests_len;
    struct refill refills[REFILLS_MAX];
    unsigned refills_len;
    struct shelf shelves[REFILLS_MAX];
    unsigned shelves_len;
    bool opens;
    int64_t *open; /* hosts that are */
    size_t open_len;
    unsigned open_room;
    bool last, wants_more;

    struct weft_link opened; /* struct weft_host_row */
    bool opened_all;
    int64_t next_due_us;
    int64_t *pending; /* hosts that have something now */
    size_t pending_len, pending_capacity;
    struct weft_frontier_totals totals;
};

void weft_crawl_tell_keeper(struct crawl *crawl)
{
    (void)weft_event_set(&crawl->work);
}

void weft_crawl_tell_pump(struct crawl *crawl)
{
    (void)weft_event_set(&crawl->changed);
}

/* ---- on the thread ------------------------------------------------------------------------ */

static int note_pending(struct round *round, int64_t host)
{
    if (host == 0 || (round->pending_len > 0 && round->pending[round->pending_len - 1] == host))
        return 0;
    if (round->pending_len == round->pending_capacity) {
        size_t capacity = round->pending_capacity ? round->pending_capacity * 2 : 64;
        int64_t *pending = reallocarray(round->pending, capacity, sizeof *pending);
        if (!pending)
            return -ENOMEM;
        round->pending = pending;
        round->pending_capacity = capacity;
    }
    round->pending[round->pending_len++] = host;
    return 0;
}

static int enter_all(struct round *round, const struct crawl_page *page)
{
    int err = 0;
    for (size_t i = 0; i < page->entries_count && err == 0; i++) {
        int64_t host;
        err = weft_frontier_enter(round->frontier, page->claimed ? page->claimed->id : 0,
                                  &page->entries[i], &host);
        if (err == 0)
            err = note_pending(round, host);
    }
    return err;
}

static int settle_pages(struct round *round)
{
    int err = 0;
    WEFT_LIST_FOR_EACH (link, &round->pages) {
        struct crawl_page *page = weft_container_of(link, struct crawl_page, link);
        if (!page->claimed)
            continue;
        const struct weft_settling settling = {
            .claimed = page->claimed,
            .state = page->state,
            .next_at_us = page->next_at_us,
            .row = &page->row,
            .spares_attempt = page->spares_attempt,
        };
        err = weft_frontier_settle(round->frontier, &settling);
        if (err == 0 && page->state == WEFT_URL_PENDING)
            err = note_pending(round, page->claimed->host);
        if (err == 0)
            err = enter_all(round, page);
        if (err)
            break;
    }
    return err;
}

static int keep_rules(struct round *round)
{
    int err = 0;
    WEFT_LIST_FOR_EACH (link, &round->rules) {
        struct crawl_rules_news *news = weft_container_of(link, struct crawl_rules_news, link);
        err = weft_frontier_robots(round->frontier, news->host, news->status, news->at_us,
                                   news->text, news->len);
        if (err == 0 && news->sitemaps)
            err = enter_all(round, news->sitemaps);
        if (err)
            break;
    }
    for (size_t i = 0; i < round->rests_len && err == 0; i++)
        err = weft_frontier_rest(round->frontier, round->rests[i].host, round->rests[i].next_at_us);
    return err;
}

static int shelve_all(struct round *round)
{
    int err = 0;
    for (unsigned i = 0; i < round->shelves_len && err == 0; i++) {
        WEFT_LIST_FOR_EACH (link, &round->shelves[i].urls) {
            const struct weft_settling settling = {
                .claimed = weft_container_of(link, struct weft_claimed, link),
                .state = WEFT_URL_PENDING,
                .spares_attempt = true,
            };
            err = weft_frontier_settle(round->frontier, &settling);
            if (err)
                return err;
        }
        err = weft_frontier_shelve(round->frontier, round->shelves[i].id);
    }
    return err;
}

static int claim_all(struct round *round)
{
    int result = 0;
    for (unsigned i = 0; i < round->refills_len && result >= 0; i++) {
        struct refill *refill = &round->refills[i];
        result = weft_frontier_claim(round->frontier, refill->host, CLAIMS_MAX, &refill->claimed,
                                     &refill->more);
    }
    return result < 0 ? result : 0;
}

static int promote(struct round *round)
{
    int64_t *hosts = calloc(WEFT_PROMOTE_MAX, sizeof *hosts);
    if (!hosts)
        return -ENOMEM;
    int count = weft_frontier_promote(round->frontier, round->now_us, hosts, &round->next_due_us);
    int err = count < 0 ? count : 0;
    for (int i = 0; i < count && err == 0; i++)
        err = note_pending(round, hosts[i]);
    free(hosts);
    return err;
}

static int open_hosts(struct round *round)
{
    int count = weft_frontier_hosts(round->frontier, round->open_room, round->open, round->open_len,
                                    &round->opened);
    round->opened_all = count >= 0 && (unsigned)count < round->open_room;
    return count < 0 ? count : 0;
}

static int apply(void *arg)
{
    struct round *round = arg;
    int err = weft_frontier_begin(round->frontier);
    if (err)
        return err;
    err = settle_pages(round);
    if (err == 0)
        err = keep_rules(round);
    if (err == 0)
        err = promote(round);
    if (err == 0)
        err = shelve_all(round);
    if (err == 0 && !round->last)
        err = claim_all(round);
    if (err == 0 && round->opens)
        err = open_hosts(round);
    if (err == 0 && round->last)
        err = weft_frontier_release(round->frontier);
    if (err == 0)
        err = weft_frontier_commit(round->frontier);
    round->totals = *weft_frontier_totals(round->frontier);
    return err;
}

/* ---- before and after, on the loop --------------------------------------------------------- */

static void move_all(struct weft_link *to, struct weft_link *from, unsigned most)
{
    weft_list_init(to);
    while (!weft_list_empty(from) && most-- > 0) {
        struct weft_link *link = from->next;
        weft_list_unlink(link);
        weft_list_append(to, link);
    }
}

/* What a host wants of the store. */
static void gather_host(struct weft_table_node *node, void *arg)
{
    struct round *round = arg;
    struct crawl_host *host = weft_container_of(node, struct crawl_host, node);
    if (round->open && round->open_len < HOSTS_OPEN_MAX)
        round->open[round->open_len++] = host->id;
    if (host->shelving && host->active == 0 && !host->refilling &&
        round->shelves_len < REFILLS_MAX) {
        struct shelf *shelf = &round->shelves[round->shelves_len++];
        shelf->host = host;
        shelf->id = host->id;
        move_all(&shelf->urls, &host->urls, UINT32_MAX);
        host->urls_len = 0;
    } else if (host->refilling && round->refills_len < REFILLS_MAX) {
        struct refill *refill = &round->refills[round->refills_len++];
        refill->host = host->id;
        weft_list_init(&refill->claimed);
    } else if (host->refilling || (host->shelving && host->active == 0)) {
        round->wants_more = true;
    }
}

static int gather(struct crawl *crawl, struct round *round)
{
    round->frontier = crawl->frontier;
    round->now_us = weft_crawl_unix_us(crawl);
    round->last = crawl->ending;
    round->rests = crawl->rests;
    round->rests_len = crawl->rests_len;
    round->next_due_us = INT64_MAX;
    crawl->rests = NULL;
    crawl->rests_len = crawl->rests_capacity = 0;
    weft_list_init(&round->opened);
    move_all(&round->pages, &crawl->finished, crawl->ending ? UINT32_MAX : SETTLES_MAX);
    move_all(&round->rules, &crawl->rules_news, UINT32_MAX);
    if (crawl->opening && !crawl->ending) {
        round->open = calloc(HOSTS_OPEN_MAX, sizeof *round->open);
        if (!round->open)
            return -ENOMEM;
        round->opens = true;
        round->open_room = HOSTS_OPEN_MAX - crawl->hosts_len;
        crawl->hosts_more = false; /* what comes up from here on is seen by the next round */
    }
    weft_table_visit(&crawl->hosts, gather_host, round);
    return 0;
}

static void free_claimed(struct weft_link *list)
{
    while (!weft_list_empty(list)) {
        struct weft_claimed *claimed = weft_container_of(list->next, struct weft_claimed, link);
        weft_list_unlink(&claimed->link);
        free(claimed);
    }
}

/* What a page had of its host is free again. */
static void release_page(struct crawl *crawl, struct crawl_page *page)
{
    struct crawl_host *host = page->host;
    weft_list_unlink(&page->link);
    crawl->in_flight--;
    host->active--;
    if (page->state != WEFT_URL_DONE && page->claimed)
        host->pages--;
    if (page->shelves_host)
        weft_crawl_host_shelve(host);
    weft_crawl_page_free(page);
    weft_crawl_host_place(crawl, host);
}

static void deliver_claims(struct crawl *crawl, struct round *round)
{
    for (unsigned i = 0; i < round->refills_len; i++) {
        struct refill *refill = &round->refills[i];
        struct crawl_host *host = weft_crawl_host_find(crawl, refill->host);
        if (!host) { /* never: one that is refilled stays open */
            free_claimed(&refill->claimed);
            continue;
        }
        while (!weft_list_empty(&refill->claimed)) {
            struct weft_link *link = refill->claimed.next;
            weft_list_unlink(link);
            weft_list_append(&host->urls, link);
            host->urls_len++;
            weft_container_of(link, struct weft_claimed, link)->taken_ns = weft_now();
        }
        host->refilling = false;
        host->more = refill->more;
        weft_crawl_host_place(crawl, host);
    }
}

/* Hosts that have something new. Those that are not open wait in the store. */
static void deliver_pending(struct crawl *crawl, struct round *round)
{
    for (size_t i = 0; i < round->pending_len; i++) {
        struct crawl_host *host = weft_crawl_host_find(crawl, round->pending[i]);
        if (!host) {
            crawl->hosts_more = true;
        } else if (!host->more) {
            host->more = true;
            weft_crawl_host_place(crawl, host);
        }
    }
}

static int deliver_hosts(struct crawl *crawl, struct round *round)
{
    int err = 0;
    if (round->opens) {
        crawl->opening = false;
        crawl->hosts_more = crawl->hosts_more || !round->opened_all;
    }
    while (!weft_list_empty(&round->opened)) {
        struct weft_host_row *row =
            weft_container_of(round->opened.next, struct weft_host_row, link);
        weft_list_unlink(&row->link);
        if (err == 0)
            err = weft_crawl_host_open(crawl, row);
        weft_host_row_free(row);
    }
    return err;
}

static void free_rules(struct weft_link *list)
{
    while (!weft_list_empty(list)) {
        struct crawl_rules_news *news =
            weft_container_of(list->next, struct crawl_rules_news, link);
        weft_list_unlink(&news->link);
        weft_crawl_page_free(news->sitemaps);
        free(news->text);
        free(news);
    }
}

static int deliver(struct crawl *crawl, struct round *round)
{
    crawl->due_ns = round->next_due_us == INT64_MAX
                        ? WEFT_FOREVER
                        : (round->next_due_us - crawl->clock_offset_us) * 1000;
    int err = deliver_hosts(crawl, round);
    for (unsigned i = 0; i < round->shelves_len; i++)
        weft_crawl_host_free(crawl, round->shelves[i].host);
    deliver_claims(crawl, round);
    deliver_pending(crawl, round);
    while (!weft_list_empty(&round->pages))
        release_page(crawl, weft_container_of(round->pages.next, struct crawl_page, link));
    if (round->wants_more)
        weft_crawl_tell_keeper(crawl);
    weft_crawl_tell_pump(crawl);
    return err;
}

static void release(struct round *round)
{
    for (unsigned i = 0; i < round->shelves_len; i++)
        free_claimed(&round->shelves[i].urls);
    for (unsigned i = 0; i < round->refills_len; i++)
        free_claimed(&round->refills[i].claimed);
    while (!weft_list_empty(&round->pages)) {
        struct crawl_page *page = weft_container_of(round->pages.next, struct crawl_page, link);
        weft_list_unlink(&page->link);
        weft_crawl_page_free(page);
    }
    while (!weft_list_empty(&round->opened)) {
        struct weft_host_row *row =
            weft_container_of(round->opened.next, struct weft_host_row, link);
        weft_list_unlink(&row->link);
        weft_host_row_free(row);
    }
    free_rules(&round->rules);
    free(round->rests);
    free(round->open);
    free(round->pending);
}

static bool has_work(const struct crawl *crawl)
{
    return !weft_list_empty(&crawl->finished) || !weft_list_empty(&crawl->rules_news) ||
           crawl->rests_len > 0;
}

/* Before anything else sees that they are done. */
static int tell_results(struct crawl *crawl, const struct round *round)
{
    int err = 0;
    WEFT_LIST_FOR_EACH (link, &round->pages) {
        if (err >= 0)
            err = weft_crawl_page_tell(weft_container_of(link, struct crawl_page, link));
    }
    if (err < 0)
        (void)weft_crawl_fail(crawl, err, "a result was not taken: %s", weft_strerror(err));
    return err < 0 ? err : 0;
}

static int run_round(struct crawl *crawl)
{
    struct round *round = calloc(1, sizeof *round);
    if (!round)
        return -ENOMEM;
    int err = gather(crawl, round);
    if (err == 0)
        err = weft_offload(apply, round);
    if (err == 0) {
        crawl->totals = round->totals;
        err = tell_results(crawl, round);
    }
    if (err == 0)
        err = deliver(crawl, round);
    release(round);
    free(round);
    return err;
}

static int keep(struct crawl *crawl)
{
    int err = 0;
    for (;;) {
        int waited = has_work(crawl) ? 0 : weft_event_wait(&crawl->work, crawl->due_ns);
        if (waited && waited != -ETIMEDOUT)
            return waited;
        (void)weft_event_clear(&crawl->work);
        bool last = crawl->ending;
        err = run_round(crawl);
        if (err || last)
            return err;
    }
}

int weft_crawl_keep(void *arg)
{
    struct crawl *crawl = arg;
    struct weft_scope shield; /* what was fetched is kept, also when the crawl is cancelled */
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    int err = weft_scope_leave(&shield, keep(crawl));
    if (err) {
        crawl->failure =
            weft_crawl_fail(crawl, err, "the store cannot be written: %s", weft_strerror(err));
        weft_crawl_tell_pump(crawl);
    }
    return err;
}
