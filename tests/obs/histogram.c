/* SPDX-License-Identifier: MIT
 * histogram.c - percentiles against sorted arrays, the edges of the range, and merging. */
#include <base/random.h>
#include <obs/histogram.h>

#include "test.h"

#include <stdlib.h>
#include <string.h>

static struct weft_histogram *histogram_of(const int64_t *values, size_t count)
{
    struct weft_histogram *histogram = NULL;
    REQUIRE(weft_histogram_open(&histogram) == 0);
    for (size_t i = 0; i < count; i++)
        weft_histogram_record(histogram, values[i]);
    return histogram;
}

static int by_value(const void *a, const void *b)
{
    int64_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

/* The definition, by its own words: the value of rank ceil(share * n) in the sorted array. */
static int64_t sorted_percentile(const int64_t *sorted, size_t count, uint32_t millionths)
{
    uint64_t rank = ((uint64_t)count * millionths + 999999) / 1000000;
    return sorted[rank ? rank - 1 : 0];
}

static const uint32_t shares[] = {0,      1,      70000,  250000, 500000, 750000,
                                  900000, 950000, 990000, 999000, 1000000};
#define SHARES (sizeof shares / sizeof shares[0])

TEST(empty_histogram_is_all_zero)
{
    struct weft_histogram *histogram = histogram_of(NULL, 0);
    CHECK_EQUAL(weft_histogram_count(histogram), 0);
    CHECK_EQUAL(weft_histogram_percentile(histogram, 500000), 0);
    CHECK_EQUAL(weft_histogram_min(histogram), 0);
    CHECK_EQUAL(weft_histogram_max(histogram), 0);
    CHECK_EQUAL(weft_histogram_mean(histogram), 0);
    weft_histogram_close(histogram);
    weft_histogram_close(NULL);
}

TEST(small_values_are_exact)
{
    int64_t values[100];
    for (int i = 0; i < 100; i++)
        values[i] = 100 - i;
    struct weft_histogram *histogram = histogram_of(values, 100);
    for (uint32_t percent = 1; percent <= 100; percent++)
        CHECK_EQUAL(weft_histogram_percentile(histogram, percent * 10000), percent);
    CHECK_EQUAL(weft_histogram_percentile(histogram, 0), 1);
    CHECK_EQUAL(weft_histogram_min(histogram), 1);
    CHECK_EQUAL(weft_histogram_max(histogram), 100);
    CHECK_EQUAL(weft_histogram_mean(histogram), 50); /* 50.5 rounded down */
    weft_histogram_close(histogram);
}

/* Each vector: two equal small values and one of the bucket under test, below a large one that
 * keeps the cap at the maximum out of the way. Upper ends calculated by hand. */
TEST(bucket_ends_are_where_they_should_be)
{
    static const struct {
        int64_t value, upper;
    } vectors[] = {
        {1, 1},
        {2047, 2047},
        {2048, 2049},
        {2049, 2049},
        {2050, 2051},
        {4095, 4095},
        {4096, 4099},
        {8191, 8191},
        {8192, 8199},
        {1000000, 1000447},       /* 2^19..2^20: 512 ns wide, 1953 * 512 .. 1954 * 512 - 1 */
        {1000000000, 1000341503}, /* 2^29..2^30: 524,288 ns wide, 1907 * .. 1908 * - 1 */
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        int64_t values[2] = {vectors[i].value, WEFT_HISTOGRAM_MAX_NS};
        struct weft_histogram *histogram = histogram_of(values, 2);
        CHECK_EQUAL(weft_histogram_percentile(histogram, 500000), vectors[i].upper);
        weft_histogram_close(histogram);
    }
}

TEST(values_outside_the_range_count_as_its_ends)
{
    int64_t values[] = {INT64_MIN, -5, 0, WEFT_HISTOGRAM_MAX_NS + 1, INT64_MAX};
    struct weft_histogram *histogram = histogram_of(values, 5);
    CHECK_EQUAL(weft_histogram_count(histogram), 5);
    CHECK_EQUAL(weft_histogram_min(histogram), 1);
    CHECK_EQUAL(weft_histogram_percentile(histogram, 600000), 1);
    CHECK_EQUAL(weft_histogram_percentile(histogram, 600001), WEFT_HISTOGRAM_MAX_NS);
    CHECK_EQUAL(weft_histogram_max(histogram), WEFT_HISTOGRAM_MAX_NS);
    weft_histogram_close(histogram);
}

TEST(no_percentile_lies_above_the_maximum)
{
    int64_t values[] = {1000000, 1000001, 1000002};
    struct weft_histogram *histogram = histogram_of(values, 3);
    CHECK_EQUAL(weft_histogram_percentile(histogram, 500000), 1000002);
    CHECK_EQUAL(weft_histogram_percentile(histogram, 1000000), 1000002);
    weft_histogram_close(histogram);
}

/* Numbers spread evenly over the orders of magnitude, as latencies are. */
static int64_t random_value(struct weft_random *random)
{
    int64_t bound = (int64_t)1 << (1 + weft_random_below(random, 41));
    return 1 + (int64_t)weft_random_below(random, (uint64_t)bound);
}

TEST(percentiles_agree_with_sorted_arrays_to_a_thousandth)
{
    struct weft_random random;
    weft_random_seed(&random, 20240229);
    for (int round = 0; round < 50; round++) {
        int64_t values[1000];
        size_t count = 1 + (size_t)weft_random_below(&random, 1000);
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            values[i] = random_value(&random);
            sum += (uint64_t)values[i];
        }
        struct weft_histogram *histogram = histogram_of(values, count);
        qsort(values, count, sizeof values[0], by_value);
        for (size_t i = 0; i < SHARES; i++) {
            int64_t exact = sorted_percentile(values, count, shares[i]);
            int64_t found = weft_histogram_percentile(histogram, shares[i]);
            CHECK(found >= exact && found <= exact + exact / 1000);
        }
        CHECK_EQUAL(weft_histogram_min(histogram), values[0]);
        CHECK_EQUAL(weft_histogram_max(histogram), values[count - 1]);
        CHECK_EQUAL(weft_histogram_mean(histogram), sum / count);
        weft_histogram_close(histogram);
    }
}

