/* SPDX-License-Identifier: MIT
 * limiter.c - how callers wait for permits: in turn, no longer than needed, and without losing any.
 * What each kind gives is in limiter_core.c. */
#include "runtime/crowd.h"
#include "test.h"

#include <base/random.h>

#include <weft/group.h>
#include <weft/limiter.h>

#include <errno.h>
#include <math.h>
#include <string.h>

static struct weft_limiter *limiter;

/* What happened, one letter each. */
static char diary[64];

static void note(char letter)
{
    size_t len = strlen(diary);
    diary[len] = letter;
    diary[len + 1] = 0;
}

static void open_with(const struct weft_limiter_options *options)
{
    diary[0] = 0;
    REQUIRE(weft_limiter_open(&limiter, options) == 0);
}

/* count per second, burst of them at once. */
static void open_bucket(double count, uint32_t burst, enum weft_sharing sharing)
{
    const struct weft_limiter_options options = {.rate = {.count = count, .burst = burst},
                                                 .sharing = sharing};
    open_with(&options);
}

static struct weft_limiter_snapshot snapshot(void)
{
    struct weft_limiter_snapshot shot = {.waiting = 1};
    CHECK_EQUAL(weft_limiter_snapshot(limiter, &shot), 0);
    return shot;
}

/* One who wants permits: as many as its letter's place in the alphabet. */
struct wisher {
    char letter;
    int64_t deadline_ns;
    int result;
    int64_t took_ns;
};

static int wish(void *arg)
{
    struct wisher *wisher = arg;
    int64_t since_ns = weft_now();
    wisher->result =
        weft_limiter_acquire(limiter, (uint32_t)(wisher->letter - 'a' + 1), wisher->deadline_ns);
    wisher->took_ns = weft_now() - since_ns;
    note(wisher->result == 0 ? wisher->letter : '-');
    return 0;
}

/* Start one in a group of its own, and let it come as far as it gets at once. */
static void start(struct weft_group *group, struct wisher *wisher, char letter, int64_t deadline_ns)
{
    *wisher = (struct wisher){.letter = letter, .deadline_ns = deadline_ns, .result = 1};
    CHECK_EQUAL(weft_group_init(group, NULL), 0);
    CHECK_EQUAL(weft_spawn(group, wish, wisher), 0);
    CHECK_EQUAL(weft_yield(), 0);
}

static void finish(struct weft_group *group, const struct wisher *wisher, int result,
                   int64_t took_ns)
{
    CHECK_EQUAL(weft_group_wait(group), 0);
    CHECK_EQUAL(wisher->result, result);
    CHECK_EQUAL(wisher->took_ns, took_ns);
}

#define FOR_BOTH_SHARINGS(sharing)                                                                 \
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++)

/* ---- waiting ------------------------------------------------------------------------------ */

FIBER_TEST(a_wait_takes_exactly_as_long_as_the_permits_do)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        FOR_BOTH_SHARINGS(sharing)
        {
            const struct weft_limiter_options options = {
                .kind = (enum weft_limiter_kind)kind, .rate = {.count = 4}, .sharing = sharing};
            static const int64_t takes_ns[] = {
                [WEFT_LIMITER_TOKEN_BUCKET] = WEFT_SEC / 4,
                [WEFT_LIMITER_GCRA] = WEFT_SEC / 4,
                [WEFT_LIMITER_SLIDING_LOG] = WEFT_SEC,
                [WEFT_LIMITER_SLIDING_COUNTER] = WEFT_SEC + WEFT_SEC / 4,
                [WEFT_LIMITER_LEAKY] = WEFT_SEC,
            };
            open_with(&options);
            CHECK_EQUAL(weft_sleep_until((weft_now() / WEFT_SEC + 1) * WEFT_SEC), 0);
            int64_t before_ns = weft_now();
            CHECK_EQUAL(weft_limiter_acquire(limiter, 4, WEFT_NOWAIT), 0);
            CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0);
            CHECK_EQUAL(weft_now() - before_ns, takes_ns[kind]);
            CHECK_EQUAL(snapshot().waits, 1);
            CHECK_EQUAL(snapshot().waited_ns, takes_ns[kind]);
            CHECK_EQUAL(snapshot().granted, 5);
            weft_limiter_close(limiter);
        }
    }
}

