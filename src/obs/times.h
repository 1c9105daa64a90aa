/* SPDX-License-Identifier: MIT
 * times.h - what a histogram says, as the public headers show it. */
#ifndef WEFT_OBS_TIMES_H
#define WEFT_OBS_TIMES_H

#include <obs/histogram.h>

#include <weft/timing.h>

static inline struct weft_times weft_times_of(const struct weft_histogram *histogram)
{
    return (struct weft_times){
        .count = weft_histogram_count(histogram),
        .min_ns = weft_histogram_min(histogram),
        .mean_ns = weft_histogram_mean(histogram),
        .max_ns = weft_histogram_max(histogram),
        .p50_ns = weft_histogram_percentile(histogram, 500000),
        .p95_ns = weft_histogram_percentile(histogram, 950000),
        .p99_ns = weft_histogram_percentile(histogram, 990000),
    };
}

#endif
