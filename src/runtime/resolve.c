/* SPDX-License-Identifier: MIT
 * resolve.c - see resolve.h.
 *
 * One mutex guards the names: fibers ask and wait under it, threads answer under it. A name is
 * asked for by a call that belongs to no fiber, so nobody's cancellation takes the answer from the
 * others. Times are counted from the question, on the clock of the fiber that asked. */
#include <base/hash.h>
#include <runtime/offload.h>
#include <runtime/resolve.h>
#include <runtime/worker.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX      256
#define HOST_BYTES_MAX 1023
#define KEEP_NS        (30 * WEFT_SEC)
#define KEEP_FAILED_NS (5 * WEFT_SEC)

/* A name, asked for or known. */
struct name {
    struct weft_link link; /* in resolver->names, the least recently used first */
    uint64_t hash;
    int64_t asked_at_ns;
    bool known;               /* the answer is there */
    struct weft_link waiters; /* struct weft_waiter, while it is not */
    struct weft_answer answer;
    char host[]; /* as asked for */
};

struct weft_resolver {
    pthread_mutex_t mutex;
    unsigned users; /* the worker and each question */
    unsigned names_len;
    struct weft_link names;
    weft_look_up *look_up;
};

/* What a thread needs, and owns. */
struct question {
    struct weft_resolver *resolver;
    struct name *name; /* stays while it is not known */
    struct weft_answer answer;
};

/* ---- asking the system ----------------------------------------------------------------- */

static int explain(int failure)
{
    switch (failure) {
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -EADDRNOTAVAIL;
    }
}

static void ask_system(const char *host, int flags, struct weft_answer *ret_answer)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    *ret_answer = (struct weft_answer){0};
    int failure = getaddrinfo(host, NULL, &hints, &found);
    if (failure) {
        ret_answer->result = explain(failure);
        return;
    }
    for (const struct addrinfo *one = found; one && ret_answer->count < WEFT_ADDRESSES_MAX;
         one = one->ai_next) {
        struct weft_address *address = &ret_answer->addresses[ret_answer->count++];
        memcpy(&address->storage, one->ai_addr, one->ai_addrlen);
        address->len = one->ai_addrlen;
    }
    freeaddrinfo(found);
}

static void look_up_name(const char *host, struct weft_answer *ret_answer)
{
    ask_system(host, 0, ret_answer);
}

/* ---- the resolver ---------------------------------------------------------------------- */

struct weft_resolver *weft_resolver_open(weft_look_up *look_up)
{
    struct weft_resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return NULL;
    (void)pthread_mutex_init(&resolver->mutex, NULL); /* cannot fail with default attributes */
    weft_list_init(&resolver->names);
    resolver->users = 1;
    resolver->look_up = look_up ? look_up : look_up_name;
    return resolver;
}

static void forget(struct weft_resolver *resolver, struct name *name)
{
    weft_list_unlink(&name->link);
    resolver->names_len--;
    free(name);
}

void weft_resolver_close(struct weft_resolver *resolver)
{
    if (!resolver)
        return;
    (void)pthread_mutex_lock(&resolver->mutex);
    bool last = --resolver->users == 0;
    (void)pthread_mutex_unlock(&resolver->mutex);
    if (!last)
        return;
    while (!weft_list_empty(&resolver->names)) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): forget takes it out of the list
        forget(resolver, weft_container_of(resolver->names.next, struct name, link));
    }
    (void)pthread_mutex_destroy(&resolver->mutex);
    free(resolver);
}

/* On a thread, or, when the runtime ended first, where it ended: then nobody waits. */
static void release_question(void *arg)
{
    struct question *question = arg;
    weft_resolver_close(question->resolver);
    free(question);
}

static int ask(void *arg)
{
    struct question *question = arg;
    struct weft_resolver *resolver = question->resolver;
    struct name *name = question->name;
    resolver->look_up(name->host, &question->answer);

    (void)pthread_mutex_lock(&resolver->mutex);
    question->answer.asked_at_ns = name->asked_at_ns;
    name->answer = question->answer;
    name->known = true;
    while (!weft_list_empty(&name->waiters)) {
        struct weft_waiter *waiter =
            weft_container_of(name->waiters.next, struct weft_waiter, link);
        weft_list_unlink(&waiter->link);
        if (!weft_claim(waiter->fiber))
            continue;
        *(struct weft_answer *)waiter->target = name->answer;
        weft_wake(waiter->fiber, 0);
    }
    (void)pthread_mutex_unlock(&resolver->mutex);
    return 0;
}

/* ---- under the mutex ------------------------------------------------------------------- */

static bool is_over(const struct name *name, int64_t since_ns, int64_t now_ns)
{
    int64_t keep_ns = name->answer.result < 0 ? KEEP_FAILED_NS : KEEP_NS;
    bool late = now_ns - name->asked_at_ns >= keep_ns || name->asked_at_ns < since_ns;
    return name->known && late;
}

static struct name *find(struct weft_resolver *resolver, const char *host, uint64_t hash)
{
    WEFT_LIST_FOR_EACH (link, &resolver->names) {
        struct name *name = weft_container_of(link, struct name, link);
        if (name->hash == hash && strcmp(name->host, host) == 0)
            return name;
    }
    return NULL;
}

