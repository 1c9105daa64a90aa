/* SPDX-License-Identifier: MIT
 * options.c - see options.h. First texts are collected, source by source, the strongest first;
 * then each text is turned into a value, so that every source gets the same checks. */
#include "options.h"

#include "settings_file.h"
#include "values.h"

#include <base/duration.h>
#include <base/words.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES   64
#define DEFAULT_FILE "weft.ini"

enum source {
    FROM_NOWHERE,
    FROM_FLAG,
    FROM_ENVIRONMENT,
    FROM_FILE
};

struct found {
    const char *text;
    enum source source;
};

struct reader {
    const struct command *command;
    const char *file; /* weft.ini's path when it was read */
    struct found found[OPTIONS_MAX];
    void *fields;
    struct settings *settings;
};

void complain(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "weft %s: ", command);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

static size_t count_options(const struct command *command)
{
    size_t count = 0;
    while (command->options[count].name)
        count++;
    assert(count <= OPTIONS_MAX);
    return count;
}

/* The index of an option by its name's first len characters; the count when there is none. */
static size_t find_option(const struct option *options, const char *name, size_t len)
{
    size_t i = 0;
    while (options[i].name &&
           !(strncmp(options[i].name, name, len) == 0 && options[i].name[len] == '\0'))
        i++;
    return i;
}

/* " (did you mean --listen?)" or nothing. */
static const char *suggest(const struct option *options, const char *name, const char *dashes,
                           char text[NAME_BYTES])
{
    const char *best = "help";
    unsigned best_distance = *dashes ? weft_word_distance(name, best) : 99;
    for (const struct option *option = options; option->name; option++) {
        unsigned distance = weft_word_distance(name, option->name);
        if (!*dashes && strcmp(option->name, "config") == 0)
            continue; /* no setting in a file */
        if (distance < best_distance) {
            best = option->name;
            best_distance = distance;
        }
    }
    text[0] = '\0';
    if (weft_word_is_near(name, best_distance))
        (void)snprintf(text, NAME_BYTES, "; did you mean %s%s?", dashes, best);
    return text;
}

static int complain_unknown_flag(const struct command *command, const char *flag)
{
    char name[NAME_BYTES], text[NAME_BYTES];
    size_t dashes = strspn(flag, "-");
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(flag + dashes, "="), flag + dashes);
    complain(command->name, "there is no flag '%s%s'%s", dashes > 1 ? "--" : "-", name,
             suggest(command->options, name, "--", text));
    return EXIT_USAGE;
}

static struct words *words_of(const struct reader *reader, const struct option *option)
{
    return (struct words *)(void *)((char *)reader->fields + option->offset);
}

/* A flag that may come again: the first one replaces the default. */
static int add_word(struct reader *reader, const struct option *option, size_t index,
                    const char *word)
{
    struct words *words = words_of(reader, option);
    if (reader->found[index].source == FROM_NOWHERE)
        words->count = 0;
    reader->found[index] = (struct found){word, FROM_FLAG};
    if (*word == '\0') {
        complain(reader->command->name, "--%s: the value is empty", option->name);
        return EXIT_USAGE;
    }
    if (words->count == WORDS_MAX) {
        complain(reader->command->name, "--%s can be given at most %d times", option->name,
                 WORDS_MAX);
        return EXIT_USAGE;
    }
    words->items[words->count++] = word;
    return EXIT_OK;
}

/* Words between commas, from the environment or a file. */
static bool part_words(char *text, struct words *words)
{
    char *save = NULL;
    words->count = 0;
    for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        word += strspn(word, " ");
        for (size_t len = strlen(word); len > 0 && word[len - 1] == ' '; len--)
            word[len - 1] = '\0';
        if (words->count == WORDS_MAX || !*word)
            return false;
        words->items[words->count++] = word;
    }
    return words->count > 0;
}

/* The same of a text that belongs to somebody else. */
static bool part_copy(struct reader *reader, size_t index, struct words *words)
{
    char *copy = strdup(reader->found[index].text);
    reader->settings->words[index] = copy;
    return copy && part_words(copy, words);
}

/* The index of an option by the flag "-i" and what may stand behind it; the count when there is
 * none. */
static size_t find_letter(const struct option *options, const char *flag)
{
    size_t i = 0;
    while (options[i].name && (!options[i].letter || options[i].letter != flag[1]))
        i++;
    return i;
}

