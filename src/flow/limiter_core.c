/* SPDX-License-Identifier: MIT
 * limiter_core.c - see limiter_core.h. One section per kind, then what they have in common. */
#include <flow/limiter_core.h>

#include <base/time.h>

#include <errno.h>
#include <stdlib.h>

#define NEVER_NS (INT64_MIN / 2) /* room to add a period */

static int64_t later_of(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

/* Time does not run backwards. */
static int64_t see(struct weft_limit_state *state, int64_t now_ns)
{
    if (now_ns > state->latest_ns)
        state->latest_ns = now_ns;
    return state->latest_ns;
}

static int64_t after(int64_t now_ns, double wait_ns)
{
    return weft_time_after(now_ns, weft_time_from_double(wait_ns));
}

/* ---- rules -------------------------------------------------------------------------------- */

static bool rate_makes_sense(enum weft_limiter_kind kind, const struct weft_limiter_rate *rate)
{
    if (!(rate->count > 0 && rate->count <= WEFT_LIMIT_COUNT_MAX))
        return false; /* NaN as well */
    if (rate->period_ns < 1 || rate->period_ns > WEFT_LIMIT_PERIOD_MAX ||
        (double)rate->period_ns / rate->count > (double)WEFT_LIMIT_PERIOD_MAX)
        return false;
    switch (kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
    case WEFT_LIMITER_GCRA:
        return rate->burst <= WEFT_LIMIT_COUNT_MAX;
    case WEFT_LIMITER_SLIDING_LOG:
        return rate->burst == 0 && rate->count >= 1 && rate->count < WEFT_LIMIT_LOG_MAX + 1.0;
    case WEFT_LIMITER_SLIDING_COUNTER:
        return rate->burst == 0 && rate->count >= 1;
    case WEFT_LIMITER_LEAKY:
        return rate->burst == 0;
    }
    return false;
}

int weft_limit_init(struct weft_limit *ret_rule, enum weft_limiter_kind kind,
                    const struct weft_limiter_rate *rate)
{
    struct weft_limit rule = {.kind = kind, .rate = *rate};
    if (rule.rate.count == 0)
        rule.rate.count = 100;
    if (rule.rate.period_ns == 0)
        rule.rate.period_ns = WEFT_SEC;
    if (!rate_makes_sense(kind, &rule.rate))
        return -EINVAL;
    if (kind == WEFT_LIMITER_SLIDING_LOG)
        rule.slots = (uint32_t)rule.rate.count;
    rule.burst = rule.slots ? rule.slots : rule.rate.count;
    if (rule.rate.burst > 0)
        rule.burst = rule.rate.burst;
    else if (rule.burst < 1)
        rule.burst = 1;
    rule.tolerance = 1e-9 + rule.burst * 1e-15;
    rule.per_ns = rule.rate.count / (double)rule.rate.period_ns;
    rule.permit_ns = (double)rule.rate.period_ns / rule.rate.count;
    *ret_rule = rule;
    return 0;
}

/* ---- token bucket ------------------------------------------------------------------------- */

/* What a double rounds off is kept for the next time (Kahan), or a large bucket that somebody looks
 * at all the time would fill at another rate, or never. */
static inline void refill(const struct weft_limit *rule, struct weft_limit_state *state,
                          int64_t now_ns)
{
    if (now_ns <= state->latest_ns)
        return;
    double come = (double)(now_ns - state->latest_ns) * rule->per_ns + state->of.rest;
    double tokens = state->of.tokens + come;
    bool full = tokens >= rule->burst;
    state->of.rest = full ? 0 : come - (tokens - state->of.tokens);
    state->of.tokens = full ? rule->burst : tokens;
    state->latest_ns = now_ns;
}

static int64_t bucket_earliest(const struct weft_limit *rule, struct weft_limit_state *state,
                               double wanted, int64_t now_ns)
{
    refill(rule, state, now_ns);
    double missing = wanted - state->of.tokens;
    return missing <= rule->tolerance ? state->latest_ns
                                      : after(state->latest_ns, missing * rule->permit_ns);
}

/* ---- GCRA and leaky ----------------------------------------------------------------------- */

/* By how much the arrival time may lie ahead when count permits are given: the tau of I.371 for one
 * permit. A leaky bucket has none. */
static inline double slack_ns(const struct weft_limit *rule, double count)
{
    return rule->kind == WEFT_LIMITER_LEAKY ? 0 : (rule->burst - count) * rule->permit_ns;
}

/* How far the arrival time lies ahead, 0 when it is over. */
static inline double ahead_ns(const struct weft_limit_state *state, int64_t now_ns)
{
    return now_ns > state->of.arrival.ns
               ? 0
               : (double)(state->of.arrival.ns - now_ns) + state->of.arrival.part;
}

static inline void arrive(struct weft_limit_state *state, int64_t from_ns, double part,
                          double duration_ns)
{
    double sum = part + duration_ns;
    if (!(sum < 9.2e18)) { /* further ahead than anybody can wait */
        from_ns = WEFT_FOREVER;
        sum = 0;
    }
    int64_t whole = (int64_t)sum;
    state->of.arrival.ns = weft_time_after(from_ns, whole);
    state->of.arrival.part = sum - (double)whole;
}

/* TAT' = max(now, TAT) + count * T */
static inline void arrive_later(const struct weft_limit *rule, struct weft_limit_state *state,
                                double count, int64_t now_ns)
{
    if (now_ns > state->of.arrival.ns)
        arrive(state, now_ns, 0, count * rule->permit_ns);
    else
        arrive(state, state->of.arrival.ns, state->of.arrival.part, count * rule->permit_ns);
}

static int64_t arrival_earliest(const struct weft_limit *rule, struct weft_limit_state *state,
                                double ahead, double count, int64_t now_ns)
{
    now_ns = see(state, now_ns);
    double early_ns = ahead_ns(state, now_ns) + ahead * rule->permit_ns - slack_ns(rule, count);
    return early_ns <= rule->tolerance * rule->permit_ns ? now_ns : after(now_ns, early_ns);
}

static double arrival_available(const struct weft_limit *rule, const struct weft_limit_state *state,
                                int64_t now_ns)
{
    double most = rule->kind == WEFT_LIMITER_LEAKY ? 1 : rule->burst;
    return most - ahead_ns(state, now_ns) * rule->per_ns;
}

/* ---- sliding log -------------------------------------------------------------------------- */

/* When the permit was given that is so many permits old; the latest is 0 old. */
static inline int64_t given_at(const struct weft_limit_log *log, uint32_t age)
{
    uint32_t back = age + 1;
    return log->times_ns[log->next >= back ? log->next - back : log->next + log->capacity - back];
}

/* A window later; given_ns is far below 0 for what was never given. */
static inline int64_t leaves_window_at(const struct weft_limit *rule, int64_t given_ns)
{
    int64_t at_ns;
    return __builtin_add_overflow(given_ns, rule->rate.period_ns, &at_ns) ? WEFT_FOREVER : at_ns;
}

static int64_t log_earliest(const struct weft_limit *rule, struct weft_limit_state *state,
                            uint64_t wanted, int64_t now_ns)
{
    uint64_t laps = (wanted - 1) / rule->slots; /* until then all that are remembered came again */
    uint32_t nth = (uint32_t)((wanted - 1) % rule->slots) + 1;
    int64_t free_ns = leaves_window_at(rule, given_at(&state->of.log, rule->slots - nth));
    int64_t at_ns = later_of(later_of(see(state, now_ns), state->given_ns), free_ns);
    return laps == 0 ? at_ns : after(at_ns, (double)laps * (double)rule->rate.period_ns);
}

static void log_give(struct weft_limit_log *log, uint32_t count, int64_t at_ns)
{
    for (uint32_t i = 0; i < count; i++) {
        log->times_ns[log->next] = at_ns;
        log->next = log->next + 1 == log->capacity ? 0 : log->next + 1;
    }
}

static uint32_t log_available(const struct weft_limit *rule, struct weft_limit_state *state,
                              int64_t now_ns)
{
    uint32_t few = 0, many = rule->slots; /* that many are free, perhaps more; not more than many */
    while (few < many) {
        uint32_t middle = few + (many - few + 1) / 2;
        if (log_earliest(rule, state, middle, now_ns) <= now_ns)
            few = middle;
        else
            many = middle - 1;
    }
    return few;
}

/* The latest count permits are no more. What they have pushed out is not known any more: no later
 * than a period before them. */
static void log_retract(const struct weft_limit *rule, struct weft_limit_log *log, uint32_t count,
                        int64_t at_ns)
{
    if (count > log->capacity || given_at(log, count - 1) != at_ns || given_at(log, 0) != at_ns)
        return;
    int64_t before_ns = at_ns - rule->rate.period_ns;
    if (count < log->capacity && log->times_ns[log->next] < before_ns)
        before_ns = log->times_ns[log->next];
    for (uint32_t i = 0; i < count; i++) {
        log->next = log->next == 0 ? log->capacity - 1 : log->next - 1;
        log->times_ns[log->next] = before_ns;
    }
}

int64_t *weft_limit_grow(struct weft_limit_state *state, int64_t *times_ns, uint32_t capacity)
{
    struct weft_limit_log *log = &state->of.log;
    int64_t *old = log->times_ns;
    uint32_t added = capacity - log->capacity;
    for (uint32_t i = 0; i < added; i++)
        times_ns[i] = NEVER_NS;
    for (uint32_t i = 0; i < log->capacity; i++)
        times_ns[added + i] = given_at(log, log->capacity - 1 - i);
    *log = (struct weft_limit_log){.times_ns = times_ns, .capacity = capacity};
    return old;
}

/* ---- sliding counter ---------------------------------------------------------------------- */

static int64_t window_begin(const struct weft_limit *rule, int64_t now_ns)
{
    return now_ns - now_ns % rule->rate.period_ns;
}

static void window_roll(const struct weft_limit *rule, struct weft_limit_state *state,
                        int64_t now_ns)
{
    int64_t passed_ns = now_ns - state->of.window.begin_ns, period_ns = rule->rate.period_ns;
    if (passed_ns < period_ns)
        return;
    state->of.window.previous = passed_ns - period_ns < period_ns ? state->of.window.current : 0;
    state->of.window.current = 0;
    state->of.window.begin_ns = window_begin(rule, now_ns);
}

/* When so much of a window of permits is left at most; begin_ns is the end of that window. */
static int64_t faded(const struct weft_limit *rule, int64_t begin_ns, double permits, double left)
{
    if (permits <= left + rule->tolerance)
        return begin_ns;
    return after(begin_ns, (1 - left / permits) * (double)rule->rate.period_ns);
}

static int64_t window_earliest(const struct weft_limit *rule, struct weft_limit_state *state,
                               double ahead, double count, int64_t now_ns)
{
    double most = rule->rate.count, period_ns = (double)rule->rate.period_ns;
    now_ns = later_of(see(state, now_ns), state->given_ns);
    window_roll(rule, state, now_ns);
    int64_t begin_ns = state->of.window.begin_ns, at_ns;
    double room = most - state->of.window.current;
    if (count <= room + rule->tolerance)
        at_ns = faded(rule, begin_ns, state->of.window.previous, room - count);
    else
        at_ns = faded(rule, weft_time_after(begin_ns, rule->rate.period_ns),
                      state->of.window.current, most - count);
    double more = ahead + count - (room > 0 ? room : 0) - rule->tolerance;
    if (ahead > 0 && more > 0) { /* no window gives more than most */
        int64_t windows = weft_time_from_double(more / most);
        at_ns = later_of(at_ns, after(begin_ns, (double)windows * period_ns));
    }
    return later_of(at_ns, now_ns);
}

static double window_available(const struct weft_limit *rule, struct weft_limit_state *state,
                               int64_t now_ns)
{
    now_ns = later_of(see(state, now_ns), state->given_ns);
    window_roll(rule, state, now_ns);
    double gone = (double)(now_ns - state->of.window.begin_ns) / (double)rule->rate.period_ns;
    return rule->rate.count - state->of.window.current - state->of.window.previous * (1 - gone);
}

static void window_retract(const struct weft_limit *rule, struct weft_limit_state *state,
                           uint32_t count, int64_t at_ns)
{
    int64_t begin_ns = window_begin(rule, at_ns);
    double *permits = begin_ns == state->of.window.begin_ns  ? &state->of.window.current
                      : begin_ns < state->of.window.begin_ns ? &state->of.window.previous
                                                             : NULL;
    if (permits)
        *permits = *permits > count ? *permits - count : 0;
}

/* ---- what they have in common ------------------------------------------------------------- */

int weft_limit_start(struct weft_limit_state *state, const struct weft_limit *rule,
                     uint32_t capacity, int64_t now_ns)
{
    *state = (struct weft_limit_state){.latest_ns = now_ns};
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        state->of.tokens = rule->burst;
        break;
    case WEFT_LIMITER_GCRA:
    case WEFT_LIMITER_LEAKY:
        state->of.arrival.ns = now_ns;
        break;
    case WEFT_LIMITER_SLIDING_LOG:
        state->of.log.times_ns = malloc(capacity * sizeof *state->of.log.times_ns);
        if (!state->of.log.times_ns)
            return -ENOMEM;
        state->of.log.capacity = capacity;
        for (uint32_t i = 0; i < capacity; i++)
            state->of.log.times_ns[i] = NEVER_NS;
        break;
    case WEFT_LIMITER_SLIDING_COUNTER:
        state->of.window.begin_ns = window_begin(rule, now_ns);
        break;
    }
    return 0;
}

