/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <base/random.h>
#include <flow/stage_core.h>

#include <stdint.h>

static struct weft_stage_limits limits_of(size_t queue_max, size_t batch_max, size_t lots_max)
{
    return (struct weft_stage_limits){.item_bytes_in = sizeof(uint64_t),
                                      .item_bytes_out = sizeof(uint64_t),
                                      .queue_max = queue_max,
                                      .batch_max = batch_max,
                                      .lots_max = lots_max,
                                      .batch_age_ns = WEFT_FOREVER};
}

static void open_core(struct weft_stage_core *core, const struct weft_stage_limits *limits)
{
    REQUIRE(weft_stage_core_init(core, limits) == 0);
}

static enum weft_stage_pushed push(struct weft_stage_core *core, uint64_t item, int64_t now_ns,
                                   uint64_t *ret_oldest)
{
    return weft_stage_core_push(core, &item, now_ns, ret_oldest);
}

static uint64_t in_of(const struct weft_lot *lot, size_t i)
{
    return ((const uint64_t *)(const void *)lot->ins)[i];
}

TEST(a_full_queue_does_as_its_policy_says)
{
    const enum weft_stage_pushed expected[] = {
        [WEFT_STAGE_BLOCK] = WEFT_STAGE_FULL,
        [WEFT_STAGE_DROP_OLDEST] = WEFT_STAGE_PUSHED_FOR_OLDEST,
        [WEFT_STAGE_DROP_NEWEST] = WEFT_STAGE_NOT_PUSHED,
        [WEFT_STAGE_REFUSE] = WEFT_STAGE_FULL,
    };
    for (int policy = WEFT_STAGE_BLOCK; policy <= WEFT_STAGE_REFUSE; policy++) {
        struct weft_stage_core core;
        struct weft_stage_limits limits = limits_of(2, 1, 1);
        uint64_t oldest = 0;
        limits.on_full = (enum weft_stage_full)policy;
        open_core(&core, &limits);
        CHECK_EQUAL(push(&core, 1, 0, &oldest), WEFT_STAGE_PUSHED);
        CHECK_EQUAL(push(&core, 2, 0, &oldest), WEFT_STAGE_PUSHED);
        CHECK_EQUAL(push(&core, 3, 0, &oldest), expected[policy]);
        CHECK_EQUAL(oldest, policy == WEFT_STAGE_DROP_OLDEST ? 1 : 0);
        CHECK_EQUAL(core.count, 2);
        CHECK_EQUAL(core.count_max, 2);
        CHECK_EQUAL(weft_stage_core_settled(&core), policy == WEFT_STAGE_DROP_OLDEST ? 1 : 0);
        weft_stage_core_deinit(&core);
    }
}

TEST(the_age_of_a_batch_counts_from_its_first_item)
{
    struct weft_stage_core core;
    struct weft_stage_limits limits = limits_of(8, 4, 1);
    int64_t at_ns;
    limits.batch_age_ns = 100;
    open_core(&core, &limits);
    CHECK_EQUAL(weft_stage_core_ready(&core, 1000, &at_ns), 0);
    CHECK_EQUAL(at_ns, WEFT_FOREVER);
    push(&core, 1, 1000, NULL);
    push(&core, 2, 1090, NULL);
    CHECK_EQUAL(weft_stage_core_ready(&core, 1099, &at_ns), 0);
    CHECK_EQUAL(at_ns, 1100);
    CHECK_EQUAL(weft_stage_core_ready(&core, 1100, &at_ns), 2);
    push(&core, 3, 1100, NULL);
    push(&core, 4, 1100, NULL);
    push(&core, 5, 1100, NULL);
    CHECK_EQUAL(weft_stage_core_ready(&core, 1100, &at_ns), 4); /* by size, never more */
    struct weft_lot *lot = weft_stage_core_take(&core, 4);
    CHECK_EQUAL(in_of(lot, 0), 1);
    CHECK_EQUAL(in_of(lot, 3), 4);
    CHECK_EQUAL(weft_stage_core_ready(&core, 1150, &at_ns), 0);
    CHECK_EQUAL(at_ns, 1200); /* of the fifth, not of the last batch */
    core.cut = 5;
    CHECK_EQUAL(weft_stage_core_ready(&core, 1150, &at_ns), 1);
    core.cut = 4;
    CHECK_EQUAL(weft_stage_core_ready(&core, 1150, &at_ns), 0);
    weft_stage_core_deinit(&core);
}

