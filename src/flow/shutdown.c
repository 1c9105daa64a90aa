/* SPDX-License-Identifier: MIT
 * shutdown.c - see weft/shutdown.h. Everything runs below the fiber in weft_shutdown_wait: a group
 * for who watches the signals, and one for each phase. */
#include <base/time.h>
#include <flow/pattern.h>
#include <runtime/worker.h>

#include <weft/shutdown.h>
#include <weft/signal.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define HOOKS_DEFAULT   256u
#define HOOKS_MAX       65536u
#define TIMEOUT_DEFAULT (30 * WEFT_SEC)

struct hook {
    struct weft_link link; /* in shutdown->hooks */
    struct weft_shutdown *shutdown;
    int64_t id, timeout_ns;
    int (*fn)(void *);
    void *arg;
    struct weft_shutdown_hook info;
    char name[WEFT_NAME_MAX + 1];
};

struct weft_shutdown {
    struct weft_guard guard;  /* shared in every case: anybody may ask */
    struct weft_link hooks;   /* by phase; of one phase in the order they were added */
    struct weft_link waiting; /* in weft_shutdown_wait, for somebody to ask */
    bool awaited;             /* somebody is in weft_shutdown_wait */
    struct weft_scope *work;  /* around the phases, while they run */
    int watch_error;          /* of who watches the signals */
    int64_t next_id;
    struct weft_shutdown_options options;
    struct weft_shutdown_snapshot counts;
    char name[WEFT_NAME_MAX + 1];
};

static struct hook *hook_of(struct weft_link *link)
{
    return weft_container_of(link, struct hook, link);
}

static void tell(struct weft_shutdown *shutdown, struct weft_shutdown_event event)
{
    if (!shutdown->options.on_event)
        return;
    event.name = shutdown->name;
    event.at_ns = weft_now();
    event.reason = weft_shutdown_requested(shutdown);
    shutdown->options.on_event(shutdown->options.on_event_arg, &event);
}

/* ---- open, close, look --------------------------------------------------------------- */

int weft_shutdown_open(struct weft_shutdown **ret_shutdown,
                       const struct weft_shutdown_options *options)
{
    static const struct weft_shutdown_options defaults;
    if (!options)
        options = &defaults;
    if (options->timeout_ns < 0 || options->hooks_max > HOOKS_MAX)
        return -EINVAL;
    struct weft_shutdown *shutdown = calloc(1, sizeof *shutdown);
    if (!shutdown)
        return -ENOMEM;
    shutdown->options = *options;
    shutdown->options.timeout_ns = options->timeout_ns ? options->timeout_ns : TIMEOUT_DEFAULT;
    shutdown->options.hooks_max = options->hooks_max ? options->hooks_max : HOOKS_DEFAULT;
    weft_list_init(&shutdown->hooks);
    weft_list_init(&shutdown->waiting);
    int err = weft_pattern_name(shutdown->name, options->name, "shutdown");
    if (err == 0)
        err = weft_guard_init(&shutdown->guard, WEFT_SHARED);
    if (err < 0)
        free(shutdown);
    else
        *ret_shutdown = shutdown;
    return err;
}

void weft_shutdown_close(struct weft_shutdown *shutdown)
{
    if (!shutdown)
        return;
    while (!weft_list_empty(&shutdown->hooks)) {
        struct hook *hook = hook_of(shutdown->hooks.next);
        weft_list_unlink(&hook->link);
        free(hook);
    }
    free(shutdown);
}

unsigned weft_shutdown_report(struct weft_shutdown *shutdown, struct weft_shutdown_hook *ret_hooks,
                              unsigned hooks_max)
{
    unsigned len = 0;
    weft_guard_enter(&shutdown->guard);
    WEFT_LIST_FOR_EACH (link, &shutdown->hooks) {
        if (len == hooks_max)
            break;
        ret_hooks[len++] = hook_of(link)->info;
    }
    len = shutdown->counts.hooks;
    weft_guard_leave(&shutdown->guard);
    return len;
}

