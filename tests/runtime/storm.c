/* SPDX-License-Identifier: MIT
 * storm.c - hundreds of fibers on four workers, and threads outside, on one object: nothing is
 * lost, nothing is doubled, nobody is where another is. */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/select.h>

#include <errno.h>

#define WORKERS 4u

/* Now, soon, or never: so that timers race with what is waited for. */
static int64_t some_deadline(unsigned *random)
{
    unsigned draw = crowd_random(random) % 8;
    if (draw == 0)
        return WEFT_NOWAIT;
    return draw < 3 ? weft_now() + (int64_t)(crowd_random(random) % 100) * WEFT_USEC : WEFT_FOREVER;
}

static bool gave_up(int err)
{
    return err == -ETIMEDOUT || err == -EAGAIN;
}

/* ---- channels and queues --------------------------------------------------------------- */

enum {
    ITEMS_EACH = 50,
    SIDES_MAX = 64,
};

struct exchange {
    struct weft_channel channel, second;
    struct weft_priority_queue queue;
    atomic_uint sending;
    atomic_uchar seen[SIDES_MAX * ITEMS_EACH];
    unsigned sides; /* half of them send */
};

static void note_item(struct exchange *exchange, int item)
{
    CHECK_EQUAL(atomic_fetch_add(&exchange->seen[item], 1), 0);
}

typedef int operate_fn(struct exchange *exchange, int *item, int64_t deadline_ns);

/* Fibers also have scopes that end in the middle of it. */
static int operate(struct exchange *exchange, operate_fn *fn, int *item, unsigned *random)
{
    struct weft_scope scope;
    int64_t deadline_ns = some_deadline(random);
    if (weft_worker_index() < 0 || crowd_random(random) % 4)
        return fn(exchange, item, deadline_ns);
    weft_scope_enter(&scope, weft_now() + (int64_t)(crowd_random(random) % 50) * WEFT_USEC, 0);
    return weft_scope_leave(&scope, fn(exchange, item, WEFT_FOREVER));
}

static void trade(struct exchange *exchange, unsigned index, operate_fn *send, operate_fn *receive,
                  int (*close)(struct exchange *))
{
    unsigned random = index + 1;
    int item = (int)(index / 2) * ITEMS_EACH, last = item + ITEMS_EACH, err = 0;
    if (index % 2 == 0) {
        while (item < last) {
            err = operate(exchange, send, &item, &random);
            item += err == 0;
            CHECK(err == 0 || gave_up(err));
            if (err == -EAGAIN)
                (void)weft_yield();
        }
        if (atomic_fetch_sub(&exchange->sending, 1) == 1)
            CHECK_EQUAL(close(exchange), 0);
        return;
    }
    while (err != -EPIPE) {
        err = operate(exchange, receive, &item, &random);
        if (err == 0)
            note_item(exchange, item);
        CHECK(err == 0 || err == -EPIPE || gave_up(err));
        if (err == -EAGAIN)
            (void)weft_yield();
    }
}

static void run_exchange(void (*run)(void *, unsigned), struct exchange *exchange, unsigned fibers,
                         unsigned threads)
{
    const struct crowd crowd = {WORKERS, fibers, threads, run, exchange};
    exchange->sides = fibers + threads;
    atomic_store(&exchange->sending, exchange->sides / 2);
    for (size_t i = 0; i < sizeof exchange->seen; i++)
        atomic_store(&exchange->seen[i], 0);
    crowd_run(&crowd);
    for (size_t i = 0; i < exchange->sides / 2 * ITEMS_EACH; i++)
        REQUIRE(atomic_load(&exchange->seen[i]) == 1);
}

static int send_item(struct exchange *exchange, int *item, int64_t deadline_ns)
{
    return weft_send(&exchange->channel, item, deadline_ns);
}

static int receive_item(struct exchange *exchange, int *item, int64_t deadline_ns)
{
    return weft_receive(&exchange->channel, item, deadline_ns);
}

static int close_channel(struct exchange *exchange)
{
    return weft_channel_close(&exchange->channel, 0);
}

