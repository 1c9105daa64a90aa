/* SPDX-License-Identifier: MIT
 * work_json.c - see work_json.h. */
#include <serve/members.h>
#include <serve/work_json.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_BYTES_MAX ((int64_t)1 << 20) /* of which the store keeps WEFT_JOB_ERROR_MAX */
#define ROWS(members)   (sizeof(members) / sizeof(members)[0])

static struct weft_reader reader_of(const char *body, size_t len, struct weft_arena *arena,
                                    struct weft_refusal *refusal)
{
    return (struct weft_reader){.refusal = refusal, .arena = arena, .body = body, .body_len = len};
}

/* ---- lease ------------------------------------------------------------------------------ */

/* Names into a struct weft_words, `least` to `most` of them. */
static int read_words(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct weft_words words = {.count = json_array_size(value)};
    size_t i;
    json_t *item;
    if (!json_is_array(value) || words.count < (size_t)member->least ||
        words.count > (size_t)member->most)
        return weft_refuse_member(reader, member, "must be a list of %lld to %lld names",
                                  (long long)member->least, (long long)member->most);
    words.words = weft_arena_alloc(reader->arena, (words.count + 1) * sizeof *words.words);
    if (!words.words)
        return weft_refuse_memory(reader);
    json_array_foreach(value, i, item)
    {
        const char *text = json_string_value(item);
        size_t len = json_string_length(item);
        if (!text || !weft_is_word(text, len))
            return weft_refuse_member(reader, member,
                                      "must be a list of names of 1 to %zu characters "
                                      "A-Z a-z 0-9 _ . : -",
                                      WEFT_JOB_NAME_MAX);
        int err = weft_read_copy(reader, text, len, &words.words[i]);
        if (err)
            return err;
    }
    *(struct weft_words *)(void *)((char *)reader->target + member->offset) = words;
    return 0;
}

#define FIELD(name) offsetof(struct weft_lease_request, name)

int weft_lease_request_parse(struct weft_lease_request *ret_request, const char *body, size_t len,
                             struct weft_refusal *ret_refusal)
{
    static const struct weft_member members[] = {
        {"queues", read_words, FIELD(queues), 1, WEFT_LEASE_QUEUES_MAX},
        {"tasks", read_words, FIELD(tasks), 1, WEFT_LEASE_TASKS_MAX,
         .tree_max = WEFT_LEASE_TASKS_MAX * (WEFT_JOB_NAME_MAX + 8)},
        {"max", weft_read_count, FIELD(max), 1, WEFT_LEASE_JOBS_MAX},
        {"lease", weft_read_length, FIELD(lease_ns), WEFT_LEASE_LEAST_NS, WEFT_LEASE_MOST_NS},
        {"wait", weft_read_length, FIELD(wait_ns), 0, WEFT_LEASE_WAIT_MAX_NS},
        {"worker", weft_read_count, FIELD(worker), 0, WEFT_BODY_COUNT_MAX},
    };
    struct weft_lease_request request = {.max = 1, .lease_ns = WEFT_LEASE_NS};
    struct weft_reader reader = reader_of(body, len, &request.arena, ret_refusal);
    uint32_t given = 0;
    reader.target = &request;
    int err = weft_body_read(&reader, members, ROWS(members), &given);
    if (!err && request.queues.count == 0)
        err = weft_refuse(&reader, 422, "\"queues\" is missing");
    if (err)
        weft_lease_request_deinit(&request);
    else
        *ret_request = request;
    return err;
}

#undef FIELD

void weft_lease_request_deinit(struct weft_lease_request *request)
{
    weft_arena_deinit(&request->arena);
}

/* ---- what settle and extend have in common ---------------------------------------------- */

/* The body of both: {"jobs": [...]}. */
static const struct weft_member jobs_member = {"jobs", weft_read_raw, 0};

typedef int read_item(struct weft_reader *reader, void *request, size_t index,
                      const struct weft_raw *item);

