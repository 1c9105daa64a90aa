/* SPDX-License-Identifier: MIT
 * hog.c - find fibers that run for long without giving way. See debug.h.
 *
 * The inspector looks several times within the limit. A worker that shows the same fiber, the same
 * round and the same number of switches every time has run nothing else. SIGURG, which by default
 * does nothing, then has its thread write down where it is; the inspector prints that. */
#include <os/clock.h>
#include <os/symbol.h>
#include <runtime/debug.h>

#include <errno.h>
#include <execinfo.h>
#include <string.h>

#define LOOKS_MIN   4u /* a process that was stopped for a while is no hog */
#define CAPTURE_NS  (200 * WEFT_MSEC)
#define FRAMES_OURS 2 /* the handler, and the kernel's return from it */

enum capture_state {
    IDLE,
    ASKED,
    CAPTURED,
};

/* ---- on the worker's thread ------------------------------------------------------------ */

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
    struct weft_debug *debug = worker ? worker->debug : NULL;
    struct weft_capture *ours = debug ? &debug->workers[worker->index].capture : NULL;
    if (ours && __atomic_load_n(&ours->state, __ATOMIC_ACQUIRE) == ASKED) {
        note_fiber(ours, worker->current);
        ours->frames_len = backtrace(ours->frames, WEFT_DEBUG_FRAMES);
        __atomic_store_n(&ours->state, CAPTURED, __ATOMIC_RELEASE);
        weft_futex_wake_one(&ours->state);
    } else {
        weft_handler_pass_on(number, info, context);
    }
    errno = saved;
}

int weft_hog_watch(void)
{
    return weft_handler_install(SIGURG, capture_asked, false);
}

void weft_hog_unwatch(void)
{
    weft_handler_remove(SIGURG);
}

/* ---- on the inspector's thread --------------------------------------------------------- */

/* Returns whether the worker's thread still runs the fiber and has said where. */
static bool ask(struct weft_debug *debug, struct weft_watched *watched)
{
    struct weft_capture *capture = &watched->capture;
    bool sent = false;
    __atomic_store_n(&capture->state, ASKED, __ATOMIC_RELEASE);
    weft_lock(&debug->watching);
    if (watched->attached)
        sent = pthread_kill(watched->thread, SIGURG) == 0;
    weft_unlock(&debug->watching);
    int64_t deadline_ns = weft_clock_monotonic_ns() + CAPTURE_NS;
    unsigned state = ASKED;
    while (sent && (state = __atomic_load_n(&capture->state, __ATOMIC_ACQUIRE)) == ASKED) {
        if (!weft_futex_wait(&capture->state, ASKED, deadline_ns))
            break;
    }
    return state == CAPTURED && capture->fiber == watched->fiber;
}

static void report(struct weft_debug *debug, struct weft_watched *watched, int64_t now_ns)
{
    struct weft_capture *capture = &watched->capture;
    struct weft_buffer text;
    char place[WEFT_SYMBOL_MAX];
    if (!ask(debug, watched))
        return;
    weft_buffer_init(&text, SIZE_MAX / 4);
    weft_symbol_format(capture->fn, place, sizeof place);
    weft_buffer_append_format(
        &text, "weft: fiber%s%s%s %s has run for %lld ms on worker %u without giving way\n",
        capture->name[0] ? " \"" : "", capture->name, capture->name[0] ? "\"" : "", place,
        (long long)((now_ns - watched->since_ns) / WEFT_MSEC), watched->worker->index);
    if (capture->spawned_at) {
        weft_symbol_format_call(capture->spawned_at, place, sizeof place);
        weft_buffer_append_format(&text, "  spawned at %s\n", place);
    }
    if (capture->frames_len > FRAMES_OURS)
        weft_debug_append_frames(&text, capture->frames + FRAMES_OURS,
                                 capture->frames_len - FRAMES_OURS, true);
    weft_debug_say(&text);
    weft_buffer_deinit(&text);
}

static void look_at(struct weft_debug *debug, struct weft_watched *watched, int64_t now_ns)
{
    const struct weft_worker *worker = watched->worker;
    const struct weft_fiber *fiber = __atomic_load_n(&worker->current, __ATOMIC_RELAXED);
    unsigned switches_left = __atomic_load_n(&worker->switches_left, __ATOMIC_RELAXED);
    uint64_t rounds = __atomic_load_n(&worker->rounds, __ATOMIC_RELAXED);
    bool same = fiber == watched->fiber && switches_left == watched->switches_left &&
                rounds == watched->rounds;
    if (!fiber || !same) {
        watched->fiber = fiber;
        watched->switches_left = switches_left;
        watched->rounds = rounds;
        watched->since_ns = now_ns;
        watched->looks = 0;
        watched->reported = false;
        return;
    }
    watched->looks++;
    if (watched->reported || watched->looks < LOOKS_MIN ||
        now_ns - watched->since_ns < debug->hog_ns)
        return;
    watched->reported = true;
    report(debug, watched, now_ns);
}

int64_t weft_hog_look(struct weft_debug *debug, int64_t now_ns)
{
    for (unsigned i = 0; i < debug->runtime->workers_len; i++) {
        struct weft_watched *watched = &debug->workers[i];
        weft_lock(&debug->watching);
        bool attached = watched->attached;
        weft_unlock(&debug->watching);
        if (attached)
            look_at(debug, watched, now_ns);
    }
    return weft_clock_monotonic_ns() + debug->hog_ns / LOOKS_MIN;
}
