/* SPDX-License-Identifier: MIT
 * pipeline.h - stages with bounded queues between them, each worked on by fibers of its own.
 *
 *     const struct weft_stage_options stages[] = {
 *         {.name = "parse", .fn = parse, .item_bytes_in = sizeof(char *),
 *          .item_bytes_out = sizeof(struct row), .workers = 4, .ordered = 1},
 *         {.name = "store", .batch = store_rows, .arg = db, .item_bytes_in = sizeof(struct row),
 *          .batch_max = 500, .batch_age_ns = WEFT_SEC},
 *     };
 *     const struct weft_pipeline_options options = {.stages = stages, .stage_count = 2};
 *     int err = weft_pipeline_open(&pipeline, &options);
 *     while (err == 0 && read_line(&line) > 0)
 *         err = weft_pipeline_push(pipeline, &line, WEFT_FOREVER);    // waits: backpressure
 *     err = weft_pipeline_finish(pipeline, WEFT_FOREVER);             // all through, or why not
 *     weft_pipeline_close(pipeline);
 *
 * Whose is an item? It is copied in, and what its copy points to is the pipeline's from a push that
 * returns 0 or more until a stage has answered for it with 0 or more. Every item that does not get
 * so far is given to its stage's drop, once: nothing leaks, and nothing is dropped silently. */
#ifndef WEFT_PIPELINE_H
#define WEFT_PIPELINE_H

#include <weft/group.h>

WEFT_BEGIN_DECLS

/* What happens to an item that finds the queue full. */
enum weft_stage_full {
    WEFT_STAGE_BLOCK,       /* whoever brings it waits */
    WEFT_STAGE_DROP_OLDEST, /* the one that has waited longest is dropped for it */
    WEFT_STAGE_DROP_NEWEST, /* it is dropped itself */
    WEFT_STAGE_REFUSE,      /* WEFT_EFULL: to the pusher; from the stage before it, an error here */
};

/* What happens when a stage's function fails, after the retries. */
enum weft_stage_error {
    WEFT_STAGE_FAIL, /* the pipeline stops; the first error is its result */
    WEFT_STAGE_SKIP, /* the item is dropped, or the whole batch; the rest goes on */
};

struct weft_pipeline;
struct weft_emitter; /* where the function of a flat stage puts its outputs */

/* Exactly one of fn, batch and flat is set. They may suspend; a negative result is a failure, for
 * which the inputs are still as they were: they are tried again, or dropped. With 0 or more the
 * function has taken them over. The last stage has no outputs. */
struct weft_stage_options {
    const char *name; /* copied; NULL means "stage" */
    /* One item: 1 when *out is to go on, 0 when nothing is (a filter). Last stage: 0 or more. */
    int (*fn)(void *arg, const void *in, void *out);
    /* Up to batch_max items: how many of outs are to go on, at most count. Last stage: 0 or more */
    int (*batch)(void *arg, const void *ins, size_t count, void *outs);
    /* One item, any number of outputs, by weft_emit: 0 or more. No retries */
    int (*flat)(void *arg, const void *in, struct weft_emitter *emitter);
    /* An item of this stage does not get through; may be NULL. Must not suspend */
    void (*drop)(void *arg, const void *item);
    void *arg;
    size_t item_bytes_in;  /* 1 to 4096 */
    size_t item_bytes_out; /* the next stage's item_bytes_in; 0 in the last stage only */
    unsigned workers;      /* fibers; 0 means 1, at most 65,536 */
    unsigned queue_max;    /* items that wait; 0 means 1,000, at most 1,048,576 */
    int ordered;           /* outputs leave as their inputs came; up to queue_max of them wait */
    enum weft_stage_full on_full;   /* 0 means WEFT_STAGE_BLOCK */
    enum weft_stage_error on_error; /* 0 means WEFT_STAGE_FAIL */
    unsigned retries;               /* calls after a failure, but for -ECANCELED; 0: none */
    int64_t retry_pause_ns;         /* before each of them */
    unsigned batch_max;             /* 0 means 100, or queue_max if that is less; at most 65,536 */
    int64_t batch_age_ns;           /* of its first item; 0 means 5 s, WEFT_FOREVER: by size only */
    int worker;                     /* where its fibers run: WEFT_HERE, WEFT_ANY_WORKER, ... */
    size_t stack_bytes;             /* as in struct weft_spawn_options */
};

