/* SPDX-License-Identifier: MIT
 * mock_limit.h - how many requests each client has left in its present window of time.
 *
 * A window begins with the first request that finds none, so a test knows when it ends. Any thread
 * may ask; the time is the caller's. */
#ifndef WEFT_LAB_MOCK_LIMIT_H
#define WEFT_LAB_MOCK_LIMIT_H

#include <lab/mock_latency.h>

#include <base/table.h>

#define WEFT_MOCK_CLIENTS_MAX   65536u /* windows at once, over all quotas */
#define WEFT_MOCK_CLIENT_LENGTH 160u   /* bytes of a client's name */

struct weft_mock_limit {
    unsigned lock;
    struct weft_table windows;
    int64_t sweep_ns; /* when those that are over were last looked for */
};

/* What became of a request. */
struct weft_mock_verdict {
    bool granted;
    uint64_t left;   /* more requests in this window */
    int64_t wait_ns; /* to its end */
};

/* Returns 0, -ENOMEM */
int weft_mock_limit_init(struct weft_mock_limit *limit);
void weft_mock_limit_deinit(struct weft_mock_limit *limit);

/* Forget all windows. */
void weft_mock_limit_clear(struct weft_mock_limit *limit);

/* One more request of a client, whose name is cut at WEFT_MOCK_CLIENT_LENGTH bytes. Different
 * quotas want different names.
 * Returns  0 with *ret_verdict set; WEFT_EFULL (WEFT_MOCK_CLIENTS_MAX), -ENOMEM */
int weft_mock_limit_take(struct weft_mock_limit *limit, const struct weft_mock_quota *quota,
                         const char *client, int64_t now_ns, struct weft_mock_verdict *ret_verdict);

#endif