static void trade_by_channel(void *arg, unsigned index)
{
    trade(arg, index, send_item, receive_item, close_channel);
}

static void init_channel(struct weft_channel *channel, size_t capacity, int unbounded)
{
    const struct weft_channel_options options = {.item_bytes = sizeof(int),
                                                 .capacity = capacity,
                                                 .unbounded = unbounded,
                                                 .sharing = WEFT_SHARED};
    REQUIRE(weft_channel_init_with(channel, &options) == 0);
}

TEST(a_shared_channel_loses_and_repeats_nothing)
{
    static struct exchange exchange;
    static const size_t capacities[] = {0, 1, 16};
    for (size_t i = 0; i < 3; i++) {
        init_channel(&exchange.channel, capacities[i], 0);
        run_exchange(trade_by_channel, &exchange, 120, 4);
        weft_channel_deinit(&exchange.channel);
    }
    init_channel(&exchange.channel, 0, 1);
    run_exchange(trade_by_channel, &exchange, 60, 4);
    weft_channel_deinit(&exchange.channel);
}

static int push_item(struct exchange *exchange, int *item, int64_t deadline_ns)
{
    return weft_priority_queue_push(&exchange->queue, item, *item % 7, deadline_ns);
}

static int pop_item(struct exchange *exchange, int *item, int64_t deadline_ns)
{
    return weft_priority_queue_pop(&exchange->queue, item, deadline_ns);
}

static int close_queue(struct exchange *exchange)
{
    return weft_priority_queue_close(&exchange->queue, 0);
}

static void trade_by_queue(void *arg, unsigned index)
{
    trade(arg, index, push_item, pop_item, close_queue);
}

TEST(a_shared_priority_queue_loses_and_repeats_nothing)
{
    static struct exchange exchange;
    REQUIRE(weft_priority_queue_init(&exchange.queue, sizeof(int), 4, WEFT_SHARED) == 0);
    run_exchange(trade_by_queue, &exchange, 120, 4);
    weft_priority_queue_deinit(&exchange.queue);
}

/* ---- selects against selects ------------------------------------------------------------- */

static int send_by_select(struct exchange *exchange, int *item, int64_t deadline_ns)
{
    struct weft_case cases[] = {weft_case_send(&exchange->channel, item),
                                weft_case_send(&exchange->second, item)};
    int index = weft_select(cases, 2, deadline_ns, 0);
    return index < 0 ? index : cases[index].result;
}

static int receive_by_select(struct exchange *exchange, int *item, int64_t deadline_ns)
{
    int items[2] = {-1, -1};
    struct weft_case cases[] = {weft_case_receive(&exchange->second, &items[0]),
                                weft_case_receive(&exchange->channel, &items[1])};
    int index = weft_select(cases, 2, deadline_ns, 0);
    if (index < 0)
        return index;
    CHECK_EQUAL(items[1 - index], -1);
    *item = items[index];
    return cases[index].result;
}

/* Both are closed at the same time, but not at once: the other may still hold something. */
static int close_both(struct exchange *exchange)
{
    int item;
    while (weft_receive(&exchange->second, &item, WEFT_NOWAIT) == 0)
        note_item(exchange, item);
    while (weft_receive(&exchange->channel, &item, WEFT_NOWAIT) == 0)
        note_item(exchange, item);
    int err = weft_channel_close(&exchange->channel, 0);
    return err < 0 ? err : weft_channel_close(&exchange->second, 0);
}

static void trade_by_select(void *arg, unsigned index)
{
    trade(arg, index, send_by_select, receive_by_select, close_both);
}

TEST(selects_facing_each_other_lose_and_repeat_nothing)
{
    static struct exchange exchange;
    for (size_t capacity = 0; capacity < 3; capacity++) {
        init_channel(&exchange.channel, capacity, 0);
        init_channel(&exchange.second, 0, 0);
        run_exchange(trade_by_select, &exchange, 120, 4);
        weft_channel_deinit(&exchange.channel);
        weft_channel_deinit(&exchange.second);
    }
}

