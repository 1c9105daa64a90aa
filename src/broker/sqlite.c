/* SPDX-License-Identifier: MIT
 * sqlite.c - the SQLite broker as fibers see it, see sqlite.h and sqlite_internal.h. */
#include "sqlite_internal.h"

#include <base/list.h>
#include <os/clock.h>
#include <runtime/worker.h>
#include <weft/offload.h>
#include <weft/runtime.h>
#include <weft/scope.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOCK_STEP_US INT64_C(1000000) /* less is not worth a commit */
#define RESOLVED_MAX  10000u           /* about 150 ms */

struct sqlite_broker *weft_sqlite_of(struct weft_broker *broker)
{
    return weft_container_of(broker, struct sqlite_broker, broker);
}

int64_t weft_sqlite_now_us(struct weft_broker *broker)
{
    return atomic_load(&weft_sqlite_of(broker)->writer.offset_us) + weft_now() / 1000;
}

size_t weft_sqlite_bytes_of(const struct weft_enqueue *items, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += items[i].job->payload.len + SQLITE_ROW_BYTES;
    return bytes;
}

void weft_sqlite_refuse(struct weft_enqueue *items, size_t count, int err)
{
    for (size_t i = 0; i < count; i++) {
        items[i].claimed = false;
        items[i].lease_token = 0;
        items[i].state = WEFT_JOB_NONE;
        items[i].err = err;
    }
}

static int sqlite_enqueue(struct weft_broker *broker, struct weft_enqueue_batch *batch)
{
    struct sqlite_request request = {.apply = weft_sqlite_apply_enqueue,
                                     .arg = batch,
                                     .gathers = true,
                                     .count = batch->count,
                                     .bytes = weft_sqlite_bytes_of(batch->items, batch->count)};
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    if (err)
        weft_sqlite_refuse(batch->items, batch->count, err);
    return err;
}

static int sqlite_claim(struct weft_broker *broker, struct weft_claim *claim)
{
    struct sqlite_request request = {.apply = weft_sqlite_apply_claim,
                                     .arg = claim,
                                     .count = 1,
                                     .bytes = claim->jobs_max * SQLITE_ROW_BYTES};
    claim->count = 0;
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    while (err && claim->count > 0) /* the commit failed: nobody holds them */
        weft_job_free(claim->jobs[--claim->count]);
    return err;
}

static int sqlite_settle(struct weft_broker *broker, struct weft_settlement *items, size_t count)
{
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_settle, .arg = items, .gathers = true, .count = count};
    for (size_t i = 0; i < count; i++)
        request.bytes += items[i].result.len + SQLITE_ROW_BYTES +
                         weft_sqlite_bytes_of(items[i].follow, items[i].follow_count);
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    for (size_t i = 0; err && i < count; i++) {
        items[i].err = err;
        items[i].state = WEFT_JOB_NONE;
        weft_sqlite_refuse(items[i].follow, items[i].follow_count, err);
    }
    return err;
}

static int sqlite_extend(struct weft_broker *broker, struct weft_lease *items, size_t count)
{
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_extend, .arg = items, .count = count};
    int err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    for (size_t i = 0; err && i < count; i++)
        items[i].err = err;
    return err;
}

/* The runtime's clock, which this one goes with, knows nothing of a time of day that is set, or of
 * a machine that slept. Back it never goes. */
static int follow_clock(struct sqlite_broker *sqlite)
{
    int64_t day_us = weft_clock_unix_us();
    int64_t forward_us = day_us - weft_sqlite_now_us(&sqlite->broker);
    if (!sqlite->follows_clock || forward_us < CLOCK_STEP_US)
        return 0;
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_set_clock, .arg = &forward_us, .count = 1};
    return weft_sqlite_write(sqlite, &request);
}

static int sqlite_maintain(struct weft_broker *broker, struct weft_maintenance *ret_maintenance)
{
    struct weft_maintenance maintenance = {0};
    struct sqlite_request request = {
        .apply = weft_sqlite_apply_maintain, .arg = &maintenance, .count = 1};
    int err = follow_clock(weft_sqlite_of(broker));
    if (!err)
        err = weft_sqlite_write(weft_sqlite_of(broker), &request);
    if (!err)
        *ret_maintenance = maintenance;
    return err;
}

static int apply_limit(struct sqlite_writer *writer, struct sqlite_request *request)
{
    const uint64_t *size_bytes_max = request->arg;
    return weft_sqlite_limit_pages(writer->db, *size_bytes_max) ? SQLITE_ERROR : SQLITE_OK;
}

int weft_sqlite_limit(struct weft_broker *broker, uint64_t size_bytes_max)
{
    struct sqlite_request request = {.apply = apply_limit, .arg = &size_bytes_max, .count = 1};
    return weft_sqlite_write(weft_sqlite_of(broker), &request);
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
    (void)pthread_mutex_destroy(&broker->writer.names_lock);
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
    struct sqlite_broker *sqlite = weft_sqlite_of(broker);
    struct weft_scope shield; /* a cancelled caller must not leave threads behind */
    if (sqlite->memory) {
        (void)close_on_thread(sqlite);
        return;
    }
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    int err = weft_offload(close_on_thread, sqlite);
    if (err)
        (void)close_on_thread(sqlite);
    (void)weft_scope_leave(&shield, 0);
}

