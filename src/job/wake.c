/* SPDX-License-Identifier: MIT
 * wake.c - see wake.h. */
#include <job/wake.h>

int weft_wake_init(struct weft_wake *wake)
{
    return weft_event_init(&wake->event, WEFT_LOCAL);
}

void weft_wake_deinit(struct weft_wake *wake)
{
    *wake = (struct weft_wake){0};
}

void weft_wake_post(struct weft_wake *wake)
{
    (void)weft_event_set(&wake->event);
}

void weft_wake_clear(struct weft_wake *wake)
{
    (void)weft_event_clear(&wake->event);
}

int weft_wake_wait(struct weft_wake *wake, int64_t deadline_ns)
{
    int err = weft_event_wait(&wake->event, deadline_ns);
    if (err == 0)
        weft_wake_clear(wake);
    return err;
}
