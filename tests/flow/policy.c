/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/breaker.h>
#include <weft/bulkhead.h>
#include <weft/fallback.h>
#include <weft/group.h>
#include <weft/hedge.h>
#include <weft/limiter.h>
#include <weft/policy.h>
#include <weft/retry.h>
#include <weft/retry_budget.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static struct weft_policy *open_policy(const struct weft_layer *layers, size_t count)
{
    struct weft_policy *policy = NULL;
    REQUIRE(weft_policy_open(&policy, layers, count, NULL) == 0);
    return policy;
}

static struct weft_policy_snapshot look(struct weft_policy *policy)
{
    struct weft_policy_snapshot snapshot;
    memset(&snapshot, 0, sizeof snapshot);
    CHECK_EQUAL(weft_policy_snapshot(policy, &snapshot), 0);
    return snapshot;
}

static void check_layer(const struct weft_layer_snapshot *layer, const char *name, uint64_t calls,
                        uint64_t failures, uint64_t refused, uint64_t cancelled)
{
    REQUIRE(layer->name != NULL);
    CHECK_EQUAL(strcmp(layer->name, name), 0);
    CHECK_EQUAL(layer->calls, calls);
    CHECK_EQUAL(layer->failures, failures);
    CHECK_EQUAL(layer->refused, refused);
    CHECK_EQUAL(layer->cancelled, cancelled);
}

/* A service that answers from a list, the last answer again and again. */
struct service {
    const int *answers;
    unsigned answers_len, calls;
    int64_t work_ns[8];
    int64_t at_ns[8];
};

static int serve(void *arg)
{
    struct service *service = arg;
    unsigned i = service->calls < service->answers_len ? service->calls : service->answers_len - 1;
    unsigned call = service->calls++ & 7;
    service->at_ns[call] = weft_now();
    int err = service->work_ns[call] ? weft_sleep(service->work_ns[call]) : 0;
    return err < 0 ? err : service->answers[i];
}

static const int works[] = {7};
static const int fails[] = {-EIO};
static const int fails_twice[] = {-EIO, -EIO, 7};

/* Attempts at known times. */
static const struct weft_retry_options plain = {
    .jitter = WEFT_JITTER_NONE, .base_ns = WEFT_SEC, .attempts_max = 4};

/* ---- layers of one's own ------------------------------------------------------------------ */

static char trace[64];

static int note_both_ways(void *layer_arg, void *arg, int (*next)(void *), void *next_arg)
{
    const char *letter = layer_arg;
    (void)arg;
    (void)strncat(trace, letter, 1);
    int result = next(next_arg);
    (void)strncat(trace, letter, 1);
    return result;
}

static int note_work(void *arg)
{
    (void)arg;
    (void)strcat(trace, "w");
    return 5;
}

FIBER_TEST(layers_run_in_the_order_given_the_first_outermost)
{
    char a[] = "a", b[] = "b", c[] = "c";
    const struct weft_layer layers[] = {weft_layer_custom(note_both_ways, a),
                                        weft_layer_custom(note_both_ways, b),
                                        weft_layer_custom(note_both_ways, c)};
    struct weft_policy *policy = open_policy(layers, 3);
    trace[0] = 0;
    CHECK_EQUAL(weft_policy_call(policy, note_work, NULL), 5);
    CHECK_EQUAL(strcmp(trace, "abcwcba"), 0);
    weft_policy_close(policy);
}

static int refuse(void *layer_arg, void *arg, int (*next)(void *), void *next_arg)
{
    (void)layer_arg, (void)arg, (void)next, (void)next_arg;
    return -EACCES;
}

static int twice(void *layer_arg, void *arg, int (*next)(void *), void *next_arg)
{
    CHECK(arg != layer_arg); /* arg is the call's */
    int first = next(next_arg), second = next(next_arg);
    return first < 0 ? first : second;
}

