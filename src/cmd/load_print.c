/* SPDX-License-Identifier: MIT
 * load_print.c - the tables of `weft load`. */
#include "load_print.h"

#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum weft_load_error error;
} error_names[] = {
    {"connect", WEFT_LOAD_CONNECT},   {"timeout", WEFT_LOAD_TIMEOUT}, {"reset", WEFT_LOAD_RESET},
    {"protocol", WEFT_LOAD_PROTOCOL}, {"status", WEFT_LOAD_STATUS},
};
#define ERROR_NAMES (sizeof error_names / sizeof error_names[0])

static const char *const percentile_names[] = {"min", "mean", "p50",   "p75", "p90",
                                               "p95", "p99",  "p99.9", "max"};
#define PERCENTILES (sizeof percentile_names / sizeof percentile_names[0])

static int64_t percentile(const struct weft_load_latency *latency, size_t index)
{
    const int64_t values[PERCENTILES] = {
        latency->min_ns, latency->mean_ns, latency->p50_ns,  latency->p75_ns, latency->p90_ns,
        latency->p95_ns, latency->p99_ns,  latency->p999_ns, latency->max_ns,
    };
    return values[index];
}

static void print_errors(const struct weft_load_counts *counts)
{
    const char *before = "   (";
    (void)printf("errors      %" PRIu64, counts->failed);
    for (size_t i = 0; i < ERROR_NAMES; i++) {
        uint64_t count = counts->errors[error_names[i].error];
        if (count > 0) {
            (void)printf("%s%" PRIu64 " %s", before, count, error_names[i].name);
            before = ", ";
        }
    }
    (void)printf("%s\n", counts->failed > 0 ? ")" : "");
}

static void print_status(const struct weft_load_counts *counts)
{
    (void)printf("status     ");
    for (size_t i = 1; i < 6; i++) {
        if (counts->status[i] > 0)
            (void)printf(" %zuxx %" PRIu64, i, counts->status[i]);
    }
    if (counts->status[0] > 0)
        (void)printf(" invalid %" PRIu64, counts->status[0]);
    (void)printf("\n");
}

static void print_title(const char *url, const struct weft_load_result *result)
{
    const struct weft_load_step *step = &result->steps[0].step;
    (void)printf("%s %s, %u connections", result->method, url, result->connections);
    if (result->urls_count > 1)
        (void)printf(", %zu URLs", result->urls_count);
    if (result->pipeline > 1)
        (void)printf(", %u requests at once on each", result->pipeline);
    if (result->workers > 1)
        (void)printf(", %u workers", result->workers);
    if (!result->open_loop)
        (void)printf(", closed loop\n\n");
    else if (result->steps_count > 1)
        (void)printf(", open loop in %zu steps\n\n", result->steps_count);
    else if (step->from_per_s < step->to_per_s || step->from_per_s > step->to_per_s)
        (void)printf(", open loop from %g to %g requests/s\n\n", step->from_per_s, step->to_per_s);
    else
        (void)printf(", open loop at %g requests/s\n\n", step->from_per_s);
}

static void print_latency(const struct weft_load_result *result)
{
    const struct weft_load_counts *total = &result->total;
    char text[FIGURE_BYTES], more[FIGURE_BYTES];
    if (result->open_loop)
        (void)printf("latency  from intended start   from sending\n");
    else
        (void)printf("latency\n");
    for (size_t i = 0; i < PERCENTILES && total->succeeded > 0; i++) {
        (void)printf("  %-6s%12s", percentile_names[i],
                     format_duration(text, percentile(&total->latency, i)));
        if (result->open_loop)
            (void)printf("%23s", format_duration(more, percentile(&total->sent, i)));
        (void)printf("\n");
    }
    if (total->succeeded == 0)
        (void)printf("  no request succeeded\n");
}

static void print_steps(const struct weft_load_result *result)
{
    char length[FIGURE_BYTES], p50[FIGURE_BYTES], p99[FIGURE_BYTES], rate[FIGURE_BYTES * 2];
    (void)printf("\n%-17s%9s%12s%12s%12s%9s%9s%9s\n", "step", "length", "intended/s", "achieved/s",
                 "not started", "errors", "p50", "p99");
    for (size_t i = 0; i < result->steps_count; i++) {
        const struct weft_load_step_row *row = &result->steps[i];
        if (row->step.from_per_s < row->step.to_per_s || row->step.from_per_s > row->step.to_per_s)
            (void)snprintf(rate, sizeof rate, "%g:%g/s", row->step.from_per_s, row->step.to_per_s);
        else
            (void)snprintf(rate, sizeof rate, "%g/s", row->step.from_per_s);
        (void)printf("%-17s%9s%12.1f%12.1f%12" PRIu64 "%9" PRIu64 "%9s%9s\n", rate,
                     format_duration(length, row->length_ns), row->intended_per_s,
                     row->succeeded_per_s, row->not_started, row->counts.failed,
                     format_duration(p50, row->counts.latency.p50_ns),
                     format_duration(p99, row->counts.latency.p99_ns));
    }
}

