/* SPDX-License-Identifier: MIT
 * settings_file.h - what weft.ini says to a command, as names and texts: its own section, and those
 * of tasks, which are [exec NAME], [http NAME] and [process]. */
#ifndef WEFT_CMD_SETTINGS_FILE_H
#define WEFT_CMD_SETTINGS_FILE_H

struct settings_text {
    struct settings_text *next;
    const char *section; /* what stands between its brackets */
    const char *name;    /* NULL: a section of tasks begins here */
    char *value;         /* may be cut into pieces where it is */
};

/* Read a file: sections of other commands are passed over, and any others are an error, as are two
 * of one name for tasks. In the order of the file.
 *
 * ret_texts  set in every case; release it
 * Returns    EXIT_OK, EXIT_USAGE after a sentence on standard error */
int settings_file_read(struct settings_text **ret_texts, const char *path, const char *command);
void settings_file_release(struct settings_text *texts);

#endif
