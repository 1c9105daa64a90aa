/* SPDX-License-Identifier: MIT
 * group.c - fibers that end before their group does. See weft/group.h. */
#include <runtime/debug.h>
#include <runtime/local.h>
#include <runtime/runtime.h>

#define COPY_BYTES_MAX 4096u
#define STACK_MAX      ((size_t)1 << 20)

static const struct weft_group_options group_defaults;

static void open_group(struct weft_group *group, const struct weft_group_options *options,
                       struct weft_fiber *self, unsigned scope_flags)
{
    *group = (struct weft_group){
        .opener = self,
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
                      options->deadline_ns ? options->deadline_ns : WEFT_FOREVER, scope_flags);
}

int weft_group_init(struct weft_group *group, const struct weft_group_options *options)
{
    struct weft_fiber *self = weft_self();
    if (!options)
        options = &group_defaults;
    if (!self)
        return -EPERM;
    if (options->policy == WEFT_QUORUM && options->quorum == 0)
        return -EINVAL;
    open_group(group, options, self, 0);
    return 0;
}

/* ---- work on the group's own worker, asked for from another ----------------------------- */

static bool is_home(const struct weft_group *group)
{
    return group->scope.home == weft_current_worker;
}

static int spawn(struct weft_group *group, const struct weft_spawn_options *options,
                 struct weft_fiber_plan *plan);

static void init_task(struct weft_task *task, struct weft_group *group)
{
    *task = (struct weft_task){.group = group};
    weft_list_init(&task->joiners);
}

/* Run fn(arg) as a fiber of the group's worker, and wait for it. Shielded, because at home who is
 * cancelled gets that far too; weft_group_wait hands the cancellation on, to where fn waits. */
