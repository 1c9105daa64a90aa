/* SPDX-License-Identifier: MIT
 * histogram_hdr.c - HdrHistogram's formats: nothing is lost, others' texts are read, damaged ones
 * are refused. */
#include <base/base64.h>
#include <base/buffer.h>
#include <base/random.h>
#include <obs/histogram_hdr.h>

#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct weft_histogram *empty(void)
{
    struct weft_histogram *histogram = NULL;
    REQUIRE(weft_histogram_open(&histogram) == 0);
    return histogram;
}

/* The text of a histogram; free it. */
static char *text_of(const struct weft_histogram *histogram)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 1 << 20);
    weft_hdr_append(&buffer, histogram);
    weft_buffer_append_char(&buffer, '\0');
    REQUIRE(buffer.err == 0);
    return buffer.data;
}

static bool same_slots(const struct weft_histogram *a, const struct weft_histogram *b)
{
    for (size_t i = 0; i < WEFT_HISTOGRAM_SLOTS; i++) {
        if (weft_histogram_slot(a, i) != weft_histogram_slot(b, i))
            return false;
    }
    return weft_histogram_count(a) == weft_histogram_count(b);
}

TEST(slots_are_numbered_as_hdrhistogram_does)
{
    static const struct {
        int64_t value, low, high;
        size_t slot;
    } vectors[] = {
        {1, 1, 1, 1},
        {2047, 2047, 2047, 2047},
        {2049, 2048, 2049, 2048},
        {10000, 10000, 10007, 4322},
        {10008, 10008, 10015, 4323},
        {1000000, 999936, 1000447, 11169},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct weft_histogram *histogram = empty();
        CHECK_EQUAL(weft_histogram_slots_end(histogram), 0);
        weft_histogram_record(histogram, vectors[i].value);
        CHECK_EQUAL(weft_histogram_slots_end(histogram), vectors[i].slot + 1);
        CHECK_EQUAL(weft_histogram_slot(histogram, vectors[i].slot), 1);
        CHECK_EQUAL(weft_histogram_slot_low(vectors[i].slot), vectors[i].low);
        CHECK_EQUAL(weft_histogram_slot_high(vectors[i].slot), vectors[i].high);
        weft_histogram_close(histogram);
    }
}

TEST(a_histogram_comes_back_with_every_count)
{
    struct weft_random random;
    weft_random_seed(&random, 7);
    for (int round = 0; round < 30; round++) {
        struct weft_histogram *histogram = empty(), *back = empty();
        uint64_t values = weft_random_below(&random, 3000);
        for (uint64_t i = 0; i < values; i++)
            weft_histogram_record(histogram, (int64_t)(weft_random_next(&random) >>
                                                       (20 + weft_random_below(&random, 40))));
        char *text = text_of(histogram);
        CHECK_EQUAL(strncmp(text, "HISTFAAA", 8), 0); /* by which people know it */
        CHECK_EQUAL(weft_hdr_parse(back, text, strlen(text)), 0);
        CHECK(same_slots(histogram, back));
        CHECK_EQUAL(weft_histogram_percentile(back, 500000) / 1000,
                    weft_histogram_percentile(histogram, 500000) / 1000);
        CHECK_EQUAL(weft_hdr_parse(back, text, strlen(text)), 0); /* adds */
        CHECK_EQUAL(weft_histogram_count(back), 2 * values);
        free(text);
        weft_histogram_close(histogram);
        weft_histogram_close(back);
    }
}

TEST(large_counts_and_the_ends_of_the_range_come_back)
{
    struct weft_histogram *histogram = empty(), *back = empty();
    for (unsigned shift = 0; shift < 60; shift++)
        weft_histogram_add(histogram, 100 + shift * 3, UINT64_C(1) << shift);
    weft_histogram_record(histogram, 1);
    weft_histogram_record(histogram, WEFT_HISTOGRAM_MAX_NS);
    char *text = text_of(histogram);
    CHECK_EQUAL(weft_hdr_parse(back, text, strlen(text)), 0);
    CHECK(same_slots(histogram, back));
    CHECK_EQUAL(weft_histogram_max(back), WEFT_HISTOGRAM_MAX_NS);
    CHECK_EQUAL(weft_histogram_min(back), 1);
    free(text);
    weft_histogram_close(histogram);
    weft_histogram_close(back);
}

/* A text of bytes. */
static char *text_of_bytes(const void *bytes, size_t len)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 1 << 20);
    weft_base64_append(&buffer, bytes, len);
    weft_buffer_append_char(&buffer, '\0');
    REQUIRE(buffer.err == 0);
    return buffer.data;
}

/* The bytes that HdrHistogram writes for 1, 5, 5 in (1, 3600000000000, 3), not compressed. */
static const unsigned char plain[] = {
    0x1c, 0x84, 0x93, 0x13, 0, 0, 0, 4, 0, 0, 0, 0, 0,    0,    0,
    3,    0,    0,    0,    0, 0, 0, 0, 1, 0, 0, 3, 0x46, 0x30, 0xb8,
    0xa0, 0x00, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0, 2, 5,    4,
};

TEST(a_text_that_is_not_compressed_is_read)
{
    struct weft_histogram *histogram = empty();
    char *text = text_of_bytes(plain, sizeof plain);
    CHECK_EQUAL(weft_hdr_parse(histogram, text, strlen(text)), 0);
    CHECK_EQUAL(weft_histogram_count(histogram), 3);
    CHECK_EQUAL(weft_histogram_slot(histogram, 1), 1);
    CHECK_EQUAL(weft_histogram_slot(histogram, 5), 2);
    free(text);
    weft_histogram_close(histogram);
}

