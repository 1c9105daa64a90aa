/* SPDX-License-Identifier: MIT
 * metrics_flow.c - see weft/metrics_flow.h. One table for each pattern: the row of a number says
 * which it is, what kind, and what it is called. */
#include <obs/metrics_fields.h>

#include <weft/background.h>
#include <weft/metrics_flow.h>

#include <errno.h>

/* weft_metrics_add_<pattern>, by the table <pattern>_fields. */
#define COLLECTOR(pattern, type)                                                                   \
    int weft_metrics_add_##pattern(struct weft_metrics *metrics, const char *name,                 \
                                   const struct type *counts)                                      \
    {                                                                                              \
        const struct weft_label labels[] = {{"name", name ? name : #pattern}, {NULL, NULL}};       \
        return weft_metrics_add_fields(metrics, WEFT_FIELDS(pattern##_fields), counts, labels);    \
    }

#define COUNTER(member, ...) WEFT_FIELD(struct COUNTS, member, COUNTER, __VA_ARGS__)
#define GAUGE(member, ...)   WEFT_FIELD(struct COUNTS, member, GAUGE, __VA_ARGS__)

/* ---- background ------------------------------------------------------------------------ */

#define COUNTS weft_background
static const struct weft_field background_fields[] = {
    GAUGE(running, "weft_background_running", "Tasks that run."),
    COUNTER(started, "weft_background_started_total", "Tasks that were started."),
    COUNTER(failed, "weft_background_failed_total", "Tasks that failed."),
};
#undef COUNTS
COLLECTOR(background, weft_background)
