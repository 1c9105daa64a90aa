/* SPDX-License-Identifier: MIT
 * job_json.c - see job_json.h. Takes a body apart into the texts of its jobs.
 *
 * Every job is parsed by itself, so that no more than one of them is ever held as a tree, and one
 * way leads from arrays, lines and single objects. What lies between the jobs of an array is
 * checked here, all else by the parser: together that is the whole body. */
#include <base/json_scan.h>
#include <serve/job_reader.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MIN 16u

/* Refuse the body as a whole. */
static int refuse_body(struct weft_job_reader *reader, int status, const char *detail)
{
    reader->in.what = NULL;
    return weft_refuse(&reader->in, status, "%s", detail);
}

/* ---- one job ---------------------------------------------------------------------------- */

/* Make room for one more. */
static int grow(struct weft_job_reader *reader)
{
    struct weft_job_requests *requests = reader->requests;
    if (requests->count == WEFT_JOB_REQUESTS_MAX) {
        reader->in.what = NULL;
        return weft_refuse(&reader->in, 413, "more than %u jobs in one request",
                           WEFT_JOB_REQUESTS_MAX);
    }
    if (requests->count < reader->capacity)
        return 0;
    size_t capacity = reader->capacity ? 2 * reader->capacity : ITEMS_MIN;
    if (requests->single)
        capacity = 1;
    struct weft_job_request *items = realloc(requests->items, capacity * sizeof *items);
    if (!items)
        return weft_refuse_memory(&reader->in);
    requests->items = items;
    reader->capacity = capacity;
    return 0;
}

static int read_job(struct weft_job_reader *reader, const char *raw, size_t len, uint32_t place)
{
    struct weft_job_requests *requests = reader->requests;
    int err = grow(reader);
    if (err)
        return err;
    struct weft_job_request *request = &requests->items[requests->count];
    *request = (struct weft_job_request){.place = place, .queue = "default"};
    reader->in.number = place;
    reader->in.raw = raw;
    reader->in.raw_len = len;
    reader->in.target = request;
    err = weft_job_read_members(reader);
    requests->count += !err;
    return err;
}

/* ---- all of them ------------------------------------------------------------------------ */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int read_array(struct weft_job_reader *reader, const char *at, const char *end)
{
    const char *raw;
    size_t len;
    int more, err = 0;
    uint32_t place = 0;
    while (!err && (more = weft_json_next_element(&at, end, &raw, &len)) > 0)
        err = read_job(reader, raw, len, ++place);
    if (err)
        return err;
    if (more < 0)
        return weft_refuse_syntax(&reader->in, at,
                                  at == end ? "the array has no end"
                                            : "a job, \",\" or \"]\" is expected");
    while (at < end && is_space(*at))
        at++;
    return at < end ? weft_refuse_syntax(&reader->in, at, "something follows the array") : 0;
}

static int read_lines(struct weft_job_reader *reader, const char *at, const char *end)
{
    int err = 0;
    for (uint32_t line = 1; at < end && !err; line++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *stop = feed ? feed : end;
        const char *next = feed ? feed + 1 : end;
        while (at < stop && is_space(*at))
            at++;
        while (stop > at && is_space(stop[-1]))
            stop--;
        if (at < stop)
            err = read_job(reader, at, (size_t)(stop - at), line);
        at = next;
    }
    return err;
}

static int read_body(struct weft_job_reader *reader, enum weft_job_body kind)
{
    const char *at = reader->in.body, *end = at + reader->in.body_len;
    int err;
    while (at < end && is_space(*at))
        at++;
    if (at == end)
        return refuse_body(reader, 400, "the body is empty");
    if (kind == WEFT_JOB_BODY_LINES) {
        reader->in.what = "line";
        err = read_lines(reader, reader->in.body, end);
    } else if (*at == '[') {
        reader->in.what = "job";
        err = read_array(reader, at, end);
    } else {
        reader->requests->single = true;
        err = read_job(reader, at, (size_t)(end - at), 1);
    }
    if (!err && reader->requests->count == 0)
        err = refuse_body(reader, 422, "there is no job in the array");
    return err ? err : weft_job_resolve_after(reader);
}

int weft_job_json_parse(struct weft_job_requests *ret_requests, enum weft_job_body kind,
                        const char *body, size_t len, struct weft_refusal *ret_refusal)
{
    struct weft_job_requests requests = {0};
    struct weft_job_reader reader = {
        .in = {.refusal = ret_refusal, .arena = &requests.arena, .body = body, .body_len = len},
        .requests = &requests,
    };
    int err = read_body(&reader, kind);
    if (err)
        weft_job_requests_deinit(&requests);
    else
        *ret_requests = requests;
    return err;
}

void weft_job_requests_deinit(struct weft_job_requests *requests)
{
    weft_arena_deinit(&requests->arena);
    free(requests->items);
    *requests = (struct weft_job_requests){0};
}
