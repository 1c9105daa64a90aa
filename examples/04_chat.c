/* 04_chat.c - a chat server: the fiber of each member sends what it reads into a channel, and a
 * broadcaster writes what comes out to everybody. Three members in the same process try it.
 * Run it:  build/release/examples/example-04_chat [--serve PORT]    then: nc 127.0.0.1 PORT */
#include <weft/weft.h>

#include <stdio.h>
#include <stdlib.h>

#define MEMBERS_MAX 100

struct text {
    ssize_t len;
    char bytes[120];
};
static struct weft_channel said; /* of struct text */
static int members[MEMBERS_MAX]; /* descriptors; 0: a free place */

static int chat(int fd, void *arg)
{
    struct text text;
    int *place = members;
    (void)arg;
    while (*place)
        place++;
    *place = fd;
    while ((text.len = weft_read(fd, text.bytes, sizeof text.bytes, WEFT_FOREVER)) > 0)
        weft_send(&said, &text, WEFT_FOREVER);
    if (*place == fd)
        *place = 0;
    return 0;
}

static int serve(void *port)
{
    struct weft_tcp_server_options options = {.connections_max = MEMBERS_MAX};
    return weft_tcp_serve("127.0.0.1", *(uint16_t *)port, &options, chat, NULL);
}

static int try_it(void *bound)
{
    char text[6];
    int fds[3], port = *(int *)bound;
    for (int i = 0; i < 3; i++) {
        fds[i] = weft_tcp_connect("127.0.0.1", (uint16_t)port, WEFT_FOREVER);
        weft_write_all(fds[i], "hello\n", 6, WEFT_FOREVER, NULL);
        for (int j = 0; j <= i; j++)
            if (weft_read_all(fds[j], text, 6, WEFT_FOREVER, NULL) == 0)
                printf("member %d reads: %.6s", j + 1, text);
    }
    for (int i = 0; i < 3; i++)
        weft_close(fds[i]);
    return weft_channel_close(&said, 0); /* the broadcaster ends */
}

static int broadcast(void *port)
{
    struct weft_group group;
    struct text text;
    weft_group_init(&group, NULL);
    int bound = weft_spawn_started(&group, serve, port, NULL, WEFT_FOREVER);
    if (bound >= 0 && *(uint16_t *)port == 0)
        weft_spawn(&group, try_it, &bound);
    while (bound >= 0 && weft_receive(&said, &text, WEFT_FOREVER) == 0)
        for (int i = 0; i < MEMBERS_MAX; i++)
            if (members[i] && weft_write_all(members[i], text.bytes, (size_t)text.len,
                                             weft_now() + WEFT_SEC, NULL) < 0)
                members[i] = 0; /* too slow, or gone: it is told no more */
    weft_group_close(&group);
    return bound;
}

int main(int argc, char **argv)
{
    uint16_t port = argc > 2 ? (uint16_t)atoi(argv[2]) : 0;
    int err = weft_channel_init(&said, sizeof(struct text), 16);
    err = err < 0 ? err : weft_run(NULL, broadcast, &port);
    weft_channel_deinit(&said);
    return err < 0;
}
