/* 03_echo.c - a TCP echo server, a fiber per connection; a client in the same process tries it.
 *
 * Run it:  build/release/examples/example-03_echo [--serve PORT]    serves until it is killed */
#include <weft/weft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int echo(int fd, void *arg)
{
    char buffer[2048];
    ssize_t len;
    int err = 0;
    (void)arg;
    while (err == 0 && (len = weft_read(fd, buffer, sizeof buffer, WEFT_FOREVER)) > 0)
        err = weft_write_all(fd, buffer, (size_t)len, weft_now() + 10 * WEFT_SEC, NULL);
    return err;
}

static int serve(void *port)
{
    return weft_tcp_serve("127.0.0.1", *(uint16_t *)port, NULL, echo, NULL);
}

static int talk(int port)
{
    char answer[12] = "";
    int fd = weft_tcp_connect("127.0.0.1", (uint16_t)port, weft_now() + 5 * WEFT_SEC);
    if (fd < 0)
        return fd;
    int err = weft_write_all(fd, "hello, echo", 11, WEFT_FOREVER, NULL);
    if (err == 0)
        err = weft_read_all(fd, answer, 11, weft_now() + 5 * WEFT_SEC, NULL);
    weft_close(fd);
    printf("sent \"hello, echo\", got \"%s\"\n", answer);
    return err;
}

static int start(void *port)
{
    struct weft_group servers;
    weft_group_init(&servers, NULL);
    int err = weft_spawn_started(&servers, serve, port, NULL, WEFT_FOREVER);
    if (err >= 0 && *(uint16_t *)port == 0) {
        err = talk(err); /* a server that has started says which port it got */
        weft_group_cancel(&servers, 0);
    }
    int servers_err = weft_group_wait(&servers);
    return err < 0 ? err : servers_err;
}

int main(int argc, char **argv)
{
    uint16_t port = 0; /* a free one */
    if (argc == 3 && strcmp(argv[1], "--serve") == 0)
        port = (uint16_t)atoi(argv[2]);
    int err = weft_run(NULL, start, &port);
    if (err < 0)
        fprintf(stderr, "echo: %s\n", weft_strerror(err));
    return err < 0;
}
