/* SPDX-License-Identifier: MIT
 * sqlite.c - what is SQLite's own: the file, its versions, its limits, its log, its readers. */
#include "store.h"

#include <broker/sqlite.h>
#include <weft/group.h>
#include <weft/runtime.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path_of(const char *name)
{
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

static int open_path(struct weft_broker **ret_broker, const char *path, char *error, size_t bytes)
{
    return weft_sqlite_open(ret_broker, &(struct weft_sqlite_options){.path = path}, error, bytes);
}

static void open_and_close(const char *path)
{
    struct store store;
    store_open(&store, &(struct weft_sqlite_options){.path = path});
    store_close(&store);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        test_note("%s: %s", sql, sqlite3_errmsg(db));
    REQUIRE(rc == SQLITE_OK);
    (void)sqlite3_close(db);
}

/* The first column of the first row as text; free it. */
static char *query(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    REQUIRE(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        test_note("%s: %s", sql, sqlite3_errmsg(db));
    REQUIRE(statement && sqlite3_step(statement) == SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    char *copy = text ? strdup(text) : NULL;
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return copy;
}

static void check_query(const char *path, const char *sql, const char *expected)
{
    char *actual = query(path, sql);
    CHECK(actual && strcmp(actual, expected) == 0);
    if (!actual || strcmp(actual, expected) != 0)
        test_note("%s gave %s", sql, actual ? actual : "NULL");
    free(actual);
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    REQUIRE(file);
    char *data = malloc(1 << 20);
    REQUIRE(data);
    *ret_len = fread(data, 1, 1 << 20, file);
    (void)fclose(file);
    return data;
}

/* Opening must fail with err and a sentence that has word in it, and leave the file as it was. */
static void check_refused(const char *path, int expected, const char *word)
{
    size_t before_len, after_len;
    char error[256] = "";
    struct weft_broker *broker = NULL;
    char *before = read_file(path, &before_len);
    int err = open_path(&broker, path, error, sizeof error);
    CHECK_EQUAL(err, expected);
    CHECK(!broker);
    CHECK(strstr(error, word) != NULL);
    if (!strstr(error, word))
        test_note("the error was: %s", error);
    char *after = read_file(path, &after_len);
    CHECK(before_len == after_len && memcmp(before, after, before_len) == 0);
    free(before);
    free(after);
}

/* --- opening --- */

FIBER_TEST(a_database_of_a_newer_version_is_refused_and_left_alone)
{
    const char *path = path_of("newer.db");
    open_and_close(path);
    run_sql(path, "PRAGMA user_version = 1000");
    check_refused(path, WEFT_EVERSION, "newer weft");
}

FIBER_TEST(a_file_that_is_no_database_is_refused_and_left_alone)
{
    const char *path = path_of("text.db");
    FILE *file = fopen(path, "wb");
    REQUIRE(file);
    for (int i = 0; i < 500; i++)
        (void)fputs("this is a diary, not a database\n", file);
    (void)fclose(file);
    check_refused(path, WEFT_ECORRUPT, "not an SQLite database");
}

FIBER_TEST(the_database_of_another_program_is_refused_and_left_alone)
{
    const char *path = path_of("foreign.db");
    run_sql(path, "CREATE TABLE jobs (mine TEXT); INSERT INTO jobs VALUES ('precious')");
    check_refused(path, WEFT_ECORRUPT, "another program");
    CHECK(access(path_of("foreign.db-lock"), F_OK) != 0);
}

FIBER_TEST(a_damaged_database_is_not_called_something_else)
{
    const char *path = path_of("short.db");
    open_and_close(path);
    CHECK(truncate(path, 8192) == 0);
    check_refused(path, WEFT_ECORRUPT, "is damaged");
}

FIBER_TEST(what_is_no_regular_file_is_refused)
{
    static const char *const paths[] = {"/dev/null", "/tmp"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char error[256] = "", lock[32];
        struct weft_broker *broker = NULL;
        CHECK_EQUAL(open_path(&broker, paths[i], error, sizeof error), -EINVAL);
        CHECK(strstr(error, "no regular file") != NULL);
        (void)snprintf(lock, sizeof lock, "%s-lock", paths[i]);
        CHECK(access(lock, F_OK) != 0);
    }
}

FIBER_TEST(an_empty_file_becomes_a_database)
{
    const char *path = path_of("empty.db");
    (void)fclose(fopen(path, "wb"));
    open_and_close(path);
    check_query(path, "PRAGMA user_version", "3");
}

FIBER_TEST(a_directory_that_does_not_exist_gives_a_clear_error)
{
    char error[256] = "";
    struct weft_broker *broker = NULL;
    CHECK_EQUAL(open_path(&broker, path_of("no/such/place.db"), error, sizeof error), -ENOENT);
    CHECK(strstr(error, "no/such/place.db") != NULL);
}

STORE_FILE_TEST(two_servers_cannot_have_one_database)
{
    struct weft_broker *second = NULL;
    char error[256] = "";
    CHECK_EQUAL(open_path(&second, store->path, error, sizeof error), -EBUSY);
    CHECK(strstr(error, "another server") != NULL);
    (void)store_add(store, "default", "work");
    store_reopen(store); /* the lock goes with the broker */
}

STORE_FILE_TEST(two_servers_cannot_have_one_database_through_a_link)
{
    char link[160], error[256] = "";
    struct weft_broker *second = NULL;
    (void)snprintf(link, sizeof link, "%s", path_of("link.db"));
    CHECK(symlink(strrchr(store->path, '/') + 1, link) == 0);
    CHECK_EQUAL(open_path(&second, link, error, sizeof error), -EBUSY);
    CHECK(strstr(error, "another server") != NULL);
    store_close(store);
    open_and_close(link);
    store_open(store, &(struct weft_sqlite_options){.path = store->path});
}

STORE_FILE_TEST(nothing_is_acknowledged_once_the_file_is_gone)
{
    char log[200];
    (void)snprintf(log, sizeof log, "%s-wal", store->path);
    (void)store_add(store, "default", "work");
    struct weft_job after = store_job(store);
    CHECK(unlink(store->path) == 0 && unlink(log) == 0);
    CHECK_EQUAL(store_try(store, &after), -EIO);
    (void)fclose(fopen(store->path, "wb")); /* another file of this name is not ours either */
    CHECK_EQUAL(store_try(store, &after), -EIO);
}

/* Root may write everywhere, so a child process becomes somebody else first. */
static int open_as_nobody(void *arg)
{
    char error[256] = "";
    struct weft_broker *broker = NULL;
    int err = open_path(&broker, arg, error, sizeof error);
    return (err == -EROFS || err == -EACCES) && strstr(error, "cannot be written to") ? 0 : -EINVAL;
}

static void check_nobody_can_open(char *path)
{
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        _exit(weft_run(NULL, open_as_nobody, path) ? 1 : 0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 0);
}

TEST(a_directory_that_cannot_be_written_to_is_said_in_a_sentence)
{
    char directory[160], path[200];
    (void)snprintf(directory, sizeof directory, "%s", path_of("closed"));
    (void)snprintf(path, sizeof path, "%s/new.db", directory);
    CHECK(chmod(test_directory(), 0755) == 0);
    CHECK(mkdir(directory, 0555) == 0);
    check_nobody_can_open(path);
    CHECK(rmdir(directory) == 0); /* nothing was made in it */
}

TEST(a_read_only_database_is_refused)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s", path_of("readonly.db"));
    run_sql(path, "VACUUM");
    CHECK(chmod(test_directory(), 0755) == 0);
    CHECK(chmod(path, 0444) == 0);
    check_nobody_can_open(path);
    (void)chmod(path, 0644);
}

/* --- reading beside the server --- */

STORE_FILE_TEST(the_seeds_tables_can_be_read_while_the_server_runs)
{
    struct weft_job job = store_job(store);
    const char *path = store->path;
    static const char payload[] = "{\"text\":\"say \\\"h\xc3\xa4\\\"\"}";
    static const char result[] =
        "{\"step1_result\":\"fun_1\",\"step2_result\":\"fun_2\",\"final_result\":\"end\"}";
    job.queue = "process-2";
    job.payload = (struct weft_bytes){payload, strlen(payload), true};
    (void)store_put(store, &job);
    check_query(path, "SELECT status FROM requests", "queued");
    struct weft_job *claimed = store_claim(store, "process-2");
    REQUIRE(claimed);
    check_query(path, "SELECT status FROM requests", "processing");
    (void)weft_sleep(WEFT_SEC);
    struct weft_settlement item = {.job = claimed,
                                   .event = WEFT_JOB_COMPLETE,
                                   .result = {result, strlen(result), true},
                                   .thread = 77};
    CHECK_EQUAL(store->broker->ops->settle(store->broker, &item, 1), 0);
    weft_job_free(claimed);
    char id[WEFT_UUID_TEXT_LEN + 1];
    weft_uuid_format(&job.id, id);
    check_query(path, "SELECT id FROM requests", id);
    check_query(path,
                "SELECT text || '|' || worker_id || '|' || status || '|' || step1_result || '|' ||"
                " step2_result || '|' || final_result || '|' || thread_id FROM requests",
                "say \"h\xc3\xa4\"|2|completed|fun_1|fun_2|end|77");
    check_query(path,
                "SELECT created_at LIKE '____-__-__T__:__:__.___Z' AND queued_at = created_at"
                " AND started_at >= created_at AND completed_at > started_at"
                " AND processing_time >= 1.0 AND error_message IS NULL FROM requests",
                "1");
}

STORE_FILE_TEST(a_completed_request_shows_no_error_of_an_earlier_attempt)
{
    struct weft_maintenance done;
    (void)store_add(store, "default", "work");
    (void)store_work(store, "default", WEFT_JOB_RETRY);
    check_query(store->path, "SELECT error_message FROM requests", "it did not work");
    check_query(store->path, "SELECT state || ' ' || error FROM job_list",
                "retryable it did not work");
    CHECK_EQUAL(store->broker->ops->maintain(store->broker, &done), 0);
    (void)store_work(store, "default", WEFT_JOB_COMPLETE);
    check_query(store->path, "SELECT error_message IS NULL FROM requests", "1");
}

STORE_FILE_TEST(payloads_that_are_not_json_do_not_break_the_view)
{
    struct weft_job bytes = store_job(store), broken = store_job(store);
    bytes.payload = (struct weft_bytes){"\xff\0\xfe", 3, false};
    broken.payload = (struct weft_bytes){"{\"text\":", 8, true};
    (void)store_put(store, &bytes);
    (void)store_put(store, &broken);
    check_query(store->path, "SELECT count(*) FROM requests WHERE text IS NULL", "2");
}

/* --- limits --- */

static int enqueue_until_full(struct store *store, struct weft_uuid *last)
{
    static char text[4000];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 2000; i++) {
        struct weft_job job = store_job(store);
        job.payload = (struct weft_bytes){text, sizeof text, false};
        int err = store_try(store, &job);
        if (err)
            return err;
        *last = job.id;
    }
    return 0;
}

STORE_TEST(a_full_disk_is_an_error_and_over_when_there_is_space_again)
{
    struct weft_uuid last = {{0}};
    struct weft_queue_info full, more;
    CHECK_EQUAL(weft_sqlite_limit(store->broker, 1 << 20), 0);
    uint64_t before = store->broker->ops->events_last(store->broker);
    CHECK_EQUAL(enqueue_until_full(store, &last), -ENOSPC);
    CHECK_EQUAL(store_state(store, &last), WEFT_JOB_AVAILABLE);
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "default", &full), 0);
    /* What did not happen is not told. */
    CHECK_EQUAL(store->broker->ops->events_last(store->broker) - before,
                full.jobs[WEFT_JOB_AVAILABLE]);
    CHECK_EQUAL(weft_sqlite_limit(store->broker, 0), 0);
    (void)store_add(store, "default", "work");
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "default", &more), 0);
    CHECK_EQUAL(more.jobs[WEFT_JOB_AVAILABLE], full.jobs[WEFT_JOB_AVAILABLE] + 1);
}

