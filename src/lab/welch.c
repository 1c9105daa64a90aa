/* SPDX-License-Identifier: MIT
 * welch.c - see welch.h.
 *
 * The tails are the regularised incomplete beta function I(df/2, 1/2) at df/(df + t^2), by its
 * continued fraction (DLMF 8.17.22) with Lentz's method; the quantile is found by halving. */
#include <lab/welch.h>

#include <math.h>

#define TERMS_MAX 10000
#define PRECISION 1e-15
#define TINY      1e-300
#define HALVINGS  200

/* The continued fraction for I(a, b) at x; converges fast for x below (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) > TINY ? d : TINY);
    double value = d;
    for (int m = 1; m <= TERMS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        const double terms[] = {even, odd};
        double factor = 1;
        for (int i = 0; i < 2; i++) {
            d = 1 + terms[i] * d;
            c = 1 + terms[i] / c;
            d = 1 / (fabs(d) > TINY ? d : TINY);
            c = fabs(c) > TINY ? c : TINY;
            factor = c * d;
            value *= factor;
        }
        if (fabs(factor - 1) < PRECISION)
            break;
    }
    return value;
}

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* I(a, b) at x, of which y is 1 - x, given apart because it may be tiny. */
static double incomplete_beta(double a, double b, double x, double y)
{
    if (!(x > 0))
        return 0;
    if (!(y > 0))
        return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, y) / b;
}

double weft_student_tails(double t, double df)
{
    double whole = df + t * t;
    return incomplete_beta(df / 2, 0.5, df / whole, t * t / whole);
}

double weft_student_quantile(double tails, double df)
{
    double low = 0, high = 1;
    while (weft_student_tails(high, df) > tails && high < 1e150)
        high *= 2;
    for (int i = 0; i < HALVINGS && low < high; i++) {
        double middle = low + (high - low) / 2;
        if (weft_student_tails(middle, df) > tails)
            low = middle;
        else
            high = middle;
    }
    return high;
}

struct moments {
    double mean, variance;
};

static struct moments moments_of(const double *values, size_t count)
{
    struct moments moments = {0};
    for (size_t i = 0; i < count; i++)
        moments.mean += values[i] / (double)count;
    for (size_t i = 0; i < count; i++) {
        double off = values[i] - moments.mean;
        moments.variance += off * off / (double)(count - 1);
    }
    return moments;
}

bool weft_welch_test(struct weft_welch *ret_test, const double *a, size_t a_count, const double *b,
                     size_t b_count)
{
    if (a_count < 2 || b_count < 2)
        return false;
    struct moments of_a = moments_of(a, a_count), of_b = moments_of(b, b_count);
    double a_part = of_a.variance / (double)a_count, b_part = of_b.variance / (double)b_count;
    double sum = a_part + b_part;
    if (!(sum > 0) || !isfinite(sum))
        return false;
    struct weft_welch test = {.difference = of_b.mean - of_a.mean};
    test.t = test.difference / sqrt(sum);
    test.df = sum * sum /
              (a_part * a_part / (double)(a_count - 1) + b_part * b_part / (double)(b_count - 1));
    test.p = weft_student_tails(test.t, test.df);
    double reach = weft_student_quantile(0.05, test.df) * sqrt(sum);
    test.low = test.difference - reach;
    test.high = test.difference + reach;
    *ret_test = test;
    return true;
}