static int read_jobs(struct weft_reader *reader, read_item *read, void *request)
{
    struct weft_raw list = {0};
    uint32_t given = 0;
    reader->target = &list; // cppcheck-suppress autoVariables ; until this returns
    int err = weft_body_read(reader, &jobs_member, 1, &given);
    if (err)
        return err;
    if (!list.text)
        return weft_refuse(reader, 422, "\"jobs\" is missing");
    return weft_list_read(reader, &jobs_member, &list, 1, WEFT_LEASE_JOBS_MAX, read, request);
}

/* An array with room for one more: it doubles whenever its length is a power of two. NULL: no
 * memory, and it is what it was. */
static void *with_room(void *items, size_t count, size_t bytes)
{
    bool full = (count & (count - 1)) == 0;
    return full ? realloc(items, (count ? 2 * count : 1) * bytes) : items;
}

/* What the lease came with, into a uint64_t. */
static int read_token(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    uint64_t token = 0;
    bool good = text && len > 0;
    for (size_t i = 0; good && i < len; i++)
        good = text[i] >= '0' && text[i] <= '9' &&
               !__builtin_mul_overflow(token, (uint64_t)10, &token) &&
               !__builtin_add_overflow(token, (uint64_t)(text[i] - '0'), &token);
    if (!good)
        return weft_refuse_member(reader, member,
                                  "must be the string of digits that the lease came with");
    *(uint64_t *)(void *)((char *)reader->target + member->offset) = token;
    return 0;
}

/* Rows 0 and 1 of both tables are the id and the token. */
static int check_held(struct weft_reader *reader, uint32_t given)
{
    if (given & 1 && given & 2)
        return 0;
    return weft_refuse(reader, 422, given & 1 ? "\"token\" is missing" : "\"id\" is missing");
}

/* ---- settle ----------------------------------------------------------------------------- */

/* The rows of the table below, in their order. */
enum {
    ID,
    TOKEN,
    OUTCOME,
    RESULT,
    RESULT_BASE64,
    ERROR,
    DELAY,
    ENQUEUE,
    SETTLE_MEMBERS
};

#define BIT(row) (UINT32_C(1) << (row))
#define ALWAYS   (BIT(ID) | BIT(TOKEN) | BIT(OUTCOME))

static const struct outcome {
    const char *name;
    enum weft_job_event event;
    bool fails;   /* it is by the attempts that are left what it is */
    uint32_t may; /* have these beside what all have */
} outcomes[] = {
    {"complete", WEFT_JOB_COMPLETE, false, BIT(RESULT) | BIT(RESULT_BASE64) | BIT(ENQUEUE)},
    {"fail", WEFT_JOB_RETRY, true, BIT(ERROR) | BIT(DELAY)},
    {"retry", WEFT_JOB_RETRY, false, BIT(ERROR) | BIT(DELAY)},
    {"die", WEFT_JOB_DIE, false, BIT(ERROR)},
    {"discard", WEFT_JOB_DIE, false, BIT(ERROR)},
    {"snooze", WEFT_JOB_SNOOZE, false, BIT(DELAY)},
    {"release", WEFT_JOB_RELEASE, false, 0},
    {"cancel", WEFT_JOB_CANCEL, false, BIT(ERROR)},
};

/* An item with what its members say together. */
struct settle_target {
    struct weft_settle_item item;
    const struct outcome *outcome;
    struct weft_raw result, enqueue;
};

static int read_outcome(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct settle_target *target = reader->target;
    for (size_t i = 0; i < ROWS(outcomes); i++) {
        if (!weft_is_text(value, outcomes[i].name))
            continue;
        target->outcome = &outcomes[i];
        target->item.event = outcomes[i].event;
        target->item.fails = outcomes[i].fails;
        return 0;
    }
    return weft_refuse_member(reader, member,
                              "must be complete, fail, retry, die, discard, snooze, release "
                              "or cancel");
}