TEST(without_an_age_only_size_and_a_cut_make_a_batch)
{
    struct weft_stage_core core;
    struct weft_stage_limits limits = limits_of(8, 2, 1);
    int64_t at_ns;
    open_core(&core, &limits);
    CHECK(!weft_stage_core_timed(&core));
    push(&core, 1, 0, NULL);
    CHECK_EQUAL(weft_stage_core_ready(&core, INT64_MAX, &at_ns), 0);
    CHECK_EQUAL(at_ns, WEFT_FOREVER);
    push(&core, 2, 0, NULL);
    CHECK_EQUAL(weft_stage_core_ready(&core, 0, &at_ns), 2);
    weft_stage_core_deinit(&core);
}

TEST(outputs_of_an_ordered_stage_leave_in_the_order_taken)
{
    struct weft_stage_core core;
    struct weft_stage_limits limits = limits_of(8, 1, 4);
    struct weft_lot *lots[4];
    limits.ordered = true;
    open_core(&core, &limits);
    for (uint64_t i = 0; i < 5; i++)
        push(&core, i, 0, NULL);
    for (size_t i = 0; i < 4; i++)
        lots[i] = weft_stage_core_take(&core, 1);
    CHECK(!weft_stage_core_take(&core, 1)); /* all lots are out: the window is full */
    CHECK(!weft_stage_core_done(&core, lots[2]));
    CHECK(!weft_stage_core_done(&core, lots[1]));
    CHECK(weft_stage_core_turn(&core, lots[0]));
    CHECK(!weft_stage_core_turn(&core, lots[3]));
    CHECK_EQUAL(weft_stage_core_settled(&core), 0);
    CHECK(weft_stage_core_done(&core, lots[0]) == lots[0]);
    CHECK(!weft_stage_core_done(&core, lots[3])); /* somebody else is passing on */
    CHECK(weft_stage_core_passed(&core, lots[0]) == lots[1]);
    CHECK_EQUAL(weft_stage_core_settled(&core), 1);
    CHECK(weft_stage_core_take(&core, 1) == lots[0]); /* free again */
    CHECK(weft_stage_core_passed(&core, lots[1]) == lots[2]);
    CHECK(weft_stage_core_passed(&core, lots[2]) == lots[3]);
    CHECK(!weft_stage_core_passed(&core, lots[3]));
    CHECK_EQUAL(weft_stage_core_settled(&core), 4);
    CHECK(weft_stage_core_turn(&core, lots[0]));
    weft_stage_core_deinit(&core);
}

TEST(outputs_of_any_other_stage_leave_at_once)
{
    struct weft_stage_core core;
    const struct weft_stage_limits limits = limits_of(8, 1, 2);
    open_core(&core, &limits);
    push(&core, 1, 0, NULL);
    push(&core, 2, 0, NULL);
    struct weft_lot *first = weft_stage_core_take(&core, 1);
    struct weft_lot *second = weft_stage_core_take(&core, 1);
    CHECK(weft_stage_core_done(&core, second) == second);
    CHECK(!weft_stage_core_passed(&core, second));
    CHECK_EQUAL(weft_stage_core_settled(&core), 0); /* the first is not */
    CHECK(weft_stage_core_done(&core, first) == first);
    CHECK(!weft_stage_core_passed(&core, first));
    CHECK_EQUAL(weft_stage_core_settled(&core), 2);
    weft_stage_core_deinit(&core);
}

#define OUT_MAX 16

