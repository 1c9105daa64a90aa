/* SPDX-License-Identifier: MIT
 * bulkhead.c - see weft/bulkhead.h.
 *
 * How many are inside is one number, and how many may be another: a resize changes the second and
 * leaves the first alone, so whoever is inside leaves the same count it has entered. Invariant,
 * while the guard is not held: somebody waits only while there is no place. */
#include <base/time.h>
#include <flow/pattern.h>
#include <runtime/worker.h>

#include <weft/bulkhead.h>

#include <stdlib.h>

#define CALLS_DEFAULT   100u
#define QUEUE_DEFAULT   1000u
#define TIMEOUT_DEFAULT (30 * WEFT_SEC)

struct weft_bulkhead {
    struct weft_guard guard;
    uint32_t calls_max, queue_max;
    uint32_t active, peak, waiting;
    uint64_t granted, waits, timed_out, refused;
    int64_t timeout_ns;
    struct weft_link queue;
    void (*on_event)(void *arg, const struct weft_bulkhead_event *event);
    void *on_event_arg;
    char name[WEFT_NAME_MAX + 1];
};

int weft_bulkhead_open(struct weft_bulkhead **ret_bulkhead,
                       const struct weft_bulkhead_options *options)
{
    static const struct weft_bulkhead_options defaults;
    if (!options)
        options = &defaults;
    if (options->timeout_ns < 0)
        return -EINVAL;
    struct weft_bulkhead *bulkhead = malloc(sizeof *bulkhead);
    if (!bulkhead)
        return -ENOMEM;
    *bulkhead = (struct weft_bulkhead){
        .calls_max = options->calls_max ? options->calls_max : CALLS_DEFAULT,
        .queue_max = options->queue_max ? options->queue_max : QUEUE_DEFAULT,
        .timeout_ns = options->timeout_ns ? options->timeout_ns : TIMEOUT_DEFAULT,
        .on_event = options->on_event,
        .on_event_arg = options->on_event_arg,
    };
    if (options->queue_max == WEFT_BULKHEAD_NO_QUEUE)
        bulkhead->queue_max = 0;
    weft_list_init(&bulkhead->queue);
    int err = weft_pattern_name(bulkhead->name, options->name, "bulkhead");
    if (err == 0)
        err = weft_guard_init(&bulkhead->guard, options->sharing);
    if (err < 0) {
        free(bulkhead);
        return err;
    }
    *ret_bulkhead = bulkhead;
    return 0;
}

void weft_bulkhead_close(struct weft_bulkhead *bulkhead)
{
    free(bulkhead);
}

/* ---- telling ------------------------------------------------------------------------------ */

/* Under the guard, which is left. */
static void leave_and_tell(struct weft_bulkhead *bulkhead, enum weft_bulkhead_event_kind kind,
                           int err)
{
    struct weft_bulkhead_event event = {
        .kind = kind,
        .name = bulkhead->name,
        .err = err,
        .calls_max = bulkhead->calls_max,
        .active = bulkhead->active,
        .waiting = bulkhead->waiting,
    };
    weft_guard_leave(&bulkhead->guard);
    if (!bulkhead->on_event)
        return;
    event.at_ns = weft_now();
    bulkhead->on_event(bulkhead->on_event_arg, &event);
}

/* Under the guard, which is left. Returns err */
static int refuse(struct weft_bulkhead *bulkhead, int err)
{
    if (err == -ETIMEDOUT)
        bulkhead->timed_out++;
    else
        bulkhead->refused++;
    leave_and_tell(bulkhead, WEFT_BULKHEAD_REFUSED, err);
    return err;
}

/* ---- in and out --------------------------------------------------------------------------- */

static inline void let_in(struct weft_bulkhead *bulkhead)
{
    bulkhead->granted++;
    if (++bulkhead->active > bulkhead->peak)
        bulkhead->peak = bulkhead->active;
}

/* Under the guard: let in whom there is a place for. They are to be woken after it. */
static void serve(struct weft_bulkhead *bulkhead, struct weft_link *served)
{
    struct weft_waiter *first;
    weft_list_init(served);
    while (bulkhead->active < bulkhead->calls_max && (first = weft_claim_first(&bulkhead->queue))) {
        bulkhead->waiting--;
        bulkhead->waits++;
        let_in(bulkhead);
        weft_list_append(served, &first->link);
    }
}

