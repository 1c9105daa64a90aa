/* SPDX-License-Identifier: MIT
 * limiter_core.h - how many permits there are, and when there will be enough. No clock, no lock.
 *
 * A rule says what may be given, a state what has been. One rule may have many states, one per key.
 * Two questions carry everything: when can so many be given at the earliest, and then: they are.
 * Permits may be given for a time to come (a reservation); later ones are reckoned after them.
 *
 * now_ns that lies before one seen earlier counts as that one. Amounts are doubles and compared
 * with a tolerance of a millionth of a permit, far above what rounding does within the bounds
 * below, so that no rounding ever holds back a permit that is there. */
#ifndef WEFT_FLOW_LIMITER_CORE_H
#define WEFT_FLOW_LIMITER_CORE_H

#include <weft/limiter.h>

#include <stdbool.h>

#define WEFT_LIMIT_COUNT_MAX  1e9
#define WEFT_LIMIT_LOG_MAX    1000000u
#define WEFT_LIMIT_PERIOD_MAX ((int64_t)3650 * 86400 * WEFT_SEC)

struct weft_limit {
    enum weft_limiter_kind kind;
    struct weft_limiter_rate rate; /* defaults filled in */
    double burst;                  /* the most that is ever given at once */
    double per_ns;                 /* permits that come in a nanosecond */
    double permit_ns;              /* how long one takes to come */
    double tolerance;              /* permits that may be missing: what rounding does */
    uint32_t slots;                /* of a log: permits per window */
};

/* Times of the latest permits, a ring. */
struct weft_limit_log {
    int64_t *times_ns; /* sorted from next on */
    uint32_t capacity; /* at least the rule's slots */
    uint32_t next;     /* the oldest, overwritten next */
};

struct weft_limit_state {
    int64_t latest_ns; /* the latest now_ns seen */
    int64_t given_ns;  /* when what was given last may be used: perhaps in future */
    uint32_t epoch;    /* counts changes of the rule */
    union {
        struct {           /* token bucket */
            double tokens; /* at latest_ns; below 0: owed */
            double rest;   /* what came and is less than tokens can tell apart */
        };
        struct { /* GCRA, leaky: the theoretical arrival time */
            int64_t ns;
            double part; /* and so much of a nanosecond, in [0, 1) */
        } arrival;
        struct weft_limit_log log;
        struct { /* sliding counter */
            int64_t begin_ns;
            double previous, current; /* permits of the window before, and of this one */
        } window;
    } of;
};

/* Returns 0, -EINVAL (nonsense; *ret_rule is as it was). */
int weft_limit_init(struct weft_limit *ret_rule, enum weft_limiter_kind kind,
                    const struct weft_limiter_rate *rate);

/* A state of which nothing has been given.
 * capacity  of a log: the most slots that a rule for this state will have, at least 1
 * Returns   0, -ENOMEM */
int weft_limit_start(struct weft_limit_state *state, const struct weft_limit *rule,
                     uint32_t capacity, int64_t now_ns);
void weft_limit_stop(struct weft_limit_state *state, const struct weft_limit *rule);

/* Give permits if they are there. */
bool weft_limit_take(const struct weft_limit *rule, struct weft_limit_state *state, uint32_t count,
                     int64_t now_ns);

/* When count permits can be given at the earliest, now_ns or later; WEFT_FOREVER: never.
 *
 * ahead  permits that others get before; with any the answer may be too early where they are not
 *        spread as these are, never too late */
int64_t weft_limit_earliest(const struct weft_limit *rule, struct weft_limit_state *state,
                            uint64_t ahead, uint32_t count, int64_t now_ns);

/* Give permits at a time that weft_limit_earliest has named, without anyone ahead. */
void weft_limit_give(const struct weft_limit *rule, struct weft_limit_state *state, uint32_t count,
                     int64_t at_ns);

/* Take back what was given for a time after now_ns, as far as nothing later depends on it. Only in
 * the epoch in which it was given: under another rule it may have been paid for long ago. */
void weft_limit_retract(const struct weft_limit *rule, struct weft_limit_state *state,
                        uint32_t count, int64_t at_ns, int64_t now_ns);

/* Give all that is there. Returns how many whole permits that was. */
int64_t weft_limit_drain(const struct weft_limit *rule, struct weft_limit_state *state,
                         int64_t now_ns);

/* What is there; below 0: owed. */
double weft_limit_available(const struct weft_limit *rule, struct weft_limit_state *state,
                            int64_t now_ns);

/* When the state is as good as a new one, if nothing else is given. */
int64_t weft_limit_fresh_at(const struct weft_limit *rule, const struct weft_limit_state *state);

/* Go on under another rule of the same kind; what is owed stays owed, in permits. A log's new slots
 * must be within its capacity. */
void weft_limit_change(const struct weft_limit *rule, struct weft_limit_state *state,
                       const struct weft_limit *new_rule, int64_t now_ns);

/* Move a log to a larger ring. Returns the old one, to be freed. */
int64_t *weft_limit_grow(struct weft_limit_state *state, int64_t *times_ns, uint32_t capacity);

/* ---- a rate that finds itself ------------------------------------------------------------- */

struct weft_aimd {
    struct weft_limiter_adaptive options; /* defaults filled in */
    double count;                         /* permits per period of the rate, now */
    int64_t raised_ns, cut_ns;            /* when last; cut_ns -1: never */
};

/* Returns 0, -EINVAL. */
int weft_aimd_init(struct weft_aimd *aimd, const struct weft_limiter_adaptive *options,
                   const struct weft_limit *rule, int64_t now_ns);

/* Hear of a call's end. Returns whether count has changed. */
bool weft_aimd_hear(struct weft_aimd *aimd, enum weft_limiter_outcome outcome, int64_t latency_ns,
                    int64_t now_ns);

#endif
