/* SPDX-License-Identifier: MIT
 * client_send.c - weft_http_send, in the fiber. Read it from the bottom: a request goes through
 * its redirects (travel), each through as many attempts as names are missing (visit), each of them
 * is handed over and waited for (attempt). */
#include <base/time.h>
#include <http/client_internal.h>
#include <runtime/resolve.h>
#include <runtime/runtime.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX     100u
#define URL_BYTES_MAX  ((size_t)64 << 10)
#define METHOD_LEN_MAX 32u
#define BODY_BYTES_MAX ((uint64_t)1 << 40)
#define ATTEMPTS_MAX   4 /* to begin: a name each for the proxy and the server, one that got old */

/* One weft_http_send. */
struct journey {
    const struct weft_http_request *request;
    struct weft_http_response *response;
    struct weft_http_transfer *transfer;
    struct weft_http_engine *engine;
    int64_t begun_ns, deadline_ns;
    char *url;         /* of a redirect, on the heap; NULL: the request's own */
    bool without_body; /* a redirect has made a GET of it */
    bool abroad;       /* a redirect has led to another server: it does not get what is secret */
    int64_t name_ns;
};

static int fail(struct journey *journey, int err, const char *why)
{
    char *text = journey->response->error;
    if (*text)
        return err;
    size_t len = strnlen(why, sizeof journey->response->error - 1);
    memcpy(text, why, len);
    text[len] = '\0';
    return err;
}

/* ---- what is asked for -------------------------------------------------------------------- */

static bool is_token(const char *text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (!text || !*text)
        return false;
    for (; *text; text++) {
        bool alphanumeric = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                            (*text >= 'A' && *text <= 'Z');
        if (!alphanumeric && !strchr(others, *text))
            return false;
    }
    return true;
}

/* No line ends and no other control characters but the tab: they would begin something new. */
static bool is_value(const char *text)
{
    if (!text)
        return false;
    for (; *text; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    }
    return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (strcasecmp(name, *names) == 0)
            return true;
    }
    return false;
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Expect", NULL};
    return is_one_of(name, names);
}

/* Not for another server than the one it was meant for. */
static bool is_private(const char *name)
{
    static const char *const names[] = {"Authorization", "Cookie", "Host", "Proxy-Authorization",
                                        NULL};
    return is_one_of(name, names);
}

/* Of a body that is not sent any more. */
static bool is_of_body(const char *name)
{
    return strncasecmp(name, "Content-", 8) == 0;
}

static int check_request(struct journey *journey)
{
    const struct weft_http_request *request = journey->request;
    const char *method = request->method;
    if (!request->url || (strncasecmp(request->url, "http://", 7) != 0 &&
                          strncasecmp(request->url, "https://", 8) != 0))
        return fail(journey, -EINVAL, "the URL does not begin with http:// or https://");
    if (strlen(request->url) > URL_BYTES_MAX)
        return fail(journey, -EMSGSIZE, "the URL is longer than 64 KiB");
    if (method &&
        (!is_token(method) || strlen(method) > METHOD_LEN_MAX || strcmp(method, "CONNECT") == 0))
        return fail(journey, -EINVAL, "that is no method");
    if (method && request->body && strcmp(method, "HEAD") == 0)
        return fail(journey, -EINVAL, "a HEAD request has no body");
    if (request->fields_count > FIELDS_MAX)
        return fail(journey, -EMSGSIZE, "more than 100 fields");
    for (size_t i = 0; i < request->fields_count; i++) {
        const struct weft_http_field *field = &request->fields[i];
        if (!is_token(field->name) || !is_value(field->value) || is_ours(field->name))
            return fail(journey, -EINVAL, "a field that cannot be sent");
    }
    return 0;
}

static void add_line(struct weft_buffer *lines, const struct weft_http_field *field)
{
    weft_buffer_append_string(lines, field->name);
    /* With nothing behind the colon libcurl would take it as a wish not to send its own. */
    weft_buffer_append_string(lines, *field->value ? ": " : ";");
    weft_buffer_append(lines, field->value, strlen(field->value) + 1);
}

