/* SPDX-License-Identifier: MIT
 * lanes.c - which queues a consumer takes from, which of them may have jobs, and which is next.
 *
 * Weights are kept by stride scheduling (Waldspurger 1995): each job that comes from a lane moves
 * its pass on by its stride, which is the shorter the heavier the lane; who has passed the least is
 * asked first. A lane that had nothing for a while begins where the others are. */
#include "engine_internal.h"

#include <base/hash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STRIDE_ONE ((uint64_t)1 << 20) /* of weight 1, which is also the largest weight */

static uint64_t hash_of(const char *name)
{
    return weft_hash(name, strlen(name));
}

static bool is_star(const struct weft_consumer_queue *queue)
{
    return strcmp(queue->name, "*") == 0;
}

static struct weft_engine_queue *look_up(const struct weft_engine *engine, const char *name)
{
    struct weft_table_node *node = weft_table_first(&engine->queues, hash_of(name));
    for (; node; node = weft_table_next(node)) {
        struct weft_engine_queue *queue =
            weft_container_of(node, struct weft_engine_queue, by_name);
        if (strcmp(queue->name, name) == 0)
            return queue;
    }
    return NULL;
}

/* ---- which may have jobs ---------------------------------------------------------------- */

void weft_lane_rouse(struct weft_lane *lane)
{
    struct weft_consumer *consumer = lane->consumer;
    if (!lane->is_maybe) {
        lane->is_maybe = true;
        weft_list_append(&consumer->maybe, &lane->maybe);
        if (lane->pass < consumer->pass)
            lane->pass = consumer->pass;
    }
    weft_wake_post(&consumer->claim_wake);
}

void weft_queue_rouse(struct weft_engine_queue *queue)
{
    for (struct weft_lane *lane = queue->lanes; lane; lane = lane->next)
        weft_lane_rouse(lane);
}

void weft_lanes_rouse(struct weft_engine *engine)
{
    for (size_t i = 0; i < engine->consumers_count; i++) {
        WEFT_LIST_FOR_EACH (link, &engine->consumers[i].lanes)
            weft_lane_rouse(weft_container_of(link, struct weft_lane, all));
    }
}

/* Whether a is to be asked before b. */
static bool goes_first(const struct weft_lane *a, const struct weft_lane *b)
{
    if (a->consumer->options->order == WEFT_ORDER_STRICT)
        return a->position < b->position;
    return a->pass < b->pass;
}

unsigned weft_lanes_take(struct weft_consumer *consumer, struct weft_lane **lanes)
{
    unsigned count = 0;
    WEFT_LIST_FOR_EACH (link, &consumer->maybe) {
        struct weft_lane *lane = weft_container_of(link, struct weft_lane, maybe);
        unsigned at = count < WEFT_CLAIM_LANES_MAX ? count++ : count;
        /* Keep the best in order; where they are full, the last of them makes room. */
        if (at == count && !goes_first(lane, lanes[--at]))
            continue;
        for (; at > 0 && goes_first(lane, lanes[at - 1]); at--)
            lanes[at] = lanes[at - 1];
        lanes[at] = lane;
    }
    for (unsigned i = 0; i < count; i++) {
        lanes[i]->is_maybe = false;
        lanes[i]->again_ns = WEFT_FOREVER;
        weft_list_unlink(&lanes[i]->maybe);
    }
    if (count > 0 && lanes[0]->pass > consumer->pass)
        consumer->pass = lanes[0]->pass;
    return count;
}

void weft_lane_pass(struct weft_lane *lane, unsigned jobs)
{
    lane->pass += lane->stride * jobs;
}

/* ---- which there are -------------------------------------------------------------------- */

static int add_lane(struct weft_engine_queue *queue, struct weft_consumer *consumer,
                    unsigned position)
{
    struct weft_lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return -ENOMEM;
    unsigned weight = consumer->options->queues[position].weight;
    *lane = (struct weft_lane){
        .next = queue->lanes,
        .queue = queue,
        .consumer = consumer,
        .position = position,
        .stride = STRIDE_ONE / (weight ? weight : 1),
        .again_ns = WEFT_FOREVER,
    };
    queue->lanes = lane;
    weft_list_init(&lane->maybe);
    weft_list_append(&consumer->lanes, &lane->all);
    return 0;
}

static struct weft_engine_queue *add_queue(struct weft_engine *engine, const char *name)
{
    size_t size = strlen(name) + 1;
    struct weft_engine_queue *queue = calloc(1, sizeof *queue + size);
    if (!queue)
        return NULL;
    memcpy(queue->name, name, size);
    weft_table_put(&engine->queues, &queue->by_name, hash_of(name));
    return queue;
}

