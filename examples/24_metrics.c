/* 24_metrics.c - the numbers of a breaker and a limiter on a page for Prometheus, and a word when
 * the breaker changes. The clock is virtual.
 *
 * Run it:  build/release/examples/example-24_metrics */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void tell(void *arg, const struct weft_breaker_event *event)
{
    (void)arg;
    printf("%s: %s, so it is %s now\n\n", event->name, weft_breaker_event_name(event->kind),
           weft_breaker_state_name(event->to));
}

static int query(void *number)
{
    int err = weft_sleep(10 * WEFT_MSEC);
    return err < 0 ? err : *(int *)number < 5 ? 0 : -ECONNRESET;
}

/* One collector per pattern; each takes the snapshot of one object and what it is called. */
static int collect(struct weft_metrics *page, struct weft_breaker *breaker,
                   struct weft_limiter *limiter)
{
    struct weft_breaker_snapshot breaker_now;
    struct weft_limiter_snapshot limiter_now;
    weft_breaker_snapshot(breaker, &breaker_now);
    weft_limiter_snapshot(limiter, &limiter_now);
    int err = weft_metrics_add_breaker(page, "database", &breaker_now);
    return err < 0 ? err : weft_metrics_add_limiter(page, "database", &limiter_now);
}

static int start(void *arg)
{
    struct weft_breaker *breaker;
    struct weft_limiter *limiter;
    struct weft_metrics *page;
    const char *text = "";
    size_t len;
    (void)arg;
    weft_breaker_open(&breaker, &(struct weft_breaker_options){.name = "database",
                                                               .consecutive_failures_max = 3,
                                                               .on_event = tell});
    weft_limiter_open(&limiter, &(struct weft_limiter_options){.rate = {.count = 50, .burst = 1}});
    for (int i = 0; i < 10; i++) {
        weft_limiter_acquire(limiter, 1, WEFT_FOREVER);
        (void)weft_breaker_call(breaker, query, &i);
    }
    weft_metrics_open(&page, NULL);
    int err = collect(page, breaker, limiter);
    if (err == 0)
        err = weft_metrics_text(page, &text, &len);
    for (const char *line = text; err == 0 && *line; line = strchr(line, '\n') + 1) {
        if (*line != '#') /* HELP and TYPE */
            printf("%.*s\n", (int)strcspn(line, "\n"), line);
    }
    weft_metrics_close(page);
    weft_limiter_close(limiter);
    weft_breaker_close(breaker);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
