/* SPDX-License-Identifier: MIT
 * debug.h - what a runtime does only when asked: dumps on a signal, and debug mode.
 *
 * A runtime in debug mode has a struct weft_debug, which its workers point to; without, the pointer
 * is NULL and costs one branch where something is made. An inspector thread prints dumps and lets
 * watchers look (watch.h), one of them for hogs; with nothing to do there is none.
 * docs/debugging.md tells users. */
#ifndef WEFT_RUNTIME_DEBUG_H
#define WEFT_RUNTIME_DEBUG_H

#include <base/buffer.h>
#include <runtime/watch.h>

#define WEFT_DEBUG_FRAMES WEFT_CAPTURE_FRAMES

struct weft_inspector;
struct weft_made_fd;

struct weft_debug {
    struct weft_runtime *runtime;
    struct weft_watcher watcher; /* for hogs */
    int64_t hog_ns;
    unsigned fds_lock;
    struct weft_made_fd *fds; /* by number */
    size_t fds_len;
    struct weft_slice slices[]; /* of the workers */
};

/* ---- beginning and end (debug.c) ------------------------------------------------------- */

/* Read the options and $WEFT_DEBUG; sets runtime->debug when asked for. Returns 0, -ENOMEM, ... */
int weft_debug_open(struct weft_runtime *runtime, const struct weft_run_options *options);

/* Report what is left over. The workers have ended. */
void weft_debug_close(struct weft_runtime *runtime);

/* On a worker's own thread, before its first fiber. Its end is weft_watch_detach. */
int weft_debug_attach(struct weft_worker *worker);

/* Write a whole report to stderr. */
void weft_debug_say(struct weft_buffer *text);

/* Append lines for the frames of a backtrace; exact: the first is no return address. */
void weft_debug_append_frames(struct weft_buffer *text, void *const *frames, int len, bool exact);

/* ---- descriptors (debug_fd.c) ---------------------------------------------------------- */

void weft_debug_fd_made(struct weft_debug *debug, int fd);
void weft_debug_fd_closed(struct weft_debug *debug, int fd);
void weft_debug_report_fds(struct weft_debug *debug);

/* ---- groups (debug.c) ------------------------------------------------------------------ */

/* The group was waited for, and had failures that nobody can have heard of. */
void weft_debug_lost_failures(const struct weft_group *group);

/* ---- deadlock (debug.c) ----------------------------------------------------------------- */

/* The fibers are about to be cancelled because nothing can wake them: say for what they wait. On
 * one of their workers; the others' fibers are not shown. */
void weft_debug_deadlock(struct weft_worker *worker);

/* ---- stack overflow (overflow.c) ------------------------------------------------------- */

int weft_overflow_watch(void);
void weft_overflow_unwatch(void);

/* ---- hogs (hog.c) ---------------------------------------------------------------------- */

void weft_hog_init(struct weft_debug *debug);

/* ---- the inspector thread (inspector.c) ------------------------------------------------ */

/* Start it when there is something for it to do. */
int weft_inspector_start(struct weft_runtime *runtime, const struct weft_run_options *options);
void weft_inspector_stop(struct weft_runtime *runtime);

#endif
