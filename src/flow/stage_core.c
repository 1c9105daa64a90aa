/* SPDX-License-Identifier: MIT
 * stage_core.c - see stage_core.h. */
#include <flow/stage_core.h>

#include <base/time.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)16)

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct weft_lot *lot_of(struct weft_link *link)
{
    return weft_container_of(link, struct weft_lot, link);
}

static int make_lots(struct weft_stage_core *core)
{
    const struct weft_stage_limits *limits = &core->limits;
    size_t ins = aligned(limits->batch_max * limits->item_bytes_in);
    size_t outs = aligned(limits->batch_max * limits->item_bytes_out);
    size_t head = aligned(sizeof(struct weft_lot)), bytes = head + ins + outs;
    unsigned char *memory = calloc(limits->lots_max, bytes);
    if (!memory)
        return -ENOMEM;
    core->lots = memory;
    for (size_t i = 0; i < limits->lots_max; i++, memory += bytes) {
        struct weft_lot *lot = (struct weft_lot *)(void *)memory;
        lot->ins = memory + head;
        lot->outs = memory + head + ins;
        weft_list_append(&core->spare, &lot->link);
    }
    return 0;
}

int weft_stage_core_init(struct weft_stage_core *core, const struct weft_stage_limits *limits)
{
    *core = (struct weft_stage_core){.limits = *limits};
    weft_list_init(&core->inside);
    weft_list_init(&core->spare);
    bool timed = limits->batch_max > 1 && limits->batch_age_ns != WEFT_FOREVER;
    core->items = calloc(limits->queue_max, limits->item_bytes_in);
    if (timed)
        core->came_at_ns = calloc(limits->queue_max, sizeof *core->came_at_ns);
    if (core->items && (core->came_at_ns || !timed) && make_lots(core) == 0)
        return 0;
    weft_stage_core_deinit(core);
    return -ENOMEM;
}

void weft_stage_core_deinit(struct weft_stage_core *core)
{
    free(core->items);
    free(core->came_at_ns);
    free(core->lots);
    core->items = NULL;
    core->came_at_ns = NULL;
    core->lots = NULL;
}

/* ---- the ring -------------------------------------------------------------------------- */

/* Most items are a pointer or a number: for those it is one move instead of a call. */
static inline void copy_item(const struct weft_stage_core *core, void *to, const void *from)
{
    if (core->limits.item_bytes_in == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, core->limits.item_bytes_in);
}

static inline void pop(struct weft_stage_core *core, void *ret_item)
{
    copy_item(core, ret_item, core->items + core->head * core->limits.item_bytes_in);
    core->head = core->head + 1 == core->limits.queue_max ? 0 : core->head + 1;
    core->count--;
    core->first++;
}

enum weft_stage_pushed weft_stage_core_push(struct weft_stage_core *core, const void *item,
                                            int64_t now_ns, void *ret_oldest)
{
    enum weft_stage_pushed pushed = WEFT_STAGE_PUSHED;
    if (core->count == core->limits.queue_max) {
        if (core->limits.on_full == WEFT_STAGE_DROP_NEWEST)
            return WEFT_STAGE_NOT_PUSHED;
        if (core->limits.on_full != WEFT_STAGE_DROP_OLDEST)
            return WEFT_STAGE_FULL;
        pop(core, ret_oldest);
        pushed = WEFT_STAGE_PUSHED_FOR_OLDEST;
    }
    size_t at = core->head + core->count;
    if (at >= core->limits.queue_max)
        at -= core->limits.queue_max;
    copy_item(core, core->items + at * core->limits.item_bytes_in, item);
    if (core->came_at_ns)
        core->came_at_ns[at] = now_ns;
    if (++core->count > core->count_max)
        core->count_max = core->count;
    return pushed;
}

size_t weft_stage_core_ready(const struct weft_stage_core *core, int64_t now_ns, int64_t *ret_at_ns)
{
    size_t batch_max = core->limits.batch_max;
    *ret_at_ns = WEFT_FOREVER;
    if (core->count >= batch_max)
        return batch_max;
    if (core->count == 0 || core->first < core->cut)
        return core->count;
    if (!core->came_at_ns)
        return 0;
    int64_t due_ns = weft_time_after(core->came_at_ns[core->head], core->limits.batch_age_ns);
    if (due_ns <= now_ns)
        return core->count;
    *ret_at_ns = due_ns;
    return 0;
}

/* ---- lots ------------------------------------------------------------------------------ */

struct weft_lot *weft_stage_core_take(struct weft_stage_core *core, size_t count)
{
    if (weft_list_empty(&core->spare))
        return NULL;
    struct weft_lot *lot = lot_of(core->spare.next);
    weft_list_unlink(&lot->link);
    weft_list_append(&core->inside, &lot->link);
    lot->first = core->first;
    lot->count = count;
    lot->out_count = 0;
    lot->done = false;
    for (size_t i = 0; i < count; i++)
        pop(core, lot->ins + i * core->limits.item_bytes_in);
    return lot;
}

/* The first is next, if it is done. */
static struct weft_lot *next_in_order(struct weft_stage_core *core)
{
    struct weft_lot *next = NULL;
    if (!weft_list_empty(&core->inside) && lot_of(core->inside.next)->done)
        next = lot_of(core->inside.next);
    core->passing_on = next != NULL;
    return next;
}

struct weft_lot *weft_stage_core_done(struct weft_stage_core *core, struct weft_lot *lot)
{
    lot->done = true;
    if (!core->limits.ordered)
        return lot;
    return core->passing_on ? NULL : next_in_order(core);
}

struct weft_lot *weft_stage_core_passed(struct weft_stage_core *core, struct weft_lot *lot)
{
    weft_list_unlink(&lot->link);
    weft_list_append(core->spare.next, &lot->link); /* before the first: its memory is warm */
    return core->limits.ordered ? next_in_order(core) : NULL;
}

bool weft_stage_core_turn(const struct weft_stage_core *core, const struct weft_lot *lot)
{
    return core->inside.next == &lot->link && !core->passing_on;
}

uint64_t weft_stage_core_settled(const struct weft_stage_core *core)
{
    return weft_list_empty(&core->inside) ? core->first : lot_of(core->inside.next)->first;
}
