/* SPDX-License-Identifier: MIT
 * mock_limit.c - see mock_limit.h. */
#include <lab/mock_limit.h>

#include <base/hash.h>
#include <base/list.h>
#include <os/lock.h>
#include <weft/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A full table is searched for windows that are over, but not by each request anew. */
#define SWEEP_PAUSE_NS (10 * WEFT_MSEC)

struct window {
    struct weft_table_node node;
    int64_t end_ns;
    uint64_t requests;
    size_t len;
    char client[WEFT_MOCK_CLIENT_LENGTH];
};

struct sweep {
    struct weft_table *windows;
    int64_t now_ns; /* windows that end by then go */
};

static void drop_if_over(struct weft_table_node *node, void *arg)
{
    const struct sweep *sweep = arg;
    struct window *window = weft_container_of(node, struct window, node);
    if (window->end_ns > sweep->now_ns)
        return;
    weft_table_remove(sweep->windows, node);
    free(window);
}

static void drop_until(struct weft_mock_limit *limit, int64_t now_ns)
{
    struct sweep sweep = {&limit->windows, now_ns};
    weft_table_visit(&limit->windows, drop_if_over, &sweep);
}

int weft_mock_limit_init(struct weft_mock_limit *limit)
{
    *limit = (struct weft_mock_limit){0};
    return weft_table_init(&limit->windows);
}

void weft_mock_limit_deinit(struct weft_mock_limit *limit)
{
    if (limit->windows.count > 0)
        drop_until(limit, INT64_MAX);
    weft_table_deinit(&limit->windows);
}

void weft_mock_limit_clear(struct weft_mock_limit *limit)
{
    weft_lock(&limit->lock);
    drop_until(limit, INT64_MAX);
    weft_unlock(&limit->lock);
}

static struct window *find(const struct weft_mock_limit *limit, uint64_t hash, const char *client,
                           size_t len)
{
    struct weft_table_node *node = weft_table_first(&limit->windows, hash);
    for (; node; node = weft_table_next(node)) {
        struct window *window = weft_container_of(node, struct window, node);
        if (window->len == len && memcmp(window->client, client, len) == 0)
            return window;
    }
    return NULL;
}

static int add(struct weft_mock_limit *limit, uint64_t hash, const char *client, size_t len,
               int64_t now_ns, struct window **ret_window)
{
    if (limit->windows.count >= WEFT_MOCK_CLIENTS_MAX &&
        now_ns - limit->sweep_ns > SWEEP_PAUSE_NS) {
        drop_until(limit, now_ns);
        limit->sweep_ns = now_ns;
    }
    if (limit->windows.count >= WEFT_MOCK_CLIENTS_MAX)
        return WEFT_EFULL;
    struct window *window = calloc(1, sizeof *window);
    if (!window)
        return -ENOMEM;
    window->len = len;
    memcpy(window->client, client, len);
    weft_table_put(&limit->windows, &window->node, hash);
    *ret_window = window;
    return 0;
}

static struct weft_mock_verdict judge(struct window *window, const struct weft_mock_quota *quota,
                                      int64_t now_ns)
{
    if (window->end_ns <= now_ns) {
        window->end_ns = now_ns + quota->window_ns;
        window->requests = 0;
    }
    bool granted = window->requests < quota->requests;
    window->requests += granted;
    return (struct weft_mock_verdict){
        .granted = granted,
        .left = quota->requests - window->requests,
        .wait_ns = window->end_ns - now_ns,
    };
}

int weft_mock_limit_take(struct weft_mock_limit *limit, const struct weft_mock_quota *quota,
                         const char *client, int64_t now_ns, struct weft_mock_verdict *ret_verdict)
{
    size_t len = strnlen(client, WEFT_MOCK_CLIENT_LENGTH);
    uint64_t hash = weft_hash(client, len);
    weft_lock(&limit->lock);
    struct window *window = find(limit, hash, client, len);
    int err = window ? 0 : add(limit, hash, client, len, now_ns, &window);
    if (!err)
        *ret_verdict = judge(window, quota, now_ns);
    weft_unlock(&limit->lock);
    return err;
}
