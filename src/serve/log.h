/* SPDX-License-Identifier: MIT
 * log.h - what the service says about itself: one line of JSON per event. */
#ifndef WEFT_SERVE_LOG_H
#define WEFT_SERVE_LOG_H

struct weft_serve_options;

/* Write {"time", "level", "event", "detail"}.
 *
 * level   "info", "warning", "error"
 * event   a fixed word to search for
 * detail  a sentence for people; NULL leaves the key out */
void weft_serve_log(const struct weft_serve_options *options, const char *level, const char *event,
                    const char *detail);

#endif
