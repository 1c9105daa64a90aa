/* SPDX-License-Identifier: MIT
 * stream.c - buffered reading and writing, with what goes wrong at each edge of the buffer. */
#include "test.h"

#include <weft/group.h>
#include <weft/io.h>
#include <weft/stream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

struct wire {
    int from, to;
};

static struct wire open_wire(void)
{
    int fds[2];
    REQUIRE(weft_pipe(fds) == 0);
    return (struct wire){fds[0], fds[1]};
}

static void put(const struct wire *wire, const char *text)
{
    CHECK_EQUAL(weft_write_all(wire->to, text, strlen(text), WEFT_FOREVER, NULL), 0);
}

static void close_wire(struct wire *wire)
{
    if (wire->to >= 0)
        CHECK_EQUAL(weft_close(wire->to), 0);
    CHECK_EQUAL(weft_close(wire->from), 0);
}

static void end_wire(struct wire *wire)
{
    CHECK_EQUAL(weft_close(wire->to), 0);
    wire->to = -1;
}

static void check_line(struct weft_reader *reader, const char *expected)
{
    char *line = NULL;
    size_t len = 0;
    CHECK_EQUAL(weft_reader_line(reader, &line, &len, WEFT_FOREVER), 1);
    REQUIRE(line);
    CHECK_EQUAL(len, strlen(expected));
    CHECK(strcmp(line, expected) == 0);
}

FIBER_TEST(lines_come_without_their_ends)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    char *line;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, NULL, 0), 0);
    put(&wire, "one\ntwo\r\n\n\r\n\rx\nlast");
    end_wire(&wire);
    check_line(&reader, "one");
    check_line(&reader, "two");
    check_line(&reader, "");
    check_line(&reader, "");
    check_line(&reader, "\rx");
    check_line(&reader, "last");
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, WEFT_FOREVER), 0);
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

FIBER_TEST(a_line_that_fills_the_buffer_is_the_longest)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    char buffer[8], rest[8], *line;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, buffer, sizeof buffer), 0);
    put(&wire, "ab\n1234567\n12345678\nok\n");
    check_line(&reader, "ab");
    check_line(&reader, "1234567");
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, WEFT_FOREVER), -EMSGSIZE);
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, WEFT_FOREVER), -EMSGSIZE);
    CHECK_EQUAL(weft_reader_read(&reader, rest, sizeof rest, WEFT_FOREVER), 8);
    CHECK(memcmp(rest, "12345678", 8) == 0);
    check_line(&reader, "");
    check_line(&reader, "ok");
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

/* The NUL needs a byte that is not there when the text ends where the buffer does. */
FIBER_TEST(a_last_line_at_the_edge_of_the_buffer_stays_inside)
{
    struct weft_reader reader;
    for (size_t lead = 0; lead < 3; lead++) {
        for (size_t tail = 5; tail <= 9; tail++) {
            struct wire wire = open_wire();
            char *line = NULL, text[16];
            memset(text, 'x', sizeof text);
            CHECK_EQUAL(weft_reader_init(&reader, wire.from, NULL, 8), 0);
            CHECK_EQUAL(weft_write_all(wire.to, "\n\n\n", lead, WEFT_FOREVER, NULL), 0);
            CHECK_EQUAL(weft_write_all(wire.to, text, tail, WEFT_FOREVER, NULL), 0);
            end_wire(&wire);
            for (size_t i = 0; i < lead; i++)
                check_line(&reader, "");
            size_t len = 0;
            int more = weft_reader_line(&reader, &line, &len, WEFT_FOREVER);
            CHECK_EQUAL(more, tail <= 7 ? 1 : -EMSGSIZE);
            if (more == 1)
                CHECK_EQUAL(len, tail);
            else
                CHECK_EQUAL(weft_reader_read(&reader, text, sizeof text, WEFT_FOREVER), 8);
            weft_reader_deinit(&reader);
            close_wire(&wire);
        }
    }
}

FIBER_TEST(records_end_with_any_delimiter)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    char *data;
    size_t len = 0;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, NULL, 64), 0);
    put(&wire, "a;bc;d");
    CHECK_EQUAL(weft_reader_until(&reader, ';', &data, &len, WEFT_FOREVER), 1);
    CHECK(len == 2 && memcmp(data, "a;", 2) == 0);
    CHECK_EQUAL(weft_reader_until(&reader, ';', &data, &len, WEFT_NOWAIT), 1);
    CHECK(len == 3 && memcmp(data, "bc;", 3) == 0);
    CHECK_EQUAL(weft_reader_until(&reader, ';', &data, &len, WEFT_NOWAIT), -EAGAIN);
    end_wire(&wire);
    CHECK_EQUAL(weft_reader_until(&reader, ';', &data, &len, WEFT_FOREVER), 1);
    CHECK(len == 1 && *data == 'd');
    CHECK_EQUAL(weft_reader_until(&reader, ';', &data, &len, WEFT_FOREVER), 0);
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

