/* SPDX-License-Identifier: MIT
 * client_transfer.c - one request as libcurl is told of it, and what it says of the response. */
#include <http/client_internal.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_BYTES_MAX ((size_t)64 << 10)
#define REPLY_BYTES    ((size_t)448)     /* of most small replies: one allocation */
#define EXPECT_BYTES   ((size_t)1 << 20) /* from that much on libcurl would ask first */
#define NODES_OWN      2u                /* headers of libcurl's own that are turned off */
/* libcurl keeps addresses no longer than it needs to begin: it looks through all of them at the end
 * of every transfer, and the runtime keeps them anyway. At least 1 s, whenever the second began. */
#define ADDRESSES_KEPT_S 2L

/* ---- how it begins: libcurl's callbacks --------------------------------------------------- */

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
    struct weft_http_engine *engine = transfer->engine;
    (void)theirs, (void)ours, (void)their_port, (void)our_port;
    transfer->connected = true;
    weft_http_socket_made(transfer);
    weft_http_queue_placed(&engine->queue, &transfer->place);
    if (engine->notes_times || transfer->question.body || transfer->question.gives)
        transfer->asked_at_ns = weft_worker_now(engine->worker);
    /* libcurl begins again without having asked for the beginning: it had read some, not sent it.
     */
    if (transfer->taken > 0 && transfer->question.body)
        transfer->taken = 0;
    transfer->rewinds = transfer->taken > 0;
    return transfer->rewinds ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
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
    if (options->lifetime_ns > 0)
        SET(CURLOPT_MAXLIFETIME_CONN, (long)((options->lifetime_ns + WEFT_SEC - 1) / WEFT_SEC));
    SET(CURLOPT_FORBID_REUSE, options->no_reuse ? 1L : 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (options->decompress)
        SET(CURLOPT_ACCEPT_ENCODING, ""); /* all that libcurl has */
    SET(CURLOPT_USERAGENT, options->user_agent);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->ca_file)
        SET(CURLOPT_CAINFO, options->ca_file);
    SET(CURLOPT_SSL_VERIFYPEER, options->tls_insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, options->tls_insecure ? 0L : 2L);
    SET(CURLOPT_PROXY, ""); /* not the environment's */
    SET(CURLOPT_NOPROXY, transfer->engine->no_proxy);
    SET(CURLOPT_HEADERFUNCTION, weft_http_take_head);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, weft_http_take_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_READFUNCTION, weft_http_give_body);
    SET(CURLOPT_READDATA, transfer);
    SET(CURLOPT_SEEKFUNCTION, weft_http_seek_body);
    SET(CURLOPT_SEEKDATA, transfer);
    SET(CURLOPT_RESOLVER_START_FUNCTION, before_look_up);
    SET(CURLOPT_RESOLVER_START_DATA, transfer);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_OPENSOCKETFUNCTION, weft_http_socket_open);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_CLOSESOCKETFUNCTION, weft_http_socket_close);
    SET(CURLOPT_CLOSESOCKETDATA, transfer->engine);
#undef SET
    if (code == CURLE_OK && transfer->engine->jar)
        code = weft_http_jar_use(transfer->engine->jar, easy);
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
    if (question->gives || question->body_len >= EXPECT_BYTES)
        add_node(transfer, &len, no_expect);
    CURLcode code =
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, len > 0 ? transfer->nodes : NULL);
    return code == CURLE_OK ? 0 : -ENOMEM;
}

/* A body in pieces, whatever the method: libcurl knows that as an upload. */
static CURLcode set_upload(const struct weft_http_transfer *transfer)
{
    const struct weft_http_question *question = &transfer->question;
    CURL *easy = transfer->easy;
    curl_off_t len = question->body_len > 0 ? (curl_off_t)question->body_len : -1;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL); /* of one before */
    code = code ? code : curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    return code ? code : curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, len);
}

static CURLcode set_body(const struct weft_http_transfer *transfer)
{
    const struct weft_http_question *question = &transfer->question;
    CURL *easy = transfer->easy;
    if (weft_http_gives_body(transfer))
        return set_upload(transfer);
    CURLcode code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
    code =
        code ? code
             : curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)question->body_len);
    return code ? code : curl_easy_setopt(easy, CURLOPT_POSTFIELDS, question->body);
}

static CURLcode set_method(const struct weft_http_transfer *transfer)
{
    const struct weft_http_question *question = &transfer->question;
    CURL *easy = transfer->easy;
    const char *method = question->method ? question->method : "GET";
    bool is_get = !strcmp(method, "GET"), is_head = !strcmp(method, "HEAD");
    bool has_body = question->body || question->gives;
    const char *custom = (is_get && !has_body) || is_head ? NULL : method;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* forget the one before */
    if (code == CURLE_OK && is_head)
        code = curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (code == CURLE_OK && has_body)
        code = set_body(transfer);
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, custom) : code;
}

/* What differs from one request to the next where the options ask for it. */
static CURLcode set_connection(const struct weft_http_transfer *transfer)
{
    const struct weft_http_client_options *options = &transfer->engine->options;
    const struct weft_http_question *question = &transfer->question;
    bool fresh = question->fresh || options->no_reuse || transfer->place.opens;
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    if (code == CURLE_OK && transfer->engine->jar)
        code = curl_easy_setopt(transfer->easy, CURLOPT_COOKIE,
                                transfer->cookie.len > 0 ? transfer->cookie.data : NULL);
    if (code != CURLE_OK || !options->http2)
        return code;
    bool unasked = options->http2 == WEFT_HTTP2_ALL && !weft_http_url_is_secure(question->url);
    return curl_easy_setopt(
        transfer->easy, CURLOPT_HTTP_VERSION,
        (long)(unasked ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS));
}

