/* SPDX-License-Identifier: MIT
 * debug.c - debug mode: its beginning and end, on each worker and as a whole. See debug.h. */
#include <os/symbol.h>
#include <runtime/debug.h>
#include <runtime/inspect.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOG_DEFAULT_NS (100 * WEFT_MSEC)
#define HOG_MIN_NS     WEFT_MSEC

static bool wanted(const struct weft_run_options *options)
{
    if (options->debug != WEFT_DEBUG_BY_ENVIRONMENT)
        return options->debug == WEFT_DEBUG_ON;
    const char *text = secure_getenv("WEFT_DEBUG");
    return text && strcmp(text, "1") == 0;
}

static int watch_signals(void)
{
    int err = weft_overflow_watch();
    if (err < 0)
        return err;
    err = weft_capture_start();
    if (err < 0)
        weft_overflow_unwatch();
    return err;
}

int weft_debug_open(struct weft_runtime *runtime, const struct weft_run_options *options)
{
    if (options->debug < WEFT_DEBUG_BY_ENVIRONMENT || options->debug > WEFT_DEBUG_OFF ||
        options->hog_ns < 0)
        return -EINVAL;
    if (!wanted(options))
        return 0;
    struct weft_debug *debug =
        calloc(1, sizeof *debug + runtime->workers_len * sizeof debug->slices[0]);
    if (!debug)
        return -ENOMEM;
    int err = weft_watch_open(runtime);
    if (err == 0)
        err = watch_signals();
    if (err < 0) {
        free(debug);
        return err;
    }
    debug->runtime = runtime;
    debug->hog_ns = options->hog_ns ? options->hog_ns : HOG_DEFAULT_NS;
    if (debug->hog_ns < HOG_MIN_NS)
        debug->hog_ns = HOG_MIN_NS;
    weft_hog_init(debug);
    runtime->debug = debug;
    return 0;
}

void weft_debug_close(struct weft_runtime *runtime)
{
    struct weft_debug *debug = runtime->debug;
    if (!debug)
        return;
    weft_debug_report_fds(debug);
    weft_capture_stop();
    weft_overflow_unwatch();
    free(debug->fds);
    free(debug);
    runtime->debug = NULL;
}

int weft_debug_attach(struct weft_worker *worker)
{
    worker->debug = worker->runtime->debug;
    return worker->debug ? weft_watch_attach(worker) : 0;
}

/* ---- reports --------------------------------------------------------------------------- */

void weft_debug_say(struct weft_buffer *text)
{
    size_t at = 0;
    while (text->err == 0 && at < text->len) {
        ssize_t written = write(STDERR_FILENO, text->data + at, text->len - at);
        if (written > 0)
            at += (size_t)written;
        else if (errno != EINTR)
            return;
    }
}

void weft_debug_append_frames(struct weft_buffer *text, void *const *frames, int len, bool exact)
{
    char place[WEFT_SYMBOL_MAX];
    for (int i = 0; i < len; i++) {
        if (exact && i == 0)
            weft_symbol_format(frames[i], place, sizeof place);
        else
            weft_symbol_format_call(frames[i], place, sizeof place);
        weft_buffer_append_format(text, "  #%d %s\n", i, place);
    }
}

void weft_debug_lost_failures(const struct weft_group *group)
{
    struct weft_buffer text;
    weft_buffer_init(&text, 1024);
    weft_buffer_append_format(
        &text,
        "weft: %u of %u failures of group \"%.100s\" could be seen by nobody: "
        "no task, and no room in failures\n",
        group->lost, group->failures, group->name ? group->name : "");
    weft_debug_say(&text);
    weft_buffer_deinit(&text);
}

void weft_debug_deadlock(struct weft_worker *worker)
{
    struct weft_buffer text;
    weft_buffer_init(&text, SIZE_MAX / 4);
    weft_buffer_append_string(&text,
                              "weft: deadlock: every fiber waits, and nothing can wake one\n");
    if (weft_inspect_worker(worker, &text) == 0)
        weft_debug_say(&text);
    weft_buffer_deinit(&text);
}
