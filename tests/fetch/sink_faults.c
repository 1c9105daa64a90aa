/* SPDX-License-Identifier: MIT
 * sink_faults.c - one system call or allocation after the other fails below a sink with every kind
 * of output. Whatever it is: an error with a sentence, every result accounted for, no descriptor
 * left open, and files that the next sink goes on with. */
#include "../broker/fault.h"
#include "sink_box.h"

#include <weft/weft.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- system calls ------------------------------------------------------------------------ */

enum call {
    CALL_OPEN,
    CALL_OPENAT,
    CALL_PWRITE,
    CALL_PREAD,
    CALL_FDATASYNC,
    CALL_FSYNC,
    CALL_FTRUNCATE,
    CALL_RENAMEAT,
    CALL_MKDIRAT,
    CALL_FLOCK,
    CALLS,
};

static atomic_int fails_call = -1;
static atomic_ulong fails_at;
static atomic_bool fired;
static int fails_with;
static atomic_uint calls[CALLS];

static bool fails(enum call call)
{
    atomic_fetch_add(&calls[call], 1);
    if (atomic_load(&fails_call) != (int)call || atomic_load(&fails_at) == 0)
        return false;
    if (atomic_fetch_sub(&fails_at, 1) != 1)
        return false;
    atomic_store(&fired, true);
    errno = fails_with;
    return true;
}

static void fail_call(enum call call, unsigned long at, int err)
{
    fails_with = err;
    atomic_store(&fired, false);
    atomic_store(&fails_at, at);
    atomic_store(&fails_call, (int)call);
}

static void fail_nothing(void)
{
    atomic_store(&fails_call, -1);
}

#define WRAP(result, name, call, parameters, arguments)                                            \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        return fails(call) ? -1 : __real_##name arguments;                                         \
    }

