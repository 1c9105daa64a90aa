/* SPDX-License-Identifier: MIT
 * load_response.c - where responses end, however they are framed and however they are cut. */
#include <base/random.h>
#include <lab/load_response.h>

#include "test.h"

#include <stdio.h>
#include <string.h>

struct vector {
    const char *text;
    enum weft_load_progress progress; /* after all of text */
    int status;
    bool keep_alive;
};

static const struct vector vectors[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", WEFT_LOAD_COMPLETE, 200, true},
    {"HTTP/1.1 200 \r\ncontent-length:2\r\n\r\nok", WEFT_LOAD_COMPLETE, 200, true},
    {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", WEFT_LOAD_COMPLETE, 404, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", WEFT_LOAD_COMPLETE, 204, true},
    {"HTTP/1.1 304 Same\r\nContent-Length: 500\r\n\r\n", WEFT_LOAD_COMPLETE, 304, true},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", WEFT_LOAD_COMPLETE, 200,
     false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", WEFT_LOAD_COMPLETE, 200, false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", WEFT_LOAD_COMPLETE,
     200, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nabc\r\n0\r\nA: "
     "b\r\n\r\n",
     WEFT_LOAD_COMPLETE, 200, true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx",
     WEFT_LOAD_COMPLETE, 201, true},
    {"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
     WEFT_LOAD_COMPLETE, 200, true},
    {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", WEFT_LOAD_COMPLETE, 101,
     false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", WEFT_LOAD_MORE, 0, false},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", WEFT_LOAD_MORE, 0, false},
    {"HTTP/1.1 200 OK\r\nX", WEFT_LOAD_MORE, 0, false},
    {"SSH-2.0-OpenSSH\r\n", WEFT_LOAD_MALFORMED, 0, false},
    {"HTTP/1.1 abc\r\n\r\n", WEFT_LOAD_MALFORMED, 0, false},
    {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", WEFT_LOAD_MALFORMED, 0, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n", WEFT_LOAD_MALFORMED, 0, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", WEFT_LOAD_MALFORMED, 0, false},
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

static struct weft_load_known known;
static bool is_head;
static size_t left; /* of what was fed, behind the response */

/* A new connection, on a thread that has not seen an answer yet. */
static void init(struct weft_load_response *response)
{
    known = (struct weft_load_known){0};
    is_head = false;
    weft_load_response_init(response);
}

static void begin(struct weft_load_response *response)
{
    weft_load_response_begin(response, is_head, &known);
}

static enum weft_load_progress feed(struct weft_load_response *response, const char *data,
                                    size_t len)
{
    size_t used = len + 1;
    enum weft_load_progress progress = weft_load_response_feed(response, data, len, &used);
    CHECK(used <= len && (used == len || progress == WEFT_LOAD_COMPLETE));
    left = len - used;
    return progress;
}

static void check_end(const struct weft_load_response *response, enum weft_load_progress progress,
                      const struct vector *vector)
{
    CHECK_EQUAL(progress, vector->progress);
    if (progress == WEFT_LOAD_COMPLETE) {
        CHECK_EQUAL(response->status, vector->status);
        CHECK_EQUAL(response->keep_alive, vector->keep_alive);
    }
}

TEST(whole_responses_end_where_they_should)
{
    for (size_t i = 0; i < VECTORS; i++) {
        struct weft_load_response response;
        init(&response);
        begin(&response);
        check_end(&response, feed(&response, vectors[i].text, strlen(vectors[i].text)),
                  &vectors[i]);
    }
}

TEST(responses_may_be_cut_anywhere)
{
    for (size_t i = 0; i < VECTORS; i++) {
        size_t len = strlen(vectors[i].text);
        for (size_t cut = 1; cut < len; cut++) {
            struct weft_load_response response;
            enum weft_load_progress progress;
            init(&response);
            begin(&response);
            progress = feed(&response, vectors[i].text, cut);
            if (progress == WEFT_LOAD_MORE)
                progress = feed(&response, vectors[i].text + cut, len - cut);
            check_end(&response, progress, &vectors[i]);
        }
    }
}

/* A sequence on one connection: equal heads, other heads of the same length, other framing. */
TEST(one_connection_takes_response_after_response)
{
    static const size_t order[] = {0, 0, 0, 2, 0, 1, 0, 8, 8, 0, 3, 4, 9, 0, 10, 2, 2, 7, 0};
    struct weft_load_response response;
    init(&response);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const struct vector *vector = &vectors[order[i]];
        size_t len = strlen(vector->text), cut = i % 3 == 2 ? len / 2 : len;
        begin(&response);
        enum weft_load_progress progress = feed(&response, vector->text, cut);
        if (cut < len)
            progress = feed(&response, vector->text + cut, len - cut);
        check_end(&response, progress, vector);
    }
}

