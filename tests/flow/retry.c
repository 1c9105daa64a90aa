/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <weft/group.h>
#include <weft/retry.h>
#include <weft/retry_budget.h>
#include <weft/scope.h>
#include <weft/sync.h>

#include <errno.h>
#include <math.h>
#include <string.h>

/* A server that answers from a list, the last answer again and again. */
struct server {
    const int *answers;
    unsigned answers_len, calls;
    int64_t work_ns;     /* per call */
    int64_t at_ns[16];   /* when it was called */
    int64_t override_ns; /* what delay_ns says; 0: as planned */
    int wanted;          /* retry_if: nothing else will do */
};

static int serve(void *arg)
{
    struct server *server = arg;
    if (server->calls < 16)
        server->at_ns[server->calls] = weft_now();
    unsigned i = server->calls < server->answers_len ? server->calls : server->answers_len - 1;
    server->calls++;
    int err = server->work_ns ? weft_sleep(server->work_ns) : 0;
    return err < 0 ? err : server->answers[i];
}

static const int fails_twice[] = {-EIO, -ECONNRESET, 7};
static const int fails[] = {-EIO};

/* Attempts at known times. */
static const struct weft_retry_options plain = {
    .jitter = WEFT_JITTER_NONE, .base_ns = WEFT_SEC, .attempts_max = 5};

FIBER_TEST(a_success_is_not_repeated)
{
    const int answers[] = {42};
    struct server server = {.answers = answers, .answers_len = 1};
    CHECK_EQUAL(weft_retry(NULL, serve, &server), 42);
    CHECK_EQUAL(server.calls, 1);
}

FIBER_TEST(a_failure_is_repeated_until_it_passes)
{
    struct server server = {.answers = fails_twice, .answers_len = 3};
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_retry(&plain, serve, &server), 7);
    CHECK_EQUAL(server.calls, 3);
    CHECK_EQUAL(server.at_ns[1] - before_ns, WEFT_SEC);
    CHECK_EQUAL(server.at_ns[2] - server.at_ns[1], 2 * WEFT_SEC);
}

FIBER_TEST(attempts_count_the_first_and_are_three_by_default)
{
    struct server server = {.answers = fails, .answers_len = 1};
    const struct weft_retry_options once = {.attempts_max = 1};
    CHECK_EQUAL(weft_retry(NULL, serve, &server), -EIO);
    CHECK_EQUAL(server.calls, 3);
    server.calls = 0;
    CHECK_EQUAL(weft_retry(&once, serve, &server), -EIO);
    CHECK_EQUAL(server.calls, 1);
}

FIBER_TEST(giving_up_returns_the_last_attempts_own_result)
{
    const int answers[] = {-EIO, -ECONNREFUSED, -EPIPE};
    struct server server = {.answers = answers, .answers_len = 3};
    CHECK_EQUAL(weft_retry(NULL, serve, &server), -EPIPE);
}

FIBER_TEST(failures_that_stay_are_not_repeated)
{
    static const int stays[] = {
        -EINVAL,       -EPERM,     -EACCES,      -EFAULT,    -EBADF,        -ENOSYS,
        -EOPNOTSUPP,   -EDEADLK,   -EOVERFLOW,   -E2BIG,     -ESHUTDOWN,    -ENAMETOOLONG,
        WEFT_EVERSION, WEFT_EOPEN, WEFT_ELIMIT,  WEFT_ELEAK, WEFT_ECORRUPT, -EPROTONOSUPPORT,
        -EMSGSIZE,     -ELOOP,     -EKEYREJECTED};
    static const int passes[] = {-EIO, -ETIMEDOUT, -ECONNREFUSED, -EAGAIN, -ENOMEM, WEFT_EFULL};
    for (unsigned i = 0; i < sizeof stays / sizeof stays[0]; i++) {
        struct server server = {.answers = &stays[i], .answers_len = 1};
        CHECK_EQUAL(weft_retry(NULL, serve, &server), stays[i]);
        CHECK_EQUAL(server.calls, 1);
    }
    for (unsigned i = 0; i < sizeof passes / sizeof passes[0]; i++)
        CHECK_EQUAL(weft_retryable(passes[i]), 1);
    CHECK_EQUAL(weft_retryable(0), 0);
    CHECK_EQUAL(weft_retryable(3), 0);
}

static int always(void *arg, int result)
{
    (void)arg, (void)result;
    return 1;
}

