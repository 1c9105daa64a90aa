/* SPDX-License-Identifier: MIT
 * zone.c - files of time zones from arbitrary bytes: no crash, and what is accepted has spans that
 * follow each other and local times that are shown when it says so.
 *
 * The first eight bytes of the input are a time. */
#include <job/zone.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static int64_t clamp(int64_t at_s, int64_t margin_s)
{
    int64_t min_s = WEFT_ZONE_BEGIN_S + margin_s, max_s = WEFT_ZONE_END_S - 1 - margin_s;
    return at_s < min_s ? min_s : at_s > max_s ? max_s : at_s;
}

static void check_spans(const struct weft_zone *zone, int64_t at_s)
{
    at_s = clamp(at_s, 0);
    struct weft_zone_span span = weft_zone_span(zone, at_s);
    check(span.start_s <= at_s && at_s < span.end_s);
    for (int i = 0; i < 50 && span.end_s < WEFT_ZONE_END_S; i++) {
        struct weft_zone_span next = weft_zone_span(zone, span.end_s);
        struct weft_zone_span last = weft_zone_span(zone, next.end_s - 1);
        check(next.start_s == span.end_s && next.end_s > next.start_s);
        check(last.start_s == next.start_s && last.offset_s == next.offset_s);
        check(next.offset_s >= WEFT_ZONE_OFFSET_MIN_S && next.offset_s <= WEFT_ZONE_OFFSET_MAX_S);
        span = next;
    }
}

static void check_local(const struct weft_zone *zone, int64_t local_s)
{
    local_s = clamp(local_s, WEFT_ZONE_SPREAD_S);
    struct weft_zone_instants instants = weft_zone_instants(zone, local_s);
    int64_t first_s = instants.first_s, last_s = instants.last_s;
    if (instants.fit == WEFT_ZONE_SKIPPED) {
        check(first_s == last_s);
        check(first_s - 1 + weft_zone_offset(zone, first_s - 1) < local_s);
        check(first_s + weft_zone_offset(zone, first_s) > local_s);
    } else {
        check(first_s + weft_zone_offset(zone, first_s) == local_s);
        check(last_s + weft_zone_offset(zone, last_s) == local_s);
        check((instants.fit == WEFT_ZONE_TWICE) == (first_s < last_s));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_zone *zone = NULL;
    int64_t at_s;
    if (size < sizeof at_s)
        return 0;
    memcpy(&at_s, data, sizeof at_s);
    size -= sizeof at_s;
    uint8_t *file = malloc(size > 0 ? size : 1); /* of exactly its size */
    check(file != NULL);
    if (size > 0)
        memcpy(file, data + sizeof at_s, size);
    int err = weft_zone_parse(&zone, "fuzz", file, size);
    free(file);
    check(err == 0 || err == -EBADMSG || err == -ENOTSUP || err == -EFBIG);
    check((err == 0) == (zone != NULL));
    if (err < 0)
        return 0;
    check_spans(zone, at_s);
    check_local(zone, at_s);
    struct weft_zone_span span = weft_zone_span(zone, at_s);
    check_local(zone, clamp(span.end_s, WEFT_ZONE_SPREAD_S) + span.offset_s);
    weft_zone_close(zone);
    return 0;
}
