/* SPDX-License-Identifier: MIT
 * load_schedule.c - see load_schedule.h. */
#include <lab/load_schedule.h>

#include <weft/base.h>

#define NS_PER_S 1e9

static int64_t due_ns(const struct weft_load_schedule *schedule, uint64_t number)
{
    return schedule->start_ns + (int64_t)((double)number / schedule->rate_per_s * NS_PER_S);
}

bool weft_load_schedule_take(struct weft_load_schedule *schedule, int64_t now_ns,
                             uint64_t *ret_number, int64_t *ret_due_ns)
{
    int64_t due = now_ns;
    if (schedule->next >= schedule->requests_max || now_ns >= schedule->end_ns)
        return false;
    if (schedule->rate_per_s > 0) {
        due = due_ns(schedule, schedule->next);
        if (due >= schedule->end_ns)
            return false;
    }
    *ret_number = schedule->next++;
    *ret_due_ns = due;
    return true;
}

uint64_t weft_load_schedule_left(const struct weft_load_schedule *schedule)
{
    if (!(schedule->rate_per_s > 0))
        return 0;
    if (schedule->end_ns == WEFT_FOREVER)
        return schedule->requests_max - schedule->next;
    /* The inverse of due_ns, then the last step in due_ns's own rounding. */
    int64_t length_ns = schedule->end_ns - schedule->start_ns;
    uint64_t due =
        length_ns > 0 ? (uint64_t)((double)length_ns / NS_PER_S * schedule->rate_per_s) : 0;
    while (due_ns(schedule, due) < schedule->end_ns)
        due++;
    while (due > 0 && due_ns(schedule, due - 1) >= schedule->end_ns)
        due--;
    if (due > schedule->requests_max)
        due = schedule->requests_max;
    return due > schedule->next ? due - schedule->next : 0;
}
