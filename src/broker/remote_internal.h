/* SPDX-License-Identifier: MIT
 * remote_internal.h - what the files of the remote broker share.
 *
 *   remote.c       open, close, the registry of workers
 *   remote_work.c  claim, settle, extend, find
 *   remote_beat.c  the heartbeat's extend, on its own thread
 *   remote_call.c  a request, and again while the server is away
 *   remote_json.c  what the server says, as values
 *   remote_job.c   ... as jobs */
#ifndef WEFT_BROKER_REMOTE_INTERNAL_H
#define WEFT_BROKER_REMOTE_INTERNAL_H

#include <base/arena.h>
#include <base/buffer.h>
#include <broker/remote.h>

#include <weft/http_client.h>

#define WEFT_REMOTE_ITEMS_MAX    1000u              /* jobs in one request: the server's limit */
#define WEFT_REMOTE_BODY_MAX     ((size_t)32 << 20) /* of a request: the server's limit */
#define WEFT_REMOTE_ANSWER_MAX   ((size_t)9 << 20)  /* of all but leases */
#define WEFT_REMOTE_LEASES_MAX   ((size_t)72 << 20) /* payloads and inputs are large */
#define WEFT_REMOTE_ANSWER_NS    (15 * WEFT_SEC)    /* for an answer that is not waited for there */
#define WEFT_REMOTE_LEASE_MAX_US INT64_C(3600000000) /* the server's limit */

struct weft_remote {
    struct weft_broker broker; /* first: what the engine knows */
    char *url;                 /* no slash at its end */
    char *authorization;       /* the header's value; NULL: none */
    char *ca_file;             /* or NULL */
    struct weft_http_client *client;
    int64_t lease_us; /* as claims ask for it: an extension cannot leave the end as it is */
    bool unsure;      /* a settlement may have been taken although its answer did not come */
    void *beat;       /* the heartbeat's connection, a CURL; made by its thread */
    char error[640];
};

static inline struct weft_remote *weft_remote_of(struct weft_broker *broker)
{
    return (struct weft_remote *)(void *)broker;
}

/* --- remote_call.c --- */

struct weft_remote_call {
    const char *method, *path;
    const struct weft_buffer *body; /* JSON; NULL: none */
    size_t answer_max;              /* 0: WEFT_REMOTE_ANSWER_MAX */
    int64_t wait_ns;                /* the server may take so long before it answers */
    bool checkpoint;                /* the caller may be cancelled; else it is waited for */

    struct weft_http_response response; /* out */
    int status;                         /* out: of the answer; 0: there was none */
    unsigned tries;                     /* out */
};

/* Send a request and have an answer; again after a while when the server is away or busy.
 * Returns  0: it was done (2xx); -ENOENT (404), -EINVAL (400, 422), -EMSGSIZE (413; the answer is
 *          too large), -EACCES (401, 403), -EBUSY (429), -EREMOTEIO (408, 5xx), -EPROTO (other
 *          answers); without an answer the errors of weft_http_send. remote->error says more.
 * Release it in every case. Suspends */
int weft_remote_send(struct weft_remote *remote, struct weft_remote_call *call);
void weft_remote_call_release(struct weft_remote_call *call);

/* The answer is not what it should be: remember why. Returns -EPROTO. */
int weft_remote_refuse(struct weft_remote *remote, const struct weft_remote_call *call,
                       const char *why);

/* The result that a status stands for. */
int weft_remote_result(int status);

/* --- remote_json.c --- */

/* A value as the server wrote it; raw NULL: there was none. */
struct weft_remote_value {
    const char *raw;
    size_t len;
};

/* The members of an object by name, one value for each; others are passed over.
 * Returns 0, -EPROTO (it is no object) */
int weft_remote_members(const char *json, size_t len, const char *const *names, size_t count,
                        struct weft_remote_value *values);

/* What a value is. -EPROTO where it is something else, or beyond the limit; *ret untouched then,
 * and also where there is no value, which is no error. */
int weft_remote_string(const struct weft_remote_value *value, struct weft_arena *arena,
                       size_t len_max, const char **ret);
int weft_remote_name(const struct weft_remote_value *value, struct weft_arena *arena,
                     const char **ret);
int weft_remote_uuid(const struct weft_remote_value *value, struct weft_uuid *ret);
int weft_remote_count(const struct weft_remote_value *value, uint64_t max, uint64_t *ret);
int weft_remote_token(const struct weft_remote_value *value, uint64_t *ret);
int weft_remote_seconds(const struct weft_remote_value *value, int64_t *ret_us);
int weft_remote_time(const struct weft_remote_value *value, int64_t *ret_us);
int weft_remote_bool(const struct weft_remote_value *value, bool *ret);
int weft_remote_state(const struct weft_remote_value *value, enum weft_job_state *ret);
/* JSON of any kind, as text of its own. */
int weft_remote_json(const struct weft_remote_value *value, struct weft_arena *arena,
                     size_t len_max, const char **ret);
/* JSON as it stands there, or bytes as base64. */
int weft_remote_bytes(const struct weft_remote_value *json, const struct weft_remote_value *base64,
                      struct weft_arena *arena, size_t len_max, struct weft_bytes *ret);

/* "id" with "token", as requests name a lease; the object stays open. */
void weft_remote_append_lease(struct weft_buffer *body, const struct weft_uuid *id, uint64_t token);

/* --- remote_job.c --- */

/* A job as the server shows or leases it. Strings are in the arena, what is large is where it was.
 * Returns 0, -EPROTO, -ENOMEM */
int weft_remote_job(const char *json, size_t len, struct weft_arena *arena,
                    struct weft_job *ret_job);

/* --- remote_work.c --- */

/* The body of /v1/extend, and what the server answers to it. Both know no fiber. default_us is for
 * leases whose end is to stay as it is.
 * Returns 0, -EPROTO */
void weft_remote_write_leases(struct weft_buffer *body, const struct weft_lease *items,
                              size_t count, int64_t default_us);
int weft_remote_read_leases(const char *json, size_t len, struct weft_lease *items, size_t count);

int weft_remote_claim(struct weft_broker *broker, struct weft_claim *claim);
int weft_remote_settle(struct weft_broker *broker, struct weft_settlement *items, size_t count);
int weft_remote_extend(struct weft_broker *broker, struct weft_lease *items, size_t count);
int weft_remote_find(struct weft_broker *broker, const struct weft_uuid *id,
                     struct weft_job **ret_job);

/* --- remote_beat.c --- */

int weft_remote_beat(struct weft_broker *broker, struct weft_lease *items, size_t count);
void weft_remote_beat_close(struct weft_remote *remote);

#endif