struct play {
    struct weft_stage_core core;
    struct weft_random random;
    struct weft_lot *out[OUT_MAX]; /* being worked on */
    struct weft_lot *passing;      /* in an ordered stage at most one */
    size_t out_count;
    uint64_t pushed, taken, dropped, passed, last_passed;
};

static void play_push(struct play *play)
{
    uint64_t oldest = 0;
    enum weft_stage_pushed pushed = push(&play->core, play->pushed + 1, 0, &oldest);
    play->pushed += pushed != WEFT_STAGE_FULL;
    if (pushed == WEFT_STAGE_PUSHED_FOR_OLDEST || pushed == WEFT_STAGE_NOT_PUSHED)
        play->dropped++;
    if (pushed == WEFT_STAGE_PUSHED_FOR_OLDEST)
        CHECK(oldest > 0 && oldest < play->pushed);
}

static void play_take(struct play *play)
{
    int64_t at_ns;
    size_t count = weft_stage_core_ready(&play->core, 0, &at_ns);
    struct weft_lot *lot = count ? weft_stage_core_take(&play->core, count) : NULL;
    if (!lot)
        return;
    CHECK(play->out_count < OUT_MAX);
    play->out[play->out_count++] = lot;
    for (size_t i = 0; i < count; i++) {
        CHECK(in_of(lot, i) > play->taken);
        play->taken = in_of(lot, i);
    }
}

static void play_pass(struct play *play, struct weft_lot *lot)
{
    if (play->core.limits.ordered) {
        CHECK(in_of(lot, 0) > play->last_passed);
        play->last_passed = in_of(lot, lot->count - 1);
    }
    play->passed += lot->count;
    play->passing = weft_stage_core_passed(&play->core, lot);
}

static void play_done(struct play *play)
{
    if (play->out_count == 0)
        return;
    size_t at = weft_random_below(&play->random, play->out_count);
    struct weft_lot *next = weft_stage_core_done(&play->core, play->out[at]);
    play->out[at] = play->out[--play->out_count];
    if (!next)
        return;
    CHECK(!play->passing);
    if (play->core.limits.ordered)
        play->passing = next;
    else
        play_pass(play, next);
}

static void play_step(struct play *play)
{
    uint64_t before = weft_stage_core_settled(&play->core);
    switch (weft_random_below(&play->random, 4)) {
    case 0:
        play_push(play);
        break;
    case 1:
        play_take(play);
        break;
    case 2:
        play_done(play);
        break;
    default:
        if (play->passing)
            play_pass(play, play->passing);
    }
    CHECK(weft_stage_core_settled(&play->core) >= before);
}

static void play_seed(uint64_t seed)
{
    struct play play = {0};
    weft_random_seed(&play.random, seed);
    size_t batch_max = 1 + weft_random_below(&play.random, 4);
    struct weft_stage_limits limits =
        limits_of(batch_max + weft_random_below(&play.random, 6), batch_max,
                  1 + weft_random_below(&play.random, OUT_MAX - 1));
    limits.ordered = weft_random_below(&play.random, 2);
    limits.on_full = (enum weft_stage_full)weft_random_below(&play.random, 4);
    open_core(&play.core, &limits);
    for (int i = 0; i < 400; i++)
        play_step(&play);
    play.core.cut = UINT64_MAX;
    for (int i = 0; play.core.count > 0 || play.out_count > 0 || play.passing; i++) {
        REQUIRE(i < 1000);
        play_take(&play);
        play_done(&play);
        if (play.passing)
            play_pass(&play, play.passing);
    }
    CHECK_EQUAL(play.passed + play.dropped, play.pushed);
    CHECK_EQUAL(weft_stage_core_settled(&play.core), weft_stage_core_next(&play.core));
    weft_stage_core_deinit(&play.core);
}

TEST(no_random_schedule_loses_or_reorders_items)
{
    for (uint64_t seed = 1; seed <= 500; seed++)
        play_seed(seed);
}
