/* SPDX-License-Identifier: MIT
 * breaker_core.h - what a circuit breaker decides, from its arguments alone: no clock, no lock.
 *
 * Each call takes now_ns. Where weft_breaker_core_enter_reads_clock or ..._leave_reads_clock say
 * that it does not matter, 0 will do. Time never goes back: an earlier now_ns counts as the latest
 * seen. */
#ifndef WEFT_FLOW_BREAKER_CORE_H
#define WEFT_FLOW_BREAKER_CORE_H

#include <base/random.h>

#include <weft/breaker.h>

#include <stdbool.h>

#define WEFT_BREAKER_EVENTS_MAX 16u

/* Calls of one part of the time window; in a window of calls, of one call. */
struct weft_breaker_tally {
    unsigned calls, failures, slow;
};

/* The recent calls, as a ring: what goes out is subtracted from the sum, so no call is counted
 * again. */
struct weft_breaker_window {
    uint8_t *outcomes;                  /* a window of calls: one each, else NULL */
    struct weft_breaker_tally *buckets; /* a window of time: its parts, else NULL */
    unsigned len, head;                 /* of the ring; where the next call goes */
    int64_t bucket_ns, head_ends_ns;
    struct weft_breaker_tally sum;
};

struct weft_breaker_core {
    struct weft_breaker_options options; /* without zeros: see weft_breaker_core_options */
    enum weft_breaker_state state;
    uint64_t generation;
    int64_t since_ns, latest_ns;
    int64_t retry_at_ns;      /* open: from then on a call is a probe */
    double next_open_ns;      /* how long the next opening lasts, without jitter */
    int64_t probing_since_ns; /* half open: since when there has been a probe out */
    unsigned consecutive_failures, probes, probe_successes;
    bool sees_slow;
    struct weft_breaker_window window;
    struct weft_random random;
    uint64_t entered, refused, succeeded, failed, slow_calls, ignored, late, opened;
    unsigned events_first, events_len;
    uint64_t events_lost;
    struct weft_breaker_event events[WEFT_BREAKER_EVENTS_MAX]; /* not told yet, a ring */
};

/* Fill in the defaults. Returns 0, -EINVAL: as weft_breaker_open says. */
int weft_breaker_core_options(struct weft_breaker_options *options);

/* Bytes the window needs with options that are filled in. */
size_t weft_breaker_core_window_bytes(const struct weft_breaker_options *options);

/* options  filled in
 * window   zeroed room for the window; the caller's */
void weft_breaker_core_init(struct weft_breaker_core *core,
                            const struct weft_breaker_options *options, void *window,
                            int64_t now_ns);

/* What a result says, by options->judge or without. */
enum weft_breaker_verdict weft_breaker_core_judge(const struct weft_breaker_options *options,
                                                  int result);

static inline bool weft_breaker_core_enter_reads_clock(const struct weft_breaker_core *core)
{
    return core->sees_slow || core->state == WEFT_BREAKER_OPEN ||
           core->state == WEFT_BREAKER_HALF_OPEN;
}

static inline bool weft_breaker_core_leave_reads_clock(const struct weft_breaker_core *core,
                                                       enum weft_breaker_verdict verdict)
{
    return core->sees_slow || core->window.buckets || verdict == WEFT_BREAKER_FAILURE ||
           core->state == WEFT_BREAKER_HALF_OPEN;
}

/* Returns 0, WEFT_EOPEN. */
int weft_breaker_core_enter(struct weft_breaker_core *core, struct weft_breaker_permit *permit,
                            int64_t now_ns);

/* Returns 0, -EINVAL. */
int weft_breaker_core_leave(struct weft_breaker_core *core, struct weft_breaker_permit *permit,
                            enum weft_breaker_verdict verdict, int64_t now_ns);

/* One of the events by hand. */
void weft_breaker_core_by_hand(struct weft_breaker_core *core, enum weft_breaker_event_kind kind,
                               int64_t now_ns);

void weft_breaker_core_snapshot(struct weft_breaker_core *core, int64_t now_ns,
                                struct weft_breaker_snapshot *ret_snapshot);

/* The oldest change of state that has not been told, and forget it. False: there is none. */
bool weft_breaker_core_take_event(struct weft_breaker_core *core,
                                  struct weft_breaker_event *ret_event);

#endif
