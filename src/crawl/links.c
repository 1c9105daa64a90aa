/* SPDX-License-Identifier: MIT
 * links.c - see links.h. One function looks at each start tag. */
#include <crawl/links.h>

#include <crawl/libxml.h>

#include <errno.h>
#include <libxml/HTMLparser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_DEFAULT_MAX 10000u
#define TEXT_MAX          ((size_t)64 << 20)
#define HTML_MAX          ((size_t)1 << 30)
#define BLANKS            " \t\r\n\f"

struct finder {
    struct weft_links *links;
    const struct weft_links_options *options;
    htmlParserCtxtPtr parser;
    size_t links_max;
    int err;
};

/* ---- what is found ----------------------------------------------------------------------- */

static void fail(struct finder *finder, int err)
{
    finder->err = err;
    xmlStopParser(finder->parser);
}

static bool keep_text(struct finder *finder, struct weft_link_found *link, const char *text,
                      size_t len)
{
    struct weft_links *links = finder->links;
    link->at = (uint32_t)links->text.len;
    link->len = (uint32_t)len;
    if (len > UINT16_MAX || links->text.len + len + 1 > TEXT_MAX) {
        links->cut = links->cut || len <= UINT16_MAX;
        return false;
    }
    weft_buffer_append(&links->text, text, len);
    weft_buffer_append_char(&links->text, '\0');
    if (links->text.err)
        fail(finder, links->text.err);
    return links->text.err == 0;
}

static void add(struct finder *finder, enum weft_link_kind kind, const char *text, size_t len,
                bool nofollow)
{
    struct weft_links *links = finder->links;
    struct weft_link_found link = {.kind = kind, .nofollow = nofollow};
    if (weft_link_is_asset(kind) && !finder->options->assets)
        return;
    if (links->count == finder->links_max) {
        links->cut = true;
        return;
    }
    if (links->count == links->capacity) {
        size_t capacity = links->capacity ? links->capacity * 2 : 64;
        struct weft_link_found *items = reallocarray(links->items, capacity, sizeof *items);
        if (!items) {
            fail(finder, -ENOMEM);
            return;
        }
        links->items = items;
        links->capacity = capacity;
    }
    if (keep_text(finder, &link, text, len))
        links->items[links->count++] = link;
}

/* ---- attributes -------------------------------------------------------------------------- */

/* NULL: the element has none of that name. */
static const char *value_of(const xmlChar **attributes, const char *name)
{
    for (; attributes && attributes[0]; attributes += 2) {
        if (strcmp((const char *)attributes[0], name) == 0)
            return attributes[1] ? (const char *)attributes[1] : "";
    }
    return NULL;
}

/* Whether a list with blanks has a word, in any case. */
static bool has_word(const char *list, const char *word)
{
    size_t wanted = strlen(word);
    while (list && *list) {
        list += strspn(list, BLANKS);
        size_t len = strcspn(list, BLANKS);
        if (len == wanted && strncasecmp(list, word, len) == 0)
            return true;
        list += len;
    }
    return false;
}

static void take_reference(struct finder *finder, enum weft_link_kind kind,
                           const xmlChar **attributes, const char *name)
{
    const char *value = value_of(attributes, name);
    if (value)
        add(finder, kind, value, strlen(value), has_word(value_of(attributes, "rel"), "nofollow"));
}

/* "a.png 1x, b.png 2x": what stands in front of the blanks. */
static void take_candidates(struct finder *finder, enum weft_link_kind kind, const char *list)
{
    while (list && *list && finder->err == 0) {
        list += strspn(list, BLANKS ",");
        size_t len = strcspn(list, BLANKS);
        size_t url = len;
        while (url > 0 && list[url - 1] == ',')
            url--;
        if (url > 0)
            add(finder, kind, list, url, false);
        list += len;
        if (url == len)
            list += strcspn(list, ",");
    }
}

