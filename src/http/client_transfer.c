/* SPDX-License-Identifier: MIT
 * client_transfer.c - one request as libcurl is told of it, and what it says of the response. */
#include <http/client_internal.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_BYTES_MAX   ((size_t)64 << 10)
#define REPLY_BYTES      ((size_t)448) /* of most small replies: one allocation */
#define PIECES_BYTES_MAX ((size_t)64 << 10)
#define EXPECT_BYTES     ((size_t)1 << 20) /* from that much on libcurl would ask first */
#define NODES_OWN        2u                /* headers of libcurl's own that are turned off */
/* libcurl keeps addresses no longer than it needs to begin: it looks through all of them at the end
 * of every transfer, and the runtime keeps them anyway. At least 1 s, whenever the second began. */
#define ADDRESSES_KEPT_S 2L

/* ---- what comes: libcurl's callbacks ----------------------------------------------------- */

static size_t refuse(struct weft_http_transfer *transfer, int failure, const char *why)
{
    transfer->failure = failure;
    transfer->why = why;
    return 0; /* fewer bytes than there were: libcurl gives up */
}

static size_t take_head(char *line, size_t size, size_t len, void *arg)
{
    struct weft_http_transfer *transfer = arg;
    (void)size;
    weft_http_head_line(transfer, line, len);
    if (transfer->reply.err || transfer->fields_len > HEAD_BYTES_MAX)
        return refuse(transfer, transfer->reply.err ? transfer->reply.err : -EMSGSIZE,
                      "the head of the response is larger than 64 KiB");
    return len;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Room for all of a body that says how long it is, or libcurl's copy would be moved many times. */
static void begin_body(struct weft_http_transfer *transfer)
{
    curl_off_t len = -1;
    transfer->discards =
        transfer->question.may_follow && transfer->has_location && is_redirect(transfer->status);
    if (transfer->discards || transfer->question.streams)
        return;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
    if (len > 0 && (uint64_t)len <= transfer->question.body_max)
        (void)weft_buffer_reserve(&transfer->reply, (size_t)len + 1);
}

static size_t take_body(char *bytes, size_t size, size_t len, void *arg)
{
    struct weft_http_transfer *transfer = arg;
    const struct weft_http_question *question = &transfer->question;
    (void)size;
    if (transfer->body_bytes == 0)
        begin_body(transfer);
    if (transfer->body_bytes + len > question->body_max)
        return refuse(transfer, -EMSGSIZE, "the body of the response is too large");
    bool piecewise = question->streams && !transfer->discards;
    struct weft_buffer *target = piecewise ? &transfer->pieces : &transfer->reply;
    if (piecewise && target->len > 0 && target->len + len > PIECES_BYTES_MAX) {
        transfer->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    transfer->body_bytes += len;
    if (transfer->discards)
        return len;
    weft_buffer_append(target, bytes, len);
    if (target->err)
        return refuse(transfer, target->err, "no memory for the response");
    if (piecewise)
        weft_http_transfer_news(transfer);
    return len;
}

/* The name, of this or of another, is the fiber's to look up. */
static int before_look_up(void *resolver, void *reserved, void *arg)
{
    struct weft_http_transfer *transfer = arg;
    (void)resolver, (void)reserved;
    if (transfer->literals > 0) {
        transfer->literals--;
        return 0;
    }
    transfer->asked_name = true;
    return 1;
}

static int before_request(void *arg, char *theirs, char *ours, int their_port, int our_port)
{
    struct weft_http_transfer *transfer = arg;
    (void)theirs, (void)ours, (void)their_port, (void)our_port;
    transfer->connected = true;
    return CURL_PREREQFUNC_OK;
}

/* ---- what is asked ------------------------------------------------------------------------ */

/* What is the same for every transfer of the engine. The first failure is kept, as in a buffer. */
static CURLcode set_constants(struct weft_http_transfer *transfer)
{
    const struct weft_http_client_options *options = &transfer->engine->options;
    CURL *easy = transfer->easy;
    CURLcode code = CURLE_OK;
#define SET(option, value) (code = code ? code : curl_easy_setopt(easy, option, value))
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_DNS_CACHE_TIMEOUT, ADDRESSES_KEPT_S);
    /* Ours is kept by the fiber; libcurl's says how long it tries each of several addresses. */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(options->connect_timeout_ns / WEFT_MSEC) + 1000L);
    SET(CURLOPT_MAXAGE_CONN, (long)((options->idle_timeout_ns + WEFT_SEC - 1) / WEFT_SEC));
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_HTTP_VERSION,
        (long)(options->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    SET(CURLOPT_PIPEWAIT, options->http2 ? 1L : 0L);
    SET(CURLOPT_USERAGENT, options->user_agent);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
    SET(CURLOPT_SSL_VERIFYPEER, options->tls_insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, options->tls_insecure ? 0L : 2L);
    SET(CURLOPT_PROXY, ""); /* not the environment's */
    SET(CURLOPT_NOPROXY, transfer->engine->no_proxy);
    SET(CURLOPT_HEADERFUNCTION, take_head);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_RESOLVER_START_FUNCTION, before_look_up);
    SET(CURLOPT_RESOLVER_START_DATA, transfer);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_OPENSOCKETFUNCTION, weft_http_socket_open);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_CLOSESOCKETFUNCTION, weft_http_socket_close);
    SET(CURLOPT_CLOSESOCKETDATA, transfer->engine);
