/* SPDX-License-Identifier: MIT
 * faulty.h - a broker in front of another one: it can refuse calls, have fewer capabilities, and be
 * looked at. What it lets through is done by the real one. */
#ifndef WEFT_TESTS_JOB_FAULTY_H
#define WEFT_TESTS_JOB_FAULTY_H

#include <base/random.h>
#include <job/broker.h>

enum faulty_call {
    FAULTY_ENQUEUE,
    FAULTY_CLAIM,
    FAULTY_SETTLE,
    FAULTY_EXTEND,
    FAULTY_MAINTAIN,
    FAULTY_EVENTS,
    FAULTY_FIND,
    FAULTY_CALLS,
};

struct faulty {
    struct weft_broker broker; /* first: what the engine is given */
    struct weft_broker_ops ops;
    struct weft_broker *inner;

    /* Calls of a kind with a number from first to last, counted from 1, are refused with err before
     * anything happened. first 0: none. */
    struct faulty_plan {
        unsigned first, last;
        int err;
    } plans[FAULTY_CALLS];
    unsigned calls[FAULTY_CALLS]; /* so far */
    unsigned refused;

    /* Besides, so many of a thousand, of all kinds, while random is set. */
    struct weft_random *random;
    unsigned of_thousand;

    int64_t claim_ns;        /* a claim takes so long on its way back ... */
    int64_t claim_spread_ns; /* ... or, drawn, up to so much longer */
    struct weft_random spread;
    int64_t lease_us;      /* as last asked for */
    bool deaf;             /* extend is refused, with -EIO */
    unsigned extended_max; /* the most leases in one call */
    bool gone;             /* events say once that some are gone */
};

/* A wrapper around a broker in memory. capabilities: of the inner one's, those to leave out. */
struct weft_broker *faulty_open(struct faulty *faulty, unsigned without);
void faulty_close(struct faulty *faulty);

#endif
