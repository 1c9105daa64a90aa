/* SPDX-License-Identifier: MIT
 * pubsub_core.c - see pubsub_core.h. */
#include <flow/pubsub_core.h>

#include <weft/pubsub.h>

#include <string.h>

static bool in_word(char letter)
{
    unsigned char byte = (unsigned char)letter;
    return byte > ' ' && byte != 127 && letter != '.' && letter != '*' && letter != '>';
}

enum weft_topic_kind weft_topic_kind(const char *text)
{
    enum weft_topic_kind kind = WEFT_TOPIC_EXACT;
    if (!text || strnlen(text, WEFT_TOPIC_MAX + 1) > WEFT_TOPIC_MAX)
        return WEFT_TOPIC_WRONG;
    for (;;) {
        const char *word = text;
        while (in_word(*text))
            text++;
        bool wild = text == word && (*text == '*' || *text == '>');
        bool last = wild && *text == '>';
        text += wild;
        if (text == word || (*text != '.' && *text != 0) || (last && *text))
            return WEFT_TOPIC_WRONG;
        if (wild)
            kind = WEFT_TOPIC_PATTERN;
        if (*text++ == 0)
            return kind;
    }
}

bool weft_topic_matches(const char *pattern, const char *topic)
{
    for (;;) {
        if (*pattern == '>')
            return true; /* there is at least one word left: the caller's, or after a dot */
        if (*pattern == '*') {
            pattern++;
            topic += strcspn(topic, ".");
        }
        while (*pattern && *pattern != '.' && *pattern == *topic)
            pattern++, topic++;
        if (*pattern != *topic)
            return false;
        if (*pattern == 0)
            return true;
        pattern++, topic++; /* the dot of both */
    }
}
