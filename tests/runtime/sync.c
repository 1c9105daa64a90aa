/* SPDX-License-Identifier: MIT
 * sync.c - who is served when, and what is misuse. Cancelling and deadlines are in blocking.c,
 * several workers in storm.c. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>
#include <weft/select.h>
#include <weft/sync.h>

#include <errno.h>
#include <string.h>

/* What happened, one letter each. */
static char diary[64];

static void note(char letter)
{
    size_t len = strlen(diary);
    diary[len] = letter;
    diary[len + 1] = 0;
}

static struct weft_mutex mutex;
static struct weft_rwlock rwlock;
static struct weft_condition condition;
static struct weft_semaphore semaphore;
static struct weft_barrier barrier;
static struct weft_once once;
static struct weft_event event;
static struct weft_latch latch;

/* Run fn with each of the letters as its argument, in this order, one fiber each. */
static void start(struct weft_group *group, int (*fn)(void *), const char *letters)
{
    diary[0] = 0;
    REQUIRE(weft_group_init(group, NULL) == 0);
    for (; *letters; letters++) {
        const struct weft_spawn_options options = {.copy_bytes = 1};
        char letter = *letters;
        CHECK_EQUAL(weft_spawn_with(group, fn, &letter, &options), 0);
    }
    CHECK_EQUAL(weft_yield(), 0);
}

static void finish(struct weft_group *group, const char *expected)
{
    CHECK_EQUAL(weft_group_wait(group), 0);
    CHECK_EQUAL(strcmp(diary, expected), 0);
    if (strcmp(diary, expected) != 0)
        test_note("actual \"%s\", expected \"%s\"", diary, expected);
}

/* ---- mutex ------------------------------------------------------------------------------- */

static int lock_and_note(void *arg)
{
    char letter = *(char *)arg;
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), 0);
    note(letter);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), 0); /* behind who waits already */
    note((char)(letter - 'a' + 'A'));
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    return 0;
}

FIBER_TEST(a_mutex_is_handed_over_in_the_order_of_waiting)
{
    struct weft_group group;
    CHECK_EQUAL(weft_mutex_init(&mutex, WEFT_AUTO), 0);
    start(&group, lock_and_note, "abc");
    finish(&group, "abcABC");
}

static int unlock_only(void *arg)
{
    (void)arg;
    CHECK_EQUAL(weft_mutex_unlock(&mutex), -EPERM);
    CHECK_EQUAL(weft_rwlock_unlock_write(&rwlock), -EPERM);
    return 0;
}

FIBER_TEST(only_the_holder_unlocks_and_it_does_not_lock_twice)
{
    struct weft_group group;
    CHECK_EQUAL(weft_mutex_init(&mutex, WEFT_SHARED), 0);
    CHECK_EQUAL(weft_rwlock_init(&rwlock, WEFT_SHARED), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), -EPERM);
    CHECK_EQUAL(weft_rwlock_unlock_read(&rwlock), -EPERM);
    CHECK_EQUAL(weft_rwlock_unlock_write(&rwlock), -EPERM);
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_rwlock_lock_write(&rwlock, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), -EDEADLK);
    CHECK_EQUAL(weft_rwlock_lock_write(&rwlock, WEFT_FOREVER), -EDEADLK);
    CHECK_EQUAL(weft_rwlock_lock_read(&rwlock, WEFT_FOREVER), -EDEADLK);
    start(&group, unlock_only, "x");
    finish(&group, "");
    CHECK_EQUAL(on_a_thread(unlock_only, NULL), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_rwlock_unlock_write(&rwlock), 0);
}