FIBER_TEST(permits_come_in_the_order_of_asking_and_many_are_not_overtaken_by_few)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[4];
        struct wisher wishers[4];
        open_bucket(1, 5, sharing);
        CHECK_EQUAL(weft_limiter_acquire(limiter, 5, WEFT_FOREVER), 0);
        start(&groups[0], &wishers[0], 'b', WEFT_FOREVER);
        start(&groups[1], &wishers[1], 'e', WEFT_FOREVER);
        start(&groups[2], &wishers[2], 'a', WEFT_FOREVER);
        start(&groups[3], &wishers[3], 'c', WEFT_FOREVER);
        CHECK_EQUAL(snapshot().waiting, 4);
        finish(&groups[3], &wishers[3], 0, 11 * WEFT_SEC);
        finish(&groups[0], &wishers[0], 0, 2 * WEFT_SEC);
        finish(&groups[1], &wishers[1], 0, 7 * WEFT_SEC);
        finish(&groups[2], &wishers[2], 0, 8 * WEFT_SEC);
        CHECK_EQUAL(strcmp(diary, "beac"), 0);
        CHECK_EQUAL(snapshot().waited_max_ns, 11 * WEFT_SEC);
        CHECK_EQUAL(snapshot().waited_ns, 28 * WEFT_SEC);
        weft_limiter_close(limiter);
    }
}

FIBER_TEST(when_the_first_gives_up_the_next_moves_up_at_once)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[3];
        struct wisher wishers[3];
        open_bucket(1, 5, sharing);
        CHECK_EQUAL(weft_limiter_acquire(limiter, 3, WEFT_FOREVER), 0);
        start(&groups[0], &wishers[0], 'e', WEFT_FOREVER);
        start(&groups[1], &wishers[1], 'b', WEFT_FOREVER);
        start(&groups[2], &wishers[2], 'c', WEFT_FOREVER);
        CHECK_EQUAL(weft_limiter_try(limiter, 1),
                    -EAGAIN); /* two are there, but others come first */
        weft_group_cancel(&groups[0], 0);
        finish(&groups[0], &wishers[0], -ECANCELED, 0);
        finish(&groups[1], &wishers[1], 0, 0);
        finish(&groups[2], &wishers[2], 0, 3 * WEFT_SEC); /* and no permit is lost */
        CHECK_EQUAL(strcmp(diary, "-bc"), 0);
        CHECK_EQUAL(snapshot().granted, 8);
        CHECK_EQUAL(snapshot().waiting, 0);
        weft_limiter_close(limiter);
    }
}

FIBER_TEST(who_gives_up_in_the_middle_is_not_waited_for)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[3];
        struct wisher wishers[3];
        open_bucket(1, 5, sharing);
        CHECK_EQUAL(weft_limiter_acquire(limiter, 5, WEFT_FOREVER), 0);
        start(&groups[0], &wishers[0], 'a', WEFT_FOREVER);
        start(&groups[1], &wishers[1], 'e', WEFT_FOREVER);
        start(&groups[2], &wishers[2], 'a', WEFT_FOREVER);
        weft_group_cancel(&groups[1], 0);
        finish(&groups[1], &wishers[1], -ECANCELED, 0);
        finish(&groups[0], &wishers[0], 0, 1 * WEFT_SEC);
        finish(&groups[2], &wishers[2], 0, 2 * WEFT_SEC);
        weft_limiter_close(limiter);
    }
}

/* The first is on its way out, cancelled, when its permits come: nobody else's turn is lost. */
FIBER_TEST(a_cancellation_that_races_with_the_permits_loses_none)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[2];
        struct wisher wishers[2];
        open_bucket(1, 1, sharing);
        CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0);
        start(&groups[0], &wishers[0], 'a', WEFT_FOREVER);
        start(&groups[1], &wishers[1], 'a', WEFT_FOREVER);
        CHECK_EQUAL(weft_sleep(WEFT_SEC), 0); /* its timer has fired, or fires in the same moment */
        weft_group_cancel(&groups[0], 0);
        CHECK_EQUAL(weft_group_wait(&groups[0]), 0);
        CHECK_EQUAL(weft_group_wait(&groups[1]), 0);
        bool first = wishers[0].result == 0;
        CHECK(first || wishers[0].result == -ECANCELED);
        CHECK_EQUAL(wishers[1].result, 0);
        CHECK_EQUAL(wishers[1].took_ns, first ? 2 * WEFT_SEC : WEFT_SEC);
        weft_limiter_close(limiter);
    }
}

/* ---- refusals ----------------------------------------------------------------------------- */

FIBER_TEST(a_wait_that_would_pass_its_deadline_fails_at_once_and_without_effect)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group group;
        struct wisher wisher;
        open_bucket(1, 2, sharing);
        CHECK_EQUAL(weft_limiter_acquire(limiter, 2, WEFT_FOREVER), 0);
        int64_t now_ns = weft_now();
        CHECK_EQUAL(weft_limiter_acquire(limiter, 1, now_ns + WEFT_SEC - 1), WEFT_ELIMIT);
        start(&group, &wisher, 'b', WEFT_FOREVER);
        /* Reckoned with those who wait before. */
        CHECK_EQUAL(weft_limiter_acquire(limiter, 1, now_ns + 3 * WEFT_SEC - 1), WEFT_ELIMIT);
        CHECK_EQUAL(weft_now(), now_ns);
        CHECK_EQUAL(weft_limiter_acquire(limiter, 1, now_ns + 3 * WEFT_SEC), 0);
        CHECK_EQUAL(weft_now(), now_ns + 3 * WEFT_SEC);
        finish(&group, &wisher, 0, 2 * WEFT_SEC);
        CHECK_EQUAL(weft_limiter_acquire(limiter, 1, now_ns), -ETIMEDOUT); /* long over */
        CHECK_EQUAL(snapshot().refused, 2);
        CHECK_EQUAL(snapshot().timed_out, 1);
        weft_limiter_close(limiter);
    }
}

