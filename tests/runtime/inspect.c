/* SPDX-License-Identifier: MIT
 * inspect.c - what weft_dump tells of fibers and groups. */
#include "test.h"

#include <weft/group.h>
#include <weft/inspect.h>
#include <weft/offload.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The dump as a string, for the caller to free. */
static char *dump(void)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK_EQUAL(weft_dump(fd), 0);
    off_t len = lseek(fd, 0, SEEK_END);
    REQUIRE(len > 0);
    char *text = calloc(1, (size_t)len + 1);
    REQUIRE(text && pread(fd, text, (size_t)len, 0) == len);
    (void)close(fd);
    return text;
}

/* The line that contains the words, NULL when there is none; in static storage. */
static const char *line_with(const char *text, const char *words)
{
    static char line[1024];
    const char *found = strstr(text, words);
    if (!found)
        return NULL;
    while (found > text && found[-1] != '\n')
        found--;
    size_t len = strcspn(found, "\n");
    REQUIRE(len < sizeof line);
    memcpy(line, found, len);
    line[len] = '\0';
    return line;
}

static void check_line(const char *text, const char *key, const char *words)
{
    const char *line = line_with(text, key);
    CHECK(line && strstr(line, words));
    if (!line || !strstr(line, words))
        test_note("no '%s' in '%s' of:\n%s", words, key, text);
}

static int sleep_3s(void *arg)
{
    (void)arg;
    return weft_sleep(3 * WEFT_SEC);
}

TEST(a_dump_outside_a_runtime_is_refused)
{
    CHECK_EQUAL(weft_dump(STDERR_FILENO), -EPERM);
}

FIBER_TEST(a_dump_shows_groups_and_what_fibers_wait_for)
{
    struct weft_group group;
    const struct weft_group_options options = {.name = "sleepers",
                                               .policy = WEFT_SUPERVISE,
                                               .concurrency_max = 7,
                                               .deadline_ns = weft_now() + 5 * WEFT_SEC};
    const struct weft_spawn_options named = {.name = "long one"};
    CHECK_EQUAL(weft_group_init(&group, &options), 0);
    CHECK_EQUAL(weft_spawn_with(&group, sleep_3s, NULL, &named), 0);
    char *text = dump();
    check_line(text, "worker 0", "worker 0: 2 fibers");
    check_line(text, "\"main\"", "waiting for descriptions of all fibers");
    check_line(text, "\"sleepers\"", "(supervise): 1 live of at most 7, deadline in 5.000 s");
    check_line(text, "\"long one\"", "waiting for its time, timer in 3.000 s, deadline in 5.000 s");
    check_line(text, "\"long one\"", "spawned at test-inspect+0x");
    check_line(text, "\"long one\"", " of 64 KiB");
    free(text);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int dump_here(void *arg)
{
    *(char **)arg = dump();
    return 0;
}

FIBER_TEST(a_cancelled_fiber_can_dump_and_is_shown_as_cancelled)
{
    char *text = NULL;
    struct weft_scope scope;
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, -EPIPE);
    CHECK_EQUAL(dump_here(&text), 0);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ECANCELED);
    check_line(text, "\"main\"", "cancelled (Broken pipe)");
    free(text);
}

FIBER_TEST(a_fiber_that_has_not_run_is_runnable)
{
    struct weft_group group;
    char *text = NULL;
    const struct weft_spawn_options first = {.name = "first"}, second = {.name = "second"};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, dump_here, &text, &first), 0);
    CHECK_EQUAL(weft_spawn_with(&group, sleep_3s, NULL, &second), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    check_line(text, "\"main\"", "waiting for the end of a group");
    CHECK(line_with(text, "\"second\""));
    free(text);
}

FIBER_TEST(a_large_group_is_cut_short)
{
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 5000; i++)
        REQUIRE(weft_spawn(&group, sleep_3s, NULL) == 0);
    char *text = dump();
    check_line(text, "more", "... 4900 more");
    CHECK(strlen(text) < 40000);
    free(text);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

struct nest {
    int depth;
    char *text;
};

static int nest(void *arg)
{
    struct nest *here = arg, inner = {.depth = here->depth - 1};
    struct weft_group group;
    if (here->depth == 0)
        return dump_here(&here->text);
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, nest, &inner), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    here->text = inner.text;
    return 0;
}

FIBER_TEST(groups_inside_groups_are_shown_to_a_depth)
{
    struct nest shallow = {.depth = 10}, deep = {.depth = 100};
    CHECK_EQUAL(nest(&shallow), 0);
    REQUIRE(shallow.text);
    CHECK(!strstr(shallow.text, "more groups"));
    check_line(shallow.text, "descriptions", "waiting for descriptions of all fibers");
    free(shallow.text);
    CHECK_EQUAL(nest(&deep), 0);
    REQUIRE(deep.text);
    CHECK(strstr(deep.text, "... more groups inside"));
    free(deep.text);
}

static int block(void *arg)
{
    atomic_int *state = arg;
    atomic_store(state, 1);
    while (atomic_load(state) == 1)
        (void)usleep(1000);
    return 0;
}

static int offload_block(void *arg)
{
    return weft_offload(block, arg);
}

REAL_TIME_FIBER_TEST(a_blocking_call_is_named)
{
    struct weft_group group;
    atomic_int state = 0;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn(&group, offload_block, &state), 0);
    while (atomic_load(&state) == 0)
        REQUIRE(weft_sleep(WEFT_MSEC) == 0);
    char *text = dump();
    CHECK(strstr(text, "waiting for a blocking call on a thread"));
    free(text);
    atomic_store(&state, 2);
    CHECK_EQUAL(weft_group_wait(&group), 0);
}

