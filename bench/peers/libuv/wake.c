/* SPDX-License-Identifier: MIT
 * wake.c - uv_async_send from one loop's thread to another's, and back. */
#include "peer.h"

#include <uv.h>

struct side {
    uv_loop_t loop;
    uv_async_t async;
    uv_idle_t idle; /* keeps the loop from sleeping; not started unless busy */
    struct side *other;
    uint64_t left; /* answers still to come; only the side that asks counts */
    int asks;
    int over; /* written by the other side before its last wake */
};

static void close_side(struct side *side)
{
    uv_close((uv_handle_t *)&side->async, NULL);
    uv_close((uv_handle_t *)&side->idle, NULL);
}

static void woken(uv_async_t *async)
{
    struct side *side = async->data;
    if (side->over || (side->asks && --side->left == 0)) {
        close_side(side);
        return;
    }
    (void)uv_async_send(&side->other->async);
}

static void spin(uv_idle_t *idle)
{
    (void)idle;
}

static void open_side(struct side *side, struct side *other, int busy)
{
    side->other = other;
    peer_require(uv_loop_init(&side->loop) == 0 &&
                     uv_async_init(&side->loop, &side->async, woken) == 0 &&
                     uv_idle_init(&side->loop, &side->idle) == 0 &&
                     (!busy || uv_idle_start(&side->idle, spin) == 0),
                 "uv_async_init");
    side->async.data = side;
}

static void run_side(void *arg)
{
    struct side *side = arg;
    (void)uv_run(&side->loop, UV_RUN_DEFAULT);
}

uint64_t peer_wake(uint64_t ops, int busy)
{
    struct side asks = {.asks = 1, .left = ops / 2}, answers = {.asks = 0};
    uv_thread_t thread;
    open_side(&asks, &answers, busy);
    open_side(&answers, &asks, busy);
    peer_require(uv_thread_create(&thread, run_side, &answers) == 0, "uv_thread_create");
    uint64_t start_ns = uv_hrtime();
    (void)uv_async_send(&answers.async);
    run_side(&asks);
    uint64_t took_ns = uv_hrtime() - start_ns;
    answers.over = 1; /* the wake makes it seen */
    (void)uv_async_send(&answers.async);
    peer_require(uv_thread_join(&thread) == 0, "uv_thread_join");
    peer_require(uv_loop_close(&asks.loop) == 0 && uv_loop_close(&answers.loop) == 0,
                 "uv_loop_close");
    return took_ns;
}
