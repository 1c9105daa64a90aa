/* SPDX-License-Identifier: MIT
 * faulty.c - see faulty.h. */
#include "faulty.h"

#include "test.h"

#include <broker/sqlite.h>

#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>

#define WAIT_STEP_NS (10 * WEFT_MSEC)

static struct faulty *faulty_of(struct weft_broker *broker)
{
    return (struct faulty *)(void *)broker;
}

/* Returns 0, or with what to refuse this call. */
static int admit(struct weft_broker *broker, enum faulty_call call)
{
    struct faulty *faulty = faulty_of(broker);
    const struct faulty_plan *plan = &faulty->plans[call];
    unsigned number = ++faulty->calls[call];
    int err = plan->first > 0 && number >= plan->first && number <= plan->last ? plan->err : 0;
    if (!err && faulty->random && weft_random_below(faulty->random, 1000) < faulty->of_thousand)
        err = -EIO;
    faulty->refused += err != 0;
    return err;
}

static int enqueue(struct weft_broker *broker, struct weft_enqueue_batch *batch)
{
    int err = admit(broker, FAULTY_ENQUEUE);
    struct weft_broker *inner = faulty_of(broker)->inner;
    return err ? err : inner->ops->enqueue(inner, batch);
}

static int delay(void *arg)
{
    return weft_sleep(*(const int64_t *)arg);
}

static int claim(struct weft_broker *broker, struct weft_claim *claim)
{
    struct faulty *faulty = faulty_of(broker);
    int err = admit(broker, FAULTY_CLAIM);
    faulty->lease_us = claim->lease_us;
    if (!err)
        err = faulty->inner->ops->claim(faulty->inner, claim);
    /* As a broker that waits: a checkpoint, as long as there is none. */
    int64_t until_ns = weft_now() + claim->wait_us * 1000;
    while (!err && claim->count == 0 && weft_now() < until_ns) {
        err = weft_sleep(WAIT_STEP_NS);
        if (!err)
            err = faulty->inner->ops->claim(faulty->inner, claim);
    }
    int64_t delay_ns = faulty->claim_ns;
    if (faulty->claim_spread_ns > 0)
        delay_ns += (int64_t)weft_random_below(&faulty->spread, (uint64_t)faulty->claim_spread_ns);
    if (!err && claim->count > 0 && delay_ns > 0)
        (void)weft_shield(delay, &delay_ns);
    return err;
}

static int settle(struct weft_broker *broker, struct weft_settlement *items, size_t count)
{
    int err = admit(broker, FAULTY_SETTLE);
    struct weft_broker *inner = faulty_of(broker)->inner;
    return err ? err : inner->ops->settle(inner, items, count);
}

static int extend(struct weft_broker *broker, struct weft_lease *items, size_t count)
{
    struct faulty *faulty = faulty_of(broker);
    int err = faulty->deaf ? -EIO : admit(broker, FAULTY_EXTEND);
    if (count > faulty->extended_max)
        faulty->extended_max = (unsigned)count;
    return err ? err : faulty->inner->ops->extend(faulty->inner, items, count);
}

static int maintain(struct weft_broker *broker, struct weft_maintenance *ret_maintenance)
{
    int err = admit(broker, FAULTY_MAINTAIN);
    struct weft_broker *inner = faulty_of(broker)->inner;
    return err ? err : inner->ops->maintain(inner, ret_maintenance);
}

static int events(struct weft_broker *broker, uint64_t after, struct weft_broker_event *list,
                  size_t max, int64_t deadline_ns, uint64_t *ret_oldest)
{
    struct faulty *faulty = faulty_of(broker);
    int err = admit(broker, FAULTY_EVENTS);
    if (err)
        return err;
    int count =
        faulty->inner->ops->events(faulty->inner, after, list, max, deadline_ns, ret_oldest);
    if (count > 0 && faulty->gone) {
        faulty->gone = false;
        *ret_oldest = list[count - 1].number;
        return -ESTALE;
    }
    return count;
}

static uint64_t events_last(struct weft_broker *broker)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->events_last(inner);
}

static int64_t now_us(struct weft_broker *broker)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->now_us(inner);
}

static void close_nothing(struct weft_broker *broker)
{
    (void)broker;
}

static int find(struct weft_broker *broker, const struct weft_uuid *id, struct weft_job **ret_job)
{
    int err = admit(broker, FAULTY_FIND);
    struct weft_broker *inner = faulty_of(broker)->inner;
    return err ? err : inner->ops->find(inner, id, ret_job);
}

static int failures(struct weft_broker *broker, const struct weft_uuid *id,
                    struct weft_job_failure *list, size_t max, size_t *ret_count)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->failures(inner, id, list, max, ret_count);
}

static int list(struct weft_broker *broker, const struct weft_job_filter *filter,
                struct weft_job_page *page)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->list(inner, filter, page);
}

static int cancel(struct weft_broker *broker, struct weft_cancel *what)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->cancel(inner, what);
}

static int retry(struct weft_broker *broker, const struct weft_uuid *id,
                 enum weft_job_state *ret_state)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->retry(inner, id, ret_state);
}

static int prune(struct weft_broker *broker, const struct weft_retention *retention,
                 uint64_t *ret_removed, bool *ret_more)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->prune(inner, retention, ret_removed, ret_more);
}

static int stats(struct weft_broker *broker, struct weft_broker_stats *ret_stats)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->stats(inner, ret_stats);
}

static int queues(struct weft_broker *broker, struct weft_queue_info *infos, size_t max,
                  size_t *ret_count)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->queues(inner, infos, max, ret_count);
}

static int queue_find(struct weft_broker *broker, const char *name, struct weft_queue_info *ret)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->queue_find(inner, name, ret);
}

static int queue_set(struct weft_broker *broker, const char *name,
                     const struct weft_queue_settings *settings)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->queue_set(inner, name, settings);
}

static int worker_join(struct weft_broker *broker, struct weft_worker_info *worker)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->worker_join(inner, worker);
}

static int worker_beat(struct weft_broker *broker, const struct weft_worker_info *worker)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->worker_beat(inner, worker);
}

static int worker_leave(struct weft_broker *broker, int64_t number)
{
    struct weft_broker *inner = faulty_of(broker)->inner;
    return inner->ops->worker_leave(inner, number);
}

struct weft_broker *faulty_open(struct faulty *faulty, unsigned without)
{
    char error[256] = "";
    *faulty = (struct faulty){
        .ops =
            {
                .name = "faulty",
                .enqueue = enqueue,
                .claim = claim,
                .settle = settle,
                .extend = extend,
                .maintain = maintain,
                .events = events,
                .events_last = events_last,
                .now_us = now_us,
                .close = close_nothing,
                .find = find,
                .failures = failures,
                .list = list,
                .cancel = cancel,
                .retry = retry,
                .prune = prune,
                .stats = stats,
                .queues = queues,
                .queue_find = queue_find,
                .queue_set = queue_set,
                .worker_join = worker_join,
                .worker_beat = worker_beat,
                .worker_leave = worker_leave,
            },
    };
    int err = weft_sqlite_open(&faulty->inner, &(struct weft_sqlite_options){.memory = true}, error,
                               sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
    faulty->ops.capabilities = faulty->inner->ops->capabilities & ~without;
    faulty->broker.ops = &faulty->ops;
    weft_random_seed(&faulty->spread, 1);
    return &faulty->broker;
}

void faulty_close(struct faulty *faulty)
{
    faulty->inner->ops->close(faulty->inner);
}
