/* SPDX-License-Identifier: MIT
 * background.c - see weft/background.h. */
#include <base/time.h>
#include <flow/pattern.h>
#include <flow/periodic_core.h>
#include <runtime/worker.h>

#include <weft/background.h>

#include <stdlib.h>

#define TASKS_DEFAULT       10000u
#define BACKOFF_MAX_DEFAULT (60 * WEFT_SEC)

/* What a periodic task has besides. */
struct periodic {
    struct weft_periodic_core core;
    struct weft_periodic_options options;
    struct weft_random random;
};

/* On the heap; freed by the fiber that runs it. */
struct task {
    struct weft_link link; /* in background->tasks */
    struct weft_background *background;
    struct weft_scope *scope; /* NULL until it runs */
    struct weft_background_task info;
    bool cancelled;
    int (*fn)(void *);
    void *arg;
    struct periodic *periodic; /* NULL: it runs once */
};

int weft_background_init(struct weft_background *background,
                         const struct weft_background_options *options)
{
    static const struct weft_background_options defaults;
    if (!options)
        options = &defaults;
    const struct weft_group_options group = {.policy = WEFT_SUPERVISE, .name = options->name};
    *background = (struct weft_background){
        .tasks_max = options->tasks_max ? options->tasks_max : TASKS_DEFAULT,
        .on_event = options->on_event,
        .on_event_arg = options->on_event_arg,
    };
    weft_list_init(&background->tasks);
    weft_list_init(&background->sleepers);
    weft_list_init(&background->stoppers);
    return weft_group_init(&background->group, &group);
}

static bool is_home(const struct weft_background *background)
{
    return background->group.scope.home == weft_current_worker;
}

static void free_task(struct task *task)
{
    free(task->periodic);
    free(task);
}

static void count_result(const struct task *task, int result)
{
    struct weft_background *background = task->background;
    if (result >= 0 || task->cancelled || background->group.scope.cause)
        return;
    background->failed++;
    background->last_failure = result;
    const struct weft_background_event event = {
        .name = task->info.name, .at_ns = weft_now(), .id = task->info.id, .result = result};
    if (background->on_event)
        background->on_event(background->on_event_arg, &event);
}

static void forget_task(struct task *task)
{
    struct weft_background *background = task->background;
    weft_list_unlink(&task->link);
    free_task(task);
    if (--background->running == 0)
        weft_wake_all(&background->stoppers, 0);
}

/* Returns 0 at until_ns, -ESHUTDOWN as soon as the keeper stops, -ECANCELED, -EPERM. */
static int sleep_until(struct weft_background *background, int64_t until_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = weft_enter(&self);
    if (err == 0 && !is_home(background))
        err = -EPERM;
    if (err == 0 && background->stopping)
        err = -ESHUTDOWN;
    if (err < 0)
        return err;
    self->waits_for = "time to pass, or the shutdown";
    err = weft_park_in(self, &background->sleepers, &waiter, until_ns, WEFT_PARK_CANCELLABLE);
    return err == -ETIMEDOUT ? 0 : err;
}

/* Returns when the next round begins, -1 for never. */
static int64_t end_round(struct task *task, int result)
{
    struct weft_background *background = task->background;
    struct weft_background_task *info = &task->info;
    struct periodic *periodic = task->periodic;
    bool failed = result < 0 && result != -ECANCELED;
    struct weft_periodic_event event = {WEFT_PERIODIC_FAILED, .name = info->name, .id = info->id,
                                        .result = result};
    event.at_ns = weft_now();
    event.next_at_ns = weft_periodic_core_next(&periodic->core, event.at_ns, failed,
                                               weft_pattern_draw(&periodic->random));
    info->rounds++;
    info->failed += failed;
    info->missed = periodic->core.missed;
    info->failed_in_a_row = event.failed_in_a_row = periodic->core.failed_in_a_row;
    info->last_result = result;
    background->rounds++;
    background->rounds_failed += failed;
    if (event.next_at_ns < 0)
        event.kind = WEFT_PERIODIC_GAVE_UP;
    if (failed && periodic->options.on_event)
        periodic->options.on_event(periodic->options.on_event_arg, &event);
    return event.next_at_ns;
}

/* Returns 0 when the keeper stops, what the last round came to when it gives up, -ECANCELED. */
static int run_rounds(struct task *task)
{
    struct periodic *periodic = task->periodic;
    int64_t next_ns = weft_periodic_core_first(&periodic->core, task->info.started_at_ns,
                                               periodic->options.run_at_start,
                                               weft_pattern_draw(&periodic->random));
    for (;;) {
        task->info.next_at_ns = next_ns;
        int err = sleep_until(task->background, next_ns);
        if (err < 0)
            return err == -ESHUTDOWN ? 0 : err;
        task->info.next_at_ns = 0;
        int result = task->fn(task->arg);
        next_ns = end_round(task, result);
        if (next_ns < 0)
            return result;
    }
}

static int run_task(void *arg)
{
    struct task *task = arg;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    task->scope = &scope;
    if (task->cancelled)
        weft_scope_cancel(&scope, 0);
    int result = task->periodic ? run_rounds(task) : task->fn(task->arg);
    result = weft_scope_leave(&scope, result);
    task->scope = NULL;
    count_result(task, result);
    forget_task(task);
    return 0; /* it is counted and told: there is nothing for the group to keep */
}

