/* SPDX-License-Identifier: MIT
 * histogram.c - see histogram.h.
 *
 * Bucket b of doublings holds values of b + 11 bits, shifted right by b; slots of the first one
 * start at 0, those of the others at 1,024, because smaller values belong to the one before:
 *
 *     slot       0 ........ 2047   2048 ..... 3071   3072 ..... 4095
 *     value      0 ........ 2047   2048 ..... 4095   4096 ..... 8191   (1, 2, 4 ns wide) */
#include <obs/histogram.h>

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define HALF_BITS 10
#define HALF      ((size_t)1 << HALF_BITS) /* 1,024 slots per doubling: 3 significant digits */
#define DOUBLINGS 32u
#define SLOTS     ((DOUBLINGS + 1) * HALF)

_Static_assert(WEFT_HISTOGRAM_MAX_NS >> (DOUBLINGS + HALF_BITS) == 0, "1 h has a slot");
_Static_assert(SLOTS == WEFT_HISTOGRAM_SLOTS, "stored histograms count on it");

struct weft_histogram {
    uint64_t count, sum_ns;
    int64_t min_ns, max_ns;
    uint64_t slots[SLOTS];
};

int weft_histogram_open(struct weft_histogram **ret_histogram)
{
    struct weft_histogram *histogram = calloc(1, sizeof *histogram);
    if (!histogram)
        return -ENOMEM;
    *ret_histogram = histogram;
    return 0;
}

void weft_histogram_close(struct weft_histogram *histogram)
{
    free(histogram);
}

/* One thread writes while others read: as cheap as any other load and store. */
#define load(at)         __atomic_load_n(at, __ATOMIC_RELAXED)
#define store(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

static size_t slot_of(int64_t value_ns)
{
    uint64_t value = (uint64_t)value_ns;
    unsigned doubling = 63u - HALF_BITS - (unsigned)__builtin_clzll(value | (2 * HALF - 1));
    return doubling * HALF + (size_t)(value >> doubling);
}

static int64_t upper_end(size_t slot)
{
    size_t doubling = slot < 2 * HALF ? 0 : slot / HALF - 1;
    return (int64_t)((slot - doubling * HALF + 1) << doubling) - 1;
}

static int64_t lower_end(size_t slot)
{
    return slot > 0 ? upper_end(slot - 1) + 1 : 0;
}

void weft_histogram_record(struct weft_histogram *histogram, int64_t value_ns)
{
    if (value_ns < 1)
        value_ns = 1;
    else if (value_ns > WEFT_HISTOGRAM_MAX_NS)
        value_ns = WEFT_HISTOGRAM_MAX_NS;
    if (histogram->min_ns == 0 || value_ns < histogram->min_ns)
        store(&histogram->min_ns, value_ns);
    if (value_ns > histogram->max_ns)
        store(&histogram->max_ns, value_ns);
    store(&histogram->sum_ns, histogram->sum_ns + (uint64_t)value_ns);
    uint64_t *slot = &histogram->slots[slot_of(value_ns)];
    store(slot, *slot + 1);
    store(&histogram->count, histogram->count + 1);
}

/* Count comes from the slots: what is recorded meanwhile is in both or in neither. */
void weft_histogram_merge(struct weft_histogram *histogram, const struct weft_histogram *from)
{
    int64_t min_ns = load(&from->min_ns), max_ns = load(&from->max_ns);
    uint64_t count = 0;
    size_t end = max_ns > 0 ? slot_of(max_ns) + 1 : 0;
    for (size_t i = min_ns > 0 ? slot_of(min_ns) : 0; i < end; i++) {
        uint64_t slot = load(&from->slots[i]);
        if (slot > 0)
            histogram->slots[i] += slot;
        count += slot;
    }
    if (count == 0)
        return;
    if (histogram->min_ns == 0 || min_ns < histogram->min_ns)
        histogram->min_ns = min_ns;
    if (max_ns > histogram->max_ns)
        histogram->max_ns = max_ns;
    histogram->count += count;
    histogram->sum_ns += load(&from->sum_ns);
}

void weft_histogram_clear(struct weft_histogram *histogram)
{
    if (histogram->max_ns > 0) {
        size_t first = slot_of(histogram->min_ns);
        memset(&histogram->slots[first], 0,
               (slot_of(histogram->max_ns) - first + 1) * sizeof histogram->slots[0]);
    }
    histogram->count = histogram->sum_ns = 0;
    histogram->min_ns = histogram->max_ns = 0;
}

