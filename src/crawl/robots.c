/* SPDX-License-Identifier: MIT
 * robots.c - reads robots.txt, see robots.h.
 *
 * Rules are collected for the agent and for "*" at the same time: which of the two counts is known
 * only at the end. */
#include <crawl/robots.h>

#include <base/arena.h>
#include <weft/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rule {
    const char *pattern; /* in normal form */
    size_t len;
    bool allows;
};

struct rules {
    struct rule *items;
    size_t count, capacity;
    int64_t delay_ns; /* -1: none */
    bool named;       /* a group was for it */
};

struct weft_robots {
    struct weft_arena arena;
    struct rules rules;
    const char *sitemaps[WEFT_ROBOTS_SITEMAPS_MAX];
    size_t sitemaps_count;
};

struct reader {
    struct weft_robots *robots;
    const char *agent;
    struct rules all; /* for "*"; those for the agent are in robots */
    bool for_agent, for_all;
    bool in_rules; /* the next user-agent begins a new group */
};

struct line {
    const char *name, *value;
    size_t name_len, value_len;
};

/* ---- lines ------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && is_blank(**text)) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*text)[*len - 1]))
        (*len)--;
}

/* Cut a line at its colon, and its comment off. False: it says nothing. */
static bool read_line(struct line *line, const char *text, size_t len)
{
    const char *comment = memchr(text, '#', len);
    if (comment)
        len = (size_t)(comment - text);
    const char *colon = memchr(text, ':', len);
    if (!colon)
        return false;
    line->name = text;
    line->name_len = (size_t)(colon - text);
    line->value = colon + 1;
    line->value_len = len - line->name_len - 1;
    trim(&line->name, &line->name_len);
    trim(&line->value, &line->value_len);
    return true;
}

static bool is_named(const struct line *line, const char *name)
{
    return line->name_len == strlen(name) && strncasecmp(line->name, name, line->name_len) == 0;
}

/* ---- what they say ----------------------------------------------------------------------- */

static void take_agent(struct reader *reader, const struct line *line)
{
    if (reader->in_rules)
        reader->for_agent = reader->for_all = reader->in_rules = false;
    if (line->value_len > 0 && line->value[0] == '*' &&
        (line->value_len == 1 || is_blank(line->value[1]))) {
        reader->for_all = reader->all.named = true;
        return;
    }
    size_t len = 0; /* of the product token: a version may follow */
    while (len < line->value_len) {
        char c = line->value[len];
        char letter = (char)(c | 0x20);
        if (!(letter >= 'a' && letter <= 'z') && c != '-' && c != '_')
            break;
        len++;
    }
    if (len > 0 && len == strlen(reader->agent) &&
        strncasecmp(line->value, reader->agent, len) == 0)
        reader->for_agent = reader->robots->rules.named = true;
}

static int add(struct rules *rules, const struct rule *rule)
{
    if (rules->count == rules->capacity) {
        size_t capacity = rules->capacity ? rules->capacity * 2 : 16;
        struct rule *items = reallocarray(rules->items, capacity, sizeof *items);
        if (!items)
            return -ENOMEM;
        rules->items = items;
        rules->capacity = capacity;
    }
    rules->items[rules->count++] = *rule;
    return 0;
}

static int take_rule(struct reader *reader, const struct line *line, bool allows)
{
    reader->in_rules = true;
    if (line->value_len == 0 || (!reader->for_agent && !reader->for_all))
        return 0;
    char *text = weft_arena_alloc(&reader->robots->arena, 3 * line->value_len + 1);
    if (!text)
        return -ENOMEM;
    struct rule rule = {.pattern = text, .allows = allows};
    rule.len = weft_robots_normal(text, line->value, line->value_len, true);
    int err = reader->for_agent ? add(&reader->robots->rules, &rule) : 0;
    if (err == 0 && reader->for_all)
        err = add(&reader->all, &rule);
    return err;
}

