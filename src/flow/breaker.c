/* SPDX-License-Identifier: MIT
 * breaker.c - see weft/breaker.h. Guard, clock and events around breaker_core.c. */
#include <flow/breaker_core.h>

#include <flow/pattern.h>
#include <runtime/worker.h>

#include <errno.h>
#include <stdlib.h>

struct weft_breaker {
    struct weft_guard guard;
    struct weft_breaker_core core;
    bool telling; /* somebody is in on_event, and tells what comes meanwhile */
    char name[WEFT_NAME_MAX + 1];
    void *window;
};

int weft_breaker_open(struct weft_breaker **ret_breaker, const struct weft_breaker_options *options)
{
    struct weft_breaker_options filled = {0};
    if (options)
        filled = *options;
    int err = weft_breaker_core_options(&filled);
    if (err < 0)
        return err;
    struct weft_breaker *breaker = calloc(1, sizeof *breaker);
    if (!breaker)
        return -ENOMEM;
    err = weft_guard_init(&breaker->guard, filled.sharing);
    if (err == 0)
        err = weft_pattern_name(breaker->name, filled.name, "breaker");
    if (err < 0)
        goto fail;
    filled.name = breaker->name;
    breaker->window = calloc(1, weft_breaker_core_window_bytes(&filled));
    if (!breaker->window) {
        err = -ENOMEM;
        goto fail;
    }
    weft_breaker_core_init(&breaker->core, &filled, breaker->window, weft_now());
    *ret_breaker = breaker;
    return 0;
fail:
    weft_breaker_close(breaker);
    return err;
}

void weft_breaker_close(struct weft_breaker *breaker)
{
    if (!breaker)
        return;
    free(breaker->window);
    free(breaker);
}

/* Under the guard, which is left: tell what has changed. One caller at a time does, so that the
 * order of telling is that of the changes. */
static void tell(struct weft_breaker *breaker)
{
    const struct weft_breaker_options *options = &breaker->core.options;
    struct weft_breaker_event event;
    if (breaker->telling) {
        weft_guard_leave(&breaker->guard);
        return;
    }
    breaker->telling = true;
    while (weft_breaker_core_take_event(&breaker->core, &event)) {
        weft_guard_leave(&breaker->guard);
        options->on_event(options->on_event_arg, &event);
        weft_guard_enter(&breaker->guard);
    }
    breaker->telling = false;
    weft_guard_leave(&breaker->guard);
}

static inline void leave_guard(struct weft_breaker *breaker)
{
    if (breaker->core.events_len > 0)
        tell(breaker);
    else
        weft_guard_leave(&breaker->guard);
}

int weft_breaker_enter(struct weft_breaker *breaker, struct weft_breaker_permit *permit)
{
    int err = weft_guard_admit(&breaker->guard);
    if (err < 0)
        return err;
    int64_t now_ns = weft_breaker_core_enter_reads_clock(&breaker->core) ? weft_now() : 0;
    err = weft_breaker_core_enter(&breaker->core, permit, now_ns);
    leave_guard(breaker);
    return err;
}

int weft_breaker_leave(struct weft_breaker *breaker, struct weft_breaker_permit *permit, int result)
{
    int err = weft_guard_permit(&breaker->guard);
    if (err < 0)
        return err;
    enum weft_breaker_verdict verdict = weft_breaker_core_judge(&breaker->core.options, result);
    weft_guard_enter(&breaker->guard);
    bool timed = weft_breaker_core_leave_reads_clock(&breaker->core, verdict);
    err = weft_breaker_core_leave(&breaker->core, permit, verdict, timed ? weft_now() : 0);
    leave_guard(breaker);
    return err;
}

int weft_breaker_call(struct weft_breaker *breaker, int (*fn)(void *), void *arg)
{
    struct weft_breaker_permit permit;
    int err = weft_breaker_enter(breaker, &permit);
    if (err < 0)
        return err;
    int result = fn(arg);
    (void)weft_breaker_leave(breaker, &permit, result); /* the permit is one: cannot fail */
    return result;
}

static int by_hand(struct weft_breaker *breaker, enum weft_breaker_event_kind kind)
{
    int err = weft_guard_admit(&breaker->guard);
    if (err < 0)
        return err;
    weft_breaker_core_by_hand(&breaker->core, kind, weft_now());
    leave_guard(breaker);
    return 0;
}

int weft_breaker_reset(struct weft_breaker *breaker)
{
    return by_hand(breaker, WEFT_BREAKER_RESET);
}

int weft_breaker_force_open(struct weft_breaker *breaker)
{
    return by_hand(breaker, WEFT_BREAKER_FORCE_OPEN);
}

int weft_breaker_force_close(struct weft_breaker *breaker)
{
    return by_hand(breaker, WEFT_BREAKER_FORCE_CLOSE);
}

int weft_breaker_disable(struct weft_breaker *breaker)
{
    return by_hand(breaker, WEFT_BREAKER_DISABLE);
}

int weft_breaker_snapshot(struct weft_breaker *breaker, struct weft_breaker_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&breaker->guard);
    if (err < 0)
        return err;
    weft_breaker_core_snapshot(&breaker->core, weft_now(), ret_snapshot);
    weft_guard_leave(&breaker->guard);
    return 0;
}
