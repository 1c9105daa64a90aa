/* SPDX-License-Identifier: MIT
 * debug.h - what a runtime does only when asked: dumps on a signal, and debug mode.
 *
 * A runtime in debug mode has a struct weft_debug, which its workers point to; without, the pointer
 * is NULL and costs one branch where something is made. An inspector thread prints dumps and looks
 * for hogs; without debug mode and dump_signal there is none. docs/debugging.md tells users. */
#ifndef WEFT_RUNTIME_DEBUG_H
#define WEFT_RUNTIME_DEBUG_H

#include <base/buffer.h>
#include <os/handler.h>
#include <runtime/runtime.h>

#define WEFT_DEBUG_FRAMES 32

/* What a worker's thread says of the fiber it runs, when asked by a signal. */
struct weft_capture {
    unsigned state; /* enum capture_state in hog.c; the word the inspector sleeps on */
    const struct weft_fiber *fiber;
    char name[64];
    const void *fn, *spawned_at;
    void *frames[WEFT_DEBUG_FRAMES];
    int frames_len;
};

/* One worker, as debug mode sees it. */
struct weft_watched {
    struct weft_worker *worker;
    pthread_t thread;
    bool attached;
    char *signal_stack;
    stack_t stack_before;
    sigset_t mask_before;
    struct weft_capture capture;
    /* The inspector's own: what it saw last, and for how long. */
    const struct weft_fiber *fiber;
    unsigned switches_left;
    uint64_t rounds;
    int64_t since_ns;
    unsigned looks;
    bool reported;
};

struct weft_inspector;
struct weft_made_fd;

struct weft_debug {
    struct weft_runtime *runtime;
    int64_t hog_ns;
    unsigned watching; /* lock: the threads of attached workers exist while it is held */
    unsigned fds_lock;
    struct weft_made_fd *fds; /* by number */
    size_t fds_len;
    struct weft_watched workers[]; /* workers_len of them */
};

/* ---- beginning and end (debug.c) ------------------------------------------------------- */

/* Read the options and $WEFT_DEBUG; sets runtime->debug when asked for. Returns 0, -ENOMEM, ... */
int weft_debug_open(struct weft_runtime *runtime, const struct weft_run_options *options);

/* Report what is left over. The workers have ended. */
void weft_debug_close(struct weft_runtime *runtime);

/* On a worker's own thread, before its first fiber and after its last. */
int weft_debug_attach(struct weft_worker *worker);
void weft_debug_detach(struct weft_worker *worker);

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

int weft_hog_watch(void);
void weft_hog_unwatch(void);

/* The inspector: look at every worker. Returns when to look again. */
int64_t weft_hog_look(struct weft_debug *debug, int64_t now_ns);

/* ---- the inspector thread (inspector.c) ------------------------------------------------ */

/* Start it when there is something for it to do. */
int weft_inspector_start(struct weft_runtime *runtime, const struct weft_run_options *options);
void weft_inspector_stop(struct weft_runtime *runtime);

#endif
