/* SPDX-License-Identifier: MIT
 * target.h - what a request asks for: split the request target into a decoded path and a query.
 *
 * Pure functions on bytes. A path is split first and decoded after, so "%2F" never becomes a
 * border between segments. Escapes that are not two hex digits, and "%00", are refused. */
#ifndef WEFT_HTTP_TARGET_H
#define WEFT_HTTP_TARGET_H

#include <http/request.h>

/* Split request->url of request->message, decode the path in place and end it with a NUL; the
 * query stays as it is, with a NUL behind it. Fills path, path_at, query and any_target.
 *
 * The byte behind the URL must be writable: the parser is done with it.
 * Returns  NULL, or a sentence that says why the target is malformed */
const char *weft_http_target_split(struct weft_http_incoming *request);

/* Decode a query string's value: "%41" is "A", "+" is a space. The escapes must be good ones.
 * Writes at most len bytes to out and no NUL. Returns the number of bytes written */
size_t weft_http_query_decode(char *out, const char *text, size_t len);

#endif
