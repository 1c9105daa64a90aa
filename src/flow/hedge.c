/* SPDX-License-Identifier: MIT
 * hedge.c - see weft/hedge.h; latencies are hedge_core.c's, the budget is retry_budget_core.c's.
 *
 * The caller begins attempts and waits; what an attempt's result means for the call is decided by
 * the attempt itself, at once, so that of two that succeed in the same moment one is too late. All
 * of them are fibers of the caller's worker: between two waits nobody interferes. */
#include <base/time.h>
#include <flow/hedge_core.h>
#include <flow/hedge_internal.h>
#include <flow/pattern.h>
#include <flow/retry_budget_core.h>
#include <runtime/worker.h>

#include <weft/retry.h>

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_DEFAULT   2u
#define DELAY_DEFAULT_NS   (2 * WEFT_SEC)
#define DELAY_MIN_NS       WEFT_MSEC
#define QUANTILE_DEFAULT   0.95
#define WINDOW_DEFAULT     256u
#define WINDOW_MIN         16u
#define WINDOW_MAX         4096u
#define SAMPLES_DEFAULT    64u
#define RATIO_DEFAULT      0.1
#define RATIO_MAX          1000.0
#define PER_SECOND_DEFAULT 1.0
#define PER_SECOND_MAX     1e6
#define TTL_NS             (10 * WEFT_SEC)
#define COPY_ON_STACK_MAX  256u
#define STACK_MAX          ((size_t)1 << 20)

struct weft_hedge {
    struct weft_hedge_options options; /* with defaults filled in; name points to the next */
    char name[WEFT_NAME_MAX + 1];
    struct weft_share_rule rule;
    /* under the guard */
    struct weft_guard guard;
    struct weft_share share;
    struct weft_latency_window window;
    uint64_t calls, hedges, refused, failures, cancelled;
    uint64_t wins[WEFT_HEDGE_ATTEMPTS_MAX];
    int64_t latencies[]; /* twice the window */
};

struct call;

struct attempt {
    struct call *call;
    struct weft_task task;
    int64_t began_ns; /* only where somebody is told */
};

struct call {
    struct weft_hedge *hedge;
    int (*fn)(void *context, void *arg);
    void *context, *arg;
    size_t arg_bytes;
    struct weft_group group;
    struct attempt attempts[WEFT_HEDGE_ATTEMPTS_MAX];
    unsigned begun;
    bool no_more; /* attempts: the budget, or memory, has refused one */
    bool decided;
    int result;      /* the decision, or the latest failure */
    unsigned winner; /* from 1; 0: nobody */
    int64_t began_ns, delay_ns;
};

/* ---- beginning and end ------------------------------------------------------------------- */

/* Written so that NaN is refused. */
static bool valid_rates(const struct weft_hedge_options *options)
{
    bool by_ratio = !(options->per_second_min > WEFT_HEDGE_NO_MINIMUM) &&
                    !(options->per_second_min < WEFT_HEDGE_NO_MINIMUM) &&
                    options->per_second_min <= 0;
    bool minimum = options->per_second_min >= 0 && options->per_second_min <= PER_SECOND_MAX;
    return options->quantile >= 0 && options->quantile < 1 && options->ratio >= 0 &&
           options->ratio <= RATIO_MAX && (minimum || by_ratio);
}

static bool valid(const struct weft_hedge_options *options)
{
    unsigned window = options->window ? options->window : WINDOW_DEFAULT;
    return valid_rates(options) && options->attempts_max <= WEFT_HEDGE_ATTEMPTS_MAX &&
           options->stack_bytes <= STACK_MAX && options->delay_ns >= WEFT_HEDGE_AT_ONCE &&
           options->delay_min_ns >= 0 && window >= WINDOW_MIN && window <= WINDOW_MAX &&
           options->samples_min <= window;
}

