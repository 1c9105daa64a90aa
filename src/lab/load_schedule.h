/* SPDX-License-Identifier: MIT
 * load_schedule.h - when the next request is due, as pure arithmetic.
 *
 * Part 0 is the warm-up, of length 0 when there is none; the others are the steps, of which a
 * closed loop has one. In an open loop, request n is due where the area under the rate reaches n:
 * that does not depend on who asks when, nor on how many threads do. A request belongs to the part
 * that it is due in. Any number of threads may take; the rest is for one. */
#ifndef WEFT_LAB_LOAD_SCHEDULE_H
#define WEFT_LAB_LOAD_SCHEDULE_H

#include <weft/load.h>

#include <stdbool.h>

#define WEFT_LOAD_PARTS_MAX (WEFT_LOAD_STEPS_MAX + 1)
#define WEFT_LOAD_PART_NONE UINT32_MAX

struct weft_load_part {
    struct weft_load_step step;
    int64_t begin_ns, length_ns; /* from the start; WEFT_FOREVER: until the requests are used up */
    double area;                 /* of all parts before: requests, with a fraction */
    uint64_t first;              /* request that is due in it */
};

struct weft_load_schedule {
    struct weft_load_part parts[WEFT_LOAD_PARTS_MAX + 1]; /* the last one is the end */
    unsigned count;                                       /* without it */
    bool open;
    uint64_t requests_max; /* warm-up excluded */
    int64_t start_ns;      /* 0 before weft_load_schedule_start */
    int64_t end_ns;        /* atomic, as the stop comes while others take */
    uint64_t next;         /* number, atomic */
    uint64_t measured;     /* closed loop: taken behind the warm-up, atomic */
};

struct weft_load_plan {
    const struct weft_load_step *steps; /* checked before */
    size_t steps_count;                 /* 0: closed loop */
    int64_t warmup_ns;
    int64_t duration_ns; /* behind the warm-up; 0: no end, or that of the steps */
    uint64_t requests;   /* behind the warm-up; 0: no limit */
};

void weft_load_schedule_init(struct weft_load_schedule *schedule,
                             const struct weft_load_plan *plan);

/* The clock starts. */
void weft_load_schedule_start(struct weft_load_schedule *schedule, int64_t now_ns);

/* One request, taken by somebody who will send it when it is due. */
struct weft_load_turn {
    uint64_t number; /* from 0 */
    int64_t due_ns;  /* closed loop: now */
    unsigned part;
};

/* Take the next request. In an open loop one that is not due yet is given out as well: wait for it.
 * Returns false when there are no more, because all are taken or the time is over. */
bool weft_load_schedule_take(struct weft_load_schedule *schedule, int64_t now_ns,
                             struct weft_load_turn *ret_turn);

/* End it now: what is not due by then is no longer part of it. */
void weft_load_schedule_stop(struct weft_load_schedule *schedule, int64_t now_ns);

/* The part that a time lies in, which is not before the part `from`; WEFT_LOAD_PART_NONE behind the
 * end. */
unsigned weft_load_schedule_part_at(const struct weft_load_schedule *schedule, int64_t now_ns,
                                    unsigned from);

/* Open loop: how many requests were to be in a part, and of these how many were not taken. */
uint64_t weft_load_schedule_intended(const struct weft_load_schedule *schedule, unsigned part);
uint64_t weft_load_schedule_left(const struct weft_load_schedule *schedule, unsigned part);

/* The intended rate at a time, 0 in a closed loop. */
double weft_load_schedule_rate(const struct weft_load_schedule *schedule, int64_t now_ns);

#endif
