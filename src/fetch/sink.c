/* SPDX-License-Identifier: MIT
 * sink.c - the way of a result: from put into the queue of a pipeline with one stage, in batches to
 * the outputs. See weft/sink.h; the outputs are listed in sink_output.h.
 *
 * The memory of what waits is bounded by permits, one for a byte, which an item takes before it
 * enters the queue and gives back when it is written or lost. Outputs are touched by one fiber at a
 * time: the stage's, in a batch, or one that flushes; "busy" says whose turn it is. */
#include "sink_output.h"

#include <weft/offload.h>
#include <weft/pipeline.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/sync.h>

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH_DEFAULT       500u
#define BATCH_MAX           65536u
#define AGE_DEFAULT_NS      WEFT_SEC
#define QUEUE_MAX           (1u << 20)
#define QUEUE_BYTES_DEFAULT (16u << 20)

struct weft_sink {
    struct weft_pipeline *pipeline;
    struct weft_semaphore bytes;
    uint32_t bytes_max;
    struct weft_mutex busy;
    bool keeps_bodies, drops, finished;
    int result;                             /* once it is finished */
    atomic_bool failed;                     /* error may be read */
    atomic_uint_least64_t dropped, refused; /* for want of bytes, beside those of the pipeline */
    char error[SINK_ERROR_BYTES];
    size_t outputs_count;
    struct sink_output *outputs[WEFT_SINK_OUTPUTS_MAX]; /* in the order in which they are written */
    char *paths[WEFT_SINK_OUTPUTS_MAX];
};

/* ---- outputs, on a thread -------------------------------------------------------------- */

static enum weft_sink_kind kind_by_name(const char *path)
{
    static const struct {
        const char *ending;
        enum weft_sink_kind kind;
    } endings[] = {
        {".jsonl", WEFT_SINK_JSONL},    {".ndjson", WEFT_SINK_JSONL}, {".json", WEFT_SINK_JSONL},
        {".csv", WEFT_SINK_CSV},        {".db", WEFT_SINK_SQLITE},    {".sqlite", WEFT_SINK_SQLITE},
        {".sqlite3", WEFT_SINK_SQLITE}, {"/", WEFT_SINK_FILES},
    };
    struct stat info;
    size_t len = strlen(path);
    if (strcmp(path, "-") == 0)
        return WEFT_SINK_JSONL;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return WEFT_SINK_FILES;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending_len = strlen(endings[i].ending);
        if (len > ending_len && strcmp(path + len - ending_len, endings[i].ending) == 0)
            return endings[i].kind;
    }
    return WEFT_SINK_BY_NAME;
}

static struct sink_output *output_new(enum weft_sink_kind kind)
{
    switch (kind) {
    case WEFT_SINK_JSONL:
    case WEFT_SINK_CSV:
        return weft_sink_lines_new();
    case WEFT_SINK_SQLITE:
        return weft_sink_sqlite_new();
    case WEFT_SINK_FILES:
        return weft_sink_files_new();
    case WEFT_SINK_FUNCTION:
        return weft_sink_function_new();
    case WEFT_SINK_BY_NAME:
        break;
    }
    return NULL;
}

/* Files first, because they make digests, which the others write down; databases last. */
static int rank(const struct sink_output *output)
{
    return output->options.kind == WEFT_SINK_FILES    ? 0
           : output->options.kind == WEFT_SINK_SQLITE ? 2
                                                      : 1;
}

static void insert_output(struct weft_sink *sink, struct sink_output *output)
{
    size_t at = sink->outputs_count++;
    for (; at > 0 && rank(sink->outputs[at - 1]) > rank(output); at--)
        sink->outputs[at] = sink->outputs[at - 1];
    sink->outputs[at] = output;
}

__attribute__((format(printf, 3, 4))) static int refuse(struct weft_sink *sink, int err,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sink->error, sizeof sink->error, format, args);
    va_end(args);
    return err;
}

static int add_output(struct weft_sink *sink, const struct weft_sink_output *options)
{
    struct weft_sink_output own = *options;
    bool is_function = own.kind == WEFT_SINK_FUNCTION;
    if (!own.path && !is_function)
        return refuse(sink, -EINVAL, "an output of the sink has no path");
    char *path = strdup(own.path ? own.path : "a function");
    if (!path)
        return -ENOMEM;
    sink->paths[sink->outputs_count] = path;
    if (own.kind == WEFT_SINK_BY_NAME)
        own.kind = kind_by_name(path);
    if (own.kind == WEFT_SINK_BY_NAME)
        return refuse(sink, -EINVAL,
                      "%s: the name does not say what to write: .jsonl, .csv, .sqlite, or a "
                      "directory with \"/\" at its end",
                      path);
    bool is_lines = own.kind == WEFT_SINK_JSONL || own.kind == WEFT_SINK_CSV;
    if (strcmp(path, "-") == 0 && !is_lines && !is_function)
        return refuse(sink, -EINVAL, "standard output takes JSON lines or CSV only");

    struct sink_output *output = output_new(own.kind);
    if (!output)
        return -ENOMEM;
    own.path = path;
    output->options = own;
    output->error = sink->error;
    insert_output(sink, output);
    sink->keeps_bodies = sink->keeps_bodies || own.kind == WEFT_SINK_FILES || own.keeps_bodies;
    return output->ops->open(output);
}

