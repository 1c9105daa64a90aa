/* SPDX-License-Identifier: MIT
 * crowd.c - see crowd.h. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>

#include <pthread.h>

#define THREADS_MAX 16

struct member {
    const struct crowd *crowd;
    unsigned index;
};

static int run_member(void *arg)
{
    const struct member *member = arg;
    member->crowd->run(member->crowd->arg, member->index);
    return 0;
}

static void *thread_main(void *arg)
{
    (void)run_member(arg);
    return NULL;
}

static int run_crowd(void *arg)
{
    const struct crowd *crowd = arg;
    pthread_t threads[THREADS_MAX];
    struct member outside[THREADS_MAX];
    struct weft_group group;
    struct weft_runtime *runtime = weft_runtime_acquire();
    REQUIRE(weft_group_init(&group, NULL) == 0 && crowd->threads <= THREADS_MAX);
    for (unsigned i = 0; i < crowd->threads; i++) {
        outside[i] = (struct member){crowd, crowd->fibers + i};
        REQUIRE(pthread_create(&threads[i], NULL, thread_main, &outside[i]) == 0);
    }
    for (unsigned i = 0; i < crowd->fibers; i++) {
        struct member member = {crowd, i};
        const struct weft_spawn_options options = {.worker = WEFT_WORKER((int)(i % crowd->workers)),
                                                   .copy_bytes = sizeof member};
        CHECK_EQUAL(weft_spawn_with(&group, run_member, &member, &options), 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (unsigned i = 0; i < crowd->threads; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    weft_runtime_release(runtime);
    return 0;
}

void crowd_run(const struct crowd *crowd)
{
    struct crowd copy = *crowd;
    const struct weft_run_options options = {.workers = crowd->workers};
    CHECK_EQUAL(weft_run(&options, run_crowd, &copy), 0);
}

struct call {
    int (*fn)(void *);
    void *arg;
    int result;
};

static void *call_main(void *arg)
{
    struct call *call = arg;
    call->result = call->fn(call->arg);
    return NULL;
}

int on_a_thread(int (*fn)(void *), void *arg)
{
    struct call call = {fn, arg, 0};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, call_main, &call) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    return call.result;
}

unsigned crowd_random(unsigned *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
