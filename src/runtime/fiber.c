/* SPDX-License-Identifier: MIT
 * fiber.c - see fiber.h. */
#include <os/stack_mark.h>
#include <runtime/local.h>
#include <runtime/runtime.h>

#include <stdlib.h>
#include <string.h>

static void report_end(struct weft_worker *worker, struct weft_fiber *self, int result)
{
    weft_list_unlink(&self->sibling);
    if (self->remote) {
        self->remote->plan.starter = self->starter;
        weft_remote_ended(self->remote, result);
    } else if (self->group) {
        weft_group_child_ended(self->group, self->task, self->name, self->starter, result);
    } else {
        weft_runtime_stop(worker->runtime, result);
    }
}

static _Noreturn void end_fiber(struct weft_worker *worker, struct weft_fiber *self)
{
    weft_note(&worker->fibers, worker->fibers - 1);
    weft_sanitizer_bury(&worker->grave, &self->context.sanitizer);
    weft_stack_release(self->stacks, self->stack);
    weft_switch_away(worker, self, true); /* nobody can take the stack before this */
    abort();                              /* an ended fiber was resumed */
}

static void fiber_main(void *arg)
{
    struct weft_fiber *self = arg;
    struct weft_worker *worker = self->worker;
    weft_sanitizer_arrive(&self->context.sanitizer);
    const struct weft_scope *outermost = self->scope;
    int result = self->fn(self->arg);
    if (weft_current_worker != worker)
        weft_misuse("a fiber returned in a child of fork(): end it with _exit or exec");
    if (self->scope != outermost || !weft_list_empty(&self->groups))
        weft_misuse("a fiber ended inside a scope or group of its own");
    if (self->holds > 0)
        weft_misuse("a fiber ended holding a mutex or a write lock");
    if (self->locals)
        weft_locals_release(&self->locals);
    report_end(worker, self, result);
    end_fiber(worker, self);
}

static void wake_arrived(struct weft_mail *mail)
{
    struct weft_fiber *fiber = weft_container_of(mail, struct weft_fiber, mail);
    weft_run_push(fiber->worker, fiber);
}

/* The smallest class of stacks that is large enough; NULL when there is none. */
static struct weft_stack_pool *choose_stacks(struct weft_worker *worker, size_t bytes)
{
    if (bytes == 0 || bytes == worker->stacks.usable_bytes)
        return &worker->stacks;
    for (size_t i = 0; i < WEFT_STACK_CLASSES; i++) {
        if (bytes <= worker->stacks_of[i].usable_bytes)
            return &worker->stacks_of[i];
    }
    return NULL;
}

struct weft_fiber *weft_fiber_start(struct weft_worker *worker, const struct weft_fiber_plan *plan)
{
    struct weft_stack_pool *stacks = choose_stacks(worker, plan->stack_bytes);
    char *stack = stacks ? weft_stack_acquire(stacks) : NULL;
    if (!stack)
        return NULL;
    if (worker->debug)
        weft_stack_mark(stack, stacks->usable_bytes);
    size_t room = (stacks->usable_bytes - sizeof(struct weft_fiber)) & ~(size_t)63;
    struct weft_fiber *fiber = (struct weft_fiber *)(void *)(stack + room);
    void *arg = plan->arg;
    if (plan->copy_bytes > 0) {
        room = (room - plan->copy_bytes) & ~(size_t)63;
        arg = memcpy(stack + room, plan->copy, plan->copy_bytes);
    }
    weft_context_init(&fiber->context, stack, room, fiber_main, fiber);
    fiber->worker = worker;
    fiber->mail.deliver = wake_arrived;
    atomic_init(&fiber->parked, false);
    fiber->waits_for = NULL;
    fiber->clocked = 0;
    fiber->holds = 0;
    fiber->scope = plan->scope;
    weft_list_init(&fiber->in_scope);
    weft_list_init(&fiber->sibling);
    weft_list_init(&fiber->groups);
    fiber->timer = (struct weft_timer){0};
    fiber->group = NULL;
    fiber->remote = NULL;
    fiber->task = NULL;
    fiber->starter = plan->starter;
    fiber->locals = plan->locals;
    fiber->fn = plan->fn;
    fiber->arg = arg;
    fiber->stack = stack;
    fiber->stacks = stacks;
    fiber->name = plan->name;
    fiber->spawned_at = plan->spawned_at;
    weft_note(&worker->fibers, worker->fibers + 1);
    weft_note(&worker->spawned, worker->spawned + 1);
    weft_run_push(worker, fiber);
    return fiber;
}
