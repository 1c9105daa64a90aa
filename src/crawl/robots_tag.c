/* SPDX-License-Identifier: MIT
 * robots_tag.c - see robots_tag.h. */
#include <crawl/robots_tag.h>

#include <string.h>

static bool is_word(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

void weft_robots_tag_content(struct weft_robots_tag *tag, const char *text, size_t len)
{
    const char *end = text + len;
    while (text < end) {
        size_t word = 0;
        while (text < end && strchr(", \t\r\n\f", *text))
            text++;
        while (text + word < end && !strchr(", \t\r\n\f", text[word]))
            word++;
        bool none = is_word(text, word, "none");
        if (none || is_word(text, word, "noindex"))
            tag->noindex = true;
        if (none || is_word(text, word, "nofollow"))
            tag->nofollow = true;
        text += word;
    }
}

void weft_robots_tag_field(struct weft_robots_tag *tag, const char *text, const char *agent)
{
    text += strspn(text, " \t");
    size_t name = strcspn(text, ":,");
    if (text[name] == ':') {
        size_t word = name;
        while (word > 0 && (text[word - 1] == ' ' || text[word - 1] == '\t'))
            word--;
        /* "unavailable_after: date", "max-snippet: 50" are rules with a value, for all */
        static const char *const rules[] = {"unavailable_after", "max-snippet", "max-image-preview",
                                            "max-video-preview"};
        bool rule = false;
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
            rule = rule || is_word(text, word, rules[i]);
        if (!rule && !is_word(text, word, agent))
            return;
        if (!rule)
            text += name + 1;
    }
    weft_robots_tag_content(tag, text, strlen(text));
}
