/* SPDX-License-Identifier: MIT
 * fetch_print.h - what a run of `weft fetch` adds up to, for people and for programs. */
#ifndef WEFT_CMD_FETCH_PRINT_H
#define WEFT_CMD_FETCH_PRINT_H

#include <weft/fetch.h>

#include <stdio.h>

void fetch_print_table(FILE *stream, const struct weft_fetch_summary *summary);
void fetch_print_json(FILE *stream, const struct weft_fetch_summary *summary);

/* One line, written over and over. */
void fetch_print_progress(FILE *stream, const struct weft_fetch_progress *progress);

#endif
