/* SPDX-License-Identifier: MIT
 * member.h - one child of a pool, as its parent sees it: it is started, gets jobs, and ends. */
#ifndef WEFT_JOB_MEMBER_H
#define WEFT_JOB_MEMBER_H

#include <job/children.h>
#include <job/frame.h>

#include <base/list.h>
#include <weft/select.h>

enum {
    MEMBER_CLOCK,
    MEMBER_END,
    MEMBER_WRITE,
    MEMBER_READ,
    MEMBER_MESSAGES,
    MEMBER_CASES
};

enum weft_member_state {
    WEFT_MEMBER_NEW,    /* has not said a word yet */
    WEFT_MEMBER_IDLE,   /* may be given a job */
    WEFT_MEMBER_SPENT,  /* must be given no other: it was asked to stop, or was ended by us */
    WEFT_MEMBER_BROKEN, /* has ended by itself, or does not do as it should */
};

struct weft_member {
    struct weft_link link; /* in the pool's list of idle ones */
    enum weft_member_state state;
    struct weft_process *process;
    struct weft_process_status status; /* once ended */
    bool ended;
    bool killed; /* by us */
    int socket;
    unsigned jobs;       /* that it has been given */
    int64_t start_by_ns; /* when its first word is due */
    int64_t cpu_ns;      /* used before the present job */
    struct weft_frame_reader reader;
    uint64_t heard; /* bytes read from the socket */
    struct weft_tail messages;
    struct weft_buffer asked; /* the job, while it is being written ... */
    size_t asked_written;     /* ... as far as it is */
    struct weft_case cases[MEMBER_CASES];
    char chunk[4096];
};

/* Start a child. Returns 0, -ENOMEM, -ECANCELED, -ENOENT and what else weft_process_open refuses.
 * Never suspends */
int weft_member_open(struct weft_member **ret_member, const struct weft_children_options *options);

/* End it: what is idle or spent may leave by itself, within a moment. NULL is fine. Suspends, no
 * checkpoint */
void weft_member_close(struct weft_member *member);

/* Wait for the first word of a new one.
 * Returns  0; -ECHILD: it is broken, and outcome says why; -ECANCELED: it is as it was; -ENOMEM and
 *          what the reactor says: it was ended. Suspends */
int weft_member_greet(struct weft_member *member, struct weft_outcome *ret_outcome);

/* Have an idle one do a job. Then it is idle, spent or broken.
 *
 * execution   with the times that count; timeout_ns 0: none
 * Returns  0 with an outcome; -ECANCELED and what the reactor says: it was ended; -EINVAL (what it
 *          would have to be told is too long), -ENOMEM: it may not have been given the job.
 * Suspends
 */
int weft_member_work(struct weft_member *member, const struct weft_execution *execution,
                     const struct weft_children_listener *listener,
                     struct weft_outcome *ret_outcome);

/* Whether one that is not at work has ended meanwhile. */
bool weft_member_is_dead(struct weft_member *member);

/* Memory it has resident; 0 when the kernel does not say. */
size_t weft_member_resident_bytes(const struct weft_member *member);

#endif
