/* SPDX-License-Identifier: MIT
 * sink_resume.c - a run that goes on makes what is not in the database, as often as it is not. */
#include "../broker/fault.h"
#include "sink_box.h"

#include <weft/weft.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct weft_resume *resume_open(const char *path, int redo_failed)
{
    struct weft_resume *resume = NULL;
    char error[300] = "";
    const struct weft_resume_options options = {.path = path, .redo_failed = redo_failed};
    int err = weft_resume_open(&resume, &options, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(err == 0);
    return resume;
}

static struct weft_fingerprint print_of(unsigned i)
{
    struct weft_fingerprint made;
    const struct weft_fetch_result result = box_result(i);
    REQUIRE(weft_fingerprint(&made, NULL, result.url, NULL, 0, NULL) == 0);
    return made;
}

/* Ask for number i. */
static int take(struct weft_resume *resume, unsigned i)
{
    const struct weft_fingerprint made = print_of(i);
    unsigned char done = 7;
    int64_t taken = weft_resume_take(resume, &made, 1, &done);
    CHECK_EQUAL(taken, done);
    return (int)taken;
}

REAL_TIME_FIBER_TEST(what_has_a_row_is_done_and_what_has_none_is_not)
{
    const struct weft_sink_output output = {.path = box_path("done.sqlite")};
    struct weft_fingerprint prints[100];
    unsigned char done[100];
    box_write(&output, 0, 50);
    struct weft_resume *resume = resume_open(output.path, 0);
    CHECK_EQUAL(weft_resume_found(resume), 50);
    for (unsigned i = 0; i < 100; i++)
        prints[i] = print_of((37 * i) % 100);
    CHECK_EQUAL(weft_resume_take(resume, prints, 100, done), 50);
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQUAL(done[i], (37 * i) % 100 < 50);
    CHECK_EQUAL(weft_resume_left(resume), 0);
    CHECK_EQUAL(weft_resume_take(resume, prints, 100, done), 0);
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQUAL(done[i], 0);
    weft_resume_close(resume);
    weft_resume_close(NULL);
}

REAL_TIME_FIBER_TEST(a_row_stands_for_one_of_several_equal_requests)
{
    struct weft_sink_output output = {.path = box_path("equal.sqlite"),
                                      .existing = WEFT_SINK_APPEND};
    box_write(&output, 1, 1);
    box_write(&output, 1, 1);
    struct weft_resume *resume = resume_open(output.path, 0);
    CHECK_EQUAL(weft_resume_found(resume), 2);
    CHECK_EQUAL(take(resume, 1), 1);
    CHECK_EQUAL(take(resume, 1), 1);
    CHECK_EQUAL(take(resume, 1), 0);
    weft_resume_close(resume);
}

REAL_TIME_FIBER_TEST(requests_differ_by_method_body_and_tag)
{
    const struct weft_sink_output output = {.path = box_path("differ.sqlite")};
    struct weft_fingerprint prints[4];
    unsigned char done[4];
    struct weft_sink *sink = box_open(&output, NULL);
    struct weft_fetch_result result = {.url = "u", .method = "POST", .tag = "t"};
    REQUIRE(weft_fingerprint(&prints[0], "POST", "u", "body", 4, "t") == 0);
    REQUIRE(weft_fingerprint(&prints[1], "POST", "u", NULL, 0, "t") == 0);
    REQUIRE(weft_fingerprint(&prints[2], "GET", "u", "body", 4, "t") == 0);
    REQUIRE(weft_fingerprint(&prints[3], "POST", "u", "body", 4, NULL) == 0);
    result.fingerprint = &prints[0];
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    result.fingerprint = NULL; /* made by the sink, without a body */
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    box_close(sink, 0);
    struct weft_resume *resume = resume_open(output.path, 0);
    CHECK_EQUAL(weft_resume_take(resume, prints, 4, done), 2);
    CHECK(done[0] && done[1] && !done[2] && !done[3]);
    weft_resume_close(resume);
}

REAL_TIME_FIBER_TEST(a_fingerprint_is_made_of_the_bytes_that_came_and_not_of_their_repair)
{
    const struct weft_sink_output output = {.path = box_path("bytes.sqlite")};
    struct weft_fingerprint prints[2];
    unsigned char done[2];
    struct weft_sink *sink = box_open(&output, NULL);
    CHECK_EQUAL(weft_sink_put(sink, &(struct weft_fetch_result){.url = "u\xff"}, WEFT_FOREVER), 0);
    box_close(sink, 0);
    REQUIRE(weft_fingerprint(&prints[0], NULL, "u\xff", NULL, 0, NULL) == 0);
    REQUIRE(weft_fingerprint(&prints[1], NULL, "u\ufffd", NULL, 0, NULL) == 0);
    struct weft_resume *resume = resume_open(output.path, 0);
    CHECK_EQUAL(weft_resume_take(resume, prints, 2, done), 1);
    CHECK(done[0] && !done[1]);
    weft_resume_close(resume);
}

REAL_TIME_FIBER_TEST(cancelled_rows_are_no_results_and_failed_ones_are_if_they_may)
{
    const struct weft_sink_output output = {.path = box_path("failed.sqlite")};
    struct weft_sink *sink = box_open(&output, NULL);
    struct weft_fetch_result result = box_result(1);
    result.error = "the run was stopped";
    result.error_class = "cancelled";
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    result = box_result(2);
    result.error_class = "HTTP 503";
    CHECK_EQUAL(weft_sink_put(sink, &result, WEFT_FOREVER), 0);
    box_put(sink, 3, 1);
    box_close(sink, 0);
    struct weft_resume *resume = resume_open(output.path, 0);
    CHECK_EQUAL(take(resume, 1), 0);
    CHECK_EQUAL(take(resume, 2), 1);
    CHECK_EQUAL(take(resume, 3), 1);
    weft_resume_close(resume);
    CHECK_EQUAL(box_number(output.path, "SELECT count(*) FROM results"), 2);
    resume = resume_open(output.path, 1);
    CHECK_EQUAL(take(resume, 2), 0);
    CHECK_EQUAL(take(resume, 3), 1);
    weft_resume_close(resume);
    CHECK_EQUAL(box_number(output.path, "SELECT count(*) FROM results"), 1);
}

REAL_TIME_FIBER_TEST(beside_an_open_sink_it_sees_what_was_there_and_not_what_comes)
{
    struct weft_sink_output output = {.path = box_path("beside.sqlite"),
                                      .existing = WEFT_SINK_APPEND};
    box_write(&output, 0, 10);
    struct weft_sink *sink = box_open(&output, NULL);
    struct weft_resume *resume = resume_open(output.path, 0);
    box_put(sink, 10, 10);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), 0);
    CHECK_EQUAL(take(resume, 9), 1);
    CHECK_EQUAL(take(resume, 10), 0);
    box_close(sink, 0);
    weft_resume_close(resume);
}

