/* SPDX-License-Identifier: MIT
 * host.c - see host.h. */
#include <fetch/host.h>

#include <base/list.h>
#include <base/siphash.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PAUSED_PASSED_MAX 16 /* hosts with a pause that are kept although others are younger */

int weft_fetch_hosts_init(struct weft_fetch_hosts *hosts, unsigned count_max)
{
    *hosts = (struct weft_fetch_hosts){.count_max = count_max};
    weft_list_init(&hosts->idle);
    /* Without random bytes the hash is one without a secret. */
    (void)!getrandom(hosts->secret, sizeof hosts->secret, GRND_NONBLOCK);
    int err = -pthread_mutex_init(&hosts->lock, NULL);
    if (err)
        return err;
    err = weft_table_init(&hosts->table);
    if (err)
        (void)pthread_mutex_destroy(&hosts->lock);
    return err;
}

static void free_host(struct weft_fetch_host *host)
{
    weft_breaker_close(host->breaker);
    free(host);
}

static void free_node(struct weft_table_node *node, void *arg)
{
    struct weft_fetch_hosts *hosts = arg;
    weft_table_remove(&hosts->table, node);
    free_host(weft_container_of(node, struct weft_fetch_host, node));
}

void weft_fetch_hosts_deinit(struct weft_fetch_hosts *hosts)
{
    weft_table_visit(&hosts->table, free_node, hosts);
    weft_table_deinit(&hosts->table);
    (void)pthread_mutex_destroy(&hosts->lock);
}

static int make_host(struct weft_fetch_hosts *hosts, const struct weft_fetch_url *url,
                     struct weft_fetch_host **ret_host)
{
    struct weft_fetch_host *host = calloc(1, sizeof *host + url->origin_len + 1);
    if (!host)
        return -ENOMEM;
    weft_list_init(&host->idle);
    host->origin_len = url->origin_len;
    memcpy(host->origin, url->origin, url->origin_len);
    int err = 0;
    if (hosts->places > 0)
        err = weft_semaphore_init(&host->places, hosts->places, WEFT_AUTO);
    if (err == 0 && hosts->breakers)
        err = weft_breaker_open(&host->breaker, hosts->breakers);
    if (err) {
        free_host(host);
        return err;
    }
    *ret_host = host;
    return 0;
}

static struct weft_fetch_host *find_host(const struct weft_fetch_hosts *hosts,
                                         const struct weft_fetch_url *url, uint64_t hash)
{
    struct weft_table_node *node = weft_table_first(&hosts->table, hash);
    for (; node; node = weft_table_next(node)) {
        struct weft_fetch_host *host = weft_container_of(node, struct weft_fetch_host, node);
        if (host->origin_len == url->origin_len &&
            memcmp(host->origin, url->origin, url->origin_len) == 0)
            return host;
    }
    return NULL;
}

/* Take out the idle host that is missed least; NULL: there is none. */
static struct weft_fetch_host *take_idle(struct weft_fetch_hosts *hosts)
{
    int64_t now_ns = weft_now();
    unsigned passed = 0;
    struct weft_fetch_host *chosen = NULL;
    WEFT_LIST_FOR_EACH (link, &hosts->idle) {
        struct weft_fetch_host *host = weft_container_of(link, struct weft_fetch_host, idle);
        chosen = chosen ? chosen : host;
        if (weft_fetch_host_paused(host) <= now_ns) {
            chosen = host;
            break;
        }
        if (++passed == PAUSED_PASSED_MAX)
            break;
    }
    if (!chosen)
        return NULL;
    weft_list_unlink(&chosen->idle);
    weft_table_remove(&hosts->table, &chosen->node);
    hosts->count--;
    hosts->dropped++;
    return chosen;
}

int weft_fetch_host_acquire(struct weft_fetch_hosts *hosts, const struct weft_fetch_url *url,
                            struct weft_fetch_host **ret_host)
{
    struct weft_fetch_host *dropped = NULL;
    int err = 0;
    uint64_t hash = weft_siphash(hosts->secret, url->origin, url->origin_len);
    (void)pthread_mutex_lock(&hosts->lock);
    struct weft_fetch_host *host = find_host(hosts, url, hash);
    if (!host) {
        err = make_host(hosts, url, &host);
        if (err == 0) {
            if (hosts->count >= hosts->count_max)
                dropped = take_idle(hosts);
            weft_table_put(&hosts->table, &host->node, hash);
            hosts->count++;
        }
    }
    if (err == 0 && host->users++ == 0)
        weft_list_unlink(&host->idle);
    (void)pthread_mutex_unlock(&hosts->lock);
    if (dropped)
        free_host(dropped);
    if (err == 0)
        *ret_host = host;
    return err;
}

void weft_fetch_host_release(struct weft_fetch_hosts *hosts, struct weft_fetch_host *host)
{
    struct weft_fetch_host *dropped = NULL;
    (void)pthread_mutex_lock(&hosts->lock);
    if (--host->users == 0) {
        weft_list_append(&hosts->idle, &host->idle);
        if (hosts->count > hosts->count_max)
            dropped = take_idle(hosts);
    }
    (void)pthread_mutex_unlock(&hosts->lock);
    if (dropped)
        free_host(dropped);
}

int weft_fetch_host_pause(struct weft_fetch_host *host, int64_t until_ns)
{
    int64_t before_ns = weft_fetch_host_paused(host);
    while (before_ns < until_ns) {
        if (__atomic_compare_exchange_n(&host->paused_until_ns, &before_ns, until_ns, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return 1;
    }
    return 0;
}
