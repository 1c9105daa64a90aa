/* SPDX-License-Identifier: MIT
 * v1_numbers.c - the registry of workers, statistics, the audit log, metrics and health. */
#include "v1.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct server server;

static void open_server(const char *database)
{
    server_start(&server, database, &(struct weft_serve_options){0});
}

static void close_server(void)
{
    CHECK_EQUAL(server_stop(&server), 0);
}

/* ---- workers ---------------------------------------------------------------------------- */

TEST(a_worker_joins_tells_how_it_is_and_leaves)
{
    open_server("workers.db");
    json_t *joined = v1(&server, "POST", "/v1/workers", 201,
                        "{'name':'py-1','host':'h \\u00e4','pid':4711,'version':'3.11',"
                        "'queues':'a,b','concurrency':8}");
    int64_t number = v1_number(joined, "number");
    CHECK(number > 0);
    const char *path = v1_path("/v1/workers/%lld", (long long)number);
    v1_ok(&server, "PUT", path, 204, "{'running':3,'done':1000000000000}");
    json_t *workers = v1(&server, "GET", "/v1/workers", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(workers, "workers")), 2); /* and the server itself */
    const json_t *worker = v1_at(workers, "workers.0");
    CHECK_EQUAL(v1_number(worker, "number"), number);
    CHECK_TEXT(worker, "name", "py-1");
    CHECK_TEXT(worker, "host", "h \xc3\xa4");
    CHECK_EQUAL(v1_number(worker, "pid"), 4711);
    CHECK_TEXT(worker, "version", "3.11");
    CHECK_TEXT(worker, "queues", "a,b");
    CHECK_EQUAL(v1_number(worker, "concurrency"), 8); /* it was not told anew */
    CHECK_EQUAL(v1_number(worker, "running"), 3);
    CHECK_EQUAL(v1_number(worker, "done"), 1000000000000);
    CHECK(json_is_true(v1_at(worker, "alive")));
    CHECK(!v1_at(worker, "ended_at"));
    json_decref(workers);

    (void)v1_put(&server, "{'task':'t','queue':'a'}");
    json_t *leased =
        v1(&server, "POST", "/v1/lease", 200, "{'queues':['a'],'worker':%lld}", (long long)number);
    json_t *job = v1_job(&server, v1_text(leased, "jobs.0.id"));
    CHECK_EQUAL(v1_number(job, "worker"), number);
    json_decref(job);
    json_decref(leased);

    v1_ok(&server, "PUT", path, 204, "{'running':1,'done':5,'concurrency':16}");
    v1_ok(&server, "DELETE", path, 204, NULL);
    workers = v1(&server, "GET", "/v1/workers", 200, NULL);
    CHECK(json_is_false(v1_at(workers, "workers.0.alive")));
    CHECK_EQUAL(v1_number(workers, "workers.0.concurrency"), 16);
    CHECK(v1_at(workers, "workers.0.ended_at") != NULL);
    json_decref(workers);
    v1_refused(&server, "PUT", path, 404, "join again", "{'running':1}");
    v1_refused(&server, "DELETE", path, 404, "join again", NULL);
    json_decref(joined);
    close_server();
}

TEST(what_is_no_worker_is_refused)
{
    open_server("noworker.db");
    char host[80];
    memset(host, 'h', sizeof host);
    host[65] = '\0';
    v1_refused(&server, "POST", "/v1/workers", 422, "\"name\" is missing", "{}");
    v1_refused(&server, "POST", "/v1/workers", 422, "\"name\" must be", "{'name':'a b'}");
    v1_refused(&server, "POST", "/v1/workers", 422, "\"host\" has more than 64 bytes",
               "{'name':'w','host':'%s'}", host);
    v1_refused(&server, "POST", "/v1/workers", 422, "\"pid\" must be", "{'name':'w','pid':-1}");
    v1_refused(&server, "POST", "/v1/workers", 422, "\"concurrency\" must be",
               "{'name':'w','concurrency':'many'}");
    v1_refused(&server, "POST", "/v1/workers", 422, "unknown member", "{'name':'w','x':1}");
    v1_refused(&server, "PUT", "/v1/workers/99999", 404, "join again", "{'running':1}");
    v1_ok(&server, "PUT", "/v1/workers/99999999999999999999", 404, "{}");
    v1_refused(&server, "PUT", "/v1/workers/1", 422, "\"running\" must be", "{'running':-1}");
    v1_ok(&server, "PUT", "/v1/workers/me", 404, "{}");
    close_server();
}