/* A reason is for people: one with a NUL in it is none the worse. */
static int read_error(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct settle_target *target = reader->target;
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || len > (size_t)member->most)
        return weft_refuse_member(reader, member, "must be a string of at most %lld bytes",
                                  (long long)member->most);
    char *copy = weft_arena_copy(reader->arena, text, len);
    if (!copy)
        return weft_refuse_memory(reader);
    for (size_t i = 0; i < len; i++)
        if (copy[i] == '\0')
            copy[i] = ' ';
    target->item.error = copy;
    return 0;
}

static int read_result(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct settle_target *target = reader->target;
    return weft_read_base64(reader, member, value, &target->item.result.data,
                            &target->item.result.len);
}

/* Further jobs: a list like that of POST /v1/jobs. */
static int read_follow(struct weft_reader *reader, struct weft_settle_request *request,
                       const struct weft_raw *enqueue, struct weft_settle_item *item)
{
    struct weft_refusal refusal;
    if (enqueue->text[0] != '[')
        return weft_refuse(reader, 422, "\"enqueue\" must be a list of jobs");
    int err = weft_job_json_parse(&item->follow, WEFT_JOB_BODY_JSON, enqueue->text, enqueue->len,
                                  &refusal);
    if (err == -ENOMEM)
        return weft_refuse_memory(reader);
    if (err)
        return weft_refuse(reader, refusal.status, "\"enqueue\": %.300s", refusal.detail);
    request->follow_total += item->follow.count;
    if (item->follow.count > WEFT_SETTLE_FOLLOW_MAX)
        return weft_refuse(reader, 413, "\"enqueue\" has more than %u jobs",
                           WEFT_SETTLE_FOLLOW_MAX);
    if (request->follow_total > WEFT_JOB_REQUESTS_MAX)
        return weft_refuse(reader, 413, "more than %u further jobs in one request",
                           WEFT_JOB_REQUESTS_MAX);
    for (size_t i = 0; i < item->follow.count; i++)
        if (item->follow.items[i].after_count > 0)
            return weft_refuse(reader, 422, "\"enqueue\": job %zu: \"after\" has no place here",
                               i + 1);
    return 0;
}

#define FIELD(name) offsetof(struct settle_target, name)

static const struct weft_member settle_members[SETTLE_MEMBERS] = {
    [ID] = {"id", weft_read_uuid, FIELD(item.id)},
    [TOKEN] = {"token", read_token, FIELD(item.token)},
    [OUTCOME] = {"outcome", read_outcome},
    [RESULT] = {"result", weft_read_json, FIELD(result), .most = WEFT_JOB_RESULT_MAX,
                .as_written = true, .tree_max = WEFT_JOB_RESULT_MAX},
    [RESULT_BASE64] = {"result_base64", read_result, .most = WEFT_JOB_RESULT_MAX},
    [ERROR] = {"error", read_error, .most = ERROR_BYTES_MAX},
    [DELAY] = {"delay", weft_read_length, FIELD(item.delay_ns), 0, WEFT_SETTLE_DELAY_MAX},
    [ENQUEUE] = {"enqueue", weft_read_raw, FIELD(enqueue)},
};

static int check_settlement(struct weft_reader *reader, uint32_t given,
                            const struct settle_target *target)
{
    int err = check_held(reader, given);
    if (err)
        return err;
    if (!target->outcome)
        return weft_refuse(reader, 422, "\"outcome\" is missing");
    uint32_t idle = given & ~(ALWAYS | target->outcome->may);
    if (idle)
        return weft_refuse(reader, 422, "\"%s\" means nothing with \"%s\"",
                           settle_members[__builtin_ctz(idle)].name, target->outcome->name);
    if (target->result.text && target->item.result.data)
        return weft_refuse(reader, 422, "\"result\" and \"result_base64\" exclude each other");
    return 0;
}