static bool same(const struct weft_histogram *a, const struct weft_histogram *b)
{
    bool equal = weft_histogram_count(a) == weft_histogram_count(b) &&
                 weft_histogram_min(a) == weft_histogram_min(b) &&
                 weft_histogram_max(a) == weft_histogram_max(b) &&
                 weft_histogram_mean(a) == weft_histogram_mean(b);
    for (uint32_t share = 0; share <= 1000000 && equal; share += 5000)
        equal = weft_histogram_percentile(a, share) == weft_histogram_percentile(b, share);
    return equal;
}

TEST(merging_parts_in_any_order_is_recording_the_whole)
{
    struct weft_random random;
    weft_random_seed(&random, 7);
    for (int round = 0; round < 20; round++) {
        struct weft_histogram *whole = histogram_of(NULL, 0), *parts[4];
        struct weft_histogram *forward = histogram_of(NULL, 0), *backward = histogram_of(NULL, 0);
        for (int i = 0; i < 4; i++)
            parts[i] = histogram_of(NULL, 0);
        size_t count = (size_t)weft_random_below(&random, 500);
        for (size_t i = 0; i < count; i++) {
            int64_t value = random_value(&random);
            weft_histogram_record(whole, value);
            weft_histogram_record(parts[weft_random_below(&random, 4)], value);
        }
        for (int i = 0; i < 4; i++) {
            weft_histogram_merge(forward, parts[i]);
            weft_histogram_merge(backward, parts[3 - i]);
        }
        CHECK(same(whole, forward));
        CHECK(same(whole, backward));
        for (int i = 0; i < 4; i++)
            weft_histogram_close(parts[i]);
        weft_histogram_close(whole);
        weft_histogram_close(forward);
        weft_histogram_close(backward);
    }
}

TEST(what_is_left_after_subtracting_is_what_was_recorded_since)
{
    struct weft_random random;
    weft_random_seed(&random, 11);
    for (int round = 0; round < 20; round++) {
        struct weft_histogram *before = histogram_of(NULL, 0), *now = histogram_of(NULL, 0);
        struct weft_histogram *since = histogram_of(NULL, 0);
        size_t early = (size_t)weft_random_below(&random, 300);
        size_t late = (size_t)weft_random_below(&random, 300);
        for (size_t i = 0; i < early + late; i++) {
            int64_t value = random_value(&random);
            weft_histogram_record(i < early ? before : since, value);
            weft_histogram_record(now, value);
        }
        weft_histogram_subtract(now, before);
        CHECK_EQUAL(weft_histogram_count(now), late);
        CHECK_EQUAL(weft_histogram_sum(now), weft_histogram_sum(since));
        CHECK_EQUAL(weft_histogram_mean(now), weft_histogram_mean(since));
        int64_t max = weft_histogram_max(since), min = weft_histogram_min(since);
        CHECK(weft_histogram_max(now) >= max && weft_histogram_max(now) <= max + max / 1000);
        CHECK(weft_histogram_min(now) <= min && weft_histogram_min(now) >= min - min / 1000);
        for (uint32_t share = 0; share <= 1000000; share += 50000) {
            int64_t exact = weft_histogram_percentile(since, share);
            int64_t found = weft_histogram_percentile(now, share);
            CHECK(found >= exact && found <= exact + exact / 1000);
        }
        weft_histogram_clear(now);
        CHECK_EQUAL(weft_histogram_count(now), 0);
        CHECK_EQUAL(weft_histogram_max(now), 0);
        weft_histogram_record(now, 5);
        CHECK_EQUAL(weft_histogram_percentile(now, 1000000), 5);
        weft_histogram_close(before);
        weft_histogram_close(now);
        weft_histogram_close(since);
    }
}

TEST(counts_to_a_value_rise_to_the_whole)
{
    int64_t values[] = {1, 10, 10, 2047, 5000, WEFT_HISTOGRAM_MAX_NS};
    struct weft_histogram *histogram = histogram_of(values, 6);
    static const struct {
        int64_t value;
        uint64_t count;
    } vectors[] = {{-1, 0},       {0, 0},    {1, 1},    {9, 1},    {10, 3},
                   {2046, 3},     {2047, 4}, {4990, 4}, {5000, 5}, {WEFT_HISTOGRAM_MAX_NS / 2, 5},
                   {INT64_MAX, 6}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        CHECK_EQUAL(weft_histogram_count_to(histogram, vectors[i].value), vectors[i].count);
    CHECK_EQUAL(weft_histogram_sum(histogram), 7068 + (uint64_t)WEFT_HISTOGRAM_MAX_NS);
    weft_histogram_close(histogram);
}
