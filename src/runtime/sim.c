/* SPDX-License-Identifier: MIT
 * sim.c - see sim.h. */
#include <runtime/sim.h>
#include <runtime/worker.h>

#include <stdlib.h>
#include <sys/socket.h>

static const struct weft_faults mild = {
    .late = 300,
    .late_max_ns = WEFT_MSEC,
    .partial = 300,
};

struct delayed {
    struct weft_timer timer;
    struct weft_link link; /* in sim->delayed */
    struct weft_ready ready;
};

static bool happens(struct weft_sim *sim, unsigned per_mille)
{
    return per_mille > 0 && weft_random_below(&sim->random, 1000) < per_mille;
}

struct weft_sim *weft_sim_open(const struct weft_faults *faults, uint64_t seed)
{
    struct weft_sim *sim = malloc(sizeof *sim);
    if (!sim)
        return NULL;
    *sim = (struct weft_sim){.faults = faults ? *faults : mild};
    weft_random_seed(&sim->random, seed);
    weft_list_init(&sim->delayed);
    return sim;
}

static struct delayed *take_first(struct weft_worker *worker)
{
    struct delayed *delayed = weft_container_of(worker->sim->delayed.next, struct delayed, link);
    weft_timer_disarm(worker, &delayed->timer);
    weft_list_unlink(&delayed->link);
    return delayed;
}

void weft_sim_close(struct weft_worker *worker)
{
    struct weft_sim *sim = worker->sim;
    if (!sim)
        return;
    while (!weft_list_empty(&sim->delayed))
        free(take_first(worker));
    free(sim);
}

static void arrives(struct weft_timer *timer)
{
    struct delayed *delayed = weft_container_of(timer, struct delayed, timer);
    struct weft_ready ready = delayed->ready;
    weft_list_unlink(&delayed->link);
    free(delayed);
    weft_fd_event(&weft_current_worker->fds, &ready);
}

bool weft_sim_hurry(struct weft_worker *worker)
{
    bool any = !weft_list_empty(&worker->sim->delayed);
    while (!weft_list_empty(&worker->sim->delayed)) {
        struct delayed *delayed = take_first(worker);
        weft_fd_event(&worker->fds, &delayed->ready);
        free(delayed);
    }
    return any;
}

/* False: no memory, it cannot wait. */
static bool delay(struct weft_worker *worker, const struct weft_ready *ready)
{
    struct weft_sim *sim = worker->sim;
    struct delayed *delayed = calloc(1, sizeof *delayed);
    if (!delayed)
        return false;
    delayed->ready = *ready;
    int64_t late_ns =
        1 + (int64_t)weft_random_below(&sim->random, (uint64_t)sim->faults.late_max_ns);
    weft_list_append(&sim->delayed, &delayed->link);
    weft_timer_arm(worker, &delayed->timer, weft_worker_now(worker) + late_ns, arrives);
    return true;
}

void weft_sim_events(struct weft_worker *worker, struct weft_ready *ready, size_t count)
{
    struct weft_sim *sim = worker->sim;
    for (size_t left = count; left > 0; left--) {
        size_t chosen = (size_t)weft_random_below(&sim->random, left);
        struct weft_ready next = ready[chosen];
        ready[chosen] = ready[left - 1];
        bool late = next.fd != worker->wake_fd && sim->faults.late_max_ns > 0 &&
                    happens(sim, sim->faults.late);
        if (!late || !delay(worker, &next))
            weft_fd_event(&worker->fds, &next);
    }
}

/* A stream socket, and not a listener. */
static bool is_connection(int fd)
{
    int type = 0, listens = 1;
    socklen_t type_len = sizeof type, listens_len = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) == 0 && !listens;
}

size_t weft_sim_cut(struct weft_sim *sim, int fd, size_t len)
{
    if (len < 2 || !happens(sim, sim->faults.partial) || !is_connection(fd))
        return len;
    return 1 + (size_t)weft_random_below(&sim->random, len);
}

bool weft_sim_resets(struct weft_sim *sim, struct weft_fd *entry, int fd)
{
    if (!entry)
        return false;
    if (!entry->broken && happens(sim, sim->faults.reset) && is_connection(fd)) {
        entry->broken = true;
        (void)shutdown(fd, SHUT_RDWR); /* the other side notices as well */
    }
    return entry->broken;
}