FIBER_TEST(what_a_layer_does_not_begin_is_refused)
{
    struct service service = {.answers = works, .answers_len = 1};
    const struct weft_layer layers[] = {weft_layer_shield(), weft_layer_custom(refuse, NULL),
                                        weft_layer_shield()};
    struct weft_policy *policy = open_policy(layers, 3);
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), -EACCES);
    CHECK_EQUAL(service.calls, 0);
    struct weft_policy_snapshot snapshot = look(policy);
    check_layer(&snapshot.layers[0], "shield", 1, 1, 0, 0);
    check_layer(&snapshot.layers[1], "custom", 1, 1, 1, 0);
    check_layer(&snapshot.layers[2], "shield", 0, 0, 0, 0);
    check_layer(&snapshot.work, "work", 0, 0, 0, 0);
    weft_policy_close(policy);
}

FIBER_TEST(a_layer_may_begin_what_is_inside_more_than_once)
{
    struct service service = {.answers = works, .answers_len = 1};
    const struct weft_layer layers[] = {weft_layer_custom(twice, NULL),
                                        weft_layer_custom(twice, NULL)};
    struct weft_policy *policy = open_policy(layers, 2);
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), 7);
    CHECK_EQUAL(service.calls, 4);
    struct weft_policy_snapshot snapshot = look(policy);
    CHECK_EQUAL(snapshot.layers[0].calls, 1);
    CHECK_EQUAL(snapshot.layers[1].calls, 2);
    CHECK_EQUAL(snapshot.work.calls, 4);
    weft_policy_close(policy);
}

struct heard {
    unsigned len;
    struct weft_policy_event events[8];
};

static void hear(void *arg, const struct weft_policy_event *event)
{
    struct heard *heard = arg;
    CHECK_EQUAL(strcmp(event->name, "orders"), 0);
    CHECK_EQUAL(event->at_ns, weft_now());
    if (heard->len < 8)
        heard->events[heard->len++] = *event;
}

static int hang(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

FIBER_TEST(refusals_and_failed_calls_are_told_but_no_cancellation)
{
    struct heard heard = {0};
    struct weft_policy *policy = NULL;
    struct weft_scope scope;
    struct service service = {.answers = works, .answers_len = 1};
    const struct weft_policy_options options = {
        .name = "orders", .on_event = hear, .on_event_arg = &heard};
    const struct weft_layer refuses[] = {weft_layer_shield(), weft_layer_custom(refuse, NULL)};
    const struct weft_layer lets_in[] = {weft_layer_timeout(WEFT_SEC)};
    REQUIRE(weft_policy_open(&policy, refuses, 2, &options) == 0);
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), -EACCES);
    weft_policy_close(policy);
    REQUIRE(weft_policy_open(&policy, lets_in, 1, &options) == 0);
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), 7);
    CHECK_EQUAL(weft_policy_call(policy, hang, NULL), -ETIMEDOUT);
    weft_scope_enter(&scope, weft_now() + WEFT_MSEC, 0);
    CHECK_EQUAL(weft_scope_leave(&scope, weft_policy_call(policy, hang, NULL)), -ETIMEDOUT);
    weft_policy_close(policy);
    CHECK_EQUAL(heard.len, 3);
    CHECK_EQUAL(heard.events[0].kind, WEFT_POLICY_REFUSED);
    CHECK_EQUAL(heard.events[0].place, 1);
    CHECK_EQUAL(heard.events[0].layer, WEFT_LAYER_CUSTOM);
    CHECK_EQUAL(heard.events[1].kind, WEFT_POLICY_FAILED);
    CHECK_EQUAL(heard.events[1].result, -EACCES);
    CHECK_EQUAL(heard.events[2].kind, WEFT_POLICY_FAILED);
    CHECK_EQUAL(heard.events[2].result, -ETIMEDOUT);
}

/* ---- the usual stack ---------------------------------------------------------------------- */

struct usual {
    struct weft_limiter *limiter;
    struct weft_breaker *breaker;
    struct weft_bulkhead *bulkhead;
    struct weft_policy *policy;
};

