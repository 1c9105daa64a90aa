/* SPDX-License-Identifier: MIT
 * mock_settings.c - weft_mock_options, checked and taken apart. See mock_internal.h. */
#include <lab/mock_internal.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define LISTEN_DEFAULT      "127.0.0.1:8080"
#define CONNECTIONS_DEFAULT 10000u
#define WORKERS_MAX         64u

struct complaint {
    char *text;
    size_t bytes;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct complaint *complaint,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (complaint->bytes > 0)
        (void)vsnprintf(complaint->text, complaint->bytes, format, args);
    va_end(args);
    return -EINVAL;
}

static int take_listen(struct weft_mock *mock, const struct weft_mock_options *options,
                       const struct complaint *complaint)
{
    const char *listen = options->listen ? options->listen : LISTEN_DEFAULT;
    if (weft_listen_address_parse(&mock->listen, listen) < 0)
        return refuse(complaint, "\"%s\" is no address to listen on; write it like " LISTEN_DEFAULT,
                      listen);
    if (!mock->listen.loopback && !options->insecure)
        return refuse(complaint,
                      "%s can be reached from other machines: say that it is to be insecure",
                      listen);
    return 0;
}

static int take_texts(struct weft_mock *mock, const struct weft_mock_options *options,
                      const struct complaint *complaint)
{
    const char *reason;
    mock->has_latency = options->latency != NULL;
    if (mock->has_latency && weft_mock_latency_parse(&mock->latency, options->latency, &reason) < 0)
        return refuse(complaint, "the latency \"%s\" is not one: %s", options->latency, reason);
    mock->limited = options->rate_limit != NULL;
    if (mock->limited && weft_mock_quota_parse(&mock->quota, options->rate_limit, &reason) < 0)
        return refuse(complaint, "the rate limit \"%s\" is not one: %s", options->rate_limit,
                      reason);
    return 0;
}

static bool is_share(double value)
{
    return value >= 0 && value <= 1;
}

static int take_numbers(struct weft_mock *mock, const struct weft_mock_options *options,
                        const struct complaint *complaint)
{
    mock->seed = options->seed ? options->seed : 1;
    mock->error_rate = options->error_rate;
    mock->reset_rate = options->reset_rate;
    mock->robots_status = options->robots_status ? options->robots_status : 200;
    mock->workers_count = options->workers ? options->workers : 1;
    if (!is_share(mock->error_rate) || !is_share(mock->reset_rate))
        return refuse(complaint, "a rate of errors or resets is between 0 and 1");
    if (mock->robots_status < 200 || mock->robots_status > 599)
        return refuse(complaint, "the status of robots.txt is between 200 and 599");
    if (mock->workers_count > WORKERS_MAX)
        return refuse(complaint, "there can be at most %u workers", WORKERS_MAX);
    const char *reason = weft_mock_site_init(&mock->site, &options->site, mock->seed);
    return reason ? refuse(complaint, "%s", reason) : 0;
}

int weft_mock_settings(struct weft_mock *mock, const struct weft_mock_options *options,
                       char *ret_error, size_t error_bytes)
{
    const struct complaint complaint = {ret_error, error_bytes};
    int err = take_listen(mock, options, &complaint);
    if (!err)
        err = take_texts(mock, options, &complaint);
    if (!err)
        err = take_numbers(mock, options, &complaint);
    if (err)
        return err;
    unsigned connections =
        options->connections_max ? options->connections_max : CONNECTIONS_DEFAULT;
    mock->robots = options->robots;
    mock->retry_after_date = options->retry_after_date;
    mock->server_options = (struct weft_http_server_options){
        .address = mock->listen.host,
        .port = mock->listen.port,
        .routes = mock->routes,
        .routes_count = weft_mock_rows_count,
        .context = mock,
        .connections_max = (connections - 1) / mock->workers_count + 1,
        .server_name = "weft-mock",
        .reuse_port = mock->workers_count > 1,
    };
    return 0;
}
