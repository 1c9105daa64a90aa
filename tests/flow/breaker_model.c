/* SPDX-License-Identifier: MIT
 * breaker_model.c - every sequence of up to ten events, against a model of the breaker that keeps
 * all calls in a list and counts them anew each time. It knows the header, not the code. */
#include "test.h"

#include <flow/breaker_core.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEPTH      10
#define WINDOW_MAX 8
#define NONE       99u

/* What all sequences below are run with; one of the two windows is added. */
#define CALLS_MIN     3u
#define FAILURE_SHARE 0.5
#define SLOW_SHARE    0.75
#define IN_A_ROW      4u
#define SLOW_NS       5
#define OPEN_NS       10
#define OPEN_MAX_NS   40
#define OVERDUE_NS    25
#define STEP_NS       10 /* time that passes */

struct recorded {
    int64_t at_ns;
    bool failed, slow;
};

struct ticket {
    unsigned generation;
    int64_t entered_at_ns;
};

struct model {
    enum weft_breaker_state state;
    unsigned generation;
    struct recorded calls[DEPTH]; /* all since it last closed */
    unsigned calls_len;
    int64_t opened_at_ns, open_ns, grown_ns, probing_since_ns;
    unsigned probes, successes;
    bool refused; /* what the last enter said */
};

/* Everything there is: the breaker, its model, and the permits that are out. Copied at every step,
 * up to what the breaker has not told. */
struct world {
    int64_t now_ns;
    struct model model;
    struct ticket tickets[DEPTH];
    struct weft_breaker_permit permits[DEPTH];
    unsigned out;
    union {
        uint8_t outcomes[WINDOW_MAX];
        struct weft_breaker_tally buckets[WINDOW_MAX];
    } window;
    struct weft_breaker_core core;
};
#define WORLD_BYTES (offsetof(struct world, core) + offsetof(struct weft_breaker_core, events))

static struct {
    const char *letters;
    char sequence[DEPTH + 1];
    uint64_t steps;
    unsigned probes_max, successes_min;
    unsigned window_calls, window_parts; /* one of them is 0 */
    int64_t part_ns;
} run;

/* ---- the model --------------------------------------------------------------------------- */

static void model_change(struct model *model, enum weft_breaker_state state, int64_t now_ns)
{
    model->state = state;
    model->generation++;
    model->probes = model->successes = 0;
    if (state == WEFT_BREAKER_OPEN) {
        model->opened_at_ns = now_ns;
        model->open_ns = model->grown_ns;
        model->grown_ns = model->grown_ns * 2 > OPEN_MAX_NS ? OPEN_MAX_NS : model->grown_ns * 2;
    }
    if (state == WEFT_BREAKER_CLOSED || state == WEFT_BREAKER_FORCED_CLOSED ||
        state == WEFT_BREAKER_DISABLED) {
        model->calls_len = 0;
        model->grown_ns = OPEN_NS;
    }
}

static bool in_window(const struct model *model, unsigned i, int64_t now_ns)
{
    if (run.window_calls)
        return i + run.window_calls >= model->calls_len;
    return now_ns / run.part_ns - model->calls[i].at_ns / run.part_ns < (int64_t)run.window_parts;
}

static bool model_too_bad(const struct model *model, int64_t now_ns)
{
    unsigned calls = 0, failures = 0, slow = 0, row = 0;
    for (unsigned i = 0; i < model->calls_len; i++) {
        row = model->calls[i].failed ? row + 1 : 0;
        if (!in_window(model, i, now_ns))
            continue;
        calls++;
        failures += model->calls[i].failed;
        slow += model->calls[i].slow;
    }
    return row >= IN_A_ROW || (calls >= CALLS_MIN &&
                               (failures >= FAILURE_SHARE * calls || slow >= SLOW_SHARE * calls));
}

static void model_tick(struct model *model, int64_t now_ns)
{
    if (model->state == WEFT_BREAKER_HALF_OPEN && model->probes > 0 &&
        now_ns - model->probing_since_ns >= OVERDUE_NS)
        model_change(model, WEFT_BREAKER_OPEN, now_ns);
}