void weft_histogram_subtract(struct weft_histogram *histogram, const struct weft_histogram *from)
{
    if (from->count == 0)
        return;
    size_t first = SLOTS, last = 0, end = slot_of(histogram->max_ns) + 1;
    for (size_t i = slot_of(histogram->min_ns); i < end; i++) {
        if (histogram->slots[i] > 0 && from->slots[i] > 0)
            histogram->slots[i] -= from->slots[i];
        if (histogram->slots[i] == 0)
            continue;
        first = first < i ? first : i;
        last = i;
    }
    histogram->count -= from->count;
    histogram->sum_ns -= from->sum_ns;
    if (histogram->count == 0) {
        histogram->sum_ns = 0;
        histogram->min_ns = histogram->max_ns = 0;
        return;
    }
    if (histogram->min_ns >= from->min_ns)
        histogram->min_ns = lower_end(first);
    if (histogram->max_ns <= from->max_ns && upper_end(last) < histogram->max_ns)
        histogram->max_ns = upper_end(last);
}

uint64_t weft_histogram_count_to(const struct weft_histogram *histogram, int64_t value_ns)
{
    uint64_t count = 0;
    if (value_ns < 1 || histogram->max_ns == 0)
        return 0;
    if (value_ns >= histogram->max_ns)
        return histogram->count;
    size_t end = slot_of(value_ns) + 1;
    for (size_t i = slot_of(histogram->min_ns); i < end; i++)
        count += histogram->slots[i];
    return count;
}

uint64_t weft_histogram_sum(const struct weft_histogram *histogram)
{
    return histogram->sum_ns;
}

uint64_t weft_histogram_count(const struct weft_histogram *histogram)
{
    return histogram->count;
}

/* ceil(count * millionths / 1e6) without overflow: split count at a million. */
static uint64_t rank_of(uint64_t count, uint32_t millionths)
{
    uint64_t rank =
        count / 1000000 * millionths + (count % 1000000 * millionths + 999999) / 1000000;
    return rank > 0 ? rank : 1;
}

int64_t weft_histogram_percentile(const struct weft_histogram *histogram, uint32_t millionths)
{
    assert(millionths <= 1000000);
    if (histogram->count == 0)
        return 0;
    uint64_t rank = rank_of(histogram->count, millionths);
    uint64_t seen = 0;
    size_t slot = 0;
    while ((seen += histogram->slots[slot]) < rank)
        slot++;
    int64_t value = upper_end(slot);
    return value < histogram->max_ns ? value : histogram->max_ns;
}

int64_t weft_histogram_min(const struct weft_histogram *histogram)
{
    return histogram->min_ns;
}

int64_t weft_histogram_max(const struct weft_histogram *histogram)
{
    return histogram->max_ns;
}

int64_t weft_histogram_mean(const struct weft_histogram *histogram)
{
    return histogram->count ? (int64_t)(histogram->sum_ns / histogram->count) : 0;
}

size_t weft_histogram_slots_end(const struct weft_histogram *histogram)
{
    return histogram->count > 0 ? slot_of(histogram->max_ns) + 1 : 0;
}

uint64_t weft_histogram_slot(const struct weft_histogram *histogram, size_t slot)
{
    assert(slot < SLOTS);
    return histogram->slots[slot];
}

int64_t weft_histogram_slot_low(size_t slot)
{
    return lower_end(slot);
}

int64_t weft_histogram_slot_high(size_t slot)
{
    return upper_end(slot);
}

void weft_histogram_add(struct weft_histogram *histogram, size_t slot, uint64_t count)
{
    assert(slot < SLOTS);
    if (count == 0)
        return;
    int64_t value_ns = upper_end(slot);
    if (value_ns < 1)
        value_ns = 1;
    if (value_ns > WEFT_HISTOGRAM_MAX_NS)
        value_ns = WEFT_HISTOGRAM_MAX_NS;
    if (histogram->min_ns == 0 || value_ns < histogram->min_ns)
        histogram->min_ns = value_ns;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
    histogram->slots[slot_of(value_ns)] += count;
    histogram->sum_ns += (uint64_t)value_ns * count;
    histogram->count += count;
}
