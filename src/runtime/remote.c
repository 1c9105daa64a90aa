/* SPDX-License-Identifier: MIT
 * remote.c - tasks on other workers, and calls from threads outside. See runtime.h.
 *
 * The record goes from home to target and back by mail; life.h says who may touch it when. */
#include <runtime/local.h>
#include <runtime/runtime.h>

#include <stdlib.h>
#include <string.h>

#define GUESTS_MAX (1u << 20) /* tasks away from home, started or not, and calls from outside */

static struct weft_remote *remote_of(struct weft_mail *mail)
{
    return weft_container_of(mail, struct weft_remote, mail);
}

/* ---- on the worker that runs it -------------------------------------------------------- */

static void end_arrived(struct weft_mail *mail);

static void send_home(struct weft_remote *remote)
{
    remote->mail.deliver = end_arrived;
    weft_worker_send(remote->home, &remote->mail);
}

static void answer_caller(struct weft_remote *remote)
{
    struct weft_runtime *runtime = remote->target->runtime;
    __atomic_store_n(&remote->done, 1, __ATOMIC_RELEASE);
    weft_futex_wake_one(&remote->done); /* gone by now perhaps: then nobody sleeps there */
    weft_runtime_guest_left(runtime);
}

void weft_remote_ended(struct weft_remote *remote, int result)
{
    remote->result = result;
    weft_scope_detach(&remote->scope);
    if (!remote->group)
        answer_caller(remote);
    else if (weft_life_end(&remote->life))
        send_home(remote);
}

static void start(struct weft_remote *remote)
{
    struct weft_worker *worker = remote->target;
    struct weft_scope *around = remote->group ? NULL : &worker->root;
    weft_scope_attach(&remote->scope, around, WEFT_FOREVER, WEFT_SCOPE_REMOTE);
    if (weft_life_cancelled(&remote->life))
        weft_scope_cancel_from_outside(&remote->scope, remote->reason);
    struct weft_fiber *fiber = weft_fiber_start(worker, &remote->plan);
    if (!fiber) {
        weft_locals_release(&remote->plan.locals);
        weft_remote_ended(remote, -ENOMEM);
        return;
    }
    fiber->remote = remote;
    weft_list_append(&worker->guests, &fiber->sibling);
}

static void order_arrived(struct weft_mail *mail)
{
    start(remote_of(mail));
}

static void cancel_arrived(struct weft_mail *mail)
{
    struct weft_remote *remote = weft_container_of(mail, struct weft_remote, cancel_mail);
    if (weft_life_cancel_arrived(&remote->life))
        send_home(remote);
    else
        weft_scope_cancel_from_outside(&remote->scope, remote->reason);
}

bool weft_remote_take(struct weft_worker *worker)
{
    struct weft_runtime *runtime = worker->runtime;
    struct weft_remote *remote = NULL;
    weft_lock(&runtime->unstarted_lock);
    if (!weft_list_empty(&runtime->unstarted)) {
        remote = weft_container_of(runtime->unstarted.next, struct weft_remote, unstarted);
        weft_list_unlink(&remote->unstarted);
        __atomic_store_n(&runtime->unstarted_len, runtime->unstarted_len - 1, __ATOMIC_SEQ_CST);
        remote->target = worker;
    }
    weft_unlock(&runtime->unstarted_lock);
    if (!remote)
        return false;
    start(remote);
    return true;
}

/* ---- on the group's worker ------------------------------------------------------------- */

static void end_arrived(struct weft_mail *mail)
{
    struct weft_remote *remote = remote_of(mail);
    struct weft_runtime *runtime = remote->home->runtime;
    weft_list_unlink(&remote->in_group);
    weft_group_child_ended(remote->group, remote->task, remote->plan.name, remote->plan.starter,
                           remote->result);
    free(remote);
    weft_runtime_guest_left(runtime);
}