FIBER_TEST(more_than_it_ever_gives_is_refused_at_once)
{
    open_bucket(10, 5, WEFT_AUTO);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 6, WEFT_FOREVER), WEFT_ELIMIT);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 6, WEFT_NOWAIT), WEFT_ELIMIT);
    CHECK_EQUAL(weft_limiter_try(limiter, 6), WEFT_ELIMIT);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 0, WEFT_FOREVER), -EINVAL);
    CHECK_EQUAL(weft_limiter_try(limiter, 0), -EINVAL);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 5, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_limiter_try(limiter, 1), -EAGAIN);
    weft_limiter_close(limiter);
}

FIBER_TEST(no_more_wait_than_waiters_max)
{
    const struct weft_limiter_options options = {.rate = {.count = 1}, .waiters_max = 2};
    struct weft_group groups[2];
    struct wisher wishers[2];
    open_with(&options);
    CHECK_EQUAL(weft_limiter_try(limiter, 1), 0);
    start(&groups[0], &wishers[0], 'a', WEFT_FOREVER);
    start(&groups[1], &wishers[1], 'a', WEFT_FOREVER);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), WEFT_EFULL);
    finish(&groups[0], &wishers[0], 0, 1 * WEFT_SEC);
    finish(&groups[1], &wishers[1], 0, 2 * WEFT_SEC);
    weft_limiter_close(limiter);
}

FIBER_TEST(a_cancelled_caller_gets_nothing_though_permits_are_there)
{
    struct weft_scope scope;
    open_bucket(10, 5, WEFT_AUTO);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_limiter_try(limiter, 1), 0); /* no checkpoint */
    (void)weft_scope_leave(&scope, 0);
    CHECK_EQUAL(snapshot().granted, 1);
    weft_limiter_close(limiter);
}

static int use_from_elsewhere(void *arg)
{
    struct weft_reservation reservation = {.count = 0};
    struct weft_limiter_snapshot shot;
    (void)arg;
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_NOWAIT), -EPERM);
    CHECK_EQUAL(weft_limiter_try(limiter, 1), -EPERM);
    CHECK_EQUAL(weft_limiter_reserve(limiter, 1, 0, &reservation), -EPERM);
    CHECK_EQUAL(weft_limiter_cancel_reservation(limiter, &reservation), -EPERM);
    CHECK_EQUAL(weft_limiter_set(limiter, &(struct weft_limiter_rate){.count = 1}), -EPERM);
    CHECK_EQUAL(weft_limiter_drain(limiter), -EPERM);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, 0), -EPERM);
    CHECK_EQUAL(weft_limiter_snapshot(limiter, &shot), -EPERM);
    return 0;
}

FIBER_TEST(a_local_limiter_is_its_workers_own)
{
    open_bucket(10, 5, WEFT_LOCAL);
    CHECK_EQUAL(on_a_thread(use_from_elsewhere, NULL), 0);
    weft_limiter_close(limiter);
}

TEST(options_that_make_no_sense_are_refused)
{
    static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    static const struct weft_limiter_options bad[] = {
        {.rate = {.count = -1}},
        {.rate = {.period_ns = -1}},
        {.kind = (enum weft_limiter_kind)7},
        {.kind = WEFT_LIMITER_LEAKY, .rate = {.burst = 1}},
        {.rate = {.count = 10}, .adaptive = {.max = 5}},
        {.rate = {.count = 10}, .adaptive = {.max = -5}},
        {.name = long_name},
        {.sharing = (enum weft_sharing)9},
    };
    limiter = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQUAL(weft_limiter_open(&limiter, &bad[i]), -EINVAL);
    const struct weft_limiter_options local = {.sharing = WEFT_LOCAL};
    CHECK_EQUAL(weft_limiter_open(&limiter, &local), -EPERM);
    CHECK(!limiter);
    weft_limiter_close(NULL);
}

TEST(a_limiter_without_options_gives_a_hundred_per_second_to_any_thread)
{
    REQUIRE(weft_limiter_open(&limiter, NULL) == 0);
    CHECK(snapshot().rate.count == 100 && snapshot().rate.period_ns == WEFT_SEC);
    CHECK_EQUAL(snapshot().rate.burst, 100);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 100, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0); /* sleeps 10 ms */
    CHECK_EQUAL(weft_limiter_acquire(limiter, 100, weft_now() + WEFT_MSEC), WEFT_ELIMIT);
    weft_limiter_close(limiter);
}

