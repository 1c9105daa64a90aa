/* SPDX-License-Identifier: MIT
 * policy.c - see weft/policy.h.
 *
 * A call is a recursion: each layer has a frame with what it must remember, and calls the next one.
 * What is counted is what is out of the ordinary. Ordinarily a layer begins what is inside it once;
 * so how often each layer was called follows from how often the first one was and from the
 * exceptions, and a call in which nothing happens counts one thing. */
#include <base/time.h>
#include <flow/hedge_internal.h>
#include <flow/pattern.h>
#include <flow/retry_internal.h>
#include <runtime/worker.h>

#include <weft/breaker.h>
#include <weft/bulkhead.h>
#include <weft/fallback.h>
#include <weft/limiter.h>
#include <weft/policy.h>
#include <weft/scope.h>

#include <stdlib.h>
#include <string.h>

/* Beside a layer, and beside fn, which is like one more. */
struct counts {
    uint64_t failures, refused, cancelled;
    uint64_t more; /* times what is inside was begun, beyond once per call; wraps below 0 */
};

struct layer {
    struct weft_layer given;
    union {
        struct weft_retry_options retry;
        struct weft_fallback_options fallback;
    } options; /* copied */
    struct counts counts;
};

struct weft_policy {
    struct weft_guard guard; /* says who may use it; what is counted needs no lock */
    char name[WEFT_NAME_MAX + 1];
    void (*on_event)(void *arg, const struct weft_policy_event *event);
    void *on_event_arg;
    uint64_t calls;
    struct counts work;
    unsigned layers_len;
    struct layer layers[];
};

/* One layer's part of a call. */
struct step {
    struct weft_policy *policy;
    unsigned index;   /* of the layer; layers_len: fn */
    unsigned entered; /* times what is inside was begun */
    int (*fn)(void *);
    void *arg;
};

/* ---- layers ------------------------------------------------------------------------------ */

struct weft_layer weft_layer_timeout(int64_t timeout_ns)
{
    return (struct weft_layer){.kind = WEFT_LAYER_TIMEOUT, .number = timeout_ns};
}

struct weft_layer weft_layer_retry(const struct weft_retry_options *options)
{
    static const struct weft_retry_options defaults;
    return (struct weft_layer){.kind = WEFT_LAYER_RETRY, .options = options ? options : &defaults};
}

struct weft_layer weft_layer_limit(struct weft_limiter *limiter, uint32_t count)
{
    return (struct weft_layer){.kind = WEFT_LAYER_LIMIT, .object = limiter, .number = count};
}

struct weft_layer weft_layer_breaker(struct weft_breaker *breaker)
{
    return (struct weft_layer){.kind = WEFT_LAYER_BREAKER, .object = breaker};
}

struct weft_layer weft_layer_bulkhead(struct weft_bulkhead *bulkhead)
{
    return (struct weft_layer){.kind = WEFT_LAYER_BULKHEAD, .object = bulkhead};
}

struct weft_layer weft_layer_hedge(struct weft_hedge *hedge, size_t arg_bytes)
{
    int64_t number = arg_bytes <= WEFT_HEDGE_ARG_MAX ? (int64_t)arg_bytes : -1;
    return (struct weft_layer){.kind = WEFT_LAYER_HEDGE, .object = hedge, .number = number};
}

struct weft_layer weft_layer_fallback(const struct weft_fallback_options *options)
{
    return (struct weft_layer){.kind = WEFT_LAYER_FALLBACK, .options = options};
}

struct weft_layer weft_layer_shield(void)
{
    return (struct weft_layer){.kind = WEFT_LAYER_SHIELD};
}

struct weft_layer weft_layer_custom(weft_layer_fn *run, void *layer_arg)
{
    return (struct weft_layer){.kind = WEFT_LAYER_CUSTOM, .object = layer_arg, .run = run};
}

/* ---- beginning and end ------------------------------------------------------------------- */

static bool valid_fallback(const struct weft_fallback_options *options)
{
    if (!options)
        return false;
    return options->cache ? options->key && options->key_bytes > 0 && options->value
                          : options->fallback != NULL;
}

static bool valid(const struct weft_layer *layer)
{
    switch (layer->kind) {
    case WEFT_LAYER_TIMEOUT:
        return layer->number > 0;
    case WEFT_LAYER_RETRY:
        return weft_retry_check(layer->options) == 0;
    case WEFT_LAYER_LIMIT:
        return layer->object && layer->number > 0;
    case WEFT_LAYER_BREAKER:
    case WEFT_LAYER_BULKHEAD:
        return layer->object;
    case WEFT_LAYER_HEDGE:
        return layer->object && layer->number >= 0;
    case WEFT_LAYER_FALLBACK:
        return valid_fallback(layer->options);
    case WEFT_LAYER_SHIELD:
        return true;
    case WEFT_LAYER_CUSTOM:
        return layer->run;
    case WEFT_LAYER_KINDS:
    default:
        return false;
    }
}

