/* SPDX-License-Identifier: MIT
 * load_result.c - see load_result.h. */
#include <base/time.h>
#include <lab/load_result.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_data(struct weft_load_data *data)
{
    for (size_t i = 0; data->parts && i < data->parts_count; i++)
        weft_load_tally_deinit(&data->parts[i]);
    for (size_t i = 0; data->texts && i < 2 * data->urls_count; i++)
        free(data->texts[i]);
    weft_load_tally_deinit(&data->total);
    free(data->parts);
    free(data->rows);
    free(data->urls);
    free(data->texts);
    free(data->seconds);
    free(data->url);
    free(data);
}

void weft_load_result_release(struct weft_load_result *result)
{
    if (result->data)
        free_data(result->data);
    *result = (struct weft_load_result){0};
}

/* ---- parts ----------------------------------------------------------------------------- */

static int add_parts(struct weft_load_data *data, const struct weft_load_shared *shared,
                     const struct weft_load_shard *shards, unsigned shards_count)
{
    data->parts_count = shared->schedule.count;
    data->parts = calloc(data->parts_count, sizeof data->parts[0]);
    int err = data->parts ? weft_load_tally_init(&data->total) : -ENOMEM;
    for (size_t i = 0; i < data->parts_count && err == 0; i++) {
        err = weft_load_tally_init(&data->parts[i]);
        for (unsigned k = 0; k < shards_count && err == 0; k++)
            weft_load_tally_add(&data->parts[i], &shards[k].parts[i]);
        if (err == 0 && i > 0)
            weft_load_tally_add(&data->total, &data->parts[i]);
    }
    return err;
}

/* How long a part lasted: until its end, or that of the load when that came before. */
static int64_t length_of(const struct weft_load_schedule *schedule, unsigned part, int64_t end_ns)
{
    int64_t begin_ns = schedule->parts[part].begin_ns, next_ns = schedule->parts[part + 1].begin_ns;
    if (next_ns > end_ns)
        next_ns = end_ns;
    return next_ns > begin_ns ? next_ns - begin_ns : 0;
}

static double per_second(uint64_t count, int64_t length_ns)
{
    return length_ns > 0 ? (double)count * 1e9 / (double)length_ns : 0;
}

/* What was asked for; of a ramp, which may have been cut off, the mean. */
static double intended_per_s(const struct weft_load_step *step, uint64_t intended,
                             int64_t length_ns)
{
    bool ramp = step->from_per_s < step->to_per_s || step->from_per_s > step->to_per_s;
    return ramp ? per_second(intended, length_ns) : step->from_per_s;
}

/* end_ns is when the load ended, since its start. */
static int make_rows(struct weft_load_data *data, const struct weft_load_shared *shared,
                     int64_t end_ns)
{
    const struct weft_load_schedule *schedule = &shared->schedule;
    data->rows = calloc(data->parts_count, sizeof data->rows[0]);
    if (!data->rows)
        return -ENOMEM;
    for (unsigned i = 0; i < data->parts_count; i++) {
        const struct weft_load_part *part = &schedule->parts[i];
        int64_t length_ns = length_of(schedule, i, end_ns);
        uint64_t intended = weft_load_schedule_intended(schedule, i);
        data->rows[i] = (struct weft_load_step_row){
            .step = part->step,
            .begin_ns = part->begin_ns,
            .length_ns = length_ns,
            .counts = weft_load_tally_counts(&data->parts[i]),
            .intended = intended,
            .not_started = weft_load_schedule_left(schedule, i),
            .intended_per_s = schedule->open ? intended_per_s(&part->step, intended, length_ns) : 0,
            .succeeded_per_s = per_second(data->parts[i].in_time, length_ns),
        };
    }
    return 0;
}

/* ---- URLs ------------------------------------------------------------------------------ */

static int make_url(struct weft_load_data *data, const struct weft_load_shared *shared,
                    const struct weft_load_shard *shards, unsigned shards_count, size_t index)
{
    const struct weft_load_line *line = &shared->targets.items[index].line;
    struct weft_load_tally tally;
    char **texts = &data->texts[2 * index];
    int err = weft_load_tally_init(&tally);
    for (unsigned i = 0; i < shards_count && err == 0; i++)
        weft_load_tally_add(&tally, &shards[i].urls[index]);
    texts[0] = strdup(line->url);
    texts[1] = strdup(line->method);
    if (err == 0 && texts[0] && texts[1])
        data->urls[index] = (struct weft_load_url_row){
            .url = texts[0],
            .method = texts[1],
            .weight = line->weight,
            .counts = weft_load_tally_counts(&tally),
        };
    else
        err = -ENOMEM;
    weft_load_tally_deinit(&tally);
    return err;
}

