/* SPDX-License-Identifier: MIT
 * job_members.c - the members of a job object, one table row each. See job_json.h for what they
 * are, job_reader.h for whom this works. */
#include <base/json_scan.h>
#include <job/job.h>
#include <serve/job_reader.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#define FIELD(name) offsetof(struct weft_job_request, name)

#define LENGTH_MIN  WEFT_BODY_LENGTH_MIN
#define LENGTH_MAX  WEFT_JOB_LENGTH_MAX_NS

// NOLINTNEXTLINE(misc-redundant-expression): they are to stay the same
_Static_assert(WEFT_JOB_LENGTH_MAX_NS == WEFT_BODY_LENGTH_MAX, "they are said to be 100 years");
_Static_assert(WEFT_JOB_WORD_MAX == WEFT_JOB_NAME_MAX, "a name is a name");
_Static_assert(WEFT_JOB_DEPTH_MAX == WEFT_BODY_DEPTH_MAX, "the stack is the same");

static struct weft_job_request *request_of(struct weft_reader *reader)
{
    return reader->target;
}

/* A whole number from least to most. */
static bool number_in(json_t *value, int least, int most, int *ret_number)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number < least || number > most || floor(number) != number)
        return false;
    *ret_number = (int)number;
    return true;
}

/* ---- members of a job ------------------------------------------------------------------- */

static int read_priority(struct weft_reader *reader, const struct weft_member *member,
                         json_t *value)
{
    int number;
    if (!number_in(value, 0, WEFT_PRIORITY_LAST, &number))
        return weft_refuse_member(reader, member,
                                  "must be a whole number from 0, which goes first, to %d",
                                  WEFT_PRIORITY_LAST);
    request_of(reader)->priority = (uint8_t)number;
    request_of(reader)->priority_given = true;
    return 0;
}

static int read_attempts(struct weft_reader *reader, const struct weft_member *member,
                         json_t *value)
{
    int number;
    if (!number_in(value, 1, WEFT_JOB_ATTEMPTS_MAX, &number))
        return weft_refuse_member(reader, member, "must be a whole number from 1 to %u",
                                  WEFT_JOB_ATTEMPTS_MAX);
    request_of(reader)->attempts_max = (uint16_t)number;
    return 0;
}

/* The text as it stands in the body: a tree would have lost digits of long numbers. */
static int read_payload(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct weft_job_request *request = request_of(reader);
    (void)value;
    if (reader->raw_len > WEFT_JOB_PAYLOAD_MAX)
        return weft_refuse(reader, 413, "\"%s\" has more than %zu bytes", member->name,
                           WEFT_JOB_PAYLOAD_MAX);
    request->payload_kind = WEFT_JOB_PAYLOAD_JSON;
    request->payload_len = reader->raw_len;
    return weft_read_copy(reader, reader->raw, reader->raw_len, &request->payload);
}

static int read_bytes(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct weft_job_request *request = request_of(reader);
    request->payload_kind = WEFT_JOB_PAYLOAD_BYTES;
    return weft_read_base64(reader, member, value, &request->payload, &request->payload_len);
}

static int read_content_type(struct weft_reader *reader, const struct weft_member *member,
                             json_t *value)
{
    const char *text = json_string_value(value), *slash = text ? strchr(text, '/') : NULL;
    size_t len = json_string_length(value);
    bool good = slash && slash > text && slash[1] != '\0' && len <= WEFT_JOB_CONTENT_TYPE_MAX;
    for (size_t i = 0; good && i < len; i++)
        good = text[i] >= ' ' && text[i] < 0x7f;
    if (!good)
        return weft_refuse_member(reader, member, "must be a media type like \"image/png\"");
    return weft_read_copy(reader, text, len, &request_of(reader)->content_type);
}

static int read_backoff_kind(struct weft_reader *reader, const struct weft_member *member,
                             json_t *value)
{
    static const char *const names[] = {"exponential", "linear", "constant", NULL};
    static const enum weft_backoff kinds[] = {WEFT_BACKOFF_EXPONENTIAL, WEFT_BACKOFF_LINEAR,
                                              WEFT_BACKOFF_CONSTANT};
    int i = weft_find_word(value, names);
    if (i < 0)
        return weft_refuse_member(reader, member,
                                  "must be \"exponential\", \"linear\" or \"constant\"");
    request_of(reader)->backoff = kinds[i];
    return 0;
}

static int read_jitter(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    static const char *const names[] = {"full", "equal", "none", NULL};
    static const enum weft_jitter jitters[] = {WEFT_JITTER_FULL, WEFT_JITTER_EQUAL,
                                               WEFT_JITTER_NONE};
    int i = weft_find_word(value, names);
    if (i < 0)
        return weft_refuse_member(reader, member, "must be \"full\", \"equal\" or \"none\"");
    request_of(reader)->jitter = jitters[i];
    return 0;
}