static int drain_and_wait(void *arg)
{
    const struct weft_limiter_options *options = arg;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0);
    int64_t took_ns = weft_now() - before_ns;
    CHECK(took_ns >= WEFT_SEC && took_ns <= 4 * WEFT_SEC);
    if (options->adaptive.max > 0) {
        CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_OVERLOAD, 0), 1);
        CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
        CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, 0), 1);
    }
    return 0;
}

/* The clock outside is far ahead of a virtual one. */
TEST(a_limiter_made_before_the_runtime_goes_by_the_runtimes_clock)
{
    const struct weft_run_options virtual_time = {.clock = WEFT_CLOCK_VIRTUAL};
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        struct weft_limiter_options options = {.kind = (enum weft_limiter_kind)kind,
                                               .rate = {.count = 1}};
        open_with(&options);
        CHECK_EQUAL(weft_run(&virtual_time, drain_and_wait, &options), 0);
        weft_limiter_close(limiter);
    }
    struct weft_limiter_options adaptive = {.rate = {.count = 1}, .adaptive = {.max = 2}};
    open_with(&adaptive);
    CHECK_EQUAL(weft_run(&virtual_time, drain_and_wait, &adaptive), 0);
    weft_limiter_close(limiter);
}

/* ---- on credit ---------------------------------------------------------------------------- */

FIBER_TEST(a_reservation_says_how_long_to_wait_and_others_wait_behind_it)
{
    struct weft_reservation first = {.count = 0}, second = {.count = 0};
    open_bucket(1, 1, WEFT_AUTO);
    int64_t now_ns = weft_now();
    CHECK_EQUAL(weft_limiter_reserve(limiter, 1, 0, &first), 0);
    CHECK_EQUAL(first.wait_ns, 0);
    CHECK_EQUAL(weft_limiter_cancel_reservation(limiter, &first), -ESTALE); /* it is usable now */
    CHECK_EQUAL(weft_limiter_reserve(limiter, 1, WEFT_SEC - 1, &first), WEFT_ELIMIT);
    CHECK_EQUAL(weft_limiter_reserve(limiter, 1, WEFT_SEC, &first), 0);
    CHECK_EQUAL(first.at_ns, now_ns + WEFT_SEC);
    CHECK_EQUAL(weft_limiter_reserve(limiter, 1, WEFT_FOREVER, &second), 0);
    CHECK_EQUAL(second.wait_ns, 2 * WEFT_SEC);
    CHECK(fabs(snapshot().available + 2) < 1e-9);
    CHECK_EQUAL(weft_limiter_reserve(limiter, 2, WEFT_FOREVER, &second), WEFT_ELIMIT);
    CHECK_EQUAL(weft_limiter_reserve(limiter, 0, 0, &second), -EINVAL);
    CHECK_EQUAL(weft_limiter_reserve(limiter, 1, -1, &second), -EINVAL);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_now() - now_ns, 3 * WEFT_SEC);
    weft_limiter_close(limiter);
}

FIBER_TEST(a_reservation_given_up_lets_who_waits_go_sooner)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_reservation reservation = {.count = 0}, other = {.count = 0};
        struct weft_group group;
        struct wisher wisher;
        open_bucket(1, 3, sharing);
        CHECK_EQUAL(weft_limiter_try(limiter, 3), 0);
        CHECK_EQUAL(weft_limiter_reserve(limiter, 3, WEFT_FOREVER, &reservation), 0);
        start(&group, &wisher, 'a', WEFT_FOREVER);
        CHECK_EQUAL(weft_limiter_reserve(limiter, 1, WEFT_FOREVER, &other), -EAGAIN);
        CHECK_EQUAL(weft_sleep(WEFT_SEC / 2), 0);
        CHECK_EQUAL(weft_limiter_cancel_reservation(limiter, &reservation), 0);
        CHECK_EQUAL(reservation.count, 0);
        CHECK_EQUAL(weft_limiter_cancel_reservation(limiter, &reservation), 0); /* no second time */
        finish(&group, &wisher, 0, WEFT_SEC);
        CHECK_EQUAL(snapshot().granted, 4);
        weft_limiter_close(limiter);
    }
}

FIBER_TEST(a_reservation_from_before_a_change_gives_nothing_back)
{
    struct weft_reservation reservation = {.count = 0};
    const struct weft_limiter_rate faster = {.count = 1000, .burst = 10};
    open_bucket(1, 10, WEFT_AUTO);
    CHECK_EQUAL(weft_limiter_try(limiter, 10), 0);
    CHECK_EQUAL(weft_limiter_reserve(limiter, 10, WEFT_FOREVER, &reservation), 0);
    CHECK_EQUAL(weft_limiter_set(limiter, &faster), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0); /* paid for, and the bucket is full again */
    CHECK_EQUAL(weft_limiter_try(limiter, 10), 0);
    CHECK_EQUAL(weft_limiter_cancel_reservation(limiter, &reservation), 0);
    CHECK_EQUAL(weft_limiter_try(limiter, 1), -EAGAIN);
    CHECK_EQUAL(snapshot().granted, 20);
    weft_limiter_close(limiter);
}

