/* 22_hedge.c - a service that is late once in ten times and sometimes says when to come back: a
 * second request where the first is late, retries within a budget. The clock is virtual.
 *
 * Run it:  build/release/examples/example-22_hedge */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

static int requests_sent;
static int64_t retry_after_ns; /* what the last refusal asked for */

/* Every tenth answer takes two seconds instead of 20 ms; the 15th is: come back in 3 s. */
static int ask(void *answer)
{
    int number = ++requests_sent;
    int err = weft_sleep(number % 10 == 0 ? 2 * WEFT_SEC : 20 * WEFT_MSEC);
    if (err == 0 && number == 15) {
        weft_retry_after_parse("3", 1, 0, &retry_after_ns);
        return -EBUSY;
    }
    *(int *)answer = number;
    return err;
}

/* Who is told to come back later does not ask at once, twice. */
static int is_busy(void *answer, int result)
{
    (void)answer;
    return result == -EBUSY;
}

static int ask_twice_if_need_be(void *hedge)
{
    int answer = 0;
    int err = weft_hedge_call(hedge, ask, &answer, sizeof answer);
    return err < 0 ? err : answer;
}

static int64_t when(void *hedge, unsigned attempt, int result, int64_t planned_ns)
{
    (void)hedge, (void)attempt, (void)result;
    return weft_retry_after_delay(retry_after_ns, planned_ns, 60 * WEFT_SEC);
}

static int start(void *arg)
{
    struct weft_hedge *hedge;
    struct weft_retry_budget *budget;
    struct weft_retry_stats stats = {0};
    struct weft_hedge_snapshot hedged;
    int err = 0;
    (void)arg;
    weft_retry_budget_open(&budget, NULL);
    weft_hedge_open(&hedge,
                    &(struct weft_hedge_options){.delay_ns = 100 * WEFT_MSEC, .fatal_if = is_busy});
    const struct weft_retry_options retry = {
        .budget = budget, .budget_key = "example.org", .delay_ns = when, .stats = &stats};
    int64_t begin_ns = weft_now();
    for (int i = 0; i < 40 && err >= 0; i++)
        err = weft_retry(&retry, ask_twice_if_need_be, hedge);
    weft_hedge_snapshot(hedge, &hedged);
    printf("40 answers in %.1f s with %d requests: hedges: %d, retries: %d\n",
           (double)(weft_now() - begin_ns) / 1e9, requests_sent, (int)hedged.hedges,
           (int)stats.retries);
    weft_hedge_close(hedge);
    weft_retry_budget_close(budget);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
