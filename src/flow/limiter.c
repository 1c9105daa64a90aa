/* SPDX-License-Identifier: MIT
 * limiter.c - see weft/limiter.h. The arithmetic is in limiter_core.c, the waiting in
 * limiter_queue.c. */
#include <flow/limiter_queue.h>

#include <base/time.h>

#include <stdlib.h>

/* When nothing had been given yet. Not the time of opening: outside a runtime that may be another
 * clock than that of those who will ask. */
#define START_NS 0

int weft_limiter_open(struct weft_limiter **ret_limiter, const struct weft_limiter_options *options)
{
    static const struct weft_limiter_options defaults;
    if (!options)
        options = &defaults;
    struct weft_limiter *limiter = malloc(sizeof *limiter);
    if (!limiter)
        return -ENOMEM;
    int err = weft_gate_init(&limiter->gate, options, "limiter");
    limiter->adaptive = options->adaptive.max != 0;
    if (err == 0 && limiter->adaptive)
        err = weft_aimd_init(&limiter->aimd, &options->adaptive, &limiter->gate.rule, START_NS);
    if (err == 0) {
        uint32_t capacity = limiter->gate.rule.slots;
        if (capacity > 0 && limiter->adaptive)
            capacity = (uint32_t)limiter->aimd.options.max;
        weft_lane_init(&limiter->lane);
        err = weft_limit_start(&limiter->lane.state, &limiter->gate.rule, capacity, START_NS);
    }
    if (err < 0) {
        free(limiter);
        return err;
    }
    *ret_limiter = limiter;
    return 0;
}

void weft_limiter_close(struct weft_limiter *limiter)
{
    if (!limiter)
        return;
    weft_limit_stop(&limiter->lane.state, &limiter->gate.rule);
    free(limiter);
}

/* ---- taking permits ----------------------------------------------------------------------- */

/* Apart, so that whoever need not wait sets nothing up for it. */
__attribute__((noinline)) static int acquire_later(struct weft_limiter *limiter,
                                                   struct weft_fiber *self, uint32_t count,
                                                   int64_t deadline_ns, int64_t now_ns)
{
    const struct weft_limiter_wish wish = {
        .count = count, .deadline_ns = deadline_ns, .now_ns = now_ns};
    return weft_lane_wait(&limiter->gate, &limiter->lane, self, &wish);
}

int weft_limiter_acquire(struct weft_limiter *limiter, uint32_t count, int64_t deadline_ns)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = count == 0 ? -EINVAL : weft_guard_permit(&gate->guard);
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns); /* before, not while holding fresh permits */
    int64_t now_ns = weft_now();
    weft_guard_enter(&gate->guard);
    if (!weft_lane_take(gate, &limiter->lane, count, now_ns))
        return acquire_later(limiter, self, count, deadline_ns, now_ns);
    weft_guard_leave(&gate->guard);
    return 0;
}

int weft_limiter_try(struct weft_limiter *limiter, uint32_t count)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    int err = count == 0 ? -EINVAL : weft_guard_permit(&gate->guard);
    if (err < 0)
        return err;
    int64_t now_ns = weft_now();
    weft_guard_enter(&gate->guard);
    if (!weft_lane_take(gate, &limiter->lane, count, now_ns))
        return acquire_later(limiter, NULL, count, WEFT_NOWAIT, now_ns);
    weft_guard_leave(&gate->guard);
    return 0;
}

/* ---- on credit ---------------------------------------------------------------------------- */

int weft_limiter_reserve(struct weft_limiter *limiter, uint32_t count, int64_t max_wait_ns,
                         struct weft_reservation *ret_reservation)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    struct weft_limiter_lane *lane = &limiter->lane;
    int err = count == 0 || max_wait_ns < 0 ? -EINVAL : weft_guard_permit(&gate->guard);
    if (err < 0)
        return err;
    struct weft_limiter_wish wish = {.count = count, .now_ns = weft_now()};
    weft_guard_enter(&gate->guard);
    int64_t at_ns = weft_limit_earliest(&gate->rule, &lane->state, 0, count, wish.now_ns);
    int64_t now_ns = lane->state.latest_ns;
    if (at_ns == WEFT_FOREVER || at_ns - now_ns > max_wait_ns)
        return weft_gate_refuse(gate, &wish, now_ns, WEFT_ELIMIT);
    if (lane->led)
        return weft_gate_refuse(gate, &wish, now_ns, -EAGAIN);
    weft_limit_give(&gate->rule, &lane->state, count, at_ns);
    gate->granted += count;
    *ret_reservation = (struct weft_reservation){
        .at_ns = at_ns, .wait_ns = at_ns - now_ns, .count = count, .epoch = lane->state.epoch};
    weft_guard_leave(&gate->guard);
    return 0;
}

