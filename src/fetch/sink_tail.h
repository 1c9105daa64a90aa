/* SPDX-License-Identifier: MIT
 * sink_tail.h - where the last whole line or row of a file ends that a crash may have cut off. No
 * I/O: the file's bytes are fed in, in pieces of any size. */
#ifndef WEFT_FETCH_SINK_TAIL_H
#define WEFT_FETCH_SINK_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of a file of JSON lines behind its last line feed. All zero is the start. */
struct sink_json_tail {
    uint64_t bytes;
    int depth; /* of braces and brackets */
    bool in_string, escaped;
    bool ended;   /* the outermost brace has closed */
    bool garbage; /* it does not begin with a brace, or goes on behind the last one */
};

void weft_sink_json_tail_feed(struct sink_json_tail *tail, const char *bytes, size_t len);

/* What is to be done with it. */
enum sink_tail_verdict {
    SINK_TAIL_WHOLE,   /* nothing is missing but the line feed, or there is no tail */
    SINK_TAIL_CUT,     /* the beginning of an object, or zeros that the file system left */
    SINK_TAIL_FOREIGN, /* neither: not a file of ours */
};

enum sink_tail_verdict weft_sink_json_tail_judge(const struct sink_json_tail *tail);

/* A file of CSV from its beginning: quotes can contain line ends. All zero is the start. */
struct sink_csv_scan {
    uint64_t bytes, whole_bytes; /* so far, and up to the end of the last whole row */
    bool in_quotes;
};

void weft_sink_csv_scan_feed(struct sink_csv_scan *scan, const char *bytes, size_t len);

#endif
