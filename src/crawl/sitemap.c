/* SPDX-License-Identifier: MIT
 * sitemap.c - see sitemap.h. Bytes go through inflate where they are compressed, then to libxml2's
 * push parser or into lines. */
#include <crawl/sitemap.h>

#include <crawl/libxml.h>
#include <crawl/url.h>

#include <errno.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#define LOCATION_MAX (4 * WEFT_URL_MAX)
#define PIECE_BYTES  ((size_t)16 << 10)
#define HEAD_BYTES   2u /* of gzip's magic number */

/* Depths of elements: urlset, url, loc. */
#define DEPTH_ROOT     1u
#define DEPTH_ENTRY    2u
#define DEPTH_LOCATION 3u

enum format {
    FORMAT_UNKNOWN,
    FORMAT_XML,
    FORMAT_TEXT,
};

struct weft_sitemap {
    enum format format;
    int err; /* it has ended with that */
    bool ended;

    bool looked; /* for gzip's magic number */
    unsigned char head[HEAD_BYTES];
    size_t head_len;
    z_stream *inflating; /* NULL: it is not compressed */
    bool inflated;       /* a member of it has ended */
    unsigned char piece[PIECE_BYTES];
    size_t bytes; /* after that */

    xmlParserCtxtPtr parser;
    unsigned depth;
    enum weft_sitemap_kind kind;
    bool in_root, in_entry, in_location;
    struct weft_buffer location; /* text of the element, or the line */

    struct weft_buffer entries; /* a byte for the kind, the URL, a NUL; again */
    size_t taken;
    unsigned entries_count;
};

/* ---- entries ----------------------------------------------------------------------------- */

static void end_with(struct weft_sitemap *sitemap, int err)
{
    if (sitemap->err == 0)
        sitemap->err = err;
    if (sitemap->parser)
        xmlStopParser(sitemap->parser);
}

static void add_entry(struct weft_sitemap *sitemap, enum weft_sitemap_kind kind)
{
    struct weft_buffer *location = &sitemap->location;
    const char *text = location->data;
    size_t len = location->len;
    if (location->err == -ENOMEM)
        end_with(sitemap, -ENOMEM);
    if (location->err || sitemap->err) /* no URL is so long */
        return;
    while (len > 0 && (unsigned char)text[len - 1] <= ' ')
        len--;
    while (len > 0 && (unsigned char)*text <= ' ') {
        text++;
        len--;
    }
    if (len == 0 || memchr(text, '\0', len))
        return;
    if (sitemap->entries_count == WEFT_SITEMAP_ENTRIES_MAX) {
        end_with(sitemap, -EMSGSIZE);
        return;
    }
    sitemap->entries_count++;
    weft_buffer_append_char(&sitemap->entries, kind == WEFT_SITEMAP_INDEX ? 's' : 'p');
    weft_buffer_append(&sitemap->entries, text, len);
    weft_buffer_append_char(&sitemap->entries, '\0');
    if (sitemap->entries.err)
        end_with(sitemap, sitemap->entries.err);
}

/* ---- text -------------------------------------------------------------------------------- */

static void read_lines(struct weft_sitemap *sitemap, const char *text, size_t len)
{
    while (len > 0 && sitemap->err == 0) {
        size_t line = 0;
        while (line < len && text[line] != '\n' && text[line] != '\r')
            line++;
        weft_buffer_append(&sitemap->location, text, line);
        if (line == len)
            return;
        add_entry(sitemap, WEFT_SITEMAP_PAGE);
        weft_buffer_clear(&sitemap->location);
        text += line + 1;
        len -= line + 1;
    }
}

/* ---- XML --------------------------------------------------------------------------------- */

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int namespaces_count, const xmlChar **namespaces, int attributes_count,
                     int defaulted_count, const xmlChar **attributes)
{
    struct weft_sitemap *sitemap = context;
    const char *local = (const char *)name;
    (void)prefix, (void)uri, (void)namespaces_count, (void)namespaces;
    (void)attributes_count, (void)defaulted_count, (void)attributes;
    sitemap->depth++;
    if (sitemap->depth == DEPTH_ROOT) {
        bool index = strcmp(local, "sitemapindex") == 0;
        sitemap->kind = index ? WEFT_SITEMAP_INDEX : WEFT_SITEMAP_PAGE;
        sitemap->in_root = index || strcmp(local, "urlset") == 0;
        if (!sitemap->in_root)
            end_with(sitemap, -EBADMSG);
    } else if (sitemap->depth == DEPTH_ENTRY) {
        sitemap->in_entry =
            strcmp(local, sitemap->kind == WEFT_SITEMAP_INDEX ? "sitemap" : "url") == 0;
    } else if (sitemap->depth == DEPTH_LOCATION) {
        sitemap->in_location = sitemap->in_entry && strcmp(local, "loc") == 0;
        weft_buffer_clear(&sitemap->location);
    }
}