int weft_limiter_cancel_reservation(struct weft_limiter *limiter,
                                    struct weft_reservation *reservation)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    struct weft_limiter_lane *lane = &limiter->lane;
    uint32_t count = reservation->count;
    int err = weft_guard_permit(&gate->guard);
    if (err < 0)
        return err;
    int64_t now_ns = weft_now();
    if (count > 0 && reservation->at_ns <= now_ns)
        return -ESTALE;
    weft_guard_enter(&gate->guard);
    if (count > 0 && reservation->epoch == lane->state.epoch)
        weft_limit_retract(&gate->rule, &lane->state, count, reservation->at_ns, now_ns);
    gate->granted -= count;
    reservation->count = 0;
    weft_lane_changed(gate, lane);
    return 0;
}

/* ---- changing the rate -------------------------------------------------------------------- */

/* Under the guard, which is left. */
static void change_rate(struct weft_limiter *limiter, const struct weft_limit *rule, int64_t now_ns)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    struct weft_limiter_event event = {.kind = WEFT_LIMITER_RATE_CHANGED, .at_ns = now_ns};
    weft_limit_change(&gate->rule, &limiter->lane.state, rule, now_ns);
    gate->rule = *rule;
    event.rate_count = rule->rate.count;
    weft_lane_changed(gate, &limiter->lane);
    weft_gate_tell(gate, &event);
}

int weft_limiter_set(struct weft_limiter *limiter, const struct weft_limiter_rate *rate)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    struct weft_limit rule;
    int64_t *times_ns = NULL;
    int err = weft_guard_permit(&gate->guard);
    if (err == 0)
        err = weft_limit_init(&rule, gate->kind, rate);
    if (err == 0 && limiter->adaptive &&
        !(rule.rate.count >= limiter->aimd.options.min &&
          rule.rate.count <= limiter->aimd.options.max))
        err = -EINVAL;
    if (err < 0)
        return err;
    if (rule.slots > 0) { /* not under the guard: it may be large */
        times_ns = malloc(rule.slots * sizeof *times_ns);
        if (!times_ns)
            return -ENOMEM;
    }
    int64_t now_ns = weft_now();
    weft_guard_enter(&gate->guard);
    if (rule.slots > 0 && rule.slots > limiter->lane.state.of.log.capacity)
        times_ns = weft_limit_grow(&limiter->lane.state, times_ns, rule.slots);
    limiter->aimd.count = rule.rate.count;
    change_rate(limiter, &rule, now_ns);
    free(times_ns);
    return 0;
}

int weft_limiter_feedback(struct weft_limiter *limiter, enum weft_limiter_outcome outcome,
                          int64_t latency_ns)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    struct weft_limit rule;
    int err = weft_guard_permit(&gate->guard);
    if (err == 0 && (!limiter->adaptive || latency_ns < 0 ||
                     (outcome != WEFT_LIMITER_SUCCESS && outcome != WEFT_LIMITER_OVERLOAD)))
        err = -EINVAL;
    if (err < 0)
        return err;
    int64_t now_ns = weft_now();
    weft_guard_enter(&gate->guard);
    bool changed = weft_aimd_hear(&limiter->aimd, outcome, latency_ns, now_ns);
    if (changed) {
        struct weft_limiter_rate rate = gate->rule.rate;
        rate.count = limiter->aimd.count;
        changed = weft_limit_init(&rule, gate->rule.kind, &rate) == 0;
    }
    if (changed)
        change_rate(limiter, &rule, now_ns);
    else
        weft_guard_leave(&gate->guard);
    return changed;
}

int64_t weft_limiter_drain(struct weft_limiter *limiter)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    int err = weft_guard_permit(&gate->guard);
    if (err < 0)
        return err;
    int64_t now_ns = weft_now();
    weft_guard_enter(&gate->guard);
    int64_t drained = weft_limit_drain(&gate->rule, &limiter->lane.state, now_ns);
    weft_lane_changed(gate, &limiter->lane); /* perhaps it is hopeless now */
    return drained;
}

int weft_limiter_snapshot(struct weft_limiter *limiter, struct weft_limiter_snapshot *ret_snapshot)
{
    struct weft_limiter_gate *gate = &limiter->gate;
    int err = weft_guard_permit(&gate->guard);
    if (err < 0)
        return err;
    int64_t now_ns = weft_now();
    weft_guard_enter(&gate->guard);
    *ret_snapshot = (struct weft_limiter_snapshot){
        .rate = gate->rule.rate,
        .available = weft_limit_available(&gate->rule, &limiter->lane.state, now_ns),
        .waiting = gate->waiting,
        .granted = gate->granted,
        .refused = gate->refused,
        .timed_out = gate->timed_out,
        .waits = gate->waits,
        .waited_ns = gate->waited_ns,
        .waited_max_ns = gate->waited_max_ns,
    };
    if (gate->rule.kind <= WEFT_LIMITER_GCRA)
        ret_snapshot->rate.burst = (uint32_t)gate->rule.burst;
    weft_guard_leave(&gate->guard);
    return 0;
}
