/* SPDX-License-Identifier: MIT
 * libxml.h - libxml2 inside of a library: set up once, before several threads use it, and silent.
 * What it would print about encodings goes neither to a context nor anywhere else. */
#ifndef WEFT_CRAWL_LIBXML_H
#define WEFT_CRAWL_LIBXML_H

#include <libxml/xmlerror.h>

/* The calling thread's handler from before. */
struct weft_libxml {
    xmlStructuredErrorFunc handler;
    void *context;
};

/* Around every use on one thread. */
void weft_libxml_enter(struct weft_libxml *before);
void weft_libxml_leave(const struct weft_libxml *before);

#endif
