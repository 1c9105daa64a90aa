/* SPDX-License-Identifier: MIT
 * client_queue.h - whose turn it is: so many requests and connections at once in all, so many
 * connections per host, hosts in turn; and, where requests can share connections, whether there is
 * room on one or another has to be made.
 *
 * What a host can do is found out. The first request makes a connection; when that is there, the
 * second shows by sharing it, or by making one of its own, what the server speaks. From then on a
 * connection gets as many requests as it takes, and a further one is made for what is left. libcurl
 * has a way of its own for that (PIPEWAIT), which in 7.88 ends with the first connection: of the
 * requests that do not fit there all crowd onto the second, while it is not even made.
 *
 * A host exists while somebody waits for it or is under way to it, or it has connections, and then
 * as long as there are not too many others. No clock, no I/O. */
#ifndef WEFT_HTTP_CLIENT_QUEUE_H
#define WEFT_HTTP_CLIENT_QUEUE_H

#include <base/list.h>

#include <stdbool.h>
#include <stdint.h>

#define WEFT_HTTP_QUEUE_BUCKETS 1024
#define WEFT_HTTP_HOSTS_KEPT    1024u /* that nobody needs at present */

struct weft_http_host;

/* Whether the requests to a host share connections. */
enum weft_http_sharing {
    WEFT_HTTP_SHARING_UNKNOWN,
    WEFT_HTTP_SHARING_NONE,    /* each has one to itself: HTTP/1 */
    WEFT_HTTP_SHARING_STREAMS, /* HTTP/2 */
};

/* Part of what waits, and then is under way. */
struct weft_http_place {
    struct weft_link link; /* in host->waiting */
    struct weft_http_host *host;
    bool opens;  /* makes a connection; from weft_http_queue_pop on: has to make one */
    bool placed; /* is on one */
};

struct weft_http_host {
    struct weft_link turn;    /* in queue->turns while somebody waits and may begin */
    struct weft_link waiting; /* places */
    struct weft_link idle;    /* in queue->idle while nobody needs it */
    unsigned waiting_len, running;
    unsigned opening, placed; /* of those running; some are neither yet */
    unsigned ready;           /* connections that are made */
    unsigned held;            /* connections that those running use, or may */
    unsigned streams;         /* requests that a connection takes, as far as is known */
    enum weft_http_sharing sharing;
    bool failed; /* the latest connection was not made: nobody waits for another's */
    struct weft_http_host *next; /* of the bucket */
    uint64_t hash;
    char name[];
};

struct weft_http_queue_limits {
    unsigned running_max;
    unsigned connections_max;
    unsigned host_max;    /* connections of one host; 0: as many as in all */
    unsigned streams_max; /* requests on a connection; 0: connections are not shared */
};

struct weft_http_queue {
    struct weft_http_queue_limits limits;
    unsigned running, held;
    unsigned idle_len;
    struct weft_link turns, idle;     /* idle: the one that is longest so first */
    struct weft_http_host *everybody; /* where hosts are not told apart */
    struct weft_http_host **buckets;
    uint64_t secret[2];
};

/* Returns 0, -ENOMEM */
int weft_http_queue_init(struct weft_http_queue *queue, const struct weft_http_queue_limits *limits,
                         const uint64_t secret[2]);
void weft_http_queue_deinit(struct weft_http_queue *queue); /* zeros are fine */

/* Whether a name for the host is used at all. */
bool weft_http_queue_tells_hosts(const struct weft_http_queue *queue);

/* Wait, at the end of the host's line. sharing: what is known of a host that is new.
 * Returns 0, -ENOMEM */
int weft_http_queue_push(struct weft_http_queue *queue, struct weft_http_place *place,
                         const char *host, enum weft_http_sharing sharing);

/* Whether somebody may begin, and the next who may, NULL when nobody may. It is under way until
 * weft_http_queue_leave. */
bool weft_http_queue_has_turn(const struct weft_http_queue *queue);
struct weft_http_place *weft_http_queue_pop(struct weft_http_queue *queue);

/* failed: it was to be on a connection, and could not. */
void weft_http_queue_leave(struct weft_http_queue *queue, struct weft_http_place *place,
                           bool failed);

/* Give up waiting. */
void weft_http_queue_withdraw(struct weft_http_queue *queue, struct weft_http_place *place);

/* ---- what happens to who is under way, where connections are shared ----------------------- */

/* It makes a connection, as it was to or not. */
void weft_http_queue_opens(struct weft_http_queue *queue, struct weft_http_place *place);

/* It is on a connection, after weft_http_queue_connected if it made that. */
void weft_http_queue_placed(struct weft_http_queue *queue, struct weft_http_place *place);

/* A connection of the host is made; is closed. */
void weft_http_queue_connected(struct weft_http_queue *queue, struct weft_http_host *host);
void weft_http_queue_closed(struct weft_http_queue *queue, struct weft_http_host *host);

/* A response said what the host speaks. */
void weft_http_queue_learn(struct weft_http_queue *queue, struct weft_http_host *host,
                           enum weft_http_sharing sharing);

#endif