static int set_names(struct weft_http_transfer *transfer)
{
    if (transfer->names_len == 0)
        return 0;
    (void)link_strings(transfer->name_nodes, &transfer->names, transfer->names_len);
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, transfer->name_nodes);
    return code == CURLE_OK ? 0 : -ENOMEM;
}

const char *weft_http_transfer_proxy(const struct weft_http_transfer *transfer)
{
    return transfer->engine->proxies[weft_http_url_is_secure(transfer->question.url)];
}

static CURLcode set_proxy(const struct weft_http_transfer *transfer)
{
    const struct weft_http_engine *engine = transfer->engine;
    if (!engine->proxies[0] && !engine->proxies[1])
        return CURLE_OK;
    const char *proxy = weft_http_transfer_proxy(transfer);
    return curl_easy_setopt(transfer->easy, CURLOPT_PROXY, proxy ? proxy : "");
}

static int forget_answer(struct weft_http_transfer *transfer)
{
    const struct weft_http_question *question = &transfer->question;
    transfer->connected = transfer->paused = transfer->refused = false;
    transfer->starved = transfer->wants_body = transfer->rewinds = false;
    transfer->asked_name = transfer->discards = transfer->late = false;
    transfer->head_ended = transfer->has_location = false;
    transfer->status = transfer->version = transfer->failure = 0;
    transfer->encodings = transfer->cookies = 0;
    transfer->why = NULL;
    transfer->body_bytes = transfer->moved = transfer->taken = 0;
    transfer->given_len = 0;
    transfer->given_all = false;
    transfer->tls_at_ns = transfer->asked_at_ns = 0;
    transfer->sent_at_ns = transfer->answered_at_ns = 0;
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
        code = set_method(transfer);
    if (code == CURLE_OK)
        code = set_connection(transfer);
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

/* With a body libcurl takes the beginning of the sending for that of the answer: ours counts. */
static void read_times_with_body(struct weft_http_transfer *transfer, int64_t asked_to_end_ns)
{
    struct weft_http_times *times = &transfer->times;
    int64_t asked_ns = transfer->asked_at_ns, answered_ns = transfer->answered_at_ns;
    bool sent = transfer->sent_at_ns > asked_ns && transfer->sent_at_ns <= answered_ns;
    times->send_ns = transfer->question.gives && sent ? transfer->sent_at_ns - asked_ns : 0;
    times->first_byte_ns = answered_ns - asked_ns - times->send_ns;
    times->body_ns = asked_to_end_ns - (answered_ns - asked_ns);
    times->body_ns = times->body_ns > 0 ? times->body_ns : 0;
}

static void read_times(struct weft_http_transfer *transfer)
{
    curl_off_t named = 0, connected = 0, secured = 0, asked = 0, answered = 0, ended = 0;
    CURL *easy = transfer->easy;
    struct weft_http_times *times = &transfer->times;
    (void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &asked);
    (void)curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &answered);
    (void)curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &ended);
    *times = (struct weft_http_times){
        .turn_ns = transfer->turn_ns,
        .first_byte_ns = between_ns(asked, answered),
        .body_ns = answered > 0 ? between_ns(answered, ended) : 0,
    };
    bool has_body = transfer->question.body || transfer->question.gives;
    if (has_body && transfer->answered_at_ns > 0)
        read_times_with_body(transfer, between_ns(asked, ended));
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
    if (transfer->discards)
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
    const char *proxy = weft_http_transfer_proxy(transfer);
    bool is_proxys = proxy && transfer->names_len == 0 && transfer->literals == 0;
    return weft_http_url_host(is_proxys ? proxy : transfer->question.url, transfer->name,
                              &transfer->name_port);
}

/* The host it was to connect to, or the proxy. */
void weft_http_transfer_unreachable(struct weft_http_transfer *transfer)
{
    struct weft_http_engine *engine = transfer->engine;
    char host[WEFT_HTTP_HOST_MAX + 1];
    uint16_t port;
    const char *proxy = weft_http_transfer_proxy(transfer);
    if (weft_http_url_host(proxy ? proxy : transfer->question.url, host, &port) == 0)
        weft_http_names_fail(&engine->names, host, weft_worker_now(engine->worker));
}

/* A kept connection turned out to be closed. Where libcurl sees that by reading it begins again by
 * itself; where it sees it by sending, it does not. */
static bool was_closed_before(const struct weft_http_transfer *transfer, CURLcode code)
{
    bool kept = transfer->connected && transfer->connections == 0 && !transfer->question.fresh;
    return code == CURLE_SEND_ERROR && kept && transfer->status == 0;
}

static int read_failure(struct weft_http_transfer *transfer, CURLcode code)
{
    long os_error = 0;
    if (transfer->rewinds || was_closed_before(transfer, code))
        return WEFT_HTTP_NEEDS_BODY;
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
    if (code == CURLE_COULDNT_CONNECT || (code == CURLE_OPERATION_TIMEDOUT && !transfer->connected))
        weft_http_transfer_unreachable(transfer);
    transfer->why = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_error);
    return weft_http_error_of(code, os_error);
}

void weft_http_transfer_conclude(struct weft_http_transfer *transfer, CURLcode code)
{
    read_amounts(transfer);
    read_times(transfer);
    if (transfer->cookies > 0 && transfer->engine->jar)
        weft_http_jar_count(transfer->engine->jar, transfer->easy, transfer->cookies);
    if (code != CURLE_OK) {
        transfer->result = read_failure(transfer, code);
        return;
    }
    char *end = weft_buffer_reserve(&transfer->reply, 1);
    transfer->result = end ? read_location(transfer) : transfer->reply.err;
    if (end)
        *end = '\0';
}
