/* SPDX-License-Identifier: MIT
 * welch.c - the test against published and independently computed values. */
#include <lab/welch.h>

#include "test.h"

#include <math.h>

#define NEAR(actual, expected) (fabs((actual) - (expected)) <= 1e-9 * fmax(1, fabs(expected)))
#define COUNT(array)           (sizeof(array) / sizeof(array)[0])

static const double v1_a[] = {30.02, 29.99, 30.11, 29.97, 30.01, 29.99};
static const double v1_b[] = {29.89, 29.93, 29.72, 29.98, 30.02, 29.98};
static const double v2_a[] = {17.2, 20.9, 22.6, 18.1, 21.7, 21.4, 23.5, 24.2, 14.7, 21.8};
static const double v2_b[] = {21.5, 22.8, 21,   23,   21.6, 23.6, 22.5, 20.7, 23.4, 21.8,
                              20.7, 21.7, 21.5, 22.5, 23.6, 21.5, 22.5, 23.5, 21.5, 21.8};
static const double v3_a[] = {3, 4, 1, 2.1};
static const double v3_b[] = {490.2, 340, 433.9};
static const double v4_a[] = {5739, 5681, 5802, 5710, 5698, 5755, 5720, 5690, 5765, 5733};
static const double v4_b[] = {1620, 1655, 1601, 1640, 1611, 1668, 1632, 1625, 1649, 1619};
static const double v5_a[] = {102.3, 99.8, 101.1, 100.4, 103.9, 98.7, 100.9, 102, 99.5, 101.6};
static const double v5_b[] = {104.1, 101.9, 105.2, 103.3, 100.2, 106, 102.8, 104.7, 101.2, 103.6};
static const double v6_a[] = {1.1, 2.3, 3.7, 4.2, 5.9};
static const double v6_b[] = {2, 3.1, 6.4, 7.7, 8.8, 9.5};

TEST(the_test_agrees_with_published_values)
{
    static const struct {
        const double *a, *b;
        size_t a_count, b_count;
        double t, df, p; /* of a - b */
    } vectors[] = {
        {v1_a, v1_b, COUNT(v1_a), COUNT(v1_b), 1.95900580811, 7.03055995988, 0.0907733242857},
        {v2_a, v2_b, COUNT(v2_a), COUNT(v2_b), -1.5654335236, 9.90474124865, 0.148841696605},
        {v3_a, v3_b, COUNT(v3_a), COUNT(v3_b), -9.55949772193, 2.00085234886, 0.0107515611498},
        {v4_a, v4_b, COUNT(v4_a), COUNT(v4_b), 301.819210459, 14.1146531791, 2.70274257101e-28},
        {v5_a, v5_b, COUNT(v5_a), COUNT(v5_b), -3.03966978221, 17.4482971357, 0.00723733567693},
        {v6_a, v6_b, COUNT(v6_a), COUNT(v6_b), -1.87495900256, 8.29783817703, 0.0963346118328},
    };
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct weft_welch test;
        REQUIRE(weft_welch_test(&test, vectors[i].a, vectors[i].a_count, vectors[i].b,
                                vectors[i].b_count));
        CHECK(NEAR(-test.t, vectors[i].t));
        CHECK(NEAR(test.df, vectors[i].df));
        CHECK(fabs(test.p - vectors[i].p) <= 1e-9 * vectors[i].p + 1e-12 * (vectors[i].p > 1e-9));
        if (!(fabs(test.p - vectors[i].p) <= 1e-9 * vectors[i].p))
            test_note("%zu: p %.15g", i, test.p);
    }
}

TEST(the_interval_agrees_with_published_values)
{
    static const struct {
        const double *a, *b;
        size_t a_count, b_count;
        double low, high; /* of a - b */
    } vectors[] = {
        {v1_a, v1_b, COUNT(v1_a), COUNT(v1_b), -0.019569089646, 0.209569089646},
        {v5_a, v5_b, COUNT(v5_a), COUNT(v5_b), -3.85944193126, -0.700558068744},
        {v6_a, v6_b, COUNT(v6_a), COUNT(v6_b), -6.24453345827, 0.62453345827},
    };
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct weft_welch test;
        REQUIRE(weft_welch_test(&test, vectors[i].a, vectors[i].a_count, vectors[i].b,
                                vectors[i].b_count));
        CHECK(NEAR(-test.high, vectors[i].low));
        CHECK(NEAR(-test.low, vectors[i].high));
    }
}

TEST(a_ratio_is_a_difference_of_logarithms)
{
    double a[COUNT(v5_a)], b[COUNT(v5_b)];
    struct weft_welch test;
    for (size_t i = 0; i < COUNT(a); i++) {
        a[i] = log(v5_a[i]);
        b[i] = log(v5_b[i]);
    }
    REQUIRE(weft_welch_test(&test, a, COUNT(a), b, COUNT(b)));
    CHECK(NEAR(exp(test.difference), 1.02253051075));
    CHECK(NEAR(exp(test.low), 1.00687098107));
    CHECK(NEAR(exp(test.high), 1.03843358789));
    CHECK(NEAR(test.p, 0.00721726399016));
}

TEST(quantiles_agree_with_tables)
{
    static const struct {
        double df, t;
    } vectors[] = {{1, 12.70620474}, {2, 4.30265273},  {4, 2.776445105},
                   {9, 2.262157163}, {18, 2.10092204}, {30, 2.042272456}};
    for (size_t i = 0; i < COUNT(vectors); i++)
        CHECK(fabs(weft_student_quantile(0.05, vectors[i].df) - vectors[i].t) < 1e-8);
    CHECK(fabs(weft_student_tails(0, 5) - 1) < 1e-12);
}

TEST(where_nothing_varies_or_is_repeated_there_is_no_test)
{
    static const double same[] = {5, 5, 5}, other[] = {6, 6, 6}, varied[] = {5, 6, 7};
    struct weft_welch test;
    CHECK(!weft_welch_test(&test, same, 3, other, 3));
    CHECK(!weft_welch_test(&test, same, 3, same, 3));
    CHECK(!weft_welch_test(&test, varied, 1, varied, 3));
    CHECK(!weft_welch_test(&test, varied, 3, varied, 1));
    CHECK(!weft_welch_test(&test, varied, 3, varied, 0));
    CHECK(weft_welch_test(&test, same, 3, varied, 3)); /* one that varies is enough */
    CHECK(isfinite(test.low) && isfinite(test.high) && test.low < test.high);
}
