/* SPDX-License-Identifier: MIT
 * child.c - weft_child: handlers of the program and of shared objects, run for a parent. */
#include <weft/child.h>

#include <job/child.h>
#include <job/library.h>

#include <errno.h>
#include <stdio.h>

int weft_child(const struct weft_child_options *options, char *ret_error, size_t error_bytes)
{
    struct weft_handler_set handlers = {0};
    if (error_bytes > 0)
        ret_error[0] = '\0';
    int err = weft_handler_set_add(&handlers, "the program", options->handlers,
                                   options->handlers_count, ret_error, error_bytes);
    for (size_t i = 0; !err && i < options->libraries_count; i++)
        err = weft_handler_set_load(&handlers, options->libraries[i], ret_error, error_bytes);
    if (!err) {
        err = weft_child_main(handlers.items, handlers.count);
        if (err && error_bytes > 0)
            (void)snprintf(ret_error, error_bytes, "%s",
                           err == -ENOTSOCK
                               ? "it is started by whoever has jobs for it, not by hand"
                               : weft_strerror(err));
    }
    weft_handler_set_release(&handlers);
    return err;
}
