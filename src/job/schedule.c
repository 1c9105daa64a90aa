/* SPDX-License-Identifier: MIT
 * schedule.c - see weft/schedule.h. */
#include <base/date.h>
#include <job/cron.h>
#include <job/zone.h>

#include <weft/schedule.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)

static int open_zone(struct weft_zone **ret_zone, const char *name, char *error, size_t error_bytes)
{
    *ret_zone = NULL;
    if (!name || !*name)
        return 0;
    int err = weft_zone_open(ret_zone, name, NULL);
    if (err && error_bytes > 0)
        (void)snprintf(error, error_bytes,
                       err == -ENOENT || err == -EINVAL ? "there is no time zone %.100s"
                                                        : "the time zone %.100s cannot be read: %s",
                       name, weft_strerror(err));
    return err == -ENOENT ? -EINVAL : err;
}

int weft_schedule_runs(const char *schedule, const char *zone, int64_t after_us,
                       struct weft_schedule_run *runs, size_t max, size_t *ret_count,
                       char *ret_error, size_t error_bytes)
{
    struct weft_cron cron;
    struct weft_zone *opened;
    size_t count = 0;
    int err = weft_cron_parse(&cron, schedule, strlen(schedule), ret_error, error_bytes);
    if (!err)
        err = open_zone(&opened, zone, ret_error, error_bytes);
    if (err)
        return err;
    cron.anchor_us = after_us;
    int64_t at_us = after_us;
    while (count < max && weft_cron_next(&cron, opened, at_us, &at_us) == 0) {
        runs[count].at_us = at_us;
        runs[count].offset_s = weft_zone_offset(opened, weft_floor_divide(at_us, SECOND_US));
        count++;
    }
    weft_zone_close(opened);
    *ret_count = count;
    return 0;
}
