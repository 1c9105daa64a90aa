/* SPDX-License-Identifier: MIT
 * gdb_target.c - a program for tests/runtime/gdb.sh to look at: two fibers wait, one runs. */
#include <weft/group.h>
#include <weft/runtime.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool dies;

void stop_here(int number); /* where gdb stops */

__attribute__((noinline)) void stop_here(int number)
{
    printf("stopped %d\n", number);
    if (dies)
        abort();
}

__attribute__((noinline)) static int nap(int64_t duration_ns)
{
    int err = weft_sleep(duration_ns);
    return err < 0 ? err : 0;
}

static int sleep_long(void *arg)
{
    return nap(*(int64_t *)arg);
}

static int stop(void *arg)
{
    stop_here(*(int *)arg);
    return weft_yield();
}

static int spawn_both(void *arg)
{
    struct weft_group group;
    int number = 7;
    int64_t duration_ns = 5 * WEFT_SEC;
    (void)arg;
    weft_group_init(&group, NULL);
    weft_spawn_with(&group, sleep_long, &duration_ns,
                    &(struct weft_spawn_options){.name = "sleeper"});
    weft_spawn_with(&group, stop, &number, &(struct weft_spawn_options){.name = "stopper"});
    weft_spawn_with(&group, sleep_long, &duration_ns,
                    &(struct weft_spawn_options){.name = "not begun"});
    return weft_group_wait(&group);
}

int main(int argc, char **argv)
{
    (void)argv;
    dies = argc > 1;
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, spawn_both, NULL);
}
