/* SPDX-License-Identifier: MIT
 * worker.c - the scheduler of one thread. See worker.h.
 *
 * A fiber that waits switches straight to the next runnable one. The scheduler, on the thread's
 * own stack, runs when there is none, and after every SWITCHES_MAX switches: it takes in what
 * other threads have woken, fires timers and looks at the reactor. */
#include <os/clock.h>
#include <runtime/resolve.h>
#include <runtime/worker.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SWITCHES_MAX     64u
#define BUDGET           128u
#define POLL_INTERVAL_NS (50 * WEFT_USEC) /* between looks at the reactor while fibers run */
#define READY_MAX        128
#define STACK_DEFAULT    ((size_t)64 << 10)
#define OFFLOAD_DEFAULT  4u
#define OFFLOAD_MAX      1024u
#define OFFLOAD_QUEUE    65536u
#define VIRTUAL_START_NS WEFT_SEC /* a virtual clock begins above 0, as promised by weft_now */

_Thread_local struct weft_worker *weft_current_worker;

int64_t weft_worker_now(const struct weft_worker *worker)
{
    return worker->clock == WEFT_CLOCK_VIRTUAL ? worker->virtual_now_ns : weft_clock_monotonic_ns();
}

/* ---- run queue ------------------------------------------------------------------------- */

static void run_push(struct weft_worker *worker, struct weft_fiber *fiber)
{
    fiber->next = NULL;
    if (worker->run_last)
        worker->run_last->next = fiber;
    else
        worker->run_first = fiber;
    worker->run_last = fiber;
}

static struct weft_fiber *run_pop(struct weft_worker *worker)
{
    struct weft_fiber *fiber = worker->run_first;
    if (fiber) {
        worker->run_first = fiber->next;
        if (!worker->run_first)
            worker->run_last = NULL;
    }
    return fiber;
}

/* Who runs after the current fiber, or NULL for the scheduler. */
static struct weft_fiber *choose_next(struct weft_worker *worker)
{
    if (worker->switches_left == 0)
        return NULL;
    worker->switches_left--;
    return run_pop(worker);
}

/* Leave the current fiber, until somebody makes it runnable again or forever. Never inlined: with
 * one place that switches, every return after a switch is where the processor expects it. */
__attribute__((noinline)) static void switch_away(struct weft_worker *worker,
                                                  struct weft_fiber *self, bool forever)
{
    struct weft_fiber *next = choose_next(worker);
    if (next == self)
        return;
    worker->current = next;
    weft_context_switch(&self->context, next ? &next->context : &worker->scheduler, forever);
}

/* ---- life of a fiber ------------------------------------------------------------------- */

static _Noreturn void end_fiber(struct weft_worker *worker, struct weft_fiber *self)
{
    worker->fibers--;
    weft_sanitizer_bury(&worker->grave, &self->context.sanitizer);
    weft_stack_release(&worker->stacks, self->stack);
    switch_away(worker, self, true); /* nobody can take the stack before this */
    abort();                         /* an ended fiber was resumed */
}

static void fiber_main(void *arg)
{
    struct weft_fiber *self = arg;
    weft_sanitizer_arrive(&self->context.sanitizer);
    const struct weft_scope *outermost = self->scope;
    int result = self->fn(self->arg);
    if (self->scope != outermost || self->groups_open > 0)
        weft_misuse("a fiber ended inside a scope or group of its own");
    weft_group_child_ended(self, result);
    end_fiber(self->worker, self);
}

struct weft_fiber *weft_fiber_start(struct weft_worker *worker, struct weft_scope *scope,
                                    int (*fn)(void *), void *arg)
{
    char *stack = weft_stack_acquire(&worker->stacks);
    if (!stack)
        return NULL;
    size_t room = (worker->stacks.usable_bytes - sizeof(struct weft_fiber)) & ~(size_t)63;
    struct weft_fiber *fiber = (struct weft_fiber *)(void *)(stack + room);
    weft_context_init(&fiber->context, stack, room, fiber_main, fiber);
    fiber->worker = worker;
    atomic_init(&fiber->parked, false);
    fiber->scope = scope;
    weft_list_init(&fiber->in_scope);
    weft_list_init(&fiber->sibling);
    fiber->timer = (struct weft_timer){0};
    fiber->group = NULL;
    fiber->task = NULL;
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->stack = stack;
    fiber->groups_open = 0;
    worker->fibers++;
    run_push(worker, fiber);
    return fiber;
}