static int read_backoff(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    static const struct weft_member members[] = {
        {"backoff.kind", read_backoff_kind, 0},
        {"backoff.base", weft_read_length, FIELD(backoff_base_ns), LENGTH_MIN, LENGTH_MAX},
        {"backoff.cap", weft_read_length, FIELD(backoff_cap_ns), LENGTH_MIN, LENGTH_MAX},
        {"backoff.jitter", read_jitter, 0},
    };
    const struct weft_job_request *request = request_of(reader);
    uint32_t given = 0;
    if (!json_is_object(value))
        return weft_refuse_member(reader, member, "must be an object");
    int err = weft_members_read(reader, value, member->name, members,
                                sizeof members / sizeof members[0], &given);
    if (!err && given && !request->backoff_base_ns)
        err = weft_refuse(reader, 422, "\"backoff.base\" is missing");
    if (!err && request->backoff_cap_ns && request->backoff_cap_ns < request->backoff_base_ns)
        err = weft_refuse(reader, 422, "\"backoff.cap\" is less than \"backoff.base\"");
    return err;
}

static int read_states(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    size_t i;
    json_t *item;
    uint32_t states = 0;
    if (!json_is_array(value) || json_array_size(value) == 0)
        return weft_refuse_member(reader, member, "must be a list of states");
    json_array_foreach(value, i, item)
    {
        const char *text = json_string_value(item);
        int state = WEFT_JOB_SCHEDULED;
        while (text && state < WEFT_JOB_STATES && strcmp(weft_job_state_name(state), text) != 0)
            state++;
        if (!text || state == WEFT_JOB_STATES || strlen(text) != json_string_length(item))
            return weft_refuse_member(reader, member,
                                      "must be a list of states: scheduled, available, running, "
                                      "retryable, completed, cancelled, dead, blocked");
        states |= UINT32_C(1) << state;
    }
    request_of(reader)->unique_states = states;
    return 0;
}

static int read_unique_key(struct weft_reader *reader, const struct weft_member *member,
                           json_t *value)
{
    static const char ours[] = WEFT_JOB_IDEMPOTENCY_KEYS;
    int err = weft_read_key(reader, member, value);
    if (!err && strncmp(json_string_value(value), ours, sizeof ours - 1) == 0)
        err = weft_refuse_member(reader, member, "must not begin with \"%s\"", ours);
    return err;
}

static int read_unique(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    static const struct weft_member members[] = {
        {"unique.key", read_unique_key, FIELD(unique_key), .most = WEFT_JOB_REQUEST_KEY_MAX},
        {"unique.window", weft_read_length, FIELD(unique_window_ns), LENGTH_MIN, LENGTH_MAX},
        {"unique.states", read_states, 0},
    };
    uint32_t given = 0;
    if (!json_is_object(value))
        return weft_refuse_member(reader, member, "must be an object");
    int err = weft_members_read(reader, value, member->name, members,
                                sizeof members / sizeof members[0], &given);
    if (!err && !request_of(reader)->unique_key)
        err = weft_refuse(reader, 422, "\"unique.key\" is missing");
    return err;
}

static bool is_header_name(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return name[0] != '\0' && name[strspn(name, token)] == '\0';
}

static int read_header(struct weft_reader *reader, const char *name, json_t *value,
                       struct weft_job_header *header)
{
    char text[WEFT_QUOTE_BYTES];
    const char *string = json_string_value(value);
    size_t len = json_string_length(value);
    if (!is_header_name(name))
        return weft_refuse(reader, 422, "\"headers\" has a name that is none: \"%s\"",
                           weft_quote(text, name));
    if (!string || weft_has_control_characters(string, len))
        return weft_refuse(reader, 422,
                           "\"headers.%s\" must be a string without control characters",
                           weft_quote(text, name));
    int err = weft_read_copy(reader, name, strlen(name), &header->name);
    return err ? err : weft_read_copy(reader, string, len, &header->value);
}

/* The bytes that a text takes in JSON without its quotes; control characters are refused. */
static size_t json_len(const char *text, size_t len)
{
    size_t total = len;
    for (size_t i = 0; i < len; i++)
        total += text[i] == '"' || text[i] == '\\';
    return total;
}

