/* SPDX-License-Identifier: MIT
 * library.c - see library.h. */
#include <job/library.h>

#include <job/job.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYMBOL "weft_task_library"

__attribute__((format(printf, 4, 5))) static int refuse(int err, char *error, size_t error_bytes,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error_bytes > 0)
        (void)vsnprintf(error, error_bytes, format, args);
    va_end(args);
    return err;
}

void weft_handler_set_release(struct weft_handler_set *set)
{
    free(set->items);
    *set = (struct weft_handler_set){0};
}

/* ---- adding ----------------------------------------------------------------------------- */

static const struct weft_handler *find(const struct weft_handler_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->items[i].name, name) == 0)
            return &set->items[i];
    }
    return NULL;
}

static int check(const struct weft_handler_set *set, const char *where,
                 const struct weft_handler *handler, char *error, size_t error_bytes)
{
    bool needs_run =
        handler->executor != WEFT_EXECUTOR_EXEC && handler->executor != WEFT_EXECUTOR_HTTP;
    if (!handler->name || !weft_job_name_is_valid(handler->name))
        return refuse(-EINVAL, error, error_bytes,
                      "%s: a task has no name, or one with other characters than letters, digits "
                      "and . _ : -",
                      where);
    if (handler->executor >= WEFT_EXECUTORS || (needs_run && !handler->run))
        return refuse(-EINVAL, error, error_bytes, "%s: the task %s has nothing to run", where,
                      handler->name);
    if (find(set, handler->name))
        return refuse(-EINVAL, error, error_bytes, "%s: there is already a task %s", where,
                      handler->name);
    return 0;
}

int weft_handler_set_add(struct weft_handler_set *set, const char *where,
                         const struct weft_handler *handlers, size_t count, char *error,
                         size_t error_bytes)
{
    if (count > WEFT_LIBRARY_HANDLERS_MAX - set->count)
        return refuse(-ENOBUFS, error, error_bytes, "%s: more than %u tasks", where,
                      WEFT_LIBRARY_HANDLERS_MAX);
    struct weft_handler *items =
        reallocarray(set->items, set->count + count + 1, sizeof *set->items);
    if (!items)
        return refuse(-ENOMEM, error, error_bytes, "%s: %s", where, weft_strerror(-ENOMEM));
    set->items = items;
    size_t before = set->count;
    for (size_t i = 0; i < count; i++) {
        int err = check(set, where, &handlers[i], error, error_bytes);
        if (err) {
            set->count = before;
            return err;
        }
        set->items[set->count++] = handlers[i];
    }
    return 0;
}

int weft_handler_set_add_functions(struct weft_handler_set *set, const char *where,
                                   const struct weft_handler *handlers, size_t count, char *error,
                                   size_t error_bytes)
{
    for (size_t i = 0; i < count; i++) {
        enum weft_executor executor = handlers[i].executor;
        if (executor == WEFT_EXECUTOR_EXEC || executor == WEFT_EXECUTOR_HTTP)
            return refuse(-EINVAL, error, error_bytes,
                          "%s: commands and webhooks are no functions: weft/executors.h says how "
                          "there come to be some",
                          where);
    }
    return weft_handler_set_add(set, where, handlers, count, error, error_bytes);
}

/* ---- loading ---------------------------------------------------------------------------- */

/* Why it could not be loaded: what the system says of the file, or else what the linker says. */
static int refuse_file(const char *path, char *error, size_t error_bytes)
{
    const char *why = dlerror(); // NOLINT(concurrency-mt-unsafe): thread-local in glibc and musl
    if (access(path, R_OK) < 0) {
        int err = -errno;
        return refuse(err, error, error_bytes, "%s: %s", path, weft_strerror(err));
    }
    return refuse(-ENOEXEC, error, error_bytes, "%s cannot be loaded: %s", path,
                  why ? why : "it is no shared object");
}

static int add_library(struct weft_handler_set *set, const char *path,
                       const struct weft_task_library *library, char *error, size_t error_bytes)
{
    if (library->abi != WEFT_TASK_ABI || library->size != sizeof(struct weft_handler))
        return refuse(WEFT_EVERSION, error, error_bytes,
                      "%s was made for another version of weft (tasks %u with %u bytes, here %u "
                      "with %zu): compile it again",
                      path, (unsigned)library->abi, (unsigned)library->size, WEFT_TASK_ABI,
                      sizeof(struct weft_handler));
    if (!library->handlers || library->count == 0)
        return refuse(-ENOEXEC, error, error_bytes, "%s has no tasks", path);
    return weft_handler_set_add_functions(set, path, library->handlers, library->count, error,
                                          error_bytes);
}

int weft_handler_set_load(struct weft_handler_set *set, const char *path, char *error,
                          size_t error_bytes)
{
    char *here = NULL;
    /* Otherwise the linker would look through the system's libraries. */
    if (!strchr(path, '/') && asprintf(&here, "./%s", path) < 0)
        return refuse(-ENOMEM, error, error_bytes, "%s: %s", path, weft_strerror(-ENOMEM));
    const char *file = here ? here : path;
    void *object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    int err;
    if (!object) {
        err = refuse_file(file, error, error_bytes);
    } else {
        const struct weft_task_library *library = dlsym(object, SYMBOL);
        err = library
                  ? add_library(set, path, library, error, error_bytes)
                  : refuse(-ENOEXEC, error, error_bytes,
                           "%s has no tasks: WEFT_TASK_LIBRARY of weft/task.h says which", path);
        if (err)
            (void)dlclose(object);
    }
    free(here);
    return err;
}