FIBER_TEST(a_cancelled_holder_still_unlocks)
{
    struct weft_scope scope;
    CHECK_EQUAL(weft_mutex_init(&mutex, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_semaphore_init(&semaphore, 1, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_event_init(&event, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore, 1, WEFT_FOREVER), 0);
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_semaphore_release(&semaphore, 1), 0);
    CHECK_EQUAL(weft_event_set(&event), 0);
    CHECK_EQUAL(weft_scope_leave(&scope, 0), 0);
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
    CHECK_EQUAL(weft_semaphore_available(&semaphore), 1);
    CHECK_EQUAL(weft_event_is_set(&event), 1);
}

/* ---- read-write lock --------------------------------------------------------------------- */

/* A capital writes. */
static int read_or_write(void *arg)
{
    char letter = *(char *)arg;
    bool write = letter < 'a';
    int err = write ? weft_rwlock_lock_write(&rwlock, WEFT_FOREVER)
                    : weft_rwlock_lock_read(&rwlock, WEFT_FOREVER);
    if (err < 0) {
        note('-');
        return 0;
    }
    note(letter);
    CHECK_EQUAL(weft_sleep(10), 0);
    note('.');
    CHECK_EQUAL(write ? weft_rwlock_unlock_write(&rwlock) : weft_rwlock_unlock_read(&rwlock), 0);
    return 0;
}

FIBER_TEST(writers_are_not_starved_and_readers_go_in_together)
{
    struct weft_group group;
    CHECK_EQUAL(weft_rwlock_init(&rwlock, WEFT_AUTO), 0);
    start(&group, read_or_write, "abCdEfG");
    finish(&group, "ab..C.df..E.G.");
}

FIBER_TEST(a_writer_that_gives_up_lets_the_readers_behind_it_in)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_group readers, writers;
        CHECK_EQUAL(weft_rwlock_init(&rwlock, sharing), 0);
        CHECK_EQUAL(weft_rwlock_lock_read(&rwlock, WEFT_FOREVER), 0);
        start(&writers, read_or_write, "W");
        start(&readers, read_or_write, "ab");
        CHECK_EQUAL(strcmp(diary, ""), 0);
        weft_group_cancel(&writers, 0);
        CHECK_EQUAL(weft_group_wait(&writers), 0);
        finish(&readers, "-ab..");
        CHECK_EQUAL(weft_rwlock_unlock_read(&rwlock), 0);
        CHECK_EQUAL(weft_rwlock_lock_write(&rwlock, WEFT_NOWAIT), 0);
        CHECK_EQUAL(weft_rwlock_unlock_write(&rwlock), 0);
    }
}

/* ---- condition --------------------------------------------------------------------------- */

static int wait_and_note(void *arg)
{
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), 0);
    int err = weft_condition_wait(&condition, &mutex, WEFT_FOREVER);
    note(err == 0 ? *(char *)arg : '-');
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0); /* held in every case */
    return 0;
}

static void init_condition(enum weft_sharing sharing)
{
    CHECK_EQUAL(weft_mutex_init(&mutex, sharing), 0);
    CHECK_EQUAL(weft_condition_init(&condition, sharing), 0);
}

FIBER_TEST(a_signal_wakes_the_first_a_broadcast_all)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_group group;
        init_condition(sharing);
        start(&group, wait_and_note, "abcd");
        CHECK_EQUAL(weft_condition_signal(&condition), 0);
        CHECK_EQUAL(weft_sleep(1), 0);
        CHECK_EQUAL(strcmp(diary, "a"), 0);
        CHECK_EQUAL(weft_condition_broadcast(&condition), 0);
        finish(&group, "abcd");
    }
}

FIBER_TEST(a_cancelled_condition_wait_returns_with_the_mutex_and_takes_no_signal)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        struct weft_group group, other;
        init_condition(cancel_first ? WEFT_SHARED : WEFT_LOCAL);
        start(&group, wait_and_note, "a");
        start(&other, wait_and_note, "b");
        CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), 0); /* it must wait for that too */
        if (cancel_first)
            weft_group_cancel(&group, 0);
        CHECK_EQUAL(weft_condition_signal(&condition), 0);
        weft_group_cancel(&group, 0);
        CHECK_EQUAL(weft_sleep(1), 0);
        CHECK_EQUAL(strcmp(diary, ""), 0);
        CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        if (!cancel_first)
            CHECK_EQUAL(weft_condition_signal(&condition), 0);
        CHECK_EQUAL(weft_group_wait(&other), 0);
        CHECK_EQUAL(strcmp(diary, cancel_first ? "-b" : "ab"), 0);
    }
}

