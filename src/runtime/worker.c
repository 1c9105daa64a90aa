/* SPDX-License-Identifier: MIT
 * worker.c - the scheduler of one thread. See worker.h.
 *
 * A fiber that waits switches straight to the next runnable one. The scheduler, on the thread's
 * own stack, runs when there is none, and after so many switches: it reads the mail, fires timers
 * and looks at the reactor. How many follows from how long the fibers run: as many as fit between
 * two looks at the reactor, at least one. */
#include <base/time.h>
#include <os/clock.h>
#include <runtime/fork.h>
#include <runtime/inspect.h>
#include <runtime/resolve.h>
#include <runtime/runtime.h>
#include <runtime/sim.h>
#include <runtime/watch.h>

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SWITCHES_MAX       64u
#define SWITCHES_FIRST     8u
#define ROUNDS_PER_TAKE    16u /* a worker that has enough to do takes an unstarted task so often */
#define POLL_INTERVAL_NS   (50 * WEFT_USEC) /* between looks at the reactor while fibers run */
#define READY_MAX          128
#define STACK_DEFAULT      ((size_t)64 << 10)
#define STACK_CLASS_MIN    ((size_t)16 << 10)
#define OFFLOAD_DEFAULT    4u
#define OFFLOAD_MAX        1024u
#define OFFLOAD_QUEUE      65536u
#define BROKEN_INTERVAL_NS (10 * WEFT_MSEC)
#define VIRTUAL_GRACE_NS   WEFT_MSEC /* real time for loopback data to arrive, before a jump */
#define VIRTUAL_START_NS   WEFT_SEC  /* a virtual clock begins above 0, as promised by weft_now */

int64_t weft_worker_now(struct weft_worker *worker)
{
    return worker->clock == WEFT_CLOCK_VIRTUAL ? worker->virtual_now_ns
                                               : weft_ticker_now(&worker->ticker);
}

/* ---- run queue ------------------------------------------------------------------------- */

static void push_front(struct weft_worker *worker, struct weft_mail *link)
{
    link->next = worker->run_first;
    worker->run_first = link;
    if (!worker->run_last)
        worker->run_last = link;
}

void weft_run_push(struct weft_worker *worker, struct weft_fiber *fiber)
{
    struct weft_mail *link = &fiber->mail;
    weft_note(&worker->pushed, worker->pushed + 1);
    if (worker->shuffled && weft_random_below(&worker->random, 2)) {
        push_front(worker, link);
        return;
    }
    link->next = NULL;
    if (worker->run_last)
        worker->run_last->next = link;
    else
        worker->run_first = link;
    worker->run_last = link;
}

static struct weft_fiber *run_pop(struct weft_worker *worker)
{
    struct weft_mail *link = worker->run_first;
    if (!link)
        return NULL;
    weft_note(&worker->popped, worker->popped + 1);
    worker->run_first = link->next;
    if (!worker->run_first)
        worker->run_last = NULL;
    return weft_container_of(link, struct weft_fiber, mail);
}

/* Who runs after the current fiber, or NULL for the scheduler. Whom another worker has woken should
 * not wait for the end of the round: looking costs one load. */
static struct weft_fiber *choose_next(struct weft_worker *worker)
{
    if (worker->switches_left == 0 || (worker->crowded && !weft_mailbox_empty(&worker->mailbox)))
        return NULL;
    weft_note(&worker->switches_left, worker->switches_left - 1);
    return run_pop(worker);
}

/* For a fiber whose running time is counted: the clock is read on both sides of the switch. */
__attribute__((noinline)) static void switch_away_clocked(struct weft_worker *worker,
                                                          struct weft_fiber *self, bool forever)
{
    unsigned clocked = self->clocked;
    self->run_ns += weft_worker_now(worker) - self->resumed_at_ns;
    self->clocked = 0;
    weft_switch_away(worker, self, forever);
    self->clocked = clocked;
    self->resumed_at_ns = weft_worker_now(worker);
}

/* Never inlined: with one place that switches, every return after a switch is where the processor
 * expects it. */
