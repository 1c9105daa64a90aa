/* SPDX-License-Identifier: MIT
 * world.c - see world.h. */
#include "world.h"

#include <broker/sqlite.h>

#include <stdio.h>
#include <string.h>

#define LINES_MAX 256

/* The latest world's: too much for the stack of a test. */
static struct line {
    enum weft_log_level level;
    char event[32], text[128];
} lines[LINES_MAX];
static unsigned lines_count; /* also of those there was no room for */

static void log_line(void *context, enum weft_log_level level, const struct weft_job *job,
                     const char *event, const char *text)
{
    (void)context;
    (void)job;
    unsigned at = __atomic_fetch_add(&lines_count, 1, __ATOMIC_RELAXED);
    if (at >= LINES_MAX)
        return;
    struct line *line = &lines[at];
    line->level = level;
    (void)snprintf(line->event, sizeof line->event, "%s", event);
    (void)snprintf(line->text, sizeof line->text, "%s", text ? text : "");
}

unsigned world_logged(const char *event, const char *text)
{
    unsigned count = 0;
    for (unsigned i = 0; i < lines_count && i < LINES_MAX; i++) {
        const struct line *line = &lines[i];
        count += strcmp(line->event, event) == 0 && (!text || strstr(line->text, text));
    }
    return count;
}

static void open_broker(struct world *world)
{
    char error[256] = "";
    int err = weft_sqlite_open(&world->broker, &(struct weft_sqlite_options){.memory = true}, error,
                               sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
    world->own_broker = true;
}

static int engine_main(void *arg)
{
    struct world *world = arg;
    return weft_engine_run(world->engine);
}

void world_run(struct world *world)
{
    REQUIRE(weft_group_init(&world->group, NULL) == 0);
    REQUIRE(weft_spawn(&world->group, engine_main, world) == 0);
    (void)weft_sleep(WEFT_MSEC); /* it has looked at what there is */
}

static void open_engine(struct world *world, struct weft_engine_options options)
{
    static const struct weft_consumer_queue every = {.name = "*"};
    static const struct weft_consumer_options all = {
        .name = "all", .queues = &every, .queues_count = 1};
    if (!world->broker)
        open_broker(world);
    if (!options.consumers) {
        options.consumers = &all;
        options.consumers_count = 1;
    }
    if (!options.seed)
        options.seed = 1;
    lines_count = 0;
    world->log = (struct weft_engine_log){log_line, NULL};
    options.log = &world->log;
    options.broker = world->broker;
    int err = weft_engine_open(&world->engine, &options);
    if (err)
        test_note("open: %s", weft_strerror(err));
    REQUIRE(!err);
}

void world_open(struct world *world, struct weft_engine_options options)
{
    open_engine(world, options);
    world_run(world);
}

void world_end_run(struct world *world, int64_t grace_ns)
{
    weft_engine_drain(world->engine, grace_ns);
    CHECK_EQUAL(weft_group_wait(&world->group), 0);
}

void world_close(struct world *world, int64_t grace_ns)
{
    world_end_run(world, grace_ns);
    CHECK_EQUAL(world_counts(world).running, 0);
    weft_engine_close(world->engine);
    if (world->own_broker)
        world->broker->ops->close(world->broker);
}

struct weft_bytes world_json(const char *json)
{
    return (struct weft_bytes){json, strlen(json), true};
}

struct weft_uuid world_put(struct world *world, struct weft_submission job)
{
    if (!job.payload.data)
        job.payload = world_json("{}");
    int err = weft_engine_submit(world->engine, &job, 1, false);
    if (err || job.err)
        test_note("submit: %s", weft_strerror(err ? err : job.err));
    REQUIRE(!err && !job.err);
    return job.id;
}

struct weft_uuid world_add(struct world *world, const char *task, const char *json)
{
    return world_put(
        world, (struct weft_submission){.task = task, .priority = -1, .payload = world_json(json)});
}

struct weft_job *world_find(struct world *world, const struct weft_uuid *id)
{
    struct weft_job *job = NULL;
    REQUIRE(world->broker->ops->find(world->broker, id, &job) == 0);
    return job;
}

enum weft_job_state world_state(struct world *world, const struct weft_uuid *id)
{
    struct weft_job *job = world_find(world, id);
    enum weft_job_state state = job->state;
    weft_job_free(job);
    return state;
}

struct weft_job *world_end(struct world *world, const struct weft_uuid *id)
{
    struct weft_job *job = NULL;
    int err = weft_engine_wait(world->engine, id, WEFT_FOREVER, &job);
    if (err)
        test_note("wait: %s", weft_strerror(err));
    REQUIRE(!err);
    return job;
}

struct weft_engine_counts world_counts(struct world *world)
{
    struct weft_engine_counts counts;
    weft_engine_counts(world->engine, &counts);
    return counts;
}

void world_cancel(struct world *world, const struct weft_uuid *id)
{
    struct weft_cancel cancel = {.kind = WEFT_CANCEL_JOB, .id = *id, .reason = "not wanted"};
    int err = world->broker->ops->cancel(world->broker, &cancel);
    if (err)
        test_note("cancel: %s", weft_strerror(err));
    CHECK_EQUAL(err, 0);
}
