/* SPDX-License-Identifier: MIT
 * task_sections.c - see task_sections.h. */
#include "task_sections.h"

#include "settings_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRETS_MAX      4u
#define SECRET_FILE_MAX  ((size_t)4096)
#define HEADERS_MAX      32u
#define OUTPUT_BYTES_MAX ((uint64_t)2 << 20)

/* One [exec NAME]. */
struct command_section {
    const char *name;
    struct arguments command, environment;
    const char *directory;
    int64_t timeout_ns, grace_ns; /* grace negative: not said */
    uint64_t output_max, memory_max, cpu_seconds;
    int nice;
};

/* One [http NAME]. */
struct webhook_section {
    const char *name, *url, *secret_file;
    struct arguments secrets, headers;
    char *secret_text; /* of the file, parted; owned */
    int64_t timeout_ns;
    bool allow_private, client_errors_final;
    struct weft_http_field fields[HEADERS_MAX];
};

struct process_section {
    uint64_t size, jobs_max, memory_max, resident_max;
    int nice;
    struct words load;
};

/* ---- what they can say ------------------------------------------------------------------- */

#define EXEC(member) offsetof(struct command_section, member)

static const struct option exec_options[] = {
    {.name = "command", .kind = OPTION_ARGUMENTS, .offset = EXEC(command)},
    {.name = "environment", .kind = OPTION_ARGUMENTS, .offset = EXEC(environment)},
    {.name = "directory", .kind = OPTION_STRING, .offset = EXEC(directory)},
    {.name = "timeout", .kind = OPTION_DURATION, .offset = EXEC(timeout_ns), .min = 1},
    {.name = "grace", .kind = OPTION_DURATION, .offset = EXEC(grace_ns)},
    {.name = "output-max",
     .kind = OPTION_SIZE,
     .offset = EXEC(output_max),
     .min = 1,
     .max = OUTPUT_BYTES_MAX},
    {.name = "memory-max", .kind = OPTION_SIZE, .offset = EXEC(memory_max), .min = 1},
    {.name = "cpu-seconds",
     .kind = OPTION_COUNT,
     .offset = EXEC(cpu_seconds),
     .min = 1,
     .max = 1000000},
    {.name = "nice", .kind = OPTION_NICE, .offset = EXEC(nice)},
    {.name = NULL},
};

#define HTTP(member) offsetof(struct webhook_section, member)

static const struct option http_options[] = {
    {.name = "url", .kind = OPTION_STRING, .offset = HTTP(url)},
    {.name = "secret", .kind = OPTION_ARGUMENTS, .offset = HTTP(secrets)},
    {.name = "secret-file", .kind = OPTION_STRING, .offset = HTTP(secret_file)},
    {.name = "headers", .kind = OPTION_ARGUMENTS, .offset = HTTP(headers)},
    {.name = "timeout", .kind = OPTION_DURATION, .offset = HTTP(timeout_ns), .min = 1},
    {.name = "allow-private", .kind = OPTION_FLAG, .offset = HTTP(allow_private)},
    {.name = "client-errors-final", .kind = OPTION_FLAG, .offset = HTTP(client_errors_final)},
    {.name = NULL},
};

#define PROCESS(member) offsetof(struct process_section, member)

static const struct option process_options[] = {
    {.name = "size", .kind = OPTION_COUNT, .offset = PROCESS(size), .min = 1, .max = 1024},
    {.name = "jobs-max",
     .kind = OPTION_COUNT,
     .offset = PROCESS(jobs_max),
     .min = 1,
     .max = 1000000},
    {.name = "memory-max", .kind = OPTION_SIZE, .offset = PROCESS(memory_max), .min = 1},
    {.name = "resident-max", .kind = OPTION_SIZE, .offset = PROCESS(resident_max), .min = 1},
    {.name = "nice", .kind = OPTION_NICE, .offset = PROCESS(nice)},
    {.name = "load", .kind = OPTION_WORDS, .offset = PROCESS(load)},
    {.name = NULL},
};

/* ---- reading them ------------------------------------------------------------------------ */

struct reading {
    const struct command *command;
    const struct settings *settings;
    struct task_sections *sections;
    struct process_section process;
    size_t commands_count, webhooks_count;
};

static int no_memory(const struct command *command)
{
    complain(command->name, "there is not enough memory");
    return EXIT_FAILED;
}

__attribute__((format(printf, 4, 5))) static int
refuse(const struct reading *reading, const char *kind, const char *name, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        return no_memory(reading->command);
    complain(reading->command->name, "%s: [%s %s]%s", reading->settings->file, kind, name, text);
    free(text);
    return EXIT_USAGE;
}

/* The name behind "exec " or "http ". */
static const char *name_in(const char *section)
{
    const char *name = section + strlen("exec ");
    return name + strspn(name, " ");
}