REAL_TIME_FIBER_TEST(a_database_that_is_not_there_has_no_results)
{
    const char *path = box_path("nothing.sqlite");
    struct weft_resume *resume = resume_open(path, 0);
    CHECK_EQUAL(weft_resume_found(resume), 0);
    CHECK_EQUAL(take(resume, 1), 0);
    weft_resume_close(resume);
    CHECK(box_read(path, NULL) == NULL); /* and still is not */
    path = box_path("empty.sqlite");
    box_sql(path, "CREATE TABLE other (a)");
    resume = resume_open(path, 0);
    CHECK_EQUAL(weft_resume_found(resume), 0);
    weft_resume_close(resume);
}

static int refused(const char *path, char error[300])
{
    struct weft_resume *resume = NULL;
    error[0] = '\0';
    int err = weft_resume_open(&resume, &(struct weft_resume_options){.path = path}, error, 300);
    CHECK(!resume);
    CHECK(error[0]);
    return err;
}

REAL_TIME_FIBER_TEST(what_cannot_be_read_says_why)
{
    char error[300];
    const char *path = box_path("foreign.sqlite");
    box_sql(path, "CREATE TABLE results (name TEXT)");
    CHECK_EQUAL(refused(path, error), WEFT_ECORRUPT);
    CHECK(strstr(error, "with other columns") != NULL);
    path = box_path("text.sqlite");
    box_make(path, "this is only a text, and a long one for that matter ............", 64);
    CHECK_EQUAL(refused(path, error), WEFT_ECORRUPT);
    CHECK(strstr(error, "is not an SQLite database") != NULL);
    CHECK_EQUAL(refused(test_directory(), error), -EINVAL);
    CHECK_EQUAL(weft_resume_open(NULL, NULL, NULL, 0), -EINVAL);
    CHECK_EQUAL(weft_resume_open(NULL, &(struct weft_resume_options){0}, NULL, 0), -EINVAL);
}

REAL_TIME_FIBER_TEST(too_many_at_once_are_refused)
{
    static struct weft_fingerprint prints[WEFT_RESUME_TAKE_MAX + 1];
    static unsigned char done[WEFT_RESUME_TAKE_MAX + 1];
    const struct weft_sink_output output = {.path = box_path("toomany.sqlite")};
    box_write(&output, 0, 1);
    struct weft_resume *resume = resume_open(output.path, 0);
    CHECK_EQUAL(weft_resume_take(resume, prints, WEFT_RESUME_TAKE_MAX + 1, done), -EINVAL);
    CHECK_EQUAL(weft_resume_take(resume, prints, WEFT_RESUME_TAKE_MAX, done), 0);
    weft_resume_close(resume);
}

/* ---- cancellation ------------------------------------------------------------------------ */

