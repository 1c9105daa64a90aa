/* SPDX-License-Identifier: MIT
 * flight.c - see weft/flight.h.
 *
 * Every call has its struct on its own stack, so nothing is allocated: a leader is in reach for as
 * long as it runs its function, a follower for as long as it waits. Taking over moves the place in
 * the table, and everybody who waits there, from the old leader's struct to the new one's.
 * Invariant, while the guard is not held: who waits is in the list of a leader that runs or has
 * been woken to. */
#include <base/siphash.h>
#include <flow/pattern.h>
#include <runtime/worker.h>

#include <weft/flight.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_DEFAULT    1024u
#define KEYS_MAX        1048576u
#define WAITERS_DEFAULT 65536u
#define BUCKETS_MAX     65536u

/* What a follower is woken with. */
enum {
    SERVED = 1,
    LEAD,
};

struct call {
    struct weft_link link;      /* a leader: in its bucket, alone once it is forgotten */
    struct weft_waiter waiter;  /* a follower: in its leader's list */
    struct weft_link followers; /* a leader: the waiters of those */
    struct weft_fiber *fiber;
    const void *key;
    size_t key_bytes;
    uint64_t hash;
    void *ret;
    size_t ret_bytes;
    int result; /* a follower's: written by who serves it */
};

struct weft_flight {
    struct weft_guard guard;
    struct weft_flight_options options;
    struct weft_flight_snapshot counts;
    char name[WEFT_NAME_MAX + 1];
    uint64_t secret[2];   /* of the hash */
    unsigned buckets_len; /* a power of two */
    struct weft_link *buckets;
};

/* ---- opening and closing --------------------------------------------------------------- */

static int make_buckets(struct weft_flight *flight)
{
    unsigned len = 1;
    while (len < flight->options.keys_max && len < BUCKETS_MAX)
        len *= 2;
    flight->buckets = calloc(len, sizeof *flight->buckets);
    if (!flight->buckets)
        return -ENOMEM;
    flight->buckets_len = len;
    for (unsigned i = 0; i < len; i++)
        weft_list_init(&flight->buckets[i]);
    return 0;
}

int weft_flight_open(struct weft_flight **ret_flight, const struct weft_flight_options *options)
{
    struct weft_flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return -ENOMEM;
    if (options)
        flight->options = *options;
    if (!flight->options.keys_max)
        flight->options.keys_max = KEYS_DEFAULT;
    if (!flight->options.waiters_max)
        flight->options.waiters_max = WAITERS_DEFAULT;
    int err = flight->options.keys_max > KEYS_MAX ? -EINVAL : 0;
    if (err == 0)
        err = weft_pattern_name(flight->name, flight->options.name, "flight");
    if (err == 0)
        err = weft_guard_init(&flight->guard, flight->options.sharing);
    if (err == 0)
        err = make_buckets(flight);
    if (err < 0) {
        weft_flight_close(flight);
        return err;
    }
    weft_pattern_secret(flight->secret, 0);
    *ret_flight = flight;
    return 0;
}

void weft_flight_close(struct weft_flight *flight)
{
    if (!flight)
        return;
    free(flight->buckets);
    free(flight);
}

/* ---- under the guard ------------------------------------------------------------------- */

static struct weft_link *bucket_of(struct weft_flight *flight, uint64_t hash)
{
    return &flight->buckets[hash & (flight->buckets_len - 1)];
}

static struct call *find(struct weft_flight *flight, const void *key, size_t key_bytes,
                         uint64_t hash)
{
    struct weft_link *bucket = bucket_of(flight, hash);
    WEFT_LIST_FOR_EACH (link, bucket) {
        struct call *call = weft_container_of(link, struct call, link);
        if (call->hash == hash && call->key_bytes == key_bytes &&
            memcmp(call->key, key, key_bytes) == 0)
            return call;
    }
    return NULL;
}

static struct call *call_of(struct weft_waiter *waiter)
{
    return weft_container_of(waiter, struct call, waiter);
}

