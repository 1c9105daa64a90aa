/* SPDX-License-Identifier: MIT
 * clock.h - the machine's clocks. The virtual clock is a number in the worker, not here. */
#ifndef WEFT_OS_CLOCK_H
#define WEFT_OS_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t weft_clock_monotonic_ns(void);

/* Time of day in microseconds since 1970, UTC. */
int64_t weft_clock_unix_us(void);

#endif
