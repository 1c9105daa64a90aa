/* SPDX-License-Identifier: MIT
 * breaker_core.c - see breaker_core.h.
 *
 * Invariants:
 *  1. Every change of state goes through the table of breaker_state.c and gives a new generation.
 *  2. A permit of another generation than the present one changes nothing but a counter: a call
 * that began before the change says nothing about the time after it.
 *  3. Half open, probes is the number of permits of this generation that are out. */
#include <flow/breaker_core.h>

#include <base/time.h>
#include <flow/breaker_state.h>
#include <flow/pattern.h>

#include <errno.h>
#include <string.h>

#define WINDOW_CALLS_DEFAULT   100u
#define WINDOW_CALLS_MAX       65536u
#define WINDOW_BUCKETS_DEFAULT 10u
#define WINDOW_BUCKETS_MAX     1000u
#define CALLS_MIN_DEFAULT      20u
#define OPEN_DEFAULT_NS        (60 * WEFT_SEC)
#define OPEN_MAX_DEFAULT_NS    (600 * WEFT_SEC)
#define OPEN_FACTOR_MAX        1000.0

/* What the ring of a window of calls keeps of one. */
#define OUTCOME_FAILED 1u
#define OUTCOME_SLOW   2u

/* ---- options --------------------------------------------------------------------------- */

/* A share of something, above 0, or WEFT_BREAKER_NONE. */
static int fill_in_share(double *share, double otherwise)
{
    if (*share == 0)
        *share = otherwise;
    return *share == WEFT_BREAKER_NONE || (*share > 0 && *share <= 1) ? 0 : -EINVAL;
}

static int fill_in_window(struct weft_breaker_options *options)
{
    bool timed = options->window_ns != 0;
    if (options->window_ns < 0 || (timed && options->window_calls) ||
        (!timed && options->window_buckets) || options->window_calls > WINDOW_CALLS_MAX ||
        options->window_buckets > WINDOW_BUCKETS_MAX)
        return -EINVAL;
    if (!timed && !options->window_calls)
        options->window_calls = WINDOW_CALLS_DEFAULT;
    if (timed && !options->window_buckets)
        options->window_buckets = WINDOW_BUCKETS_DEFAULT;
    if (timed && options->window_ns < options->window_buckets)
        return -EINVAL;
    if (!options->calls_min) {
        bool small = !timed && options->window_calls < CALLS_MIN_DEFAULT;
        options->calls_min = small ? options->window_calls : CALLS_MIN_DEFAULT;
    }
    return timed || options->calls_min <= options->window_calls ? 0 : -EINVAL;
}

static int fill_in_open_time(struct weft_breaker_options *options)
{
    if (options->open_ns < 0 || options->open_max_ns < 0 || options->half_open_max_ns < 0)
        return -EINVAL;
    if (!options->open_ns)
        options->open_ns = OPEN_DEFAULT_NS;
    if (!options->open_max_ns)
        options->open_max_ns =
            options->open_ns > OPEN_MAX_DEFAULT_NS ? options->open_ns : OPEN_MAX_DEFAULT_NS;
    if (options->open_factor == 0)
        options->open_factor = 2;
    if (!(options->open_factor >= 1 && options->open_factor <= OPEN_FACTOR_MAX))
        return -EINVAL;
    return options->open_max_ns < options->open_ns ? -EINVAL : 0;
}

int weft_breaker_core_options(struct weft_breaker_options *options)
{
    bool asks_slow = options->slow_rate != 0 && options->slow_rate != WEFT_BREAKER_NONE;
    if (options->slow_call_ns < 0 || (asks_slow && !options->slow_call_ns))
        return -EINVAL;
    if (fill_in_share(&options->failure_rate, 0.5) < 0 ||
        fill_in_share(&options->slow_rate, 1.0) < 0 ||
        fill_in_share(&options->open_jitter, 0.1) < 0)
        return -EINVAL;
    if (!options->probes_max)
        options->probes_max = 1;
    if (!options->successes_min)
        options->successes_min = 2;
    int err = fill_in_window(options);
    return err < 0 ? err : fill_in_open_time(options);
}

enum weft_breaker_verdict weft_breaker_core_judge(const struct weft_breaker_options *options,
                                                  int result)
{
    if (result == -ECANCELED)
        return WEFT_BREAKER_IGNORED;
    if (options->judge)
        return options->judge(options->judge_arg, result);
    if (result >= 0)
        return WEFT_BREAKER_SUCCESS;
    bool refused = result == WEFT_EOPEN || result == WEFT_ELIMIT || result == WEFT_EFULL;
    return refused ? WEFT_BREAKER_IGNORED : WEFT_BREAKER_FAILURE;
}

/* ---- the window ------------------------------------------------------------------------ */

