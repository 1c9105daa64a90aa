/* SPDX-License-Identifier: MIT
 * fetch_print.c - see fetch_print.h. */
#include "fetch_print.h"

#include "print.h"

#include <inttypes.h>

static const char *pooling_name(enum weft_fetch_pooling pooling)
{
    return pooling == WEFT_FETCH_NAIVE ? "naive" : "optimized";
}

/* ---- for people --------------------------------------------------------------------------- */

static void print_latency(FILE *stream, const char *name, const struct weft_fetch_latency *latency)
{
    const struct {
        const char *name;
        int64_t value_ns;
    } values[] = {
        {"min", latency->min_ns}, {"mean", latency->mean_ns}, {"p50", latency->p50_ns},
        {"p90", latency->p90_ns}, {"p95", latency->p95_ns},   {"p99", latency->p99_ns},
        {"max", latency->max_ns},
    };
    char text[FIGURE_BYTES];
    if (latency->count == 0)
        return;
    (void)fprintf(stream, "%-10s", name);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        (void)fprintf(stream, "  %s %s", values[i].name, format_duration(text, values[i].value_ns));
    (void)fprintf(stream, "\n");
}

static void print_phases(FILE *stream, const struct weft_http_times *phases)
{
    const struct {
        const char *name;
        int64_t value_ns;
    } values[] = {
        {"name", phases->name_ns},
        {"connect", phases->connect_ns},
        {"tls", phases->tls_ns},
        {"first byte", phases->first_byte_ns},
    };
    char text[FIGURE_BYTES];
    (void)fprintf(stream, "phases    ");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (values[i].value_ns > 0)
            (void)fprintf(stream, "  %s %s", values[i].name,
                          format_duration(text, values[i].value_ns));
    }
    (void)fprintf(stream, "  (means)\n");
}

static void print_errors(FILE *stream, const struct weft_fetch_summary *summary)
{
    for (unsigned i = 0; i < summary->classes_len; i++)
        (void)fprintf(stream, "%s %" PRIu64 " %s", i ? "," : "          ",
                      summary->classes[i].count, summary->classes[i].name);
    if (summary->classes_len > 0)
        (void)fprintf(stream, "\n");
}

static void print_rules(FILE *stream, const struct weft_fetcher_stats *stats)
{
    (void)fprintf(stream, "attempts    %" PRIu64, stats->attempts);
    if (stats->retries > 0)
        (void)fprintf(stream, ", %" PRIu64 " of them retries", stats->retries);
    if (stats->retries_refused > 0)
        (void)fprintf(stream, ", %" PRIu64 " refused by the budget", stats->retries_refused);
    if (stats->redirects > 0)
        (void)fprintf(stream, ", %" PRIu64 " redirects", stats->redirects);
    if (stats->pauses > 0)
        (void)fprintf(stream, ", %" PRIu64 " pauses asked for", stats->pauses);
    if (stats->breaker_opened > 0)
        (void)fprintf(stream, ", breakers opened %" PRIu64 " times and refused %" PRIu64,
                      stats->breaker_opened, stats->breaker_refused);
    (void)fprintf(stream, "\n");
}

