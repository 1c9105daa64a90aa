/* SPDX-License-Identifier: MIT
 * client_names.c - see client_names.h. */
#include <base/siphash.h>
#include <http/client_names.h>

#include <weft/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An answer that is no older is good even if it comes from before a failure: however many try a
 * host that cannot be reached, it is asked for once in that time. */
#define FAILED_PAUSE_NS WEFT_SEC

struct weft_http_name {
    struct weft_link use; /* in names->by_use */
    struct weft_http_name *next;
    uint64_t hash;
    int64_t asked_at_ns;
    int64_t failed_at_ns; /* WEFT_FOREVER: it has not */
    char *addresses;      /* behind the host, or NULL */
    char host[];
};

int weft_http_names_init(struct weft_http_names *names, unsigned len_max, int64_t kept_ns,
                         const uint64_t secret[2])
{
    *names = (struct weft_http_names){
        .len_max = len_max, .kept_ns = kept_ns, .secret = {secret[0], secret[1]}};
    weft_list_init(&names->by_use);
    names->buckets = calloc(WEFT_HTTP_NAMES_BUCKETS, sizeof(struct weft_http_name *));
    return names->buckets ? 0 : -ENOMEM;
}

static struct weft_http_name **place_of(const struct weft_http_names *names, const char *host,
                                        uint64_t hash)
{
    struct weft_http_name **at = &names->buckets[hash % WEFT_HTTP_NAMES_BUCKETS];
    while (*at && ((*at)->hash != hash || strcmp((*at)->host, host) != 0))
        at = &(*at)->next;
    return at;
}

static struct weft_http_name *find(const struct weft_http_names *names, const char *host)
{
    return *place_of(names, host, weft_siphash(names->secret, host, strlen(host)));
}

static void forget(struct weft_http_names *names, struct weft_http_name *name)
{
    *place_of(names, name->host, name->hash) = name->next;
    weft_list_unlink(&name->use);
    names->len--;
    free(name);
}

void weft_http_names_deinit(struct weft_http_names *names)
{
    while (names->buckets && !weft_list_empty(&names->by_use))
        forget(names, weft_container_of(names->by_use.next, struct weft_http_name, use));
    free(names->buckets);
    *names = (struct weft_http_names){.buckets = NULL};
}

const char *weft_http_names_find(struct weft_http_names *names, const char *host, int64_t now_ns)
{
    struct weft_http_name *name = find(names, host);
    if (!name || name->failed_at_ns != WEFT_FOREVER || now_ns - name->asked_at_ns >= names->kept_ns)
        return NULL;
    weft_list_unlink(&name->use);
    weft_list_append(&names->by_use, &name->use);
    return name->addresses;
}

int weft_http_names_keep(struct weft_http_names *names, const char *host, const char *addresses,
                         int64_t asked_at_ns)
{
    size_t host_bytes = strlen(host) + 1, addresses_bytes = strlen(addresses) + 1;
    uint64_t hash = weft_siphash(names->secret, host, strlen(host));
    struct weft_http_name *name = malloc(sizeof *name + host_bytes + addresses_bytes);
    if (!name)
        return -ENOMEM;
    struct weft_http_name *before = *place_of(names, host, hash);
    if (before)
        forget(names, before);
    if (names->len >= names->len_max)
        forget(names, weft_container_of(names->by_use.next, struct weft_http_name, use));
    *name = (struct weft_http_name){.hash = hash,
                                    .asked_at_ns = asked_at_ns,
                                    .failed_at_ns = WEFT_FOREVER,
                                    .addresses = name->host + host_bytes};
    memcpy(name->host, host, host_bytes);
    memcpy(name->addresses, addresses, addresses_bytes);
    weft_list_init(&name->use);
    weft_list_append(&names->by_use, &name->use);
    *place_of(names, host, hash) = name;
    names->len++;
    return 0;
}

void weft_http_names_fail(struct weft_http_names *names, const char *host, int64_t now_ns)
{
    struct weft_http_name *name = find(names, host);
    if (name && name->failed_at_ns == WEFT_FOREVER)
        name->failed_at_ns = now_ns;
}

int64_t weft_http_names_since(struct weft_http_names *names, const char *host, int64_t now_ns)
{
    struct weft_http_name *name = find(names, host);
    int64_t since_ns = now_ns - names->kept_ns + 1;
    if (!name || name->failed_at_ns == WEFT_FOREVER)
        return since_ns;
    int64_t failed_ns = name->failed_at_ns + 1, recent_ns = now_ns - FAILED_PAUSE_NS;
    failed_ns = failed_ns < recent_ns ? failed_ns : recent_ns;
    return failed_ns > since_ns ? failed_ns : since_ns;
}