static void fill(struct layer *layer, const struct weft_layer *given)
{
    layer->given = *given;
    if (given->kind == WEFT_LAYER_RETRY)
        layer->options.retry = *(const struct weft_retry_options *)given->options;
    else if (given->kind == WEFT_LAYER_FALLBACK)
        layer->options.fallback = *(const struct weft_fallback_options *)given->options;
}

int weft_policy_open(struct weft_policy **ret_policy, const struct weft_layer *layers, size_t count,
                     const struct weft_policy_options *options)
{
    static const struct weft_policy_options defaults;
    if (!options)
        options = &defaults;
    if (!layers || count == 0 || count > WEFT_LAYERS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (!valid(&layers[i]))
            return -EINVAL;
    }
    struct weft_policy *policy = calloc(1, sizeof *policy + count * sizeof policy->layers[0]);
    if (!policy)
        return -ENOMEM;
    int err = weft_pattern_name(policy->name, options->name, "policy");
    if (err == 0)
        err = weft_guard_init(&policy->guard, options->sharing);
    if (err < 0) {
        weft_policy_close(policy);
        return err;
    }
    policy->on_event = options->on_event;
    policy->on_event_arg = options->on_event_arg;
    policy->layers_len = (unsigned)count;
    for (size_t i = 0; i < count; i++)
        fill(&policy->layers[i], &layers[i]);
    *ret_policy = policy;
    return 0;
}

void weft_policy_close(struct weft_policy *policy)
{
    free(policy);
}

/* ---- counting ---------------------------------------------------------------------------- */

static void add(const struct weft_policy *policy, uint64_t *counter, uint64_t amount)
{
    if (policy->guard.home)
        *counter += amount;
    else
        weft_pattern_count(counter, amount);
}

/* A layer, or fn, has answered; entered is how often it began what is inside it. */
static void count(const struct weft_policy *policy, struct counts *counts, unsigned entered,
                  int result)
{
    if (entered != 1)
        add(policy, &counts->more, (uint64_t)entered - 1);
    if (result == -ECANCELED) {
        add(policy, &counts->cancelled, 1);
    } else if (result < 0) {
        add(policy, &counts->failures, 1);
        if (entered == 0)
            add(policy, &counts->refused, 1);
    }
}

/* Of a layer, or with NULL of the call. Out of line, as nothing of it happens ordinarily. */
static __attribute__((noinline)) void tell(const struct weft_policy *policy,
                                           const struct layer *layer, int result)
{
    if (!policy->on_event || result >= 0 || result == -ECANCELED)
        return;
    policy->on_event(policy->on_event_arg,
                     &(const struct weft_policy_event){
                         .kind = layer ? WEFT_POLICY_REFUSED : WEFT_POLICY_FAILED,
                         .name = policy->name,
                         .at_ns = weft_now(),
                         .result = result,
                         .place = layer ? (unsigned)(layer - policy->layers) : 0,
                         .layer = layer ? layer->given.kind : (enum weft_layer_kind)0,
                     });
}

/* ---- the call ---------------------------------------------------------------------------- */

static int run(struct step *step);

/* What is inside a layer, for an argument that may be a copy. */
static int go_in_with(void *context, void *arg)
{
    struct step *step = context;
    struct step inner = {
        .policy = step->policy, .index = step->index + 1, .fn = step->fn, .arg = arg};
    step->entered++;
    return run(&inner);
}

static int go_in(void *context)
{
    struct step *step = context;
    return go_in_with(step, step->arg);
}

static __attribute__((noinline)) int run_timeout(struct step *step, int64_t timeout_ns)
{
    struct weft_scope scope;
    weft_scope_enter_for(&scope, timeout_ns);
    return weft_scope_leave(&scope, go_in(step));
}

static int run_limit(struct step *step, const struct weft_layer *layer)
{
    int err = weft_limiter_acquire(layer->object, (uint32_t)layer->number, weft_deadline());
    return err < 0 ? err : go_in(step);
}

static int run_breaker(struct step *step, struct weft_breaker *breaker)
{
    struct weft_breaker_permit permit;
    int err = weft_breaker_enter(breaker, &permit);
    if (err < 0)
        return err;
    int result = go_in(step);
    (void)weft_breaker_leave(breaker, &permit, result); /* the permit is one: cannot fail */
    return result;
}

