/* SPDX-License-Identifier: MIT
 * http_garbage.c - see http_garbage.h. A good request is made, then damaged once or several times.
 */
#include "http_garbage.h"

#include <string.h>

static const char *pick(struct weft_random *random, const char *const *texts, size_t count)
{
    return texts[weft_random_below(random, count)];
}

#define PICK(random, texts) pick(random, texts, sizeof(texts) / sizeof((texts)[0]))

static bool one_in(struct weft_random *random, uint64_t n)
{
    return weft_random_below(random, n) == 0;
}

static void append_noise(struct weft_random *random, struct weft_buffer *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        weft_buffer_append_char(out, (char)weft_random_below(random, 256));
}

static void append_repeated(struct weft_buffer *out, char c, size_t len)
{
    for (size_t i = 0; i < len; i++)
        weft_buffer_append_char(out, c);
}

/* ---- parts, good and bad ---------------------------------------------------------------- */

static void append_request_line(struct weft_random *random, const char *path,
                                struct weft_buffer *out)
{
    static const char *const methods[] = {"GET",     "POST", "HEAD", "OPTIONS", "DELETE",
                                          "PATCH",   "BREW", "get",  "G\tT",    "",
                                          "CONNECT", "PRI",  "GETT", "TRACE",   "\x80"};
    static const char *const targets[] = {"*",     "",       "/%",         "/%00",  "/\x01",
                                          "//",    "/../..", "http://a/b", "a:80",  "/a b",
                                          "/#x",   "/?a=%",  "/%zz",       "?",     "/%c0%af",
                                          "/a\\b", "\x7f",   "https://",   "/;a=b", "/{id}"};
    static const char *const versions[] = {
        "HTTP/1.1",  "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2",  "HTTP/11",   "HTTP/x.y",
        "HTTP/1.1 ", "http/1.1", "",         "HTTP/1",   "HTTPS/1.1", "HTTP/1.1.1"};
    static const char *const gaps[] = {"  ", "\t", "", "\r\n", "\0", "\x0b"};
    bool bad = one_in(random, 2);
    weft_buffer_append_string(out, bad && one_in(random, 3) ? PICK(random, methods) : "GET");
    weft_buffer_append_string(out, bad && one_in(random, 6) ? PICK(random, gaps) : " ");
    weft_buffer_append_string(out, bad && one_in(random, 3) ? PICK(random, targets) : path);
    if (bad && one_in(random, 10))
        append_repeated(out, 'u', weft_random_below(random, 20000));
    weft_buffer_append_string(out, bad && one_in(random, 6) ? PICK(random, gaps) : " ");
    weft_buffer_append_string(out, bad && one_in(random, 3) ? PICK(random, versions) : "HTTP/1.1");
    weft_buffer_append_string(out, bad && one_in(random, 8) ? "\n" : "\r\n");
}

static void append_header(struct weft_random *random, struct weft_buffer *out)
{
    static const char *const lines[] = {
        "Content-Length: 5",
        "Content-Length: 99999999999999999999999",
        "Content-Length: -1",
        "Content-Length: 5, 5",
        "Content-Length: 2000000",
        "Content-Length:",
        "Content-Length : 5",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: CHUNKED",
        "Transfer-Encoding\t: chunked",
        "Host: other",
        "Host: a b",
        "Host:",
        "Expect: 100-continue",
        "Expect: the unexpected",
        "Connection: close",
        "Connection: keep-alive",
        "Connection: upgrade",
        "Upgrade: websocket",
        "Upgrade: h2c",
        " folded",
        "\tfolded",
        ": nameless",
        "no colon",
        "Name with spaces: x",
        "\x80\xff: x",
        "X: \x01\x02",
        "X: \r y",
        "X:\n y",
        "X: caf\xc3\xa9",
        "Cookie: a=b; c=d",
    };
    weft_buffer_append_string(out, PICK(random, lines));
    if (one_in(random, 20))
        append_repeated(out, 'h', weft_random_below(random, 30000));
    weft_buffer_append_string(out, one_in(random, 12) ? "\n" : "\r\n");
}

