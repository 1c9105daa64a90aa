/* SPDX-License-Identifier: MIT
 * watch.h - workers seen from outside: what they run, for how long, and where it is.
 *
 * Each runtime has at most one thread that looks (inspector.c), and on it any number of watchers:
 * hogs in debug mode, monitors. Looking costs a worker nothing: it compares what the worker writes
 * down anyway. What needs the worker's own thread (a fiber's name, a backtrace) is asked for by
 * SIGURG, which by default does nothing. What a worker has to measure itself goes through its
 * meter, NULL unless somebody measures. */
#ifndef WEFT_RUNTIME_WATCH_H
#define WEFT_RUNTIME_WATCH_H

#include <os/handler.h>
#include <runtime/runtime.h>

#define WEFT_CAPTURE_FRAMES 32

/* ---- how long a fiber has run ---------------------------------------------------------- */

/* What a watcher saw last of a worker. All zero before the first look. */
struct weft_slice {
    const struct weft_fiber *fiber; /* to compare with: it may be gone. NULL: none */
    unsigned switches_left;
    uint64_t rounds;
    int64_t since_ns;   /* the first look that saw this fiber without a switch since */
    int64_t counted_ns; /* the latest look that counts */
    unsigned looks;     /* that count, after the first */
    unsigned told;      /* the watcher's: what it has said of this slice */
};

/* Look at a worker. Returns true when the same fiber runs as at the last look, and nothing else ran
 * in between; otherwise *slice begins anew.
 * limit_ns  that it is about: looks that come much more often than weft_slice_pause do not count */
bool weft_slice_look(struct weft_slice *slice, const struct weft_worker *worker, int64_t now_ns,
                     int64_t limit_ns);

/* The same without changing *slice. Returns for how long, at least; 0 when it ended. */
int64_t weft_slice_age(const struct weft_slice *slice, const struct weft_worker *worker,
                       int64_t now_ns);

/* Whether a slice is longer than limit_ns. Asks for several looks that count as well: after the
 * process was stopped for a while, time has passed and nobody ran. */
bool weft_slice_exceeds(const struct weft_slice *slice, int64_t now_ns, int64_t limit_ns);

/* How often to look for that. */
int64_t weft_slice_pause(int64_t limit_ns);

/* ---- what it is ------------------------------------------------------------------------ */

/* What a worker's thread says of the fiber it runs, when asked by the signal. */
struct weft_capture {
    unsigned state; /* enum capture_state in watch.c; the word the asker sleeps on */
    const struct weft_fiber *fiber;
    char name[WEFT_NAME_MAX + 1];
    const void *fn, *spawned_at;
    void *frames[WEFT_CAPTURE_FRAMES];
    int frames_len;
};

/* The handler and, at the first use in the process, what it must not load itself. Once for every
 * watcher that asks. Returns 0 or a negative error */
int weft_capture_start(void);
void weft_capture_stop(void);

/* Ask the worker's thread what it runs; on the thread that looks. Returns NULL unless it answered
 * that it still runs this fiber. The answer is the caller's until it asks again. */
const struct weft_capture *weft_capture_ask(struct weft_worker *worker,
                                            const struct weft_fiber *fiber);

/* ---- what a worker measures itself ----------------------------------------------------- */

/* Called on the worker's thread. The runtime keeps it until its workers have ended, so that no
 * worker that still uses it has to be waited for. */
struct weft_meter {
    /* The scheduler has begun a turn; fibers have run since resumed_at_ns, 0: none have. */
    void (*turn)(struct weft_meter *meter, const struct weft_worker *worker, int64_t now_ns,
                 int64_t resumed_at_ns);
    /* A timer is about to fire, now_ns being this turn's. */
    void (*fired)(struct weft_meter *meter, int64_t now_ns, int64_t deadline_ns);
    void (*free)(struct weft_meter *meter);
};

/* ---- the workers of a runtime, as they are watched (watch.c) --------------------------- */

struct weft_watched {
    struct weft_worker *worker;
    pthread_t thread;
    bool asked;    /* attach_mail is under way or was delivered; under the lock */
    bool attached; /* the thread exists and takes the signal; under the lock */
    struct weft_mail attach_mail;
    char *signal_stack;
    stack_t stack_before;
    sigset_t mask_before;
    struct weft_capture capture;
    struct weft_meter *meter; /* kept for the next who measures */
};

struct weft_watch {
    unsigned lock;
    struct weft_watched workers[]; /* workers_len of them */
};

/* Make runtime->watch, unless it is there; before the workers run, or under runtime->watch_lock.
 * Returns 0, -ENOMEM */
int weft_watch_open(struct weft_runtime *runtime);
void weft_watch_close(struct weft_runtime *runtime); /* the workers have ended; NULL is fine */

/* Have the worker's thread take the signal, on a stack for signals: on that thread, before its
 * first fiber. Returns 0, -ENOMEM, ... */
int weft_watch_attach(struct weft_worker *worker);

/* The same from any thread, for all workers, as soon as each reads its mail. */
void weft_watch_attach_all(struct weft_runtime *runtime);

/* On the worker's thread, after its last fiber; nothing happens when it was not attached. */
void weft_watch_detach(struct weft_worker *worker);

/* ---- who looks (inspector.c) ----------------------------------------------------------- */

struct weft_watcher {
    struct weft_link link;
    /* Look at the workers, which exist meanwhile. Returns when to look again. */
    int64_t (*look)(struct weft_watcher *watcher, int64_t now_ns);
    /* The workers have ended and nothing looks any more; NULL: it is no news. */
    void (*ended)(struct weft_watcher *watcher);
};

/* Have the runtime's thread look, which is started when there is none. Returns 0 or what the kernel
 * refuses */
int weft_watcher_add(struct weft_runtime *runtime, struct weft_watcher *watcher);

/* Waits for the end of a look. The thread ends when there is nothing else for it to do. */
void weft_watcher_remove(struct weft_runtime *runtime, struct weft_watcher *watcher);

#endif
