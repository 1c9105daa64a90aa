/* SPDX-License-Identifier: MIT
 * watch.c - see watch.h. */
#include <os/clock.h>
#include <os/symbol.h>
#include <runtime/watch.h>

#include <errno.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_MIN          4u
#define CAPTURE_NS         WEFT_SEC
#define SIGNAL_STACK_BYTES ((size_t)64 << 10)

/* ---- slices ---------------------------------------------------------------------------- */

static struct weft_slice look_at(const struct weft_worker *worker, int64_t now_ns)
{
    return (struct weft_slice){
        .fiber = __atomic_load_n(&worker->current, __ATOMIC_RELAXED),
        .switches_left = __atomic_load_n(&worker->switches_left, __ATOMIC_RELAXED),
        .rounds = __atomic_load_n(&worker->rounds, __ATOMIC_RELAXED),
        .since_ns = now_ns,
        .counted_ns = now_ns,
    };
}

static bool same(const struct weft_slice *a, const struct weft_slice *b)
{
    return a->fiber && a->fiber == b->fiber && a->switches_left == b->switches_left &&
           a->rounds == b->rounds;
}

bool weft_slice_look(struct weft_slice *slice, const struct weft_worker *worker, int64_t now_ns,
                     int64_t limit_ns)
{
    const struct weft_slice seen = look_at(worker, now_ns);
    if (!same(slice, &seen)) {
        *slice = seen;
        return false;
    }
    if (now_ns - slice->counted_ns >= weft_slice_pause(limit_ns) / 2) {
        slice->counted_ns = now_ns;
        slice->looks++;
    }
    return true;
}

int64_t weft_slice_age(const struct weft_slice *slice, const struct weft_worker *worker,
                       int64_t now_ns)
{
    const struct weft_slice seen = look_at(worker, now_ns);
    return same(slice, &seen) ? now_ns - slice->since_ns : 0;
}

bool weft_slice_exceeds(const struct weft_slice *slice, int64_t now_ns, int64_t limit_ns)
{
    return slice->fiber && slice->looks >= LOOKS_MIN && now_ns - slice->since_ns >= limit_ns;
}

int64_t weft_slice_pause(int64_t limit_ns)
{
    return limit_ns / LOOKS_MIN;
}

/* ---- captures, on the worker's thread -------------------------------------------------- */

enum capture_state {
    IDLE,
    ASKED,
    CAPTURED,
};

static void note_fiber(struct weft_capture *capture, const struct weft_fiber *fiber)
{
    capture->fiber = fiber;
    capture->name[0] = '\0';
    if (fiber && fiber->name)
        (void)strncat(capture->name, fiber->name, sizeof capture->name - 1);
    capture->fn = fiber ? weft_symbol_of(fiber->fn) : NULL;
    capture->spawned_at = fiber ? fiber->spawned_at : NULL;
}

static void capture_asked(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    const struct weft_worker *worker = weft_current_worker;
    struct weft_capture *ours = worker && worker->watched ? &worker->watched->capture : NULL;
    if (ours && __atomic_load_n(&ours->state, __ATOMIC_ACQUIRE) == ASKED) {
        note_fiber(ours, worker->current);
        ours->frames_len = backtrace(ours->frames, WEFT_CAPTURE_FRAMES);
        __atomic_store_n(&ours->state, CAPTURED, __ATOMIC_RELEASE);
        weft_futex_wake_one(&ours->state);
    } else {
        weft_handler_pass_on(number, info, context);
    }
    errno = saved;
}

int weft_capture_start(void)
{
    void *frame; /* the first call loads the unwinder, which a handler must not do */
    (void)backtrace(&frame, 1);
    return weft_handler_install(SIGURG, capture_asked, false);
}

void weft_capture_stop(void)
{
    weft_handler_remove(SIGURG);
}

/* ---- captures, on the thread that looks ------------------------------------------------ */

/* A thread that did not answer the last time may still do so, late: then it is not asked again, and
 * what it writes is not read. */
