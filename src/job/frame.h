/* SPDX-License-Identifier: MIT
 * frame.h - what a process and its children of children.h say to each other, over a socket.
 *
 *     child   HELLO                                       once
 *     parent        RUN                                   a job
 *     child             PROGRESS and LOG, any number      while it works
 *     child             DONE, FAILED or DISCARD           then the next RUN
 *
 * A frame is a head of 8 bytes and a body: length of the body (4 bytes, lowest first), kind, flags,
 * two bytes of 0. Nothing here waits, and neither side trusts the other: a frame that is longer
 * than one of its kind may be is an error before there is memory for it. */
#ifndef WEFT_JOB_FRAME_H
#define WEFT_JOB_FRAME_H

#include <job/job.h>

#include <sys/types.h>

#define WEFT_FRAME_HEAD     ((size_t)8)
#define WEFT_FRAME_VERSION  1u
#define WEFT_FRAME_JSON     1u /* flag of RUN and DONE: the payload, or result, is JSON */
#define WEFT_FRAME_TEXT_MAX ((size_t)1024) /* of PROGRESS and LOG */

enum weft_frame_kind {
    WEFT_FRAME_HELLO = 1, /* the version, 4 bytes */
    WEFT_FRAME_RUN,       /* struct weft_frame_job */
    WEFT_FRAME_PROGRESS,  /* parts of a thousand, 2 bytes; text */
    WEFT_FRAME_LOG,       /* text */
    WEFT_FRAME_DONE,      /* the result */
    WEFT_FRAME_FAILED,    /* the reason */
    WEFT_FRAME_DISCARD,   /* the reason */
};

struct weft_frame {
    enum weft_frame_kind kind;
    unsigned flags;
    size_t len; /* of the body */
};

/* Returns 0, -EPROTO (no such kind, too long or too short, unknown flags) */
int weft_frame_read_head(const unsigned char *head, struct weft_frame *ret_frame);
void weft_frame_write_head(const struct weft_frame *frame, unsigned char *ret_head);

/* Frames out of a stream of bytes. Begins as all zeros. */
struct weft_frame_reader {
    unsigned char head[WEFT_FRAME_HEAD];
    size_t head_len; /* that came */
    struct weft_frame frame;
    char *body;      /* from malloc, with a 0 behind it; of a whole frame it may be taken over */
    size_t body_len; /* that came */
};

/* Where the next bytes go. Returns how many at least one and at most fit. */
size_t weft_frame_room(struct weft_frame_reader *reader, char **ret_room);

/* So many bytes have been put there.
 * Returns  1 when a frame is whole, 0 when not; -EPROTO, -ENOMEM: there is no going on */
int weft_frame_took(struct weft_frame_reader *reader, size_t len);

/* Drop the frame, whole or not, to begin with another. */
void weft_frame_next(struct weft_frame_reader *reader);

/* What is to do. */
struct weft_frame_job {
    const char *name; /* of the function */
    const char *id, *task, *queue;
    unsigned attempt;
    struct weft_bytes input;
};

/* Room for the body of a RUN up to the payload. */
#define WEFT_FRAME_JOB_MAX (4 + 4 * (1 + WEFT_JOB_NAME_MAX + 1))

/* The body of a RUN up to the payload, which goes behind it. Returns its length; -EINVAL (a name
 * that is too long) */
ssize_t weft_frame_write_job(const struct weft_frame_job *job, char *ret_text);

/* Read the body of a RUN; the job points into it. Returns 0, -EPROTO */
int weft_frame_read_job(const struct weft_frame *frame, const char *body,
                        struct weft_frame_job *ret_job);

/* Numbers, lowest byte first. */
void weft_frame_put(unsigned char *at, uint32_t value, size_t bytes);
uint32_t weft_frame_get(const void *at, size_t bytes);

#endif
