/* SPDX-License-Identifier: MIT
 * settings_file.c - see settings_file.h. inih reads the lines; without it a file that is there is
 * an error, because passing it over in silence would start the service with other settings. */
#include "settings_file.h"

#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEFT_HAVE_INIH
#include <ini.h>

#define SECTION_BYTES 200
#define INIH_SECTION  49 /* characters of a section's name that inih keeps */

enum section_kind {
    SECTION_UNKNOWN,
    SECTION_COMMAND,
    SECTION_TASKS,
};

struct reading {
    FILE *file;
    const char *command;
    struct settings_text *texts, **end;
    char section[SECTION_BYTES]; /* the present one; "" before the first */
    int lines;
    char wrong[128]; /* what is, in the first line where inih would not mind; "" for nothing */
    bool no_memory;
};

/* The commands that read settings; also those that are not in this build. */
static enum section_kind kind_of(const char *section)
{
    static const char *const commands[] = {"serve", "worker", "load", "fetch", "mock"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i], section) == 0)
            return SECTION_COMMAND;
    }
    bool named = strncmp(section, "exec ", 5) == 0 || strncmp(section, "http ", 5) == 0;
    return (named && section[5]) || strcmp(section, "process") == 0 ? SECTION_TASKS
                                                                    : SECTION_UNKNOWN;
}

__attribute__((format(printf, 2, 3))) static void find_wrong(struct reading *reading,
                                                             const char *format, ...)
{
    va_list args;
    if (reading->wrong[0])
        return;
    int len = snprintf(reading->wrong, sizeof reading->wrong, "line %d: ", reading->lines);
    va_start(args, format);
    (void)vsnprintf(reading->wrong + len, sizeof reading->wrong - (size_t)len, format, args);
    va_end(args);
}

/* name NULL: the section begins. */
static void append(struct reading *reading, const char *name, const char *value)
{
    size_t section_bytes = strlen(reading->section) + 1;
    size_t name_bytes = name ? strlen(name) + 1 : 0, value_bytes = name ? strlen(value) + 1 : 0;
    struct settings_text *text = malloc(sizeof *text + section_bytes + name_bytes + value_bytes);
    if (!text) {
        reading->no_memory = true;
        return;
    }
    char *copy = (char *)(text + 1);
    *text = (struct settings_text){.section = memcpy(copy, reading->section, section_bytes)};
    copy += section_bytes;
    if (name) {
        text->name = memcpy(copy, name, name_bytes);
        text->value = memcpy(copy + name_bytes, value, value_bytes);
    }
    *reading->end = text;
    reading->end = &text->next;
}

static bool is_there(const struct reading *reading, const char *section)
{
    const struct settings_text *text = reading->texts;
    while (text && strcmp(text->section, section) != 0)
        text = text->next;
    return text;
}

/* A line "[name]". */
static void begin_section(struct reading *reading, const char *name, size_t len)
{
    (void)snprintf(reading->section, sizeof reading->section, "%.*s", (int)len, name);
    enum section_kind kind = kind_of(reading->section);
    if (strcmp(reading->section, "exec") == 0 || strcmp(reading->section, "http") == 0)
        find_wrong(reading, "[%s] needs the name of its task: [%s NAME]", reading->section,
                   reading->section);
    else if (kind == SECTION_UNKNOWN)
        find_wrong(reading, "there is no section [%s]", reading->section);
    else if (kind == SECTION_TASKS && is_there(reading, reading->section))
        find_wrong(reading, "there is already a section [%s]", reading->section);
    else if (kind == SECTION_TASKS)
        append(reading, NULL, NULL);
}

/* fgets, and notice what inih would pass over: it would read the rest of a line that is too long
 * as a line of its own, not see what stands behind a NUL, not tell of an empty section, and cut a
 * section's name. */
static char *read_line(char *line, int bytes, void *stream)
{
    struct reading *reading = stream;
    size_t len = 0, room = (size_t)bytes - 1;
    int c = 0;
    while (len < room && c != '\n' && (c = getc(reading->file)) != EOF)
        line[len++] = (char)c;
    if (len == 0)
        return NULL;
    line[len] = '\0';
    reading->lines++;
    const char *first =
        reading->lines == 1 && strncmp(line, "\357\273\277", 3) == 0 ? line + 3 : line;
    const char *end = *first == '[' ? strchr(first, ']') : NULL;
    if (memchr(line, '\0', len))
        find_wrong(reading, "there is a NUL character in it");
    else if (len == room && c != '\n')
        find_wrong(reading, "it is too long");
    else if (end)
        begin_section(reading, first + 1, (size_t)(end - first - 1));
    return reading->wrong[0] || reading->no_memory ? NULL : line;
}

/* 0 tells inih that the line is wrong. */
static int keep_text(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (*section == '\0')
        find_wrong(reading, "'%s' stands before any section", name);
    else if (strncmp(section, reading->section, INIH_SECTION) != 0)
        find_wrong(reading, "a section has to begin at the start of its line");
    else if (kind_of(reading->section) == SECTION_TASKS ||
             strcmp(reading->section, reading->command) == 0)
        append(reading, name, value);
    return !reading->wrong[0] && !reading->no_memory;
}

int settings_file_read(struct settings_text **ret_texts, const char *path, const char *command)
{
    struct reading reading = {.command = command};
    reading.end = &reading.texts;
    *ret_texts = NULL;
    reading.file = fopen(path, "re");
    if (!reading.file) {
        complain(command, "%s cannot be opened: %s", path, strerrordesc_np(errno));
        return EXIT_USAGE;
    }
    int line = ini_parse_stream(read_line, &reading, keep_text, &reading);
    int failed = ferror(reading.file);
    (void)fclose(reading.file);
    *ret_texts = reading.texts;
    if (failed || reading.no_memory)
        complain(command, "%s cannot be read", path);
    else if (reading.wrong[0])
        complain(command, "%s: %s", path, reading.wrong);
    else if (line != 0)
        complain(command, "%s: line %d is neither '[section]' nor 'name = value'", path, line);
    else
        return EXIT_OK;
    return EXIT_USAGE;
}

#else

int settings_file_read(struct settings_text **ret_texts, const char *path, const char *command)
{
    *ret_texts = NULL;
    complain(command, "%s cannot be read: this weft was built without inih", path);
    return EXIT_USAGE;
}

#endif

void settings_file_release(struct settings_text *texts)
{
    while (texts) {
        struct settings_text *next = texts->next;
        free(texts);
        texts = next;
    }
}
