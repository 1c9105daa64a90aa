/* SPDX-License-Identifier: MIT
 * backoff.c - see backoff.h. */
#include <base/time.h>
#include <flow/backoff.h>

#include <math.h>
#include <stdbool.h>

#define MULTIPLIER_DEFAULT 2.0

/* The first delays of the smooth curve have this mean, in units of base, so it is divided out. */
#define SMOOTH_SCALE 1.4

static int64_t base_of(const struct weft_retry_options *options)
{
    if (options->base_ns)
        return options->base_ns;
    bool low_cap = options->cap_ns && options->cap_ns < WEFT_BACKOFF_BASE_NS;
    return low_cap ? options->cap_ns : WEFT_BACKOFF_BASE_NS;
}

static int64_t cap_of(const struct weft_retry_options *options)
{
    int64_t base_ns = base_of(options);
    if (options->cap_ns)
        return options->cap_ns;
    return base_ns > WEFT_BACKOFF_CAP_NS ? base_ns : WEFT_BACKOFF_CAP_NS;
}

/* However large, and NaN: at most the cap. */
static int64_t capped(double delay_ns, int64_t cap_ns)
{
    int64_t whole_ns = weft_time_from_double(delay_ns);
    return whole_ns < cap_ns ? whole_ns : cap_ns;
}

/* Before jitter. */
static int64_t planned(const struct weft_retry_options *options, unsigned retries)
{
    double base_ns = (double)base_of(options), n = (double)retries;
    double multiplier = options->multiplier > 0 ? options->multiplier : MULTIPLIER_DEFAULT;
    switch (options->backoff) {
    case WEFT_BACKOFF_LINEAR:
        return capped(base_ns * (n + 1), cap_of(options));
    case WEFT_BACKOFF_CONSTANT:
        return capped(base_ns, cap_of(options));
    case WEFT_BACKOFF_EXPONENTIAL:
    default:
        return capped(base_ns * pow(multiplier, n), cap_of(options));
    }
}

/* Somewhere from low up to high, which may be the same. */
static int64_t between(int64_t low_ns, int64_t high_ns, double draw)
{
    return low_ns + (int64_t)((double)(high_ns - low_ns) * draw);
}

static int64_t decorrelated(const struct weft_retry_options *options,
                            struct weft_backoff_state *state, double draw)
{
    int64_t base_ns = base_of(options);
    int64_t previous_ns = state->previous_ns > base_ns ? state->previous_ns : base_ns;
    int64_t high_ns = capped(3 * (double)previous_ns, cap_of(options));
    state->previous_ns = between(base_ns, high_ns, draw);
    return state->previous_ns;
}

/* The difference of a curve at two points, one drawn in each unit of time: there is no moment at
 * which many meet. Above the cap anywhere in its upper half. */
static int64_t smooth(const struct weft_retry_options *options, struct weft_backoff_state *state,
                      double draw)
{
    double at = (double)state->retries + draw;
    double curve = pow(2, at) * tanh(sqrt(4 * at));
    double delay_ns = (curve - state->curve) * (double)base_of(options) / SMOOTH_SCALE;
    int64_t cap_ns = cap_of(options);
    state->curve = curve;
    if (delay_ns < (double)cap_ns)
        return capped(delay_ns, cap_ns);
    return between(cap_ns - cap_ns / 2, cap_ns, draw);
}

static int64_t next(const struct weft_retry_options *options, struct weft_backoff_state *state,
                    double draw)
{
    int64_t planned_ns = planned(options, state->retries);
    switch (options->jitter) {
    case WEFT_JITTER_EQUAL:
        return between(planned_ns / 2, planned_ns, draw);
    case WEFT_JITTER_DECORRELATED:
        return decorrelated(options, state, draw);
    case WEFT_JITTER_SMOOTH:
        return smooth(options, state, draw);
    case WEFT_JITTER_NONE:
        return planned_ns;
    case WEFT_JITTER_FULL:
    default:
        return between(0, planned_ns, draw);
    }
}

int64_t weft_backoff_next(const struct weft_retry_options *options,
                          struct weft_backoff_state *state, double draw)
{
    int64_t delay_ns = next(options, state, draw);
    if (state->retries < UINT32_MAX)
        state->retries++;
    return delay_ns;
}