/* Everybody sends and receives on both at once; who gives is counted, and who gets. */
struct bazaar {
    struct weft_channel a, b;
    atomic_llong given, got, given_sum, got_sum;
    atomic_uint left;
};

static void visit_bazaar(void *arg, unsigned index)
{
    struct bazaar *bazaar = arg;
    unsigned random = index + 99;
    for (int i = 0; i < 200; i++) {
        int mine = (int)(crowd_random(&random) % 1000), theirs = -1;
        struct weft_case cases[] = {
            weft_case_send(&bazaar->a, &mine), weft_case_receive(&bazaar->a, &theirs),
            weft_case_send(&bazaar->b, &mine), weft_case_receive(&bazaar->b, &theirs)};
        int64_t deadline_ns = weft_now() + (int64_t)(crowd_random(&random) % 200) * WEFT_USEC;
        int chosen = weft_select(cases, 4, deadline_ns, 0);
        if (chosen >= 0)
            CHECK_EQUAL(cases[chosen].result, 0);
        if (chosen == 0 || chosen == 2) {
            atomic_fetch_add(&bazaar->given, 1);
            atomic_fetch_add(&bazaar->given_sum, mine);
        } else if (chosen > 0) {
            CHECK(theirs >= 0);
            atomic_fetch_add(&bazaar->got, 1);
            atomic_fetch_add(&bazaar->got_sum, theirs);
        } else {
            CHECK_EQUAL(chosen, -ETIMEDOUT);
            CHECK_EQUAL(theirs, -1);
        }
    }
}

TEST(a_select_never_meets_itself_and_each_meeting_has_two_sides)
{
    static struct bazaar bazaar;
    const struct crowd crowd = {WORKERS, 40, 2, visit_bazaar, &bazaar};
    for (size_t capacity = 0; capacity < 2; capacity++) {
        int item = 0;
        bazaar = (struct bazaar){.given = 0};
        init_channel(&bazaar.a, capacity, 0);
        init_channel(&bazaar.b, 0, 0);
        crowd_run(&crowd);
        while (weft_receive(&bazaar.a, &item, WEFT_NOWAIT) == 0) {
            atomic_fetch_add(&bazaar.got, 1);
            atomic_fetch_add(&bazaar.got_sum, item);
        }
        CHECK_EQUAL(bazaar.given, bazaar.got);
        CHECK_EQUAL(bazaar.given_sum, bazaar.got_sum);
        CHECK(bazaar.given > 0);
        weft_channel_deinit(&bazaar.a);
        weft_channel_deinit(&bazaar.b);
    }
}

/* ---- locks ------------------------------------------------------------------------------- */

struct locked {
    struct weft_mutex mutex;
    struct weft_rwlock rwlock;
    struct weft_condition condition;
    long value; /* not atomic: the lock is what protects it */
    int inside;
    atomic_long wanted;
    atomic_int readers;
};

static void count_under_mutex(void *arg, unsigned index)
{
    struct locked *locked = arg;
    unsigned random = index + 1;
    for (int i = 0; i < 100; i++) {
        int err = weft_mutex_lock(&locked->mutex, some_deadline(&random));
        CHECK(err == 0 || gave_up(err));
        if (err < 0)
            continue;
        locked->value++;
        if (i % 8 == 0)
            (void)weft_yield();
        atomic_fetch_add(&locked->wanted, 1);
        CHECK_EQUAL(weft_mutex_unlock(&locked->mutex), 0);
    }
}

TEST(a_shared_mutex_lets_one_in_at_a_time)
{
    static struct locked locked;
    const struct crowd crowd = {WORKERS, 100, 4, count_under_mutex, &locked};
    CHECK_EQUAL(weft_mutex_init(&locked.mutex, WEFT_SHARED), 0);
    crowd_run(&crowd);
    CHECK_EQUAL(locked.value, locked.wanted);
    CHECK(locked.value > 0 && !locked.mutex.owner);
}