void weft_limit_stop(struct weft_limit_state *state, const struct weft_limit *rule)
{
    if (rule->kind == WEFT_LIMITER_SLIDING_LOG)
        free(state->of.log.times_ns);
}

int64_t weft_limit_earliest(const struct weft_limit *rule, struct weft_limit_state *state,
                            uint64_t ahead, uint32_t count, int64_t now_ns)
{
    if (count > rule->burst)
        return WEFT_FOREVER;
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        return bucket_earliest(rule, state, (double)ahead + count, now_ns);
    case WEFT_LIMITER_GCRA:
    case WEFT_LIMITER_LEAKY:
        return arrival_earliest(rule, state, (double)ahead, count, now_ns);
    case WEFT_LIMITER_SLIDING_LOG:
        return log_earliest(rule, state, ahead + count, now_ns);
    case WEFT_LIMITER_SLIDING_COUNTER:
        return window_earliest(rule, state, (double)ahead, count, now_ns);
    }
    return WEFT_FOREVER;
}

void weft_limit_give(const struct weft_limit *rule, struct weft_limit_state *state, uint32_t count,
                     int64_t at_ns)
{
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        state->of.tokens -= count;
        break;
    case WEFT_LIMITER_GCRA:
    case WEFT_LIMITER_LEAKY:
        arrive_later(rule, state, count, state->latest_ns);
        break;
    case WEFT_LIMITER_SLIDING_LOG:
        log_give(&state->of.log, count, at_ns);
        break;
    case WEFT_LIMITER_SLIDING_COUNTER:
        window_roll(rule, state, at_ns);
        state->of.window.current += count;
        break;
    }
    state->given_ns = at_ns;
}