static int may_start(const struct weft_background *background)
{
    if (!is_home(background))
        return -EPERM;
    if (background->stopping)
        return -ESHUTDOWN;
    return background->running < background->tasks_max ? 0 : WEFT_EFULL;
}

/* periodic: freed with the task, also when that is not started. */
static int64_t start_task(struct weft_background *background, const struct task *plan,
                          const char *name)
{
    struct task *task = malloc(sizeof *task);
    if (!task) {
        free(plan->periodic);
        return -ENOMEM;
    }
    *task = *plan;
    task->background = background;
    task->info = (struct weft_background_task){
        .id = background->started + 1, .name = name, .started_at_ns = weft_now()};
    if (task->periodic)
        task->info.period_ns = task->periodic->options.period_ns;
    const struct weft_spawn_options options = {.name = name};
    int err = weft_spawn_with(&background->group, run_task, task, &options);
    if (err < 0) {
        free_task(task);
        return err;
    }
    weft_list_append(&background->tasks, &task->link);
    background->running++;
    return (int64_t)++background->started;
}

int64_t weft_background_start(struct weft_background *background, int (*fn)(void *), void *arg,
                              const char *name)
{
    const struct task plan = {.fn = fn, .arg = arg};
    int err = may_start(background);
    return err < 0 ? err : start_task(background, &plan, name);
}

static bool valid(const struct weft_periodic_options *options)
{
    return options && options->period_ns > 0 && options->jitter >= 0 && options->jitter <= 1 &&
           options->backoff_ns >= 0 &&
           (options->backoff_max_ns == 0 || options->backoff_max_ns >= options->backoff_ns);
}

static int64_t backoff_max(const struct weft_periodic_options *options)
{
    if (options->backoff_max_ns > 0)
        return options->backoff_max_ns;
    return options->backoff_ns > BACKOFF_MAX_DEFAULT ? options->backoff_ns : BACKOFF_MAX_DEFAULT;
}

int64_t weft_background_every(struct weft_background *background,
                              const struct weft_periodic_options *options, int (*fn)(void *),
                              void *arg, const char *name)
{
    int err = may_start(background);
    if (err == 0 && !valid(options))
        err = -EINVAL;
    if (err < 0)
        return err;
    struct task plan = {.fn = fn, .arg = arg, .periodic = malloc(sizeof(struct periodic))};
    if (!plan.periodic)
        return -ENOMEM;
    *plan.periodic = (struct periodic){
        .options = *options,
        .core = {.period_ns = options->period_ns,
                 .backoff_ns = options->backoff_ns,
                 .backoff_max_ns = backoff_max(options),
                 .jitter = options->jitter,
                 .fixed_delay = options->fixed_delay,
                 .failures_max = options->failures_max},
    };
    weft_pattern_seed(&plan.periodic->random, options->seed);
    return start_task(background, &plan, name);
}

int weft_background_cancel(struct weft_background *background, uint64_t id)
{
    if (!is_home(background))
        return -EPERM;
    WEFT_LIST_FOR_EACH (link, &background->tasks) {
        struct task *task = weft_container_of(link, struct task, link);
        if (task->info.id != id)
            continue;
        task->cancelled = true;
        if (task->scope)
            weft_scope_cancel(task->scope, 0);
        return 0;
    }
    return -ENOENT;
}

unsigned weft_background_list(const struct weft_background *background,
                              struct weft_background_task *ret_tasks, unsigned tasks_max)
{
    unsigned len = 0;
    WEFT_LIST_FOR_EACH (link, &background->tasks) {
        if (len == tasks_max)
            break;
        ret_tasks[len++] = weft_container_of(link, struct task, link)->info;
    }
    return background->running;
}

int weft_background_stopping(const struct weft_background *background)
{
    return background->stopping;
}

int weft_background_snapshot(const struct weft_background *background,
                             struct weft_background_snapshot *ret_snapshot)
{
    if (!is_home(background))
        return -EPERM;
    *ret_snapshot = (struct weft_background_snapshot){
        .running = background->running,
        .tasks_max = background->tasks_max,
        .started = background->started,
        .failed = background->failed,
        .rounds = background->rounds,
        .rounds_failed = background->rounds_failed,
        .last_failure = background->last_failure,
        .stopping = background->stopping,
    };
    return 0;
}

int weft_background_sleep(struct weft_background *background, int64_t duration_ns)
{
    return sleep_until(background, weft_time_after(weft_now(), duration_ns));
}

static void wait_for_tasks(struct weft_background *background, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_waiter waiter;
    while (background->running > 0 && deadline_ns != WEFT_NOWAIT && weft_enter(&self) == 0) {
        self->waits_for = "the end of background tasks";
        if (weft_park_in(self, &background->stoppers, &waiter, deadline_ns, WEFT_PARK_CANCELLABLE) <
            0)
            return;
    }
}

int weft_background_stop(struct weft_background *background, int64_t deadline_ns)
{
    if (!is_home(background))
        return -EPERM;
    background->stopping = 1;
    weft_wake_all(&background->sleepers, -ESHUTDOWN);
    wait_for_tasks(background, deadline_ns);
    int forced = (int)background->running;
    weft_group_close(&background->group);
    return forced;
}