void fetch_print_table(FILE *stream, const struct weft_fetch_summary *summary)
{
    const struct weft_fetcher_stats *stats = &summary->stats;
    char text[FIGURE_BYTES], more[FIGURE_BYTES];
    (void)fprintf(stream, "requests    %" PRIu64 " in %s, %.1f/s (%s, %u at once, %s)\n",
                  summary->total_requests, format_duration(text, summary->total_duration_ns),
                  summary->requests_per_second, weft_fetch_engine_name(summary->engine),
                  summary->concurrency, pooling_name(summary->pooling));
    if (summary->skipped > 0 || summary->cancelled > 0)
        (void)fprintf(stream, "left out    %" PRIu64 " done before, %" PRIu64 " not finished\n",
                      summary->skipped, summary->cancelled);
    (void)fprintf(stream, "successful  %" PRIu64 ", failed %" PRIu64 "\n", summary->successful,
                  summary->failed);
    print_errors(stream, summary);
    print_rules(stream, stats);
    print_latency(stream, "latency", &summary->latency);
    print_latency(stream, "failures", &summary->failures);
    print_latency(stream, "queue", &summary->queue);
    print_phases(stream, &summary->phases);
    (void)fprintf(stream, "connections %" PRIu64 " made, reused %" PRIu64 " times, %u hosts\n",
                  stats->connections, stats->reused, stats->hosts_now);
    if (summary->ceiling_per_second > 0)
        (void)fprintf(stream,
                      "ceiling     %.1f/s: %u places / mean latency; %.0f %% of it reached\n",
                      summary->ceiling_per_second, summary->ceiling_places,
                      100 * summary->requests_per_second / summary->ceiling_per_second);
    (void)fprintf(stream, "traffic     %s received, %s of them bodies; memory at most %.1f MB\n",
                  format_bytes(text, summary->bytes_received),
                  format_bytes(more, summary->body_bytes), summary->peak_memory_mb);
}

static const char *format_left(char text[FIGURE_BYTES], int64_t left_ns)
{
    int64_t seconds = left_ns / WEFT_SEC;
    if (left_ns < 0 || seconds > 100 * 3600)
        return "?";
    if (seconds >= 3600)
        (void)snprintf(text, FIGURE_BYTES, "%" PRId64 " h %02" PRId64 " min", seconds / 3600,
                       seconds / 60 % 60);
    else if (seconds >= 60)
        (void)snprintf(text, FIGURE_BYTES, "%" PRId64 " min %02" PRId64 " s", seconds / 60,
                       seconds % 60);
    else
        (void)snprintf(text, FIGURE_BYTES, "%" PRId64 " s", seconds);
    return text;
}

void fetch_print_progress(FILE *stream, const struct weft_fetch_progress *progress)
{
    char text[FIGURE_BYTES];
    (void)fprintf(stream, "\r%" PRIu64 " done, %.0f/s, %" PRIu64 " failed", progress->done,
                  progress->per_second, progress->failed);
    if (progress->skipped > 0)
        (void)fprintf(stream, ", %" PRIu64 " done before", progress->skipped);
    (void)fprintf(stream, ", %u running, %u waiting", progress->running, progress->waiting);
    if (progress->all > 0 || progress->all_bytes > 0)
        (void)fprintf(stream, ", %s left", format_left(text, progress->left_ns));
    (void)fprintf(stream, " \033[K");
    (void)fflush(stream);
}

/* ---- for programs ------------------------------------------------------------------------- */

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void print_latency_object(FILE *stream, const char *name,
                                 const struct weft_fetch_latency *latency)
{
    (void)fprintf(stream,
                  " \"%s\": {\"count\": %" PRIu64 ", \"min\": %.6f, \"avg\": %.6f, \"p50\": %.6f, "
                  "\"p90\": %.6f, \"p95\": %.6f, \"p99\": %.6f, \"p999\": %.6f, \"max\": %.6f},\n",
                  name, latency->count, ms(latency->min_ns), ms(latency->mean_ns),
                  ms(latency->p50_ns), ms(latency->p90_ns), ms(latency->p95_ns),
                  ms(latency->p99_ns), ms(latency->p999_ns), ms(latency->max_ns));
}

