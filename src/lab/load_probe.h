/* SPDX-License-Identifier: MIT
 * load_probe.h - before a load: whether the server is there, and what it answers to a first GET. */
#ifndef WEFT_LAB_LOAD_PROBE_H
#define WEFT_LAB_LOAD_PROBE_H

#include <lab/load_client.h>

/* Connect once, to tell at once when nobody is there, and to look the name up only once.
 *
 * host      room for NI_MAXHOST bytes: receives the numeric address, and shared->host points to it
 * Returns   0 or why there is no connection. Suspends */
int weft_load_reach(struct weft_load_shared *shared, char *host);

/* Send the first target's request and see whether the answer is 405 and allows POST instead. No
 * answer is no reason: the load will show what is wrong.
 *
 * Returns   1: it is; 0: not; -ENOMEM, -ECANCELED. Suspends */
int weft_load_wants_post(struct weft_load_shared *shared);

#endif
