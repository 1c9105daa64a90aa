/* SPDX-License-Identifier: MIT
 * engine_easy.c - see engine_easy.h. What curl_easy_perform does inside, with a multi handle of its
 * own, so that another thread can end the wait. */
#include <fetch/engine_easy.h>

#include <base/buffer.h>
#include <http/client_error.h>
#include <weft/runtime.h>

#include <curl/curl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HEAD_BYTES_MAX ((size_t)64 << 10)
#define POLL_MS        1000
#define EXPECT_BYTES   ((size_t)1 << 20) /* from that much on libcurl would ask first */

struct weft_fetch_easy {
    const struct weft_fetcher_options *options;
    CURL *easy;
    CURLM *multi;
    int stopped; /* atomic */
    char error[CURL_ERROR_SIZE];

    /* Of the present exchange. */
    struct weft_fetch_exchange *exchange;
    struct weft_buffer buffer;
    struct curl_slist *lines;
    size_t fields_at, body_at;
    bool head_ended;
    bool refused; /* an address, by refuse_private */
    int status;
    int failure; /* a callback has ended it with that; 0: none has */
    const char *why;
};

static bool is_stopped(const struct weft_fetch_easy *easy)
{
    return __atomic_load_n(&easy->stopped, __ATOMIC_ACQUIRE);
}

/* ---- what comes --------------------------------------------------------------------------- */

static size_t refuse(struct weft_fetch_easy *easy, int failure, const char *why)
{
    easy->failure = failure;
    easy->why = why;
    return 0; /* fewer bytes than there were: libcurl gives up */
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void append_trimmed(struct weft_buffer *buffer, const char *text, size_t len)
{
    while (len > 0 && is_blank(*text)) {
        text++;
        len--;
    }
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    weft_buffer_append(buffer, text, len);
    weft_buffer_append_char(buffer, '\0');
}

/* A line of a head: "HTTP/1.1 200 OK", "Name: value", or nothing at its end. libcurl has unfolded
 * none of them: a line that goes on belongs to the one before. */
static size_t take_head(char *line, size_t size, size_t len, void *arg)
{
    struct weft_fetch_easy *easy = arg;
    struct weft_buffer *buffer = &easy->buffer;
    (void)size;
    if (easy->head_ended && easy->status >= 200)
        return len; /* a trailer */
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        const char *blank = memchr(line, ' ', len);
        buffer->len = easy->fields_at;          /* what came before was interim */
        easy->status = blank ? atoi(blank) : 0; // NOLINT: libcurl has checked it
        easy->head_ended = false;
        return len;
    }
    const char *colon = memchr(line, ':', len);
    if (len <= 2 && is_blank(line[0])) {
        easy->head_ended = true;
    } else if (is_blank(line[0]) && buffer->len > easy->fields_at) {
        buffer->data[buffer->len - 1] = ' ';
        append_trimmed(buffer, line, len);
    } else if (colon && !memchr(line, '\0', len)) {
        append_trimmed(buffer, line, (size_t)(colon - line));
        append_trimmed(buffer, colon + 1, len - (size_t)(colon + 1 - line));
    }
    easy->body_at = buffer->len;
    if (buffer->err || buffer->len - easy->fields_at > HEAD_BYTES_MAX)
        return refuse(easy, buffer->err ? buffer->err : -EMSGSIZE,
                      "the head is larger than 64 KiB");
    return len;
}

static size_t take_body(char *bytes, size_t size, size_t len, void *arg)
{
    struct weft_fetch_easy *easy = arg;
    struct weft_fetch_exchange *exchange = easy->exchange;
    (void)size;
    exchange->body_bytes += len;
    if (exchange->body_bytes > exchange->body_max)
        return refuse(easy, -EMSGSIZE, "the body is larger than allowed");
    if (exchange->keeps_body)
        weft_buffer_append(&easy->buffer, bytes, len);
    return easy->buffer.err ? refuse(easy, easy->buffer.err, "no memory for the body") : len;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct weft_fetch_easy *easy = arg;
    (void)purpose;
    if (easy->options->refuse_private &&
        !weft_http_address_is_public(NULL, &address->addr, address->addrlen)) {
        easy->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The connection is there, with TLS: from now on something is sent. */
static int before_request(void *arg, char *theirs, char *ours, int their_port, int our_port)
{
    struct weft_fetch_easy *easy = arg;
    (void)theirs, (void)ours, (void)their_port, (void)our_port;
    easy->exchange->sent = true;
    return CURL_PREREQFUNC_OK;
}

/* ---- what is asked ------------------------------------------------------------------------ */

/* What is the same for every exchange. */
static CURLcode set_constants(struct weft_fetch_easy *this)
{
    const struct weft_fetcher_options *options = this->options;
    CURL *easy = this->easy;
    CURLcode code = CURLE_OK;
    bool naive = options->pooling == WEFT_FETCH_NAIVE;
#define SET(option, value) (code = code ? code : curl_easy_setopt(easy, option, value))
    SET(CURLOPT_ERRORBUFFER, this->error);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)((options->connect_timeout_ns + 999999) / WEFT_MSEC));
    SET(CURLOPT_HTTP_VERSION,
        (long)(options->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    SET(CURLOPT_USERAGENT, options->user_agent);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
    SET(CURLOPT_SSL_VERIFYPEER, options->tls_insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, options->tls_insecure ? 0L : 2L);
    if (options->proxy || !options->proxy_of_environment)
        SET(CURLOPT_PROXY, options->proxy ? options->proxy : "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_FRESH_CONNECT, naive ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, naive ? 1L : 0L);
    SET(CURLOPT_HEADERFUNCTION, take_head);
    SET(CURLOPT_HEADERDATA, this);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, this);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, this);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, this);
#undef SET
    return code;
}