static void take_link(struct finder *finder, const xmlChar **attributes)
{
    static const struct {
        const char *rel;
        enum weft_link_kind kind;
    } kinds[] = {
        {"canonical", WEFT_LINK_CANONICAL}, {"stylesheet", WEFT_LINK_STYLE},
        {"icon", WEFT_LINK_STYLE},          {"alternate", WEFT_LINK_ALTERNATE},
        {"next", WEFT_LINK_SERIES},         {"prev", WEFT_LINK_SERIES},
    };
    const char *rel = value_of(attributes, "rel");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (has_word(rel, kinds[i].rel)) {
            take_reference(finder, kinds[i].kind, attributes, "href");
            return;
        }
    }
}

/* "5; url='next.html'" */
static void take_refresh(struct finder *finder, const char *text)
{
    text += strspn(text, BLANKS);
    text += strspn(text, "0123456789.");
    text += strspn(text, BLANKS);
    if (*text != ';' && *text != ',')
        return;
    text += strspn(text, BLANKS ";,");
    if (strncasecmp(text, "url", 3) == 0) {
        size_t at = 3;
        while (text[at] && strchr(BLANKS, text[at]))
            at++;
        if (text[at] == '=')
            text += at + 1 + strspn(text + at + 1, BLANKS);
    }
    size_t len = strlen(text);
    if (*text == '"' || *text == '\'') {
        const char quote = *text++;
        const char *end = strchr(text, quote);
        len = end ? (size_t)(end - text) : strlen(text);
    }
    if (len > 0)
        add(finder, WEFT_LINK_REFRESH, text, len, false);
}

static void take_meta(struct finder *finder, const xmlChar **attributes)
{
    const char *name = value_of(attributes, "name");
    const char *event = value_of(attributes, "http-equiv");
    const char *content = value_of(attributes, "content");
    if (!content)
        return;
    if (event && strcasecmp(event, "refresh") == 0)
        take_refresh(finder, content);
    if (name && (strcasecmp(name, "robots") == 0 ||
                 (finder->options->agent && strcasecmp(name, finder->options->agent) == 0)))
        weft_robots_tag_content(&finder->links->tag, content, strlen(content));
}

static void take_base(struct finder *finder, const xmlChar **attributes)
{
    const char *value = value_of(attributes, "href");
    if (value && !finder->links->has_base)
        finder->links->has_base = keep_text(finder, &finder->links->base, value, strlen(value));
}

/* ---- elements ---------------------------------------------------------------------------- */

static void on_start(void *context, const xmlChar *element, const xmlChar **attributes)
{
    struct finder *finder = context;
    const char *name = (const char *)element;
    if (finder->err)
        return;
    if (strcmp(name, "a") == 0 || strcmp(name, "area") == 0) {
        take_reference(finder, WEFT_LINK_ANCHOR, attributes, "href");
    } else if (strcmp(name, "link") == 0) {
        take_link(finder, attributes);
    } else if (strcmp(name, "base") == 0) {
        take_base(finder, attributes);
    } else if (strcmp(name, "meta") == 0) {
        take_meta(finder, attributes);
    } else if (strcmp(name, "iframe") == 0 || strcmp(name, "frame") == 0) {
        take_reference(finder, WEFT_LINK_FRAME, attributes, "src");
    } else if (strcmp(name, "script") == 0) {
        take_reference(finder, WEFT_LINK_SCRIPT, attributes, "src");
    } else if (strcmp(name, "img") == 0) {
        take_reference(finder, WEFT_LINK_IMAGE, attributes, "src");
        take_candidates(finder, WEFT_LINK_IMAGE, value_of(attributes, "srcset"));
    } else if (strcmp(name, "audio") == 0 || strcmp(name, "video") == 0) {
        take_reference(finder, WEFT_LINK_MEDIA, attributes, "src");
    } else if (strcmp(name, "source") == 0) {
        take_reference(finder, WEFT_LINK_MEDIA, attributes, "src");
        take_candidates(finder, WEFT_LINK_IMAGE, value_of(attributes, "srcset"));
    }
}

static bool is_utf8(const char *text, size_t len)
{
    while (len > 0) {
        size_t step =
            (unsigned char)*text < 0x80 ? 1 : weft_utf8_sequence((const unsigned char *)text, len);
        if (step == 0)
            return false;
        text += step;
        len -= step;
    }
    return true;
}

/* The server's word counts; then what the bytes are, when they can be nothing else; otherwise what
 * the page says itself, which the parser looks for. */
