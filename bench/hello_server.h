/* SPDX-License-Identifier: MIT
 * hello_server.h - an HTTP server in a thread of its own that says hello, for those who measure
 * clients. */
#ifndef WEFT_BENCH_HELLO_SERVER_H
#define WEFT_BENCH_HELLO_SERVER_H

#include <weft/http_server.h>

#include <pthread.h>
#include <semaphore.h>

struct hello_server {
    struct weft_http_server *server;
    pthread_t thread;
    sem_t ready;
    int stop[2]; /* a pipe: closing the writing end stops the server */
    uint16_t port;
    int err;
    char url[64];
};

/* What goes wrong ends the program. */
void hello_server_open(struct hello_server *hello);
void hello_server_close(struct hello_server *hello);

#endif
