/* SPDX-License-Identifier: MIT */
#include "no_stacks.h"
#include "test.h"

#include <base/random.h>

#include <weft/group.h>
#include <weft/hedge.h>
#include <weft/scope.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What attempt n of a call does; attempts are counted where all of them see it. */
struct plan {
    int64_t takes_ns[WEFT_HEDGE_ATTEMPTS_MAX];
    int results[WEFT_HEDGE_ATTEMPTS_MAX];
    int64_t began_ns[WEFT_HEDGE_ATTEMPTS_MAX];
    bool deaf; /* attempts do not hear of cancellation */
    int begun, ended, cancelled;
};

/* The argument, of which every attempt has its own. */
struct query {
    struct plan *plan;
    int answered_by; /* 0: nobody yet */
};

static int sleep_for(void *arg)
{
    return weft_sleep(*(int64_t *)arg);
}

static int answer(void *arg)
{
    struct query *query = arg;
    struct plan *plan = query->plan;
    int i = plan->begun++;
    CHECK_EQUAL(query->answered_by, 0);
    query->answered_by = i + 1; /* before the wait: the others must not see it */
    plan->began_ns[i] = weft_now();
    int err =
        plan->deaf ? weft_shield(sleep_for, &plan->takes_ns[i]) : weft_sleep(plan->takes_ns[i]);
    plan->ended++;
    plan->cancelled += err == -ECANCELED;
    return err < 0 ? err : plan->results[i];
}

static struct weft_hedge *open_hedge(const struct weft_hedge_options *options)
{
    struct weft_hedge *hedge = NULL;
    REQUIRE(weft_hedge_open(&hedge, options) == 0);
    return hedge;
}

static struct weft_hedge_snapshot look(struct weft_hedge *hedge)
{
    struct weft_hedge_snapshot snapshot = {0};
    CHECK_EQUAL(weft_hedge_snapshot(hedge, &snapshot), 0);
    return snapshot;
}

/* A hedge after a second, as many as there may be. */
static const struct weft_hedge_options second = {
    .delay_ns = WEFT_SEC, .attempts_max = 3, .ratio = 10};

static int call(const struct weft_hedge_options *options, struct plan *plan,
                struct query *ret_query)
{
    struct weft_hedge *hedge = open_hedge(options);
    *ret_query = (struct query){.plan = plan};
    int result = weft_hedge_call(hedge, answer, ret_query, sizeof *ret_query);
    CHECK_EQUAL(plan->ended, plan->begun); /* nobody is left behind */
    weft_hedge_close(hedge);
    return result;
}

/* ---- who begins, and when ---------------------------------------------------------------- */

FIBER_TEST(a_fast_call_is_not_hedged)
{
    struct plan plan = {.takes_ns = {500 * WEFT_MSEC}, .results = {7}};
    struct query query;
    CHECK_EQUAL(call(&second, &plan, &query), 7);
    CHECK_EQUAL(plan.begun, 1);
    CHECK_EQUAL(query.answered_by, 1);
}

FIBER_TEST(a_slow_call_is_hedged_and_the_loser_is_cancelled_and_joined)
{
    struct plan plan = {.takes_ns = {3600 * WEFT_SEC, 500 * WEFT_MSEC}, .results = {1, 2}};
    struct query query;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(call(&second, &plan, &query), 2);
    CHECK_EQUAL(weft_now() - before_ns, 1500 * WEFT_MSEC);
    CHECK_EQUAL(plan.begun, 2);
    CHECK_EQUAL(plan.cancelled, 1);
    CHECK_EQUAL(query.answered_by, 2);
}

FIBER_TEST(the_first_attempt_may_still_win)
{
    struct plan plan = {.takes_ns = {1500 * WEFT_MSEC, 3600 * WEFT_SEC}, .results = {1, 2}};
    struct query query;
    CHECK_EQUAL(call(&second, &plan, &query), 1);
    CHECK_EQUAL(plan.begun, 2);
    CHECK_EQUAL(query.answered_by, 1);
}

