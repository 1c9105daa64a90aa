/* SPDX-License-Identifier: MIT
 * local.h - a fiber's own values: a short list, because a fiber has few. See weft/local.h. */
#ifndef WEFT_RUNTIME_LOCAL_H
#define WEFT_RUNTIME_LOCAL_H

#include <weft/local.h>

struct weft_fiber;

struct weft_local {
    struct weft_local *next;
    const struct weft_local_key *key;
    void *value;
};

/* What a child of parent starts with. Returns 0 or -ENOMEM, with nothing kept. */
int weft_locals_inherit(const struct weft_fiber *parent, struct weft_local **ret_locals);

/* Release and empty a list; one value at a time, so that its release may look at the rest. */
void weft_locals_release(struct weft_local **locals);

#endif
