/* SPDX-License-Identifier: MIT
 * zone_internal.h - what a zone is made of: zone_file.c fills it in, zone.c answers from it. */
#ifndef WEFT_JOB_ZONE_INTERNAL_H
#define WEFT_JOB_ZONE_INTERNAL_H

#include <job/zone.h>
#include <job/zone_rule.h>

#include <stdbool.h>

struct weft_zone_change {
    int64_t at_s;
    int32_t offset_s; /* from then on */
};

struct weft_zone {
    char name[WEFT_ZONE_NAME_MAX + 1];
    int32_t first_offset_s; /* before the first change */
    bool has_rule;
    struct weft_zone_rule rule; /* from rule_from_s on, where the table of the file ends */
    int64_t rule_from_s;
    size_t changes_len;
    struct weft_zone_change changes[]; /* ascending, within WEFT_ZONE_BEGIN_S and _END_S */
};

#endif
