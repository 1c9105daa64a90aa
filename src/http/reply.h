/* SPDX-License-Identifier: MIT
 * reply.h - one reply as bytes, appended to a buffer in one piece. No socket, no clock. */
#ifndef WEFT_HTTP_REPLY_H
#define WEFT_HTTP_REPLY_H

#include <base/buffer.h>

#define WEFT_HTTP_DATE_LEN 29

/* The "Date" header's text, made anew only when the second changes. */
struct weft_http_date {
    int64_t unix_s; /* of text; 0: never made */
    char text[WEFT_HTTP_DATE_LEN + 1];
};

/* IMF-fixdate of RFC 9110: "Sun, 06 Nov 1994 08:49:37 GMT". Lives in *date until the next call. */
const char *weft_http_date_at(struct weft_http_date *date, int64_t unix_s);

/* Everything of a reply but its body. */
struct weft_http_reply_head {
    int status;               /* 200 to 599 */
    const char *date;         /* WEFT_HTTP_DATE_LEN bytes */
    const char *server_name;  /* NULL: no "Server" header */
    const char *content_type; /* NULL: no such header */
    const char *fields;       /* further header lines, each with its CR LF; may be NULL */
    size_t fields_len;
    bool close;       /* say "Connection: close" */
    bool keep_alive;  /* say "Connection: keep-alive", which HTTP/1.0 clients need to be told */
    bool body_hidden; /* a reply to HEAD: the length counts, the body stays here */
};

/* Append a reply. Statuses that cannot have a body (204, 304) get none.
 * Returns  0; -ENOMEM, -EMSGSIZE: nothing was appended and out is as before */
int weft_http_reply_append(struct weft_buffer *out, const struct weft_http_reply_head *head,
                           const void *body, size_t len);

/* How the end of a body is told that comes in pieces. */
enum weft_http_framing {
    WEFT_HTTP_UNTIL_CLOSE, /* the connection ends */
    WEFT_HTTP_CHUNKED,
    WEFT_HTTP_SIZED, /* by its length */
};

/* Append the head of a reply whose body follows in pieces; to HEAD nothing follows. The status must
 * be one that can have a body.
 *
 * len      of the body; of a sized one only
 * Returns  like weft_http_reply_append */
int weft_http_reply_append_open(struct weft_buffer *out, const struct weft_http_reply_head *head,
                                enum weft_http_framing framing, uint64_t len);

/* "Not Found" for 404; "Unknown" for a status without a name. Static. */
const char *weft_http_reason(int status);

/* Append "name: value" and CR LF. Bytes of the value that could end the line become spaces.
 * Returns  0; -EINVAL: the name is not one, or it is a header that the server itself sends
 *          (Connection, Content-Length, Date, Transfer-Encoding); -ENOMEM, -EMSGSIZE */
int weft_http_field_append(struct weft_buffer *fields, const char *name, const char *value);

#endif
