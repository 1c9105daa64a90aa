/* SPDX-License-Identifier: MIT
 * links.c - pages of HTML from arbitrary bytes: no crash, no more links than asked for, each with a
 * text of its length that can be resolved, or cannot.
 *
 * The first byte of the input chooses a charset, and whether assets count. */
#include <crawl/links.h>
#include <crawl/url.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINKS_MAX 50

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void resolve(const struct weft_links *links, const struct weft_link_found *link)
{
    const struct weft_url_rules rules = {0};
    struct weft_buffer url;
    const char *text = weft_link_text(links, link);
    check(link->at + link->len < links->text.len && strlen(text) <= link->len);
    weft_buffer_init(&url, WEFT_URL_MAX * 4);
    int err = weft_url_resolve(&url, "http://example.org/a/b", text, link->len, &rules);
    check(err == 0 || err == -EINVAL || err == -EPROTONOSUPPORT || err == -EMSGSIZE);
    weft_buffer_deinit(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const charsets[] = {
        NULL, "", "UTF-8", "windows-1252", "UTF-16", "no-such-thing", "latin1", "ascii"};
    struct weft_links links;
    if (size < 1)
        return 0;
    const struct weft_links_options options = {
        .charset = charsets[data[0] & 7],
        .agent = "weft",
        .links_max = LINKS_MAX,
        .assets = data[0] & 8,
    };
    char *html = malloc(size > 1 ? size - 1 : 1);
    check(html != NULL);
    memcpy(html, data + 1, size - 1);
    check(weft_links_find(&links, html, size - 1, &options) == 0);
    check(links.count <= LINKS_MAX);
    for (size_t i = 0; i < links.count; i++) {
        check(weft_link_kind_name(links.items[i].kind) != NULL);
        check(options.assets || !weft_link_is_asset(links.items[i].kind));
        resolve(&links, &links.items[i]);
    }
    if (links.has_base)
        resolve(&links, &links.base);
    weft_links_release(&links);
    free(html);
    return 0;
}
