/* SPDX-License-Identifier: MIT
 * job_reader.h - what the parts of job_json.h share: one body on its way to becoming requests. */
#ifndef WEFT_SERVE_JOB_READER_H
#define WEFT_SERVE_JOB_READER_H

#include <serve/job_json.h>
#include <serve/members.h>

/* in: what it reads is the job's text, its target the job's request, and its place, if there are
 * several, "job" or "line" with a number. */
struct weft_job_reader {
    struct weft_reader in; /* first */
    struct weft_job_requests *requests;
    size_t capacity;    /* of requests->items */
    size_t after_total; /* entries of all jobs so far */
    uint32_t given;     /* a bit for each member of this job that was seen */
};

/* The job's members into its request. Returns 0, -EINVAL, -ENOMEM */
int weft_job_read_members(struct weft_job_reader *reader);

/* When all jobs are read: find those that others wait for by name, and an order in which each comes
 * behind what it waits for. Names that are taken twice, names of nobody, and circles are refused.
 * Returns 0, -EINVAL, -ENOMEM */
int weft_job_resolve_after(struct weft_job_reader *reader);

#endif
