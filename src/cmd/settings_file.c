/* SPDX-License-Identifier: MIT
 * settings_file.c - see settings_file.h. inih reads the lines; without it a file that is there is
 * an error, because passing it over in silence would start the service with other settings. */
#include "settings_file.h"

#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEFT_HAVE_INIH
#include <ini.h>

struct reading {
    FILE *file;
    const char *section;
    struct settings_text *texts;
    int long_line; /* number of the first line that did not fit inih's buffer, 0 for none */
    int lines;
    int no_memory;
};

/* fgets, and notice lines that are longer than inih can take: it would read the rest of one as
 * a line of its own. */
static char *read_line(char *line, int bytes, void *stream)
{
    struct reading *reading = stream;
    char *result = fgets(line, bytes, reading->file);
    if (!result)
        return NULL;
    reading->lines++;
    if (!strchr(line, '\n') && !feof(reading->file) && reading->long_line == 0)
        reading->long_line = reading->lines;
    return result;
}

/* 0 tells inih that the line is wrong. */
static int keep_text(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (strcmp(section, reading->section) != 0)
        return 1;
    size_t name_bytes = strlen(name) + 1, value_bytes = strlen(value) + 1;
    struct settings_text *text = malloc(sizeof *text + name_bytes + value_bytes);
    if (!text) {
        reading->no_memory = 1;
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
    else if (reading.long_line > 0)
        complain(section, "%s: line %d is too long", path, reading.long_line);
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
