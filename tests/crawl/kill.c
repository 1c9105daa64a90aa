/* SPDX-License-Identifier: MIT
 * kill.c - kill -9 in the middle of a crawl, again and again: the next one goes on, every page has
 * one result, and nothing was fetched twice but what was in flight.
 *
 * The site and the crawl are processes of their own; the site writes a byte for each page that it
 * is asked for into a pipe. WEFT_KILL_ROUNDS and WEFT_KILL_SEED as in tests/serve/kill.c. */
#include "site.h"

#include "test.h"

#include <base/random.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES       300
#define CONCURRENCY 4

static int pipe_fd;

static bool make_page(struct site *site, const char *path, struct weft_buffer *body)
{
    unsigned page = 0;
    (void)site;
    if (strcmp(path, "/robots.txt") == 0 || sscanf(path, "/%u", &page) > 1 || page >= PAGES)
        return false;
    while (write(pipe_fd, "x", 1) < 0 && errno == EINTR)
        continue;
    for (unsigned i = 1; i <= 5; i++)
        weft_buffer_append_format(body, "<a href=/%u>", (page * 5 + i) % PAGES);
    return true;
}

struct place {
    int port_fd;
    uint16_t port;
    const char *store;
};

static int serve(void *arg)
{
    const struct place *place = arg;
    struct site site;
    site_open_with(&site, NULL, 0);
    site.make = make_page;
    (void)!write(place->port_fd, &site.origin.port, sizeof site.origin.port);
    (void)weft_sleep(WEFT_FOREVER);
    return 0;
}

static int crawl(void *arg)
{
    const struct place *place = arg;
    struct weft_crawl_result result;
    char error[256], seed[64];
    (void)snprintf(seed, sizeof seed, "http://127.0.0.1:%u/0", place->port);
    const char *const seeds[] = {seed};
    const struct weft_crawl_options options = {
        .seeds = seeds,
        .seeds_count = 1,
        .store = place->store,
        .allow_private = 1,
        .ignore_sitemaps = 1,
        .concurrency = CONCURRENCY,
        .host_concurrency = CONCURRENCY,
        .delay_ns = WEFT_CRAWL_NO_DELAY,
    };
    return weft_crawl(&options, &result, error, sizeof error);
}

/* The parent has no threads, so its children may do as they like. */
static pid_t start(int (*fn)(void *), void *arg)
{
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0)
        _exit(weft_run(NULL, fn, arg) == 0 ? 0 : 1);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* Pages that were asked for, until so many are, or the crawl has ended. */
static unsigned count_pages(int fd, unsigned most, pid_t crawler, bool *ret_ended)
{
    unsigned count = 0;
    char bytes[256];
    *ret_ended = false;
    while (count < most) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, 20) > 0) {
            size_t wanted = most - count < sizeof bytes ? most - count : sizeof bytes;
            ssize_t len = read(fd, bytes, wanted);
            count += len > 0 ? (unsigned)len : 0;
        } else if (*ret_ended) {
            break; /* and nothing is left in the pipe */
        } else {
            siginfo_t info = {0};
            *ret_ended = waitid(P_PID, (id_t)crawler, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                         info.si_pid == crawler;
        }
    }
    return count;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

TEST(a_crawl_that_is_killed_goes_on_and_loses_only_what_was_in_flight)
{
    uint64_t rounds = number_from("WEFT_KILL_ROUNDS", 4), seed = number_from("WEFT_KILL_SEED", 5);
    int hits[2], port[2];
    struct weft_random random;
    REQUIRE(pipe(hits) == 0 && pipe(port) == 0);
    pipe_fd = hits[1];
    struct place place = {.port_fd = port[1], .store = store_path("kill.db")};
    weft_random_seed(&random, seed);
    pid_t site = start(serve, &place);
    REQUIRE(read(port[0], &place.port, sizeof place.port) == (ssize_t)sizeof place.port);
    unsigned asked = 0, killed = 0;
    bool ended = false;
    for (uint64_t i = 0; i < rounds; i++) {
        pid_t crawler = start(crawl, &place);
        asked +=
            count_pages(hits[0], 1 + (unsigned)weft_random_below(&random, 80), crawler, &ended);
        killed += !ended;
        (void)kill(crawler, SIGKILL);
        (void)wait_for(crawler);
    }
    pid_t crawler = start(crawl, &place);
    asked += count_pages(hits[0], UINT32_MAX, crawler, &ended);
    CHECK_EQUAL(wait_for(crawler), 0);
    (void)kill(site, SIGKILL);
    (void)wait_for(site);
    test_note("%u kills, seed %llu: %u requests for %d pages", killed, (unsigned long long)seed,
              asked, PAGES);
    CHECK(killed > 0);
    CHECK(asked >= PAGES && asked <= PAGES + killed * CONCURRENCY);
    CHECK_EQUAL(store_ask(place.store, "SELECT count(*) FROM results WHERE status_code = 200"),
                PAGES);
    CHECK_EQUAL(store_ask(place.store, "SELECT count(DISTINCT url) FROM urls WHERE state = 3"),
                PAGES);
    CHECK_EQUAL(store_ask(place.store, "SELECT count(*) FROM urls WHERE state <> 3"), 0);
    CHECK_EQUAL(store_ask(place.store, "SELECT count(*) FROM links"), PAGES * 5);
    CHECK_EQUAL(store_ask(place.store, "SELECT done + pending + claimed FROM totals"), PAGES);
    for (int i = 0; i < 2; i++) {
        (void)close(hits[i]);
        (void)close(port[i]);
    }
}
