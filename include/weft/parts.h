/* SPDX-License-Identifier: MIT
 * parts.h - what the public structs are made of. Nothing here is for the caller: the storage is
 * yours, the fields are the library's. */
#ifndef WEFT_PARTS_H
#define WEFT_PARTS_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

struct weft_fiber;
struct weft_worker;

/* An element of a doubly linked list, or its head. */
struct weft_link {
    struct weft_link *next, *prev;
};

/* An element of a worker's timer heap. */
struct weft_timer {
    int64_t deadline_ns;
    uint64_t sequence; /* order of arming, breaks ties */
    struct weft_timer *child, *next, *prev;
    void (*fire)(struct weft_timer *timer);
};

/* What one thread has to tell a worker. */
struct weft_mail {
    struct weft_mail *next;
    void (*deliver)(struct weft_mail *mail); /* called on the worker's thread */
};

/* Who may use an object: one worker without any lock, or every thread, one at a time; nobody while
 * it is all zeros, as before its init or after one that failed. */
struct weft_guard {
    struct weft_worker *home; /* NULL: shared, or nobody's */
    unsigned lock, shared;
};

/* A place in a queue of those who wait. */
struct weft_waiter {
    struct weft_link link;
    struct weft_fiber *fiber;
    const void *source; /* a sender's item, which the waker reads */
    void *target;       /* where the waker puts a receiver's item */
    uint32_t count;     /* permits asked for */
};

/* How an object may be shared; the flags of every init in channel.h and sync.h. */
enum weft_sharing {
    WEFT_AUTO,   /* local in a runtime with one worker, shared otherwise and outside a runtime */
    WEFT_LOCAL,  /* fibers of the calling worker only: no lock, fastest. Others get -EPERM */
    WEFT_SHARED, /* fibers of every worker, and threads outside any runtime */
};

WEFT_END_DECLS

#endif
