/* SPDX-License-Identifier: MIT
 * wake.c - see wake.h. */
#include <job/wake.h>

int weft_wake_init(struct weft_wake *wake)
{
    return weft_channel_init(&wake->channel, 1, 1);
}

void weft_wake_deinit(struct weft_wake *wake)
{
    weft_channel_deinit(&wake->channel);
}

void weft_wake_post(struct weft_wake *wake)
{
    if (wake->channel.count > 0)
        return;
    /* Sending is a checkpoint, and a cancelled job has to tell of its end nevertheless. */
    struct weft_scope shield;
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    (void)weft_send(&wake->channel, "", WEFT_NOWAIT);
    (void)weft_scope_leave(&shield, 0);
}

int weft_wake_wait(struct weft_wake *wake, int64_t deadline_ns)
{
    char token;
    return weft_receive(&wake->channel, &token, deadline_ns);
}
