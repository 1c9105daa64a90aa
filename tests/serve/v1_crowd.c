/* SPDX-License-Identifier: MIT
 * v1_crowd.c - two hundred clients at once who do everything there is, some of them badly; the
 * server is killed in the middle. What was promised holds.
 *
 * WEFT_CROWD_MS is how long each half takes (1000), WEFT_CROWD_SEED what they do. */
#include "v1.h"

#include <base/random.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS  200
#define IDS_MAX  4000 /* that one client keeps in mind */
#define BATCH    5
#define QUEUES   4
#define ID_BYTES 37

static struct server server;
static atomic_bool ending;

struct client {
    pthread_t thread;
    struct weft_random random;
    char (*accepted)[ID_BYTES];  /* answered with 2xx */
    char (*completed)[ID_BYTES]; /* settled so, and answered */
    size_t accepted_count, completed_count, requests, unexpected;
    char token[32], leased[ID_BYTES];
};

/* ---- requests --------------------------------------------------------------------------- */

/* An answer's JSON, NULL when there was none, or it was cut off. */
static json_t *ask(struct client *client, const char *method, const char *path, const char *body,
                   int *ret_status)
{
    struct reply reply;
    http_request(&server, method, path, body ? "Content-Type: application/json\r\n" : "", body,
                 body ? strlen(body) : 0, &reply);
    json_t *json = reply.len > 0 ? json_loadb(reply.body, reply.len, 0, NULL) : NULL;
    *ret_status = json || reply.status == 204 ? reply.status : 0;
    client->requests++;
    /* Refusals are fine, but nobody is to be surprised by one of these. */
    bool odd = reply.status >= 500 && reply.status != 503;
    if (odd || reply.status == 400 || reply.status == 422) {
        client->unexpected++;
        test_note("%s %s %.200s: %d %.200s", method, path, body ? body : "", reply.status,
                  reply.body ? reply.body : "");
    }
    reply_free(&reply);
    return json;
}

static void keep(char (*ids)[ID_BYTES], size_t *count, const char *id)
{
    if (*count < IDS_MAX && strlen(id) == ID_BYTES - 1)
        (void)strcpy(ids[(*count)++], id);
}

static unsigned below(struct client *client, unsigned limit)
{
    return (unsigned)weft_random_below(&client->random, limit);
}

/* ---- what clients do -------------------------------------------------------------------- */

static void put_one(struct client *client)
{
    char body[300];
    int status;
    static const char *const tasks[] = {"theirs", "theirs", "noop", "fail"};
    (void)snprintf(body, sizeof body,
                   "{\"task\":\"%s\",\"queue\":\"q%u\",\"priority\":%u,\"limit_key\":\"k%u\","
                   "\"max_attempts\":2,\"backoff\":{\"base\":0.01,\"cap\":0.01}%s}",
                   tasks[below(client, 4)], below(client, QUEUES), below(client, 10),
                   below(client, 3), below(client, 5) == 0 ? ",\"delay\":0.05" : "");
    json_t *json = ask(client, "POST", "/v1/jobs", body, &status);
    if (status == 201)
        keep(client->accepted, &client->accepted_count, v1_text(json, "id"));
    json_decref(json);
}

static void put_batch(struct client *client)
{
    char body[600];
    int status, len = 0;
    for (int i = 0; i < BATCH; i++)
        len += snprintf(body + len, sizeof body - (size_t)len,
                        "%s{\"task\":\"theirs\",\"queue\":\"q%u\",\"name\":\"n%d\",\"group\":\"g\""
                        "%s}",
                        i ? "," : "[", below(client, QUEUES), i,
                        i == BATCH - 1 ? ",\"after\":[\"n0\",\"n1\"]" : "");
    (void)snprintf(body + len, sizeof body - (size_t)len, "]");
    json_t *json =
        ask(client, "POST", below(client, 2) ? "/v1/jobs?atomic=true" : "/v1/jobs", body, &status);
    for (size_t i = 0; status == 200 && i < BATCH; i++)
        keep(client->accepted, &client->accepted_count,
             v1_text(json_array_get(v1_at(json, "jobs"), i), "id"));
    json_decref(json);
}

static void take(struct client *client)
{
    char body[200];
    int status;
    (void)snprintf(body, sizeof body,
                   "{\"queues\":[\"q%u\",\"q%u\"],\"tasks\":[\"theirs\"],\"wait\":0.0%u,"
                   "\"lease\":\"1h\"}",
                   below(client, QUEUES), below(client, QUEUES), below(client, 10));
    json_t *json = ask(client, "POST", "/v1/lease", body, &status);
    if (status == 200 && v1_at(json, "jobs.0")) {
        (void)snprintf(client->leased, sizeof client->leased, "%s", v1_text(json, "jobs.0.id"));
        (void)snprintf(client->token, sizeof client->token, "%.31s", v1_text(json, "jobs.0.token"));
    }
    json_decref(json);
}