FIBER_TEST(a_condition_wait_needs_the_mutex_and_keeps_deadlines)
{
    init_condition(WEFT_AUTO);
    CHECK_EQUAL(weft_condition_wait(&condition, &mutex, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_condition_wait(&condition, &mutex, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_condition_wait(&condition, &mutex, weft_now() + 10), -ETIMEDOUT);
    CHECK_EQUAL(weft_mutex_unlock(&mutex), 0);
}

/* ---- semaphore --------------------------------------------------------------------------- */

/* As many permits as the letter's place in the alphabet. */
static int acquire_and_note(void *arg)
{
    char letter = *(char *)arg;
    int err = weft_semaphore_acquire(&semaphore, (uint32_t)(letter - 'a' + 1), WEFT_FOREVER);
    note(err == 0 ? letter : '-');
    return 0;
}

FIBER_TEST(a_big_request_is_not_overtaken)
{
    struct weft_group group;
    CHECK_EQUAL(weft_semaphore_init(&semaphore, 2, WEFT_AUTO), 0);
    start(&group, acquire_and_note, "eab");
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore, 1, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_semaphore_release(&semaphore, 2), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(strcmp(diary, ""), 0);
    CHECK_EQUAL(weft_semaphore_release(&semaphore, 2), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(strcmp(diary, "ea"), 0);
    CHECK_EQUAL(weft_semaphore_release(&semaphore, 2), 0);
    finish(&group, "eab");
    CHECK_EQUAL(weft_semaphore_available(&semaphore), 0);
}

FIBER_TEST(a_big_request_that_gives_up_lets_the_small_ones_go)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_group big, small;
        CHECK_EQUAL(weft_semaphore_init(&semaphore, 3, sharing), 0);
        start(&big, acquire_and_note, "e");
        start(&small, acquire_and_note, "ab");
        weft_group_cancel(&big, 0);
        CHECK_EQUAL(weft_group_wait(&big), 0);
        finish(&small, "-ab");
    }
}

FIBER_TEST(a_resize_honours_what_is_out)
{
    struct weft_group group;
    CHECK_EQUAL(weft_semaphore_init(&semaphore, 4, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore, 4, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_semaphore_resize(&semaphore, 1), 0);
    CHECK_EQUAL(weft_semaphore_available(&semaphore), -3);
    start(&group, acquire_and_note, "a");
    CHECK_EQUAL(weft_semaphore_release(&semaphore, 3), 0);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(strcmp(diary, ""), 0);
    CHECK_EQUAL(weft_semaphore_resize(&semaphore, 2), 0);
    finish(&group, "a");
    CHECK_EQUAL(weft_semaphore_release(&semaphore, 2), 0);
    CHECK_EQUAL(weft_semaphore_available(&semaphore), 2);
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore, 0, WEFT_NOWAIT), -EINVAL);
    CHECK_EQUAL(weft_semaphore_release(&semaphore, UINT32_MAX), -EOVERFLOW);
    CHECK_EQUAL(weft_semaphore_release(&semaphore, UINT32_MAX - 2), 0);
    CHECK_EQUAL(weft_semaphore_resize(&semaphore, 3), -EOVERFLOW);
    CHECK_EQUAL(weft_semaphore_available(&semaphore), UINT32_MAX);
}

/* ---- event, barrier, once, latch ---------------------------------------------------------- */

static int event_and_note(void *arg)
{
    CHECK_EQUAL(weft_event_wait(&event, WEFT_FOREVER), 0);
    note(*(char *)arg);
    return 0;
}