static int ask_fields(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    const struct weft_http_request *request = journey->request;
    weft_buffer_clear(&transfer->lines);
    transfer->lines_len = 0;
    transfer->question.has_type = false;
    for (size_t i = 0; i < request->fields_count; i++) {
        const struct weft_http_field *field = &request->fields[i];
        if ((journey->abroad && is_private(field->name)) ||
            (journey->without_body && is_of_body(field->name)))
            continue;
        transfer->question.has_type |= strcasecmp(field->name, "Content-Type") == 0;
        add_line(&transfer->lines, field);
        transfer->lines_len++;
    }
    if (transfer->lines.err)
        return fail(journey, transfer->lines.err, "the fields are larger than 64 KiB");
    return 0;
}

/* Methods that say how long their body is even if there is none. */
static bool announces_body(const char *method)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", NULL};
    return is_one_of(method, methods);
}

static int ask(struct journey *journey)
{
    const struct weft_http_request *request = journey->request;
    const struct weft_http_client_options *options = &journey->engine->options;
    struct weft_http_question *question = &journey->transfer->question;
    size_t body_max = request->response_bytes_max;
    if (body_max == 0)
        body_max = request->on_body ? SIZE_MAX : options->response_bytes_max;
    *question = (struct weft_http_question){
        .url = journey->url ? journey->url : request->url,
        .method = request->method ? request->method
                  : request->body ? "POST"
                                  : "GET",
        .body = request->body,
        .body_len = request->body_len,
        .body_max = body_max > BODY_BYTES_MAX ? (size_t)BODY_BYTES_MAX : body_max,
        .streams = request->on_body,
        .may_follow = options->redirects_max > 0,
    };
    if (journey->without_body) {
        question->method = strcmp(question->method, "HEAD") == 0 ? "HEAD" : "GET";
        question->body = NULL;
        question->body_len = 0;
    } else if (!question->body && announces_body(question->method)) {
        question->body = "";
        question->body_len = 0;
    }
    return ask_fields(journey);
}

/* ---- one attempt -------------------------------------------------------------------------- */

/* A piece of the body for the caller, who may suspend: meanwhile others come into another buffer.
 */
static int deliver(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    struct weft_buffer piece = transfer->pieces;
    weft_buffer_init(&transfer->pieces, piece.len_max);
    if (transfer->paused)
        weft_http_engine_resume(transfer);
    int err = journey->request->on_body(journey->request->on_body_context, piece.data, piece.len);
    if (transfer->pieces.data) {
        weft_buffer_deinit(&piece);
    } else {
        weft_buffer_clear(&piece);
        transfer->pieces = piece;
    }
    return err < 0 ? fail(journey, err, "the caller did not want the body") : 0;
}

static bool is_connecting(const struct weft_http_transfer *transfer)
{
    return transfer->stage == WEFT_HTTP_RUNNING && !transfer->connected &&
           transfer->connect_by_ns > 0;
}

/* Until when to wait before having a look at the time. */
static int64_t next_look(const struct journey *journey)
{
    const struct weft_http_transfer *transfer = journey->transfer;
    bool sooner = is_connecting(transfer) && transfer->connect_by_ns < journey->deadline_ns;
    return sooner ? transfer->connect_by_ns : journey->deadline_ns;
}

/* A time is over: which? Returns 0 when it does not matter. */
static int check_time(struct journey *journey)
{
    const struct weft_http_transfer *transfer = journey->transfer;
    int64_t now_ns = weft_now();
    if (now_ns >= journey->deadline_ns)
        return fail(journey, -ETIMEDOUT, "no whole response in time");
    if (is_connecting(transfer) && now_ns >= transfer->connect_by_ns)
        return fail(journey, -ETIMEDOUT, "no connection in time");
    return 0;
}

