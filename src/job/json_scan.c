/* SPDX-License-Identifier: MIT
 * json_scan.c - see json_scan.h. */
#include <job/json_scan.h>

#include <errno.h>

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