/* ---- changes ------------------------------------------------------------------------------ */

FIBER_TEST(a_new_rate_counts_at_once_for_who_waits)
{
    FOR_BOTH_SHARINGS(sharing)
    {
        struct weft_group groups[2];
        struct wisher wishers[2];
        open_bucket(1, 10, sharing);
        CHECK_EQUAL(weft_limiter_try(limiter, 10), 0);
        start(&groups[0], &wishers[0], 'd', WEFT_FOREVER);
        start(&groups[1], &wishers[1], 'b', WEFT_FOREVER);
        CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
        const struct weft_limiter_rate faster = {.count = 2, .burst = 10};
        CHECK_EQUAL(weft_limiter_set(limiter, &faster), 0);
        finish(&groups[0], &wishers[0], 0, 3 * WEFT_SEC);
        const struct weft_limiter_rate slower = {.count = 0.5, .burst = 2};
        CHECK_EQUAL(weft_limiter_set(limiter, &slower), 0);
        finish(&groups[1], &wishers[1], 0, 7 * WEFT_SEC);
        CHECK(snapshot().rate.count == 0.5);
        weft_limiter_close(limiter);
    }
}

FIBER_TEST(who_wants_more_than_a_new_rate_ever_gives_is_refused)
{
    struct weft_group groups[3];
    struct wisher wishers[3];
    open_bucket(1, 10, WEFT_AUTO);
    CHECK_EQUAL(weft_limiter_try(limiter, 10), 0);
    start(&groups[0], &wishers[0], 'd', WEFT_FOREVER);
    start(&groups[1], &wishers[1], 'e', WEFT_FOREVER);
    start(&groups[2], &wishers[2], 'b', WEFT_FOREVER);
    const struct weft_limiter_rate fewer = {.count = 1, .burst = 3};
    CHECK_EQUAL(weft_limiter_set(limiter, &fewer), 0);
    finish(&groups[0], &wishers[0], WEFT_ELIMIT, 0);
    finish(&groups[1], &wishers[1], WEFT_ELIMIT, 0);
    finish(&groups[2], &wishers[2], 0, 2 * WEFT_SEC);
    weft_limiter_close(limiter);
}

FIBER_TEST(a_deadline_that_a_slower_rate_makes_hopeless_ends_the_wait)
{
    struct weft_group groups[2];
    struct wisher wishers[2];
    open_bucket(1, 10, WEFT_AUTO);
    CHECK_EQUAL(weft_limiter_try(limiter, 10), 0);
    start(&groups[0], &wishers[0], 'd', weft_now() + 5 * WEFT_SEC);
    start(&groups[1], &wishers[1], 'a', weft_now() + 6 * WEFT_SEC);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    const struct weft_limiter_rate slower = {.count = 0.1, .burst = 10};
    CHECK_EQUAL(weft_limiter_set(limiter, &slower), 0);
    finish(&groups[0], &wishers[0], WEFT_ELIMIT, WEFT_SEC);
    finish(&groups[1], &wishers[1], 0, WEFT_SEC); /* the first leaves it what had come */
    weft_limiter_close(limiter);
}

FIBER_TEST(a_follower_is_not_kept_beyond_its_deadline)
{
    struct weft_group groups[2];
    struct wisher wishers[2];
    const struct weft_limiter_rate slower = {.count = 0.1, .burst = 10};
    open_bucket(1, 10, WEFT_AUTO);
    CHECK_EQUAL(weft_limiter_try(limiter, 10), 0);
    start(&groups[0], &wishers[0], 'd', WEFT_FOREVER);
    start(&groups[1], &wishers[1], 'a', weft_now() + 6 * WEFT_SEC);
    CHECK_EQUAL(weft_limiter_set(limiter, &slower), 0);
    finish(&groups[1], &wishers[1], -ETIMEDOUT, 6 * WEFT_SEC);
    finish(&groups[0], &wishers[0], 0, 40 * WEFT_SEC);
    CHECK_EQUAL(snapshot().timed_out, 1);
    weft_limiter_close(limiter);
}

