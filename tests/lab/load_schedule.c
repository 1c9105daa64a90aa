/* SPDX-License-Identifier: MIT
 * load_schedule.c - when requests are due, and what follows for the latency of a server that
 * stalls. Nothing here waits: time is a number. */
#include <lab/load_schedule.h>
#include <obs/histogram.h>
#include <weft/base.h>

#include "test.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START ((int64_t)1000)

static struct weft_load_schedule *schedule_of(const struct weft_load_plan *plan)
{
    struct weft_load_schedule *schedule = malloc(sizeof *schedule);
    REQUIRE(schedule);
    weft_load_schedule_init(schedule, plan);
    weft_load_schedule_start(schedule, START);
    return schedule;
}

static struct weft_load_schedule *constant(double rate, int64_t duration_ns, uint64_t requests)
{
    struct weft_load_step step = {rate, rate, 0};
    return schedule_of(&(struct weft_load_plan){
        .steps = &step, .steps_count = 1, .duration_ns = duration_ns, .requests = requests});
}

TEST(closed_loop_is_due_when_asked_until_the_limits)
{
    struct weft_load_schedule *schedule =
        schedule_of(&(struct weft_load_plan){.duration_ns = 100, .requests = 2});
    struct weft_load_turn turn;
    CHECK(weft_load_schedule_take(schedule, START + 30, &turn));
    CHECK_EQUAL(turn.number, 0);
    CHECK_EQUAL(turn.due_ns, START + 30);
    CHECK_EQUAL(turn.part, 1);
    CHECK(!weft_load_schedule_take(schedule, START + 100, &turn));
    CHECK(weft_load_schedule_take(schedule, START + 99, &turn));
    CHECK_EQUAL(turn.number, 1);
    CHECK(!weft_load_schedule_take(schedule, START + 31, &turn));
    CHECK_EQUAL(weft_load_schedule_left(schedule, 1), 0);
    free(schedule);
}

TEST(open_loop_is_due_on_the_clock_whoever_asks_when)
{
    struct weft_load_schedule *schedule = constant(4, WEFT_SEC, 0);
    struct weft_load_turn turn;
    CHECK(weft_load_schedule_take(schedule, START, &turn));
    CHECK_EQUAL(turn.due_ns, START);
    CHECK(weft_load_schedule_take(schedule, START, &turn)); /* ahead of time */
    CHECK_EQUAL(turn.due_ns, START + 250 * WEFT_MSEC);
    CHECK(weft_load_schedule_take(schedule, 900 * WEFT_MSEC, &turn)); /* behind */
    CHECK_EQUAL(turn.number, 2);
    CHECK_EQUAL(turn.due_ns, START + 500 * WEFT_MSEC);
    CHECK_EQUAL(weft_load_schedule_left(schedule, 1), 1);
    CHECK(!weft_load_schedule_take(schedule, START + WEFT_SEC, &turn));
    CHECK(weft_load_schedule_take(schedule, START, &turn));
    CHECK_EQUAL(weft_load_schedule_left(schedule, 1), 0);
    CHECK(!weft_load_schedule_take(schedule, START, &turn)); /* 4 is due at the end */
    free(schedule);
}

/* Take all that there is, at its beginning. */
static uint64_t take_all(struct weft_load_schedule *schedule)
{
    struct weft_load_turn turn;
    uint64_t taken = 0;
    int64_t before = 0;
    while (weft_load_schedule_take(schedule, START, &turn)) {
        CHECK_EQUAL(turn.number, taken);
        CHECK(turn.due_ns >= before && turn.due_ns < schedule->end_ns);
        before = turn.due_ns;
        taken++;
    }
    return taken;
}