FIBER_TEST(a_cancelled_attempt_is_never_repeated)
{
    const int answers[] = {-ECANCELED};
    struct server server = {.answers = answers, .answers_len = 1};
    struct weft_retry_stats stats = {0};
    const struct weft_retry_options options = {.retry_if = always, .stats = &stats};
    CHECK_EQUAL(weft_retry(&options, serve, &server), -ECANCELED);
    CHECK_EQUAL(server.calls, 1);
    CHECK_EQUAL(stats.ended[WEFT_RETRY_CANCELED], 1);
}

static int is_not_wanted(void *arg, int result)
{
    const struct server *server = arg;
    return result != server->wanted;
}

FIBER_TEST(a_success_can_be_unwanted)
{
    const int answers[] = {202, 202, 200};
    struct server server = {.answers = answers, .answers_len = 3, .wanted = 200};
    struct weft_retry_options options = plain;
    options.retry_if = is_not_wanted;
    CHECK_EQUAL(weft_retry(&options, serve, &server), 200);
    CHECK_EQUAL(server.calls, 3);
    server.calls = 0;
    options.attempts_max = 2;
    CHECK_EQUAL(weft_retry(&options, serve, &server), 202);
}

static const int succeeds[] = {200};

/* When the second attempt began, in a runtime of its own; before it so many calls succeeded. */
static int64_t second_attempt_after(unsigned successes)
{
    struct server good = {.answers = succeeds, .answers_len = 1, .wanted = 200};
    struct server bad = {.answers = fails, .answers_len = 1};
    const struct weft_retry_options judged = {.retry_if = is_not_wanted}, drawn = {0};
    int64_t before_ns = weft_now();
    for (unsigned i = 0; i < successes; i++)
        CHECK_EQUAL(weft_retry(&judged, serve, &good), 200);
    CHECK_EQUAL(weft_retry(&drawn, serve, &bad), -EIO);
    return bad.at_ns[1] - before_ns;
}

static int second_attempt_main(void *arg)
{
    int64_t *delay_ns = arg;
    *delay_ns = second_attempt_after((unsigned)*delay_ns);
    return 0;
}

TEST(a_success_that_is_judged_draws_nothing)
{
    const struct weft_run_options options = {.clock = WEFT_CLOCK_VIRTUAL, .seed = 1};
    int64_t alone_ns = 0, after_ns = 3;
    CHECK_EQUAL(weft_run(&options, second_attempt_main, &alone_ns), 0);
    CHECK_EQUAL(weft_run(&options, second_attempt_main, &after_ns), 0);
    CHECK_EQUAL(alone_ns, after_ns);
}

FIBER_TEST(jitter_is_drawn_and_the_same_for_the_same_seed)
{
    int64_t at_ns[3] = {0};
    for (unsigned run = 0; run < 3; run++) {
        struct server server = {.answers = fails, .answers_len = 1};
        const struct weft_retry_options options = {.seed = run < 2 ? 1 : 2};
        int64_t before_ns = weft_now();
        CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO);
        CHECK(server.at_ns[1] - before_ns < 100 * WEFT_MSEC);
        at_ns[run] = server.at_ns[2] - before_ns;
    }
    CHECK_EQUAL(at_ns[0], at_ns[1]);
    CHECK(at_ns[0] != at_ns[2]);
}

/* ---- time ------------------------------------------------------------------------------- */

FIBER_TEST(no_attempt_begins_at_or_after_the_scopes_deadline)
{
    struct server server = {.answers = fails, .answers_len = 1};
    struct weft_retry_stats stats = {0};
    struct weft_retry_options options = plain;
    struct weft_scope scope;
    int64_t before_ns = weft_now();
    options.stats = &stats;
    weft_scope_enter(&scope, before_ns + 3 * WEFT_SEC, 0); /* the third would begin just then */
    CHECK_EQUAL(weft_scope_leave(&scope, weft_retry(&options, serve, &server)), -EIO);
    CHECK_EQUAL(server.calls, 2);
    CHECK_EQUAL(weft_now() - before_ns, WEFT_SEC); /* at once, not after a vain wait */
    CHECK_EQUAL(stats.ended[WEFT_RETRY_DEADLINE], 1);
}

FIBER_TEST(no_attempt_begins_that_cannot_finish)
{
    struct server server = {.answers = fails, .answers_len = 1};
    struct weft_retry_options options = plain;
    struct weft_scope scope;
    options.attempt_min_ns = 500 * WEFT_MSEC;
    weft_scope_enter(&scope, weft_now() + 1500 * WEFT_MSEC, 0);
    CHECK_EQUAL(weft_scope_leave(&scope, weft_retry(&options, serve, &server)), -EIO);
    CHECK_EQUAL(server.calls, 2); /* there was just enough time for the second */
    server.calls = 0;
    options.attempt_min_ns++;
    weft_scope_enter(&scope, weft_now() + 1500 * WEFT_MSEC, 0);
    CHECK_EQUAL(weft_scope_leave(&scope, weft_retry(&options, serve, &server)), -EIO);
    CHECK_EQUAL(server.calls, 1);
}