static const struct weft_broker_ops sqlite_ops = {
    .name = "sqlite",
    .capabilities = WEFT_BROKER_CLAIMS_ON_ENQUEUE | WEFT_BROKER_LEASES_UNTIL_CLOSE |
                    WEFT_BROKER_EVENTS | WEFT_BROKER_MANAGES | WEFT_BROKER_CHOOSES |
                    WEFT_BROKER_REGISTRY,
    .enqueue = sqlite_enqueue,
    .claim = sqlite_claim,
    .settle = sqlite_settle,
    .extend = sqlite_extend,
    .maintain = sqlite_maintain,
    .events = weft_sqlite_events,
    .events_last = weft_sqlite_events_last,
    .now_us = weft_sqlite_now_us,
    .close = sqlite_close,
    .find = weft_sqlite_find,
    .failures = weft_sqlite_failures,
    .list = weft_sqlite_list,
    .cancel = weft_sqlite_cancel,
    .retry = weft_sqlite_retry,
    .prune = weft_sqlite_prune,
    .stats = weft_sqlite_stats,
    .record = weft_sqlite_record,
    .queues = weft_sqlite_queues,
    .queue_find = weft_sqlite_queue_find,
    .queue_set = weft_sqlite_queue_set,
    .worker_join = weft_sqlite_worker_join,
    .worker_beat = weft_sqlite_worker_beat,
    .worker_leave = weft_sqlite_worker_leave,
    .workers = weft_sqlite_workers,
    .cron_set = weft_sqlite_cron_set,
    .cron_remove = weft_sqlite_cron_remove,
    .cron_fire = weft_sqlite_cron_fire,
    .crons = weft_sqlite_crons,
    .audit = weft_sqlite_audit,
    .audits = weft_sqlite_audits,
};

struct open_call {
    const struct weft_sqlite_options *options;
    struct sqlite_broker *broker;
    char *error;
    size_t error_bytes;
    int64_t opened_us, clock_offset_us;
    bool follows_clock;
};

static struct sqlite_broker *allocate(const struct weft_sqlite_options *options)
{
    struct sqlite_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return NULL;
    const char *path = options->path ? options->path : "weft.db";
    broker->broker.ops = &sqlite_ops;
    broker->memory = options->memory || strcmp(path, ":memory:") == 0;
    broker->lock_fd = -1;
    broker->writer.resolved_max = RESOLVED_MAX;
    broker->writer.pending_max = options->requests_max ? options->requests_max : 65536;
    broker->checkpoint.wal_pages_max = options->wal_pages_max ? options->wal_pages_max : 8192;
    (void)pthread_mutex_init(&broker->readers_lock, NULL);
    (void)pthread_mutex_init(&broker->writer.names_lock, NULL);
    (void)pthread_mutex_init(&broker->writer.lock, NULL);
    (void)pthread_cond_init(&broker->writer.wake, NULL);
    (void)pthread_mutex_init(&broker->checkpoint.lock, NULL);
    (void)pthread_cond_init(&broker->checkpoint.wake, NULL);
    broker->path = strdup(broker->memory ? ":memory:" : path);
    if (broker->path && !weft_sqlite_leases_init(&broker->writer) &&
        !weft_sqlite_events_init(&broker->writer.events))
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
    broker->opened_us = call->opened_us;
    broker->follows_clock = call->follows_clock;
    broker->writer.clock_offset_us = (uint64_t)call->clock_offset_us;
    atomic_store(&broker->writer.offset_us, call->clock_offset_us);
    int err = weft_sqlite_schema_open(broker, call->options, call->error, call->error_bytes);
    if (!err && !broker->memory)
        err = weft_sqlite_checkpoint_start(broker);
    if (!err && !broker->memory)
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
    int64_t now_us = options->clock_us ? options->clock_us : weft_clock_unix_us();
    struct open_call call = {
        .options = options,
        .error = ret_error,
        .error_bytes = error_bytes,
        .opened_us = now_us,
        .clock_offset_us = now_us - weft_now() / 1000,
    };
    if (error_bytes > 0)
        ret_error[0] = '\0';
    bool memory = options->memory || (options->path && strcmp(options->path, ":memory:") == 0);
    call.follows_clock =
        !memory && !options->clock_us && weft_current_worker->clock == WEFT_CLOCK_REAL;
    int err = memory ? open_on_thread(&call) : weft_offload(open_on_thread, &call);
    if (!err)
        *ret_broker = &call.broker->broker;
    else if (error_bytes > 0 && !ret_error[0])
        (void)snprintf(ret_error, error_bytes, "cannot open the database: %s", weft_strerror(err));
    return err;
}