/* Writes of files whose name ends with -shm, which is where the log's index is, fail: there is no
 * space. Each of SQLite's calls that may be the one it writes with. */
static ssize_t (*real_pwrite)(int fd, const void *data, size_t len, off_t offset);
static ssize_t (*real_pwrite64)(int fd, const void *data, size_t len, off_t offset);

static bool is_index(int fd)
{
    char link[64], path[256];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path);
    return len > 4 && memcmp(path + len - 4, "-shm", 4) == 0;
}

static ssize_t refuse_index(int fd, const void *data, size_t len, off_t offset)
{
    if (!is_index(fd))
        return real_pwrite(fd, data, len, offset);
    errno = ENOSPC;
    return -1;
}

static ssize_t refuse_index64(int fd, const void *data, size_t len, off_t offset)
{
    if (!is_index(fd))
        return real_pwrite64(fd, data, len, offset);
    errno = ENOSPC;
    return -1;
}

static void set_call(const char *name, sqlite3_syscall_ptr call)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    (void)vfs->xSetSystemCall(vfs, name, call); /* NULL: the system's own */
}

static void let_index_grow(bool may)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (may) {
        set_call("pwrite", NULL);
        set_call("pwrite64", NULL);
        return;
    }
    real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))vfs->xGetSystemCall(vfs, "pwrite");
    real_pwrite64 =
        (ssize_t(*)(int, const void *, size_t, off_t))vfs->xGetSystemCall(vfs, "pwrite64");
    if (real_pwrite)
        set_call("pwrite", (sqlite3_syscall_ptr)refuse_index);
    if (real_pwrite64)
        set_call("pwrite64", (sqlite3_syscall_ptr)refuse_index64);
}