static struct ticket model_enter(struct model *model, int64_t now_ns)
{
    struct ticket ticket = {NONE, now_ns};
    model_tick(model, now_ns);
    if (model->state == WEFT_BREAKER_OPEN && now_ns >= model->opened_at_ns + model->open_ns)
        model_change(model, WEFT_BREAKER_HALF_OPEN, now_ns);
    bool free_probe = model->state == WEFT_BREAKER_HALF_OPEN && model->probes < run.probes_max;
    model->refused = model->state == WEFT_BREAKER_OPEN ||
                     model->state == WEFT_BREAKER_FORCED_OPEN ||
                     (model->state == WEFT_BREAKER_HALF_OPEN && !free_probe);
    if (model->refused)
        return ticket;
    if (free_probe && model->probes++ == 0)
        model->probing_since_ns = now_ns;
    ticket.generation = model->generation;
    return ticket;
}

static void model_leave(struct model *model, struct ticket ticket,
                        enum weft_breaker_verdict verdict, int64_t now_ns)
{
    bool failed = verdict == WEFT_BREAKER_FAILURE, slow = now_ns - ticket.entered_at_ns >= SLOW_NS;
    model_tick(model, now_ns);
    if (ticket.generation != model->generation || model->state == WEFT_BREAKER_DISABLED)
        return;
    if (model->state == WEFT_BREAKER_HALF_OPEN) {
        model->probes--;
        if (verdict == WEFT_BREAKER_IGNORED)
            return;
        if (failed || slow)
            model_change(model, WEFT_BREAKER_OPEN, now_ns);
        else if (++model->successes == run.successes_min)
            model_change(model, WEFT_BREAKER_CLOSED, now_ns);
        return;
    }
    if (verdict == WEFT_BREAKER_IGNORED)
        return;
    model->calls[model->calls_len++] = (struct recorded){now_ns, failed, slow};
    if ((failed || slow) && model->state == WEFT_BREAKER_CLOSED && model_too_bad(model, now_ns))
        model_change(model, WEFT_BREAKER_OPEN, now_ns);
}

/* ---- both ---------------------------------------------------------------------------------- */

/* Returns whether it was let in. */
static bool enter(struct world *world)
{
    struct weft_breaker_permit permit;
    struct ticket ticket = model_enter(&world->model, world->now_ns);
    int err = weft_breaker_core_enter(&world->core, &permit, world->now_ns);
    CHECK((err == WEFT_EOPEN) == world->model.refused);
    if (err < 0)
        return false;
    world->permits[world->out] = permit;
    world->tickets[world->out++] = ticket;
    return true;
}

/* The oldest that is out, or the newest. Returns whether there was one. */
static bool leave(struct world *world, unsigned which, enum weft_breaker_verdict verdict)
{
    if (world->out == 0)
        return false;
    model_leave(&world->model, world->tickets[which], verdict, world->now_ns);
    CHECK(weft_breaker_core_leave(&world->core, &world->permits[which], verdict, world->now_ns) ==
          0);
    world->out--;
    memmove(&world->permits[which], &world->permits[which + 1],
            (world->out - which) * sizeof world->permits[0]);
    memmove(&world->tickets[which], &world->tickets[which + 1],
            (world->out - which) * sizeof world->tickets[0]);
    return true;
}

static bool call(struct world *world, enum weft_breaker_verdict verdict, int64_t took_ns)
{
    if (enter(world)) {
        world->now_ns += took_ns;
        (void)leave(world, world->out - 1, verdict);
    }
    return true;
}

static bool by_hand(struct world *world, enum weft_breaker_event_kind kind,
                    enum weft_breaker_state state)
{
    if (world->model.state != state || state == WEFT_BREAKER_CLOSED)
        model_change(&world->model, state, world->now_ns);
    weft_breaker_core_by_hand(&world->core, kind, world->now_ns);
    return true;
}

/* Do what a letter stands for. False: nothing happens, so a shorter sequence is the same. */
static bool step(struct world *world, char letter)
{
    switch (letter) {
    case 'S':
        return call(world, WEFT_BREAKER_SUCCESS, 0);
    case 'L': /* a success that takes long */
        return call(world, WEFT_BREAKER_SUCCESS, SLOW_NS);
    case 'F':
        return call(world, WEFT_BREAKER_FAILURE, 0);
    case 'C': /* cancelled */
        return call(world, WEFT_BREAKER_IGNORED, 0);
    case 'T':
        world->now_ns += STEP_NS;
        return true;
    case 'e': /* a call begins, and ends with one of the next three */
        return enter(world) || true;
    case 's':
        return leave(world, 0, WEFT_BREAKER_SUCCESS);
    case 'f':
        return leave(world, 0, WEFT_BREAKER_FAILURE);
    case 'c':
        return leave(world, world->out ? world->out - 1 : 0, WEFT_BREAKER_IGNORED);
    case 'R':
        return by_hand(world, WEFT_BREAKER_RESET, WEFT_BREAKER_CLOSED);
    case 'O':
        return by_hand(world, WEFT_BREAKER_FORCE_OPEN, WEFT_BREAKER_FORCED_OPEN);
    case 'X':
        return by_hand(world, WEFT_BREAKER_FORCE_CLOSE, WEFT_BREAKER_FORCED_CLOSED);
    default:
        return by_hand(world, WEFT_BREAKER_DISABLE, WEFT_BREAKER_DISABLED);
    }
}

