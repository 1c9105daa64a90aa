/* SPDX-License-Identifier: MIT
 * sink_text.c - results as JSON and CSV, with texts of any bytes, are read back as they were; and
 * files that were cut anywhere are cut back to their last whole line. */
#include "sink_box.h"

#include <base/random.h>
#include <fetch/sink_tail.h>
#include <fetch/sink_text.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 24

static struct weft_buffer made_buffer(void)
{
    struct weft_buffer buffer;
    weft_buffer_init(&buffer, 64u << 20);
    return buffer;
}

/* ---- exactly ----------------------------------------------------------------------------- */

static const struct weft_fetch_result sample = {
    .url = "http://h/\"q\"",
    .status_code = 200,
    .http_version = 20,
    .latency_ns = 1500000,
    .queue_ns = 1,
    .total_ns = 123456789012,
    .timestamp_us = 1700000000250000,
    .times = {.name_ns = 1000, .connect_ns = 20000, .tls_ns = 300000, .first_byte_ns = 4000000},
    .attempt = 2,
    .redirects = 1,
    .connections = 3,
    .bytes_received = 4096,
    .body_bytes = UINT64_MAX,
    .method = "GET",
    .final_url = "http://h/,\r\n",
    .content_type = "=1+1",
    .tag = "",
};

TEST(a_line_of_json_has_every_key_in_its_order)
{
    struct weft_buffer buffer = made_buffer();
    weft_sink_append_json(&buffer, &sample);
    weft_buffer_append_char(&buffer, '\0');
    REQUIRE(buffer.err == 0);
    CHECK_TEXT(buffer.data,
               "{\"url\":\"http://h/\\\"q\\\"\",\"status_code\":200,\"latency_ms\":1.5,"
               "\"timestamp\":1700000000.25,\"attempt\":2,\"error\":null,"
               "\"final_url\":\"http://h/,\\r\\n\",\"method\":\"GET\",\"error_class\":null,"
               "\"http_version\":20,\"queue_ms\":0.000001,\"total_ms\":123456.789012,"
               "\"name_ms\":0.001,\"connect_ms\":0.02,\"tls_ms\":0.3,\"first_byte_ms\":4.0,"
               "\"redirects\":1,\"connections\":3,\"bytes_received\":4096,"
               "\"body_bytes\":9223372036854775807,\"content_type\":\"=1+1\","
               "\"body_digest\":null,\"tag\":\"\"}\n");
    weft_buffer_deinit(&buffer);
}

TEST(a_row_of_csv_marks_formulas_and_tells_no_text_from_an_empty_one)
{
    struct weft_buffer buffer = made_buffer();
    weft_sink_append_csv_header(&buffer);
    weft_sink_append_csv(&buffer, &sample, false);
    weft_sink_append_csv(&buffer, &sample, true);
    weft_buffer_append_char(&buffer, '\0');
    REQUIRE(buffer.err == 0);
#define ROW(content_type)                                                                          \
    "\"http://h/\"\"q\"\"\",200,1.5,1700000000.25,2,,\"http://h/,\r\n\",GET,,20,0.000001,"         \
    "123456.789012,0.001,0.02,0.3,4.0,1,3,4096,9223372036854775807," content_type ",,\"\"\r\n"
    CHECK_TEXT(buffer.data, "url,status_code,latency_ms,timestamp,attempt,error,final_url,method,"
                            "error_class,http_version,queue_ms,total_ms,name_ms,connect_ms,tls_ms,"
                            "first_byte_ms,redirects,connections,bytes_received,body_bytes,"
                            "content_type,body_digest,tag\r\n" ROW("'=1+1") ROW("=1+1"));
    weft_buffer_deinit(&buffer);
}

/* ---- any bytes --------------------------------------------------------------------------- */

static const char *random_text(struct weft_random *random, char text[TEXT_MAX + 1])
{
    static const char pieces[][5] = {
        "\"", "'",      ",",          "\r",   "\n",   "\t",       "=",        "+",       "-", "@",
        "a",  " ",      "\\",         "\x7f", "\x01", "{",        "}",        ";",       "0", "\0",
        "é",  "\u20ac", "\U0001F600", "\xff", "\xc3", "\xed\xa0", "\xf4\x90", "\xe2\x82"};
    size_t len = 0;
    unsigned count = (unsigned)weft_random_below(random, 7);
    for (unsigned i = 0; i < count; i++) {
        const char *piece = pieces[weft_random_below(random, sizeof pieces / sizeof *pieces)];
        size_t piece_len = strlen(piece);
        if (len + piece_len > TEXT_MAX)
            break;
        memcpy(text + len, piece, piece_len);
        len += piece_len;
    }
    text[len] = '\0';
    return weft_random_below(random, 5) == 0 ? NULL : text;
}

struct random_result {
    struct weft_fetch_result result;
    char texts[8][TEXT_MAX + 1];
};

