/* SPDX-License-Identifier: MIT */
#include "runtime/crowd.h"
#include "test.h"

#include <weft/group.h>
#include <weft/pool.h>

#include <base/random.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Makes numbered resources and keeps count of them. */
struct factory {
    int64_t create_ns, check_ns;
    int create_result, check_result; /* what the next calls come to */
    int made, alive, alive_max, checks;
    struct weft_pool_event last;
    char last_holder[WEFT_NAME_MAX + 1];
    int events[4];
};

struct thing {
    int number;
    bool out;
};

static int create(void *arg, void **ret_resource)
{
    struct factory *factory = arg;
    factory->alive++;
    if (factory->alive > factory->alive_max)
        factory->alive_max = factory->alive;
    int err = factory->create_ns ? weft_sleep(factory->create_ns) : 0;
    if (err == 0)
        err = factory->create_result;
    struct thing *thing = err < 0 ? NULL : calloc(1, sizeof *thing);
    if (!thing) {
        factory->alive--;
        return err;
    }
    thing->number = ++factory->made;
    *ret_resource = thing;
    return 0;
}

static void destroy(void *arg, void *resource)
{
    struct factory *factory = arg;
    factory->alive--;
    free(resource);
}

static int check(void *arg, void *resource)
{
    struct factory *factory = arg;
    (void)resource;
    factory->checks++;
    int err = factory->check_ns ? weft_sleep(factory->check_ns) : 0;
    return err < 0 ? err : factory->check_result;
}

static void keep_event(void *arg, const struct weft_pool_event *event)
{
    struct factory *factory = arg;
    factory->events[event->kind]++;
    factory->last = *event;
    if (event->holder)
        strcpy(factory->last_holder, event->holder);
}

static struct weft_pool_options options_of(struct factory *factory, uint32_t max)
{
    return (struct weft_pool_options){.create = create,
                                      .destroy = destroy,
                                      .arg = factory,
                                      .max = max,
                                      .on_event = keep_event,
                                      .on_event_arg = factory};
}

static struct weft_pool *open_pool(const struct weft_pool_options *options)
{
    struct weft_pool *pool = NULL;
    REQUIRE(weft_pool_open(&pool, options) == 0);
    return pool;
}

static struct weft_pool_snapshot look(struct weft_pool *pool)
{
    struct weft_pool_snapshot snapshot;
    CHECK_EQUAL(weft_pool_snapshot(pool, &snapshot), 0);
    return snapshot;
}

static int number_of(const void *resource)
{
    return resource ? ((const struct thing *)resource)->number : 0;
}

/* Release what an acquire that may have failed, in a cancelled run, has given. */
static void release(struct weft_pool *pool, void *resource, int healthy)
{
    if (resource)
        CHECK_EQUAL(weft_pool_release(pool, resource, healthy), 0);
}

FIBER_TEST(the_resource_used_last_is_lent_first_and_no_more_than_max_are_made)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 2);
    struct weft_pool *pool = open_pool(&options);
    void *a = NULL, *b = NULL, *c = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &a, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_pool_acquire(pool, &b, WEFT_FOREVER), 0);
    CHECK_EQUAL(number_of(a), 1);
    CHECK_EQUAL(number_of(b), 2);
    CHECK_EQUAL(weft_pool_acquire(pool, &c, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_pool_acquire(pool, &c, weft_now() + WEFT_SEC), -ETIMEDOUT);
    CHECK(!c);
    release(pool, a, 1);
    release(pool, b, 1);
    CHECK_EQUAL(weft_pool_acquire(pool, &c, WEFT_NOWAIT), 0);
    CHECK_EQUAL(number_of(c), 2);
    release(pool, c, 1);
    struct weft_pool_snapshot snapshot = look(pool);
    CHECK_EQUAL(snapshot.idle, 2);
    CHECK_EQUAL(snapshot.out, 0);
    CHECK_EQUAL(snapshot.busy, 0);
    CHECK_EQUAL(snapshot.out_max, 2);
    CHECK_EQUAL(snapshot.acquired, 3);
    CHECK_EQUAL(snapshot.released, 3);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
    CHECK_EQUAL(factory.alive_max, 2);
}

