/* SPDX-License-Identifier: MIT
 * load_tally.c - see load_tally.h. */
#include <lab/load_tally.h>

int weft_load_tally_init(struct weft_load_tally *tally)
{
    *tally = (struct weft_load_tally){0};
    int err = weft_histogram_open(&tally->latency);
    return err ? err : weft_histogram_open(&tally->sent);
}

void weft_load_tally_deinit(struct weft_load_tally *tally)
{
    weft_histogram_close(tally->latency);
    weft_histogram_close(tally->sent);
    tally->latency = tally->sent = NULL;
}

/* By class. Returns whether it is a success. */
static bool count_status(struct weft_load_tally *tally, int status)
{
    int class = status / 100;
    if (class < 1 || class > 5) {
        tally->status[0]++;
        tally->errors[WEFT_LOAD_PROTOCOL]++;
        return false;
    }
    tally->status[class]++;
    if (class >= 4)
        tally->errors[WEFT_LOAD_STATUS]++;
    return class < 4;
}

bool weft_load_tally_count(struct weft_load_tally *tally, const struct weft_load_end *end)
{
    tally->requests++;
    switch (end->outcome) {
    case WEFT_LOAD_ANSWERED:
        if (!count_status(tally, end->status))
            return false;
        tally->succeeded++;
        weft_histogram_record(tally->latency, end->latency_ns);
        weft_histogram_record(tally->sent, end->sent_ns);
        return true;
    case WEFT_LOAD_FAILED_CONNECT:
        tally->errors[WEFT_LOAD_CONNECT]++;
        break;
    case WEFT_LOAD_FAILED_TIMEOUT:
        tally->errors[WEFT_LOAD_TIMEOUT]++;
        break;
    case WEFT_LOAD_FAILED_RESET:
        tally->errors[WEFT_LOAD_RESET]++;
        break;
    case WEFT_LOAD_FAILED_PROTOCOL:
        tally->errors[WEFT_LOAD_PROTOCOL]++;
        tally->status[0]++;
        break;
    }
    return false;
}

void weft_load_tally_add(struct weft_load_tally *tally, const struct weft_load_tally *from)
{
    tally->requests += from->requests;
    tally->succeeded += from->succeeded;
    tally->in_time += from->in_time;
    for (unsigned i = 0; i < WEFT_LOAD_ERRORS; i++)
        tally->errors[i] += from->errors[i];
    for (unsigned i = 0; i < 6; i++)
        tally->status[i] += from->status[i];
    weft_histogram_merge(tally->latency, from->latency);
    weft_histogram_merge(tally->sent, from->sent);
}

struct weft_load_latency weft_load_latency_of(const struct weft_histogram *histogram)
{
    return (struct weft_load_latency){
        .count = weft_histogram_count(histogram),
        .min_ns = weft_histogram_min(histogram),
        .mean_ns = weft_histogram_mean(histogram),
        .p50_ns = weft_histogram_percentile(histogram, 500000),
        .p75_ns = weft_histogram_percentile(histogram, 750000),
        .p90_ns = weft_histogram_percentile(histogram, 900000),
        .p95_ns = weft_histogram_percentile(histogram, 950000),
        .p99_ns = weft_histogram_percentile(histogram, 990000),
        .p999_ns = weft_histogram_percentile(histogram, 999000),
        .max_ns = weft_histogram_max(histogram),
    };
}

struct weft_load_counts weft_load_tally_counts(const struct weft_load_tally *tally)
{
    struct weft_load_counts counts = {
        .requests = tally->requests,
        .succeeded = tally->succeeded,
        .latency = weft_load_latency_of(tally->latency),
        .sent = weft_load_latency_of(tally->sent),
    };
    for (unsigned i = 0; i < WEFT_LOAD_ERRORS; i++) {
        counts.errors[i] = tally->errors[i];
        counts.failed += tally->errors[i];
    }
    for (unsigned i = 0; i < 6; i++)
        counts.status[i] = tally->status[i];
    return counts;
}
