/* SPDX-License-Identifier: MIT
 * client_engine.c - what the client does on a worker, between its fibers. See client_internal.h. */
#include <flow/pattern.h>
#include <http/client_internal.h>
#include <runtime/completion.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX  256u /* transfers kept for others */
#define BATCH_MAX 64u  /* transfers begun in one go */

/* Then fibers have their turn. */
#define WORK_NS (500 * WEFT_USEC)

/* ---- when to work ------------------------------------------------------------------------- */

static void work(struct weft_http_engine *engine);
static void free_transfer(struct weft_http_transfer *transfer);

static void timer_fired(struct weft_timer *timer)
{
    struct weft_http_engine *engine = weft_container_of(timer, struct weft_http_engine, timer);
    engine->armed = engine->kicked = false;
    work(engine);
}

static void disarm(struct weft_http_engine *engine)
{
    if (engine->armed)
        weft_timer_disarm(engine->worker, &engine->timer);
    engine->armed = engine->kicked = false;
}

static void work_at(struct weft_http_engine *engine, int64_t at_ns)
{
    if (engine->armed && engine->timer.deadline_ns <= at_ns)
        return;
    disarm(engine);
    weft_timer_arm(engine->worker, &engine->timer, at_ns, timer_fired);
    engine->armed = true;
}

void weft_http_engine_kick(struct weft_http_engine *engine)
{
    if (engine->kicked || engine->closed)
        return;
    work_at(engine, weft_worker_now(engine->worker));
    engine->kicked = true;
}

/* libcurl's CURLMOPT_TIMERFUNCTION. */
static int timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct weft_http_engine *engine = arg;
    (void)multi;
    if (engine->closed)
        return 0;
    engine->curl_due_ns = timeout_ms < 0
                              ? WEFT_FOREVER
                              : weft_worker_now(engine->worker) + (int64_t)timeout_ms * WEFT_MSEC;
    return 0;
}

/* ---- how a transfer ends ------------------------------------------------------------------ */

void weft_http_transfer_news(struct weft_http_transfer *transfer)
{
    if (transfer->fiber)
        (void)weft_unpark(transfer->fiber, 0);
}

/* Who only has to begin again keeps its turn. */
static void end(struct weft_http_transfer *transfer, int result)
{
    if (transfer->has_turn && result <= 0) {
        bool failed = result < 0 && result != -ECANCELED;
        weft_http_queue_leave(&transfer->engine->queue, &transfer->place, failed);
        transfer->has_turn = false;
    }
    transfer->result = result;
    transfer->stage = WEFT_HTTP_ENDED;
    weft_list_unlink(&transfer->work);
    weft_http_transfer_news(transfer);
}

/* Take it from libcurl, which closes the connection if the response was not whole. */
static void leave(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    (void)curl_multi_remove_handle(engine->multi, transfer->easy);
    while (!weft_list_empty(&transfer->opened)) /* whatever becomes of them */
        weft_list_unlink(transfer->opened.next);
    weft_note(&engine->counts.requests_now, engine->counts.requests_now - 1);
    if (engine->worker)
        engine->worker->fd_waiters--;
}

static void conclude(struct weft_http_transfer *transfer, CURLcode code)
{
    struct weft_http_client_stats *counts = &transfer->engine->counts;
    weft_http_transfer_conclude(transfer, code);
    leave(transfer);
    if (transfer->result == 0)
        weft_http_count(&counts->responses, 1);
    if (transfer->result == 0 && transfer->connections == 0)
        weft_http_count(&counts->reused, 1);
    end(transfer, transfer->result);
}

static void collect(struct weft_http_engine *engine)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(engine->multi, &left))) {
        char *private = NULL;
        CURLcode code = message->data.result; /* gone with the transfer */
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        conclude((void *)private, code);
    }
}

/* ---- how it begins ------------------------------------------------------------------------ */

static struct weft_http_transfer *first_of(struct weft_link *list)
{
    struct weft_http_transfer *transfer =
        weft_container_of(list->next, struct weft_http_transfer, work);
    weft_list_unlink(&transfer->work);
    return transfer;
}

