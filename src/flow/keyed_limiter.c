/* SPDX-License-Identifier: MIT
 * keyed_limiter.c - see weft/keyed_limiter.h.
 *
 * A table with chains, and a heap of all keys by when their states will be as good as new. That
 * time only moves away while a key is used, so the heap may lag behind: what it shows is never too
 * late. It is put right where it matters, at its top, when room is wanted; so a permit costs
 * nothing there, and every correction is paid for by a permit given since the last one. */
#include <base/heap.h>
#include <base/siphash.h>
#include <flow/limiter_queue.h>
#include <flow/pattern.h>

#include <weft/keyed_limiter.h>

#include <stdlib.h>
#include <string.h>

#define KEYS_DEFAULT     10000u
#define KEYS_MAX         10000000u
#define LOG_PERMITS_MAX  10000000u /* all keys' together */
#define EVICTED_PER_COME 2u        /* so that the table shrinks to what is in use */

struct key {
    struct weft_limiter_lane lane;
    struct key *next;        /* in its chain */
    struct weft_timer fresh; /* in keyed->fresh */
    uint64_t hash;
    size_t len;
    unsigned char bytes[];
};

struct weft_keyed_limiter {
    struct weft_limiter_gate gate;
    struct key **chains;
    size_t mask; /* number of chains - 1 */
    struct weft_heap fresh;
    uint32_t keys, keys_max;
    uint64_t evicted;
    uint64_t secret[2];
};

static int make(struct weft_keyed_limiter *keyed, const struct weft_keyed_limiter_options *options)
{
    size_t chains = 1;
    keyed->keys_max = options->keys_max ? options->keys_max : KEYS_DEFAULT;
    int err = weft_gate_init(&keyed->gate, &options->limiter, "keyed limiter");
    if (err < 0)
        return err;
    if (keyed->keys_max > KEYS_MAX || options->limiter.adaptive.max != 0 ||
        (uint64_t)keyed->gate.rule.slots * keyed->keys_max > LOG_PERMITS_MAX)
        return -EINVAL;
    while (chains < keyed->keys_max)
        chains *= 2;
    keyed->mask = chains - 1;
    keyed->chains = calloc(chains, sizeof(struct key *));
    if (!keyed->chains)
        return -ENOMEM;
    weft_pattern_secret(keyed->secret, options->seed);
    return 0;
}

int weft_keyed_limiter_open(struct weft_keyed_limiter **ret_keyed,
                            const struct weft_keyed_limiter_options *options)
{
    static const struct weft_keyed_limiter_options defaults;
    struct weft_keyed_limiter *keyed = calloc(1, sizeof *keyed);
    if (!keyed)
        return -ENOMEM;
    int err = make(keyed, options ? options : &defaults);
    if (err < 0) {
        free(keyed);
        return err;
    }
    *ret_keyed = keyed;
    return 0;
}

/* ---- the table ---------------------------------------------------------------------------- */

static void drop(struct weft_keyed_limiter *keyed, struct key *key)
{
    struct key **link = &keyed->chains[key->hash & keyed->mask];
    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    weft_heap_remove(&keyed->fresh, &key->fresh);
    weft_limit_stop(&key->lane.state, &keyed->gate.rule);
    free(key);
    keyed->keys--;
}

void weft_keyed_limiter_close(struct weft_keyed_limiter *keyed)
{
    if (!keyed)
        return;
    while (weft_heap_first(&keyed->fresh))
        drop(keyed, weft_container_of(weft_heap_first(&keyed->fresh), struct key, fresh));
    free(keyed->chains);
    free(keyed);
}

/* The first key that is as good as new, NULL when there is none. */
static struct key *first_fresh(struct weft_keyed_limiter *keyed, int64_t now_ns)
{
    struct weft_timer *timer;
    while ((timer = weft_heap_first(&keyed->fresh)) && timer->deadline_ns <= now_ns) {
        struct key *key = weft_container_of(timer, struct key, fresh);
        int64_t fresh_ns = weft_limit_fresh_at(&keyed->gate.rule, &key->lane.state);
        if (key->lane.waiting > 0 && fresh_ns <= now_ns)
            fresh_ns = now_ns + 1; /* its leader is about to come */
        if (fresh_ns <= now_ns)
            return key;
        weft_heap_remove(&keyed->fresh, timer);
        timer->deadline_ns = fresh_ns;
        weft_heap_push(&keyed->fresh, timer);
    }
    return NULL;
}

