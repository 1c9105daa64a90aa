/* SPDX-License-Identifier: MIT
 * breaker_state.c - see breaker_state.h. */
#include <flow/breaker_state.h>

#include <base/buffer.h>

#include <stdint.h>

#define CLOSED        WEFT_BREAKER_CLOSED
#define OPEN          WEFT_BREAKER_OPEN
#define HALF_OPEN     WEFT_BREAKER_HALF_OPEN
#define FORCED_OPEN   WEFT_BREAKER_FORCED_OPEN
#define FORCED_CLOSED WEFT_BREAKER_FORCED_CLOSED
#define DISABLED      WEFT_BREAKER_DISABLED

/* A pair nobody listed is 0: it changes nothing. */
// clang-format off
static const uint8_t breaker_next[WEFT_BREAKER_STATES][WEFT_BREAKER_EVENTS] = {
    [CLOSED] = {
        [WEFT_BREAKER_TRIP] = OPEN,
        [WEFT_BREAKER_RESET] = CLOSED,
        [WEFT_BREAKER_FORCE_OPEN] = FORCED_OPEN,
        [WEFT_BREAKER_FORCE_CLOSE] = FORCED_CLOSED,
        [WEFT_BREAKER_DISABLE] = DISABLED,
    },
    [OPEN] = {
        [WEFT_BREAKER_DUE] = HALF_OPEN,
        [WEFT_BREAKER_RESET] = CLOSED,
        [WEFT_BREAKER_FORCE_OPEN] = FORCED_OPEN,
        [WEFT_BREAKER_FORCE_CLOSE] = FORCED_CLOSED,
        [WEFT_BREAKER_DISABLE] = DISABLED,
    },
    [HALF_OPEN] = {
        [WEFT_BREAKER_RECOVER] = CLOSED,
        [WEFT_BREAKER_RELAPSE] = OPEN,
        [WEFT_BREAKER_OVERDUE] = OPEN,
        [WEFT_BREAKER_RESET] = CLOSED,
        [WEFT_BREAKER_FORCE_OPEN] = FORCED_OPEN,
        [WEFT_BREAKER_FORCE_CLOSE] = FORCED_CLOSED,
        [WEFT_BREAKER_DISABLE] = DISABLED,
    },
    [FORCED_OPEN] = {
        [WEFT_BREAKER_RESET] = CLOSED,
        [WEFT_BREAKER_FORCE_CLOSE] = FORCED_CLOSED,
        [WEFT_BREAKER_DISABLE] = DISABLED,
    },
    [FORCED_CLOSED] = {
        [WEFT_BREAKER_RESET] = CLOSED,
        [WEFT_BREAKER_FORCE_OPEN] = FORCED_OPEN,
        [WEFT_BREAKER_DISABLE] = DISABLED,
    },
    [DISABLED] = {
        [WEFT_BREAKER_RESET] = CLOSED,
        [WEFT_BREAKER_FORCE_OPEN] = FORCED_OPEN,
        [WEFT_BREAKER_FORCE_CLOSE] = FORCED_CLOSED,
    },
};

static const char *const state_names[WEFT_BREAKER_STATES] = {
    "none", "closed", "open", "half_open", "forced_open", "forced_closed", "disabled",
};

static const char *const event_names[WEFT_BREAKER_EVENTS] = {
    "none", "trip", "due", "recover", "relapse", "overdue", "reset", "force_open", "force_close",
    "disable",
};
// clang-format on

enum weft_breaker_state weft_breaker_next(enum weft_breaker_state state,
                                          enum weft_breaker_event_kind event)
{
    if ((unsigned)state >= WEFT_BREAKER_STATES || (unsigned)event >= WEFT_BREAKER_EVENTS)
        return (enum weft_breaker_state)0;
    return (enum weft_breaker_state)breaker_next[state][event];
}

const char *weft_breaker_state_name(enum weft_breaker_state state)
{
    return state_names[(unsigned)state < WEFT_BREAKER_STATES ? (unsigned)state : 0];
}

const char *weft_breaker_event_name(enum weft_breaker_event_kind kind)
{
    return event_names[(unsigned)kind < WEFT_BREAKER_EVENTS ? (unsigned)kind : 0];
}

static void print_diagram(struct weft_buffer *text)
{
    weft_buffer_append_string(text, "```mermaid\nstateDiagram-v2\n    [*] --> closed\n");
    for (int state = 1; state < WEFT_BREAKER_STATES; state++)
        for (int event = 1; event < WEFT_BREAKER_RESET; event++)
            if (breaker_next[state][event])
                weft_buffer_append_format(text, "    %s --> %s: %s\n", state_names[state],
                                          state_names[breaker_next[state][event]],
                                          event_names[event]);
    weft_buffer_append_string(text, "```\n");
}

void weft_breaker_print_table(struct weft_buffer *text)
{
    print_diagram(text);
    weft_buffer_append_string(text, "\n| in state |");
    for (int event = 1; event < WEFT_BREAKER_EVENTS; event++)
        weft_buffer_append_format(text, " %s |", event_names[event]);
    weft_buffer_append_string(text, "\n|---|");
    for (int event = 1; event < WEFT_BREAKER_EVENTS; event++)
        weft_buffer_append_string(text, "---|");
    weft_buffer_append_char(text, '\n');
    for (int state = 1; state < WEFT_BREAKER_STATES; state++) {
        weft_buffer_append_format(text, "| **%s** |", state_names[state]);
        for (int event = 1; event < WEFT_BREAKER_EVENTS; event++) {
            int next = breaker_next[state][event];
            weft_buffer_append_format(text, " %s |", next ? state_names[next] : "");
        }
        weft_buffer_append_char(text, '\n');
    }
}