TEST(other_digits_units_and_compression_are_not_supported)
{
    static const struct {
        size_t at;
        unsigned char byte;
    } changes[] = {{15, 2}, {23, 5}, {11, 1}, {33, 0xe0}};
    struct weft_histogram *histogram = empty();
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        unsigned char bytes[sizeof plain];
        memcpy(bytes, plain, sizeof plain);
        bytes[changes[i].at] = changes[i].byte;
        char *text = text_of_bytes(bytes, sizeof bytes);
        CHECK_EQUAL(weft_hdr_parse(histogram, text, strlen(text)), -ENOTSUP);
        free(text);
    }
    /* A block with fixed Huffman codes. */
    static const unsigned char packed[] = {0x1c, 0x84, 0x93, 0x14, 0,    0,    0,   7,
                                           0x78, 0x01, 0x03, 0,    0xff, 0xff, 0xff};
    char *text = text_of_bytes(packed, sizeof packed);
    CHECK_EQUAL(weft_hdr_parse(histogram, text, strlen(text)), -ENOTSUP);
    free(text);
    CHECK_EQUAL(weft_histogram_count(histogram), 0);
    weft_histogram_close(histogram);
}

TEST(damaged_texts_are_refused_and_change_nothing)
{
    struct weft_histogram *histogram = empty(), *back = empty();
    for (int i = 1; i < 100; i++)
        weft_histogram_record(histogram, i * 1000);
    char *text = text_of(histogram);
    size_t len = strlen(text);
    for (size_t cut = 0; cut < len; cut++)
        CHECK(weft_hdr_parse(back, text, cut) < 0);
    for (size_t i = 0; i < len; i++) {
        char before = text[i];
        text[i] = before == 'A' ? 'B' : 'A';
        (void)weft_hdr_parse(back, text, len); /* must not go astray; the sum is checked below */
        text[i] = before;
    }
    weft_histogram_clear(back);
    /* The checksum finds a change in what is stored. */
    text[len / 2] = text[len / 2] == 'A' ? 'B' : 'A';
    CHECK_EQUAL(weft_hdr_parse(back, text, len), -EINVAL);
    CHECK_EQUAL(weft_histogram_count(back), 0);
    CHECK_EQUAL(weft_hdr_parse(back, "", 0), -EINVAL);
    CHECK_EQUAL(weft_hdr_parse(back, "HISTFAAA", 8), -EINVAL);
    CHECK_EQUAL(weft_hdr_parse(back, "not base64", 10), -EINVAL);
    free(text);
    weft_histogram_close(histogram);
    weft_histogram_close(back);
}

TEST(counts_beyond_the_range_are_refused)
{
    static const struct {
        unsigned char counts[20];
        size_t len;
    } vectors[] = {
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9},     /* -2^63 empty */
        {{0xff, 0xff, 0x07}, 3},                                         /* 65536 empty */
        {{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, 10}, /* 2^63-1, and 1 */
        {{0x80}, 1},                                                     /* cut */
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        unsigned char bytes[60];
        struct weft_histogram *histogram = empty();
        memcpy(bytes, plain, 40);
        bytes[7] = (unsigned char)vectors[i].len;
        memcpy(bytes + 40, vectors[i].counts, vectors[i].len);
        char *text = text_of_bytes(bytes, 40 + vectors[i].len);
        CHECK_EQUAL(weft_hdr_parse(histogram, text, strlen(text)), -EINVAL);
        CHECK_EQUAL(weft_histogram_count(histogram), 0);
        free(text);
        weft_histogram_close(histogram);
    }
}

TEST(the_table_of_percentiles_rises_to_the_maximum)
{
    struct weft_histogram *histogram = empty();
    struct weft_buffer table;
    for (int i = 1; i <= 1000; i++)
        weft_histogram_record(histogram, i * 1000000);
    weft_buffer_init(&table, 1 << 20);
    weft_hgrm_append(&table, histogram);
    weft_buffer_append_char(&table, '\0');
    REQUIRE(table.err == 0);
    CHECK(strstr(table.data, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
    CHECK(strstr(table.data, "#[Max     =  1000.000000, Total count    =         1000]\n"));
    CHECK(strstr(table.data, "#[Mean    =   500.500000, StdDeviation   ="));
    CHECK(strstr(table.data, "#[Buckets =           32, SubBuckets     =         2048]\n"));

    double value_before = 0, level_before = -1;
    unsigned long long seen_before = 0;
    bool median = false, end = false;
    unsigned lines = 0;
    for (char *line = strtok(table.data, "\n"); line; line = strtok(NULL, "\n")) {
        double value, level;
        unsigned long long seen;
        if (sscanf(line, "%lf %lf %llu", &value, &level, &seen) != 3)
            continue;
        CHECK(value >= value_before && level > level_before && seen >= seen_before);
        CHECK((double)seen / 1000 >= level - 1e-9);
        /* The value has the share at or below it. */
        CHECK(fabs(value - (double)seen) <= 0.001 * value);
        median = median || (fabs(level - 0.5) < 1e-12 && seen == 500);
        end = fabs(level - 1) < 1e-12;
        value_before = value, level_before = level, seen_before = seen;
        lines++;
    }
    CHECK(median);
    CHECK(end && seen_before == 1000);
    CHECK(lines > 40 && lines < 80);
    weft_buffer_deinit(&table);
    weft_histogram_close(histogram);
}

TEST(the_table_of_nothing_is_a_table)
{
    struct weft_histogram *histogram = empty();
    struct weft_buffer table;
    weft_buffer_init(&table, 1 << 20);
    weft_hgrm_append(&table, histogram);
    weft_buffer_append_char(&table, '\0');
    CHECK(strstr(table.data, "Total count    =            0]"));
    weft_buffer_deinit(&table);
    weft_histogram_close(histogram);
}