/* Move all of a list to an empty one. */
static void move_all(struct weft_link *from, struct weft_link *to)
{
    if (weft_list_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    weft_list_init(from);
}

/* The follower who has waited longest is the leader now; NULL: nobody waits. */
static struct call *take_over(struct weft_flight *flight, struct call *leader)
{
    struct weft_waiter *waiter = weft_claim_first(&leader->followers);
    if (!waiter)
        return NULL;
    struct call *heir = call_of(waiter);
    bool forgotten = weft_list_empty(&leader->link);
    move_all(&leader->followers, &heir->followers);
    weft_list_unlink(&leader->link);
    if (!forgotten)
        weft_list_append(bucket_of(flight, heir->hash), &heir->link);
    flight->counts.waiters--;
    flight->counts.executed++;
    flight->counts.taken_over++;
    return heir;
}

/* The leader is done: nobody finds it any more, and who follows is claimed. Returns how many. */
static unsigned land(struct weft_flight *flight, struct call *leader, struct weft_link *claimed)
{
    unsigned followers = 0;
    struct weft_waiter *waiter;
    weft_list_unlink(&leader->link);
    while ((waiter = weft_claim_first(&leader->followers))) {
        weft_list_append(claimed, &waiter->link);
        followers++;
    }
    flight->counts.keys--;
    flight->counts.waiters -= followers;
    flight->counts.shared += followers;
    return followers;
}

/* ---- the leader ------------------------------------------------------------------------ */

/* Not under the guard. Who is claimed waits until it is woken, and so does the room for its copy.
 */
static void serve(const struct call *leader, struct weft_link *claimed, int result)
{
    while (!weft_list_empty(claimed)) {
        struct weft_waiter *waiter = weft_waiter_of(claimed->next);
        struct call *follower = call_of(waiter);
        weft_list_unlink(&waiter->link);
        follower->result = result;
        if (result > 0 && (size_t)result > follower->ret_bytes)
            follower->result = -ENOBUFS;
        else if (result > 0)
            memcpy(follower->ret, leader->ret, (size_t)result);
        weft_wake(waiter->fiber, SERVED);
    }
}

static void tell(struct weft_flight *flight, const struct call *call,
                 enum weft_flight_event_kind kind, unsigned followers, int result)
{
    const struct weft_flight_options *options = &flight->options;
    if (!options->on_event)
        return;
    const struct weft_flight_event event = {
        .kind = kind,
        .name = flight->name,
        .at_ns = weft_now(),
        .key = call->key,
        .key_bytes = call->key_bytes,
        .followers = followers,
        .result = result,
    };
    options->on_event(options->on_event_arg, &event);
}

/* Hand on what fn came to, or the work itself when it was not done. */
static void end(struct weft_flight *flight, struct call *leader, int result)
{
    struct weft_link claimed;
    struct call *heir = NULL;
    unsigned followers = 0;
    weft_list_init(&claimed);
    weft_guard_enter(&flight->guard);
    if (result == -ECANCELED)
        heir = take_over(flight, leader);
    if (!heir)
        followers = land(flight, leader, &claimed);
    weft_guard_leave(&flight->guard);
    if (heir)
        weft_wake(heir->fiber, LEAD);
    else
        serve(leader, &claimed, result);
    if (heir || followers > 0)
        tell(flight, leader, heir ? WEFT_FLIGHT_TAKEN_OVER : WEFT_FLIGHT_SHARED, followers, result);
}

/* ---- asking ---------------------------------------------------------------------------- */

static int refuse(struct weft_flight *flight, int err)
{
    flight->counts.refused += err == WEFT_EFULL;
    weft_guard_leave(&flight->guard);
    return err;
}

/* Under the guard, which is left. Returns SERVED, LEAD or an error. */
static int follow(struct weft_flight *flight, struct call *leader, struct call *call,
                  int64_t deadline_ns)
{
    if (leader->fiber == call->fiber)
        return refuse(flight, -EDEADLK);
    if (deadline_ns == WEFT_NOWAIT)
        return refuse(flight, -EAGAIN);
    if (flight->counts.waiters >= flight->options.waiters_max)
        return refuse(flight, WEFT_EFULL);
    flight->counts.waiters++;
    int turn = weft_wait_turn(call->fiber, &flight->guard, &leader->followers, &call->waiter,
                              deadline_ns, "another's result for the same key");
    if (turn < 0) {
        weft_guard_enter(&flight->guard);
        flight->counts.waiters--;
        flight->counts.gave_up++;
        weft_guard_leave(&flight->guard);
    }
    return turn;
}

/* Likewise. */
static int join(struct weft_flight *flight, struct call *call, int64_t deadline_ns)
{
    struct call *leader = find(flight, call->key, call->key_bytes, call->hash);
    if (leader)
        return follow(flight, leader, call, deadline_ns);
    if (flight->counts.keys >= flight->options.keys_max)
        return refuse(flight, WEFT_EFULL);
    weft_list_append(bucket_of(flight, call->hash), &call->link);
    flight->counts.keys++;
    flight->counts.executed++;
    weft_guard_leave(&flight->guard);
    return LEAD;
}

int weft_flight_do(struct weft_flight *flight, const void *key, size_t key_bytes,
                   int (*fn)(void *arg, void *ret, size_t ret_bytes), void *arg, void *ret,
                   size_t ret_bytes, int64_t deadline_ns)
{
    struct weft_fiber *self;
    if (!key || key_bytes == 0)
        return -EINVAL;
    int turn = weft_enter_anywhere(&self);
    if (turn < 0)
        return turn;
    weft_spend(self, deadline_ns); /* before, not while others wait for fn */
    struct call call = {.fiber = self,
                        .key = key,
                        .key_bytes = key_bytes,
                        .hash = weft_siphash(flight->secret, key, key_bytes),
                        .ret = ret,
                        .ret_bytes = ret_bytes};
    weft_list_init(&call.link);
    weft_list_init(&call.followers);
    turn = weft_guard_admit(&flight->guard);
    if (turn == 0)
        turn = join(flight, &call, deadline_ns);
    if (turn != LEAD)
        return turn == SERVED ? call.result : turn;
    int result = fn(arg, ret, ret_bytes);
    if (result > 0 && (size_t)result > ret_bytes)
        result = -EOVERFLOW;
    end(flight, &call, result);
    return result;
}

/* ---- forgetting and looking ------------------------------------------------------------ */

int weft_flight_forget(struct weft_flight *flight, const void *key, size_t key_bytes)
{
    uint64_t hash = weft_siphash(flight->secret, key, key_bytes);
    int err = weft_guard_admit(&flight->guard);
    if (err < 0)
        return err;
    struct call *leader = find(flight, key, key_bytes, hash);
    if (leader)
        weft_list_unlink(&leader->link);
    weft_guard_leave(&flight->guard);
    return leader ? 1 : 0;
}

int weft_flight_forget_all(struct weft_flight *flight)
{
    int forgotten = 0, err = weft_guard_admit(&flight->guard);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < flight->buckets_len; i++)
        for (; !weft_list_empty(&flight->buckets[i]); forgotten++)
            weft_list_unlink(flight->buckets[i].next);
    weft_guard_leave(&flight->guard);
    return forgotten;
}

int weft_flight_snapshot(struct weft_flight *flight, struct weft_flight_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&flight->guard);
    if (err < 0)
        return err;
    *ret_snapshot = flight->counts;
    weft_guard_leave(&flight->guard);
    return 0;
}
