/* SPDX-License-Identifier: MIT
 * api_job.h - from what clients write about jobs to what the engine takes. */
#ifndef WEFT_SERVE_API_JOB_H
#define WEFT_SERVE_API_JOB_H

#include <serve/api.h>
#include <serve/api_body.h>
#include <serve/job_json.h>

/* The jobs of one body, ready to be submitted. */
struct weft_submissions {
    struct weft_job_requests requests;
    struct weft_submission *items;
};

/* Translate what was read. Takes the requests over, also when it fails. Release it in every case.
 * Returns  0, -ENOMEM. Never suspends */
int weft_submissions_make(struct weft_submissions *ret_submissions, struct weft_engine *engine,
                          struct weft_job_requests *requests);
void weft_submissions_release(struct weft_submissions *submissions);

/* Further jobs of a settlement. */
struct weft_follow_jobs;

/* Read the member "enqueue" of an item of /v1/settle into settlement->follow. Faults are said. The
 * jobs are freed by the caller, also after a fault; NULL is fine. */
void weft_follow_jobs_read(struct weft_api *api, struct weft_api_fault *fault,
                           const json_t *enqueue, struct weft_settlement *settlement,
                           struct weft_follow_jobs **ret_follow);
void weft_follow_jobs_free(struct weft_follow_jobs *follow);

#endif
