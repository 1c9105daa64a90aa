/* SPDX-License-Identifier: MIT
 * frame.h - what a process and its children of children.h say to each other, over a socket.
 *
 *     child   HELLO                                       once
 *     parent        RUN                                   a job
 *     child             PROGRESS and LOG, any number      while it works
 *     child             FOLLOW, any number                further jobs, of one that is DONE
 *     child             DONE, FAILED, DISCARD, CANCEL or SNOOZE; then the next RUN
 *
 * A frame is a head of 8 bytes and a body: length of the body (4 bytes), kind, flags, two bytes of
 * 0. Numbers have their lowest byte first. Texts have their length (2 bytes) before and a 0 behind
 * them. Nothing here waits, and neither side trusts the other: a frame that is longer than one of
 * its kind may be is an error before there is memory for it. */
#ifndef WEFT_JOB_FRAME_H
#define WEFT_JOB_FRAME_H

#include <base/buffer.h>
#include <job/executor.h>
#include <weft/task.h>

#include <sys/types.h>

#define WEFT_FRAME_HEAD    ((size_t)8)
#define WEFT_FRAME_VERSION 2u
#define WEFT_FRAME_JSON    1u /* flag of RUN and DONE: the payload, or result, is JSON */
#define WEFT_FRAME_RESULT  2u /* flag of DONE: there is a result */
#define WEFT_FRAME_LOG_MAX ((size_t)1024)

enum weft_frame_kind {
    WEFT_FRAME_HELLO = 1, /* the version, 4 bytes */
    WEFT_FRAME_RUN,       /* weft_frame_write_run */
    WEFT_FRAME_PROGRESS,  /* JSON */
    WEFT_FRAME_LOG,       /* the level, 1 byte; what is said */
    WEFT_FRAME_FOLLOW,    /* weft_frame_write_follow */
    WEFT_FRAME_DONE,      /* the result */
    WEFT_FRAME_FAILED,    /* these four: a delay in ns, 8 bytes, 0: none; the reason */
    WEFT_FRAME_DISCARD,
    WEFT_FRAME_CANCEL,
    WEFT_FRAME_SNOOZE,
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

/* Make a whole RUN of what there is to do, all but its times.
 *
 * frame    initialized here; the caller's to deinit in every case
 * Returns  0, -EINVAL (a text or the payload is too long), -ENOMEM */
int weft_frame_write_run(struct weft_buffer *frame, const struct weft_execution *execution);

/* Read the body of a RUN; what is read points into it, but for the inputs, which are the caller's
 * to free. Returns 0, -EPROTO, -ENOMEM */
int weft_frame_read_run(const struct weft_frame *frame, const char *body,
                        struct weft_execution *ret_execution, struct weft_job_input **ret_inputs);

/* A whole FOLLOW, and the body of one, likewise. */
int weft_frame_write_follow(struct weft_buffer *frame, const struct weft_attempt_job *job);
int weft_frame_read_follow(const struct weft_frame *frame, const char *body,
                           struct weft_attempt_job *ret_job);

/* Numbers of up to 8 bytes. */
void weft_frame_put(void *at, uint64_t value, size_t bytes);
uint64_t weft_frame_get(const void *at, size_t bytes);

#endif