static int sleep_until_cancelled(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_FOREVER);
}

static int look_at_two_workers(void *arg)
{
    (void)arg;
    struct weft_group group;
    const struct weft_spawn_options there = {.name = "guest", .worker = WEFT_WORKER(1)};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, sleep_until_cancelled, NULL, &there), 0);
    char *text = dump();
    CHECK(strstr(text, "task \"guest\" "));
    check_line(text, "task \"guest\"", "on worker 1");
    check_line(text, "fiber \"guest\"", ", from worker 0");
    CHECK(strstr(text, "worker 1: 1 fiber\n"));
    free(text);
    weft_group_close(&group);
    return 0;
}

TEST(a_dump_gathers_what_every_worker_says)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, look_at_two_workers, NULL), 0);
}

static int look_at_a_busy_worker(void *arg)
{
    (void)arg;
    struct weft_group group;
    atomic_int state = 0;
    const struct weft_spawn_options there = {.worker = WEFT_WORKER(1)};
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    CHECK_EQUAL(weft_spawn_with(&group, block, &state, &there), 0);
    while (atomic_load(&state) == 0)
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    char *text = dump();
    CHECK(strstr(text, "worker 0: 1 fiber\n"));
    CHECK(strstr(text, "worker 1: no answer: busy with one fiber, or ended\n"));
    free(text);
    atomic_store(&state, 2);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    return 0;
}

TEST(a_worker_that_does_not_answer_is_not_waited_for)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, look_at_a_busy_worker, NULL), 0);
}

static int move_about(void *arg)
{
    int rounds = *(int *)arg;
    int err = 0;
    for (int i = 0; err == 0 && i < rounds; i++)
        err = i % 3 ? weft_yield() : weft_sleep(10 * WEFT_USEC);
    return err;
}

/* On each worker, groups come and go. */
static int keep_spawning(void *arg)
{
    int rounds = 5, err = 0;
    (void)arg;
    while (err == 0) {
        struct weft_group group;
        err = weft_group_init(&group, NULL);
        if (err < 0)
            return err;
        for (int i = 0; err == 0 && i < 5; i++) {
            const struct weft_spawn_options options = {.worker = i % 2 ? WEFT_ANY_WORKER : 0};
            err = weft_spawn_with(&group, move_about, &rounds, &options);
        }
        int result = weft_group_wait(&group);
        err = err < 0 ? err : result;
    }
    return err;
}

static int dump_what_moves(void *arg)
{
    (void)arg;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 3; i++) {
        const struct weft_spawn_options there = {.worker = WEFT_WORKER(i)};
        CHECK_EQUAL(weft_spawn_with(&group, keep_spawning, NULL, &there), 0);
    }
    for (int i = 0; i < 50; i++) {
        char *text = dump();
        CHECK(strstr(text, "worker 2: "));
        free(text);
    }
    weft_group_close(&group);
    return 0;
}

TEST(dumps_do_not_disturb_what_moves)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 3}, dump_what_moves, NULL), 0);
}

static int dump_guards(void *arg)
{
    char **ret_text = arg;
    *ret_text = dump();
    return 0;
}

TEST(a_dump_says_how_stacks_are_guarded_where_the_kernel_cannot)
{
    char *text = NULL;
    const struct weft_run_options options = {.guards_by_mprotect = 1};
    CHECK_EQUAL(weft_run(&options, dump_guards, &text), 0);
    REQUIRE(text);
    CHECK(strstr(text, "guards: 1 stacks by mprotect, 0 stacks without"));
    free(text);
}

static int spawn_crowds_elsewhere(void *arg)
{
    (void)arg;
    struct weft_group group;
    CHECK_EQUAL(weft_group_init(&group, NULL), 0);
    for (int i = 0; i < 250; i++)
        CHECK_EQUAL(weft_spawn_with(&group, sleep_3s, NULL,
                                    &(struct weft_spawn_options){.worker = WEFT_WORKER(1)}),
                    0);
    char *text = dump();
    CHECK(strstr(text, "... 150 more\n"));
    CHECK(strstr(text, "  ... perhaps more\n"));
    free(text);
    weft_group_cancel(&group, 0);
    return weft_group_wait(&group);
}

TEST(of_a_crowd_on_another_worker_some_are_shown)
{
    CHECK_EQUAL(weft_run(&(struct weft_run_options){.workers = 2}, spawn_crowds_elsewhere, NULL),
                0);
}

static int dump_from_outside(void *arg)
{
    (void)arg;
    char *text = dump();
    check_line(text, "\"call\"", "fiber");
    CHECK(!strstr(line_with(text, "\"call\""), "from worker"));
    free(text);
    return 0;
}

static void *call_dump(void *arg)
{
    CHECK_EQUAL(weft_call(arg, dump_from_outside, NULL), 0);
    return NULL;
}

static int let_call(void *arg)
{
    (void)arg;
    pthread_t thread;
    struct weft_runtime *runtime = weft_runtime_acquire();
    REQUIRE(pthread_create(&thread, NULL, call_dump, runtime) == 0);
    while (pthread_tryjoin_np(thread, NULL) != 0)
        (void)weft_yield();
    weft_runtime_release(runtime);
    return 0;
}

TEST(a_call_from_outside_is_shown_without_a_worker_it_came_from)
{
    CHECK_EQUAL(weft_run(NULL, let_call, NULL), 0);
}
