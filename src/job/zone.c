/* SPDX-License-Identifier: MIT
 * zone.c - see zone.h: what an open zone answers. */
#include <job/zone_internal.h>

static const struct weft_zone utc = {.name = "UTC", .rule_from_s = WEFT_ZONE_END_S};

static const struct weft_zone *zone_or_utc(const struct weft_zone *zone)
{
    return zone ? zone : &utc;
}

const char *weft_zone_name(const struct weft_zone *zone)
{
    return zone_or_utc(zone)->name;
}

static int64_t clamp(int64_t at_s, int64_t min, int64_t max)
{
    return at_s < min ? min : at_s > max ? max : at_s;
}

/* How many changes there were up to an instant. */
static size_t changes_until(const struct weft_zone *zone, int64_t at_s)
{
    size_t low = 0, high = zone->changes_len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at_s <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct weft_zone_span table_span(const struct weft_zone *zone, int64_t at_s)
{
    size_t next = changes_until(zone, at_s);
    struct weft_zone_span span = {WEFT_ZONE_BEGIN_S, WEFT_ZONE_END_S, zone->first_offset_s};
    if (next > 0) {
        span.start_s = zone->changes[next - 1].at_s;
        span.offset_s = zone->changes[next - 1].offset_s;
    }
    if (next < zone->changes_len)
        span.end_s = zone->changes[next].at_s;
    else if (zone->has_rule)
        span.end_s = zone->rule_from_s;
    return span;
}

struct weft_zone_span weft_zone_span(const struct weft_zone *zone, int64_t at_s)
{
    zone = zone_or_utc(zone);
    at_s = clamp(at_s, WEFT_ZONE_BEGIN_S, WEFT_ZONE_END_S - 1);
    if (!zone->has_rule || at_s < zone->rule_from_s)
        return table_span(zone, at_s);
    struct weft_zone_span span = weft_zone_rule_span(&zone->rule, at_s);
    span.start_s = clamp(span.start_s, zone->rule_from_s, at_s);
    span.end_s = clamp(span.end_s, at_s + 1, WEFT_ZONE_END_S);
    return span;
}

int32_t weft_zone_offset(const struct weft_zone *zone, int64_t at_s)
{
    return weft_zone_span(zone, at_s).offset_s;
}

/* Clocks show it when no offset takes them more than a day away from it: look at all spans then. */
struct weft_zone_instants weft_zone_instants(const struct weft_zone *zone, int64_t local_s)
{
    struct weft_zone_instants instants = {.fit = WEFT_ZONE_SKIPPED};
    bool passed = false;
    local_s = clamp(local_s, WEFT_ZONE_BEGIN_S + WEFT_ZONE_SPREAD_S,
                    WEFT_ZONE_END_S - WEFT_ZONE_SPREAD_S);
    int64_t at_s = local_s - WEFT_ZONE_OFFSET_MAX_S;
    while (at_s <= local_s - WEFT_ZONE_OFFSET_MIN_S) {
        struct weft_zone_span span = weft_zone_span(zone, at_s);
        int64_t shown_s = local_s - span.offset_s;
        if (shown_s >= span.start_s && shown_s < span.end_s) {
            if (instants.fit == WEFT_ZONE_SKIPPED)
                instants.first_s = shown_s;
            instants.fit = instants.fit == WEFT_ZONE_SKIPPED ? WEFT_ZONE_ONCE : WEFT_ZONE_TWICE;
            instants.last_s = shown_s;
        } else if (shown_s < span.start_s && instants.fit == WEFT_ZONE_SKIPPED && !passed) {
            instants.first_s = instants.last_s = span.start_s;
            passed = true;
        }
        at_s = span.end_s;
    }
    return instants;
}
