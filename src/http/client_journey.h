/* SPDX-License-Identifier: MIT
 * client_journey.h - one weft_http_send, in the fiber. */
#ifndef WEFT_HTTP_CLIENT_JOURNEY_H
#define WEFT_HTTP_CLIENT_JOURNEY_H

#include <http/client_internal.h>

struct weft_http_journey {
    const struct weft_http_request *request;
    struct weft_http_response *response;
    struct weft_http_transfer *transfer;
    struct weft_http_engine *engine;
    int64_t begun_ns, deadline_ns;
    char *url;         /* of a redirect, on the heap; NULL: the request's own */
    bool without_body; /* a redirect has made a GET of it */
    bool abroad;       /* a redirect has led to another server: it does not get what is secret */

    /* Of the request that is under way. */
    enum weft_http_phase phase; /* until libcurl has it */
    int64_t name_ns;
    bool told_head;

    /* Times to look at the clock for. */
    int64_t look_ns;      /* in any case: some time may have begun to count meanwhile */
    int64_t window_at_ns; /* since then it is watched whether bytes come and go; 0: it is not */
    uint64_t window_moved;

    /* A body that the caller gives. One piece is libcurl's, another may be there already. */
    char *pieces[2];
    unsigned next; /* of the pieces: the one to be filled, or filled */
    size_t next_len;
    bool next_filled;
    bool at_end; /* the caller has no more */
    uint64_t produced;
};

/* Say why, unless something has been said before. Returns err */
int weft_http_journey_fail(struct weft_http_journey *journey, int err, const char *why);

/* ---- client_request.c ---------------------------------------------------------------------- */

/* Whether the request can be sent at all. Returns 0, -EINVAL, -EMSGSIZE */
int weft_http_journey_check(struct weft_http_journey *journey);

/* Ask the transfer for it, as far as redirects have left it. Returns 0, -EMSGSIZE, -ENOMEM */
int weft_http_journey_ask(struct weft_http_journey *journey);

/* ---- client_await.c ------------------------------------------------------------------------ */

/* Count the times of a request from now on. */
void weft_http_journey_watch(struct weft_http_journey *journey, int64_t now_ns);

/* Have the transfer begin and end, with bodies both ways. Returns what became of it,
 * WEFT_HTTP_NEEDS_... as well */
int weft_http_journey_attempt(struct weft_http_journey *journey);

/* Have the caller be told of the head of a response that is there, unless he has been. */
int weft_http_journey_tell_head(struct weft_http_journey *journey);

/* Begin the body that the caller gives anew, if any of it was given. Returns 0, -ESPIPE, ... */
int weft_http_journey_rewind(struct weft_http_journey *journey);

/* ---- client_lookup.c ----------------------------------------------------------------------- */

/* Find the address of whoever libcurl wanted to connect to. Returns 0, -EADDRNOTAVAIL, ... */
int weft_http_journey_find_name(struct weft_http_journey *journey);

#endif