static void evict(struct weft_keyed_limiter *keyed, int64_t now_ns)
{
    for (unsigned i = 0; i < EVICTED_PER_COME; i++) {
        struct key *key = first_fresh(keyed, now_ns);
        if (!key)
            return;
        drop(keyed, key);
        keyed->evicted++;
    }
}

/* Returns 0 with *ret_key set, WEFT_EFULL, -ENOMEM. */
static int add(struct weft_keyed_limiter *keyed, uint64_t hash,
               const struct weft_limiter_wish *wish, struct key **ret_key)
{
    evict(keyed, wish->now_ns);
    if (keyed->keys >= keyed->keys_max)
        return WEFT_EFULL;
    struct key *key = malloc(sizeof *key + wish->key_bytes);
    if (!key)
        return -ENOMEM;
    weft_lane_init(&key->lane);
    if (weft_limit_start(&key->lane.state, &keyed->gate.rule, keyed->gate.rule.slots,
                         wish->now_ns) < 0) {
        free(key);
        return -ENOMEM;
    }
    struct key **chain = &keyed->chains[hash & keyed->mask];
    key->fresh = (struct weft_timer){.deadline_ns = wish->now_ns};
    key->hash = hash;
    key->len = wish->key_bytes;
    if (wish->key_bytes > 0)
        memcpy(key->bytes, wish->key, wish->key_bytes);
    key->next = *chain;
    *chain = key;
    weft_heap_push(&keyed->fresh, &key->fresh);
    keyed->keys++;
    *ret_key = key;
    return 0;
}

static int find(struct weft_keyed_limiter *keyed, uint64_t hash,
                const struct weft_limiter_wish *wish, struct key **ret_key)
{
    for (struct key *key = keyed->chains[hash & keyed->mask]; key; key = key->next) {
        if (key->hash == hash && key->len == wish->key_bytes &&
            (key->len == 0 || memcmp(key->bytes, wish->key, key->len) == 0)) {
            *ret_key = key;
            return 0;
        }
    }
    return add(keyed, hash, wish, ret_key);
}

/* ---- the calls ---------------------------------------------------------------------------- */

static int take(struct weft_keyed_limiter *keyed, struct weft_fiber *self,
                const struct weft_limiter_wish *wish)
{
    struct weft_limiter_gate *gate = &keyed->gate;
    uint64_t hash = weft_siphash(keyed->secret, wish->key, wish->key_bytes);
    struct key *key = NULL;
    weft_guard_enter(&gate->guard);
    int err = wish->count > gate->rule.burst ? WEFT_ELIMIT : find(keyed, hash, wish, &key);
    if (err < 0)
        return weft_gate_refuse(gate, wish, wish->now_ns, err);
    if (!weft_lane_take(gate, &key->lane, wish->count, wish->now_ns))
        return weft_lane_wait(gate, &key->lane, self, wish);
    weft_guard_leave(&gate->guard);
    return 0;
}

int weft_keyed_limiter_acquire(struct weft_keyed_limiter *keyed, const void *key, size_t key_bytes,
                               uint32_t count, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = count == 0 || key_bytes > WEFT_KEY_MAX ? -EINVAL
                                                     : weft_guard_permit(&keyed->gate.guard);
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns);
    return take(keyed, self,
                &(const struct weft_limiter_wish){count, deadline_ns, weft_now(), key, key_bytes});
}

int weft_keyed_limiter_try(struct weft_keyed_limiter *keyed, const void *key, size_t key_bytes,
                           uint32_t count)
{
    int err =
        count == 0 || key_bytes > WEFT_KEY_MAX ? -EINVAL : weft_guard_permit(&keyed->gate.guard);
    if (err < 0)
        return err;
    return take(keyed, NULL,
                &(const struct weft_limiter_wish){count, WEFT_NOWAIT, weft_now(), key, key_bytes});
}

int weft_keyed_limiter_snapshot(struct weft_keyed_limiter *keyed,
                                struct weft_keyed_limiter_snapshot *ret_snapshot)
{
    const struct weft_limiter_gate *gate = &keyed->gate;
    int err = weft_guard_admit(&keyed->gate.guard);
    if (err < 0)
        return err;
    *ret_snapshot = (struct weft_keyed_limiter_snapshot){
        .keys = keyed->keys,
        .keys_max = keyed->keys_max,
        .waiting = gate->waiting,
        .evicted = keyed->evicted,
        .granted = gate->granted,
        .refused = gate->refused,
        .timed_out = gate->timed_out,
        .waits = gate->waits,
        .waited_ns = gate->waited_ns,
        .waited_max_ns = gate->waited_max_ns,
    };
    weft_guard_leave(&keyed->gate.guard);
    return 0;
}
