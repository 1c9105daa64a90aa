/* SPDX-License-Identifier: MIT
 * breaker.c - the breaker with a clock, fibers and threads around it. What it decides is tested in
 * breaker_core.c and breaker_model.c. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/breaker.h>
#include <weft/group.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Something that can fail: how often it was called, and what it says after how long. */
struct service {
    int called, result;
    int64_t takes_ns;
};

static int ask(void *arg)
{
    struct service *service = arg;
    service->called++;
    int err = service->takes_ns ? weft_sleep(service->takes_ns) : 0;
    return err < 0 ? err : service->result;
}

static enum weft_breaker_state state_of(struct weft_breaker *breaker)
{
    struct weft_breaker_snapshot snapshot;
    REQUIRE(weft_breaker_snapshot(breaker, &snapshot) == 0);
    return snapshot.state;
}

static struct weft_breaker *opened(const struct weft_breaker_options *options)
{
    struct weft_breaker *breaker = NULL;
    REQUIRE(weft_breaker_open(&breaker, options) == 0);
    return breaker;
}

FIBER_TEST(it_opens_refuses_at_once_and_recovers_by_itself_as_time_passes)
{
    struct weft_breaker *breaker = opened(&(const struct weft_breaker_options){
        .consecutive_failures_max = 5, .open_jitter = WEFT_BREAKER_NONE});
    struct service service = {.result = -EIO, .takes_ns = WEFT_SEC};
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(weft_breaker_call(breaker, ask, &service), -EIO);
    int64_t opened_at_ns = weft_now();
    CHECK_EQUAL(weft_breaker_call(breaker, ask, &service), WEFT_EOPEN);
    CHECK_EQUAL(service.called, 5);
    CHECK_EQUAL(weft_now(), opened_at_ns); /* at once */
    service.result = 7;
    struct weft_breaker_permit permit;
    CHECK_EQUAL(weft_breaker_enter(breaker, &permit), WEFT_EOPEN);
    CHECK_EQUAL(permit.retry_after_ns, 60 * WEFT_SEC);
    CHECK_EQUAL(weft_sleep(permit.retry_after_ns), 0);
    CHECK_EQUAL(weft_breaker_call(breaker, ask, &service), 7);
    CHECK_EQUAL(state_of(breaker), WEFT_BREAKER_HALF_OPEN);
    CHECK_EQUAL(weft_breaker_call(breaker, ask, &service), 7);
    CHECK_EQUAL(state_of(breaker), WEFT_BREAKER_CLOSED);
    CHECK_EQUAL(weft_now() - opened_at_ns, 62 * WEFT_SEC); /* the time to recover */
    weft_breaker_close(breaker);
}

FIBER_TEST(slow_calls_are_seen_by_the_clock)
{
    struct weft_breaker *breaker = opened(&(const struct weft_breaker_options){
        .slow_call_ns = 2 * WEFT_SEC, .calls_min = 3, .window_ns = 60 * WEFT_SEC});
    struct service service = {.takes_ns = 2 * WEFT_SEC};
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(state_of(breaker), WEFT_BREAKER_CLOSED);
        CHECK_EQUAL(weft_breaker_call(breaker, ask, &service), 0);
    }
    CHECK_EQUAL(state_of(breaker), WEFT_BREAKER_OPEN);
    weft_breaker_close(breaker);
}

struct task {
    struct weft_breaker *breaker;
    struct service service;
    int result;
};

static int call_it(void *arg)
{
    struct task *task = arg;
    task->result = weft_breaker_call(task->breaker, ask, &task->service);
    return 0;
}

FIBER_TEST(a_call_that_is_cancelled_counts_neither_way_and_gives_its_probe_back)
{
    struct task task = {.service = {.takes_ns = 3600 * WEFT_SEC}};
    struct weft_group group;
    struct weft_breaker_snapshot snapshot;
    task.breaker = opened(&(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                               .open_jitter = WEFT_BREAKER_NONE});
    struct service broken = {.result = -EIO}, well = {0};
    CHECK_EQUAL(weft_breaker_call(task.breaker, ask, &broken), -EIO);
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, call_it, &task), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_breaker_call(task.breaker, ask, &well), WEFT_EOPEN); /* the probe is out */
    weft_group_close(&group);
    CHECK_EQUAL(task.result, -ECANCELED);
    CHECK_EQUAL(weft_breaker_snapshot(task.breaker, &snapshot), 0);
    CHECK_EQUAL(snapshot.state, WEFT_BREAKER_HALF_OPEN);
    CHECK_EQUAL(snapshot.probes, 0);
    CHECK_EQUAL(snapshot.ignored, 1);
    CHECK_EQUAL(weft_breaker_call(task.breaker, ask, &well), 0);
    CHECK_EQUAL(weft_breaker_call(task.breaker, ask, &well), 0);
    CHECK_EQUAL(state_of(task.breaker), WEFT_BREAKER_CLOSED);
    weft_breaker_close(task.breaker);
}

