/* SPDX-License-Identifier: MIT
 * http_client.h - HTTP requests from fibers: straight-line code, thousands of them at once.
 *
 *     struct weft_http_client *client;
 *     struct weft_http_response response;
 *     weft_http_client_open(&client, NULL);
 *     const struct weft_http_request request = {.url = "http://127.0.0.1:8001/healthz"};
 *     int err = weft_http_send(client, &request, &response, weft_now() + 5 * WEFT_SEC);
 *     if (err == 0)
 *         printf("%d: %s\n", response.status, response.body);
 *     else
 *         printf("%s\n", response.error);
 *     weft_http_response_release(&response);
 *     weft_http_client_close(client);
 *
 * A status of 404 or 500 is a response like any other: the result is 0. Connections are kept and
 * used again, by the worker that made them. A request that a kept connection cannot take any more
 * (the server has closed it, and no byte of a response has come) is sent again on a fresh one,
 * whatever its method.
 *
 * Only http and https, HTTP/1.1 unless HTTP/2 is asked for. No cookies, no compressed bodies, no
 * cache, no netrc, no proxy of the environment unless asked for. The work is libcurl's; it runs
 * between the fibers of each worker, on the worker's thread and its stack (64 KiB are plenty): no
 * thread is made, and no fiber but the caller's. */
#ifndef WEFT_HTTP_CLIENT_H
#define WEFT_HTTP_CLIENT_H

#include <weft/base.h>

#include <sys/socket.h>
#include <sys/types.h>

WEFT_BEGIN_DECLS

struct weft_http_client;

/* Which HTTP is spoken. */
enum weft_http2 {
    WEFT_HTTP2_OFF, /* HTTP/1.1 */
    WEFT_HTTP2_TLS, /* HTTP/2 over TLS, where the server has it; else HTTP/1.1 */
    WEFT_HTTP2_ALL  /* the same, and without TLS nothing but HTTP/2, unasked ("prior knowledge",
                       h2c): for servers that are known to speak it */
};

/* Zero means the default. Times are lengths in nanoseconds. Strings are not copied. */
struct weft_http_client_options {
    unsigned connections_max;      /* on each worker, the idle ones included; 0 means 1,000. Without
                                      HTTP/2 as many requests are under way at once; others wait,
                                      hosts in turn */
    unsigned host_connections_max; /* the same for one host and port; 0: as many as in all */
    unsigned requests_max; /* under way at once on each worker; 0 means connections_max, with
                              HTTP/2 ten times that */
    unsigned waiting_max;  /* on each worker; 0 means 65,536; then WEFT_EFULL */

    /* How long each part of a request may take, and all of it: -ETIMEDOUT */
    int64_t connect_timeout_ns;    /* for name, connection and TLS together; 10 s; at most 300 s */
    int64_t name_timeout_ns;       /* for the name alone; 0: no limit of its own */
    int64_t tls_timeout_ns;        /* for TLS alone; 0: no limit of its own */
    int64_t first_byte_timeout_ns; /* from the request, or the last of its body that on_read gave,
                                      to the response's first byte; 0: none */
    int64_t stall_timeout_ns;      /* while requests and responses are on their way; 0: none. In no
                                      such time may fewer than stall_bytes come and go. The time
                                      that on_read, on_head and on_body take does not count */
    uint64_t stall_bytes;          /* 0 means 1 */
    int64_t total_timeout_ns;      /* for a request with its redirects, the wait included; 60 s */

    int64_t idle_timeout_ns;   /* a connection that was idle for longer is not used again; 30 s,
                                  counted in whole seconds */
    int64_t lifetime_ns;       /* nor is one that was made longer ago; 0: no limit; counted in
                                  whole seconds */
    int no_reuse;              /* not 0: each request has a connection of its own */
    int64_t names_kept_ns;     /* how long addresses are used before they are asked for again;
                                  60 s. Those that could not be connected to are not kept */
    unsigned names_max;        /* kept on each worker, then the oldest goes; 0 means 1,024 */
    unsigned redirects_max;    /* followed; 0: none, a redirect is the response */
    size_t response_bytes_max; /* of a body in memory; 8 MiB; beyond it -EMSGSIZE. A head may
                                  have 64 KiB */
    const char *user_agent;    /* NULL means "weft/VERSION"; "": none */
    int http2;                 /* enum weft_http2; requests then share connections: a further
                                  one is made when all have streams_max requests */
    unsigned streams_max;      /* requests at once on one HTTP/2 connection; 0 means 100; fewer
                                  where the server wants fewer */
    int decompress;            /* not 0: ask for bodies in gzip, deflate, br, zstd, as far as
                                  libcurl has them, and decode them. The fields of the response
                                  stay as they came; limits are of what was decoded */
    unsigned ratio_max;        /* a decoded body may be that many times larger than what came of it
                                  and 16 KiB; 0 means 200; beyond it -EMSGSIZE */
    int cookies;               /* not 0: keep cookies, in memory, and send them back: one jar for
                                  all workers, which libcurl keeps by RFC 6265, with the list of
                                  public suffixes where it has that. A field "Cookie" is sent
                                  behind them, and only to the first server */
    unsigned cookies_max;      /* 0 means 10,000; when there are more all are forgotten. Looked
                                  at after every so many that servers have set */
    const char *ca_file;       /* PEM; NULL means the system's authorities */
    int tls_insecure;          /* not 0: any certificate will do. For tests only */
    const char *proxy;         /* "http://host:port", "https://..."; NULL: none */
    int proxy_of_environment;  /* not 0: http_proxy, https_proxy, all_proxy, no_proxy, as they are
                                  at open */

