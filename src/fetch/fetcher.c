/* SPDX-License-Identifier: MIT
 * fetcher.c - a fetcher from open to close, and its numbers. What it does is in get.c. */
#include <fetch/fetcher.h>

#include <weft/keyed_limiter.h>
#include <weft/retry_budget.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define CONCURRENCY         100u
#define CONCURRENCY_MAX     10000u
#define THREADS_MAX         1000u
#define HOSTS               10000u
#define HOSTS_MAX           1000000u
#define RATE_MAX            1e6
#define CONNECT_TIMEOUT_MAX (300 * WEFT_SEC) /* libcurl's own limit */
#define WAITING_MAX         100000u
#define KEYS_MAX            1048576u
/* So much of a second a rate may catch up with: a burst that nobody notices, without which a timer
 * that is late would cost part of the rate. */
#define BURST_SECONDS 0.01

static const struct weft_fetcher_options defaults;

static void fill(unsigned *value, unsigned otherwise)
{
    *value = *value ? *value : otherwise;
}

static void fill_ns(int64_t *value, int64_t otherwise)
{
    *value = *value ? *value : otherwise;
}

static void fill_options(struct weft_fetcher_options *options)
{
    fill(&options->concurrency, CONCURRENCY);
    if (options->engine == WEFT_FETCH_SYNC)
        options->concurrency = 1;
    fill(&options->hosts_max, HOSTS);
    fill(&options->attempts_max, 3);
    fill(&options->breaker_calls, 50);
    fill_ns(&options->backoff_base_ns, 500 * WEFT_MSEC);
    fill_ns(&options->backoff_cap_ns, 30 * WEFT_SEC);
    fill_ns(&options->retry_after_max_ns, 300 * WEFT_SEC);
    fill_ns(&options->connect_timeout_ns, 10 * WEFT_SEC);
    fill_ns(&options->attempt_timeout_ns, 30 * WEFT_SEC);
    fill_ns(&options->total_timeout_ns, 120 * WEFT_SEC);
    fill_ns(&options->breaker_open_ns, 10 * WEFT_SEC);
    if (options->breaker_rate == 0) // NOLINT: exactly what was left out
        options->breaker_rate = 0.5;
    if (options->redirects_max == 0)
        options->redirects_max = 10;
    else if (options->redirects_max == WEFT_FETCH_NONE)
        options->redirects_max = 0;
    if (options->response_bytes_max == 0)
        options->response_bytes_max = (size_t)8 << 20;
    if (!options->user_agent)
        options->user_agent = "weft/" WEFT_VERSION;
}

static bool is_rate(double rate)
{
    return rate >= 0 && rate <= RATE_MAX;
}

static int check_options(const struct weft_fetcher_options *options)
{
    bool threads = options->engine == WEFT_FETCH_THREADED;
    if ((unsigned)options->engine >= WEFT_FETCH_ENGINES ||
        (unsigned)options->pooling > WEFT_FETCH_NAIVE ||
        options->concurrency > (threads ? THREADS_MAX : CONCURRENCY_MAX) ||
        options->hosts_max > HOSTS_MAX)
        return -EINVAL;
    if (!is_rate(options->rate_per_s) || !is_rate(options->host_rate_per_s) ||
        !(options->retry_ratio <= 1000) || !(options->breaker_rate > 0) ||
        options->breaker_rate > 1)
        return -EINVAL;
    if (options->backoff_base_ns < 0 || options->backoff_cap_ns < 0 ||
        options->retry_after_max_ns < 0 || options->connect_timeout_ns < 0 ||
        options->attempt_timeout_ns < 0 || options->total_timeout_ns < 0 ||
        options->breaker_open_ns < 0 || options->connect_timeout_ns > CONNECT_TIMEOUT_MAX)
        return -EINVAL;
    bool proxied = options->proxy || options->proxy_of_environment;
    return proxied && options->refuse_private ? -EINVAL : 0; /* the proxy would connect */
}

static struct weft_limiter_rate rate_of(double per_second)
{
    double burst = per_second * BURST_SECONDS;
    return (struct weft_limiter_rate){.count = per_second,
                                      .burst = burst > 1 ? (uint32_t)burst : 1};
}

static int open_limits(struct weft_fetcher *fetcher)
{
    const struct weft_fetcher_options *options = &fetcher->options;
    int err = weft_semaphore_init(&fetcher->places, options->concurrency, WEFT_AUTO);
    if (err == 0 && options->rate_per_s > 0) {
        const struct weft_limiter_options limiter = {
            .kind = WEFT_LIMITER_GCRA,
            .rate = rate_of(options->rate_per_s),
            .waiters_max = WAITING_MAX,
            .name = "fetch rate",
        };
        err = weft_limiter_open(&fetcher->rate, &limiter);
    }
    if (err == 0 && options->host_rate_per_s > 0) {
        unsigned keys = options->hosts_max + WAITING_MAX;
        const struct weft_keyed_limiter_options limiter = {
            .limiter = {.kind = WEFT_LIMITER_GCRA,
                        .rate = rate_of(options->host_rate_per_s),
                        .waiters_max = WAITING_MAX,
                        .name = "fetch host rate"},
            .keys_max = keys < KEYS_MAX ? keys : KEYS_MAX,
        };
        err = weft_keyed_limiter_open(&fetcher->host_rate, &limiter);
    }
    if (err == 0 && options->retry_ratio >= 0 && options->attempts_max > 1) {
        const struct weft_retry_budget_options budget = {
            .name = "fetch retries",
            .ratio = options->retry_ratio,
            .keys_max = options->hosts_max < KEYS_MAX ? options->hosts_max : KEYS_MAX,
        };
        err = weft_retry_budget_open(&fetcher->budget, &budget);
    }
    return err;
}

