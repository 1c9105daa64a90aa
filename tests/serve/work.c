/* SPDX-License-Identifier: MIT
 * work.c - weft_work in a process of its own, on a server in another one: what they do together,
 * and when one of them goes away. */
#include "server.h"

#include <weft/runtime.h>
#include <weft/work.h>

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct server server;
static int port_fd = -1;
static char listen_text[32], url[64];

/* ---- the server ------------------------------------------------------------------------- */

/* A port for servers that come and go: while this socket is bound, nobody else is given it. */
static void reserve_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int yes = 1;
    if (port_fd >= 0)
        return;
    port_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(port_fd >= 0);
    REQUIRE(setsockopt(port_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
    REQUIRE(bind(port_fd, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(getsockname(port_fd, (struct sockaddr *)&address, &len) == 0);
    int port = ntohs(address.sin_port);
    (void)snprintf(listen_text, sizeof listen_text, "127.0.0.1:%d", port);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    server.port = port;
}

static void start_server(const char *database)
{
    reserve_port();
    server_start(&server, database, &(struct weft_serve_options){.listen = listen_text});
}

static json_t *ask(const char *method, const char *path, const char *json, int status)
{
    struct reply reply;
    http_request(&server, method, path, json ? "Content-Type: application/json\r\n" : "", json,
                 json ? strlen(json) : 0, &reply);
    CHECK_EQUAL(reply.status, status);
    if (reply.status != status)
        test_note("%s", reply.body);
    json_t *root = reply_json(&reply);
    reply_free(&reply);
    return root;
}

/* Put a job of this task in. */
static void put(const char *task, const char *payload, const char *more, char id[37])
{
    char json[512];
    (void)snprintf(json, sizeof json,
                   "{\"task\":\"%s\",\"queue\":\"remote\",\"payload\":%s%s,"
                   "\"backoff\":{\"kind\":\"constant\",\"base\":0.01,\"jitter\":\"none\"}}",
                   task, payload, more);
    json_t *root = ask("POST", "/v1/jobs", json, 201);
    const char *text = json_string_value(json_object_get(root, "id"));
    REQUIRE(text && strlen(text) == 36);
    memcpy(id, text, 37);
    json_decref(root);
}

static json_t *show(const char *id)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/v1/jobs/%s", id);
    return ask("GET", path, NULL, 200);
}

static const char *text_of(const json_t *job, const char *name)
{
    const char *text = json_string_value(json_object_get(job, name));
    return text ? text : "";
}

/* Look until the job's member has this value. Returns the job. */
static json_t *look_for(const char *id, const char *name, const char *value)
{
    int64_t until_ms = 0;
    for (;;) {
        json_t *job = show(id);
        if (strcmp(text_of(job, name), value) == 0)
            return job;
        if (!look_again(&until_ms)) {
            char *text = json_dumps(job, 0);
            test_note("%s is not %s: %s", name, value, text);
            free(text);
            CHECK(false);
            return job;
        }
        json_decref(job);
    }
}

static void expect_state(const char *id, const char *state)
{
    json_decref(look_for(id, "state", state));
}

/* ---- the worker ------------------------------------------------------------------------- */

static int task_echo(struct weft_attempt *attempt, const void *settings)
{
    size_t len;
    const char *payload = weft_attempt_payload(attempt, &len);
    (void)settings;
    return weft_attempt_result_json(attempt, payload, len);
}

static int task_fails(struct weft_attempt *attempt, const void *settings)
{
    (void)settings;
    return weft_attempt_fail(attempt, -EPROTO, "attempt %u was no good",
                             weft_attempt_number(attempt));
}

/* {"seconds": 1.5}, and tells that it is there. */
static int task_nap(struct weft_attempt *attempt, const void *settings)
{
    double seconds = 0;
    (void)settings;
    (void)weft_attempt_get_double(attempt, "seconds", &seconds);
    (void)weft_attempt_progress(attempt, 0.25, "napping");
    return weft_sleep((int64_t)(seconds * 1e9));
}

static void say_begun(const char *path)
{
    char begun[256];
    (void)snprintf(begun, sizeof begun, "%s.begun", path);
    FILE *file = fopen(begun, "w");
    if (file)
        (void)fclose(file);
}

/* Ends with the name of its worker when a file is there; until then it waits. Tells by another file
 * that it has begun: that the server says it runs is not the same. */
static int task_wait_for_file(struct weft_attempt *attempt, const void *settings)
{
    const char *path;
    int err = weft_attempt_get_string(attempt, "path", &path);
    if (!err)
        say_begun(path);
    while (!err && access(path, F_OK) < 0)
        err = weft_sleep(5 * WEFT_MSEC);
    return err ? err : weft_attempt_printf_result(attempt, "\"%s\"", (const char *)settings);
}

/* Puts in two further jobs. */
static int task_fan(struct weft_attempt *attempt, const void *settings)
{
    const struct weft_attempt_job one = {.task = "echo", .payload = "1", .unique_key = "fan"};
    const struct weft_attempt_job two = {.task = "echo", .payload = "2"};
    (void)settings;
    int err = weft_attempt_enqueue(attempt, &one);
    return err ? err : weft_attempt_enqueue(attempt, &two);
}

struct worker {
    pid_t pid;
    int report_fd;
};

struct report {
    int err;
    char error[256];
};

void __lsan_do_leak_check(void) __attribute__((weak));

static void no_log(void *context, const char *line)
{
    (void)context, (void)line;
}

static void tell_ready(void *context)
{
    if (write(*(int *)context, "r", 1) != 1)
        _exit(3);
}

_Noreturn static void worker_main(struct weft_work_options options, int report_fd)
{
    const char *name = options.name ? options.name : "worker";
    const struct weft_handler handlers[] = {
        {.name = "echo", .run = task_echo},
        {.name = "fails", .run = task_fails},
        {.name = "nap", .run = task_nap},
        {.name = "wait", .run = task_wait_for_file, .settings = name},
        {.name = "fan", .run = task_fan},
    };
    static const struct weft_work_queue queue = {.name = "remote"};
    options.server = options.server ? options.server : url;
    if (!options.libraries && !options.builtin) {
        options.handlers = handlers;
        options.handlers_count = sizeof handlers / sizeof handlers[0];
    }
    if (!options.queues) {
        options.queues = &queue;
        options.queues_count = 1;
    }
    options.name = name;
    options.log = no_log;
    options.ready = tell_ready;
    options.ready_context = &report_fd;
    struct report report = {0};
    report.err = weft_work(&options, report.error, sizeof report.error);
    if (write(report_fd, &report, sizeof report) != sizeof report)
        _exit(3);
    if (__lsan_do_leak_check)
        __lsan_do_leak_check();
    _exit(0);
}

static void worker_start(struct worker *worker, struct weft_work_options options)
{
    int fds[2];
    (void)test_directory();
    REQUIRE(pipe(fds) == 0);
    (void)fflush(stdout);
    worker->pid = fork();
    REQUIRE(worker->pid >= 0);
    if (worker->pid == 0) {
        (void)close(fds[0]);
        worker_main(options, fds[1]);
    }
    (void)close(fds[1]);
    worker->report_fd = fds[0];
}

/* Until it asks for jobs. False: it has ended instead. */
static bool worker_ready(const struct worker *worker)
{
    char ready = 0;
    return read(worker->report_fd, &ready, 1) == 1 && ready == 'r';
}

/* Wait for its end. Returns the exit code, -1 when it was killed. */
static int worker_wait(struct worker *worker, struct report *ret_report)
{
    int status = 0;
    struct report report = {0};
    ssize_t len = read(worker->report_fd, &report, sizeof report);
    (void)close(worker->report_fd);
    REQUIRE(waitpid(worker->pid, &status, 0) == worker->pid);
    CHECK(!WIFEXITED(status) || len == sizeof report);
    if (ret_report)
        *ret_report = report;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* SIGTERM; it must end well. */
static void worker_stop(struct worker *worker)
{
    struct report report;
    (void)kill(worker->pid, SIGTERM);
    CHECK_EQUAL(worker_wait(worker, &report), 0);
    CHECK_EQUAL(report.err, 0);
    if (report.err)
        test_note("%s", report.error);
}

static void begin(const char *database, struct worker *worker, struct weft_work_options options)
{
    start_server(database);
    worker_start(worker, options);
    REQUIRE(worker_ready(worker));
}

static void end(struct worker *worker)
{
    worker_stop(worker);
    CHECK_EQUAL(server_stop(&server), 0);
}

static size_t workers_here(void)
{
    json_t *root = ask("GET", "/v1/workers", NULL, 200);
    size_t count = 0, i;
    const json_t *one;
    json_array_foreach(json_object_get(root, "workers"), i, one)
    {
        if (strncmp(text_of(one, "name"), "worker", 6) == 0 && !json_object_get(one, "ended_at"))
            count++;
    }
    json_decref(root);
    return count;
}

/* ---- jobs ------------------------------------------------------------------------------- */

TEST(jobs_run_in_a_worker_elsewhere)
{
    struct worker worker;
    char id[37];
    begin("jobs.db", &worker, (struct weft_work_options){0});
    CHECK_EQUAL(workers_here(), 1);
    put("echo", "{\"a\":[1,\"\\u00e4\"]}", "", id);
    json_t *job = look_for(id, "state", "completed");
    CHECK_EQUAL(json_array_size(json_object_get(json_object_get(job, "result"), "a")), 2);
    json_decref(job);
    put("fails", "null", ",\"max_attempts\":3", id);
    job = look_for(id, "state", "dead");
    CHECK(strcmp(text_of(job, "error"), "attempt 3 was no good") == 0);
    CHECK_EQUAL(json_array_size(json_object_get(job, "errors")), 3);
    json_decref(job);
    end(&worker);
}

TEST(further_jobs_of_a_job_elsewhere_are_put_in_once)
{
    struct worker worker;
    char ids[2][37];
    begin("fan.db", &worker, (struct weft_work_options){0});
    for (int i = 0; i < 2; i++)
        put("fan", "null", "", ids[i]);
    for (int i = 0; i < 2; i++)
        expect_state(ids[i], "completed");
    int64_t until_ms = 0;
    size_t count;
    do {
        json_t *root = ask("GET", "/v1/jobs?task=echo&state=completed", NULL, 200);
        count = json_array_size(json_object_get(root, "jobs"));
        json_decref(root);
    } while (count < 3 && look_again(&until_ms));
    /* The unique one once or, when the first was done before the second asked, twice. */
    CHECK(count == 3 || count == 4);
    end(&worker);
}

TEST(a_job_of_a_task_the_worker_does_not_know_waits)
{
    struct worker worker;
    char id[37], known[37];
    begin("unknown.db", &worker, (struct weft_work_options){0});
    put("elsewhere", "null", "", id);
    put("echo", "null", "", known);
    expect_state(known, "completed");
    json_t *job = show(id);
    CHECK(strcmp(text_of(job, "state"), "dead") != 0);
    CHECK(json_integer_value(json_object_get(job, "attempt")) <= 1);
    CHECK(json_object_get(job, "errors") == NULL);
    json_decref(job);
    end(&worker);
}

TEST(a_job_that_is_cancelled_is_told_to_its_worker)
{
    struct worker worker;
    char id[37], path[64];
    begin("cancel.db", &worker, (struct weft_work_options){.lease_ns = WEFT_SEC});
    put("nap", "{\"seconds\":3600}", "", id);
    int64_t until_ms = 0;
    json_t *job = show(id);
    while (!json_object_get(job, "progress") && look_again(&until_ms)) {
        json_decref(job);
        job = show(id);
    }
    CHECK(json_object_get(job, "progress") != NULL);
    json_decref(job);
    (void)snprintf(path, sizeof path, "/v1/jobs/%s", id);
    json_decref(ask("DELETE", path, NULL, 202));
    job = look_for(id, "state", "cancelled");
    CHECK(strcmp(text_of(job, "error"), "cancelled by local") == 0);
    json_decref(job);
    end(&worker);
}

/* ---- ends ------------------------------------------------------------------------------- */

static const char *file_path(const char *name)
{
    return server_database(name);
}

static void make_file(const char *name)
{
    FILE *file = fopen(file_path(name), "w");
    REQUIRE(file);
    (void)fclose(file);
}

/* A job that runs until a file is there. */
static void put_waiting(const char *name, char id[37])
{
    char payload[256];
    (void)snprintf(payload, sizeof payload, "{\"path\":\"%s\"}", file_path(name));
    put("wait", payload, "", id);
    expect_state(id, "running");
    char begun[256];
    (void)snprintf(begun, sizeof begun, "%s.begun", file_path(name));
    int64_t until_ms = 0;
    while (access(begun, F_OK) < 0)
        REQUIRE(look_again(&until_ms));
}

TEST(a_signal_lets_running_jobs_end)
{
    struct worker worker;
    char id[37], other[37];
    begin("drain.db", &worker, (struct weft_work_options){.grace_ns = 60 * WEFT_SEC});
    put_waiting("drain", id);
    (void)kill(worker.pid, SIGTERM);
    int64_t until_ms = 0;
    /* It takes nothing more; that it has heard the signal shows in what it leaves. */
    do {
        put("echo", "null", "", other);
        json_t *job = show(other);
        bool left = strcmp(text_of(job, "state"), "available") == 0;
        json_decref(job);
        if (left)
            break;
    } while (look_again(&until_ms));
    make_file("drain");
    struct report report;
    CHECK_EQUAL(worker_wait(&worker, &report), 0);
    CHECK_EQUAL(report.err, 0);
    expect_state(id, "completed");
    CHECK_EQUAL(workers_here(), 0);
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(what_does_not_end_in_the_grace_goes_back_without_having_spent_an_attempt)
{
    struct worker worker, second;
    char id[37];
    begin("grace.db", &worker, (struct weft_work_options){.grace_ns = WEFT_MSEC});
    put_waiting("grace", id);
    worker_stop(&worker);
    json_t *job = look_for(id, "state", "available");
    CHECK_EQUAL(json_integer_value(json_object_get(job, "attempt")), 0);
    CHECK(json_object_get(job, "crashes") == NULL);
    json_decref(job);
    worker_start(&second, (struct weft_work_options){0});
    REQUIRE(worker_ready(&second));
    make_file("grace");
    expect_state(id, "completed");
    end(&second);
}

TEST(a_second_signal_ends_the_grace)
{
    struct worker worker;
    char id[37];
    begin("hurry.db", &worker, (struct weft_work_options){.grace_ns = 3600 * WEFT_SEC});
    put_waiting("hurry", id);
    (void)kill(worker.pid, SIGTERM);
    int64_t until_ms = 0;
    int status = 0;
    /* Pending signals of one kind are one signal: again until it has heard two. */
    while (waitpid(worker.pid, &status, WNOHANG) == 0 && look_again(&until_ms))
        (void)kill(worker.pid, SIGINT);
    (void)close(worker.report_fd);
    expect_state(id, "available");
    CHECK_EQUAL(server_stop(&server), 0);
}

TEST(a_worker_that_dies_leaves_its_jobs_to_others)
{
    struct worker worker, second;
    char id[37];
    begin("dies.db", &worker, (struct weft_work_options){.lease_ns = WEFT_SEC});
    put_waiting("dies", id);
    (void)kill(worker.pid, SIGKILL);
    CHECK_EQUAL(worker_wait(&worker, NULL), -1);
    worker_start(&second, (struct weft_work_options){.name = "worker-2"});
    make_file("dies");
    json_t *job = look_for(id, "state", "completed");
    CHECK(strcmp(text_of(job, "result"), "worker-2") == 0);
    CHECK_EQUAL(json_integer_value(json_object_get(job, "attempt")), 1);
    CHECK_EQUAL(json_integer_value(json_object_get(job, "crashes")), 1);
    json_decref(job);
    REQUIRE(worker_ready(&second));
    end(&second);
}

TEST(a_worker_that_was_stopped_for_too_long_does_not_overwrite_what_another_did)
{
    struct worker worker, second;
    char id[37], more[37];
    begin("stopped.db", &worker, (struct weft_work_options){.lease_ns = WEFT_SEC});
    put_waiting("stopped", id);
    (void)kill(worker.pid, SIGSTOP);
    worker_start(&second, (struct weft_work_options){.name = "worker-2"});
    REQUIRE(worker_ready(&second));
    make_file("stopped");
    expect_state(id, "completed");
    (void)kill(worker.pid, SIGCONT);
    worker_stop(&second);
    put("echo", "7", "", more); /* the first one goes on */
    expect_state(more, "completed");
    json_t *job = show(id);
    CHECK(strcmp(text_of(job, "result"), "worker-2") == 0);
    json_decref(job);
    end(&worker);
}

/* ---- a server that goes away ------------------------------------------------------------ */

TEST(a_server_that_is_killed_and_comes_back_finds_its_worker)
{
    struct worker worker;
    char running[37], waiting[37], after[37];
    begin("kill.db", &worker, (struct weft_work_options){.concurrency = 1});
    put_waiting("kill", running);
    put("echo", "1", "", waiting);
    server_kill(&server);
    make_file("kill"); /* the job ends while nobody can be told */
    start_server("kill.db");
    json_t *job = look_for(running, "state", "completed");
    CHECK_EQUAL(json_integer_value(json_object_get(job, "attempt")), 1);
    CHECK(json_object_get(job, "crashes") == NULL); /* its lease has outlived the server */
    json_decref(job);
    expect_state(waiting, "completed");
    put("echo", "2", "", after);
    expect_state(after, "completed");
    end(&worker);
}

TEST(a_server_that_is_restarted_in_peace_finds_its_worker)
{
    struct worker worker;
    char id[37];
    begin("restart.db", &worker, (struct weft_work_options){0});
    CHECK_EQUAL(server_stop(&server), 0);
    start_server("restart.db");
    put("echo", "2", "", id);
    expect_state(id, "completed");
    end(&worker);
}

TEST(a_worker_waits_for_a_server_that_starts_after_it)
{
    struct worker worker;
    char id[37];
    reserve_port();
    worker_start(&worker, (struct weft_work_options){0});
    start_server("late.db");
    REQUIRE(worker_ready(&worker));
    put("echo", "1", "", id);
    expect_state(id, "completed");
    end(&worker);
}

TEST(a_worker_without_a_server_ends_when_it_is_told_to)
{
    struct worker worker;
    struct report report;
    reserve_port();
    worker_start(&worker, (struct weft_work_options){0});
    (void)kill(worker.pid, SIGTERM);
    int status = worker_wait(&worker, &report);
    CHECK(status == 0 || status == -1); /* it may not have blocked the signal yet */
    CHECK_EQUAL(report.err, 0);
}

/* ---- what is refused -------------------------------------------------------------------- */

static void expect_refusal(struct weft_work_options options, int err, const char *text)
{
    struct worker worker;
    struct report report;
    worker_start(&worker, options);
    CHECK_EQUAL(worker_wait(&worker, &report), 0);
    CHECK_EQUAL(report.err, err);
    CHECK(strstr(report.error, text) != NULL);
    if (report.err != err || !strstr(report.error, text))
        test_note("%s", report.error);
}

TEST(options_that_are_wrong_are_refused_with_a_sentence)
{
    static const struct weft_work_queue twice[] = {{.name = "a"}, {.name = "a"}};
    static const struct weft_work_queue star[] = {{.name = "*"}};
    static const char *const none[] = {"/nonexistent/x.so"};
    static const char *const no_object[] = {"/etc/passwd"};
    reserve_port();
    expect_refusal((struct weft_work_options){.server = "localhost"}, -EINVAL, "no address");
    expect_refusal((struct weft_work_options){.queues = twice, .queues_count = 2}, -EINVAL,
                   "the queue a is named twice");
    expect_refusal((struct weft_work_options){.queues = star, .queues_count = 1}, -EINVAL,
                   "is no name of a queue");
    expect_refusal((struct weft_work_options){.lease_ns = 1}, -EINVAL, "one second to one hour");
    expect_refusal((struct weft_work_options){.concurrency = 2000000}, -EINVAL, "at most");
    expect_refusal((struct weft_work_options){.name = "a b"}, -EINVAL, "no name of a worker");
    expect_refusal((struct weft_work_options){.libraries = none, .libraries_count = 1}, -ENOENT,
                   "/nonexistent/x.so: No such file");
    expect_refusal((struct weft_work_options){.libraries = no_object, .libraries_count = 1},
                   -ENOEXEC, "/etc/passwd cannot be loaded: ");
    expect_refusal((struct weft_work_options){.token = "a b"}, -EINVAL, "cannot be a token");
}

TEST(a_worker_whose_token_is_not_good_enough_is_told_so)
{
    const char *path = file_path("tokens");
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    (void)fputs("adminadminadminadmin admin boss\nreadreadreadreadread read reader\n"
                "workworkworkworkwork work worker\n",
                file);
    (void)fclose(file);
    REQUIRE(chmod(path, 0600) == 0);
    char *tokens = strdup(path);
    REQUIRE(tokens);
    reserve_port();
    server_start(&server, "token.db",
                 &(struct weft_serve_options){.listen = listen_text, .token_file = tokens});
    expect_refusal((struct weft_work_options){0}, -EACCES, "the server answers 401");
    expect_refusal((struct weft_work_options){.token = "readreadreadreadread"}, -EACCES,
                   "lacks the scope");
    struct worker worker;
    worker_start(&worker, (struct weft_work_options){.token = "workworkworkworkwork"});
    REQUIRE(worker_ready(&worker));
    worker_stop(&worker);
    CHECK_EQUAL(server_stop(&server), 0);
    free(tokens);
}