FIBER_TEST(attempts_begin_one_delay_after_the_other_up_to_the_limit)
{
    struct plan plan = {.takes_ns = {10 * WEFT_SEC, 20 * WEFT_SEC, 20 * WEFT_SEC}};
    struct query query;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(call(&second, &plan, &query), 0);
    CHECK_EQUAL(plan.begun, 3);
    CHECK_EQUAL(plan.began_ns[1] - before_ns, WEFT_SEC);
    CHECK_EQUAL(plan.began_ns[2] - before_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(weft_now() - before_ns, 10 * WEFT_SEC);
}

FIBER_TEST(a_failure_that_is_not_fatal_begins_the_next_at_once)
{
    struct plan plan = {.takes_ns = {WEFT_MSEC, WEFT_MSEC, WEFT_MSEC}, .results = {-EIO, -EIO, 3}};
    struct query query;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(call(&second, &plan, &query), 3);
    CHECK_EQUAL(weft_now() - before_ns, 3 * WEFT_MSEC);
    CHECK_EQUAL(query.answered_by, 3);
}

FIBER_TEST(when_all_fail_the_last_result_is_the_calls)
{
    struct plan plan = {.takes_ns = {1, 1, 1}, .results = {-EIO, -EPIPE, -ECONNRESET}};
    struct query query;
    CHECK_EQUAL(call(&second, &plan, &query), -ECONNRESET);
    CHECK_EQUAL(plan.begun, 3);
    CHECK_EQUAL(query.answered_by, 0); /* as it was */
}

FIBER_TEST(all_at_once)
{
    struct weft_hedge_options options = second;
    struct plan plan = {.takes_ns = {3 * WEFT_SEC, 2 * WEFT_SEC, WEFT_SEC}, .results = {1, 2, 3}};
    struct query query;
    int64_t before_ns = weft_now();
    options.delay_ns = WEFT_HEDGE_AT_ONCE;
    CHECK_EQUAL(call(&options, &plan, &query), 3);
    CHECK_EQUAL(plan.begun, 3);
    CHECK_EQUAL(plan.cancelled, 2);
    CHECK_EQUAL(plan.began_ns[2], before_ns);
}

FIBER_TEST(only_when_one_fails)
{
    struct weft_hedge_options options = second;
    struct plan slow = {.takes_ns = {3600 * WEFT_SEC}, .results = {1}};
    struct plan failing = {.takes_ns = {5 * WEFT_SEC, WEFT_SEC}, .results = {-EIO, 2}};
    struct query query;
    options.delay_ns = WEFT_FOREVER;
    CHECK_EQUAL(call(&options, &slow, &query), 1);
    CHECK_EQUAL(slow.begun, 1);
    CHECK_EQUAL(call(&options, &failing, &query), 2);
}

/* ---- fatal results ------------------------------------------------------------------------ */

FIBER_TEST(a_fatal_failure_ends_the_call)
{
    struct plan plan = {.takes_ns = {3600 * WEFT_SEC, WEFT_SEC}, .results = {1, -EINVAL}};
    struct query query;
    CHECK_EQUAL(call(&second, &plan, &query), -EINVAL);
    CHECK_EQUAL(plan.begun, 2);
    CHECK_EQUAL(plan.cancelled, 1);
    CHECK_EQUAL(query.answered_by, 0);
}

static int asks_for_peace(void *arg, int result)
{
    const struct query *query = arg;
    CHECK(query->answered_by > 0); /* the attempt's own copy */
    return result == -EBUSY;
}

FIBER_TEST(what_is_fatal_can_be_chosen)
{
    struct weft_hedge_options options = second;
    struct plan busy = {.takes_ns = {1}, .results = {-EBUSY}};
    struct plan invalid = {.takes_ns = {1, 1}, .results = {-EINVAL, 5}};
    struct plan cancelled = {.takes_ns = {1}, .results = {-ECANCELED}};
    struct query query;
    options.fatal_if = asks_for_peace;
    CHECK_EQUAL(call(&options, &busy, &query), -EBUSY);
    CHECK_EQUAL(busy.begun, 1);
    CHECK_EQUAL(call(&options, &invalid, &query), 5);
    CHECK_EQUAL(call(&options, &cancelled, &query), -ECANCELED);
    CHECK_EQUAL(cancelled.begun, 1);
}

/* ---- too late ----------------------------------------------------------------------------- */

static int discarded;

static void discard(void *arg, int result)
{
    const struct query *query = arg;
    CHECK_EQUAL(query->answered_by, result);
    discarded += result;
}

FIBER_TEST(what_succeeds_too_late_is_discarded)
{
    struct weft_hedge_options options = second;
    struct plan together = {.takes_ns = {2 * WEFT_SEC, WEFT_SEC}, .results = {1, 2}};
    struct plan deaf = {.takes_ns = {9 * WEFT_SEC, WEFT_SEC}, .results = {1, 2}, .deaf = true};
    struct query query;
    options.discard = discard;
    discarded = 0;
    int winner = call(&options, &together, &query);
    CHECK(winner == 1 || winner == 2);
    CHECK_EQUAL(query.answered_by, winner);
    CHECK_EQUAL(discarded, together.cancelled ? 0 : 3 - winner);
    discarded = 0;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(call(&options, &deaf, &query), 2);
    CHECK_EQUAL(weft_now() - before_ns, 9 * WEFT_SEC); /* joined, whatever it takes */
    CHECK_EQUAL(discarded, 1);
    CHECK_EQUAL(query.answered_by, 2);
}

static int go_on_after_a_second(void *arg)
{
    int *went_on = arg, err = weft_sleep(WEFT_SEC);
    if (err == 0)
        err = weft_checkpoint();
    *went_on += err == 0;
    return err;
}

/* Both wake in the same moment; the one that runs second is cancelled by then. */
FIBER_TEST(losers_are_cancelled_before_they_run_again)
{
    struct weft_hedge_options options = second;
    int went_on = 0;
    options.delay_ns = WEFT_HEDGE_AT_ONCE;
    struct weft_hedge *hedge = open_hedge(&options);
    CHECK_EQUAL(weft_hedge_call(hedge, go_on_after_a_second, &went_on, 0), 0);
    CHECK_EQUAL(went_on, 1);
    weft_hedge_close(hedge);
}

/* ---- arguments ---------------------------------------------------------------------------- */

struct bulk {
    size_t len;
    int attempts;
    char bytes[WEFT_HEDGE_ARG_MAX - 12];
};

static int scribble(void *arg)
{
    struct bulk *bulk = arg;
    int err = bulk->attempts == 0 ? 0 : -EINVAL;
    bulk->attempts++;
    memset(bulk->bytes, 'x', bulk->len - offsetof(struct bulk, bytes));
    return err < 0 ? err : weft_sleep(2500 * WEFT_MSEC);
}

FIBER_TEST(every_attempt_has_a_copy_of_its_own_of_any_size)
{
    static const size_t sizes[] = {offsetof(struct bulk, bytes) + 1, 255, 256, 257, 4096};
    struct weft_hedge *hedge = open_hedge(&second);
    for (unsigned i = 0; i < 5; i++) {
        struct bulk bulk = {.len = sizes[i]};
        CHECK_EQUAL(weft_hedge_call(hedge, scribble, &bulk, sizes[i]), 0);
        CHECK_EQUAL(bulk.attempts, 1);
        CHECK_EQUAL(bulk.bytes[sizes[i] - offsetof(struct bulk, bytes) - 1], 'x');
        if (sizes[i] < sizeof bulk)
            CHECK_EQUAL(bulk.bytes[sizes[i] - offsetof(struct bulk, bytes)], 0);
    }
    weft_hedge_close(hedge);
}

static int count_and_wait(void *arg)
{
    int *count = arg, mine = ++*count;
    int err = weft_sleep(mine == 1 ? 3600 * WEFT_SEC : WEFT_SEC);
    return err < 0 ? err : mine;
}

FIBER_TEST(without_bytes_to_copy_the_argument_is_shared)
{
    struct weft_hedge *hedge = open_hedge(&second);
    int count = 0;
    CHECK_EQUAL(weft_hedge_call(hedge, count_and_wait, &count, 0), 2);
    CHECK_EQUAL(count, 2);
    weft_hedge_close(hedge);
}

/* ---- cancellation ------------------------------------------------------------------------- */

struct errand {
    struct weft_hedge *hedge;
    struct query query;
};

static int call_errand(void *arg)
{
    struct errand *errand = arg;
    return weft_hedge_call(errand->hedge, answer, &errand->query, sizeof errand->query);
}

/* Call, and cancel the caller at 1.5 s. */
static int call_and_cancel(struct plan *plan, struct weft_hedge_snapshot *ret_snapshot)
{
    struct errand errand = {.hedge = open_hedge(&second), .query = {.plan = plan}};
    struct weft_group group;
    struct weft_task task = {.result = -ECANCELED};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, call_errand, &errand), 0);
    (void)weft_sleep(1500 * WEFT_MSEC);
    weft_group_close(&group);
    CHECK_EQUAL(plan->ended, plan->begun);
    *ret_snapshot = look(errand.hedge);
    weft_hedge_close(errand.hedge);
    return task.result;
}

