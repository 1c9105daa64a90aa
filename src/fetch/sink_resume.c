/* SPDX-License-Identifier: MIT
 * sink_resume.c - what a run that goes on leaves out: the requests that have a row, how often each.
 *
 * At the open the fingerprints of all rows are sorted into a table of a temporary database of our
 * own, which SQLite keeps in a file; from then on nobody looks into the results. So they need no
 * index on fingerprints, which every run would pay for, and what this run adds is not found. */
#include "sink_database.h"
#include "sink_output.h"

#include <weft/group.h>
#include <weft/offload.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/sync.h>

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STEPS_PER_LOOK 10000 /* of SQLite's, at the open */

struct weft_resume {
    sqlite3 *db;
    sqlite3_stmt *begin, *take, *commit;
    uint64_t found, left;
    int broken; /* 0, or what has left the copy half changed */
};

/* The copy is private and never synced. Without a journal a lookup costs half; a change that fails
 * then cannot be taken back, and the copy is of no use any more. */
static const char pragmas_sql[] = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                                  "PRAGMA cache_size = -16384; PRAGMA temp_store = FILE";
static const char create_sql[] = "CREATE TABLE done (fingerprint BLOB PRIMARY KEY,"
                                 " count INTEGER NOT NULL) WITHOUT ROWID";
static const char fill_sql[] = "INSERT INTO done SELECT fingerprint, count(*) FROM input.results"
                               " GROUP BY fingerprint ORDER BY fingerprint";
static const char cancelled_sql[] = "DELETE FROM input.results WHERE error_class = 'cancelled'";
static const char failed_sql[] = "DELETE FROM input.results WHERE error_class IS NOT NULL";
static const char take_sql[] =
    "UPDATE done SET count = count - 1 WHERE fingerprint = ? AND count > 0";

static void free_resume(struct weft_resume *resume)
{
    (void)sqlite3_finalize(resume->begin);
    (void)sqlite3_finalize(resume->take);
    (void)sqlite3_finalize(resume->commit);
    (void)sqlite3_close(resume->db);
    free(resume);
}

/* ---- open ------------------------------------------------------------------------------ */

struct open_call {
    const struct weft_resume_options *options;
    struct weft_resume *resume;
    char *error;
    size_t error_bytes;
    atomic_bool cancelled;
    struct weft_event done;
    int result;
};

static int look(void *arg)
{
    struct open_call *call = arg;
    return atomic_load(&call->cancelled);
}

__attribute__((format(printf, 3, 4))) static int refuse(struct open_call *call, int err,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (call->error_bytes > 0)
        (void)vsnprintf(call->error, call->error_bytes, format, args);
    va_end(args);
    return err;
}

static int attach(sqlite3 *db, const char *path)
{
    sqlite3_stmt *statement;
    int err = weft_sink_database_prepare(db, "ATTACH ? AS input", &statement);
    if (err < 0)
        return err;
    int rc = sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
    err = rc == SQLITE_OK ? weft_sink_database_step(statement) : weft_sink_database_error(db, rc);
    (void)sqlite3_finalize(statement);
    return err;
}

/* Returns 0; 1: there are no results. */
static int check_input(struct open_call *call)
{
    sqlite3 *db = call->resume->db;
    const char *path = call->options->path;
    int table = weft_sink_database_find_table(db, "input");
    if (table == SINK_TABLE_FOREIGN)
        return refuse(call, WEFT_ECORRUPT,
                      "the database %s has a table \"results\" with other columns", path);
    return table < 0 ? table : table == SINK_TABLE_MISSING;
}

static int copy_input(struct open_call *call)
{
    sqlite3 *db = call->resume->db;
    int64_t found = 0;
    int err = weft_sink_database_run(db, call->options->redo_failed ? failed_sql : cancelled_sql);
    if (err == 0)
        err = weft_sink_database_run(db, fill_sql);
    if (err == 0)
        err = weft_sink_database_read(db, "SELECT coalesce(sum(count), 0) FROM done", &found);
    call->resume->found = call->resume->left = (uint64_t)found;
    return err;
}

/* Leaving the file also closes it: whoever writes there is alone again. */
static int read_input(struct open_call *call)
{
    sqlite3 *db = call->resume->db;
    struct stat info;
    if (stat(call->options->path, &info) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISREG(info.st_mode))
        return -EINVAL;
    int result = attach(db, call->options->path);
    if (result == 0)
        result = check_input(call);
    if (result == WEFT_ECORRUPT && (sqlite3_errcode(db) & 0xff) == SQLITE_NOTADB)
        (void)refuse(call, result, "%s is not an SQLite database", call->options->path);
    if (result == 0)
        result = copy_input(call);
    if (result >= 0)
        result = weft_sink_database_run(db, "DETACH input");
    return result;
}

static int prepare(struct weft_resume *resume)
{
    sqlite3 *db = resume->db;
    int err = weft_sink_database_prepare(db, "BEGIN", &resume->begin);
    if (err == 0)
        err = weft_sink_database_prepare(db, take_sql, &resume->take);
    if (err == 0)
        err = weft_sink_database_prepare(db, "COMMIT", &resume->commit);
    return err;
}