TEST(what_is_left_agrees_with_what_can_be_taken)
{
    static const double rates[] = {0.7, 1, 3, 7.77, 1000, 333333.3};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct weft_load_schedule *schedule = constant(rates[i], 2 * WEFT_SEC + 1, 500000);
        uint64_t left = weft_load_schedule_left(schedule, 1);
        CHECK_EQUAL(left, weft_load_schedule_intended(schedule, 1));
        CHECK_EQUAL(take_all(schedule), left);
        CHECK_EQUAL(weft_load_schedule_left(schedule, 1), 0);
        free(schedule);
    }
}

TEST(steps_follow_each_other_and_requests_belong_to_the_one_they_are_due_in)
{
    /* 10 + 0 + 3 requests, a pause in between. */
    static const struct weft_load_step steps[] = {
        {10, 10, WEFT_SEC}, {0, 0, 2 * WEFT_SEC}, {6, 6, WEFT_SEC / 2}};
    struct weft_load_schedule *schedule =
        schedule_of(&(struct weft_load_plan){.steps = steps, .steps_count = 3});
    CHECK_EQUAL(weft_load_schedule_intended(schedule, 1), 10);
    CHECK_EQUAL(weft_load_schedule_intended(schedule, 2), 0);
    CHECK_EQUAL(weft_load_schedule_intended(schedule, 3), 3);
    struct weft_load_turn turn;
    for (int i = 0; i < 13; i++) {
        REQUIRE(weft_load_schedule_take(schedule, START, &turn));
        CHECK_EQUAL(turn.part, i < 10 ? 1 : 3);
        int64_t expected =
            i < 10 ? i * 100 * WEFT_MSEC : 3 * WEFT_SEC + (int64_t)((i - 10) / 6.0 * 1e9);
        CHECK(llabs(turn.due_ns - START - expected) <= 1);
        CHECK_EQUAL(weft_load_schedule_part_at(schedule, turn.due_ns, 0), turn.part);
    }
    CHECK(!weft_load_schedule_take(schedule, START, &turn));
    CHECK_EQUAL(weft_load_schedule_part_at(schedule, START + 2 * WEFT_SEC, 1), 2);
    CHECK_EQUAL(weft_load_schedule_part_at(schedule, START + 4 * WEFT_SEC, 1), WEFT_LOAD_PART_NONE);
    free(schedule);
}

TEST(a_ramp_has_the_area_of_its_rates)
{
    static const struct {
        double from, to;
        int64_t length_ns;
        uint64_t count;
    } vectors[] = {
        {0, 100, 2 * WEFT_SEC, 100},       {100, 0, 2 * WEFT_SEC, 100},
        {100, 5000, 30 * WEFT_SEC, 76500}, {5000, 100, 30 * WEFT_SEC, 76500},
        {1, 1.5, 4 * WEFT_SEC, 5},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_load_step step = {vectors[i].from, vectors[i].to, vectors[i].length_ns};
        struct weft_load_schedule *schedule =
            schedule_of(&(struct weft_load_plan){.steps = &step, .steps_count = 1});
        CHECK_EQUAL(take_all(schedule), vectors[i].count);
        free(schedule);
    }
}

TEST(the_due_times_of_a_ramp_are_where_the_area_is_the_number)
{
    static const struct weft_load_step step = {100, 300, 10 * WEFT_SEC};
    struct weft_load_schedule *schedule =
        schedule_of(&(struct weft_load_plan){.steps = &step, .steps_count = 1});
    struct weft_load_turn turn;
    while (weft_load_schedule_take(schedule, START, &turn)) {
        double t = (double)(turn.due_ns - START) / 1e9;
        double area = 100 * t + 10 * t * t;
        if (fabs(area - (double)turn.number) > 1e-5)
            CHECK(fabs(area - (double)turn.number) <= 1e-5);
    }
    CHECK(fabs(weft_load_schedule_rate(schedule, START + 5 * WEFT_SEC) - 200) < 1e-9);
    free(schedule);
}