static void read_and_write(void *arg, unsigned index)
{
    struct locked *locked = arg;
    unsigned random = index + 1;
    for (int i = 0; i < 100; i++) {
        bool write = crowd_random(&random) % 4 == 0;
        int64_t deadline_ns = some_deadline(&random);
        int err = write ? weft_rwlock_lock_write(&locked->rwlock, deadline_ns)
                        : weft_rwlock_lock_read(&locked->rwlock, deadline_ns);
        CHECK(err == 0 || gave_up(err));
        if (err < 0)
            continue;
        long before = locked->value;
        if (write) {
            CHECK_EQUAL(atomic_load(&locked->readers), 0);
            locked->value = before + 1;
            atomic_fetch_add(&locked->wanted, 1);
        } else {
            atomic_fetch_add(&locked->readers, 1);
        }
        if (i % 8 == 0)
            (void)weft_yield();
        CHECK_EQUAL(locked->value, before + write);
        if (!write)
            atomic_fetch_sub(&locked->readers, 1);
        CHECK_EQUAL(write ? weft_rwlock_unlock_write(&locked->rwlock)
                          : weft_rwlock_unlock_read(&locked->rwlock),
                    0);
    }
}

TEST(a_shared_rwlock_keeps_writers_alone)
{
    static struct locked locked;
    const struct crowd crowd = {WORKERS, 100, 4, read_and_write, &locked};
    CHECK_EQUAL(weft_rwlock_init(&locked.rwlock, WEFT_SHARED), 0);
    crowd_run(&crowd);
    CHECK_EQUAL(locked.value, locked.wanted);
    CHECK(locked.value > 0 && !locked.rwlock.writer && locked.rwlock.readers == 0);
}

/* A store of at most 3, filled by one half and emptied by the other. */
static void fill_or_empty(void *arg, unsigned index)
{
    struct locked *locked = arg;
    unsigned random = index + 1;
    long change = index % 2 ? 1 : -1;
    for (int i = 0; i < 50; i++) {
        CHECK_EQUAL(weft_mutex_lock(&locked->mutex, WEFT_FOREVER), 0);
        while (locked->value + change < 0 || locked->value + change > 3) {
            int64_t deadline_ns = crowd_random(&random) % 4 ? WEFT_FOREVER : weft_now() + 10000;
            int err = weft_condition_wait(&locked->condition, &locked->mutex, deadline_ns);
            CHECK(err == 0 || err == -ETIMEDOUT);
        }
        locked->value += change;
        CHECK_EQUAL(weft_mutex_unlock(&locked->mutex), 0);
        CHECK_EQUAL(weft_condition_broadcast(&locked->condition), 0);
    }
}

TEST(a_shared_condition_misses_no_signal)
{
    static struct locked locked;
    const struct crowd crowd = {WORKERS, 40, 4, fill_or_empty, &locked};
    CHECK_EQUAL(weft_mutex_init(&locked.mutex, WEFT_SHARED), 0);
    CHECK_EQUAL(weft_condition_init(&locked.condition, WEFT_SHARED), 0);
    crowd_run(&crowd);
    CHECK_EQUAL(locked.value, 0);
}

/* ---- the rest ---------------------------------------------------------------------------- */

struct plaza {
    struct weft_semaphore semaphore;
    struct weft_barrier barrier;
    struct weft_once once;
    struct weft_latch latch;
    struct weft_event event;
    atomic_int out, out_max, last, runs, rounds[64];
    unsigned parties;
};

static void take_permits(void *arg, unsigned index)
{
    struct plaza *plaza = arg;
    unsigned random = index + 1;
    for (int i = 0; i < 100; i++) {
        uint32_t count = 1 + crowd_random(&random) % 5;
        int64_t deadline_ns = some_deadline(&random);
        int err = 0;
        if (index == 0 && i % 10 == 0)
            CHECK_EQUAL(weft_semaphore_resize(&plaza->semaphore, 5 + crowd_random(&random) % 4), 0);
        if (i % 3 == 0) {
            struct weft_case cases[] = {weft_case_acquire(&plaza->semaphore, count),
                                        weft_case_event(&plaza->event)};
            err = weft_select(cases, 2, deadline_ns, 0);
            CHECK(err <= 0);
        } else {
            err = weft_semaphore_acquire(&plaza->semaphore, count, deadline_ns);
        }
        CHECK(err == 0 || gave_up(err));
        if (err < 0)
            continue;
        CHECK(atomic_fetch_add(&plaza->out, (int)count) + (int)count <= 8);
        if (i % 8 == 0)
            (void)weft_yield();
        atomic_fetch_sub(&plaza->out, (int)count);
        CHECK_EQUAL(weft_semaphore_release(&plaza->semaphore, count), 0);
    }
}

