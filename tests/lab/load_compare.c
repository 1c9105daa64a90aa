/* SPDX-License-Identifier: MIT
 * load_compare.c - two files of results: ratios, intervals, and what is honest to say. */
#include <weft/load.h>

#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define RUN                                                                                        \
    "{\"url\": \"http://h/\", \"connections\": %u, \"requests_per_s\": %.3f, "                     \
    "\"requests\": 1000, \"succeeded\": %u, \"latency_ms\": {\"p50\": %.6f, \"p99\": 9.5}}\n"

static const char *file_named(const char *name)
{
    static char paths[2][512];
    static int turn;
    char *path = paths[turn = !turn];
    (void)snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name);
    return path;
}

/* A file with these rates, one a run. */
static const char *runs(const char *name, const double *rates, size_t count, unsigned connections,
                        unsigned succeeded)
{
    const char *path = file_named(name);
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(file, RUN, connections, rates[i], succeeded, 1000 / rates[i]);
    REQUIRE(fclose(file) == 0);
    return path;
}

static bool can_compare(void)
{
    struct weft_load_comparison comparison;
    if (weft_load_compare("/nonexistent", "/nonexistent", &comparison, NULL, 0) != -ENOSYS)
        return true;
    test_skip("built without jansson");
    return false;
}

static const double v5_a[] = {102.3, 99.8, 101.1, 100.4, 103.9, 98.7, 100.9, 102, 99.5, 101.6};
static const double v5_b[] = {104.1, 101.9, 105.2, 103.3, 100.2, 106, 102.8, 104.7, 101.2, 103.6};

TEST(several_runs_a_side_give_a_ratio_with_its_interval)
{
    struct weft_load_comparison comparison;
    char error[300] = "";
    if (!can_compare())
        return;
    const char *before = runs("a.json", v5_a, 10, 64, 1000);
    const char *after = runs("b.json", v5_b, 10, 64, 990);
    CHECK_EQUAL(weft_load_compare(before, after, &comparison, error, sizeof error), 0);
    CHECK_EQUAL(comparison.runs_before, 10);
    CHECK_EQUAL(comparison.runs_after, 10);
    CHECK_EQUAL(comparison.rows_count, 3); /* the rate, p50, p99 */
    const struct weft_load_comparison_row *rate = &comparison.rows[0], *p50 = &comparison.rows[1];
    CHECK(strcmp(rate->name, "requests_per_s") == 0 && rate->is_rate);
    CHECK(fabs(rate->ratio - 1.02253051075) < 1e-9);
    CHECK(fabs(rate->low - 1.00687098107) < 1e-9);
    CHECK(fabs(rate->high - 1.03843358789) < 1e-9);
    CHECK_EQUAL(rate->verdict, WEFT_LOAD_BETTER);
    CHECK(strcmp(p50->name, "p50") == 0 && !p50->is_rate);
    CHECK(fabs(p50->ratio - 1 / 1.02253051075) < 1e-6);
    CHECK_EQUAL(p50->verdict, WEFT_LOAD_BETTER);                   /* a lower latency is */
    CHECK_EQUAL(comparison.rows[2].verdict, WEFT_LOAD_NO_VERDICT); /* it never varies */
    CHECK(fabs(comparison.failed_before) < 1e-12);
    CHECK(fabs(comparison.failed_after - 0.01) < 1e-12);
    CHECK(comparison.differences[0] == '\0');

    CHECK_EQUAL(weft_load_compare(after, before, &comparison, error, sizeof error), 0);
    CHECK_EQUAL(comparison.rows[0].verdict, WEFT_LOAD_WORSE);
    CHECK_EQUAL(comparison.rows[1].verdict, WEFT_LOAD_WORSE);
}

TEST(what_is_not_shown_is_not_said)
{
    static const double calm[] = {100, 101, 99, 100.5, 99.5},
                        same[] = {100.2, 101, 99.2, 100, 99.8};
    static const double wild[] = {60, 140, 95, 120, 85};
    struct weft_load_comparison comparison;
    char error[300] = "";
    if (!can_compare())
        return;
    const char *before = runs("a.json", calm, 5, 64, 1000);
    CHECK_EQUAL(weft_load_compare(before, runs("b.json", same, 5, 64, 1000), &comparison, error,
                                  sizeof error),
                0);
    CHECK_EQUAL(comparison.rows[0].verdict, WEFT_LOAD_NO_DIFFERENCE);
    before = runs("a.json", calm, 5, 64, 1000);
    CHECK_EQUAL(weft_load_compare(before, runs("b.json", wild, 5, 64, 1000), &comparison, error,
                                  sizeof error),
                0);
    CHECK_EQUAL(comparison.rows[0].verdict, WEFT_LOAD_TOO_NOISY);
    before = runs("a.json", calm, 1, 64, 1000);
    CHECK_EQUAL(weft_load_compare(before, runs("b.json", same, 5, 64, 1000), &comparison, error,
                                  sizeof error),
                0);
    CHECK_EQUAL(comparison.rows[0].verdict, WEFT_LOAD_NO_VERDICT);
    CHECK(fabs(comparison.rows[0].low) < 1e-12);
    CHECK(fabs(comparison.rows[0].ratio - 1) < 0.01);
}

TEST(loads_that_are_not_the_same_are_told)
{
    struct weft_load_comparison comparison;
    char error[300] = "";
    if (!can_compare())
        return;
    const char *before = runs("a.json", v5_a, 2, 64, 1000);
    CHECK_EQUAL(weft_load_compare(before, runs("b.json", v5_b, 2, 128, 1000), &comparison, error,
                                  sizeof error),
                0);
    CHECK(strcmp(comparison.differences, "connections 64 and 128") == 0);
}

TEST(files_that_are_no_results_are_refused)
{
    static const struct {
        const char *text, *sentence;
    } vectors[] = {
        {"", "there is nothing in it"},
        {" \n", "there is nothing in it"},
        {"x", "not JSON"},
        {"{", "not JSON"},
        {"[]", "not what weft load"},
        {"{\"requests\": 5}", "not what weft load"},
        {"{\"requests\": \"5\", \"requests_per_s\": 5}", "not what weft load"},
        {"{\"requests\": 5, \"requests_per_s\": 5, \"histograms\": {\"latency\": \"xyz\"}}",
         "a histogram in it"},
    };
    struct weft_load_comparison comparison = {.runs_before = 77};
    char error[300] = "";
    if (!can_compare())
        return;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const char *path = file_named("c.json");
        FILE *file = fopen(path, "w");
        REQUIRE(file && fputs(vectors[i].text, file) >= 0 && fclose(file) == 0);
        CHECK_EQUAL(weft_load_compare(path, path, &comparison, error, sizeof error), -EINVAL);
        CHECK(strstr(error, vectors[i].sentence));
        if (!strstr(error, vectors[i].sentence))
            test_note("%s: %s", vectors[i].text, error);
        CHECK_EQUAL(comparison.runs_before, 77);
    }
    CHECK_EQUAL(weft_load_compare("/nonexistent", "/nonexistent", &comparison, error, sizeof error),
                -ENOENT);
    CHECK(strstr(error, "cannot be opened"));
}