TEST(the_warm_up_comes_first_and_does_not_count)
{
    static const struct weft_load_step steps[] = {{10, 10, WEFT_SEC}, {20, 20, WEFT_SEC}};
    struct weft_load_plan plan = {
        .steps = steps, .steps_count = 2, .warmup_ns = 2 * WEFT_SEC, .requests = 25};
    struct weft_load_schedule *schedule = schedule_of(&plan);
    unsigned counts[3] = {0};
    struct weft_load_turn turn;
    while (weft_load_schedule_take(schedule, START, &turn)) {
        REQUIRE(turn.part < 3);
        counts[turn.part]++;
        CHECK(turn.part > 0 || turn.due_ns < START + 2 * WEFT_SEC);
        CHECK(turn.part == 0 || turn.due_ns >= START + 2 * WEFT_SEC);
    }
    CHECK_EQUAL(counts[0], 20); /* at the first step's rate */
    CHECK_EQUAL(counts[1], 10);
    CHECK_EQUAL(counts[2], 15); /* 25 requests behind the warm-up */
    free(schedule);

    static const struct weft_load_step ramp = {0, 10, WEFT_SEC};
    plan = (struct weft_load_plan){.steps = &ramp, .steps_count = 1, .warmup_ns = WEFT_SEC};
    schedule = schedule_of(&plan);
    CHECK_EQUAL(weft_load_schedule_intended(schedule, 0), 10);
    free(schedule);
}

TEST(a_closed_loop_counts_requests_behind_its_warm_up)
{
    struct weft_load_schedule *schedule =
        schedule_of(&(struct weft_load_plan){.warmup_ns = 100, .requests = 2});
    struct weft_load_turn turn;
    for (int i = 0; i < 5; i++) {
        CHECK(weft_load_schedule_take(schedule, START + 99, &turn));
        CHECK_EQUAL(turn.part, 0);
    }
    CHECK(weft_load_schedule_take(schedule, START + 100, &turn));
    CHECK_EQUAL(turn.part, 1);
    CHECK_EQUAL(turn.number, 5);
    CHECK(weft_load_schedule_take(schedule, START + 100, &turn));
    CHECK(!weft_load_schedule_take(schedule, START + 100, &turn));
    free(schedule);
}

TEST(a_stop_ends_it_there)
{
    struct weft_load_schedule *schedule = constant(100, 0, 0);
    struct weft_load_turn turn;
    for (int i = 0; i < 10; i++)
        CHECK(weft_load_schedule_take(schedule, START, &turn));
    weft_load_schedule_stop(schedule, START + 300 * WEFT_MSEC);
    CHECK(!weft_load_schedule_take(schedule, START + 300 * WEFT_MSEC, &turn));
    CHECK_EQUAL(weft_load_schedule_intended(schedule, 1), 30);
    CHECK_EQUAL(weft_load_schedule_left(schedule, 1), 20);
    free(schedule);

    schedule = malloc(sizeof *schedule);
    REQUIRE(schedule);
    static const struct weft_load_step step = {100, 100, 0};
    weft_load_schedule_init(schedule, &(struct weft_load_plan){.steps = &step, .steps_count = 1});
    weft_load_schedule_stop(schedule, START); /* before it began */
    weft_load_schedule_start(schedule, START + 5);
    CHECK(!weft_load_schedule_take(schedule, START + 5, &turn));
    free(schedule);
}

/* ---- several threads ------------------------------------------------------------------- */

#define TAKERS 3
#define TURNS  30000

static struct weft_load_schedule *taken_from;
static atomic_uchar taken[TURNS];

static void *take_turns(void *arg)
{
    struct weft_load_turn turn;
    (void)arg;
    while (weft_load_schedule_take(taken_from, START, &turn)) {
        if (turn.number < TURNS)
            atomic_fetch_add(&taken[turn.number], 1);
    }
    return NULL;
}

