/* SPDX-License-Identifier: MIT
 * settings.c - see settings.h. */
#include <serve/settings.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <job/engine.h>
#include <serve/broker_name.h>

#define CONCURRENCY_MAX 1000000u
#define WORKERS_MAX     64u
_Static_assert(WORKERS_MAX < WEFT_CONSUMERS_MAX, "one more consumer serves other queues");

__attribute__((format(printf, 4, 5))) static int refuse(int err, char *text, size_t bytes,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (bytes > 0)
        (void)vsnprintf(text, bytes, format, args);
    va_end(args);
    return err;
}

static int check_numbers(struct weft_serve_settings *settings,
                         const struct weft_serve_options *options, char *error, size_t error_bytes)
{
    static const int64_t steps_ns[WEFT_SERVE_STEPS] = {2 * WEFT_SEC, WEFT_SEC, WEFT_SEC / 2};
    settings->workers = options->workers ? options->workers : 4;
    settings->concurrency = options->concurrency ? options->concurrency : 1000;
    settings->queue_size = options->queue_size ? options->queue_size : 100000;
    settings->job_concurrency = options->job_concurrency ? options->job_concurrency : 1000;
    settings->grace_ns = options->grace_ns ? options->grace_ns : 30 * WEFT_SEC;
    settings->answer_timeout_ns =
        options->answer_timeout_ns ? options->answer_timeout_ns : 30 * WEFT_SEC;
    if (settings->workers > WORKERS_MAX)
        return refuse(-EINVAL, error, error_bytes, "there can be at most %u workers", WORKERS_MAX);
    if (settings->concurrency > CONCURRENCY_MAX || settings->job_concurrency > CONCURRENCY_MAX)
        return refuse(-EINVAL, error, error_bytes,
                      "a worker can have at most %u jobs under way at once", CONCURRENCY_MAX);
    if (settings->grace_ns < 0)
        return refuse(-EINVAL, error, error_bytes, "the grace period cannot be negative");
    if (settings->answer_timeout_ns < 0)
        return refuse(-EINVAL, error, error_bytes, "the time for answers cannot be negative");
    for (int i = 0; i < WEFT_SERVE_STEPS; i++) {
        settings->steps_ns[i] = options->steps_ns ? options->steps_ns[i] : steps_ns[i];
        if (settings->steps_ns[i] < 0 || settings->steps_ns[i] > 24 * (3600 * WEFT_SEC))
            return refuse(-EINVAL, error, error_bytes, "a step can take from 0 to 24 hours");
    }
    return 0;
}

int weft_serve_settings_parse(struct weft_serve_settings *ret_settings,
                              const struct weft_serve_options *options, char *error,
                              size_t error_bytes)
{
    struct weft_serve_settings settings = {0};
    const char *listen = options->listen ? options->listen : "127.0.0.1:8001";
    if (weft_listen_address_parse(&settings.listen, listen) < 0)
        return refuse(-EINVAL, error, error_bytes,
                      "\"%s\" is no address to listen on; write it like 127.0.0.1:8001", listen);
    int err = check_numbers(&settings, options, error, error_bytes);
    if (!err)
        err = weft_broker_name_parse(&settings.database_path,
                                     options->broker ? options->broker : "sqlite:weft.db", false,
                                     error, error_bytes);
    if (!err && options->token_file)
        err = weft_tokens_read(&settings.tokens, options->token_file, error, error_bytes);
    if (err)
        return err;
    if (!settings.listen.loopback && settings.tokens.count == 0 && !options->insecure)
        return refuse(-EINVAL, error, error_bytes,
                      "%s can be reached from other machines: give a token file, or say that it "
                      "is to be insecure",
                      listen);
    *ret_settings = settings;
    return 0;
}

void weft_serve_settings_release(struct weft_serve_settings *settings)
{
    weft_tokens_release(&settings->tokens);
}
