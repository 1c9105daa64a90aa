/* SPDX-License-Identifier: MIT
 * limiter_queue.c - see limiter_queue.h. */
#include <flow/limiter_queue.h>

#include <base/time.h>
#include <flow/pattern.h>

#define WAITERS_DEFAULT 10000u

/* What a sleeper in a lane is woken with. */
#define SERVED 0
#define LOOK   1 /* a follower: lead from now on; the leader: reckon anew */

struct sleeper {
    struct weft_waiter waiter;
    const struct weft_limiter_wish *wish;
    int64_t served_ns; /* set by who serves it */
};

int weft_gate_init(struct weft_limiter_gate *gate, const struct weft_limiter_options *options,
                   const char *kind)
{
    struct weft_limiter_rate rate = options->rate;
    if (rate.count == 0 && options->adaptive.max > 0)
        rate.count = options->adaptive.max;
    *gate = (struct weft_limiter_gate){
        .waiters_max = options->waiters_max ? options->waiters_max : WAITERS_DEFAULT,
        .on_event = options->on_event,
        .on_event_arg = options->on_event_arg,
    };
    gate->kind = options->kind;
    int err = weft_pattern_name(gate->name, options->name, kind);
    if (err == 0)
        err = weft_limit_init(&gate->rule, options->kind, &rate);
    if (err == 0)
        err = weft_guard_init(&gate->guard, options->sharing);
    return err;
}

void weft_lane_init(struct weft_limiter_lane *lane)
{
    *lane = (struct weft_limiter_lane){.led = false};
    weft_list_init(&lane->leader);
    weft_list_init(&lane->followers);
}

/* ---- what is counted and told ------------------------------------------------------------- */

void weft_gate_tell(const struct weft_limiter_gate *gate, const struct weft_limiter_event *event)
{
    struct weft_limiter_event named = *event;
    named.name = gate->name;
    if (gate->on_event)
        gate->on_event(gate->on_event_arg, &named);
}

static void tell(const struct weft_limiter_gate *gate, const struct weft_limiter_wish *wish,
                 int64_t now_ns, int err)
{
    if (!gate->on_event || err == -ECANCELED)
        return;
    weft_gate_tell(gate, &(const struct weft_limiter_event){
                             .kind = err < 0 ? WEFT_LIMITER_REFUSED : WEFT_LIMITER_WAITED,
                             .at_ns = now_ns,
                             .waited_ns = now_ns - wish->now_ns,
                             .count = wish->count,
                             .err = err,
                             .key = wish->key,
                             .key_bytes = wish->key_bytes,
                         });
}

static void count_refusal(struct weft_limiter_gate *gate, int err)
{
    if (err == -ETIMEDOUT)
        gate->timed_out++;
    else if (err != -ECANCELED)
        gate->refused++;
}

int weft_gate_refuse(struct weft_limiter_gate *gate, const struct weft_limiter_wish *wish,
                     int64_t now_ns, int err)
{
    count_refusal(gate, err);
    weft_guard_leave(&gate->guard);
    tell(gate, wish, now_ns, err);
    return err;
}

static void count_served(struct weft_limiter_gate *gate, const struct weft_limiter_wish *wish,
                         int64_t now_ns)
{
    int64_t waited_ns = now_ns - wish->now_ns;
    gate->granted += wish->count;
    gate->waits++;
    gate->waited_ns = weft_time_after(gate->waited_ns, waited_ns);
    if (waited_ns > gate->waited_max_ns)
        gate->waited_max_ns = waited_ns;
}

/* ---- coming and going --------------------------------------------------------------------- */

static void join(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane, uint32_t count)
{
    gate->waiting++;
    lane->waiting++;
    lane->wanted += count;
}

static void part(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane, uint32_t count)
{
    gate->waiting--;
    lane->waiting--;
    lane->wanted -= count;
}

/* Why a wish cannot be met in time, 0 when it may be. */
static int hopeless(const struct weft_limiter_wish *wish, int64_t at_ns, int64_t now_ns)
{
    if (at_ns == WEFT_FOREVER)
        return WEFT_ELIMIT;
    if (at_ns <= wish->deadline_ns)
        return 0;
    return now_ns >= wish->deadline_ns ? -ETIMEDOUT : WEFT_ELIMIT;
}

static struct sleeper *sleeper_of(struct weft_waiter *waiter)
{
    return weft_container_of(waiter, struct sleeper, waiter);
}

