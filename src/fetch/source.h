/* SPDX-License-Identifier: MIT
 * source.h - requests one after the other, as they stand in a list or a stream. */
#ifndef WEFT_FETCH_SOURCE_H
#define WEFT_FETCH_SOURCE_H

#include <base/buffer.h>

#include <weft/fetch.h>

#include <stdbool.h>

#define WEFT_FETCH_ABSENT SIZE_MAX

/* A request as bytes: strings that end with a NUL, found by where they begin, counted from the
 * item's own beginning. ABSENT: the source's default counts. */
struct weft_fetch_item {
    size_t at, len;                        /* in the buffer it was read into */
    size_t url, method, tag, body, fields; /* fields: name, NUL, value, NUL, ... */
    size_t body_len, fields_count;
    size_t wrong; /* a sentence: the line is no request, url is (the beginning of) the line */
    struct weft_fingerprint fingerprint; /* set by who needs it */
    bool done;                           /* likewise: by an earlier run */
};

/* Append the next request to a buffer, whose err is looked at by the caller.
 * Returns 1 with *ret_item set, 0: there are no more; -EIO, -ECANCELED, ... Suspends */
int weft_fetch_source_next(struct weft_fetch_source *source, struct weft_buffer *bytes,
                           struct weft_fetch_item *ret_item);

/* Whether there is another line, or something to read it from, without waiting for whoever writes
 * it. */
bool weft_fetch_source_ready(const struct weft_fetch_source *source);

const struct weft_fetch_source_options *
weft_fetch_source_options(const struct weft_fetch_source *source);

struct weft_fetch_source_place {
    uint64_t read_bytes, all_bytes; /* 0: nobody knows */
    uint64_t all;                   /* requests; 0: nobody knows */
};
struct weft_fetch_source_place weft_fetch_source_place(const struct weft_fetch_source *source);

/* A line that begins with "{" (source_json.c). The item's at is set. A line that is no request is
 * one with `wrong`. */
void weft_fetch_source_json(struct weft_buffer *bytes, struct weft_fetch_item *item,
                            const char *line, size_t len);

/* Make it one of those: the line is kept, as much of it as is of use. */
void weft_fetch_source_wrong(struct weft_buffer *bytes, struct weft_fetch_item *item,
                             const char *line, size_t len, const char *why);

#endif
