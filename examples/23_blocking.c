/* 23_blocking.c - code that blocks or computes, beside fibers: it runs on threads, two at a time,
 * and what has to be tidied up afterwards is not cut short.
 *
 * Run it:  build/release/examples/example-23_blocking */
#include <weft/weft.h>

#include <stdio.h>

struct sum {
    long up_to;
    long long result;
};

/* Plain C: no fiber, no weft call. */
static int add_squares(void *arg)
{
    struct sum *sum = arg;
    for (long i = 1; i <= sum->up_to; i++)
        sum->result += (long long)i * i;
    return 0;
}

static struct weft_semaphore places;

static int calculate(void *sum)
{
    int err = weft_semaphore_acquire(&places, 1, WEFT_FOREVER);
    if (err < 0)
        return err;
    err = weft_offload(add_squares, sum); /* other fibers go on meanwhile */
    weft_semaphore_release(&places, 1);
    return err;
}

static int write_down(void *arg)
{
    (void)arg;
    int err = weft_sleep(20 * WEFT_MSEC); /* longer than the time that is left */
    printf("written down: %s\n", weft_strerror(err));
    return err;
}

static int wait_and_tidy_up(void *arg)
{
    int err = weft_sleep(WEFT_SEC);
    (void)weft_shield(write_down, arg);
    return err;
}

static int start(void *arg)
{
    struct sum sums[4] = {{.up_to = 10}, {.up_to = 1000}, {.up_to = 100000}, {.up_to = 1000000}};
    struct weft_group group;
    (void)arg;
    weft_semaphore_init(&places, 2, WEFT_AUTO);
    weft_group_init(&group, NULL);
    for (int i = 0; i < 4; i++)
        weft_spawn(&group, calculate, &sums[i]);
    int err = weft_group_wait(&group);
    for (int i = 0; i < 4; i++)
        printf("squares up to %7ld: %lld\n", sums[i].up_to, sums[i].result);
    printf("in time: %s\n", weft_strerror(weft_timeout(10 * WEFT_MSEC, wait_and_tidy_up, NULL)));
    return err;
}

int main(void)
{
    return weft_run(NULL, start, NULL) < 0;
}
