/* SPDX-License-Identifier: MIT
 * client.c - a client from open to close. See weft/http_client.h. */
#include <http/client_internal.h>
#include <runtime/fork.h>
#include <runtime/runtime.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS         1000u
#define WAITING             65536u
#define CONNECT_TIMEOUT     (10 * WEFT_SEC)
#define CONNECT_TIMEOUT_MAX (300 * WEFT_SEC) /* libcurl's own limit */
#define TOTAL_TIMEOUT       (60 * WEFT_SEC)
#define IDLE_TIMEOUT        (30 * WEFT_SEC)
#define RESPONSE_BYTES      ((size_t)8 << 20)
#define STREAMS             100u
#define REQUESTS_PER        10u /* for each connection, where they are shared */
#define NAMES               1024u
#define NAMES_KEPT          (60 * WEFT_SEC)
#define RATIO               200u
#define COOKIES             10000u

static const struct weft_http_client_options defaults;

static unsigned count_or(unsigned value, unsigned otherwise)
{
    return value ? value : otherwise;
}

static int64_t ns_or(int64_t value, int64_t otherwise)
{
    return value ? value : otherwise;
}

static unsigned default_requests(const struct weft_http_client_options *options)
{
    unsigned connections = options->connections_max;
    bool shared = options->http2 && connections <= UINT_MAX / REQUESTS_PER;
    return shared ? connections * REQUESTS_PER : connections;
}

static void fill_defaults(struct weft_http_client_options *options)
{
    options->connections_max = count_or(options->connections_max, CONNECTIONS);
    options->requests_max = count_or(options->requests_max, default_requests(options));
    options->waiting_max = count_or(options->waiting_max, WAITING);
    options->streams_max = count_or(options->streams_max, STREAMS);
    options->names_max = count_or(options->names_max, NAMES);
    options->ratio_max = count_or(options->ratio_max, RATIO);
    options->cookies_max = count_or(options->cookies_max, COOKIES);
    options->connect_timeout_ns = ns_or(options->connect_timeout_ns, CONNECT_TIMEOUT);
    options->total_timeout_ns = ns_or(options->total_timeout_ns, TOTAL_TIMEOUT);
    options->idle_timeout_ns = ns_or(options->idle_timeout_ns, IDLE_TIMEOUT);
    options->names_kept_ns = ns_or(options->names_kept_ns, NAMES_KEPT);
    if (options->stall_bytes == 0)
        options->stall_bytes = 1;
    if (options->response_bytes_max == 0)
        options->response_bytes_max = RESPONSE_BYTES;
    if (!options->user_agent)
        options->user_agent = "weft/" WEFT_VERSION;
}

static int fill_options(struct weft_http_client_options *options,
                        const struct weft_http_client_options *given)
{
    *options = *given;
    fill_defaults(options);
    const int64_t times[] = {
        options->connect_timeout_ns,    options->total_timeout_ns, options->idle_timeout_ns,
        options->name_timeout_ns,       options->tls_timeout_ns,   options->stall_timeout_ns,
        options->first_byte_timeout_ns, options->lifetime_ns,      options->names_kept_ns,
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (times[i] < 0)
            return -EINVAL;
    }
    bool late = options->connect_timeout_ns > CONNECT_TIMEOUT_MAX;
    bool proxied = options->proxy || options->proxy_of_environment;
    bool unguarded = proxied && options->allow_address; /* the proxy's connections are not ours */
    bool unspoken = options->http2 < WEFT_HTTP2_OFF || options->http2 > WEFT_HTTP2_ALL;
    return late || unguarded || unspoken ? -EINVAL : 0;
}

/* ---- proxies ------------------------------------------------------------------------------ */

/* A variable of the environment, in lower case or, unless a web server may have set it from a
 * request's "Proxy" field (HTTP_PROXY), in upper case. NULL: neither, or empty. */
static const char *variable(const char *lower, const char *upper)
{
    const char *value = secure_getenv(lower);
    if ((!value || !*value) && upper)
        value = secure_getenv(upper);
    return value && *value ? value : NULL;
}

static bool copy_of(const char *text, char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

static int set_proxies(struct weft_http_client *client)
{
    const char *plain = client->options.proxy, *secure = plain, *none = NULL;
    if (!plain && client->options.proxy_of_environment) {
        const char *all = variable("all_proxy", "ALL_PROXY");
        plain = variable("http_proxy", NULL);
        secure = variable("https_proxy", "HTTPS_PROXY");
        none = variable("no_proxy", "NO_PROXY");
        plain = plain ? plain : all;
        secure = secure ? secure : all;
    }
    bool copied = copy_of(plain, &client->proxies[0]) && copy_of(secure, &client->proxies[1]) &&
                  copy_of(none, &client->no_proxy);
    return copied ? 0 : -ENOMEM;
}

/* ---- open and close ----------------------------------------------------------------------- */

static void free_client(struct weft_http_client *client)
{
    free(client->proxies[0]);
    free(client->proxies[1]);
    free(client->no_proxy);
    weft_http_jar_close(client->jar);
    free(client);
}

int weft_http_client_open(struct weft_http_client **ret_client,
                          const struct weft_http_client_options *options)
{
    struct weft_worker *worker = weft_current_worker;
    if (!weft_self())
        return -EPERM;
    struct weft_http_engine *engine;
    unsigned workers_len = worker->runtime->workers_len;
    struct weft_http_client *client =
        calloc(1, sizeof *client + workers_len * sizeof(struct weft_http_engine *));
    if (!client)
        return -ENOMEM;
    client->runtime = worker->runtime;
    client->engines_len = workers_len;
    int err = fill_options(&client->options, options ? options : &defaults);
    if (err == 0)
        err = set_proxies(client);
    if (err == 0)
        err = weft_http_engine_open(client, &engine);
    if (err < 0) {
        free_client(client);
        return err;
    }
    *ret_client = client;
    return 0;
}

static struct weft_http_engine *engine_of(struct weft_http_client *client, unsigned index)
{
    return __atomic_load_n(&client->engines[index], __ATOMIC_ACQUIRE);
}

void weft_http_client_close(struct weft_http_client *client)
{
    /* In a child of fork() the connections are the parent's: TLS would say farewell on them. */
    if (!client || weft_fork_orphan)
        return;
    for (unsigned i = 0; i < client->engines_len; i++) {
        struct weft_http_engine *engine = engine_of(client, i);
        if (engine && weft_self()) {
            weft_http_engine_close_from(engine);
        } else if (engine) {
            engine->worker = NULL;
            weft_http_engine_close(engine);
        }
    }
    free_client(client);
}

void weft_http_client_stats(struct weft_http_client *client,
                            struct weft_http_client_stats *ret_stats)
{
    struct weft_http_client_stats sum = {0};
#define ADD(field) (sum.field += __atomic_load_n(&engine->counts.field, __ATOMIC_RELAXED))
    for (unsigned i = 0; i < client->engines_len; i++) {
        const struct weft_http_engine *engine = engine_of(client, i);
        if (!engine)
            continue;
        ADD(requests);
        ADD(responses);
        ADD(redirects);
        ADD(connections);
        ADD(reused);
        ADD(connections_failed);
        ADD(names_asked);
        ADD(names_reused);
        ADD(addresses_refused);
        ADD(requests_now);
        ADD(waiting_now);
        ADD(connections_now);
    }
#undef ADD
    if (client->jar)
        sum.cookies_forgotten = __atomic_load_n(&client->jar->forgotten, __ATOMIC_RELAXED);
    *ret_stats = sum;
}
