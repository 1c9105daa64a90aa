/* SPDX-License-Identifier: MIT
 * api.c - see api.h: who is let in, what becomes of errors, health, and the table of routes. */
#include <serve/api.h>

#include <serve/api_json.h>
#include <serve/log.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

/* One line in the log when storing begins to fail, one when it works again. */
void weft_api_note_store(struct weft_api *api, int err)
{
    bool failing = err == -ENOSPC || err == -EIO || err == -EROFS || err == WEFT_ECORRUPT;
    if (err && !failing)
        return; /* says nothing about the disk */
    int now = failing ? err : 0;
    if (now == api->store_err)
        return;
    api->store_err = now;
    if (now)
        weft_serve_log(api->options, "error", "store_failing", weft_strerror(now));
    else
        weft_serve_log(api->options, "info", "store_recovered", NULL);
}

void weft_api_refuse_job(struct weft_http_exchange *exchange, int err)
{
    switch (err) {
    case WEFT_EFULL:
        weft_api_reply_busy(exchange, "1", "every worker queue is full");
        break;
    case -ENOSPC:
        weft_api_reply_busy(exchange, "5", "the disk is full: the request was not accepted");
        break;
    case -EIO:
        weft_api_reply_busy(
            exchange, "5",
            "the database cannot be written: the disk fails, or the file was removed or "
            "replaced");
        break;
    case -EBUSY:
        weft_api_reply_busy(exchange, "1", "another program writes to the database");
        break;
    case -ESHUTDOWN:
        weft_api_reply_busy(exchange, "5", "the server is stopping");
        break;
    case -EMSGSIZE:
        weft_http_reply_error(exchange, 413, "the body is too large");
        break;
    default:
        weft_api_reply_busy(exchange, "5", weft_strerror(err));
        break;
    }
}

/* --- health: without a token, so that a probe needs none --- */

static void reply_status(struct weft_http_exchange *exchange, const char *status)
{
    struct weft_buffer body;
    weft_buffer_init(&body, WEFT_API_REPLY_MAX);
    weft_buffer_append_char(&body, '{');
    weft_api_text(&body, "status", status);
    weft_buffer_append_char(&body, '}');
    weft_api_reply(exchange, &body);
}

static void get_healthz(struct weft_http_exchange *exchange, void *context)
{
    (void)context;
    reply_status(exchange, "ok");
}

/* Whoever is told that the service is not ready sends no jobs: without a row of our own, nobody
 * would notice that storing works again. */
static void probe_store(struct weft_api *api)
{
    struct weft_queue_metrics metrics = weft_api_metrics(api);
    weft_api_note_store(api, api->broker->ops->record(api->broker, &metrics));
}

static void get_readyz(struct weft_http_exchange *exchange, void *context)
{
    struct weft_api *api = context;
    if (api->store_err && !api->draining)
        probe_store(api);
    if (api->draining)
        weft_api_reply_busy(exchange, "5", "the server is stopping");
    else if (api->store_err)
        weft_api_reply_busy(exchange, "5", weft_strerror(api->store_err));
    else
        reply_status(exchange, "ready");
}

/* --- who comes in, decided before a body is read --- */

static bool is_json_type(const char *type)
{
    size_t len = strcspn(type, ";");
    while (len > 0 && (type[len - 1] == ' ' || type[len - 1] == '\t'))
        len--;
    return (len == 16 && strncasecmp(type, "application/json", 16) == 0) ||
           (len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0);
}

/* Whether the head promises a body that can be read; answer when not. */
static bool check_type(struct weft_http_exchange *exchange)
{
    const char *type = weft_http_header(exchange, "Content-Type");
    if (type && !is_json_type(type)) {
        weft_http_reply_error(exchange, 415, "the body must be application/json");
        return false;
    }
    const char *encoding = weft_http_header(exchange, "Content-Encoding");
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        weft_http_reply_error(exchange, 415, "the body must not be compressed");
        return false;
    }
    return true;
}

static bool check_token(struct weft_http_exchange *exchange, const struct weft_api *api)
{
    const char *token = api->settings->token;
    if (!token[0] || weft_serve_token_matches(token, weft_http_header(exchange, "Authorization")))
        return true;
    weft_http_reply_header(exchange, "WWW-Authenticate", "Bearer");
    weft_http_reply_error(exchange, 401, "a bearer token is needed, and it must be the right one");
    return false;
}

int weft_api_admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                   void *context)
{
    bool open = route->handler == get_healthz || route->handler == get_readyz;
    if (!open && !check_token(exchange, context))
        return false;
    return strcmp(route->method, "POST") != 0 || check_type(exchange);
}

/* A route with the handler's file: api_process.c has the seed's. */
const struct weft_http_route weft_api_routes[] = {
    {.method = "POST", .pattern = "/process", .handler = weft_api_post_process},
    {.method = "GET", .pattern = "/status/{id:uuid}", .handler = weft_api_get_status},
    {.method = "GET", .pattern = "/queue-status", .handler = weft_api_get_queue_status},
    {.method = "GET", .pattern = "/database/stats", .handler = weft_api_get_database_stats},
    {.method = "GET", .pattern = "/thread-efficiency", .handler = weft_api_get_thread_efficiency},
    {.method = "GET", .pattern = "/healthz", .handler = get_healthz},
    {.method = "GET", .pattern = "/readyz", .handler = get_readyz},
};
const size_t weft_api_routes_count = sizeof weft_api_routes / sizeof *weft_api_routes;