FIBER_TEST(options_that_contradict_are_refused)
{
    struct factory factory = {0};
    struct weft_pool *pool = NULL;
    struct weft_pool_options options = options_of(&factory, 2);
    CHECK_EQUAL(weft_pool_open(&pool, NULL), -EINVAL);
    options.min = 3;
    CHECK_EQUAL(weft_pool_open(&pool, &options), -EINVAL);
    options.min = 0, options.idle_max_ns = -1;
    CHECK_EQUAL(weft_pool_open(&pool, &options), -EINVAL);
    options.idle_max_ns = 0, options.lifetime_jitter = 1.5;
    CHECK_EQUAL(weft_pool_open(&pool, &options), -EINVAL);
    options.lifetime_jitter = 0, options.create = NULL;
    CHECK_EQUAL(weft_pool_open(&pool, &options), -EINVAL);
    CHECK(!pool);
    CHECK_EQUAL(weft_pool_close(NULL, WEFT_NOWAIT), 0);
}

/* ---- who waits ----------------------------------------------------------------------- */

struct client {
    struct weft_pool *pool;
    int64_t deadline_ns, hold_ns;
    int healthy, result, number;
    int64_t got_at_ns;
    struct weft_scope *scope;
};

static int use(void *arg)
{
    struct client *client = arg;
    struct weft_scope scope;
    void *resource;
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    client->scope = &scope;
    client->result = weft_pool_acquire(client->pool, &resource, client->deadline_ns);
    client->scope = NULL;
    client->got_at_ns = weft_now();
    if (client->result == 0) {
        client->number = number_of(resource);
        (void)weft_sleep(client->hold_ns);
        CHECK_EQUAL(weft_pool_release(client->pool, resource, client->healthy), 0);
    }
    (void)weft_scope_leave(&scope, 0);
    return 0;
}

static void start(struct weft_group *group, struct client *clients, int count)
{
    CHECK_EQUAL(weft_group_init(group, NULL), 0);
    for (int i = 0; i < count; i++)
        CHECK_EQUAL(weft_spawn(group, use, &clients[i]), 0);
    CHECK_EQUAL(weft_yield(), 0);
}

FIBER_TEST(waiters_are_served_in_the_order_they_came)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    int64_t begin_ns = weft_now();
    struct client clients[4];
    for (int i = 0; i < 4; i++)
        clients[i] = (struct client){pool, WEFT_FOREVER, WEFT_SEC, .healthy = 1};
    start(&group, clients, 4);
    CHECK_EQUAL(look(pool).waiting, 3);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(clients[i].result, 0);
        CHECK_EQUAL(clients[i].number, 1);
        CHECK_EQUAL(clients[i].got_at_ns - begin_ns, i * WEFT_SEC);
    }
    CHECK_EQUAL(look(pool).waited, 3);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(the_queue_has_a_bound)
{
    struct factory factory = {0};
    struct weft_pool_options options = options_of(&factory, 1);
    options.waiters_max = 1;
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    struct client clients[2] = {{pool, WEFT_FOREVER, WEFT_SEC, .healthy = 1},
                                {pool, WEFT_FOREVER, 0, .healthy = 1}};
    void *resource;
    start(&group, clients, 2);
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), WEFT_EFULL);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

