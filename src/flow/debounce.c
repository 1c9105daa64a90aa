/* SPDX-License-Identifier: MIT
 * debounce.c - see weft/debounce.h. A fiber of its own sleeps until a run is due; a call wakes it
 * when that is earlier than it thought. */
#include <flow/debounce_core.h>
#include <flow/debounce_internal.h>
#include <flow/pattern.h>
#include <runtime/worker.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARG_BYTES_MAX 4096u

struct weft_debounce {
    struct weft_guard guard;
    struct weft_debounce_core core;
    struct weft_link driver;   /* our fiber, while it sleeps */
    struct weft_link flushers; /* wait for a run to end */
    struct weft_link closers;
    int64_t wakes_at_ns; /* when the driver will look by itself */
    uint32_t users;      /* flushers, until they have left */
    bool running, ended;
    struct weft_fiber *fiber;
    const void *pointer;             /* the latest argument, when it is not copied */
    unsigned char *latest, *current; /* its copies: the latest, and that of the run */
    struct weft_group group;
    struct weft_debounce_options options;
    struct weft_debounce_snapshot counts;
    char name[WEFT_NAME_MAX + 1];
};

/* ---- our fiber ----------------------------------------------------------------------- */

static void tell(struct weft_debounce *debounce, int result)
{
    const struct weft_debounce_event event = {debounce->name, weft_now(), result};
    debounce->options.on_event(debounce->options.on_event_arg, &event);
}

/* Under the guard: those who wait for a run to end, unless another is due. */
static void claim_flushers(struct weft_debounce *debounce, int result, struct weft_link *claimed)
{
    struct weft_waiter *first;
    while ((first = weft_claim_first(&debounce->flushers))) {
        *(int *)first->target = result;
        debounce->users--;
        weft_list_append(claimed, &first->link);
    }
}

/* Enter with the guard, which is left. */
static void run_once(struct weft_debounce *debounce)
{
    struct weft_link claimed;
    void *arg = debounce->current;
    weft_list_init(&claimed);
    if (debounce->options.arg_bytes > 0)
        memcpy(debounce->current, debounce->latest, debounce->options.arg_bytes);
    else
        memcpy(&arg, &debounce->pointer, sizeof arg); /* what it points to was never ours */
    debounce->running = true;
    debounce->counts.runs++;
    weft_guard_leave(&debounce->guard);
    int result = debounce->options.fn(arg);
    bool failed = result < 0 && result != -ECANCELED;
    weft_guard_enter(&debounce->guard);
    debounce->running = false;
    debounce->counts.last_result = result;
    debounce->counts.failed += failed;
    if (!debounce->core.due)
        claim_flushers(debounce, result, &claimed);
    weft_guard_leave(&debounce->guard);
    weft_wake_claimed(&claimed, 0);
    if (failed && debounce->options.on_event)
        tell(debounce, result);
}

static int drive(void *arg)
{
    struct weft_debounce *debounce = arg;
    struct weft_fiber *self = weft_self();
    struct weft_waiter waiter;
    struct weft_link claimed;
    weft_list_init(&claimed);
    weft_guard_enter(&debounce->guard);
    debounce->fiber = self;
    while (!weft_fiber_cancelled(self)) {
        int64_t now_ns = weft_now();
        if (weft_debounce_core_take(&debounce->core, now_ns)) {
            run_once(debounce);
            weft_spend(self, WEFT_FOREVER);
        } else {
            debounce->wakes_at_ns = weft_debounce_core_next(&debounce->core);
            (void)weft_wait_turn(self, &debounce->guard, &debounce->driver, &waiter,
                                 debounce->wakes_at_ns, "something to debounce");
        }
        weft_guard_enter(&debounce->guard);
    }
    debounce->ended = true;
    (void)weft_debounce_core_forget(&debounce->core);
    claim_flushers(debounce, 0, &claimed);
    weft_guard_leave(&debounce->guard);
    weft_wake_claimed(&claimed, -ESHUTDOWN);
    return 0;
}