    /* Whether an address may be connected to, asked for every connection, after the name was looked
     * up: no name that changes its address and no redirect gets around it. 0 refuses: -EACCES.
     * Called on the worker's thread, outside of fibers: must not wait, nor call weft. NULL: all
     * may. weft_http_address_is_public is one. Not with a proxy, which would connect for us. */
    int (*allow_address)(void *context, const struct sockaddr *address, socklen_t len);
    void *allow_address_context;
};

/* A header field. */
struct weft_http_field {
    const char *name, *value;
};

struct weft_http_response;

/* Everything is the caller's, and used until weft_http_send returns. */
struct weft_http_request {
    const char *url;
    const char *method; /* NULL means "GET", with a body "POST" */
    /* Instead of fields that the client would send by itself (Accept, Host, User-Agent).
     * Content-Length, Transfer-Encoding and Expect are its own business: -EINVAL. At most 100, and
     * 64 KiB. */
    const struct weft_http_field *fields;
    size_t fields_count;
    const void *body;          /* NULL: none */
    size_t body_len;           /* with on_read: as many bytes as it will give; 0: nobody knows */
    size_t response_bytes_max; /* 0 means that of the client; with on_body: no limit */

    /* Give the request's body in pieces instead of in memory; body is NULL then. Called on the
     * calling fiber, which may suspend in it, from when there is a connection: writes at most size
     * bytes and returns how many, 0 at the end. A negative result ends the request and is what
     * weft_http_send returns. At most 128 KiB are taken that the server has not. One that ends
     * before body_len is -EINVAL. While it is in on_read the fiber takes nothing of the response.
     *
     * A body can be given once. When it has to be sent again, because a kept connection turned out
     * to be closed, or a redirect (307, 308) wants it elsewhere, on_rewind is called, on the same
     * fiber, and on_read begins anew. NULL, or a negative result: it cannot; that, or -ESPIPE, is
     * what weft_http_send returns. */
    ssize_t (*on_read)(void *context, void *bytes, size_t size);
    int (*on_rewind)(void *context);
    void *on_read_context;

    /* With on_body: called before its first call, and without a body as well, when the head of the
     * response is there: response->status, http_version, url, redirects and its fields, until it
     * returns. A negative result ends the request and is what weft_http_send returns. Not called
     * for a redirect that is followed. */
    int (*on_head)(void *context, const struct weft_http_response *response);

    /* Take the response's body in pieces instead of in memory. Called on the calling fiber, which
     * may suspend in it; meanwhile the server is held back, with at most 128 KiB taken from it
     * (where they have to be decoded, that is before they are). A negative result ends the request
     * and is what weft_http_send returns. A redirect that is followed has its body thrown away. */
    int (*on_body)(void *context, const void *bytes, size_t len);
    void *on_body_context; /* of on_head as well */
};

/* How far a request has come. */
enum weft_http_phase {
    WEFT_HTTP_AT_TURN,       /* it waits until it may begin */
    WEFT_HTTP_AT_NAME,       /* the name is looked up */
    WEFT_HTTP_AT_CONNECT,    /* a connection is made */
    WEFT_HTTP_AT_TLS,        /* and secured; until here the server has not got a byte of it */
    WEFT_HTTP_AT_FIRST_BYTE, /* it is on its way; nothing of the response has come */
    WEFT_HTTP_AT_BODY,       /* the response is on its way */
    WEFT_HTTP_AT_END         /* the response is there */
};

/* Where the time went, each part without the others; of the last request where redirects were
 * followed, but for the total. 0: there was none, as for connections that were used again. */
struct weft_http_times {
    int64_t turn_ns; /* waited until it might begin, the only part before the attempt itself */
    int64_t name_ns, connect_ns, tls_ns;
    int64_t send_ns;       /* until the last of a body that on_read gave was taken; else 0 */
    int64_t first_byte_ns; /* from there, or from the request, to the response's first byte */
    int64_t body_ns;       /* from there to its last */
    int64_t total_ns;      /* all of weft_http_send */
};