struct open_call {
    struct weft_sink *sink;
    const struct weft_sink_options *options;
};

static int open_outputs(void *arg)
{
    struct open_call *call = arg;
    int err = 0;
    for (size_t i = 0; i < call->options->outputs_count && err == 0; i++)
        err = add_output(call->sink, &call->options->outputs[i]);
    return err;
}

/* ---- outputs, here and there ----------------------------------------------------------- */

enum deed {
    SYNC,
    FINISH,
    CLOSE
};

struct deed_call {
    struct weft_sink *sink;
    enum deed deed;
    bool fiber; /* outputs that write on a fiber, or those that do not */
};

static int do_to_one(struct sink_output *output, enum deed deed)
{
    if (deed == CLOSE)
        return output->ops->close(output);
    return deed == FINISH && output->ops->finish ? output->ops->finish(output)
                                                 : output->ops->sync(output);
}

/* All outputs of one kind, in their order. Returns the first error; a close goes on all the same.
 */
static int do_deed(void *arg)
{
    const struct deed_call *call = arg;
    struct weft_sink *sink = call->sink;
    int result = 0;
    for (size_t i = 0; i < sink->outputs_count; i++) {
        struct sink_output *output = sink->outputs[i];
        if (!output || output->writes_on_fiber != call->fiber ||
            (result < 0 && call->deed != CLOSE))
            continue;
        if (call->deed == CLOSE)
            sink->outputs[i] = NULL;
        int err = do_to_one(output, call->deed);
        if (result == 0)
            result = err;
    }
    return result;
}

/* Where no thread is to be had, here: it must not be left out. */
static int on_thread_or_here(int (*fn)(void *), void *arg)
{
    int err = weft_offload(fn, arg);
    return err == WEFT_EFULL || err == -EAGAIN || err == -ENOMEM || err == -EPERM ? fn(arg) : err;
}

static int do_to_all(struct weft_sink *sink, enum deed deed)
{
    struct deed_call here = {sink, deed, true}, there = {sink, deed, false};
    int err = do_deed(&here);
    int err_there = on_thread_or_here(do_deed, &there);
    return err < 0 ? err : err_there;
}

/* A cancelled caller must leave nothing open. */
static int close_outputs(struct weft_sink *sink)
{
    struct weft_scope shield;
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    int err = do_to_all(sink, CLOSE);
    return weft_scope_leave(&shield, err);
}

/* ---- a batch --------------------------------------------------------------------------- */

struct batch {
    struct weft_sink *sink;
    struct sink_item *const *items;
    size_t count;
    size_t first, last; /* outputs that are written on a thread, without the last */
};

static int write_on_thread(void *arg)
{
    const struct batch *batch = arg;
    int err = 0;
    for (size_t i = batch->first; i < batch->last && err == 0; i++) {
        struct sink_output *output = batch->sink->outputs[i];
        err = output->ops->write(output, batch->items, batch->count);
    }
    return err;
}

/* Neighbours that are written on a thread share the way there. */
static int write_outputs(struct weft_sink *sink, struct sink_item *const *items, size_t count)
{
    struct batch batch = {.sink = sink, .items = items, .count = count};
    int err = 0;
    while (batch.first < sink->outputs_count && err == 0) {
        struct sink_output *output = sink->outputs[batch.first];
        batch.last = batch.first + 1;
        if (output->writes_on_fiber) {
            err = output->ops->write(output, items, count);
        } else {
            while (batch.last < sink->outputs_count && !sink->outputs[batch.last]->writes_on_fiber)
                batch.last++;
            err = weft_offload(write_on_thread, &batch);
        }
        batch.first = batch.last;
    }
    return err;
}

static uint32_t permits_of(const struct weft_sink *sink, const struct sink_item *item)
{
    return item->bytes < sink->bytes_max ? (uint32_t)item->bytes : sink->bytes_max;
}

static void let_go(struct weft_sink *sink, struct sink_item *item)
{
    (void)weft_semaphore_release(&sink->bytes, permits_of(sink, item));
    weft_sink_item_free(item);
}

