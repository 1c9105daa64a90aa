/* SPDX-License-Identifier: MIT
 * settings.c - weft.ini from arbitrary bytes: no crash; one sentence on standard error, or settings
 * and tasks that keep what their tables and headers say. */
#include <cmd/options.h>
#include <cmd/task_sections.h>

#include <weft/base.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 3

struct fields {
    bool flag;
    const char *text, *reactor, *config;
    struct words words;
    uint64_t count, size;
    int64_t length_ns, steps_ns[STEPS];
    double rate;
};

#define FIELD(member) offsetof(struct fields, member)

/* One of each kind that a section can have. */
static const struct option options[] = {
    {.name = "insecure", .kind = OPTION_FLAG, .offset = FIELD(flag)},
    {.name = "listen", .metavar = "A", .kind = OPTION_STRING, .offset = FIELD(text)},
    {.name = "load", .metavar = "A", .kind = OPTION_WORDS, .offset = FIELD(words)},
    {.name = "workers",
     .metavar = "A",
     .kind = OPTION_COUNT,
     .offset = FIELD(count),
     .min = 1,
     .max = 64},
    {.name = "size-max", .metavar = "A", .kind = OPTION_SIZE, .offset = FIELD(size), .min = 1},
    {.name = "grace", .metavar = "A", .kind = OPTION_DURATION, .offset = FIELD(length_ns)},
    {.name = "steps",
     .metavar = "A",
     .kind = OPTION_DURATIONS,
     .items = STEPS,
     .offset = FIELD(steps_ns)},
    {.name = "rate", .metavar = "A", .kind = OPTION_RATE, .offset = FIELD(rate)},
    {.name = "io", .metavar = "A", .kind = OPTION_REACTOR, .offset = FIELD(reactor)},
    {.name = "config", .metavar = "A", .kind = OPTION_STRING, .offset = FIELD(config)},
    {.name = NULL},
};

static const struct command command = {.name = "serve", .options = options, .environment = ""};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_fields(const struct fields *fields)
{
    check(fields->count >= 1 && fields->count <= 64);
    check(fields->size >= 1);
    check(fields->length_ns >= 0);
    check(fields->rate >= 0.001);
    check(fields->text[0] && strncmp(fields->config, "/proc/self/fd/", 14) == 0);
    check(!fields->reactor || strcmp(fields->reactor, "uring") == 0 ||
          strcmp(fields->reactor, "io_uring") == 0 || strcmp(fields->reactor, "epoll") == 0);
    check(fields->words.count <= WORDS_MAX);
    for (size_t i = 0; i < fields->words.count; i++)
        check(fields->words.items[i][0]);
    for (size_t i = 0; i < STEPS; i++)
        check(fields->steps_ns[i] >= 0);
}

static void check_list(const char *const *items, size_t count)
{
    check(count <= ARGUMENTS_MAX && (items || count == 0));
    for (size_t i = 0; i < count; i++)
        check(items[i] != NULL);
    check(!items || !items[count]);
}

static void check_tasks(const struct task_sections *sections)
{
    const struct weft_executors *executors = &sections->executors;
    for (size_t i = 0; i < executors->commands_count; i++) {
        const struct weft_command_task *task = &executors->commands[i];
        size_t words = 0;
        check(task->name && task->command && task->command[0]);
        while (task->command[words])
            words++;
        check_list(task->command, words);
        check(task->timeout_ns >= 0 && task->grace_ns >= 0);
        check(task->nice >= -20 && task->nice <= 19);
    }
    for (size_t i = 0; i < executors->webhooks_count; i++) {
        const struct weft_webhook_task *task = &executors->webhooks[i];
        check(task->name && task->url && task->url[0] && task->timeout_ns >= 0);
        check(task->secrets || task->secrets_count == 0);
        for (size_t j = 0; j < task->headers_count; j++)
            check(task->headers[j].name[0] && task->headers[j].value);
    }
    check(executors->children.command && executors->children.command[0]);
}

static int read_all(const char *path)
{
    char name[] = "serve", flag[] = "--config", file[32];
    char *words[] = {name, flag, file, NULL};
    struct fields fields = {.text = "127.0.0.1:8001",
                            .count = 4,
                            .size = 4096,
                            .length_ns = WEFT_SEC,
                            .rate = 1,
                            .config = path};
    struct task_sections sections = {.child = NULL};
    struct settings settings;
    (void)snprintf(file, sizeof file, "%s", path);
    int status = options_read(&command, 3, words, &fields, &settings);
    if (status == EXIT_OK) {
        check_fields(&fields);
        status = task_sections_read(&sections, &command, &settings, &fields.words);
    }
    if (status == EXIT_OK)
        check_tasks(&sections);
    task_sections_release(&sections);
    settings_release(&settings);
    return status;
}

/* One line, which begins with who says it. */
static void check_sentence(const char *text, size_t len)
{
    static const char begin[] = "weft serve: ";
    check(len > strlen(begin) && strncmp(text, begin, strlen(begin)) == 0);
    check(memchr(text, '\n', len) == text + len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[32];
    char *text = NULL;
    size_t len = 0;
    FILE *standard_error = stderr;
    if (fd < 0)
        fd = memfd_create("weft.ini", MFD_CLOEXEC);
    check(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    stderr = open_memstream(&text, &len);
    check(stderr != NULL);
    int status = read_all(path);
    (void)fclose(stderr);
    stderr = standard_error;
    check(status == EXIT_OK || status == EXIT_USAGE);
    if (status == EXIT_OK)
        check(len == 0);
    else
        check_sentence(text, len);
    free(text);
    return 0;
}
