/* SPDX-License-Identifier: MIT
 * summary.c - see summary.h. */
#include <fetch/summary.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int weft_fetch_tally_init(struct weft_fetch_tally *tally)
{
    memset(tally, 0, sizeof *tally); /* too large for a stack */
    int err = weft_histogram_open(&tally->latency);
    if (err == 0)
        err = weft_histogram_open(&tally->failures);
    if (err == 0)
        err = weft_histogram_open(&tally->queue);
    return err;
}

void weft_fetch_tally_deinit(struct weft_fetch_tally *tally)
{
    weft_histogram_close(tally->latency);
    weft_histogram_close(tally->failures);
    weft_histogram_close(tally->queue);
}

static void add_phase(struct weft_fetch_phase *phase, int64_t ns)
{
    if (ns <= 0)
        return;
    phase->sum_ns += ns;
    phase->count++;
}

/* Counters are read by others meanwhile. */
static void bump(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

void weft_fetch_tally_add(struct weft_fetch_tally *tally, const struct weft_fetch_result *result,
                          int err)
{
    const struct weft_http_times *times = &result->times;
    unsigned status = (unsigned)result->status_code;
    bump(&tally->done, 1);
    weft_histogram_record(tally->queue, result->queue_ns);
    if (err < 0) {
        tally->kinds[weft_fetch_kind_of(err)]++;
        if (result->latency_ns > 0)
            weft_histogram_record(tally->failures, result->latency_ns);
        return;
    }
    if (weft_fetch_is_success(err, result->status_code))
        bump(&tally->successful, 1);
    tally->statuses[status < WEFT_FETCH_STATUSES ? status : 0]++;
    weft_histogram_record(tally->latency, result->latency_ns);
    tally->bytes_received += result->bytes_received;
    tally->body_bytes += result->body_bytes;
    add_phase(&tally->name, times->name_ns);
    add_phase(&tally->connect, times->connect_ns);
    add_phase(&tally->tls, times->tls_ns);
    add_phase(&tally->first_byte, times->first_byte_ns);
}

/* ---- adding up ---------------------------------------------------------------------------- */

static void merge_phase(struct weft_fetch_phase *phase, const struct weft_fetch_phase *from)
{
    phase->sum_ns += from->sum_ns;
    phase->count += from->count;
}

static void merge(struct weft_fetch_tally *tally, const struct weft_fetch_tally *from)
{
    weft_histogram_merge(tally->latency, from->latency);
    weft_histogram_merge(tally->failures, from->failures);
    weft_histogram_merge(tally->queue, from->queue);
    tally->done += from->done;
    tally->successful += from->successful;
    tally->cancelled += from->cancelled;
    tally->bytes_received += from->bytes_received;
    tally->body_bytes += from->body_bytes;
    merge_phase(&tally->name, &from->name);
    merge_phase(&tally->connect, &from->connect);
    merge_phase(&tally->tls, &from->tls);
    merge_phase(&tally->first_byte, &from->first_byte);
    for (unsigned i = 0; i < WEFT_FETCH_KINDS; i++)
        tally->kinds[i] += from->kinds[i];
    for (unsigned i = 0; i < WEFT_FETCH_STATUSES; i++)
        tally->statuses[i] += from->statuses[i];
}

static int64_t mean_of(const struct weft_fetch_phase *phase)
{
    return phase->count ? phase->sum_ns / (int64_t)phase->count : 0;
}

static struct weft_fetch_latency latency_of(const struct weft_histogram *histogram)
{
    return (struct weft_fetch_latency){
        .count = weft_histogram_count(histogram),
        .min_ns = weft_histogram_min(histogram),
        .mean_ns = weft_histogram_mean(histogram),
        .max_ns = weft_histogram_max(histogram),
        .p50_ns = weft_histogram_percentile(histogram, 500000),
        .p90_ns = weft_histogram_percentile(histogram, 900000),
        .p95_ns = weft_histogram_percentile(histogram, 950000),
        .p99_ns = weft_histogram_percentile(histogram, 990000),
        .p999_ns = weft_histogram_percentile(histogram, 999000),
    };
}

static void add_class(struct weft_fetch_summary *summary, const char *name, uint64_t count)
{
    if (count == 0)
        return;
    /* Insertion by count; the least of more than there is room for add up in the last place. */
    struct weft_fetch_class *classes = summary->classes, added = {.count = count};
    (void)snprintf(added.name, sizeof added.name, "%s", name);
    unsigned at = summary->classes_len;
    if (at > WEFT_FETCH_CLASSES_MAX) {
        classes[WEFT_FETCH_CLASSES_MAX].count += count;
        return;
    }
    if (at == WEFT_FETCH_CLASSES_MAX) {
        (void)snprintf(added.name, sizeof added.name, "other");
    } else {
        for (; at > 0 && classes[at - 1].count < count; at--)
            classes[at] = classes[at - 1];
    }
    classes[at] = added;
    summary->classes_len++;
}

static void list_classes(const struct weft_fetch_tally *tally, struct weft_fetch_summary *summary)
{
    for (int kind = WEFT_FETCH_OK + 1; kind < WEFT_FETCH_KINDS; kind++)
        add_class(summary, weft_fetch_kind_name((enum weft_fetch_kind)kind), tally->kinds[kind]);
    for (unsigned status = 0; status < WEFT_FETCH_STATUSES; status++) {
        char name[16];
        (void)snprintf(name, sizeof name, status ? "HTTP %u" : "HTTP odd", status);
        if (!weft_fetch_is_success(0, (int)status))
            add_class(summary, name, tally->statuses[status]);
    }
}

double weft_fetch_ceiling(const struct weft_fetcher_options *options, uint64_t hosts,
                          int64_t mean_ns, unsigned *ret_places)
{
    unsigned places = options->concurrency;
    double rate = options->rate_per_s;
    hosts = hosts > 0 ? hosts : 1;
    if (options->host_concurrency > 0 && options->host_concurrency * hosts < places)
        places = (unsigned)(options->host_concurrency * hosts);
    if (options->host_rate_per_s > 0 &&
        (rate <= 0 || options->host_rate_per_s * (double)hosts < rate))
        rate = options->host_rate_per_s * (double)hosts;
    *ret_places = places;
    double ceiling = mean_ns > 0 ? (double)places * 1e9 / (double)mean_ns : 0;
    return rate > 0 && rate < ceiling ? rate : ceiling;
}

/* The most that the process has had in memory, in bytes: VmHWM. 0: nobody knows. */
static double peak_bytes(void)
{
    char text[2048]; /* it stands in the first half of that */
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    const char *at = strstr(text, "VmHWM:");
    return at ? strtod(at + 6, NULL) * 1024 : 0;
}

void weft_fetch_sum_up(struct weft_fetch_tally *tallies, unsigned count,
                       struct weft_fetcher *fetcher, int64_t total_duration_ns,
                       struct weft_fetch_summary *ret_summary)
{
    const struct weft_fetcher_options *options = &fetcher->options;
    struct weft_fetch_tally *tally = &tallies[0];
    for (unsigned i = 1; i < count; i++)
        merge(tally, &tallies[i]);
    struct weft_fetch_summary *summary = ret_summary;
    memset(summary, 0, sizeof *summary); /* too large for a literal on a fiber's stack */
    summary->engine = options->engine;
    summary->pooling = options->pooling;
    summary->concurrency = options->concurrency;
    summary->total_requests = tally->done;
    summary->successful = tally->successful;
    summary->failed = tally->done - tally->successful;
    summary->cancelled = tally->cancelled;
    summary->total_duration_ns = total_duration_ns;
    summary->latency = latency_of(tally->latency);
    summary->failures = latency_of(tally->failures);
    summary->queue = latency_of(tally->queue);
    summary->phases = (struct weft_http_times){.name_ns = mean_of(&tally->name),
                                               .connect_ns = mean_of(&tally->connect),
                                               .tls_ns = mean_of(&tally->tls),
                                               .first_byte_ns = mean_of(&tally->first_byte)};
    summary->peak_memory_mb = peak_bytes() / 1e6;
    summary->bytes_received = tally->bytes_received;
    summary->body_bytes = tally->body_bytes;
    if (total_duration_ns > 0)
        summary->requests_per_second = (double)tally->done * 1e9 / (double)total_duration_ns;
    list_classes(tally, summary);
    weft_fetcher_stats(fetcher, &summary->stats);
    uint64_t answers = summary->latency.count, failures = summary->failures.count;
    int64_t mean_ns = 0;
    if (answers + failures > 0)
        mean_ns =
            (int64_t)((weft_histogram_sum(tally->latency) + weft_histogram_sum(tally->failures)) /
                      (answers + failures));
    summary->ceiling_per_second =
        weft_fetch_ceiling(options, summary->stats.hosts_now + summary->stats.hosts_dropped,
                           mean_ns, &summary->ceiling_places);
}
