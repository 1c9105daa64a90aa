/* SPDX-License-Identifier: MIT
 * libxml.c - see libxml.h. */
#include <crawl/libxml.h>

#include <libxml/parser.h>
#include <pthread.h>

void weft_libxml_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, xmlInitParser);
}
