/* SPDX-License-Identifier: MIT
 * load_print.h - what `weft load` shows people: while it runs, afterwards, and of two results. */
#ifndef WEFT_CMD_LOAD_PRINT_H
#define WEFT_CMD_LOAD_PRINT_H

#include <weft/load.h>

#include <stdbool.h>

/* The lines on a terminal that are written over and over. All zero: nothing is shown yet. */
struct load_screen {
    bool wanted;
    int lines; /* that stand there now */
};

/* For weft_load_options.progress; context is a screen. */
void load_screen_show(void *context, const struct weft_load_view *view);

/* Take the lines away, so that the terminal is as before. */
void load_screen_clear(struct load_screen *screen);

void load_print(const char *url, const struct weft_load_result *result);

void load_print_comparison(const struct weft_load_comparison *comparison);
void load_print_comparison_json(const struct weft_load_comparison *comparison);

#endif
