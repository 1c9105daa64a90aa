/* SPDX-License-Identifier: MIT
 * server.c - see server.h. */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the child tells about its start: the port, or why there is none. */
struct report {
    int port, err;
    char error[256];
};

/* The child ends with _exit, so that it does not remove the directory: leaks are looked for by
 * hand. */
void __lsan_do_leak_check(void) __attribute__((weak));

static void on_ready(void *context, const char *address)
{
    int report_fd = *(int *)context;
    struct report report = {.port = atoi(strrchr(address, ':') + 1)};
    if (write(report_fd, &report, sizeof report) != sizeof report)
        _exit(3);
}

static void no_log(void *context, const char *line)
{
    (void)context, (void)line;
}

const char *server_database(const char *name)
{
    static char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

_Noreturn static void child_main(const char *database, const struct weft_serve_options *options,
                                 int report_fd)
{
    static const int64_t no_steps[WEFT_SERVE_STEPS] = {0, 0, 0};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that bails out leaves no server behind */
    char broker[256];
    (void)snprintf(broker, sizeof broker, "sqlite:%s", server_database(database));
    struct weft_serve_options own = *options;
    own.listen = own.listen ? own.listen : "127.0.0.1:0";
    own.broker = own.broker ? own.broker : broker;
    own.steps_ns = own.steps_ns ? own.steps_ns : no_steps;
    own.log = own.log ? own.log : no_log;
    own.ready = on_ready;
    own.ready_context = &report_fd;
    struct report report = {0};
    report.err = weft_serve(&own, report.error, sizeof report.error);
    if (report.err && write(report_fd, &report, sizeof report) != sizeof report)
        _exit(3);
    if (__lsan_do_leak_check)
        __lsan_do_leak_check();
    _exit(report.err ? 1 : 0);
}

static pid_t start(const char *database, const struct weft_serve_options *options,
                   struct report *ret_report)
{
    int fds[2];
    (void)server_database(database); /* the directory has to be there before the child is */
    REQUIRE(pipe(fds) == 0);
    (void)fflush(stdout);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        child_main(database, options, fds[1]);
    }
    (void)close(fds[1]);
    ssize_t len = read(fds[0], ret_report, sizeof *ret_report);
    (void)close(fds[0]);
    if (len != sizeof *ret_report)
        *ret_report = (struct report){.err = -EPIPE, .error = "the server died without a word"};
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void server_start(struct server *server, const char *database,
                  const struct weft_serve_options *options)
{
    struct report report;
    server->pid = start(database, options, &report);
    if (report.err)
        test_note("%s", report.error);
    REQUIRE(!report.err);
    server->port = report.port;
}

int server_start_fails(const char *database, const struct weft_serve_options *options, char *error,
                       size_t error_bytes)
{
    struct report report;
    pid_t pid = start(database, options, &report);
    if (!report.err)
        (void)kill(pid, SIGKILL);
    (void)wait_for(pid);
    (void)snprintf(error, error_bytes, "%s", report.error);
    return report.err;
}

int server_stop(struct server *server)
{
    (void)kill(server->pid, SIGTERM);
    return wait_for(server->pid);
}

void server_kill(struct server *server)
{
    (void)kill(server->pid, SIGKILL);
    (void)wait_for(server->pid);
}

/* --- the client --- */

int server_connect(const struct server *server)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    struct timeval limit = {.tv_sec = 20};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Everything until the other side closes; NUL-terminated. */
static char *receive_all(int fd, size_t *ret_len)
{
    size_t len = 0, capacity = 1 << 16;
    char *data = malloc(capacity);
    REQUIRE(data);
    for (;;) {
        ssize_t got = recv(fd, data + len, capacity - len - 1, 0);
        if (got < 0 && errno == EINTR) /* io_uring does that to a thread that waits elsewhere */
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
        if (capacity - len < 4096) {
            capacity *= 2;
            data = realloc(data, capacity);
            REQUIRE(data);
        }
    }
    data[len] = '\0';
    *ret_len = len;
    return data;
}

static void parse_reply(char *data, size_t len, struct reply *reply)
{
    char *end = strstr(data, "\r\n\r\n");
    if (len > 12 && strncmp(data, "HTTP/1.1 ", 9) == 0 && end) {
        reply->status = atoi(data + 9);
        size_t head_len = (size_t)(end - data) + 2;
        (void)snprintf(reply->head, sizeof reply->head, "%.*s", (int)head_len, data);
        reply->len = len - head_len - 2;
        memmove(data, end + 4, reply->len + 1);
    }
    reply->body = data;
}

void http_request(const struct server *server, const char *method, const char *path,
                  const char *headers, const char *body, size_t body_len, struct reply *reply)
{
    *reply = (struct reply){0};
    int fd = server_connect(server);
    if (fd < 0)
        return;
    char head[2048];
    int len = snprintf(head, sizeof head,
                       "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%sContent-Length: %zu"
                       "\r\n\r\n",
                       method, path, headers, body_len);
    (void)send_all(fd, head, (size_t)len);
    if (body)
        (void)send_all(fd, body, body_len);
    size_t received;
    char *data = receive_all(fd, &received);
    (void)close(fd);
    parse_reply(data, received, reply);
}

void http_get(const struct server *server, const char *path, struct reply *reply)
{
    http_request(server, "GET", path, "", NULL, 0, reply);
}

void http_post(const struct server *server, const char *body, struct reply *reply)
{
    http_request(server, "POST", "/process", "Content-Type: application/json\r\n", body,
                 strlen(body), reply);
}

int http_raw(const struct server *server, const char *bytes, size_t len)
{
    int fd = server_connect(server);
    REQUIRE(fd >= 0);
    struct timeval limit = {.tv_usec = 500000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)send_all(fd, bytes, len);
    (void)shutdown(fd, SHUT_WR);
    struct reply reply = {0};
    size_t received;
    char *data = receive_all(fd, &received);
    (void)close(fd);
    parse_reply(data, received, &reply);
    int status = reply.status;
    reply_free(&reply);
    return status;
}

void reply_free(struct reply *reply)
{
    free(reply->body);
    reply->body = NULL;
}

json_t *reply_json(const struct reply *reply)
{
    json_error_t error;
    json_t *root = reply->body ? json_loads(reply->body, JSON_ALLOW_NUL, &error) : NULL;
    if (!root)
        test_note("status %d, body %s", reply->status, reply->body ? reply->body : "absent");
    REQUIRE(root);
    return root;
}

void check_keys(const json_t *object, const char *keys)
{
    char list[1024];
    size_t count = 0;
    (void)snprintf(list, sizeof list, "%s", keys);
    char *save = NULL;
    for (char *key = strtok_r(list, " ", &save); key; key = strtok_r(NULL, " ", &save)) {
        count++;
        CHECK(json_object_get(object, key) != NULL);
        if (!json_object_get(object, key))
            test_note("the key %s is missing", key);
    }
    CHECK_EQUAL(json_object_size(object), count);
}

bool look_again(int64_t *until_ms)
{
    struct timespec now;
    (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (*until_ms == 0)
        *until_ms = now_ms + 30000;
    return now_ms < *until_ms;
}

bool wait_for_status(const struct server *server, const char *id, const char *wanted)
{
    int64_t until_ms = 0;
    char path[128];
    (void)snprintf(path, sizeof path, "/status/%s", id);
    do {
        struct reply reply;
        http_get(server, path, &reply);
        json_t *root = reply_json(&reply);
        const char *status = json_string_value(json_object_get(root, "status"));
        bool found = status && strcmp(status, wanted) == 0;
        json_decref(root);
        reply_free(&reply);
        if (found)
            return true;
    } while (look_again(&until_ms));
    return false;
}