static int open_all(struct open_call *call)
{
    struct weft_resume *resume = call->resume;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int err = weft_sink_database_open(&resume->db, "", flags); /* "": private and temporary */
    if (err < 0)
        return err;
    sqlite3_progress_handler(resume->db, STEPS_PER_LOOK, look, call);
    err = weft_sink_database_run(resume->db, pragmas_sql);
    if (err == 0)
        err = weft_sink_database_run(resume->db, create_sql);
    if (err == 0)
        err = read_input(call);
    sqlite3_progress_handler(resume->db, 0, NULL, NULL);
    return err < 0 ? err : prepare(resume);
}

static int open_on_thread(void *arg)
{
    struct open_call *call = arg;
    call->error[0] = '\0';
    call->resume = calloc(1, sizeof *call->resume);
    int err = call->resume ? open_all(call) : -ENOMEM;
    if (err == 0)
        return 0;
    if (err != -ECANCELED && !call->error[0])
        (void)refuse(call, err, "cannot read the results of %s: %s", call->options->path,
                     weft_strerror(err));
    if (call->resume)
        free_resume(call->resume);
    return err;
}

static int open_in_task(void *arg)
{
    struct open_call *call = arg;
    call->result = weft_offload(open_on_thread, call);
    (void)weft_event_set(&call->done);
    return 0;
}

/* A task waits for the thread, so that this fiber can tell the thread that it is cancelled. */
static int open_and_watch(struct open_call *call)
{
    struct weft_group group;
    int err = weft_event_init(&call->done, WEFT_LOCAL);
    if (err == 0)
        err = weft_group_init(&group, NULL);
    if (err < 0)
        return err;
    err = weft_spawn(&group, open_in_task, call);
    if (err == 0 && weft_event_wait(&call->done, WEFT_FOREVER) < 0)
        atomic_store(&call->cancelled, true);
    weft_group_close(&group);
    return err < 0 ? err : call->result;
}

int weft_resume_open(struct weft_resume **ret_resume, const struct weft_resume_options *options,
                     char *ret_error, size_t error_bytes)
{
    char nothing[1];
    if (!options || !options->path)
        return -EINVAL;
    struct open_call call = {
        .options = options,
        .error = error_bytes > 0 ? ret_error : nothing,
        .error_bytes = error_bytes > 0 ? error_bytes : sizeof nothing,
        .result = -ECANCELED,
    };
    call.error[0] = '\0';
    int err = open_and_watch(&call);
    if (err == 0)
        *ret_resume = call.resume;
    else if (!call.error[0])
        (void)refuse(&call, err, "cannot read the results of %s: %s", options->path,
                     weft_strerror(err));
    return err;
}

/* ---- take ------------------------------------------------------------------------------ */

struct take_call {
    struct weft_resume *resume;
    const struct weft_fingerprint *fingerprints;
    size_t count;
    unsigned char *done;
};

static int take_one(struct weft_resume *resume, const struct weft_fingerprint *fingerprint)
{
    int rc = sqlite3_bind_blob(resume->take, 1, fingerprint->bytes, sizeof fingerprint->bytes,
                               SQLITE_STATIC);
    int err = rc == SQLITE_OK ? weft_sink_database_step(resume->take)
                              : weft_sink_database_error(resume->db, rc);
    return err < 0 ? err : sqlite3_changes(resume->db) > 0;
}

static int take_on_thread(void *arg)
{
    const struct take_call *call = arg;
    struct weft_resume *resume = call->resume;
    int taken = 0;
    int err = weft_sink_database_step(resume->begin);
    for (size_t i = 0; i < call->count && err >= 0; i++) {
        err = take_one(resume, &call->fingerprints[i]);
        if (err >= 0) {
            call->done[i] = (unsigned char)err;
            taken += err;
        }
    }
    if (err >= 0)
        err = weft_sink_database_step(resume->commit);
    resume->broken = err < 0 ? err : 0;
    return err < 0 ? err : taken;
}

int64_t weft_resume_take(struct weft_resume *resume, const struct weft_fingerprint *fingerprints,
                         size_t count, unsigned char *ret_done)
{
    struct take_call call = {resume, fingerprints, count, ret_done};
    if (count > WEFT_RESUME_TAKE_MAX)
        return -EINVAL;
    if (resume->broken < 0)
        return resume->broken;
    if (resume->left == 0) {
        memset(ret_done, 0, count);
        return weft_checkpoint();
    }
    int taken = weft_offload(take_on_thread, &call);
    if (taken > 0)
        resume->left -= (unsigned)taken;
    return taken;
}

uint64_t weft_resume_found(const struct weft_resume *resume)
{
    return resume->found;
}

uint64_t weft_resume_left(const struct weft_resume *resume)
{
    return resume->left;
}

static int close_on_thread(void *arg)
{
    free_resume(arg);
    return 0;
}

void weft_resume_close(struct weft_resume *resume)
{
    struct weft_scope shield;
    if (!resume)
        return;
    weft_scope_enter(&shield, WEFT_FOREVER, WEFT_SCOPE_SHIELD);
    if (weft_offload(close_on_thread, resume) < 0)
        free_resume(resume);
    (void)weft_scope_leave(&shield, 0);
}