FIBER_TEST(an_event_that_is_cleared_at_once_has_still_woken_who_waited)
{
    struct weft_group group;
    CHECK_EQUAL(weft_event_init(&event, WEFT_AUTO), 0);
    start(&group, event_and_note, "abc");
    CHECK_EQUAL(weft_event_set(&event), 0);
    CHECK_EQUAL(weft_event_clear(&event), 0);
    finish(&group, "abc");
    CHECK_EQUAL(weft_event_is_set(&event), 0);
    CHECK_EQUAL(weft_event_wait(&event, WEFT_NOWAIT), -EAGAIN);
}

static int pass_and_note(void *arg)
{
    int result = weft_barrier_wait(&barrier, WEFT_FOREVER);
    note(result < 0 ? '-' : result == 1 ? '!' : *(char *)arg);
    return 0;
}

FIBER_TEST(a_barrier_opens_for_all_and_tells_one)
{
    struct weft_group group;
    CHECK_EQUAL(weft_barrier_init(&barrier, 0, WEFT_AUTO), -EINVAL);
    CHECK_EQUAL(weft_barrier_init(&barrier, 3, WEFT_AUTO), 0);
    start(&group, pass_and_note, "abcde"); /* c completes the round; d and e begin another */
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_barrier_wait(&barrier, WEFT_FOREVER), 1);
    finish(&group, "!abde");
}

FIBER_TEST(who_gives_up_at_a_barrier_frees_its_place)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_group group, patient;
        CHECK_EQUAL(weft_barrier_init(&barrier, 2, sharing), 0);
        CHECK_EQUAL(weft_barrier_wait(&barrier, WEFT_NOWAIT), -EAGAIN);
        CHECK_EQUAL(weft_barrier_wait(&barrier, weft_now() + 10), -ETIMEDOUT);
        start(&group, pass_and_note, "a");
        weft_group_cancel(&group, 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(strcmp(diary, "-"), 0);
        start(&patient, pass_and_note, "b");
        CHECK_EQUAL(weft_barrier_wait(&barrier, WEFT_NOWAIT), 1);
        finish(&patient, "b");
        /* The round is complete before it has left: it was part of it. */
        start(&group, pass_and_note, "c");
        weft_group_cancel(&group, 0);
        CHECK_EQUAL(weft_barrier_wait(&barrier, WEFT_NOWAIT), 1);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(strcmp(diary, "c"), 0);
    }
}

static int fail_then_succeed(void *arg)
{
    int *runs = arg;
    CHECK_EQUAL(weft_once_run(&once, fail_then_succeed, arg, WEFT_FOREVER), -EDEADLK);
    int err = weft_sleep(10);
    ++*runs;
    return err < 0 ? err : *runs == 1 ? -EIO : 5;
}

static int once_runs;

static int run_once(void *arg)
{
    int result = weft_once_run(&once, fail_then_succeed, &once_runs, WEFT_FOREVER);
    note(result == 5 ? *(char *)arg : result == -EIO ? '!' : '-');
    return 0;
}

FIBER_TEST(once_is_tried_again_after_a_failure_or_a_cancellation)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_group group, others;
        once_runs = 0;
        CHECK_EQUAL(weft_once_init(&once, sharing), 0);
        start(&others, run_once, "a");
        CHECK_EQUAL(weft_sleep(10), 0);
        CHECK_EQUAL(strcmp(diary, "!"), 0);
        CHECK_EQUAL(weft_group_wait(&others), 0);
        start(&group, run_once, "b");
        CHECK_EQUAL(weft_once_run(&once, fail_then_succeed, &once_runs, WEFT_NOWAIT), -EAGAIN);
        CHECK_EQUAL(weft_once_run(&once, fail_then_succeed, &once_runs, weft_now() + 5),
                    -ETIMEDOUT);
        start(&others, run_once, "cd");
        weft_group_cancel(&group, 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        finish(&others, "-cd");
        CHECK_EQUAL(once_runs, 3);
        CHECK_EQUAL(weft_once_run(&once, fail_then_succeed, &once_runs, WEFT_NOWAIT), 5);
        CHECK_EQUAL(once_runs, 3);
    }
}

