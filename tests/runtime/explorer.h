/* SPDX-License-Identifier: MIT
 * explorer.h - runs a few small threads in every order of their steps.
 *
 * The threads are functions on stacks of their own; each calls explorer_step before every
 * operation on shared memory. The explorer runs the scenario again and again, depth first through
 * all choices of who takes the next step, with at most preemptions_max switches away from a thread
 * that could have gone on. Memory is sequentially consistent, as are the operations it is meant
 * for. Source: Musuvathi and Qadeer, "Iterative Context Bounding", PLDI 2007. */
#ifndef WEFT_TESTS_EXPLORER_H
#define WEFT_TESTS_EXPLORER_H

#include <stdbool.h>
#include <stdint.h>

#define EXPLORER_THREADS_MAX 4

struct explorer_scenario {
    void (*reset)(void);                         /* before each run */
    void (*threads[EXPLORER_THREADS_MAX])(void); /* NULL after the last */
    bool (*holds)(void);                         /* after each run, when no thread can go on */
    unsigned preemptions_max;
};

/* Returns the number of runs; 0 when the scenario did not hold in one of them. */
uint64_t explorer_run(const struct explorer_scenario *scenario);

/* A point where another thread may go on. */
void explorer_step(void);

/* Not runnable until *flag is not 0. A thread that waits when no other can go on waits for ever:
 * that ends the run, and holds() can tell by what is missing. */
void explorer_wait(const unsigned *flag);

/* The same until *count is 0; what a loop with sched_yield comes to. */
void explorer_wait_zero(const unsigned *count);

#endif
