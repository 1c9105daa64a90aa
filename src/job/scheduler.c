/* SPDX-License-Identifier: MIT
 * scheduler.c - see scheduler.h. */
#include <job/scheduler.h>

#include <base/time.h>
#include <job/cron.h>
#include <job/zone.h>
#include <weft/offload.h>
#include <weft/runtime.h>
#include <weft/sync.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_AT_ONCE 64
#define ROUNDS_MAX   1024 /* reads in a row without a wait */
#define RETRY_NS     WEFT_SEC
#define ID_TRIES     12
#define AGAIN_US     (INT64_C(3600) * 1000000) /* a schedule that cannot be read is tried again */

struct weft_scheduler {
    struct weft_scheduler_options options;
    struct weft_event changed;
    struct weft_random random;
    struct weft_uuid_maker ids;
    struct weft_scheduler_counts counts;
};

int weft_scheduler_open(struct weft_scheduler **ret_scheduler,
                        const struct weft_scheduler_options *options)
{
    if (!options->broker || !(options->broker->ops->capabilities & WEFT_BROKER_MANAGES) ||
        !options->make || options->grace_us < 0 || options->poll_ns < 0)
        return -EINVAL;
    struct weft_scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (!scheduler)
        return -ENOMEM;
    scheduler->options = *options;
    if (!options->grace_us)
        scheduler->options.grace_us = INT64_C(60) * 1000000;
    if (!options->poll_ns)
        scheduler->options.poll_ns = 10 * WEFT_SEC;
    uint64_t seed = options->seed;
    if (!seed && getentropy(&seed, sizeof seed) < 0)
        seed = (uint64_t)weft_now();
    weft_random_seed(&scheduler->random, seed);
    weft_uuid_maker_init(&scheduler->ids, &scheduler->random);
    int err = weft_event_init(&scheduler->changed, WEFT_LOCAL);
    if (err) {
        free(scheduler);
        return err;
    }
    *ret_scheduler = scheduler;
    return 0;
}

void weft_scheduler_close(struct weft_scheduler *scheduler)
{
    free(scheduler);
}

void weft_scheduler_poke(struct weft_scheduler *scheduler)
{
    (void)weft_event_set(&scheduler->changed);
}

void weft_scheduler_counts(const struct weft_scheduler *scheduler,
                           struct weft_scheduler_counts *ret_counts)
{
    *ret_counts = scheduler->counts;
}

static void tell(const struct weft_scheduler *scheduler, enum weft_log_level level,
                 const struct weft_cron_entry *entry, const struct weft_job *job, const char *event,
                 const char *text)
{
    const struct weft_engine_log *log = scheduler->options.log;
    char line[WEFT_JOB_NAME_MAX + WEFT_SCHEDULE_ERROR_BYTES + 8];
    if (!log)
        return;
    (void)snprintf(line, sizeof line, "%s: %s", entry ? entry->name : "schedules", text);
    log->write(log->context, level, job, event, line);
}

/* --- times: on an offload thread, because of the zone's file and of long pauses --- */

struct plan {
    const char *schedule, *zone, *zones;
    enum weft_cron_missed missed;
    int64_t created_us, last_us, now_us, grace_us;
    struct weft_cron_due due;
    char error[WEFT_SCHEDULE_ERROR_BYTES];
};

static int open_zone(struct plan *plan, struct weft_zone **ret_zone)
{
    *ret_zone = NULL;
    if (!plan->zone || !plan->zone[0])
        return 0;
    int err = weft_zone_open(ret_zone, plan->zone, plan->zones);
    if (err == -ENOENT)
        (void)snprintf(plan->error, sizeof plan->error, "there is no time zone %.100s", plan->zone);
    else if (err)
        (void)snprintf(plan->error, sizeof plan->error, "the time zone %.100s cannot be read: %s",
                       plan->zone, weft_strerror(err));
    return err;
}

static int plan_on_thread(void *arg)
{
    struct plan *plan = arg;
    struct weft_cron cron;
    struct weft_zone *zone;
    int err = weft_cron_parse(&cron, plan->schedule, strlen(plan->schedule), plan->error,
                              sizeof plan->error);
    if (!err)
        err = open_zone(plan, &zone);
    if (err)
        return err;
    cron.anchor_us = plan->created_us;
    weft_cron_due(&cron, zone, plan->missed, plan->last_us, plan->now_us, plan->grace_us,
                  &plan->due);
    weft_zone_close(zone);
    return 0;
}

int weft_schedule_next(const char *schedule, const char *zone, const char *zones,
                       int64_t created_us, int64_t after_us, int64_t *ret_next_us, char *error,
                       size_t error_bytes)
{
    struct plan plan = {.schedule = schedule,
                        .zone = zone,
                        .zones = zones,
                        .created_us = created_us,
                        .last_us = after_us,
                        .now_us = after_us};
    int err = weft_offload(plan_on_thread, &plan);
    if (!err && plan.due.next_us == INT64_MAX) {
        err = -ERANGE;
        (void)snprintf(plan.error, sizeof plan.error, "the schedule never runs again");
    }
    if (!err)
        *ret_next_us = plan.due.next_us;
    else if (error_bytes > 0)
        (void)snprintf(error, error_bytes, "%s", plan.error[0] ? plan.error : weft_strerror(err));
    return err == -ENOENT ? -EINVAL : err;
}