/* Total timeout, retry, rate limit, breaker, bulkhead, attempt timeout. */
static void open_usual(struct usual *usual, const struct weft_retry_options *retry)
{
    const struct weft_limiter_options limit = {.rate = {.count = 10, .burst = 10}};
    const struct weft_breaker_options breaker = {.consecutive_failures_max = 3};
    const struct weft_bulkhead_options bulkhead = {.calls_max = 1};
    REQUIRE(weft_limiter_open(&usual->limiter, &limit) == 0);
    REQUIRE(weft_breaker_open(&usual->breaker, &breaker) == 0);
    REQUIRE(weft_bulkhead_open(&usual->bulkhead, &bulkhead) == 0);
    const struct weft_layer layers[] = {
        weft_layer_timeout(20 * WEFT_SEC),    weft_layer_retry(retry),
        weft_layer_limit(usual->limiter, 1),  weft_layer_breaker(usual->breaker),
        weft_layer_bulkhead(usual->bulkhead), weft_layer_timeout(5 * WEFT_SEC),
    };
    usual->policy = open_policy(layers, 6);
}

static void close_usual(struct usual *usual)
{
    weft_policy_close(usual->policy);
    weft_bulkhead_close(usual->bulkhead);
    weft_breaker_close(usual->breaker);
    weft_limiter_close(usual->limiter);
}

FIBER_TEST(every_attempt_passes_the_limiter_the_breaker_and_the_bulkhead)
{
    struct usual usual;
    struct service service = {.answers = fails_twice, .answers_len = 3};
    struct weft_limiter_snapshot limiter = {.granted = 0};
    struct weft_breaker_snapshot breaker = {.entered = 0};
    struct weft_bulkhead_snapshot bulkhead = {.granted = 0};
    open_usual(&usual, &plain);
    CHECK_EQUAL(weft_policy_call(usual.policy, serve, &service), 7);
    CHECK_EQUAL(service.calls, 3);
    CHECK_EQUAL(weft_limiter_snapshot(usual.limiter, &limiter), 0);
    CHECK_EQUAL(weft_breaker_snapshot(usual.breaker, &breaker), 0);
    CHECK_EQUAL(weft_bulkhead_snapshot(usual.bulkhead, &bulkhead), 0);
    CHECK_EQUAL(limiter.granted, 3);
    CHECK_EQUAL(breaker.entered, 3);
    CHECK_EQUAL(breaker.failed, 2);
    CHECK_EQUAL(bulkhead.granted, 3);
    CHECK_EQUAL(bulkhead.active, 0);
    struct weft_policy_snapshot snapshot = look(usual.policy);
    CHECK_EQUAL(snapshot.layers_len, 6);
    check_layer(&snapshot.layers[0], "timeout", 1, 0, 0, 0);
    check_layer(&snapshot.layers[1], "retry", 1, 0, 0, 0);
    check_layer(&snapshot.layers[2], "limit", 3, 2, 0, 0);
    check_layer(&snapshot.layers[5], "timeout", 3, 2, 0, 0);
    check_layer(&snapshot.work, "work", 3, 2, 0, 0);
    close_usual(&usual);
}

FIBER_TEST(an_open_breaker_is_not_asked_again_and_again)
{
    struct usual usual;
    struct service service = {.answers = fails, .answers_len = 1};
    open_usual(&usual, &plain);
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_policy_call(usual.policy, serve, &service), WEFT_EOPEN); /* the 4th attempt */
    CHECK_EQUAL(service.calls, 3);
    int64_t between_ns = weft_now();
    CHECK_EQUAL(between_ns - before_ns, 7 * WEFT_SEC); /* after 1, 2 and 4 s */
    CHECK_EQUAL(weft_policy_call(usual.policy, serve, &service), WEFT_EOPEN);
    CHECK_EQUAL(service.calls, 3);
    CHECK_EQUAL(weft_now(), between_ns);
    struct weft_policy_snapshot snapshot = look(usual.policy);
    check_layer(&snapshot.layers[1], "retry", 2, 2, 0, 0);
    check_layer(&snapshot.layers[3], "breaker", 5, 5, 2, 0);
    check_layer(&snapshot.layers[4], "bulkhead", 3, 3, 0, 0);
    close_usual(&usual);
}

