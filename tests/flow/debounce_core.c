/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <flow/debounce_core.h>

#include <weft/base.h>

#include <string.h>

/* Play a script on a core, one time unit per letter: c is a call, a dot is none. Whenever the core
 * asks for it, and at every step, it is asked whether to run: r, else a dot. */
static void play(struct weft_debounce_core core, const char *script, const char *expected)
{
    char actual[64] = {0};
    for (size_t i = 0; script[i]; i++) {
        int64_t now_ns = 1000 + (int64_t)i;
        if (script[i] == 'c')
            weft_debounce_core_call(&core, now_ns);
        bool asked = weft_debounce_core_next(&core) <= now_ns;
        bool run = weft_debounce_core_take(&core, now_ns);
        CHECK(asked || !run); /* it runs only when it has said so before */
        actual[i] = run ? 'r' : '.';
    }
    CHECK_EQUAL(strcmp(actual, expected), 0);
    if (strcmp(actual, expected) != 0)
        test_note("script   %s\n# expected %s\n# actual   %s", script, expected, actual);
}

static const struct weft_debounce_core trailing = {
    .wait_ns = 3, .wait_max_ns = WEFT_FOREVER, .trailing = true};
static const struct weft_debounce_core leading = {
    .wait_ns = 3, .wait_max_ns = WEFT_FOREVER, .leading = true};
static const struct weft_debounce_core both = {
    .wait_ns = 3, .wait_max_ns = WEFT_FOREVER, .leading = true, .trailing = true};

TEST(trailing_runs_when_it_has_been_quiet)
{
    play(trailing, "c.......", "...r....");
    play(trailing, "c.c.c......", ".......r...");
    play(trailing, "c...c......", "...r...r...");
    play(trailing, "cccccccccccc....", "..............r.");
}

TEST(leading_runs_at_once_and_not_again_before_it_was_quiet)
{
    play(leading, "c.......", "r.......");
    play(leading, "c.c.c.c...c..", "r.........r..");
    play(leading, "c..c..", "r..r..");
}

TEST(both_run_at_the_end_only_after_a_second_call)
{
    play(both, "c.......", "r.......");
    play(both, "cc......", "r...r...");
    play(both, "c.c....c....", "r....r.r....");
}

TEST(a_window_that_does_not_close_runs_every_so_often)
{
    struct weft_debounce_core core = trailing;
    core.wait_max_ns = 5;
    play(core, "cccccccccccc......", ".....r....r...r...");
    core.leading = true;
    play(core, "cccccccccccc......", "r....r....r...r...");
    core.trailing = false;
    play(core, "ccccccccccccc.....", "r....r....r.......");
}

TEST(spaced_runs_are_never_less_than_the_interval_apart)
{
    struct weft_debounce_core core = both;
    core.spaced = true;
    play(core, "c..c..c..", "r..r..r..");
    play(core, "cc.....", "r..r...");
    play(core, "cc..c......", "r..r..r....");
    play(core, "cccccccccc......", "r..r..r..r......");
    play(core, "c....c....", "r....r....");
}

TEST(a_spaced_run_that_comes_late_moves_the_next_one)
{
    struct weft_debounce_core core = both;
    core.spaced = true;
    weft_debounce_core_call(&core, 100);
    CHECK(weft_debounce_core_take(&core, 110)); /* something was in the way */
    weft_debounce_core_call(&core, 111);
    CHECK_EQUAL(weft_debounce_core_next(&core), 113);
}

TEST(a_run_that_is_due_does_for_calls_that_come_before_it)
{
    struct weft_debounce_core core = both;
    weft_debounce_core_call(&core, 100);
    weft_debounce_core_call(&core, 101);
    CHECK(weft_debounce_core_take(&core, 101));
    CHECK_EQUAL(weft_debounce_core_next(&core), 104);
    CHECK(!weft_debounce_core_take(&core, 104));
    CHECK_EQUAL(weft_debounce_core_next(&core), WEFT_FOREVER);
}

TEST(what_is_forgotten_does_not_run)
{
    struct weft_debounce_core core = trailing;
    CHECK(!weft_debounce_core_forget(&core));
    weft_debounce_core_call(&core, 100);
    CHECK(weft_debounce_core_forget(&core));
    CHECK(!weft_debounce_core_take(&core, 200));
    CHECK_EQUAL(weft_debounce_core_next(&core), WEFT_FOREVER);
}

TEST(a_clock_that_goes_back_neither_shortens_nor_overflows_a_window)
{
    struct weft_debounce_core core = trailing;
    weft_debounce_core_call(&core, 100);
    weft_debounce_core_call(&core, 50);
    CHECK_EQUAL(weft_debounce_core_next(&core), 103);
    core.wait_ns = WEFT_FOREVER;
    CHECK_EQUAL(weft_debounce_core_next(&core), WEFT_FOREVER);
}
