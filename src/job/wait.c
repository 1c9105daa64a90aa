/* SPDX-License-Identifier: MIT
 * wait.c - wait for the end of a job: told by the pump, or where nobody tells, by asking. */
#include "engine_internal.h"

#include <base/hash.h>

#include <weft/runtime.h>

#include <errno.h>
#include <string.h>

struct waiter {
    struct weft_table_node by_id; /* in engine->waiters */
    struct weft_uuid id;
    struct weft_wake wake;
};

static struct waiter *waiter_of(struct weft_table_node *node)
{
    return weft_container_of(node, struct waiter, by_id);
}

void weft_waiters_tell(struct weft_engine *engine, const struct weft_uuid *id)
{
    if (engine->waiters.count == 0)
        return;
    struct weft_table_node *node =
        weft_table_first(&engine->waiters, weft_hash(id->bytes, sizeof id->bytes));
    for (; node; node = weft_table_next(node)) {
        if (memcmp(&waiter_of(node)->id, id, sizeof *id) == 0)
            weft_wake_post(&waiter_of(node)->wake);
    }
}

static void tell(struct weft_table_node *node, void *arg)
{
    (void)arg;
    weft_wake_post(&waiter_of(node)->wake);
}

void weft_waiters_tell_all(struct weft_engine *engine)
{
    weft_table_visit(&engine->waiters, tell, NULL);
}

/* Look at the job, and wait for news of it, until it is over. */
static int wait_for_end(struct weft_engine *engine, struct waiter *waiter, int64_t deadline_ns,
                        struct weft_job **ret_job)
{
    for (;;) {
        struct weft_job *job;
        int err = engine->broker->ops->find(engine->broker, &waiter->id, &job);
        if (err)
            return err;
        int64_t now_ns = weft_now();
        bool over = weft_job_state_is_final(job->state);
        if (over || now_ns >= deadline_ns) {
            *ret_job = job;
            return over ? 0 : -ETIMEDOUT;
        }
        weft_job_free(job);
        int64_t until_ns = deadline_ns;
        int64_t poll_ns = now_ns + weft_engine_jitter(engine, engine->options.poll_ns);
        if (!engine->pumping && poll_ns < until_ns)
            until_ns = poll_ns;
        if (weft_wake_wait(&waiter->wake, until_ns) == -ECANCELED)
            return -ECANCELED;
    }
}

int weft_engine_wait(struct weft_engine *engine, const struct weft_uuid *id, int64_t deadline_ns,
                     struct weft_job **ret_job)
{
    struct waiter waiter = {.id = *id};
    int err = weft_wake_init(&waiter.wake);
    if (err)
        return err;
    /* Before the first look: what happens after it is told. */
    weft_table_put(&engine->waiters, &waiter.by_id, weft_hash(id->bytes, sizeof id->bytes));
    err = wait_for_end(engine, &waiter, deadline_ns, ret_job);
    weft_table_remove(&engine->waiters, &waiter.by_id);
    weft_wake_deinit(&waiter.wake);
    return err;
}
