/* SPDX-License-Identifier: MIT
 * job_members.c - the members of a job object, one table row each. See job_json.h for what they
 * are, job_reader.h for whom this works. */
#include <base/base64.h>
#include <base/buffer.h>
#include <base/duration.h>
#include <base/iso_time.h>
#include <base/words.h>
#include <job/job.h>
#include <job/json_scan.h>
#include <serve/job_reader.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_BYTES 48 /* of what a client wrote, in an error */

/* A member of an object: what it is called, and who reads it into the field at offset. */
struct member {
    const char *name;
    int (*read)(struct weft_job_reader *reader, const struct member *member, json_t *value);
    size_t offset;
};

#define FIELD(name) offsetof(struct weft_job_request, name)

static void *field_of(struct weft_job_reader *reader, const struct member *member)
{
    return (char *)reader->request + member->offset;
}

/* ---- refusals --------------------------------------------------------------------------- */

/* Members of objects in the job go by both names: "backoff.kind". */
#define refuse_member(reader, member, format, ...)                                                 \
    weft_job_refuse(reader, (reader)->request, 422, "\"%s\" " format, (member)->name, ##__VA_ARGS__)

/* A few words of text for an error, ended before a sequence of UTF-8 that does not fit. */
static const char *quote(char out[QUOTE_BYTES + 4], const char *text)
{
    size_t len = strlen(text), at = 0;
    while (at < len) {
        size_t sequence = weft_utf8_sequence((const unsigned char *)text + at, len - at);
        if (sequence == 0 || at + sequence > QUOTE_BYTES)
            break;
        at += sequence;
    }
    (void)snprintf(out, QUOTE_BYTES + 4, "%.*s%s", (int)at, text, at < len ? "..." : "");
    return out;
}

/* The part of a member's name behind the dot. */
static const char *inner_name(const struct member *member)
{
    const char *dot = strchr(member->name, '.');
    return dot ? dot + 1 : member->name;
}

static int refuse_unknown(struct weft_job_reader *reader, const char *outer, const char *key,
                          const struct member *members, size_t count)
{
    char text[QUOTE_BYTES + 4];
    const char *best = NULL;
    unsigned best_distance = 99;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = weft_word_distance(key, inner_name(&members[i]));
        if (distance < best_distance) {
            best = inner_name(&members[i]);
            best_distance = distance;
        }
    }
    bool near = best && weft_word_is_near(key, best_distance);
    return weft_job_refuse(reader, reader->request, 422, "unknown member \"%s%s%s\"%s%s%s", outer,
                           *outer ? "." : "", quote(text, key), near ? "; did you mean \"" : "",
                           near ? best : "", near ? "\"?" : "");
}

/* ---- kinds of value --------------------------------------------------------------------- */

static int copy_text(struct weft_job_reader *reader, const char *text, size_t len,
                     const char **field)
{
    char *copy = weft_arena_copy(&reader->requests->arena, text, len);
    if (!copy)
        return weft_job_refuse_memory(reader);
    *field = copy;
    return 0;
}

static bool is_word(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i], lower = (char)(c | 0x20);
        if ((lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' &&
            c != ':' && c != '-')
            return false;
    }
    return len > 0 && len <= WEFT_JOB_WORD_MAX;
}

static int read_word(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || !is_word(text, len))
        return refuse_member(reader, member,
                             "must be a string of 1 to %u characters A-Z a-z 0-9 _ . : -",
                             WEFT_JOB_WORD_MAX);
    return copy_text(reader, text, len, field_of(reader, member));
}

static bool has_control_characters(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return true;
    return false;
}

static int read_key(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || len == 0 || len > WEFT_JOB_REQUEST_KEY_MAX || has_control_characters(text, len))
        return refuse_member(reader, member,
                             "must be a string of 1 to %u bytes without control characters",
                             WEFT_JOB_REQUEST_KEY_MAX);
    return copy_text(reader, text, len, field_of(reader, member));
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

