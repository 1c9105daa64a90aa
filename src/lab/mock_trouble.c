/* SPDX-License-Identifier: MIT
 * mock_trouble.c - answers that break off, never come, or are no HTTP. */
#include <lab/mock_answers.h>

#include <inttypes.h>
#include <stdio.h>

#define STALL_MAX_NS (600 * WEFT_SEC)
#define BYTES_MAX    (UINT64_C(1) << 20)
#define HEAD_BYTES   256

/* How far an answer gets before it ends. */
enum place {
    BEFORE, /* not at all */
    HEAD,   /* into its headers */
    BODY,   /* bytes of 1000 more */
};

static int write_until(struct weft_mock_request *request, enum place place, uint64_t bytes)
{
    char head[HEAD_BYTES];
    int err = weft_mock_begin(request, 0, NULL, WEFT_MOCK_RAW, 0);
    if (err || place == BEFORE)
        return err;
    if (place == HEAD)
        return weft_mock_write_head(request, "HTTP/1.1 200 OK\r\nContent-Ty");
    (void)snprintf(head, sizeof head,
                   "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                   "Content-Length: %" PRIu64 "\r\n\r\n",
                   bytes + 1000);
    err = weft_mock_write_head(request, head);
    return err ? err : weft_mock_write_noise(request, 0, bytes);
}

/* Returns whether the client still is there, with the answer begun. */
static bool begin(struct weft_mock_request *request)
{
    static const char *const words[] = {[BEFORE] = "before", [HEAD] = "head", [BODY] = "body"};
    unsigned place = BEFORE;
    uint64_t bytes = 100;
    return weft_mock_query_word(request, "at", words, 3, &place) &&
           weft_mock_query_count(request, "bytes", 0, BYTES_MAX, &bytes) &&
           write_until(request, place, bytes) == 0;
}

void weft_mock_trouble_reset(struct weft_mock_request *request)
{
    if (begin(request))
        weft_mock_hang_up(request, true);
}

void weft_mock_trouble_close(struct weft_mock_request *request)
{
    if (begin(request))
        weft_mock_hang_up(request, false);
}

void weft_mock_trouble_stall(struct weft_mock_request *request)
{
    int64_t wait_ns = 60 * WEFT_SEC;
    if (weft_mock_query_time(request, "for", STALL_MAX_NS, &wait_ns) && begin(request) &&
        weft_mock_pause(request, wait_ns) == 0)
        weft_mock_hang_up(request, false);
}

void weft_mock_wrong_length(struct weft_mock_request *request)
{
    uint64_t bytes = 100, says = 200;
    char head[HEAD_BYTES];
    if (!weft_mock_query_count(request, "bytes", 0, BYTES_MAX, &bytes) ||
        !weft_mock_query_count(request, "says", 0, UINT64_MAX, &says))
        return;
    (void)snprintf(head, sizeof head,
                   "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                   "Content-Length: %" PRIu64 "\r\n\r\n",
                   says);
    int err = weft_mock_begin(request, 200, NULL, WEFT_MOCK_RAW, 0);
    if (!err)
        err = weft_mock_write_head(request, head);
    if (!err)
        err = weft_mock_write_noise(request, 0, bytes);
    if (!err)
        (void)weft_mock_end(request);
}

/* Heads, or bodies, that no client ought to believe. */
void weft_mock_malformed(struct weft_mock_request *request)
{
    static const char *const words[] = {"protocol", "status", "header", "lengths", "chunk", "both"};
    static const char *const answers[] = {
        "This is not HTTP.\r\n\r\n",
        "HTTP/1.1 abc Hello\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    unsigned what = 0;
    if (!weft_mock_query_word(request, "what", words, sizeof words / sizeof words[0], &what))
        return;
    if (weft_mock_begin(request, 200, NULL, WEFT_MOCK_RAW, 0) == 0 &&
        weft_mock_write_head(request, answers[what]) == 0)
        (void)weft_mock_end(request);
}
