/* SPDX-License-Identifier: MIT
 * settings.h - what weft_serve's options mean: checked, and taken apart. */
#ifndef WEFT_SERVE_SETTINGS_H
#define WEFT_SERVE_SETTINGS_H

#include <http/listen_address.h>
#include <serve/tokens.h>
#include <weft/serve.h>

#include <stdbool.h>

struct weft_serve_settings {
    struct weft_listen_address listen;
    const char *database_path; /* points into the options */
    unsigned workers, concurrency, queue_size, job_concurrency;
    int64_t steps_ns[WEFT_SERVE_STEPS];
    int64_t grace_ns, answer_timeout_ns;
    struct weft_tokens tokens; /* none: everybody on this machine may do everything */
};

/* Check and fill in. Reads the token file.
 *
 * error    receives, on failure, one sentence for people
 * Returns  0; -EINVAL, or what reading the token file gave. Release them after success. Never
 *          suspends */
int weft_serve_settings_parse(struct weft_serve_settings *ret_settings,
                              const struct weft_serve_options *options, char *error,
                              size_t error_bytes);

/* Free what parse has read. */
void weft_serve_settings_release(struct weft_serve_settings *settings);

#endif