static struct weft_hedge_options with_defaults(struct weft_hedge_options options)
{
    if (!options.attempts_max)
        options.attempts_max = ATTEMPTS_DEFAULT;
    options.fixed |= options.delay_ns == WEFT_HEDGE_AT_ONCE || options.delay_ns == WEFT_FOREVER;
    if (!options.delay_ns)
        options.delay_ns = DELAY_DEFAULT_NS;
    if (options.delay_ns == WEFT_HEDGE_AT_ONCE)
        options.delay_ns = 0;
    if (!(options.quantile > 0))
        options.quantile = QUANTILE_DEFAULT;
    if (!options.window)
        options.window = WINDOW_DEFAULT;
    if (!options.samples_min)
        options.samples_min = options.window < SAMPLES_DEFAULT ? options.window : SAMPLES_DEFAULT;
    if (!options.delay_min_ns)
        options.delay_min_ns = DELAY_MIN_NS;
    if (!(options.ratio > 0))
        options.ratio = RATIO_DEFAULT;
    if (options.per_second_min < 0)
        options.per_second_min = 0;
    else if (!(options.per_second_min > 0))
        options.per_second_min = PER_SECOND_DEFAULT;
    return options;
}

int weft_hedge_open(struct weft_hedge **ret_hedge, const struct weft_hedge_options *options)
{
    static const struct weft_hedge_options defaults;
    if (!options)
        options = &defaults;
    if (!valid(options))
        return -EINVAL;
    struct weft_hedge_options filled = with_defaults(*options);
    struct weft_hedge *hedge =
        calloc(1, sizeof *hedge + 2 * (size_t)filled.window * sizeof hedge->latencies[0]);
    if (!hedge)
        return -ENOMEM;
    int err = weft_pattern_name(hedge->name, options->name, "hedge");
    if (err == 0)
        err = weft_guard_init(&hedge->guard, options->sharing);
    if (err < 0) {
        weft_hedge_close(hedge);
        return err;
    }
    hedge->options = filled;
    hedge->options.name = hedge->name;
    hedge->rule = weft_share_rule(filled.ratio, filled.per_second_min, TTL_NS);
    weft_latency_init(&hedge->window, hedge->latencies, filled.window);
    *ret_hedge = hedge;
    return 0;
}

void weft_hedge_close(struct weft_hedge *hedge)
{
    free(hedge);
}

/* ---- what all calls share, under the guard ----------------------------------------------- */

static int64_t current_delay(const struct weft_hedge *hedge)
{
    const struct weft_hedge_options *options = &hedge->options;
    if (options->fixed || hedge->window.len < options->samples_min)
        return options->delay_ns;
    int64_t quantile_ns = weft_latency_quantile(&hedge->window, options->quantile);
    return quantile_ns > options->delay_min_ns ? quantile_ns : options->delay_min_ns;
}

/* Returns 0, -EPERM. */
static int begin_call(struct weft_hedge *hedge, int64_t now_ns, int64_t *ret_delay_ns)
{
    int err = weft_guard_admit(&hedge->guard);
    if (err < 0)
        return err;
    hedge->calls++;
    weft_share_call(&hedge->share, &hedge->rule, now_ns);
    *ret_delay_ns = current_delay(hedge);
    weft_guard_leave(&hedge->guard);
    return 0;
}

static bool take_hedge(struct weft_hedge *hedge, int64_t now_ns)
{
    weft_guard_enter(&hedge->guard);
    bool taken = weft_share_take(&hedge->share, &hedge->rule, now_ns);
    if (taken)
        hedge->hedges++;
    else
        hedge->refused++;
    weft_guard_leave(&hedge->guard);
    return taken;
}

static void return_hedge(struct weft_hedge *hedge, int64_t taken_at_ns)
{
    weft_guard_enter(&hedge->guard);
    weft_share_return(&hedge->share, &hedge->rule, taken_at_ns, taken_at_ns);
    hedge->hedges--;
    weft_guard_leave(&hedge->guard);
}

static void end_call(const struct call *call, int result)
{
    struct weft_hedge *hedge = call->hedge;
    int64_t latency_ns = call->winner ? weft_now() - call->began_ns : 0;
    weft_guard_enter(&hedge->guard);
    if (call->winner) {
        hedge->wins[call->winner - 1]++;
        weft_latency_add(&hedge->window, latency_ns);
    } else if (result == -ECANCELED) {
        hedge->cancelled++;
    } else {
        hedge->failures++;
    }
    weft_guard_leave(&hedge->guard);
}

/* ---- attempts ---------------------------------------------------------------------------- */

