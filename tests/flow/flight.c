/* SPDX-License-Identifier: MIT
 * flight.c - who executes, who shares, and what happens when one of them is cancelled. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/flight.h>
#include <weft/group.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* A call, and what its function does: sleep, then give text or an error. */
struct call {
    struct weft_flight *flight;
    const char *key, *text;
    int64_t takes_ns, patience_ns; /* 0: for ever */
    int error;
    size_t room; /* 0: all of got */
    int executed, result;
    char got[32];
};

static struct weft_flight *opened(const struct weft_flight_options *options)
{
    struct weft_flight *flight = NULL;
    REQUIRE(weft_flight_open(&flight, options) == 0);
    return flight;
}

static int execute(void *arg, void *ret, size_t ret_bytes)
{
    struct call *call = arg;
    call->executed++;
    int err = weft_sleep(call->takes_ns);
    if (err < 0)
        return err;
    if (call->error)
        return call->error;
    size_t len = strlen(call->text) + 1;
    if (len > ret_bytes)
        return -ENOBUFS;
    memcpy(ret, call->text, len);
    return (int)len;
}

static int ask(void *arg)
{
    struct call *call = arg;
    int64_t deadline_ns = call->patience_ns ? weft_now() + call->patience_ns : WEFT_FOREVER;
    call->result =
        weft_flight_do(call->flight, call->key, strlen(call->key), execute, call, call->got,
                       call->room ? call->room : sizeof call->got, deadline_ns);
    return 0;
}

static struct weft_flight_snapshot look(struct weft_flight *flight)
{
    struct weft_flight_snapshot snapshot = {0};
    CHECK_EQUAL(weft_flight_snapshot(flight, &snapshot), 0);
    return snapshot;
}

/* Start calls one after the other, so that the first leads. */
static void start(struct weft_group *group, struct call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(weft_spawn(group, ask, &calls[i]), 0);
        CHECK_EQUAL(weft_sleep(1), 0);
    }
}

FIBER_TEST(calls_for_the_same_key_share_one_execution)
{
    struct weft_group group;
    struct weft_flight *flight = opened(NULL);
    struct call calls[20];
    int executed = 0;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 20; i++)
        calls[i] = (struct call){.flight = flight,
                                 .key = i < 10 ? "a" : "b",
                                 .text = i < 10 ? "alpha" : "beta",
                                 .takes_ns = WEFT_SEC};
    start(&group, calls, 20);
    CHECK_EQUAL(look(flight).keys, 2);
    CHECK_EQUAL(look(flight).waiters, 18);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 20; i++) {
        executed += calls[i].executed;
        CHECK_EQUAL(calls[i].result, i < 10 ? 6 : 5);
        CHECK_EQUAL(strcmp(calls[i].got, calls[i].text), 0);
    }
    CHECK_EQUAL(executed, 2);
    CHECK_EQUAL(look(flight).executed, 2);
    CHECK_EQUAL(look(flight).shared, 18);
    CHECK_EQUAL(look(flight).keys, 0);
    CHECK_EQUAL(look(flight).waiters, 0);
    CHECK_EQUAL(ask(&calls[0]), 0); /* nothing is remembered */
    CHECK_EQUAL(look(flight).executed, 3);
    weft_flight_close(flight);
}

FIBER_TEST(an_error_goes_to_all)
{
    struct weft_group group;
    struct weft_flight *flight = opened(NULL);
    struct call calls[3];
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        calls[i] = (struct call){.flight = flight, .key = "a", .takes_ns = WEFT_SEC, .error = -EIO};
    start(&group, calls, 3);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(calls[i].result, -EIO);
    CHECK_EQUAL(look(flight).executed, 1);
    weft_flight_close(flight);
}

FIBER_TEST(a_result_that_does_not_fit_is_that_callers_failure_alone)
{
    struct weft_group group;
    struct weft_flight *flight = opened(NULL);
    struct call calls[3];
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        calls[i] =
            (struct call){.flight = flight, .key = "a", .text = "alpha", .takes_ns = WEFT_SEC};
    calls[1].room = 5;
    start(&group, calls, 3);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(calls[0].result, 6);
    CHECK_EQUAL(calls[1].result, -ENOBUFS);
    CHECK_EQUAL(calls[1].got[0], 0);
    CHECK_EQUAL(calls[2].result, 6);
    weft_flight_close(flight);
}

