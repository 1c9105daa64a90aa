/* SPDX-License-Identifier: MIT
 * load_target.h - what a load asks for: one URL, or a file of them with weights. All are at one
 * host and port, so that every connection can take every request.
 *
 * Which one a request asks for follows from its number alone: the targets come in a fixed order in
 * which each is spread evenly, as often as its weight says, and then again. */
#ifndef WEFT_LAB_LOAD_TARGET_H
#define WEFT_LAB_LOAD_TARGET_H

#include <lab/load_message.h>
#include <lab/load_url.h>
#include <weft/load.h>

#include <stdbool.h>

#define WEFT_LOAD_TARGETS_MAX 1000
#define WEFT_LOAD_ORDER_MAX   65536 /* the sum of the weights without their common divisor */
#define WEFT_LOAD_METHOD_MAX  15

/* What a line of the file says. Strings are the line's own; NULL: as the options say. */
struct weft_load_line {
    char *url, *method, *body, *content_type;
    char **headers;
    size_t headers_count;
    uint64_t weight; /* 1 when it says nothing */
};

struct weft_load_target {
    struct weft_load_line line; /* of which url and method are set in any case */
    struct weft_load_url url;   /* points into it */
    struct weft_load_message message;
};

struct weft_load_targets {
    struct weft_load_target *items;
    size_t count;
    uint32_t *order; /* indexes of items */
    size_t order_len;
};

/* RFC 9110, 5.6.2; and it must fit the result. */
bool weft_load_method_is_valid(const char *method);

/* Make what the options ask for, which are checked on the way.
 *
 * ret_error  receives, on failure, one sentence, truncated to error_bytes
 * Returns    0; -EINVAL, -ENOMEM, -ENOENT and the like (the file). Free it with deinit, also after
 *            a failure */
int weft_load_targets_init(struct weft_load_targets *targets,
                           const struct weft_load_options *options, char *ret_error,
                           size_t error_bytes);
void weft_load_targets_deinit(struct weft_load_targets *targets);

/* Make the one target ask for something else. Returns 0, -ENOMEM */
int weft_load_targets_replace(struct weft_load_targets *targets,
                              const struct weft_load_options *options, const char *method,
                              const char *body);

static inline uint32_t weft_load_targets_pick(const struct weft_load_targets *targets,
                                              uint64_t number)
{
    return targets->count == 1 ? 0 : targets->order[number % targets->order_len];
}

/* Read a line that is a JSON object. Returns 0, -EINVAL with *ret_reason set, -ENOMEM; free what is
 * in *ret_line in every case. */
int weft_load_line_from_json(struct weft_load_line *ret_line, const char *text, size_t len,
                             const char **ret_reason);
void weft_load_line_free(struct weft_load_line *line);

#endif
