/* SPDX-License-Identifier: MIT
 * client.c - see client.h. Each request is a runtime of its own: between them commands are plain C,
 * on a stack with room for a parser. */
#include "client.h"

#include <base/json_scan.h>
#include <base/uuid.h>
#include <weft/http_client.h>
#include <weft/runtime.h>

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_NS       (30 * WEFT_SEC)
#define ANSWER_MAX      ((size_t)80 << 20)
#define TOKEN_FILE_MAX  65536
#define ADDRESS_LEN_MAX 2048
#define DETAIL_BYTES    512
#define CONFLICT        409
#define WHOLE_MAX       1e15 /* up to which every whole number is one */

void *need(void *memory)
{
    if (memory)
        return memory;
    (void)fprintf(stderr, "weft: out of memory\n");
    exit(EXIT_FAILED); // NOLINT(concurrency-mt-unsafe): commands have one thread
}

char *text_of_format(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return need(len < 0 ? NULL : text);
}

/* ---- whom to ask, and as whom ------------------------------------------------------------ */

static bool is_address(const char *text)
{
    size_t scheme = strncasecmp(text, "http://", 7) == 0    ? 7
                    : strncasecmp(text, "https://", 8) == 0 ? 8
                                                            : 0;
    if (scheme == 0 || !text[scheme] || text[scheme] == '/' || strlen(text) > ADDRESS_LEN_MAX ||
        strpbrk(text, "?#@"))
        return false;
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || (unsigned char)*text > '~')
            return false;
    }
    return true;
}

/* The first word of a line; NULL where there is none, or a comment. */
static char *first_word(char *line)
{
    char *save = NULL;
    char *word = strtok_r(line, " \t\r\n", &save);
    return word && *word != '#' ? word : NULL;
}

int client_read_token(const char *command, const char *path, char **ret_token)
{
    FILE *file = fopen(path, "re");
    char *line = NULL, *word = NULL;
    size_t capacity = 0, read = 0;
    ssize_t len;
    if (!file) {
        complain(command, "%s cannot be opened: %s", path, weft_strerror(-errno));
        return EXIT_FAILED;
    }
    while (!word && read < TOKEN_FILE_MAX && (len = getline(&line, &capacity, file)) > 0) {
        read += (size_t)len;
        word = first_word(line);
    }
    if (word)
        *ret_token = need(strdup(word));
    else
        complain(command, "%s has no token in it", path);
    free(line);
    (void)fclose(file);
    return word ? EXIT_OK : EXIT_FAILED;
}

int client_open(struct client *client, const char *command, const struct client_flags *flags)
{
    const char *server = flags->server ? flags->server : CLIENT_SERVER;
    *client = (struct client){.command = command, .ca_file = flags->ca_file};
    if (!is_address(server)) {
        complain(command, "--server: '%s' is no address; write it like %s", server, CLIENT_SERVER);
        return EXIT_USAGE;
    }
    client->server = need(strdup(server));
    for (size_t len = strlen(server); client->server[len - 1] == '/'; len--)
        client->server[len - 1] = '\0';
    return flags->token_file ? client_read_token(command, flags->token_file, &client->token)
                             : EXIT_OK;
}

void client_close(struct client *client)
{
    free(client->server);
    free(client->token);
}

int client_run(const struct command *command, int argc, char **argv, void *arguments)
{
    const struct client_flags *flags = arguments;
    struct settings settings;
    struct client client = {0};
    int status = options_read(command, argc, argv, arguments, &settings);
    if (status == EXIT_OK)
        status = client_open(&client, command->name, flags);
    if (status == EXIT_OK) {
        const struct client_call call = {&client, flags->json, arguments, settings.argument};
        status = settings.action->run(&call);
    }
    client_close(&client);
    settings_release(&settings);
    return status == OPTIONS_HELPED ? EXIT_OK : status;
}

/* ---- asking ------------------------------------------------------------------------------ */

struct exchange {
    const struct client *client;
    const struct question *question;
    struct answer *answer;
    char error[DETAIL_BYTES];
};