enum weft_pipeline_event_kind {
    WEFT_PIPELINE_DROPPED, /* items go to drop without the stage's function having failed */
    WEFT_PIPELINE_RETRIED, /* the function failed and will be called again */
    WEFT_PIPELINE_FAILED,  /* it failed for good: the items go to drop after this */
    WEFT_PIPELINE_STOPPED, /* nothing moves any more: an error, or a cancellation */
};

struct weft_pipeline_event {
    enum weft_pipeline_event_kind kind;
    const char *name;  /* the pipeline's */
    const char *stage; /* whose items they are; NULL for WEFT_PIPELINE_STOPPED */
    int64_t at_ns;
    int result;        /* DROPPED: WEFT_EFULL by on_full; -ECANCELED, or why it was stopped */
    const void *items; /* until the call returns */
    size_t count;      /* of items; 0 for WEFT_PIPELINE_STOPPED */
};

struct weft_pipeline_options {
    const char *name; /* copied; NULL means "pipeline" */
    const struct weft_stage_options *stages;
    size_t stage_count;        /* 1 to 64 */
    unsigned pushers_max;      /* that wait for room at once; 0 means 10,000; then WEFT_EFULL */
    enum weft_sharing sharing; /* who may push, flush, cancel, look; WEFT_LOCAL: stages are here */
    /* Must not suspend or close the pipeline; called by whoever caused it, on any worker. */
    void (*on_event)(void *arg, const struct weft_pipeline_event *event);
    void *on_event_arg;
};

/* Make a pipeline and start its fibers, in a group of the calling fiber: this fiber closes it.
 *
 * Returns  0; -EINVAL (options), -ENOMEM, -EPERM outside a runtime, -ECANCELED
 * Suspends when a stage runs on other workers */
WEFT_API int weft_pipeline_open(struct weft_pipeline **ret_pipeline,
                                const struct weft_pipeline_options *options);

/* Give an item to the first stage; *item is copied. A checkpoint.
 *
 * Returns  0; 1: it was dropped, by WEFT_STAGE_DROP_NEWEST. Negative, and the item is still the
 *          caller's: -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT), WEFT_EFULL (WEFT_STAGE_REFUSE, or
 *          pushers_max wait), which the snapshot counts as refused; -ECANCELED, -ESHUTDOWN (after
 *          weft_pipeline_finish), -EPERM (local to another worker), -ENOMEM; what stopped the
 *          pipeline; -EDEADLK (full, and the caller, a function of it, would wait for itself)
 * Threads  as sharing says. Suspends while the queue is full, first come, first served */
WEFT_API int weft_pipeline_push(struct weft_pipeline *pipeline, const void *item,
                                int64_t deadline_ns);

/* In a flat stage: pass an output on, as weft_pipeline_push with WEFT_FOREVER does. In an ordered
 * stage it waits until all inputs before this one are through. By the fiber that got the emitter.
 * Returns  as weft_pipeline_push; negative, and the output is still the caller's */
WEFT_API int weft_emit(struct weft_emitter *emitter, const void *out);

/* Wait until everything pushed before has left the last stage or was dropped; batches do not wait
 * for more meanwhile.
 *
 * Returns  0; -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT: not yet), -ECANCELED; what stopped the pipeline;
 *          -EDEADLK (by a function of this pipeline: it would wait for itself); -EPERM
 * Threads  as sharing says. Suspends */