static void append_chunks(struct weft_random *random, struct weft_buffer *out)
{
    static const char *const chunks[] = {
        "5\r\nhello\r\n",
        "5\r\nhell\r\n",
        "5\r\nhello!\r\n",
        "-5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5;a=b\r\nhello\r\n",
        "5;\r\nhello\r\n",
        "fffffffffffffffff\r\n",
        "ffffffffffffffff\r\n",
        "g\r\n",
        "\r\n",
        "5\nhello\n",
        "00000000000005\r\nhello\r\n",
        "10000000\r\n",
        "5\r\nhello",
    };
    for (uint64_t i = weft_random_below(random, 6); i > 0; i--)
        weft_buffer_append_string(out, one_in(random, 2) ? chunks[0] : PICK(random, chunks));
    if (one_in(random, 2))
        weft_buffer_append_string(out, one_in(random, 4) ? "0\r\nTrailer: x\r\n\r\n" : "0\r\n\r\n");
}

/* ---- damage ----------------------------------------------------------------------------- */

static void flip_bytes(struct weft_random *random, struct weft_buffer *out)
{
    for (uint64_t i = 1 + weft_random_below(random, 8); i > 0 && out->len > 0; i--)
        out->data[weft_random_below(random, out->len)] = (char)weft_random_below(random, 256);
}

static void insert_zero(struct weft_random *random, struct weft_buffer *out)
{
    if (out->len > 0)
        out->data[weft_random_below(random, out->len)] = '\0';
}

static void remove_part(struct weft_random *random, struct weft_buffer *out)
{
    size_t from = weft_random_below(random, out->len + 1);
    size_t len = weft_random_below(random, out->len - from + 1);
    memmove(out->data + from, out->data + from + len, out->len - from - len);
    out->len -= len;
}

static void repeat_part(struct weft_random *random, struct weft_buffer *out)
{
    size_t from = weft_random_below(random, out->len + 1);
    size_t len = weft_random_below(random, out->len - from + 1);
    if (weft_buffer_reserve(out, len)) {
        memmove(out->data + from + len, out->data + from, out->len - from);
        out->len += len;
    }
}

static void cut_short(struct weft_random *random, struct weft_buffer *out)
{
    out->len = weft_random_below(random, out->len + 1);
}

static void damage(struct weft_random *random, struct weft_buffer *out)
{
    switch (weft_random_below(random, 6)) {
    case 0:
        flip_bytes(random, out);
        break;
    case 1:
        insert_zero(random, out);
        break;
    case 2:
        remove_part(random, out);
        break;
    case 3:
        repeat_part(random, out);
        break;
    case 4:
        cut_short(random, out);
        break;
    default:
        append_noise(random, out, weft_random_below(random, 200));
        break;
    }
}

void http_garbage(struct weft_random *random, const char *path, struct weft_buffer *out)
{
    struct weft_buffer request;
    weft_buffer_init(&request, 1 << 20);
    if (one_in(random, 20)) {
        append_noise(random, &request, 1 + weft_random_below(random, 2000));
    } else {
        append_request_line(random, path, &request);
        if (!one_in(random, 8))
            weft_buffer_append_string(&request, "Host: test\r\n");
        uint64_t headers = one_in(random, 30) ? 150 : weft_random_below(random, 5);
        for (; headers > 0; headers--)
            append_header(random, &request);
        weft_buffer_append_string(&request, one_in(random, 12) ? "\n" : "\r\n");
        if (one_in(random, 3))
            append_chunks(random, &request);
        else if (one_in(random, 3))
            weft_buffer_append_string(&request, "hello");
    }
    for (uint64_t i = weft_random_below(random, 4); i > 0; i--)
        damage(random, &request);
    weft_buffer_append(out, request.data, request.len);
    weft_buffer_deinit(&request);
}
