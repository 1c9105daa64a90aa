/* SPDX-License-Identifier: MIT
 * options.h - one table per command says what it can be told; flags, environment, weft.ini and
 * --help all follow from it.
 *
 * An option "queue-size" of the command "serve" is the flag --queue-size, the environment
 * variable WEFT_QUEUE_SIZE, and queue-size in the section [serve] of weft.ini; the first of these
 * that is present counts. A command whose table has "config" reads weft.ini. */
#ifndef WEFT_CMD_OPTIONS_H
#define WEFT_CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes of every command. */
#define EXIT_OK     0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

/* options_read has printed the help: nothing is left to do. */
#define OPTIONS_HELPED (-1)

#define OPTIONS_MAX    48
#define WORDS_MAX      64   /* of an OPTION_WORDS */
#define ARGUMENTS_MAX  1000 /* of an OPTION_ARGUMENTS */

enum option_kind {
    OPTION_FLAG,   /* bool; no value on the command line, yes or no elsewhere */
    OPTION_STRING, /* const char * */
    OPTION_WORDS,  /* struct words; the flag may come several times, commas part words elsewhere */
    OPTION_COUNT,  /* uint64_t */
    OPTION_SIZE,   /* uint64_t, bytes */
    OPTION_DURATION,  /* int64_t, nanoseconds */
    OPTION_DURATIONS, /* int64_t[items], each from 0 up */
    OPTION_RATE,      /* double */
    OPTION_REACTOR,   /* const char *, a name that weft_run takes */
    OPTION_NICE,      /* int, -20 to 19 */
    OPTION_ARGUMENTS, /* struct arguments; only in files. Words as in values.h; lines add up */
};

struct words {
    const char *items[WORDS_MAX];
    size_t count;
};

struct arguments {
    const char **items; /* ends with NULL; owned, what it points to is not. NULL: none */
    size_t count;
};

struct option {
    const char *name;    /* lower case with dashes; NULL ends a table */
    const char *metavar; /* NULL for flags */
    enum option_kind kind;
    unsigned items;    /* OPTION_DURATIONS: how many */
    size_t offset;     /* of the field in the command's own struct, which holds the default */
    uint64_t min, max; /* inclusive; max 0 means no limit */
    const char *help;  /* with the default; lines of at most 57 characters */
    const char *only;  /* the actions that it is for, between spaces; NULL: all */
};

/* What a command can do, where that is several things: its first argument. */
struct action {
    const char *name;     /* NULL ends a table; the first is what is done without a word */
    const char *argument; /* metavar of the argument behind it; NULL when it takes none */
    const char *summary;  /* at most 57 characters, without full stop */
};

struct command {
    const char *name;
    const char *summary;          /* one line, without full stop */
    const char *argument;         /* metavar of its argument; NULL when it takes none */
    const struct action *actions; /* NULL: it has none; else they have the arguments */
    const char *description;      /* further lines of --help; NULL for none */
    const struct option *options;
    const char *examples;    /* lines */
    const char *environment; /* the options that may come from the environment, between spaces;
                                NULL: all */
    bool hidden;             /* not for people: the overview does not have it */
    /* argv[0] is the command's name. Returns an exit code */
    int (*run)(const struct command *command, int argc, char **argv);
};

/* What was given besides the options, and the memory behind strings from weft.ini. */
struct settings {
    const char *argument;        /* NULL when none was given */
    const struct action *action; /* of a command that has some; then the argument is its own, and
                                    there is one where it takes one */
    const char *file;            /* that was read; NULL: none */
    struct settings_text *texts;
    char *words[OPTIONS_MAX]; /* copies of what was parted */
};

/* Write what was set into *fields.
 *
 * Returns  EXIT_OK; EXIT_USAGE after a sentence on standard error; OPTIONS_HELPED. Release the
 *          settings in every case, after the last use of a string in *fields */
int options_read(const struct command *command, int argc, char **argv, void *fields,
                 struct settings *ret_settings);
void settings_release(struct settings *settings);

/* Take one text of a section that is no command's own into *fields, by a table of what such a
 * section can say. The text may be cut into pieces, which *fields may point to.
 *
 * Returns  EXIT_OK, EXIT_USAGE after a sentence on standard error */
int setting_read(const struct command *command, const struct settings *settings,
                 const struct option *options, struct settings_text *text, void *fields);

/* What --help prints, on standard output. */
void options_print_help(const struct command *command);

/* Print "weft <command>: <sentence>" on standard error. */
void complain(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