REAL_TIME_FIBER_TEST(cancelled_before_it_takes_nothing)
{
    struct weft_scope scope;
    struct weft_resume *none = NULL;
    unsigned char done = 0;
    const struct weft_sink_output output = {.path = box_path("before.sqlite")};
    box_write(&output, 0, 1);
    struct weft_resume *resume = resume_open(output.path, 0);
    const struct weft_fingerprint made = print_of(0);
    const struct weft_resume_options options = {.path = output.path};
    weft_scope_enter(&scope, WEFT_FOREVER, 0);
    weft_scope_cancel(&scope, 0);
    CHECK_EQUAL(weft_resume_take(resume, &made, 1, &done), -ECANCELED);
    CHECK_EQUAL(weft_resume_open(&none, &options, NULL, 0), -ECANCELED);
    CHECK(!none);
    (void)weft_scope_leave(&scope, 0);
    CHECK_EQUAL(take(resume, 0), 1);
    weft_resume_close(resume);
}

static const char rows_sql[] =
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    " INSERT INTO results SELECT i + 1000, 'http://host/' || i, 200, 1, 1, 1, NULL, NULL, 'GET',"
    " NULL, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, randomblob(16) FROM n";

/* The scope ends at various times of an open that takes some tenths of a second. */
REAL_TIME_FIBER_TEST(an_open_that_is_cancelled_ends_and_leaves_the_rows_as_they_are)
{
    const struct weft_sink_output output = {.path = box_path("during.sqlite")};
    const struct weft_resume_options options = {.path = output.path, .redo_failed = 1};
    box_write(&output, 0, 1);
    box_sql(output.path, rows_sql);
    unsigned opened = 0, cancelled = 0;
    for (int64_t ms = 1; ms < 10000000 && opened == 0; ms *= 3) {
        struct weft_scope scope;
        struct weft_resume *resume = NULL;
        weft_scope_enter(&scope, weft_now() + ms * WEFT_MSEC, 0);
        int err = weft_resume_open(&resume, &options, NULL, 0);
        (void)weft_scope_leave(&scope, 0);
        CHECK(err == 0 || err == -ECANCELED);
        opened += err == 0;
        cancelled += err == -ECANCELED;
        CHECK((err == 0) == (resume != NULL));
        CHECK_EQUAL(resume ? weft_resume_found(resume) : 100001, 100001);
        weft_resume_close(resume);
    }
    CHECK_EQUAL(opened, 1);
    CHECK(cancelled > 0);
    CHECK_EQUAL(box_number(output.path, "SELECT count(*) FROM results"), 100001);
}

/* ---- faults ------------------------------------------------------------------------------ */

REAL_TIME_FIBER_TEST(no_memory_for_it_is_an_error_and_nothing_more)
{
    const struct weft_sink_output output = {.path = box_path("memory.sqlite")};
    const struct weft_resume_options options = {.path = output.path};
    const struct weft_fingerprint made = print_of(3);
    box_write(&output, 0, 20);
    for (unsigned long step = 1;; step++) {
        struct weft_resume *resume = NULL;
        unsigned char done = 0;
        int64_t taken = -1;
        fault_allocation(step);
        int err = weft_resume_open(&resume, &options, NULL, 0);
        if (err == 0)
            taken = weft_resume_take(resume, &made, 1, &done);
        bool fired = fault_fired();
        fault_clear();
        CHECK((err == 0) == (resume != NULL));
        CHECK(err == 0 || fired);
        CHECK(taken == 1 || fired);
        CHECK(taken < 0 || taken == done);
        weft_resume_close(resume);
        if (!fired)
            break;
        REQUIRE(step < 5000);
    }
    CHECK_EQUAL(box_number(output.path, "SELECT count(*) FROM results"), 20);
}

REAL_TIME_FIBER_TEST(a_file_that_fails_is_an_error_with_a_sentence)
{
    const struct weft_sink_output output = {.path = box_path("files.sqlite")};
    box_write(&output, 0, 20);
    for (unsigned kind = 0; kind < FAULT_FILES; kind++) {
        for (unsigned long at = 1; at < 200; at++) {
            struct weft_resume *resume = NULL;
            char error[300] = "";
            fault_file((enum fault_file)kind, at, 0, SQLITE_IOERR);
            int err = weft_resume_open(&resume, &(struct weft_resume_options){.path = output.path},
                                       error, sizeof error);
            bool fired = fault_fired();
            fault_clear();
            CHECK((err == 0) == (resume != NULL));
            CHECK((err < 0) == (error[0] != '\0'));
            weft_resume_close(resume);
            if (!fired)
                break;
        }
    }
    CHECK_EQUAL(box_number(output.path, "SELECT count(*) FROM results"), 20);
}

REAL_TIME_FIBER_TEST(a_look_up_that_fails_is_the_last_one)
{
    const struct weft_sink_output output = {.path = box_path("broken.sqlite")};
    const struct weft_fingerprint made = print_of(3);
    unsigned char done;
    box_write(&output, 0, 20);
    struct weft_resume *resume = resume_open(output.path, 0);
    fault_statement("COMMIT", SQLITE_IOERR, false);
    CHECK_EQUAL(weft_resume_take(resume, &made, 1, &done), -EIO);
    CHECK(fault_fired());
    fault_clear();
    CHECK_EQUAL(weft_resume_take(resume, &made, 1, &done), -EIO);
    weft_resume_close(resume);
}
