/* SPDX-License-Identifier: MIT
 * client.c - a client from open to close. See weft/http_client.h. */
#include <http/client_internal.h>
#include <runtime/fork.h>
#include <runtime/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS         1000u
#define WAITING             65536u
#define CONNECT_TIMEOUT     (10 * WEFT_SEC)
#define CONNECT_TIMEOUT_MAX (300 * WEFT_SEC) /* libcurl's own limit */
#define TOTAL_TIMEOUT       (60 * WEFT_SEC)
#define IDLE_TIMEOUT        (30 * WEFT_SEC)
#define RESPONSE_BYTES      ((size_t)8 << 20)

static const struct weft_http_client_options defaults;

static unsigned count_or(unsigned value, unsigned otherwise)
{
    return value ? value : otherwise;
}

static int64_t ns_or(int64_t value, int64_t otherwise)
{
    return value ? value : otherwise;
}

static int fill_options(struct weft_http_client_options *options,
                        const struct weft_http_client_options *given)
{
    *options = *given;
    options->connections_max = count_or(options->connections_max, CONNECTIONS);
    options->waiting_max = count_or(options->waiting_max, WAITING);
    options->connect_timeout_ns = ns_or(options->connect_timeout_ns, CONNECT_TIMEOUT);
    options->total_timeout_ns = ns_or(options->total_timeout_ns, TOTAL_TIMEOUT);
    options->idle_timeout_ns = ns_or(options->idle_timeout_ns, IDLE_TIMEOUT);
    if (options->response_bytes_max == 0)
        options->response_bytes_max = RESPONSE_BYTES;
    if (!options->user_agent)
        options->user_agent = "weft/" WEFT_VERSION;
    bool negative = options->connect_timeout_ns < 0 || options->total_timeout_ns < 0 ||
                    options->idle_timeout_ns < 0;
    bool late = options->connect_timeout_ns > CONNECT_TIMEOUT_MAX;
    bool proxied = options->proxy || options->proxy_of_environment;
    bool unguarded = proxied && options->allow_address; /* the proxy's connections are not ours */
    return negative || late || unguarded ? -EINVAL : 0;
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
        ADD(addresses_refused);
        ADD(requests_now);
        ADD(waiting_now);
        ADD(connections_now);
    }
#undef ADD
    *ret_stats = sum;
}
