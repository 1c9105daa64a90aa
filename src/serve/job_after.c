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

static int sort_names(struct weft_job_reader *reader, struct names *names)
{
    const struct weft_job_requests *requests = reader->requests;
    names->sorted = malloc((requests->count + 1) * sizeof *names->sorted);
    if (!names->sorted)
        return weft_job_refuse_memory(reader);
    for (uint32_t i = 0; i < requests->count; i++)
        if (requests->items[i].name)
            names->sorted[names->count++] = (struct name){requests->items[i].name, i};
    qsort(names->sorted, names->count, sizeof *names->sorted, compare_names);
    for (size_t i = 1; i < names->count; i++) {
        const struct name *one = &names->sorted[i - 1], *other = &names->sorted[i];
        if (strcmp(one->text, other->text) == 0)
            return weft_job_refuse(reader, &requests->items[other->index], 422,
                                   "the name \"%s\" is taken by %s %u", one->text,
                                   reader->places == WEFT_JOB_PLACE_LINE ? "line" : "job",
                                   requests->items[one->index].place);
    }
    return 0;
}

static int compare_with_name(const void *text, const void *name)
{
    return strcmp(text, ((const struct name *)name)->text);
}

static int compare_after(const void *a, const void *b)
{
    const struct weft_job_after *x = a, *y = b;
    if (x->name && y->name)
        return (x->index > y->index) - (x->index < y->index);
    if (x->name || y->name)
        return x->name ? -1 : 1;
    return memcmp(&x->id, &y->id, sizeof x->id);
}

/* Find the places of those that are named, and keep each entry once. */
static int resolve(struct weft_job_reader *reader, struct weft_job_request *request,
                   const struct names *names)
{
    size_t kept = 0;
    if (request->after_count == 0)
        return 0;
    for (size_t i = 0; i < request->after_count; i++) {
        struct weft_job_after *after = &request->after[i];
        if (!after->name)
            continue;
        const struct name *found = bsearch(after->name, names->sorted, names->count,
                                           sizeof *names->sorted, compare_with_name);
        if (!found)
            return weft_job_refuse(
                reader, request, 422,
                "\"after\" names \"%s\", which is no job of this request and no id", after->name);
        if (&reader->requests->items[found->index] == request)
            return weft_job_refuse(reader, request, 422, "\"after\" names the job itself");
        after->index = found->index;
    }
    qsort(request->after, request->after_count, sizeof *request->after, compare_after);
    for (size_t i = 0; i < request->after_count; i++)
        if (i == 0 || compare_after(&request->after[kept - 1], &request->after[i]) != 0)
            request->after[kept++] = request->after[i];
    request->after_count = kept;
    return 0;
}

/* ---- circles ---------------------------------------------------------------------------- */

enum colour {
    UNSEEN,
    ON_THE_WAY, /* from where the search began to where it is */
    DONE,       /* leads into no circle */
};

struct visit {
    uint32_t index; /* of a request */
    uint32_t next;  /* of its entries, the one to follow next */
};

/* Follow every way from one request. *way has room for as many visits as there are requests. */
static int walk(struct weft_job_reader *reader, uint32_t from, unsigned char *colours,
                struct visit *way)
{
    const struct weft_job_request *items = reader->requests->items;
    size_t depth = 1;
    way[0] = (struct visit){from, 0};
    colours[from] = ON_THE_WAY;
    while (depth > 0) {
        struct visit *here = &way[depth - 1];
        const struct weft_job_request *request = &items[here->index];
        if (here->next == request->after_count || !request->after[here->next].name) {
            colours[here->index] = DONE; /* names come before ids, which lead out of the body */
            depth--;
            continue;
        }
        uint32_t to = request->after[here->next++].index;
        if (colours[to] == ON_THE_WAY)
            return weft_job_refuse(
                reader, request, 422,
                "\"after\" goes in a circle: it names \"%s\", which waits for \"%s\"",
                items[to].name, request->name);
        if (colours[to] == UNSEEN) {
            colours[to] = ON_THE_WAY;
            way[depth++] = (struct visit){to, 0};
        }
    }
    return 0;
}

static int find_circles(struct weft_job_reader *reader)
{
    size_t count = reader->requests->count;
    unsigned char *colours = calloc(count, sizeof *colours);
    struct visit *way = malloc(count * sizeof *way);
    int err = 0;
    if (!colours || !way)
        err = weft_job_refuse_memory(reader);
    else
        for (uint32_t i = 0; !err && i < count; i++)
            if (colours[i] == UNSEEN)
                err = walk(reader, i, colours, way);
    free(colours);
    free(way);
    return err;
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
    if (!err && named && reader->after_total > 0)
        err = find_circles(reader);
    free(names.sorted);
    return err;
}