static bool begins(const char *section, const char *kind)
{
    return strncmp(section, kind, strlen(kind)) == 0;
}

/* Room for as many sections as begin. */
static int make_room(struct reading *reading)
{
    size_t commands = 1, webhooks = 1;
    for (const struct settings_text *at = reading->settings->texts; at; at = at->next) {
        commands += !at->name && begins(at->section, "exec ");
        webhooks += !at->name && begins(at->section, "http ");
    }
    struct task_sections *sections = reading->sections;
    sections->commands = calloc(commands, sizeof *sections->commands);
    sections->webhooks = calloc(webhooks, sizeof *sections->webhooks);
    sections->command_tasks = calloc(commands, sizeof *sections->command_tasks);
    sections->webhook_tasks = calloc(webhooks, sizeof *sections->webhook_tasks);
    bool made = sections->commands && sections->webhooks && sections->command_tasks &&
                sections->webhook_tasks;
    return made ? EXIT_OK : no_memory(reading->command);
}

/* A section begins, or goes on: the tables' rows are those of the latest of its kind. */
static int take_text(struct reading *reading, struct settings_text *text)
{
    struct task_sections *sections = reading->sections;
    const struct option *options = process_options;
    void *fields = &reading->process;
    if (begins(text->section, "exec ")) {
        reading->commands_count += !text->name;
        struct command_section *section = &sections->commands[reading->commands_count - 1];
        if (!text->name)
            *section = (struct command_section){.name = name_in(text->section), .grace_ns = -1};
        options = exec_options;
        fields = section;
    } else if (begins(text->section, "http ")) {
        reading->webhooks_count += !text->name;
        struct webhook_section *section = &sections->webhooks[reading->webhooks_count - 1];
        if (!text->name)
            section->name = name_in(text->section);
        options = http_options;
        fields = section;
    } else if (strcmp(text->section, "process") != 0) {
        return EXIT_OK; /* the command's own */
    }
    if (!text->name)
        return EXIT_OK;
    return setting_read(reading->command, reading->settings, options, text, fields);
}

/* ---- commands ---------------------------------------------------------------------------- */

static int finish_command(struct reading *reading, size_t index)
{
    const struct command_section *section = &reading->sections->commands[index];
    if (section->command.count == 0)
        return refuse(reading, "exec", section->name, " has no command");
    reading->sections->command_tasks[index] = (struct weft_command_task){
        .name = section->name,
        .command = section->command.items,
        .environment = section->environment.items,
        .directory = section->directory,
        .timeout_ns = section->timeout_ns,
        /* 0 would mean the default; who wants no grace gets the shortest one. */
        .grace_ns = section->grace_ns < 0 ? 0 : section->grace_ns + (section->grace_ns == 0),
        .output_max = section->output_max,
        .memory_max = section->memory_max,
        .cpu_seconds_max = (unsigned)section->cpu_seconds,
        .nice = section->nice,
    };
    return EXIT_OK;
}

/* ---- webhooks ---------------------------------------------------------------------------- */

/* Returns EXIT_OK with *ret_text, from malloc. */
static int read_whole(const struct reading *reading, const struct webhook_section *section,
                      char **ret_text)
{
    FILE *file = fopen(section->secret_file, "re");
    char *text = file ? malloc(SECRET_FILE_MAX + 1) : NULL;
    if (!text) {
        int err = file ? ENOMEM : errno;
        if (file)
            (void)fclose(file);
        return refuse(reading, "http", section->name, " secret-file: %s cannot be opened: %s",
                      section->secret_file, strerrordesc_np(err));
    }
    size_t len = fread(text, 1, SECRET_FILE_MAX + 1, file);
    bool failed = ferror(file) || len > SECRET_FILE_MAX;
    (void)fclose(file);
    if (failed) {
        free(text);
        return refuse(reading, "http", section->name,
                      " secret-file: %s cannot be read, or is too large", section->secret_file);
    }
    text[len] = '\0';
    *ret_text = text;
    return EXIT_OK;
}

/* Secrets between spaces and line ends. */
static int read_secrets(const struct reading *reading, struct webhook_section *section)
{
    static const char spaces[] = " \t\r\n";
    char *save = NULL;
    if (section->secrets.count > 0)
        return refuse(reading, "http", section->name, " has both a secret and a secret-file");
    int status = read_whole(reading, section, &section->secret_text);
    if (status != EXIT_OK)
        return status;
    section->secrets.items = calloc(SECRETS_MAX + 2, sizeof section->secrets.items[0]);
    if (!section->secrets.items)
        return no_memory(reading->command);
    for (char *word = strtok_r(section->secret_text, spaces, &save);
         word && section->secrets.count <= SECRETS_MAX; word = strtok_r(NULL, spaces, &save))
        section->secrets.items[section->secrets.count++] = word;
    if (section->secrets.count == 0)
        return refuse(reading, "http", section->name, " secret-file: %s has no secret in it",
                      section->secret_file);
    return EXIT_OK;
}