static int latch_and_note(void *arg)
{
    CHECK_EQUAL(weft_latch_wait(&latch, WEFT_FOREVER), 0);
    note(*(char *)arg);
    return 0;
}

FIBER_TEST(a_latch_opens_at_zero_and_stays_open)
{
    struct weft_group group;
    CHECK_EQUAL(weft_latch_init(&latch, 3, WEFT_AUTO), 0);
    start(&group, latch_and_note, "ab");
    CHECK_EQUAL(weft_latch_count_down(&latch, 2), 0);
    CHECK_EQUAL(weft_latch_count_down(&latch, 2), -EINVAL);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(strcmp(diary, ""), 0);
    CHECK_EQUAL(weft_latch_count_down(&latch, 1), 0);
    finish(&group, "ab");
    CHECK_EQUAL(weft_latch_wait(&latch, WEFT_NOWAIT), 0);
}

/* ---- strangers ----------------------------------------------------------------------------- */

static int touch_everything(void *arg)
{
    (void)arg;
    CHECK_EQUAL(weft_mutex_unlock(&mutex), -EPERM);
    CHECK_EQUAL(weft_rwlock_unlock_read(&rwlock), -EPERM);
    CHECK_EQUAL(weft_rwlock_unlock_write(&rwlock), -EPERM);
    CHECK_EQUAL(weft_condition_signal(&condition), -EPERM);
    CHECK_EQUAL(weft_condition_broadcast(&condition), -EPERM);
    CHECK_EQUAL(weft_event_set(&event), -EPERM);
    CHECK_EQUAL(weft_event_clear(&event), -EPERM);
    CHECK_EQUAL(weft_event_is_set(&event), -EPERM);
    CHECK_EQUAL(weft_semaphore_available(&semaphore), 0);
    CHECK_EQUAL(weft_semaphore_release(&semaphore, 1), -EPERM);
    CHECK_EQUAL(weft_semaphore_resize(&semaphore, 1), -EPERM);
    CHECK_EQUAL(weft_barrier_wait(&barrier, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_once_run(&once, touch_everything, NULL, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_latch_count_down(&latch, 1), -EPERM);
    return 0;
}

static void init_everything(enum weft_sharing sharing, int expected)
{
    CHECK_EQUAL(weft_mutex_init(&mutex, sharing), expected);
    CHECK_EQUAL(weft_rwlock_init(&rwlock, sharing), expected);
    CHECK_EQUAL(weft_condition_init(&condition, sharing), expected);
    CHECK_EQUAL(weft_event_init(&event, sharing), expected);
    CHECK_EQUAL(weft_semaphore_init(&semaphore, 1, sharing), expected);
    CHECK_EQUAL(weft_barrier_init(&barrier, 1, sharing), expected);
    CHECK_EQUAL(weft_once_init(&once, sharing), expected);
    CHECK_EQUAL(weft_latch_init(&latch, 1, sharing), expected);
}

static void refuse_everything(void)
{
    struct weft_case cases[] = {weft_case_event(&event), weft_case_acquire(&semaphore, 1)};
    (void)touch_everything(NULL);
    CHECK_EQUAL(weft_mutex_lock(&mutex, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_rwlock_lock_read(&rwlock, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_rwlock_lock_write(&rwlock, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_condition_wait(&condition, &mutex, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_event_wait(&event, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_semaphore_acquire(&semaphore, 1, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_latch_wait(&latch, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_select(&cases[0], 1, WEFT_FOREVER, 0), -EPERM);
    CHECK_EQUAL(weft_select(&cases[1], 1, WEFT_FOREVER, 0), -EPERM);
}

TEST(an_object_whose_init_failed_refuses_every_call)
{
    memset(&mutex, 0xff, sizeof mutex);
    init_everything(WEFT_LOCAL, -EPERM); /* no runtime */
    refuse_everything();
    init_everything((enum weft_sharing)9, -EINVAL);
    refuse_everything();
    CHECK_EQUAL(weft_barrier_init(&barrier, 0, WEFT_SHARED), -EINVAL);
    CHECK_EQUAL(weft_barrier_wait(&barrier, WEFT_FOREVER), -EPERM);
}

FIBER_TEST(an_object_of_zeros_refuses_every_call)
{
    memset(&mutex, 0, sizeof mutex);
    memset(&rwlock, 0, sizeof rwlock);
    memset(&condition, 0, sizeof condition);
    memset(&event, 0, sizeof event);
    memset(&semaphore, 0, sizeof semaphore);
    memset(&barrier, 0, sizeof barrier);
    memset(&once, 0, sizeof once);
    memset(&latch, 0, sizeof latch);
    refuse_everything();
}

/* ---- giving way ---------------------------------------------------------------------------- */

static int stop_spinning;

static int stop_spinner(void *arg)
{
    (void)arg;
    stop_spinning = 1;
    return 0;
}

static int succeed(void *arg)
{
    (void)arg;
    return 0;
}

static int fail(void *arg)
{
    (void)arg;
    return -EIO;
}

static int pass_barrier(void)
{
    return weft_barrier_wait(&barrier, WEFT_FOREVER) == 1;
}

static int ask_what_is_done(void)
{
    return weft_once_run(&once, succeed, NULL, WEFT_FOREVER) == 0;
}

static int try_in_vain(void)
{
    return weft_once_run(&once, fail, NULL, WEFT_FOREVER) == -EIO;
}

FIBER_TEST(calls_that_never_wait_give_way_all_the_same)
{
    int (*const calls[])(void) = {pass_barrier, try_in_vain, ask_what_is_done};
    CHECK_EQUAL(weft_barrier_init(&barrier, 1, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_once_init(&once, WEFT_AUTO), 0);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct weft_group group;
        int count = 0;
        stop_spinning = 0;
        REQUIRE(weft_group_init(&group, NULL) == 0);
        CHECK_EQUAL(weft_spawn(&group, stop_spinner, NULL), 0);
        while (!stop_spinning && count < 1000 && calls[i]())
            count++;
        CHECK(stop_spinning);
        CHECK_EQUAL(weft_group_wait(&group), 0);
    }
}

FIBER_TEST(local_objects_are_not_for_other_threads)
{
    init_everything(WEFT_LOCAL, 0);
    CHECK_EQUAL(weft_rwlock_lock_read(&rwlock, WEFT_NOWAIT), 0);
    CHECK_EQUAL(on_a_thread(touch_everything, NULL), 0);
}

static int wait_for_a_local_condition(void *arg)
{
    struct weft_mutex held;
    CHECK_EQUAL(weft_mutex_init(&held, WEFT_LOCAL), 0);
    CHECK_EQUAL(weft_mutex_lock(&held, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_condition_wait(arg, &held, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_mutex_unlock(&held), 0);
    return 0;
}

static int spawn_away_from_a_condition(void *arg)
{
    struct weft_condition local;
    struct weft_group group;
    (void)arg;
    CHECK_EQUAL(weft_condition_init(&local, WEFT_LOCAL), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, wait_for_a_local_condition, &local,
                                &(struct weft_spawn_options){.worker = WEFT_WORKER(1)}),
                0);
    return weft_group_wait(&group);
}

TEST(a_local_condition_of_another_worker_leaves_the_mutex_locked)
{
    CHECK_EQUAL(
        weft_run(&(struct weft_run_options){.workers = 2}, spawn_away_from_a_condition, NULL), 0);
}
