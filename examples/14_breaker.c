/* 14_breaker.c - a service fails for a while: a breaker stops asking it, a cache answers meanwhile.
 * Run it:  build/release/examples/example-14_breaker */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

static struct weft_breaker *breaker;
static int64_t started_at_ns;

static int seconds(void)
{
    return (int)((weft_now() - started_at_ns) / WEFT_SEC);
}

/* The service: from the 60th second to the 170th it is down, and does not answer within 2 s. */
static int ask(void *arg)
{
    int *price = arg, second = seconds();
    if (second >= 60 && second < 170)
        return weft_sleep(2 * WEFT_SEC) < 0 ? -ECANCELED : -ETIMEDOUT;
    *price = 100 + second;
    return (int)sizeof *price;
}

static int ask_if_it_works(void *arg)
{
    return weft_breaker_call(breaker, ask, arg);
}

static void say_change(void *arg, const struct weft_breaker_event *event)
{
    (void)arg;
    printf("%3d s  breaker: %s, %s -> %s\n", seconds(), weft_breaker_event_name(event->kind),
           weft_breaker_state_name(event->from), weft_breaker_state_name(event->to));
}

static void say_fallback(void *arg, const struct weft_fallback_event *event)
{
    (void)arg;
    printf("%3d s  %s: the last price will do\n", seconds(), weft_strerror(event->failure));
}

static int follow_price(void *arg)
{
    struct weft_cache *cache = arg;
    int price = 0;
    const struct weft_fallback_options options = {.cache = cache,
                                                  .key = "price",
                                                  .key_bytes = 5,
                                                  .value = &price,
                                                  .value_bytes = sizeof price,
                                                  .on_event = say_fallback};
    started_at_ns = weft_now();
    for (int second = 0; second <= 240; second += 30) {
        weft_sleep_until(started_at_ns + second * WEFT_SEC);
        if (weft_fallback(&options, ask_if_it_works, &price) > 0)
            printf("%3d s  price %d\n", seconds(), price);
    }
    return 0;
}

int main(void)
{
    struct weft_cache *cache = NULL;
    const struct weft_run_options virtual_time = {.clock = WEFT_CLOCK_VIRTUAL};
    const struct weft_breaker_options careful = {.consecutive_failures_max = 2,
                                                 .open_ns = 60 * WEFT_SEC,
                                                 .open_jitter = WEFT_BREAKER_NONE,
                                                 .on_event = say_change};
    int err = weft_breaker_open(&breaker, &careful);
    if (err == 0)
        err = weft_cache_open(&cache, NULL);
    if (err == 0)
        err = weft_run(&virtual_time, follow_price, cache);
    weft_cache_close(cache);
    weft_breaker_close(breaker);
    return err < 0;
}
