/* SPDX-License-Identifier: MIT
 * start.c - spawn a child and wait until it is ready. See weft/group.h.
 *
 * The handshake lies on the stack of who waits. The child forgets it when it has answered, by
 * weft_started or by its end; until then the other side does not leave. */
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
    void *arg;
};

static void answer(struct weft_starter *starter, enum state state, int value)
{
    starter->state = state;
    starter->value = value;
    weft_wake_all(&starter->waiting, 0);
}

int weft_started(int value)
{
    struct weft_fiber *self = weft_self();
    struct weft_starter *starter = self ? self->starter : NULL;
    if (!starter || value < 0)
        return -EINVAL;
    (void)weft_guard_enter(&starter->guard);
    bool in_time = starter->state == STARTING;
    if (in_time) {
        self->starter = NULL;
        starter->scope = NULL;
        answer(starter, STARTED, value);
    }
    weft_guard_leave(&starter->guard);
    return in_time ? 0 : -ECANCELED;
}

/* The child. Its own scope is what a caller who gives up cancels. */
static int run_child(void *arg)
{
    struct weft_starter *starter = *(struct weft_starter **)arg;
    struct weft_fiber *self = weft_current_worker->current;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    self->starter = starter;

    (void)weft_guard_enter(&starter->guard);
    starter->scope = &scope;
    if (starter->state == GIVEN_UP)
        weft_scope_cancel(&scope, 0);
    weft_guard_leave(&starter->guard);
    int result = starter->fn(starter->arg);

    starter = self->starter; /* NULL once it has started */
    if (starter) {
        (void)weft_guard_enter(&starter->guard);
        starter->scope = NULL;
        weft_guard_leave(&starter->guard);
    }
    (void)weft_scope_leave(&scope, 0);
    if (!starter)
        return result;
    (void)weft_guard_enter(&starter->guard);
    answer(starter, ENDED, result);
    weft_guard_leave(&starter->guard);
    return WEFT_NO_VERDICT;
}

/* Wait for the answer; give up on a deadline or a cancellation, and then wait for the end. */
static int wait_for_start(struct weft_fiber *self, struct weft_starter *starter,
                          int64_t deadline_ns)
{
    struct weft_waiter waiter;
    int given_up = 0;
    self->waits_for = "a child to start";
    (void)weft_guard_enter(&starter->guard);
    while (starter->state == STARTING || starter->state == GIVEN_UP) {
        int err = weft_park_guarded(self, &starter->guard, &starter->waiting, &waiter,
                                    given_up ? WEFT_FOREVER : deadline_ns,
                                    given_up ? WEFT_PARK_SHIELDED : WEFT_PARK_CANCELLABLE);
        (void)weft_guard_enter(&starter->guard);
        if (err < 0 && starter->state == STARTING) {
            given_up = err;
            starter->state = GIVEN_UP;
            if (starter->scope)
                weft_scope_cancel(starter->scope, err);
        }
    }
    bool started = starter->state == STARTED;
    weft_guard_leave(&starter->guard);
    if (started)
        return starter->value;
    if (given_up)
        return given_up;
    return starter->value < 0 ? starter->value : -ECHILD;
}

int weft_spawn_started(struct weft_group *group, int (*fn)(void *), void *arg,
                       const struct weft_spawn_options *options, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_spawn_options child = options ? *options : (struct weft_spawn_options){0};
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (child.copy_bytes > 0) /* arg lives as long as the handshake only: it cannot be copied */
        return -EINVAL;
    struct weft_starter starter = {.fn = fn, .arg = arg};
    struct weft_starter *handle = &starter;
    weft_list_init(&starter.waiting);
    child.copy_bytes = sizeof handle;
    err = weft_spawn_with(group, run_child, &handle, &child);
    return err < 0 ? err : wait_for_start(self, &starter, deadline_ns);
}
