/* SPDX-License-Identifier: MIT
 * metrics.h - one page of metrics, in the text format that Prometheus reads (version 0.0.4).
 *
 *     struct weft_metrics *page;
 *     int err = weft_metrics_open(&page, NULL);
 *     ...
 *     weft_metrics_clear(page);
 *     weft_metrics_add(page, &(struct weft_metric){.family = "orders_total",
 *                                                  .help = "Orders taken.",
 *                                                  .type = WEFT_METRIC_COUNTER,
 *                                                  .labels = {{"shop", "north"}},
 *                                                  .value = 17});
 *     weft_metrics_add_runtime(page, NULL);
 *     const char *text;
 *     size_t len;
 *     err = weft_metrics_text(page, &text, &len);
 *
 * Families come sorted by name, each once with its help and type; the metrics of a family in the
 * order in which they were added. A page is for one thread at a time. What cannot be added leaves
 * it as it was.
 *
 * Source: Prometheus documentation, "Exposition formats", text-based format. */
#ifndef WEFT_METRICS_H
#define WEFT_METRICS_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

#define WEFT_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#define WEFT_METRIC_LABELS_MAX    8

enum weft_metric_type {
    WEFT_METRIC_UNTYPED,
    WEFT_METRIC_COUNTER,   /* only grows; its name ends in _total */
    WEFT_METRIC_GAUGE,     /* goes up and down */
    WEFT_METRIC_HISTOGRAM, /* weft_metrics_add_histogram */
    WEFT_METRIC_SUMMARY,   /* weft_metrics_add_summary */
};

/* Names have letters, digits and underscores and begin with no digit; a family's may have colons.
 * Labels whose names begin with two underscores are not for programs. Their order makes no
 * difference, and one with an empty value is none. */
struct weft_label {
    const char *name, *value; /* NULL, NULL ends the labels */
};

struct weft_metric {
    const char *family;
    const char *help; /* the first one given to the family counts; NULL means none */
    enum weft_metric_type type;
    struct weft_label labels[WEFT_METRIC_LABELS_MAX];
    double value;
};

/* How many values are at most so large; the counts of larger bounds include those of smaller. */
struct weft_metric_bucket {
    double bound;
    uint64_t count;
};

/* The value that a share of all does not exceed: 0.99 is p99. */
struct weft_metric_quantile {
    double share, value;
};

struct weft_metrics_options {
    size_t bytes_max;     /* of the text; 0 means 4 MiB */
    unsigned samples_max; /* lines that are no comments; 0 means 20,000 */
};

struct weft_metrics;

/* Make an empty page. options may be NULL. Returns 0, -EINVAL (bytes_max above 1 GiB), -ENOMEM */
WEFT_API int weft_metrics_open(struct weft_metrics **ret_metrics,
                               const struct weft_metrics_options *options);
WEFT_API void weft_metrics_close(struct weft_metrics *metrics); /* NULL is fine */

/* Make it empty again, and keep its memory. */
WEFT_API void weft_metrics_clear(struct weft_metrics *metrics);

/* Add one counter, gauge or untyped value; strings are copied, bytes that are no UTF-8 replaced.
 * Returns  0, -EINVAL (a name; a type that is another one's; a counter below 0 or not a number; a
 *          family called like a part of a histogram or summary), -EEXIST (this family has a metric
 *          with these labels), WEFT_EFULL, -ENOMEM */
WEFT_API int weft_metrics_add(struct weft_metrics *metrics, const struct weft_metric *metric);

/* Add a histogram: buckets with rising bounds and counts, without that of +Inf, which is count.
 * metric   its type must be WEFT_METRIC_HISTOGRAM, its value is not used, no label is "le"
 * Returns  as weft_metrics_add; -EINVAL as well when bounds or counts do not rise */
WEFT_API int weft_metrics_add_histogram(struct weft_metrics *metrics,
                                        const struct weft_metric *metric,
                                        const struct weft_metric_bucket *buckets,
                                        size_t buckets_len, double sum, uint64_t count);

/* Add a summary; the same with quantiles, whose shares rise within 0 ... 1. */
WEFT_API int weft_metrics_add_summary(struct weft_metrics *metrics,
                                      const struct weft_metric *metric,
                                      const struct weft_metric_quantile *quantiles,
                                      size_t quantiles_len, double sum, uint64_t count);

/* The page; valid until the next call on it. It ends in a NUL that len does not count. Returns 0,
 * -ENOMEM */
WEFT_API int weft_metrics_text(struct weft_metrics *metrics, const char **ret_text,
                               size_t *ret_len);

/* ---- what weft counts ------------------------------------------------------------------- */

struct weft_monitor;
struct weft_timing;

/* Each returns what weft_metrics_add can, and may have added a part of its families then. Durations
 * are in seconds, as Prometheus wants. */

/* Workers, fibers and switches of the calling fiber's runtime. name becomes the label "runtime",
 * unless it is NULL. -EPERM outside one */
WEFT_API int weft_metrics_add_runtime(struct weft_metrics *metrics, const char *name);

/* Lag, waits, slices and stalls since the monitor was opened. Any thread. -EPERM in a child of
 * fork() */
WEFT_API int weft_metrics_add_monitor(struct weft_metrics *metrics, struct weft_monitor *monitor);

/* Calls and their durations, labelled with the timing's name. -EPERM: local to another worker */
WEFT_API int weft_metrics_add_timing(struct weft_metrics *metrics, struct weft_timing *timing);

/* The patterns have theirs in metrics_flow.h. */

WEFT_END_DECLS

#endif