/* The caller's own limit is inside: to the breaker it is a failure, as it should be. */
static int ask_for_a_second(void *arg)
{
    return weft_timeout(WEFT_SEC, ask, arg);
}

FIBER_TEST(a_timeout_inside_the_call_is_a_failure)
{
    struct weft_breaker *breaker =
        opened(&(const struct weft_breaker_options){.consecutive_failures_max = 2});
    struct service service = {.takes_ns = 3600 * WEFT_SEC};
    CHECK_EQUAL(weft_breaker_call(breaker, ask_for_a_second, &service), -ETIMEDOUT);
    CHECK_EQUAL(weft_breaker_call(breaker, ask_for_a_second, &service), -ETIMEDOUT);
    CHECK_EQUAL(state_of(breaker), WEFT_BREAKER_OPEN);
    weft_breaker_close(breaker);
}

FIBER_TEST(probes_are_limited_among_fibers_that_come_at_once)
{
    struct weft_group group;
    struct task tasks[10];
    int answered = 0, refused = 0;
    struct weft_breaker *breaker =
        opened(&(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                    .probes_max = 3,
                                                    .successes_min = 3,
                                                    .open_jitter = WEFT_BREAKER_NONE});
    struct service broken = {.result = -EIO};
    CHECK_EQUAL(weft_breaker_call(breaker, ask, &broken), -EIO);
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 10; i++) {
        tasks[i] = (struct task){.breaker = breaker, .service = {.takes_ns = WEFT_SEC}};
        CHECK_EQUAL(weft_spawn(&group, call_it, &tasks[i]), 0);
    }
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 10; i++) {
        answered += tasks[i].result == 0;
        refused += tasks[i].result == WEFT_EOPEN;
    }
    CHECK_EQUAL(answered, 3);
    CHECK_EQUAL(refused, 7);
    CHECK_EQUAL(state_of(breaker), WEFT_BREAKER_CLOSED);
    weft_breaker_close(breaker);
}

/* ---- events ------------------------------------------------------------------------------ */

struct diary {
    struct weft_breaker *breaker;
    char text[256];
    int64_t opened_for_ns;
    bool meddles; /* resets what opens */
};

static void keep(void *arg, const struct weft_breaker_event *event)
{
    struct diary *diary = arg;
    size_t len = strlen(diary->text);
    CHECK(strcmp(event->name, "users") == 0);
    CHECK_EQUAL(event->at_ns, weft_now());
    if (event->to == WEFT_BREAKER_OPEN)
        diary->opened_for_ns = event->open_ns;
    strncat(diary->text, weft_breaker_event_name(event->kind), sizeof diary->text - len - 2);
    strcat(diary->text, " ");
    if (diary->meddles && event->to == WEFT_BREAKER_OPEN)
        CHECK_EQUAL(weft_breaker_reset(diary->breaker), 0);
    CHECK(len == 0 || event->generation > 2);
}

