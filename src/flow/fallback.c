/* SPDX-License-Identifier: MIT
 * fallback.c - see weft/fallback.h. */
#include <flow/pattern.h>

#include <weft/fallback.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdbool.h>

static int check(const struct weft_fallback_options *options, char name[WEFT_NAME_MAX + 1])
{
    if (!options || (!options->cache && !options->fallback))
        return -EINVAL;
    if (options->cache && (!options->key || options->key_bytes == 0 || !options->value))
        return -EINVAL;
    return weft_pattern_name(name, options->name, "fallback");
}

static bool applies(const struct weft_fallback_options *options, int result)
{
    if (result == -ECANCELED)
        return false;
    return options->applies ? options->applies(options->applies_arg, result) != 0 : result < 0;
}

static void count(struct weft_fallback_stats *stats, const struct weft_fallback_event *event,
                  bool replaced)
{
    if (!stats)
        return;
    weft_pattern_count(&stats->calls, 1);
    if (event->kind == WEFT_FALLBACK_CACHED)
        weft_pattern_count(&stats->cached, 1);
    else if (event->kind == WEFT_FALLBACK_RUN)
        weft_pattern_count(&stats->run, 1);
    if (replaced && event->result < 0)
        weft_pattern_count(&stats->failed, 1);
}

/* A result that is kept is the length of the value. */
static void keep(const struct weft_fallback_options *options, int result)
{
    if (options->cache && result >= 0 && (size_t)result <= options->value_bytes)
        (void)weft_cache_put(options->cache, options->key, options->key_bytes, options->value,
                             (size_t)result);
}

/* What there is in place of a failure, and who was asked for it last. */
static struct weft_fallback_event replace(const struct weft_fallback_options *options, int failure)
{
    struct weft_fallback_event event = {.failure = failure, .result = -ENOENT};
    if (options->cache) {
        event.kind = WEFT_FALLBACK_CACHED;
        event.result = weft_cache_get_stale(options->cache, options->key, options->key_bytes,
                                            options->value, options->value_bytes);
    }
    if (event.result < 0 && options->fallback) {
        event.kind = WEFT_FALLBACK_RUN;
        event.result = options->fallback(options->fallback_arg, failure);
    } else if (event.result < 0) {
        event = (struct weft_fallback_event){.result = failure};
    }
    return event;
}

int weft_fallback(const struct weft_fallback_options *options, int (*fn)(void *), void *arg)
{
    char name[WEFT_NAME_MAX + 1];
    int err = check(options, name);
    if (err < 0)
        return err;
    int result = fn(arg);
    bool replaced = applies(options, result);
    struct weft_fallback_event event = {.result = result};
    if (replaced)
        event = replace(options, result);
    else
        keep(options, result);
    count(options->stats, &event, replaced);
    if (event.kind && options->on_event) {
        event.name = name;
        event.at_ns = weft_now();
        options->on_event(options->on_event_arg, &event);
    }
    return event.result;
}
