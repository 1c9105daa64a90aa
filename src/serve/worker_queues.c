/* SPDX-License-Identifier: MIT
 * worker_queues.c - see worker_queues.h. */
#include <serve/worker_queues.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONCURRENCY     100u
#define CONCURRENCY_MAX 1000000u
#define WEIGHT_MAX      1000000u

__attribute__((format(printf, 3, 4))) static int refuse(char *error, size_t error_bytes,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error_bytes > 0)
        (void)vsnprintf(error, error_bytes, format, args);
    va_end(args);
    return -EINVAL;
}

static int check_queue(const struct weft_worker_queues_options *options, size_t index, char *error,
                       size_t error_bytes)
{
    const struct weft_work_queue *queue = &options->queues[index];
    if (!queue->name || !weft_job_name_is_valid(queue->name))
        return refuse(error, error_bytes,
                      "\"%.100s\" is no name of a queue: letters, digits and . _ : - make one",
                      queue->name ? queue->name : "");
    if (queue->weight > WEIGHT_MAX)
        return refuse(error, error_bytes, "the weight of the queue %s is more than %u", queue->name,
                      WEIGHT_MAX);
    for (size_t i = 0; i < index; i++) {
        if (strcmp(options->queues[i].name, queue->name) == 0)
            return refuse(error, error_bytes, "the queue %s is named twice", queue->name);
    }
    return 0;
}

static int check(const struct weft_worker_queues_options *options, char *error, size_t error_bytes)
{
    int err = 0;
    if (options->concurrency > CONCURRENCY_MAX)
        return refuse(error, error_bytes, "%s can have at most %u jobs under way at once",
                      options->who, CONCURRENCY_MAX);
    if (options->count > WEFT_WORK_QUEUES_MAX)
        return refuse(error, error_bytes, "%s can have at most %d queues", options->who,
                      WEFT_WORK_QUEUES_MAX);
    for (size_t i = 0; !err && i < options->count; i++)
        err = check_queue(options, i, error, error_bytes);
    return err;
}

int weft_worker_queues_init(struct weft_worker_queues *queues,
                            const struct weft_worker_queues_options *options, char *error,
                            size_t error_bytes)
{
    size_t count = options->count > 0 ? options->count : 1;
    int err = check(options, error, error_bytes);
    if (err)
        return err;
    queues->queues = calloc(count, sizeof *queues->queues);
    if (!queues->queues)
        return -ENOMEM;
    queues->queues[0].name = options->otherwise;
    for (size_t i = 0; i < options->count; i++)
        queues->queues[i] =
            (struct weft_consumer_queue){options->queues[i].name, options->queues[i].weight};
    queues->consumer = (struct weft_consumer_options){
        .name = "worker",
        .queues = queues->queues,
        .queues_count = count,
        .order = options->strict ? WEFT_ORDER_STRICT : WEFT_ORDER_WEIGHTED,
        .concurrency = options->concurrency ? options->concurrency : CONCURRENCY,
    };
    return 0;
}

void weft_worker_queues_release(struct weft_worker_queues *queues)
{
    free(queues->queues);
    queues->queues = NULL;
}
