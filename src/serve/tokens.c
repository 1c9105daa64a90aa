/* SPDX-License-Identifier: MIT
 * tokens.c - see tokens.h. */
#include <serve/tokens.h>

#include <weft/base.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES (WEFT_TOKEN_MAX + WEFT_TOKEN_NAME_MAX + 128)
#define SPACE          " \t\r\n"

static const struct {
    const char *name;
    enum weft_may may;
} scopes[] = {
    {"read", WEFT_MAY_READ},
    {"enqueue", WEFT_MAY_ENQUEUE},
    {"work", WEFT_MAY_WORK},
    {"admin", WEFT_MAY_ALL},
};
#define SCOPES (sizeof scopes / sizeof *scopes)

struct reading {
    const char *path;
    unsigned line;
    char *error;
    size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct reading *reading, int err,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char what[256];
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (reading->error_bytes == 0)
        return err;
    if (reading->line > 0)
        (void)snprintf(reading->error, reading->error_bytes, "the token file %s, line %u: %s",
                       reading->path, reading->line, what);
    else
        (void)snprintf(reading->error, reading->error_bytes, "the token file %s %s", reading->path,
                       what);
    return err;
}

const char *weft_may_name(enum weft_may may)
{
    for (size_t i = 0; i + 1 < SCOPES; i++)
        if (scopes[i].may == may)
            return scopes[i].name;
    return "admin";
}

/* Scopes between commas. 0: one of them is none. */
static unsigned parse_scopes(char *list)
{
    unsigned may = 0;
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;
        while (i < SCOPES && strcmp(scopes[i].name, word) != 0)
            i++;
        if (i == SCOPES)
            return 0;
        may |= (unsigned)scopes[i].may;
    }
    return may;
}

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f)
            return false;
    return len >= WEFT_TOKEN_MIN && len <= WEFT_TOKEN_MAX;
}

/* The next word of a line; a comment ends it. */
static char *next_word(char *line, char **rest)
{
    char *word = strtok_r(line, SPACE, rest);
    if (word && word[0] != '#')
        return word;
    *rest = NULL;
    return NULL;
}

/* Returns 1 when the line held a token, 0 when it was empty, or an error. */
static int parse_line(const struct reading *reading, char *line, struct weft_token *ret_token)
{
    char *rest = NULL;
    const char *text = next_word(line, &rest);
    if (!text)
        return 0;
    size_t len = strlen(text);
    if (!is_token(text, len))
        return refuse(reading, -EINVAL, "a token is one word of %d to %d printable characters",
                      WEFT_TOKEN_MIN, WEFT_TOKEN_MAX);
    struct weft_token token = {.may = WEFT_MAY_ALL};
    memcpy(token.text, text, len);
    char *list = rest ? next_word(NULL, &rest) : NULL;
    if (list)
        token.may = parse_scopes(list);
    if (token.may == 0)
        return refuse(reading, -EINVAL, "scopes are read, enqueue, work and admin, with commas");
    const char *name = list ? next_word(NULL, &rest) : NULL;
    if (name && strlen(name) > WEFT_TOKEN_NAME_MAX)
        return refuse(reading, -EINVAL, "a name has at most %d characters", WEFT_TOKEN_NAME_MAX);
    (void)snprintf(token.name, sizeof token.name, "%s", name ? name : "token");
    if (name && next_word(NULL, &rest))
        return refuse(reading, -EINVAL, "there is something behind the name");
    *ret_token = token;
    return 1;
}

static int read_lines(struct reading *reading, FILE *file, struct weft_tokens *tokens)
{
    char line[LINE_MAX_BYTES];
    int result = 0;
    while (result >= 0 && fgets(line, sizeof line, file)) {
        reading->line++;
        size_t len = strlen(line);
        if (len + 1 == sizeof line && line[len - 1] != '\n')
            return refuse(reading, -EINVAL, "it is too long");
        struct weft_token token;
        result = parse_line(reading, line, &token);
        if (result == 1 && tokens->count == WEFT_TOKENS_MAX)
            return refuse(reading, -EINVAL, "there are more than %d tokens", WEFT_TOKENS_MAX);
        if (result == 1)
            tokens->tokens[tokens->count++] = token;
        explicit_bzero(&token, sizeof token);
    }
    explicit_bzero(line, sizeof line);
    if (result < 0)
        return result;
    reading->line = 0;
    if (ferror(file))
        return refuse(reading, -EIO, "cannot be read");
    return tokens->count > 0 ? 0 : refuse(reading, -EINVAL, "holds no token");
}

int weft_tokens_read(struct weft_tokens *ret_tokens, const char *path, char *error,
                     size_t error_bytes)
{
    struct reading reading = {.path = path, .error = error, .error_bytes = error_bytes};
    struct weft_tokens tokens = {.tokens = calloc(WEFT_TOKENS_MAX, sizeof *tokens.tokens)};
    if (!tokens.tokens)
        return refuse(&reading, -ENOMEM, "cannot be read: %s", weft_strerror(-ENOMEM));
    FILE *file = fopen(path, "re");
    int err = 0;
    if (!file)
        err = refuse(&reading, -errno, "cannot be read: %s", weft_strerror(-errno));
    if (!err)
        err = read_lines(&reading, file, &tokens);
    if (file)
        (void)fclose(file);
    if (err)
        weft_tokens_release(&tokens);
    else
        *ret_tokens = tokens;
    return err;
}

void weft_tokens_release(struct weft_tokens *tokens)
{
    if (tokens->tokens)
        explicit_bzero(tokens->tokens, WEFT_TOKENS_MAX * sizeof *tokens->tokens);
    free(tokens->tokens);
    *tokens = (struct weft_tokens){0};
}

/* Every character of what was given is looked at; the token's length is no secret. */
static bool is_same(const char *token, const char *given, size_t given_len)
{
    size_t token_len = strlen(token);
    unsigned difference = given_len == token_len ? 0 : 1;
    for (size_t i = 0; i < given_len; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)token[i % token_len];
    return difference == 0;
}

const struct weft_token *weft_tokens_find(const struct weft_tokens *tokens, const char *value)
{
    static const char scheme[] = "Bearer ";
    if (!value || strncasecmp(value, scheme, strlen(scheme)) != 0)
        return NULL;
    const char *given = value + strlen(scheme);
    size_t given_len = strlen(given);
    const struct weft_token *found = NULL;
    for (size_t i = 0; i < tokens->count; i++)
        if (is_same(tokens->tokens[i].text, given, given_len))
            found = &tokens->tokens[i];
    return found;
}
