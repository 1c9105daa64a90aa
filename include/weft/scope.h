/* SPDX-License-Identifier: MIT
 * scope.h - deadlines and cancellation for everything between two lines of code.
 *
 * A scope is entered and left by one fiber; scopes nest. When one is cancelled, every wait inside
 * it, in this fiber and in the groups opened inside, ends with -ECANCELED, and so does every later
 * wait: cancellation is a level, not an event. -ECANCELED means the operation did not happen.
 * A shielded scope lets no outer cancellation in; its own deadline still counts.
 *
 *     struct weft_scope scope;
 *     weft_scope_enter(&scope, weft_now() + 2 * WEFT_SEC, 0);
 *     int err = talk_to_server();             // -ECANCELED inside when the 2 s are over
 *     err = weft_scope_leave(&scope, err);    // ... and -ETIMEDOUT here */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/parts.h>

WEFT_BEGIN_DECLS

/* Flags of weft_scope_enter. */
#define WEFT_SCOPE_SHIELD  1u /* outer cancellation stays outside */
#define WEFT_SCOPE_MOVE_ON 2u /* leaving a scope that timed out or was cancelled gives 0 */

/* Storage is the caller's, the fields are private. */
struct weft_scope {
    struct weft_scope *parent;
    struct weft_link sibling;  /* in parent->children */
    struct weft_link children; /* scopes directly inside */
    struct weft_link waiting;  /* fibers whose innermost scope is this one and that wait */
    struct weft_link remotes;  /* tasks inside that run on other workers */
    struct weft_timer timer;
    struct weft_worker *home;
    struct weft_mail mail; /* a cancellation by another thread, on its way */
    int mailed_reason;
    unsigned mailed;
    unsigned flags;
    int abroad; /* 1: part of a task's record, the scopes around it are on another worker */
    int cause;  /* how it was cancelled, 0 when it was not */
    int reason; /* what weft_cancel_reason says inside */
};

/* Enter a scope. Until weft_scope_leave the calling fiber's waits belong to it.
 *
 * deadline_ns  absolute; WEFT_FOREVER for none. A deadline that is over cancels at once
 * Returns      nothing; a call outside a runtime, or with flags that are not listed above, aborts
 * Ownership    *scope is the caller's and must not move or end before weft_scope_leave
 * Never suspends */
WEFT_API void weft_scope_enter(struct weft_scope *scope, int64_t deadline_ns, unsigned flags);

/* Leave the innermost scope, which must be this one.
 *
 * result   what the work inside came to; handed through unless it is -ECANCELED *and* this scope,
 *          not an outer one, was the cause
 * Returns  result; -ETIMEDOUT where this scope's deadline caused -ECANCELED; -ECANCELED where
 *          weft_scope_cancel or an outer scope did; with WEFT_SCOPE_MOVE_ON 0 in place of
 *          either, unless an outer scope that is not shielded from it is cancelled as well
 * Never suspends */
WEFT_API int weft_scope_leave(struct weft_scope *scope, int result);

/* Cancel everything inside the scope. Idempotent, not an error.
 *
 * reason   what weft_cancel_reason says inside, negative; 0 means -ECANCELED. The first one stays
 * Threads  any thread that knows the scope is still open. Never suspends */
WEFT_API void weft_scope_cancel(struct weft_scope *scope, int reason);

/* Move the scope's deadline; it does not undo a cancellation. From the scope's own thread. */
WEFT_API void weft_scope_set_deadline(struct weft_scope *scope, int64_t deadline_ns);

/* Why the calling fiber is cancelled: 0 when it is not, -ETIMEDOUT by a deadline, else the reason
 * given to weft_scope_cancel or weft_group_cancel; in a group that fails fast, the first failure.
 */
WEFT_API int weft_cancel_reason(void);

/* The earliest deadline that can cancel the calling fiber; WEFT_FOREVER when there is none. */
WEFT_API int64_t weft_deadline(void);

/* Run fn(arg) inside a scope that ends after timeout_ns.
 * Returns  fn's result, or -ETIMEDOUT where the time cut it short. -EPERM outside a runtime */
WEFT_API int weft_timeout(int64_t timeout_ns, int (*fn)(void *), void *arg);

/* Run fn(arg) shielded: a cancellation from outside is noticed only after it. For the clean-up that
 * has to wait; give it a deadline of its own (weft_timeout inside).
 * Returns  fn's result. -EPERM outside a runtime */
WEFT_API int weft_shield(int (*fn)(void *), void *arg);

WEFT_END_DECLS

#endif