FIBER_TEST(a_cancelled_caller_cancels_all_attempts)
{
    struct plan plan = {.takes_ns = {3600 * WEFT_SEC, 3600 * WEFT_SEC}};
    struct weft_hedge_snapshot snapshot;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(call_and_cancel(&plan, &snapshot), -ECANCELED);
    CHECK_EQUAL(plan.cancelled, 2);
    CHECK_EQUAL(weft_now() - before_ns, 1500 * WEFT_MSEC);
    CHECK_EQUAL(snapshot.cancelled, 1);
    CHECK_EQUAL(snapshot.failures, 0);
    CHECK_EQUAL(snapshot.samples, 0);
}

FIBER_TEST(an_attempt_that_succeeds_in_spite_of_the_cancellation_counts)
{
    struct plan plan = {.takes_ns = {2 * WEFT_SEC, WEFT_SEC}, .results = {1, 2}, .deaf = true};
    struct weft_hedge_snapshot snapshot;
    int winner = call_and_cancel(&plan, &snapshot);
    CHECK(winner == 1 || winner == 2);
    CHECK_EQUAL(snapshot.cancelled, 0);
    CHECK_EQUAL(snapshot.wins[0] + snapshot.wins[1], 1);
}

FIBER_TEST(a_caller_that_is_cancelled_begins_nothing)
{
    struct plan plan = {.begun = 0};
    struct query query;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(call(&second, &plan, &query), -ECANCELED);
    CHECK_EQUAL(plan.begun, 0);
    (void)weft_scope_leave(&scope, 0);
}