/* ---- cancellation ------------------------------------------------------------------------ */

FIBER_TEST(a_cancelled_leader_fails_nobody_else_the_longest_waiting_takes_over)
{
    struct weft_group first, rest;
    struct weft_flight *flight = opened(NULL);
    struct call calls[4];
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_group_init(&first, NULL), 0);
    CHECK_EQUAL(weft_group_init(&rest, NULL), 0);
    for (int i = 0; i < 4; i++)
        calls[i] = (struct call){.flight = flight,
                                 .key = "a",
                                 .text = i == 1 ? "second" : "other",
                                 .takes_ns = 10 * WEFT_SEC};
    start(&first, calls, 1);
    start(&rest, calls + 1, 3);
    CHECK_EQUAL(weft_sleep_until(before_ns + 5 * WEFT_SEC), 0);
    weft_group_cancel(&first, 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(calls[0].result, -ECANCELED);
    CHECK_EQUAL(look(flight).taken_over, 1);
    CHECK_EQUAL(look(flight).waiters, 2);
    CHECK_EQUAL(weft_group_wait(&rest), 0);
    CHECK_EQUAL(weft_now() - before_ns, 15 * WEFT_SEC); /* begun anew */
    for (int i = 1; i < 4; i++)
        CHECK_EQUAL(strcmp(calls[i].got, "second"), 0);
    CHECK_EQUAL(calls[1].executed, 1);
    CHECK_EQUAL(calls[2].executed + calls[3].executed, 0);
    CHECK_EQUAL(weft_group_wait(&first), 0);
    weft_flight_close(flight);
}

FIBER_TEST(when_all_are_cancelled_the_key_is_free_again)
{
    struct weft_group group;
    struct weft_flight *flight = opened(NULL);
    struct call calls[3], later = {.flight = flight, .key = "a", .text = "later"};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++)
        calls[i] =
            (struct call){.flight = flight, .key = "a", .text = "alpha", .takes_ns = WEFT_SEC};
    start(&group, calls, 3);
    weft_group_close(&group);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(calls[i].result, -ECANCELED);
    CHECK_EQUAL(look(flight).keys, 0);
    CHECK_EQUAL(look(flight).waiters, 0);
    CHECK_EQUAL(ask(&later), 0);
    CHECK_EQUAL(later.result, 6);
    weft_flight_close(flight);
}

