/* SPDX-License-Identifier: MIT
 * members.c - see members.h. */
#include <serve/members.h>

#include <base/base64.h>
#include <base/buffer.h>
#include <base/duration.h>
#include <base/iso_time.h>
#include <base/json_scan.h>
#include <base/words.h>
#include <job/job.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *field_of(struct weft_reader *reader, const struct weft_member *member)
{
    return (char *)reader->target + member->offset;
}

/* ---- complaints ------------------------------------------------------------------------- */

int weft_refuse(struct weft_reader *reader, int status, const char *format, ...)
{
    struct weft_refusal *refusal = reader->refusal;
    size_t len = 0;
    if (reader->what)
        len = (size_t)snprintf(refusal->detail, sizeof refusal->detail, "%s %u: ", reader->what,
                               reader->number);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(refusal->detail + len, sizeof refusal->detail - len, format, args);
    va_end(args);
    refusal->status = status;
    return -EINVAL;
}

int weft_refuse_memory(struct weft_reader *reader)
{
    reader->refusal->status = 503;
    (void)snprintf(reader->refusal->detail, sizeof reader->refusal->detail, "out of memory");
    return -ENOMEM;
}

int weft_refuse_syntax(struct weft_reader *reader, const char *at, const char *why)
{
    const char *line = reader->body, *feed;
    size_t number = 1;
    while ((feed = memchr(line, '\n', (size_t)(at - line)))) {
        line = feed + 1;
        number++;
    }
    reader->what = NULL;
    return weft_refuse(reader, 400, "the body is not JSON at line %zu, column %zu: %s", number,
                       (size_t)(at - line) + 1, why);
}

const char *weft_quote(char out[WEFT_QUOTE_BYTES], const char *text)
{
    size_t len = strlen(text), at = 0;
    while (at < len) {
        size_t sequence = weft_utf8_sequence((const unsigned char *)text + at, len - at);
        if (sequence == 0 || at + sequence > WEFT_QUOTE_BYTES - sizeof "...")
            break;
        at += sequence;
    }
    (void)snprintf(out, WEFT_QUOTE_BYTES, "%.*s%s", (int)at, text, at < len ? "..." : "");
    return out;
}

/* The part of a member's name behind the dot. */
static const char *inner_name(const struct weft_member *member)
{
    const char *dot = strchr(member->name, '.');
    return dot ? dot + 1 : member->name;
}

static int refuse_unknown(struct weft_reader *reader, const char *outer, const char *key,
                          const struct weft_member *members, size_t count)
{
    char text[WEFT_QUOTE_BYTES];
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
    return weft_refuse(reader, 422, "unknown member \"%s%s%s\"%s%s%s", outer, *outer ? "." : "",
                       weft_quote(text, key), near ? "; did you mean \"" : "", near ? best : "",
                       near ? "\"?" : "");
}

/* ---- text to trees ---------------------------------------------------------------------- */

/* Integers may have any length: where they are wanted, they are small. */
#define LOAD_FLAGS                                                                                 \
    (JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES)

static int refuse_text(struct weft_reader *reader, const char *raw, size_t len,
                       const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    size_t at = error->position > 0 ? (size_t)error->position - 1 : 0;
    if (code == json_error_out_of_memory || !error->text[0]) /* which it mostly does not say */
        return weft_refuse_memory(reader);
    if (code == json_error_numeric_overflow) /* JSON, but with what no double can hold */
        return weft_refuse(reader, 400, "cannot be read: %s", error->text);
    return weft_refuse_syntax(reader, raw + (at < len ? at : len), error->text);
}

json_t *weft_reader_load(struct weft_reader *reader, const char *raw, size_t len, int *ret_err)
{
    json_error_t error = {0}; /* where the library leaves it unset */
    if (weft_json_too_deep(raw, len, WEFT_BODY_DEPTH_MAX)) {
        *ret_err =
            weft_refuse(reader, 400, "brackets are nested more than %u deep", WEFT_BODY_DEPTH_MAX);
        return NULL;
    }
    json_t *root = json_loadb(raw, len, LOAD_FLAGS, &error);
    const char *nul = root ? memchr(raw, '\0', len) : NULL;
    if (!root)
        *ret_err = refuse_text(reader, raw, len, &error);
    if (!nul)
        return root;
    /* The library passes over one behind a number. What is kept as it was written would be no JSON.
     */
    *ret_err = weft_refuse_syntax(reader, nul, "a NUL character");
    json_decref(root);
    return NULL;
}

