/* SPDX-License-Identifier: MIT
 * base.h - what every other header needs: export marks, units of time, error codes.
 *
 * Every function of weft returns 0 or a count on success and a negative code on failure: either
 * -errno, or one of the WEFT_E codes below, which lie outside errno's range. errno itself never
 * carries a result. Times are int64_t nanoseconds on the runtime's clock, deadlines absolute. */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WEFT_API __attribute__((visibility("default")))
#else
#define WEFT_API
#endif

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS extern "C" {
#define WEFT_END_DECLS   }
#else
#define WEFT_BEGIN_DECLS
#define WEFT_END_DECLS
#endif

WEFT_BEGIN_DECLS

/* Deadlines. WEFT_NOWAIT never suspends: what cannot be done at once answers -EAGAIN. */
#define WEFT_FOREVER INT64_MAX
#define WEFT_NOWAIT  ((int64_t)0)

/* Lengths of time, in nanoseconds. */
#define WEFT_USEC ((int64_t)1000)
#define WEFT_MSEC ((int64_t)1000000)
#define WEFT_SEC  ((int64_t)1000000000)

/* Names, of patterns and what they are kept by, have at most so many bytes. */
#define WEFT_NAME_MAX 63

/* Conditions that errno has no word for. */
#define WEFT_EFULL      (-4097) /* a bounded queue is full and the caller asked not to wait */
#define WEFT_EVERSION   (-4098) /* data was written by a newer weft than this one */
#define WEFT_ECORRUPT   (-4099) /* stored data contradicts itself */
#define WEFT_EOPEN      (-4100) /* a circuit breaker lets no call through */
#define WEFT_ELIMIT     (-4101) /* more than a limiter has, ever or before the deadline */
#define WEFT_ELEAK      (-4102) /* closed while something it gave out had not come back */
#define WEFT_EDUPLICATE (-4103) /* a job that counts as the same is there already */

/* Explain a negative result of any weft function.
 *
 * err      -errno or a WEFT_E code; a positive errno is understood too
 * Returns  a sentence without a full stop, in static or thread-local storage, never NULL
 * Threads  any; never suspends */
WEFT_API const char *weft_strerror(int err);

/* The library's version, "MAJOR.MINOR.PATCH". Static storage; any thread. */
WEFT_API const char *weft_version(void);

WEFT_END_DECLS

#endif