static int make_urls(struct weft_load_data *data, const struct weft_load_shared *shared,
                     const struct weft_load_shard *shards, unsigned shards_count)
{
    size_t count = shared->targets.count;
    if (count == 1)
        return 0;
    data->urls = calloc(count, sizeof data->urls[0]);
    data->texts = calloc(2 * count, sizeof data->texts[0]);
    if (!data->urls || !data->texts)
        return -ENOMEM;
    data->urls_count = count;
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++)
        err = make_url(data, shared, shards, shards_count, i);
    return err;
}

/* ---- all of it ------------------------------------------------------------------------- */

static void fill_in(struct weft_load_result *result, const struct weft_load_shared *shared,
                    const struct weft_load_shard *shards, unsigned shards_count, int64_t end_ns)
{
    const struct weft_load_schedule *schedule = &shared->schedule;
    struct weft_load_data *data = result->data;
    int64_t warmup_ns = schedule->parts[1].begin_ns, intended_ns = 0;
    uint64_t intended = 0;
    result->total = weft_load_tally_counts(&data->total);
    result->elapsed_ns = end_ns > warmup_ns ? end_ns - warmup_ns : 0;
    result->requests_per_s = per_second(result->total.succeeded, result->elapsed_ns);
    for (unsigned i = 0; i < shards_count; i++) {
        result->bytes_read += shards[i].bytes_read;
        result->bytes_written += shards[i].bytes_written;
        result->resent += shards[i].resent;
        result->connects += shards[i].connects;
    }
    result->warmup = warmup_ns > 0 ? &data->rows[0] : NULL;
    result->steps = &data->rows[1];
    result->steps_count = data->parts_count - 1;
    for (size_t i = 0; i < result->steps_count; i++) {
        result->not_started += result->steps[i].not_started;
        intended += result->steps[i].intended;
        intended_ns += result->steps[i].length_ns;
    }
    result->intended_per_s = result->steps_count == 1 ? result->steps[0].intended_per_s
                                                      : per_second(intended, intended_ns);
    result->urls = data->urls;
    result->urls_count = data->urls_count;
    result->seconds = data->seconds;
    result->open_loop = schedule->open;
    result->warmup_ns = warmup_ns;
    result->pipeline = shared->pipeline;
    result->workers = shards_count;
    (void)snprintf(result->method, sizeof result->method, "%s",
                   shared->targets.items[0].line.method);
}

/* When the last request ended, since the start; an open loop whose last request was answered early
 * still lasted until its end. */
static int64_t end_of(const struct weft_load_shared *shared, const struct weft_load_shard *shards,
                      unsigned shards_count)
{
    const struct weft_load_schedule *schedule = &shared->schedule;
    int64_t end_ns = schedule->start_ns;
    for (unsigned i = 0; i < shards_count; i++) {
        if (shards[i].last_ns > end_ns)
            end_ns = shards[i].last_ns;
    }
    int64_t planned_ns =
        weft_time_after(schedule->start_ns, schedule->parts[schedule->count].begin_ns);
    bool by_time =
        schedule->open && schedule->next < schedule->parts[1].first + schedule->requests_max;
    bool stopped = schedule->end_ns < planned_ns;
    if ((by_time || stopped) && schedule->end_ns != WEFT_FOREVER && schedule->end_ns > end_ns)
        end_ns = schedule->end_ns;
    return end_ns - schedule->start_ns;
}

int weft_load_result_make(struct weft_load_result *ret_result,
                          const struct weft_load_shared *shared,
                          const struct weft_load_shard *shards, unsigned shards_count,
                          struct weft_load_watch *watch)
{
    int64_t end_ns = end_of(shared, shards, shards_count);
    struct weft_load_result result = {.data = calloc(1, sizeof *result.data)};
    if (!result.data)
        return -ENOMEM;
    int err = weft_load_watch_end(watch, shared->schedule.start_ns + end_ns);
    if (err == 0)
        err = add_parts(result.data, shared, shards, shards_count);
    if (err == 0)
        err = make_rows(result.data, shared, end_ns);
    if (err == 0)
        err = make_urls(result.data, shared, shards, shards_count);
    if (err == 0 && !(result.data->url = strdup(shared->targets.items[0].line.url)))
        err = -ENOMEM;
    if (err) {
        free_data(result.data);
        return err;
    }
    result.data->seconds = watch->rows;
    result.seconds_count = watch->rows_count;
    watch->rows = NULL;
    watch->rows_count = watch->rows_room = 0;
    fill_in(&result, shared, shards, shards_count, end_ns);
    *ret_result = result;
    return 0;
}
