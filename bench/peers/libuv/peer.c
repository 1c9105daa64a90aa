/* SPDX-License-Identifier: MIT
 * peer.c - with libuv what weft-bench does with weft: ../README.md says what one operation is.
 *
 * libuv is callbacks on a loop: it has no tasks, channels or locks of its own to measure. */
#include "peer.h"
#include "../peak.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define RUN_NS   UINT64_C(200000000)
#define OPS_MAX  (UINT64_C(1) << 40)
#define SLEEPERS 1000000
#define HOUR_MS  UINT64_C(3600000)

void peer_require(int ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "libuv-peer: %s failed\n", what);
    exit(1);
}

static void never(uv_timer_t *timer)
{
    (void)timer;
    peer_require(0, "a timer an hour ahead");
}

static uint64_t timer_set_cancel(uint64_t ops)
{
    uv_loop_t loop;
    uv_timer_t timer;
    peer_require(uv_loop_init(&loop) == 0 && uv_timer_init(&loop, &timer) == 0, "uv_timer_init");
    uint64_t start_ns = uv_hrtime();
    for (uint64_t i = 0; i < ops; i++) {
        (void)uv_timer_start(&timer, never, HOUR_MS + i % 1024, 0);
        (void)uv_timer_stop(&timer);
    }
    uint64_t took_ns = uv_hrtime() - start_ns;
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    peer_require(uv_loop_close(&loop) == 0, "uv_loop_close");
    return took_ns;
}

static uint64_t wake_busy(uint64_t ops)
{
    return peer_wake(ops, 1);
}

static uint64_t wake_idle(uint64_t ops)
{
    return peer_wake(ops, 0);
}

static const struct row {
    const char *name;
    uint64_t (*run)(uint64_t ops); /* does ops operations; nanoseconds */
} rows[] = {
    {"timer_set_cancel", timer_set_cancel},
    {"wake_busy", wake_busy},
    {"wake_idle", wake_idle},
};
#define ROWS (sizeof rows / sizeof rows[0])

/* Grow until a run is long enough to be timed, then run once at the wanted length. */
static void measure(const struct row *row)
{
    uint64_t ops = 1000;
    uint64_t took_ns = row->run(ops);
    while (took_ns < RUN_NS / 10 && ops < OPS_MAX) {
        ops *= 4;
        took_ns = row->run(ops);
    }
    ops = (uint64_t)((double)ops * (double)RUN_NS / (double)took_ns) + 2;
    printf("{\"name\":\"%s\",\"unit\":\"ns\",\"value\":%.3f}\n", row->name,
           (double)row->run(ops) / (double)ops);
}

static void count_one(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

static void sleepers(void)
{
    uv_loop_t loop;
    unsigned woken = 0;
    peer_require(uv_loop_init(&loop) == 0, "uv_loop_init");
    uint64_t start_ns = uv_hrtime();
    uv_timer_t *timers = calloc(SLEEPERS, sizeof *timers);
    peer_require(timers != NULL, "calloc");
    for (int i = 0; i < SLEEPERS; i++) {
        uv_update_time(&loop); /* else the last ones would sleep too short */
        timers[i].data = &woken;
        peer_require(uv_timer_init(&loop, &timers[i]) == 0 &&
                         uv_timer_start(&timers[i], count_one, 3500, 0) == 0,
                     "uv_timer_start");
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    peer_require(woken == SLEEPERS, "waking everybody");
    printf("{\"name\":\"sleepers\",\"unit\":\"s\",\"value\":%.3f,"
           "\"note\":\"a timer each, without a task\"}\n",
           (double)(uv_hrtime() - start_ns) / 1e9);
    printf("{\"name\":\"sleepers_rss\",\"unit\":\"MB\",\"value\":%.1f}\n", peak_megabytes());
}

static void run_row(const char *name)
{
    size_t i = 0;
    while (i < ROWS && strcmp(rows[i].name, name) != 0)
        i++;
    if (i < ROWS)
        measure(&rows[i]);
    else if (strcmp(name, "sleepers") == 0)
        sleepers();
    else if (strcmp(name, "echo") == 0)
        peer_echo();
    else
        peer_require(0, name);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < ROWS; i++)
            puts(rows[i].name);
        puts("sleepers\necho");
        return 0;
    }
    for (size_t i = 0; argc == 1 && i < ROWS; i++)
        run_row(rows[i].name);
    if (argc == 1)
        run_row("sleepers");
    for (int i = 1; i < argc; i++)
        run_row(argv[i]);
    return 0;
}