TEST(threads_take_every_request_once)
{
    static const struct weft_load_step step = {1000, 1000, 0};
    const struct weft_load_plan plans[] = {
        {.requests = TURNS},
        {.requests = TURNS, .steps = &step, .steps_count = 1},
    };
    for (size_t i = 0; i < 2; i++) {
        pthread_t threads[TAKERS];
        memset(taken, 0, sizeof taken);
        taken_from = schedule_of(&plans[i]);
        for (int k = 0; k < TAKERS; k++)
            REQUIRE(pthread_create(&threads[k], NULL, take_turns, NULL) == 0);
        for (int k = 0; k < TAKERS; k++)
            REQUIRE(pthread_join(threads[k], NULL) == 0);
        unsigned once = 0;
        for (int k = 0; k < TURNS; k++)
            once += atomic_load(&taken[k]) == 1;
        CHECK_EQUAL(once, TURNS);
        free(taken_from);
    }
}

/* ---- what a schedule is for ------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    double left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

/* Hyndman and Fan's type 7, which the vectors are in. */
static double quantile(const double *sorted, size_t count, double share)
{
    double at = share * (double)(count - 1);
    size_t below = (size_t)at;
    double above = below + 1 < count ? sorted[below + 1] : sorted[below];
    return sorted[below] + (at - (double)below) * (above - sorted[below]);
}

static double mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

#define STARTS 1000

/* A server that does one request at a time, each in 1 ms but number 50 in 1,000, and one
 * connection that a request every 10 ms is meant for. Milliseconds. */
static void serve_with_a_stall(double intended[STARTS], double sent[STARTS],
                               struct weft_histogram *histogram)
{
    struct weft_load_schedule *schedule = constant(100, 0, STARTS);
    struct weft_load_turn turn;
    int64_t now_ns = START;
    size_t count = 0;
    while (weft_load_schedule_take(schedule, now_ns, &turn)) {
        int64_t sent_ns = turn.due_ns > now_ns ? turn.due_ns : now_ns;
        now_ns = sent_ns + (turn.number == 50 ? 1000 : 1) * WEFT_MSEC;
        REQUIRE(count < STARTS);
        sent[count] = (double)(now_ns - sent_ns) / 1e6;
        intended[count++] = (double)(now_ns - turn.due_ns) / 1e6;
        weft_histogram_record(histogram, now_ns - turn.due_ns);
    }
    CHECK_EQUAL(count, STARTS);
    free(schedule);
}

#define CHECK_NEAR(actual, expected)                                                               \
    do {                                                                                           \
        CHECK(fabs((actual) - (expected)) < 1e-6);                                                 \
        if (!(fabs((actual) - (expected)) < 1e-6))                                                 \
            test_note("actual %.9f, expected %.9f", (double)(actual), (double)(expected));         \
    } while (0)

TEST(a_stall_shows_from_the_intended_start_and_not_from_the_sending)
{
    double intended[STARTS], sent[STARTS];
    struct weft_histogram *histogram;
    REQUIRE(weft_histogram_open(&histogram) == 0);
    serve_with_a_stall(intended, sent, histogram);
    qsort(intended, STARTS, sizeof intended[0], by_value);
    qsort(sent, STARTS, sizeof sent[0], by_value);

    CHECK_NEAR(mean(sent, STARTS), 1.999);
    CHECK_NEAR(quantile(sent, STARTS, 0.99), 1);
    CHECK_NEAR(quantile(sent, STARTS, 0.999), 1.999);

    CHECK_NEAR(mean(intended, STARTS), 56.944);
    CHECK_NEAR(quantile(intended, STARTS, 0.9), 100.9);
    CHECK_NEAR(quantile(intended, STARTS, 0.95), 550.45);
    CHECK_NEAR(quantile(intended, STARTS, 0.99), 910.09);
    CHECK_NEAR(quantile(intended, STARTS, 0.999), 991.009);
    unsigned above = 0;
    for (int i = 0; i < STARTS; i++)
        above += intended[i] > 1.0000001;
    CHECK_EQUAL(above, 111);

    /* The histogram says so by nearest rank, to a thousandth. */
    static const uint32_t shares[] = {500000, 900000, 950000, 990000, 999000};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double exact = intended[(shares[i] / 1000) * STARTS / 1000 - 1];
        double told = (double)weft_histogram_percentile(histogram, shares[i]) / 1e6;
        CHECK(told >= exact * 0.999999 && told <= exact * 1.001);
    }
    CHECK_EQUAL(weft_histogram_count(histogram) - weft_histogram_count_to(histogram, 1001000), 111);
    weft_histogram_close(histogram);
}

