/* SPDX-License-Identifier: MIT
 * debounce.h - do it once things have calmed down: many calls become one, with the latest argument.
 *
 *     static int save(void *arg) { const struct document *document = arg; ... }
 *
 *     struct weft_debounce *saver;
 *     weft_debounce_open(&saver, &(struct weft_debounce_options){
 *         .fn = save, .arg_bytes = sizeof document, .wait_ns = 500 * WEFT_MSEC,
 *         .wait_max_ns = 5 * WEFT_SEC});
 *     weft_debounce_call(saver, &document);         // at every change
 *     weft_debounce_flush(saver, WEFT_FOREVER);     // before the end: now
 *     weft_debounce_close(saver);
 *
 * The first call opens a window; it closes when no call has come for wait_ns. fn runs at its
 * beginning (leading), at its end (trailing), or both: then at its end only when there was a second
 * call. With wait_max_ns a window that does not close runs fn that often all the same. fn runs on
 * a fiber of its own and never beside itself: what is due meanwhile runs after it. A call while it
 * runs counts like any other: it joins the window, or opens one. Source of the rules: lodash's
 * debounce. */
#ifndef WEFT_DEBOUNCE_H
#define WEFT_DEBOUNCE_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_debounce;

enum weft_edges {
    WEFT_EDGE_TRAILING,
    WEFT_EDGE_LEADING,
    WEFT_EDGE_BOTH,
};

struct weft_debounce_event {
    const char *name;
    int64_t at_ns;
    int result; /* negative: what fn failed with */
};

struct weft_debounce_options {
    int (*fn)(void *arg); /* 0 or more is success; required. May suspend, and call, too */
    size_t arg_bytes;     /* copied from the argument of each call, at most 4,096; fn gets a copy.
                             0: the pointer itself is handed on */
    int64_t wait_ns;      /* above 0 */
    int64_t wait_max_ns;  /* at least wait_ns; 0: no limit */
    enum weft_edges edges;
    const char *name; /* NULL means "debounce" */
    enum weft_sharing sharing;
    /* After fn has failed, on its fiber; may suspend; must not close. */
    void (*on_event)(void *arg, const struct weft_debounce_event *event);
    void *on_event_arg;
};

struct weft_debounce_snapshot {
    uint64_t calls;
    uint64_t runs; /* of fn, that have begun */
    uint64_t failed;
    int last_result;
    int pending; /* 1: fn will run for calls that were made */
    int running;
};

/* Returns   0, -EINVAL (options), -ENOMEM, -EPERM outside a runtime
 * Threads   a group of the calling fiber is open until weft_debounce_close, which this fiber must
 *           call. Never suspends */
WEFT_API int weft_debounce_open(struct weft_debounce **ret_debounce,
                                const struct weft_debounce_options *options);

/* Call fn, sooner or later.
 * Returns  0, also while it is closing and an fn still runs: then it comes to nothing; -ESHUTDOWN
 *          (closed, or the fiber that opened it was cancelled), -EPERM, -EINVAL (no argument where
 * arg_bytes of it are to be copied) Threads  as sharing says. Never suspends, and is never
 * cancelled */
WEFT_API int weft_debounce_call(struct weft_debounce *debounce, const void *arg);

/* Run fn at once if it is pending, and wait until it does not run; the window is closed.
 * Returns  what the last run returned; 0 when there was none to wait for; -ETIMEDOUT, -EAGAIN,
 *          -ECANCELED: the *wait* was cut short, or fn itself came to that; -EDEADLK (by fn);
 * -ESHUTDOWN, -EPERM Suspends; a checkpoint */
WEFT_API int weft_debounce_flush(struct weft_debounce *debounce, int64_t deadline_ns);

/* Forget what is pending and close the window; an fn that runs goes on.
 * Returns  whether something was pending: 0 or 1; -EPERM. Never suspends */
WEFT_API int weft_debounce_cancel(struct weft_debounce *debounce);

/* Whether fn will run for calls that were made: 0 or 1; -EPERM. Never suspends. */
WEFT_API int weft_debounce_pending(struct weft_debounce *debounce);

/* How it is. Returns 0, -EPERM. Never suspends. */
WEFT_API int weft_debounce_snapshot(struct weft_debounce *debounce,
                                    struct weft_debounce_snapshot *ret_snapshot);

/* Forget what is pending, cancel an fn that runs, and wait until it has ended. To let it happen
 * instead, flush before. Nobody may begin a call after this. NULL is fine. Suspends, no checkpoint
 */
WEFT_API void weft_debounce_close(struct weft_debounce *debounce);

WEFT_END_DECLS

#endif