bool weft_limit_take(const struct weft_limit *rule, struct weft_limit_state *state, uint32_t count,
                     int64_t now_ns)
{
    int64_t at_ns = weft_limit_earliest(rule, state, 0, count, now_ns);
    if (at_ns > state->latest_ns)
        return false;
    weft_limit_give(rule, state, count, at_ns);
    return true;
}

void weft_limit_retract(const struct weft_limit *rule, struct weft_limit_state *state,
                        uint32_t count, int64_t at_ns, int64_t now_ns)
{
    /* What came since at_ns was counted on by those for whom permits were given after it. */
    double back = count - (double)(state->given_ns - at_ns) * rule->per_ns;
    if (back > count)
        back = count;
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        refill(rule, state, now_ns);
        if (back > 0)
            state->of.tokens += back;
        if (state->of.tokens > rule->burst)
            state->of.tokens = rule->burst; /* taken back twice */
        break;
    case WEFT_LIMITER_GCRA:
    case WEFT_LIMITER_LEAKY:
        now_ns = see(state, now_ns);
        if (back > 0) {
            double left_ns = ahead_ns(state, now_ns) - back * rule->permit_ns;
            arrive(state, now_ns, 0, left_ns > 0 ? left_ns : 0);
        }
        break;
    case WEFT_LIMITER_SLIDING_LOG:
        log_retract(rule, &state->of.log, count, at_ns);
        break;
    case WEFT_LIMITER_SLIDING_COUNTER:
        window_retract(rule, state, count, at_ns);
        break;
    }
}

