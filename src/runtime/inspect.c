/* SPDX-License-Identifier: MIT
 * inspect.c - see weft/inspect.h and inspect.h.
 *
 * Only a worker touches its groups and fibers, so each is asked by mail and writes its own part,
 * between two fibers. The parts lie in one allocation, which who leaves it last frees: the asker
 * does not wait for ever. */
#include <os/stack_mark.h>
#include <os/symbol.h>
#include <runtime/inspect.h>

#include <weft/inspect.h>
#include <weft/io.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_NS      WEFT_SEC        /* how long a worker may take to come to it */
#define WRITE_NS       (10 * WEFT_SEC) /* how long weft_dump may take to write */
#define FIBERS_MAX     100u            /* shown of each group */
#define DEPTH_MAX      16u             /* groups inside groups */
#define PART_BYTES_MAX ((size_t)256 << 10)
#define SYMBOLS_LEN    16u

/* A look-up costs microseconds, and siblings share their function and spawn site. */
struct symbol {
    const void *address;
    char text[WEFT_SYMBOL_MAX];
};

struct part {
    struct weft_mail mail;
    struct dump *dump;
    struct weft_worker *worker;
    struct weft_buffer text;
    bool done; /* under the dump's guard */
    struct symbol symbols[SYMBOLS_LEN];
};

struct dump {
    struct weft_guard guard; /* shared */
    struct weft_link waiting;
    unsigned missing;    /* parts */
    unsigned references; /* the asker's, and one per missing part */
    unsigned parts_len;
    struct part parts[];
};

/* ---- one worker's part ----------------------------------------------------------------- */

static const char *symbol(struct part *part, const void *address)
{
    struct symbol *entry = &part->symbols[(uintptr_t)address / 16 % SYMBOLS_LEN];
    if (entry->address != address) {
        entry->address = address;
        weft_symbol_format(address, entry->text, sizeof entry->text);
    }
    return entry->text;
}

static void indent(struct part *part, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        weft_buffer_append(&part->text, "  ", 2);
}

static void append_name(struct part *part, const char *kind, const char *name)
{
    weft_buffer_append_string(&part->text, kind);
    if (name)
        weft_buffer_append_format(&part->text, " \"%.100s\"", name);
}

static void append_time(struct part *part, const char *what, int64_t deadline_ns)
{
    if (deadline_ns == WEFT_FOREVER)
        return;
    int64_t left_ns = deadline_ns - weft_worker_now(part->worker);
    long long left_ms = (left_ns + (left_ns < 0 ? -WEFT_MSEC : WEFT_MSEC) / 2) / WEFT_MSEC;
    long long size_ms = left_ms < 0 ? -left_ms : left_ms;
    weft_buffer_append_format(&part->text,
                              left_ms < 0 ? ", %s %lld.%03lld s ago" : ", %s in %lld.%03lld s",
                              what, size_ms / 1000, size_ms % 1000);
}

static void append_cancelled(struct part *part, const struct weft_scope *scope)
{
    if (scope->cause)
        weft_buffer_append_format(&part->text, ", cancelled (%s)", weft_strerror(scope->reason));
}

static void append_state(struct part *part, const struct weft_fiber *fiber)
{
    if (fiber == part->worker->current)
        weft_buffer_append_string(&part->text, "running");
    else if (!atomic_load_explicit(&fiber->parked, memory_order_relaxed))
        weft_buffer_append_string(&part->text, "runnable");
    else
        weft_buffer_append_format(&part->text, "waiting for %s",
                                  fiber->waits_for ? fiber->waits_for : "something");
    if (weft_timer_armed(&fiber->timer))
        append_time(part, "timer", fiber->timer.deadline_ns);
}

static void append_stack(struct part *part, const struct weft_fiber *fiber)
{
    size_t size = fiber->stacks->usable_bytes;
    const char *sp = fiber->context.sp;
    if (fiber == part->worker->current)
        sp = __builtin_frame_address(0);
    size_t used = (size_t)(fiber->stack + size - sp);
    weft_buffer_append_string(&part->text, ", stack ");
    if (used <= size)
        weft_buffer_append_format(&part->text, "%zu.%zu of ", used >> 10, (used & 1023) * 10 >> 10);
    weft_buffer_append_format(&part->text, "%zu KiB", size >> 10);
    if (!part->worker->debug)
        return;
    size_t most = weft_stack_marked_bytes(fiber->stack, size);
    weft_buffer_append_format(&part->text, " (%zu.%zu at most)", most >> 10,
                              (most & 1023) * 10 >> 10);
}

static void show_groups(struct part *part, const struct weft_fiber *owner, unsigned depth);

