/* SPDX-License-Identifier: MIT
 * http_request.c - the request parser on arbitrary bytes: no crash, and the same verdict however
 * the bytes are cut.
 *
 * The first byte of the input chooses the size of the pieces. */
#include <http/request_parser.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER_BYTES_MAX 1024
#define BODY_BYTES_MAX   512

struct outcome {
    enum weft_http_verdict verdict;
    int status;
    struct weft_http_incoming request;
    char *message;
    size_t consumed; /* of the input, when complete */
    size_t heads;    /* how often a head was announced */
};

/* Every feed gets the message in memory of exactly its size and the spare byte. */
static void run(struct outcome *outcome, const uint8_t *data, size_t size, size_t piece)
{
    struct weft_http_parser parser;
    char *message = NULL;
    size_t len = 0, at = 0;
    outcome->heads = 0;
    weft_http_parser_begin(&parser, HEADER_BYTES_MAX);
    do {
        size_t add = size - at < piece ? size - at : piece;
        char *moved = malloc(len + add + 1);
        if (!moved)
            abort();
        if (len > 0)
            memcpy(moved, message, len);
        memcpy(moved + len, data + at, add);
        free(message);
        message = moved;
        len += add;
        at += add;
        outcome->verdict = weft_http_parser_feed(&parser, message, &len);
        if (outcome->verdict == WEFT_HTTP_HEAD) {
            outcome->heads++;
            outcome->verdict = weft_http_parser_expect(&parser, BODY_BYTES_MAX, message, &len);
        }
    } while (outcome->verdict == WEFT_HTTP_MORE && at < size);
    outcome->status = parser.refusal.status;
    outcome->request = parser.request;
    outcome->message = message;
    outcome->consumed = outcome->verdict == WEFT_HTTP_COMPLETE ? at - (len - parser.end) : 0;
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void compare(const struct outcome *a, const struct outcome *b)
{
    check(a->heads <= 1 && a->heads == b->heads);
    /* How much framing is bearable is asked when a piece ends, so it depends on the pieces. */
    if (a->status == 413 || b->status == 413)
        return;
    check(a->verdict == b->verdict);
    if (a->verdict == WEFT_HTTP_REFUSED)
        check(a->status >= 400 && a->status <= 505 && b->status >= 400);
    if (a->verdict != WEFT_HTTP_COMPLETE)
        return;
    check(a->consumed == b->consumed);
    check(a->request.method == b->request.method);
    check(a->request.headers_count == b->request.headers_count);
    check(a->request.keep_alive == b->request.keep_alive);
    check(a->request.body_len == b->request.body_len);
    check(a->request.body_len == 0 ||
          memcmp(a->message + a->request.body_at, b->message + b->request.body_at,
                 a->request.body_len) == 0);
    check(a->message[a->request.body_at + a->request.body_len] == '\0');
    check(a->request.path.len == b->request.path.len);
    check(memcmp(a->request.path.text, b->request.path.text, a->request.path.len) == 0);
    for (size_t i = 0; i < a->request.headers_count; i++) {
        struct weft_http_header x = a->request.headers[i], y = b->request.headers[i];
        check(strlen(weft_http_text(&a->request, x.name)) == x.name.len);
        check(strlen(weft_http_text(&a->request, x.value)) == x.value.len);
        check(x.name.len == y.name.len && x.value.len == y.value.len);
        check(strcmp(weft_http_text(&a->request, x.value), weft_http_text(&b->request, y.value)) ==
              0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, pieces;
    if (size < 2)
        return 0;
    run(&whole, data + 1, size - 1, size);
    run(&pieces, data + 1, size - 1, 1 + data[0] % 64);
    compare(&whole, &pieces);
    free(whole.message);
    free(pieces.message);
    return 0;
}