static int run_bulkhead(struct step *step, struct weft_bulkhead *bulkhead)
{
    int err = weft_bulkhead_acquire(bulkhead, WEFT_FOREVER);
    if (err < 0)
        return err;
    int result = go_in(step);
    (void)weft_bulkhead_release(bulkhead); /* ours: cannot fail */
    return result;
}

static int run_layer(struct step *step, struct layer *layer)
{
    const struct weft_layer *given = &layer->given;
    switch (given->kind) {
    case WEFT_LAYER_TIMEOUT:
        return run_timeout(step, given->number);
    case WEFT_LAYER_RETRY:
        return weft_retry_between(&layer->options.retry, go_in, step, step->arg);
    case WEFT_LAYER_LIMIT:
        return run_limit(step, given);
    case WEFT_LAYER_BREAKER:
        return run_breaker(step, given->object);
    case WEFT_LAYER_BULKHEAD:
        return run_bulkhead(step, given->object);
    case WEFT_LAYER_HEDGE:
        return weft_hedge_between(given->object, go_in_with, step, step->arg,
                                  (size_t)given->number);
    case WEFT_LAYER_FALLBACK:
        return weft_fallback(&layer->options.fallback, go_in, step);
    case WEFT_LAYER_SHIELD:
        return weft_shield(go_in, step);
    case WEFT_LAYER_CUSTOM:
        return given->run(given->object, step->arg, go_in, step);
    case WEFT_LAYER_KINDS:
    default:
        return -EINVAL; /* weft_policy_open lets no other in */
    }
}

static int run(struct step *step)
{
    struct weft_policy *policy = step->policy;
    if (step->index == policy->layers_len) {
        int result = step->fn(step->arg);
        if (result < 0)
            count(policy, &policy->work, 1, result);
        return result;
    }
    struct layer *layer = &policy->layers[step->index];
    int result = run_layer(step, layer);
    if (result >= 0 && step->entered == 1)
        return result;
    count(policy, &layer->counts, step->entered, result);
    if (step->entered == 0)
        tell(policy, layer, result);
    return result;
}

int weft_policy_call(struct weft_policy *policy, int (*fn)(void *), void *arg)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err == 0)
        err = weft_guard_permit(&policy->guard);
    if (err < 0)
        return err;
    struct step step = {.policy = policy, .fn = fn, .arg = arg};
    add(policy, &policy->calls, 1);
    int result = run(&step);
    if (result < 0)
        tell(policy, NULL, result);
    return result;
}

/* ---- snapshot ---------------------------------------------------------------------------- */

static const char *kind_name(enum weft_layer_kind kind)
{
    static const char *const names[WEFT_LAYER_KINDS] = {
        [WEFT_LAYER_TIMEOUT] = "timeout",   [WEFT_LAYER_RETRY] = "retry",
        [WEFT_LAYER_LIMIT] = "limit",       [WEFT_LAYER_BREAKER] = "breaker",
        [WEFT_LAYER_BULKHEAD] = "bulkhead", [WEFT_LAYER_HEDGE] = "hedge",
        [WEFT_LAYER_FALLBACK] = "fallback", [WEFT_LAYER_SHIELD] = "shield",
        [WEFT_LAYER_CUSTOM] = "custom",
    };
    return kind ? names[kind] : "work";
}

static uint64_t load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static struct weft_layer_snapshot look(const struct counts *counts, enum weft_layer_kind kind,
                                       uint64_t calls)
{
    return (struct weft_layer_snapshot){
        .kind = kind,
        .name = kind_name(kind),
        .calls = calls,
        .failures = load(&counts->failures),
        .refused = load(&counts->refused),
        .cancelled = load(&counts->cancelled),
    };
}

int weft_policy_snapshot(struct weft_policy *policy, struct weft_policy_snapshot *ret_snapshot)
{
    int err = weft_guard_permit(&policy->guard);
    if (err < 0)
        return err;
    uint64_t calls = load(&policy->calls);
    memset(ret_snapshot, 0, sizeof *ret_snapshot);
    memcpy(ret_snapshot->name, policy->name, sizeof policy->name);
    ret_snapshot->layers_len = policy->layers_len;
    for (unsigned i = 0; i < policy->layers_len; i++) {
        const struct layer *layer = &policy->layers[i];
        ret_snapshot->layers[i] = look(&layer->counts, layer->given.kind, calls);
        calls += load(&layer->counts.more);
    }
    ret_snapshot->work = look(&policy->work, (enum weft_layer_kind)0, calls);
    return 0;
}
