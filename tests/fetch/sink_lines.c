/* SPDX-License-Identifier: MIT
 * sink_lines.c - files of JSON lines and CSV, new and going on after any cut; pipes and devices. */
#include "sink_box.h"

#include <weft/weft.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ------------------------------------------------------------------------------- */

REAL_TIME_FIBER_TEST(a_file_has_a_line_per_result)
{
    const struct weft_sink_output output = {.path = box_path("lines.jsonl")};
    box_write(&output, 0, 1200);
    char *text = box_read(output.path, NULL);
    REQUIRE(text);
    CHECK_EQUAL(box_lines(text), 1200);
    CHECK(strncmp(text, "{\"url\":\"http://host/0\",", 23) == 0);
    CHECK(strstr(text, "{\"url\":\"http://host/1199\",") != NULL);
    free(text);
}

REAL_TIME_FIBER_TEST(a_file_of_csv_has_a_header_even_without_results)
{
    const struct weft_sink_output output = {.path = box_path("none.csv")};
    box_write(&output, 0, 0);
    char *text = box_read(output.path, NULL);
    REQUIRE(text);
    CHECK_EQUAL(box_lines(text), 1);
    CHECK(strncmp(text, "url,status_code,latency_ms,", 27) == 0);
    free(text);
}

REAL_TIME_FIBER_TEST(a_file_that_is_there_is_refused_kept_or_replaced)
{
    static const char *const names[] = {"there.jsonl", "there.csv"};
    const char *text;
    for (unsigned i = 0; i < 2; i++) {
        struct weft_sink_output output = {.path = box_path(names[i])};
        box_write(&output, 0, 3);
        size_t before, after;
        char *kept = box_read(output.path, &before);
        CHECK_EQUAL(box_refused(&output, &text), -EEXIST);
        CHECK(strstr(text, names[i]) != NULL);
        char *same = box_read(output.path, &after);
        CHECK(before == after && memcmp(kept, same, before) == 0);
        free(same);
        output.existing = WEFT_SINK_APPEND;
        box_write(&output, 3, 2);
        char *longer = box_read(output.path, &after);
        CHECK(after > before && memcmp(kept, longer, before) == 0);
        CHECK_EQUAL(box_lines(longer), 5 + i);
        free(longer);
        output.existing = WEFT_SINK_REPLACE;
        box_write(&output, 0, 3);
        same = box_read(output.path, &after);
        CHECK(before == after && memcmp(kept, same, before) == 0);
        free(same);
        free(kept);
    }
}

/* Every length to which a crash could have left the file. */
static void cut_everywhere(const char *name, bool has_header)
{
    struct weft_sink_output output = {
        .path = box_path(name), .existing = WEFT_SINK_APPEND, .sync = WEFT_SINK_SYNC_NEVER};
    size_t whole_len, len;
    box_write(&output, 0, 3);
    char *whole = box_read(output.path, &whole_len);
    REQUIRE(whole);
    for (size_t cut = 0; cut <= whole_len; cut++) {
        box_make(output.path, whole, cut);
        box_write(&output, 7, 1);
        size_t kept = 0, lines = 0;
        for (size_t i = 0; i < cut; i++) {
            if (whole[i] == '\n') {
                kept = i + 1;
                lines++;
            }
        }
        char *text = box_read(output.path, &len);
        /* JSON that lacks nothing but its line feed is whole. */
        bool complete = !has_header && cut < whole_len && whole[cut] == '\n';
        CHECK(memcmp(text, whole, complete ? cut : kept) == 0);
        CHECK_EQUAL(box_lines(text), (lines < has_header ? 1 : lines) + complete + 1);
        CHECK(len > 20 && strstr(text + kept, "http://host/7") != NULL && text[len - 1] == '\n');
        free(text);
    }
    free(whole);
}

REAL_TIME_FIBER_TEST(json_lines_go_on_behind_the_last_whole_line_wherever_they_were_cut)
{
    cut_everywhere("cut.jsonl", false);
}

REAL_TIME_FIBER_TEST(csv_goes_on_behind_the_last_whole_row_wherever_it_was_cut)
{
    cut_everywhere("cut.csv", true);
}