FIBER_TEST(late_and_cancelled_readers_lose_nothing)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    struct weft_scope scope;
    char *line;
    const char *data;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, NULL, 16), 0);
    put(&wire, "hal");
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, weft_now() + 5), -ETIMEDOUT);
    weft_scope_enter(&scope, weft_now() + 5, 0);
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_reader_peek(&reader, 4, &data, WEFT_FOREVER), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    put(&wire, "f\n");
    check_line(&reader, "half");
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

FIBER_TEST(exact_lengths_may_exceed_the_buffer)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    char back[40], text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    size_t done = 0;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, NULL, 8), 0);
    put(&wire, text);
    CHECK_EQUAL(weft_reader_exact(&reader, back, 3, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_reader_exact(&reader, back + 3, 30, WEFT_FOREVER, &done), 0);
    CHECK_EQUAL(done, 30);
    CHECK(memcmp(back, text, 33) == 0);
    end_wire(&wire);
    CHECK_EQUAL(weft_reader_exact(&reader, back, 10, WEFT_FOREVER, &done), -ENODATA);
    CHECK_EQUAL(done, 3);
    CHECK_EQUAL(weft_reader_read(&reader, back, 1, WEFT_FOREVER), 0);
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

FIBER_TEST(a_peek_takes_nothing)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    const char *data;
    char byte;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, NULL, 4), 0);
    put(&wire, "abcdef");
    CHECK_EQUAL(weft_reader_peek(&reader, 5, &data, WEFT_FOREVER), -EMSGSIZE);
    CHECK_EQUAL(weft_reader_peek(&reader, 2, &data, WEFT_FOREVER), 0);
    CHECK(memcmp(data, "ab", 2) == 0);
    CHECK_EQUAL(weft_reader_read(&reader, &byte, 1, WEFT_FOREVER), 1);
    CHECK_EQUAL(byte, 'a');
    CHECK_EQUAL(weft_reader_peek(&reader, 4, &data, WEFT_FOREVER), 0);
    CHECK(memcmp(data, "bcde", 4) == 0);
    CHECK_EQUAL(weft_reader_exact(&reader, &byte, 1, WEFT_FOREVER, NULL), 0);
    end_wire(&wire);
    CHECK_EQUAL(weft_reader_peek(&reader, 4, &data, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_reader_exact(&reader, &byte, 1, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_reader_peek(&reader, 4, &data, WEFT_FOREVER), -ENODATA);
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

static void check_sent(const struct wire *wire, const char *expected)
{
    char text[256] = "";
    ssize_t len = weft_read(wire->from, text, sizeof text - 1, WEFT_NOWAIT);
    if (!*expected)
        CHECK_EQUAL(len, -EAGAIN);
    else
        CHECK_EQUAL(len, strlen(expected));
    CHECK(strcmp(text, expected) == 0);
}

FIBER_TEST(writes_gather_until_they_are_flushed_or_too_many)
{
    struct wire wire = open_wire();
    struct weft_writer writer;
    char buffer[8];
    CHECK_EQUAL(weft_writer_init(&writer, wire.to, buffer, sizeof buffer), 0);
    CHECK_EQUAL(weft_writer_write(&writer, "abc", 3, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_writer_write(&writer, "def", 3, WEFT_FOREVER, NULL), 0);
    check_sent(&wire, "");
    CHECK_EQUAL(weft_writer_write(&writer, "ghi", 3, WEFT_FOREVER, NULL), 0);
    check_sent(&wire, "abcdef");
    CHECK_EQUAL(weft_writer_write(&writer, "0123456789", 10, WEFT_FOREVER, NULL), 0);
    check_sent(&wire, "ghi0123456789");
    CHECK_EQUAL(weft_writer_print(&writer, WEFT_FOREVER, "%d-%s", 42, "x"), 0);
    CHECK_EQUAL(weft_writer_print(&writer, WEFT_FOREVER, "%s", "1234567"), 0);
    check_sent(&wire, "42-x");
    CHECK_EQUAL(weft_writer_print(&writer, WEFT_FOREVER, "%s", "12345678"), -EMSGSIZE);
    CHECK_EQUAL(weft_writer_flush(&writer, WEFT_FOREVER), 0);
    check_sent(&wire, "1234567");
    CHECK_EQUAL(weft_writer_flush(&writer, WEFT_FOREVER), 0);
    weft_writer_deinit(&writer);
    close_wire(&wire);
}

FIBER_TEST(what_did_not_go_out_is_held)
{
    static const char zeros[4096];
    struct wire wire = open_wire();
    struct weft_writer writer;
    struct weft_scope scope;
    size_t taken = 99, in_pipe = 0;
    ssize_t count;
    CHECK_EQUAL(weft_writer_init(&writer, wire.to, NULL, 8), 0);
    while ((count = weft_write(wire.to, zeros, sizeof zeros, WEFT_NOWAIT)) > 0)
        in_pipe += (size_t)count;
    CHECK_EQUAL(weft_writer_write(&writer, "keep", 4, WEFT_FOREVER, NULL), 0);
    CHECK_EQUAL(weft_writer_flush(&writer, WEFT_NOWAIT), -EAGAIN);
    CHECK_EQUAL(weft_writer_write(&writer, "again", 5, weft_now() + 5, &taken), -ETIMEDOUT);
    CHECK_EQUAL(taken, 0);
    CHECK_EQUAL(weft_writer_print(&writer, weft_now() + 5, "%d", 12345), -ETIMEDOUT);
    weft_scope_enter(&scope, weft_now() + 5, 0);
    CHECK_EQUAL(weft_writer_write(&writer, zeros, 100, WEFT_FOREVER, &taken), -ECANCELED);
    CHECK_EQUAL(weft_scope_leave(&scope, -ECANCELED), -ETIMEDOUT);
    CHECK_EQUAL(taken, 0);
    while (in_pipe > 0) {
        char buffer[4096];
        count = weft_read(wire.from, buffer, sizeof buffer, WEFT_NOWAIT);
        REQUIRE(count > 0);
        in_pipe -= (size_t)count;
    }
    CHECK_EQUAL(weft_writer_flush(&writer, WEFT_FOREVER), 0);
    check_sent(&wire, "keep");
    weft_writer_deinit(&writer);
    close_wire(&wire);
}

FIBER_TEST(buffers_without_room_are_refused)
{
    struct weft_reader reader;
    struct weft_writer writer;
    char byte;
    CHECK_EQUAL(weft_reader_init(&reader, 0, &byte, 0), -EINVAL);
    CHECK_EQUAL(weft_writer_init(&writer, 0, &byte, 0), -EINVAL);
}

FIBER_TEST(a_last_line_at_the_end_of_the_buffer_is_moved_or_refused)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    char buffer[8], *line;
    size_t len;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, buffer, sizeof buffer), 0);
    put(&wire, "a\nbcdefg"); /* eight bytes: there is no room for the NUL behind them */
    end_wire(&wire);
    check_line(&reader, "a");
    check_line(&reader, "bcdefg");
    CHECK_EQUAL(weft_reader_line(&reader, &line, &len, WEFT_FOREVER), 0);
    weft_reader_deinit(&reader);
    close_wire(&wire);

    wire = open_wire();
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, buffer, sizeof buffer), 0);
    put(&wire, "abcdefgh");
    end_wire(&wire);
    CHECK_EQUAL(weft_reader_peek(&reader, 8, &(const char *){NULL}, WEFT_FOREVER), 0);
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, WEFT_FOREVER), -EMSGSIZE);
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