static void settle(struct client *client)
{
    static const char *const outcomes[] = {"complete", "complete", "complete", "fail",
                                           "release",  "snooze",   "die"};
    char body[300];
    int status;
    if (!client->leased[0]) {
        take(client);
        return;
    }
    const char *outcome = outcomes[below(client, 7)];
    (void)snprintf(
        body, sizeof body, "{\"jobs\":[{\"id\":\"%s\",\"token\":\"%s\",\"outcome\":\"%s\"%s}]}",
        client->leased, client->token, outcome,
        strcmp(outcome, "complete") == 0 ? ",\"result\":[1],\"enqueue\":[{\"task\":\"noop\"}]"
                                         : "");
    json_t *json = ask(client, "POST", "/v1/settle", body, &status);
    if (status == 200 && strcmp(v1_text(json, "jobs.0.state"), "completed") == 0)
        keep(client->completed, &client->completed_count, client->leased);
    if (status == 200)
        client->leased[0] = '\0';
    json_decref(json);
}

static void extend(struct client *client)
{
    char body[300];
    int status;
    (void)snprintf(body, sizeof body,
                   "{\"jobs\":[{\"id\":\"%s\",\"token\":\"%s\",\"progress\":%u}]}",
                   client->leased[0] ? client->leased : "0190b7e0-1c2d-7abc-8def-0123456789ab",
                   client->leased[0] ? client->token : "1", below(client, 100));
    json_decref(ask(client, "POST", "/v1/extend", body, &status));
}

static void look(struct client *client)
{
    static const char *const paths[] = {"/v1/jobs?limit=20&state=available",
                                        "/v1/jobs?limit=5&queue=q1",
                                        "/v1/queues",
                                        "/v1/stats",
                                        "/v1/workers",
                                        "/v1/crons",
                                        "/metrics",
                                        "/readyz"};
    char path[128];
    int status;
    if (client->accepted_count > 0 && below(client, 2)) {
        (void)snprintf(path, sizeof path, "/v1/jobs/%s%s",
                       client->accepted[below(client, (unsigned)client->accepted_count)],
                       below(client, 2) ? "?wait=0.05" : "");
        json_decref(ask(client, "GET", path, NULL, &status));
        return;
    }
    json_decref(ask(client, "GET", paths[below(client, 8)], NULL, &status));
}

static void manage(struct client *client)
{
    char path[128], body[200];
    int status;
    switch (below(client, 5)) {
    case 0:
        (void)snprintf(path, sizeof path, "/v1/queues/q%u", below(client, QUEUES));
        (void)snprintf(body, sizeof body, "{\"running_max\":%u,\"running_max_per_key\":%u}",
                       below(client, 2) ? 0 : 50, below(client, 2) ? 0 : 20);
        json_decref(ask(client, "PATCH", path, body, &status));
        break;
    case 1:
        (void)snprintf(path, sizeof path, "/v1/crons/c%u", below(client, 4));
        json_decref(ask(client, "PUT", path,
                        "{\"schedule\":\"@every 1s\",\"job\":{\"task\":\"noop\"}}", &status));
        break;
    case 2:
        json_decref(ask(client, "POST", "/v1/workers", "{\"name\":\"w\"}", &status));
        break;
    default:
        if (client->accepted_count == 0)
            break;
        (void)snprintf(path, sizeof path, "/v1/jobs/%s%s",
                       client->accepted[below(client, (unsigned)client->accepted_count)],
                       below(client, 2) ? "/retry" : "");
        json_decref(ask(client, strstr(path, "retry") ? "POST" : "DELETE", path, NULL, &status));
    }
}

/* Say something, and leave in the middle of it, or without waiting for the answer. */
static void misbehave(struct client *client)
{
    static const char *const requests[] = {
        "POST /v1/lease HTTP/1.1\r\nHost: t\r\nContent-Length: 38\r\n\r\n"
        "{\"queues\":[\"q0\"],\"wait\":30,\"lease\":3600}",
        "GET /v1/events HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /v1/jobs?limit=1000 HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /v1/jobs HTTP/1.1\r\nHost: t\r\nContent-Length: "
        "20000000\r\n\r\n[{\"task\":\"noop\"},",
        "POST /v1/settle HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"jo",
        "GET / HTTP/1.1\r\nHo",
    };
    char bytes[4096];
    const char *request = requests[below(client, 6)];
    int fd = server_connect(&server);
    if (fd < 0)
        return;
    (void)send(fd, request, strlen(request), MSG_NOSIGNAL);
    if (below(client, 2)) {
        struct timeval limit = {.tv_usec = 20000};
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        (void)recv(fd, bytes, sizeof bytes, 0);
    }
    struct linger at_once = {.l_onoff = 1};
    if (below(client, 2))
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)close(fd);
}

static void *client_main(void *arg)
{
    struct client *client = arg;
    static void (*const acts[])(struct client * client) = {
        put_one, put_one, put_batch, take, settle, settle, extend, look, look, manage, misbehave};
    while (!atomic_load(&ending))
        acts[below(client, sizeof acts / sizeof *acts)](client);
    return NULL;
}

