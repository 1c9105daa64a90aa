/* 10_timeout_test.c - test a timeout of 30 s without waiting for it: the virtual clock jumps to the
 * next timer whenever every fiber waits. Seeds shuffle the fibers, each the same way every time.
 *
 * Run it:  build/release/examples/example-10_timeout_test */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>

struct inquiry {
    int64_t delay_ns;            /* how long the other side takes */
    int64_t took_ns;             /* how long we waited for it */
    struct weft_channel replies; /* of int */
};

static int reply(void *arg)
{
    struct inquiry *inquiry = arg;
    int value = 42, err = weft_sleep(inquiry->delay_ns);
    return err < 0 ? err : weft_send(&inquiry->replies, &value, WEFT_NOWAIT);
}

/* What is to be tested, ordinary code: the reply, or -ETIMEDOUT after 30 s. */
static int await_reply(struct weft_channel *replies)
{
    int value, err = weft_receive(replies, &value, weft_now() + 30 * WEFT_SEC);
    return err < 0 ? err : value;
}

static int inquire(void *arg)
{
    struct inquiry *inquiry = arg;
    struct weft_group group;
    int64_t started_at_ns = weft_now();
    int result = weft_channel_init(&inquiry->replies, sizeof(int), 1);
    if (result < 0)
        return result;
    weft_group_init(&group, NULL);
    weft_spawn(&group, reply, inquiry);
    result = await_reply(&inquiry->replies);
    weft_group_close(&group);
    weft_channel_deinit(&inquiry->replies);
    inquiry->took_ns = weft_now() - started_at_ns;
    return result;
}

static int check(int64_t delay_ns, int expected, int64_t expected_ns)
{
    int failures = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct weft_run_options options = {.clock = WEFT_CLOCK_VIRTUAL, .seed = seed};
        struct inquiry inquiry = {.delay_ns = delay_ns};
        int result = weft_run(&options, inquire, &inquiry);
        if (result == expected && inquiry.took_ns == expected_ns)
            continue;
        printf("not ok with seed %d: %d\n", (int)seed, result);
        failures++;
    }
    return failures;
}

int main(void)
{
    int64_t started_at_ns = weft_now(); /* outside a runtime this is the real clock */
    int failures = check(10 * WEFT_SEC, 42, 10 * WEFT_SEC);
    failures += check(31 * WEFT_SEC, -ETIMEDOUT, 30 * WEFT_SEC);
    int64_t took_ns = weft_now() - started_at_ns;
    printf("4000 s of waiting, %d failures, %s\n", failures,
           took_ns < 20 * WEFT_SEC ? "in no time" : "slowly");
    return failures > 0;
}
