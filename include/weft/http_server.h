/* SPDX-License-Identifier: MIT
 * http_server.h - an HTTP/1.1 server on fibers: one fiber per connection, straight-line handlers.
 *
 *     static void hello(struct weft_http_exchange *exchange, void *context)
 *     {
 *         weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
 *     }
 *     static const struct weft_http_route routes[] = {
 *         {.method = "GET", .pattern = "/hello", .handler = hello},
 *     };
 *
 * Patterns may hold typed parameters: "/status/{id:uuid}", "/users/{n:int}", "/files/{name}". HEAD
 * is answered by the GET handler without the body; a known path with another method gets 405, and
 * OPTIONS 204, both with "Allow". A parameter of another type makes the route not match.
 * Keep-alive, pipelining, chunked bodies and "Expect: 100-continue" are the server's business.
 *
 * A request is decided by its head before its body is read: one without a route, or one that
 * weft_http_server_options.admit turns down, is answered at once. With "Expect: 100-continue" the
 * body is not invited then, and the connection ends with the reply, because the client may send the
 * body or not; so it does when the body is chunked or longer than 64 KiB. A shorter one is read and
 * dropped, and the connection stays.
 *
 * What is malformed, too large or too slow is answered with {"detail": "..."} and the end of the
 * connection. Beside the options below: a target of 8 KiB (414), 100 headers (431), 64 MiB of
 * reply (500). Replies to pipelined requests leave together, so a slow handler may hold back the
 * replies of quick ones before it. */
#ifndef WEFT_HTTP_SERVER_H
#define WEFT_HTTP_SERVER_H

#include <weft/select.h>

WEFT_BEGIN_DECLS

struct weft_address;
struct weft_http_exchange; /* one request and its reply; valid until the handler returns */
struct weft_http_server;

/* Answers one request on the connection's fiber; it may suspend. Without a reply: 500. */
typedef void (*weft_http_handler)(struct weft_http_exchange *exchange, void *context);

/* Zero means the default; what comes to it later goes to the end. */
struct weft_http_route {
    const char *method; /* "GET", "POST", ... */
    /* Begins with "/"; at most 16 segments and 8 parameters. A literal segment wins over a
     * parameter, "{x:uuid}" over "{x:int}", and that over "{x}", which takes what is not empty. */
    const char *pattern;
    weft_http_handler handler;
    size_t body_bytes_max; /* the server's; beyond it 413; at most 1 GiB */
};

/* Decides, by its head alone, whether a request that has a route is served; on the connection's
 * fiber, it may suspend. It reads the request as a handler does, but for the body, which is empty
 * here; what it has read is valid until it returns.
 *
 * Returns  1: go on. 0, or an error: turned down, with the reply it has made (401, 415, 429, ...),
 *          or 403 if it has made none. A request that has its reply is not handled in any case */
typedef int (*weft_http_admit)(struct weft_http_exchange *exchange,
                               const struct weft_http_route *route, void *context);

/* Zero means the default. Times are lengths in nanoseconds. */
struct weft_http_server_options {
    const char *address; /* numeric; NULL means "127.0.0.1" */
    uint16_t port;       /* 0 picks a free one */
    const struct weft_http_route *routes;
    size_t routes_count;
    void *context;             /* handed to every handler, and to admit */
    weft_http_admit admit;     /* asked before the body is read; NULL: everybody is admitted */
    size_t header_bytes_max;   /* request line and headers; 16 KiB; beyond it 431 */
    size_t body_bytes_max;     /* where the route says nothing; 1 MiB; beyond it 413 */
    unsigned connections_max;  /* 10,000; beyond it 503 and close */
    int64_t header_timeout_ns; /* from the first byte to the end of the headers; 10 s; 408 */
    int64_t body_timeout_ns;   /* from the headers to the end of the body; 30 s; 408 */
    int64_t idle_timeout_ns;   /* between requests; 60 s; closed without a word */
    int64_t write_timeout_ns;  /* for one reply to be taken; 30 s; closed */
    const char *server_name;   /* "Server" header; NULL means none */
    int reuse_port; /* 1: one of several servers on the port, on as many threads (SO_REUSEPORT):
                       the kernel spreads the connections. All of them must say so */
};

/* Counters since open; connections_now is the present number. */
struct weft_http_server_stats {
    uint64_t requests;     /* well-formed ones, whatever the answer */
    uint64_t bad_requests; /* malformed, too large, too slow */
    uint64_t connections;  /* accepted and served */
    uint64_t connections_refused;
    uint64_t timeouts; /* of headers, bodies and replies; closing an idle connection is none */
    unsigned connections_now;
};

