/* SPDX-License-Identifier: MIT
 * watch.c - tells those who claim for workers elsewhere that there may be something for them.
 *
 * For each job that becomes available one of them is told, who then looks at all that is there. So
 * as long as there is a job that nobody has looked at, somebody is told who has yet to look. Where
 * it is not known whom news concern, all are told. */
#include "engine_internal.h"

#include <string.h>

static bool is_among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static bool watches_queue(const struct weft_queue_watch *watch, const char *queue)
{
    return is_among(watch->claim->queues, watch->claim->queues_count, queue);
}

static bool wants_task(const struct weft_queue_watch *watch, const char *task)
{
    return !watch->claim->tasks || is_among(watch->claim->tasks, watch->claim->tasks_count, task);
}

static void tell(struct weft_queue_watch *watch)
{
    watch->told = true;
    weft_wake_post(&watch->wake);
}

int weft_queue_watch_begin(struct weft_queue_watch *watch, struct weft_engine *engine,
                           const struct weft_claim *claim)
{
    *watch = (struct weft_queue_watch){.engine = engine, .claim = claim};
    int err = weft_wake_init(&watch->wake);
    if (err == 0)
        weft_list_append(&engine->watches, &watch->link);
    return err;
}

void weft_queue_watch_look(struct weft_queue_watch *watch)
{
    watch->told = false;
    watch->busy = true;
    weft_wake_clear(&watch->wake);
}

struct weft_case weft_queue_watch_case(struct weft_queue_watch *watch)
{
    watch->busy = false;
    return weft_case_event(&watch->wake.event);
}

/* Jobs that may begin after a while: who knows of them was to claim them then. */
static bool waits_for_time(const struct weft_claim *claim)
{
    return claim->count == 0 && claim->next_us != INT64_MAX;
}

void weft_queue_watch_end(struct weft_queue_watch *watch)
{
    const struct weft_claim *claim = watch->claim;
    weft_list_unlink(&watch->link);
    weft_wake_deinit(&watch->wake);
    if (!watch->told && !waits_for_time(claim))
        return;
    for (size_t i = 0; i < claim->queues_count; i++)
        weft_watches_tell(watch->engine, claim->queues[i]);
}

void weft_watches_tell(struct weft_engine *engine, const char *queue)
{
    WEFT_LIST_FOR_EACH (link, &engine->watches) {
        struct weft_queue_watch *watch = weft_container_of(link, struct weft_queue_watch, link);
        if (!queue || watches_queue(watch, queue))
            tell(watch);
    }
}

/* Whoever has waited longest; somebody who looks at this moment only if nobody else is there. */
void weft_watches_tell_one(struct weft_engine *engine, const char *queue, const char *task)
{
    struct weft_queue_watch *busy = NULL;
    WEFT_LIST_FOR_EACH (link, &engine->watches) {
        struct weft_queue_watch *watch = weft_container_of(link, struct weft_queue_watch, link);
        if (watch->told || !watches_queue(watch, queue) || !wants_task(watch, task))
            continue;
        if (!watch->busy) {
            tell(watch);
            return;
        }
        busy = busy ? busy : watch;
    }
    if (busy)
        tell(busy);
}
