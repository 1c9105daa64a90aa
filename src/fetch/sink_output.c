/* SPDX-License-Identifier: MIT
 * sink_output.c - what outputs share, see sink_output.h; and the one that is a function. */
#include "sink_output.h"

#include <base/list.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int weft_sink_say(struct sink_output *output, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!output->error[0])
        (void)vsnprintf(output->error, SINK_ERROR_BYTES, format, args);
    va_end(args);
    return err;
}

int weft_sink_cannot(struct sink_output *output, int err, const char *what)
{
    const char *path = output->options.path;
    bool is_stdout = strcmp(path, "-") == 0;
    return weft_sink_say(output, err, "cannot %s %s: %s", what,
                         is_stdout ? "standard output" : path, weft_strerror(err));
}

int weft_sink_write_all(int fd, const void *data, size_t len, int64_t offset)
{
    const char *bytes = data;
    while (len > 0) {
        ssize_t count = offset < 0 ? write(fd, bytes, len) : pwrite(fd, bytes, len, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EIO;
        bytes += count;
        len -= (size_t)count;
        if (offset >= 0)
            offset += count;
    }
    return 0;
}

int weft_sink_sync_directory_of(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): its own copy
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        (void)close(fd);
    free(copy);
    return err;
}

/* ---- a function ------------------------------------------------------------------------ */

struct function {
    struct sink_output output;
    const struct weft_fetch_result **results; /* of a batch */
    size_t results_max;
};

static struct function *function_of(struct sink_output *output)
{
    return weft_container_of(output, struct function, output);
}

static int function_open(struct sink_output *output)
{
    output->writes_on_fiber = true;
    return output->options.write ? 0 : weft_sink_say(output, -EINVAL, "a sink without a function");
}

static int function_write(struct sink_output *output, struct sink_item *const *items, size_t count)
{
    struct function *function = function_of(output);
    if (count > function->results_max) {
        const size_t bytes = sizeof *function->results; // NOLINT(bugprone-sizeof-expression)
        const struct weft_fetch_result **grown = reallocarray(function->results, count, bytes);
        if (!grown)
            return weft_sink_cannot(output, -ENOMEM, "write to");
        function->results = grown;
        function->results_max = count;
    }
    for (size_t i = 0; i < count; i++)
        function->results[i] = &items[i]->result;
    int err = output->options.write(output->options.arg, function->results, count);
    if (err < 0)
        return err == -ECANCELED ? err : weft_sink_cannot(output, err, "write to");
    return 0;
}

static int function_sync(struct sink_output *output)
{
    (void)output;
    return 0;
}

static int function_close(struct sink_output *output)
{
    struct function *function = function_of(output);
    free(function->results);
    free(function);
    return 0;
}

static const struct sink_output_ops function_ops = {
    .open = function_open,
    .write = function_write,
    .sync = function_sync,
    .close = function_close,
};

struct sink_output *weft_sink_function_new(void)
{
    struct function *function = calloc(1, sizeof *function);
    if (!function)
        return NULL;
    function->output.ops = &function_ops;
    return &function->output;
}
