/* SPDX-License-Identifier: MIT
 * reach.c - see reach.h. */
#include <crawl/reach.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compile(regex_t **ret_list, size_t *ret_count, const char *const *patterns, size_t count,
                   char *error, size_t error_bytes)
{
    if (count == 0)
        return 0;
    regex_t *list = calloc(count, sizeof *list);
    if (!list)
        return -ENOMEM;
    *ret_list = list;
    for (size_t i = 0; i < count; i++) {
        int rc = regcomp(&list[i], patterns[i], REG_EXTENDED | REG_NOSUB);
        if (rc != 0) {
            char reason[128];
            (void)regerror(rc, &list[i], reason, sizeof reason);
            if (error_bytes > 0)
                (void)snprintf(error, error_bytes, "'%.100s' is no regular expression: %s",
                               patterns[i], reason);
            return rc == REG_ESPACE ? -ENOMEM : -EINVAL;
        }
        (*ret_count)++;
    }
    return 0;
}

int weft_reach_init(struct weft_reach *reach, const struct weft_crawl_options *options,
                    const char *const *seeds, size_t seeds_count, char *error, size_t error_bytes)
{
    *reach = (struct weft_reach){.scope = options->scope};
    reach->seeds = calloc(seeds_count ? seeds_count : 1, sizeof *reach->seeds);
    reach->texts = calloc(seeds_count ? seeds_count : 1, sizeof *reach->texts);
    if (!reach->seeds || !reach->texts)
        return -ENOMEM;
    for (size_t i = 0; i < seeds_count; i++) {
        char *copy = strdup(seeds[i]);
        if (!copy)
            return -ENOMEM;
        reach->texts[i] = copy;
        weft_url_read(&reach->seeds[i], copy);
        reach->seeds_count++;
    }
    int err = compile(&reach->includes, &reach->includes_count, options->include,
                      options->include_count, error, error_bytes);
    if (err == 0)
        err = compile(&reach->excludes, &reach->excludes_count, options->exclude,
                      options->exclude_count, error, error_bytes);
    return err;
}

static void release(regex_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        regfree(&list[i]);
    free(list);
}

void weft_reach_deinit(struct weft_reach *reach)
{
    for (size_t i = 0; i < reach->seeds_count; i++)
        free(reach->texts[i]);
    free(reach->texts);
    free(reach->seeds);
    release(reach->includes, reach->includes_count);
    release(reach->excludes, reach->excludes_count);
    *reach = (struct weft_reach){.seeds_count = 0};
}

/* The host without "www.". */
static void bare_host(const struct weft_url *url, const char **ret_host, size_t *ret_len)
{
    bool www = url->host_len > 4 && memcmp(url->host, "www.", 4) == 0;
    *ret_host = url->host + (www ? 4 : 0);
    *ret_len = url->host_len - (www ? 4 : 0);
}

/* Ports 80 and 443 are the two doors of one house. */
static bool same_port(uint16_t one, uint16_t other)
{
    return one == other || ((one == 80 || one == 443) && (other == 80 || other == 443));
}

static bool same_host(const struct weft_url *url, const struct weft_url *seed)
{
    const char *host, *wanted;
    size_t host_len, wanted_len;
    bare_host(url, &host, &host_len);
    bare_host(seed, &wanted, &wanted_len);
    return host_len == wanted_len && memcmp(host, wanted, host_len) == 0 &&
           same_port(url->port, seed->port);
}

static bool same_domain(const struct weft_url *url, const struct weft_url *seed)
{
    const char *wanted;
    size_t wanted_len;
    bare_host(seed, &wanted, &wanted_len);
    if (url->host_len < wanted_len ||
        memcmp(url->host + url->host_len - wanted_len, wanted, wanted_len) != 0)
        return false;
    if (url->host_len == wanted_len)
        return true;
    /* Below a name, not below a number or an address in brackets. */
    bool name = wanted[wanted_len - 1] >= 'a' && wanted[wanted_len - 1] <= 'z';
    return name && url->host[url->host_len - wanted_len - 1] == '.';
}

/* Below the directory of the seed. */
static bool has_prefix(const struct weft_url *url, const struct weft_url *seed)
{
    size_t directory = seed->path_len;
    while (seed->path[directory - 1] != '/')
        directory--;
    return same_host(url, seed) && url->path_len >= directory &&
           memcmp(url->path, seed->path, directory) == 0;
}

static bool matches(const struct weft_reach *reach, const struct weft_url *url,
                    const struct weft_url *seed)
{
    switch (reach->scope) {
    case WEFT_CRAWL_HOST:
        return same_host(url, seed);
    case WEFT_CRAWL_DOMAIN:
        return same_domain(url, seed);
    case WEFT_CRAWL_PREFIX:
        return has_prefix(url, seed);
    case WEFT_CRAWL_ANYWHERE:
        return true;
    }
    return false;
}

static bool any_matches(const regex_t *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (regexec(&list[i], text, 0, NULL, 0) == 0)
            return true;
    }
    return false;
}

bool weft_reach_has(const struct weft_reach *reach, const char *text)
{
    struct weft_url url;
    bool inside = reach->scope == WEFT_CRAWL_ANYWHERE, is_seed = false;
    weft_url_read(&url, text);
    for (size_t i = 0; i < reach->seeds_count && !is_seed; i++) {
        const struct weft_url *seed = &reach->seeds[i];
        is_seed = url.len == seed->len && memcmp(seed->text, text, url.len) == 0;
        inside = inside || matches(reach, &url, seed);
    }
    if (is_seed)
        return true;
    return inside && !any_matches(reach->excludes, reach->excludes_count, text) &&
           (reach->includes_count == 0 ||
            any_matches(reach->includes, reach->includes_count, text));
}
