/* SPDX-License-Identifier: MIT
 * load_tally.h - what became of a number of requests: one for each part of the schedule, one for
 * each URL. One thread counts; when it has ended, others add up. */
#ifndef WEFT_LAB_LOAD_TALLY_H
#define WEFT_LAB_LOAD_TALLY_H

#include <obs/histogram.h>
#include <weft/load.h>

#include <stdbool.h>

/* What one request came to. */
enum weft_load_outcome {
    WEFT_LOAD_ANSWERED,
    WEFT_LOAD_FAILED_CONNECT,
    WEFT_LOAD_FAILED_TIMEOUT,
    WEFT_LOAD_FAILED_RESET,
    WEFT_LOAD_FAILED_PROTOCOL,
};

struct weft_load_end {
    enum weft_load_outcome outcome;
    int status; /* when answered */
    int64_t latency_ns, sent_ns;
};

struct weft_load_tally {
    uint64_t requests, succeeded;
    uint64_t errors[WEFT_LOAD_ERRORS];
    uint64_t status[6];
    uint64_t in_time; /* a part's: successes while it lasted */
    struct weft_histogram *latency, *sent;
};

/* Returns 0, -ENOMEM. Free it with deinit, also after a failure */
int weft_load_tally_init(struct weft_load_tally *tally);
void weft_load_tally_deinit(struct weft_load_tally *tally);

/* Returns whether it was a success. */
bool weft_load_tally_count(struct weft_load_tally *tally, const struct weft_load_end *end);

void weft_load_tally_add(struct weft_load_tally *tally, const struct weft_load_tally *from);

struct weft_load_counts weft_load_tally_counts(const struct weft_load_tally *tally);

/* The common percentiles. */
struct weft_load_latency weft_load_latency_of(const struct weft_histogram *histogram);

#endif
