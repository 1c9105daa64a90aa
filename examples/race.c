#include <weft/weft.h>

#include <stdio.h>

static int answer(void *arg)
{
    int err = weft_sleep(*(int64_t *)arg); /* -ECANCELED when somebody else was faster */
    return err < 0 ? err : 42;
}

static int ask_two(void *arg)
{
    int64_t slow_ns = 3 * WEFT_SEC, fast_ns = 10 * WEFT_MSEC;
    struct weft_group group;
    (void)arg;
    weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_RACE});
    weft_spawn(&group, answer, &slow_ns);
    weft_spawn(&group, answer, &fast_ns);
    return weft_group_wait(&group); /* both have ended when this returns */
}

int main(void)
{
    printf("%d\n", weft_run(NULL, ask_two, NULL));
    return 0;
}