TEST(the_latest_thousand_workers_are_shown)
{
    open_server("thousand.db");
    for (int i = 0; i < 1001; i++)
        v1_ok(&server, "POST", "/v1/workers", 201, "{'name':'w%d'}", i);
    json_t *workers = v1(&server, "GET", "/v1/workers", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(workers, "workers")), 1000);
    CHECK_TEXT(workers, "workers.0.name", "w1000");
    CHECK_TEXT(workers, "workers.999.name", "w1");
    json_decref(workers);
    close_server();
}

/* ---- numbers ---------------------------------------------------------------------------- */

TEST(statistics_count_every_job_and_outlive_the_server)
{
    open_server("stats.db");
    v1_ok(&server, "POST", "/v1/jobs", 200,
          "[{'task':'t','queue':'q'},{'task':'t','queue':'q'},{'task':'t','delay':60}]");
    json_t *leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "complete", ""));
    json_decref(leased);
    leased = v1_lease(&server, "q");
    json_decref(v1_settle(&server, leased, "die", ""));
    json_decref(leased);
    for (int i = 0; i < 2; i++) {
        json_t *stats = v1(&server, "GET", "/v1/stats", 200, NULL);
        CHECK_EQUAL(v1_number(stats, "jobs.completed"), 1);
        CHECK_EQUAL(v1_number(stats, "jobs.dead"), 1);
        CHECK_EQUAL(v1_number(stats, "jobs.scheduled"), 1);
        CHECK_EQUAL(v1_number(stats, "jobs.available"), 0);
        CHECK(v1_real(stats, "processing_seconds.max") >= v1_real(stats, "processing_seconds.min"));
        CHECK(v1_number(stats, "server.places") >= 1000);
        json_decref(stats);
        if (i == 0) {
            server_kill(&server);
            open_server("stats.db");
        }
    }
    close_server();
}

TEST(the_audit_log_has_a_limit_and_shows_the_newest)
{
    open_server("audit.db");
    for (int i = 0; i < 5; i++)
        v1_ok(&server, "PATCH", v1_path("/v1/queues/q%d", i), 200, "{'burst':%d}", i);
    json_t *audit = v1(&server, "GET", "/v1/audit?limit=2", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(audit, "entries")), 2);
    CHECK_TEXT(audit, "entries.0.target", "q4");
    CHECK_TEXT(audit, "entries.1.target", "q3");
    json_decref(audit);
    audit = v1(&server, "GET", "/v1/audit", 200, NULL);
    CHECK_EQUAL(json_array_size(v1_at(audit, "entries")), 5);
    json_decref(audit);
    const char *id = v1_put(&server, "{'task':'t'}");
    v1_ok(&server, "DELETE", v1_path("/v1/jobs/%s", id), 200, NULL);
    v1_ok(&server, "POST", v1_path("/v1/jobs/%s/retry", id), 200, NULL);
    audit = v1(&server, "GET", "/v1/audit?limit=1000", 200, NULL);
    CHECK_TEXT(audit, "entries.0.action", "retry");
    CHECK_TEXT(audit, "entries.0.target", id);
    CHECK_TEXT(audit, "entries.1.action", "cancel");
    json_decref(audit);
    v1_refused(&server, "GET", "/v1/audit?limit=1001", 422, "\"limit\"", NULL);
    /* A detail is cut between characters, whatever was sent. */
    json_t *queue = v1(&server, "PATCH", "/v1/queues/q", 200, "{%300s'burst':1%100s}", "", "");
    json_decref(queue);
    audit = v1(&server, "GET", "/v1/audit?limit=1", 200, NULL);
    CHECK(strlen(v1_text(audit, "entries.0.detail")) <= 256);
    json_decref(audit);
    close_server();
}