static void make_random(struct weft_random *random, struct random_result *made)
{
    char *url = made->texts[0];
    made->result = (struct weft_fetch_result){
        .url = random_text(random, url) ? url : "u",
        .method = random_text(random, made->texts[1]),
        .final_url = random_text(random, made->texts[2]),
        .error = random_text(random, made->texts[3]),
        .error_class = random_text(random, made->texts[4]),
        .content_type = random_text(random, made->texts[5]),
        .tag = random_text(random, made->texts[6]),
        .body_digest = random_text(random, made->texts[7]),
        .status_code = (int)weft_random_below(random, 1000),
        .latency_ns = (int64_t)weft_random_below(random, 1u << 30) * 1001,
        .timestamp_us = (int64_t)weft_random_below(random, 1ull << 50),
    };
}

/* What has to be read back: UTF-8. */
static char *repaired(const char *text)
{
    struct weft_buffer buffer = made_buffer();
    weft_sink_append_utf8(&buffer, text, strlen(text));
    weft_buffer_append_char(&buffer, '\0');
    REQUIRE(buffer.err == 0);
    return buffer.data;
}

static bool is_same_text(const char *read, const char *text)
{
    if (!read || !text)
        return !read && !text;
    char *expected = repaired(text);
    bool same = strcmp(read, expected) == 0;
    free(expected);
    return same;
}

static bool is_same_json(const json_t *value, const struct sink_value *expected)
{
    switch (expected->kind) {
    case SINK_NULL:
        return json_is_null(value);
    case SINK_TEXT:
        return json_is_string(value) && is_same_text(json_string_value(value), expected->text);
    case SINK_INTEGER:
        return json_is_integer(value) && json_integer_value(value) == expected->number;
    case SINK_MILLIONTHS:
        return json_is_real(value) &&
               (int64_t)(json_real_value(value) * 1e6 + 0.5) == expected->number;
    }
    return false;
}

TEST(a_line_of_json_is_read_back_as_it_was_whatever_is_in_the_texts)
{
    struct weft_random random;
    weft_random_seed(&random, 20261122);
    struct weft_buffer buffer = made_buffer();
    for (int round = 0; round < 5000; round++) {
        struct random_result made;
        make_random(&random, &made);
        weft_buffer_clear(&buffer);
        weft_sink_append_json(&buffer, &made.result);
        REQUIRE(buffer.err == 0 && buffer.len > 1);
        CHECK(memchr(buffer.data, '\n', buffer.len) == buffer.data + buffer.len - 1);
        json_error_t error;
        json_t *object = json_loadb(buffer.data, buffer.len, 0, &error);
        REQUIRE(object);
        CHECK_EQUAL(json_object_size(object), SINK_COLUMNS);
        for (unsigned i = 0; i < SINK_COLUMNS; i++) {
            const struct sink_value value = weft_sink_value(&made.result, i);
            CHECK(is_same_json(json_object_get(object, weft_sink_columns[i]), &value));
        }
        json_decref(object);
    }
    weft_buffer_deinit(&buffer);
}

/* A reader after RFC 4180. A cell goes into text, with a NUL; quoted tells "" from nothing.
 * Returns what stands behind the cell: ',', '\r' of the row's end, '\0' for what is no CSV. */
static char read_cell(const char **at, const char *end, char *text, bool *ret_quoted)
{
    const char *from = *at;
    *ret_quoted = from < end && *from == '"';
    if (*ret_quoted) {
        for (from++; from < end; from++) {
            if (*from == '"' && (from + 1 == end || from[1] != '"'))
                break;
            from += *from == '"';
            *text++ = *from;
        }
        if (from++ == end)
            return '\0';
    } else {
        while (from < end && *from != ',' && *from != '\r' && *from != '\n' && *from != '"')
            *text++ = *from++;
    }
    *text = '\0';
    *at = from + 1;
    return from < end && (*from == ',' || *from == '\r') ? *from : '\0';
}

static bool is_same_cell(const char *cell, bool quoted, const struct sink_value *expected,
                         bool as_is)
{
    char number[40];
    if (expected->kind == SINK_NULL || expected->kind == SINK_TEXT) {
        bool marked = !as_is && cell[0] == '\'';
        bool dangerous = !as_is && cell[0] && strchr("=+-@\t\r", cell[0]);
        return !dangerous &&
               is_same_text(!cell[0] && !quoted ? NULL : cell + marked, expected->text);
    }
    (void)snprintf(number, sizeof number, "%lld", (long long)expected->number);
    return expected->kind == SINK_INTEGER
               ? strcmp(cell, number) == 0
               : (int64_t)(strtod(cell, NULL) * 1e6 + 0.5) == expected->number;
}

