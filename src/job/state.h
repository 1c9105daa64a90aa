/* SPDX-License-Identifier: MIT
 * state.h - the life of a job as one table: in which state which event leads where.
 *
 * The numbers of states are stored by brokers: append, never renumber. The picture in the docs is
 * printed from the same table (weft_job_state_diagram), so it cannot go stale. */
#ifndef WEFT_JOB_STATE_TABLE_H
#define WEFT_JOB_STATE_TABLE_H

#include <weft/job_state.h>

struct weft_buffer;

/* The state that follows, WEFT_JOB_NONE when the event is refused. Any argument is allowed. */
enum weft_job_state weft_job_next(enum weft_job_state state, enum weft_job_event event);

/* The state with this name; WEFT_JOB_NONE when there is none. */
enum weft_job_state weft_job_state_named(const char *name);

/* Of jobs counted by state: those that wait for a worker, for their time, or for other jobs. */
uint64_t weft_job_states_waiting(const uint64_t jobs[WEFT_JOB_STATES]);

/* Append the table as a Mermaid state diagram. Failure shows in diagram->err. */
void weft_job_state_diagram(struct weft_buffer *diagram);

#endif