/* ---- objects ---------------------------------------------------------------------------- */

int weft_members_read(struct weft_reader *reader, json_t *object, const char *outer,
                      const struct weft_member *members, size_t count, uint32_t *given)
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

static const struct weft_member *find_row(const struct weft_json_member *found,
                                          const struct weft_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weft_json_is_named(found, inner_name(&members[i])))
            return &members[i];
    return NULL;
}

/* The name of a member that has no row, or is there twice, as the client meant it. */
static int refuse_named(struct weft_reader *reader, const struct weft_json_member *found,
                        const struct weft_member *members, size_t count, bool twice)
{
    int err = 0;
    json_t *name = weft_reader_load(reader, found->name - 1, found->name_len + 2, &err);
    char text[WEFT_QUOTE_BYTES];
    if (!name)
        return err;
    if (twice)
        err = weft_refuse(reader, 400, "the member \"%s\" is there twice",
                          weft_quote(text, json_string_value(name)));
    else
        err = refuse_unknown(reader, "", json_string_value(name), members, count);
    json_decref(name);
    return err;
}

/* The tree of an array or object takes many times its text. */
static int check_size(struct weft_reader *reader, const struct weft_json_member *found,
                      const struct weft_member *member)
{
    size_t most = member->tree_max ? member->tree_max : WEFT_BODY_TREE_MAX;
    bool nested = found->raw[0] == '[' || found->raw[0] == '{';
    if (!nested || found->len <= most)
        return 0;
    return weft_refuse(reader, 413, "\"%s\" has more than %zu bytes", member->name, most);
}

/* Most values are such strings: nothing is left for a parser to do. */
static json_t *load_plain_string(struct weft_reader *reader, const struct weft_json_member *found,
                                 int *ret_err)
{
    json_t *value = json_stringn_nocheck(found->raw + 1, found->len - 2);
    if (!value)
        *ret_err = weft_refuse_memory(reader);
    return value;
}

static int read_member(struct weft_reader *reader, const struct weft_json_member *found,
                       const struct weft_member *member)
{
    reader->raw = found->raw;
    reader->raw_len = found->len;
    if (member->read == weft_read_raw)
        return weft_read_raw(reader, member, NULL);
    int err = check_size(reader, found, member);
    if (err)
        return err;
    bool plain = weft_json_is_plain(found->raw, found->len);
    if (plain && member->as_written)
        return member->read(reader, member, NULL);
    json_t *value = plain && found->raw[0] == '"'
                        ? load_plain_string(reader, found, &err)
                        : weft_reader_load(reader, found->raw, found->len, &err);
    if (value)
        err = member->read(reader, member, value);
    json_decref(value);
    return err;
}