FIBER_TEST(an_attempt_that_hangs_is_cut_short_and_made_again)
{
    struct usual usual;
    struct service service = {.answers = works, .answers_len = 1, .work_ns = {3600 * WEFT_SEC}};
    struct weft_breaker_snapshot breaker = {.failed = 0};
    open_usual(&usual, &plain);
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_policy_call(usual.policy, serve, &service), 7);
    CHECK_EQUAL(weft_now() - before_ns, 6 * WEFT_SEC);
    CHECK_EQUAL(weft_breaker_snapshot(usual.breaker, &breaker), 0);
    CHECK_EQUAL(breaker.failed, 1); /* a timeout is the service's failure */
    close_usual(&usual);
}

/* Attempts of 5 s at 0, 7 and 16 s; the third is cut short after 20 s in all, which is the caller's
 * doing and not the service's. */
FIBER_TEST(the_total_timeout_bounds_it_all_and_is_no_failure_of_the_service)
{
    struct usual usual;
    struct service service = {.answers = works,
                              .answers_len = 1,
                              .work_ns = {3600 * WEFT_SEC, 3600 * WEFT_SEC, 3600 * WEFT_SEC}};
    struct weft_breaker_snapshot breaker = {.failed = 0};
    struct weft_retry_options slower = plain;
    slower.base_ns = 2 * WEFT_SEC;
    open_usual(&usual, &slower);
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_policy_call(usual.policy, serve, &service), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - before_ns, 20 * WEFT_SEC);
    CHECK_EQUAL(service.calls, 3);
    CHECK_EQUAL(weft_breaker_snapshot(usual.breaker, &breaker), 0);
    CHECK_EQUAL(breaker.failed, 2);
    CHECK_EQUAL(breaker.ignored, 1);
    struct weft_policy_snapshot snapshot = look(usual.policy);
    check_layer(&snapshot.layers[0], "timeout", 1, 1, 0, 0);
    check_layer(&snapshot.layers[1], "retry", 1, 0, 0, 1);
    check_layer(&snapshot.work, "work", 3, 0, 0, 3);
    close_usual(&usual);
}

static int call_usual(void *arg)
{
    struct usual *usual = arg;
    struct service service = {.answers = fails_twice, .answers_len = 3};
    return weft_policy_call(usual->policy, serve, &service);
}

static int enter_bulkhead(void *arg)
{
    struct usual *usual = arg;
    int err = weft_sleep(500 * WEFT_MSEC); /* the first attempt has failed, the second is at 1 s */
    if (err == 0)
        err = weft_bulkhead_acquire(usual->bulkhead, WEFT_NOWAIT);
    return err < 0 ? err : weft_bulkhead_release(usual->bulkhead);
}

FIBER_TEST(a_place_in_the_bulkhead_is_free_while_a_call_waits_to_retry)
{
    struct usual usual;
    struct weft_group group;
    open_usual(&usual, &plain);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, call_usual, &usual), 0);
    CHECK_EQUAL(weft_spawn(&group, enter_bulkhead, &usual), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    close_usual(&usual);
}

FIBER_TEST(an_exhausted_budget_is_no_failure_of_the_breaker)
{
    const struct weft_retry_budget_options none = {.per_second_min = WEFT_RETRY_NO_MINIMUM};
    struct usual usual;
    struct service service = {.answers = fails, .answers_len = 1};
    struct weft_breaker_snapshot breaker = {.failed = 0};
    struct weft_retry_options options = plain;
    REQUIRE(weft_retry_budget_open(&options.budget, &none) == 0);
    open_usual(&usual, &options);
    CHECK_EQUAL(weft_policy_call(usual.policy, serve, &service), -EIO);
    CHECK_EQUAL(weft_policy_call(usual.policy, serve, &service), -EIO);
    CHECK_EQUAL(weft_breaker_snapshot(usual.breaker, &breaker), 0);
    CHECK_EQUAL(breaker.failed, 2); /* one for each attempt, none for each refusal */
    CHECK_EQUAL(breaker.state, WEFT_BREAKER_CLOSED);
    close_usual(&usual);
    weft_retry_budget_close(options.budget);
}