FIBER_TEST(a_follower_that_gives_up_leaves_the_others_alone)
{
    struct weft_group group, impatient;
    struct weft_flight *flight = opened(NULL);
    struct call calls[4];
    for (int i = 0; i < 4; i++)
        calls[i] =
            (struct call){.flight = flight, .key = "a", .text = "alpha", .takes_ns = 10 * WEFT_SEC};
    calls[1].patience_ns = WEFT_SEC;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_group_init(&impatient, NULL), 0);
    start(&group, calls, 3);
    start(&impatient, calls + 3, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(calls[1].result, -ETIMEDOUT);
    weft_group_close(&impatient);
    CHECK_EQUAL(calls[3].result, -ECANCELED);
    CHECK_EQUAL(weft_flight_do(flight, "a", 1, execute, &calls[1], NULL, 0, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(calls[0].result, 6);
    CHECK_EQUAL(calls[2].result, 6);
    CHECK_EQUAL(look(flight).gave_up, 2);
    CHECK_EQUAL(look(flight).executed, 1);
    weft_flight_close(flight);
}

FIBER_TEST(a_leaders_own_timeout_is_a_result_for_all_but_its_scopes_is_not)
{
    struct weft_group group;
    struct weft_scope scope;
    struct weft_flight *flight = opened(NULL);
    struct call hurried = {.flight = flight, .key = "a", .text = "x", .takes_ns = 10 * WEFT_SEC};
    struct call patient = {.flight = flight, .key = "a", .text = "y", .takes_ns = WEFT_SEC};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    weft_scope_enter(&scope, weft_now() + 2 * WEFT_SEC, 0);
    CHECK_EQUAL(weft_spawn(&group, ask, &patient), 0); /* runs once this fiber waits */
    CHECK_EQUAL(ask(&hurried), 0);
    CHECK_EQUAL(weft_scope_leave(&scope, hurried.result), -ETIMEDOUT);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(patient.result, 2);
    CHECK_EQUAL(strcmp(patient.got, "y"), 0);
    weft_flight_close(flight);
}

/* ---- limits and misuse ------------------------------------------------------------------- */

static int ask_again(void *arg, void *ret, size_t ret_bytes)
{
    return weft_flight_do(arg, "a", 1, execute, NULL, ret, ret_bytes, WEFT_FOREVER);
}

static int say_too_much(void *arg, void *ret, size_t ret_bytes)
{
    (void)arg, (void)ret;
    return (int)ret_bytes + 1;
}

FIBER_TEST(limits_and_misuse_are_errors)
{
    struct weft_group group;
    struct weft_flight *flight =
        opened(&(const struct weft_flight_options){.keys_max = 1, .waiters_max = 1});
    struct call calls[4];
    for (int i = 0; i < 4; i++)
        calls[i] =
            (struct call){.flight = flight, .key = "a", .text = "alpha", .takes_ns = WEFT_SEC};
    calls[3].key = "b";
    char byte;
    const struct weft_flight_options large = {.keys_max = 1048577}, none = {.sharing = 9};
    CHECK_EQUAL(weft_flight_do(flight, "a", 1, ask_again, flight, &byte, 1, WEFT_FOREVER),
                -EDEADLK);
    CHECK_EQUAL(weft_flight_do(flight, "a", 1, say_too_much, flight, &byte, 1, WEFT_FOREVER),
                -EOVERFLOW);
    CHECK_EQUAL(weft_flight_do(flight, "", 0, execute, flight, &byte, 1, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_flight_open(&flight, &large), -EINVAL);
    CHECK_EQUAL(weft_flight_open(&flight, &none), -EINVAL);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    start(&group, calls, 4);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(calls[0].result, 6);
    CHECK_EQUAL(calls[1].result, 6);
    CHECK_EQUAL(calls[2].result, WEFT_EFULL); /* a second waiter */
    CHECK_EQUAL(calls[3].result, WEFT_EFULL); /* a second key */
    CHECK_EQUAL(look(flight).refused, 2);
    weft_flight_close(flight);
    weft_flight_close(NULL);
}

FIBER_TEST(who_comes_after_a_forget_does_not_share_what_began_before)
{
    struct weft_group group, first;
    struct weft_flight *flight = opened(NULL);
    struct call calls[5];
    for (int i = 0; i < 5; i++)
        calls[i] = (struct call){
            .flight = flight, .key = "a", .text = i < 3 ? "old" : "new", .takes_ns = WEFT_SEC};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_group_init(&first, NULL), 0);
    start(&first, calls, 1);
    start(&group, calls + 1, 2);
    CHECK_EQUAL(weft_flight_forget(flight, "a", 1), 1);
    CHECK_EQUAL(weft_flight_forget(flight, "a", 1), 0);
    weft_group_close(&first); /* a take-over of what is forgotten stays forgotten */
    start(&group, calls + 3, 2);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 1; i < 5; i++)
        CHECK_EQUAL(strcmp(calls[i].got, i < 3 ? "old" : "new"), 0);
    CHECK_EQUAL(look(flight).executed, 3);
    CHECK_EQUAL(look(flight).keys, 0);
    weft_flight_close(flight);
}

struct heard {
    unsigned shared, taken_over, followers;
};

static void hear(void *arg, const struct weft_flight_event *event)
{
    struct heard *heard = arg;
    heard->shared += event->kind == WEFT_FLIGHT_SHARED;
    heard->taken_over += event->kind == WEFT_FLIGHT_TAKEN_OVER;
    heard->followers += event->followers;
    CHECK(event->key_bytes == 1 && memcmp(event->key, "a", 1) == 0);
}

FIBER_TEST(sharing_and_taking_over_are_told)
{
    struct weft_group group, first;
    struct heard heard = {0};
    struct weft_flight *flight =
        opened(&(const struct weft_flight_options){.on_event = hear, .on_event_arg = &heard});
    struct call calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] =
            (struct call){.flight = flight, .key = "a", .text = "alpha", .takes_ns = WEFT_SEC};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_group_init(&first, NULL), 0);
    start(&first, calls, 1);
    start(&group, calls + 1, 2);
    weft_group_close(&first);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(heard.shared, 1);
    CHECK_EQUAL(heard.taken_over, 1);
    CHECK_EQUAL(heard.followers, 1);
    weft_flight_close(flight);
}

