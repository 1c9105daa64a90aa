/* SPDX-License-Identifier: MIT
 * mock_latency.h - how long answers take: distributions, and the shares and limits that are written
 * beside them. Pure: numbers come from the caller, so that what is drawn can be repeated. */
#ifndef WEFT_LAB_MOCK_LATENCY_H
#define WEFT_LAB_MOCK_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_MOCK_LATENCY_MAX_NS (INT64_C(60) * 1000000000)

enum weft_mock_latency_kind {
    WEFT_MOCK_FIXED,     /* low_ns */
    WEFT_MOCK_UNIFORM,   /* low_ns to high_ns, both included */
    WEFT_MOCK_LOGNORMAL, /* the median is low_ns, shape the deviation of its logarithm */
    WEFT_MOCK_PARETO,    /* low_ns at least, shape is alpha: the smaller, the heavier the tail */
};

struct weft_mock_latency {
    enum weft_mock_latency_kind kind;
    int64_t low_ns, high_ns; /* nothing that is drawn is above high_ns */
    double shape;
};

/* Read what weft_mock_options.latency describes.
 *
 * ret_reason  set on failure: what is wrong, a part of a sentence, static
 * Returns     0, -EINVAL: *ret_latency is as it was */
int weft_mock_latency_parse(struct weft_mock_latency *ret_latency, const char *text,
                            const char **ret_reason);

/* What the distribution makes of two numbers in [0, 1), the second of which only a lognormal one
 * looks at. From 0 to high_ns. */
int64_t weft_mock_latency_draw(const struct weft_mock_latency *latency, double first,
                               double second);

/* So many requests in so long. */
struct weft_mock_quota {
    uint64_t requests;
    int64_t window_ns;
};

/* Read "10/1s". Returns as weft_mock_latency_parse. */
int weft_mock_quota_parse(struct weft_mock_quota *ret_quota, const char *text,
                          const char **ret_reason);

/* Read a decimal number, digits and perhaps a point and digits, of exactly len bytes.
 * Returns whether it is one */
bool weft_mock_decimal_parse(double *ret_value, const char *text, size_t len);

#endif
