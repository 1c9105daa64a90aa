/* SPDX-License-Identifier: MIT
 * engine.c - open, run, drain and close, see engine.h. */
#include "engine_internal.h"

#include <base/hash.h>
#include <base/time.h>

#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define LEASE_NS      (30 * WEFT_SEC)
#define LEASE_MIN_NS  WEFT_SEC
#define POLL_NS       WEFT_SEC
#define MAINTAIN_NS   WEFT_SEC
#define THREADS       32u
#define THREADS_LIMIT 512u
#define STUCK_MAX     100u
#define STUCK_LIMIT   512u
#define DAY_US        INT64_C(86400000000)

/* ---- what all files need ---------------------------------------------------------------- */

static struct weft_table_node *handler_node(const struct weft_engine *engine, const char *task)
{
    struct weft_table_node *node =
        weft_table_first(&engine->handlers, weft_hash(task, strlen(task)));
    for (; node; node = weft_table_next(node)) {
        size_t index = (size_t)(node - engine->handler_nodes);
        if (strcmp(engine->options.handlers[index].name, task) == 0)
            return node;
    }
    return NULL;
}

const struct weft_handler *weft_engine_handler(const struct weft_engine *engine, const char *task)
{
    const struct weft_table_node *node = handler_node(engine, task);
    return node ? &engine->options.handlers[node - engine->handler_nodes] : NULL;
}

void weft_engine_log(const struct weft_engine *engine, enum weft_log_level level,
                     const struct weft_job *job, const char *event, const char *text)
{
    const struct weft_engine_log *log = engine->options.log;
    if (log)
        log->write(log->context, level, job, event, text);
}

/* Says nothing about the store: the caller ends, or there is too much to do. */
static bool is_passing(int err)
{
    return err == -ECANCELED || err == -ESHUTDOWN || err == WEFT_EFULL || err == -EBUSY;
}

void weft_engine_heard(struct weft_engine *engine, enum weft_engine_call call, int err)
{
    unsigned before = engine->failing, bit = 1u << call;
    if (err == -ECANCELED || err == -ENOSYS)
        return;
    engine->counts.broker_errors += err < 0;
    if (err >= 0)
        engine->failing &= ~bit;
    else if (call != WEFT_CALL_ENQUEUE && call != WEFT_CALL_EXTEND && !is_passing(err))
        engine->failing |= bit;
    if (engine->failing && !before)
        weft_engine_log(engine, WEFT_LOG_ERROR, NULL, "broker_failing", weft_strerror(err));
    else if (!engine->failing && before)
        weft_engine_log(engine, WEFT_LOG_INFO, NULL, "broker_recovered", NULL);
}

unsigned weft_engine_call_begin(struct weft_engine *engine)
{
    engine->calls[engine->epoch]++;
    return engine->epoch;
}

void weft_engine_call_end(struct weft_engine *engine, unsigned epoch)
{
    if (--engine->calls[epoch] > 0)
        return;
    weft_wake_post(&engine->call_wake);
    if (engine->settled_all)
        weft_wake_post(&engine->settle_wake);
}

int weft_engine_calls_wait(struct weft_engine *engine)
{
    unsigned before = engine->epoch;
    int err = 0;
    engine->epoch = 1 - before; /* empty: the last such wait has seen to that */
    while (engine->calls[before] > 0 && err == 0)
        err = weft_wake_wait(&engine->call_wake, WEFT_FOREVER);
    return err;
}

int64_t weft_engine_jitter(struct weft_engine *engine, int64_t duration_ns)
{
    uint64_t tenth = (uint64_t)duration_ns / 10;
    return duration_ns + (int64_t)(tenth > 0 ? weft_random_below(&engine->random, tenth) : 0);
}

/* ---- services --------------------------------------------------------------------------- */

