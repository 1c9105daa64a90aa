/* SPDX-License-Identifier: MIT
 * schedule.h - when a schedule runs: what `weft cron next` prints.
 *
 * A schedule is a cron expression, "30 2 * * MON-FRI", with seconds in front where there are six
 * fields, a word like "@daily", or "@every 90s". */
#ifndef WEFT_SCHEDULE_H
#define WEFT_SCHEDULE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

struct weft_schedule_run {
    int64_t at_us;    /* microseconds since 1970, UTC */
    int32_t offset_s; /* what clocks in the zone show then, less UTC */
};

/* The next runs strictly after a time, in order.
 *
 * zone       a name of the time zone database, "Europe/Berlin"; NULL or "": UTC
 * after_us   microseconds since 1970; "@every" counts from there
 * max        runs has room for so many
 * ret_count  fewer than max: there are no more
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0; -EINVAL (the schedule, the zone), other errors of reading the zone's file
 * Threads    any; blocks while it reads a small file, so on a fiber call it through weft_offload */
WEFT_API int weft_schedule_runs(const char *schedule, const char *zone, int64_t after_us,
                                struct weft_schedule_run *runs, size_t max, size_t *ret_count,
                                char *ret_error, size_t error_bytes);

WEFT_END_DECLS

#endif