static void on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct weft_sitemap *sitemap = context;
    (void)name, (void)prefix, (void)uri;
    if (sitemap->depth == DEPTH_LOCATION && sitemap->in_location) {
        add_entry(sitemap, sitemap->kind);
        sitemap->in_location = false;
    }
    sitemap->depth--;
}

static void on_text(void *context, const xmlChar *text, int len)
{
    struct weft_sitemap *sitemap = context;
    if (sitemap->in_location && sitemap->depth == DEPTH_LOCATION)
        weft_buffer_append(&sitemap->location, text, (size_t)len);
}

static void on_document_type(void *context, const xmlChar *name, const xmlChar *external,
                             const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    end_with(context, -EBADMSG);
}

static bool open_parser(struct weft_sitemap *sitemap)
{
    xmlSAXHandler handler = {
        .initialized = XML_SAX2_MAGIC,
        .internalSubset = on_document_type,
        .startElementNs = on_start,
        .endElementNs = on_end,
        .characters = on_text,
        .cdataBlock = on_text,
    };
    sitemap->parser = xmlCreatePushParserCtxt(&handler, sitemap, NULL, 0, NULL);
    if (!sitemap->parser) {
        end_with(sitemap, -ENOMEM);
        return false;
    }
    (void)xmlCtxtUseOptions(sitemap->parser,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    return true;
}

static void read_xml(struct weft_sitemap *sitemap, const char *text, size_t len, bool last)
{
    struct weft_libxml before;
    int rc = XML_ERR_OK;
    weft_libxml_enter(&before);
    if (sitemap->parser || open_parser(sitemap))
        rc = xmlParseChunk(sitemap->parser, text, (int)len, last);
    weft_libxml_leave(&before);
    if (sitemap->err)
        return;
    if (rc == XML_ERR_NO_MEMORY)
        end_with(sitemap, -ENOMEM);
    else if (rc != XML_ERR_OK && (!sitemap->parser->wellFormed || sitemap->parser->disableSAX))
        end_with(sitemap, -EBADMSG);
    if (last && (!sitemap->in_root || sitemap->depth > 0)) /* also where the parser minds less */
        end_with(sitemap, -EBADMSG);
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* What may stand in front: blanks, and the bytes of UTF-8's mark. One by one, so that it does not
 * matter how the bytes are cut. */
static bool says_nothing(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xef || c == 0xbb || c == 0xbf;
}

/* Markup begins with '<'; UTF-16 with its mark, or with a NUL in front of that. */
static enum format format_of(unsigned char c)
{
    return c == '<' || c >= 0xfe || c == '\0' ? FORMAT_XML : FORMAT_TEXT;
}

static void read_plain(struct weft_sitemap *sitemap, const char *text, size_t len)
{
    size_t room = WEFT_SITEMAP_BYTES_MAX - sitemap->bytes;
    bool too_much = len > room;
    if (too_much)
        len = room;
    sitemap->bytes += len;
    while (sitemap->format == FORMAT_UNKNOWN && len > 0) {
        if (!says_nothing((unsigned char)*text)) {
            sitemap->format = format_of((unsigned char)*text);
            break;
        }
        text++;
        len--;
    }
    if (sitemap->format == FORMAT_TEXT)
        read_lines(sitemap, text, len);
    else if (sitemap->format == FORMAT_XML && len > 0)
        read_xml(sitemap, text, len, false);
    if (too_much)
        end_with(sitemap, -EMSGSIZE);
}

static void inflate_some(struct weft_sitemap *sitemap, const unsigned char *data, size_t len)
{
    z_stream *stream = sitemap->inflating;
    stream->next_in = (z_const Bytef *)data;
    stream->avail_in = (uInt)len;
    do {
        if (sitemap->inflated) { /* another member follows */
            if (stream->avail_in == 0)
                return;
            (void)inflateReset(stream);
            sitemap->inflated = false;
        }
        stream->next_out = sitemap->piece;
        stream->avail_out = PIECE_BYTES;
        int rc = inflate(stream, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            end_with(sitemap, rc == Z_MEM_ERROR ? -ENOMEM : -EBADMSG);
            return;
        }
        sitemap->inflated = rc == Z_STREAM_END;
        read_plain(sitemap, (const char *)sitemap->piece, PIECE_BYTES - stream->avail_out);
    } while (sitemap->err == 0 && (stream->avail_in > 0 || stream->avail_out == 0));
}

static void begin_inflating(struct weft_sitemap *sitemap)
{
    sitemap->inflating = calloc(1, sizeof *sitemap->inflating);
    if (!sitemap->inflating || inflateInit2(sitemap->inflating, 16 + MAX_WBITS) != Z_OK) {
        free(sitemap->inflating);
        sitemap->inflating = NULL;
        end_with(sitemap, -ENOMEM);
    }
}

static void read_bytes(struct weft_sitemap *sitemap, const unsigned char *data, size_t len)
{
    while (len > 0 && sitemap->err == 0) {
        size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
        if (sitemap->inflating)
            inflate_some(sitemap, data, piece);
        else
            read_plain(sitemap, (const char *)data, piece);
        data += piece;
        len -= piece;
    }
}

/* The first bytes are kept back until they tell whether it is compressed. */
static void look(struct weft_sitemap *sitemap)
{
    if (sitemap->looked || sitemap->head_len == 0)
        return;
    sitemap->looked = true;
    if (sitemap->head_len == HEAD_BYTES && sitemap->head[0] == 0x1f && sitemap->head[1] == 0x8b)
        begin_inflating(sitemap);
    read_bytes(sitemap, sitemap->head, sitemap->head_len);
}

static void finish(struct weft_sitemap *sitemap)
{
    look(sitemap);
    sitemap->ended = true;
    if (sitemap->err)
        return;
    bool cut = sitemap->inflating && !sitemap->inflated;
    if (cut || sitemap->format == FORMAT_UNKNOWN) /* or it is empty */
        end_with(sitemap, -EBADMSG);
    else if (sitemap->format == FORMAT_TEXT)
        add_entry(sitemap, WEFT_SITEMAP_PAGE);
    else
        read_xml(sitemap, NULL, 0, true);
}

int weft_sitemap_feed(struct weft_sitemap *sitemap, const void *data, size_t len)
{
    const unsigned char *bytes = data;
    if (sitemap->err || sitemap->ended)
        return sitemap->err;
    if (len == 0) {
        finish(sitemap);
        return sitemap->err;
    }
    while (!sitemap->looked && len > 0) {
        sitemap->head[sitemap->head_len++] = *bytes++;
        len--;
        if (sitemap->head_len == HEAD_BYTES)
            look(sitemap);
    }
    read_bytes(sitemap, bytes, len);
    return sitemap->err;
}

int weft_sitemap_take(struct weft_sitemap *sitemap, enum weft_sitemap_kind *ret_kind,
                      const char **ret_url, size_t *ret_len)
{
    if (sitemap->taken == sitemap->entries.len) {
        weft_buffer_clear(&sitemap->entries);
        sitemap->taken = 0;
        return 0;
    }
    const char *entry = sitemap->entries.data + sitemap->taken;
    *ret_kind = entry[0] == 's' ? WEFT_SITEMAP_INDEX : WEFT_SITEMAP_PAGE;
    *ret_url = entry + 1;
    *ret_len = strlen(entry + 1);
    sitemap->taken += *ret_len + 2;
    return 1;
}

int weft_sitemap_open(struct weft_sitemap **ret_sitemap)
{
    struct weft_sitemap *sitemap = calloc(1, sizeof *sitemap);
    if (!sitemap)
        return -ENOMEM;
    weft_buffer_init(&sitemap->location, LOCATION_MAX);
    weft_buffer_init(&sitemap->entries, WEFT_SITEMAP_BYTES_MAX);
    *ret_sitemap = sitemap;
    return 0;
}

void weft_sitemap_close(struct weft_sitemap *sitemap)
{
    if (!sitemap)
        return;
    if (sitemap->parser) {
        if (sitemap->parser->myDoc) /* of a document type */
            xmlFreeDoc(sitemap->parser->myDoc);
        xmlFreeParserCtxt(sitemap->parser);
    }
    if (sitemap->inflating) {
        (void)inflateEnd(sitemap->inflating);
        free(sitemap->inflating);
    }
    weft_buffer_deinit(&sitemap->location);
    weft_buffer_deinit(&sitemap->entries);
    free(sitemap);
}