static int parse_length(json_t *value, int64_t *ret_ns)
{
    if (json_is_string(value))
        return weft_duration_parse(ret_ns, json_string_value(value), json_string_length(value));
    if (!json_is_number(value))
        return -EINVAL;
    /* What is out of range stays so, within what 64 bits hold. */
    double ns = json_number_value(value) * 1e9, most_ns = 2 * (double)WEFT_JOB_LENGTH_MAX_NS;
    *ret_ns = llround(fmin(fmax(ns, -most_ns), most_ns));
    return 0;
}

static int read_length_from(struct weft_job_reader *reader, const struct member *member,
                            json_t *value, int64_t least_ns)
{
    int64_t ns;
    if (parse_length(value, &ns) < 0)
        return refuse_member(reader, member,
                             "must be a number of seconds, or a text like \"1m30s\"");
    if (ns < 0)
        return refuse_member(reader, member, "must not be less than 0");
    if (ns < least_ns)
        return refuse_member(reader, member, "must be more than 0");
    if (ns > WEFT_JOB_LENGTH_MAX_NS)
        return refuse_member(reader, member, "must be at most 100 years");
    *(int64_t *)field_of(reader, member) = ns;
    return 0;
}

static int read_length(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    return read_length_from(reader, member, value, 1);
}

static int read_length_or_0(struct weft_job_reader *reader, const struct member *member,
                            json_t *value)
{
    return read_length_from(reader, member, value, 0);
}

static int read_time(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    int64_t us;
    const char *text = json_string_value(value);
    if (!text || weft_time_parse(&us, text, json_string_length(value)) < 0)
        return refuse_member(reader, member,
                             "must be a time with its zone, like \"2030-01-31T08:00:00Z\" or "
                             "\"2030-01-31T09:00:00+01:00\"");
    if (us <= 0)
        return refuse_member(reader, member, "must be after 1970");
    *(int64_t *)field_of(reader, member) = us;
    return 0;
}

/* One of some words. names is a list that NULL ends; the index is the value. */
static int find_word(json_t *value, const char *const *names)
{
    const char *text = json_string_value(value);
    for (int i = 0; text && names[i]; i++)
        if (strlen(names[i]) == json_string_length(value) && strcmp(names[i], text) == 0)
            return i;
    return -ENOENT;
}

/* Go through the members of an object. Each goes to its row; a bit of *given tells which came. */
static int read_object(struct weft_job_reader *reader, json_t *object, const char *outer,
                       const struct member *members, size_t count, uint32_t *given)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(inner_name(&members[i]), key) != 0)
            i++;
        if (i == count)
            return refuse_unknown(reader, outer, key, members, count);
        *given |= UINT32_C(1) << i;
        int err = members[i].read(reader, &members[i], value);
        if (err)
            return err;
    }
    return 0;
}

/* ---- members of a job ------------------------------------------------------------------- */

static int read_priority(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    int number;
    if (!number_in(value, 0, WEFT_PRIORITY_LAST, &number))
        return refuse_member(reader, member,
                             "must be a whole number from 0, which goes first, to %d",
                             WEFT_PRIORITY_LAST);
    reader->request->priority = (uint8_t)number;
    reader->request->priority_given = true;
    return 0;
}

static int read_attempts(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    int number;
    if (!number_in(value, 1, WEFT_JOB_ATTEMPTS_MAX, &number))
        return refuse_member(reader, member, "must be a whole number from 1 to %u",
                             WEFT_JOB_ATTEMPTS_MAX);
    reader->request->attempts_max = (uint16_t)number;
    return 0;
}

static int refuse_payload(struct weft_job_reader *reader, const struct member *member)
{
    return weft_job_refuse(reader, reader->request, 413, "\"%s\" has more than %zu bytes",
                           member->name, WEFT_JOB_PAYLOAD_MAX);
}

