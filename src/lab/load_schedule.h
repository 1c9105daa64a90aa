/* SPDX-License-Identifier: MIT
 * load_schedule.h - which request comes next and when it is due. Pure: now_ns is passed in.
 *
 * Closed loop: a request is due when somebody asks for one. Open loop: request k is due at
 * start_ns + k / rate, whoever asks, however late. */
#ifndef WEFT_LAB_LOAD_SCHEDULE_H
#define WEFT_LAB_LOAD_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct weft_load_schedule {
    int64_t start_ns;      /* when request 0 is due */
    int64_t end_ns;        /* nothing starts from here on; WEFT_FOREVER for no end */
    uint64_t requests_max; /* nothing starts beyond this many; UINT64_MAX for no limit */
    double rate_per_s;     /* 0 is the closed loop */
    uint64_t next;         /* number of the next request; so many have been handed out */
};

/* Take the next request.
 *
 * Returns  whether there is one, with its number and the time from which its latency counts: now
 *          in the closed loop; in the open loop its due time, which may lie ahead or behind */
bool weft_load_schedule_take(struct weft_load_schedule *schedule, int64_t now_ns,
                             uint64_t *ret_number, int64_t *ret_due_ns);

/* Requests of an open loop that were due before the end and that nobody took. */
uint64_t weft_load_schedule_left(const struct weft_load_schedule *schedule);

#endif