static int service_main(void *arg)
{
    struct weft_service *service = arg;
    weft_scope_enter(&service->scope, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    service->entered = true;
    if (service->stopped)
        weft_scope_cancel(&service->scope, 0);
    int err = service->main(service->arg);
    service->entered = false;
    return weft_scope_leave(&service->scope, err) == -ECANCELED ? 0 : err;
}

int weft_service_start(struct weft_service *service, struct weft_group *group)
{
    service->stopped = false;
    return weft_spawn_with(group, service_main, service,
                           &(struct weft_spawn_options){.name = service->name});
}

void weft_service_stop(struct weft_service *service)
{
    service->stopped = true;
    if (service->entered)
        weft_scope_cancel(&service->scope, 0);
}

static void init_services(struct weft_engine *engine)
{
    static const struct weft_service services[WEFT_SERVICES] = {
        [WEFT_SERVICE_TIMEOUTS] = {.main = weft_timeouts_main, .name = "ends late attempts"},
        [WEFT_SERVICE_MAINTAIN] = {.main = weft_maintain_main, .name = "maintains the broker"},
        [WEFT_SERVICE_KEEP] = {.main = weft_keep_main, .name = "keeps the house"},
        [WEFT_SERVICE_PUMP] = {.main = weft_pump_main, .name = "takes events"},
        [WEFT_SERVICE_PROGRESS] = {.main = weft_progress_main, .name = "tells progress"},
        [WEFT_SERVICE_BEAT] = {.main = weft_beat_main, .name = "keeps leases"},
    };
    for (int i = 0; i < WEFT_SERVICES; i++) {
        engine->services[i] = services[i];
        engine->services[i].arg = engine;
    }
    engine->settler =
        (struct weft_service){.main = weft_settler_main, .arg = engine, .name = "settles jobs"};
}

/* ---- open ------------------------------------------------------------------------------- */

static int64_t retained_us(int64_t asked_us, int64_t days)
{
    return asked_us < 0 ? 0 : asked_us > 0 ? asked_us : days * DAY_US;
}

static int fill_in(struct weft_engine_options *options)
{
    struct weft_retention *retention = &options->retention;
    retention->completed_us = retained_us(retention->completed_us, 7);
    retention->cancelled_us = retained_us(retention->cancelled_us, 7);
    retention->dead_us = retained_us(retention->dead_us, 30);
    if (options->lease_ns == 0)
        options->lease_ns = LEASE_NS;
    if (options->poll_ns == 0)
        options->poll_ns = POLL_NS;
    if (options->maintain_ns == 0)
        options->maintain_ns = MAINTAIN_NS;
    if (options->threads_max == 0)
        options->threads_max = THREADS;
    if (options->stuck_max == 0)
        options->stuck_max = STUCK_MAX;
    bool valid = options->broker && options->consumers_count <= WEFT_CONSUMERS_MAX &&
                 options->lease_ns >= LEASE_MIN_NS && options->poll_ns > 0 &&
                 options->maintain_ns > 0 && options->threads_max <= THREADS_LIMIT &&
                 options->stuck_max <= STUCK_LIMIT &&
                 (!options->worker_name || weft_job_name_is_valid(options->worker_name));
    return valid ? 0 : -EINVAL;
}

static bool handler_is_valid(const struct weft_handler *handler)
{
    const struct weft_retry_options *retry = &handler->retry;
    return handler->name && weft_job_name_is_valid(handler->name) && weft_executor_takes(handler) &&
           handler->attempts_max <= WEFT_JOB_ATTEMPTS_MAX && handler->timeout_ns >= 0 &&
           handler->grace_ns >= 0 && retry->backoff <= WEFT_BACKOFF_CONSTANT &&
           retry->jitter != WEFT_JITTER_DECORRELATED && retry->jitter != WEFT_JITTER_SMOOTH &&
           retry->base_ns >= 0 && retry->cap_ns >= 0 &&
           (retry->multiplier == 0 || retry->multiplier >= 1);
}

static int open_handlers(struct weft_engine *engine)
{
    size_t count = engine->options.handlers_count;
    int err = weft_table_init(&engine->handlers);
    engine->handler_nodes = calloc(count > 0 ? count : 1, sizeof *engine->handler_nodes);
    if (err == 0 && !engine->handler_nodes)
        err = -ENOMEM;
    if (engine->options.leave_unknown && engine->capabilities & WEFT_BROKER_CHOOSES) {
        engine->tasks = calloc(count > 0 ? count : 1, sizeof *engine->tasks);
        err = err == 0 && !engine->tasks ? -ENOMEM : err;
    }
    for (size_t i = 0; err == 0 && i < count; i++) {
        const struct weft_handler *handler = &engine->options.handlers[i];
        if (!handler_is_valid(handler) || handler_node(engine, handler->name))
            return -EINVAL;
        if (engine->tasks)
            engine->tasks[i] = handler->name;
        weft_table_put(&engine->handlers, &engine->handler_nodes[i],
                       weft_hash(handler->name, strlen(handler->name)));
    }
    return err;
}

static int open_wakes(struct weft_engine *engine)
{
    struct weft_wake *const wakes[] = {
        &engine->stopped,     &engine->call_wake,     &engine->settle_wake,
        &engine->timers_wake, &engine->maintain_wake,
    };
    int err = weft_semaphore_init(&engine->threads, engine->options.threads_max, WEFT_LOCAL);
    for (size_t i = 0; err == 0 && i < sizeof wakes / sizeof wakes[0]; i++)
        err = weft_wake_init(wakes[i]);
    return err;
}

static int open_consumers(struct weft_engine *engine)
{
    static const struct weft_consumer_options alone = {.name = "inline", .concurrency = 1};
    const struct weft_engine_options *options = &engine->options;
    const struct weft_consumer_options *first =
        options->consumers_count ? options->consumers : &alone;
    int err = weft_consumer_init(engine, &engine->inline_consumer, first);
    for (size_t i = 0; err == 0 && i < options->consumers_count; i++)
        err = weft_consumer_init(engine, &engine->consumers[i], &options->consumers[i]);
    engine->consumers_count = err ? 0 : options->consumers_count;
    return err ? err : weft_lanes_open(engine);
}

static int open_arrays(struct weft_engine *engine)
{
    engine->settlements = calloc(WEFT_SETTLE_MAX, sizeof *engine->settlements);
    engine->settling = calloc(WEFT_SETTLE_MAX, sizeof(struct weft_engine_job *));
    engine->events = calloc(WEFT_EVENTS_MAX, sizeof *engine->events);
    engine->stuck = weft_stuck_open();
    if (!engine->settlements || !engine->settling || !engine->events || !engine->stuck)
        return -ENOMEM;
    int err = weft_table_init(&engine->jobs);
    return err ? err : weft_table_init(&engine->waiters);
}

/* Names of what it takes from, as many as there is room for. */
static void describe_queues(const struct weft_engine *engine, char *text, size_t bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < engine->consumers_count; i++) {
        const struct weft_consumer_options *options = engine->consumers[i].options;
        for (size_t at = 0; at < options->queues_count; at++) {
            const char *name = options->queues[at].name;
            size_t len = strlen(name);
            if (used + len + 2 > bytes)
                return;
            if (used > 0)
                text[used++] = ',';
            memcpy(text + used, name, len + 1);
            used += len;
        }
    }
}

