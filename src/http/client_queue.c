/* SPDX-License-Identifier: MIT
 * client_queue.c - see client_queue.h. */
#include <base/siphash.h>
#include <http/client_queue.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct weft_http_host *make_host(const char *name, uint64_t hash)
{
    size_t bytes = strlen(name) + 1;
    struct weft_http_host *host = calloc(1, sizeof *host + bytes);
    if (!host)
        return NULL;
    weft_list_init(&host->turn);
    weft_list_init(&host->waiting);
    host->hash = hash;
    memcpy(host->name, name, bytes);
    return host;
}

int weft_http_queue_init(struct weft_http_queue *queue, unsigned running_max, unsigned host_max,
                         const uint64_t secret[2])
{
    *queue = (struct weft_http_queue){
        .running_max = running_max,
        .host_max = host_max,
        .secret = {secret[0], secret[1]},
    };
    weft_list_init(&queue->turns);
    if (host_max > 0)
        queue->buckets = calloc(WEFT_HTTP_QUEUE_BUCKETS, sizeof(struct weft_http_host *));
    else
        queue->everybody = make_host("", 0);
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
    *queue = (struct weft_http_queue){0};
}

static struct weft_http_host *find_or_make(struct weft_http_queue *queue, const char *name)
{
    if (queue->everybody)
        return queue->everybody;
    uint64_t hash = weft_siphash(queue->secret, name, strlen(name));
    struct weft_http_host **bucket = &queue->buckets[hash % WEFT_HTTP_QUEUE_BUCKETS];
    for (struct weft_http_host *host = *bucket; host; host = host->next) {
        if (host->hash == hash && strcmp(host->name, name) == 0)
            return host;
    }
    struct weft_http_host *host = make_host(name, hash);
    if (host) {
        host->next = *bucket;
        *bucket = host;
    }
    return host;
}

/* After something has changed: take part in the turns or not, go when nobody is left. */
static void settle(struct weft_http_queue *queue, struct weft_http_host *host)
{
    bool may_begin = !weft_list_empty(&host->waiting) &&
                     (queue->host_max == 0 || host->running < queue->host_max);
    if (!may_begin)
        weft_list_unlink(&host->turn);
    else if (weft_list_empty(&host->turn))
        weft_list_append(&queue->turns, &host->turn);
    if (host == queue->everybody || host->running > 0 || !weft_list_empty(&host->waiting))
        return;
    struct weft_http_host **at = &queue->buckets[host->hash % WEFT_HTTP_QUEUE_BUCKETS];
    while (*at != host)
        at = &(*at)->next;
    *at = host->next;
    free(host);
}

int weft_http_queue_push(struct weft_http_queue *queue, struct weft_http_place *place,
                         const char *host)
{
    place->host = find_or_make(queue, host);
    if (!place->host)
        return -ENOMEM;
    weft_list_append(&place->host->waiting, &place->link);
    settle(queue, place->host);
    return 0;
}

struct weft_http_place *weft_http_queue_pop(struct weft_http_queue *queue)
{
    if (queue->running >= queue->running_max || weft_list_empty(&queue->turns))
        return NULL;
    struct weft_http_host *host = weft_container_of(queue->turns.next, struct weft_http_host, turn);
    struct weft_http_place *place =
        weft_container_of(host->waiting.next, struct weft_http_place, link);
    weft_list_unlink(&place->link);
    weft_list_unlink(&host->turn); /* to the end, if anywhere */
    host->running++;
    queue->running++;
    settle(queue, host);
    return place;
}

void weft_http_queue_leave(struct weft_http_queue *queue, struct weft_http_place *place)
{
    place->host->running--;
    queue->running--;
    settle(queue, place->host);
}

void weft_http_queue_withdraw(struct weft_http_queue *queue, struct weft_http_place *place)
{
    weft_list_unlink(&place->link);
    settle(queue, place->host);
}