static bool add_line(struct weft_fetch_easy *easy, const char *line)
{
    struct curl_slist *lines = curl_slist_append(easy->lines, line);
    easy->lines = lines ? lines : easy->lines;
    return lines;
}

static int set_fields(struct weft_fetch_easy *easy)
{
    const struct weft_fetch_exchange *exchange = easy->exchange;
    bool has_type = false, added = true;
    for (size_t i = 0; i < exchange->fields_count && added; i++) {
        const struct weft_http_field *field = &exchange->fields[i];
        char *line;
        /* With nothing behind the colon libcurl would take it as a wish not to send its own. */
        if (asprintf(&line, "%s%s%s", field->name, *field->value ? ": " : ";", field->value) < 0)
            return -ENOMEM;
        has_type = has_type || strcasecmp(field->name, "Content-Type") == 0;
        added = add_line(easy, line);
        free(line);
    }
    if (added && !has_type)
        added = add_line(easy, "Content-Type:");
    if (added && exchange->body_len >= EXPECT_BYTES)
        added = add_line(easy, "Expect:");
    if (added && easy->options->pooling == WEFT_FETCH_NAIVE)
        added = add_line(easy, "Connection: close");
    return added && !curl_easy_setopt(easy->easy, CURLOPT_HTTPHEADER, easy->lines) ? 0 : -ENOMEM;
}

static CURLcode set_method(struct weft_fetch_easy *this)
{
    const struct weft_fetch_exchange *exchange = this->exchange;
    const char *method = exchange->method;
    bool is_get = strcmp(method, "GET") == 0, is_head = strcmp(method, "HEAD") == 0;
    bool has_body = exchange->body || weft_fetch_announces_body(method);
    const char *custom = (is_get && !has_body) || is_head ? NULL : method;
    CURL *easy = this->easy;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* forget the one before */
    if (code == CURLE_OK && is_head)
        code = curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (code == CURLE_OK && has_body) {
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body_len);
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body ? exchange->body : "");
    }
    return code ? code : curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, custom);
}

static int prepare(struct weft_fetch_easy *easy)
{
    const struct weft_fetch_exchange *exchange = easy->exchange;
    int64_t left_ns = exchange->deadline_ns - weft_now();
    long left_ms = left_ns <= WEFT_MSEC ? 1L : (long)(left_ns / WEFT_MSEC);
    weft_buffer_append(&easy->buffer, exchange->url, strlen(exchange->url) + 1);
    easy->fields_at = easy->body_at = easy->buffer.len;
    int err = easy->buffer.err ? easy->buffer.err : set_fields(easy);
    if (err == 0 && (curl_easy_setopt(easy->easy, CURLOPT_URL, exchange->url) ||
                     curl_easy_setopt(easy->easy, CURLOPT_TIMEOUT_MS, left_ms) || set_method(easy)))
        err = -ENOMEM;
    return err;
}

/* ---- what became of it -------------------------------------------------------------------- */

/* Between two of libcurl's points in time, in microseconds from the beginning; 0 is none. */
static int64_t between_ns(curl_off_t from_us, curl_off_t to_us)
{
    return to_us > from_us ? (int64_t)(to_us - from_us) * 1000 : 0;
}

static void read_numbers(struct weft_fetch_easy *this, struct weft_http_response *response)
{
    CURL *easy = this->easy;
    curl_off_t named = 0, connected = 0, secured = 0, asked = 0, answered = 0, body_in = 0,
               body_out = 0;
    long connections = 0, version = 0, head_in = 0, head_out = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &named);
    (void)curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
    (void)curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    (void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &asked);
    (void)curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &answered);
    (void)curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    (void)curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &head_in);
    (void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &head_out);
    (void)curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &body_in);
    (void)curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &body_out);
    response->times.first_byte_ns = between_ns(asked, answered);
    if (connections > 0) {
        response->times.name_ns = between_ns(0, named);
        response->times.connect_ns = between_ns(named, connected);
        response->times.tls_ns = between_ns(connected, secured);
    }
    response->connections = (unsigned)connections;
    response->http_version = version == CURL_HTTP_VERSION_1_0   ? 10
                             : version == CURL_HTTP_VERSION_1_1 ? 11
                             : version == CURL_HTTP_VERSION_2_0 ? 20
                                                                : 0;
    response->bytes_received = (uint64_t)head_in + (uint64_t)body_in;
    response->bytes_sent = (uint64_t)head_out + (uint64_t)body_out;
}

