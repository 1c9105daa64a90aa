/* SPDX-License-Identifier: MIT
 * meter.c - see meter.h. */
#include <obs/meter.h>
#include <os/clock.h>

#include <errno.h>
#include <stdlib.h>

#define COUNT_TRIES   8
#define MARK_PAUSE_NS (10 * WEFT_USEC) /* nobody asks for more samples of shorter waits */

/* One worker's; written on its thread only. */
struct meter {
    struct weft_meter meter;
    struct weft_histogram *measures[WEFT_MEASURES];
    int64_t began_ns; /* set by other threads: what was before does not count */
    int64_t seen_began_ns;
    int64_t previous_ns, latest_ns; /* turns */
    /* Who became runnable at marked_at_ns (0: no mark) would have had its turn by now if as many
     * have as were pushed then. */
    int64_t marked_at_ns, served_at_ns;
    uint64_t marked_push;
};

/* ---- on the worker's thread ------------------------------------------------------------ */

static void see_turn(struct weft_meter *base, const struct weft_worker *worker, int64_t now_ns,
                     int64_t resumed_at_ns)
{
    struct meter *meter = weft_container_of(base, struct meter, meter);
    int64_t began_ns = __atomic_load_n(&meter->began_ns, __ATOMIC_RELAXED);
    if (began_ns != meter->seen_began_ns) {
        meter->seen_began_ns = meter->latest_ns = began_ns;
        meter->marked_at_ns = 0;
    }
    if (resumed_at_ns && resumed_at_ns < began_ns)
        resumed_at_ns = began_ns;
    meter->previous_ns = meter->latest_ns;
    meter->latest_ns = now_ns;
    if (resumed_at_ns)
        weft_histogram_record(meter->measures[WEFT_MEASURE_SLICE], now_ns - resumed_at_ns);
    if (meter->marked_at_ns && worker->popped >= meter->marked_push) {
        weft_histogram_record(meter->measures[WEFT_MEASURE_WAIT], now_ns - meter->marked_at_ns);
        meter->marked_at_ns = 0;
        meter->served_at_ns = now_ns;
    }
    if (!meter->marked_at_ns && worker->run_first &&
        now_ns - meter->served_at_ns >= MARK_PAUSE_NS) {
        meter->marked_at_ns = now_ns;
        meter->marked_push = worker->pushed;
    }
}

/* A deadline from before the previous turn was not missed by the scheduler: it had passed already
 * when the timer was set. Of a turn that began before measuring did, nothing is known. */
static void see_fired(struct weft_meter *base, int64_t now_ns, int64_t deadline_ns)
{
    struct meter *meter = weft_container_of(base, struct meter, meter);
    if (__atomic_load_n(&meter->began_ns, __ATOMIC_RELAXED) != meter->seen_began_ns)
        return;
    int64_t due_ns = deadline_ns > meter->previous_ns ? deadline_ns : meter->previous_ns;
    weft_histogram_record(meter->measures[WEFT_MEASURE_LAG], now_ns - due_ns);
}

/* ---- beginning and end ----------------------------------------------------------------- */

static void free_meter(struct weft_meter *base)
{
    struct meter *meter = weft_container_of(base, struct meter, meter);
    for (unsigned i = 0; i < WEFT_MEASURES; i++)
        weft_histogram_close(meter->measures[i]);
    free(meter);
}

static struct weft_meter *make_meter(void)
{
    struct meter *meter = calloc(1, sizeof *meter);
    if (!meter)
        return NULL;
    meter->meter = (struct weft_meter){see_turn, see_fired, free_meter};
    for (unsigned i = 0; i < WEFT_MEASURES; i++) {
        if (weft_histogram_open(&meter->measures[i]) < 0) {
            free_meter(&meter->meter);
            return NULL;
        }
    }
    return &meter->meter;
}

/* Under the watch lock. */
static int make_meters(struct weft_runtime *runtime)
{
    int err = weft_watch_open(runtime);
    for (unsigned i = 0; i < runtime->workers_len && err == 0; i++) {
        struct weft_watched *watched = &runtime->watch->workers[i];
        if (!watched->meter)
            watched->meter = make_meter();
        if (!watched->meter)
            err = -ENOMEM;
    }
    return err;
}

int weft_meter_begin(struct weft_runtime *runtime)
{
    int64_t now_ns = weft_clock_monotonic_ns();
    weft_lock(&runtime->watch_lock);
    int err = make_meters(runtime);
    for (unsigned i = 0; i < runtime->workers_len && err == 0 && runtime->measuring == 0; i++) {
        struct weft_meter *base = runtime->watch->workers[i].meter;
        struct meter *meter = weft_container_of(base, struct meter, meter);
        __atomic_store_n(&meter->began_ns, now_ns, __ATOMIC_RELAXED);
        __atomic_store_n(&runtime->workers[i].meter, base, __ATOMIC_RELEASE);
    }
    runtime->measuring += err == 0;
    weft_unlock(&runtime->watch_lock);
    return err;
}

void weft_meter_end(struct weft_runtime *runtime)
{
    weft_lock(&runtime->watch_lock);
    runtime->measuring--;
    for (unsigned i = 0; i < runtime->workers_len && runtime->measuring == 0; i++)
        __atomic_store_n(&runtime->workers[i].meter, NULL, __ATOMIC_RELEASE);
    weft_unlock(&runtime->watch_lock);
}

/* ---- on any thread --------------------------------------------------------------------- */

void weft_meter_collect(struct weft_runtime *runtime, enum weft_measure measure,
                        struct weft_histogram *into)
{
    for (unsigned i = 0; i < runtime->workers_len; i++) {
        struct weft_meter *base = runtime->watch->workers[i].meter;
        const struct meter *meter = weft_container_of(base, struct meter, meter);
        weft_histogram_merge(into, meter->measures[measure]);
    }
}

#define load(at) __atomic_load_n(at, __ATOMIC_RELAXED)

/* The length of the run queue. Both counters move while we read them; it is exact when one of them
 * was seen not to, as always in a worker that is blocked. */
static uint64_t count_runnable(const struct weft_worker *worker)
{
    uint64_t popped = load(&worker->popped), pushed = 0, before;
    for (int i = 0; i < COUNT_TRIES; i++) {
        before = popped;
        pushed = __atomic_load_n(&worker->pushed, __ATOMIC_ACQUIRE);
        popped = __atomic_load_n(&worker->popped, __ATOMIC_ACQUIRE);
        if (popped == before)
            break;
    }
    return pushed > popped ? pushed - popped : 0;
}

void weft_runtime_count(const struct weft_runtime *runtime, struct weft_runtime_snapshot *ret)
{
    *ret = (struct weft_runtime_snapshot){.workers = runtime->workers_len};
    for (unsigned i = 0; i < runtime->workers_len; i++) {
        const struct weft_worker *worker = &runtime->workers[i];
        ret->fibers += load(&worker->fibers);
        ret->runnable += count_runnable(worker);
        ret->spawned += load(&worker->spawned);
        ret->switches += load(&worker->popped);
    }
}

int weft_runtime_snapshot(struct weft_runtime_snapshot *ret)
{
    const struct weft_worker *worker = weft_current_worker;
    if (!worker)
        return -EPERM;
    weft_runtime_count(worker->runtime, ret);
    return 0;
}
