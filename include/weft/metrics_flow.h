/* SPDX-License-Identifier: MIT
 * metrics_flow.h - what the patterns have counted, as metrics.
 *
 *     weft_metrics_add_background(page, "mail", &background);
 *
 * Each takes the page, the value of the label "name", and what there is to export. Returns what
 * weft_metrics_add does, and may have added a part of its families then. */
#ifndef WEFT_METRICS_FLOW_H
#define WEFT_METRICS_FLOW_H

#include <weft/metrics.h>

WEFT_BEGIN_DECLS

struct weft_background;

/* By a fiber of the worker that made the keeper. */
WEFT_API int weft_metrics_add_background(struct weft_metrics *metrics, const char *name,
                                         const struct weft_background *background);

WEFT_END_DECLS

#endif
