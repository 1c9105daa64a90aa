/* SPDX-License-Identifier: MIT
 * job_reader.h - what the parts of job_json.h share: one body on its way to becoming requests. */
#ifndef WEFT_SERVE_JOB_READER_H
#define WEFT_SERVE_JOB_READER_H

#include <serve/job_json.h>

#include <jansson.h>

/* How the jobs of a body are told apart in errors. */
enum weft_job_places {
    WEFT_JOB_PLACE_ALONE, /* there is one */
    WEFT_JOB_PLACE_ARRAY,
    WEFT_JOB_PLACE_LINE,
};

struct weft_job_reader {
    struct weft_job_requests *requests;
    struct weft_job_refusal *refusal;
    const char *body;
    size_t body_len;
    enum weft_job_places places;
    size_t capacity;    /* of requests->items */
    size_t after_total; /* entries of all jobs so far */

    /* The job that is being read. */
    struct weft_job_request *request;
    const char *raw; /* its text in the body */
    size_t raw_len;
    uint32_t given; /* a bit for each member that was seen */
};

/* Refuse the body because of a job: its place goes before the sentence. Returns -EINVAL. */
__attribute__((format(printf, 4, 5))) int weft_job_refuse(struct weft_job_reader *reader,
                                                          const struct weft_job_request *request,
                                                          int status, const char *format, ...);

/* Refuse it for want of memory. Returns -ENOMEM. */
int weft_job_refuse_memory(struct weft_job_reader *reader);

/* Fill reader->request from an object. Returns 0, -EINVAL, -ENOMEM */
int weft_job_read_members(struct weft_job_reader *reader, json_t *object);

/* When all jobs are read: find those that others wait for by name. Names that are taken twice,
 * names of nobody, and circles are refused. Returns 0, -EINVAL, -ENOMEM */
int weft_job_resolve_after(struct weft_job_reader *reader);

#endif
