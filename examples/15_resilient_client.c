/* 15_resilient_client.c - a client of a service that hangs once and is down for a while: what it
 * does about that is stacked once, and holds for every call. The clock is virtual.
 *
 * Run it:  build/release/examples/example-15_resilient_client */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

struct request {
    int user, attempts, answer;
};

/* The service: hangs in the third call, and is down from the fifth to the ninth. */
static int fetch_user(void *arg)
{
    static int calls;
    struct request *request = arg;
    request->attempts++;
    int err = weft_sleep(++calls == 3 ? 3600 * WEFT_SEC : 50 * WEFT_MSEC);
    request->answer = request->user * 100 + calls;
    return err == 0 && calls >= 5 && calls <= 9 ? -ECONNREFUSED : err;
}

/* A layer of our own: rather an old answer than none. */
static int remember(void *answers, void *arg, int (*next)(void *), void *next_arg)
{
    struct request *request = arg;
    int *known = &((int *)answers)[request->user], err = next(next_arg);
    if (err < 0)
        printf("       %s, so an old answer:\n", weft_strerror(err));
    else
        *known = request->answer;
    request->answer = *known;
    return *known > 0 ? 0 : err;
}

static int ask_all_the_time(struct weft_policy *client)
{
    int err = 0;
    for (int at_s = 15; at_s <= 150 && err == 0; at_s += 15) {
        struct request request = {.user = at_s / 15 % 2 + 1};
        (void)weft_sleep_until(at_s * WEFT_SEC);
        err = weft_policy_call(client, fetch_user, &request);
        printf("%3d s  user %d: %d after %d attempts\n", at_s, request.user, request.answer,
               request.attempts);
    }
    return err;
}

static int start(void *arg)
{
    const struct weft_retry_options retry = {.attempts_max = 3, .seed = 1};
    struct weft_limiter *limiter;
    struct weft_breaker *breaker;
    struct weft_policy *client;
    int answers[3] = {0};
    (void)arg;
    weft_limiter_open(&limiter, &(struct weft_limiter_options){.rate = {.count = 10}});
    weft_breaker_open(&breaker, &(struct weft_breaker_options){.consecutive_failures_max = 5});
    const struct weft_layer layers[] = {weft_layer_custom(remember, answers),
                                        weft_layer_timeout(10 * WEFT_SEC),
                                        weft_layer_retry(&retry),
                                        weft_layer_limit(limiter, 1),
                                        weft_layer_breaker(breaker),
                                        weft_layer_timeout(2 * WEFT_SEC)};
    weft_policy_open(&client, layers, 6, NULL);
    int err = ask_all_the_time(client);
    weft_policy_close(client);
    weft_breaker_close(breaker);
    weft_limiter_close(limiter);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
