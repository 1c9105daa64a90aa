/* SPDX-License-Identifier: MIT
 * summary.h - what a run adds up to. Each worker writes a tally of its own; a reader may look at
 * them meanwhile and sees a moment in between. */
#ifndef WEFT_FETCH_SUMMARY_H
#define WEFT_FETCH_SUMMARY_H

#include <fetch/fetcher.h>
#include <fetch/rules.h>
#include <obs/histogram.h>

#define WEFT_FETCH_STATUSES 600

struct weft_fetch_phase {
    int64_t sum_ns;
    uint64_t count;
};

struct weft_fetch_tally {
    struct weft_histogram *latency, *failures, *queue;
    uint64_t done, successful, cancelled;
    uint64_t bytes_received, body_bytes;
    struct weft_fetch_phase name, connect, tls, first_byte;
    uint64_t kinds[WEFT_FETCH_KINDS];       /* of results without an answer */
    uint64_t statuses[WEFT_FETCH_STATUSES]; /* of those with one; 0: an odd one */
};

/* Returns 0, -ENOMEM; to be deinit in both cases. */
int weft_fetch_tally_init(struct weft_fetch_tally *tally);
void weft_fetch_tally_deinit(struct weft_fetch_tally *tally);

/* err is what weft_fetcher_get returned. */
void weft_fetch_tally_add(struct weft_fetch_tally *tally, const struct weft_fetch_result *result,
                          int err);

/* Whether a result is a success. */
static inline bool weft_fetch_is_success(int err, int status)
{
    return err == 0 && status >= 100 && status < 400;
}

/* Add tallies up. total_duration_ns, skipped and stopped are the caller's. The first tally takes
 * the others in. */
void weft_fetch_sum_up(struct weft_fetch_tally *tallies, unsigned count,
                       struct weft_fetcher *fetcher, int64_t total_duration_ns,
                       struct weft_fetch_summary *ret_summary);

/* Little's law, from numbers alone: places / mean, and no more than the rate.
 * hosts  that were asked; at least 1 */
double weft_fetch_ceiling(const struct weft_fetcher_options *options, uint64_t hosts,
                          int64_t mean_ns, unsigned *ret_places);

#endif
