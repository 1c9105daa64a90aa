/* SPDX-License-Identifier: MIT
 * load_json.c - a load's result as JSON, and in HdrHistogram's formats. docs/load.md lists the
 * members; names that are there stay. */
#include <base/buffer.h>
#include <lab/load_result.h>
#include <obs/histogram_hdr.h>

#include <string.h>

#define SCHEMA   1
#define TEXT_MAX ((size_t)1 << 30)

/* ---- members --------------------------------------------------------------------------- */

/* A name behind a comma, unless it is the first of its object. */
static void name(struct weft_buffer *out, const char *text)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        weft_buffer_append_string(out, ", ");
    weft_buffer_append_char(out, '"');
    weft_buffer_append_string(out, text);
    weft_buffer_append_string(out, "\": ");
}

static void put_count(struct weft_buffer *out, const char *text, uint64_t value)
{
    name(out, text);
    weft_buffer_append_format(out, "%llu", (unsigned long long)value);
}

static void put_string(struct weft_buffer *out, const char *text, const char *value)
{
    name(out, text);
    weft_buffer_append_json_string(out, value, strlen(value));
}

static void put_number(struct weft_buffer *out, const char *text, double value)
{
    name(out, text);
    weft_buffer_append_json_double(out, value);
}

static void put_flag(struct weft_buffer *out, const char *text, bool value)
{
    name(out, text);
    weft_buffer_append_string(out, value ? "true" : "false");
}

/* Exact: nanoseconds as milliseconds, or with 9 digits as seconds. */
static void put_ms(struct weft_buffer *out, const char *text, int64_t value_ns)
{
    name(out, text);
    weft_buffer_append_format(out, "%lld.%06lld", (long long)(value_ns / 1000000),
                              (long long)(value_ns % 1000000));
}

static void put_seconds(struct weft_buffer *out, const char *text, int64_t value_ns)
{
    name(out, text);
    weft_buffer_append_format(out, "%lld.%09lld", (long long)(value_ns / 1000000000),
                              (long long)(value_ns % 1000000000));
}

static void begin(struct weft_buffer *out, const char *text, char bracket)
{
    name(out, text);
    weft_buffer_append_char(out, bracket);
}

static void put_latency(struct weft_buffer *out, const char *text,
                        const struct weft_load_latency *latency)
{
    if (latency->count == 0) {
        name(out, text);
        weft_buffer_append_string(out, "null");
        return;
    }
    begin(out, text, '{');
    put_ms(out, "min", latency->min_ns);
    put_ms(out, "mean", latency->mean_ns);
    put_ms(out, "p50", latency->p50_ns);
    put_ms(out, "p75", latency->p75_ns);
    put_ms(out, "p90", latency->p90_ns);
    put_ms(out, "p95", latency->p95_ns);
    put_ms(out, "p99", latency->p99_ns);
    put_ms(out, "p99.9", latency->p999_ns);
    put_ms(out, "max", latency->max_ns);
    weft_buffer_append_char(out, '}');
}

static void put_errors(struct weft_buffer *out, const struct weft_load_counts *counts)
{
    static const struct {
        const char *name;
        enum weft_load_error error;
    } names[] = {
        {"connect", WEFT_LOAD_CONNECT}, {"timeout", WEFT_LOAD_TIMEOUT},
        {"reset", WEFT_LOAD_RESET},     {"protocol", WEFT_LOAD_PROTOCOL},
        {"status", WEFT_LOAD_STATUS},
    };
    begin(out, "errors", '{');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        put_count(out, names[i].name, counts->errors[names[i].error]);
    weft_buffer_append_char(out, '}');
}

static void put_status(struct weft_buffer *out, const struct weft_load_counts *counts)
{
    static const char *const names[] = {"invalid", "1xx", "2xx", "3xx", "4xx", "5xx"};
    begin(out, "status", '{');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        put_count(out, names[i], counts->status[i]);
    weft_buffer_append_char(out, '}');
}