/* What is known before anything was asked. */
static enum weft_http_sharing sharing_of(const struct weft_http_transfer *transfer)
{
    bool secure = weft_http_url_is_secure(transfer->question.url);
    if (secure)
        return WEFT_HTTP_SHARING_UNKNOWN;
    bool unasked = transfer->engine->options.http2 == WEFT_HTTP2_ALL;
    return unasked && !weft_http_transfer_proxy(transfer) ? WEFT_HTTP_SHARING_STREAMS
                                                          : WEFT_HTTP_SHARING_NONE;
}

/* Which host's turn it needs. */
static int queue_up(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    char host[WEFT_HTTP_KEY_BYTES] = "";
    int err = 0;
    if (weft_http_queue_tells_hosts(&engine->queue))
        err = weft_http_url_key(transfer->question.url, host);
    return err < 0
               ? err
               : weft_http_queue_push(&engine->queue, &transfer->place, host, sharing_of(transfer));
}

static bool is_first_attempt(const struct weft_http_transfer *transfer)
{
    return transfer->names_len == 0 && transfer->literals == 0 && !transfer->question.fresh;
}

static void begin(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    if (is_first_attempt(transfer))
        transfer->turn_ns = weft_worker_now(engine->worker) - transfer->submitted_ns;
    int err = weft_http_transfer_prepare(transfer);
    if (err == 0 && curl_multi_add_handle(engine->multi, transfer->easy) != CURLM_OK)
        err = -ENOMEM;
    weft_note(&engine->counts.waiting_now, engine->counts.waiting_now - 1);
    if (err < 0) {
        end(transfer, err);
        return;
    }
    transfer->stage = WEFT_HTTP_RUNNING;
    engine->worker->fd_waiters++;
    if (is_first_attempt(transfer))
        weft_http_count(&engine->counts.requests, 1);
    weft_http_count(&engine->counts.requests_now, 1);
}

/* Returns true when there may be more to begin. */
static bool begin_some(struct weft_http_engine *engine)
{
    while (!weft_list_empty(&engine->arrived)) {
        struct weft_http_transfer *transfer = first_of(&engine->arrived);
        if (transfer->has_turn) {
            begin(transfer);
            continue;
        }
        int err = queue_up(transfer);
        if (err == 0)
            continue;
        weft_note(&engine->counts.waiting_now, engine->counts.waiting_now - 1);
        end(transfer, err);
    }
    for (unsigned begun = 0; begun < BATCH_MAX; begun++) {
        struct weft_http_place *place = weft_http_queue_pop(&engine->queue);
        if (!place)
            return false;
        struct weft_http_transfer *transfer =
            weft_container_of(place, struct weft_http_transfer, place);
        transfer->has_turn = true;
        begin(transfer);
    }
    return true;
}

/* ---- work --------------------------------------------------------------------------------- */

static void stop_all(struct weft_http_engine *engine)
{
    while (!weft_list_empty(&engine->stopping)) {
        struct weft_http_transfer *transfer = first_of(&engine->stopping);
        if (transfer->late && !transfer->connected && transfer->connect_by_ns > 0)
            weft_http_transfer_unreachable(transfer);
        leave(transfer);
        end(transfer, transfer->late ? -ETIMEDOUT : -ECANCELED);
    }
}

static void resume_all(struct weft_http_engine *engine)
{
    while (!weft_list_empty(&engine->resuming)) {
        struct weft_http_transfer *transfer = first_of(&engine->resuming);
        CURLcode code =
            curl_easy_pause(transfer->easy, (transfer->paused ? CURLPAUSE_RECV : 0) |
                                                (transfer->starved ? CURLPAUSE_SEND : 0));
        if (code != CURLE_OK)
            conclude(transfer, code);
    }
}

/* Returns true when time was up before all were served. */
static bool serve_sockets(struct weft_http_engine *engine)
{
    int64_t until_ns = weft_worker_now(engine->worker) + WORK_NS;
    while (!weft_list_empty(&engine->ready)) {
        weft_http_socket_serve(engine);
        if (weft_worker_now(engine->worker) >= until_ns)
            break;
    }
    return !weft_list_empty(&engine->ready);
}

