/* SPDX-License-Identifier: MIT
 * explorer.c - see explorer.h. */
#include "explorer.h"

#include <os/context.h>

#include <stdlib.h>

#define STEPS_MAX   256
#define STACK_BYTES ((size_t)32 << 10)

struct thread {
    struct weft_context context;
    void (*run)(void);
    const unsigned *waits_for, *waits_for_zero;
    bool ended;
};

static struct {
    const struct explorer_scenario *scenario;
    struct weft_context main;
    struct thread threads[EXPLORER_THREADS_MAX];
    int threads_len, current;
    unsigned preemptions, steps;
    struct {
        unsigned char chosen, left; /* which of the choices, and how many come after it */
    } path[STEPS_MAX];
    unsigned path_len;
    char *stacks;
} now;

static void thread_main(void *arg)
{
    struct thread *thread = arg;
    weft_sanitizer_arrive(&thread->context.sanitizer);
    thread->run();
    thread->ended = true;
    weft_context_switch(&thread->context, &now.main, false);
    abort(); /* an ended thread was chosen */
}

void explorer_step(void)
{
    struct thread *self = &now.threads[now.current];
    weft_context_switch(&self->context, &now.main, false);
}

void explorer_wait(const unsigned *flag)
{
    now.threads[now.current].waits_for = flag;
    explorer_step();
    now.threads[now.current].waits_for = NULL;
}

void explorer_wait_zero(const unsigned *count)
{
    now.threads[now.current].waits_for_zero = count;
    explorer_step();
    now.threads[now.current].waits_for_zero = NULL;
}

static bool runnable(int index)
{
    const struct thread *thread = &now.threads[index];
    return !thread->ended && (!thread->waits_for || *thread->waits_for) &&
           (!thread->waits_for_zero || !*thread->waits_for_zero);
}

/* Who may take the next step: the thread that took the last one first, the others at the price of
 * a preemption if it could go on. */
static int list_choices(int *choices)
{
    int len = 0;
    bool goes_on = now.current >= 0 && runnable(now.current);
    if (goes_on)
        choices[len++] = now.current;
    if (goes_on && now.preemptions == now.scenario->preemptions_max)
        return len;
    for (int i = 0; i < now.threads_len; i++) {
        if (i != now.current && runnable(i))
            choices[len++] = i;
    }
    return len;
}

/* Follow the path as far as it goes, and the first choice from there. */
static int choose(const int *choices, int len)
{
    if (now.steps == STEPS_MAX)
        abort(); /* a scenario too long, or one that never ends */
    if (now.steps == now.path_len) {
        now.path[now.path_len].chosen = 0;
        now.path[now.path_len++].left = (unsigned char)(len - 1);
    }
    int chosen = choices[now.path[now.steps++].chosen];
    if (now.current >= 0 && chosen != now.current && runnable(now.current))
        now.preemptions++;
    return chosen;
}

static void run_once(void)
{
    int choices[EXPLORER_THREADS_MAX], len;
    now.scenario->reset();
    now.current = -1;
    now.preemptions = now.steps = 0;
    for (int i = 0; i < now.threads_len; i++) {
        struct thread *thread = &now.threads[i];
        *thread = (struct thread){.run = now.scenario->threads[i]};
        weft_context_init(&thread->context, now.stacks + (size_t)i * STACK_BYTES, STACK_BYTES,
                          thread_main, thread);
    }
    while ((len = list_choices(choices)) > 0) {
        now.current = choose(choices, len);
        weft_context_switch(&now.main, &now.threads[now.current].context, false);
    }
    for (int i = 0; i < now.threads_len; i++)
        weft_sanitizer_bury(&now.threads[i].context.sanitizer, NULL);
}

/* The next path, depth first. False: that was the last. */
static bool next_path(void)
{
    while (now.path_len > 0 && now.path[now.path_len - 1].left == 0)
        now.path_len--;
    if (now.path_len == 0)
        return false;
    now.path[now.path_len - 1].chosen++;
    now.path[now.path_len - 1].left--;
    return true;
}

uint64_t explorer_run(const struct explorer_scenario *scenario)
{
    uint64_t runs = 0;
    bool holds = true;
    now.scenario = scenario;
    now.path_len = 0;
    for (now.threads_len = 0; now.threads_len < EXPLORER_THREADS_MAX; now.threads_len++) {
        if (!scenario->threads[now.threads_len])
            break;
    }
    now.stacks = aligned_alloc(64, EXPLORER_THREADS_MAX * STACK_BYTES);
    if (!now.stacks)
        abort();
    weft_context_init_thread(&now.main);
    do {
        run_once();
        runs++;
        holds = scenario->holds();
    } while (holds && next_path());
    free(now.stacks);
    return holds ? runs : 0;
}
