/* SPDX-License-Identifier: MIT
 * measure_pages.c - how long pages of jobs and statistics take, on a database made by weft-fill.
 *
 *     weft-pages PATH [PAGES]
 *
 * Goes through at most PAGES pages (200) of 50 jobs for each filter. No server may run. */
#include <broker/sqlite.h>
#include <weft/runtime.h>

#include <stdio.h>
#include <stdlib.h>

struct measurement {
    const char *path;
    long pages_max;
};

static const struct {
    const char *name;
    struct weft_job_filter filter;
} filters[] = {
    {"all", {0}},
    {"all, 1000 a page", {.jobs_max = 1000}},
    {"in a large queue", {.queue = "default"}},
    {"in a queue with few", {.queue = "reports"}},
    {"in a queue with hardly any", {.queue = "rare"}},
    {"of a task that queue has none of", {.queue = "rare", .task = "send"}},
    {"available", {.state = WEFT_JOB_AVAILABLE}},
    {"running, of which there are none", {.state = WEFT_JOB_RUNNING}},
    {"completed", {.state = WEFT_JOB_COMPLETED}},
    {"completed, hardly any", {.state = WEFT_JOB_COMPLETED, .queue = "rare"}},
    {"dead", {.state = WEFT_JOB_DEAD}},
    {"dead, 1000 a page", {.state = WEFT_JOB_DEAD, .jobs_max = 1000}},
    {"cancelled, hardly any", {.state = WEFT_JOB_CANCELLED, .queue = "rare"}},
};

static void check(int err, const char *what)
{
    if (err) {
        (void)fprintf(stderr, "weft-pages: %s: %s\n", what, weft_strerror(err));
        exit(1);
    }
}

static void measure_pages(struct weft_broker *broker, const char *name,
                          struct weft_job_filter filter, long pages_max)
{
    static struct weft_job *jobs[1000];
    struct weft_job_page page = {.jobs = jobs};
    size_t count = 0;
    long pages = 0;
    int64_t longest_ns = 0, sum_ns = 0;
    if (!filter.jobs_max)
        filter.jobs_max = 50;
    do {
        int64_t start_ns = weft_now();
        check(broker->ops->list(broker, &filter, &page), "list");
        int64_t took_ns = weft_now() - start_ns;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
        sum_ns += took_ns;
        count += page.count;
        pages++;
        while (page.count > 0)
            weft_job_free(page.jobs[--page.count]);
        filter.before = page.next;
    } while (page.more && pages < pages_max);
    printf("%-34s %5ld pages %7zu jobs  mean %7.3f ms  longest %7.3f ms%s\n", name, pages, count,
           (double)sum_ns / 1e6 / (double)pages, (double)longest_ns / 1e6,
           page.more ? "" : "  (all)");
}

static void measure_stats(struct weft_broker *broker)
{
    struct weft_broker_stats stats;
    struct weft_queue_info queue;
    int64_t start_ns = weft_now();
    check(broker->ops->stats(broker, &stats), "stats");
    int64_t stats_ns = weft_now();
    check(broker->ops->queue_find(broker, "default", &queue), "queue_find");
    printf("statistics %.3f ms, one queue %.3f ms; %llu completed\n",
           (double)(stats_ns - start_ns) / 1e6, (double)(weft_now() - stats_ns) / 1e6,
           (unsigned long long)stats.jobs[WEFT_JOB_COMPLETED]);
}

static int measure(void *arg)
{
    const struct measurement *measurement = arg;
    struct weft_broker *broker;
    char error[256];
    int64_t start_ns = weft_now();
    if (weft_sqlite_open(&broker, &(struct weft_sqlite_options){.path = measurement->path}, error,
                         sizeof error)) {
        (void)fprintf(stderr, "weft-pages: %s\n", error);
        exit(1);
    }
    printf("opened in %.1f ms\n", (double)(weft_now() - start_ns) / 1e6);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        measure_pages(broker, filters[i].name, filters[i].filter, measurement->pages_max);
    measure_stats(broker);
    broker->ops->close(broker);
    return 0;
}

int main(int argc, char **argv)
{
    struct measurement measurement = {.pages_max = argc > 2 ? strtol(argv[2], NULL, 10) : 200};
    if (argc < 2 || argc > 3 || measurement.pages_max < 1) {
        (void)fprintf(stderr, "usage: weft-pages PATH [PAGES]\n");
        return 2;
    }
    measurement.path = argv[1];
    return weft_run(NULL, measure, &measurement) ? 1 : 0;
}
