/* SPDX-License-Identifier: MIT
 * sqlite_fixture.c - SQLite as the broker under test; see fixture.h. */
#include "fixture.h"

#include <broker/sqlite.h>

#include <stdio.h>
#include <string.h>

static unsigned number;

static struct weft_broker *open_number(void)
{
    char path[160], error[256];
    (void)snprintf(path, sizeof path, "%s/conformance-%u.db", test_directory(), number);
    struct weft_broker *broker = NULL;
    int err =
        weft_sqlite_open(&broker, &(struct weft_sqlite_options){.path = path}, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
    return broker;
}

struct weft_broker *fixture_open(void)
{
    number++;
    return open_number();
}

struct weft_broker *fixture_reopen(void)
{
    return open_number();
}

void fixture_close(struct weft_broker *broker)
{
    broker->ops->close(broker);
}

static struct weft_random random_numbers;
static struct weft_uuid_maker maker;

struct weft_job fixture_job(struct weft_broker *broker, unsigned worker)
{
    if (!maker.random) {
        weft_random_seed(&random_numbers, 1);
        weft_uuid_maker_init(&maker, &random_numbers);
    }
    int64_t now_us = broker->ops->now_us(broker);
    static const char payload[] = "{\"text\":\"a\"}";
    return (struct weft_job){
        .id = weft_uuid_make(&maker, now_us / 1000),
        .task = "process",
        .priority = WEFT_PRIORITY_DEFAULT,
        .attempts_max = 3,
        .created_us = now_us,
        .run_at_us = now_us,
        .worker = (uint16_t)worker,
        .payload = {payload, strlen(payload), true},
    };
}

int fixture_enqueue(struct weft_broker *broker, const struct weft_job *job)
{
    struct weft_enqueue item = {.job = job};
    int err = broker->ops->enqueue(broker, &item, 1);
    return err ? err : item.err;
}

unsigned fixture_claim(struct weft_broker *broker, unsigned worker, struct weft_job **jobs,
                       unsigned jobs_max)
{
    struct weft_claim claim = {.worker = worker, .jobs_max = jobs_max, .jobs = jobs};
    int err = broker->ops->claim(broker, &claim);
    CHECK_EQUAL(err, 0);
    return err ? 0 : claim.count;
}

int fixture_settle(struct weft_broker *broker, const struct weft_job *job,
                   enum weft_job_event event, int64_t delay_us)
{
    struct weft_settlement item = {
        .job = job,
        .event = event,
        .delay_us = delay_us,
        .result = {"{\"r\":1}", 7, true},
        .error = "it did not work",
        .thread = 42,
    };
    int err = broker->ops->settle(broker, &item, 1);
    return err ? err : item.err;
}

struct weft_job *fixture_find(struct weft_broker *broker, const struct weft_uuid *id)
{
    struct weft_job *job = NULL;
    int err = broker->ops->find(broker, id, &job);
    if (err)
        test_note("find: %s", weft_strerror(err));
    REQUIRE(!err);
    return job;
}
