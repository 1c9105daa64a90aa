/* SPDX-License-Identifier: MIT
 * url_query.c - parameters of URLs: some are left out, the others put in order. See url.h. */
#include <crawl/url.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whether a parameter, "name" or "name=value", is one of those the rules drop. */
static bool is_dropped(const char *parameter, size_t len, const struct weft_url_rules *rules)
{
    const char *equals = memchr(parameter, '=', len);
    size_t name_len = equals ? (size_t)(equals - parameter) : len;
    for (size_t i = 0; i < rules->drops_count; i++) {
        const char *drop = rules->drops[i];
        size_t drop_len = strlen(drop);
        bool prefix = drop_len > 0 && drop[drop_len - 1] == '*';
        if (prefix)
            drop_len--;
        if ((prefix ? name_len >= drop_len : name_len == drop_len) &&
            strncasecmp(parameter, drop, drop_len) == 0)
            return true;
    }
    return false;
}

size_t weft_url_drop_parameters(char *query, size_t len, const struct weft_url_rules *rules)
{
    size_t used = 0;
    bool first = true;
    if (rules->drops_count == 0)
        return len;
    for (size_t at = 0; at <= len;) {
        const char *mark = at < len ? memchr(query + at, '&', len - at) : NULL;
        size_t end = mark ? (size_t)(mark - query) : len;
        if (!is_dropped(query + at, end - at, rules)) {
            if (!first)
                query[used++] = '&';
            first = false;
            memmove(query + used, query + at, end - at);
            used += end - at;
        }
        at = end + 1;
    }
    return used;
}

size_t weft_url_drop_path_parameters(char *path, size_t len, const struct weft_url_rules *rules)
{
    size_t used = 0;
    if (rules->drops_count == 0)
        return len;
    for (size_t at = 0; at < len;) { /* what stands before the first mark is kept */
        size_t end = at + 1;
        while (end < len && path[end] != ';' && path[end] != '/')
            end++;
        if (path[at] != ';' || !is_dropped(path + at + 1, end - at - 1, rules)) {
            memmove(path + used, path + at, end - at);
            used += end - at;
        }
        at = end;
    }
    return used;
}

struct parameter {
    const char *at;
    size_t len;
};

static int compare(const void *left, const void *right)
{
    const struct parameter *one = left, *other = right;
    size_t shorter = one->len < other->len ? one->len : other->len;
    int order = memcmp(one->at, other->at, shorter);
    if (order)
        return order;
    return (one->len > other->len) - (one->len < other->len);
}

int weft_url_sort_parameters(char *query, size_t len)
{
    size_t count = 1, used = 0;
    for (size_t i = 0; i < len; i++)
        count += query[i] == '&';
    if (count == 1)
        return 0;
    char *copy = malloc(len);
    struct parameter *parameters = calloc(count, sizeof *parameters);
    if (!copy || !parameters) {
        free(parameters);
        free(copy);
        return -ENOMEM;
    }
    memcpy(copy, query, len);
    for (size_t i = 0, at = 0; i < count; i++) {
        const char *mark = at < len ? memchr(copy + at, '&', len - at) : NULL;
        size_t end = mark ? (size_t)(mark - copy) : len;
        parameters[i] = (struct parameter){copy + at, end - at};
        at = end + 1;
    }
    qsort(parameters, count, sizeof *parameters, compare);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            query[used++] = '&';
        memcpy(query + used, parameters[i].at, parameters[i].len);
        used += parameters[i].len;
    }
    free(parameters);
    free(copy);
    return 0;
}
