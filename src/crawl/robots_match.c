/* SPDX-License-Identifier: MIT
 * robots_match.c - patterns of robots.txt and the paths they are for (RFC 9309, 2.2.2 and 2.2.3).
 */
#include <crawl/robots.h>

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(unsigned char c)
{
    unsigned char letter = c | 0x20;
    return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static size_t escape(char *to, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";
    to[0] = '%';
    to[1] = digits[c >> 4];
    to[2] = digits[c & 15];
    return 3;
}

size_t weft_robots_normal(char *to, const char *text, size_t len, bool is_pattern)
{
    size_t used = 0;
    bool in_query = false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        int high = c == '%' && i + 2 < len ? hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0) {
            c = (unsigned char)(high << 4 | low);
            i += 2;
            if (is_unreserved(c) || (in_query && (c == '/' || c == ':')))
                to[used++] = (char)c;
            else
                used += escape(to + used, c);
            continue;
        }
        in_query = in_query || c == '?';
        bool sign = c == '*' || c == '$';
        if (c <= ' ' || c >= 0x7f || (sign && !is_pattern))
            used += escape(to + used, c);
        else
            to[used++] = (char)c;
    }
    to[used] = '\0';
    return used;
}

/* The pieces between the asterisks are looked for from left to right, each as early as it comes:
 * what matches at all matches so. With '$' the last one has to be the end. */
bool weft_robots_match(const char *pattern, size_t pattern_len, const char *path, size_t path_len)
{
    const char *end = path + path_len;
    bool anchored = pattern_len > 0 && pattern[pattern_len - 1] == '$';
    const char *pattern_end = pattern + pattern_len - (anchored ? 1 : 0);
    bool floats = false; /* behind an asterisk */
    for (;;) {
        const char *star = memchr(pattern, '*', (size_t)(pattern_end - pattern));
        size_t len = (size_t)((star ? star : pattern_end) - pattern);
        size_t left = (size_t)(end - path);
        if (len > left)
            return false;
        if (!star && anchored && floats)
            return memcmp(end - len, pattern, len) == 0;
        if (floats && len > 0) {
            path = memmem(path, left, pattern, len);
            if (!path)
                return false;
        } else if (memcmp(path, pattern, len) != 0) {
            return false;
        }
        path += len;
        if (!star)
            return !anchored || path == end;
        pattern = star + 1;
        floats = true;
    }
}
