/* SPDX-License-Identifier: MIT
 * stage_core.h - the queue of one stage and what is in its workers' hands; decides what may be
 * taken, what is dropped, whose outputs go on next and what is settled.
 *
 * Reads no clock, takes no lock, allocates only when it is made. Items are numbered in the order
 * in which they enter the queue. Those that are worked on together are a lot; the lots taken and
 * not settled are kept in the order of their items, so the first of them says up to where
 * everything is settled. */
#ifndef WEFT_FLOW_STAGE_CORE_H
#define WEFT_FLOW_STAGE_CORE_H

#include <base/list.h>

#include <weft/pipeline.h>

struct weft_lot {
    struct weft_link link; /* in core->inside, or in core->spare */
    uint64_t first;        /* number of its first item */
    size_t count;          /* items */
    size_t out_count;      /* outputs, set by who works on it */
    bool done;             /* has only to be passed on */
    unsigned char *ins, *outs;
};

struct weft_stage_limits {
    size_t item_bytes_in, item_bytes_out; /* out: 0 when lots have no outputs of their own */
    size_t queue_max, batch_max;          /* at least 1; queue_max not below batch_max */
    size_t lots_max;                      /* at least 1: taken and not settled */
    int64_t batch_age_ns;
    bool ordered;
    enum weft_stage_full on_full;
};

struct weft_stage_core {
    struct weft_stage_limits limits;
    unsigned char *items; /* ring of limits.queue_max */
    int64_t *came_at_ns;  /* beside it; NULL when ages do not matter */
    size_t head, count, count_max;
    uint64_t first; /* number of the oldest in the ring, or of the next to come */
    uint64_t cut;   /* no waiting for a full batch below this number */
    struct weft_link inside, spare;
    bool passing_on; /* somebody is at it, in an ordered stage */
    void *lots;      /* their memory */
};

enum weft_stage_pushed {
    WEFT_STAGE_PUSHED,
    WEFT_STAGE_PUSHED_FOR_OLDEST, /* in, and the oldest is out */
    WEFT_STAGE_NOT_PUSHED,        /* to be dropped */
    WEFT_STAGE_FULL,              /* nothing happened: wait, or refuse */
};

/* Returns 0, -ENOMEM. After a failure deinit has nothing to do, and does it. */
int weft_stage_core_init(struct weft_stage_core *core, const struct weft_stage_limits *limits);
void weft_stage_core_deinit(struct weft_stage_core *core);

/* Whether push and ready want to know the time; else now_ns may be anything. */
static inline bool weft_stage_core_timed(const struct weft_stage_core *core)
{
    return core->came_at_ns != NULL;
}

/* An item comes. ret_oldest has room for one, and may be NULL unless on_full is
 * WEFT_STAGE_DROP_OLDEST. */
enum weft_stage_pushed weft_stage_core_push(struct weft_stage_core *core, const void *item,
                                            int64_t now_ns, void *ret_oldest);

/* How many items may be taken together now. 0: none before *ret_at_ns unless something happens. */
size_t weft_stage_core_ready(const struct weft_stage_core *core, int64_t now_ns,
                             int64_t *ret_at_ns);

/* Take so many into a lot. NULL: all are in use. */
struct weft_lot *weft_stage_core_take(struct weft_stage_core *core, size_t count);

/* The work on a lot is done. Returns the lot whose outputs the caller is to pass on; then it calls
 * weft_stage_core_passed, until that returns NULL. NULL: there is nothing to do, somebody else will
 * when its turn comes. */
struct weft_lot *weft_stage_core_done(struct weft_stage_core *core, struct weft_lot *lot);

/* The outputs of a lot are passed on: it is settled. Returns as above. */
struct weft_lot *weft_stage_core_passed(struct weft_stage_core *core, struct weft_lot *lot);

/* Whether everything before this lot is settled, and stays so until it is done. */
bool weft_stage_core_turn(const struct weft_stage_core *core, const struct weft_lot *lot);

/* Every item with a smaller number has left the stage. */
uint64_t weft_stage_core_settled(const struct weft_stage_core *core);

/* The number the next item will have. */
static inline uint64_t weft_stage_core_next(const struct weft_stage_core *core)
{
    return core->first + core->count;
}

#endif
