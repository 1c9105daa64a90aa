/* SPDX-License-Identifier: MIT
 * sink_tail.c - see sink_tail.h. */
#include "sink_tail.h"

static void feed_json(struct sink_json_tail *tail, char c)
{
    if (tail->in_string) {
        if (tail->escaped)
            tail->escaped = false;
        else if (c == '\\')
            tail->escaped = true;
        else if (c == '"')
            tail->in_string = false;
        return;
    }
    if (tail->ended && c != ' ' && c != '\r' && c != '\t')
        tail->garbage = true;
    if (c == '"') {
        tail->in_string = true;
    } else if (c == '{' || c == '[') {
        tail->depth++;
    } else if (c == '}' || c == ']') {
        tail->depth--;
        tail->ended = tail->depth <= 0;
    }
}

void weft_sink_json_tail_feed(struct sink_json_tail *tail, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (tail->bytes == 0)
            tail->garbage = bytes[i] != '{' && bytes[i] != '\0';
        tail->bytes++;
        feed_json(tail, bytes[i]);
    }
}

enum sink_tail_verdict weft_sink_json_tail_judge(const struct sink_json_tail *tail)
{
    if (tail->garbage)
        return SINK_TAIL_FOREIGN;
    return tail->bytes == 0 || tail->ended ? SINK_TAIL_WHOLE : SINK_TAIL_CUT;
}

/* Within a field of quotes a doubled quote leaves and enters again: only the balance counts. */
void weft_sink_csv_scan_feed(struct sink_csv_scan *scan, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        scan->bytes++;
        if (bytes[i] == '"')
            scan->in_quotes = !scan->in_quotes;
        else if (bytes[i] == '\n' && !scan->in_quotes)
            scan->whole_bytes = scan->bytes;
    }
}