int weft_object_read(struct weft_reader *reader, const char *raw, size_t len,
                     const struct weft_member *members, size_t count, uint32_t *given)
{
    const char *at = raw, *end = raw + len;
    struct weft_json_member found;
    int more, err = 0;
    if (weft_json_too_deep(raw, len, WEFT_BODY_DEPTH_MAX))
        return weft_refuse(reader, 400, "brackets are nested more than %u deep",
                           WEFT_BODY_DEPTH_MAX);
    while (!err && (more = weft_json_next_member(&at, end, &found)) > 0) {
        const struct weft_member *row = find_row(&found, members, count);
        uint32_t bit = row ? UINT32_C(1) << (row - members) : 0;
        if (!row || *given & bit)
            return refuse_named(reader, &found, members, count, row != NULL);
        *given |= bit;
        err = read_member(reader, &found, row);
    }
    if (err)
        return err;
    while (more == 0 && at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    if (more < 0 || at < end)
        return weft_refuse_syntax(reader, at,
                                  at == end  ? "the object has no end"
                                  : more < 0 ? "a member, \",\" or \"}\" is expected"
                                             : "something follows the object");
    return 0;
}

int weft_refuse_no_object(struct weft_reader *reader, const char *raw, size_t len,
                          const char *detail)
{
    int err = 0;
    if (len > WEFT_BODY_TREE_MAX)
        return weft_refuse(reader, 422, "%s", detail);
    json_t *other = weft_reader_load(reader, raw, len, &err);
    json_decref(other);
    return other ? weft_refuse(reader, 422, "%s", detail) : err;
}

int weft_body_read(struct weft_reader *reader, const struct weft_member *members, size_t count,
                   uint32_t *given)
{
    const char *at = reader->body, *end = at + reader->body_len;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    if (at == end)
        return weft_refuse(reader, 400, "the body is empty");
    if (*at == '{')
        return weft_object_read(reader, at, (size_t)(end - at), members, count, given);
    return weft_refuse_no_object(reader, at, (size_t)(end - at), "the body must be a JSON object");
}

int weft_list_read(struct weft_reader *reader, const struct weft_member *member,
                   const struct weft_raw *list, size_t least, size_t most,
                   int (*read)(struct weft_reader *reader, void *context, size_t index,
                               const struct weft_raw *item),
                   void *context)
{
    const char *at = list->text, *end = at + list->len;
    struct weft_raw item;
    size_t count = 0;
    int more = -EINVAL, err = 0;
    if (list->text[0] != '[')
        return weft_refuse_member(reader, member, "must be a list");
    while (!err && (more = weft_json_next_element(&at, end, &item.text, &item.len)) > 0) {
        if (count == most)
            return weft_refuse(reader, 413, "\"%s\" has more than %zu entries", member->name, most);
        err = read(reader, context, count++, &item);
    }
    if (err)
        return err;
    if (more < 0 || at < end)
        return weft_refuse_syntax(reader, at,
                                  at == end ? "the array has no end"
                                            : "an element, \",\" or \"]\" is expected");
    reader->what = NULL;
    if (count < least)
        return weft_refuse_member(reader, member, "has fewer than %zu entries", least);
    return 0;
}

/* ---- kinds of members ------------------------------------------------------------------- */

int weft_read_copy(struct weft_reader *reader, const char *text, size_t len, const char **ret_copy)
{
    char *copy = weft_arena_copy(reader->arena, text, len);
    if (!copy)
        return weft_refuse_memory(reader);
    *ret_copy = copy;
    return 0;
}

int weft_read_bool(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    if (!json_is_boolean(value))
        return weft_refuse_member(reader, member, "must be true or false");
    *(bool *)field_of(reader, member) = json_is_true(value);
    return 0;
}

int weft_read_count(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number < (double)member->least || number > (double)member->most ||
        floor(number) != number)
        return weft_refuse_member(reader, member, "must be a whole number from %lld to %lld",
                                  (long long)member->least, (long long)member->most);
    *(uint64_t *)field_of(reader, member) = (uint64_t)number;
    return 0;
}

int weft_read_number(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number < (double)member->least || number > (double)member->most)
        return weft_refuse_member(reader, member, "must be a number from %lld to %lld",
                                  (long long)member->least, (long long)member->most);
    *(double *)field_of(reader, member) = number;
    return 0;
}

bool weft_is_word(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i], lower = (char)(c | 0x20);
        if ((lower < 'a' || lower > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' &&
            c != ':' && c != '-')
            return false;
    }
    return len > 0 && len <= WEFT_JOB_NAME_MAX;
}

int weft_read_word(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || !weft_is_word(text, len))
        return weft_refuse_member(reader, member,
                                  "must be a string of 1 to %zu characters A-Z a-z 0-9 _ . : -",
                                  WEFT_JOB_NAME_MAX);
    return weft_read_copy(reader, text, len, field_of(reader, member));
}

bool weft_has_control_characters(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return true;
    return false;
}

int weft_read_key(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || len == 0 || len > (size_t)member->most || weft_has_control_characters(text, len))
        return weft_refuse_member(reader, member,
                                  "must be a string of 1 to %lld bytes without control characters",
                                  (long long)member->most);
    return weft_read_copy(reader, text, len, field_of(reader, member));
}

int weft_read_text(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!text || memchr(text, '\0', len))
        return weft_refuse_member(reader, member, "must be a string without NUL characters");
    if (len > (size_t)member->most)
        return weft_refuse_member(reader, member, "has more than %lld bytes",
                                  (long long)member->most);
    return weft_read_copy(reader, text, len, field_of(reader, member));
}

