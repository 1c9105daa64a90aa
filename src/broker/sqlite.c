/* SPDX-License-Identifier: MIT
 * sqlite.c - the SQLite broker as fibers see it, see sqlite.h and sqlite_internal.h. */
#include "sqlite_internal.h"

#include <base/list.h>
#include <os/clock.h>
#include <weft/offload.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t weft_sqlite_seq(const struct weft_uuid *id)
{
    int64_t seq = 0;
    for (int i = 0; i < 6; i++)
        seq = seq << 8 | id->bytes[i];
    return seq << 12 | (int64_t)(id->bytes[6] & 0x0f) << 8 | id->bytes[7];
}

static struct sqlite_broker *sqlite_of(struct weft_broker *broker)
{
    return weft_container_of(broker, struct sqlite_broker, broker);
}

/* About what a row costs beside its payload, all tables together. */
#define ROW_BYTES ((size_t)256)

static int sqlite_enqueue(struct weft_broker *broker, struct weft_enqueue *items, size_t count)
{
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_enqueue, .arg = items, .count = count};
    for (size_t i = 0; i < count; i++)
        request.bytes += items[i].job->payload.len + ROW_BYTES;
    int err = weft_sqlite_write(sqlite_of(broker), &request);
    for (size_t i = 0; err && i < count; i++)
        items[i].err = err;
    return err;
}

static int sqlite_claim(struct weft_broker *broker, struct weft_claim *claim)
{
    struct sqlite_request request = {.apply = weft_sqlite_apply_claim,
                                     .arg = claim,
                                     .count = 1,
                                     .bytes = claim->jobs_max * ROW_BYTES};
    claim->count = 0;
    int err = weft_sqlite_write(sqlite_of(broker), &request);
    while (err && claim->count > 0) /* the commit failed: nobody holds them */
        weft_job_free(claim->jobs[--claim->count]);
    return err;
}

static int sqlite_settle(struct weft_broker *broker, struct weft_settlement *items, size_t count)
{
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_settle, .arg = items, .count = count};
    for (size_t i = 0; i < count; i++)
        request.bytes += items[i].result.len + ROW_BYTES;
    int err = weft_sqlite_write(sqlite_of(broker), &request);
    for (size_t i = 0; err && i < count; i++)
        items[i].err = err;
    return err;
}

static int sqlite_extend(struct weft_broker *broker, struct weft_lease *items, size_t count)
{
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_extend, .arg = items, .count = count};
    int err = weft_sqlite_write(sqlite_of(broker), &request);
    for (size_t i = 0; err && i < count; i++)
        items[i].err = err;
    return err;
}

static int sqlite_promote(struct weft_broker *broker, struct weft_promotion *ret_promotion)
{
    struct weft_promotion promotion = {0};
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_promote, .arg = &promotion, .count = 1};
    int err = weft_sqlite_write(sqlite_of(broker), &request);
    if (!err)
        *ret_promotion = promotion;
    return err;
}

static int sqlite_adopt(struct weft_broker *broker, struct weft_worker_counts *ret_counts,
                        unsigned count)
{
    if (count == 0 || count > WEFT_WORKERS_MAX)
        return -EINVAL;
    struct sqlite_adoption adoption = {ret_counts, count};
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_adopt, .arg = &adoption, .count = 1};
    return weft_sqlite_write(sqlite_of(broker), &request);
}

static int sqlite_record(struct weft_broker *broker, const struct weft_queue_metrics *metrics)
{
    struct weft_queue_metrics copy = *metrics;
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_record, .arg = &copy, .count = 1, .bytes = ROW_BYTES};
    return weft_sqlite_write(sqlite_of(broker), &request);
}

int weft_sqlite_limit(struct weft_broker *broker, uint64_t size_bytes_max)
{
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_limit, .arg = &size_bytes_max, .count = 1};
    return weft_sqlite_write(sqlite_of(broker), &request);
}

struct find_call {
    struct sqlite_broker *broker;
    const struct weft_uuid *id;
    struct weft_job *job;
};

static int find_on_thread(void *arg)
{
    struct find_call *call = arg;
    return weft_sqlite_read_find(call->broker, call->id, &call->job);
}

static int sqlite_find(struct weft_broker *broker, const struct weft_uuid *id,
                       struct weft_job **ret_job)
{
    struct find_call call = {.broker = sqlite_of(broker), .id = id};
    int err = weft_offload(find_on_thread, &call);
    if (!err)
        *ret_job = call.job;
    return err;
}

struct stats_call {
    struct sqlite_broker *broker;
    struct weft_broker_stats *stats;
};

static int stats_on_thread(void *arg)
{
    struct stats_call *call = arg;
    return weft_sqlite_read_stats(call->broker, call->stats);
}