REAL_TIME_FIBER_TEST(a_long_tail_is_found_however_long_it_is)
{
    const size_t len = 700000;
    struct weft_sink_output output = {.path = box_path("long.jsonl"), .existing = WEFT_SINK_APPEND};
    char *text = malloc(len);
    REQUIRE(text);
    memset(text, 'x', len);
    memcpy(text, "{\"a\":1}\n{\"b\":\"", 14);
    box_make(output.path, text, len);
    free(text);
    box_write(&output, 0, 1);
    text = box_read(output.path, NULL);
    CHECK(strncmp(text, "{\"a\":1}\n{\"url\":", 15) == 0);
    CHECK_EQUAL(box_lines(text), 2);
    free(text);
}

REAL_TIME_FIBER_TEST(files_of_others_are_left_as_they_are)
{
    static const struct {
        const char *name, *content;
    } others[] = {
        {"other.jsonl", "name,age\nx,1\n"},
        {"other2.jsonl", "just a text"},
        {"other3.jsonl", "{\"a\":1}\nand a text"},
        {"other.csv", "name,age\r\nx,1\r\n"},
        {"other2.csv", "url,status_code,latency_ms,timestamp,attempt,error,final_url\r\n"},
        {"other3.csv", "{}"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const char *said;
        const struct weft_sink_output output = {.path = box_path(others[i].name),
                                                .existing = WEFT_SINK_APPEND};
        box_make(output.path, others[i].content, strlen(others[i].content));
        CHECK_EQUAL(box_refused(&output, &said), -EINVAL);
        CHECK(strstr(said, "nothing is appended") != NULL);
        char *text = box_read(output.path, NULL);
        CHECK_TEXT(text, others[i].content);
        free(text);
    }
}

REAL_TIME_FIBER_TEST(a_file_is_written_by_one_at_a_time)
{
    const char *text;
    const struct weft_sink_output output = {.path = box_path("one.jsonl"),
                                            .existing = WEFT_SINK_APPEND};
    struct weft_sink *sink = box_open(&output, NULL);
    CHECK_EQUAL(box_refused(&output, &text), -EBUSY);
    CHECK(strstr(text, "is being written already") != NULL);
    box_close(sink, 0);
    box_write(&output, 0, 1);
}

REAL_TIME_FIBER_TEST(a_path_that_cannot_be_says_why)
{
    const char *text;
    struct weft_sink_output output = {.path = "/nowhere/at/all.jsonl"};
    CHECK_EQUAL(box_refused(&output, &text), -ENOENT);
    CHECK_TEXT(text, "cannot open /nowhere/at/all.jsonl: No such file or directory");
    output = (struct weft_sink_output){.kind = WEFT_SINK_CSV, .path = test_directory()};
    CHECK_EQUAL(box_refused(&output, &text), -EISDIR);
}

/* ---- no room ----------------------------------------------------------------------------- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* Put until that fails. Returns the error, with how many went in. */
static int fill(struct weft_sink *sink, unsigned *ret_put)
{
    int err = 0;
    for (*ret_put = 0; err == 0 && *ret_put < 1000000; *ret_put += err == 0) {
        const struct weft_fetch_result result = box_result(*ret_put);
        err = weft_sink_put(sink, &result, WEFT_FOREVER);
    }
    return err;
}

REAL_TIME_FIBER_TEST(a_full_disk_stops_the_sink_and_leaves_whole_lines)
{
    static const char *const names[] = {"full.jsonl", "full.csv"};
    for (unsigned i = 0; i < 2; i++) {
        struct weft_sink_output output = {.path = box_path(names[i])};
        unsigned put;
        struct weft_sink *sink = box_open(&output, &(struct weft_sink_options){.batch_max = 50});
        (void)signal(SIGXFSZ, SIG_IGN);
        limit_files(100000);
        int err = fill(sink, &put);
        limit_files(RLIM_INFINITY);
        CHECK_EQUAL(err, -EFBIG);
        CHECK(strstr(weft_sink_error(sink), names[i]) != NULL);
        CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -EFBIG);
        const struct weft_sink_metrics metrics = box_metrics(sink);
        CHECK_EQUAL(metrics.items_processed + metrics.dropped_items, put);
        weft_sink_close(sink);
        char *text = box_read(output.path, NULL);
        CHECK_EQUAL(box_lines(text), metrics.items_processed + i);
        CHECK(text[strlen(text) - 1] == '\n');
        free(text);
    }
}

