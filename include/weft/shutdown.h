/* SPDX-License-Identifier: MIT
 * shutdown.h - end a program in order: phases one after the other, each with what ends together.
 *
 *     weft_signal_block((const int[]){SIGTERM, SIGINT}, 2);            // first thing in main
 *     ...
 *     struct weft_shutdown *shutdown;
 *     weft_shutdown_open(&shutdown, &(struct weft_shutdown_options){.on_signals = 1});
 *     weft_shutdown_add(shutdown, 0, "accept", stop_accepting, &server, WEFT_SEC);
 *     weft_shutdown_add(shutdown, 1, "requests", finish_requests, &server, 20 * WEFT_SEC);
 *     weft_shutdown_add(shutdown, 2, "store", sync_store, store, 5 * WEFT_SEC);
 *     int failed = weft_shutdown_wait(shutdown, WEFT_FOREVER);    // for SIGTERM, and then for all
 *     weft_shutdown_close(shutdown);
 *
 * The hooks of a phase run at the same time, each on a fiber of its own and each with its own
 * deadline; the next phase begins when all have ended. A hook that fails or is cut short does not
 * keep later phases from running. When the time for the whole is over, or somebody forces it (a
 * second signal), the hooks that run are cancelled and the rest does not run; a third signal
 * strikes as usual. Usable from all threads, whatever the runtime's workers. */
#ifndef WEFT_SHUTDOWN_H
#define WEFT_SHUTDOWN_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

struct weft_shutdown;

enum weft_shutdown_event_kind {
    WEFT_SHUTDOWN_REQUESTED, /* reason */
    WEFT_SHUTDOWN_PHASE,     /* phase begins; hook is NULL */
    WEFT_SHUTDOWN_HOOK,      /* hook has ended: phase, result, duration_ns */
    WEFT_SHUTDOWN_FORCED,
};

/* The pointers are good until weft_shutdown_close. */
struct weft_shutdown_event {
    enum weft_shutdown_event_kind kind;
    const char *name;
    int64_t at_ns;
    int reason; /* it was asked for with */
    int phase;
    const char *hook;
    int result;
    int64_t duration_ns;
};

struct weft_shutdown_options {
    int64_t timeout_ns; /* of the whole, from the request on; 0 means 30 s, WEFT_FOREVER: none */
    int on_signals;     /* 1: weft_shutdown_wait takes SIGTERM and SIGINT, which must be blocked in
                           all threads (weft_signal_block) */
    unsigned hooks_max; /* 0 means 256, at most 65,536 */
    const char *name;   /* NULL means "shutdown" */
    /* On the fiber or thread that caused it; may suspend; must not close. */
    void (*on_event)(void *arg, const struct weft_shutdown_event *event);
    void *on_event_arg;
};

enum weft_shutdown_state {
    WEFT_SHUTDOWN_READY,   /* nobody has asked for it */
    WEFT_SHUTDOWN_ASKED,   /* and nobody has come to weft_shutdown_wait */
    WEFT_SHUTDOWN_RUNNING, /* phases run */
    WEFT_SHUTDOWN_ENDED,
};

struct weft_shutdown_snapshot {
    enum weft_shutdown_state state;
    int reason; /* what it was asked for with */
    int phase;  /* that runs, or ran last */
    int forced;
    unsigned hooks, ended, failed; /* ended: also those that could not run any more */
    int64_t requested_at_ns;       /* 0: not yet */
};

/* One hook, as weft_shutdown_report shows it. */
struct weft_shutdown_hook {
    const char *name; /* good until weft_shutdown_close */
    int phase;
    int began;  /* 1: it runs, or has run */
    int ended;  /* 1: result says how */
    int result; /* what it returned; -ETIMEDOUT: cut short by its deadline, or that of the whole;
                   -ECANCELED: by force. With began 0: why it did not run */
    int64_t duration_ns;
};

/* Returns 0, -EINVAL (options), -ENOMEM. Any thread; never suspends. */
WEFT_API int weft_shutdown_open(struct weft_shutdown **ret_shutdown,
                                const struct weft_shutdown_options *options);

/* Have fn(arg) run in a phase. fn ought to heed its cancellation: it is waited for in any case.
 *
 * phase       any number; lower ones first
 * name        copied; NULL means "hook"
 * timeout_ns  above 0; 0: as long as the whole
 * Returns     an id for weft_shutdown_remove, above 0; -EINVAL, -ENOMEM, WEFT_EFULL (hooks_max),
 *             -ESHUTDOWN (it runs already)
 * Threads     any. Never suspends */
WEFT_API int64_t weft_shutdown_add(struct weft_shutdown *shutdown, int phase, const char *name,
                                   int (*fn)(void *), void *arg, int64_t timeout_ns);

/* For what has ended before. Returns 0, -ENOENT, -ESHUTDOWN (it runs already). Never suspends. */
WEFT_API int weft_shutdown_remove(struct weft_shutdown *shutdown, int64_t id);

/* Ask for the end. The first to ask gives the reason; the others change nothing.
 *
 * reason   for people and weft_shutdown_requested: a signal's number, an error; 0 means -ESHUTDOWN
 * Returns  1 for the first to ask, 0 for the others
 * Threads  any. Never suspends, but for on_event */
WEFT_API int weft_shutdown_request(struct weft_shutdown *shutdown, int reason);

/* Ask for the end, if nobody has, and do not wait for the hooks: cancel those that run, leave out
 * the rest. What a second signal does. Threads: any. Never suspends, but for on_event */
WEFT_API void weft_shutdown_force(struct weft_shutdown *shutdown, int reason);

/* The reason it was asked for with, 0 when it was not. Any thread; never suspends. */
WEFT_API int weft_shutdown_requested(struct weft_shutdown *shutdown);

/* Wait until somebody asks for it, then run all phases. A caller that is cancelled after that takes
 * the hooks along, which are cut short, and those that are left do not run; to end in order all the
 * same, wait inside weft_shield. A caller that is cancelled before runs none.
 *
 * deadline_ns  for somebody to ask
 * Returns  how many hooks have failed or did not run: 0 is a good end. Without having run any:
 *          -ETIMEDOUT, -EAGAIN, -ECANCELED; -EBUSY (somebody waits already, or it has run); what
 *          weft_signal_wait fails with; -EPERM outside a runtime
 * Suspends; until it runs a checkpoint */
WEFT_API int weft_shutdown_wait(struct weft_shutdown *shutdown, int64_t deadline_ns);

/* Write at most hooks_max hooks to ret_hooks, by phase, in the order they were added. Returns how
 * many there are. Any thread; never suspends. */
WEFT_API unsigned weft_shutdown_report(struct weft_shutdown *shutdown,
                                       struct weft_shutdown_hook *ret_hooks, unsigned hooks_max);

/* Returns 0. Any thread; never suspends. */
WEFT_API int weft_shutdown_snapshot(struct weft_shutdown *shutdown,
                                    struct weft_shutdown_snapshot *ret_snapshot);

/* Free it; it runs nothing. Nobody may be in a call. NULL is fine. Never suspends. */
WEFT_API void weft_shutdown_close(struct weft_shutdown *shutdown);

WEFT_END_DECLS

#endif