static int run_at_home(const struct weft_group *group, int (*fn)(void *), void *arg)
{
    struct weft_group errand;
    struct weft_task task;
    struct weft_spawn_options options = {
        .worker = WEFT_WORKER((int)group->scope.home->index),
        .task = &task,
    };
    struct weft_fiber_plan plan = {.scope = &errand.scope, .fn = fn, .arg = arg, .name = "errand"};
    open_group(&errand, &group_defaults, weft_current_worker->current, WEFT_SCOPE_SHIELD);
    init_task(&task, &errand);
    int err = spawn(&errand, &options, &plan);
    (void)weft_group_wait(&errand);
    return err < 0 ? err : task.result;
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
    err = runs_here(options->worker)
              ? start_here(group, options->task, plan)
              : weft_remote_spawn(group, options->task, options->worker, plan);
    if (err < 0)
        give_place_back(group);
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

static void answer_joiners(struct weft_task *task, int result)
{
    task->result = result;
    task->done = 1;
    /* *task may be gone when a joiner runs, so it gets the result now. */
    WEFT_LIST_FOR_EACH (link, &task->joiners)
        *(int *)weft_container_of(link, struct weft_waiter, link)->target = result;
    weft_wake_all(&task->joiners, 0);
}

/* It has no place in the order of completion: the caller may well use the task for another try. */
static void refuse(struct weft_task *task, int err)
{
    task->refused = 1;
    answer_joiners(task, err);
}

int weft_group_spawn(struct weft_group *group, const struct weft_spawn_options *options,
                     struct weft_fiber_plan *plan)
{
    const struct weft_fiber *self = weft_self();
    int err = self ? 0 : -EPERM;
    if (options->task)
        init_task(options->task, group);
    plan->scope = &group->scope;
    plan->copy = plan->arg;
    plan->copy_bytes = options->copy_bytes;
    plan->stack_bytes = options->stack_bytes;
    plan->name = options->name;
    if (err == 0 && !valid_options(options))
        err = -EINVAL;
    if (err == 0 && self->locals)
        err = weft_locals_inherit(self, &plan->locals);
    if (err == 0)
        err =
            is_home(group) ? spawn(group, options, plan) : spawn_from_abroad(group, options, plan);
    if (err < 0)
        weft_locals_release(&plan->locals);
    if (err < 0 && options->task)
        refuse(options->task, err);
    return err;
}

/* Of a public function: it says where in the program its caller is. */
#define PLAN(fn_, arg_)                                                                            \
    (struct weft_fiber_plan)                                                                       \
    {                                                                                              \
        .fn = (fn_), .arg = (arg_), .spawned_at = __builtin_return_address(0)                      \
    }

int weft_spawn(struct weft_group *group, int (*fn)(void *), void *arg)
{
    static const struct weft_spawn_options defaults;
    return weft_group_spawn(group, &defaults, &PLAN(fn, arg));
}

int weft_spawn_task(struct weft_group *group, struct weft_task *task, int (*fn)(void *), void *arg)
{
    const struct weft_spawn_options options = {.task = task};
    return weft_group_spawn(group, &options, &PLAN(fn, arg));
}

int weft_spawn_with(struct weft_group *group, int (*fn)(void *), void *arg,
                    const struct weft_spawn_options *options)
{
    static const struct weft_spawn_options defaults;
    return weft_group_spawn(group, options ? options : &defaults, &PLAN(fn, arg));
}

/* ---- a child ends ---------------------------------------------------------------------- */

static void finish_task(struct weft_group *group, struct weft_task *task, int result)
{
    if (group->last_completed)
        group->last_completed->completed = task;
    else
        group->first_completed = task;
    group->last_completed = task;
    answer_joiners(task, result);
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

/* What one child's result means for the group. A success counts whenever it comes; a failure after
 * the group was cancelled is the cancellation's. */
static void apply_policy(struct weft_group *group, int result, const char *name, bool heard)
{
    bool cancelled = group->scope.cause != 0;
    if (result >= 0 && group->successes++ == 0)
        group->first_success = result;
    else if (result < 0 && cancelled)
        group->cut++;
    else if (result < 0)
        keep_failure(group, result, name, heard);

    bool failed = group->policy == WEFT_FAIL_FAST && result < 0;
    bool won = group->policy == WEFT_RACE && result >= 0;
    bool enough = group->policy == WEFT_QUORUM && group->successes == group->quorum;
    if (!cancelled && (failed || won || enough))
        weft_scope_cancel(&group->scope, result);
}

void weft_group_child_ended(struct weft_group *group, struct weft_task *task, const char *name,
                            struct weft_starter *starter, int result)
{
    if (task)
        finish_task(group, task, result);
    if (!starter)
        apply_policy(group, result, name, task);
    give_place_back(group);
    if (starter)
        weft_starter_ended(starter, result);
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
    if (!task->group)
        return -EINVAL; /* never spawned */
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

/* The table in weft/group.h, first row first. */
static int group_result(const struct weft_group *group)
{
    bool race = group->policy == WEFT_RACE, quorum = group->policy == WEFT_QUORUM;
    int verdict = weft_scope_verdict(&group->scope);
    bool by_choice = group->scope.cause && verdict == 0;
    if (race && group->successes > 0)
        return group->first_success;
    if (quorum && group->successes >= group->quorum)
        return 0;
    if (verdict < 0 && group->cut > 0)
        return verdict;
    if (group->failures > 0)
        return group->first_failure;
    return (race || quorum) && !by_choice ? -EINVAL : 0;
}

/* Returns 0, -EPERM (somebody else's group), -EDEADLK (it would wait for itself) */
static int may_wait(const struct weft_group *group, const struct weft_fiber *self)
{
    if (!self)
        return -EPERM;
    if (self->group == group || (self->remote && self->remote->group == group))
        return -EDEADLK;
    return self == group->opener ? 0 : -EPERM;
}

int weft_group_wait(struct weft_group *group)
{
    struct weft_fiber *self = weft_self();
    int err = may_wait(group, self);
    if (err < 0)
        return err;
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
    if (may_wait(group, weft_self()) < 0)
        weft_misuse("weft_group_close by another fiber than the one that opened the group");
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
