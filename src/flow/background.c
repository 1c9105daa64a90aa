/* SPDX-License-Identifier: MIT
 * background.c - see weft/background.h. */
#include <base/time.h>
#include <runtime/worker.h>

#include <weft/background.h>

#include <stdlib.h>

#define TASKS_DEFAULT 10000u

/* On the heap; freed by the fiber that runs it. */
struct task {
    struct weft_link link; /* in background->tasks */
    struct weft_background *background;
    struct weft_scope *scope; /* NULL until it runs */
    struct weft_background_task info;
    bool cancelled;
    int (*fn)(void *);
    void *arg;
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
    };
    weft_list_init(&background->tasks);
    weft_list_init(&background->sleepers);
    weft_list_init(&background->stoppers);
    return weft_group_init(&background->group, &group);
}

static void forget_task(struct task *task, int result)
{
    struct weft_background *background = task->background;
    if (result < 0 && !(task->cancelled || background->group.scope.cause)) {
        background->failed++;
        background->last_failure = result;
    }
    weft_list_unlink(&task->link);
    free(task);
    if (--background->running == 0)
        weft_wake_all(&background->stoppers, 0);
}

static int run_task(void *arg)
{
    struct task *task = arg;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    task->scope = &scope;
    if (task->cancelled)
        weft_scope_cancel(&scope, 0);
    int result = weft_scope_leave(&scope, task->fn(task->arg));
    forget_task(task, result);
    return result;
}

static bool is_home(const struct weft_background *background)
{
    return background->group.scope.home == weft_current_worker;
}

int64_t weft_background_start(struct weft_background *background, int (*fn)(void *), void *arg,
                              const char *name)
{
    if (!is_home(background))
        return -EPERM;
    if (background->stopping)
        return -ESHUTDOWN;
    if (background->running >= background->tasks_max)
        return WEFT_EFULL;
    struct task *task = malloc(sizeof *task);
    if (!task)
        return -ENOMEM;
    *task = (struct task){.background = background, .fn = fn, .arg = arg};
    task->info = (struct weft_background_task){
        .id = background->started + 1, .name = name, .started_at_ns = weft_now()};
    const struct weft_spawn_options options = {.name = name};
    int err = weft_spawn_with(&background->group, run_task, task, &options);
    if (err < 0) {
        free(task);
        return err;
    }
    weft_list_append(&background->tasks, &task->link);
    background->running++;
    return (int64_t)++background->started;
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

int weft_background_sleep(struct weft_background *background, int64_t duration_ns)
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
    int64_t until_ns = weft_time_after(weft_now(), duration_ns);
    self->waits_for = "time to pass, or the shutdown";
    err = weft_park_in(self, &background->sleepers, &waiter, until_ns, WEFT_PARK_CANCELLABLE);
    return err == -ETIMEDOUT ? 0 : err;
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
