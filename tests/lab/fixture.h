/* SPDX-License-Identifier: MIT
 * fixture.h - a small server with bad manners: a thread per connection, blocking sockets. It runs
 * beside weft_load, which has the test's own thread. */
#ifndef WEFT_TESTS_LAB_FIXTURE_H
#define WEFT_TESTS_LAB_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define FIXTURE_CONNECTIONS_MAX 512
#define FIXTURE_REQUEST_BYTES   4096

struct fixture;

/* One whole request. text is NUL-terminated; number counts all requests from 0. Returns whether
 * the connection stays open. */
typedef bool (*fixture_answer)(struct fixture *fixture, int fd, unsigned number, const char *text);

struct fixture_connection {
    struct fixture *fixture;
    int fd;
    pthread_t thread;
};

struct fixture {
    fixture_answer answer;
    unsigned accepts_max; /* stop listening after so many connections; 0 means never */
    int fd;
    unsigned short port;
    char url[64]; /* "http://127.0.0.1:port/" */
    pthread_t thread;
    atomic_uint requests, connections;
    atomic_bool heads_only; /* answer before the body has come; set before the first connection */
    atomic_bool stopping;
    struct fixture_connection accepted[FIXTURE_CONNECTIONS_MAX];
};

/* Listen and serve. accepts_max as in the struct. */
void fixture_start(struct fixture *fixture, fixture_answer answer, unsigned accepts_max);

/* Cut every connection and wait for the threads. */
void fixture_stop(struct fixture *fixture);

/* Send a string; false when the client is gone. */
bool fixture_send(int fd, const char *text);

/* Break the connection off with RST; the descriptor stays. */
void fixture_reset(int fd);

/* A port on which nobody listens. */
unsigned short fixture_free_port(void);

#endif
