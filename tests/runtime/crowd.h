/* SPDX-License-Identifier: MIT
 * crowd.h - many fibers on several workers, and threads outside, that all do the same at once. */
#ifndef WEFT_TESTS_RUNTIME_CROWD_H
#define WEFT_TESTS_RUNTIME_CROWD_H

#include <weft/runtime.h>

#include <stdatomic.h>

struct crowd {
    unsigned workers, fibers, threads;      /* threads: outside the runtime */
    void (*run)(void *arg, unsigned index); /* index: fibers first, spread over the workers */
    void *arg;
};

/* Run all of them, and wait. A failure fails the running test. */
void crowd_run(const struct crowd *crowd);

/* Call fn(arg) on a thread of its own, outside any runtime, and return its result. */
int on_a_thread(int (*fn)(void *), void *arg);

/* A cheap random number; *state starts with anything but 0. */
unsigned crowd_random(unsigned *state);

#endif