/* A lane for each consumer that takes from all. Those there are already are left alone. */
static int add_star_lanes(struct weft_engine *engine, struct weft_engine_queue *queue)
{
    size_t done = 0;
    for (const struct weft_lane *lane = queue->lanes; lane; lane = lane->next)
        done++;
    for (size_t i = 0; i < engine->consumers_count; i++) {
        struct weft_consumer *consumer = &engine->consumers[i];
        for (unsigned at = 0; at < consumer->options->queues_count; at++) {
            if (!is_star(&consumer->options->queues[at]))
                continue;
            if (done > 0) {
                done--;
                continue;
            }
            int err = add_lane(queue, consumer, at);
            if (err)
                return err;
        }
    }
    return 0;
}

int weft_engine_queue(struct weft_engine *engine, const char *name,
                      struct weft_engine_queue **ret_queue)
{
    struct weft_engine_queue *queue = look_up(engine, name);
    if (queue && (queue->named || queue->complete)) {
        *ret_queue = queue;
        return 0;
    }
    if (!engine->has_star || (!queue && engine->queues.count >= WEFT_QUEUES_MAX)) {
        *ret_queue = NULL;
        return 0;
    }
    if (!queue)
        queue = add_queue(engine, name);
    int err = queue ? add_star_lanes(engine, queue) : -ENOMEM;
    if (err)
        return err;
    queue->complete = true;
    *ret_queue = queue;
    return 0;
}

/* "*" once per consumer. */
static int open_star(struct weft_engine *engine, const struct weft_consumer *consumer,
                     unsigned position)
{
    for (unsigned at = 0; at < position; at++) {
        if (is_star(&consumer->options->queues[at]))
            return -EINVAL;
    }
    engine->has_star = true;
    return 0;
}

static int open_lane(struct weft_engine *engine, struct weft_consumer *consumer, unsigned position)
{
    const struct weft_consumer_queue *asked = &consumer->options->queues[position];
    if (asked->weight > STRIDE_ONE)
        return -EINVAL;
    if (is_star(asked))
        return open_star(engine, consumer, position);
    if (!weft_job_name_is_valid(asked->name))
        return -EINVAL;
    struct weft_engine_queue *queue = look_up(engine, asked->name);
    if (queue && queue->lanes && queue->lanes->consumer == consumer)
        return -EINVAL; /* it has named it before */
    if (!queue)
        queue = add_queue(engine, asked->name);
    if (!queue)
        return -ENOMEM;
    queue->named = true;
    int err = add_lane(queue, consumer, position);
    if (err == 0)
        weft_lane_rouse(queue->lanes);
    return err;
}

int weft_lanes_open(struct weft_engine *engine)
{
    int err = weft_table_init(&engine->queues);
    for (size_t i = 0; !err && i < engine->consumers_count; i++) {
        struct weft_consumer *consumer = &engine->consumers[i];
        size_t count = consumer->options->queues_count;
        if (count == 0 || count > WEFT_QUEUES_MAX)
            err = -EINVAL;
        for (unsigned at = 0; !err && at < count; at++)
            err = open_lane(engine, consumer, at);
    }
    return err;
}

static void free_queue(struct weft_table_node *node, void *arg)
{
    struct weft_engine_queue *queue = weft_container_of(node, struct weft_engine_queue, by_name);
    (void)arg;
    while (queue->lanes) {
        struct weft_lane *lane = queue->lanes;
        queue->lanes = lane->next;
        free(lane);
    }
    free(queue);
}

void weft_lanes_close(struct weft_engine *engine)
{
    if (engine->queues.buckets)
        weft_table_visit(&engine->queues, free_queue, NULL);
    weft_table_deinit(&engine->queues);
}

/* ---- what the broker knows -------------------------------------------------------------- */

static void learn_one(struct weft_engine *engine, const struct weft_queue_info *info)
{
    struct weft_engine_queue *queue;
    if (weft_engine_queue(engine, info->name, &queue) == 0 && queue)
        queue->limited = info->settings.running_max > 0;
}

static int learn(struct weft_engine *engine, struct weft_queue_info *infos)
{
    size_t count = 0;
    int err = engine->broker->ops->queues(engine->broker, infos, WEFT_QUEUES_MAX, &count);
    weft_engine_heard(engine, WEFT_CALL_QUEUES, err);
    for (size_t i = 0; !err && i < count && i < WEFT_QUEUES_MAX; i++)
        learn_one(engine, &infos[i]);
    return err;
}

int weft_lanes_learn(struct weft_engine *engine)
{
    int err = 0;
    if (engine->capabilities & WEFT_BROKER_MANAGES) {
        struct weft_queue_info *infos = calloc(WEFT_QUEUES_MAX, sizeof *infos);
        err = infos ? learn(engine, infos) : -ENOMEM;
        free(infos);
    }
    weft_lanes_rouse(engine);
    return err;
}

void weft_queue_look(struct weft_engine *engine, struct weft_engine_queue *queue)
{
    struct weft_queue_info info = {0};
    int err = -ENOSYS;
    if (engine->capabilities & WEFT_BROKER_MANAGES)
        err = engine->broker->ops->queue_find(engine->broker, queue->name, &info);
    /* Where it cannot be known, to look too often is no harm. */
    queue->limited = err != 0 || info.settings.running_max > 0;
    weft_queue_rouse(queue);
}
