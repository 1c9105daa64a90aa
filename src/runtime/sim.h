/* SPDX-License-Identifier: MIT
 * sim.h - real descriptors of this process, seen through a bad network.
 *
 * What the poller reports arrives late and in another order; reads and writes of stream sockets are
 * cut short; connections are reset. All of it is drawn from the runtime's seed, and the lateness
 * is on the runtime's clock: under the virtual one a run is repeatable and takes no time. */
#ifndef WEFT_RUNTIME_SIM_H
#define WEFT_RUNTIME_SIM_H

#include <base/random.h>
#include <os/poller.h>

#include <weft/parts.h>
#include <weft/runtime.h>

#include <stdbool.h>

struct weft_fd;

struct weft_sim {
    struct weft_random random;
    struct weft_faults faults;
    struct weft_link delayed; /* events that are on their way */
};

/* Returns NULL when there is no memory. faults NULL: mild ones that a correct program does not
 * notice. */
struct weft_sim *weft_sim_open(const struct weft_faults *faults, uint64_t seed);
void weft_sim_close(struct weft_worker *worker);

/* Hand the poller's events on, some later, none in the order they came. */
void weft_sim_events(struct weft_worker *worker, struct weft_ready *ready, size_t count);

/* Virtual time stands still for an answer from outside: what is late comes now. False: nothing is.
 */
bool weft_sim_hurry(struct weft_worker *worker);

/* How much of len bytes a stream takes this time: 1 to len. */
size_t weft_sim_cut(struct weft_sim *sim, int fd, size_t len);

/* Whether the connection breaks now; it stays broken. */
bool weft_sim_resets(struct weft_sim *sim, struct weft_fd *entry, int fd);

#endif
