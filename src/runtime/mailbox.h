/* SPDX-License-Identifier: MIT
 * mailbox.h - how other threads reach a worker, and how it sleeps without missing them.
 *
 * Any thread puts mail in; only the owner takes it out, all at once, in the order of arrival.
 * The sender writes the mail and then looks whether the owner sleeps; the owner says that it
 * sleeps and then looks for mail. All four are sequentially consistent, so at least one of the
 * two sees the other: no wake-up is lost (tests/runtime/model.c tries the interleavings). */
#ifndef WEFT_RUNTIME_MAILBOX_H
#define WEFT_RUNTIME_MAILBOX_H

#include <weft/parts.h>

#include <stdbool.h>

/* The model test compiles this file with operations of its own, which it interleaves. */
#ifndef WEFT_MODEL
#define weft_mailbox_load(at)         __atomic_load_n(at, __ATOMIC_SEQ_CST)
#define weft_mailbox_store(at, value) __atomic_store_n(at, value, __ATOMIC_SEQ_CST)
#define weft_mailbox_swap(at, value)  __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST)
#define weft_mailbox_replace(at, expected, value)                                                  \
    __atomic_compare_exchange_n(at, expected, value, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
#define weft_mailbox_add(at, value) __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST)
#endif

/* All zero is an empty mailbox whose owner is awake. */
struct weft_mailbox {
    struct weft_mail *newest;
    int asleep;
    unsigned senders; /* threads inside put or about to wake the owner: they still touch this */
};

/* Wake the owner without mail, after something else that it looks at before it sleeps was changed.
 * Returns true when it is for this caller to wake it. */
static inline bool weft_mailbox_rouse(struct weft_mailbox *box)
{
    return weft_mailbox_load(&box->asleep) && weft_mailbox_swap(&box->asleep, 0);
}

/* Put mail in. Returns true when the owner sleeps and it is for this caller, and no other, to wake
 * it. Either way the call is followed by weft_mailbox_done: from the moment the mail is in, the
 * owner may act on it, and end. */
static inline bool weft_mailbox_put(struct weft_mailbox *box, struct weft_mail *mail)
{
    (void)weft_mailbox_add(&box->senders, 1u);
    struct weft_mail *newest = weft_mailbox_load(&box->newest);
    do {
        mail->next = newest;
    } while (!weft_mailbox_replace(&box->newest, &newest, mail));
    return weft_mailbox_rouse(box);
}

static inline void weft_mailbox_done(struct weft_mailbox *box)
{
    (void)weft_mailbox_add(&box->senders, -1u);
}

/* Whether somebody is still inside; the owner waits for that before it frees the mailbox. */
static inline bool weft_mailbox_busy(struct weft_mailbox *box)
{
    return weft_mailbox_load(&box->senders) > 0;
}

static inline bool weft_mailbox_empty(struct weft_mailbox *box)
{
    return weft_mailbox_load(&box->newest) == NULL;
}

/* The owner takes everything, oldest first; NULL when there is nothing. */
static inline struct weft_mail *weft_mailbox_take(struct weft_mailbox *box)
{
    struct weft_mail *newest = weft_mailbox_swap(&box->newest, NULL);
    struct weft_mail *oldest = NULL;
    while (newest) {
        struct weft_mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* The owner wants to sleep. Returns true when it may: whoever puts mail in from now on will wake
 * it. In every case weft_mailbox_rise comes before the next take. */
static inline bool weft_mailbox_doze(struct weft_mailbox *box)
{
    weft_mailbox_store(&box->asleep, 1);
    return weft_mailbox_empty(box);
}

static inline void weft_mailbox_rise(struct weft_mailbox *box)
{
    weft_mailbox_store(&box->asleep, 0);
}

#endif