int weft_shutdown_snapshot(struct weft_shutdown *shutdown,
                           struct weft_shutdown_snapshot *ret_snapshot)
{
    weft_guard_enter(&shutdown->guard);
    *ret_snapshot = shutdown->counts;
    weft_guard_leave(&shutdown->guard);
    return 0;
}

int weft_shutdown_requested(struct weft_shutdown *shutdown)
{
    struct weft_shutdown_snapshot snapshot;
    (void)weft_shutdown_snapshot(shutdown, &snapshot);
    return snapshot.reason;
}

/* ---- hooks --------------------------------------------------------------------------- */

/* Behind those of its phase. */
static void enlist(struct weft_shutdown *shutdown, struct hook *hook)
{
    struct weft_link *place = shutdown->hooks.prev;
    while (place != &shutdown->hooks && hook_of(place)->info.phase > hook->info.phase)
        place = place->prev;
    weft_list_append(place->next, &hook->link); /* before the one after place */
    hook->id = ++shutdown->next_id;
    shutdown->counts.hooks++;
}

int64_t weft_shutdown_add(struct weft_shutdown *shutdown, int phase, const char *name,
                          int (*fn)(void *), void *arg, int64_t timeout_ns)
{
    if (!fn || timeout_ns < 0)
        return -EINVAL;
    struct hook *hook = calloc(1, sizeof *hook);
    if (!hook)
        return -ENOMEM;
    *hook = (struct hook){.shutdown = shutdown, .fn = fn, .arg = arg};
    hook->timeout_ns = timeout_ns ? timeout_ns : WEFT_FOREVER;
    hook->info = (struct weft_shutdown_hook){.name = hook->name, .phase = phase};
    int err = weft_pattern_name(hook->name, name, "hook");
    weft_guard_enter(&shutdown->guard);
    if (err == 0 && shutdown->counts.state >= WEFT_SHUTDOWN_RUNNING)
        err = -ESHUTDOWN;
    if (err == 0 && shutdown->counts.hooks >= shutdown->options.hooks_max)
        err = WEFT_EFULL;
    if (err == 0)
        enlist(shutdown, hook);
    int64_t id = hook->id;
    weft_guard_leave(&shutdown->guard);
    if (err < 0)
        free(hook);
    return err < 0 ? err : id;
}

int weft_shutdown_remove(struct weft_shutdown *shutdown, int64_t id)
{
    struct hook *found = NULL;
    weft_guard_enter(&shutdown->guard);
    bool runs = shutdown->counts.state >= WEFT_SHUTDOWN_RUNNING;
    WEFT_LIST_FOR_EACH (link, &shutdown->hooks) {
        if (hook_of(link)->id == id)
            found = hook_of(link);
    }
    if (found && !runs) {
        weft_list_unlink(&found->link);
        shutdown->counts.hooks--;
    }
    weft_guard_leave(&shutdown->guard);
    if (runs)
        return -ESHUTDOWN;
    free(found);
    return found ? 0 : -ENOENT;
}

/* ---- asking for it ------------------------------------------------------------------- */

/* Returns whether nobody has asked before. */
static bool ask(struct weft_shutdown *shutdown, int reason, bool force)
{
    struct weft_link claimed;
    weft_list_init(&claimed);
    int64_t now_ns = weft_now();
    weft_guard_enter(&shutdown->guard);
    bool first = shutdown->counts.state == WEFT_SHUTDOWN_READY;
    bool forces =
        force && !shutdown->counts.forced && shutdown->counts.state != WEFT_SHUTDOWN_ENDED;
    if (first) {
        shutdown->counts.state = WEFT_SHUTDOWN_ASKED;
        shutdown->counts.reason = reason ? reason : -ESHUTDOWN;
        shutdown->counts.requested_at_ns = now_ns;
    }
    if (forces)
        shutdown->counts.forced = 1;
    if (forces && shutdown->work)
        weft_scope_cancel(shutdown->work, 0);
    weft_guard_leave(&shutdown->guard);
    if (first) /* before anybody is woken: it comes before what follows from it */
        tell(shutdown, (struct weft_shutdown_event){.kind = WEFT_SHUTDOWN_REQUESTED});
    if (forces)
        tell(shutdown, (struct weft_shutdown_event){.kind = WEFT_SHUTDOWN_FORCED});
    weft_guard_enter(&shutdown->guard);
    weft_claim_all(&shutdown->waiting, &claimed);
    weft_guard_leave(&shutdown->guard);
    weft_wake_claimed(&claimed, 0);
    return first;
}

