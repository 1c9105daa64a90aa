/* SPDX-License-Identifier: MIT
 * client_queue.c - see client_queue.h. */
#include <base/siphash.h>
#include <http/client_queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How the next of a host may begin. */
enum turn {
    TURN_NONE,  /* not now */
    TURN_ALONE, /* on a connection of its own, idle or made */
    TURN_MAKES, /* on a connection that it has to make */
    TURN_SHARE, /* on one that others are on */
};

/* ---- hosts -------------------------------------------------------------------------------- */

static struct weft_http_host *make_host(const struct weft_http_queue *queue, const char *name,
                                        uint64_t hash, enum weft_http_sharing sharing)
{
    size_t bytes = strlen(name) + 1;
    struct weft_http_host *host = calloc(1, sizeof *host + bytes);
    if (!host)
        return NULL;
    weft_list_init(&host->turn);
    weft_list_init(&host->waiting);
    weft_list_init(&host->idle);
    host->sharing = queue->limits.streams_max > 0 ? sharing : WEFT_HTTP_SHARING_NONE;
    host->streams = queue->limits.streams_max;
    host->hash = hash;
    memcpy(host->name, name, bytes);
    return host;
}

static struct weft_http_host *find_or_make(struct weft_http_queue *queue, const char *name,
                                           enum weft_http_sharing sharing)
{
    if (queue->everybody)
        return queue->everybody;
    uint64_t hash = weft_siphash(queue->secret, name, strlen(name));
    struct weft_http_host **bucket = &queue->buckets[hash % WEFT_HTTP_QUEUE_BUCKETS];
    for (struct weft_http_host *host = *bucket; host; host = host->next) {
        if (host->hash == hash && strcmp(host->name, name) == 0)
            return host;
    }
    struct weft_http_host *host = make_host(queue, name, hash, sharing);
    if (host) {
        host->next = *bucket;
        *bucket = host;
    }
    return host;
}

static void forget_host(struct weft_http_queue *queue, struct weft_http_host *host)
{
    struct weft_http_host **at = &queue->buckets[host->hash % WEFT_HTTP_QUEUE_BUCKETS];
    while (*at != host)
        at = &(*at)->next;
    *at = host->next;
    free(host);
}

static void unlink_idle(struct weft_http_queue *queue, struct weft_http_host *host)
{
    queue->idle_len -= !weft_list_empty(&host->idle);
    weft_list_unlink(&host->idle);
}

/* ---- turns -------------------------------------------------------------------------------- */

static unsigned host_max(const struct weft_http_queue *queue)
{
    return queue->limits.host_max ? queue->limits.host_max : queue->limits.connections_max;
}

/* The first makes a connection, the second shows what it can do; the others wait for that. */
static enum turn turn_of_unknown(const struct weft_http_host *host)
{
    if (host->ready == 0)
        return host->running == 0 ? TURN_MAKES : TURN_NONE;
    return host->running <= host->ready ? TURN_ALONE : TURN_NONE;
}

/* Connections are made for those who do not find room on the ones that are being made. */
static enum turn turn_of_sharing(const struct weft_http_queue *queue,
                                 const struct weft_http_host *host)
{
    uint64_t room = (uint64_t)host->ready * host->streams;
    uint64_t expected = (uint64_t)host->opening * (host->streams - 1);
    if (host->running - host->opening < room)
        return TURN_SHARE;
    bool makes = host->ready + host->opening < host_max(queue) && host->waiting_len > expected;
    return makes ? TURN_MAKES : TURN_NONE;
}

static enum turn turn_of(const struct weft_http_queue *queue, const struct weft_http_host *host)
{
    if (weft_list_empty(&host->waiting))
        return TURN_NONE;
    if (host->sharing == WEFT_HTTP_SHARING_NONE || host->failed)
        return host->running < host_max(queue) ? TURN_ALONE : TURN_NONE;
    return host->sharing == WEFT_HTTP_SHARING_UNKNOWN ? turn_of_unknown(host)
                                                      : turn_of_sharing(queue, host);
}

static unsigned held_by(const struct weft_http_host *host)
{
    unsigned connections = host->ready + host->opening;
    bool shares = host->sharing == WEFT_HTTP_SHARING_STREAMS && connections < host->running;
    return shares ? connections : host->running;
}

/* After something has changed: take part in the turns or not, be forgotten when there are too many
 * that nobody needs. */
static void settle(struct weft_http_queue *queue, struct weft_http_host *host)
{
    unsigned held = held_by(host);
    queue->held += held - host->held;
    host->held = held;
    if (turn_of(queue, host) == TURN_NONE)
        weft_list_unlink(&host->turn);
    else if (weft_list_empty(&host->turn))
        weft_list_append(&queue->turns, &host->turn);
    if (host == queue->everybody)
        return;
    if (host->running > 0 || host->ready > 0 || !weft_list_empty(&host->waiting)) {
        unlink_idle(queue, host);
        return;
    }
    if (!weft_list_empty(&host->idle))
        return;
    weft_list_append(&queue->idle, &host->idle);
    if (++queue->idle_len <= WEFT_HTTP_HOSTS_KEPT)
        return;
    struct weft_http_host *oldest =
        weft_container_of(queue->idle.next, struct weft_http_host, idle);
    unlink_idle(queue, oldest);
    forget_host(queue, oldest);
}

/* Whose turn it is, NULL: nobody's. Where all connections are in use, whoever needs none. */
static struct weft_http_host *next_host(const struct weft_http_queue *queue)
{
    bool full = queue->held >= queue->limits.connections_max;
    if (queue->running >= queue->limits.running_max || (full && queue->limits.streams_max == 0))
        return NULL;
    WEFT_LIST_FOR_EACH (link, &queue->turns) {
        struct weft_http_host *host = weft_container_of(link, struct weft_http_host, turn);
        if (!full || turn_of(queue, host) == TURN_SHARE)
            return host;
    }
    return NULL;
}

