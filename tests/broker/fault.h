/* SPDX-License-Identifier: MIT
 * fault.h - one thing below the SQLite broker fails, once: a statement, an allocation, or an
 * operation on a file. Files do not wait for the disk. A program that has it is linked with --wrap
 * for sqlite3_step, malloc, calloc and realloc (tests/meson.build). */
#ifndef WEFT_TESTS_BROKER_FAULT_H
#define WEFT_TESTS_BROKER_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* The next run of the statement with this text gives `code` and does nothing. undoes: SQLite has
 * rolled the transaction back by then, as it does on some errors. */
void fault_statement(const char *sql, int code, bool undoes);

/* And after that the one with this text. */
void fault_statement_then(const char *sql, int code);

/* The at-th allocation from here on fails, weft's and SQLite's. */
void fault_allocation(unsigned long at);

enum fault_file {
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_READ,
    FAULT_OPEN,
    FAULT_LOCK,
    FAULT_SHARED_MEMORY,
    FAULT_FILES,
};

/* The at-th operation of this kind on files of the database from here on gives `code`, and so do
 * `more` after it. */
void fault_file(enum fault_file kind, unsigned long at, unsigned long more, int code);

/* Nothing fails, and nothing counts, until the fault is let loose (it begins so) or it is taken
 * away. */
void fault_loose(bool loose);
void fault_clear(void);
/* Whether it has happened. */
bool fault_fired(void);

/* The texts of statements that are run while it is loose are noted from here on. */
void fault_note_statements(void);
bool fault_was_run(const char *sql);

/* Whether files can be mapped by several at once, which SQLite's log needs. */
void fault_share_memory(bool possible);

/* From here on remember what of the files was synced. */
void fault_keep_synced(bool keep);

/* Copies of the database's two files as they would be found after a power cut now: what was not
 * synced is gone. */
void fault_cut_power(const char *path, const char *copy_path);

#endif