/* ---- waiting --------------------------------------------------------------------------- */

int weft_enter(struct weft_fiber **ret_self)
{
    struct weft_fiber *self = weft_self();
    if (!self)
        return -EPERM;
    if (weft_fiber_cancelled(self))
        return -ECANCELED;
    *ret_self = self;
    return 0;
}

void weft_spend(struct weft_fiber *self, int64_t deadline_ns)
{
    struct weft_worker *worker = self->worker;
    if (deadline_ns == WEFT_NOWAIT || --worker->budget > 0)
        return;
    worker->budget = BUDGET;
    run_push(worker, self);
    switch_away(worker, self, false);
}

void weft_timer_arm(struct weft_worker *worker, struct weft_timer *timer, int64_t deadline_ns,
                    void (*fire)(struct weft_timer *timer))
{
    timer->deadline_ns = deadline_ns;
    timer->fire = fire;
    weft_heap_push(&worker->timers, timer);
}

void weft_timer_disarm(struct weft_worker *worker, struct weft_timer *timer)
{
    weft_heap_remove(&worker->timers, timer);
}

static void fiber_timer_fired(struct weft_timer *timer)
{
    struct weft_fiber *fiber = weft_container_of(timer, struct weft_fiber, timer);
    (void)weft_unpark(fiber, -ETIMEDOUT);
}

void weft_park_prepare(struct weft_fiber *self)
{
    atomic_store_explicit(&self->parked, true, memory_order_relaxed);
}

void weft_park_abandon(struct weft_fiber *self)
{
    atomic_store_explicit(&self->parked, false, memory_order_relaxed);
}

int weft_park(struct weft_fiber *self, int64_t deadline_ns, enum weft_park_kind kind)
{
    struct weft_worker *worker = self->worker;
    /* Cancellation is a level: the scope may have been cancelled since weft_enter looked. */
    if (kind == WEFT_PARK_CANCELLABLE && weft_fiber_cancelled(self) && weft_claim(self))
        return -ECANCELED;
    bool timed = deadline_ns != WEFT_FOREVER;
    if (timed)
        weft_timer_arm(worker, &self->timer, deadline_ns, fiber_timer_fired);
    if (kind == WEFT_PARK_CANCELLABLE)
        weft_list_append(&self->scope->waiting, &self->in_scope);

    switch_away(worker, self, false);

    if (timed)
        weft_timer_disarm(worker, &self->timer);
    if (kind == WEFT_PARK_CANCELLABLE)
        weft_list_unlink(&self->in_scope);
    worker->budget = BUDGET;
    return self->wake_result;
}

int weft_park_in(struct weft_fiber *self, struct weft_link *list, struct weft_waiter *waiter,
                 int64_t deadline_ns, enum weft_park_kind kind)
{
    waiter->fiber = self;
    weft_park_prepare(self);
    weft_list_append(list, &waiter->link);
    int result = weft_park(self, deadline_ns, kind);
    weft_list_unlink(&waiter->link);
    return result;
}

/* The inbox and `sleeping` are written and read in opposite order by the two sides, all of it
 * sequentially consistent: either the sleeper sees the fiber, or we see it asleep. */
static void inbox_push(struct weft_worker *worker, struct weft_fiber *fiber)
{
    /* Once the fiber is in the inbox it may run, end, and the runtime with it. */
    atomic_fetch_add_explicit(&worker->wakers, 1, memory_order_relaxed);
    struct weft_fiber *head = atomic_load_explicit(&worker->inbox, memory_order_relaxed);
    do {
        fiber->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&worker->inbox, &head, fiber,
                                                    memory_order_seq_cst, memory_order_relaxed));
    if (atomic_load(&worker->sleeping) && atomic_exchange(&worker->sleeping, false)) {
        /* Never read: every write is an edge of its own, and 2^64 of them do not happen. */
        uint64_t one = 1;
        ssize_t written = write(worker->wake_fd, &one, sizeof one);
        (void)written;
    }
    atomic_fetch_sub_explicit(&worker->wakers, 1, memory_order_release);
}

void weft_wake(struct weft_fiber *fiber, int result)
{
    fiber->wake_result = result;
    if (fiber->worker == weft_current_worker)
        run_push(fiber->worker, fiber);
    else
        inbox_push(fiber->worker, fiber);
}