WRAP(int, open64, CALL_OPEN, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(int, openat64, CALL_OPENAT, (int at, const char *path, int flags, mode_t mode),
     (at, path, flags, mode))
WRAP(ssize_t, pwrite64, CALL_PWRITE, (int fd, const void *data, size_t len, off_t offset),
     (fd, data, len, offset))
WRAP(ssize_t, pread64, CALL_PREAD, (int fd, void *data, size_t len, off_t offset),
     (fd, data, len, offset))
WRAP(int, fdatasync, CALL_FDATASYNC, (int fd), (fd))
WRAP(int, fsync, CALL_FSYNC, (int fd), (fd))
WRAP(int, ftruncate64, CALL_FTRUNCATE, (int fd, off_t len), (fd, len))
WRAP(int, renameat, CALL_RENAMEAT, (int from_at, const char *from, int to_at, const char *to),
     (from_at, from, to_at, to))
WRAP(int, mkdirat, CALL_MKDIRAT, (int at, const char *path, mode_t mode), (at, path, mode))
WRAP(int, flock, CALL_FLOCK, (int fd, int operation), (fd, operation))

/* ---- the scenario ------------------------------------------------------------------------ */

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *stream = opendir("/proc/self/fd");
    REQUIRE(stream);
    while (readdir(stream))
        count++;
    (void)closedir(stream);
    return count;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static const char *start_anew(void)
{
    const char *directory = box_path("faults");
    (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    REQUIRE(mkdir(directory, 0700) == 0);
    return directory;
}

struct run {
    int err;
    unsigned put;
    struct weft_sink_metrics metrics;
    char error[300];
};

#define OUTPUTS 4

/* Where it is not the disk that is asked about, nobody waits for it. */
static enum weft_sink_sync sync_of_all = WEFT_SINK_SYNC_FLUSH;

static void make_outputs(const char *directory, struct weft_sink_output outputs[OUTPUTS])
{
    static const char *const names[OUTPUTS] = {"r.jsonl", "r.csv", "r.sqlite", "r/"};
    static char paths[OUTPUTS][300];
    for (int i = 0; i < OUTPUTS; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/%s", directory, names[i]);
        outputs[i] = (struct weft_sink_output){
            .path = paths[i], .existing = WEFT_SINK_APPEND, .sync = sync_of_all};
    }
}

static int put_some(struct weft_sink *sink, unsigned *put)
{
    int err = 0;
    for (unsigned i = 0; i < 20 && err == 0; i++) {
        struct weft_fetch_result result = box_result(*put);
        result.body = "a body of one to three bytes";
        result.body_len = 1 + i % 3;
        err = weft_sink_put(sink, &result, WEFT_FOREVER);
        *put += err == 0;
    }
    return err == 0 ? weft_sink_flush(sink, WEFT_FOREVER) : err;
}

/* Two flushes with results, and the end. */
static void run_all(const char *directory, struct run *run)
{
    struct weft_sink_output outputs[OUTPUTS];
    const struct weft_sink_options options = {
        .outputs = outputs, .outputs_count = OUTPUTS, .batch_max = 10};
    struct weft_sink *sink = NULL;
    *run = (struct run){0};
    make_outputs(directory, outputs);
    run->err = weft_sink_open(&sink, &options, run->error, sizeof run->error);
    CHECK((run->err == 0) == (sink != NULL));
    if (!sink)
        return;
    for (int i = 0; i < 2 && run->err == 0; i++)
        run->err = put_some(sink, &run->put);
    int err = weft_sink_finish(sink, WEFT_FOREVER);
    run->err = run->err < 0 ? run->err : err;
    (void)snprintf(run->error, sizeof run->error, "%s", weft_sink_error(sink));
    run->metrics = box_metrics(sink);
    weft_sink_close(sink);
}

static unsigned lines_of(const char *directory, const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    char *text = box_read(path, NULL);
    unsigned lines = text ? box_lines(text) : 0;
    CHECK(!text || !text[0] || text[strlen(text) - 1] == '\n');
    free(text);
    return lines;
}

static void check_run(const struct run *run, bool has_fired)
{
    CHECK(run->err == 0 || has_fired);
    /* A put without memory is its caller's affair: the sink goes on. */
    CHECK((run->err < 0) == (run->error[0] != '\0') || run->err == -ENOMEM);
    CHECK_EQUAL(run->metrics.items_processed + run->metrics.dropped_items, run->put);
    CHECK_EQUAL(run->metrics.items_in_queue, 0);
    CHECK_EQUAL(run->metrics.bytes_in_queue, 0);
}

/* Whatever the first run left, the next one goes on behind it. */
static void check_next(const char *directory, const struct run *run)
{
    struct run next;
    char database[300];
    run_all(directory, &next);
    if (next.err)
        test_note("%s", next.error);
    CHECK_EQUAL(next.err, 0);
    (void)snprintf(database, sizeof database, "%s/r.sqlite", directory);
    CHECK_EQUAL(box_number(database, "SELECT count(*) FROM results"),
                run->metrics.items_processed + 40);
    CHECK(lines_of(directory, "r.jsonl") >= run->metrics.items_processed + 40);
    CHECK(lines_of(directory, "r.csv") >= run->metrics.items_processed + 41);
    CHECK(lines_of(directory, "r/index.jsonl") >= run->metrics.items_processed + 40);
}

REAL_TIME_FIBER_TEST(every_system_call_may_fail)
{
    static const int errors[CALLS] = {
        [CALL_OPEN] = EMFILE,     [CALL_OPENAT] = ENFILE, [CALL_PWRITE] = ENOSPC,
        [CALL_PREAD] = EIO,       [CALL_FDATASYNC] = EIO, [CALL_FSYNC] = EIO,
        [CALL_FTRUNCATE] = EPERM, [CALL_RENAMEAT] = EIO,  [CALL_MKDIRAT] = ENOSPC,
        [CALL_FLOCK] = ENOLCK,
    };
    unsigned failures = 0;
    struct run run;
    run_all(start_anew(), &run); /* threads and libraries have what they keep open */
    CHECK_EQUAL(run.err, 0);
    unsigned before = open_descriptors();
    for (int call = 0; call < CALLS; call++) {
        for (unsigned long at = 1; errors[call]; at++) {
            const char *directory = start_anew();
            fail_call((enum call)call, at, errors[call]);
            run_all(directory, &run);
            bool has_fired = atomic_load(&fired);
            fail_nothing();
            check_run(&run, has_fired);
            CHECK_EQUAL(open_descriptors(), before);
            sync_of_all = WEFT_SINK_SYNC_NEVER;
            check_next(directory, &run);
            sync_of_all = WEFT_SINK_SYNC_FLUSH;
            failures += run.err < 0;
            if (!has_fired)
                break;
            REQUIRE(at < 500);
        }
    }
    CHECK(failures > 20);
}

REAL_TIME_FIBER_TEST(a_batch_that_does_not_fit_is_taken_back_from_lines)
{
    const char *directory = start_anew();
    struct run run;
    for (unsigned long at = 1; at < 100; at++) {
        directory = start_anew();
        fail_call(CALL_PWRITE, at, ENOSPC);
        run_all(directory, &run);
        bool has_fired = atomic_load(&fired);
        fail_nothing();
        /* A whole number of batches of at most ten. */
        CHECK_EQUAL(lines_of(directory, "r.jsonl") % 10, 0);
        if (!has_fired)
            break;
        CHECK_EQUAL(run.err, -ENOSPC);
        CHECK(strstr(run.error, "No space left on device") != NULL);
    }
}

REAL_TIME_FIBER_TEST(every_allocation_may_fail)
{
    struct run run;
    unsigned failures = 0;
    sync_of_all = WEFT_SINK_SYNC_NEVER;
    run_all(start_anew(), &run);
    unsigned before = open_descriptors();
    for (unsigned long step = 1;; step += step < 300 ? 1 : 17) {
        const char *directory = start_anew();
        fault_allocation(step);
        run_all(directory, &run);
        bool has_fired = fault_fired();
        fault_clear();
        check_run(&run, has_fired);
        failures += run.err < 0;
        CHECK_EQUAL(open_descriptors(), before);
        if (step % 20 == 1)
            check_next(directory, &run);
        if (!has_fired)
            break;
        REQUIRE(step < 20000);
    }
    CHECK(failures > 20);
    sync_of_all = WEFT_SINK_SYNC_FLUSH;
}

REAL_TIME_FIBER_TEST(every_operation_on_a_database_may_fail)
{
    static const int codes[FAULT_FILES] = {SQLITE_FULL,       SQLITE_IOERR_FSYNC,
                                           SQLITE_IOERR_READ, SQLITE_CANTOPEN,
                                           SQLITE_IOERR_LOCK, SQLITE_IOERR_SHMMAP};
    struct run run;
    for (int kind = 0; kind < FAULT_FILES; kind++) {
        sync_of_all = kind == FAULT_SYNC ? WEFT_SINK_SYNC_FLUSH : WEFT_SINK_SYNC_NEVER;
        for (unsigned long at = 1;; at++) {
            const char *directory = start_anew();
            fault_file((enum fault_file)kind, at, 0, codes[kind]);
            run_all(directory, &run);
            bool has_fired = fault_fired();
            fault_clear();
            check_run(&run, has_fired);
            if (at % 4 == 1)
                check_next(directory, &run);
            if (!has_fired)
                break;
            REQUIRE(at < 500);
        }
    }
    sync_of_all = WEFT_SINK_SYNC_FLUSH;
}

/* ---- when the disk is waited for --------------------------------------------------------- */

static unsigned syncs_of(const char *name, enum weft_sink_sync sync, unsigned *ret_at_the_end)
{
    const struct weft_sink_output output = {.path = box_path(name), .sync = sync};
    struct weft_sink *sink = box_open(&output, &(struct weft_sink_options){.batch_max = 10});
    unsigned before = atomic_load(&calls[CALL_FDATASYNC]);
    box_put(sink, 0, 100);
    while (box_metrics(sink).items_processed < 100)
        CHECK_EQUAL(weft_sleep(WEFT_MSEC), 0);
    unsigned after = atomic_load(&calls[CALL_FDATASYNC]);
    box_close(sink, 0);
    *ret_at_the_end = atomic_load(&calls[CALL_FDATASYNC]) - after;
    return after - before;
}

REAL_TIME_FIBER_TEST(the_disk_is_waited_for_as_often_as_is_wanted)
{
    unsigned at_the_end;
    CHECK_EQUAL(syncs_of("flush.jsonl", WEFT_SINK_SYNC_FLUSH, &at_the_end), 0);
    CHECK_EQUAL(at_the_end, 1);
    CHECK_EQUAL(syncs_of("batch.jsonl", WEFT_SINK_SYNC_BATCH, &at_the_end), 10);
    CHECK_EQUAL(at_the_end, 1);
    CHECK_EQUAL(syncs_of("never.csv", WEFT_SINK_SYNC_NEVER, &at_the_end), 0);
    CHECK_EQUAL(at_the_end, 0);
}
