/* SPDX-License-Identifier: MIT
 * client_error.h - libcurl's errors as weft's. */
#ifndef WEFT_HTTP_CLIENT_ERROR_H
#define WEFT_HTTP_CLIENT_ERROR_H

#include <curl/curl.h>

/* What a transfer failed with, as a negative error. os_error: errno of its socket, or 0 */
int weft_http_error_of(CURLcode code, long os_error);

#endif
