/* SPDX-License-Identifier: MIT
 * client_internal.h - the HTTP client inside: transfers, and the engine that runs those of one
 * worker.
 *
 * A fiber fills in a transfer, hands it to its worker's engine and parks. Whatever calls libcurl
 * runs in the scheduler, on the thread's own stack, because libcurl and TLS need more than a fiber
 * has; both sides are on one thread, so nothing is locked. The engine works when its timer fires:
 * it is armed for now whenever there is something to do, and so takes all there is in one go.
 *
 * libcurl never looks a name up: it is not let (client_transfer.c), the fiber does, and the
 * transfer begins again with the answer. So there is no thread to wait for when a transfer is
 * stopped. Nor does it send a body again: the fiber does, if its caller can.
 *
 * Where to start: client_send.c for what a fiber does, client_engine.c for what happens then. */
#ifndef WEFT_HTTP_CLIENT_INTERNAL_H
#define WEFT_HTTP_CLIENT_INTERNAL_H

#include <base/buffer.h>
#include <http/client_error.h>
#include <http/client_names.h>
#include <http/client_queue.h>
#include <runtime/worker.h>

#include <weft/http_client.h>
#include <weft/sync.h>

#include <pthread.h>

#define WEFT_HTTP_HOST_MAX         255 /* a name, or an address in brackets */
#define WEFT_HTTP_KEY_BYTES        (WEFT_HTTP_HOST_MAX + sizeof ":65535")
#define WEFT_HTTP_NAMES_MAX        2 /* of the proxy and of the server */
#define WEFT_HTTP_NAME_BYTES_MAX   ((size_t)4 << 10)
#define WEFT_HTTP_REQUEST_HEAD_MAX ((size_t)64 << 10)
#define WEFT_HTTP_LOOK_UPS_MAX     64u /* of names, at once by a worker; others wait */

/* Results of a transfer that has to begin again, not seen outside: it needs to know an address; it
 * needs its body from the beginning. */
#define WEFT_HTTP_NEEDS_NAME 1
#define WEFT_HTTP_NEEDS_BODY 2

enum weft_http_stage {
    WEFT_HTTP_IDLE,    /* nothing was asked for */
    WEFT_HTTP_WAITING, /* for its turn */
    WEFT_HTTP_RUNNING, /* libcurl has it */
    WEFT_HTTP_ENDED,   /* the answer is there */
};

/* What a fiber asks for. */
struct weft_http_question {
    const char *url, *method; /* method NULL: GET */
    const void *body;         /* NULL: none, or the fiber gives it in pieces */
    size_t body_len, body_max;
    bool gives;      /* the fiber gives the body; body_len 0: it does not know how much */
    bool has_type;   /* among the fields is a Content-Type */
    bool streams;    /* the response's body goes to the fiber in pieces */
    bool wants_head; /* the fiber wants to know of the response's head at once */
    bool decodes;    /* libcurl decodes what servers encode */
    bool may_follow; /* a redirect is not the response */
    bool fresh;      /* not on a connection that was there */
};

/* One request and its response. */
struct weft_http_transfer {
    struct weft_link all;         /* in engine->transfers */
    struct weft_link work;        /* in one of the engine's other lists, or none */
    struct weft_http_place place; /* in engine->queue, while it waits or runs */
    struct weft_http_engine *engine;
    struct weft_fiber *fiber; /* that is parked for news of this one, or NULL */
    enum weft_http_stage stage;
    bool has_turn; /* it counts as running in engine->queue */
    bool late;     /* what the fiber stops it for */

    /* By the fiber, before it is submitted. */
    struct weft_http_question question;
    struct weft_buffer lines; /* "Name: value" and NUL, for each field */
    struct weft_buffer names; /* what was looked up, as CURLOPT_RESOLVE takes it, with NULs */
    unsigned lines_len, names_len;
    struct weft_buffer cookie; /* the fields "Cookie", where there is a jar */
    unsigned literals;         /* names that are IPv6 addresses: libcurl reads them itself */
    int64_t submitted_ns;
    int64_t connect_by_ns; /* 0: nothing has begun to connect */

