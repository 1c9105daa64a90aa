/* SPDX-License-Identifier: MIT
 * host.c - hosts that are open, see crawl_internal.h.
 *
 * A host with URLs is in one place: in the list of those whose turn it is, or among those whose
 * pause lasts; or nowhere, when all it may have is under way. The list is gone through in turns, so
 * a host with a million URLs holds back none with one. */
#include <crawl/crawl_internal.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULES_KEPT_US INT64_C(86400000000) /* RFC 9309, 2.4: at most 24 hours */

static uint64_t hash_of(int64_t id)
{
    return (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
}

struct crawl_host *weft_crawl_host_find(struct crawl *crawl, int64_t id)
{
    struct weft_table_node *node = weft_table_first(&crawl->hosts, hash_of(id));
    for (; node; node = weft_table_next(node)) {
        struct crawl_host *host = weft_container_of(node, struct crawl_host, node);
        if (host->id == id)
            return host;
    }
    return NULL;
}

/* What the store remembers of its robots.txt, if that is not too long ago. */
static int take_rules(struct crawl *crawl, struct crawl_host *host, const struct weft_host_row *row)
{
    int64_t now_us = weft_crawl_unix_us(crawl);
    host->rules_are_new = row->robots_status == 0;
    if (crawl->options->ignore_robots && crawl->options->ignore_sitemaps)
        host->rules_are_new = false;
    if (crawl->options->ignore_robots && !host->rules_are_new) {
        host->rules = RULES_KNOWN;
        host->rules_until_ns = WEFT_FOREVER;
        return 0;
    }
    if (row->robots_status <= 0 || row->robots_at_us > now_us ||
        now_us - row->robots_at_us > RULES_KEPT_US)
        return 0;
    int err = row->robots
                  ? weft_robots_parse(&host->robots, row->robots, row->robots_len, crawl->agent)
                  : 0;
    if (err)
        return err;
    host->rules = RULES_KNOWN;
    host->rules_until_ns = weft_now() + (row->robots_at_us + RULES_KEPT_US - now_us) * 1000;
    int64_t delay_ns = weft_robots_delay_ns(host->robots);
    if (delay_ns > crawl->delay_max_ns)
        delay_ns = crawl->delay_max_ns;
    if (delay_ns > host->delay_ns)
        host->delay_ns = delay_ns;
    return 0;
}

int weft_crawl_host_open(struct crawl *crawl, struct weft_host_row *row)
{
    struct crawl_host *host = calloc(1, sizeof *host + strlen(row->origin) + 1);
    if (!host)
        return -ENOMEM;
    memcpy(host->origin, row->origin, strlen(row->origin) + 1);
    weft_list_init(&host->place);
    weft_list_init(&host->urls);
    host->id = row->id;
    host->more = true;
    host->pages = row->pages;
    host->delay_ns = crawl->delay_ns;
    if (row->next_at_us > weft_crawl_unix_us(crawl))
        host->next_at_ns = (row->next_at_us - crawl->clock_offset_us) * 1000;
    int err = take_rules(crawl, host, row);
    if (err) {
        free(host);
        return err;
    }
    weft_table_put(&crawl->hosts, &host->node, hash_of(host->id));
    crawl->hosts_len++;
    weft_crawl_host_place(crawl, host);
    return 0;
}

void weft_crawl_host_free(struct crawl *crawl, struct crawl_host *host)
{
    weft_list_unlink(&host->place);
    weft_heap_remove(&crawl->resting, &host->timer);
    weft_table_remove(&crawl->hosts, &host->node);
    crawl->hosts_len--;
    while (!weft_list_empty(&host->urls)) {
        struct weft_claimed *claimed =
            weft_container_of(host->urls.next, struct weft_claimed, link);
        weft_list_unlink(&claimed->link);
        free(claimed);
    }
    weft_robots_free(host->robots);
    free(host);
}

/* So that its pause is kept when it is opened again. Without memory for that it is asked too early,
 * once. */
static void note_rest(struct crawl *crawl, const struct crawl_host *host)
{
    if (crawl->rests_len == crawl->rests_capacity) {
        size_t capacity = crawl->rests_capacity ? crawl->rests_capacity * 2 : 64;
        struct crawl_rest *rests = reallocarray(crawl->rests, capacity, sizeof *rests);
        if (!rests)
            return;
        crawl->rests = rests;
        crawl->rests_capacity = capacity;
    }
    crawl->rests[crawl->rests_len++] =
        (struct crawl_rest){host->id, crawl->clock_offset_us + host->next_at_ns / 1000};
    weft_crawl_tell_keeper(crawl);
}

/* Others wait for its place among those that are open. */
static bool has_to_make_room(const struct crawl *crawl)
{
    return crawl->hosts_more && crawl->hosts_len >= HOSTS_OPEN_MAX;
}

static bool is_full(const struct crawl *crawl, const struct crawl_host *host)
{
    return host->pages >= crawl->host_pages_max;
}

void weft_crawl_host_place(struct crawl *crawl, struct crawl_host *host)
{
    weft_list_unlink(&host->place);
    weft_heap_remove(&crawl->resting, &host->timer);
    if (host->shelving) { /* the keeper takes its URLs, and closes it */
        weft_crawl_tell_keeper(crawl);
        return;
    }
    bool full = is_full(crawl, host);
    if (full && host->active == 0 && (host->urls_len > 0 || host->more)) {
        weft_crawl_host_shelve(host);
        weft_crawl_tell_keeper(crawl);
        return;
    }
    if (host->more && !full && !host->refilling && !has_to_make_room(crawl) &&
        host->urls_len <= CLAIMS_LOW) {
        host->refilling = true;
        weft_crawl_tell_keeper(crawl);
    }
    if (host->urls_len == 0) {
        bool idle = host->active == 0 && !host->refilling;
        if (idle && (!host->more || has_to_make_room(crawl))) {
            if (host->more)
                crawl->hosts_more = true;
            note_rest(crawl, host);
            weft_crawl_host_free(crawl, host);
        }
        weft_crawl_tell_pump(crawl);
        return;
    }
    if (host->active >= crawl->host_concurrency || host->rules == RULES_ASKING || full)
        return;
    if (host->next_at_ns > weft_now()) {
        host->timer = (struct weft_timer){.deadline_ns = host->next_at_ns};
        weft_heap_push(&crawl->resting, &host->timer);
    } else {
        weft_list_append(&crawl->ready, &host->place);
    }
    weft_crawl_tell_pump(crawl);
}

void weft_crawl_host_rest(struct crawl_host *host, int64_t until_ns)
{
    if (host->next_at_ns < until_ns)
        host->next_at_ns = until_ns;
}

void weft_crawl_host_shelve(struct crawl_host *host)
{
    host->shelving = true;
}

int64_t weft_crawl_host_wake(struct crawl *crawl, int64_t now_ns)
{
    struct weft_timer *first;
    while ((first = weft_heap_first(&crawl->resting)) && first->deadline_ns <= now_ns) {
        struct crawl_host *host = weft_container_of(first, struct crawl_host, timer);
        weft_heap_remove(&crawl->resting, first);
        weft_list_append(&crawl->ready, &host->place);
    }
    return first ? first->deadline_ns : WEFT_FOREVER;
}
