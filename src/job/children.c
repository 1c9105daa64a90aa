/* SPDX-License-Identifier: MIT
 * children.c - the pool: who gets which child, and when one is replaced. See children.h.
 *
 * A call holds one of size places, first come, first served. With a place it takes an idle child,
 * or starts one where there is none: so there are never more than size of them. */
#include <job/children.h>

#include <job/member.h>

#include <base/time.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/sync.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITERS_DEFAULT 1024u
#define JOBS_DEFAULT    100u
#define BACKOFF_MIN_NS  (100 * WEFT_MSEC)
#define BACKOFF_MAX_NS  (10 * WEFT_SEC)

struct weft_children {
    struct weft_children_options options;
    struct weft_semaphore places;
    struct weft_link idle;     /* members, the one used last at the end */
    unsigned crashes_in_a_row; /* without a job that was answered */
    int64_t retry_at_ns;       /* no child is started before */
    struct weft_children_counts counts;
};

/* ---- options ----------------------------------------------------------------------------- */

static bool valid(const struct weft_children_options *options)
{
    return options->command && options->command[0] && options->size <= WEFT_CHILDREN_MAX &&
           options->timeout_ns >= 0 && options->start_timeout_ns >= 0 &&
           options->backoff_min_ns >= 0 && options->backoff_max_ns >= 0 &&
           (options->grace_ns >= 0 || options->grace_ns == WEFT_NO_GRACE);
}

static unsigned processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1)
        return 1;
    return count < (long)WEFT_CHILDREN_MAX ? (unsigned)count : WEFT_CHILDREN_MAX;
}

static void fill_in(struct weft_children_options *options)
{
    if (!options->size)
        options->size = processors();
    if (!options->waiters_max)
        options->waiters_max = WAITERS_DEFAULT;
    if (!options->jobs_max)
        options->jobs_max = JOBS_DEFAULT;
    if (!options->backoff_min_ns)
        options->backoff_min_ns = BACKOFF_MIN_NS;
    if (!options->backoff_max_ns)
        options->backoff_max_ns = BACKOFF_MAX_NS;
}

/* ---- children come and go ---------------------------------------------------------------- */

static void put_idle(struct weft_children *children, struct weft_member *member)
{
    weft_list_append(&children->idle, &member->link);
    children->counts.idle++;
}

/* The one used last, NULL when there is none. */
static struct weft_member *take_idle(struct weft_children *children)
{
    if (weft_list_empty(&children->idle))
        return NULL;
    struct weft_member *member = weft_container_of(children->idle.prev, struct weft_member, link);
    weft_list_unlink(&member->link);
    children->counts.idle--;
    return member;
}

/* The first crash costs no time, the next ones ever more. */
static void note_crash(struct weft_children *children)
{
    int64_t max_ns = children->options.backoff_max_ns, delay_ns = children->options.backoff_min_ns;
    for (unsigned i = 1; i < children->crashes_in_a_row && delay_ns < max_ns; i++)
        delay_ns = delay_ns <= max_ns / 2 ? delay_ns * 2 : max_ns;
    if (delay_ns > max_ns)
        delay_ns = max_ns;
    if (children->crashes_in_a_row == 0)
        delay_ns = 0;
    children->crashes_in_a_row++;
    children->counts.crashed++;
    children->retry_at_ns = weft_time_after(weft_now(), delay_ns);
}

static int start(struct weft_children *children, struct weft_member **ret_member)
{
    int err = weft_member_open(ret_member, &children->options);
    if (err == 0)
        children->counts.started++;
    else if (err != -ECANCELED)
        note_crash(children);
    return err;
}

/* One that may be given a job, or greeted. Returns 0, -ECANCELED, or why none can be started */
static int take(struct weft_children *children, struct weft_member **ret_member)
{
    for (int err = 0; err == 0; err = weft_sleep_until(children->retry_at_ns)) {
        struct weft_member *member;
        while ((member = take_idle(children))) {
            /* A new one that is dead will be asked for the reason. */
            if (member->state == WEFT_MEMBER_NEW || !weft_member_is_dead(member)) {
                *ret_member = member;
                return 0;
            }
            note_crash(children);
            weft_member_close(member);
        }
        if (children->retry_at_ns <= weft_now())
            return start(children, ret_member);
    }
    return -ECANCELED;
}

/* In the place of one that is gone. Where that has to wait, who needs it will start it. */
static void replace(struct weft_children *children)
{
    struct weft_member *member;
    if (children->retry_at_ns <= weft_now() && start(children, &member) == 0)
        put_idle(children, member);
}

static bool is_worn(const struct weft_children *children, const struct weft_member *member)
{
    size_t bytes_max = children->options.resident_bytes_max;
    return member->jobs >= children->options.jobs_max ||
           (bytes_max > 0 && weft_member_resident_bytes(member) > bytes_max);
}