FIBER_TEST(a_log_takes_another_count_at_runtime)
{
    const struct weft_limiter_options options = {.kind = WEFT_LIMITER_SLIDING_LOG,
                                                 .rate = {.count = 2}};
    const struct weft_limiter_rate more = {.count = 5}, too_many = {.count = 2e6};
    open_with(&options);
    CHECK_EQUAL(weft_limiter_try(limiter, 2), 0);
    CHECK_EQUAL(weft_limiter_try(limiter, 1), -EAGAIN);
    CHECK_EQUAL(weft_limiter_set(limiter, &more), 0);
    CHECK_EQUAL(weft_limiter_try(limiter, 3), 0);
    CHECK_EQUAL(weft_limiter_try(limiter, 1), -EAGAIN);
    CHECK_EQUAL(weft_limiter_set(limiter, &too_many), -EINVAL);
    CHECK_EQUAL(weft_limiter_set(limiter, &options.rate), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK(snapshot().available == 2);
    weft_limiter_close(limiter);
}

FIBER_TEST(a_drain_makes_everybody_wait_as_if_all_had_been_used)
{
    struct weft_group group;
    struct wisher wisher;
    open_bucket(1, 5, WEFT_AUTO);
    CHECK_EQUAL(weft_limiter_try(limiter, 3), 0);
    start(&group, &wisher, 'c', WEFT_FOREVER);
    CHECK_EQUAL(weft_limiter_drain(limiter), 2);
    CHECK_EQUAL(weft_limiter_drain(limiter), 0);
    finish(&group, &wisher, 0, 3 * WEFT_SEC);
    start(&group, &wisher, 'c', weft_now() + 4 * WEFT_SEC);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_limiter_drain(limiter), 2);
    finish(&group, &wisher, WEFT_ELIMIT, 2 * WEFT_SEC); /* it cannot be in time any more */
    weft_limiter_close(limiter);
}

FIBER_TEST(an_adaptive_limiter_follows_what_it_hears)
{
    const struct weft_limiter_options options = {
        .adaptive = {.max = 8, .increase = 1, .latency_limit_ns = WEFT_SEC}};
    struct weft_limiter_rate rate = {.count = 9};
    open_with(&options);
    CHECK(snapshot().rate.count == 8); /* begins at the top */
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, 0), 0);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_OVERLOAD, 0), 1);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_OVERLOAD, 0), 0);
    CHECK(snapshot().rate.count == 4);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 5, WEFT_FOREVER), WEFT_ELIMIT);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, WEFT_SEC), 1);
    CHECK(snapshot().rate.count == 5);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, 2 * WEFT_SEC), 1);
    CHECK(snapshot().rate.count == 2.5);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, -1), -EINVAL);
    CHECK_EQUAL(weft_limiter_feedback(limiter, (enum weft_limiter_outcome)2, 0), -EINVAL);
    CHECK_EQUAL(weft_limiter_set(limiter, &rate), -EINVAL);
    rate.count = 3;
    CHECK_EQUAL(weft_limiter_set(limiter, &rate), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, 0), 1);
    CHECK(snapshot().rate.count == 4);
    weft_limiter_close(limiter);
    open_bucket(1, 1, WEFT_AUTO);
    CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, 0), -EINVAL);
    weft_limiter_close(limiter);
}

FIBER_TEST(an_adaptive_log_never_needs_memory_to_follow)
{
    const struct weft_limiter_options options = {.kind = WEFT_LIMITER_SLIDING_LOG,
                                                 .rate = {.count = 1},
                                                 .adaptive = {.max = 4, .increase = 1}};
    open_with(&options);
    for (int i = 2; i <= 4; i++) {
        CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
        CHECK_EQUAL(weft_limiter_feedback(limiter, WEFT_LIMITER_SUCCESS, 0), 1);
        CHECK_EQUAL(weft_limiter_try(limiter, (uint32_t)i), 0);
        CHECK_EQUAL(weft_limiter_try(limiter, 1), -EAGAIN);
    }
    weft_limiter_close(limiter);
}

/* ---- events ------------------------------------------------------------------------------- */

static struct weft_limiter_event events[8];
static unsigned event_count;

static void keep_event(void *arg, const struct weft_limiter_event *event)
{
    CHECK_EQUAL(strcmp(event->name, "mail server"), 0);
    CHECK(arg == events && !event->key && event->at_ns == weft_now());
    if (event_count < 8)
        events[event_count++] = *event;
}

FIBER_TEST(events_tell_of_refusals_waits_and_new_rates)
{
    const struct weft_limiter_options options = {.rate = {.count = 2},
                                                 .name = "mail server",
                                                 .on_event = keep_event,
                                                 .on_event_arg = events};
    const struct weft_limiter_rate rate = {.count = 3};
    event_count = 0;
    open_with(&options);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 2, WEFT_FOREVER), 0); /* nothing to tell */
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 3, WEFT_FOREVER), WEFT_ELIMIT);
    CHECK_EQUAL(weft_limiter_acquire(limiter, 1, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_limiter_set(limiter, &rate), 0);
    CHECK_EQUAL(event_count, 4);
    CHECK(events[0].kind == WEFT_LIMITER_REFUSED && events[0].err == -EAGAIN);
    CHECK(events[1].kind == WEFT_LIMITER_REFUSED && events[1].err == WEFT_ELIMIT);
    CHECK(events[1].count == 3);
    CHECK(events[2].kind == WEFT_LIMITER_WAITED && events[2].waited_ns == WEFT_SEC / 2);
    CHECK(events[3].kind == WEFT_LIMITER_RATE_CHANGED && events[3].rate_count == 3);
    weft_limiter_close(limiter);
}

