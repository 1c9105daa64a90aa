/* SPDX-License-Identifier: MIT
 * select.c - exactly one case happens; and waiting for some of several tasks. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/io.h>
#include <weft/select.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What the other fiber does while a select waits. */
struct helper {
    int64_t sleep_ns;
    int (*act)(void *);
    void *arg;
    int result;
};

static int help(void *arg)
{
    struct helper *helper = arg;
    int err = weft_sleep(helper->sleep_ns);
    return err < 0 ? err : (helper->result = helper->act(helper->arg));
}

static int send_nine(void *channel)
{
    int nine = 9;
    return weft_send(channel, &nine, WEFT_FOREVER);
}

static int set_it(void *event)
{
    return weft_event_set(event);
}

static void make_channel(struct weft_channel *channel, size_t capacity, enum weft_sharing sharing)
{
    const struct weft_channel_options options = {
        .item_bytes = sizeof(int), .capacity = capacity, .sharing = sharing};
    REQUIRE(weft_channel_init_with(channel, &options) == 0);
}

FIBER_TEST(the_ready_case_wins_and_the_others_have_no_effect)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_channel a, b;
        struct weft_event event;
        struct weft_semaphore semaphore;
        int in = 1, out = 0;
        make_channel(&a, 1, sharing);
        make_channel(&b, 1, sharing);
        CHECK_EQUAL(weft_event_init(&event, sharing), 0);
        CHECK_EQUAL(weft_semaphore_init(&semaphore, 1, sharing), 0);
        struct weft_case cases[] = {weft_case_receive(&a, &out), weft_case_event(&event),
                                    weft_case_acquire(&semaphore, 2), weft_case_send(&b, &in)};
        CHECK_EQUAL(weft_select(cases, 4, WEFT_FOREVER, 0), 3);
        CHECK_EQUAL(cases[3].result, 0);
        CHECK_EQUAL(weft_select(cases, 4, WEFT_NOWAIT, 0), -EAGAIN);
        CHECK_EQUAL(weft_select(cases, 4, weft_now() + 5, 0), -ETIMEDOUT);
        CHECK_EQUAL(weft_semaphore_release(&semaphore, 1), 0);
        CHECK_EQUAL(weft_select(cases, 4, WEFT_FOREVER, 0), 2);
        CHECK_EQUAL(weft_semaphore_available(&semaphore), 0);
        CHECK_EQUAL(weft_event_set(&event), 0);
        CHECK_EQUAL(weft_select(cases, 4, WEFT_NOWAIT, 0), 1);
        CHECK_EQUAL(weft_channel_len(&a), 0);
        CHECK_EQUAL(weft_channel_len(&b), 1);
        weft_channel_deinit(&a);
        weft_channel_deinit(&b);
    }
}

static void check_later(enum weft_sharing of_first, enum weft_sharing of_second)
{
    struct weft_channel a, b;
    struct weft_group group;
    int first = 0, second = 0;
    make_channel(&a, 0, of_first);
    make_channel(&b, 0, of_second);
    struct helper helper = {10, send_nine, &b, 0};
    int64_t start_ns = weft_now();
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, help, &helper), 0);
    struct weft_case cases[] = {weft_case_receive(&a, &first), weft_case_receive(&b, &second),
                                weft_case_timer(start_ns + 100)};
    CHECK_EQUAL(weft_select(cases, 3, WEFT_FOREVER, 0), 1);
    CHECK_EQUAL(second, 9);
    CHECK_EQUAL(weft_now() - start_ns, 10);
    CHECK_EQUAL(weft_select(cases, 3, WEFT_FOREVER, 0), 2); /* the timer */
    CHECK_EQUAL(weft_now() - start_ns, 100);
    CHECK_EQUAL(weft_select(cases, 3, WEFT_NOWAIT, 0), 2);
    cases[2] = weft_case_timer(weft_now() + 50);
    CHECK_EQUAL(weft_select(cases, 3, weft_now() + 49, 0), -ETIMEDOUT);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_send(&a, &first, WEFT_NOWAIT), -EAGAIN); /* nobody is left waiting */
    weft_channel_deinit(&a);
    weft_channel_deinit(&b);
}

FIBER_TEST(a_case_that_becomes_ready_later_wakes_the_select)
{
    check_later(WEFT_LOCAL, WEFT_LOCAL);
    check_later(WEFT_LOCAL, WEFT_SHARED);
    check_later(WEFT_SHARED, WEFT_LOCAL);
    check_later(WEFT_SHARED, WEFT_SHARED);
}

