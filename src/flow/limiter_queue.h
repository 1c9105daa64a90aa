/* SPDX-License-Identifier: MIT
 * limiter_queue.h - how callers wait for permits: what limiters with and without keys share.
 *
 * A gate is the part there is once: the guard, the rule, the counters. A lane is what there is per
 * key: a state, and those who wait for its permits.
 *
 * Of those in a lane one leads: it sleeps until the time for which the core promises its permits.
 * The others, its followers, sleep until their deadlines. When the leader leaves, served or not, it
 * serves the followers that can be served at once and makes the next one the leader. Invariant,
 * while the guard is not held: somebody leads, or on the way to it has been woken, whenever there
 * are followers; and only who leads is given permits. */
#ifndef WEFT_FLOW_LIMITER_QUEUE_H
#define WEFT_FLOW_LIMITER_QUEUE_H

#include <flow/limiter_core.h>
#include <runtime/worker.h>

struct weft_limiter_gate {
    struct weft_guard guard;
    uint32_t waiting, waiters_max; /* in all lanes */
    struct weft_limit rule;
    enum weft_limiter_kind kind; /* the rule's, for who is not under the guard */
    uint64_t granted, refused, timed_out, waits;
    int64_t waited_ns, waited_max_ns;
    void (*on_event)(void *arg, const struct weft_limiter_event *event);
    void *on_event_arg;
    char name[WEFT_NAME_MAX + 1];
};

struct weft_limiter_lane {
    struct weft_limit_state state;
    bool led;
    uint32_t waiting;        /* with the leader */
    uint64_t wanted;         /* permits, by all of them */
    struct weft_link leader; /* while it sleeps */
    struct weft_link followers;
};

/* One call. */
struct weft_limiter_wish {
    uint32_t count;
    int64_t deadline_ns, now_ns; /* now_ns: when it came */
    const void *key;
    size_t key_bytes;
};

/* Everything but the state of lanes. Returns 0, -EINVAL, -EPERM. */
int weft_gate_init(struct weft_limiter_gate *gate, const struct weft_limiter_options *options,
                   const char *kind);

/* A lane without anyone in it; its state is for the caller to start. */
void weft_lane_init(struct weft_limiter_lane *lane);

/* Wait for permits that could not be had at once. The guard is entered before, and left here. */
int weft_lane_wait(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane,
                   struct weft_fiber *self, const struct weft_limiter_wish *wish);

/* What is there has changed otherwise than by time: have the leader reckon anew. Leaves the guard.
 */
void weft_lane_changed(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane);

/* Count a call that got nothing and tell of it. The guard is entered before, and left here.
 * Returns err */
int weft_gate_refuse(struct weft_limiter_gate *gate, const struct weft_limiter_wish *wish,
                     int64_t now_ns, int err);

/* Not under the guard. */
void weft_gate_tell(const struct weft_limiter_gate *gate, const struct weft_limiter_event *event);

/* Give permits that are there, when nobody waits for them. */
static inline bool weft_lane_take(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane,
                                  uint32_t count, int64_t now_ns)
{
    if (lane->led || !weft_limit_take(&gate->rule, &lane->state, count, now_ns))
        return false;
    gate->granted += count;
    return true;
}

struct weft_limiter {
    struct weft_limiter_gate gate;
    struct weft_limiter_lane lane;
    struct weft_aimd aimd;
    bool adaptive;
};

#endif
