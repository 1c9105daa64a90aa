/* SPDX-License-Identifier: MIT
 * api.h - the HTTP interface of the service: requests in, jobs and answers out.
 *
 *   api.c          who is let in, what becomes of errors, health, the table of routes
 *   api_process.c  the queue service of the seed
 *   api_job.c      /v1/jobs, /v1/flows
 *   api_queue.c    /v1/queues, /v1/workers, /v1/stats, /v1/audit
 *   api_work.c     /v1/lease, /v1/settle, /v1/extend: workers in any language
 *   api_cron.c     /v1/crons
 *   api_event.c    /v1/events
 *   api_metrics.c  /metrics, /openapi.json
 *   api_body.c     JSON in
 *   api_json.c     JSON out */
#ifndef WEFT_SERVE_API_H
#define WEFT_SERVE_API_H

#include <job/engine.h>
#include <job/scheduler.h>
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
    struct weft_scheduler *scheduler;
    uint64_t completed_before; /* by earlier servers on this database */
    bool draining;             /* /readyz says no */
    int store_err;             /* why the last job could not be stored; 0 when it could */
    struct weft_http_route *routes;
    unsigned *may; /* of each route */
    size_t routes_count;
    unsigned streams; /* of events, under way */

    struct weft_queue_metrics metrics; /* the row to be recorded next, if due */
    bool metrics_due, metrics_over;    /* over: the recorder ends when nothing is due */
    struct weft_wake metrics_wake;
};

/* The fiber that records what /queue-status shows; arg is the api. */
int weft_api_recorder_main(void *arg);

/* A route, and what whoever calls it may have to do; 0: nobody needs a token. */
struct weft_api_route {
    struct weft_http_route http;
    unsigned may; /* enum weft_may */
};

/* The tables of each file; the last one has no method. */
extern const struct weft_api_route weft_api_process_routes[];
extern const struct weft_api_route weft_api_job_routes[];
extern const struct weft_api_route weft_api_queue_routes[];
extern const struct weft_api_route weft_api_work_routes[];
extern const struct weft_api_route weft_api_cron_routes[];
extern const struct weft_api_route weft_api_event_routes[];
extern const struct weft_api_route weft_api_metrics_routes[];

/* Put the tables together. Returns 0, -ENOMEM. Release them in every case. */
int weft_api_init(struct weft_api *api);
void weft_api_release(struct weft_api *api);

/* What every request must show before its body is read: a token that may do this, and a type that
 * is understood. */
int weft_api_admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                   void *context);

/* The name of who is calling, for the audit log; valid while the service runs. */
const char *weft_api_who(const struct weft_api *api, const struct weft_http_exchange *exchange);

/* Write down what somebody did by hand. detail may be NULL. What cannot be written is logged. */
void weft_api_audit(struct weft_api *api, const struct weft_http_exchange *exchange,
                    const char *action, const char *target, const char *detail);

/* Refuse query parameters that nobody knows: names between spaces, "" for none. Answers then. */
bool weft_api_check_query(struct weft_http_exchange *exchange, const char *known);

/* A whole number from 1 to max in the query; absent leaves it. False: answered. */
bool weft_api_query_count(struct weft_http_exchange *exchange, const char *name,
                          uint64_t *ret_value, uint64_t max);
/* "true", "1" or nothing behind the name; "false" or "0". False: answered. */
bool weft_api_query_bool(struct weft_http_exchange *exchange, const char *name, bool *ret_value);

/* One line in the log when storing begins to fail, one when it works again. */
void weft_api_note_store(struct weft_api *api, int err);
/* Answer that a job was not accepted, or that the store failed, and why. */
void weft_api_refuse_job(struct weft_http_exchange *exchange, int err);
/* The status and the sentence that stand for such an error. */
int weft_api_status_of(int err);
const char *weft_api_detail_of(int err);
/* The row that shows how the queues are now. */
struct weft_queue_metrics weft_api_metrics(struct weft_api *api);

#endif
