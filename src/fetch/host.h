/* SPDX-License-Identifier: MIT
 * host.h - what is known of each host (scheme, name and port): its breaker, its places, its pause.
 *
 * A host is there while somebody uses it, and after that until its room is wanted: then the one
 * that was idle for longest goes, one without a pause first. Users are no more than requests are
 * under way, so the table is bounded by hosts_max and those. */
#ifndef WEFT_FETCH_HOST_H
#define WEFT_FETCH_HOST_H

#include <base/table.h>
#include <fetch/url.h>

#include <weft/breaker.h>
#include <weft/sync.h>

#include <pthread.h>

struct weft_fetch_host {
    struct weft_table_node node;
    struct weft_link idle; /* in hosts->idle, while users is 0 */
    unsigned users;
    struct weft_breaker *breaker; /* NULL: none */
    struct weft_semaphore places; /* only with host_places */
    int64_t paused_until_ns;      /* atomic; 0: no pause */
    size_t origin_len;
    char origin[]; /* ends with a NUL */
};

struct weft_fetch_hosts {
    pthread_mutex_t lock; /* around what follows; held for some dozens of instructions */
    struct weft_table table;
    struct weft_link idle; /* the one that is idle for longest first */
    unsigned count, count_max;
    uint64_t dropped;
    uint64_t secret[2];

    unsigned places;                             /* of each; 0: no limit */
    const struct weft_breaker_options *breakers; /* NULL: none */
};

/* Returns 0, -ENOMEM. Set the last two fields before the first acquire. */
int weft_fetch_hosts_init(struct weft_fetch_hosts *hosts, unsigned count_max);
void weft_fetch_hosts_deinit(struct weft_fetch_hosts *hosts);

/* Find a host, or make it. To be given back. Returns 0, -ENOMEM. */
int weft_fetch_host_acquire(struct weft_fetch_hosts *hosts, const struct weft_fetch_url *url,
                            struct weft_fetch_host **ret_host);
void weft_fetch_host_release(struct weft_fetch_hosts *hosts, struct weft_fetch_host *host);

/* Leave it alone until then, if it is not left alone for longer. Returns 1 when that is news. */
int weft_fetch_host_pause(struct weft_fetch_host *host, int64_t until_ns);

/* Until when; 0: it is not left alone. */
static inline int64_t weft_fetch_host_paused(const struct weft_fetch_host *host)
{
    return __atomic_load_n(&host->paused_until_ns, __ATOMIC_RELAXED);
}

#endif
