/* 28_sink.c - results on their way to storage: a file of JSON lines and a database at once, batches
 * by size and age, and a second run that leaves out what the first one has done.
 *
 * Run it:  build/release/examples/example-28_sink */
#include <weft/weft.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REQUESTS 10

/* Put the result of each request that has none in the database yet; stop after so many. */
static int put_missing(struct weft_sink *sink, struct weft_resume *resume, int count)
{
    int err = 0, put = 0;
    for (int i = 0; i < REQUESTS && put < count && err == 0; i++) {
        char url[64];
        unsigned char done = 0;
        struct weft_fingerprint request;
        (void)snprintf(url, sizeof url, "http://127.0.0.1/items/%d", i);
        err = weft_fingerprint(&request, "GET", url, NULL, 0, NULL);
        if (err == 0 && weft_resume_take(resume, &request, 1, &done) == 0) {
            const struct weft_fetch_result result = {
                .url = url, .status_code = 200, .latency_ns = 5 * WEFT_MSEC, .attempt = 1};
            err = weft_sink_put(sink, &result, WEFT_FOREVER); /* waits when the disk is slow */
            put++;
        }
    }
    return err;
}

static int run(void *arg)
{
    const int *count = arg;
    const struct weft_sink_output outputs[] = {
        {.path = "out.jsonl", .existing = WEFT_SINK_APPEND},
        {.path = "out.sqlite", .existing = WEFT_SINK_APPEND},
    };
    const struct weft_sink_options options = {
        .outputs = outputs, .outputs_count = 2, .batch_max = 4, .batch_age_ns = 60 * WEFT_SEC};
    struct weft_sink_metrics metrics = {0};
    struct weft_resume *resume = NULL;
    struct weft_sink *sink = NULL;
    char error[256] = "";
    int err = weft_sink_open(&sink, &options, error, sizeof error);
    if (err == 0)
        err = weft_resume_open(&resume, &(struct weft_resume_options){.path = "out.sqlite"}, error,
                               sizeof error);
    if (err == 0)
        printf("%d results are there already\n", (int)weft_resume_found(resume));
    if (err == 0)
        err = put_missing(sink, resume, *count);
    if (err == 0)
        err = weft_sink_finish(sink, WEFT_FOREVER); /* 0: they are on disk */
    if (err == 0 && weft_sink_snapshot(sink, &metrics) == 0)
        printf("%d more in %d batches, %d lost\n", (int)metrics.items_processed,
               (int)metrics.batches_processed, (int)metrics.dropped_items);
    else
        printf("%s%s\n", error, sink ? weft_sink_error(sink) : "");
    weft_resume_close(resume);
    weft_sink_close(sink);
    return err;
}

int main(void)
{
    char directory[] = "/tmp/weft-XXXXXX";
    int few = 6, all = REQUESTS;
    int failed = !mkdtemp(directory) || chdir(directory) < 0 || weft_run(NULL, run, &few) < 0 ||
                 weft_run(NULL, run, &all) < 0;
    return failed || unlink("out.jsonl") < 0 || unlink("out.sqlite") < 0 ||
           unlink("out.sqlite-lock") < 0 || rmdir(directory) < 0;
}