size_t weft_breaker_core_window_bytes(const struct weft_breaker_options *options)
{
    return options->window_ns ? options->window_buckets * sizeof(struct weft_breaker_tally)
                              : options->window_calls;
}

static void window_clear(struct weft_breaker_window *window)
{
    if (window->buckets)
        memset(window->buckets, 0, window->len * sizeof *window->buckets);
    else
        memset(window->outcomes, 0, window->len);
    window->sum = (struct weft_breaker_tally){0};
    window->head = 0;
    window->head_ends_ns = 0;
}

static void window_add_call(struct weft_breaker_window *window, bool failed, bool slow)
{
    unsigned outcome = window->outcomes[window->head];
    if (window->sum.calls == window->len) {
        window->sum.failures -= outcome & OUTCOME_FAILED;
        window->sum.slow -= (outcome & OUTCOME_SLOW) / OUTCOME_SLOW;
    } else {
        window->sum.calls++;
    }
    window->sum.failures += failed;
    window->sum.slow += slow;
    window->outcomes[window->head] =
        (uint8_t)((failed ? OUTCOME_FAILED : 0) | (slow ? OUTCOME_SLOW : 0));
    window->head = window->head + 1 == window->len ? 0 : window->head + 1;
}

/* Let go what is too old. Each step is one for which bucket_ns have passed. */
static void window_advance(struct weft_breaker_window *window, int64_t now_ns)
{
    if (now_ns < window->head_ends_ns)
        return;
    int64_t steps = window->head_ends_ns ? (now_ns - window->head_ends_ns) / window->bucket_ns + 1
                                         : window->len;
    if (steps >= window->len) {
        window_clear(window);
        int64_t part_ns = now_ns - now_ns % window->bucket_ns;
        window->head_ends_ns = weft_time_after(part_ns, window->bucket_ns);
        return;
    }
    for (int64_t i = 0; i < steps; i++) {
        window->head = window->head + 1 == window->len ? 0 : window->head + 1;
        struct weft_breaker_tally *oldest = &window->buckets[window->head];
        window->sum.calls -= oldest->calls;
        window->sum.failures -= oldest->failures;
        window->sum.slow -= oldest->slow;
        *oldest = (struct weft_breaker_tally){0};
        window->head_ends_ns = weft_time_after(window->head_ends_ns, window->bucket_ns);
    }
}

static void tally_add(struct weft_breaker_tally *tally, bool failed, bool slow)
{
    tally->calls++;
    tally->failures += failed;
    tally->slow += slow;
}

/* 4 billion calls at once would be more than can be counted; then the rates stay as they are. */
static void window_add(struct weft_breaker_window *window, bool failed, bool slow, int64_t now_ns)
{
    if (!window->buckets) {
        window_add_call(window, failed, slow);
        return;
    }
    window_advance(window, now_ns);
    if (window->sum.calls == UINT32_MAX)
        return;
    tally_add(&window->buckets[window->head], failed, slow);
    tally_add(&window->sum, failed, slow);
}

static double rate(unsigned part, unsigned calls)
{
    return calls ? (double)part / calls : 0;
}

/* ---- changes of state ------------------------------------------------------------------ */

void weft_breaker_core_init(struct weft_breaker_core *core,
                            const struct weft_breaker_options *options, void *window,
                            int64_t now_ns)
{
    bool timed = options->window_ns != 0;
    *core = (struct weft_breaker_core){
        .options = *options,
        .state = WEFT_BREAKER_CLOSED,
        .generation = 1,
        .since_ns = now_ns, /* and not latest_ns: that may be another clock, outside a runtime */
        .next_open_ns = (double)options->open_ns,
        .sees_slow = options->slow_call_ns > 0,
    };
    core->window = (struct weft_breaker_window){
        .outcomes = timed ? NULL : window,
        .buckets = timed ? window : NULL,
        .len = timed ? options->window_buckets : options->window_calls,
        .bucket_ns = timed ? options->window_ns / options->window_buckets : 0,
    };
    weft_pattern_seed(&core->random, options->seed);
}

static int64_t observe(struct weft_breaker_core *core, int64_t now_ns)
{
    if (now_ns > core->latest_ns)
        core->latest_ns = now_ns;
    return core->latest_ns;
}

static void remember_event(struct weft_breaker_core *core, const struct weft_breaker_event *event)
{
    if (!core->options.on_event)
        return;
    if (core->events_len == WEFT_BREAKER_EVENTS_MAX) {
        core->events_first = (core->events_first + 1) % WEFT_BREAKER_EVENTS_MAX;
        core->events_len--;
        core->events_lost++;
    }
    core->events[(core->events_first + core->events_len++) % WEFT_BREAKER_EVENTS_MAX] = *event;
}

