/* SPDX-License-Identifier: MIT
 * submissions.c - see api_job.h: what clients wrote, as the engine takes it. */
#include <serve/api_job.h>

#include <base/buffer.h>
#include <base/list.h>
#include <base/siphash.h>
#include <base/table.h>
#include <flow/pattern.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t place_of(const struct weft_submissions *submissions, size_t request)
{
    return submissions->places ? submissions->places[request] : request;
}

struct weft_submission *weft_submissions_at(const struct weft_submissions *submissions,
                                            size_t request)
{
    return &submissions->items[place_of(submissions, request)];
}

static int64_t us(int64_t ns)
{
    return ns / 1000;
}

/* Headers as one JSON object, in the requests' arena. */
static int join_headers(struct weft_arena *arena, const struct weft_job_request *request,
                        const char **ret_headers)
{
    if (request->headers_count == 0)
        return 0;
    struct weft_buffer text;
    weft_buffer_init(&text, WEFT_JOB_HEADERS_MAX);
    for (size_t i = 0; i < request->headers_count; i++) {
        const struct weft_job_header *header = &request->headers[i];
        weft_buffer_append_char(&text, i ? ',' : '{');
        weft_buffer_append_json_string(&text, header->name, strlen(header->name));
        weft_buffer_append_char(&text, ':');
        weft_buffer_append_json_string(&text, header->value, strlen(header->value));
    }
    weft_buffer_append_char(&text, '}');
    char *copy = text.err ? NULL : weft_arena_alloc(arena, text.len + 1);
    if (copy) {
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        *ret_headers = copy;
    }
    weft_buffer_deinit(&text);
    return copy ? 0 : -ENOMEM;
}

/* The words of a body and their flows. Clients choose the words: the hash has a secret. Most bodies
 * have none: it is made for the first. */
struct groups {
    struct weft_table table;
    bool is_made;
    uint64_t secret[2];
};

struct group {
    struct weft_table_node node;
    const char *name;
    struct weft_uuid flow;
};

static int make_groups(struct groups *groups)
{
    if (groups->is_made)
        return 0;
    int err = weft_table_init(&groups->table);
    weft_pattern_secret(groups->secret, 0);
    groups->is_made = err == 0;
    return err;
}

static struct group *find_group(const struct groups *groups, const char *name, uint64_t hash)
{
    struct weft_table_node *node = weft_table_first(&groups->table, hash);
    while (node && strcmp(weft_container_of(node, struct group, node)->name, name) != 0)
        node = weft_table_next(node);
    return node ? weft_container_of(node, struct group, node) : NULL;
}

/* The flow of a word: named by the id of the first job of the body that has the word. */
static int join_group(struct weft_submissions *submissions, struct groups *groups, const char *name,
                      struct weft_engine *engine, struct weft_submission *item)
{
    int err = make_groups(groups);
    if (err)
        return err;
    uint64_t hash = weft_siphash(groups->secret, name, strlen(name));
    struct group *group = find_group(groups, name, hash);
    if (!group) {
        group = weft_arena_alloc(&submissions->requests.arena, sizeof *group);
        if (!group)
            return -ENOMEM;
        item->id = weft_engine_make_id(engine);
        *group = (struct group){.name = name, .flow = item->id};
        weft_table_put(&groups->table, &group->node, hash);
    }
    item->flow = group->flow;
    return 0;
}

/* Jobs with the same group belong together. A group that is an id is the flow with that id. */
static int join_flows(struct weft_submissions *submissions, struct weft_engine *engine)
{
    struct groups groups = {.is_made = false};
    int err = 0;
    for (size_t i = 0; !err && i < submissions->requests.count; i++) {
        struct weft_submission *item = weft_submissions_at(submissions, i);
        const char *name = submissions->requests.items[i].group;
        if (name && weft_uuid_parse(&item->flow, name, strlen(name)) != 0)
            err = join_group(submissions, &groups, name, engine, item);
    }
    weft_table_deinit(&groups.table);
    return err;
}

static int join_after(struct weft_submissions *submissions, const struct weft_job_request *request,
                      struct weft_submission *item)
{
    struct weft_arena *arena = &submissions->requests.arena;
    if (request->after_count == 0)
        return 0;
    struct weft_after *after = weft_arena_alloc(arena, request->after_count * sizeof *after);
    int *index = weft_arena_alloc(arena, request->after_count * sizeof *index);
    if (!after || !index)
        return -ENOMEM;
    for (size_t i = 0; i < request->after_count; i++) {
        const struct weft_job_after *from = &request->after[i];
        after[i] = (struct weft_after){
            .id = from->id,
            .any_end = request->after_policy == WEFT_JOB_AFTER_ANY,
        };
        index[i] = from->name ? (int)place_of(submissions, from->index) : -1;
    }
    item->after = after;
    item->after_index = index;
    item->after_count = request->after_count;
    return 0;
}

/* "timeout" is the hard end; what is told to end before is the soft one. */
static void set_timeouts(struct weft_submission *item, const struct weft_job_request *request)
{
    item->timeout_us =
        us(request->soft_timeout_ns ? request->soft_timeout_ns : request->timeout_ns);
    if (request->soft_timeout_ns && request->timeout_ns)
        item->grace_us = us(request->timeout_ns - request->soft_timeout_ns);
}

