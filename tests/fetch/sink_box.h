/* SPDX-License-Identifier: MIT
 * sink_box.h - short words for what tests do with sinks. What must not fail ends the program when
 * it does. */
#ifndef WEFT_TESTS_FETCH_SINK_BOX_H
#define WEFT_TESTS_FETCH_SINK_BOX_H

#include "test.h"

#include <weft/sink.h>

#define CHECK_TEXT(actual, expected)                                                               \
    do {                                                                                           \
        const char *actual_ = (actual), *expected_ = (expected);                                   \
        if (strcmp(actual_, expected_) != 0) {                                                     \
            test_failed(__FILE__, __LINE__, #actual " is as expected");                            \
            test_note("actual \"%s\", expected \"%s\"", actual_, expected_);                       \
        }                                                                                          \
    } while (0)

/* test_directory()/name, in one of eight texts of its own. */
const char *box_path(const char *name);

/* Number i of many results, of "http://host/i"; its texts live until the eighth one after it. */
struct weft_fetch_result box_result(unsigned i);

/* One output, with these options. */
struct weft_sink *box_open(const struct weft_sink_output *output,
                           const struct weft_sink_options *options);
/* One that cannot be opened: the error, and what it says until the next call. */
int box_refused(const struct weft_sink_output *output, const char **ret_text);
/* Put results first ... first + count - 1. */
void box_put(struct weft_sink *sink, unsigned first, unsigned count);
/* Finish, which gives this, and close. */
void box_close(struct weft_sink *sink, int result);
/* Open, put, finish, close. */
void box_write(const struct weft_sink_output *output, unsigned first, unsigned count);

struct weft_sink_metrics box_metrics(struct weft_sink *sink);

/* A file, with a NUL behind it, to be freed; NULL: it is not there. */
char *box_read(const char *path, size_t *ret_len);
void box_make(const char *path, const void *content, size_t len);
unsigned box_lines(const char *text);

/* A number out of a database. */
int64_t box_number(const char *path, const char *sql);
void box_sql(const char *path, const char *sql);

/* An output that writes down what it is given. Set up with zeros. */
struct box_log {
    unsigned batches, results;
    unsigned sizes[64];           /* of the first batches */
    int64_t at_ns[64];            /* when they came */
    int fails_at;                 /* this batch, counted from 1, fails with ... */
    int error;                    /* ... this */
    struct weft_event *waits_for; /* NULL, or before each batch */
    size_t body_bytes;
    char last_url[64];
};

struct weft_sink_output box_log_output(struct box_log *log);

#endif
