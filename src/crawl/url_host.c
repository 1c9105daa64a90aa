/* SPDX-License-Identifier: MIT
 * url_host.c - hosts of URLs: names by IDNA, addresses in their one spelling. See url.h. */
#include <crawl/url.h>

#include <arpa/inet.h>
#include <errno.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES  253
#define LABEL_MAX_BYTES 63
#define RAW_MAX_BYTES   1024 /* escaped, or in UTF-8 */

static int append_ipv6(struct weft_buffer *out, const char *text, size_t len)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr bytes;
    if (len < 3 || text[len - 1] != ']' || len - 2 >= sizeof address)
        return -EINVAL;
    memcpy(address, text + 1, len - 2);
    address[len - 2] = '\0';
    if (inet_pton(AF_INET6, address, &bytes) != 1 ||
        !inet_ntop(AF_INET6, &bytes, address, sizeof address))
        return -EINVAL;
    weft_buffer_append_char(out, '[');
    weft_buffer_append_string(out, address);
    weft_buffer_append_char(out, ']');
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Without escapes. Returns 0 with the text ended by a NUL, -EINVAL */
static int decode(char name[RAW_MAX_BYTES + 1], const char *text, size_t len, bool *ret_foreign)
{
    size_t used = 0;
    bool foreign = false;
    if (len == 0 || len > RAW_MAX_BYTES)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return -EINVAL;
        foreign = foreign || (unsigned char)c >= 0x80;
        name[used++] = c;
    }
    name[used] = '\0';
    *ret_foreign = foreign;
    return 0;
}

/* Letters, digits, hyphens and underscores between dots. Returns the number of labels, 0: no name
 */
static unsigned check_labels(const char *name)
{
    unsigned labels = 0;
    for (;;) {
        size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
        if (len == 0 || len > LABEL_MAX_BYTES)
            return 0;
        labels++;
        name += len;
        if (*name == '\0')
            return labels;
        if (*name++ != '.')
            return 0;
    }
}

/* Whether readers may take the name for a number: its last label is one (WHATWG URL, 3.5). */
static bool ends_in_number(const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *label = dot ? dot + 1 : name;
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

/* Four numbers up to 255 without zeros in front. */
static bool is_dotted_quad(const char *name)
{
    for (unsigned i = 0; i < 4; i++) {
        size_t len = strspn(name, "0123456789");
        if (len == 0 || len > 3 || (len > 1 && name[0] == '0') || strtoul(name, NULL, 10) > 255)
            return false;
        name += len;
        if (i < 3 && *name++ != '.')
            return false;
    }
    return *name == '\0';
}

static int append_name(struct weft_buffer *out, char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] | 0x20);
    }
    if (len > 1 && name[len - 1] == '.') /* the root is in every name */
        name[--len] = '\0';
    if (len > NAME_MAX_BYTES || check_labels(name) == 0)
        return -EINVAL;
    if (ends_in_number(name) && !is_dotted_quad(name))
        return -EINVAL;
    weft_buffer_append(out, name, len);
    return 0;
}

static int append_foreign(struct weft_buffer *out, const char *name)
{
    uint8_t *ascii = NULL;
    int rc = idn2_lookup_u8((const uint8_t *)name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK)
        return rc == IDN2_MALLOC ? -ENOMEM : -EINVAL;
    int err = append_name(out, (char *)ascii);
    idn2_free(ascii);
    return err;
}

int weft_url_host(struct weft_buffer *out, const char *text, size_t len)
{
    char name[RAW_MAX_BYTES + 1];
    bool foreign;
    if (len > 0 && text[0] == '[')
        return append_ipv6(out, text, len);
    int err = decode(name, text, len, &foreign);
    if (err)
        return err;
    return foreign ? append_foreign(out, name) : append_name(out, name);
}
