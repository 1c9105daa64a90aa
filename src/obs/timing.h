/* SPDX-License-Identifier: MIT
 * timing.h - the inside of a weft_timing, for who exports it. */
#ifndef WEFT_OBS_TIMING_H
#define WEFT_OBS_TIMING_H

#include <obs/histogram.h>

#include <weft/timing.h>

#include <stdbool.h>

struct weft_timing {
    struct weft_guard guard;
    char name[WEFT_NAME_MAX + 1];
    bool wall_only;
    unsigned running;
    uint64_t calls, failures, cancelled;
    struct weft_histogram *wall, *run; /* run: NULL when wall_only */
};

#endif