static int join_registry(struct weft_engine *engine)
{
    struct weft_worker_info *worker = &engine->worker;
    if (!(engine->capabilities & WEFT_BROKER_REGISTRY))
        return 0;
    if (gethostname(worker->host, sizeof worker->host) < 0)
        worker->host[0] = '\0';
    worker->host[sizeof worker->host - 1] = '\0';
    worker->pid = getpid();
    if (engine->options.worker_name)
        (void)snprintf(worker->name, sizeof worker->name, "%s", engine->options.worker_name);
    else
        (void)snprintf(worker->name, sizeof worker->name, "%s-%lld", worker->host,
                       (long long)worker->pid);
    (void)snprintf(worker->version, sizeof worker->version, "%s", weft_version());
    describe_queues(engine, worker->queues, sizeof worker->queues);
    for (size_t i = 0; i < engine->consumers_count; i++)
        worker->concurrency += engine->consumers[i].concurrency;
    worker->started_us = engine->broker->ops->now_us(engine->broker);
    return engine->broker->ops->worker_join(engine->broker, worker);
}

static void draw_seed(struct weft_engine *engine)
{
    uint64_t seed = engine->options.seed;
    if (seed == 0 && getentropy(&seed, sizeof seed) < 0)
        seed = (uint64_t)weft_now();
    weft_random_seed(&engine->random, seed);
    weft_uuid_maker_init(&engine->ids, &engine->random);
}

int weft_engine_open(struct weft_engine **ret_engine, const struct weft_engine_options *options)
{
    struct weft_engine_options filled = *options;
    int err = fill_in(&filled);
    if (err)
        return err;
    struct weft_engine *engine =
        calloc(1, sizeof *engine + filled.consumers_count * sizeof engine->consumers[0]);
    if (!engine)
        return -ENOMEM;
    engine->options = filled;
    engine->broker = filled.broker;
    engine->capabilities = filled.broker->ops->capabilities;
    engine->pumped = engine->capabilities & WEFT_BROKER_EVENTS;
    engine->deadline_ns = WEFT_FOREVER;
    weft_settle_begin(engine);
    engine->maintain_at_ns = WEFT_NOWAIT;
    weft_list_init(&engine->finished);
    weft_list_init(&engine->watches);
    draw_seed(engine);
    init_services(engine);
    err = weft_beat_init(engine);
    int also = weft_progress_init(engine); /* both, because both are undone */
    err = err ? err : also;
    if (err == 0)
        err = open_arrays(engine);
    if (err == 0)
        err = open_wakes(engine);
    if (err == 0)
        err = open_handlers(engine);
    if (err == 0)
        err = weft_executors_open(engine);
    if (err == 0)
        err = open_consumers(engine);
    if (err == 0)
        err = join_registry(engine);
    if (err) {
        weft_engine_close(engine);
        return err;
    }
    *ret_engine = engine;
    return 0;
}