bool weft_breaker_core_take_event(struct weft_breaker_core *core,
                                  struct weft_breaker_event *ret_event)
{
    if (core->events_len == 0)
        return false;
    *ret_event = core->events[core->events_first];
    core->events_first = (core->events_first + 1) % WEFT_BREAKER_EVENTS_MAX;
    core->events_len--;
    return true;
}

/* The cap comes before the jitter: breakers at the cap must not all probe in the same moment. */
static int64_t begin_open_time(struct weft_breaker_core *core, int64_t now_ns)
{
    const struct weft_breaker_options *options = &core->options;
    double open_ns = core->next_open_ns, open_max_ns = (double)options->open_max_ns;
    double next_ns = open_ns * options->open_factor;
    core->next_open_ns = next_ns < open_max_ns ? next_ns : open_max_ns;
    if (options->open_jitter > 0)
        open_ns += open_ns * options->open_jitter * weft_pattern_draw(&core->random);
    int64_t whole_ns = weft_time_from_double(open_ns);
    core->retry_at_ns = weft_time_after(now_ns, whole_ns);
    core->opened++;
    return whole_ns;
}

/* Do what the table says. False: nothing. */
static bool change(struct weft_breaker_core *core, enum weft_breaker_event_kind kind,
                   int64_t now_ns)
{
    enum weft_breaker_state next = weft_breaker_next(core->state, kind);
    if (!next)
        return false;
    const struct weft_breaker_tally *sum = &core->window.sum;
    struct weft_breaker_event event = {
        .kind = kind,
        .name = core->options.name,
        .at_ns = now_ns,
        .generation = ++core->generation,
        .from = core->state,
        .to = next,
        .calls = sum->calls,
        .failure_rate = rate(sum->failures, sum->calls),
        .slow_rate = rate(sum->slow, sum->calls),
    };
    core->state = next;
    core->since_ns = now_ns;
    core->probes = core->probe_successes = 0;
    if (next == WEFT_BREAKER_OPEN) {
        event.open_ns = begin_open_time(core, now_ns);
    } else if (next != WEFT_BREAKER_HALF_OPEN && next != WEFT_BREAKER_FORCED_OPEN) {
        window_clear(&core->window); /* old failures must not open it again */
        core->consecutive_failures = 0;
        core->next_open_ns = (double)core->options.open_ns;
    }
    remember_event(core, &event);
    return true;
}

void weft_breaker_core_by_hand(struct weft_breaker_core *core, enum weft_breaker_event_kind kind,
                               int64_t now_ns)
{
    (void)change(core, kind, observe(core, now_ns));
}

/* ---- calls ----------------------------------------------------------------------------- */

/* Open again when the probes take too long. */
static void look_for_overdue(struct weft_breaker_core *core, int64_t now_ns)
{
    int64_t max_ns = core->options.half_open_max_ns;
    if (max_ns && core->state == WEFT_BREAKER_HALF_OPEN && core->probes &&
        now_ns - core->probing_since_ns >= max_ns)
        (void)change(core, WEFT_BREAKER_OVERDUE, now_ns);
}

static int64_t retry_after(const struct weft_breaker_core *core, int64_t now_ns)
{
    if (core->state == WEFT_BREAKER_FORCED_OPEN)
        return WEFT_FOREVER;
    if (core->state != WEFT_BREAKER_OPEN || now_ns >= core->retry_at_ns)
        return 0;
    return core->retry_at_ns == WEFT_FOREVER ? WEFT_FOREVER : core->retry_at_ns - now_ns;
}

static int refuse(struct weft_breaker_core *core, struct weft_breaker_permit *permit,
                  int64_t now_ns)
{
    core->refused++;
    *permit = (struct weft_breaker_permit){.retry_after_ns = retry_after(core, now_ns)};
    return WEFT_EOPEN;
}

static int admit(struct weft_breaker_core *core, struct weft_breaker_permit *permit, int64_t now_ns)
{
    core->entered += core->state != WEFT_BREAKER_DISABLED;
    permit->generation = core->generation;
    permit->entered_at_ns = now_ns;
    permit->retry_after_ns = 0;
    return 0;
}

static int enter_guarded(struct weft_breaker_core *core, struct weft_breaker_permit *permit,
                         int64_t now_ns)
{
    look_for_overdue(core, now_ns);
    if (core->state == WEFT_BREAKER_OPEN && now_ns >= core->retry_at_ns)
        (void)change(core, WEFT_BREAKER_DUE, now_ns);
    if (core->state != WEFT_BREAKER_HALF_OPEN || core->probes >= core->options.probes_max)
        return refuse(core, permit, now_ns);
    if (core->probes++ == 0)
        core->probing_since_ns = now_ns;
    return admit(core, permit, now_ns);
}

