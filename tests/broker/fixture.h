/* SPDX-License-Identifier: MIT
 * fixture.h - what the conformance suite needs of the broker under test, and helpers.
 *
 * The suite is conformance_*.c, the same for every broker, through job/broker.h alone, in virtual
 * time. A broker brings a file with the first three functions. */
#ifndef WEFT_TESTS_BROKER_FIXTURE_H
#define WEFT_TESTS_BROKER_FIXTURE_H

#include "test.h"

#include <job/broker.h>

#define SECOND_US ((int64_t)1000000)
#define MINUTE_US (60 * SECOND_US)

/* An empty broker for this test. */
struct weft_broker *fixture_open(void);
/* The same store again, as after the server died or ended: the caller has closed the broker. NULL
 * where nothing outlives the broker: then the test is skipped. */
struct weft_broker *fixture_reopen(void);
void fixture_close(struct weft_broker *broker);

/* A job that can be enqueued, in the queue "default"; its id is new, its times are the broker's
 * now. */
struct weft_job fixture_job(struct weft_broker *broker);
struct weft_job fixture_job_in(struct weft_broker *broker, const char *queue);

/* Enqueue one; returns the item's error. */
int fixture_enqueue(struct weft_broker *broker, const struct weft_job *job);
/* Enqueue what is in the item; returns its error. */
int fixture_enqueue_item(struct weft_broker *broker, struct weft_enqueue *item);
/* Enqueue a batch; returns the call's error. */
int fixture_enqueue_batch(struct weft_broker *broker, struct weft_enqueue *items, size_t count,
                          bool atomic);
/* Make and enqueue one, which must succeed. */
struct weft_uuid fixture_put(struct weft_broker *broker, const char *queue);

/* Claim up to jobs_max, until the broker is closed where it can; returns how many. */
unsigned fixture_claim(struct weft_broker *broker, const char *queue, struct weft_job **jobs,
                       unsigned jobs_max);
/* Claim one that must be there. */
struct weft_job *fixture_claim_one(struct weft_broker *broker, const char *queue);
/* Claim one for so long; NULL when there is none. */
struct weft_job *fixture_lease(struct weft_broker *broker, const char *queue, int64_t lease_us);
/* How many can be claimed; they are claimed, and completed. */
unsigned fixture_finish_all(struct weft_broker *broker, const char *queue);

/* Settle one; returns the item's error. */
int fixture_settle(struct weft_broker *broker, const struct weft_job *job,
                   enum weft_job_event event, int64_t delay_us);
/* Claim the one job there is, settle it so. */
void fixture_claim_and_settle(struct weft_broker *broker, const char *queue,
                              enum weft_job_event event);

/* Let time have its effects, until there are no more; the sums of what happened. */
struct weft_maintenance fixture_maintain(struct weft_broker *broker);
/* Let time pass, then maintain. */
void fixture_pass(struct weft_broker *broker, int64_t us);

/* The job as it is now; free it. */
struct weft_job *fixture_find(struct weft_broker *broker, const struct weft_uuid *id);
enum weft_job_state fixture_state(struct weft_broker *broker, const struct weft_uuid *id);
bool fixture_same_id(const struct weft_uuid *a, const struct weft_uuid *b);

/* Set a queue's settings, which must succeed. */
void fixture_limit(struct weft_broker *broker, const char *queue,
                   const struct weft_queue_settings *settings);

/* Skip the running test unless the broker can do this. */
#define NEEDS_CAPABILITY(broker, capability)                                                       \
    do {                                                                                           \
        if (!((broker)->ops->capabilities & (capability))) {                                       \
            test_skip("the broker has no " #capability);                                           \
            fixture_close(broker);                                                                 \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* Close and open again, or skip the running test where nothing outlives the broker. */
#define REOPEN(broker)                                                                             \
    do {                                                                                           \
        fixture_close(broker);                                                                     \
        (broker) = fixture_reopen();                                                               \
        if (!(broker)) {                                                                           \
            test_skip("nothing outlives the broker");                                              \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#endif
