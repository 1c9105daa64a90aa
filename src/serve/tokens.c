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
#define FILE_MAX_BYTES ((size_t)256 << 10)
#define SPACE          " \t\r"

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

/* Of two tokens that are one, the scopes of one would be an accident. */
static int add_token(const struct reading *reading, struct weft_tokens *tokens,
                     const struct weft_token *token)
{
    if (tokens->count == WEFT_TOKENS_MAX)
        return refuse(reading, -EINVAL, "there are more than %d tokens", WEFT_TOKENS_MAX);
    for (size_t i = 0; i < tokens->count; i++)
        if (strcmp(tokens->tokens[i].text, token->text) == 0)
            return refuse(reading, -EINVAL, "this token is there already");
    tokens->tokens[tokens->count++] = *token;
    return 0;
}

static int read_line(const struct reading *reading, char *line, struct weft_tokens *tokens)
{
    struct weft_token token = {.may = 0};
    if (strlen(line) > LINE_MAX_BYTES)
        return refuse(reading, -EINVAL, "it is too long");
    int result = parse_line(reading, line, &token);
    if (result > 0)
        result = add_token(reading, tokens, &token);
    explicit_bzero(&token, sizeof token);
    return result;
}

static int read_lines(struct reading *reading, char *text, struct weft_tokens *tokens)
{
    int err = 0;
    for (char *line = strsep(&text, "\n"); line && !err; line = strsep(&text, "\n")) {
        reading->line++;
        err = read_line(reading, line, tokens);
    }
    if (err)
        return err;
    reading->line = 0;
    return tokens->count > 0 ? 0 : refuse(reading, -EINVAL, "holds no token");
}

/* The whole of it, with a NUL behind, to be wiped. */
static int read_text(struct reading *reading, char *text)
{
    FILE *file = fopen(reading->path, "re");
    if (!file)
        return refuse(reading, -errno, "cannot be read: %s", weft_strerror(-errno));
    size_t len = fread(text, 1, FILE_MAX_BYTES + 1, file);
    int failed = ferror(file);
    (void)fclose(file);
    text[len] = '\0';
    if (failed)
        return refuse(reading, -EIO, "cannot be read");
    if (len > FILE_MAX_BYTES)
        return refuse(reading, -EINVAL, "has more than %zu bytes", FILE_MAX_BYTES);
    if (memchr(text, '\0', len))
        return refuse(reading, -EINVAL, "has a NUL character in it");
    return 0;
}

int weft_tokens_read(struct weft_tokens *ret_tokens, const char *path, char *error,
                     size_t error_bytes)
{
    struct reading reading = {.path = path, .error = error, .error_bytes = error_bytes};
    struct weft_tokens tokens = {.tokens = calloc(WEFT_TOKENS_MAX, sizeof *tokens.tokens)};
    char *text = malloc(FILE_MAX_BYTES + 2);
    int err = 0;
    if (!tokens.tokens || !text) {
        err = -ENOMEM;
        (void)refuse(&reading, err, "cannot be read: %s", weft_strerror(err));
    }
    if (!err)
        err = read_text(&reading, text);
    if (!err)
        err = read_lines(&reading, text, &tokens);
    if (text)
        explicit_bzero(text, FILE_MAX_BYTES + 2);
    free(text);
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