double weft_limit_available(const struct weft_limit *rule, struct weft_limit_state *state,
                            int64_t now_ns)
{
    now_ns = later_of(now_ns, state->latest_ns);
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        refill(rule, state, now_ns);
        return state->of.tokens;
    case WEFT_LIMITER_GCRA:
    case WEFT_LIMITER_LEAKY:
        return arrival_available(rule, state, see(state, now_ns));
    case WEFT_LIMITER_SLIDING_LOG:
        return log_available(rule, state, now_ns);
    case WEFT_LIMITER_SLIDING_COUNTER:
        return window_available(rule, state, now_ns);
    }
    return 0;
}

int64_t weft_limit_drain(const struct weft_limit *rule, struct weft_limit_state *state,
                         int64_t now_ns)
{
    double available = weft_limit_available(rule, state, now_ns);
    if (available <= 0)
        return 0;
    int64_t whole = (int64_t)(available + rule->tolerance);
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        state->of.tokens = 0;
        break;
    case WEFT_LIMITER_GCRA:
    case WEFT_LIMITER_LEAKY:
        arrive_later(rule, state, available, state->latest_ns);
        break;
    case WEFT_LIMITER_SLIDING_LOG:
    case WEFT_LIMITER_SLIDING_COUNTER:
        if (state->given_ns > state->latest_ns)
            return 0; /* what there will be after the reservations is not there yet */
        weft_limit_give(rule, state, (uint32_t)whole, state->latest_ns);
        break;
    }
    return whole;
}

