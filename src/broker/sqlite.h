/* SPDX-License-Identifier: MIT
 * sqlite.h - the broker that is there from the first second: jobs in one SQLite file.
 *
 * The queue lives in the database, so a waiting job costs no memory. One thread writes: it takes
 * all that is pending, runs it in one transaction and answers everybody when that is on disk.
 *
 * Its clock shows the time of day, and never goes back: it goes with the runtime's, and is set
 * forward by maintain() when the machine's was, or when the machine slept. Leases are then as long
 * as before. Back with the machine's it goes only when the database is opened anew. */
#ifndef WEFT_BROKER_SQLITE_H
#define WEFT_BROKER_SQLITE_H

#include <job/broker.h>

/* Zero or NULL means the default. */
struct weft_sqlite_options {
    const char *path;        /* "weft.db"; made if it does not exist; ":memory:": as memory */
    bool memory;             /* no file, no threads: jobs are gone at close. For tests: under
                                virtual time it is as deterministic as they are */
    int64_t clock_us;        /* what its clock shows at first; 0: the time of day. For tests */
    uint64_t size_bytes_max; /* the file grows no further: -ENOSPC; 0: as far as the disk goes */
    unsigned requests_max;   /* calls under way at once, 65,536; beyond it WEFT_EFULL */
    unsigned wal_pages_max;  /* checkpoint when the log has so many pages; 8,192 = 32 MiB */
};

/* Open or make the database and take its lock, "PATH-lock", so that no second server uses it;
 * programs that only read, like the sqlite3 shell, may use it at any time. A database of an older
 * weft is brought up to date first. Jobs that were leased until the close, and that the last server
 * left running, are made available again without having spent the attempt, or dead when it happened
 * to them WEFT_JOB_CRASHES_MAX times; leases with an end go on.
 *
 * ret_error  receives, on failure, one sentence for people, truncated to error_bytes
 * Returns    0; -EBUSY (a server has it), -EROFS, -EINVAL (no regular file), WEFT_EVERSION (made by
 *            a newer weft: nothing was changed), WEFT_ECORRUPT (not a database, or not weft's),
 *            -ENOSPC, -EACCES, -ENOTSUP (a file system without shared memory), ...
 * Threads    a fiber; suspends, but not in memory. The calls of the broker come from fibers of the
 *            same runtime */
int weft_sqlite_open(struct weft_broker **ret_broker, const struct weft_sqlite_options *options,
                     char *ret_error, size_t error_bytes);

/* Change size_bytes_max of an open database. 0: no limit. Suspends. */
int weft_sqlite_limit(struct weft_broker *broker, uint64_t size_bytes_max);

#endif