/* A line of the text format: name{labels} value, or a comment. */
static bool is_metric_line(const char *line, char *ret_name, size_t bytes)
{
    size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
    if (len == 0 || isdigit((unsigned char)line[0]))
        return false;
    (void)snprintf(ret_name, bytes, "%.*s", (int)len, line);
    const char *at = line + len;
    if (*at == '{') {
        do {
            at++;
            at += strspn(at, "abcdefghijklmnopqrstuvwxyz_");
            if (at[0] != '=' || at[1] != '"')
                return false;
            for (at += 2; *at && *at != '"'; at++)
                at += at[0] == '\\' && at[1];
            if (*at++ != '"')
                return false;
        } while (*at == ',');
        if (*at++ != '}')
            return false;
    }
    char *end;
    if (*at++ != ' ')
        return false;
    (void)strtod(at, &end);
    return end > at && *end == '\0';
}

/* What belongs to a family that was named in "# TYPE". */
static bool belongs_to(const char *name, const char *family)
{
    size_t len = strlen(family);
    static const char *const ends[] = {"", "_bucket", "_sum", "_count"};
    for (size_t i = 0; i < 4; i++)
        if (strncmp(name, family, len) == 0 && strcmp(name + len, ends[i]) == 0)
            return true;
    return false;
}

/* Every family is announced once, and its samples stand together. */
static size_t check_page(char *page)
{
    char families[300][96], name[96] = "", *rest = NULL;
    size_t count = 0, samples = 0;
    for (char *line = strtok_r(page, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            (void)snprintf(families[count], sizeof families[0], "%.*s", (int)strcspn(line + 7, " "),
                           line + 7);
            for (size_t i = 0; i < count; i++)
                CHECK(strcmp(families[i], families[count]) != 0);
            REQUIRE(++count < 300);
        } else if (line[0] != '#') {
            bool good = is_metric_line(line, name, sizeof name) && count > 0 &&
                        belongs_to(name, families[count - 1]);
            CHECK(good);
            if (!good)
                test_note("%s", line);
            samples++;
        }
    }
    CHECK(count > 10);
    return samples;
}

TEST(the_page_of_metrics_is_what_prometheus_reads)
{
    struct reply reply;
    open_server("metrics.db");
    for (int i = 0; i < 30; i++)
        v1_ok(&server, "POST", "/v1/jobs", 201, "{'task':'t','queue':'queue.%d'}", i);
    http_get(&server, "/metrics", &reply);
    CHECK_EQUAL(reply.status, 200);
    CHECK(strstr(reply.head, "Content-Type: text/plain; version=0.0.4") != NULL);
    CHECK(strstr(reply.body, "\nweft_queue_jobs{queue=\"queue.7\",state=\"available\"} 1\n"));
    CHECK(strstr(reply.body, "\nweft_jobs_submitted_total 30\n"));
    CHECK(check_page(reply.body) > 30 * 9);
    reply_free(&reply);
    close_server();
}

TEST(health_needs_no_token_and_says_when_the_server_drains)
{
    open_server("health.db");
    json_t *answer = v1(&server, "GET", "/healthz", 200, NULL);
    CHECK_TEXT(answer, "status", "ok");
    json_decref(answer);
    answer = v1(&server, "GET", "/readyz", 200, NULL);
    CHECK_TEXT(answer, "status", "ready");
    json_decref(answer);
    v1_ok(&server, "GET", "/v1/nothing", 404, NULL);
    v1_ok(&server, "POST", "/healthz", 405, "{}");
    close_server();
}
