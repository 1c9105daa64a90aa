/* SPDX-License-Identifier: MIT
 * histogram_hdr.c - see histogram_hdr.h.
 *
 *     base64( cookie, length, zlib( cookie, length of counts, offset 0, digits 3, lowest 1,
 *             highest, ratio 1.0, counts ) )        all numbers big-endian
 *
 * Counts are ZigZag LEB128 of at most nine bytes; -n stands for n empty slots. They are short
 * already: the zlib stream consists of stored blocks, and needs no library.
 * Source: AbstractHistogram.java and ZigZagEncoding.java of HdrHistogram 2.1; RFC 1950, 1951. */
#include <base/base64.h>
#include <base/buffer.h>
#include <obs/histogram_hdr.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COOKIE            0x1c849303u
#define COOKIE_COMPRESSED 0x1c849304u
#define COOKIE_WORD       0x10u /* counts are LEB128 */
#define COOKIE_MASK       0xf0u
#define DIGITS            3u
#define HEAD_BYTES        40u
#define WORD_BYTES_MAX    9u
#define STORED_MAX        65535u
#define ADLER_BASE        65521u
/* Of one histogram: every slot with a large count. */
#define BYTES_MAX (HEAD_BYTES + WEFT_HISTOGRAM_SLOTS * WORD_BYTES_MAX + 64u)
#define RATIO_ONE UINT64_C(0x3ff0000000000000) /* 1.0 as IEEE 754 has it */

/* ---- writing --------------------------------------------------------------------------- */

static void put_be(struct weft_buffer *buffer, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--)
        weft_buffer_append_char(buffer, (char)(value >> (8 * (i - 1))));
}

static void put_word(struct weft_buffer *buffer, int64_t value)
{
    uint64_t left = ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
    for (unsigned i = 1; i < WORD_BYTES_MAX && left >= 0x80; i++) {
        weft_buffer_append_char(buffer, (char)(left | 0x80));
        left >>= 7;
    }
    weft_buffer_append_char(buffer, (char)left); /* the ninth has all its eight bits */
}

static void put_counts(struct weft_buffer *buffer, const struct weft_histogram *histogram)
{
    size_t end = weft_histogram_slots_end(histogram);
    int64_t empty = 0;
    for (size_t i = 0; i < end; i++) {
        uint64_t count = weft_histogram_slot(histogram, i);
        if (count == 0) {
            empty++;
            continue;
        }
        if (empty > 0)
            put_word(buffer, empty > 1 ? -empty : 0);
        empty = 0;
        put_word(buffer, (int64_t)count);
    }
}

static uint32_t adler32(const char *data, size_t len)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < len; i++) {
        a = (a + (unsigned char)data[i]) % ADLER_BASE;
        b = (b + a) % ADLER_BASE;
    }
    return b << 16 | a;
}

static void put_stored(struct weft_buffer *buffer, const char *data, size_t len)
{
    uint32_t check = adler32(data, len);
    put_be(buffer, 0x7801, 2);
    do {
        size_t piece = len < STORED_MAX ? len : STORED_MAX;
        unsigned size = (unsigned)piece;
        weft_buffer_append_char(buffer, piece == len ? 1 : 0);
        put_be(buffer, (size & 0xff) << 8 | size >> 8, 2);
        put_be(buffer, ~((size & 0xff) << 8 | size >> 8) & 0xffff, 2);
        weft_buffer_append(buffer, data, piece);
        data += piece;
        len -= piece;
    } while (len > 0);
    put_be(buffer, check, 4);
}

