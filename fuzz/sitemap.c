/* SPDX-License-Identifier: MIT
 * sitemap.c - sitemaps from arbitrary bytes: no crash, no more entries than there may be, and the
 * same ones however the bytes are cut.
 *
 * The first byte of the input is the longest piece. */
#include <crawl/sitemap.h>

#include <crawl/digest.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

struct outcome {
    unsigned entries;
    uint64_t sum; /* of all of them, in their order */
    int err;
};

static void take(struct weft_sitemap *sitemap, struct outcome *outcome)
{
    enum weft_sitemap_kind kind;
    const char *url;
    size_t len;
    while (weft_sitemap_take(sitemap, &kind, &url, &len)) {
        check(len > 0 && strlen(url) == len);
        check(kind == WEFT_SITEMAP_PAGE || kind == WEFT_SITEMAP_INDEX);
        outcome->entries++;
        for (size_t i = 0; i < len; i++)
            outcome->sum = outcome->sum * 31 + (unsigned char)url[i];
    }
}

static struct outcome read_it(const uint8_t *data, size_t size, size_t piece_max)
{
    struct weft_sitemap *sitemap;
    struct outcome outcome = {0};
    check(weft_sitemap_open(&sitemap) == 0);
    while (size > 0 && outcome.err == 0) {
        size_t piece = size < piece_max ? size : piece_max;
        char *exact = malloc(piece);
        check(exact != NULL);
        memcpy(exact, data, piece);
        outcome.err = weft_sitemap_feed(sitemap, exact, piece);
        free(exact);
        take(sitemap, &outcome);
        data += piece;
        size -= piece;
    }
    if (outcome.err == 0)
        outcome.err = weft_sitemap_feed(sitemap, NULL, 0);
    take(sitemap, &outcome);
    weft_sitemap_close(sitemap);
    check(outcome.err == 0 || outcome.err == -EBADMSG || outcome.err == -EMSGSIZE);
    check(outcome.entries <= WEFT_SITEMAP_ENTRIES_MAX);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct outcome whole = read_it(data + 1, size - 1, SIZE_MAX);
    struct outcome cut = read_it(data + 1, size - 1, (size_t)data[0] + 1);
    check(whole.err == -EBADMSG || (whole.entries == cut.entries && whole.sum == cut.sum));
    check((whole.err == 0) == (cut.err == 0));
    return 0;
}
