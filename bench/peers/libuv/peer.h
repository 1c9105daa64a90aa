/* SPDX-License-Identifier: MIT
 * peer.h - the parts of the libuv peer. */
#ifndef WEFT_BENCH_PEERS_LIBUV_PEER_H
#define WEFT_BENCH_PEERS_LIBUV_PEER_H

#include <stdint.h>

/* End the program when a step went wrong: a figure for a failure is worse than none. */
void peer_require(int ok, const char *what);

/* Two threads with a loop each wake each other ops times in all; nanoseconds (wake.c). */
uint64_t peer_wake(uint64_t ops, int busy);

/* The echo server: prints its port, serves until killed (echo.c). */
void peer_echo(void);

#endif