/* The head is the same each time, but the body comes in pieces or is followed by more. */
TEST(a_known_head_does_not_hide_what_follows)
{
    static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    static const size_t head = sizeof whole - 1 - 2;
    struct weft_load_response response;
    init(&response);
    for (int round = 0; round < 3; round++) {
        begin(&response);
        CHECK_EQUAL(feed(&response, whole, sizeof whole - 1), WEFT_LOAD_COMPLETE);
        begin(&response);
        CHECK_EQUAL(feed(&response, whole, head), WEFT_LOAD_MORE);
        CHECK_EQUAL(feed(&response, "o", 1), WEFT_LOAD_MORE);
        CHECK_EQUAL(feed(&response, "k", 1), WEFT_LOAD_COMPLETE);
        CHECK(response.keep_alive);
    }
    begin(&response);
    CHECK_EQUAL(feed(&response, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", 41),
                WEFT_LOAD_COMPLETE);
    CHECK_EQUAL(left, 1);
}

TEST(a_known_head_says_nothing_about_other_bodies)
{
    /* Two chunked ones of the same length, of which the second is not whole. */
    static const char whole[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "2\r\nok\r\n0\r\n\r\n";
    static const char cut[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "9\r\nabcdefghi";
    struct weft_load_response response;
    init(&response);
    for (int i = 0; i < 2; i++) {
        begin(&response);
        CHECK_EQUAL(feed(&response, whole, sizeof whole - 1), WEFT_LOAD_COMPLETE);
    }
    begin(&response);
    CHECK_EQUAL(feed(&response, cut, sizeof whole - 1), WEFT_LOAD_MORE);

    /* A body that looks like the response before. */
    static const char small[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    static const char large[] = "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n";
    init(&response);
    begin(&response);
    CHECK_EQUAL(feed(&response, small, sizeof small - 1), WEFT_LOAD_COMPLETE);
    begin(&response);
    CHECK_EQUAL(feed(&response, large, sizeof large - 1), WEFT_LOAD_MORE);
    CHECK_EQUAL(feed(&response, small, sizeof small - 1), WEFT_LOAD_MORE);

    /* One that closes does so the second time, too. */
    static const char closing[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                                  "Content-Length: 2\r\n\r\nok";
    init(&response);
    for (int i = 0; i < 2; i++) {
        begin(&response);
        (void)feed(&response, closing, sizeof closing - 1);
        CHECK(!response.keep_alive);
    }
}

TEST(bytes_behind_the_end_are_left)
{
    struct weft_load_response response;
    init(&response);
    begin(&response);
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n";
    CHECK_EQUAL(feed(&response, text, sizeof text - 1), WEFT_LOAD_COMPLETE);
    CHECK_EQUAL(response.status, 200);
    CHECK(response.keep_alive);
    CHECK_EQUAL(left, strlen("HTTP/1.1 200 OK\r\n"));
}

/* Every response comes at once with those behind it, cut in every possible place. */
TEST(pipelined_responses_are_taken_apart_wherever_they_are_cut)
{
    static const size_t order[] = {0, 0, 2, 8, 0, 3, 9, 10, 4, 0, 8, 8};
    static const size_t count = sizeof order / sizeof order[0];
    char text[2048] = "";
    for (size_t i = 0; i < count; i++)
        strcat(text, vectors[order[i]].text);
    size_t len = strlen(text);
    for (size_t cut = 1; cut <= len; cut++) {
        struct weft_load_response response;
        size_t done = 0, at = 0, end = cut;
        init(&response);
        begin(&response);
        while (at < len && done < count) {
            enum weft_load_progress progress = feed(&response, text + at, end - at);
            at = end - left;
            if (progress == WEFT_LOAD_COMPLETE) {
                check_end(&response, progress, &vectors[order[done++]]);
                begin(&response);
            } else {
                CHECK_EQUAL(progress, WEFT_LOAD_MORE);
            }
            if (at == end)
                end = len;
        }
        CHECK_EQUAL(done, count);
        CHECK_EQUAL(at, len);
    }
}

TEST(head_responses_have_no_body)
{
    struct weft_load_response response;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    init(&response);
    is_head = true;
    for (int i = 0; i < 3; i++) {
        begin(&response);
        CHECK_EQUAL(feed(&response, text, sizeof text - 1), WEFT_LOAD_COMPLETE);
        CHECK(response.keep_alive);
    }
}

TEST(the_peers_end_completes_only_what_has_no_length)
{
    struct weft_load_response response;
    init(&response);
    begin(&response);
    CHECK_EQUAL(weft_load_response_end(&response), WEFT_LOAD_MORE); /* not a byte came */

    static const char open_end[] = "HTTP/1.1 200 OK\r\n\r\nbody";
    init(&response);
    begin(&response);
    CHECK_EQUAL(feed(&response, open_end, sizeof open_end - 1), WEFT_LOAD_MORE);
    CHECK_EQUAL(weft_load_response_end(&response), WEFT_LOAD_COMPLETE);
    CHECK_EQUAL(response.status, 200);
    CHECK(!response.keep_alive);

    static const char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody";
    init(&response);
    begin(&response);
    CHECK_EQUAL(feed(&response, cut, sizeof cut - 1), WEFT_LOAD_MORE);
    CHECK_EQUAL(weft_load_response_end(&response), WEFT_LOAD_MORE);
}

TEST(the_allow_header_is_kept)
{
    static const char text[] =
        "HTTP/1.1 405 No\r\nX-Allow: PUT\r\naLLOW: GET, POST\r\nAllowed: x\r\n"
        "Content-Length: 0\r\n\r\n";
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        struct weft_load_response response;
        init(&response);
        begin(&response);
        if (feed(&response, text, cut) == WEFT_LOAD_MORE)
            (void)feed(&response, text + cut, sizeof text - 1 - cut);
        CHECK(strcmp(response.allow, "GET, POST") == 0);
    }
}

/* Feed the same piece until the parser gives up; the bytes that took. */
static size_t bytes_until_malformed(struct weft_load_response *response, const char *piece)
{
    size_t len = strlen(piece), bytes = 0;
    enum weft_load_progress progress = WEFT_LOAD_MORE;
    while (progress == WEFT_LOAD_MORE && bytes < 2 * WEFT_LOAD_HEAD_BYTES_MAX) {
        progress = feed(response, piece, len);
        bytes += len;
    }
    CHECK_EQUAL(progress, WEFT_LOAD_MALFORMED);
    return bytes;
}

TEST(a_head_without_end_is_malformed)
{
    static const char *const pieces[] = {"X: 0123456789\r\n", "x"};
    struct weft_load_response response;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        init(&response);
        begin(&response);
        CHECK_EQUAL(feed(&response, "HTTP/1.1 200 OK\r\n", 17), WEFT_LOAD_MORE);
        CHECK(bytes_until_malformed(&response, pieces[i]) <= WEFT_LOAD_HEAD_BYTES_MAX);
    }
    init(&response);
    begin(&response);
    CHECK(bytes_until_malformed(&response, "HTTP/1.1 100 Continue\r\n\r\n") <=
          WEFT_LOAD_HEAD_BYTES_MAX + 25);
}

TEST(bodies_do_not_count_as_head)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n";
    char piece[1000];
    struct weft_load_response response;
    memset(piece, 'x', sizeof piece);
    init(&response);
    for (int round = 0; round < 2; round++) {
        enum weft_load_progress progress;
        begin(&response);
        progress = feed(&response, head, sizeof head - 1);
        for (int i = 0; i < 200 && progress == WEFT_LOAD_MORE; i++)
            progress = feed(&response, piece, sizeof piece);
        CHECK_EQUAL(progress, WEFT_LOAD_COMPLETE);
        CHECK(response.keep_alive);
    }
}

/* ---- at random ------------------------------------------------------------------------- */

#define PIECES_MAX 40

/* What a connection makes of a text: how responses end, and where. */
struct found {
    char text[4096];
    size_t len;
};

/* Feed text in pieces that are at most so long. With memory, what one response teaches is kept for
 * the next; without, each is parsed. */
static void find_all(struct found *found, const char *text, size_t len, size_t piece, bool memory)
{
    struct weft_load_response response;
    size_t at = 0;
    init(&response);
    begin(&response);
    found->len = 0;
    while (at < len) {
        size_t count = piece < len - at ? piece : len - at;
        enum weft_load_progress progress = feed(&response, text + at, count);
        at += count - left;
        if (progress == WEFT_LOAD_MORE)
            continue;
        found->len += (size_t)snprintf(
            found->text + found->len, sizeof found->text - found->len, "%d %d %d at %zu\n",
            (int)progress, progress == WEFT_LOAD_COMPLETE ? response.status : 0,
            progress == WEFT_LOAD_COMPLETE && response.keep_alive,
            progress == WEFT_LOAD_COMPLETE && response.keep_alive ? at : 0);
        if (progress != WEFT_LOAD_COMPLETE || !response.keep_alive)
            return;
        if (!memory)
            known = (struct weft_load_known){0};
        begin(&response);
    }
}

TEST(what_is_remembered_never_changes_what_is_found)
{
    struct weft_random random;
    weft_random_seed(&random, 11);
    for (int round = 0; round < 3000; round++) {
        char text[PIECES_MAX * 100];
        size_t len = 0;
        uint64_t responses = 1 + weft_random_below(&random, PIECES_MAX - 1);
        /* Few kinds, so that they come again; now and then a byte is another. */
        uint64_t kinds = 1 + weft_random_below(&random, 4);
        for (uint64_t i = 0; i < responses; i++) {
            static const size_t order[] = {0, 2, 8, 3, 9, 4, 5};
            const char *piece = vectors[order[weft_random_below(&random, kinds)]].text;
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        for (uint64_t i = weft_random_below(&random, 4); i > 0; i--)
            text[weft_random_below(&random, len)] = (char)weft_random_below(&random, 128);
        struct found with, without, small;
        find_all(&with, text, len, len, true);
        find_all(&without, text, len, len, false);
        find_all(&small, text, len, 1 + weft_random_below(&random, 60), true);
        CHECK(with.len == without.len && memcmp(with.text, without.text, with.len) == 0);
        CHECK(with.len == small.len && memcmp(with.text, small.text, with.len) == 0);
    }
}
