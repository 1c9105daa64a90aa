/* SPDX-License-Identifier: MIT
 * cron_internal.h - what reading a schedule and following it share. */
#ifndef WEFT_JOB_CRON_INTERNAL_H
#define WEFT_JOB_CRON_INTERNAL_H

#include <job/cron.h>

#define WEFT_CRON_SECOND_US INT64_C(1000000)

/* The days of a month on which the schedule runs: bit n is day n. A month is known by how many days
 * it has and the weekday of its first. */
uint32_t weft_cron_month_days(const struct weft_cron *cron, int length, int first_weekday);

/* The first run after one time and not after another. Looks no further than that. */
bool weft_cron_first(const struct weft_cron *cron, const struct weft_zone *zone, int64_t after_us,
                     int64_t until_us, int64_t *ret_us);

#endif
