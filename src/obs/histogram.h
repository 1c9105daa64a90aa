/* SPDX-License-Identifier: MIT
 * histogram.h - how long things took: counts of int64 nanoseconds, to 3 significant digits.
 *
 * Log-linear buckets as in HdrHistogram: exact up to 2,047 ns, then 1,024 buckets for each
 * doubling, so that a bucket is never wider than a thousandth of its values. The range is 1 ns to
 * 1 h; what lies outside counts as the nearer end. 264 KiB, allocated once; recording never
 * fails. One thread records; others may merge from it meanwhile, and see a moment in between.
 * Everything else is for one thread at a time. */
#ifndef WEFT_OBS_HISTOGRAM_H
#define WEFT_OBS_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define WEFT_HISTOGRAM_MAX_NS INT64_C(3600000000000)
#define WEFT_HISTOGRAM_SLOTS  33792u

struct weft_histogram;

/* Make an empty one. Returns 0, -ENOMEM */
int weft_histogram_open(struct weft_histogram **ret_histogram);

/* Free it; NULL is fine. */
void weft_histogram_close(struct weft_histogram *histogram);

void weft_histogram_record(struct weft_histogram *histogram, int64_t value_ns);

/* Add everything that was recorded in from. The result is the same as if all of it had been
 * recorded in one histogram, in any order. */
void weft_histogram_merge(struct weft_histogram *histogram, const struct weft_histogram *from);

/* Forget what was recorded. */
void weft_histogram_clear(struct weft_histogram *histogram);

/* Take away what was merged into from before: what is left was recorded since. Minimum and maximum
 * are then the ends of their buckets, where from knew smaller and larger ones. */
void weft_histogram_subtract(struct weft_histogram *histogram, const struct weft_histogram *from);

/* How many values were recorded; how many of at most value_ns, to the end of its bucket; and what
 * they add up to. */
uint64_t weft_histogram_count(const struct weft_histogram *histogram);
uint64_t weft_histogram_count_to(const struct weft_histogram *histogram, int64_t value_ns);
uint64_t weft_histogram_sum(const struct weft_histogram *histogram);

/* The value that a share of all values does not exceed: with n values, the upper end of the first
 * bucket at which the cumulative count reaches ceil(millionths * n / 1,000,000), at least 1. The
 * upper end of the last bucket in use is the exact maximum, so no percentile lies above it.
 *
 * millionths  500,000 is the median, 999,000 is p99.9; at most 1,000,000. A whole number because
 *             ceil(0.07 * 100) is 8 in floating point
 * Returns     0 when nothing was recorded */
int64_t weft_histogram_percentile(const struct weft_histogram *histogram, uint32_t millionths);

/* Exact; 0 when nothing was recorded. The mean is rounded down, and is wrong when all values
 * together exceed 584 years. */
int64_t weft_histogram_min(const struct weft_histogram *histogram);
int64_t weft_histogram_max(const struct weft_histogram *histogram);
int64_t weft_histogram_mean(const struct weft_histogram *histogram);

/* The buckets themselves, for those who store or draw them. They are numbered as HdrHistogram
 * numbers those of a histogram from 1 to 1 h in ns with 3 digits.
 *
 * slots_end  one more than the last slot that holds something; 0 when nothing was recorded
 * slot_high  the largest value that belongs to a slot */
size_t weft_histogram_slots_end(const struct weft_histogram *histogram);
uint64_t weft_histogram_slot(const struct weft_histogram *histogram, size_t slot);
int64_t weft_histogram_slot_low(size_t slot);
int64_t weft_histogram_slot_high(size_t slot);

/* Record count times the slot's largest value: how a stored histogram comes back. Minimum, maximum
 * and mean are then as exact as the slots. Those of value 0 and beyond 1 h go to their neighbour.
 */
void weft_histogram_add(struct weft_histogram *histogram, size_t slot, uint64_t count);

#endif
