/* SPDX-License-Identifier: MIT
 * cron.h - when a schedule's next run is, and which runs were missed.
 *
 * All of it decides from its arguments: no clock is read, nothing waits, nothing is allocated. What
 * can be written in a schedule, and what happens when clocks are set, is told in docs/cron.md.
 *
 *     struct weft_cron cron;
 *     char error[WEFT_CRON_ERROR_BYTES];
 *     int err = weft_cron_parse(&cron, "30 2 * * MON-FRI", 16, error, sizeof error);
 *     if (err == 0)
 *         err = weft_cron_next(&cron, berlin, now_us, &run_us);
 *
 * Times are microseconds since 1970, UTC. */
#ifndef WEFT_JOB_CRON_H
#define WEFT_JOB_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_zone;

#define WEFT_CRON_TEXT_MAX    256 /* bytes of an expression */
#define WEFT_CRON_ERROR_BYTES 128 /* enough for every sentence that weft_cron_parse writes */
#define WEFT_CRON_RUNS_MAX    100 /* runs that weft_cron_due returns at once */

enum weft_cron_field {
    WEFT_CRON_SECOND,
    WEFT_CRON_MINUTE,
    WEFT_CRON_HOUR,
    WEFT_CRON_DAY,
    WEFT_CRON_MONTH,
    WEFT_CRON_WEEKDAY,
    WEFT_CRON_FIELDS,
};

/* A schedule, as parsed. */
struct weft_cron {
    uint64_t values[WEFT_CRON_FIELDS]; /* bit n: the value n; of the weekdays, 0 is Sunday */
    uint32_t days_before_last;         /* bit n: n days before the last of the month; L is bit 0 */
    uint32_t working_days_near;        /* bit n: nW, MON-FRI nearest to day n; bit 0: LW */
    uint8_t weekdays_in_month[6];      /* [n]: the nth of the month, bits as above; [0]: the last */
    bool either_day;                   /* day or weekday will do; otherwise both are needed */
    bool repeats;      /* goes by elapsed time, not by a time of day, when clocks are set */
    int64_t every_us;  /* above 0: @every; only this and the anchor count */
    int64_t anchor_us; /* what @every counts from; 0 from weft_cron_parse, for the caller to set
                        * to the time at which the schedule was made */
};

/* Read an expression.
 *
 * error    on failure, and if error_bytes is not 0: one sentence that names the field and what is
 *          wrong with it
 * Returns  0; -EINVAL (also for dates that never come, such as February 30) */
int weft_cron_parse(struct weft_cron *ret, const char *text, size_t len, char *error,
                    size_t error_bytes);

/* The first run strictly after a time.
 *
 * zone     NULL means UTC; @every does without
 * Returns  0; -ERANGE (none within 400 years, after which the calendar repeats, or none before the
 *          end of time) */
int weft_cron_next(const struct weft_cron *cron, const struct weft_zone *zone, int64_t after_us,
                   int64_t *ret_us);

/* What becomes of runs that nobody started in time, because nothing was running then. */
enum weft_cron_missed {
    WEFT_CRON_SKIP, /* nothing: on with the next one */
    WEFT_CRON_ONCE, /* one run for all of them, unless one is due in time anyway */
    WEFT_CRON_ALL,  /* each of them, the latest WEFT_CRON_RUNS_MAX */
};

struct weft_cron_due {
    size_t runs_len;
    int64_t runs_us[WEFT_CRON_RUNS_MAX]; /* their times as scheduled, ascending */
    bool dropped;    /* there were more than WEFT_CRON_RUNS_MAX: the oldest were left out */
    int64_t next_us; /* the first run after now_us and last_us; INT64_MAX: there is none */
};

/* Which runs to start now, and when to ask again.
 *
 * last_us   the time as scheduled of the latest run that was started, or when the schedule was made
 * now_us    a clock that was set back starts nothing twice: runs up to last_us are over
 * grace_us  a run is missed when more than this late; what looks once a second must give itself
 *           more than that, or it misses every run. Below 0 counts as 0 */
void weft_cron_due(const struct weft_cron *cron, const struct weft_zone *zone,
                   enum weft_cron_missed missed, int64_t last_us, int64_t now_us, int64_t grace_us,
                   struct weft_cron_due *ret);

#endif
