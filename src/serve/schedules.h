/* SPDX-License-Identifier: MIT
 * schedules.h - schedules: what their job requests say, read when they run. */
#ifndef WEFT_SERVE_SCHEDULES_H
#define WEFT_SERVE_SCHEDULES_H

#include <job/scheduler.h>

/* For weft_scheduler_options.make; context is the engine. */
int weft_schedules_make(void *context, const struct weft_cron_entry *entry, int64_t run_us,
                        struct weft_scheduled_job *ret_job, char *error, size_t error_bytes);

#endif
