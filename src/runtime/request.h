/* SPDX-License-Identifier: MIT
 * request.h - a fiber has an operation on a file carried out. */
#ifndef WEFT_RUNTIME_REQUEST_H
#define WEFT_RUNTIME_REQUEST_H

#include <os/request.h>

/* Suspend until the request was carried out, by the reactor or, where that cannot, by a thread for
 * files. When cancelled, ask for its early end and wait for that. A checkpoint.
 * Returns  the result; -ECANCELED: it had no effect; WEFT_EFULL (too many calls), -ENOMEM */
int weft_request_run(const struct weft_request *request);

/* Told when the reactor reports one. */
void weft_request_ended(struct weft_request *request);

#endif
