/* SPDX-License-Identifier: MIT
 * remote_beat.c - the heartbeat's extend. It is called on a thread that is no fiber, so that no
 * handler can starve it, and blocks that thread: one connection of its own, kept between beats. */
#include "remote_internal.h"

#include <http/client_error.h>

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define TIMEOUT_MIN_MS INT64_C(1000)
#define TIMEOUT_MAX_MS INT64_C(10000)
#define BODY_MAX       ((size_t)1 << 20)

static size_t take(char *bytes, size_t size, size_t len, void *answer)
{
    (void)size;
    weft_buffer_append(answer, bytes, len);
    return ((struct weft_buffer *)answer)->err ? 0 : len;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(easy, option, value) != CURLE_OK)                                     \
            return -EINVAL;                                                                        \
    } while (0)

/* What is the same for every beat. Returns 0, -EINVAL (this libcurl cannot do it) */
static int set_up(const struct weft_remote *remote, CURL *easy)
{
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_WRITEFUNCTION, take);
    SET(CURLOPT_MAXREDIRS, 0L);
    if (remote->ca_file)
        SET(CURLOPT_CAINFO, remote->ca_file);
    return 0;
}

static int set_request(CURL *easy, const struct weft_buffer *url, const struct weft_buffer *body,
                       const struct curl_slist *headers, int64_t timeout_ms,
                       struct weft_buffer *answer)
{
    SET(CURLOPT_URL, url->data);
    SET(CURLOPT_POSTFIELDS, body->data);
    SET(CURLOPT_POSTFIELDSIZE, (long)body->len);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(CURLOPT_WRITEDATA, answer);
    return 0;
}

/* One header more, or all of them freed. */
static struct curl_slist *add_header(struct curl_slist *headers, const char *line)
{
    struct curl_slist *longer = headers || line ? curl_slist_append(headers, line) : NULL;
    if (!longer)
        curl_slist_free_all(headers);
    return longer;
}

static struct curl_slist *make_headers(const struct weft_remote *remote)
{
    struct curl_slist *headers = add_header(NULL, "Content-Type: application/json");
    headers = headers ? add_header(headers, "Expect:") : NULL;
    if (!headers || !remote->authorization)
        return headers;
    struct weft_buffer line;
    weft_buffer_init(&line, BODY_MAX);
    weft_buffer_append_string(&line, "Authorization: ");
    weft_buffer_append(&line, remote->authorization, strlen(remote->authorization) + 1);
    if (line.err) {
        curl_slist_free_all(headers);
        headers = NULL;
    } else {
        headers = add_header(headers, line.data);
    }
    weft_buffer_deinit(&line);
    return headers;
}

static int perform(CURL *easy, struct weft_lease *items, size_t count,
                   const struct weft_buffer *answer)
{
    long status = 0, os_error = 0;
    CURLcode code = curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
    int err = answer->err ? answer->err : weft_http_error_of(code, os_error);
    if (!err)
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (!err)
        err = weft_remote_result((int)status);
    return err ? err : weft_remote_read_leases(answer->data, answer->len, items, count);
}

static int64_t timeout_ms(const struct weft_lease *items, size_t count)
{
    int64_t third_ms = count > 0 ? items[0].lease_us / 3000 : 0;
    return third_ms < TIMEOUT_MIN_MS   ? TIMEOUT_MIN_MS
           : third_ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS
                                       : third_ms;
}

int weft_remote_beat(struct weft_broker *broker, struct weft_lease *items, size_t count)
{
    struct weft_remote *remote = weft_remote_of(broker);
    if (!remote->beat) {
        remote->beat = curl_easy_init();
        if (!remote->beat)
            return -ENOMEM;
        int err = set_up(remote, remote->beat);
        if (err)
            return err;
    }
    struct weft_buffer url, body, answer;
    weft_buffer_init(&url, BODY_MAX);
    weft_buffer_init(&body, BODY_MAX);
    weft_buffer_init(&answer, BODY_MAX);
    weft_buffer_append_string(&url, remote->url);
    weft_buffer_append(&url, "/v1/extend", sizeof "/v1/extend");
    weft_remote_write_leases(&body, items, count, WEFT_REMOTE_LEASE_MAX_US);
    struct curl_slist *headers = make_headers(remote);
    int err = !headers ? -ENOMEM : url.err ? url.err : body.err;
    if (!err)
        err = set_request(remote->beat, &url, &body, headers, timeout_ms(items, count), &answer);
    if (!err)
        err = perform(remote->beat, items, count, &answer);
    curl_slist_free_all(headers);
    weft_buffer_deinit(&answer);
    weft_buffer_deinit(&body);
    weft_buffer_deinit(&url);
    return err;
}

void weft_remote_beat_close(struct weft_remote *remote)
{
    curl_easy_cleanup(remote->beat);
    remote->beat = NULL;
}