/* One flag at argv[*at], with its value behind "=" or in the next word; behind a letter at once. */
static int read_flag(struct reader *reader, int argc, char **argv, int *at)
{
    const struct command *command = reader->command;
    const char *flag = argv[*at];
    bool is_letter = flag[1] != '-';
    size_t len = is_letter ? 1 : strcspn(flag + 2, "=");
    const char *value = !is_letter && flag[2 + len] == '=' ? flag + 3 + len : NULL;
    size_t index = is_letter ? find_letter(command->options, flag)
                             : find_option(command->options, flag + 2, len);
    const struct option *option = &command->options[index];
    if (len == 0 || !option->name ||
        (is_letter && flag[2] && (option->kind == OPTION_FLAG || flag[2] == '=')))
        return complain_unknown_flag(command, flag);
    if (is_letter && flag[2])
        value = flag + 2;
    if (option->kind == OPTION_FLAG) {
        if (value) {
            complain(command->name, "--%s takes no value", option->name);
            return EXIT_USAGE;
        }
        value = "yes";
    } else if (!value) {
        /* What looks like a flag is one: "--body --json" forgot the body. */
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0) {
            complain(command->name, "--%s needs a value: --%s %s", option->name, option->name,
                     option->metavar);
            return EXIT_USAGE;
        }
        value = argv[++*at];
    }
    if (option->kind == OPTION_WORDS)
        return add_word(reader, option, index, value);
    reader->found[index] = (struct found){value, FROM_FLAG};
    return EXIT_OK;
}

static int complain_action(const struct command *command, const char *name)
{
    const char *best = "";
    unsigned best_distance = 99;
    for (const struct action *action = command->actions; action->name; action++) {
        unsigned distance = weft_word_distance(name, action->name);
        if (distance < best_distance) {
            best = action->name;
            best_distance = distance;
        }
    }
    if (weft_word_is_near(name, best_distance))
        complain(command->name, "there is no action '%s'; did you mean '%s'?", name, best);
    else
        complain(command->name, "there is no action '%s'; 'weft help %s' lists them", name,
                 command->name);
    return EXIT_USAGE;
}

static int read_action(struct reader *reader, const char *name)
{
    const struct action *action = reader->command->actions;
    while (action->name && strcmp(action->name, name) != 0)
        action++;
    if (!action->name)
        return complain_action(reader->command, name);
    reader->settings->action = action;
    return EXIT_OK;
}

/* One of many; the first is also the only one. */
static int add_argument(struct settings *settings, const char *text)
{
    size_t count = settings->arguments_count;
    if ((count & (count + 1)) == 0) { /* room doubles at 0, 1, 3, 7, ... */
        const char **arguments =
            reallocarray(settings->arguments, 2 * (count + 1), sizeof arguments[0]);
        if (!arguments) {
            (void)fprintf(stderr, "weft: out of memory\n");
            return EXIT_USAGE;
        }
        settings->arguments = arguments;
    }
    settings->arguments[settings->arguments_count++] = text;
    settings->argument = settings->arguments[0];
    return EXIT_OK;
}

static int read_argument(struct reader *reader, const char *text)
{
    const struct command *command = reader->command;
    const struct action *action = reader->settings->action;
    if (command->actions && !action)
        return read_action(reader, text);
    const char *wanted = action ? action->argument : command->argument;
    if (!wanted && action)
        complain(command->name, "'%s' is not expected; '%s' takes only flags", text, action->name);
    else if (!wanted)
        complain(command->name, "'%s' is not expected; the command takes only flags", text);
    else if (command->many)
        return add_argument(reader->settings, text);
    else if (reader->settings->argument)
        complain(command->name, "'%s' is one %s too many", text, wanted);
    else
        reader->settings->argument = text;
    return reader->settings->argument == text ? EXIT_OK : EXIT_USAGE;
}

