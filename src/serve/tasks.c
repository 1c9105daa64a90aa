/* SPDX-License-Identifier: MIT
 * tasks.c - see tasks.h. */
#include <serve/tasks.h>

#include <job/builtin.h>
#include <job/children.h>
#include <job/exec.h>
#ifdef WEFT_HAVE_WEBHOOKS
#include <job/webhook_send.h>
#endif

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_BYTES 160

struct weft_command_rule {
    struct weft_exec_command exec; /* first: it is the handler's settings */
    const char **arguments;        /* owned, and so is the first of them: where the program is */
};

#ifdef WEFT_HAVE_WEBHOOKS
struct weft_webhook_rule {
    struct weft_webhook webhook; /* first, likewise */
    struct weft_webhook_keys keys;
};
#endif

/* Where sentences go. */
struct error {
    char *text;
    size_t bytes;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct error *error, int err,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error->bytes > 0)
        (void)vsnprintf(error->text, error->bytes, format, args);
    va_end(args);
    return err;
}

static int refuse_memory(const struct error *error)
{
    return refuse(error, -ENOMEM, "%s", weft_strerror(-ENOMEM));
}

/* What people call a task of weft.ini, or of an array of the same kind. */
static const char *name_place(char where[WHERE_BYTES], const char *kind, const char *name)
{
    (void)snprintf(where, WHERE_BYTES, "[%s %.128s]", kind, name ? name : "");
    return where;
}

/* ---- commands ---------------------------------------------------------------------------- */

static size_t count_words(const char *const *words)
{
    size_t count = 0;
    while (words && words[count])
        count++;
    return count;
}

/* Its arguments, of which the first is where the program was found. */
static int copy_arguments(struct weft_command_rule *rule, const char *path,
                          const char *const *arguments)
{
    size_t count = count_words(arguments);
    rule->arguments = calloc(count + 1, sizeof rule->arguments[0]);
    if (!rule->arguments)
        return -ENOMEM;
    for (size_t i = 1; i < count; i++)
        rule->arguments[i] = arguments[i];
    rule->arguments[0] = strdup(path);
    rule->exec.command = rule->arguments;
    return rule->arguments[0] ? 0 : -ENOMEM;
}

static int set_command(struct weft_command_rule *rule, const struct weft_command_task *task,
                       const char *where, const struct error *error)
{
    char *path = malloc(PATH_MAX);
    const char *reason = "";
    rule->exec = (struct weft_exec_command){
        .name = task->name,
        .command = task->command,
        .environment = task->environment,
        .directory = task->directory,
        .timeout_ns = task->timeout_ns,
        .grace_ns = task->grace_ns ? task->grace_ns : WEFT_GRACE_NS,
        .output_bytes_max = task->output_max,
        .memory_bytes_max = task->memory_max,
        .cpu_seconds_max = task->cpu_seconds_max,
        .nice = task->nice,
    };
    if (!path)
        return refuse_memory(error);
    int err = weft_exec_check(&rule->exec, path, &reason);
    if (err)
        err = refuse(error, -EINVAL, "%s: %s", where, reason);
    else if (copy_arguments(rule, path, task->command) < 0)
        err = refuse_memory(error);
    free(path);
    return err;
}

static int add_command(struct weft_tasks *tasks, size_t index, const struct error *error)
{
    const struct weft_command_task *task = &tasks->options.executors->commands[index];
    struct weft_command_rule *rule = &tasks->commands[index];
    char where[WHERE_BYTES];
    const struct weft_handler handler = {
        .name = task->name,
        .settings = &rule->exec,
        .executor = WEFT_EXECUTOR_EXEC,
        .timeout_ns = task->timeout_ns,
        .grace_ns = task->grace_ns,
    };
    name_place(where, "exec", task->name);
    if (task->grace_ns < 0)
        return refuse(error, -EINVAL, "%s: its grace is negative", where);
    int err = weft_handler_set_add(&tasks->handlers, where, &handler, 1, error->text, error->bytes);
    return err ? err : set_command(rule, task, where, error);
}

