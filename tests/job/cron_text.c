/* SPDX-License-Identifier: MIT
 * cron_text.c - see cron_text.h. */
#include "cron_text.h"

#include <base/buffer.h>
#include <base/date.h>
#include <job/cron.h>
#include <job/zone.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US 1000000

int64_t cron_text_time(const struct weft_zone *zone, const char *text)
{
    int year, month, day, hour, minute, second = 0;
    if (sscanf(text, "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second) < 5)
        abort();
    int64_t local_s = weft_date_to_days(year, month, day) * WEFT_DAY_S + hour * 3600 + minute * 60;
    return weft_zone_instants(zone, local_s + second).first_s * SECOND_US;
}

void cron_text_append_time(struct weft_buffer *out, const struct weft_zone *zone, int64_t time_us)
{
    static const char *const names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    int64_t time_s = weft_floor_divide(time_us, SECOND_US);
    int offset_s = weft_zone_offset(zone, time_s);
    int64_t days = weft_floor_divide(time_s + offset_s, WEFT_DAY_S);
    int of_day_s = (int)(time_s + offset_s - days * WEFT_DAY_S);
    struct weft_date date = weft_date_from_days(days);
    weft_buffer_append_format(out, "%s %lld-%02d-%02d %02d:%02d", names[weft_date_weekday(days)],
                              (long long)date.year, date.month, date.day, of_day_s / 3600,
                              of_day_s / 60 % 60);
    if (of_day_s % 60 > 0)
        weft_buffer_append_format(out, ":%02d", of_day_s % 60);
    weft_buffer_append_format(out, " %c%02d:%02d", offset_s < 0 ? '-' : '+', abs(offset_s) / 3600,
                              abs(offset_s) / 60 % 60);
}

void cron_text_append_runs(struct weft_buffer *out, const char *expression,
                           const struct weft_zone *zone, int64_t after_us, int count)
{
    struct weft_cron cron;
    char error[WEFT_CRON_ERROR_BYTES];
    if (weft_cron_parse(&cron, expression, strlen(expression), error, sizeof error) < 0) {
        weft_buffer_append_string(out, error);
        return;
    }
    cron.anchor_us = after_us;
    for (int i = 0; i < count; i++) {
        weft_buffer_append_string(out, i > 0 ? ", " : "");
        if (weft_cron_next(&cron, zone, after_us, &after_us) < 0) {
            weft_buffer_append_string(out, "never");
            return;
        }
        cron_text_append_time(out, zone, after_us);
    }
}
