/* SPDX-License-Identifier: MIT
 * load_schedule.c - see load_schedule.h. */
#include <lab/load_schedule.h>

#include <base/time.h>

#include <math.h>
#include <string.h>

#define NS_PER_S         1e9

#define load(at)         __atomic_load_n(at, __ATOMIC_RELAXED)
#define store(at, value) __atomic_store_n(at, value, __ATOMIC_RELAXED)

/* Numbers are exact in a double up to here, and nobody gets that far. */
#define NUMBERS_MAX ((uint64_t)1 << 53)

/* How many requests are due within the first length_s of a part that lasts whole_s. */
static double area_of(const struct weft_load_step *step, double length_s, double whole_s)
{
    double slope = whole_s > 0 ? (step->to_per_s - step->from_per_s) / whole_s : 0;
    return length_s * (step->from_per_s + slope * length_s / 2);
}

/* Put a part behind the others. */
static void add_part(struct weft_load_schedule *schedule, const struct weft_load_step *step,
                     int64_t length_ns)
{
    struct weft_load_part *part = &schedule->parts[schedule->count];
    struct weft_load_part *end = &schedule->parts[++schedule->count];
    part->step = *step;
    part->length_ns = length_ns;
    if (length_ns == WEFT_FOREVER) {
        *end = (struct weft_load_part){
            .begin_ns = WEFT_FOREVER, .area = (double)NUMBERS_MAX, .first = NUMBERS_MAX};
        return;
    }
    double length_s = (double)length_ns / NS_PER_S;
    end->begin_ns = weft_time_after(part->begin_ns, length_ns);
    end->area = fmin(part->area + area_of(step, length_s, length_s), (double)NUMBERS_MAX);
    end->first = (uint64_t)ceil(end->area);
}

void weft_load_schedule_init(struct weft_load_schedule *schedule, const struct weft_load_plan *plan)
{
    static const struct weft_load_step closed;
    const struct weft_load_step *first = plan->steps_count > 0 ? &plan->steps[0] : &closed;
    struct weft_load_step warmup = {first->from_per_s, first->from_per_s, 0};
    if (!(warmup.from_per_s > 0)) /* a ramp from nothing is no way to warm up */
        warmup.from_per_s = warmup.to_per_s = first->to_per_s;
    memset(schedule, 0, sizeof *schedule); /* too large for a temporary on a fiber's stack */
    schedule->open = plan->steps_count > 0;
    schedule->requests_max = plan->requests > 0 ? plan->requests : UINT64_MAX;
    schedule->end_ns = WEFT_FOREVER;
    add_part(schedule, &warmup, plan->warmup_ns);
    int64_t alone_ns = plan->duration_ns > 0 ? plan->duration_ns : WEFT_FOREVER;
    if (!schedule->open)
        add_part(schedule, &closed, alone_ns);
    for (size_t i = 0; i < plan->steps_count; i++) {
        const struct weft_load_step *step = &plan->steps[i];
        add_part(schedule, step, step->length_ns > 0 ? step->length_ns : alone_ns);
    }
}

static const struct weft_load_part *end_of(const struct weft_load_schedule *schedule)
{
    return &schedule->parts[schedule->count];
}

