/* SPDX-License-Identifier: MIT
 * api.h - the HTTP interface of the service: requests in, jobs and answers out.
 *
 * The paths and keys are a contract with programs that exist (DESIGN section 7). */
#ifndef WEFT_SERVE_API_H
#define WEFT_SERVE_API_H

#include <job/engine.h>
#include <job/wake.h>
#include <serve/settings.h>
#include <weft/http_server.h>

struct weft_api {
    const struct weft_serve_options *options; /* for the log */
    const struct weft_serve_settings *settings;
    struct weft_broker *broker;
    struct weft_engine *engine;
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

extern const struct weft_http_route weft_api_routes[];
extern const size_t weft_api_routes_count;

#endif
