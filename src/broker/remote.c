/* SPDX-License-Identifier: MIT
 * remote.c - see remote.h: open, close, and the server's registry of workers. */
#include "remote_internal.h"

#include <os/clock.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECTIONS_MAX 32u /* a claim for each consumer, and little else at once */
#define URL_LEN_MAX     2048u
#define TOKEN_LEN_MAX   1024u
#define BODY_MAX        ((size_t)16 << 10)

/* ---- the registry ----------------------------------------------------------------------- */

static void append_text(struct weft_buffer *body, const char *before, const char *text)
{
    weft_buffer_append_string(body, before);
    weft_buffer_append_json_string(body, text, strlen(text));
}

static int read_number(struct weft_remote *remote, const struct weft_remote_call *call,
                       int64_t *ret_number)
{
    static const char *const members[] = {"number"};
    struct weft_remote_value value;
    uint64_t number = 0;
    int err = weft_remote_members(call->response.body, call->response.body_len, members, 1, &value);
    if (!err)
        err = weft_remote_count(&value, INT64_MAX, &number);
    if (err || number == 0)
        return weft_remote_refuse(remote, call, "it has no number");
    *ret_number = (int64_t)number;
    return 0;
}

static int remote_join(struct weft_broker *broker, struct weft_worker_info *worker)
{
    struct weft_remote *remote = weft_remote_of(broker);
    struct weft_buffer body;
    weft_buffer_init(&body, BODY_MAX);
    append_text(&body, "{\"name\":", worker->name);
    append_text(&body, ",\"host\":", worker->host);
    append_text(&body, ",\"version\":", worker->version);
    append_text(&body, ",\"queues\":", worker->queues);
    weft_buffer_append_format(&body, ",\"pid\":%" PRId64 ",\"concurrency\":%" PRIu64 "}",
                              worker->pid, worker->concurrency);
    struct weft_remote_call call = {.method = "POST", .path = "/v1/workers", .body = &body};
    int err = weft_remote_send(remote, &call);
    if (!err)
        err = read_number(remote, &call, &worker->number);
    weft_remote_call_release(&call);
    weft_buffer_deinit(&body);
    return err;
}

static int tell_registry(struct weft_broker *broker, const char *method, int64_t number,
                         const struct weft_buffer *body)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/v1/workers/%" PRId64, number);
    struct weft_remote_call call = {.method = method, .path = path, .body = body};
    int err = weft_remote_send(weft_remote_of(broker), &call);
    weft_remote_call_release(&call);
    return err;
}

static int remote_worker_beat(struct weft_broker *broker, const struct weft_worker_info *worker)
{
    struct weft_buffer body;
    weft_buffer_init(&body, BODY_MAX);
    weft_buffer_append_format(
        &body, "{\"running\":%" PRIu64 ",\"done\":%" PRIu64 ",\"concurrency\":%" PRIu64 "}",
        worker->running, worker->done, worker->concurrency);
    int err = tell_registry(broker, "PUT", worker->number, &body);
    weft_buffer_deinit(&body);
    return err;
}

static int remote_leave(struct weft_broker *broker, int64_t number)
{
    return tell_registry(broker, "DELETE", number, NULL);
}

/* ---- what a worker does not do ---------------------------------------------------------- */

/* The ids of new jobs are the server's, and this call could not give them back. */
static int remote_enqueue(struct weft_broker *broker, struct weft_enqueue_batch *batch)
{
    (void)broker;
    for (size_t i = 0; i < batch->count; i++)
        batch->items[i].err = -ENOSYS;
    return -ENOSYS;
}

/* The server sees to what time brings about. */
static int remote_maintain(struct weft_broker *broker, struct weft_maintenance *ret_maintenance)
{
    (void)broker;
    *ret_maintenance = (struct weft_maintenance){.next_us = INT64_MAX};
    return 0;
}

/* For ids and the times of further jobs; what is due is the server's to say. */
static int64_t remote_now_us(struct weft_broker *broker)
{
    (void)broker;
    return weft_clock_unix_us();
}

/* ---- open and close --------------------------------------------------------------------- */