__attribute__((noinline)) void weft_switch_away(struct weft_worker *worker, struct weft_fiber *self,
                                                bool forever)
{
    if (weft_current_worker != worker)
        weft_misuse("a child of fork() called weft: it would share its parent's reactor");
    if (__builtin_expect(self->clocked > 0, 0)) {
        switch_away_clocked(worker, self, forever);
        return;
    }
    struct weft_fiber *next = choose_next(worker);
    if (next == self)
        return;
    weft_note(&worker->current, next);
    weft_context_switch(&self->context, next ? &next->context : &worker->scheduler, forever);
}

/* ---- mail ------------------------------------------------------------------------------ */

static void ring(struct weft_worker *worker)
{
    /* In a child of fork() the eventfd is the parent's. */
    if (worker->runtime->fork_count != weft_fork_count)
        return;
    /* Never read: every write is an edge of its own, and 2^64 of them do not happen. */
    uint64_t one = 1;
    ssize_t written = write(worker->wake_fd, &one, sizeof one);
    (void)written;
}

void weft_worker_send(struct weft_worker *worker, struct weft_mail *mail)
{
    if (weft_mailbox_put(&worker->mailbox, mail))
        ring(worker);
    weft_mailbox_done(&worker->mailbox);
}

bool weft_worker_rouse(struct weft_worker *worker)
{
    bool asleep = weft_mailbox_rouse(&worker->mailbox);
    if (asleep)
        ring(worker);
    return asleep;
}

void weft_worker_take_mail(struct weft_worker *worker)
{
    if (weft_mailbox_empty(&worker->mailbox))
        return;
    struct weft_mail *mail = weft_mailbox_take(&worker->mailbox);
    while (mail) {
        struct weft_mail *next = mail->next; /* delivered mail may be gone, or in another queue */
        mail->deliver(mail);
        mail = next;
    }
}

/* ---- the scheduler --------------------------------------------------------------------- */

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

static void fire_timers(struct weft_worker *worker, int64_t now_ns)
{
    struct weft_timer *timer;
    struct weft_meter *meter = __atomic_load_n(&worker->meter, __ATOMIC_ACQUIRE);
    while ((timer = weft_heap_first(&worker->timers)) && timer->deadline_ns <= now_ns) {
        weft_heap_remove(&worker->timers, timer);
        if (meter)
            meter->fired(meter, now_ns, timer->deadline_ns);
        timer->fire(timer);
    }
}

/* The reactor is gone. Fibers are not: they learn it from their waits, and end. */
static void reactor_failed(struct weft_worker *worker, int err)
{
    worker->broken = err;
    weft_fd_table_fail(&worker->fds, err);
    weft_runtime_broken(worker->runtime, err);
}

/* Let the reactor report, waiting at most timeout_ns; negative: without limit. One that has failed
 * may still tell of requests that the kernel had before. */
static void poll_reactor(struct weft_worker *worker, int64_t timeout_ns)
{
    struct weft_ready ready[READY_MAX];
    int count = worker->poller_ops->wait(worker->poller, ready, READY_MAX, timeout_ns);
    if (count < 0 && !worker->broken)
        reactor_failed(worker, count);
    if (worker->sim && count > 0)
        weft_sim_events(worker, ready, (size_t)count);
    for (int i = 0; !worker->sim && i < count; i++)
        weft_fd_event(&worker->fds, &ready[i]);
}

/* Without a reactor there is still mail. Fibers stay until their requests have ended: as long as
 * there may be some, the ring is asked now and then. */
static void sleep_without_reactor(struct weft_worker *worker, int64_t timeout_ns)
{
    if (worker->outstanding > 0 && (timeout_ns < 0 || timeout_ns > BROKEN_INTERVAL_NS))
        timeout_ns = BROKEN_INTERVAL_NS;
    struct pollfd wake = {.fd = worker->wake_fd, .events = POLLIN};
    struct timespec timeout = {timeout_ns / WEFT_SEC, timeout_ns % WEFT_SEC};
    uint64_t count;
    if (ppoll(&wake, 1, timeout_ns < 0 ? NULL : &timeout, NULL) > 0) {
        ssize_t len = read(worker->wake_fd, &count, sizeof count);
        (void)len;
    }
    if (worker->outstanding > 0)
        poll_reactor(worker, 0);
}