static int read_headers(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct weft_job_request *request = request_of(reader);
    const char *name;
    json_t *item;
    size_t count = json_object_size(value), bytes = 2;
    if (!json_is_object(value))
        return weft_refuse_member(reader, member, "must be an object of strings");
    json_object_foreach(value, name, item) bytes +=
        json_len(name, strlen(name)) + json_len(json_string_value(item), json_string_length(item)) +
        sizeof "\"\":\"\"," - 1;
    if (bytes - (count > 0) > WEFT_JOB_HEADERS_MAX)
        return weft_refuse_member(reader, member, "has more than %zu bytes", WEFT_JOB_HEADERS_MAX);
    if (count == 0)
        return 0;
    request->headers = weft_arena_alloc(reader->arena, count * sizeof *request->headers);
    if (!request->headers)
        return weft_refuse_memory(reader);
    json_object_foreach(value, name, item)
    {
        int err = read_header(reader, name, item, &request->headers[request->headers_count]);
        if (err)
            return err;
        request->headers_count++;
    }
    return 0;
}

/* One entry: an id, or the name of a job of this body. */
static int read_needed(struct weft_reader *reader, const struct weft_member *member, json_t *item,
                       struct weft_job_after *after)
{
    const char *text = json_string_value(item);
    size_t len = json_string_length(item);
    *after = (struct weft_job_after){0};
    if (!text || !weft_is_word(text, len))
        return weft_refuse_member(reader, member, "must be a list of names and ids of jobs");
    if (weft_uuid_parse(&after->id, text, len) != 0)
        return weft_read_copy(reader, text, len, &after->name);
    if (weft_uuid_is_none(&after->id))
        return weft_refuse_member(reader, member, "must be a list of names and ids of jobs");
    return 0;
}

static int read_after(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct weft_job_reader *jobs = (struct weft_job_reader *)reader;
    struct weft_job_request *request = request_of(reader);
    size_t i, count = json_array_size(value);
    json_t *item;
    if (!json_is_array(value))
        return weft_refuse_member(reader, member, "must be a list of names and ids of jobs");
    if (count > WEFT_JOB_AFTER_MAX)
        return weft_refuse_member(reader, member, "has more than %u entries", WEFT_JOB_AFTER_MAX);
    if (count > WEFT_JOB_REQUEST_AFTER_MAX - jobs->after_total)
        return weft_refuse(reader, 413, "more than %u entries of \"after\" in one request",
                           WEFT_JOB_REQUEST_AFTER_MAX);
    if (count == 0)
        return 0;
    jobs->after_total += count;
    request->after = weft_arena_alloc(reader->arena, count * sizeof *request->after);
    if (!request->after)
        return weft_refuse_memory(reader);
    json_array_foreach(value, i, item)
    {
        int err = read_needed(reader, member, item, &request->after[i]);
        if (err)
            return err;
    }
    request->after_count = count;
    return 0;
}

static int read_after_policy(struct weft_reader *reader, const struct weft_member *member,
                             json_t *value)
{
    static const char *const names[] = {"success", "any", NULL};
    int i = weft_find_word(value, names);
    if (i < 0)
        return weft_refuse_member(reader, member, "must be \"success\" or \"any\"");
    request_of(reader)->after_policy = i == 0 ? WEFT_JOB_AFTER_SUCCESS : WEFT_JOB_AFTER_ANY;
    return 0;
}

/* The id of zeros is what "none" is stored as. */
static int read_group(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct weft_uuid id;
    int err = weft_read_word(reader, member, value);
    if (!err && weft_uuid_parse(&id, json_string_value(value), json_string_length(value)) == 0 &&
        weft_uuid_is_none(&id))
        err = weft_refuse_member(reader, member, "must be a name or the id of a flow");
    return err;
}

static int read_name(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    struct weft_uuid id;
    int err = weft_read_word(reader, member, value);
    if (!err && weft_uuid_parse(&id, json_string_value(value), json_string_length(value)) == 0)
        err = weft_refuse_member(reader, member, "must not look like the id of a job");
    return err;
}

/* ---- all of them ------------------------------------------------------------------------ */

/* The rows below, in their order; what most jobs have comes first. */
enum {
    TASK,
    PAYLOAD,
    QUEUE,
    PRIORITY,
    DELAY,
    RUN_AT,
    MAX_ATTEMPTS,
    TIMEOUT,
    SOFT_TIMEOUT,
    PAYLOAD_BASE64,
    CONTENT_TYPE,
    EXPIRES_AT,
    EXPIRES_IN,
    BACKOFF,
    UNIQUE,
    LIMIT_KEY,
    HEADERS,
    RESULT_TTL,
    NAME,
    GROUP,
    AFTER,
    AFTER_POLICY,
    MEMBERS
};

/* An entry of "after" is a word, its quotes and a comma; spaces may be between them. */
#define AFTER_TREE_MAX ((size_t)WEFT_JOB_AFTER_MAX * (WEFT_JOB_NAME_MAX + 8))

