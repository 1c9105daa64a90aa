/* SPDX-License-Identifier: MIT
 * retry.c - see weft/retry.h; the delays are backoff.c's, the budget is retry_budget.c's.
 *
 * What a call needs to know about its failures is made when the first one happens: a call that
 * succeeds at once pays for a few comparisons. */
#include <base/time.h>
#include <flow/backoff.h>
#include <flow/pattern.h>
#include <flow/retry_internal.h>
#include <runtime/worker.h>

#include <weft/retry_budget.h>
#include <weft/scope.h>

#define ATTEMPTS_DEFAULT 3u

/* A call that has failed at least once, or whose result is judged. */
struct retry {
    const struct weft_retry_options *options;
    int (*fn)(void *);
    void *arg, *asked_arg;
    unsigned attempts;
    int64_t now_ns; /* when the last attempt had ended */
    struct weft_backoff_state backoff;
    struct weft_random random;
};

int weft_retryable(int result)
{
    switch (result) {
    case -ECANCELED:
    case -EINVAL:
    case -EPERM:
    case -EACCES:
    case -EFAULT:
    case -EBADF:
    case -ENOSYS:
    case -EOPNOTSUPP:
    case -EDEADLK:
    case -EOVERFLOW:
    case -E2BIG:
    case -ENAMETOOLONG:
    case -EPROTONOSUPPORT:
    case -EMSGSIZE:
    case -ELOOP:
    case -EKEYREJECTED:
    case -ESHUTDOWN:
    case WEFT_EVERSION:
    case WEFT_ECORRUPT:
    case WEFT_ELEAK:
    case WEFT_EOPEN:
    case WEFT_ELIMIT:
        return 0;
    default:
        return result < 0;
    }
}

static bool valid_delays(const struct weft_retry_options *options)
{
    bool own_growth =
        options->jitter == WEFT_JITTER_DECORRELATED || options->jitter == WEFT_JITTER_SMOOTH;
    bool plain = !(options->multiplier < 0 || options->multiplier > 0);
    if (own_growth && options->backoff != WEFT_BACKOFF_EXPONENTIAL)
        return false;
    if (options->cap_ns && options->base_ns > options->cap_ns)
        return false;
    return plain ? options->multiplier == 0
                 : options->multiplier >= 1 && options->multiplier <= 1e6;
}

int weft_retry_check(const struct weft_retry_options *options)
{
    bool negative =
        (options->base_ns | options->cap_ns | options->total_ns | options->attempt_min_ns) < 0;
    bool known = (unsigned)options->backoff <= WEFT_BACKOFF_CONSTANT &&
                 (unsigned)options->jitter <= WEFT_JITTER_NONE;
    return !negative && known && valid_delays(options) ? 0 : -EINVAL;
}

/* ---- numbers and events ------------------------------------------------------------------ */

static void count_attempt(const struct weft_retry_options *options, unsigned attempts)
{
    struct weft_retry_stats *stats = options->stats;
    if (!stats)
        return;
    weft_pattern_count(&stats->attempts, 1);
    weft_pattern_count(attempts == 0 ? &stats->calls : &stats->retries, 1);
}

static void tell(const struct retry *retry, enum weft_retry_reason reason, int result,
                 int64_t delay_ns)
{
    const struct weft_retry_options *options = retry->options;
    struct weft_retry_event event = {
        .reason = reason,
        .name = options->name,
        .at_ns = retry->now_ns,
        .attempt = retry->attempts,
        .result = result,
        .delay_ns = delay_ns,
    };
    if (options->on_event)
        options->on_event(options->on_event_arg, &event);
}

/* There is no other attempt: that is what the call came to. */
static int end(const struct retry *retry, enum weft_retry_reason reason, int result)
{
    if (retry->options->stats)
        weft_pattern_count(&retry->options->stats->ended[reason], 1);
    tell(retry, reason, result, 0);
    return result;
}

/* ---- after a failure --------------------------------------------------------------------- */

static void note(const struct weft_retry_options *options, enum weft_retry_note what)
{
    if (options->budget)
        (void)weft_retry_budget_note(options->budget, options->budget_key, what);
}

static int64_t plan_delay(struct retry *retry, int result)
{
    const struct weft_retry_options *options = retry->options;
    if (retry->attempts == 1)
        weft_pattern_seed(&retry->random, options->seed);
    int64_t planned_ns =
        weft_backoff_next(options, &retry->backoff, weft_pattern_draw(&retry->random));
    if (!options->delay_ns)
        return planned_ns;
    return options->delay_ns(retry->asked_arg, retry->attempts, result, planned_ns);
}

/* Whether an attempt after the delay would begin early enough. */
static bool in_time(const struct retry *retry, int64_t delay_ns)
{
    int64_t needs_ns = retry->options->attempt_min_ns;
    int64_t begins_ns = weft_time_after(retry->now_ns, delay_ns);
    int64_t deadline_ns = weft_deadline();
    return deadline_ns == WEFT_FOREVER
               ? begins_ns != WEFT_FOREVER
               : weft_time_after(begins_ns, needs_ns ? needs_ns : 1) <= deadline_ns;
}