STORE_FILE_TEST(a_full_disk_is_told_also_when_only_the_index_of_the_log_cannot_grow)
{
    static char text[400000]; /* a hundred pages: the index has room for some 4,000 */
    struct weft_job job = store_job(store);
    int err = 0, accepted = 0;
    let_index_grow(false);
    for (int i = 0; !err && i < 80; i++) {
        job = store_job(store);
        job.payload = (struct weft_bytes){text, sizeof text, false};
        err = store_try(store, &job);
        accepted += err == 0;
    }
    let_index_grow(true);
    CHECK_EQUAL(err, -ENOSPC);
    CHECK_EQUAL(store_state(store, &job.id), WEFT_JOB_NONE);
    CHECK_EQUAL(store_try(store, &job), 0);
    store_reopen(store);
    struct weft_queue_info queue;
    CHECK_EQUAL(store->broker->ops->queue_find(store->broker, "default", &queue), 0);
    CHECK_EQUAL(queue.jobs[WEFT_JOB_AVAILABLE], (unsigned)accepted + 1);
}

struct burst {
    struct store store;
    unsigned accepted, refused, other;
};

static int enqueue_into_burst(void *arg)
{
    struct burst *burst = arg;
    struct weft_job job = store_job(&burst->store);
    int err = store_try(&burst->store, &job);
    if (!err)
        burst->accepted++;
    else if (err == WEFT_EFULL)
        burst->refused++;
    else
        burst->other++;
    return 0;
}

