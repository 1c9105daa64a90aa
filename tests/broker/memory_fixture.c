/* SPDX-License-Identifier: MIT
 * memory_fixture.c - the broker that keeps everything in memory under test; see fixture.h. */
#include "fixture.h"

#include <broker/sqlite.h>

struct weft_broker *fixture_open(void)
{
    char error[256];
    struct weft_broker *broker = NULL;
    int err = weft_sqlite_open(&broker, &(struct weft_sqlite_options){.memory = true}, error,
                               sizeof error);
    if (err)
        test_note("%s", error);
    REQUIRE(!err);
    return broker;
}

struct weft_broker *fixture_reopen(void)
{
    return NULL;
}

void fixture_close(struct weft_broker *broker)
{
    broker->ops->close(broker);
}
