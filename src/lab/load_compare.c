/* SPDX-License-Identifier: MIT
 * load_compare.c - two loads beside each other, as `weft load --json` wrote them. See weft/load.h.
 *
 * The unit is the run: requests within one hang together, so that one run a side gives a ratio and
 * nothing about chance. Percentiles come from the stored histograms where there are some. */
#include <weft/load.h>

#include <errno.h>
#include <stdio.h>

#ifdef WEFT_HAVE_JANSSON
#include <lab/welch.h>
#include <obs/histogram_hdr.h>

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX   1000
#define NOISE_MAX  0.05 /* half the width of an interval that still says "no difference" */
#define TEXT_BYTES 64

static const struct {
    const char *name;
    uint32_t millionths; /* 0: not a percentile */
} figures[WEFT_LOAD_COMPARISON_ROWS] = {
    {"requests_per_s", 0}, {"p50", 500000},   {"p90", 900000},
    {"p99", 990000},       {"p99.9", 999000}, {"mean", 0},
};

/* What the runs have to have in common. Texts of values, as JSON. */
static const char *const settings[] = {"url",        "method",   "loop",    "connections",
                                       "rate_per_s", "pipeline", "workers", "warmup_s"};
#define SETTINGS (sizeof settings / sizeof settings[0])

/* One file. */
struct side {
    double figures[WEFT_LOAD_COMPARISON_ROWS][RUNS_MAX]; /* logarithms */
    bool missing[WEFT_LOAD_COMPARISON_ROWS];             /* a run that does not have it */
    unsigned runs;
    double requests, failed;
    char settings[SETTINGS][TEXT_BYTES]; /* of the first run */
    bool mixed[SETTINGS];                /* the others differ */
};

struct comparing {
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct comparing *comparing, int err,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (comparing->error_bytes > 0)
        (void)vsnprintf(comparing->error, comparing->error_bytes, format, args);
    va_end(args);
    return err;
}

/* ---- one run --------------------------------------------------------------------------- */

/* The histogram of a run; NULL when it has none. */
static int read_histogram(const json_t *run, struct weft_histogram **ret_histogram)
{
    const json_t *text = json_object_get(json_object_get(run, "histograms"), "latency");
    struct weft_histogram *histogram;
    *ret_histogram = NULL;
    if (!json_is_string(text))
        return 0;
    int err = weft_histogram_open(&histogram);
    if (err)
        return err;
    err = weft_hdr_parse(histogram, json_string_value(text), json_string_length(text));
    if (err || weft_histogram_count(histogram) == 0) {
        weft_histogram_close(histogram);
        return err;
    }
    *ret_histogram = histogram;
    return 0;
}

/* A figure of a run, in nanoseconds or per second; 0 when it is not there. */
static double figure_of(const json_t *run, const struct weft_histogram *histogram, size_t index)
{
    if (index == 0)
        return json_number_value(json_object_get(run, figures[0].name));
    if (histogram && figures[index].millionths > 0)
        return (double)weft_histogram_percentile(histogram, figures[index].millionths);
    const json_t *latency = json_object_get(run, "latency_ms");
    return json_number_value(json_object_get(latency, figures[index].name)) * 1e6;
}

static void take_settings(struct side *side, const json_t *run)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        char text[TEXT_BYTES] = "";
        const json_t *value = json_object_get(run, settings[i]);
        size_t len = value ? json_dumpb(value, text, sizeof text - 1, JSON_ENCODE_ANY) : 0;
        text[len < sizeof text ? len : sizeof text - 1] = '\0';
        if (side->runs == 0)
            memcpy(side->settings[i], text, sizeof text);
        else if (strcmp(side->settings[i], text) != 0)
            side->mixed[i] = true;
    }
}

/* Returns NULL, or what is wrong. */
static const char *take_run(struct side *side, const json_t *run)
{
    struct weft_histogram *histogram;
    const json_t *requests = json_object_get(run, "requests");
    if (side->runs == RUNS_MAX)
        return "there are more than 1000 runs in it";
    if (!json_is_object(run) || !json_is_number(json_object_get(run, "requests_per_s")) ||
        !json_is_integer(requests))
        return "it is not what weft load --json writes";
    int err = read_histogram(run, &histogram);
    if (err)
        return err == -ENOMEM ? "out of memory" : "a histogram in it cannot be read";
    take_settings(side, run);
    for (size_t i = 0; i < WEFT_LOAD_COMPARISON_ROWS; i++) {
        double value = figure_of(run, histogram, i);
        if (!(value > 0) || !isfinite(value))
            side->missing[i] = true;
        side->figures[i][side->runs] = side->missing[i] ? 0 : log(value);
    }
    weft_histogram_close(histogram);
    double succeeded = json_number_value(json_object_get(run, "succeeded"));
    side->requests += json_number_value(requests);
    side->failed += json_number_value(requests) - succeeded;
    side->runs++;
    return NULL;
}

/* ---- one file -------------------------------------------------------------------------- */