int64_t weft_limit_fresh_at(const struct weft_limit *rule, const struct weft_limit_state *state)
{
    int64_t period_ns = rule->rate.period_ns;
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        return after(state->latest_ns, (rule->burst - state->of.tokens) * rule->permit_ns);
    case WEFT_LIMITER_GCRA:
    case WEFT_LIMITER_LEAKY:
        return weft_time_after(state->of.arrival.ns, state->of.arrival.part > 0 ? 1 : 0);
    case WEFT_LIMITER_SLIDING_LOG:
        return given_at(&state->of.log, 0) == NEVER_NS
                   ? state->latest_ns
                   : leaves_window_at(rule, given_at(&state->of.log, 0));
    case WEFT_LIMITER_SLIDING_COUNTER:
        return weft_time_after(weft_time_after(state->of.window.begin_ns, period_ns), period_ns);
    }
    return WEFT_FOREVER;
}

void weft_limit_change(const struct weft_limit *rule, struct weft_limit_state *state,
                       const struct weft_limit *new_rule, int64_t now_ns)
{
    double available = weft_limit_available(rule, state, now_ns);
    double owed = new_rule->burst - (available < new_rule->burst ? available : new_rule->burst);
    now_ns = state->latest_ns;
    state->epoch++;
    switch (rule->kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
        state->of.tokens = new_rule->burst - owed;
        break;
    case WEFT_LIMITER_GCRA:
        arrive(state, now_ns, 0, owed * new_rule->permit_ns);
        break;
    case WEFT_LIMITER_LEAKY:
        arrive(state, now_ns, 0, ahead_ns(state, now_ns) * rule->per_ns * new_rule->permit_ns);
        break;
    case WEFT_LIMITER_SLIDING_LOG:
        break; /* the same permits, another look at them */
    case WEFT_LIMITER_SLIDING_COUNTER:
        if (rule->rate.period_ns == new_rule->rate.period_ns)
            break;
        /* Windows that do not match: as if all that still counts had been given now. */
        now_ns = later_of(now_ns, state->given_ns);
        state->of.window.begin_ns = window_begin(new_rule, now_ns);
        state->of.window.current = rule->rate.count - available;
        state->of.window.previous = 0;
        break;
    }
}