FIBER_TEST(a_deadline_around_the_call_cancels_it)
{
    struct plan plan = {.takes_ns = {3600 * WEFT_SEC, 3600 * WEFT_SEC}};
    struct query query;
    struct weft_scope scope;
    weft_scope_enter(&scope, weft_now() + 1500 * WEFT_MSEC, 0);
    CHECK_EQUAL(weft_scope_leave(&scope, call(&second, &plan, &query)), -ETIMEDOUT);
}

/* ---- budget and delay --------------------------------------------------------------------- */

FIBER_TEST(hedges_are_at_most_a_share_of_the_calls_and_a_minimum)
{
    const struct weft_hedge_options options = {
        .delay_ns = WEFT_MSEC, .fixed = 1, .ratio = 0.1, .per_second_min = 0.5};
    struct weft_hedge *hedge = open_hedge(&options);
    for (unsigned i = 0; i < 1000; i++) { /* in 5 s: 100 and 5 of the minimum */
        struct plan plan = {.takes_ns = {5 * WEFT_MSEC, WEFT_SEC}};
        struct query query = {.plan = &plan};
        CHECK_EQUAL(weft_hedge_call(hedge, answer, &query, sizeof query), 0);
    }
    struct weft_hedge_snapshot snapshot = look(hedge);
    CHECK_EQUAL(snapshot.calls, 1000);
    CHECK_EQUAL(snapshot.hedges, 105);
    CHECK_EQUAL(snapshot.refused, 895);
    CHECK_EQUAL(snapshot.wins[0], 1000);
    weft_hedge_close(hedge);
}

