/* SPDX-License-Identifier: MIT
 * local.h - values that belong to one fiber, and perhaps to those it spawns.
 *
 *     static const struct weft_local_key request_id;
 *     weft_local_set(&request_id, id);          // in this fiber
 *     ... weft_local_get(&request_id) ...       // anywhere below, NULL in other fibers */
#ifndef WEFT_LOCAL_H
#define WEFT_LOCAL_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* A key is known by its address: make it static. Every field may be NULL.
 *
 * release  called when the fiber ends or sets another value, by the fiber itself, which may look
 *          at its other values and set them. Must not wait: what a child inherited that could not
 *          be started is released by the spawner, or by the thread of the other worker the child
 *          was meant for, outside any fiber, where weft_local_get gives NULL
 *
 * inherit  what a spawned fiber gets, called once per spawn, by the spawner; without it, or when
 *          it returns NULL, the child has no value */
struct weft_local_key {
    void (*release)(void *value);
    void *(*inherit)(void *value);
};

/* Set the calling fiber's value; NULL takes it away.
 * Returns  0, -ENOMEM, -EPERM outside a runtime. Never suspends */
WEFT_API int weft_local_set(const struct weft_local_key *key, void *value);

/* The calling fiber's value, NULL when it has none. Never suspends. */
WEFT_API void *weft_local_get(const struct weft_local_key *key);

WEFT_END_DECLS

#endif
