/* SPDX-License-Identifier: MIT
 * breaker_state.h - a circuit breaker's states as one table: in which state which event leads
 * where.
 *
 * The picture and the table of docs/patterns/breaker.md are printed from it, and a test compares.
 */
#ifndef WEFT_FLOW_BREAKER_STATE_H
#define WEFT_FLOW_BREAKER_STATE_H

#include <weft/breaker.h>

struct weft_buffer;

/* The state that follows; 0 when the event changes nothing there. Any argument is allowed. */
enum weft_breaker_state weft_breaker_next(enum weft_breaker_state state,
                                          enum weft_breaker_event_kind event);

/* Append the table as Markdown: a Mermaid state diagram of what happens by itself, and all of it as
 * a table. Failure shows in text->err. */
void weft_breaker_print_table(struct weft_buffer *text);

#endif