/* What every row has. */
static void put_counts(struct weft_buffer *out, const struct weft_load_counts *counts)
{
    put_count(out, "requests", counts->requests);
    put_count(out, "succeeded", counts->succeeded);
    put_count(out, "failed", counts->failed);
    put_errors(out, counts);
    put_status(out, counts);
    put_latency(out, "latency_ms", &counts->latency);
    put_latency(out, "sent_latency_ms", &counts->sent);
}

/* ---- rows ------------------------------------------------------------------------------ */

static void put_step(struct weft_buffer *out, const struct weft_load_result *result,
                     const struct weft_load_step_row *row)
{
    weft_buffer_append_char(out, '{');
    put_seconds(out, "begin_s", row->begin_ns);
    put_seconds(out, "length_s", row->length_ns);
    if (result->open_loop) {
        put_number(out, "from_per_s", row->step.from_per_s);
        put_number(out, "to_per_s", row->step.to_per_s);
        put_number(out, "intended_per_s", row->intended_per_s);
        put_count(out, "intended", row->intended);
        put_count(out, "not_started", row->not_started);
    }
    put_number(out, "succeeded_per_s", row->succeeded_per_s);
    put_counts(out, &row->counts);
    weft_buffer_append_char(out, '}');
}

static void put_steps(struct weft_buffer *out, const struct weft_load_result *result)
{
    begin(out, "steps", '[');
    for (size_t i = 0; i < result->steps_count; i++) {
        weft_buffer_append_string(out, i > 0 ? ",\n  " : "");
        put_step(out, result, &result->steps[i]);
    }
    weft_buffer_append_char(out, ']');
}

static void put_urls(struct weft_buffer *out, const struct weft_load_result *result)
{
    begin(out, "urls", '[');
    for (size_t i = 0; i < result->urls_count; i++) {
        const struct weft_load_url_row *row = &result->urls[i];
        weft_buffer_append_string(out, i > 0 ? ",\n  {" : "{");
        put_string(out, "url", row->url);
        put_string(out, "method", row->method);
        put_count(out, "weight", row->weight);
        put_counts(out, &row->counts);
        weft_buffer_append_char(out, '}');
    }
    weft_buffer_append_char(out, ']');
}

static void put_time_series(struct weft_buffer *out, const struct weft_load_result *result)
{
    begin(out, "seconds", '[');
    for (size_t i = 0; i < result->seconds_count; i++) {
        const struct weft_load_second *row = &result->seconds[i];
        weft_buffer_append_string(out, i > 0 ? ",\n  {" : "{");
        put_seconds(out, "begin_s", row->begin_ns);
        put_seconds(out, "length_s", row->length_ns);
        put_flag(out, "warmup", row->warmup);
        put_count(out, "requests", row->requests);
        put_count(out, "succeeded", row->succeeded);
        put_count(out, "failed", row->failed);
        put_ms(out, "p50_ms", row->p50_ns);
        put_ms(out, "p99_ms", row->p99_ns);
        put_ms(out, "max_ms", row->max_ns);
        put_count(out, "connected", row->connected);
        weft_buffer_append_char(out, '}');
    }
    weft_buffer_append_char(out, ']');
}

static void put_histogram(struct weft_buffer *out, const char *text,
                          const struct weft_histogram *histogram)
{
    begin(out, text, '"');
    weft_hdr_append(out, histogram);
    weft_buffer_append_char(out, '"');
}

/* ---- all of it ------------------------------------------------------------------------- */

static void put_settings(struct weft_buffer *out, const struct weft_load_result *result)
{
    put_count(out, "schema", SCHEMA);
    put_string(out, "url", result->data->url);
    put_string(out, "method", result->method);
    put_count(out, "connections", result->connections);
    put_count(out, "pipeline", result->pipeline);
    put_count(out, "workers", result->workers);
    put_string(out, "loop", result->open_loop ? "open" : "closed");
    name(out, "rate_per_s"); /* of a constant rate */
    const struct weft_load_step *step = &result->steps[0].step;
    if (result->open_loop && result->steps_count == 1 && !(step->from_per_s < step->to_per_s) &&
        !(step->from_per_s > step->to_per_s))
        weft_buffer_append_json_double(out, step->from_per_s);
    else
        weft_buffer_append_string(out, "null");
    put_seconds(out, "warmup_s", result->warmup_ns);
    name(out, "started");
    weft_buffer_append_char(out, '"');
    weft_buffer_append_time(out, result->started_us);
    weft_buffer_append_char(out, '"');
    put_flag(out, "stopped", result->stopped);
    put_seconds(out, "elapsed_s", result->elapsed_ns);
}