/* A number of seconds, "0.5" as well; what is no number is nothing. */
static int64_t read_delay_ns(const struct line *line)
{
    double seconds = 0, unit = 1;
    bool digits = false, fraction = false;
    for (size_t i = 0; i < line->value_len; i++) {
        char c = line->value[i];
        if (c == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (c < '0' || c > '9')
            return -1;
        digits = true;
        if (fraction)
            unit /= 10;
        seconds = fraction ? seconds + unit * (c - '0') : seconds * 10 + (c - '0');
    }
    if (!digits)
        return -1;
    return seconds < 86400 ? (int64_t)(seconds * 1e9) : 86400 * WEFT_SEC;
}

static void take_delay(struct reader *reader, const struct line *line)
{
    int64_t delay_ns = read_delay_ns(line);
    reader->in_rules = true;
    if (delay_ns < 0)
        return;
    if (reader->for_agent)
        reader->robots->rules.delay_ns = delay_ns;
    if (reader->for_all)
        reader->all.delay_ns = delay_ns;
}

static int take_sitemap(struct weft_robots *robots, const struct line *line)
{
    if (line->value_len == 0 || robots->sitemaps_count == WEFT_ROBOTS_SITEMAPS_MAX)
        return 0;
    const char *copy = weft_arena_copy(&robots->arena, line->value, line->value_len);
    if (!copy)
        return -ENOMEM;
    robots->sitemaps[robots->sitemaps_count++] = copy;
    return 0;
}

static int take_line(struct reader *reader, const struct line *line)
{
    if (is_named(line, "user-agent"))
        take_agent(reader, line);
    else if (is_named(line, "allow"))
        return take_rule(reader, line, true);
    else if (is_named(line, "disallow"))
        return take_rule(reader, line, false);
    else if (is_named(line, "crawl-delay"))
        take_delay(reader, line);
    else if (is_named(line, "sitemap"))
        return take_sitemap(reader->robots, line);
    return 0;
}

static int read_all(struct reader *reader, const char *text, size_t len)
{
    int err = 0;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    while (len > 0 && err == 0) {
        struct line line;
        size_t end = 0;
        while (end < len && text[end] != '\n' && text[end] != '\r')
            end++;
        if (read_line(&line, text, end))
            err = take_line(reader, &line);
        if (end < len)
            end++;
        text += end;
        len -= end;
    }
    return err;
}

/* The longest first, so that the first match decides. */
static int compare(const void *left, const void *right)
{
    const struct rule *one = left, *other = right;
    if (one->len != other->len)
        return one->len > other->len ? -1 : 1;
    return (int)other->allows - (int)one->allows;
}

int weft_robots_parse(struct weft_robots **ret_robots, const char *text, size_t len,
                      const char *agent)
{
    struct weft_robots *robots = calloc(1, sizeof *robots);
    if (!robots)
        return -ENOMEM;
    robots->rules.delay_ns = -1;
    struct reader reader = {.robots = robots, .agent = agent, .all = {.delay_ns = -1}};
    int err = read_all(&reader, text, len < WEFT_ROBOTS_BYTES_MAX ? len : WEFT_ROBOTS_BYTES_MAX);
    if (!robots->rules.named) {
        struct rules none = robots->rules;
        robots->rules = reader.all;
        reader.all = none;
    }
    free(reader.all.items);
    if (err) {
        weft_robots_free(robots);
        return err;
    }
    if (robots->rules.count > 1)
        qsort(robots->rules.items, robots->rules.count, sizeof *robots->rules.items, compare);
    *ret_robots = robots;
    return 0;
}

void weft_robots_free(struct weft_robots *robots)
{
    if (!robots)
        return;
    weft_arena_deinit(&robots->arena);
    free(robots->rules.items);
    free(robots);
}

int weft_robots_allow(const struct weft_robots *robots, const char *path)
{
    int allows = 1;
    if (!robots || robots->rules.count == 0 || strcmp(path, "/robots.txt") == 0)
        return 1;
    size_t len = strlen(path);
    char *normal = malloc(3 * len + 1);
    if (!normal)
        return -ENOMEM;
    len = weft_robots_normal(normal, path, len, false);
    for (size_t i = 0; i < robots->rules.count; i++) {
        const struct rule *rule = &robots->rules.items[i];
        if (weft_robots_match(rule->pattern, rule->len, normal, len)) {
            allows = rule->allows;
            break;
        }
    }
    free(normal);
    return allows;
}

int64_t weft_robots_delay_ns(const struct weft_robots *robots)
{
    return robots ? robots->rules.delay_ns : -1;
}

const char *weft_robots_sitemap(const struct weft_robots *robots, size_t index)
{
    return robots && index < robots->sitemaps_count ? robots->sitemaps[index] : NULL;
}

size_t weft_robots_rules(const struct weft_robots *robots)
{
    return robots ? robots->rules.count : 0;
}