static int add_commands(struct weft_tasks *tasks, const struct error *error)
{
    size_t count = tasks->options.executors->commands_count;
    int err = 0;
    tasks->commands = calloc(count > 0 ? count : 1, sizeof *tasks->commands);
    if (!tasks->commands)
        return refuse_memory(error);
    for (size_t i = 0; !err && i < count; i++)
        err = add_command(tasks, i, error);
    return err;
}

static void release_commands(struct weft_tasks *tasks)
{
    size_t count = tasks->commands ? tasks->options.executors->commands_count : 0;
    for (size_t i = 0; i < count; i++) {
        const char **arguments = tasks->commands[i].arguments;
        if (arguments)
            free((char *)(uintptr_t)arguments[0]); // NOLINT(performance-no-int-to-ptr)
        free(arguments);
    }
    free(tasks->commands);
}

/* ---- webhooks ---------------------------------------------------------------------------- */

#ifdef WEFT_HAVE_WEBHOOKS

static int set_keys(struct weft_webhook_keys *keys, const struct weft_webhook_task *task,
                    const char *where, const struct error *error)
{
    for (size_t i = 0; i < task->secrets_count; i++) {
        int err = weft_webhook_keys_add(keys, task->secrets[i]);
        if (err == -ENOSPC)
            return refuse(error, -EINVAL, "%s: it has more than %zu secrets", where,
                          WEFT_WEBHOOK_KEYS_MAX);
        if (err)
            return refuse(error, -EINVAL,
                          "%s: a secret is not \"whsec_\" and the base64 of 24 to 64 bytes", where);
    }
    return 0;
}

static int set_webhook(struct weft_webhook_rule *rule, const struct weft_webhook_task *task,
                       const char *where, const struct error *error)
{
    const char *reason = "";
    rule->webhook = (struct weft_webhook){
        .name = task->name,
        .url = task->url,
        .keys = &rule->keys,
        .fields = task->headers,
        .fields_count = task->headers_count,
        .timeout_ns = task->timeout_ns,
        .allow_private = task->allow_private,
        .rules.client_errors_final = task->client_errors_final,
    };
    if (weft_webhook_check(&rule->webhook, &reason) < 0)
        return refuse(error, -EINVAL, "%s: %s", where, reason);
    return set_keys(&rule->keys, task, where, error);
}

static int add_webhook(struct weft_tasks *tasks, size_t index, const struct error *error)
{
    const struct weft_webhook_task *task = &tasks->options.executors->webhooks[index];
    struct weft_webhook_rule *rule = &tasks->webhooks[index];
    char where[WHERE_BYTES];
    const struct weft_handler handler = {
        .name = task->name,
        .settings = &rule->webhook,
        .executor = WEFT_EXECUTOR_HTTP,
        .timeout_ns = task->timeout_ns,
    };
    name_place(where, "http", task->name);
    int err = weft_handler_set_add(&tasks->handlers, where, &handler, 1, error->text, error->bytes);
    return err ? err : set_webhook(rule, task, where, error);
}

static int add_webhooks(struct weft_tasks *tasks, const struct error *error)
{
    size_t count = tasks->options.executors->webhooks_count;
    int err = 0;
    tasks->webhooks = calloc(count > 0 ? count : 1, sizeof *tasks->webhooks);
    if (!tasks->webhooks)
        return refuse_memory(error);
    for (size_t i = 0; !err && i < count; i++)
        err = add_webhook(tasks, i, error);
    return err;
}

#else

static int add_webhooks(struct weft_tasks *tasks, const struct error *error)
{
    const struct weft_executors *executors = tasks->options.executors;
    char where[WHERE_BYTES];
    if (executors->webhooks_count == 0)
        return 0;
    return refuse(error, -EINVAL, "%s: this weft was built without webhooks",
                  name_place(where, "http", executors->webhooks[0].name));
}

#endif

/* ---- functions --------------------------------------------------------------------------- */

static int add_builtin(struct weft_tasks *tasks, const struct error *error)
{
    struct weft_handler builtin[WEFT_BUILTINS];
    if (!tasks->options.steps_ns)
        return 0;
    weft_builtin_handlers(builtin, tasks->options.steps_ns);
    return weft_handler_set_add(&tasks->handlers, "the built-in tasks", builtin, WEFT_BUILTINS,
                                error->text, error->bytes);
}

