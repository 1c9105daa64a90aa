/* SPDX-License-Identifier: MIT
 * start.c - spawn a child and wait until it is ready. See weft/group.h.
 *
 * The handshake lies on the stack of who waits. The child forgets it when it has answered, by
 * weft_started; else its group answers when it learns of the child's end, or that it could not be
 * started. Until then the other side does not leave. */
#include <runtime/runtime.h>

enum state {
    STARTING,
    STARTED,
    GIVEN_UP, /* the child is cancelled and will end */
    ENDED,    /* without having started */
};

struct weft_starter {
    struct weft_guard guard; /* the two may be on different workers */
    struct weft_link waiting;
    enum state state;
    int value; /* of weft_started, or the child's result */
    struct weft_scope *scope;
    int (*fn)(void *);
};

/* Under the guard, which is left. *starter may be gone when this returns. */
static void answer(struct weft_starter *starter, enum state state, int value)
{
    starter->state = state;
    starter->value = value;
    struct weft_waiter *waiter = weft_claim_first(&starter->waiting);
    weft_guard_leave(&starter->guard);
    if (waiter)
        weft_wake(waiter->fiber, 0);
}

int weft_started(int value)
{
    struct weft_fiber *self = weft_self();
    struct weft_starter *starter = self ? self->starter : NULL;
    if (!starter || value < 0)
        return -EINVAL;
    weft_guard_enter(&starter->guard);
    if (starter->state != STARTING) {
        weft_guard_leave(&starter->guard);
        return -ECANCELED;
    }
    self->starter = NULL;
    answer(starter, STARTED, value);
    return 0;
}

void weft_starter_ended(struct weft_starter *starter, int result)
{
    weft_guard_enter(&starter->guard);
    answer(starter, ENDED, result);
}

static void set_scope(struct weft_starter *starter, struct weft_scope *scope)
{
    weft_guard_enter(&starter->guard);
    starter->scope = scope;
    if (scope && starter->state == GIVEN_UP)
        weft_scope_cancel(scope, 0);
    weft_guard_leave(&starter->guard);
}

/* The child. Its own scope is what a caller who gives up cancels. */
static int run_child(void *arg)
{
    const struct weft_fiber *self = weft_current_worker->current;
    struct weft_starter *starter = self->starter;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    set_scope(starter, &scope);
    int result = starter->fn(arg);
    if (self->starter == starter) /* not ready yet: who waits may still cancel the scope */
        set_scope(starter, NULL);
    (void)weft_scope_leave(&scope, 0);
    return result;
}

/* Wait for the answer; give up on a deadline or a cancellation, and then wait for the end. */
static int wait_for_start(struct weft_fiber *self, struct weft_starter *starter,
                          int64_t deadline_ns)
{
    struct weft_waiter waiter;
    int given_up = 0;
    weft_guard_enter(&starter->guard);
    while (starter->state == STARTING || starter->state == GIVEN_UP) {
        self->waits_for = "a child to start";
        int err = weft_park_served(self, &starter->guard, &starter->waiting, &waiter,
                                   given_up ? WEFT_FOREVER : deadline_ns,
                                   given_up ? WEFT_PARK_SHIELDED : WEFT_PARK_CANCELLABLE);
        weft_guard_enter(&starter->guard);
        if (err < 0 && starter->state == STARTING) {
            given_up = err;
            starter->state = GIVEN_UP;
            if (starter->scope) /* under the guard: the child does not leave it meanwhile */
                weft_scope_cancel(starter->scope, err);
        }
    }
    weft_guard_leave(&starter->guard);
    if (starter->state == STARTED)
        return starter->value;
    if (given_up)
        return given_up;
    return starter->value < 0 ? starter->value : -ECHILD;
}

int weft_spawn_started(struct weft_group *group, int (*fn)(void *), void *arg,
                       const struct weft_spawn_options *options, int64_t deadline_ns)
{
    static const struct weft_spawn_options defaults;
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    struct weft_starter starter = {.fn = fn};
    struct weft_fiber_plan plan = {
        .fn = run_child,
        .arg = arg,
        .starter = &starter,
        .spawned_at = __builtin_return_address(0),
    };
    weft_list_init(&starter.waiting);
    err = weft_group_spawn(group, options ? options : &defaults, &plan);
    return err < 0 ? err : wait_for_start(self, &starter, deadline_ns);
}
