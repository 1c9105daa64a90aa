/* SPDX-License-Identifier: MIT
 * client_lookup.c - the addresses of hosts, for libcurl: those that are kept, or looked up by the
 * fiber. */
#include <base/time.h>
#include <http/client_journey.h>
#include <runtime/resolve.h>
#include <runtime/runtime.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "+host:port:address,address": as CURLOPT_RESOLVE takes it, for a while only. */
static int add_addresses(struct weft_http_transfer *transfer, const char *addresses)
{
    struct weft_buffer *names = &transfer->names;
    weft_buffer_append_format(names, "+%s:%u:%s", transfer->name, transfer->name_port, addresses);
    weft_buffer_append_char(names, '\0');
    transfer->names_len++;
    return names->err;
}

static void write_address(struct weft_buffer *text, const struct weft_address *one)
{
    char number[INET6_ADDRSTRLEN];
    const struct sockaddr *address = (const void *)&one->storage;
    bool is_v4 = address->sa_family == AF_INET;
    const void *bytes =
        is_v4 ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
              : &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    (void)inet_ntop(address->sa_family, bytes, number, sizeof number);
    weft_buffer_append_format(text, is_v4 ? "%s%s" : "%s[%s]", text->len > 0 ? "," : "", number);
}

static int keep_answer(struct weft_http_journey *journey, const struct weft_answer *answer)
{
    struct weft_http_transfer *transfer = journey->transfer;
    struct weft_buffer text;
    weft_buffer_init(&text, WEFT_HTTP_NAME_BYTES_MAX);
    for (size_t i = 0; i < answer->count; i++)
        write_address(&text, &answer->addresses[i]);
    weft_buffer_append_char(&text, '\0');
    int err = text.err;
    if (err == 0)
        err = weft_http_names_keep(&journey->engine->names, transfer->name, text.data,
                                   answer->asked_at_ns);
    if (err == 0)
        err = add_addresses(transfer, text.data);
    weft_buffer_deinit(&text);
    return err;
}

/* By who has its turn. Somebody may have asked for the same name before. */
static int ask_for_name(struct weft_http_journey *journey, int64_t until_ns)
{
    struct weft_http_engine *engine = journey->engine;
    struct weft_http_transfer *transfer = journey->transfer;
    const char *known = weft_http_names_find(&engine->names, transfer->name, weft_now());
    if (known)
        return add_addresses(transfer, known);
    struct weft_answer *answer = malloc(sizeof *answer); /* too large for a fiber's stack */
    if (!answer)
        return -ENOMEM;
    int64_t since_ns = weft_http_names_since(&engine->names, transfer->name, weft_now());
    weft_http_count(&engine->counts.names_asked, 1);
    int err = weft_resolve_host_since(transfer->name, since_ns, until_ns, answer);
    if (err == 0)
        err = keep_answer(journey, answer);
    free(answer);
    return err;
}

/* Not more at once than the resolver takes, whatever others ask it. */
static int wait_and_ask(struct weft_http_journey *journey, int64_t until_ns)
{
    struct weft_http_engine *engine = journey->engine;
    int err = weft_semaphore_acquire(&engine->look_ups, 1, until_ns);
    if (err < 0)
        return err;
    err = ask_for_name(journey, until_ns);
    (void)weft_semaphore_release(&engine->look_ups, 1);
    return err;
}

static int64_t sooner(int64_t one_ns, int64_t other_ns)
{
    return one_ns < other_ns ? one_ns : other_ns;
}

static int look_up(struct weft_http_journey *journey)
{
    struct weft_http_engine *engine = journey->engine;
    const struct weft_http_client_options *options = &engine->options;
    struct weft_http_transfer *transfer = journey->transfer;
    struct in_addr number;
    int64_t before_ns = weft_now();
    if (transfer->connect_by_ns == 0)
        transfer->connect_by_ns = weft_time_after(before_ns, options->connect_timeout_ns);
    if (inet_pton(AF_INET, transfer->name, &number) == 1)
        return add_addresses(transfer, transfer->name);
    const char *known = weft_http_names_find(&engine->names, transfer->name, before_ns);
    if (known) {
        weft_http_count(&engine->counts.names_reused, 1);
        return add_addresses(transfer, known);
    }
    int64_t until_ns = sooner(transfer->connect_by_ns, journey->deadline_ns);
    if (options->name_timeout_ns > 0)
        until_ns = sooner(until_ns, weft_time_after(before_ns, options->name_timeout_ns));
    int err = wait_and_ask(journey, until_ns);
    journey->name_ns += weft_now() - before_ns;
    return err;
}

int weft_http_journey_find_name(struct weft_http_journey *journey)
{
    struct weft_http_transfer *transfer = journey->transfer;
    int err = 0;
    journey->phase = WEFT_HTTP_AT_NAME;
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
                   err == -EADDRNOTAVAIL ? "no such host"
                   : err == -ETIMEDOUT   ? "not looked up in time"
                                         : weft_strerror(err));
    return err;
}