int weft_shutdown_request(struct weft_shutdown *shutdown, int reason)
{
    return ask(shutdown, reason, false);
}

void weft_shutdown_force(struct weft_shutdown *shutdown, int reason)
{
    (void)ask(shutdown, reason, true);
}

/* ---- the phases ---------------------------------------------------------------------- */

static void end_hook(struct hook *hook, int result, int64_t duration_ns)
{
    struct weft_shutdown *shutdown = hook->shutdown;
    weft_guard_enter(&shutdown->guard);
    hook->info.ended = 1;
    hook->info.result = result;
    hook->info.duration_ns = duration_ns;
    shutdown->counts.ended++;
    shutdown->counts.failed += result < 0;
    weft_guard_leave(&shutdown->guard);
    tell(shutdown, (struct weft_shutdown_event){.kind = WEFT_SHUTDOWN_HOOK,
                                                .phase = hook->info.phase,
                                                .hook = hook->name,
                                                .result = result,
                                                .duration_ns = duration_ns});
}

/* What cut a hook short that came to -ECANCELED. */
static int cancelled_by(void)
{
    return weft_cancel_reason() == -ETIMEDOUT ? -ETIMEDOUT : -ECANCELED;
}

static int run_hook(void *arg)
{
    struct hook *hook = arg;
    struct weft_scope scope;
    int64_t begun_ns = weft_now();
    weft_guard_enter(&hook->shutdown->guard);
    hook->info.began = 1;
    weft_guard_leave(&hook->shutdown->guard);
    weft_scope_enter(&scope, weft_time_after(begun_ns, hook->timeout_ns), 0);
    int result = weft_scope_leave(&scope, hook->fn(hook->arg));
    if (result == -ECANCELED)
        result = cancelled_by();
    end_hook(hook, result, weft_now() - begun_ns);
    return 0;
}

/* Run all hooks of the phase of the first. Returns the first of the next phase, or the list. */
static struct weft_link *run_phase(struct weft_shutdown *shutdown, struct weft_link *link)
{
    struct weft_group group;
    int phase = hook_of(link)->info.phase;
    weft_guard_enter(&shutdown->guard);
    shutdown->counts.phase = phase;
    weft_guard_leave(&shutdown->guard);
    tell(shutdown, (struct weft_shutdown_event){.kind = WEFT_SHUTDOWN_PHASE, .phase = phase});
    int err = weft_group_init(&group, NULL);
    for (; link != &shutdown->hooks && hook_of(link)->info.phase == phase; link = link->next) {
        struct hook *hook = hook_of(link);
        const struct weft_spawn_options options = {.name = hook->name};
        int refused = err < 0 ? err : weft_spawn_with(&group, run_hook, hook, &options);
        if (refused == -ECANCELED)
            refused = cancelled_by();
        if (refused < 0)
            end_hook(hook, refused, 0);
    }
    if (err == 0)
        (void)weft_group_wait(&group);
    return link;
}

/* Nobody adds or removes hooks any more. */
static void run_phases(struct weft_shutdown *shutdown)
{
    struct weft_link *link = shutdown->hooks.next;
    while (link != &shutdown->hooks) {
        if (weft_checkpoint() == 0) {
            link = run_phase(shutdown, link);
            continue;
        }
        end_hook(hook_of(link), cancelled_by(), 0);
        link = link->next;
    }
}

/* ---- waiting for it ------------------------------------------------------------------ */

static const int watched[] = {SIGTERM, SIGINT};

/* Signals cannot be waited for: whoever waits for a shutdown is told. */
static void watch_failed(struct weft_shutdown *shutdown, int err)
{
    struct weft_link claimed;
    weft_list_init(&claimed);
    weft_guard_enter(&shutdown->guard);
    shutdown->watch_error = err;
    weft_claim_all(&shutdown->waiting, &claimed);
    weft_guard_leave(&shutdown->guard);
    weft_wake_claimed(&claimed, err);
}