/* The text as it stands in the body: a tree would have lost digits of long numbers. */
static int read_payload(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    struct weft_job_request *request = reader->request;
    const char *raw = NULL;
    size_t len = 0;
    (void)value;
    int err = weft_json_find(reader->raw, reader->raw_len, member->name, &raw, &len);
    if (err < 0) /* the parser took it for JSON with such a member */
        return refuse_member(reader, member, "cannot be read");
    if (len > WEFT_JOB_PAYLOAD_MAX)
        return refuse_payload(reader, member);
    request->payload_kind = WEFT_JOB_PAYLOAD_JSON;
    request->payload_len = len;
    return copy_text(reader, raw, len, &request->payload);
}

static int read_bytes(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    struct weft_job_request *request = reader->request;
    const char *text = json_string_value(value);
    size_t len = json_string_length(value), bytes_max = weft_base64_bytes_max(len);
    if (!text)
        return refuse_member(reader, member, "must be a string");
    if (bytes_max > WEFT_JOB_PAYLOAD_MAX + 2) /* two may be padding */
        return refuse_payload(reader, member);
    char *bytes = weft_arena_alloc(&reader->requests->arena, bytes_max + 1);
    if (!bytes)
        return weft_job_refuse_memory(reader);
    if (weft_base64_decode(bytes, &request->payload_len, text, len) < 0)
        return refuse_member(reader, member, "is not base64 with its padding");
    if (request->payload_len > WEFT_JOB_PAYLOAD_MAX)
        return refuse_payload(reader, member);
    bytes[request->payload_len] = '\0';
    request->payload = bytes;
    request->payload_kind = WEFT_JOB_PAYLOAD_BYTES;
    return 0;
}

static int read_content_type(struct weft_job_reader *reader, const struct member *member,
                             json_t *value)
{
    const char *text = json_string_value(value), *slash = text ? strchr(text, '/') : NULL;
    size_t len = json_string_length(value);
    bool good = slash && slash > text && slash[1] != '\0' && len <= WEFT_JOB_CONTENT_TYPE_MAX;
    for (size_t i = 0; good && i < len; i++)
        good = text[i] >= ' ' && text[i] < 0x7f;
    if (!good)
        return refuse_member(reader, member, "must be a media type like \"image/png\"");
    return copy_text(reader, text, len, &reader->request->content_type);
}

static int read_backoff_kind(struct weft_job_reader *reader, const struct member *member,
                             json_t *value)
{
    static const char *const names[] = {"exponential", "linear", "constant", NULL};
    static const enum weft_backoff kinds[] = {WEFT_BACKOFF_EXPONENTIAL, WEFT_BACKOFF_LINEAR,
                                              WEFT_BACKOFF_CONSTANT};
    int i = find_word(value, names);
    if (i < 0)
        return refuse_member(reader, member, "must be \"exponential\", \"linear\" or \"constant\"");
    reader->request->backoff = kinds[i];
    return 0;
}

static int read_jitter(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    static const char *const names[] = {"full", "equal", "none", NULL};
    static const enum weft_jitter jitters[] = {WEFT_JITTER_FULL, WEFT_JITTER_EQUAL,
                                               WEFT_JITTER_NONE};
    int i = find_word(value, names);
    if (i < 0)
        return refuse_member(reader, member, "must be \"full\", \"equal\" or \"none\"");
    reader->request->jitter = jitters[i];
    return 0;
}

static int read_backoff(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    static const struct member members[] = {
        {"backoff.kind", read_backoff_kind, 0},
        {"backoff.base", read_length, FIELD(backoff_base_ns)},
        {"backoff.cap", read_length, FIELD(backoff_cap_ns)},
        {"backoff.jitter", read_jitter, 0},
    };
    const struct weft_job_request *request = reader->request;
    uint32_t given = 0;
    if (!json_is_object(value))
        return refuse_member(reader, member, "must be an object");
    int err = read_object(reader, value, member->name, members, sizeof members / sizeof members[0],
                          &given);
    if (!err && request->backoff_cap_ns && request->backoff_cap_ns < request->backoff_base_ns)
        err =
            weft_job_refuse(reader, request, 422, "\"backoff.cap\" is less than \"backoff.base\"");
    return err;
}