REAL_TIME_FIBER_TEST(a_full_device_stops_the_sink)
{
    const struct weft_sink_output output = {.kind = WEFT_SINK_JSONL, .path = "/dev/full"};
    struct weft_sink *sink = box_open(&output, NULL);
    box_put(sink, 0, 1);
    CHECK_EQUAL(weft_sink_flush(sink, WEFT_FOREVER), -ENOSPC);
    CHECK_TEXT(weft_sink_error(sink), "cannot write /dev/full: No space left on device");
    weft_sink_close(sink);
}

REAL_TIME_FIBER_TEST(the_null_device_takes_everything)
{
    box_write(&(struct weft_sink_output){.kind = WEFT_SINK_CSV, .path = "/dev/null"}, 0, 1000);
}

/* ---- pipes ------------------------------------------------------------------------------- */

static const char *make_fifo(const char *name, int *ret_reader)
{
    const char *path = box_path(name);
    REQUIRE(mkfifo(path, 0600) == 0);
    *ret_reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(*ret_reader >= 0);
    return path;
}

REAL_TIME_FIBER_TEST(a_pipe_nobody_reads_from_is_refused)
{
    int reader;
    const char *text;
    const struct weft_sink_output output = {.kind = WEFT_SINK_JSONL,
                                            .path = make_fifo("unread", &reader)};
    REQUIRE(close(reader) == 0);
    CHECK_EQUAL(box_refused(&output, &text), -ENXIO);
    CHECK(strstr(text, "nobody reads from") != NULL);
}

REAL_TIME_FIBER_TEST(a_pipe_whose_reader_has_gone_stops_the_sink)
{
    int reader;
    const struct weft_sink_output output = {.kind = WEFT_SINK_CSV,
                                            .path = make_fifo("closed", &reader)};
    struct weft_sink *sink = box_open(&output, NULL);
    REQUIRE(close(reader) == 0);
    box_put(sink, 0, 1);
    CHECK_EQUAL(weft_sink_finish(sink, WEFT_FOREVER), -EPIPE);
    CHECK(strstr(weft_sink_error(sink), "closed: Broken pipe") != NULL);
    weft_sink_close(sink);
}

struct reading {
    int fd;
    unsigned lines;
};

static int read_lines(void *arg)
{
    static char chunk[4096];
    struct reading *reading = arg;
    ssize_t count;
    REQUIRE(weft_fd_adopt(reading->fd) == 0);
    while ((count = weft_read(reading->fd, chunk, sizeof chunk, WEFT_FOREVER)) > 0) {
        for (ssize_t i = 0; i < count; i++)
            reading->lines += chunk[i] == '\n';
    }
    (void)weft_close(reading->fd);
    return 0;
}

REAL_TIME_FIBER_TEST(a_pipe_gets_every_line_and_a_header_even_alone)
{
    for (unsigned results = 0; results < 5000; results += 4000) {
        struct reading reading = {0};
        struct weft_group group;
        const struct weft_sink_output output = {
            .kind = WEFT_SINK_CSV, .path = make_fifo(results ? "full" : "alone", &reading.fd)};
        struct weft_sink *sink = box_open(&output, NULL);
        REQUIRE(weft_group_init(&group, NULL) == 0);
        REQUIRE(weft_spawn(&group, read_lines, &reading) == 0);
        box_put(sink, 0, results);
        box_close(sink, 0);
        CHECK_EQUAL(weft_group_wait(&group), 0);
        CHECK_EQUAL(reading.lines, results + 1);
    }
}

/* Only the fiber stands still: the thread does other things, and the wait can be cancelled. */
REAL_TIME_FIBER_TEST(a_pipe_that_is_not_read_holds_back_who_puts_and_can_be_given_up)
{
    int reader;
    unsigned put = 0;
    const struct weft_sink_output output = {.kind = WEFT_SINK_JSONL,
                                            .path = make_fifo("slow", &reader)};
    struct weft_sink *sink =
        box_open(&output, &(struct weft_sink_options){.batch_max = 100, .queue_max = 200});
    for (int err = 0; err == 0 && put < 100000; put += err == 0) {
        const struct weft_fetch_result result = box_result(put);
        err = weft_sink_put(sink, &result, weft_now() + 200 * WEFT_MSEC);
    }
    CHECK(put >= 200 && put < 10000);
    CHECK_EQUAL(weft_sink_finish(sink, weft_now() + WEFT_MSEC), -ETIMEDOUT);
    weft_sink_close(sink);
    (void)close(reader);
}
