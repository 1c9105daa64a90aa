/* SPDX-License-Identifier: MIT
 * analyse.c - what a thread does with an answer: the digest of its body, and where it leads to, as
 * URLs in normal form with what is to become of them. */
#include <crawl/crawl_internal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX ((size_t)32 << 20) /* URLs of one page or sitemap */

/* ---- entries, each once ------------------------------------------------------------------- */

static size_t slot_of(const struct crawl_page *page, const struct weft_entry *entry)
{
    uint64_t hash;
    memcpy(&hash, entry->fingerprint, sizeof hash); /* of SHA-256: nobody makes them collide */
    size_t slot = (size_t)(hash + entry->kind) & (page->slots_len - 1);
    while (page->slots[slot]) {
        const struct weft_entry *other = &page->entries[page->slots[slot] - 1];
        if (other->kind == entry->kind &&
            memcmp(other->fingerprint, entry->fingerprint, sizeof other->fingerprint) == 0)
            break;
        slot = (slot + 1) & (page->slots_len - 1);
    }
    return slot;
}

/* Room for one more. */
static int grow(struct crawl_page *page)
{
    if (page->entries_count < page->entries_capacity)
        return 0;
    size_t capacity = page->entries_capacity ? page->entries_capacity * 2 : 64;
    struct weft_entry *entries = reallocarray(page->entries, capacity, sizeof *entries);
    if (entries)
        page->entries = entries;
    uint32_t *slots = calloc(capacity * 2, sizeof *slots);
    if (!entries || !slots) {
        free(slots);
        return -ENOMEM;
    }
    free(page->slots);
    page->slots = slots;
    page->slots_len = capacity * 2;
    page->entries_capacity = capacity;
    for (size_t i = 0; i < page->entries_count; i++)
        page->slots[slot_of(page, &page->entries[i])] = (uint32_t)i + 1;
    return 0;
}

static int add(struct crawl_page *page, struct weft_entry *entry)
{
    int err = grow(page);
    if (err)
        return err;
    size_t slot = slot_of(page, entry);
    if (page->slots[slot]) { /* one of several that may be followed is enough */
        struct weft_entry *known = &page->entries[page->slots[slot] - 1];
        known->fetch = known->fetch || entry->fetch;
        known->nofollow = known->nofollow && entry->nofollow;
        return 0;
    }
    entry->url = weft_arena_copy(&page->texts, page->scratch.data, page->scratch.len);
    if (!entry->url)
        return -ENOMEM;
    page->texts_bytes += page->scratch.len + 1;
    page->entries[page->entries_count++] = *entry;
    page->slots[slot] = (uint32_t)page->entries_count;
    return 0;
}

/* ---- what is to become of them ------------------------------------------------------------ */

static void aim(const struct crawl *crawl, struct weft_entry *entry)
{
    bool inside = weft_reach_has(&crawl->reach, entry->url);
    bool external = crawl->options->external && entry->use != WEFT_USE_SITEMAP;
    if (entry->use == WEFT_USE_PAGE && weft_link_is_asset(entry->kind))
        entry->use = WEFT_USE_ASSET;
    if (!inside && entry->use != WEFT_USE_SITEMAP)
        entry->use = WEFT_USE_PROBE;
    else if (inside && entry->use == WEFT_USE_PROBE) /* a redirect back */
        entry->use = WEFT_USE_PAGE;
    unsigned most = entry->use == WEFT_USE_SITEMAP ? SITEMAP_HOPS_MAX : HOPS_MAX;
    entry->fetch = (inside || external || entry->fetch) && entry->hops <= most &&
                   (!entry->nofollow || crawl->options->ignore_robots);
}

int weft_crawl_page_enter(struct crawl_page *page, const char *base, const char *text, size_t len,
                          const struct weft_entry *how)
{
    struct weft_entry entry = *how;
    if (page->texts_bytes > TEXTS_MAX)
        return 0;
    int err = weft_url_resolve(&page->scratch, base, text, len, &page->crawl->rules);
    if (err)
        return err == -ENOMEM ? err : 0;
    err = weft_url_fingerprint(entry.fingerprint, page->scratch.data, page->scratch.len);
    if (err)
        return err;
    entry.url = page->scratch.data;
    aim(page->crawl, &entry);
    return add(page, &entry);
}