void weft_hdr_append(struct weft_buffer *buffer, const struct weft_histogram *histogram)
{
    struct weft_buffer counts, plain, packed;
    weft_buffer_init(&counts, BYTES_MAX);
    weft_buffer_init(&plain, BYTES_MAX);
    weft_buffer_init(&packed, 2 * (size_t)BYTES_MAX);
    put_counts(&counts, histogram);
    put_be(&plain, COOKIE | COOKIE_WORD, 4);
    put_be(&plain, counts.len, 4);
    put_be(&plain, 0, 4);
    put_be(&plain, DIGITS, 4);
    put_be(&plain, 1, 8);
    put_be(&plain, (uint64_t)WEFT_HISTOGRAM_MAX_NS, 8);
    put_be(&plain, RATIO_ONE, 8);
    weft_buffer_append(&plain, counts.data, counts.len);
    if (!counts.err && !plain.err) {
        put_be(&packed, COOKIE_COMPRESSED | COOKIE_WORD, 4);
        put_be(&packed, 0, 4); /* the length, below */
        put_stored(&packed, plain.data, plain.len);
    }
    int err = counts.err ? counts.err : plain.err ? plain.err : packed.err;
    if (err == 0) {
        uint32_t len = (uint32_t)packed.len - 8;
        for (unsigned i = 0; i < 4; i++)
            packed.data[4 + i] = (char)(len >> (8 * (3 - i)));
        weft_base64_append(buffer, packed.data, packed.len);
    } else if (buffer->err == 0) {
        buffer->err = err;
    }
    weft_buffer_deinit(&packed);
    weft_buffer_deinit(&plain);
    weft_buffer_deinit(&counts);
}

/* ---- reading --------------------------------------------------------------------------- */

/* Bytes that are taken from the front; too few of them show in short_of. */
struct bytes {
    const unsigned char *at;
    size_t len;
    bool short_of;
};

static uint64_t take_be(struct bytes *bytes, unsigned count)
{
    uint64_t value = 0;
    if (bytes->len < count) {
        bytes->short_of = true;
        bytes->len = 0;
        return 0;
    }
    for (unsigned i = 0; i < count; i++)
        value = value << 8 | bytes->at[i];
    bytes->at += count;
    bytes->len -= count;
    return value;
}

static int64_t take_word(struct bytes *bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0;; i++) {
        uint64_t byte = take_be(bytes, 1);
        bool last = i + 1 == WORD_BYTES_MAX;
        value |= (last ? byte : byte & 0x7f) << (7 * i);
        if (last || byte < 0x80)
            break;
    }
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Join the stored blocks of a zlib stream where they are. */
static int unpack(struct bytes *bytes, unsigned char *ret_plain, size_t *ret_len)
{
    size_t len = 0;
    bool last = false;
    uint64_t head = take_be(bytes, 2);
    if (bytes->short_of || (head & 0x0f00) != 0x0800 || head % 31 != 0 || (head & 0x20))
        return -EINVAL;
    while (!last) {
        uint64_t kind = take_be(bytes, 1), size = take_be(bytes, 2), inverse = take_be(bytes, 2);
        last = kind & 1;
        if (!bytes->short_of && (kind & 6))
            return -ENOTSUP;
        if (bytes->short_of || size != (~inverse & 0xffff))
            return -EINVAL;
        size = (size & 0xff) << 8 | size >> 8;
        if (size > bytes->len)
            return -EINVAL;
        memmove(ret_plain + len, bytes->at, size);
        len += size;
        bytes->at += size;
        bytes->len -= size;
    }
    uint64_t check = take_be(bytes, 4);
    if (bytes->short_of || check != adler32((const char *)ret_plain, len))
        return -EINVAL;
    *ret_len = len;
    return 0;
}

static int take_counts(struct bytes *bytes, struct weft_histogram *histogram)
{
    uint64_t slot = 0, total = 0;
    while (bytes->len > 0) {
        int64_t word = take_word(bytes);
        if (bytes->short_of)
            return -EINVAL;
        uint64_t empty = word < 0 ? -(uint64_t)word : 1;
        if (empty > WEFT_HISTOGRAM_SLOTS - slot)
            return -EINVAL;
        if (word > 0) {
            total += (uint64_t)word;
            if (total > INT64_MAX)
                return -EINVAL;
            weft_histogram_add(histogram, slot, (uint64_t)word);
        }
        slot += empty;
    }
    return 0;
}

static int take_plain(struct bytes *bytes, struct weft_histogram *histogram)
{
    uint64_t cookie = take_be(bytes, 4), len = take_be(bytes, 4), offset = take_be(bytes, 4);
    uint64_t digits = take_be(bytes, 4), lowest = take_be(bytes, 8);
    (void)take_be(bytes, 8); /* highest: larger values fail by their slot */
    uint64_t ratio = take_be(bytes, 8);
    if (bytes->short_of || (cookie & ~(uint64_t)COOKIE_MASK) != COOKIE || len > bytes->len)
        return -EINVAL;
    if (offset != 0 || digits != DIGITS || lowest != 1 || ratio != RATIO_ONE)
        return -ENOTSUP;
    bytes->len = len;
    return take_counts(bytes, histogram);
}