    /* By the engine. */
    CURL *easy;
    struct curl_slist *nodes; /* of lines, and of libcurl's own that are turned off */
    struct curl_slist name_nodes[WEFT_HTTP_NAMES_MAX];
    unsigned nodes_capacity;
    int64_t turn_ns;         /* waited for its turn */
    struct weft_link opened; /* sockets that it opened and that are not made yet */
    int64_t tls_at_ns;       /* TCP was there; 0: it is not, or was before */
    int64_t asked_at_ns;     /* the request began; 0: it has not, or nobody asks for it */
    int64_t sent_at_ns;      /* libcurl took the last piece of the body; 0 as above */
    int64_t answered_at_ns;  /* the response's first line; 0 as above */
    bool connected;
    bool paused;     /* libcurl holds the body back until the fiber has taken some */
    bool starved;    /* libcurl waits until the fiber has given some of the body */
    bool wants_body; /* and has begun to ask for it */
    bool rewinds;    /* libcurl wants the body from its beginning */
    bool refused;    /* allow_address said no */
    bool asked_name; /* libcurl wanted to look a name up */
    bool discards;   /* the body of a redirect that is followed */
    bool head_ended, has_location;
    bool same_origin;   /* the redirect stays there */
    unsigned encodings; /* of the body, but for "chunked" */
    unsigned cookies;   /* that the response sets */
    int status;         /* of the head so far */
    int version;        /* likewise; 10, 11, 20; 0: none yet */
    int failure;        /* a callback has ended it with that, 0: none has */
    const char *why;    /* and the sentence for it */
    uint64_t body_bytes;
    uint64_t moved; /* bytes that came or were taken, for who wants to see that it goes on */
    char error[CURL_ERROR_SIZE];

    /* The request's body: the piece that libcurl takes from, the fiber's until it has all of it. */
    const char *given;
    size_t given_len;
    bool given_all;
    uint64_t taken; /* in all */

    /* The response: the URL, a NUL, fields as "name", NUL, "value", NUL, then the body. */
    struct weft_buffer reply;
    size_t fields_at, fields_len;
    struct weft_buffer pieces; /* of a body that streams: what the fiber has not taken yet */

    /* The answer, once it has ended. */
    int result; /* 0, WEFT_HTTP_NEEDS_..., or negative with error */
    int http_version;
    uint64_t bytes_sent, bytes_received;
    struct weft_http_times times;
    char *location; /* where a redirect leads, on the heap */
    unsigned connections;
    uint16_t name_port;
    char name[WEFT_HTTP_HOST_MAX + 1]; /* that is needed */
};

struct weft_http_socket;

/* The cookies of a client, for all its workers (client_cookies.c). */
struct weft_http_jar {
    CURLSH *share;
    pthread_mutex_t cookies_mutex, share_mutex;
    uint64_t set; /* by servers, since somebody counted what is there */
    uint64_t forgotten;
    unsigned cookies_max;
};

struct weft_http_engine {
    struct weft_http_client_options options;
    const char *proxies[2]; /* for http, https; NULL: none */
    const char *no_proxy;
    struct weft_http_jar *jar;  /* NULL: no cookies */
    struct weft_worker *worker; /* NULL: it has ended without the client having been closed */
    CURLM *multi;
    struct weft_timer timer;
    bool armed, kicked;         /* the timer is; for now */
    int64_t curl_due_ns;        /* when libcurl wants to be called, WEFT_FOREVER: not at all */
    struct weft_link transfers; /* all there are */
    struct weft_link idle, arrived, stopping, resuming;
    unsigned idle_len;
    struct weft_http_queue queue;
    struct weft_http_names names;
    struct weft_semaphore look_ups;
    bool notes_times;                 /* somebody asks when requests began */
    struct weft_link sockets, ready;  /* all, and those that libcurl is to be told of */
    struct weft_http_socket *current; /* that libcurl is told of; NULL when it was closed */
    bool closed;
    struct weft_http_client_stats counts;
};

struct weft_http_client {
    struct weft_http_client_options options;
    char *proxies[2], *no_proxy;
    struct weft_http_jar *jar;
    struct weft_runtime *runtime;
    unsigned engines_len;
    struct weft_http_engine *engines[]; /* by worker; made, and written, by each itself */
};

/* ---- the engine (client_engine.c); by the fiber ----------------------------------------- */

/* The calling worker's engine, made unless it is there: then it suspends.
 * Returns 0 with *ret_engine set; -ENOMEM, -EMFILE, -EINVAL (a proxy), -EIO (libcurl is broken) */
int weft_http_engine_open(struct weft_http_client *client, struct weft_http_engine **ret_engine);

/* End what is under way and close its connections; in the scheduler of the engine's worker or, when
 * that has ended, on any thread. What fibers still hold of it they free. */
void weft_http_engine_close(struct weft_http_engine *engine);
/* The same for the engine of any worker, by a fiber, which suspends. */
void weft_http_engine_close_from(struct weft_http_engine *engine);

/* Borrow a transfer. NULL: no memory. */
struct weft_http_transfer *weft_http_transfer_take(struct weft_http_engine *engine);
void weft_http_transfer_give_back(struct weft_http_transfer *transfer);

/* Have it begin, when its turn comes. Returns 0, WEFT_EFULL, -ESHUTDOWN */
int weft_http_engine_submit(struct weft_http_transfer *transfer);