static void serve_timer(struct weft_http_engine *engine)
{
    int running;
    if (weft_worker_now(engine->worker) < engine->curl_due_ns)
        return;
    engine->curl_due_ns = WEFT_FOREVER;
    (void)curl_multi_socket_action(engine->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

/* What has ended comes first: it leaves a connection for what begins. */
static void work(struct weft_http_engine *engine)
{
    stop_all(engine);
    resume_all(engine);
    bool more = serve_sockets(engine);
    collect(engine);
    more = begin_some(engine) || more;
    serve_timer(engine);
    collect(engine);
    while (engine->idle_len > IDLE_MAX) {
        engine->idle_len--;
        free_transfer(first_of(&engine->idle));
    }
    if (more || !weft_list_empty(&engine->ready) || weft_http_queue_has_turn(&engine->queue))
        weft_http_engine_kick(engine);
    else if (engine->curl_due_ns != WEFT_FOREVER)
        work_at(engine, engine->curl_due_ns);
}

/* ---- what fibers ask for ------------------------------------------------------------------ */

struct weft_http_transfer *weft_http_transfer_take(struct weft_http_engine *engine)
{
    if (!weft_list_empty(&engine->idle)) {
        engine->idle_len--;
        return first_of(&engine->idle);
    }
    struct weft_http_transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return NULL;
    transfer->engine = engine;
    weft_list_init(&transfer->work);
    weft_list_init(&transfer->place.link);
    weft_list_init(&transfer->opened);
    weft_list_append(&engine->transfers, &transfer->all);
    weft_buffer_init(&transfer->lines, WEFT_HTTP_REQUEST_HEAD_MAX);
    weft_buffer_init(&transfer->cookie, WEFT_HTTP_REQUEST_HEAD_MAX);
    weft_buffer_init(&transfer->names, WEFT_HTTP_NAME_BYTES_MAX);
    weft_buffer_init(&transfer->pieces, SIZE_MAX / 4);
    weft_buffer_init(&transfer->reply, 1);
    return transfer;
}

static void free_transfer(struct weft_http_transfer *transfer)
{
    weft_list_unlink(&transfer->all);
    weft_list_unlink(&transfer->work);
    curl_easy_cleanup(transfer->easy);
    weft_buffer_deinit(&transfer->lines);
    weft_buffer_deinit(&transfer->cookie);
    weft_buffer_deinit(&transfer->names);
    weft_buffer_deinit(&transfer->pieces);
    weft_buffer_deinit(&transfer->reply);
    free(transfer->nodes);
    free(transfer->location);
    free(transfer);
}

/* After everything else has gone. */
static void free_engine(struct weft_http_engine *engine)
{
    weft_http_queue_deinit(&engine->queue);
    weft_http_names_deinit(&engine->names);
    free(engine);
}

void weft_http_transfer_give_back(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    transfer->stage = WEFT_HTTP_IDLE;
    weft_buffer_deinit(&transfer->pieces); /* what was not taken is not for the next */
    if (transfer->has_turn) {
        transfer->has_turn = false;
        weft_http_queue_leave(&engine->queue, &transfer->place, true);
        if (!engine->closed)
            weft_http_engine_kick(engine);
    }
    if (!engine->closed) {
        weft_list_append(&engine->idle, &transfer->work);
        engine->idle_len++;
        return;
    }
    free_transfer(transfer);
    if (weft_list_empty(&engine->transfers))
        free_engine(engine);
}

int weft_http_engine_submit(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    const struct weft_http_client_options *options = &engine->options;
    unsigned free_places = options->requests_max - engine->queue.running;
    uint64_t waiting_max = (uint64_t)options->waiting_max + free_places;
    if (engine->closed)
        return -ESHUTDOWN;
    if (!transfer->has_turn && engine->counts.waiting_now >= waiting_max)
        return WEFT_EFULL;
    transfer->stage = WEFT_HTTP_WAITING;
    weft_list_append(&engine->arrived, &transfer->work);
    weft_note(&engine->counts.waiting_now, engine->counts.waiting_now + 1);
    weft_http_engine_kick(engine);
    return 0;
}

int weft_http_transfer_park(struct weft_http_transfer *transfer, int64_t deadline_ns,
                            enum weft_park_kind kind)
{
    struct weft_fiber *self = transfer->engine->worker->current;
    self->waits_for = "an HTTP response";
    weft_park_prepare_local(self);
    transfer->fiber = self;
    int err = weft_park(self, deadline_ns, kind);
    transfer->fiber = NULL;
    return err;
}

/* It waits, so libcurl does not know of it. */
static void withdraw(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    bool in_line = weft_list_empty(&transfer->work);
    weft_list_unlink(&transfer->work);
    if (in_line)
        weft_http_queue_withdraw(&engine->queue, &transfer->place);
    weft_note(&engine->counts.waiting_now, engine->counts.waiting_now - 1);
    transfer->stage = WEFT_HTTP_ENDED;
}

void weft_http_engine_stop(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    if (transfer->stage == WEFT_HTTP_WAITING)
        withdraw(transfer);
    if (transfer->stage != WEFT_HTTP_RUNNING)
        return;
    weft_list_unlink(&transfer->work);
    weft_list_append(&engine->stopping, &transfer->work);
    weft_http_engine_kick(engine);
    while (transfer->stage == WEFT_HTTP_RUNNING)
        (void)weft_http_transfer_park(transfer, WEFT_FOREVER, WEFT_PARK_SHIELDED);
}

void weft_http_engine_resume(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    if (transfer->stage != WEFT_HTTP_RUNNING || !weft_list_empty(&transfer->work))
        return;
    weft_list_append(&engine->resuming, &transfer->work);
    weft_http_engine_kick(engine);
}

/* ---- beginning and end -------------------------------------------------------------------- */

/* What a fiber has the scheduler do. */
struct errand {
    struct weft_mail mail;
    struct weft_completion done;
    struct weft_http_client *client;
    struct weft_http_engine *engine;
};

static void run_errand(struct errand *errand, struct weft_worker *worker,
                       void (*deliver)(struct weft_mail *mail))
{
    errand->mail.deliver = deliver;
    weft_completion_init(&errand->done);
    weft_worker_send(worker, &errand->mail);
}

static CURLcode libcurl_started;

static void start_libcurl(void)
{
    libcurl_started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static CURLMcode set_up_multi(struct weft_http_engine *engine)
{
    CURLM *multi = engine->multi;
    const struct weft_http_client_options *options = &engine->options;
    CURLMcode code = CURLM_OK;
#define SET(option, value) (code = code ? code : curl_multi_setopt(multi, option, value))
    SET(CURLMOPT_SOCKETFUNCTION, weft_http_socket_want);
    SET(CURLMOPT_SOCKETDATA, engine);
    SET(CURLMOPT_TIMERFUNCTION, timer_wanted);
    SET(CURLMOPT_TIMERDATA, engine);
    SET(CURLMOPT_MAXCONNECTS, (long)options->connections_max);
    SET(CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)options->connections_max);
    SET(CURLMOPT_PIPELINING, options->http2 ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
    if (options->http2) { /* else there are never more than requests, and these are counted */
        SET(CURLMOPT_MAX_HOST_CONNECTIONS, (long)options->host_connections_max);
        SET(CURLMOPT_MAX_CONCURRENT_STREAMS, (long)options->streams_max);
    }
#undef SET
    return code;
}

static int set_up_turns(struct weft_http_engine *engine)
{
    const struct weft_http_client_options *options = &engine->options;
    const struct weft_http_queue_limits limits = {
        .running_max = options->requests_max,
        .connections_max = options->connections_max,
        .host_max = options->host_connections_max,
        .streams_max = options->http2 ? options->streams_max : 0,
    };
    uint64_t secret[2];
    weft_pattern_secret(secret, 0);
    int err = weft_http_queue_init(&engine->queue, &limits, secret);
    if (err == 0)
        err = weft_http_names_init(&engine->names, options->names_max, options->names_kept_ns,
                                   secret);
    if (err == 0)
        err = weft_semaphore_init(&engine->look_ups, WEFT_HTTP_LOOK_UPS_MAX, WEFT_SHARED);
    return err;
}

static int set_up(struct weft_http_engine *engine, struct weft_http_client *client)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, start_libcurl);
    if (libcurl_started != CURLE_OK)
        return -EIO;
    for (int i = 0; i < 2; i++) {
        engine->proxies[i] = client->proxies[i];
        if (client->proxies[i] && !weft_http_url_is_proxy(client->proxies[i]))
            return -EINVAL;
    }
    int err = set_up_turns(engine);
    if (err == 0 && engine->options.cookies && !client->jar) /* by the first engine, at open */
        err = weft_http_jar_open(&client->jar, engine->options.cookies_max);
    if (err < 0)
        return err;
    engine->jar = client->jar;
    engine->multi = curl_multi_init();
    return engine->multi && set_up_multi(engine) == CURLM_OK ? 0 : -ENOMEM;
}

static int make_engine(struct weft_http_client *client, struct weft_http_engine **ret_engine)
{
    struct weft_http_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return -ENOMEM;
    engine->worker = weft_current_worker;
    engine->options = client->options;
    engine->no_proxy = client->no_proxy ? client->no_proxy : "";
    engine->notes_times = client->options.first_byte_timeout_ns > 0;
    engine->curl_due_ns = WEFT_FOREVER;
    weft_list_init(&engine->transfers);
    weft_list_init(&engine->idle);
    weft_list_init(&engine->arrived);
    weft_list_init(&engine->stopping);
    weft_list_init(&engine->resuming);
    weft_list_init(&engine->sockets);
    weft_list_init(&engine->ready);
    int err = set_up(engine, client);
    if (err < 0) {
        (void)curl_multi_cleanup(engine->multi);
        free_engine(engine);
        return err;
    }
    *ret_engine = engine;
    return 0;
}

static void open_delivered(struct weft_mail *mail)
{
    struct errand *errand = weft_container_of(mail, struct errand, mail);
    struct weft_http_client *client = errand->client;
    struct weft_http_engine **ours = &client->engines[weft_current_worker->index];
    int err = *ours ? 0 : make_engine(client, &errand->engine);
    if (errand->engine)
        __atomic_store_n(ours, errand->engine, __ATOMIC_RELEASE);
    errand->engine = *ours;
    weft_completion_signal(&errand->done, err);
}

int weft_http_engine_open(struct weft_http_client *client, struct weft_http_engine **ret_engine)
{
    struct errand errand = {.client = client};
    *ret_engine = client->engines[weft_current_worker->index];
    if (*ret_engine)
        return 0;
    run_errand(&errand, weft_current_worker, open_delivered);
    int err = weft_completion_wait(&errand.done);
    *ret_engine = errand.engine;
    return err;
}

/* Whoever is inside a transfer hears of it, and gives it back; then it can be freed. */
static void close_transfer(struct weft_http_transfer *transfer)
{
    bool waits = transfer->stage == WEFT_HTTP_WAITING, runs = transfer->stage == WEFT_HTTP_RUNNING;
    if (waits)
        withdraw(transfer);
    if (runs)
        leave(transfer);
    if (waits || runs)
        end(transfer, -ESHUTDOWN);
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

/* Fibers give their transfers back once they have run; the last of them frees the engine. */
void weft_http_engine_close(struct weft_http_engine *engine)
{
    engine->closed = true;
    if (engine->worker)
        disarm(engine);
    while (!weft_list_empty(&engine->idle))
        free_transfer(first_of(&engine->idle));
    WEFT_LIST_FOR_EACH (link, &engine->transfers)
        close_transfer(weft_container_of(link, struct weft_http_transfer, all));
    (void)curl_multi_cleanup(engine->multi);
    engine->multi = NULL;
    if (weft_list_empty(&engine->transfers))
        free_engine(engine);
}

static void close_delivered(struct weft_mail *mail)
{
    struct errand *errand = weft_container_of(mail, struct errand, mail);
    weft_http_engine_close(errand->engine);
    weft_completion_signal(&errand->done, 0);
}

void weft_http_engine_close_from(struct weft_http_engine *engine)
{
    struct errand errand = {.engine = engine};
    run_errand(&errand, engine->worker, close_delivered);
    (void)weft_completion_wait(&errand.done);
}