/* Listen. Nothing is accepted before weft_http_server_run.
 * Returns  0; -EINVAL (options, a malformed pattern), -EADDRINUSE, -EACCES, -ENOMEM
 * Ownership options and routes must live until close. Never suspends */
WEFT_API int weft_http_server_open(struct weft_http_server **ret_server,
                                   const struct weft_http_server_options *options);

/* The port that is listened on. */
WEFT_API uint16_t weft_http_server_port(const struct weft_http_server *server);

/* Accept and serve until weft_http_server_drain has been obeyed or the caller is cancelled.
 * Returns  0 when drained, -ECANCELED when cancelled: connections were cut
 * Suspends */
WEFT_API int weft_http_server_run(struct weft_http_server *server);

/* Stop accepting, close idle connections, let requests under way be answered (each with
 * "Connection: close"), tell handlers that wait (weft_http_case_drain). Call it from another fiber
 * of the same thread; it does not wait. */
WEFT_API void weft_http_server_drain(struct weft_http_server *server);

/* Copy the counters. Any thread; never suspends. */
WEFT_API void weft_http_server_stats(const struct weft_http_server *server,
                                     struct weft_http_server_stats *ret_stats);

/* Free it; weft_http_server_run must have returned. NULL is fine. Never suspends. */
WEFT_API void weft_http_server_close(struct weft_http_server *server);

/* The request. Strings are NUL-terminated, lengths are without the NUL; all of it is valid until
 * the handler returns. Never suspend. */
WEFT_API const char *weft_http_method(const struct weft_http_exchange *exchange);
WEFT_API const char *weft_http_path(const struct weft_http_exchange *exchange); /* decoded */
WEFT_API const char *weft_http_body(const struct weft_http_exchange *exchange, size_t *ret_len);
/* A header by name in any case, the first if there are several; NULL when it is absent. */
WEFT_API const char *weft_http_header(const struct weft_http_exchange *exchange, const char *name);
/* The headers in their order, as weft_http_query_next gives the query's parameters.
 * Returns  1 with both set, 0 at the end */
WEFT_API int weft_http_header_next(const struct weft_http_exchange *exchange, size_t *position,
                                   const char **ret_name, const char **ret_value);
/* Where the client is (weft/net.h). Returns 0, -ENOTCONN */
WEFT_API int weft_http_peer(const struct weft_http_exchange *exchange,
                            struct weft_address *ret_peer);
/* A parameter of the route's pattern by name, decoded; NULL when the pattern has none. */
WEFT_API const char *weft_http_param(const struct weft_http_exchange *exchange, const char *name);
/* The query string's parameters in their order, decoded: call with *position = 0 first, then as it
 * was left. For names that come several times, and to refuse those that nobody knows:
 *
 *     const char *name, *value;
 *     size_t position = 0;
 *     while (weft_http_query_next(exchange, &position, &name, &value) > 0)
 *
 * Returns  1 with both set, 0 at the end, -ENOMEM */
WEFT_API int weft_http_query_next(struct weft_http_exchange *exchange, size_t *position,
                                  const char **ret_name, const char **ret_value);
/* A value of the query string by name, decoded ("+" is a space), the first if there are several;
 * NULL when it is absent. */
WEFT_API const char *weft_http_query(struct weft_http_exchange *exchange, const char *name);

/* Add a header to the reply, before weft_http_reply. Both strings are copied. Left out: what is no
 * header name, and what the server itself says (Connection, Content-Length, Date,
 * Transfer-Encoding). Control characters in the value become spaces. */
WEFT_API void weft_http_reply_header(struct weft_http_exchange *exchange, const char *name,
                                     const char *value);

/* Answer with a body, copied. Once per request; a second reply is ignored. Does not suspend: the
 * bytes go out when the handler has returned. content_type NULL: no such header.
 *
 * status  200 to 599; anything else becomes a 500 */
WEFT_API void weft_http_reply(struct weft_http_exchange *exchange, int status,
                              const char *content_type, const void *body, size_t len);

/* Answer {"detail": "..."} with the given status. */
WEFT_API void weft_http_reply_error(struct weft_http_exchange *exchange, int status,
                                    const char *detail);

/* Send the reply now, for handlers that have to know whether it went out: one that hands something
 * over takes it back if it did not. The client may be gone all the same before it has read it.
 *
 * Returns  0: the system has taken all of it; -EINVAL: there is none in one piece; -EMSGSIZE,
 *          -ENOMEM: a 500 went out instead; -EPIPE, -ETIMEDOUT, -ECANCELED, ...: the connection
 *          ends
 * Suspends */
