/* SPDX-License-Identifier: MIT
 * attempt.h - what stands behind the functions of weft/task.h: the job, where it runs, and a desk
 * on which the handler leaves what it wants.
 *
 * Nothing in here knows the engine, so that a child process can run handlers as well: its host
 * sends on what is logged and told, and its desk is sent when the handler has returned. */
#ifndef WEFT_JOB_ATTEMPT_H
#define WEFT_JOB_ATTEMPT_H

#include <job/job.h>
#include <weft/task.h>

#include <jansson.h>

#define WEFT_FOLLOW_MAX       1000u
#define WEFT_FOLLOW_BYTES_MAX ((size_t)16 << 20) /* of their payloads */

/* Whoever runs the handler; called where the handler runs. */
struct weft_attempt_host {
    void (*log)(struct weft_attempt *attempt, enum weft_log_level level, const char *text);
    /* json is from malloc and taken over. Returns 0, -ENOMEM */
    int (*progress)(struct weft_attempt *attempt, char *json);
    bool (*is_cancelled)(const struct weft_attempt *attempt);
};

/* A further job that the handler asked for. */
struct weft_follow {
    struct weft_follow *next;
    struct weft_job *job; /* owned; without id and times */
    int64_t delay_us;
};

/* Made when the handler first needs it. */
struct weft_desk {
    char *result; /* NULL: none */
    size_t result_len;
    bool result_json;
    char *reason;     /* in the handler's words; NULL: none */
    int64_t delay_ns; /* of a snooze, or until the next attempt; 0: not said */
    bool delay_least; /* the next attempt may well come later, as it would without */
    struct weft_follow *follow, **follow_end;
    unsigned follow_count;
    size_t follow_bytes;
    json_t *payload, *headers; /* NULL: not read yet */
};

struct weft_attempt {
    const struct weft_attempt_host *host;
    const struct weft_job *job;
    struct weft_desk *desk; /* NULL: nothing is on it */
    char id[WEFT_UUID_TEXT_LEN + 1];
};

void weft_attempt_init(struct weft_attempt *attempt, const struct weft_job *job,
                       const struct weft_attempt_host *host);
void weft_attempt_deinit(struct weft_attempt *attempt);

/* Its desk, which is made if there is none yet; NULL when memory is out. */
struct weft_desk *weft_attempt_desk(struct weft_attempt *attempt);

/* Hand over a result from malloc; it is the attempt's in every case. JSON is not checked again.
 * Returns 0, -EMSGSIZE, -ENOMEM */
int weft_attempt_take_result(struct weft_attempt *attempt, char *data, size_t len, bool json);

/* Fail, and have the next attempt made when it would be, but not before delay_ns from now. Returns
 * what the handler is to return. */
int weft_attempt_retry_not_before(struct weft_attempt *attempt, int64_t delay_ns,
                                  const char *reason);

/* The length of the longest start of text, of len bytes, that has at most len_max bytes and does
 * not end within a UTF-8 sequence. */
size_t weft_text_cut(const char *text, size_t len, size_t len_max);

#endif