FIBER_TEST(a_closed_channel_is_a_ready_case_with_the_reason)
{
    struct weft_channel a, b;
    struct weft_priority_queue queue;
    int item = 0;
    make_channel(&a, 0, WEFT_AUTO);
    make_channel(&b, 0, WEFT_AUTO);
    CHECK_EQUAL(weft_priority_queue_init(&queue, sizeof item, 1, WEFT_AUTO), 0);
    struct weft_case cases[] = {weft_case_receive(&a, &item), weft_case_send(&b, &item),
                                weft_case_pop(&queue, &item)};
    weft_channel_close(&b, -ENOLINK);
    CHECK_EQUAL(weft_select(cases, 3, WEFT_FOREVER, 0), 1);
    CHECK_EQUAL(cases[1].result, -ENOLINK);
    cases[1] = (struct weft_case){0};
    CHECK_EQUAL(weft_priority_queue_close(&queue, -ETIMEDOUT), 0); /* not the select's own */
    CHECK_EQUAL(weft_select(cases, 3, WEFT_FOREVER, 0), 2);
    CHECK_EQUAL(cases[2].result, -ETIMEDOUT);
    weft_channel_deinit(&a);
    weft_channel_deinit(&b);
    weft_priority_queue_deinit(&queue);
}

static int close_it(void *channel)
{
    return weft_channel_close(channel, -ECANCELED);
}

FIBER_TEST(closing_wakes_a_select)
{
    struct weft_channel a;
    struct weft_group group;
    int item = 0;
    make_channel(&a, 0, WEFT_SHARED);
    struct helper helper = {10, close_it, &a, 0};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, help, &helper), 0);
    struct weft_case cases[] = {weft_case_send(&a, &item), weft_case_receive(&a, &item)};
    int chosen = weft_select(cases, 2, WEFT_FOREVER, 0);
    REQUIRE(chosen >= 0);
    CHECK_EQUAL(cases[chosen].result, -ECANCELED);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    weft_channel_deinit(&a);
}

FIBER_TEST(a_select_does_not_meet_itself)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_channel a;
        int in = 1, out = 0;
        make_channel(&a, 0, sharing);
        struct weft_case cases[] = {weft_case_send(&a, &in), weft_case_receive(&a, &out)};
        CHECK_EQUAL(weft_select(cases, 2, weft_now() + 10, 0), -ETIMEDOUT);
        CHECK_EQUAL(weft_select(cases, 2, weft_now() + 10, WEFT_SELECT_IN_ORDER), -ETIMEDOUT);
        CHECK_EQUAL(out, 0);
        weft_channel_deinit(&a);
    }
}

static int select_receive(void *channels)
{
    struct weft_channel **both = channels;
    int items[2] = {0, 0};
    struct weft_case cases[] = {weft_case_receive(both[0], &items[0]),
                                weft_case_receive(both[1], &items[1])};
    int chosen = weft_select(cases, 2, WEFT_FOREVER, 0);
    CHECK(chosen >= 0 && items[chosen] == 5 + chosen && items[1 - chosen] == 0);
    return chosen;
}

FIBER_TEST(two_selects_meet_on_one_channel)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_channel a, b;
        struct weft_channel *both[] = {&a, &b};
        struct weft_group group;
        struct weft_task task;
        int five = 5, six = 6;
        make_channel(&a, 0, sharing);
        make_channel(&b, 0, sharing);
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        CHECK_EQUAL(weft_spawn_task(&group, &task, select_receive, both), 0);
        CHECK_EQUAL(weft_yield(), 0);
        struct weft_case cases[] = {weft_case_send(&a, &five), weft_case_send(&b, &six)};
        int chosen = weft_select(cases, 2, WEFT_NOWAIT, 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(task.result, chosen);
        CHECK_EQUAL(weft_select(cases, 2, WEFT_NOWAIT, 0), -EAGAIN);
        weft_channel_deinit(&a);
        weft_channel_deinit(&b);
    }
}