static int translate(struct weft_submissions *submissions, const struct weft_job_request *request,
                     struct weft_submission *item)
{
    *item = (struct weft_submission){
        .task = request->task,
        .queue = request->queue,
        .priority = request->priority_given ? request->priority : -1,
        .payload = {request->payload, request->payload_len,
                    request->payload_kind == WEFT_JOB_PAYLOAD_JSON},
        .content_type = request->content_type,
        .limit_key = request->limit_key,
        .delay_us = request->run_at_us ? -1 : us(request->delay_ns),
        .run_at_us = request->run_at_us,
        .expires_in_us = us(request->expires_in_ns),
        .expires_at_us = request->expires_at_us,
        .result_ttl_us = us(request->result_ttl_ns),
        .attempts_max = request->attempts_max,
        .backoff = {.kind = request->backoff,
                    .jitter = request->jitter,
                    .base_us = us(request->backoff_base_ns),
                    .cap_us = us(request->backoff_cap_ns)},
        .unique_key = request->unique_key,
        .unique = {.window_us = us(request->unique_window_ns), .states = request->unique_states},
    };
    if (request->payload_kind == WEFT_JOB_PAYLOAD_NONE)
        item->payload = (struct weft_bytes){"null", 4, true};
    set_timeouts(item, request);
    int err = join_headers(&submissions->requests.arena, request, &item->headers);
    return err ? err : join_after(submissions, request, item);
}

/* Where the order is another than that of the body. */
static int find_places(struct weft_submissions *submissions)
{
    const struct weft_job_requests *requests = &submissions->requests;
    if (!requests->order)
        return 0;
    uint32_t *places =
        weft_arena_alloc(&submissions->requests.arena, requests->count * sizeof *places);
    if (!places)
        return -ENOMEM;
    for (uint32_t i = 0; i < requests->count; i++)
        places[requests->order[i]] = i;
    submissions->places = places;
    return 0;
}

int weft_submissions_make(struct weft_submissions *ret_submissions, struct weft_engine *engine,
                          struct weft_job_requests *requests)
{
    struct weft_submissions *submissions = ret_submissions;
    *submissions = (struct weft_submissions){.requests = *requests};
    submissions->items = calloc(requests->count, sizeof *submissions->items);
    int err = submissions->items ? find_places(submissions) : -ENOMEM;
    for (size_t i = 0; !err && i < requests->count; i++)
        err = translate(submissions, &submissions->requests.items[i],
                        weft_submissions_at(submissions, i));
    return err ? err : join_flows(submissions, engine);
}

void weft_submissions_release(struct weft_submissions *submissions)
{
    weft_job_requests_deinit(&submissions->requests);
    free(submissions->items);
}

/* --- further jobs of a settlement --- */

struct weft_follow_jobs {
    struct weft_submissions submissions;
    struct weft_job *jobs;
    struct weft_enqueue *items;
};

static int fill_follow(struct weft_engine *engine, struct weft_follow_jobs *follow)
{
    for (size_t i = 0; i < follow->submissions.requests.count; i++) {
        const struct weft_submission *asked = &follow->submissions.items[i];
        int err = weft_engine_prepare(engine, asked, &follow->jobs[i]);
        if (err)
            return err;
        follow->items[i] = (struct weft_enqueue){
            .job = &follow->jobs[i],
            .unique = asked->unique_key ? &asked->unique : NULL,
        };
    }
    return 0;
}

int weft_follow_jobs_make(struct weft_follow_jobs **ret_follow, struct weft_engine *engine,
                          struct weft_job_requests *requests, struct weft_settlement *settlement)
{
    size_t count = requests->count;
    struct weft_follow_jobs *follow = calloc(1, sizeof *follow);
    if (!follow) {
        weft_job_requests_deinit(requests);
        return -ENOMEM;
    }
    int err = weft_submissions_make(&follow->submissions, engine, requests);
    *requests = (struct weft_job_requests){0};
    follow->jobs = calloc(count, sizeof *follow->jobs);
    follow->items = calloc(count, sizeof *follow->items);
    if (!err)
        err = follow->jobs && follow->items ? fill_follow(engine, follow) : -ENOMEM;
    if (err) {
        weft_follow_jobs_free(follow);
        return err;
    }
    settlement->follow = follow->items;
    settlement->follow_count = count;
    *ret_follow = follow;
    return 0;
}

bool weft_follow_jobs_mend(struct weft_follow_jobs *follow, struct weft_engine *engine,
                           struct weft_settlement *settlement)
{
    size_t kept = 0;
    bool mended = false;
    if (!follow || (settlement->err != WEFT_EDUPLICATE && settlement->err != -EEXIST))
        return false;
    for (size_t i = 0; i < settlement->follow_count; i++) {
        struct weft_enqueue *item = &follow->items[i];
        bool taken = item->err == -EEXIST, there = item->err == WEFT_EDUPLICATE;
        if (taken) /* items point into the array of jobs, which is ours */
            follow->jobs[item->job - follow->jobs].id = weft_engine_make_id(engine);
        if (!there)
            follow->items[kept++] = *item;
        mended = mended || taken || there;
    }
    settlement->follow_count = kept;
    return mended;
}

void weft_follow_jobs_free(struct weft_follow_jobs *follow)
{
    if (!follow)
        return;
    weft_submissions_release(&follow->submissions);
    free(follow->jobs);
    free(follow->items);
    free(follow);
}
