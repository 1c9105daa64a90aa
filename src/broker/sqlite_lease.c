/* SPDX-License-Identifier: MIT
 * sqlite_lease.c - what the writer remembers of jobs it has just leased.
 *
 * Most jobs are settled soon after they were claimed. What their rows say is then still here, and
 * need not be read: that is an eighth of what a job costs. Nothing depends on it being here: what
 * is not, or may no longer be so, is read. Jobs with a limit_key are not remembered. */
#include "sqlite_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEASES 4096u /* a power of two */

struct sqlite_lease {
    int64_t seq; /* 0: none */
    uint64_t token;
    struct sqlite_queue *queue;
    const struct sqlite_name *task;
    int64_t started_us, worker, run_at_us;
    unsigned attempt, crashes, flags;
};

static struct sqlite_lease *lease_of(const struct sqlite_writer *writer, int64_t seq)
{
    return &writer->leases[((uint64_t)seq * 0x9e3779b97f4a7c15u) >> 52 & (LEASES - 1)];
}

int weft_sqlite_leases_init(struct sqlite_writer *writer)
{
    writer->leases = calloc(LEASES, sizeof *writer->leases);
    return writer->leases ? 0 : -ENOMEM;
}

void weft_sqlite_lease_keep(struct sqlite_writer *writer, const struct sqlite_row *row)
{
    struct sqlite_lease *lease = lease_of(writer, row->seq);
    *lease = (struct sqlite_lease){
        .seq = row->seq,
        .token = row->token,
        .queue = row->queue,
        .task = row->task,
        .started_us = row->started_us,
        .worker = row->worker,
        .run_at_us = row->run_at_us,
        .attempt = row->attempt,
        .crashes = row->crashes,
        .flags = row->flags,
    };
}

bool weft_sqlite_lease_find(const struct sqlite_writer *writer, int64_t seq, uint64_t token,
                            struct sqlite_row *ret_row)
{
    const struct sqlite_lease *lease = lease_of(writer, seq);
    if (lease->seq != seq || lease->token != token)
        return false;
    ret_row->seq = seq;
    ret_row->state = WEFT_JOB_RUNNING;
    ret_row->queue = lease->queue;
    ret_row->task = lease->task;
    ret_row->token = token;
    ret_row->started_us = lease->started_us;
    ret_row->worker = lease->worker;
    ret_row->run_at_us = lease->run_at_us;
    ret_row->attempt = lease->attempt;
    ret_row->crashes = lease->crashes;
    ret_row->flags = lease->flags;
    ret_row->waits_for = 0;
    ret_row->limit_key[0] = '\0';
    return true;
}

void weft_sqlite_lease_forget(struct sqlite_writer *writer, int64_t seq)
{
    struct sqlite_lease *lease = lease_of(writer, seq);
    if (lease->seq == seq)
        lease->seq = 0;
}

void weft_sqlite_leases_forget(struct sqlite_writer *writer)
{
    memset(writer->leases, 0, LEASES * sizeof *writer->leases);
}