FIBER_TEST(one_deadline_holds_for_all_attempts)
{
    struct server server = {.answers = fails, .answers_len = 1, .work_ns = 4 * WEFT_SEC};
    struct weft_retry_options options = plain;
    int64_t before_ns = weft_now();
    options.total_ns = 8 * WEFT_SEC;
    CHECK_EQUAL(weft_retry(&options, serve, &server), -ETIMEDOUT); /* the second, cut short */
    CHECK_EQUAL(server.calls, 2);
    CHECK_EQUAL(weft_now() - before_ns, 8 * WEFT_SEC);
    server.calls = 0;
    before_ns = weft_now();
    options.total_ns = 5 * WEFT_SEC;
    CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO); /* no time for a second */
    CHECK_EQUAL(server.calls, 1);
    CHECK_EQUAL(weft_now() - before_ns, 4 * WEFT_SEC);
}

struct place {
    struct weft_semaphore semaphore;
    int64_t free_at_end;
};

static int fail_with_place(void *arg)
{
    struct place *place = arg;
    int err = weft_semaphore_acquire(&place->semaphore, 1, WEFT_FOREVER);
    if (err < 0)
        return err;
    (void)weft_sleep(WEFT_SEC);
    (void)weft_semaphore_release(&place->semaphore, 1);
    return -EIO;
}

static int look_at_place(void *arg)
{
    struct place *place = arg;
    int err = weft_sleep(1500 * WEFT_MSEC); /* the first attempt ended at 1 s */
    place->free_at_end = weft_semaphore_available(&place->semaphore);
    return err;
}

FIBER_TEST(the_delay_holds_no_slot)
{
    struct place place;
    struct weft_group group;
    struct weft_retry_options options = plain;
    options.attempts_max = 2;
    CHECK_EQUAL(weft_semaphore_init(&place.semaphore, 1, WEFT_LOCAL), 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, look_at_place, &place), 0);
    CHECK_EQUAL(weft_retry(&options, fail_with_place, &place), -EIO);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(place.free_at_end, 1);
}

/* ---- cancellation ----------------------------------------------------------------------- */

FIBER_TEST(a_caller_that_is_cancelled_begins_nothing)
{
    struct server server = {.answers = fails, .answers_len = 1};
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_retry(&plain, serve, &server), -ECANCELED);
    CHECK_EQUAL(server.calls, 0);
    (void)weft_scope_leave(&scope, 0);
}

static int retry_long(void *arg)
{
    struct weft_retry_options options = plain;
    options.base_ns = options.cap_ns = 3600 * WEFT_SEC;
    return weft_retry(&options, serve, arg);
}

FIBER_TEST(a_caller_cancelled_in_the_delay_stops_there)
{
    struct server server = {.answers = fails, .answers_len = 1};
    struct weft_group group;
    struct weft_task task;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_task(&group, &task, retry_long, &server), 0);
    (void)weft_sleep(WEFT_SEC);
    weft_group_close(&group);
    CHECK_EQUAL(task.result, -ECANCELED);
    CHECK_EQUAL(server.calls, 1);
    CHECK_EQUAL(weft_now() - before_ns, WEFT_SEC);
}

struct budgeted {
    struct server server;
    struct weft_retry_budget *budget;
};

static int retry_with_budget(void *arg)
{
    struct budgeted *budgeted = arg;
    struct weft_retry_options options = plain;
    options.base_ns = options.cap_ns = 5 * WEFT_SEC;
    options.budget = budgeted->budget;
    return weft_retry(&options, serve, &budgeted->server);
}

FIBER_TEST(a_retry_cancelled_in_its_delay_costs_no_budget)
{
    struct budgeted budgeted = {.server = {.answers = fails, .answers_len = 1}};
    struct weft_retry_budget_snapshot snapshot = {0};
    struct weft_group group;
    REQUIRE(weft_retry_budget_open(&budgeted.budget, NULL) == 0);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, retry_with_budget, &budgeted), 0);
    (void)weft_sleep(6 * WEFT_SEC); /* in the second delay */
    weft_group_close(&group);
    CHECK_EQUAL(budgeted.server.calls, 2);
    CHECK_EQUAL(weft_retry_budget_snapshot(budgeted.budget, NULL, &snapshot), 0);
    CHECK_EQUAL(snapshot.taken, 1);
    weft_retry_budget_close(budgeted.budget);
}

