/* SPDX-License-Identifier: MIT
 * sqlite_fixture.c - SQLite in a file as the broker under test; see fixture.h. */
#include "fixture.h"

#include <broker/sqlite.h>

#include <stdio.h>

static unsigned number;

struct weft_broker *fixture_reopen(void)
{
    char path[160], error[256];
    (void)snprintf(path, sizeof path, "%s/conformance-%u.db", test_directory(), number);
    struct weft_broker *broker = NULL;
    int err =
        weft_sqlite_open(&broker, &(struct weft_sqlite_options){.path = path}, error, sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
    return broker;
}

struct weft_broker *fixture_open(void)
{
    number++;
    return fixture_reopen();
}

void fixture_close(struct weft_broker *broker)
{
    broker->ops->close(broker);
}
