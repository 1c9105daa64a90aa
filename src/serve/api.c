/* SPDX-License-Identifier: MIT
 * api.c - see api.h: who is let in, health, and the table of routes. */
#include <serve/api.h>

#include <serve/api_json.h>
#include <serve/log.h>

#include <base/words.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* A media type without its parameters. */
struct media_type {
    const char *text;
    size_t len;
};

static bool is_type(const struct media_type *type, const char *name)
{
    return type->len == strlen(name) && strncasecmp(type->text, name, type->len) == 0;
}

static bool is_understood(const char *value, bool lines)
{
    struct media_type type = {value, strcspn(value, ";")};
    while (type.len > 0 && (value[type.len - 1] == ' ' || value[type.len - 1] == '\t'))
        type.len--;
    if (is_type(&type, "application/json"))
        return true;
    if (is_type(&type, "application/x-ndjson") || is_type(&type, "application/ndjson"))
        return lines;
    return type.len > 5 && strncasecmp(value + type.len - 5, "+json", 5) == 0;
}

/* Whether the head promises a body that can be read; answer when not. */
static bool check_type(struct weft_http_exchange *exchange, const struct weft_api_route *spec)
{
    const char *type = weft_http_header(exchange, "Content-Type");
    if (type && !is_understood(type, spec->lines)) {
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

/* A host, without its port, that no name server was asked for: an address, or a name of one part or
 * below "localhost". */
static bool is_near(const char *host)
{
    size_t len = host[0] == '[' ? strlen(host) : strcspn(host, ":");
    static const char local[] = ".localhost";
    size_t local_len = sizeof local - 1;
    return host[0] == '[' || !memchr(host, '.', len) || strspn(host, "0123456789.") == len ||
           (len > local_len && strncasecmp(host + len - local_len, local, local_len) == 0);
}

/* Where nobody needs a token, the pages that somebody's browser shows reach us as well as he does.
 * They cannot hide where they come from; and those whose name is given our address do not know it
 * by another. */
static bool check_site(struct weft_http_exchange *exchange, const struct weft_api *api)
{
    const char *origin = weft_http_header(exchange, "Origin");
    const char *host = weft_http_header(exchange, "Host");
    const char *site = origin ? strstr(origin, "://") : NULL;
    const char *detail = NULL;
    if (origin && (!site || !host || strcasecmp(site + 3, host) != 0))
        detail = "pages of another site need a token";
    else if (api->settings->listen.loopback && host && !is_near(host))
        detail = "without a token the host must be an address or localhost";
    if (detail)
        weft_http_reply_error(exchange, 403, detail);
    return !detail;
}

static bool check_token(struct weft_http_exchange *exchange, const struct weft_api *api,
                        unsigned may)
{
    if (may == 0)
        return true;
    if (api->settings->tokens.count == 0)
        return check_site(exchange, api);
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

static bool check_query(struct weft_http_exchange *exchange, const char *known)
{
    const char *name, *value;
    size_t position = 0;
    int more = known ? 1 : 0;
    while (more > 0 && (more = weft_http_query_next(exchange, &position, &name, &value)) > 0) {
        bool first = weft_http_query(exchange, name) == value;
        if (first && weft_word_is_listed(known, name))
            continue;
        char detail[160];
        (void)snprintf(detail, sizeof detail,
                       first ? "there is no parameter \"%.64s\" here"
                             : "the parameter \"%.64s\" is there twice",
                       name);
        weft_http_reply_error(exchange, 422, detail);
        return false;
    }
    if (more < 0)
        weft_api_reply_busy(exchange, "5", "the server has no memory left for this");
    return more == 0;
}

int weft_api_admit(struct weft_http_exchange *exchange, const struct weft_http_route *route,
                   void *context)
{
    const struct weft_api *api = context;
    const struct weft_api_route *spec = api->specs[route - api->routes];
    if (!check_token(exchange, api, spec->may) || !check_query(exchange, spec->query))
        return false;
    bool has_body = strcmp(route->method, "GET") != 0 && strcmp(route->method, "DELETE") != 0;
    return !has_body || check_type(exchange, spec);
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

/* --- parameters --- */

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

bool weft_api_query_name(struct weft_http_exchange *exchange, const char *name,
                         const char **ret_value)
{
    const char *text = weft_http_query(exchange, name);
    if (!text)
        return true;
    *ret_value = text;
    if (weft_job_name_is_valid(text))
        return true;
    char detail[120];
    (void)snprintf(detail, sizeof detail, "the parameter \"%s\" must be a name", name);
    weft_http_reply_error(exchange, 422, detail);
    return false;
}

bool weft_api_query_id(struct weft_http_exchange *exchange, const char *name,
                       struct weft_uuid *ret_id, const char *what)
{
    const char *text = weft_http_query(exchange, name);
    struct weft_uuid id;
    if (!text)
        return true;
    if (weft_uuid_parse(&id, text, strlen(text)) == 0 && !weft_uuid_is_none(&id)) {
        *ret_id = id;
        return true;
    }
    char detail[120];
    (void)snprintf(detail, sizeof detail, "the parameter \"%s\" must be %s", name, what);
    weft_http_reply_error(exchange, 422, detail);
    return false;
}

struct weft_uuid weft_api_path_id(const struct weft_http_exchange *exchange)
{
    struct weft_uuid id = {{0}};
    const char *text = weft_http_param(exchange, "id");
    (void)weft_uuid_parse(&id, text, strlen(text));
    return id;
}

/* --- routes --- */

static const struct weft_api_route health_routes[] = {
    {{.method = "GET", .pattern = "/healthz", .handler = get_healthz}},
    {{.method = "GET", .pattern = "/readyz", .handler = get_readyz}},
    {{0}},
};

static const struct weft_api_route *const tables[] = {
    health_routes,         weft_api_process_routes, weft_api_submit_routes, weft_api_job_routes,
    weft_api_queue_routes, weft_api_work_routes,    weft_api_worker_routes, weft_api_cron_routes,
    weft_api_event_routes, weft_api_stats_routes,
};

#define TABLES (sizeof tables / sizeof tables[0])

int weft_api_init(struct weft_api *api)
{
    size_t count = 0;
    for (size_t i = 0; i < TABLES; i++)
        for (const struct weft_api_route *route = tables[i]; route->http.method; route++)
            count++;
    api->routes = calloc(count, sizeof *api->routes);
    api->specs = calloc(count, sizeof(const struct weft_api_route *));
    if (!api->routes || !api->specs)
        return -ENOMEM;
    for (size_t i = 0; i < TABLES; i++) {
        for (const struct weft_api_route *route = tables[i]; route->http.method; route++) {
            api->routes[api->routes_count] = route->http;
            api->specs[api->routes_count++] = route;
        }
    }
    return weft_mutex_init(&api->settings_turn, WEFT_LOCAL);
}

void weft_api_release(struct weft_api *api)
{
    free(api->routes);
    free(api->specs);
}
