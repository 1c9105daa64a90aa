/* SPDX-License-Identifier: MIT
 * load_steps.h - what steps of an open loop can be. */
#ifndef WEFT_LAB_LOAD_STEPS_H
#define WEFT_LAB_LOAD_STEPS_H

#include <weft/load.h>

#define WEFT_LOAD_RATE_MIN 0.001
#define WEFT_LOAD_RATE_MAX 1e9

/* Returns NULL, or what is wrong, a part of a sentence. */
const char *weft_load_steps_check(const struct weft_load_step *steps, size_t count);

#endif