/* ---- a rate that finds itself ------------------------------------------------------------- */

static double or_default(double value, double fallback)
{
    return value == 0 ? fallback : value;
}

int weft_aimd_init(struct weft_aimd *aimd, const struct weft_limiter_adaptive *options,
                   const struct weft_limit *rule, int64_t now_ns)
{
    struct weft_limiter_adaptive o = *options;
    struct weft_limiter_rate rate = rule->rate;
    struct weft_limit extreme;
    bool sliding =
        rule->kind == WEFT_LIMITER_SLIDING_LOG || rule->kind == WEFT_LIMITER_SLIDING_COUNTER;
    if (o.min == 0)
        o.min = sliding && o.max / 100 < 1 ? 1 : o.max / 100;
    o.increase = or_default(o.increase, o.max / 100);
    o.decrease = or_default(o.decrease, 0.5);
    if (o.period_ns == 0)
        o.period_ns = WEFT_SEC;
    if (!(o.min > 0 && o.min <= rate.count && rate.count <= o.max && o.increase > 0 &&
          o.decrease > 0 && o.decrease < 1) ||
        o.period_ns < 1 || o.period_ns > WEFT_LIMIT_PERIOD_MAX || o.latency_limit_ns < 0)
        return -EINVAL;
    rate.count = o.min;
    if (weft_limit_init(&extreme, rule->kind, &rate) < 0)
        return -EINVAL;
    rate.count = o.max;
    if (weft_limit_init(&extreme, rule->kind, &rate) < 0)
        return -EINVAL;
    *aimd = (struct weft_aimd){o, rule->rate.count, now_ns, -1};
    return 0;
}

bool weft_aimd_hear(struct weft_aimd *aimd, enum weft_limiter_outcome outcome, int64_t latency_ns,
                    int64_t now_ns)
{
    const struct weft_limiter_adaptive *o = &aimd->options;
    bool overloaded = outcome == WEFT_LIMITER_OVERLOAD ||
                      (o->latency_limit_ns > 0 && latency_ns > o->latency_limit_ns);
    double before = aimd->count;
    if (overloaded && (aimd->cut_ns < 0 || now_ns - aimd->cut_ns >= o->period_ns)) {
        /* Once: more such answers were on their way when the first one came. */
        aimd->count = before * o->decrease > o->min ? before * o->decrease : o->min;
        aimd->cut_ns = aimd->raised_ns = now_ns;
    } else if (!overloaded && now_ns - aimd->raised_ns >= o->period_ns) {
        aimd->count = before + o->increase < o->max ? before + o->increase : o->max;
        aimd->raised_ns = now_ns;
    }
    return aimd->count != before;
}