static enum weft_cron_missed missed_of(const struct weft_cron_entry *entry)
{
    if (entry->missed && strcmp(entry->missed, "skip") == 0)
        return WEFT_CRON_SKIP;
    if (entry->missed && strcmp(entry->missed, "all") == 0)
        return WEFT_CRON_ALL;
    return WEFT_CRON_ONCE;
}

/* --- one schedule that is due --- */

/* The jobs of its runs. */
struct runs {
    size_t count;
    struct weft_scheduled_job *jobs;
    struct weft_enqueue *items;
};

static void drop_runs(struct runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        free(runs->jobs[i].memory);
    free(runs->jobs);
    free(runs->items);
}

static int make_run(struct weft_scheduler *scheduler, const struct weft_cron_entry *entry,
                    int64_t run_us, int64_t now_us, struct runs *runs, char *error)
{
    struct weft_scheduled_job *made = &runs->jobs[runs->count];
    int err = scheduler->options.make(scheduler->options.context, entry, run_us, made, error,
                                      WEFT_SCHEDULE_ERROR_BYTES);
    if (err)
        return err;
    made->job.created_us = now_us;
    made->job.run_at_us = weft_time_after(run_us, made->delay_us);
    made->job.expires_us =
        made->expires_in_us ? weft_time_after(made->job.run_at_us, made->expires_in_us) : 0;
    runs->items[runs->count++] = (struct weft_enqueue){
        .job = &made->job, .unique = made->job.unique_key ? &made->unique : NULL};
    return 0;
}

/* Jobs for all runs; none, with a line in the log, when the job request is wrong. */
static int make_runs(struct weft_scheduler *scheduler, const struct weft_cron_entry *entry,
                     const struct plan *plan, struct runs *runs)
{
    size_t count = plan->due.runs_len;
    if (count == 0)
        return 0;
    runs->jobs = calloc(count, sizeof *runs->jobs);
    runs->items = calloc(count, sizeof *runs->items);
    if (!runs->jobs || !runs->items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        char error[WEFT_SCHEDULE_ERROR_BYTES] = "";
        int err = make_run(scheduler, entry, plan->due.runs_us[i], plan->now_us, runs, error);
        if (err == -ECANCELED || err == -ENOMEM)
            return err;
        if (err) {
            scheduler->counts.refused++;
            tell(scheduler, WEFT_LOG_ERROR, entry, NULL, "schedule_refused",
                 error[0] ? error : weft_strerror(err));
        }
    }
    return 0;
}

static void count_runs(struct weft_scheduler *scheduler, const struct weft_cron_entry *entry,
                       const struct plan *plan, const struct runs *runs)
{
    for (size_t i = 0; i < runs->count; i++) {
        const struct weft_enqueue *item = &runs->items[i];
        if (item->err == WEFT_EDUPLICATE) {
            scheduler->counts.duplicates++;
            tell(scheduler, WEFT_LOG_INFO, entry, NULL, "schedule_duplicate",
                 "the run is left out: an earlier job with its unique key is there");
        } else if (item->err) {
            scheduler->counts.refused++;
            tell(scheduler, WEFT_LOG_ERROR, entry, NULL, "schedule_refused",
                 weft_strerror(item->err));
        } else {
            scheduler->counts.put_in++;
            tell(scheduler, WEFT_LOG_INFO, entry, item->job, "schedule_run", "put in");
        }
    }
    if (plan->due.runs_len == 0) {
        scheduler->counts.missed++;
        tell(scheduler, WEFT_LOG_WARNING, entry, NULL, "schedule_missed",
             "nothing ran at its time: on with the next one");
    } else if (plan->due.dropped) {
        tell(scheduler, WEFT_LOG_WARNING, entry, NULL, "schedule_missed",
             "more runs were missed than are made up for: the oldest are left out");
    }
}

/* What a schedule's runs are. One that cannot be read, as when its zone's file is not there, has
 * none, and is looked at again an hour later. */
static int make_plan(struct weft_scheduler *scheduler, const struct weft_cron_entry *entry,
                     struct plan *plan)
{
    *plan =
        (struct plan){.schedule = entry->schedule,
                      .zone = entry->zone,
                      .zones = scheduler->options.zones,
                      .missed = missed_of(entry),
                      .created_us = entry->created_us,
                      .last_us = entry->next_us - 1,
                      .now_us = scheduler->options.broker->ops->now_us(scheduler->options.broker),
                      .grace_us = scheduler->options.grace_us};
    int err = weft_offload(plan_on_thread, plan);
    if (!err || !plan->error[0])
        return err;
    scheduler->counts.errors++;
    tell(scheduler, WEFT_LOG_ERROR, entry, NULL, "schedule_unreadable", plan->error);
    plan->due = (struct weft_cron_due){.next_us = plan->now_us + AGAIN_US};
    return 0;
}