static bool agree(const struct world *world)
{
    const struct model *model = &world->model;
    const struct weft_breaker_core *core = &world->core;
    return core->state == model->state && core->generation == model->generation &&
           core->probes == model->probes && core->probe_successes == model->successes &&
           (core->state != WEFT_BREAKER_OPEN ||
            core->retry_at_ns == model->opened_at_ns + model->open_ns);
}

static void copy_world(struct world *target, const struct world *source)
{
    memcpy((void *)target, source, WORLD_BYTES);
    if (target->core.window.outcomes)
        target->core.window.outcomes = target->window.outcomes;
    else
        target->core.window.buckets = target->window.buckets;
}

/* Returns false when they do not agree; run.sequence says after what. */
static bool explore(const struct world *world, int depth, int depth_max)
{
    struct world next;
    for (const char *letter = run.letters; *letter; letter++) {
        copy_world(&next, world);
        run.sequence[depth] = *letter;
        if (!step(&next, *letter))
            continue;
        run.steps++;
        if (!agree(&next))
            return false;
        if (depth + 1 < depth_max && !explore(&next, depth + 1, depth_max))
            return false;
        run.sequence[depth + 1] = 0;
    }
    return true;
}

static void explore_all(const char *letters, int depth_max, unsigned window_calls)
{
    struct weft_breaker_options options = {
        .window_calls = window_calls,
        .window_ns = window_calls ? 0 : 30,
        .window_buckets = window_calls ? 0 : 3,
        .calls_min = CALLS_MIN,
        .failure_rate = FAILURE_SHARE,
        .slow_rate = SLOW_SHARE,
        .slow_call_ns = SLOW_NS,
        .consecutive_failures_max = IN_A_ROW,
        .open_ns = OPEN_NS,
        .open_max_ns = OPEN_MAX_NS,
        .open_jitter = WEFT_BREAKER_NONE,
        .probes_max = 2,
        .half_open_max_ns = OVERDUE_NS,
        .seed = 1,
    };
    struct world world;
    memset((void *)&world, 0, sizeof world);
    REQUIRE(weft_breaker_core_options(&options) == 0);
    REQUIRE(weft_breaker_core_window_bytes(&options) <= sizeof world.window);
    memset(&run, 0, sizeof run);
    run.letters = letters;
    run.probes_max = options.probes_max;
    run.successes_min = options.successes_min;
    run.window_calls = options.window_calls;
    run.window_parts = options.window_buckets;
    run.part_ns = 10;
    world.now_ns = 1000;
    world.model =
        (struct model){.state = WEFT_BREAKER_CLOSED, .generation = 1, .grown_ns = OPEN_NS};
    weft_breaker_core_init(&world.core, &options, &world.window, world.now_ns);
    bool agreed = explore(&world, 0, depth_max);
    CHECK(agreed);
    if (!agreed)
        test_note("after %s", run.sequence);
    test_note("%llu steps", (unsigned long long)run.steps);
}

/* S success, L slow, F failure, C cancelled, T time passes. */
TEST(every_sequence_of_ten_calls_with_a_window_of_calls)
{
    explore_all("SLFCT", 10, 4);
}

TEST(every_sequence_of_ten_calls_with_a_window_of_time)
{
    explore_all("SLFCT", 10, 0);
}

/* e begins a call; s f c end one, well, badly, cancelled. */
TEST(every_sequence_of_ten_events_of_calls_that_overlap)
{
    explore_all("esfcT", 10, 4);
}

/* R reset, O force open, X force closed, D disable. */
TEST(every_sequence_of_seven_calls_and_interventions_by_hand)
{
    explore_all("SFTROXD", 7, 4);
    explore_all("esfTROXD", 6, 0);
}
