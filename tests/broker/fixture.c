/* SPDX-License-Identifier: MIT
 * fixture.c - see fixture.h. */
#include "fixture.h"

#include <errno.h>
#include <string.h>

static struct weft_random random_numbers;
static struct weft_uuid_maker maker;

struct weft_job fixture_job_in(struct weft_broker *broker, const char *queue)
{
    int64_t now_us = broker->ops->now_us(broker);
    if (!maker.random)
        weft_random_seed(&random_numbers, 1);
    /* The virtual time of a test may lie before that of an earlier one. */
    if (!maker.random || (int64_t)maker.last_ms > now_us / 1000 + 1000)
        weft_uuid_maker_init(&maker, &random_numbers);
    static const char payload[] = "{\"text\":\"a\"}";
    return (struct weft_job){
        .id = weft_uuid_make(&maker, now_us / 1000),
        .task = "process",
        .queue = queue,
        .priority = WEFT_PRIORITY_DEFAULT,
        .attempts_max = 3,
        .created_us = now_us,
        .run_at_us = now_us,
        .payload = {payload, strlen(payload), true},
    };
}

struct weft_job fixture_job(struct weft_broker *broker)
{
    return fixture_job_in(broker, "default");
}

int fixture_enqueue_batch(struct weft_broker *broker, struct weft_enqueue *items, size_t count,
                          bool atomic)
{
    struct weft_enqueue_batch batch = {.items = items, .count = count, .atomic = atomic};
    return broker->ops->enqueue(broker, &batch);
}

int fixture_enqueue_item(struct weft_broker *broker, struct weft_enqueue *item)
{
    int err = fixture_enqueue_batch(broker, item, 1, false);
    return err ? err : item->err;
}

int fixture_enqueue(struct weft_broker *broker, const struct weft_job *job)
{
    struct weft_enqueue item = {.job = job};
    return fixture_enqueue_item(broker, &item);
}

struct weft_uuid fixture_put(struct weft_broker *broker, const char *queue)
{
    struct weft_job job = fixture_job_in(broker, queue);
    REQUIRE(fixture_enqueue(broker, &job) == 0);
    return job.id;
}

static int64_t lease_until_close(struct weft_broker *broker)
{
    bool endless = broker->ops->capabilities & WEFT_BROKER_LEASES_UNTIL_CLOSE;
    return endless ? 0 : 3600 * SECOND_US;
}

unsigned fixture_claim(struct weft_broker *broker, const char *queue, struct weft_job **jobs,
                       unsigned jobs_max)
{
    struct weft_claim claim = {
        .queues = &queue,
        .queues_count = 1,
        .lease_us = lease_until_close(broker),
        .jobs_max = jobs_max,
        .jobs = jobs,
    };
    int err = broker->ops->claim(broker, &claim);
    CHECK_EQUAL(err, 0);
    return err ? 0 : claim.count;
}

struct weft_job *fixture_claim_one(struct weft_broker *broker, const char *queue)
{
    struct weft_job *job = NULL;
    REQUIRE(fixture_claim(broker, queue, &job, 1) == 1);
    return job;
}

struct weft_job *fixture_lease(struct weft_broker *broker, const char *queue, int64_t lease_us)
{
    struct weft_job *job = NULL;
    struct weft_claim claim = {
        .queues = &queue,
        .queues_count = 1,
        .lease_us = lease_us,
        .jobs_max = 1,
        .jobs = &job,
    };
    int err = broker->ops->claim(broker, &claim);
    CHECK_EQUAL(err, 0);
    return err || claim.count == 0 ? NULL : job;
}

unsigned fixture_finish_all(struct weft_broker *broker, const char *queue)
{
    struct weft_job *jobs[16];
    unsigned total = 0, count;
    while ((count = fixture_claim(broker, queue, jobs, 16)) > 0) {
        for (unsigned i = 0; i < count; i++) {
            CHECK_EQUAL(fixture_settle(broker, jobs[i], WEFT_JOB_COMPLETE, 0), 0);
            weft_job_free(jobs[i]);
        }
        total += count;
    }
    return total;
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

void fixture_claim_and_settle(struct weft_broker *broker, const char *queue,
                              enum weft_job_event event)
{
    struct weft_job *job = fixture_claim_one(broker, queue);
    CHECK_EQUAL(fixture_settle(broker, job, event, 0), 0);
    weft_job_free(job);
}

struct weft_maintenance fixture_maintain(struct weft_broker *broker)
{
    struct weft_maintenance total = {0};
    do {
        struct weft_maintenance one = {0};
        REQUIRE(broker->ops->maintain(broker, &one) == 0);
        total.due += one.due;
        total.lost += one.lost;
        total.expired += one.expired;
        total.more = one.more;
        total.next_us = one.next_us;
    } while (total.more);
    return total;
}

void fixture_pass(struct weft_broker *broker, int64_t us)
{
    CHECK_EQUAL(weft_sleep(us * 1000), 0);
    (void)fixture_maintain(broker);
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

enum weft_job_state fixture_state(struct weft_broker *broker, const struct weft_uuid *id)
{
    struct weft_job *job = fixture_find(broker, id);
    enum weft_job_state state = job->state;
    weft_job_free(job);
    return state;
}

bool fixture_same_id(const struct weft_uuid *a, const struct weft_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void fixture_limit(struct weft_broker *broker, const char *queue,
                   const struct weft_queue_settings *settings)
{
    REQUIRE(broker->ops->queue_set(broker, queue, settings) == 0);
}
