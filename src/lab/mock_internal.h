/* SPDX-License-Identifier: MIT
 * mock_internal.h - the mock server's parts. A request comes in at mock_request.c, which counts it
 * and lets chance strike; the routes are listed in mock_routes.c, and answered in the files that
 * are named there. */
#ifndef WEFT_LAB_MOCK_INTERNAL_H
#define WEFT_LAB_MOCK_INTERNAL_H

#include <weft/http_server.h>
#include <weft/mock.h>

#include <lab/mock_latency.h>
#include <lab/mock_limit.h>
#include <lab/mock_site.h>

#include <base/buffer.h>
#include <http/listen_address.h>
#include <weft/sync.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#define WEFT_MOCK_ROWS_MAX    80u
#define WEFT_MOCK_STATUS_MIN  200
#define WEFT_MOCK_STATUSES    400                /* 200 to 599 */
#define WEFT_MOCK_BLOCK_BYTES ((size_t)64 << 10) /* of what large bodies are made of */

struct weft_mock_request;

/* What there is under one path for one method. Rows with the same path stand together and are
 * counted together. */
struct weft_mock_row {
    const char *method, *pattern;
    void (*answer)(struct weft_mock_request *request);
    int64_t latency_ns; /* where neither the request nor the options say */
    enum weft_mock_kind {
        WEFT_MOCK_API,     /* latency, errors, resets and the rate limit strike it */
        WEFT_MOCK_PLAIN,   /* none of them does */
        WEFT_MOCK_CONTROL, /* likewise, and it is not counted */
    } kind;
    size_t body_bytes_max; /* 0: the server's */
};

extern const struct weft_mock_row weft_mock_rows[];
extern const unsigned weft_mock_rows_count;

/* Written by every worker. What each request touches comes first and shares a cache line. */
struct weft_mock_counters {
    _Alignas(64) uint64_t requests;
    uint64_t bytes, resets, abandoned;
    unsigned now, most;
    uint64_t status[WEFT_MOCK_STATUSES];
};

/* One of the threads that serve. */
struct weft_mock_worker {
    struct weft_mock *mock;
    struct weft_http_server *server; /* set once it listens */
};

struct weft_mock {
    /* Settings, which do not change. */
    struct weft_listen_address listen;
    char url[WEFT_LISTEN_TEXT_MAX + 8];
    uint64_t seed;
    bool has_latency, limited, retry_after_date;
    struct weft_mock_latency latency;
    double error_rate, reset_rate;
    struct weft_mock_quota quota;
    const char *robots;
    int robots_status;
    struct weft_mock_site site;

    struct weft_http_route routes[WEFT_MOCK_ROWS_MAX];
    unsigned counted_as[WEFT_MOCK_ROWS_MAX]; /* the first row with the same path */
    uint64_t keys[WEFT_MOCK_ROWS_MAX];       /* what sets this path's chances apart */
    struct weft_http_server_options server_options;
    struct weft_mock_worker *workers;
    unsigned workers_count;
    int64_t started_ns;

    struct weft_mock_counters *counters; /* by row */
    struct weft_mock_stats before;       /* what the servers had counted at the last reset */
    struct weft_mock_limit limit;
    char *block; /* WEFT_MOCK_BLOCK_BYTES of noise */
    pthread_mutex_t bomb_lock;
    struct weft_mock_bomb *bomb; /* made when first asked for */

    struct weft_event drain;
    void (*ready)(void *context, const struct weft_mock *mock);
    void *context;

    struct weft_mock_thread *thread; /* of weft_mock_start; NULL without */
};

/* One request, on the stack of its fiber. */
struct weft_mock_request {
    struct weft_mock *mock;
    struct weft_http_exchange *exchange;
    const struct weft_mock_row *row;
    struct weft_mock_counters *counters;
    unsigned counted_as;
    uint64_t number;  /* among those of its path, from 0 */
    int64_t slept_ns; /* how long it was made to wait */
    bool hidden;      /* the body of the reply in pieces stays here: it is one to HEAD */
    bool lost;        /* the client has left, and was counted */
};

/* What a number is drawn for: each has its own, so that one option does not change what becomes of
 * another. */
enum weft_mock_chance {
    WEFT_MOCK_CHANCE_LATENCY,
    WEFT_MOCK_CHANCE_LATENCY_TOO,
    WEFT_MOCK_CHANCE_RESET,
    WEFT_MOCK_CHANCE_RESET_PLACE,
    WEFT_MOCK_CHANCE_ERROR,
    WEFT_MOCK_CHANCE_OWN, /* the route's */
};

/* ---- mock_request.c ---------------------------------------------------------------------- */

/* The handler of every route; its context is the mock. */
void weft_mock_handle(struct weft_http_exchange *exchange, void *context);

