/* SPDX-License-Identifier: MIT
 * meter.h - what workers measure of themselves for monitors, and what a runtime counts anyway. */
#ifndef WEFT_OBS_METER_H
#define WEFT_OBS_METER_H

#include <obs/histogram.h>
#include <runtime/watch.h>

#include <weft/monitor.h>

enum weft_measure {
    WEFT_MEASURE_LAG,   /* of each timer that fired */
    WEFT_MEASURE_WAIT,  /* of who became runnable at the beginning of a turn, for its own */
    WEFT_MEASURE_SLICE, /* of the scheduler, from resuming fibers to its next turn */
    WEFT_MEASURES,
};

/* Have the workers measure; as often as that, weft_meter_end. Returns 0, -ENOMEM */
int weft_meter_begin(struct weft_runtime *runtime);

/* The meters stay with the runtime: a worker may just be using its own. */
void weft_meter_end(struct weft_runtime *runtime);

/* Add what all workers have measured since they first did. While they exist; any thread. */
void weft_meter_collect(struct weft_runtime *runtime, enum weft_measure measure,
                        struct weft_histogram *into);

/* Count a runtime's fibers. While its workers exist; any thread. */
void weft_runtime_count(const struct weft_runtime *runtime, struct weft_runtime_snapshot *ret);

#endif
