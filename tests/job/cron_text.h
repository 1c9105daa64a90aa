/* SPDX-License-Identifier: MIT
 * cron_text.h - runs of a schedule as text, for tests and for the tables of docs/cron.md. */
#ifndef WEFT_TESTS_JOB_CRON_TEXT_H
#define WEFT_TESTS_JOB_CRON_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct weft_buffer;
struct weft_zone;

/* 2026-03-29 03:00[:30], as clocks in the zone show it (the first time); what is no time aborts. */
int64_t cron_text_time(const struct weft_zone *zone, const char *text);

/* Sun 2026-03-29 03:00[:30] +02:00 */
void cron_text_append_time(struct weft_buffer *out, const struct weft_zone *zone, int64_t time_us);

/* The first runs after a time, with commas between; what was wrong when there are none. For @every
 * the schedule was made then. */
void cron_text_append_runs(struct weft_buffer *out, const char *expression,
                           const struct weft_zone *zone, int64_t after_us, int count);

#endif