FIBER_TEST(of_several_ready_cases_each_has_its_turn_unless_in_order)
{
    struct weft_event events[4];
    struct weft_case cases[4];
    int chosen[4] = {0};
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_event_init(&events[i], WEFT_AUTO), 0);
        CHECK_EQUAL(weft_event_set(&events[i]), 0);
        cases[i] = weft_case_event(&events[i]);
    }
    for (int i = 0; i < 4000; i++) {
        int index = weft_select(cases, 4, WEFT_FOREVER, 0);
        REQUIRE(index >= 0 && index < 4);
        chosen[index]++;
        CHECK_EQUAL(weft_select(cases, 4, WEFT_FOREVER, WEFT_SELECT_IN_ORDER), 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK(chosen[i] > 800 && chosen[i] < 1200);
}

FIBER_TEST(a_select_waits_for_tasks_and_descriptors)
{
    struct weft_group group;
    struct weft_task task;
    struct weft_event event;
    struct helper helper = {10, set_it, &event, 0};
    int fds[2];
    REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK_EQUAL(weft_event_init(&event, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, help, &helper), 0);
    struct weft_case cases[] = {weft_case_fd(fds[0], WEFT_READABLE), weft_case_task(&task),
                                weft_case_timer(weft_now() + 100)};
    CHECK_EQUAL(weft_select(cases, 3, WEFT_FOREVER, 0), 1);
    CHECK_EQUAL(cases[1].result, 0);
    CHECK_EQUAL(weft_select(cases, 3, WEFT_FOREVER, 0), 1); /* it stays ended */
    CHECK_EQUAL(weft_select(cases, 1, WEFT_NOWAIT, 0), -EAGAIN);
    REQUIRE(write(fds[1], "x", 1) == 1);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(cases[0].result, 0);
    cases[0] = weft_case_fd(fds[1], WEFT_WRITABLE);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(cases[0].result, -EBADF);
}

struct wish {
    struct weft_semaphore *semaphore;
    struct weft_event *event; /* NULL: plain acquire */
    uint32_t count;
    int result;
};

static int get_wish(void *arg)
{
    struct wish *wish = arg;
    wish->result = 7;
    if (!wish->event)
        return wish->result = weft_semaphore_acquire(wish->semaphore, wish->count, WEFT_FOREVER);
    struct weft_case cases[] = {weft_case_acquire(wish->semaphore, wish->count),
                                weft_case_event(wish->event)};
    wish->result = weft_select(cases, 2, WEFT_FOREVER, 0);
    return 0;
}

FIBER_TEST(a_select_keeps_its_place_in_a_queue_and_gives_it_up)
{
    for (enum weft_sharing sharing = WEFT_LOCAL; sharing <= WEFT_SHARED; sharing++) {
        struct weft_semaphore semaphore;
        struct weft_event event;
        struct weft_group group;
        CHECK_EQUAL(weft_semaphore_init(&semaphore, 1, sharing), 0);
        CHECK_EQUAL(weft_event_init(&event, sharing), 0);
        struct wish wishes[] = {
            {&semaphore, &event, 2, 0}, {&semaphore, &event, 3, 0}, {&semaphore, NULL, 1, 0}};
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQUAL(weft_spawn(&group, get_wish, &wishes[i]), 0);
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(weft_semaphore_release(&semaphore, 2), 0); /* 3: the first gets its 2 */
        CHECK_EQUAL(weft_yield(), 0);
        CHECK_EQUAL(wishes[0].result, 0);
        CHECK_EQUAL(wishes[2].result, 7); /* the second, which wants 3, is before it */
        CHECK_EQUAL(weft_event_set(&event), 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(wishes[1].result, 1);
        CHECK_EQUAL(wishes[2].result, 0);
        CHECK_EQUAL(weft_semaphore_available(&semaphore), 0);
    }
}

static int write_byte(void *arg)
{
    int *fd = arg;
    return weft_write(*fd, "x", 1, WEFT_FOREVER) == 1 ? 7 : -EIO;
}

static int close_fd(void *arg)
{
    int *fd = arg;
    return weft_close(*fd);
}

FIBER_TEST(a_descriptor_wakes_a_select_when_it_is_ready_or_closed)
{
    for (int closing = 0; closing < 2; closing++) {
        struct weft_channel channel;
        struct weft_group group;
        int fds[2], item;
        REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
        make_channel(&channel, 0, WEFT_SHARED);
        struct helper helper = {10, closing ? close_fd : write_byte, closing ? &fds[0] : &fds[1],
                                0};
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        CHECK_EQUAL(weft_spawn(&group, help, &helper), 0);
        struct weft_case cases[] = {weft_case_receive(&channel, &item),
                                    weft_case_fd(fds[0], WEFT_READABLE)};
        CHECK_EQUAL(weft_select(cases, 2, WEFT_FOREVER, 0), 1);
        CHECK_EQUAL(cases[1].result, closing ? -EBADF : 0);
        CHECK(weft_group_wait(&group) >= 0);
        if (!closing)
            CHECK_EQUAL(weft_close(fds[0]), 0);
        CHECK_EQUAL(weft_close(fds[1]), 0);
        weft_channel_deinit(&channel);
    }
}

static int select_on(void *cases)
{
    return weft_select(cases, 1, WEFT_FOREVER, 0);
}

FIBER_TEST(a_select_refuses_what_it_cannot_do)
{
    struct weft_case cases[WEFT_SELECT_MAX + 1] = {{0}};
    struct weft_task task = {0};
    struct weft_group group;
    struct weft_event event, shared;
    struct weft_semaphore semaphore;
    CHECK_EQUAL(weft_event_init(&event, WEFT_LOCAL), 0);
    CHECK_EQUAL(weft_event_init(&shared, WEFT_SHARED), 0);
    CHECK_EQUAL(weft_semaphore_init(&semaphore, 1, WEFT_AUTO), 0);
    CHECK_EQUAL(weft_select(cases, 0, WEFT_FOREVER, 0), -EINVAL);
    CHECK_EQUAL(weft_select(cases, WEFT_SELECT_MAX + 1, WEFT_FOREVER, 0), -EINVAL);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 2), -EINVAL);
    CHECK_EQUAL(weft_select(cases, WEFT_SELECT_MAX, weft_now() + 10, 0), -ETIMEDOUT);
    cases[0] = weft_case_acquire(&semaphore, 0);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), -EINVAL);
    cases[0] = weft_case_fd(0, 3);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), -EINVAL);
    cases[0] = weft_case_fd(-1, WEFT_READABLE);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(cases[0].result, -EBADF);
    cases[0] = weft_case_event(&event);
    CHECK_EQUAL(on_a_thread(select_on, cases), -EPERM);
    cases[0] = weft_case_fd(0, WEFT_READABLE);
    CHECK_EQUAL(on_a_thread(select_on, cases), -EPERM);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    task.group = &group;
    cases[0] = weft_case_task(&task);
    CHECK_EQUAL(on_a_thread(select_on, cases), -EPERM);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_event_set(&shared), 0);
    cases[0] = weft_case_event(&shared);
    CHECK_EQUAL(on_a_thread(select_on, cases), 0);
    cases[0] = weft_case_timer(1);
    CHECK_EQUAL(on_a_thread(select_on, cases), 0);
}

