/* SPDX-License-Identifier: MIT
 * pipeline_internal.h - what pipeline.c (its life) and pipeline_stage.c (the way of an item) share.
 *
 * Every stage has a guard of its own; nobody holds two, except that weft_pipeline_stop cancels the
 * group under the pipeline's. What a stage stops for is written to the pipeline first and then to
 * each stage, so after weft_pipeline_stop has returned no item enters any queue. */
#ifndef WEFT_FLOW_PIPELINE_INTERNAL_H
#define WEFT_FLOW_PIPELINE_INTERNAL_H

#include <flow/pattern.h>
#include <flow/stage_core.h>
#include <runtime/worker.h>

struct stage {
    struct weft_pipeline *pipeline;
    struct stage *next; /* NULL: the last */
    struct weft_stage_options options;
    char name[WEFT_NAME_MAX + 1];

    struct weft_guard guard; /* of everything below */
    struct weft_stage_core core;
    struct weft_link pushers;  /* wait for room; struct pusher */
    struct weft_link takers;   /* workers that wait for items, or for a lot */
    struct weft_link turns;    /* workers in weft_emit that wait for their turn */
    struct weft_link flushers; /* wait for items to be settled; struct flusher */
    unsigned pushers_waiting;  /* in pushers, or on their way out of it unserved */
    int shut;                  /* 0, or what pushers are told: no more items come */
    int stopped;               /* 0, or why: nothing moves any more */
    unsigned running;
    uint64_t items_in, passed, items_out, filtered, errors, dropped, refused, retries;
    uint64_t batches, batched;
    /* What its workers do with their time: they live from a start to an end, and wait in between;
     * of those who live and wait now, how many, and the sum of the times since when. */
    int64_t lived_ns, living_since_ns;
    int64_t waited_ns, waiting_since_ns;
    unsigned living, waiting;
};

struct weft_pipeline {
    struct weft_group group;
    char name[WEFT_NAME_MAX + 1];
    void (*on_event)(void *arg, const struct weft_pipeline_event *event);
    void *on_event_arg;
    unsigned pushers_max;
    int64_t opened_at_ns;
    size_t stage_count;

    struct weft_guard guard; /* of everything below */
    int result;              /* 0, or what it was stopped for */
    bool finishing, joined;

    /* Under the first stage's guard, by which everybody from outside comes in. */
    unsigned flushing;        /* calls of weft_pipeline_flush */
    struct weft_link closers; /* in weft_pipeline_close, until all from outside have left */

    struct stage stages[];
};

struct flusher {
    struct weft_waiter waiter;
    uint64_t until; /* items below this number are to be settled */
};

/* One of a stage's fibers; on its own stack. */
struct stage_worker {
    struct weft_fiber *self;
    struct stage *stage;
    int64_t start_ns;  /* all on the pipeline's own clock, which begins with it */
    int64_t since_ns;  /* when it last began to wait for items */
    int64_t waited_ns; /* elsewhere, not yet told to the stage */
};

/* One of a stage's fibers, arg is the stage (pipeline_stage.c). */
int weft_stage_run(void *arg);

/* Whether a fiber is one of this pipeline's: it would wait for itself. Wherever it runs and however
 * it was started, its argument is a stage, which nobody else has. */
bool weft_pipeline_runs(const struct weft_pipeline *pipeline, const struct weft_fiber *fiber);

/* Put an item into a stage's queue; worker is NULL when it comes from outside. Returns as
 * weft_pipeline_push. */
int weft_stage_push(struct stage *stage, struct weft_fiber *self, struct stage_worker *worker,
                    const void *item, int64_t deadline_ns);

/* Give items of this stage to drop, and tell. came: 1 when they never were in its queue. */
void weft_stage_lose(struct stage *stage, const void *items, size_t count, int reason, int came);

/* Under the first stage's guard, which is left: somebody from outside has left. */
void weft_pipeline_left(struct weft_pipeline *pipeline);

/* Wake who has something to do now: a worker, whose turn it is, who flushed. Under the guard, which
 * is left. */
void weft_stage_rouse(struct stage *stage);

/* The time since the pipeline was opened: sums of such times do not overflow. */
static inline int64_t weft_pipeline_time(const struct weft_pipeline *pipeline)
{
    return weft_now() - pipeline->opened_at_ns;
}

/* Stop everything for this reason, if nothing has before. Nothing after it was joined. */
void weft_pipeline_stop(struct weft_pipeline *pipeline, int reason);

void weft_pipeline_tell(struct weft_pipeline *pipeline, enum weft_pipeline_event_kind kind,
                        const struct stage *stage, int result, const void *items, size_t count);

#endif