static int send_request(struct exchange *exchange, struct weft_http_client *http)
{
    const struct question *question = exchange->question;
    char *url = text_of_format("%s%s", exchange->client->server, question->path);
    char *bearer =
        exchange->client->token ? text_of_format("Bearer %s", exchange->client->token) : NULL;
    const struct weft_http_field fields[] = {
        {"Accept", "application/json"},
        {"Content-Type", question->type ? question->type : "application/json"},
        {"Authorization", bearer},
    };
    const struct weft_http_request request = {
        .url = url,
        .method = question->method,
        .fields = fields,
        .fields_count = bearer ? 3 : 2,
        .body = question->body,
        .body_len = question->len,
    };
    struct weft_http_response response;
    int err = weft_http_send(http, &request, &response, weft_now() + question->wait_ns + ANSWER_NS);
    if (err) {
        (void)snprintf(exchange->error, sizeof exchange->error, "%s",
                       response.error[0] ? response.error : weft_strerror(err));
    } else {
        exchange->answer->status = response.status;
        exchange->answer->len = response.body_len;
        exchange->answer->body = need(malloc(response.body_len + 1));
        memcpy(exchange->answer->body, response.body, response.body_len + 1);
    }
    weft_http_response_release(&response);
    free(bearer);
    free(url);
    return err;
}

static int exchange_main(void *arg)
{
    struct exchange *exchange = arg;
    struct weft_http_client *http;
    const struct weft_http_client_options options = {
        .total_timeout_ns = exchange->question->wait_ns + 2 * ANSWER_NS,
        .response_bytes_max = ANSWER_MAX,
        .ca_file = exchange->client->ca_file,
    };
    int err = weft_http_client_open(&http, &options);
    if (err)
        return err;
    err = send_request(exchange, http);
    weft_http_client_close(http);
    return err;
}

static json_t *parse(const struct answer *answer)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_error_t error;
    json_t *root = json_loadb(answer->body, answer->len, flags, &error);
    /* A number that is too large for one kind is good enough as another, to be looked at. */
    if (!root && json_error_code(&error) == json_error_numeric_overflow)
        root = json_loadb(answer->body, answer->len, flags | JSON_DECODE_INT_AS_REAL, &error);
    return root;
}

/* Why the server does not do it, in its own words. */
static void complain_refused(const struct client *client, const struct answer *answer)
{
    char *detail = member_text(answer->root, "detail");
    if (!*detail)
        complain(client->command, "the server answers with status %d", answer->status);
    else if (answer->status == 401)
        complain(client->command, "%s (--token-file)", detail);
    else
        complain(client->command, "%s", detail);
    free(detail);
}

int client_ask(const struct client *client, const struct question *question, struct answer *answer)
{
    // cppcheck-suppress ctuuninitvar ; it is written there
    struct exchange exchange = {client, question, answer, ""};
    *answer = (struct answer){0};
    int err = weft_run(NULL, exchange_main, &exchange);
    if (err) {
        complain(client->command, "no answer from %s: %s", client->server,
                 exchange.error[0] ? exchange.error : weft_strerror(err));
        return EXIT_FAILED;
    }
    answer->root = parse(answer);
    if (answer->status >= 200 && answer->status < 300) {
        if (answer->root || answer->len == 0)
            return EXIT_OK;
        complain(client->command, "what %s answers is not JSON", client->server);
        return EXIT_FAILED;
    }
    if (!question->may_refuse || answer->status != CONFLICT)
        complain_refused(client, answer);
    return EXIT_FAILED;
}

void answer_release(struct answer *answer)
{
    json_decref(answer->root);
    free(answer->body);
    *answer = (struct answer){0};
}

/* ---- paths ------------------------------------------------------------------------------- */

/* Everything but letters, digits and - . _ ~ in hexadecimal. */
static char *escape(const char *text)
{
    char *escaped = need(malloc(3 * strlen(text) + 1)), *at = escaped;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c < 0x80 && isalnum(c)) || strchr("-._~", c))
            *at++ = (char)c;
        else
            at += sprintf(at, "%%%02X", (unsigned)c);
    }
    *at = '\0';
    return escaped;
}

char *client_path(const char *first, const char *second, const char *third)
{
    char *name = escape(second);
    char *path = text_of_format("%s/%s%s%s", first, name, third ? "/" : "", third ? third : "");
    free(name);
    return path;
}

bool client_check_id(const struct client *client, const char *text)
{
    struct weft_uuid id;
    if (weft_uuid_parse(&id, text, strlen(text)) == 0)
        return true;
    complain(client->command, "'%s' is no id of a job", text);
    return false;
}