FIBER_TEST(a_limit_beyond_the_deadline_is_refused_at_once)
{
    const struct weft_limiter_options slow = {.rate = {.count = 1, .period_ns = 60 * WEFT_SEC}};
    struct service service = {.answers = works, .answers_len = 1};
    struct weft_limiter *limiter;
    REQUIRE(weft_limiter_open(&limiter, &slow) == 0);
    const struct weft_layer layers[] = {weft_layer_timeout(5 * WEFT_SEC),
                                        weft_layer_limit(limiter, 1)};
    struct weft_policy *policy = open_policy(layers, 2);
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), 7);
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), WEFT_ELIMIT);
    CHECK_EQUAL(weft_now(), before_ns);
    struct weft_policy_snapshot snapshot = look(policy);
    check_layer(&snapshot.layers[1], "limit", 2, 1, 1, 0);
    weft_policy_close(policy);
    weft_limiter_close(limiter);
}

/* ---- fallback, shield, hedge -------------------------------------------------------------- */

static int use_default(void *arg, int failure)
{
    CHECK_EQUAL(failure, -EIO);
    return *(int *)arg;
}

FIBER_TEST(a_fallback_outside_answers_for_what_failed)
{
    struct service service = {.answers = fails, .answers_len = 1};
    int value = 99;
    struct weft_fallback_options fallback = {.fallback = use_default, .fallback_arg = &value};
    const struct weft_layer layers[] = {weft_layer_fallback(&fallback), weft_layer_retry(&plain)};
    struct weft_policy *policy = open_policy(layers, 2);
    memset(&fallback, 0xff, sizeof fallback); /* copied */
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), 99);
    CHECK_EQUAL(service.calls, 4);
    struct weft_policy_snapshot snapshot = look(policy);
    check_layer(&snapshot.layers[0], "fallback", 1, 0, 0, 0);
    check_layer(&snapshot.layers[1], "retry", 1, 1, 0, 0);
    weft_policy_close(policy);
}

FIBER_TEST(what_is_shielded_ends_in_peace)
{
    struct service service = {.answers = works, .answers_len = 1, .work_ns = {10 * WEFT_SEC}};
    const struct weft_layer layers[] = {weft_layer_timeout(WEFT_SEC), weft_layer_shield()};
    struct weft_policy *policy = open_policy(layers, 2);
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), 7);
    CHECK_EQUAL(weft_now() - before_ns, 10 * WEFT_SEC);
    weft_policy_close(policy);
}

struct query {
    struct service *service;
    int answered_by;
};

static int ask(void *arg)
{
    struct query *query = arg;
    CHECK_EQUAL(query->answered_by, 0); /* its own copy */
    query->answered_by = (int)query->service->calls + 1;
    return serve(query->service);
}

static int is_busy(void *arg, int result)
{
    const struct query *query = arg;
    CHECK_EQUAL(query->answered_by, result < 0 ? 0 : result); /* the call's own, not a copy */
    return result == -EBUSY;
}

static int is_any(void *arg, int result)
{
    (void)arg, (void)result;
    return 1;
}

