/* SPDX-License-Identifier: MIT
 * debounce_table.c - prints the states of a debounce for docs/patterns/shared.md: every one that
 * can be reached, and what each event does there, by asking the core. */
#include <flow/debounce_core.h>

#include <weft/base.h>

#include <stdio.h>

/* One time unit is as good as another: the last call was at 4, so it is quiet at 8. */
#define LAST_CALL 4
#define WITHIN    5
#define FORCED    6
#define QUIET     8

enum state {
    CLOSED,
    OPEN,
    WANTED,
    CLOSED_DUE,
    OPEN_DUE,
    STATES
};

enum event {
    CALL,
    TURN,
    QUIET_TIME,
    MAX_TIME,
    CANCEL,
    FLUSH,
    EVENTS
};

static const char *const state_names[STATES] = {"closed", "open", "open, wanted", "closed, due",
                                                "open, due"};

struct kind {
    const char *name;
    struct weft_debounce_core core;
};

static const struct kind kinds[] = {
    {"trailing", {.wait_ns = QUIET - LAST_CALL, .trailing = true}},
    {"leading", {.wait_ns = QUIET - LAST_CALL, .leading = true}},
    {"both", {.wait_ns = QUIET - LAST_CALL, .leading = true, .trailing = true}},
    {"throttle", {.wait_ns = QUIET - LAST_CALL, .leading = true, .trailing = true, .spaced = true}},
};

static struct weft_debounce_core core_in(const struct kind *kind, enum state state)
{
    struct weft_debounce_core core = kind->core;
    core.wait_max_ns = WEFT_FOREVER;
    core.open = state == OPEN || state == WANTED || state == OPEN_DUE;
    core.wanted = state == WANTED;
    core.due = state == CLOSED_DUE || state == OPEN_DUE;
    core.quiet_from = LAST_CALL;
    return core;
}

static enum state state_of(const struct weft_debounce_core *core)
{
    if (core->due)
        return core->open ? OPEN_DUE : CLOSED_DUE;
    if (core->wanted)
        return WANTED;
    return core->open ? OPEN : CLOSED;
}

/* Returns whether fn runs. */
static bool happen(const struct kind *kind, enum state *state, enum event event)
{
    static const int64_t looks_at[EVENTS] = {
        [TURN] = WITHIN, [QUIET_TIME] = QUIET, [MAX_TIME] = FORCED};
    struct weft_debounce_core core = core_in(kind, *state);
    bool runs = false;
    if (event >= MAX_TIME && core.spaced)
        return false; /* a throttle has none of these */
    if (event == MAX_TIME)
        core.wait_max_ns = FORCED;
    if (event == CALL)
        weft_debounce_core_call(&core, WITHIN);
    else if (event == CANCEL)
        (void)weft_debounce_core_forget(&core);
    else if (event == FLUSH)
        core.due = weft_debounce_core_forget(&core);
    else
        runs = weft_debounce_core_take(&core, looks_at[event]);
    *state = state_of(&core);
    return runs;
}

static void print_row(const struct kind *kind, enum state state)
{
    printf("| %s | **%s** |", kind->name, state_names[state]);
    for (int event = 0; event < EVENTS; event++) {
        enum state next = state;
        bool runs = happen(kind, &next, (enum event)event);
        printf(" %s%s |", runs ? "*runs*, " : "", runs || next != state ? state_names[next] : "");
    }
    printf("\n");
}

/* Which states there are, as bits. */
static unsigned reachable(const struct kind *kind)
{
    unsigned seen = 1u << CLOSED, before = 0;
    while (seen != before) {
        before = seen;
        for (int state = 0; state < STATES; state++) {
            for (int event = 0; event < EVENTS; event++) {
                enum state next = (enum state)state;
                (void)happen(kind, &next, (enum event)event);
                if (before & (1u << state))
                    seen |= 1u << next;
            }
        }
    }
    return seen;
}

int main(void)
{
    printf("| edges | in state | call | turn | `wait_ns` | `wait_max_ns` | cancel | flush |\n");
    printf("|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        unsigned states = reachable(&kinds[i]);
        for (int state = 0; state < STATES; state++) {
            if (states & (1u << state))
                print_row(&kinds[i], (enum state)state);
        }
    }
    return 0;
}