/* Whether there is to be another attempt, and when. The budget comes last: it is not asked for what
 * would not be done anyway. */
static enum weft_retry_reason decide(struct retry *retry, int result, int64_t *ret_delay_ns)
{
    const struct weft_retry_options *options = retry->options;
    unsigned attempts_max = options->attempts_max ? options->attempts_max : ATTEMPTS_DEFAULT;
    if (retry->attempts >= attempts_max)
        return WEFT_RETRY_ATTEMPTS;
    int64_t delay_ns = plan_delay(retry, result);
    if (delay_ns < 0)
        return WEFT_RETRY_DECLINED;
    retry->now_ns = weft_now(); /* the callback may have waited */
    if (!in_time(retry, delay_ns))
        return WEFT_RETRY_DEADLINE;
    if (options->budget && weft_retry_budget_take(options->budget, options->budget_key) < 0)
        return WEFT_RETRY_BUDGET;
    *ret_delay_ns = delay_ns;
    return WEFT_RETRY_AGAIN;
}

/* Returns 0, -ECANCELED: the attempt will not be made. */
static int pause(const struct retry *retry, int64_t delay_ns)
{
    const struct weft_retry_options *options = retry->options;
    int err = weft_sleep_until(weft_time_after(retry->now_ns, delay_ns));
    if (err < 0 && options->budget)
        (void)weft_retry_budget_return(options->budget, options->budget_key, retry->now_ns);
    if (err == 0 && options->stats)
        weft_pattern_count(&options->stats->delayed_ns, (uint64_t)delay_ns);
    return err;
}

static bool wants_retry(const struct weft_retry_options *options, int result, void *asked_arg)
{
    return options->retry_if ? options->retry_if(asked_arg, result) : weft_retryable(result);
}

static enum weft_retry_reason reason_to_stop(int result)
{
    return result == -ECANCELED ? WEFT_RETRY_CANCELED : WEFT_RETRY_NOT_RETRYABLE;
}

static int go_on(struct retry *retry, int result)
{
    const struct weft_retry_options *options = retry->options;
    for (;;) {
        int64_t delay_ns = 0;
        bool again = result != -ECANCELED && wants_retry(options, result, retry->asked_arg);
        retry->attempts++;
        if (!again && result >= 0) {
            note(options, WEFT_RETRY_SUCCESS);
            return result;
        }
        retry->now_ns = weft_now();
        if (!again)
            return end(retry, reason_to_stop(result), result);
        note(options, WEFT_RETRY_FAILURE);
        enum weft_retry_reason reason = decide(retry, result, &delay_ns);
        if (reason != WEFT_RETRY_AGAIN)
            return end(retry, reason, result);
        tell(retry, reason, result, delay_ns);
        int err = pause(retry, delay_ns);
        if (err < 0)
            return end(retry, WEFT_RETRY_CANCELED, err);
        count_attempt(options, retry->attempts);
        result = retry->fn(retry->arg);
    }
}

/* ---- the call ---------------------------------------------------------------------------- */

/* Out of line: its frame and its random numbers are not the business of a call that succeeds. */
static __attribute__((noinline)) int begin_retrying(const struct weft_retry_options *options,
                                                    int (*fn)(void *), void *arg, void *asked_arg,
                                                    int result)
{
    struct retry retry = {.options = options, .fn = fn, .arg = arg, .asked_arg = asked_arg};
    return go_on(&retry, result);
}

static int attempt(const struct weft_retry_options *options, int (*fn)(void *), void *arg,
                   void *asked_arg)
{
    count_attempt(options, 0);
    int result = fn(arg);
    if (result >= 0 && !options->retry_if) {
        note(options, WEFT_RETRY_SUCCESS);
        return result;
    }
    return begin_retrying(options, fn, arg, asked_arg, result);
}

static __attribute__((noinline)) int attempt_within(const struct weft_retry_options *options,
                                                    int (*fn)(void *), void *arg, void *asked_arg)
{
    struct weft_scope scope;
    weft_scope_enter_for(&scope, options->total_ns);
    return weft_scope_leave(&scope, attempt(options, fn, arg, asked_arg));
}

int weft_retry_between(const struct weft_retry_options *options, int (*fn)(void *), void *arg,
                       void *asked_arg)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0 && options->budget)
        err = weft_retry_budget_note(options->budget, options->budget_key, WEFT_RETRY_CALL);
    if (err < 0)
        return err;
    return options->total_ns ? attempt_within(options, fn, arg, asked_arg)
                             : attempt(options, fn, arg, asked_arg);
}

int weft_retry(const struct weft_retry_options *options, int (*fn)(void *), void *arg)
{
    static const struct weft_retry_options defaults;
    if (!options)
        options = &defaults;
    int err = weft_retry_check(options);
    return err < 0 ? err : weft_retry_between(options, fn, arg, arg);
}
