/* 19_monitor.c - a fiber that does not give way is caught in the act, by name, from outside; calls
 * are timed; and all of it goes to a page that Prometheus reads.
 *
 * Run it:  build/release/examples/example-19_monitor */
#include <weft/weft.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_int caught;

/* On the monitor's thread, while the fiber still runs. */
static void tell(void *arg, const struct weft_monitor_event *event)
{
    char *name = arg;
    if (event->kind != WEFT_MONITOR_CRITICAL || event->cause != WEFT_MONITOR_STALL)
        return;
    snprintf(name, WEFT_NAME_MAX + 1, "%s", event->fiber ? event->fiber : "?");
    atomic_store(&caught, 1);
}

/* Computes for as long as nobody notices: without a monitor, for ever. */
static int hog(void *arg)
{
    while (!atomic_load(&caught))
        ;
    return weft_timing_record(arg, 1, 0);
}

static int nap(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_MSEC);
}

/* The lines of a page that begin with this. */
static void show(struct weft_metrics *page, const char *beginning)
{
    const char *line = "";
    size_t len;
    for (weft_metrics_text(page, &line, &len); *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, beginning, strlen(beginning)) == 0)
            printf("%.*s\n", (int)strcspn(line, "\n"), line);
    }
}

static int serve(void *arg)
{
    char name[WEFT_NAME_MAX + 1] = "";
    const struct weft_monitor_options options = {
        .warning_ns = 10 * WEFT_MSEC, .on_event = tell, .on_event_arg = name};
    struct weft_monitor *monitor;
    struct weft_timing *timing;
    struct weft_metrics *page;
    struct weft_group group;
    (void)arg;
    if (weft_monitor_open(&monitor, &options) < 0 || weft_timing_open(&timing, NULL) < 0 ||
        weft_metrics_open(&page, NULL) < 0)
        return 1;
    weft_timed(timing, nap, NULL);
    weft_group_init(&group, NULL);
    weft_spawn_with(&group, hog, timing, &(struct weft_spawn_options){.name = "greedy"});
    weft_group_wait(&group);
    printf("caught: %s\n", name);
    weft_metrics_add_runtime(page, NULL);
    weft_metrics_add_timing(page, timing);
    show(page, "weft_fibers_spawned_total");
    show(page, "weft_call_seconds_count");
    weft_metrics_close(page);
    weft_timing_close(timing);
    weft_monitor_close(monitor);
    return 0;
}

int main(void)
{
    return weft_run(NULL, serve, NULL);
}