/* After the last look at what other threads may have changed, and before sleeping, look again:
 * they look for sleepers after they have changed it. */
static bool may_sleep(struct weft_worker *worker, unsigned releases)
{
    struct weft_runtime *runtime = worker->runtime;
    return weft_mailbox_doze(&worker->mailbox) && !weft_remote_waiting(runtime) &&
           !weft_runtime_finished(runtime, worker) && weft_runtime_releases(runtime) == releases &&
           weft_runtime_deadlocks(runtime) == worker->deadlocks_seen;
}

static void sleep_until_woken(struct weft_worker *worker, unsigned releases, int64_t timeout_ns)
{
    /* io_uring may have ended its poll. */
    int err = worker->broken ? 0 : weft_fd_watch(worker, worker->wake_fd);
    if (err < 0)
        reactor_failed(worker, err);
    if (may_sleep(worker, releases)) {
        if (worker->broken)
            sleep_without_reactor(worker, timeout_ns);
        else
            poll_reactor(worker, timeout_ns);
    }
    weft_mailbox_rise(&worker->mailbox);
}

/* Give memory of long idle stacks back, a little at a time. True: there is more. */
static bool trim_stacks(struct weft_worker *worker)
{
    bool more = weft_stack_pool_trim(&worker->stacks);
    for (size_t i = 0; i < WEFT_STACK_CLASSES; i++)
        more = weft_stack_pool_trim(&worker->stacks_of[i]) || more;
    return more;
}

/* Nothing here will come by itself: only other threads can bring something. */
static void sleep_until_mail(struct weft_worker *worker)
{
    unsigned releases = weft_runtime_releases(worker->runtime);
    if (!weft_runtime_idle(worker->runtime))
        return;
    sleep_until_woken(worker, releases, -1);
    weft_runtime_busy(worker->runtime);
}

/* What was sent over loopback is in the kernel's hands for a moment: a jump of the virtual clock
 * must not overtake it. */
static void wait_for_loopback(struct weft_worker *worker)
{
    if (!worker->run_first)
        poll_reactor(worker, VIRTUAL_GRACE_NS);
    if (!worker->run_first) /* it may have seen only what nobody waits for */
        poll_reactor(worker, 0);
}

/* No fiber is runnable. */
static void wait_for_work(struct weft_worker *worker, int64_t now_ns)
{
    bool is_virtual = worker->clock == WEFT_CLOCK_VIRTUAL;
    unsigned releases = weft_runtime_releases(worker->runtime);
    bool more = trim_stacks(worker);
    if (more || is_virtual)
        poll_reactor(worker, 0);
    if (is_virtual && worker->fd_waiters > 0 && !worker->sim)
        wait_for_loopback(worker);
    if (worker->run_first || more)
        return;
    const struct weft_timer *first = weft_heap_first(&worker->timers);
    if (!first && worker->outstanding == 0 && worker->fd_waiters == 0) {
        sleep_until_mail(worker);
    } else if (!is_virtual) {
        int64_t wait_ns = first ? first->deadline_ns - now_ns : -1;
        sleep_until_woken(worker, releases, first && wait_ns < 0 ? 0 : wait_ns);
    } else if (first && worker->outstanding == 0) {
        worker->virtual_now_ns = first->deadline_ns;
    } else if (!worker->sim || !weft_sim_hurry(worker)) {
        sleep_until_woken(worker, releases, -1);
    }
}

