/* SPDX-License-Identifier: MIT
 * watch.c - when a fiber is said to run for too long, at made-up times. */
#include "test.h"

#include <runtime/watch.h>

#define LIMIT_NS (100 * WEFT_MSEC)

static struct weft_worker worker;
static struct weft_fiber fiber;

/* Look so often, at such a distance from each other, at a fiber that goes on running. */
static int64_t look(struct weft_slice *slice, int64_t now_ns, unsigned looks, int64_t apart_ns)
{
    for (unsigned i = 0; i < looks; i++) {
        now_ns += apart_ns;
        CHECK(weft_slice_look(slice, &worker, now_ns, LIMIT_NS));
    }
    return now_ns;
}

TEST(a_fiber_that_runs_on_exceeds_its_limit)
{
    struct weft_slice slice = {0};
    int64_t now_ns = WEFT_SEC, pause_ns = weft_slice_pause(LIMIT_NS);
    worker.current = &fiber;
    CHECK(!weft_slice_look(&slice, &worker, now_ns, LIMIT_NS));
    now_ns = look(&slice, now_ns, 3, pause_ns);
    CHECK(!weft_slice_exceeds(&slice, now_ns, LIMIT_NS));
    CHECK(weft_slice_exceeds(&slice, look(&slice, now_ns, 1, pause_ns), LIMIT_NS));
    worker.rounds++;
    CHECK(!weft_slice_look(&slice, &worker, now_ns, LIMIT_NS));
    CHECK_EQUAL(slice.looks, 0);
}

TEST(many_looks_before_the_process_was_stopped_do_not_make_it_a_long_run)
{
    struct weft_slice slice = {0};
    int64_t now_ns = WEFT_SEC;
    worker.current = &fiber;
    CHECK(!weft_slice_look(&slice, &worker, now_ns, LIMIT_NS));
    now_ns = look(&slice, now_ns, 20, WEFT_MSEC); /* somebody else wants to look so often */
    now_ns = look(&slice, now_ns, 1, 60 * WEFT_SEC);
    CHECK(!weft_slice_exceeds(&slice, now_ns, LIMIT_NS));
    now_ns = look(&slice, now_ns, 20, WEFT_MSEC);
    CHECK(!weft_slice_exceeds(&slice, now_ns, LIMIT_NS));
    now_ns = look(&slice, now_ns, 100, WEFT_MSEC);
    CHECK(weft_slice_exceeds(&slice, now_ns, LIMIT_NS));
}

TEST(a_worker_that_runs_no_fiber_is_not_slow)
{
    struct weft_slice slice = {0};
    worker.current = NULL;
    for (int64_t now_ns = WEFT_SEC; now_ns < 60 * WEFT_SEC; now_ns += WEFT_SEC) {
        CHECK(!weft_slice_look(&slice, &worker, now_ns, LIMIT_NS));
        CHECK(!weft_slice_exceeds(&slice, now_ns, LIMIT_NS));
    }
}
