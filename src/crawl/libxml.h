/* SPDX-License-Identifier: MIT
 * libxml.h - libxml2 is set up once, before several threads use it. */
#ifndef WEFT_CRAWL_LIBXML_H
#define WEFT_CRAWL_LIBXML_H

void weft_libxml_init(void);

#endif
