/* SPDX-License-Identifier: MIT
 * load_client.h - one connection of a load: takes the requests that are due, sends them, waits for
 * the answers, counts, and so on until the schedule has no more. Connects again after everything
 * that leaves the connection unusable. */
#ifndef WEFT_LAB_LOAD_CLIENT_H
#define WEFT_LAB_LOAD_CLIENT_H

#include <lab/load_response.h>
#include <lab/load_schedule.h>
#include <lab/load_tally.h>
#include <lab/load_target.h>
#include <obs/histogram.h>
#include <weft/channel.h>
#include <weft/load.h>

#define WEFT_LOAD_INPUT_BYTES 65536

/* What the clients of one load share. */
struct weft_load_shared {
    const char *host; /* numeric, so that connecting again needs no name lookup */
    uint16_t port;
    int64_t timeout_ns;
    unsigned pipeline;
    struct weft_load_targets targets;
    struct weft_load_schedule schedule;
    unsigned connecting;      /* clients that are not at the gate yet; atomic */
    struct weft_channel gate; /* closed when all are: then the clock starts */
    unsigned driving;         /* clients that may have another request; atomic */
    struct weft_channel end;  /* closed when none has: until then connections stay open */
};

/* What the clients on one thread have in common, and count. On cache lines of its own. */
struct weft_load_shard {
    struct weft_load_shared *shared;
    struct weft_load_tally *parts; /* of the schedule */
    struct weft_load_tally *urls;  /* NULL when there is one target only */
    struct weft_load_known *known; /* answers, by target */
    char *input;                   /* nothing is left in it when a client waits */
    unsigned part;                 /* of the schedule, of the latest answer */
    int64_t last_ns;               /* when the latest request ended */
    uint64_t bytes_read, bytes_written, resent, connects;
    /* Written by this thread and read by others; warm-up included. */
    uint64_t requests, succeeded;
    unsigned connected;
    struct weft_histogram *latency;
} __attribute__((aligned(64)));

/* A request on its way. */
struct weft_load_flight {
    uint64_t number;
    int64_t due_ns, begun_ns, sent_ns;
    uint32_t target, part;
};

struct weft_load_client {
    struct weft_load_shard *shard;
    int fd;                    /* -1 when not connected */
    unsigned connect_failures; /* in a row */
    int64_t now_ns;            /* the latest look at the clock */
    int64_t idle_since_ns;
    struct weft_load_turn turn; /* taken, and not due yet */
    bool has_turn;
    struct weft_load_flight *flights; /* a ring of shared->pipeline, oldest first */
    unsigned first, count;
    unsigned begun;         /* of them: the oldest, which have a time of sending */
    struct weft_buffer out; /* their bytes ... */
    size_t out_sent;        /* ... and how many are gone */
    bool broken;            /* what is written goes nowhere, answers may still come */
    bool answering;         /* the parser knows what the next bytes answer */
    struct weft_load_response response;
};

/* Returns 0, -ENOMEM. Close it with deinit, also after a failure */
int weft_load_shard_init(struct weft_load_shard *shard, struct weft_load_shared *shared);
void weft_load_shard_deinit(struct weft_load_shard *shard);

/* Returns 0, -ENOMEM. Close it with deinit, when its fiber has ended */
int weft_load_client_init(struct weft_load_client *client, struct weft_load_shard *shard);
void weft_load_client_deinit(struct weft_load_client *client);

/* The fiber: arg is a client. Returns 0 at the end of the schedule, -ECANCELED, -ENOMEM. */
int weft_load_client_run(void *arg);

#endif
