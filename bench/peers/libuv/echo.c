/* SPDX-License-Identifier: MIT
 * echo.c - the echo server on callbacks. Writes at once where the socket takes it, as libuv
 * advises; only what is left over is queued. */
#include "peer.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BACKLOG 4096

struct left_over {
    uv_write_t request;
    char bytes[];
};

/* One buffer for all: it is empty again when the callback returns. */
static char buffer[1024];

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    (void)handle, (void)suggested;
    *ret_buffer = uv_buf_init(buffer, sizeof buffer);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void wrote(uv_write_t *request, int status)
{
    (void)status; /* a failed write is followed by a failed read */
    free(request);
}

static void queue_write(uv_stream_t *stream, const char *bytes, size_t len)
{
    struct left_over *left = malloc(sizeof *left + len);
    peer_require(left != NULL, "malloc");
    memcpy(left->bytes, bytes, len);
    uv_buf_t data = uv_buf_init(left->bytes, (unsigned)len);
    if (uv_write(&left->request, stream, &data, 1, wrote) < 0)
        free(left);
}

static void received(uv_stream_t *stream, ssize_t count, const uv_buf_t *data)
{
    if (count == 0)
        return;
    if (count < 0) {
        uv_close((uv_handle_t *)stream, free_handle);
        return;
    }
    uv_buf_t answer = uv_buf_init(data->base, (unsigned)count);
    int written = uv_try_write(stream, &answer, 1);
    if (written < 0)
        written = 0;
    if (written < count)
        queue_write(stream, data->base + written, (size_t)(count - written));
}

static void connected(uv_stream_t *listener, int status)
{
    peer_require(status == 0, "accepting");
    uv_tcp_t *peer = malloc(sizeof *peer);
    peer_require(peer != NULL && uv_tcp_init(listener->loop, peer) == 0 &&
                     uv_accept(listener, (uv_stream_t *)peer) == 0 &&
                     uv_tcp_nodelay(peer, 1) == 0 &&
                     uv_read_start((uv_stream_t *)peer, lend_buffer, received) == 0,
                 "uv_accept");
}

void peer_echo(void)
{
    uv_loop_t loop;
    uv_tcp_t listener;
    struct sockaddr_in address;
    int len = sizeof address;
    peer_require(uv_loop_init(&loop) == 0 && uv_ip4_addr("127.0.0.1", 0, &address) == 0 &&
                     uv_tcp_init(&loop, &listener) == 0 &&
                     uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0) == 0 &&
                     uv_listen((uv_stream_t *)&listener, BACKLOG, connected) == 0 &&
                     uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len) == 0,
                 "uv_listen");
    printf("%d\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
}