static const char *read_runs(struct side *side, FILE *file)
{
    const char *reason = NULL;
    while (!reason) {
        json_error_t error;
        int c = fgetc(file);
        while (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            c = fgetc(file);
        if (c == EOF)
            break;
        (void)ungetc(c, file);
        json_t *run = json_loadf(file, JSON_DISABLE_EOF_CHECK, &error);
        if (!run)
            return "it is not JSON";
        reason = take_run(side, run);
        json_decref(run);
    }
    return !reason && side->runs == 0 ? "there is nothing in it" : reason;
}

static int read_side(const struct comparing *comparing, struct side *side, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return fail(comparing, -errno, "%.200s cannot be opened: %s", path, weft_strerror(errno));
    const char *reason = read_runs(side, file);
    int err = ferror(file) ? -EIO : 0;
    (void)fclose(file);
    if (err)
        return fail(comparing, err, "%.200s cannot be read", path);
    if (reason)
        return fail(comparing, -EINVAL, "%.200s: %s", path, reason);
    return 0;
}

/* ---- both ------------------------------------------------------------------------------ */

static double mean_of(const double *values, unsigned count)
{
    double mean = 0;
    for (unsigned i = 0; i < count; i++)
        mean += values[i] / count;
    return mean;
}

/* Of a ratio with this interval. */
static enum weft_load_verdict judge(double low, double high, bool is_rate)
{
    if (low > 1)
        return is_rate ? WEFT_LOAD_BETTER : WEFT_LOAD_WORSE;
    if (high < 1)
        return is_rate ? WEFT_LOAD_WORSE : WEFT_LOAD_BETTER;
    return sqrt(high / low) - 1 > NOISE_MAX ? WEFT_LOAD_TOO_NOISY : WEFT_LOAD_NO_DIFFERENCE;
}

static struct weft_load_comparison_row compare_figure(const struct side *before,
                                                      const struct side *after, size_t index)
{
    const double *a = before->figures[index], *b = after->figures[index];
    double a_mean = mean_of(a, before->runs), b_mean = mean_of(b, after->runs);
    struct weft_load_comparison_row row = {
        .name = figures[index].name,
        .is_rate = index == 0,
        .before = exp(a_mean),
        .after = exp(b_mean),
        .ratio = exp(b_mean - a_mean),
    };
    struct weft_welch test;
    if (weft_welch_test(&test, a, before->runs, b, after->runs)) {
        row.low = exp(test.low);
        row.high = exp(test.high);
        row.verdict = judge(row.low, row.high, row.is_rate);
    }
    return row;
}

static void note_differences(struct weft_load_comparison *comparison, const struct side *before,
                             const struct side *after)
{
    size_t len = 0, room = sizeof comparison->differences;
    for (size_t i = 0; i < SETTINGS; i++) {
        const char *a = before->settings[i], *b = after->settings[i];
        bool mixed = before->mixed[i] || after->mixed[i];
        /* Files of before the setting was written say nothing about it. */
        if (!mixed && (strcmp(a, b) == 0 || !*a || !*b))
            continue;
        const char *comma = len > 0 ? ", " : "";
        char *at = comparison->differences + len;
        int more = mixed ? snprintf(at, room - len, "%s%s differs between runs", comma, settings[i])
                         : snprintf(at, room - len, "%s%s %s and %s", comma, settings[i], a, b);
        len += more > 0 ? (size_t)more : 0;
        if (len >= room)
            return;
    }
}

static double share(const struct side *side)
{
    return side->requests > 0 ? side->failed / side->requests : 0;
}

int weft_load_compare(const char *path_before, const char *path_after,
                      struct weft_load_comparison *ret_comparison, char *ret_error,
                      size_t error_bytes)
{
    struct comparing comparing = {ret_error, error_bytes};
    struct weft_load_comparison comparison = {0};
    struct side *sides = calloc(2, sizeof *sides);
    if (!sides)
        return fail(&comparing, -ENOMEM, "out of memory");
    const struct side *before = &sides[0], *after = &sides[1];
    int err = read_side(&comparing, &sides[0], path_before);
    if (err == 0)
        err = read_side(&comparing, &sides[1], path_after);
    if (err == 0) {
        for (size_t i = 0; i < WEFT_LOAD_COMPARISON_ROWS; i++) {
            if (!before->missing[i] && !after->missing[i])
                comparison.rows[comparison.rows_count++] = compare_figure(before, after, i);
        }
        comparison.runs_before = before->runs;
        comparison.runs_after = after->runs;
        comparison.failed_before = share(before);
        comparison.failed_after = share(after);
        note_differences(&comparison, before, after);
        *ret_comparison = comparison;
    }
    free(sides);
    return err;
}

#else

int weft_load_compare(const char *path_before, const char *path_after,
                      struct weft_load_comparison *ret_comparison, char *ret_error,
                      size_t error_bytes)
{
    (void)path_before, (void)path_after, (void)ret_comparison;
    if (error_bytes > 0)
        (void)snprintf(ret_error, error_bytes,
                       "results cannot be compared: weft was built without jansson");
    return -ENOSYS;
}

#endif