static int parse_length(json_t *value, int64_t *ret_ns)
{
    if (json_is_string(value))
        return weft_duration_parse(ret_ns, json_string_value(value), json_string_length(value));
    if (!json_is_number(value))
        return -EINVAL;
    /* What is out of range stays so, within what 64 bits hold. */
    double ns = json_number_value(value) * 1e9, most_ns = 2 * (double)WEFT_BODY_LENGTH_MAX;
    *ret_ns = llround(fmin(fmax(ns, -most_ns), most_ns));
    return 0;
}

int weft_read_length(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    int64_t ns;
    if (parse_length(value, &ns) < 0)
        return weft_refuse_member(reader, member,
                                  "must be a number of seconds, or a text like \"1m30s\"");
    if (ns < 0)
        return weft_refuse_member(reader, member, "must not be less than 0");
    if (ns < member->least && member->least == WEFT_BODY_LENGTH_MIN)
        return weft_refuse_member(reader, member, "must be %s",
                                  ns ? "at least a microsecond" : "more than 0");
    if (ns < member->least)
        return weft_refuse_member(reader, member, "must be at least %g s",
                                  (double)member->least / 1e9);
    if (ns > member->most && member->most == WEFT_BODY_LENGTH_MAX)
        return weft_refuse_member(reader, member, "must be at most 100 years");
    if (ns > member->most)
        return weft_refuse_member(reader, member, "must be at most %g s",
                                  (double)member->most / 1e9);
    *(int64_t *)field_of(reader, member) = ns;
    return 0;
}

int weft_read_time(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    int64_t us;
    const char *text = json_string_value(value);
    if (!text || weft_time_parse(&us, text, json_string_length(value)) < 0)
        return weft_refuse_member(reader, member,
                                  "must be a time with its zone, like \"2030-01-31T08:00:00Z\" or "
                                  "\"2030-01-31T09:00:00+01:00\"");
    if (us <= 0)
        return weft_refuse_member(reader, member, "must be after 1970");
    *(int64_t *)field_of(reader, member) = us;
    return 0;
}

int weft_read_uuid(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || weft_uuid_parse(field_of(reader, member), text, json_string_length(value)))
        return weft_refuse_member(reader, member, "must be an id");
    return 0;
}

int weft_read_json(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    if (reader->raw_len > (size_t)member->most)
        return weft_refuse(reader, 413, "\"%s\" has more than %lld bytes", member->name,
                           (long long)member->most);
    return weft_read_raw(reader, member, value);
}

int weft_read_raw(struct weft_reader *reader, const struct weft_member *member, json_t *value)
{
    (void)value;
    *(struct weft_raw *)field_of(reader, member) = (struct weft_raw){reader->raw, reader->raw_len};
    return 0;
}

int weft_read_base64(struct weft_reader *reader, const struct weft_member *member, json_t *value,
                     const char **ret_bytes, size_t *ret_len)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value), bytes_max = weft_base64_bytes_max(len);
    size_t most = (size_t)member->most, bytes_len;
    if (!text)
        return weft_refuse_member(reader, member, "must be a string");
    if (bytes_max > most + 2) /* two may be padding */
        return weft_refuse(reader, 413, "\"%s\" has more than %zu bytes", member->name, most);
    char *bytes = weft_arena_alloc(reader->arena, bytes_max + 1);
    if (!bytes)
        return weft_refuse_memory(reader);
    if (weft_base64_decode(bytes, &bytes_len, text, len) < 0)
        return weft_refuse_member(reader, member, "is not base64 with its padding");
    if (bytes_len > most)
        return weft_refuse(reader, 413, "\"%s\" has more than %zu bytes", member->name, most);
    bytes[bytes_len] = '\0';
    *ret_bytes = bytes;
    *ret_len = bytes_len;
    return 0;
}

bool weft_is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && json_string_length(value) == strlen(text) &&
           strcmp(json_string_value(value), text) == 0;
}

int weft_find_word(json_t *value, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (weft_is_text(value, words[i]))
            return i;
    return -ENOENT;
}