#undef SET
    return code;
}

static int make_easy(struct weft_http_transfer *transfer)
{
    transfer->easy = curl_easy_init();
    if (transfer->easy && set_constants(transfer) == CURLE_OK)
        return 0;
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
    return -ENOMEM;
}

/* A list of the strings in a buffer, in nodes that libcurl does not own. */
static unsigned link_strings(struct curl_slist *nodes, const struct weft_buffer *strings,
                             unsigned len)
{
    char *text = strings->data;
    for (unsigned i = 0; i < len; i++) {
        nodes[i] = (struct curl_slist){text, i + 1 < len ? &nodes[i + 1] : NULL};
        text += strlen(text) + 1;
    }
    return len;
}

static int grow_nodes(struct weft_http_transfer *transfer, unsigned len)
{
    if (len <= transfer->nodes_capacity)
        return 0;
    struct curl_slist *nodes = realloc(transfer->nodes, len * sizeof *nodes);
    if (!nodes)
        return -ENOMEM;
    transfer->nodes = nodes;
    transfer->nodes_capacity = len;
    return 0;
}

static void add_node(struct weft_http_transfer *transfer, unsigned *len, char *text)
{
    transfer->nodes[*len] = (struct curl_slist){text, NULL};
    if (*len > 0)
        transfer->nodes[*len - 1].next = &transfer->nodes[*len];
    (*len)++;
}

/* The fields of the request. "Name:" keeps libcurl from sending its own. */
static int set_fields(struct weft_http_transfer *transfer)
{
    static char no_type[] = "Content-Type:", no_expect[] = "Expect:";
    const struct weft_http_question *question = &transfer->question;
    int err = grow_nodes(transfer, transfer->lines_len + NODES_OWN);
    if (err < 0)
        return err;
    unsigned len = link_strings(transfer->nodes, &transfer->lines, transfer->lines_len);
    if (question->body && !question->has_type)
        add_node(transfer, &len, no_type);
    if (question->body_len >= EXPECT_BYTES)
        add_node(transfer, &len, no_expect);
    CURLcode code =
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, len > 0 ? transfer->nodes : NULL);
    return code == CURLE_OK ? 0 : -ENOMEM;
}

static CURLcode set_method(CURL *easy, const struct weft_http_question *question)
{
    const char *method = question->method ? question->method : "GET";
    bool is_get = !strcmp(method, "GET"), is_head = !strcmp(method, "HEAD");
    const char *custom = is_get || is_head ? NULL : method;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* forget the one before */
    if (code == CURLE_OK && is_head)
        code = curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (code == CURLE_OK && question->body) {
        custom = is_get ? method : custom;
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)question->body_len);
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, question->body);
    }
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, custom) : code;
}

static int set_names(struct weft_http_transfer *transfer)
{
    if (transfer->names_len == 0)
        return 0;
    (void)link_strings(transfer->name_nodes, &transfer->names, transfer->names_len);
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, transfer->name_nodes);
    return code == CURLE_OK ? 0 : -ENOMEM;
}

static const char *proxy_of(const struct weft_http_transfer *transfer)
{
    bool is_secure = strncasecmp(transfer->question.url, "https:", 6) == 0;
    return transfer->engine->proxies[is_secure];
}

static CURLcode set_proxy(const struct weft_http_transfer *transfer)
{
    const struct weft_http_engine *engine = transfer->engine;
    if (!engine->proxies[0] && !engine->proxies[1])
        return CURLE_OK;
    const char *proxy = proxy_of(transfer);
    return curl_easy_setopt(transfer->easy, CURLOPT_PROXY, proxy ? proxy : "");
}

