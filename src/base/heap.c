/* SPDX-License-Identifier: MIT
 * heap.c - see heap.h.
 *
 * Links: child is the first child; next and prev chain siblings, the first child's prev is its
 * parent. The root's prev is itself, so that a NULL prev always means "in no heap". */
#include <base/heap.h>

static bool before(const struct weft_timer *a, const struct weft_timer *b)
{
    return a->deadline_ns < b->deadline_ns ||
           (a->deadline_ns == b->deadline_ns && a->sequence < b->sequence);
}

/* Make one tree of two; neither has siblings that count. The result's next and prev are stale. */
static struct weft_timer *meld(struct weft_timer *a, struct weft_timer *b)
{
    struct weft_timer *parent = before(a, b) ? a : b;
    struct weft_timer *child = parent == a ? b : a;
    child->next = parent->child;
    if (child->next)
        child->next->prev = child;
    child->prev = parent;
    parent->child = child;
    return parent;
}

/* Make one tree of a chain of siblings: meld in pairs from the left, then the pairs from the
 * right. Both passes are what makes it O(log n) amortised. */
static struct weft_timer *meld_siblings(struct weft_timer *first)
{
    struct weft_timer *pairs = NULL;
    while (first) {
        struct weft_timer *a = first;
        struct weft_timer *b = a->next;
        first = b ? b->next : NULL;
        struct weft_timer *pair = b ? meld(a, b) : a;
        pair->next = pairs;
        pairs = pair;
    }
    struct weft_timer *tree = pairs;
    if (tree)
        pairs = tree->next;
    while (tree && pairs) {
        struct weft_timer *rest = pairs->next;
        tree = meld(tree, pairs);
        pairs = rest;
    }
    return tree;
}

static void set_root(struct weft_heap *heap, struct weft_timer *root)
{
    heap->root = root;
    if (root) {
        root->next = NULL;
        root->prev = root;
    }
}

void weft_heap_push(struct weft_heap *heap, struct weft_timer *timer)
{
    timer->sequence = heap->sequence++;
    timer->child = NULL;
    set_root(heap, heap->root ? meld(heap->root, timer) : timer);
}

void weft_heap_remove(struct weft_heap *heap, struct weft_timer *timer)
{
    if (!weft_timer_armed(timer))
        return;
    struct weft_timer *orphans = meld_siblings(timer->child);
    if (timer == heap->root) {
        set_root(heap, orphans);
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next)
            timer->next->prev = timer->prev;
        if (orphans)
            set_root(heap, meld(heap->root, orphans));
    }
    timer->child = timer->next = timer->prev = NULL;
}