/* Of what has not ended, result is 0. */
static void tell(const struct attempt *attempt, enum weft_hedge_event_kind kind, int result)
{
    const struct call *call = attempt->call;
    const struct weft_hedge_options *options = &call->hedge->options;
    if (!options->on_event)
        return;
    int64_t now_ns = weft_now();
    bool ended = kind != WEFT_HEDGE_STARTED && kind != WEFT_HEDGE_REFUSED;
    struct weft_hedge_event event = {
        .kind = kind,
        .name = options->name,
        .at_ns = now_ns,
        .attempt = (unsigned)(attempt - call->attempts) + 1,
        .result = result,
        .latency_ns = ended ? now_ns - attempt->began_ns : 0,
    };
    options->on_event(options->on_event_arg, &event);
}

static void decide(struct call *call, int result)
{
    call->decided = true;
    call->result = result;
    weft_group_cancel(&call->group, 0);
}

static bool is_fatal(const struct call *call, void *copy, int result)
{
    const struct weft_hedge_options *options = &call->hedge->options;
    if (result == -ECANCELED)
        return true;
    return options->fatal_if ? options->fatal_if(copy, result) : !weft_retryable(result);
}

static void come_too_late(const struct attempt *attempt, void *copy, int result)
{
    const struct weft_hedge_options *options = &attempt->call->hedge->options;
    if (result >= 0 && options->discard)
        options->discard(copy, result);
    tell(attempt, WEFT_HEDGE_LOST, result);
}

/* An attempt has ended: what does it mean for the call? */
static int conclude(struct attempt *attempt, void *copy, int result)
{
    struct call *call = attempt->call;
    bool fatal = result < 0 && !call->decided && is_fatal(call, copy, result);
    if (call->decided) { /* perhaps while fatal_if waited */
        come_too_late(attempt, copy, result);
        return result;
    }
    if (result >= 0) {
        call->winner = (unsigned)(attempt - call->attempts) + 1;
        if (copy != call->arg)
            memcpy(call->arg, copy, call->arg_bytes);
    }
    if (result >= 0 || fatal)
        decide(call, result);
    call->result = result;
    tell(attempt, result >= 0 ? WEFT_HEDGE_WON : WEFT_HEDGE_FAILED, result);
    return result;
}

/* Out of line, so that only the stacks of those that need it have it. */
static __attribute__((noinline)) int run_with_small_copy(struct attempt *attempt)
{
    alignas(max_align_t) char copy[COPY_ON_STACK_MAX];
    const struct call *call = attempt->call;
    memcpy(copy, call->arg, call->arg_bytes);
    return conclude(attempt, copy, call->fn(call->context, copy));
}

static __attribute__((noinline)) int run_with_large_copy(struct attempt *attempt)
{
    const struct call *call = attempt->call;
    void *copy = malloc(call->arg_bytes);
    if (!copy)
        return conclude(attempt, call->arg, -ENOMEM);
    memcpy(copy, call->arg, call->arg_bytes);
    int result = conclude(attempt, copy, call->fn(call->context, copy));
    free(copy);
    return result;
}

static int run_attempt(void *arg)
{
    struct attempt *attempt = arg;
    const struct call *call = attempt->call;
    if (call->hedge->options.on_event)
        attempt->began_ns = weft_now();
    if (call->decided) { /* *call->arg may be the winner's by now */
        tell(attempt, WEFT_HEDGE_LOST, -ECANCELED);
        return -ECANCELED;
    }
    if (call->arg_bytes == 0)
        return conclude(attempt, call->arg, call->fn(call->context, call->arg));
    return call->arg_bytes <= COPY_ON_STACK_MAX ? run_with_small_copy(attempt)
                                                : run_with_large_copy(attempt);
}

/* ---- the call ---------------------------------------------------------------------------- */

static int begin_attempt(struct call *call)
{
    struct attempt *attempt = &call->attempts[call->begun];
    const struct weft_spawn_options options = {.task = &attempt->task,
                                               .name = call->hedge->options.name,
                                               .stack_bytes = call->hedge->options.stack_bytes};
    attempt->call = call;
    int err = weft_spawn_with(&call->group, run_attempt, attempt, &options);
    if (err == 0)
        call->begun++;
    return err;
}

