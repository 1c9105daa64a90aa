/* SPDX-License-Identifier: MIT
 * api_job.h - between what clients write about jobs and what the engine takes; and back. */
#ifndef WEFT_SERVE_API_JOB_H
#define WEFT_SERVE_API_JOB_H

#include <base/buffer.h>
#include <serve/api.h>
#include <serve/job_json.h>

/* The jobs of one body, ready to be submitted. */
struct weft_submissions {
    struct weft_job_requests requests;
    struct weft_submission *items; /* in an order in which they can be put in; see below */
    uint32_t *places;              /* of each request's item; NULL: they are in the same order */
};

/* Translate what was read. Takes the requests over, also when it fails. Release it in every case.
 * Returns  0, -ENOMEM. Never suspends */
int weft_submissions_make(struct weft_submissions *ret_submissions, struct weft_engine *engine,
                          struct weft_job_requests *requests);
void weft_submissions_release(struct weft_submissions *submissions);

/* What stands for a request. */
struct weft_submission *weft_submissions_at(const struct weft_submissions *submissions,
                                            size_t request);

/* Further jobs of a settlement. */
struct weft_follow_jobs;

/* Make them of what was read, which it takes over, also when it fails, and name them in the
 * settlement; they must live as long.
 * Returns 0, -ENOMEM, -EINVAL, -EMSGSIZE (one of them is not valid). Never suspends */
int weft_follow_jobs_make(struct weft_follow_jobs **ret_follow, struct weft_engine *engine,
                          struct weft_job_requests *requests, struct weft_settlement *settlement);
/* NULL is fine. */
void weft_follow_jobs_free(struct weft_follow_jobs *follow);

/* Append the members of a job that say how long an attempt may take. */
void weft_api_timeouts(struct weft_buffer *body, const struct weft_job *job);

#endif
