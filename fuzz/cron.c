/* SPDX-License-Identifier: MIT
 * cron.c - schedules from arbitrary bytes: no crash, an error has a reason and leaves the output
 * alone, and the runs of what is accepted follow each other, each at one of its times.
 *
 * The input: eight bytes of a time, the expression up to a newline, the rule of a time zone. */
#include <job/cron.h>
#include <job/zone.h>

#include <base/date.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Without holes, so that they can be compared byte by byte. */
_Static_assert(sizeof(struct weft_cron) == 80, "no padding");

#define SECOND_US INT64_C(1000000)

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* In memory of exactly its size. */
static char *copy(const uint8_t *data, size_t len)
{
    char *text = malloc(len > 0 ? len : 1);
    check(text != NULL);
    if (len > 0)
        memcpy(text, data, len);
    return text;
}

static int parse(struct weft_cron *cron, const uint8_t *data, size_t len)
{
    char error[WEFT_CRON_ERROR_BYTES] = "";
    struct weft_cron before, again;
    memset(cron, 0x5a, sizeof *cron);
    before = *cron;
    char *text = copy(data, len);
    int err = weft_cron_parse(cron, text, len, error, sizeof error);
    check(err == 0 || err == -EINVAL);
    if (err < 0) {
        size_t reason_len = strnlen(error, sizeof error);
        check(reason_len > 0 && reason_len < sizeof error - 1);
        for (size_t i = 0; i < reason_len; i++)
            check(error[i] >= ' ' && error[i] <= '~');
        check(memcmp(cron, &before, sizeof before) == 0);
    } else {
        check(error[0] == '\0');
        check(weft_cron_parse(&again, text, len, NULL, 0) == 0);
        check(memcmp(cron, &again, sizeof again) == 0);
    }
    free(text);
    return err;
}

/* A TZif file with one type, no table, and the rule. */
static struct weft_zone *make_zone(const uint8_t *rule, size_t len)
{
    struct weft_zone *zone = NULL;
    uint8_t *file = calloc(1, 98 + len + 2);
    check(file != NULL);
    memcpy(file, "TZif2", 5);
    memcpy(file + 44, "TZif2", 5);
    file[44 + 39] = 1;
    file[44 + 43] = 4;
    file[98] = '\n';
    if (len > 0)
        memcpy(file + 99, rule, len);
    file[99 + len] = '\n';
    (void)weft_zone_parse(&zone, "fuzz", file, 98 + len + 2);
    free(file);
    return zone;
}

/* Clocks show one of the schedule's times, or have just gone over one. */
static void check_time(const struct weft_cron *cron, const struct weft_zone *zone, int64_t run_us)
{
    int64_t run_s = weft_floor_divide(run_us, SECOND_US);
    struct weft_zone_span span = weft_zone_span(zone, run_s);
    int64_t days = weft_floor_divide(run_s + span.offset_s, WEFT_DAY_S);
    int of_day_s = (int)(run_s + span.offset_s - days * WEFT_DAY_S);
    struct weft_date date = weft_date_from_days(days);
    check(run_us == run_s * SECOND_US);
    bool shown = cron->values[WEFT_CRON_SECOND] >> of_day_s % 60 & 1 &&
                 cron->values[WEFT_CRON_MINUTE] >> of_day_s / 60 % 60 & 1 &&
                 cron->values[WEFT_CRON_HOUR] >> of_day_s / 3600 & 1 &&
                 cron->values[WEFT_CRON_MONTH] >> date.month & 1;
    bool set_forward = span.start_s == run_s && !cron->repeats &&
                       weft_zone_offset(zone, run_s - 1) < span.offset_s;
    check(shown || set_forward);
}

static void follow(const struct weft_cron *cron, const struct weft_zone *zone, int64_t after_us)
{
    int64_t run_us = after_us, again_us;
    for (int i = 0; i < 16; i++) {
        int err = weft_cron_next(cron, zone, after_us, &run_us);
        check(err == 0 || (err == -ERANGE && run_us == after_us));
        if (err < 0)
            return;
        check(run_us > after_us);
        check(weft_cron_next(cron, zone, run_us - 1, &again_us) == 0 && again_us == run_us);
        check(weft_cron_next(cron, zone, after_us + (run_us - after_us) / 2, &again_us) == 0 &&
              again_us == run_us);
        if (cron->every_us == 0)
            check_time(cron, zone, run_us);
        after_us = run_us;
    }
}

static void make_up(const struct weft_cron *cron, const struct weft_zone *zone, int64_t now_us)
{
    struct weft_cron_due due;
    int64_t last_us = now_us;
    for (int missed = WEFT_CRON_SKIP; missed <= WEFT_CRON_ALL; missed++) {
        if (__builtin_sub_overflow(now_us, INT64_C(3000000) * SECOND_US, &last_us))
            last_us = INT64_MIN;
        weft_cron_due(cron, zone, (enum weft_cron_missed)missed, last_us, now_us, SECOND_US, &due);
        check(due.runs_len <= WEFT_CRON_RUNS_MAX && due.next_us > now_us);
        for (size_t i = 0; i < due.runs_len; last_us = due.runs_us[i++])
            check(due.runs_us[i] > last_us && due.runs_us[i] <= now_us);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_cron cron;
    int64_t time_us;
    if (size < sizeof time_us)
        return 0;
    memcpy(&time_us, data, sizeof time_us);
    if (time_us == INT64_MAX)
        return 0; /* nothing is after it */
    data += sizeof time_us;
    size -= sizeof time_us;
    const uint8_t *newline = memchr(data, '\n', size);
    size_t len = newline ? (size_t)(newline - data) : size;
    if (parse(&cron, data, len) < 0)
        return 0;
    struct weft_zone *zone = newline ? make_zone(newline + 1, size - len - 1) : NULL;
    cron.anchor_us = time_us / 2;
    follow(&cron, zone, time_us);
    make_up(&cron, zone, time_us);
    weft_zone_close(zone);
    return 0;
}