/* ---- the queue ---------------------------------------------------------------------------- */

int weft_http_queue_init(struct weft_http_queue *queue, const struct weft_http_queue_limits *limits,
                         const uint64_t secret[2])
{
    *queue = (struct weft_http_queue){.limits = *limits, .secret = {secret[0], secret[1]}};
    weft_list_init(&queue->turns);
    weft_list_init(&queue->idle);
    if (limits->host_max > 0 || limits->streams_max > 0)
        queue->buckets = calloc(WEFT_HTTP_QUEUE_BUCKETS, sizeof(struct weft_http_host *));
    else
        queue->everybody = make_host(queue, "", 0, WEFT_HTTP_SHARING_NONE);
    return queue->buckets || queue->everybody ? 0 : -ENOMEM;
}

void weft_http_queue_deinit(struct weft_http_queue *queue)
{
    for (size_t i = 0; queue->buckets && i < WEFT_HTTP_QUEUE_BUCKETS; i++) {
        while (queue->buckets[i]) {
            struct weft_http_host *host = queue->buckets[i];
            queue->buckets[i] = host->next;
            free(host);
        }
    }
    free(queue->buckets);
    free(queue->everybody);
    *queue = (struct weft_http_queue){.limits = {0}};
}

bool weft_http_queue_tells_hosts(const struct weft_http_queue *queue)
{
    return !queue->everybody;
}

int weft_http_queue_push(struct weft_http_queue *queue, struct weft_http_place *place,
                         const char *host, enum weft_http_sharing sharing)
{
    place->host = find_or_make(queue, host, sharing);
    if (!place->host)
        return -ENOMEM;
    place->opens = place->placed = false;
    weft_list_append(&place->host->waiting, &place->link);
    place->host->waiting_len++;
    settle(queue, place->host);
    return 0;
}

bool weft_http_queue_has_turn(const struct weft_http_queue *queue)
{
    return next_host(queue) != NULL;
}

struct weft_http_place *weft_http_queue_pop(struct weft_http_queue *queue)
{
    struct weft_http_host *host = next_host(queue);
    if (!host)
        return NULL;
    struct weft_http_place *place =
        weft_container_of(host->waiting.next, struct weft_http_place, link);
    place->opens = turn_of(queue, host) == TURN_MAKES;
    weft_list_unlink(&place->link);
    weft_list_unlink(&host->turn); /* to the end, if anywhere */
    host->waiting_len--;
    host->opening += place->opens;
    host->running++;
    queue->running++;
    settle(queue, host);
    return place;
}

void weft_http_queue_leave(struct weft_http_queue *queue, struct weft_http_place *place,
                           bool failed)
{
    struct weft_http_host *host = place->host;
    host->opening -= place->opens;
    host->placed -= place->placed;
    host->failed = host->failed || (failed && place->opens);
    place->opens = place->placed = false;
    host->running--;
    queue->running--;
    settle(queue, host);
}

void weft_http_queue_withdraw(struct weft_http_queue *queue, struct weft_http_place *place)
{
    weft_list_unlink(&place->link);
    place->host->waiting_len--;
    settle(queue, place->host);
}

/* ---- what happens to who is under way ----------------------------------------------------- */

/* It was to share a connection, and makes one: what was believed of the host is too much. */
static void learn_less(struct weft_http_host *host)
{
    if (host->ready == 0)
        return;
    if (host->sharing == WEFT_HTTP_SHARING_UNKNOWN)
        host->sharing = WEFT_HTTP_SHARING_NONE;
    unsigned streams = (host->placed + host->ready - 1) / host->ready;
    if (streams < host->streams)
        host->streams = streams > 0 ? streams : 1;
}

void weft_http_queue_opens(struct weft_http_queue *queue, struct weft_http_place *place)
{
    struct weft_http_host *host = place->host;
    if (place->opens || queue->limits.streams_max == 0)
        return;
    if (!place->placed)
        learn_less(host);
    host->placed -= place->placed; /* that connection was gone */
    place->placed = false;
    place->opens = true;
    host->opening++;
    settle(queue, host);
}

/* A limit that was found may have been another's: one that was about to go. So it grows again with
 * each new connection. */
void weft_http_queue_placed(struct weft_http_queue *queue, struct weft_http_place *place)
{
    struct weft_http_host *host = place->host;
    unsigned streams_max = queue->limits.streams_max;
    if (streams_max == 0)
        return;
    if (place->opens) {
        host->opening--;
        host->failed = false;
        host->streams = host->streams > streams_max / 2 ? streams_max : host->streams * 2;
    }
    place->opens = false;
    host->placed += !place->placed;
    place->placed = true;
    if (host->sharing == WEFT_HTTP_SHARING_UNKNOWN && host->placed > host->ready)
        host->sharing = WEFT_HTTP_SHARING_STREAMS;
    settle(queue, host);
}

void weft_http_queue_connected(struct weft_http_queue *queue, struct weft_http_host *host)
{
    host->ready++;
    settle(queue, host);
}

void weft_http_queue_closed(struct weft_http_queue *queue, struct weft_http_host *host)
{
    host->ready--;
    settle(queue, host);
}

void weft_http_queue_learn(struct weft_http_queue *queue, struct weft_http_host *host,
                           enum weft_http_sharing sharing)
{
    if (host->sharing == sharing || queue->limits.streams_max == 0)
        return;
    host->sharing = sharing;
    settle(queue, host);
}