FIBER_TEST(a_cancelled_waiter_loses_nothing)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    struct client clients[3] = {{pool, WEFT_FOREVER, WEFT_SEC, .healthy = 1},
                                {pool, WEFT_FOREVER, WEFT_SEC, .healthy = 1},
                                {pool, WEFT_FOREVER, WEFT_SEC, .healthy = 1}};
    start(&group, clients, 3);
    if (clients[1].scope)
        weft_scope_cancel(clients[1].scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(clients[1].result, -ECANCELED);
    CHECK_EQUAL(clients[2].result, 0);
    CHECK_EQUAL(clients[2].number, 1);
    CHECK_EQUAL(look(pool).idle, 1);
    CHECK_EQUAL(look(pool).busy, 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(a_waiter_cancelled_in_the_moment_it_is_served_keeps_what_it_was_given)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    struct client client = {pool, WEFT_FOREVER, 0, .healthy = 1};
    void *resource = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    start(&group, &client, 1);
    release(pool, resource, 1);
    if (client.scope)
        weft_scope_cancel(client.scope, 0); /* it is served, and has not run yet */
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(client.result, 0);
    CHECK_EQUAL(look(pool).idle, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
}

/* ---- defects of the seed ------------------------------------------------------------- */

FIBER_TEST(a_create_that_fails_gives_its_place_back)
{
    struct factory factory = {.create_result = -ECONNREFUSED};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    void *resource = NULL;
    for (int i = 0; i < 5; i++)
        CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), -ECONNREFUSED);
    CHECK_EQUAL(look(pool).busy, 0);
    CHECK_EQUAL(look(pool).create_failed, 5);
    CHECK_EQUAL(factory.events[WEFT_POOL_CREATE_FAILED], 5);
    CHECK_EQUAL(factory.last.result, -ECONNREFUSED);
    factory.create_result = 0;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    release(pool, resource, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

FIBER_TEST(a_create_that_fails_gives_the_next_waiter_its_chance)
{
    struct factory factory = {.create_ns = WEFT_SEC, .create_result = -ECONNREFUSED};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    int64_t begin_ns = weft_now();
    struct client clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = (struct client){pool, WEFT_FOREVER, WEFT_SEC, .healthy = 1};
    start(&group, clients, 3);
    CHECK_EQUAL(weft_sleep(WEFT_SEC + 1), 0);
    factory.create_result = 0; /* for the second, which has begun by now */
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(clients[0].result, -ECONNREFUSED);
    CHECK_EQUAL(clients[1].result, 0);
    CHECK_EQUAL(clients[2].result, 0);
    CHECK_EQUAL(clients[2].got_at_ns - begin_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(factory.alive_max, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

FIBER_TEST(a_cancelled_creator_gives_its_place_to_the_next)
{
    struct factory factory = {.create_ns = WEFT_SEC};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    struct client clients[2] = {{pool, WEFT_FOREVER, 0, .healthy = 1},
                                {pool, WEFT_FOREVER, 0, .healthy = 1}};
    start(&group, clients, 2);
    if (clients[0].scope)
        weft_scope_cancel(clients[0].scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(clients[0].result, -ECANCELED);
    CHECK_EQUAL(clients[1].result, 0);
    CHECK_EQUAL(look(pool).create_failed, 0); /* a cancellation is no failure */
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(the_deadline_cuts_a_create_short)
{
    struct factory factory = {.create_ns = 10 * WEFT_SEC};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    void *resource = NULL;
    int64_t begin_ns = weft_now();
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, begin_ns + WEFT_SEC), -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - begin_ns, WEFT_SEC);
    CHECK_EQUAL(look(pool).busy, 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(a_failed_check_destroys_the_resource_and_makes_another_in_its_place)
{
    struct factory factory = {0};
    struct weft_pool_options options = options_of(&factory, 1);
    options.check = check;
    struct weft_pool *pool = open_pool(&options);
    void *resource = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.checks, 0); /* one just made is not checked */
    release(pool, resource, 1);
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_NOWAIT), -EAGAIN); /* a check may suspend */
    resource = NULL;
    factory.check_result = -EPIPE;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    CHECK_EQUAL(number_of(resource), 2);
    CHECK_EQUAL(factory.checks, 1);
    CHECK_EQUAL(factory.alive, 1);
    CHECK_EQUAL(look(pool).unhealthy, 1);
    factory.check_result = 0;
    release(pool, resource, 1);
    resource = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    CHECK_EQUAL(number_of(resource), 2);
    release(pool, resource, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(a_check_that_is_cut_short_condemns_nothing)
{
    struct factory factory = {.check_ns = WEFT_SEC, .check_result = 0};
    struct weft_pool_options options = options_of(&factory, 1);
    options.check = check;
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    void *resource = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    release(pool, resource, 1);
    struct client client = {pool, WEFT_FOREVER, 0, .healthy = 1};
    start(&group, &client, 1);
    if (client.scope)
        weft_scope_cancel(client.scope, 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(client.result, -ECANCELED);
    CHECK_EQUAL(look(pool).idle, 1);
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, weft_now() + 1), -ETIMEDOUT);
    CHECK_EQUAL(look(pool).idle, 1);
    CHECK_EQUAL(look(pool).unhealthy, 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.made, 1);
}

FIBER_TEST(what_comes_back_unchecked_stands_behind_what_was_used_later)
{
    struct factory factory = {.check_ns = 2 * WEFT_SEC, .check_result = 0};
    struct weft_pool_options options = options_of(&factory, 2);
    options.check = check;
    options.check_after_ns = 5 * WEFT_SEC;
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    void *one = NULL, *other = NULL, *third = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &one, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_pool_acquire(pool, &other, WEFT_FOREVER), 0);
    release(pool, one, 1);
    CHECK_EQUAL(weft_sleep(6 * WEFT_SEC), 0);
    struct client client = {pool, weft_now() + WEFT_SEC, 0, .healthy = 1};
    start(&group, &client, 1); /* checks the one, but not to the end */
    release(pool, other, 1);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(client.result, -ETIMEDOUT);
    CHECK_EQUAL(weft_pool_acquire(pool, &third, WEFT_NOWAIT), 0);
    CHECK(third == other);
    release(pool, third, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

FIBER_TEST(what_is_released_broken_leaves_its_place_to_who_waits)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    struct client clients[2] = {{pool, WEFT_FOREVER, WEFT_SEC, .healthy = 0},
                                {pool, WEFT_FOREVER, 0, .healthy = 1}};
    start(&group, clients, 2);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(clients[1].number, 2);
    CHECK_EQUAL(factory.alive_max, 1);
    CHECK_EQUAL(look(pool).unhealthy, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

FIBER_TEST(what_is_not_out_is_not_taken_back)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 2);
    struct weft_pool *pool = open_pool(&options);
    struct thing foreign = {0};
    void *resource = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_pool_release(pool, &foreign, 1), -ENOENT);
    release(pool, resource, 1);
    CHECK_EQUAL(weft_pool_release(pool, resource, 1), -ENOENT);
    CHECK_EQUAL(look(pool).idle, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

/* ---- age ----------------------------------------------------------------------------- */

FIBER_TEST(an_old_resource_is_replaced_when_asked_for)
{
    struct factory factory = {0};
    struct weft_pool_options options = options_of(&factory, 1);
    options.lifetime_max_ns = 10 * WEFT_SEC;
    struct weft_pool *pool = open_pool(&options);
    void *resource = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    release(pool, resource, 1);
    CHECK_EQUAL(weft_sleep(8 * WEFT_SEC), 0); /* the jitter takes at most a tenth */
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    CHECK_EQUAL(number_of(resource), 1);
    release(pool, resource, 1);
    CHECK_EQUAL(weft_sleep(2 * WEFT_SEC), 0);
    resource = NULL;
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    CHECK_EQUAL(number_of(resource), 2);
    CHECK_EQUAL(weft_sleep(10 * WEFT_SEC), 0);
    release(pool, resource, 1); /* too old by now */
    CHECK_EQUAL(factory.alive, 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

FIBER_TEST(without_a_maintainer_calls_destroy_what_was_idle_too_long)
{
    struct factory factory = {0};
    struct weft_pool_options options = options_of(&factory, 3);
    options.idle_max_ns = 10 * WEFT_SEC;
    struct weft_pool *pool = open_pool(&options);
    void *resources[3] = {NULL};
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(weft_pool_acquire(pool, &resources[i], WEFT_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        release(pool, resources[i], 1);
    for (int i = 0; i < 4; i++) { /* the third is used now and then, the others are not */
        CHECK_EQUAL(weft_sleep(5 * WEFT_SEC), 0);
        CHECK_EQUAL(weft_pool_acquire(pool, &resources[0], WEFT_FOREVER), 0);
        CHECK_EQUAL(number_of(resources[0]), 3);
        release(pool, resources[0], 1);
    }
    CHECK_EQUAL(factory.alive, 1);
    CHECK_EQUAL(look(pool).idle, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

FIBER_TEST(a_maintainer_keeps_min_warm_and_replaces_what_is_too_old)
{
    struct factory factory = {0};
    struct weft_pool_options options = options_of(&factory, 4);
    options.min = 2;
    options.idle_max_ns = 60 * WEFT_SEC;
    options.maintain_each_ns = 10 * WEFT_SEC;
    struct weft_pool *pool = open_pool(&options);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(look(pool).idle, 2);
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0);
    CHECK_EQUAL(look(pool).idle, 2);
    CHECK_EQUAL(factory.made, 4);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(warming_stops_at_the_first_failure)
{
    struct factory factory = {0};
    struct weft_pool_options options = options_of(&factory, 4);
    options.min = 2;
    struct weft_pool *pool = open_pool(&options);
    factory.create_result = -EIO;
    CHECK_EQUAL(weft_pool_warm(pool), -EIO);
    factory.create_result = 0;
    CHECK_EQUAL(weft_pool_warm(pool), 0);
    CHECK_EQUAL(weft_pool_warm(pool), 0);
    CHECK_EQUAL(look(pool).idle, 2);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

/* ---- with ---------------------------------------------------------------------------- */

static int answer(void *arg, void *resource)
{
    (void)resource;
    return *(int *)arg;
}

FIBER_TEST(a_resource_that_failed_in_use_is_not_lent_again)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    int good = 7, bad = -EPROTO;
    CHECK_EQUAL(weft_pool_with(pool, answer, &good, WEFT_FOREVER), 7);
    CHECK_EQUAL(factory.alive, 1);
    CHECK_EQUAL(weft_pool_with(pool, answer, &bad, WEFT_FOREVER), -EPROTO);
    CHECK_EQUAL(factory.alive, 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
}

/* ---- close --------------------------------------------------------------------------- */

FIBER_TEST(closing_waits_for_what_is_out_and_refuses_who_waits)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    int64_t begin_ns = weft_now();
    struct client clients[2] = {{pool, WEFT_FOREVER, 5 * WEFT_SEC, .healthy = 1},
                                {pool, WEFT_FOREVER, 0, .healthy = 1}};
    start(&group, clients, 2);
    CHECK_EQUAL(weft_pool_close(pool, begin_ns + 60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_now() - begin_ns, 5 * WEFT_SEC);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(clients[1].result, -ESHUTDOWN);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(closing_waits_for_a_waiter_that_is_just_giving_up)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    void *resource = NULL;
    int64_t until_ns = weft_now() + WEFT_SEC;
    struct client client = {pool, until_ns, 0, .healthy = 1};
    CHECK_EQUAL(weft_pool_acquire(pool, &resource, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, use, &client), 0);
    CHECK_EQUAL(weft_sleep_until(until_ns), 0); /* both are over at once, and this one is first */
    release(pool, resource, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(client.result, -ETIMEDOUT);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(what_is_not_back_in_time_is_reported_with_its_holder_and_destroyed_when_it_comes)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 2);
    struct weft_pool *pool = open_pool(&options);
    void *kept = NULL, *returned = NULL;
    CHECK_EQUAL(weft_pool_acquire_as(pool, "nightly export", &kept, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_pool_acquire(pool, &returned, WEFT_FOREVER), 0);
    release(pool, returned, 1);
    bool leaks = kept;
    CHECK_EQUAL(weft_pool_close(pool, weft_now() + 3 * WEFT_SEC), WEFT_ELEAK);
    CHECK_EQUAL(factory.events[WEFT_POOL_LEAKED], 1);
    CHECK_EQUAL(factory.last.count, 1);
    CHECK_EQUAL(factory.last.held_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(strcmp(factory.last_holder, "nightly export"), 0);
    CHECK(!leaks || factory.alive == 1);
    release(pool, kept, 1);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(what_is_being_made_when_the_pool_closes_is_destroyed)
{
    struct factory factory = {.create_ns = 5 * WEFT_SEC};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    struct client client = {pool, WEFT_FOREVER, 0, .healthy = 1};
    start(&group, &client, 1);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_NOWAIT), WEFT_ELEAK);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(client.result, -ESHUTDOWN);
    CHECK_EQUAL(factory.alive, 0);
}

static int warm(void *arg)
{
    return weft_pool_warm(arg);
}

FIBER_TEST(a_pool_that_closes_while_it_is_warmed_is_not_touched_again)
{
    struct factory factory = {.create_ns = 5 * WEFT_SEC};
    struct weft_pool_options options = options_of(&factory, 4);
    options.min = 3;
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    struct weft_task task = {0};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, warm, pool), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_pool_close(pool, weft_now() + 60 * WEFT_SEC), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(task.result, 0);
    CHECK_EQUAL(factory.made, 1);
    CHECK_EQUAL(factory.alive, 0);
}

FIBER_TEST(a_pool_abandoned_while_it_is_warmed_is_not_touched_again)
{
    struct factory factory = {.create_ns = 5 * WEFT_SEC};
    struct weft_pool_options options = options_of(&factory, 4);
    options.min = 3;
    struct weft_pool *pool = open_pool(&options);
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, warm, pool), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SEC), 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_NOWAIT), WEFT_ELEAK);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(factory.alive, 0);
}

/* ---- random schedules ---------------------------------------------------------------- */

#define STORM_CLIENTS 12
#define STORM_ROUNDS  15
#define STORM_MAX     3

struct storm {
    struct weft_pool *pool;
    struct weft_random random;
    int alive, alive_max, out, twice;
    struct weft_scope *scopes[STORM_CLIENTS];
};

static int64_t some(struct storm *storm, uint64_t bound)
{
    return (int64_t)weft_random_below(&storm->random, bound);
}

static int storm_create(void *arg, void **ret_resource)
{
    struct storm *storm = arg;
    if (++storm->alive > storm->alive_max)
        storm->alive_max = storm->alive;
    int err = some(storm, 2) ? weft_sleep(some(storm, 20)) : 0;
    if (err == 0 && some(storm, 4) == 0)
        err = -EIO;
    struct thing *thing = err < 0 ? NULL : calloc(1, sizeof *thing);
    storm->alive -= !thing;
    *ret_resource = thing;
    return thing ? 0 : err;
}

static void storm_destroy(void *arg, void *resource)
{
    struct storm *storm = arg;
    storm->twice += ((struct thing *)resource)->out; /* destroyed while lent */
    if (some(storm, 2))
        (void)weft_sleep(some(storm, 5));
    free(resource);
    storm->alive--;
}

static int storm_check(void *arg, void *resource)
{
    struct storm *storm = arg;
    (void)resource;
    int err = some(storm, 2) ? weft_sleep(some(storm, 10)) : 0;
    return err < 0 ? err : some(storm, 4) == 0 ? -EPIPE : 0;
}

static void storm_use(struct storm *storm, struct thing *thing)
{
    storm->twice += thing->out;
    thing->out = true;
    storm->out++;
    (void)weft_sleep(some(storm, 30));
    thing->out = false;
    storm->out--;
    CHECK_EQUAL(weft_pool_release(storm->pool, thing, some(storm, 5) > 0), 0);
}

struct storm_client {
    struct storm *storm;
    int index;
};

static int storm_client(void *arg)
{
    const struct storm_client *client = arg;
    struct storm *storm = client->storm;
    for (int i = 0; i < STORM_ROUNDS; i++) {
        struct weft_scope scope;
        void *resource;
        weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
        storm->scopes[client->index] = &scope;
        int64_t patience_ns = some(storm, 60);
        int err = weft_pool_acquire(storm->pool, &resource,
                                    patience_ns > 50 ? WEFT_FOREVER : weft_now() + patience_ns);
        if (err == 0)
            storm_use(storm, resource);
        storm->scopes[client->index] = NULL;
        (void)weft_scope_leave(&scope, 0);
        (void)weft_sleep(some(storm, 10));
    }
    return 0;
}

static int storm_run(void *arg)
{
    struct storm *storm = arg;
    struct weft_group group;
    const struct weft_pool_options options = {.create = storm_create,
                                              .destroy = storm_destroy,
                                              .check = storm_check,
                                              .arg = storm,
                                              .max = STORM_MAX,
                                              .min = (uint32_t)some(storm, 2),
                                              .waiters_max = 4,
                                              .check_after_ns = some(storm, 8),
                                              .idle_max_ns = some(storm, 40),
                                              .lifetime_max_ns = some(storm, 200),
                                              .maintain_each_ns = some(storm, 30)};
    storm->pool = open_pool(&options);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < STORM_CLIENTS; i++) {
        struct storm_client client = {storm, i};
        const struct weft_spawn_options spawn = {.copy_bytes = sizeof client};
        (void)weft_spawn_with(&group, storm_client, &client,
                              &spawn); /* not when all is cancelled */
    }
    int err = 0;
    while (err == 0 && weft_group_live(&group) > 0) { /* cancel somebody now and then */
        err = weft_sleep(1 + some(storm, 20));
        struct weft_scope *victim = storm->scopes[some(storm, STORM_CLIENTS)];
        if (victim)
            weft_scope_cancel(victim, 0);
    }
    err = weft_group_wait(&group);
    struct weft_pool_snapshot snapshot = look(storm->pool);
    CHECK_EQUAL(snapshot.out, 0);
    CHECK_EQUAL(snapshot.waiting, 0);
    CHECK_EQUAL(snapshot.acquired, snapshot.released);
    CHECK_EQUAL(weft_pool_close(storm->pool, weft_now() + WEFT_SEC), 0);
    CHECK_EQUAL(snapshot.created >= snapshot.destroyed, 1);
    return err;
}

static bool storm_goes_well(uint64_t seed, uint64_t cancel_at, uint64_t *ret_waits)
{
    struct storm storm = {0};
    const struct weft_run_options run = {.clock = WEFT_CLOCK_VIRTUAL,
                                         .seed = seed,
                                         .io = "epoll",
                                         .cancel_at = cancel_at,
                                         .ret_waits = ret_waits};
    weft_random_seed(&storm.random, seed);
    int err = weft_run(&run, storm_run, &storm);
    CHECK(storm.alive_max <= STORM_MAX);
    CHECK_EQUAL(storm.alive, 0);
    CHECK_EQUAL(storm.out, 0);
    CHECK_EQUAL(storm.twice, 0);
    bool well = storm.alive_max <= STORM_MAX && !storm.alive && !storm.out && !storm.twice &&
                (err == 0 || (cancel_at && err == -ECANCELED));
    if (!well)
        test_note("seed %llu, cancelled at wait %llu: %s", (unsigned long long)seed,
                  (unsigned long long)cancel_at, weft_strerror(err));
    return well;
}

TEST(no_schedule_exceeds_max_loses_a_resource_or_lends_one_twice)
{
    bool well = true;
    for (uint64_t seed = 1; well && seed <= 300; seed++)
        well = storm_goes_well(seed, 0, NULL);
    CHECK(well);
}

TEST(cancelled_at_any_wait_the_pool_loses_nothing_either)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t waits = 0;
        bool well = storm_goes_well(seed, 0, &waits);
        for (uint64_t at = 1; well && at <= waits; at++)
            well = storm_goes_well(seed, at, NULL);
        CHECK(well);
        CHECK(waits > 100); /* that it is about something */
    }
}

/* ---- threads ------------------------------------------------------------------------- */

struct shared_pool {
    struct weft_pool *pool;
    atomic_int alive, alive_max, twice;
};

struct shared_thing {
    atomic_int users;
};

static int shared_create(void *arg, void **ret_resource)
{
    struct shared_pool *shared = arg;
    int alive = atomic_fetch_add(&shared->alive, 1) + 1, max = atomic_load(&shared->alive_max);
    while (alive > max && !atomic_compare_exchange_weak(&shared->alive_max, &max, alive))
        ;
    *ret_resource = calloc(1, sizeof(struct shared_thing));
    return *ret_resource ? 0 : -ENOMEM;
}

static void shared_destroy(void *arg, void *resource)
{
    struct shared_pool *shared = arg;
    free(resource);
    atomic_fetch_sub(&shared->alive, 1);
}

static void shared_use(void *arg, unsigned index)
{
    struct shared_pool *shared = arg;
    unsigned random = index + 1;
    for (int i = 0; i < 300; i++) {
        void *resource;
        int64_t patience_ns = (int64_t)(crowd_random(&random) % 4) * 50 * WEFT_USEC;
        int64_t deadline_ns = patience_ns ? weft_now() + patience_ns : WEFT_FOREVER;
        if (weft_pool_acquire(shared->pool, &resource, deadline_ns) < 0)
            continue;
        struct shared_thing *thing = resource;
        atomic_fetch_add(&shared->twice, atomic_fetch_add(&thing->users, 1));
        if (crowd_random(&random) % 4 == 0)
            (void)weft_yield();
        atomic_fetch_sub(&thing->users, 1);
        CHECK_EQUAL(weft_pool_release(shared->pool, resource, crowd_random(&random) % 16 != 0), 0);
    }
}

TEST(workers_and_threads_share_a_pool)
{
    struct shared_pool shared = {.pool = NULL};
    const struct weft_pool_options options = {.create = shared_create,
                                              .destroy = shared_destroy,
                                              .arg = &shared,
                                              .max = 3,
                                              .sharing = WEFT_SHARED};
    shared.pool = open_pool(&options);
    const struct crowd crowd = {
        .workers = 2, .fibers = 8, .threads = 3, .run = shared_use, .arg = &shared};
    crowd_run(&crowd);
    struct weft_pool_snapshot snapshot = look(shared.pool);
    CHECK_EQUAL(snapshot.acquired, snapshot.released);
    CHECK_EQUAL(weft_pool_close(shared.pool, WEFT_NOWAIT), 0);
    CHECK_EQUAL(shared.alive, 0);
    CHECK_EQUAL(shared.twice, 0);
    CHECK(shared.alive_max <= 3);
}

static int take_local(void *arg)
{
    void *resource;
    CHECK_EQUAL(weft_pool_acquire(arg, &resource, WEFT_FOREVER), -EPERM);
    CHECK_EQUAL(weft_pool_release(arg, NULL, 1), -EPERM);
    CHECK_EQUAL(weft_pool_warm(arg), -EPERM);
    CHECK_EQUAL(weft_pool_close(arg, WEFT_NOWAIT), -EPERM);
    return 0;
}

FIBER_TEST(a_local_pool_is_not_for_other_threads)
{
    struct factory factory = {0};
    const struct weft_pool_options options = options_of(&factory, 1);
    struct weft_pool *pool = open_pool(&options);
    CHECK_EQUAL(on_a_thread(take_local, pool), 0);
    CHECK_EQUAL(weft_pool_close(pool, WEFT_NOWAIT), 0);
}