struct weft_http_response {
    int status;       /* 200, 404, ... */
    int http_version; /* 10, 11, 20 */
    const char *body; /* ends with a NUL that does not count; "" where on_body took it */
    size_t body_len;
    uint64_t body_bytes;  /* of the body, decoded, where on_body took it as well */
    const char *url;      /* that this is the response of: another than asked for after redirects */
    unsigned redirects;   /* that were followed */
    unsigned connections; /* that were made; 0: one was used again */
    uint64_t bytes_sent, bytes_received; /* heads and bodies, as the network has them */
    struct weft_http_times times;
    int phase;       /* enum weft_http_phase: how far it came, of the last request */
    char error[160]; /* why it failed, a sentence; "" when it did not */
    /* private */
    char *storage;
    size_t fields_at, fields_len;
};

/* Counters since open, over all workers; *_now are present numbers. */
struct weft_http_client_stats {
    uint64_t requests;  /* that were begun, redirects included */
    uint64_t responses; /* of these, got a whole response */
    uint64_t redirects; /* that were followed */
    uint64_t connections;
    uint64_t reused;             /* responses on a connection that was there */
    uint64_t connections_failed; /* that were not made: refused, no TLS, too late, cancelled */
    uint64_t names_asked;        /* of name services, by the way of weft_resolve */
    uint64_t names_reused;       /* addresses that were kept from before */
    uint64_t addresses_refused;
    uint64_t cookies_forgotten; /* because of cookies_max */
    unsigned requests_now, waiting_now, connections_now;
};

/* Make a client. Its connections come with the requests.
 *
 * options  NULL means all defaults; copied, but for the strings, which must live until close
 * Returns  0; -EINVAL (options, a proxy without scheme or port, a proxy and allow_address),
 * -ENOMEM, -EMFILE, -EPERM outside a runtime Threads  any worker of the runtime may use it.
 * Suspends, and cannot be cancelled */
WEFT_API int weft_http_client_open(struct weft_http_client **ret_client,
                                   const struct weft_http_client_options *options);

/* Send a request and take the response.
 *
 * ret_response  set in every case, to be released in every case; on failure nothing but times, url,
 *               phase, redirects and error has a meaning
 * Returns       0, whatever the status; or what on_body said; or
 *
 *               -ETIMEDOUT                       the deadline, or a time of the options
 *               -ECANCELED                       the caller's scope
 *               -ECONNREFUSED, -EHOSTUNREACH ... the connection could not be made
 *               -EADDRNOTAVAIL, -EAGAIN          no such name; no name service (weft_resolve)
 *               -EACCES                          allow_address said no
 *               -ECONNRESET, -EPIPE              the connection broke before the response's end
 *               -EKEYREJECTED                    the server's certificate is not good for it
 *               -EPROTO                          what came is neither TLS nor HTTP
 *               -EMSGSIZE                        the response is too large, decoded or not, or the
 *                                                request's head
 *               -ELOOP                           more than redirects_max
 *               -ESPIPE                          its body would have to be sent again
 *               -EINVAL, -EPROTONOSUPPORT        the request; its URL, or a redirect's
 *               WEFT_EFULL                       waiting_max
 *               -ESHUTDOWN                       the client was closed meanwhile
 *               -EAGAIN, -EPERM, -ENOMEM         WEFT_NOWAIT; outside of its runtime
 *
 *               On failure the server may have got the request, and acted on it
 * Cancelled     it returns when its connection is closed, at once. Suspends; a checkpoint */
WEFT_API int weft_http_send(struct weft_http_client *client,
                            const struct weft_http_request *request,
                            struct weft_http_response *ret_response, int64_t deadline_ns);

/* A header field of the response by name in any case, the first if there are several; NULL when it
 * is absent. The fields of redirects and of trailers are not kept. */
WEFT_API const char *weft_http_response_field(const struct weft_http_response *response,
                                              const char *name);

/* The fields in order. Returns 1 with *ret_field set, 0: there are not so many. */
WEFT_API int weft_http_response_field_at(const struct weft_http_response *response, size_t index,
                                         struct weft_http_field *ret_field);

/* Free what a response holds. Twice is fine. Never suspends. */
WEFT_API void weft_http_response_release(struct weft_http_response *response);

/* Read the counters, from any worker. */
WEFT_API void weft_http_client_stats(struct weft_http_client *client,
                                     struct weft_http_client_stats *ret_stats);

/* Close all connections and free it. Requests under way end with -ESHUTDOWN; nobody may begin
 * another. NULL is fine.
 * Threads  a fiber of its runtime, which suspends and cannot be cancelled; or, when weft_run has
 *          returned, any thread */
WEFT_API void weft_http_client_close(struct weft_http_client *client);

/* For allow_address, against requests that strangers may aim: 1 for addresses of the public
 * internet; 0 for loopback, private, link-local and shared ones (100.64.0.0/10), multicast,
 * documentation, benchmarks, what is reserved, unspecified or not IP, unique local and site-local
 * IPv6, Teredo, and for IPv6 forms of all these IPv4 addresses (mapped, 6to4, NAT64). Private
 * services of a cloud behind public addresses it cannot know. context is not used.
 * Source   IANA's registries of special-purpose addresses */
WEFT_API int weft_http_address_is_public(void *context, const struct sockaddr *address,
                                         socklen_t len);

WEFT_END_DECLS

#endif