static const char *charset_for(const char *html, size_t len, const char *named)
{
    if (named && *named) {
        xmlCharEncodingHandlerPtr handler = xmlFindCharEncodingHandler(named);
        if (handler) {
            (void)xmlCharEncCloseFunc(handler);
            return named;
        }
    }
    return is_utf8(html, len) ? "UTF-8" : NULL;
}

/* Reads all of it, and frees the parser. */
static void parse(struct finder *finder, const char *html, size_t len)
{
    htmlParserCtxtPtr parser = finder->parser;
    *parser->sax = (xmlSAXHandler){.initialized = 1, .startElement = on_start};
    parser->userData = finder;
    (void)htmlCtxtReadMemory(parser, html, (int)len, NULL,
                             charset_for(html, len, finder->options->charset),
                             HTML_PARSE_RECOVER | HTML_PARSE_NONET | HTML_PARSE_NOERROR |
                                 HTML_PARSE_NOWARNING | HTML_PARSE_NODEFDTD);
    if (finder->err == 0 && parser->errNo == XML_ERR_NO_MEMORY)
        finder->err = -ENOMEM;
    if (parser->myDoc)
        xmlFreeDoc(parser->myDoc);
    htmlFreeParserCtxt(parser);
}

int weft_links_find(struct weft_links *ret_links, const char *html, size_t len,
                    const struct weft_links_options *options)
{
    struct finder finder = {
        .links = ret_links,
        .options = options,
        .links_max = options->links_max ? options->links_max : LINKS_DEFAULT_MAX,
    };
    *ret_links = (struct weft_links){.count = 0};
    weft_buffer_init(&ret_links->text, TEXT_MAX);
    if (len > HTML_MAX)
        return -EMSGSIZE;
    if (len == 0)
        return 0;
    struct weft_libxml before;
    int err = -ENOMEM;
    weft_libxml_enter(&before);
    finder.parser = htmlNewParserCtxt();
    if (finder.parser) {
        parse(&finder, html, len);
        err = finder.err;
    }
    weft_libxml_leave(&before);
    return err;
}

void weft_links_release(struct weft_links *links)
{
    free(links->items);
    weft_buffer_deinit(&links->text);
    *links = (struct weft_links){.count = 0};
}

const char *weft_link_kind_name(enum weft_link_kind kind)
{
    static const char *const names[WEFT_LINK_KINDS] = {
        [WEFT_LINK_ANCHOR] = "a",
        [WEFT_LINK_CANONICAL] = "canonical",
        [WEFT_LINK_ALTERNATE] = "alternate",
        [WEFT_LINK_SERIES] = "next",
        [WEFT_LINK_REFRESH] = "refresh",
        [WEFT_LINK_FRAME] = "frame",
        [WEFT_LINK_REDIRECT] = "redirect",
        [WEFT_LINK_SITEMAP] = "sitemap",
        [WEFT_LINK_IMAGE] = "image",
        [WEFT_LINK_SCRIPT] = "script",
        [WEFT_LINK_STYLE] = "style",
        [WEFT_LINK_MEDIA] = "media",
    };
    return kind < WEFT_LINK_KINDS ? names[kind] : NULL;
}

/* ---- content types ----------------------------------------------------------------------- */

void weft_content_charset(const char *content_type, char ret_charset[40])
{
    const char *at = content_type ? strchr(content_type, ';') : NULL;
    ret_charset[0] = '\0';
    for (; at; at = strchr(at, ';')) {
        at += 1 + strspn(at + 1, BLANKS);
        if (strncasecmp(at, "charset=", 8) != 0)
            continue;
        at += 8;
        at += *at == '"' || *at == '\'';
        size_t len = strcspn(at, "\"'; \t\r\n\f");
        if (len < 40)
            (void)snprintf(ret_charset, 40, "%.*s", (int)len, at);
        return;
    }
}

bool weft_content_is(const char *content_type, const char *name)
{
    size_t len = strlen(name);
    if (!content_type)
        return false;
    content_type += strspn(content_type, BLANKS);
    if (strncasecmp(content_type, name, len) != 0)
        return false;
    char next = content_type[len];
    return (len > 0 && name[len - 1] == '/') || next == '\0' || strchr("; \t\r\n\f", next);
}