static void show_fiber(struct part *part, const struct weft_fiber *fiber, unsigned depth)
{
    indent(part, depth);
    append_name(part, "fiber", fiber->name);
    weft_buffer_append_format(&part->text, " %s: ", symbol(part, weft_symbol_of(fiber->fn)));
    append_state(part, fiber);
    append_time(part, "deadline", weft_scope_outer_deadline(fiber->scope));
    append_cancelled(part, fiber->scope);
    append_stack(part, fiber);
    if (fiber->spawned_at)
        weft_buffer_append_format(&part->text, ", spawned at %s",
                                  symbol(part, (const char *)fiber->spawned_at - 1));
    if (fiber->remote && fiber->remote->group)
        weft_buffer_append_format(&part->text, ", from worker %u", fiber->remote->home->index);
    weft_buffer_append_char(&part->text, '\n');
    show_groups(part, fiber, depth + 1);
}

/* Returns how many were shown. */
static unsigned show_fibers(struct part *part, const struct weft_link *list, unsigned depth)
{
    unsigned shown = 0;
    WEFT_LIST_FOR_EACH (link, list) {
        if (shown == FIBERS_MAX || part->text.err)
            break;
        show_fiber(part, weft_container_of(link, struct weft_fiber, sibling), depth);
        shown++;
    }
    return shown;
}

/* A task that runs elsewhere, or will. */
static void show_remote(struct part *part, const struct weft_remote *remote, unsigned depth)
{
    struct weft_runtime *runtime = part->worker->runtime;
    weft_lock(&runtime->unstarted_lock);
    const struct weft_worker *target = remote->target;
    weft_unlock(&runtime->unstarted_lock);
    indent(part, depth);
    append_name(part, "task", remote->plan.name);
    weft_buffer_append_format(&part->text, " %s: ", symbol(part, weft_symbol_of(remote->plan.fn)));
    if (target)
        weft_buffer_append_format(&part->text, "on worker %u\n", target->index);
    else
        weft_buffer_append_string(&part->text, "waiting for a worker that has time\n");
}

static unsigned show_remotes(struct part *part, const struct weft_link *list, unsigned depth)
{
    unsigned shown = 0;
    WEFT_LIST_FOR_EACH (link, list) {
        if (shown == FIBERS_MAX || part->text.err)
            break;
        show_remote(part, weft_container_of(link, struct weft_remote, in_group), depth);
        shown++;
    }
    return shown;
}

static void show_group(struct part *part, const struct weft_group *group, unsigned depth)
{
    static const char *const policies[] = {
        [WEFT_FAIL_FAST] = "fail fast",
        [WEFT_SUPERVISE] = "supervise",
        [WEFT_RACE] = "race",
        [WEFT_QUORUM] = "quorum",
    };
    indent(part, depth);
    append_name(part, "group", group->name);
    weft_buffer_append_format(&part->text, " (%s): %u live", policies[group->policy], group->live);
    if (group->live_max > 0)
        weft_buffer_append_format(&part->text, " of at most %u", group->live_max);
    if (group->failures > 0)
        weft_buffer_append_format(&part->text, ", %u failed", group->failures);
    append_time(part, "deadline", group->scope.timer.deadline_ns);
    append_cancelled(part, &group->scope);
    weft_buffer_append_char(&part->text, '\n');
    unsigned shown = show_fibers(part, &group->children, depth + 1);
    shown += show_remotes(part, &group->scope.remotes, depth + 1);
    if (shown >= group->live)
        return;
    indent(part, depth + 1);
    weft_buffer_append_format(&part->text, "... %u more\n", group->live - shown);
}

static void show_groups(struct part *part, const struct weft_fiber *owner, unsigned depth)
{
    if (depth > 2 * DEPTH_MAX && !weft_list_empty(&owner->groups)) {
        indent(part, depth);
        weft_buffer_append_string(&part->text, "... more groups inside\n");
        return;
    }
    WEFT_LIST_FOR_EACH (link, &owner->groups)
        show_group(part, weft_container_of(link, struct weft_group, open), depth);
}

/* How the stacks of all workers are guarded, unless every one is, the way that costs nothing. */
static void show_guards(struct part *part)
{
    struct weft_stack_guards *guards = &part->worker->runtime->guards;
    unsigned protected = __atomic_load_n(&guards->protected, __ATOMIC_RELAXED);
    unsigned bare = __atomic_load_n(&guards->bare, __ATOMIC_RELAXED);
    if (protected + bare > 0)
        weft_buffer_append_format(&part->text, "guards: %u stacks by mprotect, %u stacks without\n",
                                  protected, bare);
}

