/* SPDX-License-Identifier: MIT
 * weft_sleepers.c - a million fibers that sleep 3.5 s: how long until all are done, how much
 * memory. A program of its own, because it tells the peak memory of its process. */
#include "peak.h"

#include <weft/group.h>
#include <weft/runtime.h>

#include <string.h>

#define SLEEPERS 1000000

static int nap(void *arg)
{
    (void)arg;
    return weft_sleep(3500 * WEFT_MSEC);
}

static int sleep_all(void *arg)
{
    struct weft_group group;
    int64_t *ret_ns = arg, start_ns = weft_now();
    int err = weft_group_init(&group, NULL);
    if (err < 0)
        return err;
    for (int i = 0; i < SLEEPERS && err == 0; i++)
        err = weft_spawn(&group, nap, NULL);
    if (err < 0)
        weft_group_cancel(&group, 0);
    int waited = weft_group_wait(&group);
    *ret_ns = weft_now() - start_ns;
    return err < 0 ? err : waited;
}

/* --mprotect: as on kernels before 6.13. */
int main(int argc, char **argv)
{
    int64_t took_ns = 0;
    const struct weft_run_options options = {.guards_by_mprotect =
                                                 argc > 1 && strcmp(argv[1], "--mprotect") == 0};
    int err = weft_run(&options, sleep_all, &took_ns);
    if (err < 0) {
        (void)fprintf(stderr, "weft-sleepers: %s\n", weft_strerror(err));
        return 1;
    }
    printf("{\"name\":\"sleepers\",\"unit\":\"s\",\"value\":%.3f}\n", (double)took_ns / 1e9);
    printf("{\"name\":\"sleepers_rss\",\"unit\":\"MB\",\"value\":%.1f}\n", peak_megabytes());
    return 0;
}
