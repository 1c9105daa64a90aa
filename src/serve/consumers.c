/* SPDX-License-Identifier: MIT
 * consumers.c - see consumers.h. */
#include <serve/consumers.h>

#include <base/hash.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX     "process-"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define NAME_BYTES 24

static const struct weft_consumer_queue every_other = {.name = "*"};

int weft_consumers_worker_of(const char *queue)
{
    if (strncmp(queue, PREFIX, PREFIX_LEN) != 0 || !queue[PREFIX_LEN])
        return -1;
    size_t digits = strspn(queue + PREFIX_LEN, "0123456789");
    if (queue[PREFIX_LEN + digits] || digits > 5 || (digits > 1 && queue[PREFIX_LEN] == '0'))
        return -1;
    return (int)strtol(queue + PREFIX_LEN, NULL, 10);
}

/* A pause that somebody asked for outlives a restart; the size is this server's. */
static int bound_queue(struct weft_broker *broker, const char *name, uint64_t size_max)
{
    struct weft_queue_info info;
    int err = broker->ops->queue_find(broker, name, &info);
    if (err && err != -ENOENT)
        return err;
    struct weft_queue_settings settings = {0};
    if (!err)
        settings = info.settings;
    if (!err && settings.size_max == size_max)
        return 0;
    settings.size_max = size_max;
    return broker->ops->queue_set(broker, name, &settings);
}

/* How many workers' queues there are: those of now, or more if the database has more. */
static int count_queues(struct weft_broker *broker, unsigned workers, unsigned *ret_count)
{
    struct weft_queue_info *queues = calloc(WEFT_QUEUES_MAX, sizeof *queues);
    if (!queues)
        return -ENOMEM;
    size_t count = 0;
    unsigned total = workers;
    int err = broker->ops->queues(broker, queues, WEFT_QUEUES_MAX, &count);
    for (size_t i = 0; !err && i < count && i < WEFT_QUEUES_MAX; i++) {
        int worker = weft_consumers_worker_of(queues[i].name);
        if (worker >= (int)total && worker < (int)WEFT_QUEUES_MAX)
            total = (unsigned)worker + 1;
    }
    free(queues);
    if (!err)
        *ret_count = total;
    return err;
}

/* Worker w serves w, w + workers, w + 2 x workers ... One block holds the queues of the first
 * worker, then those of the second and so on, then the names. */
static int assign_queues(struct weft_consumers *consumers, unsigned total)
{
    unsigned workers = consumers->workers;
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): there are as many as workers */
    consumers->queues = calloc(total, sizeof *consumers->queues + NAME_BYTES);
    if (!consumers->queues)
        return -ENOMEM;
    char *names = (char *)(consumers->queues + total);
    unsigned at = 0;
    for (unsigned worker = 0; worker < workers; worker++) {
        struct weft_consumer_options *options = &consumers->options[worker];
        options->queues = &consumers->queues[at];
        for (unsigned number = worker; number < total; number += workers, at++) {
            char *name = names + (size_t)at * NAME_BYTES;
            (void)snprintf(name, NAME_BYTES, PREFIX "%u", number);
            consumers->queues[at].name = name;
            options->queues_count++;
        }
        options->name = options->queues[0].name;
    }
    return 0;
}

int weft_consumers_init(struct weft_consumers *consumers, struct weft_broker *broker,
                        const struct weft_serve_settings *settings)
{
    *consumers = (struct weft_consumers){.workers = settings->workers};
    unsigned total = 0;
    int err = count_queues(broker, settings->workers, &total);
    if (!err)
        err = assign_queues(consumers, total);
    for (unsigned i = 0; !err && i < settings->workers; i++) {
        consumers->options[i].concurrency = settings->concurrency;
        err = bound_queue(broker, weft_consumers_queue(consumers, i), settings->queue_size);
    }
    consumers->options[settings->workers] = (struct weft_consumer_options){
        .name = "general",
        .queues = &every_other,
        .queues_count = 1,
        .concurrency = settings->job_concurrency,
    };
    for (unsigned i = 0; !err && i < settings->workers; i++)
        (void)weft_consumers_waiting(consumers, broker, i);
    return err;
}

void weft_consumers_release(struct weft_consumers *consumers)
{
    free(consumers->queues);
    consumers->queues = NULL;
}

const char *weft_consumers_queue(const struct weft_consumers *consumers, unsigned worker)
{
    return consumers->options[worker].queues[0].name;
}

static uint64_t waiting_in(struct weft_broker *broker, const char *queue)
{
    struct weft_queue_info info;
    if (broker->ops->queue_find(broker, queue, &info))
        return 0;
    return weft_job_states_waiting(info.jobs);
}

uint64_t weft_consumers_waiting(struct weft_consumers *consumers, struct weft_broker *broker,
                                unsigned worker)
{
    const struct weft_consumer_options *options = &consumers->options[worker];
    uint64_t total = consumers->waiting[worker] = waiting_in(broker, options->queues[0].name);
    for (size_t i = 1; i < options->queues_count; i++)
        total += waiting_in(broker, options->queues[i].name);
    return total;
}

/* What was last heard may be old: ask again before somebody is sent away. */
static bool has_room(struct weft_consumers *consumers, struct weft_broker *broker, unsigned worker,
                     uint64_t queue_size)
{
    if (consumers->waiting[worker] < queue_size)
        return true;
    (void)weft_consumers_waiting(consumers, broker, worker);
    return consumers->waiting[worker] < queue_size;
}

int weft_consumers_route(struct weft_consumers *consumers, struct weft_broker *broker,
                         const struct weft_engine *engine, const struct weft_uuid *id,
                         uint64_t queue_size)
{
    struct weft_engine_counts counts;
    weft_engine_counts(engine, &counts);
    unsigned workers = consumers->workers;
    unsigned first = (unsigned)(weft_hash(id->bytes, sizeof id->bytes) % workers);
    for (unsigned i = 0; i < workers; i++) {
        unsigned worker = (first + i) % workers;
        if (counts.running_of[worker] < consumers->options[worker].concurrency &&
            consumers->waiting[worker] == 0)
            return (int)worker;
    }
    for (unsigned i = 0; i < workers; i++) {
        unsigned worker = (first + i) % workers;
        if (has_room(consumers, broker, worker, queue_size))
            return (int)worker;
    }
    return -1;
}