FIBER_TEST(a_length_that_nobody_asks_for_is_not_told)
{
    struct wire wire = open_wire();
    struct weft_reader reader;
    char *line;
    CHECK_EQUAL(weft_reader_init(&reader, wire.from, NULL, 0), 0);
    put(&wire, "line\n");
    CHECK_EQUAL(weft_reader_line(&reader, &line, NULL, WEFT_FOREVER), 1);
    CHECK(strcmp(line, "line") == 0);
    CHECK_EQUAL(weft_reader_exact(&reader, &(char){0}, 1, WEFT_NOWAIT, NULL), -EAGAIN);
    weft_reader_deinit(&reader);
    close_wire(&wire);
}

FIBER_TEST(text_that_cannot_be_formatted_is_refused)
{
    struct wire wire = open_wire();
    struct weft_writer writer;
    CHECK_EQUAL(weft_writer_init(&writer, wire.to, NULL, 0), 0);
    /* In the C locale there is no such character. */
    CHECK_EQUAL(weft_writer_print(&writer, WEFT_FOREVER, "%lc", (wint_t)0x20ac), -EINVAL);
    CHECK_EQUAL(weft_writer_print(&writer, WEFT_FOREVER, "%s", "text"), 0);
    CHECK_EQUAL(weft_writer_flush(&writer, WEFT_FOREVER), 0);
    weft_writer_deinit(&writer);
    close_wire(&wire);
}
