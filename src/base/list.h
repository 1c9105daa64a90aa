/* SPDX-License-Identifier: MIT
 * list.h - doubly linked list through a struct weft_link inside the element.
 *
 * An unlinked element points to itself, so unlinking twice is harmless. */
#ifndef WEFT_BASE_LIST_H
#define WEFT_BASE_LIST_H

#include <weft/parts.h>

#include <stdbool.h>

#define weft_container_of(pointer, type, member)                                                   \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define WEFT_LIST_FOR_EACH(link, list)                                                             \
    for (struct weft_link *link = (list)->next; link != (list); link = link->next)

static inline void weft_list_init(struct weft_link *link)
{
    link->next = link->prev = link;
}

static inline bool weft_list_empty(const struct weft_link *list)
{
    return list->next == list;
}

static inline void weft_list_append(struct weft_link *list, struct weft_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

static inline void weft_list_unlink(struct weft_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = link;
}

#endif
