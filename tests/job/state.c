/* SPDX-License-Identifier: MIT
 * state.c - every pair of state and event, against the life of a job as the documents tell it. */
#include "test.h"

#include <base/buffer.h>
#include <job/state.h>

#include <string.h>

struct move {
    enum weft_job_state from;
    enum weft_job_event event;
    enum weft_job_state to;
};

static const struct move moves[] = {
    {WEFT_JOB_SCHEDULED, WEFT_JOB_DUE, WEFT_JOB_AVAILABLE},
    {WEFT_JOB_RETRYABLE, WEFT_JOB_DUE, WEFT_JOB_AVAILABLE},
    {WEFT_JOB_BLOCKED, WEFT_JOB_UNBLOCK, WEFT_JOB_AVAILABLE},
    {WEFT_JOB_BLOCKED, WEFT_JOB_DEFER, WEFT_JOB_SCHEDULED},
    {WEFT_JOB_SCHEDULED, WEFT_JOB_EXPIRE, WEFT_JOB_CANCELLED},
    {WEFT_JOB_AVAILABLE, WEFT_JOB_EXPIRE, WEFT_JOB_CANCELLED},
    {WEFT_JOB_RETRYABLE, WEFT_JOB_EXPIRE, WEFT_JOB_CANCELLED},
    {WEFT_JOB_BLOCKED, WEFT_JOB_EXPIRE, WEFT_JOB_CANCELLED},
    {WEFT_JOB_AVAILABLE, WEFT_JOB_CLAIM, WEFT_JOB_RUNNING},
    {WEFT_JOB_RUNNING, WEFT_JOB_COMPLETE, WEFT_JOB_COMPLETED},
    {WEFT_JOB_RUNNING, WEFT_JOB_RETRY, WEFT_JOB_RETRYABLE},
    {WEFT_JOB_RUNNING, WEFT_JOB_DIE, WEFT_JOB_DEAD},
    {WEFT_JOB_RUNNING, WEFT_JOB_RELEASE, WEFT_JOB_AVAILABLE},
    {WEFT_JOB_RUNNING, WEFT_JOB_STOP, WEFT_JOB_RUNNING},
    {WEFT_JOB_RUNNING, WEFT_JOB_PROGRESS, WEFT_JOB_RUNNING},
    {WEFT_JOB_RUNNING, WEFT_JOB_SNOOZE, WEFT_JOB_SCHEDULED},
    {WEFT_JOB_RUNNING, WEFT_JOB_LOSE, WEFT_JOB_AVAILABLE},
    {WEFT_JOB_SCHEDULED, WEFT_JOB_CANCEL, WEFT_JOB_CANCELLED},
    {WEFT_JOB_AVAILABLE, WEFT_JOB_CANCEL, WEFT_JOB_CANCELLED},
    {WEFT_JOB_RUNNING, WEFT_JOB_CANCEL, WEFT_JOB_CANCELLED},
    {WEFT_JOB_RETRYABLE, WEFT_JOB_CANCEL, WEFT_JOB_CANCELLED},
    {WEFT_JOB_BLOCKED, WEFT_JOB_CANCEL, WEFT_JOB_CANCELLED},
    {WEFT_JOB_DEAD, WEFT_JOB_REVIVE, WEFT_JOB_AVAILABLE},
    {WEFT_JOB_CANCELLED, WEFT_JOB_REVIVE, WEFT_JOB_AVAILABLE},
};
#define MOVES (sizeof moves / sizeof *moves)

static enum weft_job_state expected(int state, int event)
{
    for (size_t i = 0; i < MOVES; i++)
        if ((int)moves[i].from == state && (int)moves[i].event == event)
            return moves[i].to;
    return WEFT_JOB_NONE;
}

TEST(every_pair_leads_where_the_documents_say_or_is_refused)
{
    for (int state = -1; state <= WEFT_JOB_STATES; state++)
        for (int event = -1; event <= WEFT_JOB_EVENTS; event++)
            CHECK_EQUAL(weft_job_next((enum weft_job_state)state, (enum weft_job_event)event),
                        expected(state, event));
}

TEST(a_completed_job_never_changes_again)
{
    for (int event = 0; event < WEFT_JOB_EVENTS; event++)
        CHECK_EQUAL(weft_job_next(WEFT_JOB_COMPLETED, (enum weft_job_event)event), WEFT_JOB_NONE);
}

TEST(every_state_and_event_has_a_name_of_its_own)
{
    for (int a = 0; a < WEFT_JOB_STATES; a++)
        for (int b = 0; b < a; b++)
            CHECK(strcmp(weft_job_state_name((enum weft_job_state)a),
                         weft_job_state_name((enum weft_job_state)b)) != 0);
    for (int a = 0; a < WEFT_JOB_EVENTS; a++)
        for (int b = 0; b < a; b++)
            CHECK(strcmp(weft_job_event_name((enum weft_job_event)a),
                         weft_job_event_name((enum weft_job_event)b)) != 0);
    CHECK(strcmp(weft_job_state_name((enum weft_job_state)99), "none") == 0);
    CHECK(strcmp(weft_job_event_name((enum weft_job_event)99), "none") == 0);
}

TEST(the_diagram_draws_every_move_once)
{
    struct weft_buffer diagram;
    weft_buffer_init(&diagram, 1 << 16);
    weft_job_state_diagram(&diagram);
    weft_buffer_append_char(&diagram, '\0');
    REQUIRE(!diagram.err);
    size_t lines = 0;
    for (const char *at = diagram.data; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    CHECK_EQUAL(lines, MOVES + 1);
    CHECK(strstr(diagram.data, "available --> running: claim\n") != NULL);
    weft_buffer_deinit(&diagram);
}

TEST(what_waits_for_a_worker_its_time_or_another_job_counts_as_waiting)
{
    uint64_t jobs[WEFT_JOB_STATES] = {0};
    for (unsigned i = 0; i < WEFT_JOB_STATES; i++)
        jobs[i] = UINT64_C(1) << i;
    CHECK_EQUAL(weft_job_states_waiting(jobs), 1u << WEFT_JOB_SCHEDULED | 1u << WEFT_JOB_AVAILABLE |
                                                   1u << WEFT_JOB_RETRYABLE |
                                                   1u << WEFT_JOB_BLOCKED);
}
