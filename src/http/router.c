/* SPDX-License-Identifier: MIT
 * router.c - see router.h. Nodes, leaves and parameters lie in arrays and refer to each other by
 * number; 0 is the root and means "none" everywhere else. */
#include <base/uuid.h>
#include <http/method.h>
#include <http/router.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which they are tried. */
enum kind {
    KIND_LITERAL,
    KIND_UUID,
    KIND_INT,
    KIND_ANY,
    KIND_BAD,
};

/* One segment of the patterns that share everything before it. */
struct node {
    enum kind kind;
    const char *literal;
    size_t literal_len;
    uint32_t sibling, child; /* next with the same parent; first below */
    uint32_t leaf;           /* first route that ends here */
    uint64_t methods;        /* of those routes */
};

/* The end of one pattern. */
struct leaf {
    const struct weft_http_route *route;
    unsigned method;
    uint32_t next; /* another method of the same path */
    struct weft_http_param_place params[WEFT_HTTP_PARAMS_MAX];
    unsigned params_count;
};

struct weft_http_router {
    struct node *nodes;
    struct leaf *leaves;
    uint32_t nodes_count, leaves_count;
    uint64_t methods;
};

/* ---- compiling -------------------------------------------------------------------------- */

/* A piece of a pattern between two slashes. */
struct piece {
    enum kind kind;
    const char *text; /* the literal, or the parameter's name */
    size_t len;
};

static enum kind kind_named(const char *text, size_t len)
{
    if (len == 4 && memcmp(text, "uuid", 4) == 0)
        return KIND_UUID;
    return len == 3 && memcmp(text, "int", 3) == 0 ? KIND_INT : KIND_BAD;
}

static struct piece read_piece(const char *text, size_t len)
{
    if (!memchr(text, '{', len) && !memchr(text, '}', len))
        return (struct piece){KIND_LITERAL, text, len};
    struct piece bad = {.kind = KIND_BAD};
    if (len < 3 || text[0] != '{' || text[len - 1] != '}')
        return bad;
    const char *name = text + 1;
    size_t name_len = len - 2;
    if (memchr(name, '{', name_len) || memchr(name, '}', name_len))
        return bad;
    const char *colon = memchr(name, ':', name_len);
    if (colon == name || name_len > UINT8_MAX)
        return bad;
    if (!colon)
        return (struct piece){KIND_ANY, name, name_len};
    size_t before = (size_t)(colon - name);
    return (struct piece){kind_named(colon + 1, name_len - before - 1), name, before};
}

static int add_param(struct leaf *leaf, const struct piece *piece, unsigned segment)
{
    if (leaf->params_count == WEFT_HTTP_PARAMS_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < leaf->params_count; i++)
        if (leaf->params[i].name_len == piece->len &&
            memcmp(leaf->params[i].name, piece->text, piece->len) == 0)
            return -EINVAL;
    leaf->params[leaf->params_count++] =
        (struct weft_http_param_place){piece->text, (uint8_t)piece->len, (uint8_t)segment};
    return 0;
}

static bool same_segment(const struct node *node, const struct piece *piece)
{
    return node->kind == piece->kind &&
           (node->kind != KIND_LITERAL || (node->literal_len == piece->len &&
                                           memcmp(node->literal, piece->text, piece->len) == 0));
}

/* The node for piece below parent, made if need be, in the order of kinds. */
static uint32_t child_for(struct weft_http_router *router, uint32_t parent,
                          const struct piece *piece)
{
    uint32_t *place = &router->nodes[parent].child;
    while (*place && router->nodes[*place].kind <= piece->kind) {
        if (same_segment(&router->nodes[*place], piece))
            return *place;
        place = &router->nodes[*place].sibling;
    }
    uint32_t number = router->nodes_count++;
    router->nodes[number] = (struct node){
        .kind = piece->kind,
        .literal = piece->text,
        .literal_len = piece->len,
        .sibling = *place,
    };
    *place = number;
    return number;
}

static int add_leaf(struct weft_http_router *router, uint32_t at, struct leaf *leaf)
{
    struct node *node = &router->nodes[at];
    uint64_t bit = weft_http_method_bit(leaf->method);
    if (node->methods & bit)
        return -EINVAL; /* two routes for the same */
    node->methods |= bit;
    router->methods |= bit;
    leaf->next = node->leaf;
    node->leaf = router->leaves_count;
    router->leaves[router->leaves_count++] = *leaf;
    return 0;
}

static int add_route(struct weft_http_router *router, const struct weft_http_route *route)
{
    int method = route->method ? weft_http_method_find(route->method) : -1;
    if (method < 0 || !route->handler || !route->pattern || route->pattern[0] != '/')
        return -EINVAL;
    struct leaf leaf = {.route = route, .method = (unsigned)method};
    uint32_t at = 0;
    unsigned segment = 0;
    for (const char *text = route->pattern; *text; segment++) {
        text++; /* the slash */
        size_t len = strcspn(text, "/");
        struct piece piece = read_piece(text, len);
        if (piece.kind == KIND_BAD || segment == WEFT_HTTP_SEGMENTS_MAX)
            return -EINVAL;
        int err = piece.kind == KIND_LITERAL ? 0 : add_param(&leaf, &piece, segment);
        if (err)
            return err;
        at = child_for(router, at, &piece);
        text += len;
    }
    return add_leaf(router, at, &leaf);
}