static void print_stats_object(FILE *stream, const struct weft_fetcher_stats *stats)
{
    (void)fprintf(stream,
                  " \"attempts\": %" PRIu64 ", \"retries\": %" PRIu64
                  ", \"retries_refused\": %" PRIu64 ", \"redirects\": %" PRIu64
                  ", \"exchanges\": %" PRIu64 ",\n",
                  stats->attempts, stats->retries, stats->retries_refused, stats->redirects,
                  stats->exchanges);
    (void)fprintf(stream,
                  " \"breaker_opened\": %" PRIu64 ", \"breaker_refused\": %" PRIu64
                  ", \"pauses\": %" PRIu64 ",\n",
                  stats->breaker_opened, stats->breaker_refused, stats->pauses);
    (void)fprintf(stream,
                  " \"connections\": {\"made\": %" PRIu64 ", \"reused\": %" PRIu64
                  "}, \"hosts\": %u, \"hosts_dropped\": %" PRIu64 ",\n",
                  stats->connections, stats->reused, stats->hosts_now, stats->hosts_dropped);
}

/* The names of classes are ours: nothing in them needs an escape. */
static void print_classes_object(FILE *stream, const struct weft_fetch_summary *summary)
{
    (void)fprintf(stream, " \"error_breakdown\": {");
    for (unsigned i = 0; i < summary->classes_len; i++)
        (void)fprintf(stream, "%s\"%s\": %" PRIu64, i ? ", " : "", summary->classes[i].name,
                      summary->classes[i].count);
    (void)fprintf(stream, "},\n");
}

void fetch_print_json(FILE *stream, const struct weft_fetch_summary *summary)
{
    const struct weft_fetch_latency *latency = &summary->latency;
    const struct weft_http_times *phases = &summary->phases;
    (void)fprintf(stream, "{\"engine\": \"%s\", \"pooling\": \"%s\", \"concurrency\": %u,\n",
                  weft_fetch_engine_name(summary->engine), pooling_name(summary->pooling),
                  summary->concurrency);
    (void)fprintf(stream,
                  " \"total_requests\": %" PRIu64 ", \"successful\": %" PRIu64
                  ", \"failed\": %" PRIu64 ", \"skipped\": %" PRIu64 ", \"cancelled\": %" PRIu64
                  ", \"stopped\": %s,\n",
                  summary->total_requests, summary->successful, summary->failed, summary->skipped,
                  summary->cancelled, summary->stopped ? "true" : "false");
    (void)fprintf(stream, " \"total_duration_seconds\": %.9f, \"requests_per_second\": %.3f,\n",
                  (double)summary->total_duration_ns / 1e9, summary->requests_per_second);
    (void)fprintf(stream,
                  " \"p50_latency_ms\": %.6f, \"p95_latency_ms\": %.6f, \"p99_latency_ms\": %.6f, "
                  "\"avg_latency_ms\": %.6f, \"min_latency_ms\": %.6f, \"max_latency_ms\": %.6f,\n",
                  ms(latency->p50_ns), ms(latency->p95_ns), ms(latency->p99_ns),
                  ms(latency->mean_ns), ms(latency->min_ns), ms(latency->max_ns));
    (void)fprintf(stream, " \"peak_memory_mb\": %.3f,\n", summary->peak_memory_mb);
    print_classes_object(stream, summary);
    print_latency_object(stream, "latency_ms", latency);
    print_latency_object(stream, "failure_latency_ms", &summary->failures);
    print_latency_object(stream, "queue_ms", &summary->queue);
    (void)fprintf(stream,
                  " \"phases_ms\": {\"name\": %.6f, \"connect\": %.6f, \"tls\": %.6f, "
                  "\"first_byte\": %.6f},\n",
                  ms(phases->name_ns), ms(phases->connect_ns), ms(phases->tls_ns),
                  ms(phases->first_byte_ns));
    print_stats_object(stream, &summary->stats);
    (void)fprintf(stream, " \"ceiling\": {\"places\": %u, \"requests_per_second\": %.3f},\n",
                  summary->ceiling_places, summary->ceiling_per_second);
    (void)fprintf(stream,
                  " \"percentile\": \"nearest rank\", \"bytes_received\": %" PRIu64
                  ", \"body_bytes\": %" PRIu64 "}\n",
                  summary->bytes_received, summary->body_bytes);
}
