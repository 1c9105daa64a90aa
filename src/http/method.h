/* SPDX-License-Identifier: MIT
 * method.h - request methods as llhttp's small numbers, so that a set of them is a uint64_t. */
#ifndef WEFT_HTTP_METHOD_H
#define WEFT_HTTP_METHOD_H

#include <llhttp.h>
#include <stdint.h>

#define WEFT_HTTP_METHODS 64 /* every number is below it */

static inline uint64_t weft_http_method_bit(unsigned method)
{
    return UINT64_C(1) << method;
}

/* "GET" for HTTP_GET. Static storage; NULL for a number that is no method of HTTP. */
const char *weft_http_method_name(unsigned method);

/* HTTP_GET for "GET"; -1 for what no request can carry. */
int weft_http_method_find(const char *name);

#endif