bool weft_wake_first(struct weft_link *list, int result)
{
    while (!weft_list_empty(list)) {
        struct weft_waiter *waiter = weft_container_of(list->next, struct weft_waiter, link);
        weft_list_unlink(&waiter->link);
        if (weft_unpark(waiter->fiber, result))
            return true;
    }
    return false;
}

void weft_wake_all(struct weft_link *list, int result)
{
    while (weft_wake_first(list, result))
        ;
}

/* ---- the scheduler --------------------------------------------------------------------- */

static void take_inbox(struct weft_worker *worker)
{
    if (!atomic_load_explicit(&worker->inbox, memory_order_relaxed))
        return;
    struct weft_fiber *newest = atomic_exchange(&worker->inbox, NULL);
    struct weft_fiber *oldest = NULL;
    while (newest) {
        struct weft_fiber *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct weft_fiber *next = oldest->next;
        run_push(worker, oldest);
        oldest = next;
    }
}

static void fire_timers(struct weft_worker *worker, int64_t now_ns)
{
    struct weft_timer *timer;
    while ((timer = weft_heap_first(&worker->timers)) && timer->deadline_ns <= now_ns) {
        weft_heap_remove(&worker->timers, timer);
        timer->fire(timer);
    }
}

/* Let the reactor report, waiting at most timeout_ns; negative: without limit. */
static void poll_reactor(struct weft_worker *worker, int64_t timeout_ns)
{
    struct weft_ready ready[READY_MAX];
    int count = worker->poller_ops->wait(worker->poller, ready, READY_MAX, timeout_ns);
    if (count < 0)
        worker->broken = count;
    for (int i = 0; i < count; i++)
        weft_fd_event(&worker->fds, &ready[i]);
}

/* Every fiber waits and nothing can come: cancel them, so that they end; if they wait on even so,
 * give up. */
static void break_deadlock(struct weft_worker *worker)
{
    if (worker->deadlocked)
        worker->broken = -EDEADLK;
    worker->deadlocked = true;
    weft_scope_cancel(&worker->root);
}

static void sleep_until_woken(struct weft_worker *worker, int64_t timeout_ns)
{
    int err = weft_fd_watch(worker, worker->wake_fd); /* io_uring may have ended its poll */
    if (err < 0) {
        worker->broken = err;
        return;
    }
    atomic_store(&worker->sleeping, true);
    bool woken = atomic_load(&worker->inbox) != NULL;
    if (!woken)
        poll_reactor(worker, timeout_ns);
    atomic_store_explicit(&worker->sleeping, false, memory_order_relaxed);
}

/* No fiber is runnable. */
static void wait_for_work(struct weft_worker *worker, int64_t now_ns)
{
    const struct weft_timer *first = weft_heap_first(&worker->timers);
    bool is_virtual = worker->clock == WEFT_CLOCK_VIRTUAL;

    if (weft_stack_pool_trim(&worker->stacks) || is_virtual)
        poll_reactor(worker, 0);
    if (worker->run_first)
        return;
    if (!first && worker->outstanding == 0 && worker->fd_waiters == 0) {
        break_deadlock(worker);
    } else if (!is_virtual) {
        int64_t wait_ns = first ? first->deadline_ns - now_ns : -1;
        sleep_until_woken(worker, first && wait_ns < 0 ? 0 : wait_ns);
    } else if (first && worker->outstanding == 0) {
        worker->virtual_now_ns = first->deadline_ns;
    } else {
        sleep_until_woken(worker, -1);
    }
}

static void resume_first(struct weft_worker *worker)
{
    struct weft_fiber *fiber = run_pop(worker);
    worker->switches_left = SWITCHES_MAX;
    worker->current = fiber;
    weft_context_switch(&worker->scheduler, &fiber->context, false);
}

/* After a long computation data may have come in time that nobody has seen yet: it must win over
 * the deadlines that have passed since. */
static void look_before_timers(struct weft_worker *worker, int64_t now_ns)
{
    const struct weft_timer *first = weft_heap_first(&worker->timers);
    if (!first || first->deadline_ns > now_ns || worker->fd_waiters == 0 ||
        now_ns - worker->polled_at_ns < POLL_INTERVAL_NS)
        return;
    poll_reactor(worker, 0);
    worker->polled_at_ns = now_ns;
}

