/* SPDX-License-Identifier: MIT
 * sink_output.h - what a sink writes to.
 *
 *   sink.c         the queue, the batches, the order of the outputs
 *   sink_item.c    a result on its way: a copy in one piece
 *   sink_output.c  what outputs share; the one that is a function
 *   sink_text.c    results as JSON and CSV
 *   sink_tail.c    what a crash left at the end of a file
 *   sink_lines.c   the output that is a file, a pipe or a terminal with lines of JSON or CSV ...
 *   sink_sqlite.c  ... a database (by sink_database.c) ...
 *   sink_files.c   ... a directory of bodies ...
 *   sink_resume.c  what a run that goes on leaves out
 *
 * One call at a time comes to an output: open, write and sync as often as it takes, close. */
#ifndef WEFT_FETCH_SINK_OUTPUT_H
#define WEFT_FETCH_SINK_OUTPUT_H

#include <weft/sink.h>

#include <stdbool.h>

#define SINK_TEXT_BYTES_MAX ((size_t)1 << 20) /* all texts of a result together */
#define SINK_ERROR_BYTES    320
#define SINK_DIGEST_BYTES   65 /* of SHA-256 in hex, with its NUL */

/* A copy of a result, everything it points to behind it in the same piece of memory. */
struct sink_item {
    struct weft_fetch_result result; /* first: a function is given it */
    struct weft_fingerprint fingerprint;
    char digest[SINK_DIGEST_BYTES]; /* where one was made of the body here */
    size_t bytes;                   /* of the whole */
};

/* Returns 0; -EINVAL (no url, or a digest that is none), -EMSGSIZE, -ENOMEM */
int weft_sink_item_make(struct sink_item **ret_item, const struct weft_fetch_result *result,
                        bool keeps_body);
void weft_sink_item_free(struct sink_item *item); /* NULL is fine */

struct sink_output;

/* open comes on a thread, and so do the others but for outputs that write on a fiber: they are
 * called there, by the worker that opened the sink, and may suspend. */
struct sink_output_ops {
    int (*open)(struct sink_output *output);
    int (*write)(struct sink_output *output, struct sink_item *const *items, size_t count);
    int (*sync)(struct sink_output *output);
    int (*finish)(struct sink_output *output); /* after the last write, with a sync; NULL: sync */
    int (*close)(struct sink_output *output);  /* copes with a half-built one; frees it */
};

struct sink_output {
    const struct sink_output_ops *ops;
    struct weft_sink_output options; /* path is of the output's own */
    bool writes_on_fiber;            /* known once it is open */
    char *error;                     /* the sink's, of SINK_ERROR_BYTES */
};

/* Make an output that is not open yet. Returns NULL when memory is out. */
struct sink_output *weft_sink_lines_new(void);
struct sink_output *weft_sink_sqlite_new(void);
struct sink_output *weft_sink_files_new(void);
struct sink_output *weft_sink_function_new(void);

/* Write down what went wrong, unless something has before. Returns err. */
int weft_sink_say(struct sink_output *output, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same: "cannot WHAT PATH: ERR". */
int weft_sink_cannot(struct sink_output *output, int err, const char *what);

/* ---- files, on a thread ---------------------------------------------------------------- */

/* Write everything, at an offset or, when that is negative, where the descriptor stands. */
int weft_sink_write_all(int fd, const void *data, size_t len, int64_t offset);

/* Have the name of a file on disk, and not only its content. */
int weft_sink_sync_directory_of(const char *path);

#endif
