/* SPDX-License-Identifier: MIT
 * schema.c - see schema.h. */
#include "schema.h"

#include "test.h"

#include <base/iso_time.h>
#include <base/uuid.h>

#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A place in a value, and what is wrong there. */
struct check {
    char place[256];
    char *why;
    size_t why_bytes;
};

const json_t *openapi(void)
{
    static json_t *document;
    json_error_t error;
    if (!document)
        document = json_load_file(WEFT_OPENAPI_JSON, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        test_note("%s:%d: %s", WEFT_OPENAPI_JSON, error.line, error.text);
    REQUIRE(document);
    return document;
}

const json_t *openapi_resolve(const json_t *value)
{
    const char *ref = json_string_value(json_object_get(value, "$ref"));
    if (!ref)
        return value;
    REQUIRE(strncmp(ref, "#/", 2) == 0);
    const json_t *at = openapi();
    char part[128];
    for (const char *rest = ref + 2; *rest; rest += *rest == '/') {
        size_t len = strcspn(rest, "/");
        (void)snprintf(part, sizeof part, "%.*s", (int)len, rest);
        at = json_object_get(at, part);
        rest += len;
    }
    if (!at)
        test_note("%s leads nowhere", ref);
    REQUIRE(at);
    return at;
}

/* ---- operations ------------------------------------------------------------------------- */

/* Whether a path is one of a template's; *ret_literal: how many segments are the same. */
static bool fits(const char *template, const char *path, int *ret_literal)
{
    int literal = 0;
    while (*template == '/' && *path == '/') {
        size_t want = strcspn(++template, "/"), have = strcspn(++path, "/?");
        if (*template != '{' && (want != have || strncmp(template, path, want) != 0))
            return false;
        literal += *template != '{';
        template += want;
        path += have;
    }
    *ret_literal = literal;
    return !*template && (!*path || *path == '?');
}

const json_t *openapi_operation(const char *method, const char *path)
{
    const char *template;
    json_t *item;
    const json_t *best = NULL;
    int most = -1, literal;
    char name[16] = "";
    for (size_t i = 0; method[i] && i < sizeof name - 1; i++)
        name[i] = (char)(method[i] | 0x20);
    json_object_foreach(json_object_get(openapi(), "paths"), template, item)
    {
        if (fits(template, path, &literal) && literal > most) {
            best = json_object_get(item, name);
            most = literal;
        }
    }
    return best;
}

const json_t *openapi_answer(const json_t *operation, int status, bool *ret_known)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%d", status);
    const json_t *answer = json_object_get(json_object_get(operation, "responses"), key);
    *ret_known = answer != NULL;
    answer = openapi_resolve(answer);
    const json_t *json = json_object_get(json_object_get(answer, "content"), "application/json");
    return json_object_get(json, "schema");
}

/* ---- values ----------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static bool wrong(struct check *check, const char *format,
                                                        ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(check->why, check->why_bytes, "%s: %s", *check->place ? check->place : "it",
                   what);
    return false;
}

static bool is_valid(struct check *check, const json_t *schema, const json_t *value);

/* Large ones have no digits behind the point. */
static bool is_whole(double number)
{
    return number > 9e15 || number < -9e15 || number == (double)(long long)number;
}

