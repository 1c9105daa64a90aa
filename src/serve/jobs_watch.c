/* SPDX-License-Identifier: MIT
 * jobs_watch.c - subscribers: each reads the store's latest events at its own pace. */
#include <serve/jobs_internal.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>

#define BATCH 64

struct weft_jobs_watch {
    struct weft_jobs *jobs;
    uint64_t after; /* the latest that was read */
    int next, count;
    struct weft_broker_event events[BATCH]; /* that were read; next to count are yet to be told */
};

int weft_jobs_watch_open(struct weft_jobs *jobs, uint64_t after, struct weft_jobs_watch **ret_watch)
{
    int err = weft_jobs_enter(jobs);
    struct weft_jobs_watch *watch = err ? NULL : malloc(sizeof *watch);
    if (!watch)
        return err ? err : -ENOMEM;
    watch->jobs = jobs;
    watch->after = after ? after : jobs->broker->ops->events_last(jobs->broker);
    watch->next = watch->count = 0;
    *ret_watch = watch;
    return 0;
}

void weft_jobs_watch_close(struct weft_jobs_watch *watch)
{
    free(watch);
}

static int read_events(struct weft_jobs_watch *watch, int64_t deadline_ns)
{
    struct weft_broker *broker = watch->jobs->broker;
    uint64_t oldest;
    int count =
        broker->ops->events(broker, watch->after, watch->events, BATCH, deadline_ns, &oldest);
    if (count == -ESTALE)
        watch->after = oldest;
    if (count <= 0)
        return count;
    watch->next = 0;
    watch->count = count;
    watch->after = watch->events[count - 1].number;
    return 0;
}

static void show(const struct weft_broker_event *event, struct weft_jobs_event *ret_event)
{
    *ret_event = (struct weft_jobs_event){
        .number = event->number,
        .at_us = event->at_us,
        .task = event->task,
        .queue = event->queue,
        .from = event->from,
        .to = event->to,
        .event = event->event,
        .attempt = event->attempt,
    };
    weft_uuid_format(&event->id, ret_event->id);
}

int weft_jobs_watch_next(struct weft_jobs_watch *watch, struct weft_jobs_event *ret_event,
                         int64_t deadline_ns)
{
    int err = weft_jobs_enter(watch->jobs);
    if (!err)
        err = weft_checkpoint();
    while (!err) {
        if (watch->next == watch->count) {
            err = read_events(watch, deadline_ns);
            continue;
        }
        const struct weft_broker_event *event = &watch->events[watch->next++];
        if (weft_broker_event_is_step(event)) {
            show(event, ret_event);
            return 0;
        }
    }
    return err;
}
