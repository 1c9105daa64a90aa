/* SPDX-License-Identifier: MIT
 * welch.h - whether two small samples differ in their means, without assuming that they vary alike
 * (Welch 1947). Pure. */
#ifndef WEFT_LAB_WELCH_H
#define WEFT_LAB_WELCH_H

#include <stdbool.h>
#include <stddef.h>

struct weft_welch {
    double difference; /* mean of b - mean of a */
    double t, df, p;   /* two-sided */
    double low, high;  /* 95 % interval of the difference */
};

/* Returns false where there is no test: fewer than two values on a side, or none that varies. */
bool weft_welch_test(struct weft_welch *ret_test, const double *a, size_t a_count, const double *b,
                     size_t b_count);

/* The share of Student's distribution with df degrees of freedom that lies beyond -t and t. */
double weft_student_tails(double t, double df);

/* The t beyond which, on both sides, this share of it lies. */
double weft_student_quantile(double tails, double df);

#endif