FIBER_TEST(without_a_minimum_the_first_calls_are_not_hedged)
{
    const struct weft_hedge_options options = {.delay_ns = WEFT_SEC,
                                               .per_second_min = WEFT_HEDGE_NO_MINIMUM};
    struct plan plan = {.takes_ns = {5 * WEFT_SEC}, .results = {-EIO}};
    struct query query;
    CHECK_EQUAL(call(&options, &plan, &query), -EIO);
    CHECK_EQUAL(plan.begun, 1);
}

FIBER_TEST(the_delay_follows_the_p95_once_there_are_enough_latencies)
{
    const struct weft_hedge_options options = {.window = 100, .samples_min = 100};
    struct weft_hedge *hedge = open_hedge(&options);
    for (int64_t i = 1; i <= 100; i++) {
        struct plan plan = {.takes_ns = {i * WEFT_MSEC}};
        struct query query = {.plan = &plan};
        CHECK_EQUAL(look(hedge).delay_ns, 2 * WEFT_SEC);
        CHECK_EQUAL(look(hedge).quantile_ns, 0);
        CHECK_EQUAL(weft_hedge_call(hedge, answer, &query, sizeof query), 0);
    }
    CHECK_EQUAL(look(hedge).samples, 100);
    CHECK_EQUAL(look(hedge).quantile_ns, 95 * WEFT_MSEC);
    CHECK_EQUAL(look(hedge).delay_ns, 95 * WEFT_MSEC);
    struct plan plan = {.takes_ns = {3600 * WEFT_SEC, 5 * WEFT_MSEC}};
    struct query query = {.plan = &plan};
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_hedge_call(hedge, answer, &query, sizeof query), 0);
    CHECK_EQUAL(weft_now() - before_ns, 100 * WEFT_MSEC);
    weft_hedge_close(hedge);
}

FIBER_TEST(a_very_fast_service_is_not_hedged_after_nothing)
{
    const struct weft_hedge_options options = {.window = 16};
    struct weft_hedge *hedge = open_hedge(&options);
    for (unsigned i = 0; i < 16; i++) {
        struct plan plan = {.takes_ns = {1000}};
        struct query query = {.plan = &plan};
        CHECK_EQUAL(weft_hedge_call(hedge, answer, &query, sizeof query), 0);
    }
    CHECK_EQUAL(look(hedge).quantile_ns, 1000);
    CHECK_EQUAL(look(hedge).delay_ns, WEFT_MSEC);
    weft_hedge_close(hedge);
}

/* ---- the tail ----------------------------------------------------------------------------- */