/* ---- promises, with everything at once ---------------------------------------------------- */

enum {
    CALLERS = 40,
    CALLS_EACH = 6,
};

struct schedule {
    struct weft_random random;
    enum weft_limiter_kind kind;
    double count, burst;
    struct {
        int64_t at_ns;
        uint32_t count;
    } grants[CALLERS * CALLS_EACH];
    unsigned granted;
    unsigned asked;  /* a number for each call, in the order of asking */
    unsigned served; /* the number of who was served last */
    bool in_order;
};

static struct schedule schedule;

static int call_at_random(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS_EACH; i++) {
        struct weft_scope scope;
        uint32_t count =
            1 + (uint32_t)weft_random_below(&schedule.random, (uint64_t)schedule.burst);
        int64_t deadline_ns = WEFT_FOREVER, cancel_ns = WEFT_FOREVER;
        int64_t pause_ns = (int64_t)weft_random_below(&schedule.random, 5000) * WEFT_MSEC;
        if (weft_sleep(pause_ns) < 0)
            break;
        if (weft_random_below(&schedule.random, 3) == 0)
            deadline_ns =
                weft_now() + (int64_t)weft_random_below(&schedule.random, 20000) * WEFT_MSEC;
        if (weft_random_below(&schedule.random, 3) == 0)
            cancel_ns = weft_now() + (int64_t)weft_random_below(&schedule.random, 9000) * WEFT_MSEC;
        weft_scope_enter(&scope, cancel_ns, 0);
        unsigned number = ++schedule.asked;
        int err = weft_limiter_acquire(limiter, count, deadline_ns);
        if (err == 0) {
            schedule.in_order = schedule.in_order && number > schedule.served;
            schedule.served = number;
            schedule.grants[schedule.granted].at_ns = weft_now();
            schedule.grants[schedule.granted++].count = count;
        }
        (void)weft_scope_leave(&scope, err);
    }
    return 0;
}

static double most_between(int64_t first_ns, int64_t last_ns)
{
    double length_ns = (double)(last_ns - first_ns);
    switch (schedule.kind) {
    case WEFT_LIMITER_TOKEN_BUCKET:
    case WEFT_LIMITER_GCRA:
        return schedule.burst + length_ns / WEFT_SEC * schedule.count;
    case WEFT_LIMITER_SLIDING_LOG:
        return length_ns < WEFT_SEC ? schedule.count : HUGE_VAL;
    case WEFT_LIMITER_SLIDING_COUNTER:
        return length_ns < WEFT_SEC ? 2 * schedule.count : HUGE_VAL;
    case WEFT_LIMITER_LEAKY:
        break;
    }
    return 2 * schedule.burst + length_ns / WEFT_SEC * schedule.count; /* first and last */
}

static void check_schedule(uint64_t seed)
{
    uint64_t sum = 0;
    bool kept = schedule.in_order;
    for (unsigned i = 0; i < schedule.granted; i++) {
        double window = 0;
        sum += schedule.grants[i].count;
        for (unsigned j = i; j < schedule.granted; j++) {
            window += schedule.grants[j].count;
            kept =
                kept &&
                window <= most_between(schedule.grants[i].at_ns, schedule.grants[j].at_ns) + 1e-6;
        }
    }
    struct weft_limiter_snapshot shot = snapshot();
    CHECK(kept);
    CHECK_EQUAL(shot.granted, sum);
    CHECK_EQUAL(shot.waiting, 0);
    if (!kept || shot.granted != sum)
        test_note("kind %d, seed %d", (int)schedule.kind, (int)seed);
}

/* Whoever gave up took nothing along: after a long time everything is there again. */
static void run_schedule(enum weft_limiter_kind kind, uint64_t seed)
{
    struct weft_group group;
    schedule = (struct schedule){.kind = kind, .in_order = true};
    weft_random_seed(&schedule.random, seed);
    schedule.count = schedule.burst = (double)(1 + weft_random_below(&schedule.random, 10));
    const struct weft_limiter_options options = {
        .kind = kind,
        .rate = {.count = schedule.count},
        .sharing = seed % 2 ? WEFT_LOCAL : WEFT_SHARED,
    };
    open_with(&options);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < CALLERS; i++)
        CHECK_EQUAL(weft_spawn(&group, call_at_random, NULL), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    check_schedule(seed);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_limiter_try(limiter, (uint32_t)schedule.burst), 0);
    weft_limiter_close(limiter);
}