static bool may_hedge(const struct call *call)
{
    return !call->decided && !call->no_more && call->begun < call->hedge->options.attempts_max;
}

static void begin_hedge(struct call *call, int64_t now_ns)
{
    struct attempt *attempt = &call->attempts[call->begun];
    attempt->call = call;
    if (!take_hedge(call->hedge, now_ns)) {
        call->no_more = true;
        tell(attempt, WEFT_HEDGE_REFUSED, 0);
    } else if (begin_attempt(call) < 0) {
        call->no_more = true;
        return_hedge(call->hedge, now_ns);
    } else {
        tell(attempt, WEFT_HEDGE_STARTED, 0);
    }
}

/* Begin attempts as time passes and others fail, until one has decided or none is left. Returns the
 * call's result. */
static int drive(struct call *call)
{
    struct weft_task *ended;
    int err = begin_attempt(call);
    int64_t next_ns = weft_time_after(call->began_ns, call->delay_ns);
    while (err == 0 && call->delay_ns == 0 && may_hedge(call))
        begin_hedge(call, call->began_ns);
    while (err == 0 && !call->decided) {
        err = weft_group_next(&call->group, &ended, may_hedge(call) ? next_ns : WEFT_FOREVER);
        if ((err == 0 || err == -ETIMEDOUT) && may_hedge(call)) {
            int64_t now_ns = weft_now();
            begin_hedge(call, now_ns);
            next_ns = weft_time_after(now_ns, call->delay_ns);
        }
        if (err == -ETIMEDOUT)
            err = 0;
    }
    return err == 0 || err == -ENOENT ? call->result : err;
}

static int run_call(struct call *call)
{
    int err = weft_group_init(&call->group, &(struct weft_group_options){
                                                .policy = WEFT_SUPERVISE,
                                                .name = call->hedge->options.name,
                                            });
    if (err < 0)
        return err;
    int result = drive(call);
    weft_group_close(&call->group);
    return call->decided ? call->result
                         : result; /* one may have succeeded in spite of the cancel */
}

int weft_hedge_between(struct weft_hedge *hedge, int (*fn)(void *context, void *arg), void *context,
                       void *arg, size_t arg_bytes)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0 && arg_bytes > WEFT_HEDGE_ARG_MAX)
        err = -EINVAL;
    if (err < 0)
        return err;
    struct call call;
    call.hedge = hedge;
    call.fn = fn;
    call.context = context;
    call.arg = arg;
    call.arg_bytes = arg_bytes;
    call.begun = call.winner = 0;
    call.no_more = call.decided = false;
    call.result = 0;
    call.began_ns = weft_now();
    err = begin_call(hedge, call.began_ns, &call.delay_ns);
    if (err < 0)
        return err;
    int result = run_call(&call);
    end_call(&call, result);
    return result;
}

static int without_context(void *context, void *arg)
{
    int (**fn)(void *) = context;
    return (*fn)(arg);
}

int weft_hedge_call(struct weft_hedge *hedge, int (*fn)(void *), void *arg, size_t arg_bytes)
{
    return weft_hedge_between(hedge, without_context, &fn, arg, arg_bytes);
}

int weft_hedge_snapshot(struct weft_hedge *hedge, struct weft_hedge_snapshot *ret_snapshot)
{
    int err = weft_guard_admit(&hedge->guard);
    if (err < 0)
        return err;
    const struct weft_hedge_options *options = &hedge->options;
    bool known = hedge->window.len >= options->samples_min;
    *ret_snapshot = (struct weft_hedge_snapshot){
        .calls = hedge->calls,
        .hedges = hedge->hedges,
        .refused = hedge->refused,
        .failures = hedge->failures,
        .cancelled = hedge->cancelled,
        .quantile_ns = known ? weft_latency_quantile(&hedge->window, options->quantile) : 0,
        .delay_ns = current_delay(hedge),
        .samples = hedge->window.len,
    };
    memcpy(ret_snapshot->name, hedge->name, sizeof hedge->name);
    memcpy(ret_snapshot->wins, hedge->wins, sizeof hedge->wins);
    weft_guard_leave(&hedge->guard);
    return 0;
}