/* ---- the halves ------------------------------------------------------------------------- */

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static struct client *make_clients(void)
{
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    REQUIRE(clients);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].accepted = calloc(IDS_MAX, ID_BYTES);
        clients[i].completed = calloc(IDS_MAX, ID_BYTES);
        REQUIRE(clients[i].accepted && clients[i].completed);
        weft_random_seed(&clients[i].random, number_from("WEFT_CROWD_SEED", 11) * 1000 + i);
    }
    return clients;
}

static void free_clients(struct client *clients)
{
    for (int i = 0; i < CLIENTS; i++) {
        free(clients[i].accepted);
        free(clients[i].completed);
    }
    free(clients);
}

static void begin_crowd(struct client *clients)
{
    pthread_attr_t attributes;
    atomic_store(&ending, false);
    REQUIRE(pthread_attr_init(&attributes) == 0);
    (void)pthread_attr_setstacksize(&attributes, (size_t)256 << 10);
    for (int i = 0; i < CLIENTS; i++)
        REQUIRE(pthread_create(&clients[i].thread, &attributes, client_main, &clients[i]) == 0);
    (void)pthread_attr_destroy(&attributes);
}

static void end_crowd(struct client *clients)
{
    atomic_store(&ending, true);
    for (int i = 0; i < CLIENTS; i++)
        (void)pthread_join(clients[i].thread, NULL);
}

static void let_pass(uint64_t ms)
{
    (void)nanosleep(
        &(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000},
        NULL);
}

/* Everything that was answered with 2xx is there, and what was completed is completed. */
static void check_promises(const struct client *clients)
{
    size_t accepted = 0, completed = 0, requests = 0, unexpected = 0;
    for (int i = 0; i < CLIENTS; i++) {
        const struct client *client = &clients[i];
        for (size_t j = 0; j < client->accepted_count; j++)
            v1_ok(&server, "GET", v1_path("/v1/jobs/%s", client->accepted[j]), 200, NULL);
        for (size_t j = 0; j < client->completed_count; j++) {
            json_t *job = v1_job(&server, client->completed[j]);
            CHECK_TEXT(job, "state", "completed");
            json_decref(job);
        }
        accepted += client->accepted_count;
        completed += client->completed_count;
        requests += client->requests;
        unexpected += client->unexpected;
    }
    test_note("%zu requests: %zu jobs accepted, %zu completed by clients", requests, accepted,
              completed);
    CHECK(accepted > 0 && completed > 0);
    CHECK_EQUAL(unexpected, 0);
}

/* What the queues say adds up to what there is. */
static void check_counts(void)
{
    static const char *const states[] = {"scheduled", "available", "running", "retryable",
                                         "completed", "cancelled", "dead",    "blocked"};
    json_t *stats = v1(&server, "GET", "/v1/stats", 200, NULL);
    json_t *queues = v1(&server, "GET", "/v1/queues", 200, NULL);
    for (size_t i = 0; i < 8; i++) {
        int64_t sum = 0;
        const char *path = v1_path("jobs.%s", states[i]);
        for (size_t j = 0; j < json_array_size(v1_at(queues, "queues")); j++)
            sum += v1_number(json_array_get(v1_at(queues, "queues"), j), path);
        CHECK_EQUAL(v1_number(stats, path), sum);
    }
    json_decref(queues);
    json_decref(stats);
}

/* Nothing moves any more: what the server itself runs has ended, and no schedule fires. */
static void wait_until_quiet(void)
{
    int64_t until_ms = 0, last = -1;
    for (int i = 0; i < 4; i++) {
        struct reply reply;
        char path[32];
        (void)snprintf(path, sizeof path, "/v1/crons/c%d", i);
        http_request(&server, "DELETE", path, "", NULL, 0, &reply);
        reply_free(&reply);
    }
    for (int same = 0; same < 20 && look_again(&until_ms);) {
        int64_t now = v1_stat(&server, "server.operations");
        same = now == last ? same + 1 : 0;
        last = now;
    }
}

TEST(a_crowd_gets_what_it_was_promised_although_the_server_is_killed)
{
    uint64_t half_ms = number_from("WEFT_CROWD_MS", 1000);
    struct client *clients = make_clients();
    struct weft_serve_options options = {0};
    server_start(&server, "crowd.db", &options);
    char listen[32];
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%d", server.port);
    options.listen = listen;
    begin_crowd(clients);
    let_pass(half_ms);
    server_kill(&server);
    end_crowd(clients); /* no process is forked while there are threads */
    server_start(&server, "crowd.db", &options);
    begin_crowd(clients);
    let_pass(half_ms);
    end_crowd(clients);
    check_promises(clients);
    wait_until_quiet();
    check_counts();
    CHECK_EQUAL(server_stop(&server), 0);
    server_start(&server, "crowd.db", &options);
    check_promises(clients);
    check_counts();
    CHECK_EQUAL(server_stop(&server), 0);
    free_clients(clients);
}