/* An action has the argument that it needs, and no flag that is for others. */
static int check_action(struct reader *reader)
{
    const struct command *command = reader->command;
    if (!command->actions)
        return EXIT_OK;
    if (!reader->settings->action)
        reader->settings->action = command->actions;
    const struct action *action = reader->settings->action;
    for (size_t i = 0; command->options[i].name; i++) {
        const struct option *option = &command->options[i];
        if (reader->found[i].source == FROM_FLAG && option->only &&
            !weft_word_is_listed(option->only, action->name)) {
            complain(command->name, "'%s' takes no --%s", action->name, option->name);
            return EXIT_USAGE;
        }
    }
    if (action->argument && !reader->settings->argument) {
        complain(command->name, "%s: the %s is missing", action->name, action->argument);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

static int read_words(struct reader *reader, int argc, char **argv)
{
    bool flags_ended = false;
    for (int i = 1; i < argc; i++) {
        int status;
        if (!flags_ended && strcmp(argv[i], "--") == 0) {
            flags_ended = true;
            continue;
        }
        if (!flags_ended && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            options_print_help(reader->command);
            return OPTIONS_HELPED;
        }
        if (!flags_ended && argv[i][0] == '-' && argv[i][1] != '\0')
            status = read_flag(reader, argc, argv, &i);
        else
            status = read_argument(reader, argv[i]);
        if (status != EXIT_OK)
            return status;
    }
    return EXIT_OK;
}

static const char *variables_of(const struct command *command)
{
    return command->variables ? command->variables : "WEFT_";
}

/* WEFT_QUEUE_SIZE for queue-size. */
static void environment_name(const struct command *command, const char *option,
                             char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%s%s", variables_of(command), option);
    for (char *at = name; *at; at++) {
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
        else if (*at == '-')
            *at = '_';
    }
}

static void read_environment(struct reader *reader)
{
    const struct option *options = reader->command->options;
    const char *allowed = reader->command->environment;
    for (size_t i = 0; options[i].name; i++) {
        char name[NAME_BYTES];
        environment_name(reader->command, options[i].name, name);
        const char *text = getenv(name); // NOLINT(concurrency-mt-unsafe): no other thread yet
        /* Empty is how a variable is taken back in places that cannot unset one. */
        if (text && *text && reader->found[i].source == FROM_NOWHERE &&
            (!allowed || weft_word_is_listed(allowed, options[i].name)))
            reader->found[i] = (struct found){text, FROM_ENVIRONMENT};
    }
}

static int read_file(struct reader *reader)
{
    const struct command *command = reader->command;
    const struct option *options = command->options;
    size_t config = find_option(command->options, "config", strlen("config"));
    char text[NAME_BYTES];
    if (!options[config].name)
        return EXIT_OK;
    reader->file = reader->found[config].text;
    if (!reader->file) {
        if (access(DEFAULT_FILE, F_OK) != 0)
            return EXIT_OK;
        reader->file = DEFAULT_FILE;
    }
    int status = settings_file_read(&reader->settings->texts, reader->file, command->name);
    if (status != EXIT_OK)
        return status;
    reader->settings->file = reader->file;
    for (const struct settings_text *at = reader->settings->texts; at; at = at->next) {
        if (strcmp(at->section, command->name) != 0)
            continue;
        size_t i = find_option(command->options, at->name, strlen(at->name));
        if (!options[i].name || i == config) {
            complain(command->name, "%s: [%s] has no setting '%s'%s", reader->file, command->name,
                     at->name, suggest(command->options, at->name, "", text));
            return EXIT_USAGE;
        }
        if (reader->found[i].source == FROM_NOWHERE || reader->found[i].source == FROM_FILE)
            reader->found[i] = (struct found){at->value, FROM_FILE}; /* the last one counts */
    }
    return EXIT_OK;
}

static const char *plural_range(const struct option *option, char text[NAME_BYTES])
{
    unsigned long long min = option->min, max = option->max;
    if (max > 0)
        (void)snprintf(text, NAME_BYTES, "between %llu and %llu", min, max);
    else
        (void)snprintf(text, NAME_BYTES, "from %llu up", min);
    return text;
}

/* "'abc' is not a number between 1 and 64", behind where it was set. */
static int complain_text(const char *command, const char *where, const struct option *option,
                         const char *text)
{
    char range[NAME_BYTES], wanted[NAME_BYTES * 2];
    switch (option->kind) {
    case OPTION_COUNT:
        (void)snprintf(wanted, sizeof wanted, "a number %s", plural_range(option, range));
        break;
    case OPTION_SIZE:
        (void)snprintf(wanted, sizeof wanted, "a size like 64KiB or 1MiB, %s bytes",
                       plural_range(option, range));
        break;
    case OPTION_DURATION:
        (void)snprintf(wanted, sizeof wanted, "a duration%s like 2s, 500ms or 1m30s",
                       option->min > 0 ? " above 0" : "");
        break;
    case OPTION_DURATIONS:
        (void)snprintf(wanted, sizeof wanted, "%u durations with commas, like 2s,1s,500ms",
                       option->items);
        break;
    case OPTION_RATE:
        (void)snprintf(wanted, sizeof wanted, "a number from 0.001 up");
        break;
    case OPTION_SHARE:
        (void)snprintf(wanted, sizeof wanted, "a share, like 0.05 or 5%%");
        break;
    case OPTION_REACTOR:
        (void)snprintf(wanted, sizeof wanted, "a reactor: uring or epoll");
        break;
    case OPTION_NICE:
        (void)snprintf(wanted, sizeof wanted, "a number between -20 and 19");
        break;
    case OPTION_FLAG:
        (void)snprintf(wanted, sizeof wanted, "yes or no");
        break;
    case OPTION_WORDS:
        (void)snprintf(wanted, sizeof wanted, "at most %d words with commas", WORDS_MAX);
        break;
    case OPTION_ARGUMENTS: /* has its own way */
    case OPTION_STRING:
        complain(command, "%s: the value is empty", where);
        return EXIT_USAGE;
    }
    complain(command, "%s: '%s' is not %s", where, text, wanted);
    return EXIT_USAGE;
}

static int complain_value(const struct reader *reader, size_t index)
{
    const struct option *option = &reader->command->options[index];
    const struct found *found = &reader->found[index];
    char name[NAME_BYTES], where[NAME_BYTES * 4];
    environment_name(reader->command, option->name, name);
    if (found->source == FROM_FLAG)
        (void)snprintf(where, sizeof where, "--%s", option->name);
    else if (found->source == FROM_ENVIRONMENT)
        (void)snprintf(where, sizeof where, "%s", name);
    else
        (void)snprintf(where, sizeof where, "%.120s: %s", reader->file, option->name);
    return complain_text(reader->command->name, where, option, found->text);
}

static bool in_range(const struct option *option, uint64_t value)
{
    return value >= option->min && (option->max == 0 || value <= option->max);
}

/* Whether the text is what the option wants; the field is written only then. */
static bool convert(const struct option *option, const char *text, void *field)
{
    uint64_t number = 0;
    int64_t *ns = field;
    int64_t length_ns;
    switch (option->kind) {
    case OPTION_FLAG:
        return parse_yes(text, field);
    case OPTION_STRING:
        if (*text == '\0')
            return false;
        *(const char **)field = text;
        return true;
    case OPTION_COUNT:
    case OPTION_SIZE:
        if (!(option->kind == OPTION_COUNT ? parse_count : parse_size)(text, &number) ||
            !in_range(option, number))
            return false;
        *(uint64_t *)field = number;
        return true;
    case OPTION_DURATION:
        if (weft_duration_parse(&length_ns, text, strlen(text)) < 0 ||
            !in_range(option, (uint64_t)length_ns))
            return false;
        *ns = length_ns;
        return true;
    case OPTION_DURATIONS:
        return parse_durations(text, ns, option->items);
    case OPTION_RATE:
        return parse_rate(text, field);
    case OPTION_SHARE:
        return parse_share(text, field);
    case OPTION_NICE:
        return parse_nice(text, field);
    case OPTION_WORDS: /* have their own ways */
    case OPTION_ARGUMENTS:
        return false;
    case OPTION_REACTOR:
        if (strcmp(text, "uring") != 0 && strcmp(text, "io_uring") != 0 &&
            strcmp(text, "epoll") != 0)
            return false;
        *(const char **)field = text;
        return true;
    }
    return false;
}

/* What was found for an option, as a value. */
static bool take_found(struct reader *reader, size_t index)
{
    const struct option *option = &reader->command->options[index];
    const struct found *found = &reader->found[index];
    if (found->source == FROM_NOWHERE)
        return true;
    if (option->kind == OPTION_WORDS)
        return found->source == FROM_FLAG || part_copy(reader, index, words_of(reader, option));
    return convert(option, found->text, (char *)reader->fields + option->offset);
}

int options_read(const struct command *command, int argc, char **argv, void *fields,
                 struct settings *ret_settings)
{
    struct reader reader = {.command = command, .fields = fields, .settings = ret_settings};
    *ret_settings = (struct settings){0};
    size_t count = count_options(command);
    int status = read_words(&reader, argc, argv);
    if (status == EXIT_OK)
        status = check_action(&reader);
    if (status != EXIT_OK)
        return status;
    read_environment(&reader);
    status = read_file(&reader);
    for (size_t i = 0; i < count && status == EXIT_OK; i++) {
        if (!take_found(&reader, i))
            status = complain_value(&reader, i);
    }
    return status;
}

void settings_release(struct settings *settings)
{
    settings_file_release(settings->texts);
    settings->texts = NULL;
    free(settings->arguments);
    settings->arguments = NULL;
    settings->arguments_count = 0;
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        free(settings->words[i]);
        settings->words[i] = NULL;
    }
}

/* ---- sections that are no command's ------------------------------------------------------ */

/* Words behind those that are there already. Returns NULL, or what is wrong. */
static const char *add_arguments(struct arguments *arguments, char *text)
{
    const char *reason = NULL;
    while (!reason) {
        char *word = parse_word(&text, &reason);
        if (!word)
            break;
        if (arguments->count == ARGUMENTS_MAX)
            return "there are more than 1000 words";
        const char **items =
            reallocarray(arguments->items, arguments->count + 2, sizeof arguments->items[0]);
        if (!items)
            return "there is no memory for it";
        arguments->items = items;
        items[arguments->count++] = word;
        items[arguments->count] = NULL;
    }
    return reason;
}

int setting_read(const struct command *command, const struct settings *settings,
                 const struct option *options, struct settings_text *text, void *fields)
{
    char where[NAME_BYTES * 6], nearest[NAME_BYTES];
    const char *reason = NULL;
    const struct option *option = &options[find_option(options, text->name, strlen(text->name))];
    if (!option->name) {
        complain(command->name, "%s: [%s] has no setting '%s'%s", settings->file, text->section,
                 text->name, suggest(options, text->name, "", nearest));
        return EXIT_USAGE;
    }
    (void)snprintf(where, sizeof where, "%.120s: [%.200s] %s", settings->file, text->section,
                   option->name);
    void *field = (char *)fields + option->offset;
    if (option->kind == OPTION_ARGUMENTS)
        reason = add_arguments(field, text->value);
    else if (option->kind == OPTION_WORDS ? !part_words(text->value, field)
                                          : !convert(option, text->value, field))
        return complain_text(command->name, where, option, text->value);
    if (reason)
        complain(command->name, "%s: %s", where, reason);
    return reason ? EXIT_USAGE : EXIT_OK;
}

/* ---- help -------------------------------------------------------------------------------- */

#define HELP_COLUMN 23

static void print_option(char letter, const char *name, const char *metavar, const char *help)
{
    int width = printf("  --%s%s%s", name, metavar ? " " : "", metavar ? metavar : "");
    if (letter)
        width += printf(", -%c", letter);
    if (width >= HELP_COLUMN) {
        (void)putchar('\n');
        width = 0;
    }
    while (*help) {
        size_t len = strcspn(help, "\n");
        (void)printf("%*s%.*s\n", HELP_COLUMN - width, "", (int)len, help);
        help += len + (help[len] == '\n');
        width = 0;
    }
}

static void print_actions(const struct action *actions)
{
    (void)printf("\nactions:\n");
    for (const struct action *action = actions; action->name; action++) {
        int width = printf("  %s%s%s", action->name, action->argument ? " " : "",
                           action->argument ? action->argument : "");
        (void)printf("%*s%s%s\n", HELP_COLUMN - width, "", action->summary,
                     action == actions ? " (default)" : "");
    }
}

/* "WEFT_SERVER, WEFT_JSON: as the flags" */
static void print_environment(const struct command *command)
{
    const char *comma = "\nenvironment: ";
    for (const struct option *option = command->options; option->name; option++) {
        char name[NAME_BYTES];
        if (!weft_word_is_listed(command->environment, option->name))
            continue;
        environment_name(command, option->name, name);
        (void)printf("%s%s", comma, name);
        comma = ", ";
    }
    (void)printf(", as the flags\n");
}

void options_print_help(const struct command *command)
{
    bool has_file = false;
    const char *argument = command->actions ? "[ACTION]" : command->argument;
    (void)printf("weft %s - %s\n\nusage: weft %s%s%s [flags]\n", command->name, command->summary,
                 command->name, argument ? " " : "", argument ? argument : "");
    if (command->description)
        (void)printf("\n%s", command->description);
    if (command->actions)
        print_actions(command->actions);
    (void)printf("\nflags:\n");
    for (const struct option *option = command->options; option->name; option++) {
        print_option(option->letter, option->name, option->metavar, option->help);
        has_file = has_file || strcmp(option->name, "config") == 0;
    }
    print_option(0, "help", NULL, "show this and exit");
    if (has_file) {
        char name[NAME_BYTES];
        environment_name(command, command->options[0].name, name);
        (void)printf("\nEach flag is also an environment variable, %s and its name in capitals\n"
                     "(--%s is %s), and a setting in the section [%s] of weft.ini.\n"
                     "The flag counts before the environment, the environment before the file.\n",
                     variables_of(command), command->options[0].name, name, command->name);
    }
    if (command->environment)
        print_environment(command);
    (void)printf("\nexit code: 0 ok, 1 failed, 2 wrong usage\n\nexamples:\n%s", command->examples);
}