WEFT_API int weft_pipeline_flush(struct weft_pipeline *pipeline, int64_t deadline_ns);

/* Take no more items, wait until all are through and the fibers have ended. By its opener.
 *
 * Returns  0: nothing has stopped it; what has, the first error of a stage or a cancellation, now
 *          or earlier. -ETIMEDOUT, -EAGAIN (WEFT_NOWAIT): it still runs; call again, or close.
 *          -ECANCELED: the caller is cancelled. -EPERM. Suspends */
WEFT_API int weft_pipeline_finish(struct weft_pipeline *pipeline, int64_t deadline_ns);

/* Stop: functions that run are cancelled, items that wait will be dropped when it is finished or
 * closed. Idempotent; nothing once weft_pipeline_finish has said that all is through.
 *
 * reason   negative, for waiting pushers and weft_pipeline_finish; 0 means -ECANCELED
 * Returns  0, -EPERM. Threads as sharing says. Never suspends */
WEFT_API int weft_pipeline_cancel(struct weft_pipeline *pipeline, int reason);

/* Cancel what still runs, wait for it, drop what is left, and free the pipeline. NULL is fine.
 * Who waits in a push or a flush is told -ECANCELED; nobody may call it any more. By its opener,
 * else it aborts. Suspends, is no checkpoint */
WEFT_API void weft_pipeline_close(struct weft_pipeline *pipeline);

/* Counters of items since it was opened.
 * items_in = passed + filtered + errors + dropped + queue_depth + those in the stage's hands */
struct weft_stage_snapshot {
    const char *name;     /* valid as long as the pipeline */
    uint64_t items_in;    /* brought to the stage, those dropped for a full queue as well */
    uint64_t passed;      /* inputs the function has taken over, without those filtered */
    uint64_t items_out;   /* outputs the next stage has taken; last stage: as passed */
    uint64_t filtered;    /* fn answered 0 */
    uint64_t errors;      /* failed for good, each of a batch */
    uint64_t dropped;     /* by on_full, by a stop */
    uint64_t refused;     /* pushes told -ETIMEDOUT, -EAGAIN, -EDEADLK, WEFT_EFULL; first stage */
    uint64_t retries;     /* calls that were second or later */
    uint64_t batches;     /* batches taken */
    double batch_average; /* items in a batch; 0 before the first */
    unsigned queue_depth; /* items that wait, now */
    unsigned queue_depth_max; /* and at most, ever */
    unsigned running;         /* calls of the function, now */
    int64_t busy_ns;          /* of its workers together: in the function, with its own waits */
    int64_t wait_ns;          /* for items, and, once that is over, for room or their turn */
};

enum weft_pipeline_state {
    WEFT_PIPELINE_RUNNING,
    WEFT_PIPELINE_FINISHING, /* takes no more, not all is through */
    WEFT_PIPELINE_FINISHED,
    WEFT_PIPELINE_CANCELLED, /* stopped, by whatever */
};

struct weft_pipeline_snapshot {
    const char *name; /* valid as long as the pipeline */
    enum weft_pipeline_state state;
    int result; /* 0, or what stopped it */
    size_t stage_count;
    uint64_t items_in;                 /* the first stage's */
    uint64_t items_out;                /* the last stage's */
    uint64_t errors, dropped, refused; /* of all stages */
};

/* How it is doing, as a whole, and one stage of it, counted from 0. Of stages that run on other
 * workers each number is right, not all of them together.
 * Returns  0, -EPERM; -EINVAL (no such stage). Threads as sharing says. Never suspends */
WEFT_API int weft_pipeline_snapshot(struct weft_pipeline *pipeline,
                                    struct weft_pipeline_snapshot *ret_snapshot);
WEFT_API int weft_pipeline_stage_snapshot(struct weft_pipeline *pipeline, size_t stage,
                                          struct weft_stage_snapshot *ret_snapshot);

WEFT_END_DECLS

#endif
