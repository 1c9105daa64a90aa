/* SPDX-License-Identifier: MIT
 * mock_redirect.c - chains, loops, and one to wherever the client likes. */
#include <lab/mock_answers.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHAIN_MAX    1000u
#define LOOP_MAX     1000u
#define LOCATION_MAX 2048u
#define WHERE_MAX    512u

static bool query_status(struct weft_mock_request *request, unsigned *status)
{
    static const char *const words[] = {"301", "302", "303", "307", "308"};
    static const unsigned statuses[] = {301, 302, 303, 307, 308};
    unsigned word = 1;
    if (!weft_mock_query_word(request, "status", words, 5, &word))
        return false;
    *status = statuses[word];
    return true;
}

/* The server makes spaces of control characters; a location with any is no good anyway. */
static void send_to(struct weft_mock_request *request, unsigned status, const char *location)
{
    weft_http_reply_header(request->exchange, "Location", location);
    weft_mock_reply_json(request, (int)status, "{\"status\": %u}", status);
}

/* From /redirect/3 to /redirect/2 and so on, with the query, and at last to /echo, which answers
 * every method. */
void weft_mock_redirect(struct weft_mock_request *request)
{
    uint64_t left = 0;
    unsigned status = 302;
    bool absolute = false;
    char location[WHERE_MAX], base[WEFT_MOCK_HOST_MAX + 8] = "";
    if (!weft_mock_param_count(request, "n", 0, CHAIN_MAX, &left) ||
        !query_status(request, &status) || !weft_mock_query_flag(request, "absolute", &absolute))
        return;
    if (absolute)
        (void)snprintf(base, sizeof base, "http://%s", weft_mock_host(request));
    if (left > 1)
        (void)snprintf(location, sizeof location, "%s/redirect/%" PRIu64 "?status=%u&absolute=%d",
                       base, left - 1, status, absolute);
    else
        (void)snprintf(location, sizeof location, "%s/echo", base);
    send_to(request, status, location);
}

void weft_mock_redirect_to(struct weft_mock_request *request)
{
    const char *url = weft_http_query(request->exchange, "url");
    unsigned status = 302;
    if (!query_status(request, &status))
        return;
    if (!url || !*url || strlen(url) > LOCATION_MAX)
        weft_mock_reply_error(request, 422, "url: at most 2048 bytes are wanted");
    else
        send_to(request, status, url);
}

/* As many addresses as the loop is long. */
void weft_mock_redirect_loop(struct weft_mock_request *request)
{
    uint64_t length = 1, at = 0;
    unsigned status = 302;
    char location[WHERE_MAX];
    if (!weft_mock_query_count(request, "length", 1, LOOP_MAX, &length) ||
        !weft_mock_query_count(request, "at", 0, LOOP_MAX, &at) || !query_status(request, &status))
        return;
    (void)snprintf(location, sizeof location,
                   "/redirect-loop?length=%" PRIu64 "&at=%" PRIu64 "&status=%u", length,
                   (at + 1) % length, status);
    send_to(request, status, location);
}
