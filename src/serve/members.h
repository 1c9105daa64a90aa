/* SPDX-License-Identifier: MIT
 * members.h - members of JSON objects, read into plain structs by tables: a row for each member,
 * a sentence for everything that is wrong.
 *
 *     static const struct weft_member members[] = {
 *         {"max", weft_read_count, offsetof(struct request, max), 1, 1000},
 *         {"wait", weft_read_length, offsetof(struct request, wait_ns), 0, 60 * WEFT_SEC},
 *     };
 *
 * What is absent leaves its field as it is. */
#ifndef WEFT_SERVE_MEMBERS_H
#define WEFT_SERVE_MEMBERS_H

#include <base/arena.h>
#include <base/uuid.h>
#include <serve/refusal.h>

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_BODY_DEPTH_MAX  32u                /* of brackets; more: 400 */
#define WEFT_BODY_TREE_MAX   ((size_t)64 << 10) /* bytes of an array or object that is parsed */
#define WEFT_BODY_LENGTH_MIN 1000 /* ns: where 0 means "not given", as less would be */
#define WEFT_BODY_LENGTH_MAX (INT64_C(36525) * 86400 * 1000000000) /* ns: 100 years */
#define WEFT_BODY_COUNT_MAX  (INT64_C(1) << 53) /* what every JSON parser keeps exactly */

/* One body on its way into structs, and the object in it that is read. */
struct weft_reader {
    struct weft_refusal *refusal;
    struct weft_arena *arena; /* takes what strings become */
    const char *body;
    size_t body_len;
    const char *what; /* "job", "line": goes with `number` before a complaint; NULL: neither */
    uint32_t number;
    const char *raw; /* what is read, as it is written */
    size_t raw_len;
    void *target; /* where the members' fields are */
};

/* A member of an object: what it is called, and who reads it into the field at offset. */
struct weft_member {
    const char *name; /* as complaints have it; in its object it is called what is behind a dot */
    int (*read)(struct weft_reader *reader, const struct weft_member *member, json_t *value);
    size_t offset;
    int64_t least, most; /* of a number; most bytes of a text; nanoseconds of a length */
    size_t tree_max;     /* bytes of an array or object; 0: WEFT_BODY_TREE_MAX */
    bool as_written;     /* read takes reader->raw; value, which may be NULL, says nothing */
};

/* JSON as it is written, not copied. */
struct weft_raw {
    const char *text; /* NULL: none */
    size_t len;
};

/* ---- complaints: each returns the error that says "refused" ------------------------------- */

/* Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int weft_refuse(struct weft_reader *reader, int status,
                                                      const char *format, ...);
/* It is no JSON at this byte of the body: 400. Returns -EINVAL. */
int weft_refuse_syntax(struct weft_reader *reader, const char *at, const char *why);
/* Returns -ENOMEM. */
int weft_refuse_memory(struct weft_reader *reader);

/* "name" and what is wrong with it: 422. */
#define weft_refuse_member(reader, member, format, ...)                                            \
    weft_refuse(reader, 422, "\"%s\" " format, (member)->name, ##__VA_ARGS__)

#define WEFT_QUOTE_BYTES 52 /* room for a quotation */

/* A few words of text for a complaint, cut between characters. */
const char *weft_quote(char out[WEFT_QUOTE_BYTES], const char *text);

/* ---- objects ------------------------------------------------------------------------------ */

/* Parse a part of the body; json_decref it. NULL: *ret_err says why, and the refusal. */
json_t *weft_reader_load(struct weft_reader *reader, const char *raw, size_t len, int *ret_err);

/* Read the members of an object that was parsed; one that has no row is refused. outer: what it is
 * itself a member of, "" for none. A bit of *given is set for each row whose member was there.
 * These five return 0, -EINVAL, -ENOMEM */
int weft_members_read(struct weft_reader *reader, json_t *object, const char *outer,
                      const struct weft_member *members, size_t count, uint32_t *given);

/* Read the members of an object without parsing it as a whole. */
int weft_object_read(struct weft_reader *reader, const char *raw, size_t len,
                     const struct weft_member *members, size_t count, uint32_t *given);

/* The same for the body, which must be an object. */
int weft_body_read(struct weft_reader *reader, const struct weft_member *members, size_t count,
                   uint32_t *given);

/* Say what is wrong with a text that should be an object and does not begin like one: 400 when it
 * is no JSON, else 422 with that sentence. */
int weft_refuse_no_object(struct weft_reader *reader, const char *raw, size_t len,
                          const char *detail);

/* Go through a list of `least` to `most` elements: read is called with each. */
int weft_list_read(struct weft_reader *reader, const struct weft_member *member,
                   const struct weft_raw *list, size_t least, size_t most,
                   int (*read)(struct weft_reader *reader, void *context, size_t index,
                               const struct weft_raw *item),
                   void *context);

/* ---- kinds of members, with the fields they fill ------------------------------------------ */

#define WEFT_READ_(name)                                                                           \
    int name(struct weft_reader *reader, const struct weft_member *member, json_t *value)

WEFT_READ_(weft_read_bool);   /* bool */
WEFT_READ_(weft_read_count);  /* uint64_t */
WEFT_READ_(weft_read_number); /* double */
WEFT_READ_(weft_read_word);   /* const char *: a name, as jobs, queues and workers have them */
WEFT_READ_(weft_read_key);    /* const char *: 1 to `most` bytes without control characters */
WEFT_READ_(weft_read_text);   /* const char *: any text without NUL, 0 to `most` bytes */
WEFT_READ_(weft_read_length); /* int64_t, ns: a number of seconds, or a text like "1m30s" */
WEFT_READ_(weft_read_time);   /* int64_t, us since 1970: ISO 8601 with its zone */
WEFT_READ_(weft_read_uuid);   /* struct weft_uuid */
WEFT_READ_(weft_read_json);   /* struct weft_raw, `most` bytes: no number loses a digit */
WEFT_READ_(weft_read_raw);    /* struct weft_raw: whether it is JSON is for others to say; only in
                                 weft_object_read and weft_body_read */

/* Parts of them. */
bool weft_is_word(const char *text, size_t len);
bool weft_has_control_characters(const char *text, size_t len);
/* A copy of text in the arena. */
int weft_read_copy(struct weft_reader *reader, const char *text, size_t len, const char **ret_copy);
/* The bytes of base64, with a NUL behind, in the arena; more than `most`: 413. */
int weft_read_base64(struct weft_reader *reader, const struct weft_member *member, json_t *value,
                     const char **ret_bytes, size_t *ret_len);
/* Whether it is this string. */
bool weft_is_text(const json_t *value, const char *text);
/* One of some words: its index in a list that NULL ends, or -ENOENT. */
int weft_find_word(json_t *value, const char *const *words);

#endif