TEST(a_shared_semaphore_gives_no_permit_twice_and_loses_none)
{
    static struct plaza plaza;
    const struct crowd crowd = {WORKERS, 100, 4, take_permits, &plaza};
    CHECK_EQUAL(weft_semaphore_init(&plaza.semaphore, 8, WEFT_SHARED), 0);
    CHECK_EQUAL(weft_event_init(&plaza.event, WEFT_SHARED), 0);
    crowd_run(&crowd);
    CHECK_EQUAL(weft_semaphore_resize(&plaza.semaphore, 8), 0);
    CHECK_EQUAL(weft_semaphore_available(&plaza.semaphore), 8);
}

static void pass_barrier(void *arg, unsigned index)
{
    struct plaza *plaza = arg;
    unsigned random = index + 1;
    for (int round = 0; round < 50; round++) {
        int result;
        atomic_fetch_add(&plaza->rounds[round], 1);
        do {
            result = weft_barrier_wait(&plaza->barrier, some_deadline(&random));
            CHECK(result >= 0 || gave_up(result));
            if (result == -EAGAIN)
                (void)weft_yield();
        } while (result < 0);
        CHECK_EQUAL(atomic_load(&plaza->rounds[round]), (int)plaza->parties);
        atomic_fetch_add(&plaza->last, result);
    }
}

TEST(a_shared_barrier_lets_nobody_through_early)
{
    static struct plaza plaza = {.parties = 44};
    const struct crowd crowd = {WORKERS, 40, 4, pass_barrier, &plaza};
    CHECK_EQUAL(weft_barrier_init(&plaza.barrier, plaza.parties, WEFT_SHARED), 0);
    crowd_run(&crowd);
    CHECK_EQUAL(plaza.last, 50);
}

static int succeed_the_third_time(void *arg)
{
    struct plaza *plaza = arg;
    CHECK_EQUAL(atomic_fetch_add(&plaza->out, 1), 0);
    (void)weft_yield();
    atomic_fetch_sub(&plaza->out, 1);
    return atomic_fetch_add(&plaza->runs, 1) == 2 ? 42 : -EIO;
}

static void run_once(void *arg, unsigned index)
{
    struct plaza *plaza = arg;
    (void)index;
    int result = weft_once_run(&plaza->once, succeed_the_third_time, plaza, WEFT_FOREVER);
    CHECK(result == 42 || result == -EIO);
    atomic_fetch_add(&plaza->last, result == -EIO);
    CHECK_EQUAL(weft_latch_count_down(&plaza->latch, 1), 0);
    CHECK_EQUAL(weft_latch_wait(&plaza->latch, WEFT_FOREVER), 0);
    CHECK_EQUAL(plaza->runs, 3);
    if (index == 0)
        CHECK_EQUAL(weft_event_set(&plaza->event), 0);
    CHECK_EQUAL(weft_event_wait(&plaza->event, WEFT_FOREVER), 0);
}

TEST(once_succeeds_once_and_a_latch_waits_for_all)
{
    static struct plaza plaza;
    const struct crowd crowd = {WORKERS, 100, 4, run_once, &plaza};
    CHECK_EQUAL(weft_once_init(&plaza.once, WEFT_SHARED), 0);
    CHECK_EQUAL(weft_latch_init(&plaza.latch, 104, WEFT_SHARED), 0);
    CHECK_EQUAL(weft_event_init(&plaza.event, WEFT_SHARED), 0);
    crowd_run(&crowd);
    CHECK_EQUAL(plaza.last, 2);
    CHECK_EQUAL(plaza.runs, 3);
}
