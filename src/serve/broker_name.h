/* SPDX-License-Identifier: MIT
 * broker_name.h - where jobs are kept, as people write it: "sqlite:PATH", or "memory:". */
#ifndef WEFT_SERVE_BROKER_NAME_H
#define WEFT_SERVE_BROKER_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Take a name apart.
 *
 * ret_path  of the database, part of the name; NULL: in memory
 * memory    whether it may be there
 * error     receives, on failure, one sentence for people
 * Returns   0, -EINVAL. Never suspends */
int weft_broker_name_parse(const char **ret_path, const char *name, bool memory, char *error,
                           size_t error_bytes);

#endif
