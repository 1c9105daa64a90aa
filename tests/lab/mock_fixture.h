/* SPDX-License-Identifier: MIT
 * mock_fixture.h - a mock on a fiber of its own, and a client that sends it exactly what it likes.
 */
#ifndef WEFT_TESTS_LAB_MOCK_FIXTURE_H
#define WEFT_TESTS_LAB_MOCK_FIXTURE_H

#include "../http/client.h"

#include <weft/mock.h>

struct mocked {
    struct weft_mock *mock;
    struct weft_group group;
    struct weft_task task;
    struct server server; /* only its port: for client_open */
    struct client client;
};

/* Open on a free port, run, connect. */
void mocked_open(struct mocked *mocked, struct weft_mock_options options);

/* Drain, and check that it ended well. */
void mocked_close(struct mocked *mocked);

/* Connect anew, where the last answer ended the connection. */
void mocked_reconnect(struct mocked *mocked);

/* GET a target, with its query. */
struct client_reply mocked_get(struct mocked *mocked, const char *target);

/* Any method, further header lines, each with its CR LF, and a body; NULL for none. */
struct client_reply mocked_ask(struct mocked *mocked, const char *method, const char *target,
                               const char *headers, const char *body);

/* Send a GET and read to the end of the connection. Returns the last read's result: 0, or why it
 * broke. The text ends with a NUL. */
int mocked_get_rest(struct mocked *mocked, const char *target, char *text, size_t bytes);

/* Whether the reply's body has a text in it. Prints the body if not. */
bool body_has(const struct client_reply *reply, const char *text);

#endif
