/* SPDX-License-Identifier: MIT
 * cron_due.c - see cron.h: which runs to start after a pause. */
#include <job/cron_internal.h>

#include <string.h>

/* The last run after one time and not after another. A schedule is followed forwards only, so this
 * is a search: back in steps that double until there is a run, then halving where later ones may
 * be. However long the pause was, some sixty questions are enough. */
static bool last_between(const struct weft_cron *cron, const struct weft_zone *zone,
                         int64_t after_us, int64_t until_us, int64_t *ret_us)
{
    int64_t found_us, later_us, low_us, high_us = until_us, step_us = WEFT_CRON_SECOND_US;
    for (;;) {
        if (__builtin_sub_overflow(until_us, step_us, &low_us) || low_us < after_us)
            low_us = after_us;
        if (weft_cron_first(cron, zone, low_us, until_us, &found_us))
            break;
        if (low_us == after_us)
            return false;
        high_us = low_us; /* nothing after it */
        step_us = step_us > INT64_MAX / 2 ? INT64_MAX : step_us * 2;
    }
    while (found_us < high_us) {
        uint64_t apart_us = (uint64_t)high_us - (uint64_t)found_us;
        int64_t middle_us = found_us + (int64_t)(apart_us / 2);
        if (weft_cron_first(cron, zone, middle_us, until_us, &later_us))
            found_us = later_us;
        else
            high_us = middle_us;
    }
    *ret_us = found_us;
    return true;
}

/* The latest runs, at most max of them. */
static void collect(const struct weft_cron *cron, const struct weft_zone *zone, int64_t after_us,
                    int64_t until_us, size_t max, struct weft_cron_due *due)
{
    int64_t *end = due->runs_us + WEFT_CRON_RUNS_MAX, run_us;
    size_t len = 0;
    bool more;
    for (;;) {
        more = after_us < until_us && last_between(cron, zone, after_us, until_us, &run_us);
        if (!more || len == max)
            break;
        end[-1 - (ptrdiff_t)len++] = run_us;
        until_us = run_us - 1;
    }
    memmove(due->runs_us, end - len, len * sizeof *end);
    due->runs_len = len;
    due->dropped = more && max == WEFT_CRON_RUNS_MAX;
}

void weft_cron_due(const struct weft_cron *cron, const struct weft_zone *zone,
                   enum weft_cron_missed missed, int64_t last_us, int64_t now_us, int64_t grace_us,
                   struct weft_cron_due *ret)
{
    int64_t late_us = grace_us > 0 ? grace_us : 0, timely_us;
    /* What is after this is not missed yet. */
    if (__builtin_sub_overflow(now_us, late_us, &timely_us) ||
        __builtin_sub_overflow(timely_us, 1, &timely_us))
        timely_us = INT64_MIN;
    if (missed == WEFT_CRON_ALL || timely_us < last_us)
        timely_us = last_us;
    collect(cron, zone, timely_us, now_us, WEFT_CRON_RUNS_MAX, ret);
    if (missed == WEFT_CRON_ONCE && ret->runs_len == 0)
        collect(cron, zone, last_us, now_us, 1, ret);
    if (weft_cron_next(cron, zone, now_us > last_us ? now_us : last_us, &ret->next_us) < 0)
        ret->next_us = INT64_MAX;
}
