/* 29_http_stream.c - a body that is sent while it is made, and one that is read while it comes.
 * The server is this program's own and says a number a second; the clock is virtual.
 *
 * Run it:  build/release/examples/example-29_http_stream */
#include <weft/weft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct weft_http_client *client;
static uint16_t port;

/* ---- the server --------------------------------------------------------------------------- */

static void count_to(struct weft_http_exchange *exchange, void *context)
{
    int last = atoi(weft_http_param(exchange, "n"));
    (void)context;
    int err = weft_http_stream_begin(exchange, 200, "text/plain");
    for (int i = 1; err == 0 && i <= last; i++) {
        char line[16];
        int len = snprintf(line, sizeof line, "%d\n", i);
        err = weft_http_stream_write(exchange, line, (size_t)len);
        err = err < 0 ? err : weft_sleep(WEFT_SEC);
    }
    weft_http_stream_end(exchange);
}

static void add_up(struct weft_http_exchange *exchange, void *context)
{
    size_t len;
    const char *body = weft_http_body(exchange, &len);
    char text[32];
    long sum = 0;
    (void)context;
    for (char *end = NULL; end != body;) { /* one number after the other */
        body = end ? end : body;
        sum += strtol(body, &end, 10);
    }
    int text_len = snprintf(text, sizeof text, "%ld", sum);
    weft_http_reply(exchange, 200, "text/plain", text, (size_t)text_len);
}

static int serve(void *server)
{
    return weft_http_server_run(server);
}

/* ---- the client --------------------------------------------------------------------------- */

static const char *url_of(const char *path)
{
    static char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    return url;
}

static int64_t begun_ns;

static void say(const char *what, const char *text, size_t len)
{
    printf("%2d s  %s %.*s\n", (int)((weft_now() - begun_ns) / WEFT_SEC), what, (int)len, text);
}

/* The status is known before the first byte of the body is taken. */
static int on_head(void *context, const struct weft_http_response *response)
{
    const char *type = weft_http_response_field(response, "Content-Type");
    (void)context;
    say("head", type, strlen(type));
    return response->status == 200 ? 0 : -1;
}

static int on_line(void *context, const void *bytes, size_t len)
{
    (void)context;
    say("got", bytes, len - 1);
    return weft_sleep(WEFT_SEC / 2); /* meanwhile the server is held back, if it is that quick */
}

/* Makes a line a second, until there are no more. */
static ssize_t make_line(void *context, void *bytes, size_t size)
{
    int *left = context;
    if (*left == 0)
        return 0;
    int err = weft_sleep(WEFT_SEC);
    int len = snprintf(bytes, size, "%d\n", (*left)--);
    say("give", bytes, (size_t)len - 1);
    return err < 0 ? err : len;
}

static void read_while_it_comes(void)
{
    struct weft_http_response response;
    const struct weft_http_request request = {
        .url = url_of("/count/3"), .on_head = on_head, .on_body = on_line};
    int err = weft_http_send(client, &request, &response, WEFT_FOREVER);
    printf("%s, %d bytes\n", err < 0 ? response.error : "all of it", (int)response.body_bytes);
    weft_http_response_release(&response);
}

static void send_while_it_is_made(void)
{
    struct weft_http_response response;
    int lines = 4;
    const struct weft_http_request request = {
        .url = url_of("/sum"), .on_read = make_line, .on_read_context = &lines};
    int err = weft_http_send(client, &request, &response, WEFT_FOREVER);
    printf("the sum is %s\n", err < 0 ? response.error : response.body);
    weft_http_response_release(&response);
}

static int start(void *arg)
{
    static const struct weft_http_route routes[] = {{"GET", "/count/{n:int}", count_to},
                                                    {"POST", "/sum", add_up}};
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
    err = weft_http_client_open(&client, NULL);
    if (err == 0) {
        begun_ns = weft_now();
        read_while_it_comes();
        send_while_it_is_made();
    }
    weft_http_client_close(client);
    weft_group_close(&group); /* the server as well */
    weft_http_server_close(server);
    return err;
}

int main(void)
{
    return weft_run(&(struct weft_run_options){.clock = WEFT_CLOCK_VIRTUAL}, start, NULL) < 0;
}