void weft_load_schedule_start(struct weft_load_schedule *schedule, int64_t now_ns)
{
    int64_t none = WEFT_FOREVER;
    schedule->start_ns = now_ns;
    /* A stop may have come before. */
    (void)__atomic_compare_exchange_n(&schedule->end_ns, &none,
                                      weft_time_after(now_ns, end_of(schedule)->begin_ns), false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The part that a request is due in; number is below the end's first. */
static unsigned part_of(const struct weft_load_schedule *schedule, uint64_t number)
{
    unsigned low = 0, high = schedule->count; /* the answer lies in [low, high) */
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (schedule->parts[middle].first <= number)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The time since the part's begin at which the area under its rate reaches x: the root of
 * slope/2 t^2 + from t = x, in the form that is exact when the slope is 0. */
static int64_t due_in_part(const struct weft_load_part *part, double x)
{
    double from = part->step.from_per_s;
    double length_s = (double)part->length_ns / NS_PER_S;
    double slope = part->length_ns == WEFT_FOREVER ? 0 : (part->step.to_per_s - from) / length_s;
    if (!(x > 0))
        return 0;
    double t = 2 * x / (from + sqrt(fmax(from * from + 2 * slope * x, 0))) * NS_PER_S;
    return t < (double)part->length_ns ? (int64_t)t : part->length_ns - 1;
}

/* When a request is due, since the start. */
static int64_t due_ns(const struct weft_load_schedule *schedule, uint64_t number, unsigned part)
{
    const struct weft_load_part *in = &schedule->parts[part];
    return in->begin_ns + due_in_part(in, (double)number - in->area);
}

/* The number behind the last one, were there time without end. */
static uint64_t numbers_end(const struct weft_load_schedule *schedule)
{
    uint64_t planned = end_of(schedule)->first, before = schedule->parts[1].first;
    return schedule->requests_max < planned - before ? before + schedule->requests_max : planned;
}

static bool take_closed(struct weft_load_schedule *schedule, int64_t now_ns,
                        struct weft_load_turn *ret_turn)
{
    bool warm = now_ns - schedule->start_ns < schedule->parts[1].begin_ns;
    if (!warm && schedule->requests_max != UINT64_MAX &&
        __atomic_fetch_add(&schedule->measured, 1, __ATOMIC_RELAXED) >= schedule->requests_max)
        return false;
    *ret_turn = (struct weft_load_turn){
        .number = __atomic_fetch_add(&schedule->next, 1, __ATOMIC_RELAXED),
        .due_ns = now_ns,
        .part = !warm,
    };
    return true;
}

bool weft_load_schedule_take(struct weft_load_schedule *schedule, int64_t now_ns,
                             struct weft_load_turn *ret_turn)
{
    if (now_ns >= load(&schedule->end_ns))
        return false;
    if (!schedule->open)
        return take_closed(schedule, now_ns, ret_turn);
    uint64_t number = load(&schedule->next), end = numbers_end(schedule);
    do {
        if (number >= end)
            return false;
    } while (!__atomic_compare_exchange_n(&schedule->next, &number, number + 1, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    unsigned part = part_of(schedule, number);
    *ret_turn = (struct weft_load_turn){
        .number = number,
        .due_ns = weft_time_after(schedule->start_ns, due_ns(schedule, number, part)),
        .part = part,
    };
    return true;
}

void weft_load_schedule_stop(struct weft_load_schedule *schedule, int64_t now_ns)
{
    if (now_ns < load(&schedule->end_ns))
        store(&schedule->end_ns, now_ns);
}

unsigned weft_load_schedule_part_at(const struct weft_load_schedule *schedule, int64_t now_ns,
                                    unsigned from)
{
    int64_t since_ns = now_ns - schedule->start_ns;
    unsigned part = from;
    if (now_ns >= load(&schedule->end_ns))
        return WEFT_LOAD_PART_NONE;
    while (since_ns >= schedule->parts[part + 1].begin_ns)
        part++;
    return part;
}

/* The number behind the last one that was due before the end, which a stop may have moved. */
static uint64_t due_before_end(const struct weft_load_schedule *schedule)
{
    int64_t length_ns = load(&schedule->end_ns) - schedule->start_ns;
    uint64_t low = 0, high = numbers_end(schedule); /* the answer lies in [low, high] */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (due_ns(schedule, middle, part_of(schedule, middle)) < length_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many of the part's requests lie in [from, to). */
static uint64_t overlap(const struct weft_load_schedule *schedule, unsigned part, uint64_t from,
                        uint64_t to)
{
    uint64_t first = schedule->parts[part].first, end = schedule->parts[part + 1].first;
    if (from < first)
        from = first;
    if (to > end)
        to = end;
    return to > from ? to - from : 0;
}

uint64_t weft_load_schedule_intended(const struct weft_load_schedule *schedule, unsigned part)
{
    return schedule->open ? overlap(schedule, part, 0, due_before_end(schedule)) : 0;
}

uint64_t weft_load_schedule_left(const struct weft_load_schedule *schedule, unsigned part)
{
    return schedule->open ? overlap(schedule, part, load(&schedule->next), due_before_end(schedule))
                          : 0;
}

double weft_load_schedule_rate(const struct weft_load_schedule *schedule, int64_t now_ns)
{
    unsigned at = weft_load_schedule_part_at(schedule, now_ns, 0);
    if (at == WEFT_LOAD_PART_NONE)
        return 0;
    const struct weft_load_part *part = &schedule->parts[at];
    double share = (double)(now_ns - schedule->start_ns - part->begin_ns) / (double)part->length_ns;
    return part->step.from_per_s + (part->step.to_per_s - part->step.from_per_s) * share;
}