const struct weft_capture *weft_capture_ask(struct weft_worker *worker,
                                            const struct weft_fiber *fiber)
{
    struct weft_watch *watch = worker->runtime->watch;
    struct weft_watched *watched = &watch->workers[worker->index];
    struct weft_capture *capture = &watched->capture;
    if (__atomic_load_n(&capture->state, __ATOMIC_ACQUIRE) == ASKED)
        return NULL;
    bool sent = false;
    weft_lock(&watch->lock);
    if (watched->attached) {
        __atomic_store_n(&capture->state, ASKED, __ATOMIC_RELEASE);
        sent = pthread_kill(watched->thread, SIGURG) == 0;
        if (!sent)
            __atomic_store_n(&capture->state, IDLE, __ATOMIC_RELEASE);
    }
    weft_unlock(&watch->lock);
    int64_t deadline_ns = weft_clock_monotonic_ns() + CAPTURE_NS;
    unsigned state = ASKED;
    while (sent && (state = __atomic_load_n(&capture->state, __ATOMIC_ACQUIRE)) == ASKED) {
        if (!weft_futex_wait(&capture->state, ASKED, deadline_ns))
            break;
    }
    return state == CAPTURED && capture->fiber == fiber ? capture : NULL;
}

/* ---- the workers of a runtime ---------------------------------------------------------- */

int weft_watch_open(struct weft_runtime *runtime)
{
    if (runtime->watch)
        return 0;
    struct weft_watch *watch =
        calloc(1, sizeof *watch + runtime->workers_len * sizeof watch->workers[0]);
    if (!watch)
        return -ENOMEM;
    for (unsigned i = 0; i < runtime->workers_len; i++)
        watch->workers[i].worker = &runtime->workers[i];
    __atomic_store_n(&runtime->watch, watch, __ATOMIC_RELEASE);
    return 0;
}

void weft_watch_close(struct weft_runtime *runtime)
{
    struct weft_watch *watch = runtime->watch;
    if (!watch)
        return;
    for (unsigned i = 0; i < runtime->workers_len; i++) {
        struct weft_meter *meter = watch->workers[i].meter;
        if (meter)
            meter->free(meter);
        free(watch->workers[i].signal_stack);
    }
    free(watch);
    runtime->watch = NULL;
}

static sigset_t our_signals(void)
{
    sigset_t ours;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGURG);
    (void)sigaddset(&ours, SIGSEGV);
    return ours;
}

/* Fibers' stacks are small: signals get one of their own. */
int weft_watch_attach(struct weft_worker *worker)
{
    struct weft_watch *watch = worker->runtime->watch;
    struct weft_watched *watched = &watch->workers[worker->index];
    watched->signal_stack = malloc(SIGNAL_STACK_BYTES);
    if (!watched->signal_stack)
        return -ENOMEM;
    const stack_t stack = {.ss_sp = watched->signal_stack, .ss_size = SIGNAL_STACK_BYTES};
    if (sigaltstack(&stack, &watched->stack_before) < 0)
        return -errno;
    sigset_t ours = our_signals();
    (void)pthread_sigmask(SIG_UNBLOCK, &ours, &watched->mask_before);
    watched->thread = pthread_self();
    worker->watched = watched;
    weft_lock(&watch->lock);
    watched->asked = watched->attached = true;
    weft_unlock(&watch->lock);
    return 0;
}

/* Without memory for its stack a worker is watched all the same; its fibers stay nameless. */
static void attach_arrived(struct weft_mail *mail)
{
    const struct weft_watched *watched = weft_container_of(mail, struct weft_watched, attach_mail);
    (void)weft_watch_attach(watched->worker);
}

void weft_watch_attach_all(struct weft_runtime *runtime)
{
    struct weft_watch *watch = runtime->watch;
    for (unsigned i = 0; i < runtime->workers_len; i++) {
        struct weft_watched *watched = &watch->workers[i];
        weft_lock(&watch->lock);
        bool asked = watched->asked;
        watched->asked = true;
        weft_unlock(&watch->lock);
        if (asked)
            continue;
        watched->attach_mail.deliver = attach_arrived;
        weft_worker_send(watched->worker, &watched->attach_mail);
    }
}

void weft_watch_detach(struct weft_worker *worker)
{
    struct weft_watched *watched = worker->watched;
    if (!watched)
        return;
    struct weft_watch *watch = worker->runtime->watch;
    weft_lock(&watch->lock);
    watched->attached = false;
    weft_unlock(&watch->lock);
    worker->watched = NULL;
    sigset_t ours = our_signals(); /* the program may have changed the others meanwhile */
    (void)sigandset(&ours, &ours, &watched->mask_before);
    (void)pthread_sigmask(SIG_BLOCK, &ours, NULL);
    (void)sigaltstack(&watched->stack_before, NULL);
}
