/* SPDX-License-Identifier: MIT
 * libxml.c - see libxml.h. */
#include <crawl/libxml.h>

#include <libxml/globals.h>
#include <libxml/parser.h>
#include <pthread.h>

#if LIBXML_VERSION >= 21200
static void ignore(void *context, const xmlError *error)
#else
static void ignore(void *context, xmlErrorPtr error)
#endif
{
    (void)context, (void)error;
}

void weft_libxml_enter(struct weft_libxml *before)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, xmlInitParser);
    before->handler = xmlStructuredError;
    before->context = xmlStructuredErrorContext;
    xmlSetStructuredErrorFunc(NULL, ignore);
}

void weft_libxml_leave(const struct weft_libxml *before)
{
    xmlSetStructuredErrorFunc(before->context, before->handler);
}
