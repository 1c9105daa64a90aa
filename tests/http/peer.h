/* SPDX-License-Identifier: MIT
 * peer.h - servers that other people wrote, for tests of the HTTP client, and certificates for
 * them. What is not installed is skipped. */
#ifndef WEFT_TESTS_HTTP_PEER_H
#define WEFT_TESTS_HTTP_PEER_H

#include <weft/process.h>

#include <stdbool.h>
#include <stdint.h>

#define PEER_PATIENCE (60 * WEFT_SEC) /* for programs to start and end */

struct peer {
    struct weft_process *process;
    uint16_t port;
};

/* Start a program that says its port on a line by itself. False: the test is skipped. */
bool peer_open(struct peer *peer, const char *const *command);

/* Start a program that listens on peer->port of 127.0.0.1, and wait until it does. False: the test
 * is skipped. */
bool peer_open_on_port(struct peer *peer, const char *const *command);

void peer_close(struct peer *peer);

/* A port that nobody listens on. */
uint16_t unused_port(void);

/* Run it. Returns its exit code, or a negative error. */
int run_to_the_end(const char *const *command);

/* Files, made once by each program with openssl: an authority, a server's certificate by it for
 * 127.0.0.1, one that has expired, one that the server has made for itself; and keys. */
extern char authority[96], certificate[96], key[96], expired[96], self_signed[96], own_key[96];

/* False: the test is skipped. */
bool certificates_are_made(void);

#endif