static void print_urls(const struct weft_load_result *result)
{
    char p50[FIGURE_BYTES], p99[FIGURE_BYTES];
    (void)printf("\n%11s%11s%9s%9s  URL\n", "succeeded", "errors", "p50", "p99");
    for (size_t i = 0; i < result->urls_count; i++) {
        const struct weft_load_url_row *row = &result->urls[i];
        (void)printf("%11" PRIu64 "%11" PRIu64 "%9s%9s  %s %s\n", row->counts.succeeded,
                     row->counts.failed, format_duration(p50, row->counts.latency.p50_ns),
                     format_duration(p99, row->counts.latency.p99_ns), row->method, row->url);
    }
}

void load_print(const char *url, const struct weft_load_result *result)
{
    const struct weft_load_counts *total = &result->total;
    char text[FIGURE_BYTES], more[FIGURE_BYTES];
    print_title(url, result);
    (void)printf("requests    %" PRIu64 " in %s\n", total->requests,
                 format_duration(text, result->elapsed_ns));
    (void)printf("succeeded   %" PRIu64 ", %.1f requests/s\n", total->succeeded,
                 result->requests_per_s);
    print_errors(total);
    print_status(total);
    if (result->open_loop)
        (void)printf("intended    %.1f requests/s\nnot started %" PRIu64 "\n",
                     result->intended_per_s, result->not_started);
    if (result->warmup)
        (void)printf("warm-up     %" PRIu64 " requests in %s, not counted\n",
                     result->warmup->counts.requests,
                     format_duration(text, result->warmup->length_ns));
    if (result->resent > 0)
        (void)printf("sent again  %" PRIu64 ", behind an answer that closed the connection\n",
                     result->resent);
    (void)printf("traffic     %s read, %s written\n\n", format_bytes(text, result->bytes_read),
                 format_bytes(more, result->bytes_written));
    print_latency(result);
    if (result->open_loop && result->steps_count > 1)
        print_steps(result);
    if (result->urls_count > 1)
        print_urls(result);
}

/* ---- comparison ------------------------------------------------------------------------ */

static const char *verdict_of(const struct weft_load_comparison_row *row)
{
    switch (row->verdict) {
    case WEFT_LOAD_BETTER:
        return row->is_rate ? "more" : "faster";
    case WEFT_LOAD_WORSE:
        return row->is_rate ? "fewer" : "slower";
    case WEFT_LOAD_NO_DIFFERENCE:
        return "no difference shown";
    case WEFT_LOAD_TOO_NOISY:
        return "too noisy";
    case WEFT_LOAD_NO_VERDICT:
        break;
    }
    return "";
}

static const char *format_figure(char text[FIGURE_BYTES],
                                 const struct weft_load_comparison_row *row, double value)
{
    if (!row->is_rate)
        return format_duration(text, (int64_t)value);
    (void)snprintf(text, FIGURE_BYTES, "%.1f/s", value);
    return text;
}

void load_print_comparison(const struct weft_load_comparison *comparison)
{
    char before[FIGURE_BYTES], after[FIGURE_BYTES];
    (void)printf("%-15s%13s%13s%8s   %-16s\n", "", "before", "after", "ratio", "95 % interval");
    for (size_t i = 0; i < comparison->rows_count; i++) {
        const struct weft_load_comparison_row *row = &comparison->rows[i];
        (void)printf("%-15s%13s%13s%8.3f", row->name, format_figure(before, row, row->before),
                     format_figure(after, row, row->after), row->ratio);
        if (row->low > 0)
            (void)printf("   %.3f to %.3f   %s", row->low, row->high, verdict_of(row));
        (void)printf("\n");
    }
    (void)printf("%-15s%11.3f %%%11.3f %%\n", "failed", comparison->failed_before * 100,
                 comparison->failed_after * 100);
    (void)printf("%-15s%13u%13u\n", "runs", comparison->runs_before, comparison->runs_after);
    if (comparison->runs_before < 2 || comparison->runs_after < 2)
        (void)printf("\nwith one run on a side it is not known whether the ratios are chance\n");
    if (comparison->differences[0])
        (void)printf("\nthe loads are not the same: %s\n", comparison->differences);
}

static void print_ratio(const char *name, double value)
{
    if (value > 0)
        (void)printf(", \"%s\": %.6f", name, value);
    else
        (void)printf(", \"%s\": null", name);
}

void load_print_comparison_json(const struct weft_load_comparison *comparison)
{
    (void)printf("{\"runs_before\": %u, \"runs_after\": %u, \"failed_before\": %.9f, "
                 "\"failed_after\": %.9f,\n \"differences\": ",
                 comparison->runs_before, comparison->runs_after, comparison->failed_before,
                 comparison->failed_after);
    print_json_string(comparison->differences);
    (void)printf(",\n \"rows\": [");
    for (size_t i = 0; i < comparison->rows_count; i++) {
        const struct weft_load_comparison_row *row = &comparison->rows[i];
        double unit = row->is_rate ? 1 : 1e6;
        (void)printf("%s{\"name\": \"%s\", \"unit\": \"%s\", \"before\": %.6f, \"after\": %.6f, "
                     "\"ratio\": %.6f",
                     i > 0 ? ",\n  " : "", row->name, row->is_rate ? "1/s" : "ms",
                     row->before / unit, row->after / unit, row->ratio);
        print_ratio("low", row->low);
        print_ratio("high", row->high);
        (void)printf(", \"verdict\": \"%s\"}", verdict_of(row));
    }
    (void)printf("]}\n");
}
