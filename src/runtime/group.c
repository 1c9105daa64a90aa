/* SPDX-License-Identifier: MIT
 * group.c - fibers that end before their group does. See weft/group.h. */
#include <runtime/debug.h>
#include <runtime/local.h>

#define COPY_BYTES_MAX 4096u
#define STACK_MAX      ((size_t)1 << 20)

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
    *group = (struct weft_group){
        .live_max = options->concurrency_max,
        .quorum = options->quorum,
        .policy = options->policy,
        .name = options->name,
        .failures_kept = options->failures,
        .failures_max = options->failures_max,
    };
    weft_list_init(&group->open);
    weft_list_append(&self->groups, &group->open);
    weft_list_init(&group->children);
    weft_list_init(&group->joiners);
    weft_list_init(&group->spawners);
    weft_list_init(&group->nexters);
    weft_scope_attach(&group->scope, self->scope,
                      options->deadline_ns ? options->deadline_ns : WEFT_FOREVER, 0);
    return 0;
}

/* ---- work on the group's own worker, asked for from another ----------------------------- */

static bool is_home(const struct weft_group *group)
{
    return group->scope.home == weft_current_worker;
}

/* Run fn(arg) as a fiber of the group's worker, and wait for it. */
static int run_at_home(const struct weft_group *group, int (*fn)(void *), void *arg)
{
    struct weft_group errand;
    struct weft_spawn_options options = {.worker = WEFT_WORKER((int)group->scope.home->index)};
    int err = weft_group_init(&errand, NULL);
    if (err < 0)
        return err;
    (void)weft_spawn_with(&errand, fn, arg, &options); /* refused: weft_group_wait says so too */
    return weft_group_wait(&errand);
}

/* ---- spawning -------------------------------------------------------------------------- */

/* At the limit, wait for a place. The place is ours: a child that ended has handed it over. */
static int wait_for_place(struct weft_group *group)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct weft_waiter waiter;
    self->waits_for = "a place in a group";
    return weft_park_in(self, &group->spawners, &waiter, WEFT_FOREVER, WEFT_PARK_CANCELLABLE);
}

static void give_place_back(struct weft_group *group)
{
    /* The place passes straight to who waited longest; live stays as it is. */
    if (!weft_wake_first(&group->spawners, 0))
        group->live--;
    if (group->live > 0)
        return;
    weft_wake_all(&group->joiners, 0);
    weft_wake_all(&group->nexters, 0);
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

static int start_here(struct weft_group *group, struct weft_task *task,
                      const struct weft_fiber_plan *plan)
{
    struct weft_fiber *child = weft_fiber_start(weft_current_worker, plan);
    if (!child)
        return -ENOMEM;
    child->group = group;
    child->task = task;
    weft_list_append(&group->children, &child->sibling);
    return 0;
}

static bool runs_here(int worker)
{
    const struct weft_worker *here = weft_current_worker;
    return worker == WEFT_HERE || !here->crowded || worker == WEFT_WORKER((int)here->index);
}

/* On the group's worker. */
static int spawn(struct weft_group *group, const struct weft_spawn_options *options,
                 struct weft_fiber_plan *plan)
{
    int err = take_place(group);
    if (err < 0) {
        group->cut++; /* work that was wanted and will not be done */
        return err;
    }
    const struct weft_fiber *self = weft_self();
    if (self && self->locals)
        err = weft_locals_inherit(self, &plan->locals);
    if (err == 0)
        err = runs_here(options->worker)
                  ? start_here(group, options->task, plan)
                  : weft_remote_spawn(group, options->task, options->worker, plan);
    if (err < 0) {
        weft_locals_release(plan->locals);
        give_place_back(group);
    }
    return err;
}

/* A spawn asked for from another worker. */
struct errand {
    struct weft_group *group;
    struct weft_spawn_options options;
    struct weft_fiber_plan plan;
};

static int spawn_errand(void *arg)
{
    struct errand *errand = arg;
    return spawn(errand->group, &errand->options, &errand->plan);
}

static int spawn_from_abroad(struct weft_group *group, const struct weft_spawn_options *options,
                             const struct weft_fiber_plan *plan)
{
    struct errand errand = {.group = group, .options = *options, .plan = *plan};
    if (options->worker == WEFT_HERE)
        errand.options.worker = WEFT_WORKER((int)weft_current_worker->index);
    return run_at_home(group, spawn_errand, &errand);
}

static bool valid_options(const struct weft_spawn_options *options)
{
    int workers_len = (int)weft_current_worker->runtime->workers_len;
    return options->worker >= WEFT_ANY_WORKER && options->copy_bytes <= COPY_BYTES_MAX &&
           options->worker <= workers_len && options->stack_bytes <= STACK_MAX;
}

static int spawn_child(struct weft_group *group, int (*fn)(void *), void *arg,
                       const struct weft_spawn_options *options, const void *spawned_at)
{
    if (!weft_self())
        return -EPERM;
    if (!valid_options(options))
        return -EINVAL;
    if (options->task) {
        *options->task = (struct weft_task){.group = group};
        weft_list_init(&options->task->joiners);
    }
    struct weft_fiber_plan plan = {
        .scope = &group->scope,
        .fn = fn,
        .arg = arg,
        .copy = arg,
        .copy_bytes = options->copy_bytes,
        .stack_bytes = options->stack_bytes,
        .name = options->name,
        .spawned_at = spawned_at,
    };
    return is_home(group) ? spawn(group, options, &plan) : spawn_from_abroad(group, options, &plan);
}

/* Where in the program the caller of a public function is. */
#define CALLED_FROM __builtin_return_address(0)

int weft_spawn(struct weft_group *group, int (*fn)(void *), void *arg)
{
    static const struct weft_spawn_options defaults;
    return spawn_child(group, fn, arg, &defaults, CALLED_FROM);
}

int weft_spawn_task(struct weft_group *group, struct weft_task *task, int (*fn)(void *), void *arg)
{
    const struct weft_spawn_options options = {.task = task};
    return spawn_child(group, fn, arg, &options, CALLED_FROM);
}

int weft_spawn_with(struct weft_group *group, int (*fn)(void *), void *arg,
                    const struct weft_spawn_options *options)
{
    static const struct weft_spawn_options defaults;
    return spawn_child(group, fn, arg, options ? options : &defaults, CALLED_FROM);
}

/* ---- a child ends ---------------------------------------------------------------------- */

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
    weft_wake_all(&group->nexters, 0);
}

