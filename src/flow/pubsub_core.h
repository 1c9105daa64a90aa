/* SPDX-License-Identifier: MIT
 * pubsub_core.h - topics and the patterns that match them; the rules are in weft/pubsub.h. */
#ifndef WEFT_FLOW_PUBSUB_CORE_H
#define WEFT_FLOW_PUBSUB_CORE_H

#include <stdbool.h>

enum weft_topic_kind {
    WEFT_TOPIC_WRONG,
    WEFT_TOPIC_EXACT,
    WEFT_TOPIC_PATTERN, /* with wildcards */
};

/* What a text is; NULL is wrong. */
enum weft_topic_kind weft_topic_kind(const char *text);

/* Whether a pattern, or a topic, matches a topic. Both have been found right. */
bool weft_topic_matches(const char *pattern, const char *topic);

#endif
