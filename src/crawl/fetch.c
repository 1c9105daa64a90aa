/* SPDX-License-Identifier: MIT
 * fetch.c - one HTTP request of a crawl. */
#include <crawl/crawl_internal.h>

#include <weft/retry_after.h>
#include <weft/runtime.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a body that nobody wants so much is read, to keep the connection; then it is cut. */
#define UNWANTED_MAX ((size_t)64 << 10)

struct fetching {
    struct crawl *crawl;
    const struct crawl_request *request;
    struct crawl_answer *answer;
    enum crawl_want want;
};

static char *copy_field(const struct weft_http_response *response, const char *name)
{
    const char *value = weft_http_response_field(response, name);
    return value ? strndup(value, WEFT_URL_MAX) : NULL;
}

static int64_t read_retry_after(const struct weft_http_response *response, int64_t now_s)
{
    const char *value = weft_http_response_field(response, "Retry-After");
    const char *date = weft_http_response_field(response, "Date");
    int64_t delay_ns = -1;
    if (!value)
        return -1;
    if (date)
        (void)weft_http_date_parse(date, strlen(date), now_s, &now_s);
    (void)weft_retry_after_parse(value, strlen(value), now_s, &delay_ns);
    return delay_ns;
}

static void read_tags(const struct crawl *crawl, const struct weft_http_response *response,
                      struct crawl_answer *answer)
{
    struct weft_http_field field;
    for (size_t i = 0; weft_http_response_field_at(response, i, &field) == 1; i++) {
        if (strcasecmp(field.name, "X-Robots-Tag") == 0)
            weft_robots_tag_field(&answer->tag, field.value, crawl->agent);
    }
}

/* Of the last head: a request may be made again on another connection. */
static void take_response(const struct crawl *crawl, const struct weft_http_response *response,
                          struct crawl_answer *answer)
{
    answer->status = response->status;
    answer->http_version = response->http_version;
    free(answer->content_type);
    free(answer->location);
    answer->content_type = copy_field(response, "Content-Type");
    answer->location = copy_field(response, "Location");
    answer->retry_after_ns = read_retry_after(response, weft_crawl_unix_us(crawl) / 1000000);
    read_tags(crawl, response, answer);
}

static int on_head(void *context, const struct weft_http_response *response)
{
    struct fetching *fetching = context;
    take_response(fetching->crawl, response, fetching->answer);
    fetching->want = fetching->request->want(fetching->request->context, fetching->answer);
    return 0;
}

static int on_body(void *context, const void *bytes, size_t len)
{
    struct fetching *fetching = context;
    const struct crawl_request *request = fetching->request;
    struct crawl_answer *answer = fetching->answer;
    answer->body_bytes += len;
    if (fetching->want == WANT_NOTHING)
        return answer->body_bytes > UNWANTED_MAX ? CRAWL_ENOUGH : 0;
    if (request->on_body)
        return request->on_body(request->context, bytes, len);
    weft_buffer_append(&answer->body, bytes, len);
    if (answer->body.err != -EMSGSIZE || fetching->want == WANT_ALL)
        return answer->body.err;
    weft_buffer_deinit(&answer->body); /* part of it is of no use */
    return CRAWL_ENOUGH;
}

int weft_crawl_fetch(struct crawl *crawl, const struct crawl_request *request,
                     struct crawl_answer *answer)
{
    struct weft_http_response response;
    struct fetching fetching = {.crawl = crawl, .request = request, .answer = answer};
    const struct weft_http_request http = {
        .url = request->url,
        .on_head = on_head,
        .on_body = on_body,
        .on_body_context = &fetching,
    };
    *answer = (struct crawl_answer){.retry_after_ns = -1};
    weft_buffer_init(&answer->body, crawl->body_max);
    int64_t start_ns = weft_now();
    int err = weft_http_send(request->client, &http, &response, start_ns + crawl->timeout_ns);
    answer->times = response.times;
    answer->latency_ns = weft_now() - start_ns - response.times.turn_ns;
    answer->err = err == CRAWL_ENOUGH ? 0 : err;
    if (err == 0) {
        answer->connections = response.connections;
        answer->bytes_received = response.bytes_received;
    } else if (answer->err) {
        (void)snprintf(answer->error, sizeof answer->error, "%s",
                       err == -EMSGSIZE && answer->status ? "the body is longer than allowed"
                       : response.error[0]                ? response.error
                                                          : weft_strerror(err));
    }
    weft_http_response_release(&response);
    return answer->err;
}

void weft_crawl_answer_release(struct crawl_answer *answer)
{
    weft_buffer_deinit(&answer->body);
    free(answer->content_type);
    free(answer->location);
    answer->content_type = answer->location = NULL;
}

const char *weft_crawl_error_class(int err)
{
    switch (err) {
    case -ETIMEDOUT:
        return "timeout";
    case -EADDRNOTAVAIL:
    case -EAGAIN:
        return "dns";
    case -ECONNREFUSED:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -ENETDOWN:
        return "connect";
    case -ECONNRESET:
    case -EPIPE:
        return "reset";
    case -EKEYREJECTED:
        return "tls";
    case -EACCES:
        return "refused";
    case -EMSGSIZE:
        return "too-large";
    case -ELOOP:
        return "redirects";
    case -EPROTO:
        return "protocol";
    default:
        return "failed";
    }
}

bool weft_crawl_is_passing(const struct crawl_answer *answer)
{
    switch (answer->err) {
    case 0:
        return answer->status == 408 || answer->status == 425 || answer->status == 429 ||
               answer->status == 500 || answer->status == 502 || answer->status == 503 ||
               answer->status == 504;
    case -EACCES: /* it will be no other address, certificate, name or size */
    case -EKEYREJECTED:
    case -EADDRNOTAVAIL:
    case -EMSGSIZE:
    case -EINVAL:
    case -EPROTONOSUPPORT:
    case -ELOOP:
        return false;
    default:
        return true;
    }
}

#define BACKOFF_BASE_NS (1 * WEFT_SEC)
#define BACKOFF_CAP_NS  (60 * WEFT_SEC)

/* Full jitter, but never at once: half of it is certain. */
int64_t weft_crawl_backoff_ns(struct crawl *crawl, unsigned attempt)
{
    int64_t most_ns =
        attempt < 7 ? BACKOFF_BASE_NS << (attempt > 0 ? attempt - 1 : 0) : BACKOFF_CAP_NS;
    if (most_ns > BACKOFF_CAP_NS)
        most_ns = BACKOFF_CAP_NS;
    return most_ns / 2 + (int64_t)weft_random_below(&crawl->random, (uint64_t)most_ns / 2 + 1);
}
