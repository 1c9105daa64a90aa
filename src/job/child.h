/* SPDX-License-Identifier: MIT
 * child.h - inside a child of children.h: plain C that may block, crash, and use up its memory.
 *
 *     static int resize(struct weft_child_call *call, const void *settings) { ... }
 *
 *     int main(void)
 *     {
 *         static const struct weft_child_task tasks[] = {{"resize", resize, NULL}};
 *         return weft_child_main(tasks, 1) < 0 ? 1 : 0;
 *     }
 *
 * There is no runtime here: one thread, one job at a time. A call belongs to the thread that was
 * given it, until its function returns. */
#ifndef WEFT_JOB_CHILD_H
#define WEFT_JOB_CHILD_H

#include <job/job.h>

struct weft_child_call;

struct weft_child_task {
    const char *name;
    /* 0 or more: done. Negative: failed; the reason is what weft_child_fail was told, else
     * weft_strerror's sentence. */
    int (*run)(struct weft_child_call *call, const void *settings);
    const void *settings; /* for run */
};

/* Take jobs from the parent, which has started this program with a socket as its standard input,
 * and run them until the parent has no more. Standard input is /dev/null then, standard output the
 * same as standard error; SIGTERM asks the present job to stop, and ends the child then.
 *
 * Returns  0; -ENOTSOCK (no parent started this), -EPROTO (it is not of our kind), -ENOMEM, or why
 *          it cannot be heard */
int weft_child_main(const struct weft_child_task *tasks, size_t count);

/* The job, valid until run returns. The texts end with a 0, and so does the input, behind its len
 * bytes. */
const char *weft_child_id(const struct weft_child_call *call);
const char *weft_child_task_name(const struct weft_child_call *call);
const char *weft_child_queue(const struct weft_child_call *call); /* "": none */
unsigned weft_child_attempt(const struct weft_child_call *call);
const struct weft_bytes *weft_child_input(const struct weft_child_call *call);

/* Set the result: a copy of len bytes. A second one replaces it.
 * Returns  0, -EMSGSIZE (more than WEFT_JOB_RESULT_MAX), -ENOMEM */
int weft_child_result(struct weft_child_call *call, const void *data, size_t len, bool json);

/* Say why it fails, for now or for good, cut at WEFT_JOB_ERROR_MAX. Return -EIO, to be returned. */
int weft_child_fail(struct weft_child_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int weft_child_discard(struct weft_child_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Tell how far it is, in parts of a thousand, or anything else; cut at WEFT_FRAME_TEXT_MAX. */
void weft_child_progress(struct weft_child_call *call, unsigned permille, const char *text);
void weft_child_log(struct weft_child_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether its time is over: who goes on will be killed after the grace. System calls that wait
 * return EINTR when that happens. */
bool weft_child_stopping(const struct weft_child_call *call);

#endif