void weft_remote_cancel(struct weft_remote *remote, int reason)
{
    struct weft_runtime *runtime = remote->home->runtime;
    remote->reason = reason;
    weft_lock(&runtime->unstarted_lock);
    struct weft_worker *target = remote->target;
    bool send = target && weft_life_cancel(&remote->life);
    if (!target)
        (void)weft_life_cancel_at_once(&remote->life);
    weft_unlock(&runtime->unstarted_lock);
    if (send)
        weft_worker_send(target, &remote->cancel_mail);
}

/* Returns 0 or WEFT_EFULL */
static int count_guest(struct weft_runtime *runtime)
{
    if (__atomic_add_fetch(&runtime->guests, 1, __ATOMIC_SEQ_CST) <= GUESTS_MAX)
        return 0;
    weft_runtime_guest_left(runtime);
    return WEFT_EFULL;
}

static void offer_to_anybody(struct weft_runtime *runtime, struct weft_remote *remote)
{
    weft_lock(&runtime->unstarted_lock);
    weft_list_append(&runtime->unstarted, &remote->unstarted);
    __atomic_store_n(&runtime->unstarted_len, runtime->unstarted_len + 1, __ATOMIC_SEQ_CST);
    weft_unlock(&runtime->unstarted_lock);
    /* One sleeper is enough: it takes what is there for as long as it has nothing else to do. */
    for (unsigned i = 0; i < runtime->workers_len; i++) {
        if (weft_worker_rouse(&runtime->workers[i]))
            break;
    }
}

static struct weft_remote *make_remote(struct weft_group *group, struct weft_task *task,
                                       const struct weft_fiber_plan *plan)
{
    struct weft_remote *remote = calloc(1, sizeof *remote + plan->copy_bytes);
    if (!remote)
        return NULL;
    remote->group = group;
    remote->task = task;
    remote->home = weft_current_worker;
    remote->outer_deadline_ns = weft_scope_outer_deadline(&group->scope);
    remote->plan = *plan;
    remote->plan.scope = &remote->scope;
    if (plan->copy_bytes > 0) {
        memcpy(remote->copy, plan->copy, plan->copy_bytes);
        remote->plan.copy = remote->copy;
    }
    remote->mail.deliver = order_arrived;
    remote->cancel_mail.deliver = cancel_arrived;
    weft_list_init(&remote->unstarted);
    return remote;
}

int weft_remote_spawn(struct weft_group *group, struct weft_task *task, int worker,
                      const struct weft_fiber_plan *plan)
{
    struct weft_runtime *runtime = weft_current_worker->runtime;
    int err = count_guest(runtime);
    if (err < 0)
        return err;
    struct weft_remote *remote = make_remote(group, task, plan);
    if (!remote) {
        weft_runtime_guest_left(runtime);
        return -ENOMEM;
    }
    weft_list_append(&group->scope.remotes, &remote->in_group);
    if (worker == WEFT_ANY_WORKER) {
        offer_to_anybody(runtime, remote);
    } else {
        remote->target = &runtime->workers[worker - WEFT_WORKER(0)];
        weft_worker_send(remote->target, &remote->mail);
    }
    return 0;
}

/* ---- on a thread outside --------------------------------------------------------------- */

int weft_remote_call(struct weft_runtime *runtime, int (*fn)(void *), void *arg)
{
    struct weft_remote remote = {
        .plan = {.fn = fn, .arg = arg, .name = "call", .scope = &remote.scope},
        .outer_deadline_ns = WEFT_FOREVER,
    };
    int err = count_guest(runtime);
    if (err < 0)
        return err;
    if (__atomic_load_n(&runtime->stopping, __ATOMIC_SEQ_CST)) {
        weft_runtime_guest_left(runtime);
        return -ESHUTDOWN;
    }
    offer_to_anybody(runtime, &remote);
    while (!__atomic_load_n(&remote.done, __ATOMIC_ACQUIRE))
        (void)weft_futex_wait(&remote.done, 0, WEFT_FOREVER);
    return remote.result;
}
