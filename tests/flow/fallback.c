/* SPDX-License-Identifier: MIT
 * fallback.c - what is done in place of what failed. */
#include "test.h"

#include <weft/breaker.h>
#include <weft/fallback.h>
#include <weft/scope.h>

#include <errno.h>
#include <string.h>

/* Something that fails or not, and writes what it has. */
struct service {
    int result, calls;
    int64_t takes_ns;
    char *value;
    const char *text;
};

static int ask(void *arg)
{
    struct service *service = arg;
    service->calls++;
    int err = service->takes_ns ? weft_sleep(service->takes_ns) : 0;
    if (err < 0)
        return err;
    if (service->result == 0 && service->text) {
        strcpy(service->value, service->text);
        return (int)strlen(service->text) + 1;
    }
    return service->result;
}

static int instead(void *arg, int failure)
{
    *(int *)arg = failure;
    return 77;
}

FIBER_TEST(a_failure_is_replaced_and_a_success_is_not)
{
    int failure = 0;
    const struct weft_fallback_options options = {.fallback = instead, .fallback_arg = &failure};
    struct service service = {.result = 5};
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 5);
    CHECK_EQUAL(failure, 0);
    service.result = -EIO;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 77);
    CHECK_EQUAL(failure, -EIO);
}

FIBER_TEST(a_cancellation_is_never_replaced)
{
    int failure = 0;
    struct weft_scope scope;
    const struct weft_fallback_options options = {.fallback = instead, .fallback_arg = &failure};
    struct service service = {.takes_ns = 3600 * WEFT_SEC};
    weft_scope_enter(&scope, weft_now() + WEFT_SEC, 0);
    int result = weft_fallback(&options, ask, &service);
    CHECK_EQUAL(result, -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, result), -ETIMEDOUT);
    CHECK_EQUAL(failure, 0);
}

FIBER_TEST(numbers_say_who_answered)
{
    int failure = 0;
    char value[8];
    struct weft_cache *cache = NULL;
    struct weft_fallback_stats stats = {0};
    CHECK_EQUAL(weft_cache_open(&cache, NULL), 0);
    struct weft_fallback_options options = {.cache = cache,
                                            .key = "k",
                                            .key_bytes = 1,
                                            .value = value,
                                            .value_bytes = sizeof value,
                                            .stats = &stats};
    struct service service = {.result = -EIO, .value = value, .text = "old"};
    CHECK_EQUAL(weft_fallback(&options, ask, &service), -EIO); /* nobody answers */
    service.result = 0;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 4);
    service.result = -EIO;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 4);
    options.key = "other";
    options.fallback = instead;
    options.fallback_arg = &failure;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 77);
    CHECK_EQUAL(stats.calls, 4);
    CHECK_EQUAL(stats.cached, 1);
    CHECK_EQUAL(stats.run, 1);
    CHECK_EQUAL(stats.failed, 1);
    weft_cache_close(cache);
}

static int is_server_error(void *arg, int result)
{
    (void)arg;
    return result >= 500;
}

FIBER_TEST(the_predicate_says_what_is_replaced)
{
    int failure = 0;
    const struct weft_fallback_options options = {
        .applies = is_server_error, .fallback = instead, .fallback_arg = &failure};
    struct service service = {.result = 404};
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 404);
    service.result = -EIO;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), -EIO);
    service.result = 503;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 77);
    CHECK_EQUAL(failure, 503);
}

static int ask_for_two_seconds(void *arg)
{
    return weft_timeout(2 * WEFT_SEC, ask, arg);
}

FIBER_TEST(a_timeout_with_fallback)
{
    int failure = 0;
    int64_t before_ns = weft_now();
    const struct weft_fallback_options options = {.fallback = instead, .fallback_arg = &failure};
    struct service service = {.takes_ns = 3600 * WEFT_SEC};
    CHECK_EQUAL(weft_fallback(&options, ask_for_two_seconds, &service), 77);
    CHECK_EQUAL(failure, -ETIMEDOUT);
    CHECK_EQUAL(weft_now() - before_ns, 2 * WEFT_SEC);
}