static int read_states(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    size_t i;
    json_t *item;
    uint32_t states = 0;
    if (!json_is_array(value) || json_array_size(value) == 0)
        return refuse_member(reader, member, "must be a list of states");
    json_array_foreach(value, i, item)
    {
        const char *text = json_string_value(item);
        int state = WEFT_JOB_SCHEDULED;
        while (text && state < WEFT_JOB_STATES && strcmp(weft_job_state_name(state), text) != 0)
            state++;
        if (!text || state == WEFT_JOB_STATES || strlen(text) != json_string_length(item))
            return refuse_member(reader, member,
                                 "must be a list of states: scheduled, available, running, "
                                 "retryable, completed, cancelled, dead, blocked");
        states |= UINT32_C(1) << state;
    }
    reader->request->unique_states = states;
    return 0;
}

static int read_unique(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    static const struct member members[] = {
        {"unique.key", read_key, FIELD(unique_key)},
        {"unique.window", read_length, FIELD(unique_window_ns)},
        {"unique.states", read_states, 0},
    };
    uint32_t given = 0;
    if (!json_is_object(value))
        return refuse_member(reader, member, "must be an object");
    int err = read_object(reader, value, member->name, members, sizeof members / sizeof members[0],
                          &given);
    if (!err && !reader->request->unique_key)
        err = weft_job_refuse(reader, reader->request, 422, "\"unique.key\" is missing");
    return err;
}

static bool is_header_name(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return name[0] != '\0' && name[strspn(name, token)] == '\0';
}

static int read_header(struct weft_job_reader *reader, const char *name, json_t *value,
                       struct weft_job_header *header)
{
    char text[QUOTE_BYTES + 4];
    const char *string = json_string_value(value);
    size_t len = json_string_length(value);
    if (!is_header_name(name))
        return weft_job_refuse(reader, reader->request, 422,
                               "\"headers\" has a name that is none: \"%s\"", quote(text, name));
    if (!string || has_control_characters(string, len))
        return weft_job_refuse(reader, reader->request, 422,
                               "\"headers.%s\" must be a string without control characters",
                               quote(text, name));
    int err = copy_text(reader, name, strlen(name), &header->name);
    return err ? err : copy_text(reader, string, len, &header->value);
}

static int read_headers(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    struct weft_job_request *request = reader->request;
    const char *name;
    json_t *item;
    size_t count = json_object_size(value), bytes = 0;
    if (!json_is_object(value))
        return refuse_member(reader, member, "must be an object of strings");
    json_object_foreach(value, name, item) bytes += strlen(name) + json_string_length(item);
    if (bytes > WEFT_JOB_HEADERS_BYTES_MAX)
        return refuse_member(reader, member, "has more than %u bytes of names and values",
                             WEFT_JOB_HEADERS_BYTES_MAX);
    if (count == 0)
        return 0;
    request->headers = weft_arena_alloc(&reader->requests->arena, count * sizeof *request->headers);
    if (!request->headers)
        return weft_job_refuse_memory(reader);
    json_object_foreach(value, name, item)
    {
        int err = read_header(reader, name, item, &request->headers[request->headers_count]);
        if (err)
            return err;
        request->headers_count++;
    }
    return 0;
}

static int read_after(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    struct weft_job_request *request = reader->request;
    size_t i, count = json_array_size(value);
    json_t *item;
    if (!json_is_array(value))
        return refuse_member(reader, member, "must be a list of names and ids of jobs");
    if (count > WEFT_JOB_REQUEST_AFTER_MAX - reader->after_total)
        return weft_job_refuse(reader, request, 413,
                               "more than %u entries of \"after\" in one request",
                               WEFT_JOB_REQUEST_AFTER_MAX);
    if (count == 0)
        return 0;
    reader->after_total += count;
    request->after = weft_arena_alloc(&reader->requests->arena, count * sizeof *request->after);
    if (!request->after)
        return weft_job_refuse_memory(reader);
    json_array_foreach(value, i, item)
    {
        const char *text = json_string_value(item);
        size_t len = json_string_length(item);
        struct weft_job_after *after = &request->after[i];
        *after = (struct weft_job_after){0};
        if (!text || !is_word(text, len))
            return refuse_member(reader, member, "must be a list of names and ids of jobs");
        int err = weft_uuid_parse(&after->id, text, len) == 0
                      ? 0
                      : copy_text(reader, text, len, &after->name);
        if (err)
            return err;
    }
    request->after_count = count;
    return 0;
}

