/* SPDX-License-Identifier: MIT
 * local.c - see weft/local.h. */
#include <runtime/local.h>
#include <runtime/worker.h>

#include <stdlib.h>

static struct weft_local *make_local(const struct weft_local_key *key, void *value,
                                     struct weft_local *next)
{
    struct weft_local *local = malloc(sizeof *local);
    if (local)
        *local = (struct weft_local){.next = next, .key = key, .value = value};
    return local;
}

static void free_local(struct weft_local *local)
{
    if (local->value && local->key->release)
        local->key->release(local->value);
    free(local);
}

void weft_locals_release(struct weft_local **locals)
{
    struct weft_local *local;
    while ((local = *locals)) {
        *locals = local->next;
        free_local(local);
    }
}

int weft_locals_inherit(const struct weft_fiber *parent, struct weft_local **ret_locals)
{
    struct weft_local *locals = NULL;
    for (const struct weft_local *local = parent->locals; local; local = local->next) {
        void *value = local->key->inherit ? local->key->inherit(local->value) : NULL;
        if (!value)
            continue;
        struct weft_local *inherited = make_local(local->key, value, locals);
        if (!inherited) {
            if (local->key->release)
                local->key->release(value);
            weft_locals_release(&locals);
            return -ENOMEM;
        }
        locals = inherited;
    }
    *ret_locals = locals;
    return 0;
}

static struct weft_local **find(struct weft_fiber *self, const struct weft_local_key *key)
{
    struct weft_local **at = &self->locals;
    while (*at && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

int weft_local_set(const struct weft_local_key *key, void *value)
{
    struct weft_fiber *self = weft_self();
    if (!self)
        return -EPERM;
    struct weft_local **at = find(self, key);
    struct weft_local *old = *at;
    if (value) {
        struct weft_local *local = make_local(key, value, old ? old->next : NULL);
        if (!local)
            return -ENOMEM;
        *at = local;
    } else if (old) {
        *at = old->next;
    }
    if (old)
        free_local(old);
    return 0;
}

void *weft_local_get(const struct weft_local_key *key)
{
    struct weft_fiber *self = weft_self();
    struct weft_local *local = self ? *find(self, key) : NULL;
    return local ? local->value : NULL;
}
