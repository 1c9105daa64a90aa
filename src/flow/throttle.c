/* SPDX-License-Identifier: MIT
 * throttle.c - see weft/throttle.h. One caller has the turn and sleeps until it is time; the others
 * are in a queue behind it. Nobody has a time of its own before that, so one that gives up leaves
 * no gap. */
#include <flow/debounce_internal.h>
#include <flow/pattern.h>
#include <flow/throttle_core.h>
#include <runtime/worker.h>

#include <weft/throttle.h>

#include <errno.h>
#include <stdlib.h>

#define WAITERS_DEFAULT 1024u

struct weft_throttle {
    struct weft_guard guard;
    struct weft_throttle_core core;
    bool taken;                /* somebody has the turn */
    struct weft_link sleeping; /* who has it */
    struct weft_link waiting;  /* for the turn */
    struct weft_throttle_options options;
    struct weft_throttle_snapshot counts;
    struct weft_debounce *trailing; /* NULL in other modes */
    char name[WEFT_NAME_MAX + 1];
};

static void tell(const struct weft_throttle *throttle, enum weft_throttle_event_kind kind,
                 int result)
{
    if (!throttle->options.on_event)
        return;
    const struct weft_throttle_event event = {kind, throttle->name, weft_now(), result};
    throttle->options.on_event(throttle->options.on_event_arg, &event);
}

static void tell_failed(void *arg, const struct weft_debounce_event *event)
{
    tell(arg, WEFT_THROTTLE_FAILED, event->result);
}

/* Give the turn to the next and leave the guard. */
static void pass_on(struct weft_throttle *throttle)
{
    const struct weft_waiter *next = weft_claim_first(&throttle->waiting);
    throttle->taken = next;
    throttle->counts.waiting -= next != NULL;
    weft_guard_leave(&throttle->guard);
    if (next)
        weft_wake(next->fiber, 0);
}

/* Wait for the turn; enter with the guard, which is left. Returns 0: it is ours. */
static int wait_for_turn(struct weft_throttle *throttle, struct weft_fiber *self,
                         int64_t deadline_ns)
{
    struct weft_waiter waiter;
    if (throttle->counts.waiting >= throttle->options.waiters_max) {
        weft_guard_leave(&throttle->guard);
        tell(throttle, WEFT_THROTTLE_SKIPPED, WEFT_EFULL);
        return WEFT_EFULL;
    }
    throttle->counts.waiting++;
    int err = weft_wait_turn(self, &throttle->guard, &throttle->waiting, &waiter, deadline_ns,
                             "a turn at a throttle");
    if (err < 0) {
        weft_guard_enter(&throttle->guard);
        throttle->counts.waiting--;
        weft_guard_leave(&throttle->guard);
    }
    return err;
}

/* With the turn, and the guard, which is left: sleep until it is time, pass, and give the turn on.
 */
static int pass(struct weft_throttle *throttle, struct weft_fiber *self, int64_t deadline_ns)
{
    struct weft_waiter waiter;
    for (;;) {
        int64_t now_ns = weft_now(), next_ns = throttle->core.next_at_ns;
        bool passed = weft_throttle_core_pass(&throttle->core, now_ns);
        bool late = !passed && now_ns >= deadline_ns;
        throttle->counts.passed += passed;
        if (passed || late) {
            pass_on(throttle);
            return passed ? 0 : -ETIMEDOUT;
        }
        int err = weft_wait_turn(self, &throttle->guard, &throttle->sleeping, &waiter,
                                 next_ns < deadline_ns ? next_ns : deadline_ns,
                                 "the interval of a throttle");
        weft_guard_enter(&throttle->guard);
        if (err == -ECANCELED) {
            pass_on(throttle);
            return err;
        }
    }
}

static int wait_and_pass(struct weft_throttle *throttle, struct weft_fiber *self,
                         int64_t deadline_ns)
{
    if (throttle->taken) {
        int err = wait_for_turn(throttle, self, deadline_ns);
        if (err < 0)
            return err;
        weft_guard_enter(&throttle->guard);
    }
    throttle->taken = true;
    return pass(throttle, self, deadline_ns);
}