static void on_breaker(void *arg, const struct weft_breaker_event *event)
{
    struct weft_fetcher *fetcher = arg;
    if (event->to == WEFT_BREAKER_OPEN)
        weft_fetch_count(&fetcher->counts.breaker_opened, 1);
}

static int open_hosts(struct weft_fetcher *fetcher)
{
    const struct weft_fetcher_options *options = &fetcher->options;
    int err = weft_fetch_hosts_init(&fetcher->hosts, options->hosts_max);
    if (err)
        return err;
    fetcher->breakers = (struct weft_breaker_options){
        .name = "host",
        .window_calls = options->breaker_calls,
        .calls_min = options->breaker_calls < 20 ? options->breaker_calls : 20,
        .failure_rate = options->breaker_rate,
        .open_ns = options->breaker_open_ns,
        .on_event = on_breaker,
        .on_event_arg = fetcher,
    };
    if (options->host_concurrency < options->concurrency)
        fetcher->hosts.places = options->host_concurrency;
    fetcher->hosts.breakers = options->breaker_off ? NULL : &fetcher->breakers;
    return 0;
}

static void seed(struct weft_fetcher *fetcher)
{
    fetcher->draws = fetcher->options.seed;
    if (fetcher->draws == 0)
        (void)!getrandom(&fetcher->draws, sizeof fetcher->draws, GRND_NONBLOCK);
}

static void free_parts(struct weft_fetcher *fetcher)
{
    if (fetcher->engine)
        fetcher->ops->close(fetcher->engine);
    weft_retry_budget_close(fetcher->budget);
    weft_keyed_limiter_close(fetcher->host_rate);
    weft_limiter_close(fetcher->rate);
    weft_fetch_hosts_deinit(&fetcher->hosts);
    free(fetcher);
}

int weft_fetcher_open(struct weft_fetcher **ret_fetcher, const struct weft_fetcher_options *options)
{
    if (weft_worker_index() < 0)
        return -EPERM;
    struct weft_fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return -ENOMEM;
    fetcher->options = options ? *options : defaults;
    fill_options(&fetcher->options);
    fetcher->ops =
        fetcher->options.engine == WEFT_FETCH_ASYNC ? &weft_fetch_async : &weft_fetch_threads;
    int err = check_options(&fetcher->options);
    if (err == 0)
        err = open_hosts(fetcher);
    if (err) {
        free(fetcher);
        return err;
    }
    seed(fetcher);
    err = open_limits(fetcher);
    if (err == 0)
        err = fetcher->ops->open(&fetcher->engine, &fetcher->options);
    if (err) {
        free_parts(fetcher);
        return err;
    }
    *ret_fetcher = fetcher;
    return 0;
}

void weft_fetcher_close(struct weft_fetcher *fetcher)
{
    if (fetcher)
        free_parts(fetcher);
}

void weft_fetcher_stats(struct weft_fetcher *fetcher, struct weft_fetcher_stats *ret_stats)
{
    struct weft_fetcher_stats stats = {0};
    const struct weft_fetcher_stats *counts = &fetcher->counts;
#define READ(field) (stats.field = __atomic_load_n(&counts->field, __ATOMIC_RELAXED))
    READ(exchanges);
    READ(attempts);
    READ(retries);
    READ(redirects);
    READ(connections);
    READ(reused);
    READ(retries_refused);
    READ(breaker_refused);
    READ(breaker_opened);
    READ(pauses);
    READ(exchanges_now);
    READ(waiting_now);
#undef READ
    (void)pthread_mutex_lock(&fetcher->hosts.lock);
    stats.hosts_dropped = fetcher->hosts.dropped;
    stats.hosts_now = fetcher->hosts.count;
    (void)pthread_mutex_unlock(&fetcher->hosts.lock);
    *ret_stats = stats;
}

const char *weft_fetch_engine_name(enum weft_fetch_engine engine)
{
    static const char *const names[WEFT_FETCH_ENGINES] = {
        [WEFT_FETCH_ASYNC] = "async",
        [WEFT_FETCH_SYNC] = "sync",
        [WEFT_FETCH_THREADED] = "threaded",
    };
    return (unsigned)engine < WEFT_FETCH_ENGINES ? names[engine] : "none";
}