static size_t count_segments(const struct weft_http_route *routes, size_t count)
{
    size_t segments = 0;
    for (size_t i = 0; i < count; i++)
        for (const char *c = routes[i].pattern; c && *c; c++)
            segments += *c == '/';
    return segments;
}

int weft_http_router_open(struct weft_http_router **ret_router,
                          const struct weft_http_route *routes, size_t count)
{
    if (count > WEFT_HTTP_ROUTES_MAX || (count > 0 && !routes))
        return -EINVAL;
    struct weft_http_router *router = calloc(1, sizeof *router);
    if (!router)
        return -ENOMEM;
    int err = -ENOMEM;
    router->nodes = calloc(1 + count_segments(routes, count), sizeof *router->nodes);
    router->leaves = calloc(1 + count, sizeof *router->leaves);
    if (!router->nodes || !router->leaves)
        goto fail;
    router->nodes_count = router->leaves_count = 1; /* number 0 means none */
    for (size_t i = 0; i < count; i++) {
        err = add_route(router, &routes[i]);
        if (err)
            goto fail;
    }
    *ret_router = router;
    return 0;
fail:
    weft_http_router_close(router);
    return err;
}

void weft_http_router_close(struct weft_http_router *router)
{
    if (!router)
        return;
    free(router->nodes);
    free(router->leaves);
    free(router);
}

uint64_t weft_http_router_methods(const struct weft_http_router *router)
{
    return router->methods;
}

/* ---- finding ---------------------------------------------------------------------------- */

/* A number that fits int64_t, with an optional minus and without leading zeros worth speaking of:
 * 19 digits at most. */
static bool is_int(const char *text, size_t len)
{
    bool negative = len > 0 && text[0] == '-';
    size_t at = negative;
    if (at == len || len - at > 19)
        return false;
    uint64_t value = 0;
    for (; at < len; at++) {
        if (text[at] < '0' || text[at] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[at] - '0');
    }
    return value <= (uint64_t)INT64_MAX + negative;
}

static bool fits(const struct node *node, const char *text, size_t len)
{
    struct weft_uuid uuid;
    switch (node->kind) {
    case KIND_LITERAL:
        return node->literal_len == len && memcmp(node->literal, text, len) == 0;
    case KIND_UUID:
        return weft_uuid_parse(&uuid, text, len) == 0;
    case KIND_INT:
        return is_int(text, len);
    case KIND_ANY:
        return len > 0;
    case KIND_BAD:
        break;
    }
    return false;
}

static uint32_t leaf_for(const struct weft_http_router *router, const struct node *node,
                         unsigned method)
{
    if (!(node->methods & weft_http_method_bit(method)))
        return 0;
    uint32_t leaf = node->leaf;
    while (router->leaves[leaf].method != method)
        leaf = router->leaves[leaf].next;
    return leaf;
}

struct search {
    const struct weft_http_router *router;
    const struct weft_http_path *path;
    unsigned method;
    uint64_t methods; /* of every node that the whole path leads to */
};

/* Go on below node with the path from segment on. Returns the leaf or 0. At most
 * WEFT_HTTP_SEGMENTS_MAX deep. */
static uint32_t descend(struct search *search, const struct node *node, unsigned segment)
{
    const struct weft_http_path *path = search->path;
    if (segment == path->segments_count) {
        search->methods |= node->methods;
        uint32_t leaf = leaf_for(search->router, node, search->method);
        return leaf || search->method != HTTP_HEAD ? leaf
                                                   : leaf_for(search->router, node, HTTP_GET);
    }
    const char *text = path->text + path->segments[segment].at;
    size_t len = path->segments[segment].len;
    uint32_t leaf = 0;
    for (uint32_t child = node->child; child && !leaf;
         child = search->router->nodes[child].sibling) {
        const struct node *next = &search->router->nodes[child];
        if (fits(next, text, len))
            leaf = descend(search, next, segment + 1);
    }
    return leaf;
}

struct weft_http_match weft_http_router_find(const struct weft_http_router *router, unsigned method,
                                             const struct weft_http_path *path)
{
    if (path->segments_count == 0 || path->segments_count > WEFT_HTTP_SEGMENTS_MAX)
        return (struct weft_http_match){0};
    struct search search = {.router = router, .path = path, .method = method};
    uint32_t number = descend(&search, &router->nodes[0], 0);
    if (!number)
        return (struct weft_http_match){.methods = search.methods};
    const struct leaf *leaf = &router->leaves[number];
    return (struct weft_http_match){
        .route = leaf->route,
        .params = leaf->params,
        .params_count = leaf->params_count,
    };
}