static int pass_or_skip(struct weft_throttle *throttle)
{
    bool passed = !throttle->taken && weft_throttle_core_pass(&throttle->core, weft_now());
    throttle->counts.passed += passed;
    throttle->counts.skipped += !passed;
    weft_guard_leave(&throttle->guard);
    if (!passed)
        tell(throttle, WEFT_THROTTLE_SKIPPED, -EAGAIN);
    return passed ? 0 : -EAGAIN;
}

int weft_throttle_enter(struct weft_throttle *throttle, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0 && throttle->trailing)
        err = -EINVAL;
    if (err < 0)
        return err;
    weft_spend(self, deadline_ns); /* before the time is taken, not after */
    err = weft_guard_admit(&throttle->guard);
    if (err < 0)
        return err;
    if (throttle->options.mode == WEFT_THROTTLE_SKIP || deadline_ns == WEFT_NOWAIT)
        return pass_or_skip(throttle);
    return wait_and_pass(throttle, self, deadline_ns);
}

int weft_throttle_run(struct weft_throttle *throttle, int (*fn)(void *), void *arg,
                      int64_t deadline_ns)
{
    int err = weft_throttle_enter(throttle, deadline_ns);
    return err < 0 ? err : fn(arg);
}

int weft_throttle_call(struct weft_throttle *throttle, const void *arg)
{
    return throttle->trailing ? weft_debounce_call(throttle->trailing, arg) : -EINVAL;
}

int weft_throttle_snapshot(struct weft_throttle *throttle,
                           struct weft_throttle_snapshot *ret_snapshot)
{
    struct weft_debounce_snapshot trailing = {0};
    int err = weft_guard_permit(&throttle->guard);
    if (err == 0 && throttle->trailing)
        err = weft_debounce_snapshot(throttle->trailing, &trailing);
    if (err < 0)
        return err;
    weft_guard_enter(&throttle->guard);
    *ret_snapshot = throttle->counts;
    ret_snapshot->next_at_ns = throttle->core.next_at_ns;
    weft_guard_leave(&throttle->guard);
    if (throttle->trailing) {
        ret_snapshot->passed = trailing.runs;
        ret_snapshot->skipped = trailing.calls - trailing.runs - (uint64_t)trailing.pending;
        ret_snapshot->failed = trailing.failed;
        ret_snapshot->pending = trailing.pending;
    }
    return 0;
}

static bool valid(const struct weft_throttle_options *options)
{
    return options && options->interval_ns > 0 &&
           (unsigned)options->mode <= WEFT_THROTTLE_TRAILING &&
           (options->mode == WEFT_THROTTLE_TRAILING) == (options->fn != NULL) &&
           (options->fn || options->arg_bytes == 0);
}

int weft_throttle_open(struct weft_throttle **ret_throttle,
                       const struct weft_throttle_options *options)
{
    if (!valid(options))
        return -EINVAL;
    struct weft_throttle *throttle = calloc(1, sizeof *throttle);
    if (!throttle)
        return -ENOMEM;
    throttle->options = *options;
    throttle->options.waiters_max = options->waiters_max ? options->waiters_max : WAITERS_DEFAULT;
    throttle->core.interval_ns = options->interval_ns;
    weft_list_init(&throttle->sleeping);
    weft_list_init(&throttle->waiting);
    int err = weft_pattern_name(throttle->name, options->name, "throttle");
    if (err == 0)
        err = weft_guard_init(&throttle->guard, options->sharing);
    const struct weft_debounce_options trailing = {.fn = options->fn,
                                                   .arg_bytes = options->arg_bytes,
                                                   .wait_ns = options->interval_ns,
                                                   .edges = WEFT_EDGE_BOTH,
                                                   .name = throttle->name,
                                                   .sharing = options->sharing,
                                                   .on_event = tell_failed,
                                                   .on_event_arg = throttle};
    if (err == 0 && options->mode == WEFT_THROTTLE_TRAILING)
        err = weft_debounce_open_spaced(&throttle->trailing, &trailing);
    if (err < 0)
        free(throttle);
    else
        *ret_throttle = throttle;
    return err;
}

void weft_throttle_close(struct weft_throttle *throttle)
{
    if (!throttle)
        return;
    weft_debounce_close(throttle->trailing);
    free(throttle);
}