/* From here on weft_sink_error tells why. */
static void fail(struct weft_sink *sink, int err)
{
    if (err == -ECANCELED || atomic_load(&sink->failed))
        return;
    if (!sink->error[0])
        (void)snprintf(sink->error, sizeof sink->error, "cannot write results: %s",
                       weft_strerror(err));
    atomic_store(&sink->failed, true);
}

/* The function of the stage. Items of a batch that fails are given to drop. */
static int write_batch(void *arg, const void *ins, size_t count, void *outs)
{
    struct weft_sink *sink = arg;
    struct sink_item *const *items = ins;
    (void)outs;
    int err = weft_mutex_lock(&sink->busy, WEFT_FOREVER);
    if (err < 0)
        return err;
    err = write_outputs(sink, items, count);
    if (err < 0)
        fail(sink, err);
    (void)weft_mutex_unlock(&sink->busy);
    for (size_t i = 0; i < count && err == 0; i++)
        let_go(sink, items[i]);
    return err;
}

static void drop(void *arg, const void *in)
{
    struct sink_item *const *item = in;
    let_go(arg, *item);
}

/* ---- open ------------------------------------------------------------------------------ */

static int check(const struct weft_sink_options *options)
{
    if (!options || !options->outputs || options->outputs_count == 0 ||
        options->outputs_count > WEFT_SINK_OUTPUTS_MAX || options->batch_max > BATCH_MAX ||
        options->queue_max > QUEUE_MAX || options->batch_age_ns < 0 ||
        (options->queue_max > 0 && options->batch_max > options->queue_max))
        return -EINVAL;
    for (size_t i = 0; i < options->outputs_count; i++) {
        const struct weft_sink_output *output = &options->outputs[i];
        if (output->kind > WEFT_SINK_FUNCTION || output->existing > WEFT_SINK_REPLACE ||
            output->sync > WEFT_SINK_SYNC_NEVER)
            return -EINVAL;
    }
    return 0;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int open_pipeline(struct weft_sink *sink, const struct weft_sink_options *options)
{
    unsigned batch_max = options->batch_max ? options->batch_max : BATCH_DEFAULT;
    if (options->queue_max && !options->batch_max)
        batch_max = least(batch_max, options->queue_max);
    const struct weft_stage_options stage = {
        .name = "write",
        .batch = write_batch,
        .drop = drop,
        .arg = sink,
        .item_bytes_in = sizeof(struct sink_item *),
        .queue_max = options->queue_max ? options->queue_max : 2 * batch_max,
        .on_full = options->drop_when_full ? WEFT_STAGE_DROP_NEWEST : WEFT_STAGE_BLOCK,
        .batch_max = batch_max,
        .batch_age_ns = options->batch_age_ns ? options->batch_age_ns : AGE_DEFAULT_NS,
    };
    const struct weft_pipeline_options pipeline = {
        .name = "sink", .stages = &stage, .stage_count = 1, .sharing = options->sharing};
    return weft_pipeline_open(&sink->pipeline, &pipeline);
}

static void sink_free(struct weft_sink *sink)
{
    for (size_t i = 0; i < WEFT_SINK_OUTPUTS_MAX; i++)
        free(sink->paths[i]);
    free(sink);
}

static int sink_init(struct weft_sink *sink, const struct weft_sink_options *options)
{
    struct open_call call = {sink, options};
    sink->drops = options->drop_when_full;
    sink->bytes_max = options->queue_bytes_max ? options->queue_bytes_max : QUEUE_BYTES_DEFAULT;
    int err = weft_semaphore_init(&sink->bytes, sink->bytes_max, options->sharing);
    if (err == 0)
        err = weft_mutex_init(&sink->busy, options->sharing);
    if (err == 0)
        err = weft_offload(open_outputs, &call);
    return err == 0 ? open_pipeline(sink, options) : err;
}

int weft_sink_open(struct weft_sink **ret_sink, const struct weft_sink_options *options,
                   char *ret_error, size_t error_bytes)
{
    struct weft_sink *sink = NULL;
    int err = check(options);
    if (err == 0)
        err = weft_checkpoint();
    if (err == 0) {
        sink = calloc(1, sizeof *sink);
        err = sink ? sink_init(sink, options) : -ENOMEM;
    }
    if (err == 0) {
        *ret_sink = sink;
        return 0;
    }
    if (sink)
        (void)close_outputs(sink);
    if (error_bytes > 0)
        (void)snprintf(ret_error, error_bytes, "%s%s",
                       sink && sink->error[0] ? sink->error : "cannot open the sink: ",
                       sink && sink->error[0] ? "" : weft_strerror(err));
    if (sink)
        sink_free(sink);
    return err;
}

/* ---- put ------------------------------------------------------------------------------- */

static int count_refusal(struct weft_sink *sink, int err)
{
    if (err == -ETIMEDOUT || err == -EAGAIN)
        atomic_fetch_add(&sink->refused, 1);
    return err;
}

/* Take the permits. Returns 0; 1: there are none, and the item is to be dropped. */
static int find_room(struct weft_sink *sink, const struct sink_item *item, int64_t deadline_ns)
{
    int err = weft_semaphore_acquire(&sink->bytes, permits_of(sink, item),
                                     sink->drops ? WEFT_NOWAIT : deadline_ns);
    if (err == -EAGAIN && sink->drops) {
        atomic_fetch_add(&sink->dropped, 1);
        return 1;
    }
    return count_refusal(sink, err);
}

int weft_sink_put(struct weft_sink *sink, const struct weft_fetch_result *result,
                  int64_t deadline_ns)
{
    struct sink_item *item;
    int err = weft_sink_item_make(&item, result, sink->keeps_bodies);
    if (err < 0)
        return err;
    err = find_room(sink, item, deadline_ns);
    if (err != 0) {
        weft_sink_item_free(item);
        return err;
    }
    err = weft_pipeline_push(sink->pipeline, &item, deadline_ns);
    if (err < 0)
        let_go(sink, item);
    return err;
}

/* ---- flush, finish, close -------------------------------------------------------------- */

static int sync_on_thread(struct weft_sink *sink)
{
    struct deed_call there = {sink, SYNC, false};
    int err = weft_offload(do_deed, &there);
    if (err < 0)
        fail(sink, err);
    return err;
}

int weft_sink_flush(struct weft_sink *sink, int64_t deadline_ns)
{
    int err = weft_pipeline_flush(sink->pipeline, deadline_ns);
    if (err == 0)
        err = weft_mutex_lock(&sink->busy, deadline_ns);
    if (err < 0)
        return err;
    err = sync_on_thread(sink);
    (void)weft_mutex_unlock(&sink->busy);
    /* What a disk has said about earlier writes it does not say again. */
    if (err < 0 && atomic_load(&sink->failed))
        (void)weft_pipeline_cancel(sink->pipeline, err);
    return err;
}

static bool still_runs(struct weft_sink *sink)
{
    struct weft_pipeline_snapshot snapshot;
    return weft_pipeline_snapshot(sink->pipeline, &snapshot) == 0 &&
           (snapshot.state == WEFT_PIPELINE_RUNNING || snapshot.state == WEFT_PIPELINE_FINISHING);
}

/* Everything is written: no cancellation may come in between any more. */
static int finish_outputs(struct weft_sink *sink)
{
    struct weft_scope shield;
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    int err = do_to_all(sink, FINISH);
    int err_close = do_to_all(sink, CLOSE);
    (void)weft_scope_leave(&shield, 0);
    if (err == 0)
        err = err_close;
    if (err < 0)
        fail(sink, err);
    return err;
}

int weft_sink_finish(struct weft_sink *sink, int64_t deadline_ns)
{
    if (sink->finished)
        return sink->result;
    int err = weft_pipeline_finish(sink->pipeline, deadline_ns);
    if (err < 0 && (err == -EPERM || still_runs(sink)))
        return err;
    sink->result = err < 0 ? err : finish_outputs(sink);
    sink->finished = true;
    return sink->result;
}

void weft_sink_close(struct weft_sink *sink)
{
    if (!sink)
        return;
    weft_pipeline_close(sink->pipeline);
    (void)close_outputs(sink);
    sink_free(sink);
}

/* ---- looking --------------------------------------------------------------------------- */

const char *weft_sink_error(struct weft_sink *sink)
{
    return atomic_load(&sink->failed) ? sink->error : "";
}

int weft_sink_snapshot(struct weft_sink *sink, struct weft_sink_metrics *ret_metrics)
{
    struct weft_stage_snapshot stage;
    int err = weft_pipeline_stage_snapshot(sink->pipeline, 0, &stage);
    if (err < 0)
        return err;
    const uint64_t lost = stage.dropped + stage.errors;
    const int64_t free_bytes = weft_semaphore_available(&sink->bytes);
    *ret_metrics = (struct weft_sink_metrics){
        .items_processed = stage.passed,
        .batches_processed = stage.batches,
        .items_in_queue = stage.items_in - stage.passed - lost,
        .avg_batch_size = stage.batch_average,
        .processing_time_ms = (double)stage.busy_ns / 1e6,
        .dropped_items = lost + atomic_load(&sink->dropped),
        .refused_items = stage.refused + atomic_load(&sink->refused),
        .bytes_in_queue = (uint64_t)(sink->bytes_max - free_bytes),
    };
    return 0;
}