void weft_engine_close(struct weft_engine *engine)
{
    if (!engine)
        return;
    weft_consumer_deinit(&engine->inline_consumer);
    for (size_t i = 0; i < engine->consumers_count; i++)
        weft_consumer_deinit(&engine->consumers[i]);
    weft_lanes_close(engine);
    weft_executors_close(engine);
    /* What it still holds is for others from then on, so it must not run here any more. */
    if (engine->worker.number != 0)
        (void)engine->broker->ops->worker_leave(engine->broker, engine->worker.number);
    weft_beat_deinit(engine);
    weft_progress_deinit(engine);
    weft_table_deinit(&engine->handlers);
    weft_table_deinit(&engine->jobs);
    weft_table_deinit(&engine->waiters);
    weft_stuck_close(engine->stuck);
    free(engine->handler_nodes);
    free(engine->tasks);
    free(engine->settlements);
    free(engine->settling);
    free(engine->events);
    free(engine);
}

/* ---- run -------------------------------------------------------------------------------- */

int weft_services_start(struct weft_engine *engine, struct weft_group *group, bool inline_run)
{
    int err = weft_beat_start(engine);
    for (int i = 0; i < WEFT_SERVICES && err == 0; i++) {
        bool cares = i == WEFT_SERVICE_MAINTAIN || i == WEFT_SERVICE_KEEP;
        if ((cares && inline_run) || (i == WEFT_SERVICE_PUMP && !engine->pumped))
            continue;
        err = weft_service_start(&engine->services[i], group);
    }
    return err;
}

void weft_services_stop(struct weft_engine *engine, struct weft_group *group)
{
    weft_beat_stop(engine);
    for (int i = 0; i < WEFT_SERVICES; i++)
        weft_service_stop(&engine->services[i]);
    (void)weft_group_wait(group);
}

static int start_consumers(struct weft_engine *engine, struct weft_group *group)
{
    int err = 0;
    for (size_t i = 0; i < engine->consumers_count && err == 0; i++) {
        err = weft_service_start(&engine->consumers[i].starter, group);
        if (err == 0)
            err = weft_service_start(&engine->consumers[i].claimer, group);
    }
    return err;
}

/* From the inside out: who claims and who runs jobs; then, because each of those still has to be
 * settled, the settler; then all that jobs need while they run and are settled. */
int weft_engine_run(struct weft_engine *engine)
{
    const struct weft_group_options supervise = {.policy = WEFT_SUPERVISE};
    struct weft_group services, settling, working;
    int err = engine->occupied ? -EBUSY : weft_group_init(&services, &supervise);
    if (err == 0)
        err = weft_group_init(&settling, &supervise);
    if (err == 0)
        err = weft_group_init(&working, &supervise);
    if (err)
        return err; /* -EPERM of the first */
    engine->occupied = true;
    weft_settle_begin(engine); /* a drain may have come before */
    err = weft_services_start(engine, &services, false);
    if (err == 0)
        err = weft_service_start(&engine->settler, &settling);
    if (err == 0)
        err = start_consumers(engine, &working);
    if (err == 0) {
        engine->running = true;
        (void)weft_wake_wait(&engine->stopped, WEFT_FOREVER);
    }
    if (!engine->stopping)
        weft_engine_drain(engine, 0);
    (void)weft_group_wait(&working);
    engine->running = false;
    weft_settle_last(engine);
    (void)weft_group_wait(&settling);
    weft_services_stop(engine, &services);
    return err == -ECANCELED ? 0 : err; /* the caller was, before it began */
}

void weft_engine_drain(struct weft_engine *engine, int64_t grace_ns)
{
    int64_t deadline_ns = weft_time_after(weft_now(), grace_ns);
    engine->stopping = true;
    if (deadline_ns < engine->deadline_ns)
        engine->deadline_ns = deadline_ns;
    for (size_t i = 0; i < engine->consumers_count; i++) {
        weft_service_stop(&engine->consumers[i].claimer);
        weft_wake_post(&engine->consumers[i].start_wake);
    }
    weft_wake_post(&engine->timers_wake);
    weft_wake_post(&engine->stopped);
}

void weft_engine_counts(const struct weft_engine *engine, struct weft_engine_counts *ret_counts)
{
    struct weft_engine_counts counts = engine->counts;
    counts.consumers = (unsigned)engine->consumers_count;
    counts.stuck = weft_stuck_count(engine->stuck);
    counts.running = engine->inline_consumer.running;
    for (size_t i = 0; i < engine->consumers_count; i++) {
        const struct weft_consumer *consumer = &engine->consumers[i];
        counts.places += consumer->concurrency;
        counts.running_of[i] = consumer->running;
        counts.running += consumer->running;
    }
    counts.broker_errors += weft_beat_failures(engine);
    *ret_counts = counts;
}