static const struct weft_member job_members[MEMBERS] = {
    [TASK] = {"task", weft_read_word, FIELD(task)},
    [PAYLOAD] = {"payload", read_payload, .tree_max = WEFT_JOB_PAYLOAD_MAX, .as_written = true},
    [QUEUE] = {"queue", weft_read_word, FIELD(queue)},
    [PRIORITY] = {"priority", read_priority},
    [DELAY] = {"delay", weft_read_length, FIELD(delay_ns), 0, LENGTH_MAX},
    [RUN_AT] = {"run_at", weft_read_time, FIELD(run_at_us)},
    [MAX_ATTEMPTS] = {"max_attempts", read_attempts},
    [TIMEOUT] = {"timeout", weft_read_length, FIELD(timeout_ns), LENGTH_MIN, LENGTH_MAX},
    [SOFT_TIMEOUT] = {"soft_timeout", weft_read_length, FIELD(soft_timeout_ns), LENGTH_MIN,
                      LENGTH_MAX},
    [PAYLOAD_BASE64] = {"payload_base64", read_bytes, .most = WEFT_JOB_PAYLOAD_MAX},
    [CONTENT_TYPE] = {"content_type", read_content_type},
    [EXPIRES_AT] = {"expires_at", weft_read_time, FIELD(expires_at_us)},
    [EXPIRES_IN] = {"expires_in", weft_read_length, FIELD(expires_in_ns), LENGTH_MIN, LENGTH_MAX},
    [BACKOFF] = {"backoff", read_backoff},
    [UNIQUE] = {"unique", read_unique},
    [LIMIT_KEY] = {"limit_key", weft_read_key, FIELD(limit_key), .most = WEFT_JOB_REQUEST_KEY_MAX},
    [HEADERS] = {"headers", read_headers},
    [RESULT_TTL] = {"result_ttl", weft_read_length, FIELD(result_ttl_ns), LENGTH_MIN, LENGTH_MAX},
    [NAME] = {"name", read_name, FIELD(name)},
    [GROUP] = {"group", read_group, FIELD(group)},
    [AFTER] = {"after", read_after, .tree_max = AFTER_TREE_MAX},
    [AFTER_POLICY] = {"after_policy", read_after_policy},
};

static bool has(const struct weft_job_reader *reader, unsigned row)
{
    return reader->given & UINT32_C(1) << row;
}

/* What one member says about another. */
static int check_together(struct weft_job_reader *reader)
{
    static const struct {
        unsigned one, other;
    } exclusive[] = {{PAYLOAD, PAYLOAD_BASE64}, {DELAY, RUN_AT}, {EXPIRES_AT, EXPIRES_IN}};
    static const struct {
        unsigned part, whole;
    } belongs[] = {{CONTENT_TYPE, PAYLOAD_BASE64}, {AFTER_POLICY, AFTER}};
    const struct weft_job_request *request = request_of(&reader->in);
    if (!has(reader, TASK))
        return weft_refuse(&reader->in, 422, "\"task\" is missing");
    for (size_t i = 0; i < sizeof exclusive / sizeof exclusive[0]; i++)
        if (has(reader, exclusive[i].one) && has(reader, exclusive[i].other))
            return weft_refuse(&reader->in, 422, "\"%s\" and \"%s\" exclude each other",
                               job_members[exclusive[i].one].name,
                               job_members[exclusive[i].other].name);
    for (size_t i = 0; i < sizeof belongs / sizeof belongs[0]; i++)
        if (has(reader, belongs[i].part) && !has(reader, belongs[i].whole))
            return weft_refuse(&reader->in, 422, "\"%s\" means nothing without \"%s\"",
                               job_members[belongs[i].part].name,
                               job_members[belongs[i].whole].name);
    if (request->timeout_ns && request->soft_timeout_ns > request->timeout_ns)
        return weft_refuse(&reader->in, 422, "\"soft_timeout\" is longer than \"timeout\"");
    if (request->expires_in_ns && request->expires_in_ns <= request->delay_ns)
        return weft_refuse(&reader->in, 422, "\"expires_in\" is over before \"delay\" is");
    if (request->expires_at_us && request->expires_at_us <= request->run_at_us)
        return weft_refuse(&reader->in, 422, "\"expires_at\" is not after \"run_at\"");
    return 0;
}

int weft_job_read_members(struct weft_job_reader *reader)
{
    struct weft_reader *in = &reader->in;
    const char *raw = in->raw;
    size_t len = in->raw_len;
    if (raw[0] != '{')
        return weft_refuse_no_object(in, raw, len, "a job must be a JSON object");
    reader->given = 0;
    int err = weft_object_read(in, raw, len, job_members, MEMBERS, &reader->given);
    return err ? err : check_together(reader);
}
