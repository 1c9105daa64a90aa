/* SPDX-License-Identifier: MIT
 * handler.h - signal handlers that several runtimes share, and that go when the last one ends. */
#ifndef WEFT_OS_HANDLER_H
#define WEFT_OS_HANDLER_H

#include <signal.h>
#include <stdbool.h>

/* Handle a signal, on the alternate stack where a thread has one. At most 8 different signals; a
 * signal has one handler, however often it is installed.
 *
 * polite   only where the program has not installed anything itself
 * Returns  0, -EBUSY (polite, and the program uses it), -EINVAL, -EAGAIN (too many signals) */
int weft_handler_install(int number, void (*handle)(int, siginfo_t *, void *), bool polite);

/* Undo one install; the last one restores what was there, unless that was replaced since. */
void weft_handler_remove(int number);

/* In a handler: hand the signal on to what was there before. A fault for which that was the default
 * action happens again when the handler returns, and ends the process. */
void weft_handler_pass_on(int number, siginfo_t *info, void *context);

/* In a child of fork(): another thread may have been inside here. */
void weft_handler_forked(void);

/* Keep signals from the threads that are started until weft_signals_restore: they are for the
 * program's own. Not those that a thread raises by its own fault. */
void weft_signals_hold(sigset_t *ret_before);
void weft_signals_restore(const sigset_t *before);

#endif