/* The first call fails at once, and so is retried; the second is slow, and its hedge wins. */
FIBER_TEST(a_hedge_gives_copies_to_what_is_inside_it)
{
    const int answers[] = {-EBUSY, 2, 3};
    const struct weft_hedge_options hedging = {.delay_ns = 2 * WEFT_SEC, .fatal_if = is_any};
    struct service service = {.answers = answers, .answers_len = 3, .work_ns = {0, 9 * WEFT_SEC}};
    struct query query = {.service = &service};
    struct weft_retry_options retry = plain;
    struct weft_hedge *hedge;
    retry.retry_if = is_busy;
    REQUIRE(weft_hedge_open(&hedge, &hedging) == 0);
    const struct weft_layer layers[] = {weft_layer_retry(&retry),
                                        weft_layer_hedge(hedge, sizeof query),
                                        weft_layer_timeout(20 * WEFT_SEC)};
    struct weft_policy *policy = open_policy(layers, 3);
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_policy_call(policy, ask, &query), 3);
    CHECK_EQUAL(query.answered_by, 3);
    CHECK_EQUAL(weft_now() - before_ns, 3 * WEFT_SEC);
    struct weft_policy_snapshot snapshot = look(policy);
    check_layer(&snapshot.layers[0], "retry", 1, 0, 0, 0);
    check_layer(&snapshot.layers[1], "hedge", 2, 1, 0, 0);
    check_layer(&snapshot.layers[2], "timeout", 3, 1, 0, 1);
    check_layer(&snapshot.work, "work", 3, 1, 0, 1);
    weft_policy_close(policy);
    weft_hedge_close(hedge);
}

/* ---- cancellation ------------------------------------------------------------------------- */

FIBER_TEST(a_caller_that_is_cancelled_enters_no_layer)
{
    struct service service = {.answers = works, .answers_len = 1};
    const struct weft_layer layers[] = {weft_layer_shield()};
    struct weft_policy *policy = open_policy(layers, 1);
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), -ECANCELED);
    (void)weft_scope_leave(&scope, 0);
    CHECK_EQUAL(service.calls, 0);
    CHECK_EQUAL(look(policy).layers[0].calls, 0);
    weft_policy_close(policy);
}

/* Cancelled while it works, while it waits to retry, and while it waits for the others: everything
 * is given back. */
FIBER_TEST(a_cancelled_call_gives_everything_back)
{
    for (int64_t at_ns = 100 * WEFT_MSEC; at_ns < 8 * WEFT_SEC; at_ns += 700 * WEFT_MSEC) {
        struct usual usual;
        struct weft_group group;
        struct weft_bulkhead_snapshot bulkhead = {.active = 9};
        open_usual(&usual, &plain);
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        for (unsigned i = 0; i < 3; i++)
            CHECK_EQUAL(weft_spawn(&group, call_usual, &usual), 0);
        (void)weft_sleep(at_ns);
        weft_group_close(&group);
        CHECK_EQUAL(weft_bulkhead_snapshot(usual.bulkhead, &bulkhead), 0);
        CHECK_EQUAL(bulkhead.active, 0);
        CHECK_EQUAL(bulkhead.waiting, 0);
        close_usual(&usual);
    }
}

/* ---- refusals ----------------------------------------------------------------------------- */

TEST(layers_that_make_no_sense_are_refused)
{
    static const struct weft_retry_options wrong_retry = {.base_ns = -1};
    static const struct weft_fallback_options no_fallback;
    static const struct weft_policy_options wrong[] = {
        {.sharing = (enum weft_sharing)9},
        {.name = "a name of sixty-four bytes, which is one more than a pattern's may"}};
    struct weft_hedge *hedge;
    struct weft_limiter *limiter;
    REQUIRE(weft_hedge_open(&hedge, NULL) == 0);
    REQUIRE(weft_limiter_open(&limiter, NULL) == 0);
    const struct weft_layer layers[] = {
        weft_layer_timeout(0),
        weft_layer_timeout(-1),
        weft_layer_retry(&wrong_retry),
        weft_layer_limit(NULL, 1),
        weft_layer_limit(limiter, 0),
        weft_layer_breaker(NULL),
        weft_layer_bulkhead(NULL),
        weft_layer_hedge(NULL, 0),
        weft_layer_hedge(hedge, WEFT_HEDGE_ARG_MAX + 1),
        weft_layer_hedge(hedge, SIZE_MAX),
        weft_layer_fallback(NULL),
        weft_layer_fallback(&no_fallback),
        weft_layer_custom(NULL, NULL),
        {.kind = WEFT_LAYER_KINDS},
        {.kind = (enum weft_layer_kind)0},
    };
    const struct weft_layer good[WEFT_LAYERS_MAX + 1] = {weft_layer_shield()};
    struct weft_policy *policy = NULL;
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        CHECK_EQUAL(weft_policy_open(&policy, &layers[i], 1, NULL), -EINVAL);
    CHECK_EQUAL(weft_policy_open(&policy, good, 0, NULL), -EINVAL);
    CHECK_EQUAL(weft_policy_open(&policy, NULL, 1, NULL), -EINVAL);
    CHECK_EQUAL(weft_policy_open(&policy, good, WEFT_LAYERS_MAX + 1, NULL), -EINVAL);
    CHECK_EQUAL(weft_policy_open(&policy, good, 1, &wrong[0]), -EINVAL);
    CHECK_EQUAL(weft_policy_open(&policy, good, 1, &wrong[1]), -EINVAL);
    CHECK(!policy);
    weft_policy_close(NULL);
    weft_limiter_close(limiter);
    weft_hedge_close(hedge);
}

