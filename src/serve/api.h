/* SPDX-License-Identifier: MIT
 * api.h - the HTTP interface of the service: requests in, jobs and answers out.
 *
 *   api.c          who is let in, what becomes of errors, health, the table of routes
 *   api_process.c  the queue service of the seed
 *   api_json.c     what answers are made of */
#ifndef WEFT_SERVE_API_H
#define WEFT_SERVE_API_H

#include <job/engine.h>
#include <job/wake.h>
#include <serve/consumers.h>
#include <serve/settings.h>
#include <weft/http_server.h>

struct weft_api {
    const struct weft_serve_options *options; /* for the log */
    const struct weft_serve_settings *settings;
    struct weft_broker *broker;
    struct weft_engine *engine;
    struct weft_consumers consumers;
    uint64_t completed_before; /* by earlier servers on this database */
    bool draining;             /* /readyz says no */
    int store_err;             /* why the last job could not be stored; 0 when it could */

    struct weft_queue_metrics metrics; /* the row to be recorded next, if due */
    bool metrics_due, metrics_over;    /* over: the recorder ends when nothing is due */
    struct weft_wake metrics_wake;
};

/* The fiber that records what /queue-status shows; arg is the api. */
int weft_api_recorder_main(void *arg);

/* What every request must show before its body is read: a token, and a type that is understood. */
int weft_api_admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                   void *context);

/* One line in the log when storing begins to fail, one when it works again. */
void weft_api_note_store(struct weft_api *api, int err);
/* Answer that a job was not accepted, and why. */
void weft_api_refuse_job(struct weft_http_exchange *exchange, int err);
/* The row that shows how the queues are now. */
struct weft_queue_metrics weft_api_metrics(struct weft_api *api);

void weft_api_post_process(struct weft_http_exchange *exchange, void *context);
void weft_api_get_status(struct weft_http_exchange *exchange, void *context);
void weft_api_get_queue_status(struct weft_http_exchange *exchange, void *context);
void weft_api_get_database_stats(struct weft_http_exchange *exchange, void *context);
void weft_api_get_thread_efficiency(struct weft_http_exchange *exchange, void *context);

extern const struct weft_http_route weft_api_routes[];
extern const size_t weft_api_routes_count;

#endif