/* The first signal asks for the end, the second forces it, the third is not ours. */
static int watch_signals(void *arg)
{
    struct weft_shutdown *shutdown = arg;
    struct weft_scope scope;
    int number = weft_signal_wait(watched, 2, WEFT_FOREVER);
    if (number < 0) {
        watch_failed(shutdown, number);
        return 0;
    }
    (void)weft_shutdown_request(shutdown, number);
    weft_scope_enter(&scope, WEFT_FOREVER, WEFT_SCOPE_MOVE_ON);
    number = weft_signal_cancel(&scope, watched, 2); /* a scope of no consequence */
    (void)weft_scope_leave(&scope, 0);
    if (number > 0)
        weft_shutdown_force(shutdown, number);
    return 0;
}

/* Returns 0 when somebody has asked. */
static int wait_for_request(struct weft_shutdown *shutdown, struct weft_fiber *self,
                            int64_t deadline_ns)
{
    struct weft_waiter waiter;
    weft_guard_enter(&shutdown->guard);
    if (shutdown->counts.state == WEFT_SHUTDOWN_READY && shutdown->watch_error == 0)
        return weft_wait_turn(self, &shutdown->guard, &shutdown->waiting, &waiter, deadline_ns,
                              "a shutdown to be asked for");
    int err = shutdown->counts.state == WEFT_SHUTDOWN_READY ? shutdown->watch_error : 0;
    weft_guard_leave(&shutdown->guard);
    return err;
}

/* Returns how many hooks have failed. */
static int run_all(struct weft_shutdown *shutdown)
{
    struct weft_scope work;
    weft_guard_enter(&shutdown->guard);
    int64_t from_ns = shutdown->counts.requested_at_ns;
    shutdown->counts.state = WEFT_SHUTDOWN_RUNNING;
    weft_guard_leave(&shutdown->guard);
    weft_scope_enter(&work, weft_time_after(from_ns, shutdown->options.timeout_ns),
                     WEFT_SCOPE_MOVE_ON);
    weft_guard_enter(&shutdown->guard);
    shutdown->work = &work;
    bool forced = shutdown->counts.forced;
    weft_guard_leave(&shutdown->guard);
    if (forced)
        weft_scope_cancel(&work, 0);
    run_phases(shutdown);
    weft_guard_enter(&shutdown->guard);
    shutdown->work = NULL; /* nobody cancels it any more */
    shutdown->counts.state = WEFT_SHUTDOWN_ENDED;
    int failed = (int)shutdown->counts.failed;
    weft_guard_leave(&shutdown->guard);
    (void)weft_scope_leave(&work, 0);
    return failed;
}

/* One at a time, and once only. */
static int begin(struct weft_shutdown *shutdown)
{
    weft_guard_enter(&shutdown->guard);
    bool busy = shutdown->awaited || shutdown->counts.state == WEFT_SHUTDOWN_ENDED;
    shutdown->awaited = shutdown->awaited || !busy;
    weft_guard_leave(&shutdown->guard);
    return busy ? -EBUSY : 0;
}

static void end(struct weft_shutdown *shutdown)
{
    weft_guard_enter(&shutdown->guard);
    shutdown->awaited = false;
    weft_guard_leave(&shutdown->guard);
}

int weft_shutdown_wait(struct weft_shutdown *shutdown, int64_t deadline_ns)
{
    struct weft_fiber *self;
    struct weft_group watchers;
    int err = weft_enter(&self);
    if (err == 0)
        err = begin(shutdown);
    if (err < 0)
        return err;
    const struct weft_spawn_options options = {.name = "signals"};
    shutdown->watch_error = 0;
    err = weft_group_init(&watchers, NULL);
    if (err == 0 && shutdown->options.on_signals)
        err = weft_spawn_with(&watchers, watch_signals, shutdown, &options);
    if (err == 0)
        err = wait_for_request(shutdown, self, deadline_ns);
    if (err == 0)
        err = run_all(shutdown);
    weft_group_close(&watchers);
    end(shutdown);
    return err;
}