static int read_after_policy(struct weft_job_reader *reader, const struct member *member,
                             json_t *value)
{
    static const char *const names[] = {"success", "any", NULL};
    int i = find_word(value, names);
    if (i < 0)
        return refuse_member(reader, member, "must be \"success\" or \"any\"");
    reader->request->after_policy = i == 0 ? WEFT_JOB_AFTER_SUCCESS : WEFT_JOB_AFTER_ANY;
    return 0;
}

static int read_name(struct weft_job_reader *reader, const struct member *member, json_t *value)
{
    struct weft_uuid id;
    int err = read_word(reader, member, value);
    if (!err && weft_uuid_parse(&id, json_string_value(value), json_string_length(value)) == 0)
        err = refuse_member(reader, member, "must not look like the id of a job");
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

static const struct member job_members[MEMBERS] = {
    [TASK] = {"task", read_word, FIELD(task)},
    [PAYLOAD] = {"payload", read_payload},
    [QUEUE] = {"queue", read_word, FIELD(queue)},
    [PRIORITY] = {"priority", read_priority},
    [DELAY] = {"delay", read_length_or_0, FIELD(delay_ns)},
    [RUN_AT] = {"run_at", read_time, FIELD(run_at_us)},
    [MAX_ATTEMPTS] = {"max_attempts", read_attempts},
    [TIMEOUT] = {"timeout", read_length, FIELD(timeout_ns)},
    [SOFT_TIMEOUT] = {"soft_timeout", read_length, FIELD(soft_timeout_ns)},
    [PAYLOAD_BASE64] = {"payload_base64", read_bytes},
    [CONTENT_TYPE] = {"content_type", read_content_type},
    [EXPIRES_AT] = {"expires_at", read_time, FIELD(expires_at_us)},
    [EXPIRES_IN] = {"expires_in", read_length, FIELD(expires_in_ns)},
    [BACKOFF] = {"backoff", read_backoff},
    [UNIQUE] = {"unique", read_unique},
    [LIMIT_KEY] = {"limit_key", read_key, FIELD(limit_key)},
    [HEADERS] = {"headers", read_headers},
    [RESULT_TTL] = {"result_ttl", read_length, FIELD(result_ttl_ns)},
    [NAME] = {"name", read_name, FIELD(name)},
    [GROUP] = {"group", read_word, FIELD(group)},
    [AFTER] = {"after", read_after},
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
    const struct weft_job_request *request = reader->request;
    if (!has(reader, TASK))
        return weft_job_refuse(reader, request, 422, "\"task\" is missing");
    for (size_t i = 0; i < sizeof exclusive / sizeof exclusive[0]; i++)
        if (has(reader, exclusive[i].one) && has(reader, exclusive[i].other))
            return weft_job_refuse(reader, request, 422, "\"%s\" and \"%s\" exclude each other",
                                   job_members[exclusive[i].one].name,
                                   job_members[exclusive[i].other].name);
    for (size_t i = 0; i < sizeof belongs / sizeof belongs[0]; i++)
        if (has(reader, belongs[i].part) && !has(reader, belongs[i].whole))
            return weft_job_refuse(reader, request, 422, "\"%s\" means nothing without \"%s\"",
                                   job_members[belongs[i].part].name,
                                   job_members[belongs[i].whole].name);
    if (request->timeout_ns && request->soft_timeout_ns > request->timeout_ns)
        return weft_job_refuse(reader, request, 422, "\"soft_timeout\" is longer than \"timeout\"");
    return 0;
}

int weft_job_read_members(struct weft_job_reader *reader, json_t *object)
{
    int err = read_object(reader, object, "", job_members, MEMBERS, &reader->given);
    return err ? err : check_together(reader);
}
