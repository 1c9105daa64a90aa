/* SPDX-License-Identifier: MIT
 * server.h - a weft_serve in a process of its own, and a plain blocking HTTP client for it. */
#ifndef WEFT_TESTS_SERVE_SERVER_H
#define WEFT_TESTS_SERVE_SERVER_H

#include "test.h"

#include <weft/serve.h>

#include <jansson.h>
#include <sys/types.h>

struct server {
    pid_t pid;
    int port;
};

/* Start a server on a free loopback port. Fields that are not set in options get values for
 * tests: no steps' time, a log that says nothing. database is the name of a file in this
 * program's directory. */
void server_start(struct server *server, const char *database,
                  const struct weft_serve_options *options);

/* The same when it is expected to fail: returns weft_serve's result, and the sentence. */
int server_start_fails(const char *database, const struct weft_serve_options *options, char *error,
                       size_t error_bytes);

/* SIGTERM and wait. Returns the exit code, -1 when it was killed by a signal. */
int server_stop(struct server *server);

/* SIGKILL and wait. */
void server_kill(struct server *server);

/* The path of a database by name; static storage. */
const char *server_database(const char *name);

struct reply {
    int status; /* 0: no answer */
    char head[4096];
    char *body; /* NUL-terminated */
    size_t len;
};

/* One request on a connection of its own. headers: complete lines with CRLF, or "". body may be
 * NULL. */
void http_request(const struct server *server, const char *method, const char *path,
                  const char *headers, const char *body, size_t body_len, struct reply *reply);
void http_get(const struct server *server, const char *path, struct reply *reply);
/* POST /process with a JSON content type. */
void http_post(const struct server *server, const char *body, struct reply *reply);
/* Send bytes as they are, read what comes until the other side closes or half a second passes.
 * Returns the status of the first answer, 0 for none. */
int http_raw(const struct server *server, const char *bytes, size_t len);
void reply_free(struct reply *reply);

/* The answer as JSON, which it must be; json_decref it. */
json_t *reply_json(const struct reply *reply);

/* A connected socket with time limits, or -1. */
int server_connect(const struct server *server);

/* Check that object has exactly the keys, a list separated by spaces. */
void check_keys(const json_t *object, const char *keys);

/* Between two looks at something that will come: sleep a little. *until_ms is 0 at first.
 * Returns  false when half a minute is over */
bool look_again(int64_t *until_ms);

/* Poll /status/{id} until it says wanted; false after half a minute. */
bool wait_for_status(const struct server *server, const char *id, const char *wanted);

#endif