static int await(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    int err = 0;
    while (err == 0) {
        if (transfer->pieces.len > 0) {
            err = deliver(journey);
            continue;
        }
        if (transfer->stage == WEFT_HTTP_ENDED)
            return 0;
        err = weft_http_transfer_park(transfer, next_look(journey), WEFT_PARK_CANCELLABLE);
        if (err == -ETIMEDOUT)
            err = check_time(journey);
        if (transfer->stage == WEFT_HTTP_ENDED) /* in the same moment: then it has happened */
            err = 0;
    }
    weft_http_engine_stop(transfer);
    return err;
}

/* Returns what became of it, WEFT_HTTP_NEEDS_NAME as well. */
static int attempt(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    int err = weft_http_engine_submit(transfer);
    if (err < 0)
        return fail(journey, err, weft_strerror(err));
    err = await(journey);
    if (err < 0)
        return fail(journey, err, weft_strerror(err));
    if (transfer->result < 0)
        return fail(journey, transfer->result,
                    transfer->why ? transfer->why : weft_strerror(transfer->result));
    return transfer->result;
}

/* ---- names -------------------------------------------------------------------------------- */

/* "+host:port:address,address", for a while only. */
static void add_addresses(struct weft_http_transfer *transfer, const struct weft_answer *answer)
{
    struct weft_buffer *names = &transfer->names;
    weft_buffer_append_format(names, "+%s:%u:", transfer->name, transfer->name_port);
    for (size_t i = 0; i < answer->count; i++) {
        char text[INET6_ADDRSTRLEN];
        const struct sockaddr *address = (const void *)&answer->addresses[i].storage;
        const void *bytes =
            address->sa_family == AF_INET
                ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
                : &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        (void)inet_ntop(address->sa_family, bytes, text, sizeof text);
        weft_buffer_append_format(names, address->sa_family == AF_INET ? "%s%s" : "%s[%s]",
                                  i > 0 ? "," : "", text);
    }
    weft_buffer_append_char(names, '\0');
    transfer->names_len++;
}

static int look_up(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    int64_t before_ns = weft_now();
    if (transfer->connect_by_ns == 0)
        transfer->connect_by_ns =
            weft_time_after(before_ns, journey->engine->options.connect_timeout_ns);
    int64_t until_ns = transfer->connect_by_ns < journey->deadline_ns ? transfer->connect_by_ns
                                                                      : journey->deadline_ns;
    struct weft_answer *answer = malloc(sizeof *answer); /* too large for a fiber's stack */
    if (!answer)
        return -ENOMEM;
    int err = weft_resolve_host(transfer->name, until_ns, answer);
    journey->name_ns += weft_now() - before_ns;
    if (err == 0)
        add_addresses(transfer, answer);
    free(answer);
    return err < 0 ? err : transfer->names.err;
}

/* The address of whoever libcurl wanted to connect to. */
static int find_name(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    int err = 0;
    if (transfer->name[0] == '[')
        transfer->literals++;
    else if (transfer->names_len == WEFT_HTTP_NAMES_MAX)
        err = -EADDRNOTAVAIL;
    else
        err = look_up(journey);
    if (err == 0)
        return 0;
    char *text = journey->response->error;
    (void)snprintf(text, sizeof journey->response->error, "%.80s: %s", transfer->name,
                   err == -EADDRNOTAVAIL ? "no such host" : weft_strerror(err));
    return err;
}

/* ---- one request, with what it takes to begin it ------------------------------------------ */

static int visit(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    transfer->names_len = transfer->literals = 0;
    transfer->connect_by_ns = 0;
    weft_buffer_clear(&transfer->names);
    int err = ask(journey);
    for (int attempts = 0; err == 0 && attempts < ATTEMPTS_MAX; attempts++) {
        err = attempt(journey);
        if (err != WEFT_HTTP_NEEDS_NAME)
            return err;
        err = find_name(journey);
    }
    return err < 0 ? err : fail(journey, -EADDRNOTAVAIL, "its address gets lost");
}

/* ---- redirects ---------------------------------------------------------------------------- */