static int take_any(unsigned char *data, size_t len, struct weft_histogram *histogram)
{
    struct bytes bytes = {data, len, false};
    struct bytes first = bytes;
    if ((take_be(&first, 4) & ~(uint64_t)COOKIE_MASK) == COOKIE_COMPRESSED) {
        uint64_t packed = take_be(&first, 4);
        if (first.short_of || packed > first.len)
            return -EINVAL;
        first.len = packed;
        int err = unpack(&first, data, &len);
        if (err)
            return err;
        bytes = (struct bytes){data, len, false};
    }
    return take_plain(&bytes, histogram);
}

int weft_hdr_parse(struct weft_histogram *histogram, const char *text, size_t len)
{
    struct weft_histogram *read = NULL;
    if (len == 0 || len / 4 > BYTES_MAX)
        return -EINVAL;
    unsigned char *data = malloc(weft_base64_bytes_max(len));
    int err = data ? weft_histogram_open(&read) : -ENOMEM;
    if (err == 0)
        err = weft_base64_decode(data, &len, text, len);
    if (err == 0)
        err = take_any(data, len, read);
    if (err == 0)
        weft_histogram_merge(histogram, read);
    weft_histogram_close(read);
    free(data);
    return err;
}

/* ---- the table ------------------------------------------------------------------------- */

#define TICKS     5                /* lines for each halving */
#define LEVEL_MAX 99.9999999999999 /* percent; beyond it, doubles cannot tell the levels apart */

/* The next level to be told, in percent. */
static double level_after(double level)
{
    double halvings = floor(log2(100.0 / (100.0 - level))) + 1;
    return level + 100.0 / (TICKS * exp2(halvings));
}

static double deviation(const struct weft_histogram *histogram)
{
    double mean = (double)weft_histogram_mean(histogram), sum = 0;
    uint64_t total = weft_histogram_count(histogram);
    for (size_t i = 0; i < weft_histogram_slots_end(histogram); i++) {
        uint64_t count = weft_histogram_slot(histogram, i);
        if (count > 0) {
            double middle = (double)(weft_histogram_slot_low(i) + weft_histogram_slot_high(i)) / 2;
            sum += (double)count * (middle - mean) * (middle - mean);
        }
    }
    return total > 0 ? sqrt(sum / (double)total) : 0;
}

static void append_level(struct weft_buffer *buffer, int64_t value_ns, double level, uint64_t seen)
{
    weft_buffer_append_format(buffer, "%12.6f %2.12f %10llu %14.2f\n", (double)value_ns / 1e6,
                              level / 100, (unsigned long long)seen, 1 / (1 - level / 100));
}

void weft_hgrm_append(struct weft_buffer *buffer, const struct weft_histogram *histogram)
{
    uint64_t total = weft_histogram_count(histogram), seen = 0;
    int64_t max_ns = weft_histogram_max(histogram);
    double level = 0;
    weft_buffer_append_format(buffer, "%12s %14s %10s %14s\n\n", "Value", "Percentile",
                              "TotalCount", "1/(1-Percentile)");
    for (size_t i = 0; i < weft_histogram_slots_end(histogram); i++) {
        int64_t value_ns = weft_histogram_slot_high(i);
        uint64_t count = weft_histogram_slot(histogram, i);
        if (count == 0)
            continue;
        seen += count;
        double reached = 100.0 * (double)seen / (double)total;
        for (; seen < total && reached >= level && level < LEVEL_MAX; level = level_after(level))
            append_level(buffer, value_ns < max_ns ? value_ns : max_ns, level, seen);
    }
    if (total > 0) {
        append_level(buffer, max_ns, level, seen);
        weft_buffer_append_format(buffer, "%12.6f %2.12f %10llu\n", (double)max_ns / 1e6, 1.0,
                                  (unsigned long long)seen);
    }
    weft_buffer_append_format(buffer, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n",
                              (double)weft_histogram_mean(histogram) / 1e6,
                              deviation(histogram) / 1e6);
    weft_buffer_append_format(buffer, "#[Max     = %12.6f, Total count    = %12llu]\n",
                              (double)max_ns / 1e6, (unsigned long long)total);
    weft_buffer_append_format(buffer, "#[Buckets = %12d, SubBuckets     = %12d]\n", 32, 2048);
}