static bool there_are(const struct weft_limiter_gate *gate, struct weft_limiter_lane *lane,
                      uint32_t count, int64_t now_ns)
{
    int64_t at_ns = weft_limit_earliest(&gate->rule, &lane->state, 0, count, now_ns);
    return at_ns <= lane->state.latest_ns;
}

/* The leader leaves: serve whom that lets through, have the next one lead, leave the guard. */
static void hand_on(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane, int64_t now_ns)
{
    struct weft_link served;
    struct weft_waiter *first;
    weft_list_init(&served);
    while ((first = weft_first_waiting(&lane->followers)) &&
           there_are(gate, lane, first->count, now_ns)) {
        if (!weft_claim_waiter(first))
            continue;
        weft_limit_give(&gate->rule, &lane->state, first->count, lane->state.latest_ns);
        part(gate, lane, first->count);
        count_served(gate, sleeper_of(first)->wish, now_ns);
        sleeper_of(first)->served_ns = now_ns;
        weft_list_append(&served, &first->link);
    }
    first = weft_claim_first(&lane->followers);
    lane->led = first;
    weft_guard_leave(&gate->guard);
    weft_wake_claimed(&served, SERVED);
    if (first)
        weft_wake(first->fiber, LOOK);
}

void weft_lane_changed(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane)
{
    struct weft_waiter *leader = weft_claim_first(&lane->leader);
    weft_guard_leave(&gate->guard);
    if (leader)
        weft_wake(leader->fiber, LOOK);
}

/* Under the guard, which is left. Returns 0 or why not. */
static int lead(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane,
                struct weft_fiber *self, struct sleeper *sleeper)
{
    const struct weft_limiter_wish *wish = sleeper->wish;
    int64_t now_ns = weft_now();
    int err = LOOK;
    while (err == LOOK) {
        int64_t at_ns = weft_limit_earliest(&gate->rule, &lane->state, 0, wish->count, now_ns);
        if (at_ns <= lane->state.latest_ns) {
            err = SERVED;
            break;
        }
        err = hopeless(wish, at_ns, now_ns);
        if (err < 0)
            break;
        self->waits_for = "permits of a limiter";
        err = weft_park_served(self, &gate->guard, &lane->leader, &sleeper->waiter, at_ns,
                               WEFT_PARK_CANCELLABLE);
        weft_guard_enter(&gate->guard);
        now_ns = weft_now();
        if (err == -ETIMEDOUT)
            err = LOOK; /* that was not the deadline, but the time to be served */
    }
    part(gate, lane, wish->count);
    if (err == SERVED) {
        weft_limit_give(&gate->rule, &lane->state, wish->count, lane->state.latest_ns);
        count_served(gate, wish, now_ns);
    } else {
        count_refusal(gate, err);
    }
    hand_on(gate, lane, now_ns);
    tell(gate, wish, now_ns, err);
    return err;
}

int weft_lane_wait(struct weft_limiter_gate *gate, struct weft_limiter_lane *lane,
                   struct weft_fiber *self, const struct weft_limiter_wish *wish)
{
    int64_t at_ns =
        weft_limit_earliest(&gate->rule, &lane->state, lane->wanted, wish->count, wish->now_ns);
    struct sleeper sleeper = {.waiter.count = wish->count, .wish = wish};
    int err = at_ns == WEFT_FOREVER                ? WEFT_ELIMIT
              : wish->deadline_ns == WEFT_NOWAIT   ? -EAGAIN
              : gate->waiting >= gate->waiters_max ? WEFT_EFULL
                                                   : hopeless(wish, at_ns, wish->now_ns);
    if (err < 0)
        return weft_gate_refuse(gate, wish, wish->now_ns, err);
    join(gate, lane, wish->count);
    if (!lane->led) {
        lane->led = true;
        return lead(gate, lane, self, &sleeper);
    }
    self->waits_for = "its turn at a limiter";
    err = weft_park_served(self, &gate->guard, &lane->followers, &sleeper.waiter, wish->deadline_ns,
                           WEFT_PARK_CANCELLABLE);
    if (err == SERVED) {
        tell(gate, wish, sleeper.served_ns, 0);
        return 0;
    }
    weft_guard_enter(&gate->guard);
    if (err == LOOK)
        return lead(gate, lane, self, &sleeper);
    part(gate, lane, wish->count);
    return weft_gate_refuse(gate, wish, gate->on_event ? weft_now() : 0, err);
}