/* ---- the text -------------------------------------------------------------------------- */

TEST(profiles_are_read)
{
    struct weft_load_step steps[WEFT_LOAD_STEPS_MAX];
    const char *reason = "";
    size_t count = 0;
    REQUIRE(weft_load_steps_parse(steps, &count, "500", &reason) == 0);
    CHECK_EQUAL(count, 1);
    CHECK(fabs(steps[0].from_per_s - 500) < 1e-9 && fabs(steps[0].to_per_s - 500) < 1e-9);
    CHECK_EQUAL(steps[0].length_ns, 0);
    REQUIRE(weft_load_steps_parse(steps, &count, "0.5/10s,1e3/500ms,0/1s,200:.5/1m30s", &reason) ==
            0);
    CHECK_EQUAL(count, 4);
    CHECK(fabs(steps[1].from_per_s - 1000) < 1e-9);
    CHECK_EQUAL(steps[1].length_ns, 500 * WEFT_MSEC);
    CHECK(fabs(steps[3].from_per_s - 200) < 1e-9 && fabs(steps[3].to_per_s - 0.5) < 1e-9);
    CHECK_EQUAL(steps[3].length_ns, 90 * WEFT_SEC);
}

TEST(what_is_no_profile_is_refused_with_a_reason)
{
    static const struct {
        const char *text, *reason;
    } vectors[] = {
        {"", "a rate is a number"},
        {"x", "a rate is a number"},
        {"-1", "a rate is a number"},
        {"inf", "a rate is a number"},
        {"0x10", "a rate is a number"},
        {" 5", "a rate is a number"},
        {"5/s", "a length is a duration"},
        {"5/", "a length is a duration"},
        {"5/0", "a length is a duration"},
        {"/5s", "a rate is a number"},
        {"5:10", "a ramp needs its length"},
        {"5:/5s", "a rate is a number"},
        {"5:6:7/5s", "a rate is a number"},
        {"5/5s,", "a rate is a number"},
        {"5/5s,,6/5s", "a rate is a number"},
        {"5,6/5s", "needs its length"},
        {"0", "below 0.001"},
        {"1e-9", "below 0.001"},
        {"0/5s", "below 0.001"},
        {"1e10", "not between"},
        {"1e999", "not between"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_load_step steps[WEFT_LOAD_STEPS_MAX];
        const char *reason = "";
        size_t count = 77;
        CHECK_EQUAL(weft_load_steps_parse(steps, &count, vectors[i].text, &reason), -EINVAL);
        CHECK(strstr(reason, vectors[i].reason));
        if (!strstr(reason, vectors[i].reason))
            test_note("'%s': %s", vectors[i].text, reason);
        CHECK_EQUAL(count, 77);
    }
}

TEST(there_are_at_most_64_steps)
{
    struct weft_load_step steps[WEFT_LOAD_STEPS_MAX];
    const char *reason = "";
    size_t count;
    char text[65 * 5 + 1] = "";
    for (int i = 0; i < 64; i++)
        strcat(text, i ? ",1/1s" : "1/1s");
    CHECK_EQUAL(weft_load_steps_parse(steps, &count, text, &reason), 0);
    CHECK_EQUAL(count, 64);
    strcat(text, ",1/1s");
    CHECK_EQUAL(weft_load_steps_parse(steps, &count, text, &reason), -EINVAL);
    CHECK(strstr(reason, "more than 64"));
}
