/* SPDX-License-Identifier: MIT
 * request.h - whether a request can be sent at all: the same answer whatever the engine. */
#ifndef WEFT_FETCH_REQUEST_H
#define WEFT_FETCH_REQUEST_H

#include <weft/fetch.h>

/* Returns NULL, or a sentence. */
const char *weft_fetch_request_check(const struct weft_fetch_request *request);

/* The value of a field by name in any case; NULL: it is not there. */
const char *weft_fetch_request_field(const struct weft_fetch_request *request, const char *name);

#endif
