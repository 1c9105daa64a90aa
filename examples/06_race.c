/* 06_race.c - ask two servers, take the faster answer, wait no longer than half a second.
 *
 * Run it:  build/release/examples/example-06_race */
#include <weft/weft.h>

#include <stdio.h>

static int ask(void *latency_ns)
{
    int err = weft_sleep(*(int64_t *)latency_ns); /* -ECANCELED: another was faster, or too late */
    return err < 0 ? err : 42;
}

static int ask_both(int64_t one_ns, int64_t other_ns)
{
    struct weft_scope scope;
    struct weft_group group;
    weft_scope_enter(&scope, weft_now() + WEFT_SEC / 2, 0);
    weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_RACE});
    weft_spawn(&group, ask, &one_ns);
    weft_spawn(&group, ask, &other_ns);
    int answer = weft_group_wait(&group); /* both have ended when this returns */
    return weft_scope_leave(&scope, answer);
}

static int start(void *arg)
{
    (void)arg;
    printf("a fast server: %d\n", ask_both(3 * WEFT_SEC, WEFT_MSEC));
    printf("slow servers: %s\n", weft_strerror(ask_both(3 * WEFT_SEC, 2 * WEFT_SEC)));
    return 0;
}

int main(void)
{
    return weft_run(NULL, start, NULL) < 0;
}