/* ---- pages -------------------------------------------------------------------------------- */

/* Elements of the same page are no step further away; nor is what a page stands for. */
static bool is_step(enum weft_link_kind kind)
{
    return !weft_link_is_asset(kind) && kind != WEFT_LINK_REFRESH;
}

static int enter_links(struct crawl_page *page, const struct weft_links *links, const char *base)
{
    const struct weft_claimed *claimed = page->claimed;
    bool nofollow = page->answer.tag.nofollow || links->tag.nofollow;
    int err = 0;
    for (size_t i = 0; i < links->count && err == 0; i++) {
        const struct weft_link_found *found = &links->items[i];
        const struct weft_entry how = {
            .kind = found->kind,
            .use = WEFT_USE_PAGE,
            .nofollow = found->nofollow || nofollow,
            .depth = claimed->depth + is_step(found->kind),
            .hops = found->kind == WEFT_LINK_REFRESH ? claimed->hops + 1 : 0,
        };
        err = weft_crawl_page_enter(page, base, weft_link_text(links, found), found->len, &how);
    }
    return err;
}

static int follow_html(struct crawl_page *page)
{
    const struct crawl *crawl = page->crawl;
    struct weft_links links;
    struct weft_buffer base;
    char charset[40];
    weft_content_charset(page->answer.content_type, charset);
    const struct weft_links_options options = {
        .charset = charset,
        .agent = crawl->agent,
        .links_max = crawl->options->links_max,
        .assets = crawl->options->assets != 0,
    };
    weft_buffer_init(&base, WEFT_URL_MAX + 1);
    int err = weft_links_find(&links, page->answer.body.data, page->answer.body.len, &options);
    if (err == 0) {
        page->row.noindex = page->answer.tag.noindex || links.tag.noindex;
        const char *from = page->claimed->url;
        if (links.has_base) {
            const struct weft_url_rules any = {.bytes_max = WEFT_URL_MAX};
            err = weft_url_resolve(&base, from, weft_link_text(&links, &links.base), links.base.len,
                                   &any);
            if (err == 0)
                from = base.data;
            err = err == -ENOMEM ? err : 0;
        }
        if (err == 0)
            err = enter_links(page, &links, from);
    }
    weft_buffer_deinit(&base);
    weft_links_release(&links);
    return err;
}

bool weft_crawl_is_html(const struct crawl_answer *answer)
{
    const char *type = answer->content_type;
    if (type)
        return weft_content_is(type, "text/html") || weft_content_is(type, "application/xhtml+xml");
    const char *text = answer->body.data;
    size_t at = 0;
    while (at < answer->body.len && strchr(" \t\r\n\f", text[at]) && text[at])
        at++;
    return at < answer->body.len && text[at] == '<';
}

static int follow_redirect(struct crawl_page *page)
{
    const struct weft_claimed *claimed = page->claimed;
    const struct weft_entry how = {
        .kind = WEFT_LINK_REDIRECT,
        .use = claimed->use,
        .depth = claimed->depth,
        .hops = claimed->hops + 1,
    };
    return weft_crawl_page_enter(page, claimed->url, page->answer.location,
                                 strlen(page->answer.location), &how);
}

int weft_crawl_analyse(void *arg)
{
    struct crawl_page *page = arg;
    const struct crawl_answer *answer = &page->answer;
    if (answer->status >= 300 && answer->status < 400)
        return answer->location ? follow_redirect(page) : 0;
    page->row.noindex = answer->tag.noindex;
    if (answer->status / 100 != 2 || answer->body.len == 0)
        return 0;
    int err = weft_content_digest(page->digest, answer->body.data, answer->body.len);
    if (err)
        return err;
    page->row.digest = page->digest;
    return weft_crawl_is_html(answer) ? follow_html(page) : 0;
}
