/* SPDX-License-Identifier: MIT
 * hedge_core.c - see hedge_core.h. */
#include <flow/hedge_core.h>

#include <string.h>

void weft_latency_init(struct weft_latency_window *window, int64_t *memory, unsigned size)
{
    *window = (struct weft_latency_window){.ring = memory, .sorted = memory + size, .size = size};
}

/* The first place in order whose number is not below. */
static unsigned place_of(const struct weft_latency_window *window, int64_t latency_ns)
{
    unsigned low = 0, high = window->len;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (window->sorted[middle] < latency_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void move(int64_t *to, const int64_t *from, unsigned len)
{
    memmove(to, from, len * sizeof *to);
}

/* In place of one that leaves: only what is between the two moves. */
static void replace(struct weft_latency_window *window, int64_t oldest_ns, int64_t latency_ns)
{
    int64_t *sorted = window->sorted;
    unsigned from = place_of(window, oldest_ns), to = place_of(window, latency_ns);
    if (to > from) {
        to--;
        move(sorted + from, sorted + from + 1, to - from);
    } else {
        move(sorted + to + 1, sorted + to, from - to);
    }
    sorted[to] = latency_ns;
}

static void insert(struct weft_latency_window *window, int64_t latency_ns)
{
    unsigned to = place_of(window, latency_ns);
    move(window->sorted + to + 1, window->sorted + to, window->len - to);
    window->sorted[to] = latency_ns;
    window->len++;
}

void weft_latency_add(struct weft_latency_window *window, int64_t latency_ns)
{
    if (window->len < window->size)
        insert(window, latency_ns);
    else
        replace(window, window->ring[window->next], latency_ns);
    window->ring[window->next] = latency_ns;
    window->next = window->next + 1 < window->size ? window->next + 1 : 0;
}

int64_t weft_latency_quantile(const struct weft_latency_window *window, double quantile)
{
    double rank = quantile * window->len;
    unsigned below = (unsigned)rank;
    if (window->len == 0)
        return 0;
    if ((double)below < rank)
        below++;
    if (below == 0)
        below = 1;
    return window->sorted[(below < window->len ? below : window->len) - 1];
}