/* A service that is slow one time in fifty: 1 s instead of 5 to 10 ms. */
static int ask_service(void *arg)
{
    struct weft_random *random = arg;
    int64_t extra_ns = (int64_t)weft_random_below(random, 5 * WEFT_MSEC);
    return weft_sleep(weft_random_below(random, 50) == 0 ? WEFT_SEC : 5 * WEFT_MSEC + extra_ns);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

FIBER_TEST(the_tail_is_cut_for_few_more_requests)
{
    static int64_t latencies_ns[5000];
    struct weft_hedge *hedge = open_hedge(NULL);
    struct weft_random random;
    weft_random_seed(&random, 20261121);
    for (unsigned i = 0; i < 5000; i++) {
        int64_t before_ns = weft_now();
        if (weft_hedge_call(hedge, ask_service, &random, 0) < 0)
            break; /* cancelled */
        latencies_ns[i] = weft_now() - before_ns;
    }
    struct weft_hedge_snapshot snapshot = look(hedge);
    qsort(latencies_ns + 100, 4900, sizeof latencies_ns[0], compare); /* without the beginning */
    CHECK(latencies_ns[100 + 4900 * 99 / 100] < 30 * WEFT_MSEC);      /* 1 s without hedging */
    CHECK(snapshot.hedges < 5000 / 10);
    /* Hedges hide long latencies, and yet the quantile does not creep down, call by call. */
    CHECK(snapshot.quantile_ns > 9 * WEFT_MSEC && snapshot.quantile_ns < 12 * WEFT_MSEC);
    weft_hedge_close(hedge);
}

/* ---- what is told ------------------------------------------------------------------------- */

struct log {
    struct weft_hedge_event events[8];
    unsigned len;
};

static void keep(void *arg, const struct weft_hedge_event *event)
{
    struct log *log = arg;
    CHECK_EQUAL(strcmp(event->name, "search"), 0); /* the hedge's: not kept beyond it */
    if (log->len < 8)
        log->events[log->len++] = *event;
}

static void check_event(const struct weft_hedge_event *event, enum weft_hedge_event_kind kind,
                        unsigned attempt, int result, int64_t latency_ns)
{
    CHECK_EQUAL(event->kind, kind);
    CHECK_EQUAL(event->attempt, attempt);
    CHECK_EQUAL(event->result, result);
    CHECK_EQUAL(event->latency_ns, latency_ns);
}

FIBER_TEST(every_attempt_is_told_with_its_own_latency)
{
    struct weft_hedge_options options = second;
    struct log log = {.len = 0};
    struct plan plan = {.takes_ns = {3600 * WEFT_SEC, WEFT_MSEC, WEFT_SEC},
                        .results = {1, -EIO, 3}};
    struct query query;
    options.name = "search";
    options.on_event = keep;
    options.on_event_arg = &log;
    CHECK_EQUAL(call(&options, &plan, &query), 3);
    CHECK_EQUAL(log.len, 5);
    check_event(&log.events[0], WEFT_HEDGE_STARTED, 2, 0, 0);
    check_event(&log.events[1], WEFT_HEDGE_FAILED, 2, -EIO, WEFT_MSEC);
    check_event(&log.events[2], WEFT_HEDGE_STARTED, 3, 0, 0);
    check_event(&log.events[3], WEFT_HEDGE_WON, 3, 3, WEFT_SEC);
    check_event(&log.events[4], WEFT_HEDGE_LOST, 1, -ECANCELED, 2 * WEFT_SEC + WEFT_MSEC);
}

static int count_call(void *arg)
{
    return ++*(int *)arg;
}

FIBER_TEST(an_attempt_that_was_begun_and_never_ran_is_told_as_lost)
{
    struct log log = {.len = 0};
    const struct weft_hedge_options options = {.name = "search",
                                               .attempts_max = 3,
                                               .delay_ns = WEFT_HEDGE_AT_ONCE,
                                               .on_event = keep,
                                               .on_event_arg = &log};
    struct weft_hedge *hedge = open_hedge(&options);
    int calls = 0;
    CHECK_EQUAL(weft_hedge_call(hedge, count_call, &calls, 0), 1);
    CHECK_EQUAL(calls, 1); /* the first was done before the others had their turn */
    CHECK_EQUAL(log.len, 5);
    check_event(&log.events[0], WEFT_HEDGE_STARTED, 2, 0, 0);
    check_event(&log.events[1], WEFT_HEDGE_STARTED, 3, 0, 0);
    check_event(&log.events[2], WEFT_HEDGE_WON, 1, 1, 0);
    check_event(&log.events[3], WEFT_HEDGE_LOST, 2, -ECANCELED, 0);
    check_event(&log.events[4], WEFT_HEDGE_LOST, 3, -ECANCELED, 0);
    weft_hedge_close(hedge);
}

FIBER_TEST(a_hedge_the_budget_refuses_is_told)
{
    struct log log = {.len = 0};
    const struct weft_hedge_options options = {.name = "search",
                                               .delay_ns = WEFT_SEC,
                                               .per_second_min = WEFT_HEDGE_NO_MINIMUM,
                                               .on_event = keep,
                                               .on_event_arg = &log};
    struct plan plan = {.takes_ns = {5 * WEFT_SEC}};
    struct query query;
    CHECK_EQUAL(call(&options, &plan, &query), 0);
    CHECK_EQUAL(log.len, 2);
    check_event(&log.events[0], WEFT_HEDGE_REFUSED, 2, 0, 0);
    check_event(&log.events[1], WEFT_HEDGE_WON, 1, 0, 5 * WEFT_SEC);
}

FIBER_TEST(a_snapshot_counts)
{
    struct weft_hedge *hedge = open_hedge(&second);
    struct plan plans[] = {{.takes_ns = {1}},
                           {.takes_ns = {10 * WEFT_SEC, 1}},
                           {.takes_ns = {1, 1, 1}, .results = {-EIO, -EIO, -EIO}}};
    for (unsigned i = 0; i < 3; i++) {
        struct query query = {.plan = &plans[i]};
        (void)weft_hedge_call(hedge, answer, &query, sizeof query);
    }
    struct weft_hedge_snapshot snapshot = look(hedge);
    CHECK_EQUAL(strcmp(snapshot.name, "hedge"), 0);
    CHECK_EQUAL(snapshot.calls, 3);
    CHECK_EQUAL(snapshot.hedges, 3);
    CHECK_EQUAL(snapshot.wins[0], 1);
    CHECK_EQUAL(snapshot.wins[1], 1);
    CHECK_EQUAL(snapshot.failures, 1);
    CHECK_EQUAL(snapshot.samples, 2);
    CHECK_EQUAL(snapshot.delay_ns, WEFT_SEC);
    weft_hedge_close(hedge);
}

/* ---- refusals ----------------------------------------------------------------------------- */

TEST(options_that_make_no_sense_are_refused)
{
    static const struct weft_hedge_options wrong[] = {
        {.attempts_max = 11},
        {.delay_ns = -2},
        {.quantile = 1},
        {.quantile = -0.1},
        {.quantile = (double)NAN},
        {.window = 15},
        {.window = 4097},
        {.window = 16, .samples_min = 17},
        {.delay_min_ns = -1},
        {.ratio = -1},
        {.ratio = 1001},
        {.ratio = (double)NAN},
        {.per_second_min = -0.5},
        {.per_second_min = 1e7},
        {.per_second_min = (double)NAN},
        {.sharing = (enum weft_sharing)9},
        {.name = "a name of sixty-four bytes, which is one more than a pattern's may"},
    };
    struct weft_hedge *hedge = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_hedge_open(&hedge, &wrong[i]), -EINVAL);
    CHECK(!hedge);
    const struct weft_hedge_options local = {.sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_hedge_open(&hedge, &local), -EPERM);
    weft_hedge_close(NULL);
}