void client_add_query(char **path, const char *name, const char *value)
{
    if (!value)
        return;
    char *escaped = escape(value);
    char *longer =
        text_of_format("%s%c%s=%s", *path, strchr(*path, '?') ? '&' : '?', name, escaped);
    free(escaped);
    free(*path);
    *path = longer;
}

/* ---- for people -------------------------------------------------------------------------- */

/* Of one line that a terminal does not obey: no control characters, neither ASCII's nor C1. */
static char *tame(char *text)
{
    for (char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at, next = (unsigned char)at[1];
        if (c < ' ' || c == 0x7f) {
            *at = ' ';
        } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
            *at++ = ' ';
            *at = ' ';
        }
    }
    return text;
}

/* Whole numbers look like some, however they were parsed. */
static char *value_text(const json_t *value)
{
    double number = json_number_value(value);
    if (!value)
        return need(strdup(""));
    if (json_is_string(value))
        return tame(need(strdup(json_string_value(value))));
    if (json_is_real(value) && fabs(number) < WHOLE_MAX && floor(number) == number)
        return text_of_format("%.0f", number);
    return tame(need(json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))));
}

char *member_text(const json_t *object, const char *name)
{
    return value_text(json_object_get(object, name));
}

char *member_time(const json_t *object, const char *name)
{
    char *text = member_text(object, name);
    if (strlen(text) < strlen("2026-11-21T10:00:00") || text[10] != 'T') {
        free(text);
        return need(strdup("-"));
    }
    text[10] = ' ';
    text[strlen("2026-11-21T10:00:00")] = '\0';
    return text;
}

long long member_count(const json_t *object, const char *name)
{
    return llround(json_number_value(json_object_get(object, name)));
}

/* JSON without the spaces between its parts. */
static char *compact(const char *raw, size_t len)
{
    char *text = need(malloc(len + 1)), *to = text;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (raw[i] == '"')
            quoted = !quoted;
        if (quoted || !isspace((unsigned char)raw[i]))
            *to++ = raw[i];
        if (quoted && raw[i] == '\\' && i + 1 < len)
            *to++ = raw[++i];
    }
    *to = '\0';
    return text;
}

char *answer_member(const struct answer *answer, const char *name)
{
    const char *raw;
    size_t len;
    if (weft_json_find(answer->body, answer->len, name, &raw, &len) < 0)
        return NULL;
    return compact(raw, len);
}

void print_raw(const struct answer *answer)
{
    if (answer->len > 0)
        (void)printf("%s\n", answer->body);
}

/* A list of objects: one in each line. */
static void print_list(int width, const char *name, const struct weft_json_member *list)
{
    const char *at = list->raw, *raw;
    size_t len;
    while (weft_json_next_element(&at, list->raw + list->len, &raw, &len) > 0) {
        char *text = tame(compact(raw, len));
        (void)printf("%-*s  %s\n", width, name, text);
        free(text);
        name = "";
    }
}

static bool is_list_of_objects(const json_t *value)
{
    return json_is_object(json_array_get(value, 0));
}

/* Strings as they are meant, all else as it was written. */
static void print_member(int width, const char *name, const json_t *value,
                         const struct weft_json_member *member)
{
    if (is_list_of_objects(value)) {
        print_list(width, name, member);
        return;
    }
    char *text =
        json_is_string(value) ? value_text(value) : tame(compact(member->raw, member->len));
    (void)printf("%-*s  %s\n", width, name, text);
    free(text);
}

void print_object(const struct answer *answer)
{
    struct weft_json_member member;
    const char *end = answer->body + answer->len;
    int width = 0;
    for (const char *at = answer->body; weft_json_next_member(&at, end, &member) > 0;)
        width = (int)member.name_len > width ? (int)member.name_len : width;
    for (const char *at = answer->body; weft_json_next_member(&at, end, &member) > 0;) {
        char *name = tame(need(strndup(member.name, member.name_len)));
        print_member(width, name, json_object_get(answer->root, name), &member);
        free(name);
    }
}

int client_tell(const struct client_call *call, int status, struct answer *answer)
{
    if (status == EXIT_OK && call->json)
        print_raw(answer);
    else if (status == EXIT_OK)
        print_object(answer);
    answer_release(answer);
    return status;
}
