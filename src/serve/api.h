/* SPDX-License-Identifier: MIT
 * api.h - the HTTP interface of the service: requests in, jobs and answers out.
 *
 *   api.c          who is let in, health, the table of routes
 *   api_error.c    what errors of the store and the engine become
 *   api_body.c     bodies in; what they say is read by job_json.c, work_json.c and admin_json.c
 *   api_json.c     JSON out
 *   api_process.c  the queue service of the seed
 *   api_submit.c   POST /v1/jobs: jobs in
 *   api_job.c      /v1/jobs, /v1/flows: how jobs are, and what is wanted of them
 *   api_queue.c    /v1/queues
 *   api_work.c     /v1/lease, /v1/settle, /v1/extend: workers in any language
 *   api_worker.c   /v1/workers
 *   api_cron.c     /v1/crons
 *   api_event.c    /v1/events
 *   api_stats.c    /v1/stats, /v1/audit, /metrics, /openapi.json */
#ifndef WEFT_SERVE_API_H
#define WEFT_SERVE_API_H

#include <job/engine.h>
#include <job/scheduler.h>
#include <job/wake.h>
#include <serve/consumers.h>
#include <serve/settings.h>
#include <weft/http_server.h>

/* A route, and what is asked of a request before its body is read.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order in which it is read */
struct weft_api_route {
    struct weft_http_route http;
    unsigned may;      /* enum weft_may: what its token must be for; 0: nobody needs one */
    const char *query; /* the parameters it knows, between spaces; NULL: others do not matter */
    bool lines;        /* its body may be JSON line by line */
};

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
    const struct weft_api_route **specs; /* of each of the routes */
    size_t routes_count;
    unsigned streams;                /* of events, under way */
    struct weft_mutex settings_turn; /* a queue's settings are read, changed and stored by one
                                        request after the other */

    struct weft_queue_metrics metrics; /* the row to be recorded next, if due */
    bool metrics_due, metrics_over;    /* over: the recorder ends when nothing is due */
    struct weft_wake metrics_wake;
};

/* The fiber that records what /queue-status shows; arg is the api. */
int weft_api_recorder_main(void *arg);

/* The tables of each file; the last one has no method. */
extern const struct weft_api_route weft_api_process_routes[];
extern const struct weft_api_route weft_api_submit_routes[];
extern const struct weft_api_route weft_api_job_routes[];
extern const struct weft_api_route weft_api_queue_routes[];
extern const struct weft_api_route weft_api_work_routes[];
extern const struct weft_api_route weft_api_worker_routes[];
extern const struct weft_api_route weft_api_cron_routes[];
extern const struct weft_api_route weft_api_event_routes[];
extern const struct weft_api_route weft_api_stats_routes[];

/* Put the tables together. Returns 0, -ENOMEM, -EPERM (outside a runtime). Release them in every
 * case. */
int weft_api_init(struct weft_api *api);
void weft_api_release(struct weft_api *api);

/* What every request must show before its body is read: a token that may do this, parameters that
 * are known, and a type that is understood. */
int weft_api_admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                   void *context);

/* The name of who is calling, for the audit log; valid while the service runs. */
const char *weft_api_who(const struct weft_api *api, const struct weft_http_exchange *exchange);

/* Write down what somebody did by hand. detail may be NULL. What cannot be written is logged. */
void weft_api_audit(struct weft_api *api, const struct weft_http_exchange *exchange,
                    const char *action, const char *target, const char *detail);

/* ---- parameters: false, and the request is answered, when they are wrong ------------------ */

/* A whole number from 1 to max in the query; absent leaves it. */
bool weft_api_query_count(struct weft_http_exchange *exchange, const char *name,
                          uint64_t *ret_value, uint64_t max);
/* "true", "1" or nothing behind the name; "false" or "0". Absent leaves it. */
bool weft_api_query_bool(struct weft_http_exchange *exchange, const char *name, bool *ret_value);
/* A name, as jobs and queues have them. Absent leaves it. */
bool weft_api_query_name(struct weft_http_exchange *exchange, const char *name,
                         const char **ret_value);
/* An id. Absent leaves it. what: "a job's id" */
bool weft_api_query_id(struct weft_http_exchange *exchange, const char *name,
                       struct weft_uuid *ret_id, const char *what);
/* The id in the path; the route has checked it. */
struct weft_uuid weft_api_path_id(const struct weft_http_exchange *exchange);

/* ---- errors: api_error.c ------------------------------------------------------------------ */

/* One line in the log when storing begins to fail, one when it works again: after calls that
 * change something with what they returned. */
void weft_api_note_store(struct weft_api *api, int err);

/* Answer that a call of the store or the engine failed, and why. Notes it. */
void weft_api_refuse(struct weft_api *api, struct weft_http_exchange *exchange, int err);

/* The same for a job that was not accepted. */
void weft_api_refuse_job(struct weft_http_exchange *exchange, int err);
/* The status and the sentence that stand for such an error. */
int weft_api_status_of(int err);
const char *weft_api_detail_of(int err);

/* 503 with Retry-After. */
void weft_api_reply_busy(struct weft_http_exchange *exchange, const char *retry_after_s,
                         const char *detail);

/* The row that shows how the queues are now. */
struct weft_queue_metrics weft_api_metrics(struct weft_api *api);

#endif