FIBER_TEST(changes_of_state_are_told_in_order)
{
    struct diary diary = {.opened_for_ns = 0};
    diary.breaker = opened(&(const struct weft_breaker_options){.name = "users",
                                                                .consecutive_failures_max = 1,
                                                                .successes_min = 1,
                                                                .open_jitter = WEFT_BREAKER_NONE,
                                                                .on_event = keep,
                                                                .on_event_arg = &diary});
    struct service broken = {.result = -EIO}, well = {0};
    CHECK_EQUAL(weft_breaker_call(diary.breaker, ask, &broken), -EIO);
    CHECK_EQUAL(diary.opened_for_ns, 60 * WEFT_SEC);
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_breaker_call(diary.breaker, ask, &broken), -EIO);
    CHECK_EQUAL(diary.opened_for_ns, 120 * WEFT_SEC);
    CHECK_EQUAL(weft_sleep(120 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_breaker_call(diary.breaker, ask, &well), 0);
    CHECK_EQUAL(weft_breaker_force_open(diary.breaker), 0);
    CHECK_EQUAL(weft_breaker_force_open(diary.breaker), 0); /* is so: nothing to tell */
    CHECK_EQUAL(weft_breaker_call(diary.breaker, ask, &well), WEFT_EOPEN);
    CHECK_EQUAL(weft_breaker_force_close(diary.breaker), 0);
    CHECK_EQUAL(weft_breaker_disable(diary.breaker), 0);
    CHECK_EQUAL(weft_breaker_reset(diary.breaker), 0);
    CHECK_EQUAL(strcmp(diary.text, "trip due relapse due recover force_open force_close disable "
                                   "reset "),
                0);
    weft_breaker_close(diary.breaker);
}

FIBER_TEST(whoever_is_told_may_change_the_state_and_is_told_of_that_after)
{
    struct diary diary = {.meddles = true};
    diary.breaker = opened(&(const struct weft_breaker_options){
        .name = "users", .consecutive_failures_max = 1, .on_event = keep, .on_event_arg = &diary});
    struct service broken = {.result = -EIO};
    CHECK_EQUAL(weft_breaker_call(diary.breaker, ask, &broken), -EIO);
    CHECK_EQUAL(state_of(diary.breaker), WEFT_BREAKER_CLOSED);
    CHECK_EQUAL(strcmp(diary.text, "trip reset "), 0);
    weft_breaker_close(diary.breaker);
}

struct flood {
    struct weft_breaker *breaker;
    unsigned told;
    uint64_t last_generation;
};

/* The first time: far more changes than are kept. */
static void flood(void *arg, const struct weft_breaker_event *event)
{
    struct flood *flood = arg;
    CHECK(event->generation > flood->last_generation);
    flood->last_generation = event->generation;
    if (flood->told++ > 0)
        return;
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(weft_breaker_reset(flood->breaker), 0);
}

FIBER_TEST(changes_that_come_faster_than_they_are_told_are_lost_the_oldest_first)
{
    struct flood water = {0};
    struct weft_breaker_snapshot snapshot;
    water.breaker =
        opened(&(const struct weft_breaker_options){.on_event = flood, .on_event_arg = &water});
    CHECK_EQUAL(weft_breaker_reset(water.breaker), 0);
    CHECK_EQUAL(weft_breaker_snapshot(water.breaker, &snapshot), 0);
    CHECK_EQUAL(water.told, 1 + 16);
    CHECK_EQUAL(snapshot.events_lost, 84);
    CHECK_EQUAL(water.last_generation, snapshot.generation);
    weft_breaker_close(water.breaker);
}

/* ---- threads and misuse -------------------------------------------------------------------- */

static int use(void *arg)
{
    struct weft_breaker *breaker = arg;
    struct weft_breaker_permit permit = {0};
    struct weft_breaker_snapshot snapshot;
    CHECK_EQUAL(weft_breaker_enter(breaker, &permit), -EPERM);
    CHECK_EQUAL(weft_breaker_leave(breaker, &permit, 0), -EPERM);
    CHECK_EQUAL(weft_breaker_call(breaker, use, NULL), -EPERM);
    CHECK_EQUAL(weft_breaker_reset(breaker), -EPERM);
    CHECK_EQUAL(weft_breaker_snapshot(breaker, &snapshot), -EPERM);
    return 0;
}

FIBER_TEST(a_local_breaker_is_not_for_other_threads)
{
    struct weft_breaker *breaker =
        opened(&(const struct weft_breaker_options){.sharing = WEFT_LOCAL});
    CHECK_EQUAL(on_a_thread(use, breaker), 0);
    weft_breaker_close(breaker);
}