TEST(outside_a_runtime_nothing_is_called)
{
    struct plan plan = {.begun = 0};
    struct query query = {.plan = &plan};
    struct weft_hedge *hedge = open_hedge(&second);
    CHECK_EQUAL(weft_hedge_call(hedge, answer, &query, sizeof query), -EPERM);
    CHECK_EQUAL(plan.begun, 0);
    weft_hedge_close(hedge);
}

FIBER_TEST(an_argument_that_is_too_large_is_refused)
{
    static char large[WEFT_HEDGE_ARG_MAX + 1];
    struct weft_hedge *hedge = open_hedge(&second);
    CHECK_EQUAL(weft_hedge_call(hedge, answer, large, sizeof large), -EINVAL);
    weft_hedge_close(hedge);
}

/* ---- memory ------------------------------------------------------------------------------- */

#define SCARCE_BYTES ((size_t)1 << 20) /* a size that nobody else in this program uses */

static int hold_stack(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

/* Use up the stacks of a size, so that the next one has to come from the kernel. */
static void take_stacks(struct weft_group *group)
{
    const struct weft_spawn_options scarce = {.stack_bytes = SCARCE_BYTES};
    int err = 0;
    no_stacks = true;
    for (unsigned i = 0; i < 1000 && err == 0; i++)
        err = weft_spawn_with(group, hold_stack, NULL, &scarce);
}

FIBER_TEST(without_memory_for_a_first_attempt_the_call_fails)
{
    struct weft_hedge_options options = second;
    struct plan plan = {.begun = 0};
    struct query query;
    struct weft_group group;
    options.stack_bytes = SCARCE_BYTES;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    take_stacks(&group);
    CHECK_EQUAL(call(&options, &plan, &query), -ENOMEM);
    no_stacks = false;
    CHECK_EQUAL(plan.begun, 0);
    weft_group_close(&group);
}

static int take_stacks_later(void *group)
{
    int err = weft_sleep(500 * WEFT_MSEC);
    if (err == 0)
        take_stacks(group);
    return err;
}

FIBER_TEST(without_memory_for_a_hedge_the_first_attempt_goes_on)
{
    struct weft_hedge_options options = second;
    struct plan plan = {.takes_ns = {5 * WEFT_SEC}, .results = {6}};
    struct query query = {.plan = &plan};
    struct weft_group group;
    options.stack_bytes = SCARCE_BYTES;
    struct weft_hedge *hedge = open_hedge(&options);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, take_stacks_later, &group), 0);
    CHECK_EQUAL(weft_hedge_call(hedge, answer, &query, sizeof query), 6);
    no_stacks = false;
    CHECK_EQUAL(plan.begun, 1);
    CHECK_EQUAL(look(hedge).hedges, 0); /* not counted, not paid for */
    weft_group_close(&group);
    weft_hedge_close(hedge);
}