/* After a job, or an attempt at one. Shielded. */
static void put_back(struct weft_children *children, struct weft_member *member)
{
    if (member->state == WEFT_MEMBER_BROKEN) {
        note_crash(children);
    } else if (member->state == WEFT_MEMBER_SPENT || is_worn(children, member)) {
        children->counts.replaced++;
    } else {
        put_idle(children, member);
        return;
    }
    weft_member_close(member);
    replace(children);
}

/* ---- open and close ---------------------------------------------------------------------- */

static int start_all(struct weft_children *children, struct weft_outcome *ret_outcome)
{
    struct weft_outcome outcome = {.exit_code = -1};
    struct weft_member *member;
    int err = 0;
    for (unsigned i = 0; !err && i < children->options.size; i++) {
        err = start(children, &member);
        if (err == 0)
            put_idle(children, member);
    }
    if (err == 0)
        err = weft_member_greet(weft_container_of(children->idle.next, struct weft_member, link),
                                &outcome);
    if (err == -ECHILD && ret_outcome)
        *ret_outcome = outcome;
    else
        weft_outcome_release(&outcome);
    return err;
}

int weft_children_open(struct weft_children **ret_children,
                       const struct weft_children_options *options,
                       struct weft_outcome *ret_outcome)
{
    if (!valid(options))
        return -EINVAL;
    struct weft_children *children = calloc(1, sizeof *children);
    if (!children)
        return -ENOMEM;
    children->options = *options;
    fill_in(&children->options);
    children->counts.size = children->options.size;
    weft_list_init(&children->idle);
    int err = weft_semaphore_init(&children->places, children->options.size, WEFT_LOCAL);
    if (err == 0)
        err = start_all(children, ret_outcome);
    if (err < 0) {
        weft_children_close(children);
        return err;
    }
    *ret_children = children;
    return 0;
}

void weft_children_close(struct weft_children *children)
{
    struct weft_member *member;
    if (!children)
        return;
    WEFT_LIST_FOR_EACH (link, &children->idle) { /* they leave all at once */
        member = weft_container_of(link, struct weft_member, link);
        (void)shutdown(member->socket, SHUT_RDWR);
    }
    while ((member = take_idle(children)))
        weft_member_close(member);
    free(children);
}

void weft_children_counts(const struct weft_children *children,
                          struct weft_children_counts *ret_counts)
{
    *ret_counts = children->counts;
}

/* ---- one attempt ------------------------------------------------------------------------- */

static int take_place(struct weft_children *children)
{
    int err = weft_semaphore_acquire(&children->places, 1, WEFT_NOWAIT);
    if (err != -EAGAIN)
        return err;
    if (children->counts.waiting >= children->options.waiters_max)
        return WEFT_EFULL;
    children->counts.waiting++;
    err = weft_semaphore_acquire(&children->places, 1, WEFT_FOREVER);
    children->counts.waiting--;
    return err;
}

static int greet_and_work(struct weft_children *children, struct weft_member *member,
                          const struct weft_execution *execution,
                          const struct weft_children_listener *listener,
                          struct weft_outcome *ret_outcome)
{
    int err = 0;
    if (member->state == WEFT_MEMBER_NEW)
        err = weft_member_greet(member, ret_outcome);
    if (err == -ECHILD)
        return 0; /* the outcome says so */
    if (err < 0)
        return err;
    err = weft_member_work(member, execution, listener, ret_outcome);
    if (err == 0 && member->state == WEFT_MEMBER_IDLE)
        children->crashes_in_a_row = 0;
    return err;
}

static int with_place(struct weft_children *children, const struct weft_execution *execution,
                      const struct weft_children_listener *listener,
                      struct weft_outcome *ret_outcome)
{
    struct weft_member *member;
    struct weft_scope shield;
    int err = take(children, &member);
    if (err == -ECANCELED || err == -ENOMEM)
        return err;
    if (err < 0) {
        struct weft_outcome outcome = {.exit_code = -1};
        weft_outcome_say(&outcome, WEFT_OUTCOME_FAILED, "no process can be started: %s",
                         weft_strerror(err));
        *ret_outcome = outcome;
        return 0;
    }
    err = greet_and_work(children, member, execution, listener, ret_outcome);
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    put_back(children, member);
    (void)weft_scope_leave(&shield, 0);
    return err;
}

int weft_children_run(struct weft_children *children, const struct weft_execution *execution,
                      const struct weft_children_listener *listener,
                      struct weft_outcome *ret_outcome)
{
    struct weft_execution asked = *execution;
    asked.timeout_ns = weft_shorter(children->options.timeout_ns, execution->timeout_ns);
    asked.grace_ns = weft_grace_of(children->options.grace_ns, execution);
    int err = take_place(children);
    if (err < 0)
        return err;
    err = with_place(children, &asked, listener, ret_outcome);
    (void)weft_semaphore_release(&children->places, 1);
    return err;
}
