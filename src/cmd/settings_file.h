/* SPDX-License-Identifier: MIT
 * settings_file.h - the section of weft.ini that belongs to a command, as names and texts. */
#ifndef WEFT_CMD_SETTINGS_FILE_H
#define WEFT_CMD_SETTINGS_FILE_H

struct settings_text {
    struct settings_text *next;
    const char *name, *value;
};

/* Read section [section] of a file; those of other commands are passed over, and any others are an
 * error. The last one of equal names comes first in the list.
 *
 * ret_texts  set in every case; release it
 * Returns    EXIT_OK, EXIT_USAGE after a sentence on standard error */
int settings_file_read(struct settings_text **ret_texts, const char *path, const char *section);
void settings_file_release(struct settings_text *texts);

#endif