static void run_fibers(struct weft_worker *worker)
{
    while (worker->fibers > 0 && !worker->broken) {
        int64_t now_ns = weft_worker_now(worker);
        take_inbox(worker);
        look_before_timers(worker, now_ns);
        fire_timers(worker, now_ns);
        if (!worker->run_first) {
            wait_for_work(worker, now_ns);
            worker->polled_at_ns = weft_worker_now(worker);
            continue;
        }
        if (now_ns - worker->polled_at_ns >= POLL_INTERVAL_NS ||
            worker->clock == WEFT_CLOCK_VIRTUAL) {
            poll_reactor(worker, 0);
            worker->polled_at_ns = now_ns;
        }
        resume_first(worker);
    }
}

/* ---- beginning and end of a runtime ---------------------------------------------------- */

static int worker_init(struct weft_worker *worker, const struct weft_run_options *options)
{
    const char *io = options->io ? options->io : secure_getenv("WEFT_IO");
    unsigned threads = options->offload_threads_max;
    *worker = (struct weft_worker){
        .clock = options->clock,
        .virtual_now_ns = VIRTUAL_START_NS,
        .budget = BUDGET,
        .offload_threads_max = threads ? threads : OFFLOAD_DEFAULT,
        .offload_queue_max =
            options->offload_queue_max ? options->offload_queue_max : OFFLOAD_QUEUE,
        .wake_fd = -1,
    };
    if (threads > OFFLOAD_MAX)
        return -EINVAL;
    int err = weft_stack_pool_init(&worker->stacks,
                                   options->stack_bytes ? options->stack_bytes : STACK_DEFAULT);
    if (err < 0)
        return err;
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->wake_fd < 0)
        return -errno;
    err = weft_poller_open(io, &worker->poller_ops, &worker->poller);
    if (err < 0)
        return err;
    weft_fd_table_init(&worker->fds);
    return weft_fd_watch(worker, worker->wake_fd);
}

static void worker_deinit(struct weft_worker *worker)
{
    weft_offload_pool_close(worker->offload);
    weft_resolver_close(worker->resolver);
    while (atomic_load_explicit(&worker->wakers, memory_order_acquire) > 0)
        (void)sched_yield();
    if (worker->poller_ops)
        worker->poller_ops->close(worker->poller);
    weft_fd_table_deinit(&worker->fds);
    if (worker->wake_fd >= 0)
        (void)close(worker->wake_fd);
    weft_sanitizer_bury(&worker->grave, NULL);
    weft_stack_pool_deinit(&worker->stacks);
}

int weft_run(const struct weft_run_options *options, int (*fn)(void *), void *arg)
{
    static const struct weft_run_options defaults;
    if (weft_current_worker)
        return -EBUSY;
    struct weft_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return -ENOMEM;
    int err = worker_init(worker, options ? options : &defaults);
    if (err < 0)
        goto done;

    weft_current_worker = worker;
    weft_context_init_thread(&worker->scheduler);
    weft_scope_attach(&worker->root, NULL, WEFT_FOREVER, 0);
    err = weft_fiber_start(worker, &worker->root, fn, arg) ? 0 : -ENOMEM;
    run_fibers(worker);
    weft_current_worker = NULL;

    if (err == 0)
        err = worker->root_result;
    if (worker->deadlocked)
        err = -EDEADLK;
    if (worker->broken)
        err = worker->broken;
done:
    worker_deinit(worker);
    free(worker);
    return err;
}

/* ---- time ------------------------------------------------------------------------------ */

int weft_yield(void)
{
    struct weft_fiber *self = weft_self();
    if (!self)
        return -EPERM;
    run_push(self->worker, self);
    switch_away(self->worker, self, false);
    return weft_fiber_cancelled(self) ? -ECANCELED : 0;
}

int weft_checkpoint(void)
{
    struct weft_fiber *self;
    return weft_enter(&self);
}

int64_t weft_now(void)
{
    const struct weft_worker *worker = weft_current_worker;
    return worker ? weft_worker_now(worker) : weft_clock_monotonic_ns();
}

int weft_sleep_until(int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (deadline_ns <= weft_worker_now(self->worker))
        return weft_yield();
    weft_park_prepare(self);
    err = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
    return err == -ETIMEDOUT ? 0 : err;
}

int weft_sleep(int64_t duration_ns)
{
    int64_t now_ns = weft_now();
    if (duration_ns <= 0)
        return weft_sleep_until(now_ns);
    return weft_sleep_until(duration_ns > WEFT_FOREVER - now_ns ? WEFT_FOREVER
                                                                : now_ns + duration_ns);
}

const char *weft_io_name(void)
{
    const struct weft_worker *worker = weft_current_worker;
    return worker ? worker->poller_ops->name : NULL;
}