FIBER_TEST(more_calls_than_the_limit_are_refused_not_queued)
{
    char path[160];
    struct burst burst = {.accepted = 0};
    (void)snprintf(path, sizeof path, "%s", path_of("burst.db"));
    store_open(&burst.store, &(struct weft_sqlite_options){.path = path, .requests_max = 3});
    sqlite3 *shell = NULL; /* holds the writer up */
    REQUIRE(sqlite3_open(path, &shell) == SQLITE_OK);
    REQUIRE(sqlite3_exec(shell, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQUAL(weft_spawn(&group, enqueue_into_burst, &burst), 0);
    while (burst.refused == 0)
        (void)weft_yield();
    CHECK(sqlite3_exec(shell, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(shell);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK(burst.accepted >= 3);
    CHECK_EQUAL(burst.accepted + burst.refused, 20);
    store_close(&burst.store);
}

static int enqueue_fifty(void *arg)
{
    struct burst *burst = arg;
    for (int i = 0; i < 50; i++)
        (void)enqueue_into_burst(burst);
    return 0;
}

FIBER_TEST(many_requests_share_one_commit_and_the_log_stays_bounded)
{
    char path[160], log[200];
    struct burst burst = {.accepted = 0};
    (void)snprintf(path, sizeof path, "%s", path_of("log.db"));
    (void)snprintf(log, sizeof log, "%s-wal", path);
    store_open(&burst.store, &(struct weft_sqlite_options){.path = path, .wal_pages_max = 64});
    struct weft_group group;
    REQUIRE(weft_group_init(&group, NULL) == 0);
    for (int i = 0; i < 64; i++)
        CHECK_EQUAL(weft_spawn(&group, enqueue_fifty, &burst), 0);
    CHECK_EQUAL(weft_group_wait(&group), 0);
    CHECK_EQUAL(burst.accepted, 3200);
    struct weft_broker_stats stats;
    CHECK_EQUAL(burst.store.broker->ops->stats(burst.store.broker, &stats), 0);
    CHECK(stats.commits * 4 < stats.operations);
    CHECK(stats.batch_max <= 64);
    struct stat info;
    CHECK(stat(log, &info) == 0);
    CHECK(info.st_size < 1000 * 4120); /* all of it would be over 1,500 pages */
    test_note("%llu operations in %llu commits, log %lld bytes",
              (unsigned long long)stats.operations, (unsigned long long)stats.commits,
              (long long)info.st_size);
    store_close(&burst.store);
    CHECK(stat(log, &info) != 0); /* closed in order: nothing is left to replay */
}

/* --- what outlives the server, and what does not --- */

STORE_FILE_TEST(tokens_and_numbers_of_events_never_come_again)
{
    uint64_t token = 0, number = 0;
    for (int i = 0; i < 3; i++) {
        (void)store_add(store, "default", "work");
        struct weft_job *claimed = store_claim(store, "default");
        REQUIRE(claimed);
        CHECK(claimed->lease_token > token);
        token = claimed->lease_token;
        weft_job_free(claimed);
        CHECK(store->broker->ops->events_last(store->broker) > number);
        number = store->broker->ops->events_last(store->broker);
        store_reopen(store);
    }
}

STORE_FILE_TEST(a_number_of_an_event_of_an_earlier_opening_is_told_to_be_stale)
{
    struct weft_broker_event event;
    uint64_t oldest = 0, before = store->broker->ops->events_last(store->broker);
    store_reopen(store);
    CHECK_EQUAL(store->broker->ops->events(store->broker, before, &event, 1, WEFT_NOWAIT, &oldest),
                -ESTALE);
    CHECK_EQUAL(oldest, store->broker->ops->events_last(store->broker));
    CHECK_EQUAL(store->broker->ops->events(store->broker, oldest, &event, 1, WEFT_NOWAIT, &oldest),
                -EAGAIN);
    CHECK_EQUAL(
        store->broker->ops->events(store->broker, oldest + 9, &event, 1, WEFT_NOWAIT, &oldest),
        -ESTALE); /* nobody has ever been told of that one */
}

FIBER_TEST(what_is_in_memory_is_gone_at_close_and_leaves_no_file)
{
    static const struct weft_sqlite_options options[] = {{.path = ":memory:"},
                                                         {.path = "/no/such", .memory = true}};
    for (size_t i = 0; i < 2; i++) {
        struct store store;
        store_open(&store, &options[i]);
        (void)store_end(&store, "default", WEFT_JOB_COMPLETE);
        struct weft_uuid id = store_add(&store, "default", "work");
        CHECK_EQUAL(store_state(&store, &id), WEFT_JOB_AVAILABLE);
        store_close(&store);
        store_open(&store, &options[i]);
        CHECK_EQUAL(store_state(&store, &id), WEFT_JOB_NONE);
        store_close(&store);
    }
    CHECK(access(":memory:", F_OK) != 0 && access(":memory:-lock", F_OK) != 0);
}
