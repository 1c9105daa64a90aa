/* SPDX-License-Identifier: MIT
 * hog.c - find fibers that run for long without giving way. See debug.h. */
#include <os/clock.h>
#include <os/symbol.h>
#include <runtime/debug.h>

#define FRAMES_OURS 2 /* the handler, and the kernel's return from it */

static void report(struct weft_worker *worker, const struct weft_slice *slice, int64_t now_ns)
{
    struct weft_buffer text;
    char place[WEFT_SYMBOL_MAX];
    const struct weft_capture *capture = weft_capture_ask(worker, slice->fiber);
    if (!capture)
        return;
    weft_buffer_init(&text, SIZE_MAX / 4);
    weft_symbol_format(capture->fn, place, sizeof place);
    weft_buffer_append_format(
        &text, "weft: fiber%s%s%s %s has run for %lld ms on worker %u without giving way\n",
        capture->name[0] ? " \"" : "", capture->name, capture->name[0] ? "\"" : "", place,
        (long long)((now_ns - slice->since_ns) / WEFT_MSEC), worker->index);
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

static int64_t look(struct weft_watcher *watcher, int64_t now_ns)
{
    struct weft_debug *debug = weft_container_of(watcher, struct weft_debug, watcher);
    for (unsigned i = 0; i < debug->runtime->workers_len; i++) {
        struct weft_worker *worker = &debug->runtime->workers[i];
        struct weft_slice *slice = &debug->slices[i];
        if (!weft_slice_look(slice, worker, now_ns, debug->hog_ns) || slice->told ||
            !weft_slice_exceeds(slice, now_ns, debug->hog_ns))
            continue;
        slice->told = 1;
        report(worker, slice, now_ns);
    }
    return weft_clock_monotonic_ns() + weft_slice_pause(debug->hog_ns);
}

void weft_hog_init(struct weft_debug *debug)
{
    debug->watcher.look = look;
}