/* Make room for one more name. Returns 0, WEFT_EFULL when every one is being asked for. */
static int make_room(struct weft_resolver *resolver)
{
    if (resolver->names_len < NAMES_MAX)
        return 0;
    WEFT_LIST_FOR_EACH (link, &resolver->names) {
        struct name *name = weft_container_of(link, struct name, link);
        if (name->known) {
            forget(resolver, name);
            return 0;
        }
    }
    return WEFT_EFULL;
}

static int add(struct weft_resolver *resolver, const char *host, uint64_t hash, int64_t now_ns,
               struct name **ret_name)
{
    size_t host_bytes = strlen(host) + 1;
    int err = make_room(resolver);
    if (err < 0)
        return err;
    struct name *name = calloc(1, sizeof *name + host_bytes);
    struct question *question = calloc(1, sizeof *question);
    if (!name || !question) {
        err = -ENOMEM;
        goto fail;
    }
    name->hash = hash;
    name->asked_at_ns = now_ns;
    weft_list_init(&name->waiters);
    memcpy(name->host, host, host_bytes);
    *question = (struct question){.resolver = resolver, .name = name};
    err = weft_offload_post(WEFT_OFFLOAD_NAMES, ask, question, release_question);
    if (err < 0)
        goto fail;
    resolver->users++;
    resolver->names_len++;
    weft_list_append(&resolver->names, &name->link);
    *ret_name = name;
    return 0;
fail:
    free(question);
    free(name);
    return err;
}

/* The name, freshly asked for when it is not known. */
static int find_or_ask(struct weft_resolver *resolver, const char *host, int64_t since_ns,
                       int64_t now_ns, struct name **ret_name)
{
    uint64_t hash = weft_hash(host, strlen(host));
    struct name *name = find(resolver, host, hash);
    if (name && is_over(name, since_ns, now_ns)) {
        forget(resolver, name);
        name = NULL;
    }
    if (!name)
        return add(resolver, host, hash, now_ns, ret_name);
    weft_list_unlink(&name->link);
    weft_list_append(&resolver->names, &name->link);
    *ret_name = name;
    return 0;
}

/* ---- in the fiber ---------------------------------------------------------------------- */

/* Under the mutex, which is given back. */
static int wait_for_answer(struct weft_fiber *self, struct weft_resolver *resolver,
                           struct name *name, int64_t deadline_ns, struct weft_answer *ret_answer)
{
    struct weft_waiter waiter = {.fiber = self, .target = ret_answer};
    self->waits_for = "a name";
    weft_park_prepare(self);
    weft_list_append(&name->waiters, &waiter.link);
    (void)pthread_mutex_unlock(&resolver->mutex);
    self->worker->outstanding++;
    int err = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
    self->worker->outstanding--;
    if (err == 0)
        return 0;
    (void)pthread_mutex_lock(&resolver->mutex);
    weft_list_unlink(&waiter.link);
    (void)pthread_mutex_unlock(&resolver->mutex);
    return err;
}

static int resolve_name(struct weft_fiber *self, const char *host, int64_t since_ns,
                        int64_t deadline_ns, struct weft_answer *ret_answer)
{
    struct weft_worker *worker = self->worker;
    struct name *name;
    if (!worker->resolver)
        worker->resolver = weft_resolver_open(NULL);
    struct weft_resolver *resolver = worker->resolver;
    if (!resolver)
        return -ENOMEM;
    (void)pthread_mutex_lock(&resolver->mutex);
    int err = find_or_ask(resolver, host, since_ns, weft_worker_now(worker), &name);
    if (err == 0 && !name->known && deadline_ns != WEFT_NOWAIT) {
        err = wait_for_answer(self, resolver, name, deadline_ns, ret_answer);
        return err < 0 ? err : ret_answer->result;
    }
    if (err == 0 && name->known) {
        *ret_answer = name->answer;
        err = name->answer.result;
    } else if (err == 0) {
        err = -EAGAIN;
    }
    (void)pthread_mutex_unlock(&resolver->mutex);
    return err;
}

int weft_resolve_host_since(const char *host, int64_t since_ns, int64_t deadline_ns,
                            struct weft_answer *ret_answer)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (!*host || strlen(host) > HOST_BYTES_MAX)
        return -EINVAL;
    ask_system(host, AI_NUMERICHOST, ret_answer);
    if (ret_answer->result == 0) {
        ret_answer->asked_at_ns = weft_worker_now(self->worker);
        return 0;
    }
    return resolve_name(self, host, since_ns, deadline_ns, ret_answer);
}

int weft_resolve_host(const char *host, int64_t deadline_ns, struct weft_answer *ret_answer)
{
    return weft_resolve_host_since(host, INT64_MIN, deadline_ns, ret_answer);
}

void weft_address_set_port(struct weft_address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET)
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    else if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
}

int weft_resolve(const char *host, uint16_t port, int64_t deadline_ns,
                 struct weft_address *ret_addresses, size_t addresses_max)
{
    struct weft_answer answer;
    int err = weft_resolve_host(host, deadline_ns, &answer);
    if (err < 0)
        return err;
    size_t count = answer.count < addresses_max ? answer.count : addresses_max;
    for (size_t i = 0; i < count; i++) {
        ret_addresses[i] = answer.addresses[i];
        weft_address_set_port(&ret_addresses[i], port);
    }
    return (int)count;
}
