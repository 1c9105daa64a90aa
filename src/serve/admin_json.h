/* SPDX-License-Identifier: MIT
 * admin_json.h - what people and workers say of queues, schedules and themselves: bodies of
 * PATCH /v1/queues/{queue}, PUT /v1/crons/{name}, POST and PUT /v1/workers.
 *
 * Each function reads a body into a struct that keeps what this header says.
 * Return   0; -EINVAL (body), -ENOMEM, with *ret_refusal set
 * Threads  any; never suspend. Need some 12 KiB of stack */
#ifndef WEFT_SERVE_ADMIN_JSON_H
#define WEFT_SERVE_ADMIN_JSON_H

#include <base/arena.h>
#include <job/broker.h>
#include <serve/refusal.h>

#define WEFT_QUEUE_RATE_MAX 1000000000 /* per second */
#define WEFT_QUEUE_RATE_MIN 0.000001

struct weft_queue_change {
    struct weft_queue_settings settings; /* as they are to be, as far as they were given */
    unsigned given;                      /* a bit for each; see admin_json.c */
};

int weft_queue_change_parse(struct weft_queue_change *ret_change, const char *body, size_t len,
                            struct weft_refusal *ret_refusal);
/* Change what was given. */
void weft_queue_change_apply(const struct weft_queue_change *change,
                             struct weft_queue_settings *settings);

struct weft_cron_request {
    const char *schedule, *zone, *missed; /* schedule is not looked at; zone, missed: NULL or
                                             "skip", "once", "all" */
    bool paused;
    const char *job; /* JSON as it came: one job that can be put in at any time */
    struct weft_arena arena;
};

/* To be given to weft_cron_request_deinit when it returns 0. */
int weft_cron_request_parse(struct weft_cron_request *ret_request, const char *body, size_t len,
                            struct weft_refusal *ret_refusal);
void weft_cron_request_deinit(struct weft_cron_request *request);

/* name, host, pid, version, queues, concurrency. */
int weft_worker_join_parse(struct weft_worker_info *ret_worker, const char *body, size_t len,
                           struct weft_refusal *ret_refusal);
/* concurrency, running, done. */
int weft_worker_beat_parse(struct weft_worker_info *ret_worker, const char *body, size_t len,
                           struct weft_refusal *ret_refusal);

#endif
