/* SPDX-License-Identifier: MIT
 * api.c - see api.h: who is let in, what becomes of errors, health, and the table of routes. */
#include <serve/api.h>

#include <serve/api_json.h>
#include <serve/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

static const struct refusal {
    int err, status;
    const char *retry_after_s, *detail;
} refusals[] = {
    {WEFT_EFULL, 503, "1", "the queue is full"},
    {-ENOSPC, 503, "5", "the disk is full: the request was not accepted"},
    {-EIO, 503, "5",
     "the database cannot be written: the disk fails, or the file was removed or replaced"},
    {-EBUSY, 503, "1", "another program writes to the database"},
    {-ESHUTDOWN, 503, "5", "the server is stopping"},
    {-ENOMEM, 503, "5", "the server has no memory left for this"},
    {-EMSGSIZE, 413, NULL, "the job is too large"},
    {-EINVAL, 422, NULL, "the job is not valid"},
    {-ENOENT, 422, NULL, "it comes after a job that is not known"},
    {-ENOBUFS, 422, NULL, "there are too many different queues or tasks"},
    {-ECANCELED, 409, NULL, "not put in, because another one of the request was refused"},
    {WEFT_EDUPLICATE, 409, NULL, "a job that counts as the same is there already"},
};

static const struct refusal *refusal_of(int err)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].err == err)
            return &refusals[i];
    return NULL;
}

int weft_api_status_of(int err)
{
    const struct refusal *refusal = refusal_of(err);
    return refusal ? refusal->status : 503;
}

const char *weft_api_detail_of(int err)
{
    const struct refusal *refusal = refusal_of(err);
    return refusal ? refusal->detail : weft_strerror(err);
}

void weft_api_refuse_job(struct weft_http_exchange *exchange, int err)
{
    const struct refusal *refusal = refusal_of(err);
    if (refusal && !refusal->retry_after_s)
        weft_http_reply_error(exchange, refusal->status, refusal->detail);
    else
        weft_api_reply_busy(exchange, refusal ? refusal->retry_after_s : "5",
                            weft_api_detail_of(err));
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
           (len == 20 && strncasecmp(type, "application/x-ndjson", 20) == 0) ||
           (len == 18 && strncasecmp(type, "application/ndjson", 18) == 0) ||
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

static const struct weft_token *token_of(const struct weft_api *api,
                                         const struct weft_http_exchange *exchange)
{
    return weft_tokens_find(&api->settings->tokens, weft_http_header(exchange, "Authorization"));
}

static bool check_token(struct weft_http_exchange *exchange, const struct weft_api *api,
                        unsigned may)
{
    if (may == 0 || api->settings->tokens.count == 0)
        return true;
    const struct weft_token *token = token_of(api, exchange);
    if (token && (token->may & may) == may)
        return true;
    char detail[96];
    if (!token) {
        weft_http_reply_header(exchange, "WWW-Authenticate", "Bearer");
        weft_http_reply_error(exchange, 401,
                              "a bearer token is needed, and it must be the right one");
        return false;
    }
    (void)snprintf(detail, sizeof detail, "this token lacks the scope \"%s\"",
                   weft_may_name((enum weft_may)may));
    weft_http_reply_error(exchange, 403, detail);
    return false;
}

int weft_api_admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                   void *context)
{
    const struct weft_api *api = context;
    if (!check_token(exchange, api, api->may[route - api->routes]))
        return false;
    bool has_body = strcmp(route->method, "GET") != 0 && strcmp(route->method, "DELETE") != 0;
    return !has_body || check_type(exchange);
}

const char *weft_api_who(const struct weft_api *api, const struct weft_http_exchange *exchange)
{
    const struct weft_token *token = token_of(api, exchange);
    return token ? token->name : "local";
}

void weft_api_audit(struct weft_api *api, const struct weft_http_exchange *exchange,
                    const char *action, const char *target, const char *detail)
{
    struct weft_audit_entry entry = {0};
    (void)snprintf(entry.who, sizeof entry.who, "%s", weft_api_who(api, exchange));
    (void)snprintf(entry.action, sizeof entry.action, "%s", action);
    (void)snprintf(entry.target, sizeof entry.target, "%s", target);
    (void)snprintf(entry.detail, sizeof entry.detail, "%s", detail ? detail : "");
    int err = api->broker->ops->audit(api->broker, &entry);
    if (err) {
        char line[512];
        (void)snprintf(line, sizeof line, "%s %s %s: %s", entry.who, action, target,
                       weft_strerror(err));
        weft_serve_log(api->options, "error", "audit_failed", line);
    }
}

/* Whether word stands in a list of words between spaces. */
static bool is_in(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(list, word); at && len > 0; at = strstr(at + 1, word))
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

bool weft_api_check_query(struct weft_http_exchange *exchange, const char *known)
{
    const char *name, *value;
    size_t position = 0;
    while (weft_http_query_next(exchange, &position, &name, &value) > 0) {
        if (is_in(known, name))
            continue;
        char detail[160];
        (void)snprintf(detail, sizeof detail, "there is no parameter \"%.64s\" here", name);
        weft_http_reply_error(exchange, 422, detail);
        return false;
    }
    return true;
}

bool weft_api_query_count(struct weft_http_exchange *exchange, const char *name,
                          uint64_t *ret_value, uint64_t max)
{
    const char *text = weft_http_query(exchange, name);
    if (!text)
        return true;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && value >= 1 && value <= max) {
        *ret_value = value;
        return true;
    }
    char detail[120];
    (void)snprintf(detail, sizeof detail, "the parameter \"%s\" must be a number from 1 to %llu",
                   name, (unsigned long long)max);
    weft_http_reply_error(exchange, 422, detail);
    return false;
}

bool weft_api_query_bool(struct weft_http_exchange *exchange, const char *name, bool *ret_value)
{
    const char *text = weft_http_query(exchange, name);
    if (!text)
        return true;
    bool yes = !*text || strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    bool no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
    *ret_value = yes;
    if (yes || no)
        return true;
    char detail[96];
    (void)snprintf(detail, sizeof detail, "the parameter \"%s\" must be true or false", name);
    weft_http_reply_error(exchange, 422, detail);
    return false;
}

/* --- routes --- */

static const struct weft_api_route health_routes[] = {
    {{.method = "GET", .pattern = "/healthz", .handler = get_healthz}, 0},
    {{.method = "GET", .pattern = "/readyz", .handler = get_readyz}, 0},
    {{0}, 0},
};

static const struct weft_api_route *const tables[] = {
    health_routes,        weft_api_process_routes, weft_api_job_routes,   weft_api_queue_routes,
    weft_api_work_routes, weft_api_cron_routes,    weft_api_event_routes, weft_api_metrics_routes,
};

int weft_api_init(struct weft_api *api)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct weft_api_route *route = tables[i]; route->http.method; route++)
            count++;
    api->routes = calloc(count, sizeof *api->routes);
    api->may = calloc(count, sizeof *api->may);
    if (!api->routes || !api->may)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const struct weft_api_route *route = tables[i]; route->http.method; route++) {
            api->routes[api->routes_count] = route->http;
            api->may[api->routes_count++] = route->may;
        }
    }
    return 0;
}

void weft_api_release(struct weft_api *api)
{
    free(api->routes);
    free(api->may);
}