/* Leave the guard; the driver is woken when it would sleep too long. */
static void leave(struct weft_debounce *debounce)
{
    struct weft_waiter *driver = NULL;
    if (weft_debounce_core_next(&debounce->core) < debounce->wakes_at_ns)
        driver = weft_claim_first(&debounce->driver);
    weft_guard_leave(&debounce->guard);
    if (driver)
        weft_wake(driver->fiber, 0);
}

/* ---- calls --------------------------------------------------------------------------- */

int weft_debounce_call(struct weft_debounce *debounce, const void *arg)
{
    const size_t bytes = debounce->options.arg_bytes;
    if (!arg && bytes > 0)
        return -EINVAL;
    int err = weft_guard_admit(&debounce->guard);
    if (err < 0)
        return err;
    if (debounce->ended) {
        weft_guard_leave(&debounce->guard);
        return -ESHUTDOWN;
    }
    if (bytes > 0)
        memcpy(debounce->latest, arg, bytes);
    else
        debounce->pointer = arg;
    debounce->counts.calls++;
    weft_debounce_core_call(&debounce->core, weft_now());
    leave(debounce);
    return 0;
}

/* Enter with the guard, which is left. */
static int flush(struct weft_debounce *debounce, struct weft_fiber *self, int64_t deadline_ns)
{
    int result = 0, err = debounce->ended ? -ESHUTDOWN : 0;
    struct weft_waiter waiter = {.target = &result}, *driver;
    if (self == debounce->fiber)
        err = -EDEADLK;
    if (err == 0)
        debounce->core.due = weft_debounce_core_forget(&debounce->core);
    bool idle = !debounce->core.due && !debounce->running;
    if (err == 0 && !idle && deadline_ns == WEFT_NOWAIT)
        err = -EAGAIN;
    driver = debounce->core.due ? weft_claim_first(&debounce->driver) : NULL;
    if (driver)
        weft_wake(driver->fiber, 0); /* it comes to the guard after us */
    if (err < 0 || idle) {
        weft_guard_leave(&debounce->guard);
        return err;
    }
    debounce->users++;
    err = weft_wait_turn(self, &debounce->guard, &debounce->flushers, &waiter, deadline_ns,
                         "a debounced call");
    if (err != -ETIMEDOUT && err != -ECANCELED)
        return err < 0 ? err : result;
    struct weft_waiter *closer = NULL; /* not served: we count ourselves out */
    weft_guard_enter(&debounce->guard);
    if (--debounce->users == 0)
        closer = weft_claim_first(&debounce->closers);
    weft_guard_leave(&debounce->guard);
    if (closer)
        weft_wake(closer->fiber, 0);
    return err;
}

int weft_debounce_flush(struct weft_debounce *debounce, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter_anywhere(&self);
    if (err == 0)
        err = weft_guard_admit(&debounce->guard);
    return err < 0 ? err : flush(debounce, self, deadline_ns);
}

int weft_debounce_cancel(struct weft_debounce *debounce)
{
    int err = weft_guard_admit(&debounce->guard);
    if (err < 0)
        return err;
    bool pending = weft_debounce_core_forget(&debounce->core);
    struct weft_link claimed;
    weft_list_init(&claimed);
    if (!debounce->running) /* whoever waited for it waits for nothing now */
        claim_flushers(debounce, 0, &claimed);
    weft_guard_leave(&debounce->guard);
    weft_wake_claimed(&claimed, 0);
    return pending;
}

int weft_debounce_snapshot(struct weft_debounce *debounce,
                           struct weft_debounce_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&debounce->guard);
    if (err < 0)
        return err;
    *ret_snapshot = debounce->counts;
    ret_snapshot->pending = debounce->core.due || debounce->core.wanted;
    ret_snapshot->running = debounce->running;
    weft_guard_leave(&debounce->guard);
    return 0;
}