static void remote_close(struct weft_broker *broker)
{
    struct weft_remote *remote = weft_remote_of(broker);
    weft_remote_beat_close(remote);
    weft_http_client_close(remote->client);
    free(remote->url);
    free(remote->authorization);
    free(remote->ca_file);
    free(remote);
}

static const struct weft_broker_ops remote_ops = {
    .name = "remote",
    .capabilities = WEFT_BROKER_WAITS | WEFT_BROKER_REGISTRY | WEFT_BROKER_CHOOSES,
    .enqueue = remote_enqueue,
    .claim = weft_remote_claim,
    .settle = weft_remote_settle,
    .extend = weft_remote_extend,
    .beat = weft_remote_beat,
    .maintain = remote_maintain,
    .now_us = remote_now_us,
    .close = remote_close,
    .find = weft_remote_find,
    .worker_join = remote_join,
    .worker_beat = remote_worker_beat,
    .worker_leave = remote_leave,
};

__attribute__((format(printf, 3, 4))) static int refuse(char *error, size_t error_bytes,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error_bytes > 0)
        (void)vsnprintf(error, error_bytes, format, args);
    va_end(args);
    return -EINVAL;
}

static bool is_visible(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
            return false;
    }
    return true;
}

/* What follows the scheme; NULL when it is none that we speak. */
static const char *behind_scheme(const char *url)
{
    if (strncasecmp(url, "http://", strlen("http://")) == 0)
        return url + strlen("http://");
    if (strncasecmp(url, "https://", strlen("https://")) == 0)
        return url + strlen("https://");
    return NULL;
}

static bool is_address(const char *url)
{
    const char *host = behind_scheme(url);
    return host && *host && *host != '/' && strlen(url) <= URL_LEN_MAX && is_visible(url) &&
           !strpbrk(url, "?#@");
}

static bool is_token(const char *token)
{
    return *token && strlen(token) <= TOKEN_LEN_MAX && is_visible(token);
}

static int check(const struct weft_remote_options *options, char *error, size_t error_bytes)
{
    if (!options->url || !is_address(options->url))
        return refuse(error, error_bytes,
                      "\"%.200s\" is no address of a server; write it like http://127.0.0.1:8001",
                      options->url ? options->url : "");
    if (options->token && !is_token(options->token))
        return refuse(error, error_bytes,
                      "this cannot be a token: it is empty, too long, or has characters that no "
                      "token has");
    return 0;
}

static int fill(struct weft_remote *remote, const struct weft_remote_options *options)
{
    remote->url = strdup(options->url);
    if (options->ca_file)
        remote->ca_file = strdup(options->ca_file);
    if (options->token && asprintf(&remote->authorization, "Bearer %s", options->token) < 0)
        remote->authorization = NULL;
    if (!remote->url || (options->ca_file && !remote->ca_file) ||
        (options->token && !remote->authorization))
        return -ENOMEM;
    for (size_t len = strlen(remote->url); remote->url[len - 1] == '/'; len--)
        remote->url[len - 1] = '\0';
    return weft_http_client_open(&remote->client,
                                 &(struct weft_http_client_options){
                                     .connections_max = CONNECTIONS_MAX,
                                     .total_timeout_ns = 300 * WEFT_SEC, /* each call has its own */
                                     .ca_file = remote->ca_file,
                                 });
}

int weft_remote_open(struct weft_broker **ret_broker, const struct weft_remote_options *options,
                     char *ret_error, size_t error_bytes)
{
    int err = check(options, ret_error, error_bytes);
    if (err)
        return err;
    struct weft_remote *remote = calloc(1, sizeof *remote);
    err = remote ? fill(remote, options) : -ENOMEM;
    if (err) {
        if (error_bytes > 0)
            (void)snprintf(ret_error, error_bytes, "%s", weft_strerror(err));
        if (remote)
            remote_close(&remote->broker);
        return err;
    }
    remote->broker.ops = &remote_ops;
    *ret_broker = &remote->broker;
    return 0;
}

const char *weft_remote_error(const struct weft_broker *broker)
{
    return ((const struct weft_remote *)(const void *)broker)->error;
}
