/* SPDX-License-Identifier: MIT
 * retry_internal.h - retrying for who stands between the caller and its function. */
#ifndef WEFT_FLOW_RETRY_INTERNAL_H
#define WEFT_FLOW_RETRY_INTERNAL_H

#include <weft/retry.h>

/* weft_retry, with callbacks that get asked_arg and a function that gets arg. */
int weft_retry_between(const struct weft_retry_options *options, int (*fn)(void *), void *arg,
                       void *asked_arg);

/* Returns 0, -EINVAL. */
int weft_retry_check(const struct weft_retry_options *options);

#endif