/* "Name: value" */
static int read_headers(const struct reading *reading, struct webhook_section *section)
{
    if (section->headers.count > HEADERS_MAX)
        return refuse(reading, "http", section->name, " headers: there are more than %u",
                      HEADERS_MAX);
    for (size_t i = 0; i < section->headers.count; i++) {
        /* Words of the file's texts, which may be cut. NOLINTNEXTLINE(performance-no-int-to-ptr) */
        char *name = (char *)(uintptr_t)section->headers.items[i];
        char *colon = strchr(name, ':');
        if (!colon || colon == name)
            return refuse(reading, "http", section->name,
                          " headers: '%s' is not like \"Name: value\"", name);
        *colon = '\0';
        section->fields[i] = (struct weft_http_field){name, colon + 1 + strspn(colon + 1, " \t")};
    }
    return EXIT_OK;
}

static int finish_webhook(struct reading *reading, size_t index)
{
    struct webhook_section *section = &reading->sections->webhooks[index];
    int status = EXIT_OK;
    if (!section->url)
        return refuse(reading, "http", section->name, " has no url");
    if (section->secret_file)
        status = read_secrets(reading, section);
    if (status == EXIT_OK)
        status = read_headers(reading, section);
    reading->sections->webhook_tasks[index] = (struct weft_webhook_task){
        .name = section->name,
        .url = section->url,
        .secrets = section->secrets.items,
        .secrets_count = section->secrets.count,
        .headers = section->fields,
        .headers_count = section->headers.count,
        .timeout_ns = section->timeout_ns,
        .allow_private = section->allow_private,
        .client_errors_final = section->client_errors_final,
    };
    return status;
}

/* ---- children ---------------------------------------------------------------------------- */

/* Children are this program, the very file that runs, with the same libraries. */
static int finish_process(struct reading *reading, const struct words *load)
{
    struct task_sections *sections = reading->sections;
    struct weft_child_processes *children = &sections->executors.children;
    size_t count = 0;
    sections->libraries = reading->process.load;
    const struct words *const lists[] = {load, &sections->libraries};
    sections->child = calloc(3 + 2 * (2 * WORDS_MAX), sizeof sections->child[0]);
    if (!sections->child)
        return no_memory(reading->command);
    sections->child[count++] = "/proc/self/exe";
    sections->child[count++] = "child";
    for (size_t list = 0; list < 2; list++) {
        for (size_t i = 0; i < lists[list]->count; i++) {
            sections->child[count++] = "--load";
            sections->child[count++] = lists[list]->items[i];
        }
    }
    *children = (struct weft_child_processes){
        .command = sections->child,
        .libraries = sections->libraries.items,
        .libraries_count = sections->libraries.count,
        .size = (unsigned)reading->process.size,
        .jobs_max = (unsigned)reading->process.jobs_max,
        .memory_max = reading->process.memory_max,
        .resident_max = reading->process.resident_max,
        .nice = reading->process.nice,
    };
    return EXIT_OK;
}

/* ---- all of them ------------------------------------------------------------------------- */

int task_sections_read(struct task_sections *sections, const struct command *command,
                       const struct settings *settings, const struct words *load)
{
    struct reading reading = {.command = command, .settings = settings, .sections = sections};
    *sections = (struct task_sections){.child = NULL};
    int status = make_room(&reading);
    for (struct settings_text *at = settings->texts; at && status == EXIT_OK; at = at->next)
        status = take_text(&reading, at);
    for (size_t i = 0; i < reading.commands_count && status == EXIT_OK; i++)
        status = finish_command(&reading, i);
    for (size_t i = 0; i < reading.webhooks_count && status == EXIT_OK; i++)
        status = finish_webhook(&reading, i);
    if (status == EXIT_OK)
        status = finish_process(&reading, load);
    sections->executors.commands = sections->command_tasks;
    sections->executors.commands_count = reading.commands_count;
    sections->executors.webhooks = sections->webhook_tasks;
    sections->executors.webhooks_count = reading.webhooks_count;
    return status;
}

void task_sections_release(struct task_sections *sections)
{
    for (size_t i = 0; sections->commands && i < sections->executors.commands_count; i++) {
        free(sections->commands[i].command.items);
        free(sections->commands[i].environment.items);
    }
    for (size_t i = 0; sections->webhooks && i < sections->executors.webhooks_count; i++) {
        free(sections->webhooks[i].secrets.items);
        free(sections->webhooks[i].headers.items);
        free(sections->webhooks[i].secret_text);
    }
    free(sections->commands);
    free(sections->webhooks);
    free(sections->command_tasks);
    free(sections->webhook_tasks);
    free(sections->child);
}
