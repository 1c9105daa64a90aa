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

struct reading {
    FILE *file;
    const char *section;
    struct settings_text *texts;
    int lines;
    char wrong[128]; /* what is, in the first line where inih would not mind; "" for nothing */
    bool no_memory;
};

/* The commands that read settings; also those that are not in this build. */
static bool is_section(const char *name, size_t len)
{
    static const char *const sections[] = {"serve", "worker", "load"};
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (strlen(sections[i]) == len && memcmp(sections[i], name, len) == 0)
            return true;
    }
    return false;
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

/* fgets, and notice what inih would pass over: it would read the rest of a line that is too long
 * as a line of its own, not see what stands behind a NUL, and not tell of an empty section. */
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
    const char *section_end = line[0] == '[' ? strchr(line, ']') : NULL;
    if (memchr(line, '\0', len))
        find_wrong(reading, "there is a NUL character in it");
    else if (len == room && c != '\n')
        find_wrong(reading, "it is too long");
    else if (section_end && !is_section(line + 1, (size_t)(section_end - line - 1)))
        find_wrong(reading, "there is no section [%.*s]", (int)(section_end - line - 1), line + 1);
    return reading->wrong[0] ? NULL : line;
}

/* 0 tells inih that the line is wrong. */
static int keep_text(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (*section == '\0')
        find_wrong(reading, "'%s' stands before any section", name);
    else if (!is_section(section, strlen(section)))
        find_wrong(reading, "there is no section [%s]", section);
    if (strcmp(section, reading->section) != 0)
        return 1;
    size_t name_bytes = strlen(name) + 1, value_bytes = strlen(value) + 1;
    struct settings_text *text = malloc(sizeof *text + name_bytes + value_bytes);
    if (!text) {
        reading->no_memory = true;
        return 0;
    }
    char *copy = (char *)(text + 1);
    text->name = memcpy(copy, name, name_bytes);
    text->value = memcpy(copy + name_bytes, value, value_bytes);
    text->next = reading->texts;
    reading->texts = text;
    return 1;
}

int settings_file_read(struct settings_text **ret_texts, const char *path, const char *section)
{
    struct reading reading = {.section = section};
    *ret_texts = NULL;
    reading.file = fopen(path, "re");
    if (!reading.file) {
        complain(section, "%s cannot be opened: %s", path, strerrordesc_np(errno));
        return EXIT_USAGE;
    }
    int line = ini_parse_stream(read_line, &reading, keep_text, &reading);
    int failed = ferror(reading.file);
    (void)fclose(reading.file);
    *ret_texts = reading.texts;
    if (failed || reading.no_memory)
        complain(section, "%s cannot be read", path);
    else if (reading.wrong[0])
        complain(section, "%s: %s", path, reading.wrong);
    else if (line != 0)
        complain(section, "%s: line %d is neither '[section]' nor 'name = value'", path, line);
    else
        return EXIT_OK;
    return EXIT_USAGE;
}

#else

int settings_file_read(struct settings_text **ret_texts, const char *path, const char *section)
{
    *ret_texts = NULL;
    complain(section, "%s cannot be read: this weft was built without inih", path);
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
