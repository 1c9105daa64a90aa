/* SPDX-License-Identifier: MIT
 * wait_tasks.c - wait for some of a group's tasks, by themselves or in weft_select. See
 * weft/group.h and weft/select.h. */
#include <runtime/case.h>

#include <errno.h>

/* ---- several tasks of one group -------------------------------------------------------- */

enum until {
    ONE_ENDED,
    ONE_FAILED,
    ALL_ENDED,
};

struct watch {
    const struct weft_task *tasks;
    size_t count, ended;
    const struct weft_task *seen; /* the last that was looked at, in the order of completion */
    enum until until;
};

/* Count the tasks whose spawn was refused: they have ended, but not as children of the group.
 * Returns an index when one is enough, -EAGAIN, -EINVAL (not all are tasks of the group) */
static int look_at_refused(struct watch *watch, const struct weft_group *group)
{
    int first = -EAGAIN;
    for (size_t i = 0; i < watch->count; i++) {
        const struct weft_task *task = &watch->tasks[i];
        if (task->group != group)
            return -EINVAL;
        if (!task->refused)
            continue;
        watch->ended++;
        if (first == -EAGAIN && watch->until != ALL_ENDED)
            first = (int)i;
    }
    return first;
}

/* Look at what has ended since. Returns an index, -ENOENT (all have ended without it), -EAGAIN */
static int look(struct watch *watch, const struct weft_group *group)
{
    const struct weft_task *task;
    while (watch->ended < watch->count && (task = weft_group_completed(group, watch->seen))) {
        watch->seen = task;
        if (task < watch->tasks || task >= watch->tasks + watch->count)
            continue;
        watch->ended++;
        if (watch->until == ONE_ENDED || (watch->until == ONE_FAILED && task->result < 0))
            return (int)(task - watch->tasks);
    }
    return watch->ended == watch->count || group->live == 0 ? -ENOENT : -EAGAIN;
}

static int wait_tasks(struct weft_task *tasks, size_t count, enum until until, int64_t deadline_ns)
{
    struct watch watch = {.tasks = tasks, .count = count, .until = until};
    struct weft_fiber *self;
    struct weft_waiter waiter;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (count == 0 || count > INT_MAX)
        return count == 0 ? -ENOENT : -EINVAL;
    struct weft_group *group = tasks[0].group;
    if (!group)
        return -EINVAL;
    if (group->scope.home != weft_current_worker)
        return -EPERM;
    int index = look_at_refused(&watch, group);
    if (index != -EAGAIN)
        return index;
    for (;;) {
        index = look(&watch, group);
        if (index != -EAGAIN || deadline_ns == WEFT_NOWAIT)
            return index;
        self->waits_for = "tasks of a group";
        err = weft_park_in(self, &group->nexters, &waiter, deadline_ns, WEFT_PARK_CANCELLABLE);
        if (err < 0)
            return err;
    }
}

int weft_wait_first(struct weft_task *tasks, size_t count, int64_t deadline_ns)
{
    return wait_tasks(tasks, count, ONE_ENDED, deadline_ns);
}

int weft_wait_first_failed(struct weft_task *tasks, size_t count, int64_t deadline_ns)
{
    return wait_tasks(tasks, count, ONE_FAILED, deadline_ns);
}

int weft_wait_all(struct weft_task *tasks, size_t count, int64_t deadline_ns)
{
    int err = wait_tasks(tasks, count, ALL_ENDED, deadline_ns);
    return err == -ENOENT ? 0 : err;
}

/* ---- one, in weft_select ---------------------------------------------------------------- */

static int permit(const struct weft_case *c)
{
    const struct weft_task *task = c->object;
    const struct weft_worker *here = weft_current_worker;
    if (!task->group)
        return -EINVAL; /* never spawned */
    return here && task->group->scope.home == here ? 0 : -EPERM;
}

static int attempt(struct weft_case *c, struct weft_waiter **ret_served)
{
    const struct weft_task *task = c->object;
    (void)ret_served;
    c->outcome = task->result;
    return task->done ? 0 : WEFT_WOULD_WAIT;
}

static bool ready(const struct weft_case *c, const struct weft_fiber *self)
{
    const struct weft_task *task = c->object;
    (void)self;
    return task->done;
}

static struct weft_link *queue(struct weft_case *c)
{
    struct weft_task *task = c->object;
    c->target = &c->outcome; /* the task may be gone when we run again */
    return &task->joiners;
}

static int outcome(const struct weft_case *c)
{
    return c->outcome;
}

struct weft_case weft_case_task(struct weft_task *task)
{
    static const struct weft_case_ops ops = {
        .permit = permit, .attempt = attempt, .ready = ready, .queue = queue, .outcome = outcome};
    return (struct weft_case){.ops = &ops, .object = task};
}