/* ---- several workers ---------------------------------------------------------------------- */

#define STORM_CALLS 300u

static int wait_a_little(void *arg)
{
    int *count = arg;
    ++*count;
    return weft_sleep(20 * WEFT_USEC);
}

static int storm(void *hedge)
{
    int err = 0;
    for (unsigned i = 0; i < STORM_CALLS && err == 0; i++) {
        int count = 0;
        err = weft_hedge_call(hedge, wait_a_little, &count, sizeof count);
        CHECK_EQUAL(count, 1);
    }
    return err;
}

static int storm_on_all_workers(void *hedge)
{
    struct weft_group group;
    int err = weft_group_init(&group, NULL);
    for (int i = 0; i < 4 && err == 0; i++) {
        const struct weft_spawn_options there = {.worker = WEFT_WORKER(i % 2)};
        err = weft_spawn_with(&group, storm, hedge, &there);
    }
    int result = weft_group_wait(&group);
    return err < 0 ? err : result;
}

TEST(workers_share_a_hedge)
{
    const struct weft_hedge_options options = {
        .delay_ns = WEFT_HEDGE_AT_ONCE, .ratio = 1, .sharing = WEFT_SHARED};
    const struct weft_run_options two = {.workers = 2};
    struct weft_hedge *hedge = open_hedge(&options);
    CHECK_EQUAL(weft_run(&two, storm_on_all_workers, hedge), 0);
    struct weft_hedge_snapshot snapshot = look(hedge);
    CHECK_EQUAL(snapshot.calls, 4 * STORM_CALLS);
    CHECK_EQUAL(snapshot.hedges, 4 * STORM_CALLS);
    CHECK_EQUAL(snapshot.wins[0] + snapshot.wins[1], 4 * STORM_CALLS);
    weft_hedge_close(hedge);
}
