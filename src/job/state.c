/* SPDX-License-Identifier: MIT
 * state.c - see state.h. */
#include <job/state.h>

#include <base/buffer.h>

#include <stdint.h>
#include <string.h>

/* A pair nobody listed is WEFT_JOB_NONE, refused: an error, never an accident. */
// clang-format off
static const uint8_t job_next[WEFT_JOB_STATES][WEFT_JOB_EVENTS] = {
    [WEFT_JOB_SCHEDULED] = {
        [WEFT_JOB_DUE] = WEFT_JOB_AVAILABLE,
        [WEFT_JOB_CANCEL] = WEFT_JOB_CANCELLED,
        [WEFT_JOB_EXPIRE] = WEFT_JOB_CANCELLED,
    },
    [WEFT_JOB_AVAILABLE] = {
        [WEFT_JOB_CLAIM] = WEFT_JOB_RUNNING,
        [WEFT_JOB_CANCEL] = WEFT_JOB_CANCELLED,
        [WEFT_JOB_EXPIRE] = WEFT_JOB_CANCELLED,
    },
    [WEFT_JOB_RUNNING] = {
        [WEFT_JOB_COMPLETE] = WEFT_JOB_COMPLETED,
        [WEFT_JOB_RETRY] = WEFT_JOB_RETRYABLE,
        [WEFT_JOB_DIE] = WEFT_JOB_DEAD,
        [WEFT_JOB_RELEASE] = WEFT_JOB_AVAILABLE,
        [WEFT_JOB_SNOOZE] = WEFT_JOB_SCHEDULED,
        [WEFT_JOB_LOSE] = WEFT_JOB_AVAILABLE,
        [WEFT_JOB_CANCEL] = WEFT_JOB_CANCELLED,
        [WEFT_JOB_STOP] = WEFT_JOB_RUNNING,
        [WEFT_JOB_PROGRESS] = WEFT_JOB_RUNNING,
    },
    [WEFT_JOB_RETRYABLE] = {
        [WEFT_JOB_DUE] = WEFT_JOB_AVAILABLE,
        [WEFT_JOB_CANCEL] = WEFT_JOB_CANCELLED,
        [WEFT_JOB_EXPIRE] = WEFT_JOB_CANCELLED,
    },
    [WEFT_JOB_BLOCKED] = {
        [WEFT_JOB_UNBLOCK] = WEFT_JOB_AVAILABLE,
        [WEFT_JOB_DEFER] = WEFT_JOB_SCHEDULED,
        [WEFT_JOB_CANCEL] = WEFT_JOB_CANCELLED,
        [WEFT_JOB_EXPIRE] = WEFT_JOB_CANCELLED,
    },
    [WEFT_JOB_CANCELLED] = {[WEFT_JOB_REVIVE] = WEFT_JOB_AVAILABLE},
    [WEFT_JOB_DEAD] = {[WEFT_JOB_REVIVE] = WEFT_JOB_AVAILABLE},
};

static const char *const state_names[WEFT_JOB_STATES] = {
    "none", "scheduled", "available", "running", "retryable", "completed", "cancelled", "dead",
    "blocked",
};

static const char *const event_names[WEFT_JOB_EVENTS] = {
    "due", "unblock", "defer", "claim", "complete", "retry", "die", "release", "snooze", "lose",
    "cancel", "expire", "revive", "stop", "progress",
};
// clang-format on

_Static_assert(WEFT_JOB_BLOCKED == 8 && WEFT_JOB_STATES == 9, "stored by brokers: append only");

enum weft_job_state weft_job_next(enum weft_job_state state, enum weft_job_event event)
{
    if ((unsigned)state >= WEFT_JOB_STATES || (unsigned)event >= WEFT_JOB_EVENTS)
        return WEFT_JOB_NONE;
    return (enum weft_job_state)job_next[state][event];
}

const char *weft_job_state_name(enum weft_job_state state)
{
    return state_names[(unsigned)state < WEFT_JOB_STATES ? state : WEFT_JOB_NONE];
}

enum weft_job_state weft_job_state_named(const char *name)
{
    for (int state = WEFT_JOB_SCHEDULED; state < WEFT_JOB_STATES; state++)
        if (strcmp(state_names[state], name) == 0)
            return (enum weft_job_state)state;
    return WEFT_JOB_NONE;
}

int weft_job_state_is_final(enum weft_job_state state)
{
    return state == WEFT_JOB_COMPLETED || state == WEFT_JOB_CANCELLED || state == WEFT_JOB_DEAD;
}

const char *weft_job_event_name(enum weft_job_event event)
{
    return (unsigned)event < WEFT_JOB_EVENTS ? event_names[event] : state_names[WEFT_JOB_NONE];
}

uint64_t weft_job_states_waiting(const uint64_t jobs[WEFT_JOB_STATES])
{
    return jobs[WEFT_JOB_SCHEDULED] + jobs[WEFT_JOB_AVAILABLE] + jobs[WEFT_JOB_RETRYABLE] +
           jobs[WEFT_JOB_BLOCKED];
}

void weft_job_state_diagram(struct weft_buffer *diagram)
{
    weft_buffer_append_string(diagram, "stateDiagram-v2\n");
    for (int state = 0; state < WEFT_JOB_STATES; state++)
        for (int event = 0; event < WEFT_JOB_EVENTS; event++)
            if (job_next[state][event])
                weft_buffer_append_format(diagram, "    %s --> %s: %s\n", state_names[state],
                                          state_names[job_next[state][event]], event_names[event]);
}