/* heard: there is a task with the result. */
static void keep_failure(struct weft_group *group, int result, const char *name, bool heard)
{
    if (group->failures < group->failures_max)
        group->failures_kept[group->failures] = (struct weft_failure){result, name};
    else if (group->failures > 0 && !heard && group->policy == WEFT_SUPERVISE)
        group->lost++;
    if (group->failures++ == 0)
        group->first_failure = result;
}

static void decide(struct weft_group *group, int result)
{
    group->result = result;
    weft_scope_cancel(&group->scope, result);
}

/* What one child's result means for the group. Once the group is cancelled nothing changes it. */
static void apply_policy(struct weft_group *group, int result, const char *name, bool heard)
{
    bool cancelled = group->scope.cause != 0;
    if (result >= 0)
        group->successes++;
    else if (cancelled)
        group->cut++;
    else
        keep_failure(group, result, name, heard);

    if (cancelled)
        return;
    bool failed = group->policy == WEFT_FAIL_FAST && result < 0;
    bool won = group->policy == WEFT_RACE && result >= 0;
    if (failed || won)
        decide(group, result);
    else if (group->policy == WEFT_QUORUM && group->successes == group->quorum)
        decide(group, 0);
}

void weft_group_child_ended(struct weft_group *group, struct weft_task *task, const char *name,
                            int result)
{
    bool counts = result != WEFT_NO_VERDICT;
    if (task)
        finish_task(group, task, counts ? result : -ECANCELED);
    if (counts)
        apply_policy(group, result, name, task);
    give_place_back(group);
}

/* ---- joining --------------------------------------------------------------------------- */

struct join {
    struct weft_task *task;
    int64_t deadline_ns;
    int *ret_result;
};

static int join_errand(void *arg)
{
    struct join *join = arg;
    return weft_task_join(join->task, join->deadline_ns, join->ret_result);
}

int weft_task_join(struct weft_task *task, int64_t deadline_ns, int *ret_result)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (!is_home(task->group)) {
        struct join join = {task, deadline_ns, ret_result};
        return run_at_home(task->group, join_errand, &join);
    }
    if (!task->done && deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    int result = task->result;
    if (!task->done) {
        struct weft_waiter waiter = {.target = &result};
        self->waits_for = "the end of a task";
        err = weft_park_in(self, &task->joiners, &waiter, deadline_ns, WEFT_PARK_CANCELLABLE);
    }
    if (err == 0)
        *ret_result = result;
    return err;
}

/* The task that weft_group_next gives out next, NULL when none has ended. */
static struct weft_task *untaken(const struct weft_group *group)
{
    return group->last_taken ? group->last_taken->completed : group->first_completed;
}

int weft_group_next(struct weft_group *group, struct weft_task **ret_task, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0 && !is_home(group))
        err = -EPERM;
    while (err == 0 && !untaken(group)) {
        struct weft_waiter waiter;
        if (group->live == 0)
            return -ENOENT;
        if (deadline_ns == WEFT_NOWAIT)
            return -EAGAIN;
        self->waits_for = "the next task of a group";
        err = weft_park_in(self, &group->nexters, &waiter, deadline_ns, WEFT_PARK_CANCELLABLE);
    }
    if (err < 0)
        return err;
    *ret_task = group->last_taken = untaken(group);
    return 0;
}

/* Wait until no child is left; when the caller is cancelled, hand that on and wait all the same.
 * The caller's scope need not be around the group's, so it is handed on by hand. */
static void join_children(struct weft_group *group, struct weft_fiber *self)
{
    struct weft_waiter waiter;
    while (group->live > 0) {
        bool cancelled = weft_fiber_cancelled(self);
        if (cancelled)
            weft_scope_cancel_from_outside(&group->scope, self->scope->reason);
        self->waits_for = "the end of a group";
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
    if (!self || !is_home(group))
        return -EPERM;
    join_children(group, self);
    int result = group_result(group);
    if (self->worker->debug && group->lost > 0)
        weft_debug_lost_failures(group);
    weft_list_unlink(&group->open);
    weft_scope_detach(&group->scope);
    weft_scope_cancel(&group->scope, 0); /* a later weft_spawn is refused */
    return result;
}

void weft_group_cancel(struct weft_group *group, int reason)
{
    weft_scope_cancel(&group->scope, reason);
}

void weft_group_close(struct weft_group *group)
{
    weft_group_cancel(group, 0);
    (void)weft_group_wait(group);
}

unsigned weft_group_failures(const struct weft_group *group)
{
    return group->failures;
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