static bool is_type(const char *type, const json_t *value)
{
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value) || (json_is_real(value) && is_whole(json_real_value(value)));
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "number") == 0 && json_is_number(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool check_type(struct check *check, const json_t *type, const json_t *value)
{
    size_t i;
    json_t *one;
    if (!type || (json_is_string(type) && is_type(json_string_value(type), value)))
        return true;
    json_array_foreach(type, i, one)
    {
        if (is_type(json_string_value(one), value))
            return true;
    }
    char *wanted = json_dumps(type, JSON_ENCODE_ANY), *is = json_dumps(value, JSON_ENCODE_ANY);
    (void)wrong(check, "%.60s is no %s", is ? is : "?", wanted ? wanted : "?");
    free(wanted);
    free(is);
    return false;
}

static bool check_enum(struct check *check, const json_t *values, const json_t *value)
{
    size_t i;
    json_t *one;
    if (!values)
        return true;
    json_array_foreach(values, i, one)
    {
        if (json_equal(one, value))
            return true;
    }
    return wrong(check, "\"%.60s\" is none of its values", json_string_value(value));
}

static bool check_number(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *least = json_object_get(schema, "minimum");
    const json_t *most = json_object_get(schema, "maximum");
    double number = json_number_value(value);
    if ((least && number < json_number_value(least)) || (most && number > json_number_value(most)))
        return wrong(check, "%g is out of range", number);
    return true;
}

/* The patterns of the document are POSIX ones as well. */
static bool has_pattern(const char *pattern, const char *text, size_t len)
{
    regex_t compiled;
    REQUIRE(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0);
    bool fits = strlen(text) == len && regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return fits;
}

static bool check_string(struct check *check, const json_t *schema, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    const json_t *most = json_object_get(schema, "maxLength");
    const char *format = json_string_value(json_object_get(schema, "format"));
    const char *pattern = json_string_value(json_object_get(schema, "pattern"));
    struct weft_uuid id;
    int64_t us;
    if (most && len > (size_t)json_integer_value(most)) /* of ASCII */
        return wrong(check, "\"%.60s...\" is too long", text);
    if (pattern && !has_pattern(pattern, text, len))
        return wrong(check, "\"%.60s\" is not as \"%.60s\"", text, pattern);
    if (format && strcmp(format, "uuid") == 0 && weft_uuid_parse(&id, text, len))
        return wrong(check, "\"%.60s\" is no UUID", text);
    if (format && strcmp(format, "date-time") == 0 && weft_time_parse(&us, text, len))
        return wrong(check, "\"%.60s\" is no time", text);
    return true;
}

/* Check a part of a value, at its own place. */
static bool check_part(struct check *check, const char *name, const json_t *schema,
                       const json_t *value)
{
    size_t len = strlen(check->place);
    (void)snprintf(check->place + len, sizeof check->place - len, "%s%s", len ? "." : "", name);
    bool valid = is_valid(check, schema, value);
    check->place[len] = '\0';
    return valid;
}

static bool check_array(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *items = json_object_get(schema, "items");
    const json_t *least = json_object_get(schema, "minItems");
    const json_t *most = json_object_get(schema, "maxItems");
    size_t i, count = json_array_size(value);
    json_t *item;
    char index[24];
    if ((least && count < (size_t)json_integer_value(least)) ||
        (most && count > (size_t)json_integer_value(most)))
        return wrong(check, "it has %zu items", count);
    json_array_foreach(value, i, item)
    {
        (void)snprintf(index, sizeof index, "%zu", i);
        if (items && !check_part(check, index, items, item))
            return false;
    }
    return true;
}

static bool check_object(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    const char *name;
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(schema, "required"), i, member)
    {
        if (!json_object_get(value, json_string_value(member)))
            return wrong(check, "\"%s\" is missing", json_string_value(member));
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const json_t *of = json_object_get(properties, name);
        if (!of && json_is_false(others))
            return wrong(check, "\"%s\" is not in the document", name);
        if (!of)
            of = others;
        if (json_is_object(of) && !check_part(check, name, of, member))
            return false;
    }
    return true;
}

static bool check_one_of(struct check *check, const json_t *schemas, const json_t *value)
{
    char why[400] = "", *said = check->why;
    size_t i, fitting = 0, said_bytes = check->why_bytes;
    json_t *schema;
    if (!schemas)
        return true;
    check->why = why;
    check->why_bytes = sizeof why;
    json_array_foreach(schemas, i, schema) fitting += is_valid(check, schema, value);
    check->why = said;
    check->why_bytes = said_bytes;
    return fitting == 1 ||
           wrong(check, "it fits %zu of the schemas of oneOf; last: %.180s", fitting, why);
}

static bool is_valid(struct check *check, const json_t *schema, const json_t *value)
{
    schema = openapi_resolve(schema);
    return check_type(check, json_object_get(schema, "type"), value) &&
           check_enum(check, json_object_get(schema, "enum"), value) &&
           check_one_of(check, json_object_get(schema, "oneOf"), value) &&
           (!json_is_number(value) || check_number(check, schema, value)) &&
           (!json_is_string(value) || check_string(check, schema, value)) &&
           (!json_is_array(value) || check_array(check, schema, value)) &&
           (!json_is_object(value) || check_object(check, schema, value));
}

bool schema_check(const json_t *schema, const json_t *value, char *why, size_t why_bytes)
{
    struct check check = {.why = why, .why_bytes = why_bytes};
    return is_valid(&check, schema, value);
}