/* ---- the server says when ---------------------------------------------------------------- */

static int64_t as_told(void *arg, unsigned attempt, int result, int64_t planned_ns)
{
    const struct server *server = arg;
    CHECK_EQUAL(attempt, server->calls);
    CHECK_EQUAL(result, -EIO);
    return server->override_ns ? server->override_ns : planned_ns;
}

FIBER_TEST(the_server_may_say_when)
{
    struct server server = {.answers = fails_twice, .answers_len = 3};
    struct weft_retry_options options = plain;
    const int answers[] = {-EIO, 1};
    server.answers = answers;
    server.answers_len = 2;
    server.override_ns = 120 * WEFT_SEC; /* beyond the cap */
    options.delay_ns = as_told;
    int64_t before_ns = weft_now();
    CHECK_EQUAL(weft_retry(&options, serve, &server), 1);
    CHECK_EQUAL(server.at_ns[1] - before_ns, 120 * WEFT_SEC);
    server.calls = 0;
    server.override_ns = 0;
    before_ns = weft_now();
    CHECK_EQUAL(weft_retry(&options, serve, &server), 1);
    CHECK_EQUAL(server.at_ns[1] - before_ns, WEFT_SEC);
}

FIBER_TEST(the_server_may_say_never)
{
    struct server server = {.answers = fails, .answers_len = 1, .override_ns = -1};
    struct weft_retry_stats stats = {0};
    struct weft_retry_options options = plain;
    options.delay_ns = as_told;
    options.stats = &stats;
    CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO);
    CHECK_EQUAL(server.calls, 1);
    CHECK_EQUAL(stats.ended[WEFT_RETRY_DECLINED], 1);
}

FIBER_TEST(a_server_that_says_too_late_is_not_waited_for)
{
    struct server server = {.answers = fails, .answers_len = 1, .override_ns = WEFT_FOREVER};
    struct weft_retry_options options = plain;
    int64_t before_ns = weft_now();
    options.delay_ns = as_told;
    CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO);
    CHECK_EQUAL(weft_now(), before_ns);
}

/* ---- budgets ----------------------------------------------------------------------------- */

FIBER_TEST(a_refused_retry_returns_the_original_error)
{
    const struct weft_retry_budget_options none = {.per_second_min = WEFT_RETRY_NO_MINIMUM};
    struct server server = {.answers = fails, .answers_len = 1};
    struct weft_retry_stats stats = {0};
    struct weft_retry_options options = plain;
    struct weft_retry_budget *budget;
    REQUIRE(weft_retry_budget_open(&budget, &none) == 0);
    options.budget = budget;
    options.budget_key = "host";
    options.stats = &stats;
    int64_t before_ns = weft_now();
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO);
    CHECK_EQUAL(server.calls, 4);
    CHECK_EQUAL(stats.ended[WEFT_RETRY_BUDGET], 4);
    CHECK_EQUAL(weft_now(), before_ns);
    CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO); /* five calls have earned one */
    CHECK_EQUAL(server.calls, 6);
    weft_retry_budget_close(budget);
}

FIBER_TEST(token_budgets_hear_of_every_failure_and_success)
{
    const struct weft_retry_budget_options tokens = {.kind = WEFT_RETRY_BUDGET_TOKENS};
    const int answers[] = {-EIO, -EIO, -EIO, -EIO, -EIO, 0};
    struct server server = {.answers = answers, .answers_len = 6};
    struct weft_retry_options options = plain;
    struct weft_retry_budget_snapshot snapshot = {0};
    struct weft_retry_budget *budget;
    REQUIRE(weft_retry_budget_open(&budget, &tokens) == 0);
    options.attempts_max = 10;
    options.budget = budget;
    CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO); /* the fifth failure leaves 5 */
    CHECK_EQUAL(server.calls, 5);
    CHECK_EQUAL(weft_retry(&options, serve, &server), 0);
    CHECK_EQUAL(weft_retry_budget_snapshot(budget, NULL, &snapshot), 0);
    CHECK(fabs(snapshot.balance - 5.1) < 1e-9);
    weft_retry_budget_close(budget);
}

