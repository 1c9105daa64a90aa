/* SPDX-License-Identifier: MIT
 * load_client.h - one connection of a load: takes the next request, sends it, waits for the answer,
 * counts, and so on until the schedule has no more. Connects again after everything that leaves
 * the connection unusable. */
#ifndef WEFT_LAB_LOAD_CLIENT_H
#define WEFT_LAB_LOAD_CLIENT_H

#include <lab/load_request.h>
#include <lab/load_response.h>
#include <lab/load_schedule.h>
#include <obs/histogram.h>
#include <weft/channel.h>
#include <weft/load.h>

#define WEFT_LOAD_INPUT_BYTES 8192

/* What the clients of one load share; all on one thread. */
struct weft_load_shared {
    struct weft_load_message message;
    const char *host; /* numeric, so that connecting again needs no name lookup */
    uint16_t port;
    int64_t timeout_ns;
    struct weft_load_schedule schedule; /* start_ns is set when the gate opens */
    int64_t duration_ns;                /* 0 for no end */
    unsigned connecting;                /* clients that are not at the gate yet */
    struct weft_channel gate;           /* closed when all are: then the clock starts */
    struct weft_load_result result;
    struct weft_histogram *latency;
    int64_t last_ns; /* when the latest request ended */
};

struct weft_load_client {
    struct weft_load_shared *shared;
    int fd;                    /* -1 when not connected */
    unsigned connect_failures; /* in a row */
    int64_t idle_since_ns;
    struct weft_load_request request;
    struct weft_load_response response;
    char input[WEFT_LOAD_INPUT_BYTES];
};

/* Returns 0, -ENOMEM. Close it with deinit, on the fiber thread */
int weft_load_client_init(struct weft_load_client *client, struct weft_load_shared *shared);
void weft_load_client_deinit(struct weft_load_client *client);

/* The fiber: arg is a client. Returns 0 at the end of the schedule, -ECANCELED, -ENOMEM. */
int weft_load_client_run(void *arg);

/* Send one request outside the schedule and uncounted, as the probe of the method.
 * Returns 0 when client->response holds the answer, a negative error when there is none */
int weft_load_client_probe(struct weft_load_client *client);

#endif