/* Others make ids as well, and somebody who puts in very many uses up those of some milliseconds:
 * then with ids from later and later ones. */
static int fire_with_ids(struct weft_scheduler *scheduler, struct weft_cron_fire *fire,
                         struct runs *runs, int64_t now_us)
{
    struct weft_broker *broker = scheduler->options.broker;
    int err = -EEXIST;
    for (int try = 0; err == -EEXIST && try < ID_TRIES; try++) {
        int64_t id_ms = now_us / 1000 + (INT64_C(1) << try) - 1;
        for (size_t i = 0; i < runs->count; i++)
            runs->jobs[i].job.id = weft_uuid_make(&scheduler->ids, id_ms);
        err = broker->ops->cron_fire(broker, fire);
    }
    return err;
}

/* Put in what is due of one schedule, and move it on.
 * Returns  0, also when another scheduler was faster; an error: it is still due */
static int fire(struct weft_scheduler *scheduler, const struct weft_cron_entry *entry)
{
    struct plan *plan = malloc(sizeof *plan);
    struct runs runs = {0};
    if (!plan)
        return -ENOMEM;
    int err = make_plan(scheduler, entry, plan);
    if (!err)
        err = make_runs(scheduler, entry, plan, &runs);
    if (!err) {
        struct weft_cron_fire fire = {.name = entry->name,
                                      .planned_us = entry->next_us,
                                      .next_us = plan->due.next_us,
                                      .batch = {.items = runs.items, .count = runs.count}};
        err = fire_with_ids(scheduler, &fire, &runs, plan->now_us);
        if (!err && !plan->error[0])
            count_runs(scheduler, entry, plan, &runs);
    }
    drop_runs(&runs);
    free(plan);
    return err == -ESTALE || err == -ENOENT ? 0 : err;
}

/* --- all of them --- */

/* One read of the schedules at the front of the list. */
struct round {
    size_t max;           /* how many are read */
    size_t fired, failed; /* of those that are due */
    int64_t wait_us;      /* until the next one is due */
    bool more;            /* times have moved on, or there was no end in sight: read again */
};

static int fire_entries(struct weft_scheduler *scheduler, const struct weft_cron_entry *entries,
                        size_t count, struct round *round)
{
    struct weft_broker *broker = scheduler->options.broker;
    size_t i = 0;
    for (; i < count && !entries[i].paused; i++) {
        int64_t now_us = broker->ops->now_us(broker);
        if (entries[i].next_us > now_us) {
            round->wait_us = entries[i].next_us - now_us;
            break;
        }
        int err = fire(scheduler, &entries[i]);
        if (err == -ECANCELED)
            return err;
        if (!err) {
            round->fired++;
            continue;
        }
        scheduler->counts.errors++;
        if (round->failed++ == 0)
            tell(scheduler, WEFT_LOG_WARNING, &entries[i], NULL, "schedule_delayed",
                 weft_strerror(err));
    }
    round->more = round->fired > 0 || i == round->max;
    return 0;
}

static int fire_round(struct weft_scheduler *scheduler, struct round *round)
{
    struct weft_broker *broker = scheduler->options.broker;
    struct weft_cron_entry *entries;
    size_t count;
    int err = broker->ops->crons(broker, &entries, round->max, &count);
    if (!err) {
        err = fire_entries(scheduler, entries, count, round);
        free(entries);
    } else if (err != -ECANCELED) {
        scheduler->counts.errors++;
        tell(scheduler, WEFT_LOG_WARNING, NULL, NULL, "schedule_delayed", weft_strerror(err));
        round->failed = 1;
        err = 0;
    }
    return err;
}

/* Everything that is due. Those that fail stay at the front of the list: as many more, and some,
 * are read, so that they are in nobody's way; in few rounds, because each tries them again. */
static int fire_all(struct weft_scheduler *scheduler, int64_t *ret_wait_ns)
{
    struct round round = {.more = true};
    for (int rounds = 0; round.more && rounds < ROUNDS_MAX; rounds++) {
        round = (struct round){.max = READ_AT_ONCE + 2 * round.failed, .wait_us = INT64_MAX};
        int err = fire_round(scheduler, &round);
        if (err)
            return err;
    }
    int64_t wait_ns = scheduler->options.poll_ns;
    if ((round.failed > 0 || round.more) && wait_ns > RETRY_NS)
        wait_ns = RETRY_NS;
    if (round.wait_us < wait_ns / 1000)
        wait_ns = round.wait_us * 1000;
    *ret_wait_ns = wait_ns;
    return 0;
}

int weft_scheduler_run(struct weft_scheduler *scheduler)
{
    int err = 0;
    while (err != -ECANCELED) {
        int64_t wait_ns;
        (void)weft_event_clear(&scheduler->changed);
        err = fire_all(scheduler, &wait_ns);
        if (!err)
            err = weft_event_wait(&scheduler->changed, weft_now() + wait_ns);
    }
    return err;
}