/* Hand the text over. */
static int finish(struct weft_buffer *out, char **ret_text)
{
    weft_buffer_append_char(out, '\0');
    if (out->err) {
        int err = out->err;
        weft_buffer_deinit(out);
        return err;
    }
    *ret_text = out->data;
    return 0;
}

int weft_load_json(const struct weft_load_result *result, char **ret_text)
{
    struct weft_buffer buffer, *out = &buffer;
    weft_buffer_init(out, TEXT_MAX);
    weft_buffer_append_char(out, '{');
    put_settings(out, result);
    put_number(out, "requests_per_s", result->requests_per_s);
    if (result->open_loop)
        put_number(out, "intended_per_s", result->intended_per_s);
    put_count(out, "not_started", result->not_started);
    put_count(out, "resent", result->resent);
    put_count(out, "connects", result->connects);
    put_counts(out, &result->total);
    put_count(out, "bytes_read", result->bytes_read);
    put_count(out, "bytes_written", result->bytes_written);
    weft_buffer_append_string(out, ",\n \"warmup\": ");
    if (result->warmup)
        put_step(out, result, result->warmup);
    else
        weft_buffer_append_string(out, "null");
    put_steps(out, result);
    put_urls(out, result);
    put_time_series(out, result);
    begin(out, "histograms", '{');
    put_histogram(out, "latency", result->data->total.latency);
    put_histogram(out, "sent", result->data->total.sent);
    weft_buffer_append_string(out, "}}\n");
    return finish(out, ret_text);
}

int weft_load_hgrm(const struct weft_load_result *result, char **ret_text)
{
    struct weft_buffer out;
    weft_buffer_init(&out, TEXT_MAX);
    weft_hgrm_append(&out, result->data->total.latency);
    return finish(&out, ret_text);
}

static void append_log_line(struct weft_buffer *out, const struct weft_load_result *result,
                            size_t part, bool sent)
{
    const struct weft_load_step_row *row = &result->data->rows[part];
    const struct weft_load_tally *tally = &result->data->parts[part];
    const struct weft_histogram *histogram = sent ? tally->sent : tally->latency;
    weft_buffer_append_format(out, "Tag=%s%s,%.3f,%.3f,%.3f,", part == 0 ? "warmup-" : "",
                              sent ? "sent" : "intended", (double)row->begin_ns / 1e9,
                              (double)row->length_ns / 1e9,
                              (double)weft_histogram_max(histogram) / 1e6);
    weft_hdr_append(out, histogram);
    weft_buffer_append_char(out, '\n');
}

int weft_load_hdr_log(const struct weft_load_result *result, char **ret_text)
{
    struct weft_buffer out;
    double started_s = (double)result->started_us / 1e6;
    weft_buffer_init(&out, TEXT_MAX);
    weft_buffer_append_string(&out, "#[Logged with weft " WEFT_VERSION ", values in ns]\n"
                                    "#[Histogram log format version 1.3]\n");
    weft_buffer_append_format(&out, "#[StartTime: %.3f (seconds since epoch), ", started_s);
    weft_buffer_append_time(&out, result->started_us);
    weft_buffer_append_string(&out, "]\n");
    weft_buffer_append_format(&out, "#[BaseTime: %.3f (seconds since epoch)]\n", started_s);
    weft_buffer_append_string(&out, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
                                    "\"Interval_Compressed_Histogram\"\n");
    for (size_t i = result->warmup ? 0 : 1; i < result->data->parts_count; i++) {
        append_log_line(&out, result, i, false);
        append_log_line(&out, result, i, true);
    }
    return finish(&out, ret_text);
}