/* Have it end, if it has not. Suspends until then. */
void weft_http_engine_stop(struct weft_http_transfer *transfer);

/* Have bodies go on that were held back: what its flags do not say to be so any more. */
void weft_http_engine_resume(struct weft_http_transfer *transfer);

/* Park until there is news. Returns 0, -ETIMEDOUT, -ECANCELED */
int weft_http_transfer_park(struct weft_http_transfer *transfer, int64_t deadline_ns,
                            enum weft_park_kind kind);

/* ---- the engine; in the scheduler -------------------------------------------------------- */

/* Have it work soon. */
void weft_http_engine_kick(struct weft_http_engine *engine);

/* Wake the fiber, if it waits for news. */
void weft_http_transfer_news(struct weft_http_transfer *transfer);

/* Counters are written by one thread and read by all. */
#define weft_http_count(at, by) weft_note(at, *(at) + (by))

/* ---- transfers (client_transfer.c); in the scheduler ------------------------------------- */

/* Tell libcurl what is wanted. Returns 0, -ENOMEM, -EMFILE */
int weft_http_transfer_prepare(struct weft_http_transfer *transfer);

/* Read what libcurl knows of it, after it has ended with code. */
void weft_http_transfer_conclude(struct weft_http_transfer *transfer, CURLcode code);

/* The host could not be reached: its addresses are looked up again. */
void weft_http_transfer_unreachable(struct weft_http_transfer *transfer);

/* The proxy for its URL; NULL: none. */
const char *weft_http_transfer_proxy(const struct weft_http_transfer *transfer);

/* ---- heads and bodies (client_body.c); in the scheduler ----------------------------------- */

/* libcurl's callbacks, with the transfer: CURLOPT_HEADERFUNCTION, _WRITEFUNCTION, _READFUNCTION,
 * _SEEKFUNCTION. */
size_t weft_http_take_head(char *line, size_t size, size_t len, void *arg);
size_t weft_http_take_body(char *bytes, size_t size, size_t len, void *arg);
size_t weft_http_give_body(char *bytes, size_t size, size_t len, void *arg);
int weft_http_seek_body(void *arg, curl_off_t offset, int origin);

/* Whether the request's body goes through weft_http_give_body, also where it is in memory. */
bool weft_http_gives_body(const struct weft_http_transfer *transfer);

/* ---- cookies (client_cookies.c) ------------------------------------------------------------ */

/* Returns 0, -ENOMEM, -EIO (libcurl is broken) */
int weft_http_jar_open(struct weft_http_jar **ret_jar, unsigned cookies_max);
void weft_http_jar_close(struct weft_http_jar *jar); /* NULL is fine */

/* Have a transfer send and keep cookies. In the scheduler */
CURLcode weft_http_jar_use(struct weft_http_jar *jar, CURL *easy);

/* A server has set so many cookies: forget all if there are too many. In the scheduler */
void weft_http_jar_count(struct weft_http_jar *jar, CURL *easy, unsigned cookies);

/* ---- sockets (client_socket.c); in the scheduler ----------------------------------------- */

/* The transfer is on a connection: those it has opened are made. */
void weft_http_socket_made(struct weft_http_transfer *transfer);

/* libcurl's callbacks: CURLOPT_OPENSOCKETFUNCTION with the transfer, _CLOSESOCKETFUNCTION with the
 * engine, CURLMOPT_SOCKETFUNCTION with the engine. */
curl_socket_t weft_http_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
int weft_http_socket_close(void *arg, curl_socket_t fd);
int weft_http_socket_want(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused);

/* Tell libcurl of the first ready socket. */
void weft_http_socket_serve(struct weft_http_engine *engine);

/* ---- URLs (client_url.c); in the scheduler ----------------------------------------------- */

/* The host as libcurl looks it up, an IPv6 address in brackets, and the port.
 * Returns 0, -EINVAL, -ENOMEM */
int weft_http_url_host(const char *text, char ret_host[WEFT_HTTP_HOST_MAX + 1], uint16_t *ret_port);

/* "host:port", as a name for turns. Returns 0, -EINVAL, -ENOMEM */
int weft_http_url_key(const char *text, char ret_key[WEFT_HTTP_KEY_BYTES]);

bool weft_http_url_is_secure(const char *text);

bool weft_http_url_same_origin(const char *one, const char *other);

/* Whether it is "http://host:port" or "https://host:port", the scheme not required. */
bool weft_http_url_is_proxy(const char *text);

/* ---- heads ------------------------------------------------------------------------------- */

/* Put a line of a head into the reply, and see what it means (client_head.c). */
void weft_http_head_line(struct weft_http_transfer *transfer, const char *line, size_t len);

#endif
