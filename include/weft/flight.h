/* SPDX-License-Identifier: MIT
 * flight.h - calls that ask for the same at the same time are answered by one execution.
 *
 *     int look_up(void *user_id, void *ret, size_t ret_bytes);    // returns how many bytes
 *
 *     struct user user;
 *     int len = weft_flight_do(flight, "17", 2, look_up, &id, &user, sizeof user, WEFT_FOREVER);
 *
 * The first to ask for a key leads: it runs its function itself. Who asks for the same key
 * meanwhile follows: it waits, and gets a copy of what the leader has got. Nothing is remembered
 * after that (weft/cache.h does).
 *
 * When the leader comes back with -ECANCELED, the work was not done, and that is nobody else's
 * failure: the follower who has waited longest leads now, and begins anew with its own function, in
 * its own scope. So work never outlives who does it, and what a cancelled leader had done is lost.
 *
 * Source: singleflight of Go's x/sync (there all share the leader's fate). */
#ifndef WEFT_FLIGHT_H
#define WEFT_FLIGHT_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_flight;

enum weft_flight_event_kind {
    WEFT_FLIGHT_SHARED = 1, /* an execution has ended that others waited for */
    WEFT_FLIGHT_TAKEN_OVER, /* its leader was cancelled, and a follower leads now */
};

struct weft_flight_event {
    enum weft_flight_event_kind kind;
    const char *name;
    int64_t at_ns;
    const void *key; /* for the length of the call */
    size_t key_bytes;
    unsigned followers; /* who got the result; 0 when it is taken over */
    int result;         /* what the function returned */
};

struct weft_flight_options {
    const char *name; /* copied; NULL means "flight" */
    enum weft_sharing sharing;
    unsigned keys_max;    /* in flight at once; 0 means 1,024; at most 1,048,576 */
    unsigned waiters_max; /* followers, of all keys together; 0 means 65,536 */

    /* Called by the leader, after all have been woken; must not close the flight. It may suspend.
     */
    void (*on_event)(void *arg, const struct weft_flight_event *event);
    void *on_event_arg;
};

struct weft_flight_snapshot {
    unsigned keys, waiters; /* now */
    uint64_t executed;      /* functions that were run */
    uint64_t shared;        /* calls that got another's result */
    uint64_t taken_over;    /* leaders that were cancelled and followed by another */
    uint64_t gave_up;       /* followers whose wait ended without a result */
    uint64_t refused;       /* calls that found keys_max or waiters_max reached */
};

/* Make one.
 *
 * options  NULL means all defaults; not kept
 * Returns  0; -EINVAL (no such sharing, too many keys, a long name), -ENOMEM, -EPERM (WEFT_LOCAL
 *          outside a runtime)
 * Never suspends. Every other call says -EPERM for a flight that is local to another worker */
WEFT_API int weft_flight_open(struct weft_flight **ret_flight,
                              const struct weft_flight_options *options);

/* Free it. Nobody may be in a call on it. NULL is fine. */
WEFT_API void weft_flight_close(struct weft_flight *flight);

/* Run fn(arg, ret, ret_bytes), or wait for the one who runs it for the same key and take a copy.
 *
 * key          any bytes, at least 1; must not change during the call
 * fn           returns how many bytes of ret it has filled, or a negative error, which goes to all
 * ret          ret_bytes of room; its content after an error is undefined
 * deadline_ns  absolute, for waiting; fn is not cut short. WEFT_NOWAIT: leads or says -EAGAIN
 * Returns      bytes in ret, or fn's error; -ENOBUFS (the leader's result does not fit: alone this
 *              call's failure); -EOVERFLOW (fn says more than ret_bytes); -EDEADLK (inside fn, for
 *              the same key); WEFT_EFULL (keys_max, waiters_max); -EINVAL (no key), -EPERM;
 *              without having waited to the end -ETIMEDOUT, -EAGAIN, -ECANCELED
 * Suspends, and is a checkpoint. A shared flight works on threads outside a runtime as well */
WEFT_API int weft_flight_do(struct weft_flight *flight, const void *key, size_t key_bytes,
                            int (*fn)(void *arg, void *ret, size_t ret_bytes), void *arg, void *ret,
                            size_t ret_bytes, int64_t deadline_ns);

/* Who asks for the key from now on does not follow an execution that has begun before: for when
 * what it reads has changed. Those who follow already get its result. Returns  1 (there was one), 0
 * (there was none), -EPERM. Never suspends */
WEFT_API int weft_flight_forget(struct weft_flight *flight, const void *key, size_t key_bytes);

/* The same for all keys. Returns how many there were, -EPERM. Never suspends. */
WEFT_API int weft_flight_forget_all(struct weft_flight *flight);

/* How it is. Returns 0, -EPERM. */
WEFT_API int weft_flight_snapshot(struct weft_flight *flight,
                                  struct weft_flight_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
