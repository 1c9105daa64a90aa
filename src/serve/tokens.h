/* SPDX-License-Identifier: MIT
 * tokens.h - who may do what: bearer tokens with scopes, read from a file.
 *
 * One token per line, "TOKEN [SCOPE,SCOPE...] [NAME]"; empty lines and what follows "#" do not
 * count. Scopes are read, enqueue, work and admin, which is all of them; without any, a token is
 * for everything. The name stands in the audit log. A file has at most 256 KiB, and each token
 * once. */
#ifndef WEFT_SERVE_TOKENS_H
#define WEFT_SERVE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

#define WEFT_TOKEN_MIN      16 /* characters */
#define WEFT_TOKEN_MAX      512
#define WEFT_TOKEN_NAME_MAX 64
#define WEFT_TOKENS_MAX     100

enum weft_may {
    WEFT_MAY_READ = 1,
    WEFT_MAY_ENQUEUE = 2,
    WEFT_MAY_WORK = 4,
    WEFT_MAY_ADMIN = 8,
    WEFT_MAY_ALL = 15,
};

struct weft_token {
    char text[WEFT_TOKEN_MAX + 1];
    char name[WEFT_TOKEN_NAME_MAX + 1];
    unsigned may; /* bits of enum weft_may */
};

struct weft_tokens {
    struct weft_token *tokens; /* NULL: nobody needs one */
    size_t count;
};

/* Read a file. error receives, on failure, one sentence for people.
 * Returns  0; -EINVAL, -ENOMEM, or why the file cannot be read. Blocks */
int weft_tokens_read(struct weft_tokens *ret_tokens, const char *path, char *error,
                     size_t error_bytes);
void weft_tokens_release(struct weft_tokens *tokens);

/* The token that the value of an Authorization header carries; NULL when it is none of these. Takes
 * the same time whichever it is and wherever the first difference is. value may be NULL. */
const struct weft_token *weft_tokens_find(const struct weft_tokens *tokens, const char *value);

/* The name of one scope; static storage. */
const char *weft_may_name(enum weft_may may);

#endif
