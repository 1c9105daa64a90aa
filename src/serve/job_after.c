/* SPDX-License-Identifier: MIT
 * job_after.c - which jobs of a body wait for which others. */
#include <serve/job_reader.h>

#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------------------ */

struct name {
    const char *text;
    uint32_t index; /* of the request */
};

/* All of a body, sorted. */
struct names {
    struct name *sorted;
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Where complaints about a job begin. */
static struct weft_reader *at_job(struct weft_job_reader *reader,
                                  const struct weft_job_request *request)
{
    reader->in.number = request->place;
    return &reader->in;
}

static int sort_names(struct weft_job_reader *reader, struct names *names)
{
    const struct weft_job_requests *requests = reader->requests;
    names->sorted = malloc((requests->count + 1) * sizeof *names->sorted);
    if (!names->sorted)
        return weft_refuse_memory(&reader->in);
    for (uint32_t i = 0; i < requests->count; i++)
        if (requests->items[i].name)
            names->sorted[names->count++] = (struct name){requests->items[i].name, i};
    qsort(names->sorted, names->count, sizeof *names->sorted, compare_names);
    for (size_t i = 1; i < names->count; i++) {
        const struct name *one = &names->sorted[i - 1], *other = &names->sorted[i];
        if (strcmp(one->text, other->text) == 0)
            return weft_refuse(at_job(reader, &requests->items[other->index]), 422,
                               "the name \"%s\" is taken by %s %u", one->text, reader->in.what,
                               requests->items[one->index].place);
    }
    return 0;
}

static int compare_with_name(const void *text, const void *name)
{
    return strcmp(text, ((const struct name *)name)->text);
}

/* What is the same stands together, in the order of the body. */
static int compare_needed(const void *a, const void *b)
{
    const struct weft_job_after *x = a, *y = b;
    int order;
    if (x->name && y->name)
        order = (x->index > y->index) - (x->index < y->index);
    else if (x->name || y->name)
        order = x->name ? -1 : 1;
    else
        order = memcmp(&x->id, &y->id, sizeof x->id);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

static int compare_positions(const void *a, const void *b)
{
    const struct weft_job_after *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

static bool is_same(const struct weft_job_after *a, const struct weft_job_after *b)
{
    if (a->name || b->name)
        return a->name && b->name && a->index == b->index;
    return memcmp(&a->id, &b->id, sizeof a->id) == 0;
}

/* Keep each entry once, where it came first. */
static void remove_doubles(struct weft_job_request *request)
{
    struct weft_job_after *after = request->after;
    size_t kept = 0;
    qsort(after, request->after_count, sizeof *after, compare_needed);
    for (size_t i = 0; i < request->after_count; i++)
        if (i == 0 || !is_same(&after[kept - 1], &after[i]))
            after[kept++] = after[i];
    request->after_count = kept;
    qsort(after, kept, sizeof *after, compare_positions);
}

/* Find the places of those that are named. */
static int resolve(struct weft_job_reader *reader, struct weft_job_request *request,
                   const struct names *names)
{
    for (size_t i = 0; i < request->after_count; i++) {
        struct weft_job_after *after = &request->after[i];
        after->position = (uint32_t)i;
        if (!after->name)
            continue;
        const struct name *found = bsearch(after->name, names->sorted, names->count,
                                           sizeof *names->sorted, compare_with_name);
        if (!found)
            return weft_refuse(at_job(reader, request), 422,
                               "\"after\" names \"%s\", which is no job of this request and no id",
                               after->name);
        if (&reader->requests->items[found->index] == request)
            return weft_refuse(at_job(reader, request), 422, "\"after\" names the job itself");
        after->index = found->index;
    }
    if (request->after_count > 1)
        remove_doubles(request);
    return 0;
}

/* ---- the order, and circles ------------------------------------------------------------- */

enum colour {
    UNSEEN,
    ON_THE_WAY, /* from where the search began to where it is */
    DONE,       /* has its place in the order, behind all that it waits for */
};

struct visit {
    uint32_t index; /* of a request */
    uint32_t next;  /* of its entries, the one to follow next */
};

struct search {
    struct weft_job_reader *reader;
    unsigned char *colours; /* enum colour of each request */
    struct visit *way;      /* room for as many visits as there are requests */
    uint32_t *order;
    size_t ordered;
};

/* Follow every way from one request. */
static int walk(struct search *search, uint32_t from)
{
    const struct weft_job_request *items = search->reader->requests->items;
    size_t depth = 1;
    search->way[0] = (struct visit){from, 0};
    search->colours[from] = ON_THE_WAY;
    while (depth > 0) {
        struct visit *here = &search->way[depth - 1];
        const struct weft_job_request *request = &items[here->index];
        while (here->next < request->after_count && !request->after[here->next].name)
            here->next++; /* ids lead elsewhere */
        if (here->next == request->after_count) {
            search->colours[here->index] = DONE;
            search->order[search->ordered++] = here->index;
            depth--;
            continue;
        }
        uint32_t to = request->after[here->next++].index;
        if (search->colours[to] == ON_THE_WAY)
            return weft_refuse(
                at_job(search->reader, request), 422,
                "\"after\" goes in a circle: it names \"%s\", which waits for \"%s\"",
                items[to].name, request->name);
        if (search->colours[to] == UNSEEN) {
            search->colours[to] = ON_THE_WAY;
            search->way[depth++] = (struct visit){to, 0};
        }
    }
    return 0;
}

static int find_order(struct weft_job_reader *reader)
{
    struct weft_job_requests *requests = reader->requests;
    uint32_t count = (uint32_t)requests->count;
    struct search search = {
        .reader = reader,
        .colours = calloc(count, sizeof *search.colours),
        .way = malloc(count * sizeof *search.way),
        .order = weft_arena_alloc(&requests->arena, count * sizeof *search.order),
    };
    bool has_room = search.colours && search.way && search.order;
    int err = has_room ? 0 : weft_refuse_memory(&reader->in);
    for (uint32_t i = 0; has_room && !err && i < count; i++)
        if (search.colours[i] == UNSEEN)
            err = walk(&search, i);
    free(search.colours);
    free(search.way);
    requests->order = search.order;
    return err;
}

/* Whether a job waits for one that comes behind it, which is the case in every circle. */
static bool looks_ahead(const struct weft_job_requests *requests)
{
    for (uint32_t i = 0; i < requests->count; i++) {
        const struct weft_job_request *request = &requests->items[i];
        for (size_t at = 0; at < request->after_count; at++)
            if (request->after[at].name && request->after[at].index > i)
                return true;
    }
    return false;
}

int weft_job_resolve_after(struct weft_job_reader *reader)
{
    struct weft_job_requests *requests = reader->requests;
    struct names names = {0};
    bool named = false;
    for (size_t i = 0; i < requests->count; i++)
        named = named || requests->items[i].name;
    if (!named && reader->after_total == 0)
        return 0;
    int err = sort_names(reader, &names);
    for (size_t i = 0; !err && i < requests->count; i++)
        err = resolve(reader, &requests->items[i], &names);
    if (!err && looks_ahead(requests))
        err = find_order(reader);
    free(names.sorted);
    return err;
}