int weft_breaker_core_enter(struct weft_breaker_core *core, struct weft_breaker_permit *permit,
                            int64_t now_ns)
{
    now_ns = observe(core, now_ns);
    switch (core->state) {
    case WEFT_BREAKER_CLOSED:
    case WEFT_BREAKER_FORCED_CLOSED:
    case WEFT_BREAKER_DISABLED:
        return admit(core, permit, now_ns);
    case WEFT_BREAKER_OPEN:
    case WEFT_BREAKER_HALF_OPEN:
    case WEFT_BREAKER_FORCED_OPEN:
    case WEFT_BREAKER_STATES:
        break;
    }
    return enter_guarded(core, permit, now_ns);
}

/* Whether the window says that it is too much. Asked after failures and slow calls only: a success
 * never opens a breaker. */
static bool should_trip(const struct weft_breaker_core *core)
{
    const struct weft_breaker_options *options = &core->options;
    const struct weft_breaker_tally *sum = &core->window.sum;
    if (options->consecutive_failures_max &&
        core->consecutive_failures >= options->consecutive_failures_max)
        return true;
    if (sum->calls < options->calls_min)
        return false;
    return (options->failure_rate > 0 &&
            rate(sum->failures, sum->calls) >= options->failure_rate) ||
           (core->sees_slow && options->slow_rate > 0 &&
            rate(sum->slow, sum->calls) >= options->slow_rate);
}

static void leave_closed(struct weft_breaker_core *core, bool failed, bool slow, int64_t now_ns)
{
    window_add(&core->window, failed, slow, now_ns);
    if (!failed)
        core->consecutive_failures = 0;
    else if (core->consecutive_failures < UINT32_MAX)
        core->consecutive_failures++;
    if ((failed || slow) && core->state == WEFT_BREAKER_CLOSED && should_trip(core))
        (void)change(core, WEFT_BREAKER_TRIP, now_ns);
}

static void leave_half_open(struct weft_breaker_core *core, bool failed, bool slow, int64_t now_ns)
{
    core->probes--;
    if (failed || (slow && core->options.slow_rate > 0))
        (void)change(core, WEFT_BREAKER_RELAPSE, now_ns);
    else if (++core->probe_successes >= core->options.successes_min)
        (void)change(core, WEFT_BREAKER_RECOVER, now_ns);
}

static void count(struct weft_breaker_core *core, bool failed, bool slow)
{
    core->failed += failed;
    core->succeeded += !failed;
    core->slow_calls += slow;
}

int weft_breaker_core_leave(struct weft_breaker_core *core, struct weft_breaker_permit *permit,
                            enum weft_breaker_verdict verdict, int64_t now_ns)
{
    uint64_t generation = permit->generation;
    if (generation == 0)
        return -EINVAL;
    permit->generation = 0;
    now_ns = observe(core, now_ns);
    look_for_overdue(core, now_ns);
    if (generation != core->generation) {
        core->late++;
        return 0;
    }
    if (core->state == WEFT_BREAKER_DISABLED)
        return 0;
    if (verdict == WEFT_BREAKER_IGNORED) {
        core->ignored++;
        if (core->state == WEFT_BREAKER_HALF_OPEN)
            core->probes--;
        return 0;
    }
    bool failed = verdict == WEFT_BREAKER_FAILURE;
    bool slow = core->sees_slow && now_ns - permit->entered_at_ns >= core->options.slow_call_ns;
    count(core, failed, slow);
    if (core->state == WEFT_BREAKER_HALF_OPEN)
        leave_half_open(core, failed, slow, now_ns);
    else
        leave_closed(core, failed, slow, now_ns);
    return 0;
}

/* ---- looking --------------------------------------------------------------------------- */

void weft_breaker_core_snapshot(struct weft_breaker_core *core, int64_t now_ns,
                                struct weft_breaker_snapshot *ret_snapshot)
{
    const struct weft_breaker_tally *sum = &core->window.sum;
    now_ns = observe(core, now_ns);
    if (core->window.buckets &&
        (core->state == WEFT_BREAKER_CLOSED || core->state == WEFT_BREAKER_FORCED_CLOSED))
        window_advance(&core->window, now_ns);
    *ret_snapshot = (struct weft_breaker_snapshot){
        .state = core->state,
        .generation = core->generation,
        .since_ns = core->since_ns,
        .retry_after_ns = retry_after(core, now_ns),
        .calls = sum->calls,
        .failures = sum->failures,
        .slow = sum->slow,
        .failure_rate = rate(sum->failures, sum->calls),
        .slow_rate = rate(sum->slow, sum->calls),
        .consecutive_failures = core->consecutive_failures,
        .probes = core->probes,
        .probe_successes = core->probe_successes,
        .entered = core->entered,
        .refused = core->refused,
        .succeeded = core->succeeded,
        .failed = core->failed,
        .slow_calls = core->slow_calls,
        .ignored = core->ignored,
        .late = core->late,
        .opened = core->opened,
        .events_lost = core->events_lost,
    };
}