TEST(a_row_of_csv_is_read_back_as_it_was_and_no_cell_is_a_formula)
{
    struct weft_random random;
    weft_random_seed(&random, 20261123);
    struct weft_buffer buffer = made_buffer();
    for (int round = 0; round < 5000; round++) {
        bool as_is = round % 2 == 1;
        struct random_result made;
        make_random(&random, &made);
        weft_buffer_clear(&buffer);
        weft_sink_append_csv(&buffer, &made.result, as_is);
        REQUIRE(buffer.err == 0);
        const char *at = buffer.data, *end = buffer.data + buffer.len;
        for (unsigned i = 0; i < SINK_COLUMNS; i++) {
            char cell[256];
            bool quoted;
            const struct sink_value value = weft_sink_value(&made.result, i);
            char behind = read_cell(&at, end, cell, &quoted);
            CHECK_EQUAL(behind, i + 1 < SINK_COLUMNS ? ',' : '\r');
            CHECK(is_same_cell(cell, quoted, &value, as_is));
        }
        CHECK(at + 1 == end && *at == '\n');
    }
    weft_buffer_deinit(&buffer);
}

/* ---- the end of a file ------------------------------------------------------------------- */

TEST(the_tail_of_a_file_of_json_lines_is_whole_or_cut_wherever_it_ends)
{
    static const char line[] = "{\"a\":\"}\\\"{\\\\\",\"b\":[1,{\"c\":2}],\"d\":null}";
    for (size_t len = 0; len < sizeof line; len++) {
        for (size_t split = 0; split <= len; split++) {
            struct sink_json_tail tail = {0};
            weft_sink_json_tail_feed(&tail, line, split);
            weft_sink_json_tail_feed(&tail, line + split, len - split);
            CHECK_EQUAL(tail.bytes, len);
            CHECK_EQUAL(weft_sink_json_tail_judge(&tail),
                        len == 0 || len == sizeof line - 1 ? SINK_TAIL_WHOLE : SINK_TAIL_CUT);
        }
    }
}

static enum sink_tail_verdict judge(const char *text, size_t len)
{
    struct sink_json_tail tail = {0};
    weft_sink_json_tail_feed(&tail, text, len);
    return weft_sink_json_tail_judge(&tail);
}

TEST(a_tail_that_is_no_object_is_somebody_elses)
{
    CHECK_EQUAL(judge("url,status", 10), SINK_TAIL_FOREIGN);
    CHECK_EQUAL(judge("{} {}", 5), SINK_TAIL_FOREIGN);
    CHECK_EQUAL(judge("{}x", 3), SINK_TAIL_FOREIGN);
    CHECK_EQUAL(judge("{} \r", 4), SINK_TAIL_WHOLE);
    CHECK_EQUAL(judge("\0\0\0", 3), SINK_TAIL_CUT);
}

TEST(the_last_whole_row_of_csv_is_found_though_cells_contain_line_ends)
{
    static const char rows[] = "a,b\r\n\"x\r\n\"\"y\",1\r\n,\"\"\r\n";
    static const size_t ends[] = {5, 17, 22};
    for (size_t len = 0; len < sizeof rows; len++) {
        struct sink_csv_scan scan = {0};
        weft_sink_csv_scan_feed(&scan, rows, len / 2);
        weft_sink_csv_scan_feed(&scan, rows + len / 2, len - len / 2);
        size_t whole = 0;
        for (int i = 0; i < 3; i++)
            whole = len >= ends[i] ? ends[i] : whole;
        CHECK_EQUAL(scan.whole_bytes, whole);
        CHECK_EQUAL(scan.bytes, len);
    }
}

/* ---- fingerprints ------------------------------------------------------------------------ */

static const char *fingerprint(const char *method, const char *url, const char *body,
                               const char *tag)
{
    static char texts[4][33];
    static unsigned next;
    struct weft_fingerprint made;
    char *text = texts[next++ % 4];
    REQUIRE(weft_fingerprint(&made, method, url, body, body ? strlen(body) : 0, tag) == 0);
    for (int i = 0; i < 16; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", made.bytes[i]);
    return text;
}

/* Databases have them: what is checked here must never change. The values are of
 * python3: hashlib.sha256(b"".join(bytes([there]) + len(p).to_bytes(8, "little") + p ...)). */
TEST(fingerprints_are_what_they_always_were)
{
    CHECK_TEXT(fingerprint("GET", "http://host/1", NULL, NULL), "7ea7ae7fe1f9d994efb985adc528539f");
    CHECK_TEXT(fingerprint(NULL, "http://host/1", NULL, NULL), "7ea7ae7fe1f9d994efb985adc528539f");
    CHECK_TEXT(fingerprint("POST", "http://host/1", "body", "tag"),
               "3f6b94e6652fc07df4efdd20c0befbe5");
}

TEST(fingerprints_tell_the_parts_apart)
{
    CHECK(strcmp(fingerprint("GET", "ab", NULL, NULL), fingerprint("GETa", "b", NULL, NULL)) != 0);
    CHECK(strcmp(fingerprint("GET", "a", "b", NULL), fingerprint("GET", "a", NULL, "b")) != 0);
    CHECK(strcmp(fingerprint("GET", "a", NULL, NULL), fingerprint("GET", "a", NULL, "")) != 0);
    CHECK(strcmp(fingerprint("GET", "a", NULL, NULL), fingerprint("GET", "a", "", NULL)) == 0);
}
