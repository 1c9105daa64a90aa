/* SPDX-License-Identifier: MIT
 * retention.h - how long jobs that ended are kept: what programs ask for, as the engine takes it.
 */
#ifndef WEFT_SERVE_RETENTION_H
#define WEFT_SERVE_RETENTION_H

#include <job/broker.h>
#include <weft/job_state.h>

/* Less than the engine's unit is not the default. */
static inline int64_t weft_retained_us(int64_t asked_ns)
{
    return asked_ns > 0 && asked_ns < 1000 ? 1 : asked_ns < 0 ? -1 : asked_ns / 1000;
}

static inline struct weft_retention weft_retention_of(const struct weft_jobs_retention *asked)
{
    return (struct weft_retention){
        .completed_us = weft_retained_us(asked->completed_ns),
        .cancelled_us = weft_retained_us(asked->cancelled_ns),
        .dead_us = weft_retained_us(asked->dead_ns),
    };
}

#endif
