/* SPDX-License-Identifier: MIT
 * resolve.h - names to addresses: one question per name at a time, answers kept for a while.
 *
 * See weft_resolve in weft/net.h for the limits. A resolver belongs to a worker; a look-up that
 * nobody waits for any more may outlive both, and then takes the resolver with it. */
#ifndef WEFT_RUNTIME_RESOLVE_H
#define WEFT_RUNTIME_RESOLVE_H

#include <weft/net.h>

struct weft_resolver;

struct weft_answer {
    int result;          /* 0, or why there are no addresses */
    int64_t asked_at_ns; /* when the question was asked, by the clock of who asked */
    size_t count;
    struct weft_address addresses[WEFT_ADDRESSES_MAX]; /* port 0 */
};

/* Asks the system, on a thread; fills everything. */
typedef void weft_look_up(const char *host, struct weft_answer *ret_answer);

/* look_up  NULL means getaddrinfo. Returns NULL when there is no memory */
struct weft_resolver *weft_resolver_open(weft_look_up *look_up);

/* Forget everything. NULL is fine. */
void weft_resolver_close(struct weft_resolver *resolver);

/* The addresses of a host, numeric or not, by the calling worker's resolver. A checkpoint.
 * Returns  0 with at least one address, or negative */
int weft_resolve_host(const char *host, int64_t deadline_ns, struct weft_answer *ret_answer);

/* The same, without answers to questions from before that time. */
int weft_resolve_host_since(const char *host, int64_t since_ns, int64_t deadline_ns,
                            struct weft_answer *ret_answer);

/* The port of an address that has one. */
void weft_address_set_port(struct weft_address *address, uint16_t port);

#endif
