/* SPDX-License-Identifier: MIT
 * client.h - what the commands that talk to a weft server have in common. */
#ifndef WEFT_CMD_CLIENT_H
#define WEFT_CMD_CLIENT_H

#include "options.h"

#include <jansson.h>

/* Of every such command, at the beginning of its own struct. */
struct client_flags {
    const char *server, *token_file, *ca_file;
    bool json; /* print what the server says; a worker has nothing to print */
};

#define CLIENT_SERVER "http://127.0.0.1:8001"

/* The same in its table of options. */
// clang-format off
#define CLIENT_OPTIONS(type, member)                                                               \
    {.name = "server", .metavar = "URL", .kind = OPTION_STRING,                                    \
     .offset = offsetof(type, member.server),                                                      \
     .help = "the weft server (default " CLIENT_SERVER ")"},                                       \
    {.name = "token-file", .metavar = "FILE", .kind = OPTION_STRING,                               \
     .offset = offsetof(type, member.token_file),                                                  \
     .help = "send the bearer token that is in this file"},                                        \
    {.name = "ca-file", .metavar = "FILE", .kind = OPTION_STRING,                                  \
     .offset = offsetof(type, member.ca_file),                                                     \
     .help = "authorities for https, PEM (default: the system's)"}
#define CLIENT_JSON(type, member)                                                                  \
    {.name = "json", .kind = OPTION_FLAG, .offset = offsetof(type, member.json),                   \
     .help = "print what the server says"}
// clang-format on

#define CLIENT_ENVIRONMENT "server token-file ca-file json"

struct client {
    const char *command; /* for complaints */
    char *server;        /* without a slash at its end */
    char *token;         /* NULL: none */
    const char *ca_file;
};

/* Check the server's address and read the token. Returns EXIT_OK; EXIT_USAGE, EXIT_FAILED after a
 * sentence. Close it in every case. */
int client_open(struct client *client, const char *command, const struct client_flags *flags);
void client_close(struct client *client);

/* What an action of a command works with. */
struct client_call {
    const struct client *client;
    bool json;
    const void *arguments; /* the command's own struct */
    const char *argument;  /* the action's; NULL: it takes none */
};

/* All of a command that has actions: read what it is told, and run one of them.
 *
 * arguments  the command's own struct, which begins with its struct client_flags
 * Returns    an exit code */
int client_run(const struct command *command, int argc, char **argv, void *arguments);

/* The first token of a file, which is the first word of a line that is no comment.
 * Returns EXIT_OK with *ret_token to be freed; EXIT_FAILED after a sentence */
int client_read_token(const char *command, const char *path, char **ret_token);

/* What to ask for. */
struct question {
    const char *method, *path; /* of the path, names are escaped (client_escape) */
    const char *type;          /* of the body; NULL: JSON */
    const char *body;          /* NULL: none */
    size_t len;
    int64_t wait_ns; /* the server may take so long */
    bool may_refuse; /* a refusal with 409 is an answer like others: nothing is said */
};

struct answer {
    int status;
    char *body; /* ends with a NUL */
    size_t len;
    json_t *root; /* of a body that is JSON; NULL: it is not, or empty */
};

/* Ask. Returns EXIT_OK (the server has done it); EXIT_FAILED after a sentence why not. Release the
 * answer in every case. */
int client_ask(const struct client *client, const struct question *question, struct answer *answer);
void answer_release(struct answer *answer);

/* A path of several parts, each escaped but the first; to be freed. Ends the program when there is
 * no memory. */
char *client_path(const char *first, const char *second, const char *third);

/* Whether a text can be a job's id; else a sentence says that it is none. */
bool client_check_id(const struct client *client, const char *text);

/* Append "?name=value" or "&name=value" to a path, if there is a value. */
void client_add_query(char **path, const char *name, const char *value);

/* A member of an object as text: strings as they are, else JSON; "" when there is none. To be
 * freed. Control characters become spaces: a terminal may obey them. */
char *member_text(const json_t *object, const char *name);

/* A member of what was answered as the server wrote it, without the spaces around and in it: no
 * number loses a digit. NULL: there is none. To be freed. */
char *answer_member(const struct answer *answer, const char *name);

/* A count; 0 where there is none. */
long long member_count(const json_t *object, const char *name);

/* The time of a member, "2026-11-21 10:00:00" in UTC, or "-". To be freed. */
char *member_time(const json_t *object, const char *name);

/* Print an answer that is an object for people, a member in each line. */
void print_object(const struct answer *answer);

/* Print the body as it came. */
void print_raw(const struct answer *answer);

/* The one or the other, when there was an answer; releases it. Returns status. */
int client_tell(const struct client_call *call, int status, struct answer *answer);

/* ---- tables ------------------------------------------------------------------------------ */

#define TABLE_COLUMNS_MAX 12

struct table {
    size_t columns, rows, capacity;
    char **cells; /* row by row, the heads first */
};

/* Heads separated by commas, the last one may be empty; a table without rows prints nothing. */
void table_init(struct table *table, const char *heads);

/* Fill the next cell with text, which is freed with the table. */
void table_add(struct table *table, char *text);
void table_print(const struct table *table);
void table_release(struct table *table);

/* Memory for a few strings is there, or the program ends. */
void *need(void *memory);
__attribute__((format(printf, 1, 2))) char *text_of_format(const char *format, ...);

#endif
