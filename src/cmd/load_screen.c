/* SPDX-License-Identifier: MIT
 * load_screen.c - a running load on a terminal: a few lines, written over and over. Nothing of the
 * terminal is changed for it, so that there is nothing to restore but the lines. */
#include "load_print.h"
#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_WIDTH   30
#define LINE_BYTES  256
#define LINES       4
#define WIDTH_USUAL 80

/* Lines longer than the terminal would wrap, and could not be found again. */
static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return WIDTH_USUAL;
    return size.ws_col < LINE_BYTES ? size.ws_col : LINE_BYTES - 1;
}

static void write_bar(char line[LINE_BYTES], const struct weft_load_view *view)
{
    static const char full[] = "##############################";
    char elapsed[FIGURE_BYTES], step[FIGURE_BYTES * 2] = "";
    if (view->step == 0)
        (void)snprintf(step, sizeof step, "  warm-up");
    else if (view->steps_count > 1)
        (void)snprintf(step, sizeof step, "  step %u of %u", view->step, view->steps_count);
    (void)snprintf(line, LINE_BYTES, "[%-*.*s] %3d %%  %s%s", BAR_WIDTH,
                   (int)(view->fraction * BAR_WIDTH), full, (int)(view->fraction * 100),
                   format_duration(elapsed, view->elapsed_ns), step);
}

static void write_rate(char line[LINE_BYTES], const struct weft_load_view *view)
{
    int len = snprintf(line, LINE_BYTES, "rate      %.0f/s", view->requests_per_s);
    if (view->intended_per_s > 0 && len > 0)
        (void)snprintf(line + len, LINE_BYTES - (size_t)len, "   intended %.0f/s",
                       view->intended_per_s);
}

static void write_latency(char line[LINE_BYTES], const struct weft_load_view *view)
{
    char p50[FIGURE_BYTES], p99[FIGURE_BYTES];
    if (view->p99_ns > 0)
        (void)snprintf(line, LINE_BYTES, "latency   p50 %s   p99 %s   (the latest second)",
                       format_duration(p50, view->p50_ns), format_duration(p99, view->p99_ns));
    else
        (void)snprintf(line, LINE_BYTES, "latency   -");
}

void load_screen_show(void *context, const struct weft_load_view *view)
{
    struct load_screen *screen = context;
    char lines[LINES][LINE_BYTES];
    int width = terminal_width();
    write_bar(lines[0], view);
    write_rate(lines[1], view);
    write_latency(lines[2], view);
    (void)snprintf(lines[3], LINE_BYTES,
                   "requests  %" PRIu64 "   errors %" PRIu64 "   connections %u", view->requests,
                   view->failed, view->connected);
    if (screen->lines > 0)
        (void)fprintf(stderr, "\033[%dA", screen->lines);
    for (int i = 0; i < LINES; i++)
        (void)fprintf(stderr, "\r%.*s\033[K\n", width - 1, lines[i]);
    (void)fflush(stderr);
    screen->lines = LINES;
}

void load_screen_clear(struct load_screen *screen)
{
    if (screen->lines > 0)
        (void)fprintf(stderr, "\033[%dA\r\033[J", screen->lines);
    screen->lines = 0;
}
