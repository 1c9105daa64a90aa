/* SPDX-License-Identifier: MIT
 * mock_fixture.c - see mock_fixture.h. */
#include "mock_fixture.h"
#include "test.h"

#include <weft/io.h>

#include <stdio.h>
#include <string.h>

static int run_mock(void *arg)
{
    return weft_mock_run(arg);
}

void mocked_open(struct mocked *mocked, struct weft_mock_options options)
{
    char error[256] = "";
    options.listen = "127.0.0.1:0";
    memset(mocked, 0, sizeof *mocked);
    int err = weft_mock_open(&mocked->mock, &options, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(err == 0);
    REQUIRE(weft_group_init(&mocked->group, NULL) == 0);
    REQUIRE(weft_spawn_task(&mocked->group, &mocked->task, run_mock, mocked->mock) == 0);
    mocked->server.port = weft_mock_port(mocked->mock);
    client_open(&mocked->client, &mocked->server);
}

void mocked_close(struct mocked *mocked)
{
    client_close(&mocked->client);
    weft_mock_drain(mocked->mock);
    CHECK_EQUAL(weft_group_wait(&mocked->group), 0);
    CHECK_EQUAL(mocked->task.result, 0);
    weft_mock_close(mocked->mock);
}

void mocked_reconnect(struct mocked *mocked)
{
    client_close(&mocked->client);
    client_open(&mocked->client, &mocked->server);
}

static void send_request(struct mocked *mocked, const char *method, const char *target,
                         const char *headers, const char *body)
{
    char text[8192];
    int len = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: mock.test:80\r\n%s", method,
                       target, headers ? headers : "");
    REQUIRE(len > 0 && (size_t)len < sizeof text);
    if (body)
        len += snprintf(text + len, sizeof text - (size_t)len, "Content-Length: %zu\r\n\r\n%s",
                        strlen(body), body);
    else
        len += snprintf(text + len, sizeof text - (size_t)len, "\r\n");
    REQUIRE((size_t)len < sizeof text);
    client_send_bytes(&mocked->client, text, (size_t)len);
}

struct client_reply mocked_ask(struct mocked *mocked, const char *method, const char *target,
                               const char *headers, const char *body)
{
    send_request(mocked, method, target, headers, body);
    return strcmp(method, "HEAD") == 0 ? client_receive_head(&mocked->client)
                                       : client_receive(&mocked->client);
}

struct client_reply mocked_get(struct mocked *mocked, const char *target)
{
    return mocked_ask(mocked, "GET", target, NULL, NULL);
}

int mocked_get_rest(struct mocked *mocked, const char *target, char *text, size_t bytes)
{
    size_t len = 0;
    ssize_t count;
    send_request(mocked, "GET", target, NULL, NULL);
    while ((count = weft_read(mocked->client.fd, text + len, bytes - 1 - len,
                              weft_now() + 1000 * WEFT_SEC)) > 0)
        len += (size_t)count;
    text[len] = '\0';
    return (int)count;
}

bool body_has(const struct client_reply *reply, const char *text)
{
    bool has = reply->status && strstr(reply->body, text);
    if (!has)
        test_note("status %d, body %.*s", reply->status, (int)reply->body_len,
                  reply->body ? reply->body : "");
    return has;
}
