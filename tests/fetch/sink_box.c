/* SPDX-License-Identifier: MIT
 * sink_box.c - see sink_box.h. */
#include "sink_box.h"

#include <weft/runtime.h>
#include <weft/sync.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *box_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    REQUIRE(snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name) <
            (int)sizeof paths[0]);
    return path;
}

struct weft_fetch_result box_result(unsigned i)
{
    static char urls[8][64];
    static unsigned next;
    char *url = urls[next++ % 8];
    (void)snprintf(url, sizeof urls[0], "http://host/%u", i);
    return (struct weft_fetch_result){
        .url = url,
        .status_code = 200,
        .http_version = 11,
        .latency_ns = 1234567,
        .total_ns = 2345678,
        .timestamp_us = 1700000000123456 + i,
        .attempt = 1,
        .bytes_received = 345,
        .body_bytes = 200,
        .content_type = "text/plain",
    };
}

struct weft_sink *box_open(const struct weft_sink_output *output,
                           const struct weft_sink_options *options)
{
    struct weft_sink_options one = options ? *options : (struct weft_sink_options){0};
    struct weft_sink *sink = NULL;
    char error[300] = "";
    one.outputs = output;
    one.outputs_count = 1;
    int err = weft_sink_open(&sink, &one, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(err == 0);
    return sink;
}

int box_refused(const struct weft_sink_output *output, const char **ret_text)
{
    static char error[300];
    struct weft_sink *sink = NULL;
    const struct weft_sink_options options = {.outputs = output, .outputs_count = 1};
    error[0] = '\0';
    int err = weft_sink_open(&sink, &options, error, sizeof error);
    CHECK(err < 0);
    CHECK(!sink);
    CHECK(error[0] != '\0');
    weft_sink_close(sink);
    *ret_text = error;
    return err;
}

void box_put(struct weft_sink *sink, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        const struct weft_fetch_result result = box_result(i);
        REQUIRE(weft_sink_put(sink, &result, WEFT_FOREVER) == 0);
    }
}

void box_close(struct weft_sink *sink, int result)
{
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), result);
    if (result == 0)
        CHECK_TEXT(weft_sink_error(sink), "");
    weft_sink_close(sink);
}

void box_write(const struct weft_sink_output *output, unsigned first, unsigned count)
{
    struct weft_sink *sink = box_open(output, NULL);
    box_put(sink, first, count);
    box_close(sink, 0);
}

struct weft_sink_metrics box_metrics(struct weft_sink *sink)
{
    struct weft_sink_metrics metrics = {0};
    REQUIRE(weft_sink_snapshot(sink, &metrics) == 0);
    return metrics;
}

char *box_read(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    REQUIRE(fseek(file, 0, SEEK_END) == 0);
    size_t len = (size_t)ftell(file);
    char *text = malloc(len + 1);
    REQUIRE(text);
    rewind(file);
    REQUIRE(fread(text, 1, len, file) == len);
    text[len] = '\0';
    (void)fclose(file);
    if (ret_len)
        *ret_len = len;
    return text;
}

void box_make(const char *path, const void *content, size_t len)
{
    FILE *file = fopen(path, "wb");
    REQUIRE(file);
    REQUIRE(fwrite(content, 1, len, file) == len);
    REQUIRE(fclose(file) == 0);
}

unsigned box_lines(const char *text)
{
    unsigned lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;
    REQUIRE(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) ==
            SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    return db;
}

int64_t box_number(const char *path, const char *sql)
{
    sqlite3 *db = open_database(path);
    sqlite3_stmt *statement;
    REQUIRE(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return number;
}

void box_sql(const char *path, const char *sql)
{
    sqlite3 *db = open_database(path);
    REQUIRE(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
}

static int write_log(void *arg, const struct weft_fetch_result *const *results, size_t count)
{
    struct box_log *log = arg;
    if (log->waits_for) {
        int err = weft_event_wait(log->waits_for, WEFT_FOREVER);
        if (err < 0)
            return err;
    }
    if (log->batches < sizeof log->sizes / sizeof *log->sizes) {
        log->sizes[log->batches] = (unsigned)count;
        log->at_ns[log->batches] = weft_now();
    }
    log->batches++;
    if (log->fails_at == (int)log->batches)
        return log->error;
    log->results += (unsigned)count;
    for (size_t i = 0; i < count; i++)
        log->body_bytes += results[i]->body ? results[i]->body_len : 0;
    (void)snprintf(log->last_url, sizeof log->last_url, "%s", results[count - 1]->url);
    return 0;
}

struct weft_sink_output box_log_output(struct box_log *log)
{
    return (struct weft_sink_output){
        .kind = WEFT_SINK_FUNCTION, .path = "the log", .write = write_log, .arg = log};
}