static int use(void *arg)
{
    char byte;
    struct weft_flight_snapshot snapshot;
    CHECK_EQUAL(weft_flight_do(arg, "a", 1, say_too_much, NULL, &byte, 1, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_flight_forget(arg, "a", 1), -EPERM);
    CHECK_EQUAL(weft_flight_forget_all(arg), -EPERM);
    CHECK_EQUAL(weft_flight_snapshot(arg, &snapshot), -EPERM);
    return 0;
}

FIBER_TEST(a_local_flight_is_not_for_other_threads)
{
    struct weft_flight *flight = opened(&(const struct weft_flight_options){.sharing = WEFT_LOCAL});
    CHECK_EQUAL(on_a_thread(use, flight), 0);
    weft_flight_close(flight);
}

/* ---- many at once ------------------------------------------------------------------------ */

#define STORM_KEYS 3

struct storm {
    struct weft_flight *flight;
    atomic_uint inside[STORM_KEYS];
    atomic_uint executed, wrong;
};

struct asked {
    struct storm *storm;
    unsigned key, random;
};

static int execute_in_a_storm(void *arg, void *ret, size_t ret_bytes)
{
    struct asked *asked = arg;
    struct storm *storm = asked->storm;
    if (atomic_fetch_add(&storm->inside[asked->key], 1) != 0)
        atomic_fetch_add(&storm->wrong, 1); /* two at once */
    unsigned ticket = atomic_fetch_add(&storm->executed, 1) + 1;
    int err = 0;
    for (unsigned i = crowd_random(&asked->random) % 4; i > 0 && err == 0; i--)
        err = weft_sleep((int64_t)(crowd_random(&asked->random) % 20) * WEFT_USEC);
    unsigned value[2] = {asked->key, ticket};
    CHECK(ret_bytes == sizeof value);
    memcpy(ret, value, sizeof value);
    atomic_fetch_sub(&storm->inside[asked->key], 1);
    return err == -ECANCELED ? err : (int)sizeof value; /* threads cannot sleep */
}

static void ask_in_a_storm(void *arg, unsigned index)
{
    struct asked asked = {.storm = arg, .random = index + 1};
    struct weft_scope scope;
    bool on_fiber = weft_worker_index() >= 0;
    for (int i = 0; i < 300; i++) {
        unsigned value[2] = {99, 0};
        int64_t soon_ns = weft_now() + (int64_t)(crowd_random(&asked.random) % 50) * WEFT_USEC;
        bool cut = on_fiber && crowd_random(&asked.random) % 3 == 0;
        bool hurried = crowd_random(&asked.random) % 4 == 0;
        asked.key = crowd_random(&asked.random) % STORM_KEYS;
        if (cut)
            weft_scope_enter(&scope, soon_ns, WEFT_SCOPE_MOVE_ON);
        int result =
            weft_flight_do(asked.storm->flight, &asked.key, sizeof asked.key, execute_in_a_storm,
                           &asked, value, sizeof value, hurried ? soon_ns : WEFT_FOREVER);
        if (cut)
            (void)weft_scope_leave(&scope, 0);
        if (result >= 0 && (result != sizeof value || value[0] != asked.key || value[1] == 0))
            atomic_fetch_add(&asked.storm->wrong, 1);
        if (result < 0 && !(cut && result == -ECANCELED) && !(hurried && result == -ETIMEDOUT))
            atomic_fetch_add(&asked.storm->wrong, 1);
    }
}

TEST(threads_and_workers_lose_no_wake_up_and_never_execute_twice_at_once)
{
    struct storm storm = {.flight =
                              opened(&(const struct weft_flight_options){.sharing = WEFT_SHARED})};
    crowd_run(&(const struct crowd){
        .workers = 2, .fibers = 20, .threads = 3, .run = ask_in_a_storm, .arg = &storm});
    CHECK_EQUAL(storm.wrong, 0);
    CHECK_EQUAL(look(storm.flight).keys, 0);
    CHECK_EQUAL(look(storm.flight).waiters, 0);
    CHECK_EQUAL(look(storm.flight).executed, storm.executed);
    CHECK(look(storm.flight).shared > 0);
    test_note("%u executed, %u taken over", storm.executed,
              (unsigned)look(storm.flight).taken_over);
    weft_flight_close(storm.flight);
}