static int forget_answer(struct weft_http_transfer *transfer)
{
    const struct weft_http_question *question = &transfer->question;
    transfer->connected = transfer->paused = transfer->refused = false;
    transfer->asked_name = transfer->discards = false;
    transfer->head_ended = transfer->has_location = false;
    transfer->status = transfer->failure = 0;
    transfer->why = NULL;
    transfer->body_bytes = 0;
    transfer->error[0] = '\0';
    weft_buffer_clear(&transfer->reply);
    size_t room = question->streams ? 0 : question->body_max;
    size_t url_bytes = strlen(question->url) + 1;
    transfer->reply.len_max = url_bytes + 2 * HEAD_BYTES_MAX + room + 1;
    transfer->fields_at = url_bytes;
    transfer->fields_len = 0;
    (void)weft_buffer_reserve(&transfer->reply, url_bytes + REPLY_BYTES);
    weft_buffer_append(&transfer->reply, question->url, url_bytes);
    return transfer->reply.err;
}

int weft_http_transfer_prepare(struct weft_http_transfer *transfer)
{
    int err = transfer->easy ? 0 : make_easy(transfer);
    if (err == 0)
        err = forget_answer(transfer);
    if (err == 0)
        err = set_fields(transfer);
    if (err == 0)
        err = set_names(transfer);
    if (err < 0)
        return err;
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->question.url);
    if (code == CURLE_OK)
        code = set_method(transfer->easy, &transfer->question);
    if (code == CURLE_OK)
        code = set_proxy(transfer);
    return code == CURLE_OK ? 0 : -ENOMEM;
}

/* ---- what became of it -------------------------------------------------------------------- */

/* Between two of libcurl's points in time, in microseconds from the beginning; 0 is none. */
static int64_t between_ns(curl_off_t from_us, curl_off_t to_us)
{
    return to_us > from_us ? (int64_t)(to_us - from_us) * 1000 : 0;
}

static void read_times(struct weft_http_transfer *transfer)
{
    curl_off_t named = 0, connected = 0, secured = 0, asked = 0, answered = 0;
    CURL *easy = transfer->easy;
    struct weft_http_times *times = &transfer->times;
    (void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &asked);
    (void)curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &answered);
    times->first_byte_ns = between_ns(asked, answered);
    times->connect_ns = times->tls_ns = 0;
    if (transfer->connections == 0)
        return;
    (void)curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &named);
    (void)curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
    (void)curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    times->connect_ns = between_ns(named, connected);
    times->tls_ns = between_ns(connected, secured);
}

static void read_amounts(struct weft_http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    long connections = 0, version = 0, head_in = 0, head_out = 0;
    curl_off_t body_in = 0, body_out = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    (void)curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &head_in);
    (void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &head_out);
    (void)curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &body_in);
    (void)curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &body_out);
    transfer->connections = (unsigned)connections;
    transfer->http_version = version == CURL_HTTP_VERSION_1_0   ? 10
                             : version == CURL_HTTP_VERSION_1_1 ? 11
                             : version == CURL_HTTP_VERSION_2_0 ? 20
                                                                : 0;
    transfer->bytes_received = (uint64_t)head_in + (uint64_t)body_in;
    transfer->bytes_sent = (uint64_t)head_out + (uint64_t)body_out;
}

/* Where a redirect leads that is to be followed: libcurl makes a whole URL of it. */
static int read_location(struct weft_http_transfer *transfer)
{
    char *location = NULL;
    free(transfer->location);
    transfer->location = NULL;
    bool follows =
        transfer->question.may_follow && transfer->has_location && is_redirect(transfer->status);
    if (follows)
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &location);
    if (!location)
        return 0;
    transfer->location = strdup(location);
    transfer->same_origin = weft_http_url_same_origin(transfer->question.url, location);
    return transfer->location ? 0 : -ENOMEM;
}

/* The name that libcurl wanted: of the proxy first, if there is one. */
static int read_name(struct weft_http_transfer *transfer)
{
    const char *proxy = proxy_of(transfer);
    bool is_proxys = proxy && transfer->names_len == 0 && transfer->literals == 0;
    return weft_http_url_host(is_proxys ? proxy : transfer->question.url, transfer->name,
                              &transfer->name_port);
}

static int read_failure(struct weft_http_transfer *transfer, CURLcode code)
{
    long os_error = 0;
    if (transfer->asked_name && transfer->failure == 0) {
        int err = read_name(transfer);
        return err < 0 ? err : WEFT_HTTP_NEEDS_NAME;
    }
    if (transfer->failure)
        return transfer->failure;
    if (transfer->refused && code == CURLE_COULDNT_CONNECT) {
        transfer->why = "the address is not allowed";
        return -EACCES;
    }
    transfer->why = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_error);
    return weft_http_error_of(code, os_error);
}

void weft_http_transfer_conclude(struct weft_http_transfer *transfer, CURLcode code)
{
    read_amounts(transfer);
    read_times(transfer);
    if (code != CURLE_OK) {
        transfer->result = read_failure(transfer, code);
        return;
    }
    char *end = weft_buffer_reserve(&transfer->reply, 1);
    transfer->result = end ? read_location(transfer) : transfer->reply.err;
    if (end)
        *end = '\0';
}
