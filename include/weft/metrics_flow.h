/* SPDX-License-Identifier: MIT
 * metrics_flow.h - what the patterns have counted, as metrics.
 *
 *     struct weft_pool_snapshot snapshot;
 *     weft_pool_snapshot(pool, &snapshot);
 *     weft_metrics_add_pool(page, "db", &snapshot);
 *
 * Each takes the page, the value of the label "name" (NULL means the pattern's own word) and a
 * snapshot; families are called weft_<pattern>_<what>. Each returns what weft_metrics_add does, and
 * may have added a part of its families then. Any thread that has the page. */
#ifndef WEFT_METRICS_FLOW_H
#define WEFT_METRICS_FLOW_H

#include <weft/metrics.h>

WEFT_BEGIN_DECLS

struct weft_background_snapshot;
struct weft_breaker_snapshot;
struct weft_bulkhead_snapshot;
struct weft_bus_snapshot;
struct weft_cache_snapshot;
struct weft_debounce_snapshot;
struct weft_fallback_stats;
struct weft_flight_snapshot;
struct weft_hedge_snapshot;
struct weft_keyed_limiter_snapshot;
struct weft_limiter_snapshot;
struct weft_pipeline_snapshot;
struct weft_policy_snapshot;
struct weft_pool_snapshot;
struct weft_retry_budget_snapshot;
struct weft_retry_stats;
struct weft_stage_snapshot;
struct weft_subscription_snapshot;
struct weft_throttle_snapshot;

WEFT_API int weft_metrics_add_background(struct weft_metrics *metrics, const char *name,
                                         const struct weft_background_snapshot *snapshot);
WEFT_API int weft_metrics_add_breaker(struct weft_metrics *metrics, const char *name,
                                      const struct weft_breaker_snapshot *snapshot);
WEFT_API int weft_metrics_add_bulkhead(struct weft_metrics *metrics, const char *name,
                                       const struct weft_bulkhead_snapshot *snapshot);
WEFT_API int weft_metrics_add_bus(struct weft_metrics *metrics, const char *name,
                                  const struct weft_bus_snapshot *snapshot);
WEFT_API int weft_metrics_add_cache(struct weft_metrics *metrics, const char *name,
                                    const struct weft_cache_snapshot *snapshot);
WEFT_API int weft_metrics_add_debounce(struct weft_metrics *metrics, const char *name,
                                       const struct weft_debounce_snapshot *snapshot);
WEFT_API int weft_metrics_add_fallback(struct weft_metrics *metrics, const char *name,
                                       const struct weft_fallback_stats *stats);
WEFT_API int weft_metrics_add_flight(struct weft_metrics *metrics, const char *name,
                                     const struct weft_flight_snapshot *snapshot);
WEFT_API int weft_metrics_add_hedge(struct weft_metrics *metrics, const char *name,
                                    const struct weft_hedge_snapshot *snapshot);
WEFT_API int weft_metrics_add_keyed_limiter(struct weft_metrics *metrics, const char *name,
                                            const struct weft_keyed_limiter_snapshot *snapshot);
WEFT_API int weft_metrics_add_limiter(struct weft_metrics *metrics, const char *name,
                                      const struct weft_limiter_snapshot *snapshot);
WEFT_API int weft_metrics_add_pipeline(struct weft_metrics *metrics, const char *name,
                                       const struct weft_pipeline_snapshot *snapshot);
/* Every layer has the labels "place", from 0 outermost, and "layer", what it is; fn is the last. */
WEFT_API int weft_metrics_add_policy(struct weft_metrics *metrics, const char *name,
                                     const struct weft_policy_snapshot *snapshot);

WEFT_API int weft_metrics_add_pool(struct weft_metrics *metrics, const char *name,
                                   const struct weft_pool_snapshot *snapshot);
WEFT_API int weft_metrics_add_retry(struct weft_metrics *metrics, const char *name,
                                    const struct weft_retry_stats *stats);
WEFT_API int weft_metrics_add_retry_budget(struct weft_metrics *metrics, const char *name,
                                           const struct weft_retry_budget_snapshot *snapshot);

/* Stages have the label "stage" as well: each of a pipeline by its own name. */
WEFT_API int weft_metrics_add_stage(struct weft_metrics *metrics, const char *pipeline,
                                    const struct weft_stage_snapshot *snapshot);

WEFT_API int weft_metrics_add_subscription(struct weft_metrics *metrics, const char *name,
                                           const struct weft_subscription_snapshot *snapshot);
WEFT_API int weft_metrics_add_throttle(struct weft_metrics *metrics, const char *name,
                                       const struct weft_throttle_snapshot *snapshot);

WEFT_END_DECLS

#endif