static int sqlite_stats(struct weft_broker *broker, struct weft_broker_stats *ret_stats)
{
    struct sqlite_broker *sqlite = sqlite_of(broker);
    struct weft_broker_stats stats = {0};
    struct stats_call call = {.broker = sqlite, .stats = &stats};
    int err = weft_offload(stats_on_thread, &call);
    if (err)
        return err;
    stats.operations = atomic_load(&sqlite->writer.operations);
    stats.commits = atomic_load(&sqlite->writer.commits);
    stats.batch_max = atomic_load(&sqlite->writer.batch_max);
    *ret_stats = stats;
    return 0;
}

static int64_t sqlite_now_us(struct weft_broker *broker)
{
    return sqlite_of(broker)->clock_offset_us + weft_now() / 1000;
}

/* Blocking. Copes with a half-built broker. */
static int close_on_thread(void *arg)
{
    struct sqlite_broker *broker = arg;
    weft_sqlite_checkpoint_stop(&broker->checkpoint);
    weft_sqlite_readers_close(broker);
    weft_sqlite_writer_stop(&broker->writer); /* the last connection: it empties the log */
    if (broker->lock_fd >= 0)
        (void)close(broker->lock_fd);
    (void)pthread_mutex_destroy(&broker->readers_lock);
    (void)pthread_mutex_destroy(&broker->writer.lock);
    (void)pthread_cond_destroy(&broker->writer.wake);
    (void)pthread_mutex_destroy(&broker->checkpoint.lock);
    (void)pthread_cond_destroy(&broker->checkpoint.wake);
    free(broker->path);
    free(broker);
    return 0;
}

static void sqlite_close(struct weft_broker *broker)
{
    struct weft_scope shield; /* a cancelled caller must not leave threads behind */
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    int err = weft_offload(close_on_thread, sqlite_of(broker));
    if (err)
        (void)close_on_thread(sqlite_of(broker));
    (void)weft_scope_leave(&shield, 0);
}

static const struct weft_broker_ops sqlite_ops = {
    .name = "sqlite",
    .capabilities = WEFT_BROKER_CLAIMS_ON_ENQUEUE | WEFT_BROKER_LEASES_UNTIL_CLOSE,
    .enqueue = sqlite_enqueue,
    .claim = sqlite_claim,
    .settle = sqlite_settle,
    .extend = sqlite_extend,
    .promote = sqlite_promote,
    .find = sqlite_find,
    .adopt = sqlite_adopt,
    .record = sqlite_record,
    .stats = sqlite_stats,
    .now_us = sqlite_now_us,
    .close = sqlite_close,
};

struct open_call {
    const struct weft_sqlite_options *options;
    struct sqlite_broker *broker;
    char *error;
    size_t error_bytes;
    int64_t clock_offset_us;
};

static struct sqlite_broker *allocate(const struct weft_sqlite_options *options)
{
    struct sqlite_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return NULL;
    broker->broker.ops = &sqlite_ops;
    broker->lock_fd = -1;
    broker->writer.pending_max = options->requests_max ? options->requests_max : 65536;
    broker->checkpoint.wal_pages_max = options->wal_pages_max ? options->wal_pages_max : 8192;
    (void)pthread_mutex_init(&broker->readers_lock, NULL);
    (void)pthread_mutex_init(&broker->writer.lock, NULL);
    (void)pthread_cond_init(&broker->writer.wake, NULL);
    (void)pthread_mutex_init(&broker->checkpoint.lock, NULL);
    (void)pthread_cond_init(&broker->checkpoint.wake, NULL);
    broker->path = strdup(options->path ? options->path : "weft.db");
    if (broker->path)
        return broker;
    (void)close_on_thread(broker);
    return NULL;
}

static int open_on_thread(void *arg)
{
    struct open_call *call = arg;
    struct sqlite_broker *broker = allocate(call->options);
    if (!broker)
        return -ENOMEM;
    broker->clock_offset_us = call->clock_offset_us;
    int err = weft_sqlite_schema_open(broker, call->options, call->error, call->error_bytes);
    if (!err)
        err = weft_sqlite_checkpoint_start(broker);
    if (!err)
        err = weft_sqlite_writer_start(broker);
    if (err) {
        (void)close_on_thread(broker);
        return err;
    }
    call->broker = broker;
    return 0;
}

int weft_sqlite_open(struct weft_broker **ret_broker, const struct weft_sqlite_options *options,
                     char *ret_error, size_t error_bytes)
{
    struct open_call call = {
        .options = options,
        .error = ret_error,
        .error_bytes = error_bytes,
        .clock_offset_us = weft_clock_unix_us() - weft_now() / 1000,
    };
    if (error_bytes > 0)
        ret_error[0] = '\0';
    int err = weft_offload(open_on_thread, &call);
    if (!err)
        *ret_broker = &call.broker->broker;
    else if (error_bytes > 0 && !ret_error[0])
        (void)snprintf(ret_error, error_bytes, "cannot open the database: %s", weft_strerror(err));
    return err;
}
