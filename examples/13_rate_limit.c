/* 13_rate_limit.c - ask a server that allows 2 requests a second, at most 3 at once: who would wait
 * too long hears so at once, and after a 429 nobody asks for a while. The clock is virtual.
 *
 * Run it:  build/release/examples/example-13_rate_limit */
#include <weft/weft.h>

#include <stdio.h>

#define PATIENCE_NS (2 * WEFT_SEC)

struct client {
    struct weft_limiter *limiter;
    int64_t started_at_ns;
};

struct request {
    struct client *client;
    int number;
};

static int ask(void *arg)
{
    const struct request *request = arg;
    const struct client *client = request->client;
    int err = weft_limiter_acquire(client->limiter, 1, weft_now() + PATIENCE_NS);
    double at = (double)(weft_now() - client->started_at_ns) / WEFT_SEC;
    if (err < 0)
        printf("%4.1f s  request %d: %s\n", at, request->number, weft_strerror(err));
    else
        printf("%4.1f s  request %d sent\n", at, request->number);
    return err == WEFT_ELIMIT ? 0 : err;
}

static int ask_all(struct client *client, int first, int last)
{
    struct weft_group group;
    weft_group_init(&group, NULL);
    for (int number = first; number <= last; number++) {
        struct request request = {client, number};
        const struct weft_spawn_options options = {.copy_bytes = sizeof request};
        weft_spawn_with(&group, ask, &request, &options);
    }
    return weft_group_wait(&group);
}

static int start(void *arg)
{
    const struct weft_limiter_options options = {.rate = {.count = 2, .burst = 3}};
    struct client client = {.started_at_ns = weft_now()};
    (void)arg;
    int err = weft_limiter_open(&client.limiter, &options);
    if (err < 0)
        return err;
    err = ask_all(&client, 1, 9);
    if (err == 0)
        err = weft_sleep(10 * WEFT_SEC);
    if (err == 0) { /* the server says 429: what has gathered since is not ours */
        printf("%d permits given up\n", (int)weft_limiter_drain(client.limiter));
        err = ask_all(&client, 10, 11);
    }
    struct weft_limiter_snapshot shot;
    if (err == 0 && weft_limiter_snapshot(client.limiter, &shot) == 0)
        printf("%d granted, %d refused, longest wait %.1f s\n", (int)shot.granted,
               (int)shot.refused, (double)shot.waited_max_ns / WEFT_SEC);
    weft_limiter_close(client.limiter);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
