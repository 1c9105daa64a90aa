/* SPDX-License-Identifier: MIT
 * json_scan.c - see json_scan.h. */
#include <base/json_scan.h>

#include <base/buffer.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && is_space(*cursor->at))
        cursor->at++;
}

static bool take(struct cursor *cursor, char c)
{
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

/* Behind an opening quote: go behind the closing one. */
static bool skip_string(struct cursor *cursor)
{
    while (cursor->at < cursor->end) {
        char c = *cursor->at++;
        if (c == '"')
            return true;
        if (c == '\\' && cursor->at < cursor->end)
            cursor->at++;
    }
    return false;
}

/* Go behind a value of any kind: to the comma or bracket that follows it. */
static bool skip_value(struct cursor *cursor)
{
    size_t depth = 0;
    while (cursor->at < cursor->end) {
        char c = *cursor->at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return true;
        cursor->at++;
        if (c == '"' && !skip_string(cursor))
            return false;
        if (c == '{' || c == '[')
            depth++;
        if (c == '}' || c == ']')
            depth--;
    }
    return false;
}

static unsigned hex_digit(char c)
{
    int letter = c | 0x20;
    return (unsigned)(c <= '9' ? c - '0' : letter - 'a' + 10);
}

/* Compare a raw string with a plain ASCII word; a key may be written with escapes. */
static bool raw_equals(const char *raw, size_t len, const char *word)
{
    const char *end = raw + len;
    for (; raw < end && *word; word++) {
        char c = *raw++;
        if (c == '\\' && raw < end) {
            c = *raw++;
            if (c == 'u' && end - raw >= 4) {
                unsigned code = hex_digit(raw[0]) << 12 | hex_digit(raw[1]) << 8 |
                                hex_digit(raw[2]) << 4 | hex_digit(raw[3]);
                c = '\0';
                if (code < 0x80)
                    c = (char)code;
                raw += 4;
            } else if (c != '"' && c != '\\' && c != '/') {
                c = '\0'; /* a control character: in no word */
            }
        }
        if (c != *word)
            return false;
    }
    return raw == end && !*word;
}

/* From the beginning of an object: go to the value of its member key. */
static int seek_member(struct cursor *cursor, const char *key)
{
    if (!take(cursor, '{'))
        return -EINVAL;
    while (take(cursor, '"')) {
        const char *name = cursor->at;
        if (!skip_string(cursor))
            return -EINVAL;
        bool found = raw_equals(name, (size_t)(cursor->at - 1 - name), key);
        if (!take(cursor, ':'))
            return -EINVAL;
        if (found)
            return 0;
        if (!skip_value(cursor))
            return -EINVAL;
        if (!take(cursor, ','))
            break;
    }
    return take(cursor, '}') ? -ENOENT : -EINVAL;
}

/* The value at the cursor as it is written; the cursor goes behind it. */
static int take_value(struct cursor *cursor, const char **ret_raw, size_t *ret_len)
{
    skip_space(cursor);
    const char *raw = cursor->at;
    if (!skip_value(cursor))
        return -EINVAL;
    size_t len = (size_t)(cursor->at - raw);
    while (len > 0 && is_space(raw[len - 1]))
        len--;
    if (len == 0)
        return -EINVAL;
    *ret_raw = raw;
    *ret_len = len;
    return 0;
}

int weft_json_find_string(const char *json, size_t len, const char *key, const char **ret_raw,
                          size_t *ret_len)
{
    struct cursor cursor = {json, json + len};
    int err = seek_member(&cursor, key);
    if (err < 0)
        return err;
    if (!take(&cursor, '"'))
        return -EINVAL;
    const char *raw = cursor.at;
    if (!skip_string(&cursor))
        return -EINVAL;
    *ret_raw = raw;
    *ret_len = (size_t)(cursor.at - 1 - raw);
    return 0;
}

int weft_json_find(const char *json, size_t len, const char *key, const char **ret_raw,
                   size_t *ret_len)
{
    struct cursor cursor = {json, json + len};
    int err = seek_member(&cursor, key);
    return err < 0 ? err : take_value(&cursor, ret_raw, ret_len);
}

int weft_json_next_element(const char **at, const char *end, const char **ret_raw, size_t *ret_len)
{
    struct cursor cursor = {*at, end};
    bool first = take(&cursor, '[');
    int result = -EINVAL;
    if (take(&cursor, ']'))
        result = 0;
    else if (first || take(&cursor, ','))
        result = take_value(&cursor, ret_raw, ret_len) < 0 ? -EINVAL : 1;
    *at = cursor.at;
    return result;
}

int weft_json_next_member(const char **at, const char *end, struct weft_json_member *ret_member)
{
    struct cursor cursor = {*at, end};
    struct weft_json_member member = {.name = NULL};
    bool first = take(&cursor, '{');
    int result = -EINVAL;
    if (take(&cursor, '}')) {
        result = 0;
    } else if ((first || take(&cursor, ',')) && take(&cursor, '"')) {
        member.name = cursor.at;
        if (skip_string(&cursor)) {
            member.name_len = (size_t)(cursor.at - 1 - member.name);
            if (take(&cursor, ':') && take_value(&cursor, &member.raw, &member.len) == 0)
                result = 1;
        }
    }
    *at = cursor.at;
    if (result > 0)
        *ret_member = member;
    return result;
}

bool weft_json_is_named(const struct weft_json_member *member, const char *name)
{
    return raw_equals(member->name, member->name_len, name);
}

bool weft_json_too_deep(const char *json, size_t len, unsigned depth_max)
{
    struct cursor cursor = {json, json + len};
    unsigned depth = 0;
    while (cursor.at < cursor.end) {
        char c = *cursor.at++;
        if (c == '"' && !skip_string(&cursor))
            return false; /* broken, and the parser will say so before it goes deep */
        if ((c == '{' || c == '[') && ++depth > depth_max)
            return true;
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return false;
}

/* --- is it JSON? --- */

static bool at_digit(const struct cursor *cursor)
{
    return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

static bool scan_digits(struct cursor *cursor)
{
    if (!at_digit(cursor))
        return false;
    while (at_digit(cursor))
        cursor->at++;
    return true;
}

static bool scan_char(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

static bool scan_number(struct cursor *cursor)
{
    (void)scan_char(cursor, '-');
    if (!scan_char(cursor, '0') && !scan_digits(cursor))
        return false;
    if (scan_char(cursor, '.') && !scan_digits(cursor))
        return false;
    if (scan_char(cursor, 'e') || scan_char(cursor, 'E')) {
        if (!scan_char(cursor, '+'))
            (void)scan_char(cursor, '-');
        return scan_digits(cursor);
    }
    return true;
}

static bool scan_word(struct cursor *cursor, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Behind a backslash. */
static bool scan_escape(struct cursor *cursor)
{
    if (cursor->at == cursor->end)
        return false;
    char c = *cursor->at++;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c);
    for (int i = 0; i < 4; i++, cursor->at++) {
        if (cursor->at == cursor->end || !is_hex(*cursor->at))
            return false;
    }
    return true;
}

/* Behind an opening quote. */
static bool scan_string(struct cursor *cursor)
{
    while (cursor->at < cursor->end) {
        unsigned char c = (unsigned char)*cursor->at;
        if (c < 0x20)
            return false;
        size_t left = (size_t)(cursor->end - cursor->at);
        size_t len = c < 0x80 ? 1 : weft_utf8_sequence((const unsigned char *)cursor->at, left);
        if (len == 0)
            return false;
        cursor->at += len;
        if (c == '"')
            return true;
        if (c == '\\' && !scan_escape(cursor))
            return false;
    }
    return false;
}

static bool scan_scalar(struct cursor *cursor)
{
    if (scan_char(cursor, '"'))
        return scan_string(cursor);
    if (at_digit(cursor) || (cursor->at < cursor->end && *cursor->at == '-'))
        return scan_number(cursor);
    return scan_word(cursor, "true") || scan_word(cursor, "false") || scan_word(cursor, "null");
}

static bool scan_key(struct cursor *cursor)
{
    return take(cursor, '"') && scan_string(cursor) && take(cursor, ':');
}

/* What is open, innermost in the lowest bit: 1 an object, 0 an array. */
struct nesting {
    uint64_t objects;
    unsigned depth;
};

static bool in_object(const struct nesting *nesting)
{
    return nesting->objects & 1;
}

static void close_innermost(struct nesting *nesting)
{
    nesting->objects >>= 1;
    nesting->depth--;
}

/* Behind a value: close what ends here. Returns 1 at the end of everything, 0 where another value
 * follows, -1 where it is not JSON. */
static int scan_on(struct cursor *cursor, struct nesting *nesting)
{
    while (nesting->depth > 0) {
        if (take(cursor, ','))
            return in_object(nesting) && !scan_key(cursor) ? -1 : 0;
        if (!take(cursor, in_object(nesting) ? '}' : ']'))
            return -1;
        close_innermost(nesting);
    }
    skip_space(cursor);
    return cursor->at == cursor->end ? 1 : -1;
}

/* A value begins: go behind it, or into it. The same results as scan_on. */
static int scan_value(struct cursor *cursor, struct nesting *nesting)
{
    bool object = take(cursor, '{');
    if (!object && !take(cursor, '['))
        return scan_scalar(cursor) ? scan_on(cursor, nesting) : -1;
    if (nesting->depth == WEFT_JSON_DEPTH_MAX)
        return -1;
    nesting->objects = nesting->objects << 1 | object;
    nesting->depth++;
    if (take(cursor, object ? '}' : ']')) {
        close_innermost(nesting);
        return scan_on(cursor, nesting);
    }
    return object && !scan_key(cursor) ? -1 : 0;
}

bool weft_json_is_valid(const char *json, size_t len)
{
    struct cursor cursor = {json, json + len};
    struct nesting nesting = {0};
    int more = 0;
    while (more == 0)
        more = scan_value(&cursor, &nesting);
    return more > 0;
}

/* --- plainly JSON --- */

#define PLAIN_DEPTH_MAX  4u
#define PLAIN_NAMES_MAX  16u
#define PLAIN_DIGITS_MAX 15

static bool plain_value(struct cursor *cursor, unsigned depth);

/* Behind an opening quote. */
static bool plain_string(struct cursor *cursor)
{
    while (cursor->at < cursor->end) {
        unsigned char c = (unsigned char)*cursor->at;
        size_t left = (size_t)(cursor->end - cursor->at);
        size_t len = c < 0x80 ? 1 : weft_utf8_sequence((const unsigned char *)cursor->at, left);
        if (c < 0x20 || c == '\\' || len == 0)
            return false;
        cursor->at += len;
        if (c == '"')
            return true;
    }
    return false;
}

static bool plain_digits(struct cursor *cursor)
{
    const char *from = cursor->at;
    return scan_digits(cursor) && cursor->at - from <= PLAIN_DIGITS_MAX;
}

/* An exponent ends it, and is nothing that may follow. */
static bool plain_number(struct cursor *cursor)
{
    (void)scan_char(cursor, '-');
    if (!scan_char(cursor, '0') && !plain_digits(cursor))
        return false;
    return !scan_char(cursor, '.') || plain_digits(cursor);
}

struct plain_name {
    const char *text;
    size_t len;
};

static bool is_new_name(const struct plain_name *names, unsigned count)
{
    const struct plain_name *name = &names[count];
    for (unsigned i = 0; i < count; i++)
        if (names[i].len == name->len && memcmp(names[i].text, name->text, name->len) == 0)
            return false;
    return true;
}

/* Behind the opening bracket. */
static bool plain_object(struct cursor *cursor, unsigned depth)
{
    struct plain_name names[PLAIN_NAMES_MAX];
    unsigned count = 0;
    if (take(cursor, '}'))
        return true;
    do {
        if (count == PLAIN_NAMES_MAX || !take(cursor, '"'))
            return false;
        names[count].text = cursor->at;
        if (!plain_string(cursor))
            return false;
        names[count].len = (size_t)(cursor->at - names[count].text);
        if (!is_new_name(names, count) || !take(cursor, ':') || !plain_value(cursor, depth))
            return false;
        count++;
    } while (take(cursor, ','));
    return take(cursor, '}');
}

static bool plain_array(struct cursor *cursor, unsigned depth)
{
    if (take(cursor, ']'))
        return true;
    do {
        if (!plain_value(cursor, depth))
            return false;
    } while (take(cursor, ','));
    return take(cursor, ']');
}

static bool plain_value(struct cursor *cursor, unsigned depth) // NOLINT(misc-no-recursion): bounded
{
    if (take(cursor, '"'))
        return plain_string(cursor);
    if (scan_char(cursor, '{'))
        return depth < PLAIN_DEPTH_MAX && plain_object(cursor, depth + 1);
    if (scan_char(cursor, '['))
        return depth < PLAIN_DEPTH_MAX && plain_array(cursor, depth + 1);
    if (at_digit(cursor) || (cursor->at < cursor->end && *cursor->at == '-'))
        return plain_number(cursor);
    return scan_word(cursor, "true") || scan_word(cursor, "false") || scan_word(cursor, "null");
}

bool weft_json_is_plain(const char *json, size_t len)
{
    struct cursor cursor = {json, json + len};
    if (!plain_value(&cursor, 0))
        return false;
    skip_space(&cursor);
    return cursor.at == cursor.end;
}
