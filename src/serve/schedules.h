/* SPDX-License-Identifier: MIT
 * schedules.h - schedules: what is stored, and what their job requests say when they run. */
#ifndef WEFT_SERVE_SCHEDULES_H
#define WEFT_SERVE_SCHEDULES_H

#include <job/scheduler.h>

#define WEFT_SCHEDULES_MAX 10000 /* that a store keeps */

/* For weft_scheduler_options.make; context is the engine. */
int weft_schedules_make(void *context, const struct weft_cron_entry *entry, int64_t run_us,
                        struct weft_scheduled_job *ret_job, char *error, size_t error_bytes);

/* The stored schedule of a name.
 *
 * ret_block  what it is in, to be given to free()
 * ret_entry  NULL: there is none of this name
 * Returns    0, the broker's errors. Suspends */
int weft_schedules_find(struct weft_broker *broker, const char *name,
                        struct weft_cron_entry **ret_block,
                        const struct weft_cron_entry **ret_entry);

/* When a schedule that is about to be stored fires first: sets next_us, and created_us to what is
 * kept of the one that it replaces.
 *
 * replaced  NULL: none
 * error     on failure one sentence
 * Returns   as weft_schedule_next. Suspends */
int weft_schedules_begin(struct weft_broker *broker, const struct weft_cron_entry *replaced,
                         struct weft_cron_entry *entry, char *error, size_t error_bytes);

#endif
