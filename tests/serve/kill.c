/* SPDX-License-Identifier: MIT
 * kill.c - kill -9 under load: every request that was answered with 200 is there afterwards, and
 * is completed by the next server.
 *
 * WEFT_KILL_ROUNDS sets the number of rounds, WEFT_KILL_SEED the seed; both are printed. */
#include "server.h"

#include <base/random.h>

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS     8
#define ANSWERS_MAX 20000

struct client {
    pthread_t thread;
    struct server server;
    size_t answers;
    char ids[ANSWERS_MAX][37];
};

/* Post on one connection until it breaks, and keep the id of every 200. */
static void *client_main(void *arg)
{
    struct client *client = arg;
    static const char request[] = "POST /process HTTP/1.1\r\nHost: t\r\nContent-Type: "
                                  "application/json\r\nContent-Length: 12\r\n\r\n{\"text\":\"a\"}";
    int fd = server_connect(&client->server);
    char answer[2048];
    while (fd >= 0 && client->answers < ANSWERS_MAX) {
        if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
            break;
        size_t len = 0;
        const char *end = NULL;
        while (!end && len < sizeof answer - 1) { /* the answer is one JSON object */
            ssize_t got = recv(fd, answer + len, sizeof answer - 1 - len, 0);
            if (got <= 0)
                break;
            len += (size_t)got;
            answer[len] = '\0';
            end = strchr(answer, '}');
        }
        const char *id = end ? strstr(answer, "\"request_id\":\"") : NULL;
        if (!id || strncmp(answer, "HTTP/1.1 200", 12) != 0)
            break;
        memcpy(client->ids[client->answers++], id + 14, 36);
    }
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

static long long query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    REQUIRE(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    long long value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

/* Returns how many of the ids are not there as completed. */
static size_t missing(sqlite3 *db, const struct client *client)
{
    sqlite3_stmt *statement = NULL;
    REQUIRE(sqlite3_prepare_v2(db,
                               "SELECT o.state FROM jobs j JOIN outcomes o USING (seq) WHERE j.seq "
                               "= ?1 AND lower(hex(j.id)) = ?2",
                               -1, &statement, NULL) == SQLITE_OK);
    size_t count = 0;
    for (size_t i = 0; i < client->answers; i++) {
        char hex[33], front[16];
        size_t at = 0;
        for (const char *c = client->ids[i]; *c; c++)
            if (*c != '-')
                hex[at++] = *c;
        hex[at] = '\0';
        (void)snprintf(front, sizeof front, "%.12s%.3s", hex, hex + 13);
        (void)sqlite3_bind_int64(statement, 1, strtoll(front, NULL, 16));
        (void)sqlite3_bind_text(statement, 2, hex, -1, SQLITE_STATIC);
        count += sqlite3_step(statement) != SQLITE_ROW || sqlite3_column_int(statement, 0) != 5;
        (void)sqlite3_reset(statement);
    }
    (void)sqlite3_finalize(statement);
    return count;
}

/* Load a server and kill it after delay_ms. Returns the number of 200s. */
static size_t load_and_kill(struct client *clients, const struct weft_serve_options *options,
                            uint64_t delay_ms)
{
    struct server server;
    server_start(&server, "kill.db", options);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].server = server;
        clients[i].answers = 0;
        REQUIRE(pthread_create(&clients[i].thread, NULL, client_main, &clients[i]) == 0);
    }
    sleep_ms(delay_ms);
    server_kill(&server);
    size_t answers = 0;
    for (int i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        answers += clients[i].answers;
    }
    return answers;
}

static void wait_until_drained(sqlite3 *db)
{
    int64_t until_ms = 0;
    while (query(db, "SELECT count(*) FROM queue") > 0 && look_again(&until_ms))
        continue;
    CHECK_EQUAL(query(db, "SELECT count(*) FROM queue"), 0);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

TEST(what_was_accepted_survives_kill_9_and_completes)
{
    static const int64_t steps_ns[] = {5 * WEFT_MSEC, 0, 0};
    struct weft_serve_options options = {.steps_ns = steps_ns, .concurrency = 20};
    uint64_t rounds = number_from("WEFT_KILL_ROUNDS", 3), seed = number_from("WEFT_KILL_SEED", 9);
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    REQUIRE(clients);
    struct weft_random random;
    weft_random_seed(&random, seed);
    size_t accepted = 0, lost = 0;
    sqlite3 *db = NULL;
    for (uint64_t round = 0; round < rounds; round++) {
        accepted += load_and_kill(clients, &options, 20 + weft_random_below(&random, 400));
        struct server server;
        server_start(&server, "kill.db", &options);
        if (round % 3 == 1) { /* once more, in the middle of the recovery */
            sleep_ms(weft_random_below(&random, 50));
            server_kill(&server);
            server_start(&server, "kill.db", &options);
        }
        REQUIRE(sqlite3_open_v2(server_database("kill.db"), &db, SQLITE_OPEN_READONLY, NULL) ==
                SQLITE_OK);
        wait_until_drained(db);
        for (int i = 0; i < CLIENTS; i++)
            lost += missing(db, &clients[i]);
        (void)sqlite3_close(db);
        CHECK_EQUAL(server_stop(&server), 0);
    }
    REQUIRE(sqlite3_open(server_database("kill.db"), &db) == SQLITE_OK);
    test_note("%llu rounds, seed %llu: %zu accepted, %zu lost, %lld jobs in all, %lld run more "
              "than once, %lld dead",
              (unsigned long long)rounds, (unsigned long long)seed, accepted, lost,
              query(db, "SELECT count(*) FROM jobs"),
              query(db, "SELECT count(*) FROM outcomes WHERE attempt + crashes > 1"),
              query(db, "SELECT count(*) FROM outcomes WHERE state = 7"));
    CHECK_EQUAL(lost, 0);
    CHECK(accepted > 0);
    CHECK_EQUAL(query(db, "SELECT count(*) FROM outcomes WHERE state <> 5"), 0);
    CHECK_EQUAL(query(db, "SELECT completed = (SELECT count(*) FROM outcomes) FROM totals"), 1);
    (void)sqlite3_close(db);
    free(clients);
}

/* Post one job and kill the server while it runs; then again each time it is started. */
TEST(a_job_that_is_hit_by_many_crashes_completes_on_the_same_port)
{
    static const int64_t steps_ns[] = {600 * WEFT_SEC, 0, 0};
    struct weft_serve_options slow = {.steps_ns = steps_ns};
    struct server server;
    server_start(&server, "hit.db", &slow);
    struct reply reply;
    http_post(&server, "{\"text\":\"a\"}", &reply);
    json_t *root = reply_json(&reply);
    const char *id = json_string_value(json_object_get(root, "request_id"));
    REQUIRE(reply.status == 200 && id);
    char listen[32];
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%d", server.port);
    slow.listen = listen;
    for (int i = 0; i < 4; i++) {
        CHECK(wait_for_status(&server, id, "processing"));
        server_kill(&server);
        server_start(&server, "hit.db", &slow); /* at once */
    }
    CHECK(wait_for_status(&server, id, "processing"));
    server_kill(&server);
    server_start(&server, "hit.db", &(struct weft_serve_options){.listen = listen});
    CHECK(wait_for_status(&server, id, "completed"));
    CHECK_EQUAL(server_stop(&server), 0);
    json_decref(root);
    reply_free(&reply);
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(server_database("hit.db"), &db) == SQLITE_OK);
    CHECK_EQUAL(query(db, "SELECT attempt * 100 + crashes FROM outcomes"), 105);
    (void)sqlite3_close(db);
}