static int load(struct weft_tasks *tasks, const char *const *libraries, size_t count,
                const struct error *error)
{
    int err = 0;
    for (size_t i = 0; !err && i < count; i++)
        err = weft_handler_set_load(&tasks->handlers, libraries[i], error->text, error->bytes);
    return err;
}

/* Those whose handlers all run in children. */
static int load_for_children(struct weft_tasks *tasks, const struct error *error)
{
    const struct weft_child_processes *processes = &tasks->options.executors->children;
    char text[512] = "";
    const struct error own = {text, sizeof text};
    size_t before = tasks->handlers.count;
    if (load(tasks, processes->libraries, processes->libraries_count, &own) < 0)
        return refuse(error, -EINVAL, "[process]: %s", text);
    for (size_t i = before; i < tasks->handlers.count; i++)
        tasks->handlers.items[i].executor = WEFT_EXECUTOR_PROCESS;
    return 0;
}

static const struct weft_handler *first_of_children(const struct weft_tasks *tasks)
{
    for (size_t i = 0; i < tasks->handlers.count; i++) {
        if (tasks->handlers.items[i].executor == WEFT_EXECUTOR_PROCESS)
            return &tasks->handlers.items[i];
    }
    return NULL;
}

static int check_children(const struct weft_tasks *tasks, const struct error *error)
{
    const struct weft_handler *handler = first_of_children(tasks);
    const struct weft_child_processes *processes = &tasks->options.executors->children;
    if (processes->size > WEFT_CHILDREN_MAX)
        return refuse(error, -EINVAL, "[process]: there can be at most %u children",
                      WEFT_CHILDREN_MAX);
    if (processes->nice < -20 || processes->nice > 19)
        return refuse(error, -EINVAL, "[process]: its nice value is not between -20 and 19");
    if (handler && (!processes->command || !processes->command[0]))
        return refuse(error, -EINVAL,
                      "the task %s runs in a child process, and no program was named for those",
                      handler->name);
    return 0;
}

int weft_tasks_gather(struct weft_tasks *tasks, const struct weft_tasks_options *options,
                      char *error_text, size_t error_bytes)
{
    static const struct weft_executors none;
    const struct error error = {error_text, error_bytes};
    tasks->options = *options;
    if (!tasks->options.executors)
        tasks->options.executors = &none;
    int err = add_builtin(tasks, &error);
    if (!err)
        err = weft_handler_set_add_functions(&tasks->handlers, "the program", options->handlers,
                                             options->handlers_count, error_text, error_bytes);
    if (!err)
        err = load(tasks, options->libraries, options->libraries_count, &error);
    if (!err)
        err = load_for_children(tasks, &error);
    if (!err)
        err = add_commands(tasks, &error);
    if (!err)
        err = add_webhooks(tasks, &error);
    return err ? err : check_children(tasks, &error);
}

void weft_tasks_release(struct weft_tasks *tasks)
{
    weft_handler_set_release(&tasks->handlers);
    release_commands(tasks);
    free(tasks->webhooks);
    *tasks = (struct weft_tasks){.children = NULL};
}

/* ---- children ---------------------------------------------------------------------------- */

int weft_tasks_open(struct weft_tasks *tasks, char *error_text, size_t error_bytes)
{
    const struct error error = {error_text, error_bytes};
    const struct weft_child_processes *processes = &tasks->options.executors->children;
    const struct weft_children_options options = {
        .command = processes->command,
        .size = processes->size,
        .waiters_max = UINT_MAX, /* as many as there are jobs at once */
        .jobs_max = processes->jobs_max,
        .memory_bytes_max = processes->memory_max,
        .resident_bytes_max = processes->resident_max,
        .nice = processes->nice,
    };
    struct weft_outcome why = {.exit_code = -1};
    if (!first_of_children(tasks))
        return 0;
    int err = weft_children_open(&tasks->children, &options, &why);
    if (err && err != -ECANCELED)
        (void)refuse(&error, err, "%s cannot be started for the tasks of child processes: %s",
                     processes->command[0], why.reason ? why.reason : weft_strerror(err));
    weft_outcome_release(&why);
    return err;
}

void weft_tasks_close(struct weft_tasks *tasks)
{
    weft_children_close(tasks->children);
    tasks->children = NULL;
}
