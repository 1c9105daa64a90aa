/* SPDX-License-Identifier: MIT
 * reply.c - see reply.h. Replies are the hot path: room is reserved once, then bytes are copied. */
#include <http/reply.h>

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* The longest status line, date, length and connection header together, with room to spare. */
#define FIXED_BYTES 256u

/* ---- date ------------------------------------------------------------------------------- */

static void put_two_digits(char *at, int value)
{
    at[0] = (char)('0' + value / 10 % 10);
    at[1] = (char)('0' + value % 10);
}

/* strftime would ask the locale for the names. */
static void format_date(char text[WEFT_HTTP_DATE_LEN + 1], const struct tm *time)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    memcpy(text, "Sun, 01 Jan 1970 00:00:00 GMT", WEFT_HTTP_DATE_LEN + 1);
    memcpy(text, days + (size_t)3 * (size_t)time->tm_wday, 3);
    put_two_digits(text + 5, time->tm_mday);
    memcpy(text + 8, months + (size_t)3 * (size_t)time->tm_mon, 3);
    put_two_digits(text + 12, (1900 + time->tm_year) / 100);
    put_two_digits(text + 14, (1900 + time->tm_year) % 100);
    put_two_digits(text + 17, time->tm_hour);
    put_two_digits(text + 20, time->tm_min);
    put_two_digits(text + 23, time->tm_sec);
}

const char *weft_http_date_at(struct weft_http_date *date, int64_t unix_s)
{
    if (date->unix_s != unix_s || unix_s == 0) {
        time_t seconds = (time_t)unix_s;
        struct tm time = {0};
        (void)gmtime_r(&seconds, &time);
        format_date(date->text, &time);
        date->unix_s = unix_s;
    }
    return date->text;
}

/* ---- bytes ------------------------------------------------------------------------------ */

static char *put(char *at, const char *text, size_t len)
{
    if (len > 0)
        memcpy(at, text, len);
    return at + len;
}

#define PUT_LITERAL(at, literal) put(at, literal, sizeof(literal) - 1)

static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(at, digits + first, sizeof digits - first);
}

static char *put_length(char *at, uint64_t len)
{
    at = PUT_LITERAL(at, "Content-Length: ");
    at = put_number(at, len);
    return PUT_LITERAL(at, "\r\n");
}

static char *put_status_line(char *at, int status)
{
    const char *reason = weft_http_reason(status);
    at = PUT_LITERAL(at, "HTTP/1.1 ");
    at = put_number(at, (size_t)status);
    *at++ = ' ';
    at = put(at, reason, strlen(reason));
    return PUT_LITERAL(at, "\r\n");
}

static char *put_field(char *at, const char *name_colon, const char *value, size_t len)
{
    at = put(at, name_colon, strlen(name_colon));
    at = put(at, value, len);
    return PUT_LITERAL(at, "\r\n");
}

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

/* Room for the head and body_len bytes behind it. Returns where they go; NULL with *ret_err set:
 * then what is in the buffer stays good. */
static inline char *make_room(struct weft_buffer *out, const struct weft_http_reply_head *head,
                              size_t body_len, int *ret_err)
{
    size_t head_max = FIXED_BYTES + length_of(head->content_type) + length_of(head->server_name) +
                      head->fields_len;
    char *at = body_len > out->len_max ? NULL : weft_buffer_reserve(out, head_max + body_len);
    if (!at) {
        *ret_err = out->err ? out->err : -EMSGSIZE;
        out->err = 0;
    }
    return at;
}

/* What comes before the framing. */
static inline char *put_start(char *at, const struct weft_http_reply_head *head, bool typed)
{
    at = put_status_line(at, head->status);
    at = put_field(at, "Date: ", head->date, WEFT_HTTP_DATE_LEN);
    if (head->server_name)
        at = put_field(at, "Server: ", head->server_name, strlen(head->server_name));
    if (head->content_type && typed)
        at = put_field(at, "Content-Type: ", head->content_type, strlen(head->content_type));
    return at;
}

/* What comes behind it. */
static inline char *put_rest(char *at, const struct weft_http_reply_head *head)
{
    if (head->close)
        at = PUT_LITERAL(at, "Connection: close\r\n");
    else if (head->keep_alive)
        at = PUT_LITERAL(at, "Connection: keep-alive\r\n");
    at = put(at, head->fields, head->fields_len);
    return PUT_LITERAL(at, "\r\n");
}

int weft_http_reply_append(struct weft_buffer *out, const struct weft_http_reply_head *head,
                           const void *body, size_t len)
{
    bool bodiless = head->status == 204 || head->status == 304;
    len = head->status == 205 ? 0 : len; /* "reset content" has a length, and it is 0 */
    size_t body_len = bodiless || head->body_hidden ? 0 : len;
    int err = 0;
    char *at = make_room(out, head, body_len, &err);
    if (!at)
        return err;
    at = put_start(at, head, !bodiless);
    if (!bodiless)
        at = put_length(at, len);
    at = put_rest(at, head);
    at = put(at, body, body_len);
    out->len = (size_t)(at - out->data);
    return 0;
}

int weft_http_reply_append_open(struct weft_buffer *out, const struct weft_http_reply_head *head,
                                enum weft_http_framing framing, uint64_t len)
{
    int err = 0;
    char *at = make_room(out, head, 0, &err);
    if (!at)
        return err;
    at = put_start(at, head, true);
    if (framing == WEFT_HTTP_CHUNKED)
        at = PUT_LITERAL(at, "Transfer-Encoding: chunked\r\n");
    else if (framing == WEFT_HTTP_SIZED)
        at = put_length(at, len);
    at = put_rest(at, head);
    out->len = (size_t)(at - out->data);
    return 0;
}

/* ---- header lines ----------------------------------------------------------------------- */

static bool is_token(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return name[0] != '\0' && name[strspn(name, token)] == '\0';
}

static bool belongs_to_server(const char *name)
{
    return strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Content-Length") == 0 ||
           strcasecmp(name, "Date") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
}

int weft_http_field_append(struct weft_buffer *fields, const char *name, const char *value)
{
    if (!is_token(name) || belongs_to_server(name))
        return -EINVAL;
    size_t name_len = strlen(name), value_len = strlen(value);
    char *line = weft_buffer_reserve(fields, name_len + value_len + 4);
    if (!line) {
        int err = fields->err;
        fields->err = 0;
        return err;
    }
    char *at = put(line, name, name_len);
    at = PUT_LITERAL(at, ": ");
    for (const char *c = value; *c; c++, at++) {
        *at = *c;
        if ((unsigned char)*c < ' ' && *c != '\t')
            *at = ' ';
    }
    at = PUT_LITERAL(at, "\r\n");
    fields->len += (size_t)(at - line);
    return 0;
}

const char *weft_http_reason(int status)
{
    switch (status) {
    // clang-format off
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    case 511: return "Network Authentication Required";
    default:  return "Unknown";
        // clang-format on
    }
}