FIBER_TEST(over_random_schedules_promises_and_order_are_kept_and_no_permit_is_lost)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        for (uint64_t seed = 1; seed <= 20; seed++)
            run_schedule((enum weft_limiter_kind)kind, seed);
    }
}

/* ---- several threads ---------------------------------------------------------------------- */

static atomic_ullong permits;

static void acquire_in_the_crowd(void *arg, unsigned index)
{
    unsigned random = index + 1;
    (void)arg;
    for (int i = 0; i < 50; i++) {
        struct weft_scope scope;
        uint32_t count = 1 + crowd_random(&random) % 5;
        int64_t deadline_ns =
            crowd_random(&random) % 4
                ? WEFT_FOREVER
                : weft_now() + (int64_t)(crowd_random(&random) % 2000) * WEFT_USEC;
        bool fiber = weft_worker_index() >= 0;
        if (fiber)
            weft_scope_enter(&scope,
                             crowd_random(&random) % 4
                                 ? WEFT_FOREVER
                                 : weft_now() + (int64_t)(crowd_random(&random) % 2000) * WEFT_USEC,
                             0);
        int err = weft_limiter_acquire(limiter, count, deadline_ns);
        if (fiber)
            (void)weft_scope_leave(&scope, err);
        if (err == 0)
            atomic_fetch_add(&permits, count);
        CHECK(err == 0 || err == WEFT_ELIMIT || err == -ETIMEDOUT || (fiber && err == -ECANCELED));
        if (index == 0 && i % 10 == 0) {
            const struct weft_limiter_rate rate = {.count = 200000 + 1000 * i, .burst = 20};
            CHECK_EQUAL(weft_limiter_set(limiter, &rate), 0);
        }
    }
}

TEST(workers_and_threads_share_a_limiter_and_lose_no_permit)
{
    const struct crowd crowd = {
        .workers = 4, .fibers = 100, .threads = 4, .run = acquire_in_the_crowd};
    const struct weft_limiter_options options = {.rate = {.count = 200000, .burst = 20},
                                                 .sharing = WEFT_SHARED};
    atomic_store(&permits, 0);
    open_with(&options);
    int64_t since_ns = weft_now();
    crowd_run(&crowd);
    double passed = (double)(weft_now() - since_ns) / WEFT_SEC;
    struct weft_limiter_snapshot shot = snapshot();
    CHECK_EQUAL(shot.granted, atomic_load(&permits));
    CHECK_EQUAL(shot.waiting, 0);
    CHECK((double)shot.granted <= 20 + passed * 250000);
    weft_limiter_close(limiter);
}

/* Permits that were given, less those given back. */
static unsigned do_anything(unsigned what, unsigned *random)
{
    struct weft_reservation reservation = {.count = 0};
    const struct weft_limiter_rate rate = {.count = 100000 + crowd_random(random) % 100000};
    uint32_t count = 1 + crowd_random(random) % 5;
    int64_t soon_ns = weft_now() + (int64_t)(crowd_random(random) % 200) * WEFT_USEC;
    switch (what) {
    case 0:
        return weft_limiter_try(limiter, count) == 0 ? count : 0;
    case 1:
        if (weft_limiter_reserve(limiter, count, WEFT_MSEC, &reservation) < 0)
            return 0;
        (void)weft_limiter_cancel_reservation(limiter, &reservation);
        return reservation.count;
    case 2:
        (void)weft_limiter_drain(limiter);
        return 0;
    case 3:
        CHECK_EQUAL(weft_limiter_set(limiter, &rate), 0);
        return 0;
    case 4:
        (void)snapshot();
        return 0;
    default:
        return weft_limiter_acquire(limiter, count, soon_ns) == 0 ? count : 0;
    }
}

static void do_anything_in_the_crowd(void *arg, unsigned index)
{
    unsigned random = index + 1;
    (void)arg;
    for (int i = 0; i < 200; i++)
        atomic_fetch_add(&permits, do_anything(crowd_random(&random) % 10, &random));
}

TEST(whatever_workers_and_threads_do_to_a_limiter_the_permits_add_up)
{
    for (int kind = WEFT_LIMITER_TOKEN_BUCKET; kind <= WEFT_LIMITER_LEAKY; kind++) {
        const struct weft_limiter_options options = {.kind = (enum weft_limiter_kind)kind,
                                                     .rate = {.count = 100000},
                                                     .sharing = WEFT_SHARED};
        atomic_store(&permits, 0);
        open_with(&options);
        crowd_run(&(const struct crowd){
            .workers = 2, .fibers = 8, .threads = 2, .run = do_anything_in_the_crowd});
        CHECK_EQUAL(snapshot().granted, permits);
        CHECK_EQUAL(snapshot().waiting, 0);
        weft_limiter_close(limiter);
    }
}