int weft_debounce_pending(struct weft_debounce *debounce)
{
    struct weft_debounce_snapshot snapshot;
    int err = weft_debounce_snapshot(debounce, &snapshot);
    return err < 0 ? err : snapshot.pending;
}

/* ---- open and close ------------------------------------------------------------------ */

static bool valid(const struct weft_debounce_options *options)
{
    return options && options->fn && options->arg_bytes <= ARG_BYTES_MAX && options->wait_ns > 0 &&
           (options->wait_max_ns == 0 || options->wait_max_ns >= options->wait_ns) &&
           (unsigned)options->edges <= WEFT_EDGE_BOTH;
}

static int init(struct weft_debounce *debounce, const struct weft_debounce_options *options,
                bool spaced)
{
    int err = weft_pattern_name(debounce->name, options->name, "debounce");
    debounce->options = *options;
    debounce->wakes_at_ns = WEFT_FOREVER;
    debounce->core = (struct weft_debounce_core){
        .wait_ns = options->wait_ns,
        .wait_max_ns = options->wait_max_ns ? options->wait_max_ns : WEFT_FOREVER,
        .leading = options->edges != WEFT_EDGE_TRAILING,
        .trailing = options->edges != WEFT_EDGE_LEADING,
        .spaced = spaced,
    };
    weft_list_init(&debounce->driver);
    weft_list_init(&debounce->flushers);
    weft_list_init(&debounce->closers);
    if (err == 0 && options->arg_bytes > 0) {
        debounce->latest = calloc(1, options->arg_bytes);
        debounce->current = calloc(1, options->arg_bytes);
        err = debounce->latest && debounce->current ? 0 : -ENOMEM;
    }
    return err < 0 ? err : weft_guard_init(&debounce->guard, options->sharing);
}

static void free_debounce(struct weft_debounce *debounce)
{
    free(debounce->latest);
    free(debounce->current);
    free(debounce);
}

static int start(struct weft_debounce *debounce)
{
    const struct weft_group_options group = {.name = debounce->name};
    const struct weft_spawn_options child = {.name = debounce->name};
    int err = weft_group_init(&debounce->group, &group);
    if (err < 0)
        return err;
    err = weft_spawn_with(&debounce->group, drive, debounce, &child);
    if (err < 0)
        weft_group_close(&debounce->group);
    return err;
}

static int open_debounce(struct weft_debounce **ret_debounce,
                         const struct weft_debounce_options *options, bool spaced)
{
    if (!valid(options))
        return -EINVAL;
    struct weft_debounce *debounce = calloc(1, sizeof *debounce);
    if (!debounce)
        return -ENOMEM;
    int err = init(debounce, options, spaced);
    if (err == 0)
        err = start(debounce);
    if (err < 0)
        free_debounce(debounce);
    else
        *ret_debounce = debounce;
    return err;
}

int weft_debounce_open(struct weft_debounce **ret_debounce,
                       const struct weft_debounce_options *options)
{
    return open_debounce(ret_debounce, options, false);
}

int weft_debounce_open_spaced(struct weft_debounce **ret_debounce,
                              const struct weft_debounce_options *options)
{
    return open_debounce(ret_debounce, options, true);
}

void weft_debounce_close(struct weft_debounce *debounce)
{
    struct weft_waiter waiter;
    if (!debounce)
        return;
    weft_group_close(&debounce->group);
    weft_guard_enter(&debounce->guard);
    while (debounce->users > 0) { /* on their way out of weft_debounce_flush */
        (void)weft_park_served(weft_self(), &debounce->guard, &debounce->closers, &waiter,
                               WEFT_FOREVER, WEFT_PARK_SHIELDED);
        weft_guard_enter(&debounce->guard);
    }
    weft_guard_leave(&debounce->guard);
    free_debounce(debounce);
}