struct heard {
    struct weft_fallback_event last;
    int count;
};

static void hear(void *arg, const struct weft_fallback_event *event)
{
    struct heard *heard = arg;
    heard->last = *event;
    heard->count++;
    CHECK(strcmp(event->name, "users") == 0);
}

FIBER_TEST(the_last_good_value_comes_from_the_cache_and_then_the_fallback)
{
    struct weft_cache *cache = NULL;
    char value[16] = "";
    int failure = 0;
    struct heard heard = {.count = 0};
    REQUIRE(weft_cache_open(&cache, NULL) == 0);
    struct weft_fallback_options options = {.name = "users",
                                            .cache = cache,
                                            .key = "17",
                                            .key_bytes = 2,
                                            .value = value,
                                            .value_bytes = sizeof value,
                                            .on_event = hear,
                                            .on_event_arg = &heard};
    struct service service = {.value = value, .text = "fresh", .result = -EIO};
    CHECK_EQUAL(weft_fallback(&options, ask, &service), -EIO); /* nothing yet */
    CHECK_EQUAL(heard.count, 0);
    service.result = 0;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 6);
    service.result = -EIO;
    strcpy(value, "scribble");
    CHECK_EQUAL(weft_sleep(100 * WEFT_SEC), 0); /* it has expired */
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 6);
    CHECK_EQUAL(strcmp(value, "fresh"), 0);
    CHECK_EQUAL(heard.last.kind, WEFT_FALLBACK_CACHED);
    CHECK_EQUAL(heard.last.failure, -EIO);
    CHECK_EQUAL(heard.last.result, 6);
    CHECK_EQUAL(weft_sleep(1000 * WEFT_SEC), 0); /* it is useless */
    CHECK_EQUAL(weft_fallback(&options, ask, &service), -EIO);
    options.fallback = instead;
    options.fallback_arg = &failure;
    CHECK_EQUAL(weft_fallback(&options, ask, &service), 77);
    CHECK_EQUAL(heard.last.kind, WEFT_FALLBACK_RUN);
    CHECK_EQUAL(heard.count, 2);
    weft_cache_close(cache);
}

struct guarded {
    struct weft_breaker *breaker;
    struct service service;
};

static int ask_guarded(void *arg)
{
    struct guarded *guarded = arg;
    return weft_breaker_call(guarded->breaker, ask, &guarded->service);
}

FIBER_TEST(degrading_gracefully_an_open_breaker_is_covered_too)
{
    struct guarded guarded = {.service = {.result = -EIO}};
    const struct weft_breaker_options three = {.consecutive_failures_max = 3,
                                               .open_ns = 30 * WEFT_SEC};
    int failure = 0;
    const struct weft_fallback_options options = {.fallback = instead, .fallback_arg = &failure};
    REQUIRE(weft_breaker_open(&guarded.breaker, &three) == 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(weft_fallback(&options, ask_guarded, &guarded), 77);
    CHECK_EQUAL(guarded.service.calls, 3);
    CHECK_EQUAL(failure, WEFT_EOPEN);
    weft_breaker_close(guarded.breaker);
}

FIBER_TEST(options_that_cannot_work_are_refused_before_anything_runs)
{
    char value[4];
    struct weft_cache *cache = NULL;
    struct service service = {.result = 1};
    REQUIRE(weft_cache_open(&cache, NULL) == 0);
    const struct weft_fallback_options nothing = {0}, no_key = {.cache = cache, .value = value};
    const struct weft_fallback_options no_value = {.cache = cache, .key = "a", .key_bytes = 1};
    CHECK_EQUAL(weft_fallback(NULL, ask, &service), -EINVAL);
    CHECK_EQUAL(weft_fallback(&nothing, ask, &service), -EINVAL);
    CHECK_EQUAL(weft_fallback(&no_key, ask, &service), -EINVAL);
    CHECK_EQUAL(weft_fallback(&no_value, ask, &service), -EINVAL);
    CHECK_EQUAL(service.calls, 0);
    weft_cache_close(cache);
}
