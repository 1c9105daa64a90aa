/* SPDX-License-Identifier: MIT
 * fixture.h - what the conformance suite needs of the broker under test, and helpers. */
#ifndef WEFT_TESTS_BROKER_FIXTURE_H
#define WEFT_TESTS_BROKER_FIXTURE_H

#include "test.h"

#include <job/broker.h>

/* An empty broker for this test. */
struct weft_broker *fixture_open(void);
/* The same store again, as after the server died or ended: the caller has closed the broker. */
struct weft_broker *fixture_reopen(void);
void fixture_close(struct weft_broker *broker);

/* A job that can be enqueued; its id is new, its times are the broker's now. */
struct weft_job fixture_job(struct weft_broker *broker, unsigned worker);
/* Enqueue one; returns the item's error. */
int fixture_enqueue(struct weft_broker *broker, const struct weft_job *job);
/* Claim up to jobs_max; returns how many. */
unsigned fixture_claim(struct weft_broker *broker, unsigned worker, struct weft_job **jobs,
                       unsigned jobs_max);
/* Settle one; returns the item's error. */
int fixture_settle(struct weft_broker *broker, const struct weft_job *job,
                   enum weft_job_event event, int64_t delay_us);
/* The job as it is now; free it. */
struct weft_job *fixture_find(struct weft_broker *broker, const struct weft_uuid *id);

#endif