FIBER_TEST(a_budget_that_cannot_be_used_stops_the_call)
{
    char key[100] = {0};
    const int answers[] = {0};
    struct server server = {.answers = answers, .answers_len = 1};
    struct weft_retry_options options = plain;
    struct weft_retry_budget *budget;
    REQUIRE(weft_retry_budget_open(&budget, NULL) == 0);
    memset(key, 'k', 80);
    options.budget = budget;
    options.budget_key = key;
    CHECK_EQUAL(weft_retry(&options, serve, &server), -EINVAL);
    CHECK_EQUAL(server.calls, 0);
    weft_retry_budget_close(budget);
}

/* ---- what is told ------------------------------------------------------------------------ */

struct log {
    struct weft_retry_event events[8];
    unsigned len;
};

static void keep(void *arg, const struct weft_retry_event *event)
{
    struct log *log = arg;
    if (log->len < 8)
        log->events[log->len++] = *event;
}

FIBER_TEST(every_failed_attempt_is_told)
{
    struct server server = {.answers = fails, .answers_len = 1, .work_ns = WEFT_SEC};
    struct log log = {.len = 0};
    struct weft_retry_stats stats = {0};
    struct weft_retry_options options = plain;
    int64_t before_ns = weft_now();
    options.name = "fetch";
    options.attempts_max = 3;
    options.on_event = keep;
    options.on_event_arg = &log;
    options.stats = &stats;
    CHECK_EQUAL(weft_retry(&options, serve, &server), -EIO);
    CHECK_EQUAL(log.len, 3);
    for (unsigned i = 0; i < log.len; i++) {
        CHECK_EQUAL(log.events[i].attempt, i + 1);
        CHECK_EQUAL(log.events[i].result, -EIO);
        CHECK_EQUAL(strcmp(log.events[i].name, "fetch"), 0);
    }
    CHECK_EQUAL(log.events[0].reason, WEFT_RETRY_AGAIN);
    CHECK_EQUAL(log.events[0].delay_ns, WEFT_SEC);
    CHECK_EQUAL(log.events[0].at_ns, before_ns + WEFT_SEC);
    CHECK_EQUAL(log.events[1].delay_ns, 2 * WEFT_SEC);
    CHECK_EQUAL(log.events[2].reason, WEFT_RETRY_ATTEMPTS);
    CHECK_EQUAL(log.events[2].delay_ns, 0);
    CHECK_EQUAL(stats.calls, 1);
    CHECK_EQUAL(stats.attempts, 3);
    CHECK_EQUAL(stats.retries, 2);
    CHECK_EQUAL(stats.delayed_ns, 3 * WEFT_SEC);
    CHECK_EQUAL(stats.ended[WEFT_RETRY_ATTEMPTS], 1);
}

FIBER_TEST(numbers_add_up_over_calls)
{
    struct weft_retry_stats stats = {0};
    struct weft_retry_options options = plain;
    options.stats = &stats;
    for (unsigned i = 0; i < 3; i++) {
        struct server server = {.answers = fails_twice, .answers_len = 3};
        CHECK_EQUAL(weft_retry(&options, serve, &server), 7);
    }
    CHECK_EQUAL(stats.calls, 3);
    CHECK_EQUAL(stats.attempts, 9);
    CHECK_EQUAL(stats.retries, 6);
    for (unsigned i = 0; i < WEFT_RETRY_REASONS; i++)
        CHECK_EQUAL(stats.ended[i], 0);
}

/* ---- refusals ---------------------------------------------------------------------------- */

FIBER_TEST(options_that_make_no_sense_are_refused)
{
    static const struct weft_retry_options wrong[] = {
        {.base_ns = -1},
        {.cap_ns = -1},
        {.total_ns = -1},
        {.attempt_min_ns = -1},
        {.base_ns = 2, .cap_ns = 1},
        {.multiplier = 0.5},
        {.multiplier = -2},
        {.multiplier = (double)NAN},
        {.multiplier = (double)INFINITY},
        {.backoff = (enum weft_backoff)3},
        {.jitter = (enum weft_jitter)5},
        {.backoff = WEFT_BACKOFF_LINEAR, .jitter = WEFT_JITTER_DECORRELATED},
        {.backoff = WEFT_BACKOFF_CONSTANT, .jitter = WEFT_JITTER_SMOOTH},
    };
    struct server server = {.answers = fails, .answers_len = 1};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_EQUAL(weft_retry(&wrong[i], serve, &server), -EINVAL);
    CHECK_EQUAL(server.calls, 0);
}

TEST(outside_a_runtime_nothing_is_called)
{
    struct server server = {.answers = fails, .answers_len = 1};
    CHECK_EQUAL(weft_retry(NULL, serve, &server), -EPERM);
    CHECK_EQUAL(server.calls, 0);
}
