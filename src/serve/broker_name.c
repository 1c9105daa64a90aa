/* SPDX-License-Identifier: MIT
 * broker_name.c - see broker_name.h. */
#include <serve/broker_name.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int weft_broker_name_parse(const char **ret_path, const char *name, bool memory, char *error,
                           size_t error_bytes)
{
    static const char scheme[] = "sqlite:";
    const char *path = name + strlen(scheme); /* if it begins so */
    if (memory && strcmp(name, "memory:") == 0) {
        *ret_path = NULL;
        return 0;
    }
    if (strncmp(name, scheme, strlen(scheme)) != 0 || !*path) {
        (void)snprintf(error, error_bytes, "the broker \"%s\" is not known; use sqlite:PATH%s",
                       name, memory ? " or memory:" : "");
        return -EINVAL;
    }
    if (strcmp(path, ":memory:") == 0 || strncmp(path, "file:", 5) == 0) {
        (void)snprintf(error, error_bytes, "the broker needs the path of a file, not \"%s\"%s",
                       path, memory ? "; memory: needs none" : "");
        return -EINVAL;
    }
    *ret_path = path;
    return 0;
}
