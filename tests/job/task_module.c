/* SPDX-License-Identifier: MIT
 * task_module.c - shared objects to be loaded by library.c, one for each of the macros. */
#include <weft/task.h>

static int run(struct weft_attempt *attempt, const void *settings)
{
    (void)attempt;
    return settings ? 0 : -1;
}

#if defined(MODULE_GOOD)
static const struct weft_handler handlers[] = {{.name = "module.one", .run = run},
                                               {.name = "module.two", .run = run}};
WEFT_TASK_LIBRARY(handlers);
#elif defined(MODULE_TWICE)
static const struct weft_handler handlers[] = {{.name = "module.three", .run = run},
                                               {.name = "module.one", .run = run}};
WEFT_TASK_LIBRARY(handlers);
#elif defined(MODULE_NAMELESS)
static const struct weft_handler handlers[] = {{.name = "a b", .run = run}};
WEFT_TASK_LIBRARY(handlers);
#elif defined(MODULE_IDLE)
static const struct weft_handler handlers[] = {{.name = "idle", .settings = run}};
WEFT_TASK_LIBRARY(handlers);
#elif defined(MODULE_COMMAND)
static const struct weft_handler handlers[] = {
    {.name = "command", .run = run, .settings = "rm", .executor = WEFT_EXECUTOR_EXEC}};
WEFT_TASK_LIBRARY(handlers);
#elif defined(MODULE_OLD)
static const struct weft_handler handlers[] = {{.name = "old", .run = run}};
__attribute__((visibility("default"))) const struct weft_task_library weft_task_library = {
    WEFT_TASK_ABI + 1, sizeof(struct weft_handler), handlers, 1};
#elif defined(MODULE_LARGE)
static const struct weft_handler handlers[] = {{.name = "large", .run = run}};
__attribute__((visibility("default"))) const struct weft_task_library weft_task_library = {
    WEFT_TASK_ABI, sizeof(struct weft_handler) + 8, handlers, 1};
#elif defined(MODULE_EMPTY)
__attribute__((visibility("default"))) const struct weft_task_library weft_task_library = {
    WEFT_TASK_ABI, sizeof(struct weft_handler), 0, 0};
__attribute__((visibility("default"))) void *module_use(void);
void *module_use(void)
{
    return run;
}
#else
__attribute__((visibility("default"))) void *module_use(void);
void *module_use(void)
{
    return run;
}
#endif
