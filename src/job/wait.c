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

/* How a wait for the end of a job ends without it. */
struct patience {
    int64_t deadline_ns;
    const struct weft_case *others;
    size_t others_count;
};

/* Wait for news of the job. Returns 0: look again; -ETIMEDOUT: look for the last time. */
static int wait_for_news(struct weft_engine *engine, struct waiter *waiter,
                         const struct patience *patience)
{
    struct weft_case cases[1 + WEFT_WAIT_OTHERS_MAX] = {weft_case_event(&waiter->wake.event)};
    for (size_t i = 0; i < patience->others_count; i++)
        cases[1 + i] = patience->others[i];
    int64_t until_ns = patience->deadline_ns;
    int64_t poll_ns = weft_now() + weft_engine_jitter(engine, engine->options.poll_ns);
    bool polls = !engine->pumping && poll_ns < until_ns;
    int chosen = weft_select(cases, 1 + patience->others_count, polls ? poll_ns : until_ns,
                             WEFT_SELECT_IN_ORDER);
    weft_wake_clear(&waiter->wake);
    if (chosen > 0 || (chosen == -ETIMEDOUT && !polls))
        return -ETIMEDOUT;
    return chosen == -ETIMEDOUT ? 0 : chosen;
}

/* Look at the job, and wait for news of it, until it is over. */
static int wait_for_end(struct weft_engine *engine, struct waiter *waiter,
                        const struct patience *patience, struct weft_job **ret_job)
{
    int news = weft_now() >= patience->deadline_ns ? -ETIMEDOUT : 0;
    for (;;) {
        struct weft_job *job;
        int err = engine->broker->ops->find(engine->broker, &waiter->id, &job);
        if (err)
            return err;
        bool over = weft_job_state_is_final(job->state);
        if (over || news == -ETIMEDOUT) {
            *ret_job = job;
            return over ? 0 : -ETIMEDOUT;
        }
        weft_job_free(job);
        news = wait_for_news(engine, waiter, patience);
        if (news < 0 && news != -ETIMEDOUT)
            return news;
    }
}

int weft_engine_wait_or(struct weft_engine *engine, const struct weft_uuid *id, int64_t deadline_ns,
                        const struct weft_case *others, size_t others_count,
                        struct weft_job **ret_job)
{
    const struct patience patience = {deadline_ns, others, others_count};
    struct waiter waiter = {.id = *id};
    if (others_count > WEFT_WAIT_OTHERS_MAX)
        return -EINVAL;
    int err = weft_wake_init(&waiter.wake);
    if (err)
        return err;
    /* Before the first look: what happens after it is told. */
    weft_table_put(&engine->waiters, &waiter.by_id, weft_hash(id->bytes, sizeof id->bytes));
    err = wait_for_end(engine, &waiter, &patience, ret_job);
    weft_table_remove(&engine->waiters, &waiter.by_id);
    weft_wake_deinit(&waiter.wake);
    return err;
}

int weft_engine_wait(struct weft_engine *engine, const struct weft_uuid *id, int64_t deadline_ns,
                     struct weft_job **ret_job)
{
    return weft_engine_wait_or(engine, id, deadline_ns, NULL, 0, ret_job);
}