static int read_failure(struct weft_fetch_easy *easy, CURLcode code)
{
    long os_error = 0;
    if (is_stopped(easy)) {
        easy->why = "cancelled";
        return -ECANCELED;
    }
    if (easy->failure)
        return easy->failure;
    if (easy->refused && code == CURLE_COULDNT_CONNECT) {
        easy->why = "the address is not allowed";
        return -EACCES;
    }
    easy->why = code == CURLE_OPERATION_TIMEDOUT && !easy->exchange->sent ? "no connection in time"
                : code == CURLE_OPERATION_TIMEDOUT ? "no whole response in time"
                : easy->error[0]                   ? easy->error
                                                   : curl_easy_strerror(code);
    (void)curl_easy_getinfo(easy->easy, CURLINFO_OS_ERRNO, &os_error);
    return weft_http_error_of(code, os_error);
}

static void fill_response(struct weft_fetch_easy *easy)
{
    struct weft_http_response *response = &easy->exchange->answer->response;
    struct weft_buffer *buffer = &easy->buffer;
    buffer->data[buffer->len] = '\0'; /* a buffer has room for it */
    response->status = easy->status;
    response->body = buffer->data + easy->body_at;
    response->body_len = buffer->len - easy->body_at;
    response->url = buffer->data;
    response->storage = buffer->data;
    response->fields_at = easy->fields_at;
    response->fields_len = easy->body_at - easy->fields_at;
}

/* ---- the exchange ------------------------------------------------------------------------- */

/* Returns what the transfer came to. */
static CURLcode run(struct weft_fetch_easy *easy)
{
    CURLcode code = CURLE_ABORTED_BY_CALLBACK; /* stopped */
    int running = 1;
    if (curl_multi_add_handle(easy->multi, easy->easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    while (running > 0 && !is_stopped(easy)) {
        if (curl_multi_perform(easy->multi, &running) != CURLM_OK ||
            (running > 0 && curl_multi_poll(easy->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)) {
            code = CURLE_FAILED_INIT;
            break;
        }
    }
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(easy->multi, &left))) {
        if (message->msg == CURLMSG_DONE)
            code = message->data.result;
    }
    return code;
}

void weft_fetch_easy_begin(struct weft_fetch_easy *easy)
{
    __atomic_store_n(&easy->stopped, 0, __ATOMIC_RELEASE);
}

void weft_fetch_easy_stop(struct weft_fetch_easy *easy)
{
    __atomic_store_n(&easy->stopped, 1, __ATOMIC_RELEASE);
    (void)curl_multi_wakeup(easy->multi);
}

int weft_fetch_easy_exchange(struct weft_fetch_easy *easy, struct weft_fetch_exchange *exchange)
{
    struct weft_fetch_answer *answer = exchange->answer;
    easy->exchange = exchange;
    easy->head_ended = easy->refused = false;
    easy->status = easy->failure = 0;
    easy->why = NULL;
    easy->error[0] = '\0';
    weft_fetch_storage_take(answer, &easy->buffer, exchange->body_max + ((size_t)1 << 20));
    exchange->begun_ns = weft_now(); /* the way to this thread is not the network's */
    int err = prepare(easy);
    if (err == 0) {
        CURLcode code = run(easy);
        exchange->ended_ns = weft_now();
        read_numbers(easy, &answer->response);
        err = code == CURLE_OK ? 0 : read_failure(easy, code);
        (void)curl_multi_remove_handle(easy->multi, easy->easy);
    } else {
        exchange->ended_ns = weft_now();
    }
    if (err == 0)
        fill_response(easy);
    else
        (void)weft_fetch_fail(answer, err, easy->why ? easy->why : weft_strerror(err));
    weft_fetch_storage_give(answer, &easy->buffer);
    (void)curl_easy_setopt(easy->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(easy->lines);
    easy->lines = NULL;
    return err;
}

/* ---- open and close ----------------------------------------------------------------------- */

void weft_fetch_easy_close(struct weft_fetch_easy *easy)
{
    if (!easy)
        return;
    curl_easy_cleanup(easy->easy);
    (void)curl_multi_cleanup(easy->multi);
    free(easy);
}

int weft_fetch_easy_open(struct weft_fetch_easy **ret_easy,
                         const struct weft_fetcher_options *options)
{
    struct weft_fetch_easy *easy = calloc(1, sizeof *easy);
    if (!easy)
        return -ENOMEM;
    easy->options = options;
    easy->easy = curl_easy_init();
    easy->multi = curl_multi_init();
    if (!easy->easy || !easy->multi || set_constants(easy) != CURLE_OK) {
        weft_fetch_easy_close(easy);
        return -ENOMEM;
    }
    *ret_easy = easy;
    return 0;
}
