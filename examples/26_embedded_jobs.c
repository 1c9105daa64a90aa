/* 26_embedded_jobs.c - a web server that answers at once and does the work later, in jobs that
 * survive its end: they are in an SQLite file of its own. Here it ends before the work is done.
 *
 * Run it:  build/release/examples/example-26_embedded_jobs */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char broker[64]; /* "sqlite:PATH" */

static int send_mail(struct weft_attempt *attempt, const void *settings)
{
    const char *to;
    int err = weft_attempt_get_string(attempt, "to", &to);
    (void)settings;
    if (err < 0)
        return weft_attempt_discard(attempt, "the payload has no string \"to\"");
    err = weft_sleep(5 * WEFT_MSEC); /* here a real one would speak SMTP */
    return err < 0 ? err : weft_attempt_printf_result(attempt, "\"sent to %s\"", to);
}

static const struct weft_handler handlers[] = {{.name = "mail", .run = send_mail}};

/* POST /mail: 202 when the job is on disk. The queue has no room: 503. */
static void post_mail(struct weft_http_exchange *exchange, void *context)
{
    struct weft_jobs_request mail = {.task = "mail", .queue = "mail"};
    mail.payload = weft_http_body(exchange, &mail.payload_len);
    int err = weft_jobs_enqueue(context, &mail, 1, 0);
    if (err < 0)
        weft_http_reply_error(exchange, err == -EINVAL ? 422 : 503, mail.reason);
    else
        weft_http_reply(exchange, 202, "text/plain", mail.id, strlen(mail.id));
}

/* GET /mail/{id}: waits for the end of the job for a while. */
static void get_mail(struct weft_http_exchange *exchange, void *context)
{
    struct weft_jobs_view *view;
    const char *id = weft_http_param(exchange, "id");
    int err = weft_jobs_wait(context, id, weft_now() + 10 * WEFT_SEC, &view);
    if (err < 0) {
        weft_http_reply_error(exchange, err == -ENOENT ? 404 : 503, weft_strerror(err));
        return;
    }
    const char *text = view->result ? view->result : weft_job_state_name(view->state);
    weft_http_reply(exchange, 200, "application/json", text, strlen(text));
    weft_jobs_view_free(view);
}

static const struct weft_http_route routes[] = {{"POST", "/mail", post_mail},
                                                {"GET", "/mail/{id:uuid}", get_mail}};

static int serve(void *server)
{
    return weft_http_server_run(server);
}

static int run_jobs(void *jobs)
{
    return weft_jobs_run(jobs);
}

/* One life of the program: the server, the jobs beside it if works is set, and a client. */
static int live(int works, int (*client)(const char *url))
{
    const struct weft_jobs_options options = {
        .broker = broker, .handlers = handlers, .handlers_count = 1};
    struct weft_http_server_options serving = {.routes = routes, .routes_count = 2};
    struct weft_http_server *server = NULL;
    struct weft_jobs *jobs;
    struct weft_group group;
    char error[256], url[64];
    int err = weft_jobs_open(&jobs, &options, error, sizeof error);
    if (err < 0) {
        printf("%s\n", error);
        return err;
    }
    serving.context = jobs;
    err = weft_http_server_open(&server, &serving);
    if (err == 0) {
        weft_group_init(&group, NULL);
        weft_spawn(&group, serve, server);
        if (works)
            weft_spawn(&group, run_jobs, jobs);
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/mail", weft_http_server_port(server));
        err = client(url);
        weft_http_server_drain(server); /* first no more requests, then no more jobs */
        weft_jobs_stop(jobs, 10 * WEFT_SEC);
        int result = weft_group_wait(&group);
        err = err ? err : result;
    }
    weft_http_server_close(server);
    weft_jobs_close(jobs);
    return err;
}

static char ids[3][WEFT_JOBS_ID_BYTES]; /* that the server has answered with */

static int ask(const char *url, const char *body, struct weft_http_response *response)
{
    struct weft_http_client *client;
    const struct weft_http_request request = {
        .url = url, .body = body, .body_len = body ? strlen(body) : 0};
    int err = weft_http_client_open(&client, NULL);
    if (err < 0)
        return err;
    err = weft_http_send(client, &request, response, weft_now() + 30 * WEFT_SEC);
    weft_http_client_close(client);
    return err;
}

static int post_three(const char *url)
{
    static const char *const bodies[] = {"{\"to\":\"ada\"}", "{\"to\":\"grace\"}", "to barbara"};
    int err = 0;
    for (int i = 0; i < 3 && err == 0; i++) {
        struct weft_http_response response;
        err = ask(url, bodies[i], &response);
        printf("%d %s\n", response.status, response.status == 202 ? "accepted" : response.body);
        if (response.status == 202)
            (void)snprintf(ids[i], sizeof ids[i], "%s", response.body);
        weft_http_response_release(&response);
    }
    return err;
}

static int get_two(const char *url)
{
    int err = 0;
    for (int i = 0; i < 2 && err == 0; i++) {
        struct weft_http_response response;
        char of_job[128];
        (void)snprintf(of_job, sizeof of_job, "%s/%s", url, ids[i]);
        err = ask(of_job, NULL, &response);
        printf("%d %s\n", response.status, response.body);
        weft_http_response_release(&response);
    }
    return err;
}

static int start(void *arg)
{
    (void)arg;
    int err = live(0, post_three); /* and then it ends, with two jobs accepted */
    printf("-- again --\n");
    return err < 0 ? err : live(1, get_two);
}

/* SQLite's own two are there only after a crash. */
static void clean_up(const char *directory)
{
    static const char *const names[] = {"mail.db", "mail.db-lock", "mail.db-wal", "mail.db-shm"};
    char path[64];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

int main(void)
{
    char directory[] = "/tmp/weft-example-XXXXXX";
    if (!mkdtemp(directory))
        return 1;
    (void)snprintf(broker, sizeof broker, "sqlite:%s/mail.db", directory);
    int err = weft_run(NULL, start, NULL);
    clean_up(directory);
    return err < 0;
}
