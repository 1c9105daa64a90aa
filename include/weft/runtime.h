/* SPDX-License-Identifier: MIT
 * runtime.h - start fibers from plain C, read their clock, let time pass.
 *
 * A fiber is straight-line C on its own small stack (64 KiB by default). It runs until it waits
 * for something; then another fiber of the same thread runs. A fiber never changes thread, so
 * errno and thread-locals behave as everywhere else in C. Compile code with large frames with
 * -fstack-clash-protection, so that an overflow strikes the guard and not a neighbour. Every fiber
 * belongs to a group (group.h), and every wait ends early when the scope around it is cancelled
 * (scope.h). */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

enum weft_clock_kind {
    WEFT_CLOCK_REAL,    /* CLOCK_MONOTONIC */
    WEFT_CLOCK_VIRTUAL, /* jumps to the next timer whenever every fiber waits */
};

/* What the reactor "sim" does to stream sockets and events, each of a thousand times. */
struct weft_faults {
    unsigned late;       /* an event arrives later than it happened, by up to late_max_ns */
    int64_t late_max_ns; /* on the runtime's clock */
    unsigned partial;    /* a read or write moves only part of what it could */
    unsigned reset;      /* a read or write breaks the connection: -ECONNRESET from then on */
};

/* Debug mode: reports leaks, hogs and stack overflows on stderr; docs/debugging.md. */
enum weft_debug_mode {
    WEFT_DEBUG_BY_ENVIRONMENT, /* on when $WEFT_DEBUG is 1 */
    WEFT_DEBUG_ON,
    WEFT_DEBUG_OFF,
};

struct weft_run_options {
    enum weft_clock_kind clock;   /* 0 means WEFT_CLOCK_REAL */
    const char *io;               /* "uring", "epoll", "sim"; NULL: $WEFT_IO, else the best */
    size_t stack_bytes;           /* usable stack of a fiber; 0 means 64 KiB, at least 16 KiB */
    int guards_by_mprotect;       /* not 0: guard stacks as before Linux 6.13: the first 24,000 */
    unsigned offload_threads_max; /* per worker: threads for weft_offload; 0: 4, at most 1024 */
    unsigned offload_queue_max;   /* per worker: calls waiting for a thread; 0 means 65,536 */
    unsigned workers;             /* threads that run fibers; 0 means 1; WEFT_ALL_CORES. With
                                     the virtual clock always 1: that is what makes it repeatable */
    uint64_t seed; /* not 0: which fiber runs next is drawn, the same for the same seed. $WEFT_SEED
                      replaces a 0 for everything else that is drawn */
    const struct weft_faults *faults; /* for io "sim"; NULL: late and partial, without resets */
    /* For tests of programs: cancel everything when a fiber of the first worker is about to wait
     * for the cancel_at-th time (counted from 1; 0: never); and, unless the run could not begin,
     * tell how often fibers of all workers have waited. */
    uint64_t cancel_at;
    uint64_t *ret_waits;
    enum weft_debug_mode debug;
    int64_t hog_ns;  /* debug mode: who runs longer without giving way is reported; 0: 100 ms */
    int dump_signal; /* prints what weft_dump writes to stderr; 0: none, in debug mode SIGUSR1
                        unless the program handles or blocks it */
};

#define WEFT_ALL_CORES UINT32_MAX

/* Run fn(arg) as the first fiber of a new runtime on the calling thread; return when it ended.
 *
 * options  NULL means all defaults; read before the first fiber starts, not kept
 * fn       0 or more is success, negative an error; its value is returned
 * Returns  fn's result, or before fn was called: -EINVAL (options), -EBUSY (the thread already
 *          runs one), -ENOMEM, -EMFILE and what else the kernel refuses. When every fiber waits and
 *          nothing can come (no timer, no descriptor, no thread that owes an answer, nobody
 *          outside who holds the runtime), all are cancelled, at the second time even inside
 *          shields, and the result is -EDEADLK; a third time aborts
 * Threads  any thread outside a runtime; several runtimes may run on several threads
 * Fork     a child of fork() has no part in its parent's runtime: there every call says -EPERM, a
 *          new weft_run works, and the fiber must end with _exit or exec: returning from its
 *          function, or leaving a scope, aborts */
WEFT_API int weft_run(const struct weft_run_options *options, int (*fn)(void *), void *arg);

/* Let every other runnable fiber of this thread run once; with a seed, which draws who is next, any
 * number of them, none as well. A checkpoint.
 * Returns  0, -ECANCELED (after having yielded), -EPERM outside a runtime */
WEFT_API int weft_yield(void);

/* Ask whether the surrounding scope is cancelled, without giving way.
 * Returns  0, -ECANCELED, -EPERM outside a runtime */
WEFT_API int weft_checkpoint(void);

/* The runtime's clock in nanoseconds: monotonic, always above 0, not the time of day. The real one
 * is CLOCK_MONOTONIC, but read more cheaply where the processor allows it: never ahead of that, and
 * behind by a few tenths of a microsecond, by which two workers may also differ.
 * Outside a runtime it is CLOCK_MONOTONIC itself. Never suspends. */
WEFT_API int64_t weft_now(void);

/* Suspend for at least duration_ns (weft_sleep) or until that clock shows at least deadline_ns
 * (weft_sleep_until), never early, by CLOCK_MONOTONIC neither. A duration of 0 or less, or a past
 * deadline, gives way once.
 * Returns  0, -ECANCELED (woken before the time was over), -EPERM outside a runtime */
WEFT_API int weft_sleep(int64_t duration_ns);
WEFT_API int weft_sleep_until(int64_t deadline_ns);

/* The number of workers, and the calling fiber's own, counted from 0. Outside a runtime: 0, -EPERM.
 */
WEFT_API unsigned weft_worker_count(void);
WEFT_API int weft_worker_index(void);

/* ---- from threads outside the runtime -------------------------------------------------- */

struct weft_runtime;

/* Hold the calling fiber's runtime for other threads: for weft_call, and for any thread that is
 * going to wake its fibers through a channel or another shared object. While it is held, fibers
 * that wait for nothing the runtime knows of are not taken for deadlocked. A virtual clock goes
 * on all the same.
 * Returns  the runtime; NULL outside one. Give it back with weft_runtime_release, on any thread,
 *          before or after weft_run has returned */
WEFT_API struct weft_runtime *weft_runtime_acquire(void);
WEFT_API void weft_runtime_release(struct weft_runtime *runtime); /* NULL is fine */

/* Run fn(arg) as a fiber of the runtime, on the worker that has time first, while the calling
 * thread sleeps. When the runtime's first fiber ends meanwhile, the call is cancelled.
 *
 * Returns  fn's result; -ESHUTDOWN (the runtime has ended: fn did not run), -EBUSY (inside a
 *          runtime: spawn instead), -EPERM (in a child of fork()), -ENOMEM, WEFT_EFULL
 * Threads  any thread outside a runtime */
WEFT_API int weft_call(struct weft_runtime *runtime, int (*fn)(void *), void *arg);

/* The name of the reactor in use, "io_uring", "epoll" or "sim"; NULL outside a runtime. */
WEFT_API const char *weft_io_name(void);

WEFT_END_DECLS

#endif