/* Apart, so that whoever finds a place sets nothing up for waiting. The guard is left. */
__attribute__((noinline)) static int acquire_later(struct weft_bulkhead *bulkhead,
                                                   struct weft_fiber *self, int64_t deadline_ns)
{
    struct weft_waiter waiter = {.count = 1};
    if (deadline_ns == WEFT_NOWAIT)
        return refuse(bulkhead, -EAGAIN);
    if (bulkhead->waiting >= bulkhead->queue_max)
        return refuse(bulkhead, WEFT_EFULL);
    if (bulkhead->timeout_ns != WEFT_FOREVER) {
        int64_t until_ns = weft_time_after(weft_now(), bulkhead->timeout_ns);
        deadline_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
    }
    bulkhead->waiting++;
    self->waits_for = "a place in a bulkhead";
    int err = weft_park_served(self, &bulkhead->guard, &bulkhead->queue, &waiter, deadline_ns,
                               WEFT_PARK_CANCELLABLE);
    if (err == 0)
        return 0;
    weft_guard_enter(&bulkhead->guard);
    bulkhead->waiting--;
    if (err == -ETIMEDOUT)
        return refuse(bulkhead, err);
    weft_guard_leave(&bulkhead->guard);
    return err;
}

int weft_bulkhead_acquire(struct weft_bulkhead *bulkhead, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_permit(&bulkhead->guard);
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns); /* before, not while inside */
    weft_guard_enter(&bulkhead->guard);
    if (bulkhead->active >= bulkhead->calls_max)
        return acquire_later(bulkhead, self, deadline_ns);
    let_in(bulkhead);
    weft_guard_leave(&bulkhead->guard);
    return 0;
}

int weft_bulkhead_release(struct weft_bulkhead *bulkhead)
{
    struct weft_link served;
    int err = weft_guard_admit(&bulkhead->guard);
    if (err < 0)
        return err;
    if (bulkhead->active == 0) {
        weft_guard_leave(&bulkhead->guard);
        return -EINVAL;
    }
    bulkhead->active--;
    if (weft_list_empty(&bulkhead->queue)) {
        weft_guard_leave(&bulkhead->guard);
        return 0;
    }
    serve(bulkhead, &served);
    weft_guard_leave(&bulkhead->guard);
    weft_wake_claimed(&served, 0);
    return 0;
}

int weft_bulkhead_call(struct weft_bulkhead *bulkhead, int (*fn)(void *), void *arg,
                       int64_t deadline_ns)
{
    int result = weft_bulkhead_acquire(bulkhead, deadline_ns);
    if (result < 0)
        return result;
    result = fn(arg);
    (void)weft_bulkhead_release(bulkhead);
    return result;
}

int weft_bulkhead_resize(struct weft_bulkhead *bulkhead, uint32_t calls_max)
{
    struct weft_link served;
    if (calls_max == 0)
        return -EINVAL;
    int err = weft_guard_admit(&bulkhead->guard);
    if (err < 0)
        return err;
    bulkhead->calls_max = calls_max;
    serve(bulkhead, &served);
    leave_and_tell(bulkhead, WEFT_BULKHEAD_RESIZED, 0);
    weft_wake_claimed(&served, 0);
    return 0;
}

int weft_bulkhead_snapshot(struct weft_bulkhead *bulkhead,
                           struct weft_bulkhead_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&bulkhead->guard);
    if (err < 0)
        return err;
    *ret_snapshot = (struct weft_bulkhead_snapshot){
        .calls_max = bulkhead->calls_max,
        .active = bulkhead->active,
        .peak = bulkhead->peak,
        .waiting = bulkhead->waiting,
        .granted = bulkhead->granted,
        .waits = bulkhead->waits,
        .timed_out = bulkhead->timed_out,
        .refused = bulkhead->refused,
    };
    weft_guard_leave(&bulkhead->guard);
    return 0;
}
