/* SPDX-License-Identifier: MIT
 * start.c - how the service starts, refuses to start, drains and comes back. */
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void check_start_fails(const char *database, const struct weft_serve_options *options,
                              int expected, const char *word)
{
    char error[256] = "";
    CHECK_EQUAL(server_start_fails(database, options, error, sizeof error), expected);
    CHECK(strstr(error, word) != NULL);
    if (!strstr(error, word))
        test_note("the error was: %s", error);
}

/* Post a job and return its id; free it. */
static char *post_id(const struct server *server)
{
    struct reply reply;
    http_post(server, "{\"text\":\"a\"}", &reply);
    CHECK_EQUAL(reply.status, 200);
    json_t *root = reply_json(&reply);
    char *id = strdup(json_string_value(json_object_get(root, "request_id")));
    json_decref(root);
    reply_free(&reply);
    return id;
}

/* The number that a query gives. */
static long long query(const char *database, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    REQUIRE(sqlite3_open_v2(server_database(database), &db, SQLITE_OPEN_READONLY, NULL) ==
            SQLITE_OK);
    REQUIRE(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    long long value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}

static int64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Returns the status; body may be NULL for a GET. */
static int status_of(const struct server *server, const char *path, const char *body)
{
    struct reply reply;
    if (body)
        http_post(server, body, &reply);
    else
        http_get(server, path, &reply);
    int status = reply.status;
    reply_free(&reply);
    return status;
}

TEST(a_port_in_use_is_said_in_a_sentence)
{
    struct server server;
    server_start(&server, "first.db", &(struct weft_serve_options){0});
    char listen[32];
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%d", server.port);
    check_start_fails("second.db", &(struct weft_serve_options){.listen = listen}, -EADDRINUSE,
                      "in use");
    CHECK(access(server_database("second.db"), F_OK) != 0); /* nothing was made in vain */
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(a_database_in_use_is_said_in_a_sentence)
{
    struct server server;
    server_start(&server, "used.db", &(struct weft_serve_options){0});
    check_start_fails("used.db", &(struct weft_serve_options){0}, -EBUSY, "another server");
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(a_database_of_a_newer_version_is_said_in_a_sentence)
{
    struct server server;
    server_start(&server, "newer.db", &(struct weft_serve_options){0});
    CHECK_EQUAL(server_stop(&server), 0);
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(server_database("newer.db"), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
    check_start_fails("newer.db", &(struct weft_serve_options){0}, WEFT_EVERSION, "newer weft");
}

TEST(bad_options_are_said_in_a_sentence)
{
    check_start_fails("x.db", &(struct weft_serve_options){.listen = "0.0.0.0:0"}, -EINVAL,
                      "token file");
    check_start_fails("x.db", &(struct weft_serve_options){.broker = "mysql:x"}, -EINVAL,
                      "not known");
    check_start_fails("x.db", &(struct weft_serve_options){.broker = "sqlite:/no/dir/x.db"},
                      -ENOENT, "/no/dir/x.db");
}

TEST(sigterm_lets_a_running_job_finish_and_the_exit_is_clean)
{
    static const int64_t steps_ns[] = {WEFT_SEC, 0, 0};
    struct server server;
    server_start(&server, "finish.db", &(struct weft_serve_options){.steps_ns = steps_ns});
    char *id = post_id(&server);
    CHECK(wait_for_status(&server, id, "processing"));
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK_EQUAL(query("finish.db", "SELECT count(*) FROM outcomes WHERE state = 5"), 1);
    CHECK_EQUAL(query("finish.db", "SELECT count(*) FROM queue"), 0);
    server_start(&server, "finish.db", &(struct weft_serve_options){0});
    char path[128];
    (void)snprintf(path, sizeof path, "/status/%s", id);
    struct reply reply;
    http_get(&server, path, &reply);
    CHECK(reply.body && strstr(reply.body, "\"status\":\"completed\""));
    reply_free(&reply);
    CHECK_EQUAL(server_stop(&server), 0);
    free(id);
}

TEST(the_grace_is_for_requests_and_jobs_together)
{
    static const int64_t steps_ns[] = {600 * WEFT_SEC, 0, 0};
    struct weft_serve_options slow = {.steps_ns = steps_ns, .grace_ns = 300 * WEFT_MSEC};
    static const char half[] = "POST /process HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n{";
    struct server server;
    server_start(&server, "grace.db", &slow);
    char *id = post_id(&server);
    int fd = server_connect(&server);
    REQUIRE(fd >= 0 && send(fd, half, sizeof half - 1, MSG_NOSIGNAL) > 0);
    CHECK(wait_for_status(&server, id, "processing"));
    int64_t begin_ms = now_ms();
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK(now_ms() - begin_ms < 5000); /* 10 s when each has its own time */
    CHECK_EQUAL(query("grace.db", "SELECT count(*) FROM queue WHERE state = 2"), 1);
    (void)close(fd);
    free(id);
}

TEST(what_does_not_finish_in_the_grace_runs_again_without_having_spent_an_attempt)
{
    static const int64_t steps_ns[] = {600 * WEFT_SEC, 0, 0};
    struct weft_serve_options slow = {.steps_ns = steps_ns, .grace_ns = 50 * WEFT_MSEC};
    struct server server;
    server_start(&server, "again.db", &slow);
    char *id = post_id(&server);
    CHECK(wait_for_status(&server, id, "processing"));
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK_EQUAL(query("again.db", "SELECT state * 10 + attempt FROM queue"), 20);
    server_start(&server, "again.db", &(struct weft_serve_options){0});
    CHECK(wait_for_status(&server, id, "completed"));
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK_EQUAL(query("again.db", "SELECT attempt FROM outcomes"), 1);
    free(id);
}

TEST(a_second_signal_ends_the_waiting)
{
    static const int64_t steps_ns[] = {600 * WEFT_SEC, 0, 0};
    struct server server;
    server_start(&server, "hurry.db", &(struct weft_serve_options){.steps_ns = steps_ns});
    char *id = post_id(&server);
    CHECK(wait_for_status(&server, id, "processing"));
    (void)kill(server.pid, SIGTERM);
    int fd;
    int64_t until_ms = 0;
    do { /* until it drains: no more connections */
        fd = server_connect(&server);
        if (fd >= 0)
            (void)close(fd);
    } while (fd >= 0 && look_again(&until_ms));
    CHECK_EQUAL(server_stop(&server), 0);
    free(id);
}

TEST(the_queue_comes_back_after_a_restart_with_other_numbers)
{
    static const int64_t steps_ns[] = {600 * WEFT_SEC, 0, 0};
    struct weft_serve_options slow = {
        .steps_ns = steps_ns, .workers = 7, .concurrency = 1, .grace_ns = WEFT_MSEC};
    struct server server;
    server_start(&server, "back.db", &slow);
    for (int i = 0; i < 30; i++)
        free(post_id(&server));
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK_EQUAL(query("back.db", "SELECT count(*) FROM queue WHERE state = 2"), 30);
    server_start(&server, "back.db", &(struct weft_serve_options){.workers = 2});
    int64_t until_ms = 0;
    while (query("back.db", "SELECT count(*) FROM outcomes") < 30 && look_again(&until_ms))
        continue;
    CHECK_EQUAL(query("back.db", "SELECT count(*) FROM requests WHERE status = 'completed'"), 30);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(when_the_file_cannot_grow_requests_get_503_and_later_work_again)
{
    struct server server;
    server_start(&server, "small.db", &(struct weft_serve_options){0});
    char *before = post_id(&server);
    struct rlimit old, small = {600000, RLIM_INFINITY};
    REQUIRE(prlimit(server.pid, RLIMIT_FSIZE, NULL, &old) == 0);
    small.rlim_max = old.rlim_max;
    REQUIRE(prlimit(server.pid, RLIMIT_FSIZE, &small, NULL) == 0);
    char *large = malloc(100000);
    REQUIRE(large);
    int len = snprintf(large, 100000, "{\"text\":\"%090000d\"}", 7);
    CHECK(len > 90000);
    struct reply reply = {0};
    for (int i = 0; i < 20 && reply.status != 503; i++) {
        reply_free(&reply);
        http_post(&server, large, &reply);
        CHECK(reply.status == 200 || reply.status == 503);
    }
    CHECK_EQUAL(reply.status, 503);
    CHECK(strstr(reply.head, "Retry-After: ") != NULL);
    CHECK(reply.body && strstr(reply.body, "the disk is full"));
    reply_free(&reply);
    int ready;
    int64_t until_ms = 0;
    do { /* a small row may still fit */
        (void)status_of(&server, "/process", "{\"text\":\"b\"}");
        ready = status_of(&server, "/readyz", NULL);
    } while (ready != 503 && look_again(&until_ms));
    CHECK_EQUAL(ready, 503);
    CHECK(wait_for_status(&server, before, "completed"));

    REQUIRE(prlimit(server.pid, RLIMIT_FSIZE, &old, NULL) == 0);
    CHECK_EQUAL(status_of(&server, "/readyz", NULL), 200); /* though nobody posted a job */
    CHECK_EQUAL(status_of(&server, "/process", large), 200);
    char *after = post_id(&server);
    CHECK(wait_for_status(&server, after, "completed"));
    CHECK_EQUAL(server_stop(&server), 0);
    free(large);
    free(before);
    free(after);
}

TEST(another_program_that_writes_holds_up_jobs_but_no_numbers)
{
    struct server server;
    server_start(&server, "busy.db", &(struct weft_serve_options){0});
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(server_database("busy.db"), &db) == SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 10000); /* the server may be writing its first rows */
    REQUIRE(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    struct reply reply;
    http_post(&server, "{\"text\":\"a\"}", &reply);
    CHECK_EQUAL(reply.status, 503);
    CHECK(reply.body && strstr(reply.body, "another program writes to the database"));
    reply_free(&reply);
    CHECK_EQUAL(status_of(&server, "/queue-status", NULL), 200); /* while the other still writes */
    CHECK_EQUAL(status_of(&server, "/queue-status", NULL), 200);
    CHECK(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
    CHECK_EQUAL(status_of(&server, "/process", "{\"text\":\"a\"}"), 200);
    CHECK_EQUAL(server_stop(&server), 0);
    CHECK_EQUAL(query("busy.db", "SELECT count(*) FROM queue_metrics WHERE 1"), 2);
}

/* The last test: who is not root cannot raise the limit again. */
TEST(with_few_descriptors_clients_beyond_them_are_answered)
{
    struct rlimit old, few = {256, 256};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
    struct server server;
    server_start(&server, "few.db", &(struct weft_serve_options){0});
    int fds[200], count = 0;
    int status = 200;
    while (count < 200 && status == 200) {
        fds[count] = server_connect(&server);
        REQUIRE(fds[count++] >= 0);
        status = status_of(&server, "/healthz", NULL);
    }
    CHECK_EQUAL(status, 503);
    CHECK(count > 50);
    while (count > 0)
        (void)close(fds[--count]);
    CHECK_EQUAL(server_stop(&server), 0);
    (void)setrlimit(RLIMIT_NOFILE, &old);
}
