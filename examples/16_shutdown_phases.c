/* 16_shutdown_phases.c - end in order: first no new requests, then those that run, then the store;
 * and at the end a report. What takes too long is cut short, and the rest comes all the same.
 *
 * Run it:  build/release/examples/example-16_shutdown_phases [--serve]
 *          by itself it sends the signal; with --serve it waits for yours, and a second one is
 *          taken to mean: at once */
#include <weft/weft.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const int signals[] = {SIGTERM, SIGINT};

static int stop_accepting(void *arg)
{
    (void)arg;
    printf("accept: no new requests\n");
    return 0;
}

static int finish_requests(void *arg)
{
    int err = weft_sleep(20 * WEFT_MSEC); /* those that run are nearly done */
    (void)arg;
    printf("requests: %s\n", err < 0 ? weft_strerror(err) : "the last one is answered");
    return err;
}

static int send_metrics(void *arg)
{
    (void)arg;
    return weft_sleep(3600 * WEFT_SEC); /* the other side does not answer */
}

static int sync_store(void *arg)
{
    (void)arg;
    printf("store: on disk\n");
    return 0;
}

static void print_report(struct weft_shutdown *shutdown)
{
    struct weft_shutdown_hook hooks[8];
    unsigned len = weft_shutdown_report(shutdown, hooks, 8);
    for (unsigned i = 0; i < len; i++)
        printf("phase %d, %-8s %s\n", hooks[i].phase, hooks[i].name,
               hooks[i].result < 0 ? weft_strerror(hooks[i].result) : "done");
}

static int serve(void *send_signal)
{
    struct weft_shutdown *shutdown;
    const struct weft_shutdown_options options = {.on_signals = 1, .timeout_ns = 10 * WEFT_SEC};
    int err = weft_shutdown_open(&shutdown, &options);
    if (err < 0)
        return err;
    /* Every part of the program adds what it has to do, in any order. */
    weft_shutdown_add(shutdown, 2, "store", sync_store, NULL, 5 * WEFT_SEC);
    weft_shutdown_add(shutdown, 0, "accept", stop_accepting, NULL, WEFT_SEC);
    weft_shutdown_add(shutdown, 1, "requests", finish_requests, NULL, 5 * WEFT_SEC);
    weft_shutdown_add(shutdown, 1, "metrics", send_metrics, NULL, 100 * WEFT_MSEC);
    if (*(int *)send_signal)
        kill(getpid(), SIGTERM);
    int failed = weft_shutdown_wait(shutdown, WEFT_FOREVER); /* here a server would serve */
    print_report(shutdown);
    printf("%d hook failed\n", failed);
    weft_shutdown_close(shutdown);
    return failed < 0 ? failed : 0;
}

int main(int argc, char **argv)
{
    int send_signal = argc == 1;
    (void)argv;
    weft_signal_block(signals, 2); /* before any thread is made */
    return weft_run(NULL, serve, &send_signal) < 0;
}
