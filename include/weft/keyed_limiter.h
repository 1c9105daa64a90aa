/* SPDX-License-Identifier: MIT
 * keyed_limiter.h - a limiter for each client, host or account: one rate, one state per key.
 *
 *     struct weft_keyed_limiter *per_client;      // each client 10 requests a second
 *     weft_keyed_limiter_open(&per_client, &(struct weft_keyed_limiter_options){
 *                                              .limiter = {.rate = {.count = 10}}});
 *     if (weft_keyed_limiter_try(per_client, client, strlen(client), 1) < 0)
 *         return reply_too_many_requests(exchange);
 *     weft_keyed_limiter_close(per_client);
 *
 * A key is there from its first permit on. Once its state is the same as that of a key never seen,
 * nobody waits at it and the room is wanted, it is dropped: nobody can tell. Keys are found by a
 * keyed hash (SipHash-1-3), so clients that choose their keys cannot make it slow. What a kind of
 * limiter promises holds for every key; see limiter.h, also for the errors. */
#ifndef WEFT_KEYED_LIMITER_H
#define WEFT_KEYED_LIMITER_H

#include <weft/limiter.h>

WEFT_BEGIN_DECLS

/* Bytes of a key. */
#define WEFT_KEY_MAX 256

struct weft_keyed_limiter_options {
    /* Of each key. adaptive must be off; waiters_max counts those of all keys together; name: NULL
     * means "keyed limiter"; events tell the key. A sliding log takes 8 bytes x count per key, and
     * count x keys_max may be at most 10,000,000. */
    struct weft_limiter_options limiter;
    uint32_t keys_max; /* 0 means 10,000; at most 10,000,000 */
    uint64_t seed;     /* of the hash; 0: drawn */
};

/* All times in ns; counters since weft_keyed_limiter_open, over all keys. */
struct weft_keyed_limiter_snapshot {
    uint32_t keys, keys_max;
    uint32_t waiting;
    uint64_t evicted; /* keys dropped because they were as good as new */
    uint64_t granted, refused, timed_out, waits;
    int64_t waited_ns, waited_max_ns;
};

struct weft_keyed_limiter; /* fields: src/flow/keyed_limiter.c */

/* Make one; NULL options means all defaults.
 * Returns  0; -EINVAL (options), -EPERM (WEFT_LOCAL outside a runtime), -ENOMEM. Never suspends */
WEFT_API int weft_keyed_limiter_open(struct weft_keyed_limiter **ret_keyed,
                                     const struct weft_keyed_limiter_options *options);

/* Free it and its keys. Nobody may wait in it. NULL is fine. */
WEFT_API void weft_keyed_limiter_close(struct weft_keyed_limiter *keyed);

/* Take count of a key's permits, waiting for them in turn, as weft_limiter_acquire does.
 *
 * key      any bytes, at most WEFT_KEY_MAX of them, or none; copied
 * Returns  0 or as weft_limiter_acquire; WEFT_EFULL also when keys_max keys are in use; -ENOMEM;
 *          -EINVAL (key_bytes). Suspends */
WEFT_API int weft_keyed_limiter_acquire(struct weft_keyed_limiter *keyed, const void *key,
                                        size_t key_bytes, uint32_t count, int64_t deadline_ns);

/* The same if they are there and nobody waits for this key's. Never suspends, no checkpoint.
 * Returns  0 or as weft_limiter_try; WEFT_EFULL, -ENOMEM, -EINVAL as above */
WEFT_API int weft_keyed_limiter_try(struct weft_keyed_limiter *keyed, const void *key,
                                    size_t key_bytes, uint32_t count);

/* Returns  0 with *ret_snapshot filled in. Never suspends */
WEFT_API int weft_keyed_limiter_snapshot(struct weft_keyed_limiter *keyed,
                                         struct weft_keyed_limiter_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
