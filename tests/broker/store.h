/* SPDX-License-Identifier: MIT
 * store.h - a SQLite broker for one test, in a file or in memory, and short words for what tests do
 * with jobs. What must not fail ends the program when it does. */
#ifndef WEFT_TESTS_BROKER_STORE_H
#define WEFT_TESTS_BROKER_STORE_H

#include "test.h"

#include <job/broker.h>

struct store {
    struct weft_broker *broker;
    const char *path; /* NULL: in memory */
};

/* Open one; the path is borrowed. */
struct weft_sqlite_options;
void store_open(struct store *store, const struct weft_sqlite_options *options);
void store_close(struct store *store);
/* Close it and open the same file, as after the server ended. */
void store_reopen(struct store *store);

/* Run body on an empty one, and close it. */
void store_run(bool memory, void (*body)(struct store *store));

#define STORE_FILE_TEST(id)                                                                        \
    static void id##_store(struct store *store);                                                   \
    FIBER_TEST(id##_in_a_file)                                                                     \
    {                                                                                              \
        store_run(false, id##_store);                                                              \
    }                                                                                              \
    static void id##_store(struct store *store)

#define STORE_MEMORY_TEST(id)                                                                      \
    static void id##_store(struct store *store);                                                   \
    FIBER_TEST(id##_in_memory)                                                                     \
    {                                                                                              \
        store_run(true, id##_store);                                                               \
    }                                                                                              \
    static void id##_store(struct store *store)

/* A test that is run twice, under two names. */
#define STORE_TEST(id)                                                                             \
    static void id##_store(struct store *store);                                                   \
    FIBER_TEST(id##_in_memory)                                                                     \
    {                                                                                              \
        store_run(true, id##_store);                                                               \
    }                                                                                              \
    STORE_FILE_TEST(id)

/* A job that can be put in: queue "default", task "work". Its id is new, its times are now. */
struct weft_job store_job(struct store *store);
struct weft_uuid store_put(struct store *store, const struct weft_job *job);
/* The same, but what refuses it is returned. */
int store_try(struct store *store, const struct weft_job *job);
struct weft_uuid store_add(struct store *store, const char *queue, const char *task);

/* The next job of a queue, to be freed; NULL: none. */
struct weft_job *store_claim(struct store *store, const char *queue);
/* End the attempt and free the job. */
void store_settle(struct store *store, struct weft_job *job, enum weft_job_event event);
/* Claim the next job of a queue, which must have one, and settle it. Returns its id. */
struct weft_uuid store_work(struct store *store, const char *queue, enum weft_job_event event);
/* Put in a job and bring it to that end. */
struct weft_uuid store_end(struct store *store, const char *queue, enum weft_job_event event);

/* The job as it is now, to be freed; NULL: it is not there. */
struct weft_job *store_find(struct store *store, const struct weft_uuid *id);
enum weft_job_state store_state(struct store *store, const struct weft_uuid *id);

/* Behind the broker's back, in a file. */
void store_sql(struct store *store, const char *sql);
int64_t store_number(struct store *store, const char *sql);

bool store_same(const struct weft_uuid *one, const struct weft_uuid *other);

#endif