/* What another request is sent instead: RFC 9110, 15.4. */
static void turn_to_get(struct journey *journey, int status)
{
    const char *method = journey->transfer->question.method;
    bool is_safe = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool was_post = strcmp(method, "POST") == 0;
    if ((status == 303 && !is_safe) || ((status == 301 || status == 302) && was_post))
        journey->without_body = true;
}

/* Returns 1 when there is another request to send, 0: this is the response. */
static int follow(struct journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    struct weft_http_response *response = journey->response;
    if (!transfer->location)
        return 0;
    if (response->redirects >= journey->engine->options.redirects_max)
        return fail(journey, -ELOOP, "too many redirects");
    response->redirects++;
    weft_http_count(&journey->engine->counts.redirects, 1);
    turn_to_get(journey, transfer->status);
    journey->abroad = journey->abroad || !transfer->same_origin;
    free(journey->url);
    journey->url = transfer->location;
    transfer->location = NULL;
    return 1;
}

static int travel(struct journey *journey)
{
    int err;
    do {
        err = visit(journey);
        if (err == 0)
            err = follow(journey);
    } while (err > 0);
    return err;
}

/* ---- the response ------------------------------------------------------------------------- */

static void fill_response(struct journey *journey, int err)
{
    struct weft_http_transfer *transfer = journey->transfer;
    struct weft_http_response *response = journey->response;
    struct weft_buffer *reply = &transfer->reply;
    response->times = transfer->times;
    response->times.name_ns = journey->name_ns;
    if (!reply->data || reply->len < transfer->fields_at)
        return;
    response->storage = response->storage ? response->storage : reply->data;
    response->url = reply->data;
    if (err == 0) {
        size_t body_at = transfer->fields_at + transfer->fields_len;
        response->status = transfer->status;
        response->http_version = transfer->http_version;
        response->body = reply->data + body_at;
        response->body_len = reply->len - body_at;
        response->fields_at = transfer->fields_at;
        response->fields_len = transfer->fields_len;
        response->connections = transfer->connections;
        response->bytes_sent = transfer->bytes_sent;
        response->bytes_received = transfer->bytes_received;
    }
    weft_buffer_init(reply, 1); /* it is the response's now */
}

static int send_with(struct journey *journey)
{
    struct weft_http_engine *engine = journey->engine;
    journey->begun_ns = weft_now();
    int64_t total_ns = weft_time_after(journey->begun_ns, engine->options.total_timeout_ns);
    if (total_ns < journey->deadline_ns)
        journey->deadline_ns = total_ns;
    journey->transfer = weft_http_transfer_take(engine);
    if (!journey->transfer)
        return fail(journey, -ENOMEM, weft_strerror(-ENOMEM));
    int err = travel(journey);
    fill_response(journey, err);
    journey->response->times.total_ns = weft_now() - journey->begun_ns;
    free(journey->url);
    weft_http_transfer_give_back(journey->transfer);
    return err;
}

/* Returns 0 with *ret_engine set. */
static int find_engine(struct weft_http_client *client, int64_t deadline_ns,
                       struct weft_http_engine **ret_engine)
{
    struct weft_fiber *self;
    int err = weft_enter(&self);
    if (err < 0)
        return err;
    if (self->worker->runtime != client->runtime)
        return -EPERM;
    if (deadline_ns == WEFT_NOWAIT)
        return -EAGAIN;
    return weft_http_engine_open(client, ret_engine);
}

int weft_http_send(struct weft_http_client *client, const struct weft_http_request *request,
                   struct weft_http_response *ret_response, int64_t deadline_ns)
{
    struct journey journey = {
        .request = request,
        .response = ret_response,
        .deadline_ns = deadline_ns,
    };
    *ret_response = (struct weft_http_response){.body = "", .url = ""};
    int err = find_engine(client, deadline_ns, &journey.engine);
    if (err < 0)
        return fail(&journey, err, weft_strerror(err));
    err = check_request(&journey);
    return err < 0 ? err : send_with(&journey);
}