/* A number in [0, 1), the same for the same seed, path, number of the request and purpose. */
double weft_mock_draw(const struct weft_mock_request *request, enum weft_mock_chance chance);

/* Wait, as long as the client does.
 * Returns  0, -EPIPE: it has left; -ECANCELED. Suspends */
int weft_mock_pause(struct weft_mock_request *request, int64_t duration_ns);

/* Replies, counted. The first two never suspend. */
void weft_mock_reply(struct weft_mock_request *request, int status, const char *content_type,
                     const void *body, size_t len);
/* format  of a JSON value, of at most 1 KiB */
void weft_mock_reply_json(struct weft_mock_request *request, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* {"detail": "..."} */
void weft_mock_reply_error(struct weft_mock_request *request, int status, const char *detail);

enum weft_mock_framing {
    WEFT_MOCK_CHUNKED,
    WEFT_MOCK_SIZED,
    WEFT_MOCK_RAW, /* what is written is all there is; the status is only counted */
};

/* The same in pieces: as in http_server.h, where what they return is told. Suspend. */
int weft_mock_begin(struct weft_mock_request *request, int status, const char *content_type,
                    enum weft_mock_framing framing, uint64_t len);
int weft_mock_write(struct weft_mock_request *request, const void *data, size_t len);
int weft_mock_end(struct weft_mock_request *request);

/* Write len bytes of noise: those from offset at of an endless sequence. Suspends. */
int weft_mock_write_noise(struct weft_mock_request *request, uint64_t at, uint64_t len);

/* Bytes that belong to a head are no body. */
int weft_mock_write_head(struct weft_mock_request *request, const char *text);

/* A text that is made piece by piece. What is short goes out in one piece, what is long in chunks
 * while it is made. Suspends. After an error the rest has no effect. */
struct weft_mock_text {
    struct weft_mock_request *request;
    const char *content_type;
    struct weft_buffer bytes; /* not sent yet: append to it, then call flush now and then */
    bool begun;
    int err;
};
void weft_mock_text_begin(struct weft_mock_text *text, struct weft_mock_request *request,
                          const char *content_type);
int weft_mock_text_flush(struct weft_mock_text *text); /* Returns 0, or why nobody takes more */
void weft_mock_text_end(struct weft_mock_text *text);

/* End the connection, with a reset or without. Suspends. */
void weft_mock_hang_up(struct weft_mock_request *request, bool reset);

/* Put Retry-After into the reply: in the form that "form" in the query names, seconds or date, or
 * else the options. Returns false after a reply: it names none of them */
bool weft_mock_retry_after(struct weft_mock_request *request, int64_t wait_ns);

/* Answer 429 if the client has used up the quota, by its X-Client header or its address; a route
 * that has a limit of its own has its own name for it.
 * Returns  whether to go on */
bool weft_mock_within(struct weft_mock_request *request, const struct weft_mock_quota *quota,
                      const char *name);

/* ---- mock_query.c: parameters, which are good or get a 422 ------------------------------- */

/* Each leaves *value as it is where the parameter is absent.
 * Returns  false after a reply */
bool weft_mock_query_count(struct weft_mock_request *request, const char *name, uint64_t min,
                           uint64_t max, uint64_t *value);
bool weft_mock_query_share(struct weft_mock_request *request, const char *name, double *value);
bool weft_mock_query_flag(struct weft_mock_request *request, const char *name, bool *value);
/* "1s"; plain digits are milliseconds. */
bool weft_mock_query_time(struct weft_mock_request *request, const char *name, int64_t max_ns,
                          int64_t *value);
/* A distribution, of the name "latency"; plain digits are milliseconds, 0 to 5000. */
bool weft_mock_query_latency(struct weft_mock_request *request, struct weft_mock_latency *latency);
/* One of count words; *value becomes its number. */
bool weft_mock_query_word(struct weft_mock_request *request, const char *name,
                          const char *const words[], unsigned count, unsigned *value);
/* The route's own parameter, of the type int. */
bool weft_mock_param_count(struct weft_mock_request *request, const char *name, uint64_t min,
                           uint64_t max, uint64_t *value);

/* "Host" as the client wrote it, if it can be one, or where the server listens. */
#define WEFT_MOCK_HOST_MAX 255u
const char *weft_mock_host(const struct weft_mock_request *request);

/* ---- mock_settings.c --------------------------------------------------------------------- */

/* Check the options and fill in what follows from them. Returns 0, -EINVAL */
int weft_mock_settings(struct weft_mock *mock, const struct weft_mock_options *options,
                       char *ret_error, size_t error_bytes);

/* ---- mock_stats.c ------------------------------------------------------------------------ */

static inline void weft_mock_count(uint64_t *counter, uint64_t amount)
{
    (void)__atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

/* ---- mock_gzip.c ------------------------------------------------------------------------- */

void weft_mock_bomb_free(struct weft_mock_bomb *bomb);

#endif
