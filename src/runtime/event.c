/* SPDX-License-Identifier: MIT
 * event.c - see weft/sync.h. */
#include <runtime/case.h>

#include <weft/sync.h>

int weft_event_init(struct weft_event *event, enum weft_sharing sharing)
{
    *event = (struct weft_event){0};
    weft_list_init(&event->waiting);
    return weft_guard_init(&event->guard, sharing);
}

int weft_event_set(struct weft_event *event)
{
    struct weft_link claimed;
    int err = weft_guard_admit(&event->guard);
    if (err < 0)
        return err;
    weft_list_init(&claimed);
    event->set = 1;
    weft_claim_all(&event->waiting, &claimed);
    weft_guard_leave(&event->guard);
    weft_wake_claimed(&claimed, 0);
    return 0;
}

int weft_event_clear(struct weft_event *event)
{
    int err = weft_guard_admit(&event->guard);
    if (err < 0)
        return err;
    event->set = 0;
    weft_guard_leave(&event->guard);
    return 0;
}

int weft_event_is_set(struct weft_event *event)
{
    int err = weft_guard_admit(&event->guard);
    if (err < 0)
        return err;
    int set = event->set;
    weft_guard_leave(&event->guard);
    return set;
}

int weft_event_wait(struct weft_event *event, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&event->guard);
    if (err < 0)
        return err;
    if (!event->set)
        return weft_wait_turn(self, &event->guard, &event->waiting, &waiter, deadline_ns,
                              "an event");
    weft_guard_leave(&event->guard);
    weft_spend(self, deadline_ns);
    return 0;
}

/* ---- in weft_select -------------------------------------------------------------------- */

static int attempt(struct weft_case *c, struct weft_waiter **ret_served)
{
    const struct weft_event *event = c->object;
    (void)ret_served;
    return event->set ? 0 : WEFT_WOULD_WAIT;
}

static bool ready(const struct weft_case *c, const struct weft_fiber *self)
{
    const struct weft_event *event = c->object;
    (void)self;
    return event->set;
}

static struct weft_link *queue(struct weft_case *c)
{
    struct weft_event *event = c->object;
    return &event->waiting;
}

struct weft_case weft_case_event(struct weft_event *event)
{
    static const struct weft_case_ops ops = {.attempt = attempt, .ready = ready, .queue = queue};
    return (struct weft_case){.ops = &ops, .object = event, .guard = &event->guard};
}
