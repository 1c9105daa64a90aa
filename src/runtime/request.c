/* SPDX-License-Identifier: MIT
 * request.c - see request.h.
 *
 * The kernel writes to what a request points to until it has reported its end, cancelled or not:
 * so the fiber stays until then, and with it the request on its stack. */
#include <runtime/offload.h>
#include <runtime/request.h>
#include <runtime/worker.h>

#include <errno.h>

struct pending {
    struct weft_request request;
    struct weft_fiber *fiber;
    bool ended;
};

void weft_request_ended(struct weft_request *request)
{
    struct pending *pending = weft_container_of(request, struct pending, request);
    pending->ended = true;
    (void)weft_unpark(pending->fiber, 0);
}

static int wait_for_end(struct weft_fiber *self, struct pending *pending)
{
    struct weft_worker *worker = self->worker;
    worker->outstanding++;
    self->waits_for = "a file";
    weft_park_prepare(self);
    bool cancelled = weft_park(self, WEFT_FOREVER, WEFT_PARK_CANCELLABLE) < 0;
    if (!pending->ended)
        worker->poller_ops->cancel(worker->poller, &pending->request);
    while (!pending->ended) {
        weft_park_prepare(self);
        (void)weft_park(self, WEFT_FOREVER, WEFT_PARK_SHIELDED);
    }
    worker->outstanding--;
    int result = pending->request.result;
    /* A kernel thread that was interrupted in the middle of nothing. */
    return cancelled && result == -EINTR ? -ECANCELED : result;
}

static int block(void *arg)
{
    struct pending *pending = arg;
    return weft_request_block(&pending->request);
}

int weft_request_run(const struct weft_request *request)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    struct weft_worker *worker = self->worker;
    struct pending pending = {.request = *request, .fiber = self};
    if (!worker->broken && worker->poller_ops->start(worker->poller, &pending.request) == 0)
        return wait_for_end(self, &pending);
    return weft_offload_on(WEFT_OFFLOAD_FILES, block, &pending);
}