WEFT_API int weft_http_reply_send(struct weft_http_exchange *exchange);

/* ---- replies in pieces ------------------------------------------------------------------ */

/* A reply whose length is not known when it begins: chunked in HTTP/1.1; in HTTP/1.0 its end is the
 * end of the connection. It ends with weft_http_stream_end: a handler that returns without has its
 * connection cut, so that the client sees that something is missing.
 *
 *     int err = weft_http_stream_begin(exchange, 200, "text/event-stream");
 *     struct weft_case cases[] = {
 *         weft_case_receive(&news, &text),
 *         weft_http_case_gone(exchange),
 *         weft_http_case_drain(exchange),
 *     };
 *     while (!err && weft_select(cases, 3, WEFT_FOREVER, 0) == 0 && cases[0].result == 0)
 *         err = weft_http_stream_write(exchange, text.data, text.len);
 *     if (!err)
 *         weft_http_stream_end(exchange);
 *
 * A reply to HEAD has no body: it begins as any other, then nobody takes more. */

/* Say before weft_http_stream_begin how long the body is going to be. Then its pieces go out as
 * they are behind a Content-Length, in HTTP/1.0 too, and the connection can stay. */
WEFT_API void weft_http_stream_length(struct weft_http_exchange *exchange, uint64_t len);

/* Begin: what was replied to earlier requests and the head go out at once. Headers are added
 * before.
 *
 * status   200 to 599, but none that has no body (204, 205, 304)
 * Returns  0; -EINVAL (status), -EMSGSIZE (headers), -ENOMEM: nothing is replied yet; -EALREADY:
 *          there is a reply; -EPIPE, -ETIMEDOUT, -ECANCELED, ...: the connection ends
 * Suspends */
WEFT_API int weft_http_stream_begin(struct weft_http_exchange *exchange, int status,
                                    const char *content_type);

/* Send a piece, at once and without copying: gather small ones. Nothing at all is no piece.
 *
 * Returns  0; -EPIPE: nobody takes more, the client is gone or has asked with HEAD; -ETIMEDOUT: the
 *          piece was not taken within write_timeout_ns; -ECANCELED; -EINVAL: no reply was begun, or
 *          it has ended; -EMSGSIZE: it is longer than what is left of the length that was said.
 *          After an error nothing more can be sent, but after -EMSGSIZE and where -ECANCELED came
 *          before the first byte
 * Suspends until the system has taken all of it */
WEFT_API int weft_http_stream_write(struct weft_http_exchange *exchange, const void *data,
                                    size_t len);

/* End the reply. Returns and suspends like weft_http_stream_write, -EMSGSIZE when it is shorter
 * than was said; 0 after HEAD. */
WEFT_API int weft_http_stream_end(struct weft_http_exchange *exchange);

/* Take the connection over, for what is no HTTP reply, or a bad one on purpose. In place of
 * weft_http_stream_begin: the server adds nothing, neither status line nor headers nor chunks, and
 * with weft_http_stream_end the connection ends.
 *
 * Returns  0; -EALREADY: there is a reply; what weft_http_stream_begin says of the connection
 * Suspends */
WEFT_API int weft_http_stream_raw(struct weft_http_exchange *exchange);

/* End the connection in place of a reply, or of what is left of one. Replies to earlier requests go
 * out first. Bytes that were sent before, but that the system has not delivered, are lost with a
 * reset.
 *
 * reset    1: break it off (RST); 0: close it
 * Returns  0; -EALREADY: there is a reply in one piece; why earlier replies did not go out
 * Suspends */
WEFT_API int weft_http_hang_up(struct weft_http_exchange *exchange, int reset);

/* Whether nobody takes a reply any more: 0 or 1. A client that has closed its sending side counts
 * as gone, as it cannot be told from one that has left; what is written still reaches it, if it is
 * there. Unread bytes of further requests do not hide that. Never suspends. */
WEFT_API int weft_http_gone(const struct weft_http_exchange *exchange);

/* Whether the server drains, so that who streams or waits should end: 0 or 1. Never suspends. */
WEFT_API int weft_http_draining(const struct weft_http_exchange *exchange);

/* The same two to wait for beside other things, in any handler: long polls have use for them too.
 * The first may be chosen without need, like weft_case_fd; weft_http_gone is sure. Make it after
 * weft_http_stream_begin: before that it does not know that a reply to HEAD has no takers. */
WEFT_API struct weft_case weft_http_case_gone(const struct weft_http_exchange *exchange);
WEFT_API struct weft_case weft_http_case_drain(const struct weft_http_exchange *exchange);

WEFT_END_DECLS

#endif
