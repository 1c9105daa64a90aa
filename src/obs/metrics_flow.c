/* SPDX-License-Identifier: MIT
 * metrics_flow.c - see weft/metrics_flow.h. One table for each pattern: the row of a number says
 * which it is, what kind, and what it is called. */
#include <obs/metrics_fields.h>

#include <weft/weft.h>

#include <stdio.h>

/* The rows of a table; the struct they describe is COUNTS. */
#define COUNTER(member, ...) WEFT_FIELD(struct COUNTS, member, COUNTER, __VA_ARGS__)
#define GAUGE(member, ...)   WEFT_FIELD(struct COUNTS, member, GAUGE, __VA_ARGS__)
#define STATE(member, family_name, help_text, names)                                               \
    {                                                                                              \
        .offset = offsetof(struct COUNTS, member), .kind = WEFT_FIELD_STATE,                       \
        .type = WEFT_METRIC_GAUGE, .family = (family_name), .help = (help_text),                   \
        .label = {"state", NULL}, .states = (names)                                                \
    }

/* weft_metrics_add_<pattern>, by the table <pattern>_fields. */
#define COLLECTOR(pattern)                                                                         \
    int weft_metrics_add_##pattern(struct weft_metrics *metrics, const char *name,                 \
                                   const struct weft_##pattern##_snapshot *snapshot)               \
    {                                                                                              \
        const struct weft_label labels[] = {{"name", name ? name : #pattern}, {NULL, NULL}};       \
        return weft_metrics_add_fields(metrics, WEFT_FIELDS(pattern##_fields), snapshot, labels);  \
    }

/* A copy of numbers to which calls on other threads add meanwhile; bytes is a multiple of 8. */
static void load_numbers(uint64_t *copy, const uint64_t *numbers, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof *copy; i++)
        copy[i] = __atomic_load_n(&numbers[i], __ATOMIC_RELAXED);
}

/* ---- background ---------------------------------------------------------------------- */

#define COUNTS weft_background_snapshot
static const struct weft_field background_fields[] = {
    GAUGE(running, "weft_background_running", "Background tasks that run."),
    COUNTER(started, "weft_background_started_total", "Background tasks that were started."),
    COUNTER(failed, "weft_background_failed_total", "Background tasks that failed."),
    COUNTER(rounds, "weft_background_rounds_total", "Rounds of periodic background tasks."),
    COUNTER(rounds_failed, "weft_background_rounds_failed_total",
            "Rounds of periodic background tasks that failed."),
};
#undef COUNTS

COLLECTOR(background)

/* ---- breaker ------------------------------------------------------------------------- */

static const char *const breaker_states[] = {
    "", /* no state is 0 */
    "closed", "open", "half_open", "forced_open", "forced_closed", "disabled", NULL,
};

_Static_assert(sizeof breaker_states / sizeof breaker_states[0] == WEFT_BREAKER_STATES + 1,
               "one name each");

#define COUNTS weft_breaker_snapshot
static const struct weft_field breaker_fields[] = {
    STATE(state, "weft_breaker_state", "The state a circuit breaker is in: 1, the others 0.",
          breaker_states),
    GAUGE(calls, "weft_breaker_window_calls", "Calls in the window of a circuit breaker."),
    GAUGE(failure_rate, "weft_breaker_failure_ratio", "Share of calls in the window that failed."),
    GAUGE(slow_rate, "weft_breaker_slow_ratio", "Share of calls in the window that were slow."),
    COUNTER(entered, "weft_breaker_calls_total",
            "Calls let through by circuit breakers, and refused.", .label = {"result", "entered"}),
    COUNTER(refused, "weft_breaker_calls_total", NULL, .label = {"result", "refused"}),
    COUNTER(succeeded, "weft_breaker_results_total", "Results that circuit breakers have counted.",
            .label = {"result", "succeeded"}),
    COUNTER(failed, "weft_breaker_results_total", NULL, .label = {"result", "failed"}),
    COUNTER(ignored, "weft_breaker_results_total", NULL, .label = {"result", "ignored"}),
    COUNTER(late, "weft_breaker_results_total", NULL, .label = {"result", "late"}),
    COUNTER(slow_calls, "weft_breaker_slow_calls_total", "Calls that took too long."),
    COUNTER(opened, "weft_breaker_opened_total", "Times a circuit breaker opened."),
    COUNTER(events_lost, "weft_breaker_events_lost_total", "Events that nobody was told."),
};
#undef COUNTS

COLLECTOR(breaker)

/* ---- bulkhead ------------------------------------------------------------------------ */

#define COUNTS weft_bulkhead_snapshot
static const struct weft_field bulkhead_fields[] = {
    GAUGE(calls_max, "weft_bulkhead_calls_max", "Calls that a bulkhead lets in at once."),
    GAUGE(active, "weft_bulkhead_active", "Calls inside a bulkhead."),
    GAUGE(peak, "weft_bulkhead_active_max", "Most calls that were inside a bulkhead."),
    GAUGE(waiting, "weft_bulkhead_waiting", "Calls that wait to be let in."),
    COUNTER(granted, "weft_bulkhead_calls_total", "Calls at bulkheads, by what became of them.",
            .label = {"result", "entered"}),
    COUNTER(timed_out, "weft_bulkhead_calls_total", NULL, .label = {"result", "timed_out"}),
    COUNTER(refused, "weft_bulkhead_calls_total", NULL, .label = {"result", "refused"}),
    COUNTER(waits, "weft_bulkhead_waits_total", "Calls that were let in after a wait."),
};
#undef COUNTS

COLLECTOR(bulkhead)

/* ---- bus ----------------------------------------------------------------------------- */

#define COUNTS weft_bus_snapshot
static const struct weft_field bus_fields[] = {
    GAUGE(subscriptions, "weft_bus_subscriptions", "Subscriptions of a bus."),
    GAUGE(topics, "weft_bus_topics", "Topics somebody has subscribed to."),
    GAUGE(backlog, "weft_bus_backlog", "Messages queued, or with a handler."),
    COUNTER(published, "weft_bus_published_total", "Messages published."),
    COUNTER(unheard, "weft_bus_unheard_total", "Messages that nobody had subscribed to."),
    COUNTER(delivered, "weft_bus_delivered_total", "Messages put into queues of subscriptions."),
    COUNTER(handled, "weft_bus_handled_total", "Ends of handlers."),
    COUNTER(failed, "weft_bus_failed_total", "Handlers that failed."),
    COUNTER(dropped, "weft_bus_dropped_total", "Messages dropped from queues, or for full ones."),
    COUNTER(disconnected, "weft_bus_disconnected_total",
            "Subscriptions ended because they were too slow."),
};
#undef COUNTS

COLLECTOR(bus)

/* ---- cache --------------------------------------------------------------------------- */

#define COUNTS weft_cache_snapshot
static const struct weft_field cache_fields[] = {
    GAUGE(entries, "weft_cache_entries", "Values in a cache."),
    GAUGE(bytes, "weft_cache_bytes", "Bytes in a cache."),
    COUNTER(hits, "weft_cache_lookups_total", "Values asked for, by whether they were there.",
            .label = {"result", "hit"}),
    COUNTER(misses, "weft_cache_lookups_total", NULL, .label = {"result", "miss"}),
    COUNTER(stale, "weft_cache_stale_total", "Expired values that were served."),
    COUNTER(evictions, "weft_cache_evictions_total", "Values dropped for room."),
    COUNTER(loads, "weft_cache_loads_total", "Runs of loaders."),
    COUNTER(failed, "weft_cache_loads_failed_total", "Runs of loaders that failed."),
    COUNTER(not_kept, "weft_cache_not_kept_total", "Values that could not be kept."),
};
#undef COUNTS

COLLECTOR(cache)

/* ---- debounce ------------------------------------------------------------------------ */

#define COUNTS weft_debounce_snapshot
static const struct weft_field debounce_fields[] = {
    GAUGE(pending, "weft_debounce_pending", "1: the function will run for calls that were made."),
    GAUGE(running, "weft_debounce_running", "1: the function runs."),
    COUNTER(calls, "weft_debounce_calls_total", "Calls that were debounced."),
    COUNTER(runs, "weft_debounce_runs_total", "Runs of debounced functions."),
    COUNTER(failed, "weft_debounce_failed_total", "Runs of debounced functions that failed."),
};
#undef COUNTS

COLLECTOR(debounce)

/* ---- fallback: numbers that the program keeps ---------------------------------------- */

#define COUNTS weft_fallback_stats
static const struct weft_field fallback_fields[] = {
    COUNTER(calls, "weft_fallback_calls_total", "Calls made with a fallback."),
    COUNTER(cached, "weft_fallback_replaced_total", "Failures replaced, by what was tried last.",
            .label = {"by", "cache"}),
    COUNTER(run, "weft_fallback_replaced_total", NULL, .label = {"by", "function"}),
    COUNTER(failed, "weft_fallback_failed_total", "Failures whose replacement was a failure too."),
};
#undef COUNTS

int weft_metrics_add_fallback(struct weft_metrics *metrics, const char *name,
                              const struct weft_fallback_stats *stats)
{
    const struct weft_label labels[] = {{"name", name ? name : "fallback"}, {NULL, NULL}};
    struct weft_fallback_stats now;
    load_numbers((uint64_t *)&now, (const uint64_t *)stats, sizeof now);
    return weft_metrics_add_fields(metrics, WEFT_FIELDS(fallback_fields), &now, labels);
}

/* ---- flight -------------------------------------------------------------------------- */

#define COUNTS weft_flight_snapshot
static const struct weft_field flight_fields[] = {
    GAUGE(keys, "weft_flight_keys", "Keys whose function runs."),
    GAUGE(waiters, "weft_flight_waiters", "Calls that wait for the result of another."),
    COUNTER(executed, "weft_flight_executed_total", "Functions that were run."),
    COUNTER(shared, "weft_flight_shared_total", "Calls that got the result of another."),
    COUNTER(taken_over, "weft_flight_taken_over_total",
            "Leaders that were cancelled and followed by another."),
    COUNTER(gave_up, "weft_flight_gave_up_total", "Followers whose wait ended without a result."),
    COUNTER(refused, "weft_flight_refused_total", "Calls that found a limit reached."),
};
#undef COUNTS

COLLECTOR(flight)

/* ---- hedge --------------------------------------------------------------------------- */

#define COUNTS weft_hedge_snapshot
static const struct weft_field hedge_fields[] = {
    GAUGE(delay_ns, "weft_hedge_delay_seconds",
          "How long a call waits before its next attempt begins."),
    GAUGE(quantile_ns, "weft_hedge_quantile_seconds",
          "The quantile of the latest latencies that the delay follows."),
    COUNTER(calls, "weft_hedge_calls_total", "Hedged calls."),
    COUNTER(hedges, "weft_hedge_attempts_total", "Attempts beyond the first."),
    COUNTER(refused, "weft_hedge_refused_total", "Attempts that the budget did not allow."),
    COUNTER(failures, "weft_hedge_failed_total", "Hedged calls that failed."),
    COUNTER(cancelled, "weft_hedge_cancelled_total", "Hedged calls that were cancelled."),
    COUNTER(wins[0], "weft_hedge_wins_total",
            "Calls that the first attempt has won, and the second.", .label = {"attempt", "1"}),
    COUNTER(wins[1], "weft_hedge_wins_total", NULL, .label = {"attempt", "2"}),
};
#undef COUNTS

COLLECTOR(hedge)

/* ---- keyed limiter ------------------------------------------------------------------- */

#define COUNTS weft_keyed_limiter_snapshot
static const struct weft_field keyed_limiter_fields[] = {
    GAUGE(keys, "weft_keyed_limiter_keys", "Keys that a limiter keeps count of."),
    GAUGE(keys_max, "weft_keyed_limiter_keys_max", "Keys it has room for."),
    GAUGE(waiting, "weft_keyed_limiter_waiting", "Calls that wait for permits."),
    COUNTER(granted, "weft_keyed_limiter_granted_total", "Permits given."),
    COUNTER(refused, "weft_keyed_limiter_refused_total", "Calls refused without a wait."),
    COUNTER(timed_out, "weft_keyed_limiter_timed_out_total", "Calls that waited in vain."),
    COUNTER(waits, "weft_keyed_limiter_waits_total", "Calls that were served after a wait."),
    COUNTER(waited_ns, "weft_keyed_limiter_waited_seconds_total", "How long these waited."),
    GAUGE(waited_max_ns, "weft_keyed_limiter_waited_max_seconds", "The longest of these waits."),
    COUNTER(evicted, "weft_keyed_limiter_evicted_total", "Keys that made room for others."),
};
#undef COUNTS

COLLECTOR(keyed_limiter)

/* ---- limiter ------------------------------------------------------------------------- */

#define COUNTS weft_limiter_snapshot
static const struct weft_field limiter_fields[] = {
    GAUGE(available, "weft_limiter_available",
          "Permits that are there; below 0: owed to reservations."),
    GAUGE(rate.count, "weft_limiter_rate", "Permits in each period."),
    GAUGE(rate.period_ns, "weft_limiter_period_seconds", "That period."),
    GAUGE(waiting, "weft_limiter_waiting", "Calls that wait for permits."),
    COUNTER(granted, "weft_limiter_granted_total", "Permits given."),
    COUNTER(refused, "weft_limiter_refused_total", "Calls refused without a wait."),
    COUNTER(timed_out, "weft_limiter_timed_out_total", "Calls that waited in vain."),
    COUNTER(waits, "weft_limiter_waits_total", "Calls that were served after a wait."),
    COUNTER(waited_ns, "weft_limiter_waited_seconds_total", "How long these waited."),
    GAUGE(waited_max_ns, "weft_limiter_waited_max_seconds", "The longest of these waits."),
};
#undef COUNTS

COLLECTOR(limiter)

/* ---- pipeline ------------------------------------------------------------------------ */

static const char *const pipeline_states[] = {"running", "finishing", "finished", "cancelled",
                                              NULL};

#define COUNTS weft_pipeline_snapshot
static const struct weft_field pipeline_fields[] = {
    STATE(state, "weft_pipeline_state", "The state a pipeline is in: 1, the others 0.",
          pipeline_states),
    COUNTER(items_in, "weft_pipeline_items_in_total", "Items brought to pipelines."),
    COUNTER(items_out, "weft_pipeline_items_out_total", "Items that have come through."),
    COUNTER(errors, "weft_pipeline_errors_total", "Items that failed for good."),
    COUNTER(dropped, "weft_pipeline_dropped_total", "Items dropped."),
    COUNTER(refused, "weft_pipeline_refused_total", "Items that were not taken."),
};
#undef COUNTS

COLLECTOR(pipeline)

/* ---- stage --------------------------------------------------------------------------- */

#define COUNTS weft_stage_snapshot
static const struct weft_field stage_fields[] = {
    GAUGE(queue_depth, "weft_stage_queue_depth", "Items that wait for a stage."),
    GAUGE(queue_depth_max, "weft_stage_queue_depth_max", "Most items that waited for a stage."),
    GAUGE(running, "weft_stage_running", "Calls of the function of a stage."),
    COUNTER(items_in, "weft_stage_items_in_total", "Items brought to a stage."),
    COUNTER(items_out, "weft_stage_items_out_total", "Items that the next stage has taken."),
    COUNTER(filtered, "weft_stage_filtered_total", "Items filtered out."),
    COUNTER(errors, "weft_stage_errors_total", "Items that failed for good."),
    COUNTER(dropped, "weft_stage_dropped_total", "Items dropped."),
    COUNTER(retries, "weft_stage_retries_total", "Calls that were second or later."),
    COUNTER(batches, "weft_stage_batches_total", "Batches taken."),
    COUNTER(busy_ns, "weft_stage_busy_seconds_total", "Time in the function of a stage."),
    COUNTER(wait_ns, "weft_stage_wait_seconds_total", "Time its workers waited for items or room."),
};
#undef COUNTS

int weft_metrics_add_stage(struct weft_metrics *metrics, const char *pipeline,
                           const struct weft_stage_snapshot *snapshot)
{
    const struct weft_label labels[] = {{"name", pipeline ? pipeline : "pipeline"},
                                        {"stage", snapshot->name ? snapshot->name : ""},
                                        {NULL, NULL}};
    return weft_metrics_add_fields(metrics, WEFT_FIELDS(stage_fields), snapshot, labels);
}

/* ---- policy -------------------------------------------------------------------------- */

#define COUNTS weft_layer_snapshot
static const struct weft_field layer_fields[] = {
    COUNTER(calls, "weft_policy_calls_total", "Calls that came to a layer of a policy."),
    COUNTER(failures, "weft_policy_failures_total", "Calls a layer of a policy has failed."),
    COUNTER(refused, "weft_policy_refused_total",
            "Calls a layer of a policy has failed without beginning what is inside."),
    COUNTER(cancelled, "weft_policy_cancelled_total", "Calls that were cancelled in a layer."),
};
#undef COUNTS

int weft_metrics_add_policy(struct weft_metrics *metrics, const char *name,
                            const struct weft_policy_snapshot *snapshot)
{
    int err = 0;
    for (unsigned i = 0; i <= snapshot->layers_len && err == 0; i++) {
        bool inside = i == snapshot->layers_len;
        const struct weft_layer_snapshot *layer = inside ? &snapshot->work : &snapshot->layers[i];
        char place[12];
        (void)snprintf(place, sizeof place, "%u", i);
        const struct weft_label labels[] = {{"name", name ? name : "policy"},
                                            {"place", place},
                                            {"layer", layer->name},
                                            {NULL, NULL}};
        err = weft_metrics_add_fields(metrics, WEFT_FIELDS(layer_fields), layer, labels);
    }
    return err;
}

/* ---- pool ---------------------------------------------------------------------------- */

#define COUNTS weft_pool_snapshot
static const struct weft_field pool_fields[] = {
    GAUGE(idle, "weft_pool_resources", "Resources of a pool.", .label = {"state", "idle"}),
    GAUGE(out, "weft_pool_resources", NULL, .label = {"state", "out"}),
    GAUGE(busy, "weft_pool_resources", NULL, .label = {"state", "busy"}),
    GAUGE(out_max, "weft_pool_out_max", "Most resources that were out."),
    GAUGE(waiting, "weft_pool_waiting", "Calls that wait for a resource."),
    COUNTER(acquired, "weft_pool_acquired_total", "Resources given out."),
    COUNTER(released, "weft_pool_released_total", "Resources given back."),
    COUNTER(waited, "weft_pool_waits_total", "Calls that had to wait for one."),
    COUNTER(created, "weft_pool_created_total", "Resources made."),
    COUNTER(create_failed, "weft_pool_create_failed_total", "Attempts to make one that failed."),
    COUNTER(destroyed, "weft_pool_destroyed_total", "Resources destroyed."),
    COUNTER(unhealthy, "weft_pool_unhealthy_total",
            "Of them, those that a check or their user found bad."),
};
#undef COUNTS

COLLECTOR(pool)

/* ---- retry: numbers that the program keeps ------------------------------------------- */

#define COUNTS weft_retry_stats
#define ENDED(reason, word)                                                                        \
    COUNTER(ended[reason], "weft_retry_given_up_total", NULL, .label = {"reason", word})
static const struct weft_field retry_fields[] = {
    COUNTER(calls, "weft_retry_calls_total", "Calls made with retries."),
    COUNTER(attempts, "weft_retry_attempts_total", "Attempts of these, the first ones included."),
    COUNTER(retries, "weft_retry_retries_total", "Attempts after the first."),
    {
        .offset = offsetof(struct weft_retry_stats, delayed_ns),
        .kind = WEFT_FIELD_NS,
        .type = WEFT_METRIC_COUNTER,
        .family = "weft_retry_delayed_seconds_total",
        .help = "Time slept between attempts.",
    },
    COUNTER(ended[WEFT_RETRY_NOT_RETRYABLE], "weft_retry_given_up_total", "Calls given up.",
            .label = {"reason", "not_retryable"}),
    ENDED(WEFT_RETRY_ATTEMPTS, "attempts"),
    ENDED(WEFT_RETRY_DEADLINE, "deadline"),
    ENDED(WEFT_RETRY_BUDGET, "budget"),
    ENDED(WEFT_RETRY_DECLINED, "declined"),
    ENDED(WEFT_RETRY_CANCELED, "cancelled"),
};
#undef ENDED
#undef COUNTS

int weft_metrics_add_retry(struct weft_metrics *metrics, const char *name,
                           const struct weft_retry_stats *stats)
{
    const struct weft_label labels[] = {{"name", name ? name : "retry"}, {NULL, NULL}};
    struct weft_retry_stats now;
    load_numbers((uint64_t *)&now, (const uint64_t *)stats, sizeof now);
    return weft_metrics_add_fields(metrics, WEFT_FIELDS(retry_fields), &now, labels);
}

/* ---- retry budget -------------------------------------------------------------------- */

#define COUNTS weft_retry_budget_snapshot
static const struct weft_field retry_budget_fields[] = {
    GAUGE(balance, "weft_retry_budget_balance", "Retries, or tokens, that are left."),
    GAUGE(keys, "weft_retry_budget_keys", "Keys with a budget of their own."),
    GAUGE(taken, "weft_retry_budget_taken", "Retries taken, without those given back."),
    COUNTER(refused, "weft_retry_budget_refused_total", "Retries that were refused."),
    COUNTER(evicted, "weft_retry_budget_evicted_total", "Idle keys that made room."),
    COUNTER(crowded, "weft_retry_budget_crowded_total",
            "Times the shared budget was used for want of room."),
};
#undef COUNTS

COLLECTOR(retry_budget)

/* ---- subscription -------------------------------------------------------------------- */

#define COUNTS weft_subscription_snapshot
static const struct weft_field subscription_fields[] = {
    GAUGE(queued, "weft_subscription_queued", "Messages in the queue of a subscription."),
    GAUGE(capacity, "weft_subscription_capacity", "Messages that fit."),
    COUNTER(delivered, "weft_subscription_delivered_total", "Messages put into the queue."),
    COUNTER(handled, "weft_subscription_handled_total", "Ends of its handler."),
    COUNTER(failed, "weft_subscription_failed_total", "Of them, failures."),
    COUNTER(dropped, "weft_subscription_dropped_total", "Messages dropped."),
};
#undef COUNTS

COLLECTOR(subscription)

/* ---- throttle ------------------------------------------------------------------------ */

#define COUNTS weft_throttle_snapshot
static const struct weft_field throttle_fields[] = {
    GAUGE(waiting, "weft_throttle_waiting", "Calls that wait to pass."),
    GAUGE(pending, "weft_throttle_pending", "1: the function will run once more."),
    COUNTER(passed, "weft_throttle_calls_total",
            "Calls of throttled functions, by what became of them.", .label = {"result", "passed"}),
    COUNTER(skipped, "weft_throttle_calls_total", NULL, .label = {"result", "skipped"}),
    COUNTER(failed, "weft_throttle_failed_total", "Runs of throttled functions that failed."),
};
#undef COUNTS

COLLECTOR(throttle)