/* A timer and a completion at the same moment, in each order: one of them wins. */
FIBER_TEST(a_select_that_loses_its_race_took_nothing)
{
    for (int order = 0; order < 2; order++) {
        struct weft_channel channel;
        struct weft_group group;
        make_channel(&channel, 1, WEFT_SHARED);
        CHECK_EQUAL(weft_group_init(&group, NULL), 0);
        int item = 0;
        struct weft_case cases[] = {weft_case_receive(&channel, &item), weft_case_timer(0)};
        struct helper helper = {10, send_nine, &channel, 0};
        if (order == 0)
            CHECK_EQUAL(weft_spawn(&group, help, &helper), 0);
        CHECK_EQUAL(weft_yield(), 0);
        cases[1] = weft_case_timer(weft_now() + 10);
        if (order == 1)
            CHECK_EQUAL(weft_spawn(&group, help, &helper), 0);
        int chosen = weft_select(cases, 2, WEFT_FOREVER, 0);
        REQUIRE(chosen >= 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(weft_channel_len(&channel), chosen == 0 ? 0 : 1);
        CHECK_EQUAL(item, chosen == 0 ? 9 : 0);
        weft_channel_deinit(&channel);
    }
}

/* ---- some of several tasks --------------------------------------------------------------- */

struct job {
    int64_t sleep_ns;
    int result;
};

static int run_job(void *arg)
{
    const struct job *job = arg;
    int err = weft_sleep(job->sleep_ns);
    return err < 0 ? err : job->result;
}

FIBER_TEST(tasks_are_waited_for_first_first_failed_or_all)
{
    struct job jobs[] = {{30, 1}, {20, -EIO}, {10, 2}, {40, -EBADF}, {5, -ENXIO}};
    struct weft_task tasks[4], other;
    struct weft_group group;
    int64_t start_ns = weft_now();
    CHECK_EQUAL(weft_group_init(&group, &(struct weft_group_options){.policy = WEFT_SUPERVISE}), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(weft_spawn_task(&group, &tasks[i], run_job, &jobs[i]), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &other, run_job, &jobs[4]), 0); /* does not matter */
    CHECK_EQUAL(weft_wait_first(tasks, 4, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_wait_first(tasks, 4, start_ns + 8), -ETIMEDOUT);
    CHECK_EQUAL(weft_wait_first(tasks, 4, WEFT_FOREVER), 2);
    CHECK_EQUAL(weft_now() - start_ns, 10);
    CHECK_EQUAL(weft_wait_first_failed(tasks, 4, WEFT_FOREVER), 1);
    CHECK_EQUAL(weft_now() - start_ns, 20);
    CHECK_EQUAL(weft_wait_all(tasks, 4, start_ns + 35), -ETIMEDOUT);
    CHECK_EQUAL(weft_wait_all(tasks, 3, WEFT_NOWAIT), 0);
    CHECK_EQUAL(weft_wait_all(tasks, 4, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_now() - start_ns, 40);
    CHECK_EQUAL(weft_wait_first(tasks, 4, WEFT_NOWAIT), 2);
    CHECK_EQUAL(weft_wait_first_failed(tasks, 1, WEFT_NOWAIT), -ENOENT);
    CHECK_EQUAL(weft_wait_first(tasks, 0, WEFT_NOWAIT), -ENOENT);
    CHECK_EQUAL(weft_group_wait(&group), -ENXIO);
}

FIBER_TEST(waiting_for_tasks_can_be_cancelled_and_does_not_cancel_them)
{
    struct job job = {50, 3};
    struct weft_task task;
    struct weft_group group;
    struct weft_scope scope;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, run_job, &job), 0);
    weft_scope_enter(&scope, weft_now() + 10, 0);
    CHECK_EQUAL(weft_wait_all(&task, 1, WEFT_FOREVER), -ECANCELED);
    struct weft_case cases[] = {weft_case_task(&task)};
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(weft_select(cases, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(cases[0].result, 3);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

FIBER_TEST(a_file_is_always_a_ready_case)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/file", test_directory());
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), fds[2];
    static const unsigned flags[] = {WEFT_READABLE, WEFT_WRITABLE, WEFT_HANGUP};
    REQUIRE(file >= 0);
    for (int i = 0; i < 3; i++) {
        struct weft_case c = weft_case_fd(file, flags[i]);
        CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), 0);
        CHECK_EQUAL(c.result, 0);
        CHECK_EQUAL(weft_wait_fd(file, flags[i], WEFT_FOREVER), 0);
    }
    /* Its number can go to something that has to be waited for. */
    CHECK_EQUAL(close(file), 0);
    CHECK_EQUAL(weft_pipe(fds), 0);
    struct weft_case c = weft_case_fd(fds[0], WEFT_READABLE);
    CHECK_EQUAL(weft_select(&c, 1, weft_now() + 10, 0), -ETIMEDOUT);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(unlink(path), 0);
}

static int make_room(void *arg)
{
    static char bytes[65536];
    return weft_read(*(int *)arg, bytes, sizeof bytes, WEFT_FOREVER) > 0 ? 0 : -EIO;
}

FIBER_TEST(room_to_write_is_a_case)
{
    static const char bytes[65536];
    int fds[2];
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_pipe(fds), 0);
    while (weft_write(fds[1], bytes, sizeof bytes, WEFT_NOWAIT) > 0)
        ;
    struct weft_case c = weft_case_fd(fds[1], WEFT_WRITABLE);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_NOWAIT, 0), -EAGAIN);
    CHECK_EQUAL(weft_spawn(&group, make_room, &fds[0]), 0);
    CHECK_EQUAL(weft_select(&c, 1, WEFT_FOREVER, 0), 0);
    CHECK_EQUAL(c.result, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}

FIBER_TEST(the_earlier_of_two_timers_wins)
{
    int64_t start = weft_now();
    struct weft_case cases[] = {weft_case_timer(start + 20), weft_case_timer(start + 10),
                                weft_case_timer(start + 30)};
    CHECK_EQUAL(weft_select(cases, 3, WEFT_FOREVER, 0), 1);
    CHECK_EQUAL(weft_now(), start + 10);
}