static void resume_first(struct weft_worker *worker)
{
    struct weft_fiber *fiber = run_pop(worker);
    if (!fiber)
        return;
    weft_note(&worker->switches_left, worker->switches_max - 1);
    weft_note(&worker->rounds, worker->rounds + 1);
    weft_note(&worker->current, fiber);
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

/* Fibers that run long are fewer per round, so that others' data does not wait for many of them. */
static void adapt_round(struct weft_worker *worker, int64_t round_ns)
{
    if (round_ns > 4 * POLL_INTERVAL_NS)
        worker->switches_max = 1;
    else if (round_ns > POLL_INTERVAL_NS && worker->switches_max > 1)
        worker->switches_max = worker->switches_max / 2;
    else if (round_ns < POLL_INTERVAL_NS / 4 && worker->switches_max < SWITCHES_MAX)
        worker->switches_max = worker->switches_max * 2;
}

/* A deadlock was found. The first cancels the runtime's root; at the second, each worker cancels
 * what waits behind shields as well. */
static void notice_deadlock(struct weft_worker *worker, unsigned deadlocks)
{
    __atomic_store_n(&worker->deadlocks_seen, deadlocks, __ATOMIC_SEQ_CST);
    if (deadlocks < 2)
        return;
    weft_scope_cancel_through(&worker->root, -EDEADLK);
    WEFT_LIST_FOR_EACH (link, &worker->guests) {
        struct weft_fiber *fiber = weft_container_of(link, struct weft_fiber, sibling);
        if (fiber->remote)
            weft_scope_cancel_through(&fiber->remote->scope, -EDEADLK);
    }
}

/* Unstarted tasks are for who has nothing else to do; now and then for everybody, so that none
 * waits for ever. */
static bool takes_unstarted(const struct weft_worker *worker)
{
    return weft_remote_waiting(worker->runtime) &&
           (!worker->run_first || worker->rounds % ROUNDS_PER_TAKE == 0);
}

static void measure_turn(const struct weft_worker *worker, int64_t now_ns, int64_t resumed_at_ns)
{
    struct weft_meter *meter = __atomic_load_n(&worker->meter, __ATOMIC_ACQUIRE);
    if (meter)
        meter->turn(meter, worker, now_ns, resumed_at_ns);
}

void weft_worker_run(struct weft_worker *worker)
{
    struct weft_runtime *runtime = worker->runtime;
    int64_t resumed_at_ns = 0;
    while (!weft_runtime_finished(runtime, worker)) {
        int64_t now_ns = weft_worker_now(worker);
        if (resumed_at_ns)
            adapt_round(worker, now_ns - resumed_at_ns);
        measure_turn(worker, now_ns, resumed_at_ns);
        resumed_at_ns = 0;
        weft_worker_take_mail(worker);
        look_before_timers(worker, now_ns);
        fire_timers(worker, now_ns);
        if (takes_unstarted(worker))
            (void)weft_remote_take(worker);
        if (weft_runtime_deadlocks(runtime) != worker->deadlocks_seen)
            notice_deadlock(worker, weft_runtime_deadlocks(runtime));
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
        resumed_at_ns = now_ns;
        resume_first(worker);
    }
}

/* ---- beginning and end ----------------------------------------------------------------- */

static int init_stacks(struct weft_worker *worker, size_t stack_bytes)
{
    struct weft_stack_guards *guards = &worker->runtime->guards;
    for (size_t i = 0; i < WEFT_STACK_CLASSES; i++) {
        int err = weft_stack_pool_init(&worker->stacks_of[i], STACK_CLASS_MIN << i, guards);
        if (err < 0)
            return err;
    }
    return weft_stack_pool_init(&worker->stacks, stack_bytes ? stack_bytes : STACK_DEFAULT, guards);
}

/* A number from the environment, for repeating a run; 0 when there is none. */
static uint64_t seed_from_environment(void)
{
    const char *text = secure_getenv("WEFT_SEED");
    return text ? strtoull(text, NULL, 0) : 0;
}

static int open_reactor(struct weft_worker *worker, const struct weft_run_options *options,
                        uint64_t seed)
{
    const char *io = options->io ? options->io : secure_getenv("WEFT_IO");
    if (io && strcmp(io, "sim") == 0) {
        worker->sim = weft_sim_open(options->faults, seed + worker->index);
        if (!worker->sim)
            return -ENOMEM;
        io = "epoll";
    }
    return weft_poller_open(io, &worker->poller_ops, &worker->poller);
}

int weft_worker_init(struct weft_worker *worker, const struct weft_run_options *options)
{
    uint64_t seed = options->seed ? options->seed : seed_from_environment();
    unsigned threads = options->offload_threads_max;
    worker->clock = options->clock;
    weft_ticker_init(&worker->ticker);
    worker->virtual_now_ns = VIRTUAL_START_NS;
    worker->budget = WEFT_BUDGET;
    worker->switches_max = SWITCHES_FIRST;
    worker->offload_threads_max = threads ? threads : OFFLOAD_DEFAULT;
    worker->offload_queue_max =
        options->offload_queue_max ? options->offload_queue_max : OFFLOAD_QUEUE;
    worker->shuffled = options->seed != 0;
    worker->repeats = seed != 0 || options->clock == WEFT_CLOCK_VIRTUAL;
    weft_random_seed(&worker->random, seed + worker->index);
    worker->cancel_at = worker->index == 0 ? options->cancel_at : 0;
    weft_list_init(&worker->guests);
    if (threads > OFFLOAD_MAX)
        return -EINVAL;
    int err = init_stacks(worker, options->stack_bytes);
    if (err < 0)
        return err;
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->wake_fd < 0)
        return -errno;
    err = open_reactor(worker, options, seed);
    if (err < 0)
        return err;
    weft_fd_table_init(&worker->fds);
    err = weft_fd_watch(worker, worker->wake_fd);
    if (err < 0)
        return err;
    weft_current_worker = worker;
    weft_context_init_thread(&worker->scheduler);
    if (weft_fork_orphan)
        weft_fork_adopt_stack(&worker->scheduler);
    weft_scope_attach(&worker->root, NULL, WEFT_FOREVER, 0);
    return 0;
}

