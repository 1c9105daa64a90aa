/* SPDX-License-Identifier: MIT
 * job_json.c - see job_json.h. Takes a body apart into the texts of its jobs.
 *
 * Every job is parsed by itself, so that no more than one of them is ever held as a tree, and one
 * way leads from arrays, lines and single objects. What lies between the jobs of an array is
 * checked here, all else by the parser: together that is the whole body. */
#include <job/json_scan.h>
#include <serve/job_reader.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MIN 16u

/* ---- refusals --------------------------------------------------------------------------- */

int weft_job_refuse(struct weft_job_reader *reader, const struct weft_job_request *request,
                    int status, const char *format, ...)
{
    struct weft_job_refusal *refusal = reader->refusal;
    int len = 0;
    if (reader->places == WEFT_JOB_PLACE_ARRAY)
        len = snprintf(refusal->detail, sizeof refusal->detail, "job %u: ", request->place);
    else if (reader->places == WEFT_JOB_PLACE_LINE)
        len = snprintf(refusal->detail, sizeof refusal->detail, "line %u: ", request->place);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(refusal->detail + len, sizeof refusal->detail - (size_t)len, format, args);
    va_end(args);
    refusal->status = status;
    return -EINVAL;
}

int weft_job_refuse_memory(struct weft_job_reader *reader)
{
    reader->refusal->status = 503;
    (void)snprintf(reader->refusal->detail, sizeof reader->refusal->detail, "out of memory");
    return -ENOMEM;
}

/* Refuse the body as a whole. */
static int refuse_body(struct weft_job_reader *reader, int status, const char *detail)
{
    reader->refusal->status = status;
    (void)snprintf(reader->refusal->detail, sizeof reader->refusal->detail, "%s", detail);
    return -EINVAL;
}

/* Line and column of a byte of the body, both from 1. */
static void find_place(const struct weft_job_reader *reader, const char *at, size_t *ret_line,
                       size_t *ret_column)
{
    const char *line = reader->body, *feed;
    size_t number = 1;
    while ((feed = memchr(line, '\n', (size_t)(at - line)))) {
        line = feed + 1;
        number++;
    }
    *ret_line = number;
    *ret_column = (size_t)(at - line) + 1;
}

/* It is no JSON at this byte, says whoever looked. */
static int refuse_syntax(struct weft_job_reader *reader, const char *at, const char *why)
{
    size_t line, column;
    char detail[300];
    find_place(reader, at, &line, &column);
    (void)snprintf(detail, sizeof detail, "the body is not JSON at line %zu, column %zu: %s", line,
                   column, why);
    return refuse_body(reader, 400, detail);
}

/* ---- one job ---------------------------------------------------------------------------- */

static json_t *load(struct weft_job_reader *reader, int *ret_err)
{
    /* Integers may have any length: where they are wanted, they are small. */
    const size_t flags =
        JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    json_error_t error = {0}; /* where the library leaves it unset */
    if (weft_json_too_deep(reader->raw, reader->raw_len, WEFT_JOB_DEPTH_MAX)) {
        *ret_err = weft_job_refuse(reader, reader->request, 400,
                                   "brackets are nested more than %u deep", WEFT_JOB_DEPTH_MAX);
        return NULL;
    }
    json_t *root = json_loadb(reader->raw, reader->raw_len, flags, &error);
    if (root)
        return root;
    enum json_error_code code = json_error_code(&error);
    size_t at = error.position > 0 ? (size_t)error.position - 1 : 0;
    if (code == json_error_out_of_memory || !error.text[0]) /* which it mostly does not say */
        *ret_err = weft_job_refuse_memory(reader);
    else if (code == json_error_numeric_overflow) /* JSON, but with what no double can hold */
        *ret_err = weft_job_refuse(reader, reader->request, 400, "cannot be read: %s", error.text);
    else
        *ret_err = refuse_syntax(
            reader, reader->raw + (at < reader->raw_len ? at : reader->raw_len), error.text);
    return NULL;
}

/* Make room for one more. */
static int grow(struct weft_job_reader *reader)
{
    struct weft_job_requests *requests = reader->requests;
    if (requests->count == WEFT_JOB_REQUESTS_MAX) {
        char detail[64];
        (void)snprintf(detail, sizeof detail, "more than %u jobs in one request",
                       WEFT_JOB_REQUESTS_MAX);
        return refuse_body(reader, 413, detail);
    }
    if (requests->count < reader->capacity)
        return 0;
    size_t capacity = reader->capacity ? 2 * reader->capacity : ITEMS_MIN;
    if (reader->places == WEFT_JOB_PLACE_ALONE)
        capacity = 1;
    struct weft_job_request *items = realloc(requests->items, capacity * sizeof *items);
    if (!items)
        return weft_job_refuse_memory(reader);
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
    reader->request = &requests->items[requests->count];
    *reader->request = (struct weft_job_request){.place = place, .queue = "default"};
    reader->raw = raw;
    reader->raw_len = len;
    reader->given = 0;
    json_t *root = load(reader, &err);
    if (!root)
        return err;
    err = json_is_object(root)
              ? weft_job_read_members(reader, root)
              : weft_job_refuse(reader, reader->request, 422, "a job must be a JSON object");
    json_decref(root);
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
        return refuse_syntax(
            reader, at, at == end ? "the array has no end" : "a job, \",\" or \"]\" is expected");
    while (at < end && is_space(*at))
        at++;
    return at < end ? refuse_syntax(reader, at, "something follows the array") : 0;
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
    const char *at = reader->body, *end = at + reader->body_len;
    int err;
    while (at < end && is_space(*at))
        at++;
    if (at == end)
        return refuse_body(reader, 400, "the body is empty");
    if (kind == WEFT_JOB_BODY_LINES) {
        reader->places = WEFT_JOB_PLACE_LINE;
        err = read_lines(reader, reader->body, end);
    } else if (*at == '[') {
        reader->places = WEFT_JOB_PLACE_ARRAY;
        err = read_array(reader, at, end);
    } else {
        reader->places = WEFT_JOB_PLACE_ALONE;
        reader->requests->single = true;
        err = read_job(reader, at, (size_t)(end - at), 1);
    }
    if (!err && reader->requests->count == 0)
        err = refuse_body(reader, 422, "there is no job in the array");
    return err ? err : weft_job_resolve_after(reader);
}

int weft_job_json_parse(struct weft_job_requests *ret_requests, enum weft_job_body kind,
                        const char *body, size_t len, struct weft_job_refusal *ret_refusal)
{
    struct weft_job_requests requests = {0};
    struct weft_job_reader reader = {
        .requests = &requests,
        .refusal = ret_refusal,
        .body = body,
        .body_len = len,
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
