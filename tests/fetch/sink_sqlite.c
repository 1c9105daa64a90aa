/* SPDX-License-Identifier: MIT
 * sink_sqlite.c - results in a database: rows, readers beside the writer, what is on disk. */
#include "../broker/fault.h"
#include "sink_box.h"

#include <weft/weft.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT "SELECT count(*) FROM results"

REAL_TIME_FIBER_TEST(every_result_is_a_row_with_its_columns)
{
    const struct weft_sink_output output = {.path = box_path("rows.sqlite")};
    struct weft_sink *sink = box_open(&output, NULL);
    struct weft_fetch_result result = box_result(5);
    result.error = "bytes \xff\xc3 that are no text";
    result.error_class = "HTTP 503";
    result.tag = "a";
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    box_put(sink, 0, 999);
    box_close(sink, 0);
    CHECK_EQUAL(box_number(output.path, COUNT), 1000);
    CHECK_EQUAL(box_number(output.path,
                           "SELECT count(*) FROM results WHERE id = 1 AND url = 'http://host/5'"
                           " AND status_code = 200 AND latency_ms = 1.234567"
                           " AND timestamp = 1700000000.123461 AND attempt = 1"
                           " AND error = 'bytes \ufffd\ufffd that are no text'"
                           " AND final_url IS NULL AND method = 'GET'"
                           " AND error_class = 'HTTP 503' AND tag = 'a' AND http_version = 11"
                           " AND length(fingerprint) = 16"),
                1);
    CHECK_EQUAL(box_number(output.path, "SELECT count(DISTINCT url) FROM results"), 999);
    CHECK_EQUAL(
        box_number(output.path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
}

REAL_TIME_FIBER_TEST(a_url_is_found_by_an_index)
{
    const struct weft_sink_output output = {.path = box_path("index.db")};
    box_write(&output, 0, 10);
    sqlite3 *db;
    sqlite3_stmt *statement;
    REQUIRE(sqlite3_open(output.path, &db) == SQLITE_OK);
    REQUIRE(sqlite3_prepare_v2(db, "EXPLAIN QUERY PLAN SELECT * FROM results WHERE url = 'x'", -1,
                               &statement, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    const char *plan = (const char *)sqlite3_column_text(statement, 3);
    CHECK(strstr(plan, "USING INDEX results_url") != NULL);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
}

REAL_TIME_FIBER_TEST(a_database_is_read_while_it_is_written)
{
    const struct weft_sink_output output = {.path = box_path("read.sqlite3")};
    struct weft_sink *sink = box_open(&output, NULL);
    sqlite3 *db;
    REQUIRE(sqlite3_open(output.path, &db) == SQLITE_OK);
    for (unsigned i = 0; i < 20; i++) {
        sqlite3_stmt *statement;
        REQUIRE(sqlite3_prepare_v2(db, COUNT, -1, &statement, NULL) == SQLITE_OK);
        CHECK_EQUAL(sqlite3_step(statement), SQLITE_ROW); /* and stays open: a snapshot */
        box_put(sink, 100 * i, 100);
        CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
        CHECK_EQUAL(sqlite3_column_int(statement, 0), 100 * (int)i);
        (void)sqlite3_finalize(statement);
    }
    box_close(sink, 0);
    (void)sqlite3_close(db);
    CHECK_EQUAL(box_number(output.path, COUNT), 2000);
}

REAL_TIME_FIBER_TEST(rows_that_are_there_are_refused_kept_or_replaced)
{
    const char *text;
    struct weft_sink_output output = {.path = box_path("there.sqlite")};
    box_write(&output, 0, 0);
    box_write(&output, 0, 3); /* an empty table is no obstacle */
    CHECK_EQUAL(box_refused(&output, &text), -EEXIST);
    CHECK(strstr(text, "has results already") != NULL);
    output.existing = WEFT_SINK_APPEND;
    box_write(&output, 3, 2);
    CHECK_EQUAL(box_number(output.path, COUNT), 5);
    output.existing = WEFT_SINK_REPLACE;
    box_write(&output, 0, 1);
    CHECK_EQUAL(box_number(output.path, COUNT), 1);
}

REAL_TIME_FIBER_TEST(other_tables_stay_and_a_foreign_table_of_results_is_left_alone)
{
    const char *text;
    struct weft_sink_output output = {.path = box_path("mixed.sqlite"),
                                      .existing = WEFT_SINK_REPLACE};
    box_sql(output.path, "CREATE TABLE frontier (url TEXT); INSERT INTO frontier VALUES ('a')");
    box_write(&output, 0, 2);
    CHECK_EQUAL(box_number(output.path, "SELECT count(*) FROM frontier"), 1);
    output.path = box_path("foreign.sqlite");
    box_sql(output.path, "CREATE TABLE results (name TEXT); INSERT INTO results VALUES ('a')");
    CHECK_EQUAL(box_refused(&output, &text), WEFT_ECORRUPT);
    CHECK(strstr(text, "with other columns") != NULL);
    CHECK_EQUAL(box_number(output.path, COUNT), 1);
}

REAL_TIME_FIBER_TEST(what_is_no_database_is_refused)
{
    const char *text;
    struct weft_sink_output output = {
        .kind = WEFT_SINK_SQLITE, .path = box_path("text.sqlite"), .existing = WEFT_SINK_REPLACE};
    box_make(output.path, "this is only a text, and a long one for that matter ............", 64);
    CHECK_EQUAL(box_refused(&output, &text), WEFT_ECORRUPT);
    CHECK(strstr(text, "is not an SQLite database") != NULL);
    output.path = ":memory:";
    CHECK_EQUAL(box_refused(&output, &text), -EINVAL);
    output.path = test_directory();
    CHECK_EQUAL(box_refused(&output, &text), -EISDIR);
    output.path = "/nowhere/at/all.sqlite";
    CHECK_EQUAL(box_refused(&output, &text), -ENOENT);
    CHECK_TEXT(text, "cannot open the database /nowhere/at/all.sqlite: No such file or directory");
}

REAL_TIME_FIBER_TEST(a_database_is_one_sinks_at_a_time)
{
    const char *text;
    const struct weft_sink_output output = {.path = box_path("busy.sqlite"),
                                            .existing = WEFT_SINK_APPEND};
    struct weft_sink *sink = box_open(&output, NULL);
    CHECK_EQUAL(box_refused(&output, &text), -EBUSY);
    CHECK(strstr(text, "is being written already") != NULL);
    box_close(sink, 0);
    box_write(&output, 0, 1);
}

REAL_TIME_FIBER_TEST(a_batch_is_in_the_database_as_a_whole_or_not_at_all)
{
    const struct weft_sink_output output = {.path = box_path("whole.sqlite")};
    struct weft_sink *sink = box_open(&output, &(struct weft_sink_options){.batch_max = 10});
    box_put(sink, 0, 10);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
    fault_file(FAULT_WRITE, 2, 100, SQLITE_IOERR_WRITE);
    box_put(sink, 10, 5);
    CHECK(weft_sink_flush(sink, WEFT_FOREVER) < 0);
    CHECK(fault_fired());
    fault_clear();
    CHECK(weft_sink_finish(sink, WEFT_FOREVER) < 0);
    CHECK(strstr(weft_sink_error(sink), "whole.sqlite") != NULL);
    CHECK_EQUAL(box_metrics(sink).items_processed, 10);
    CHECK_EQUAL(box_metrics(sink).dropped_items, 5);
    weft_sink_close(sink);
    CHECK_EQUAL(box_number(output.path, COUNT), 10);
}

REAL_TIME_FIBER_TEST(a_full_disk_stops_the_sink_and_leaves_whole_batches)
{
    const struct weft_sink_output output = {.path = box_path("full.sqlite")};
    struct weft_sink *sink = box_open(&output, &(struct weft_sink_options){.batch_max = 50});
    struct rlimit limit;
    unsigned put = 0;
    int err = 0;
    (void)signal(SIGXFSZ, SIG_IGN);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const struct rlimit small = {.rlim_cur = 1000000, .rlim_max = limit.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (; err == 0 && put < 1000000; put += err == 0) {
        const struct weft_fetch_result result = box_result(put);
        err = weft_sink_put(sink, &result, WEFT_FOREVER);
    }
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_EQUAL(err, -ENOSPC);
    CHECK(strstr(weft_sink_error(sink), "full.sqlite: No space left on device") != NULL);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -ENOSPC);
    const struct weft_sink_metrics metrics = box_metrics(sink);
    CHECK_EQUAL(metrics.items_processed + metrics.dropped_items, put);
    weft_sink_close(sink);
    CHECK_EQUAL(box_number(output.path, COUNT), metrics.items_processed);
}

REAL_TIME_FIBER_TEST(a_database_that_is_removed_meanwhile_is_noticed)
{
    const struct weft_sink_output output = {.path = box_path("gone.sqlite")};
    struct weft_sink *sink = box_open(&output, NULL);
    box_put(sink, 0, 1);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
    REQUIRE(unlink(output.path) == 0);
    box_put(sink, 1, 1);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -ENOENT);
    CHECK(strstr(weft_sink_error(sink), "was removed") != NULL);
    weft_sink_close(sink);
}

/* What was synced of the files, and nothing else. */
REAL_TIME_FIBER_TEST(what_a_flush_has_waited_for_survives_a_power_cut)
{
    static const struct {
        enum weft_sink_sync sync;
        const char *name;
    } kinds[] = {{WEFT_SINK_SYNC_FLUSH, "power.sqlite"}, {WEFT_SINK_SYNC_BATCH, "power2.sqlite"}};
    fault_keep_synced(true);
    for (unsigned i = 0; i < 2; i++) {
        const struct weft_sink_output output = {.path = box_path(kinds[i].name),
                                                .sync = kinds[i].sync};
        char copy[300];
        (void)snprintf(copy, sizeof copy, "%s-copy", output.path);
        struct weft_sink *sink = box_open(&output, &(struct weft_sink_options){.batch_max = 20});
        for (unsigned round = 1; round <= 5; round++) {
            box_put(sink, 100 * round, 100);
            CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
            fault_cut_power(output.path, copy);
            CHECK_EQUAL(box_number(copy, COUNT), 100 * (int)round);
        }
        box_close(sink, 0);
    }
    fault_keep_synced(false);
}

REAL_TIME_FIBER_TEST(after_the_end_there_is_one_file_with_everything)
{
    struct stat info;
    char log[300];
    const struct weft_sink_output output = {.path = box_path("one.sqlite")};
    box_write(&output, 0, 100);
    (void)snprintf(log, sizeof log, "%s-wal", output.path);
    CHECK(stat(log, &info) < 0);
}
