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
 * Only http and https, HTTP/1.1 unless HTTP/2 is asked for. No cookies, no cache, no netrc, no
 * proxy of the environment unless asked for. The work is libcurl's; it runs between the fibers of
 * each worker, on the worker's thread and its stack (64 KiB are plenty): no thread is made, and no
 * fiber but the caller's. */
#ifndef WEFT_HTTP_CLIENT_H
#define WEFT_HTTP_CLIENT_H

#include <weft/base.h>

#include <sys/socket.h>

WEFT_BEGIN_DECLS

struct weft_http_client;

/* Zero means the default. Times are lengths in nanoseconds. Strings are not copied. */
struct weft_http_client_options {
    unsigned connections_max;      /* requests under way at once on each worker, and so connections,
                                      the idle ones included; 0 means 1,000. Others wait, hosts in
                                      turn */
    unsigned host_connections_max; /* the same for one host and port; 0: as many as in all */
    unsigned waiting_max;          /* on each worker; 0 means 65,536; then WEFT_EFULL */
    int64_t connect_timeout_ns;    /* for name, connection and TLS together; 10 s; at most 300 s */
    int64_t total_timeout_ns;      /* for a request with its redirects, the wait included; 60 s */
    int64_t idle_timeout_ns;       /* a connection that was idle for longer is not used again; 30 s,
                                      counted in whole seconds */
    unsigned redirects_max;        /* followed; 0: none, a redirect is the response */
    size_t response_bytes_max;     /* of a body in memory; 8 MiB; beyond it -EMSGSIZE. A head may
                                      have 64 KiB */
    const char *user_agent;        /* NULL means "weft/VERSION"; "": none */
    int http2;                     /* not 0: over TLS, where the server has it; requests share a
                                      connection */
    const char *ca_file;           /* PEM; NULL means the system's authorities */
    int tls_insecure;              /* not 0: any certificate will do. For tests only */
    const char *proxy;             /* "http://host:port", "https://..."; NULL: none */
    int proxy_of_environment; /* not 0: http_proxy, https_proxy, all_proxy, no_proxy, as they are
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

/* Everything is the caller's, and used until weft_http_send returns. */
struct weft_http_request {
    const char *url;
    const char *method; /* NULL means "GET", with a body "POST" */
    /* Instead of fields that the client would send by itself (Accept, Host, User-Agent).
     * Content-Length, Transfer-Encoding and Expect are its own business: -EINVAL. At most 100, and
     * 64 KiB. */
    const struct weft_http_field *fields;
    size_t fields_count;
    const void *body; /* NULL: none */
    size_t body_len;
    size_t response_bytes_max; /* 0 means that of the client; with on_body: no limit */

    /* Take the response's body in pieces instead of in memory. Called on the calling fiber, which
     * may suspend in it; meanwhile the server is held back, with at most 128 KiB taken from it. A
     * negative result ends the request and is what weft_http_send returns. A redirect that is
     * followed has its body thrown away. */
    int (*on_body)(void *context, const void *bytes, size_t len);
    void *on_body_context;
};

/* Where the time went; of the last request where redirects were followed. 0: there was none, as for
 * connections that were used again. */
struct weft_http_times {
    int64_t name_ns, connect_ns, tls_ns;
    int64_t first_byte_ns; /* from the request to the response's first byte */
    int64_t total_ns;      /* all of weft_http_send */
};

struct weft_http_response {
    int status;       /* 200, 404, ... */
    int http_version; /* 10, 11, 20 */
    const char *body; /* ends with a NUL that does not count; "" where on_body took it */
    size_t body_len;
    const char *url;      /* that this is the response of: another than asked for after redirects */
    unsigned redirects;   /* that were followed */
    unsigned connections; /* that were made; 0: one was used again */
    uint64_t bytes_sent, bytes_received; /* heads and bodies, as the network has them */
    struct weft_http_times times;
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
    uint64_t reused; /* requests on a connection that was there */
    uint64_t addresses_refused;
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
 * ret_response  set in every case, to be released in every case; on failure nothing but times, url
 *               and error has a meaning
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
 *               -EMSGSIZE                        the response is too large, or the request's head
 *               -ELOOP                           more than redirects_max
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