void weft_worker_deinit(struct weft_worker *worker)
{
    weft_current_worker = NULL;
    weft_offload_pool_close(worker->offload);
    weft_resolver_close(worker->resolver);
    while (weft_mailbox_busy(&worker->mailbox))
        (void)sched_yield();
    weft_inspect_refuse(worker);
    weft_sim_close(worker);
    if (worker->poller_ops)
        worker->poller_ops->close(worker->poller);
    weft_fd_table_deinit(&worker->fds);
    if (worker->wake_fd >= 0)
        (void)close(worker->wake_fd);
    weft_sanitizer_bury(&worker->grave, NULL);
    weft_stack_pool_deinit(&worker->stacks);
    for (size_t i = 0; i < WEFT_STACK_CLASSES; i++)
        weft_stack_pool_deinit(&worker->stacks_of[i]);
}

/* ---- time ------------------------------------------------------------------------------ */

int weft_yield(void)
{
    struct weft_fiber *self = weft_self();
    if (!self)
        return -EPERM;
    weft_run_push(self->worker, self);
    weft_switch_away(self->worker, self, false);
    return weft_fiber_cancelled(self) ? -ECANCELED : 0;
}

int weft_checkpoint(void)
{
    struct weft_fiber *self;
    return weft_enter(&self);
}

int64_t weft_now(void)
{
    struct weft_worker *worker = weft_current_worker;
    return worker ? weft_worker_now(worker) : weft_clock_monotonic_ns();
}

/* Both in terms of one look at the clock. */
static int sleep_from(int64_t now_ns, int64_t deadline_ns)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (deadline_ns <= now_ns)
        return weft_yield();
    self->waits_for = "its time";
    weft_park_prepare_local(self);
    err = weft_park(self, deadline_ns, WEFT_PARK_CANCELLABLE);
    return err == -ETIMEDOUT ? 0 : err;
}

int weft_sleep_until(int64_t deadline_ns)
{
    return sleep_from(weft_now(), deadline_ns);
}

/* From a clock that lags, a length of time would end early by what it lagged by. */
int weft_sleep(int64_t duration_ns)
{
    const struct weft_worker *worker = weft_current_worker;
    bool is_virtual = worker && worker->clock == WEFT_CLOCK_VIRTUAL;
    int64_t now_ns = is_virtual ? worker->virtual_now_ns : weft_clock_monotonic_ns();
    return sleep_from(now_ns, weft_time_after(now_ns, duration_ns));
}

const char *weft_io_name(void)
{
    const struct weft_worker *worker = weft_current_worker;
    if (!worker)
        return NULL;
    return worker->sim ? "sim" : worker->poller_ops->name;
}
