/* SPDX-License-Identifier: MIT
 * map_stream.c - weft_map_stream: a pipeline of two stages, fn with all its fibers and sink with
 * one, which the calling fiber feeds from next. See weft/map.h. */
#include <flow/map_internal.h>

#include <weft/pipeline.h>
#include <weft/runtime.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_BYTES_MAX ((size_t)4096)

/* An item on its way. */
struct parcel {
    size_t index;
    int result;
    int filler; /* so that the item is aligned as malloc would */
    unsigned char item[];
};

struct stream {
    struct weft_map_options options;
    int (*next)(void *arg, void *ret_item);
    int (*fn)(void *arg, void *item, size_t index);
    int (*sink)(void *arg, const void *item, int result);
    void *arg;
    size_t parcel_bytes;
    size_t failures;
    struct weft_map_watch watch;
};

static int run_fn(void *arg, const void *in, void *out)
{
    const struct stream *stream = arg;
    struct parcel *parcel = out;
    memcpy(out, in, stream->parcel_bytes);
    int result = stream->fn(stream->arg, parcel->item, parcel->index);
    if (result < 0 && (stream->options.on_error == WEFT_MAP_FAIL_FAST ||
                       (result == -ECANCELED && weft_cancel_reason())))
        return result;
    parcel->result = result;
    return 1;
}

static int run_sink(void *arg, const void *in, void *out)
{
    struct stream *stream = arg;
    const struct parcel *parcel = in;
    (void)out;
    int err = stream->sink ? stream->sink(stream->arg, parcel->item, parcel->result) : 0;
    if (err < 0)
        return err;
    stream->failures += parcel->result < 0;
    weft_map_watch_result(&stream->watch, parcel->index, parcel->result);
    return 0;
}

static void drop(void *arg, const void *item)
{
    const struct stream *stream = arg;
    const struct parcel *parcel = item;
    if (stream->options.drop)
        stream->options.drop(stream->arg, parcel->item);
}

/* Until the input ends. Returns 0, or an error of next; the pipeline knows of others. */
static int feed(struct stream *stream, struct weft_pipeline *pipeline, struct parcel *parcel)
{
    int err = 0;
    for (parcel->index = 0; err == 0; parcel->index++) {
        int more = weft_checkpoint();
        if (more == 0)
            more = stream->next(stream->arg, parcel->item);
        if (more <= 0)
            return more;
        err = weft_pipeline_push(pipeline, parcel, WEFT_FOREVER);
    }
    drop(stream, parcel); /* it was not taken */
    return 0;
}

/* Returns 0, or why it was cut short. */
static int run_pipeline(struct stream *stream, struct parcel *parcel)
{
    const struct weft_map_options *options = &stream->options;
    const struct weft_stage_options stages[] = {
        {.name = options->name ? options->name : "map",
         .fn = run_fn,
         .drop = drop,
         .arg = stream,
         .item_bytes_in = stream->parcel_bytes,
         .item_bytes_out = stream->parcel_bytes,
         .workers = options->concurrency_max,
         .queue_max = options->window_max,
         .ordered = options->ordered,
         .worker = options->worker,
         .stack_bytes = options->stack_bytes},
        {.name = "sink",
         .fn = run_sink,
         .drop = drop,
         .arg = stream,
         .item_bytes_in = stream->parcel_bytes,
         .queue_max = options->window_max},
    };
    struct weft_pipeline *pipeline;
    int err = weft_pipeline_open(&pipeline, &(struct weft_pipeline_options){
                                                .name = "map", .stages = stages, .stage_count = 2});
    if (err < 0)
        return err;
    err = feed(stream, pipeline, parcel);
    if (err < 0 && options->on_error == WEFT_MAP_FAIL_FAST)
        (void)weft_pipeline_cancel(pipeline, err);
    int result = weft_pipeline_finish(pipeline, WEFT_FOREVER);
    weft_pipeline_close(pipeline);
    return result < 0 ? result : err;
}

static int run_stream(struct stream *stream)
{
    int64_t deadline_ns = stream->options.deadline_ns;
    struct weft_scope scope;
    struct parcel *parcel = calloc(1, stream->parcel_bytes);
    if (!parcel)
        return -ENOMEM;
    int err = weft_map_watch_begin(&stream->watch, &stream->options, stream->arg, 0);
    if (err == 0) {
        weft_scope_enter(&scope, deadline_ns ? deadline_ns : WEFT_FOREVER, 0);
        err = weft_scope_leave(&scope, run_pipeline(stream, parcel));
        weft_map_watch_end(&stream->watch);
    }
    free(parcel);
    return err;
}

/* What an array would be for, and what would not fit. */
static int check(const struct weft_map_options *options, size_t item_bytes)
{
    if (options->on_done || options->chunk_items || item_bytes == 0 ||
        item_bytes > ITEM_BYTES_MAX - sizeof(struct parcel))
        return -EINVAL;
    return weft_map_check(options);
}

int weft_map_stream(const struct weft_map_options *options, int (*next)(void *arg, void *ret_item),
                    int (*fn)(void *arg, void *item, size_t index),
                    int (*sink)(void *arg, const void *item, int result), void *arg,
                    size_t item_bytes)
{
    static const struct weft_map_options defaults;
    struct stream stream = {.next = next, .fn = fn, .sink = sink, .arg = arg};
    stream.options = options ? *options : defaults;
    int err = next && fn ? check(&stream.options, item_bytes) : -EINVAL;
    if (err == 0)
        err = weft_checkpoint();
    if (err < 0)
        return err;
    if (stream.options.concurrency_max == 0)
        stream.options.concurrency_max = WEFT_MAP_CONCURRENCY;
    if (stream.options.window_max == 0)
        stream.options.window_max = 2 * stream.options.concurrency_max;
    stream.parcel_bytes = sizeof(struct parcel) + item_bytes;
    err = run_stream(&stream);
    return err < 0 ? err : stream.failures > INT_MAX ? INT_MAX : (int)stream.failures;
}
