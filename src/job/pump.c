/* SPDX-License-Identifier: MIT
 * pump.c - takes the broker's events to whoever waits for them: lanes, running jobs that are to be
 * stopped, waiters, and the one who maintains. */
#include "engine_internal.h"

#include <weft/runtime.h>

#include <errno.h>
#include <string.h>

static bool is_about_queue(const struct weft_broker_event *event)
{
    static const struct weft_uuid none;
    return memcmp(&event->id, &none, sizeof none) == 0;
}

/* Whether it can mean that a queue has something to claim. */
static bool may_rouse(const struct weft_broker_event *event)
{
    return event->to == WEFT_JOB_AVAILABLE || event->from == WEFT_JOB_RUNNING;
}

/* Whether a job can be claimed that is for somebody else. */
static bool is_others(const struct weft_engine *engine, const struct weft_broker_event *event)
{
    return engine->tasks && event->task && !weft_engine_handler(engine, event->task);
}

/* The end of a job lets others begin where so many may run at once, and it is not known which. */
static void tell_watches(struct weft_engine *engine, const struct weft_broker_event *event,
                         const struct weft_engine_queue *queue)
{
    bool ended = event->from == WEFT_JOB_RUNNING && (!queue || queue->limited);
    if (ended || !event->task)
        weft_watches_tell(engine, event->queue);
    else if (event->to == WEFT_JOB_AVAILABLE)
        weft_watches_tell_one(engine, event->queue, event->task);
}

/* Returns 0, -ENOMEM: everything has to be looked at. */
static int rouse(struct weft_engine *engine, const struct weft_broker_event *event)
{
    struct weft_engine_queue *queue;
    int err = weft_engine_queue(engine, event->queue, &queue);
    if (err)
        return err;
    tell_watches(engine, event, queue);
    if (!queue)
        return 0;
    bool available = event->to == WEFT_JOB_AVAILABLE && !is_others(engine, event);
    bool ended = event->from == WEFT_JOB_RUNNING && queue->limited;
    if (is_about_queue(event))
        weft_queue_look(engine, queue);
    else if (available || ended)
        weft_queue_rouse(queue);
    return 0;
}

/* The answer to a claim may be on its way to the fiber that asked, and events overtake it. */
static int stop_late(struct weft_engine *engine, const struct weft_broker_event *events, int count)
{
    int err = weft_engine_calls_wait(engine);
    for (int i = 0; i < count; i++) {
        if (events[i].event == WEFT_JOB_STOP && events[i].from == WEFT_JOB_RUNNING)
            (void)weft_engine_jobs_cancel(engine, &events[i].id);
    }
    return err;
}

static int hand_out(struct weft_engine *engine, const struct weft_broker_event *events, int count)
{
    bool unknown = false;
    int err = 0;
    for (int i = 0; i < count; i++) {
        const struct weft_broker_event *event = &events[i];
        if (event->event == WEFT_JOB_STOP && event->from == WEFT_JOB_RUNNING)
            unknown |= !weft_engine_jobs_cancel(engine, &event->id);
        else if (may_rouse(event) && rouse(engine, event) < 0)
            err = -ENOMEM;
        if (weft_job_state_is_final(event->to))
            weft_waiters_tell(engine, &event->id);
        else if (event->to == WEFT_JOB_SCHEDULED || event->to == WEFT_JOB_RETRYABLE)
            weft_maintain_soon(engine);
    }
    if (unknown && engine->calls[0] + engine->calls[1] > 0)
        (void)stop_late(engine, events, count);
    return err;
}

/* Nobody knows what happened up to now: look at everything. */
static int begin(struct weft_engine *engine)
{
    struct weft_broker *broker = engine->broker;
    int err = -EIO;
    while (err < 0 && err != -ECANCELED) {
        engine->events_after = broker->ops->events_last(broker);
        err = weft_lanes_learn(engine);
        weft_beat_look(engine);
        weft_maintain_soon(engine);
        weft_waiters_tell_all(engine);
        weft_watches_tell(engine, NULL);
        if (err < 0)
            err = weft_sleep(WEFT_BACKOFF_NS) < 0 ? -ECANCELED : err;
    }
    return err;
}

int weft_pump_main(void *arg)
{
    struct weft_engine *engine = arg;
    struct weft_broker *broker = engine->broker;
    engine->pumping = true;
    int err = begin(engine);
    while (err != -ECANCELED) {
        uint64_t oldest;
        bool failing = engine->failing & 1u << WEFT_CALL_EVENTS; /* look soon whether it works */
        int count =
            broker->ops->events(broker, engine->events_after, engine->events, WEFT_EVENTS_MAX,
                                failing ? weft_now() + WEFT_BACKOFF_NS : WEFT_FOREVER, &oldest);
        if (count == -ETIMEDOUT)
            count = 0;
        weft_engine_heard(engine, WEFT_CALL_EVENTS, count == -ESTALE ? 0 : count);
        err = count;
        if (count > 0) {
            engine->events_after = engine->events[count - 1].number;
            err = hand_out(engine, engine->events, count) < 0 ? -ESTALE : 0;
        }
        if (err == -ESTALE)
            err = begin(engine);
        else if (err < 0 && err != -ECANCELED)
            err = weft_sleep(WEFT_BACKOFF_NS);
    }
    engine->pumping = false;
    weft_waiters_tell_all(engine);
    return 0;
}
