/* SPDX-License-Identifier: MIT
 * http_garbage.h - makes HTTP requests that are broken in a thousand ways, the same for a seed. */
#ifndef WEFT_TESTS_TOOLS_HTTP_GARBAGE_H
#define WEFT_TESTS_TOOLS_HTTP_GARBAGE_H

#include <base/buffer.h>
#include <base/random.h>

/* Append one request to out. Nearly all are malformed, cut short or too large; a few come out
 * well by chance. path is what the good parts ask for. */
void http_garbage(struct weft_random *random, const char *path, struct weft_buffer *out);

#endif