static int read_settlement(struct weft_reader *reader, void *context, size_t index,
                           const struct weft_raw *raw)
{
    struct weft_settle_request *request = context;
    struct settle_target target = {.item = {.delay_ns = -1}};
    uint32_t given = 0;
    struct weft_settle_item *items = with_room(request->items, index, sizeof *items);
    if (!items)
        return weft_refuse_memory(reader);
    request->items = items;
    reader->what = "job";
    reader->number = (uint32_t)index + 1;
    reader->target = &target;
    int err = weft_object_read(reader, raw->text, raw->len, settle_members, SETTLE_MEMBERS, &given);
    if (!err)
        err = check_settlement(reader, given, &target);
    if (!err && target.enqueue.text)
        err = read_follow(reader, request, &target.enqueue, &target.item);
    if (target.result.text)
        target.item.result = (struct weft_bytes){target.result.text, target.result.len, true};
    request->items[request->count++] = target.item;
    return err;
}

#undef FIELD

int weft_settle_request_parse(struct weft_settle_request *ret_request, const char *body, size_t len,
                              struct weft_refusal *ret_refusal)
{
    struct weft_settle_request request = {0};
    struct weft_reader reader = reader_of(body, len, &request.arena, ret_refusal);
    int err = read_jobs(&reader, read_settlement, &request);
    if (err)
        weft_settle_request_deinit(&request);
    else
        *ret_request = request;
    return err;
}

void weft_settle_request_deinit(struct weft_settle_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        weft_job_requests_deinit(&request->items[i].follow);
    free(request->items);
    weft_arena_deinit(&request->arena);
}

/* ---- extend ----------------------------------------------------------------------------- */

struct extend_target {
    struct weft_uuid id;
    uint64_t token;
    int64_t lease_ns;
    struct weft_raw progress;
};

#define FIELD(name) offsetof(struct extend_target, name)

static int read_extension(struct weft_reader *reader, void *context, size_t index,
                          const struct weft_raw *raw)
{
    static const struct weft_member members[] = {
        {"id", weft_read_uuid, FIELD(id)},
        {"token", read_token, FIELD(token)},
        {"lease", weft_read_length, FIELD(lease_ns), WEFT_LEASE_LEAST_NS, WEFT_LEASE_MOST_NS},
        {"progress", weft_read_json, FIELD(progress), .most = WEFT_JOB_PROGRESS_MAX,
         .as_written = true},
    };
    struct weft_extend_request *request = context;
    struct extend_target target = {0};
    uint32_t given = 0;
    struct weft_lease *items = with_room(request->items, index, sizeof *items);
    if (!items)
        return weft_refuse_memory(reader);
    request->items = items;
    reader->what = "job";
    reader->number = (uint32_t)index + 1;
    reader->target = &target; // cppcheck-suppress autoVariables ; until this returns
    int err = weft_object_read(reader, raw->text, raw->len, members, ROWS(members), &given);
    if (!err)
        err = check_held(reader, given);
    if (err)
        return err;
    if (!target.lease_ns && !target.progress.text)
        target.lease_ns = WEFT_LEASE_NS;
    struct weft_lease *item = &request->items[request->count++];
    *item = (struct weft_lease){
        .id = target.id, .token = target.token, .lease_us = target.lease_ns / 1000};
    return target.progress.text
               ? weft_read_copy(reader, target.progress.text, target.progress.len, &item->progress)
               : 0;
}

#undef FIELD

int weft_extend_request_parse(struct weft_extend_request *ret_request, const char *body, size_t len,
                              struct weft_refusal *ret_refusal)
{
    struct weft_extend_request request = {0};
    struct weft_reader reader = reader_of(body, len, &request.arena, ret_refusal);
    int err = read_jobs(&reader, read_extension, &request);
    if (err)
        weft_extend_request_deinit(&request);
    else
        *ret_request = request;
    return err;
}

void weft_extend_request_deinit(struct weft_extend_request *request)
{
    free(request->items);
    weft_arena_deinit(&request->arena);
}
