/* SPDX-License-Identifier: MIT
 * remote.h - the broker of a weft server elsewhere, over HTTP: for workers on other machines.
 *
 * It claims, settles and extends by /v1/lease, /v1/settle and /v1/extend, waits for jobs at the
 * server, and enters the server's registry of workers. Jobs are put in by other means (POST
 * /v1/jobs), because their ids are the server's; further jobs of a settlement go with it, and their
 * ids are the server's as well.
 *
 * While the server is away each call is tried a few times before it fails; whoever runs the engine
 * goes on trying. A claim that is cancelled while its answer is on its way leaves the jobs in it to
 * their leases. */
#ifndef WEFT_BROKER_REMOTE_H
#define WEFT_BROKER_REMOTE_H

#include <job/broker.h>

/* Zero or NULL means the default. Copied. */
struct weft_remote_options {
    const char *url;     /* "http://127.0.0.1:8001"; needed. May have a path in front of /v1 */
    const char *token;   /* to be sent with every request; NULL: none */
    const char *ca_file; /* for https, PEM; NULL: the system's authorities */
};

/* Make a broker; nothing is sent yet.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0; -EINVAL (url, token), -ENOMEM, -EMFILE, -EPERM outside a runtime
 * Threads    a fiber; suspends. The calls of the broker come from fibers of the same runtime, but
 *            beat, which comes from another thread */
int weft_remote_open(struct weft_broker **ret_broker, const struct weft_remote_options *options,
                     char *ret_error, size_t error_bytes);

/* Why the last call that failed did: one sentence for people. Valid until the next call. */
const char *weft_remote_error(const struct weft_broker *broker);

#endif
