/* 25_http_client.c - ten requests on two connections, a redirect, and a server that is too slow.
 * The server is this program's own, and takes a second for each; the clock is virtual.
 *
 * Run it:  build/release/examples/example-25_http_client */
#include <weft/weft.h>

#include <stdio.h>
#include <stdlib.h>

static struct weft_http_client *client;
static uint16_t port;

static void say_square(struct weft_http_exchange *exchange, void *context)
{
    char text[32];
    int n = atoi(weft_http_param(exchange, "n"));
    int len = snprintf(text, sizeof text, "%d", n * n), err = weft_sleep(WEFT_SEC);
    (void)context;
    weft_http_reply(exchange, err < 0 ? 500 : 200, "text/plain", text, (size_t)len);
}

static void say_elsewhere(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    weft_http_reply_header(exchange, "Location", "/square/12");
    weft_http_reply(exchange, 302, NULL, NULL, 0);
}

static int serve(void *server)
{
    return weft_http_server_run(server);
}

/* Returns the number that the server says. */
static int ask(const char *path, int64_t patience_ns)
{
    struct weft_http_response response;
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    const struct weft_http_request request = {.url = url};
    int err = weft_http_send(client, &request, &response, weft_now() + patience_ns);
    int answer = err < 0 ? err : atoi(response.body);
    if (err < 0)
        printf("%s: %s\n", path, response.error);
    weft_http_response_release(&response);
    return answer;
}

static int ask_for_square(void *number)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/square/%d", *(int *)number);
    return *(int *)number = ask(path, 60 * WEFT_SEC);
}

static int ask_all(void)
{
    int numbers[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, err;
    int64_t begun_ns = weft_now();
    struct weft_group group;
    weft_group_init(&group, NULL);
    for (int i = 0; i < 10; i++)
        weft_spawn(&group, ask_for_square, &numbers[i]);
    err = weft_group_wait(&group);
    for (int i = 0; i < 10; i++)
        printf("%d ", numbers[i]);
    printf("after %d s\n", (int)((weft_now() - begun_ns) / WEFT_SEC));
    printf("elsewhere: %d\n", ask("/elsewhere", 60 * WEFT_SEC));
    printf("in half a second: %s\n", weft_strerror(ask("/square/3", WEFT_SEC / 2)));
    return err;
}

static int start(void *arg)
{
    static const struct weft_http_route routes[] = {{"GET", "/square/{n:int}", say_square},
                                                    {"GET", "/elsewhere", say_elsewhere}};
    struct weft_http_client_options few = {.connections_max = 2, .redirects_max = 3};
    struct weft_http_server_options serving = {.routes = routes, .routes_count = 2};
    struct weft_http_server *server;
    struct weft_group group;
    (void)arg;
    int err = weft_http_server_open(&server, &serving);
    if (err < 0)
        return err;
    port = weft_http_server_port(server);
    weft_group_init(&group, NULL);
    weft_spawn(&group, serve, server);
    err = weft_http_client_open(&client, &few);
    if (err == 0)
        err = ask_all();
    weft_http_client_close(client);
    weft_group_close(&group); /* the server as well */
    weft_http_server_close(server);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