static void show_worker(struct part *part)
{
    static const char cut[] = "... cut off here\n";
    const struct weft_worker *worker = part->worker;
    weft_buffer_init(&part->text, PART_BYTES_MAX);
    if (worker->index == 0)
        show_guards(part);
    weft_buffer_append_format(&part->text, "worker %u: %zu fiber%s\n", worker->index,
                              worker->fibers, worker->fibers == 1 ? "" : "s");
    if (show_fibers(part, &worker->guests, 1) == FIBERS_MAX)
        weft_buffer_append_string(&part->text, "  ... perhaps more\n");
    if (part->text.err == -EMSGSIZE && part->text.len >= sizeof cut)
        memcpy(part->text.data + part->text.len - sizeof cut + 1, cut, sizeof cut - 1);
}

/* ---- asking ---------------------------------------------------------------------------- */

/* Give up one reference, under the guard, which is left. */
static void leave(struct dump *dump)
{
    bool last = --dump->references == 0;
    weft_guard_leave(&dump->guard);
    if (!last)
        return;
    for (unsigned i = 0; i < dump->parts_len; i++)
        weft_buffer_deinit(&dump->parts[i].text);
    free(dump);
}

static void answer(struct part *part, bool done)
{
    struct dump *dump = part->dump;
    struct weft_waiter *waiter = NULL;
    weft_guard_enter(&dump->guard);
    part->done = done;
    if (--dump->missing == 0)
        waiter = weft_claim_first(&dump->waiting);
    leave(dump);
    if (waiter)
        weft_wake(waiter->fiber, 0);
}

/* On the worker that was asked. */
static void ask_arrived(struct weft_mail *mail)
{
    struct part *part = weft_container_of(mail, struct part, mail);
    show_worker(part);
    answer(part, true);
}

void weft_inspect_refuse(struct weft_worker *worker)
{
    struct weft_mail *mail = weft_mailbox_take(&worker->mailbox);
    while (mail) {
        struct weft_mail *next = mail->next;
        if (mail->deliver == ask_arrived)
            answer(weft_container_of(mail, struct part, mail), false);
        mail = next;
    }
}

static struct dump *ask(struct weft_runtime *runtime)
{
    unsigned len = runtime->workers_len;
    struct dump *dump = calloc(1, sizeof *dump + len * sizeof dump->parts[0]);
    if (!dump)
        return NULL;
    weft_list_init(&dump->waiting);
    dump->parts_len = dump->missing = len;
    dump->references = len + 1;
    for (unsigned i = 0; i < len; i++) {
        struct part *part = &dump->parts[i];
        part->dump = dump;
        part->worker = &runtime->workers[i];
        part->mail.deliver = ask_arrived;
        weft_worker_send(part->worker, &part->mail);
    }
    return dump;
}

/* Leaves with the guard entered. */
static void wait_for_answers(struct dump *dump)
{
    struct weft_waiter waiter;
    struct weft_fiber *self = weft_whoever();
    int64_t deadline_ns = weft_now() + ANSWER_NS;
    int err = 0;
    weft_guard_enter(&dump->guard);
    while (dump->missing > 0 && err != -ETIMEDOUT) {
        self->waits_for = "descriptions of all fibers";
        err = weft_park_served(self, &dump->guard, &dump->waiting, &waiter, deadline_ns,
                               WEFT_PARK_SHIELDED);
        weft_guard_enter(&dump->guard);
    }
}

int weft_inspect(struct weft_runtime *runtime, struct weft_buffer *text)
{
    struct dump *dump = ask(runtime);
    if (!dump)
        return -ENOMEM;
    wait_for_answers(dump);
    for (unsigned i = 0; i < dump->parts_len; i++) {
        const struct part *part = &dump->parts[i];
        if (part->done)
            weft_buffer_append(text, part->text.data, part->text.len);
        else
            weft_buffer_append_format(text, "worker %u: no answer: busy with one fiber, or ended\n",
                                      i);
    }
    leave(dump);
    return text->err;
}

int weft_inspect_worker(struct weft_worker *worker, struct weft_buffer *text)
{
    struct part *part = calloc(1, sizeof *part);
    if (!part)
        return -ENOMEM;
    part->worker = worker;
    show_worker(part);
    weft_buffer_append(text, part->text.data, part->text.len);
    weft_buffer_deinit(&part->text);
    free(part);
    return text->err;
}

int weft_dump(int fd)
{
    struct weft_scope scope;
    struct weft_buffer text;
    const struct weft_fiber *self = weft_self();
    if (!self)
        return -EPERM;
    struct weft_runtime *runtime = self->worker->runtime;
    weft_buffer_init(&text, runtime->workers_len * (PART_BYTES_MAX + 100));
    int err = weft_inspect(runtime, &text);
    if (err == 0) {
        weft_scope_enter(&scope, weft_now() + WRITE_NS, WEFT_SCOPE_SHIELD);
        err = weft_write_all(fd, text.data, text.len, WEFT_FOREVER, NULL);
        err = weft_scope_leave(&scope, err);
    }
    weft_buffer_deinit(&text);
    return err;
}
