/* SPDX-License-Identifier: MIT
 * router.h - finds the route for a method and a path.
 *
 * Routes are compiled once into a tree of segments. At each segment a literal is tried before
 * "{x:uuid}", that before "{x:int}", that before "{x}"; where a way leads nowhere, the next one is
 * tried. Every node is visited at most once per path. Immutable after open; any thread. */
#ifndef WEFT_HTTP_ROUTER_H
#define WEFT_HTTP_ROUTER_H

#include <http/request.h>

#include <weft/http_server.h>

#define WEFT_HTTP_PARAMS_MAX 8u /* in one pattern */
#define WEFT_HTTP_ROUTES_MAX 4096u

struct weft_http_router;

/* A parameter of a pattern: its name, inside the pattern, and the segment it stands for. */
struct weft_http_param_place {
    const char *name; /* no NUL behind it */
    uint8_t name_len, segment;
};

struct weft_http_match {
    const struct weft_http_route *route; /* NULL: none for this method */
    const struct weft_http_param_place *params;
    unsigned params_count;
    uint64_t methods; /* without a route: those the path has routes for; 0: unknown path */
};

/* Compile routes, which must live until close.
 * Returns  0; -EINVAL: a malformed pattern or unknown type, more than WEFT_HTTP_SEGMENTS_MAX
 *          segments or WEFT_HTTP_PARAMS_MAX parameters, a name used twice in one pattern, a method
 *          llhttp does not know, no handler, two routes for the same; -ENOMEM */
int weft_http_router_open(struct weft_http_router **ret_router,
                          const struct weft_http_route *routes, size_t count);

/* NULL is fine. */
void weft_http_router_close(struct weft_http_router *router);

/* Look a path up. HEAD falls back to GET. */
struct weft_http_match weft_http_router_find(const struct weft_http_router *router, unsigned method,
                                             const struct weft_http_path *path);

/* The methods of all routes together. */
uint64_t weft_http_router_methods(const struct weft_http_router *router);

#endif
