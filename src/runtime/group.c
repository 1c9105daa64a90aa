/* SPDX-License-Identifier: MIT
 * group.c - fibers that end before their group does. See weft/group.h. */
#include <runtime/worker.h>

#include <errno.h>

int weft_group_init(struct weft_group *group, const struct weft_group_options *options)
{
    static const struct weft_group_options defaults;
    struct weft_fiber *self = weft_self();
    if (!options)
        options = &defaults;
    if (!self)
        return -EPERM;
    if (options->policy == WEFT_QUORUM && options->quorum == 0)
        return -EINVAL;
    self->groups_open++;
    *group = (struct weft_group){
        .live_max = options->concurrency_max,
        .quorum = options->quorum,
        .policy = options->policy,
        .name = options->name,
    };
    weft_list_init(&group->children);
    weft_list_init(&group->joiners);
    weft_list_init(&group->spawners);
    weft_scope_attach(&group->scope, self->scope,
                      options->deadline_ns ? options->deadline_ns : WEFT_FOREVER, 0);
    return 0;
}

/* At the limit, wait for a place. The place is ours: a child that ended has handed it over. */
static int wait_for_place(struct weft_group *group)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct weft_waiter waiter;
    err = weft_park_in(self, &group->spawners, &waiter, WEFT_FOREVER, WEFT_PARK_CANCELLABLE);
    return err;
}

static void give_place_back(struct weft_group *group)
{
    /* The place passes straight to who waited longest; live stays as it is. */
    if (!weft_wake_first(&group->spawners, 0))
        group->live--;
    if (group->live == 0)
        weft_wake_all(&group->joiners, 0);
}

static int take_place(struct weft_group *group)
{
    if (group->scope.cause)
        return -ECANCELED;
    if (group->live_max == 0 || group->live < group->live_max) {
        group->live++;
        return 0;
    }
    int err = wait_for_place(group);
    if (err < 0)
        return err;
    if (group->scope.cause) {
        give_place_back(group);
        return -ECANCELED;
    }
    return 0;
}

int weft_spawn_task(struct weft_group *group, struct weft_task *task, int (*fn)(void *), void *arg)
{
    if (!weft_self())
        return -EPERM;
    int err = take_place(group);
    if (err < 0) {
        group->cut++; /* work that was wanted and will not be done */
        return err;
    }
    struct weft_fiber *child = weft_fiber_start(weft_current_worker, &group->scope, fn, arg);
    if (!child) {
        give_place_back(group);
        return -ENOMEM;
    }
    child->group = group;
    child->task = task;
    weft_list_append(&group->children, &child->sibling);
    if (task) {
        *task = (struct weft_task){0};
        weft_list_init(&task->joiners);
    }
    return 0;
}

int weft_spawn(struct weft_group *group, int (*fn)(void *), void *arg)
{
    return weft_spawn_task(group, NULL, fn, arg);
}

static void finish_task(struct weft_group *group, struct weft_task *task, int result)
{
    task->result = result;
    task->done = 1;
    if (group->last_completed)
        group->last_completed->completed = task;
    else
        group->first_completed = task;
    group->last_completed = task;
    /* *task may be gone when a joiner runs, so it gets the result now. */
    WEFT_LIST_FOR_EACH (link, &task->joiners)
        *(int *)weft_container_of(link, struct weft_waiter, link)->target = result;
    weft_wake_all(&task->joiners, 0);
}

static void decide(struct weft_group *group, int result)
{
    group->result = result;
    weft_scope_cancel(&group->scope);
}

/* What one child's result means for the group. Once the group is cancelled nothing changes it. */
static void apply_policy(struct weft_group *group, int result)
{
    bool cancelled = group->scope.cause != 0;
    if (result >= 0)
        group->successes++;
    else if (cancelled)
        group->cut++;
    else if (group->failures++ == 0)
        group->first_failure = result;

    if (cancelled)
        return;
    bool failed = group->policy == WEFT_FAIL_FAST && result < 0;
    bool won = group->policy == WEFT_RACE && result >= 0;
    if (failed || won)
        decide(group, result);
    else if (group->policy == WEFT_QUORUM && group->successes == group->quorum)
        decide(group, 0);
}

void weft_group_child_ended(struct weft_fiber *fiber, int result)
{
    struct weft_group *group = fiber->group;
    if (!group) {
        fiber->worker->root_result = result;
        return;
    }
    weft_list_unlink(&fiber->sibling);
    if (fiber->task)
        finish_task(group, fiber->task, result);
    apply_policy(group, result);
    give_place_back(group);
}

int weft_task_join(struct weft_task *task, int64_t deadline_ns, int *ret_result)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (!task->done && deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    int result = task->result;
    if (!task->done) {
        struct weft_waiter waiter = {.target = &result};
        err = weft_park_in(self, &task->joiners, &waiter, deadline_ns, WEFT_PARK_CANCELLABLE);
    }
    if (err == 0)
        *ret_result = result;
    return err;
}

/* Wait until no child is left; when the caller is cancelled, hand that on and wait all the same.
 * The caller's scope need not be around the group's, so it is handed on by hand. */
static void join_children(struct weft_group *group, struct weft_fiber *self)
{
    struct weft_waiter waiter;
    while (group->live > 0) {
        bool cancelled = weft_fiber_cancelled(self);
        if (cancelled)
            weft_scope_cancel_from_outside(&group->scope);
        (void)weft_park_in(self, &group->joiners, &waiter, WEFT_FOREVER,
                           cancelled ? WEFT_PARK_SHIELDED : WEFT_PARK_CANCELLABLE);
    }
}

static int group_result(const struct weft_group *group)
{
    bool short_of_quorum = group->policy == WEFT_QUORUM && group->successes < group->quorum;
    bool nobody_won = group->policy == WEFT_RACE && group->successes == 0;
    bool undecided = (short_of_quorum || nobody_won) && group->scope.cause == 0;
    int verdict = weft_scope_verdict(&group->scope);
    if (verdict < 0 && group->cut > 0)
        return verdict;
    if (group->policy == WEFT_SUPERVISE || short_of_quorum || nobody_won) {
        if (group->first_failure)
            return group->first_failure;
        return undecided ? -EINVAL : 0;
    }
    return group->result;
}

int weft_group_wait(struct weft_group *group)
{
    struct weft_fiber *self = weft_self();
    if (!self)
        return -EPERM;
    join_children(group, self);
    int result = group_result(group);
    if (!weft_list_empty(&group->scope.sibling)) /* the first of perhaps several waits */
        self->groups_open--;
    weft_scope_detach(&group->scope);
    weft_scope_cancel(&group->scope); /* a later weft_spawn is refused */
    return result;
}

void weft_group_cancel(struct weft_group *group)
{
    weft_scope_cancel(&group->scope);
}

void weft_group_close(struct weft_group *group)
{
    weft_group_cancel(group);
    (void)weft_group_wait(group);
}

unsigned weft_group_live(const struct weft_group *group)
{
    return group->live;
}

struct weft_task *weft_group_completed(const struct weft_group *group,
                                       const struct weft_task *after)
{
    return after ? after->completed : group->first_completed;
}