TEST(outside_a_runtime_it_is_shared_or_not_made)
{
    struct weft_breaker *breaker = NULL;
    char name[WEFT_NAME_MAX + 2];
    struct service service = {.result = 3};
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const struct weft_breaker_options local = {.sharing = WEFT_LOCAL}, none = {.sharing = 99};
    const struct weft_breaker_options wordy = {.name = name}, nonsense = {.failure_rate = 2};
    CHECK_EQUAL(weft_breaker_open(&breaker, &local), -EPERM);
    CHECK_EQUAL(weft_breaker_open(&breaker, &none), -EINVAL);
    CHECK_EQUAL(weft_breaker_open(&breaker, &wordy), -EINVAL);
    CHECK_EQUAL(weft_breaker_open(&breaker, &nonsense), -EINVAL);
    CHECK(!breaker);
    weft_breaker_close(NULL);
    CHECK_EQUAL(weft_breaker_open(&breaker, NULL), 0);
    CHECK_EQUAL(weft_breaker_call(breaker, ask, &service), 3);
    weft_breaker_close(breaker);
}

static struct weft_breaker *made_outside;

static int fail_and_recover(void *arg)
{
    struct service broken = {.result = -EIO}, well = {0};
    (void)arg;
    CHECK_EQUAL(weft_breaker_call(made_outside, ask, &broken), -EIO);
    CHECK_EQUAL(weft_breaker_call(made_outside, ask, &well), WEFT_EOPEN);
    CHECK_EQUAL(weft_sleep(60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_breaker_call(made_outside, ask, &well), 0);
    return 0;
}

TEST(one_made_before_the_runtime_goes_by_the_runtimes_clock)
{
    const struct weft_run_options virtual_time = {.clock = WEFT_CLOCK_VIRTUAL};
    made_outside = opened(&(const struct weft_breaker_options){.consecutive_failures_max = 1,
                                                               .open_jitter = WEFT_BREAKER_NONE});
    CHECK_EQUAL(weft_run(&virtual_time, fail_and_recover, NULL), 0);
    weft_breaker_close(made_outside);
}

struct storm {
    struct weft_breaker *breaker;
    atomic_uint told, telling;
    uint64_t last_generation;
};

static void told(void *arg, const struct weft_breaker_event *event)
{
    struct storm *storm = arg;
    CHECK_EQUAL(atomic_fetch_add(&storm->telling, 1), 0); /* one at a time */
    CHECK(event->generation > storm->last_generation);
    storm->last_generation = event->generation;
    atomic_fetch_add(&storm->told, 1);
    atomic_fetch_sub(&storm->telling, 1);
}

static void call_in_a_storm(void *arg, unsigned index)
{
    struct storm *storm = arg;
    unsigned random = index + 1;
    for (int i = 0; i < 2000; i++) {
        struct weft_breaker_permit permit;
        static const int results[] = {0, 0, 0, -EIO, -EIO, -ECANCELED};
        if (weft_breaker_enter(storm->breaker, &permit) < 0) {
            (void)weft_yield();
            continue;
        }
        if (crowd_random(&random) % 4 == 0)
            (void)weft_yield();
        CHECK_EQUAL(weft_breaker_leave(storm->breaker, &permit, results[crowd_random(&random) % 6]),
                    0);
        if (crowd_random(&random) % 500 == 0)
            CHECK_EQUAL(weft_breaker_reset(storm->breaker), 0);
    }
}

TEST(threads_and_workers_lose_no_call_no_probe_and_no_event)
{
    struct storm storm = {0};
    struct weft_breaker_snapshot snapshot;
    storm.breaker = opened(&(const struct weft_breaker_options){.sharing = WEFT_SHARED,
                                                                .window_calls = 10,
                                                                .open_ns = 1000,
                                                                .open_factor = 1,
                                                                .probes_max = 2,
                                                                .on_event = told,
                                                                .on_event_arg = &storm});
    crowd_run(&(const struct crowd){
        .workers = 2, .fibers = 8, .threads = 2, .run = call_in_a_storm, .arg = &storm});
    CHECK_EQUAL(weft_breaker_snapshot(storm.breaker, &snapshot), 0);
    CHECK_EQUAL(snapshot.entered,
                snapshot.succeeded + snapshot.failed + snapshot.ignored + snapshot.late);
    CHECK_EQUAL(snapshot.entered + snapshot.refused, 10 * 2000);
    CHECK_EQUAL(snapshot.probes, 0);
    CHECK_EQUAL(storm.told + snapshot.events_lost, snapshot.generation - 1);
    CHECK(snapshot.opened > 0);
    weft_breaker_close(storm.breaker);
}