TEST(outside_a_runtime_nothing_is_called)
{
    struct service service = {.answers = works, .answers_len = 1};
    const struct weft_layer layers[] = {weft_layer_timeout(WEFT_SEC)};
    struct weft_policy *policy = open_policy(layers, 1);
    CHECK_EQUAL(weft_policy_call(policy, serve, &service), -EPERM);
    CHECK_EQUAL(service.calls, 0);
    weft_policy_close(policy);
}

/* ---- several workers ---------------------------------------------------------------------- */

#define STORM_CALLS 2000

static int succeed_or_fail(void *arg)
{
    int number = atomic_fetch_add((atomic_int *)arg, 1);
    return number % 4 == 0 ? -EIO : 0;
}

struct storm {
    struct weft_policy *policy;
    atomic_int calls;
};

static int call_often(void *arg)
{
    struct storm *storm = arg;
    for (unsigned i = 0; i < STORM_CALLS; i++) {
        (void)weft_policy_call(storm->policy, succeed_or_fail, &storm->calls);
        if (i % 100 == 0)
            (void)weft_yield();
    }
    return 0;
}

static int call_often_on_all_workers(void *arg)
{
    struct weft_group group;
    int err = weft_group_init(&group, NULL);
    for (int i = 0; i < 4 && err == 0; i++) {
        const struct weft_spawn_options there = {.worker = WEFT_WORKER(i % 2)};
        err = weft_spawn_with(&group, call_often, arg, &there);
    }
    int result = weft_group_wait(&group);
    return err < 0 ? err : result;
}

TEST(workers_share_a_policy_and_nothing_is_counted_wrong)
{
    const struct weft_retry_options retry = {
        .base_ns = 1, .cap_ns = 1, .attempts_max = 2, .jitter = WEFT_JITTER_NONE};
    const struct weft_layer layers[] = {weft_layer_retry(&retry), weft_layer_shield()};
    const struct weft_policy_options shared = {.sharing = WEFT_SHARED, .name = "storm"};
    const struct weft_run_options two = {.workers = 2};
    struct storm storm = {.calls = 0};
    REQUIRE(weft_policy_open(&storm.policy, layers, 2, &shared) == 0);
    CHECK_EQUAL(weft_run(&two, call_often_on_all_workers, &storm), 0);
    struct weft_policy_snapshot snapshot = look(storm.policy);
    uint64_t calls = (uint64_t)storm.calls;
    CHECK_EQUAL(strcmp(snapshot.name, "storm"), 0);
    CHECK_EQUAL(snapshot.layers[0].calls, 4 * STORM_CALLS);
    CHECK_EQUAL(snapshot.layers[1].calls, calls);
    CHECK_EQUAL(snapshot.work.calls, calls);
    CHECK_EQUAL(snapshot.work.failures, (calls + 3) / 4);
    weft_policy_close(storm.policy);
}
