/* SPDX-License-Identifier: MIT
 * world.h - a broker in memory, an engine on it that runs beside the test, and short words for what
 * tests do with them. What must not fail ends the program when it does. */
#ifndef WEFT_TESTS_JOB_WORLD_H
#define WEFT_TESTS_JOB_WORLD_H

#include "test.h"

#include <job/engine.h>

#include <weft/group.h>
#include <weft/sync.h>

/* All zeros before world_open; a broker that is set is used, and stays the test's. */
struct world {
    struct weft_broker *broker;
    struct weft_engine *engine;
    struct weft_group group;
    bool own_broker;
    struct weft_engine_log log;
};

/* Open and run an engine. Without consumers there is one that takes from every queue; without a
 * seed it is 1. */
void world_open(struct world *world, struct weft_engine_options options);
void world_close(struct world *world, int64_t grace_ns);

/* The same in two parts each, for what happens in between. */
void world_run(struct world *world);
void world_end_run(struct world *world, int64_t grace_ns);

/* Put in one job. */
struct weft_uuid world_put(struct world *world, struct weft_submission job);
struct weft_uuid world_add(struct world *world, const char *task, const char *json);

/* The job as it is now, to be freed. */
struct weft_job *world_find(struct world *world, const struct weft_uuid *id);
enum weft_job_state world_state(struct world *world, const struct weft_uuid *id);
/* The job's end, waited for, to be freed. */
struct weft_job *world_end(struct world *world, const struct weft_uuid *id);

struct weft_engine_counts world_counts(struct world *world);

/* How many lines of the log since the last world_open have this event, and contain text (NULL:
 * whatever). */
unsigned world_logged(const char *event, const char *text);

struct weft_bytes world_json(const char *json);

/* A cancel by request. */
void world_cancel(struct world *world, const struct weft_uuid *id);

#define CHECK_TEXT(actual, expected)                                                               \
    do {                                                                                           \
        const char *actual_ = (actual);                                                            \
        bool same_ = actual_ && strcmp(actual_, (expected)) == 0;                                  \
        CHECK(same_);                                                                              \
        if (!same_)                                                                                \
            test_note("actual: %s", actual_ ? actual_ : "NULL");                                   \
    } while (0)

#endif
