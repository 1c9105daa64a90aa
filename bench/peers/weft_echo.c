/* SPDX-License-Identifier: MIT
 * weft_echo.c - the echo server of README.md's echo rows: prints its port, serves until killed. */
#include <weft/group.h>
#include <weft/io.h>
#include <weft/net.h>
#include <weft/runtime.h>

#include <stdint.h>
#include <stdio.h>

static int echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[1024];
    ssize_t count;
    while ((count = weft_read(fd, buffer, sizeof buffer, WEFT_FOREVER)) > 0) {
        if (weft_write_all(fd, buffer, (size_t)count, WEFT_FOREVER, NULL) < 0)
            break;
    }
    (void)weft_close(fd);
    return 0;
}

static int serve(void *arg)
{
    (void)arg;
    struct weft_group group;
    int listener = weft_tcp_listen("127.0.0.1", 0, NULL);
    if (listener < 0)
        return listener;
    printf("%d\n", weft_tcp_port(listener));
    (void)fflush(stdout);
    int err = weft_group_init(&group, NULL);
    while (err >= 0) {
        int fd = weft_tcp_accept(listener, WEFT_FOREVER);
        err = fd < 0 ? fd : weft_spawn(&group, echo, (void *)(intptr_t)fd);
    }
    weft_group_close(&group);
    (void)weft_close(listener);
    return err;
}

int main(void)
{
    int err = weft_run(NULL, serve, NULL);
    (void)fprintf(stderr, "weft-echo: %s\n", weft_strerror(err));
    return 1;
}
