/* SPDX-License-Identifier: MIT
 * watch.c - tells those who claim for workers elsewhere that a queue may have something. */
#include "engine_internal.h"

#include <string.h>

int weft_queue_watch_begin(struct weft_queue_watch *watch, struct weft_engine *engine,
                           const char *const *queues, size_t count)
{
    *watch = (struct weft_queue_watch){.queues = queues, .count = count};
    int err = weft_wake_init(&watch->wake);
    if (err == 0)
        weft_list_append(&engine->watches, &watch->link);
    return err;
}

void weft_queue_watch_look(struct weft_queue_watch *watch)
{
    weft_wake_clear(&watch->wake);
}

struct weft_case weft_queue_watch_case(struct weft_queue_watch *watch)
{
    return weft_case_event(&watch->wake.event);
}

void weft_queue_watch_end(struct weft_queue_watch *watch)
{
    weft_list_unlink(&watch->link);
    weft_wake_deinit(&watch->wake);
}

static bool is_watched(const struct weft_queue_watch *watch, const char *queue)
{
    for (size_t i = 0; i < watch->count; i++) {
        if (strcmp(watch->queues[i], queue) == 0)
            return true;
    }
    return false;
}

void weft_watches_tell(struct weft_engine *engine, const char *queue)
{
    for (struct weft_link *link = engine->watches.next; link != &engine->watches;
         link = link->next) {
        struct weft_queue_watch *watch = weft_container_of(link, struct weft_queue_watch, link);
        if (!queue || is_watched(watch, queue))
            weft_wake_post(&watch->wake);
    }
}
