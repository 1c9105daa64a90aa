/* SPDX-License-Identifier: MIT
 * settings.h - what weft_serve's options mean: checked, and taken apart. */
#ifndef WEFT_SERVE_SETTINGS_H
#define WEFT_SERVE_SETTINGS_H

#include <weft/serve.h>

#include <stdbool.h>

#define WEFT_TOKEN_MIN 16
#define WEFT_TOKEN_MAX 512

struct weft_serve_settings {
    char address[64]; /* numeric */
    uint16_t port;
    bool loopback;
    const char *database_path; /* points into the options */
    unsigned workers, concurrency, queue_size, job_concurrency;
    int64_t steps_ns[WEFT_SERVE_STEPS];
    int64_t grace_ns;
    char token[WEFT_TOKEN_MAX + 1]; /* empty: none is asked for */
};

/* Check and fill in. Reads the token file.
 *
 * error    receives, on failure, one sentence for people
 * Returns  0; -EINVAL, or what reading the token file gave. Never suspends */
int weft_serve_settings_parse(struct weft_serve_settings *ret_settings,
                              const struct weft_serve_options *options, char *error,
                              size_t error_bytes);

/* Whether the value of an Authorization header carries the token. Takes the same time wherever
 * the first difference is. value may be NULL. */
bool weft_serve_token_matches(const char *token, const char *value);

#endif
